"""
Peers of the bus that say whatever they like: nng's framing on ipc:// (a header
of 8 bytes each way, then 0x01, the length in 8 bytes, the message).
"""
import contextlib
import json
import os
import socket
import struct
import threading

from relay import PUSH, header, hint, read_exactly

PUB, REQ, REP = 0x20, 0x30, 0x31
WORK, WORK_REPLY, BEAT, EVENT, HELLO = 2, 3, 4, 5, 6


def packed(message):
    return b"\x01" + struct.pack(">Q", len(message)) + message


def frame(body, kind, term=0):
    return hint(body, term, kind)


def connect(path, protocol):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(str(path))
    s.sendall(header(protocol))
    read_exactly(s, 8)
    return s


class Asker:
    """A connection to a scheduler's link for work; what is answered is read and thrown away."""

    def __init__(self, path):
        self.socket = connect(path, REQ)
        self.asked = 0

    def send(self, message):
        self.asked += 1
        self.socket.sendall(packed(struct.pack(">I", 0x80000000 | self.asked) + message))

    def read(self):
        head = read_exactly(self.socket, 9)
        return read_exactly(self.socket, struct.unpack(">Q", head[1:])[0])

    def close(self):
        self.socket.close()


class Pusher:
    """A connection to a scheduler's link for hints."""

    def __init__(self, path):
        self.socket = connect(path, PUSH)

    def send(self, message):
        self.socket.sendall(packed(message))

    def close(self):
        self.socket.close()


class Scheduler:
    """Listens at path.* as a scheduler: every request is answered at once with
    reply, and beats() is what goes to everybody, without end."""

    def __init__(self, path, reply, beats):
        self.reply, self.beats = reply, beats
        self.is_closing = False
        self.requests = self.sent = 0
        self.sockets = []
        for link, protocol, serve in ((".hint", 0x51, self._drain), (".work", REP, self._answer), (".events", PUB, self._publish)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path + link)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path + link)
            listener.listen(16)
            self.sockets.append(listener)
            threading.Thread(target=self._accept, args=(listener, protocol, serve), daemon=True).start()

    def _accept(self, listener, protocol, serve):
        while not self.is_closing:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            self.sockets.append(s)
            threading.Thread(target=self._serve, args=(s, protocol, serve), daemon=True).start()

    def _serve(self, s, protocol, serve):
        with contextlib.suppress(OSError, EOFError), s:
            s.sendall(header(protocol))
            read_exactly(s, 8)
            serve(s)

    def _drain(self, s):
        while s.recv(65536):
            pass

    def _answer(self, s):
        while True:
            head = read_exactly(s, 9)
            message = read_exactly(s, struct.unpack(">Q", head[1:])[0])
            self.requests += 1
            # A hello's id is 0, which takes a beat.
            is_hello = message[:4] == struct.pack(">I", 0x80000000)
            s.sendall(packed(message[:4] + (self.beats() if is_hello else self.reply())))

    def _publish(self, s):
        while not self.is_closing:
            s.sendall(packed(self.beats()))
            self.sent += 1

    def close(self):
        self.is_closing = True
        for s in self.sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


def leader_beat(term, is_leading=True):
    return frame(json.dumps({"leader": is_leading, "name": "rogue"}).encode(), BEAT, term)
