"""DigiCert CertCentral: what is particular to it (test_issuers_faults.py has what every CA does wrong)."""
import pytest

from fleet import wait_for
from sim_digicert import KEY
from test_issuers_conformance import certificates, completed, make, order, plane, versions, wait_status  # noqa: F401


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
    ({"api_key_path": "/etc/passwd"}, "does not lie directly in CERTCTL_ISSUER_SECRET_DIR"),
    ({"org_id": "x"}, "org_id is not a number"), ({"product_type": "../user"}, "product_type is no product's name")])
def test_a_configuration_that_no_worker_may_use(plane, digicert, sim, order, change, words):  # noqa: F811
    plane.api.need("PUT", f"/api/v1/issuers/{digicert.id}", {"config": digicert.config["config"] | change})
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{digicert.id}")[1]["test_status"] == "failed", 20, "its test")
    # The status is written before the task's own words.
    wait_for(lambda: words in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", digicert.id) or ""),
             20, "its words")
    assert not sim.log


def test_the_key_is_nowhere_but_in_its_file(plane, digicert, sim, order):  # noqa: F811
    _, job = order(digicert)
    completed(plane, job)
    assert KEY not in plane.processes["worker-1"].log()
    assert KEY not in str(plane.api.get(f"/api/v1/issuers/{digicert.id}"))
    status, answer = plane.api.call("PUT", f"/api/v1/issuers/{digicert.id}", {"config": digicert.config["config"] | {"api_key": KEY}})
    assert status == 400 and "api_key_path" in str(answer)
