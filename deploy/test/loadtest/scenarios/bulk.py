"""
Ten thousand seeded certificates, and the call that renews all of a team's and an issuer's, five times a second.  An operator's own key
asks: five a second are within the limiter's rate of a new installation.
"""
import k6
from fleet import API_KEY

NAME = "bulk_renewal"
GROUP = "scale"
SECONDS = 300
WHAT = "5 req/s POST /api/v1/certificates/bulk-renew {team_id, issuer_id} over 10000 certificates"
SCRIPT = "bulk_renewal"
CERTIFICATES = 10000
RATE = 5
DURATION = "http_req_duration{scenario:bulk_renewal}"


def run(run):
    with run.stack() as stack:
        stack.start()
        stack.make_seed_basics()
        stack.seed("01_bulk_renewal_certs.sql")
        run.report.load(certificates=CERTIFICATES)
        floor = k6.floor(stack, RATE, run.seconds) if stack.driver == "k6" else None
        with stack.sampled():
            data = k6.drive(stack, run.module, run.seconds)
        k6.measure(run.report, data, DURATION, failed="http_req_failed{scenario:bulk_renewal}", seconds=run.seconds)
        k6.counters(run.report, data, "bulk_renewal_ok", "bulk_renewal_enqueued")
        k6.thresholds(run.report, data)
        touched = stack.value("SELECT count(DISTINCT certificate_id) FROM jobs WHERE type = 'Renewal' "
                              "AND certificate_id LIKE 'cert-loadtest-bulk-%'")
        jobs = stack.value("SELECT count(*) FROM jobs")
        run.report.count(certificates_touched=touched, jobs=jobs)
        run.report.threshold("certificates with a job of their renewal", f"== {CERTIFICATES}", touched)
        run.report.threshold("jobs of all calls together", f"== {CERTIFICATES}", jobs)
        k6.tell_floor(run.report, data, DURATION, floor)


# --- the same for plain.py ---
THRESHOLDS = {DURATION: ("p(95)<2000", "p(99)<5000"), "http_req_failed{scenario:bulk_renewal}": ("rate<0.01",)}


def request(_n):
    return "POST", "/api/v1/certificates/bulk-renew", API_KEY, {"team_id": "t-platform", "issuer_id": "iss-local"}


def is_right(reply):
    return (reply["total_matched"] == CERTIFICATES == reply["total_enqueued"] + reply["total_skipped"] and reply["total_failed"] == 0
            and len(reply.get("enqueued_jobs", ())) == reply["total_enqueued"])
