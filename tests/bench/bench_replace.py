"""
replace_10k: all certificates of one issuer go to the local CA, from the call
that begins it to the end of the replacement.  Agents stand in: what they make
and report comes in as SQL, many at a time; all else is as it is.

replace_plan_1m: the plan of a million certificates of an issuer, beside others
of another; what the apiserver grows by it, the longest statement; and how many
the walk moves a second, in its first half minute and its second, with a leader
that is killed in between.
"""
import threading
import time

from bench_common import BENCH_PG, pss_kb, sized
from fleet import Fleet, wait_for

COUNT = sized(10000, 100)
AGENTS = 10
PATIENCE_S = 600
PLANNED = sized(1_000_000, 500)
WALKED_S = sized(30, 2)


def make(fleet, bench, count, issuer="'iss-left'"):
    """count certificates that the CA to be left has issued, or whose issuer that SQL says, each served by a target."""
    fleet.query("INSERT INTO issuers (id, name, type) VALUES ('iss-left', 'left', 'GenericCA')")
    bench.make_certificates(fleet, count, issuer)
    fleet.query("INSERT INTO agents (id, name, hostname, status, last_heartbeat_at, api_key_hash) SELECT 'agent-' || i, 'agent-' || i, 'h', 'Online', "
                "now() + interval '1 hour', 'x' FROM generate_series(1, %s) i", AGENTS)
    with fleet.admin() as c:
        c.execute("SET session_replication_role = replica")
        c.execute("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, issuer_id, "
                  "job_id, key_holder) SELECT 'certver-0-' || id, id, 'old-' || id, valid_from, expires_at, 'f', 'pem', issuer_id, 'job-0-' || id, "
                  "'agent-' || 1 + right(id, 1)::int FROM managed_certificates")
        c.execute("INSERT INTO deployment_targets (id, name, type, agent_id, config) SELECT 'tgt-' || id, id, 'NGINX', "
                  "'agent-' || 1 + right(id, 1)::int, '{}' FROM managed_certificates")
        c.execute("INSERT INTO certificate_target_mappings (certificate_id, target_id, desired_version_id, deployed_version_id) "
                  "SELECT id, 'tgt-' || id, 'certver-0-' || id, 'certver-0-' || id FROM managed_certificates")
    fleet.query("VACUUM ANALYZE")
    fleet.query("CHECKPOINT")


class Agents(threading.Thread):
    """Sends the CSRs that are waited for, and reports deployments as done."""

    def __init__(self, fleet, csrs):
        super().__init__(daemon=True)
        self.fleet, self.csrs, self.is_over = fleet, csrs, threading.Event()

    def run(self):
        while not self.is_over.wait(0.05):
            self.fleet.query("WITH sent AS (INSERT INTO certificate_requests SELECT j.id, (%s::text[])[1 + row_number() OVER () %% %s], '' FROM jobs j "
                             "WHERE j.status = 'AwaitingCSR' ON CONFLICT DO NOTHING RETURNING job_id) "
                             "UPDATE jobs j SET status = 'Pending', run_after = engine_now() FROM sent s WHERE j.id = s.job_id",
                             self.csrs, len(self.csrs))
            taken = self.fleet.query("UPDATE jobs SET status = 'Running', leased_by = agent_id WHERE type = 'Deployment' AND status = 'Pending' "
                                     "RETURNING id, certificate_id, version_id")
            if taken:
                self.fleet.query("UPDATE jobs SET status = 'Completed', completed_at = now() WHERE id = ANY (%s)", [t[0] for t in taken])
                self.fleet.query("UPDATE certificate_target_mappings m SET deployed_version_id = u.v, deployed_at = now() "
                                 "FROM unnest(%s, %s) AS u (c, v) WHERE m.certificate_id = u.c", [t[1] for t in taken], [t[2] for t in taken])


class Slowest(threading.Thread):
    """The longest transaction of a process, looked for twenty times a second."""

    def __init__(self, fleet, role):
        super().__init__(daemon=True)
        self.fleet, self.role, self.is_over, self.seconds = fleet, role, threading.Event(), 0.0

    def run(self):
        while not self.is_over.wait(0.05):
            took = self.fleet.value("SELECT max(extract(epoch FROM clock_timestamp() - xact_start)) FROM pg_stat_activity WHERE usename = %s "
                                    "AND state <> 'idle'", self.role)
            self.seconds = max(self.seconds, float(took or 0))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.join()


def moved(fleet, ident, seconds):
    """How many a second the walk moves."""
    count = "SELECT moving + waiting + failed + issued + done FROM replacements WHERE id = %s"
    before, started = fleet.value(count, ident), time.monotonic()
    time.sleep(seconds)
    return (fleet.value(count, ident) - before) / (time.monotonic() - started)


def plan(bench, name, count):
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG)
        bench.look_at_settings(fleet)
        fleet.start_plane(workers=1, CERTCTL_LOG_LEVEL="warn")
        fleet.make_basics()
        wait_for(lambda: fleet.value("SELECT count(*) FROM ca_certificates"), 20, "the CA")
        started = time.monotonic()
        make(fleet, bench, count + count // 4, "CASE WHEN mod(i, 5) = 0 THEN 'iss-local' ELSE 'iss-left' END")
        print(f"    {count + count // 4} certificates made in {time.monotonic() - started:.0f} s", flush=True)
        apiserver = fleet.processes["apiserver"].pid
        wish = {"from_issuer_id": "iss-left", "to_issuer_id": "iss-local", "wave_size": 100000}
        before, started = pss_kb(apiserver), time.monotonic()
        with Slowest(fleet, "certctl_apiserver") as slowest:
            told = fleet.api.call("POST", "/api/v1/replacements/plan", wish, timeout=900)[1]
        took, grown = time.monotonic() - started, pss_kb(apiserver) - before
        bench.add(name, told["certificates"] / took, "cert/s", None, None, f"{told['certificates']} certificates planned in {took:.1f} s, the apiserver "
                  f"{grown} KB larger after it, its longest transaction {slowest.seconds * 1000:.0f} ms")
        ident = fleet.api.call("POST", "/api/v1/replacements", wish, timeout=900)[1]["id"]
        with Slowest(fleet, "certctl_scheduler") as slowest:
            first = moved(fleet, ident, WALKED_S)
            fleet.processes["scheduler-1"].kill()
            fleet.start_scheduler(1)
            second = moved(fleet, ident, WALKED_S)
        bench.add(f"{name}_walk", second, "cert/s", second / first if first else None, None,
                  f"{first:.0f}/s before the leader was killed; the longest transaction {slowest.seconds * 1000:.0f} ms")


def replace(bench, name, count):
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG)
        bench.look_at_settings(fleet)
        fleet.start_plane(workers=2, CERTCTL_LOG_LEVEL="warn")
        fleet.make_basics()
        wait_for(lambda: fleet.value("SELECT count(*) FROM ca_certificates"), 20, "the CA")
        make(fleet, bench, count)
        agents = Agents(fleet, bench.csrs())
        agents.start()
        wish = {"from_issuer_id": "iss-left", "to_issuer_id": "iss-local", "revoke_reason": "superseded"}
        started = time.monotonic()
        plan = fleet.api.call("POST", "/api/v1/replacements/plan", wish)[1]
        planned = time.monotonic() - started
        started = time.monotonic()
        ident = fleet.api.need("POST", "/api/v1/replacements", wish)["id"]
        wait_for(lambda: fleet.value("SELECT state FROM replacements WHERE id = %s", ident) == "completed", PATIENCE_S, "the replacement", every=0.1)
        took = time.monotonic() - started
        agents.is_over.set()
        agents.join()
        done, revoked = fleet.query("SELECT done, (SELECT count(*) FROM certificate_revocations WHERE issuer_id = 'iss-left') FROM replacements WHERE id = %s", ident)[0]
    assert (plan["certificates"], done, revoked) == (count, count, count), (plan, done, revoked)
    bench.add(name, count / took, "cert/s", None, None,
              f"{count} certificates in {took:.1f} s, moved, issued, deployed by agents that stand in, the old revoked; 2 workers; planned in "
              f"{planned * 1000:.0f} ms")


ENTRIES = {"replace_10k": lambda bench: replace(bench, "replace_10k", COUNT), "replace_plan_1m": lambda bench: plan(bench, "replace_plan_1m", PLANNED)}
