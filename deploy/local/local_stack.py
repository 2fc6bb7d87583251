#!/usr/bin/python3
"""The local stack: local_stack.py up|down|status|logs|clean (called by make)."""
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

# As root in another user's checkout nothing is written there.
sys.dont_write_bytecode = True

from stack import postgres, ports, prove, safe, services, simulators, tls
from stack.layout import CHECKOUT, Layout
from stack.rest import Api
from stack.ui import Log, StepFailed, Steps, wait_until

CLI_MARK = "# Made by `make up`: the command line with this stack's URL, key and CA."
OWNER = {"id": "o-demo", "name": "Demo owner", "email": "owner@example.test", "team_id": "t-demo"}
ISSUER = {"id": "iss-local", "name": "Local CA", "type": "GenericCA",
          "config": {"ca_common_name": "certctl local CA", "validity_days": 90}}


class Lock:
    """One `make up` or `make down` at a time in a checkout."""

    def __init__(self, path):
        while not self._take(path):
            pass
        self.file.seek(0)
        self.file.truncate()
        self.file.write(f"pid {os.getpid()}, {' '.join(sys.argv[1:])}".encode())

    def _take(self, path):
        """False: whoever held it removed it (clean), and a third may hold the next one."""
        self.file = safe.open_own(path, os.O_RDWR, "r+b")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = self.file.read().decode(errors="replace").strip()
            print(f"Another run holds the lock ({who or 'starting'}); waiting for it.", flush=True)
            fcntl.flock(self.file, fcntl.LOCK_EX)
        return os.path.lexists(path) and os.path.samestat(os.fstat(self.file.fileno()), os.lstat(path))


def build(layout, log, steps):
    env = dict(os.environ)
    # /usr/bin first: meson and compilers are Debian's, whatever PATH holds.
    env["PATH"] = "/usr/bin:/bin:" + env.get("PATH", "")

    def run(*argv):
        if subprocess.run(argv, stdout=log.file, stderr=log.file, env=env, cwd=CHECKOUT, check=False).returncode != 0:
            raise StepFailed(f"{' '.join(argv[:2])} failed", "the compiler's words are in the log")

    directory = layout.build
    if os.path.lexists(directory) and directory.lstat().st_uid not in (0, os.geteuid()):
        raise StepFailed(f"{directory} was made by {safe.name_of(directory.lstat().st_uid)}", f"look at what it is; rm -r {directory}")
    if not (directory / "build.ninja").exists():
        run("meson", "setup", str(directory))
    available = next(int(line.split()[1]) // 1024 for line in Path("/proc/meminfo").read_text().splitlines()
                     if line.startswith("MemAvailable:"))
    jobs = 1 if available < 1500 else os.cpu_count() or 1
    steps.waiting(f"the compiler ({jobs} at a time)")
    run("ninja", "-C", str(directory), f"-j{jobs}")
    return f"5 programs, {jobs} at a time"


class Stack:
    def __init__(self, layout):
        self.layout = layout
        self.layout.ensure_base()
        log = self.layout.logs / "make-up.log"
        self.log = Log(log, safe.open_own(log, os.O_WRONLY | os.O_APPEND))
        self.steps = Steps(self.log)
        self.pg_bin = None
        self.state = {}
        self.restart = set()

    def users(self):
        self.layout.ensure_user()
        self.layout.ensure_directories()
        if not self.layout.as_root:
            return f"everything runs as {self.layout.user.pw_name}"
        where = "" if self.layout.base != self.layout.outside else f"; they can't enter the checkout, so state is in {self.layout.base}"
        return f"PostgreSQL runs as {self.layout.pg_user.pw_name}, the rest as {self.layout.user.pw_name}{where}"

    def install(self):
        changed = self.layout.install(self.layout.build)
        self.restart |= {name for name, program in services.PROGRAM.items() if program in changed}
        return str(self.layout.bin)

    def ports(self):
        state = self.layout.state()
        running = services.pids(self.layout)
        told = []
        for key, wanted, service in (("api_port", 8443, "apiserver"), ("nginx_port", 9443, "nginx")):
            port = state.get(key)
            if port and (service in running or ports.is_free(port)):
                continue
            asked = port or wanted
            port, who = ports.choose(asked, taken=[v for k, v in state.items() if k.endswith("_port") and k != key])
            if who:
                told.append(f"{asked} is held by {who}, so {port}")
            state[key] = port
        self.state = self.layout.remember(api_port=state["api_port"], nginx_port=state["nginx_port"])
        return "; ".join(told) or f"API {state['api_port']}, nginx {state['nginx_port']}"

    def simulators(self):
        if not simulators.is_wanted(self.layout.state()):
            return simulators.end(self.layout, self.steps)
        return simulators.start(self.layout, self.steps)

    def postgres(self):
        self.pg_bin = postgres.initialise(self.layout, self.log)
        tls.ensure_api(self.layout, self.log)
        tls.ensure_issuer_secrets(self.layout, self.log)
        tls.ensure_placeholder(self.layout, self.log)
        if services.write_nginx(self.layout, self.state["nginx_port"]):
            self.restart.add("nginx")
        for name, (command, environment, user) in services.definitions(self.layout, self.state, self.pg_bin).items():
            (self.layout.services / name).mkdir(parents=True, exist_ok=True)
            down = self.layout.services / name / "down"
            if name != "postgres" and not (self.layout.services / name / "supervise" / "ok").exists():
                # Not before the schema is there.
                down.touch()
            if services.define(self.layout, name, command, environment, user):
                self.restart.add(name)
        services.supervise(self.layout)
        running = services.pids(self.layout).get("postgres")
        if running and postgres.is_replaced(running):
            # Its new sessions fail until it is started anew.
            self.steps.waiting("PostgreSQL to restart: its package was upgraded")
            services.restart(self.layout, "postgres")
        services.start(self.layout, "postgres", self.steps)
        postgres.wait_ready(self.layout, self.pg_bin, self.steps, lambda: services.pids(self.layout).get("postgres"))
        postgres.create_database(self.layout, self.pg_bin)
        return f"PostgreSQL {self.pg_bin.parts[-2]}, socket only"

    def migrate(self):
        postgres.migrate(self.layout, self.log)

    def api(self):
        return Api(self.state["api_port"], self.layout.tls / "api-ca.pem", self.layout.secret("api_key"))

    def processes(self):
        for name in services.ORDER:
            if name == "postgres":
                continue
            (self.layout.services / name / "down").unlink(missing_ok=True)
            running = services.is_up(self.layout, name)
            if running and name in self.restart:
                self.steps.waiting(f"{name} to restart with the new build")
                services.restart(self.layout, name)
            else:
                services.start(self.layout, name, self.steps)
        api = self.api()
        wait_until(lambda: api.call("GET", "/ready")[0] == 200, 30, self.steps, "the API to be ready")

        def alive():
            status, reply = api.call("GET", "/api/v1/admin/processes")
            return status == 200 and reply.get("leader", {}).get("term") and \
                sum(1 for w in reply.get("workers", []) if w.get("alive")) >= 2
        wait_until(alive, 30, self.steps, "a leader and two workers")
        return "1 apiserver, 1 scheduler, 2 workers, 1 agent, nginx"

    def objects(self):
        api = self.api()
        api.ensure("/api/v1/teams", {"id": "t-demo", "name": "Demo team"})
        api.ensure("/api/v1/owners", OWNER)
        api.ensure("/api/v1/issuers", ISSUER)

        def agent_id():
            reply = api.call("GET", "/api/v1/agents?per_page=500")[1]
            return next((a["id"] for a in reply.get("data") or [] if a["name"] == "local-agent"), None)
        agent = wait_until(agent_id, 30, self.steps, "the agent to register")
        self.target("tgt-demo", "local nginx", agent, self.layout.nginx / "site",
                    {"port": self.state["nginx_port"], "server_name": prove.NAME} | services.nginx_commands(self.layout))
        self.certificate("demo", "iss-local", [prove.NAME], "tgt-demo")
        api.ensure("/api/v1/issuers", {"id": "iss-api", "name": "API CA", "type": "GenericCA", "config": {
            "ca_cert_path": str(self.layout.api_ca / "api-ca.pem"), "ca_key_path": str(self.layout.api_ca / "api-ca.key"),
            "validity_days": 90}})
        self.target("tgt-api", "local API", agent, self.layout.api_site, {
            "port": self.state["api_port"], "server_name": "localhost", "validate_command": services.NOTHING,
            "reload_command": services.NOTHING})
        self.certificate("api", "iss-api", ["localhost", "127.0.0.1"], "tgt-api")
        for issuer in simulators.issuers(self.layout):
            self.simulated(issuer, agent)
        return "team, owner, issuers, targets, certificates demo and api, all through the REST API"

    def simulated(self, issuer, agent):
        """An issuer of a simulated CA, and a certificate to renew there."""
        api, name = self.api(), issuer["id"]
        if not api.ensure("/api/v1/issuers", issuer):
            api.need("PUT", f"/api/v1/issuers/{name}", {"config": issuer["config"]})
        site = self.layout.nginx / "site" / name / "current"
        api.ensure("/api/v1/targets", {"id": f"tgt-{name}", "name": name, "type": "NGINX", "agent_id": agent, "config": {
            "cert_path": str(site / "fullchain.pem"), "key_path": str(site / "privkey.pem"), "validate_command": services.NOTHING,
            "reload_command": services.NOTHING}})
        self.certificate(name, name, [f"{name}.certctl.test"], f"tgt-{name}")

    def roots(self):
        """What is to be trusted for the local issuer's sake; a successor signs once it stands there."""
        api = self.api()
        cas = api.need("GET", "/api/v1/issuers/iss-local/cas")["data"]
        self.layout.write(self.layout.tls / "local-roots.pem", "".join(ca["certificate_pem"] for ca in cas), mode=0o644)
        for ca in cas:
            if ca["state"] == "next":
                api.need("POST", "/api/v1/issuers/iss-local/switch", {"fingerprint_sha256": ca["fingerprint_sha256"]})
                return "a successor of the root signs from now on"
        return f"{len(cas)} to trust, in {self.layout.tls / 'local-roots.pem'}"

    def target(self, target, name, agent, directory, config):
        """What the agent deploys to; the port may be another one than last time."""
        api = self.api()
        site = directory / "current"
        config = {"cert_path": str(site / "fullchain.pem"), "key_path": str(site / "privkey.pem"), "host": "127.0.0.1"} | config
        if not api.ensure("/api/v1/targets", {"id": target, "name": name, "type": "NGINX", "agent_id": agent, "config": config}):
            stored = api.need("GET", f"/api/v1/targets/{target}")["config"]
            if any(stored.get(k) != v for k, v in config.items()):
                api.need("PUT", f"/api/v1/targets/{target}", {"config": config})

    def certificate(self, name, issuer, names, target):
        tags = {"owner": "o-demo"}  # what the policies that every plane has ask for
        if not self.api().ensure("/api/v1/certificates", {
            "id": name, "name": name, "common_name": names[0], "sans": names, "environment": "development", "tags": tags,
            "owner_id": "o-demo", "team_id": "t-demo", "issuer_id": issuer, "renewal_policy_id": "rp-default", "target_ids": [target]}):
            stored = self.api().need("GET", f"/api/v1/certificates/{name}").get("tags") or {}
            if "owner" not in stored:  # made before it was given one
                self.api().need("PUT", f"/api/v1/certificates/{name}", {"tags": stored | tags})

    def newest_version(self, name):
        reply = self.api().call("GET", f"/api/v1/certificates/{name}/versions?per_page=1")[1]
        return (reply.get("data") or [None])[0]

    def ask(self, name):
        """For another version of a certificate, unless one is under way."""
        status, reply = self.api().call("POST", f"/api/v1/certificates/{name}/renew")
        if status not in (202, 409):
            raise StepFailed(f"the request for the certificate {name} answered {status}: {reply}", "`make logs` says more")

    def await_served(self, name, port, host, directory, since):
        """Until the port serves the newest version, made since then, whose key lies in the directory; what was seen."""
        started, asked_again = time.monotonic(), []
        key = directory / "current" / "privkey.pem"

        def look():
            version = self.newest_version(name)
            if not version or version["created_at"] < since:
                return None
            seen = prove.key_matches(version["pem_chain"], key, self.layout.as_user(self.layout.user)) and \
                prove.served(port, version["pem_chain"], host)
            if not seen and not asked_again and time.monotonic() - started > 5:
                # An earlier deployment failed (nginx was down, say) and waits
                # for its back-off; a person would ask for it now.
                asked_again.append(self.api().call("POST", f"/api/v1/certificates/{name}/deploy"))
            return seen
        return wait_until(look, 60, self.steps, f"{host} to be served with its newest certificate", every=0.1)

    def prove(self):
        """That a certificate issued today, valid and not revoked, is what nginx serves."""
        started, today = time.monotonic(), time.strftime("%Y-%m-%d", time.gmtime())
        status = self.api().need("GET", "/api/v1/certificates/demo")["status"]
        if status in ("Revoked", "Archived"):
            raise StepFailed(f"the certificate demo is {status.lower()}, so nothing is proved by it",
                             "`make clean` and `make up` begin anew")
        if not self.newest_version("api"):
            self.ask("api")
        old = self.newest_version("demo")
        if not old or old["created_at"] < today:
            self.ask("demo")
        seen = self.await_served("demo", self.state["nginx_port"], prove.NAME, self.layout.nginx / "site", today)
        self.await_served("api", self.state["api_port"], "localhost", self.layout.api_site, "")
        self.proof = (f"Proved: https://127.0.0.1:{self.state['nginx_port']} serves serial {seen['serial']}, issued today by "
                      f"{seen['issuer']}, key matches, chain verifies, after {time.monotonic() - started:.1f} s")
        return "one TLS handshake"

    def health(self):
        """What certctl status says once everything has had a moment; who made the stack finds it up in any case."""
        api = self.api()
        said = []

        def look():
            said[:] = api.call("GET", "/api/v1/admin/conditions")
            return said[0] == 200 and said[1]["healthy"]
        try:
            wait_until(look, 15, self.steps, "everything to be well")
        except StepFailed:
            worst = next(iter(said[1].get("data") or []), {"what": f"the API answered {said[0]}", "subject": "", "detail": ""})
            return f"NOT healthy, and {self.command()} status says more: {worst['what']} ({worst['subject']} {worst['detail']})"
        return "healthy"

    def cli(self):
        """The command that knows URL, key and CA: ./certctl, but in the state where the checkout is another user's."""
        env = self.layout.base / "cli.env"
        self.layout.write(env, f"CERTCTL_SERVER_URL=https://127.0.0.1:{self.state['api_port']}\n"
                          f"CERTCTL_SERVER_CA_BUNDLE_PATH={self.layout.tls / 'api-ca.pem'}\n"
                          f"CERTCTL_API_KEY={self.layout.secret('api_key')}\n", mode=0o600)
        def quoted(path):
            return "'" + str(path).replace("'", "'\\''") + "'"
        self.layout.write(self.layout.cli, f"""#!/bin/sh
{CLI_MARK}
while IFS='=' read -r name value; do
    export "$name=$value"
done <{quoted(env)}
exec {quoted(self.layout.bin / 'certctl')} "$@"
""", mode=0o755)
        return self.command()

    def command(self):
        return "./certctl" if self.layout.cli.parent == CHECKOUT else str(self.layout.cli)

    def epilogue(self):
        port, nginx = self.state["api_port"], self.state["nginx_port"]
        print(f"""
{self.proof}

API    https://127.0.0.1:{port}
Key    {self.layout.base}/secrets/api_key (name local-admin)
CA     {self.layout.tls}/api-ca.pem
Users  {self.users()}
Disk   {postgres.size_mb(self.layout.base) + postgres.size_mb(self.layout.build):.0f} MB

Try next:
  {self.command()} certs list
  openssl s_client -connect 127.0.0.1:{nginx} -servername {prove.NAME} </dev/null 2>/dev/null | openssl x509 -noout -serial -enddate
  {self.command()} certs renew demo --wait
  {self.command()} status
  make chaos KILLS=20""" + (f"""
  {self.command()} certs renew sim-digicert --wait    (a CA that makes you wait; each of `{self.command()} issuers list` has one)"""
                            if simulators.issuers(self.layout) else ""))

    def up(self):
        run = self.steps.run
        run("users", self.users)
        run("build", build, self.layout, self.log, self.steps)
        run("install", self.install)
        run("ports", self.ports)
        run("simulators", self.simulators)
        run("postgres", self.postgres)
        run("migrate", self.migrate)
        run("processes", self.processes)
        run("cli", self.cli)
        run("objects", self.objects)
        run("proof", self.prove)
        run("roots", self.roots)
        run("health", self.health)
        self.epilogue()

    def down(self):
        self.steps.run("down", lambda: "stopped" if services.stop(self.layout, self.steps) else "nothing was running")

    def status(self):
        pids = services.pids(self.layout)
        for name in services.order(self.layout):
            print(f"{name:<12} {'up, pid ' + str(pids[name]) if name in pids else 'down'}")
        if "apiserver" in pids and self.layout.cli.exists():
            sys.stdout.flush()
            return subprocess.run([self.layout.cli, "status"], check=False).returncode
        return 0 if len(pids) == len(services.order(self.layout)) else 1

    def logs(self):
        files = [str(self.layout.logs / name / "current") for name in services.order(self.layout)
                 if (self.layout.logs / name / "current").exists()]
        if not files:
            print("Nothing has logged yet; start with `make up`.")
            return
        os.execvp("tail", ["tail", "-n", "40", *files])

    def clean(self):
        self.down()
        safe.remove_own(self.layout.cli, CLI_MARK)
        for path in (self.layout.build, self.layout.base, self.layout.run, self.layout.outside):
            safe.remove_tree(path)
        self.layout.lock.unlink()
        print("What was ours is removed: state, sockets, build and the command. Packages stay installed.")


def main():
    verbs = ("up", "down", "status", "logs", "clean")
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        sys.exit(f"usage: local_stack.py {'|'.join(verbs)}")
    verb = sys.argv[1]
    os.umask(0o022)
    lock = None
    try:
        layout = Layout()
        if verb in ("up", "down", "clean"):
            lock = Lock(layout.lock)
        result = getattr(Stack(layout), verb)()
    except StepFailed as e:
        sys.exit(f"FAILED: {e.why}\n  To fix it: {e.fix}")
    except OSError as e:
        sys.exit(f"FAILED: {e}\n  To fix it: see to what it names (room on the disk, rights), then run it again; it goes on where it was")
    del lock
    return result


if __name__ == "__main__":
    sys.exit(main())
