"""
Tests of issuers and targets, as people ask for them: a worker tries the issuer,
the target's agent what a deployment would need; who asked stands in the audit
trail with what came of it.
"""
import os
import shutil
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
    wait_for(lambda: plane.value("SELECT count(*) FROM workers WHERE lease_until > clock_timestamp()") == 2, 30, "both workers")
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
    status, reply, _ = ask(plane, "target", "tgt-nowhere")  # a deployment makes it
    assert (status, reply["status"]) == (200, "success"), reply
    assert f"the directory {tmp_path}/nowhere is not there, and the first deployment makes it" in reply["message"]
    assert not (tmp_path / "nowhere").exists() and not list(tmp_path.glob(".certctl-test*")), "a test changes nothing"
    plane.make_certificate("nowhere", ["tgt-nowhere"])
    plane.cli("certs", "renew", "nowhere", "--wait", "--timeout", "60")
    assert (tmp_path / "nowhere/current/fullchain.pem").exists(), "what passes its test is deployed to"
    plane.make_target("tgt-deeper", agent, tmp_path / "no/deeper")
    shutil.rmtree(tmp_path / "no")
    fails(plane, "tgt-deeper", f"{tmp_path}/no")  # but nothing above
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


class Asking(threading.Thread):
    """Asks for a test beside the test's own steps; .answer is (status, reply, what it tested)."""

    def __init__(self, plane, kind, ident):
        super().__init__(target=lambda: setattr(self, "answer", ask(plane, kind, ident)))
        self.answer = None
        self.start()

    def end(self):
        self.join()
        return self.answer


def wait_for_waiters(plane, n):
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'certctl_apiserver' AND wait_event_type = 'Lock'"
    wait_for(lambda: plane.value(waiting) == n, 20, f"{n} to wait for a row")


def test_two_who_ask_at_once_are_answered_by_one_test(plane, site):
    """The row of the test before is held till both wait for it."""
    ask(plane, "target", "tgt-demo")
    told = events(plane, "target", "success", "tgt-demo")
    with plane.connect() as other, other.cursor() as c:
        c.execute("SELECT 1 FROM target_tests WHERE target_id = 'tgt-demo' FOR UPDATE")
        asking = [Asking(plane, "target", "tgt-demo") for _ in range(2)]
        wait_for_waiters(plane, 2)
        # No agent may end what the first asks for before the second sees it.
        plane.processes["agent-1"].signal(signal.SIGSTOP)
        other.rollback()
    try:
        wait_for_waiters(plane, 0)
    finally:
        plane.processes["agent-1"].signal(signal.SIGCONT)
    answers = [one.end()[:2] for one in asking]
    assert [(status, reply["status"]) for status, reply in answers] == [(200, "success")] * 2, answers
    assert events(plane, "target", "success", "tgt-demo") == told + 1


def test_a_test_that_another_took_the_place_of_is_answered_by_that(plane, site):
    agent = plane.processes["agent-1"]
    agent.signal(signal.SIGSTOP)
    try:
        asking = Asking(plane, "target", "tgt-demo")
        asked = wait_for(lambda: plane.value("SELECT id FROM target_tests WHERE target_id = 'tgt-demo' AND ended_at IS NULL"), 20, "the ask")
        plane.plant("UPDATE target_tests SET id = 'test-later', ended_at = now(), passed = false, message = 'later' WHERE id = %s", asked)
        assert asking.end()[:2] == (200, {"status": "failed", "message": "later"})
    finally:
        agent.signal(signal.SIGCONT)


def test_a_test_that_ends_while_another_is_asked_for_does_not_answer_it(plane):
    """It began before what the second asker wants to know of."""
    ask(plane, "issuer", "iss-local")
    worker = plane.processes["worker-1"]
    worker.signal(signal.SIGSTOP)
    try:
        with plane.connect() as other, other.cursor() as c:
            c.execute("INSERT INTO tasks (id, kind, subject, dedupe_key, issuer_id, run_after) VALUES "
                      "('task-before', 'ca_init', 'iss-local', 'ca_init:iss-local', 'iss-local', 'infinity')")
            asking = Asking(plane, "issuer", "iss-local")
            wait_for_waiters(plane, 1)
            c.execute("DELETE FROM tasks WHERE id = 'task-before'")
            c.execute("UPDATE issuers SET last_tested_at = clock_timestamp(), test_status = 'success' WHERE id = 'iss-local'")
            other.commit()
        wait_for(lambda: plane.value("SELECT count(*) FROM tasks WHERE dedupe_key = 'ca_init:iss-local'") == 1, 20, "the ask")
        # Its own test is still to be made, and it fails.
        good = plane.value("SELECT encode(key_sealed, 'hex') FROM ca_keys WHERE issuer_id = 'iss-local'")
        plane.plant("UPDATE ca_keys SET key_sealed = set_byte(key_sealed, length(key_sealed) - 1, get_byte(key_sealed, length(key_sealed) - 1) # 1) "
                    "WHERE issuer_id = 'iss-local'")
    finally:
        worker.signal(signal.SIGCONT)
    status, reply, _ = asking.end()
    plane.plant("UPDATE ca_keys SET key_sealed = decode(%s, 'hex') WHERE issuer_id = 'iss-local'", good)
    assert status == 422 and "does not open" in reply["message"], reply
    assert ask(plane, "issuer", "iss-local")[0] == 200


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
