"""
An agent without a control plane: a server of the test's own that answers as it
likes, and starts that are refused before any server is asked.
"""
import os
import subprocess
import time

import pytest

from fleet import BUILD, clean_env, free_port, wait_for
from odd_server import odd_servers

ITEM = {"id": "job-1", "type": "Issuance", "status": "AwaitingCSR", "certificate_id": "mc-1", "common_name": "a.test",
        "sans": ["a.test"]}


@pytest.fixture
def serve(fleet):
    """serve(answer): answer(method, path) is (status, body); the list of what was asked."""
    with odd_servers(fleet) as servers:
        yield servers.serve


def work(status, body):
    def answer(method, path):
        if path == "/api/v1/agents":
            return 201, {"id": "a-1"}
        if "/work" in path:
            return status, body
        return (202, {}) if path.endswith("/csr") else (200, {})
    return answer


@pytest.mark.parametrize("status, body", [
    (200, {"jobs": []}), (200, {"jobs": [ITEM]}), (401, {}), (500, {}),
])
def test_server_that_answers_at_once_is_not_asked_without_end(fleet, serve, status, body):
    asked = serve(work(status, body))
    agent = fleet.start_agent(wait=False, CERTCTL_AGENT_HEARTBEAT_INTERVAL="1s")
    wait_for(lambda: any("/work" in path for _, path in asked), 10, "the first question")
    began = time.monotonic()
    time.sleep(2.5)
    wait_for(lambda: sum("/work" in path for _, path in asked) >= 2, 10, "the second question")
    asked_now, spans = list(asked), (time.monotonic() - began) / 2.5
    assert agent.popen.poll() is None
    assert sum("/work" in path for _, path in asked_now) <= 12 * spans
    assert len(asked_now) <= 24 * spans
    assert agent.stop() == 0


def test_server_that_is_away_is_not_tried_without_end(fleet, serve):
    serve(work(200, {"jobs": []}))
    fleet.api_port = free_port()
    agent = fleet.start_agent(wait=False)
    wait_for(lambda: "code=REGISTER-RETRY" in agent.log(), 10, "the failure in its log")
    began = time.monotonic()
    time.sleep(2)
    wait_for(lambda: agent.log().count("code=REGISTER-RETRY") >= 2, 10, "the second failure")
    assert agent.log().count("code=REGISTER-RETRY") <= 6 * (time.monotonic() - began) / 2
    assert agent.stop() == 0


def test_missing_bootstrap_token_is_told(fleet, serve):
    asked = serve(lambda method, path: (401, {"error": "invalid_or_missing_bootstrap_token"}))
    agent = fleet.start_agent(wait=False, CERTCTL_AGENT_BOOTSTRAP_TOKEN="")
    assert agent.wait_end() == 1
    assert "code=REGISTER-REFUSED" in agent.log() and "set CERTCTL_AGENT_BOOTSTRAP_TOKEN" in agent.log()
    assert "not registered yet" in agent.log()
    assert asked == [("POST", "/api/v1/agents")]


def test_server_that_is_none_is_told(fleet, serve):
    serve(lambda method, path: (200, b"<html>It works</html>"))
    agent = fleet.start_agent(wait=False)
    assert agent.wait_end() == 1
    assert "answered 200 without an id" in agent.log() and "CERTCTL_SERVER_URL" in agent.log()


# --- --check-config ---

@pytest.fixture
def check(fleet):
    """check(**env): the finished certctl-agent --check-config."""
    def run(*arguments, **env):
        usual = {"CERTCTL_AGENT_STATE_DIR": str(fleet.dir / "state"), "CERTCTL_KEY_DIR": str(fleet.dir / "state" / "keys")}
        return subprocess.run([BUILD / "agent" / "certctl-agent", "--check-config", *arguments], text=True, capture_output=True,
                              timeout=20, check=False, env=clean_env() | usual | {k: str(v) for k, v in env.items()})
    return run


def test_check_config_makes_nothing(fleet, check):
    done = check()
    assert (done.returncode, done.stdout) == (0, "certctl-agent: the configuration is good\n"), done.stderr
    assert not (fleet.dir / "state").exists()


@pytest.mark.parametrize("program", ["apiserver", "scheduler", "worker", "agent"])
def test_check_config_names_what_nobody_reads(program):
    env = clean_env() | {"CERTCTL_TYPO": "1", "CERTCTL_FAULT_FILE": "/f", "CERTCTL_LOG_LEVEL": "info", "CERTCTL_LOG_LEVEL_FILE": "/f", "CERTCTL_API_KEY_FILES": "/f"}
    done = subprocess.run([BUILD / program / f"certctl-{program}", "--check-config"], text=True, capture_output=True, timeout=20,
                          check=False, env=env)
    named = [line for line in done.stderr.splitlines() if "means nothing" in line]
    assert sorted(named) == [f"configuration: CERTCTL_{name} means nothing to certctl-{program}, nor to any other program{hint}"
                             for name, hint in (("API_KEY_FILES", "; did you mean CERTCTL_API_KEY_FILE?"), ("LOG_LEVEL_FILE", ""), ("TYPO", ""))]


def test_a_mistyped_name_is_no_good_configuration(check):
    """Another program's variable is told of and no mistake."""
    done = check(CERTCTL_WORKER_SLOTS=8)
    assert done.returncode == 0 and "CERTCTL_WORKER_SLOTS means nothing to certctl-agent; it is for certctl-worker" in done.stderr
    done = check(CERTCTL_AGENT_PARALEL=8)
    assert done.returncode == 3 and "is good" not in done.stdout and "did you mean CERTCTL_AGENT_PARALLEL?" in done.stderr
    done = check(CERTCTL_AGENT_PARALEL=8, CERTCTL_SERVER_URL="http://localhost")
    assert done.returncode == 1


@pytest.mark.parametrize("env, words", [
    ({"CERTCTL_SERVER_URL": "http://localhost"}, "https://"),
    ({"CERTCTL_AGENT_TARGET_DIRS": "etc"}, "CERTCTL_AGENT_TARGET_DIRS"),
    ({"CERTCTL_AGENT_COMMANDS": "nginx"}, "CERTCTL_AGENT_COMMANDS"),
    ({"CERTCTL_AGENT_ID": "a-1"}, "CERTCTL_API_KEY is empty"),
    ({"CERTCTL_API_KEY": "k"}, "CERTCTL_AGENT_ID is empty"),
    ({"CERTCTL_SERVER_CA_BUNDLE_PATH": "/no/such/file"}, "CERTCTL_SERVER_CA_BUNDLE_PATH"),
    ({"CERTCTL_SERVER_CA_BUNDLE_PATH": "/etc/passwd"}, "CERTCTL_SERVER_CA_BUNDLE_PATH"),
    ({"CERTCTL_AGENT_STATE_DIR": "/etc"}, "/etc has mode 0755" if os.getuid() == 0 else "/etc belongs to user 0"),
    ({"CERTCTL_KEY_DIR": "/etc/passwd"}, "no directory"),
    ({"CERTCTL_AGENT_PARALLEL": "0"}, "CERTCTL_AGENT_PARALLEL"),
])
def test_check_config_says_what_a_start_would(check, env, words):
    done = check(**env)
    assert done.returncode == 1 and "is good" not in done.stdout
    assert words in done.stderr + done.stdout


def test_check_config_tells_every_mistake(check):
    done = check(CERTCTL_SERVER_URL="http://localhost", CERTCTL_AGENT_COMMANDS="nginx", CERTCTL_KEY_DIR="/etc/passwd")
    words = done.stderr + done.stdout
    assert "https://" in words and "CERTCTL_AGENT_COMMANDS" in words and "/etc/passwd" in words


def test_unknown_options_are_refused(check):
    done = check("--odd")
    assert done.returncode == 2 and "--odd" in done.stderr
