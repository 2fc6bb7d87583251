-- Statements of scheduler.  Those that change anything carry the leader's
-- incarnation and term and do nothing once that term is over.

-- --- leadership ---

-- left_ms: how long the lease that was found still lasts, for a standby to
-- come back just after it.
-- name: leader_hold :one
SELECT s.left_ms, h.term, h.is_new, h.term IS NULL AND journal_is_ahead() AS is_behind
FROM (SELECT ceil(extract(epoch FROM greatest(l.expires_at, clock_timestamp()) - clock_timestamp()) * 1000)::bigint AS left_ms
    FROM leadership l WHERE l.id = 1) s
LEFT JOIN leadership_hold($1, $2, $3::int) h ON true;

-- name: leader_release :exec
SELECT leadership_release($1, $2);

-- name: sched_seen :exec
SELECT scheduler_seen($1, $2, $3, $4::int, $5, $6);

-- --- handing out ---

-- name: sched_lanes_due :many
SELECT issuer_id, issuer_type, cap, running, due, coalesce(allows, -1) AS allows, breaker_state <> 'closed' AS is_open, last_error
FROM lanes_due($1::text[], $2::timestamptz[], $3::text[]);

-- name: sched_tasks_due :one
SELECT due, running, lane_key(first_after) AS first_after, first_id, low_lease
FROM tasks_due($1::timestamptz, $2, $3::bigint);

-- name: sched_jobs_claim :many
SELECT lease_id, claimed, lane_key(last_after) AS last_after, last_id
FROM jobs_claim($1, $2::bigint, $3, $4, $5::int, $6::timestamptz, $7, $8::int);

-- name: sched_jobs_claim_alone :many
SELECT lease_id, claimed, lane_key(last_after) AS last_after, last_id
FROM jobs_claim_alone($1, $2::bigint, $3, $4, $5::timestamptz, $6, $7::int, $8::jsonb);

-- name: sched_tasks_claim :many
SELECT lease_id, claimed, lane_key(last_after) AS last_after, last_id, is_full
FROM tasks_claim($1, $2::bigint, $3, $4::int, $5::timestamptz, $6, $7::int);

-- name: sched_leases_free :one
SELECT freed, failed FROM leases_free($1, $2::bigint, $3, $4::bigint[], $5::bigint, $6::jsonb);

-- Frees what dead workers held.  The walk over all that is running is spared
-- unless a worker's lease ended just now or $3 asks for it.
-- name: sched_leases_sweep :many
WITH wanted AS MATERIALIZED (
    SELECT $1::text AS incarnation, $2::bigint AS term
    WHERE $3::bool OR EXISTS (SELECT 1 FROM workers w
        WHERE w.lease_until <= clock_timestamp() AND w.lease_until > clock_timestamp() - policy_sweep()))
SELECT f.freed, f.failed FROM wanted CROSS JOIN LATERAL leases_free(wanted.incarnation, wanted.term, NULL, NULL, $4::bigint, $5::jsonb) f;

-- --- duties ---

-- name: duties_register :exec
SELECT duties_register($1, $2::bigint, $3::text[], $4::bigint[], $5::bigint[], $6::text[]);

-- age_ms: since the last start; -1: never, or a run that was cut off.
-- next_ms: until the next run, as it was planned; NULL: it was not.
-- name: duty_rows :many
SELECT name, CASE WHEN last_finished_at >= last_started_at
    THEN greatest((extract(epoch FROM clock_timestamp() - last_started_at) * 1000)::bigint, 0) ELSE -1 END AS age_ms,
    greatest((extract(epoch FROM next_run_at - clock_timestamp()) * 1000)::bigint, 0) AS next_ms,
    run_requested_at IS NOT NULL AS is_requested, duty_cannot_wait(name) AS is_urgent
FROM duties;

-- No row: the term is over.  A run that was asked for and cut off is owed still.
-- name: duty_begin :many
INSERT INTO duties (name, last_started_at, last_outcome, term, next_run_at)
SELECT $3, clock_timestamp(), 'running', $2::bigint, clock_timestamp() + make_interval(secs => $4::bigint / 1000.0)
WHERE leadership_is($2::bigint, $1)
ON CONFLICT (name) DO UPDATE SET last_started_at = excluded.last_started_at, last_outcome = excluded.last_outcome,
    term = excluded.term, next_run_at = excluded.next_run_at,
    is_asked = duties.run_requested_at IS NOT NULL OR duties.is_asked AND duties.last_outcome = excluded.last_outcome,
    run_requested_at = NULL
RETURNING name;

-- name: duty_end :exec
UPDATE duties SET last_finished_at = clock_timestamp(), last_outcome = $4, last_rows = $5::bigint,
    last_duration_ms = $6::bigint, next_run_at = clock_timestamp() + make_interval(secs => $7::bigint / 1000.0),
    skipped = skipped + $8::bigint, last_error = $9, runs = runs + 1,
    failures = failures + CASE WHEN $4 = 'ok' THEN 0 ELSE 1 END
WHERE name = $3 AND leadership_is($2::bigint, $1);

-- One chunk each.  No row: the term is over.  The chunk's size goes through
-- the check of the term so that the planner can't run the function first.

-- name: duty_renewal_scan :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT d.due, d.enqueued, to_json(d.agents)::text AS agents, d.seen FROM led CROSS JOIN LATERAL duty_renewal_scan(led.n) d;

-- The end of the last tick's budget: what it started and still runs is asked
-- to stop.
-- name: duty_renewal_budget :many
WITH led AS MATERIALIZED (SELECT 1 AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_renewal_budget() AS rows FROM led;

-- name: duty_renewals_left :one
SELECT renewals_left($1::int) AS rows;

-- name: duty_redeploy :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT d.rows, to_json(d.agents)::text AS agents FROM led CROSS JOIN LATERAL duty_redeploy(led.n) d;

-- name: duty_job_timeouts :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_job_timeouts($4::bigint, $5::bigint, led.n, $6::jsonb) AS rows FROM led;

-- name: duty_agent_health :many
WITH led AS MATERIALIZED (SELECT $3::bigint AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_agent_health(led.n) AS rows FROM led;

-- name: duty_agent_rescue :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_agent_rescue($4::bigint, led.n, $5::jsonb) AS rows FROM led;

-- name: duty_certificate_status :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_certificate_status(led.n) AS rows FROM led;

-- name: duty_lock_holders :many
WITH led AS MATERIALIZED (SELECT 1 AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_lock_holders() AS rows FROM led;

-- name: duty_policy_changes :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT d.rows, d.is_more FROM led CROSS JOIN LATERAL duty_policy_changes(led.n) d;

-- name: duty_policy_scan :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT d.rows, d.is_more FROM led CROSS JOIN LATERAL duty_policy_scan(led.n, $4::bool, $5::jsonb) d;

-- name: duty_process_rows :many
WITH led AS MATERIALIZED (SELECT 1 AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_process_rows($3::bigint) AS rows FROM led;

-- name: duty_audit_sealing :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT s.rows, s.is_behind, s.lag_ms FROM led CROSS JOIN LATERAL audit_seal(led.n) s;

-- name: duty_audit_chain_verify :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT v.rows, v.is_at_end, v.fault, v.last_n, v.last_hash FROM led CROSS JOIN LATERAL audit_chain_verify(led.n, $4::jsonb) v;

-- name: duty_short_lived_expiry :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_short_lived_expiry(led.n) AS rows FROM led;

-- name: duty_idempotency_cleanup :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_idempotency_cleanup($4::bigint, led.n) AS rows FROM led;

-- name: duty_job_retention :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT d.rows, d.is_more FROM led CROSS JOIN LATERAL duty_job_retention($4::bigint, led.n) d;

-- name: duty_discovery_retention :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT d.rows, d.is_more FROM led CROSS JOIN LATERAL duty_discovery_retention($4::bigint, led.n) d;

-- name: duty_stats_fold :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_stats_fold(led.n) AS rows FROM led;

-- name: duty_event_retention :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_event_retention(led.n) AS rows FROM led;

-- name: duty_acme_cleanup :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT d.rows, d.is_more FROM led CROSS JOIN LATERAL duty_acme_cleanup($4::bigint, led.n, $5::jsonb) d;

-- name: duty_renewal_windows :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_renewal_windows(led.n) AS rows FROM led;

-- name: duty_replacements :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT d.rows, d.is_more FROM led CROSS JOIN LATERAL duty_replacements($4::bigint, led.n, $5::jsonb) d;

-- name: duty_version_retention :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT d.rows, d.is_more FROM led CROSS JOIN LATERAL duty_version_retention($4::bigint, led.n) d;

-- name: duty_audit_retention :many
WITH led AS MATERIALIZED (SELECT $3::bigint AS n WHERE leadership_is($2::bigint, $1))
SELECT d.outcome, d.partition FROM led CROSS JOIN LATERAL duty_audit_retention(led.n) d;
