"""
What goes wrong on an agent's host, or is tried with an agent's key: a clear
error each, nothing half-written, no process down.
"""
import os
import signal
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from fleet import Fleet, Process, wait_for
from tiny_disk import tiny_disk

# Fewer than an agent's own number, for who waits for the last; the sixth pause is over after three seconds, as a server
# may take one to reload on a busy machine.
AGENT = {"CERTCTL_VERIFY_ATTEMPTS": "7",
         "CERTCTL_AGENT_COMMANDS": f"{Fleet.allowed_commands()},/usr/bin/sh *,/no/such/program"}


@pytest.fixture(scope="module")
def site(plane):
    site = plane.start_site("demo", keep=True, agent_env=AGENT)
    site.renew_and_wait()
    return site


def files_of(directory):
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*"))


def fail_deployment(site, seconds=30):
    """Renews; the words of the deployment that fails."""
    job = site.renew()
    assert site.fleet.wait_job(job)[0] == "Completed"
    deployment = wait_for(lambda: site.fleet.value(
        "SELECT id FROM jobs WHERE type = 'Deployment' AND version_id = 'certver' || substr(%s, 4)", job), 10, "a deployment")
    status, error = site.fleet.wait_job(deployment, seconds)
    assert status == "Failed"
    return error


def wait_for_journal_cleared(plane):
    """The agent removes its note once the report is answered, so after the job has ended."""
    wait_for(lambda: not list((plane.dir / "agent-1" / "journal").iterdir()), 10, "the install journal to be cleared")


def deploy(site):
    """What is wanted and not deployed yet, now; its serial."""
    site.fleet.api.need("POST", f"/api/v1/certificates/{site.name}/deploy")
    wanted = site.versions()[-1]
    wait_for(lambda: site.fleet.value("SELECT bool_and(desired_version_id = deployed_version_id) FROM "
                                      "certificate_target_mappings WHERE certificate_id = %s", site.name), 30, site.deployments)
    assert site.serial() == wanted
    return wanted


# --- nginx ---

def test_failed_config_test_keeps_the_old(plane, site):
    before, link = site.serial(), os.readlink(site.directory / "current")
    conf = plane.dir / "nginx-demo" / "nginx.conf"
    good = conf.read_text()
    conf.write_text(good + "no_such_directive on;\n")
    try:
        error = fail_deployment(site)
    finally:
        conf.write_text(good)
    assert 'unknown directive "no_such_directive"' in error and "configuration test" in error
    assert site.serial() == before and os.readlink(site.directory / "current") == link
    wait_for_journal_cleared(plane)
    assert plane.value("SELECT status FROM managed_certificates WHERE id = 'demo'") == "Active"
    assert deploy(site) != before


def test_ignored_reload_is_found_out(plane, site):
    before, link = site.serial(), os.readlink(site.directory / "current")
    config = plane.api.need("GET", "/api/v1/targets/tgt-demo")["config"]
    plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config | {"reload_command": ["true"]}})
    try:
        error = fail_deployment(site)
    finally:
        plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config})
    assert "still serves another certificate" in error and before in error
    assert site.serial() == before and os.readlink(site.directory / "current") == link
    row = plane.query("SELECT verification_status, verification_error FROM jobs WHERE type = 'Deployment' ORDER BY id DESC LIMIT 1")
    assert row[0][0] == "failed" and "still serves" in row[0][1]
    assert deploy(site) != before


def revoke_deployed(plane):
    """As a revocation would while a renewal is under way."""
    plane.query("INSERT INTO certificate_revocations (id, certificate_id, serial_number, revoked_by, issuer_id) "
                "SELECT 'rev-' || v.id, v.certificate_id, v.serial_number, 'test', v.issuer_id FROM certificate_versions v "
                "JOIN certificate_target_mappings m ON m.deployed_version_id = v.id WHERE m.certificate_id = 'demo'")


@pytest.mark.parametrize("which", ["configuration test", "handshake"])
def test_revoked_pair_does_not_come_back(plane, site, which):
    before, link = site.serial(), os.readlink(site.directory / "current")
    revoke_deployed(plane)
    conf = plane.dir / "nginx-demo" / "nginx.conf"
    good = conf.read_text()
    config = plane.api.need("GET", "/api/v1/targets/tgt-demo")["config"]
    if which == "handshake":
        plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config | {"reload_command": ["true"]}})
    else:
        conf.write_text(good + "no_such_directive on;\n")
    try:
        error = fail_deployment(site)
    finally:
        conf.write_text(good)
        plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config})
    assert "the pair before it is revoked, so the new one stays" in error
    assert os.readlink(site.directory / "current") != link
    wait_for_journal_cleared(plane)
    assert deploy(site) != before


@pytest.mark.parametrize("command, words", [
    (["false"], "ended with status 1"),
    (["sh", "-c", "echo broken for a reason; kill -9 $$"], "broken for a reason"),
    (["/no/such/program"], "cannot start /no/such/program"),
    (["sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo; exit 3"], "status 3"),
    (["sh", "-c", "printf '\\377\\376 odd \\001 bytes'; exit 4"], "odd"),
])
def test_reload_that_fails(plane, site, command, words):
    before = site.serial()
    config = plane.api.need("GET", "/api/v1/targets/tgt-demo")["config"]
    plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config | {"reload_command": command}})
    try:
        error = fail_deployment(site)
    finally:
        plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config})
    assert words in error and "the reload" in error
    # the files are back; nginx was never told
    assert site.serial() == before
    deploy(site)


def test_server_that_is_down_fails_the_proof(plane, site):
    nginx = plane.processes["nginx-demo"]
    config = plane.api.need("GET", "/api/v1/targets/tgt-demo")["config"]
    plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config | {"port": 1, "reload_command": ["true"]}})
    try:
        error = fail_deployment(site)
    finally:
        plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config})
    assert "no TLS handshake with 127.0.0.1:1" in error and "refused" in error.lower()
    assert nginx.popen.poll() is None
    deploy(site)


@pytest.mark.parametrize("config, words", [
    ({"cert_path": "/c.pem"}, "key_path"),
    ({"cert_path": "c.pem", "key_path": "/k.pem"}, "absolute"),
    ({"cert_path": "/a/../c.pem", "key_path": "/k.pem"}, "absolute"),
    ({"cert_path": "DIR/same", "key_path": "DIR/same"}, "different files"),
    ({"cert_path": "DIR/no/such/c.pem", "key_path": "DIR/no/such/k.pem"}, "No such file"),
    ({"cert_path": "DIR/tls/api.key/c.pem", "key_path": "DIR/tls/api.key/k.pem"}, "Not a directory"),
])
def test_odd_target_configuration(plane, site, unique, config, words):
    """Refused when it is stored, or said by the agent; never a crash."""
    target, name = unique("tgt"), unique("odd")
    config = {key: value.replace("DIR", str(plane.dir)) for key, value in config.items()}
    status, reply = plane.api.post("/api/v1/targets", {
        "id": target, "name": target, "type": "NGINX", "agent_id": plane.processes["agent-1"].agent_id, "config": config})
    if status == 400:
        assert reply["message"]
        return
    assert status == 201, reply
    plane.make_certificate(name, [target])
    plane.wait_job(plane.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"])
    deployment = wait_for(lambda: plane.value("SELECT id FROM jobs WHERE target_id = %s", target), 10, "a deployment")
    status, error = plane.wait_job(deployment)
    assert status == "Failed" and words in error
    assert "swapping back" not in error  # nothing was changed


# --- what the host allows ---

@pytest.mark.parametrize("config, words", [
    ({"validate_command": ["/usr/bin/touch", "MARK"]}, "does not allow validate_command"),
    ({"reload_command": "touch MARK"}, "does not allow reload_command"),
    ({"reload_command": ["/usr/bin/true", "--help"]}, "does not allow reload_command"),
    ({"cert_path": "/etc/cron.d/odd", "key_path": "/etc/cron.d/odd.key"}, "does not allow cert_path /etc/cron.d/odd"),
    ({"chain_path": "/etc/odd-chain.pem"}, "does not allow chain_path"),
    ({"cert_path": "DIRevil/c.pem", "key_path": "DIRevil/k.pem"}, "does not allow cert_path"),
    ({"cert_path": "DIR/agent-1/identity.json", "key_path": "DIR/agent-1/k.pem"}, "in the agent's own directory or its CA bundle"),
    ({"chain_path": "DIR/tls/api.pem"}, "in the agent's own directory or its CA bundle"),
    ({"cert_path": "DIR/out/c.pem", "key_path": "DIR/out/k.pem"}, "does not allow cert_path"),
])
def test_what_the_host_does_not_allow(plane, site, unique, tmp_path, config, words):
    """Whoever edits a target gets no program run and no file written that the host does not know."""
    target, name = unique("tgt"), unique("alien")
    (plane.dir / "out").unlink(missing_ok=True)
    os.symlink(tmp_path, plane.dir / "out")
    identity = (plane.dir / "agent-1" / "identity.json").read_bytes()
    mark = tmp_path / "mark"

    def filled(value):
        if isinstance(value, list):
            return [filled(v) for v in value]
        return value.replace("DIR", str(plane.dir)).replace("MARK", str(mark))
    plane.make_target(target, plane.processes["agent-1"].agent_id, plane.dir / name,
                      **{key: filled(value) for key, value in config.items()})
    plane.make_certificate(name, [target])
    plane.wait_job(plane.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"])
    deployment = wait_for(lambda: plane.value("SELECT id FROM jobs WHERE target_id = %s", target), 10, "a deployment")
    status, error = plane.wait_job(deployment)
    assert status == "Failed" and words in error and "this host" in error
    # nothing was changed before it was refused
    assert not mark.exists() and not list(tmp_path.iterdir()) and not list((plane.dir / name).iterdir())
    assert not os.path.exists("/etc/cron.d/odd") and not os.path.lexists("/etc/odd-chain.pem")
    assert (plane.dir / "agent-1" / "identity.json").read_bytes() == identity
    wait_for_journal_cleared(plane)


def test_programs_see_nothing_of_the_agent(plane, site):
    config = plane.api.need("GET", "/api/v1/targets/tgt-demo")["config"]
    shown = ["sh", "-c", "env; exit 3"]
    plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config | {"reload_command": shown}})
    try:
        error = fail_deployment(site)
    finally:
        plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config})
    names = {line.split("=")[0] for line in error.split("; the reload after")[0].split("status 3: ")[1].splitlines() if "=" in line}
    assert {"PATH", "LC_ALL"} <= names <= {"PATH", "LC_ALL", "PWD", "SHLVL", "_"}
    deploy(site)


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_what_a_reload_leaves_goes_on_and_what_a_test_leaves_does_not(plane, site):
    """The first may be the server itself."""
    config = plane.api.need("GET", "/api/v1/targets/tgt-demo")["config"]
    leaving = {name: ["sh", "-c", f'sleep 300 & echo $! >{plane.dir}/{name}; exec "$@"', "sh", *config[name]]
               for name in ("validate_command", "reload_command")}
    plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config | leaving})
    try:
        site.renew_and_wait()
    finally:
        plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config})
    tested, reloaded = (int((plane.dir / name).read_text()) for name in leaving)
    wait_for(lambda: not lives(tested), 20, "the end of what the test left")
    assert lives(reloaded)
    os.kill(reloaded, signal.SIGKILL)


def test_keys_go_with_the_last_version_that_needs_them(plane, site):
    """Those of what stands on the host stay, the others' do not."""
    for _ in range(4):
        site.renew_and_wait()
    keys = plane.dir / "agent-1" / "keys"

    def kept():
        versions = {p.name.removeprefix("certver") for p in (site.directory / "v").glob("certver*")}
        mine = {v[0].removeprefix("certver") for v in plane.query("SELECT id FROM certificate_versions WHERE certificate_id = 'demo'")}
        have = {p.name.removeprefix("job").removesuffix(".key") for p in keys.glob("job*.key")} & mine
        return versions and len(mine) > len(versions) and have == versions
    wait_for(kept, 10, "the keys of the installed versions alone")
    held = {p.name.removeprefix("job").split(".in-")[0] for p in keys.glob("job*.in-*")}
    assert {p.name.removeprefix("certver") for p in (site.directory / "v").glob("certver*")} <= held


@pytest.mark.parametrize("which", ["state", "keys"])
@pytest.mark.parametrize("spoil, words", [
    (lambda d: d.chmod(0o755), "chmod 0700"),
    (lambda d: (d / "somebodys").touch(), "somebodys"),
])
def test_directory_that_is_not_the_agents_is_refused(plane, unique, which, spoil, words):
    state = plane.dir / unique("agent-home")
    directory = {"state": state, "keys": state / "keys"}[which]
    directory.mkdir(mode=0o700, parents=True)
    state.chmod(0o700)
    spoil(directory)
    before = directory.stat().st_mode, sorted(directory.iterdir())
    agent = plane.start_agent(state.name, wait=False)
    assert agent.wait_end() == 1
    assert words in agent.log() and str(directory) in agent.log()
    assert (directory.stat().st_mode, sorted(directory.iterdir())) == before
    assert not plane.query("SELECT 1 FROM agents WHERE name = %s", state.name)


@pytest.mark.parametrize("variable, value", [
    ("CERTCTL_AGENT_TARGET_DIRS", "etc/ssl"), ("CERTCTL_AGENT_TARGET_DIRS", "/etc/ssl/../x"), ("CERTCTL_AGENT_TARGET_DIRS", "/"),
    ("CERTCTL_AGENT_COMMANDS", "nginx -t"), ("CERTCTL_AGENT_COMMANDS", "/usr/sbin/nginx,*"),
])
def test_odd_lists_do_not_start(plane, unique, variable, value):
    agent = plane.start_agent(unique("agent-list"), wait=False, **{variable: value})
    assert agent.wait_end() == 1
    assert variable in agent.log() and "absolute path" in agent.log()


# --- a full disk ---

def wait_put_off(plane, job, words):
    """The job waits for its agent, and says for what."""
    wait_for(lambda: words in (plane.value("SELECT last_error FROM jobs WHERE id = %s", job) or ""), 20, "the reason")
    shown = plane.api.need("GET", f"/api/v1/jobs/{job}")
    assert shown["status"] == "AwaitingCSR" and words in shown["last_error"] and shown["attempts"] == 0, shown
    assert words in plane.cli("jobs", "get", job).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="a disk of its own needs root; the unit tests limit file sizes instead")
@pytest.mark.parametrize("which", ["keys", "state", "site"])
def test_full_disk(plane, unique, which):
    name = unique(f"agent-{which}")
    state, directory = plane.dir / name, plane.dir / f"{name}-site"
    for path in (state, state / "keys", directory):
        path.mkdir(mode=0o700)
    with tiny_disk({"keys": state / "keys", "state": state, "site": directory}[which]) as disk:
        agent = plane.start_agent(name)
        plane.make_target(name, agent.agent_id, directory)
        plane.make_certificate(name, [name])
        renew = lambda: plane.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]  # noqa: E731
        assert plane.wait_job(renew())[0] == "Completed"
        first = "certver" + plane.value("SELECT max(id) FROM jobs WHERE certificate_id = %s AND type <> 'Deployment'", name)[3:]
        wait_for(lambda: os.path.lexists(directory / "current") and not list((state / "journal").iterdir())
                 and not list((state / "keys").glob("*.csr")), 10, "the install")
        disk.fill()
        files = files_of(directory), files_of(state / "keys")
        job = renew()
        if which == "site":
            assert plane.wait_job(job)[0] == "Completed"
            deployment = wait_for(lambda: plane.value(
                "SELECT id FROM jobs WHERE type = 'Deployment' AND certificate_id = %s AND version_id <> %s", name, first),
                10, "a deployment")
            status, error = plane.wait_job(deployment)
            assert files_of(directory) == files[0]
            assert status == "Failed" and "No space left on device" in error
        else:
            wait_put_off(plane, job, "No space left on device")
            assert files_of(state / "keys") == files[1]
        assert os.readlink(directory / "current") == f"v/{first}"
        disk.free()
        if which == "site":
            plane.api.need("POST", f"/api/v1/certificates/{name}/deploy")
        else:
            assert plane.wait_job(job)[0] == "Completed"
            assert plane.query("SELECT attempts, last_error FROM jobs WHERE id = %s", job) == [(0, None)]
        wait_for(lambda: os.readlink(directory / "current") != f"v/{first}", 20, "the new version once there is room")
        assert agent.popen.poll() is None
        wait_for(lambda: plane.value("SELECT count(*) FROM jobs WHERE certificate_id = %s AND completed_at IS NULL", name) == 0,
                 20, "the reports")
        agent.stop()


@pytest.mark.parametrize("which, limit", [("keys", 200), ("site", 1100)])
def test_files_that_may_not_grow(plane, unique, which, limit):
    """As a full disk, for those who may not mount one: RLIMIT_FSIZE."""
    name = unique(f"agent-{which}-limit")
    directory, keys = plane.dir / f"{name}-site", plane.dir / name / "keys"
    agent = plane.start_agent(name)
    plane.make_target(name, agent.agent_id, directory)
    plane.make_certificate(name, [name])
    renew = lambda: plane.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]  # noqa: E731
    over = lambda: plane.value(  # noqa: E731
        "SELECT count(*) FROM jobs WHERE certificate_id = %s AND completed_at IS NULL", name) == 0
    assert plane.wait_job(renew())[0] == "Completed"
    wait_for(over, 10, "the first install")
    wait_for(lambda: not list(keys.glob("*.csr")), 10, "its mark to go")
    first = os.readlink(directory / "current")
    agent.stop()
    plain = agent.argv
    agent.argv = ["prlimit", f"--fsize={limit}", "env", "--ignore-signal=XFSZ", *plain]
    agent.start()
    before = files_of(directory), files_of(keys)
    job = renew()
    if which == "keys":
        wait_put_off(plane, job, "File too large")
    else:
        wait_for(lambda: plane.value("SELECT status = 'Failed' FROM jobs WHERE certificate_id = %s ORDER BY id DESC LIMIT 1", name),
                 20, "a failure")
        assert "File too large" in plane.value("SELECT last_error FROM jobs WHERE certificate_id = %s ORDER BY id DESC LIMIT 1", name)
        assert plane.wait_job(job)[0] == "Completed"
    assert files_of(directory) == before[0] and os.readlink(directory / "current") == first
    if which == "keys":
        wait_for(lambda: files_of(keys) == before[1], 10, "no half-written key")
    agent.stop()
    agent.argv = plain
    agent.start()
    if which == "site":
        plane.api.need("POST", f"/api/v1/certificates/{name}/deploy")
    else:
        assert plane.wait_job(job)[0] == "Completed"
    wait_for(lambda: os.readlink(directory / "current") != first, 20, "the new version without the limit")
    wait_for(over, 10, "the reports")
    agent.stop()


# --- keys and agents ---

def test_wrong_key_is_told_and_harms_nobody(plane, site):
    agent = plane.start_agent("agent-wrong", wait=False, CERTCTL_AGENT_ID=plane.processes["agent-1"].agent_id,
                              CERTCTL_API_KEY="wrong")
    wait_for(lambda: "the server answered 401" in agent.log(), 10, "the refusal in its log")
    assert agent.popen.poll() is None
    assert agent.stop() == 0


def test_half_an_identity_refuses_to_start(plane, site):
    agent = plane.start_agent("agent-half", wait=False, CERTCTL_API_KEY="only-a-key")
    assert agent.popen.wait(10) == 1
    assert "CERTCTL_AGENT_ID and CERTCTL_API_KEY go together" in agent.log()


def test_wrong_bootstrap_token_is_told(plane, site):
    agent = plane.start_agent("agent-token", wait=False, CERTCTL_AGENT_BOOTSTRAP_TOKEN="wrong")
    wait_for(lambda: "check CERTCTL_AGENT_BOOTSTRAP_TOKEN" in agent.log(), 10, "the refusal in its log")
    assert agent.stop() == 0
    assert plane.value("SELECT count(*) FROM agents WHERE name = 'agent-token'") == 0


def test_two_agents_cannot_share_a_key_directory(plane, site):
    state = plane.dir / "agent-1"
    second = Process(plane, "agent-twin", plane.processes["agent-1"].argv, plane.processes["agent-1"].env)
    assert second.popen.wait(15) == 1
    assert f"{state}/keys" in second.log() and "another agent uses this directory" in second.log()


def test_name_of_another_agent_is_refused(plane, site, unique):
    state = plane.dir / unique("thief")
    agent = plane.start_agent(state.name, wait=False, CERTCTL_AGENT_NAME="agent-1")
    assert agent.popen.wait(10) == 1
    assert "belongs to another agent" in agent.log()


# A database from before an agent does not have its row.

def start_working(plane, name):
    agent = plane.start_agent(name, CERTCTL_AGENT_HEARTBEAT_INTERVAL="1s")
    wait_for(lambda: "code=STARTED" in agent.log(), 20, "the agent to work")
    return agent


def test_agent_that_the_database_forgot_finds_its_way_back(plane, unique):
    agent = start_working(plane, unique("agent-back"))
    key = plane.value("SELECT api_key_hash FROM agents WHERE id = %s", agent.agent_id)
    plane.query("DELETE FROM agents WHERE id = %s", agent.agent_id)
    wait_for(lambda: "code=HEARTBEAT-OK" in agent.log(), 60, "a heartbeat after the return")
    assert "code=RETURNED" in agent.log() and agent.popen.poll() is None
    new = plane.value("SELECT id FROM agents WHERE name = %s AND api_key_hash = %s", agent.name, key)
    assert new and new != agent.agent_id
    # Known from now on, also after a restart.
    assert agent.stop() == 0
    agent.start()
    wait_for(lambda: f"agent {new} of" in agent.log(), 20, "the new id in its log")
    assert agent.stop() == 0


@pytest.mark.parametrize("env, taken, words", [
    ({}, True, "belongs to another agent"),
    ({"CERTCTL_AGENT_BOOTSTRAP_TOKEN": ""}, False, "set CERTCTL_AGENT_BOOTSTRAP_TOKEN"),
], ids=["another-has-its-name", "no-token"])
def test_agent_that_may_not_come_back_says_so_and_takes_nothing(plane, unique, env, taken, words):
    name = unique("agent-gone")
    agent = start_working(plane, name)
    if env:
        assert agent.stop() == 0
        agent.env |= env
        agent.start()
        wait_for(lambda: agent.log().count("code=STARTED") == 2, 20, "the agent to work without a token")
    if taken:
        plane.query("UPDATE agents SET api_key_hash = repeat('0', 64) WHERE id = %s", agent.agent_id)
    else:
        plane.query("DELETE FROM agents WHERE id = %s", agent.agent_id)
    wait_for(lambda: "code=RETURN-FAILED" in agent.log(), 60, "the refusal in its log")
    assert words in agent.log() and agent.popen.poll() is None
    rows = plane.query("SELECT id, api_key_hash FROM agents WHERE name = %s", name)
    assert [tuple(r) for r in rows] == ([(agent.agent_id, "0" * 64)] if taken else [])
    assert agent.stop() == 0


def test_retired_agent_leaves_with_status_0(plane, unique):
    name = unique("agent-retired")
    agent = plane.start_agent(name)
    # Its request for work is parked: it need not wait for the end of that.
    wait_for(lambda: plane.value("SELECT status FROM agents WHERE id = %s AND last_heartbeat_at > registered_at",
                                 agent.agent_id), 10, "a heartbeat")
    status, _ = plane.api.call("DELETE", f"/api/v1/agents/{agent.agent_id}?force=true&reason=test")
    assert status == 200
    assert agent.popen.wait(15) == 0
    assert "code=RETIRED" in agent.log()
    # and again when it is started again
    starts = agent.log().count("code=RETIRED")
    agent.start()
    assert agent.popen.wait(15) == 0
    assert agent.log().count("code=RETIRED") == starts + 1


def test_retired_agents_jobs_end(plane, unique):
    name = unique("agent-leaver")
    agent = plane.start_agent(name)
    plane.make_target(name, agent.agent_id, plane.dir / f"{name}-site")
    plane.make_certificate(name, [name])
    agent.signal(19)
    job = plane.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]
    assert plane.api.call("DELETE", f"/api/v1/agents/{agent.agent_id}?force=true&reason=test")[0] == 200
    agent.signal(18)
    assert agent.popen.wait(15) == 0
    assert plane.query("SELECT status FROM jobs WHERE id = %s", job)[0][0] in ("AwaitingCSR", "Failed", "Cancelled")


def test_as_many_names_as_there_may_be(plane, site, unique):
    """A hundred and the common name, each as long as names get: through row, key, request, leaf and server."""
    def long_name(i):
        return ".".join([f"{i:03}" + "a" * 60, "b" * 63, "c" * 63, "d" * 61])
    names = [long_name(i) for i in range(100)]
    assert len(names[0]) == 253
    target, name = unique("tgt"), unique("many")
    directory = plane.dir / name
    plane.make_target(target, plane.processes["agent-1"].agent_id, directory, reload_command=["true"], validate_command=["true"])
    plane.make_certificate(name, [target], common_name="many.example.test", sans=names)
    status, reply = plane.api.call("PUT", f"/api/v1/certificates/{name}", {"sans": names + ["one.more.example.test"]})
    assert status == 400 and "sans has more than 100 members" in reply["message"], reply
    job = plane.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]
    assert plane.wait_job(job)[0] == "Completed"
    deployment = wait_for(lambda: plane.value("SELECT id FROM jobs WHERE target_id = %s AND type = 'Deployment'", target), 10, "a deployment")
    assert plane.wait_job(deployment)[0] == "Completed"
    pem = (directory / "current" / "fullchain.pem").read_bytes()
    leaf = x509.load_pem_x509_certificate(pem)
    assert leaf.subject.rfc4514_string() == "CN=many.example.test"
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == \
        ["many.example.test", *names]


# --- by hand, with a key of one's own ---

@pytest.fixture(scope="module")
def hand(plane, unique):
    """An agent without a process: (id, key), and a certificate that waits for its CSR."""
    from fleet import BOOTSTRAP
    reply = plane.api.call("POST", "/api/v1/agents", {"name": unique("hand"), "hostname": "hand.example.test"}, key=BOOTSTRAP)[1]
    plane.make_target("tgt-hand", reply["id"], plane.dir / "hand-site")
    plane.make_certificate("hand", ["tgt-hand"], common_name="hand.example.test", sans=["hand.example.test", "www.hand.example.test"])
    job = plane.api.need("POST", "/api/v1/certificates/hand/renew")["job_id"]
    return reply["id"], reply["api_key"], job


def make_csr(key=None, cn="hand.example.test", sans=("hand.example.test", "www.hand.example.test"), more=()):
    """more: what else the subject says, (OID, text) each."""
    subject = [x509.NameAttribute(oid, text) for oid, text in [*more, (NameOID.COMMON_NAME, cn)]]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in sans]), False)
    request = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def private_key():
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def with_bad_signature():
    pem = make_csr().splitlines()
    body = bytearray(__import__("base64").b64decode("".join(pem[1:-1])))
    body[-5] ^= 0x55
    return "\n".join([pem[0], __import__("base64").b64encode(bytes(body)).decode(), pem[-1], ""])


def cut_short():
    lines = make_csr().splitlines()
    return "\n".join(lines[:2] + lines[-1:]) + "\n"


@pytest.mark.parametrize("csr, words", [
    (lambda: "", "csr_pem"),
    (lambda: "not PEM", "csr_pem"),
    (lambda: make_csr().replace("CERTIFICATE REQUEST", "CERTIFICATE"), "csr_pem"),
    (cut_short, "csr_pem"),
    (lambda: make_csr() + make_csr(), "csr_pem"),
    (with_bad_signature, "signature"),
    (lambda: make_csr(rsa.generate_private_key(65537, 1024)), "csr_pem"),
    (lambda: make_csr(ec.generate_private_key(ec.SECP256K1())), "csr_pem"),
    (lambda: make_csr(sans=("hand.example.test", "evil.example.test")), "evil.example.test"),
    (lambda: make_csr(cn="evil.example.test"), "evil.example.test"),
    (lambda: make_csr(sans=("hand.example.test", "*.example.test")), "*.example.test"),
    (lambda: make_csr(sans=("hand.example.test", "192.0.2.1")), "192.0.2.1"),
    (lambda: make_csr(cn="Some Device"), "must be one of the alternative names"),
    (lambda: private_key() + make_csr(), "never a private key"),
    (lambda: make_csr() + private_key(), "followed by other text"),
    (lambda: "a note\n" + make_csr(), "in front"),
    (lambda: "-----BEGIN CERTIFICATE REQUEST-----\n" + "A" * 60000 + "\n-----END CERTIFICATE REQUEST-----\n", "csr_pem"),
])
def test_bad_csr_is_a_clear_400(plane, hand, csr, words):
    agent, key, job = hand
    status, reply = plane.api.call("POST", f"/api/v1/agents/{agent}/csr",
                                   {"csr_pem": csr(), "certificate_id": "hand", "job_id": job}, key=key)
    assert status == 400 and set(reply) == {"error", "message", "request_id"}, reply
    assert words in reply["message"], reply
    assert plane.value("SELECT status FROM jobs WHERE id = %s", job) == "AwaitingCSR"


def test_anothers_jobs_are_not_there(plane, site, hand):
    """Nothing of agent-1's is read or changed with another agent's key."""
    agent, key, _ = hand
    other = plane.processes["agent-1"].agent_id
    deployment = plane.value("SELECT max(id) FROM jobs WHERE type = 'Deployment' AND agent_id = %s", other)
    issuance = plane.value("SELECT max(id) FROM jobs WHERE type <> 'Deployment' AND agent_id = %s", other)
    # What the agent itself still has to do for earlier tests goes on meanwhile.
    mine_to_take = (deployment, issuance)
    wait_for(lambda: not plane.value("SELECT count(*) FROM jobs WHERE id IN %s AND status IN ('Pending', 'AwaitingCSR', 'Running')", mine_to_take),
             60, "both jobs to end")
    rows = "SELECT id, status, last_error, verification_status, csr_pem FROM jobs LEFT JOIN certificate_requests ON job_id = id " \
        "WHERE id IN %s ORDER BY id"
    before = plane.query(rows, mine_to_take)
    for mine in (agent, other):
        for method, path, body in (
                ("GET", f"/api/v1/agents/{mine}/certificates/demo?job={deployment}", None),
                ("POST", f"/api/v1/agents/{mine}/jobs/{deployment}/status", {"status": "Failed", "error": "theft"}),
                ("POST", f"/api/v1/agents/{mine}/jobs/{issuance}/status", {"status": "Failed"}),
                ("POST", f"/api/v1/agents/{mine}/csr", {"csr_pem": make_csr(cn="demo.example.test", sans=("demo.example.test",)),
                                                        "certificate_id": "demo", "job_id": issuance}),
                ("POST", f"/api/v1/jobs/{deployment}/verify", {"target_id": "tgt-demo", "expected_fingerprint": "00",
                                                               "actual_fingerprint": "11", "verified": False})):
            status, reply = plane.api.call(method, path, body, key=key)
            assert status in (403, 404), (method, path, status, reply)
    assert plane.api.call("GET", f"/api/v1/agents/{other}/work", key=key)[0] in (403, 404)
    assert plane.api.call("POST", f"/api/v1/agents/{other}/heartbeat", {}, key=key)[0] in (403, 404)
    # nor anything that is a person's
    for method, path in (("GET", "/api/v1/issuers"), ("POST", "/api/v1/certificates/demo/renew"),
                         ("GET", "/api/v1/admin/processes"), ("DELETE", f"/api/v1/agents/{other}"), ("GET", "/api/v1/jobs")):
        assert plane.api.call(method, path, {} if method == "POST" else None, key=key)[0] == 403, path
    assert len(before) == 2 and plane.query(rows, mine_to_take) == before


def test_good_csr_again_and_another_key(plane, hand):
    """Last: the job leaves AwaitingCSR."""
    agent, key, job = hand
    path, private = f"/api/v1/agents/{agent}/csr", ec.generate_private_key(ec.SECP256R1())
    subject = [(NameOID.ORGANIZATION_NAME, "system:masters"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "Root"),
               (NameOID.USER_ID, "0"), (NameOID.EMAIL_ADDRESS, "root@example.test"), (NameOID.COUNTRY_NAME, "DE")]
    pem = make_csr(private, cn="Hand.example.test", sans=("www.hand.example.test", "WWW.hand.example.test"), more=subject)
    body = {"csr_pem": "\r\n" + pem.replace("\n", "\r\n") + "\n", "certificate_id": "hand", "job_id": job}
    for hidden in ("x\ufeff", "\ufeff\u202e", "\ufeff\ufeff"):
        status, reply = plane.api.call("POST", path, body | {"csr_pem": hidden + body["csr_pem"]}, key=key)
        assert status == 400 and reply["message"].startswith("csr_pem: "), reply
    # A byte-order mark is skipped.
    status, reply = plane.api.call("POST", path, body | {"csr_pem": "\ufeff" + body["csr_pem"], "note": "\u202e"}, key=key)
    assert status == 202, reply
    # kept is the block alone, in one spelling
    assert plane.value("SELECT csr_pem FROM certificate_requests WHERE job_id = %s", job) == pem
    # the answer was lost, says the agent, and signs the request anew with the same key
    status, reply = plane.api.call("POST", path, body | {"csr_pem": make_csr(private)}, key=key)
    assert status == 202, reply
    status, reply = plane.api.call("POST", path, body | {"csr_pem": make_csr()}, key=key)
    assert status == 409 and "another key" in reply["message"], reply
    assert plane.wait_job(job)[0] == "Completed"
    status, reply = plane.api.call("POST", path, body, key=key)
    assert status == 202, reply
    # and the deployment's words, idempotent and contradicted
    work = wait_for(lambda: plane.api.call("GET", f"/api/v1/agents/{agent}/work", key=key)[1]["jobs"], 10, "work")
    assert [w["type"] for w in work] == ["Deployment"]
    deployment = work[0]["id"]
    status, reply = plane.api.call("GET", f"/api/v1/agents/{agent}/certificates/hand?job={deployment}", key=key)
    assert status == 200
    leaf = x509.load_pem_x509_certificate(reply["certificate_pem"].encode())
    # the subject is the common name and nothing that the requester made up; each name stands once
    assert leaf.subject.rfc4514_string() == "CN=hand.example.test"
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == \
        ["hand.example.test", "www.hand.example.test"]
    report = f"/api/v1/agents/{agent}/jobs/{deployment}/status"
    assert plane.api.call("POST", report, {"status": "Melted"}, key=key)[0] == 400
    assert plane.api.call("POST", report, {}, key=key)[0] == 400
    assert plane.api.call("POST", report, {"status": "Failed", "error": "no", "version_id": "certver-other"}, key=key)[0] == 409
    for _ in range(2):
        assert plane.api.call("POST", report, {"status": "Failed", "error": "no room"}, key=key)[0] == 200
    assert plane.api.call("POST", report, {"status": "Completed"}, key=key)[0] == 409
    assert plane.query("SELECT status, last_error FROM jobs WHERE id = %s", deployment) == [("Failed", "no room")]
