"""
A name server that answers no validation (the condition acme_resolver_silent): told of
with the worker that asks it, until it answers any question.
"""
import pytest

from fleet import free_port, wait_for
from nameserver import NameServer
from test_acme_validate import TRIES, World
from test_conditions import told


@pytest.fixture
def world(stack):
    made = World(stack)
    stack.start_scheduler()
    yield made
    made.close()


def test_a_name_server_that_answers_nobody(world):
    fleet, port = world.fleet, free_port()
    fleet.start_worker(**world.settings() | {"CERTCTL_ACME_SERVER_DNS01_RESOLVER": f"127.0.0.1:{port}"})
    missed = lambda: told(fleet)[0].get("acme_resolver_silent")  # noqa: E731
    assert not missed()
    world.order("unheard", "unheard.test", kind="dns-01")
    first = wait_for(missed, 60, "the name server to be missed")
    assert (first["subject"], first["count"]) == (fleet.value("SELECT name FROM workers"), 1)
    assert "the name server can't be reached" in first["detail"]
    wait_for(lambda: fleet.value("SELECT resolver_failed_at > resolver_since FROM workers"), 60, "the next try")
    assert missed()["since"] == first["since"]
    server = NameServer(port)
    try:
        world.order("heard", "heard.test", kind="dns-01", tries=TRIES - 1)
        wait_for(lambda: world.look("heard").challenge == "invalid" and not missed(), 60, "its answer")
        assert "NXDOMAIN" in world.look("heard").error["detail"]
    finally:
        server.close()
