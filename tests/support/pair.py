"""
A second PostgreSQL beside a fleet's: its standby, made by pg_basebackup.

    pair = Pair(fleet)        after start_postgres(), before the daemons
    pair.primary.kill()       SIGKILL, all of it at once
    pair.promote()            the standby takes writes; the fleet's own queries go there

fleet.url() names both from then on, the first one first.  Each server listens
on a socket of its own; listen gives the standby an address too.
"""
import contextlib
import os
import signal
import subprocess

import psycopg2

from fleet import clean_env, pg_bin, wait_for

NAME = "standby"  # as synchronous_standby_names knows it


def family(pid):
    """It and its children, as PostgreSQL has them: the postmaster's own."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as found:
            return [pid, *map(int, found.read().split())]
    return [pid]


class Server:
    def __init__(self, fleet, process, data, socket_dir):
        self.fleet, self.process, self.data, self.socket_dir = fleet, process, data, socket_dir

    def connect(self, database="postgres"):
        connection = psycopg2.connect(host=str(self.socket_dir), user="postgres", dbname=database, connect_timeout=5)
        connection.autocommit = True
        return connection

    def query(self, sql, *parameters, database="postgres"):
        with contextlib.closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def set(self, **settings):
        for name, value in settings.items():
            self.query(f"ALTER SYSTEM SET {name} = %s", value)
        self.query("SELECT pg_reload_conf()")

    def is_up(self):
        try:
            self.connect().close()
            return True
        except psycopg2.OperationalError:
            return False

    def signal(self, signo):
        """To all of its processes; the postmaster is first, so that it forks no other meanwhile."""
        for pid in family(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signo)

    def freeze(self):
        """It listens, and nothing ever answers; what came meanwhile is forked and frozen as well."""
        self.process.signal(signal.SIGSTOP)
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        self.process.keep = False
        self.process.signal(signal.SIGSTOP)
        self.signal(signal.SIGKILL)
        self.process.popen.wait(20)

    def stop(self):
        """At once and in order; start() brings it back."""
        self.process.stop(signo=signal.SIGINT)

    def start(self, wait=True):
        self.process.start()
        if wait:
            wait_for(self.is_up, 30, f"{self.process.name} to answer", every=0.05)


class Pair:
    def __init__(self, fleet, synchronous=False, listen=""):
        self.fleet = fleet
        self.primary = Server(fleet, fleet.processes["postgres"], fleet.pgdata, fleet.socket_dir)
        data, sockets = fleet.make_data_dir("pg2"), fleet.dir / "pgs2"
        sockets.mkdir(mode=0o755)
        fleet.give_to_postgres(sockets)
        with open(fleet.dir / "log" / "basebackup.log", "wb") as log:
            subprocess.run([pg_bin() / "pg_basebackup", "-R", "-c", "fast", "-X", "stream", "--no-sync", "-D", data,
                            "-d", f"host={fleet.socket_dir} user=postgres application_name={NAME}"],
                           check=True, stdout=log, stderr=log, env=clean_env(), cwd="/", user=fleet.pg_user)
        # The last of an option counts.
        argv = list(fleet.postgres_argv)
        argv[argv.index("-D") + 1] = str(data)
        argv += ["-c", f"unix_socket_directories={sockets}", "-c", f"listen_addresses={listen}"]
        self.standby = Server(fleet, fleet.spawn("standby", argv, {}, user=fleet.pg_user), data, sockets)
        wait_for(self.standby.is_up, 30, "the standby", every=0.05)
        self.wait_streaming()
        if synchronous:
            self.primary.set(synchronous_standby_names=NAME)
            self.wait_synchronous()
        fleet.url_hosts = [str(fleet.socket_dir), str(sockets)]

    def wait_streaming(self, seconds=30):
        wait_for(lambda: self.primary.query("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"), seconds, "replication", every=0.05)

    def wait_synchronous(self, seconds=30):
        wait_for(lambda: self.primary.query("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"),
                 seconds, "a synchronous standby", every=0.05)

    def promote(self):
        """Returns when it takes writes; from now on the fleet's queries go to it."""
        self.standby.query("SELECT pg_promote(false)")
        wait_for(lambda: self.takes_writes(self.standby), 30, "the standby to take writes")
        self.follow(self.standby)

    @staticmethod
    def takes_writes(server):
        return server.query("SELECT NOT pg_is_in_recovery()")[0][0]

    def follow(self, server):
        """The fleet's own queries go to this one."""
        self.fleet.socket_dir = server.socket_dir
        self.fleet.forget_connections()
