"""
certctl doctor: a whole plane on this host is looked at; each fault that can be made is found with its fix; what can't be
looked at is said, and never well.
"""
import contextlib
import json
import os
import re

import pytest

from fleet import API_KEY, ROOT, Timeout, free_port, wait_for

LOOKS = re.findall(r"^LOOK\((\w+),", (ROOT / "cli/doctor/checks.def").read_text(), re.M)


@pytest.fixture(scope="module")
def site(plane):
    plane.start_agent(keep=True, CERTCTL_AGENT_HEARTBEAT_INTERVAL="10s")
    return plane


def doctor(fleet, **env):
    done = fleet.cli("doctor", "--json", **env)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert {f["check"] for f in told["findings"]} <= set(LOOKS)
    assert all(f["what"] and f["why"] and (f["fix"] or f["level"] == "ok") for f in told["findings"])
    assert (done.returncode == 0) == told["ok"] == (told["errors"] == 0)
    return told["findings"]


def bad(findings, *levels):
    return {(f["check"], f["level"]) for f in findings if f["level"] in (levels or ("warning", "error"))}


def named(findings, check, level):
    return [f for f in findings if (f["check"], f["level"]) == (check, level)]


def looked_at(fleet, wanted):
    """The findings once these are the bad ones: on a slow machine a worker may have lost its lease for a moment."""
    found = []

    def look():
        found[:] = doctor(fleet)
        return bad(found) == wanted
    with contextlib.suppress(Timeout):
        wait_for(look, 20, "no others")
    return found


def test_a_plane_is_looked_at(site):
    """What is wrong with one of tests: it is fast and not durable."""
    findings = looked_at(site, {("database_settings", "error"), ("database_settings", "warning")})
    assert bad(findings) == {("database_settings", "error"), ("database_settings", "warning")}, json.dumps(findings, indent=1)
    assert bad(findings, "unseen") <= {("disk", "unseen")}
    well = {f["check"] for f in findings if f["level"] == "ok"}
    assert set(LOOKS) - well <= {"api_trust", "process", "program", "database_settings"}, set(LOOKS) - well
    assert {f["subject"].split()[0] for f in named(findings, "settings", "ok")} == {
        "certctl-apiserver", "certctl-scheduler", "certctl-worker", "certctl-agent"}
    assert len(named(findings, "database_role", "ok")) == 3
    done = site.cli("doctor")
    assert done.returncode == 1 and done.stdout.startswith("error    database_settings"), done.stdout
    assert re.search(r"\n\d+ errors?, \d+ warnings?, \d+ could not be looked at, \d+ well\n$", done.stdout)
    # No secret of the environments that were read.
    for secret in (API_KEY, "test-ca-encryption-key", "test-bootstrap-token", "test-config-encryption-key"):
        assert secret not in done.stdout + json.dumps(findings)


def test_faults_are_found(site):
    """A key that others may read, an agent that is silent, settings that do not fit, a role that may too much, a lane that is closed."""
    os.chmod(site.dir / "tls" / "api.key", 0o644)
    site.query("INSERT INTO agents (id, name, hostname, status, api_key_hash) VALUES ('agent-s', 'agent-s', 'h', 'Offline', 'x')")
    with site.admin() as c:
        c.execute("ALTER ROLE certctl_scheduler CREATEDB")
    site.query("UPDATE lanes SET cap = 0")
    site.start_agent("agent-2", keep=True, CERTCTL_AGENT_HEARTBEAT_INTERVAL="10m", CERTCTL_AGENT_STATE_DIRR="/x")
    try:
        findings = doctor(site)
    finally:
        os.chmod(site.dir / "tls" / "api.key", 0o600)
        with site.admin() as c:
            c.execute("ALTER ROLE certctl_scheduler NOCREATEDB")
        site.query("UPDATE lanes SET cap = 8")
        site.query("DELETE FROM agents WHERE id = 'agent-s'")
        site.processes.pop("agent-2").stop()
    assert {("key_file", "error"), ("agents", "warning"), ("database_role", "error"), ("condition", "error"), ("timeouts", "warning"),
            ("settings", "warning")} <= bad(findings), json.dumps(findings, indent=1)
    assert named(findings, "agents", "warning")[0]["subject"] == "agent-s"
    # A slow machine may have others besides: a worker that lost its lease for a moment.
    assert "lane_closed" in {f["subject"] for f in named(findings, "condition", "error")}, json.dumps(findings, indent=1)
    assert "CERTCTL_AGENT_STATE_DIRR" in named(findings, "settings", "warning")[0]["what"]
    assert "api.key" in named(findings, "key_file", "error")[0]["what"]


def test_who_may_not_see_is_told_so(site):
    """Without a key the server says little: that is no "well"."""
    findings = doctor(site, CERTCTL_API_KEY="")
    assert {("processes", "unseen"), ("condition", "unseen"), ("agents", "unseen")} <= bad(findings, "unseen")
    assert all("401" in f["what"] for f in named(findings, "agents", "unseen"))


def test_no_server_is_an_error_and_not_the_end(site):
    findings = doctor(site, CERTCTL_SERVER_URL=f"https://127.0.0.1:{free_port()}")
    assert ("api", "error") in bad(findings)
    assert not any(f["check"] in ("leader", "agents", "version") for f in findings)
    assert any(f["check"] == "settings" for f in findings)


def test_the_page_names_every_check():
    page = (ROOT / "docs/operator/doctor.md").read_text()
    why = dict(re.findall(r'^LOOK\((\w+), "((?:[^"\\]|\\.)*)"', (ROOT / "cli/doctor/checks.def").read_text(), re.M))
    assert dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", page, re.M)) == why
