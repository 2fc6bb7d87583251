"""
Fifty creates and fifty lists a second, by one operator's key over ten thousand certificates.  The limiter lets a key ask as often as an
address by default, 50 a second; who has automation that asks a hundred says CERTCTL_RATE_LIMIT_PER_USER_RPS, and so does this.
"""
import k6

NAME = "api_tier"
GROUP = "main"
SECONDS = 300
WHAT = "50 req/s POST /api/v1/certificates and 50 req/s GET /api/v1/certificates?per_page=50 over 10000 certificates"
SCRIPT = "api_tier"
RATE = 50
SEEDED = 10000
LIMITS = {"CERTCTL_RATE_LIMIT_PER_USER_RPS": "150", "CERTCTL_RATE_LIMIT_PER_USER_BURST": "300"}


def run(run):
    with run.stack() as stack:
        stack.start(workers=1, **LIMITS)
        stack.make_seed_basics()
        stack.seed("01_bulk_renewal_certs.sql")
        run.report.load(certificates=SEEDED)
        floor = k6.floor(stack, 2 * RATE, run.seconds)
        with stack.sampled():
            data = k6.run(stack, SCRIPT, run.seconds)
        for part in ("api_create", "api_list"):
            k6.measure(run.report, data, f"http_req_duration{{scenario:{part}}}", failed=f"http_req_failed{{scenario:{part}}}",
                       seconds=run.seconds)
        k6.counters(run.report, data, "api_create_ok", "api_list_ok")
        k6.thresholds(run.report, data)
        stored = stack.value("SELECT count(*) FROM managed_certificates WHERE name LIKE 'loadtest-api-%'")
        run.report.count(certificates_stored=stored)
        run.report.threshold("certificates stored", f">= {int(0.99 * RATE * run.seconds)}", stored)
        k6.tell_floor(run.report, data, "http_req_duration{scenario:api_list}", floor)
