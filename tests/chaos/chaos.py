#!/usr/bin/python3
"""
Runs issuances, renewals and deployments while killing (-9), stopping
(SIGSTOP, later SIGCONT) and restarting (SIGTERM; PostgreSQL fast and
immediate) every kind of process at random, then counts losses and doubles
(checker.py).  Ends with one line:

    chaos: kills=N jobs=N lost=0 doubled=0 recovery_p99_ms=N

Every fourth is a scene of several processes (scenes.py), in a run of less than
twenty every second.  One that finds nothing to hit gives way and does not count;
the report names how often each was played, and a run that was long enough for all
and could not play one has failed.

A kill counts only if its victim held a lease, an open request or a
transaction: the victim is stopped first, looked at, and then killed or let
go.  Recovery is the time from the kill until the interrupted work's next
commit; for a killed PostgreSQL from when it accepts connections again, for a
stopped process without a stand-in from SIGCONT.  A kill takes about a second,
whatever their number: KILLS=2000 runs for 35 to 45 minutes.

With --issuers all every kind of CA takes part (issuers.py), and the last line tells
of orders=N too: those at CAs outside, one for each job of theirs that is done.
"""
import argparse
import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import psycopg2

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support"), str(Path(__file__).resolve().parent)]
import checker  # noqa: E402
from fleet import Fleet, wait_for  # noqa: E402
from issuers import Issuers  # noqa: E402
from load import Load  # noqa: E402
from scenes import LEADER_SESSIONS, Scenes, children, signal_all  # noqa: E402

AGENTS = 3
CERTIFICATES = 36
JOBS_PER_KILL = 10
WORKER_LOOKS = 200
LOAD_PAUSE = 0.02  # of each of six threads: more would mostly be told that a renewal is under way
RECOVERY_LIMIT = 30
AGENT_PARALLEL = 8  # CERTCTL_AGENT_PARALLEL's default
# What tells one hand-out of a job from the next.
STATE = "j.status || ' lease ' || coalesce(j.lease_id::text, '-') || ' delivery ' || j.deliveries"


def quietly(test):
    try:
        return test()
    except psycopg2.Error:
        return False


class Chaos:
    def __init__(self, fleet, rng):
        self.fleet, self.rng = fleet, rng
        self.recoveries = {}  # kind and how: milliseconds
        self.asked = Counter()  # who was asked to end, and how often
        self.missed = Counter()
        self.slow = []
        self.is_over = False  # asked to end: the report comes at once

    # --- what a victim holds, while it is stopped; None: nothing.  Jobs with
    #     their state in one look: a statement that the victim sent before it
    #     was stopped may still commit afterwards ---
    def held_worker(self, process):
        return dict(self.fleet.query(
            f"SELECT j.id, {STATE} FROM jobs j JOIN workers w ON w.incarnation = j.leased_by "
            "WHERE w.pid = %s AND j.status = 'Running' AND w.lease_until > clock_timestamp()", process.pid)) or None

    def held_agent(self, process):
        """It works on so many at once, oldest first; the rest only waits."""
        return dict(self.fleet.query(
            f"SELECT j.id, {STATE} FROM jobs j WHERE j.agent_id = %s "
            "AND (j.status = 'AwaitingCSR' OR (j.type = 'Deployment' AND j.status = 'Running')) "
            "ORDER BY j.id LIMIT %s", process.agent_id, AGENT_PARALLEL)) or None

    def held_scheduler(self, process):
        return self.fleet.value("SELECT l.term FROM leadership l JOIN schedulers s ON s.incarnation = l.holder "
                                "WHERE s.pid = %s AND l.expires_at > clock_timestamp()", process.pid)

    def held_apiserver(self, process):
        """Established connections: the agents' parked requests at least."""
        port = f":{self.fleet.apis[process.name].port:04X}"
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return sum(1 for line in lines if line.split()[1].endswith(port) and line.split()[3] == "01") or None

    def held_postgres(self, _process):
        return self.fleet.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
                                "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL") or None

    # --- when the interrupted work committed again ---
    def moved_on(self, jobs):
        """All of these jobs left the state the kill found them in."""
        now = dict(self.fleet.query(f"SELECT j.id, {STATE} FROM jobs j WHERE j.id = ANY(%s)", list(jobs)))
        return all(now.get(j) != state for j, state in jobs.items())

    def now_of(self, held):
        try:
            return self.fleet.query(f"SELECT j.id, {STATE}, j.last_error FROM jobs j WHERE j.id = ANY(%s)", list(held)) \
                if isinstance(held, dict) else held
        except psycopg2.Error as e:
            return e

    def recovered(self, kind, process, held, before):
        if kind in ("worker", "agent"):
            return self.moved_on(held)
        if kind == "scheduler":
            return self.fleet.value("SELECT last_value FROM lease_seq") > before
        if kind == "apiserver":
            return self.fleet.apis[process.name].post(f"/api/v1/agents/{self.pulse}/heartbeat", {}, timeout=2)[0] == 200
        return self.fleet.value("SELECT last_value FROM audit_seq") > before

    def measure(self, name, since, held, is_over):
        """Milliseconds from then until it is over, which the database may refuse to say meanwhile; whether it ever was."""
        deadline = time.monotonic() + RECOVERY_LIMIT
        while not (done := quietly(is_over)) and time.monotonic() < deadline:
            time.sleep(0.01)
        ms = (time.monotonic() - since) * 1000
        self.recoveries.setdefault(name, []).append(ms)
        if ms > 2000:
            self.slow.append(f"{name}: {ms:.0f} ms, held {held}, now {self.now_of(held)}")
        return done

    # --- one kill ---
    def strike(self, kind, process, how):
        """True when it counted."""
        held_of = getattr(self, f"held_{kind}")
        if kind == "postgres":
            return self.strike_postgres(process, how)
        process.signal(signal.SIGSTOP)
        held = held_of(process)
        # One that has just been started would end of SIGTERM, not by it.
        if held is None or how == "term" and not process.listens():
            process.signal(signal.SIGCONT)
            self.missed[kind] += 1
            return False
        before = self.fleet.value("SELECT last_value FROM lease_seq") if kind == "scheduler" else None
        since = time.monotonic()
        if how == "kill":
            process.signal(signal.SIGKILL)
        elif how == "term":
            self.asked[process.name] += 1
            process.signal(signal.SIGTERM)
            process.signal(signal.SIGCONT)
        elif kind in ("apiserver", "agent"):
            # No stand-in: the clock runs from its waking up.
            time.sleep(self.rng.uniform(0.2, 2.5))
            process.signal(signal.SIGCONT)
            since = time.monotonic()
        self.measure(f"{kind}-{how}", since, held, lambda: self.recovered(kind, process, held, before))
        if how == "stop":
            # The others went on; now the sleeper wakes into a world that
            # has moved on, and must do no harm.
            time.sleep(self.rng.uniform(0, 0.5))
            process.signal(signal.SIGCONT)
        return True

    def strike_postgres(self, process, how):
        held = self.held_postgres(process)
        if held is None:
            self.missed["postgres"] += 1
            return False
        starts = process.starts
        if how in ("fast", "immediate"):
            process.signal(signal.SIGINT if how == "fast" else signal.SIGQUIT)
            self.wait_started(process, starts)
            return self.measure_postgres(process, held, how)
        # The postmaster first, so that it can't fork while we look: a backend
        # that is left behind may wait for ever for a lock of one that is gone.
        process.signal(signal.SIGSTOP)
        pids = [process.pid, *children(process.pid)]
        if how == "stop":
            signal_all(pids, signal.SIGSTOP)
            time.sleep(self.rng.uniform(0.2, 2.5))
            signal_all(reversed(pids), signal.SIGCONT)
            wait_for(self.fleet.database_is_up, 60, "PostgreSQL to answer again")
        else:
            # All at once, or the postmaster alone: then the rest ends by itself.
            signal_all(pids if self.rng.random() < 0.5 else pids[:1], signal.SIGKILL)
            self.wait_started(process, starts)
        return self.measure_postgres(process, held, how)

    def wait_started(self, process, starts):
        wait_for(lambda: process.starts > starts and self.fleet.database_is_up(), 60, "PostgreSQL to start again")

    def measure_postgres(self, process, held, how):
        since = time.monotonic()
        before = self.fleet.value("SELECT last_value FROM audit_seq")
        self.measure(f"postgres-{how}", since, held, lambda: self.recovered("postgres", process, held, before))
        return True

    # A worker holds a lease for milliseconds at a time: it is looked at again
    # until it does, or workers would hardly ever be hit.
    def hit_one(self):
        kind, process, how = self.victim()
        return any(self.strike(kind, process, how) for _ in range(WORKER_LOOKS if kind == "worker" else 1))

    def victim(self):
        kind = self.rng.choices(("worker", "agent", "scheduler", "apiserver", "postgres"), (34, 26, 18, 14, 8))[0]
        names = {"worker": ["worker-1", "worker-2"], "agent": [f"agent-{i}" for i in range(1, AGENTS + 1)],
                 "scheduler": ["scheduler-1", "scheduler-2"], "apiserver": ["apiserver"], "postgres": ["postgres"]}[kind]
        hows, weights = ("kill", "stop", "term"), (60, 25, 15)
        if kind == "postgres":
            hows, weights = ("kill", "stop", "fast", "immediate"), (35, 20, 25, 20)
        return kind, self.fleet.processes[self.rng.choice(names)], self.rng.choices(hows, weights)[0]


def build_fleet(fleet, issuers=None):
    fleet.start_postgres(keep=True, fsync="on")
    fleet.start_plane(keep=True, schedulers=0, workers=0)
    for i in (1, 2):
        fleet.start_scheduler(i, keep=True, CERTCTL_SCHEDULER_REDEPLOY_INTERVAL="2s", CERTCTL_BATCH_SIZE="8",
                              CERTCTL_DATABASE_MAX_CONNS=str(LEADER_SESSIONS))
        # Past a limit of file sizes a write fails, as on a full disk, and the signal that comes with it is let be.
        fleet.start_worker(i, keep=True, prefix=("/usr/bin/env", "--ignore-signal=XFSZ"), **(issuers.settings if issuers else {}))
    fleet.make_basics()
    port, site, commands = fleet.start_nginx(keep=True)
    names = []
    for i in range(1, AGENTS + 1):
        fleet.start_agent(f"agent-{i}", keep=True)
    for n in range(CERTIFICATES):
        agent = fleet.processes[f"agent-{n % AGENTS + 1}"]
        directory, config = (site, commands) if n == 0 else (fleet.dir / "sites" / str(n), {})
        fleet.make_target(f"tgt-{n}", agent.agent_id, directory, **config)
        fleet.make_certificate(f"mc-{n}", [f"tgt-{n}"])
        names.append(f"mc-{n}")
    if issuers:
        names += issuers.make([fleet.processes[f"agent-{i}"].agent_id for i in range(1, AGENTS + 1)])
    return names


def count_jobs(fleet):
    return fleet.value("SELECT count(*) FROM jobs WHERE status IN ('Completed', 'Failed', 'Cancelled')")


def quiet(fleet):
    """No job under way any more, deployments included.  One that waits for a person moves no more; the checker counts it as lost."""
    def still():
        try:
            return fleet.value("SELECT count(*) FROM jobs WHERE status IN ('Pending', 'Running', 'AwaitingCSR') "
                               "AND checkpoint ->> 'state' IS DISTINCT FROM 'uncertain'") == 0 and \
                fleet.value("SELECT count(*) FROM certificate_target_mappings "
                            "WHERE desired_version_id IS DISTINCT FROM deployed_version_id AND deploy_after <= now()") == 0
        except psycopg2.Error:
            return False
    wait_for(still, 120, "the work to end", every=0.1)


def died_alone(fleet, asked):
    """Whom nobody killed must not have died, and who was asked to end says 0
    (PostgreSQL tries again while what a killed one left behind still ends)."""
    died = []
    for p in fleet.processes.values():
        wrong = [code for code in p.exits if code not in (0, -signal.SIGKILL)]
        wrong += [0] * (p.exits.count(0) - asked[p.name])
        if p.name != "postgres":
            died += [f"{p.name} ended by itself with status {code}" for code in wrong]
    return died


def percentile(times, percent):
    times = sorted(times)
    return times[min(len(times) - 1, len(times) * percent // 100)] if times else 0


def run(kills, seed, budget, with_issuers):
    rng = random.Random(seed)
    started = time.monotonic()
    orders = {}
    with Fleet("chaos") as fleet, contextlib.ExitStack() as stack:
        issuers = Issuers(fleet, rng) if with_issuers else None
        if issuers:
            stack.callback(issuers.close)
        names = build_fleet(fleet, issuers)
        chaos = Chaos(fleet, rng)
        pulse = fleet.api.need("POST", "/api/v1/agents", {"name": "pulse", "hostname": "pulse.example.test"})
        chaos.pulse = pulse["id"]
        load = Load(fleet, names, seed, pause=LOAD_PAUSE)
        signal.signal(signal.SIGTERM, lambda *_: setattr(chaos, "is_over", True))
        scenes = Scenes(chaos, kills)
        done, told = 0, time.monotonic()
        while done < kills and time.monotonic() - started < budget and not chaos.is_over:
            if issuers:
                issuers.trouble()
                issuers.hurry()
            done += scenes.play_next(done) if scenes.are_due(done) else chaos.hit_one()
            wait_for(lambda: count_jobs_safely(fleet) >= done * JOBS_PER_KILL, 120, "ten jobs a kill", every=0.1)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                print(f"  {done} of {kills} kills, {count_jobs_safely(fleet)} jobs, "
                      f"{time.monotonic() - started:.0f} s", flush=True)
        scenes.play_owed()
        load.stop()
        if issuers:
            issuers.quiet()
            orders = issuers.count()
            states = {kind: issuers.states(kind) for kind in orders}
        quiet(fleet)
        lost, doubled = checker.check(fleet.query, load.accepted, fleet.dir / "journal")
        jobs = count_jobs(fleet)
        failed = fleet.query("SELECT type, last_error, count(*) FROM jobs WHERE status = 'Failed' GROUP BY 1, 2 ORDER BY 3 DESC")
        died = died_alone(fleet, chaos.asked)
    died += fleet.alarms
    for line in died:
        print("died:", line)
    for line in lost:
        print("lost:", line)
    for line in doubled:
        print("doubled:", line)
    for type_, error, n in failed:
        print(f"failed: {n} x {type_}: {error}")
    for kind, times in sorted(chaos.recoveries.items()):
        print(f"  {kind:20} {len(times):5}  recovery ms: p50 {percentile(times, 50):6.0f}  p99 {percentile(times, 99):6.0f}  "
              f"worst {max(times):6.0f}")
    print("not counted (held nothing):", sum(chaos.missed.values()), "| seed", seed)
    print(scenes.told())
    for line in scenes.wrong:
        print("wrong:", line)
    for line in chaos.slow:
        print("slow:", line)
    p99 = percentile([ms for times in chaos.recoveries.values() for ms in times], 99)
    for kind, (placed, had) in orders.items():
        print(f"  {kind:20} {placed:5}  orders, {had} jobs" + (f"; they are {dict(states[kind])}" if placed != had else ""))
    unequal = [kind for kind, (placed, had) in orders.items() if placed != had or not had]
    of_cas = f" orders={sum(n for n, _ in orders.values())} of jobs={sum(n for _, n in orders.values())}" if orders else ""
    print(f"chaos: kills={done} jobs={jobs} lost={len(lost)} doubled={len(doubled)}{of_cas} recovery_p99_ms={p99:.0f}")
    return 0 if done >= kills and not (lost or doubled or died or scenes.wrong or unequal) else 1


def count_jobs_safely(fleet):
    try:
        return count_jobs(fleet)
    except psycopg2.Error:
        return -1


def main():
    parser = argparse.ArgumentParser(description="Kill and stop processes at random; count losses and doubles.")
    parser.add_argument("--kills", type=int, default=20, help="kills that count (default 20)")
    parser.add_argument("--seed", type=int, default=None, help="to choose the same victims again")
    parser.add_argument("--budget", type=int, default=None, help="seconds after which it gives up (default: 4 a kill, 600 at least)")
    parser.add_argument("--issuers", choices=["local", "all"], default="local", help="every kind of CA too (default local)")
    arguments = parser.parse_args()
    # Ended from outside it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 30)
    sys.exit(run(arguments.kills, seed, arguments.budget or max(600, 4 * arguments.kills), arguments.issuers == "all"))


if __name__ == "__main__":
    main()
