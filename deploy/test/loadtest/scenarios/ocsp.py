"""
What relying parties ask for: OCSP answers that are kept, OCSP answers with a nonce, each signed by a worker while its client waits,
and the CRL.  Every answer's own status is looked at, and some are decoded and verified, before the load and behind it.
"""
import http.client
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

import wrk
from fleet import ROOT, wait_for

sys.path[:0] = [str(ROOT / "tests" / "bench")]
import bench_ocsp  # noqa: E402

NAME = "ocsp_crl"
GROUP = "scale"
SECONDS = 60
WHAT = "OCSP kept and with a nonce, and the CRL, 64 connections each as fast as they are answered, 1000 certificates, 2 workers"
CONNECTIONS = 64
LEAST = {"kept": 200, "nonce": 20, "crl": 200}
BARE = 5
# One address asks for all.
SETTINGS = {"CERTCTL_OCSP_RATE_LIMIT_PER_IP_MIN": "0", "CERTCTL_RATE_LIMIT_RPS": "1000000", "CERTCTL_RATE_LIMIT_BURST": "1000000"}
CRL_TYPE = "application/pkix-crl"
CRL = "/.well-known/pki/crl/iss-local"
ASK_CRL = f'function request() return wrk.format("GET", "{CRL}") end\n'
OCSP = "application/ocsp-response"
# DER of an answer that has one: a sequence that begins with the status successful (RFC 6960 section 4.2.1), and goes on.
SUCCESSFUL = r'body:byte(1) == 48 and (body:find("\10\1\0", 3, true) or 9) <= 5 and #body > 100'
A_CRL = 'body:byte(1) == 48 and #body > 100'
SAMPLE = 20


def start(stack):
    stack.start(workers=2, **SETTINGS)
    stack.make_basics()
    stack.query(bench_ocsp.FILL, bench_ocsp.CERTIFICATES, bench_ocsp.PREFIX, bench_ocsp.CERTIFICATES)
    wait_for(lambda: stack.value("SELECT 1 FROM ca_certificates WHERE issuer_id = 'iss-local'"), 20, "the CA")
    wait_for(lambda: stack.value("SELECT 1 FROM crl_cache WHERE issuer_id = 'iss-local'"), 60, "the CRL")
    stack.query("VACUUM ANALYZE")


def fetched(stack, path):
    """(status, content type, body)"""
    connection = http.client.HTTPSConnection("127.0.0.1", stack.api_port, context=stack.api.context, timeout=20)
    connection.request("GET", path)
    response = connection.getresponse()
    found = response.status, response.headers.get_content_type(), response.read()
    connection.close()
    return found


def is_good(ca, serial, body):
    """Whether it says of that certificate, signed by the CA or who has its word, that it is good."""
    told = ocsp.load_der_ocsp_response(body)
    if told.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
        return False
    signer = next(iter(told.certificates), ca)
    try:
        ca.public_key().verify(signer.signature, signer.tbs_certificate_bytes, ec.ECDSA(signer.signature_hash_algorithm))
        signer.public_key().verify(told.signature, told.tbs_response_bytes, ec.ECDSA(told.signature_hash_algorithm))
    except InvalidSignature:
        return False
    return told.serial_number == serial and told.certificate_status == ocsp.OCSPCertStatus.GOOD


def decoded(stack):
    """How many of SAMPLE answers and one CRL are what they should be."""
    ca = x509.load_pem_x509_certificate(stack.value("SELECT cert_pem FROM ca_certificates WHERE issuer_id = 'iss-local'").encode())
    right = 0
    for n in range(SAMPLE):
        serial = f"{bench_ocsp.PREFIX}{n * bench_ocsp.CERTIFICATES // SAMPLE:08x}"
        status, kind, body = fetched(stack, f"/.well-known/pki/ocsp/iss-local/{serial}")
        right += (status, kind) == (200, OCSP) and is_good(ca, int(serial, 16), body)
    status, kind, body = fetched(stack, CRL)
    right += (status, kind) == (200, CRL_TYPE) and x509.load_der_x509_crl(body).is_signature_valid(ca.public_key())
    return right


def run(run):
    seconds = max(2, run.seconds // 3)
    with run.stack(shared_buffers="1GB") as stack:
        start(stack)
        run.report.load(certificates=bench_ocsp.CERTIFICATES, connections=CONNECTIONS)
        kept, nonce = bench_ocsp.kept(stack).read_text(), bench_ocsp.with_nonces(stack).read_text()
        wrk.run(stack, stack.api_port, CONNECTIONS, 2, kept, kind=OCSP, name="warm", body=SUCCESSFUL)  # each is asked for once
        right = decoded(stack)
        with stack.sampled():
            got = {"kept": wrk.run(stack, stack.api_port, CONNECTIONS, seconds, kept, kind=OCSP, name="kept", body=SUCCESSFUL),
                   "nonce": wrk.run(stack, stack.api_port, CONNECTIONS, seconds, nonce, kind=OCSP, name="nonce", body=SUCCESSFUL),
                   "crl": wrk.run(stack, stack.api_port, CONNECTIONS, seconds, ASK_CRL, kind=CRL_TYPE, name="crl", body=A_CRL)}
        right += decoded(stack)
        for name, label in (("kept", "OCSP, kept answers"), ("nonce", "OCSP with a nonce, signed"), ("crl", "CRL")):
            wrk.tell(run.report, label, got[name], LEAST[name])
        run.report.threshold("answers and CRLs that were decoded and verify, before and behind", f"== {2 * SAMPLE + 2}", right)
        bare = wrk.floor(stack, CONNECTIONS, BARE)
        run.report.floor("requests a second of a bare TLS server; ratio: kept OCSP answers", round(bare, 1), "req/s",
                         round(got["kept"]["rate"] / bare, 3))
