"""
Whole signed flows at the ACME server, from new-order to the certificate, by the C client of the benchmarks: each request signed, one
account, each client one order after the other.
"""
import json

import wrk
from fleet import BUILD, clean_env, wait_for
from report import NotMeasured

NAME = "acme_jws"
GROUP = "scale"
SECONDS = 60
LONGEST = 600  # of acme_load
WHAT = "32 clients, whole JWS-signed orders one after the other, profile of mode trust_authenticated, local CA, 2 workers"
CLIENTS = 32
LEAST_RATE = 20
# One address, one account: the limits of both are lifted, as for clients behind one proxy that is not named as one.
SETTINGS = {"CERTCTL_ACME_SERVER_ENABLED": "true", "CERTCTL_ACME_SERVER_RATE_LIMIT_ORDERS_PER_HOUR": "0",
            "CERTCTL_ACME_SERVER_RATE_LIMIT_CONCURRENT_ORDERS": "0", "CERTCTL_RATE_LIMIT_RPS": "100000", "CERTCTL_RATE_LIMIT_BURST": "100000"}
BARE = 5  # seconds of the floor


def drive(stack, directory, seconds, name="acme"):
    process = stack.generate(name, [BUILD / "tests/bench/acme_load", directory, stack.dir / "tls/api.pem", CLIENTS, seconds], clean_env())
    status = stack.await_generator(process, seconds + 60)
    lines = [line for line in process.log().splitlines() if line.startswith("{")]
    if status != 0 or not lines:
        raise NotMeasured(f"acme_load ended with status {status}: {process.log()[-1000:]}")
    return json.loads(lines[-1])


def run(run):
    seconds = run.seconds
    with run.stack(shared_buffers="1GB") as stack:
        stack.start(**SETTINGS)
        stack.make_basics()
        stack.api.need("POST", "/api/v1/profiles", {"id": "prof-acme", "name": "acme", "acme_auth_mode": "trust_authenticated",
                                                    "issuer_id": "iss-local", "acme_owner_id": "o-test"})
        wait_for(lambda: stack.value("SELECT 1 FROM ca_certificates WHERE issuer_id = 'iss-local'"), 20, "the CA")
        directory = f"https://127.0.0.1:{stack.api_port}/acme/profile/prof-acme/directory"
        drive(stack, directory, 2, "warm")  # caches fill
        before = stack.value("SELECT count(*) FROM certificate_versions")
        with stack.sampled():
            got = drive(stack, directory, seconds)
        run.report.load(clients=CLIENTS)
        run.report.measure("an order, from new-order to the certificate", "ms", count=got["orders"], seconds=got["seconds"], p50=got["p50_ms"],
                           p95=got["p95_ms"], p99=got["p99_ms"], max=got["max_ms"], errors=got["failed"])
        made = stack.value("SELECT count(*) FROM certificate_versions") - before
        twice = stack.value("SELECT count(*) - count(DISTINCT serial_number) FROM certificate_versions")
        run.report.count(orders=got["orders"], requests=got["requests"], bad_nonces=got["bad_nonces"], certificates=made)
        run.report.threshold("orders that failed", "== 0", got["failed"])
        run.report.threshold("orders that ended", f">= {int(LEAST_RATE * seconds)}", got["orders"])
        run.report.threshold("certificates of them (fewer: lost)", f">= {got['orders']}", made)
        # Of each client the last may have been cut off by the end of the time.
        run.report.threshold("certificates of no order that ended (more: doubled)", f"<= {CLIENTS}", made - got["orders"])
        run.report.threshold("serial numbers given twice", "== 0", twice)
        run.report.threshold("p99 of an order", "< 2000 ms", got["p99_ms"])
        rate = wrk.floor(stack, 16, BARE)
        each = got["requests"] / max(1, got["orders"])
        run.report.floor(f"orders a second if each of its {each:.1f} requests were one to a bare TLS server", round(rate / each, 1), "orders/s",
                         round(got["per_s"] / (rate / each), 3))
