"""
A relay for one scheduler's ipc addresses.  Work and events pass byte by byte;
hints are taken as messages (nng's ipc framing: a header of 8 bytes each way,
then 0x01, the length in 8 bytes, the message), and a function decides what
becomes of each.
"""
import contextlib
import json
import os
import socket
import struct
import threading

PULL, PUSH = 0x51, 0x50


def header(protocol):
    return b"\0SP\0" + struct.pack(">HH", protocol, 0)


def hint(body, term=0, kind=1):
    """A frame of the bus with body as its JSON (or these bytes)."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"CB\x01" + bytes([kind]) + struct.pack(">QQI", term, 0, len(data)) + data


def read_exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


class Relay:
    """Listens at path.*, talks to real.*; fate(message) gives the list of messages to pass on."""

    def __init__(self, path, real, fate):
        self.path, self.real, self.fate = path, real, fate
        self.seen = 0
        self.sent = 0
        self.is_closing = False
        self.sockets = []
        for link, serve in ((".hint", self._hints), (".work", self._bytes), (".events", self._bytes)):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path + link)
            listener.listen(16)
            self.sockets.append(listener)
            threading.Thread(target=self._accept, args=(listener, link, serve), daemon=True).start()

    def _accept(self, listener, link, serve):
        while not self.is_closing:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX)
            try:
                upstream.connect(self.real + link)
            except OSError:
                client.close()
                upstream.close()
                continue
            self.sockets += [client, upstream]
            threading.Thread(target=self._serve, args=(serve, client, upstream), daemon=True).start()

    @staticmethod
    def _serve(serve, client, upstream):
        with client, upstream, contextlib.suppress(OSError, EOFError):
            serve(client, upstream)

    @staticmethod
    def _copy(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def _bytes(self, client, upstream):
        back = threading.Thread(target=self._copy, args=(upstream, client), daemon=True)
        back.start()
        self._copy(client, upstream)
        back.join()

    def _hints(self, client, upstream):
        client.sendall(header(PULL))
        upstream.sendall(header(PUSH))
        read_exactly(client, 8)
        read_exactly(upstream, 8)
        while True:
            kind, length = struct.unpack(">BQ", read_exactly(client, 9))
            message = read_exactly(client, length)
            self.seen += 1
            for m in self.fate(message):
                upstream.sendall(struct.pack(">BQ", kind, len(m)) + m)
                self.sent += 1

    def close(self):
        self.is_closing = True
        for s in self.sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
        for link in (".hint", ".work", ".events"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path + link)
