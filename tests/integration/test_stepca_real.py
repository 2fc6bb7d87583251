"""
The connector to step-ca against step-ca itself, where it is installed: what the simulator shows must be what it does.
"""
import datetime
import itertools

import pytest
from cryptography import x509

import step_ca
from fleet import wait_for
from sim_stepca import PASSWORD, PROVISIONER
from test_issuers_conformance import certificates, completed, renew, row, versions

NOT_SANITIZED = "the programs are those of test_stepca.py, the rest is step-ca"
pytestmark = pytest.mark.skipif(not step_ca.path(), reason=step_ca.INSTALL)
LIMIT_S = 120
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def plane(stack):
    (stack.dir / "clients").mkdir(mode=0o700)
    stack.step_ca = step_ca.StepCa(stack, stack.dir / "step-ca")
    stack.start_scheduler(keep=True)
    stack.start_worker(1, keep=True, CERTCTL_ISSUER_CLIENT_DIR=str(stack.dir / "clients"), CERTCTL_ISSUER_ALLOW_LOOPBACK="true",
                       CERTCTL_ISSUER_BASE_URLS=stack.step_ca.url)
    stack.make_basics()
    stack.start_agent("agent-1", keep=True)
    key = stack.dir / "clients" / "provisioner"
    key.write_text(stack.step_ca.provisioner_key())
    key.chmod(0o600)
    stack.made = make(stack)
    return stack


def make(plane, **more):
    return plane.api.need("POST", "/api/v1/issuers", {"name": f"step-ca {next(numbers)}", "type": "StepCA", "config": {
        "ca_url": plane.step_ca.url, "root_fingerprint": plane.step_ca.fingerprint, "provisioner_name": PROVISIONER,
        "provisioner_key_path": str(plane.dir / "clients" / "provisioner"), "provisioner_password": PASSWORD} | more})["id"]


def said(plane, issuer):
    status, reply = plane.api.post(f"/api/v1/issuers/{issuer}/test", timeout=60)
    return None if status == 200 else reply["message"]


def order(plane, issuer, **facts):
    name = f"r{next(numbers)}"
    plane.make_target(f"tgt-{name}", plane.processes["agent-1"].agent_id, plane.dir / "sites" / name)
    plane.make_certificate(name, [f"tgt-{name}"], issuer_id=issuer, **facts)
    return name, renew(plane, name)


def test_it_is_found_good_by_its_fingerprint_alone(plane):
    assert said(plane, plane.made) is None
    assert "has not the fingerprint" in said(plane, make(plane, root_fingerprint="0" * 64))
    words = said(plane, make(plane, provisioner_password="another"))
    assert "it is encrypted by another password" in words


def test_it_signs_and_renews(plane):
    name, job = order(plane, plane.made)
    completed(plane, job)
    completed(plane, renew(plane, name))
    stored = versions(plane, name)
    assert len({serial for serial, _, _ in stored}) == 2
    for serial, text, _ in stored:
        leaf, below = certificates(text)
        assert leaf.serial_number == int(serial, 16) and leaf.issuer == below.subject and below.issuer == plane.step_ca.root.subject
        assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == [f"{name}.example.test"]
        assert leaf.not_valid_after - leaf.not_valid_before < datetime.timedelta(hours=25)


@pytest.mark.parametrize("sans", [["a.example.test", "*.b.example.test", "192.0.2.7", "2001:db8::7"], ["x.example.test", "me@example.test"],
                                  ["spiffe.example.test", "spiffe://example.test/a"]], ids=["addresses", "mail", "uri"])
def test_names_of_every_kind(plane, sans):
    name, job = order(plane, plane.made, sans=sans)
    completed(plane, job)
    (_, text, _), = versions(plane, name)
    names = certificates(text)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(n.value) for n in names} >= set(sans)


def test_the_life_that_is_asked_for(plane):
    name, job = order(plane, make(plane, validity_days=30))
    completed(plane, job)
    (_, text, _), = versions(plane, name)
    leaf = certificates(text)[0]
    assert abs((leaf.not_valid_after - leaf.not_valid_before).total_seconds() - 30 * 86400) < 120


def test_a_life_that_it_does_not_give_is_refused_in_its_words(plane):
    _, job = order(plane, make(plane, validity_days=365))
    wait_for(lambda: row(plane, job)[0] == "Failed", 30, "the refusal")
    words = row(plane, job)[1]
    assert words.startswith('the CA refused: HTTP 403: "The request was forbidden by the certificate authority: requested duration'), words
    assert plane.value("SELECT failures FROM lanes WHERE issuer_id = (SELECT issuer_id FROM jobs WHERE id = %s)", job) == 0


def test_a_provisioner_that_it_does_not_know(plane):
    _, job = order(plane, make(plane, provisioner_name="nobody"))
    words = wait_for(lambda: row(plane, job)[1], 30, "the refusal")
    assert words.startswith("the CA refused: HTTP 401") and row(plane, job)[0] == "Pending", words


@pytest.mark.parametrize("was_before", [False, True])
def test_it_is_told_what_is_revoked(plane, was_before):
    """Also what somebody revoked there before, as after an answer that was lost."""
    name, job = order(plane, plane.made)
    completed(plane, job)
    (serial, _, _), = versions(plane, name)
    if was_before:
        plane.step_ca.revoke(int(serial, 16))
    plane.api.need("POST", f"/api/v1/certificates/{name}/revoke", {"reason": "keyCompromise"})
    wait_for(lambda: plane.api.need("GET", f"/api/v1/certificates/{name}/versions")["data"][0].get("ca_revocation") == "confirmed", 40,
             "step-ca's word", every=0.2)
    assert int(serial, 16) in plane.step_ca.revoked()
