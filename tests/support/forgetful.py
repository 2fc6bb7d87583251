"""
A pooler that keeps a session and forgets what it was told: behind the first transaction of
each, RESET ALL is done on the server, as between clients.  Only PostgreSQL's protocol (its
chapter 55) on a unix socket, without TLS; PgBouncer does this with a pool of one session.
"""
import socket
import struct
import threading

from relay import read_exactly

RESET = b"Q" + struct.pack(">I", 4 + 10) + b"RESET ALL\0"


def message(s, has_type=True):
    """One message, whole; the first of a client has no type."""
    head = read_exactly(s, 5 if has_type else 4)
    return head + read_exactly(s, struct.unpack(">I", head[-4:])[0] - 4)


class Forgetful:
    def __init__(self, directory, real, port=6432):
        self.real, self.sockets = f"{real}/.s.PGSQL.5432", []
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
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client, server):
        """Each Sync is followed through to its end, so that what comes between is in order."""
        try:
            server.sendall(message(client, has_type=False))
            self._answer(server, client)
            is_first = True
            while True:
                asked = message(client)
                server.sendall(asked)
                if asked[:1] not in b"SQ":
                    continue
                self._answer(server, client)
                if is_first:
                    server.sendall(RESET)
                    self._answer(server, None)
                is_first = False
        except (EOFError, OSError):
            for s in (client, server):
                s.close()

    @staticmethod
    def _answer(server, client):
        """All up to ReadyForQuery; for nobody without a client."""
        said = b""
        while said[:1] != b"Z":
            said = message(server)
            if client:
                client.sendall(said)

    def close(self):
        for s in self.sockets:
            s.close()
