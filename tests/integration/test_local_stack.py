"""
What `make up` takes over, and what it writes through: its directories beside
strangers', with links that others planted, twice side by side, as root and as
a plain user.  A checkout here has the scripts alone, so `up` ends at its
build; the rest is called by itself.
"""
import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from fleet import ROOT, clean_env

NOBODY = pwd.getpwnam("nobody")
IS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root can make what another user has")
USERS = [None, NOBODY] if IS_ROOT else [None]


class Checkout:
    def __init__(self, name, user=None):
        self.home = Path(tempfile.mkdtemp(prefix=f"cc-{name}-", dir="/tmp"))
        self.home.chmod(0o755)
        self.dir = self.home / "checkout"
        self.user = user
        shutil.copytree(ROOT / "deploy" / "local", self.dir / "deploy" / "local", ignore=shutil.ignore_patterns("__pycache__"))
        (self.dir / "migrations").mkdir()
        self.give(user)
        self.places = set()
        self.act_as(user)

    def act_as(self, user):
        """Who runs things from here on."""
        self.user = user
        script = "from stack.layout import Layout; l = Layout(); print(l.base, l.run, l.outside, sep='\\n')"
        self.base, self.run_dir, self.outside = map(Path, self.python(script).stdout.split())
        self.places |= {self.run_dir, self.outside}

    def give(self, user):
        for path in [self.home, self.dir, *self.dir.rglob("*")]:
            if user and IS_ROOT:
                os.chown(path, user.pw_uid, user.pw_gid)

    def _run(self, *argv, user=None):
        user = user or self.user
        prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"] if user else []
        return subprocess.run([*prefix, "/usr/bin/python3", "-B", *argv], text=True, capture_output=True, timeout=30, check=False,
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
            if path.is_symlink():
                path.unlink()
            shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def new_checkout(request):
    made = []

    def make(user=None):
        made.append(Checkout("local", user))
        return made[-1]
    yield make
    for checkout in made:
        checkout.remove()


@pytest.fixture(params=USERS, ids=lambda u: u.pw_name if u else "me")
def checkout(request, new_checkout):
    return new_checkout(request.param)


def tree(path):
    """Every name below path with owner, mode, and content or link."""
    found = {}
    for p in [path, *sorted(path.rglob("*"))]:
        s = p.lstat()
        found[str(p)] = (s.st_uid, stat.S_IMODE(s.st_mode),
                         os.readlink(p) if p.is_symlink() else p.read_bytes() if stat.S_ISREG(s.st_mode) else None)
    return found


def refused(done, *words):
    text = done.stdout + done.stderr
    assert done.returncode == 1, text
    assert "Traceback" not in text and "To fix it:" in text, text
    for word in words:
        assert word in text, text


# --- its own directories ---

def test_directories_are_private_and_may_be_made_again(checkout):
    first = checkout.prepared()
    assert first.returncode == 0, first.stderr
    uid = (checkout.user or pwd.getpwuid(os.geteuid())).pw_uid
    for path in (checkout.base, checkout.run_dir, checkout.base / "secrets", checkout.base / "tls", checkout.base / "nginx"):
        assert path.lstat().st_uid == uid and not path.stat().st_mode & 0o022
    assert stat.S_IMODE((checkout.base / "secrets" / "api_key").stat().st_mode) == 0o600
    assert not (checkout.run_dir / "bus").stat().st_mode & 0o077
    # stale: sockets of processes that are gone, files of a write that was cut off
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(checkout.run_dir / "bus" / "scheduler-1"))
    (checkout.base / "secrets" / "api_key.tmp").write_text("half")
    second = checkout.prepared()
    assert second.returncode == 0 and second.stdout == first.stdout
    assert not (checkout.base / "secrets" / "api_key.tmp").is_symlink()


def test_clean_removes_all_of_it(checkout):
    assert checkout.prepared().returncode == 0
    done = checkout.verb("clean")
    assert done.returncode == 0, done.stderr
    assert not checkout.base.exists() and not checkout.run_dir.exists() and not checkout.outside.exists()


def test_two_side_by_side_share_nothing(new_checkout):
    one, two = new_checkout(), new_checkout()
    assert {one.base, one.run_dir, one.outside}.isdisjoint({two.base, two.run_dir, two.outside})
    keys = [c.prepared().stdout for c in (one, two)]
    assert keys[0] and keys[0] != keys[1]
    assert one.verb("clean").returncode == 0
    assert two.base.is_dir() and two.run_dir.is_dir()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        chosen = two.python(f"from stack import ports; print(ports.choose({port})[0])")
    assert int(chosen.stdout) > port


@as_root
def test_another_user_takes_nothing_from_the_first(new_checkout):
    checkout = new_checkout()
    assert checkout.prepared().returncode == 0
    assert checkout.verb("down").returncode == 0
    before = tree(checkout.base), tree(checkout.dir)
    for verb in ("up", "down", "clean", "status", "logs"):
        refused(checkout.verb(verb, user=NOBODY), "belongs to root")
    assert (tree(checkout.base), tree(checkout.dir)) == before


@as_root
def test_root_keeps_its_state_out_of_another_users_checkout(new_checkout):
    """Its owner could put anything in the place of a directory there."""
    checkout = new_checkout(NOBODY)
    checkout.act_as(None)
    assert checkout.base == checkout.outside
    assert checkout.prepared().returncode == 0
    assert not (checkout.dir / ".local").exists()


# --- strangers' ---

@as_root
@pytest.mark.parametrize("verb", ["up", "down", "clean", "status"])
def test_a_strangers_directory_is_not_taken_over(new_checkout, verb):
    checkout = new_checkout(NOBODY)
    checkout.act_as(None)  # root, whose state lies in /var/tmp then
    secrets = checkout.outside / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "api_key").write_text("known to a stranger\n")
    for path in (checkout.outside, secrets, secrets / "api_key"):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    before = tree(checkout.outside)
    refused(checkout.verb(verb), str(checkout.outside), "belongs to nobody", "did not make it")
    assert tree(checkout.outside) == before


@as_root
def test_a_strangers_socket_directory_is_refused(new_checkout):
    for user in USERS:
        checkout = new_checkout(user)
        stranger = pwd.getpwnam("daemon")
        checkout.run_dir.mkdir()
        os.chown(checkout.run_dir, stranger.pw_uid, stranger.pw_gid)
        before = tree(checkout.run_dir)
        done = checkout.verb("up")
        refused(done, str(checkout.run_dir), "belongs to daemon", "FAILED at users")
        assert tree(checkout.run_dir) == before
        assert checkout.verb("clean").returncode == 0
        assert tree(checkout.run_dir) == before


def test_a_directory_that_others_may_write_to_is_refused(checkout):
    assert checkout.prepared().returncode == 0
    for path in (checkout.base, checkout.run_dir, checkout.base / "secrets"):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(0o777)
        assert checkout.prepared().returncode != 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o777
        refused(checkout.verb("up"), str(path) if path != checkout.base / "secrets" else "")
        path.chmod(mode)
    assert checkout.prepared().returncode == 0


def test_a_secret_that_others_may_read_is_refused(checkout):
    assert checkout.prepared().returncode == 0
    (checkout.base / "secrets" / "api_key").chmod(0o644)
    done = checkout.prepared()
    assert done.returncode != 0 and "may be read by others" in done.stderr


# --- links ---

@pytest.fixture
def victim(checkout):
    """What no link may lead to: a directory with a file, somewhere else."""
    path = Path(tempfile.mkdtemp(prefix="cc-victim-", dir="/tmp"))
    (path / "file").write_text("kept")
    if checkout.user and IS_ROOT:
        os.chown(path, checkout.user.pw_uid, checkout.user.pw_gid)
        os.chown(path / "file", checkout.user.pw_uid, checkout.user.pw_gid)
    before = tree(path)
    yield path
    after = tree(path)
    shutil.rmtree(path)
    assert after == before


@pytest.mark.parametrize("which", ["base", "run", "lock", "log", "logs", "secrets"])
@pytest.mark.parametrize("verb", ["up", "clean"])
def test_links_are_refused(checkout, victim, which, verb):
    path, leads = {
        "base": (checkout.base, victim), "run": (checkout.run_dir, victim), "lock": (checkout.dir / ".local.lock", victim / "file"),
        "log": (checkout.base / "log" / "make-up.log", victim / "file"), "logs": (checkout.base / "log", victim),
        "secrets": (checkout.base / "secrets", victim)}[which]
    path.parent.mkdir(parents=True, exist_ok=True)
    for p in (checkout.base, path.parent):
        if p.exists() and p != Path("/tmp") and checkout.user and IS_ROOT and not p.is_symlink():
            os.chown(p, checkout.user.pw_uid, checkout.user.pw_gid)
    path.symlink_to(leads)
    if IS_ROOT and checkout.user:
        os.lchown(path, checkout.user.pw_uid, checkout.user.pw_gid)
    done = checkout.verb(verb)
    if which in ("run", "secrets") and verb == "clean":
        assert done.returncode == 0
        return
    if which == "secrets":
        # reached after the build; the directories themselves come first
        done = checkout.prepared()
        assert done.returncode != 0 and "is a link" in done.stderr
        return
    refused(done, "is a link", str(path))


def test_a_written_file_replaces_a_link(checkout, victim):
    (checkout.dir / "certctl").symlink_to(victim / "file")
    (checkout.dir / "certctl.tmp").symlink_to(victim / "file")
    done = checkout.python(f"from stack.layout import Layout; from pathlib import Path\n"
                           f"Layout().write(Path({str(checkout.dir)!r}) / 'certctl', 'text', mode=0o755)")
    assert done.returncode == 0, done.stderr
    assert not (checkout.dir / "certctl").is_symlink() and (checkout.dir / "certctl").read_text() == "text"
    assert stat.S_IMODE((checkout.dir / "certctl").stat().st_mode) == 0o755


@as_root
def test_root_follows_no_link_of_the_users_it_serves(new_checkout, tmp_path):
    """PostgreSQL's user and the service user may put links into their own directories."""
    checkout = new_checkout()
    assert checkout.prepared().returncode == 0
    secret = tmp_path / "root-only"
    secret.write_text("not theirs")
    secret.chmod(0o600)
    owner = pwd.getpwnam("postgres")
    pg = checkout.base / "pg"
    pg.mkdir(mode=0o700)
    os.chown(pg, owner.pw_uid, owner.pw_gid)
    for name in ("certctl.conf", "certctl.conf.tmp", "postgresql.conf"):
        (pg / name).symlink_to(secret)
    script = ("from stack.layout import Layout; l = Layout()\n"
              "l.write_as(l.pg_user, l.pgdata / 'certctl.conf', 'mine')\n"
              "l.read_as(l.pg_user, l.pgdata / 'postgresql.conf')")
    done = checkout.python(script)
    assert done.returncode != 0 and "postgres cannot use" in done.stderr and "not theirs" not in done.stderr + done.stdout
    assert secret.read_text() == "not theirs" and stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert (pg / "certctl.conf").read_text() == "mine" and (pg / "certctl.conf").lstat().st_uid == owner.pw_uid
    # nothing that root writes lies in a directory of theirs
    for name in ("tls", "nginx", "env", "services", "secrets", "log"):
        assert (checkout.base / name).lstat().st_uid == 0
