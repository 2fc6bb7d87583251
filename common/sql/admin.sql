-- What `certctl status` shows.  Whether a process lives is judged by the
-- database's clock: a worker by its lease, the others by a row that is
-- refreshed every second.

-- name: admin_apiservers :many
SELECT a.incarnation, a.name, a.host, a.pid, a.url, a.version,
    to_char(a.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS started_at,
    to_char(a.seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS seen_at,
    a.seen_at > clock_timestamp() - interval '5 seconds' AS alive
FROM apiservers a
ORDER BY a.started_at, a.incarnation
LIMIT 1000;

-- name: admin_schedulers :many
SELECT s.incarnation, s.name, s.host, s.pid, s.url, s.version,
    to_char(s.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS started_at,
    to_char(s.seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS seen_at,
    s.seen_at > clock_timestamp() - interval '5 seconds' AS alive
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
