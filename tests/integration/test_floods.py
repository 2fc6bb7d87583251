"""
Whoever sends rubbish as fast as it can fills no log: a process writes a few
kilobytes a second about it, whichever way in was used, and goes on working.
"""
import contextlib
import itertools
import json
import os
import socket
import ssl
import struct
import threading
import time

import pytest

from fleet import PATIENCE, Api, Fleet, wait_for
from load import Load, done_since, last_lease, make_certificates, wait_quiet
from rawtls import RawTls
from rogue import BEAT, HELLO, WORK, WORK_REPLY, Asker, Pusher, Scheduler, frame, leader_beat

SECONDS = 3
# Nine lines of a code and second, of some 300 bytes each, and what the process has to say anyway.
BYTES_A_SECOND = 12 * 1024


@pytest.fixture(scope="module")
def plane():
    """The worker and a second apiserver know a second scheduler, which the tests play."""
    fleet = Fleet("floods")
    try:
        fleet.start_postgres()
        fleet.start_scheduler()
        fleet.start_worker()
        fleet.start_apiserver()
        fleet.make_basics()
        fleet.start_agent()
        fleet.names = make_certificates(fleet, ["agent-1"], 6)
        yield fleet
    finally:
        fleet.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


def bus(plane, link, scheduler=1):
    return plane.bus_urls()[scheduler - 1].removeprefix("ipc://") + link


def flood(plane, name, send, code, at_least=20):
    """
    Calls send for SECONDS, and on until the process has said what it was: one that does not lead for a moment says
    nothing of its workers.  What its log may grow by then.
    """
    process = plane.processes[name]
    size, sent, began = os.path.getsize(process.log_path), 0, time.monotonic()
    while time.monotonic() - began < SECONDS or not has_line(process, size, code):
        assert time.monotonic() - began < 60 * PATIENCE, f"no line of {code}"
        send()
        sent += 1
    took = time.monotonic() - began
    check_growth(process, size, took, code, f"{sent} sent")
    assert sent >= at_least, "that is no flood"


def has_line(process, size, code):
    return f"code={code} ".encode() in process.log_path.read_bytes()[size:]


def check_growth(process, size, took, code, what):
    """What was sent is read when its turn comes."""
    began = time.monotonic() - took
    wait_for(lambda: has_line(process, size, code), 30, f"a line of {code}")
    took = time.monotonic() - began
    grown = os.path.getsize(process.log_path) - size
    text = process.log_path.read_bytes()[size:].decode(errors="replace")
    lines = [line for line in text.splitlines() if f"code={code} " in line]
    print(f"{code}: {what} in {took:.1f} s, {grown} bytes in the log, {len(lines)} lines")
    assert grown <= BYTES_A_SECOND * (took + 1), text[:2000]
    wait_for(lambda: "left_out=" in process.log_path.read_bytes()[size:].decode(errors="replace"), 20, "the number of what was left out")


def works(plane):
    """All go on: certificates are issued."""
    lease = last_lease(plane)
    load = Load(plane, plane.names, threads=1)
    try:
        wait_for(lambda: done_since(plane, lease) >= 3, 40, "certificates")
    finally:
        load.stop()
    wait_quiet(plane, 40)


@pytest.mark.parametrize("message, code", [
    (frame(b"[]", 1), "HINT"), (b"rubbish", "BUS-BAD-FRAME"), (frame(b"{}", WORK), "BUS-BAD-FRAME")])
def test_hints(plane, message, code):
    pusher = Pusher(bus(plane, ".hint"))
    flood(plane, "scheduler-1", lambda: pusher.send(message), code)
    pusher.close()
    works(plane)


@pytest.mark.parametrize("message, code", [
    (frame(b"{}", WORK), "DISPATCH-REQUEST"), (frame(b'{"worker":"w","room":-1}', WORK), "DISPATCH-REQUEST"),
    (frame(b"{}", 99), "BUS-BAD-FRAME"), (b"CB\x07", "BUS-BAD-FRAME")])
def test_work(plane, message, code):
    asker = Asker(bus(plane, ".work"))

    def send():
        asker.send(message)
        asker.read()

    flood(plane, "scheduler-1", send, code)
    asker.close()
    works(plane)


def test_who_connects_is_told_who_leads(plane):
    """In answer to its hello, with the term; it waits for no beat."""
    works(plane)
    asker = Asker(bus(plane, ".work"))
    asker.send(frame(b"", HELLO))
    said = asker.read()[4:]  # behind the request's id
    kind, term = struct.unpack(">3xBQ", said[:12])
    assert (kind, term) == (BEAT, plane.value("SELECT term FROM leadership")) and b'"leader":true' in said
    asker.close()


def test_a_worker_of_another_database_server(plane):
    """In words, to it and in the log; a release that does not say its server is no other."""
    asker = Asker(bus(plane, ".work"))
    asker.send(frame(b'{"worker":"w","room":1,"system":"7","timeline":1}', WORK))
    answer = asker.read().decode(errors="replace")
    assert '"refused":"pid ' in answer and "is with another database server, system 7, timeline 1; this process is with" in answer
    assert '"leases":[]' in answer and '"leader":false' in answer
    wait_for(lambda: "another database server, system 7" in plane.processes["scheduler-1"].log(), 20, "the leader to say so")
    asker.send(frame(b'{"worker":"w","room":0}', WORK))
    assert '"leader":true' in asker.read().decode(errors="replace")
    asker.close()


def test_answers_that_nobody_reads(plane):
    """Answers past 64 unread ones are dropped by nng; the asker never reads."""
    asker = Asker(bus(plane, ".work"))
    asker.socket.settimeout(0.05)

    def send():
        with contextlib.suppress(socket.timeout, BlockingIOError):
            asker.send(frame(b"{}", WORK))

    flood(plane, "scheduler-1", send, "DISPATCH-REQUEST")
    asker.close()
    works(plane)


def test_workers_that_come_and_go(plane):
    """Each a name of its own."""
    number = itertools.count()

    def send():
        askers = [Asker(bus(plane, ".work")) for _ in range(50)]
        for asker in askers:
            asker.send(frame(json.dumps({"worker": f"rogue-{next(number)}", "room": 0, "holding": []}).encode(), WORK))
        for asker in askers:
            asker.read()
            asker.close()

    flood(plane, "scheduler-1", send, "WORKER-GONE", at_least=2)
    works(plane)


def test_a_scheduler_that_is_none(plane):
    """It leads by the highest term, and answers with rubbish; then it leads and does not, by turns."""
    turns = itertools.count()
    process = plane.processes["worker-1"]
    size, began = os.path.getsize(process.log_path), time.monotonic()
    rogue = Scheduler(bus(plane, "", 2), lambda: frame(b'{"leader":true,"leases":[{},{},{}],"revoked":[]}', WORK_REPLY), lambda: leader_beat(2**40))
    try:
        wait_for(lambda: "term" in process.log_path.read_bytes()[size:].decode() and rogue.requests > 20, 30, "the worker to ask it")
        check_growth(process, size, time.monotonic() - began, "WORK-REPLY", f"{rogue.requests} answers")
        size, began, sent = os.path.getsize(process.log_path), time.monotonic(), rogue.sent
        rogue.beats = lambda: leader_beat(2**40 + next(turns), next(turns) % 4 == 1)
        wait_for(lambda: rogue.sent - sent > 2000 and time.monotonic() - began > SECONDS, 60, "beats")
        check_growth(process, size, time.monotonic() - began, "BUS-LEADER", f"{rogue.sent - sent} beats")
        size, began, sent = os.path.getsize(process.log_path), time.monotonic(), rogue.sent
        rogue.beats = lambda: b"rubbish"
        wait_for(lambda: rogue.sent - sent > 2000 and time.monotonic() - began > SECONDS, 60, "rubbish")
        check_growth(process, size, time.monotonic() - began, "BUS-BAD-FRAME", f"{rogue.sent - sent} frames")
    finally:
        rogue.close()
    works(plane)


def test_requests_that_are_refused(plane):
    wrong = [Api(plane.api_port, plane.dir / "tls" / "api.pem", f"no-such-key-{i:012}") for i in range(20)]
    turns = itertools.cycle(wrong)
    flood(plane, "apiserver", lambda: next(turns).get("/api/v1/teams"), "REFUSED")
    works(plane)


def test_bytes_that_are_no_request(plane):
    """Not TLS, TLS that ends early, no HTTP, HTTP that stops: at most a few lines, if any."""
    context = ssl.create_default_context(cafile=str(plane.dir / "tls" / "api.pem"))
    process = plane.processes["apiserver"]
    size, began, sent = os.path.getsize(process.log_path), time.monotonic(), 0
    while time.monotonic() - began < SECONDS:
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b""):
            with socket.create_connection(("127.0.0.1", plane.api_port), timeout=10) as raw, contextlib.suppress(OSError):
                raw.sendall(data)
        for data in (b"\0\1\2\3\r\n\r\n", b"POST /api/v1/teams HTTP/1.1\r\nContent-Length: 5\r\n\r\n", b"GET /" + b"x" * 20000):
            with contextlib.suppress(OSError):
                tls = RawTls(plane)
                tls.send(data)
                tls.tls.close()
        sent += 6
    assert sent > 20
    grown = os.path.getsize(process.log_path) - size
    print(f"{sent} connections, {grown} bytes in the log")
    assert grown <= BYTES_A_SECOND * (time.monotonic() - began + 1)
    works(plane)


def test_requests_that_the_database_fails(plane):
    """Each is a 5xx, whoever asks."""
    plane.query("ALTER TABLE teams RENAME TO teams_away")
    process = plane.processes["apiserver"]
    size, began, seen = os.path.getsize(process.log_path), time.monotonic(), []

    def ask():
        while time.monotonic() - began < SECONDS:
            seen.append(plane.api.get("/api/v1/teams")[0])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    try:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        plane.query("ALTER TABLE teams_away RENAME TO teams")
    assert set(seen) == {500} and len(seen) > 20
    check_growth(process, size, time.monotonic() - began, "OP-DB", f"{len(seen)} requests")
    works(plane)
