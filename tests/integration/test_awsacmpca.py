"""AWS Private CA: what is particular to it (test_issuers_faults.py has what every CA does wrong)."""
import base64
import time

import pytest

from fleet import wait_for
from sim_awsacmpca import CA_ARN, SECRET_KEY, SESSION
from test_issuers_conformance import (at_once, certificates, change, completed, die_at, make, order, plane, row, versions,  # noqa: F401
                                      wait_ordered, wait_status)


@pytest.fixture
def aws(make):  # noqa: F811
    return make("awsacmpca")


def sent(aws):
    return next(body for line, _, body in aws.sim.log if line == aws.places)


def failed(plane, aws, words):  # noqa: F811
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{aws.id}")[1]["test_status"] == "failed", 20, "its test")
    wait_for(lambda: words in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", aws.id) or ""),
             20, "its words")


def test_what_is_asked_for(plane, aws, order):  # noqa: F811
    change(plane, aws, template_arn="arn:aws:acm-pca:::template/EndEntityCertificate/V1")
    name, job = order(aws)
    completed(plane, job)
    body = sent(aws)
    assert base64.b64decode(body.pop("Csr")).startswith(b"-----BEGIN CERTIFICATE REQUEST-----")
    assert body == {"CertificateAuthorityArn": CA_ARN, "SigningAlgorithm": "SHA256WITHRSA", "Validity": {"Type": "DAYS", "Value": 90},
                    "TemplateArn": "arn:aws:acm-pca:::template/EndEntityCertificate/V1", "IdempotencyToken": body["IdempotencyToken"]}
    assert body["IdempotencyToken"] == job and len(job) <= 36
    (_, text, _), = versions(plane, name)
    assert [c.subject.rfc4514_string() for c in certificates(text)] == [f"CN={name}.example.test", "CN=Simulated AWS Private CA Issuing CA"]


@pytest.mark.parametrize("seconds, kind, value", [(30 * 86400, "DAYS", 30), (45 * 86400 + 5, "DAYS", 45), (365 * 86400, "DAYS", 90),
                                                  (43200, "ABSOLUTE", 43200)])
def test_the_life_is_the_profile_s_within_the_issuer_s(plane, aws, order, seconds, kind, value):  # noqa: F811
    began = int(time.time())
    profile = plane.api.need("POST", "/api/v1/profiles", {"name": f"{seconds} s of AWS", "max_ttl_seconds": seconds})["id"]
    _, job = order(aws, certificate_profile_id=profile)
    completed(plane, job)
    validity = sent(aws)["Validity"]
    if kind == "ABSOLUTE":
        assert began <= validity["Value"] - value <= time.time()
        validity["Value"] = value
    assert validity == {"Type": kind, "Value": value}


def test_a_temporary_key_has_a_session_token(plane, aws, order):  # noqa: F811
    aws.sim.session = SESSION
    _, job = order(aws)
    assert "UnrecognizedClientException" in wait_for(lambda: row(plane, job)[1], 20, "the refusal")
    change(plane, aws, session_token=SESSION)
    at_once(plane, job)
    completed(plane, job)
    assert len(aws.sim.orders) == 1


def test_a_wrong_secret_signs_nothing(plane, aws, order):  # noqa: F811
    change(plane, aws, secret_access_key=SECRET_KEY + "x")
    failed(plane, aws, "(InvalidSignatureException)")
    _, job = order(aws)
    words = wait_for(lambda: row(plane, job)[1], 20, "the refusal")
    assert words == ('the CA refused: HTTP 400: "The request signature we calculated does not match the signature you provided." '
                     '(InvalidSignatureException)')
    assert row(plane, job, "status, attempts, checkpoint") == ("Pending", 1, None) and not aws.sim.orders


@pytest.mark.parametrize("kind", ["ThrottlingException", "LimitExceededException", "AccessDeniedException", "ExpiredTokenException",
                                  "InvalidStateException", "com.amazon.coral.availability#ThrottlingException"])
def test_a_400_that_is_not_the_order_s_fault_is_tried_again(plane, aws, order, kind):  # noqa: F811
    aws.sim.fault(aws.places, status=400, body={"__type": kind, "message": "Not now"})
    _, job = order(aws)
    assert wait_for(lambda: row(plane, job)[1], 20, "the refusal") == f'the CA refused: HTTP 400: "Not now" ({kind})'
    assert row(plane, job, "status, attempts, checkpoint") == ("Pending", 1, None) and not aws.sim.orders
    at_once(plane, job)
    completed(plane, job)
    assert len(aws.sim.orders) == 1


@pytest.mark.parametrize("kind", ["InvalidArgsException", "MalformedCSRException", "ResourceNotFoundException", "ValidationException"])
def test_a_400_that_is_ends_it(plane, aws, order, kind):  # noqa: F811
    aws.sim.fault(aws.places, times=99, status=400, body={"__type": kind, "message": "Not so"})
    _, job = order(aws)
    assert wait_status(plane, job, "Failed", "Completed") == ("Failed", f'the CA refused: HTTP 400: "Not so" ({kind})')


@pytest.mark.parametrize("kind", ["ThrottlingException", "InvalidStateException"])
def test_a_poll_that_is_throttled_keeps_the_order(plane, aws, order, kind):  # noqa: F811
    _, job = order(aws)
    wait_ordered(plane, job, 0)
    aws.sim.fault(aws.polls, status=400, body={"__type": kind, "message": "Rate exceeded"})
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    completed(plane, job)
    assert len(aws.sim.orders) == 1


def test_an_order_that_is_sent_again_is_the_same(plane, aws, order):  # noqa: F811
    """As AWS promises of a token within five minutes: nobody heard that the order was taken."""
    aws.sim.fault(aws.places, close="after")
    aws.sim.fault(aws.places, status=503)
    _, job = order(aws)
    assert "the order could not be looked up" in wait_for(lambda: row(plane, job)[1], 20, "the look-up")
    at_once(plane, job)
    completed(plane, job)
    assert len(aws.sim.orders) == 1 and aws.sim.calls(aws.places) == 3


def long_ago(plane, job, seconds=240):  # noqa: F811
    plane.query("UPDATE jobs SET checkpoint = checkpoint || jsonb_build_object('send_before', now() - make_interval(secs => %s)) WHERE id = %s",
                seconds, job)


@pytest.mark.parametrize("seconds, is_sent", [(120, True), (181, False)])
def test_an_order_is_sent_again_within_three_minutes_and_no_later(plane, aws, order, seconds, is_sent):  # noqa: F811
    aws.sim.fault(aws.places, close="after")
    aws.sim.fault(aws.places, status=503)
    _, job = order(aws)
    wait_for(lambda: row(plane, job)[1], 20, "the look-up")
    long_ago(plane, job, seconds)
    at_once(plane, job)
    if is_sent:
        completed(plane, job)
    else:
        wait_for(lambda: (row(plane, job)[1] or "").startswith("order uncertain: "), 30, "the job to wait for a person")
    assert len(aws.sim.orders) == 1 and aws.sim.calls(aws.places) == 2 + is_sent


def test_an_order_whose_token_may_be_forgotten_waits_for_a_person(plane, aws, order):  # noqa: F811
    aws.sim.fault(aws.places, close="after")
    aws.sim.fault(aws.places, status=503)
    _, job = order(aws)
    wait_for(lambda: row(plane, job)[1], 20, "the look-up")
    aws.sim.idle(301)
    long_ago(plane, job)
    at_once(plane, job)
    wait_for(lambda: (row(plane, job)[1] or "").startswith("order uncertain: "), 30, "the job to wait for a person")
    assert len(aws.sim.orders) == 1 and aws.sim.calls(aws.places) == 2


def test_a_certificate_that_it_has_forgotten_later_is_not_ordered_again(plane, aws, order):  # noqa: F811
    _, job = order(aws)
    wait_ordered(plane, job, 0)
    arn, = aws.sim.orders
    aws.sim.forget(arn)
    long_ago(plane, job)
    at_once(plane, job)
    wait_for(lambda: (row(plane, job)[1] or "").startswith("order uncertain: the CA does not know its order"), 30, "the job to wait for a person")
    assert len(aws.sim.orders) == 1


def test_a_ca_that_is_not_active_can_not_be_used(plane, aws):  # noqa: F811
    aws.sim.state = "DISABLED"
    status, reply = plane.api.post(f"/api/v1/issuers/{aws.id}/test", timeout=60)
    assert status == 422 and "the CA is DISABLED, and not ACTIVE" in reply["message"]


@pytest.mark.parametrize("reason, word", [("superseded", "SUPERSEDED"), ("caCompromise", "CERTIFICATE_AUTHORITY_COMPROMISE"),
                                          ("certificateHold", "UNSPECIFIED"), ("privilegeWithdrawn", "PRIVILEGE_WITHDRAWN")])
def test_reasons_are_said_as_it_has_them(plane, aws, order, reason, word):  # noqa: F811
    name, job = order(aws)
    completed(plane, job)
    plane.api.need("POST", f"/api/v1/certificates/{name}/revoke", {"reason": reason})
    wait_for(lambda: aws.revoked() == [word], 30, "the revocation")


def test_a_revocation_that_it_works_on_is_asked_again(plane, aws, order):  # noqa: F811
    name, job = order(aws)
    completed(plane, job)
    aws.sim.fault(aws.revokes, status=400, body={"__type": "RequestInProgressException", "message": "Your request is already in progress."})
    plane.api.need("POST", f"/api/v1/certificates/{name}/revoke", {"reason": "keyCompromise"})
    wait_for(lambda: "already in progress" in str(plane.api.need("GET", f"/api/v1/certificates/{name}/versions")), 30, "its words")
    wait_for(lambda: plane.value("SELECT min(status) FROM tasks WHERE kind = 'ca_revoke'") == "Pending", 30, "the task to be free")
    plane.query("UPDATE tasks SET run_after = now() WHERE kind = 'ca_revoke' AND status = 'Pending'")
    wait_for(lambda: aws.revoked() == ["KEY_COMPROMISE"], 30, "the revocation")


@pytest.mark.parametrize("changes, words", [
    ({"base_url": "https://elsewhere.example"}, "base_url is none of the CA's own, https://acm-pca.eu-central-1.amazonaws.com for instance"),
    ({"region": "us-east-1"}, "ca_arn is no ARN of a private CA in that region"), ({"region": "eu.evil.example/"}, "region is no region of AWS"),
    ({"ca_arn": CA_ARN.replace("certificate-authority", "thing")}, "ca_arn is no ARN"),
    ({"signing_algorithm": "SHA1WITHRSA"}, "signing_algorithm must be")])
def test_a_configuration_that_no_worker_may_use(plane, aws, changes, words):  # noqa: F811
    change(plane, aws, **changes)
    failed(plane, aws, words)
    assert not aws.sim.orders


def test_the_secrets_are_stored_sealed_alone(plane, aws, order):  # noqa: F811
    aws.sim.session = SESSION
    change(plane, aws, session_token=SESSION)
    _, job = order(aws)
    completed(plane, job)
    stored = plane.value("SELECT config::text FROM issuers WHERE id = %s", aws.id)
    for secret in (SECRET_KEY, SESSION):
        assert secret not in plane.processes["worker-1"].log() and secret not in stored
        assert secret not in str(plane.api.get(f"/api/v1/issuers/{aws.id}"))
