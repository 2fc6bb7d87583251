"""
The tutorials as they stand, command by command, with what they say is printed:
three hosts, a second worker host, another CA.  The hosts are directories, each
with an /etc, a /var and an nginx of its own; there is no systemd, so programs
are started here as the units of the pages say.
"""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fleet import BUILD, CA_KEY, ROOT, clean_env, free_port, wait_for
from test_bus_certificates import port_of_three

PAGES = ROOT / "docs/tutorials"
PROGRAMS = {f"/usr/local/bin/certctl-{name}": BUILD / name / f"certctl-{name}" for name in ("agent", "worker")}
SOON = {"CERTCTL_SCHEDULER_REPLACEMENTS_INTERVAL": "500ms"}
NGINX = shutil.which("nginx", path=clean_env()["PATH"])
BLOCK = re.compile(r"^```(sh|text|ini|nginx|yaml)\n(?:# (?:on ([\w-]+))?(?:: )?(\S*)\n)?(.*?)^```", re.M | re.S)


class Host:
    """A directory that the pages take for a host."""

    def __init__(self, plane, name):
        self.plane, self.name, self.dir = plane, name, plane.dir / name
        self.port = free_port()
        for directory in ("etc/nginx/conf.d", "etc/certctl", "bin"):
            (self.dir / directory).mkdir(parents=True)
        (self.dir / "var/lib/certctl").mkdir(parents=True, mode=0o700)
        (self.dir / "tmp").mkdir()
        shutil.copy(plane.dir / "tls/api.pem", self.dir / "etc/certctl/api.pem")
        user = "user root;" if plane.as_root else ""
        temp = " ".join(f"{what}_temp_path {self.dir}/tmp/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.dir / "etc/nginx/nginx.conf").write_text(
            f"{user} pid {self.dir}/tmp/nginx.pid; error_log {self.dir}/tmp/error.log warn; worker_processes 1;\n"
            f"events {{ worker_connections 64; }}\nhttp {{ access_log off; {temp} include {self.dir}/etc/nginx/conf.d/*.conf; }}\n")
        wrapper = self.dir / "bin/nginx"  # "nginx -t" means this host's
        wrapper.write_text(f'#!/bin/sh\nexec {NGINX} -c {self.dir}/etc/nginx/nginx.conf "$@"\n')
        wrapper.chmod(0o755)

    def here(self, text):
        """What the text says of this host, with its directory and its port."""
        text = re.sub(r"(?<![\w./])/(etc|var)/", rf"{self.dir}/\1/", text)
        return re.sub(r"\b(listen |port: )443\b", rf"\g<1>{self.port}", text)

    def settings(self, path):
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


class Tutorial:
    """Runs pages; what one has made is there for the next."""

    def __init__(self, plane):
        self.plane, self.names, self.hosts = plane, {}, {}
        self.home = plane.dir / "admin"
        self.home.mkdir()
        shutil.copy(plane.dir / "tls/api.pem", self.home)
        self.names["https://certctl.example.test:8443"] = f"https://127.0.0.1:{plane.api_port}"
        self.names["PASSPHRASE"] = CA_KEY
        self.names["postgresql://certctl_worker@db.example.test/certctl?sslmode=verify-full"] = plane.url("certctl_worker")

    def host(self, name):
        if name not in self.hosts:
            self.hosts[name] = Host(self.plane, name)
            self.names[f"{name}.example.test:443"] = f"127.0.0.1:{self.hosts[name].port}"
        return self.hosts[name]

    def ours(self, text):
        for name, is_here in self.names.items():
            text = text.replace(name, is_here)
        return text

    # --- a page ---

    def run(self, page):
        """What is printed by the last command before each block of text is what that says."""
        last = None
        found = BLOCK.findall((PAGES / page).read_text(encoding="utf-8"))
        assert found, page
        for kind, where, path, text in found:
            if kind == "text":
                self.expect(last, text)
                continue
            each = [where.replace("N", n) for n in "123"] if where.endswith("-N") else [where]
            for name in each:
                here = re.sub(r"\b(web|AGENT|KEY)-N\b", rf"\1-{name[-1]}", text) if name else text
                if kind == "sh":
                    last = [(name, line) for line in here.replace("\\\n", "").splitlines() if not line.startswith("export ")]
                    for one in last:
                        self.command(*one)
                else:
                    self.write(name, path, here)

    def write(self, name, path, text):
        host = self.host(name) if name else None
        if host and path.endswith(".env"):
            self.copy_what_the_page_says(host)
        target = Path(host.here(path)) if host else self.home / path
        target.parent.mkdir(parents=True, exist_ok=True)
        text = self.ours(text)
        target.write_text(host.here(text) if host else text, encoding="utf-8")
        target.chmod(0o600)

    def copy_what_the_page_says(self, host):
        made = self.home / "bus-certs" / f"{host.name}.example.test"
        place = host.dir / "etc/certctl"
        if made.exists() and not (place / "bus").exists():
            shutil.copytree(made, place / "bus")
            shutil.copy(self.plane.make_issuer_secrets() / "issuer-secrets.key", place)

    # --- a command ---

    def command(self, name, line):
        words = line.split()
        if words[0] == "systemctl":
            for unit in (w for w in words[2:] if not w.startswith("-")):
                self.systemctl(name, words[1], unit)
            return None
        if words[:3] == ["certctl", "issuers", "test"]:
            # The command waits for 20 s, in which a sanitized worker on a busy machine may not have made a CA and its key yet.
            wait_for(lambda: self.plane.value("SELECT count(*) FROM ca_certificates WHERE issuer_id = %s", words[3]), 60, f"the CA of {words[3]}")
        done = self.shell(name, line)
        is_told = words[:2] in (["certctl", "explain"], ["certctl", "status"])  # whether all is well is their exit code
        assert done.returncode in ((0, 1) if is_told else (0,)), (line, done)
        self.remember(words, done.stdout)
        return done

    def shell(self, name, line):
        of = re.search(r"\bAGENT-(\d)\b", line)  # it speaks of files of that agent's host
        host = self.host(name or f"web-{of[1]}") if name or of else None
        line = self.ours(line.replace("deploy/", f"{ROOT}/deploy/"))
        env = clean_env() | {"HOME": str(self.home), "CERTCTL_API_KEY": self.plane.api.key}
        path = [str(BUILD / d) for d in ("cli", "agent", "worker")] + [env["PATH"]]
        if host:
            line = host.here(line)
            path.insert(0, str(host.dir / "bin"))
        if name:
            for settings in (host.dir / "etc/certctl").glob("*.env"):
                env |= host.settings(settings)
        elif host and (self.home / "target.yaml").exists():
            shared = self.home / "target.yaml"
            (self.home / f"target-{host.name}.yaml").write_text(host.here(shared.read_text()))
            line = line.replace("target.yaml", f"target-{host.name}.yaml")
        return subprocess.run(["bash", "-euc", line], text=True, capture_output=True, timeout=150, check=False, cwd=self.home,
                              env=env | {"PATH": ":".join(path)})

    def remember(self, words, out):
        """What the page has a word of its own for."""
        if words[:3] == ["certctl", "agents", "create"]:
            n = words[3][-1]
            self.names[f"AGENT-{n}"] = re.search(r"\bagent-\S+", out)[0].rstrip('",')
            self.names[f"KEY-{n}"] = re.search(r"api_key\W+(\S+)", out)[1]
        elif words[:2] == ["certctl", "replace"] and "--yes" in words:
            self.names["REPLACEMENT"] = re.search(r"\brepl-\S+", out)[0]
        elif words[:3] == ["certctl", "issuers", "cas"]:
            found = re.search(r"^next\b.*\b([0-9a-f]{64})", out, re.M)
            if found:
                self.names["FINGERPRINT"] = found[1]

    def expect(self, commands, text):
        """Each line stands somewhere in what the last command says, at once or soon; "..." is anything."""
        wanted = [r"\s+".join(".*" if word == "..." else re.escape(word) for word in self.ours(line).split()) for line in text.splitlines()]
        last = None

        def is_said():
            nonlocal last
            last = self.command(*commands[-1])
            return all(re.search(w, last.stdout + last.stderr) for w in wanted)
        try:
            wait_for(is_said, 60, text)
        except AssertionError as e:
            raise AssertionError(f"{commands[-1]} does not say {text}\n{last}") from e

    # --- what systemd does ---

    def systemctl(self, name, verb, unit):
        host = self.host(name)
        process = f"{unit}@{name}"
        if name == "host-1":
            return self.first_host(host, verb, unit)
        if verb in ("stop", "restart") and process in self.plane.processes:
            self.plane.processes[process].stop()
        if verb == "stop":
            return None
        if unit == "nginx":
            self.plane.spawn(process, [host.dir / "bin/nginx", "-g", "daemon off;"], {})
            return wait_for(lambda: self.plane.served_serial(host.port), 20, "nginx")
        said = host.settings(host.dir / f"etc/systemd/system/{unit}.service")
        env = host.settings(said["EnvironmentFile"])
        if unit == "certctl-agent":
            env |= {"CERTCTL_AGENT_STATE_DIR": str(host.dir / "var/lib/certctl"), "CERTCTL_KEY_DIR": str(host.dir / "var/lib/certctl/keys"),
                    "CERTCTL_AGENT_TARGET_DIRS": str(host.dir / "etc/nginx"), "CERTCTL_AGENT_START_SPREAD": "0s",
                    "CERTCTL_AGENT_COMMANDS": f"{host.dir}/bin/nginx -t,{host.dir}/bin/nginx -s reload"}
        return self.plane.spawn(process, [PROGRAMS[said["ExecStart"]]], env | {"CERTCTL_LOG_FORMAT": "text"}, keep="Restart" in said)

    def first_host(self, host, verb, unit):
        """The fleet's own processes, with what the page adds to their settings."""
        what = unit.removeprefix("certctl-")
        process = self.plane.processes[what if what == "apiserver" else f"{what}-1"]
        if verb in ("stop", "restart"):
            process.stop()
        if verb in ("start", "restart"):
            env = host.settings(host.dir / "etc/certctl/bus.env")
            if what == "scheduler":
                env |= SOON
            else:
                env.pop("CERTCTL_BUS_LISTEN_URL")
            getattr(self.plane, f"start_{what}")(**env, keep=True)


@pytest.fixture(scope="module")
def tutorial(stack):
    stack.start_scheduler(keep=True, **SOON)
    stack.start_worker(keep=True)
    made = Tutorial(stack)
    made.names["192.0.2.1:7400"] = f"127.0.0.1:{port_of_three()}"
    made.names["192.0.2.1"] = "127.0.0.1"
    made.run("three-hosts.md")
    return made


def issuers(stack):
    """Who issued what each target has."""
    return dict(stack.query("SELECT m.target_id, v.issuer_id FROM certificate_target_mappings m JOIN certificate_versions v ON v.id = m.deployed_version_id "
                            "WHERE m.desired_version_id = m.deployed_version_id"))


def test_three_hosts(tutorial, stack):
    done = stack.cli("scheduler", "run", "policy_scan", "--wait")
    assert done.returncode == 0 and stack.value("SELECT count(*) FROM policy_violations") == 0, done
    served = {stack.served_serial(tutorial.hosts[f"web-{n}"].port) for n in (1, 2, 3)}
    assert len(served) == 3, "each host has a key of its own"
    assert issuers(stack) == {f"tgt-shop-{n}": "iss-example" for n in (1, 2, 3)}
    for n in (1, 2, 3):
        keys = list((tutorial.hosts[f"web-{n}"].dir / "var/lib/certctl/keys").iterdir())
        assert keys and all(os.stat(k).st_mode & 0o077 == 0 for k in keys)


def test_a_second_worker_host(tutorial, stack):
    tutorial.run("second-worker.md")
    assert list((tutorial.hosts["host-2"].dir / "var/lib/certctl/journal").iterdir()), "the second host has issued nothing"


def test_another_ca(tutorial, stack):
    tutorial.run("ca-change.md")
    assert set(issuers(stack).values()) == {"iss-next"}
    assert stack.value("SELECT count(*) FROM certificate_revocations WHERE issuer_id = 'iss-example' AND reason = 'superseded' AND job_id IS NULL") > 0
