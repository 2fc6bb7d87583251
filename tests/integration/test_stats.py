"""
GET /api/v1/stats/...: the figures beside what the tables say; and the numbers
that are kept beside count(*), whatever was done to the rows.
"""
import datetime
import random
import threading

import pytest

from fleet import API_KEY

V1 = "/api/v1/stats"
# Of each state how many, and whether it ends within 30 days.
STATES = {"Active": (5, False), "Expiring": (2, True), "Expired": (3, False), "Revoked": (4, True), "Pending": (1, False),
          "Failed": (2, False), "RenewalInProgress": (1, True), "Archived": (6, False)}
MAKE = ("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, expires_at) "
        "SELECT %s || i, %s || i, 'x', 'o-test', 't-test', 'iss-local', 'rp-default', %s, now() + %s * interval '1 day' "
        "FROM generate_series(1, %s) i")
# What the numbers that follow the rows must be, by the rows.
BY_ROWS = """
SELECT 'certificate', status, count(*) FROM managed_certificates GROUP BY status
UNION ALL SELECT 'job', status, count(*) FROM jobs GROUP BY status
UNION ALL SELECT 'agent', 'active', count(*) FROM agents WHERE retired_at IS NULL HAVING count(*) > 0
UNION ALL SELECT 'notification', 'dead', count(*) FROM notification_events WHERE status = 'dead' HAVING count(*) > 0 ORDER BY 1, 2"""
KEPT = "SELECT kind, key, n FROM stat_totals_now WHERE kind IN ('certificate', 'job', 'agent', 'notification') AND n <> 0 ORDER BY 1, 2"
HOURS_BY_ROWS = """
SELECT floor(extract(epoch FROM expires_at) / 3600)::int, status, count(*) FROM managed_certificates WHERE isfinite(expires_at) AND expires_at < '10000-01-01Z'
GROUP BY 1, 2 ORDER BY 1, 2"""
HOURS_KEPT = "SELECT at, key, n FROM stat_series_now WHERE kind = 'certificate' AND n <> 0 ORDER BY 1, 2"
# By the rules, certificate by certificate.
STATUS_BY_ROWS = """
SELECT CASE WHEN status IN ('Active', 'Expiring') AND expires_at <= now() THEN 'Expired'
    WHEN status = 'Active' AND expires_at <= now() + interval '720 hours' THEN 'Expiring' ELSE status END AS told, count(*)
FROM managed_certificates GROUP BY 1 ORDER BY 1"""


def make(stack, stem, status, days, n):
    stack.plant(MAKE, stem, stem, status, days, n)


@pytest.fixture(scope="module")
def stocked(basics):
    """Certificates of every state, one more that is Active and ends soon, one that ended; jobs that ended; no process but the apiserver."""
    for status, (n, is_soon) in STATES.items():
        make(basics, f"{status}-", status, 10 if is_soon else 100, n)
    make(basics, "soon-", "Active", 29, 1)
    make(basics, "over-", "Active", -1, 1)
    basics.plant("INSERT INTO jobs (id, type, certificate_id, issuer_id, status, completed_at) SELECT 'job-' || s || i, 'Renewal', "
                 "'Active-1', 'iss-local', s, now() FROM (VALUES ('Failed', 3), ('Cancelled', 2), ('Completed', 4)) v (s, n), "
                 "generate_series(1, v.n) i")
    basics.plant("INSERT INTO jobs (id, type, certificate_id, issuer_id, status) VALUES ('job-p', 'Renewal', 'Active-1', 'iss-local', "
                 "'Pending'), ('job-a', 'Renewal', 'Active-2', 'iss-local', 'AwaitingApproval')")
    basics.plant("INSERT INTO notification_events (id, type, channel, recipient, message, status) "
                 "VALUES ('notif-d', 'RenewalFailure', 'Email', 'r', 'm', 'dead')")
    basics.plant("INSERT INTO agents (id, name, hostname, api_key_hash, last_heartbeat_at) VALUES ('a1', 'a1', 'h', '1', now()), "
                 "('a2', 'a2', 'h', '2', now() - interval '1 hour'), ('a3', 'a3', 'h', '3', NULL)")
    return basics


def by_status(stack):
    return stack.api.need("GET", f"{V1}/certificates-by-status")


def test_certificates_by_status(stocked):
    expected = {s: n for s, (n, _) in STATES.items()}
    expected["Expiring"] += 1
    expected["Expired"] += 1
    assert by_status(stocked) == [{"status": s, "count": expected[s]} for s in sorted(expected)]


def test_the_summary(stocked):
    reply = stocked.api.need("GET", f"{V1}/summary")
    assert reply.pop("completed_at").endswith("Z")
    assert reply == {"total_certificates": sum(n for n, _ in STATES.values()) + 2, "expiring_certificates": 3, "expired_certificates": 4,
                     "revoked_certificates": 4, "total_agents": 3, "active_agents": 1, "offline_agents": 2, "pending_jobs": 2,
                     "failed_jobs": 3, "complete_jobs": 4, "notifications_dead": 1}


def test_more_agents_and_dead_notifications_than_are_counted(stocked):
    """Their number is exact, and how many are online an estimate that says so."""
    stocked.plant("INSERT INTO agents (id, name, hostname, api_key_hash, last_heartbeat_at) SELECT 'many-' || i, 'many-' || i, 'h', 'many-' || i, "
                  "CASE WHEN i % 2 = 0 THEN now() END FROM generate_series(1, 12000) i")
    stocked.plant("INSERT INTO notification_events (id, type, channel, recipient, message, status) SELECT 'notif-many-' || i, 'Revocation', 'Email', "
                  "'r', 'm', 'dead' FROM generate_series(1, 12000) i")
    reply, gauges = stocked.api.need("GET", f"{V1}/summary"), stocked.api.need("GET", "/api/v1/metrics")
    stocked.plant("DELETE FROM agents WHERE id LIKE 'many-%'")
    stocked.plant("DELETE FROM notification_events WHERE id LIKE 'notif-many-%'")
    assert (reply["total_agents"], reply["notifications_dead"]) == (12003, 12001)
    assert abs(reply["active_agents"] - 6001) < 50 and reply["active_agents"] + reply["offline_agents"] == 12003
    assert reply["active_agents_is_estimate"] is True and gauges["gauge"]["agent_online_is_estimate"] is True
    assert (gauges["gauge"]["agent_total"], gauges["counter"]["notifications_dead_total"]) == (12003, 12001)


def test_who_may(stocked, new_agent):
    for path in ("summary", "certificates-by-status", "expiration-timeline", "job-trends", "issuance-rate"):
        assert stocked.api.get(f"{V1}/{path}", key=f"viewer-{API_KEY}")[0] == 200
        assert stocked.api.get(f"{V1}/{path}", key=new_agent()[1])[0] == 403


def days_from(start, n):
    return [(start + datetime.timedelta(days=i)).isoformat() for i in range(n)]


def today():
    return datetime.datetime.now(datetime.timezone.utc).date()


@pytest.mark.parametrize("query, n", [("", 30), ("?days=365", 365), ("?days=1", 1), ("?days=0", 30), ("?days=366", 30), ("?days=x", 30)])
def test_the_series_have_an_entry_for_each_day(stocked, query, n):
    now = today()
    ahead = stocked.api.need("GET", f"{V1}/expiration-timeline{query}")
    assert [row["date"] for row in ahead] in (days_from(now, n), days_from(today(), n))
    for path, keys in (("job-trends", {"date", "completed_count", "failed_count", "success_rate"}), ("issuance-rate", {"date", "issued_count"})):
        rows = stocked.api.need("GET", f"{V1}/{path}{query}")
        assert [row["date"] for row in rows] in [days_from(d - datetime.timedelta(days=n - 1), n) for d in (now, today())]
        assert all(set(row) == keys for row in rows)


def test_the_timeline_is_that_of_the_rows(stocked):
    expected = dict(stocked.query("SELECT to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), count(*) FROM managed_certificates "
                                  "WHERE status NOT IN ('Revoked', 'Archived') AND expires_at > now() GROUP BY 1"))
    told = {row["date"]: row["count"] for row in stocked.api.need("GET", f"{V1}/expiration-timeline?days=200")}
    assert {d: n for d, n in told.items() if n} == expected


def end(stack, job, status, took="0"):
    """As a worker would: from the queue to its end."""
    stack.query("INSERT INTO jobs (id, type, certificate_id, issuer_id, status) VALUES (%s, 'Renewal', 'Active-3', 'iss-local', 'Pending')", job)
    stack.query("UPDATE jobs SET status = 'Running', leased_by = 'w', lease_id = 1, started_at = now(), attempt_until = now() WHERE id = %s", job)
    stack.query(f"UPDATE jobs SET status = %s, completed_at = now(), started_at = now() - interval '{took} ms' WHERE id = %s", status, job)


def totals(stack):
    return {(kind, key): n for kind, key, n in stack.query("SELECT kind, key, n FROM stat_totals_now WHERE kind NOT IN ('certificate', 'job')")}


def test_what_only_grows_does_not_fall_with_the_rows(stocked):
    before, rows = totals(stocked), stocked.api.need("GET", f"{V1}/job-trends?days=1")[-1]
    for i, took in enumerate(("1", "50", "51", "200000")):
        end(stocked, f"job-e{i}", "Completed", took)
    end(stocked, "job-f", "Failed", "7")
    end(stocked, "job-c", "Cancelled")
    stocked.query("UPDATE jobs SET last_error = 'edited', attempts = 3 WHERE id LIKE 'job-e%%'")
    stocked.query("DELETE FROM jobs WHERE id LIKE 'job-e%%' OR id IN ('job-f', 'job-c')")
    grown = {k: n - before.get(k, 0) for k, n in totals(stocked).items() if n != before.get(k, 0)}
    assert grown == {("job_ended", "Completed"): 4, ("job_ended", "Failed"): 1, ("issuance", "GenericCA success"): 4,
                     ("issuance", "GenericCA failure"): 1, ("issuance_le", "GenericCA 0.05"): 2, ("issuance_le", "GenericCA 0.1"): 1,
                     ("issuance_le", "GenericCA +Inf"): 1, ("issuance_ms", "GenericCA"): 200102}
    stocked.value("SELECT duty_stats_fold(1000)")
    now = stocked.api.need("GET", f"{V1}/job-trends?days=1")[-1]
    if now["date"] == rows["date"]:
        assert now["completed_count"] - rows["completed_count"] == 4 and now["failed_count"] - rows["failed_count"] == 1
        assert now["success_rate"] == round(100 * now["completed_count"] / (now["completed_count"] + now["failed_count"]), 2)
    assert stocked.api.need("GET", f"{V1}/issuance-rate?days=2")[-1]["issued_count"] >= 4
    text = stocked.api.need("GET", "/api/v1/metrics/prometheus")
    for line in ('certctl_issuance_duration_seconds_bucket{issuer_type="GenericCA",le="0.05"} 2',
                 'certctl_issuance_duration_seconds_bucket{issuer_type="GenericCA",le="120"} 3',
                 'certctl_issuance_duration_seconds_bucket{issuer_type="GenericCA",le="+Inf"} 4',
                 'certctl_issuance_duration_seconds_count{issuer_type="GenericCA"} 4',
                 'certctl_issuance_duration_seconds_sum{issuer_type="GenericCA"} 200.102'):
        assert line in text.splitlines()
    counter = stocked.api.need("GET", "/api/v1/metrics")["counter"]
    assert counter["job_completed_total"] == totals(stocked)[("job_ended", "Completed")]


def test_attempts_that_fail_are_counted_by_what_failed_them(stocked):
    """Each attempt, tried again or not; what is only given back is none."""
    outcomes = {"fail": "validation", "wrong": "validation", "ended": "validation", "refuse": "upstream_4xx", "retry": "other", "uncertain": "timeout",
                "release": None, "cancel": None}
    for outcome in outcomes:
        job = f"job-o-{outcome}"
        stocked.query("INSERT INTO jobs (id, type, certificate_id, issuer_id, status) VALUES (%s, 'Renewal', 'Active-4', 'iss-local', 'Pending')", job)
        stocked.query("UPDATE jobs SET status = 'Running', leased_by = 'w', lease_id = 7, started_at = now(), attempt_until = now() WHERE id = %s", job)
    for _ in range(2):  # the second time none of them is the worker's
        stocked.query("SELECT * FROM issue_set_aside('w', 7, %s, %s, %s)", [f"job-o-{o}" for o in outcomes], list(outcomes), ["x"] * len(outcomes))
    stocked.query("DELETE FROM jobs WHERE id LIKE 'job-o-%%'")
    assert {key: n for (kind, key), n in totals(stocked).items() if kind == "issuance_failure"} == {
        "GenericCA validation": 3, "GenericCA upstream_4xx": 1, "GenericCA other": 1, "GenericCA timeout": 1}
    assert 'certctl_issuance_failures_total{issuer_type="GenericCA",error_class="timeout"} 1' in stocked.api.need(
        "GET", "/api/v1/metrics/prometheus").splitlines()


def assert_kept(stack, where):
    assert stack.query(KEPT) == stack.query(BY_ROWS), where
    assert stack.query(HOURS_KEPT) == stack.query(HOURS_BY_ROWS), where
    told = [(row["status"], row["count"]) for row in by_status(stack)]
    assert told == stack.query(STATUS_BY_ROWS), where


def change(rng, whose):
    """A statement that may stand anywhere: one row, many or none, of those that are somebody's."""
    some = f"id IN (SELECT id FROM managed_certificates WHERE id LIKE '{whose}-%%' ORDER BY md5(id || {rng.random()}) LIMIT {rng.choice((1, 3, 40))})"
    jobs = f"id IN (SELECT id FROM jobs WHERE id LIKE 'job-{whose}-%%' ORDER BY md5(id || {rng.random()}) LIMIT {rng.choice((1, 3, 40))})"
    n, stem = rng.choice((1, 2, 60)), f"{rng.getrandbits(60):x}"
    status, other = rng.choices([*STATES, "aCTIVE", "expiring"], k=2)
    at = rng.choice(("NULL", "now() - interval '3 hours'", "now() + random() * interval '60 days'", "'infinity'", "'20000-01-01'",
                     "now() + interval '720 hours' + (random() - 0.5) * interval '2 hours'"))
    return rng.choice((
        f"INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, expires_at) "
        f"SELECT '{whose}-{stem}-' || i, '{whose}-{stem}-' || i, 'x', 'o-test', 't-test', 'iss-local', 'rp-default', '{status}', {at} "
        f"FROM generate_series(1, {n}) i",
        f"UPDATE managed_certificates SET status = '{status}', expires_at = {at} WHERE {some}",
        f"UPDATE managed_certificates SET status = CASE status WHEN '{other}' THEN '{status}' ELSE '{other}' END WHERE {some}",
        f"UPDATE managed_certificates SET updated_at = now() WHERE {some}",
        f"DELETE FROM managed_certificates WHERE {some}",
        f"INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id) "
        f"SELECT id, name, 'x', 'o-test', 't-test', 'iss-local', 'rp-default' FROM managed_certificates WHERE {some} "
        f"UNION ALL SELECT '{whose}-{stem}', '{whose}-{stem}', 'x', 'o-test', 't-test', 'iss-local', 'rp-default' "
        f"ON CONFLICT (id) DO UPDATE SET status = '{status}'",
        f"INSERT INTO jobs (id, type, certificate_id, issuer_id, status) SELECT 'job-{whose}-{stem}-' || id, 'Renewal', id, 'iss-local', "
        f"'{rng.choice(('Pending', 'AwaitingCSR', 'aWAITINGcsr'))}' FROM managed_certificates WHERE {some} ON CONFLICT DO NOTHING",
        f"UPDATE jobs SET status = 'Cancelled', completed_at = now() WHERE status IN ('Pending', 'AwaitingCSR') AND {jobs}",
        f"UPDATE jobs SET status = 'Pending' WHERE status = 'AwaitingCSR' AND {jobs}",
        f"DELETE FROM jobs WHERE {jobs}",
        f"INSERT INTO agents (id, name, hostname, api_key_hash, retired_at) SELECT '{whose}-{stem}-' || i, '{whose}-{stem}-' || i, 'h', "
        f"'{whose}-{stem}-' || i, {rng.choice(('NULL', 'now()'))} FROM generate_series(1, {n}) i",
        f"UPDATE agents SET retired_at = {rng.choice(('NULL', 'now()'))}, last_heartbeat_at = now() WHERE id LIKE '{whose}-%%'",
        f"DELETE FROM agents WHERE id LIKE '{whose}-%%{rng.randint(0, 9)}'",
        f"INSERT INTO notification_events (id, type, channel, recipient, message, status) SELECT 'notif-{whose}-{stem}-' || i, 'Revocation', "
        f"'Email', 'r', 'm', '{rng.choice(('pending', 'dead'))}' FROM generate_series(1, {n}) i",
        f"UPDATE notification_events SET status = '{rng.choice(('pending', 'dead', 'sent'))}' WHERE id LIKE 'notif-{whose}-%%{rng.randint(0, 9)}'",
        f"DELETE FROM notification_events WHERE id LIKE 'notif-{whose}-%%{rng.randint(0, 9)}'"))


def transaction(cursor, rng, whose="r"):
    """Some changes, of which a part or all may be undone."""
    if rng.random() < 0.3:
        cursor.execute(f"SELECT duty_stats_fold({rng.choice((7, 100000))})")
    cursor.execute("BEGIN")
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.3:
            cursor.execute("SAVEPOINT s")
            cursor.execute(change(rng, whose).replace("%%", "%"))
            cursor.execute("ROLLBACK TO s")
        cursor.execute(change(rng, whose).replace("%%", "%"))
    cursor.execute("ROLLBACK" if rng.random() < 0.25 else "COMMIT")


def test_numbers_stay_those_of_the_rows(stocked):
    rng = random.Random(10)
    with stocked.admin() as c:
        for n in range(150):
            transaction(c, rng)
            assert_kept(stocked, n)
    assert stocked.api.call("DELETE", "/api/v1/certificates/Active-5")[0] == 204
    assert_kept(stocked, "after an archive")


def test_numbers_of_two_sessions_at_once(stocked):
    def run(seed):
        rng = random.Random(seed)
        with stocked.admin() as c:
            for _ in range(120):
                transaction(c, rng, f"s{seed}")
            done.append(seed)
    done = []
    both = [threading.Thread(target=run, args=(seed,)) for seed in (1, 2)]
    for t in both:
        t.start()
    for t in both:
        t.join()
    assert len(done) == 2
    assert_kept(stocked, "in the end")


def test_a_count_beside_writers_is_exact(stocked):
    """One that is undone, and two that commit around the statement that counts."""
    stocked.query("UPDATE stat_totals SET n = n + 5 WHERE key = 'Active'")
    with stocked.admin() as early, stocked.admin() as late:
        late.execute("BEGIN")
        late.execute("UPDATE managed_certificates SET status = 'Archived' WHERE id = 'Revoked-1'")
        early.execute("UPDATE managed_certificates SET status = 'Archived' WHERE id = 'Revoked-2'")
        stocked.query("SELECT stats_recount()")
        late.execute("COMMIT")
    assert_kept(stocked, "after the count")


def test_emptied(stocked):
    with stocked.admin() as c:
        c.execute("BEGIN")
        c.execute("TRUNCATE managed_certificates, agents, notification_events CASCADE")
        c.execute(KEPT)
        assert c.fetchall() == []
        c.execute("ROLLBACK")
    assert_kept(stocked, "after all")


def test_totals_before_the_first_count_say_that_they_are_estimates(stocked):
    stocked.query("DELETE FROM duty_marks WHERE name = 'stats'")
    assert stocked.api.need("GET", "/api/v1/certificates?per_page=1")["total_is_estimate"] is True
    assert stocked.api.need("GET", f"{V1}/summary")["total_certificates"] is None
    stocked.query("UPDATE stat_totals SET n = n + 5 WHERE kind IN ('certificate', 'job')")
    ended = totals(stocked)
    stocked.value("SELECT duty_stats_fold(1000)")
    assert "total_is_estimate" not in stocked.api.need("GET", "/api/v1/certificates?per_page=1")
    assert_kept(stocked, "after the first count")
    assert totals(stocked) == ended


def test_days_that_nobody_asks_for_go(stocked):
    stocked.query("INSERT INTO stat_moves (kind, key, n, at, ns) VALUES ('job_ended', 'Completed', 3, '{1}', '{3}')")
    before = totals(stocked)
    stocked.value("SELECT duty_stats_fold(1000)")
    assert totals(stocked) == before and stocked.value("SELECT count(*) FROM stat_series WHERE kind = 'job_ended' AND at = 1") == 0
