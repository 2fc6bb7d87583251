-- Statements of the digest, of all processes.

-- --- scheduler ---

-- name: duty_digest :many
WITH led AS MATERIALIZED (SELECT 1 WHERE leadership_is($2::bigint, $1)),
queued AS (
    INSERT INTO tasks (id, kind, subject, dedupe_key, run_after, created_at)
    SELECT id_new('task'), 'digest', '', 'digest:', engine_now(), engine_now() FROM led
    ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM queued) AS rows FROM led;

-- --- apiserver and worker: what it says ---

-- name: digest_figures :one fresh
SELECT count(*) AS certificates, count(*) FILTER (WHERE c.status = 'Active') AS active,
    count(*) FILTER (WHERE c.status = 'Expiring') AS expiring, count(*) FILTER (WHERE c.status = 'RenewalInProgress') AS renewing,
    count(*) FILTER (WHERE c.status = 'Expired') AS expired, count(*) FILTER (WHERE c.status = 'Failed') AS failed,
    count(*) FILTER (WHERE c.status = 'Revoked') AS revoked,
    count(*) FILTER (WHERE c.status NOT IN ('Revoked', 'Archived') AND c.expires_at > engine_now()
        AND c.expires_at <= engine_now() + policy_digest_days()) AS expiring_soon,
    (SELECT count(*) FROM jobs j WHERE job_is_active(j.status)) AS jobs_open,
    (SELECT count(*) FROM jobs j WHERE j.id > id_bound('job', engine_now() - days(1)) AND j.status = 'Completed') AS jobs_completed,
    (SELECT count(*) FROM jobs j WHERE j.id > id_bound('job', engine_now() - days(1)) AND j.status = 'Failed') AS jobs_failed,
    floor(extract(epoch FROM engine_now()))::bigint AS now_unix
FROM managed_certificates c
WHERE c.status <> 'Archived';

-- name: digest_expiring :many fresh
SELECT c.name, c.common_name, c.status, to_char(c.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS ends
FROM managed_certificates c
WHERE c.expires_at > engine_now() AND c.expires_at <= engine_now() + policy_digest_days() AND c.status NOT IN ('Revoked', 'Archived')
ORDER BY c.expires_at, c.id
LIMIT policy_digest_rows();

-- --- worker ---

-- The whole digest becomes a task for each recipient: those of $4, or all
-- owners.
-- name: digest_spread :one
WITH done AS (
    DELETE FROM tasks t WHERE t.leased_by = $1 AND t.lease_id = $2::bigint AND t.id = $3 AND t.status = 'Running' RETURNING t.id
), queued AS (
    INSERT INTO tasks (id, kind, subject, dedupe_key, run_after, created_at)
    SELECT id_new('task'), 'digest', r.email, 'digest:' || r.email, engine_now(), engine_now()
    FROM done d CROSS JOIN (SELECT o.email FROM owners o WHERE o.email <> '' AND cardinality($4::text[]) = 0
        UNION SELECT e.email FROM unnest($4::text[]) AS e (email)) r
    ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING
)
SELECT EXISTS (SELECT 1 FROM done) AS is_ours;

-- --- apiserver ---

-- has_worker: there is somebody to wait for.
-- name: digest_request :one
WITH queued AS (
    INSERT INTO tasks (id, kind, subject, dedupe_key, run_after, created_at)
    VALUES (id_new('task'), 'digest', '', 'digest:', engine_now(), engine_now())
    ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING RETURNING id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    VALUES ($1, $2, 'digest_requested', 'digest', 'digest', '{}')
)
SELECT coalesce((SELECT q.id FROM queued q), (SELECT t.id FROM tasks t WHERE t.dedupe_key = 'digest:'), id_new('task')) AS id,
    EXISTS (SELECT 1 FROM workers w WHERE w.lease_until > clock_timestamp()) AS has_worker;

-- Of the tasks since $1, whether some are left, and whether some failed once.
-- name: digest_state :one
SELECT count(*) > 0 AS is_open, coalesce(bool_or(t.status = 'Failed' OR t.attempts > 0), false) AS has_failed
FROM tasks t
WHERE t.kind = 'digest' AND t.id >= $1;
