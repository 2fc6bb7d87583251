"""
What the command line prints, and where: formats, widths, failures in four
parts, contexts; against servers of the test's own, hostile ones among them.
"""
import csv
import errno
import hashlib
import io
import json
import os
import pty
import ssl
import stat
import subprocess

import pytest
import yaml

from conftest import fleets
from fleet import BUILD, free_port
from odd_server import odd_servers

CERTCTL = BUILD / "cli" / "certctl"
HOSTILE = "a\x1b[2J\x1b]0;x\x07b\u202ec\u009bd\u200be\nhealthy"
CERTIFICATES = {"data": [
    {"id": "mc-web", "common_name": "www.example.test", "status": "Active", "deployment_status": "Deployed", "expires_at": "2001-02-03T04:05:06Z",
     "issuer_id": "iss-local", "reason": "waits for its window, which the CA opens on Monday", "serial": 7, "sans": ["a", "b"]},
    {"id": "mc-\u65e5\u672c", "common_name": "\u65e5\u672c\u8a9e.example.test", "status": "Failed", "deployment_status": None, "expires_at": None,
     "issuer_id": "iss-local", "reason": "", "serial": 8},
    {"id": "mc-=cmd", "common_name": "=1+1", "status": "Revoked", "deployment_status": "", "expires_at": "0001-01-01T00:00:00Z",
     "issuer_id": "iss-" + "x" * 30, "reason": HOSTILE, "serial": 9},
], "total": 3}


@pytest.fixture(scope="module")
def fleet():
    """Of all tests here: none starts a process in it that stays."""
    yield from fleets("cli-formats")


@pytest.fixture
def says(fleet):
    """says(status, body, *headers): a server that answers everything so."""
    with odd_servers(fleet) as servers:
        yield lambda status, body, *headers: servers.serve(lambda method, path: (status, body, *headers))


def is_harmless(text):
    return all(c in "\r\n" or c.isprintable() for c in text)


def on_terminal(fleet, *arguments, columns=80, answer=None, **env):
    """The exit code and what a terminal of that width shows; both streams are on it."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([CERTCTL, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                          env=fleet.cli_env() | {"COLUMNS": str(columns), "TERM": "xterm"} | env) as process:
        os.close(theirs)
        if answer:
            os.write(ours, answer)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError as e:
            assert e.errno == errno.EIO  # the other side is closed
        code = process.wait(60)
    os.close(ours)
    return code, shown.decode().replace("\r\n", "\n")


# --- formats ---

def test_each_format_holds_the_same_rows(fleet, says):
    says(200, CERTIFICATES)
    shown = {f: fleet.cli("certs", "list", "-o", f) for f in ("table", "wide", "json", "yaml", "csv", "name")}
    for done in shown.values():
        assert done.returncode == 0 and not done.stderr and is_harmless(done.stdout), done
    assert json.loads(shown["json"].stdout) == CERTIFICATES
    assert yaml.safe_load(shown["yaml"].stdout) == CERTIFICATES
    assert shown["name"].stdout.splitlines() == [c["id"] for c in CERTIFICATES["data"]]
    rows = list(csv.DictReader(io.StringIO(shown["csv"].stdout, newline="")))
    assert [r["id"] for r in rows] == [c["id"] for c in CERTIFICATES["data"]]
    assert rows[2]["common_name"] == "'=1+1" and rows[0]["expires_at"] == "2001-02-03T04:05:06Z"
    assert "SERIAL" in shown["wide"].stdout and "SERIAL" not in shown["table"].stdout
    assert fleet.cli("certs", "list", "--json").stdout == shown["json"].stdout
    assert fleet.cli("certs", "list", "--json", "-o", "json").returncode == 2


def test_fields_are_those_that_were_named(fleet, says):
    says(200, CERTIFICATES)
    done = fleet.cli("certs", "list", "--fields", "id,serial")
    assert done.stdout.splitlines()[0].split() == ["ID", "SERIAL"] and not done.stderr
    assert json.loads(fleet.cli("certs", "list", "--fields", "id", "-o", "json").stdout)["data"][0] == {"id": "mc-web"}
    done = fleet.cli("certs", "list", "--fields", "id,seriel")
    assert done.returncode == 0 and "\"seriel\"" in done.stderr and "serial" in done.stderr
    assert fleet.cli("certs", "list", "--fields", "id", "-o", "name").returncode == 2
    assert fleet.cli("certs", "list", "--fields", "id,").returncode == 2




def test_a_table_fits_the_terminal(fleet, says):
    says(200, CERTIFICATES)
    for columns in (80, 160):
        code, shown = on_terminal(fleet, "certs", "list", columns=columns, NO_COLOR="1")
        assert code == 0 and is_harmless(shown)
        assert [line.split()[0] for line in shown.splitlines()[1:4]] == [c["id"] for c in CERTIFICATES["data"]]
        widths = [sum(2 if "\u3000" < c < "\u9fff" else 1 for c in line) for line in shown.splitlines()]
        assert max(widths) == columns and "\u2026" in shown
    # Nothing is cut for a program, nor where it was asked for.
    assert "\u2026" not in fleet.cli("certs", "list", COLUMNS="80").stdout
    assert "\u2026" not in on_terminal(fleet, "certs", "list", "-o", "wide")[1]


def test_colour_is_for_terminals(fleet, says):
    says(200, CERTIFICATES)
    assert "\x1b[32mActive\x1b[0m" in on_terminal(fleet, "certs", "list")[1]
    assert "\x1b" not in on_terminal(fleet, "certs", "list", NO_COLOR="1")[1]
    assert "\x1b" not in on_terminal(fleet, "certs", "list", "--color", "never")[1]
    assert "\x1b" not in on_terminal(fleet, "certs", "list", TERM="dumb")[1]
    assert "\x1b" not in fleet.cli("certs", "list").stdout
    assert "\x1b[32mActive\x1b[0m" in fleet.cli("certs", "list", "--color", "always", NO_COLOR="1").stdout
    for form in ("json", "yaml", "csv", "name"):
        assert "\x1b" not in fleet.cli("certs", "list", "--color", "always", "-o", form).stdout


# --- what can't be written ---

@pytest.mark.parametrize("form", ["table", "json", "yaml", "csv", "name"])
def test_what_cannot_be_written_is_a_failure(fleet, says, form):
    many = {"data": [CERTIFICATES["data"][0]] * 5000, "total": 5000}
    says(200, many)
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([CERTCTL, "certs", "list", "-o", form], stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=fleet.cli_env())
    assert done.returncode == 1 and "standard output" in done.stderr and "No space left" in done.stderr
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([CERTCTL, "certs", "list", "-o", form], stdout=theirs, stderr=subprocess.PIPE, text=True, check=False, env=fleet.cli_env())
    os.close(theirs)
    assert done.returncode == 1 and "Broken pipe" in done.stderr


# --- failures ---

def failure(done):
    """The object on standard error, which is all that is there."""
    assert not done.stdout
    return json.loads(done.stderr)["error"]


@pytest.mark.parametrize("status, code", [(400, 1), (401, 4), (403, 4), (404, 3), (409, 5), (410, 3), (412, 5), (429, 1), (500, 1), (503, 6), (504, 6)])
def test_a_failure_has_four_parts(fleet, says, status, code):
    says(status, {"error": "x", "message": "the CA said: " + HOSTILE}, ("X-Request-ID", "r-77"), ("Content-Type", "application/json"), ("Retry-After", "3"))
    done = fleet.cli("certs", "get", "x")
    assert done.returncode == code and is_harmless(done.stderr)
    lines = done.stderr.splitlines()
    assert lines[0].startswith("certctl: certs get: the CA said: a\\x1b[2J") and lines[0].endswith(f"({status})")
    assert lines[1].startswith("To fix it: ") and lines[2] == "Request: r-77" and len(lines) == 3
    told = failure(fleet.cli("certs", "get", "x", "-o", "json"))
    assert told["what"] == "certs get" and told["status"] == status and told["exit_code"] == code
    assert told["why"].startswith("the CA said") and told["fix"] and told["request_id"] == "r-77"


def test_wrong_words_are_json_too(fleet):
    told = failure(fleet.cli("certs", "get", "-o", "json"))
    assert told["exit_code"] == 2 and "missing" in told["why"] and "usage: certctl certs get" in told["fix"]


def test_no_server_is_unreachable(fleet, says):
    says(200, {})
    gone = f"https://127.0.0.1:{free_port()}"
    done = fleet.cli("certs", "list", CERTCTL_SERVER_URL=gone)
    assert done.returncode == 6 and gone in done.stderr and "To fix it: " in done.stderr
    assert failure(fleet.cli("certs", "list", "--json", CERTCTL_SERVER_URL=gone))["exit_code"] == 6
    # One that nobody vouches for is no better.
    done = fleet.cli("certs", "list", CERTCTL_SERVER_CA_BUNDLE_PATH="")
    assert done.returncode == 6 and "certctl context add" in done.stderr


@pytest.mark.parametrize("status, body, kind", [
    (200, b"<html>It works</html>", "text/html"), (200, {"data": []}, "text/html"), (200, b"ok", "text/plain"), (200, {"hello": "world"}, "application/json"),
    (200, {"data": {}}, "application/json"), (200, b"5", "application/json"), (404, b"<html>no</html>", "text/html"), (200, b"", "application/json")], ids=ascii)
def test_somebody_elses_server_is_told(fleet, says, status, body, kind):
    says(status, body, ("Content-Type", kind))
    for words in (["certs", "list"], ["certs", "get", "x"], ["certs", "renew", "x"]):
        for form in ("table", "json", "csv"):
            done = fleet.cli(*words, "-o", form)
            if words[1] == "renew" and body == {"data": {}} or words[1] == "renew" and body == {"hello": "world"}:
                assert done.returncode == 1
                continue
            assert done.returncode == 1 and "is it a certctl server?" in done.stderr and not done.stdout, (words, form, done)


# --- contexts ---

@pytest.fixture
def home(tmp_path):
    return {"XDG_CONFIG_HOME": str(tmp_path), "CERTCTL_SERVER_URL": "", "CERTCTL_SERVER_CA_BUNDLE_PATH": "", "CERTCTL_API_KEY": ""}


def fingerprint(fleet):
    pem = (fleet.dir / "tls" / "api.pem").read_text()
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def url(fleet):
    return f"https://127.0.0.1:{fleet.api_port}"


def test_a_server_is_known_by_its_fingerprint(fleet, says, home, tmp_path):
    asked = says(200, CERTIFICATES)
    print_ = fingerprint(fleet)
    done = fleet.cli("context", "add", "prod", "--server", url(fleet), "--fingerprint", "SHA256:" + ":".join(
        print_[i:i + 2].upper() for i in range(0, 64, 2)), **home | {"CERTCTL_API_KEY": "k-secret"})
    assert done.returncode == 0 and done.stdout == "prod is kept, and is the one in use\n", done
    path = tmp_path / "certctl" / "contexts.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert json.loads(path.read_text())["contexts"]["prod"]["api_key"] == "k-secret"
    # It is the one in use, and trusted by its own CA.
    assert fleet.cli("certs", "list", "-o", "name", **home).stdout.splitlines()[0] == "mc-web"
    assert fleet.cli("certs", "list", "--context", "prod", **home).returncode == 0
    for words in (["list"], ["show"], ["show", "prod"], ["list", "-o", "wide"], ["show", "-o", "yaml"]):
        done = fleet.cli("context", *words, **home)
        assert done.returncode == 0 and "prod" in done.stdout and "k-secret" not in done.stdout + done.stderr
    shown = json.loads(fleet.cli("context", "show", "--json", **home).stdout)
    assert shown["ca_fingerprint_sha256"] == print_ and shown["has_api_key"] is True and shown["current"] is True
    # Its key goes nowhere else.
    other = {"CERTCTL_SERVER_URL": f"https://127.0.0.1:{free_port()}"}
    assert fleet.cli("certs", "list", "--context", "prod", **home | other).returncode == 2
    assert fleet.cli("certs", "list", **home | other).returncode == 6
    # Nor does that of the environment in its place, unless it is said to be of that server.
    for key, its, code in (("k-secret", "", 0), ("k-other", "", 2), ("k-other", url(fleet) + "/", 0)):
        env = home | {"CERTCTL_API_KEY": key, "CERTCTL_SERVER_URL": its}
        for words in (["--context", "prod"], [] if not its else ["--context", "prod", "--server", its]):
            before = len(asked)
            done = fleet.cli("certs", "list", *words, **env)
            assert done.returncode == code and (len(asked) == before) == (code == 2) and key not in done.stderr, (key, its, words, done)
            assert code == 0 or ('the context "prod"' in done.stderr and "To fix it: unset CERTCTL_API_KEY" in done.stderr), done
    assert fleet.cli("certs", "list", CERTCTL_CONTEXT="nowhere", **home).returncode == 2
    # Kept once, forgotten after a question.
    again = ["context", "add", "prod", "--server", url(fleet), "--fingerprint", print_]
    assert fleet.cli(*again, **home).returncode == 5 and fleet.cli(*again, "--replace", **home).returncode == 0
    assert fleet.cli("context", "use", "nowhere", **home).returncode == 3
    used = fleet.cli("context", "use", "prod", **home)
    assert used.returncode == 0 and used.stderr == ""
    used = fleet.cli("context", "use", "prod", **home | other)  # where that is without effect it says so
    assert used.returncode == 0 and "CERTCTL_SERVER_URL is set" in used.stderr
    assert fleet.cli("context", "list", "-o", "name", "--filter", "current=true", "--sort", "server", **home).stdout == "prod\n"
    assert fleet.cli("context", "list", "-o", "name", "--filter", "current=false", **home).stdout == ""
    assert fleet.cli("context", "list", "--filter", "age=1", **home).returncode == 2
    assert fleet.cli("context", "remove", "prod", **home).returncode == 0
    assert fleet.cli("context", "list", "-o", "name", **home).stdout == ""
    assert ("GET", "/ready") in asked


def test_a_recovery_that_fails_by_a_conflict_is_not_told_as_done(fleet, says):
    says(409, {"message": "it exists already"})
    done = fleet.cli("recover", "--apply", "--yes")
    assert done.returncode == 5 and "it exists already" in done.stderr and "nothing to recover" not in done.stderr, done


def test_another_fingerprint_keeps_nothing(fleet, says, home, tmp_path):
    asked = says(200, {})
    done = fleet.cli("context", "add", "prod", "--server", url(fleet), "--fingerprint", "0" * 64, **home)
    assert done.returncode == 1 and fingerprint(fleet) in done.stderr and "another server" in done.stderr
    assert fleet.cli("context", "add", "prod", "--server", url(fleet), "--fingerprint", "00", **home).returncode == 2
    assert fleet.cli("context", "add", "../x", "--server", url(fleet), **home).returncode == 2
    assert not (tmp_path / "certctl" / "contexts.json").exists() and not asked


def test_first_contact_is_a_question(fleet, says, home, tmp_path):
    says(200, {"status": "ready"})
    words = ["context", "add", "prod", "--server", url(fleet)]
    done = fleet.cli(*words, **home)
    assert done.returncode == 2 and f"--fingerprint {fingerprint(fleet)}" in done.stderr
    assert not (tmp_path / "certctl" / "contexts.json").exists()
    code, shown = on_terminal(fleet, *words, answer=b"n\n", **home)
    assert code == 1 and fingerprint(fleet) in shown and not (tmp_path / "certctl" / "contexts.json").exists()
    code, shown = on_terminal(fleet, *words, answer=b"y\n", **home)
    assert code == 0 and (tmp_path / "certctl" / "contexts.json").exists()


def test_a_file_of_keys_that_others_can_read_is_refused(fleet, says, home, tmp_path):
    says(200, CERTIFICATES)
    assert fleet.cli("context", "add", "a", "--server", url(fleet), "--fingerprint", fingerprint(fleet), **home).returncode == 0
    path = tmp_path / "certctl" / "contexts.json"
    path.chmod(0o640)
    for words in (["certs", "list"], ["context", "list"], ["context", "use", "a"]):
        done = fleet.cli(*words, **home)
        assert done.returncode != 0 and f"chmod 600 {path}" in done.stderr
    # Who needs none of it is not stopped.
    assert fleet.cli("certs", "list", XDG_CONFIG_HOME=str(tmp_path)).returncode == 0
    path.chmod(0o600)
    path.write_text('{"contexts": {"a": {"server": "http://x"}}}')
    done = fleet.cli("certs", "list", **home)
    assert done.returncode == 2 and "no contexts of certctl" in done.stderr
    # A CA that is not read as one would be trust in any root of the system.
    for odd in ({"ca_pem": 5}, {"ca_pen": "x"}, {"api_key": None}):
        path.write_text(json.dumps({"contexts": {"a": {"server": url(fleet)} | odd}}))
        assert "no contexts of certctl" in fleet.cli("context", "list", **home).stderr
    if os.geteuid() == 0:
        os.chown(path, 1, 1)
        assert "belongs to another user (number 1)" in fleet.cli("context", "list", **home).stderr


def test_a_key_of_the_environment_is_of_its_server(fleet, says, home, tmp_path):
    asked = says(200, CERTIFICATES)
    words = ["context", "add", "prod", "--server", url(fleet), "--fingerprint", fingerprint(fleet)]
    other = home | {"CERTCTL_SERVER_URL": "https://elsewhere.test:8443", "CERTCTL_API_KEY": "k-elsewhere"}
    done = fleet.cli(*words, **other)
    assert done.returncode == 2 and "https://elsewhere.test:8443" in done.stderr and "k-elsewhere" not in done.stderr
    assert not asked and not (tmp_path / "certctl" / "contexts.json").exists()
    assert fleet.cli(*words, "--api-key", "k-own", **other).returncode == 0
    # And so for every command.
    asked.clear()
    words = ["certs", "list", "--server", url(fleet), "--ca-bundle", str(fleet.dir / "tls" / "api.pem")]
    done = fleet.cli(*words, "--json", **other)
    told = json.loads(done.stderr)["error"]
    assert done.returncode == 2 and (told["what"], told["exit_code"]) == ("certs list", 2) and told["fix"].startswith("set CERTCTL_SERVER_URL")
    assert "the key of https://elsewhere.test:8443" in told["why"] and f"{url(fleet)} is asked" in told["why"] and not asked
    for env in ({"CERTCTL_SERVER_URL": ""}, {"CERTCTL_API_KEY": ""}, {"CERTCTL_SERVER_URL": url(fleet).upper() + "/"}):
        assert fleet.cli(*words, **other | env).returncode == 0, env
    assert fleet.cli(*words, "--api-key", "k-own", **other).returncode == 0


def test_a_ca_in_a_file_is_kept_with_the_context(fleet, says, home):
    says(200, CERTIFICATES)
    bundle = str(fleet.dir / "tls" / "api.pem")
    assert fleet.cli("context", "add", "a", "--server", url(fleet), "--ca-bundle", bundle, **home).returncode == 0
    assert fleet.cli("certs", "list", **home).returncode == 0
    assert fleet.cli("context", "add", "b", "--server", url(fleet), "--system-roots", **home).returncode == 6
    assert fleet.cli("context", "add", "b", "--server", url(fleet), "--system-roots", "--ca-bundle", bundle, **home).returncode == 2
    assert fleet.cli("context", "add", "b", "--server", url(fleet), "--ca-bundle", "/dev/null", **home).returncode == 1
