"""
Orders that CAs work on for long: how well ten thousand of them are polled when each is due, and what renewals of the local CA pay for
them.  The parts are those of the benchmark.
"""
import statistics
import sys

from fleet import ROOT

sys.path[:0] = [str(ROOT / "tests" / "bench")]
import bench_async  # noqa: E402
import engine  # noqa: E402
from bench import Bench  # noqa: E402
from ca_kinds import start_simulators  # noqa: E402
from stack import LIMITED  # noqa: E402

NAME = "async_polling"
GROUP = "scale"
SECONDS = 60
WHAT = "10000 orders parked at four simulated CAs, each polled once in 300 s, 25 permits, 2 workers"
ORDERS = 10000


def run(run):
    count = engine.scaled(run, ORDERS)
    csrs = engine.csrs()
    bench_async.WINDOW_S = max(5, run.seconds)
    with run.stack(shared_buffers="1GB") as stack:
        settings = start_simulators(stack)
        # What places ten thousand orders comes from one address.
        stack.start_apiserver(**LIMITED, CERTCTL_RATE_LIMIT_RPS="1000", CERTCTL_RATE_LIMIT_BURST="2000")
        stack.start_scheduler(CERTCTL_LOG_LEVEL="warn", CERTCTL_RENEWAL_CONCURRENCY=str(bench_async.PERMITS))
        for i in (1, 2):
            stack.start_worker(i, CERTCTL_LOG_LEVEL="warn", **settings)
        stack.tell_settings()
        engine.make(stack, bench_async.LOCAL)
        alone = [bench_async.drain_local(Bench(), stack, csrs) for _ in range(3)]
        issuers, _ = bench_async.place(stack, csrs, count)
        bench_async.age(stack, count)
        run.report.load(certificates=count + bench_async.LOCAL, orders=count)
        with stack.sampled():
            seen = bench_async.watch(stack, [i.sim for i in issuers])
        beside = [bench_async.drain_local(Bench(), stack, csrs) for _ in range(3)]
        orders = sum(issuer.orders() for issuer in issuers)
        for sim in stack.sims.values():
            sim.close()
        run.report.measure("polls a second", "polls/s", values=[seen.polls])
        run.report.measure("renewals of the local CA beside them", "s", values=beside)
        run.report.count(orders=orders, permits_held=round(seen.permits, 2), connections_held=round(seen.connections, 2))
        run.report.floor("polls that fell due, a second", round(seen.ideal, 2), "polls/s", round(seen.polls / seen.ideal, 3))
        run.report.not_measured("orders placed a second, and the CAs' side: the simulated CAs are in Python")
        run.report.threshold("orders at the CAs, of so many jobs (fewer: lost, more: doubled)", f"== {count}", orders)
        run.report.threshold("polls in those that fell due", "> 0.8", round(seen.polls / seen.ideal, 3))
        run.report.threshold("renewals of the local CA beside them, in those alone", "< 2 times",
                             round(statistics.median(beside) / statistics.median(alone), 2))
