"""
Agents tell what their targets serve: it is shown, written only when it changed,
told of when it is another certificate than the database's latest, and an agent
can tell of its own targets only.
"""
import os
import subprocess

import pytest

from fleet import wait_for

DIGEST = "0123456789abcdef" * 4
PATIENCE_S = 60
QUICK = {"CERTCTL_AGENT_HEARTBEAT_INTERVAL": "1s", "CERTCTL_AGENT_SERVED_INTERVAL": "1s",
         "CERTCTL_AGENT_SERVED_REPEAT": "168h"}


@pytest.fixture(scope="module")
def site(plane):
    site = plane.start_site("demo", keep=True, agent_env=QUICK)
    site.renew_and_wait(PATIENCE_S)
    site.renew_and_wait(PATIENCE_S)
    return site


def told(site):
    return site.fleet.api.need("GET", f"/api/v1/targets/tgt-{site.name}")


def wait_told(site, serial):
    return wait_for(lambda: (t := told(site)).get("served_serial_number") == serial and t, PATIENCE_S, f"the agent to tell of {serial}")


def state(site):
    one = site.fleet.api.need("GET", f"/api/v1/certificates/{site.name}")
    conditions = site.fleet.api.need("GET", "/api/v1/admin/conditions")["data"]
    return one["status"], one["deployment_status"], [c["subject"] for c in conditions if c["name"] == "served_other"]


def test_what_is_served_is_shown(plane, site):
    serial = site.serial()
    target = wait_told(site, serial)
    version = plane.query("SELECT fingerprint_sha256, not_after FROM certificate_versions WHERE serial_number = %s", serial)[0]
    assert target["served_fingerprint_sha256"] == version[0] and target["served_by"] == "handshake" and "served_error" not in target
    assert target["served_issuer_dn"] and target["served_not_after"][:10] == version[1].strftime("%Y-%m-%d")
    deployed = plane.api.need("GET", "/api/v1/certificates/demo/deployments")["data"][0]
    assert {k: v for k, v in deployed.items() if k.startswith("served")} == {k: v for k, v in target.items() if k.startswith("served")}
    assert plane.api.need("GET", "/api/v1/certificates/demo")["served"] == [{"target_id": "tgt-demo", "serial_number": serial}]
    assert serial in plane.cli("certs", "get", "demo").stdout
    assert state(site) == ("Active", "deployed", [])


def test_what_has_not_changed_is_not_written(plane, site):
    """However many heartbeats and looks there are."""
    wait_told(site, site.serial())

    def rows():
        return plane.query("SELECT s.xmin::text, a.served_digest, (SELECT count(*) FROM audit_events WHERE actor = a.id) "
                           "FROM served_certificates s, agents a WHERE a.name = 'agent-1'")
    before = rows()
    start = plane.value("SELECT last_heartbeat_at FROM agents WHERE name = 'agent-1'")
    wait_for(lambda: plane.value("SELECT last_heartbeat_at > %s + interval '4 s' FROM agents WHERE name = 'agent-1'", start), PATIENCE_S,
             "some heartbeats")
    assert rows() == before


def test_a_database_that_does_not_know_is_told_again(plane, site):
    """As after a restore of an older copy: nothing changed on the host."""
    serial = site.serial()
    wait_told(site, serial)
    plane.plant("DELETE FROM served_certificates; UPDATE agents SET served_digest = 'none'")
    wait_told(site, serial)


def test_another_certificate_is_told_of_until_the_latest_is_back(plane, site):
    old, new = site.versions()[-2:]
    link = site.directory / "current"
    assert site.serial() == new
    ids = {r[0]: r[1] for r in plane.query("SELECT serial_number, id FROM certificate_versions WHERE certificate_id = 'demo'")}
    os.symlink(f"v/{ids[old]}", site.directory / "other")
    os.rename(site.directory / "other", link)
    subprocess.run(site.commands["reload_command"], check=True, capture_output=True, timeout=30)
    wait_told(site, old)
    # Not yet: an agent takes a moment to tell of a deployment.
    assert state(site) == ("Active", "deployed", [])
    plane.plant("UPDATE served_certificates SET since = since - interval '1 hour'; "
                "UPDATE certificate_target_mappings SET deployed_at = deployed_at - interval '1 hour'")
    assert state(site) == ("Active", "other", ["demo"])
    assert "tgt-demo" in plane.cli("certs", "list").stdout
    plane.api.need("POST", "/api/v1/certificates/demo/deploy")
    wait_told(site, new)
    assert site.serial() == new and state(site) == ("Active", "deployed", [])


def test_an_ordinary_deployment_is_no_fault(plane, site):
    """Also with what the target served told of long ago."""
    plane.plant("UPDATE served_certificates SET since = since - interval '9 days'")
    serial = site.renew_and_wait(PATIENCE_S)
    assert state(site) == ("Active", "deployed", [])
    wait_told(site, serial)
    assert plane.value("SELECT is_other FROM served_certificates") is False


def report(api, agent, key, target, **more):
    one = {"target_id": target, "seen_by": "file", "fingerprint_sha256": DIGEST, "serial_number": "5a"} | more
    return api.post(f"/api/v1/agents/{agent}/served", {"digest": DIGEST, "targets": [one]}, key=key)


def test_an_agent_tells_of_its_own_targets_only(plane, site, new_agent, unique):
    other, key = new_agent()
    before = plane.query("SELECT * FROM served_certificates")
    assert report(plane.api, other, key, "tgt-demo") == (200, {"status": "served_recorded", "forget": ["tgt-demo"]})
    assert report(plane.api, plane.processes["agent-1"].agent_id, key, "tgt-demo")[0] == 403
    # From after the copy, perhaps: it goes on looking.
    assert report(plane.api, other, key, "tgt-unknown") == (200, {"status": "served_recorded", "forget": []})
    assert plane.query("SELECT * FROM served_certificates") == before
    mine = unique("tgt")
    plane.make_target(mine, other, plane.dir / mine)
    words = {"issuer_dn": "CN=\x1b[31m" + "x" * 2000, "error": "no \u202eanswer"}
    assert report(plane.api, other, key, mine, **words)[1]["forget"] == []
    row = plane.query("SELECT issuer_dn, error, is_other FROM served_certificates WHERE target_id = %s", mine)[0]
    assert row == ("CN=?[31m" + "x" * (500 - 8), "no ?answer", False)
    # All of it each time: what is not named is not served.
    assert plane.api.post(f"/api/v1/agents/{other}/served", {"digest": "none", "targets": []}, key=key)[0] == 200
    assert plane.query("SELECT 1 FROM served_certificates WHERE target_id = %s", mine) == []
    plane.api.need("DELETE", f"/api/v1/agents/{other}?force=true&reason=over")
    assert plane.api.post(f"/api/v1/agents/{other}/served", {"digest": "none", "targets": []})[0] == 410
    assert plane.api.post("/api/v1/agents/nobody/served", {"digest": "none", "targets": []})[0] == 404


def test_a_deployment_takes_back_what_was_told_before_it(plane, new_agent, unique):
    """Else an agent that is stopped just after it would leave a fault that is none."""
    agent, key = new_agent()
    name, target = unique("mc"), unique("tgt")
    plane.make_target(target, agent, plane.dir / target)
    plane.make_certificate(name, [target])
    for n, stem in ((1, "old"), (2, "new")):
        plane.plant("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, "
                    "issuer_id, job_id, key_holder) VALUES (%s, %s, %s, now(), now() + interval '80 days', %s, '', 'iss-local', %s, %s)",
                    f"{stem}-{name}", name, f"{stem}-{name}", str(n) * 64, f"{stem}-{name}", agent)
    plane.plant("UPDATE managed_certificates SET status = 'Active', expires_at = now() + interval '80 days' WHERE id = %s", name)
    plane.plant("UPDATE certificate_target_mappings SET desired_version_id = %s, deployed_version_id = %s, "
                "deployed_at = now() - interval '1 hour' WHERE target_id = %s", f"new-{name}", f"new-{name}", target)
    assert report(plane.api, agent, key, target, fingerprint_sha256="1" * 64)[0] == 200
    other = "SELECT is_other FROM served_certificates WHERE target_id = %s"
    assert plane.value(other, target) is True
    job = unique("job")
    plane.plant("INSERT INTO jobs (id, type, certificate_id, target_id, agent_id, dedupe_key, version_id, status, leased_by) "
                "VALUES (%s, 'Deployment', %s, %s, %s, %s, %s, 'Running', %s)", job, name, target, agent, f"deploy:{name}:{target}",
                f"new-{name}", agent)
    status, reply = plane.api.post(f"/api/v1/agents/{agent}/jobs/{job}/status", {"status": "Completed", "version_id": f"new-{name}"}, key=key)
    assert status == 200, reply
    assert plane.value(other, target) is False
    assert report(plane.api, agent, key, target, fingerprint_sha256="1" * 64)[0] == 200
    assert plane.value(other, target) is True
    plane.api.need("DELETE", f"/api/v1/agents/{agent}?force=true&reason=over")


@pytest.mark.parametrize("body", [
    {}, {"digest": "none"}, {"digest": "x", "targets": []}, {"digest": DIGEST + "0", "targets": []}, {"digest": 7, "targets": []},
    {"digest": DIGEST, "targets": {}}, {"digest": DIGEST, "targets": [7]}, {"digest": DIGEST, "targets": [{"target_id": "a b", "seen_by": "file"}]},
    *({"digest": DIGEST, "targets": [{"target_id": "t", "seen_by": "file"} | bad]} for bad in (
        {"seen_by": "hearsay"}, {"seen_by": None}, {"fingerprint_sha256": "ab"}, {"fingerprint_sha256": "z" * 64}, {"fingerprint_sha256": "A" * 64}, {"serial_number": "5A"}, {"serial_number": "5a" * 21},
        {"serial_number": 5}, {"not_after": "soon"}, {"not_after": "2026-02-30T00:00:00Z"})),
    {"digest": DIGEST, "targets": [{"target_id": f"t-{n}", "seen_by": "file"} for n in range(1001)]}])
def test_what_is_no_report_is_refused(plane, new_agent, body):
    agent, key = new_agent()
    status, reply = plane.api.post(f"/api/v1/agents/{agent}/served", body, key=key)
    assert status == 400 and reply["message"], reply
    assert plane.value("SELECT served_digest FROM agents WHERE id = %s", agent) == "none"
