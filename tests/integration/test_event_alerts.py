"""
Notifications of what happened: renewals, deployments, revocations and broken
policy rules, each told once, to whom the renewal policy names.
"""
import json

import pytest

from fleet import Fleet, code_schema, event_words, rule_words, wait_for
from test_rest import make_csr

CERTS, POLICIES = "/api/v1/certificates", "/api/v1/policies"
HOURLY = "24h"


@pytest.fixture(scope="module")
def world():
    fleet = Fleet("eventalerts")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True)
        fleet.start_scheduler(keep=True, CERTCTL_POLICY_SCAN_INTERVAL=HOURLY, CERTCTL_EVENT_ALERT_INTERVAL=HOURLY,
                              CERTCTL_SCHEDULER_NOTIFICATION_PROCESS_INTERVAL=HOURLY)
        fleet.start_worker(keep=True)
        fleet.make_basics()
        fleet.query("DELETE FROM policy_rules")
        # Their first runs are over: from here on only a test runs them.
        wait_for(lambda: fleet.value("SELECT count(*) FROM duties WHERE name IN ('policy_scan', 'event_alerts') AND last_outcome = 'ok'") == 2,
                 30, "the first runs")
        fleet.agent = fleet.api.need("POST", "/api/v1/agents", {"name": "hand", "hostname": "h.example.test"})
        told(fleet)
        yield fleet
    finally:
        fleet.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


def duty(world, call, *parameters):
    """A run, as the leader makes it."""
    is_more = True
    while is_more:
        with world.admin() as c:
            c.execute(f"SET search_path = {code_schema()}, public")
            c.execute(f"SELECT is_more FROM {call}", parameters)
            is_more, = c.fetchone()


def told(world, limit=5000):
    """What a run of the duty tells anew: (type, certificate, channel, severity, message)."""
    before = world.value("SELECT coalesce(max(id), '') FROM notification_events")
    duty(world, "duty_event_alerts(%s, %s)", limit, event_words())
    return world.query("SELECT type, certificate_id, channel, severity, message FROM notification_events WHERE id > %s ORDER BY id", before)


def policy(world, name, **channels):
    world.api.need("POST", "/api/v1/renewal-policies", {"id": name, "name": name, "auto_renew": True, "alert_channels": channels})
    return name


def order(world, name, **more):
    """A certificate, and its job with the CSR sent."""
    world.make_target(f"tgt-{name}", world.agent["id"], world.dir / "sites" / name)
    world.make_certificate(name, [f"tgt-{name}"], **more)
    return renew(world, name)


def renew(world, name):
    job = world.api.need("POST", f"{CERTS}/{name}/renew")["job_id"]
    status, reply = world.api.call("POST", f"/api/v1/agents/{world.agent['id']}/csr", {
        "csr_pem": make_csr(f"{name}.example.test"), "certificate_id": name, "job_id": job}, key=world.agent["api_key"])
    assert status == 202, reply
    return job


def report(world, name, **how):
    """The agent tells what came of its deployment."""
    job = world.value("SELECT id FROM jobs WHERE certificate_id = %s AND type = 'Deployment' ORDER BY id DESC LIMIT 1", name)
    world.api.call("GET", f"/api/v1/agents/{world.agent['id']}/work", key=world.agent["api_key"])
    status, reply = world.api.call("POST", f"/api/v1/agents/{world.agent['id']}/jobs/{job}/status", how, key=world.agent["api_key"])
    assert status == 200, reply


def test_successes_are_told_where_a_policy_names_channels(world, unique):
    quiet, loud = unique("quiet"), unique("loud")
    for name, named in ((quiet, {}), (loud, {"informational": ["Slack", "Webhook"]})):
        policy(world, f"rp-{name}", **named)
        assert world.wait_job(order(world, name, renewal_policy_id=f"rp-{name}")) == ("Completed", None)
        report(world, name, status="Completed")
    end = world.value("SELECT to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM managed_certificates WHERE id = %s", loud)
    found = told(world)
    assert sorted(found) == [
        (kind, loud, channel, "informational", f"Certificate {loud} ({loud}.example.test) was {what}")
        for kind, what in (("DeploymentSuccess", f"deployed to target tgt-{loud}"), ("RenewalSuccess", f"issued and ends on {end} UTC"))
        for channel in ("Slack", "Webhook")]
    assert told(world) == []
    seen = world.api.need("GET", "/api/v1/notifications?status=pending&per_page=500")["data"]
    assert {(n["type"], n["channel"]) for n in seen if n.get("certificate_id") == loud} == {(f[0], f[2]) for f in found}


def test_a_failure_is_told_once_a_day(world, unique):
    name, rule = unique("cert"), unique("rule")
    world.api.need("POST", POLICIES, {"id": rule, "name": rule, "type": "RequiredMetadata", "config": {"required_keys": ["x"]}, "severity": "Critical"})
    status, why = world.wait_job(order(world, name))
    assert status == "Failed"
    assert told(world) == [("RenewalFailure", name, "Email", "warning", f"Certificate {name} ({name}.example.test) could not be issued: {why}")]
    assert world.value("SELECT recipient FROM notification_events WHERE certificate_id = %s", name) == "owner@example.test"
    assert world.wait_job(renew(world, name))[0] == "Failed"
    assert told(world) == []
    # As if the first was two days ago.
    world.query("UPDATE notification_events SET id = id_at FROM (SELECT 'notif-' || ((extract(epoch FROM now()) - 172800) * 1000000)::bigint "
                "|| '000-1' AS id_at) o WHERE certificate_id = %s", name)
    assert world.wait_job(renew(world, name))[0] == "Failed"
    assert [row[:2] for row in told(world)] == [("RenewalFailure", name)]
    world.api.need("DELETE", f"{POLICIES}/{rule}")


def test_deployments_that_fail(world, unique):
    name = unique("cert")
    policy(world, f"rp-{name}", warning=["PagerDuty", "Email"])
    assert world.wait_job(order(world, name, renewal_policy_id=f"rp-{name}")) == ("Completed", None)
    report(world, name, status="Failed", error="no room %s\nfor it")
    found = told(world)
    assert {row[:4] for row in found} == {("DeploymentFailure", name, c, "warning") for c in ("PagerDuty", "Email")}
    assert all(f"could not be deployed to target tgt-{name}: no room %s" in row[4] for row in found)
    assert world.value("SELECT count(DISTINCT about) FROM notification_events WHERE certificate_id = %s AND about = %s", name, f"tgt-{name}") == 1


def test_an_endpoint_that_is_down_or_serves_another(world, unique):
    name, alone = unique("cert"), unique("check")
    policy(world, f"rp-{name}", warning=["PagerDuty"])
    world.make_certificate(name, [], renewal_policy_id=f"rp-{name}")

    def became(check, status, certificate=name):
        details = {"endpoint": "www.example.test:443", "from": "healthy", "to": status, "reason": "no connection"} | (
            {"certificate_id": certificate} if certificate else {})
        world.query("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details) VALUES "
                    "('system', 'System', 'health_check_status_transition', 'health_check', %s, %s)", check, json.dumps(details))
    said = f"Certificate {name} ({name}.example.test) is not served at www.example.test:443: no connection"
    for check, status in ((f"{alone}-1", "down"), (f"{alone}-2", "cert_mismatch")):
        became(check, status)
        assert told(world) == [("DeploymentFailure", name, "PagerDuty", "warning", said)]
        became(check, status)  # the same day
        assert told(world) == []
    for check, status, certificate in ((alone, "healthy", name), (alone, "degraded", name), (alone, "unknown", name), (alone, "down", None)):
        became(check, status, certificate)
    assert told(world) == []


def test_revocations_and_many_of_them(world, unique):
    def issued(name):
        world.make_certificate(name)
        world.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, "
                    "issuer_id, job_id) VALUES (%s, %s, %s, now(), now() + interval '1 day', '', '', 'iss-local', %s)", f"certver-{name}", name, name, f"job-{name}")
        return name

    name, many = issued(unique("cert")), [issued(unique("many")) for _ in range(12)]
    world.api.need("POST", f"{CERTS}/{name}/revoke", {"reason": "keyCompromise"})
    assert told(world) == [("Revocation", name, "Email", "warning", f"Certificate {name} ({name}.example.test) was revoked: keyCompromise")]
    world.api.need("POST", f"{CERTS}/bulk-revoke", {"certificate_ids": many, "reason": "superseded"})
    assert told(world) == [("Revocation", None, "Email", "warning",
                            f"12 certificates were revoked, among them {', '.join(sorted(many)[:5])}: superseded")]


@pytest.mark.parametrize("severity, tier", [("Warning", None), ("Error", "warning"), ("Critical", "critical")])
def test_broken_rules(world, unique, severity, tier):
    few, many, rule = [unique("cert")], [unique("many") for _ in range(11)], unique("rule")
    for name in few + many:
        world.make_certificate(name, environment=rule if name in many else f"{rule}-few")
    others = world.query("SELECT DISTINCT environment FROM managed_certificates")
    allowed = [e for e, in others if e not in (rule, f"{rule}-few")]

    def scan():
        before = world.value("SELECT coalesce(max(id), '') FROM notification_events")
        duty(world, "duty_policy_scan(1000, true, %s)", rule_words())
        return world.query("SELECT type, certificate_id, channel, severity, message FROM notification_events WHERE id > %s ORDER BY id", before)

    for missing in (allowed + [rule], allowed):
        body = {"type": "AllowedEnvironments", "config": {"allowed": missing}, "severity": severity}
        if missing is not allowed:
            world.api.need("POST", POLICIES, {"id": rule, "name": rule} | body)
            told_of = [("PolicyViolation", few[0], "Email", tier, f"Certificate {few[0]} ({few[0]}.example.test) breaks policy {rule} ({severity}): its environment")]
        else:
            world.api.need("PUT", f"{POLICIES}/{rule}", body)
            told_of = [("PolicyViolation", None, "Email", tier, f"11 certificates break a policy, among them {', '.join(sorted(many)[:5])}: policy {rule} ({severity}): its")]
        found = scan()
        assert [row[:4] for row in found] == ([t[:4] for t in told_of] if tier else [])
        assert all(row[4].startswith(t[4]) for row, t in zip(found, told_of))
        assert scan() == []
    world.api.need("DELETE", f"{POLICIES}/{rule}")


# --- nothing lost, nothing twice ---

def revoke(world, name):
    world.make_certificate(name)
    world.query("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details) VALUES "
                "('x', 'User', 'certificate_revoked', 'certificate', %s, '{\"reason\": \"superseded\"}')", name)


def test_what_an_open_transaction_may_still_write_is_waited_for(world, unique):
    early, late = unique("early"), unique("late")
    world.make_certificate(early)
    connection = world.connect()
    try:
        with connection.cursor() as c:
            c.execute(f"SET search_path = {code_schema()}, public")
            c.execute("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details) VALUES "
                      "('x', 'User', 'certificate_revoked', 'certificate', %s, '{}')", (early,))
            revoke(world, late)
            assert told(world) == []
        connection.commit()
    finally:
        connection.close()
    assert [row[1] for row in told(world, limit=1)] == [early, late]


def test_a_run_that_fails_tells_it_again_and_two_at_once_tell_it_once(world, unique):
    name = unique("cert")
    revoke(world, name)
    connection = world.connect()
    try:
        with connection.cursor() as c:
            c.execute(f"SET search_path = {code_schema()}, public")
            c.execute("SELECT rows FROM duty_event_alerts(5000, %s)", (event_words(),))
            assert c.fetchone() == (1,)
            # The other finds the reader's place taken, and waits for nobody.
            assert told(world) == []
        connection.rollback()
    finally:
        connection.close()
    assert [row[1] for row in told(world)] == [name]
    assert told(world) == []


def test_a_certificate_that_somebody_holds_is_told_of_without_its_id(world, unique):
    name = unique("cert")
    revoke(world, name)
    connection = world.connect()
    try:
        with connection.cursor() as c:
            c.execute("SELECT 1 FROM managed_certificates WHERE id = %s FOR UPDATE", (name,))
            found = told(world)
            assert [row[:2] for row in found] == [("Revocation", None)] and name in found[0][4]
        connection.rollback()
    finally:
        connection.close()


def test_a_run_of_the_leader_and_one_message_for_all(world, unique):
    world.query("DELETE FROM notification_events")
    names = [unique("cert") for _ in range(3)]
    for name in names:
        revoke(world, name)
    for name in ("event_alerts", "notification_dispatch"):
        world.cli("scheduler", "run", name, "--wait")
    rows = world.query("SELECT certificate_id, message_id FROM notification_events WHERE type = 'Revocation'")
    assert sorted(r[0] for r in rows) == sorted(names) and len({r[1] for r in rows}) == 1 and rows[0][1]
