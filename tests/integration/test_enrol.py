"""
One certificate end to end: requested, signed, installed on a real nginx,
proven by a handshake; and the command line that shows it.
"""
import json
import os
import re
import socket
import ssl
import stat
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleet import API_KEY, wait_for

PLAIN_TOO = "the agent"
SERIAL = re.compile(r":(?P<port>\d+) serves serial (?P<serial>[0-9a-f]{40})$", re.M)


@pytest.fixture(scope="module")
def site(plane):
    site = plane.start_site("demo")
    site.renew_and_wait()
    return site


def served_chain(site, ca_file, server_name):
    """Raises unless the chain verifies for that name; the leaf."""
    context = ssl.create_default_context(cafile=str(ca_file))
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as raw, \
            context.wrap_socket(raw, server_hostname=server_name) as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))


@pytest.fixture(scope="module")
def ca_file(plane, site):
    path = plane.dir / "ca.pem"
    path.write_text(plane.value("SELECT cert_pem FROM ca_certificates WHERE issuer_id = 'iss-local'"))
    return path


def test_what_is_served_is_what_was_asked_for(plane, site, ca_file):
    leaf = served_chain(site, ca_file, "demo.example.test")
    assert f"{leaf.serial_number:040x}" == site.versions()[-1]
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == \
        ["demo.example.test"]
    assert ExtendedKeyUsageOID.SERVER_AUTH in leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.version == x509.Version.v3
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey) and leaf.public_key().curve.name == "secp256r1"


def test_another_name_does_not_verify(site, ca_file):
    with pytest.raises(ssl.SSLCertVerificationError):
        served_chain(site, ca_file, "other.example.test")


def test_openssl_agrees(plane, site, ca_file):
    chain = site.directory / "current" / "fullchain.pem"
    subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca_file, chain], check=True,
                   stdout=subprocess.DEVNULL)


def test_the_key_is_the_agents_alone(plane, site):
    key = (site.directory / "current" / "privkey.pem").resolve()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    keys = plane.dir / "agent-1" / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    secret = key.read_bytes()
    kept = list(keys.iterdir())
    assert secret in [p.read_bytes() for p in kept if p.suffix == ".key"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in kept} == {0o600}
    # nowhere in the database
    for table in ("certificate_versions", "certificate_chains", "certificate_requests"):
        assert plane.value(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%%PRIVATE%%'") == 0


def test_the_rows_say_what_happened(plane, site):
    assert plane.value("SELECT status FROM managed_certificates WHERE id = 'demo'") == "Active"
    jobs = plane.query("SELECT type, status, verification_status FROM jobs WHERE certificate_id = 'demo' ORDER BY id")
    assert jobs[:2] == [("Issuance", "Completed", "pending"), ("Deployment", "Completed", "success")]
    assert plane.value("SELECT bool_and(desired_version_id = deployed_version_id) FROM certificate_target_mappings")
    actions = [r[0] for r in plane.query(
        "SELECT action FROM audit_events WHERE resource_type = 'certificate' AND resource_id = 'demo' ORDER BY seq")]
    assert [a for a in actions if a in ("renewal_job_created", "csr_submitted", "renewal_job_completed",
                                        "deployment_job_completed")][:4] == \
        ["renewal_job_created", "csr_submitted", "renewal_job_completed", "deployment_job_completed"]
    wait_for(lambda: not list((plane.dir / "agent-1" / "journal").iterdir()), 10, "the install journal to be cleared")


def test_the_journal_holds_the_serial(plane, site):
    lines = [line for p in (plane.dir / "journal").glob("*.journal") for line in p.read_text().splitlines()]
    assert [s for s in site.versions() if any(s in line for line in lines)] == site.versions()


def test_a_request_while_one_runs_is_a_conflict(plane, site):
    plane.processes["agent-1"].signal(19)  # SIGSTOP: nobody sends a CSR
    try:
        job = site.renew()
        status, reply = plane.api.post("/api/v1/certificates/demo/renew")
        assert status == 409, reply
    finally:
        plane.processes["agent-1"].signal(18)
    site.wait_served(job)


def test_renewal_of_what_is_unknown_archived_or_misspelt(plane, site):
    assert plane.api.post("/api/v1/certificates/none/renew")[0] == 404
    plane.make_certificate("gone")
    assert plane.api.call("DELETE", "/api/v1/certificates/gone")[0] in (200, 204)
    assert plane.api.post("/api/v1/certificates/gone/renew")[0] in (400, 409)


# --- the command line ---

def test_cli_renews_and_follows(plane, site):
    before = site.serial()
    done = plane.cli("certs", "renew", "demo", "--wait", "--handshake")
    assert done.returncode == 0, done.stderr
    for word in ("queued", "CSR", "signed", "installed", "served"):
        assert re.search(rf"^ *\d+\.\d\d s  .*{word}", done.stdout, re.M), done.stdout
    shown = SERIAL.search(done.stdout)
    assert before != shown["serial"] == site.serial() == site.versions()[-1] and int(shown["port"]) == site.port
    assert "served on 1 target, as handshakes of the agents showed" in done.stdout


def test_cli_renews_without_waiting(plane, site):
    done = plane.cli("certs", "renew", "demo")
    assert done.returncode == 0 and "queued as job-" in done.stdout
    site.wait_served(done.stdout.split()[-1])
    done = plane.cli("certs", "renew", "demo", "-o", "json")
    site.wait_served(json.loads(done.stdout)["job_id"])


def test_cli_lists(plane, site):
    done = plane.cli("certs", "list")
    assert done.returncode == 0 and "demo.example.test" in done.stdout and "Active" in done.stdout
    reply = json.loads(plane.cli("certs", "list", "-o", "json").stdout)
    assert [c["id"] for c in reply["data"] if c["status"] == "Active"] == ["demo"]
    reply = json.loads(plane.cli("certs", "get", "demo", "--format", "json").stdout)
    assert reply["common_name"] == "demo.example.test"
    reply = json.loads(plane.cli("jobs", "list", "--certificate-id", "demo", "--type", "Deployment", "-o", "json").stdout)
    assert reply["data"] and {j["type"] for j in reply["data"]} == {"Deployment"}
    job = reply["data"][0]["id"]
    assert json.loads(plane.cli("jobs", "get", job, "-o", "json").stdout)["id"] == job
    assert job in plane.cli("jobs", "list").stdout
    assert "agent-1" in plane.cli("agents", "list").stdout
    assert json.loads(plane.cli("agents", "list", "-o", "json").stdout)["data"][0]["name"] == "agent-1"


def test_cli_status(plane, site):
    done = plane.cli("status")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("apiserver", "scheduler-1", "worker-1"):
        assert re.search(rf"{name}\b.*alive", done.stdout), done.stdout
    reply = json.loads(plane.cli("status", "-o", "json").stdout)
    assert len(reply["workers"]) >= 1 and reply["leader"]


@pytest.mark.parametrize("arguments, code", [
    (["certs", "get", "none"], 3),
    (["jobs", "get", "none"], 3),
    (["certs", "renew", "none"], 3),
    (["certs", "renew", "none", "--wait"], 3),
    (["certs", "renew"], 2),
    (["certs", "renew", "demo", "--timeout", "x"], 2),
    (["certs", "bake"], 2),
    (["certs", "list", "--format", "xml"], 2),
    (["certs", "get", "demo", "more"], 2),
    (["--server", "http://127.0.0.1:1", "status"], 2),
    (["--server", "https://127.0.0.1:1", "--api-key", "k", "status"], 6),
    (["--server", "https://127.0.0.1:1", "status"], 2),
    (["--api-key", "wrong-key", "certs", "list"], 4),
    (["--api-key", f"viewer-{API_KEY}", "certs", "renew", "demo"], 4),
    (["--help"], 0),
    (["--version"], 0),
])
def test_cli_exit_codes(plane, site, arguments, code):
    done = plane.cli(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    if code:
        assert done.stderr.startswith("certctl: ") and not done.stdout
    else:
        assert not done.stderr


def test_cli_checks_the_servers_certificate(plane, ca_file):
    assert plane.cli("certs", "list", CERTCTL_SERVER_CA_BUNDLE_PATH=str(ca_file)).returncode == 6
    assert plane.cli("--insecure", "certs", "list", CERTCTL_SERVER_CA_BUNDLE_PATH=str(ca_file)).returncode == 0


def test_cli_says_when_it_gave_up_waiting(plane, site):
    plane.processes["agent-1"].signal(19)
    try:
        done = plane.cli("certs", "renew", "demo", "--wait", "--timeout", "1")
        assert done.returncode == 6 and "it goes on without us" in done.stderr
    finally:
        plane.processes["agent-1"].signal(18)
    wait_for(lambda: plane.value("SELECT count(*) FROM jobs WHERE completed_at IS NULL") == 0, 20, "the work to end")


def test_a_second_agent_gets_a_key_of_its_own(plane, site):
    """One certificate on two hosts: two key holders, two versions."""
    port, directory, commands = plane.start_nginx("nginx-two")
    agent = plane.start_agent("agent-2")
    plane.make_target("tgt-two", agent.agent_id, directory, **commands)
    plane.api.need("PUT", "/api/v1/certificates/demo", {"target_ids": ["tgt-demo", "tgt-two"]})
    reply = plane.api.need("POST", "/api/v1/certificates/demo/renew")
    assert len(reply["job_ids"]) == 2
    serials = {site.wait_served(job) if plane.value("SELECT agent_id FROM jobs WHERE id = %s", job) != agent.agent_id else
               wait_for(lambda job=job: plane.value("SELECT serial_number FROM certificate_versions WHERE job_id = %s", job), 20)
               for job in reply["job_ids"]}
    assert len(serials) == 2
    wait_for(lambda: plane.served_serial(port) in serials, 20, "the second nginx to serve its own")
    assert plane.served_serial(port) != site.serial()


def test_the_state_needs_no_root(plane, site):
    """What the processes wrote is private where it must be."""
    assert stat.S_IMODE(os.stat(plane.dir / "agent-1" / "identity.json").st_mode) == 0o600
    journals = list((plane.dir / "journal").iterdir())
    assert journals and not [path for path in journals if stat.S_IMODE(path.stat().st_mode) & 0o077]
