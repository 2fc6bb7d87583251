"""
The renewal drain: renewals of the local CA whose CSRs are in, through the real scheduler and workers, from the moment they are enqueued
to the last that is Completed; and the same statements without all of it, as the floor.
"""
import engine

NAME = "renewal_drain"
GROUP = "scale"
SECONDS = LONGEST = 60  # in less time there are fewer renewals
TAKES = ("DURATION", "CERTIFICATES")
WHAT = "20000 renewals of the local CA at once, 2 workers (CERTIFICATES=n for others)"
CERTIFICATES = 20000
LEAST_RATE = 100


def run(run):
    count = engine.scaled(run, run.amount("CERTIFICATES", CERTIFICATES))
    run.report.load(what=WHAT.replace(str(CERTIFICATES), str(count)))
    csrs = engine.csrs()
    with engine.stocked(run, count) as stack:
        with engine.draining(stack, run.report, count, csrs) as drain:
            took = engine.wait_drained(stack, count, 120 + count / LEAST_RATE)
        engine.tell_drain(run.report, drain, count, took)
        engine.judge(stack, run.report, count)
        run.report.threshold("jobs a second", f"> {LEAST_RATE} jobs/s", round(count / took, 1))
        if not stack.given:
            raw = engine.raw_rate(stack, count, csrs)
            run.report.floor("the same claims and ends as SQL from two connections", round(raw, 1), "jobs/s", round(count / took / raw, 3))
        else:
            run.report.not_measured("floor: the programs of a given server are not stopped for it")
