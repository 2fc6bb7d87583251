"""
The end of a root: in its last third a successor is made beside it, signs nothing
until an operator switches to it by its fingerprint, and then renews what the
old one's end had cut short; the old key's revocation list goes on.
"""
import json
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from fleet import clean_env, wait_for
from test_lint_certificates import CERTS
from test_rekey import fetch, issue, path_of, renew, verify

ISSUER = "iss-root"
CAS = f"/api/v1/issuers/{ISSUER}/cas"


@pytest.fixture(scope="module")
def plane(stack):
    stack.start_scheduler(keep=True, CERTCTL_SCHEDULER_CRL_BEHIND_INTERVAL="1s", CERTCTL_CRL_GENERATION_INTERVAL="1s",
                          CERTCTL_SCHEDULER_RENEWAL_CHECK_INTERVAL="1s", CERTCTL_SCHEDULER_POLICY_CHANGES_INTERVAL="1s")
    stack.start_worker(keep=True)
    stack.make_basics()
    stack.api.need("POST", "/api/v1/issuers", {"id": ISSUER, "name": ISSUER, "type": "GenericCA", "config": {
        "ca_common_name": "Root of the test", "crl_distribution_point_urls": [
            f"https://127.0.0.1:{stack.api_port}/.well-known/pki/crl/{ISSUER}"]}})
    stack.agent = stack.api.need("POST", "/api/v1/agents", {"name": "hand", "hostname": "h.example.test"})
    wait_for(lambda: stack.api.need("GET", CAS)["data"], 30, "the root")
    return stack


def by_state(plane):
    return {ca["state"]: ca for ca in plane.api.need("GET", CAS)["data"]}


def leaf_of(plane, name):
    return x509.load_pem_x509_certificate((plane.dir / f"{name}.pem").read_bytes())


def fingerprint_is(plane, name, ca):
    """The leaf in the file is of that CA's key."""
    cert = x509.load_pem_x509_certificate(ca["certificate_pem"].encode())
    leaf = leaf_of(plane, name)
    cert.public_key().verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))


def test_a_young_root_has_no_successor_unless_it_is_asked_for(plane):
    plane.wait_for_duty("crl_refresh", 2)
    assert list(by_state(plane)) == ["current"]
    plane.api.need("POST", "/api/v1/issuers/iss-local/successor")
    wait_for(lambda: len(plane.api.need("GET", "/api/v1/issuers/iss-local/cas")["data"]) == 2, 30, "the successor that was asked for")
    # As long as the task is not removed it is being made.
    wait_for(lambda: plane.api.need("POST", "/api/v1/issuers/iss-local/successor")["status"] == "successor_exists", 20, "its task to end")
    assert len(plane.api.need("GET", "/api/v1/issuers/iss-local/cas")["data"]) == 2
    plane.query("INSERT INTO issuers (id, name, type) VALUES ('iss-outside', 'outside', 'OpenSSL')")
    status, reply = plane.api.post("/api/v1/issuers/iss-outside/successor")
    assert status == 409 and "has none" in reply["message"]


def test_beside_a_successor_a_recovery_takes_each_serial_once(plane):
    """It is put back if one of the issuer's CAs signed it, whichever: not revoked for the sake of the others."""
    cas = [ca["fingerprint_sha256"] for ca in plane.api.need("GET", "/api/v1/issuers/iss-local/cas")["data"]]
    assert len(cas) == 2
    connection = plane.connect()
    with connection.cursor() as c:  # rolled back: nobody sees it
        for serial, ca in enumerate([*cas, "0" * 64]):
            c.execute("INSERT INTO journal_ahead (issuer_id, serial_number, job_id, certificate_id, journalled_at, host, leaf) "
                      "VALUES ('iss-local', %s, 'job-1-' || %s, '', now(), 'h', jsonb_build_object('ca', %s::text, 'row', '{}'::jsonb))",
                      (str(serial), str(serial), ca))
        c.execute("SELECT serial_number, why = 'other_ca' FROM recovery ORDER BY serial_number")
        assert c.fetchall() == [("0", False), ("1", False), ("2", True)]
    connection.rollback()
    connection.close()


def test_the_successor_is_made_in_the_last_third_and_signs_when_it_is_named(plane):
    before = by_state(plane)["current"]
    issue(plane, "young", ISSUER)
    # Its row says that it ends soon: leaves are cut by that.
    plane.query("UPDATE ca_certificates SET not_before = now() - interval '100 days', not_after = date_trunc('second', now()) + "
                "interval '20 days' WHERE issuer_id = %s", ISSUER)
    conditions = wait_for(lambda: [c for c in plane.api.need("GET", "/api/v1/admin/conditions")["data"] if c["name"] == "ca_ending"], 20,
                          "the condition")
    assert [c["subject"] for c in conditions] == [ISSUER] and "issuers switch" in json.dumps(conditions)
    after = wait_for(lambda: by_state(plane).get("next"), 30, "the successor")
    issue(plane, "cut", ISSUER)
    fingerprint_is(plane, "cut", before)
    assert plane.value("SELECT expires_at = (SELECT not_after FROM ca_certificates WHERE issuer_id = %s AND state = 'current') "
                       "FROM managed_certificates WHERE id = 'cut'", ISSUER)
    plane.api.need("POST", f"{CERTS}/young/revoke", {"reason": "superseded"})
    # Due by its own life, it is not renewed into the same end, and that is told.
    plane.query("UPDATE managed_certificates SET valid_from = now() - interval '60 days', last_renewal_at = now() - interval '60 days', "
                "renew_after = now() WHERE id = 'cut'")
    wait_for(lambda: [c for c in plane.api.need("GET", "/api/v1/admin/conditions")["data"] if (c["name"], c["subject"]) == ("ends_with_ca", "cut")],
             30, "the condition of the leaf")
    assert plane.value("SELECT count(*) FROM jobs WHERE certificate_id = 'cut' AND type <> 'Deployment'") == 1

    # Both are handed out.
    done = plane.cli("issuers", "bundle", ISSUER)
    assert done.returncode == 0, done.stderr
    bundle = plane.dir / "bundle.pem"
    bundle.write_text(done.stdout)
    assert done.stdout.count("BEGIN CERTIFICATE") == 2
    assert plane.cli("issuers", "switch", ISSUER, "0" * 64, "--yes").returncode == 5
    assert plane.cli("issuers", "switch", ISSUER, after["fingerprint_sha256"]).returncode == 2  # nobody was asked
    assert by_state(plane)["current"]["fingerprint_sha256"] == before["fingerprint_sha256"]
    done = plane.cli("issuers", "switch", ISSUER, after["fingerprint_sha256"], "--yes")
    assert done.returncode == 0, done.stderr
    assert plane.cli("issuers", "switch", ISSUER, after["fingerprint_sha256"], "--yes").returncode == 0  # again: it is so already
    states = by_state(plane)
    assert {s: ca["fingerprint_sha256"] for s, ca in states.items()} == {
        "current": after["fingerprint_sha256"], "former": before["fingerprint_sha256"]}
    assert not [c for c in plane.api.need("GET", "/api/v1/admin/conditions")["data"] if c["name"] == "ca_ending"]

    # What the old root's end cut is renewed by itself, and lives as long as was ordered.
    job = wait_for(lambda: plane.value("SELECT id FROM jobs WHERE certificate_id = 'cut' AND status = 'AwaitingCSR'"), 30, "its renewal")
    urls = renew(plane, "cut", ["cut.example.test"], job)
    fingerprint_is(plane, "cut", after)
    assert plane.value("SELECT expires_at > now() + interval '29 days' FROM managed_certificates WHERE id = 'cut'")
    assert path_of(urls[0]) == f"/.well-known/pki/crl/{states['current']['list']}" != f"/.well-known/pki/crl/{ISSUER}"

    # Either key's list, with both roots trusted.
    wait_for(lambda: fetch(plane, path_of(urls[0]))[0] == 200, 30, "the successor's list", every=0.1)
    wait_for(lambda: "certificate revoked" in check(plane, "young", f"/.well-known/pki/crl/{ISSUER}", before, bundle), 30,
             "the old key's list with what it signed", every=0.2)
    assert check(plane, "cut", path_of(urls[0]), after, bundle) == "good"


def check(plane, name, path, ca, bundle):
    return verify(plane, name, path, x509.load_pem_x509_certificate(ca["certificate_pem"].encode()), bundle)


def test_what_is_printed_is_what_openssl_reads(plane):
    done = subprocess.run(["openssl", "storeutl", "-certs", "-noout", plane.dir / "bundle.pem"], text=True, capture_output=True,
                          timeout=30, env=clean_env(), check=False)
    assert "Total found: 2" in done.stdout
