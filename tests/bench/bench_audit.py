"""
Entries of the audit trail.  Each takes the Bench, which collects the figures.
"""
import statistics
import time

from bench_common import BENCH_PG, RUNS
from fleet import Fleet, wait_for

WRITERS = 8
# The row of an ordinary event, and an ordinary table for it.
COLUMNS = "(actor, actor_type, action, resource_type, resource_id, details)"
ROW = ("('worker', 'System', 'renewal_job_completed', 'certificate', 'cert-' || :n, "
       "'{\"serial_number\": \"0123456789abcdef0123456789abcdef01234567\", \"job_id\": \"job-1764209000123456000-7\"}')")
PLAIN = """
    CREATE TABLE plain (id text NOT NULL DEFAULT id_new('plain') PRIMARY KEY, actor varchar(255) NOT NULL, actor_type varchar(50) NOT NULL,
        action varchar(255) NOT NULL, resource_type varchar(255) NOT NULL, resource_id varchar(255) NOT NULL, details jsonb,
        timestamp timestamptz NOT NULL DEFAULT clock_timestamp(), event_category text NOT NULL DEFAULT 'cert_lifecycle')"""


def script(fleet, table, rows):
    path = fleet.dir / f"{table}.sql"
    path.write_text(f"\\set n random(1, 1000000)\nINSERT INTO {table} {COLUMNS} VALUES {', '.join([ROW] * rows)};\n")
    return path


def is_sealed(fleet):
    return fleet.value("SELECT audit_is_sealed_before('infinity')")


def append(bench, fleet, name, rows):
    audited, plain, sealed_s = [], [], []
    for _ in range(RUNS):
        fleet.query("CHECKPOINT")
        plain.append(rows * bench.pgbench(fleet, script(fleet, "plain", rows), WRITERS))
        fleet.query("CHECKPOINT")
        audited.append(rows * bench.pgbench(fleet, script(fleet, "audit_events", rows), WRITERS))
        ended = time.monotonic()
        wait_for(lambda: is_sealed(fleet), 120, "all to be sealed")
        sealed_s.append(time.monotonic() - ended)
    count = fleet.value("SELECT count(*) FROM audit_events")
    assert count == fleet.value("SELECT sum(rows) FROM audit_blocks"), "rows in no block, or in two"
    bench.add(name, statistics.median(audited), "rows/s", statistics.median(a / b for a, b in zip(audited, plain)), None,
              f"{WRITERS} writers, {rows} row(s) a transaction, sealing beside it; unaudited {statistics.median(plain):.0f}/s; "
              f"all sealed {statistics.median(sealed_s):.1f} s after the last")


def audit_append(bench):
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG)
        bench.look_at_settings(fleet)
        fleet.query(PLAIN)
        fleet.start_scheduler(1)
        append(bench, fleet, "audit_append", 1)
        append(bench, fleet, "audit_append_10", 10)


ENTRIES = {"audit_append": audit_append}
