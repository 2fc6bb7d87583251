#!/usr/bin/python3
"""
make bench: measures what certctl promises and what the machine could do at
most, in the same run, and prints both with their ratio.

    bench.py [--short] [--out FILE] [NAME ...]

Entries of other files join through PLUGINS: each is a module here whose
ENTRIES maps a name to a function that takes the Bench.

Figures are medians of at least five runs.  Absolute figures move with the
machine; the gates are ratios.  A figure passes only with fsync,
synchronous_commit and full_page_writes on.  Nothing here fails a build.
--short takes little of everything and judges no figure; the tests run it to
see that each entry still works.
"""
import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench_common import BENCH_PG, IS_SHORT, RUNS, pss_kb, sized, wait_completed  # first: it finds fleet
from fleet import API_KEY, BUILD, ROOT, Fleet, clean_env, free_port, wait_for

SECONDS = sized(4, 1)
CONNECTIONS = sized(64, 4)
AGENTS = sized(5000, 50)
DRAIN = sized(20000, 600)
REST_CERTIFICATES = sized(10000, 100)
IDLE_CONNECTIONS = sized(1000, 20)
PLUGINS = (
    "bench_acme",
    "bench_async",
    "bench_audit",
    "bench_bulk",
    "bench_create",
    "bench_engine",
    "bench_events",
    "bench_idle",
    "bench_lists",
    "bench_ocsp",
    "bench_replace",
)


def wrk(url, connections, seconds, script=None):
    """(requests/s, p99 ms, bad answers); in a short while of a busy machine nothing may come, so a short run asks again."""
    for _ in range(sized(1, 5)):
        measured = wrk_once(url, connections, seconds, script)
        if measured[0] > 0:
            break
    return measured


def wrk_once(url, connections, seconds, script):
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    if script:
        argv += ["-s", str(script)]
    out = subprocess.run([*argv, url], capture_output=True, text=True, env=clean_env(), check=True).stdout
    rate, p99, bad = 0.0, 0.0, 0
    for line in out.splitlines():
        words = line.split()
        if line.startswith("Requests/sec:"):
            rate = float(words[1])
        elif words[:1] == ["99%"]:
            unit = {"us": 0.001, "ms": 1, "s": 1000}[words[1].lstrip("0123456789.")]
            p99 = float(words[1].rstrip("mus")) * unit
        elif "Non-2xx" in line or "Socket errors" in line:
            bad += sum(int(w.strip(",")) for w in words if w.strip(",").isdigit())
    return rate, p99, bad


class Bench:
    def __init__(self):
        self.rows = []
        self.entry = None  # whose figures are added
        self.durable = True
        self.settings = {}

    def add(self, name, value, unit, ratio=None, gate=None, note="", at_most=False):
        ok = gate is None or (ratio is not None and ratio >= gate)
        if at_most:
            ok = value <= gate
        passes = None if IS_SHORT else bool(ok and self.durable)
        self.rows.append({"entry": self.entry, "name": name, "value": round(value, 2), "unit": unit,
                          "ratio": None if ratio is None else round(ratio, 3), "gate": gate, "pass": passes, "note": note})
        r = "" if ratio is None else f"ratio {ratio:.2f}"
        g = "" if gate is None else f"gate {gate}"
        judged = {True: "pass", False: "FAIL", None: "-"}[passes]
        print(f"{name:<24} {value:>12.1f} {unit:<10} {r:<12} {g:<10} {judged:<4}  {note}", flush=True)

    def look_at_settings(self, fleet):
        names = ("fsync", "synchronous_commit", "full_page_writes", "wal_compression", "shared_buffers", "server_version")
        self.settings = {n: fleet.value(f"SHOW {n}") for n in names}
        self.durable = all(self.settings[n] == "on" for n in names[:3])
        print("PostgreSQL:", " ".join(f"{k}={v}" for k, v in self.settings.items()), flush=True)

    # --- http_floor ---
    def bare(self, fleet):
        port = free_port()
        fleet.spawn("bare", [BUILD / "tests/bench/bare_evhttp", port, fleet.dir / "tls/api.pem", fleet.dir / "tls/api.key"], {})
        wait_for(lambda: fleet.served_serial(port), 10, "the bare server")
        return port

    def http_floor(self):
        with Fleet("bench") as fleet:
            fleet.start_postgres(**BENCH_PG)
            self.look_at_settings(fleet)
            fleet.start_apiserver(CERTCTL_LOG_LEVEL="warn")
            bare = self.bare(fleet)
            ours, floor = [], []
            for _ in range(RUNS):
                floor.append(wrk(f"https://127.0.0.1:{bare}/health", CONNECTIONS, SECONDS)[0])
                ours.append(wrk(f"https://127.0.0.1:{fleet.api_port}/health", CONNECTIONS, SECONDS)[0])
            ratio = statistics.median(a / b for a, b in zip(ours, floor))
            self.add("http_floor", statistics.median(ours), "req/s", ratio, 0.8,
                     f"bare evhttp {statistics.median(floor):.0f}/s, {CONNECTIONS} connections")

    # --- heartbeat ---
    def heartbeat(self):
        with Fleet("bench") as fleet:
            fleet.start_postgres(**BENCH_PG)
            self.look_at_settings(fleet)
            fleet.start_apiserver(CERTCTL_LOG_LEVEL="warn")
            bare = self.bare(fleet)
            fleet.query("INSERT INTO agents (id, name, hostname, status, last_heartbeat_at, api_key_hash, os, architecture) "
                        "SELECT 'ag-' || i, 'bench-' || i, 'host-' || i, 'Online', now(), 'bench', 'linux', 'x86_64' "
                        "FROM generate_series(1, %s) i", AGENTS)
            fleet.query("VACUUM ANALYZE agents")
            script = fleet.dir / "heartbeat.lua"
            script.write_text(f"""
local n = 0
wrk.method = "POST"
wrk.body = '{{"version":"2.1.0","hostname":"host","os":"linux","architecture":"x86_64"}}'
wrk.headers["Authorization"] = "Bearer {API_KEY}"
wrk.headers["Content-Type"] = "application/json"
function request()
    n = n % {AGENTS} + 1
    return wrk.format(nil, "/api/v1/agents/ag-" .. (n * 7919 % {AGENTS} + 1) .. "/heartbeat")
end
""")
            sql = fleet.dir / "update.sql"
            sql.write_text(f"\\set n random(1, {AGENTS})\nUPDATE agents SET status = 'Online', last_heartbeat_at = now() WHERE id = 'ag-' || :n;\n")
            ours, p99s, floor, singles, bad = [], [], [], [], 0
            for _ in range(RUNS):
                rate, p99, wrong = wrk(f"https://127.0.0.1:{fleet.api_port}/", CONNECTIONS, SECONDS, script)
                ours.append(rate)
                p99s.append(p99)
                bad += wrong
                floor.append(wrk(f"https://127.0.0.1:{bare}/health", CONNECTIONS, SECONDS)[0])
                singles.append(max(self.pgbench(fleet, sql, clients) for clients in (8, 32, 128)))
            value = statistics.median(ours)
            note = f"p99 {statistics.median(p99s):.1f} ms, {AGENTS} agents, {CONNECTIONS} connections, {bad} bad answers"
            self.add("heartbeat", value, "req/s", statistics.median(a / b for a, b in zip(ours, singles)), 1.2,
                     note + f"; pgbench single-row {statistics.median(singles):.0f}/s")
            self.add("heartbeat_vs_bare", value, "req/s", statistics.median(a / b for a, b in zip(ours, floor)), 0.35,
                     f"bare evhttp {statistics.median(floor):.0f}/s")

    @staticmethod
    def pgbench(fleet, sql, clients):
        from fleet import code_schema, pg_bin
        # As the programs' sessions: a default may call what lies in the functions' schema.
        # On a busy machine a short while may end before all clients have come; so many transactions of each do not.
        until = sized(("-T", str(SECONDS)), ("-t", "20"))
        env = clean_env() | {"PGOPTIONS": f"-c search_path={code_schema()},public,pg_temp"}
        out = subprocess.run([pg_bin() / "pgbench", "-h", fleet.socket_dir, "-U", "postgres", "-n", "-M", "prepared",
                              "-c", str(clients), "-j", "2", *until, "-f", sql, "certctl"],
                             capture_output=True, text=True, env=env, check=True).stdout
        return next(float(line.split()[2]) for line in out.splitlines() if line.startswith("tps"))

    # --- drain_local_ca ---
    def make_certificates(self, fleet, count, issuer="'iss-local'"):
        """issuer: SQL that says whose number i is."""
        fleet.query(f"""
            INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id,
                status, expires_at, valid_from, environment, tags)
            SELECT 'mc-' || i, 'mc-' || i, 'mc-' || i || '.example.test', ARRAY['mc-' || i || '.example.test'], 'o-test', 't-test',
                {issuer}, 'rp-default', 'Active', now() + interval '80 days', now() - interval '10 days', 'production',
                '{{"owner": "x"}}' FROM generate_series(1, %s) i""", count)
        fleet.query("UPDATE policy_rules SET walked_to = NULL")

    def make_jobs(self, fleet, count, csrs):
        """Renewals whose CSRs are in, and their certificates in progress."""
        fleet.query("UPDATE managed_certificates SET status = 'RenewalInProgress'")
        fleet.query("""
            WITH made AS (
                INSERT INTO jobs (id, type, certificate_id, status, issuer_id, dedupe_key, scheduled_at)
                SELECT id_new('job'), 'Renewal', 'mc-' || i, 'Pending', 'iss-local', 'issue:mc-' || i || ':', now()
                FROM generate_series(1, %s) i RETURNING id)
            INSERT INTO certificate_requests SELECT id, (%s::text[])[1 + row_number() OVER () %% %s], '' FROM made""",
                    count, csrs, len(csrs))

    def csrs(self, n=64):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
        made = []
        for i in range(n):
            name = f"mc-{i}.example.test"
            key = ec.generate_private_key(ec.SECP256R1())
            made.append(x509.CertificateSigningRequestBuilder()
                        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
                        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
                        .sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode())
        return made

    def drain_raw(self, fleet, pem, batch):
        """The same claim and completion from two connections, no crypto."""
        fleet.query("UPDATE leadership SET term = term + 1, holder = 'raw', nonce = 'raw', expires_at = now() + interval '1 hour'")
        term = fleet.value("SELECT term FROM leadership")
        for w in ("raw-1", "raw-2"):
            fleet.query("SELECT worker_renew(%s, %s, 'bench', 1, '', 1, 1700)", w, w)
            fleet.query("UPDATE workers SET lease_until = now() + interval '1 hour' WHERE incarnation = %s", w)
        total = [0, 0]

        def work(i):
            w = f"raw-{i + 1}"
            while True:
                rows = fleet.query("SELECT lease_id, claimed FROM jobs_claim('raw', %s, %s, 'iss-local', %s, '-infinity', '', 60000) "
                                   "WHERE claimed > 0", term, w, batch)
                if not rows:
                    return
                lease = rows[0][0]
                jobs = fleet.query("SELECT id, csr_pem, serial_number, not_before, not_after FROM jobs "
                                   "JOIN certificate_requests ON job_id = id WHERE leased_by = %s AND lease_id = %s "
                                   "AND status = 'Running'", w, lease)
                ids = [j[0] for j in jobs]
                fleet.query("SELECT count(*) FROM issue_complete(%s, %s, %s, %s, %s, %s, %s::int[], %s)", w, lease, ids, [pem] * len(ids),
                            [j[2] for j in jobs], ["ECDSA"] * len(ids), [256] * len(ids), pem)
                total[i] += len(ids)

        started = time.monotonic()
        threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return sum(total) / (time.monotonic() - started)

    def drain_local_ca(self):
        batch = 256
        csrs = self.csrs()
        ours, raws, wal = [], [], []
        for _ in range(RUNS):
            with Fleet("bench") as fleet:
                fleet.start_postgres(**BENCH_PG)
                if not ours:
                    self.look_at_settings(fleet)
                fleet.start_plane(workers=2, CERTCTL_LOG_LEVEL="warn", CERTCTL_BATCH_SIZE=str(batch))
                fleet.make_basics()
                self.make_certificates(fleet, DRAIN)
                wait_for(lambda: fleet.value("SELECT count(*) FROM ca_certificates"), 20, "the CA")
                fleet.query("VACUUM ANALYZE")
                fleet.query("CHECKPOINT")
                self.make_jobs(fleet, DRAIN, csrs)
                made, lsn = time.monotonic(), fleet.value("SELECT pg_current_wal_insert_lsn()")
                wait_completed(fleet, DRAIN)
                ours.append(DRAIN / (time.monotonic() - made))
                wal.append(fleet.value("SELECT (pg_current_wal_insert_lsn() - %s::pg_lsn)::float8", lsn) / 1024 / DRAIN)
                pem = fleet.value("SELECT pem_chain FROM certificate_versions LIMIT 1").split("-----END CERTIFICATE-----")[0] + \
                    "-----END CERTIFICATE-----\n"
                for name in ("scheduler-1", "worker-1", "worker-2", "apiserver"):
                    fleet.processes[name].stop()
                fleet.query("TRUNCATE jobs, certificate_requests, certificate_versions, certificate_target_mappings CASCADE")
                fleet.query("VACUUM FULL managed_certificates")
                fleet.query("VACUUM ANALYZE")
                self.make_jobs(fleet, DRAIN, csrs)
                fleet.query("CHECKPOINT")
                raws.append(self.drain_raw(fleet, pem, batch))
        self.add("drain_local_ca", statistics.median(ours), "cert/s", statistics.median(a / b for a, b in zip(ours, raws)), 0.35,
                 f"{DRAIN} certificates, 2 workers, batches of {batch}, 25 permits; raw SQL {statistics.median(raws):.0f}/s; target 7000")
        self.add("wal_per_job_local_ca", statistics.median(wal), "KiB", None, 4, "claim and completion, without the insert of the job",
                 at_most=True)

    # --- memory ---
    def memory(self):
        import socket
        import ssl
        with Fleet("bench") as fleet:
            fleet.start_postgres(**BENCH_PG)
            self.look_at_settings(fleet)
            fleet.start_plane(workers=2)
            fleet.make_basics()
            self.make_certificates(fleet, REST_CERTIFICATES)
            fleet.api.need("GET", "/api/v1/certificates?per_page=50")
            names = ("apiserver", "scheduler-1", "worker-1", "worker-2")
            wait_for(lambda: fleet.value("SELECT count(*) FROM ca_certificates"), 20, "the CA")
            rest = sum(pss_kb(fleet.processes[n].pid) for n in names)
            self.add("memory_at_rest", rest / 1024, "MB PSS", None, 40,
                     ", ".join(f"{n} {pss_kb(fleet.processes[n].pid) / 1024:.1f}" for n in names), at_most=True)
            context = ssl.create_default_context(cafile=str(fleet.dir / "tls/api.pem"))
            before = pss_kb(fleet.processes["apiserver"].pid)
            held = []
            for _ in range(IDLE_CONNECTIONS):
                raw = socket.create_connection(("127.0.0.1", fleet.api_port))
                held.append(context.wrap_socket(raw, server_hostname="localhost"))
            after = pss_kb(fleet.processes["apiserver"].pid)
            self.add("memory_connection", (after - before) / IDLE_CONNECTIONS, "KB", None, 20,
                     f"{IDLE_CONNECTIONS} idle TLS connections", at_most=True)
            for s in held:
                s.close()

    ENTRIES = {"http_floor": http_floor, "heartbeat": heartbeat, "drain_local_ca": drain_local_ca, "memory": memory}


def all_entries():
    entries = dict(Bench.ENTRIES)
    for plugin in PLUGINS:
        entries |= importlib.import_module(plugin).ENTRIES
    return entries


def main():
    entries = all_entries()
    parser = argparse.ArgumentParser(prog="bench.py", description="Measures what certctl promises.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="an entry; without one, all")
    parser.add_argument("--short", action="store_true", help="little of everything; no figure is judged")
    parser.add_argument("--out", type=Path, help="where the rows go, JSON")
    arguments = parser.parse_args()
    names = arguments.names or entries
    wrong = [n for n in names if n not in entries]
    if wrong:
        sys.exit(f"bench.py: there is no benchmark {wrong[0]}; there are: {' '.join(entries)}")
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    commit = commit.stdout.strip() or "unknown"
    print(f"commit {commit}, {os.cpu_count()} cores, load generator and database on the same machine", flush=True)
    bench = Bench()
    with Fleet("template") as made:
        made.become_template()
        for bench.entry in names:
            entries[bench.entry](bench)
    out = arguments.out or BUILD / ("bench-short.json" if IS_SHORT else "bench.json")
    out.write_text(json.dumps(bench.rows, indent=1) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
