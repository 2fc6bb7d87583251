"""
Two schedulers under a load of renewals: the leader is killed, stopped and
woken.  Every hand-out is recorded by the database with the scheduler that
made it, so that one under a term that is over would show.
"""
import re
import signal
import sys
import time
from pathlib import Path

import psycopg2
import pytest

from fleet import ROOT, Fleet, wait_for
from load import Load, done_since, last_lease, make_certificates, wait_quiet

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import checker  # noqa: E402

# That it goes on at all; how long it takes is printed, and for a quiet machine
# to judge.
ALIVE_S = 20

# Each scheduler logs in under a name of its own; the function that hands out
# runs with its owner's rights, but session_user stays.
RECORDER = """
CREATE TABLE handouts (lease_id bigint, login text, term bigint, holder text, at timestamptz);
CREATE FUNCTION handouts_record() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO handouts SELECT NEW.lease_id, session_user, l.term, l.holder, clock_timestamp()
        FROM leadership l;
    RETURN NULL;
END $$;
CREATE TRIGGER handouts AFTER UPDATE ON jobs FOR EACH ROW
    WHEN (NEW.lease_id IS NOT NULL AND NEW.lease_id IS DISTINCT FROM OLD.lease_id) EXECUTE FUNCTION handouts_record();
"""

SCHEDULERS = 2


@pytest.fixture(scope="module")
def plane(stack: Fleet):
    with stack.admin() as c:
        c.execute(RECORDER)
        for i in (1, 2):
            c.execute(f"CREATE ROLE sched_{i} LOGIN IN ROLE certctl_scheduler")
    for i in (1, 2):
        stack.start_scheduler(i, keep=True, CERTCTL_DATABASE_URL=stack.url(f"sched_{i}"), CERTCTL_BATCH_SIZE="4")
        stack.start_worker(i, keep=True)
    stack.make_basics()
    for i in (1, 2):
        stack.start_agent(f"agent-{i}", keep=True)
    stack.names = make_certificates(stack, ["agent-1", "agent-2"], 16)
    return stack


@pytest.fixture
def load(plane):
    """Renewals all the time; at the end nothing is lost and nothing doubled."""
    load = Load(plane, plane.names, threads=3)
    wait_for(lambda: done_since(plane, 0) > 3, 20, "the load")
    yield load
    load.stop()
    wait_quiet(plane)
    assert checker.check(plane.query, load.accepted, plane.dir / "journal") == ([], [])


def leader(plane):
    """(term, incarnation, the scheduler's number) while somebody leads."""
    rows = plane.query("SELECT l.term, l.holder, right(s.name, 1)::int FROM leadership l JOIN schedulers s "
                       "ON s.incarnation = l.holder WHERE l.expires_at > clock_timestamp()")
    return rows[0] if rows else None


def next_leader(plane, term):
    return wait_for(lambda: (lambda l: l and l[0] > term and l)(leader(plane)), ALIVE_S, "the standby to lead")


def wait_next_commit(plane, term, since, what):
    """Until the standby leads and a certificate is stored that it handed out."""
    new = next_leader(plane, term)
    took = time.monotonic() - since
    lease = last_lease(plane)
    wait_for(lambda: done_since(plane, lease), ALIVE_S, "the standby's first certificate")
    print(f"{what}: next term after {took * 1000:.0f} ms, its first certificate after {(time.monotonic() - since) * 1000:.0f} ms")
    return new


def check_handouts(plane):
    """Whoever handed a job out led at that moment."""
    wrong = plane.query("SELECT h.* FROM handouts h JOIN schedulers s ON s.incarnation = h.holder "
                        "WHERE h.login <> 'sched_' || right(s.name, 1)")
    assert not wrong
    assert plane.value("SELECT count(*) FROM handouts") > 0


def test_leader_killed(plane, load):
    term, _, number = wait_for(lambda: leader(plane), ALIVE_S, "a leader")
    since = time.monotonic()
    plane.processes[f"scheduler-{number}"].signal(signal.SIGKILL)
    new = wait_next_commit(plane, term, since, "leader killed")
    assert new[0] == term + 1
    check_handouts(plane)


def test_leader_asked_to_end(plane, load):
    """It gives its leadership back, so that nobody waits for its lease to end."""
    for _ in range(3):
        term, _, number = wait_for(lambda: leader(plane), ALIVE_S, "a leader")
        process = plane.processes[f"scheduler-{number}"]
        since = time.monotonic()
        process.ask_to_stop()
        new = wait_next_commit(plane, term, since, "leader asked to end")
        assert new[0] == term + 1
        assert process.wait_end() == 0
        process.keep = True
        process.start()
        wait_for(lambda: plane.value("SELECT count(*) FROM schedulers WHERE seen_at > clock_timestamp() - interval '2 s'") >= 2, ALIVE_S, "it to stand by")
    check_handouts(plane)


def test_leader_stopped_and_woken(plane, load):
    term, old_holder, number = wait_for(lambda: leader(plane), ALIVE_S, "a leader")
    process = plane.processes[f"scheduler-{number}"]
    since = time.monotonic()
    process.signal(signal.SIGSTOP)
    try:
        new = wait_next_commit(plane, term, since, "leader stopped")
        assert new[2] != number
    finally:
        process.signal(signal.SIGCONT)
    lease = last_lease(plane)
    wait_for(lambda: done_since(plane, lease) >= 20, ALIVE_S, "twenty certificates with the sleeper awake")
    assert leader(plane)[:2] == new[:2], "the sleeper took nothing back"
    assert plane.value("SELECT count(*) FROM handouts WHERE lease_id > %s AND login = %s", lease, f"sched_{number}") == 0
    assert process.popen.poll() is None, "it stands by"
    assert f"term {term}" in process.log()
    check_handouts(plane)


def test_leader_stopped_for_a_moment(plane, load):
    """Just shorter and just longer than its lease: whoever leads afterwards, only that one hands out."""
    for pause in (0.3, 0.8, 0.95, 1.05):
        term, _, number = wait_for(lambda: leader(plane), ALIVE_S, "a leader")
        process = plane.processes[f"scheduler-{number}"]
        process.signal(signal.SIGSTOP)
        try:
            deadline = time.monotonic() + pause
            wait_for(lambda: time.monotonic() >= deadline, ALIVE_S, "its wake-up")
        finally:
            process.signal(signal.SIGCONT)
        lease = last_lease(plane)
        wait_for(lambda: done_since(plane, lease) >= 5, ALIVE_S, "five certificates")
    check_handouts(plane)


def leaders_statements():
    """{name: text} of the scheduler's statements that carry a holder ($1) and a term ($2)."""
    text = (ROOT / "common/sql/scheduler.sql").read_text()
    found = dict(re.findall(r"^-- name: (\w+) :\w+\n(.*?);$", text, re.M | re.S))
    return {name: sql for name, sql in found.items() if "$2::bigint" in sql}


def try_statement(plane, sql, holder, term):
    """Rows that it gave or changed; -1: refused with CT001."""
    values = {"int": "10", "bigint": "10", "bigint[]": "{}", "text[]": "{}", "text": "x", "timestamptz": "-infinity", "bool": "true", "jsonb": "{}",
              "": "x"}

    def value(match):
        number, cast = match.group(1), match.group(2) or ""
        text = {"1": holder, "2": str(term)}.get(number, values[cast])
        return f"'{text}'" + (f"::{cast}" if cast else "::text")
    sql = re.sub(r"\$(\d+)(?:::([a-z]+(?:\[\])?))?", value, sql)
    with plane.admin() as cursor:
        try:
            cursor.execute(sql.replace("%", "%%"))
        except psycopg2.Error as e:
            assert e.pgcode == "CT001", f"{sql}: {e}"
            return -1
        return cursor.rowcount


def test_old_term_is_refused_everywhere(plane):
    """Two that both believe: what the one of the old term says changes nothing, statement by statement."""
    term, holder, _ = wait_for(lambda: leader(plane), ALIVE_S, "a leader")
    statements = leaders_statements()
    assert {"sched_jobs_claim", "sched_tasks_claim", "sched_leases_free", "duty_begin", "duty_redeploy"} <= set(statements)
    for who, at in ((holder, term - 1), (holder, term + 1000), ("scheduler-that-was", term), ("scheduler-that-was", term - 1)):
        for name, sql in statements.items():
            done = try_statement(plane, sql, who, at)
            assert done == (-1 if name.startswith(("sched_", "duties_register")) else 0), f"{name} of {who}, term {at}"

    def still_leads():
        """On a busy machine the leader may lose it by itself just then."""
        before = wait_for(lambda: leader(plane), ALIVE_S, "a leader")
        taken = plane.query("SELECT term, is_new FROM leadership_hold('scheduler-that-was', 'nonce', 1000)")
        plane.query("SELECT leadership_release(%s, 'not its nonce')", before[1])
        return not taken and leader(plane) == before
    wait_for(still_leads, ALIVE_S, "a leader that nobody else can dismiss")
