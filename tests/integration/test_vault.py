"""Vault's PKI secrets engine: what is particular to it (test_issuers_faults.py has what every CA does wrong)."""
import re

import pytest

from fleet import wait_for
from sim_vault import NAMESPACE, TOKEN
from test_issuers_conformance import certificates, change, completed, make, order, plane, row, versions  # noqa: F401


@pytest.fixture
def vault(make):  # noqa: F811
    return make("vault")


def sent(vault):
    return next((headers, body) for line, headers, body in vault.sim.log if line.startswith("POST /v1/pki_int/sign/servers"))


def renewals(plane):  # noqa: F811
    """What the metrics say of tokens, by their result."""
    status, text = plane.api.get("/api/v1/metrics/prometheus")
    assert status == 200
    return {r: int(n) for r, n in re.findall(r'^certctl_vault_token_renewals_total\{result="(\w+)"\} (\d+)$', text, re.M)}


def life_of(plane, seconds):  # noqa: F811
    return plane.api.need("POST", "/api/v1/profiles", {"name": f"{seconds} seconds of Vault", "max_ttl_seconds": seconds})["id"]


def test_what_is_asked_for(plane, vault, order):  # noqa: F811
    name, job = order(vault)
    completed(plane, job)
    headers, body = sent(vault)
    assert (headers["X-Vault-Token"], headers["X-Vault-Request"], headers["X-Vault-Namespace"]) == (TOKEN, "true", NAMESPACE)
    assert body.pop("csr").startswith("-----BEGIN CERTIFICATE REQUEST-----")
    assert body == {"common_name": f"{name}.example.test", "alt_names": f"{name}.example.test", "exclude_cn_from_sans": True, "format": "pem",
                    "ttl": "31536000s"}
    (_, text, _), = versions(plane, name)
    assert [c.subject.rfc4514_string() for c in certificates(text)] == [f"CN={name}.example.test", "CN=Simulated Vault Issuing CA"]


@pytest.mark.parametrize("ttl, most, asked", [("90d", 30 * 86400, 30 * 86400), ("90d", 365 * 86400, 90 * 86400), ("1h30m", 86400, 5400),
                                              ("720h", None, 720 * 3600)])
def test_the_life_is_the_shorter_one(plane, vault, order, ttl, most, asked):  # noqa: F811
    change(plane, vault, ttl=ttl)
    _, job = order(vault, **({"certificate_profile_id": life_of(plane, most)} if most else {}))
    completed(plane, job)
    assert sent(vault)[1]["ttl"] == f"{asked}s"


def test_a_chain_of_the_issuing_ca_alone(plane, vault, order):  # noqa: F811
    vault.sim.role["domain"] = ""
    real = vault.sim.sign

    def sign(role, body, query):
        status, answer = real(role, body, query)
        if "data" in answer:
            answer["data"].pop("ca_chain")
        return status, answer
    vault.sim.sign = sign
    try:
        name, job = order(vault)
        completed(plane, job)
    finally:
        del vault.sim.sign
    (_, text, _), = versions(plane, name)
    assert len(certificates(text)) == 2


@pytest.mark.parametrize("status", [429, 473])
def test_a_node_that_stands_by_will_do(plane, vault, status):  # noqa: F811
    vault.sim.fault("GET /sys/health", status=status)
    assert plane.api.post(f"/api/v1/issuers/{vault.id}/test", timeout=60)[1] == {"status": "connection_successful"}


@pytest.mark.parametrize("status", [501, 503])
def test_a_node_that_is_sealed_will_not(plane, vault, status):  # noqa: F811
    vault.sim.fault("GET /sys/health", status=status)
    code, reply = plane.api.post(f"/api/v1/issuers/{vault.id}/test", timeout=60)
    assert code == 422 and f"the CA did not say that it can be used: HTTP {status}" in reply["message"], reply


def test_a_token_that_is_no_good_is_refused(plane, vault):  # noqa: F811
    vault.sim.end()
    code, reply = plane.api.post(f"/api/v1/issuers/{vault.id}/test", timeout=60)
    assert code == 422 and 'the CA refused the test: HTTP 403: "permission denied"' in reply["message"], reply


def test_a_token_is_renewed_at_half_of_what_is_granted(plane, vault, order):  # noqa: F811
    """Whatever the time it was given: at the least each five seconds."""
    vault.sim.token |= {"renewable": True, "ttl": 10}
    change(plane, vault, token=TOKEN, mount="pki_int")
    # One that is known already was not renewable: another namespace is another token to the worker.
    config = {k: v for k, v in vault.config["config"].items() if k != "namespace"}
    plane.api.need("PUT", f"/api/v1/issuers/{vault.id}", {"config": config})
    _, job = order(vault)
    completed(plane, job)
    before = renewals(plane)
    wait_for(lambda: vault.sim.token["renewals"] >= 2, 60, "two renewals of the token")
    wait_for(lambda: renewals(plane)["success"] > before["success"], 20, "the success in the metrics")
    vault.sim.token["renewable"] = False
    # Vault refuses the next: the worker asks again, and tells of it.
    wait_for(lambda: renewals(plane)["failure"] > before["failure"], 60, "the failure in the metrics")
    vault.sim.end()


@pytest.mark.parametrize("changes, words", [
    ({"addr": "https://elsewhere.example"}, "addr is not allowed here: the workers' hosts allow URLs by"), ({"mount": "../sys"}, "mount is no path of the engine"),
    ({"role": "a/b"}, "role is no role's name"), ({"ttl": "a year"}, "ttl is no duration"), ({"ttl": "99999h"}, "ttl is no duration"),
    ({"namespace": "/x"}, "namespace is no namespace's path")])
def test_a_configuration_that_no_worker_may_use(plane, vault, changes, words):  # noqa: F811
    change(plane, vault, **changes)
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{vault.id}")[1]["test_status"] == "failed", 20, "its test")
    wait_for(lambda: words in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", vault.id) or ""),
             20, "its words")
    assert not vault.sim.orders


def test_the_token_is_stored_sealed_alone(plane, vault, order):  # noqa: F811
    _, job = order(vault)
    completed(plane, job)
    stored = plane.value("SELECT config::text FROM issuers WHERE id = %s", vault.id)
    assert TOKEN not in plane.processes["worker-1"].log() and TOKEN not in stored
    assert TOKEN not in str(plane.api.get(f"/api/v1/issuers/{vault.id}"))
