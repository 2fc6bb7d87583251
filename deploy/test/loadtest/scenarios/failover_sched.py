"""
The leading scheduler is killed while renewals drain: how long until a job that was handed out after it ends.
"""
import statistics
import time

import engine
from fleet import wait_for
from load import done_since, last_lease

NAME = "scheduler_failover"
GROUP = "scale"
SECONDS = LONGEST = 60  # in less time there are fewer renewals
WHAT = "SIGKILL of the leading scheduler in the middle of 20000 renewals, three times; one stands by"
CERTIFICATES = 20000
KILLS = 3
LEAST_RATE = 50
LIMIT_MS = 5000


def leader(stack):
    return stack.value("SELECT s.name FROM leadership l JOIN schedulers s ON s.incarnation = l.holder WHERE l.expires_at > clock_timestamp()")


def both_stand(stack):
    return stack.value("SELECT count(DISTINCT name) FROM schedulers WHERE seen_at > clock_timestamp() - interval '2 seconds'") == 2


def kill_one(stack):
    """(milliseconds until a job handed out by the next leader has ended, milliseconds that the killed one's lease still had)"""
    name = wait_for(lambda: leader(stack), 20, "a leader")
    wait_for(lambda: both_stand(stack), 20, "two schedulers")
    lease = last_lease(stack)
    before, left = stack.query("SELECT term, 1000 * extract(epoch FROM expires_at - clock_timestamp())::float8 FROM leadership")[0]
    started = time.monotonic()
    stack.processes[name].kill()
    wait_for(lambda: stack.value("SELECT term FROM leadership") > before, 30, "the next leader", every=0.005)
    lease = max(lease, last_lease(stack) - 1)
    wait_for(lambda: done_since(stack, lease), 30, "a job of the next leader", every=0.01)
    took = (time.monotonic() - started) * 1000
    stack.start_scheduler(int(name.rsplit("-", 1)[1]), CERTCTL_LOG_LEVEL="warn")
    return took, left


def run(run):
    count = engine.scaled(run, CERTIFICATES, least=3000)
    run.report.load(what=WHAT.replace(str(CERTIFICATES), str(count)))
    csrs = engine.csrs()
    took, least = [], []
    with engine.stocked(run, count, schedulers=2) as stack:
        with stack.sampled(), engine.watched(stack, run.report) as drain:
            for k in range(KILLS):
                part = count // KILLS
                first = k * part
                enqueue_part(stack, first, part, csrs)
                wait_for(lambda: stack.value("SELECT count(*) FROM jobs WHERE status = 'Completed'") > first + part // 20, 60, "the drain",
                         every=0.02)
                for figures, figure in zip((took, least), kill_one(stack)):
                    figures.append(figure)
                engine.wait_drained(stack, part, 120 + part / LEAST_RATE)
        done = count // KILLS * KILLS
        run.report.measure("from the kill to a job of the next leader", "ms", values=took)
        run.report.measure("jobs ended a second", "jobs/s", values=drain.rates())
        run.report.floor("what the killed leader's lease still had, median", round(statistics.median(least), 1), "ms",
                         round(statistics.median(took) / statistics.median(least), 3))
        stack.query("DELETE FROM managed_certificates WHERE id NOT IN (SELECT certificate_id FROM jobs)")
        engine.judge(stack, run.report, done)
        run.report.threshold("kills in the middle of the drain", f"== {KILLS}", len(took))
        run.report.threshold("longest until a job of the next leader", f"< {LIMIT_MS} ms", round(max(took), 1))
        run.report.threshold("median of them", f"< {LIMIT_MS} ms", round(statistics.median(took), 1))


def enqueue_part(stack, first, part, csrs):
    stack.query("UPDATE managed_certificates SET status = 'RenewalInProgress' WHERE id IN (SELECT 'mc-' || i FROM generate_series(%s, %s) i)",
                first + 1, first + part)
    stack.query("""
        WITH made AS (INSERT INTO jobs (id, type, certificate_id, status, issuer_id, dedupe_key, scheduled_at)
            SELECT id_new('job'), 'Renewal', 'mc-' || i, 'Pending', 'iss-local', 'issue:mc-' || i || ':', now()
            FROM generate_series(%s, %s) i RETURNING id)
        INSERT INTO certificate_requests SELECT id, (%s::text[])[1 + row_number() OVER () %% %s], '' FROM made""",
                first + 1, first + part, csrs, len(csrs))
