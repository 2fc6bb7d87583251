"""
A host's certificates are adopted from certbot: the tutorial as it stands, with
a real nginx, agent and control plane; and again, which changes nothing.
"""
import re
import shlex
import shutil
import subprocess

import pytest

from fleet import ROOT, clean_env, free_port, wait_for

NAME = "shop.example.test"
PAGE = ROOT / "docs/tutorials/moving-from-certbot.md"
NGINX = shutil.which("nginx", path=clean_env()["PATH"])
TABLES = ("managed_certificates", "deployment_targets", "renewal_policies", "discovered_certificates", "discovery_scans")


@pytest.fixture(scope="module")
def host(plane):
    """A plane with the objects that the page names, and etc/ of a host with certbot's certificate in nginx."""
    plane.api.need("POST", "/api/v1/teams", {"id": "t-web", "name": "Web"})
    plane.api.need("POST", "/api/v1/owners", {"id": "o-web", "name": "Web", "email": "web@example.test", "team_id": "t-web"})
    plane.start_agent("agent-1", keep=True)
    etc = plane.dir / "etc"
    live = etc / "letsencrypt/live" / NAME
    for directory in (live, etc / "letsencrypt/renewal", etc / "nginx", etc / "cron.d"):
        directory.mkdir(parents=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
                    "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-addext", "basicConstraints=critical,CA:FALSE",
                    "-keyout", live / "privkey.pem", "-out", live / "fullchain.pem"], check=True, capture_output=True, env=clean_env())
    (etc / "letsencrypt/renewal" / f"{NAME}.conf").write_text(
        f"fullchain = {live}/fullchain.pem\nprivkey = {live}/privkey.pem\n[renewalparams]\nserver = https://ca.test/directory\n")
    (etc / "cron.d/certbot").write_text("0 */12 * * * root certbot -q renew\n")
    run = plane.dir / "run"
    run.mkdir()
    port, conf = free_port(), etc / "nginx/nginx.conf"
    user = "user root;" if plane.as_root else ""
    temp = " ".join(f"{what}_temp_path {run}/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf.write_text(f"""{user} pid {run}/nginx.pid; error_log {run}/error.log warn; worker_processes 1;
events {{ worker_connections 64; }}
http {{ access_log off; {temp}
    server {{
        listen 127.0.0.1:{port} ssl;
        server_name {NAME};
        ssl_certificate {live}/fullchain.pem;
        ssl_certificate_key {live}/privkey.pem;
    }}
}}
""")
    plane.spawn("nginx", [NGINX, "-c", conf, "-g", "daemon off;"], {}, keep=True)
    wait_for(lambda: plane.served_serial(port), 20, "nginx")
    return etc, port, ["--etc", str(etc), "--validate-command", f"{NGINX} -t -c {conf}", "--reload-command", f"{NGINX} -s reload -c {conf}"]


def commands():
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        for line in block.splitlines():
            if not line.startswith("CERTCTL_"):
                yield line


def test_the_tutorial_moves_a_host(plane, host):
    etc, port, options = host
    agent = plane.processes["agent-1"].agent_id
    before = plane.served_serial(port)
    said = {}
    for line in commands():
        words = shlex.split(line.replace("AGENT", agent).replace("/etc/", f"{etc}/"))
        if words[0] == "mv":
            subprocess.run(words, check=True)
            continue
        assert words.pop(0) == "certctl", line
        done = plane.cli(*words, *(options if words[0] == "import" else []))
        assert done.returncode == 0, (line, done)
        said[line.replace("certctl ", "", 1)] = done
    looked, planned, applied = [d for w, d in said.items() if w.startswith("import ")]
    assert "--owner-id (certctl owners list)" in looked.stderr and "cron.d/certbot, line 1" in looked.stdout
    assert f"create    certificate        mc-{NAME}" in planned.stdout and "used by   nginx: " in planned.stdout
    assert f"created   target          tgt-{agent}-{NAME}" in applied.stdout and f"known     mc-{NAME}" in applied.stdout
    assert plane.served_serial(port) not in (before, None), "certctl's certificate is not served"
    assert plane.value("SELECT tags->>'owner' FROM managed_certificates WHERE id = %s", f"mc-{NAME}") == "web"
    assert plane.value("SELECT managed_certificate_id FROM discovered_certificates WHERE agent_id = %s AND serial_number = ltrim(%s, '0')",
                       agent, before) == f"mc-{NAME}"


def test_the_same_again_changes_nothing(plane, host):
    """After the handover certbot's renewal file is gone, so the old state is put back first."""
    etc, _, options = host
    agent = plane.processes["agent-1"].agent_id
    conf = etc / "letsencrypt/renewal" / f"{NAME}.conf"
    conf.with_suffix(".conf.off").rename(conf)
    more = ["--owner-id", "o-web", "--team-id", "t-web", "--issuer-id", "iss-local", "--agent-id", agent, "--apply", "--yes", *options]
    done = plane.cli("import", str(etc / "letsencrypt"), *more)
    assert done.returncode == 0, done
    rows = [plane.query(f"SELECT * FROM {table} ORDER BY id") for table in TABLES]
    done = plane.cli("import", str(etc / "letsencrypt"), *more)
    assert done.returncode == 0 and "nothing was changed" in done.stdout, done
    assert [plane.query(f"SELECT * FROM {table} ORDER BY id") for table in TABLES] == rows


def test_tags_that_differ_are_a_conflict(plane, host):
    etc, _, options = host
    more = ["--owner-id", "o-web", "--team-id", "t-web", "--issuer-id", "iss-local", "--agent-id", plane.processes["agent-1"].agent_id, *options]
    done = plane.cli("import", str(etc / "letsencrypt"), *more, "--tags", "owner=else")
    assert done.returncode == 5 and 'tags.owner is "web" there and "else" here' in done.stdout, done
    done = plane.cli("import", str(etc / "letsencrypt"), *more, "--tags", "owner")
    assert done.returncode == 2 and '--tags takes KEY=VALUE,KEY=VALUE, not "owner"' in done.stderr, done


def test_what_is_another_is_a_conflict(plane, host):
    etc, _, options = host
    agent = plane.processes["agent-1"].agent_id
    plane.api.need("POST", "/api/v1/owners", {"id": "o-else", "name": "Else", "email": "else@example.test", "team_id": "t-web"})
    done = plane.cli("import", str(etc / "letsencrypt"), "--owner-id", "o-else", "--team-id", "t-web", "--issuer-id", "iss-local",
                     "--agent-id", agent, "--apply", "--yes", *options)
    assert done.returncode == 5 and 'owner_id is "o-web" there and "o-else" here' in done.stdout, done
    done = plane.cli("import", str(etc / "letsencrypt"), "--apply", "--yes")
    assert done.returncode == 2 and "--agent-id (certctl agents list)" in done.stderr
    done = plane.cli("import", str(etc / "nowhere"))
    assert done.returncode == 3 and "there is no such directory or file" in done.stderr


def test_a_name_that_another_has_is_a_conflict_before_anything_is_done(plane, host, tmp_path):
    """The plan looked for ids alone: a policy was made, and then the certificate was refused for its name."""
    _, _, options = host
    name = "taken.example.test"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE",
                    "-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem"], check=True, capture_output=True, env=clean_env())
    more = ["--owner-id", "o-web", "--team-id", "t-web", "--issuer-id", "iss-local", "--agent-id", plane.processes["agent-1"].agent_id, *options]
    planned = plane.cli("import", str(tmp_path), *more)
    assert planned.returncode == 0 and f"create    certificate        mc-{name}" in planned.stdout, planned
    plane.make_certificate(name, [])
    rows = [plane.query(f"SELECT count(*) FROM {table}") for table in TABLES]
    done = plane.cli("import", str(tmp_path), *more, "--apply", "--yes")
    assert done.returncode == 5 and f'{name} has the name "{name}" there' in done.stdout, done
    assert [plane.query(f"SELECT count(*) FROM {table}") for table in TABLES] == rows
