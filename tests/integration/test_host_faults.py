"""
What is a worker's host's own fault is told and costs no job anything: the
worker gives back what it took, takes no such work, and another one goes on.
"""
import contextlib
import itertools
import json
import os
import re
import resource
import time
from pathlib import Path

import pytest

from fleet import PATIENCE, wait_for
from load import Load, done_since, last_lease, make_certificates, wait_quiet
from scripted_issuer import install
from tiny_disk import TinyDisk, tiny_disk

FAULT = "SELECT fault FROM workers WHERE name = %s ORDER BY started_at DESC LIMIT 1"
# The next certificate after what was wrong is right again, on a machine that does much else.
SOON_S = 8
LIMIT_S = 150


def journal(fleet, i):
    return fleet.dir / f"disk-{i}" / "journal"


@pytest.fixture(scope="module")
def plane(stack):
    (stack.dir / "scripts").mkdir(mode=0o755)
    for i in (1, 2):
        (stack.dir / f"disk-{i}").mkdir(mode=0o700)
    with contextlib.ExitStack() as disks:
        if os.geteuid() == 0:
            for i in (1, 2):
                disks.enter_context(tiny_disk(stack.dir / f"disk-{i}", "1m"))
        yield start(stack)
        for name in ("worker-1", "worker-2"):
            stack.processes[name].stop()


def start(stack):
    stack.start_scheduler(keep=True, CERTCTL_BATCH_SIZE="8", CERTCTL_SCHEDULER_RENEWAL_CHECK_INTERVAL="1s")
    for i in (1, 2):
        journal(stack, i).mkdir(mode=0o700)
        stack.start_worker(i, keep=True, CERTCTL_ISSUANCE_JOURNAL_DIR=str(journal(stack, i)),
                           CERTCTL_SCRIPT_ISSUER_DIR=str(stack.dir / "scripts"))
    stack.make_basics()
    stack.start_agent("agent-1", keep=True)
    stack.names = make_certificates(stack, ["agent-1"], 16)
    # Every CA is made, and what the first journal holds is no fault of the scene.
    wait_for(lambda: stack.value("SELECT count(*) FROM ca_certificates") == 1, 20, "the CA")
    return stack


@pytest.fixture
def load(plane):
    load = Load(plane, plane.names, threads=2)
    yield load
    load.stop()
    wait_quiet(plane)


def spoiled(plane, load):
    """Jobs that lost anything by it, and lanes that were blamed."""
    return (plane.query("SELECT id, status, attempts, last_error FROM jobs WHERE id = ANY (%s) "
                        "AND (status <> 'Completed' OR attempts > 0)", load.accepted),
            plane.query("SELECT issuer_id, failures, last_error FROM lanes WHERE failures > 0 OR breaker_state <> 'closed'"))


@contextlib.contextmanager
def gone(directory):
    aside = directory.with_name(directory.name + "-aside")
    directory.rename(aside)
    try:
        yield
    finally:
        aside.rename(directory)


@contextlib.contextmanager
def removed(directory):
    """With the files that the worker has open."""
    with gone(directory):
        for path in directory.with_name(directory.name + "-aside").iterdir():
            path.unlink()
        yield


@contextlib.contextmanager
def full(directory):
    disk = TinyDisk(directory)
    disk.fill()
    try:
        yield
    finally:
        disk.free()


def fault(plane, name):
    return plane.value(FAULT, name)


@pytest.mark.parametrize("how, words", [
    (removed, "No such file"),
    pytest.param(full, "No space left", marks=pytest.mark.skipif(os.geteuid() != 0, reason="a disk of its own needs root")),
])
def test_one_of_two_journals(plane, load, how, words):
    lease = last_lease(plane)
    wait_for(lambda: done_since(plane, lease) >= 8, 20, "certificates")
    with how(journal(plane, 1)):
        wait_for(lambda: fault(plane, "worker-1") == "journal", 20, "the worker to say so")
        lease, began = last_lease(plane), len(load.accepted)
        wait_for(lambda: len(load.accepted) >= began + 24 and done_since(plane, lease) >= 24, 30, "the other one to go on")
        told = {c["name"]: c for c in plane.api.need("GET", "/api/v1/admin/conditions")["data"]}["worker_fault"]
        assert told["subject"] == "worker-1" and words in told["detail"] and told["severity"] == "critical", told
        row = next(w for w in plane.api.need("GET", "/api/v1/admin/processes")["workers"] if w["name"] == "worker-1" and w["alive"])
        assert row["fault"] == "journal" and words in row["fault_detail"] and row["fault_since"], row
        shown = plane.cli("status").stdout
        assert words in shown and "alive, fault: journal" in shown, shown
        # It asks for none of this work: what was on its way is all that came.
        assert plane.processes["worker-1"].log().rpartition("HOST-FAULT ")[2].count("BATCH-DONE") <= 3
    wait_for(lambda: fault(plane, "worker-1") == "", 20, "the worker to see it")
    lease = last_lease(plane)
    wait_for(lambda: plane.value("SELECT count(*) FROM jobs j JOIN workers w ON w.incarnation = j.leased_by "
                                 "WHERE w.name = 'worker-1' AND j.lease_id > %s AND j.status = 'Completed'", lease) > 0,
             20, "it to sign again")
    load.stop()
    wait_quiet(plane)
    assert spoiled(plane, load) == ([], [])


def test_all_journals(plane, load):
    """Jobs wait with the reason, and the next certificate follows at once when there is room."""
    lease = last_lease(plane)
    wait_for(lambda: done_since(plane, lease) >= 8, 20, "certificates")
    with removed(journal(plane, 1)), removed(journal(plane, 2)):
        for name in ("worker-1", "worker-2"):
            wait_for(lambda n=name: fault(plane, n) == "journal", 20, "both to say so")
        job = wait_for(lambda: plane.value("SELECT id FROM jobs WHERE status = 'Pending' AND last_error LIKE 'given back by worker worker-_: "
                                           "the issuance journal in %%' LIMIT 1"), 20, "a job with the reason")
        shown = plane.api.need("GET", f"/api/v1/jobs/{job}")
        assert shown["attempts"] == 0 and "journal" in shown["last_error"], shown
        # Those that nobody took say why as well, and those that were given back for another reason before.
        plane.query("UPDATE jobs SET last_error = 'said before' WHERE id = %s", job)

        def silent():
            listed = plane.api.need("GET", "/api/v1/jobs?status=Pending&per_page=500")["data"]
            waiting = [j for j in listed if j["type"] != "Deployment"]
            return not waiting or [j for j in waiting if "journal" not in j["reason"]]
        wait_for(lambda: not silent(), 20, "every job to say why")
        lease = last_lease(plane)
        # Some tries pass, and none hands a job out.
        wait_for(lambda: plane.value("SELECT min(clock_timestamp() - fault_since) > interval '3 seconds' FROM workers "
                                     "WHERE fault <> ''"), 20, "some tries")
        assert last_lease(plane) - lease <= 2 and done_since(plane, lease) == 0
    back = time.monotonic()
    wait_for(lambda: done_since(plane, lease) > 0, 20, "the next certificate")
    assert time.monotonic() - back < SOON_S * PATIENCE
    load.stop()
    wait_quiet(plane)
    assert spoiled(plane, load) == ([], [])


def test_scripts_that_are_gone_stop_their_issuer_alone(plane, load):
    issuer = install(plane.dir / "scripts", "ca1", plane.dir / "ca1")
    plane.api.need("POST", "/api/v1/issuers", {"id": "iss-ca1", "name": "ca1", "type": "OpenSSL", "config": issuer.config()})
    plane.make_target("tgt-s", plane.processes["agent-1"].agent_id, plane.dir / "sites" / "s")
    plane.make_certificate("mc-s", ["tgt-s"], issuer_id="iss-ca1")
    renew = lambda: plane.api.need("POST", "/api/v1/certificates/mc-s/renew")["job_id"]  # noqa: E731
    assert plane.wait_job(renew())[0] == "Completed"
    with gone(plane.dir / "scripts"):
        job = renew()
        for name in ("worker-1", "worker-2"):
            wait_for(lambda n=name: fault(plane, n) == "script", 20, "both to say so")
        shown = plane.api.need("GET", f"/api/v1/jobs/{job}")
        assert shown["status"] == "Pending" and shown["attempts"] == 0 and "CERTCTL_SCRIPT_ISSUER_DIR" in shown["last_error"], shown
        lease = last_lease(plane)
        wait_for(lambda: done_since(plane, lease) >= 20, 20, "the local CA's certificates")
    back = time.monotonic()
    assert plane.wait_job(job)[0] == "Completed"
    assert time.monotonic() - back < SOON_S * PATIENCE
    assert plane.value("SELECT attempts FROM jobs WHERE id = %s", job) == 0
    load.stop()
    wait_quiet(plane)
    assert spoiled(plane, load) == ([], [])


@contextlib.contextmanager
def no_descriptor(process):
    """It may open nothing more; what is open stays."""
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    taken = {int(p.name) for p in Path(f"/proc/{process.pid}/fd").iterdir()}
    free = next(n for n in itertools.count() if n not in taken)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_no_descriptor_left(plane):
    issuer = install(plane.dir / "scripts", "ca2", plane.dir / "ca2")
    plane.api.need("POST", "/api/v1/issuers", {"id": "iss-ca2", "name": "ca2", "type": "OpenSSL", "config": issuer.config()})
    wait_for(lambda: plane.value("SELECT test_status FROM issuers WHERE id = 'iss-ca2'") == "success", 20, "it to be tested")
    plane.make_target("tgt-d", plane.processes["agent-1"].agent_id, plane.dir / "sites" / "d")
    plane.make_certificate("mc-d", ["tgt-d"], issuer_id="iss-ca2")
    with no_descriptor(plane.processes["worker-1"]), no_descriptor(plane.processes["worker-2"]):
        job = plane.api.need("POST", "/api/v1/certificates/mc-d/renew")["job_id"]
        shown = wait_for(lambda: next((j for j in [plane.api.need("GET", f"/api/v1/jobs/{job}")]
                                       if "Too many open files" in (j.get("last_error") or "")), None), 20, "the reason")
        assert shown["status"] in ("Pending", "Running") and shown["attempts"] == 0, shown
    assert plane.wait_job(job)[0] == "Completed"
    assert plane.value("SELECT attempts FROM jobs WHERE id = %s", job) == 0
    assert plane.query("SELECT 1 FROM lanes WHERE failures > 0") == []


def make_sub_ca(directory):
    import datetime
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test sub-CA")])
    now = datetime.datetime.now(datetime.timezone.utc)
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    ca = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
          .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
          .not_valid_after(now + datetime.timedelta(days=3650)).add_extension(x509.BasicConstraints(True, None), True)
          .add_extension(usage, True).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
          .sign(key, hashes.SHA256()))
    directory.mkdir(mode=0o700)
    (directory / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (directory / "ca.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                         serialization.NoEncryption()))
    os.chmod(directory / "ca.key", 0o600)


def test_key_that_a_host_cannot_read(plane):
    """It was never opened here, so there is no older one to go on with."""
    files = plane.dir / "sub"
    make_sub_ca(files)
    plane.api.need("POST", "/api/v1/issuers", {"id": "iss-sub", "name": "sub", "type": "GenericCA", "config": {
        "validity_days": 30, "ca_cert_path": str(files / "ca.pem"), "ca_key_path": str(files / "ca.key")}})
    wait_for(lambda: plane.value("SELECT test_status FROM issuers WHERE id = 'iss-sub'") == "success", 20, "it to be tested")
    plane.make_target("tgt-k", plane.processes["agent-1"].agent_id, plane.dir / "sites" / "k")
    plane.make_certificate("mc-k", ["tgt-k"], issuer_id="iss-sub")
    os.chmod(files / "ca.key", 0o644)
    for i in (1, 2):
        plane.processes[f"worker-{i}"].kill()
    job = plane.api.need("POST", "/api/v1/certificates/mc-k/renew")["job_id"]
    for name in ("worker-1", "worker-2"):
        wait_for(lambda n=name: fault(plane, n) == "ca", 20, "both to say so")
    shown = plane.api.need("GET", f"/api/v1/jobs/{job}")
    assert shown["status"] == "Pending" and shown["attempts"] == 0 and "mode 0600" in shown["last_error"], shown
    os.chmod(files / "ca.key", 0o600)
    assert plane.wait_job(job, SOON_S + 16)[0] == "Completed"
    for name in ("worker-1", "worker-2"):
        wait_for(lambda n=name: fault(plane, n) == "", 20, "both to be well")


def test_the_status_command_and_the_metrics_tell(plane):
    with removed(journal(plane, 1)), removed(journal(plane, 2)):
        job = plane.api.need("POST", f"/api/v1/certificates/{plane.names[0]}/renew")["job_id"]
        wait_for(lambda: "journal" in (fault(plane, "worker-1"), fault(plane, "worker-2")), 20, "one to say so")
        assert json.loads(plane.cli("status", "-o", "json").stdout)["healthy"] is False
        text = plane.api.get("/api/v1/metrics/prometheus")[1]
        assert int(re.search(r'condition="worker_fault",severity="critical"\} (\d+)', text).group(1)) >= 1
    assert plane.wait_job(job)[0] == "Completed"
    assert "HOST-FAULT-OVER" in "".join(Path(plane.processes[f"worker-{i}"].log_path).read_text() for i in (1, 2))
