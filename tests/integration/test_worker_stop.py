"""A worker that is asked to stop twice stops at once, and leaves what it waits for to the next."""
import pytest

from ca_kinds import CONNECTORS, start_simulators
from fleet import wait_for
from test_issuers_conformance import completed, renew


@pytest.fixture(scope="module")
def plane(stack):
    stack.start_scheduler()
    stack.settings = start_simulators(stack)
    stack.start_worker(1, **stack.settings)
    stack.make_basics()
    stack.start_agent("agent-1")
    yield stack
    for sim in stack.sims.values():
        sim.close()


def test_an_order_that_is_on_its_way_does_not_keep_it(plane):
    """What it was asked was freed after the client that had asked: it died of that."""
    issuer = CONNECTORS["digicert"](plane, "slow")
    plane.api.need("POST", "/api/v1/issuers", {"id": "iss-slow", "name": "slow"} | issuer.config)
    wait_for(lambda: plane.api.need("GET", "/api/v1/issuers/iss-slow")["test_status"] == "success", 20, "the issuer's test")
    plane.make_target("tgt-slow", plane.processes["agent-1"].agent_id, plane.dir / "sites" / "slow")
    plane.make_certificate("slow", ["tgt-slow"], issuer_id="iss-slow")
    issuer.sim.forget_calls()
    issuer.sim.fault(issuer.places, delay=10)
    job = renew(plane, "slow")
    wait_for(lambda: issuer.sim.calls(issuer.places), 20, "the order to be on its way")
    worker = plane.processes["worker-1"]
    worker.ask_to_stop()
    wait_for(lambda: "code=FINISHING" in worker.log(), 20, "it to wait for the order")
    assert worker.stop() == 0 and "asked twice: stopping at once" in worker.log()
    plane.start_worker(2, **plane.settings)
    completed(plane, job)
    assert issuer.sim.orders and len(issuer.sim.orders) == 1
    issuer.close()
