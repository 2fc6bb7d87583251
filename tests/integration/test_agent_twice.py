"""
Whatever an agent posts may come twice: it sends again what was not answered, and so does curl by itself, on a connection that
was kept.  The second is answered as the first and changes nothing, or, of a scan, is one that found nothing new.
"""
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fleet import BOOTSTRAP, wait_for
from test_agent_bad import make_csr
from test_discovery import certificate, report

KEY = "twice-" + "k" * 40
# What is kept of all that an agent says, but for when it was heard last.
ROWS = ["SELECT id, name, hostname, served_digest, status, registered_at FROM agents WHERE id = %s",
        "SELECT id, status, attempts, last_error, verification_status, verification_fingerprint, verification_error, verified_at, run_after "
        "FROM jobs WHERE agent_id = %s ORDER BY id",
        "SELECT r.job_id, r.key_sha256 FROM certificate_requests r JOIN jobs j ON j.id = r.job_id WHERE j.agent_id = %s ORDER BY 1",
        "SELECT m.target_id, m.deployed_version_id, m.deployed_at, m.deploy_failures, m.deploy_after FROM certificate_target_mappings m "
        "JOIN deployment_targets t ON t.id = m.target_id WHERE t.agent_id = %s ORDER BY 1",
        "SELECT s.* FROM served_certificates s JOIN deployment_targets t ON t.id = s.target_id WHERE t.agent_id = %s ORDER BY s.target_id",
        "SELECT o.* FROM target_tests o WHERE o.agent_id = %s",
        "SELECT d.id, d.status, d.first_seen_at, d.source_path FROM discovered_certificates d WHERE d.agent_id = %s ORDER BY 1"]
AUDITED = "SELECT id, action, resource_id FROM audit_events WHERE actor = %s OR resource_id = %s ORDER BY id"


class Agent:
    def __init__(self, plane, name):
        self.plane, self.name = plane, name
        self.hash = hashlib.sha256((KEY + name).encode()).hexdigest()
        body = {"name": name, "hostname": "twice.example.test", "api_key_hash": self.hash}
        first, again = (plane.api.call("POST", "/api/v1/agents", body, key=BOOTSTRAP) for _ in range(2))
        assert (first[0], again[0]) == (201, 200) and first[1]["id"] == again[1]["id"]
        self.id = first[1]["id"]
        assert plane.value("SELECT count(*) FROM agents WHERE api_key_hash = %s", self.hash) == 1
        assert plane.value("SELECT count(*) FROM audit_events WHERE resource_id = %s", self.id) == 1

    def post(self, path, body):
        return self.plane.api.call("POST", path.format(id=self.id), body, key=KEY + self.name)

    def known(self):
        return [self.plane.query(rows, self.id) for rows in ROWS], self.plane.query(AUDITED, self.id, self.id)

    def twice(self, path, body, status=200, between=None):
        """Posts it twice; the answer.  between: what waits for the work that the first gives others."""
        first = self.post(path, body)
        assert first[0] == status, first
        if between:
            between()
        known = self.known()
        assert self.post(path, body) == first and self.known() == known
        return first[1]

    def work(self):
        return self.plane.api.call("GET", f"/api/v1/agents/{self.id}/work", key=KEY + self.name)[1]["jobs"]


@pytest.fixture
def agent(plane, unique):
    return Agent(plane, unique("twice"))


@pytest.fixture
def waiting(plane, agent, unique):
    """A certificate whose key that agent is to make: its name, target and job."""
    target, name = unique("tgt"), unique("twice")
    plane.make_target(target, agent.id, plane.dir / name)
    plane.make_certificate(name, [target])
    return name, target, plane.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]


def deployment(plane, agent, waiting):
    """The job that installs what its key was signed for."""
    name, _, job = waiting
    host = f"{name}.example.test"
    found = []

    def is_handed_out():
        assert plane.wait_job(job)[0] == "Completed"
        found.extend(wait_for(agent.work, 20, "a deployment"))
    agent.twice("/api/v1/agents/{id}/csr", {"csr_pem": make_csr(ec.generate_private_key(ec.SECP256R1()), host, (host,)),
                                            "certificate_id": name, "job_id": job}, 202, is_handed_out)
    one, = found
    assert one["type"] == "Deployment" and one["id"] != job
    return one


def test_a_deployment_that_is_well(plane, agent, waiting):
    job = deployment(plane, agent, waiting)
    seen = job["fingerprint_sha256"]
    agent.twice(f"/api/v1/jobs/{job['id']}/verify", {"target_id": waiting[1], "verified": True, "expected_fingerprint": seen, "actual_fingerprint": seen})
    agent.twice(f"/api/v1/agents/{{id}}/jobs/{job['id']}/status", {"status": "Completed", "version_id": job["version_id"]})
    agent.twice("/api/v1/agents/{id}/heartbeat", {"served": "0" * 64})
    agent.twice("/api/v1/agents/{id}/served", {"digest": "0" * 64, "targets": [
        {"target_id": waiting[1], "seen_by": "handshake", "serial_number": job["serial_number"], "fingerprint_sha256": seen}]})
    assert plane.value("SELECT count(*) FROM jobs WHERE agent_id = %s", agent.id) == 2


def test_a_deployment_that_fails(plane, agent, waiting):
    """It is put off once, not for as long as two failures put it off."""
    job = deployment(plane, agent, waiting)
    agent.twice(f"/api/v1/jobs/{job['id']}/verify", {"target_id": waiting[1], "verified": False, "error": "nobody answers"})
    agent.twice(f"/api/v1/agents/{{id}}/jobs/{job['id']}/status", {"status": "Failed", "error": "nobody answers", "version_id": job["version_id"]})
    assert plane.value("SELECT deploy_failures FROM certificate_target_mappings WHERE target_id = %s", waiting[1]) == 1


def test_a_key_that_cannot_be_made(plane, agent, waiting):
    path = f"/api/v1/agents/{{id}}/jobs/{waiting[2]}/status"
    agent.twice(path, {"status": "Running", "error": "the disk is full"})
    agent.twice(path, {"status": "Failed", "error": "no entropy"})
    assert plane.query("SELECT status, last_error FROM jobs WHERE agent_id = %s", agent.id) == [("Failed", "no entropy")]


def test_what_a_test_found(plane, agent, waiting):
    plane.plant("INSERT INTO target_tests (target_id, id, agent_id, asked_by, asked_by_type, asked_at) VALUES (%s, %s, %s, 'x', 'APIKey', now())",
                waiting[1], f"test-{agent.name}", agent.id)
    agent.twice(f"/api/v1/agents/{{id}}/tests/test-{agent.name}", {"passed": False, "message": "no such file"})
    assert plane.value("SELECT count(*) FROM audit_events WHERE resource_id = %s AND action = 'target_test_connection_failed'", waiting[1]) == 1


def test_what_was_found(plane, agent):
    """The beginning of a scan is another scan, of nothing that is new; another part of it is none."""
    found = report(certificate("one.example.test"), certificate("two.example.test"))
    first = agent.post("/api/v1/agents/{id}/discoveries", found)[1]
    rows = agent.known()[0]
    again = agent.post("/api/v1/agents/{id}/discoveries", found)[1]
    assert (first["certificates_new"], again["certificates_new"]) == (2, 0) and agent.known()[0] == rows
    part = report(certificate("three.example.test"), discovery_scan_id=again["id"])
    counts = [agent.post("/api/v1/agents/{id}/discoveries", part)[1]["certificates_found"] for _ in range(2)]
    assert counts == [3, 3]
