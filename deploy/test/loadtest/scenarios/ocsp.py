"""
What relying parties ask for: OCSP answers that are kept, OCSP answers with a nonce, each signed by a worker while its client waits,
and the CRL.
"""
import sys

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
CRL = "/.well-known/pki/crl/iss-local"
ASK_CRL = f'function request() return wrk.format("GET", "{CRL}") end\n'
OCSP = "application/ocsp-response"


def start(stack):
    stack.start(workers=2, **SETTINGS)
    stack.make_basics()
    stack.query(bench_ocsp.FILL, bench_ocsp.CERTIFICATES, bench_ocsp.PREFIX, bench_ocsp.CERTIFICATES)
    wait_for(lambda: stack.value("SELECT 1 FROM ca_certificates WHERE issuer_id = 'iss-local'"), 20, "the CA")
    wait_for(lambda: stack.value("SELECT 1 FROM crl_cache WHERE issuer_id = 'iss-local'"), 60, "the CRL")
    stack.query("VACUUM ANALYZE")


def run(run):
    seconds = max(2, run.seconds // 3)
    with run.stack(shared_buffers="1GB") as stack:
        start(stack)
        run.report.load(certificates=bench_ocsp.CERTIFICATES, connections=CONNECTIONS)
        kept, nonce = bench_ocsp.kept(stack).read_text(), bench_ocsp.with_nonces(stack).read_text()
        wrk.run(stack, stack.api_port, CONNECTIONS, 2, kept, kind=OCSP, name="warm")  # each is asked for once
        with stack.sampled():
            got = {"kept": wrk.run(stack, stack.api_port, CONNECTIONS, seconds, kept, kind=OCSP, name="kept"),
                   "nonce": wrk.run(stack, stack.api_port, CONNECTIONS, seconds, nonce, kind=OCSP, name="nonce"),
                   "crl": wrk.run(stack, stack.api_port, CONNECTIONS, seconds, ASK_CRL, kind="application/pkix-crl", name="crl")}
        for name, label in (("kept", "OCSP, kept answers"), ("nonce", "OCSP with a nonce, signed"), ("crl", "CRL")):
            wrk.tell(run.report, label, got[name], LEAST[name])
        bare = wrk.run(stack, stack.start_bare(), CONNECTIONS, BARE, None, name="floor")["rate"]
        stack.end_bare()
        run.report.floor("requests a second of a bare TLS server; ratio: kept OCSP answers", round(bare, 1), "req/s",
                         round(got["kept"]["rate"] / bare, 3))
