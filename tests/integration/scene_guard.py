"""
What test_guard.py runs and ends: a site, one process stopped, one orphan that
hides its descent, a directory mounted, and no end of its own.
"""
import os
import signal
import subprocess
import time
from pathlib import Path

PLAIN_TOO = "test_guard runs it"


def test_waits_to_be_ended(plane):
    site = plane.start_site(keep=True)
    plane.processes["worker-1"].signal(signal.SIGSTOP)
    # Nobody's child, in a session of its own.
    subprocess.run(["/usr/bin/setsid", "-f", "/usr/bin/sleep", "300"], check=True, env={"TEST_FLEET": str(plane.dir)})
    if os.geteuid() == 0:
        mounted = plane.dir / "mounted"
        mounted.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mounted], check=False)
    assert site.serial()
    Path(os.environ["SCENE_READY"]).write_text(str(plane.dir), encoding="ascii")
    time.sleep(300)
