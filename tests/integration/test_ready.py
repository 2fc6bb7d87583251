"""
/ready means that the database can be read and written, and says what is wrong.
"""
import threading
import time

import pytest

from fleet import PATIENCE, Fleet, wait_for


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


@pytest.fixture(scope="module")
def small():
    """One connection for requests, two for heartbeats, one of its own."""
    fleet = Fleet("ready1")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True, CERTCTL_DATABASE_MAX_CONNS="4")
        yield fleet
    finally:
        fleet.close()


def ask_on_threads(stack, n, until):
    """n clients that go on asking; returns the threads and what they heard."""
    heard = []

    def ask():
        while time.monotonic() < until[0]:
            heard.append(stack.api.get("/api/v1/teams")[0])
    threads = [threading.Thread(target=ask) for _ in range(n)]
    for t in threads:
        t.start()
    return threads, heard


def test_a_busy_pool_is_ready(small):
    until = [time.monotonic() + 4]
    threads, heard = ask_on_threads(small, 8, until)
    while time.monotonic() < until[0]:
        began = time.monotonic()
        assert small.api.get("/ready")[0] == 200
        assert time.monotonic() - began < 2 * PATIENCE
    for t in threads:
        t.join()
    assert heard.count(200) > 20


def test_a_pool_that_serves_nobody_is_not_ready(small):
    """The process's own connection works all the while, and health as well."""
    until = [time.monotonic() + 60]
    with small.connect() as c, c.cursor() as held:
        held.execute("LOCK TABLE teams IN ACCESS EXCLUSIVE MODE")
        threads, heard = ask_on_threads(small, 2, until)
        wait_for(lambda: small.api.get("/ready")[0] == 503, 15, "not to be ready")
        reply = small.api.get("/ready")[1]
        assert reply["status"] == "db_unavailable" and "pool of requests" in reply["error"] and "three seconds" in reply["error"]
        assert small.api.get("/health")[0] == 200
        c.rollback()
    wait_for(lambda: small.api.get("/ready")[0] == 200, 10, "to be ready again")
    until[0] = 0
    for t in threads:
        t.join()
    assert 503 in heard


def test_a_pool_that_cannot_connect_is_not_ready(small):
    others = ("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'certctl_apiserver'"
              " AND query NOT LIKE %s")
    assert small.api.get("/api/v1/teams")[0] == 200
    with small.admin() as c:
        c.execute("ALTER ROLE certctl_apiserver NOLOGIN")
    try:
        assert small.value(others, "%apiservers%") > 0
        wait_for(lambda: small.api.get("/ready")[0] == 503, 10, "not to be ready")
        error = small.api.get("/ready")[1]["error"]
        assert "the pool of" in error and "no connection can be made" in error
    finally:
        with small.admin() as c:
            c.execute("ALTER ROLE certctl_apiserver LOGIN")
    wait_for(lambda: small.api.get("/ready")[0] == 200, 10, "to be ready again")
    assert small.api.get("/api/v1/teams")[0] == 200
