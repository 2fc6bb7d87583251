"""
Long and dirty: a fleet that renews round after round beside ACME clients, calls about many certificates, and keys that are rotated.  In
the first half every process is stopped or killed in turn, the database fails over, and old jobs are removed in bulk; in the second half
the same work goes on and nothing is restarted, so that what grows there is a leak.  A slope is fitted to each process's memory.
"""
import itertools
import json
import signal
import sys
import threading
import time

import slopes
from agents import SETTINGS, Agents
from fleet import BUILD, ROOT, clean_env, wait_for
from pair import Pair
from report import NotMeasured

sys.path[:0] = [str(ROOT / "tests" / "chaos")]
import checker  # noqa: E402

NAME = "soak"
GROUP = None
OWN_SERVER = "a given server is not ours to fail over"
SECONDS = 3600
AGENTS = 200
ACME_CLIENTS = 4
OLD_JOBS = 100000
WHAT = (f"{AGENTS} agents of certctl-fleet renewed round after round, {ACME_CLIENTS} ACME clients, bulk calls, rotated keys; in the first half "
        f"restarts of every process, a fail-over of PostgreSQL and {OLD_JOBS} old jobs removed")
SECONDS_A_RESTART = 15
SECONDS_A_CALL = 5
ROUND_LIMIT_S = 300
SLOPE_LEAST_S = 600  # of less, memory that warms up looks like a leak
SLOPE_LIMIT = 10.0  # percent of what the process has, an hour
ROUNDS = "due to served, p95 of each round; errors: rounds in which an answer was none or a refusal"
ORDERS = "ACME orders, p95 of each batch of some seconds; errors: batches with an order that failed"
GENTLY_MORE = {"CERTCTL_ACME_SERVER_ENABLED": "true", "CERTCTL_ACME_SERVER_RATE_LIMIT_ORDERS_PER_HOUR": "0",
               "CERTCTL_ACME_SERVER_RATE_LIMIT_CONCURRENT_ORDERS": "0", "CERTCTL_RATE_LIMIT_PER_USER_RPS": "1000"}


class Work:
    """What goes on all the time, in threads; each counts what came of its steps."""

    def __init__(self, stack):
        self.stack = stack
        self.counts, self.lock = {}, threading.Lock()
        self.orders, self.orders_cut = [], 0  # p95 of each batch of ACME orders; batches with one that failed
        self.is_over = threading.Event()
        self.threads = []
        self.failure = None

    def count(self, name, n=1):
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + n

    def go(self, step, pause):
        def run():
            for n in itertools.count():
                if self.is_over.wait(pause):
                    return
                try:
                    step(n)
                except Exception as e:  # noqa: BLE001 - a step that fails must not end the others unseen
                    self.failure = self.failure or f"{step.__name__}: {e!r}"
                    self.is_over.set()
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(ROUND_LIMIT_S)

    def ask(self, what, method, path, body=None, key=None):
        """The reply of one that was done; what is refused for want of a server is counted."""
        api = list(self.stack.apis.values())[len(self.counts) % len(self.stack.apis)]
        try:
            status, reply = api.call(method, path, body, timeout=20, **({"key": key} if key else {}))
        except OSError:
            status, reply = 0, {}
        if 200 <= status < 300:
            self.count(what)
            return reply
        self.count(f"{what}: no answer" if status == 0 else f"{what}: {status}")
        if status not in (0, 409, 429, 502, 503, 504):
            raise AssertionError(f"{method} {path}: {status} {reply}")
        return None

    # --- the steps ---
    def acme(self, n):
        """Orders one after the other; what a restart cuts off is a client's to repeat."""
        ports = [api.port for api in self.stack.apis.values()]
        directory = f"https://127.0.0.1:{ports[n % len(ports)]}/acme/profile/prof-acme/directory"
        process = self.stack.generate("acme", [BUILD / "tests/bench/acme_load", directory, self.stack.dir / "tls/api.pem", ACME_CLIENTS, 10],
                                      clean_env())
        if self.stack.await_generator(process, 60, every=1.0) != 0:
            self.count("ACME clients that were cut off")
        for line in process.log().splitlines():
            if line.startswith("{"):
                got = json.loads(line)
                self.count("ACME orders", got["orders"])
                self.count("ACME orders that failed", got["failed"])
                self.orders.append(got["p95_ms"])
                self.orders_cut += got["failed"] > 0

    def bulk(self, n):
        owner = ("o-test", "o-other")[n % 2]
        ids = [f"fleet-c{i:06d}" for i in range(1, 51)]
        self.ask("bulk reassignments", "POST", "/api/v1/certificates/bulk-reassign", {"certificate_ids": ids, "owner_id": owner})
        self.ask("bulk renewals, dry", "POST", "/api/v1/certificates/bulk-renew?dry_run=true", {"team_id": "t-test"})
        self.ask("lists", "GET", "/api/v1/certificates?per_page=100")

    def keys(self, n):
        """A stored key is made, has a role, is rotated, works, and goes."""
        name = f"soak-{n}"
        if not self.ask("keys made", "POST", "/api/v1/auth/keys", {"name": name}):
            return
        self.ask("roles given", "POST", f"/api/v1/auth/keys/{name}/roles", {"role_id": "r-viewer"})
        rotated = self.ask("keys rotated", "POST", f"/api/v1/auth/keys/{name}/rotate", {"grace_seconds": 0})
        if rotated:
            self.ask("calls with a rotated key", "GET", "/api/v1/certificates?per_page=1", key=rotated["key_value"])
        self.ask("keys removed", "DELETE", f"/api/v1/auth/keys/{name}")


class Rounds:
    """The fleet, round after round: each is due at once, and each is served."""

    def __init__(self, run, stack, agents, until):
        self.run, self.stack, self.agents, self.until = run, stack, agents, until
        self.rounds, self.spans, self.errors, self.refused = 0, [], 0, 0  # refused: rounds with errors
        self.failure = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while time.monotonic() < self.until:
                _, found = self.agents.renew_due(ROUND_LIMIT_S)
                self.rounds += 1
                self.errors += sum(found["errors"].values())
                row = next(r for r in found["renewals"] if r["name"] == "due to served")
                self.spans.append(row["p95"])
                self.refused += any(found["errors"].values())
                self.run.say(f"round {self.rounds}: {found['served']} of {self.agents.certificates} served, p95 {row['p95']} ms, "
                             f"answers that were none or refusals {sum(found['errors'].values())}")
                # What a restart cut off is finished by the next look of its agent.
                wait_for(lambda: self.agents.behind() == 0, ROUND_LIMIT_S, "the round to be deployed", every=1)
        except Exception as e:  # noqa: BLE001 - told by the judge
            self.failure = repr(e)


def restarts(run, stack, until):
    """Every process in turn: asked to end, killed, asked, ..."""
    names = [n for n in stack.processes if n.startswith(("apiserver", "scheduler", "worker"))]
    for n, name in enumerate(itertools.cycle(names)):
        if time.monotonic() + SECONDS_A_RESTART > until:
            return n
        process = stack.processes[name]
        if (n // len(names)) % 2 == 0:
            process.ask_to_restart()
        else:
            process.signal(signal.SIGKILL)  # kept: it is started again
        wait_for(process.listens if name.startswith("apiserver") else lambda: process.popen.poll() is None, 60, f"{name} again", every=0.1)  # noqa: B023
        time.sleep(SECONDS_A_RESTART)
    return 0


def fail_over(run, stack, pair):
    pair.primary.kill()
    started = time.monotonic()
    pair.promote()
    stack.processes["postgres"] = stack.processes.pop("standby")  # that is the server now
    wait_for(lambda: stack.api.get("/ready")[0] == 200, 60, "the API to be ready", every=0.1)
    run.report.count(failover_s=round(time.monotonic() - started, 2))
    run.say(f"PostgreSQL has failed over in {time.monotonic() - started:.1f} s")


def remove_old(run, stack):
    """Old jobs, as a year leaves them, and the duty that removes them."""
    stack.plant("INSERT INTO jobs (id, type, certificate_id, status, issuer_id, dedupe_key, scheduled_at, created_at, completed_at) "
                "SELECT id_bound('job', old.at) || '-' || i, 'Renewal', 'fleet-c000001', 'Completed', 'iss-local', 'soak:' || i, old.at, old.at, old.at "
                "FROM (SELECT now() - interval '60 days' AS at) old, generate_series(1, %s) i", OLD_JOBS)

    def left():
        stack.query("UPDATE duties SET run_requested_at = clock_timestamp() WHERE name = 'job_retention'")
        return stack.value("SELECT count(*) FROM jobs WHERE dedupe_key LIKE 'soak:%%'")
    started = time.monotonic()
    wait_for(lambda: left() == 0, 300, "old jobs to be removed", every=2)
    run.report.count(old_jobs_removed=OLD_JOBS, removed_in_s=round(time.monotonic() - started, 1))


def sizes(stack):
    """Bytes of the database and its write-ahead log; and how much of the tables is dead."""
    data, wal, dead, live = stack.query("SELECT pg_database_size(current_database()), (SELECT sum(size) FROM pg_ls_waldir()), sum(n_dead_tup), "
                                        "sum(n_live_tup) FROM pg_stat_user_tables")[0]
    tables = dict(stack.query("SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables ORDER BY 2 DESC LIMIT 8"))
    return {"database_mb": round(data / 2**20, 1), "wal_mb": round(float(wal) / 2**20, 1), "dead_rows": int(dead), "live_rows": int(live)}, tables


def judge_memory(run, stack, since_s):
    """Of each process that stood through the second half; short runs report, and say that they judge nothing."""
    found = slopes.fit(stack.sampler.samples, since_s)
    long_enough = run.seconds / 2 >= SLOPE_LEAST_S
    for name, (kb_an_hour, kb) in sorted(found.items()):
        percent = 100 * kb_an_hour / kb
        run.report.count(**{f"memory of {name}, KB an hour": round(kb_an_hour), f"memory of {name}, KB": round(kb)})
        run.say(f"memory of {name}: {kb / 1024:.1f} MB, slope {kb_an_hour / 1024:+.2f} MB an hour ({percent:+.1f} %)")
        if long_enough:
            run.report.threshold(f"memory of {name} grows, % an hour", f"< {SLOPE_LIMIT}", round(percent, 2))
    if not long_enough:
        run.report.not_measured(f"slopes of memory: the second half has less than {SLOPE_LEAST_S} s")


def run(run):
    if run.database:
        raise NotMeasured("a given server is not ours to fail over")
    with run.stack(shared_buffers="256MB") as stack:
        pair = Pair(stack, synchronous=True)
        env = SETTINGS | GENTLY_MORE
        for start, n in ((stack.start_scheduler, 2), (stack.start_worker, 2), (stack.start_apiserver, 2)):
            stack.bus_count = 2
            for i in range(1, n + 1):
                start(i, keep=True, **{"CERTCTL_RATE_LIMIT_ENABLED": "true", "CERTCTL_LOG_LEVEL": "warn"} | env)
        stack.tell_settings()
        stack.make_basics()
        stack.api.need("POST", "/api/v1/owners", {"id": "o-other", "name": "Other", "email": "other@example.test", "team_id": "t-test"})
        stack.api.need("POST", "/api/v1/profiles", {"id": "prof-acme", "name": "acme", "acme_auth_mode": "trust_authenticated",
                                                    "issuer_id": "iss-local", "acme_owner_id": "o-test"})
        count = max(10, min(AGENTS, AGENTS * run.seconds // 600))
        with Agents(stack, count, start=stack.generate) as agents:
            run.report.load(agents=count, certificates=agents.certificates)
            agents.register(300)
            agents.seed()
            agents.ask(40, 300)
            soak(run, stack, pair, agents)


def soak(run, stack, pair, agents):
    begun = time.monotonic()
    half, end = begun + run.seconds / 2, begun + run.seconds
    work, rounds = Work(stack), Rounds(run, stack, agents, end)
    with stack.sampled():
        rounds.thread.start()
        for step, pause in ((work.acme, 1), (work.bulk, SECONDS_A_CALL), (work.keys, SECONDS_A_CALL)):
            work.go(step, pause)
        restarted = restarts(run, stack, begun + run.seconds / 6)
        fail_over(run, stack, pair)
        restarted += restarts(run, stack, begun + run.seconds / 3)
        remove_old(run, stack)
        time.sleep(max(0, half - time.monotonic()))
        since_s = stack.sampler.samples[-1]["s"]
        before, _ = sizes(stack)
        rounds.thread.join(run.seconds / 2 + 3 * ROUND_LIMIT_S)
        work.stop()
        after, tables = sizes(stack)
        judge(run, stack, work, rounds, agents, restarted)
    judge_memory(run, stack, since_s)
    run.report.not_measured("floor: it asks for no rate; those of the same work stand in the scenarios fleet, jws and bulk")
    run.report.count(**{f"{k}, at the half": v for k, v in before.items()}, **{f"{k}, at the end": v for k, v in after.items()},
                     **{f"table {k}, MB": round(v / 2**20, 1) for k, v in tables.items()})
    run.report.threshold("the write-ahead log, MB", "< 4096", after["wal_mb"])


def judge(run, stack, work, rounds, agents, restarted):
    report = run.report
    for who in (work, rounds):
        if who.failure:
            report.fail("the work goes on to the end", who.failure)
    wait_for(lambda: not stack.value("SELECT count(*) FROM jobs WHERE status IN ('Pending', 'AwaitingCSR', 'Running')"), 300, "the rest to end")
    accepted = [r[0] for r in stack.query("SELECT id FROM jobs WHERE status NOT IN ('AwaitingCSR', 'AwaitingApproval')")]
    lost, doubled = checker.check(stack.query, accepted, stack.dir / "journal")
    for line in lost + doubled:
        run.say(line)
    report.measure(ROUNDS, "ms", values=rounds.spans, errors=rounds.refused)
    report.measure(ORDERS, "ms", values=work.orders, errors=work.orders_cut)
    report.count(jobs=len(accepted), rounds=rounds.rounds, restarts=restarted, refusals_in_rounds=rounds.errors, **work.counts)
    report.threshold("lost", "== 0", len(lost))
    report.threshold("doubled", "== 0", len(doubled))
    report.threshold("certificates whose target is behind", "== 0", agents.behind())
    report.threshold("rounds", ">= 2", rounds.rounds)
    report.threshold("restarts", ">= 1", restarted)
    report.threshold("ACME orders", ">= 1", work.counts.get("ACME orders", 0))
    report.threshold("calls with a rotated key", ">= 1", work.counts.get("calls with a rotated key", 0))
    report.threshold("bulk calls", ">= 1", work.counts.get("bulk reassignments", 0))
