"""
Tests of issuers and targets, as people ask for them: a worker tries the issuer,
the target's agent what a deployment would need; who asked stands in the audit
trail with what came of it.
"""
import os
import signal
import threading

import pytest

from fleet import wait_for

TESTED = "SELECT count(*) FROM audit_events WHERE action = %s AND resource_id = %s"
QUICK = {"CERTCTL_AGENT_HEARTBEAT_INTERVAL": "1s"}


@pytest.fixture(scope="module")
def site(plane):
    return plane.start_site("demo", keep=True, agent_env=QUICK)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    return tmp_path_factory.mktemp("scripts")


def ask(plane, kind, ident):
    status, reply = plane.api.post(f"/api/v1/{kind}s/{ident}/test", timeout=60)
    return status, reply, plane.api.get(f"/api/v1/{kind}s/{ident}")[1]


def events(plane, kind, outcome, ident):
    return plane.value(TESTED, f"{kind}_test_connection_{outcome}", ident)


# --- issuers ---

def test_a_local_ca_is_opened_anew(plane):
    before = plane.api.need("GET", "/api/v1/issuers/iss-local").get("last_tested_at")
    status, reply, issuer = ask(plane, "issuer", "iss-local")
    assert (status, reply) == (200, {"status": "connection_successful"})
    assert issuer["test_status"] == "success" and issuer["last_tested_at"] != before
    assert events(plane, "issuer", "success", "iss-local") == 1
    assert plane.value("SELECT actor_type FROM audit_events WHERE action = 'issuer_test_connection_success'") == "APIKey"


def test_a_key_that_does_not_open_fails(plane):
    plane.api.need("POST", "/api/v1/issuers", {"id": "iss-sealed", "name": "sealed", "type": "GenericCA"})
    wait_for(lambda: plane.api.need("GET", "/api/v1/issuers/iss-sealed")["test_status"] == "success", 30, "its CA")
    plane.plant("UPDATE ca_keys SET key_sealed = set_byte(key_sealed, length(key_sealed) - 1, 0) WHERE issuer_id = 'iss-sealed'")
    plane.plant("UPDATE ca_keys SET key_sealed = set_byte(key_sealed, length(key_sealed) - 2, 1) WHERE issuer_id = 'iss-sealed'")
    status, reply, issuer = ask(plane, "issuer", "iss-sealed")
    assert status == 422 and reply["message"].startswith("Connection test failed: ") and "does not open" in reply["message"]
    assert issuer["test_status"] == "failed" and events(plane, "issuer", "failed", "iss-sealed") == 1
    # It is asked anew, whatever waits for its next try; and told of again.
    assert ask(plane, "issuer", "iss-sealed")[0] == 422 and events(plane, "issuer", "failed", "iss-sealed") == 2


def test_a_script_must_be_there_and_run(plane, scripts):
    plane.start_worker(2, CERTCTL_SCRIPT_ISSUER_DIR=str(scripts))
    plane.processes["worker-1"].stop()
    script = scripts / "sign.sh"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o700)
    scripts.chmod(0o755)
    plane.api.need("POST", "/api/v1/issuers", {"id": "iss-script", "name": "script", "type": "OpenSSL", "config": {"sign_script": str(script)}})
    status, reply, issuer = ask(plane, "issuer", "iss-script")
    assert (status, issuer["test_status"]) == (200, "success"), reply
    script.chmod(0o600)
    status, reply, issuer = ask(plane, "issuer", "iss-script")
    assert (status, issuer["test_status"]) == (422, "failed"), reply
    script.unlink()
    status, reply, issuer = ask(plane, "issuer", "iss-script")
    assert (status, issuer["test_status"]) == (422, "failed") and str(script) in reply["message"]
    plane.processes["worker-1"].start()


def test_what_nobody_tests_is_answered_in_time(plane):
    for name in ("worker-1", "worker-2"):
        if name in plane.processes:
            plane.processes[name].stop()
    before = plane.api.need("GET", "/api/v1/issuers/iss-local")
    status, reply, issuer = ask(plane, "issuer", "iss-local")
    assert status == 422 and "no worker runs" in reply["message"] and issuer == before
    # A worker that comes later tests it all the same, and says for whom.
    told = events(plane, "issuer", "success", "iss-local")
    plane.processes["worker-1"].start()
    wait_for(lambda: events(plane, "issuer", "success", "iss-local") == told + 1, 30, "the test that was asked for")


def test_no_such_issuer(plane):
    assert plane.api.post("/api/v1/issuers/none-such/test")[0] == 404
    assert plane.api.post("/api/v1/issuers/iss-local/test", raw=b"[]")[0] == 400
    assert plane.value("SELECT count(*) FROM tasks WHERE subject = 'none-such'") == 0


# --- targets ---

def test_a_target_that_serves_passes(plane, site):
    site.renew_and_wait(60)
    status, reply, target = ask(plane, "target", "tgt-demo")
    assert status == 200 and reply["status"] == "success", reply
    assert reply["message"].startswith("Agent is online and reachable")
    assert "configuration test passes" in reply["message"] and f"127.0.0.1:{site.port} serves TLS" in reply["message"]
    assert target["test_status"] == "success" and target["last_tested_at"]
    assert events(plane, "target", "success", "tgt-demo") == 1
    assert not [f for f in os.listdir(site.directory) if f.startswith(".certctl-test")]


def fails(plane, ident, *words):
    status, reply, target = ask(plane, "target", ident)
    assert status == 200 and reply["status"] == "failed" and target["test_status"] == "failed", reply
    assert all(word in reply["message"] for word in words), reply
    return reply


def test_what_a_deployment_would_need_is_tried(plane, site):
    tmp_path = plane.dir / "try"
    agent = plane.processes["agent-1"].agent_id
    plane.make_target("tgt-fresh", agent, tmp_path / "fresh")
    status, reply, _ = ask(plane, "target", "tgt-fresh")
    assert (status, reply["status"]) == (200, "success") and "nothing stands at" in reply["message"]
    plane.make_target("tgt-nowhere", agent, tmp_path / "nowhere")
    os.rmdir(tmp_path / "nowhere")
    fails(plane, "tgt-nowhere", "nowhere")
    plane.make_target("tgt-open", agent, tmp_path / "open")
    os.chmod(tmp_path / "open", 0o777)
    fails(plane, "tgt-open", "open")
    plane.make_target("tgt-program", agent, tmp_path / "program", validate_command=["/no/such/program"])
    fails(plane, "tgt-program", "/no/such/program")
    plane.make_target("tgt-owner", agent, tmp_path / "owner", cert_file_owner="nosuchuser")
    fails(plane, "tgt-owner", "nosuchuser")


def test_a_server_that_is_wrong_fails(plane, site):
    agent = plane.processes["agent-1"].agent_id
    commands = site.commands
    plane.make_target("tgt-untested", agent, site.directory, **commands | {"validate_command": ["false"]})
    fails(plane, "tgt-untested", "configuration test")
    plane.make_target("tgt-dark", agent, site.directory, **commands | {"port": 1})
    fails(plane, "tgt-dark", "no TLS handshake")


def test_two_who_ask_at_once_are_answered_by_one_test(plane, site):
    answers = []
    asking = [threading.Thread(target=lambda: answers.append(ask(plane, "target", "tgt-demo")[:2])) for _ in range(4)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert [status for status, _ in answers] == [200] * 4 and {reply["status"] for _, reply in answers} == {"success"}


def test_another_agent_cannot_answer(plane, site):
    status, made = plane.api.post("/api/v1/agents", {"name": "other", "hostname": "o.example.test"})
    assert status == 201
    plane.plant("INSERT INTO target_tests (target_id, id, agent_id, asked_by, asked_by_type, asked_at) SELECT id, 'test-mine', agent_id, 'x', "
                "'APIKey', now() FROM deployment_targets WHERE id = 'tgt-demo' ON CONFLICT (target_id) DO UPDATE SET id = 'test-mine', "
                "taken_at = now(), ended_at = NULL, passed = NULL, asked_at = now()")
    path = f"/api/v1/agents/{made['id']}/tests/test-mine"
    key = made["api_key"]
    assert plane.api.post(path, {"passed": True}, key=key)[0] == 404
    assert plane.api.post(path, {"passed": "yes"}, key=key)[0] == 400
    assert plane.api.post(path, {"passed": True, "message": 1}, key=key)[0] == 400
    # What a program said is kept, whatever it is: cleaned.
    plane.plant("UPDATE target_tests SET agent_id = %s WHERE id = 'test-mine'", made["id"])
    assert plane.api.post(path, {"passed": False, "message": "a\u202eb"}, key=key) == (200, {"status": "recorded"})
    assert plane.value("SELECT message FROM target_tests WHERE id = 'test-mine'") == "a?b"
    assert plane.api.post(path, {"passed": True}, key=key)[0] == 409


def test_an_agent_that_is_silent_or_away(plane, site):
    agent = plane.processes["agent-1"]
    agent.signal(signal.SIGSTOP)
    fails(plane, "tgt-demo", "Agent is online, but did not")
    agent.signal(signal.SIGCONT)
    plane.api.need("POST", "/api/v1/agents", {"name": "away", "hostname": "a.example.test"})
    away = plane.value("UPDATE agents SET last_heartbeat_at = now() - interval '1 hour' WHERE name = 'away' RETURNING id")
    plane.make_target("tgt-away", away, site.directory)
    fails(plane, "tgt-away", "Agent is not online")
    assert plane.api.post("/api/v1/targets/none-such/test")[0] == 404
