"""EJBCA: what is particular to it (test_issuers_faults.py has what every CA does wrong)."""
import re

import pytest

from fleet import wait_for
from sim_ejbca import CA, ENTITY_PROFILE, PROFILE, TOKEN
from test_issuers_conformance import (at_once, certificates, change, completed, die_at, make, order, plane, renew, row, versions,  # noqa: F401
                                      wait_ordered, wait_status)


@pytest.fixture
def ejbca(make):  # noqa: F811
    return make("ejbca")


def sent(ejbca):
    return [body for line, _, body in ejbca.sim.log if line.endswith("/pkcs10enroll")]


def failed(plane, ejbca, words):  # noqa: F811
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{ejbca.id}")[1]["test_status"] == "failed", 20, "its test")
    wait_for(lambda: words in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", ejbca.id) or ""),
             20, "its words")


@pytest.mark.parametrize("chains", [True, False])
def test_what_is_asked_for(plane, ejbca, order, chains):  # noqa: F811
    ejbca.sim.chains = chains
    name, job = order(ejbca)
    completed(plane, job)
    body, = sent(ejbca)
    assert body.pop("certificate_request").startswith("-----BEGIN CERTIFICATE REQUEST-----") and len(body.pop("password")) == 43
    assert body == {"certificate_profile_name": PROFILE, "end_entity_profile_name": ENTITY_PROFILE, "certificate_authority_name": CA,
                    "username": f"certctl-{name}.example.test", "include_chain": True}
    (_, text, _), = versions(plane, name)
    assert [c.subject.rfc4514_string() for c in certificates(text)] == [f"CN={name}.example.test", "CN=Simulated EJBCA Issuing CA"]


def test_a_renewal_is_the_same_end_entity_with_a_code_of_its_own(plane, ejbca, order):  # noqa: F811
    name, job = order(ejbca)
    completed(plane, job)
    completed(plane, renew(plane, name))
    first, second = sent(ejbca)
    assert first["username"] == second["username"] and first["password"] != second["password"]
    assert len(ejbca.sim.orders) == 2


def test_a_name_that_no_end_entity_can_have_is_made_one(plane, ejbca, order):  # noqa: F811
    _, job = order(ejbca, common_name="*.star.example.test", sans=["*.star.example.test"])
    completed(plane, job)
    body, = sent(ejbca)
    assert re.fullmatch("certctl-_.star.example.test-[0-9a-f]{8}", body["username"])


def test_a_request_that_waits_for_an_approval_is_finalized_with_its_code(plane, ejbca, order):  # noqa: F811
    ejbca.sim.approvals = True
    name, job = order(ejbca)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    assert "works on it: HTTP 202;" in row(plane, job)[1]
    # Another worker has the same code.
    plane.processes["worker-1"].kill()
    ejbca.sim.approve()
    at_once(plane, job)
    completed(plane, job)
    assert len(versions(plane, name)) == 1 and len(ejbca.sim.orders) == 1
    text = plane.value("SELECT jsonb_agg(to_jsonb(j))::text FROM jobs j WHERE j.id = %s", job)
    body, = sent(ejbca)
    assert body["password"] not in text and body["password"] not in plane.processes["worker-1"].log()


@pytest.mark.parametrize("word", ["REJECTED", "EXPIRED"])
def test_a_request_that_is_not_approved_ends(plane, ejbca, order, word):  # noqa: F811
    ejbca.sim.approvals = True
    _, job = order(ejbca)
    wait_ordered(plane, job, 0)
    ejbca.sim.decide(word)
    at_once(plane, job)
    number, = ejbca.sim.orders
    assert wait_status(plane, job, "Failed", "Completed") == (
        "Failed", f'the CA ended order {number} without a certificate: HTTP 400: "Request with Id {number} is {word}"')


def test_a_request_that_it_has_forgotten_is_placed_again(plane, ejbca, order):  # noqa: F811
    ejbca.sim.approvals = True
    _, job = order(ejbca)
    wait_ordered(plane, job, 0)
    number, = ejbca.sim.orders
    ejbca.sim.forget(number)
    ejbca.sim.orders[number]["status"] = "REMOVED"
    ejbca.sim.approvals = False
    at_once(plane, job)
    completed(plane, job)
    assert len(ejbca.sim.orders) == 2


@pytest.mark.parametrize("fault", [{"status": 429, "headers": {"Retry-After": "7000"}}, {"status": 500}, {"close": "before"}, {"truncate": True},
                                   {"status": 200, "body": "<html>"}, {"status": 200, "body": {"certificate": "?"}}, {"status": 403}],
                         ids=["429", "500", "cut", "half", "html", "no certificate", "403"])
def test_a_request_that_it_did_not_finalize_is_kept(plane, ejbca, order, fault):  # noqa: F811
    ejbca.sim.approvals = True
    _, job = order(ejbca)
    wait_ordered(plane, job, 0)
    ejbca.sim.fault("POST /certificate/8", **fault)
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    assert row(plane, job, "attempts, last_error LIKE '%%did not say what became of it%%', run_after > now() + interval '100 minutes'") == (
        0, True, "headers" in fault)
    ejbca.sim.approve()
    completed(plane, job)
    assert len(ejbca.sim.orders) == 1


@pytest.mark.parametrize("path", ["GET /ca", "GET /ca/"])
@pytest.mark.parametrize("fault", [{"status": 503}, {"close": "before"}, {"status": 200, "body": {}}], ids=["503", "cut", "empty"])
def test_a_chain_that_is_not_to_be_had_is_looked_for_later(plane, ejbca, order, path, fault):  # noqa: F811
    """The certificate was issued: it is found, and not ordered again."""
    if path == "GET /ca/" and fault.get("status") == 200:
        fault = {"status": 500}
    ejbca.sim.chains = False
    ejbca.sim.fault(path, **fault)
    name, job = order(ejbca)
    wait_for(lambda: row(plane, job)[1] or row(plane, job)[0] == "Completed", 20, "the first attempt")
    at_once(plane, job)
    completed(plane, job)
    assert len(ejbca.sim.orders) == 1 and len(versions(plane, name)) == 1


def busy(ejbca, name, minutes):
    """The next order is taken, and its answer lost; so much else was issued to its end entity."""
    ejbca.sim.issue_others(f"certctl-{name}", minutes)
    ejbca.sim.fault(ejbca.places, close="after")


def test_an_order_is_found_however_much_a_search_leaves_out(plane, ejbca, order):  # noqa: F811
    """By searches of shorter times: what begins later and earlier than ours is found as it is, ten minutes back."""
    ejbca.sim.most_found = 3
    busy(ejbca, "busy.example.test", [n / 3 for n in range(120)])
    name, job = order(ejbca, common_name="busy.example.test", sans=["busy.example.test"])
    completed(plane, job)
    assert len(ejbca.sim.orders) == 121 and len(versions(plane, name)) == 1
    assert 2 < ejbca.sim.calls(ejbca.lists) < 200 and row(plane, job, "attempts") == (0,)


def test_a_search_of_all_times_says_that_there_is_none(plane, ejbca, order):  # noqa: F811
    ejbca.sim.most_found = 3
    ejbca.sim.issue_others("certctl-none.example.test", [n / 3 for n in range(60)])
    ejbca.sim.fault(ejbca.places, close="before")
    _, job = order(ejbca, common_name="none.example.test", sans=["none.example.test"])
    words = wait_for(lambda: row(plane, job)[1], 30, "the look-up")
    assert words.endswith("and the CA has no such order")
    at_once(plane, job)
    completed(plane, job)
    assert len(ejbca.sim.orders) == 61


def test_a_second_with_more_than_a_search_gives_proves_nothing(plane, ejbca, order):  # noqa: F811
    ejbca.sim.most_found = 3
    busy(ejbca, "dense.example.test", [10] * 40)
    _, job = order(ejbca, common_name="dense.example.test", sans=["dense.example.test"])
    words = wait_for(lambda: row(plane, job)[1], 30, "the look-up")
    assert words == "the order could not be looked up: it issued more to this end entity within one second than a search gives"
    ejbca.sim.most_found = 1000
    at_once(plane, job)
    completed(plane, job)
    assert len(ejbca.sim.orders) == 41


def test_it_is_let_in_by_a_token(plane, ejbca, order):  # noqa: F811
    config = {k: v for k, v in ejbca.config["config"].items() if not k.startswith("client_")}
    plane.api.need("PUT", f"/api/v1/issuers/{ejbca.id}", {"config": config | {"auth_mode": "oauth2", "token": TOKEN}})
    _, job = order(ejbca)
    completed(plane, job)
    assert len(ejbca.sim.orders) == 1
    stored = plane.value("SELECT config::text FROM issuers WHERE id = %s", ejbca.id)
    assert TOKEN not in stored and TOKEN not in plane.processes["worker-1"].log() + str(plane.api.get(f"/api/v1/issuers/{ejbca.id}"))
    plane.api.need("PUT", f"/api/v1/issuers/{ejbca.id}", {"config": config | {"auth_mode": "oauth2", "token": TOKEN + "x"}})
    failed(plane, ejbca, 'the CA refused the test: HTTP 403: "Not authorized"')


def test_a_revocation_waits_for_its_approval(plane, ejbca, order):  # noqa: F811
    name, job = order(ejbca)
    completed(plane, job)
    ejbca.sim.approves_revocations = True
    plane.api.need("POST", f"/api/v1/certificates/{name}/revoke", {"reason": "superseded"})
    wait_for(lambda: isinstance(ejbca.sim.approves_revocations, dict), 30, "the CA to be told")

    def again():
        wait_for(lambda: plane.value("SELECT min(status) FROM tasks WHERE kind = 'ca_revoke'") == "Pending", 30, "the task to be free")
        plane.query("UPDATE tasks SET run_after = now() WHERE kind = 'ca_revoke' AND status = 'Pending'")
    again()
    wait_for(lambda: ejbca.sim.log[-1][0].endswith("/revocationstatus"), 30, "it to be asked")
    wait_for(lambda: "approval is awaited" in str(plane.api.need("GET", f"/api/v1/certificates/{name}/versions")), 30, "its words")
    ejbca.sim.approves_revocations["reason"] = "SUPERSEDED"
    again()
    wait_for(lambda: plane.api.need("GET", f"/api/v1/certificates/{name}/versions")["data"][0].get("ca_revocation") == "confirmed", 30, "it to be told")
    assert ejbca.sim.calls(ejbca.revokes) == 1


@pytest.mark.parametrize("reason, word", [("certificateHold", "CERTIFICATE_HOLD"), ("privilegeWithdrawn", "PRIVILEGES_WITHDRAWN"),
                                          ("unspecified", "UNSPECIFIED")])
def test_reasons_are_said_as_it_has_them(plane, ejbca, order, reason, word):  # noqa: F811
    name, job = order(ejbca)
    completed(plane, job)
    plane.api.need("POST", f"/api/v1/certificates/{name}/revoke", {"reason": reason})
    wait_for(lambda: ejbca.revoked() == [word], 30, "the revocation")


@pytest.mark.parametrize("changes, words", [
    ({"api_url": "https://elsewhere.example/v1"}, "api_url is not allowed here"), ({"auth_mode": "basic"}, "auth_mode must be mtls or oauth2"),
    ({"token": TOKEN}, "token is for auth_mode oauth2"), ({"auth_mode": "oauth2"}, "token is for auth_mode oauth2, which needs it"),
    ({"auth_mode": "oauth2", "token": TOKEN}, "client_cert_path and client_key_path are for auth_mode mtls")])
def test_a_configuration_that_no_worker_may_use(plane, ejbca, changes, words):  # noqa: F811
    change(plane, ejbca, **changes)
    failed(plane, ejbca, words)
    assert not ejbca.sim.orders


def test_a_ca_that_it_has_not_can_not_be_used(plane, ejbca):  # noqa: F811
    change(plane, ejbca, ca_name="Another CA")
    failed(plane, ejbca, "it lists no CA of the name ca_name")
