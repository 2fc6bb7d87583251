"""
GET /api/v1/metrics/prometheus: every line by the rules of the text format,
and the values beside what the rest of the API and the tables say.
"""
import http.client
import re

import pytest

from fleet import API_KEY, wait_for

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
            kind = re.fullmatch(rf"# TYPE {name} (gauge|counter)", lines[i + 1])[1]
            assert (kind == "counter") == name.endswith("_total") or name == "certctl_certificate_total", line
            families[name] = (kind, {})
        elif not line.startswith("# TYPE "):
            m = SAMPLE.fullmatch(line)
            assert m and m[1] == name, line
            labels = tuple((k, unescape(v)) for k, v in re.findall(LABEL, m[2] or ""))
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
