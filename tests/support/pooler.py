"""
A real PgBouncer in front of a fleet's PostgreSQL, listening on a socket of its
own; it runs as who runs PostgreSQL.
"""
import os
import pwd
import shutil
import signal

import psycopg2

from fleet import wait_for

PORT = 6432


class Pooler:
    def __init__(self, fleet, mode, **settings):
        self.fleet, self.name = fleet, f"pooler-{mode}-{len(fleet.processes)}"
        self.dir = fleet.dir / self.name
        self.dir.mkdir()
        self.settings = {"pool_mode": mode, "listen_port": PORT, "unix_socket_dir": self.dir, "auth_type": "trust",
                         "auth_file": self.dir / "users", "admin_users": "postgres", "default_pool_size": 40,
                         "max_client_conn": 200} | settings
        (self.dir / "users").write_text("".join(f'"{user}" ""\n' for user in (
            "postgres", "certctl_apiserver", "certctl_scheduler", "certctl_worker")), encoding="ascii")
        self.write()
        if fleet.pg_user:
            entry = pwd.getpwnam(fleet.pg_user)
            os.chown(self.dir, entry.pw_uid, entry.pw_gid)
        program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
        self.process = fleet.spawn(self.name, [program, self.dir / "ini"], {}, user=fleet.pg_user)
        wait_for(self.answers, 20, "PgBouncer", every=0.05)

    def write(self):
        lines = ["[databases]", f"* = host={self.fleet.socket_dir}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in self.settings.items()]
        (self.dir / "ini").write_text("\n".join(lines) + "\n", encoding="ascii")

    def become(self, mode):
        """Another mode, for sessions that are open as well."""
        self.settings["pool_mode"] = mode
        self.write()
        self.process.signal(signal.SIGHUP)

    def connect(self, role, database="certctl"):
        return psycopg2.connect(host=str(self.dir), port=PORT, user=role, dbname=database, connect_timeout=5)

    def answers(self):
        try:
            self.connect("postgres").close()
            return True
        except psycopg2.OperationalError:
            return False

    def url(self, role):
        return {"CERTCTL_DATABASE_URL": f"postgresql://{role}@/certctl?host={self.dir}&port={PORT}"}
