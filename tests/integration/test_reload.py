"""
The server's certificate is exchanged while it serves: by SIGHUP, and by the
files' change alone.
"""
import http.client
import os
import signal
import ssl
import subprocess

import pytest

from fleet import API_KEY, clean_env, wait_for

WATCHED_S = 30  # it looks every five seconds


def make_pair(directory, stem="new"):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", directory / f"{stem}.key",
                    "-out", directory / f"{stem}.pem"], check=True, capture_output=True, env=clean_env())


def put_in_place(stack, stem="new"):
    for kind in ("pem", "key"):
        os.rename(stack.dir / "tls" / f"{stem}.{kind}", stack.dir / "tls" / f"api.{kind}")


@pytest.fixture
def serial(stack):
    return lambda: stack.served_serial(stack.api_port)


@pytest.fixture
def kept(stack):
    """A connection that was there before, and is asked again after."""
    context = ssl.create_default_context(cafile=str(stack.dir / "tls" / "api.pem"))
    connection = http.client.HTTPSConnection("127.0.0.1", stack.api_port, context=context, timeout=20)

    def ask():
        connection.request("GET", "/api/v1/teams", headers={"Authorization": f"Bearer {API_KEY}"})
        response = connection.getresponse()
        response.read()
        return response.status
    assert ask() == 200
    yield ask
    connection.close()


def test_hangup_exchanges_the_pair(stack, serial, kept):
    before = serial()
    make_pair(stack.dir / "tls")
    put_in_place(stack)
    stack.processes["apiserver"].signal(signal.SIGHUP)
    wait_for(lambda: serial() not in (None, before), 10, "the new certificate")
    assert kept() == 200
    assert "code=TLS-RELOADED" in stack.processes["apiserver"].log()
    assert stack.processes["apiserver"].starts == 1


def test_a_bad_pair_is_told_and_changes_nothing(stack, serial, kept):
    before = serial()
    make_pair(stack.dir / "tls", "other")
    os.rename(stack.dir / "tls" / "api.key", stack.dir / "tls" / "good.key")
    os.rename(stack.dir / "tls" / "other.key", stack.dir / "tls" / "api.key")
    stack.processes["apiserver"].signal(signal.SIGHUP)
    wait_for(lambda: "code=TLS-RELOAD-FAILED" in stack.processes["apiserver"].log(), 10, "a word in the log")
    assert serial() == before and kept() == 200
    os.rename(stack.dir / "tls" / "good.key", stack.dir / "tls" / "api.key")


def test_a_change_is_seen_without_a_signal(stack, serial, kept):
    before = serial()
    make_pair(stack.dir / "tls")
    put_in_place(stack)
    wait_for(lambda: serial() not in (None, before), WATCHED_S, "the new certificate", every=0.1)
    assert kept() == 200
