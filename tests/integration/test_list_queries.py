"""
What may be asked of a list: every filter, sort key, field and size of the
contract, well and badly spelled, against the rows as they are without it.
"""
import base64
import datetime
import json
import urllib.parse

import pytest

LIMIT_S = 240
V1 = "/api/v1"
CERTS = f"{V1}/certificates"
ROWS = 90
ZERO = "0001-01-01T00:00:00Z"

SEED = f"""
INSERT INTO teams (id, name) SELECT 't-' || i, 'Team ' || i FROM generate_series(1, 3) i;
INSERT INTO owners (id, name, email, team_id) SELECT 'o-' || i, 'Owner ' || i, '', 't-' || 1 + i % 2 FROM generate_series(1, 6) i;
INSERT INTO issuers (id, name, type) SELECT 'iss-' || i, 'Issuer ' || i, CASE i WHEN 1 THEN 'GenericCA' ELSE 'OpenSSL' END FROM generate_series(1, 3) i;
INSERT INTO renewal_policies (id, name, renewal_window_days) SELECT 'rp-' || i, 'Policy ' || i, 30 FROM generate_series(1, 3) i;
INSERT INTO certificate_profiles (id, name) VALUES ('prof-1', 'profile');
INSERT INTO network_scan_targets (id, name) SELECT 'nst-' || i, 'Net ' || i FROM generate_series(1, 3) i;
INSERT INTO agents (id, name, hostname, api_key_hash, status, registered_at, retired_at)
    SELECT 'agent-' || i, 'agent ' || i, 'h', md5(i::text), (ARRAY['Online', 'Offline', 'Degraded'])[1 + i % 3],
        now() - i * interval '1 s', CASE WHEN i > 9 THEN now() - i * interval '1 s' END FROM generate_series(1, 12) i;
INSERT INTO deployment_targets (id, name, type, agent_id, config)
    SELECT 'tgt-' || i, 'Target ' || i, CASE WHEN i % 2 = 0 THEN 'NGINX' ELSE 'Apache' END, 'agent-' || 1 + i % 3, '{{}}' FROM generate_series(1, 8) i;
INSERT INTO managed_certificates (id, name, common_name, environment, owner_id, team_id, issuer_id, renewal_policy_id, status,
        certificate_profile_id, expires_at, created_at, updated_at)
    SELECT 'mc-' || i, 'name' || lpad((i * 37 % 97)::text, 3, '0'), 'h' || lpad((i * 7 % 30)::text, 2, '0') || '.example.com',
        (ARRAY['prod', 'dev', NULL])[1 + i % 3], 'o-' || 1 + i % 4, 't-' || 1 + i % 2, 'iss-' || 1 + i % 2, 'rp-1',
        (ARRAY['Pending', 'Active', 'Expiring', 'Expired', 'RenewalInProgress', 'Failed', 'Revoked', 'Archived'])[1 + i % 8],
        CASE WHEN i % 5 = 0 THEN 'prof-1' END, CASE WHEN i % 6 > 0 THEN timestamptz '2030-01-01' + i % 20 * interval '1 day' END,
        timestamptz '2026-01-01 00:00:00.25' + i / 4 * interval '1 hour', timestamptz '2026-02-01' + (i * 11 % 50) * interval '1 hour'
    FROM generate_series(1, {ROWS}) i;
INSERT INTO certificate_target_mappings (certificate_id, target_id) SELECT 'mc-' || i, 'tgt-' || 1 + i % 8 FROM generate_series(1, {ROWS}, 3) i;
INSERT INTO certificate_versions (id, job_id, certificate_id, serial_number, fingerprint_sha256, pem_chain, not_before, not_after, issuer_id)
    SELECT 'certver-' || i, 'job-' || i, 'mc-' || 1 + i % 4, to_hex(i), '', '', now(), now(), 'iss-1' FROM generate_series(1, 12) i;
INSERT INTO jobs (id, type, certificate_id, target_id, agent_id, status, completed_at, issuer_id, version_id)
    SELECT 'job-' || i, (ARRAY['Issuance', 'Renewal', 'Deployment'])[1 + i % 3], 'mc-' || 1 + i % 4,
        CASE WHEN i % 3 = 2 THEN 'tgt-' || 1 + i % 4 END, CASE WHEN i % 3 = 2 THEN 'agent-' || 1 + i % 2 END,
        (ARRAY['Completed', 'Failed', 'Cancelled'])[1 + i % 3], now(), 'iss-1', CASE WHEN i <= 12 THEN 'certver-' || i END
    FROM generate_series(1, 24) i;
INSERT INTO issuance_approval_requests (id, certificate_id, job_id, profile_id, requested_by, state, decided_at, decided_by)
    SELECT 'ar-' || i, 'mc-' || 1 + i % 4, 'job-' || i, 'prof-1', 'user-' || i % 3, (ARRAY['approved', 'rejected', 'expired'])[1 + i % 3], now(), 'y'
    FROM generate_series(1, 24) i;
INSERT INTO notification_events (id, type, certificate_id, channel, recipient, message, status, sent_at)
    SELECT 'notif-' || i, 'RenewalFailure', 'mc-1', 'Email', 'r', 'm', (ARRAY['sent', 'dead', 'read'])[1 + i % 3], now() - i * interval '1 s'
    FROM generate_series(1, 24) i;
INSERT INTO discovery_scans (id, agent_id, directories, started_at)
    SELECT 'dscan-' || i, 'agent-' || 1 + i % 3, '{{/etc}}', now() - i / 2 * interval '1 s' FROM generate_series(1, 24) i;
INSERT INTO discovered_certificates (id, fingerprint_sha256, agent_id, discovery_scan_id, status, last_seen_at)
    SELECT 'dcert-' || i, md5(i::text), 'agent-' || 1 + i % 2, 'dscan-' || i, (ARRAY['Unmanaged', 'Managed', 'Dismissed'])[1 + i % 3],
        now() - i / 2 * interval '1 s' FROM generate_series(1, 24) i;
UPDATE discovered_counts SET unmanaged = 8, managed = 8, dismissed = 8 WHERE shard = 0;
INSERT INTO endpoint_health_checks (id, endpoint, certificate_id, status, enabled)
    SELECT 'hc-' || i, 'h:443', CASE WHEN i % 2 = 0 THEN 'mc-' || 1 + i % 4 END,
        (ARRAY['healthy', 'degraded', 'down', 'cert_mismatch', 'unknown'])[1 + i % 5], i % 3 = 0 FROM generate_series(1, 24) i;
INSERT INTO replacements (id, from_issuer_id, to_issuer_id, state, ended_at, wave_size, planned, created_by)
    SELECT 'repl-' || i, 'iss-1', 'iss-2', CASE WHEN i % 3 = 0 THEN 'completed' ELSE 'cancelled' END, now(), 1, 1, 'x' FROM generate_series(1, 24) i;
INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, profile_id, owner_id, status)
    SELECT 'acct-' || i, i::text, '', 'prof-1', CASE WHEN i % 2 = 0 THEN 'o-' || 1 + i % 4 END, (ARRAY['valid', 'deactivated', 'revoked'])[1 + i % 3]
    FROM generate_series(1, 24) i;
UPDATE certificate_profiles SET acme_owner_id = 'o-6';
INSERT INTO acme_orders (order_id, account_id, identifiers, status, expires_at, profile_id, names_key, certificate_id)
    SELECT 'acme-ord-' || i, 'acct-' || 1 + i % 4, '[]', (ARRAY['pending', 'ready', 'processing', 'valid', 'invalid'])[1 + i % 5],
        now() + CASE WHEN i % 2 = 0 THEN interval '1 hour' ELSE interval '-1 hour' END, 'prof-1', '', CASE WHEN i % 3 = 0 THEN 'mc-' || 1 + i % 4 END
    FROM generate_series(1, 60) i;
INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, event_category)
    SELECT 'actor-' || i % 2, 'User', 'action_' || i % 3, (ARRAY['certificate', 'team'])[1 + i % 2], 'thing-' || i % 4,
        (ARRAY['cert_lifecycle', 'auth', 'config'])[1 + i % 3] FROM generate_series(1, 24) i;
"""


@pytest.fixture(scope="module")
def seeded(stack):
    stack.plant(SEED)
    return stack


def time_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def ask(api, path, query):
    status, reply = api.get(f"{path}?{query}")
    assert status == 200, (path, query, status, reply)
    return reply


def walk(api, path, query, size):
    rows, cursor = [], "start"
    while cursor:
        reply = ask(api, path, f"{query}&page_size={size}&cursor={urllib.parse.quote(cursor)}")
        rows += reply["data"]
        cursor = reply.get("next_cursor")
    return rows


def turned(api, path, query, size):
    """The rows of page after page."""
    rows, number = [], 0
    while number == 0 or data:
        number += 1
        data = ask(api, path, f"{query}&per_page={size}&page={number}")["data"]
        rows += data
    return rows


def all_of(api, path):
    return ask(api, path, "per_page=500")["data"]


# --- filters ---

def is_(key, value):
    return lambda row: row.get(key) == value


def before(text):
    return lambda row: row["expires_at"] != ZERO and time_of(row["expires_at"]) < time_of(text)


def after(key, text):
    return lambda row: row[key] != ZERO and time_of(row[key]) > time_of(text)


def both(*tests):
    return lambda row: all(t(row) for t in tests)


def everything(_):
    return True


def nothing(_):
    return False


# tgt-N is of agent-(1 + N % 3).
ON_AGENT_1 = {"tgt-3", "tgt-6"}
NO_TIMES = ("tomorrow", "2030-13-01", "2030-02-30", "2030-01-01T25:00:00Z", "2030-01-01T00:00:00", "2030-01-01%2000:00:00Z", "0000-01-01",
            "1893456000", "2030-01-01T00:00:00%2B16:00", "2030-01-01T00:00:00%2B23:59", "2030-01-01T00:00:00-15:60", "infinity", "now",
            "2030-01-01T00:00:00.Z", "2030-01-01T00:00:00.1234567890Z", "99999-01-01", "")
CERT_FILTERS = [
    ("status=Active", is_("status", "Active")),
    ("status=renewalinprogress", is_("status", "RenewalInProgress")),
    ("status=Archived", is_("status", "Archived")),
    ("status=nonsense", nothing),
    ("environment=prod", is_("environment", "prod")),
    ("environment=PROD", nothing),
    ("environment=pro", nothing),
    ("owner_id=o-2", is_("owner_id", "o-2")),
    ("owner_id=O-2", nothing),
    ("owner_id=o-9", nothing),
    ("team_id=t-2", is_("team_id", "t-2")),
    ("team_id=t-nobody", nothing),
    ("issuer_id=iss-1", is_("issuer_id", "iss-1")),
    ("issuer_id=", everything),
    ("agent_id=agent-1", lambda row: bool(ON_AGENT_1 & set(row["target_ids"]))),
    ("agent_id=agent-12", nothing),
    ("profile_id=prof-1", is_("certificate_profile_id", "prof-1")),
    ("profile_id=prof-2", nothing),
    ("expires_before=2030-01-03", before("2030-01-03T00:00:00Z")),
    ("expires_before=2030-01-03T00:00:00.000001Z", before("2030-01-03T00:00:00.000001Z")),
    ("expires_before=2030-01-03T01:00:00%2B02:00", before("2030-01-02T23:00:00Z")),
    ("expires_before=2030-01-02t23:00:00z", before("2030-01-02T23:00:00Z")),
    ("expires_before=0001-01-01", nothing),
    ("expires_after=2030-01-18", after("expires_at", "2030-01-18T00:00:00Z")),
    ("expires_after=9999-12-31T23:59:59-15:59", nothing),
    ("expires_after=2030-01-03&expires_before=2030-01-06", both(after("expires_at", "2030-01-03T00:00:00Z"), before("2030-01-06T00:00:00Z"))),
    ("expires_after=2030-01-06&expires_before=2030-01-03", nothing),
    ("created_after=2026-01-01T10:00:00.25Z", after("created_at", "2026-01-01T10:00:00.25Z")),
    ("created_after=2100-01-01", nothing),
    ("updated_after=2026-02-02T12:00:00Z", after("updated_at", "2026-02-02T12:00:00Z")),
    ("q=NAME01", lambda row: "name01" in row["name"]),
    ("q=h07.EXAMPLE", lambda row: row["common_name"] == "h07.example.com"),
    ("q=mc-11", is_("id", "mc-11")),
    ("q=%25", nothing),
    ("q=_", nothing),
    ("status=Active&owner_id=o-2", both(is_("status", "Active"), is_("owner_id", "o-2"))),
    ("environment=dev&team_id=t-1&issuer_id=iss-1&profile_id=prof-1&expires_after=2030-01-01",
     both(is_("environment", "dev"), is_("team_id", "t-1"), is_("issuer_id", "iss-1"), is_("certificate_profile_id", "prof-1"),
          after("expires_at", "2030-01-01T00:00:00Z"))),
    ("statuss=Active&limit=1&tags=x&name=x", everything),  # the contract: unknown names are ignored
    *((f"{name}={value}", everything) for name in ("expires_before", "expires_after", "created_after", "updated_after") for value in NO_TIMES),
]


@pytest.mark.parametrize("query,wanted", CERT_FILTERS, ids=[q for q, _ in CERT_FILTERS])
def test_filters_of_certificates(seeded, query, wanted):
    api = seeded.api
    rows = all_of(api, CERTS)
    assert len(rows) == ROWS
    expected = [r["id"] for r in rows if wanted(r)]
    assert bool(expected) == (wanted is not nothing)
    found = ask(api, CERTS, f"{query}&per_page=500")
    assert [r["id"] for r in found["data"]] == expected
    for size in (1, 7, len(expected) or 1):
        reply = ask(api, CERTS, f"{query}&per_page={size}&fields=id")
        assert reply["total"] == len(expected) and "total_is_estimate" not in reply
        assert ("next_cursor" in reply) == (len(expected) > size)
    assert [r["id"] for r in walk(api, CERTS, f"{query}&fields=id", 7)] == expected
    assert [r["id"] for r in turned(api, CERTS, f"{query}&fields=id", 11)] == expected


FILTERS = [
    ("jobs", "status=Failed", is_("status", "Failed")),
    ("jobs", "status=failed", is_("status", "Failed")),
    ("jobs", "status=Fail", nothing),
    ("jobs", "type=Deployment", is_("type", "Deployment")),
    ("jobs", "type=nonsense", nothing),
    ("jobs", "certificate_id=mc-2", is_("certificate_id", "mc-2")),
    ("jobs", "certificate_id=mc-77", nothing),
    ("jobs", "target_id=tgt-2", is_("target_id", "tgt-2")),
    ("jobs", "target_id=TGT-2", nothing),
    ("jobs", "agent_id=agent-1", is_("agent_id", "agent-1")),
    ("jobs", "version_id=certver-7", is_("version_id", "certver-7")),
    ("jobs", "version_id=certver-99", nothing),
    ("jobs", "type=Deployment&certificate_id=mc-3", both(is_("type", "Deployment"), is_("certificate_id", "mc-3"))),
    ("jobs", "state=Failed", everything),
    ("agents", "status=Offline", is_("status", "Offline")),
    ("agents", "status=degraded", is_("status", "Degraded")),
    ("agents", "status=Retired", nothing),
    ("agents/retired", "status=Online", is_("status", "Online")),
    ("agents/retired", "status=x", nothing),
    ("agents", "name=agent%203", is_("name", "agent 3")),
    ("agents", "name=agent%203&status=Online", both(is_("name", "agent 3"), is_("status", "Online"))),
    ("agents", "name=agent%203&status=Offline", nothing),
    ("agents", "name=AGENT%203", nothing),
    ("agents", "name=agent", nothing),
    ("agents", "name=agent%2011", nothing),
    ("agents/retired", "name=agent%2011", is_("name", "agent 11")),
    ("agents/retired", "name=agent%203", nothing),
    ("approvals", "state=rejected", is_("state", "rejected")),
    ("approvals", "state=Approved", is_("state", "approved")),
    ("approvals", "state=open", nothing),
    ("approvals", "certificate_id=mc-4", is_("certificate_id", "mc-4")),
    ("approvals", "requested_by=user-1&state=rejected", both(is_("requested_by", "user-1"), is_("state", "rejected"))),
    ("approvals", "requested_by=USER-1", nothing),
    ("notifications", "status=dead", is_("status", "dead")),
    ("notifications", "status=DEAD", is_("status", "dead")),
    ("notifications", "status=nonsense", nothing),
    ("audit", "category=auth", is_("event_category", "auth")),
    ("audit", "category=AUTH", is_("event_category", "auth")),
    ("audit", "actor=actor-1", is_("actor", "actor-1")),
    ("audit", "actor=actor", nothing),
    ("audit", "action=action_2", is_("action", "action_2")),
    ("audit", "resource_type=team", is_("resource_type", "team")),
    ("audit", "resource_id=thing-3", is_("resource_id", "thing-3")),
    ("audit", "resource_id=thing-3&action=action_2", both(is_("resource_id", "thing-3"), is_("action", "action_2"))),
    ("audit", "since=2000-01-01T00:00:00Z&until=2100-01-01T00:00:00Z", everything),
    ("audit", "since=2100-01-01T00:00:00Z", nothing),
    ("audit", "until=2000-01-01T00:00:00Z", nothing),
    ("discovered-certificates", "status=Managed", is_("status", "Managed")),
    ("discovered-certificates", "status=dismissed", is_("status", "Dismissed")),
    ("discovered-certificates", "status=Manage", nothing),
    ("discovered-certificates", "agent_id=agent-2", is_("agent_id", "agent-2")),
    ("discovered-certificates", "agent_id=AGENT-2", nothing),
    ("discovered-certificates", "agent_id=agent-2&status=Unmanaged", both(is_("agent_id", "agent-2"), is_("status", "Unmanaged"))),
    ("discovered-certificates", "agent_id=&state=Managed", everything),
    ("discovery-scans", "agent_id=agent-3", is_("agent_id", "agent-3")),
    ("discovery-scans", "agent_id=agent-12", nothing),
    ("health-checks", "status=down", is_("status", "down")),
    ("health-checks", "status=CERT_MISMATCH", is_("status", "cert_mismatch")),
    ("health-checks", "status=nonsense", nothing),
    ("health-checks", "certificate_id=mc-3", is_("certificate_id", "mc-3")),
    ("health-checks", "certificate_id=MC-3", nothing),
    ("health-checks", "network_scan_target_id=nst-1", nothing),
    ("health-checks", "enabled=true", is_("enabled", True)),
    ("health-checks", "enabled=false&status=healthy", both(is_("enabled", False), is_("status", "healthy"))),
    ("acme/accounts", "status=revoked", is_("status", "revoked")),
    ("acme/accounts", "status=VALID", is_("status", "valid")),
    ("acme/accounts", "status=nonsense", nothing),
    ("acme/accounts", "profile_id=prof-1", everything),
    ("acme/accounts", "profile_id=PROF-1", nothing),
    ("acme/accounts", "owner_id=o-3", is_("owner_id", "o-3")),
    ("acme/accounts", "owner_id=o-6&status=valid", both(is_("owner_id", "o-6"), is_("status", "valid"))),
    ("acme/accounts", "owner_id=o-2", nothing),
    ("acme/orders", "status=pending", is_("status", "pending")),
    ("acme/orders", "status=INVALID", is_("status", "invalid")),
    ("acme/orders", "status=nonsense", nothing),
    ("acme/orders", "account_id=acct-2", is_("account_id", "acct-2")),
    ("acme/orders", "account_id=acct-9", nothing),
    ("acme/orders", "account_id=acct-3&status=valid", both(is_("account_id", "acct-3"), is_("status", "valid"))),
    ("acme/orders", "certificate_id=mc-3", is_("certificate_id", "mc-3")),
    ("teams", "q=TEAM+2", is_("name", "Team 2")),
    ("network-scan-targets", "q=NET+2", is_("name", "Net 2")),
    ("owners", "q=owner+3", is_("name", "Owner 3")),
    ("owners", "team_id=t-2", is_("team_id", "t-2")),
    ("owners", "team_id=T-2", nothing),
    ("policies", "q=lifetime", is_("name", "max-certificate-lifetime")),
    ("policies", "type=RenewalLeadTime", is_("type", "RenewalLeadTime")),
    ("policies", "severity=Error", is_("severity", "Error")),
    ("policies", "severity=Fatal", nothing),
    ("replacements", "state=completed", is_("state", "completed")),
    ("replacements", "state=Cancelled", is_("state", "cancelled")),
    ("replacements", "state=nonsense", nothing),
    ("renewal-policies", "q=icy+1", is_("name", "Policy 1")),
    ("renewal-policies", "q=%25", nothing),
    ("issuers", "q=issuer+2", is_("name", "Issuer 2")),
    ("issuers", "type=GenericCA", is_("type", "GenericCA")),
    ("issuers", "type=nonsense", nothing),
    ("targets", "q=target+7", is_("name", "Target 7")),
    ("targets", "type=NGINX", is_("type", "NGINX")),
    ("targets", "agent_id=agent-2&type=Apache", both(is_("agent_id", "agent-2"), is_("type", "Apache"))),
]


@pytest.mark.parametrize("noun,query,wanted", FILTERS, ids=[f"{n}?{q}" for n, q, _ in FILTERS])
def test_filters_of_other_lists(seeded, noun, query, wanted):
    api, path = seeded.api, f"{V1}/{noun}"
    rows = all_of(api, path)
    expected = [r["id"] for r in rows if wanted(r)]
    if wanted not in (everything, nothing):
        assert 0 < len(expected) < len(rows)
    reply = ask(api, path, f"{query}&per_page=500")
    assert [r["id"] for r in reply["data"]] == expected
    assert [r["id"] for r in walk(api, path, query, 3)] == expected
    assert [r["id"] for r in turned(api, path, query, 5)] == expected
    if noun != "approvals":  # the contract gives it none
        assert reply["total"] == ask(api, path, f"{query}&per_page=1")["total"] == len(expected)


@pytest.mark.parametrize("query,words", [
    ("category=certs", "category"), ("since=yesterday", "since"), ("since=2026-01-01", "since"), ("until=2026-01-01T00:00:00", "until"),
    ("since=2026-01-01T00:00:00%2B23:59", "since"), ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "until"),
    ("since=2026-01-01T00:00:00Z&until=2026-01-01T00:00:00Z", "until")])
def test_what_the_audit_trail_refuses(seeded, query, words):
    status, reply = seeded.api.get(f"{V1}/audit?{query}")
    assert status == 400 and words in reply["message"] and reply["error"] == "Bad Request" and reply["request_id"]


# --- sorting ---

def last_if_unset(row):
    return (row["expires_at"] == ZERO, row["expires_at"])


SORTS = {"notAfter": last_if_unset, "expiresAt": last_if_unset, "createdAt": None, "updatedAt": lambda r: r["updated_at"],
         "commonName": lambda r: r["common_name"], "name": lambda r: r["name"], "status": lambda r: r["status"],
         "environment": lambda r: r["environment"]}


@pytest.mark.parametrize("key", SORTS)
@pytest.mark.parametrize("where", ["", "team_id=t-1&", "q=name&"])
def test_sorts(seeded, key, where):
    api = seeded.api
    rows = ask(api, CERTS, f"{where}per_page=500")["data"]
    up = [r["id"] for r in (sorted(rows, key=SORTS[key]) if SORTS[key] else rows)]
    for query in (f"sort={key}", f"sort={key}&sort_desc=false", f"sort={key}&sort_desc=0", f"sort={key}&sort_desc="):
        assert [r["id"] for r in turned(api, CERTS, f"{where}{query}&fields=id", 17)] == up, query
    for query in (f"sort=-{key}", f"sort={key}&sort_desc=true", f"sort={key}&sort_desc=1", f"sort=-{key}&sort_desc=false"):
        assert [r["id"] for r in turned(api, CERTS, f"{where}{query}&fields=id", 17)] == up[::-1], query
    reply = ask(api, CERTS, f"{where}sort=-{key}&per_page=3")
    assert reply["total"] == len(rows) and "next_cursor" not in reply  # no walk goes in this order


def test_what_is_no_sort_key(seeded):
    api = seeded.api
    start = ask(api, CERTS, "per_page=9")
    for key in ("nonsense", "-nonsense", "-", "created_at", "expires_at", "NAME", "id", "name;drop", "--name"):
        assert ask(api, CERTS, f"per_page=9&sort={urllib.parse.quote(key)}") == start, key
    assert [r["id"] for r in ask(api, CERTS, "per_page=9&sort_desc=true")["data"]] == [r["id"] for r in all_of(api, CERTS)][::-1][:9]
    for value in ("yes", "desc", "-1", "truee"):
        status, reply = api.get(f"{CERTS}?sort=name&sort_desc={value}")
        assert status == 400 and "sort_desc" in reply["message"], value
    for query in ("sort=-createdAt", "sort_desc=true", "sort=name"):
        status, reply = api.get(f"{CERTS}?cursor=start&{query}")
        assert status == 400 and "sort" in reply["message"], query


# --- fields ---

def test_sparse_fields(seeded):
    api = seeded.api
    rows = all_of(api, CERTS)
    names = {key for row in rows for key in row}
    assert {"id", "sans", "target_ids", "tags", "certificate_profile_id", "expires_at"} <= names
    for name in names:
        for form in ("page=1", "cursor=start"):
            reply = ask(api, CERTS, f"{form}&page_size=500&fields={name}")
            assert reply["data"] == [{name: row[name]} if name in row else {} for row in rows], name
            assert reply["total"] == ROWS
    pair = [{"id": row["id"], "name": row["name"]} for row in rows]
    for fields in ("id,name", "name,id", "id,name,id", "id,nonsense,name", ",id,,name,", "nonsense,id,name,NAME,i,na"):
        assert ask(api, CERTS, f"per_page=500&fields={fields}")["data"] == pair, fields
    for fields in ("nonsense", ",", "ID", "total", "*", "id%3Bname"):
        reply = ask(api, CERTS, f"per_page=500&fields={fields}")
        assert reply["data"] == [{}] * ROWS and reply["total"] == ROWS, fields
    assert ask(api, CERTS, "per_page=500&fields=")["data"] == rows
    # It is a matter of this list alone.
    assert "name" in ask(api, f"{V1}/teams", "fields=id")["data"][0]


# --- sizes and cursors ---

LISTS = ("certificates", "certificates/mc-1/versions", *dict.fromkeys(noun for noun, *_ in FILTERS))


@pytest.mark.parametrize("noun", LISTS)
def test_sizes(seeded, noun):
    api, path = seeded.api, f"{V1}/{noun}"
    rows = all_of(api, path)
    keys = ["data", "total", "page", "per_page"] if noun != "approvals" else ["data", "page", "per_page"]
    start = ask(api, path, "")
    assert start["per_page"] == (len(rows) if noun == "network-scan-targets" else 50)
    for value in ("0", "-1", "501", "1000", "x", "1.5", "1e2", "%2B5", "99999999999999999999", "", "0x10", "%207"):
        assert ask(api, path, f"per_page={value}") == start, value  # as the contract wants it
        assert ask(api, path, f"page={value}") == start or value in ("501", "1000"), value
        if value:
            status, reply = api.get(f"{path}?page_size={value}")
            assert status == 400 and "page_size" in reply["message"] and "500" in reply["message"], value
            assert api.get(f"{path}?cursor=start&page_size={value}")[0] == 400, value
    for size in (1, 2, 500):
        reply = ask(api, path, f"per_page={size}")
        assert reply["data"] == rows[:size] and reply["per_page"] == size and reply["page"] == 1
        assert [k for k in reply if k != "next_cursor"] == keys
        assert ask(api, path, f"page_size={size}&per_page=7")["data"] == rows[:size]
        assert ask(api, path, f"page_size={size}&per_page=7")["per_page"] == 7
    assert ask(api, path, f"page=2&per_page={len(rows)}")["data"] == []


def test_the_page_form_hands_out_the_cursor(seeded):
    api = seeded.api
    rows = [r["id"] for r in all_of(api, CERTS)]
    for query in ("", "fields=id&", "sort=createdAt&"):
        for number, size in ((1, 1), (1, 50), (3, 20), (4, 22)):
            reply = ask(api, CERTS, f"{query}page={number}&per_page={size}")
            assert len(reply["data"]) == size and reply["total"] == ROWS
            if "fields" not in query:
                last = reply["data"][-1]
                assert base64.urlsafe_b64decode(reply["next_cursor"]).decode() == f"{last['created_at']}:{last['id']}"
            followed = walk_on(api, reply["next_cursor"])
            assert followed == rows[number * size:], (query, number, size)
    # None where nothing follows: on the last page, full or not, and past it.
    for query in ("per_page=500", f"per_page={ROWS}", f"page=2&per_page={ROWS // 2}", f"page=3&per_page={ROWS}", "status=nonsense"):
        assert "next_cursor" not in ask(api, CERTS, query), query


def walk_on(api, cursor):
    rows = []
    while cursor:
        reply = ask(api, CERTS, f"cursor={urllib.parse.quote(cursor)}&page_size=13&fields=id")
        assert list(reply)[:2] == ["data", "total"] and reply["page_size"] == 13 and reply["total"] == ROWS
        rows += [r["id"] for r in reply["data"]]
        cursor = reply.get("next_cursor")
    return rows


def test_cursors_that_are_none_start_anew(seeded):
    api = seeded.api
    start = ask(api, CERTS, "cursor=start&page_size=3")
    plain = ["", ":", "x:mc-1", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z:", "2026-13-01T00:00:00Z:mc-1", "2026-01-01:mc-1",
             "0000-01-01T00:00:00Z:mc-1", "2026-01-01T00:00:00+23:59:mc-1", "2026-01-01 00:00:00Z:mc-1", "now:mc-1"]
    for text in plain:
        cursor = base64.urlsafe_b64encode(text.encode()).decode() or "="
        assert ask(api, CERTS, f"cursor={urllib.parse.quote(cursor)}&page_size=3") == start, text
    for cursor in ("%3D%3D", "a", "A" * 3000, "%2B%2F", "null", "0"):
        assert ask(api, CERTS, f"cursor={cursor}&page_size=3") == start, cursor
    # Any letter case, offset and alphabet of a good one; a certificate that is gone still tells where.
    rows = [r["id"] for r in all_of(api, CERTS)]
    first = next(r for r in all_of(api, CERTS) if r["id"] == rows[3])
    offset = time_of(first["created_at"]).astimezone(datetime.timezone(datetime.timedelta(hours=2))).isoformat()
    for text in (f"{offset}:{rows[3]}", f"{first['created_at'].lower()}:{rows[3]}", f"{first['created_at']}:{rows[3]}.gone"):
        cursor = base64.urlsafe_b64encode(text.encode()).decode()
        assert [r["id"] for r in ask(api, CERTS, f"cursor={urllib.parse.quote(cursor)}&page_size=3")["data"]] == rows[4:7], text


def test_versions_of_nobody_are_an_empty_list(seeded):
    assert ask(seeded.api, f"{CERTS}/mc-none/versions", "") == {"data": [], "total": 0, "page": 1, "per_page": 50}
    status, reply = seeded.api.get(f"{CERTS}/mc-none/deployments")
    assert status == 404 and reply["message"] == "Certificate not found"
    assert ask(seeded.api, f"{CERTS}/mc-2/deployments", "") == {"data": [], "total": 0}
    reply = ask(seeded.api, f"{CERTS}/mc-1/deployments", "")
    assert [t["id"] for t in reply["data"]] == ["tgt-2"] and reply["total"] == 1


@pytest.mark.parametrize("options,query", [
    ([], "agents?per_page=500"), (["--status", "Offline"], "agents?status=Offline&per_page=500"),
    (["--page", "2", "--per-page", "4"], "agents?page=2&per_page=4"),
    (["--retired", "--status", "Online"], "agents/retired?status=Online&per_page=500")])
def test_the_command_line_filters_agents(seeded, options, query):
    done = seeded.cli("agents", "list", *options, "-o", "json")
    assert done.returncode == 0 and json.loads(done.stdout) == seeded.api.need("GET", f"{V1}/{query}")
    assert json.loads(done.stdout)["data"]
