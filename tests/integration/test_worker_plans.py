"""
Whatever the statistics say, a worker's statements look up what they work on
and read no table whole.
"""
import contextlib
import re

import pytest

from fleet import ROOT, wait_for

TABLES = ("jobs", "certificate_requests", "managed_certificates", "certificate_target_mappings")
ROWS = 5000
# Of the rows' own session: no trigger and no foreign key.
FILL = f"""
    SET LOCAL session_replication_role = replica;
    INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status)
        SELECT 'mc-' || i, 'mc-' || i, 'x.example.test', 'o-test', 't-test', 'iss-local', 'rp-default', 'RenewalInProgress'
        FROM generate_series(1, {ROWS}) i;
    INSERT INTO jobs (id, type, certificate_id, status, issuer_id, dedupe_key, leased_by, lease_id, attempt_until)
        SELECT 'job-' || i, 'Renewal', 'mc-' || i, 'Running', 'iss-local', 'issue:mc-' || i || ':', 'w-' || i % 2, i % 4, now()
        FROM generate_series(1, {ROWS}) i;
    INSERT INTO certificate_requests (job_id, csr_pem, key_sha256) SELECT 'job-' || i, repeat('x', 900), '' FROM generate_series(1, {ROWS}) i"""
EMPTY = "DELETE FROM certificate_requests; DELETE FROM jobs; DELETE FROM managed_certificates"
# A plan is kept from the first run on, as it is made from the sixth without this.
TELLS = {"plan_cache_mode": "force_generic_plan", "session_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "0", "auto_explain.log_nested_statements": "on",
         "auto_explain.log_analyze": "on", "auto_explain.log_timing": "off"}


@pytest.fixture(scope="module")
def stack(request):
    """Its tables were last analysed while thousands of jobs ran, and nobody ever saw those."""
    from conftest import fleets
    for fleet in fleets(request.module.__name__.removeprefix("test_")):
        fleet.start_postgres(keep=True, autovacuum="off")
        fleet.start_apiserver(keep=True)
        fleet.make_basics()
        connection = fleet.connect()
        with connection, connection.cursor() as c:
            c.execute(FILL)
            c.execute(f"ANALYZE {', '.join(TABLES)}")
            c.execute(EMPTY)
        connection.close()
        with fleet.admin() as c:
            for name, value in TELLS.items():
                c.execute(f"ALTER ROLE certctl_worker SET {name} = '{value}'")
        fleet.start_scheduler(keep=True)
        fleet.start_worker(keep=True)
        yield fleet


def walks(plan):
    """Scans of the big tables that no key narrows; an index that is nearly always empty is walked whole."""
    lines = [*plan.splitlines(), ""]
    scan = re.compile(rf"Bitmap Index Scan|(?:Seq Scan|Index.* Scan using (?!jobs_died\b)\w+) on (?:{'|'.join(TABLES)})\b")
    return [line.strip() for line, following in zip(lines, lines[1:]) if scan.search(line) and "Index Cond:" not in following]


def plans_of(stack):
    return re.split(r"^.*LOG:  duration: ", stack.processes["postgres"].log(), flags=re.M)


def test_a_lease_of_many_compares_nothing_with_everything(stack):
    """A thousand tasks of a lease, ended by a thousand ids: each is looked up, in whatever order they lie."""
    stack.query("INSERT INTO tasks (id, kind, subject, run_after) SELECT id_new('task'), 'noop', 'plans', clock_timestamp() "
                "FROM generate_series(1, 1000)")
    wait_for(lambda: stack.value("SELECT count(*) FROM tasks WHERE subject = 'plans'") == 0, 30, "the tasks")
    ends = [p for p in plans_of(stack) if "DELETE FROM tasks t WHERE t.ctid IN" in p]
    assert ends
    removed = [int(n) for p in ends for n in re.findall(r"Rows Removed by Join Filter: (\d+)", p)]
    assert not [n for n in removed if n > 5000], "\n".join(ends)


def test_what_is_set_aside_is_looked_up(stack):
    """A whole batch that goes back, in a session like a worker's: no job is compared with each of the others."""
    settings = re.findall(r'{"(enable_\w+)", "off"}', (ROOT / "common/db/params.c").read_text())
    assert "enable_hashjoin" in settings
    plans, connection = [], stack.connect()
    with contextlib.closing(connection), connection.cursor() as c:
        c.execute(FILL)  # stays uncommitted
        c.execute("SELECT array_agg(id) FROM (SELECT id FROM jobs WHERE lease_id = 1 AND leased_by = 'w-1' LIMIT 256) o")
        ids = c.fetchone()[0]
        c.execute("LOAD 'auto_explain'; SET client_min_messages = log")
        for name, value in [*TELLS.items(), *((s, "off") for s in settings)]:
            if not name.startswith("session_"):
                c.execute(f"SET LOCAL {name} = '{value}'")
        connection.notices = plans
        c.execute("SELECT status, count(*) FROM issue_set_aside('w-1', 1, %s, %s, %s) GROUP BY 1", (ids, ["release"] * 256, ["x"] * 256))
        assert c.fetchall() == [("Pending", 256)]
    removed = [int(n) for n in re.findall(r"Rows Removed by Join Filter: (\d+)", "\n".join(plans))]
    assert plans and not [n for n in removed if n > 5000], "\n".join(plans)


def test_issuing_reads_no_table_whole(stack):
    stack.start_site("demo").renew_and_wait()
    plans = plans_of(stack)
    for statement in ("q.csr_pem", "INSERT INTO certificate_versions"):
        assert any(statement in p for p in plans), statement
    # A revocation list reads what it needs as it likes; a completion joins what was signed.
    free = ("lpad(lower(r.serial_number)", "INSERT INTO certificate_versions")
    found = {w: p for p in plans if not any(text in p for text in free) for w in walks(p)}
    assert not found, "\n".join(found.values())
