"""Google CAS: what is particular to it (test_issuers_faults.py has what every CA does wrong)."""
import json
import re

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fleet import wait_for
from sim_googlecas import PARENT, UUID
from test_issuers_conformance import at_once, certificates, change, completed, make, order, plane, row, versions  # noqa: F401


@pytest.fixture
def google(make):  # noqa: F811
    return make("googlecas")


def logins(google):
    return google.sim.calls("POST /token")


def placed(google):
    return [line for line, _, _ in google.sim.log if line.startswith(f"POST /v1/{PARENT}/certificates?")]


def failed(plane, google, words):  # noqa: F811
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{google.id}")[1]["test_status"] == "failed", 20, "its test")
    wait_for(lambda: words in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", google.id) or ""),
             20, "its words")


def test_what_is_asked_for(plane, google, order):  # noqa: F811
    name, job = order(google)
    completed(plane, job)
    line, = placed(google)
    assert re.fullmatch(f"POST /v1/{PARENT}/certificates\\?certificateId={job}&requestId={UUID}", line)
    made, = google.sim.orders.values()
    assert made["body"].pop("pemCsr").startswith("-----BEGIN CERTIFICATE REQUEST-----") and made["body"] == {"lifetime": "7776000s"}
    (_, text, _), = versions(plane, name)
    assert [c.subject.rfc4514_string() for c in certificates(text)] == [f"CN={name}.example.test", "CN=Simulated Google CAS Issuing CA"]


@pytest.mark.parametrize("days, life", [(30, 30 * 86400), (365, 90 * 86400)])
def test_the_life_is_the_profile_s_within_the_issuer_s(plane, google, order, days, life):  # noqa: F811
    profile = plane.api.need("POST", "/api/v1/profiles", {"name": f"{days} days of Google", "max_ttl_seconds": days * 86400})["id"]
    _, job = order(google, certificate_profile_id=profile)
    completed(plane, job)
    made, = google.sim.orders.values()
    assert made["body"]["lifetime"] == f"{life}s"


def test_a_token_serves_until_it_ends(plane, google, order):  # noqa: F811
    """The test of the issuer signed in."""
    for _ in range(2):
        _, job = order(google)
        completed(plane, job)
    assert logins(google) == 0
    google.sim.expire()
    _, job = order(google)
    completed(plane, job)
    assert logins(google) == 1 and len(google.sim.orders) == 3 and len(placed(google)) == 4


def test_a_token_that_ends_soon_is_not_kept(plane, google, order):  # noqa: F811
    google.sim.lives = 300
    google.sim.expire()
    for n in (1, 2):
        _, job = order(google)
        completed(plane, job)
        assert logins(google) == n


@pytest.mark.parametrize("fault", [{"status": 400, "body": {"error": "invalid_grant", "error_description": "Invalid JWT"}}, {"status": 503},
                                   {"close": "after"}, {"truncate": True}, {"status": 200, "body": {}}, {"status": 200, "body": {"access_token": "a\nb"}}],
                         ids=["400", "503", "cut", "half", "empty", "lines"])
def test_a_login_that_fails_orders_nothing(plane, google, order, fault):  # noqa: F811
    google.sim.expire()
    google.sim.fault("POST /token", **fault)
    _, job = order(google)
    wait_for(lambda: row(plane, job)[1], 20, "the refusal")
    assert row(plane, job, "status, attempts, checkpoint") == ("Pending", 1, None) and not google.sim.orders
    at_once(plane, job)
    completed(plane, job)
    assert len(google.sim.orders) == 1


def test_another_account_s_key_is_not_let_in(plane, google):  # noqa: F811
    text = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    change(plane, google, credentials=google.sim.credentials(private_key=text))
    failed(plane, google, 'the CA refused the test: HTTP 400: "Invalid JWT Signature."')


def test_an_id_that_is_taken_is_our_certificate(plane, google, order):  # noqa: F811
    """It was issued, and neither the answer nor the look-up said so; and it does not remember the request's id any more."""
    google.sim.fault(google.places, close="after")
    google.sim.fault(google.lists, times=2, status=404)
    name, job = order(google)
    wait_for(lambda: row(plane, job)[1], 20, "the look-up")
    made, = google.sim.orders.values()
    made["request"] = "forgotten"
    at_once(plane, job)
    completed(plane, job)
    assert len(google.sim.orders) == 1 and len(versions(plane, name)) == 1 and len(placed(google)) == 2


def test_a_request_that_is_sent_again_is_the_same(plane, google, order):  # noqa: F811
    google.sim.fault(google.places, close="after")
    google.sim.fault(google.lists, times=2, status=404)
    _, job = order(google)
    wait_for(lambda: row(plane, job)[1], 20, "the look-up")
    at_once(plane, job)
    completed(plane, job)
    first, second = placed(google)
    assert first == second and len(google.sim.orders) == 1


def test_a_pool_that_keeps_nothing_proves_nothing(plane, google, order):  # noqa: F811
    google.sim.tier = "DEVOPS"
    status, reply = plane.api.post(f"/api/v1/issuers/{google.id}/test", timeout=60)
    assert status == 422 and "the pool is not of the tier ENTERPRISE" in reply["message"]
    google.sim.fault(google.places, close="after")
    _, job = order(google)
    words = wait_for(lambda: row(plane, job)[1], 20, "the look-up")
    assert words.startswith("the order could not be looked up: its pool is not of the tier ENTERPRISE")
    assert row(plane, job, "checkpoint ->> 'state'") == ("placing",) and len(placed(google)) == 1


@pytest.mark.parametrize("reason, word", [("superseded", "SUPERSEDED"), ("certificateHold", "CERTIFICATE_HOLD"),
                                          ("unspecified", "REVOCATION_REASON_UNSPECIFIED")])
def test_reasons_are_said_as_it_has_them(plane, google, order, reason, word):  # noqa: F811
    name, job = order(google)
    completed(plane, job)
    plane.api.need("POST", f"/api/v1/certificates/{name}/revoke", {"reason": reason})
    wait_for(lambda: google.revoked() == [word], 30, "the revocation")


def ec_key():
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


@pytest.mark.parametrize("change_of, words", [
    (lambda text: "no JSON", "it is no JSON"), (lambda text: json.dumps(json.loads(text) | {"type": "authorized_user"}), "its type is not service_account"),
    (lambda text: json.dumps(json.loads(text) | {"client_email": ""}), "it has no client_email"),
    (lambda text: json.dumps(json.loads(text) | {"token_uri": "https://elsewhere.example/token"}), "its token_uri is another than token_url"),
    (lambda text: json.dumps(json.loads(text) | {"private_key": "none"}), "its private_key is no RSA key"),
    (lambda text: json.dumps(json.loads(text) | {"private_key": ec_key()}), "its private_key is no RSA key")],
    ids=["no JSON", "type", "email", "token_uri", "no key", "EC key"])
def test_credentials_that_are_none(plane, google, change_of, words):  # noqa: F811
    change(plane, google, credentials=change_of(google.sim.credentials()))
    failed(plane, google, f"credentials: {words}")
    assert not google.sim.orders


@pytest.mark.parametrize("changes, words", [({"base_url": "https://elsewhere.example/v1"}, "base_url is none of the CA's own"),
                                            ({"token_url": "https://elsewhere.example/token"}, "token_url is none of the CA's own"),
                                            ({"ttl": "a year"}, "ttl is no duration")])
def test_a_configuration_that_no_worker_may_use(plane, google, changes, words):  # noqa: F811
    change(plane, google, **changes)
    failed(plane, google, words)
    assert not google.sim.orders


def test_the_secrets_are_stored_sealed_alone(plane, google, order):  # noqa: F811
    _, job = order(google)
    completed(plane, job)
    lines = json.loads(google.sim.credentials())["private_key"].splitlines()[1:-1]
    stored = plane.value("SELECT config::text FROM issuers WHERE id = %s", google.id)
    for secret in (lines[0], lines[5], "ya29.token"):
        assert secret not in plane.processes["worker-1"].log() and secret not in stored
        assert secret not in str(plane.api.get(f"/api/v1/issuers/{google.id}"))
