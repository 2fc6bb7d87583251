#!/usr/bin/python3
"""
A rolling upgrade and its roll-back under load and kills.

Builds another release (release.py), starts a control plane of this one with two
of each daemon, migrates with the other, and replaces process by process in a
shuffled order by the other's programs; then back the same way.  Meanwhile
renewals, enrolments and heartbeats go on over both apiservers, and workers,
agents, schedulers and apiservers are killed and stopped at random.  Then
losses and doubles are counted (checker.py).  Ends with one line:

    upgrade: replaced=N kills=N jobs=N this=N next=N answers_5xx=0 lost=0 doubled=0

this and next: jobs that the functions of either release ended.
"""
import argparse
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support"), str(Path(__file__).resolve().parent)]
import chaos  # noqa: E402
import checker  # noqa: E402
from fleet import Fleet, wait_for  # noqa: E402
from load import Traffic, make_certificates  # noqa: E402
from release import THIS, make_next  # noqa: E402

KINDS = {"apiserver": ["apiserver", "apiserver-2"], "scheduler": ["scheduler-1", "scheduler-2"],
         "worker": ["worker-1", "worker-2"], "agent": ["agent-1", "agent-2", "agent-3"]}
NAMES = [name for names in KINDS.values() for name in names]
# Who ends which jobs.
ENDS = {"worker": "type <> 'Deployment'", "apiserver": "type = 'Deployment'"}
ROWS = {"apiserver": "apiservers", "scheduler": "schedulers", "worker": "workers"}
CERTIFICATES = 24
LOOKS = 200
ENOUGH_S = 60  # for what takes one or two; on a busy machine with sanitizers more than twenty


class Kills(chaos.Chaos):
    """Who may be hit: all but the only PostgreSQL, whose end any answer may tell of."""

    def victim(self):
        kind = self.rng.choices(("worker", "agent", "scheduler", "apiserver"), (40, 25, 20, 15))[0]
        how = self.rng.choices(("kill", "stop", "term"), (60, 20, 20))[0]
        return kind, self.fleet.processes[self.rng.choice(KINDS[kind])], how

    def one(self):
        """Until one counted."""
        while True:
            kind, process, how = self.victim()
            for _ in range(LOOKS if kind == "worker" else 1):
                if self.strike(kind, process, how):
                    return


class Upgrade:
    """fleet: with PostgreSQL.  First start, then migrate, roll there and back, and finish."""

    def __init__(self, fleet, other, seed):
        self.fleet, self.other, self.seed = fleet, other, seed
        self.rng = random.Random(seed)
        self.replaced = self.struck = 0
        self.now = dict.fromkeys(NAMES, THIS)
        self.bad = []
        self.start()

    def start(self):
        fleet = self.fleet
        fleet.start_plane(keep=True, schedulers=2, workers=2, CERTCTL_SCHEDULER_REDEPLOY_INTERVAL="2s", CERTCTL_BATCH_SIZE="4")
        fleet.start_apiserver(2, keep=True)
        fleet.make_basics()
        apis = list(fleet.apis.values())
        for i, name in enumerate(KINDS["agent"]):
            fleet.start_agent(name, keep=True, CERTCTL_SERVER_URL=f"https://127.0.0.1:{apis[i % 2].port}")
        certificates = make_certificates(fleet, KINDS["agent"], CERTIFICATES)
        self.kills = Kills(fleet, self.rng)
        self.load = Traffic(fleet, certificates, KINDS["agent"], seed=self.seed, pause=0.02)
        self.kills.pulse = self.load.pulse

    def migrate(self):
        self.fleet.migrate(build=self.other.build, root=self.other.root)

    # --- one way ---
    def roll(self, release, kills):
        """Every process becomes one of that release; kills is how many are hit on the way."""
        names = self.rng.sample(NAMES, len(NAMES))
        print(f"  to {release.code}: {' '.join(names)}", flush=True)
        for n, name in enumerate(names):
            self.replace(name, release)
            self.see_both(name)
            for _ in range(kills * (n + 1) // len(names) - kills * n // len(names)):
                self.kills.one()
                self.struck += 1

    def replace(self, name, release):
        process = self.fleet.processes[name]
        starts = process.starts
        process.become(release)
        self.kills.asked[name] += 1
        process.ask_to_restart()
        wait_for(lambda: process.starts > starts, ENOUGH_S, f"{name} to start again")
        wait_for(lambda: self.is_of(name, release), ENOUGH_S, f"{name} to be of {release.code}")
        self.now[name] = release
        self.replaced += 1

    def is_of(self, name, release):
        """It runs that program, and says that it calls those functions."""
        process = self.fleet.processes[name]
        kind = next(k for k, names in KINDS.items() if name in names)
        try:
            program = os.readlink(f"/proc/{process.pid}/exe")
        except OSError:  # it ended just now, and is started again
            return False
        if program != str(release.program(process.argv[0])):
            return False
        return kind == "agent" or self.fleet.value(f"SELECT code FROM {ROWS[kind]} WHERE pid = %s", process.pid) == release.code

    def see_both(self, name):
        """While one of two is replaced, both end jobs, each by its own functions."""
        for kind, jobs in ENDS.items():
            if name in KINDS[kind] and len({self.now[n] for n in KINDS[kind]}) == 2:
                since = self.fleet.value("SELECT clock_timestamp()")
                wait_for(lambda: self.fleet.value(
                    f"SELECT count(DISTINCT release IS NULL) FROM jobs WHERE {jobs} AND status = 'Completed' AND completed_at > %s",
                    since) == 2, ENOUGH_S, f"both releases to end jobs through a {kind}")

    # --- the end ---
    def finish(self):
        """What went wrong, a line each."""
        self.load.stop()
        chaos.quiet(self.fleet)
        query = self.fleet.query
        self.lost, self.doubled = checker.check(query, self.load.accepted, self.fleet.dir / "journal")
        self.jobs = chaos.count_jobs(self.fleet)
        self.ended = dict(query("SELECT release, count(*) FROM jobs WHERE completed_at IS NOT NULL GROUP BY 1"))
        self.bad = [line for name in KINDS["apiserver"] for line in self.fleet.processes[name].log().splitlines()
                    # Not yet ready is what /ready is asked for.
                    if "code=HTTP" in line and " status=5" in line and "route=/ready " not in line]
        self.bad += [f"the load was answered {status} {n} times" for status, n in self.load.statuses.items() if status >= 500]
        failed = [f"{n} x {kind} failed: {error}" for kind, error, n in query(
            "SELECT type, last_error, count(*) FROM jobs WHERE status = 'Failed' GROUP BY 1, 2")]
        died = chaos.died_alone(self.fleet, self.kills.asked)
        return self.lost + self.doubled + self.bad + failed + died

    def tell(self):
        return (f"upgrade: replaced={self.replaced} kills={self.struck} jobs={self.jobs} this={self.ended.get(None, 0)} "
                f"next={self.ended.get('next', 0)} answers_5xx={len(self.bad)} lost={len(self.lost)} doubled={len(self.doubled)}")


def run(kills, seed, rounds):
    started = time.monotonic()
    with Fleet("upgrade") as fleet:
        other = make_next(fleet.dir)
        print(f"  built {other.code} beside {THIS.code} in {time.monotonic() - started:.0f} s | seed {seed}", flush=True)
        fleet.start_postgres(keep=True, fsync="on")
        upgrade = Upgrade(fleet, other, seed)
        for _ in range(rounds):
            upgrade.migrate()
            for release in (other, THIS):
                upgrade.roll(release, kills // (2 * rounds))
        wrong = upgrade.finish()
    wrong += fleet.alarms
    for line in wrong:
        print("wrong:", line)
    print(f"  answers: {dict(upgrade.load.statuses)} | seed {seed} | {time.monotonic() - started:.0f} s")
    print(upgrade.tell())
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description="Upgrade process by process and roll back, under load and kills.")
    parser.add_argument("--kills", type=int, default=40, help="kills that count, both ways together (default 40)")
    parser.add_argument("--seed", type=int, default=None, help="to choose the same order and victims again")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 30)
    # Both ways with some forty kills, again and again.
    sys.exit(run(arguments.kills, seed, max(1, arguments.kills // 40)))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    main()
