"""
`make up` to its proof, and what it must stand: paths that are hard to spell,
being killed after any step, supervisors that are killed, a port that is taken,
a full disk.  The programs are those of BUILD_DIR, so its build step finds them
made.
"""
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from fleet import ROOT, clean_env
from local_checkout import IS_ROOT, NOBODY, as_root
from local_running import RUN, is_done, is_gone, is_up, new_running  # noqa: F401

LIMIT_S = 240
NOT_SANITIZED = "the scripts of make up: what the programs do that they start, every other file tests"
STEPS = ("users", "build", "install", "ports", "postgres", "migrate", "processes", "cli", "objects", "proof", "roots", "health")


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
def test_its_database_goes_back_to_a_copy_as_the_runbook_says(new_running):
    """With a certificate issued since the copy, which only a journal knows then."""
    running = new_running()
    is_up(running, running.run("up"))
    page = (ROOT / "docs/operator/runbooks/postgres-backup.md").read_text(encoding="utf-8")
    section = re.search(r"^### What `make up` runs\n(.*?)(?=^## )", page, re.M | re.S)[1]
    copied, restored = re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)
    script = f"""
make() {{ (cd deploy/local && /usr/bin/python3 -B -c "$RUN" "$1" "" {running.ports[0]} {running.ports[1]} {running.installed}); }}
{copied}
./certctl certs renew demo --wait
{restored}
./certctl recover
./certctl recover --apply --yes
./certctl certs versions demo -o name
""".replace("/backup", str(running.home / "backup")).replace("$PWD/.local", str(running.base))
    done = subprocess.run(["sh", "-euc", script], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200, check=False,
                          cwd=running.dir, env=clean_env() | {"RUN": RUN, "HOME": "/nonexistent"})
    assert done.returncode == 0 and "the database is older than what was issued" in done.stdout, done.stdout
    assert "1 serial was unknown: 1 put back" in done.stdout and done.stdout.count("\ncertver-") == 2, done.stdout
    is_done(running.run("clean"))
    is_gone(running)
