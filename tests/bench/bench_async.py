"""
Orders that CAs work on: what ten thousand of them hold while they wait, how well
their polls keep the schedule, and what renewals of the local CA pay for them.
"""
import statistics
import time
from typing import NamedTuple

from bench_common import BENCH_PG, RUNS, pss_kb, sized
from ca_kinds import CONNECTORS, start_simulators
from fleet import Fleet, wait_for

ORDERS = sized(10000, 40)
LOCAL = sized(1000, 20)
CAS = ("digicert", "sectigo", "entrust", "globalsign")
PERMITS = 25
LONGEST_WAIT_S = sized(300, 6)  # between two polls of an order that has waited for long
WINDOW_S = sized(60, 3)
PLACING_S = 600

PLACE = """
    WITH made AS (
        INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id,
            status, expires_at, valid_from, environment)
        SELECT 'out-' || i, 'out-' || i, 'out-' || i || '.example.test', ARRAY['out-' || i || '.example.test'], 'o-test', 't-test',
            (%s::text[])[1 + i %% 4], 'rp-default', 'RenewalInProgress', now() + interval '80 days', now() - interval '10 days',
            'production' FROM generate_series(1, %s) i RETURNING id, issuer_id
    ), jobs AS (
        INSERT INTO jobs (id, type, certificate_id, status, issuer_id, dedupe_key, scheduled_at)
        SELECT id_new('job'), 'Renewal', id, 'Pending', issuer_id, 'issue:' || id || ':', now() FROM made RETURNING id)
    INSERT INTO certificate_requests SELECT id, (%s::text[])[1 + row_number() OVER () %% %s], '' FROM jobs"""
# As orders are that have waited for long: each is due once in the longest wait, and they are spread over it; those that a list is
# asked for over the fifths of it, as order_due has them.  Not those that are being polled: the end of a poll writes how many there were.
WAITED = """
    UPDATE jobs j SET checkpoint = j.checkpoint || '{"polls": 9}', run_after = CASE WHEN j.checkpoint ? 'together'
        THEN date_bin(make_interval(secs => o.longest / 5), o.at, i.created_at) + make_interval(secs => o.longest / 5) ELSE o.at END
    FROM (SELECT id, w.longest, now() + row_number() OVER (ORDER BY id) * w.longest / %s * interval '1 second' AS at
        FROM jobs, (SELECT %s::float8 AS longest) w WHERE checkpoint ->> 'state' = 'ordered') o, issuers i WHERE o.id = j.id AND i.id = j.issuer_id
        AND j.status = 'Pending' AND (j.checkpoint ->> 'polls')::bigint < 9"""
YOUNG = "SELECT count(*) FROM jobs WHERE checkpoint ->> 'state' = 'ordered' AND (checkpoint ->> 'polls')::bigint < 9"
POLLED = "SELECT coalesce(sum((checkpoint ->> 'polls')::bigint), 0)::bigint FROM jobs WHERE checkpoint ->> 'state' = 'ordered'"


def drain_local(bench, fleet, csrs):
    """Seconds that so many renewals of the local CA take."""
    fleet.query("DELETE FROM jobs WHERE issuer_id = 'iss-local'")
    started = time.monotonic()
    fleet.query("UPDATE managed_certificates SET status = 'RenewalInProgress' WHERE issuer_id = 'iss-local'")
    bench.make_jobs(fleet, LOCAL, csrs)
    wait_for(lambda: fleet.value("SELECT count(*) FROM jobs WHERE issuer_id = 'iss-local' AND status = 'Completed'") == LOCAL, 120,
             "the local CA", every=0.02)
    return time.monotonic() - started


def connections(ports):
    """Of this host to the simulators, established."""
    wanted = {f"{port:04X}" for port in ports}
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return sum(row[2].split(":")[1] in wanted and row[3] == "01" for row in rows)


def place(fleet, csrs, orders):
    """The CAs' handles and the seconds it took: so many orders, which all of them work on."""
    issuers = [CONNECTORS[kind](fleet, kind) for kind in CAS]
    for kind, issuer in zip(CAS, issuers):
        issuer.pending()
        fleet.api.need("POST", "/api/v1/issuers", {"id": f"iss-{kind}", "name": kind} | issuer.config)
    fleet.query(PLACE, [f"iss-{kind}" for kind in CAS], orders, csrs, len(csrs))
    started = time.monotonic()
    wait_for(lambda: fleet.value("SELECT count(*) FROM jobs WHERE checkpoint ->> 'state' = 'ordered'") == orders, PLACING_S,
             "the orders to be placed", every=0.5)
    return issuers, time.monotonic() - started


def age(fleet, orders):
    """All of them have waited for long, those that are being polled too, as soon as they are not."""
    def have_aged():
        fleet.query(WAITED, orders, LONGEST_WAIT_S)
        return fleet.value(YOUNG) == 0
    wait_for(have_aged, 60, "the polls under way to end")


class Watched(NamedTuple):
    """Of a while: polls a second, those that fell due, permits and connections held on average, and calls a second of each CA."""
    polls: float
    ideal: float
    permits: float
    connections: float
    calls: list


def watch(fleet, sims):
    due = "SELECT count(*) FROM jobs WHERE checkpoint ->> 'state' = 'ordered' AND status = 'Pending' AND run_after <= now() + make_interval(secs => %s)"
    ideal = fleet.value(due, WINDOW_S)
    calls, polls, started = [len(sim.log) for sim in sims], fleet.value(POLLED), time.monotonic()
    permits, open_now = [], []
    while time.monotonic() < started + WINDOW_S:
        permits.append(fleet.value("SELECT count(*) FROM jobs WHERE status = 'Running'"))
        open_now.append(connections([sim.port for sim in sims]))
        time.sleep(0.1)
    took = time.monotonic() - started
    calls = [(len(sim.log) - before) / took for sim, before in zip(sims, calls)]
    return Watched((fleet.value(POLLED) - polls) / took, ideal / WINDOW_S, statistics.mean(permits), statistics.mean(open_now), calls)


def async_parked(bench):
    csrs = bench.csrs()
    names = ("scheduler-1", "worker-1", "worker-2")
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG)
        bench.look_at_settings(fleet)
        settings = start_simulators(fleet)
        fleet.start_apiserver(CERTCTL_LOG_LEVEL="warn")
        fleet.start_scheduler(CERTCTL_LOG_LEVEL="warn", CERTCTL_RENEWAL_CONCURRENCY=str(PERMITS))
        for i in (1, 2):
            fleet.start_worker(i, CERTCTL_LOG_LEVEL="warn", **settings)
        fleet.make_basics()
        bench.make_certificates(fleet, LOCAL)
        wait_for(lambda: fleet.value("SELECT count(*) FROM ca_certificates"), 20, "the CA")
        alone = [drain_local(bench, fleet, csrs) for _ in range(RUNS)]
        rest = sum(pss_kb(fleet.processes[n].pid) for n in names)
        issuers, took = place(fleet, csrs, ORDERS)
        age(fleet, ORDERS)
        seen = watch(fleet, [i.sim for i in issuers])
        beside = [drain_local(bench, fleet, csrs) for _ in range(RUNS)]
        parked = sum(pss_kb(fleet.processes[n].pid) for n in names)
        orders = sum(issuer.orders() for issuer in issuers)
        for sim in fleet.sims.values():
            sim.close()
    assert orders == ORDERS, f"{orders} orders for {ORDERS} jobs"
    bench.add("async_parked", seen.polls, "polls/s", seen.polls / seen.ideal, 0.95,
              f"{ORDERS} orders pending at {len(CAS)} CAs, {PERMITS} permits; {seen.permits:.2f} permits and {seen.connections:.2f} connections held "
              f"on average; scheduler and workers {rest} -> {parked} KB PSS; placed at {ORDERS / took:.0f}/s (by simulators in Python)")
    bench.add("async_parked_calls", sum(seen.calls) / seen.polls, "calls a poll", None, 0.75,
              ", ".join(f"{kind} {n:.2f}/s" for kind, n in zip(CAS, seen.calls)) + f"; {sum(seen.calls):.1f} calls/s for {seen.polls:.1f} polls/s",
              at_most=True)
    bench.add("async_parked_local", statistics.median(beside) / statistics.median(alone), "times", None, 1.1,
              f"{LOCAL} renewals of the local CA beside them {statistics.median(beside):.2f} s, alone {statistics.median(alone):.2f} s", at_most=True)


ENTRIES = {"async_parked": async_parked}
