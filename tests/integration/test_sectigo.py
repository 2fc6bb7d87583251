"""Sectigo SCM: what is particular to it (test_issuers_faults.py has what every CA does wrong)."""
import pytest

from fleet import wait_for
from sim_sectigo import CUSTOMER, LOGIN, ORGANISATION, PASSWORD
from test_issuers_conformance import at_once, certificates, change, completed, make, order, plane, row, versions, wait_ordered, wait_status  # noqa: F401


@pytest.fixture
def sectigo(make):  # noqa: F811
    return make("sectigo")


def life_of(plane, days):  # noqa: F811
    return plane.api.need("POST", "/api/v1/profiles", {"name": f"{days} days", "max_ttl_seconds": days * 86400})["id"]


def test_what_is_asked_for(plane, sectigo, order):  # noqa: F811
    name, job = order(sectigo)
    completed(plane, job)
    line, headers, body = next(entry for entry in sectigo.sim.log if entry[0].startswith("POST"))
    assert line == "POST /api/ssl/v1/enroll"
    assert (headers["customerUri"], headers["login"], headers["password"]) == (CUSTOMER, LOGIN, PASSWORD)
    assert {k: v for k, v in body.items() if k != "csr"} == {
        "orgId": ORGANISATION, "certType": 31, "term": 365, "subjAltNames": f"{name}.example.test", "numberServers": 0, "serverType": -1,
        "comments": f"certctl {job}"}
    # The root, the issuer and the leaf came in that order.
    (_, text, _), = versions(plane, name)
    assert [c.subject.rfc4514_string() for c in certificates(text)] == [f"CN={name}.example.test", "CN=Simulated Sectigo Issuing CA"]


@pytest.mark.parametrize("days, term", [(400, 365), (365, 365), (364, 199), (120, 90)])
def test_the_term_is_the_longest_that_the_profile_allows(plane, sectigo, order, days, term):  # noqa: F811
    _, job = order(sectigo, certificate_profile_id=life_of(plane, days))
    completed(plane, job)
    assert [o["days"] for o in sectigo.sim.orders.values()] == [term]
    assert (sectigo.sim.calls("GET /ssl/v1/types") > 0) == (days < 365)


def test_a_life_that_no_term_allows_is_refused(plane, sectigo, order):  # noqa: F811
    _, job = order(sectigo, certificate_profile_id=life_of(plane, 89))
    words = wait_for(lambda: row(plane, job)[1], 20, "the refusal")
    assert words == "the CA refused: certificate type 31 has no term of 89 days or less, as the profile's max_ttl_seconds wants"
    assert not sectigo.sim.orders


@pytest.mark.parametrize("code", [0, -183, -1400])
def test_a_collection_that_is_not_ready_is_asked_for_again(plane, sectigo, order, code):  # noqa: F811
    sectigo.sim.behave(statuses=["Issued"], not_ready=1)
    sectigo.sim.fault("GET /ssl/v1/collect/", status=400, body={"code": code, "description": "Being processed by Sectigo"})
    _, job = order(sectigo)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    assert f'issued, but not to be fetched yet: HTTP 400: "Being processed by Sectigo" ({code})' in row(plane, job)[1]
    completed(plane, job)
    assert len(sectigo.sim.orders) == 1


def test_another_error_of_a_collection_is_for_good(plane, sectigo, order):  # noqa: F811
    sectigo.sim.fault("GET /ssl/v1/collect/", status=400, body={"code": -1450, "description": "The format is not supported"})
    _, job = order(sectigo)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    number, = sectigo.sim.orders
    assert wait_status(plane, job, "Completed", "Failed") == (
        "Failed", f'the CA ended order {number} without a certificate: HTTP 400: "The format is not supported" (-1450)')


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429, "headers": {"Retry-After": "7000"}}, {"truncate": True}, {"status": 404}],
                         ids=["503", "429", "half", "404"])
def test_a_collection_without_an_answer_keeps_the_order(plane, sectigo, order, fault):  # noqa: F811
    _, job = order(sectigo)
    wait_ordered(plane, job, 0)
    sectigo.sim.fault("GET /ssl/v1/collect/", **fault)
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    assert row(plane, job, "attempts, run_after > now() + interval '100 minutes'") == (0, "headers" in fault)
    completed(plane, job)
    assert len(sectigo.sim.orders) == 1


def test_an_order_is_found_behind_newer_ones_of_its_name(plane, sectigo, order):  # noqa: F811
    """However many pages the list has; what is older is not read."""
    sim = sectigo.sim
    sim.take_others("shared.example.test", range(1, 301), days_ago=5)
    sim.take_others("shared.example.test", range(900001, 900121))
    sim.fault("POST /ssl/v1/enroll", close="after")
    name, job = order(sectigo, common_name="shared.example.test", sans=["shared.example.test"])
    completed(plane, job)
    assert len(sim.orders) == 421 and len(versions(plane, name)) == 1
    assert sim.calls(sectigo.lists) == 3 and row(plane, job, "attempts") == (0,)
    assert not [n for n in range(1, 301) if sim.orders[n]["looks"]] and sum(sim.orders[n]["looks"] for n in range(900001, 900121)) == 120


def test_an_order_that_was_not_taken_is_not_looked_for_among_older_ones(plane, sectigo, order):  # noqa: F811
    sim = sectigo.sim
    sim.take_others("lone.example.test", range(1, 301), days_ago=5)
    sim.fault("POST /ssl/v1/enroll", close="before")
    _, job = order(sectigo, common_name="lone.example.test", sans=["lone.example.test"])
    words = wait_for(lambda: row(plane, job)[1], 20, "the look-up")
    assert words.endswith("and the CA has no such order")
    assert sim.calls(sectigo.lists) == 2 and [n for n, o in sim.orders.items() if o["looks"]] == [300]


@pytest.mark.parametrize("changes, words", [({"base_url": "https://elsewhere.example/api"}, "base_url is none of the CA's own")])
def test_a_configuration_that_no_worker_may_use(plane, sectigo, changes, words):  # noqa: F811
    change(plane, sectigo, **changes)
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{sectigo.id}")[1]["test_status"] == "failed", 20, "its test")
    wait_for(lambda: words in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", sectigo.id) or ""),
             20, "its words")
    assert not sectigo.sim.log


def test_the_password_is_stored_sealed_alone(plane, sectigo, order):  # noqa: F811
    _, job = order(sectigo)
    completed(plane, job)
    assert PASSWORD not in plane.processes["worker-1"].log()
    assert PASSWORD not in str(plane.api.get(f"/api/v1/issuers/{sectigo.id}"))
    assert set(plane.value("SELECT config -> 'password' FROM issuers WHERE id = %s", sectigo.id)) == {"cms", "to"}
