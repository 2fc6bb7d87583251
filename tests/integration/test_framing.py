"""
Requests as bytes: what the API accepts has one reading, all else is answered
in the contract's form and ends the connection, and what comes behind it on
the same connection is never run.
"""
import contextlib
import json
import socket
import time
from types import SimpleNamespace

import pytest

from fleet import API_KEY, wait_for
from rawtls import RawTls, ask, check_error

HOST = "Host: localhost\r\n"
AUTH = f"Authorization: Bearer {API_KEY}\r\n"
ASK = "GET /api/v1/auth/check HTTP/1.1\r\n" + HOST + AUTH
TEAMS = "GET /api/v1/teams HTTP/1.1\r\n" + HOST + AUTH + "\r\n"
TEAM = '{"id":"t-%s","name":"%s"}'


def post(path, fields, body):
    return f"POST {path} HTTP/1.1\r\n{HOST}{AUTH}Content-Type: application/json\r\n{fields}\r\n{body}"


def plain(body, path="/api/v1/teams"):
    return post(path, f"Content-Length: {len(body)}\r\n", body)


def teams(stack, name):
    return stack.value("SELECT count(*) FROM teams WHERE name = %s", name)


# Each of these is a body whose length two readers may see differently.
SMUGGLING = {
    "length, blank before the colon": "Content-Length : {n}\r\n",
    "length with a sign": "Content-Length: +{n}\r\n",
    "length in hexadecimal": "Content-Length: 0x{n}\r\n",
    "two lengths": "Content-Length: {n}\r\nContent-Length: {n}\r\n",
    "a list of lengths": "Content-Length: {n}, {n}\r\n",
    "length and coding": "Content-Length: {n}\r\nTransfer-Encoding: chunked\r\n",
    "coding, blank before the colon": "Transfer-Encoding : chunked\r\n",
    "coding xchunked": "Transfer-Encoding: xchunked\r\n",
    "coding identity": "Transfer-Encoding: identity\r\n",
    "coding gzip, chunked": "Transfer-Encoding: gzip, chunked\r\n",
    "coding twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "coding behind a tab": "Transfer-Encoding:\x0bchunked\r\n",
    "a folded length": "X: y\r\n Content-Length: {n}\r\n",
    "a length behind a bare CR": "X: y\rContent-Length: {n}\r\n",
    "a length behind a bare LF": "X: y\nContent-Length: {n}\r\n",
}


@pytest.mark.parametrize("kind", SMUGGLING)
def test_nothing_is_smuggled(stack, unique, kind):
    name = unique("smuggled")
    hidden = plain(TEAM % (name, name))
    with RawTls(stack) as c:
        c.send(post("/api/v1/teams", SMUGGLING[kind].format(n=len(hidden)), hidden))
        reply = c.reply()
        assert reply[0] in (400, 501)
        check_error(reply, reply[0])
        assert reply[1]["connection"] == "close"
        assert c.ends()
    assert teams(stack, name) == 0


CHUNKS = {
    "size 0x2": "0x2\r\n{}\r\n0\r\n\r\n",
    "size +2": "+2\r\n{}\r\n0\r\n\r\n",
    "size with a blank before it": " 2\r\n{}\r\n0\r\n\r\n",
    "a negative size": "-2\r\n{}\r\n0\r\n\r\n",
    "no size": "\r\n{}\r\n0\r\n\r\n",
    "a bare LF": "2\n{}\n0\n\n",
    "data longer than its size": "2\r\n{}x\r\n0\r\n\r\n",
    "an extension without a name": "2;\r\n{}\r\n0\r\n\r\n",
    "a trailer with a blank before its colon": "0\r\nA : b\r\n\r\n",
}


@pytest.mark.parametrize("kind", CHUNKS)
def test_bad_chunks(stack, unique, kind):
    name = unique("chunked")
    hidden = plain(TEAM % (name, name))
    with RawTls(stack) as c:
        c.send(post("/api/v1/teams", "Transfer-Encoding: chunked\r\n", CHUNKS[kind] + hidden))
        check_error(c.reply(), 400)
        assert c.ends()
    assert teams(stack, name) == 0


HEADS = {
    "no Host": ("GET /health HTTP/1.1\r\n\r\n", 400),
    "two Hosts": ("GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "a Host that is none": ("GET /health HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "a Host with a port that is none": ("GET /health HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400),
    "a Host with a user": ("GET /health HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "a Host that is a mistyped address": ("GET /health HTTP/1.1\r\nHost: 256.1.1.1\r\n\r\n", 400),
    "a target of another host": ("GET https://a/health HTTP/1.1\r\nHost: b\r\n\r\n", 400),
    "HTTP/0.9": ("GET /health HTTP/0.9\r\n" + HOST + "\r\n", 505),
    "HTTP/1.2": ("GET /health HTTP/1.2\r\n" + HOST + "\r\n", 505),
    "HTTP/2.0": ("GET /health HTTP/2.0\r\n" + HOST + "\r\n", 505),
    "HTTP/-1.1": ("GET /health HTTP/-1.1\r\n" + HOST + "\r\n", 400),
    "no version": ("GET /health\r\n\r\n", 400),
    "NUL in a value": (f"GET /api/v1/auth/check HTTP/1.1\r\n{HOST}Authorization: Bearer {API_KEY}\0x\r\n\r\n", 400),
    "two credentials": (ASK + AUTH + "\r\n", 400),
    "a target with a blank": ("GET /hea lth HTTP/1.1\r\n" + HOST + "\r\n", 400),
    "a long target": ("GET /" + 9000 * "a" + " HTTP/1.1\r\n" + HOST + "\r\n", 414),
    "an endless target": ("GET /" + 20000 * "a", 414),
    "large headers": ("GET /health HTTP/1.1\r\n" + HOST + "A: " + 20000 * "a" + "\r\n\r\n", 431),
    "many headers": ("GET /health HTTP/1.1\r\n" + HOST + 100 * "A: b\r\n" + "\r\n", 431),
    "an unknown expectation": ("GET /health HTTP/1.1\r\n" + HOST + "Expect: x\r\n\r\n", 417),
    "bytes that are no HTTP": ("\x16\x03\x01\r\n\r\n", 400),
}


@pytest.mark.parametrize("kind", HEADS)
def test_bad_heads(stack, kind):
    data, status = HEADS[kind]
    with RawTls(stack) as c:
        c.send(data)
        reply = c.reply()
        check_error(reply, status)
        assert reply[1]["connection"] == "close"
        assert c.ends()


def test_a_legal_chunked_body(stack, unique):
    name = unique("team")
    body = TEAM % (name, name)
    pieces = f"1;a=b;c=\"d ; e\"\r\n{body[:1]}\r\n00{len(body) - 1:x} ;x\r\n{body[1:]}\r\n0;last\r\nTrailer: dropped\r\n\r\n"
    with RawTls(stack) as c:
        c.send(post("/api/v1/teams", "Transfer-Encoding: chunked\r\n", pieces))
        assert c.reply()[0] == 201
        c.send(ASK + "\r\n")
        assert c.reply()[0] == 200
    assert teams(stack, name) == 1


def test_the_same_byte_by_byte(stack, unique):
    name = unique("team")
    body = TEAM % (name, name)
    with RawTls(stack) as c:
        for byte in post("/api/v1/teams", "Transfer-Encoding: chunked\r\n", f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"):
            c.send(byte)
        assert c.reply()[0] == 201
    assert teams(stack, name) == 1


def test_requests_sent_ahead_are_answered_in_order(stack, unique):
    names = [unique("team") for _ in range(20)]
    with RawTls(stack) as c:
        c.send("".join(plain(TEAM % (n, n)) + ASK + "\r\n" for n in names))
        for name in names:
            status, _, body = c.reply()
            assert status == 201 and json.loads(body)["name"] == name
            assert c.reply()[0] == 200


def test_more_is_sent_ahead_than_is_read_ahead(stack):
    """Reading stops inside of a TLS record, and goes on without another byte from the socket."""
    n = 400
    with RawTls(stack) as c:
        c.send((ASK + "\r\n") * n)
        assert [c.reply()[0] for _ in range(n)] == [200] * n


HALVES = ["FIN", "close_notify", "close_notify and FIN"]


@contextlib.contextmanager
def held_up(stack, c, at_once=False):
    """c asks what waits for a lock, which is let go at the end."""
    with stack.connect() as held, held.cursor() as cursor:
        cursor.execute("LOCK TABLE teams IN ACCESS EXCLUSIVE MODE")
        c.send(TEAMS)
        if not at_once:
            wait_for(lambda: waiting(stack) == 1, 10, "the request to wait")
        yield
        held.rollback()


def waiting(stack):
    return stack.value("SELECT count(*) FROM pg_locks WHERE NOT granted")


@pytest.mark.parametrize("how", HALVES)
def test_a_client_that_ends_its_side_is_answered(stack, how):
    with RawTls(stack, 15) as c:
        c.send(ASK + "\r\n")
        c.end_side(how)
        assert c.reply()[0] == 200
        assert c.ends()


@pytest.mark.parametrize("how", HALVES)
def test_a_client_that_ended_its_side_is_waited_for(stack, how):
    with RawTls(stack, 15) as c:
        with held_up(stack, c):
            c.end_side(how)
            end = time.monotonic() + 1  # several looks at whether it left
            while time.monotonic() < end:
                assert waiting(stack) == 1
        status, headers, _ = c.reply()
        assert status == 200 and headers["connection"] == "close"
        assert c.ends()


@pytest.mark.parametrize("how", HALVES)
def test_what_was_sent_ahead_of_an_end_is_answered(stack, unique, how):
    names = [unique("team") for _ in range(40)]
    with RawTls(stack, 15) as c:
        c.send("".join(plain(TEAM % (n, n)) for n in names) + ASK)
        c.end_side(how)
        assert [c.reply()[0] for _ in names] == [201] * len(names)
        assert c.ends()


@pytest.mark.parametrize("how", HALVES)
@pytest.mark.parametrize("cut", ["length", "chunked", "expected"])
def test_a_request_that_ends_early_is_not_run(stack, unique, how, cut):
    name = unique("team")
    body = TEAM % (name, name)
    fields, sent = {"length": (f"Content-Length: {len(body) + 1}\r\n", body),
                    "chunked": ("Transfer-Encoding: chunked\r\n", f"{len(body):x}\r\n{body}\r\n"),
                    "expected": (f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n", "")}[cut]
    with RawTls(stack, 15) as c:
        c.send(post("/api/v1/teams", fields, sent))
        c.end_side(how)
        while c.receive():
            pass
        assert c.rest == b"" or c.rest.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 100 "))
    assert teams(stack, name) == 0


@pytest.fixture
def telling(stack):
    """A process that tells of each request."""
    stack.start_apiserver(2, CERTCTL_LOG_LEVEL="debug")
    process = stack.processes["apiserver-2"]
    yield SimpleNamespace(dir=stack.dir, api_port=stack.apis["apiserver-2"].port, log=process.log)
    assert process.stop() == 0


@pytest.mark.parametrize("how", ["", "close_notify", "close_notify, and reads what was sent to find out"])
@pytest.mark.parametrize("at_once", [False, True])
def test_a_client_that_leaves_is_gone(stack, telling, how, at_once):
    """Held up in its statement, the request ends with its client, long before the statement's time is up."""
    before = telling.log().count("client gone")
    with RawTls(telling, 15) as c, held_up(stack, c, at_once):
        began = time.monotonic()
        c.end_side(how)
        if "reads" in how:
            assert socket.socket.recv(c.tls, 4096)
        c.close()
        wait_for(lambda: telling.log().count("client gone") > before, 30, "the request to end")
        assert time.monotonic() - began < 10
    assert ask(telling, ASK + "\r\n")[0] == 200


def test_what_stands_behind_a_close_is_not_run(stack, unique):
    name = unique("team")
    with RawTls(stack) as c:
        c.send(ASK + "Connection: close\r\n\r\n" + plain(TEAM % (name, name)))
        status, headers, _ = c.reply()
        assert status == 200 and headers["connection"] == "close"
        assert c.ends()
    assert teams(stack, name) == 0


@pytest.mark.parametrize("refused", ["POST /api/v1/teams", "POST /no/such/path", "TRACE /api/v1/teams", "POST /health"])
@pytest.mark.parametrize("framing", ["length", "chunked", "length, all but a byte"])
def test_the_body_of_a_refused_request_is_not_run(stack, unique, refused, framing):
    """It looks like a request of somebody who may; only what stands behind it is one."""
    name = unique("hidden")
    hidden = plain(TEAM % (name, name))
    fields, body = f"Content-Length: {len(hidden)}\r\n", hidden
    if framing == "chunked":
        fields, body = "Transfer-Encoding: chunked\r\n", f"{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n"
    if framing == "length, all but a byte":
        fields = f"Content-Length: {len(hidden) + 1}\r\n"
    with RawTls(stack) as c:
        c.send(f"{refused} HTTP/1.1\r\n{HOST}{fields}\r\n{body}")
        status, headers, _ = c.reply()
        assert status in (401, 404, 405, 413)
        if headers.get("connection") == "close":
            assert c.ends()
        else:
            assert framing == "length"
            c.send(ASK + "\r\n")
            assert c.reply()[0] == 200
    assert teams(stack, name) == 0


def test_http_1_0_is_answered_and_closed(stack):
    with RawTls(stack) as c:
        c.send("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        status, headers, _ = c.reply()
        assert status == 200 and headers["connection"] == "close"
        assert c.ends()


def test_targets_with_a_host(stack):
    assert ask(stack, f"GET https://localhost:443/health HTTP/1.1\r\n{HOST}\r\n")[0] == 200
    assert ask(stack, "GET https://[::1]:8443/health HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n")[0] == 200
    assert ask(stack, f"GET https://localhost?x=/health HTTP/1.1\r\n{HOST}\r\n")[0] == 404
    assert ask(stack, f"GET https://user@localhost/health HTTP/1.1\r\n{HOST}\r\n")[0] == 400


def test_head_has_no_body(stack):
    with RawTls(stack) as c:
        c.send(f"HEAD /health HTTP/1.1\r\n{HOST}\r\n{ASK}\r\n")
        status, headers, _ = c.reply("HEAD")
        assert status == 405 and int(headers["content-length"]) > 0
        assert c.reply()[0] == 200


def test_a_body_is_asked_for_when_it_may_come(stack, unique):
    name = unique("team")
    body = TEAM % (name, name)
    expect = f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n"
    with RawTls(stack) as c:
        c.send(post("/api/v1/teams", expect, ""))
        assert c.reply()[0] == 100
        c.send(body)
        assert c.reply()[0] == 201
    with RawTls(stack) as c:
        c.send(post("/api/v1/teams", expect, "").replace(API_KEY, "no-such-key"))
        assert c.reply()[0] == 401
        assert c.ends()


def test_answers_are_not_stored(stack):
    status, headers, _ = ask(stack, ASK + "\r\n")
    assert status == 200 and headers["cache-control"] == "no-store"
