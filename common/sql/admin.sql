-- What `certctl status` shows.  Whether a process lives is judged by the
-- database's clock: a worker by its lease, the others by a row that is
-- refreshed every second.

-- name: admin_apiservers :many
SELECT a.incarnation, a.name, a.host, a.pid, a.url, a.version, a.server,
    a.started_at AT TIME ZONE 'UTC' AS started_at,
    a.seen_at AT TIME ZONE 'UTC' AS seen_at,
    a.seen_at > clock_timestamp() - policy_alive() AS alive
FROM apiservers a
ORDER BY a.started_at, a.incarnation
LIMIT 1000;

-- name: admin_schedulers :many
SELECT s.incarnation, s.name, s.host, s.pid, s.url, s.version, s.server,
    s.started_at AT TIME ZONE 'UTC' AS started_at,
    s.seen_at AT TIME ZONE 'UTC' AS seen_at,
    s.seen_at > clock_timestamp() - policy_alive() AS alive
FROM schedulers s
ORDER BY s.started_at, s.incarnation
LIMIT 1000;

-- name: admin_workers :many
SELECT w.incarnation, w.name, w.host, w.pid, w.version, w.slots, w.server, w.fault, w.fault_detail,
    w.fault_since AT TIME ZONE 'UTC' AS fault_since,
    w.started_at AT TIME ZONE 'UTC' AS started_at,
    w.lease_until AT TIME ZONE 'UTC' AS lease_until,
    w.lease_until > clock_timestamp() AS alive
FROM workers w
ORDER BY w.started_at, w.incarnation
LIMIT 1000;

-- name: admin_leader :one
SELECT l.term, l.holder, coalesce(s.name, l.holder) AS name, l.expires_at > clock_timestamp() AS alive,
    CASE WHEN l.expires_at > clock_timestamp()
        THEN ceil(extract(epoch FROM l.expires_at - clock_timestamp()) * 1000)::bigint ELSE 0 END AS expires_in_ms
FROM leadership l
LEFT JOIN schedulers s ON s.incarnation = l.holder
WHERE l.id = 1;

-- name: admin_database :one
SELECT current_setting('server_version') AS version, current_database() AS name,
    clock_timestamp() AT TIME ZONE 'UTC' AS now,
    pg_postmaster_start_time() AT TIME ZONE 'UTC' AS started_at,
    pg_database_size(current_database()) AS size_bytes,
    (SELECT count(*) FROM pg_stat_activity a WHERE a.datname = current_database()) AS connections;

-- Every duty of the leader's table; a run of a term that is over was cut off.
-- name: admin_duties :many
SELECT d.name, CASE WHEN d.off_reason <> '' THEN 'off' WHEN d.is_running THEN 'running'
        WHEN duty_is_late(d.late_ms, d.interval_ms) THEN 'late' ELSE 'waiting' END AS state,
    d.off_reason, d.interval_ms, d.timeout_ms, d.last_started_at AT TIME ZONE 'UTC' AS last_started_at,
    d.last_finished_at AT TIME ZONE 'UTC' AS last_finished_at, d.last_duration_ms, d.outcome AS last_outcome,
    d.last_error, d.last_rows, d.due_at AT TIME ZONE 'UTC' AS next_run_at, d.late_ms, d.runs, d.failures, d.skipped,
    d.run_requested_at AT TIME ZONE 'UTC' AS run_requested_at
FROM duties_now d
ORDER BY d.name;

-- name: admin_duties_total :one
SELECT count(*) AS total, false AS is_capped FROM duties;

-- name: admin_duty_run :one
SELECT $1::text AS duty, r.outcome, 'run_requested' AS status, r.requested_at AT TIME ZONE 'UTC' AS requested_at, r.detail,
    CASE WHEN r.outcome = 'running' THEN 'it runs now, and again as soon as this run has ended'
        WHEN NOT l.expires_at > clock_timestamp() THEN 'no scheduler leads; it runs when one does' ELSE '' END AS note
FROM duty_run_request($1, $2, $3) r JOIN leadership l ON l.id = 1;

-- What is unknown to the database, and what certctl recover would do with it.
-- name: admin_recovery :many
SELECT r.issuer_id, r.serial_number, r.job_id, coalesce(nullif(r.certificate_id, ''), r.journalled_certificate) AS certificate_id,
    r.certificate_id <> '' AS is_certificate_known, r.journalled_at AT TIME ZONE 'UTC' AS journalled_at, r.host, r.outcome,
    coalesce($1::jsonb ->> r.why, r.why) AS reason, u.target_id, u.agent_id
FROM (SELECT o.issuer_id, o.serial_number, o.job_id, o.certificate_id, o.journalled_certificate, o.journalled_at, o.host, o.outcome, o.why
    FROM recovery o
    UNION ALL SELECT '', s.serial_number, '', coalesce(s.certificate_id, ''), coalesce(s.certificate_id, ''), s.since, '',
        CASE WHEN s.certificate_id IS NULL THEN 'tell' ELSE 'renew' END, 'served'
    FROM served_unknown s WHERE NOT EXISTS (SELECT 1 FROM recovery o WHERE o.serial_number = s.serial_number)) r
LEFT JOIN (SELECT DISTINCT ON (o.serial_number) o.serial_number, o.target_id, o.agent_id FROM served_unknown o
    ORDER BY o.serial_number, o.target_id) u ON u.serial_number = r.serial_number
ORDER BY r.journalled_at, r.serial_number
LIMIT 1000;

-- name: admin_recovery_total :one
SELECT (SELECT count(*) FROM recovery) + (SELECT count(*) FROM served_unknown s
    WHERE NOT EXISTS (SELECT 1 FROM recovery o WHERE o.serial_number = s.serial_number)) AS total, false AS is_capped;

-- name: admin_recover :one
SELECT coalesce(r.serials, 0) AS serials, r.reentered, r.recreated, r.revoked, r.unknown_issuer, r.renewed,
    r.gap_from AT TIME ZONE 'UTC' AS gap_from, r.gap_to AT TIME ZONE 'UTC' AS gap_to, r.unknown_agents, r.unknown_targets,
    r.outside_issuers, r.taken_targets, r.epoch, r.copy_at AT TIME ZONE 'UTC' AS copy_at,
    array_to_json(coalesce(recover_served($1, $2), '{}')) AS served_unknown
FROM recover($1, $2, $3) AS done CROSS JOIN jsonb_to_record(done) AS r (serials bigint, reentered bigint, recreated bigint, revoked bigint,
    unknown_issuer bigint, renewed bigint, gap_from timestamptz, gap_to timestamptz, unknown_agents json, unknown_targets json,
    outside_issuers json, taken_targets json, epoch int, copy_at timestamptz);

-- What is not as it should be: of each kind how many there are (a hundred: or
-- more), and the oldest; $1 to $3: what the asking process knows beside them.
-- name: admin_conditions :many
SELECT c.name, c.count, c.subject, c.since AT TIME ZONE 'UTC' AS since, c.detail
FROM (SELECT DISTINCT ON (o.name) o.name, o.subject, o.since, o.detail, count(*) OVER (PARTITION BY o.name) AS count
    FROM (SELECT * FROM conditions
        UNION ALL SELECT f.name, '', to_timestamp(f.since_ms / 1000.0), f.detail
        FROM unnest($1::text[], $2::bigint[], $3::text[]) AS f (name, since_ms, detail)) o
    ORDER BY o.name, o.since, o.subject) c
ORDER BY c.name;
