"""Agents and what they say; the trail, notifications, figures, revocation lists, and the server itself."""
from contract.certificates import PRINT, running
from contract.config import AGENT
from walk import NO, Bad, Good, csr, members, page

V1 = "/api/v1"
AGENTS = f"{V1}/agents"
WORK = members("jobs:l count:i")
EVENT = members("id actor actor_type action resource_type resource_id details:o timestamp:t event_category?")
NOTIFICATION = members("id type certificate_id? channel recipient message sent_at:t? status error? retry_count:i next_retry_at:t? last_error? created_at:t")
STATUS = members("status")
EXPLAINED = members("kind id name state verdict at:t ready:b code? step? subject? since:t? said? next? next_at:t? advice? steps:l")
SPAN = "?from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z"


def retired(w):
    agent = w.agent()
    w.api.need("DELETE", f"{AGENTS}/{agent}")
    return agent


def holder(w):
    """An agent with a target."""
    agent = w.agent()
    w.target(agent)
    return agent


def waits(w):
    """The agent of our hands, and the body of a CSR for a job that waits for it."""
    w.certificate([w.target(w.hand["id"])])
    name = w.certificate([w.target(w.hand["id"])])
    job = w.api.need("POST", f"{V1}/certificates/{name}/renew")["job_id"]
    w.made = {"csr_pem": csr(f"{name}.example.test"), "certificate_id": name, "job_id": job}
    return w.hand["id"]


def notification(w):
    name, of = w.name("notif"), w.certificate()
    w.fleet.query("INSERT INTO notification_events (id, type, certificate_id, channel, recipient, message, status) "
                  "VALUES (%s, 'ExpirationWarning', %s, 'Email', 'a@example.test', 'soon', 'dead')", name, of)
    return name


GOOD = {
    ("GET", AGENTS): [page(AGENT)],
    ("POST", AGENTS): [Good("", lambda w, m=more: {"name": w.name("agent"), "hostname": "h.example.test"} | m, 201, AGENT) for more in (
        {}, {"os": "linux", "architecture": "amd64", "ip_address": "10.0.0.1", "version": "1"}, {"id": "mine", "status": "Offline"})],
    ("GET", f"{AGENTS}/retired"): [page(AGENT | members("retired_at:t"), lambda w: retired(w) and "")],
    ("GET", f"{AGENTS}/{{id}}"): [Good(lambda w: w.agent(), None, 200, AGENT), Good(retired, None, 200, AGENT | members("retired_at:t"))],
    ("DELETE", f"{AGENTS}/{{id}}"): [Good(lambda w: w.agent(), None, 200, members("retired_at:t already_retired,cascade:b counts:o")), Good(retired, None, 204),
                                     Good(lambda w: [holder(w), "?force=true&reason=over"], None, 200, members("retired_at:t already_retired,cascade:b counts:o"))],
    ("POST", f"{AGENTS}/{{id}}/heartbeat"): [Good(lambda w: w.agent(), b, 200, STATUS) for b in (None, {}, {"version": "2"}, "{")],
    ("POST", f"{AGENTS}/{{id}}/served"): [Good(lambda w: w.agent(), {"digest": "none", "targets": []}, 200, STATUS)],
    ("GET", f"{AGENTS}/{{id}}/work"): [Good(lambda w: w.agent(), None, 200, WORK), Good(waits, None, 200, WORK)],
    ("POST", f"{AGENTS}/{{id}}/csr"): [Good(waits, lambda w: w.made, 202, STATUS)],
    ("GET", f"{AGENTS}/{{id}}/certificates/{{cert_id}}"): [Good(lambda w: [w.hand["id"], w.issued()], None, 200, members("certificate_pem"))],
    ("POST", f"{AGENTS}/{{id}}/jobs/{{job_id}}/status"): [
        Good(lambda w: [w.hand["id"], w.last(running(w))], b, 200, STATUS) for b in ({"status": "Completed"}, {"status": "Failed", "error": "x"}, {"status": "Running"})],
    ("GET", f"{V1}/audit"): [page(EVENT), page(EVENT, "?category=cert_lifecycle&since=2020-01-01T00:00:00Z"), page(EVENT, "?action=create_issuer&actor=admin")],
    ("GET", f"{V1}/audit/{{id}}"): [Good(lambda w: w.api.need("GET", f"{V1}/audit?per_page=1")["data"][0]["id"], None, 200, EVENT),
                                    Good(lambda w: w.certificate(), None, 200, EVENT)],
    ("GET", f"{V1}/audit/export"): [Good(SPAN, None, 200, media="application/x-ndjson")],
    ("GET", f"{V1}/notifications"): [page(NOTIFICATION, lambda w: notification(w) and "?status=dead")],
    ("GET", f"{V1}/notifications/{{id}}"): [Good(notification, None, 200, NOTIFICATION)],
    ("POST", f"{V1}/notifications/{{id}}/read"): [Good(notification, None, 200, STATUS)],
    ("POST", f"{V1}/notifications/{{id}}/requeue"): [Good(notification, None, 200, STATUS)],
    ("GET", f"{V1}/stats/summary"): [Good("", None, 200, members(
        "total_certificates,expiring_certificates,expired_certificates,revoked_certificates,active_agents,offline_agents,total_agents,pending_jobs,"
        "failed_jobs,complete_jobs,notifications_dead:i completed_at:t"))],
    ("GET", f"{V1}/stats/certificates-by-status"): [Good("", None, 200, members("status count:i"), rows=".")],
    ("GET", f"{V1}/metrics"): [Good("", None, 200, members("gauge,counter,uptime:o"))],
    ("GET", f"{V1}/metrics/prometheus"): [Good("", None, 200, media="text/plain")],
    ("GET", "/health"): [Good("", None, 200, STATUS)],
    ("GET", "/ready"): [Good("", None, 200, members("status db"))],
    ("GET", f"{V1}/version"): [Good("", None, 200, members("version commit modified:b build_time go_version"))],
    ("GET", f"{V1}/openapi.json"): [Good("", None, 200, members("openapi info,paths,components:o"))],
    ("GET", f"{V1}/admin/crl/cache"): [Good("", None, 200, members("cache_rows:l row_count:i generated_at:t"))],
    **{("GET", f"{V1}/admin/{p}"): [Good("", None, 200, members("profiles:l profile_count:i generated_at:t"))]
       for p in ("scep/profiles", "scep/intune/stats", "est/profiles")},
    **{("POST", f"{V1}/admin/{p}/reload-trust"): [] for p in ("scep/intune", "est")},   # There is no profile to be good for.
    ("GET", "/.well-known/pki/crl/{issuer}"): [Good("iss-local", None, 200, media="application/pkix-crl")],
    ("GET", f"{V1}/digest/preview"): [], ("POST", f"{V1}/digest/send"): [],   # Not switched on here: test_digest.py.
    # Beside the contract's.
    ("GET", f"{V1}/admin/processes"): [Good("", None, 200, members("apiservers,schedulers,workers:l"))],
    ("GET", f"{V1}/admin/conditions"): [Good("", None, 200, members("data:l"))],
    ("GET", f"{V1}/explain/certificate/{{id}}"): [Good(lambda w: w.certificate(), None, 200, EXPLAINED)],
    ("GET", f"{V1}/explain/job/{{id}}"): [Good(lambda w: w.last(running(w)), None, 200, EXPLAINED)],
    ("GET", f"{V1}/explain/target/{{id}}"): [Good(lambda w: w.target(w.hand["id"]), None, 200, EXPLAINED)],
    ("GET", f"{V1}/admin/scheduler"): [page(members("name"))],
    ("POST", f"{V1}/admin/scheduler/run-now/{{duty}}"): [Good("renewal_scan", None, 202, members("duty"))],
    ("GET", f"{V1}/admin/recovery"): [Good("", None, 200, {})],
    ("POST", f"{V1}/admin/recovery"): [],   # Nothing is to be recovered: test_restore.py.
    ("GET", f"{V1}/audit/seal"): [Good("", None, 200, {})],
    ("GET", f"{V1}/audit/blocks"): [Good("", None, 200, {})],
    ("GET", f"{V1}/audit/rows"): [], ("GET", f"{V1}/audit/blocks/{{n}}/marks"): [],   # They want a sealed block: test_audit_api.py.
    ("GET", f"{V1}/audit/{{id}}/attachment"): [], ("GET", f"{V1}/audit/{{id}}/proof"): [],
    ("GET", "/.well-known/pki/crl/{issuer}/{key}"): [],   # test_rekey.py
}
BAD = {
    ("GET", f"{V1}/explain/certificate/{{id}}"): [Bad(NO, None, 404)], ("GET", f"{V1}/explain/job/{{id}}"): [Bad(NO, None, 404)],
    ("GET", f"{V1}/explain/target/{{id}}"): [Bad(NO, None, 404)],
    ("POST", AGENTS): [Bad("", b, 400) for b in ({}, {"name": "x"}, {"hostname": "h"}, {"name": "x" * 129, "hostname": "h"}, {"name": 7, "hostname": "h"})] +
    [Bad("", {"name": "hand", "hostname": "h.example.test"}, 409)],
    ("GET", f"{AGENTS}/{{id}}"): [Bad(NO, None, 404)],
    ("DELETE", f"{AGENTS}/{{id}}"): [Bad("server-scanner", None, 403), Bad(NO, None, 404), Bad(lambda w: [w.agent(), "?force=true"], None, 400),
                                     Bad(holder, None, 409, own=True)],
    ("POST", f"{AGENTS}/{{id}}/heartbeat"): [Bad(NO, {}, 404), Bad(retired, {}, 410)],
    ("GET", f"{AGENTS}/{{id}}/work"): [Bad(NO, None, 404), Bad(retired, None, 410)],
    ("POST", f"{AGENTS}/{{id}}/csr"): [Bad(lambda w: w.hand["id"], b, 400) for b in ({}, {"csr_pem": ""}, {"csr_pem": "x"}, {"csr_pem": 7})],
    ("GET", f"{AGENTS}/{{id}}/certificates/{{cert_id}}"): [Bad(lambda w: [w.hand["id"], NO], None, 404), Bad(lambda w: [w.hand["id"], w.certificate()], None, 404)],
    ("POST", f"{AGENTS}/{{id}}/jobs/{{job_id}}/status"): [Bad(lambda w: [w.hand["id"], running(w)], b, 400) for b in ({}, {"status": ""}, {"status": "Done"})] +
    [Bad(lambda w: [w.hand["id"], NO], {"status": "Completed"}, 404)],
    ("GET", f"{V1}/audit"): [Bad(q, None, 400) for q in ("?category=nonsense", "?since=soon", "?since=2020-02-01T00:00:00Z&until=2020-01-01T00:00:00Z")],
    ("GET", f"{V1}/audit/{{id}}"): [Bad(NO, None, 404)],
    ("GET", f"{V1}/audit/export"): [Bad(q, None, 400) for q in ("", "?from=2020-01-01T00:00:00Z", "?from=x&to=y", "?from=2020-01-01T00:00:00Z&to=2020-06-01T00:00:00Z",
                                                                SPAN + "&category=nonsense")],
    ("GET", f"{V1}/notifications/{{id}}"): [Bad(NO, None, 404)],
    ("POST", f"{V1}/notifications/{{id}}/read"): [Bad(NO, None, 404)],
    ("POST", f"{V1}/notifications/{{id}}/requeue"): [Bad(NO, None, 404)],
    **{("POST", f"{V1}/admin/{p}/reload-trust"): [Bad("", {"path_id": "x"}, 404), Bad("", None, 404), Bad("", {"path_id": 7}, 400)] for p in ("scep/intune", "est")},
    ("GET", "/.well-known/pki/crl/{issuer}"): [Bad(NO, None, 404)],
    ("POST", f"{V1}/admin/scheduler/run-now/{{duty}}"): [Bad(NO, None, 404)],
    ("GET", f"{V1}/digest/preview"): [Bad("", None, 503, own=True)],
    ("POST", f"{V1}/digest/send"): [Bad("", None, 503, own=True)],
}
# What is no JSON tells nothing there, as the contract says.
TAKES_ANYTHING = {("POST", f"{AGENTS}/{{id}}/heartbeat")}
