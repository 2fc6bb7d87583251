"""
What the duties cost that have nothing to do, in a million certificates and a
million finished jobs.
"""
from bench_common import BENCH_PG, sized
from fleet import Fleet
from idle import RUNS, Session, make_inventory

CERTIFICATES = sized(1000000, 1000)
IN_PROGRESS = sized(6000, 50)
TIMES = 7  # by then a session keeps its plans
MS_MOST = 50
BUFFERS_MOST = 2000


def idle_duties(bench):
    """The worst run of each duty, by what the session's plans were made from."""
    costs = {}
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG | {"autovacuum": "off"})
        bench.look_at_settings(fleet)
        empty = Session(fleet)
        empty.costs(TIMES)
        with fleet.admin() as c:
            make_inventory(c, CERTIFICATES, IN_PROGRESS)
        Session(fleet).settle()
        costs["just filled, plans from empty tables"] = empty.costs(TIMES)
        costs["just filled"] = Session(fleet).costs(TIMES)
        with fleet.admin() as c:
            c.execute("VACUUM ANALYZE")
        costs["analysed"] = Session(fleet).costs(TIMES)
    for duty in RUNS:
        worst = {how: (max(ms for ms, _ in c[duty]), max(b for _, b in c[duty])) for how, c in costs.items()}
        bench.add(f"idle_{duty}", max(ms for ms, _ in worst.values()), "ms", None, MS_MOST,
                  "; ".join(f"{how}: {ms:.1f} ms, {b} buffers" for how, (ms, b) in worst.items()), at_most=True)
    runs = [run for c in costs.values() for times in c.values() for run in times]
    bench.add("idle_duties_1m", max(ms for ms, _ in runs), "ms", None, MS_MOST,
              f"the worst of {len(RUNS)} duties; {CERTIFICATES} certificates, as many finished jobs, {IN_PROGRESS} in renewal",
              at_most=True)
    bench.add("idle_duties_1m_buffers", max(b for _, b in runs), "buffers", None, BUFFERS_MOST, at_most=True)


ENTRIES = {"idle_duties_1m": idle_duties}
