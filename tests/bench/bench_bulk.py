"""
bulk_renew_10k, bulk_renew_100k: one call over REST, beside a raw
INSERT..SELECT of the very rows of jobs that it made.  bulk_renew_repeats: the
same call five times a second, beside a process that keeps a core busy;
bulk_renew_overlaps: calls that choose the same certificates in other words.
"""
import concurrent.futures
import statistics
import subprocess
import sys
import time

from bench_common import BENCH_PG, RUNS, sized
from fleet import Fleet

CALLS = sized(30, 5)
PAUSE = 0.2


def reset(fleet):
    fleet.query("TRUNCATE jobs CASCADE")
    fleet.query("UPDATE managed_certificates SET status = 'Active' WHERE status <> 'Active'")
    fleet.query("VACUUM FULL managed_certificates")
    fleet.query("VACUUM ANALYZE")
    fleet.query("CHECKPOINT")


def renew(bench, name, count):
    ours, raws, size = [], [], 0
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG)
        bench.look_at_settings(fleet)
        fleet.start_apiserver(CERTCTL_LOG_LEVEL="warn")
        fleet.make_basics()
        bench.make_certificates(fleet, count)
        for _ in range(RUNS):
            reset(fleet)
            started = time.monotonic()
            status, reply = fleet.api.call("POST", "/api/v1/certificates/bulk-renew", {"issuer_id": "iss-local"}, timeout=280)
            ours.append(time.monotonic() - started)
            assert status == 200 and reply["total_enqueued"] == count == len(reply["enqueued_jobs"]), reply
            size = sum(len(j["certificate_id"]) + len(j["job_id"]) + 35 for j in reply["enqueued_jobs"])
            fleet.query("DROP TABLE IF EXISTS made")
            fleet.query("CREATE UNLOGGED TABLE made AS SELECT * FROM jobs")
            reset(fleet)
            started = time.monotonic()
            fleet.query("INSERT INTO jobs SELECT * FROM made")
            raws.append(time.monotonic() - started)
    bench.add(name, count / statistics.median(ours), "cert/s",
              statistics.median(r / o for r, o in zip(raws, ours)), 0.33,
              f"{statistics.median(ours) * 1000:.0f} ms, raw INSERT..SELECT {statistics.median(raws) * 1000:.0f} ms, "
              f"answer {size / 1e6:.1f} MB")


CHOICES = [{"issuer_id": "iss-local"}, {"owner_id": "o-test"}, {"team_id": "t-test"}]


def repeats(bench, name, count, choices):
    """The first finds all due, the others nothing or what it has not come to; what each took, in ms."""
    firsts, others = [], []
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG)
        bench.look_at_settings(fleet)
        fleet.start_apiserver(CERTCTL_LOG_LEVEL="warn")
        fleet.make_basics()
        bench.make_certificates(fleet, count)

        def call(i):
            time.sleep(i * PAUSE)
            started = time.monotonic()
            status, reply = fleet.api.call("POST", "/api/v1/certificates/bulk-renew", choices[i % len(choices)], timeout=60)
            assert (status, reply["total_matched"], reply["total_failed"]) == (200, count, 0)
            return 1000 * (time.monotonic() - started)
        for _ in range(RUNS):
            reset(fleet)
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            try:
                with concurrent.futures.ThreadPoolExecutor(CALLS) as pool:
                    took = list(pool.map(call, range(CALLS)))
            finally:
                busy.kill()
                busy.wait()
            assert fleet.value("SELECT count(*) FROM jobs") == count
            firsts.append(took[0])
            others += took[1:]
    p95, p99 = (sorted(others)[int(q * len(others))] for q in (0.95, 0.99))
    bench.add(name, p95, "ms p95", None, 2000, f"{count} certificates, {1 / PAUSE:.0f} calls/s, {len(others)} behind the first: p99 "
              f"{p99:.0f} ms; the first {statistics.median(firsts):.0f} ms; a process keeps a core busy", at_most=True)


ENTRIES = {
    "bulk_renew_repeats": lambda bench: repeats(bench, "bulk_renew_repeats", sized(10000, 100), CHOICES[:1]),
    "bulk_renew_overlaps": lambda bench: repeats(bench, "bulk_renew_overlaps", sized(10000, 100), CHOICES),
    "bulk_renew_10k": lambda bench: renew(bench, "bulk_renew_10k", sized(10000, 100)),
    "bulk_renew_100k": lambda bench: renew(bench, "bulk_renew_100k", sized(100000, 1000)),
}
