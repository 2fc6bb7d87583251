-- The rows by which every process makes itself known.

-- Which of our sessions have executed everything and wait for a standby to
-- confirm it; only a role's own are told.
-- name: db_sessions :many
SELECT a.pid, coalesce(a.wait_event = 'SyncRep', false) AS is_waiting
FROM pg_stat_activity a WHERE a.pid = ANY($1::int[]) AND a.state <> 'idle';

-- name: apiserver_seen :one
SELECT apiserver_seen($1, $2, $3, $4::int, $5, $6);
