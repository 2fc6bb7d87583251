"""
GET /api/v1/stats/...: the figures beside what the tables say, and what is cut
says so.
"""
import pytest

from fleet import API_KEY

V1 = "/api/v1/stats"
# Of each state how many, and whether it ends within 30 days.
STATES = {"Active": (5, False), "Expiring": (2, True), "Expired": (3, False), "Revoked": (4, True), "Pending": (1, False),
          "Failed": (2, False), "RenewalInProgress": (1, True), "Archived": (6, False)}
MAKE = ("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, expires_at) "
        "SELECT %s || i, %s || i, 'x', 'o-test', 't-test', 'iss-local', 'rp-default', %s, now() + %s * interval '1 day' "
        "FROM generate_series(1, %s) i")


def make(stack, stem, status, days, n):
    stack.plant(MAKE, stem, stem, status, days, n)
    stack.plant("UPDATE row_counts SET n = n + %s WHERE table_name = 'managed_certificates' AND shard = 0", n)


@pytest.fixture(scope="module")
def stocked(basics):
    """Certificates of every state, one more that is Active and ends soon; jobs that ended; no process but the apiserver."""
    for status, (n, is_soon) in STATES.items():
        make(basics, f"{status}-", status, 10 if is_soon else 100, n)
    make(basics, "soon-", "Active", 29, 1)
    basics.plant("INSERT INTO jobs (id, type, certificate_id, issuer_id, status, completed_at) SELECT 'job-' || s || i, 'Renewal', "
                 "'Active-1', 'iss-local', s, now() FROM (VALUES ('Failed', 3), ('Cancelled', 2), ('Completed', 4)) v (s, n), "
                 "generate_series(1, v.n) i")
    basics.plant("INSERT INTO jobs (id, type, certificate_id, issuer_id, status) VALUES ('job-p', 'Renewal', 'Active-1', 'iss-local', "
                 "'Pending'), ('job-a', 'Renewal', 'Active-2', 'iss-local', 'AwaitingApproval')")
    basics.plant("INSERT INTO notification_events (id, type, channel, recipient, message, status) "
                 "VALUES ('notif-d', 'RenewalFailure', 'Email', 'r', 'm', 'dead')")
    basics.plant("INSERT INTO agents (id, name, hostname, api_key_hash, last_heartbeat_at) VALUES ('a1', 'a1', 'h', '1', now()), "
                 "('a2', 'a2', 'h', '2', now() - interval '1 hour'), ('a3', 'a3', 'h', '3', NULL)")
    return basics


def by_status(stack):
    return stack.api.need("GET", f"{V1}/certificates-by-status")


def test_certificates_by_status(stocked):
    expected = {s: n for s, (n, _) in STATES.items()} | {"Expiring": STATES["Expiring"][0] + 1}
    assert by_status(stocked) == [{"status": s, "count": expected[s]} for s in sorted(expected)]


def test_the_summary(stocked):
    reply = stocked.api.need("GET", f"{V1}/summary")
    assert reply.pop("completed_at").endswith("Z")
    assert reply == {"total_certificates": sum(n for n, _ in STATES.values()) + 1, "expiring_certificates": 3, "expired_certificates": 3,
                     "revoked_certificates": 4, "total_agents": 3, "active_agents": 1, "offline_agents": 2, "pending_jobs": 2,
                     "failed_jobs": 3, "complete_jobs": None, "notifications_dead": 1, "counts_capped": False}


def test_who_may(stocked, new_agent):
    for path in ("summary", "certificates-by-status"):
        assert stocked.api.get(f"{V1}/{path}", key=f"viewer-{API_KEY}")[0] == 200
        assert stocked.api.get(f"{V1}/{path}", key=new_agent()[1])[0] == 403


def test_more_than_are_counted(stocked):
    make(stocked, "many-", "Archived", 100, 10_000)
    found = {row["status"]: row for row in by_status(stocked)}
    assert found["Archived"] == {"status": "Archived", "count": 10_000, "count_is_capped": True}
    assert "Active" not in found and "count_is_capped" not in found["Expired"]
    assert stocked.api.need("GET", f"{V1}/summary")["counts_capped"] is True


def test_more_than_are_counted_end_soon(stocked):
    make(stocked, "near-", "Active", 5, 10_000)
    found = {row["status"]: row for row in by_status(stocked)}
    assert found["Expiring"]["count_is_capped"] is True and "Active" not in found
