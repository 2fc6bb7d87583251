"""
A checkout with the programs of BUILD_DIR, whose make up is run and killed, on
ports of its own.
"""
import os
import random
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from fleet import BUILD, ROOT, clean_env, wait_for
from local_checkout import Checkout

# Runs a verb; after the step that is named it kills itself.
RUN = """
import os, pathlib, sys
import local_stack
from stack import ports, postgres, services, ui
# At its end the leak checker stops its process and waits for that; the CONT that
# runit sends behind TERM may take the stop away, and it waits for ever.
define = services.define
services.define = lambda layout, name, command, environment, user: define(
    layout, name, command, environment | {"ASAN_OPTIONS": "detect_leaks=0"}, user)
local_stack.build = lambda *_: "given"
verb, last, api, nginx, installed = sys.argv[1:6]
postgres.INSTALLED = pathlib.Path(installed)
was = ui.Steps.run
def run(self, name, function, *args):
    result = was(self, name, function, *args)
    if name == last:
        os.kill(os.getpid(), 9)
    return result
ui.Steps.run = run
choose = ports.choose
ports.choose = lambda wanted, taken=(): choose({8443: int(api), 9443: int(nginx)}.get(wanted, wanted), taken)
sys.argv = ["local_stack.py", verb]
sys.exit(local_stack.main())
"""


def port_with_room():
    """
    One that is free, with free ones behind it for who finds it taken.  Below
    those that the kernel hands out, so that no other test gets one of them.
    """
    def is_room(port):
        for at in range(port, port + 8):
            with socket.socket() as s:
                try:
                    s.bind(("127.0.0.1", at))
                except OSError:
                    return False
        return True
    return next(port for port in iter(lambda: random.randrange(10000, 30000), None) if is_room(port))


class Running(Checkout):
    """A checkout with the programs, on ports of its own."""

    def __init__(self, name, user=None):
        super().__init__(name, user)
        shutil.rmtree(self.dir / "migrations")
        shutil.copytree(ROOT / "migrations", self.dir / "migrations")
        for program in ("apiserver/certctl-apiserver", "scheduler/certctl-scheduler", "worker/certctl-worker", "agent/certctl-agent",
                        "cli/certctl"):
            (self.dir / "build" / program).parent.mkdir(parents=True)
            shutil.copy(BUILD / program, self.dir / "build" / program)
        self.give(user)
        self.ports = [port_with_room(), port_with_room()]
        self.installed = Path("/usr/lib/postgresql")

    def start(self, verb, last="", prefix=(), **env):
        return subprocess.Popen([*prefix, *self.prefix(), "/usr/bin/python3", "-B", "-c", RUN, verb, last, *map(str, self.ports), self.installed],
                                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_env() | {"HOME": "/nonexistent"} | env,
                                cwd=self.dir / "deploy" / "local")

    def run(self, verb, last="", prefix=(), **env):
        process = self.start(verb, last, prefix, **env)
        try:
            output = process.communicate(timeout=120)[0]
        finally:
            process.kill()
        return process.returncode, output

    def processes(self):
        """pid -> command, of what runs below this checkout's state."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(os.fsencode(self.base) in word for word in words) or words[0].startswith(b"runsv") and self.supervises(process):
                found[int(process.name)] = words
        return found

    def supervises(self, process):
        try:
            return str(self.base) in os.readlink(process / "cwd")
        except OSError:
            return False

    def remove(self):
        for _ in range(50):
            left = self.processes()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            if not left:
                break
        super().remove()


@pytest.fixture
def new_running():
    made = []

    def make(name="up", user=None):
        made.append(Running(name, user))
        return made[-1]
    yield make
    for running in made:
        running.remove()


def is_done(done):
    code, output = done
    assert code == 0, output


def is_up(running, done):
    code, output = done
    assert code == 0 and "Proved: https://127.0.0.1:" in output and "Traceback" not in output, output
    assert f"API    https://127.0.0.1:{running.ports[0]}" in output
    return output


def is_gone(running):
    wait_for(lambda: not running.processes(), 10, "everything to end")
    for path in (running.base, running.run_dir, running.outside, running.dir / "certctl", running.dir / "build"):
        assert not os.path.lexists(path), path
