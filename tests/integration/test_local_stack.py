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
import sys
import tempfile
from pathlib import Path

import pytest

from fleet import ROOT, clean_env
from local_checkout import IS_ROOT, NOBODY, Checkout, as_root

NOT_SANITIZED = "the scripts of make up alone"

USERS = [None, NOBODY] if IS_ROOT else [None]


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
    for path in (checkout.base, checkout.run_dir, checkout.outside, checkout.lock):
        assert not path.exists()


def test_who_waited_for_a_lock_that_was_removed_takes_the_next(checkout):
    """Of clean, an up that waited for it, and a third, only one goes on."""
    script = ("import fcntl, os, sys, pathlib, local_stack; sys.argv = ['x', 'up']\n"
              "path = pathlib.Path(%r)\n"
              "first = local_stack.Lock(path)\n"
              "flock = fcntl.flock\n"
              "def late(file, how):\n"
              "    fcntl.flock = flock; path.unlink(); os.close(first.file.fileno()); flock(file, how)\n"
              "fcntl.flock = late\n"
              "second = local_stack.Lock(path)\n"
              "print(os.path.samestat(os.fstat(second.file.fileno()), path.stat()))")
    done = checkout.python(script % str(checkout.lock))
    assert done.stdout == "True\n", done.stderr


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


@pytest.mark.parametrize("name", ["a,b", "a$b", 'a"b', "a\\b", "a\nb", "a\x1bb", "a\u202eb"])
def test_a_path_that_would_be_read_as_another_is_refused(tmp_path, name):
    directory = tmp_path / name
    shutil.copytree(ROOT / "deploy" / "local", directory / "deploy" / "local", ignore=shutil.ignore_patterns("__pycache__"))
    for verb in ("up", "clean"):
        done = subprocess.run(["/usr/bin/python3", "-B", directory / "deploy" / "local" / "local_stack.py", verb], text=True,
                              capture_output=True, timeout=30, check=False, env=clean_env())
        refused(done, "the path of this checkout holds")
    assert sorted(p.name for p in directory.iterdir()) == ["deploy"]


@as_root
def test_an_account_that_logs_in_is_not_taken_over(new_checkout):
    script = ("from stack import layout; import pwd; was = layout._user\n"
              "def user(n): u = was('root'); return u if n == 'certctl' else was(n)\n"
              "layout._user = user; layout.Layout().ensure_user()")
    done = new_checkout().python(script)
    assert done.returncode != 0 and "the user certctl logs in" in done.stderr


def test_a_checkout_that_is_closed_to_its_user_is_told(new_checkout):
    checkout = new_checkout(NOBODY if IS_ROOT else None)  # nothing is closed to root
    checkout.dir.chmod(0o555)
    for verb in ("up", "down", "clean", "status"):
        refused(checkout.verb(verb))
    checkout.dir.chmod(0o755)


@pytest.mark.parametrize("text", ["", "[]", "{", "5"])
def test_state_that_is_not_its_own_is_told(checkout, text):
    assert checkout.prepared().returncode == 0
    done = checkout.python(f"from stack.layout import Layout; l = Layout(); l.write(l.base / 'state.json', {text!r}); l.state()")
    assert done.returncode != 0 and "is not what `make up` wrote" in done.stderr


def test_clean_leaves_what_is_not_ours(checkout):
    assert checkout.prepared().returncode == 0
    (checkout.dir / "certctl").write_text("#!/bin/sh\necho a script of mine\n")
    elsewhere = checkout.home / "elsewhere"
    (elsewhere / "kept").mkdir(parents=True)
    (checkout.dir / "build").symlink_to(elsewhere)
    done = checkout.verb("clean")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is not ours and stays") == 2
    assert (checkout.dir / "certctl").read_text().endswith("mine\n") and (elsewhere / "kept").is_dir()


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


# --- packages ---

# /usr/sbin, /etc/postgresql-common and /run of its own, and an apt-get that
# tells what a package's scripts would find there.
HOST = """
set -eu
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/bin"
mount -t overlay none -o "lowerdir=/usr/sbin,upperdir=$1/upper,workdir=$1/work" /usr/sbin
mount -t tmpfs none /etc/postgresql-common
mount -t tmpfs none /run
rm -f /usr/sbin/policy-rc.d
cat >"$1/bin/apt-get" <<'EOF'
#!/bin/sh
[ "$2" = install ] || exit 0
/usr/sbin/policy-rc.d && echo allowed || echo "held back: $?"
cat /etc/postgresql-common/createcluster.d/*
[ ! -e /run/kill ] || kill -9 $PPID
EOF
chmod 755 "$1/bin/apt-get"
PATH=$1/bin:$PATH
install() { "$2" --as-root some-package || echo "ended: $?"; }
left() { ls /usr/sbin/policy-rc.d /etc/postgresql-common/createcluster.d 2>&1 || :; }
"""


def on_a_host(tmp_path, script):
    probe = subprocess.run(["unshare", "--mount", "true"], text=True, capture_output=True, check=False, env=clean_env())
    if probe.returncode != 0:
        pytest.skip(f"no mount namespaces here: {probe.stderr}")
    done = subprocess.run(["unshare", "--mount", "sh", "-c", HOST + script, "sh", tmp_path, ROOT / "deploy" / "local" / "packages.sh"],
                          text=True, capture_output=True, timeout=30, check=False, env=clean_env())
    assert done.returncode == 0, done.stderr
    return done.stdout


@as_root
def test_a_server_whose_files_were_replaced_is_known(tmp_path):
    """As a package's upgrade does it: another file under the same name."""
    program = tmp_path / "server"
    shutil.copy("/usr/bin/sleep", program)
    script = "import sys; sys.path.insert(0, sys.argv[1]); from stack import postgres; print(postgres.is_replaced(int(sys.argv[2])))"

    def is_replaced():
        return subprocess.run([sys.executable, "-c", script, ROOT / "deploy" / "local", str(server.pid)], text=True, check=True,
                              capture_output=True, env=clean_env()).stdout.strip()
    with subprocess.Popen([program, "600"]) as server:
        try:
            assert is_replaced() == "False"
            shutil.copy("/usr/bin/sleep", tmp_path / "new")
            os.rename(tmp_path / "new", program)
            assert is_replaced() == "True"
        finally:
            server.kill()
    assert is_replaced() == "False"


def test_packages_hold_services_back_while_apt_runs(tmp_path):
    output = on_a_host(tmp_path, 'install "$@"; left')
    assert output.count("held back: 101") == 1 and "create_main_cluster = false" in output
    assert output.count("No such file or directory") == 2, output
    # what the host has stays
    output = on_a_host(tmp_path, "printf '#!/bin/sh\\nexit 104\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d\n"
                                 "mkdir /etc/postgresql-common/createcluster.d; touch /etc/postgresql-common/createcluster.d/mine\n"
                                 'install "$@"; left')
    assert "held back: 104" in output and "/usr/sbin/policy-rc.d\n" in output and output.endswith("mine\n")


@as_root
def test_packages_that_were_killed_hold_nothing_back_for_good(tmp_path):
    output = on_a_host(tmp_path, 'touch /run/kill; install "$@"; /usr/sbin/policy-rc.d && echo "free again"; rm /run/kill; install "$@"; left')
    assert output.count("held back: 101") == 2 and "ended: 137" in output and "free again" in output
    assert "policy-rc.d': No such file or directory" in output and output.endswith("createcluster.d:\n"), output
