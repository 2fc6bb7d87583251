"""
Live events: many listeners while certificates change, one transaction each; how
long after its change an event was received, and what it took.  And what the
rows that triggers write for them cost who creates and renews.
"""
import contextlib
import os
import re
import resource
import statistics
import subprocess
import time
from pathlib import Path

import bench as b
from bench_common import BENCH_PG, RUNS, sized, wait_completed
from bench_create import posts
from bench_engine import make_renewals, wal_at
from bench_lists import with_plane
from fleet import API_KEY, BUILD, Fleet, clean_env, code_schema, pg_bin

LISTENERS = sized(500, 20)
RATE = sized(1000, 50)
# Each of pgbench's clients has a schedule of its own, by chance, and the last one ends later: some more are asked for than are wanted.
ASKED = RATE + RATE // 20
SECONDS = sized(20, 2)
WRITERS = 8
CERTIFICATES = 2000
LATE_MS = 1000
RENEWED = sized(20000, 300)
INVENTORY = sized(200000, 1000)
FILL = """
INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status)
SELECT 'mc-' || i, 'mc-' || i, 'mc-' || i || '.example.test', 'o-test', 't-test', 'iss-local', 'rp-default', 'Active'
FROM generate_series(1, %s) i"""
# What writes changes: a function and how often, or a trigger of a table.
WRITES = {"stats_certificates": 3, "stats_jobs": 2}
ROW_TRIGGERS = {"managed_certificates": "events_certificate_edited", "certificate_target_mappings": "events_deployment"}


# --- events_fanout ---

def cpu_s(pid, children=False):
    """What a process has taken, of its own or with its children that have ended; 0 of one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, fields[11:15 if children else 13])) / os.sysconf("SC_CLK_TCK")


def postgres_cpu_s(pid):
    """The postmaster, those of its backends that live, and those that have ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(cpu_s(child) for child in children) + cpu_s(pid, children=True)


def write(fleet, count):
    """So many changes at that rate, by clients that wait for each commit: how many a second there were, and pgbench's CPU."""
    script = fleet.dir / "flip.sql"
    script.write_text(f"\\set n random(1, {CERTIFICATES})\nUPDATE managed_certificates SET status = CASE status WHEN 'Active' THEN 'Expiring' "
                      "ELSE 'Active' END WHERE id = 'mc-' || :n;\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([pg_bin() / "pgbench", "-h", fleet.socket_dir, "-U", "postgres", "-n", "-M", "prepared", "-c", str(WRITERS), "-j", "1",
                           "-R", str(ASKED), "-t", str(count // WRITERS), "-f", script, "certctl"],
                          env=clean_env(), capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    rate = next(float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("tps"))
    return rate, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def events_fanout(bench):
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG)
        bench.look_at_settings(fleet)
        fleet.start_apiserver(CERTCTL_LOG_LEVEL="warn", CERTCTL_EVENTS_MAX_LISTENERS_PER_KEY=str(LISTENERS))
        fleet.make_basics()
        fleet.query(FILL, CERTIFICATES)
        total = ASKED * SECONDS // WRITERS * WRITERS
        listener = subprocess.Popen([BUILD / "tests/bench/events_listen", str(fleet.api_port), str(LISTENERS), str(4 * SECONDS + 20), str(total)],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_env())
        try:
            listener.stdin.write(API_KEY + "\n")
            listener.stdin.close()
            assert listener.stdout.readline() == "ready\n"
            api, postgres = fleet.processes["apiserver"].pid, fleet.processes["postgres"].pid

            def taken():
                return cpu_s(api), postgres_cpu_s(postgres), cpu_s(listener.pid)
            before, began = taken(), time.monotonic()
            rate, writer = write(fleet, total)
            line = listener.stdout.readline()
            took, after = time.monotonic() - began, taken()
        finally:
            listener.kill()
            listener.wait()
            listener.stdout.close()
        left, fewest, sent, p50, p99, most = map(int, line.split())
        whole = left == LISTENERS and fewest == total and sent == LISTENERS * total
        share = [100 * s / took for s in (*(now - then for now, then in zip(after, before)), writer)]
        bench.add("events_fanout", p99, "ms", None, LATE_MS,
                  f"p99 from change to received; p50 {p50} ms, longest {most} ms; {LISTENERS} listeners, "
                  f"{sent} events{'' if whole else f', SOME MISSING: the fewest had {fewest} of {total}, {left} listeners are left'}; "
                  f"CPU of a core in {took:.1f} s: apiserver {share[0]:.0f} %, PostgreSQL {share[1]:.0f} %, load generator {share[2] + share[3]:.0f} % "
                  f"(listeners {share[2]:.0f} %, pgbench {share[3]:.0f} %)", at_most=True)
        bench.add("events_fanout_rate", rate, "change/s", rate / RATE, 1.0, f"of {RATE}/s that are wanted, over {SECONDS} s")
        assert whole, line


# --- what the changes cost ---

def strip(text, times):
    text, n = re.subn(r"INSERT INTO event_changes\b[^;]*;", "NULL;", text)
    assert n == times, (n, text)
    return text


@contextlib.contextmanager
def without_changes(fleet):
    """The triggers as they would be without live events: the numbers that they keep beside are kept."""
    with fleet.admin() as c:
        whole = []
        for name, times in WRITES.items():
            c.execute("SELECT pg_get_functiondef(%s::regprocedure)", (f"{code_schema()}.{name}()",))
            whole.append(c.fetchone()[0])
            c.execute(strip(whole[-1], times))
        for table, trigger in ROW_TRIGGERS.items():
            c.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
        before = fleet.value("SELECT last_value FROM event_seq")
        yield
        assert fleet.value("SELECT last_value FROM event_seq") == before, "a change was written"
        for text in whole:
            c.execute(text)
        for table, trigger in ROW_TRIGGERS.items():
            c.execute(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")


def by_turns(fleet, prepare, work):
    """Runs with changes and without: (a second, microseconds of PostgreSQL's CPU each, KiB of WAL each).  Which is first takes
    turns, so that what piles up meets both alike.  work says how many there were."""
    runs = {True: [], False: []}
    postgres = fleet.processes["postgres"].pid
    for n in range(2 * RUNS):
        has_changes = n % 4 in (0, 3)
        with contextlib.nullcontext() if has_changes else without_changes(fleet):
            fleet.query("CHECKPOINT")
            prepare(n)
            cpu, wal, began = postgres_cpu_s(postgres), wal_at(fleet), time.monotonic()
            count = work(n)
            took = time.monotonic() - began
            runs[has_changes].append((count / took, 1e6 * (postgres_cpu_s(postgres) - cpu) / count, (wal_at(fleet) - wal) / 1024 / count))
    return runs


def add_cost(bench, name, unit, runs, what):
    ours, without = ([statistics.median(figures) for figures in zip(*runs[has])] for has in (True, False))
    bench.add(name, ours[0], unit, statistics.median(w[0] / o[0] for w, o in zip(runs[True], runs[False])), None,
              f"{what}; {ours[1]:.0f} us of PostgreSQL's CPU and {ours[2]:.2f} KiB of WAL each; without rows of event_changes {without[0]:.0f}/s, "
              f"{without[1]:.0f} us, {without[2]:.2f} KiB")


def cost_create(bench, fleet):
    made, bad = [0], []

    def work(n):
        bad.append(b.wrk(f"https://127.0.0.1:{fleet.api_port}/", b.CONNECTIONS, b.SECONDS, posts(fleet, n))[2])
        made.append(fleet.value("SELECT count(*) FROM managed_certificates"))
        return made[-1] - made[-2]
    runs = by_turns(fleet, lambda n: None, work)
    add_cost(bench, "events_cost_create", "cert/s", runs, f"certificates created, {b.CONNECTIONS} connections, {sum(bad)} bad answers")


def cost_drain(bench):
    csrs, every = bench.csrs(), INVENTORY // RENEWED
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG)
        bench.look_at_settings(fleet)
        fleet.start_plane(workers=2, CERTCTL_LOG_LEVEL="warn")
        fleet.make_basics()
        bench.make_certificates(fleet, INVENTORY)
        fleet.query("VACUUM ANALYZE")

        def work(n):
            wait_completed(fleet, RENEWED * (n + 1))
            return RENEWED
        runs = by_turns(fleet, lambda n: make_renewals(fleet, RENEWED, 1 + n, every, csrs), work)
    add_cost(bench, "events_cost_drain", "cert/s", runs, f"{RENEWED} renewals a run, claim to completion, 2 workers")


ENTRIES = {"events_fanout": events_fanout, "events_cost_create": with_plane(cost_create), "events_cost_drain": cost_drain}
