"""
What ACME clients do with their keys and certificates: key change, revocation
(RFC 8555 sections 7.3.5 and 7.6) and renewal information (RFC 9773).
"""
import datetime
import http.client
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import jose
from fleet import wait_for
from test_lint_certificates import CERTS, make_csr

PROFILE = "prof-acme"
BASE = f"/acme/profile/{PROFILE}"
ERROR = "urn:ietf:params:acme:error:"


class Client:
    """An account and its key, or a key alone."""

    def __init__(self, stack, key=None, base=BASE):
        self.stack, self.base, self.key, self.kid = stack, base, key or jose.MAKERS["ES256"](), None
        self.origin = f"https://127.0.0.1:{stack.api_port}"

    def http(self, method, path, body=None, content_type="application/jose+json"):
        """(status, headers, JSON or bytes)"""
        c = http.client.HTTPSConnection("127.0.0.1", self.stack.api_port, context=self.stack.api.context, timeout=40)
        try:
            c.request(method, path, body, {"Content-Type": content_type} if body is not None else {})
            r = c.getresponse()
            data = r.read()
        finally:
            c.close()
        is_json = "json" in (r.headers.get_content_type() or "")
        return r.status, r.headers, json.loads(data) if is_json and data else data

    def nonce(self):
        return self.http("HEAD", f"{self.base}/new-nonce")[1]["Replay-Nonce"]

    def header(self, path, key=None, **more):
        key = key or self.key
        h = {"alg": jose.alg(key), "nonce": self.nonce(), "url": self.origin + path}
        h |= {"kid": self.kid} if self.kid and "jwk" not in more else {"jwk": jose.jwk(key)}
        return h | more

    def post(self, path, payload="", key=None, **more):
        path = path if path.startswith("/") else f"{self.base}/{path}"
        message = jose.jws(key or self.key, self.header(path, key, **more), payload)
        return self.http("POST", path, json.dumps(message))

    def register(self):
        status, headers, reply = self.post("new-account", {"termsOfServiceAgreed": True})
        assert status in (200, 201), reply
        self.kid = headers["Location"]
        return self

    @property
    def id(self):
        return self.kid.rsplit("/", 1)[1]


def is_problem(answer, status, error):
    assert (answer[0], answer[2].get("type")) == (status, ERROR + error), answer[2]
    assert answer[1].get_content_type() == "application/problem+json" and answer[2]["detail"] and answer[1]["Replay-Nonce"]
    return answer


@pytest.fixture(scope="module")
def plane(stack):
    stack.processes["apiserver"].stop()
    stack.start_apiserver(keep=True, CERTCTL_ACME_SERVER_ENABLED="true", CERTCTL_ACME_SERVER_RATE_LIMIT_KEY_CHANGE_PER_HOUR="3")
    stack.start_scheduler(keep=True, CERTCTL_SCHEDULER_CRL_BEHIND_INTERVAL="1s", CERTCTL_CRL_GENERATION_INTERVAL="1s")
    stack.start_worker(keep=True)
    stack.make_basics()
    stack.query("INSERT INTO certificate_profiles (id, name, issuer_id, acme_owner_id) VALUES (%s, %s, 'iss-local', 'o-test')", PROFILE, PROFILE)
    stack.agent = stack.api.need("POST", "/api/v1/agents", {"name": "hand", "hostname": "h.example.test"})
    return stack


def issue(plane, name, client, keys=1):
    """Versions of a certificate that the account has: leaves and their keys, the oldest first.  They come by an agent's hand."""
    plane.make_target(f"tgt-{name}", plane.agent["id"], plane.dir / "sites" / name)
    plane.make_certificate(name, [f"tgt-{name}"], certificate_profile_id=PROFILE)
    made = []
    for _ in range(keys):
        key = jose.MAKERS["ES256"]()
        job = plane.api.need("POST", f"{CERTS}/{name}/renew")["job_id"]
        status, reply = plane.api.call("POST", f"/api/v1/agents/{plane.agent['id']}/csr", {
            "csr_pem": make_csr(key, [f"{name}.example.test"]), "certificate_id": name, "job_id": job}, key=plane.agent["api_key"])
        assert status == 202, reply
        assert plane.wait_job(job, 60) == ("Completed", None)
        pem = plane.value("SELECT pem_chain FROM certificate_versions WHERE job_id = %s", job)
        made.append((x509.load_pem_x509_certificate(pem.encode()), key))
    plane.query("INSERT INTO acme_certificates (certificate_id, account_id, profile_id, names_key) VALUES (%s, %s, %s, %s)",
                name, client.id, PROFILE, f"dns:{name}.example.test ECDSA")
    return made


def der(leaf):
    return jose.b64(leaf.public_bytes(serialization.Encoding.DER))


def certid(leaf):
    aki = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = leaf.serial_number
    return f"{jose.b64(aki)}.{jose.b64(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


def revocations(plane, name):
    return {int(s, 16): r for s, r in plane.query("SELECT serial_number, reason FROM certificate_revocations WHERE certificate_id = %s", name)}


# --- key change ---
def inner(client, new, path, header=None, **content):
    url = client.origin + path
    return jose.jws(new, {"alg": jose.alg(new), "jwk": jose.jwk(new), "url": url} | (header or {}),
                    {"account": client.kid, "oldKey": jose.jwk(client.key)} | content)


def test_a_key_is_changed_once_both_have_signed(plane):
    client, path = Client(plane).register(), f"{BASE}/key-change"
    for kind in ("EdDSA", "RS256", "ES384"):
        new = jose.MAKERS[kind]()
        status, headers, reply = client.post(path, inner(client, new, path))
        assert status == 200 and headers["Replay-Nonce"], reply
        old, client.key = client.key, new
        assert client.post(client.kid.removeprefix(client.origin))[0] == 200
        is_problem(client.post(client.kid.removeprefix(client.origin), key=old), 401 if jose.alg(old) == jose.alg(new) else 400,
                   "unauthorized" if jose.alg(old) == jose.alg(new) else "badSignatureAlgorithm")
    assert plane.value("SELECT count(*) FROM audit_events WHERE action = 'acme_account_key_changed' AND resource_id = %s", client.id) == 3
    answer = is_problem(client.post(path, inner(client, jose.MAKERS["ES256"](), path)), 429, "rateLimited")
    assert 0 < int(answer[1]["Retry-After"]) <= 1200


def test_a_key_that_has_an_account_is_taken(plane):
    first, second, path = Client(plane).register(), Client(plane).register(), f"{BASE}/key-change"
    answer = is_problem(first.post(path, inner(first, second.key, path)), 409, "unauthorized")
    assert answer[1]["Location"] == second.kid
    is_problem(first.post(path, inner(first, first.key, path)), 409, "unauthorized")


def test_what_the_new_key_must_have_signed(plane):
    client, other, path = Client(plane).register(), Client(plane).register(), f"{BASE}/key-change"
    new = jose.MAKERS["ES256"]()
    good = inner(client, new, path)
    for wrong, status, error in (
            ("", 400, "malformed"), ({}, 400, "malformed"), (good | {"signature": jose.b64(bytes(64))}, 401, "unauthorized"),
            (good | {"header": {}}, 400, "malformed"),
            (inner(client, new, path, {"nonce": "bm9uY2U"}), 400, "malformed"), (inner(client, new, path, {"url": "x"}), 400, "malformed"),
            (inner(client, new, path, {"alg": "HS256"}), 400, "badSignatureAlgorithm"),
            (inner(client, new, path, {"alg": "ES384"}), 400, "badSignatureAlgorithm"),
            (inner(client, new, path, {"kid": client.kid}), 400, "malformed"),
            (inner(client, new, path, {"jwk": jose.jwk(client.key)}), 401, "unauthorized"),
            (inner(client, new, path, {"jwk": jose.jwk(new) | {"d": "AA"}}), 400, "badPublicKey"),
            (inner(client, new, path, account=other.kid), 400, "malformed"), (inner(client, new, path, account=None), 400, "malformed"),
            (inner(client, new, path, oldKey=jose.jwk(other.key)), 400, "malformed"), (inner(client, new, path, oldKey="x"), 400, "malformed")):
        is_problem(client.post(path, wrong), status, error)
    assert client.post(client.kid.removeprefix(client.origin))[0] == 200


# --- revocation ---
def test_the_account_revokes_what_it_has(plane):
    client, other = Client(plane).register(), Client(plane).register()
    (old, _), (new, _) = issue(plane, "own", client, 2)
    is_problem(other.post("revoke-cert", {"certificate": der(new)}), 401, "unauthorized")
    # An older one alone.
    status, headers, body = client.post("revoke-cert", {"certificate": der(old), "reason": 4})
    assert (status, body) == (200, b"") and headers["Replay-Nonce"]
    assert revocations(plane, "own") == {old.serial_number: "superseded"}
    assert plane.value("SELECT status FROM managed_certificates WHERE id = 'own'") == "Active"
    is_problem(client.post("revoke-cert", {"certificate": der(old)}), 400, "alreadyRevoked")
    # The one that stands for the certificate.
    assert client.post("revoke-cert", {"certificate": der(new), "reason": 1})[0] == 200
    assert revocations(plane, "own") == {old.serial_number: "superseded", new.serial_number: "keyCompromise"}
    assert plane.value("SELECT status FROM managed_certificates WHERE id = 'own'") == "Revoked"
    is_problem(client.post("revoke-cert", {"certificate": der(new)}), 400, "alreadyRevoked")
    actors = plane.query("SELECT DISTINCT actor FROM audit_events WHERE resource_id = 'own' AND action LIKE 'certificate%%revoked'")
    assert actors == [(f"acme:{client.id}",)]


def test_only_the_one_that_is_sent_is_revoked(plane):
    client = Client(plane).register()
    (old, _), (new, _) = issue(plane, "newest", client, 2)
    assert client.post("revoke-cert", {"certificate": der(new)})[0] == 200
    assert revocations(plane, "newest") == {new.serial_number: "unspecified"} and old.serial_number != new.serial_number


def test_the_list_and_ocsp_show_it(plane):
    client = Client(plane).register()
    (leaf, _), = issue(plane, "shown", client)
    assert client.post("revoke-cert", {"certificate": der(leaf), "reason": 5})[0] == 200

    def listed():
        status, _, body = client.http("GET", "/.well-known/pki/crl/iss-local")
        found = x509.load_der_x509_crl(body).get_revoked_certificate_by_serial_number(leaf.serial_number) if status == 200 else None
        return found and found.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert wait_for(listed, 60, "the list") == x509.ReasonFlags.cessation_of_operation


def test_the_certificate_s_own_key_revokes(plane):
    client = Client(plane).register()
    (leaf, key), = issue(plane, "by-key", client)
    stranger = Client(plane)
    is_problem(stranger.post("revoke-cert", {"certificate": der(leaf)}), 401, "unauthorized")
    # The account's key is not the certificate's: it comes with its kid.
    is_problem(Client(plane, client.key).post("revoke-cert", {"certificate": der(leaf)}), 401, "unauthorized")
    assert Client(plane, key).post("revoke-cert", {"certificate": der(leaf)})[0] == 200
    assert list(revocations(plane, "by-key")) == [leaf.serial_number]


def test_a_forged_certificate_is_unknown(plane):
    """The same serial and issuer, with the forger's key."""
    client = Client(plane).register()
    (leaf, _), = issue(plane, "forged", client)
    key = jose.MAKERS["ES256"]()
    forged = x509.CertificateBuilder(leaf.issuer, leaf.subject, key.public_key(), leaf.serial_number, leaf.not_valid_before,
                                     leaf.not_valid_after).sign(key, hashes.SHA256())
    is_problem(Client(plane, key).post("revoke-cert", {"certificate": der(forged)}), 404, "malformed")
    is_problem(client.post("revoke-cert", {"certificate": der(forged)}), 404, "malformed")
    assert revocations(plane, "forged") == {}


def test_an_account_that_proved_the_names_revokes(plane):
    client, prover, truster = (Client(plane).register() for _ in range(3))
    (leaf, _), = issue(plane, "proven", client)

    def authorize(account, attempts, name, wildcard=False):
        order, authz = f"o-{account.id}-{attempts}-{wildcard}", f"z-{account.id}-{attempts}-{wildcard}"
        plane.query("INSERT INTO acme_orders (order_id, account_id, identifiers, status, expires_at, profile_id, names_key) "
                    "VALUES (%s, %s, '[]', 'valid', now() + interval '1 day', %s, '')", order, account.id, PROFILE)
        plane.query("INSERT INTO acme_authorizations (authz_id, order_id, identifier, status, expires_at, wildcard) VALUES (%s, %s, %s, 'valid', "
                    "now() + interval '1 day', %s)", authz, order, json.dumps({"type": "dns", "value": name}), wildcard)
        plane.query("INSERT INTO acme_challenges (challenge_id, authz_id, type, status, token, attempts) VALUES (%s, %s, 'dns-01', 'valid', 't', %s)",
                    f"c-{authz}", authz, attempts)
    authorize(truster, 0, "proven.example.test")  # that nobody tried
    authorize(prover, 1, "proven.example.test", wildcard=True)
    for account in (truster, prover):
        is_problem(account.post("revoke-cert", {"certificate": der(leaf)}), 401, "unauthorized")
    authorize(prover, 1, "proven.example.test")
    assert prover.post("revoke-cert", {"certificate": der(leaf)})[0] == 200


def test_what_cannot_be_revoked(plane):
    client = Client(plane).register()
    (leaf, _), = issue(plane, "kept", client)
    for reason in (7, 8, 10, 11, -1, 1.5, "1", True):
        is_problem(client.post("revoke-cert", {"certificate": der(leaf), "reason": reason}), 400, "badRevocationReason")
    pem = leaf.public_bytes(serialization.Encoding.PEM).decode()
    for payload in ("", {}, {"certificate": None}, {"certificate": pem}, {"certificate": der(leaf) + "="}, {"certificate": ""},
                    {"certificate": jose.b64(b"0\x80")}, {"certificate": jose.b64(leaf.public_bytes(serialization.Encoding.DER) + b"x")}):
        is_problem(client.post("revoke-cert", payload), 400, "malformed")
    assert revocations(plane, "kept") == {}
    plane.query("UPDATE certificate_versions SET not_after = now() - interval '1 second' WHERE certificate_id = 'kept'")
    is_problem(client.post("revoke-cert", {"certificate": der(leaf)}), 400, "malformed")


# --- renewal information ---
def window(plane, leaf):
    status, headers, reply = Client(plane).http("GET", f"{BASE}/renewal-info/{certid(leaf)}")
    assert status == 200 and headers["Retry-After"] == "21600", reply
    return [datetime.datetime.fromisoformat(reply["suggestedWindow"][k]) for k in ("start", "end")]


def moved(plane, leaf):
    """Answers are kept for a second."""
    wait_for(lambda: window(plane, leaf)[1] <= now(), 10, "the window to move")
    return window(plane, leaf)


def end_of(leaf):
    return leaf.not_valid_after.replace(tzinfo=datetime.timezone.utc)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def test_the_window_is_the_policy_s(plane):
    client = Client(plane).register()
    (leaf, _), = issue(plane, "window", client)
    start, end = window(plane, leaf)
    left = end_of(leaf) - start
    assert datetime.timedelta(days=26) < left < datetime.timedelta(days=31)
    assert abs((end_of(leaf) - end) - left / 2) < datetime.timedelta(seconds=1)
    assert window(plane, leaf) == [start, end]


def test_an_operator_who_asks_moves_the_window(plane):
    client = Client(plane).register()
    (leaf, _), = issue(plane, "moved", client)
    assert window(plane, leaf)[0] > now()
    reply = plane.api.need("POST", f"{CERTS}/moved/renew")
    assert reply["status"] == "renewal_asked" and reply["job_ids"] == [] and "ACME client" in reply["warnings"][0]
    start, end = moved(plane, leaf)
    assert start < end <= now()
    assert plane.value("SELECT count(*) FROM jobs WHERE certificate_id = 'moved' AND job_issues(type) AND status <> 'Completed'") == 0
    assert plane.value("SELECT count(*) FROM audit_events WHERE action = 'acme_renewal_asked' AND resource_id = 'moved'") == 1


def test_bulk_renewal_asks_without_a_job(plane):
    client = Client(plane).register()
    (leaf, _), = issue(plane, "bulk", client)
    for dry in ("?dry_run=true", ""):
        reply = plane.api.need("POST", f"{CERTS}/bulk-renew{dry}", {"certificate_ids": ["bulk"]})
        assert (reply["total_enqueued"], reply["total_failed"], reply.get("enqueued_jobs")) == (1, 0, None), reply
    assert moved(plane, leaf)


@pytest.mark.parametrize("change", [
    "UPDATE managed_certificates SET renewal_wanted = 'names_changed' WHERE id = %s",
    "UPDATE ca_certificates SET state = 'former' WHERE issuer_id = 'iss-local' AND %s <> ''",
    "UPDATE issuers SET enabled = false WHERE id = 'iss-local' AND %s <> ''",
])
def test_what_is_not_to_be_used_longer_is_renewed_now(plane, change):
    client, name = Client(plane).register(), f"now-{len(change)}"
    (leaf, _), = issue(plane, name, client)
    assert window(plane, leaf)[0] > now()
    plane.query(change, name)
    try:
        assert moved(plane, leaf)
    finally:
        plane.query("UPDATE issuers SET enabled = true WHERE id = 'iss-local'")
        plane.query("UPDATE ca_certificates SET state = 'current' WHERE issuer_id = 'iss-local'")


def test_a_revoked_one_is_renewed_now(plane):
    client = Client(plane).register()
    (leaf, _), = issue(plane, "gone", client)
    assert client.post("revoke-cert", {"certificate": der(leaf)})[0] == 200
    assert moved(plane, leaf)


def test_identifiers_of_no_certificate(plane):
    client = Client(plane).register()
    (leaf, _), = issue(plane, "named", client)
    right = certid(leaf)
    for wrong, status in ((f"{jose.b64(bytes(20))}.{right.split('.')[1]}", 404), (f"{right.split('.')[0]}.{jose.b64(bytes([1] * 16))}", 404),
                          ("AQ.AQ.AQ", 400), (right + "=", 400), ("x", 400), (f"{right.split('.')[0]}.AA", 400)):
        is_problem(client.http("GET", f"{BASE}/renewal-info/{wrong}"), status, "malformed")


# --- what an order may replace ---
def test_which_certificates_an_order_may_replace(plane):
    client, other = Client(plane).register(), Client(plane).register()
    (leaf, _), = issue(plane, "replaced", client)

    def asked(account, certificate, *names):
        return plane.query("SELECT outcome, certificate_id FROM acme_replaces(%s, %s, %s)", account.id, certificate, list(names))[0]
    assert asked(client, certid(leaf), "replaced.example.test", "more.example.test") == ("fine", "replaced")
    assert asked(client, certid(leaf), "other.example.test")[0] == "unrelated"
    assert asked(other, certid(leaf), "replaced.example.test")[0] == "unknown"
    assert asked(client, "AQ.AQ", "replaced.example.test")[0] == "unknown"
    plane.query("INSERT INTO acme_orders (order_id, account_id, identifiers, status, expires_at, profile_id, names_key, replaces) VALUES "
                "('o-replaces', %s, '[]', 'ready', now() + interval '1 day', %s, '', %s)", client.id, PROFILE, certid(leaf))
    assert asked(client, certid(leaf), "replaced.example.test")[0] == "replaced"
    plane.query("UPDATE acme_orders SET status = 'invalid' WHERE order_id = 'o-replaces'")
    assert asked(client, certid(leaf), "replaced.example.test")[0] == "fine"


def test_an_order_says_what_it_replaces(plane):
    client, other = Client(plane).register(), Client(plane).register()
    (leaf, _), = issue(plane, "renewed", client)
    order = {"identifiers": [{"type": "dns", "value": "renewed.example.test"}], "replaces": certid(leaf)}
    is_problem(client.post("new-order", order | {"replaces": "AQ.AQ=="}), 400, "malformed")
    is_problem(client.post("new-order", order | {"identifiers": [{"type": "dns", "value": "x.example.test"}]}), 400, "malformed")
    is_problem(other.post("new-order", order), 400, "malformed")
    assert client.post("new-order", order)[0] == 201
    is_problem(client.post("new-order", order), 409, "alreadyReplaced")
