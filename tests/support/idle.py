"""
What a duty costs that has nothing to do: an inventory in which none has, and
the statements of each duty's run under EXPLAIN.
"""
import json
import re

from fleet import BUILD, ROOT, rule_words

DUTIES = re.findall(r"^DUTY\((\w+),", (ROOT / "scheduler/duties.def").read_text(encoding="utf-8"), re.M)
HOUR = 3600 * 1000
LED = "'idle', '1'"
# The statements of a run that finds nothing, with their parameters behind those that say who leads.
RUNS = {
    "acme_cleanup": {"duty_acme_cleanup": f"{LED}, '150', '{2160 * HOUR}', '{{}}'"},
    "agent_health": {"duty_agent_health": f"{LED}, '{180 * 1000}'"},
    "agent_rescue": {"duty_agent_rescue": f"{LED}, '1000', '{300 * 1000}', '{{}}'"},
    "audit_chain_verify": {"duty_audit_chain_verify": f"{LED}, '5000', '{{}}'"},
    "audit_retention": {"duty_audit_retention": f"{LED}, '{17520 * HOUR}'"},
    "audit_sealing": {"duty_audit_sealing": f"{LED}, '5000'"},
    "certificate_status": {"duty_certificate_status": f"{LED}, '1000'"},
    "crl_behind": {"duty_crl_behind": f"{LED}, '1000'"},
    "crl_refresh": {"duty_crl_refresh": f"{LED}, '1000'"},
    "digest": {"duty_digest": LED},
    "discovery_retention": {"duty_discovery_retention": f"{LED}, '150', '{2160 * HOUR}'"},
    "event_alerts": {"duty_event_alerts": f"{LED}, '5000', '{{}}'"},
    "event_retention": {"duty_event_retention": f"{LED}, '1000'"},
    "expiry_alerts": {"duty_expiry_alerts": f"{LED}, '1000', 't', '{{\"expires\": \"x\", \"expired\": \"x\"}}'"},
    "health_checks": {"duty_health_checks": f"{LED}, '100'"},
    "health_history": {"duty_health_history": f"{LED}, '150', '{720 * HOUR}'"},
    "idempotency_cleanup": {"duty_idempotency_cleanup": f"{LED}, '1000', '{24 * HOUR}'"},
    "job_backstop": {},  # asks the dispatcher, not the database
    "job_retention": {"duty_job_retention": f"{LED}, '150', '{720 * HOUR}'"},
    "job_timeouts": {"duty_job_timeouts": f"{LED}, '1000', '{24 * HOUR}', '{168 * HOUR}', '{{}}'"},
    "lock_holders": {"duty_lock_holders": LED},
    "network_scan": {"duty_network_scan": f"{LED}, '100'"},
    "notification_dispatch": {"duty_notification_dispatch": f"{LED}, '10000'"},
    "notification_retention": {"duty_notification_retention": f"{LED}, '150', '{2160 * HOUR}'"},
    "notification_retry": {"duty_notification_retry": f"{LED}, '1000'"},
    "ocsp_refresh": {"duty_ocsp_refresh": f"{LED}, '1000'"},
    "policy_changes": {"duty_policy_changes": f"{LED}, '500'"},
    "policy_scan": {"duty_policy_scan": f"{LED}, '1000', 't', $${rule_words()}$$"},
    "process_rows": {"duty_process_rows": f"{LED}, '{HOUR}'"},
    "redeploy": {"duty_redeploy": f"{LED}, '1000'"},
    "renewal_scan": {"duty_renewal_budget": LED, "duty_renewal_scan": f"{LED}, '2500'"},
    "renewal_windows": {"duty_renewal_windows": f"{LED}, '100'"},
    "replacements": {"duty_replacements": f"{LED}, '500', '{720 * HOUR}', '{{}}'"},
    "short_lived_expiry": {"duty_short_lived_expiry": f"{LED}, '1000'"},
    "stats_fold": {"duty_stats_fold": f"{LED}, '10000'"},
    "version_retention": {"duty_version_retention": f"{LED}, '150', '{9600 * HOUR}'"},
}
# What is asked once a second, or with each look at the metrics.
LOOKS = ["duty_rows", "metrics_queues", "metrics_tasks", "metrics_counts", "metrics_totals"]
# Chunks in which all that an inventory gives to do is done.
SETTLED_AFTER = 10000


def statement(name):
    source = (BUILD / "common" / "sql" / "sql_gen.c").read_text(encoding="utf-8")
    rows = re.search(rf'^\{{ "{name}", \d+(?:, \w+)+,\n((?:\t".*"\n?)+) \}},$', source, re.M).group(1)
    return "\n".join(re.findall(r'^\t"(.*)\\n"', rows, re.M)).replace('\\"', '"').replace("\\\\", "\\")


def make_inventory(cursor, count, in_progress):
    """
    count certificates of mixed lifetimes, each with a version, a finished job
    and, every tenth, a target that serves it; none is due for anything.  One in
    twenty expired long ago, and nothing renews it by itself; those of a year
    break a policy rule.  in_progress more
    are in renewal, their jobs waiting for a CSR or in the queue.
    """
    cursor.execute("INSERT INTO teams (id, name) VALUES ('t-test', 'x')")
    cursor.execute("INSERT INTO owners (id, name, email, team_id) VALUES ('o-test', 'x', 'x', 't-test')")
    cursor.execute("INSERT INTO issuers (id, name, type) VALUES ('iss-local', 'x', 'GenericCA')")
    cursor.execute("INSERT INTO renewal_policies (id, name, renewal_window_days, auto_renew) VALUES ('rp-hand', 'x', 30, false)")
    cursor.execute("INSERT INTO ca_certificates (issuer_id, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after) "
                   "VALUES ('iss-local', 'k', 'iss-local', '', '', 'f', now(), now() + interval '10 years')")
    cursor.execute("INSERT INTO crl_cache (list, issuer_id, crl_der, crl_number, this_update, next_update, generation_duration_ms, "
                   "revoked_count, etag, ca_fingerprint, snapshot) "
                   "VALUES ('iss-local', 'iss-local', '', 1, now(), now() + interval '7 days', 1, 0, '', 'f', pg_current_snapshot())")
    cursor.execute("INSERT INTO agents (id, name, hostname, status, last_heartbeat_at, api_key_hash, retired_at) "
                   "SELECT 'agent-' || i, 'agent-' || i, 'x', CASE WHEN i % 5 = 0 THEN 'Offline' ELSE 'Online' END, "
                   "now() + interval '1 day', 'x', CASE WHEN i % 5 = 0 THEN now() END FROM generate_series(1, 1000) i")
    cursor.execute("INSERT INTO deployment_targets (id, name, type, agent_id) VALUES ('target', 'target', 'NGINX', 'agent-1')")
    cursor.execute("INSERT INTO network_scan_targets (id, name, next_scan_at, enabled) "
                   "SELECT 'nst-' || i, 'x', now() + interval '1 day', i % 9 > 0 FROM generate_series(1, 20000) i")
    # Foreign keys and counters of a million rows are not what is measured.
    cursor.execute("SET session_replication_role = replica")
    cursor.execute("""
        INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, valid_from,
            expires_at, renew_after, expiring_at, created_at, environment, tags)
        SELECT 'mc-' || i, 'mc-' || i, 'x.example.test', 'o-test', 't-test', 'iss-local',
            CASE WHEN i %% 20 = 0 THEN 'rp-hand' ELSE 'rp-default' END, CASE WHEN i %% 20 = 0 THEN 'Expired' ELSE 'Active' END,
            t.valid_from, t.expires_at,
            CASE WHEN i %% 20 <> 0 THEN renew_after_of('mc-' || i, t.valid_from, t.expires_at, 30, NULL) END,
            expiring_at_of(t.valid_from, t.expires_at, 30), t.valid_from,
            'production', '{"owner": "x"}'
        FROM generate_series(1, %s) i
        CROSS JOIN LATERAL (SELECT now() - interval '1 hour' - (i %% 1000) * interval '30 minutes' - CASE WHEN i %% 20 = 0
            THEN interval '400 days' ELSE interval '0' END AS valid_from) v
        CROSS JOIN LATERAL (SELECT v.valid_from, v.valid_from + (ARRAY['90 days', '47 days', '365 days'])[1 + i %% 3]::interval AS expires_at) t""",
                   (count,))
    cursor.execute("""
        INSERT INTO jobs (id, type, certificate_id, status, issuer_id, dedupe_key, created_at, scheduled_at, run_after, started_at,
            completed_at, lease_id, leased_by, version_id)
        SELECT 'job-' || (extract(epoch FROM c.valid_from) * 1000000)::bigint || '000-' || substr(c.id, 4), 'Renewal', c.id, 'Completed',
            'iss-local', 'issue:' || c.id || ':', c.valid_from, c.valid_from, c.valid_from, c.valid_from, c.valid_from, 1, 'gone',
            'certver-' || (extract(epoch FROM c.valid_from) * 1000000)::bigint || '000-' || substr(c.id, 4)
        FROM managed_certificates c""")
    cursor.execute("""
        INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain,
            created_at, issuer_id, job_id)
        SELECT j.version_id, c.id, 'serial-' || c.id, c.valid_from, c.expires_at, '', 'pem', c.valid_from, 'iss-local', j.id
        FROM managed_certificates c JOIN jobs j ON j.certificate_id = c.id""")
    cursor.execute("""
        INSERT INTO certificate_target_mappings (certificate_id, target_id, desired_version_id, deployed_version_id)
        SELECT v.certificate_id, 'target', v.id, v.id FROM certificate_versions v WHERE v.certificate_id LIKE '%9'""")
    cursor.execute("""
        WITH picked AS (
            UPDATE managed_certificates SET status = 'RenewalInProgress'
            WHERE id IN (SELECT 'mc-' || i * 5 + 1 FROM generate_series(0, %s - 1) i) RETURNING id)
        INSERT INTO jobs (id, type, certificate_id, status, issuer_id, dedupe_key)
        SELECT id_new('job'), 'Renewal', p.id, CASE WHEN p.id LIKE '%%6' THEN 'AwaitingCSR' ELSE 'Pending' END, 'iss-local',
            'issue:' || p.id || ':' FROM picked p""", (in_progress,))
    cursor.execute("SET session_replication_role = origin")


class Session:
    """A session of the database's owner that leads, and has each statement prepared, as the scheduler's have."""

    def __init__(self, fleet):
        self.connection = fleet.connect()
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.cursor.execute("UPDATE leadership SET term = 1, holder = 'idle', expires_at = 'infinity'")
        self.cursor.execute("INSERT INTO duties (name) SELECT unnest(%s) ON CONFLICT DO NOTHING", (DUTIES,))
        for name in LOOKS + [n for run in RUNS.values() for n in run]:
            self.cursor.execute(f"PREPARE {name} AS {statement(name)}")

    def close(self):
        self.connection.close()

    def run(self, duty):
        """(ms, buffers) of a run; one that walks a table begins at its start, with all that stays before it."""
        self.cursor.execute("UPDATE duty_marks SET low_id = '', low_at = '-infinity', is_done = true WHERE name LIKE '%retention'")
        ms = buffers = 0
        for name, parameters in RUNS[duty].items():
            cost = self.explain(f"{name}({parameters})")
            ms, buffers = ms + cost[0], buffers + cost[1]
        return ms, buffers

    def explain(self, call):
        """(ms, buffers) of a prepared statement with its parameters."""
        self.cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT json) EXECUTE {call}")
        shown = self.cursor.fetchone()[0]
        shown = json.loads(shown)[0] if isinstance(shown, str) else shown[0]
        return shown["Planning Time"] + shown["Execution Time"], sum(shown["Plan"][f"Shared {what} Blocks"] for what in ("Hit", "Read"))

    def costs(self, times):
        """(ms, buffers) of so many runs by duty, without the first of the session."""
        return {duty: [self.run(duty) for _ in range(times + 1)][1:] for duty in RUNS} | {
            look: [self.explain(look) for _ in range(times + 1)][1:] for look in LOOKS}

    def settle(self):
        """Runs what has work after an inventory was made, until nothing is left to do."""
        for duty, run in RUNS.items():
            for name, parameters in run.items():
                for _ in range(SETTLED_AFTER):
                    self.cursor.execute(f"EXECUTE {name}({parameters})")
                    columns = [d.name for d in self.cursor.description]
                    row = dict(zip(columns, self.cursor.fetchone()))
                    if not any((row.get("rows"), row.get("is_more"), row.get("seen"), row.get("is_behind"))):
                        break
                else:
                    raise AssertionError(f"{duty} finds something for ever: {row}")
