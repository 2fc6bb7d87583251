-- Statements of the unit tests of common/db and common/op only; the tests are
-- built against the enum that is made from this file.

-- name: ping :one
SELECT 1 AS one;

-- name: t_echo :one
SELECT $1::text AS a, $2::text AS b, $1 IS NULL AS a_null,
       $2::text = 'b' AS b_is_b, length($2::text) AS b_length;

-- name: t_number :one
SELECT $1::bigint AS n;

-- name: t_fresh :one fresh
SELECT count(*) AS n FROM pg_prepared_statements p WHERE p.name = $1;

-- name: t_kept :one
SELECT count(*) AS n FROM pg_prepared_statements p WHERE p.name = $1;

-- name: t_drop :exec
DROP TABLE IF EXISTS t;

-- name: t_create :exec
CREATE TABLE t (
  id int PRIMARY KEY,
  v text CONSTRAINT t_v_short CHECK (length(v) < 10),
  parent int CONSTRAINT t_parent REFERENCES t(id)
    DEFERRABLE INITIALLY DEFERRED);

-- name: t_insert :exec
INSERT INTO t (id, v, parent) VALUES ($1::int, $2, $3::int);

-- name: t_update_all :exec
UPDATE t SET v = $1;

-- name: t_count :one
SELECT count(*)::int AS n FROM t;

-- name: t_of_missing :many
SELECT id FROM t_later WHERE id = $1::int;

-- name: t_create_later :exec
CREATE TABLE t_later (id int);

-- name: t_drop_later :exec
DROP TABLE IF EXISTS t_later;

-- name: t_all :many
SELECT * FROM t ORDER BY id;

-- name: t_widen :exec
ALTER TABLE t ADD COLUMN more text;

-- name: t_sleep :one
SELECT pg_sleep($1::float8) IS NULL AS slept;

-- name: t_meet_make :exec
CREATE OR REPLACE FUNCTION t_meet(n int) RETURNS int LANGUAGE plpgsql AS
'BEGIN
PERFORM pg_advisory_lock_shared(4711, pg_backend_pid());
WHILE (SELECT count(*) FROM pg_locks WHERE locktype = ''advisory'' AND classid = 4711) < n LOOP
PERFORM pg_sleep(0.01);
END LOOP;
RETURN n; END';

-- name: t_meet :one
SELECT t_meet($1::int) AS n;

-- name: t_sleeping :one
SELECT count(*) AS n FROM pg_stat_activity a WHERE a.state = 'active' AND a.query LIKE 'SELECT pg_sleep%';

-- name: t_pid :one
SELECT pg_backend_pid() AS pid;

-- name: t_end_backend :one
SELECT pg_terminate_backend($1::int) AS ended;

-- name: t_end_by_name :one
SELECT count(pg_terminate_backend(pid))::int AS n FROM pg_stat_activity
 WHERE application_name = $1 AND pid <> pg_backend_pid();

-- name: t_array :many
SELECT item, item IS NULL AS is_null
  FROM unnest($1::text[]) WITH ORDINALITY AS u(item, at) ORDER BY at;

-- name: t_i64_array :one
SELECT array_length($1::bigint[], 1) AS n, ($1::bigint[])[1] AS first,
       ($1::bigint[])[2] AS second;

-- name: t_setting :one
SELECT current_setting($1) AS value;

-- name: t_raise_make :exec
CREATE OR REPLACE FUNCTION t_raise(state text) RETURNS int LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = ''raised'',
DETAIL = ''on purpose''; END';

-- name: t_raise :one
SELECT t_raise($1) AS never;

-- name: t_wide :many
SELECT n, repeat('x', 1000) AS filler FROM generate_series(1, $1::int) AS s(n);

-- name: t_set :one
SELECT set_config($1, $2, false) AS value;

-- name: t_flaky_make :exec
CREATE OR REPLACE FUNCTION t_flaky(state text, times int) RETURNS int LANGUAGE plpgsql AS
'DECLARE n int := nextval(''t_flaky_n''); BEGIN
IF n <= times THEN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = ''raised''; END IF;
RETURN n; END';

-- name: t_flaky_count :exec
CREATE SEQUENCE IF NOT EXISTS t_flaky_n;

-- name: t_flaky_reset :one
SELECT setval('t_flaky_n', 1, false) AS n;

-- name: t_flaky :one
SELECT t_flaky($1, $2::int) AS n;

-- As common/sql has it: the pool's own.
-- name: db_sessions :many
SELECT a.pid, coalesce(a.wait_event = 'SyncRep', false) AS is_waiting
FROM pg_stat_activity a WHERE a.pid = ANY($1::int[]) AND a.state <> 'idle';

-- name: t_standby_nobody :exec
ALTER SYSTEM SET synchronous_standby_names = 'nobody';

-- name: t_standby_none :exec
ALTER SYSTEM SET synchronous_standby_names = '';

-- name: t_reload :one
SELECT pg_reload_conf() AS reloaded;

-- name: t_backends :one
SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1;
