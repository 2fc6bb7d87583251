"""--check-config of apiserver, scheduler and worker fails where a start would fail, and leaves nothing behind."""
import socket
import subprocess

import pytest

from tests.support.fleet import API_KEY, BOOTSTRAP, BUILD, CA_KEY, clean_env

URL = "postgresql://nobody@127.0.0.1:1/none"


def check(program, env):
    return subprocess.run([BUILD / program / f"certctl-{program}", "--check-config"], env=clean_env() | env, text=True,
                          capture_output=True, timeout=30, cwd="/", check=False)


@pytest.fixture
def good(tmp_path):
    return {
        "apiserver": {
            "CERTCTL_DATABASE_URL": URL, "CERTCTL_API_KEYS_NAMED": f"admin:{API_KEY}:admin", "CERTCTL_AGENT_BOOTSTRAP_TOKEN": BOOTSTRAP,
            "CERTCTL_SERVER_TLS_CERT_PATH": "/nowhere", "CERTCTL_SERVER_TLS_KEY_PATH": "/nowhere"},
        "scheduler": {"CERTCTL_DATABASE_URL": URL, "CERTCTL_BUS_LISTEN_URL": f"ipc://{tmp_path}/bus"},
        "worker": {"CERTCTL_DATABASE_URL": URL, "CERTCTL_BUS_URLS": f"ipc://{tmp_path}/bus", "CERTCTL_CA_ENCRYPTION_KEY": CA_KEY,
                   "CERTCTL_ISSUANCE_JOURNAL_DIR": str(tmp_path)}}


@pytest.mark.parametrize("program", ["scheduler", "worker"])
def test_a_good_one_leaves_nothing(good, program, tmp_path):
    done = check(program, good[program])
    assert done.returncode == 0 and "the configuration is good" in done.stdout, done
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("program, name, value, word", [
    ("scheduler", "CERTCTL_BUS_LISTEN_URL", "nonsense", "nonsense"),
    ("scheduler", "CERTCTL_BUS_LISTEN_URL", "ipc:///nowhere/at/all/bus", "/nowhere/at/all"),
    ("scheduler", "CERTCTL_BUS_LISTEN_URL", "tcp://192.0.2.1:7400", "192.0.2.1"),
    ("scheduler", "CERTCTL_BUS_LISTEN_URL", "tls+tcp://127.0.0.1:7400", "CERTCTL_BUS_"),
    ("worker", "CERTCTL_BUS_URLS", "nonsense", "nonsense"),
    ("worker", "CERTCTL_BUS_URLS", "tcp://192.0.2.1:7400", "192.0.2.1"),
    ("worker", "CERTCTL_BUS_URLS", "tls+tcp://sched:7400", "CERTCTL_BUS_"),
    ("worker", "CERTCTL_ISSUANCE_JOURNAL_DIR", "/nowhere/at/all", "/nowhere/at/all"),
])
def test_what_a_start_would_refuse(good, program, name, value, word):
    done = check(program, good[program] | {name: value})
    assert done.returncode != 0 and word in done.stderr, done
    assert "the configuration is good" not in done.stdout


@pytest.mark.parametrize("token, word", [("", "nobody could sign in"), ("qzx-1", "CERTCTL_BOOTSTRAP_TOKEN"), (BOOTSTRAP, "agents' token"),
                                         (f"first-{API_KEY}", None)])
def test_without_keys_a_good_bootstrap_token_is_enough(good, token, word):
    done = check("apiserver", good["apiserver"] | {"CERTCTL_API_KEYS_NAMED": "", "CERTCTL_BOOTSTRAP_TOKEN": token})
    assert ("AUTH-KEYS" in done.stderr) == (word is not None) and (word or "") in done.stderr, done
    assert not token or token not in done.stderr + done.stdout


@pytest.mark.parametrize("host", ["127.0.0.1:80", "192.0.2.1", "no.such.invalid", "[::1]"])
def test_an_address_that_is_not_ours(good, host):
    done = check("apiserver", good["apiserver"] | {"CERTCTL_SERVER_HOST": host})
    assert done.returncode == 1 and "CERTCTL_SERVER_HOST" in done.stderr and host in done.stderr, done
    assert "CERTCTL_SERVER_HOST" not in check("apiserver", good["apiserver"] | {"CERTCTL_SERVER_HOST": "localhost"}).stderr


def test_a_port_that_the_running_process_has_is_good(good):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert "CERTCTL_SERVER_HOST" not in check("apiserver", good["apiserver"] | {"CERTCTL_SERVER_PORT": port}).stderr


EVERY = {
    "apiserver": ({"CERTCTL_API_KEYS_NAMED": "odd,a:short", "CERTCTL_AUTH_SECRET": "weak", "CERTCTL_AGENT_BOOTSTRAP_TOKEN": "token",
                   "CERTCTL_SERVER_TLS_CERT_PATH": "/no/cert", "CERTCTL_SERVER_TLS_KEY_PATH": "/no/key",
                   "CERTCTL_TRUSTED_PROXIES": "10.0.0.0/99", "CERTCTL_BUS_URLS": "nonsense,tcp://192.0.2.1:7400",
                   "CERTCTL_DATABASE_URL": "postgres://[", "CERTCTL_RATE_LIMIT_RSP": "1"},
                  ["_NAMED, entry 1", "_NAMED, entry 2", "AUTH_SECRET, entry 1", "BOOTSTRAP_TOKEN", "/no/cert", "/no/key", "10.0.0.0/99",
                   "nonsense", "192.0.2.1", "CERTCTL_DATABASE_URL", "did you mean CERTCTL_RATE_LIMIT_RPS?"]),
    "scheduler": ({"CERTCTL_AUDIT_RETENTION": "48h", "CERTCTL_JOB_RETENTION": "72h", "CERTCTL_VERSION_RETENTION": "72h",
                   "CERTCTL_BUS_LISTEN_URL": "nonsense", "CERTCTL_DATABASE_URL": "postgres://["},
                  ["CERTCTL_JOB_RETENTION", "CERTCTL_VERSION_RETENTION", "nonsense", "CERTCTL_DATABASE_URL"]),
    "worker": ({"CERTCTL_ISSUANCE_JOURNAL_DIR": "/nowhere", "CERTCTL_BUS_URLS": "nonsense,tcp://192.0.2.1:7400",
                "CERTCTL_DATABASE_URL": "postgres://["},
               ["/nowhere", "nonsense", "192.0.2.1", "CERTCTL_DATABASE_URL"]),
}


@pytest.mark.parametrize("program", EVERY)
def test_every_mistake_is_told_at_once(good, program):
    bad, words = EVERY[program]
    done = check(program, good[program] | bad)
    assert done.returncode == 1 and not [w for w in words if w not in done.stderr], done.stderr


UNCLEAR = [
    "postgresql://u:S3cr@t3s7@db.invalid/x", "postgresql://u:S3cr/t3s7@db.invalid/x", "postgresql://u:S3cr%t3s7@db.invalid/x",
    "postgresql://u:S3cr@t3s/7@db.invalid/x", "postgresql://u:S3cr#/?t3s7@db.invalid/x", "postgresql://u:S3cr@t3s7@127.0.0.1:1/x",
    "postgresql://db.invalid/x?password=S3cr&t3s7", "postgresql://db.invalid:S3cr/t3s7", "postgre://u:S3cr@t3s7/x",
    "host=db.invalid password=S3cr t3s7", "u:S3cr:t3s7"]


@pytest.mark.parametrize("url", UNCLEAR)
def test_no_part_of_a_password_is_said(good, url):
    """By whatever reads the URL; what a process has it from is read by certctl doctor too (test_doctor.c)."""
    tries = [(program, option) for program in good for option in ("--check-config", None)] + [
        ("apiserver", "--migrate-only"), ("apiserver", "--migrate-down=1")]
    for program, option in tries:
        done = subprocess.run([BUILD / program / f"certctl-{program}"] + ([option] if option else []), text=True, capture_output=True, timeout=30,
                              env=clean_env() | good[program] | {"CERTCTL_DATABASE_URL": url}, cwd="/", check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 1 and "CERTCTL_DATABASE_URL cannot be used: " in said, (program, option, done)
        assert not [part for part in ("S3cr", "t3s7", "t3s") if part in said], said


def test_a_weak_passphrase_is_warned_of(good):
    """It may be what the CA's key lies under; no new one comes under it."""
    done = check("worker", good["worker"] | {"CERTCTL_CA_ENCRYPTION_KEY": "x" * 40})
    assert done.returncode == 0 and "CA-PASSPHRASE" in done.stderr and "openssl rand" in done.stderr
    assert "CA-PASSPHRASE" not in check("worker", good["worker"]).stderr


@pytest.mark.parametrize("name, value", [
    ("CERTCTL_RATE_LIMIT_BACKEND", "postgres"), ("CERTCTL_RATE_LIMIT_JANITOR_INTERVAL", "5m"), ("CERTCTL_RATE_LIMIT_RPS", "0"),
    ("CERTCTL_OCSP_RATE_LIMIT_PER_IP_MIN", "-1"), ("CERTCTL_OCSP_RESPONDER_KEY_DIR", "/var/lib/keys")])
def test_what_nothing_obeys(good, name, value):
    program = "worker" if "RESPONDER" in name else "apiserver"
    done = check(program, good[program] | {name: value})
    assert done.returncode == 1 and f"configuration: {name}" in done.stderr and "is refused" in done.stderr


def test_a_responder_is_not_made_anew_at_once(good):
    done = check("worker", good["worker"] | {"CERTCTL_OCSP_RESPONDER_VALIDITY": "100h"})
    assert done.returncode == 1 and "CERTCTL_OCSP_RESPONDER_ROTATION_GRACE" in done.stderr
    assert check("worker", good["worker"] | {"CERTCTL_OCSP_RESPONDER_VALIDITY": "100h",
                                             "CERTCTL_OCSP_RESPONDER_ROTATION_GRACE": "99h"}).returncode == 0
