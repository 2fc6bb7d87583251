"""
A program that is started beside a database host that is silent: a listener that
never says a word, first in the list.  It is ready within seconds, and its log
names the host that was tried.
"""
import contextlib
import socket
import time

import pytest

from conftest import fleets
from fleet import wait_for

LIMIT = "1200ms"  # not the default
TRIED = "no answer within 1200 ms"
READY_S = 3
SLACK_S = 20  # of a busy machine


@contextlib.contextmanager
def mute():
    """The kernel accepts for it, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.setblocking(False)
        yield listener


def count_callers(listener):
    n = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            n += 1
    return n


@pytest.fixture(scope="module")
def plane():
    for fleet in fleets("silent"):
        fleet.start_postgres(keep=True)
        fleet.start_plane(keep=True)
        yield fleet


def url(plane, program, port):
    return f"postgresql:///certctl?host=127.0.0.1,{plane.socket_dir}&port={port},5432&user=certctl_{program}"


def is_up(plane, program, process):
    if program == "apiserver":
        return plane.apis["apiserver-2"].get("/ready")[0] == 200
    table, fresh = {"scheduler": ("schedulers", "seen_at > clock_timestamp() - interval '2 s'"),
                    "worker": ("workers", "lease_until > clock_timestamp()")}[program]
    return plane.value(f"SELECT count(*) FROM {table} WHERE pid = %s AND {fresh}", process.pid) == 1


@pytest.mark.parametrize("program", ["apiserver", "scheduler", "worker"])
def test_it_starts_beside_a_silent_host(plane, program):
    with mute() as listener:
        port = listener.getsockname()[1]
        start = {"apiserver": plane.start_apiserver, "scheduler": plane.start_scheduler, "worker": plane.start_worker}[program]
        more = {"wait": False} if program == "apiserver" else {}
        since = time.monotonic()
        start(2, CERTCTL_DATABASE_URL=url(plane, program, port), CERTCTL_DATABASE_CONNECT_TIMEOUT=LIMIT, **more)
        process = plane.processes[f"{program}-2"]
        wait_for(lambda: is_up(plane, program, process), READY_S + SLACK_S, f"the {program}")
        took = time.monotonic() - since
        print(f"{program}: up after {took:.1f} s")
        log = process.log()
        assert "code=DB-PASSED" in log and f"127.0.0.1, port {port} failed: {TRIED}" in log.replace('\\"', ""), log
        # Waited for once by the whole process; twice where the other was slow on a busy machine.
        assert 1 <= count_callers(listener) <= 2
        process.stop()
