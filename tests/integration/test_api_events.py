"""
With CERTCTL_AUDIT_API_EVENTS each request of a known caller leaves an event of
its own, whatever came of it; without it reading leaves none, and what changes,
is refused or exported is recorded all the same.
"""
import hashlib
import json

import pytest

from fleet import API_KEY, Fleet, wait_for

READER = f"reader-{API_KEY}"
KEYS = f"admin:{API_KEY}:admin,reader:{READER}"


@pytest.fixture(scope="module")
def plane():
    """The first apiserver has it on, the second as it is by default."""
    fleet = Fleet("apievents")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True, CERTCTL_API_KEYS_NAMED=KEYS, CERTCTL_AUDIT_API_EVENTS="true")
        fleet.start_apiserver(2, keep=True, CERTCTL_API_KEYS_NAMED=KEYS)
        fleet.make_basics()
        yield fleet
    finally:
        fleet.close()


def events(plane, path):
    return plane.query("SELECT actor, actor_type, action, resource_type, event_category, details FROM audit_events"
                       " WHERE resource_id = %s AND resource_type = 'api' ORDER BY seq", path)


def test_each_request_is_recorded(plane):
    body = {"name": "night shift", "password": "hunter-2-hunter-2"}
    assert plane.api.get("/api/v1/teams/t-test?secret=in-the-query")[0] == 200
    assert plane.api.get("/api/v1/teams/t-gone")[0] == 404
    assert plane.api.call("PUT", "/api/v1/teams/t-put", body)[0] == 404
    assert plane.api.call("DELETE", "/api/v1/teams/t-refused", key=READER)[0] == 403
    got = wait_for(lambda: events(plane, "/api/v1/teams/t-refused"), 10, "the last event")
    assert [e[:5] for e in got] == [("reader", "User", "api_delete", "api", "cert_lifecycle")] and got[0][5]["status"] == 403
    (actor, _, action, _, _, details), = events(plane, "/api/v1/teams/t-test")
    assert (actor, action, details["status"], details["body_hash"]) == ("admin", "api_get", 200, "")
    assert set(details) == {"method", "path", "body_hash", "status", "latency_ms"} and details["latency_ms"] >= 0
    assert [e[5]["status"] for e in events(plane, "/api/v1/teams/t-gone")] == [404]
    (_, _, action, _, _, details), = events(plane, "/api/v1/teams/t-put")
    assert (action, details["body_hash"]) == ("api_put", hashlib.sha256(json.dumps(body).encode()).hexdigest())
    for secret in ("in-the-query", "hunter-2", API_KEY):
        assert plane.value("SELECT count(*) FROM audit_events t WHERE strpos(t::text, %s) > 0", secret) == 0


def test_who_is_unknown_leaves_none(plane):
    for path, key in (("/health", ""), ("/ready", ""), ("/api/v1/version", API_KEY), ("/api/v1/auth/info", ""), ("/api/v1/stats", "no-such-key"),
                      ("/api/v1/notifications", "")):
        assert plane.api.call("GET", path, key=key)[0] in (200, 401, 404)
    assert plane.api.get("/api/v1/jobs?of=the-last")[0] == 200
    wait_for(lambda: events(plane, "/api/v1/jobs"), 10, "the last event")
    assert plane.query("SELECT resource_id FROM audit_events WHERE resource_type = 'api'"
                       " AND (resource_id ~ '^/(health|ready)' OR resource_id ~ '(version|auth/info|stats|notifications)$')") == []


def test_the_last_ones_are_written_at_the_end(plane):
    plane.start_apiserver(3, CERTCTL_API_KEYS_NAMED=KEYS, CERTCTL_AUDIT_API_EVENTS="true")
    other = plane.apis["apiserver-3"]
    for i in range(20):
        assert other.get(f"/api/v1/teams/last-{i}")[0] == 404
    plane.processes["apiserver-3"].stop()
    assert plane.value("SELECT count(*) FROM audit_events WHERE resource_id LIKE '/api/v1/teams/last-%%'") == 20


def test_switched_off_what_matters_is_recorded(plane):
    """A change, a refusal and an export; reading is not."""
    off = plane.apis["apiserver-2"]
    before = plane.value("SELECT coalesce(max(seq), 0) FROM audit_events")
    team = off.need("POST", "/api/v1/teams", {"name": "quiet"})["id"]
    assert off.get(f"/api/v1/teams/{team}")[0] == 200
    assert off.get("/api/v1/audit/export?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z")[0] == 200
    assert off.call("DELETE", f"/api/v1/teams/{team}", key=READER)[0] == 403
    wait_for(lambda: plane.value("SELECT count(*) FROM audit_events WHERE action = 'auth.refused' AND seq > %s"
                                 " AND details ->> 'last_request' = 'DELETE /api/v1/teams/{id}'", before), 10, "the refusal")
    left = {a for a, in plane.query("SELECT action FROM audit_events WHERE seq > %s AND actor IN ('admin', 'reader')", before)}
    assert left == {"create_team", "audit.export"}
