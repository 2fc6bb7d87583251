"""
docs/operator/installing.md as it stands: a control plane from PostgreSQL without anything to the first key.  A directory
takes the place of /etc, /var and /run; what installs programs, makes a user and starts units is done here.
"""
import json
import re
import subprocess

import pytest

from fleet import BUILD, ROOT, Fleet, clean_env, free_port, pg_bin, wait_for

PAGE = ROOT / "docs/operator/installing.md"
BLOCK = re.compile(r"^```(sh|sql|ini)\n(.*?)^```", re.M | re.S)
PROGRAMS = ("scheduler", "worker", "apiserver")
NOT_HERE = ("make ", "ninja ", "useradd ", "chown ", "export ", "systemctl ")


@pytest.fixture
def host():
    fleet = Fleet("installing")
    fleet.template, fleet.make_database = None, lambda: None  # the page makes it
    try:
        fleet.start_postgres()
        yield fleet
    finally:
        fleet.close()


class Page:
    def __init__(self, fleet):
        self.fleet, self.key, self.port = fleet, "", free_port()
        self.text = PAGE.read_text(encoding="utf-8")

    def here(self, text):
        d = self.fleet.dir
        text = text.replace("<roles.sql", f"<{d}/roles.sql").replace("certctl.example.test", "localhost").replace("8443", str(self.port))
        text = text.replace("0.0.0.0", "127.0.0.1").replace("@127.0.0.1/certctl", f"@/certctl?host={self.fleet.socket_dir}")
        text = text.replace("ipc:///run/", f"ipc://{d}/run/").replace("runuser -u postgres -- psql", f"psql -h {self.fleet.socket_dir} -U postgres")
        return re.sub(r"(?<![\w./])/(etc|var|run)/", rf"{d}/\1/", text)

    def run(self):
        (self.fleet.dir / "run/certctl").mkdir(parents=True, mode=0o700)
        for kind, text in BLOCK.findall(self.text):
            if kind == "sh":
                self.shell("".join(line + "\n" for line in self.here(text).splitlines() if not line.startswith(NOT_HERE)))
                if "systemctl " in text:
                    self.start()
            elif path := re.match(r"(?:#|--) (\S+\.(?:sql|env))\n", self.here(text)):
                (self.fleet.dir / path[1]).write_text(self.here(text))
                (self.fleet.dir / path[1]).chmod(0o600)

    def shell(self, script):
        path = ":".join([*(str(BUILD / d) for d in ("cli", "apiserver")), str(pg_bin()), clean_env()["PATH"]])
        env = clean_env() | {"PATH": path, "HOME": str(self.fleet.dir)} | ({"CERTCTL_API_KEY": self.key} if self.key else {})
        for command in [script] if "umask" in script else script.splitlines():
            done = subprocess.run(["sh", "-euc", command], text=True, capture_output=True, timeout=60, check=False, cwd=ROOT, env=env)
            # Whether all is well is their exit code, and this host has clocks and disks of its own.
            assert done.returncode == 0 or command in ("certctl status", "certctl doctor"), (command, done)
            if "auth bootstrap" in command:
                self.key = re.search(r"\b[0-9a-f]{64}\b", done.stdout)[0]

    def start(self):
        for name in PROGRAMS:
            lines = (self.fleet.dir / f"etc/certctl/{name}.env").read_text().splitlines()
            env = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
            program = BUILD / name / f"certctl-{name}"
            said = subprocess.run([program, "--check-config"], text=True, capture_output=True, timeout=30, check=False, env=clean_env() | env)
            assert said.returncode == 0, said
            self.fleet.spawn(name, [program], env)
        wait_for(lambda: b"200" in subprocess.run(
            ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", self.fleet.dir / "etc/certctl/api.pem",
             f"https://localhost:{self.port}/ready"], capture_output=True, check=False).stdout, 30, "the API")


def test_the_page_ends_with_a_healthy_plane_and_a_key(host):
    page = Page(host)
    page.run()
    assert page.key

    def status():
        return subprocess.run([BUILD / "cli/certctl", "status"], text=True, capture_output=True, check=False,
                              env=clean_env() | {"HOME": str(host.dir), "CERTCTL_API_KEY": page.key})
    wait_for(lambda: status().returncode == 0, 30, "a healthy plane")


def test_all_programs_and_the_man_page_are_installed():
    told = subprocess.run(["/usr/bin/meson", "introspect", "--installed", BUILD], text=True, capture_output=True, check=True, env=clean_env())
    installed = {path.rsplit("/", 1)[-1] for path in json.loads(told.stdout).values()}
    assert {"certctl", "certctl.1", "certctl-agent", *(f"certctl-{name}" for name in PROGRAMS)} <= installed
