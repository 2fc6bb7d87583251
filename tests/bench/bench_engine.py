"""
Entries of the scheduler and the job engine.  Each takes the Bench, which
collects the figures.
"""
import re
import statistics

from bench_common import BENCH_PG, RUNS, pss_kb
from fleet import Fleet, wait_for

DUE = 10000


# --- the renewal scan ---

def make_inventory(fleet, count, due):
    """count certificates; every (count / due)th has been due for a while."""
    fleet.query("""
        INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id,
            status, expires_at, valid_from)
        SELECT 'mc-' || i, 'mc-' || i, 'mc-' || i || '.example.test', ARRAY['mc-' || i || '.example.test'], 'o-test', 't-test',
            'iss-local', 'rp-default', 'Active', s.start + interval '90 days', s.start
        FROM generate_series(1, %s) i,
            LATERAL (SELECT now() - CASE WHEN i %% %s = 0 THEN interval '70 days' ELSE interval '10 days' END) AS s (start)""",
                count, count // due)


def make_due(fleet, count, due):
    """As make_inventory left them, whatever a scan has done since."""
    fleet.query("TRUNCATE jobs CASCADE")
    fleet.query("UPDATE managed_certificates SET status = 'Active', renew_after = renew_after "
                "WHERE status = 'RenewalInProgress'")
    fleet.query("VACUUM ANALYZE managed_certificates")
    fleet.query("CHECKPOINT")


def scan_once(fleet):
    """The duty as the scheduler runs it: (seconds, due, enqueued)."""
    log = fleet.processes["scheduler-1"].log_path
    seen = log.stat().st_size
    fleet.query("UPDATE duties SET run_requested_at = clock_timestamp() WHERE name = 'renewal_scan'")

    def line():
        return re.search(r"renewal scan complete.*", log.read_text()[seen:])
    found = wait_for(line, 120, "the scan", every=0.05).group()
    return (float(re.search(r"seconds=\"?([0-9.]+)", found).group(1)),
            *(int(re.search(rf" {word}=\"?([0-9]+)", found).group(1)) for word in ("due", "enqueued")))


def renewal_scan(bench, name, count):
    seconds, before, after, chunks = [], 0, 0, set()
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG)
        bench.look_at_settings(fleet)
        fleet.start_apiserver(CERTCTL_LOG_LEVEL="warn")
        fleet.make_basics()
        fleet.start_scheduler(1)
        wait_for(lambda: fleet.value("SELECT last_finished_at FROM duties WHERE name = 'renewal_scan'"), 20, "the first tick")
        make_inventory(fleet, count, DUE)
        fleet.query("VACUUM ANALYZE")
        pid = fleet.processes["scheduler-1"].pid
        before = pss_kb(pid)
        for _ in range(RUNS):
            make_due(fleet, count, DUE)
            took, due, enqueued = scan_once(fleet)
            seconds.append(took)
            chunks.add((due, enqueued))
        after = pss_kb(pid)
    assert chunks == {(DUE, DUE)}, chunks
    bench.add(name, statistics.median(seconds), "s", None, 2,
              f"{count} certificates, {DUE} due, all enqueued in chunks of 1000; scheduler {before} -> {after} KB PSS", at_most=True)


ENTRIES = {
    "renewal_scan_100k": lambda bench: renewal_scan(bench, "renewal_scan_100k", 100000),
    "renewal_scan_1m": lambda bench: renewal_scan(bench, "renewal_scan_1m", 1000000),
}
