-- What every new session is told and asked before it serves requests
-- (common/db/session.c).  Both go out together, each in a transaction of its own.

-- name: session_set :many
SELECT s.name, set_config(s.name, s.value, false) AS shown, pg_backend_pid() AS pid
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS s (name, value, at) ORDER BY s.at;

-- A session that is really new has prepared nothing.
-- name: session_look :many
SELECT s.name, current_setting(s.name, true) AS shown, pg_backend_pid() AS pid,
    (SELECT count(*) FROM pg_prepared_statements p) AS left_behind,
    pg_is_in_recovery() OR current_setting('transaction_read_only')::bool AS is_read_only
FROM unnest($1::text[]) WITH ORDINALITY AS s (name, at) ORDER BY s.at;

-- The session ends by itself when nothing is asked of it for so many ms (session.c).
-- name: session_die :one
SELECT set_config('idle_session_timeout', '50', false) AS shown, pg_backend_pid() AS pid;

-- name: session_pid :one
SELECT pg_backend_pid() AS pid;

-- $1: the server as the URL has it.
-- name: server_meet :one
SELECT m.system_identifier, m.timeline, m.started_at, m.lsn, m.known_timelines FROM server_meet($1) m;
