"""
GET /api/v1/metrics/prometheus: every line by the rules of the text format,
and the values beside what the rest of the API and the tables say.
"""
import http.client
import re

import pytest

from fleet import API_KEY, ROOT, wait_for

PATH = "/api/v1/metrics/prometheus"
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-][0-9]+)?)")
DUTY_SERIES = {"last_start_timestamp_seconds", "last_duration_seconds", "last_outcome", "last_rows", "next_run_timestamp_seconds",
               "late_seconds", "runs_total", "failures_total", "skipped_total"}


@pytest.fixture(scope="module")
def led(stack):
    """A control plane whose scheduler leads, without workers, one duty off."""
    stack.start_scheduler(keep=True, CERTCTL_VERSION_RETENTION="0s")
    stack.make_basics()
    # Those that repair would do so to what a test makes.
    wait_for(lambda: duties(stack) and all(d["runs"] for d in duties(stack) if d["state"] != "off"), 40, "all duties to run")
    return stack


def duties(stack):
    return stack.api.need("GET", "/api/v1/admin/scheduler")["data"]


def unescape(text):
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text)


def parse(text):
    """{family: (type, {labels: value})}; fails on a line that breaks a rule."""
    assert text.endswith("\n")
    families, name = {}, None
    lines = text[:-1].split("\n")
    for i, line in enumerate(lines):
        if line.startswith("# HELP "):
            name = re.fullmatch(rf"# HELP ({NAME}) [^\\]+", line)[1]
            assert name not in families, f"{name} twice"
            kind = re.fullmatch(rf"# TYPE {name} (gauge|counter|histogram)", lines[i + 1])[1]
            assert (kind == "counter") == name.endswith("_total") or name in ("certctl_certificate_total", "certctl_agent_total"), line
            families[name] = (kind, {})
        elif not line.startswith("# TYPE "):
            m = SAMPLE.fullmatch(line)
            part = m and m[1].removeprefix(name)
            assert m and (part in ("_bucket", "_sum", "_count") if families[name][0] == "histogram" else part == ""), line
            labels = tuple((k, unescape(v)) for k, v in re.findall(LABEL, m[2] or "")) + ((("", part),) if part else ())
            samples = families[name][1]
            assert labels not in samples, line
            samples[labels] = float(m[m.re.groups])
    return families


def scrape(stack):
    status, text = stack.api.get(PATH)
    assert status == 200, text
    return parse(text)


def sample(stack, name, **labels):
    return scrape(stack)[f"certctl_{name}"][1].get(tuple(labels.items()))


def test_the_type_and_who_may(led, new_agent):
    connection = http.client.HTTPSConnection("127.0.0.1", led.api.port, context=led.api.context, timeout=20)
    connection.request("GET", PATH, headers={"Authorization": f"Bearer viewer-{API_KEY}"})
    reply = connection.getresponse()
    assert reply.status == 200 and reply.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    parse(reply.read().decode())
    connection.close()
    assert led.api.get(PATH, key=new_agent()[1])[0] == 403
    assert led.api.get(PATH, key="")[0] == 401


def test_every_duty_is_there(led):
    shown = {d["name"]: d for d in duties(led)}
    families = scrape(led)
    for series in DUTY_SERIES:
        names = {dict(labels)["duty"] for labels in families[f"certctl_duty_{series}"][1]}
        ran = {n for n, d in shown.items() if d["runs"]}
        if series in ("last_duration_seconds", "last_start_timestamp_seconds", "last_outcome"):
            assert ran <= names <= set(shown), series
        elif series == "next_run_timestamp_seconds":
            assert "version_retention" not in names and ran <= names, series
        else:
            assert names == set(shown), series


def test_a_duty_s_values(led):
    """Beside the row, of a duty that does not run meanwhile."""
    name = "version_retention"
    led.query("UPDATE duties SET last_started_at = to_timestamp(1700000000.25), last_finished_at = to_timestamp(1700000002), "
              "last_duration_ms = 1750, last_outcome = 'timeout', last_rows = 7, runs = 3, failures = 2, skipped = 1 "
              "WHERE name = %s", name)
    families = scrape(led)
    values = {s: [v for labels, v in families[f"certctl_duty_{s}"][1].items() if ("duty", name) in labels] for s in DUTY_SERIES}
    assert values == {"last_start_timestamp_seconds": [1700000000.25], "last_duration_seconds": [1.75], "last_outcome": [0],
                      "last_rows": [7], "next_run_timestamp_seconds": [], "late_seconds": [0], "runs_total": [3],
                      "failures_total": [2], "skipped_total": [1]}
    assert sample(led, "duty_last_outcome", duty=name, outcome="timeout") == 0
    led.query("UPDATE duties SET last_outcome = 'ok' WHERE name = %s", name)
    assert sample(led, "duty_last_outcome", duty=name, outcome="ok") == 1
    # a run of a term that is over
    led.query("UPDATE duties SET last_outcome = 'running', term = 0 WHERE name = %s", name)
    assert sample(led, "duty_last_outcome", duty=name, outcome="interrupted") == 0


def test_a_duty_that_is_late(led):
    """The leader plans by its own clock, so the row is the test's to change."""
    led.query("UPDATE duties SET next_run_at = clock_timestamp() - interval '1 hour' WHERE name = 'audit_chain_verify'")
    assert 3600 <= sample(led, "duty_late_seconds", duty="audit_chain_verify") < 3660


def test_lanes(led):
    assert sample(led, "lane_breaker_open", issuer="iss-local") == 0
    assert sample(led, "lane_rate_per_second", issuer="iss-local") is None
    assert sample(led, "lane_uncertain_jobs", issuer="iss-local") == 0
    led.query("UPDATE lanes SET breaker_state = 'open', opened_until = 'infinity', failures = 5, cap = 3, rate_per_s = 0.5 "
              "WHERE issuer_id = 'iss-local'")
    assert [sample(led, f"lane_{s}", issuer="iss-local") for s in ("breaker_open", "failures", "cap", "rate_per_second")] == [
        1, 5, 3, 0.5]
    led.query("UPDATE lanes SET breaker_state = 'closed', failures = 0 WHERE issuer_id = 'iss-local'")
    assert sample(led, "lane_breaker_open", issuer="iss-local") == 0


def test_label_values_are_escaped(led):
    odd = 'a "quoted"\\name\nin two lines'
    led.query("INSERT INTO issuers (id, name, type) VALUES (%s, 'odd', 'ACME')", odd)
    assert sample(led, "lane_breaker_open", issuer=odd) == 0


def test_processes_and_the_leader(led):
    families = scrape(led)
    assert families["certctl_processes_alive"][1] == {(("process", "apiserver"),): 1, (("process", "scheduler"),): 1,
                                                      (("process", "worker"),): 0}
    assert families["certctl_leader_alive"][1] == {(): 1}
    assert families["certctl_leader_term"][1] == {(): led.value("SELECT term FROM leadership")}


def test_jobs_that_wait_and_certificates(led):
    for n in range(3):
        led.make_certificate(f"c{n}")
    led.query("INSERT INTO jobs (id, type, certificate_id, issuer_id, status) VALUES ('job-a', 'Renewal', 'c0', 'iss-local', "
              "'AwaitingApproval'), ('job-b', 'Renewal', 'c1', 'iss-local', 'AwaitingCSR'), "
              "('job-c', 'Issuance', 'c2', 'iss-local', 'Pending')")
    led.query("INSERT INTO jobs (id, type, certificate_id, status) SELECT 'job-d' || n, 'Deployment', 'c2', 'Pending' "
              "FROM generate_series(1, 10005) n")
    families = scrape(led)
    # Of the ten thousand rows read for deployments job-b is the first.
    assert {tuple(v for _, v in labels): n for labels, n in families["certctl_jobs_waiting"][1].items()} == {
        ("AwaitingApproval", "issuance"): 1, ("AwaitingCSR", "issuance"): 1, ("Pending", "issuance"): 1,
        ("Pending", "deployment"): 9999}
    assert families["certctl_certificate_total"][1] == {(): 3}


def test_a_policy_that_certificates_follow(led):
    # A horizon that is never reached: the duty leaves the row alone.
    led.query("INSERT INTO policy_changes (policy_id, changed_at, horizon, total, done) "
              "VALUES ('rp-default', clock_timestamp() - interval '90 seconds', '9223372036854775807', 40, 30)")
    families = scrape(led)
    led.query("DELETE FROM policy_changes")
    assert families["certctl_policy_change_certificates"][1] == {(("policy", "rp-default"),): 10}
    assert families["certctl_policy_change_age_seconds"][1][(("policy", "rp-default"),)] >= 90


def test_the_audit_trail(led):
    led.query("UPDATE audit_verification SET rounds = 4, broken_n = 2, broken_what = 'x', looked_at = to_timestamp(1700000000)")
    families = scrape(led)
    assert families["certctl_audit_chain_verify_total"][1] == {(): 4}
    assert families["certctl_audit_chain_break_detected_total"][1] == {(): 1}
    assert families["certctl_audit_chain_last_verified_at"][1] == {(): 1700000000}
    # An open transaction's number holds up the seal of what comes after it.
    with led.admin() as c:
        c.execute("BEGIN")
        c.execute("SELECT pg_current_xact_id()")
        led.query("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id) "
                  "VALUES ('a', 'System', 'x', 'x', 'x')")
        wait_for(lambda: sample(led, "audit_sealing_lag_seconds") > 3, 20, "the lag", every=0.2)
        c.execute("COMMIT")
    wait_for(lambda: sample(led, "audit_sealing_lag_seconds") < 3, 20, "the seal", every=0.2)


def test_every_family_of_the_contract_is_there(led):
    names = """certificate_total certificate_active certificate_expiring_soon certificate_expired certificate_revoked agent_total agent_online
        job_pending job_completed_total job_failed_total notification_dead_total uptime_seconds ocsp_counter_total issuance_total
        issuance_duration_seconds issuance_failures_total vault_token_renewals_total expiry_alerts_total audit_chain_verify_total
        audit_chain_break_detected_total audit_chain_rows audit_chain_last_verified_at""".split()
    families = scrape(led)
    assert {f"certctl_{n}" for n in names} <= set(families)
    assert 0 < families["certctl_audit_chain_rows"][1][()] <= led.api.need("GET", "/api/v1/audit?per_page=1")["total"]
    assert {dict(k)["result"]: v for k, v in families["certctl_vault_token_renewals_total"][1].items()} == {
        "success": 0, "failure": 0, "not_renewable": 0}


def test_replacements_by_what_became_of_their_certificates(led):
    """The duty's counters; none of one that has ended."""
    assert scrape(led)["certctl_replacement_certificates"][1] == {}
    led.query("INSERT INTO issuers (id, name, type) VALUES ('iss-m1', 'm1', 'GenericCA'), ('iss-m2', 'm2', 'GenericCA'), ('iss-m3', 'm3', 'GenericCA')")
    led.query("INSERT INTO replacements (id, from_issuer_id, to_issuer_id, state, wave_size, planned, moving, waiting, failed, issued, done, skipped, "
              "created_by, created_at, ended_at) VALUES ('repl-m1', 'iss-m1', 'iss-m3', 'paused', 5, 100, 0, 3, 1, 2, 18, 7, 'x', now() - interval '20 s', NULL), "
              "('repl-m2', 'iss-m2', 'iss-m3', 'completed', 5, 9, 0, 0, 0, 0, 9, 0, 'x', now(), now())")
    families = scrape(led)
    assert {dict(k)["state"]: v for k, v in families["certctl_replacement_certificates"][1].items()} == {
        "left": 76, "moving": 0, "waiting": 3, "failed": 1, "issued": 2, "done": 18, "skipped": 7, "returned": 0}
    assert {dict(k)["replacement"] for k in families["certctl_replacement_certificates"][1]} == {"repl-m1"}
    assert families["certctl_replacement_paused"][1] == {(("replacement", "repl-m1"),): 1}
    assert families["certctl_replacement_left_seconds"][1] == {}
    # Twenty in some twenty seconds: eighty take four times as long.
    led.query("UPDATE replacements SET state = 'running' WHERE id = 'repl-m1'")
    assert 75 <= scrape(led)["certctl_replacement_left_seconds"][1][(("replacement", "repl-m1"),)] <= 120
    led.query("DELETE FROM replacements WHERE id LIKE 'repl-m%%'")
    led.query("DELETE FROM issuers WHERE id LIKE 'iss-m_'")


def test_certificates_by_their_state(led):
    """Beside what the table says; what is left of the total is active."""
    led.make_certificate("soon")
    led.make_certificate("long")
    led.make_certificate("gone")
    led.plant("UPDATE managed_certificates SET status = 'Active', renew_after = 'infinity', "
              "expires_at = now() + CASE id WHEN 'soon' THEN interval '29 days' ELSE interval '200 days' END WHERE id IN ('soon', 'long')")
    led.plant("UPDATE managed_certificates SET status = 'Revoked', expires_at = now() + interval '5 days' WHERE id = 'gone'")
    families = scrape(led)
    state = dict(led.query("SELECT status, count(*) FROM managed_certificates GROUP BY status"))
    assert state["Active"] + state.get("Expiring", 0) == 2 and state["Revoked"] == 1
    assert [families[f"certctl_certificate_{s}"][1][()] for s in (
        "total", "active", "expiring_soon", "revoked", "expired")] == [sum(state.values()), 1, 1, 1, state.get("Expired", 0)]
    reply = led.api.need("GET", "/api/v1/metrics")
    assert set(reply) == {"gauge", "counter", "uptime"}
    shared = reply["gauge"]
    assert shared == {k: families[f"certctl_{k}"][1][()] for k in shared} and len(shared) == 8
    assert reply["counter"] == {"notifications_dead_total": families["certctl_notification_dead_total"][1][()]} | {
        f"job_{end}_total": families[f"certctl_job_{end}_total"][1][()] for end in ("completed", "failed")}
    assert set(reply["uptime"]) == {"uptime_seconds", "server_started", "measured_at"} and reply["uptime"]["uptime_seconds"] >= 0


def test_many_of_a_state(led):
    """More than a bound that was there once."""
    before = scrape(led)
    led.plant("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, expires_at) "
              "SELECT 'many-' || i, 'many-' || i, 'x', owner_id, team_id, issuer_id, renewal_policy_id, 'Active', now() + interval '9 days' "
              "FROM managed_certificates, generate_series(1, 10001) i WHERE id = 'long'")
    after = scrape(led)
    led.plant("DELETE FROM managed_certificates WHERE id LIKE 'many-%'")
    assert [after[f"certctl_certificate_{s}"][1][()] - before[f"certctl_certificate_{s}"][1][()]
            for s in ("total", "active", "expiring_soon", "expired")] == [10001, 0, 10001, 0]


def test_alerts_by_what_became_of_them(led):
    led.plant("INSERT INTO notification_events (id, type, channel, recipient, message, status, threshold_days) SELECT 'notif-w' || i, "
              "CASE WHEN i < 5 THEN 'ExpirationWarning' ELSE 'RenewalFailure' END, 'Email', 'r', 'm', 'pending', 14 FROM generate_series(1, 5) i")
    led.query("UPDATE notification_events SET status = CASE id WHEN 'notif-w1' THEN 'dead' ELSE 'sent' END WHERE id LIKE 'notif-w%%'")
    led.query("UPDATE notification_events SET status = CASE status WHEN 'dead' THEN 'pending' ELSE 'read' END WHERE id LIKE 'notif-w%%'")
    families = scrape(led)
    led.query("DELETE FROM notification_events WHERE id LIKE 'notif-w%%'")
    assert families["certctl_expiry_alerts_total"][1] == {
        (("channel", "Email"), ("threshold", "14"), ("result", result)): n for result, n in (("failure", 1), ("success", 3))}


def test_agents(led, new_agent):
    before = scrape(led)
    agents = [new_agent()[0] for _ in range(3)]
    led.query("UPDATE agents SET last_heartbeat_at = now() - CASE id WHEN %s THEN interval '4 minutes' ELSE interval '6 minutes' END "
              "WHERE id = ANY (%s)", agents[0], agents)
    led.query("UPDATE agents SET retired_at = now() WHERE id = %s", agents[2])
    after = scrape(led)
    assert [after[f"certctl_agent_{s}"][1][()] - before[f"certctl_agent_{s}"][1][()] for s in ("total", "online")] == [2, 1]


def test_what_is_due_in_a_lane(led):
    due = {t: sample(led, "lane_queue_jobs", issuer="iss-local", type=t) for t in ("Issuance", "Renewal")}
    led.query("INSERT INTO jobs (id, type, certificate_id, issuer_id, status, run_after) VALUES "
              "('job-q1', 'Renewal', 'c0', 'iss-local', 'Pending', now() - interval '1 hour'), "
              "('job-q2', 'Renewal', 'c0', 'iss-local', 'Pending', now() + interval '1 hour')")
    families = scrape(led)
    led.query("DELETE FROM jobs WHERE id IN ('job-q1', 'job-q2')")
    queue = {dict(labels)["type"]: n for labels, n in families["certctl_lane_queue_jobs"][1].items() if ("issuer", "iss-local") in labels}
    assert queue == {"Issuance": due["Issuance"], "Renewal": due["Renewal"] + 1}
    assert families["certctl_lane_queue_age_seconds"][1][(("issuer", "iss-local"), ("type", "Renewal"))] >= 3600


def test_tasks_that_are_due(led):
    led.query("INSERT INTO tasks (id, kind, subject, run_after) VALUES ('task-q1', 'odd_kind', '', now() - interval '1 hour'), "
              "('task-q2', 'odd_kind', '', now() + interval '1 hour')")
    families = scrape(led)
    led.query("DELETE FROM tasks WHERE kind = 'odd_kind'")
    assert families["certctl_task_queue_tasks"][1][(("kind", "odd_kind"),)] == 1
    assert 3600 <= families["certctl_task_queue_age_seconds"][1][(("kind", "odd_kind"),)] < 3660


def test_how_long_answers_take(led):
    def route(families, pattern, part, **more):
        labels = (("method", "GET"), ("route", pattern), *more.items(), ("", part))
        return families["certctl_http_request_duration_seconds"][1].get(labels, 0)
    one = "/api/v1/teams/{id}"
    before = scrape(led)
    for _ in range(3):
        assert led.api.get("/api/v1/teams/t-nobody")[0] == 404
    after = scrape(led)
    assert route(after, one, "_count") - route(before, one, "_count") == 3
    assert route(after, one, "_bucket", le="+Inf") == route(after, one, "_count") and route(after, one, "_sum") > route(before, one, "_sum")
    row = [n for (m, r, part, *_), n in ((tuple(v for _, v in k[:2]) + (k[-1][1],), v) for k, v in after[
        "certctl_http_request_duration_seconds"][1].items()) if (r, part) == (one, "_bucket")]
    assert row == sorted(row) and len(row) == 12
    asked = (("method", "GET"), ("route", one), ("status", "4xx"))
    assert after["certctl_http_requests_total"][1][asked] - before["certctl_http_requests_total"][1].get(asked, 0) == 3


def test_the_sessions_of_this_process(led):
    first, second = scrape(led), scrape(led)
    for pool in ("requests", "heartbeats", "own"):
        labels = (("pool", pool),)
        limits = [second[f"certctl_database_sessions_{s}"][1][labels] for s in ("busy", "open", "max")]
        assert limits == sorted(limits) and limits[2] > 0, pool
        for counter in ("requests_total", "request_timeouts_total", "session_resets_total", "request_retries_total",
                        "request_wait_seconds_total"):
            assert second[f"certctl_database_{counter}"][1][labels] >= first[f"certctl_database_{counter}"][1][labels]
    asked = (("pool", "requests"),)
    assert second["certctl_database_requests_total"][1][asked] > first["certctl_database_requests_total"][1][asked]
    assert second["certctl_bus_leader_heard"][1] == {(): 1} and second["certctl_uptime_seconds"][1][()] >= 0


def test_the_page_names_every_metric(led):
    """Its type and its labels too, wherever a sample is there to compare with."""
    page = (ROOT / "docs/operator/monitoring.md").read_text(encoding="utf-8")
    rows = {m[0]: (m[1], re.findall(r"`(\w+)`", m[2])) for m in re.findall(r"^\| `(certctl_\w+)` \| (\w+) \|([^|]*)\|", page, re.M)}
    families = scrape(led)
    assert {name: kind for name, (kind, _) in rows.items()} == {name: kind for name, (kind, _) in families.items()}
    for name, (_, samples) in families.items():
        for labels in samples:
            assert [k for k, _ in labels if k not in ("le", "")] == rows[name][1], name
