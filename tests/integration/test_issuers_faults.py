"""
What a CA with an HTTP API may do wrong, and what becomes of the order each time: the same faults for each connector, as its
simulator (sim_ca.py) plays them.
"""
import pytest

from ca_kinds import CONNECTORS, GIVEN_ONCE, POLLED, REST
from fleet import wait_for
from test_issuers_conformance import (at_once, completed, make, order, plane, row, versions,  # noqa: F401
                                      wait_ordered, wait_status)


EACH = pytest.mark.parametrize("ca", [*REST, *GIVEN_ONCE], indirect=True)


@pytest.fixture(params=REST)
def ca(make, request):  # noqa: F811
    return make(request.param)


@pytest.fixture(params=POLLED)
def polled(make, request):  # noqa: F811
    return make(request.param)


@EACH
@pytest.mark.parametrize("fault, says", [
    ({"status": 401}, "the CA refused the test: HTTP 401"), ({"status": 503}, "the CA did not say that it can be used: HTTP 503"),
    ({"close": "before"}, "the CA did not say that it can be used: ")], ids=["401", "503", "cut"])
def test_a_test_calls_the_ca(plane, ca, fault, says):  # noqa: F811
    assert plane.api.need("GET", f"/api/v1/issuers/{ca.id}")["test_status"] == "success"
    ca.sim.fault(ca.tests, times=ca.times(fault), **fault)
    status, reply = plane.api.post(f"/api/v1/issuers/{ca.id}/test", timeout=60)
    assert status == 422 and says in reply["message"], reply
    assert plane.api.need("GET", f"/api/v1/issuers/{ca.id}")["test_status"] == "failed"
    assert plane.api.post(f"/api/v1/issuers/{ca.id}/test", timeout=60)[1] == {"status": "connection_successful"}
    assert not ca.sim.orders and ca.sim.calls(ca.tests) >= 2


@pytest.mark.parametrize("fault", [
    {"close": "after"}, {"truncate": True}, {"status": 500}, {"status": 502, "body": "<html>bad gateway"}, {"status": 503}, {"status": 201, "body": {}}],
    ids=lambda f: next(iter(f)) + str(f.get("status", "")))
def test_an_answer_that_says_nothing_is_looked_up(plane, ca, order, fault):  # noqa: F811
    """The order may have been taken: it is found by its request, or placed later, once."""
    ca.sim.fault(ca.places, **fault)
    _, job = order(ca)
    looks_twice = "status" in fault and not ca.look_up_places  # it was not obeyed
    if looks_twice:
        words = wait_for(lambda: row(plane, job)[1], 20, "the look-up")
        assert words.startswith("the order was not answered (") and words.endswith("), and the CA has no such order")
        at_once(plane, job)
    completed(plane, job)
    assert len(ca.sim.orders) == 1 and ca.looked() == 1 + looks_twice


@EACH
@pytest.mark.parametrize("fault, waits", [({"status": 429, "headers": {"Retry-After": "7000"}}, 6900), ({"status": 401}, 0), ({"status": 403}, 0),
                                          ({"status": 302, "headers": {"Location": "https://elsewhere.example/"}}, 0)],
                         ids=["429", "401", "403", "302"])
def test_what_is_not_the_orders_fault_is_tried_again(plane, ca, order, fault, waits):  # noqa: F811
    ca.sim.fault(ca.places, times=ca.times(fault), **fault)
    _, job = order(ca)
    words = wait_for(lambda: row(plane, job)[1], 20, "the refusal")
    assert words == f"the CA refused: HTTP {fault['status']}"
    assert row(plane, job, "status, attempts, checkpoint, run_after > now() + make_interval(secs => %d)" % waits) == ("Pending", 1, None, True)
    at_once(plane, job)
    completed(plane, job)
    assert len(ca.sim.orders) == 1


@EACH
def test_a_slow_answer_is_an_answer(plane, ca, order):  # noqa: F811
    ca.sim.fault(ca.places, delay=3)
    _, job = order(ca)
    completed(plane, job)
    assert len(ca.sim.orders) == 1 and ca.looked() == 0


@pytest.mark.parametrize("polled, status", [(kind, word) for kind in POLLED for word in CONNECTORS[kind].ends], indirect=["polled"])
def test_an_order_that_ends_without_a_certificate_fails(plane, polled, order, status):  # noqa: F811
    polled.sim.behave(statuses=[status])
    _, job = order(polled)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    number, = polled.sim.orders
    assert wait_status(plane, job, "Completed", "Failed") == ("Failed", f"the CA ended order {number} without a certificate: {status}")
    assert len(polled.sim.orders) == 1


@pytest.mark.parametrize("polled, status", [(kind, word) for kind in POLLED for word in CONNECTORS[kind].waits], indirect=["polled"])
def test_what_waits_is_asked_again(plane, polled, order, status):  # noqa: F811
    polled.sim.behave(statuses=[status, polled.ready_word])
    _, job = order(polled)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    assert f"{status};" in row(plane, job)[1] and "works on it" in row(plane, job)[1]
    completed(plane, job)


@pytest.mark.parametrize("fault", [{"status": 429, "headers": {"Retry-After": "7000"}}, {"status": 500}, {"close": "before"}, {"truncate": True},
                                   {"status": 200, "body": "<html>"}, {"status": 200, "body": {"id": 1}}, {"status": 401}],
                         ids=["429", "500", "cut", "half", "html", "no status", "401"])
def test_a_poll_without_an_answer_keeps_the_order(plane, polled, order, fault):  # noqa: F811
    _, job = order(polled)
    wait_ordered(plane, job, 0)
    polled.sim.fault(polled.polls, times=polled.times(fault), **fault)
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    assert row(plane, job, "attempts, last_error LIKE '%%did not say what became of it%%', run_after > now() + interval '100 minutes'") == (
        0, True, "headers" in fault)
    completed(plane, job)
    assert len(polled.sim.orders) == 1


def test_a_certificate_that_is_not_there_yet_is_fetched_later(plane, polled, order):  # noqa: F811
    polled.sim.behave(statuses=[polled.ready_word], not_ready=1)
    _, job = order(polled)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    assert polled.not_yet in row(plane, job)[1]
    completed(plane, job)


def test_an_order_that_it_has_forgotten_is_placed_again(plane, polled, order):  # noqa: F811
    _, job = order(polled)
    wait_ordered(plane, job, 0)
    number, = polled.sim.orders
    polled.sim.forget(number)
    if hasattr(polled, "knows_within_s"):
        plane.query("UPDATE jobs SET checkpoint = checkpoint || jsonb_build_object('send_before', now() - make_interval(secs => %s)) "
                    "WHERE id = %s", polled.knows_within_s + 5, job)
    at_once(plane, job)
    completed(plane, job)
    assert len(polled.sim.orders) == 2


def test_an_order_that_is_issued_when_it_is_cancelled_is_stored(plane, polled, order):  # noqa: F811
    name, job = order(polled)
    wait_ordered(plane, job, 0)
    plane.api.need("POST", f"/api/v1/jobs/{job}/cancel")
    assert wait_status(plane, job, "Completed", "Cancelled") == ("Completed", None)
    assert len(versions(plane, name)) == 1


def test_another_request_for_the_same_name_is_not_ours(plane, ca, order):  # noqa: F811
    name, job = order(ca)
    completed(plane, job)
    ca.sim.fault(ca.places, close="before")
    again = plane.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]
    if not ca.look_up_places:
        wait_for(lambda: row(plane, again)[1], 20, "the look-up")
        assert row(plane, again, "status, last_error LIKE 'the order was not answered (%%), and the CA has no such order'") == ("Pending", True)
        at_once(plane, again)
    completed(plane, again)
    assert len(ca.sim.orders) == 2
