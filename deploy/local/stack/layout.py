"""Where things lie, and as whom they run."""
import hashlib
import json
import os
import pwd
import secrets
import shutil
import stat
import subprocess
from pathlib import Path

from . import safe
from .ui import StepFailed

CHECKOUT = Path(__file__).resolve().parents[3]
PROGRAMS = ("certctl-apiserver", "certctl-scheduler", "certctl-worker", "certctl-agent", "certctl")


def _user(name):
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _can_enter(path, user):
    """Whether that user can reach path: x on every directory above."""
    for part in [path, *path.parents]:
        s = part.stat()
        if s.st_uid == user.pw_uid:
            ok = s.st_mode & stat.S_IXUSR
        elif s.st_gid == user.pw_gid:
            ok = s.st_mode & stat.S_IXGRP
        else:
            ok = s.st_mode & stat.S_IXOTH
        if not ok:
            return False
    return True


def _check_spelling(path):
    """What some program that the path is given to would read as something else."""
    odd = next((c for c in path if c in ",$\\\"" or not c.isprintable()), None)
    if odd:
        shown = path.encode("unicode_escape", "backslashreplace").decode()
        raise StepFailed(f"the path of this checkout holds {ascii(odd)}, which a list or a configuration can't hold: {shown}",
                         "move it to a plainer path")


class Layout:
    """All state is below self.base; sockets are below self.run."""

    def __init__(self):
        self.as_root = os.geteuid() == 0
        _check_spelling(str(CHECKOUT))
        key = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
        self.key = key
        self.outside = Path(f"/var/tmp/certctl-{key}")
        self.base = CHECKOUT / ".local"
        me = pwd.getpwuid(os.geteuid())
        self.pg_user = _user("postgres") if self.as_root else me
        self.user = _user("certctl") if self.as_root else me
        # Nor may root's state lie where the checkout's owner could put
        # something else in its place.
        if self.as_root and not (self._checkout_can_be_entered() and safe.is_ours_alone(CHECKOUT)):
            self.base = self.outside
        # Nor does root write anything else where that owner could put a link.
        self.is_foreign = self.as_root and not safe.is_ours_alone(CHECKOUT)
        self.build = self.base / "build" if self.is_foreign else CHECKOUT / "build"
        self.cli = self.base / "certctl" if self.is_foreign else CHECKOUT / "certctl"
        self.lock = Path(f"/run/certctl-{key}.lock") if self.is_foreign else CHECKOUT / ".local.lock"
        # An ipc path holds about a hundred characters, so it is short.
        self.run = Path(f"/tmp/certctl-{os.geteuid()}-{key}")

    def _checkout_can_be_entered(self):
        nobody = _user("nobody")
        return all(_can_enter(CHECKOUT, u or nobody) for u in (self.pg_user, self.user))

    # --- paths ---
    @property
    def bin(self):
        return self.base / "bin"

    @property
    def migrations(self):
        return self.base / "migrations"

    @property
    def services(self):
        return self.base / "services"

    @property
    def pgdata(self):
        return self.base / "pg"

    @property
    def pg_socket(self):
        return self.run / "pg"

    @property
    def bus(self):
        return self.run / "bus"

    @property
    def tls(self):
        return self.base / "tls"

    @property
    def api_ca(self):
        """Of the API's CA what workers read: they sign the API's certificate."""
        return self.base / "api-ca"

    @property
    def issuer_secrets(self):
        """The key pair that secrets of issuers are sealed to."""
        return self.base / "issuer-secrets"

    @property
    def api_site(self):
        """Where the agent deploys the API's certificate."""
        return self.base / "api-site"

    @property
    def env(self):
        return self.base / "env"

    @property
    def agent(self):
        return self.base / "agent"

    @property
    def nginx(self):
        return self.base / "nginx"

    @property
    def simulators(self):
        """State of the simulated CAs."""
        return self.base / "sim"

    @property
    def logs(self):
        return self.base / "log"

    # --- directories ---
    def ensure_user(self):
        """As root the processes run as a system user of their own."""
        if not self.as_root:
            return
        if self.pg_user is None:
            raise StepFailed("there is no user postgres", "install the package postgresql")
        if self.user is None:
            done = subprocess.run(["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent",
                                   "--shell", "/usr/sbin/nologin", "certctl"], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise StepFailed(f"the system user certctl could not be made: {done.stderr.strip()}", "make it, then try again")
            self.user = _user("certctl")
        if not self.user.pw_shell.endswith(("/nologin", "/false")):
            raise StepFailed(f"the user certctl logs in ({self.user.pw_shell}), so `make up` did not make it and gives it no secrets",
                             "run as a user of yours, or give that account another name")

    def _owners(self):
        """Who may have what `make up` made: whoever runs it, and whom it starts processes as."""
        users = (self.pg_user, self.user)
        return {os.geteuid(), *(u.pw_uid for u in users if u)}

    def directory(self, path, user, mode):
        safe.make_dir(path, user.pw_uid, user.pw_gid, mode, self._owners())
        return path

    def ensure_base(self):
        """What every verb needs: the base and a place for its log."""
        me = pwd.getpwuid(os.geteuid())
        for path in (self.base, self.logs):
            safe.make_dir(path, me.pw_uid, me.pw_gid, 0o755, {me.pw_uid})

    def ensure_directories(self):
        root = pwd.getpwuid(os.geteuid())
        self.ensure_base()
        safe.make_dir(self.run, root.pw_uid, root.pw_gid, 0o711 if self.as_root else 0o700, {root.pw_uid})
        self.directory(self.pg_socket, self.pg_user, 0o711 if self.as_root else 0o700)
        self.directory(self.bus, self.user, 0o700)
        self.directory(self.tls, root, 0o755)
        self.directory(self.env, root, 0o700)
        self.directory(self.services, root, 0o755)
        self.directory(self.agent, self.user, 0o700)
        self.directory(self.api_ca, self.user, 0o700)
        self.directory(self.issuer_secrets, self.user, 0o700)
        self.directory(self.api_site, self.user, 0o700)
        self.directory(self.nginx, root, 0o755)
        for name in ("run", "site", "tmp"):
            self.directory(self.nginx / name, self.user, 0o700)
        self.directory(self.base / "journal", self.user, 0o700)
        self.directory(self.simulators, self.user, 0o700)

    def write(self, path, text, user=None, mode=0o644):
        """Whole or not at all; in directories of this user only."""
        user = user or pwd.getpwuid(os.geteuid())
        safe.write(path, text if isinstance(text, bytes) else text.encode(), user.pw_uid, user.pw_gid, mode)

    def run_as(self, user, script, path, text=""):
        """A shell script as that user, with the path as $1 and the text to read; what it printed."""
        done = subprocess.run([*self.as_user(user), "sh", "-ec", script, "sh", path], input=text, capture_output=True, text=True,
                              env=clean_environment(), cwd="/", check=False)
        if done.returncode != 0:
            raise StepFailed(f"{user.pw_name} cannot use {path}: {done.stderr.strip()}",
                             "look at what it is; `make clean` starts over")
        return done.stdout

    def write_as(self, user, path, text):
        """Into a directory of that user, as that user: whatever lies there is followed with no right of ours."""
        self.run_as(user, 'umask 077; rm -f -- "$1.tmp"; cat >"$1.tmp"; mv -f -- "$1.tmp" "$1"', path, text)

    def read_as(self, user, path):
        """A file in a directory of that user, as that user; "" when there is none."""
        return self.run_as(user, '{ [ ! -e "$1" ] && [ ! -L "$1" ]; } || cat -- "$1"', path)

    # --- what is remembered between runs ---
    def state(self):
        try:
            state = json.loads((self.base / "state.json").read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            state = None
        if not isinstance(state, dict):
            raise StepFailed(f"{self.base / 'state.json'} is not what `make up` wrote", "rm it; ports are chosen anew")
        return state

    def remember(self, **values):
        state = self.state() | values
        self.write(self.base / "state.json", json.dumps(state, indent=1) + "\n", mode=0o600)
        return state

    @property
    def secrets(self):
        me = pwd.getpwuid(os.geteuid())
        safe.make_dir(self.base / "secrets", me.pw_uid, me.pw_gid, 0o700, {me.pw_uid})
        return self.base / "secrets"

    def secret(self, name, nbytes=32):
        """A secret made at first use and kept, 0600."""
        path = self.secrets / name
        text = safe.read_secret(path)
        if text is None:
            text = secrets.token_hex(nbytes)
            self.write(path, text + "\n", mode=0o600)
        return text.strip()

    def install(self, build):
        """Copies programs and migrations to where the service user can read them."""
        root = pwd.getpwuid(os.geteuid())
        self.directory(self.bin, root, 0o755)
        changed = set()
        for name in PROGRAMS:
            source = next(p for p in (build / d / name for d in
                          ("apiserver", "scheduler", "worker", "agent", "cli")) if p.exists())
            target = self.bin / name
            if not target.exists() or target.read_bytes() != source.read_bytes():
                temp = target.with_suffix(".new")
                shutil.copy(source, temp)
                os.chmod(temp, 0o755)
                os.replace(temp, target)
                changed.add(name)
        shutil.rmtree(self.migrations, ignore_errors=True)
        shutil.copytree(CHECKOUT / "migrations", self.migrations)
        for path in [self.migrations, *self.migrations.rglob("*")]:
            os.chmod(path, 0o755 if path.is_dir() else 0o644)
        return changed

    def as_user(self, user):
        """argv prefix that runs what follows as that user."""
        if not self.as_root:
            return []
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


def clean_environment():
    """PATH and language only: inherited PG* and CERTCTL_* variables must not leak in."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
            "HOME": os.environ.get("HOME", "/")}
