"""
A control plane under load: fleet.py's, with a database that keeps what it was told (fsync and its like on), the rate limiter on,
and a look at what each process takes.  By default PostgreSQL is private; a given server gets a database of this run's own, which
goes with it.  guard.py leaves nothing running, also when the run was killed.
"""
import contextlib
import gzip
import json
import os
import secrets
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import make_dsn, parse_dsn

from fleet import BUILD, ROOT, Api, Fleet, clean_env, code_schema, free_port, pg_bin, wait_for
from guard import Guard
from report import NotMeasured
from sampler import Sampler, stat

HERE = Path(__file__).resolve().parent
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}
TOLD_OF_POSTGRESQL = ("shared_buffers", "work_mem", "effective_cache_size", "max_connections", "max_wal_size", "checkpoint_timeout",
                      "wal_compression", "fsync", "synchronous_commit", "full_page_writes")
ROLES = ("certctl_apiserver", "certctl_scheduler", "certctl_worker")
# The limiter on, with the rates that a new installation has.
LIMITED = {"CERTCTL_RATE_LIMIT_ENABLED": "true", "CERTCTL_LOG_LEVEL": "warn"}
HIDDEN = ("KEY", "TOKEN", "SECRET", "PASSWORD", "URL", "PATH", "DIR", "CERT", "PORT", "FILE")


def listeners(port):
    """Sockets of this host that listen on that port."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


class GivenServer:
    """A database, and the roles that were missing, on a server that was given by its URL; both go at the end, however it comes."""

    def __init__(self, url):
        try:
            self.dsn = parse_dsn(url)
        except psycopg2.ProgrammingError as e:
            raise NotMeasured(f"the given server's URL is none of PostgreSQL: {e}") from e
        self.name = f"certctl_loadtest_{os.getpid()}_{secrets.token_hex(4)}"
        self.password = secrets.token_hex(16)
        self.roles = []
        self.directory = Path(tempfile.mkdtemp(prefix="cc-given-", dir="/tmp"))
        self.guard = None
        try:
            self._make()
        except psycopg2.Error as e:
            self.end()
            raise NotMeasured(f"the given server: {e}") from e
        except BaseException:
            self.end()
            raise

    def _make(self):
        with self.admin() as c:
            c.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", (list(ROLES),))
            there = sorted(r[0] for r in c.fetchall())
            if there:
                raise NotMeasured(f"the server has the role {there[0]} already: roles belong to the whole server, so another "
                                 "certctl works there, or an earlier run was cut off.  Give a server without one, or DROP ROLE them.")
            self.roles = list(ROLES)
            self._leave_nothing()
            for role in self.roles:
                c.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(sql.Identifier(role)), (self.password,))
            c.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.name)))

    def _leave_nothing(self):
        """psql of the guard drops both; the password is in a file of ours, for its command line is everybody's to read."""
        known = dict(self.dsn)
        passfile = self.directory / "pgpass"
        passfile.touch(mode=0o600)
        passfile.write_text("*:*:*:*:" + known.pop("password", "").replace("\\", "\\\\").replace(":", "\\:") + "\n", encoding="utf-8")
        words = [f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)', *(f'DROP ROLE IF EXISTS "{r}"' for r in self.roles)]
        self.guard = Guard(self.directory, commands=[["env", f"PGPASSFILE={passfile}", "psql", "-q", "-X", "-d",
                                                      make_dsn(**known | {"dbname": known.get("dbname", "postgres")}),
                                                      *(a for w in words for a in ("-c", w))]])

    @contextlib.contextmanager
    def admin(self):
        connection = psycopg2.connect(**self.dsn | {"dbname": self.dsn.get("dbname", "postgres")}, connect_timeout=10)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def url(self, role):
        """As the programs are told it; the owner is who was given."""
        known = dict(self.dsn) | {"dbname": self.name} | ({} if role == "postgres" else {"user": role, "password": self.password})
        user, database = known.pop("user", "postgres"), known.pop("dbname")
        more = "&".join(f"{key}={quote(value, safe='')}" for key, value in known.items())
        return f"postgresql://{quote(user, safe='')}@/{database}?{more}"

    def connect(self, timeout):
        return psycopg2.connect(**self.dsn | {"dbname": self.name}, connect_timeout=timeout,
                                options=f"-c search_path={code_schema()},public,pg_temp")

    def end(self):
        if self.guard:
            self.guard.end()
        with contextlib.suppress(OSError):
            self.directory.rmdir()


class Stack(Fleet):
    """
    report: gets the settings, PostgreSQL's and what the processes take; database: a given server's URL; postgres: settings of a
    private one, beside those that make it durable.
    """

    def __init__(self, report, database=None, **postgres):
        super().__init__("load")
        self.report = report
        self.given = None
        self.sampler = None
        self.generators = {}
        try:
            if database:
                self.given = GivenServer(database)
                self.migrate()
                if postgres:
                    report.not_measured("settings of a private PostgreSQL: the given server has its own")
            else:
                self.start_postgres(**DURABLE | postgres)
            self._tell_postgresql()
        except BaseException:
            self.close()
            raise

    # --- the database ---
    def url(self, role):
        return self.given.url(role) if self.given else super().url(role)

    def connect(self, role="postgres", database="certctl", connect_timeout=5):
        return self.given.connect(connect_timeout) if self.given else super().connect(role, database, connect_timeout)

    def _tell_postgresql(self):
        self.report.data["postgresql"] = {name: self.value(f"SHOW {name}") for name in TOLD_OF_POSTGRESQL}
        self.report.data["versions"]["postgresql"] = self.value("SHOW server_version").split()[0]
        self.report.data["postgresql"]["where"] = "given" if self.given else "private"
        if not self.server_pid():
            self.report.not_measured("memory and processor time of PostgreSQL: it is on another host")

    def server_pid(self):
        """Of PostgreSQL's first process, where it is on this host; it may have been started anew since."""
        if not self.given:
            return self.processes["postgres"].pid
        if not hasattr(self, "_given_pid"):
            session = self.value("SELECT pg_backend_pid()")
            is_here = (self.value("SELECT host(inet_server_addr())") or "127.0.0.1") in ("127.0.0.1", "::1")
            parent = stat(session)[1:2] if is_here else []
            self._given_pid = int(parent[0]) if parent and "postgres" in Path(f"/proc/{parent[0]}/comm").read_text("ascii") else None
        return self._given_pid

    def seed(self, name):
        """A file of seed/; all of it in one transaction, and more than once is no harm."""
        self.query((HERE / "seed" / name).read_text(encoding="utf-8"))
        with self.admin() as c:
            c.execute("VACUUM ANALYZE")

    # --- processes ---
    def start(self, apiservers=1, schedulers=1, workers=2, **env):
        """The programs, the limiter on; env: settings of all of them."""
        self.bus_count = schedulers
        env = LIMITED | env
        for i in range(1, schedulers + 1):
            self.start_scheduler(i, **env)
        for i in range(1, workers + 1):
            self.start_worker(i, **env)
        for i in range(1, apiservers + 1):
            self.start_apiserver(i, **env)
        self.tell_settings()

    def start_beside(self, i, **env):
        """Another apiserver on the port of the first, which the kernel shares out (SO_REUSEPORT)."""
        self.apis[f"apiserver-{i}"] = Api(self.api_port, self.dir / "tls" / "api.pem")
        process = self.start_apiserver(i, wait=False, **LIMITED | env)
        wait_for(process.listens, 20, f"apiserver-{i} to listen")
        wait_for(lambda: listeners(self.api_port) == i, 20, f"{i} apiservers on one port")

    def tell_settings(self):
        """What the programs were told and is no secret, nor a place or an address of this run."""
        for process in self.processes.values():
            if process.env.get("CERTCTL_RATE_LIMIT_ENABLED") == "false":
                raise ValueError(f"{process.name} has no rate limiter: what is measured is what an operator runs (LIMITED)")
            if process.name.startswith(("apiserver", "scheduler", "worker")):
                self.report.data["settings"] |= {
                    key: value for key, value in process.env.items()
                    if key.startswith("CERTCTL_") and not any(word in key.removeprefix("CERTCTL_") for word in HIDDEN) and key != "CERTCTL_PROCESS_NAME"}

    def make_seed_basics(self):
        """What the seeds refer to: a team, an owner, an issuer and a renewal policy of the names that they have there."""
        for path, body in (("teams", {"id": "t-platform", "name": "Platform"}),
                           ("owners", {"id": "o-alice", "name": "Alice", "email": "alice@example.test", "team_id": "t-platform"}),
                           ("issuers", {"id": "iss-local", "name": "Local CA", "type": "GenericCA", "config": {"validity_days": 90}}),
                           ("renewal-policies", {"name": "standard"})):
            self.api.need("POST", f"/api/v1/{path}", body)
        assert self.value("SELECT count(*) FROM renewal_policies WHERE id = 'rp-standard'") == 1

    def start_bare(self):
        """The port of a server that answers the same few bytes to everything, with our TLS: what the machine could do at most."""
        self.make_tls()
        port = free_port()
        self.spawn("bare", [BUILD / "tests/bench/bare_evhttp", port, self.dir / "tls/api.pem", self.dir / "tls/api.key"], {})
        wait_for(lambda: self.served_serial(port), 10, "the bare server")
        return port

    def end_bare(self):
        self.processes.pop("bare").stop()

    def generate(self, name, argv, env=None):
        """A generator of load, sampled as such; the caller waits for it."""
        process = self.spawn(f"generator-{name}", argv, env or {})
        self.generators[process.name] = process
        return process

    def await_generator(self, process, seconds, tell=lambda: None, every=10.0):
        """Its exit status; one that does not end in that time is killed and fails.  tell: called now and then meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                status = process.popen.wait(every)
                break
            except subprocess.TimeoutExpired:
                tell()
            if time.monotonic() > deadline:
                process.popen.kill()
                process.popen.wait()
                raise NotMeasured(f"{process.name} did not end within {seconds:.0f} s")
        return status

    # --- what they take ---
    def _known(self):
        return {name: p.pid for name, p in list(self.processes.items())
                if name not in ("postgres", "standby", "bare") and p.popen is not None and p.popen.poll() is None}

    @contextlib.contextmanager
    def sampled(self):
        """What is inside is what is measured: the summary's rows of processes are of this time."""
        self.sampler = Sampler(self._known, self.server_pid)
        self.sampler.start()
        try:
            yield self.sampler
        finally:
            self.sampler.stop()
            self.report.data["processes"] = self.sampler.told()
            path = self.dir / "samples.json.gz"
            with gzip.open(path, "wt", encoding="ascii") as out:
                json.dump(self.sampler.samples, out)
            self.report.raw[f"{self.report.scenario}.samples.json.gz"] = path

    def has_died(self):
        """Names of programs that ended by themselves."""
        return [name for name, p in self.processes.items() if name not in self.generators and p.popen.poll() not in (None, 0)]

    def judge_processes(self):
        """No program may have ended, nor said what no log may hold."""
        for name in self.has_died():
            self.report.fail(f"{name} runs to the end", f"it ended with status {self.processes[name].popen.poll()}")
        for alarm in self.find_alarms():
            self.report.fail("no alarm in a log", alarm.splitlines()[0] + " " + "".join(alarm.splitlines()[1:2]))

    def close(self):
        super().close()
        if self.given:
            self.given.end()


