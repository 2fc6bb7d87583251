"""
The job engine under load: certificates whose renewals drain through the scheduler and the workers, looked at each second, and what is
lost or doubled in the end.  What makes them is tests/bench's.
"""
import gzip
import json
import statistics
import sys
import threading
import time
from contextlib import contextmanager

from fleet import ROOT, wait_for

sys.path[:0] = [str(ROOT / "tests" / "bench")]
from bench import Bench  # noqa: E402

BATCH = 256
ISSUER = "iss-local"
EVERY_S = 1.0
BUSY = "('Pending', 'Running', 'AwaitingCSR')"


def scaled(run, count, least=200):
    """So many at the scenario's own duration, and fewer for less."""
    return max(least, min(count, int(count * run.seconds / run.module.SECONDS)))


NO_GENERATOR = "generator: one SQL statement asks for the renewals, no program puts a load on"


def make(stack, count):
    """count certificates of the local CA."""
    if NO_GENERATOR not in stack.report.data["not_measured"]:
        stack.report.not_measured(NO_GENERATOR)
    stack.make_basics()
    wait_for(lambda: stack.value("SELECT count(*) FROM ca_certificates"), 20, "the CA")
    Bench().make_certificates(stack, count)
    stack.query("VACUUM ANALYZE")
    stack.query("CHECKPOINT")


def enqueue(stack, count, csrs):
    """A renewal of each, its CSR in."""
    Bench().make_jobs(stack, count, csrs)


@contextmanager
def stocked(run, count, schedulers=1):
    """A stack that runs, with count certificates to be renewed."""
    with run.stack(shared_buffers="1GB") as stack:
        stack.start(schedulers=schedulers)
        run.report.load(certificates=count)
        make(stack, count)
        yield stack


def csrs():
    return Bench().csrs()


class Drain:
    """How many jobs have ended, looked at each second."""

    def __init__(self, stack):
        self.stack = stack
        self.rows = []
        self.is_over = threading.Event()
        self.begun = time.monotonic()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _look(self):
        try:
            done = self.stack.value("SELECT count(*) FROM jobs WHERE status = 'Completed'")
        except Exception:  # noqa: BLE001 - the database is away just now, and the row says so
            done = None
            self.stack.forget_connections()
        self.rows.append((round(time.monotonic() - self.begun, 3), done))

    def _run(self):
        while not self.is_over.wait(EVERY_S):
            self._look()

    def rates(self):
        """Jobs a second, between two looks that saw something end."""
        seen = [(t, n) for t, n in self.rows if n is not None]
        return [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(seen, seen[1:]) if b[1] > a[1]]

    def keep(self, report, name):
        path = self.stack.dir / f"{name}.json.gz"
        with gzip.open(path, "wt", encoding="ascii") as out:
            json.dump([{"s": t, "completed": n} for t, n in self.rows], out)
        report.raw[f"{report.scenario}.{path.name}"] = path


@contextmanager
def watched(stack, report, name="drain"):
    drain = Drain(stack)
    drain.thread.start()
    try:
        yield drain
    finally:
        drain.is_over.set()
        drain.thread.join()
        drain.keep(report, name)


@contextmanager
def draining(stack, report, count, made_csrs):
    """Renewals of all of them, looked at from the moment they are enqueued."""
    with stack.sampled(), watched(stack, report) as drain:
        enqueue(stack, count, made_csrs)
        yield drain


def wait_drained(stack, count, seconds):
    """Until none is left; seconds since the call."""
    started = time.monotonic()
    wait_for(lambda: stack.value(f"SELECT NOT EXISTS (SELECT 1 FROM jobs WHERE status IN {BUSY})"), seconds, "the drain", every=0.1)
    return time.monotonic() - started


def tell_drain(report, drain, count, took, name="jobs ended a second"):
    rates = drain.rates()
    report.measure(name, "jobs/s", values=rates)
    report.count(jobs=count, drain_s=round(took, 2), jobs_a_second=round(count / took, 1),
                 jobs_a_second_median=round(statistics.median(rates), 1) if rates else 0)


def judge(stack, report, count, of=""):
    """Each certificate has exactly one new version, and each job is Completed; of: which drain, where a scenario has several."""
    lost, doubled = stack.query("""
        SELECT count(*) FILTER (WHERE n = 0), count(*) FILTER (WHERE n > 1) FROM (SELECT (SELECT count(*) FROM certificate_versions v
            WHERE v.certificate_id = c.id) AS n FROM managed_certificates c WHERE c.id LIKE 'mc-%') s""")[0]
    completed = stack.value("SELECT count(*) FROM jobs WHERE status = 'Completed'")
    serials = stack.value("SELECT count(*) - count(DISTINCT serial_number) FROM certificate_versions")
    report.count(**{f"{of}completed": completed, f"{of}lost": lost, f"{of}doubled": doubled})
    report.threshold(f"{of}jobs Completed", f">= {count}", completed)
    report.threshold(f"{of}certificates without a new version (lost)", "== 0", lost)
    report.threshold(f"{of}certificates with more than one (doubled)", "== 0", doubled)
    report.threshold(f"{of}serial numbers given twice", "== 0", serials)


def raw_rate(stack, count, made_csrs):
    """Jobs a second of the same claims and ends as SQL from two connections, with no crypto: the daemons are stopped for it."""
    pem = stack.value("SELECT pem_chain FROM certificate_versions LIMIT 1").split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    for name in [n for n in stack.processes if n.startswith(("scheduler", "worker", "apiserver"))]:
        stack.processes.pop(name).stop()
    stack.query("TRUNCATE jobs, certificate_requests, certificate_versions, certificate_target_mappings CASCADE")
    stack.query("VACUUM ANALYZE")
    enqueue(stack, count, made_csrs)
    stack.query("CHECKPOINT")
    return Bench().drain_raw(stack, pem, BATCH)
