"""
A checkout with the scripts of the local stack alone, in a directory of its
own, and what it made elsewhere; as another user where root asks for it.
"""
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from fleet import ROOT, clean_env

NOBODY = pwd.getpwnam("nobody")
IS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root can make what another user has")


class Checkout:
    def __init__(self, name, user=None):
        self.home = Path(tempfile.mkdtemp(prefix="cc-local-", dir="/tmp"))
        self.home.chmod(0o755)
        self.dir = self.home / name
        self.user = user
        shutil.copytree(ROOT / "deploy" / "local", self.dir / "deploy" / "local", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "deploy" / "issuer-secrets.sh", self.dir / "deploy")
        (self.dir / "migrations").mkdir()
        self.give(user)
        self.places = set()
        self.act_as(user)

    def act_as(self, user):
        """Who runs things from here on."""
        self.user = user
        script = "from stack.layout import Layout; l = Layout(); print(l.base, l.run, l.outside, l.lock, sep='\\n')"
        self.base, self.run_dir, self.outside, self.lock = map(Path, self.python(script).stdout.splitlines())
        self.places |= {self.run_dir, self.outside, self.lock}

    def give(self, user):
        for path in [self.home, self.dir, *self.dir.rglob("*")]:
            if user and IS_ROOT:
                os.chown(path, user.pw_uid, user.pw_gid)

    def prefix(self, user=None):
        """Words that run what follows as that user, or as whom this is for."""
        user = user or self.user
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"] if user else []

    def _run(self, *argv, user=None):
        return subprocess.run([*self.prefix(user), "/usr/bin/python3", "-B", *argv], text=True, capture_output=True, timeout=30, check=False,
                              env=clean_env() | {"HOME": "/nonexistent"}, cwd=self.dir / "deploy" / "local")

    def python(self, script, user=None):
        return self._run("-c", script, user=user)

    def verb(self, verb, user=None):
        return self._run("local_stack.py", verb, user=user)

    def prepared(self):
        """All directories made, as `up` does first."""
        return self.python("import os; os.umask(0o022)\nfrom stack.layout import Layout\nl = Layout(); l.ensure_user(); "
                           "l.ensure_directories(); print(l.secret('api_key'))")

    def remove(self):
        for path in (self.home, *self.places):
            if path.is_symlink() or path.is_file():
                path.unlink()
            shutil.rmtree(path, ignore_errors=True)
