"""
/ready means that the database can be read and written, and says what is wrong.
"""
import pytest

from fleet import Fleet, wait_for


@pytest.fixture(scope="module")
def stack():
    fleet = Fleet("ready")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True)
        yield fleet
    finally:
        fleet.close()


def test_a_database_that_only_reads_is_not_ready(stack):
    assert stack.api.get("/ready")[0] == 200
    stack.query("ALTER TABLE apiservers ADD CONSTRAINT no_writes CHECK (seen_at < '2000-01-01') NOT VALID")
    wait_for(lambda: stack.api.get("/ready")[0] == 503, 10, "not to be ready")
    reply = stack.api.get("/ready")[1]
    assert reply["status"] == "db_unavailable" and "SQLSTATE 23514" in reply["error"]
    assert stack.api.get("/api/v1/teams")[0] == 200 and stack.api.get("/health")[0] == 200
    stack.query("ALTER TABLE apiservers DROP CONSTRAINT no_writes")
    wait_for(lambda: stack.api.get("/ready")[0] == 200, 10, "to be ready again")


def test_a_frozen_database_is_not_ready(stack):
    """A lock on the row's table stands in for a server that does not answer."""
    with stack.connect() as c, c.cursor() as held:
        held.execute("LOCK TABLE apiservers IN ACCESS EXCLUSIVE MODE")
        wait_for(lambda: stack.api.get("/ready")[0] == 503, 15, "not to be ready")
        assert "no answer" in stack.api.get("/ready")[1]["error"]
        c.rollback()
    wait_for(lambda: stack.api.get("/ready")[0] == 200, 10, "to be ready again")
