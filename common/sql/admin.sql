-- What `certctl status` shows.  Whether a process lives is judged by the
-- database's clock: a worker by its lease, the others by a row that is
-- refreshed every second.

-- name: admin_apiservers :many
SELECT a.incarnation, a.name, a.host, a.pid, a.url, a.version,
    to_char(a.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS started_at,
    to_char(a.seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS seen_at,
    a.seen_at > clock_timestamp() - policy_alive() AS alive
FROM apiservers a
ORDER BY a.started_at, a.incarnation
LIMIT 1000;

-- name: admin_schedulers :many
SELECT s.incarnation, s.name, s.host, s.pid, s.url, s.version,
    to_char(s.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS started_at,
    to_char(s.seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS seen_at,
    s.seen_at > clock_timestamp() - policy_alive() AS alive
FROM schedulers s
ORDER BY s.started_at, s.incarnation
LIMIT 1000;

-- name: admin_workers :many
SELECT w.incarnation, w.name, w.host, w.pid, w.version, w.slots,
    to_char(w.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS started_at,
    to_char(w.lease_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS lease_until,
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
    to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS now,
    to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS started_at,
    pg_database_size(current_database()) AS size_bytes,
    (SELECT count(*) FROM pg_stat_activity a WHERE a.datname = current_database()) AS connections;

-- Every duty of the leader's table.  It is late when its planned run is past
-- by more than five seconds and a tenth of its interval, whoever is to blame;
-- a run of a term that is over was cut off.
-- name: admin_duties :many
SELECT d.name, CASE WHEN d.off_reason <> '' THEN 'off' WHEN d.is_running THEN 'running'
        WHEN d.late_ms > 5000 + d.interval_ms / 10 THEN 'late' ELSE 'waiting' END AS state,
    d.off_reason, d.interval_ms, d.timeout_ms, d.last_started_at AT TIME ZONE 'UTC' AS last_started_at,
    d.last_finished_at AT TIME ZONE 'UTC' AS last_finished_at, d.last_duration_ms,
    CASE WHEN d.last_outcome = 'running' AND NOT d.is_running THEN 'interrupted' ELSE d.last_outcome END AS last_outcome,
    d.last_error, d.last_rows, d.due_at AT TIME ZONE 'UTC' AS next_run_at,
    CASE WHEN d.is_running THEN 0 ELSE d.late_ms END AS late_ms, d.runs, d.failures, d.skipped,
    d.run_requested_at AT TIME ZONE 'UTC' AS run_requested_at
FROM (SELECT o.*, p.due_at, coalesce(greatest((extract(epoch FROM clock_timestamp() - p.due_at) * 1000)::bigint, 0), 0) AS late_ms,
        o.last_outcome = 'running' AND o.term = l.term AND l.expires_at > clock_timestamp() AS is_running
    FROM duties o
    JOIN leadership l ON l.id = 1
    CROSS JOIN LATERAL (SELECT CASE WHEN o.off_reason = ''
        THEN coalesce(o.next_run_at, o.last_started_at + make_interval(secs => o.interval_ms / 1000.0)) END AS due_at) p) d
ORDER BY d.name;

-- name: admin_duties_total :one
SELECT count(*) AS total, false AS is_capped FROM duties;

-- name: admin_duty_run :one
SELECT $1::text AS duty, r.outcome, 'run_requested' AS status, r.requested_at AT TIME ZONE 'UTC' AS requested_at, r.detail,
    CASE WHEN r.outcome = 'running' THEN 'it runs now, and again as soon as this run has ended'
        WHEN NOT l.expires_at > clock_timestamp() THEN 'no scheduler leads; it runs when one does' ELSE '' END AS note
FROM duty_run_request($1, $2, $3) r JOIN leadership l ON l.id = 1;
