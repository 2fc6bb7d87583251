"""
No text of a client reaches a table or a log with characters that can't be seen:
whatever the route, the member and how deep it lies, read by anybody or not.
"""
import http.client
import json

import pytest

from test_routes import ROUTES, path_of

BAD = ["\u202e", "\u200b", "\u0085", "\x01", "\x7f", "\u2028", "\u2066", "\ufeff", "\U000e0041"]
# Routes that take a report or a PEM whatever it holds: see test_reports_are_cleaned, test_members_of_what_agents_say,
# test_try.py, test_served.py and test_agent_bad.py.  And a password, which is stored nowhere: test_export.py.
CLEANED = {("POST", "/api/v1/certificates/{id}/export/pkcs12"),
           ("POST", "/api/v1/agents/{id}/heartbeat"), ("POST", "/api/v1/agents/{id}/jobs/{job_id}/status"),
           ("POST", "/api/v1/jobs/{id}/verify"), ("POST", "/api/v1/agents/{id}/csr"), ("POST", "/api/v1/agents/{id}/served"),
           ("POST", "/api/v1/agents/{id}/discoveries"),
           ("POST", "/api/v1/agents/{id}/tests/{test_id}")}
# Routes that read no body.
BODILESS = {("POST", "/api/v1/jobs/{id}/cancel"), ("POST", "/api/v1/notifications/{id}/read"),
            ("POST", "/api/v1/notifications/{id}/requeue"), ("POST", "/api/v1/network-scan-targets/{id}/scan"), ("POST", "/api/v1/admin/scheduler/run-now/{duty}"),
            ("POST", "/api/v1/admin/recovery"), ("POST", "/api/v1/discovered-certificates/{id}/dismiss"), ("POST", "/api/v1/auth/demo-residual/cleanup"),
            ("POST", "/api/v1/acme/eab-keys/{id}/revoke"), *(("POST", f"/api/v1/replacements/{{id}}/{how}") for how in ("pause", "resume", "cancel")),
            ("POST", "/.well-known/pki/ocsp/{issuer}")}  # reads DER
# Signed messages have rules of their own (test_acme_accounts.py).
WRITES = [r for r in ROUTES if r["method"] in ("POST", "PUT", "PATCH") and not r["pattern"].startswith("/acme/")]
READING = [r for r in WRITES if (r["method"], r["pattern"]) not in CLEANED | BODILESS]


def bodies(bad):
    yield {"name": f"a{bad}b"}, "name "
    yield {"no_such_member": [{"deep": {"er": ["x", f"{bad}"]}}]}, "no_such_member.deep.er "
    yield {"tags": {f"k{bad}": "v"}}, "tags "
    yield {f"member{bad}": 1}, "a member's name"


def seen_in_tables(stack, mark):
    """Tables that hold the mark anywhere."""
    tables = [t for t, in stack.query("SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                                      " WHERE c.relkind = 'r' AND n.nspname = 'public'")]
    return [t for t in tables if stack.value(f"SELECT count(*) FROM {t} t WHERE strpos(t::text, %s) > 0", mark)]


def test_the_lists_name_routes():
    known = {(r["method"], r["pattern"]) for r in WRITES}
    assert CLEANED | BODILESS <= known and len(READING) > 20


@pytest.mark.parametrize("route", READING, ids=lambda r: f"{r['method']} {r['pattern']}")
def test_every_route_refuses_what_hides(stack, route):
    for bad in BAD:
        for body, named in bodies(bad):
            status, reply = stack.api.call(route["method"], path_of(route, "none-such"), body)
            assert status == 400 and "can't be seen" in reply["message"], (body, status, reply)
            assert reply["message"].startswith(named)
    # Ends of lines and tabs pass this check; a field that is one line refuses them itself.
    _, reply = stack.api.call(route["method"], path_of(route, "none-such"), {"no_such_member": "a\r\n\tb"})
    assert "can't be seen" not in json.dumps(reply)


@pytest.mark.parametrize("pattern", sorted({r["pattern"] for r in ROUTES if r["method"] == "GET"}))
def test_every_query_refuses_what_hides(stack, pattern):
    path = path_of({"pattern": pattern}, "none-such")
    for bad in ("%E2%80%AE", "%E2%80%8B", "%C2%85", "%01", "%00", "%0A", "%FF"):
        for query in (f"q=a{bad}", f"anything={bad}", f"{bad}=1"):
            assert stack.api.get(f"{path}?{query}")[0] == 400


def test_members_of_what_agents_say(stack):
    agent = stack.api.need("POST", "/api/v1/agents", {"name": "texts", "hostname": "h.example.test"})
    for bad in BAD:
        for member in ("version", "hostname", "os", "architecture", "ip_address"):
            body = {member: f"a{bad}b"}
            for path in (f"/api/v1/agents/{agent['id']}/heartbeat", "/api/v1/agents"):
                assert stack.api.post(path, {"name": "t2", "hostname": "h"} | body)[0] == 400
        assert stack.api.post(f"/api/v1/agents/{agent['id']}/heartbeat", {"served": f"none{bad}"})[0] == 400
        for member in ("digest", "target_id", "seen_by", "fingerprint_sha256", "serial_number", "not_after"):
            one = {"target_id": "t", "seen_by": "file"} | {member: f"a{bad}b"}
            body = {"digest": one.pop("digest", "none"), "targets": [one]}
            assert stack.api.post(f"/api/v1/agents/{agent['id']}/served", body)[0] == 400
        for member in ("target_id", "expected_fingerprint", "actual_fingerprint"):
            assert stack.api.post("/api/v1/jobs/job-1/verify", {"target_id": "t", "verified": False, member: f"a{bad}"})[0] == 400
        for member in ("status", "version_id"):
            body = {"status": "Failed", member: f"Failed{bad}"}
            assert stack.api.post(f"/api/v1/agents/{agent['id']}/jobs/job-1/status", body)[0] == 400
    for wrong in (1, ["x"], {"a": 1}):
        assert stack.api.post(f"/api/v1/agents/{agent['id']}/jobs/job-1/status", {"status": "Failed", "error": wrong})[0] == 400
        assert stack.api.post("/api/v1/jobs/job-1/verify", {"target_id": "t", "verified": False, "error": wrong})[0] == 400


def test_reports_are_cleaned(stack):
    """What a command wrote before it failed is kept, with a mark for each character that can't be seen."""
    basics = stack.make_basics()  # noqa: F841
    agent = stack.api.need("POST", "/api/v1/agents", {"name": "reporter", "hostname": "h.example.test"})
    target = stack.api.need("POST", "/api/v1/targets", {"name": "t", "type": "NGINX", "agent_id": agent["id"],
                                                        "config": {"cert_path": "/c", "key_path": "/k"}})
    stack.make_certificate("mc-texts", [target["id"]])
    stack.plant("INSERT INTO jobs (id, type, certificate_id, target_id, agent_id, status, leased_by, version_id, started_at)"
                " VALUES ('job-texts', 'Deployment', 'mc-texts', %s, %s, 'Running', %s, 'v', now())",
                target["id"], agent["id"], agent["id"])
    said = "n\x1b[31mginx:\u202e\u200b\u0085 line 1\n\tline 2 ü\U0001f600"
    kept = "n?[31mginx:??? line 1\n\tline 2 ü\U0001f600"
    status, reply = stack.api.post("/api/v1/jobs/job-texts/verify", {"target_id": target["id"], "verified": False, "error": said})
    assert status == 200, reply
    status, reply = stack.api.post(f"/api/v1/agents/{agent['id']}/jobs/job-texts/status", {"status": "Failed", "error": said})
    assert status == 200, reply
    job = stack.api.need("GET", "/api/v1/jobs/job-texts")
    assert job["last_error"] == job["verification_error"] == kept
    for bad in BAD[:4] + ["\x1b"]:
        assert not seen_in_tables(stack, bad) and not seen_in_tables(stack, json.dumps(bad)[1:-1])


def test_idempotency_keys(stack):
    for bad in ("a\u202e", "\u200b", "\u0085"):
        connection = http.client.HTTPSConnection("127.0.0.1", stack.api.port, context=stack.api.context)
        connection.request("POST", "/api/v1/certificates/bulk-renew", '{"team_id": "t"}',
                           {"Authorization": f"Bearer {stack.api.key}", "Idempotency-Key": bad.encode()})
        response = connection.getresponse()
        assert response.status == 400 and "Idempotency-Key" in json.loads(response.read())["message"]
        connection.close()
