"""
Every program through a real PgBouncer: all of it works in session mode, and
any other is refused in words.
"""
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import fleets
from fleet import BUILD, ROOT, clean_env, wait_for
from odd_pooler import Forgetful, LeftBehind
from load import Load, make_certificates, wait_quiet
from pooler import Pooler

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import checker  # noqa: E402

MODE = "the pooler there gives each transaction another session (pool_mode transaction or statement): set pool_mode = session"
FORGETFUL = "the session there does not keep our settings (time limits, search_path): connect to PostgreSQL directly"
UNCLEAN = "set server_reset_query = DISCARD ALL"


@pytest.fixture(scope="module")
def plane():
    for fleet in fleets("pooler"):
        fleet.start_postgres()
        yield fleet


def start_all(plane, pooler):
    plane.start_scheduler(1, **pooler.url("certctl_scheduler"))
    plane.start_worker(1, **pooler.url("certctl_worker"))
    return plane.start_apiserver(wait=False, **pooler.url("certctl_apiserver"))


def stop_all(plane):
    for name in ("apiserver", "worker-1", "scheduler-1"):
        assert plane.processes[name].stop() == 0, name


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_other_modes_are_refused_in_words(plane, mode):
    pooler = Pooler(plane, mode)
    start_all(plane, pooler)
    for name in ("apiserver", "scheduler-1", "worker-1"):
        process = plane.processes[name]
        wait_for(lambda p=process: MODE in p.log(), 30, f"{name} to refuse the pooler")
        assert "code=DB-REFUSED" in process.log() and "code=DB-UP" not in process.log()
    reply = wait_for(lambda: (lambda s, r: s == 503 and MODE in r["error"] and r)(*plane.api.get("/ready")), 20, "/ready's words")
    assert reply["status"] == "db_unavailable" and reply["db_warning"].startswith(MODE)
    stop_all(plane)
    pooler.process.stop()


def test_a_pooler_that_cleans_nothing_is_refused_in_words(plane):
    """What a client before us prepared is there still, under a name that could be ours."""
    pooler = Pooler(plane, "session", server_reset_query="")
    dirty = pooler.connect("certctl_apiserver")
    dirty.cursor().execute("PREPARE left_over AS SELECT 1")
    dirty.commit()
    dirty.close()
    plane.start_apiserver(wait=False, **pooler.url("certctl_apiserver"))
    wait_for(lambda: UNCLEAN in plane.processes["apiserver"].log(), 30, "the apiserver to refuse it")
    assert plane.processes["apiserver"].stop() == 0
    pooler.process.stop()


def test_what_others_left_is_refused_though_its_end_proved_nothing(plane):
    """The session that shows it is gone, and the next is clean: that one proves whose doing it was."""
    pooler = LeftBehind(plane.dir / "left-behind", plane.socket_dir)
    process = plane.start_apiserver(wait=False, CERTCTL_DATABASE_URL=f"postgresql://certctl_apiserver@/certctl?host={pooler.dir}&port={pooler.port}")
    wait_for(lambda: UNCLEAN in process.log(), 30, "the apiserver to refuse it")
    assert process.stop() == 0
    pooler.close()


def test_a_pooler_that_forgets_is_refused_in_words(plane):
    """The session stays, and what it was told in one transaction is gone in the next: its time limits would be, too."""
    pooler = Forgetful(plane.dir / "forgetful", plane.socket_dir)
    process = plane.start_apiserver(wait=False, CERTCTL_DATABASE_URL=f"postgresql://certctl_apiserver@/certctl?host={pooler.dir}&port={pooler.port}")
    wait_for(lambda: FORGETFUL in process.log(), 30, "the apiserver to refuse it")
    assert "code=DB-REFUSED" in process.log() and "code=DB-UP" not in process.log()
    assert process.stop() == 0
    pooler.close()


def test_a_pooler_that_says_what_was_so(plane):
    """It greets with what the server said of itself when it was first there; whether it takes writes is asked of the server."""
    pooler = Pooler(plane, "session")
    pooler.connect("certctl_apiserver").close()
    url = pooler.url("certctl_apiserver")["CERTCTL_DATABASE_URL"] + "&target_session_attrs=read-write"

    def take_writes(value):
        with plane.admin("postgres") as c:
            c.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
            c.execute("SELECT pg_reload_conf()")
        wait_for(lambda: plane.connect(database="postgres").get_parameter_status("default_transaction_read_only") == value, 20, "the setting")
    take_writes("on")
    process = plane.start_apiserver(2, wait=False, CERTCTL_DATABASE_URL=url)
    wait_for(lambda: "session is read-only" in process.log(), 30, "the apiserver to pass it over")
    assert "code=DB-UP" not in process.log()
    take_writes("off")
    plane.wait_ready(plane.apis["apiserver-2"])
    assert process.stop() == 0
    pooler.process.stop()


def test_migrations_need_the_server_itself(plane):
    pooler = Pooler(plane, "session")
    env = clean_env() | pooler.url("postgres") | {"CERTCTL_DATABASE_MIGRATIONS_PATH": str(ROOT / "migrations")}
    done = subprocess.run([BUILD / "apiserver" / "certctl-apiserver", "--migrate-only"], env=env, text=True, capture_output=True,
                          check=False)
    assert done.returncode != 0 and "there is a pooler in between" in done.stderr
    pooler.process.stop()


def test_session_mode_works(plane):
    pooler = Pooler(plane, "session")
    start_all(plane, pooler)
    plane.wait_ready()
    plane.make_basics()
    plane.start_agent()
    load = Load(plane, make_certificates(plane, ["agent-1"], 8), threads=2)
    wait_for(lambda: len(load.accepted) > 30, 40, "renewals")
    load.stop()
    wait_quiet(plane)
    assert checker.check(plane.query, load.accepted, plane.dir / "journal") == ([], [])
    assert not plane.query("SELECT id, last_error FROM jobs WHERE status <> 'Completed'")
    assert plane.value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'certctl-%%'") > 3

    # Our time limits hold: what waits for a lock gives up after five seconds, long before its statement's time.
    with plane.connect() as c, c.cursor() as held:
        held.execute("LOCK TABLE apiservers IN ACCESS EXCLUSIVE MODE")
        wait_for(lambda: "55P03" in str(plane.api.get("/ready")[1]) or "lock timeout" in plane.processes["apiserver"].log(), 25,
                 "a statement's end in time")
        c.rollback()
    wait_for(lambda: plane.api.get("/ready")[0] == 200, 20, "to be ready again")

    # Somebody changes the mode: it is found, and not only at the next start.
    log_size = len(plane.processes["apiserver"].log())
    pooler.become("transaction")

    def refused():
        plane.api.get("/api/v1/teams")
        return MODE in plane.api.get("/ready")[1].get("db_warning", "")
    wait_for(refused, 40, "/ready to refuse the pooler")
    assert MODE in plane.processes["apiserver"].log()[log_size:]
    done = plane.cli("status")
    assert done.returncode != 0
    pooler.become("session")
    wait_for(lambda: (lambda status, reply: status == 200 and "db_warning" not in reply)(*plane.api.get("/ready")), 30, "to be ready again")
    stop_all(plane)
    plane.processes["agent-1"].stop()
