"""
Entries of the scheduler and the job engine.  Each takes the Bench, which
collects the figures.
"""
import re
import statistics
import threading
import time

from bench_common import BENCH_PG, RUNS, pss_kb, sized, wait_completed
from fleet import Fleet, wait_for

DUE = sized(10000, 100)
INVENTORY = sized(1000000, 2000)
DRAIN = sized(20000, 600)
NOOPS = sized(100000, 2000)
HELD_DEAD = sized(500000, 1000)


# --- the renewal scan ---

def make_inventory(fleet, count, due):
    """count certificates; every (count / due)th has been due for a while."""
    fleet.query("""
        INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id,
            status, expires_at, valid_from, environment, tags)
        SELECT 'mc-' || i, 'mc-' || i, 'mc-' || i || '.example.test', ARRAY['mc-' || i || '.example.test'], 'o-test', 't-test',
            'iss-local', 'rp-default', 'Active', s.start + interval '90 days', s.start, 'production', '{"owner": "x"}'
        FROM generate_series(1, %s) i,
            LATERAL (SELECT now() - CASE WHEN i %% %s = 0 THEN interval '70 days' ELSE interval '10 days' END) AS s (start)""",
                count, count // due)
    # As long ago as they were made: no rule is to be held against all of them.
    fleet.query("UPDATE policy_rules SET walked_to = NULL")


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
              f"{count} certificates, {DUE} due, all enqueued in chunks of 2500; scheduler {before} -> {after} KB PSS", at_most=True)


# --- no-op jobs ---

def make_noops(fleet, count):
    """Ids of some from every lease: what is looked at must cost nothing."""
    return fleet.value("""
        WITH made AS (INSERT INTO tasks (id, kind, subject, run_after) SELECT id_new('task'), 'noop', 'bench', clock_timestamp()
            FROM generate_series(1, %s) RETURNING id)
        SELECT array_agg(id) FROM (SELECT id, row_number() OVER () AS n FROM made) m WHERE n %% 500 = 0 OR n = %s""", count, count)


def wal_at(fleet):
    return fleet.value("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8")


def drain(fleet, count):
    """(noops/s, KiB of WAL each) through scheduler, bus and workers."""
    fleet.query("CHECKPOINT")
    some = make_noops(fleet, count)
    wal, started = wal_at(fleet), time.monotonic()
    wait_for(lambda: fleet.value("SELECT count(*) FROM tasks WHERE id = ANY (%s)", some) == 0, 120, "the drain", every=0.02)
    took = time.monotonic() - started
    wait_for(lambda: fleet.value("SELECT count(*) FROM tasks") == 0, 20, "the rest")
    return count / took, (wal_at(fleet) - wal) / 1024 / count


def drain_raw(fleet, count):
    """The same claims and ends from two connections, and nothing else."""
    fleet.query("UPDATE leadership SET term = term + 1, holder = 'raw', nonce = 'raw', expires_at = now() + interval '1 hour'")
    term = fleet.value("SELECT term FROM leadership")
    fleet.query("CHECKPOINT")
    make_noops(fleet, count)

    def end(worker, lease):
        fleet.query("SELECT tasks_done(%s, %s, (SELECT array_agg(id) FROM tasks WHERE lease_id = %s AND leased_by = %s "
                    "AND status = 'Running'))", worker, lease, lease, worker)

    def work(worker):
        key = ("-infinity", "")
        while rows := fleet.query("SELECT lease_id, last_after::text, last_id FROM tasks_claim('raw', %s, %s, 1000, %s, %s, 60000) "
                                  "WHERE claimed > 0", term, worker, *key):
            lease, key = rows[0][0], rows[0][1:]
            end(worker, lease)

    threads = []
    for worker in ("raw-1", "raw-2"):
        fleet.query("SELECT worker_renew(%s, %s, 'bench', 1, '', 1, 1700)", worker, worker)
        fleet.query("UPDATE workers SET lease_until = now() + interval '1 hour' WHERE incarnation = %s", worker)
        threads.append(threading.Thread(target=work, args=(worker,)))
    started = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.monotonic() - started
    # A claim that came too late for what another had claimed holds it until it
    # ends, and it was passed over.  Here two claim at once; a leader is alone.
    for worker, lease in fleet.query("SELECT DISTINCT leased_by, lease_id FROM tasks"):
        end(worker, lease)
    assert fleet.value("SELECT count(*) FROM tasks") == 0
    return count / took


def start_engine(bench, fleet, **more):
    fleet.start_postgres(**BENCH_PG)
    bench.look_at_settings(fleet)
    fleet.start_scheduler(1, CERTCTL_LOG_LEVEL="warn", **more)
    for i in (1, 2):
        fleet.start_worker(i, CERTCTL_LOG_LEVEL="warn")
    drain(fleet, 1000)


def stop_engine(fleet):
    for name in ("scheduler-1", "worker-1", "worker-2"):
        fleet.processes[name].stop()


def drain_noop(bench):
    ours, raws, wal = [], [], []
    for _ in range(RUNS):
        with Fleet("bench") as fleet:
            start_engine(bench, fleet)
            rate, kib = drain(fleet, NOOPS)
            ours.append(rate)
            wal.append(kib)
            stop_engine(fleet)
            raws.append(drain_raw(fleet, NOOPS))
    bench.add("drain_noop", statistics.median(ours), "job/s", statistics.median(a / b for a, b in zip(ours, raws)), 0.35,
              f"{NOOPS} no-ops, 2 workers, batches of 1000, 25 permits; raw SQL {statistics.median(raws):.0f}/s; target 40000")
    bench.add("wal_per_job_noop", statistics.median(wal), "KiB", None, 1.8, "claim and end, without the insert", at_most=True)


def make_dead(fleet, count):
    """What draining count no-ops leaves while a snapshot is held."""
    make_noops(fleet, count)
    fleet.query("UPDATE tasks SET status = 'Running', leased_by = 'gone', lease_id = nextval('lease_seq'), "
                "attempt_until = now() + interval '1 minute'")
    fleet.query("DELETE FROM tasks")


def drain_with_held_snapshot(bench):
    free, held = [], []
    for _ in range(RUNS):
        with Fleet("bench") as fleet:
            start_engine(bench, fleet)
            free.append(drain(fleet, NOOPS)[0])
            with fleet.admin() as other:
                other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                other.execute("SELECT count(*) FROM tasks")
                make_dead(fleet, HELD_DEAD)
                held.append(drain(fleet, NOOPS)[0])
                other.execute("ROLLBACK")
    bench.add("drain_with_held_snapshot", statistics.median(held), "job/s",
              statistics.median(a / b for a, b in zip(held, free)), 0.8,
              f"{NOOPS} no-ops, 2 workers, batches of 1000, 25 permits; a REPEATABLE READ snapshot keeps {2 * HELD_DEAD} dead rows "
              f"of {HELD_DEAD} earlier jobs; without it {statistics.median(free):.0f}/s")


# --- a million certificates ---

def make_renewals(fleet, count, first, every, csrs):
    """Renewals whose CSRs are in, spread over the inventory."""
    fleet.query("UPDATE managed_certificates SET status = 'RenewalInProgress' "
                "WHERE id IN (SELECT 'mc-' || (%s + i * %s) FROM generate_series(0, %s - 1) i)", first, every, count)
    fleet.query("""
        WITH made AS (
            INSERT INTO jobs (id, type, certificate_id, status, issuer_id, dedupe_key, scheduled_at)
            SELECT id_new('job'), 'Renewal', c.id, 'Pending', 'iss-local', 'issue:' || c.id || ':', now()
            FROM generate_series(0, %s - 1) i, LATERAL (SELECT 'mc-' || (%s + i * %s) AS id) c RETURNING id)
        INSERT INTO certificate_requests SELECT id, (%s::text[])[1 + row_number() OVER () %% %s], '' FROM made""",
                count, first, every, csrs, len(csrs))


def drain_local_ca_1m(bench):
    rates, wal, csrs = [], [], bench.csrs()
    every = INVENTORY // DRAIN
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG)
        bench.look_at_settings(fleet)
        fleet.start_plane(workers=2, CERTCTL_LOG_LEVEL="warn")
        fleet.make_basics()
        bench.make_certificates(fleet, INVENTORY)
        fleet.query("VACUUM ANALYZE")
        for run in range(RUNS):
            fleet.query("CHECKPOINT")
            make_renewals(fleet, DRAIN, 1 + run, every, csrs)
            before, started = wal_at(fleet), time.monotonic()
            wait_completed(fleet, DRAIN * (run + 1))
            rates.append(DRAIN / (time.monotonic() - started))
            wal.append((wal_at(fleet) - before) / 1024 / DRAIN)
    bench.add("drain_local_ca_1m", statistics.median(rates), "cert/s", None, None,
              f"{DRAIN} renewals spread over {INVENTORY} certificates, 2 workers, batches of 256, 25 permits; "
              f"{statistics.median(wal):.1f} KiB of WAL each; target 3000")


# --- fail-over ---

def leader(fleet):
    return fleet.value("SELECT s.name FROM leadership l JOIN schedulers s ON s.incarnation = l.holder "
                       "WHERE l.expires_at > clock_timestamp()")


def failover(bench):
    took = []
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG)
        bench.look_at_settings(fleet)
        for i in (1, 2):
            fleet.start_scheduler(i, CERTCTL_LOG_LEVEL="warn")
        fleet.start_worker(1, CERTCTL_LOG_LEVEL="warn")
        for _ in range(2 * RUNS):
            name = wait_for(lambda: leader(fleet), 20, "a leader")
            drain(fleet, 1000)
            wait_for(lambda: fleet.value("SELECT count(DISTINCT name) FROM schedulers WHERE seen_at > "
                                         "clock_timestamp() - interval '2 seconds'") == 2, 20, "two schedulers")
            started = time.monotonic()
            fleet.processes[name].kill()
            make_noops(fleet, 1)
            wait_for(lambda: not fleet.value("SELECT EXISTS (SELECT 1 FROM tasks)"), 30, "the next job", every=0.002)
            took.append((time.monotonic() - started) * 1000)
            fleet.start_scheduler(int(name[-1]), CERTCTL_LOG_LEVEL="warn")
    bench.add("failover", statistics.median(took), "ms", None, 2000,
              f"from SIGKILL of the leader to the next job committed, {len(took)} times, worst {max(took):.0f}; one standby",
              at_most=True)


ENTRIES = {
    "renewal_scan_100k": lambda bench: renewal_scan(bench, "renewal_scan_100k", sized(100000, 1000)),
    "renewal_scan_1m": lambda bench: renewal_scan(bench, "renewal_scan_1m", INVENTORY),
    "drain_noop": drain_noop,
    "drain_with_held_snapshot": drain_with_held_snapshot,
    "drain_local_ca_1m": drain_local_ca_1m,
    "failover": failover,
}
