-- What a monitor scrapes: a column that is a series is named as the series is.
-- Nothing here counts without a bound.

-- Late and interrupted as in admin_duties.
-- name: metrics_duties :many
SELECT d.name AS duty, CASE WHEN d.last_outcome = 'running' AND NOT d.is_running THEN 'interrupted' ELSE d.last_outcome END AS outcome,
    CASE WHEN d.last_outcome <> '' THEN (d.last_outcome = 'ok')::int END AS duty_last_outcome,
    round(extract(epoch FROM d.last_started_at), 3) AS duty_last_start_timestamp_seconds,
    round(d.last_duration_ms / 1000.0, 3) AS duty_last_duration_seconds, d.last_rows AS duty_last_rows,
    round(extract(epoch FROM d.due_at), 3) AS duty_next_run_timestamp_seconds,
    CASE WHEN d.is_running OR d.due_at IS NULL THEN 0
        ELSE round(greatest(extract(epoch FROM clock_timestamp() - d.due_at), 0), 3) END AS duty_late_seconds,
    d.runs AS duty_runs_total, d.failures AS duty_failures_total, d.skipped AS duty_skipped_total
FROM (SELECT o.*, o.last_outcome = 'running' AND o.term = l.term AND l.expires_at > clock_timestamp() AS is_running,
        CASE WHEN o.off_reason = ''
            THEN coalesce(o.next_run_at, o.last_started_at + make_interval(secs => o.interval_ms / 1000.0)) END AS due_at
    FROM duties o
    JOIN leadership l ON l.id = 1) d
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
    UNION ALL SELECT s.status, 'issuance', count(q.status)
        FROM (VALUES ('AwaitingCSR'), ('AwaitingApproval')) AS s (status)
        LEFT JOIN (SELECT j.status FROM jobs j WHERE j.status IN ('AwaitingCSR', 'AwaitingApproval')
            ORDER BY j.created_at LIMIT 10000) AS q ON q.status = s.status
        GROUP BY s.status) AS w
ORDER BY w.status, w.type;

-- The lag as in audit_seal_state: the age of the oldest event in no block.
-- name: metrics_totals :one
SELECT l.term AS leader_term, (l.expires_at > clock_timestamp())::int AS leader_alive,
    (SELECT sum(r.n)::bigint FROM row_counts r WHERE r.table_name = 'managed_certificates') AS certificate_total,
    coalesce((SELECT round(greatest(extract(epoch FROM clock_timestamp() - e.timestamp), 0), 3) FROM audit_events e
        WHERE (e.epoch, e.xid) >= (coalesce(b.epoch, 0), coalesce(b.to_xid, '0'))
        ORDER BY e.epoch, e.xid, e.seq LIMIT 1), 0) AS audit_sealing_lag_seconds,
    v.rounds AS audit_chain_verify_total, (v.broken_n IS NOT NULL)::int AS audit_chain_break_detected_total,
    round(extract(epoch FROM v.looked_at), 3) AS audit_chain_last_verified_at
FROM leadership l
CROSS JOIN audit_verification v
LEFT JOIN LATERAL (SELECT * FROM audit_blocks o ORDER BY o.n DESC LIMIT 1) AS b ON true
WHERE l.id = 1;
