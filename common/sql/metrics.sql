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

-- name: metrics_health :many
SELECT s.status, s.n AS health_checks
FROM (SELECT sum(c.healthy) AS healthy, sum(c.degraded) AS degraded, sum(c.down) AS down, sum(c.cert_mismatch) AS cert_mismatch,
    sum(c.unknown) AS unknown FROM health_check_counts c) AS k
CROSS JOIN LATERAL (VALUES ('healthy', k.healthy), ('degraded', k.degraded), ('down', k.down), ('cert_mismatch', k.cert_mismatch),
    ('unknown', k.unknown)) AS s (status, n);

-- What is due in each lane, by type, among a thousand in the order of the queue.
-- name: metrics_queues :many
SELECT l.issuer_id AS issuer, q.type, q.n AS lane_queue_jobs,
    round(coalesce(extract(epoch FROM clock_timestamp() - q.oldest), 0), 3) AS lane_queue_age_seconds
FROM (SELECT o.issuer_id FROM lanes o ORDER BY o.issuer_id LIMIT 1000) l
CROSS JOIN LATERAL (SELECT t.type, count(d.type) AS n, min(d.run_after) AS oldest
    FROM (VALUES ('Issuance'), ('Renewal')) AS t (type)
    LEFT JOIN (SELECT j.type, j.run_after FROM jobs j WHERE j.issuer_id = l.issuer_id AND j.status = 'Pending'
            AND j.type IN ('Issuance', 'Renewal') AND j.run_after <= (SELECT clock_timestamp())
        ORDER BY j.run_after, j.id LIMIT 1000) AS d ON d.type = t.type
    GROUP BY t.type) AS q
ORDER BY l.issuer_id, q.type;

-- name: metrics_tasks :many
SELECT d.kind, count(*) AS task_queue_tasks,
    round(extract(epoch FROM clock_timestamp() - min(d.run_after)), 3) AS task_queue_age_seconds
FROM (SELECT t.kind, t.run_after FROM tasks t WHERE t.status = 'Pending' AND t.run_after <= (SELECT clock_timestamp())
    ORDER BY t.run_after, t.id LIMIT 1000) AS d
GROUP BY d.kind
ORDER BY d.kind;

-- By kept numbers, and of the hours in which two moments fall the rows.  How many
-- agents are online no number keeps, heartbeats being what they are: beyond ten
-- thousand it is an estimate by the first of them.
-- name: metrics_counts :one fresh
WITH at AS (SELECT engine_now() AS now, engine_now() + policy_digest_days() AS soon),
kept AS MATERIALIZED (SELECT k.kind, k.key, k.n FROM stat_totals_now k WHERE k.kind IN ('certificate', 'job', 'agent', 'notification')),
ends AS (SELECT (SELECT sum(e.n) FROM stat_ended_by(a.now) e) AS now, (SELECT sum(e.n) FROM stat_ended_by(a.soon) e) AS soon FROM at a),
counted AS (
    SELECT coalesce(sum(k.n) FILTER (WHERE k.kind = 'certificate'), 0) AS total,
        coalesce(sum(k.n) FILTER (WHERE k.kind = 'certificate' AND k.key IN ('Active', 'Expiring')), 0) AS serving,
        coalesce(sum(k.n) FILTER (WHERE k.kind = 'certificate' AND k.key = 'Expired'), 0) AS expired,
        coalesce(sum(k.n) FILTER (WHERE k.kind = 'certificate' AND k.key = 'Revoked'), 0) AS revoked,
        coalesce(sum(k.n) FILTER (WHERE k.kind = 'job' AND job_is_active(k.key)), 0) AS pending,
        coalesce(sum(k.n) FILTER (WHERE k.kind = 'job' AND k.key = 'Failed'), 0) AS failed,
        coalesce(sum(k.n) FILTER (WHERE k.kind = 'job' AND k.key = 'Completed'), 0) AS complete,
        coalesce(sum(k.n) FILTER (WHERE k.kind = 'agent'), 0) AS agents,
        coalesce(sum(k.n) FILTER (WHERE k.kind = 'notification'), 0) AS dead FROM kept k
), known AS (
    -- Till then the numbers are NULL.
    SELECT CASE WHEN s.is_counted THEN 1 END AS one FROM stat_state s
)
SELECT (c.total * k.one)::bigint AS certificate_total, (k.one * (c.serving - coalesce(e.soon, 0)))::bigint AS certificate_active,
    (k.one * (coalesce(e.soon, 0) - coalesce(e.now, 0)))::bigint AS certificate_expiring_soon,
    (k.one * (c.expired + coalesce(e.now, 0)))::bigint AS certificate_expired, (c.revoked * k.one)::bigint AS certificate_revoked,
    (c.pending * k.one)::bigint AS job_pending, (c.failed * k.one)::bigint AS failed_jobs, (c.complete * k.one)::bigint AS complete_jobs,
    coalesce(c.agents * k.one, g.n)::bigint AS agent_total,
    CASE WHEN g.n < 10000 THEN g.online
        ELSE round(g.online::numeric * coalesce(c.agents * k.one, g.n) / g.n) END::bigint AS agent_online,
    g.n >= 10000 AND coalesce(c.agents * k.one, g.n) > g.n AS agent_online_is_estimate,
    (c.dead * k.one)::bigint AS notification_dead_total
FROM counted c CROSS JOIN ends e CROSS JOIN known k
CROSS JOIN (SELECT count(*) AS n,
        count(*) FILTER (WHERE a.last_heartbeat_at > clock_timestamp() - policy_agent_online()) AS online
    FROM (SELECT o.last_heartbeat_at FROM agents o WHERE o.retired_at IS NULL
        ORDER BY o.registered_at, o.id LIMIT 10000) AS a) AS g;

-- What only grows, whatever becomes of the rows.
-- name: metrics_ended :one
SELECT coalesce(sum(k.n) FILTER (WHERE k.key = 'Completed'), 0)::bigint AS job_completed_total,
    coalesce(sum(k.n) FILTER (WHERE k.key = 'Failed'), 0)::bigint AS job_failed_total
FROM stat_totals_now k WHERE k.kind = 'job_ended';

-- name: metrics_issuance :many
SELECT split_part(k.key, ' ', 1) AS issuer_type, split_part(k.key, ' ', 2) AS outcome, k.n AS issuance_total
FROM stat_totals_now k WHERE k.kind = 'issuance' ORDER BY k.key;

-- name: metrics_failures :many
SELECT split_part(k.key, ' ', 1) AS issuer_type, split_part(k.key, ' ', 2) AS error_class, k.n AS issuance_failures_total
FROM stat_totals_now k WHERE k.kind = 'issuance_failure' ORDER BY k.key;

-- name: metrics_alerts :many
SELECT split_part(k.key, ' ', 1) AS channel, split_part(k.key, ' ', 2) AS threshold, split_part(k.key, ' ', 3) AS result,
    k.n AS expiry_alerts_total
FROM stat_totals_now k WHERE k.kind = 'expiry_alert' ORDER BY k.key;

-- With 0 for what never was, so that its first is seen as a change.
-- name: metrics_vault :many
SELECT r.result, coalesce(k.n, 0) AS vault_token_renewals_total FROM unnest('{success,failure,not_renewable}'::text[]) AS r (result)
LEFT JOIN stat_totals_now k ON k.kind = 'vault_token' AND k.key = r.result ORDER BY r.result;

-- Of those that have not ended: how many certificates are in each state, by the counters that the duty keeps, and by the
-- rate up to now when they all have their new one.
-- name: metrics_replacements :many
SELECT r.id AS replacement, s.state, s.n AS replacement_certificates,
    CASE s.state WHEN 'left' THEN round((CASE WHEN r.state = 'running' AND e.rate > 0 THEN e.ungot / e.rate END)::numeric) END AS replacement_left_seconds,
    CASE s.state WHEN 'left' THEN (r.state = 'paused')::int END AS replacement_paused
FROM (SELECT o.* FROM replacements o WHERE o.state IN ('running', 'paused', 'cancelling') ORDER BY o.id LIMIT 100) r
CROSS JOIN LATERAL (SELECT greatest(r.planned - r.issued - r.done, 0) AS ungot,
    (r.issued + r.done) / greatest(extract(epoch FROM engine_now() - r.created_at), 1)::float8 AS rate) e
CROSS JOIN LATERAL (VALUES ('left', greatest(r.planned - r.moving - r.waiting - r.failed - r.issued - r.done - r.returned, 0)), ('moving', r.moving), ('waiting', r.waiting),
    ('failed', r.failed), ('issued', r.issued), ('done', r.done), ('skipped', r.skipped), ('returned', r.returned)) AS s (state, n)
ORDER BY r.id, s.state;

-- name: metrics_durations :many
SELECT h.key AS issuer_type, h.le, h.up_to AS issuance_duration_seconds_bucket, h.total AS issuance_duration_seconds_count,
    round(h.sum_ms / 1000.0, 3) AS issuance_duration_seconds_sum
FROM stat_histogram(ARRAY(SELECT t.key FROM stat_totals_now t WHERE t.kind = 'issuance_ms'), 'issuance_le', 'issuance_ms') h
ORDER BY h.key, h.at;

-- Accounts and orders of the ACME server; no sample until they are counted.
-- name: metrics_acme :many
SELECT s.status, CASE s.kind WHEN 'acme_account' THEN coalesce(k.n, 0) * c.one END AS acme_accounts,
    CASE s.kind WHEN 'acme_order' THEN coalesce(k.n, 0) * c.one END AS acme_orders
FROM (VALUES ('acme_account', 'valid', 1), ('acme_account', 'deactivated', 2), ('acme_account', 'revoked', 3), ('acme_order', 'pending', 4),
    ('acme_order', 'ready', 5), ('acme_order', 'processing', 6), ('acme_order', 'valid', 7), ('acme_order', 'invalid', 8)) AS s (kind, status, at)
CROSS JOIN (SELECT CASE WHEN o.is_counted THEN 1 END AS one FROM stat_state o) c
LEFT JOIN stat_totals_now k ON k.kind = s.kind AND k.key = s.status
ORDER BY s.at;

-- With 0 for what never was, so that its first is seen as a change.
-- name: metrics_acme_ended :many
SELECT s.outcome, coalesce(k.n, 0) AS acme_orders_ended_total
FROM unnest('{valid,validation,expired,account_ended,deactivated,given_up,job_failed,job_cancelled,job_gone,order_changed}'::text[]) AS s (outcome)
LEFT JOIN stat_totals_now k ON k.kind = 'acme_order_ended' AND k.key = s.outcome
ORDER BY s.outcome;

-- name: metrics_acme_durations :many
SELECT h.le, h.up_to AS acme_order_duration_seconds_bucket, h.total AS acme_order_duration_seconds_count,
    round(h.sum_ms / 1000.0, 3) AS acme_order_duration_seconds_sum
FROM stat_histogram('{""}', 'acme_order_le', 'acme_order_ms') h
ORDER BY h.at;

-- name: metrics_acme_validations :many
SELECT t.type, r.result, coalesce(k.n, 0) AS acme_validations_total
FROM unnest('{http-01,dns-01,tls-alpn-01}'::text[]) AS t (type)
CROSS JOIN unnest('{valid,caa,connection,dns,incorrectResponse,tls}'::text[]) AS r (result)
LEFT JOIN stat_totals_now k ON k.kind = 'acme_validation' AND k.key = t.type || ' ' || r.result
ORDER BY t.type, r.result;

-- name: metrics_acme_tries :many
SELECT h.key AS type, h.le, h.up_to AS acme_validation_duration_seconds_bucket, h.total AS acme_validation_duration_seconds_count,
    round(h.sum_ms / 1000.0, 3) AS acme_validation_duration_seconds_sum
FROM stat_histogram('{http-01,dns-01,tls-alpn-01}', 'acme_validation_le', 'acme_validation_ms') h
ORDER BY h.key, h.at;

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
    round(extract(epoch FROM v.looked_at), 3) AS audit_chain_last_verified_at, events.total AS audit_chain_rows
FROM leadership l
CROSS JOIN audit_verification v
CROSS JOIN audit_unsealed u
CROSS JOIN {audit_counted}
WHERE l.id = 1;

-- --- GET /stats/... ---

-- Active ones that end within the digest's days count as Expiring, and what has ended as Expired, before a duty says so.
-- name: stats_by_status :many fresh
WITH ends AS (
    SELECT e.status, CASE WHEN e.status = 'Active' THEN e.n ELSE 0 END AS n, false AS is_over
        FROM stat_ended_by(engine_now() + policy_digest_days()) e
    UNION ALL SELECT e.status, e.n, true FROM stat_ended_by(engine_now()) e
), told AS (
    SELECT k.key AS status, k.n FROM stat_totals_now k WHERE k.kind = 'certificate'
    -- Soon over are those that are over, too.
    UNION ALL SELECT e.status, -e.n FROM ends e WHERE NOT e.is_over OR e.status <> 'Active'
    UNION ALL SELECT 'Expiring', e.n * CASE WHEN e.is_over THEN -1 ELSE 1 END FROM ends e WHERE e.status = 'Active'
    UNION ALL SELECT 'Expired', e.n FROM ends e WHERE e.is_over
)
SELECT t.status, sum(t.n)::bigint AS count FROM told t GROUP BY t.status HAVING sum(t.n) > 0 ORDER BY t.status;

-- Those that serve, by the day of their end, from today ($1 days).
-- name: stats_expiration :many
SELECT to_char(stat_date(d.day), 'YYYY-MM-DD') AS date, coalesce(sum(s.n), 0)::bigint AS count
FROM generate_series(stat_day(engine_now()), stat_day(engine_now()) + $1::int - 1) AS d (day)
LEFT JOIN (SELECT o.at / 24 AS day, o.key, o.n FROM stat_series_now o WHERE o.kind = 'certificate' AND o.at >= 24 * stat_day(engine_now())
    AND o.key NOT IN ('Revoked', 'Archived')) AS s ON s.day = d.day
GROUP BY d.day ORDER BY d.day;

-- By day, up to today ($1 days).
-- name: stats_jobs :many
SELECT to_char(stat_date(s.day), 'YYYY-MM-DD') AS date, s.completed AS completed_count, s.failed AS failed_count,
    CASE WHEN s.completed + s.failed > 0 THEN round(100.0 * s.completed / (s.completed + s.failed), 2) ELSE 0 END AS success_rate
FROM (SELECT g.day, coalesce(sum(o.n) FILTER (WHERE o.key = 'Completed'), 0)::bigint AS completed,
        coalesce(sum(o.n) FILTER (WHERE o.key = 'Failed'), 0)::bigint AS failed
    FROM generate_series(stat_day(engine_now()) - $1::int + 1, stat_day(engine_now())) AS g (day)
    LEFT JOIN stat_series_now o ON o.kind = 'job_ended' AND o.at = g.day GROUP BY g.day) AS s
ORDER BY s.day;

-- name: stats_issued :many
SELECT to_char(stat_date(g.day), 'YYYY-MM-DD') AS date, coalesce(sum(o.n), 0)::bigint AS issued_count
FROM generate_series(stat_day(engine_now()) - $1::int + 1, stat_day(engine_now())) AS g (day)
LEFT JOIN stat_series_now o ON o.kind = 'issuance' AND o.at = g.day AND o.key LIKE '% success'
GROUP BY g.day ORDER BY g.day;
