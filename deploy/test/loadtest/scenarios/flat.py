"""
What an inventory costs by its size: a page of the list, one certificate, the renewal scan of what is due, and the drain of renewals by the
local CA, at ten thousand, a hundred thousand and a million certificates of one and the same stack.
"""
import statistics

import inventory

NAME = "flat"
GROUP = None
SECONDS = 20
WHAT = "list page and one certificate by 16 connections, renewal scans and drains, at 10000, 100000 and 1000000 certificates"
SIZES = (10_000, 100_000, 1_000_000)
DUE = 10_000
DRAIN = 10_000
RUNS = 5
FLAT, DRAIN_FLAT = 0.8, 0.4  # as the gates of make bench; of the drain 3,000 of 7,000 a second


def measure_size(run, stack, size, csrs):
    report = run.report
    pages = inventory.ask(stack, f"page-{size}", '"/api/v1/certificates"', run.seconds)
    inventory.tell(report, f"list_page_{size}", pages)
    one = inventory.ask(stack, f"one-{size}", f'"/api/v1/certificates/mc-" .. math.random({size})', run.seconds)
    inventory.tell(report, f"get_one_{size}", one)
    scans = [inventory.scan(stack, size, DUE) for _ in range(RUNS)]
    report.measure(f"renewal_scan_{size}", "ms", scans, sum(scans) / 1000)
    inventory.clear_jobs(stack)
    inventory.set_due(stack, size, DUE, False)
    rates = []
    for n in range(RUNS):
        rates.append(inventory.drain(stack, DRAIN, 1, size // DRAIN, csrs))
        run.say(f"{size} certificates: drain {n + 1} of {RUNS}: {rates[-1]:.0f}/s")
        inventory.clear_jobs(stack)
    rate = statistics.median(rates)
    report.count(**{f"drain_per_s_{size}": round(rate, 1)})
    report.raw |= {f"{NAME}.{name}.wrk.gz": inventory.kept(stack, name) for name in (f"page-{size}", f"one-{size}")}
    return pages["count"] / pages["us"], rate


def run(run):
    report = run.report
    csrs = inventory.csrs()
    with run.stack(shared_buffers="1GB") as stack:
        inventory.start(stack)
        report.load(what=WHAT.replace("10000, 100000 and 1000000", " and ".join(map(str, SIZES))), certificates=SIZES[-1], due=DUE, drained=DRAIN, seconds_each=run.seconds)
        report.data["versions"]["wrk"] = inventory.wrk_version()
        bare = stack.start_bare()
        pages, drains, before = [], [], 0
        with stack.sampled():
            for size in SIZES:
                inventory.grow(stack, before, size)
                before = size
                page, rate = measure_size(run, stack, size, csrs)
                pages.append(page)
                drains.append(rate)
                floor = inventory.ask(stack, f"bare-{size}", '"/health"', run.seconds, port=bare)
                report.count(**{f"bare_per_s_{size}": round(1e6 * floor["count"] / floor["us"], 1)})
        rate = floor["count"] / floor["us"]
        report.floor("the bare TLS server, beside a list page of the largest inventory", round(1e6 * rate, 1), "req/s", round(pages[-1] / rate, 4))
        report.threshold("list page, the slowest size of the fastest", f">= {FLAT}", min(pages) / max(pages))
        report.threshold("drain, the slowest size of the fastest", f">= {DRAIN_FLAT}", min(drains) / max(drains))
        report.threshold("answers that were not 200", "== 0", sum(m["errors"] for m in report.data["measures"]))
