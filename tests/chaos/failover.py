#!/usr/bin/python3
"""
Moves the database under a load of renewals, one scenario after the other, each
with a control plane, a primary and a synchronous standby of its own; then
counts losses and doubles (checker.py).  Prints a line for each:

    failover: scenario=killed jobs=N lost=0 doubled=0 next_commit_s=X next_certificate_s=X

Seconds run from when the database could be written again (the promotion, the
return of the standby or of the new primary, or when certctl recover --apply was
begun) until the API answered a write, and until the next certificate was stored
that was handed out after it.  The exit status is 1 when anything was
lost or doubled, or does not go on at all.
"""
import argparse
import signal
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support"), str(Path(__file__).resolve().parent)]
import checker  # noqa: E402
from backup import back_up, restore  # noqa: E402
from fleet import Fleet, Timeout, wait_for  # noqa: E402
from hosts import FIRST, SECOND, CannotMake, Hosts  # noqa: E402
from load import Load, done_since, last_lease, make_certificates, wait_quiet  # noqa: E402
from pair import Pair  # noqa: E402

AGENTS = ["agent-1", "agent-2"]
CERTIFICATES = 24
ALIVE_S = 60  # that it goes on at all
LOAD_PAUSE = 0.02


class Scene:
    """A control plane under load whose database moves."""

    def __init__(self, fleet, name, certificates=CERTIFICATES):
        self.fleet, self.name, self.certificates = fleet, name, certificates
        self.pair = None
        self.load = self.names = None
        self.teams = 0
        self.next_commit_s = self.next_certificate_s = None

    def begin(self, **env):
        """With the pair made and the load running."""
        fleet = self.fleet
        fleet.start_plane(keep=True, schedulers=2, workers=2, CERTCTL_BATCH_SIZE="8", **env)
        fleet.make_basics()
        for name in AGENTS:
            fleet.start_agent(name, keep=True)
        self.names = make_certificates(fleet, AGENTS, self.certificates)
        self.go_on()
        self.wait_work()

    def go_on(self):
        self.load = Load(self.fleet, self.names, pause=LOAD_PAUSE)

    def wait_work(self, n=10):
        lease = last_lease(self.fleet)
        wait_for(lambda: done_since(self.fleet, lease) >= n, ALIVE_S, "certificates under load", every=0.02)

    def commits(self):
        """Whether the API answers a write of a new client."""
        self.teams += 1
        return self.fleet.api.post("/api/v1/teams", {"id": f"t-{self.teams}", "name": f"Team {self.teams}"}, timeout=1)[0] == 201

    @staticmethod
    def need(is_so, what):
        if not is_so:
            raise Timeout(what)

    def measure(self, since, begin=lambda: None):
        lease = last_lease(self.fleet)
        begin()
        wait_for(self.commits, ALIVE_S, "the next commit")
        self.next_commit_s = time.monotonic() - since
        wait_for(lambda: done_since(self.fleet, lease), ALIVE_S, "the next certificate")
        self.next_certificate_s = time.monotonic() - since

    def end(self):
        """(lost, doubled), after all of the work came to its end."""
        self.wait_work()
        self.load.stop()
        wait_quiet(self.fleet, 120)
        return checker.check(self.fleet.query, self.load.accepted, self.fleet.dir / "journal")


def killed(scene):
    """The primary is killed, and the standby promoted."""
    scene.fleet.start_postgres(fsync="on")
    scene.pair = Pair(scene.fleet, synchronous=True)
    scene.begin()
    scene.pair.primary.kill()
    scene.pair.promote()
    scene.measure(time.monotonic())


# Sessions of all pools: the API's 50, of each of two schedulers 4, 4 for duties and 1
# for the leadership, of each of two workers 4 and 1 for its lease; each pool may have
# one more that asks what the others wait for.
CEILING = (50 + 3) + 2 * (9 + 3) + 2 * (5 + 2)
GONE_S = 10


def check_waiting(scene):
    """What is seen while commits wait: said, steadily; bounded; and reads go on."""
    fleet = scene.fleet

    def says_so():
        status, reply = fleet.api.get("/ready", timeout=5)
        return status == 503 and "standby" in reply["error"]
    wait_for(says_so, 10, "/ready to say that commits wait for a standby")
    until = time.monotonic() + GONE_S
    while time.monotonic() < until:
        status, reply = fleet.api.get("/api/v1/certificates?per_page=5", timeout=5)
        scene.need(status == 200, f"a GET was answered {status} {reply}")
        scene.need(says_so(), f"/ready says {fleet.api.get('/ready')}")
        sessions = fleet.value("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'certctl_%'")
        scene.need(sessions <= CEILING, f"{sessions} sessions, more than {CEILING}")
        time.sleep(0.1)


def standby_gone(scene):
    """The synchronous standby falls silent, and is back after a while."""
    scene.fleet.start_postgres(fsync="on")
    pair = Pair(scene.fleet, synchronous=True)
    scene.begin()
    pair.standby.freeze()
    check_waiting(scene)
    pair.standby.thaw()
    scene.measure(time.monotonic())
    wait_for(lambda: scene.fleet.api.get("/ready")[0] == 200, 10, "/ready to say that it is")


def read_only(scene):
    """The primary is turned read-only in place, its sessions stay open, and the standby is promoted."""
    scene.fleet.start_postgres(fsync="on")
    pair = Pair(scene.fleet, synchronous=True)
    scene.begin()
    pair.primary.set(default_transaction_read_only="on")
    wait_for(lambda: scene.fleet.api.get("/ready")[0] == 503, 20, "/ready to say that nothing can be written")
    pair.promote()
    scene.measure(time.monotonic())


def silent(scene):
    """The primary's host is cut off, without a word to anybody, and the standby promoted."""
    fleet, hosts = scene.fleet, Hosts()
    try:
        fleet.start_postgres(fsync="on", prefix=hosts.on_second, listen_addresses=SECOND, hba=[f"host all all {FIRST}/32 trust"])
        pair = Pair(fleet, synchronous=True, listen=FIRST)
        fleet.url_hosts = [SECOND, FIRST]
        scene.begin()
        hosts.silence()
        pair.promote()
        scene.measure(time.monotonic())
        # A process that is started now finds the other host as well.
        since = time.monotonic()
        fleet.start_apiserver(2)
        print(f"failover: scenario=silent: a new apiserver was ready after {time.monotonic() - since:.1f} s")
        lost_and_doubled = scene.end()
    finally:
        fleet.close()
        hosts.close()
    return lost_and_doubled


PROGRAMS = ("apiserver", "scheduler-1", "scheduler-2", "worker-1", "worker-2")


def written(server):
    """What the programs write all the time, as one server has it."""
    return server.query("SELECT (SELECT max(seen_at) FROM apiservers), (SELECT max(seen_at) FROM schedulers), "
                        "(SELECT max(lease_until) FROM workers), (SELECT count(*) FROM jobs), "
                        "(SELECT count(*) FROM certificate_versions), (SELECT max(seq) FROM audit_events)", database="certctl")


def check_refused(scene, old):
    """The old primary takes writes and is the only one that answers: nobody goes there."""
    fleet = scene.fleet
    scene.need(not old.query("SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool")[0][0],
               "the old primary takes no writes")
    for name in PROGRAMS:
        wait_for(lambda n=name: "it is an old primary" in fleet.processes[n].log(), ALIVE_S, f"{name} to refuse the old primary")
    wait_for(lambda: fleet.api.get("/ready")[0] == 503, ALIVE_S, "/ready to say that there is no database")


def both_writable(scene):
    """The primary is silent, the standby promoted, and the primary is back and takes writes, for a while as the only one."""
    fleet = scene.fleet
    fleet.start_postgres(fsync="on")
    pair = Pair(fleet, synchronous=True)
    scene.begin()
    old, new = pair.primary, pair.standby
    old.freeze()
    pair.promote()
    scene.wait_work()
    old.thaw()
    old.set(synchronous_standby_names="")
    wait_for(lambda: not old.query("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'certctl-%%'"), ALIVE_S,
             "the sessions of before to end", every=0.1)
    before = written(old)
    scene.wait_work()
    new.kill()
    check_refused(scene, old)
    new.start()
    scene.measure(time.monotonic())
    scene.wait_work()
    scene.need(written(old) == before, f"the old primary was written to: {before}, {written(old)}")


def leads(fleet):
    return fleet.value("SELECT expires_at > clock_timestamp() FROM leadership")


def recover(scene):
    """The dry run changes nothing, and after the real one nothing that was signed is unknown; when that was begun."""
    fleet = scene.fleet
    wait_for(lambda: all("code=DATABASE-BEHIND" in fleet.processes[n].log() for n in PROGRAMS[1:3]), ALIVE_S, "the schedulers to wait")
    wait_for(lambda: fleet.api.get("/ready")[0] == 200, ALIVE_S, "the API")
    # Who led before it was noticed has its lease for a moment still.
    wait_for(lambda: not leads(fleet), ALIVE_S, "nobody to lead")
    unknown = unknown_serials(fleet)
    scene.need(unknown, "the backup knows all that was signed")
    dry = fleet.cli("recover")
    scene.need(dry.returncode == 0 and unknown_serials(fleet) == unknown, f"the dry run: {dry.stdout}{dry.stderr}")
    scene.need(not leads(fleet), "somebody leads before certctl recover")
    since = time.monotonic()
    real = fleet.cli("recover", "--apply", "--yes")
    # Work goes on at once, and what is signed now is in a journal before it is in the database.
    left = set(unknown) & set(unknown_serials(fleet))
    scene.need(real.returncode == 0 and not left, f"certctl recover: {left}: {real.stdout}{real.stderr}")
    print(f"failover: scenario={scene.name}: {len(unknown)} serials were unknown to the backup")
    return since


def unknown_serials(fleet):
    """Of the journals' serials those that the database does not know; a job that is open will make the certificate of its own."""
    known = {r[0] for r in fleet.query("SELECT serial_number FROM certificate_versions UNION SELECT serial_number FROM certificate_revocations "
                                       "UNION SELECT serial_number FROM jobs WHERE status IN ('Pending', 'Running')")}
    return [e[0] for e in checker.read_journals(fleet.dir / "journal") if e[0] not in known]


def older_restore(scene):
    """Restored from an older base backup beside living journals; what was accepted after it is gone with it, and that alone."""
    fleet = scene.fleet
    fleet.start_postgres(fsync="on")
    scene.begin()
    before = len(scene.load.accepted)
    base = back_up(fleet, ALIVE_S)
    scene.wait_work(20)
    scene.load.stop()
    accepted = scene.load.accepted[:before]
    restore(fleet, base, PROGRAMS, ALIVE_S)
    scene.measure(recover(scene), scene.go_on)
    scene.load.accepted[:0] = accepted


SCENARIOS = {f.__name__.replace("_", "-"): f for f in (killed, silent, read_only, both_writable, standby_gone, older_restore)}


def play(name, certificates=CERTIFICATES):
    """One scenario; (its line, what was lost, what was doubled)."""
    with Fleet(name) as fleet:
        scene = Scene(fleet, name, certificates)
        lost, doubled = SCENARIOS[name](scene) or scene.end()
        jobs = len(scene.load.accepted)
    for alarm in fleet.alarms:
        lost.append(f"a process died: {alarm}")
    line = (f"failover: scenario={name} jobs={jobs} lost={len(lost)} doubled={len(doubled)} "
            f"next_commit_s={scene.next_commit_s:.1f} next_certificate_s={scene.next_certificate_s:.1f}")
    return line, lost, doubled


def main():
    parser = argparse.ArgumentParser(description="Move the database under load; count losses and doubles.")
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS], help="default: all")
    arguments = parser.parse_args()
    # Ended from outside it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    status = 0
    for name in arguments.scenario or SCENARIOS:
        try:
            line, lost, doubled = play(name)
        except CannotMake as e:
            print(f"failover: scenario={name} skipped: {e}")
            continue
        except Timeout as e:
            line, lost, doubled = f"failover: scenario={name} failed: {e}", [str(e)], []
        for what in lost:
            print("lost:", what)
        for what in doubled:
            print("doubled:", what)
        print(line, flush=True)
        status |= bool(lost or doubled)
    sys.exit(status)


if __name__ == "__main__":
    main()
