-- The rows by which every process makes itself known.

-- Which of our sessions have executed everything and wait for a standby to
-- confirm it; only a role's own are told.
-- name: db_sessions :many
SELECT a.pid, coalesce(a.wait_event = 'SyncRep', false) AS is_waiting
FROM pg_stat_activity a WHERE a.pid = ANY($1::int[]) AND a.state <> 'idle';

-- name: apiserver_seen :one
SELECT apiserver_seen($1, $2, $3, $4::int, $5, $6);

-- In one transaction: rows that do not fit into that memory go to a temporary file.
-- name: room_probe_memory :one
SELECT set_config('work_mem', '64kB', true);

-- name: room_probe :one
SELECT count(*) AS n FROM generate_series(1, 5000) g;
