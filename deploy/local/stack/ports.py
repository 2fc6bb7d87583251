"""Free ports, and the names of those who hold the others."""
import os
import socket
from pathlib import Path


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


def choose(wanted, taken=()):
    """The wanted port, or the next free one; and who held the wanted one."""
    if wanted not in taken and is_free(wanted):
        return wanted, None
    port = wanted + 1
    while port in taken or not is_free(port):
        port += 1
    return port, holder(wanted)
