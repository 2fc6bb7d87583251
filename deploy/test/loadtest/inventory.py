"""
An inventory of a stack, made by SQL, and what is asked of it: what flat.py and costs.py share with make bench (tests/bench), whose
statements these are.
"""
import gzip
import json
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[3] / "tests" / "bench")]
import bench  # noqa: E402
import bench_engine  # noqa: E402
import bench_lists  # noqa: E402
from bench_common import pss_kb, wait_completed  # noqa: E402
from fleet import clean_env, wait_for  # noqa: E402
from report import NotMeasured  # noqa: E402
from stack import LIMITED  # noqa: E402

# One that walks the inventory is no address of a stranger: the limiter stays on, with a rate for its key.
WALKER = {"CERTCTL_RATE_LIMIT_PER_USER_RPS": "1000000", "CERTCTL_RATE_LIMIT_PER_USER_BURST": "1000000"}
CONNECTIONS = 16
TRIES = 10
# wrk tells 50, 90 and 99 of a hundred by itself; of its record it tells any.
DONE = """
function done(summary, latency)
    local e = summary.errors
    io.write(string.format('WRK {"count":%d,"us":%d,"p50":%d,"p95":%d,"p99":%d,"max":%d,"errors":%d}\\n', summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(95), latency:percentile(99), latency.max, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def start(stack):
    """The programs; the scheduler says how long a scan took."""
    stack.bus_count = 1
    stack.start_scheduler(1, **LIMITED | {"CERTCTL_LOG_LEVEL": "info"})
    for i in (1, 2):
        stack.start_worker(i, **LIMITED)
    stack.start_apiserver(**LIMITED | WALKER)
    stack.tell_settings()
    stack.make_basics()
    wait_for(lambda: stack.value("SELECT count(*) FROM ca_certificates"), 60, "the CA")
    wait_for(lambda: stack.value("SELECT last_finished_at FROM duties WHERE name = 'renewal_scan'"), 60, "the first scan")


def grow(stack, before, count):
    """From so many certificates to so many; none is due."""
    stack.query(bench_lists.FILL, before, count)
    stack.query("UPDATE policy_rules SET walked_to = NULL")
    with stack.admin() as c:
        c.execute("VACUUM ANALYZE")
        c.execute("CHECKPOINT")


def set_due(stack, count, due, is_due):
    """Every (count / due)th certificate has been due for a while, or is not again."""
    stack.query("UPDATE managed_certificates SET status = %s, valid_from = now() - %s * interval '1 day', "
                "expires_at = now() + %s * interval '1 day', renew_after = CASE WHEN %s THEN now() - interval '1 hour' "
                "ELSE now() + interval '50 days' END WHERE id IN (SELECT 'mc-' || i * %s FROM generate_series(1, %s) i)",
                *(("Expiring", 70, 20) if is_due else ("Active", 10, 80)), is_due, count // due, due)


def scan(stack, count, due):
    """
    Milliseconds of one renewal scan over what is due, all of it enqueued.  A scan passes over rows that another duty writes just
    then; such a one is not what is measured, and is taken again.
    """
    for _ in range(TRIES):
        stack.query("TRUNCATE jobs CASCADE")
        # By their ids: a duty may have met meanwhile that no job renews them.
        set_due(stack, count, due, True)
        with stack.admin() as c:
            c.execute("VACUUM ANALYZE managed_certificates")
            c.execute("CHECKPOINT")
        seconds, found, enqueued = bench_engine.scan_once(stack)
        if (found, enqueued) == (due, due):
            return 1000 * seconds
    raise NotMeasured(f"the scan found {found} due and enqueued {enqueued}, of {due}, {TRIES} times")


def clear_jobs(stack):
    stack.query("TRUNCATE jobs CASCADE")
    stack.query("UPDATE managed_certificates SET status = 'Active' WHERE status = 'RenewalInProgress'")


def drain(stack, count, first, every, csrs):
    """Certificates renewed a second: so many jobs whose CSRs are in, from their commit until the last is Completed; jobs were cleared."""
    with stack.admin() as c:
        c.execute("CHECKPOINT")
    bench_engine.make_renewals(stack, count, first, every, csrs)
    took = -stack.value("SELECT extract(epoch FROM clock_timestamp())::float8")
    wait_completed(stack, count)
    return count / (took + stack.value("SELECT extract(epoch FROM clock_timestamp())::float8"))


def csrs():
    return bench.Bench().csrs()


def wal_at(stack):
    return bench_engine.wal_at(stack)


def resident_kb(stack, name):
    return pss_kb(stack.processes[name].pid)


def ask(stack, name, request, seconds, port=None):
    """What wrk says of asking over and over; request: of Lua."""
    path = bench_lists.script(stack, name, request, **{"Cache-Control": "no-cache"})
    path.write_text(path.read_text(encoding="utf-8") + DONE, encoding="utf-8")
    url = f"https://127.0.0.1:{port or stack.api_port}/"
    process = stack.generate(name, ["/usr/bin/wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", path, url])
    status = stack.await_generator(process, seconds + 60, every=0.2)
    text = process.log()
    found = [json.loads(line[4:]) for line in text.splitlines() if line.startswith("WRK ")]
    assert status == 0 and len(found) == 1, f"wrk ended with {status}: {text[-400:]}"
    with gzip.open(stack.dir / f"{name}.wrk.gz", "wt", encoding="utf-8") as out:
        out.write(text)
    return found[0]


def kept(stack, name):
    """What wrk said, for the raw files."""
    return stack.dir / f"{name}.wrk.gz"


def tell(report, name, said):
    ms = {key: said[key] / 1000 for key in ("p50", "p95", "p99", "max")}
    report.measure(name, "ms", count=said["count"], rate=round(said["count"] / (said["us"] / 1e6), 1), errors=said["errors"], **ms)


def wrk_version():
    done = subprocess.run(["/usr/bin/wrk", "-v"], capture_output=True, text=True, env=clean_env(), check=False)
    return (done.stdout + done.stderr).split()[1]
