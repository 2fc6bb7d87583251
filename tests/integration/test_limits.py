"""
What a client may cost: slow heads and bodies, bodies without a credential,
bodies all at once, many connections, readers that do not read.
"""
import socket
import ssl
import time
from types import SimpleNamespace

import pytest

from fleet import API_KEY, Fleet, wait_for
from memory import MEASURED, rss_kb
from rawtls import RawTls, ask, check_error, trickle

HOST = "Host: localhost\r\n"
AUTH = f"Authorization: Bearer {API_KEY}\r\n"
HEALTH = f"GET /health HTTP/1.1\r\n{HOST}\r\n"
PER_ADDRESS = 300
BODY_MEMORY = 4 << 20
MIB = 1 << 20


@pytest.fixture(scope="module")
def stack():
    fleet = Fleet("limits")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True, CERTCTL_MAX_BODY_MEMORY=str(BODY_MEMORY),
                              CERTCTL_SERVER_MAX_CONNECTIONS_PER_ADDRESS=str(PER_ADDRESS), **MEASURED)
        yield fleet
    finally:
        fleet.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


def post(length, key=API_KEY, path="/api/v1/teams", more=""):
    return f"POST {path} HTTP/1.1\r\n{HOST}Authorization: Bearer {key}\r\nContent-Length: {length}\r\n{more}\r\n"


# --- slow clients ---
@pytest.fixture
def hasty(stack):
    """A process that waits a second for a head and two for a body."""
    stack.start_apiserver(2, CERTCTL_SERVER_HEAD_TIMEOUT="1s", CERTCTL_SERVER_BODY_TIMEOUT="2s")
    yield SimpleNamespace(dir=stack.dir, api_port=stack.apis["apiserver-2"].port)
    assert stack.processes["apiserver-2"].stop() == 0


def test_slow_clients(hasty):
    """Each has its time, which no trickle of bytes makes longer; all wait at once."""
    began = time.monotonic()
    with RawTls(hasty, 20) as half, RawTls(hasty, 20) as drip, RawTls(hasty, 20) as body, \
            socket.create_connection(("127.0.0.1", hasty.api_port), timeout=20) as silent:
        half.send("GET /health HT")
        body.send(post(100) + "{")
        # Byte by byte it would take a minute.
        trickle(drip, HEALTH[:-2].encode() + b"X-Long: " + 600 * b"a", 0.1, 2)
        for c in (half, drip):
            check_error(c.reply(), 408)
            assert c.ends()
        assert silent.recv(1) == b""
        assert time.monotonic() - began > 0.9
        check_error(body.reply(), 408)
        assert time.monotonic() - began > 1.9
        assert body.ends()


def test_a_client_that_leaves_within_its_body(stack):
    for _ in range(20):
        with RawTls(stack) as c:
            c.send(post(1000) + "{")
    assert ask(stack, HEALTH)[0] == 200


# --- bodies ---
@pytest.mark.parametrize("credential", ["", "Authorization: Bearer no-such-key\r\n", "Authorization: Basic x\r\n"])
def test_no_body_is_read_without_a_credential(stack, credential):
    """The answer comes though nothing of the body was sent."""
    with RawTls(stack) as c:
        c.send(f"POST /api/v1/teams HTTP/1.1\r\n{HOST}{credential}Content-Length: 1000\r\n\r\n")
        status, headers, _ = c.reply()
        assert status == 401 and headers["connection"] == "close"
        assert c.ends()


def test_a_short_body_that_came_along_keeps_the_connection(stack):
    with RawTls(stack) as c:
        for _ in range(3):
            c.send(post(2, "no-such-key") + "{}" + HEALTH)
            assert c.reply()[0] == 401
            assert c.reply()[0] == 200


@pytest.mark.parametrize("size", [MIB + 1, 3 * MIB, 20 * MIB])
def test_a_large_body_is_told_so(stack, size):
    """A client that sends all before it reads sees the answer."""
    with RawTls(stack, 30) as c:
        c.send(post(size))
        for _ in range(size // 65536):
            c.send(b"x" * 65536)
        check_error(c.reply(), 413)
        assert c.ends()


def test_a_large_chunked_body_is_told_so(stack):
    with RawTls(stack, 30) as c:
        c.send(f"POST /api/v1/teams HTTP/1.1\r\n{HOST}{AUTH}Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            c.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        check_error(c.reply(), 413)
        assert c.ends()


def test_a_public_route_reads_no_body(stack):
    for size, want in ((1, 200), (4096, 200), (4097, 413)):
        reply = ask(stack, f"GET /health HTTP/1.1\r\n{HOST}Content-Length: {size}\r\n\r\n" + "x" * size)
        assert reply[0] == want


def test_bodies_together_have_a_ceiling(stack):
    """Beyond it 503 with Retry-After; what was admitted goes on."""
    held = [RawTls(stack) for _ in range(BODY_MEMORY // MIB)]
    try:
        for c in held:
            c.send(post(MIB, more="Expect: 100-continue\r\n"))
            assert c.reply()[0] == 100  # it is admitted
            c.send("{")
        status, headers, _ = ask(stack, post(MIB))
        assert status == 503 and headers["retry-after"] == "1"
        assert ask(stack, HEALTH)[0] == 200
        held[0].send(b" " * (MIB - 2) + b"}")
        assert held[0].reply()[0] == 400
        assert ask(stack, post(MIB) + "{" + " " * (MIB - 2) + "}")[0] == 400
    finally:
        for c in held:
            c.close()
    # All is given back when the clients are gone.
    for _ in range(2 * BODY_MEMORY // MIB):
        wait_for(lambda: ask(stack, post(MIB) + "{" + " " * (MIB - 2) + "}")[0] == 400, 20, "room")


def flood(stack, n, head, body):
    """n connections that send, their writes never waited for long."""
    held = []
    for _ in range(n):
        c = RawTls(stack)
        c.send(head)
        c.tls.settimeout(0.02)
        try:
            c.send(body)
        except (TimeoutError, OSError, ssl.SSLError):
            pass
        held.append(c)
    return held


def test_memory_without_and_with_a_credential(stack):
    """200 connections of 1 MiB leave the process as small as it was."""
    pid = stack.processes["apiserver"].pid
    for c in flood(stack, 50, HEALTH, b""):
        c.close()
    before = rss_kb(pid)
    held = flood(stack, 200, post(MIB, "no-such-key"), b"x" * MIB)
    during = rss_kb(pid)
    for c in held:
        c.close()
    assert during - before < 24 * 1024
    held = flood(stack, 200, post(MIB), b"x" * (MIB - 1))
    during = rss_kb(pid)
    for c in held:
        c.close()
    assert during - before < 32 * 1024
    wait_for(lambda: rss_kb(pid) - before < 16 * 1024, 10, "memory to be given back")


# --- connections ---
def test_connections_from_one_address(stack):
    held = [RawTls(stack) for _ in range(PER_ADDRESS)]
    try:
        status, headers, _ = ask(stack, HEALTH)
        assert status == 503 and headers["connection"] == "close" and headers["retry-after"] == "1"
        held[0].send(HEALTH)
        assert held[0].reply()[0] == 200
        # Far beyond the limit there is not even a handshake.
        surplus = [socket.create_connection(("127.0.0.1", stack.api_port), timeout=5) for _ in range(30)]
        ended = 0
        for s in surplus:
            s.settimeout(0.5)
            try:
                ended += s.recv(1) == b""
            except TimeoutError:
                pass
            except ConnectionResetError:
                ended += 1
            s.close()
        assert ended >= 20
    finally:
        for c in held:
            c.close()
    wait_for(lambda: ask(stack, HEALTH)[0] == 200, 10, "the address to be served again")
