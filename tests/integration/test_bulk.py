"""
Bulk renewal, revocation and reassignment: criteria, ids and both; every skip
reason; repetition; many at once beside workers and agents.
"""
import concurrent.futures
import hashlib
import http.client
import json
import re
import subprocess
import threading
import time

import psycopg2
import pytest

from fleet import API_KEY, clean_env, wait_for
from rawtls import RawTls

CERTS = "/api/v1/certificates"
RENEW, REVOKE, REASSIGN = f"{CERTS}/bulk-renew", f"{CERTS}/bulk-revoke", f"{CERTS}/bulk-reassign"
EST_REVOKE = "/api/v1/est/certificates/bulk-revoke"
VIEWER = f"viewer-{API_KEY}"
NO_REFUSAL = "event_category <> 'auth'"  # which is told of a moment later
ID_CHARS = 128
ACTIVE = "('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')"


@pytest.fixture(scope="module")
def world(basics):
    """Two owners and teams, an issuer that is off, an agent with a target."""
    basics.query("INSERT INTO teams (id, name) VALUES ('t-other', 'Other team')")
    basics.query("INSERT INTO owners (id, name, email, team_id) VALUES ('o-other', 'Other', 'other@example.test', 't-other')")
    basics.query("INSERT INTO issuers (id, name, type, enabled) VALUES ('iss-off', 'Off', 'GenericCA', false)")
    basics.query("INSERT INTO certificate_profiles (id, name) VALUES ('prof-a', 'A')")
    basics.query("INSERT INTO certificate_profiles (id, name, requires_approval) VALUES ('prof-ask', 'Ask', true)")
    basics.query("INSERT INTO agents (id, name, hostname, api_key_hash) SELECT 'ag-' || i, 'ag-' || i, 'h', 'x' FROM generate_series(1, 2) i")
    basics.query("INSERT INTO deployment_targets (id, name, type, agent_id) SELECT 'tg-' || i, 'tg-' || i, 'NGINX', 'ag-' || i "
                 "FROM generate_series(1, 2) i")
    return basics


@pytest.fixture
def team(world, unique):
    """A team of this test alone, so that its criterion meets nobody else's certificates."""
    name = unique("t")
    world.query("INSERT INTO teams (id, name) VALUES (%s, %s)", name, name)
    return name


def make(world, team, names, status="Active", **more):
    columns = {"owner_id": "o-test", "issuer_id": "iss-local", "certificate_profile_id": None, "source": ""} | more
    ids = [f"{team}-{n}" for n in names]
    world.query("INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id, "
                "certificate_profile_id, source, status, expires_at, valid_from) SELECT n, n, n || '.example.test', "
                "ARRAY[n || '.example.test'], %s, %s, %s, 'rp-default', %s, %s, %s, now() + interval '80 days', "
                "now() - interval '10 days' FROM unnest(%s) n", columns["owner_id"], team, columns["issuer_id"],
                columns["certificate_profile_id"], columns["source"], status, ids)
    return ids


def add_versions(world, ids, days=80, tag="a"):
    world.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, "
                "pem_chain, issuer_id, job_id) SELECT 'certver-' || n || %s, n, md5(n || %s), now() - interval '100 days', "
                "now() + make_interval(days => %s), md5(n), '', 'iss-local', 'job-' || n FROM unnest(%s) n", tag, tag, days, ids)


def events_of(world):
    return world.value(f"SELECT count(*) FROM audit_events WHERE {NO_REFUSAL}")


def call(world, path, body, status=200, **more):
    got, reply = world.api.post(path, body, **more)
    assert got == status, reply
    return reply


def counters(reply):
    return {k.removeprefix("total_"): v for k, v in reply.items() if k.startswith("total_")}


def states(world, ids):
    return dict(world.query("SELECT id, status FROM managed_certificates WHERE id = ANY (%s)", ids))


def last_event(world, action):
    return world.query("SELECT actor, actor_type, resource_type, resource_id, details FROM audit_events WHERE action = %s "
                       "ORDER BY seq DESC LIMIT 1", action)[0]


# --- renew ---

def test_renew_skips_what_the_contract_says(world, team):
    ids = make(world, team, ["a", "b"])
    for status in ("Archived", "Revoked", "Expired", "RenewalInProgress"):
        make(world, team, [status], status=status)
    make(world, team, ["off"], issuer_id="iss-off")
    make(world, team, ["failed"], status="Failed")
    reply = call(world, RENEW, {"team_id": team})
    assert counters(reply) == {"matched": 8, "enqueued": 3, "skipped": 4, "failed": 1}
    assert reply["errors"] == [{"certificate_id": f"{team}-off", "error": "the certificate's issuer is disabled"}]
    jobs = {j["certificate_id"]: j["job_id"] for j in reply["enqueued_jobs"]}
    assert set(jobs) == {*ids, f"{team}-failed"}
    assert dict(world.query("SELECT certificate_id, id FROM jobs WHERE certificate_id = ANY (%s)", list(jobs))) == jobs
    assert set(states(world, list(jobs)).values()) == {"RenewalInProgress"}
    # natural idempotency, and lists that are left out when empty
    again = call(world, RENEW, {"team_id": team})
    assert counters(again) == {"matched": 8, "enqueued": 0, "skipped": 7, "failed": 1} and "enqueued_jobs" not in again


def test_renew_names_what_will_wait_and_for_what(world, team):
    lost = make(world, team, [f"lost-{n}" for n in range(3)])
    gone, live = make(world, team, ["gone-1", "gone-2"]), make(world, team, ["live"])
    asks = make(world, team, ["ask"], certificate_profile_id="prof-ask")
    world.query("INSERT INTO certificate_target_mappings (certificate_id, target_id) SELECT n, 'tg-1' FROM unnest(%s) n", gone)
    world.query("INSERT INTO certificate_target_mappings (certificate_id, target_id) SELECT n, 'tg-2' FROM unnest(%s) n", live)
    world.query("UPDATE agents SET status = 'Online', last_heartbeat_at = now() WHERE id = 'ag-2'")
    world.query("UPDATE agents SET status = 'Offline', last_heartbeat_at = '2026-01-02 03:04:05+00' WHERE id = 'ag-1'")
    would = call(world, f"{RENEW}?dry_run=true", {"team_id": team})
    headers = {"Idempotency-Key": f"waits-{team}"}
    for _ in range(2):
        reply = call(world, RENEW, {"team_id": team}, headers=headers)
        assert counters(reply) == {"matched": 7, "enqueued": 7, "skipped": 0, "failed": 0} and len(reply["enqueued_jobs"]) == 7
        assert [(w["total"], w["certificate_ids"]) for w in reply["waiting"]] == [(3, lost), (2, gone), (1, asks)]
        assert ["has no target" in reply["waiting"][0]["reason"], "ag-1, which is offline since" in reply["waiting"][1]["reason"],
                "an approval" in reply["waiting"][2]["reason"]] == [True] * 3
        assert "waiting_looked_at" not in reply and would["waiting"] == reply["waiting"]
    fine = make(world, team, ["fine"])
    world.query("INSERT INTO certificate_target_mappings (certificate_id, target_id) VALUES (%s, 'tg-2')", fine[0])
    assert "waiting" not in call(world, f"{RENEW}?dry_run=true", {"certificate_ids": fine})
    assert "waiting" not in call(world, RENEW, {"certificate_ids": fine})
    alone = make(world, team, ["alone"])
    assert f'1 waits for an agent to hold its key' in world.cli("certs", "bulk-renew", *alone, "--dry-run").stdout
    assert f'1 waits for an agent to hold its key' in world.cli("certs", "bulk-renew", *alone, "--yes").stdout
    assert alone[0] in world.cli("jobs", "list", "--certificate-id", alone[0]).stdout


def test_what_would_be_made_waits_for_what_is_made(world, team):
    """What is skipped, has two holders of its key, or a target that is off: a dry run says the same."""
    for status in ("Archived", "Revoked", "Expired", "RenewalInProgress"):
        make(world, team, [status], status=status)
    make(world, team, ["off"], issuer_id="iss-off")
    make(world, team, ["failed"], status="Failed")
    both, dark = make(world, team, ["both"]), make(world, team, ["dark"])
    world.query("INSERT INTO deployment_targets (id, name, type, agent_id, config, enabled) VALUES (%s, %s, 'NGINX', 'ag-1', "
                "jsonb_build_object('cert_path', '/' || %s, 'key_path', '/k' || %s), false)", *[f"tg-{team}"] * 4)
    world.query("INSERT INTO certificate_target_mappings (certificate_id, target_id) VALUES (%s, 'tg-1'), (%s, 'tg-2'), (%s, %s)",
                both[0], both[0], dark[0], f"tg-{team}")
    world.query("UPDATE agents SET status = 'Offline', last_heartbeat_at = now() WHERE id IN ('ag-1', 'ag-2')")
    would, does = (call(world, f"{RENEW}{query}", {"team_id": team}) for query in ("?dry_run=true", ""))
    assert counters(would) == counters(does)
    assert would["waiting"] == does["waiting"] and [(w["total"], len(w["certificate_ids"])) for w in does["waiting"]] == [(2, 2), (1, 1), (1, 1)]


def test_what_nothing_renews_is_told_everywhere(world, team):
    world.query("INSERT INTO renewal_policies (id, name, renewal_window_days, auto_renew) VALUES (%s, %s, 30, false)", f"rp-{team}", f"rp-{team}")
    ids, off = make(world, team, ["a", "b", "c"]), make(world, team, ["off"], issuer_id="iss-off")
    fine = make(world, team, ["fine"])
    world.query("UPDATE managed_certificates SET renewal_policy_id = %s WHERE id = ANY (%s)", f"rp-{team}", ids)
    said = f"nothing renews it by itself: auto_renew of renewal policy rp-{team} is false"
    listed = {c["id"]: c.get("reason") for c in world.api.need("GET", f"{CERTS}?team_id={team}")["data"]}
    assert listed == dict.fromkeys(ids, said) | {off[0]: "nothing renews it by itself: issuer iss-off is disabled", fine[0]: None}
    assert {n: world.api.need("GET", f"{CERTS}/{n}").get("reason") for n in listed} == listed
    assert said in " ".join(world.cli("certs", "get", ids[0]).stdout.split())
    world.query("UPDATE managed_certificates SET status = 'Expiring' WHERE id = %s", ids[2])
    assert said in world.cli("certs", "list", "--status", "Expiring").stdout
    assert said in world.api.need("POST", f"{CERTS}/{ids[0]}/renew")["warnings"]
    assert all("nothing renews" not in w for w in world.api.need("POST", f"{CERTS}/{fine[0]}/renew").get("warnings", []))
    bulk = {"certificate_ids": ids + fine + off}
    of_two = [f"of 2 of these certificates: {said}"]
    assert call(world, f"{RENEW}?dry_run=true", bulk)["warnings"] == of_two
    assert f"warning: {of_two[0]}" in world.cli("certs", "bulk-renew", *ids, "--dry-run").stderr
    assert call(world, RENEW, bulk)["warnings"] == of_two
    world.query("UPDATE managed_certificates SET status = 'Active' WHERE id = %s", ids[0])
    world.query("UPDATE jobs SET status = 'Cancelled', completed_at = now() WHERE certificate_id = %s", ids[0])
    assert f"warning: {said}" in world.cli("certs", "renew", ids[0]).stderr


def test_the_kind_and_state_of_the_jobs(world, team):
    plain, ask = make(world, team, ["plain"]), make(world, team, ["ask"], certificate_profile_id="prof-ask")
    fresh = make(world, team, ["fresh"], status="Pending")
    world.query("UPDATE managed_certificates SET expires_at = NULL WHERE id = ANY (%s)", fresh)
    call(world, RENEW, {"team_id": team})
    rows = world.query("SELECT certificate_id, type, status FROM jobs WHERE certificate_id LIKE %s ORDER BY 1", f"{team}%")
    assert rows == sorted([(plain[0], "Renewal", "AwaitingCSR"), (ask[0], "Renewal", "AwaitingApproval"),
                           (fresh[0], "Issuance", "AwaitingCSR")])
    assert world.query("SELECT certificate_id, state, requested_by FROM issuance_approval_requests WHERE certificate_id LIKE %s",
                       f"{team}%") == [(ask[0], "pending", "admin")]


def test_criteria_ids_and_both(world, team):
    mine = make(world, team, ["a", "b", "c"])
    other = make(world, team, ["d"], owner_id="o-other")
    both = call(world, RENEW, {"owner_id": "o-other", "certificate_ids": [mine[0], other[0], "no-such", other[0]]})
    assert counters(both) == {"matched": 1, "enqueued": 1, "skipped": 0, "failed": 0}
    only = call(world, RENEW, {"certificate_ids": [mine[0], "no-such", "none"]})
    assert counters(only) == {"matched": 1, "enqueued": 1, "skipped": 0, "failed": 0}
    every = call(world, RENEW, {"team_id": team, "owner_id": "o-test", "issuer_id": "iss-local"})
    assert counters(every) == {"matched": 3, "enqueued": 2, "skipped": 1, "failed": 0}


def test_profile_and_agent_criteria(world, team):
    ids = make(world, team, ["a", "b"], certificate_profile_id="prof-a")
    make(world, team, ["c"])
    world.query("INSERT INTO certificate_target_mappings (certificate_id, target_id) VALUES (%s, 'tg-1'), (%s, 'tg-2')", ids[0], ids[0])
    assert counters(call(world, f"{RENEW}?dry_run=true", {"team_id": team, "profile_id": "prof-a"}))["matched"] == 2
    reply = call(world, RENEW, {"team_id": team, "agent_id": "ag-1"})
    # one certificate, a job for each holder of a key
    assert counters(reply) == {"matched": 1, "enqueued": 1, "skipped": 0, "failed": 0} and len(reply["enqueued_jobs"]) == 2
    assert {r[0] for r in world.query("SELECT agent_id FROM jobs WHERE certificate_id = %s", ids[0])} == {"ag-1", "ag-2"}


def test_one_event_and_its_list(world, team):
    make(world, team, ["a", "b"])
    before = events_of(world)
    reply = call(world, RENEW, {"team_id": team})
    assert events_of(world) == before + 1
    actor, kind, resource, resource_id, details = last_event(world, "bulk_renewal_initiated")
    assert (actor, kind, resource, resource_id) == ("admin", "APIKey", "certificate", "bulk")
    assert details["criteria"] == {"team_id": team} and details["total_enqueued"] == 2
    content = world.value("SELECT content FROM audit_attachments WHERE id = %s", details["attachment_id"])
    assert json.loads(content) == reply["enqueued_jobs"]
    assert hashlib.sha256(content.encode()).hexdigest() == details["attachment_sha256"]
    for sql in ("UPDATE audit_attachments SET content = ''", "TRUNCATE audit_attachments"):
        with pytest.raises(psycopg2.errors.CheckViolation):
            world.query(sql)


@pytest.mark.parametrize("path, body, words", [
    (RENEW, {}, "at least one criterion"), (RENEW, {"certificate_ids": []}, "at least one criterion"),
    (RENEW, {"team_id": ""}, "at least one criterion"), (RENEW, {"team_id": 7}, "team_id must be a string"),
    (RENEW, {"team_id": "a b"}, "team_id must be"), (RENEW, {"certificate_ids": "x"}, "certificate_ids must be"),
    (RENEW, {"certificate_ids": [1]}, "certificate_ids must be"),
    (REVOKE, {"team_id": "t-test"}, "reason is required"), (REVOKE, {"team_id": "t-test", "reason": "boredom"}, "invalid revocation reason"),
    (REVOKE, {"team_id": "t-test", "reason": "removeFromCRL"}, "invalid revocation reason"),
    (REVOKE, {"reason": "superseded"}, "at least one criterion"), (EST_REVOKE, {"reason": "superseded"}, "at least one criterion"),
    (REASSIGN, {"owner_id": "o-test"}, "certificate_ids is required"), (REASSIGN, {"certificate_ids": ["x"]}, "owner_id is required"),
    (REASSIGN, {"certificate_ids": ["x"], "owner_id": "o-none"}, "owner not found: o-none"),
    (REASSIGN, {"certificate_ids": ["x"], "owner_id": "o-test", "team_id": "t-none"}, "team not found: t-none"),
])
def test_what_is_refused(world, path, body, words):
    reply = call(world, path, body, 400)
    assert set(reply) == {"error", "message", "request_id"} and words in reply["message"], reply


def test_bad_json(world):
    status, reply = world.api.call("POST", RENEW, raw=b'{"team_id":')
    assert status == 400 and "Invalid request body" in reply["message"]


@pytest.mark.parametrize("path", [RENEW, REVOKE, REASSIGN, EST_REVOKE, f"{CERTS}/x/revoke"])
def test_a_viewer_may_not(world, path):
    call(world, path, {"team_id": "t-test", "reason": "superseded", "certificate_ids": ["x"], "owner_id": "o-test"}, 403, key=VIEWER)


def test_an_operator_renews_but_does_not_bulk_revoke(world, team):
    world.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id) VALUES ('ar-bulk', 'viewer', 'APIKey', "
                "'r-operator', 't-default')")
    try:
        wait_for(lambda: world.api.post(RENEW, {"team_id": team}, key=VIEWER)[0] == 200, 10, "the grant to be seen")
        call(world, REVOKE, {"team_id": team, "reason": "superseded"}, 403, key=VIEWER)
    finally:
        world.query("DELETE FROM actor_roles WHERE id = 'ar-bulk'")


@pytest.mark.parametrize("path, more", [(RENEW, {}), (REVOKE, {"reason": "superseded"})])
def test_dry_run_writes_nothing(world, team, path, more):
    ids = make(world, team, ["a", "b"])
    add_versions(world, ids)
    make(world, team, ["gone"], status="Archived")
    tables = ("jobs", f"audit_events WHERE {NO_REFUSAL}", "audit_attachments", "certificate_revocations", "idempotency_keys")
    before = [world.value(f"SELECT count(*) FROM {t}") for t in tables]
    dry = call(world, f"{path}?dry_run=true", {"team_id": team} | more, headers={"Idempotency-Key": f"dry-{team}"})
    assert before == [world.value(f"SELECT count(*) FROM {t}") for t in tables]
    assert set(states(world, ids).values()) == {"Active"} and "enqueued_jobs" not in dry
    assert counters(call(world, path, {"team_id": team} | more)) == counters(dry)


@pytest.mark.parametrize("path, more", [(RENEW, {}), (REVOKE, {"reason": "superseded"}), (REASSIGN, {"owner_id": "o-other"})])
def test_a_dry_run_that_is_not_understood_changes_nothing(world, team, path, more):
    ids = make(world, team, ["a", "b"])
    add_versions(world, ids)
    for query in ("=yes", "=", "", "=t", "=True+", "=2"):
        assert "dry_run" in call(world, f"{path}?dry_run{query}", {"certificate_ids": ids} | more, 400)["message"]
    for value in (True, "true", False):
        assert "?dry_run=true" in call(world, path, {"certificate_ids": ids, "dry_run": value} | more, 400)["message"]
    assert set(states(world, ids).values()) == {"Active"}
    assert world.value("SELECT count(*) FROM managed_certificates WHERE team_id = %s AND owner_id <> 'o-test'", team) == 0
    assert world.value("SELECT count(*) FROM jobs WHERE certificate_id = ANY(%s)", ids) == 0


def run_itself(world, kind, ids, most, dry=False):
    return world.query("SELECT outcome, done FROM bulk_run(%s, '{}', %s, '{\"owner_id\": \"o-other\"}', 'admin', 'APIKey', %s, NULL, NULL, "
                       "'why', %s)", kind, ids, dry, most)


def test_what_would_not_fit_undoes_all(world, team):
    ids = make(world, team, ["a", "b", "c"])
    events = events_of(world)
    with pytest.raises(psycopg2.errors.ProgramLimitExceeded):
        run_itself(world, "renew", ids, 2)
    with pytest.raises(psycopg2.errors.ProgramLimitExceeded):
        run_itself(world, "reassign", [*ids, "none-1", "none-2"], 1)
    assert set(states(world, ids).values()) == {"Active"} and events_of(world) == events
    assert run_itself(world, "renew", ids, 3) == [("done", 3)]


@pytest.mark.parametrize("kind", ["", "Renew", "archive", None])
def test_an_unknown_kind_is_refused(world, kind):
    with pytest.raises(psycopg2.errors.InvalidParameterValue):
        run_itself(world, kind, ["x"], 10)


# --- idempotency keys ---

@pytest.mark.parametrize("key", ["plain-{}", '"quoted-{}"'])
def test_a_key_gets_the_same_answer_again(world, team, key):
    headers = {"Idempotency-Key": key.format(team)}
    make(world, team, ["a", "b"])
    first = call(world, RENEW, {"team_id": team}, headers=headers)
    assert counters(first)["enqueued"] == 2
    events = events_of(world)
    assert call(world, RENEW, {"team_id": team}, headers=headers) == first
    assert events_of(world) == events
    reply = call(world, RENEW, {"team_id": team, "owner_id": "o-test"}, 422, headers=headers)
    assert "another request" in reply["message"]
    call(world, REVOKE, {"team_id": team, "reason": "superseded"}, 422, headers=headers)
    assert counters(call(world, RENEW, {"team_id": team}, headers={"Idempotency-Key": f"new-{team}"}))["skipped"] == 2


def test_a_key_is_its_principals(world, team):
    make(world, team, ["a"])
    headers = {"Idempotency-Key": f"shared-{team}"}
    call(world, RENEW, {"team_id": team}, headers=headers)
    world.query("UPDATE idempotency_keys SET principal = 'APIKey somebody-else' WHERE key = %s", f"shared-{team}")
    assert counters(call(world, RENEW, {"team_id": team}, headers=headers))["skipped"] == 1


def test_a_refused_request_leaves_its_key_free(world, team, unique):
    ids = make(world, team, ["a"])
    headers = {"Idempotency-Key": unique("free")}
    call(world, REASSIGN, {"certificate_ids": ids, "owner_id": "o-none"}, 400, headers=headers)
    assert counters(call(world, REASSIGN, {"certificate_ids": ids, "owner_id": "o-other"}, headers=headers))["reassigned"] == 1


@pytest.mark.parametrize("key", ["x" * 256, '""'])
def test_keys_that_cannot_be(world, key):
    call(world, RENEW, {"team_id": "t-test"}, 400, headers={"Idempotency-Key": key})


def test_a_key_under_way_is_409(world, team):
    ids = make(world, team, ["a"])
    headers = {"Idempotency-Key": f"busy-{team}"}
    holder = world.connect()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        try:
            with holder.cursor() as c:
                c.execute("SELECT 1 FROM managed_certificates WHERE id = %s FOR UPDATE", (ids[0],))
            first = pool.submit(world.api.post, RENEW, {"team_id": team}, headers=headers)
            wait_for(lambda: world.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                                         "AND query LIKE '%%bulk_run%%'"), 10, "the first request to wait for the lock")
            assert "under way" in call(world, RENEW, {"team_id": team}, 409, headers=headers)["message"]
        finally:
            holder.close()
        status, reply = first.result()
    assert status == 200 and call(world, RENEW, {"team_id": team}, headers=headers) == reply


@pytest.mark.parametrize("by", ["criteria", "ids"])
def test_a_repeat_of_a_renewal_under_way_waits_for_none_of_its_locks(world, team, unique, by):
    """Whoever asks, with a key of another request or with none; what it meets is skipped, and the answer says why."""
    ids = make(world, team, ["a", "b"])
    wanted = {"team_id": team} if by == "criteria" else {"certificate_ids": ids}
    headers = {"Idempotency-Key": unique("repeat")}
    with world.admin() as c:
        c.execute("BEGIN")
        c.execute("SELECT r.outcome, r.done FROM bulk_run('renew', %s, %s, '{}', 'somebody', 'User', false, NULL, NULL, '', 100) AS r",
                  (json.dumps({"team_id": team} if by == "criteria" else {}), ids if by == "ids" else None))
        assert c.fetchone() == ("done", 2)
        since = events_of(world)
        for more in ({}, {"headers": headers}):
            reply = call(world, RENEW, wanted, **more)
            assert counters(reply) == {"matched": 2, "enqueued": 0, "skipped": 2, "failed": 0}
            assert len(reply["warnings"]) == 1 and "under way for 2 of these" in reply["warnings"][0]
        assert events_of(world) == since + 2 and last_event(world, "bulk_renewal_initiated")[4]["is_repeat"] is True
        # Another call for the same ones comes to the same.
        assert call(world, RENEW, wanted | {"issuer_id": "iss-local"}) == reply
        c.execute("ROLLBACK")
    # Nothing came of that one, and the key is still free.
    done = call(world, RENEW, wanted, headers=headers)
    assert counters(done)["enqueued"] == 2 and "warnings" not in done
    assert counters(call(world, RENEW, wanted)) == {"matched": 2, "enqueued": 0, "skipped": 2, "failed": 0}


def bulk_renew(cursor, ids):
    """As the API calls it, in a transaction that stays open."""
    cursor.execute("SELECT r.outcome, r.done, r.failed, r.under_way, r.held_ids FROM bulk_run("
                   "'renew', '{}', %s, '{}', 'somebody', 'User', false, NULL, NULL, '', 100) AS r", (ids,))
    return cursor.fetchone()


def test_overlapping_renewals_wait_for_none_of_each_others_locks(world, team, unique):
    """Each takes what is free, and answers while those whose locks it met are still open."""
    ids = make(world, team, ["a", "b", "c", "d", "e"])
    headers = {"Idempotency-Key": unique("overlap")}
    with world.admin() as first, world.admin() as second:
        first.execute("BEGIN")
        second.execute("BEGIN")
        assert bulk_renew(first, ids[:3]) == ("done", 3, 0, None, None)
        assert bulk_renew(second, ids[1:4]) == ("done", 1, 0, 2, None)
        reply = call(world, RENEW, {"team_id": team}, headers=headers)
        assert counters(reply) == {"matched": 5, "enqueued": 1, "skipped": 4, "failed": 0} and "held_ids" not in reply
        assert "under way for 4 of these" in reply["warnings"][0]
        assert last_event(world, "bulk_renewal_initiated")[4]["total_under_way"] == 4
        first.execute("COMMIT")
        second.execute("COMMIT")
    assert call(world, RENEW, {"team_id": team}, headers=headers)["warnings"] == reply["warnings"]
    assert world.value("SELECT count(*) FROM jobs WHERE certificate_id = ANY (%s)", ids) == 5


def test_what_others_hold_beside_a_renewal_is_waited_for_and_named(world, team):
    """A row is not a renewal's because one is under way."""
    ids = make(world, team, ["a", "b", "c", "d"])
    with world.admin() as renewal, world.admin() as holder:
        for c in (renewal, holder):
            c.execute("BEGIN")
        assert bulk_renew(renewal, ids[:1])[:2] == ("done", 1)
        holder.execute("SELECT 1 FROM managed_certificates WHERE id = %s FOR UPDATE", (ids[1],))
        reply = call(world, RENEW, {"team_id": team})
        assert counters(reply) == {"matched": 4, "enqueued": 2, "skipped": 1, "failed": 1} and reply["held_ids"] == [ids[1]]
        assert "under way for 1 of these" in reply["warnings"][0]
        for c in (renewal, holder):
            c.execute("ROLLBACK")


def test_overlapping_renewals_at_once_make_a_job_each(world, team):
    """Whoever has which: each certificate is renewed once, and none fails."""
    ids = make(world, team, [f"n{i:03}" for i in range(120)])
    shares = [ids[:80], ids[40:], ids[:40] + ids[80:], ids, ids[::2], ids[::-1][:100]]
    with concurrent.futures.ThreadPoolExecutor(len(shares)) as pool:
        replies = list(pool.map(lambda share: world.api.post(RENEW, {"certificate_ids": share}), shares))
    assert [status for status, _ in replies] == [200] * len(shares)
    assert all(r["total_failed"] == 0 and "held_ids" not in r for _, r in replies)
    assert sum(r["total_enqueued"] for _, r in replies) == 120
    assert world.value("SELECT count(*) FROM jobs WHERE certificate_id = ANY (%s)", ids) == 120


# --- revoke ---

def test_revoke_skips_and_records(world, team):
    ids = make(world, team, ["a", "b"])
    add_versions(world, ids)
    add_versions(world, ids, days=5, tag="older")
    add_versions(world, ids, days=-1, tag="expired")
    for status in ("Archived", "Revoked"):
        make(world, team, [status], status=status)
    make(world, team, ["new"], status="Pending")
    reply = call(world, REVOKE, {"team_id": team, "reason": "keyCompromise"})
    assert counters(reply) == {"matched": 5, "revoked": 2, "skipped": 2, "failed": 1}
    assert reply["errors"] == [{"certificate_id": f"{team}-new", "error": "the certificate has no version to revoke"}]
    rows = world.query("SELECT status, revocation_reason, revoked_at IS NOT NULL FROM managed_certificates WHERE id = ANY (%s)", ids)
    assert rows == [("Revoked", "keyCompromise", True)] * 2
    # every version that has not expired, the newest or not
    assert world.query("SELECT r.certificate_id, count(*), min(r.reason), min(r.revoked_by) FROM certificate_revocations r "
                       "WHERE r.certificate_id = ANY (%s) GROUP BY 1 ORDER BY 1", ids) == [(i, 2, "keyCompromise", "admin") for i in ids]
    for i in ids:
        details = world.value("SELECT details FROM audit_events WHERE action = 'certificate_revoked' AND resource_id = %s", i)
        assert details["reason"] == "keyCompromise" and len(details["serial_numbers"]) == 2
    assert last_event(world, "bulk_revocation_initiated")[4]["total_revoked"] == 2
    again = call(world, REVOKE, {"team_id": team, "reason": "keyCompromise"})
    assert counters(again) == {"matched": 5, "revoked": 0, "skipped": 4, "failed": 1}


def test_revoke_ends_what_waits_and_stops_what_runs(world, team):
    ids = make(world, team, ["a", "b", "c"])
    add_versions(world, ids)
    world.query("INSERT INTO certificate_target_mappings (certificate_id, target_id, desired_version_id) VALUES (%s, 'tg-1', %s)",
                ids[2], f"certver-{ids[2]}a")
    call(world, RENEW, {"team_id": team, "certificate_ids": ids[:2]})
    world.plant("UPDATE jobs SET status = 'Running', leased_by = 'nobody', lease_id = 1 WHERE certificate_id = %s", ids[1])
    world.query("INSERT INTO jobs (id, type, certificate_id, target_id, agent_id, dedupe_key, version_id) VALUES "
                "(%s, 'Deployment', %s, 'tg-1', 'ag-1', %s, 'x')", f"job-{team}", ids[2], f"deploy:{ids[2]}:tg-1")
    assert counters(call(world, REVOKE, {"team_id": team, "reason": "superseded"}))["revoked"] == 3
    rows = dict((r[0], r[1:]) for r in world.query(
        "SELECT certificate_id, status, cancel_requested_at IS NOT NULL, last_error FROM jobs WHERE certificate_id = ANY (%s)", ids))
    assert rows == {ids[0]: ("Cancelled", False, "certificate revoked by admin"), ids[1]: ("Running", True, None),
                    ids[2]: ("Cancelled", False, "certificate revoked by admin")}
    assert world.query("SELECT desired_version_id FROM certificate_target_mappings WHERE certificate_id = %s", ids[2]) == [(None,)]


def test_the_first_issuance_under_way_can_be_revoked(world, team):
    ids = make(world, team, ["a"], status="Pending")
    call(world, RENEW, {"certificate_ids": ids})
    assert counters(call(world, REVOKE, {"certificate_ids": ids, "reason": "superseded"}))["revoked"] == 1
    assert world.value("SELECT status FROM jobs WHERE certificate_id = %s", ids[0]) == "Cancelled"


def test_est_meets_est_only(world, team):
    est, plain = make(world, team, ["est"], source="EST"), make(world, team, ["plain"])
    add_versions(world, est + plain)
    reply = call(world, EST_REVOKE, {"certificate_ids": est + plain, "reason": "superseded"})
    assert counters(reply) == {"matched": 1, "revoked": 1, "skipped": 0, "failed": 0}
    assert states(world, est + plain) == {est[0]: "Revoked", plain[0]: "Active"}


def test_one_certificate(world, team):
    ids = make(world, team, ["a", "b"])
    add_versions(world, ids)
    archived, new = make(world, team, ["archived"], status="Archived"), make(world, team, ["new"], status="Pending")
    assert call(world, f"{CERTS}/{ids[0]}/revoke", None) == {"status": "revoked"}
    assert call(world, f"{CERTS}/{ids[1]}/revoke", {"reason": "keyCompromise"}) == {"status": "revoked"}
    assert sorted(world.query("SELECT reason FROM certificate_revocations WHERE certificate_id = ANY (%s)", ids)) == [
        ("keyCompromise",), ("unspecified",)]
    assert "already revoked" in call(world, f"{CERTS}/{ids[0]}/revoke", {}, 400)["message"]
    assert "archived" in call(world, f"{CERTS}/{archived[0]}/revoke", {}, 400)["message"]
    assert "invalid revocation reason" in call(world, f"{CERTS}/{ids[0]}/revoke", {"reason": "superSeded"}, 400)["message"]
    call(world, f"{CERTS}/{new[0]}/revoke", {}, 404)
    call(world, f"{CERTS}/no-such/revoke", {}, 404)


# --- reassign ---

def test_reassign(world, team):
    ids = make(world, team, ["a", "b"])
    mine = make(world, team, ["c"], owner_id="o-other")
    reply = call(world, REASSIGN, {"certificate_ids": [*ids, *mine, "no-such", ids[0]], "owner_id": "o-other"})
    assert counters(reply) == {"matched": 4, "reassigned": 2, "skipped": 1, "failed": 1}
    assert reply["errors"] == [{"certificate_id": "no-such", "error": "certificate not found"}]
    details = last_event(world, "bulk_reassignment_initiated")[4]
    assert world.value("SELECT content FROM audit_attachments WHERE id = %s", details["attachment_id"]) == ",".join(ids)
    reply = call(world, REASSIGN, {"certificate_ids": ids, "owner_id": "o-other", "team_id": "t-other"})
    assert counters(reply) == {"matched": 2, "reassigned": 2, "skipped": 0, "failed": 0}
    assert world.query("SELECT DISTINCT owner_id, team_id FROM managed_certificates WHERE id = ANY (%s)", ids) == [("o-other", "t-other")]
    reply = call(world, REASSIGN, {"certificate_ids": ids, "owner_id": "o-other", "team_id": "t-other"})
    assert counters(reply) == {"matched": 2, "reassigned": 0, "skipped": 2, "failed": 0}


# --- the command line ---

def test_cli(world, team):
    ids = make(world, team, ["a", "b"])
    add_versions(world, ids)
    done = world.cli("certs", "bulk-renew", "--team-id", team, "--dry-run")
    assert done.returncode == 0 and "2 matched" in done.stdout and "2 to be enqueued" in done.stdout, done
    done = world.cli("certs", "bulk-renew", "--team-id", team)
    assert done.returncode == 2 and "--yes" in done.stderr, done
    assert world.value("SELECT count(*) FROM jobs WHERE certificate_id = ANY (%s)", ids) == 0
    for _ in range(2):
        done = world.cli("certs", "bulk-renew", "--team-id", team, "--yes", "--idempotency-key", "once")
        assert done.returncode == 0 and "2 enqueued" in done.stdout, done
    assert world.value("SELECT count(*) FROM jobs WHERE certificate_id = ANY (%s)", ids) == 2
    assert world.cli("certs", "bulk-renew", ids[0], "--yes", "--idempotency-key", "once").returncode != 0, "another request"
    done = world.cli("certs", "bulk-reassign", *ids, "no-such", "--owner-id", "o-other", "--yes", "-o", "json")
    assert done.returncode == 1 and json.loads(done.stdout)["total_failed"] == 1, done
    named = world.value("UPDATE managed_certificates SET name = 'by its name ' || id WHERE id = %s RETURNING name", ids[0])
    done = world.cli("certs", "bulk-reassign", named, "--owner-id", "o-other", "--yes")
    assert done.returncode == 0 and "1 matched" in done.stdout, done
    done = world.cli("certs", "bulk-revoke", named, "--reason", "superseded", "--yes")
    assert done.returncode == 0 and "1 revoked" in done.stdout, done
    done = world.cli("certs", "revoke", ids[1], "--reason", "keyCompromise", "--yes")
    assert done.returncode == 0 and done.stdout == "revoked\n", done
    assert world.cli("certs", "bulk-renew", "--yes").returncode == 1
    assert world.cli("certs", "revoke", "no-such", "--yes").returncode == 3


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "a\n", "\na", "\u00e9", "a" * 129])
def test_ids_need_no_escape_in_an_answer(world, name):
    with pytest.raises(psycopg2.errors.CheckViolation, match="managed_certificates_id_check"):
        world.query("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id) "
                    "VALUES (%s, 'odd-id', 'x.example.test', 'o-test', 't-test', 'iss-local', 'rp-default')", name)


# --- many ---

def test_twenty_thousand_in_one_call(world, team):
    make(world, team, range(20000))
    world.query("ANALYZE managed_certificates")
    reply = call(world, RENEW, {"team_id": team})
    assert counters(reply) == {"matched": 20000, "enqueued": 20000, "skipped": 0, "failed": 0}
    assert len({j["job_id"] for j in reply["enqueued_jobs"]}) == 20000
    assert world.value("SELECT count(*) FROM jobs j JOIN managed_certificates c ON c.id = j.certificate_id WHERE c.team_id = %s", team) == 20000
    add_versions(world, [f"{team}-{i}" for i in range(20000)])
    reply = call(world, REVOKE, {"team_id": team, "reason": "caCompromise"})
    assert counters(reply)["revoked"] == 20000
    assert world.value("SELECT count(*) FROM jobs j JOIN managed_certificates c ON c.id = j.certificate_id WHERE c.team_id = %s "
                       f"AND j.status IN {ACTIVE}", team) == 0


def test_no_array_of_ids_is_searched_for_each_row(world, team):
    """Not by generic plans either, which is what a pooled connection comes to: "= ANY" only where an index takes it."""
    ids = make(world, team, range(20))
    add_versions(world, ids[:10])
    due = make(world, team, ["due1", "due2"]) + make(world, team, ["off"], issuer_id="iss-off")
    # Due by their policy as well: a policy that was changed is asked.
    world.query("UPDATE managed_certificates SET renew_after = now(), valid_from = now() - interval '89 days', "
                "expires_at = now() + interval '1 day' WHERE id = ANY (%s)", due)
    plans = []
    with world.admin() as c:
        c.execute("LOAD 'auto_explain'")
        c.execute("SELECT set_config('auto_explain.' || n, v, false) FROM (VALUES ('log_min_duration', '0'), ('log_verbose', 'on'), "
                  "('log_nested_statements', 'on')) s (n, v)")
        c.execute("SET plan_cache_mode = force_generic_plan")
        c.execute("SET client_min_messages = log")
        c.connection.notices = plans
        c.execute("SELECT outcome, count(*) FROM certificates_revoke(%s, 'keyCompromise', 'admin', 'APIKey', 'why') GROUP BY 1 ORDER BY 1",
                  (ids + ids[:3] + ["mc-unknown"],))
        assert c.fetchall() == [("no_version", 10), ("revoked", 10)]
        c.execute("SELECT due, enqueued, seen FROM duty_renewal_scan(1000)")
        assert c.fetchone() == (2, 2, 3)
    text = "\n".join(plans)
    assert "Update on public.managed_certificates" in text and "unnest" in text
    slow = [line.strip() for line in text.splitlines()
            if re.match(r"\s+(Output|Filter|Join Filter|One-Time Filter): ", line) and re.search(r"= ANY \(\$", line)]
    assert slow == []


def test_a_body_full_of_ids(world, team):
    """As long as ids may be, for it is the body that has an end: how many there are, the tests above see to."""
    ids = make(world, team, [f"{i:0>{ID_CHARS - len(team) - 1}}" for i in range(7900)])
    assert {len(i) for i in ids} == {ID_CHARS} and 0.99 * (1 << 20) < len(json.dumps({"certificate_ids": ids, "owner_id": "o-other"})) <= 1 << 20
    assert counters(call(world, REASSIGN, {"certificate_ids": ids, "owner_id": "o-other"}))["reassigned"] == len(ids)


# --- beside workers and agents; last, since they take up every job above too ---

def csr(world):
    return subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                           world.dir / "csr.key", "-subj", "/CN=bulk.example.test", "-addext", "subjectAltName=DNS:bulk.example.test"],
                          check=True, capture_output=True, text=True, env=clean_env()).stdout


def feed(world, team, pem):
    """What the agents do: their CSRs come in, their deployments are reported."""
    world.query("WITH fed AS (UPDATE jobs SET status = 'Pending', run_after = now() WHERE id IN (SELECT j.id "
                "FROM jobs j JOIN managed_certificates c ON c.id = j.certificate_id WHERE c.team_id = %s AND j.status = 'AwaitingCSR' "
                "ORDER BY j.id FOR NO KEY UPDATE OF j SKIP LOCKED) RETURNING id) "
                "INSERT INTO certificate_requests SELECT id, %s, '' FROM fed", team, pem)
    for (job,) in world.query("SELECT id FROM agent_work('ag-1', 50) WHERE type = 'Deployment'"):
        world.query("SELECT job_report('ag-1', %s, 'Completed', '', NULL, 'why')", job)


def test_beside_completions_and_reports(world, team):
    ids = make(world, team, range(400))
    world.query("INSERT INTO certificate_target_mappings (certificate_id, target_id) SELECT n, 'tg-1' FROM unnest(%s) n", ids[:100])
    world.start_scheduler(keep=True)
    world.start_worker(keep=True, CERTCTL_BATCH_SIZE="16")
    pem, stop, statuses = csr(world), threading.Event(), []

    def repeat(step):
        """For half of the time: calls without a pause would hold every row all the time where the machine is busy."""
        while not stop.is_set():
            began = time.monotonic()
            step()
            stop.wait(time.monotonic() - began)

    def ask(path, body):
        return lambda: statuses.append(world.api.post(path, body)[0])

    steps = [ask(RENEW, {"team_id": team}), ask(RENEW, {"certificate_ids": ids[::-1]}), lambda: feed(world, team, pem),
             ask(REASSIGN, {"certificate_ids": ids, "owner_id": "o-other"}), ask(REASSIGN, {"certificate_ids": ids[::-1], "owner_id": "o-test"})]
    done = "SELECT count(*) FROM certificate_versions v JOIN managed_certificates c ON c.id = v.certificate_id WHERE c.team_id = %s"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        futures = [pool.submit(repeat, s) for s in steps]
        try:
            wait_for(lambda: world.value(done, team) > 800, 40, "every certificate to be renewed twice")
            # Revoked while completions are under way; what others hold for longer than a moment is named, and asked for again.
            rest, rounds = ids[:200], 0
            while rest:
                reply = call(world, REVOKE, {"certificate_ids": rest, "reason": "keyCompromise"})
                held, rounds = reply.get("held_ids", []), rounds + 1
                assert reply["total_revoked"] == len(rest) - len(held) and reply["total_failed"] == len(held) and set(held) <= set(rest)
                assert rounds < 60, f"{len(held)} are held each time"
                rest = held
        finally:
            stop.set()
    for f in futures:
        f.result()
    assert set(statuses) == {200}
    assert world.value("SELECT deadlocks FROM pg_stat_database WHERE datname = 'certctl'") == 0

    def is_idle():
        feed(world, team, pem)
        return not world.value("SELECT count(*) FROM jobs j JOIN managed_certificates c ON c.id = j.certificate_id "
                               f"WHERE c.team_id = %s AND j.status IN {ACTIVE}", team)
    wait_for(is_idle, 30, "the rest to end", every=0.1)
    assert set(states(world, ids[:200]).values()) == {"Revoked"}
    assert world.value("SELECT count(*) FROM certificate_versions v WHERE v.certificate_id = ANY (%s) AND NOT EXISTS (SELECT 1 FROM "
                       "certificate_revocations r WHERE r.issuer_id = v.issuer_id AND r.serial_number = v.serial_number)", ids[:200]) == 0
    assert world.value("SELECT count(*) FROM certificate_target_mappings WHERE certificate_id = ANY (%s) "
                       "AND desired_version_id IS DISTINCT FROM deployed_version_id", ids[:200]) == 0


def answer(world, path, body):
    """(headers in small letters, JSON) of a call, as it came."""
    connection = http.client.HTTPSConnection("127.0.0.1", world.api.port, context=world.api.context, timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200
        return {k.lower(): v for k, v in response.getheaders()}, json.loads(response.read())
    finally:
        connection.close()


def test_a_long_answer_comes_in_pieces(world, team):
    """All lists whole and in order, whichever a piece ends in; a short one has its length."""
    ids = make(world, team, [f"{i:04}-" + 80 * "x" for i in range(1500)])
    off = make(world, team, [f"off-{i:04}" for i in range(1500)], issuer_id="iss-off")
    unknown = [f"mc-none-{i:04}-" + 50 * "y" for i in range(3000)]
    headers, reply = answer(world, RENEW, {"certificate_ids": ids + off + unknown})
    assert headers["transfer-encoding"] == "chunked" and "content-length" not in headers
    assert sorted(j["certificate_id"] for j in reply["enqueued_jobs"]) == ids
    assert len({j["job_id"] for j in reply["enqueued_jobs"]}) == len(ids) == reply["total_enqueued"]
    assert sorted(e["certificate_id"] for e in reply["errors"]) == off and {len(e) for e in reply["errors"]} == {2}
    assert reply["unknown_ids"] == unknown
    headers, reply = answer(world, f"{RENEW}?dry_run=true", {"certificate_ids": ids[:3] + unknown[:3]})
    assert int(headers["content-length"]) > 0 and reply["unknown_ids"] == unknown[:3]


def test_a_client_that_reads_no_long_answer_holds_nobody_up(world, team):
    unknown = [f"mc-none-{i:05}-" + 100 * "z" for i in range(7000)]
    body = json.dumps({"certificate_ids": unknown})
    with RawTls(world) as c:
        c.send(f"POST {RENEW}?dry_run=true HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {API_KEY}\r\n"
               f"Content-Length: {len(body)}\r\n\r\n{body}")
        while b"\r\n\r\n" not in c.rest:
            assert c.receive()
        assert world.api.get("/api/v1/teams")[0] == 200
        assert c.rest.startswith(b"HTTP/1.1 200 ") and b"chunked" in c.rest
        while not c.rest.endswith(b"\r\n0\r\n\r\n"):
            assert c.receive(), "the connection ended inside of the answer"
        assert c.rest.count(b"mc-none-") == len(unknown)


def test_unknown_ids_are_named(world, team):
    ids = make(world, team, ["a", "b"])
    add_versions(world, ids)
    given = [*ids, "mc-no-such", "mc-other", "mc-no-such"]
    for path, more in ((RENEW, {}), (REVOKE, {"reason": "superseded"}), (REASSIGN, {"owner_id": "o-other"})):
        for query in ("?dry_run=true", ""):
            reply = world.api.need("POST", path + query, {"certificate_ids": given} | more)
            assert reply["unknown_ids"] == ["mc-no-such", "mc-other"], reply
            reply = world.api.need("POST", path + "?dry_run=true", {"certificate_ids": ids} | more)
            assert "unknown_ids" not in reply, reply
    for wrong in ("-rf", "--dryrun", "a b", "a\u200b", "a\nb", "..", ""):
        for path, more in ((RENEW, {}), (REVOKE, {"reason": "superseded"}), (REASSIGN, {"owner_id": "o-other"})):
            status, reply = world.api.post(path, {"certificate_ids": [*ids, wrong]} | more)
            assert status == 400 and "certificate_ids" in reply["message"], (path, wrong, reply)
