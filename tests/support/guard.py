#!/usr/bin/python3
"""
Leaves nothing of a test behind, however the test ends, SIGKILL included.

    guard = Guard("/tmp/cc-x1")                as the thing is made
    guard.end()                                after it was stopped the decent way

A guard is a process of its own, in a session of its own, that reads a pipe
held by who made it.  When the pipe ends, because end() closed it or because
nobody is left to hold it, the guard ends every process that has the
directory's name in its arguments or environment, and all their descendants,
unmounts what is mounted below the directory, runs the commands it was given,
and removes the directory and the others it was given.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

POSTGRES_S = 5  # an immediate shutdown, which frees what is shared, takes far less
GIVE_UP_S = 20


class Guard:
    """directory, others: removed at the end; commands: lists of arguments, run at the end."""

    def __init__(self, directory, commands=(), others=()):
        what = json.dumps({"directory": str(directory), "others": [str(o) for o in others], "owner": os.getpid(), "keep": os.environ.get("KEEP_TEST_DIR") == "1",
                           "commands": [[str(a) for a in c] for c in commands]})
        self.process = subprocess.Popen(["/usr/bin/python3", "-I", __file__, what], stdin=subprocess.PIPE, cwd="/",
                                        stdout=subprocess.DEVNULL, start_new_session=True)

    def end(self):
        """Returns once everything is gone; more than once is no harm."""
        self.process.stdin.close()
        self.process.wait()


def read(path):
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def processes():
    """{pid: its parent} of all that run; what only waits to be reaped is gone."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        fields = read(path / "stat").rpartition(b")")[2].split()
        if fields and fields[0] not in (b"Z", b"X"):
            found[int(path.name)] = int(fields[1])
    return found


def belonging(mark, spared):
    """Pids of the marked and their descendants, parents first."""
    parents = processes()
    found = [p for p in parents if p not in spared and (mark in read(f"/proc/{p}/cmdline") or mark in read(f"/proc/{p}/environ"))]
    seen = set(found)
    for pid in found:  # grows as it goes
        more = [p for p, parent in parents.items() if parent == pid and p not in seen | spared]
        found += more
        seen.update(more)
    return found


def send(pids, signo):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signo)


def shut_postgres_down(directory, mine):
    """A killed one would leave its shared memory behind."""
    for path in Path(directory).glob("*/postmaster.pid"):
        pid = int((read(path).split() or [b"0"])[0])
        if pid in mine():
            send([pid], signal.SIGQUIT)
            send(mine(), signal.SIGCONT)
            deadline = time.monotonic() + POSTGRES_S
            while pid in mine() and time.monotonic() < deadline:
                time.sleep(0.01)


def shared_memory(pids):
    """What these have mapped of PostgreSQL's: one that initdb runs leaves it behind when it is killed, whatever the signal."""
    found = set()
    for pid in pids:
        found |= set(re.findall(rb"/dev/shm/PostgreSQL\.\d+", read(f"/proc/{pid}/maps")))
    return found


def clear(directory, others, owner, keep, commands):
    spared = {owner, os.getpid(), os.getppid()}

    def mine():
        return belonging(directory.encode(), spared)

    segments = shared_memory(mine())
    send([p for p in mine() if b"postgres" not in read(f"/proc/{p}/cmdline")], signal.SIGKILL)
    shut_postgres_down(directory, mine)
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        left = mine()
        if not left:
            break
        # Stopped first: what forks meanwhile would be missed.
        send(left, signal.SIGSTOP)
        segments |= shared_memory(mine())
        send(mine(), signal.SIGKILL)
        time.sleep(0.01)
    for path in segments:
        with contextlib.suppress(OSError):
            os.unlink(path)
    for line in read("/proc/self/mounts").decode(errors="replace").splitlines():
        if line.split()[1].startswith(directory + "/"):
            subprocess.run(["umount", "-l", line.split()[1]], check=False, stderr=subprocess.DEVNULL)
    for command in commands:
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
    if not keep:
        for path in (directory, *others):
            shutil.rmtree(path, ignore_errors=True)


def main():
    # Ctrl-C and a closed terminal are its owner's matter.
    for signo in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(signo, signal.SIG_IGN)
    sys.stdin.buffer.read()
    clear(**json.loads(sys.argv[1]))


if __name__ == "__main__":
    main()
