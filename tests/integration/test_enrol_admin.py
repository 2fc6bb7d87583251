"""EST and SCEP are not served, and their administration says so: no profiles, and none by any name."""
import pytest

from fleet import API_KEY


@pytest.mark.parametrize("path", ["scep/profiles", "scep/intune/stats", "est/profiles"])
def test_there_are_none(stack, path):
    answer = stack.api.need("GET", f"/api/v1/admin/{path}")
    assert set(answer) == {"profiles", "profile_count", "generated_at"} and (answer["profiles"], answer["profile_count"]) == ([], 0)


@pytest.mark.parametrize("protocol, path", [("SCEP", "scep/intune/reload-trust"), ("EST", "est/reload-trust")])
def test_none_is_reloaded(stack, protocol, path):
    def ask(**how):
        status, answer = stack.api.call("POST", f"/api/v1/admin/{path}", **how)
        assert set(answer) == {"error", "message"}, answer
        return status, answer["message"]
    assert ask(body={"path_id": "corp"}) == (404, f'there is no {protocol} profile "corp": this certctl serves no {protocol}')
    assert ask() == (404, f'there is no {protocol} profile "": this certctl serves no {protocol}')
    for bad in ({"raw": "{"}, {"raw": "[]"}, {"body": {"path_id": 7}}, {"body": {"path_id": "x" * 129}}):
        assert ask(**bad)[0] == 400, bad
    assert stack.api.call("POST", f"/api/v1/admin/{path}", {}, key=API_KEY + "x")[0] == 401
