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

-- By kept numbers, whatever the inventory's size.  No row: they are not counted
-- yet, as for seconds after an upgrade.
-- name: digest_figures :many fresh
WITH statuses AS (SELECT '{Pending,Active,Expiring,Expired,RenewalInProgress,Failed}'::text[] AS known),
kept AS MATERIALIZED (
    SELECT k.kind, k.key, k.n FROM stat_totals_now k WHERE k.kind IN ('certificate', 'job') AND k.key <> 'Archived'),
ended AS (
    SELECT coalesce(sum(s.n) FILTER (WHERE s.key = 'Completed'), 0)::bigint AS completed,
        coalesce(sum(s.n) FILTER (WHERE s.key = 'Failed'), 0)::bigint AS failed
    FROM stat_series_now s WHERE s.kind = 'job_ended' AND s.at >= stat_day(engine_now()) - 1
), soon AS (
    SELECT ((SELECT coalesce(sum(e.n), 0) FROM stat_ended_by(engine_now() + policy_digest_days(), t.known) e)
        - (SELECT coalesce(sum(e.n), 0) FROM stat_ended_by(engine_now(), t.known) e))::bigint AS n FROM statuses t
)
SELECT coalesce(sum(k.n) FILTER (WHERE k.kind = 'certificate'), 0)::bigint AS certificates,
    coalesce(sum(k.n) FILTER (WHERE k.key = 'Active'), 0)::bigint AS active,
    coalesce(sum(k.n) FILTER (WHERE k.key = 'Expiring'), 0)::bigint AS expiring,
    coalesce(sum(k.n) FILTER (WHERE k.key = 'RenewalInProgress'), 0)::bigint AS renewing,
    coalesce(sum(k.n) FILTER (WHERE k.key = 'Expired'), 0)::bigint AS expired,
    coalesce(sum(k.n) FILTER (WHERE k.kind = 'certificate' AND k.key = 'Failed'), 0)::bigint AS failed,
    coalesce(sum(k.n) FILTER (WHERE k.key = 'Revoked'), 0)::bigint AS revoked, min(o.n) AS expiring_soon,
    coalesce(sum(k.n) FILTER (WHERE k.kind = 'job' AND job_is_active(k.key)), 0)::bigint AS jobs_open,
    min(d.completed) AS jobs_completed, min(d.failed) AS jobs_failed, floor(extract(epoch FROM engine_now()))::bigint AS now_unix
FROM ended d CROSS JOIN soon o CROSS JOIN stat_state s LEFT JOIN kept k ON true
WHERE s.is_counted GROUP BY s.is_counted;

-- name: digest_expiring :many fresh
SELECT c.name, c.common_name, c.status, to_char(c.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS ends
FROM managed_certificates c
WHERE c.expires_at > (SELECT engine_now()) AND c.expires_at <= (SELECT engine_now() + policy_digest_days()) AND c.status NOT IN ('Revoked', 'Archived')
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

-- The task that is there already is written as it is, for its id: one that another
-- makes just now can't be read by this statement.  has_worker: there is somebody to
-- wait for.
-- name: digest_request :one
WITH queued AS (
    INSERT INTO tasks AS t (id, kind, subject, dedupe_key, run_after, created_at)
    VALUES (id_new('task'), 'digest', '', 'digest:', engine_now(), engine_now())
    ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO UPDATE SET run_after = t.run_after RETURNING t.id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    VALUES ($1, $2, 'digest_requested', 'digest', 'digest', '{}')
)
SELECT q.id, EXISTS (SELECT 1 FROM workers w WHERE w.lease_until > clock_timestamp()) AS has_worker FROM queued q;

-- Of the tasks since $1, whether some are left, and whether some failed once.
-- name: digest_state :one
SELECT count(*) > 0 AS is_open, coalesce(bool_or(t.status = 'Failed' OR t.attempts > 0), false) AS has_failed
FROM tasks t
WHERE t.kind = 'digest' AND t.id >= $1;
