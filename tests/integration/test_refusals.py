"""
Who asks too often is told to wait, by address without a good key and by name
with one; what is refused stands in the log and in the audit trail.
"""
import json
import time

import pytest

import rawtls
from fleet import API_KEY, BOOTSTRAP, Api, Fleet, wait_for

BURST = 20


@pytest.fixture(scope="module")
def stack():
    fleet = Fleet("refusals")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True, CERTCTL_RATE_LIMIT_ENABLED="true", CERTCTL_RATE_LIMIT_RPS="1",
                              CERTCTL_RATE_LIMIT_BURST=str(BURST), CERTCTL_RATE_LIMIT_PER_USER_RPS="1000",
                              CERTCTL_RATE_LIMIT_PER_USER_BURST="1000")
        yield fleet
    finally:
        fleet.close()


def api(stack, key):
    return Api(stack.api_port, stack.dir / "tls" / "api.pem", key)


def refusals(stack):
    return stack.query("SELECT resource_id, sum((details->>'unauthenticated')::int), sum((details->>'rate_limited')::int),"
                       " sum((details->>'forbidden')::int), max(details->>'last_actor') FROM audit_events"
                       " WHERE action = 'auth.refused' GROUP BY 1")


def test_what_is_forbidden_is_audited_with_its_name(stack):
    status, _ = api(stack, f"viewer-{API_KEY}").post("/api/v1/teams", {"name": "x"})
    assert status == 403
    wait_for(lambda: refusals(stack) == [("127.0.0.1", 0, 0, 1, "viewer")], 10, "the audit event")


def test_bad_keys_are_slowed_and_good_ones_are_not(stack):
    wrong = api(stack, "no-such-key-0123456789")
    seen = [wrong.get("/api/v1/teams")[0] for _ in range(2 * BURST)]
    assert seen[0] == 401 and seen[-1] == 429 and set(seen) == {401, 429}
    assert seen.count(401) >= BURST - 2  # a few tokens went for what came before
    status, body = wrong.get("/api/v1/teams")[:2]
    assert (status, body) == (429, {"error": "Rate limit exceeded"})
    assert api(stack, "another-0123456789abc").get("/api/v1/version")[0] == 429
    # The same address with a good key, and the probes, do not feel it.
    assert {stack.api.get("/api/v1/teams")[0] for _ in range(2 * BURST)} == {200}
    assert {wrong.get(path)[0] for path in ("/health", "/ready") for _ in range(BURST)} == {200}
    log = stack.processes["apiserver"].log
    wait_for(lambda: "code=REFUSED" in log(), 10, "a line in the log")
    assert log().count("code=REFUSED") < 10  # one a second


HOST = "Host: localhost\r\n"
NO_REQUESTS = {
    "a blank before the colon": f"GET /health HTTP/1.1\r\n{HOST}Content-Length : 5\r\n\r\n",
    "no Host": "GET /health HTTP/1.1\r\n\r\n",
    "a version": f"GET /health HTTP/9.9\r\n{HOST}\r\n",
    "a coding": f"GET /health HTTP/1.1\r\n{HOST}Transfer-Encoding: identity\r\n\r\n",
    "rubbish": "\0\1\r\n\r\n",
    "large headers": "GET /health HTTP/1.1\r\nA: " + 20000 * "a",
    "a good key": f"GET /health HTTP/1.1\r\n{HOST}{HOST}Authorization: Bearer {API_KEY}\r\n\r\n",
}


@pytest.mark.parametrize("kind", NO_REQUESTS)
def test_what_is_no_request_is_slowed(stack, kind):
    """It costs its address as a request without a key does, and is answered in words until no token is left."""
    seen, headers, body = [], {}, b""
    while seen[-1:] != [429]:
        assert len(seen) < 10 * BURST, seen
        with rawtls.RawTls(stack) as c:
            c.send(NO_REQUESTS[kind])
            status, headers, body = c.reply()
            assert headers["connection"] == "close" and c.ends()
        seen.append(status)
    assert len(set(seen)) <= 2 and all(400 <= s <= 505 for s in seen)
    assert headers["retry-after"] == "1" and json.loads(body) == {"error": "Rate limit exceeded"}
    # Good keys of the same address, and the probes, do not feel it.
    assert {stack.api.get("/api/v1/teams")[0] for _ in range(2 * BURST)} == {200}
    assert {stack.api.get("/health")[0] for _ in range(BURST)} == {200}


def test_a_fleet_behind_one_address_is_no_crowd(stack):
    """Agents with keys of their own, while the address has no token left."""
    wait_for(lambda: api(stack, BOOTSTRAP).post("/api/v1/agents", {"name": "f", "hostname": "f.example.test"})[0] == 201, 10, "an agent")
    agent = stack.value("SELECT id FROM agents WHERE name = 'f'")
    stack.query("UPDATE agents SET api_key_hash = encode(sha256(%s), 'hex') WHERE id = %s", b"agents-own-key-0123456789", agent)
    own = api(stack, "agents-own-key-0123456789")
    wait_for(lambda: own.post(f"/api/v1/agents/{agent}/heartbeat", {})[0] == 200, 10, "a heartbeat")
    wrong = api(stack, "no-such-key-0123456789")
    while wrong.get("/api/v1/teams")[0] != 429:
        pass
    assert {own.post(f"/api/v1/agents/{agent}/heartbeat", {})[0] for _ in range(2 * BURST)} == {200}
    # Nor when the key is looked up anew, which an agent's is every five seconds.
    seen, end = set(), time.monotonic() + 6
    while time.monotonic() < end:
        assert wrong.get("/api/v1/teams")[0] in (401, 429)
        seen.add(own.post(f"/api/v1/agents/{agent}/heartbeat", {})[0])
    assert seen == {200}


def test_a_process_that_ends_writes_what_is_left():
    """The first is audited at once; those after it would be within a minute."""
    fleet = Fleet("lastwords")
    try:
        fleet.start_postgres(keep=True)
        process = fleet.start_apiserver()
        wrong = api(fleet, "no-such-key-0123456789")
        assert wrong.get("/api/v1/teams")[0] == 401
        wait_for(lambda: refusals(fleet), 10, "the audit event")
        assert [wrong.get("/api/v1/teams")[0] for _ in range(5)] == 5 * [401]
        assert process.stop() == 0
        assert refusals(fleet)[0][1] == 6
        assert "are missing in the audit trail" not in process.log()
    finally:
        fleet.close()


def test_who_waits_is_told_how_long():
    """At half a request a second, two seconds; and fractions are obeyed."""
    fleet = Fleet("halfrate")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True, CERTCTL_RATE_LIMIT_ENABLED="true", CERTCTL_RATE_LIMIT_RPS="0.5", CERTCTL_RATE_LIMIT_BURST="2",
                              CERTCTL_RATE_LIMIT_PER_USER_RPS="0.25", CERTCTL_RATE_LIMIT_PER_USER_BURST="1")
        ask = "GET /api/v1/teams HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n"
        replies = [rawtls.ask(fleet, ask % "no-such-key-0123456789")[:2] for _ in range(4)]
        assert [status for status, _ in replies][::3] == [401, 429] and replies[-1][1]["retry-after"] == "2"
        replies = [rawtls.ask(fleet, ask % f"viewer-{API_KEY}")[:2] for _ in range(3)]
        assert replies[-1][0] == 429 and replies[-1][1]["retry-after"] == "4"
    finally:
        fleet.close()
