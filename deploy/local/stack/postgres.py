"""The private PostgreSQL cluster: a socket only, roles with their own passwords."""
import os
import re
import shutil
import subprocess
from pathlib import Path

from .layout import clean_environment
from .ui import StepFailed, wait_until

# A server that recovers after a crash starts once.
STARTS = 4
# Where Debian puts each major version.
INSTALLED = Path("/usr/lib/postgresql")
ROLES = ("certctl_apiserver", "certctl_scheduler", "certctl_worker")


def is_replaced(pid):
    """Whether a server's program was taken away or replaced since it started, as an upgrade of its package does."""
    try:
        return os.readlink(f"/proc/{pid}/exe").endswith(" (deleted)")
    except OSError:
        return False  # it ended, or is not ours to look at


def bin_dir():
    """The newest PostgreSQL from 15 on."""
    found = []
    for path in INSTALLED.glob("*/bin/postgres"):
        version = path.parts[-3]
        if version.isdigit() and int(version) >= 15:
            found.append((int(version), path.parent))
    if not found:
        raise StepFailed(f"no PostgreSQL 15 or later in {INSTALLED}", "install the package postgresql")
    return max(found)[1]


def _version(layout):
    """What made the cluster; "" while there is none."""
    return layout.read_as(layout.pg_user, layout.pgdata / "PG_VERSION").strip()


def _bin_for(layout):
    """An existing cluster stays with the version that made it."""
    version = _version(layout)
    if not version:
        return bin_dir()
    path = INSTALLED / version / "bin"
    if not version.isdigit() or not (path / "postgres").exists():
        raise StepFailed(f"the cluster was made by PostgreSQL {path.parts[-2]}, which is not installed any more",
                         "install it again, or start over with `make clean`")
    return path


def _memory_mb():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 1024


def settings(layout):
    shared = max(32, min(1024, _memory_mb() // 8))
    return f"""# Made by `make up`; changes here are overwritten.
listen_addresses = ''
unix_socket_directories = '{layout.pg_socket}'
max_connections = 150
shared_buffers = {shared}MB
wal_compression = lz4
max_wal_size = 2GB
checkpoint_timeout = 5min
password_encryption = 'scram-sha-256'
jit = off
log_min_messages = warning
log_line_prefix = '%m [%p] %q%u@%d '
fsync = on
synchronous_commit = on
full_page_writes = on
idle_in_transaction_session_timeout = '5min'
"""


def _make_cluster(layout, pg_bin, log):
    """Whole or not at all: initdb that was killed leaves what looks like a cluster."""
    made = layout.base / "pg.new"
    if os.path.lexists(made):
        shutil.rmtree(made)
    layout.directory(made, layout.pg_user, 0o700)
    r = subprocess.run([*layout.as_user(layout.pg_user), pg_bin / "initdb", "-D", made, "-U", "postgres", "-E", "UTF8",
                        "--locale=C", "--auth=reject"],
                       stdout=log.file, stderr=log.file, env=clean_environment(), cwd="/", check=False)
    if r.returncode != 0:
        raise StepFailed("initdb failed", "see the log; `make clean` starts over")
    os.rename(made, layout.pgdata)


def initialise(layout, log):
    """Makes the cluster at first use; always rewrites its settings."""
    pg_bin = _bin_for(layout)
    user = layout.pg_user
    if layout.pgdata.is_dir() and not layout.pgdata.is_symlink() and not any(layout.pgdata.iterdir()):
        layout.pgdata.rmdir()
    if not os.path.lexists(layout.pgdata):
        _make_cluster(layout, pg_bin, log)
    layout.directory(layout.pgdata, user, 0o700)
    if not _version(layout):
        raise StepFailed(f"{layout.pgdata} holds no PostgreSQL cluster",
                         "look at what it is; `make clean` starts over, without what the database held")
    layout.write_as(user, layout.pgdata / "certctl.conf", settings(layout))
    layout.write_as(user, layout.pgdata / "pg_hba.conf",
                    "local all,replication postgres peer map=owner\nlocal certctl all scram-sha-256\n")
    layout.write_as(user, layout.pgdata / "pg_ident.conf", f"owner {user.pw_name} postgres\n")
    main = layout.pgdata / "postgresql.conf"
    text = layout.read_as(user, main)
    if "include 'certctl.conf'" not in text:
        layout.write_as(user, main, text + "\ninclude 'certctl.conf'\n")
    return pg_bin


def url(layout, role):
    password = layout.secret(f"db_{role}")
    host = re.sub(r"[^A-Za-z0-9._~-]", lambda m: f"%{ord(m.group()):02X}", str(layout.pg_socket))
    return f"postgresql://{role}:{password}@/certctl?host={host}"


def _psql(layout, pg_bin, database, sql):
    r = subprocess.run([*layout.as_user(layout.pg_user), pg_bin / "psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1",
                        "-h", layout.pg_socket, "-U", "postgres", "-d", database],
                       input=sql, capture_output=True, text=True, env=clean_environment(), cwd="/", check=False)
    return r.returncode, r.stdout.strip(), r.stderr.strip()


def wait_ready(layout, pg_bin, steps, pid):
    """pid() is that of the server that runs now, or None."""
    seen = set()

    def look():
        if _psql(layout, pg_bin, "postgres", "SELECT 1;")[0] == 0:
            return True
        seen.add(pid())
        if len(seen - {None}) > STARTS:
            raise StepFailed(f"PostgreSQL ends as soon as it has started: {_last_line(layout)}",
                             "`make logs` shows all it said; `make clean` starts over, without what the database held")
        return False
    wait_until(look, 60, steps, f"PostgreSQL on {layout.pg_socket}")


def _last_line(layout):
    try:
        lines = (layout.logs / "postgres" / "current").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return next((line for line in reversed(lines) if "FATAL" in line or "PANIC" in line), lines[-1] if lines else "it said nothing")


def create_database(layout, pg_bin):
    """Roles, database and rights; what exists gets today's password."""
    sql = []
    for role in ("certctl_owner", *ROLES):
        sql.append(f"SELECT 'CREATE ROLE {role} LOGIN' WHERE NOT EXISTS "
                   f"(SELECT 1 FROM pg_roles WHERE rolname = '{role}')\\gexec")
        sql.append(f"ALTER ROLE {role} PASSWORD '{layout.secret('db_' + role)}';")
    sql.append("SELECT 'CREATE DATABASE certctl OWNER certctl_owner' WHERE NOT EXISTS "
               "(SELECT 1 FROM pg_database WHERE datname = 'certctl')\\gexec")
    sql.append("REVOKE ALL ON DATABASE certctl FROM PUBLIC;")
    for role in ROLES:
        sql.append(f"GRANT CONNECT ON DATABASE certctl TO {role};")
    code, _, error = _psql(layout, pg_bin, "postgres", "\n".join(sql))
    if code != 0:
        raise StepFailed(f"could not make the database: {error}", "see the log")
    code, _, error = _psql(layout, pg_bin, "certctl", "ALTER SCHEMA public OWNER TO certctl_owner;")
    if code != 0:
        raise StepFailed(f"could not hand over the schema: {error}", "see the log")


def migrate(layout, log):
    env = clean_environment() | {
        "CERTCTL_DATABASE_URL": url(layout, "certctl_owner"),
        "CERTCTL_DATABASE_MIGRATIONS_PATH": str(layout.migrations),
        "CERTCTL_LOG_FORMAT": "text",
    }
    r = subprocess.run([*layout.as_user(layout.user), layout.bin / "certctl-apiserver", "--migrate-only"],
                       stdout=log.file, stderr=log.file, env=env, cwd="/", check=False)
    if r.returncode != 0:
        raise StepFailed("the migrations failed", "see the log")


def size_mb(path):
    total = 0
    for root, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
            except OSError:
                pass
    return total / 1e6
