"""
Workers on another host: two network namespaces with a cable between them.
PostgreSQL, API, schedulers and agents are on the first, with one worker; the
others are on the second.  The bus is tls+tcp:// with certificates made by
deploy/bus-certs.sh.
"""
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet import ROOT, Fleet, Timeout, clean_env, wait_for
from hosts import FIRST, SECOND, CannotMake, Hosts
from load import Load, done_since, last_lease, make_certificates, wait_quiet

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import checker  # noqa: E402

CERTS = ROOT / "deploy" / "bus-certs.sh"
CUT_S = 5


def make_certs(*arguments):
    subprocess.run([CERTS, *arguments], check=True, capture_output=True, env=clean_env())


def bus_env(directory):
    return {"CERTCTL_BUS_CA": f"{directory}/ca.pem", "CERTCTL_BUS_CERT": f"{directory}/bus.pem",
            "CERTCTL_BUS_KEY": f"{directory}/bus.key"}


@pytest.fixture(scope="module")
def hosts():
    try:
        hosts = Hosts()
    except CannotMake as e:
        pytest.skip(f"no network namespaces here: {e}")
    yield hosts
    hosts.close()


@pytest.fixture(scope="module")
def plane(hosts):
    fleet = Fleet("hosts")
    try:
        fleet.hosts = hosts
        fleet.certs = fleet.dir / "bus-certs"
        make_certs(fleet.certs, "ca")
        make_certs(fleet.certs, "host", FIRST)
        make_certs(fleet.certs, "host", "second.example.test", SECOND)
        fleet.bus = [f"tls+tcp://{FIRST}:7400", f"tls+tcp://{FIRST}:7410"]
        fleet.bus_env = bus_env(fleet.certs / FIRST)
        fleet.start_postgres(listen_addresses=FIRST, hba=[f"host certctl certctl_worker {SECOND}/32 trust"])
        fleet.start_plane(keep=True, schedulers=2, workers=1, CERTCTL_BATCH_SIZE="4")
        fleet.make_basics()
        for i in (1, 2):
            fleet.start_agent(f"agent-{i}", keep=True)
        fleet.names = make_certificates(fleet, ["agent-1", "agent-2"], 16)
        yield fleet
    finally:
        fleet.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


@pytest.fixture
def load(plane):
    load = Load(plane, plane.names, threads=3)
    yield load
    load.stop()
    wait_quiet(plane)
    assert checker.check(plane.query, load.accepted, plane.dir / "journal") == ([], [])


def join(plane, i, keep=False, **env):
    """Starts a worker on the second host, and nothing waits for it."""
    url = f"postgresql://certctl_worker@{FIRST}/certctl"
    return plane.start_worker(i, keep, prefix=plane.hosts.on_second, CERTCTL_DATABASE_URL=url,
                              **bus_env(plane.certs / "second.example.test") | env)


def signed_by(plane, i, after):
    """How many certificates of leases after that one this worker signed, in all its lives."""
    return plane.value("SELECT count(*) FROM jobs j JOIN workers w ON w.incarnation = j.leased_by WHERE w.name = %s "
                       "AND j.lease_id > %s AND j.status = 'Completed'", f"worker-{i}", after)


def wait_signing(plane, i, n=5, seconds=30):
    lease = last_lease(plane)
    try:
        wait_for(lambda: signed_by(plane, i, lease) >= n, seconds, f"worker-{i} to sign", every=0.05)
    except Timeout as e:
        raise Timeout(f"{e}; its log ends:\n{plane.processes[f'worker-{i}'].log()[-2000:]}") from None


def has_gone_on(worker):
    """It is the same process, or nng was stuck and the supervisor had to start another."""
    return worker.starts == 1 or "BUS-STUCK" in worker.log()


def wait_going_on(plane, n=10, seconds=20):
    lease = last_lease(plane)
    wait_for(lambda: done_since(plane, lease) >= n, seconds, "certificates", every=0.02)


# --- who may join ---

def test_without_certificate_it_does_not_start(plane):
    worker = join(plane, 20, CERTCTL_BUS_CERT="", CERTCTL_BUS_KEY="")
    assert worker.popen.wait(20) != 0
    assert "tls+tcp:// needs CERTCTL_BUS_CA, CERTCTL_BUS_CERT and CERTCTL_BUS_KEY" in worker.log()


def test_metrics_tell_when_the_certificates_end(plane):
    out = subprocess.run(["openssl", "x509", "-noout", "-enddate", "-in", plane.certs / FIRST / "bus.pem"], check=True,
                         capture_output=True, text=True, env=clean_env()).stdout
    ends = ssl.cert_time_to_seconds(out.strip().removeprefix("notAfter="))
    want = {f'certctl_bus_certificate_not_after_timestamp_seconds{{listener="{who}"}} {ends}' for who in ["", *plane.bus[:2]]}
    wait_for(lambda: want <= set(plane.api.get("/api/v1/metrics/prometheus")[1].split("\n")), 20, "each certificate's end")


def test_plain_tcp_between_hosts_is_refused(plane):
    worker = join(plane, 21, CERTCTL_BUS_URLS=f"tcp://{FIRST}:7400")
    assert worker.popen.wait(20) != 0
    assert "plain tcp:// is for loopback addresses only" in worker.log()


def refusals(plane):
    return sum(plane.processes[f"scheduler-{i}"].log().count("BUS-REFUSED") for i in (1, 2))


def test_certificate_of_another_ca_is_refused_and_logged(plane):
    other = plane.dir / "other-certs"
    make_certs(other, "ca")
    make_certs(other, "host", "second.example.test", SECOND)
    before = refusals(plane)
    env = bus_env(other / "second.example.test") | {"CERTCTL_BUS_CA": str(plane.certs / "ca.pem")}
    worker = join(plane, 22, **env)
    wait_for(lambda: refusals(plane) > before, 20, "the scheduler to say whom it refused")
    wait_for(lambda: "BUS-SILENT" in worker.log(), 20, "the worker to say that it hears nobody")
    assert "BUS-LEADER" not in worker.log()
    assert worker.stop() == 0


def test_no_certificate_at_all_is_refused_and_logged(plane):
    before = refusals(plane)
    subprocess.run([*plane.hosts.on_second, "openssl", "s_client", "-connect", f"{FIRST}:7401", "-tls1_2"], env=clean_env(),
                   stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    wait_for(lambda: refusals(plane) > before, 20, "the scheduler to say whom it refused")


def test_scheduler_with_another_name_is_not_believed(plane):
    """What a worker dials must be in the scheduler's certificate."""
    make_certs(plane.certs, "host", "elsewhere.example.test")
    plane.bus.append(f"tls+tcp://{FIRST}:7420")
    try:
        scheduler = plane.start_scheduler(3, **bus_env(plane.certs / "elsewhere.example.test"))
    finally:
        url = plane.bus.pop()
    worker = join(plane, 23, CERTCTL_BUS_URLS=url)
    wait_for(lambda: "BUS-SILENT" in worker.log(), 20, "the worker to say that it hears nobody")
    assert "BUS-LEADER" not in worker.log() and scheduler.popen.poll() is None
    assert worker.stop() == 0 and scheduler.stop() == 0


# --- joining and leaving under load ---

def test_worker_joins_and_leaves_under_load(plane, load):
    worker = join(plane, 2)
    wait_signing(plane, 2)
    assert worker.stop() == 0
    assert plane.value("SELECT count(*) FROM jobs j JOIN workers w ON w.incarnation = j.leased_by "
                       "WHERE w.name = 'worker-2' AND j.status = 'Running'") == 0, "it left nothing behind"
    wait_going_on(plane)


def test_worker_is_killed_under_load(plane, load):
    worker = join(plane, 3)
    wait_signing(plane, 3)
    worker.kill()
    wait_going_on(plane)
    join(plane, 3)
    wait_signing(plane, 3)


# --- the cable ---

def test_hosts_are_cut_off_from_each_other(plane, load):
    """The first host goes on alone; the second drops its work in time and is back by itself."""
    worker = join(plane, 4, keep=True)
    wait_signing(plane, 4)
    plane.hosts.cut()
    since = time.monotonic()
    try:
        wait_for(lambda: plane.value("SELECT count(*) FROM workers WHERE name = 'worker-4' AND lease_until > clock_timestamp()") == 0,
                 20, "the end of its lease")
        wait_going_on(plane)
        wait_for(lambda: time.monotonic() - since >= CUT_S, 20, "the end of the cut")
        wait_going_on(plane)
    finally:
        plane.hosts.mend()
    since = time.monotonic()
    wait_signing(plane, 4, 1, seconds=40)
    print(f"cut for {CUT_S} s: the worker signed again {time.monotonic() - since:.1f} s after it was mended")
    assert "LEASE-LOST" in worker.log()
    assert has_gone_on(worker)


def test_schedulers_restart_while_the_cable_is_cut(plane, load):
    """The worker's connections lead to processes that are gone, and nothing ever tells it so."""
    worker = join(plane, 5, keep=True)
    wait_signing(plane, 5)
    plane.hosts.cut()
    try:
        for i in (1, 2):
            plane.processes[f"scheduler-{i}"].kill()
        wait_going_on(plane)
    finally:
        plane.hosts.mend()
    since = time.monotonic()
    wait_signing(plane, 5, 1, seconds=40)
    print(f"schedulers restarted behind a cut: the worker signed again {time.monotonic() - since:.1f} s after it was mended")
    assert has_gone_on(worker)


# --- rolling restart ---

def test_rolling_restart_loses_nothing(plane, load):
    """docs/operator/workers.md's order: API, standby, leader, workers; each is asked to end and started again."""
    worker = join(plane, 6)
    wait_signing(plane, 6)
    leader = plane.value("SELECT right(s.name, 1)::int FROM leadership l JOIN schedulers s ON s.incarnation = l.holder")
    accepted = len(load.accepted)
    for name in ("apiserver", f"scheduler-{3 - leader}", f"scheduler-{leader}", "worker-1", "worker-6", "agent-1", "agent-2"):
        process = plane.processes[name]
        keep = process.keep
        assert process.stop() == 0, name
        process.keep = keep
        process.start()
        if name == "apiserver":
            plane.wait_ready()
        wait_going_on(plane)
    wait_signing(plane, 6)
    assert len(load.accepted) > accepted + 50
    assert worker.popen.poll() is None
    load.stop()
    wait_quiet(plane)
    states = plane.query("SELECT status, count(*) FROM jobs WHERE id = ANY(%s) GROUP BY 1", load.accepted)
    assert states == [("Completed", len(load.accepted))]
