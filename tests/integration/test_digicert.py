"""DigiCert CertCentral: what is particular to it (test_issuers_faults.py has what every CA does wrong)."""
import base64
import subprocess

import pytest

from fleet import wait_for
from sim_digicert import KEY
from test_issuers_conformance import certificates, completed, make, order, plane, row, versions, wait_status  # noqa: F401


@pytest.fixture
def digicert(make):  # noqa: F811
    return make("digicert")


@pytest.fixture
def sim(digicert):
    return digicert.sim


def chain(plane, name):  # noqa: F811
    """Who stands above the leaf: the root is no part of what is served."""
    (_, text, _), = versions(plane, name)
    return [c.subject.rfc4514_string() for c in certificates(text)][1:]


def test_what_is_asked_for(plane, digicert, sim, order):  # noqa: F811
    name, job = order(digicert)
    completed(plane, job)
    line, headers, body = next(entry for entry in sim.log if entry[0].startswith("POST"))
    assert line == "POST /services/v2/order/certificate/ssl_basic" and headers["X-DC-DEVKEY"] == KEY
    assert {k: v for k, v in body.items() if k != "certificate"} == {
        "organization": {"id": 4321}, "order_validity": {"days": 199}, "skip_approval": True,
        "disable_renewal_notifications": True, "comments": f"certctl {job}"}
    assert (body["certificate"]["common_name"], body["certificate"]["dns_names"]) == (f"{name}.example.test", [f"{name}.example.test"])
    assert chain(plane, name) == ["CN=Simulated DigiCert Issuing CA"]


def test_an_order_issued_at_once_needs_no_poll(plane, digicert, sim, order):  # noqa: F811
    sim.behave(instant=True)
    name, job = order(digicert)
    assert wait_status(plane, job, "Completed", "Failed") == ("Completed", None)
    assert sim.calls("GET /order") == 0 and len(sim.orders) == 1
    assert chain(plane, name) == ["CN=Simulated DigiCert Issuing CA"]


@pytest.mark.parametrize("change, words", [
    ({"base_url": "https://elsewhere.example/services/v2"}, "base_url is none of the CA's own"),
    ({"org_id": "x"}, "org_id is not a number"), ({"product_type": "../user"}, "product_type is no product's name")])
def test_a_configuration_that_no_worker_may_use(plane, digicert, sim, order, change, words):  # noqa: F811
    plane.api.need("PUT", f"/api/v1/issuers/{digicert.id}", {"config": digicert.config["config"] | change})
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{digicert.id}")[1]["test_status"] == "failed", 20, "its test")
    # The status is written before the task's own words.
    wait_for(lambda: words in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", digicert.id) or ""),
             20, "its words")
    assert not sim.log


def stored(plane, issuer):  # noqa: F811
    return plane.value("SELECT config -> 'api_key' FROM issuers WHERE id = %s", issuer.id)


def test_the_key_is_stored_sealed_alone(plane, digicert, sim, order):  # noqa: F811
    _, job = order(digicert)
    completed(plane, job)
    sealed = stored(plane, digicert)
    assert set(sealed) == {"cms", "to"} and KEY.encode() not in base64.b64decode(sealed["cms"])
    # RFC 5083: AuthEnvelopedData, by openssl(1) too.
    text = subprocess.run(["openssl", "cms", "-cmsout", "-print", "-inform", "DER"], input=base64.b64decode(sealed["cms"]), check=True,
                          capture_output=True).stdout.decode()
    assert "id-smime-ct-authEnvelopedData" in text and "aes-256-gcm" in text and "dhSinglePass-stdDH-sha256kdf-scheme" in text
    for process in plane.processes.values():
        assert KEY not in process.log()
    assert plane.api.get(f"/api/v1/issuers/{digicert.id}")[1]["config"]["api_key"] == "********"
    assert KEY not in str(plane.query("SELECT to_jsonb(e) FROM audit_events e"))


def test_a_masked_key_keeps_the_stored_one(plane, digicert, sim, order):  # noqa: F811
    before = stored(plane, digicert)
    config = plane.api.get(f"/api/v1/issuers/{digicert.id}")[1]["config"]
    plane.api.need("PUT", f"/api/v1/issuers/{digicert.id}", {"config": config | {"product_type": "ssl_plus"}})
    assert stored(plane, digicert) == before
    _, job = order(digicert)
    completed(plane, job)
    assert sim.calls("POST /order/certificate/ssl_plus") == 1
    # A new one takes its place, and is what the CA is asked with.
    plane.api.need("PUT", f"/api/v1/issuers/{digicert.id}", {"config": config | {"api_key": "another key"}})
    assert stored(plane, digicert) != before
    _, job = order(digicert)
    wait_for(lambda: row(plane, job)[1], 20, "the refusal")
    assert sim.log[-1][1]["X-DC-DEVKEY"] == "another key"


@pytest.mark.parametrize("value, words", [(None, "config.api_key is required"), ("", "config.api_key is required"), (7, "config.api_key must be a string"),
                                          ({"cms": "x", "to": "y"}, "config.api_key must be a string"),
                                          ("k" * 5000, "config.api_key must be 4096 bytes or fewer")])
def test_a_key_that_is_none_is_refused(plane, digicert, value, words):  # noqa: F811
    status, answer = plane.api.call("PUT", f"/api/v1/issuers/{digicert.id}", {"config": digicert.config["config"] | {"api_key": value}})
    assert status == 400 and words in str(answer)


def test_a_worker_without_the_key_says_so(plane, digicert):  # noqa: F811
    plane.query("UPDATE issuers SET config = jsonb_set(config, '{api_key,to}', '\"00\"') WHERE id = %s", digicert.id)
    plane.api.call("POST", f"/api/v1/issuers/{digicert.id}/test")
    wait_for(lambda: "CERTCTL_ISSUER_SECRETS_KEYS" in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1",
                                                                   digicert.id) or ""), 20, "its words")


def test_an_envelope_of_another_place_is_not_opened(plane, digicert):  # noqa: F811
    """What was sealed as another member, or of another type, is no key."""
    pem = (plane.dir / "issuer-secrets" / "issuer-secrets.pem")
    cms = subprocess.run(["openssl", "cms", "-encrypt", "-aes-256-gcm", "-binary", "-outform", "DER", "-recip", pem, "-keyopt", "ecdh_kdf_md:sha256"],
                         input=b"Sectigo:api_key\n" + KEY.encode(), check=True, capture_output=True).stdout
    plane.query("UPDATE issuers SET config = jsonb_set(config, '{api_key,cms}', to_jsonb(%s::text)) WHERE id = %s",
                base64.b64encode(cms).decode(), digicert.id)
    plane.api.call("POST", f"/api/v1/issuers/{digicert.id}/test")
    wait_for(lambda: "api_key can't be opened" in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1",
                                                               digicert.id) or ""), 20, "its words")


def test_an_order_is_found_behind_newer_ones_of_its_name(plane, digicert, sim, order):  # noqa: F811
    """On the second page of them; what is older is not looked at."""
    sim.take_others("shared.example.test", range(900001, 900121))
    sim.take_others("shared.example.test", range(1, 151), days_ago=2)
    sim.fault("POST /order", close="after")
    name, job = order(digicert, common_name="shared.example.test", sans=["shared.example.test"])
    completed(plane, job)
    assert len(sim.orders) == 271 and len(versions(plane, name)) == 1
    assert sim.calls(digicert.lists) == 2 and row(plane, job, "attempts") == (0,)
    assert not [n for n in range(1, 151) if sim.orders[n]["looks"]] and sum(sim.orders[n]["looks"] for n in range(900001, 900121)) == 120


def test_an_order_that_was_not_taken_is_not_looked_for_among_older_ones(plane, digicert, sim, order):  # noqa: F811
    sim.take_others("lone.example.test", range(900001, 900003))
    sim.take_others("lone.example.test", range(1, 201), days_ago=2)
    sim.fault("POST /order", close="before")
    _, job = order(digicert, common_name="lone.example.test", sans=["lone.example.test"])
    words = wait_for(lambda: row(plane, job)[1], 20, "the look-up")
    assert words.endswith("and the CA has no such order")
    assert sim.calls(digicert.lists) == 1 and sum(o["looks"] for o in sim.orders.values()) == 2
