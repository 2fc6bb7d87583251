-- How migrations are booked.  Run by a blocking connection, each by its text; the
-- check at start asks through a pool.

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

-- name: migrate_applied :many fresh
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

-- --- the functions of a version ---

-- name: migrate_code_is_there :one fresh
SELECT count(*) > 0 AS is_there FROM pg_namespace n WHERE n.nspname = $1 AND has_schema_privilege(n.oid, 'USAGE');

-- For the transaction: what is made without a schema's name is made in this one,
-- and migrate_code_prove keeps it for functions.  pg_catalog is first where it isn't
-- named.  Functions may call what is made after them.
-- name: migrate_code_enter :one
SELECT set_config('search_path', $1 || ', public, pg_temp', true), set_config('certctl.code_schema', $1, true),
    set_config('check_function_bodies', 'off', true);

-- name: migrate_code_make :exec
DO $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', current_setting('certctl.code_schema'));
END $$;

-- What check_function_bodies would have told of each.  One with its owner's rights,
-- and a trigger's, finds names by this path whatever the session's is: said here,
-- so that none can lack it.
-- name: migrate_code_prove :exec
DO $$
DECLARE
    f record;
BEGIN
    PERFORM set_config('check_function_bodies', 'on', true);
    FOR f IN SELECT p.oid, p.oid::regprocedure AS name, l.lanname, p.prosecdef OR p.prorettype = 'trigger'::regtype AS is_bound
        FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
        WHERE p.pronamespace = current_schema()::regnamespace ORDER BY p.proname
    LOOP
        IF f.is_bound THEN
            EXECUTE format('ALTER FUNCTION %s SET search_path FROM CURRENT', f.name);
        END IF;
        BEGIN
            IF f.lanname = 'sql' THEN
                PERFORM fmgr_sql_validator(f.oid);
            ELSE
                PERFORM plpgsql_validator(f.oid);
            END IF;
        EXCEPTION WHEN OTHERS THEN
            RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = f.name || ': ' || SQLERRM;
        END;
    END LOOP;
END $$;

-- Triggers that another version made and this one does not have.
-- name: migrate_code_take_over :exec
DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT g.tgname, g.tgrelid::regclass AS relation FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname ~ '^certctl_[0-9a-f]{12}$' AND n.nspname <> current_schema() AND g.tgparentid = 0
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.relation);
    END LOOP;
END $$;

-- name: migrate_code_book :exec
INSERT INTO public.code_schemas (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET installed_at = clock_timestamp();

-- name: migrate_code_grant :exec
SELECT rights_grant();

-- name: migrate_code_drop_unused :many
SELECT d.name FROM code_schemas_drop_unused($1::bigint) AS d (name);

-- name: migrate_has_processes :one
SELECT count(*) = 3 AS is_there FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relname IN ('workers', 'schedulers', 'apiservers');

-- $1: seconds that a process without a lease counts as living after it was seen.
-- name: migrate_processes :many
SELECT 'worker' AS program, w.name, w.host, w.pid FROM public.workers w WHERE w.lease_until > clock_timestamp()
UNION ALL
SELECT 'scheduler', s.name, s.host, s.pid FROM public.schedulers s
WHERE s.seen_at > clock_timestamp() - make_interval(secs => $1::int)
UNION ALL
SELECT 'apiserver', a.name, a.host, a.pid FROM public.apiservers a
WHERE a.seen_at > clock_timestamp() - make_interval(secs => $1::int)
ORDER BY 1, 2, 3, 4;

-- Triggers and defaults go with them.
-- name: migrate_code_drop_all :exec
DO $$
DECLARE
    s name;
BEGIN
    FOR s IN SELECT n.nspname FROM pg_namespace n WHERE n.nspname ~ '^certctl_[0-9a-f]{12}$' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', s);
    END LOOP;
    IF to_regclass('public.code_schemas') IS NOT NULL THEN
        DELETE FROM public.code_schemas;
    END IF;
END $$;
