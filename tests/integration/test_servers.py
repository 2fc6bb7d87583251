"""
A process stays with one database server, says with which, and goes to another
only where that is the same data further on; and what is wrong with a server that
answers is said in words.
"""
import contextlib
import sys
import time
from pathlib import Path

import pytest

from conftest import fleets
from fleet import wait_for
from load import Load, done_since, last_lease, make_certificates, wait_quiet
from pair import Pair

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import checker  # noqa: E402

LIMIT_S = 300
PROGRAMS = ("apiserver", "scheduler-1", "worker-1")
REFUSED = "another server answers than the one this process is with"
FILES = "the server's files were replaced under it: restart PostgreSQL"


@pytest.fixture
def plane():
    for fleet in fleets("servers"):
        fleet.start_postgres()
        yield fleet


def written(server):
    """What the programs write all the time, as one server has it."""
    return server.query("SELECT (SELECT max(seen_at) FROM apiservers), (SELECT max(seen_at) FROM schedulers), "
                        "(SELECT max(lease_until) FROM workers), (SELECT count(*) FROM jobs)", database="certctl")


def wait_on_timeline(plane, timeline, n=len(PROGRAMS), seconds=40):
    def are_there():
        processes = plane.api.get("/api/v1/admin/processes")[1]
        alive = [p for kind in ("apiservers", "schedulers", "workers") for p in (processes or {}).get(kind, []) if p["alive"]]
        return len(alive) == n and all(p["server"].endswith(f"timeline {timeline}") for p in alive)
    wait_for(are_there, seconds, f"every process to be on timeline {timeline}", every=0.1)


def wait_renewed(plane, load, n=10, seconds=40):
    lease = last_lease(plane)
    wait_for(lambda: done_since(plane, lease) >= n, seconds, "certificates", every=0.05)


def test_an_old_primary_that_comes_back_is_refused(plane):
    pair = Pair(plane)
    system = pair.primary.query("SELECT system_identifier::text FROM pg_control_system()")[0][0]
    plane.start_plane(keep=False)
    plane.make_basics()
    plane.start_agent()
    names = make_certificates(plane, ["agent-1"], 8)
    assert plane.api.get("/ready")[1]["db_server"].endswith(f"system {system}, timeline 1")
    assert f"system {system}, timeline 1" in plane.processes["worker-1"].log()
    wait_on_timeline(plane, 1)
    wait_quiet(plane)
    wait_for(lambda: pair.primary.query("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) < 4096 FROM pg_stat_replication")[0][0],
             30, "the standby to have it all", every=0.05)

    # The primary is silent, its standby is promoted: everybody goes there.
    pair.primary.freeze()
    pair.promote()
    wait_on_timeline(plane, 2)
    load = Load(plane, names, threads=2)
    wait_renewed(plane, load)
    for name in PROGRAMS:
        wait_for(lambda n=name: "code=DB-PROMOTED" in plane.processes[n].log(), 20, f"{name} to say where it went")

    # It comes back and takes writes, and for a while it is the only one that answers.
    pair.primary.thaw()
    wait_for(lambda: pair.primary.query("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'certctl-%%'")[0][0] == 0,
             40, "the sessions of before to end", every=0.1)
    before = written(pair.primary)
    assert not pair.primary.query("SELECT pg_is_in_recovery()")[0][0]
    pair.standby.kill()
    for name in PROGRAMS:
        wait_for(lambda n=name: REFUSED in plane.processes[n].log(), 40, f"{name} to refuse the old primary")
        assert "it is an old primary" in plane.processes[name].log()
    wait_for(lambda: plane.api.get("/ready")[0] == 503 and REFUSED in plane.api.get("/ready")[1]["error"], 20, "/ready's words")
    assert written(pair.primary) == before

    pair.standby.start()
    wait_on_timeline(plane, 2)
    wait_for(lambda: "db_warning" not in plane.api.get("/ready")[1], 30, "the warning to end")
    wait_renewed(plane, load)
    # The database's line, and one of each process.
    lines = plane.cli("status").stdout.splitlines()
    for kind in ("database", "apiserver", "scheduler", "worker"):
        shown = [line for line in lines if line.startswith(f"{kind} ")]
        assert shown and all(line.endswith(f"system {system}, timeline 2") for line in shown), (kind, lines)
    load.stop()
    wait_quiet(plane)
    assert checker.check(plane.query, load.accepted, plane.dir / "journal") == ([], [])
    assert written(pair.primary) == before


def test_who_never_saw_a_promotion_is_told(plane):
    """
    Both take writes, nobody's session ended: some processes are with the old primary, some came later and are with the
    new one.  Nobody is given work by a scheduler of the other server, and the former hear of it and go: those that find
    the other host too, and those that know the old one only write nothing as long as anybody is there.
    """
    pair = Pair(plane)
    plane.start_plane(keep=False)
    plane.make_basics()
    plane.start_agent()
    names = make_certificates(plane, ["agent-1"], 8)
    wait_on_timeline(plane, 1)
    wait_quiet(plane)
    wait_for(lambda: pair.primary.query("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) < 4096 FROM pg_stat_replication")[0][0],
             30, "the standby to have it all", every=0.05)
    pair.promote()
    old, new = plane.url_hosts

    # One that knows the old one only stays there, and is told why nobody gives it work.
    plane.url_hosts = [old]
    plane.start_worker(2)
    wait_for(lambda: "code=LEASE-HELD" in plane.processes["worker-2"].log(), 30, "the worker to be with the old primary")
    plane.start_apiserver(2)
    plane.url_hosts = [new, old]
    plane.start_scheduler(2)

    wait_on_timeline(plane, 2, n=len(PROGRAMS) + 1)
    for name in PROGRAMS:
        assert "code=DB-SEEK" in plane.processes[name].log(), name
    other = "is with another database server, system"
    wait_for(lambda: other in plane.apis["apiserver-2"].get("/ready")[1].get("db_warning", ""), 60, "/ready of the one that stays to say so")
    for name in ("scheduler-2", "worker-2", "worker-1"):
        wait_for(lambda n=name: f"{other}" in plane.processes[n].log(), 30, f"{name} to say so")
    wait_for(lambda: "code=DB-SEEK" in plane.processes["worker-2"].log() and plane.apis["apiserver-2"].get("/ready")[0] == 503, 60,
             "those that know the old one only to leave it")
    seeking, before = time.monotonic(), written(pair.primary)

    load = Load(plane, names, threads=2)
    wait_renewed(plane, load)
    load.stop()
    wait_quiet(plane)
    # Past the half minute after which they would go on if nobody were there.
    wait_for(lambda: time.monotonic() > seeking + 35, 60, "the half minute to be over", every=0.5)
    assert written(pair.primary) == before and plane.apis["apiserver-2"].get("/ready")[0] == 503
    assert "where what is written may be lost" not in plane.processes["worker-2"].log()
    assert plane.query("SELECT count(*) FROM workers WHERE name = 'worker-2'") == [(0,)]
    assert pair.primary.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'certctl-scheduler'")[0][0] == 0
    assert checker.check(plane.query, load.accepted, plane.dir / "journal") == ([], [])


def test_replaced_files_are_named(plane):
    """New sessions find the library of PL/pgSQL gone; those that loaded it go on."""
    plane.start_plane()
    plane.make_basics()
    move = "UPDATE pg_proc SET probin = replace(probin, %s, %s) WHERE proname LIKE 'plpgsql%%'"
    with contextlib.closing(plane.connect()) as c, c.cursor() as cursor:
        cursor.execute(move, ("$libdir/plpgsql", "$libdir/plpgsql-that-was"))
        c.commit()
        # One has to be made anew.
        cursor.execute("SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity "
                       "WHERE application_name = 'certctl-apiserver' AND state = 'idle' ORDER BY backend_start LIMIT 1) s")
        wait_for(lambda: plane.api.get("/ready")[1].get("db_warning") == FILES, 20, "/ready to name it")
        assert "code=DB-REFUSED" in plane.processes["apiserver"].log() and FILES in plane.processes["apiserver"].log()
        done = plane.cli("status")
        assert done.returncode != 0 and FILES in done.stdout + done.stderr
        cursor.execute(move, ("$libdir/plpgsql-that-was", "$libdir/plpgsql"))
        c.commit()
    wait_for(lambda: plane.api.get("/ready")[0] == 200 and "db_warning" not in plane.api.get("/ready")[1], 20, "it to be mended")
