"""
The duties: what an administrator sees of them and asks of them, short-lived
certificates, and retention.

What a function of the database decides is asked of the function, in a session
with a clock of its own; nothing else runs there meanwhile.
"""
import contextlib
import datetime
import re
import subprocess
import threading

import psycopg2
import pytest

from fleet import API_KEY, BUILD, ROOT, clean_env, wait_for

TABLE = re.findall(r'^DUTY\(([a-z_]+), "(\w+)"', (ROOT / "scheduler/duties.def").read_text(), re.M)
NAMES = sorted(name for name, _ in TABLE)
DAY = 86400 * 1000


@pytest.fixture(scope="module")
def led(stack):
    """A control plane whose scheduler leads, with one duty off."""
    stack.start_scheduler(keep=True, CERTCTL_VERSION_RETENTION="0s")
    stack.make_basics()
    wait_for(lambda: {d["name"]: d for d in duties(stack)}.get("redeploy", {}).get("runs"), 20, "the duties to run")
    return stack


@pytest.fixture
def lonely(fleet):
    """A database that nobody but the test works in."""
    fleet.start_postgres()
    fleet.start_apiserver()
    fleet.make_basics()
    return fleet


def duties(stack):
    status, reply = stack.api.get("/api/v1/admin/scheduler")
    assert status == 200, reply
    return reply["data"]


def duty(stack, name):
    return next(d for d in duties(stack) if d["name"] == name)


@contextlib.contextmanager
def session(fleet, days=0):
    """A cursor of a session whose clock is so many days ahead."""
    connection = fleet.connect()
    connection.autocommit = True
    with connection.cursor() as c:
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
        c.execute("SELECT set_config('certctl.now', %s, false)", (now.isoformat(),))
        yield c
    connection.close()


def ask(c, sql, *parameters):
    c.execute(sql, parameters or None)
    return c.fetchall()


def test_one_of_many_in_renewal_without_a_job_is_found(lonely):
    """Some are looked at in each run, from where the last one ended."""
    lonely.query("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status) "
                 "SELECT 'mc-' || i, 'mc-' || i, 'x', 'o-test', 't-test', 'iss-local', 'rp-default', 'RenewalInProgress' "
                 "FROM generate_series(1000, 1999) i")
    lonely.query("INSERT INTO jobs (id, type, certificate_id, issuer_id) SELECT 'job-' || id, 'Issuance', id, 'iss-local' "
                 "FROM managed_certificates WHERE id <> 'mc-1900'")
    for _ in range(2):
        found = [lonely.value("SELECT duty_certificate_status(1000)") for _ in range(5)]
        assert sorted(found) == [0, 0, 0, 0, 1]
        assert lonely.query("SELECT id FROM managed_certificates WHERE status <> 'RenewalInProgress'") == [("mc-1900",)]
        lonely.query("UPDATE managed_certificates SET status = 'RenewalInProgress'")


def test_what_somebody_holds_does_not_keep_the_others(lonely):
    lonely.query("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, "
                 "expires_at, valid_from) SELECT 'mc-' || i, 'mc-' || i, 'x', 'o-test', 't-test', 'iss-local', 'rp-default', 'Active', "
                 "now() - interval '1 hour', now() - interval '90 days' FROM generate_series(1, 3) i")
    with lonely.admin() as other:
        other.execute("BEGIN")
        other.execute("SELECT 1 FROM managed_certificates WHERE id = 'mc-2' FOR UPDATE")
        lonely.query("SET statement_timeout = '20s'")
        assert lonely.value("SELECT duty_certificate_status(1000)") == 2
        other.execute("ROLLBACK")
    assert lonely.value("SELECT duty_certificate_status(1000)") == 1


# --- what an administrator sees ---

def test_every_duty_is_shown(led):
    shown = duties(led)
    assert [d["name"] for d in shown] == NAMES
    for d in shown:
        assert d["interval_ms"] >= 1000 and d["timeout_ms"] >= 1000, d
        assert d["state"] in ("off", "running", "late", "waiting"), d
        if d["runs"] and d["state"] == "waiting":
            assert d["last_outcome"] == "ok" and d["last_duration_ms"] >= 0 and d["late_ms"] <= 5000 + d["interval_ms"], d
            assert d["next_run_at"] > d["last_started_at"], d
    assert any(d["runs"] for d in shown)


def test_one_that_is_off_says_why(led):
    d = duty(led, "version_retention")
    assert d["state"] == "off" and d["off_reason"].startswith("CERTCTL_VERSION_RETENTION is 0"), d
    status, reply = led.api.post("/api/v1/admin/scheduler/run-now/version_retention", {})
    assert status == 409 and "CERTCTL_VERSION_RETENTION" in reply["message"]


def test_run_now(led):
    before = duty(led, "process_rows")
    events = led.value("SELECT count(*) FROM audit_events WHERE action = 'duty_run_requested'")
    status, reply = led.api.post("/api/v1/admin/scheduler/run-now/process_rows", {})
    assert status == 202 and reply["duty"] == "process_rows" and reply["status"] == "run_requested", reply
    # Its own first run may come before the one that was asked for.
    after = wait_for(lambda: (lambda d: d["runs"] > before["runs"] and "run_requested_at" not in d and d)(duty(led, "process_rows")),
                     5, "the run")
    assert after["last_outcome"] == "ok"
    assert led.query("SELECT actor, resource_id FROM audit_events WHERE action = 'duty_run_requested' ORDER BY seq OFFSET %s",
                     events) == [("admin", "process_rows")]


def test_an_unknown_duty_is_told_the_names(led):
    status, reply = led.api.post("/api/v1/admin/scheduler/run-now/renewal-scan", {})
    assert status == 404
    for name in NAMES:
        assert name in reply["message"]


def test_who_may(led):
    key = f"viewer-{API_KEY}"
    assert led.api.call("GET", "/api/v1/admin/scheduler", key=key)[0] == 200
    assert led.api.call("POST", "/api/v1/admin/scheduler/run-now/redeploy", {}, key=key)[0] == 403


def test_a_run_that_goes_on_runs_again(led):
    """Asked for while it runs: 202 with a note, and another run after it."""
    led.query("UPDATE duties SET last_outcome = 'running', term = (SELECT term FROM leadership) WHERE name = 'audit_retention'")
    assert duty(led, "audit_retention")["state"] == "running"
    runs = duty(led, "audit_retention")["runs"]
    status, reply = led.api.post("/api/v1/admin/scheduler/run-now/audit_retention", {})
    assert status == 202 and "again" in reply["note"], reply
    wait_for(lambda: duty(led, "audit_retention")["runs"] > runs, 20, "the run")


def test_one_that_fails_says_why(led):
    led.query("ALTER FUNCTION duty_agent_health(bigint) RENAME TO hidden")
    try:
        failed = led.cli("scheduler", "run", "agent_health", "--wait")
    finally:
        led.query("ALTER FUNCTION hidden(bigint) RENAME TO duty_agent_health")
    assert failed.returncode == 1, failed.stdout
    d = duty(led, "agent_health")
    assert d["last_outcome"] != "ok" and d["failures"] == 1 and d["last_error"], d
    done = led.cli("scheduler", "run", "agent_health", "--wait")
    assert done.returncode == 0 and "agent_health: ok" in done.stdout, done.stdout + done.stderr
    assert "last_error" not in duty(led, "agent_health")


def test_command_line(led):
    shown = led.cli("scheduler")
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == NAMES
    assert led.cli("scheduler", "run", "nothing").returncode == 3
    assert led.cli("scheduler", "run", "version_retention").returncode == 5
    assert led.cli("scheduler", "run").returncode == 2


def test_late_and_cut_off(led):
    """Nobody leads: what should have run is late, what ran was cut off."""
    led.processes["scheduler-1"].stop()
    led.query("UPDATE duties SET next_run_at = clock_timestamp() - interval '1 day', last_outcome = 'running' "
              "WHERE name = 'certificate_status'")
    d = duty(led, "certificate_status")
    assert d["state"] == "late" and d["late_ms"] >= DAY and d["last_outcome"] == "interrupted", d
    status, reply = led.api.post("/api/v1/admin/scheduler/run-now/redeploy", {})
    assert status == 202 and "no scheduler leads" in reply["note"]
    planned = duty(led, "process_rows")["next_run_at"]
    led.processes["scheduler-1"].keep = True
    led.processes["scheduler-1"].start()
    wait_for(lambda: duty(led, "certificate_status")["state"] == "waiting", 10, "the duty that was cut off")
    wait_for(lambda: "run_requested_at" not in duty(led, "redeploy"), 10, "the duty that was asked for")
    assert duty(led, "process_rows")["next_run_at"] == planned, "a new leader goes on where the last one was"


# --- configuration and documentation ---

def test_audit_is_kept_longest(led):
    done = subprocess.run([BUILD / "scheduler" / "certctl-scheduler"], text=True, capture_output=True, timeout=20, check=False,
                          env=clean_env() | {"CERTCTL_DATABASE_URL": led.url("certctl_scheduler"), "CERTCTL_JOB_RETENTION": "100h",
                                             "CERTCTL_VERSION_RETENTION": "9h", "CERTCTL_AUDIT_RETENTION": "99h",
                                             "CERTCTL_BUS_LISTEN_URL": f"ipc://{led.dir}/bus/x"})
    assert done.returncode != 0 and "CERTCTL_JOB_RETENTION" in done.stdout + done.stderr


def test_the_page_names_every_duty_and_variable():
    page = (ROOT / "docs/operator/scheduler.md").read_text()
    assert TABLE
    for name, variable in TABLE:
        assert re.search(rf"^\| `{name}` \| \d", page, re.M), f"docs/operator/scheduler.md: duty {name}"
        assert f"`{variable}`" in page, f"docs/operator/scheduler.md: {variable} of {name}"
    assert set(re.findall(r"^\| `([a-z_]+)` \| \d", page, re.M)) <= set(NAMES)


# --- short-lived certificates ---

def test_short_lived_certificates_expire(lonely):
    lonely.query("INSERT INTO certificate_profiles (id, name, allow_short_lived, max_ttl_seconds) VALUES "
                 "('prof-short', 'short', true, 600), ('prof-long', 'long', true, 7200), ('prof-forbidden', 'forbidden', false, 600)")
    for name, profile, left, status in [
            ("ended", "prof-short", "-1 minute", "Active"), ("ending", "prof-short", "-1 second", "Expiring"),
            ("alive", "prof-short", "5 minutes", "Active"), ("renewing", "prof-short", "-1 minute", "RenewalInProgress"),
            ("revoked", "prof-short", "-1 minute", "Revoked"), ("long", "prof-long", "-1 minute", "Active"),
            ("forbidden", "prof-forbidden", "-1 minute", "Active"), ("none", None, "-1 minute", "Active")]:
        lonely.make_certificate(name)
        lonely.query("UPDATE managed_certificates SET certificate_profile_id = %s, status = %s, expires_at = clock_timestamp() + "
                     "%s::interval, valid_from = clock_timestamp() - interval '20 minutes' WHERE id = %s", profile, status, left, name)
    with session(lonely) as c:
        # in chunks: two are due
        assert [ask(c, "SELECT duty_short_lived_expiry(1)")[0][0] for _ in range(3)] == [1, 1, 0]
    assert lonely.query("SELECT id FROM managed_certificates WHERE status = 'Expired' ORDER BY id") == [("ended",), ("ending",)]
    assert lonely.query("SELECT resource_id FROM audit_events WHERE action = 'short_lived_cert_expired' ORDER BY 1") == [
        ("ended",), ("ending",)]
    # the status duty leaves them the trail, and takes the others
    lonely.query("UPDATE managed_certificates SET status = 'Active' WHERE id = 'ended'")
    with session(lonely) as c:
        assert ask(c, "SELECT duty_certificate_status(1000)")[0][0] >= 3
    assert lonely.value("SELECT status FROM managed_certificates WHERE id = 'ended'") == "Active"
    for name in ("long", "forbidden", "none"):
        assert lonely.value("SELECT status FROM managed_certificates WHERE id = %s", name) == "Expired"


def test_what_expired_long_ago_is_not_looked_at_again(lonely):
    lonely.query("INSERT INTO certificate_profiles (id, name, allow_short_lived, max_ttl_seconds) VALUES ('prof-short', 'short', true, 600)")
    lonely.make_certificate("old", certificate_profile_id="prof-short")
    with session(lonely) as c:
        assert ask(c, "SELECT duty_short_lived_expiry(10)") == [(0,)]
    lonely.query("UPDATE managed_certificates SET status = 'Active', expires_at = clock_timestamp() - interval '20 minutes'")
    with session(lonely) as c:
        assert ask(c, "SELECT duty_short_lived_expiry(10)") == [(0,)], "behind its mark"
    lonely.query("UPDATE managed_certificates SET expires_at = clock_timestamp() - interval '5 minutes'")
    with session(lonely) as c:
        assert ask(c, "SELECT duty_short_lived_expiry(10)") == [(1,)], "it came out of a renewal late"


# --- retention ---

def job(fleet, certificate, status="Completed", kind="Renewal", days=0, **more):
    """A job that was made, and ended unless it is active, so many days ago."""
    row = {"type": kind, "certificate_id": certificate, "status": status, "issuer_id": "iss-local"} | more
    names = ", ".join(row)
    return fleet.plant(f"""INSERT INTO jobs (id, created_at, completed_at, {names})
        SELECT id_bound('job', t.at) || '-' || nextval('id_seq'), t.at, CASE WHEN %s THEN t.at END, {', '.join(['%s'] * len(row))}
        FROM (SELECT clock_timestamp() - %s * interval '1 day' AS at) t RETURNING id""",
                       status in ("Completed", "Failed", "Cancelled"), *row.values(), days)[0][0]


def remove(fleet, what="duty_job_retention", keep=30 * DAY, limit=500, days=0):
    """[(rows, is_more)] of chunks, run after run, until the pass has met its end."""
    chunks = []
    with session(fleet, days) as c:
        while not chunks or chunks[-1][1] or not ask(c, "SELECT is_done FROM duty_marks WHERE name = %s", what.removeprefix("duty_"))[0][0]:
            chunks += ask(c, f"SELECT rows, is_more FROM {what}(%s, %s)", keep, limit)
            assert len(chunks) < 1000
    return chunks


def test_old_jobs_go_and_needed_ones_stay(lonely):
    lonely.make_certificate("issued")
    lonely.query("UPDATE managed_certificates SET expires_at = clock_timestamp() + interval '60 days', status = 'Active'")
    lonely.make_certificate("never")
    gone = [job(lonely, "issued", s, days=40) for s in ("Completed", "Failed", "Cancelled")]
    gone.append(job(lonely, "issued", "Failed", "Deployment", days=40))
    gone.append(job(lonely, "never", "Failed", "Issuance", days=50))
    kept = [job(lonely, "never", "Failed", "Issuance", days=45),  # why its status is Failed
            job(lonely, "issued", "Completed", days=20),
            job(lonely, "issued", "AwaitingCSR", days=400, dedupe_key="a"),
            job(lonely, "issued", "Pending", days=400, dedupe_key="b"),
            job(lonely, "issued", "Running", days=400, dedupe_key="c", leased_by="w")]
    late = job(lonely, "issued", "Completed", days=60)  # made long ago, ended just now
    lonely.query("UPDATE jobs SET completed_at = clock_timestamp() WHERE id = %s", late)
    lonely.query("SELECT certificates_refresh('{never}')")
    remove(lonely)
    assert {r[0] for r in lonely.query("SELECT id FROM jobs")} == {*kept, late}
    lonely.query("SELECT certificates_refresh('{never}')")
    assert lonely.value("SELECT status FROM managed_certificates WHERE id = 'never'") == "Failed"
    # behind the mark now; found when the next pass begins
    assert remove(lonely, days=40)[0][0] >= 1
    assert late not in {r[0] for r in lonely.query("SELECT id FROM jobs")}


def test_failed_tasks_go_too(lonely):
    for days, status in ((40, "Failed"), (20, "Failed"), (40, "Pending")):
        lonely.query("INSERT INTO tasks (id, kind, subject, status, created_at) SELECT id_bound('task', t.at) || '-1', 'probe', 'x', %s, "
                     "t.at FROM (SELECT clock_timestamp() - %s * interval '1 day' - interval '1 second' * length(%s) AS at) t",
                     status, days, status)
    before = lonely.value("SELECT count(*) FROM tasks")
    assert sum(rows for rows, _ in remove(lonely)) == 1
    assert lonely.value("SELECT count(*) FROM tasks") == before - 1


def test_kept_answers_go_after_a_day(lonely):
    for key, hours in (("old", 25), ("fresh", 23)):
        lonely.query("INSERT INTO idempotency_keys (principal, key, route, request_sha256, matched, done, failed, created_at) "
                     "VALUES ('p', %s, '/', '', 1, 1, 0, clock_timestamp() - %s * interval '1 hour')", key, hours)
    assert lonely.value("SELECT duty_idempotency_cleanup(86400000, 1000)") == 1
    assert [r[0] for r in lonely.query("SELECT key FROM idempotency_keys")] == ["fresh"]


def test_old_scans_go_but_those_that_met_something_last(lonely):
    lonely.query("INSERT INTO agents (id, name, hostname, api_key_hash) VALUES ('agent-scans', 'scans', 'h', 'scans')")
    lonely.plant("""INSERT INTO discovery_scans (id, agent_id, directories, started_at, completed_at)
        SELECT id_bound('dscan', t.at) || '-' || n, 'agent-scans', '{/etc}', t.at, t.at
        FROM generate_series(1, 100) n, LATERAL (SELECT clock_timestamp() - n * interval '1 day' AS at) t""")
    lonely.query("INSERT INTO discovered_certificates (id, fingerprint_sha256, agent_id, discovery_scan_id) "
                 "SELECT 'dcert-scans', 'aa', 'agent-scans', id FROM discovery_scans WHERE id LIKE '%-95'")
    remove(lonely, "duty_discovery_retention", 90 * DAY, 4)
    left = sorted(int(i.rpartition("-")[2]) for i, in lonely.query("SELECT id FROM discovery_scans"))
    assert left == [*range(1, 90), 95]


def test_chunks_are_bounded_and_meet_every_job(lonely):
    lonely.make_certificate("issued")
    lonely.query("UPDATE managed_certificates SET expires_at = clock_timestamp() + interval '60 days'")
    lonely.plant("""INSERT INTO jobs (id, type, certificate_id, status, created_at, completed_at)
        SELECT id_bound('job', t.at) || '-' || n, 'Renewal', 'issued', CASE WHEN n % 10 = 0 THEN 'AwaitingCSR' ELSE 'Completed' END,
            t.at, CASE WHEN n % 10 > 0 THEN t.at END
        FROM generate_series(1, 5000) n, LATERAL (SELECT clock_timestamp() - interval '40 days' - n * interval '1 minute' AS at) t""")
    chunks = remove(lonely)
    assert all(rows <= 500 for rows, _ in chunks) and 10 <= len(chunks) <= 11
    assert sum(rows for rows, _ in chunks) == 4500
    assert lonely.value("SELECT count(*) FROM jobs WHERE status = 'AwaitingCSR'") == 500
    # the next run walks nothing of what stays
    assert remove(lonely) == [(0, False)]
    assert lonely.value("SELECT is_done FROM duty_marks WHERE name = 'job_retention'")


def version(fleet, certificate, ended_days, holder="agent-1"):
    return fleet.value("""INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after,
            fingerprint_sha256, pem_chain, created_at, issuer_id, key_holder, job_id)
        SELECT id_bound('certver', t.ended - interval '90 days') || '-' || nextval('id_seq'), %s, 'serial-' || nextval('id_seq'),
            t.ended - interval '90 days', t.ended, '', '', t.ended - interval '90 days', 'iss-local', %s, 'job-x'
        FROM (SELECT clock_timestamp() - %s * interval '1 day' AS ended) t RETURNING id""", certificate, holder, ended_days)


def test_old_versions_go_and_needed_ones_stay(lonely):
    agent = lonely.api.need("POST", "/api/v1/agents", {"name": "a", "hostname": "a.example.test"})["id"]
    lonely.make_target("t1", agent, lonely.dir / "t1")
    lonely.make_certificate("c1", ["t1"])
    lonely.make_certificate("c2")
    versions = [version(lonely, "c1", 1000 - 80 * i) for i in range(8)]  # the last ended 440 days ago
    other = version(lonely, "c1", 900, holder="agent-2")
    quiet = [version(lonely, "c2", 2000 + i) for i in (2, 1, 0)]
    young = version(lonely, "c2", -30)
    lonely.query("UPDATE certificate_target_mappings SET deployed_version_id = %s WHERE certificate_id = 'c1'", versions[1])
    job(lonely, "c1", "Pending", "Deployment", dedupe_key="d", version_id=versions[2])
    for v in (versions[0], versions[7]):
        lonely.query("INSERT INTO certificate_revocations (id, certificate_id, serial_number, revoked_by, issuer_id) SELECT 'rev-' || id, "
                     "certificate_id, serial_number, 'admin', issuer_id FROM certificate_versions WHERE id = %s", v)
    chunks = remove(lonely, "duty_version_retention", keep=400 * DAY, limit=3)
    assert chunks and all(rows <= 3 for rows, _ in chunks)
    left = {r[0] for r in lonely.query("SELECT id FROM certificate_versions")}
    # the newest three of each key holder, the served one, the one a job names
    assert left == {versions[1], versions[2], *versions[5:], other, *quiet[1:], young}
    # a revocation goes with its version
    assert lonely.query("SELECT id FROM certificate_revocations") == [(f"rev-{versions[7]}",)]


def test_a_csr_stays_as_long_as_its_job_or_its_version(lonely):
    lonely.make_certificate("c1")
    versions = [version(lonely, "c1", 1000 - 80 * i) for i in range(5)]
    jobs = [job(lonely, "c1", "Completed", days=days) for days in (50, 50, 10)] + [job(lonely, "c1", "Cancelled", days=50)]
    lonely.query("INSERT INTO certificate_requests SELECT id, 'csr of ' || id, 'x' FROM jobs")

    def made(v, j):
        lonely.query("UPDATE certificate_versions SET job_id = %s, id = 'certver' || substr(%s, 4) WHERE id = %s", j, j, v)

    def left():
        return {r[0] for r in lonely.query("SELECT job_id FROM certificate_requests")}
    made(versions[4], jobs[0])  # one of the newest: it stays, its job goes
    remove(lonely)
    assert lonely.query("SELECT id FROM jobs") == [(jobs[2],)]
    assert left() == {jobs[0], jobs[2]}, "that of a job without a version goes with it"
    lonely.query("UPDATE certificate_versions SET job_id = %s WHERE id = %s", jobs[2], versions[0])
    remove(lonely, "duty_version_retention", keep=400 * DAY)
    assert lonely.value("SELECT count(*) FROM certificate_versions WHERE id = %s", versions[0]) == 0
    assert left() == {jobs[0], jobs[2]}, "its job is there still"
    remove(lonely, days=40)
    assert left() == {jobs[0]}
    lonely.query("UPDATE certificate_versions SET not_after = 'infinity'")
    for _ in range(3):
        version(lonely, "c1", 500)
    lonely.query("UPDATE certificate_versions SET id = id_bound('certver', now() - interval '900 days') || '-x', not_after = now() - "
                 "interval '800 days' WHERE job_id = %s", jobs[0])
    remove(lonely, "duty_version_retention", keep=400 * DAY, days=1)
    assert left() == set()


def test_a_csr_goes_whichever_of_the_two_is_removed_last(lonely):
    """Job and version are removed at the same time, and each sees the other still."""
    lonely.make_certificate("c1")
    one = job(lonely, "c1", "Completed", days=50)
    v = version(lonely, "c1", 1000)
    lonely.query("UPDATE certificate_versions SET job_id = %s, id = 'certver' || substr(%s, 4) WHERE id = %s", one, one, v)
    lonely.query("INSERT INTO certificate_requests VALUES (%s, 'csr', 'x')", one)
    first = lonely.connect()
    with first.cursor() as c:
        c.execute("DELETE FROM jobs WHERE id = %s", (one,))
        c.execute("SELECT certificate_requests_forget(%s)", ([one],))
        done = []

        def second():
            with session(lonely) as other:
                other.execute("DELETE FROM certificate_versions WHERE job_id = %s", (one,))
                done.append(ask(other, "SELECT certificate_requests_forget(%s)", [one]))
        thread = threading.Thread(target=second)
        thread.start()
        wait_for(lambda: lonely.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == 1, 10, "the second to wait")
        assert not done
        first.commit()
    first.close()
    thread.join(10)
    assert done and lonely.value("SELECT count(*) FROM certificate_requests") == 0


def test_a_chain_stays_as_long_as_a_version_names_it(lonely):
    lonely.make_certificate("c1")
    old, new, other = (lonely.value("SELECT certificate_chain_keep(%s)", pem) for pem in ("old", "new", "other"))
    assert lonely.value("SELECT certificate_chain_keep('old')") == old and len({old, new, other}) == 3
    versions = [version(lonely, "c1", 1000 - 80 * i) for i in range(6)]
    for v, chain in zip(versions, (old, old, new, new, new, new)):
        lonely.query("UPDATE certificate_versions SET chain_id = %s WHERE id = %s", chain, v)

    def left():
        return {r[0] for r in lonely.query("SELECT id FROM certificate_chains")}
    remove(lonely, "duty_version_retention", keep=400 * DAY, limit=1)
    assert lonely.value("SELECT count(*) FROM certificate_versions") == 3
    assert left() == {new, other}
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        lonely.query("DELETE FROM certificate_chains WHERE id = %s", new)
    # One that a completion has just looked up is left alone.
    user = lonely.connect()
    with user.cursor() as c:
        c.execute("SELECT certificate_chain_keep('other')")
        lonely.query("SELECT certificate_chains_forget(%s)", [new, other])
        assert left() == {new, other}
    user.rollback()
    user.close()
    lonely.query("SELECT certificate_chains_forget(%s)", [new, other])
    assert left() == {new}


def partition(fleet, month):
    """A month of audit events with one row."""
    fleet.query(f"CREATE TABLE audit_events_{month:%Y_%m} PARTITION OF audit_events FOR VALUES FROM ('{month:%Y-%m}-01T00:00:00Z') "
                f"TO ('{(month.replace(day=1) + datetime.timedelta(days=32)):%Y-%m}-01T00:00:00Z')")
    fleet.query("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, timestamp) VALUES "
                "('a', 'System', 'old', 'x', 'x', %s)", month.replace(day=15))


def months(fleet):
    return [r[0] for r in fleet.query("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_events'::regclass "
                                      "ORDER BY 1")]


def seal(fleet, is_sealed):
    fleet.query(f"DROP FUNCTION IF EXISTS audit_is_sealed_before(timestamptz); CREATE FUNCTION audit_is_sealed_before(p timestamptz) "
                f"RETURNS bool LANGUAGE sql AS $$ SELECT {is_sealed} $$")


def audit_retention(fleet, keep=400 * DAY):
    with session(fleet) as c:
        return ask(c, "SELECT outcome, partition FROM duty_audit_retention(%s)", keep)[0]


def test_a_sealed_month_goes_and_an_unsealed_one_stays(lonely):
    old = [datetime.datetime(2020, m, 1, tzinfo=datetime.timezone.utc) for m in (1, 2)]
    for month in old:
        partition(lonely, month)
    names = months(lonely)
    seal(lonely, "false")
    assert audit_retention(lonely) == ("unsealed", "audit_events_2020_01") and months(lonely) == names
    seal(lonely, "p <= '2020-02-01T00:00:00Z'")
    assert audit_retention(lonely) == ("removed", "audit_events_2020_01")
    assert audit_retention(lonely) == ("unsealed", "audit_events_2020_02") and months(lonely) == names[1:]
    assert lonely.query("SELECT resource_id FROM audit_events WHERE action = 'audit_partition_removed'") == [("audit_events_2020_01",)]
    seal(lonely, "true")
    assert audit_retention(lonely)[0] == "removed"
    # what is left is too young
    assert audit_retention(lonely) == ("none", "") and months(lonely) == names[2:]


def test_lists_beside_events_go_with_their_month(lonely):
    partition(lonely, datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
    seal(lonely, "true")
    for name, at in (("old", "2020-01-15"), ("at-its-end", "2020-01-31 23:59"), ("young", "2020-02-01")):
        lonely.query("INSERT INTO audit_attachments (id, sha256, content, created_at) VALUES (%s, '', '[]', %s)", name, at + "Z")
    assert audit_retention(lonely)[0] == "removed"
    assert lonely.query("SELECT id FROM audit_attachments ORDER BY created_at") == [("at-its-end",), ("young",)]


def test_removal_of_a_month_does_not_wait_for_a_writer(lonely):
    """Whoever waits for the table's lock holds up every writer behind it."""
    partition(lonely, datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
    seal(lonely, "true")
    writer = lonely.connect()
    with writer.cursor() as c:
        c.execute("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id) VALUES ('a', 'System', 'x', 'x', 'x')")
        assert audit_retention(lonely) == ("busy", "audit_events_2020_01")
    writer.rollback()
    writer.close()
    assert audit_retention(lonely)[0] == "removed"
