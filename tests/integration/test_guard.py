"""
Whatever ends a run of pytest, chaos.py, bench.py or with_postgres.py, no
process and no directory of it stays behind.
"""
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fleet import BUILD, ROOT, wait_for
from guard import belonging, processes, shared_memory

NOT_SANITIZED = "guard.py and who calls it: what becomes of programs that were killed, whichever"

SCENE = [sys.executable, "-m", "pytest", "-q", ROOT / "tests/integration/scene_guard.py"]


def owner_of(directory):
    """Who holds the pipe of that directory's guard."""
    for pid in processes():
        try:
            text = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
        except OSError:
            continue
        if "guard.py" in text and f'"{directory}"' in text:
            return int(re.search(r'"owner": (\d+)', text).group(1))
    return None


def heed_signals():
    """What a shell starts in the background ignores SIGINT, under nohup SIGHUP, and so does what that starts."""
    for signo in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signo, signal.SIG_DFL)


def start(argv, **env):
    return subprocess.Popen([str(a) for a in argv], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=heed_signals,
                            env=os.environ | {"BUILD_DIR": str(BUILD), "PYTHONDONTWRITEBYTECODE": "1"} | env)


def end(process, signo, directory):
    """Ends it and looks for what stays; the processes that it had."""
    had = belonging(directory.encode(), {os.getpid()})
    shared = set(map(os.fsdecode, shared_memory(had)))
    shared |= set(map(str, Path("/dev/shm").glob(f"{Path(directory).name}-*")))  # its databases, where there is room for them
    assert directory.startswith("/tmp/c") and Path(directory).is_dir() and len(had) > 3 and shared, had
    try:
        process.send_signal(signo)
        process.wait(30)
        wait_for(lambda: not Path(directory).exists(), 20, f"{directory} to go")
        wait_for(lambda: not belonging(directory.encode(), {os.getpid()}), 20, "the guard to end")
        wait_for(lambda: not set(had) & set(processes()), 20, "every process to go")
        assert not [path for path in shared if Path(path).exists()]
    finally:
        process.kill()
    return had


@pytest.mark.parametrize("signo, more", [
    (signal.SIGTERM, []), (signal.SIGTERM, ["-n", "1"]), (signal.SIGKILL, []), (signal.SIGKILL, ["-n", "1"]),
    (signal.SIGINT, []), (signal.SIGHUP, ["-n", "1"])])
def test_pytest_is_ended(tmp_path, signo, more):
    ready = tmp_path / "ready"
    run = start([*SCENE, *more], SCENE_READY=str(ready))
    directory = wait_for(lambda: ready.exists() and ready.read_text(encoding="ascii"), 120, "the scene")
    templates = [p for p in Path("/tmp").glob("cc-template-*") if owner_of(p) == run.pid]
    had = end(run, signo, directory)
    # postgres, apiserver, scheduler, worker, agent, nginx, guard, orphan at least
    assert len(had) >= 8
    assert directory not in Path("/proc/self/mounts").read_text(encoding="utf-8")
    wait_for(lambda: len(templates) == 1 and not templates[0].exists(), 20, "the database that fleets begin with to go")


def directory_of(process, pattern):
    """The directory that a descendant's guard was given, once its PostgreSQL serves."""
    def look():
        for path in Path("/tmp").glob(pattern):
            if owner_of(path) == process.pid and list(path.glob("*/postmaster.pid")) and len(
                    belonging(str(path).encode(), {os.getpid()})) > 5:
                return str(path)
        return None
    return wait_for(look, 90, "a fleet")


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("argv, pattern", [
    (["tests/chaos/chaos.py", "--kills", "500"], "cc-chaos-*"), (["tests/bench/bench.py", "http_floor"], "cc-bench-*"),
    (["tests/support/with_postgres.py", "/usr/bin/sleep", "300"], "ctpg-*")])
def test_other_programs_are_ended(argv, pattern, signo):
    run = start([sys.executable, *argv])
    end(run, signo, directory_of(run, pattern))
