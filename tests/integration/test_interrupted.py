"""
A worker that holds a batch: PostgreSQL restarts under it, it hangs without
dying, all hang with PostgreSQL, its clock jumps.  What it held is done once, by whomever.
"""
import signal
import sys
import time
from pathlib import Path

import pytest

from fleet import BUILD, PATIENCE, Fleet, wait_for
from load import Load, done_since, last_lease, make_certificates, wait_quiet

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import checker  # noqa: E402
from scenes import Pause  # noqa: E402

LIMIT_S = 150
PAUSED_S = 1.5 * PATIENCE  # more than the longest lease
OPENED, CLOSED = (f"UPDATE lanes SET breaker_state = '{state}', opened_until = {until}"
                  for state, until in (("open", "now() + interval '1 hour'"), ("closed", "NULL")))
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


@pytest.fixture(scope="module")
def plane(stack: Fleet):
    stack.start_scheduler(keep=True, CERTCTL_BATCH_SIZE="16")
    stack.start_worker(1, keep=True)
    stack.start_worker(2, keep=True)
    stack.make_basics()
    stack.start_agent("agent-1", keep=True)
    stack.names = make_certificates(stack, ["agent-1"], 24)
    return stack


@pytest.fixture
def load(plane):
    load = Load(plane, plane.names, threads=4)
    wait_for(lambda: done_since(plane, 0) > 3, 20, "the load")
    yield load
    load.stop()
    wait_for(plane.database_is_up, 30, "PostgreSQL")
    wait_quiet(plane)
    assert checker.check(plane.query, load.accepted, plane.dir / "journal") == ([], [])


def freeze_with_work(plane, name):
    """Stops a worker in the middle of its work: {job: lease} that it holds."""
    process = plane.processes[name]

    def try_once():
        process.signal(signal.SIGSTOP)
        held = dict(plane.query("SELECT j.id, j.lease_id FROM jobs j JOIN workers w ON w.incarnation = j.leased_by "
                                "WHERE w.pid = %s AND j.status = 'Running' AND w.lease_until > clock_timestamp()", process.pid))
        if not held:
            process.signal(signal.SIGCONT)
        return held
    return wait_for(try_once, 30, "a worker with work in hand", every=0.003)


def all_done(plane, held):
    return plane.value("SELECT count(*) FROM jobs WHERE id = ANY(%s) AND status = 'Completed'", list(held)) == len(held)


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL], ids=["fast", "immediate", "killed"])
def test_postgres_restarts_in_mid_batch(plane, load, signo):
    held = freeze_with_work(plane, "worker-1")
    postgres = plane.processes["postgres"]
    starts = postgres.starts
    try:
        postgres.signal(signo)
        wait_for(lambda: postgres.starts > starts and plane.database_is_up(), 40, "PostgreSQL to start again")
    finally:
        plane.processes["worker-1"].signal(signal.SIGCONT)
    wait_for(lambda: all_done(plane, held), 20, "the batch to be done")
    assert plane.processes["worker-1"].exits == [], "the worker lived through it"


def test_worker_hangs_without_dying(plane, load):
    """Its connections stay open and its process stays: only its lease ends, and another does its batch."""
    held = freeze_with_work(plane, "worker-1")
    try:
        wait_for(lambda: all_done(plane, held), 20, "somebody else to do it")
        leases = dict(plane.query("SELECT id, lease_id FROM jobs WHERE id = ANY(%s)", list(held)))
        # What was in flight when it was stopped may have committed; the rest has changed hands.
        moved = [job for job in held if leases[job] != held[job]]
        print(f"{len(held)} jobs in hand, {len(moved)} done by another worker")
    finally:
        plane.processes["worker-1"].signal(signal.SIGCONT)
    # Awake again it works on under a lease that it holds anew.
    wait_for(lambda: plane.value("SELECT count(*) FROM workers WHERE lease_until > clock_timestamp()") == 2, 10, "both workers")
    lease = last_lease(plane)
    wait_for(lambda: done_since(plane, lease) >= 10, 20, "ten more")


def test_hosts_that_were_paused_died_with_nothing(plane, load):
    """Both workers, again and again: what they held is as untouched as before once they are back."""
    workers = [plane.processes[f"worker-{i}"] for i in (1, 2)]
    counted = 0
    try:
        for _ in range(5):
            plane.query(CLOSED)
            freeze_with_work(plane, "worker-1")
            workers[1].signal(signal.SIGSTOP)
            wait_for(lambda: plane.value("SELECT count(*) FROM jobs WHERE status = 'Running' AND type <> 'Deployment'") == 0, 20,
                     "the leases to end")
            counted += plane.value("SELECT count(*) FROM jobs WHERE died_with <> '{}' AND status = 'Pending'")
            plane.query(OPENED)  # nobody ends them before both are back
            for worker in workers:
                worker.signal(signal.SIGCONT)
            wait_for(lambda: plane.value("SELECT count(*) FROM jobs WHERE died_with <> '{}' AND status = 'Pending'") == 0, 20,
                     "the deaths to be taken back")
    finally:
        for worker in workers:
            worker.signal(signal.SIGCONT)
        plane.query(CLOSED)
    assert counted > 0
    assert plane.value("SELECT count(*) FROM jobs WHERE status = 'Failed'") == 0
    assert all(worker.exits == [] for worker in workers)


WAKING = {"all at once": [()], "workers last": [("postgres", "scheduler"), ()], "workers first": [("postgres", "worker"), ()],
          "PostgreSQL last": [("scheduler", "worker", "apiserver", "agent"), ()]}


def nothing_runs(plane):
    return plane.value("SELECT count(*) FROM jobs WHERE status = 'Running' AND type <> 'Deployment'") == 0


def lives(plane):
    """Each worker has found back to its row."""
    return plane.value("SELECT count(*) FROM workers WHERE lease_until > clock_timestamp()") == 2


def pause_everything(plane, order):
    """How many jobs that a worker held had to be handed out again; it may commit the rest as it wakes."""
    held = freeze_with_work(plane, "worker-1")
    # Their time is up before the pause is over, and nobody ends them before all are back.  What they have left of it is
    # time enough for a worker on a busy machine to give them back.
    plane.query("UPDATE jobs j SET attempt_until = w.lease_until + make_interval(secs => %s) FROM workers w "
                "WHERE w.incarnation = j.leased_by AND j.id = ANY (%s) AND j.status = 'Running'", PAUSED_S * 0.8, list(held))
    plane.query(OPENED)
    attempts = dict(plane.query("SELECT id, attempts FROM jobs WHERE id = ANY (%s)", list(held)))
    ends = plane.value("SELECT EXTRACT(epoch FROM max(lease_until) - clock_timestamp())::float FROM workers")
    pause = Pause(plane)
    over = time.monotonic() + max(ends, 0) + PAUSED_S
    try:
        wait_for(lambda: time.monotonic() > over, PAUSED_S + 10, "the end of all leases")
        for kinds in WAKING[order]:
            pause.go_on(*kinds)
            if kinds == ("postgres", "scheduler"):
                wait_for(lambda: nothing_runs(plane), 30, "the leases to end")
            if kinds == ("postgres", "worker"):
                wait_for(lambda: lives(plane), 30, "both workers")
        wait_for(lambda: lives(plane), 30, "both workers")
        wait_for(lambda: nothing_runs(plane), 30, "what was dropped to be waiting")
        wait_for(lambda: plane.value("SELECT count(*) FROM jobs WHERE died_with <> '{}' AND status = 'Pending'") == 0, 30,
                 "the deaths to be taken back")
    finally:
        pause.go_on()
        wait_for(plane.database_is_up, 30, "PostgreSQL")
        plane.query(CLOSED)
    wait_for(lambda: all_done(plane, held), 30, "what it held to be done")
    assert dict(plane.query("SELECT id, attempts FROM jobs WHERE id = ANY (%s)", list(held))) == attempts
    leases = dict(plane.query("SELECT id, lease_id FROM jobs WHERE id = ANY (%s)", list(held)))
    return sum(leases[job] != held[job] for job in held)


@pytest.mark.parametrize("order", WAKING)
def test_everything_was_paused(plane, load, order):
    """PostgreSQL too, past every lease and deadline: whoever wakes first, nobody died and no attempt was spent."""
    assert any(pause_everything(plane, order) for _ in range(20)), "what a worker had in hand was handed out again"
    assert plane.query("SELECT id, last_error FROM jobs WHERE status = 'Failed'") == []
    assert all(process.exits == [] for name, process in plane.processes.items() if name != "postgres")


def set_clock(path, by):
    path.with_suffix(".new").write_text(by + "\n")
    path.with_suffix(".new").rename(path)


def test_clocks_of_workers_jump(plane, load):
    """It notices, says so and takes nothing, whichever way it is wrong; its lease counts its steady clock."""
    if FAKETIME is None:
        pytest.skip("libfaketime (Debian's package faketime) is not installed")
    if b"__asan_init" in (BUILD / "worker" / "certctl-worker").read_bytes():
        pytest.skip("a build with sanitizers takes no preloaded library")
    clock = plane.dir / "clock"
    set_clock(clock, "+400d")
    clock.chmod(0o644)
    for name in ("worker-1", "worker-2"):
        plane.processes[name].stop()
    plane.start_worker(3, LD_PRELOAD=str(FAKETIME), FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_CACHE_DURATION="1",
                       FAKETIME_DONT_FAKE_MONOTONIC="1")
    worker = plane.processes["worker-3"]
    first = last_lease(plane)
    for by, words in (("+400d", "s ahead of"), ("-1d", "s behind"), ("-40", " 40 s behind")):
        set_clock(clock, by)
        wait_for(lambda w=words: w in (plane.value("SELECT fault_detail FROM workers WHERE name = 'worker-3' AND fault = 'clock'") or ""),
                 20, f"the worker to say so at {by}")
        wait_for(lambda: plane.value("SELECT count(*) FROM jobs WHERE status = 'Pending' AND type <> 'Deployment'") > 0, 20, "a job that waits")
        wait_for(lambda: plane.value("SELECT count(*) FROM jobs WHERE status = 'Running' AND type <> 'Deployment'") == 0, 20, "what it had")
        lease = last_lease(plane)
        wait_for(lambda: plane.value("SELECT clock_timestamp() - fault_since > interval '2 seconds' FROM workers WHERE name = 'worker-3'"),
                 20, "some renewals")
        assert done_since(plane, lease) == 0 and last_lease(plane) - lease <= 2
        set_clock(clock, "+0")
        wait_for(lambda: done_since(plane, lease) >= 20, 20, f"twenty certificates after {by}")
        wait_for(lambda: plane.value("SELECT fault FROM workers WHERE name = 'worker-3'") == "", 20, "the row to say so")
    assert not plane.query("SELECT id FROM jobs WHERE id = ANY (%s) AND attempts > 0", list(load.accepted))
    assert worker.exits == [] and worker.popen.poll() is None
    assert "LEASE-LOST" not in worker.log()
    wrong = plane.query("SELECT v.id, v.not_before, v.not_after, j.started_at FROM certificate_versions v JOIN jobs j ON j.id = v.job_id "
                        "WHERE j.lease_id > %s AND (v.not_before NOT BETWEEN j.created_at - interval '2 hours' AND clock_timestamp() "
                        "OR v.not_after - v.not_before NOT BETWEEN interval '89 days' AND interval '91 days')", first)
    assert not wrong
    # It really believed it was another day.
    days = {line[3:13] for line in worker.log().splitlines() if line.startswith("ts=")}
    assert plane.value("SELECT to_char(now() AT TIME ZONE 'UTC' + interval '400 days', 'YYYY-MM-DD')") in days
    worker.stop()
    for name in ("worker-1", "worker-2"):
        plane.processes[name].keep = True
        plane.processes[name].start()
