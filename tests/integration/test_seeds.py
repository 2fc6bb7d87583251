"""
The plain SQL that load tests seed a schema with: ten thousand certificates and five
thousand agents, as they are written for any implementation of this API.
"""
import pytest

CERTIFICATES = """
INSERT INTO managed_certificates (id, name, common_name, sans, environment, owner_id, team_id, issuer_id, renewal_policy_id, status,
    expires_at, tags, created_at, updated_at)
SELECT 'cert-loadtest-bulk-' || lpad(n::text, 5, '0'), host, host, ARRAY[host], 'loadtest', 'o-alice', 't-platform', 'iss-local', 'rp-standard',
    'active', now() + (n % 30) * interval '1 day', '{"source": "loadtest-phase8", "batch": "bulk-renewal"}'::jsonb, now(), now()
FROM (SELECT n, 'loadtest-bulk-' || lpad(n::text, 5, '0') || '.example.test' AS host FROM generate_series(1, 10000) n) x
ON CONFLICT (name) DO NOTHING"""
AGENTS = """
INSERT INTO agents (id, name, hostname, status, last_heartbeat_at, registered_at, api_key_hash, os, architecture, ip_address, version)
SELECT 'ag-loadtest-' || lpad(n::text, 5, '0'), 'loadtest-agent-' || lpad(n::text, 5, '0'), 'loadtest-' || lpad(n::text, 5, '0') ||
    '.fleet.example.test', 'Online', now(), now(), 'loadtest_no_auth', 'linux', 'amd64', '10.0.0.1', '2.1.0'
FROM generate_series(1, 5000) n
ON CONFLICT (id) DO NOTHING"""


@pytest.fixture(scope="module")
def seeded(stack):
    """What the seeds refer to comes first."""
    for path, body in (("teams", {"id": "t-platform", "name": "platform"}),
                       ("owners", {"id": "o-alice", "name": "alice", "email": "alice@example.test", "team_id": "t-platform"}),
                       ("issuers", {"id": "iss-local", "name": "local", "type": "GenericCA"}),
                       ("renewal-policies", {"name": "standard"})):
        stack.api.need("POST", f"/api/v1/{path}", body)
    for _ in range(2):
        stack.query(CERTIFICATES)
        stack.query(AGENTS)
    return stack


def test_both_are_whole(seeded):
    for path, n in (("certificates?environment=loadtest", 10000), ("agents", 5000)):
        page = seeded.api.need("GET", f"/api/v1/{path}{'&' if '?' in path else '?'}per_page=500")
        assert page["total"] == n and len(page["data"]) == 500
    one = seeded.api.need("GET", "/api/v1/certificates/cert-loadtest-bulk-00029")
    assert one["name"] == one["common_name"] == "loadtest-bulk-00029.example.test" and one["sans"] == [one["name"]]
    assert one["tags"] == {"source": "loadtest-phase8", "batch": "bulk-renewal"} and one["status"] in ("Active", "Expiring")
    assert seeded.api.need("GET", "/api/v1/agents/ag-loadtest-05000")["version"] == "2.1.0"


def test_a_seeded_agent_has_no_key(seeded):
    """The text that stands for its key's hash opens nothing."""
    assert seeded.api.call("GET", "/api/v1/agents/ag-loadtest-00001/work", key="loadtest_no_auth")[0] == 401


def test_seeded_certificates_renew(seeded):
    answer = seeded.api.need("POST", "/api/v1/certificates/bulk-renew", {"owner_id": "o-alice"})
    assert (answer["total_matched"], answer["total_enqueued"], answer["total_failed"]) == (10000, 10000, 0)
