"""
The keys that the environment names: weak ones are refused, and files of them
are read again on SIGHUP.
"""
import signal
import subprocess

import pytest

from fleet import API_KEY, BOOTSTRAP, BUILD, Api, Fleet, clean_env, wait_for

NEW_KEY = f"new-{API_KEY}"


@pytest.fixture(scope="module")
def stack():
    fleet = Fleet("keys")
    try:
        fleet.start_postgres(keep=True)
        write_keys(fleet, API_KEY)
        fleet.start_apiserver(keep=True, CERTCTL_API_KEYS_NAMED="", CERTCTL_API_KEYS_NAMED_FILE=str(fleet.dir / "api_keys"))
        yield fleet
    finally:
        fleet.close()


def write_keys(fleet, key):
    path = fleet.dir / "api_keys"
    path.touch(mode=0o600)
    path.write_text(f"admin:{key}:admin", encoding="ascii")


def status(stack, key):
    return Api(stack.api_port, stack.dir / "tls" / "api.pem", key).get("/api/v1/auth/check")[0]


def test_a_new_key_is_used_after_sighup_and_the_old_no_more(stack):
    assert (status(stack, API_KEY), status(stack, NEW_KEY)) == (200, 401)
    write_keys(stack, NEW_KEY)
    stack.processes["apiserver"].signal(signal.SIGHUP)
    wait_for(lambda: status(stack, NEW_KEY) == 200, 10, "the new key")
    assert status(stack, API_KEY) == 401
    write_keys(stack, "weak")
    stack.processes["apiserver"].signal(signal.SIGHUP)
    wait_for(lambda: "the old ones stay" in stack.processes["apiserver"].log(), 10, "a word in the log")
    assert status(stack, NEW_KEY) == 200


@pytest.mark.parametrize(("variable", "value"), [
    ("CERTCTL_API_KEYS_NAMED", "admin:short:admin"),
    ("CERTCTL_API_KEYS_NAMED", f"admin:{'k' * 40}:admin"),
    ("CERTCTL_AUTH_SECRET", "0123456789a"),
    ("CERTCTL_AGENT_BOOTSTRAP_TOKEN", "changemechangeme"[:11]),
])
def test_a_weak_key_is_refused(stack, variable, value):
    env = clean_env() | {
        "CERTCTL_DATABASE_URL": "postgres://127.0.0.1:1/none", "CERTCTL_API_KEYS_NAMED": f"admin:{API_KEY}:admin",
        "CERTCTL_AGENT_BOOTSTRAP_TOKEN": BOOTSTRAP, "CERTCTL_SERVER_TLS_CERT_PATH": str(stack.dir / "tls" / "api.pem"),
        "CERTCTL_SERVER_TLS_KEY_PATH": str(stack.dir / "tls" / "api.key")}

    def check(**more):
        return subprocess.run([BUILD / "apiserver" / "certctl-apiserver", "--check-config"], env=env | more, text=True,
                              capture_output=True, timeout=30, check=False)

    assert check().returncode == 0
    done = check(**{variable: value})
    assert done.returncode != 0 and "openssl rand -base64 32" in done.stderr and value not in done.stderr
