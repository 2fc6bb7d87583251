"""
TLS records as the API gets and sends them: many in one segment, of which no epoll tells after the first, and answers that
their reader does not take.
"""
import socket
import ssl
from pathlib import Path

import pytest

from fleet import API_KEY, wait_for
from rawtls import RawTls

FIELDS = f"Host: localhost\r\nAuthorization: Bearer {API_KEY}\r\n"
ASK = f"GET /api/v1/auth/check HTTP/1.1\r\n{FIELDS}\r\n"
TEAM = '{"id":"t-%s","name":"%s"}'
ROWS = 400


class Held(RawTls):
    """A connection whose records wait until they are sent together."""

    def __init__(self, fleet):
        context = ssl.create_default_context(cafile=str(fleet.dir / "tls" / "api.pem"))
        self.raw = socket.create_connection(("127.0.0.1", fleet.api_port), timeout=10)
        self.came, self.goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.came, self.goes, server_hostname="localhost")
        self.rest = b""
        while not self.has_shaken():
            self.flush()
            self.came.write(self.raw.recv(65536))

    def has_shaken(self):
        """The end of the handshake waits, too."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def hold(self, text):
        self.tls.write(text.encode())

    def flush(self):
        self.raw.sendall(self.goes.read())

    def receive(self):
        data = self.raw.recv(65536)
        self.came.write(data)
        while True:
            try:
                self.rest += self.tls.read(65536)
            except ssl.SSLWantReadError:
                return bool(data)

    def close(self):
        self.raw.close()


def test_a_request_comes_with_the_end_of_the_handshake(stack):
    with Held(stack) as c:
        c.hold(ASK)
        c.flush()
        assert c.reply()[0] == 200


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_request_in_many_records_at_once(stack, unique, size):
    name = unique("team")
    body = TEAM % (name, name)
    request = f"POST /api/v1/teams HTTP/1.1\r\n{FIELDS}Content-Length: {len(body)}\r\n\r\n{body}"
    with Held(stack) as c:
        for at in range(0, len(request), size):
            c.hold(request[at:at + size])
        c.flush()
        assert c.reply()[0] == 201
        for _ in range(3):  # and the connection goes on
            c.hold(ASK)
        c.flush()
        assert [c.reply()[0] for _ in range(3)] == [200] * 3


def test_a_record_in_two_segments(stack):
    """The second record has begun when the first is read."""
    with Held(stack) as c:
        c.flush()
        c.hold(ASK)
        c.hold(ASK)
        both = c.goes.read()
        c.raw.sendall(both[:-20])
        assert c.reply()[0] == 200
        c.raw.sendall(both[-20:])
        assert c.reply()[0] == 200


@pytest.fixture(scope="module")
def many(stack):
    """A list of some hundred kilobytes."""
    stack.make_basics()
    stack.query("""
        INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id, status,
            expires_at, valid_from)
        SELECT 'mc-records-' || i, 'records-' || i, 'records.example.test', ARRAY['records.example.test'], 'o-test', 't-test',
            'iss-local', 'rp-default', 'Active', now() + interval '80 days', now() FROM generate_series(1, %s) i""", ROWS)
    yield f"/api/v1/certificates?per_page={ROWS}&team_id=t-test"
    stack.query("DELETE FROM managed_certificates WHERE id LIKE 'mc-records-%%'")


def unread(fleet, c):
    """Bytes that the kernel holds for the client."""
    ours = f":{c.tls.getsockname()[1]:04X} "
    server = f":{fleet.api_port:04X} "
    for line in Path("/proc/net/tcp").read_text().splitlines():
        words = line.split()
        if server in words[1] + " " and ours in words[2] + " ":
            return int(words[4].split(":")[0], 16)
    return 0


def is_stuck(fleet, c, seen):
    """Whether no more goes out, since the kernel takes no more."""
    seen.append(unread(fleet, c))
    return len(seen) > 10 and seen[-1] > 0 and len(set(seen[-10:])) == 1


@pytest.mark.parametrize("fresh", ["", "Cache-Control: no-cache\r\n"], ids=["kept", "asked for"])
def test_answers_that_wait_for_their_reader(stack, many, fresh):
    """More than the kernel holds: what stands behind the first of them comes out of memory, later, and whole."""
    n = 60
    request = f"GET {many} HTTP/1.1\r\n{FIELDS}{fresh}\r\n"
    with RawTls(stack, 30) as c:
        c.tls.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        c.send(request)
        status, headers, whole = c.reply()
        assert status == 200 and len(whole) > 100_000
        c.send(request * n)
        seen = []
        wait_for(lambda: is_stuck(stack, c, seen), 30, "the kernel to be full")
        # A new answer takes the place of the one that waits.
        stack.query("UPDATE managed_certificates SET environment = 'records' WHERE id = 'mc-records-1'")
        found = [c.reply() for _ in range(n)]
    assert {status for status, _, _ in found} == {200}
    assert {len(body) for _, _, body in found} <= {len(whole), len(whole) + len("records")}
    assert found[0][2] == whole or b'"environment":"records"' in found[0][2]
    assert all(body.startswith(b'{"data":[') and body.endswith(b"}\n") for _, _, body in found)
