"""
PostgreSQL is stopped and started in the middle of a drain: how long jobs stand still, and that none is lost or done twice.
"""
import time

import engine
from fleet import wait_for
from load import done_since, last_lease
from report import NotMeasured

NAME = "postgresql_restart"
GROUP = "scale"
SECONDS = LONGEST = 60  # in less time there are fewer renewals
OWN_SERVER = "a given server is not ours to restart"
WHAT = "PostgreSQL stopped (fast) and started in the middle of 20000 renewals"
CERTIFICATES = 20000
LEAST_RATE = 50
SIGINT = 2
LIMIT_MS = 10000


def restart(stack):
    """(milliseconds it was down, milliseconds from its answer to a job handed out after that)"""
    lease = last_lease(stack)
    server = stack.processes["postgres"]
    started = time.monotonic()
    status = server.stop(60, SIGINT)
    if status != 0:
        raise NotMeasured(f"PostgreSQL ended with status {status}")
    stack.forget_connections()
    server.start()

    def answers():
        try:
            return stack.value("SELECT 1")
        except Exception:  # noqa: BLE001 - not yet
            stack.forget_connections()
            return None
    wait_for(answers, 60, "PostgreSQL", every=0.02)
    up = time.monotonic()
    wait_for(lambda: done_since(stack, lease), 60, "a job after that", every=0.01)
    return (up - started) * 1000, (time.monotonic() - up) * 1000


def run(run):
    count = engine.scaled(run, CERTIFICATES, least=3000)
    run.report.load(what=WHAT.replace(str(CERTIFICATES), str(count)))
    csrs = engine.csrs()
    with engine.stocked(run, count) as stack:
        with engine.draining(stack, run.report, count, csrs) as drain:
            wait_for(lambda: stack.value("SELECT count(*) FROM jobs WHERE status = 'Completed'") > count // 20, 60, "the drain", every=0.02)
            before = stack.value("SELECT count(*) FROM jobs WHERE status = 'Completed'")
            down, again = restart(stack)
            engine.wait_drained(stack, count, 120 + count / LEAST_RATE)
        run.report.measure("PostgreSQL away", "ms", values=[down])
        run.report.measure("from its answer to a job handed out after that", "ms", values=[again])
        run.report.floor("PostgreSQL away; ratio: until a job that was handed out after it ends", round(down, 1), "ms",
                         round((down + again) / down, 3))
        run.report.measure("jobs ended a second", "jobs/s", values=drain.rates())
        run.report.count(completed_before=before)
        run.report.threshold("jobs that were left when it stopped", "> 0", count - before)
        engine.judge(stack, run.report, count)
        run.report.threshold("until jobs end again", f"< {LIMIT_MS} ms", round(again, 1))
        status, _ = stack.api.get("/ready")
        run.report.threshold("the API is ready afterwards", "== 200", status)
