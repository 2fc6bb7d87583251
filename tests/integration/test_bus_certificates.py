"""
A certificate of the bus ends while its processes run: what is connected goes on,
what would connect anew is refused, status says whose it was, and all is well again
once a new one lies in its place; nothing is restarted.
"""
import contextlib
import datetime
import os
import random
import socket

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fleet import PATIENCE, Fleet, wait_for
from test_conditions import told

ENDS_IN_S = 20 * PATIENCE  # enough to start in; each test waits for its end
ENDED = "bus_certificate_ended"


class BusCa:
    """What deploy/bus-certs.sh makes, but to the second."""

    def __init__(self, directory):
        self.directory, self.key = directory, ec.generate_private_key(ec.SECP256R1())
        self.cert = self.sign("ca", self.key, {"days": 400})

    def sign(self, name, key, left):
        now = datetime.datetime.utcnow()
        subject, issuer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in (name, "ca"))
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                .not_valid_after(now + datetime.timedelta(**left))
                .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
                .add_extension(x509.SubjectAlternativeName([x509.DNSName("127.0.0.1")]), critical=False)
                .sign(self.key, hashes.SHA256()))

    def give(self, who, **left):
        """The settings of a process; its certificate ends in so long.  Given again, the files are replaced."""
        directory = self.directory / who
        directory.mkdir(exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        files = {"ca.pem": self.cert.public_bytes(serialization.Encoding.PEM),
                 "bus.pem": self.sign(who, key, left).public_bytes(serialization.Encoding.PEM),
                 "bus.key": key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())}
        for name, content in files.items():
            new = directory / f"{name}.new"
            new.touch(0o600)
            new.write_bytes(content)
            os.rename(new, directory / name)
        return {f"CERTCTL_BUS_{what}": str(directory / name) for what, name in
                (("CA", "ca.pem"), ("CERT", "bus.pem"), ("KEY", "bus.key"))}


@pytest.fixture
def plane(fleet: Fleet):
    fleet.bus = [f"tls+tcp://127.0.0.1:{port_of_three()}"]
    fleet.ca = BusCa(fleet.dir / "bus")
    fleet.start_postgres()
    return fleet


def port_of_three():
    """A scheduler takes the two behind its own as well; below those that the kernel hands out."""
    def is_free(port):
        with contextlib.ExitStack() as stack:
            try:
                for at in range(port, port + 3):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", at))
            except OSError:
                return False
        return True
    return next(port for port in iter(lambda: random.randrange(10000, 30000), None) if is_free(port))


def begin(plane, **left):
    """left: whose certificate ends when; the others' in days.  A site."""
    for who, start in (("scheduler", plane.start_scheduler), ("worker", plane.start_worker), ("apiserver", plane.start_apiserver)):
        start(**plane.ca.give(who, **left.get(who, {"days": 300})))
    plane.make_basics()
    return plane.start_site("demo")


def wait_over(plane, who):
    """notAfter is the last second of a certificate that is valid."""
    cert = x509.load_pem_x509_certificate((plane.ca.directory / who / "bus.pem").read_bytes())
    wait_for(lambda: datetime.datetime.utcnow() >= cert.not_valid_after + datetime.timedelta(seconds=1), 40, f"the end of {who}'s")


def is_told(plane):
    return told(plane)[0].get(ENDED)


@contextlib.contextmanager
def nobody_restarts(plane):
    before = {name: process.popen.pid for name, process in plane.processes.items()}
    yield
    assert {name: plane.processes[name].popen.pid for name in before} == before
    assert all(plane.processes[name].popen.poll() is None for name in before)


def test_members_certificates_end_and_are_replaced(plane):
    soon = {"seconds": ENDS_IN_S}
    site = begin(plane, worker=soon, apiserver=soon)
    site.renew_and_wait()
    worker, apiserver = plane.processes["worker-1"], plane.processes["apiserver"]
    with nobody_restarts(plane):
        wait_for(lambda: (is_told(plane) or {}).get("count") == 2, 40, "both to be told of")
        # An apiserver's log and a worker's say it within moments, too.
        wait_for(lambda: all("code=BUS-CERT-ENDED" in p.log() for p in (worker, apiserver)), 20, "the logs")
        site.renew_and_wait()
    wait_over(plane, "worker")
    wait_over(plane, "apiserver")
    plane.processes["scheduler-1"].stop()
    plane.start_scheduler(**plane.ca.give("scheduler", days=300))
    scheduler = plane.processes["scheduler-1"]
    with nobody_restarts(plane):
        wait_for(lambda: "code=BUS-REFUSED" in scheduler.log(), 40, "the scheduler to refuse them")
        job = site.renew()
        wait_for(lambda: "code=BUS-SILENT" in worker.log(), 30, "the worker to hear nobody")
        assert plane.value("SELECT status FROM jobs WHERE id = %s", job) in ("AwaitingCSR", "Pending") and is_told(plane)
        for who in ("worker", "apiserver"):
            plane.ca.give(who, days=300)
        site.wait_served(job, 60)
        wait_for(lambda: not is_told(plane), 30, "it to be over")
        assert all("code=BUS-CERT-RELOADED" in p.log() for p in (worker, apiserver))


def test_a_schedulers_certificate_ends_and_is_replaced(plane):
    site = begin(plane, scheduler={"seconds": ENDS_IN_S})
    site.renew_and_wait()
    scheduler = plane.processes["scheduler-1"]
    with nobody_restarts(plane):
        wait_for(lambda: is_told(plane), 40, "it to be told of")
        assert plane.bus[0] in is_told(plane)["detail"]
        wait_for(lambda: "code=BUS-CERT-ENDED" in scheduler.log(), 20, "the scheduler's log")
        site.renew_and_wait()
    # Who comes now believes it no more.
    wait_over(plane, "scheduler")
    plane.processes["worker-1"].stop()
    plane.start_worker(2, **plane.ca.give("worker", days=300))
    worker = plane.processes["worker-2"]
    del plane.processes["worker-1"]
    with nobody_restarts(plane):
        wait_for(lambda: "code=BUS-SILENT" in worker.log(), 30, "the worker to hear nobody")
        job = site.renew()
        wait_for(lambda: plane.value("SELECT status FROM jobs WHERE id = %s", job) == "Pending", 30, "its CSR")
        assert "code=BUS-LEADER" not in worker.log()
        plane.ca.give("scheduler", days=300)
        site.wait_served(job, 60)
        wait_for(lambda: not is_told(plane), 30, "it to be over")
        assert "code=BUS-CERT-RELOADED" in scheduler.log()
