"""The supervisor: runit's runsvdir over one directory a process."""
import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

from . import postgres, simulators
from .layout import clean_environment
from .ui import StepFailed, wait_until

# In the order they start; stopped the other way round.
ORDER = ("postgres", "scheduler", "worker-1", "worker-2", "apiserver", "nginx", "agent")
SIMULATORS = "simulators"  # first of all, where they are wanted
PROGRAM = {"apiserver": "certctl-apiserver", "scheduler": "certctl-scheduler", "worker-1": "certctl-worker",
           "worker-2": "certctl-worker", "agent": "certctl-agent"}


def order(layout):
    return ((SIMULATORS,) if (layout.services / SIMULATORS).is_dir() else ()) + ORDER


def _run_script(layout, name, command, user):
    """No shell variables, no inherited environment: an envdir and one exec,
    in a process group of its own whose number finish knows."""
    words = ["env", "-i", f"PATH={clean_environment()['PATH']}", "LC_ALL=C.UTF-8", "chpst", "-P", "-e", str(layout.env / name)]
    if layout.as_root:
        words += ["-u", f":{user.pw_uid}:{user.pw_gid}"]
    words += [str(w) for w in command]
    return "#!/bin/sh\nexec 2>&1\necho $$ >group\ncd /\nexec " + " ".join(shlex.quote(w) for w in words) + "\n"


# What a killed process leaves behind (nginx's workers keep the port) must go
# before its successor starts.
FINISH = """#!/bin/sh
read -r group <group && kill -KILL -"$group" 2>/dev/null
exit 0
"""


def _executable(layout, path, text):
    if not path.exists() or path.read_text() != text:
        layout.write(path, text, mode=0o755)
        return True
    return False


def define(layout, name, command, environment, user):
    """Writes one service; says whether anything about it changed."""
    directory = layout.services / name
    directory.mkdir(parents=True, exist_ok=True)
    changed = False
    env_dir = layout.env / name
    env_dir.mkdir(mode=0o700, exist_ok=True)
    for key in os.listdir(env_dir):
        if key not in environment:
            (env_dir / key).unlink()
            changed = True
    for key, value in environment.items():
        path = env_dir / key
        if not path.exists() or path.read_text() != value + "\n":
            layout.write(path, value + "\n", mode=0o600)
            changed = True
    changed |= _executable(layout, directory / "run", _run_script(layout, name, command, user))
    if name != "postgres":
        # PostgreSQL's children end by themselves when their parent is gone.
        _executable(layout, directory / "finish", FINISH)
    log_dir = layout.logs / name
    log_dir.mkdir(parents=True, exist_ok=True)
    (directory / "log").mkdir(exist_ok=True)
    _executable(layout, directory / "log" / "run",
                "#!/bin/sh\nexec svlogd " + shlex.quote(str(log_dir)) + "\n")
    return changed


def _pid(layout):
    """The pid of our runsvdir, found by what it is: a run that was killed may not have noted it."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            is_ours = process.stat().st_uid == os.geteuid()
        except OSError:
            continue
        if is_ours and words[0].endswith(b"runsvdir") and words[1:3] == [b"-P", os.fsencode(layout.services)]:
            return int(process.name)
    return None


def supervise(layout):
    """Starts runsvdir, detached from the shell, unless it runs."""
    if _pid(layout):
        return
    # Control pipes left by a reboot or a kill -9 name nobody.
    with open(layout.logs / "runsvdir.log", "ab") as log:
        subprocess.Popen(["runsvdir", "-P", str(layout.services)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                         env=clean_environment(), cwd="/", start_new_session=True)


def is_supervised(layout, name):
    """Whether a runsv listens to the service's pipe, which outlives it."""
    try:
        os.close(os.open(layout.services / name / "supervise" / "ok", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def sv(layout, command, name):
    r = subprocess.run(["sv", "-w", "10", command, str(layout.services / name)], capture_output=True, text=True,
                       env=clean_environment(), check=False)
    return r.returncode == 0, r.stdout.strip()


def is_up(layout, name):
    ok, text = sv(layout, "status", name)
    return ok and text.startswith("run:")


def start(layout, name, steps):
    """runsvdir looks for new services every five seconds."""
    wait_until(lambda: is_supervised(layout, name) and sv(layout, "up", name)[0],
               60, steps, f"the supervisor to start {name}", every=0.1)


def restart(layout, name):
    if name == "postgres":
        sv(layout, "interrupt", name)
    sv(layout, "restart", name)


def pids(layout):
    """name -> pid of what runs."""
    found = {}
    for name in order(layout):
        path = layout.services / name / "supervise" / "pid"
        if not is_supervised(layout, name):
            continue
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text:
            found[name] = int(text)
    return found


def _gone(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
    return not os.path.exists(f"/proc/{pid}")


# A busy machine may take long over what needs a second.
STOP_S = 60


def _end_strays(layout, steps):
    """What outlived its runsvdir."""
    for name in reversed(order(layout)):
        if is_supervised(layout, name):
            sv(layout, "exit", name)
            wait_until(lambda: not is_supervised(layout, name), STOP_S, steps, f"the supervisor of {name} to end")


def remove(layout, name, steps):
    """Down, and no service any more."""
    # Under another name first: a supervisor that has ended is started again for a directory that runsvdir still finds.
    gone = f".{name}"
    shutil.rmtree(layout.services / gone, ignore_errors=True)
    (layout.services / name).rename(layout.services / gone)
    if is_supervised(layout, gone):
        sv(layout, "exit", gone)
        wait_until(lambda: not is_supervised(layout, gone), STOP_S, steps, f"{name} to end")
    shutil.rmtree(layout.services / gone)


def stop(layout, steps):
    """Everything down in reverse order, the database last and at once."""
    pid = _pid(layout)
    names = [name for name in reversed(order(layout)) if is_supervised(layout, name)]
    for name in names:
        steps.waiting(f"{name} to stop")
        if name == "postgres":
            # INT is PostgreSQL's fast shutdown; a plain TERM would wait for
            # every client to leave by itself.
            sv(layout, "interrupt", name)
        sv(layout, "down", name)
        wait_until(lambda: not is_up(layout, name), STOP_S, steps, f"{name} to stop", every=0.2)
    if pid:
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: _gone(pid), STOP_S, steps, "the supervisor to end")
    _end_strays(layout, steps)
    return bool(pid or names)


def nginx_commands(layout):
    """How the agent tests and reloads this nginx: field of the target -> argument vector."""
    nginx = shutil.which("nginx", path=clean_environment()["PATH"])
    if not nginx:
        raise StepFailed("nginx is not found", "install the package nginx")
    conf = str(layout.nginx / "nginx.conf")
    return {"validate_command": [nginx, "-t", "-c", conf], "reload_command": [nginx, "-s", "reload", "-c", conf]}


# The apiserver looks at its files by itself.
NOTHING = ["/usr/bin/true"]


def _listed(command):
    """As an item of CERTCTL_AGENT_COMMANDS; an argument with a blank or comma has no spelling there."""
    exact = not any(c in word for word in command for c in " \t,")
    return " ".join(command) if exact else f"{command[0]} *"


def definitions(layout, state, pg_bin):
    """name -> (command, environment, user): the whole stack in one place."""
    bus_urls = f"ipc://{layout.bus}/scheduler-1"
    common = {"CERTCTL_LOG_FORMAT": "text", "CERTCTL_BUS_URLS": bus_urls}

    def certctl(role, **more):
        return common | {"CERTCTL_DATABASE_URL": postgres.url(layout, role)} | more

    worker = certctl("certctl_worker", CERTCTL_CA_ENCRYPTION_KEY=layout.secret("ca_encryption_key"),
                     CERTCTL_ISSUANCE_JOURNAL_DIR=str(layout.base / "journal"),
                     CERTCTL_ISSUER_SECRETS_KEYS=str(layout.issuer_secrets / "issuer-secrets.key"),
                     **simulators.settings(layout))
    result = {
        "postgres": ([pg_bin / "postgres", "-D", layout.pgdata], {}, layout.pg_user),
        "scheduler": ([layout.bin / "certctl-scheduler"],
                      certctl("certctl_scheduler", CERTCTL_BUS_LISTEN_URL=bus_urls,
                              CERTCTL_PROCESS_NAME="scheduler-1"), layout.user),
        "apiserver": ([layout.bin / "certctl-apiserver"], certctl(
            "certctl_apiserver", CERTCTL_SERVER_HOST="127.0.0.1", CERTCTL_SERVER_PORT=str(state["api_port"]),
            CERTCTL_SERVER_TLS_CERT_PATH=str(layout.api_site / "current" / "fullchain.pem"),
            CERTCTL_SERVER_TLS_KEY_PATH=str(layout.api_site / "current" / "privkey.pem"),
            CERTCTL_API_KEYS_NAMED=f"local-admin:{layout.secret('api_key')}:admin",
            CERTCTL_AGENT_BOOTSTRAP_TOKEN=layout.secret("agent_bootstrap_token"),
            CERTCTL_CONFIG_ENCRYPTION_KEY=layout.secret("config_encryption_key"),
            CERTCTL_ISSUER_SECRETS_CERT=str(layout.issuer_secrets / "issuer-secrets.pem"),
            CERTCTL_PROCESS_NAME="apiserver-1"), layout.user),
        "agent": ([layout.bin / "certctl-agent"], {
            "CERTCTL_LOG_FORMAT": "text", "CERTCTL_SERVER_URL": f"https://127.0.0.1:{state['api_port']}",
            "CERTCTL_SERVER_CA_BUNDLE_PATH": str(layout.tls / "api-ca.pem"), "CERTCTL_AGENT_NAME": "local-agent",
            "CERTCTL_AGENT_BOOTSTRAP_TOKEN": layout.secret("agent_bootstrap_token"),
            "CERTCTL_AGENT_START_SPREAD": "0s", "CERTCTL_AGENT_STATE_DIR": str(layout.agent),
            "CERTCTL_KEY_DIR": str(layout.agent / "keys"), "CERTCTL_AGENT_TARGET_DIRS": f"{layout.nginx / 'site'},{layout.api_site}",
            "CERTCTL_AGENT_COMMANDS": ",".join(_listed(c) for c in [*nginx_commands(layout).values(), NOTHING])}, layout.user),
        "nginx": (["nginx", "-c", layout.nginx / "nginx.conf", "-g", "daemon off;"], {}, layout.user),
    }
    for n in ("1", "2"):
        result[f"worker-{n}"] = ([layout.bin / "certctl-worker"], worker | {"CERTCTL_PROCESS_NAME": f"worker-{n}"},
                                 layout.user)
    return result


NGINX_CONF = """# Made by `make up`: the server whose certificate certctl looks after.
pid {dir}/run/nginx.pid;
error_log {log} warn;
worker_processes 1;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {dir}/tmp/body;
    proxy_temp_path {dir}/tmp/proxy;
    fastcgi_temp_path {dir}/tmp/fastcgi;
    uwsgi_temp_path {dir}/tmp/uwsgi;
    scgi_temp_path {dir}/tmp/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name demo.certctl.test;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {dir}/site/current/fullchain.pem;
        ssl_certificate_key {dir}/site/current/privkey.pem;
        location / {{ return 200 "served by nginx, certified by certctl\\n"; }}
    }}
}}
"""


def write_nginx(layout, port):
    """nginx as the service user, everything it writes below run/ and tmp/ of its directory."""
    def quoted(path):
        return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
    text = NGINX_CONF.replace("{dir}/", "\0").format(log=quoted(layout.nginx / "run" / "error.log"), port=port, dir="")
    lines = []
    for line in text.splitlines():
        if "\0" in line:
            head, tail = line.split("\0")
            line = head + quoted(layout.nginx / tail.rstrip(";")) + ";"
        lines.append(line)
    path = layout.nginx / "nginx.conf"
    if not path.exists() or path.read_text() != "\n".join(lines) + "\n":
        layout.write(path, "\n".join(lines) + "\n")
        return True
    return False
