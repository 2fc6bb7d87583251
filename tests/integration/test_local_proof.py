"""
What `make up` proves, and where it runs: two at the same time, a host without
a name, another user's checkout, a server whose package is upgraded.
"""
import os
import shutil
import subprocess
from pathlib import Path

from fleet import clean_env
from local_checkout import NOBODY, as_root
from local_running import is_done, is_gone, is_up, new_running  # noqa: F401

LIMIT_S = 240
NOT_SANITIZED = "the scripts of make up: what the programs do that they start, every other file tests"


def served_serial(port, name):
    """What a server there shows now, as openssl prints it."""
    shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name], input="", text=True,
                           capture_output=True, check=False, timeout=20, env=clean_env()).stdout
    return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=shown, text=True, capture_output=True, check=True).stdout


SQL = """
from stack import postgres
from stack.layout import Layout
layout = Layout()
print(postgres._psql(layout, postgres._bin_for(layout), "certctl", {sql!r}))
"""


def test_the_proof_is_of_today_and_of_what_is_not_revoked(new_running):
    running = new_running()
    output = is_up(running, running.run("up"))
    assert " healthy\n" in output and running.run("status")[0] == 0
    port = next(line.split()[1] for line in output.splitlines() if line.startswith("Proved: ")).split(":")[2]
    first = served_serial(port, "demo.certctl.test")
    told = subprocess.run([*running.prefix(), running.dir / "certctl", "explain", "demo"], text=True, capture_output=True, check=False)
    assert told.returncode == 0 and told.stdout.startswith("certificate demo is ready\n") and "require-owner" not in told.stdout, told
    is_up(running, running.run("up"))
    assert served_serial(port, "demo.certctl.test") == first
    aged = running.python(SQL.format(sql="UPDATE certificate_versions SET created_at = created_at - interval '1 day';"))
    assert aged.returncode == 0 and aged.stdout.startswith("(0,"), aged.stdout + aged.stderr
    is_up(running, running.run("up"))
    assert served_serial(port, "demo.certctl.test") != first
    revoked = subprocess.run([*running.prefix(), running.dir / "certctl", "certs", "revoke", "demo", "--yes"], text=True, capture_output=True, check=False)
    assert revoked.returncode == 0, revoked.stderr
    code, output = running.run("up")
    assert code == 1 and "FAILED at proof: the certificate demo is revoked" in output and "Proved" not in output, output
    is_done(running.run("clean"))


def test_the_api_s_own_certificate_is_the_product_s(new_running):
    """Deployed by the agent, taken without a restart, renewed as any other."""
    running = new_running()
    is_up(running, running.run("up"))
    before = served_serial(running.ports[0], "localhost")
    pids = set(running.processes())
    command = [*running.prefix(), running.dir / "certctl"]
    done = subprocess.run([*command, "certs", "renew", "api", "--wait"], text=True, capture_output=True, check=False, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    assert served_serial(running.ports[0], "localhost") != before and pids & set(running.processes())
    # one that is about to end is not waited for: whoever starts the stack could not speak to it
    is_done(running.run("down"))
    for path in (running.base / "api-site" / "current").glob("*.pem"):
        path.unlink()
    is_up(running, running.run("up"))
    is_done(running.run("clean"))


def install_postgres(home):
    """PostgreSQL's package once more below home; it finds its own files from where its program lies."""
    version = max((p.parts[-3] for p in Path("/usr/lib/postgresql").glob("*/bin/postgres")), key=int)
    for part in ("lib", "share"):
        shutil.copytree(f"/usr/{part}/postgresql/{version}", home / part / "postgresql" / version, symlinks=True)
    return home / "lib" / "postgresql" / version


def test_a_server_whose_package_was_upgraded_is_restarted(new_running):
    """While the files are exchanged the running server's new sessions fail (58P01), and those that it has go on."""
    running = new_running()
    package = install_postgres(running.home / "usr")
    running.installed = package.parent
    is_up(running, running.run("up"))
    assert not any(b"/usr/lib/postgresql" == word[:19] for words in running.processes().values() for word in words)

    def servers():
        return {pid for pid, words in running.processes().items() if words[0] == os.fsencode(package / "bin" / "postgres")}
    (server,) = servers()
    is_up(running, running.run("up"))
    assert servers() == {server}
    # As dpkg does it: what was is taken away, then what is new is put there.
    shutil.rmtree(running.home / "usr")
    failed = running.python(SQL.format(sql="\\set VERBOSITY sqlstate\nDO 'BEGIN END';"))
    assert failed.stdout.startswith("(3, ") and "58P01" in failed.stdout, failed.stdout + failed.stderr
    install_postgres(running.home / "usr")
    is_up(running, running.run("up"))
    assert len(servers()) == 1 and servers() != {server}
    is_done(running.run("clean"))


def test_two_at_the_same_time_use_other_ports(new_running):
    one, two = new_running("one"), new_running("two")
    two.ports = one.ports
    started = [r.start("up") for r in (one, two)]
    outputs = [p.communicate(timeout=200)[0] for p in started]
    assert [p.returncode for p in started] == [0, 0], "\n".join(outputs)
    assert sum("is held by" in output for output in outputs) >= 1
    said = [next(line.split()[1] for line in output.splitlines() if line.startswith("API ")) for output in outputs]
    assert len(set(said)) == 2
    is_done(one.run("clean"))
    is_gone(one)
    assert two.run("status")[0] == 0


@as_root
def test_host_without_a_name_is_enough(new_running):
    running = new_running()
    is_up(running, running.run("up", prefix=["unshare", "--uts", "sh", "-c", 'hostname no-such-host.invalid; exec "$@"', "sh"]))
    is_done(running.run("clean"))


@as_root
def test_root_writes_nothing_into_another_users_checkout(new_running):
    running = new_running(user=NOBODY)
    running.act_as(None)
    shutil.copytree(running.dir / "build", running.outside / "build", symlinks=True)
    before = {p: p.lstat().st_mtime_ns for p in [running.dir, *running.dir.rglob("*")]}
    is_up(running, running.run("up"))
    assert {p: p.lstat().st_mtime_ns for p in [running.dir, *running.dir.rglob("*")]} == before
    assert running.run("status")[0] == 0
    is_done(running.run("clean"))
    assert {p: p.lstat().st_mtime_ns for p in [running.dir, *running.dir.rglob("*")]} == before
    assert not running.outside.exists() and not running.run_dir.exists()
