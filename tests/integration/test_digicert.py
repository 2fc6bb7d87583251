"""DigiCert CertCentral: what its simulator does wrong, and what becomes of the order each time."""
import pytest

from fleet import wait_for
from sim_digicert import KEY
from test_issuers_conformance import (at_once, certificates, completed, make, order, plane, row, versions,  # noqa: F401
                                      wait_ordered, wait_status)


@pytest.fixture
def digicert(make):  # noqa: F811
    return make("digicert")


@pytest.fixture
def sim(digicert):
    return digicert.sim


def chain(plane, name):  # noqa: F811
    """Who stands above the leaf: the root is no part of what is served."""
    (_, text, _), = versions(plane, name)
    return [c.subject.rfc4514_string() for c in certificates(text)][1:]


def test_what_is_asked_for(plane, digicert, sim, order):  # noqa: F811
    name, job = order(digicert)
    completed(plane, job)
    line, headers, body = next(entry for entry in sim.log if entry[0].startswith("POST"))
    assert line == "POST /services/v2/order/certificate/ssl_basic" and headers["X-DC-DEVKEY"] == KEY
    assert {k: v for k, v in body.items() if k != "certificate"} == {
        "organization": {"id": 4321}, "order_validity": {"days": 199}, "skip_approval": True,
        "disable_renewal_notifications": True, "comments": f"certctl {job}"}
    assert (body["certificate"]["common_name"], body["certificate"]["dns_names"]) == (f"{name}.example.test", [f"{name}.example.test"])
    assert chain(plane, name) == ["CN=Simulated DigiCert Issuing CA"]


def test_an_order_issued_at_once_needs_no_poll(plane, digicert, sim, order):  # noqa: F811
    sim.behave(instant=True)
    name, job = order(digicert)
    assert wait_status(plane, job, "Completed", "Failed") == ("Completed", None)
    assert sim.calls("GET /order") == 0 and len(sim.orders) == 1
    assert chain(plane, name) == ["CN=Simulated DigiCert Issuing CA"]


@pytest.mark.parametrize("fault", [
    {"close": "after"}, {"truncate": True}, {"status": 500}, {"status": 502, "body": "<html>bad gateway"}, {"status": 503}, {"status": 201, "body": {}}],
    ids=lambda f: next(iter(f)) + str(f.get("status", "")))
def test_an_answer_that_says_nothing_is_looked_up(plane, digicert, sim, order, fault):  # noqa: F811
    """The order may have been taken: it is found by its request, or placed later, once."""
    sim.fault("POST /order", **fault)
    _, job = order(digicert)
    if "status" in fault: # it was not obeyed
        words = wait_for(lambda: row(plane, job)[1], 20, "the look-up")
        assert words.startswith("the order was not answered (") and words.endswith("), and the CA has no such order")
        at_once(plane, job)
    completed(plane, job)
    assert len(sim.orders) == 1 and sim.calls("GET /order/certificate?") == 1 + ("status" in fault)


@pytest.mark.parametrize("fault, waits", [({"status": 429, "headers": {"Retry-After": "7000"}}, 6900), ({"status": 401}, 0), ({"status": 403}, 0),
                                          ({"status": 302, "headers": {"Location": "https://elsewhere.example/"}}, 0)],
                         ids=["429", "401", "403", "302"])
def test_what_is_not_the_orders_fault_is_tried_again(plane, digicert, sim, order, fault, waits):  # noqa: F811
    sim.fault("POST /order", **fault)
    _, job = order(digicert)
    words = wait_for(lambda: row(plane, job)[1], 20, "the refusal")
    assert words == f"the CA refused: HTTP {fault['status']}"
    assert row(plane, job, "status, attempts, checkpoint, run_after > now() + make_interval(secs => %d)" % waits) == ("Pending", 1, None, True)
    at_once(plane, job)
    completed(plane, job)
    assert len(sim.orders) == 1


def test_a_slow_answer_is_an_answer(plane, digicert, sim, order):  # noqa: F811
    sim.fault("POST /order", delay=3)
    _, job = order(digicert)
    completed(plane, job)
    assert len(sim.orders) == 1 and sim.calls("GET /order/certificate?") == 0


@pytest.mark.parametrize("status", ["rejected", "denied", "canceled", "expired", "revoked"])
def test_an_order_that_ends_without_a_certificate_fails(plane, digicert, sim, order, status):  # noqa: F811
    sim.behave(statuses=[status])
    _, job = order(digicert)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    number, = sim.orders
    assert wait_status(plane, job, "Completed", "Failed") == ("Failed", f"the CA ended order {number} without a certificate: {status}")
    assert len(sim.orders) == 1


@pytest.mark.parametrize("status", ["processing", "needs_approval", "reissue_pending", "needs_csr", "waiting_pickup", "a_word_of_tomorrow"])
def test_what_waits_is_asked_again(plane, digicert, sim, order, status):  # noqa: F811
    sim.behave(statuses=[status, "issued"])
    _, job = order(digicert)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    assert f"works on it: {status};" in row(plane, job)[1]
    completed(plane, job)


@pytest.mark.parametrize("fault", [{"status": 429, "headers": {"Retry-After": "7000"}}, {"status": 500}, {"close": "before"}, {"truncate": True},
                                   {"status": 200, "body": "<html>"}, {"status": 200, "body": {"id": 1}}, {"status": 401}],
                         ids=["429", "500", "cut", "half", "html", "no status", "401"])
def test_a_poll_without_an_answer_keeps_the_order(plane, digicert, sim, order, fault):  # noqa: F811
    _, job = order(digicert)
    wait_ordered(plane, job, 0)
    sim.fault("GET /order/certificate/", **fault)
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    assert row(plane, job, "attempts, last_error LIKE '%%did not say what became of it%%', run_after > now() + interval '100 minutes'") == (
        0, True, "headers" in fault)
    completed(plane, job)
    assert len(sim.orders) == 1


def test_a_certificate_that_is_not_there_yet_is_fetched_later(plane, digicert, sim, order):  # noqa: F811
    sim.behave(statuses=["issued"], not_ready=1)
    _, job = order(digicert)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    assert 'issued, but not to be fetched yet: HTTP 404: "The certificate is not available yet"' in row(plane, job)[1]
    completed(plane, job)


def test_an_order_that_it_has_forgotten_is_placed_again(plane, digicert, sim, order):  # noqa: F811
    _, job = order(digicert)
    wait_ordered(plane, job, 0)
    number, = sim.orders
    sim.forget(number)
    at_once(plane, job)
    completed(plane, job)
    assert len(sim.orders) == 2


def test_an_order_that_is_issued_when_it_is_cancelled_is_stored(plane, digicert, sim, order):  # noqa: F811
    name, job = order(digicert)
    wait_ordered(plane, job, 0)
    plane.api.need("POST", f"/api/v1/jobs/{job}/cancel")
    assert wait_status(plane, job, "Completed", "Cancelled") == ("Completed", None)
    assert len(versions(plane, name)) == 1


def test_another_request_for_the_same_name_is_not_ours(plane, digicert, sim, order):  # noqa: F811
    name, job = order(digicert)
    completed(plane, job)
    sim.fault("POST /order", close="before")
    again = plane.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]
    wait_for(lambda: row(plane, again)[1], 20, "the look-up")
    assert row(plane, again, "status, last_error LIKE 'the order was not answered (%%), and the CA has no such order'") == ("Pending", True)
    at_once(plane, again)
    completed(plane, again)
    assert len(sim.orders) == 2


@pytest.mark.parametrize("change, words", [
    ({"base_url": "https://elsewhere.example/services/v2"}, "base_url is none of the CA's own"),
    ({"api_key_path": "/etc/passwd"}, "does not lie directly in CERTCTL_ISSUER_SECRET_DIR"),
    ({"org_id": "x"}, "org_id is not a number"), ({"product_type": "../user"}, "product_type is no product's name")])
def test_a_configuration_that_no_worker_may_use(plane, digicert, sim, order, change, words):  # noqa: F811
    plane.api.need("PUT", f"/api/v1/issuers/{digicert.id}", {"config": digicert.config["config"] | change})
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{digicert.id}")[1]["test_status"] == "failed", 20, "its test")
    # The status is written before the task's own words.
    wait_for(lambda: words in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", digicert.id) or ""),
             20, "its words")
    assert not sim.log


def test_the_key_is_nowhere_but_in_its_file(plane, digicert, sim, order):  # noqa: F811
    _, job = order(digicert)
    completed(plane, job)
    assert KEY not in plane.processes["worker-1"].log()
    assert KEY not in str(plane.api.get(f"/api/v1/issuers/{digicert.id}"))
    status, answer = plane.api.call("PUT", f"/api/v1/issuers/{digicert.id}", {"config": digicert.config["config"] | {"api_key": KEY}})
    assert status == 400 and "api_key_path" in str(answer)
