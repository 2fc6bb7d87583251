"""
Scenes of several processes at once, which chaos.py plays by turns:

workers     both workers are killed together
schedulers  both schedulers are killed together
leader      the leader is stopped while all sessions of its dispatch wait
sockets     the bus's socket files are removed, then both workers are killed:
            those that start afterwards must find the leader
disk        a worker's disk takes no byte more, and some time later it does
pause       everything is stopped past every lease, PostgreSQL too, and goes on: nobody died

A scene counts only if it hit something.  It is over when others have gone on
with what was held, and a job that was asked for after the blow has its
certificate: that the end of a worker frees its leases is no recovery yet.
"""
import contextlib
import os
import resource
import signal
import time
from collections import Counter, deque
from pathlib import Path

import psycopg2

from fleet import wait_for

SCENES = ("workers", "schedulers", "leader", "sockets", "disk", "pause")
SCENE_EVERY = 4  # kills
SCENE_SECONDS = 15  # of tries; one that still missed gives way to the next kill
LAST_TRIES = 3  # of each that was never played, at the end of a run that was long enough for all
LEADER_SESSIONS = 2  # of a scheduler's dispatch: its look and its sweep fill them
DISPATCH = "lanes_due|tasks_due|jobs_claim|tasks_claim|leases_free|leases_sweep"


def children(pid):
    """All descendants of a process."""
    found, front = [], [pid]
    table = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        table.setdefault(int(fields[1]), []).append(int(path.parent.name))
    while front:
        p = front.pop()
        found += table.get(p, [])
        front += table.get(p, [])
    return found


def signal_all(pids, signo):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signo)


class Pause:
    """
    A machine that sleeps: every process of a fleet stops, PostgreSQL with all its
    backends last; go_on() wakes those of the given kinds.
    """

    def __init__(self, fleet):
        self.fleet, self.asleep = fleet, {}
        server = fleet.processes["postgres"]
        for name, process in fleet.processes.items():
            if process is not server and process.popen.poll() is None:
                self.stop(name, [process.pid, *children(process.pid)])
        # The postmaster first, so that it cannot fork meanwhile.
        server.signal(signal.SIGSTOP)
        self.stop("postgres", [server.pid, *children(server.pid)])

    def stop(self, name, pids):
        signal_all(pids, signal.SIGSTOP)
        self.asleep[name] = pids

    def go_on(self, *kinds):
        """Without a kind: all that still sleep."""
        for name in [n for n in self.asleep if not kinds or n.split("-")[0] in kinds]:
            signal_all(reversed(self.asleep.pop(name)), signal.SIGCONT)


class Scenes:
    def __init__(self, chaos, kills):
        self.chaos, self.fleet, self.rng = chaos, chaos.fleet, chaos.rng
        # A short run plays them more often, so that it comes to all.
        self.every = 2 if 2 * len(SCENES) <= kills < SCENE_EVERY * len(SCENES) else SCENE_EVERY
        self.owes_all = kills >= self.every * len(SCENES)
        self.next_at = self.every - 1
        self.turns = deque(SCENES)
        self.turns.rotate(self.rng.randrange(len(SCENES)))
        self.played, self.gave_way = Counter(), Counter()
        self.wrong = []

    # --- turns ---
    def are_due(self, kills):
        return kills >= self.next_at

    def play_next(self, kills):
        self.next_at = kills + self.every
        self.turns.rotate(-1)
        return self.play(self.turns[-1])

    def play_owed(self):
        """What a run that was long enough has not played yet; what remains is wrong."""
        for name in SCENES:
            for _ in range(LAST_TRIES if self.owes_all and not self.played[name] else 0):
                if self.chaos.is_over or self.play(name):
                    break
            if self.owes_all and not self.played[name] and not self.chaos.is_over:
                self.wrong.append(f"scene {name} was never played")

    def play(self, name):
        """Whatever it does is done in milliseconds: it is tried until it hits something."""
        until = time.monotonic() + SCENE_SECONDS
        while time.monotonic() < until and not self.chaos.is_over:
            try:
                if getattr(self, f"scene_{name}")():
                    self.played[name] += 1
                    return True
            except psycopg2.Error as e:
                print(f"scene {name}: {e}", flush=True)
            self.chaos.missed[name] += 1
        self.gave_way[name] += 1
        return False

    def told(self):
        return f"scenes: {', '.join(f'{n} {self.played[n]}' for n in SCENES)} | gave way: " + \
            (", ".join(f"{n} {k}" for n, k in sorted(self.gave_way.items())) or "none")

    # --- what they share ---
    def pair(self, kind):
        return [self.fleet.processes[f"{kind}-{i}"] for i in (1, 2)]

    def now(self):
        return self.fleet.value("SELECT clock_timestamp()")

    def fresh_certificate(self, since):
        """A job asked for after that time has its certificate."""
        return self.fleet.value("SELECT EXISTS (SELECT FROM jobs WHERE created_at > %s AND status = 'Completed' "
                                "AND type IN ('Issuance', 'Renewal'))", since)

    def measure(self, name, since, held, is_over):
        if not self.chaos.measure(name, since, held, is_over):
            self.wrong.append(f"{name} was never over")

    @contextlib.contextmanager
    def stopped(self, processes):
        """Goes on afterwards, unless it was killed meanwhile."""
        pids = [p.pid for p in processes]
        signal_all(pids, signal.SIGSTOP)
        try:
            yield pids
        finally:
            signal_all(pids, signal.SIGCONT)

    # --- scenes; False: nothing to hit ---
    def strike_workers(self, name, before_it=lambda: None, more=lambda: True):
        both, held = self.pair("worker"), {}
        with self.stopped(both) as pids:
            for process in both:
                held |= self.chaos.held_worker(process) or {}
            if not held:
                return False
            before_it()
            asked, since = self.now(), time.monotonic()
            signal_all(pids, signal.SIGKILL)
        self.measure(name, since, held, lambda: self.chaos.moved_on(held) and self.fresh_certificate(asked) and more())
        return True

    def scene_workers(self):
        return self.strike_workers("both-workers")

    def scene_sockets(self):
        """Who is connected stays so; who comes later finds nobody until each listener has looked."""
        paths = [url.removeprefix("ipc://") + end for url in self.fleet.bus_urls() for end in (".hint", ".work", ".events")]
        return self.strike_workers("removed-sockets", lambda: [os.unlink(p) for p in paths if os.path.exists(p)],
                                   lambda: all(map(os.path.exists, paths)))

    def scene_schedulers(self):
        both = self.pair("scheduler")
        with self.stopped(both) as pids:
            held = [term for term in map(self.chaos.held_scheduler, both) if term]
            if not held:
                return False
            asked, since = self.now(), time.monotonic()
            signal_all(pids, signal.SIGKILL)
        self.measure("both-schedulers", since, held, lambda: self.fresh_certificate(asked))
        return True

    def waiting_sessions(self):
        return self.fleet.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'certctl-scheduler' "
                                "AND state = 'active' AND wait_event_type = 'Lock' AND query ~ %s", DISPATCH)

    def fill_sessions(self, leading):
        """Stopped with all of its dispatch's sessions waiting for somebody's lock, which goes then: its term, or None."""
        with contextlib.closing(self.fleet.connect()) as locker, locker.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'; LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            until = time.monotonic() + 3
            while self.waiting_sessions() < LEADER_SESSIONS and time.monotonic() < until:
                time.sleep(0.01)
            leading.signal(signal.SIGSTOP)
            return self.chaos.held_scheduler(leading) if self.waiting_sessions() >= LEADER_SESSIONS else None

    def scene_leader(self):
        leading = [p for p in self.pair("scheduler") if self.chaos.held_scheduler(p)]
        if not leading:
            return False
        pid = leading[0].pid
        try:
            held = self.fill_sessions(leading[0])
            if not held:
                return False
            since = time.monotonic()
            # What it had sent commits once the lock is gone, and is nobody's recovery.
            wait_for(lambda: self.waiting_sessions() == 0, 20, "the leader's sessions to end")
            asked = self.now()
            self.measure("leader-sessions-full", since, held, lambda: self.fresh_certificate(asked))
            # It wakes into a world that has gone on, and must do no harm.
            time.sleep(self.rng.uniform(0, 0.5))
        finally:
            signal_all([pid], signal.SIGCONT)
        return True

    def fault(self, pid):
        return self.fleet.value("SELECT fault FROM workers WHERE pid = %s ORDER BY started_at DESC LIMIT 1", pid)

    def attempts(self, held):
        """Of the local CA's: what a CA outside answers badly costs some too."""
        return dict(self.fleet.query("SELECT id, attempts FROM jobs WHERE id = ANY (%s) AND issuer_id = 'iss-local'", list(held)))

    def scene_disk(self):
        """What it holds goes back, costs nothing, and the other worker does it; it says so, and when that is over."""
        process = self.rng.choice(self.pair("worker"))
        with self.stopped([process]) as (pid,):
            held = self.chaos.held_worker(process)
            attempts = self.attempts(held or {})
            if not attempts: # an order of another CA needs no journal
                return False
            before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
            asked, since = self.now(), time.monotonic()
        try:
            self.measure("disk-full", since, held, lambda: self.chaos.moved_on(held) and self.fresh_certificate(asked))
            self.measure("disk-told", since, pid, lambda: "journal" in self.fault(pid))  # a script's may stand before it
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        since = time.monotonic()
        self.measure("disk-again", since, pid, lambda: self.fault(pid) == "")
        spent = {job: n for job, n in self.attempts(held).items() if n > attempts.get(job, 0)}
        if spent:
            self.wrong.append(f"a full disk cost attempts: {spent}")
        return True

    def scene_pause(self):
        """Whoever wakes first finds leases that are over, of workers that live."""
        both, held = self.pair("worker"), {}
        with self.stopped(both):
            for process in both:
                held |= self.chaos.held_worker(process) or {}
            if not held:
                return False
            asked = self.now()
            living = self.fleet.value("SELECT array_agg(incarnation) FROM workers w WHERE pid = ANY (%s) "
                                      "AND started_at = (SELECT max(o.started_at) FROM workers o WHERE o.pid = w.pid)", [p.pid for p in both])
            pause = Pause(self.fleet)
            time.sleep(self.rng.uniform(2, 4))
            pause.go_on(*self.rng.sample(("postgres", "scheduler", "apiserver"), self.rng.randrange(4)))
            pause.go_on()
        since = time.monotonic()
        self.measure("all-paused", since, held, lambda: self.chaos.moved_on(held) and self.fresh_certificate(asked))
        self.measure("nobody-died", since, living, lambda: not self.fleet.query(
            "SELECT id FROM jobs WHERE died_with && %s AND status IN ('Pending', 'Running')", living))
        return True
