"""
An operator's pair is taken over by an agent, and a failure gives it back: a
real nginx runs as a user who may read the key by its group alone.

As root the agent is root's and nginx www-data's, so that owner and group have
to be kept for nginx to load what is new; as another user both are his.
"""
import datetime
import os
import pwd
import shutil
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleet import clean_env, free_port, wait_for

AGENT = {"CERTCTL_VERIFY_ATTEMPTS": "7"}  # as test_agent_bad.py
NGINX = shutil.which("nginx", path=clean_env()["PATH"])
IS_ROOT = os.geteuid() == 0
SERVER = pwd.getpwnam("www-data") if IS_ROOT else pwd.getpwuid(os.geteuid())


@pytest.fixture(scope="module")
def agent(plane):
    return plane.start_agent("agent-1", keep=True, **AGENT)


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make_certificate(subject, issuer, public, private, ca):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (x509.CertificateBuilder().subject_name(name_of(subject)).issuer_name(name_of(issuer)).public_key(public)
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=9))
            .add_extension(x509.BasicConstraints(ca, None), True).sign(private, hashes.SHA256()))


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def snapshot(directory):
    """All that a failed deployment could change, by name."""
    found = {}
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".certctl-") and path.is_dir():
            continue  # where staged versions lie, which nothing leads to
        st = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes()
        found[path.name] = (st.st_ino, st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns, content)
    return found


class Operator:
    """Somebody's nginx with a certificate, key and chain of his own in etc/."""

    def __init__(self, plane, name, agent):
        self.plane, self.name = plane, name
        self.home = plane.dir / name
        self.etc, run = self.home / "etc", self.home / "run"
        self.etc.mkdir(parents=True)
        run.mkdir()
        self.make_pair()
        self.port = free_port()
        self.conf = self.home / "nginx.conf"
        self.conf.write_text(f"""pid {run}/nginx.pid;
error_log {run}/error.log warn;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {run}/a; proxy_temp_path {run}/b; fastcgi_temp_path {run}/c;
    uwsgi_temp_path {run}/d; scgi_temp_path {run}/e;
    server {{
        listen 127.0.0.1:{self.port} ssl;
        ssl_certificate {self.etc}/site.crt;
        ssl_certificate_key {self.etc}/site.key;
    }}
}}
""")
        if IS_ROOT:
            os.chown(run, SERVER.pw_uid, SERVER.pw_gid)
        self.start()
        self.config = {
            "cert_path": f"{self.etc}/site.crt", "key_path": f"{self.etc}/site.key", "chain_path": f"{self.etc}/chain.pem",
            "validate_command": [NGINX, "-t", "-c", str(self.conf)],
            "reload_command": [NGINX, "-s", "reload", "-c", str(self.conf)], "host": "127.0.0.1", "port": self.port}
        plane.api.need("POST", "/api/v1/targets", {"id": name, "name": name, "type": "NGINX", "agent_id": agent.agent_id,
                                                   "config": self.config})
        plane.make_certificate(name, [name])

    def make_pair(self):
        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        ca = make_certificate("Operator's CA", "Operator's CA", ca_key.public_key(), ca_key, True)
        leaf = make_certificate("site", "Operator's CA", key.public_key(), ca_key, False)
        self.serial = f"{leaf.serial_number:040x}"
        (self.etc / "site.crt").write_bytes(pem(leaf) + pem(ca))
        (self.etc / "chain.pem").write_bytes(pem(ca))
        (self.etc / "site.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        os.chmod(self.etc / "site.crt", 0o644)
        os.chmod(self.etc / "chain.pem", 0o604)
        os.chmod(self.etc / "site.key", 0o640)
        if IS_ROOT:
            os.chown(self.etc / "site.key", 0, SERVER.pw_gid)

    def start(self):
        self.nginx = self.plane.spawn(f"nginx-{self.name}", [NGINX, "-c", self.conf, "-g", "daemon off;"], {},
                                      user=SERVER.pw_name if IS_ROOT else None)
        wait_for(self.served, 10, "nginx")

    def served(self):
        return self.plane.served_serial(self.port)

    def set_target(self, **more):
        self.plane.api.need("PUT", f"/api/v1/targets/{self.name}", {"config": self.config | more})

    def deploy(self):
        """Renews: (status, error) of the deployment, and the serial that was issued."""
        job = self.plane.api.need("POST", f"/api/v1/certificates/{self.name}/renew")["job_id"]
        assert self.plane.wait_job(job)[0] == "Completed"
        deployment = wait_for(lambda: self.plane.value(
            "SELECT id FROM jobs WHERE type = 'Deployment' AND version_id = 'certver' || substr(%s, 4)", job), 10, "a deployment")
        serial = self.plane.value("SELECT serial_number FROM certificate_versions WHERE job_id = %s", job)
        return (*self.plane.wait_job(deployment), serial)

    def starts_again(self):
        """As after the next boot: what nginx then serves."""
        self.nginx.stop()
        self.start()
        return self.served()


@pytest.fixture
def operator(plane, agent, unique):
    operator = Operator(plane, unique("adopt"), agent)
    yield operator
    operator.nginx.stop()


def look(path):
    st = path.stat()
    return st.st_uid, st.st_gid, st.st_mode & 0o7777


def test_owner_group_and_mode_go_on(plane, operator):
    """nginx could not load a key that its group may not read."""
    before = {n: look(operator.etc / n) for n in ("site.crt", "site.key", "chain.pem")}
    for _ in range(2):
        status, error, serial = operator.deploy()
        assert (status, operator.served()) == ("Completed", serial), error
        assert {n: look(operator.etc / n) for n in before} == before
        assert operator.starts_again() == serial
    assert not list(operator.etc.glob(".certctl-orig-*"))
    adopted = operator.etc / ".certctl-site.crt" / "v" / "adopted"
    assert {n: look(adopted / m) for n, m in (("site.crt", "fullchain.pem"), ("site.key", "privkey.pem"),
                                              ("chain.pem", "chain.pem"))} == before


FAILURES = {
    "configuration test": ({"validate_command": ["/usr/bin/false"]}, "the configuration test"),
    "reload": ({"reload_command": ["/usr/bin/false"]}, "the reload"),
    "handshake": ({"reload_command": ["/usr/bin/true"]}, "still serves another certificate"),
    "another server": ({"port": 1}, "no TLS handshake"),
    "owner": ({"key_file_owner": "no-such-user"}, "no user"),
    "mistyped key_path": ({"key_path": "ETC/site.kye"}, "there is no pair to go back to"),
    "mistyped chain_path": ({"chain_path": "ETC/../nginx.conf"}, "chain_path"),
}


@pytest.mark.parametrize("which", FAILURES)
def test_failed_first_deployment_leaves_everything(plane, operator, which):
    more, words = FAILURES[which]
    more = {k: v.replace("ETC/..", str(operator.home)).replace("ETC", str(operator.etc)) if isinstance(v, str) else v
            for k, v in more.items()}
    before = snapshot(operator.etc), operator.conf.read_bytes()
    operator.set_target(**more)
    status, error, _ = operator.deploy()
    assert status == "Failed" and words in error
    assert (snapshot(operator.etc), operator.conf.read_bytes()) == before
    assert operator.served() == operator.serial
    assert operator.starts_again() == operator.serial
    operator.set_target()
    status, error, serial = operator.deploy()
    assert (status, operator.served()) == ("Completed", serial), error


def test_key_of_another_certificate_is_not_taken(plane, operator):
    other = ec.generate_private_key(ec.SECP256R1())
    (operator.etc / "other.key").write_bytes(other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    before = snapshot(operator.etc)
    operator.set_target(key_path=f"{operator.etc}/other.key")
    status, error, _ = operator.deploy()
    assert status == "Failed" and "is not that of the certificate" in error
    assert snapshot(operator.etc) == before
    assert not (operator.etc / ".certctl-site.crt").exists()


def test_combined_file_stays(plane, operator):
    """Both in one file, and a key_path with a slip of the pen."""
    both = operator.etc / "both.pem"
    both.write_bytes((operator.etc / "site.crt").read_bytes() + (operator.etc / "site.key").read_bytes())
    os.chmod(both, 0o600)
    before = snapshot(operator.etc)
    operator.set_target(cert_path=str(both), key_path=f"{operator.etc}/bth.pem")
    status, error, _ = operator.deploy()
    assert status == "Failed" and "there is no pair to go back to" in error
    assert snapshot(operator.etc) == before


def test_links_of_the_operator_come_back(plane, operator):
    """As certbot leaves them: links to an archive that others do not enter."""
    archive = operator.home / "archive"
    archive.mkdir(mode=0o750)
    if IS_ROOT:
        os.chown(archive, 0, SERVER.pw_gid)
    for name in ("site.crt", "site.key", "chain.pem"):
        (operator.etc / name).rename(archive / name)
        (operator.etc / name).symlink_to(f"../archive/{name}")
    before, kept = snapshot(operator.etc), snapshot(archive)
    operator.set_target(reload_command=["/usr/bin/true"])
    assert operator.deploy()[0] == "Failed"
    assert (snapshot(operator.etc), snapshot(archive)) == (before, kept)
    operator.set_target()
    status, error, serial = operator.deploy()
    assert (status, operator.starts_again()) == ("Completed", serial), error
    assert look(operator.etc / "site.key") == look(archive / "site.key")
    assert snapshot(archive) == kept


@pytest.mark.skipif(not IS_ROOT, reason="only root can make what another user has")
def test_directory_of_the_servers_user_is_refused(plane, operator):
    """He could exchange the names that a root agent then writes and deletes."""
    os.chown(operator.etc, SERVER.pw_uid, SERVER.pw_gid)
    before = snapshot(operator.etc)
    status, error, _ = operator.deploy()
    assert status == "Failed" and "is not safe to write in" in error
    assert snapshot(operator.etc) == before
    assert subprocess.run([NGINX, "-t", "-c", operator.conf], capture_output=True, check=False).returncode == 0
