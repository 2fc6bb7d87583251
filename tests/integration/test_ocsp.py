"""
The status of certificates one by one (RFC 6960, RFC 5019, RFC 8954): signed by
workers under a delegated responder, checked by OpenSSL and by Go, kept while
somebody asks, and never older than a revocation by more than a second.
"""
import base64
import concurrent.futures
import contextlib
import datetime
import http.client
import os
import re
import shutil
import signal
import subprocess
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from fleet import API_KEY, clean_env, free_port, is_sanitized, wait_for
from test_lint_certificates import CERTS, KEYS, build_go, make_csr, sign_ca

BASE = "/.well-known/pki/ocsp"
LOCAL = f"{BASE}/iss-local"
UNAUTHORIZED = bytes.fromhex("30030a0106")
GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER


@pytest.fixture(scope="module")
def plane(stack):
    stack.start_scheduler(keep=True, CERTCTL_SCHEDULER_OCSP_REFRESH_INTERVAL="1s")
    stack.start_worker(keep=True)
    stack.make_basics()
    stack.agent = stack.api.need("POST", "/api/v1/agents", {"name": "hand", "hostname": "h.example.test"})
    return stack


@pytest.fixture(scope="module")
def ca(plane):
    wait_for(lambda: plane.value("SELECT 1 FROM ca_certificates WHERE issuer_id = 'iss-local'"), 20, "the CA")
    return load_ca(plane)


def load_ca(plane, issuer="iss-local"):
    return x509.load_pem_x509_certificate(plane.value(
        "SELECT cert_pem FROM ca_certificates WHERE issuer_id = %s AND state = 'current'", issuer).encode())


def issue(plane, name, issuer="iss-local", key=None):
    """A leaf, without a host."""
    names = [f"{name}.example.test"]
    plane.make_target(f"tgt-{name}", plane.agent["id"], plane.dir / "sites" / name)
    plane.make_certificate(name, [f"tgt-{name}"], issuer_id=issuer)
    job = plane.api.need("POST", f"{CERTS}/{name}/renew")["job_id"]
    status, reply = plane.api.call("POST", f"/api/v1/agents/{plane.agent['id']}/csr", {
        "csr_pem": make_csr(key or KEYS["ec256"](), names), "certificate_id": name, "job_id": job}, key=plane.agent["api_key"])
    assert status == 202, reply
    assert plane.wait_job(job, 60) == ("Completed", None)
    pem = plane.value("SELECT pem_chain FROM certificate_versions WHERE job_id = %s", job)
    return x509.load_pem_x509_certificate(pem.encode())


@pytest.fixture(scope="module")
def leaf(plane, ca):
    return issue(plane, "leaf")


@pytest.fixture(scope="module")
def gone(plane, ca):
    leaf = issue(plane, "gone")
    plane.api.need("POST", f"{CERTS}/gone/revoke", {"reason": "keyCompromise"})
    return leaf


def ask(plane, method, path, body=None, port=None, **headers):
    """(status, headers, body), without a key."""
    connection = http.client.HTTPSConnection("127.0.0.1", port or plane.api_port, context=plane.api.context, timeout=30)
    try:
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def serial_of(certificate):
    return f"{certificate.serial_number:040x}"


def request(*certificates, ca, algorithm=None, nonce=None):
    """A request of one or many, which cryptography cannot make, in DER."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificates[0], ca, algorithm or hashes.SHA1())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), False)
    return builder.build().public_bytes(DER)


def checked(body, ca):
    """The answer, its signature and its responder's verified."""
    reply = ocsp.load_der_ocsp_response(body)
    assert reply.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL, reply.response_status
    responder, = reply.certificates
    ca.public_key().verify(responder.signature, responder.tbs_certificate_bytes, ec.ECDSA(responder.signature_hash_algorithm))
    assert responder.issuer == ca.subject
    responder.public_key().verify(reply.signature, reply.tbs_response_bytes, ec.ECDSA(reply.signature_hash_algorithm))
    return reply


def metrics(plane):
    return ask(plane, "GET", "/api/v1/metrics/prometheus", Authorization=f"Bearer {API_KEY}")[2].decode()


def openssl(plane, certificate, ca, *more):
    (plane.dir / "leaf.pem").write_bytes(certificate.public_bytes(PEM))
    (plane.dir / "ca.pem").write_bytes(ca.public_bytes(PEM))
    return subprocess.run(["openssl", "ocsp", *more, "-issuer", "ca.pem", "-cert", "leaf.pem", "-CAfile", "ca.pem", "-url",
                           f"https://127.0.0.1:{plane.api_port}{LOCAL}"], cwd=plane.dir, text=True, capture_output=True, timeout=30,
                          env=clean_env(), check=False)


def test_a_good_certificate(plane, ca, leaf):
    status, headers, body = ask(plane, "GET", f"{LOCAL}/{serial_of(leaf)}")
    assert (status, headers["Content-Type"]) == (200, "application/ocsp-response"), body
    reply = checked(body, ca)
    assert (reply.certificate_status, reply.serial_number) == (GOOD, leaf.serial_number)
    assert reply.next_update - reply.this_update == datetime.timedelta(hours=1)
    assert headers["Cache-Control"].startswith("max-age=3") and int(headers["Cache-Control"].split("=")[1].split(",")[0]) > 3500
    assert headers["Expires"].endswith(" GMT")
    # The same bytes again, also in capitals and without what leads; nothing for whoever has them.
    assert ask(plane, "GET", f"{LOCAL}/{serial_of(leaf).upper()}")[2] == body
    assert ask(plane, "GET", f"{LOCAL}/0000{serial_of(leaf)}")[2] == body
    for held in (headers["ETag"], f'"x", {headers["ETag"]}', "*"):
        assert ask(plane, "GET", f"{LOCAL}/{serial_of(leaf)}", If_None_Match=held)[::2] == (304, b"")
    for held in ('"x"', "x", "W/" + headers["ETag"]):
        assert ask(plane, "GET", f"{LOCAL}/{serial_of(leaf)}", If_None_Match=held)[::2] == (200, body)


def test_the_responder(plane, ca, leaf):
    _, _, body = ask(plane, "GET", f"{LOCAL}/{serial_of(leaf)}")
    responder, = checked(body, ca).certificates
    ext = responder.extensions
    assert responder.subject.rfc4514_string() == "CN=OCSP Responder for " + ca.subject.rfc4514_string().removeprefix("CN=")
    assert list(ext.get_extension_for_class(x509.ExtendedKeyUsage).value) == [x509.ExtendedKeyUsageOID.OCSP_SIGNING]
    ext.get_extension_for_class(x509.OCSPNoCheck)
    life = responder.not_valid_after - responder.not_valid_before
    assert datetime.timedelta(days=30) <= life <= datetime.timedelta(days=30, minutes=6)
    row = plane.query("SELECT cert_serial, key_alg, key_path FROM ocsp_responders WHERE list = 'iss-local'")[0]
    assert row == (f"{responder.serial_number:040x}", "ECDSA-P256", "ocsp_responder_keys:iss-local")
    assert plane.value("SELECT count(*) FROM audit_events WHERE action = 'ocsp_responder_created'") == 1


@pytest.mark.parametrize("algorithm", [hashes.SHA1, hashes.SHA256])
def test_by_request(plane, ca, leaf, algorithm):
    der = request(leaf, ca=ca, algorithm=algorithm())
    status, _, body = ask(plane, "POST", LOCAL, der, Content_Type="application/ocsp-request")
    assert status == 200
    reply = checked(body, ca)
    assert (reply.certificate_status, reply.hash_algorithm.name) == (GOOD, algorithm().name)
    assert ask(plane, "POST", LOCAL, der, Content_Type="Application/OCSP-Request")[2] == body
    # No Content-Type is taken; RFC 6960 A.1, escaped or not, gives the same answer.
    assert ask(plane, "POST", LOCAL, der)[2] == body
    text = base64.b64encode(der).decode()
    assert ask(plane, "GET", f"{LOCAL}/{text}")[2] == body
    assert ask(plane, "GET", f"{LOCAL}/{urllib.parse.quote(text, safe='')}")[2] == body
    assert plane.value("SELECT count(*) FROM ocsp_response_cache WHERE serial_hex = %s AND cert_id <> ''", serial_of(leaf)) >= 1


def test_a_revoked_certificate(plane, ca, gone):
    _, headers, body = ask(plane, "GET", f"{LOCAL}/{serial_of(gone)}")
    reply = checked(body, ca)
    assert (reply.certificate_status, reply.revocation_reason) == (REVOKED, x509.ReasonFlags.key_compromise)
    at = plane.value("SELECT revoked_at FROM certificate_revocations WHERE certificate_id = 'gone'")
    assert reply.revocation_time == at.astimezone(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)
    assert headers["Cache-Control"].startswith("max-age=")


def test_a_nonce_is_echoed(plane, ca, leaf):
    for nonce in (b"n", os.urandom(32)):
        status, headers, body = ask(plane, "POST", LOCAL, request(leaf, ca=ca, nonce=nonce))
        reply = checked(body, ca)
        assert (status, reply.certificate_status) == (200, GOOD)
        assert reply.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
        assert headers["Cache-Control"] == "no-store"
    kept = ask(plane, "POST", LOCAL, request(leaf, ca=ca))[2]
    assert len(list(checked(kept, ca).extensions)) == 0


def test_a_signed_request_is_as_good_as_any(plane, ca, leaf, gone):
    """As RFC 6960 section 4.1.1 lets clients: who asks gets the same answer, also about two."""
    (plane.dir / "gone.pem").write_bytes(gone.public_bytes(PEM))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "me.key", "-out",
                    "me.pem", "-subj", "/CN=me", "-days", "2"], cwd=plane.dir, check=True, capture_output=True, timeout=30, env=clean_env())
    done = openssl(plane, leaf, ca, "-signer", "me.pem", "-signkey", "me.key")
    assert "leaf.pem: good" in done.stdout and "Response verify OK" in done.stderr, done
    done = openssl(plane, leaf, ca, "-issuer", "ca.pem", "-cert", "gone.pem")
    assert "leaf.pem: good" in done.stdout and "gone.pem: revoked" in done.stdout and "Response verify OK" in done.stderr, done


@pytest.mark.parametrize("nonce", [b"", b"x" * 33])
def test_a_malformed_nonce_is_unauthorized(plane, ca, leaf, nonce):
    status, headers, body = ask(plane, "POST", LOCAL, request(leaf, ca=ca, nonce=nonce))
    assert (status, headers["Content-Type"], body) == (200, "application/ocsp-response", UNAUTHORIZED)


def test_what_is_unknown(plane, ca, leaf):
    reply = checked(ask(plane, "GET", f"{LOCAL}/{'12' * 20}")[2], ca)
    assert (reply.certificate_status, reply.serial_number) == (UNKNOWN, int("12" * 20, 16))
    assert reply.next_update - reply.this_update < datetime.timedelta(minutes=1)
    assert not plane.value("SELECT 1 FROM ocsp_response_cache WHERE serial_hex = %s", "12" * 20)
    status, headers, body = ask(plane, "GET", f"{BASE}/iss-none/{serial_of(leaf)}")
    assert (status, headers["Content-Type"], b"request_id" in body) == (404, "application/json", False)
    for method, path, der in (("POST", f"{BASE}/iss-none", request(leaf, ca=ca, nonce=b"1")), ("POST", f"{BASE}/iss-none", request(leaf, ca=ca))):
        assert ask(plane, method, path, der)[0] == 404
    # Another CA's certificate: this one may not speak of it.
    key = KEYS["ec256"]()
    other = sign_ca("Another", key)
    assert ask(plane, "POST", LOCAL, request(leaf, ca=other))[2] == UNAUTHORIZED


def test_an_issuer_that_cannot_sign(plane, ca, leaf):
    plane.query("INSERT INTO issuers (id, name, type, config) VALUES ('iss-acme', 'iss-acme', 'ACME', '{}')")
    assert ask(plane, "GET", f"{BASE}/iss-acme/{serial_of(leaf)}")[0] == 501
    assert ask(plane, "POST", f"{BASE}/iss-acme", request(leaf, ca=ca, nonce=b"1"))[0] == 501


@pytest.mark.parametrize("path", ["0", "z", "abc%00", "0" * 50, "1" * 41, "MA==", "M" * 4])
def test_what_is_no_request(plane, ca, path):
    assert ask(plane, "GET", f"{LOCAL}/{path}")[0] == 400


def test_bodies_that_are_none(plane, ca, leaf):
    der = request(leaf, ca=ca)
    assert ask(plane, "POST", LOCAL, der, Content_Type="application/json")[0] == 415
    for body in (b"", b"{}", der[:-1], der + b"\0", b"\x30\x80\0\0"):
        assert ask(plane, "POST", LOCAL, body)[0] == 400
    assert ask(plane, "GET", LOCAL)[0] == 405
    assert ask(plane, "PUT", LOCAL, der)[0] == 405


def many(*ders):
    """A request about several, made of requests about one."""
    content = b"".join(der[6:] for der in ders)
    for _ in range(3):
        size = len(content)
        content = b"\x30" + (bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else b"\x82" + size.to_bytes(2, "big")) + content
    return content


def test_several_certificates_in_one_request(plane, ca, leaf, gone):
    der = many(request(leaf, ca=ca), request(gone, ca=ca))
    status, _, body = ask(plane, "POST", LOCAL, der)
    assert status == 200
    (plane.dir / "many.der").write_bytes(body)
    done = subprocess.run(["openssl", "ocsp", "-respin", "many.der", "-text", "-noverify"], cwd=plane.dir, text=True, capture_output=True,
                          timeout=30, env=clean_env(), check=False)
    assert done.stdout.count("Cert Status: good") == 1 and done.stdout.count("Cert Status: revoked") == 1, done.stdout
    assert ask(plane, "POST", LOCAL, many(*[request(leaf, ca=ca)] * 17))[0] == 400


def test_openssl_accepts(plane, ca, leaf, gone):
    done = openssl(plane, leaf, ca)  # with a nonce
    assert done.returncode == 0 and "leaf.pem: good" in done.stdout and "Response verify OK" in done.stderr, done
    assert "WARNING" not in done.stderr
    done = openssl(plane, leaf, ca, "-no_nonce")
    assert "leaf.pem: good" in done.stdout and "Response verify OK" in done.stderr, done
    done = openssl(plane, gone, ca, "-sha256")
    assert "leaf.pem: revoked" in done.stdout and "Reason: keyCompromise" in done.stdout and "Response verify OK" in done.stderr, done


@pytest.fixture(scope="module")
def other(plane):
    plane.start_apiserver(7)
    return plane.apis["apiserver-7"]


@pytest.mark.parametrize("asked", ["kept", "nonce"])
def test_a_revocation_is_seen_within_a_second(plane, ca, other, asked):
    name = f"soon-{asked}"
    certificate = issue(plane, name)
    nonce = b"1" if asked == "nonce" else None
    der = request(certificate, ca=ca, nonce=nonce)

    def status(**where):
        return checked(ask(plane, "POST", LOCAL, der, **where)[2], ca).certificate_status

    assert {status(), status(port=other.port)} == {GOOD}
    plane.api.need("POST", f"{CERTS}/{name}/revoke", {"reason": "superseded"})
    began = datetime.datetime.now()
    # Other processes look once a second at most; a kept answer is not asked for until then.
    wait_for(lambda: {status(), status(port=other.port)} == {REVOKED}, 20, "the revocation everywhere", every=0.02)
    assert is_sanitized() or datetime.datetime.now() - began < datetime.timedelta(seconds=5)
    for _ in range(20):
        assert {status(), status(port=other.port)} == {REVOKED}


def test_a_leaf_names_where_ocsp_answers(plane, ca):
    url = f"https://127.0.0.1:{plane.api_port}{BASE}/iss-named"
    issuer = {"id": "iss-named", "name": "iss-named", "type": "GenericCA", "config": {"ocsp_responder_urls": [url]}}
    for wrong in ("x", ["x"], ["http://a.example/"] * 9):
        status, reply = plane.api.call("POST", "/api/v1/issuers", issuer | {"config": {"ocsp_responder_urls": wrong}})
        assert status == 400 and "ocsp_responder_urls" in reply["message"]
    plane.api.need("POST", "/api/v1/issuers", issuer)
    leaf = issue(plane, "named", "iss-named")
    access, = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert (access.access_method, access.access_location.value) == (x509.AuthorityInformationAccessOID.OCSP, url)
    own = load_ca(plane, "iss-named")
    der = request(leaf, ca=own)
    path = url.removeprefix(f"https://127.0.0.1:{plane.api_port}")
    assert checked(ask(plane, "POST", path, der)[2], own).certificate_status == GOOD
    # Another issuer knows neither the serial nor the key.
    assert checked(ask(plane, "GET", f"{LOCAL}/{serial_of(leaf)}")[2], ca).certificate_status == UNKNOWN
    assert ask(plane, "POST", LOCAL, der)[2] == UNAUTHORIZED


def test_go_accepts(plane, ca, leaf, gone):
    program = build_go(plane.dir, "ocsp")

    def said(certificate, *bodies):
        for name, content in (("leaf", certificate.public_bytes(DER)), ("ca", ca.public_bytes(DER)), *enumerate(bodies)):
            (plane.dir / f"go-{name}.der").write_bytes(content)
        done = subprocess.run([program, *[f"go-{n}.der" for n in ("leaf", "ca", *range(len(bodies)))]], cwd=plane.dir, text=True,
                              capture_output=True, timeout=60, env=clean_env(), check=False)
        return done.stdout.splitlines()

    answers = [ask(plane, "GET", f"{LOCAL}/{serial_of(leaf)}")[2], ask(plane, "POST", LOCAL, request(leaf, ca=ca, nonce=b"1"))[2]]
    assert said(leaf, *answers, UNAUTHORIZED) == ["good", "good", "ocsp: error from server: unauthorized"]
    assert said(gone, ask(plane, "GET", f"{LOCAL}/{serial_of(gone)}")[2]) == ["revoked 1"]
    assert said(gone, answers[0])[0].startswith("ocsp: ") or "no response matching" in said(gone, answers[0])[0]


def test_nginx_staples(plane, ca):
    key, home = KEYS["ec256"](), plane.dir / "stapling"
    leaf = issue(plane, "stapled", key=key)
    home.mkdir()
    (home / "leaf.pem").write_bytes(leaf.public_bytes(PEM))
    (home / "ca.pem").write_bytes(ca.public_bytes(PEM))
    (home / "leaf.key").write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    port, plain = free_port(), free_port()
    paths = " ".join(f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(f"""{"user root;" if plane.as_root else ""}
pid {home}/nginx.pid;
error_log {home}/error.log info;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off; {paths}
    server {{
        listen 127.0.0.1:{plain};
        location / {{ proxy_pass https://127.0.0.1:{plane.api_port}; proxy_ssl_protocols TLSv1.3; }}
    }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {home}/leaf.pem;
        ssl_certificate_key {home}/leaf.key;
        ssl_trusted_certificate {home}/ca.pem;
        ssl_stapling on;
        ssl_stapling_verify on;
        ssl_stapling_responder http://127.0.0.1:{plain}{LOCAL};
    }}
}}
""")
    nginx = shutil.which("nginx", path=clean_env()["PATH"])
    plane.spawn("nginx-stapling", [nginx, "-c", home / "nginx.conf", "-g", "daemon off;"], {})

    def stapled():
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-status", "-CAfile", home / "ca.pem"], text=True,
                              input="", capture_output=True, timeout=30, env=clean_env(), check=False)
        return "OCSP Response Status: successful" in done.stdout and "Cert Status: good" in done.stdout

    wait_for(stapled, 30, "a stapled answer", every=0.1)


def row(plane, certificate):
    return plane.query("SELECT this_update, response_der, asked_at FROM ocsp_response_cache WHERE serial_hex = %s AND cert_id = ''",
                       serial_of(certificate))


def test_what_is_asked_for_is_made_anew(plane, ca, leaf, gone):
    for certificate in (leaf, gone):
        ask(plane, "GET", f"{LOCAL}/{serial_of(certificate)}")
    wanted, unwanted = serial_of(leaf), serial_of(gone)
    plane.query("UPDATE ocsp_response_cache SET this_update = this_update - interval '40 minutes', refresh_at = now() - interval '1 s' "
                "WHERE serial_hex = %s", wanted)
    plane.query("UPDATE ocsp_response_cache SET asked_at = now() - interval '4 hours', refresh_at = now() - interval '1 s' "
                "WHERE serial_hex = %s", unwanted)
    before = row(plane, leaf)[0]
    wait_for(lambda: row(plane, leaf)[0][1] != bytes(before[1]) and row(plane, leaf)[0][0] > before[0], 30, "another answer")
    assert checked(bytes(row(plane, leaf)[0][1]), ca).certificate_status == GOOD
    wait_for(lambda: not row(plane, gone), 30, "the end of what nobody asks for")
    assert checked(ask(plane, "GET", f"{LOCAL}/{unwanted}")[2], ca).certificate_status == REVOKED


def test_a_responder_whose_end_is_near_is_replaced(plane, ca, leaf):
    old = plane.value("SELECT fingerprint_sha256 FROM ocsp_responders WHERE list = 'iss-local'")
    assert plane.processes["worker-1"].exits == []
    # The next worker renews what ends within a month.
    plane.processes["worker-1"].stop()
    plane.start_worker(2, CERTCTL_OCSP_RESPONDER_VALIDITY="1440h", CERTCTL_OCSP_RESPONDER_ROTATION_GRACE="1000h")
    def signer():
        responder, = checked(ask(plane, "POST", LOCAL, request(leaf, ca=ca, nonce=b"1"))[2], ca).certificates
        return responder

    # The one before serves while the next is made.
    wait_for(lambda: signer().fingerprint(hashes.SHA256()).hex() != old, 30, "another responder")
    responder = signer()
    new, former = plane.query("SELECT fingerprint_sha256, rotated_from FROM ocsp_responders WHERE list = 'iss-local'")[0]
    assert new == responder.fingerprint(hashes.SHA256()).hex() != old and former
    # What was signed by the other holds until its end; who has the old one in memory takes the new.
    plane.start_worker(1)
    plane.processes["worker-2"].stop()
    again, = checked(ask(plane, "POST", LOCAL, request(leaf, ca=ca, nonce=b"2"))[2], ca).certificates
    assert again == responder


def test_a_killed_worker_is_no_loss(plane, ca, leaf):
    plane.processes["worker-1"].signal(signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, plane, "POST", LOCAL, request(leaf, ca=ca, nonce=bytes([i + 1]))) for i in range(8)]
        wait_for(lambda: plane.value("SELECT 1 FROM tasks WHERE kind = 'ocsp_sign'"), 10, "the task")
        plane.start_worker(2)
        plane.processes["worker-1"].kill()
        for i, answer in enumerate(answers):
            status, _, body = answer.result()
            assert status == 200
            assert checked(body, ca).extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == bytes([i + 1])
    wait_for(lambda: not plane.value("SELECT 1 FROM tasks WHERE kind = 'ocsp_sign'"), 20, "the end of its task")
    assert not plane.value("SELECT 1 FROM ocsp_batches")


def test_without_a_worker(plane, ca, leaf):
    """What is kept is served, what is not is refused; nothing is left behind."""
    kept = ask(plane, "GET", f"{LOCAL}/{serial_of(leaf)}")[2]
    for name in ("worker-1", "worker-2"):
        plane.processes[name].stop()
    assert ask(plane, "GET", f"{LOCAL}/{serial_of(leaf)}")[2] == kept
    status, headers, body = ask(plane, "POST", LOCAL, request(leaf, ca=ca, nonce=b"1"))
    assert (status, headers["Retry-After"], b"worker" in body) == (503, "2", True)
    wait_for(lambda: not plane.value("SELECT 1 FROM tasks WHERE kind = 'ocsp_sign'") and not plane.value("SELECT 1 FROM ocsp_batches"), 30,
             "the end of what nobody waits for")
    plane.start_worker(1)
    assert ask(plane, "POST", LOCAL, request(leaf, ca=ca, nonce=b"1"))[0] == 200


@contextlib.contextmanager
def at(plane, moment):
    """The database tells workers that it is then."""
    def move(sql):
        with plane.admin() as c:
            c.execute(sql)
            c.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'certctl_worker'")
    try:
        move(f"ALTER ROLE certctl_worker SET certctl.now = '{moment.isoformat()}+00'")
        yield
    finally:
        move("ALTER ROLE certctl_worker RESET certctl.now")


def fresh(plane, ca, leaf):
    """An answer that is signed now, as soon as a worker has its sessions again."""
    return wait_for(lambda: next((body for status, _, body in [ask(plane, "POST", LOCAL, request(leaf, ca=ca, nonce=b"1"))] if status == 200), None),
                    30, "an answer")


def test_time_is_the_databases(plane, ca, leaf):
    """A worker's own clock is in no answer."""
    moment = datetime.datetime.utcnow().replace(microsecond=0) + datetime.timedelta(hours=5)
    with at(plane, moment):
        wait_for(lambda: checked(fresh(plane, ca, leaf), ca).this_update == moment, 30, "its time", every=0.1)


def test_a_responder_that_cannot_be_replaced(plane, ca, leaf, gone):
    """It serves until its end, and people are told."""
    def told():
        found = plane.api.need("GET", "/api/v1/admin/conditions")["data"]
        return {c["name"]: c["detail"] for c in found if c["name"].startswith("ocsp_")}

    end = checked(fresh(plane, ca, leaf), ca).certificates[0].not_valid_after
    key, = plane.query("SELECT key_sealed FROM ca_keys WHERE issuer_id = 'iss-local'")[0]
    for name in ("worker-1", "worker-2"):
        plane.processes[name].stop()
    assert told() == {}
    plane.query("UPDATE ca_keys SET key_sealed = 'x' WHERE issuer_id = 'iss-local'")
    try:
        plane.start_worker(1, CERTCTL_OCSP_RESPONDER_VALIDITY="2400h", CERTCTL_OCSP_RESPONDER_ROTATION_GRACE="2000h")
        assert checked(fresh(plane, ca, leaf), ca).certificates[0].not_valid_after == end
        wait_for(lambda: list(told()) == ["ocsp_responder_ending"], 30, "the warning")
        assert told()["ocsp_responder_ending"]
        # Near its end an answer holds no longer than it, and is given to one alone.
        with at(plane, end - datetime.timedelta(seconds=20)):
            wait_for(lambda: checked(fresh(plane, ca, leaf), ca).next_update == end, 30, "the end", every=0.1)
            _, headers, body = ask(plane, "POST", LOCAL, request(gone, ca=ca, algorithm=hashes.SHA256()))
            assert (checked(body, ca).next_update, headers["Cache-Control"]) == (end, "no-store")
        plane.query("DELETE FROM ocsp_responders")
        status, _, body = ask(plane, "POST", LOCAL, request(leaf, ca=ca, nonce=b"1"))
        assert status == 500 and b"signed" in body
        wait_for(lambda: list(told()) == ["ocsp_failing"], 30, "the alarm")
    finally:
        plane.query("UPDATE ca_keys SET key_sealed = %s WHERE issuer_id = 'iss-local'", key)
    assert checked(fresh(plane, ca, leaf), ca).certificates[0].not_valid_after > end
    wait_for(lambda: told() == {}, 30, "its end")


def test_the_rate_of_an_address(plane, ca, leaf):
    plane.start_apiserver(8, CERTCTL_OCSP_RATE_LIMIT_PER_IP_MIN="2")
    port = plane.apis["apiserver-8"].port
    answers = [ask(plane, "GET", f"{LOCAL}/{serial_of(leaf)}", port=port) for _ in range(3)]
    assert [a[0] for a in answers] == [200, 200, 200]
    assert answers[2][2] == UNAUTHORIZED and answers[2][1]["Retry-After"] == "60" and answers[1][2] == answers[0][2] != UNAUTHORIZED


def test_what_is_counted(plane):
    text = metrics(plane)
    counted = {label: int(n) for label, n in re.findall(r'^certctl_ocsp_counter_total\{label="(\w+)"\} (\d+)$', text, re.M)}
    assert set(counted) == {"request_get", "request_post", "request_success", "request_invalid", "issuer_not_found", "cert_not_found",
                            "signing_failed", "nonce_echoed", "nonce_malformed", "rate_limited"}
    assert not [label for label, n in counted.items() if n == 0 and label != "rate_limited"]


def test_nothing_of_a_client_is_an_error(plane, ca, leaf):
    der = request(leaf, ca=ca, nonce=b"12345678")
    for at in range(len(der)):
        status = ask(plane, "POST", LOCAL, der[:at] + bytes([der[at] ^ 0xff]) + der[at + 1:])[0]
        assert status in (200, 400), at
