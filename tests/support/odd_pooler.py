"""
Poolers that misbehave, each session in its own way.  Only PostgreSQL's protocol (its
chapter 55) on a unix socket, without TLS.
"""
import socket
import struct
import threading

from relay import read_exactly

DIES = b"'idle_session_timeout', '50'"


def query(text):
    return b"Q" + struct.pack(">I", 4 + len(text) + 1) + text.encode() + b"\0"


def message(s, has_type=True):
    """One message, whole; the first of a client has no type."""
    head = read_exactly(s, 5 if has_type else 4)
    return head + read_exactly(s, struct.unpack(">I", head[-4:])[0] - 4)


class Relay:
    """One session of the server for each of a client."""

    def __init__(self, directory, real, port=6432):
        self.real, self.sockets, self.sessions = f"{real}/.s.PGSQL.5432", [], 0
        directory.mkdir()
        self.dir, self.port = directory, port
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{directory}/.s.PGSQL.{port}")
        (directory / f".s.PGSQL.{port}").chmod(0o777)
        self.listener.listen(16)
        self.sockets.append(self.listener)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.real)
            except OSError:
                return
            self.sockets += [client, server]
            self.sessions += 1
            threading.Thread(target=self._serve, args=(client, server, self.sessions), daemon=True).start()

    def _serve(self, client, server, nth):
        """Each Sync is followed through to its end, so that what comes between is in order."""
        try:
            server.sendall(message(client, has_type=False))
            client.sendall(self.answer(server))
            self.begin(server, nth)
            is_first, asked = True, b""
            while True:
                part = message(client)
                server.sendall(part)
                asked += part
                if part[:1] not in b"SQ":
                    continue
                for said in self.parts(server, nth, asked):
                    client.sendall(said)
                if is_first:
                    self.after_first(server)
                is_first, asked = False, b""
        except (EOFError, OSError):
            for s in (client, server):
                s.close()

    @staticmethod
    def answer(server):
        """All up to ReadyForQuery."""
        said = [message(server)]
        while said[-1][:1] != b"Z":
            said.append(message(server))
        return b"".join(said)

    def begin(self, server, nth):
        """Before the client's first question."""

    def parts(self, server, nth, asked):
        """The answer, as it is handed on."""
        yield self.answer(server)

    def after_first(self, server):
        """Behind the first transaction."""

    def close(self):
        for s in self.sockets:
            s.close()


class Forgetful(Relay):
    """It forgets what it was told: RESET ALL is done as between clients; PgBouncer does this with a pool of one session."""

    def after_first(self, server):
        server.sendall(query("RESET ALL"))
        self.answer(server)


class LeftBehind(Relay):
    """The first sessions have been somebody's, and what is said of their death comes together with what they were asked before."""

    FIRST = 2  # a program looks at the schema by one of its own

    def begin(self, server, nth):
        if nth <= self.FIRST:
            server.sendall(query("PREPARE left_over AS SELECT 1"))
            self.answer(server)

    def parts(self, server, nth, asked):
        said = self.answer(server)
        if DIES not in asked:
            yield said
            return
        if nth > self.FIRST:
            yield said
            said = b""
        yield said + message(server)
        raise EOFError
