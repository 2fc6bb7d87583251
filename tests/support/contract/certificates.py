"""Certificates, what becomes of many at once, and jobs."""
from walk import NO, Bad, Good, members, page

CERTS, JOBS = "/api/v1/certificates", "/api/v1/jobs"
CERTIFICATE = members(
    "id name common_name sans:l environment owner_id team_id issuer_id renewal_policy_id target_ids:l certificate_profile_id? status "
    "expires_at:t tags:o last_renewal_at:t? last_deployment_at:t? revoked_at:t? revocation_reason? created_at:t updated_at:t source?")
VERSION = members("id certificate_id serial_number not_before:t not_after:t fingerprint_sha256 pem_chain csr_pem key_algorithm? key_size:i? "
                  "created_at:t")
TARGET = members("id name type agent_id config:o enabled:b last_tested_at:t? test_status? source? retired_at:t? retired_reason? "
                 "created_at:t updated_at:t")
JOB = members("id type certificate_id target_id? agent_id? status attempts:i max_attempts:i last_error? scheduled_at:t started_at:t? "
              "completed_at:t? created_at:t verification_status verified_at:t? verification_error? verification_fingerprint?")
STATUS = members("status")
DONE = {what: members(f"total_matched,total_{what},total_skipped,total_failed:i errors:l? enqueued_jobs:l?")
        for what in ("revoked", "enqueued", "reassigned")}
VERIFIED = members("job_id verified:b verified_at:t")
VERIFICATION = members("job_id target_id expected_fingerprint actual_fingerprint verified:b verified_at:t error?")
PRINT = "ab" * 32


def body(w, **more):
    return w.fleet.certificate(w.name("made")) | more


def new(**more):
    """A body whose id nobody has."""
    return lambda w: {k: v for k, v in body(w, **more).items() if v is not None}


def without(name):
    return new(**{name: None})


def revoked(w):
    name = w.issued()
    w.api.need("POST", f"{CERTS}/{name}/revoke", {})
    return name


def archived(w):
    name = w.certificate()
    w.api.need("DELETE", f"{CERTS}/{name}")
    return name


def renewing(w):
    name = w.certificate([w.target()])
    w.api.need("POST", f"{CERTS}/{name}/renew")
    return name


def ended(w):
    """A job that is over."""
    return w.api.need("GET", f"{JOBS}?certificate_id={w.issued()}&type=Issuance")["data"][0]["id"]


def running(w):
    """A deployment that the agent of our hands has taken."""
    job = w.deployment()
    w.api.need("GET", f"/api/v1/agents/{w.hand['id']}/work")
    return job


def of_job(w, job, **more):
    return {"target_id": w.api.need("GET", f"{JOBS}/{job}")["target_id"], "expected_fingerprint": PRINT, "actual_fingerprint": PRINT, "verified": True} | more


def verified(w):
    job = running(w)
    w.api.need("POST", f"{JOBS}/{job}/verify", of_job(w, job))
    return job


FILTERS = ("status=Active", "environment=development", "owner_id=o-test", "team_id=t-test", "issuer_id=iss-local", "profile_id=x", "agent_id=x",
           "expires_before=2999-01-01T00:00:00Z", "expires_after=2000-01-01T00:00:00Z", "created_after=2000-01-01T00:00:00Z",
           "updated_after=2000-01-01T00:00:00Z")
SORTS = ("notAfter", "expiresAt", "createdAt", "updatedAt", "commonName", "name", "status", "environment")
CRITERIA = ("owner_id", "team_id", "issuer_id", "profile_id", "agent_id")

GOOD = {
    ("GET", CERTS): [page(CERTIFICATE), page(CERTIFICATE, "?page=1&per_page=500"), page(members("id name"), "?fields=id,name"),
                     Good("?cursor=x&page_size=2", None, 200, CERTIFICATE, rows="data")] +
    [page(CERTIFICATE, f"?sort={sign}{s}") for s in SORTS for sign in ("", "-")],
    ("POST", CERTS): [
        Good("", new(**more), 201, CERTIFICATE) for more in (
            {}, {"id": None}, {"sans": []}, {"environment": None}, {"tags": {"a": "b"}}, {"common_name": "10.0.0.1", "sans": ["10.0.0.1"]},
            {"common_name": "a@example.test", "sans": ["a@example.test"]}, {"common_name": "*.example.test", "sans": ["*.example.test"]},
            {"status": "Active", "expires_at": "2999-01-01T00:00:00Z", "source": "API"}, {"no_such_member": 1})],
    ("GET", f"{CERTS}/{{id}}"): [Good(lambda w: w.certificate(), None, 200, CERTIFICATE), Good(lambda w: w.issued(), None, 200, CERTIFICATE),
                                 Good(revoked, None, 200, CERTIFICATE | members("revoked_at:t revocation_reason"))],
    ("PUT", f"{CERTS}/{{id}}"): [Good(lambda w: w.certificate(), b, 200, CERTIFICATE) for b in (
        {}, {"environment": "production"}, {"tags": {"k": "v"}}, {"sans": ["other.example.test"]}, {"renewal_policy_id": "rp-default"}, {"name": ""}, {"sans": []}, {"tags": {}})],
    ("DELETE", f"{CERTS}/{{id}}"): [Good(lambda w: w.certificate(), None, 204)],
    ("GET", f"{CERTS}/{{id}}/versions"): [page(VERSION, lambda w: w.issued())],
    ("GET", f"{CERTS}/{{id}}/deployments"): [Good(lambda w: w.issued(), None, 200, TARGET, rows="data")],
    ("POST", f"{CERTS}/{{id}}/renew"): [Good(lambda w: w.certificate([w.target()]), b, 202, STATUS) for b in (None, {"force": True}, {"force": False})] +
    [Good(lambda w: [renewing(w), "?force=true"], None, 202, STATUS), Good(lambda w: renewing(w), {"force": True}, 202, STATUS)],
    ("POST", f"{CERTS}/{{id}}/deploy"): [Good(lambda w: w.issued(), {}, 202, STATUS)],
    ("POST", f"{CERTS}/{{id}}/revoke"): [Good(lambda w: w.issued(), b, 200, STATUS) for b in ({}, {"reason": "keyCompromise"}, {"reason": "superseded"})],
    ("GET", f"{CERTS}/{{id}}/export/pem"): [Good(lambda w: w.issued(), None, 200, members("cert_pem,chain_pem,full_pem")),
                                            Good(lambda w: [w.issued(), "?download=true"], None, 200, media="application/x-pem-file")],
    ("POST", f"{CERTS}/{{id}}/export/pkcs12"): [Good(lambda w: w.issued(), b, 200, media="application/x-pkcs12") for b in ({}, {"password": "p" * 20}, "{")],
    ("POST", f"{CERTS}/bulk-renew"): [Good("", lambda w: {"certificate_ids": [w.certificate([w.target()]), NO]}, 200, DONE["enqueued"]),
                                      Good("", lambda w: {"certificate_ids": [archived(w)]}, 200, DONE["enqueued"]),
                                      *(Good("", {c: NO}, 200, DONE["enqueued"]) for c in CRITERIA)],
    ("POST", f"{CERTS}/bulk-revoke"): [Good("", lambda w: {"reason": "superseded", "certificate_ids": [w.issued(), revoked(w)]}, 200, DONE["revoked"]),
                                       *(Good("", {"reason": "superseded", c: NO}, 200, DONE["revoked"]) for c in CRITERIA)],
    ("POST", f"{CERTS}/bulk-reassign"): [Good("", lambda w: {"certificate_ids": [w.certificate(), NO], "owner_id": w.owner()}, 200, DONE["reassigned"])],
    ("POST", "/api/v1/est/certificates/bulk-revoke"): [
        Good("", lambda w: {"reason": "superseded", "certificate_ids": [w.issued()]}, 200, DONE["revoked"])],
    ("GET", JOBS): [page(JOB), page(JOB, "?status=AwaitingCSR"), page(JOB, lambda w: [f"?certificate_id={w.issued()}"]), page(JOB, "?type=Issuance")],
    ("GET", f"{JOBS}/{{id}}"): [Good(lambda w: w.job(), None, 200, JOB), Good(lambda w: w.deployment(), None, 200, JOB | members("target_id agent_id"))],
    ("POST", f"{JOBS}/{{id}}/cancel"): [Good(lambda w: w.job(), b, 200, STATUS) for b in (None, {})],
    # By their request: test_auth_table.py.
    ("POST", f"{JOBS}/{{id}}/approve"): [], ("POST", f"{JOBS}/{{id}}/reject"): [],
    ("POST", f"{JOBS}/{{id}}/verify"): [
        Good(lambda w: w.last(running(w)), lambda w: of_job(w, w.made, **more), 200, VERIFIED) for more in ({}, {"verified": False, "error": "another"})],
    ("GET", f"{JOBS}/{{id}}/verification"): [Good(verified, None, 200, VERIFICATION), Good(lambda w: w.job(), None, 200, VERIFICATION)],
}

LONG = "x" * 5000
BAD = {
    ("GET", CERTS): [],
    ("POST", CERTS): [Bad("", b, 400) for b in (
        {}, *(without(n) for n in ("name", "owner_id", "team_id", "issuer_id", "renewal_policy_id", "common_name")),
        *(new(common_name=c) for c in ("", "a b", "-a.example.test", "a..b", "x" * 254, 7, "a_b/c")), new(sans="x"), new(sans=[7]), new(tags=[]), new(tags={"a": 7}),
        new(name=LONG), new(owner_id=NO), new(issuer_id=NO), new(team_id=NO), new(renewal_policy_id=NO), new(certificate_profile_id=NO),
        new(target_ids=[NO]), new(id="a b"))] +
    [Bad("", lambda w: body(w) | {"name": w.api.need("GET", f"{CERTS}/{w.certificate()}")["name"]}, 409)],
    ("GET", f"{CERTS}/{{id}}"): [Bad(NO, None, 404)],
    ("PUT", f"{CERTS}/{{id}}"): [Bad(NO, {}, 404)] + [Bad(lambda w: w.certificate(), b, 400) for b in (
        {"common_name": "a b"}, {"owner_id": NO}, {"sans": 7}, {"tags": "x"}, {"status": "Nonsense"}, {"name": LONG})],
    ("DELETE", f"{CERTS}/{{id}}"): [Bad(NO, None, 404)],
    ("GET", f"{CERTS}/{{id}}/deployments"): [Bad(NO, None, 404)],
    ("POST", f"{CERTS}/{{id}}/renew"): [Bad(NO, None, 404), Bad(archived, None, 400), Bad(renewing, None, 409), Bad(lambda w: w.certificate(), {"force": 7}, 400)],
    ("POST", f"{CERTS}/{{id}}/deploy"): [Bad(NO, {}, 404), Bad(lambda w: w.issued(), {"target_id": NO}, 400)],
    ("POST", f"{CERTS}/{{id}}/revoke"): [Bad(NO, {}, 404), Bad(lambda w: w.certificate(), {}, 404), Bad(revoked, {}, 400), Bad(archived, {}, 400),
                                         Bad(lambda w: w.issued(), {"reason": "because"}, 400)],
    ("GET", f"{CERTS}/{{id}}/export/pem"): [Bad(NO, None, 404)],
    ("POST", f"{CERTS}/{{id}}/export/pkcs12"): [Bad(NO, {}, 404)],
    ("POST", f"{CERTS}/bulk-renew"): [Bad("", b, 400) for b in ({}, {"certificate_ids": []}, {"certificate_ids": "x"}, {"owner_id": 7})],
    ("POST", f"{CERTS}/bulk-revoke"): [Bad("", b, 400) for b in ({}, {"owner_id": "o-test"}, {"reason": "superseded"}, {"reason": "because", "owner_id": NO})],
    ("POST", f"{CERTS}/bulk-reassign"): [Bad("", b, 400) for b in ({}, {"certificate_ids": ["x"]}, {"certificate_ids": [], "owner_id": "o-test"},
                                                                  {"certificate_ids": ["x"], "owner_id": NO})],
    ("POST", "/api/v1/est/certificates/bulk-revoke"): [Bad("", {}, 400), Bad("", {"reason": "because", "certificate_ids": ["x"]}, 400)],
    ("GET", f"{JOBS}/{{id}}"): [Bad(NO, None, 404)],
    ("POST", f"{JOBS}/{{id}}/cancel"): [Bad(NO, None, 404), Bad(ended, None, 409)],
    **{("POST", f"{JOBS}/{{id}}/{verb}"): [Bad(NO, {}, 404), Bad(lambda w: w.job(), {}, 400), Bad(lambda w: w.job(), {"reason": 7}, 400)]
       for verb in ("approve", "reject")},
    ("POST", f"{JOBS}/{{id}}/verify"): [Bad(running, b, 400) for b in (
        {}, {"target_id": "x"}, {"target_id": "x", "expected_fingerprint": PRINT, "actual_fingerprint": PRINT, "verified": "yes"})] +
    [Bad(NO, {"target_id": "x", "expected_fingerprint": PRINT, "actual_fingerprint": PRINT, "verified": True}, 404)],
    ("GET", f"{JOBS}/{{id}}/verification"): [Bad(NO, None, 404)],
}
# What is no JSON is an empty password there, as the contract says.
TAKES_ANYTHING = {("POST", f"{CERTS}/{{id}}/export/pkcs12")}
