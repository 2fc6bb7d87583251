"""
Two hundred ACME clients, each from an address of its own (127.1.0.0/24), that ask each second what needs no signature, and a
flood from one more.  The limiter is as in a new installation, 50 requests a second of an address: it lets the clients be and refuses
the flood, and every refusal is looked at.
"""
import base64
import json
import subprocess

from cryptography import x509

import k6
from fleet import BUILD, clean_env, wait_for

NAME = "acme_burst"
GROUP = "scale"
SECONDS = 300
WHAT = "200 VUs, each a round of GET directory, HEAD new-nonce and GET renewal-info a second, and a flood from one address"
SCRIPT = "acme_burst"
ADDRESSES = "127.1.0.1-127.1.0.201"
RATE = 600
TRENDS = ("acme_directory_duration", "acme_new_nonce_duration", "acme_renewal_info_duration")
COUNTERS = ("acme_rate_limited_count", "acme_rate_limit_shape_ok", "acme_client_rate_limited_count", "acme_directory_ok", "acme_new_nonce_ok",
            "acme_renewal_info_ok", "acme_renewal_info_unknown_ok")


def make_profile(stack):
    stack.api.need("POST", "/api/v1/profiles", {"id": "prof-test", "name": "test", "acme_auth_mode": "trust_authenticated",
                                                "issuer_id": "iss-local", "acme_owner_id": "o-alice"})
    wait_for(lambda: stack.value("SELECT 1 FROM ca_certificates WHERE issuer_id = 'iss-local'"), 30, "the CA")


def certificate_id(stack):
    """What RFC 9773 section 4.1 calls one that a client just got."""
    directory = f"https://127.0.0.1:{stack.api_port}/acme/profile/prof-test/directory"
    done = subprocess.run([BUILD / "tests/bench/acme_load", directory, stack.dir / "tls/api.pem", "1", "1"], capture_output=True, text=True,
                          env=clean_env(), check=False, timeout=60)
    assert done.returncode == 0 and json.loads(done.stdout)["orders"] > 0, (done.stdout, done.stderr)
    pem = stack.value("SELECT pem_chain FROM certificate_versions ORDER BY id DESC LIMIT 1")
    leaf = x509.load_pem_x509_certificate(pem.encode())
    key = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1, "big")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (key, serial))


def run(run):
    with run.stack() as stack:
        stack.start(CERTCTL_ACME_SERVER_ENABLED="true")
        stack.make_seed_basics()
        make_profile(stack)
        certid = certificate_id(stack)
        floor = k6.floor(stack, RATE, run.seconds)
        with stack.sampled():
            data = k6.run(stack, SCRIPT, run.seconds, options=("--local-ips", ADDRESSES), CERTID=certid)
        for name in TRENDS:
            k6.measure(run.report, data, name, seconds=run.seconds)
        k6.counters(run.report, data, *COUNTERS)
        k6.thresholds(run.report, data)
        told = run.report.data["counters"]
        run.report.threshold("429 that are no problem of type rateLimited with Retry-After", "== 0",
                             told["acme_rate_limited_count"] - told["acme_rate_limit_shape_ok"])
        k6.tell_floor(run.report, data, "acme_directory_duration", floor)
