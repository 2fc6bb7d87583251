"""
A whole control plane for one test: a private PostgreSQL, the daemons, agents
and nginx, each in a directory of its own below a short temporary one.

Nothing here sleeps to synchronise: wait_for() looks until it is true or the
deadline passes.  keep=True restarts a process that ends, as a supervisor does.
guard.py ends what is left of it, also when the test was killed.
"""
import contextlib
import functools
import http.client
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

import psycopg2

from guard import Guard

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD_DIR", ROOT / "build")).resolve()
API_KEY = "test-admin-key-0123456789abcdef0123456789abcdef"
BOOTSTRAP = "test-bootstrap-token-0123456789abcdef01234567"
CA_KEY = "test-ca-encryption-key-0123456789abcdef0123456789"
CONFIG_KEY = "test-config-encryption-key-0123456789abcdef01234"


# What no log may hold: reports of sanitizers, of assertions, of the allocator; and
# PostgreSQL's of a deadlock, whose victim is asked again, so that nobody else tells.
ALARMS = ("Sanitizer", "runtime error:", "Assertion", "free():", "malloc():", "corrupted ", "code=LOOP-", "code=OP-STEP",
          "deadlock detected")


@functools.cache
def is_sanitized(build=BUILD):
    path = build / "meson-info" / "intro-buildoptions.json"
    options = json.loads(path.read_text()) if path.exists() else []
    return any(o["name"] == "b_sanitize" and o["value"] != "none" for o in options)


# Sanitizers make all of it slower by some times: limits that only keep a test from
# hanging are that much longer then.  Without them they tell quick from slow.
PATIENCE = 3 if is_sanitized() else 1


class Timeout(AssertionError):
    pass


def code_schema(build=BUILD):
    """The schema of the functions that a build calls."""
    return (build / "migrations" / "code_gen.h").read_text().split('"')[1]


def duty_words(duty):
    """What a duty passes to say in SQL: JSON, from its source."""
    source = (ROOT / "scheduler" / "duties" / f"{duty}.c").read_text()
    literals = re.findall(r'"((?:[^"\\]|\\.)*)"', re.search(r"words\[\] =\n(.*?);\n", source, re.S).group(1))
    return "".join(literals).replace('\\"', '"')


def event_words():
    """What notifications say of what happened, by type: JSON, as the scheduler has it."""
    source = (ROOT / "common" / "policy" / "event_words.h").read_text()
    text = r'((?:[\s\\]*"(?:[^"\\]|\\.)*")+)'
    rows = re.findall(rf'X\("(\w+)",{text},{text}\)', source)
    return json.dumps({f"{name}{more}": "".join(re.findall(r'"([^"]*)"', words))
                       for name, *both in rows for more, words in zip(("", ".many"), both)})


def rule_words():
    """What a broken policy rule is told in, and who is told of it: JSON, as the scheduler has it."""
    source = (ROOT / "common" / "policy" / "rule_words.h").read_text()
    rows = re.findall(r'X\("(\w+)",((?:[\s\\]*"(?:[^"\\]|\\.)*")+)\)', source)
    return json.dumps(json.loads(event_words()) | {name: "".join(re.findall(r'"([^"]*)"', text)) for name, text in rows})


def code_text():
    """The functions of this tree, as its --migrate-only installs them: those of policy.def, and the files of migrations/code."""
    made = subprocess.run([BUILD / "migrations" / "policy_sql"], text=True, capture_output=True, check=True).stdout
    return made + "".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "migrations" / "code").glob("*.sql")))


def job_words():
    """What the scheduler passes to the functions that end jobs by themselves: JSON, as the build has it."""
    return subprocess.run([BUILD / "tools" / "job_fsm_diagram", "--words"], text=True, capture_output=True, check=True).stdout


def wait_for(test, seconds=20, what="a condition", every=None):
    """
    Looks every so many seconds; unless that is said at first often, and then as a tenth of what it has taken, for who looks
    takes time from what it waits for.  What it waits for is a text, or a function that tells it with what is there instead.
    """
    seconds *= PATIENCE
    started = time.monotonic()
    while True:
        result = test()
        if result:
            return result
        took = time.monotonic() - started
        if took > seconds:
            raise Timeout(f"waited {seconds} s for {what() if callable(what) else what}")
        time.sleep(every or min(max(took / 10, 0.01), 0.1))


def is_cut_off(cursor):
    try:
        cursor.execute("SELECT 1")
    except psycopg2.Error:
        return True
    return False


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pg_bin():
    found = sorted((int(p.parts[-3]), p.parent) for p in Path("/usr/lib/postgresql").glob("*/bin/postgres")
                   if p.parts[-3].isdigit())
    return found[-1][1]


def clean_env():
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
            **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}


class Process:
    """One program; restarted at once when keep is set and it ends."""

    def __init__(self, fleet, name, argv, env, keep=False, user=None):
        self.fleet, self.name, self.argv, self.env, self.keep, self.user = fleet, name, argv, env, keep, user
        self.log_path = fleet.dir / "log" / f"{name}.log"
        self.log_begin = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.starts = 0
        self.exits = []
        self.popen = None
        self.lock = threading.Lock()
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(self.argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          cwd="/", start_new_session=True, user=self.user,
                                          group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                                          extra_groups=[] if self.user else None)
        self.starts += 1
        if self.keep:
            threading.Thread(target=self._keep, args=(self.popen,), daemon=True).start()

    def _keep(self, popen):
        popen.wait()
        with self.lock:
            self.exits.append(popen.returncode)
            if self.keep and not self.fleet.is_closing:
                self.end_group(popen)
                self.start()

    @staticmethod
    def end_group(popen):
        """What a killed program leaves behind (nginx's workers keep the port)."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(popen.pid, signal.SIGKILL)

    @property
    def pid(self):
        return self.popen.pid

    def signal(self, signo):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signo)

    def ask_to_stop(self, signo=15):
        with self.lock:
            self.keep = False
        self.signal(signal.SIGCONT)
        if self.popen.poll() is None:
            self.signal(signo)

    def listens(self):
        """It has come so far that SIGTERM would not end it in the middle of starting."""
        try:
            text = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        except OSError:
            return False
        return any(int(line.split()[1], 16) >> signal.SIGTERM - 1 & 1 for line in text.splitlines() if line.startswith(("SigCgt", "SigBlk")))

    def ask_to_restart(self):
        """As a supervisor does; with keep set it comes back."""
        wait_for(self.listens, 20, f"{self.name} to listen")
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)

    def stop(self, timeout=15, signo=15):
        """Asks it to end; returns the exit status (kills it past timeout)."""
        self.ask_to_stop(signo)
        return self.wait_end(timeout)

    def wait_end(self, timeout=15):
        try:
            return self.popen.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()
        finally:
            self.end_group(self.popen)

    def kill(self):
        """SIGKILL; with keep it is started again, and that is waited for."""
        starts = self.starts
        self.signal(signal.SIGKILL)
        if self.keep:
            wait_for(lambda: self.starts > starts, 10, f"{self.name} to start again")
        else:
            self.popen.wait(10)

    def become(self, release):
        """Of another release (upgrade.py) when it is started again; the caller ends it."""
        self.argv = [str(release.program(self.argv[0])), *self.argv[1:]]

    def log(self):
        """What this one said, however often it was started; one of the same name before it wrote to the same file."""
        return self.log_path.read_bytes()[self.log_begin:].decode(errors="replace")


def ended(path):
    """A stream of events has no end of its own: a call asks for what it has at once."""
    if path.partition("?")[0] != "/api/v1/events" or "for=" in path:
        return path
    return f"{path}{'&' if '?' in path else '?'}for=0s"


class Api:
    def __init__(self, port, ca, key=API_KEY):
        self.kept = []  # connections that wait for the next request: a handshake costs more than most of these
        self.port, self.key = port, key
        # Of every request.  Tests write past the apiserver, and its kept answers may be a second old.
        self.headers = {"Cache-Control": "no-cache"}
        self.context = ssl.create_default_context(cafile=str(ca))

    def __del__(self):
        self.close()

    def close(self):
        """Lets the kept connections go."""
        while self.kept:
            self.kept.pop().close()

    def connection(self, timeout):
        """A kept one that the apiserver has not ended, or a new one."""
        while True:
            try:
                connection = self.kept.pop()
            except IndexError:
                return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=timeout)
            # Nothing can be read between requests but the end.
            if not select.select([connection.sock], [], [], 0)[0]:
                connection.sock.settimeout(timeout)
                return connection
            connection.close()

    def call(self, method, path, body=None, key=None, timeout=40, raw=None, headers=None):
        """(status, JSON or text, or bytes that are neither); status 0 when there was no answer."""
        sent = {"Content-Type": "application/json"}
        token = self.key if key is None else key
        if token:
            sent["Authorization"] = f"Bearer {token}"
        sent |= self.headers | (headers or {})
        payload = raw if raw is not None else (None if body is None else json.dumps(body))
        connection = self.connection(timeout)
        try:
            connection.request(method, ended(path), payload, sent)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0, None
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:
            self.kept.append(connection)
        if response.headers.get_content_type() == "application/x-pkcs12":
            return response.status, text
        text = text.decode()
        try:
            return response.status, json.loads(text) if text else None
        except ValueError:
            return response.status, text

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.call("POST", path, body, **more)

    def need(self, method, path, body=None):
        status, reply = self.call(method, path, body)
        assert 200 <= status < 300, f"{method} {path}: {status} {reply}"
        return reply


class Site:
    """A certificate, its target and the nginx that serves it."""

    def __init__(self, fleet, name, port, directory, commands):
        self.fleet, self.name, self.port, self.directory, self.commands = fleet, name, port, directory, commands

    def serial(self):
        return self.fleet.served_serial(self.port)

    def renew(self):
        """The id of the job."""
        return self.fleet.api.need("POST", f"/api/v1/certificates/{self.name}/renew")["job_id"]

    def versions(self):
        """Serials, oldest first."""
        return [r[0] for r in self.fleet.query(
            "SELECT serial_number FROM certificate_versions WHERE certificate_id = %s ORDER BY id", self.name)]

    def wait_served(self, job, seconds=30):
        """What the job made is what is served, and the deployment is over; its serial."""
        self.fleet.wait_job(job, seconds)
        serial = self.fleet.value("SELECT v.serial_number FROM certificate_versions v WHERE v.job_id = %s", job)
        assert serial, self.fleet.query("SELECT status, last_error FROM jobs WHERE id = %s", job)
        wait_for(lambda: self.fleet.value(
            "SELECT j.status FROM jobs j WHERE j.type = 'Deployment' AND j.version_id = 'certver' || substr(%s, 4) "
            "ORDER BY j.id DESC LIMIT 1", job) == "Completed", seconds, self.deployments)
        assert self.serial() == serial
        return serial

    def deployments(self):
        """For who waited for one in vain."""
        return "the deployment, but found " + str(self.fleet.query(
            "SELECT id, status, version_id, last_error FROM jobs WHERE type = 'Deployment' AND certificate_id = %s "
            "ORDER BY id DESC LIMIT 2", self.name))

    def renew_and_wait(self, seconds=30):
        return self.wait_served(self.renew(), seconds)


class Fleet:
    # The directory of a fleet at rest, whose migrated database and keys others
    # copy instead of making their own: become_template().
    template = None
    # A directory in memory: databases lie in one of their own there.
    memory = None
    free_port = staticmethod(free_port)

    def __init__(self, name="t"):
        self.dir = Path(tempfile.mkdtemp(prefix=f"cc-{name[:8]}-", dir="/tmp"))
        self.memory_dir = Path(tempfile.mkdtemp(prefix=f"{self.dir.name}-", dir=self.memory)) if self.memory else None
        self.guard = Guard(self.dir, others=[self.memory_dir] if self.memory_dir else [])
        self.mark = {"TEST_FLEET": str(self.dir)}  # what guard.py knows a process by
        self.is_closing = False
        self.processes = {}
        self.as_root = os.geteuid() == 0
        os.chmod(self.dir, 0o755)
        for sub in ("log", "tls", "journal", "bus"):
            (self.dir / sub).mkdir()
        os.chmod(self.dir / "bus", 0o700)
        self.api_port = None
        self.api = None  # of the first apiserver
        self.apis = {}  # by the name of the process
        self._connections = threading.local()
        self.schedulers = []
        # Several database hosts (pair.py), as the daemons are told them.
        self.url_hosts = None
        # Several hosts (hosts.py): other bus addresses, and what goes with them.
        self.bus = None
        # Addresses of the bus that everybody is told.  Where no scheduler listens each process calls in vain, some times a second.
        self.bus_count = 2
        self.bus_env = {}
        self.alarms = []  # filled by close()

    # --- PostgreSQL ---
    def start_postgres(self, keep=False, fsync="off", hba=(), prefix=(), env=None, **settings):
        """
        fsync is off by default: a killed process loses nothing by it.  hba: more lines for pg_hba.conf; prefix: a command
        of root that ends as PostgreSQL, in another network.
        """
        bin_dir = pg_bin()
        self.pg_user = "postgres" if self.as_root else None
        self.pgdata = self.make_data_dir("pg")
        socket_dir = self.dir / "pgs"
        socket_dir.mkdir()
        self.give_to_postgres(socket_dir)
        self.socket_dir = socket_dir
        self.make_cluster(bin_dir)
        with open(self.pgdata / "pg_hba.conf", "a", encoding="ascii") as rules:
            rules.writelines(f"{line}\n" for line in hba)
        options = {"listen_addresses": "", "unix_socket_directories": str(socket_dir), "max_connections": "200",
                   "shared_buffers": "128MB", "wal_compression": "lz4", "jit": "off", "max_wal_size": "1GB",
                   "fsync": fsync, "log_min_messages": "warning"} | {k: str(v) for k, v in settings.items()}
        argv = [str(bin_dir / "postgres"), "-D", str(self.pgdata)]
        for key, value in options.items():
            argv += ["-c", f"{key}={value}"]
        self.postgres_argv = argv
        if prefix:
            as_user = ["/usr/bin/setpriv", f"--reuid={self.pg_user}", f"--regid={self.pg_user}", "--clear-groups"]
            self.spawn("postgres", [*prefix, *as_user, *argv], env or {}, keep=keep)
        else:
            self.spawn("postgres", argv, env or {}, keep=keep, user=self.pg_user)
        wait_for(self.database_is_up, 30, "PostgreSQL", every=0.05)
        if self.template is None:
            self.make_database()

    def give_to_postgres(self, path):
        if self.as_root:
            entry = pwd.getpwnam("postgres")
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def make_data_dir(self, name):
        """An empty one for a cluster; in memory it has a link from the fleet's own directory."""
        path = (self.memory_dir or self.dir) / name
        path.mkdir(mode=0o700)
        self.give_to_postgres(path)
        if self.memory_dir:
            os.chmod(self.memory_dir, 0o755)
            (self.dir / name).symlink_to(path)
        return path

    def make_cluster(self, bin_dir):
        if self.template is not None:
            subprocess.run(["cp", "-a", "--reflink=auto", f"{self.template}/pg/.", self.pgdata], check=True, cwd="/")
            return
        with open(self.dir / "log" / "initdb.log", "wb") as log:
            subprocess.run([bin_dir / "initdb", "-D", self.pgdata, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                            "--locale=C", "--no-sync"], check=True, stdout=log, stderr=log, env=clean_env() | self.mark,
                           cwd="/", user=self.pg_user)

    def make_database(self):
        with self.admin("postgres") as c:
            for role in ("certctl_apiserver", "certctl_scheduler", "certctl_worker"):
                c.execute(f"CREATE ROLE {role} LOGIN")
            c.execute("CREATE DATABASE certctl")
        self.migrate()

    def become_template(self):
        """What each fleet begins with from now on."""
        self.start_postgres()
        self.processes["postgres"].stop(signo=signal.SIGINT)
        self.make_tls()
        self.make_issuer_secrets()
        Fleet.template = self.dir

    def copy_keys(self, place):
        """False: there is none to copy from."""
        if self.template is None:
            return False
        shutil.copytree(f"{self.template}/{place}", self.dir / place, dirs_exist_ok=True)
        return True

    def migrate(self, *arguments, build=BUILD, root=ROOT):
        env = clean_env() | {"CERTCTL_DATABASE_URL": self.url("postgres"),
                             "CERTCTL_DATABASE_MIGRATIONS_PATH": str(root / "migrations")}
        with open(self.dir / "log" / "migrate.log", "ab") as log:
            subprocess.run([build / "apiserver" / "certctl-apiserver", *(arguments or ("--migrate-only",))],
                           check=True, env=env, cwd="/", stdout=log, stderr=log)

    def url(self, role):
        return f"postgresql://{role}@/certctl?host={','.join(self.url_hosts or [str(self.socket_dir)])}"

    def database_is_up(self):
        try:
            self.connect(database="postgres", connect_timeout=2).close()
            return True
        except psycopg2.OperationalError:
            return False

    def crash_postgres(self, session=None, seconds=60):
        """Kills the process of a session, or of any; PostgreSQL ends them all for it and starts anew from its log, which is waited for.  It
        answers until it has noticed, so one session waits for its own end first."""
        with contextlib.closing(self.connect()) as witness, witness.cursor() as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1")
            os.kill(session or cursor.fetchone()[0], signal.SIGKILL)
            wait_for(lambda: is_cut_off(cursor), seconds, "PostgreSQL to begin anew", every=0.05)
        self.forget_connections()
        wait_for(self.database_is_up, seconds, "PostgreSQL", every=0.05)

    def connect(self, role="postgres", database="certctl", connect_timeout=5):
        """A session that finds functions as the programs do."""
        return psycopg2.connect(host=str(self.socket_dir), user=role, dbname=database, connect_timeout=connect_timeout,
                                options=f"-c search_path={code_schema()},public,pg_temp")

    @contextlib.contextmanager
    def admin(self, database="certctl"):
        connection = self.connect(database=database)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def query(self, sql, *parameters):
        """Rows; a connection a thread is kept, and made again after a crash."""
        for attempt in (1, 2):
            connection = getattr(self._connections, "c", None)
            try:
                if connection is None or connection.closed:
                    connection = self.connect()
                    connection.autocommit = True
                    self._connections.c = connection
                with connection.cursor() as cursor:
                    cursor.execute(sql, parameters or None)
                    return cursor.fetchall() if cursor.description else []
            except psycopg2.Error as e:
                # Only a connection that is gone is worth a second try; after a
                # crash it comes as a DatabaseError without SQLSTATE.  A new one
                # would not know the lock_timeout that was set on this one.
                if e.pgcode == "55P03" or e.pgcode is not None and not isinstance(e, psycopg2.OperationalError):
                    raise
                self._connections.c = None
                if attempt == 2:
                    raise

    def forget_connections(self):
        """The next query of each thread connects anew, to another server."""
        self._connections = threading.local()

    def value(self, sql, *parameters):
        rows = self.query(sql, *parameters)
        return rows[0][0] if rows else None

    def wait_for_duty(self, name, seconds, since=20):
        """The duty has started again, so many seconds after a start; before its first there is no time to count from."""
        def started():
            return self.value("SELECT last_started_at FROM duties WHERE name = %s", name)
        first = wait_for(started, since, f"the first run of {name}")
        wait_for(lambda: started() > first + timedelta(seconds=seconds), seconds + since, f"runs of {name} over {seconds} s")

    def plant(self, sql, *parameters):
        """What no program may write: past triggers and foreign keys.  What triggers would have counted is counted anew."""
        with self.admin() as c:
            c.execute("SET session_replication_role = replica")
            c.execute(sql, parameters or None)
            found = c.fetchall() if c.description else []
            c.execute("SELECT stats_recount()")
            return found

    # --- processes ---
    def spawn(self, name, argv, env, keep=False, user=None):
        process = Process(self, name, [str(a) for a in argv], clean_env() | self.mark | env, keep=keep, user=user)
        self.processes[name] = process
        return process

    def _common(self, name, role):
        return {"CERTCTL_DATABASE_URL": self.url(role), "CERTCTL_LOG_FORMAT": "text", "CERTCTL_PROCESS_NAME": name,
                "CERTCTL_BUS_URLS": ",".join(self.bus_urls())} | self.bus_env

    def bus_urls(self):
        return self.bus or [f"ipc://{self.dir}/bus/s{i}" for i in range(1, self.bus_count + 1)]

    def start_scheduler(self, i=1, keep=False, **env):
        name = f"scheduler-{i}"
        return self.spawn(name, [BUILD / "scheduler" / "certctl-scheduler"],
                          self._common(name, "certctl_scheduler") | {"CERTCTL_BUS_LISTEN_URL": self.bus_urls()[i - 1]} | env,
                          keep=keep)

    def start_worker(self, i=1, keep=False, prefix=(), **env):
        """prefix: a command that ends as the worker, in another network."""
        name = f"worker-{i}"
        return self.spawn(name, [*prefix, BUILD / "worker" / "certctl-worker"], self._common(name, "certctl_worker") | {
            "CERTCTL_CA_ENCRYPTION_KEY": CA_KEY, "CERTCTL_ISSUANCE_JOURNAL_DIR": str(self.dir / "journal"),
            "CERTCTL_ISSUER_SECRETS_KEYS": str(self.make_issuer_secrets() / "issuer-secrets.key")} | env, keep=keep)

    def make_issuer_secrets(self, name="issuer-secrets"):
        """The directory of the key pair, of that name, that the secrets of issuers are sealed to."""
        made = self.dir / "issuer-secrets"
        if (made / f"{name}.key").exists() or (name == "issuer-secrets" and self.copy_keys(name)):
            return made
        subprocess.run([ROOT / "deploy" / "issuer-secrets.sh", made, name], check=True, stdout=subprocess.DEVNULL, env=clean_env())
        return made

    def make_tls(self):
        tls = self.dir / "tls"
        if (tls / "api.pem").exists() or self.copy_keys("tls"):
            return
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", tls / "api.key", "-out", tls / "api.pem"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_env())

    def start_apiserver(self, i=1, keep=False, wait=True, **env):
        """The first is "apiserver" and keeps its port when it is started again; others are "apiserver-2", ..."""
        self.make_tls()
        name = "apiserver" if i == 1 else f"apiserver-{i}"
        if name not in self.apis:
            self.apis[name] = Api(free_port(), self.dir / "tls" / "api.pem")
        api = self.apis[name]
        if i == 1:
            self.api, self.api_port = api, api.port
        process = self.spawn(name, [BUILD / "apiserver" / "certctl-apiserver"], self._common(name, "certctl_apiserver") | {
            "CERTCTL_SERVER_PORT": str(api.port), "CERTCTL_SERVER_TLS_CERT_PATH": str(self.dir / "tls" / "api.pem"),
            "CERTCTL_SERVER_TLS_KEY_PATH": str(self.dir / "tls" / "api.key"),
            "CERTCTL_API_KEYS_NAMED": f"admin:{API_KEY}:admin,viewer:viewer-{API_KEY}",
            "CERTCTL_AGENT_BOOTSTRAP_TOKEN": BOOTSTRAP, "CERTCTL_CONFIG_ENCRYPTION_KEY": CONFIG_KEY,
            "CERTCTL_ISSUER_SECRETS_CERT": str(self.make_issuer_secrets() / "issuer-secrets.pem"),
            "CERTCTL_RATE_LIMIT_ENABLED": "false"} | env, keep=keep)
        if wait:
            self.wait_ready(api)
        return process

    def cli_env(self):
        return {"CERTCTL_SERVER_URL": f"https://127.0.0.1:{self.api_port}", "CERTCTL_API_KEY": API_KEY,
                "CERTCTL_SERVER_CA_BUNDLE_PATH": str(self.dir / "tls" / "api.pem")} | clean_env()

    def cli(self, *arguments, timeout=60, **env):
        """Runs certctl; the finished process with text output."""
        return subprocess.run([BUILD / "cli" / "certctl", *arguments], text=True, capture_output=True, timeout=timeout,
                              env=self.cli_env() | env, check=False)

    def wait_ready(self, api=None):
        wait_for(lambda: (api or self.api).get("/ready")[0] == 200, 20, "the API")

    @staticmethod
    def allowed_commands():
        """Any arguments: each site has a configuration of its own."""
        nginx = shutil.which("nginx", path=clean_env()["PATH"])
        return f"{nginx} *,/usr/bin/true,/usr/bin/false"

    def start_agent(self, name="agent-1", keep=False, wait=True, **env):
        state = self.dir / name
        state.mkdir(mode=0o700, exist_ok=True)
        process = self.spawn(name, [BUILD / "agent" / "certctl-agent"], {
            "CERTCTL_SERVER_URL": f"https://127.0.0.1:{self.api_port}", "CERTCTL_AGENT_NAME": name,
            "CERTCTL_SERVER_CA_BUNDLE_PATH": str(self.dir / "tls" / "api.pem"),
            "CERTCTL_AGENT_BOOTSTRAP_TOKEN": BOOTSTRAP, "CERTCTL_AGENT_STATE_DIR": str(state),
            "CERTCTL_KEY_DIR": str(state / "keys"), "CERTCTL_AGENT_TARGET_DIRS": str(self.dir),
            "CERTCTL_AGENT_COMMANDS": self.allowed_commands(), "CERTCTL_AGENT_START_SPREAD": "0s", "CERTCTL_LOG_FORMAT": "text"} | env,
            keep=keep)
        if wait:
            process.agent_id = wait_for(lambda: self.value("SELECT id FROM agents WHERE name = %s", name), 20,
                                        f"{name} to register")
        return process

    def start_plane(self, keep=False, schedulers=1, workers=1, **env):
        """PostgreSQL (unless it runs), schedulers, workers and the API."""
        if "postgres" not in self.processes:
            self.start_postgres(keep=keep)
        for i in range(1, schedulers + 1):
            self.start_scheduler(i, keep=keep, **env)
        for i in range(1, workers + 1):
            self.start_worker(i, keep=keep, **env)
        self.start_apiserver(keep=keep, **env)

    # --- objects ---
    def make_basics(self, **issuer_config):
        self.api.need("POST", "/api/v1/teams", {"id": "t-test", "name": "Test team"})
        self.api.need("POST", "/api/v1/owners", {"id": "o-test", "name": "Test owner", "email": "owner@example.test",
                                                 "team_id": "t-test"})
        self.api.need("POST", "/api/v1/issuers", {"id": "iss-local", "name": "Local CA", "type": "GenericCA",
                                                  "config": {"validity_days": 90} | issuer_config})

    @staticmethod
    def target(target, agent_id, directory, **config):
        """A body of POST /api/v1/targets."""
        return {"id": target, "name": target, "type": "NGINX", "agent_id": agent_id, "config": {
            "cert_path": str(directory / "current" / "fullchain.pem"), "key_path": str(directory / "current" / "privkey.pem"),
            "validate_command": ["true"], "reload_command": ["true"]} | config}

    def make_target(self, target, agent_id, directory, **config):
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.api.need("POST", "/api/v1/targets", self.target(target, agent_id, directory, **config))

    @staticmethod
    def certificate(name, targets=(), **more):
        """A body of POST /api/v1/certificates."""
        return {"id": name, "name": name, "common_name": f"{name}.example.test", "sans": [f"{name}.example.test"],
                "environment": "development", "owner_id": "o-test", "team_id": "t-test", "issuer_id": "iss-local",
                "renewal_policy_id": "rp-default", "target_ids": list(targets)} | more

    def make_certificate(self, name, targets=(), **more):
        return self.api.need("POST", "/api/v1/certificates", self.certificate(name, targets, **more))

    def start_nginx(self, name="nginx", server_name="_", keep=False):
        """A real nginx over directory/current; (port, directory, config)."""
        home = self.dir / name
        site = home / "site"
        (site / "v" / "placeholder").mkdir(parents=True)
        (home / "tmp").mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=placeholder", "-keyout", site / "v/placeholder/privkey.pem",
                        "-out", site / "v/placeholder/fullchain.pem"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_env())
        os.symlink("v/placeholder", site / "current")
        port = free_port()
        user = "user root;" if self.as_root else ""
        conf = home / "nginx.conf"
        conf.write_text(f"""{user}
pid {home}/nginx.pid;
error_log {home}/error.log warn;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {home}/tmp/a; proxy_temp_path {home}/tmp/b; fastcgi_temp_path {home}/tmp/c;
    uwsgi_temp_path {home}/tmp/d; scgi_temp_path {home}/tmp/e;
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name {server_name};
        ssl_certificate {site}/current/fullchain.pem;
        ssl_certificate_key {site}/current/privkey.pem;
    }}
}}
""")
        nginx = shutil.which("nginx", path=clean_env()["PATH"])
        self.spawn(name, [nginx, "-c", conf, "-g", "daemon off;"], {}, keep=keep)
        wait_for(lambda: self.served_serial(port), 10, "nginx")
        commands = {"validate_command": [nginx, "-t", "-c", str(conf)],
                    "reload_command": [nginx, "-s", "reload", "-c", str(conf)], "host": "127.0.0.1", "port": port}
        return port, site, commands

    @staticmethod
    def served_serial(port):
        """40 hex digits of what a port serves, or None."""
        from cryptography import x509
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=3) as raw, context.wrap_socket(raw) as tls:
                der = tls.getpeercert(binary_form=True)
        except OSError:
            return None
        return f"{x509.load_der_x509_certificate(der).serial_number:040x}"

    # --- whole scenes ---
    def start_site(self, name="demo", agent="agent-1", keep=False, agent_env=None, nginx_config=None, **certificate):
        """nginx, an agent (unless it runs), a target and a certificate."""
        if agent not in self.processes:
            self.start_agent(agent, keep=keep, **(agent_env or {}))
        port, site, commands = self.start_nginx(f"nginx-{name}", keep=keep)
        self.make_target(f"tgt-{name}", self.processes[agent].agent_id, site, **commands | (nginx_config or {}))
        self.make_certificate(name, [f"tgt-{name}"], **certificate)
        return Site(self, name, port, site, commands)

    def wait_job(self, job, seconds=30):
        """The job's row (status, last_error) once it is final."""
        return wait_for(lambda: self.query("SELECT status, last_error FROM jobs WHERE id = %s AND status IN "
                                           "('Completed', 'Failed', 'Cancelled')", job), seconds, f"job {job} to end")[0]

    # --- the end ---
    def find_alarms(self):
        """What no log may hold: the first of each, with the lines after it."""
        found = []
        for path in sorted((self.dir / "log").glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()
            for n, line in enumerate(lines):
                if any(word in line for word in ALARMS):
                    found.append("\n".join([f"{path.name}:", *lines[n:n + 25]]))
                    break
        return found

    def close(self):
        self.is_closing = True
        for api in self.apis.values():
            api.close()
        servers = [p for n, p in self.processes.items() if n in ("postgres", "standby")]
        others = [p for p in self.processes.values() if p not in servers]
        for process in others:
            process.ask_to_stop()
        for process in others:
            process.wait_end()
        # At once: nobody reads again what a checkpoint would write, and a primary would wait for its standby.
        for process in reversed(servers):
            process.ask_to_stop(signal.SIGQUIT)
            process.wait_end(20)
        self.alarms = self.find_alarms()
        self.guard.end()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
