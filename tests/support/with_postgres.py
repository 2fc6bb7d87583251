#!/usr/bin/python3
"""Runs a command with a throw-away PostgreSQL.

usage: with_postgres.py COMMAND [ARGUMENT...]

Makes a cluster in a temporary directory, listening on a Unix socket only,
starts it, sets TEST_DATABASE_URL (and TEST_POSTGRES_CTL, a command that takes
stop, start or restart), runs the command, and removes everything afterwards,
even when it is killed itself (guard.py).
PostgreSQL refuses to run as root: as root it runs as the user postgres.  The
exit status is the command's.  Settings are those of production where a test
could see a difference; fsync is off, for nothing here outlives the test.
"""
import glob
import os
import pwd
import shutil
import subprocess
import sys
import tempfile

from guard import Guard

SETTINGS = """
listen_addresses = ''
unix_socket_permissions = 0777
max_connections = 60
shared_buffers = 32MB
fsync = off
log_min_messages = warning
timezone = 'Europe/Berlin'
"""

CTL = """#!/bin/sh
# stop, start or restart the cluster of this test; more arguments go to pg_ctl
exec %(as_user)s %(pg_ctl)s -D %(data)s -w -t 30 -l %(log)s "$@" >/dev/null
"""


def find_bindir():
    if os.environ.get("PG_BINDIR"):
        return os.environ["PG_BINDIR"]
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"),
                   key=lambda p: int(p.split("/")[4].split(".")[0]))
    if found:
        return os.path.dirname(found[-1])
    initdb = shutil.which("initdb")
    if initdb:
        return os.path.dirname(os.path.realpath(initdb))
    sys.exit("with_postgres.py: no PostgreSQL server binaries; "
             "install the package postgresql, or set PG_BINDIR")


def run(args, log):
    with open(log, "ab") as f:
        result = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=f, stderr=f,
                                cwd="/", check=False)
    if result.returncode != 0:
        with open(log, errors="replace") as f:
            sys.stderr.write("".join(f.readlines()[-15:]))
        sys.exit(f"with_postgres.py: {os.path.basename(args[0])} failed")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    bindir = find_bindir()
    as_user = []
    # Short: a socket's path holds about 100 characters.
    top = tempfile.mkdtemp(prefix="ctpg-", dir="/tmp")
    guard = Guard(top)
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        os.chown(top, user.pw_uid, user.pw_gid)
    # The socket must be reachable by whoever runs the command.
    os.chmod(top, 0o755)
    data, log, ctl = top + "/data", top + "/log", top + "/ctl"
    for name in [n for n in os.environ if n.startswith("PG")]:
        del os.environ[name]

    try:
        open(log, "wb").close()
        os.chmod(log, 0o666)
        run(as_user + [bindir + "/initdb", "-D", data, "-U", "postgres", "-A", "trust",
                       "-E", "UTF8", "--no-locale", "--no-sync"], log)
        with open(data + "/postgresql.conf", "a", encoding="utf-8") as f:
            f.write(SETTINGS + f"unix_socket_directories = '{top}'\n")
        with open(ctl, "w", encoding="utf-8") as f:
            f.write(CTL % {"as_user": " ".join(as_user), "pg_ctl": bindir + "/pg_ctl",
                           "data": data, "log": log})
        os.chmod(ctl, 0o755)
        run([ctl, "start"], log)
        env = dict(os.environ, TEST_DATABASE_URL=f"postgresql:///postgres?host={top}&user=postgres",
                   TEST_POSTGRES_CTL=ctl)
        status = subprocess.run(sys.argv[1:], env=env, check=False).returncode
        sys.exit(status if status >= 0 else 128 - status)
    finally:
        guard.end()


main()
