"""
Exports of a certificate: PEM and PKCS#12, what they hold, who may have how many
an hour, and what the audit trail says.
"""
import http.client
import json
import subprocess

import pytest

from fleet import API_KEY, Fleet
from test_rest import refused

CERTS = "/api/v1/certificates"
PER_HOUR = 6


def openssl(*args, given=None, cwd=None):
    return subprocess.run(["openssl", *args], input=given, capture_output=True, check=True, cwd=cwd).stdout


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """PEM of a leaf and of the CA that signed it."""
    at = tmp_path_factory.mktemp("chain")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=export root", "-days", "30",
            "-keyout", "ca.key", "-out", "ca.pem", cwd=at)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a.example.test", "-keyout", "leaf.key",
            "-out", "leaf.csr", cwd=at)
    openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "0x1234", "-days", "10", "-out", "leaf.pem",
            cwd=at)
    return (at / "leaf.pem").read_text(), (at / "ca.pem").read_text()


def start():
    fleet = Fleet("export")
    fleet.start_postgres()
    fleet.start_apiserver(CERTCTL_CERT_EXPORT_RATE_LIMIT_PER_ACTOR_HR=str(PER_HOUR),
                          CERTCTL_API_KEYS_NAMED=",".join([f"admin:{API_KEY}:admin"] + [
                              f"{who}:{who}-{API_KEY}:admin" for who in ("ann", "bob", "cid", "dan", "eve")]))
    fleet.make_basics()
    return fleet


@pytest.fixture(scope="module")
def plane():
    with start() as fleet:
        yield fleet


@pytest.fixture
def issued(plane, chain, request):
    """A certificate of its own with one version."""
    name = request.node.name.replace("[", "-").replace("]", "").replace("_", "-")
    plane.make_certificate(name)
    store(plane, name, "".join(chain))
    return name


def store(plane, name, pem):
    plane.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256,"
                " pem_chain, issuer_id, job_id, key_holder) VALUES ('v-' || %s, %s, 'e' || %s, now(), now() + interval '10 days',"
                " md5(%s), %s, 'iss-local', 'x', 'h')", name, name, name, name, pem)


def ask(plane, who, method, path, body=None):
    """Status, headers and bytes."""
    connection = http.client.HTTPSConnection("127.0.0.1", plane.api_port, context=plane.api.context, timeout=40)
    connection.request(method, path, body if isinstance(body, (bytes, type(None))) else json.dumps(body),
                       {"Authorization": f"Bearer {who}-{API_KEY}", "Content-Type": "application/json"})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer.headers, data


def events(plane, name):
    return plane.query("SELECT actor, action, details ->> 'serial_number' FROM audit_events WHERE resource_id = %s AND action LIKE 'cert_export%%'"
                       " ORDER BY seq", name)


def test_pem(plane, chain, issued):
    status, headers, data = ask(plane, "ann", "GET", f"{CERTS}/{issued}/export/pem")
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert json.loads(data) == {"cert_pem": chain[0], "chain_pem": chain[1], "full_pem": "".join(chain)}
    status, headers, data = ask(plane, "ann", "GET", f"{CERTS}/{issued}/export/pem?download=true")
    assert status == 200 and headers["Content-Type"] == "application/x-pem-file"
    assert headers["Content-Disposition"] == 'attachment; filename="certificate.pem"' and data.decode() == "".join(chain)
    assert events(plane, issued) == [("ann", "cert_export_pem", f"e{issued}")] * 2


@pytest.mark.parametrize("body, password, words", [
    ({"password": "correct horse"}, "correct horse", ("AES-256-CBC", "sha256")),
    ({"password": "naïve pässword ✓", "encryption": "modern"}, "naïve pässword ✓", ("AES-256-CBC", "sha256")),
    ({"password": "old Windows", "encryption": "legacy"}, "old Windows", ("pbeWithSHA1And3-KeyTripleDES-CBC", "sha1")),
    ({}, "", ("AES-256-CBC", "sha256")), (b"{not json", "", ("AES-256-CBC", "sha256")), (None, "", ("AES-256-CBC", "sha256")),
], ids=["ascii", "utf8", "legacy", "empty", "nojson", "nobody"])
def test_pkcs12(plane, chain, issued, tmp_path, body, password, words):
    who = "bob" if isinstance(body, dict) and body else "cid"
    status, headers, data = ask(plane, who, "POST", f"{CERTS}/{issued}/export/pkcs12", body)
    assert status == 200 and headers["Content-Type"] == "application/x-pkcs12", data
    assert headers["Content-Disposition"] == 'attachment; filename="certificate.p12"'
    (tmp_path / "c.p12").write_bytes(data)
    (tmp_path / "password").write_text(password + "\n")
    read = ("pkcs12", "-in", "c.p12", "-passin", "file:password", "-nokeys")
    for more in ((), ("-legacy",)):
        text = openssl(*read, *more, cwd=tmp_path)
        assert all(pem.encode() in text for pem in chain)
    info = subprocess.run(["openssl", *read, "-info", "-noout"], cwd=tmp_path, capture_output=True, text=True).stderr
    assert all(word in info for word in words) and "Key bag" not in info, info
    assert events(plane, issued) == [(who, "cert_export_pkcs12", f"e{issued}")]
    kept = [path.read_text(errors="replace") for path in (plane.dir / "log").glob("*")] + [
        plane.value("SELECT string_agg(to_jsonb(e)::text, ' ') FROM audit_events e")]
    assert len(kept) > 1 and not any(password and password in text for text in kept)


@pytest.mark.parametrize("body", [{"encryption": "none"}, {"encryption": 1}, {"password": 7}, {"password": "x" * 1025}])
def test_a_wrong_choice_is_refused(plane, issued, body):
    status, reply = plane.api.call("POST", f"{CERTS}/{issued}/export/pkcs12", body)
    refused(reply, status, "password" if "password" in body else "encryption")
    assert events(plane, issued) == []


def test_nothing_to_export(plane, issued):
    for method, path in (("GET", "pem"), ("POST", "pkcs12")):
        status, _, data = ask(plane, "dan", method, f"{CERTS}/none-such/export/{path}")
        refused(json.loads(data), status, "Certificate not found", 404)
    plane.make_certificate("never-issued")
    status, _, data = ask(plane, "dan", "GET", f"{CERTS}/never-issued/export/pem")
    refused(json.loads(data), status, "never issued", 404)


@pytest.mark.parametrize("name, pem", [
    ("empty", ""), ("words", "no certificate"), ("der", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")])
def test_what_is_no_certificate_is_422(plane, name, pem):
    name = f"bad-{name}"
    plane.make_certificate(name)
    store(plane, name, pem)
    status, reply = plane.api.call("POST", f"{CERTS}/{name}/export/pkcs12", {})
    refused(reply, status, "cannot be parsed as X.509", 422)
    assert events(plane, name) == []


def test_the_rate_is_each_actors_own(plane, issued):
    path = f"{CERTS}/{issued}/export/pem"
    answers = [ask(plane, "eve", "GET", path) for _ in range(PER_HOUR + 1)]
    assert [a[0] for a in answers] == [200] * PER_HOUR + [429]
    _, headers, data = answers[-1]
    wait = int(headers["Retry-After"])
    assert json.loads(data) == {"error": "rate_limit_exceeded", "retry_after_seconds": wait} and 0 < wait <= 3600 / PER_HOUR
    assert ask(plane, "eve", "POST", f"{CERTS}/{issued}/export/pkcs12", {})[0] == 429
    assert ask(plane, "dan", "GET", path)[0] == 200
    assert [e[0] for e in events(plane, issued)] == ["eve"] * PER_HOUR + ["dan"]
