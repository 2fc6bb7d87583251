"""
HTTP over TLS byte by byte, for what no HTTP library would send.
"""
import contextlib
import json
import socket
import ssl
import time


class RawTls:
    """One connection to a fleet's apiserver."""

    def __init__(self, fleet, timeout=10):
        context = ssl.create_default_context(cafile=str(fleet.dir / "tls" / "api.pem"))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        raw = socket.create_connection(("127.0.0.1", fleet.api_port), timeout=timeout)
        self.tls = context.wrap_socket(raw, server_hostname="localhost")
        self.rest = b""

    def send(self, data):
        self.tls.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def receive(self):
        """More bytes, or False at the end of the connection."""
        try:
            data = self.tls.recv(65536)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError):
            data = b""
        self.rest += data
        return bool(data)

    def reply(self, method="GET"):
        """(status, headers in small letters, body bytes) of the next reply."""
        while b"\r\n\r\n" not in self.rest:
            assert self.receive(), f"the connection ended after {self.rest!r}"
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        assert lines[0].startswith("HTTP/1.1 "), lines[0]
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        length = int(headers.get("content-length", 0)) if method != "HEAD" else 0
        while len(self.rest) < length:
            assert self.receive(), "the connection ended inside of a body"
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(lines[0].split()[1]), headers, body

    def end_side(self, how):
        """Says that no more will come: by TLS's word for it ("close_notify"), by TCP's ("FIN"), or by both."""
        if "close_notify" in how:
            timeout = self.tls.gettimeout()
            self.tls.settimeout(0)
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.unwrap()
            self.tls.settimeout(timeout)
        if "FIN" in how:
            socket.socket.shutdown(self.tls, socket.SHUT_WR)

    def ends(self):
        """Whether the server says no more and closes."""
        while self.receive():
            pass
        return not self.rest

    def close(self):
        self.tls.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def ask(fleet, data, timeout=10):
    """Sends bytes on a connection of their own: (status, headers, body)."""
    with RawTls(fleet, timeout) as c:
        c.send(data)
        return c.reply()


def check_error(reply, status):
    """An answer in the contract's form that ends its connection."""
    got, headers, body = reply
    assert got == status, reply
    assert headers["content-type"] == "application/json"
    error = json.loads(body)
    assert set(error) == {"error", "message", "request_id"}
    assert error["message"] and error["request_id"] == headers["x-request-id"]
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff" and "strict-transport-security" in headers
    return error


def trickle(connection, data, pause_s, seconds):
    """Sends byte by byte until all is sent, time is up or nobody listens."""
    end = time.monotonic() + seconds
    for i in range(len(data)):
        if time.monotonic() > end:
            return
        try:
            connection.send(data[i:i + 1])
        except OSError:
            return
        time.sleep(pause_s)
