"""Free ports, and the names of those who hold the others."""
import os
import socket
from pathlib import Path

from .ui import StepFailed

TRIES = 1000


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            s.listen(1)
        except OSError:
            return False
    return True


def holder(port):
    """'nginx (pid 123)', or 'another process' when it can't be seen."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for fd in (process / "fd").iterdir():
                if os.readlink(fd) in inodes:
                    return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue
    return "another process"


def _reserve(port):
    """
    Held until this process ends, by when its server listens: of two `make up`
    at the same time one finds the port reserved.  None: somebody has it.
    """
    s = socket.socket(socket.AF_UNIX)
    try:
        s.bind(f"\0certctl-port-{port}")
    except OSError:
        s.close()
        return None
    return s


_reserved = []


def choose(wanted, taken=()):
    """The wanted port, or the next free one; and who held the wanted one."""
    who = None
    for port in range(wanted, min(wanted + TRIES, 65536)):
        # Reserved before it is looked at: who had it before listens by now.
        reservation = _reserve(port) if port not in taken else None
        if reservation and is_free(port):
            _reserved.append(reservation)
            return port, who
        if reservation:
            reservation.close()
        if port == wanted:
            who = holder(wanted) if not is_free(wanted) else "another run"
    raise StepFailed(f"no port from {wanted} on is free", "`ss -ltnp` shows who has them")
