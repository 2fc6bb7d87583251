"""
certctl top on a terminal: a frame stands there, keys work, what is sent is what
differs, and a server that goes away and comes back.
"""
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from fleet import BUILD

pyte = pytest.importorskip("pyte", reason="python3-pyte is not installed")
LIMIT_S = 180


class Terminal:
    """certctl in a terminal of 80 by 24."""

    def __init__(self, fleet, *arguments, **env):
        self.screen = pyte.Screen(80, 24)
        self.stream = pyte.ByteStream(self.screen)
        self.sent, self.seen = 0, b""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen([BUILD / "cli" / "certctl", *arguments], stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, env=fleet.cli_env() | {"TERM": "xterm", "LC_ALL": "C.UTF-8"} | env)
        self.slave = slave

    def text(self):
        return "\n".join(self.screen.display)

    def wait(self, test, seconds=60):
        end = time.monotonic() + seconds
        while not test(self.text()):
            assert time.monotonic() < end, self.text()
            if select.select([self.master], [], [], 1)[0]:
                data = os.read(self.master, 65536)
                self.sent += len(data)
                self.seen = data
                self.stream.feed(data)

    def press(self, keys):
        os.write(self.master, keys.encode())

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def test_a_screen_shows_the_plane_and_obeys_keys(plane):
    terminal = Terminal(plane, "top", "--interval", "1")
    try:
        # What is a second is known from the second frame on.
        terminal.wait(lambda text: all(what in text for what in (
            "iss-local", "  alive", "q quit", "jobs/s     0.0 done", "1 apiserver, 1 scheduler, 1 worker ")))
        assert terminal.text().startswith("certctl top  https://127.0.0.1")
        before = terminal.sent
        terminal.press("s")
        terminal.wait(lambda text: "sort: age" in text)
        assert terminal.sent - before < before / 2, "more was sent than what differs"
        terminal.press("/nothing\n")
        terminal.wait(lambda text: "filter: nothing" in text and "iss-local" not in text)
        # Other scripts are typed and taken back a character at a time.
        terminal.press("/\x7f\u00fc\u00e9")
        terminal.wait(lambda text: "filter: nothin\u00fc\u00e9_" in text)
        terminal.press("\x7f\n")
        terminal.wait(lambda text: "filter: nothin\u00fc" in text and "filter: nothin\u00fc\u00e9" not in text and "q quit" in text)
        terminal.press("/\x1b")
        terminal.wait(lambda text: "iss-local" in text)
        terminal.press("p")
        terminal.wait(lambda text: "paused" in text and "p go on" in text)
        terminal.press("p")
        plane.processes["apiserver"].stop()
        terminal.wait(lambda text: "NOT REACHED" in text and "iss-local" in text)
        plane.processes["apiserver"].start()
        terminal.wait(lambda text: "NOT REACHED" not in text)
        terminal.press("q")
        assert terminal.process.wait(60) == 0
    finally:
        terminal.close()


def test_what_interrupts_it_ends_it_as_any_command_and_the_terminal_is_as_before(plane):
    terminal = Terminal(plane, "top", "--interval", "1")
    before = termios.tcgetattr(terminal.slave)
    try:
        terminal.wait(lambda text: "q quit" in text)
        assert termios.tcgetattr(terminal.slave) != before
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(60) == -signal.SIGINT  # 130 in a shell
        assert termios.tcgetattr(terminal.slave) == before
        while b"\x1b[?1049l" not in terminal.seen:
            terminal.seen += os.read(terminal.master, 65536)
    finally:
        terminal.close()


def test_a_terminal_that_can_place_nothing_is_refused(plane):
    terminal = Terminal(plane, "top", TERM="dumb")
    try:
        assert terminal.process.wait(60) == 1
        terminal.wait(lambda text: "certctl top --once" in " ".join(text.split()))
    finally:
        terminal.close()


def test_wide_names_keep_the_columns(plane):
    plane.query("INSERT INTO agents (id, name, hostname, api_key_hash, status, last_heartbeat_at) "
                "VALUES ('agent-wide', %s, 'wide-host', 'w', 'Offline', '2026-01-02T03:04:05Z')", "w" + "\u65e5\u672c\u8a9e" * 8)
    terminal = Terminal(plane, "top", "--interval", "1")
    try:
        terminal.wait(lambda text: "wide-host" in text and "q quit" in text)
        y = next(y for y, line in enumerate(terminal.screen.display) if "wide-host" in line)
        row = [terminal.screen.buffer[y][x].data for x in range(80)]
        # Ten of two columns fit beside the first letter; the one that would stand across the edge does not.
        assert "".join(row[:22]) == "w" + ("\u65e5\u672c\u8a9e" * 4)[:10] + " ", row
        assert "".join(row[23:32]) == "wide-host" and "".join(row[44:63]) == "2026-01-02T03:04:05", row
        terminal.press("q")
        assert terminal.process.wait(60) == 0
    finally:
        terminal.close()
        plane.query("DELETE FROM agents WHERE id = 'agent-wide'")


def test_without_a_terminal_one_frame_is_text(plane):
    plane.wait_ready()
    done = plane.cli("top")
    assert done.returncode == 2 and "certctl top --once" in done.stderr and not done.stdout
    done = plane.cli("top", "--once")
    assert done.returncode == 0 and "iss-local" in done.stdout and "jobs/s     0.0 done" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines()) and "\x1b" not in done.stdout
    done = plane.cli("top", "--once", CERTCTL_SERVER_URL="https://127.0.0.1:1")
    assert done.returncode == 6 and "127.0.0.1:1" in done.stderr and "To fix it: " in done.stderr
