"""step-ca: what is particular to it (test_issuers_faults.py has what every CA does wrong)."""
import itertools
import json
import re

import pytest

from fleet import wait_for
from sim_stepca import PASSWORD, PROVISIONER, encrypt
from test_issuers_conformance import certificates, change, completed, make, order, plane, row, versions  # noqa: F401

files = itertools.count(1)


@pytest.fixture
def stepca(make):  # noqa: F811
    return make("stepca")


def key_file(plane, text, mode=0o600):  # noqa: F811
    path = plane.dir / "clients" / f"provisioner-{next(files)}.json"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def said_by_test(plane, issuer):  # noqa: F811
    """What its test says: None for success."""
    code, reply = plane.api.post(f"/api/v1/issuers/{issuer.id}/test", timeout=60)
    return None if code == 200 else reply["message"]


def test_what_is_asked_for(plane, stepca, order):  # noqa: F811
    name, job = order(stepca)
    completed(plane, job)
    sent, claims = stepca.sim.orders[1]["sent"], stepca.sim.orders[1]["claims"]
    assert sent["csr"].startswith("-----BEGIN CERTIFICATE REQUEST-----") and set(sent) == {"csr", "ott"}
    assert (claims["iss"], claims["sub"], claims["sans"], claims["sha"]) == (PROVISIONER, f"{name}.example.test", [f"{name}.example.test"],
                                                                             stepca.sim.fingerprint())
    assert re.fullmatch("[0-9a-f]{32}", claims["jti"]) and claims["exp"] - claims["iat"] <= 330
    (_, text, _), = versions(plane, name)
    assert [c.subject.rfc4514_string() for c in certificates(text)] == [f"CN={name}.example.test", "CN=Simulated step-ca Issuing CA"]


@pytest.mark.parametrize("days, most, asked", [(30, None, 30 * 86400), (30, 7200, 7200), (0, 7200, 7200), (1, 7 * 86400, 86400)])
def test_the_life_is_the_shorter_one(plane, stepca, order, days, most, asked):  # noqa: F811
    change(plane, stepca, validity_days=days)
    profile = {} if most is None else {"certificate_profile_id": plane.api.need(
        "POST", "/api/v1/profiles", {"name": f"{days} days, {most} seconds of step-ca", "max_ttl_seconds": most})["id"]}
    _, job = order(stepca, **profile)
    completed(plane, job)
    assert stepca.sim.orders[1]["sent"]["notAfter"] == f"{asked}s"


def test_a_life_that_it_does_not_give_is_refused(plane, stepca, order):  # noqa: F811
    """By 403, as whom it lets in is told what he may not have: no order of another certificate waits for it."""
    change(plane, stepca, validity_days=101)
    _, job = order(stepca)
    wait_for(lambda: row(plane, job)[0] == "Failed", 30, "the refusal")
    assert row(plane, job)[1].startswith('the CA refused: HTTP 403: "The request was forbidden by the certificate authority: requested duration')
    assert plane.value("SELECT failures FROM lanes WHERE issuer_id = %s", stepca.id) == 0 and not stepca.sim.orders


@pytest.mark.parametrize("how", [{"enc": "A128GCM"}, {"rounds": 600000}, {"compact": True}], ids=["A128GCM", "600000", "compact"])
def test_keys_as_step_writes_them(plane, stepca, how):  # noqa: F811
    parts = encrypt(stepca.sim.jwk(), **{k: v for k, v in how.items() if k != "compact"})
    text = ".".join(parts[n] for n in ("protected", "encrypted_key", "iv", "ciphertext", "tag")) + "\n" if "compact" in how else json.dumps(parts)
    change(plane, stepca, provisioner_key_path=key_file(plane, text))
    assert said_by_test(plane, stepca) is None


def test_a_wrong_password_is_said(plane, stepca):  # noqa: F811
    change(plane, stepca, provisioner_password="another")
    assert "it is encrypted by another password" in said_by_test(plane, stepca)


def test_what_is_no_key_is_said(plane, stepca):  # noqa: F811
    for payload, words in ((b"{}", "is no private JWK of P-256"), (stepca.sim.jwk().replace(b'"d": "', b'"d": "A'), "is no private JWK of P-256")):
        change(plane, stepca, provisioner_key_path=key_file(plane, json.dumps(encrypt(payload))))
        assert words in said_by_test(plane, stepca)
    parts = encrypt(stepca.sim.jwk())
    for text, words in (("{}", "it is no JWE"), ("a.b.c", "it is no JWE"), (json.dumps(parts | {"protected": "e30"}), "it is not encrypted by"),
                        (json.dumps(parts | {"iv": "AAAA"}), "lengths that no key of its kind has"),
                        (json.dumps(parts | {"tag": "A" * 22}), "another password")):
        change(plane, stepca, provisioner_key_path=key_file(plane, text))
        assert words in said_by_test(plane, stepca)


def test_a_key_that_others_can_read_is_refused(plane, stepca):  # noqa: F811
    change(plane, stepca, provisioner_key_path=key_file(plane, stepca.sim.encrypted_key(), 0o644))
    assert "can be read by others" in said_by_test(plane, stepca)


def test_a_root_of_another_fingerprint_is_not_trusted(plane, stepca):  # noqa: F811
    """Whoever answers there: nothing is asked of it."""
    change(plane, stepca, root_fingerprint="0" * 64)
    stepca.sim.log.clear()
    assert "has not the fingerprint" in said_by_test(plane, stepca)
    stepca.sim.fault("GET /root" "/", times=99, status=200, body={"ca": stepca.sim.root()})
    assert "has not the fingerprint" in said_by_test(plane, stepca)
    assert stepca.sim.calls("POST ") == 0


def test_a_root_in_a_file_is_trusted_alone(plane, stepca):  # noqa: F811
    config = {k: v for k, v in stepca.config["config"].items() if k != "root_fingerprint"}
    good = plane.dir / "clients" / "roots.pem"
    good.write_text(stepca.sim.root())
    plane.api.need("PUT", f"/api/v1/issuers/{stepca.id}", {"config": config | {"root_cert_path": str(good)}})
    assert said_by_test(plane, stepca) is None
    other = plane.dir / "clients" / "other.pem"
    other.write_bytes((plane.trust.directory / "stranger.pem").read_bytes())
    plane.api.need("PUT", f"/api/v1/issuers/{stepca.id}", {"config": config | {"root_cert_path": str(other)}})
    assert "did not say that it can be used" in said_by_test(plane, stepca)


@pytest.mark.parametrize("changes, words", [
    ({"ca_url": "https://elsewhere.example"}, "ca_url is not allowed here: the workers' hosts allow URLs by"), ({"root_fingerprint": "abc"}, "root_fingerprint is no SHA-256"),
    ({"provisioner_key_path": "/etc/passwd"}, "does not lie directly in CERTCTL_ISSUER_CLIENT_DIR"),
    ({"root_cert_path": "/etc/passwd"}, "does not lie directly in CERTCTL_ISSUER_CLIENT_DIR")])
def test_a_configuration_that_no_worker_may_use(plane, stepca, changes, words):  # noqa: F811
    change(plane, stepca, **changes)
    assert words in said_by_test(plane, stepca)
    assert not stepca.sim.orders


def test_the_password_is_stored_sealed_alone(plane, stepca, order):  # noqa: F811
    _, job = order(stepca)
    completed(plane, job)
    stored = plane.value("SELECT config::text FROM issuers WHERE id = %s", stepca.id)
    assert PASSWORD not in plane.processes["worker-1"].log() and PASSWORD not in stored
    assert PASSWORD not in str(plane.api.get(f"/api/v1/issuers/{stepca.id}"))
