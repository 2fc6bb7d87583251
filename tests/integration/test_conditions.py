"""
What certctl status, the metrics and the alert rules tell of: each condition is
made true, told of by all of them with its severity and its oldest subject, and
goes away with its cause; asking costs the same with many certificates.
"""
import contextlib
import datetime
import json
import re
import subprocess

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fleet import ROOT, Fleet, free_port, wait_for

TABLE = dict(re.findall(r"^CONDITION\((\w+), (\w+),", (ROOT / "apiserver/conditions.def").read_text(), re.M))
PATH = "/api/v1/admin/conditions"
MANY = 20_000
BUFFERS_MAX = 3000

LEADS = "UPDATE leadership SET term = 1, holder = 'nobody', expires_at = clock_timestamp() + interval '1 hour'"
LIVES = ("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES ('w', 'w', 'h', 1, clock_timestamp() + interval '1 hour') "
         "ON CONFLICT (incarnation) DO UPDATE SET lease_until = excluded.lease_until, fault = '', resolver_failed_at = NULL")
CERTIFICATE = ("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, "
               "valid_from, expires_at, renew_after, updated_at) VALUES ('mc-x', 'mc-x', 'x.example.test', 'o-test', 't-test', "
               "'iss-local', 'rp-default', '{}', now() - interval '60 days', now() + interval '{}', {}, now() - interval '1 hour')")
ACTIVE = CERTIFICATE.format("Active", "60 days", "now() + interval '30 days'")
JOB = ("INSERT INTO jobs (id, type, certificate_id, issuer_id, agent_id, status, run_after, created_at, dedupe_key, leased_by) "
       "VALUES ('job-x', '{}', 'mc-x', 'iss-local', 'agent-x', '{}', {}, now() - interval '2 days', 'x', '{}')")
AGENT = ("INSERT INTO agents (id, name, hostname, status, api_key_hash, last_heartbeat_at) "
         "VALUES ('agent-x', 'agent-x', 'x', '{}', 'x', now() - interval '1 day')")
ONLINE = AGENT.format("Online")
CA = ("INSERT INTO ca_certificates (issuer_id, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after) "
      "VALUES ('iss-local', 'k', 'iss-local', 'x', 'x', 'x', now() - interval '70 days', now() + interval '{}')")
CRL = ("INSERT INTO crl_cache (list, issuer_id, crl_der, crl_number, this_update, next_update, generation_duration_ms, revoked_count, etag, "
       "ca_fingerprint, snapshot) VALUES ('iss-local', 'iss-local', 'x', 1, now() - interval '8 days', now() - interval '1 day', 1, 0, 'x', 'x', "
       "pg_current_snapshot())")
NO_RESPONDER = ("INSERT INTO ocsp_responder_faults (list, since, failed_at, why) VALUES ('iss-local', now() - interval '2 days', "
                "now() - interval '10 minutes', 'the key of its CA does not open')")
RESPONDER = ("INSERT INTO ocsp_responders (list, issuer_id, cert_pem, cert_serial, fingerprint_sha256, ca_fingerprint, key_path, key_alg, "
             "not_before, not_after) VALUES ('iss-local', 'iss-local', 'x', '1', 'x', 'x', 'x', 'x', now() - interval '29 days', "
             "now() + interval '1 day')")
FETCHED = ["UPDATE issuers SET config = jsonb_build_object('crl_script', '/x') WHERE id = 'iss-local'",
           "INSERT INTO crl_generation_events (issuer_id, crl_number, duration_ms, revoked_count, succeeded, error) "
           "VALUES ('iss-local', 1, 1, 0, {}, 'why')"]
DUTY = ("INSERT INTO duties (name, interval_ms, last_started_at, last_finished_at, last_outcome, last_error, next_run_at) "
        "VALUES ('sweep', 60000, now() - interval '1 hour', now() - interval '1 hour', '{}', '{}', now() + interval '{}')")
MAPPED = ("INSERT INTO certificate_target_mappings (certificate_id, target_id, desired_version_id, deploy_failures) "
          "VALUES ('mc-x', 'tgt-x', 'certver-x', {})")
VERSION = ("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, "
           "created_at, issuer_id, job_id) VALUES ('certver-x', 'mc-x', '1', now(), now() + interval '9 days', 'x', 'x', "
           "now() - interval '1 hour', 'iss-local', 'job-x')")
# Deployed an hour ago, and another one is served.
OTHER = ["INSERT INTO deployment_targets (id, name, type, agent_id) VALUES ('tgt-x', 'tgt-x', 'NGINX', 'agent-x')",
         "UPDATE certificate_target_mappings SET deployed_version_id = desired_version_id, deployed_at = now() - interval '1 hour'",
         "INSERT INTO served_certificates (target_id, seen_by, fingerprint_sha256, serial_number, since, is_other) "
         "VALUES ('tgt-x', 'handshake', 'y', '2', now() - interval '2 hours', true)"]
TASK = ("INSERT INTO tasks (id, kind, subject, issuer_id, status, last_error) "
        "VALUES ('task-x', 'issuer_test', 'iss-local', 'iss-local', 'Failed', 'it broke')")
DEAD = ("INSERT INTO notification_events (id, type, channel, recipient, message, status, last_error, retry_count) "
        "VALUES ('notif-x', 'ExpirationWarning', 'Slack', 'x', 'x', 'dead', '{}', {})")
WATCHED = ("INSERT INTO endpoint_health_checks (id, endpoint, status, last_transition_at, failure_reason) "
           "VALUES ('hc-x', 'x.example.test:443', '{}', now(), 'no connection')")
WATCHES = "INSERT INTO duties (name, interval_ms, off_reason, next_run_at) VALUES ('health_checks', 60000, '', now() + interval '1 minute')"

# Of each: what makes it true, and the subject it is told with.
SCENES = {
    "no_leader": (["UPDATE leadership SET expires_at = clock_timestamp() - interval '1 second'"], ""),
    "database_behind": (["INSERT INTO journal_ahead (issuer_id, serial_number, job_id, journalled_at, host) "
                         "VALUES ('iss-local', '5a', 'job-9', now(), 'h')"], "5a"),
    "no_worker": (["UPDATE workers SET lease_until = clock_timestamp() - interval '1 second'"], ""),
    "worker_fault": (["UPDATE workers SET fault = 'journal', fault_detail = 'its disk is full', fault_since = now()"], "w"),
    "audit_broken": (["UPDATE audit_verification SET broken_n = 7, broken_what = 'a row differs', broken_at = now()"], "7"),
    "certificate_expired": ([CERTIFICATE.format("Expired", "-1 day", "now() + interval '1 day'")], "mc-x"),
    "ca_ended": ([CA.format("-1 second")], "iss-local"),
    "crl_ended": ([CA.format("200 days"), CRL], "iss-local"),
    "crl_incomplete": ([sql.format("true") for sql in FETCHED], "iss-local"),
    "crl_not_fetched": ([sql.format("false") for sql in FETCHED], "iss-local"),
    "crl_other_key": ([FETCHED[0], CRL, "UPDATE crl_cache SET other_keys = 'why', other_keys_since = now(), next_update = now() + interval '1 day'"],
                      "iss-local"),
    "ocsp_failing": ([CA.format("200 days"), NO_RESPONDER], "iss-local"),
    "ocsp_responder_ending": ([CA.format("200 days"), RESPONDER, NO_RESPONDER], "iss-local"),
    "deployment_failing": ([ACTIVE, VERSION, MAPPED.format(2)], "mc-x"),
    "deployment_late": ([ACTIVE, VERSION, MAPPED.format(0)], "mc-x"),
    "served_other": ([ACTIVE, VERSION, MAPPED.format(0), *OTHER], "mc-x"),
    "endpoint_mismatch": ([WATCHED.format("cert_mismatch"), WATCHES], "hc-x"),
    "endpoint_down": ([WATCHED.format("down"), WATCHES], "hc-x"),
    "lane_stopped": (["UPDATE lanes SET breaker_state = 'open', opened_until = now() + interval '1 hour', last_error = 'no answer'"],
                     "iss-local"),
    "replacement_stopped": (["INSERT INTO issuers (id, name, type, enabled) VALUES ('iss-off', 'off', 'GenericCA', false) ON CONFLICT DO NOTHING",
                             "INSERT INTO replacements (id, from_issuer_id, to_issuer_id, wave_size, planned, created_by) "
                             "VALUES ('repl-x', 'iss-local', 'iss-off', 1, 1, 'x')"], "repl-x"),
    "lane_closed": (["UPDATE lanes SET cap = 0"], "iss-local"),
    "ends_with_ca": ([CERTIFICATE.format("Active", "5 days", "'infinity'")], "mc-x"),
    "order_uncertain": ([ACTIVE, ONLINE, JOB.format("Renewal", "Pending", "'infinity'", ""),
                         "UPDATE jobs SET last_error = 'look for x at the CA'"], "job-x"),
    "revocation_unconfirmed": ([ACTIVE, VERSION, "INSERT INTO certificate_revocations (id, certificate_id, serial_number, issuer_id, revoked_by, issuer_state) "
                                "SELECT 'rev-x', certificate_id, serial_number, issuer_id, 'x', 'by_hand' FROM certificate_versions"], "mc-x"),
    "issuer_failing": (["UPDATE issuers SET test_status = 'failed', last_tested_at = now()"], "iss-local"),
    "ca_ending": ([CA.format("30 days")], "iss-local"),
    "certificate_failed": ([CERTIFICATE.format("Failed", "60 days", "now() + interval '1 day'")], "mc-x"),
    "renewal_overdue": ([CERTIFICATE.format("Active", "20 days", "now() - interval '7 hours'")], "mc-x"),
    "never_renewed": ([CERTIFICATE.format("Active", "5 days", "NULL")], "mc-x"),
    "agent_needed": ([ACTIVE, AGENT.format("Offline"), "UPDATE agents SET retired_at = now()",
                      JOB.format("Deployment", "Pending", "now()", "")], "agent-x"),
    "target_needed": ([ACTIVE, JOB.format("Renewal", "AwaitingCSR", "now()", ""), "UPDATE jobs SET agent_id = NULL"], "job-x"),
    "policy_broken": ([ACTIVE, "INSERT INTO policy_violations (id, certificate_id, rule_id, message, severity) "
                       "VALUES ('violation-x', 'mc-x', 'pr-max-certificate-lifetime', 'it lives long', 'Critical')"], "mc-x"),
    "csr_missing": ([ACTIVE, ONLINE, JOB.format("Renewal", "AwaitingCSR", "now() - interval '1 hour'", "")], "job-x"),
    "approval_waiting": ([ACTIVE, ONLINE, JOB.format("Renewal", "AwaitingApproval", "now()", "")], "job-x"),
    "job_not_taken": ([ACTIVE, ONLINE, JOB.format("Renewal", "Pending", "now() - interval '1 hour'", "")], "iss-local"),
    "row_held": ([ACTIVE, ONLINE, JOB.format("Renewal", "Pending", "now()", ""),
                  "UPDATE jobs SET held_since = now(), last_error = 'a transaction holds it'"], "job-x"),
    "duty_failing": ([DUTY.format("data", "division by zero", "1 minute")], "sweep"),
    "duty_late": ([DUTY.format("ok", "", "-1 minute")], "sweep"),
    "audit_unsealed": (["INSERT INTO audit_events (id, epoch, actor, actor_type, action, resource_type, resource_id, timestamp) "
                        "VALUES ('old', (SELECT max(n) FROM audit_epochs), 'system', 'System', 'x', 'x', 'x', "
                        "clock_timestamp() - interval '5 minutes')"], ""),
    "task_failed": ([TASK], "iss-local"),
    "acme_profile_unable": (["INSERT INTO certificate_profiles (id, name) VALUES ('prof-x', 'x')",
                             "INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, profile_id) VALUES ('acct-x', 'x', '', 'prof-x')",
                             WATCHES.replace("health_checks", "acme_cleanup")], "prof-x"),
    "acme_resolver_silent": (["UPDATE workers SET resolver_why = 'no answer came', resolver_since = now() - interval '1 hour', resolver_failed_at = now()"], "w"),
    "acme_validation_waiting": (["INSERT INTO tasks (id, kind, subject, run_after) VALUES ('task-x', 'acme_validate', 'chall-x', "
                                 "now() - interval '3 minutes')"], "chall-x"),
    "notification_dead": ([DEAD.format("it answered 404", 1)], "notif-x"),
    "notification_unsent": ([DEAD.format("the channel is not configured", 0)], "notif-x"),
    "agent_silent": ([AGENT.format("Offline")], "agent-x"),
}


# What no row says, but the process that asks finds: each is true inside.

@contextlib.contextmanager
def no_room(fleet):
    """As a full disk is told; test_full_disk.py has a real one."""
    with fleet.admin() as c:
        c.execute("CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
                  "$$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$")
        c.execute("CREATE TRIGGER no_room BEFORE UPDATE ON apiservers FOR EACH ROW EXECUTE FUNCTION no_room()")
    try:
        yield
    finally:
        with fleet.admin() as c:
            c.execute("DROP FUNCTION no_room() CASCADE")


@contextlib.contextmanager
def no_standby(fleet):
    with fleet.admin() as c:
        try:
            c.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            c.execute("SELECT pg_reload_conf()")
            yield
        finally:
            c.execute("ALTER SYSTEM RESET synchronous_standby_names")
            c.execute("SELECT pg_reload_conf()")


@contextlib.contextmanager
def replaced_files(fleet):
    """The session for the process's own row is made anew, and finds the library of PL/pgSQL gone; others loaded it before."""
    move = "UPDATE pg_proc SET probin = replace(probin, %s, %s) WHERE proname LIKE 'plpgsql%%'"
    with fleet.admin() as c:
        c.execute(move, ("$libdir/plpgsql", "$libdir/plpgsql-that-was"))
        c.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'certctl_apiserver' "
                  "AND query ~ 'apiserver_seen|generate_series'")
        try:
            yield
        finally:
            c.execute(move, ("$libdir/plpgsql-that-was", "$libdir/plpgsql"))


def write_bus_files(directory, life, left):
    """A bus's CA, a certificate of it that lived life before it ends in left (timedelta), and its key; the CA ends later."""
    now = datetime.datetime.utcnow()
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "bus")}
    for name, ends in (("ca", now + datetime.timedelta(days=400)), ("bus", now + left)):
        subject, issuer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in (name, "ca"))
        cert = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(keys[name].public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now + left - life).not_valid_after(ends)
                .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
                .sign(keys["ca"], hashes.SHA256()))
        (directory / f"{name}.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (directory / "bus.key").touch(0o600)
    (directory / "bus.key").write_bytes(keys["bus"].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def bus_files(fleet, **left):
    """The settings of a bus where nobody listens, with a certificate of ten days that ends in so long."""
    directory = fleet.dir / "bus-certificate"
    directory.mkdir(exist_ok=True)
    write_bus_files(directory, datetime.timedelta(days=10), datetime.timedelta(**left))
    return {"CERTCTL_BUS_URLS": f"tls+tcp://127.0.0.1:{free_port()}", "CERTCTL_BUS_CA": str(directory / "ca.pem"),
            "CERTCTL_BUS_CERT": str(directory / "bus.pem"), "CERTCTL_BUS_KEY": str(directory / "bus.key")}


@contextlib.contextmanager
def bus_certificate(fleet, **left):
    """The apiserver's own."""
    files = bus_files(fleet, **left)
    try:
        fleet.processes["apiserver"].stop()
        fleet.start_apiserver(keep=True, **files)
        yield
    finally:
        fleet.processes["apiserver"].stop()
        fleet.start_apiserver(keep=True)


FOUND = {"database_full": no_room, "commits_waiting": no_standby, "database_warning": replaced_files,
         "bus_certificate_ending": lambda fleet: bus_certificate(fleet, days=3),
         "bus_certificate_ended": lambda fleet: bus_certificate(fleet, seconds=-5)}


@contextlib.contextmanager
def open_transaction(fleet):
    """For a minute, as far as was noted; the subject it is told with."""
    with fleet.connect() as other, other.cursor() as c:
        c.execute("SELECT 1 FROM issuers FOR UPDATE")
        fleet.query("SELECT duty_lock_holders()")
        fleet.plant("UPDATE lock_holders SET since = since - interval '1 minute'")
        try:
            yield str(other.info.backend_pid)
        finally:
            other.rollback()


# What no row alone makes true.
HELD = {"transaction_open": open_transaction}
WORKERS_TOO = {"bus_certificate_ended", "bus_certificate_ending"}  # in their rows


# What ties a scene to the certificate, where it has nothing to do with it: certctl explain is to tell of it there.
TIED = {
    "notification_dead": "UPDATE notification_events SET certificate_id = 'mc-x'",
    "notification_unsent": "UPDATE notification_events SET certificate_id = 'mc-x'",
    "endpoint_down": "UPDATE endpoint_health_checks SET certificate_id = 'mc-x'",
    "endpoint_mismatch": "UPDATE endpoint_health_checks SET certificate_id = 'mc-x'",
    "acme_profile_unable": "UPDATE managed_certificates SET certificate_profile_id = 'prof-x'",
    "agent_silent": OTHER[0] + "; INSERT INTO certificate_target_mappings (certificate_id, target_id) VALUES ('mc-x', 'tgt-x')",
}


@pytest.fixture
def calm(basics: Fleet):
    """Nothing is wrong; no process changes what a test plants."""
    basics.plant("DELETE FROM journal_ahead; DELETE FROM policy_violations; "
                 "DELETE FROM replacements; DELETE FROM jobs; DELETE FROM tasks; DELETE FROM acme_accounts; DELETE FROM certificate_revocations; DELETE FROM certificate_profiles WHERE id = 'prof-x'; DELETE FROM certificate_target_mappings; DELETE FROM certificate_versions; "
                 "DELETE FROM managed_certificates; DELETE FROM agents; DELETE FROM crl_cache; DELETE FROM crl_generation_events; DELETE FROM ocsp_responder_faults; DELETE FROM ocsp_responders; DELETE FROM ca_certificates; "
                 "DELETE FROM duties; DELETE FROM notification_events; DELETE FROM endpoint_health_checks; DELETE FROM served_certificates; DELETE FROM deployment_targets; UPDATE audit_verification SET broken_n = NULL; DELETE FROM audit_events WHERE id = 'old'; "
                 "UPDATE lanes SET breaker_state = 'closed', last_error = NULL, cap = 8; UPDATE issuers SET test_status = 'success', config = '{}'")
    basics.plant(LEADS)
    basics.plant(LIVES)
    basics.query("SELECT audit_seal(10000)")
    return basics


def told(fleet):
    """{name: what is told of it}, and whether that is well."""
    reply = fleet.api.need("GET", PATH)
    assert reply["total"] == len(reply["data"])
    return {c["name"]: c for c in reply["data"]}, reply["healthy"]


def counted(fleet):
    """{name: (severity, count)} of the metrics."""
    text = fleet.api.get("/api/v1/metrics/prometheus")[1]
    return {name: (severity, int(n)) for name, severity, n in
            re.findall(r'^certctl_condition_count\{condition="(\w+)",severity="(\w+)"\} (\d+)$', text, re.M)}


def test_every_condition_has_a_scene_words_and_an_alert():
    view = (ROOT / "migrations/code/18_conditions.sql").read_text()
    own = re.findall(r'^    \{"(\w+)", \w+\},$', (ROOT / "apiserver/live/faults.c").read_text(), re.M)
    assert set(SCENES) | set(FOUND) | set(HELD) == set(TABLE) and set(own) == set(FOUND)
    # What is held is named by its table, which is no condition.
    words = set(re.findall(r"'([a-z]+(?:_[a-z]+)+)'", view)) - set(re.findall(r"'(\w+)', \w+\.xmax FROM", view))
    # A duty and a status that the view asks for are none either.
    assert words - {"health_checks", "cert_mismatch", "acme_cleanup", "acme_validate"} == set(SCENES) | set(HELD) | WORKERS_TOO
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/certctl.rules.yml").read_text())["groups"][0]["rules"]
    exprs = {re.findall(r'condition="(\w+)"', a["expr"])[0]: a["labels"]["severity"] for a in alerts if "condition=" in a["expr"]}
    assert exprs == {name: severity.lower() for name, severity in TABLE.items() if severity != "NOTICE"}


def test_nothing_is_wrong(calm):
    assert told(calm) == ({}, True)
    assert counted(calm) == {name: (severity.lower(), 0) for name, severity in TABLE.items()}
    done = calm.cli("status")
    assert done.returncode == 0 and done.stdout.endswith("\nhealthy\n"), done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(SCENES))
def test_it_is_told_of(calm, name):
    statements, subject = SCENES[name]
    for statement in statements:
        calm.plant(statement)
    check_told(calm, name, subject)
    if not calm.query("SELECT 1 FROM managed_certificates WHERE id = 'mc-x'"):
        calm.plant(ACTIVE)
    if name in TIED:
        calm.plant(TIED[name])
    check_explained(calm, name)


@pytest.mark.parametrize("name", sorted(HELD))
def test_what_somebody_does_is_told_of(calm, name):
    with HELD[name](calm) as subject:
        check_told(calm, name, subject)
        calm.plant(ACTIVE)
        check_explained(calm, name)
    assert told(calm) == ({}, True)


@pytest.mark.parametrize("name", sorted(FOUND))
def test_what_the_process_finds_is_told_of(calm, name):
    """Beside what the view says, until it is over; whoever asks about a certificate is told, too."""
    calm.plant(ACTIVE)
    with FOUND[name](calm):
        wait_for(lambda: name in told(calm)[0], 30, f"{name} to be told")
        check_told(calm, name, "")
        check_explained(calm, name)
    wait_for(lambda: told(calm) == ({}, True) and calm.api.get("/ready")[0] == 200, 30, f"{name} to be over")
    done = calm.cli("status")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name, left", [("bus_certificate_ending", {"days": 3}), ("bus_certificate_ended", {"seconds": -5})])
def test_a_workers_certificate_of_the_bus_is_told_of(calm, name, left):
    """By its row, for it may reach nobody by the bus; and no more once the file is replaced."""
    calm.start_worker(keep=True, **bus_files(calm, **left))
    try:
        wait_for(lambda: set(told(calm)[0]) == {name}, 60, f"{name} to be told, and nothing else")
        check_told(calm, name, "worker-1")
        assert "worker-1" in told(calm)[0][name]["detail"]
        bus_files(calm, days=9)
        wait_for(lambda: told(calm) == ({}, True), 60, f"{name} to be over")
    finally:
        calm.processes.pop("worker-1").stop()


def check_explained(calm, name):
    """certctl explain has a sentence for it, where it has to do with a certificate; the trail and notifications only tell."""
    told = calm.api.need("GET", "/api/v1/explain/certificate/mc-x")
    step = next(s for s in told["steps"] if s["code"] == name)
    assert step["text"] and step["advice"] and "{" not in step["text"] + step["advice"] + step.get("next", ""), step
    assert step["state"] in ("warning", "waiting", "stuck") or name.startswith(("audit_", "notification_")), step
    assert told["ready"] == all(s["state"] in ("ok", "note", "warning") for s in told["steps"])


def check_told(calm, name, subject):
    found, healthy = told(calm)
    assert set(found) == {name}, found
    condition = found[name]
    severity = TABLE[name].lower()
    assert condition["severity"] == severity and condition["subject"] == subject and condition["count"] == 1, condition
    assert condition["what"] and condition["detail"] and condition["advice"] and not condition["count_is_capped"], condition
    assert healthy == (severity == "notice")
    assert {n: c for n, c in counted(calm).items() if c[1]} == {name: (severity, 1)}
    done = calm.cli("status")
    assert done.returncode == (0 if healthy else 1), done.stdout + done.stderr
    for words in (severity, condition["what"], condition["detail"], condition["advice"]):
        assert words in done.stdout, done.stdout
    assert done.stdout.endswith("\nhealthy\n" if healthy else "\nNOT healthy\n")
    reply = json.loads(calm.cli("status", "-o", "json").stdout)
    assert reply["healthy"] == healthy and [c["name"] for c in reply["conditions"]] == [name] and reply["workers"]


def test_a_certificate_of_the_bus_that_is_not_near_its_end_is_no_condition(calm):
    with bus_certificate(calm, days=4):
        assert told(calm) == ({}, True)
        assert 'certctl_bus_certificate_not_after_timestamp_seconds{listener=""}' in calm.api.get("/api/v1/metrics/prometheus")[1]


def test_a_certificate_says_what_became_of_its_deployments(calm):
    """Beside the status, which is of the certificate: it may be Active and served nowhere."""
    def seen():
        one = calm.api.need("GET", "/api/v1/certificates/mc-x")
        listed = calm.api.need("GET", "/api/v1/certificates?q=mc-x")["data"][0]
        assert {k: listed.get(k) for k in ("deployment_status", "reason")} == {k: one.get(k) for k in ("deployment_status", "reason")}
        return one["status"], one.get("deployment_status"), one.get("reason")
    calm.plant(ACTIVE)
    assert seen() == ("Active", None, None)
    calm.plant(VERSION)
    calm.plant(MAPPED.format(0))
    assert seen() == ("Active", "pending", None)
    calm.plant("UPDATE certificate_target_mappings SET deploy_failures = 1")
    status, deployment, reason = seen()
    assert (status, deployment) == ("Active", "failed") and "target tgt-x failed" in reason
    assert "failed" in calm.cli("certs", "list").stdout and "tgt-x" in calm.cli("certs", "get", "mc-x").stdout
    calm.plant("UPDATE certificate_target_mappings SET deployed_version_id = desired_version_id")
    assert seen() == ("Active", "deployed", None)
    for change in OTHER:
        calm.plant(change)
    status, deployment, reason = seen()
    assert (status, deployment) == ("Active", "other") and "tgt-x serves another" in reason
    assert calm.api.need("GET", "/api/v1/certificates/mc-x")["served"] == [{"target_id": "tgt-x", "serial_number": "2"}]
    assert '"serial_number":"2"' in calm.cli("certs", "get", "mc-x").stdout.replace(" ", "")


@pytest.mark.parametrize("change", [
    "UPDATE certificate_target_mappings SET deployed_at = now()",
    "UPDATE served_certificates SET since = now()",
    "UPDATE served_certificates SET is_other = false",
    "UPDATE deployment_targets SET retired_at = now()"])
def test_a_deployment_of_a_moment_ago_is_no_condition(calm, change):
    """An agent takes a moment to tell what it put there."""
    for each in (*SCENES["served_other"][0], change):
        calm.plant(each)
    assert told(calm) == ({}, True)


def test_a_certificate_says_why_it_is_not_renewed(calm):
    def reason():
        one = calm.api.need("GET", "/api/v1/certificates/mc-x").get("reason")
        assert (one or "-") in calm.cli("certs", "list").stdout
        return one
    calm.plant(ACTIVE)
    for change, back, words in (
            ("renewal_policies SET auto_renew = false", "renewal_policies SET auto_renew = true", "auto_renew of renewal policy rp-default is false"),
            ("issuers SET enabled = false", "issuers SET enabled = true", "nothing renews it by itself: issuer iss-local is disabled"),
            ("managed_certificates SET renew_after = 'infinity'", "managed_certificates SET renew_after = now() + interval '1 day'",
             "it ends with its CA"),
            ("managed_certificates SET status = 'Failed'", None, "its last job failed: no answer")):
        assert reason() is None
        calm.plant(JOB.format("Renewal", "Failed", "now()", "").replace("INSERT INTO jobs (", "INSERT INTO jobs (last_error, completed_at, ")
                   .replace("VALUES (", "VALUES ('no answer', now(), "))
        calm.plant(f"UPDATE {change}")
        try:
            assert words in reason()
        finally:
            calm.plant(f"UPDATE {back}" if back else "SELECT 1")
        calm.plant("DELETE FROM jobs")


@pytest.mark.parametrize("end", ["archived", "revoked"])
@pytest.mark.parametrize("installs", [False, True], ids=["waits", "installs"])
def test_what_nothing_is_deployed_of_any_more_is_no_failing_deployment(calm, end, installs):
    """Neither where the agent that was at it then says that it could not."""
    for sql in (ACTIVE, VERSION, ONLINE, OTHER[0], MAPPED.format(2)):
        calm.plant(sql)
    if installs:
        calm.plant(JOB.format("Deployment", "Running", "now()", "agent-x"))
        calm.plant("UPDATE jobs SET dedupe_key = 'deploy:mc-x:tgt-x', target_id = 'tgt-x', version_id = 'certver-x'")
    assert set(told(calm)[0]) == {"deployment_failing"}
    if end == "archived":
        calm.api.need("DELETE", "/api/v1/certificates/mc-x")
    else:
        calm.api.need("POST", "/api/v1/certificates/mc-x/revoke", {"reason": "superseded"})
    if installs:
        assert calm.query("SELECT outcome FROM job_report('agent-x', 'job-x', 'Failed', 'no room', NULL, 'no CSR')") == [("updated",)]
    assert told(calm) == ({}, True)
    assert "deployment_status" not in calm.api.need("GET", "/api/v1/certificates/mc-x")


def test_many_are_counted_to_a_bound(calm):
    calm.plant("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, "
               "valid_from, expires_at, renew_after, updated_at) SELECT 'mc-' || g, 'mc-' || g, 'x.example.test', 'o-test', 't-test', "
               "'iss-local', 'rp-default', 'Failed', now() - interval '9 days', now() + interval '60 days', now() + interval '9 days', "
               "now() - g * interval '1 minute' FROM generate_series(1, 300) g")
    found, _ = told(calm)
    condition = found["certificate_failed"]
    assert condition["count"] == 100 and condition["count_is_capped"] and condition["subject"] == "mc-300", condition
    assert "the oldest of 100 or more" in calm.cli("status").stdout


def test_asking_costs_the_same_with_many_certificates(calm):
    """Also just after they came, before the planner knows of them."""
    calm.plant("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, "
               "valid_from, expires_at, renew_after) SELECT 'mc-' || g, 'mc-' || g, 'x.example.test', 'o-test', 't-test', 'iss-local', "
               f"'rp-default', 'Active', now(), now() + interval '60 days', now() + interval '30 days' FROM generate_series(1, {MANY}) g")
    calm.plant("INSERT INTO jobs (id, type, certificate_id, issuer_id, status, completed_at, dedupe_key) "
               f"SELECT 'job-' || g, 'Renewal', 'mc-' || g, 'iss-local', 'Completed', now(), g FROM generate_series(1, {MANY}) g")
    calm.plant("INSERT INTO notification_events (id, type, channel, recipient, message, status, retry_count) SELECT 'notif-' || g, "
               f"'ExpirationWarning', 'Email', 'x', 'x', CASE WHEN g % 2 = 0 THEN 'dead' ELSE 'sent' END, g % 8 FROM generate_series(1, {MANY}) g")
    for known in (False, True):
        if known:
            calm.query("ANALYZE managed_certificates, jobs, notification_events")
        plan = calm.query("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM conditions")[0][0][0]["Plan"]
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < BUFFERS_MAX, json.dumps(plan)[:20000]


def test_a_reader_may_ask_and_nobody_else(calm, new_agent):
    assert calm.api.get(PATH, key="")[0] == 401
    assert calm.api.get(PATH, key=new_agent()[1])[0] == 403


def test_the_page_and_the_rules_are_made_of_the_table():
    done = subprocess.run([ROOT / "tools" / "conditionsdoc.py", "--check"], text=True, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
