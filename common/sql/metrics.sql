-- What a monitor scrapes: a column that is a series is named as the series is.
-- Nothing here counts without a bound.

-- name: metrics_duties :many
SELECT d.name AS duty, d.outcome, CASE WHEN d.last_outcome <> '' THEN (d.last_outcome = 'ok')::int END AS duty_last_outcome,
    round(extract(epoch FROM d.last_started_at), 3) AS duty_last_start_timestamp_seconds,
    round(d.last_duration_ms / 1000.0, 3) AS duty_last_duration_seconds, d.last_rows AS duty_last_rows,
    round(extract(epoch FROM d.due_at), 3) AS duty_next_run_timestamp_seconds, round(d.late_ms / 1000.0, 3) AS duty_late_seconds,
    d.runs AS duty_runs_total, d.failures AS duty_failures_total, d.skipped AS duty_skipped_total
FROM duties_now d
ORDER BY d.name;

-- A rate that is NULL is no limit, and no sample.
-- name: metrics_lanes :many
SELECT l.issuer_id AS issuer, l.cap AS lane_cap, (l.breaker_state <> 'closed')::int AS lane_breaker_open,
    l.failures AS lane_failures, CASE WHEN l.rate_per_s < 'Infinity' THEN l.rate_per_s END AS lane_rate_per_second,
    (SELECT count(*) FROM (SELECT 1 FROM jobs j WHERE j.issuer_id = l.issuer_id AND j.status = 'Pending'
            AND j.type IN ('Issuance', 'Renewal') AND j.run_after = 'infinity'
        LIMIT 1000) AS u) AS lane_uncertain_jobs
FROM lanes l
ORDER BY l.issuer_id
LIMIT 1000;

-- name: metrics_cas :many
SELECT ca.issuer_id AS issuer, extract(epoch FROM ca.not_after)::bigint AS ca_not_after_timestamp_seconds
FROM ca_certificates ca
WHERE ca.state = 'current'
ORDER BY ca.issuer_id
LIMIT 1000;

-- Policies whose certificates follow a change; no sample until they are counted.
-- name: metrics_policies :many
SELECT k.policy_id AS policy, k.total - k.done AS policy_change_certificates,
    round(greatest(extract(epoch FROM clock_timestamp() - k.changed_at), 0), 3) AS policy_change_age_seconds
FROM policy_changes k
ORDER BY k.policy_id
LIMIT 1000;

-- Counted up to ten thousand of a severity, in the order of their index.
-- name: metrics_violations :many
SELECT s.severity, (SELECT count(*) FROM (SELECT 1 FROM policy_violations v WHERE v.severity = s.severity
    ORDER BY v.severity, v.id LIMIT 10000) AS q) AS policy_violations
FROM (VALUES ('Critical'), ('Error'), ('Warning')) AS s (severity)
ORDER BY s.severity;

-- name: metrics_processes :many
SELECT p.process, p.processes_alive
FROM (SELECT 'apiserver' AS process, count(*) AS processes_alive
        FROM apiservers a WHERE a.seen_at > clock_timestamp() - policy_alive()
    UNION ALL SELECT 'scheduler', count(*) FROM schedulers s WHERE s.seen_at > clock_timestamp() - policy_alive()
    UNION ALL SELECT 'worker', count(*) FROM workers w WHERE w.lease_until > clock_timestamp()) AS p
ORDER BY p.process;

-- Reads ten thousand rows of each partial index at most, in its order: without
-- that a plan could read the table to its end.  The index of deployments holds
-- what awaits a CSR too, so these are counted among the rows read.
-- name: metrics_jobs :many
SELECT w.status, w.type, w.jobs_waiting
FROM (SELECT 'Pending' AS status, 'issuance' AS type, (SELECT count(*) FROM (SELECT 1 FROM jobs j
            WHERE j.status = 'Pending' AND j.type IN ('Issuance', 'Renewal')
            ORDER BY j.issuer_id, j.run_after, j.id LIMIT 10000) AS q) AS jobs_waiting
    UNION ALL SELECT 'Pending', 'deployment', (SELECT count(*) FROM (SELECT j.status, j.type FROM jobs j
            WHERE j.status = 'AwaitingCSR' OR (j.type = 'Deployment' AND j.status IN ('Pending', 'Running'))
            ORDER BY j.agent_id, j.id LIMIT 10000) AS q WHERE q.type = 'Deployment' AND q.status = 'Pending')
    UNION ALL SELECT s.status, 'issuance', (SELECT count(*) FROM (SELECT 1 FROM jobs j
            WHERE j.status IN ('AwaitingCSR', 'AwaitingApproval') AND j.status = s.status
            ORDER BY CASE j.status WHEN 'AwaitingCSR' THEN greatest(j.created_at, j.run_after) ELSE j.created_at END, j.id
            LIMIT 10000) AS q)
        FROM (VALUES ('AwaitingCSR'), ('AwaitingApproval')) AS s (status)) AS w
ORDER BY w.status, w.type;

-- What is due in each lane, by type, among a thousand in the order of the queue.
-- name: metrics_queues :many
SELECT l.issuer_id AS issuer, q.type, q.n AS lane_queue_jobs,
    round(coalesce(extract(epoch FROM clock_timestamp() - q.oldest), 0), 3) AS lane_queue_age_seconds
FROM (SELECT o.issuer_id FROM lanes o ORDER BY o.issuer_id LIMIT 1000) l
CROSS JOIN LATERAL (SELECT t.type, count(d.type) AS n, min(d.run_after) AS oldest
    FROM (VALUES ('Issuance'), ('Renewal')) AS t (type)
    LEFT JOIN (SELECT j.type, j.run_after FROM jobs j WHERE j.issuer_id = l.issuer_id AND j.status = 'Pending'
            AND j.type IN ('Issuance', 'Renewal') AND j.run_after <= clock_timestamp()
        ORDER BY j.run_after, j.id LIMIT 1000) AS d ON d.type = t.type
    GROUP BY t.type) AS q
ORDER BY l.issuer_id, q.type;

-- name: metrics_tasks :many
SELECT d.kind, count(*) AS task_queue_tasks,
    round(extract(epoch FROM clock_timestamp() - min(d.run_after)), 3) AS task_queue_age_seconds
FROM (SELECT t.kind, t.run_after FROM tasks t WHERE t.status = 'Pending' AND t.run_after <= clock_timestamp()
    ORDER BY t.run_after, t.id LIMIT 1000) AS d
GROUP BY d.kind
ORDER BY d.kind;

-- How many certificates are Active no index tells, since a renewal of one must
-- cost it nothing: it is what is left of the total, unless a count was cut.
-- name: metrics_counts :one fresh
WITH states AS (
    SELECT s.status, (SELECT count(*) FROM (SELECT 1 FROM managed_certificates c
            WHERE c.status IN ('Pending', 'Expiring', 'Expired', 'Revoked', 'Archived') AND c.status = s.status
            ORDER BY c.created_at, c.id LIMIT 10000) AS q) AS n
        FROM (VALUES ('Pending'), ('Expired'), ('Revoked'), ('Archived')) AS s (status)
    UNION ALL SELECT 'Failed', (SELECT count(*) FROM (SELECT 1 FROM managed_certificates c WHERE c.status = 'Failed'
            ORDER BY c.updated_at LIMIT 10000) AS q)
    UNION ALL SELECT 'RenewalInProgress', (SELECT count(*) FROM (SELECT 1 FROM managed_certificates c
            WHERE c.status = 'RenewalInProgress' ORDER BY c.id LIMIT 10000) AS q)
), soon AS (
    SELECT count(*) FILTER (WHERE q.status IN ('Active', 'Expiring')) AS n, count(*) AS looked_at
    FROM (SELECT c.status FROM managed_certificates c
        WHERE c.expires_at > engine_now() AND c.expires_at <= engine_now() + policy_digest_days()
        ORDER BY c.expires_at LIMIT 10000) AS q
), certificates AS (
    SELECT (SELECT sum(r.n)::bigint FROM row_counts r WHERE r.table_name = 'managed_certificates') AS total,
        s.n AS soon, t.others, t.expired, t.revoked, s.looked_at >= 10000 OR t.is_capped AS is_capped
    FROM soon s CROSS JOIN (SELECT sum(a.n)::bigint AS others, sum(a.n) FILTER (WHERE a.status = 'Expired')::bigint AS expired,
            sum(a.n) FILTER (WHERE a.status = 'Revoked')::bigint AS revoked, bool_or(a.n >= 10000) AS is_capped
        FROM states a) AS t
)
SELECT k.total AS certificate_total, CASE WHEN NOT k.is_capped THEN greatest(k.total - k.others - k.soon, 0) END AS certificate_active,
    k.soon AS certificate_expiring_soon, k.expired AS certificate_expired, k.revoked AS certificate_revoked,
    k.is_capped::int AS certificate_counts_capped, g.agent_total, g.agent_online,
    (SELECT count(*) FROM (SELECT 1 FROM jobs j WHERE j.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')
        ORDER BY j.dedupe_key LIMIT 10000) AS q) AS job_pending,
    (SELECT count(*) FROM (SELECT 1 FROM notification_events n WHERE n.status = 'dead'
        ORDER BY (n.retry_count > 0), n.id LIMIT 10000) AS q) AS notification_dead_total
FROM certificates k
CROSS JOIN (SELECT count(*) AS agent_total,
        count(*) FILTER (WHERE a.last_heartbeat_at > clock_timestamp() - policy_agent_online()) AS agent_online
    FROM (SELECT o.last_heartbeat_at FROM agents o WHERE o.retired_at IS NULL
        ORDER BY o.registered_at, o.id LIMIT 10000) AS a) AS g;

-- One sample for each name, with 0 for what is not so; $3 to $5: what the asking
-- process knows beside the view.
-- name: metrics_conditions :many
SELECT n.condition, n.severity, count(c.name) AS condition_count,
    round(extract(epoch FROM min(c.since)), 3) AS condition_since_timestamp_seconds
FROM unnest(string_to_array($1, ' '), string_to_array($2, ' ')) AS n (condition, severity)
LEFT JOIN (SELECT o.name, o.since FROM conditions o
    UNION ALL SELECT f.name, to_timestamp(f.since_ms / 1000.0)
    FROM unnest($3::text[], $4::bigint[], $5::text[]) AS f (name, since_ms, detail)) c ON c.name = n.condition
WHERE n.condition <> ''
GROUP BY n.condition, n.severity
ORDER BY n.condition;

-- name: metrics_totals :one
SELECT l.term AS leader_term, (l.expires_at > clock_timestamp())::int AS leader_alive,
    round(u.lag_s, 3) AS audit_sealing_lag_seconds,
    v.rounds AS audit_chain_verify_total, (v.broken_n IS NOT NULL)::int AS audit_chain_break_detected_total,
    round(extract(epoch FROM v.looked_at), 3) AS audit_chain_last_verified_at
FROM leadership l
CROSS JOIN audit_verification v
CROSS JOIN audit_unsealed u
WHERE l.id = 1;

-- --- GET /stats/... ---

-- name: stats_ended_jobs :one
SELECT count(*) AS failed_jobs, (count(*) >= 10000)::int AS is_capped
FROM (SELECT 1 FROM jobs j WHERE j.status IN ('Failed', 'Cancelled') AND j.status = 'Failed' ORDER BY j.id LIMIT 10000) AS q;

-- Active ones that end within the digest's days count as Expiring.  Active is
-- what is left of the total, and not there where a count was cut.
-- name: stats_by_status :many fresh
WITH found AS (
    SELECT s.status, (SELECT count(*) FROM (SELECT 1 FROM managed_certificates c
            WHERE c.status IN ('Pending', 'Expiring', 'Expired', 'Revoked', 'Archived') AND c.status = s.status
            ORDER BY c.created_at, c.id LIMIT 10000) AS q) AS n, 10000 AS most
        FROM (VALUES ('Pending'), ('Expiring'), ('Expired'), ('Revoked'), ('Archived')) AS s (status)
    UNION ALL SELECT 'Failed', (SELECT count(*) FROM (SELECT 1 FROM managed_certificates c WHERE c.status = 'Failed'
            ORDER BY c.updated_at LIMIT 10000) AS q), 10000
    UNION ALL SELECT 'RenewalInProgress', (SELECT count(*) FROM (SELECT 1 FROM managed_certificates c
            WHERE c.status = 'RenewalInProgress' ORDER BY c.id LIMIT 10000) AS q), 10000
    UNION ALL SELECT 'Expiring', q.n, CASE WHEN q.looked_at < 10000 THEN 10000 ELSE q.n END
        FROM (SELECT count(*) FILTER (WHERE e.status = 'Active') AS n, count(*) AS looked_at
            FROM (SELECT c.status FROM managed_certificates c
                WHERE c.expires_at > engine_now() AND c.expires_at <= engine_now() + policy_digest_days()
                ORDER BY c.expires_at LIMIT 10000) AS e) AS q
), counted AS (
    SELECT f.status, sum(f.n)::bigint AS n, bool_or(f.n >= f.most) AS is_capped FROM found f GROUP BY f.status
)
SELECT c.status, c.n AS count, c.is_capped FROM counted c WHERE c.n > 0
UNION ALL
SELECT 'Active', t.total - t.others, false
FROM (SELECT (SELECT sum(r.n)::bigint FROM row_counts r WHERE r.table_name = 'managed_certificates') AS total,
    sum(c.n)::bigint AS others, bool_or(c.is_capped) AS is_capped FROM counted c) AS t
WHERE NOT t.is_capped AND t.total > t.others
ORDER BY status;
