-- Tests of issuers and targets, as people ask for them.

-- Each is asked for by one statement and read by the next, of the same transaction: who
-- waited for another's row does not see that row by the statement that waited.

-- A worker tests the issuer anew, as when its configuration changes: a test that
-- waits for another try need not, and one under way is taken from its worker.  Who
-- asks stands in the audit trail with what came of it.
-- $1 issuer, $2 actor, $3 actor type.
-- name: issuer_test_ask :exec
INSERT INTO tasks AS t (id, kind, subject, dedupe_key, issuer_id, payload)
SELECT id_new('task'), 'ca_init', i.id, 'ca_init:' || i.id, i.id, jsonb_build_object('actor', $2::text, 'actor_type', $3::text)
FROM issuers i WHERE i.id = $1
ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO UPDATE SET status = 'Pending', leased_by = NULL, lease_id = NULL,
    attempt_until = NULL, attempts = 0, died_with = NULL, last_error = NULL, run_after = excluded.run_after,
    payload = excluded.payload;

-- No row: no such issuer.
-- name: issuer_test_asked :many
SELECT coalesce(i.last_tested_at::text, '') AS tested_before FROM issuers i WHERE i.id = $1;

-- $2: tested_before.  What failed is told by the task, once its attempt is over.
-- name: issuer_test_look :many
SELECT coalesce(i.last_tested_at::text, '') <> $2 AND (i.test_status = 'success'
        OR i.test_status = 'failed' AND (t.id IS NULL OR t.last_error IS NOT NULL)) AS is_over,
    i.test_status, coalesce(t.last_error, '') AS error,
    EXISTS (SELECT 1 FROM workers w WHERE w.lease_until > clock_timestamp()) AS has_worker
FROM issuers i LEFT JOIN tasks t ON t.dedupe_key = 'ca_init:' || i.id
WHERE i.id = $1;

-- The target's agent tests it; one that was asked for just now is waited for together.
-- $1 target, $2 actor, $3 actor type.
-- name: target_test_ask :exec
INSERT INTO target_tests AS o (target_id, id, agent_id, asked_by, asked_by_type, asked_at)
SELECT t.id, id_new('test'), t.agent_id, $2, $3, engine_now() FROM deployment_targets t WHERE t.id = $1
ON CONFLICT (target_id) DO UPDATE SET id = excluded.id, agent_id = excluded.agent_id, asked_by = excluded.asked_by,
    asked_by_type = excluded.asked_by_type, asked_at = excluded.asked_at, taken_at = NULL, ended_at = NULL, passed = NULL,
    message = ''
WHERE o.ended_at IS NOT NULL OR o.asked_at < engine_now() - policy_test_wait();

-- No row: no such target.
-- name: target_test_asked :many
SELECT o.id, t.agent_id, t.retired_at IS NOT NULL AS is_retired,
    a.status = 'Online' AND a.last_heartbeat_at > engine_now() - policy_agent_online() AS is_online
FROM target_tests o JOIN deployment_targets t ON t.id = o.target_id JOIN agents a ON a.id = t.agent_id
WHERE o.target_id = $1;

-- By the target: a test that somebody asked for since then says as much.
-- name: target_test_look :many
SELECT o.ended_at IS NOT NULL AS is_over, coalesce(o.passed, false) AS passed, o.message, o.taken_at IS NOT NULL AS is_taken
FROM target_tests o WHERE o.target_id = $1;

-- What came of a test: $1 test, $2 whether it passed, $3 why not, or what was seen,
-- $4 the agent that says so, or NULL: nobody did.  The same again is no news.
-- name: target_test_end :one
WITH ended AS (
    UPDATE target_tests o SET ended_at = engine_now(), passed = $2::bool, message = $3
    WHERE o.id = $1 AND o.ended_at IS NULL AND o.agent_id = coalesce($4::text, o.agent_id)
    RETURNING o.target_id, o.passed, o.asked_by, o.asked_by_type, o.ended_at
), shown AS (
    UPDATE deployment_targets t SET test_status = CASE WHEN e.passed THEN 'success' ELSE 'failed' END, last_tested_at = e.ended_at
    FROM ended e WHERE t.id = e.target_id
), told AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, event_category)
    SELECT e.asked_by, e.asked_by_type, 'target_test_connection_' || CASE WHEN e.passed THEN 'success' ELSE 'failed' END,
        'target', e.target_id, 'config' FROM ended e
)
SELECT CASE WHEN EXISTS (SELECT 1 FROM ended) THEN 'recorded'
    WHEN EXISTS (SELECT 1 FROM target_tests o WHERE o.id = $1 AND o.agent_id = $4 AND o.passed = $2::bool AND o.message = $3) THEN 'recorded'
    WHEN EXISTS (SELECT 1 FROM target_tests o WHERE o.id = $1 AND o.agent_id = $4) THEN 'over' ELSE 'unknown' END AS outcome;

-- The tests that an agent takes with its work.
-- name: agent_tests_take :many
UPDATE target_tests o SET taken_at = engine_now()
FROM deployment_targets t
WHERE o.agent_id = $1 AND o.taken_at IS NULL AND o.ended_at IS NULL AND o.asked_at > engine_now() - policy_test_wait()
    AND t.id = o.target_id
RETURNING o.id, t.id AS target_id, t.type, coalesce(t.config, '{}') AS config, coalesce((SELECT c.common_name
    FROM certificate_target_mappings m JOIN managed_certificates c ON c.id = m.certificate_id WHERE m.target_id = t.id LIMIT 1), '')
    AS common_name;
