"""
Every route of the contract, with input that is good and input that is not: that it is
there, what it answers, member by member, and by which error.
"""
import pytest
import walk
from contract import certificates, config, found, system
from fleet import Fleet
from test_auth_table import GOOD as AUTH_TABLE
from test_routes import ROUTES
from test_texts import BODILESS

TABLES = (certificates, config, found, system)
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
    assert {key_of(r) for r in ROUTES} - set(AUTH_TABLE) == set(GOOD)


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
