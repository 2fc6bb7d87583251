"""
Conditions that come about and go by what people, hosts and agents do, with all
processes running; test_conditions.py says what each is told with.  It plants the
rows of those that take a quarter of an hour or more to come about: csr_missing,
deployment_late, job_not_taken, approval_waiting, renewal_overdue, never_renewed,
crl_ended and certificate_expired; and of order_uncertain, task_failed and duty_late.
"""
import datetime

import pytest
from cryptography.hazmat.primitives import serialization

import audit
from fleet import PATIENCE, wait_for
from test_agent_bad import make_csr
from test_conditions import told
from test_lint_certificates import KEYS, sign_ca

CERTS = "/api/v1/certificates"
ENDS_IN_S = 12 * PATIENCE


@pytest.fixture(scope="module")
def world(stack):
    """A plane whose agent is this test."""
    stack.start_scheduler(CERTCTL_SCHEDULER_AGENT_HEALTH_CHECK_INTERVAL="1s", CERTCTL_AGENT_OFFLINE_AFTER="2s",
                          CERTCTL_AUDIT_CHAIN_VERIFY_INTERVAL="1s")
    stack.start_worker()
    stack.make_basics()
    made = stack.api.need("POST", "/api/v1/agents", {"name": "hand", "hostname": "h.example.test"})
    stack.agent, stack.key = made["id"], made["api_key"]
    return stack


def as_agent(world, method, path, body=None):
    status, reply = world.api.call(method, f"/api/v1/agents/{world.agent}/{path}", body, key=world.key)
    assert 200 <= status < 300, reply
    return reply


def beat(world):
    as_agent(world, "POST", "heartbeat", {})


def wait_told(world, name, subject):
    def look():
        condition = told(world)[0].get(name)
        return condition if condition and condition["subject"] == subject else None
    return wait_for(look, 40, f"{name} of {subject}")


def wait_over(world, name):
    wait_for(lambda: name not in told(world)[0], 40, f"{name} to be over")


def make(world, name, **more):
    world.make_target(f"tgt-{name}", world.agent, world.dir / name)
    world.make_certificate(name, [f"tgt-{name}"], **more)


def ask(world, name):
    return world.api.need("POST", f"{CERTS}/{name}/renew")["job_id"]


def answer(world, name, job):
    names = [f"{name}.example.test"]
    as_agent(world, "POST", "csr", {"csr_pem": make_csr(cn=names[0], sans=names), "certificate_id": name, "job_id": job})
    assert world.wait_job(job) == ("Completed", None)


def deployment(world, name):
    """The id of that in hand."""
    return wait_for(lambda: next((j["id"] for j in as_agent(world, "GET", "work")["jobs"]
                                  if j["type"] == "Deployment" and j["certificate_id"] == name), None), 20, "a deployment")


def report(world, job, status, **more):
    as_agent(world, "POST", f"jobs/{job}/status", {"status": status} | more)


def issue(world, name, **more):
    make(world, name, **more)
    answer(world, name, ask(world, name))


@pytest.mark.parametrize("process, name", [("scheduler-1", "no_leader"), ("worker-1", "no_worker")])
def test_a_process_that_is_away(world, process, name):
    gone = world.processes[process]
    gone.stop()
    wait_told(world, name, "")
    gone.start()
    wait_over(world, name)


def test_a_target_that_refuses(world):
    issue(world, "refused")
    report(world, deployment(world, "refused"), "Failed", error="nginx: no such directive")
    assert wait_told(world, "deployment_failing", "refused")["severity"] == "critical"
    world.api.need("POST", f"{CERTS}/refused/deploy")
    report(world, deployment(world, "refused"), "Completed")
    wait_over(world, "deployment_failing")


def test_an_agent_that_can_make_no_key(world):
    make(world, "keyless")
    report(world, ask(world, "keyless"), "Failed", error="no such directory")
    wait_told(world, "certificate_failed", "keyless")
    answer(world, "keyless", ask(world, "keyless"))
    wait_over(world, "certificate_failed")


def test_an_agent_that_is_silent_and_work_for_it(world):
    make(world, "waits")
    wait_told(world, "agent_silent", world.agent)
    job = ask(world, "waits")
    wait_told(world, "agent_needed", world.agent)
    beat(world)
    for name in ("agent_needed", "agent_silent"):
        wait_for(lambda condition=name: beat(world) or condition not in told(world)[0], 20, f"{name} to be over")
    answer(world, "waits", job)


def test_a_certificate_without_a_target(world):
    world.make_certificate("homeless")
    job = ask(world, "homeless")
    wait_told(world, "target_needed", job)
    world.api.need("POST", f"/api/v1/jobs/{job}/cancel")
    wait_over(world, "target_needed")


def sub_ca(world, name, **life):
    """The files of one below a root of an operator's, with a byte-order mark in front of its certificate; its configuration."""
    key, root_key = KEYS["ec256"](), KEYS["ec256"]()
    cert = sign_ca(name, key, sign_ca("Outer", root_key), root_key, **life)
    files = {"ca_cert_path": b"\xef\xbb\xbf" + cert.public_bytes(serialization.Encoding.PEM), "ca_key_path": key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())}
    for what, content in files.items():
        path = world.dir / f"{name}.{what}"
        path.touch(0o600)
        path.write_bytes(content)
    return {what: str(world.dir / f"{name}.{what}") for what in files}


def test_a_ca_whose_key_is_anothers(world):
    config = sub_ca(world, "iss-odd")
    other = sub_ca(world, "iss-else")
    world.api.need("POST", "/api/v1/issuers", {"id": "iss-odd", "name": "odd", "type": "GenericCA",
                                              "config": config | {"ca_key_path": other["ca_key_path"]}})
    wait_told(world, "issuer_failing", "iss-odd")
    world.api.need("PUT", "/api/v1/issuers/iss-odd", {"config": config})
    wait_over(world, "issuer_failing")


def test_a_ca_that_ends(world):
    config = sub_ca(world, "iss-end", lasts=datetime.timedelta(seconds=ENDS_IN_S))
    world.api.need("POST", "/api/v1/issuers", {"id": "iss-end", "name": "end", "type": "GenericCA", "config": config})
    wait_told(world, "ca_ending", "iss-end")
    wait_told(world, "ca_ended", "iss-end")
    sub_ca(world, "iss-end")
    world.api.need("PUT", "/api/v1/issuers/iss-end", {"config": config})
    wait_over(world, "ca_ended")


def test_a_lane_that_an_operator_closed(world):
    world.query("UPDATE lanes SET cap = 0 WHERE issuer_id = 'iss-local'")  # as docs/operator/lanes.md says
    wait_told(world, "lane_closed", "iss-local")
    world.query("UPDATE lanes SET cap = 8 WHERE issuer_id = 'iss-local'")
    wait_over(world, "lane_closed")


def test_a_trail_that_somebody_changed(world):
    """The last: it is told of for ever."""
    world.api.need("PUT", "/api/v1/teams/t-test", {"name": "Seen"})
    wait_for(lambda: world.value("SELECT count(*) FROM audit_blocks"), 30, "a block")
    audit.tamper(world, "UPDATE audit_events SET actor = 'nobody' WHERE seq = (SELECT min(seq) FROM audit_events)")
    condition = wait_for(lambda: told(world)[0].get("audit_broken"), 60, "audit_broken")
    assert "was changed" in condition["detail"]
