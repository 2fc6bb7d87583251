"""
Every list: both forms of paging give the same rows in the same order, and totals
say when they are estimates.
"""
import base64
import json
import subprocess
import urllib.parse

import pytest

from fleet import BUILD

LIMIT_S = 240
ROWS = 30_000
FEW = 700
V1 = "/api/v1"
# A list: its table, and filters that an index serves.
LISTS = {
    f"{V1}/certificates": ("managed_certificates", ["expires_before=2020-01-01", "created_after=2100-01-01T00:00:00Z", "status=Revoked",
                                                     "status=Expiring", "status=Failed", "agent_id=agent-7"]),
    f"{V1}/certificates/mc-1/versions": ("certificate_versions", []),
    f"{V1}/jobs": ("jobs", ["certificate_id=mc-7", "target_id=tgt-1", "status=Running", "certificate_id=nobody", "status=Failed",
                             "status=Cancelled", "version_id=certver-7"]),
    f"{V1}/agents": ("agents", ["name=agent%207", "name=nobody"]),
    f"{V1}/agents/retired": ("agents", ["name=agent%2010", "name=nobody"]),
    f"{V1}/audit": ("audit_events", ["since=2100-01-01T00:00:00Z"]),
    f"{V1}/approvals": ("issuance_approval_requests", ["certificate_id=mc-7", "requested_by=nobody"]),
    f"{V1}/notifications": ("notification_events", ["status=dead"]),
    f"{V1}/health-checks": ("endpoint_health_checks", ["status=down", "certificate_id=mc-7", "certificate_id=nobody"]),
    f"{V1}/teams": ("teams", []),
    f"{V1}/owners": ("owners", ["team_id=t-nobody"]),
    f"{V1}/renewal-policies": ("renewal_policies", []),
    f"{V1}/policies": ("policy_rules", []),
    f"{V1}/policies/rule-1/violations": ("policy_violations", []),
    f"{V1}/agent-groups": ("agent_groups", []),
    f"{V1}/network-scan-targets": ("network_scan_targets", []),
    f"{V1}/profiles": ("certificate_profiles", []),
    f"{V1}/issuers": ("issuers", []),
    f"{V1}/discovered-certificates": ("discovered_certificates", ["agent_id=agent-7", "agent_id=nobody", "status=Dismissed"]),
    f"{V1}/discovery-scans": ("discovery_scans", ["agent_id=agent-7", "agent_id=nobody"]),
    f"{V1}/acme/accounts": ("acme_accounts", ["profile_id=prof-nobody", "status=deactivated", "status=revoked"]),
    f"{V1}/acme/eab-keys": ("acme_eab_keys", ["profile_id=prof-nobody", "owner_id=o-7"]),
    f"{V1}/replacements": ("replacements", ["state=running"]),
    f"{V1}/acme/orders": ("acme_orders", ["status=invalid", "status=pending", "status=processing", "account_id=acct-7",
                                            "account_id=nobody", "certificate_id=mc-7", "certificate_id=nobody"]),
    f"{V1}/targets": ("deployment_targets", ["agent_id=agent-7", "agent_id=nobody", "type=IIS"]),
}
# Whole, where nothing is said of pages; the last as one page of so many rows.
WHOLE = {f"{V1}/issuers", f"{V1}/targets", f"{V1}/teams", f"{V1}/owners", f"{V1}/profiles", f"{V1}/network-scan-targets"}
WHOLE_MAX = 5000
# As long as the table of duties; and walks by number, with a limit.
BOUNDED = {f"{V1}/admin/conditions", f"{V1}/admin/recovery", f"{V1}/admin/scheduler", f"{V1}/audit/blocks", f"{V1}/audit/rows"}
BIG = ("managed_certificates", "certificate_versions", "jobs", "agents", "deployment_targets", "notification_events", "owners",
       "acme_accounts", "acme_eab_keys", "acme_orders", "issuance_approval_requests", "discovered_certificates", "discovery_scans", "policy_violations")

# Names with what a cursor parts its keys by, and times that many rows share.
SEED = """
INSERT INTO teams (id, name) SELECT 't-' || i, 'team: ' || i FROM generate_series(1, {few}) i;
INSERT INTO owners (id, name, email, team_id) SELECT 'o-' || i, 'owner: ' || i % 100, '', 't-1' FROM generate_series(1, {rows}) i;
INSERT INTO issuers (id, name, type) SELECT 'iss-' || i, 'issuer: ' || i, 'GenericCA' FROM generate_series(1, {few}) i;
INSERT INTO renewal_policies (id, name, renewal_window_days)
    SELECT 'rp-' || i, 'policy ä: ' || i, 30 FROM generate_series(1, {few}) i;
INSERT INTO agent_groups (id, name) SELECT 'ag-' || i, 'group: ' || i FROM generate_series(1, {few}) i;
INSERT INTO network_scan_targets (id, name) SELECT 'nst-' || i, 'net: ' || i FROM generate_series(1, {few}) i;
INSERT INTO certificate_profiles (id, name) SELECT 'prof-' || i, 'profile: ' || i FROM generate_series(1, {few}) i;
INSERT INTO agents (id, name, hostname, registered_at, api_key_hash, retired_at)
    SELECT 'agent-' || i, 'agent ' || i, 'h', now() - i / 7 * interval '1 s', md5(i::text),
        CASE WHEN i % 10 = 0 THEN now() - i / 70 * interval '1 s' END FROM generate_series(1, {rows}) i;
INSERT INTO deployment_targets (id, name, type, agent_id, config)
    SELECT 'tgt-' || i, 'target: ' || md5(i::text), 'NGINX', 'agent-' || i, '{{}}' FROM generate_series(1, {rows}) i;
INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, expires_at,
        created_at)
    SELECT 'mc-' || i, 'cert ' || md5(i::text), 'h' || i || '.example.com', 'o-' || i, 't-1', 'iss-1', 'rp-1', 'Active',
        now() + i * interval '1 s', now() - i / 5 * interval '1 s' FROM generate_series(1, {rows}) i;
INSERT INTO certificate_versions (id, job_id, certificate_id, serial_number, fingerprint_sha256, pem_chain, not_before, not_after,
        issuer_id)
    SELECT 'certver-' || i, 'job-' || i, 'mc-' || CASE WHEN i <= {few} THEN 1 ELSE i END, to_hex(i), '', '', now(), now(), 'iss-1'
    FROM generate_series(1, {rows}) i;
INSERT INTO endpoint_health_checks (id, endpoint, certificate_id, status, enabled)
    SELECT 'hc-' || i, 'h' || i || '.example.com:443', 'mc-' || i, CASE WHEN i % 1000 = 0 THEN 'down' ELSE 'healthy' END, false
    FROM generate_series(1, {rows}) i;
INSERT INTO jobs (id, type, certificate_id, status, completed_at, issuer_id)
    SELECT 'job-' || i, 'Renewal', 'mc-' || i, 'Completed', now(), 'iss-1' FROM generate_series(1, {rows}) i;
INSERT INTO issuance_approval_requests (id, certificate_id, job_id, profile_id, requested_by, state, created_at, decided_at, decided_by)
    SELECT 'ar-' || i, 'mc-' || i, 'job-' || i, 'prof-1', 'x', 'approved', now() - i / 4 * interval '1 s', now(), 'y'
    FROM generate_series(1, {rows}) i;
INSERT INTO notification_events (id, type, certificate_id, channel, recipient, message, sent_at)
    SELECT 'notif-' || i, 'RenewalFailure', 'mc-1', 'Email', 'r', 'm', CASE WHEN i % 2 = 0 THEN now() - i / 9 * interval '1 s' END
    FROM generate_series(1, {rows}) i;
INSERT INTO discovery_scans (id, agent_id, directories, started_at)
    SELECT 'dscan-' || i, 'agent-' || i, '{{/etc}}', now() - i / 6 * interval '1 s' FROM generate_series(1, {rows}) i;
INSERT INTO discovered_certificates (id, fingerprint_sha256, agent_id, discovery_scan_id, status, last_seen_at)
    SELECT 'dcert-' || i, md5(i::text), 'agent-' || i, 'dscan-' || i, CASE WHEN i % 2 = 0 THEN 'Managed' ELSE 'Unmanaged' END,
        now() - i / 8 * interval '1 s' FROM generate_series(1, {rows}) i;
UPDATE discovered_counts SET managed = {rows} / 2, unmanaged = {rows} - {rows} / 2 WHERE shard = 0;
INSERT INTO policy_rules (id, name, type, config, enabled)
    SELECT 'rule-' || i, 'rule: ' || i, 'CertificateLifetime', '{{"max_days": 90}}', false FROM generate_series(1, {few}) i;
INSERT INTO policy_violations (id, certificate_id, rule_id, message, severity)
    SELECT 'violation-' || i, 'mc-' || i, 'rule-' || CASE WHEN i <= {few} THEN 1 ELSE 2 + i % 500 END, 'm', 'Error' FROM generate_series(1, {rows}) i;
INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, profile_id, created_at)
    SELECT 'acct-' || i, i::text, '', 'prof-1', now() - i / 5 * interval '1 s' FROM generate_series(1, {rows}) i;
INSERT INTO acme_eab_keys (key_id, profile_id, owner_id, hmac_sealed, created_by, created_at)
    SELECT 'eab-' || i, CASE WHEN i % 2 = 0 THEN 'prof-1' END, 'o-' || i, '', '', now() - i / 5 * interval '1 s' FROM generate_series(1, {rows}) i;
INSERT INTO replacements (id, from_issuer_id, to_issuer_id, state, ended_at, wave_size, planned, created_by)
    SELECT 'repl-' || i, 'iss-1', 'iss-2', 'completed', now(), 1, 1, 'x' FROM generate_series(1, {few}) i;
INSERT INTO acme_orders (order_id, account_id, identifiers, status, expires_at, profile_id, names_key, certificate_id, created_at)
    SELECT 'acme-ord-' || i, 'acct-' || CASE WHEN i <= {few} THEN 1 ELSE i END, '[]', 'valid', now(), 'prof-1', '', 'mc-' || i, now() - i / 5 * interval '1 s'
    FROM generate_series(1, {rows}) i;
INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id)
    SELECT 'a', 'User', 'certificate_created', 'certificate', 'mc-' || i FROM generate_series(1, {rows}) i;
"""


@pytest.fixture(scope="module")
def seeded(stack):
    """A stack whose apiserver has one connection for requests, so what happens to its plans happens to every call."""
    with stack.admin() as c:
        c.execute("SET session_replication_role = replica")
        c.execute(SEED.format(rows=ROWS, few=FEW))
        c.execute("SELECT stats_recount()")
    with stack.admin() as c:
        c.execute("SET maintenance_work_mem = '64MB'")
        c.execute("VACUUM ANALYZE")
    stack.processes["apiserver"].stop()
    stack.start_apiserver(keep=True, CERTCTL_DATABASE_MAX_CONNS="4")
    return stack


def page(api, path, **query):
    status, reply = api.get(f"{path}?{urllib.parse.urlencode(query)}")
    assert status == 200, (path, query, status, reply)
    return reply


def walk(api, path, size, **query):
    """The rows of a walk, and how many answers they came in."""
    rows, pages, cursor = [], 0, "start"
    while cursor:
        reply = page(api, path, cursor=cursor, page_size=size, **query)
        assert reply["page_size"] == size and "page" not in reply and "per_page" not in reply
        assert len(reply["data"]) == size or "next_cursor" not in reply
        rows += reply["data"]
        pages += 1
        cursor = reply.get("next_cursor")
    return rows, pages


def test_every_list_is_in_this_file(seeded):
    routes = json.loads(subprocess.run([BUILD / "apiserver" / "certctl-apiserver", "--print-routes"], text=True,
                                       capture_output=True, check=True).stdout)
    found = set()
    for route in routes:
        path = route["pattern"].replace("/certificates/{id}/versions", "/certificates/mc-1/versions")
        path = path.replace("/policies/{id}/violations", "/policies/rule-1/violations")
        if route["method"] != "GET" or "{" in path:
            continue
        _, reply = seeded.api.get(path)
        if isinstance(reply, dict) and isinstance(reply.get("data"), list):
            found.add(path)
    assert found == set(LISTS) | BOUNDED


@pytest.mark.parametrize("path", LISTS)
def test_both_forms_agree(seeded, path):
    walked, pages = walk(seeded.api, path, 500)
    ids = [row["id"] for row in walked]
    assert len(set(ids)) == len(ids) >= FEW and pages == -(-len(ids) // 500)
    first = page(seeded.api, path)
    if path in WHOLE:
        assert [r["id"] for r in first["data"]] == ids[:WHOLE_MAX] and first["page"] == 1
        assert first["per_page"] == (len(ids) if path.endswith("/network-scan-targets") else 50)
        assert first["total"] == len(ids) or first["total_is_estimate"] and len(ids) > WHOLE_MAX
        if len(ids) > WHOLE_MAX:
            assert page(seeded.api, path, cursor=first["next_cursor"])["data"][0]["id"] == ids[WHOLE_MAX]
    else:
        assert len(first["data"]) == first["per_page"] == 50
    assert ("next_cursor" in first) == (path.endswith("/certificates") or path in WHOLE and len(ids) > WHOLE_MAX)
    for number in (1, 2, len(ids) // 350 + 1):
        at = (number - 1) * 350
        assert [r["id"] for r in page(seeded.api, path, page=number, per_page=350)["data"]] == ids[at:at + 350]
    assert page(seeded.api, path, page=len(ids) // 500 + 2, per_page=500)["data"] == []


@pytest.mark.parametrize("path", LISTS)
def test_a_total_is_the_number_of_rows_or_says_that_it_is_none(seeded, path):
    reply = page(seeded.api, path, per_page=1)
    table, _ = LISTS[path]
    if path.endswith("/approvals"):
        assert "total" not in reply  # the contract's
        return
    counted = {"versions": "WHERE certificate_id = 'mc-1'", "violations": "WHERE rule_id = 'rule-1'", "agents": "WHERE retired_at IS NULL",
               "retired": "WHERE retired_at IS NOT NULL"}.get(path.rpartition("/")[2], "")
    rows = seeded.value(f"SELECT count(*) FROM {table} {counted}")
    if reply.get("total_is_estimate"):
        assert not path.endswith(("/certificates", "/jobs"))
        assert rows > 10_000 and reply["total"] >= 10_000
    else:
        assert reply["total"] == rows
    assert page(seeded.api, path, cursor="start", per_page=1)["total"] == reply["total"]


def test_filtered_walks(seeded):
    api = seeded.api
    for path, query, wanted in ((f"{V1}/targets", {"q": "TARGET: 0"}, None), (f"{V1}/owners", {"q": "owner: 7"}, ROWS // 100 * 11),
                                (f"{V1}/certificates", {"q": "h77"}, None), (f"{V1}/audit", {"resource_id": "mc-77"}, 1),
                                (f"{V1}/jobs", {"certificate_id": "mc-77"}, 1), (f"{V1}/notifications", {"status": "dead"}, 0),
                                (f"{V1}/approvals", {"state": "approved"}, ROWS),
                                (f"{V1}/acme/orders", {"account_id": "acct-1"}, FEW), (f"{V1}/acme/accounts", {"profile_id": "prof-1"}, ROWS)):
        rows, _ = walk(api, path, 500, **query)
        reply = page(api, path, **query)
        wanted = reply["total"] if wanted is None else wanted
        assert len({r["id"] for r in rows}) == len(rows) == wanted, path
        assert [r["id"] for r in rows[:WHOLE_MAX if path in WHOLE else 50]] == [r["id"] for r in reply["data"]]


def test_rows_that_come_and_go_meanwhile(seeded):
    """A walk shows each row that was there all the time, once."""
    path, seen = f"{V1}/teams", []
    reply = page(seeded.api, path, cursor="start", page_size=100)
    while True:
        seen += [r["id"] for r in reply["data"]]
        seeded.query("INSERT INTO teams (id, name) VALUES (%s, %s)", f"t-new-{len(seen)}", f"aaa {len(seen)}")
        seeded.query("DELETE FROM teams WHERE id = %s AND id <> 't-1'", seen[-1])
        if "next_cursor" not in reply:
            break
        reply = page(seeded.api, path, cursor=reply["next_cursor"], page_size=100)
    seeded.query("DELETE FROM teams WHERE id LIKE 't-new-%%' AND id <> 't-1'")
    assert len(set(seen)) == len(seen) == FEW


@pytest.mark.parametrize("path", LISTS)
def test_what_is_refused_and_what_starts_anew(seeded, path):
    api = seeded.api
    for query in ("page=2001&per_page=50", "page=201&per_page=500", "page=100001&per_page=1", "page=1000000000"):
        status, reply = api.get(f"{path}?{query}")
        assert status == 400 and "cursor=start" in reply["message"], (query, reply)
    assert api.get(f"{path}?page=2000&per_page=50")[0] == 200
    assert api.get(f"{path}?page=2&cursor=start")[0] == 400
    start = [r["id"] for r in page(api, path, cursor="start")["data"]]
    for plain in (b"", b"x:y", b"1:2:3:4:5", b"2026-11-28T00:00:00Z:", b"99999999999999999999:1:1", b"\xff:1", b"a\x00:b"):
        cursor = base64.urlsafe_b64encode(plain).decode() or "="
        status, reply = api.get(f"{path}?cursor={urllib.parse.quote(cursor)}")
        assert status == 200, (plain, status, reply)
        if not path.endswith(("teams", "owners", "policies", "profiles", "agent-groups", "issuers", "targets", "jobs", "versions", "violations",
                              "health-checks", "acme/orders", "replacements")):
            assert [r["id"] for r in reply["data"]] == start  # where any text is a name, it may stand for one


def test_a_walk_is_not_sorted(seeded):
    for sort in ("name", "-createdAt"):
        status, reply = seeded.api.get(f"{V1}/certificates?cursor=start&sort={sort}")
        assert status == 400 and "sort" in reply["message"]
    assert seeded.api.get(f"{V1}/certificates?cursor=start&sort=createdAt")[0] == 200


def test_the_lists_of_cas_say_that_they_are_cut(seeded):
    seeded.plant("INSERT INTO ca_certificates (issuer_id, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after)"
                 " SELECT 'iss-' || i, 'k', 'iss-' || i, '', '', '', now(), now() FROM generate_series(1, 1000) i")
    reply = seeded.api.need("GET", f"{V1}/admin/crl/cache")
    assert reply["row_count"] == len(reply["cache_rows"]) == 1000 and "is_cut" not in reply
    seeded.plant("INSERT INTO ca_certificates (issuer_id, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after)"
                 " VALUES ('iss-1001', 'k', 'iss-1001', '', '', '', now(), now())")
    reply = seeded.api.need("GET", f"{V1}/admin/crl/cache")
    assert reply["row_count"] == len(reply["cache_rows"]) == 1000 and reply["is_cut"] is True
