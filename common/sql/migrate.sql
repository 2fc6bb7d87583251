-- How migrations are booked.  Run by a blocking connection, each by its text.

-- One number for all of certctl; held while files are applied or reverted.
-- name: migrate_lock :one
SELECT pg_advisory_lock(7167301264);

-- name: migrate_unlock :one
SELECT pg_advisory_unlock(7167301264);

-- name: migrate_table :exec
CREATE TABLE IF NOT EXISTS public.schema_migrations (
    version text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Every process looks at start whether the schema is one it knows.
-- name: migrate_table_grant :exec
GRANT SELECT ON public.schema_migrations TO PUBLIC;

-- name: migrate_applied :many
SELECT m.version FROM public.schema_migrations m ORDER BY m.version;

-- name: migrate_begin :exec
BEGIN;

-- name: migrate_commit :exec
COMMIT;

-- name: migrate_rollback :exec
ROLLBACK;

-- name: migrate_book :exec
INSERT INTO public.schema_migrations (version) VALUES ($1);

-- name: migrate_unbook :exec
DELETE FROM public.schema_migrations m WHERE m.version = $1;
