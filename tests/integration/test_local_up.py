"""
`make up` to its proof, and what it must stand: paths that are hard to spell,
being killed after any step, supervisors that are killed, two at the same time,
a port that is taken, a host without a name, a full disk.  The programs are
those of BUILD_DIR, so its build step finds them made.
"""
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from fleet import BUILD, ROOT, clean_env, wait_for
from local_checkout import IS_ROOT, NOBODY, Checkout, as_root

LIMIT_S = 240
NOT_SANITIZED = "the scripts of make up: what the programs do that they start, every other file tests"
STEPS = ("users", "build", "install", "ports", "postgres", "migrate", "processes", "cli", "objects", "proof", "roots", "health")

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

    def start(self, verb, last="", prefix=()):
        return subprocess.Popen([*prefix, *self.prefix(), "/usr/bin/python3", "-B", "-c", RUN, verb, last, *map(str, self.ports), self.installed],
                                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_env() | {"HOME": "/nonexistent"},
                                cwd=self.dir / "deploy" / "local")

    def run(self, verb, last="", prefix=()):
        process = self.start(verb, last, prefix)
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


@pytest.mark.parametrize("user", [None, NOBODY] if IS_ROOT else [None], ids=lambda u: u.pw_name if u else "me")
def test_up_killed_after_every_step_goes_on(new_running, user):
    """In a directory whose name has blanks, quotes, other scripts, and a hundred characters more than a socket's path may have."""
    running = new_running("it's ü & (日本) #1;%s " + "x" * 120, user)
    umask = ["sh", "-c", f'umask {"002" if user else "077"}; exec "$@"', "sh"]
    for step in STEPS:
        code, output = running.run("up", step, prefix=umask)
        assert code == -signal.SIGKILL and f" {step} " in output.splitlines()[-1] + " ", output
    first = is_up(running, running.run("up"))
    assert "after" in first
    key = (running.base / "secrets" / "api_key").read_bytes()
    # a supervisor that is killed leaves its children, which are found again
    supervisor = next(pid for pid, words in running.processes().items() if words[0].endswith(b"runsvdir"))
    os.kill(supervisor, signal.SIGKILL)
    is_up(running, running.run("up"))
    assert sum(words[0].endswith(b"runsvdir") for words in running.processes().values()) == 1
    supervisor = next(pid for pid, words in running.processes().items() if words[0].endswith(b"runsvdir"))
    os.kill(supervisor, signal.SIGKILL)
    code, output = running.run("down")
    assert code == 0 and "stopped" in output and not running.processes(), output
    code, output = running.run("status")
    assert code == 1 and "up, pid" not in output
    is_up(running, running.run("up"))
    assert (running.base / "secrets" / "api_key").read_bytes() == key
    is_done(running.run("clean"))
    is_gone(running)


def served_serial(port, name):
    """What a server there shows now, as openssl prints it."""
    shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name], input="", text=True,
                           capture_output=True, check=False, timeout=20, env=clean_env()).stdout
    return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=shown, text=True, capture_output=True, check=True).stdout


SQL = """
from stack import postgres
from stack.layout import Layout
layout = Layout()
print(postgres._psql(layout, postgres._bin_for(layout), "certctl", {sql!r}))
"""


def test_the_proof_is_of_today_and_of_what_is_not_revoked(new_running):
    running = new_running()
    output = is_up(running, running.run("up"))
    assert " healthy\n" in output and running.run("status")[0] == 0
    port = next(line.split()[1] for line in output.splitlines() if line.startswith("Proved: ")).split(":")[2]
    first = served_serial(port, "demo.certctl.test")
    is_up(running, running.run("up"))
    assert served_serial(port, "demo.certctl.test") == first
    aged = running.python(SQL.format(sql="UPDATE certificate_versions SET created_at = created_at - interval '1 day';"))
    assert aged.returncode == 0 and aged.stdout.startswith("(0,"), aged.stdout + aged.stderr
    is_up(running, running.run("up"))
    assert served_serial(port, "demo.certctl.test") != first
    revoked = subprocess.run([*running.prefix(), running.dir / "certctl", "certs", "revoke", "demo"], text=True, capture_output=True, check=False)
    assert revoked.returncode == 0, revoked.stderr
    code, output = running.run("up")
    assert code == 1 and "FAILED at proof: the certificate demo is revoked" in output and "Proved" not in output, output
    is_done(running.run("clean"))


def test_the_api_s_own_certificate_is_the_product_s(new_running):
    """Deployed by the agent, taken without a restart, renewed as any other."""
    running = new_running()
    is_up(running, running.run("up"))
    before = served_serial(running.ports[0], "localhost")
    pids = set(running.processes())
    command = [*running.prefix(), running.dir / "certctl"]
    done = subprocess.run([*command, "certs", "renew", "api", "--wait"], text=True, capture_output=True, check=False, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    assert served_serial(running.ports[0], "localhost") != before and pids & set(running.processes())
    # one that is about to end is not waited for: whoever starts the stack could not speak to it
    is_done(running.run("down"))
    for path in (running.base / "api-site" / "current").glob("*.pem"):
        path.unlink()
    is_up(running, running.run("up"))
    is_done(running.run("clean"))


def install_postgres(home):
    """PostgreSQL's package once more below home; it finds its own files from where its program lies."""
    version = max((p.parts[-3] for p in Path("/usr/lib/postgresql").glob("*/bin/postgres")), key=int)
    for part in ("lib", "share"):
        shutil.copytree(f"/usr/{part}/postgresql/{version}", home / part / "postgresql" / version, symlinks=True)
    return home / "lib" / "postgresql" / version


def test_a_server_whose_package_was_upgraded_is_restarted(new_running):
    """While the files are exchanged the running server's new sessions fail (58P01), and those that it has go on."""
    running = new_running()
    package = install_postgres(running.home / "usr")
    running.installed = package.parent
    is_up(running, running.run("up"))
    assert not any(b"/usr/lib/postgresql" == word[:19] for words in running.processes().values() for word in words)

    def servers():
        return {pid for pid, words in running.processes().items() if words[0] == os.fsencode(package / "bin" / "postgres")}
    (server,) = servers()
    is_up(running, running.run("up"))
    assert servers() == {server}
    # As dpkg does it: what was is taken away, then what is new is put there.
    shutil.rmtree(running.home / "usr")
    failed = running.python(SQL.format(sql="\\set VERBOSITY sqlstate\nDO 'BEGIN END';"))
    assert failed.stdout.startswith("(3, ") and "58P01" in failed.stdout, failed.stdout + failed.stderr
    install_postgres(running.home / "usr")
    is_up(running, running.run("up"))
    assert len(servers()) == 1 and servers() != {server}
    is_done(running.run("clean"))


def test_two_at_the_same_time_use_other_ports(new_running):
    one, two = new_running("one"), new_running("two")
    two.ports = one.ports
    started = [r.start("up") for r in (one, two)]
    outputs = [p.communicate(timeout=200)[0] for p in started]
    assert [p.returncode for p in started] == [0, 0], "\n".join(outputs)
    assert sum("is held by" in output for output in outputs) >= 1
    said = [next(line.split()[1] for line in output.splitlines() if line.startswith("API ")) for output in outputs]
    assert len(set(said)) == 2
    is_done(one.run("clean"))
    is_gone(one)
    assert two.run("status")[0] == 0


def test_half_made_cluster_is_made_anew_and_a_broken_one_told(new_running):
    running = new_running()
    assert running.run("up", "ports")[0] == -signal.SIGKILL
    half = running.base / "pg.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("15\n")
    is_up(running, running.run("up"))
    assert not half.exists()
    is_done(running.run("down"))
    (running.base / "pg" / "global" / "pg_control").write_bytes(b"\0" * 8192)
    code, output = running.run("up")
    assert code == 1 and "FAILED at postgres: PostgreSQL ends as soon as it has started: " in output and "incompatible" in output, output
    is_done(running.run("down"))
    shutil.rmtree(running.base / "pg" / "global")
    (running.base / "pg" / "PG_VERSION").unlink()
    code, output = running.run("up")
    assert code == 1 and "holds no PostgreSQL cluster" in output and "To fix it:" in output, output
    is_done(running.run("clean"))
    is_gone(running)


def test_port_that_is_taken_is_left_alone(new_running):
    running = new_running()
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", running.ports[0]))
        s.listen()
        code, output = running.run("up", "ports")
        assert code == -signal.SIGKILL and f" is held by python3 (pid {os.getpid()}), so " in output, output
    wanted = running.python("from stack import ports\ntry: ports.choose(65535, taken=[65535])\nexcept ports.StepFailed as e: print(e)")
    assert "no port from 65535 on is free" in wanted.stdout


@as_root
def test_host_without_a_name_is_enough(new_running):
    running = new_running()
    is_up(running, running.run("up", prefix=["unshare", "--uts", "sh", "-c", 'hostname no-such-host.invalid; exec "$@"', "sh"]))
    is_done(running.run("clean"))


def test_full_disk_is_told_and_got_over(new_running):
    running = new_running()
    for room in (0, 1000, 100_000, 2_000_000):
        code, output = running.run("up", prefix=["prlimit", f"--fsize={room}", "--"])
        assert code == 1 and "FAILED" in output and "To fix it:" in output and "Traceback" not in output, output
        running.run("down")
    is_up(running, running.run("up"))
    is_done(running.run("clean"))
    is_gone(running)


@as_root
def test_root_writes_nothing_into_another_users_checkout(new_running):
    running = new_running(user=NOBODY)
    running.act_as(None)
    shutil.copytree(running.dir / "build", running.outside / "build", symlinks=True)
    before = {p: p.lstat().st_mtime_ns for p in [running.dir, *running.dir.rglob("*")]}
    is_up(running, running.run("up"))
    assert {p: p.lstat().st_mtime_ns for p in [running.dir, *running.dir.rglob("*")]} == before
    assert running.run("status")[0] == 0
    is_done(running.run("clean"))
    assert {p: p.lstat().st_mtime_ns for p in [running.dir, *running.dir.rglob("*")]} == before
    assert not running.outside.exists() and not running.run_dir.exists()
