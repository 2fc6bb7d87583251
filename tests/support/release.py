"""
Another release of this tree for tests of upgrades: the sources copied, a
column more and two functions that fill it, and built by the project's own build.

What is compiled already is copied along, and so only what holds the name of
the code's schema is compiled again.
"""
import os
import re
import subprocess
from pathlib import Path

from fleet import BUILD, ROOT

PROGRAMS = ("apiserver/certctl-apiserver", "scheduler/certctl-scheduler", "worker/certctl-worker", "agent/certctl-agent",
            "cli/certctl")
# issue_complete() ends the jobs of workers, job_finish() deployments through an
# apiserver.  Those of the other release write its name beside the job.
TABLES = "ALTER TABLE jobs ADD COLUMN release text;\n"
CHANGED = "migrations/code/07_complete.sql"
CHANGES = (("UPDATE jobs j SET status = 'Completed', completed_at = v_now, version_id =",
            "UPDATE jobs j SET release = 'next', status = 'Completed', completed_at = v_now, version_id ="),
           ("UPDATE jobs j SET status = e.status, ", "UPDATE jobs j SET release = 'next', status = e.status, "))


class Release:
    def __init__(self, root, build):
        self.root, self.build = Path(root), Path(build)

    def program(self, path):
        """The same program of this release."""
        return self.build / Path(path).parent.name / Path(path).name

    @property
    def code(self):
        """The schema of its functions."""
        return re.search(r'"(certctl_[0-9a-f]{12})"', (self.build / "migrations" / "code_gen.h").read_text()).group(1)


THIS = Release(ROOT, BUILD)


def copy(source, target):
    subprocess.run(["cp", "-a", "--reflink=auto", source, target], check=True)


def copy_sources(top):
    """All that the build reads.  Where a file of it is missing, ninja sets the build up anew, again and again."""
    folders = [p for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith((".", "build")) and any(p.rglob("meson.build"))]
    for path in [ROOT / "meson.build", ROOT / "meson_options.txt", *folders]:
        copy(path, top)


def make_next(directory):
    """The other release, below directory."""
    # Debian's own tools first, as tools/build.sh does; a compiler's cache needs the rest.
    env = os.environ | {"PATH": f"/usr/bin:/bin:{os.environ['PATH']}"}
    top = Path(directory) / "next"
    top.mkdir()
    copy_sources(top)
    build = top / "build"
    if BUILD.parent == ROOT:  # its paths lead from there to the sources
        build.mkdir()
        for path in BUILD.iterdir():
            if path.name not in ("tests", "deploy", "test-logs", "pycache"):
                copy(path, build)
    else:
        subprocess.run(["meson", "setup", build, top], check=True, stdout=subprocess.DEVNULL, env=env)
    number = max(int(p.name[:4]) for p in (top / "migrations").glob("*.up.sql")) + 1
    (top / "migrations" / f"{number:04}_next.up.sql").write_text(TABLES, encoding="ascii")
    (top / "migrations" / f"{number:04}_next.down.sql").write_text("ALTER TABLE jobs DROP COLUMN release;\n", encoding="ascii")
    changed = top / CHANGED
    text = changed.read_text(encoding="utf-8")
    for before, after in CHANGES:
        assert text.count(before) == 1, f"{CHANGED} has changed, and with it must release.py: {before}"
        text = text.replace(before, after)
    changed.write_text(text, encoding="utf-8")
    ninja = subprocess.run(["ninja", "-C", build, *PROGRAMS], text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env=env)
    assert ninja.returncode == 0, ninja.stdout[-4000:]
    release = Release(top, build)
    assert release.code != THIS.code
    return release
