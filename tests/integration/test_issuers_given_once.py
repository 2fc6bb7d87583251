"""
CAs that answer an order with its certificate and have none that could be found later: no job orders twice, whatever becomes
of the answer, and the next renewal orders anew.  What they have in common with the others is in test_issuers_faults.py.
"""
import pytest

from ca_kinds import GIVEN_ONCE
from fleet import wait_for
from test_issuers_conformance import at_once, completed, die_at, make, order, plane, renew, row, versions, wait_status  # noqa: F401

LOST = "it gives a certificate only once: the next renewal orders anew"


@pytest.fixture(params=GIVEN_ONCE)
def once(make, request):  # noqa: F811
    return make(request.param)


@pytest.mark.parametrize("point", ["placing", "sent", "answered"])
def test_killed_it_orders_no_second_time(plane, once, order, die_at, point):  # noqa: F811
    died = die_at(f"worker.outside.{point}")
    name, job = order(once)
    died()
    wait_for(lambda: row(plane, job)[0] != "Running", 10, "the job to be free")
    at_once(plane, job)
    status, error = wait_status(plane, job, "Completed", "Failed")
    assert status == "Failed" and LOST in error, error
    assert not versions(plane, name) and once.orders() <= (point != "placing")
    completed(plane, renew(plane, name))
    assert len(versions(plane, name)) == 1 and once.orders() <= 1 + (point != "placing")


@pytest.mark.parametrize("fault", [{"close": "after"}, {"truncate": True}, {"status": 502, "body": "<html>bad gateway"}, {"status": 200, "body": {}}],
                         ids=["cut", "half", "html", "empty"])
def test_an_answer_that_is_lost_ends_the_order(plane, once, order, fault):  # noqa: F811
    once.sim.fault(once.places, **fault)
    name, job = order(once)
    status, words = wait_status(plane, job, "Completed", "Failed")
    assert status == "Failed" and LOST in words, words
    assert not versions(plane, name) and once.sim.calls(once.places) == 1
    completed(plane, renew(plane, name))
    assert len(versions(plane, name)) == 1 and once.sim.calls(once.places) == 2


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_in_its_words_gave_nothing(plane, once, order, status):  # noqa: F811
    once.sim.fault(once.places, status=status, body=once.down)
    _, job = order(once)
    words = wait_for(lambda: row(plane, job)[1], 20, "the refusal")
    said, = once.down.get("errors", [once.down.get("message")])
    assert words == f'the CA refused: HTTP {status}: "{said}"' and row(plane, job, "status, attempts, checkpoint") == ("Pending", 1, None)
    at_once(plane, job)
    completed(plane, job)
    assert len(once.sim.orders) == 1


@pytest.mark.parametrize("fault", [None, {"status": 503}, {"close": "after"}], ids=["good", "503", "lost"])
def test_the_ca_is_told_of_a_revocation(plane, once, order, fault):  # noqa: F811
    name, job = order(once)
    completed(plane, job)
    if fault:
        once.sim.fault(once.revokes, **fault)
    plane.api.need("POST", f"/api/v1/certificates/{name}/revoke", {"reason": "keyCompromise"})

    def confirmed():
        plane.query("UPDATE tasks SET run_after = now() WHERE kind = 'ca_revoke' AND status = 'Pending' AND run_after > now()")
        return plane.api.need("GET", f"/api/v1/certificates/{name}/versions")["data"][0].get("ca_revocation") == "confirmed"
    wait_for(confirmed, 40, "the CA's word")
    assert once.revoked() == [once.compromised]
