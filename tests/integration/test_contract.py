"""
Every route of the contract, with input that is good and input that is not: that it is
there, what it answers, member by member, and by which error.
"""
import pytest
import walk
from contract import acme, certificates, config, eab, found, replacements, system
from fleet import Fleet
from test_auth_table import GOOD as AUTH_TABLE
from test_routes import ROUTES
from test_texts import BODILESS

TABLES = (acme, certificates, config, eab, found, replacements, system)
GOOD = {key: rows for table in TABLES for key, rows in table.GOOD.items()}
BAD = {key: rows for table in TABLES for key, rows in table.BAD.items()}
TAKES_ANYTHING = set().union(*(getattr(t, "TAKES_ANYTHING", ()) for t in TABLES))


def key_of(route):
    return route["method"], route["pattern"]


IN = [r for r in ROUTES if key_of(r) in GOOD]


def name_of(route):
    return " ".join(key_of(route))


@pytest.fixture(scope="module")
def world():
    fleet = Fleet("contract")
    try:
        yield walk.serve(fleet)
    finally:
        fleet.close()


def test_none_is_missing():
    """What is routed is in a table, and what the tables have is routed."""
    assert sum(len(t.GOOD) for t in TABLES) == len(GOOD) and set(BAD) <= set(GOOD)
    # Signed messages are test_acme_accounts.py's, and a stream that does not end test_events.py's.
    routed = {key_of(r) for r in ROUTES if not r["pattern"].startswith("/acme/")}
    assert routed - set(AUTH_TABLE) - {("GET", "/api/v1/events")} == set(GOOD)


@pytest.mark.parametrize("route", IN, ids=name_of)
def test_good(world, route):
    for row in GOOD[key_of(route)]:
        walk.check_good(world, route, row)


@pytest.mark.parametrize("route", [r for r in IN if BAD.get(key_of(r))], ids=name_of)
def test_bad(world, route):
    for row in BAD[key_of(route)]:
        walk.check_bad(world, route, row)


@pytest.mark.parametrize("route", IN, ids=name_of)
def test_who_may_not_and_what_is_no_request(world, route):
    walk.check_nobody(world, route, route["max_body"] and route["method"] != "DELETE" and key_of(route) not in BODILESS | TAKES_ANYTHING)


def test_times_end_with_no_zero(world):
    """Whoever wrote them: RFC 3339, the fraction as short as it goes."""
    half, whole = "2026-01-02T03:04:05.5Z", "2026-01-02T03:04:05Z"
    agent, job = world.agent(), certificates.running(world)
    world.fleet.query("UPDATE agents SET registered_at = %s, last_heartbeat_at = %s, retired_at = %s WHERE id = %s", half, whole, half, agent)
    listed = [a for a in world.api.need("GET", "/api/v1/agents/retired?per_page=500")["data"] if a["id"] == agent]
    for shown in (*listed, world.api.need("GET", f"/api/v1/agents/{agent}")):
        assert (shown["registered_at"], shown["last_heartbeat_at"], shown["retired_at"]) == (half, whole, half)
    world.fleet.query("UPDATE jobs SET verified_at = %s WHERE id = %s", half, job)
    for path in ("", "/verification"):
        assert world.api.need("GET", f"/api/v1/jobs/{job}{path}")["verified_at"] == half
    for rows in ("apiservers", "schedulers"):
        world.fleet.query(f"UPDATE {rows} SET started_at = %s", half)
        assert {r["started_at"] for r in world.api.need("GET", "/api/v1/admin/processes")[rows]} == {half}


def test_a_ca_that_signed_stays(world):
    """Also when its certificates have moved to another issuer: they may have to be revoked.  So does one with a CA in its hierarchy."""
    world.fleet.query("UPDATE policy_rules SET enabled = false")  # the walk's own may forbid other issuers
    issuer = config.with_key(world)
    name = world.issued(issuer_id=issuer)
    world.api.need("PUT", f"/api/v1/certificates/{name}", {"issuer_id": "iss-local"})
    for kept in (issuer, found.hierarchy(world)):
        status, reply = world.api.call("DELETE", f"/api/v1/issuers/{kept}")
        assert (status, reply["message"]) == (409, "Cannot delete issuer: certificates are still using this issuer, or CAs below it; disable it instead")
        assert world.fleet.value("SELECT count(*) FROM ca_keys WHERE issuer_id = %s", kept) == 1
    gone = config.with_key(world)
    assert world.api.call("DELETE", f"/api/v1/issuers/{gone}")[0] == 204
    assert world.fleet.value("SELECT (SELECT count(*) FROM ca_keys WHERE issuer_id = %s) + (SELECT count(*) FROM ca_certificates WHERE issuer_id = %s)",
                             gone, gone) == 0


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8", "Application/JSON"])
def test_what_a_wish_says_by_its_type(world, media):
    """What is called JSON must be; of another type it says something where it is an object, and else nothing."""
    certs = "/api/v1/certificates"

    def wish(name, act, raw, sent):
        return world.api.call("POST", f"{certs}/{name}/{act}", raw=raw, headers={"Content-Type": sent})
    name = world.issued()
    for act in ("renew", "deploy", "revoke"):
        for raw in ("force=true", "[1]", "{"):
            assert wish(name, act, raw, "application/json")[0] == 400
    assert wish(name, "deploy", "target_id=x", media)[0] == 202
    assert wish(name, "deploy", '{"target_id": "no-such"}', media)[0] == 400
    assert wish(name, "renew", "force=true", media)[0] == 202
    assert wish(name, "renew", "7", media)[0] == 409
    assert wish(name, "renew", '{"force": true}', media)[0] == 202
    assert wish(name, "revoke", '{"reason": "because"}', media)[0] == 400
    other = world.issued()
    assert wish(other, "revoke", "reason=keyCompromise", media)[0] == wish(name, "revoke", '{"reason": "keyCompromise"}', media)[0] == 200
    assert [world.api.need("GET", f"{certs}/{n}")["revocation_reason"] for n in (other, name)] == ["unspecified", "keyCompromise"]


@pytest.mark.parametrize("said,why", [("probe failed", "probe failed"), ("", "nothing was seen of what the target serves")])
def test_what_was_not_seen_served_is_no_success(world, said, why):
    """An agent of the contract reports a deployment as completed also when its probe failed, and gets its 200."""
    job = certificates.running(world)
    nothing = {"expected_fingerprint": "", "actual_fingerprint": "", "verified": False, "error": said}
    world.api.need("POST", f"/api/v1/jobs/{job}/verify", certificates.of_job(world, job, **nothing))
    for _ in range(2):
        report = world.api.call("POST", f"/api/v1/agents/{world.hand['id']}/jobs/{job}/status", {"status": "Completed", "error": ""})
        assert report == (200, {"status": "updated"})
    ended = world.api.need("GET", f"/api/v1/jobs/{job}")
    assert (ended["status"], ended["verification_status"], ended["last_error"], ended["verification_error"]) == ("Failed", "failed", why, why)
