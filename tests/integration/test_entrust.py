"""Entrust CA Gateway: what is particular to it (test_issuers_faults.py has what every CA does wrong)."""
import base64

import pytest
from cryptography import x509

from fleet import wait_for
from sim_entrust import PROFILE
from test_issuers_conformance import at_once, certificates, change, completed, make, order, plane, row, versions, wait_ordered, wait_status  # noqa: F401


@pytest.fixture
def entrust(make):  # noqa: F811
    return make("entrust")


def names(plane, name):  # noqa: F811
    (_, text, _), = versions(plane, name)
    return [c.subject.rfc4514_string() for c in certificates(text)]


def test_what_is_asked_for(plane, entrust, order):  # noqa: F811
    profile = plane.api.need("POST", "/api/v1/profiles", {"name": "thirty days", "max_ttl_seconds": 90 * 86400})["id"]
    name, job = order(entrust, certificate_profile_id=profile)
    completed(plane, job)
    line, _, body = next(entry for entry in entrust.sim.log if entry[0].startswith("POST"))
    assert line == "POST /cagw/v1/certificate-authorities/CA-1001/enrollments"
    csr = x509.load_der_x509_csr(base64.b64decode(body.pop("csr")))
    assert csr.subject.rfc4514_string() == f"CN={name}.example.test"
    assert body == {"profileId": PROFILE, "requiredFormat": {"format": "PEM"},
                    "subjectAltNames": [{"type": "dNSName", "value": f"{name}.example.test"}],
                    "optionalCertificateRequestDetails": {"subjectDn": f"CN={name}.example.test", "validityPeriod": "PT129600M"}}
    assert names(plane, name) == [f"CN={name}.example.test", "CN=Simulated Entrust Issuing CA"]


def test_a_profile_without_approval_answers_with_the_certificate(plane, entrust, order):  # noqa: F811
    entrust.sim.behave(statuses=["ACCEPTED"], instant=True)
    name, job = order(entrust)
    assert wait_status(plane, job, "Completed", "Failed") == ("Completed", None)
    assert entrust.sim.calls(entrust.polls) == 0 and len(entrust.sim.orders) == 1
    assert names(plane, name) == [f"CN={name}.example.test", "CN=Simulated Entrust Issuing CA"]


def test_a_chain_that_is_not_to_be_had_is_fetched_later(plane, entrust, order):  # noqa: F811
    entrust.sim.behave(statuses=["ACCEPTED"], instant=True)
    entrust.sim.fault(f"GET {entrust.ca}", status=503, times=1)
    _, job = order(entrust)
    words = wait_for(lambda: row(plane, job)[1], 20, "the first look")
    assert "not to be fetched yet" in words
    wait_ordered(plane, job, 0)
    completed(plane, job)
    assert len(entrust.sim.orders) == 1


def test_answers_of_the_older_form_are_read_too(plane, entrust, order):  # noqa: F811
    entrust.sim.flat = True
    name, job = order(entrust)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    completed(plane, job)
    assert names(plane, name) == [f"CN={name}.example.test", "CN=Simulated Entrust Issuing CA"]


def test_a_certificate_is_found_on_a_later_page(plane, entrust, order):  # noqa: F811
    entrust.sim.page = 1
    for _ in range(2):
        completed(plane, order(entrust)[1])
    entrust.sim.fault(entrust.places, close="after")
    _, job = order(entrust)
    completed(plane, job)
    assert len(entrust.sim.orders) == 3 and entrust.sim.calls(entrust.lists) == 3


def test_a_certificate_is_found_however_many_pages_there_are(plane, entrust, order):  # noqa: F811
    from sim_ca import request_for
    entrust.sim.page = 2
    with entrust.sim.lock:
        for n in range(130):
            entrust.sim.take(f"other-{n}", request_for("somebody.else.example"), 90, status="ACCEPTED")
    entrust.sim.fault(entrust.places, close="after")
    _, job = order(entrust)
    completed(plane, job)
    assert len(entrust.sim.orders) == 131 and entrust.sim.calls(entrust.lists) == 66


def test_an_order_that_may_wait_for_approval_is_not_placed_again(plane, entrust, order):  # noqa: F811
    change(plane, entrust, approval="required")
    entrust.sim.behave(statuses=["AWAITING_APPROVAL"])
    entrust.sim.fault(entrust.places, close="after")
    _, job = order(entrust)
    words = wait_for(lambda: row(plane, job)[1], 20, "the look-up")
    assert "an enrolment may wait there for approval" in words
    plane.query("UPDATE jobs SET max_attempts = attempts + 1, run_after = now() WHERE id = %s", job)
    wait_for(lambda: row(plane, job, "checkpoint ->> 'state'") == ("uncertain",), 20, "a person to be asked")
    assert row(plane, job)[1].startswith("order uncertain: ") and len(entrust.sim.orders) == 1


def test_who_replaces_the_pair_need_tell_nobody(plane, entrust, order):  # noqa: F811
    """A key that is another's keeps the work back, and that is all."""
    trust = plane.trust
    trust.make("client2", "certctl")
    clients = plane.dir / "clients"
    old = (clients / "client.key").read_bytes()
    try:
        (clients / "client.key").write_bytes((trust.directory / "client2.key").read_bytes())
        _, job = order(entrust)
        log = plane.processes["worker-1"].log
        wait_for(lambda: "are no certificate (PEM) and its key" in log(), 20, "the worker to say so")
        assert row(plane, job, "attempts, checkpoint") == (0, None)
        (clients / "client.pem").write_bytes((trust.directory / "client2.pem").read_bytes())
        completed(plane, job)
    finally:
        (clients / "client.pem").write_bytes((trust.directory / "client.pem").read_bytes())
        (clients / "client.key").write_bytes(old)
    assert len(entrust.sim.orders) == 1


@pytest.mark.parametrize("changes, words", [({"api_url": "https://elsewhere.example/cagw"}, "api_url is none of the CA's own"),
                                            ({"client_key_path": "/etc/passwd"}, "does not lie directly in CERTCTL_ISSUER_CLIENT_DIR"),
                                            ({"approval": "never"}, 'approval is neither "required" nor "none"')])
def test_a_configuration_that_no_worker_may_use(plane, entrust, changes, words):  # noqa: F811
    change(plane, entrust, **changes)
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{entrust.id}")[1]["test_status"] == "failed", 20, "its test")
    wait_for(lambda: words in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", entrust.id) or ""),
             20, "its words")
    assert not entrust.sim.orders
