-- Who a presented key belongs to, and what its holder may do.

-- Keys made through the API, for a while the ones before them, and agents' own
-- keys; all are known by the SHA-256 of the key only.  A retired agent is still known, so that it can be
-- told that it is retired.
-- name: auth_by_hash :many
SELECT 'key' AS kind, k.name AS id, k.admin AS is_admin, false AS is_retired
FROM api_keys k
WHERE (k.key_hash = $1 OR (k.old_hash = $1 AND k.old_until > clock_timestamp()))
    AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
UNION ALL
SELECT 'agent', a.id, false, a.retired_at IS NOT NULL
FROM agents a
WHERE a.api_key_hash = $1;

-- $1 actor, $2 its type, $3 the role of an actor that was given none (NULL:
-- none).
-- name: authz_permissions :many
SELECT DISTINCT p.name AS permission, h.scope_type, h.scope_id
FROM auth_held($1, $2, $3, false) h
JOIN permissions p ON p.id = h.permission_id
ORDER BY 1, 2, 3;

-- The same parameters; the roles themselves, for GET /auth/check.
-- name: auth_roles :many
SELECT DISTINCT r.role_id
FROM (
    SELECT ar.role_id
    FROM actor_roles ar
    WHERE ar.actor_id = $1 AND ar.actor_type = $2 AND (ar.expires_at IS NULL OR ar.expires_at > clock_timestamp())
    UNION ALL
    SELECT $3::text
    WHERE $3::text IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM actor_roles ar WHERE ar.actor_id = $1 AND ar.actor_type = $2)
) AS r
ORDER BY 1;

-- What an administrator holds: everything.
-- name: auth_all_permissions :many
SELECT p.name AS permission, 'global' AS scope_type, NULL::text AS scope_id
FROM permissions p
ORDER BY 1;

-- name: auth_permission_list :many
SELECT p.id, p.name, p.namespace FROM permissions p ORDER BY p.name;

-- noun: role
--   table: roles r
--   id: 'r-' || gen_random_uuid()
--   column: tenant_id text
--   column: name text create update
--   column: description text create update
--   column: created_at time
--   column: updated_at time
--   on create: tenant_id 't-default'
--   shown: created_at date_trunc('second', {} AT TIME ZONE 'UTC')
--   shown: updated_at date_trunc('second', {} AT TIME ZONE 'UTC')
--   held by: actor_roles.role_id
--   audit: auth

-- name: auth_role_grants :many
SELECT rp.role_id, rp.permission_id, rp.scope_type, rp.scope_id
FROM role_permissions rp
WHERE rp.role_id = $1
ORDER BY 2, 3, 4;

-- The keys of the database, those of the environment ($1 the administrators'
-- names, $2 the others'), and whoever else holds a role as a key.  Grants that
-- ended count no more.
-- name: auth_key_list :many
WITH given AS (
    SELECT ar.actor_id, ar.role_id FROM actor_roles ar
    WHERE ar.actor_type = 'APIKey' AND (ar.expires_at IS NULL OR ar.expires_at > clock_timestamp())
)
SELECT a.actor_id, 'APIKey' AS actor_type, 't-default' AS tenant_id,
    array_to_json(coalesce(array_agg(DISTINCT a.role_id) FILTER (WHERE a.role_id IS NOT NULL), '{}')) AS role_ids,
    min(a.expires_at) AT TIME ZONE 'UTC' AS expires_at, min(a.old_until) AT TIME ZONE 'UTC' AS old_key_until
FROM (
    SELECT k.name AS actor_id, CASE WHEN k.admin THEN 'r-admin' END AS role_id, k.expires_at,
        CASE WHEN k.old_until > clock_timestamp() THEN k.old_until END AS old_until
    FROM api_keys k
    WHERE k.expires_at IS NULL OR k.expires_at > clock_timestamp()
    UNION ALL
    SELECT g.actor_id, g.role_id, NULL, NULL FROM given g
    UNION ALL
    SELECT n.name, 'r-admin', NULL, NULL FROM unnest($1::text[]) AS n (name)
    UNION ALL
    SELECT n.name, CASE WHEN EXISTS (SELECT 1 FROM actor_roles ar WHERE ar.actor_id = n.name AND ar.actor_type = 'APIKey')
        THEN NULL ELSE 'r-viewer' END, NULL, NULL FROM unnest($2::text[]) AS n (name)
) AS a
GROUP BY 1
ORDER BY 1;

-- Whoever changes roles, grants or keys comes by here first, in the same
-- transaction: what one of them checks stays true until it commits.
-- name: auth_lock :one
SELECT r.id FROM roles r WHERE r.id = 'r-admin' FOR NO KEY UPDATE;

-- $1 to $4 who asks: its id, type, fallback role, and whether it may do
-- everything.  Nobody gives what they do not hold themselves, there and as long.
-- fragment: mine
mine AS (
    SELECT h.permission_id, h.scope_type, h.scope_id, h.until FROM auth_held($1, $2, $3, $4::bool) h
)

-- fragment: beyond_mine permission until type id
NOT EXISTS (SELECT 1 FROM mine m WHERE m.permission_id = {permission} AND m.until >= {until}
    AND (m.scope_type = 'global' OR (m.scope_type, m.scope_id) = ({type}, {id})))

-- Who holds everything, and until when; names: of the environment's keys.
-- fragment: admins names
admins AS (
    SELECT k.name, least(k.expires_at, 'infinity') AS until FROM api_keys k
    WHERE k.admin AND least(k.expires_at, 'infinity') > clock_timestamp()
    UNION ALL
    SELECT ar.actor_id, least(ar.expires_at, k.expires_at, 'infinity')
    FROM actor_roles ar LEFT JOIN api_keys k ON k.name = ar.actor_id
    WHERE ar.role_id = 'r-admin' AND ar.scope_type = 'global' AND ar.actor_type = 'APIKey'
        AND (k.id IS NOT NULL OR ar.actor_id = ANY({names}::text[]))
        AND least(ar.expires_at, k.expires_at, 'infinity') > clock_timestamp()
)

-- Whether nobody else holds everything as long.
-- fragment: last_admin name
EXISTS (SELECT 1 FROM admins t WHERE t.name = {name}
    AND NOT EXISTS (SELECT 1 FROM admins a WHERE a.name <> t.name AND a.until >= t.until))

-- Whether an administrator may be made by the token: none was before, and none is
-- there, be it one whose time is over.
-- fragment: bootstrap_is_open
EXISTS (SELECT 1 FROM tenants t WHERE t.id = 't-default' AND t.bootstrapped_at IS NULL)
    AND NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.admin)
    AND NOT EXISTS (SELECT 1 FROM actor_roles ar WHERE ar.role_id = 'r-admin' AND ar.scope_type = 'global'
        AND ar.actor_id <> 'actor-demo-anon')

-- name: auth_bootstrap_open :one
SELECT {bootstrap_is_open} AS is_open;

-- $1 the administrator's name, $2 the hash of its key.
-- name: auth_bootstrap :one
WITH decided AS (
    SELECT CASE
        WHEN NOT ({bootstrap_is_open}) THEN 'closed'
        WHEN EXISTS (SELECT 1 FROM api_keys k WHERE k.name = $1)
            OR EXISTS (SELECT 1 FROM actor_roles ar WHERE ar.actor_id = $1 AND ar.actor_type = 'APIKey') THEN 'taken'
        ELSE 'done' END AS outcome
), closed AS (
    UPDATE tenants t SET bootstrapped_at = clock_timestamp() FROM decided d WHERE t.id = 't-default' AND d.outcome = 'done'
), made AS (
    INSERT INTO api_keys (id, name, key_hash, created_by)
    SELECT 'ak-' || gen_random_uuid(), $1, $2, 'bootstrap' FROM decided d WHERE d.outcome = 'done'
    RETURNING id, name, created_at
), given AS (
    INSERT INTO actor_roles (id, actor_id, actor_type, role_id, granted_by, tenant_id)
    SELECT 'ar-' || gen_random_uuid(), m.name, 'APIKey', 'r-admin', 'bootstrap', 't-default' FROM made m
    RETURNING role_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT 'bootstrap', 'System', 'bootstrap.consume', 'api_key', m.name,
        jsonb_build_object('api_key_id', m.id, 'role_id', g.role_id), 'auth'
    FROM made m, given g
)
SELECT d.outcome, m.name AS actor_id, m.id AS api_key_id, m.created_at AT TIME ZONE 'UTC' AS created_at,
    NULL AS expires_at, NULL AS old_key_until
FROM decided d
LEFT JOIN made m ON true;

-- What was left of a time without keys: the grants of the actor that everybody
-- was then.  $1, $2 who asks.
-- name: auth_demo_cleanup :one
WITH removed AS (
    DELETE FROM actor_roles ar WHERE ar.actor_id = 'actor-demo-anon' RETURNING ar.role_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $1, $2, 'auth.demo_residual_removed', 'api_key', 'actor-demo-anon',
        jsonb_build_object('role_ids', array_agg(r.role_id)), 'auth'
    FROM removed r HAVING count(*) > 0
)
SELECT 'done' AS outcome, count(*) AS removed FROM removed;

-- $5 the role, $6 the permission, $7 the scope, $8 its id.
-- name: auth_permission_add :one
WITH {mine}, decided AS (
    SELECT p.id, CASE
        WHEN NOT EXISTS (SELECT 1 FROM roles r WHERE r.id = $5) THEN 'no_role'
        WHEN p.id IS NULL THEN 'no_permission'
        WHEN {beyond_mine p.id 'infinity' $7 $8} THEN 'beyond'
        ELSE 'done' END AS outcome
    FROM (SELECT 1) AS one
    LEFT JOIN permissions p ON p.name = $6
), added AS (
    INSERT INTO role_permissions (role_id, permission_id, scope_type, scope_id)
    SELECT $5, d.id, $7, $8 FROM decided d WHERE d.outcome = 'done'
    ON CONFLICT (role_id, permission_id, scope_type, scope_id) DO NOTHING
    RETURNING role_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $1, $2, 'auth.role_permission_added', 'role', a.role_id,
        jsonb_build_object('permission', $6::text, 'scope_type', $7::text, 'scope_id', $8::text), 'auth'
    FROM added a
)
SELECT d.outcome FROM decided d;

-- $1, $2 who asks, $3 the role, $4 the permission, $5 the scope, $6 its id.
-- name: auth_permission_remove :one
WITH removed AS (
    DELETE FROM role_permissions rp USING permissions p
    WHERE p.name = $4 AND rp.permission_id = p.id AND rp.role_id = $3 AND rp.scope_type = $5
        AND rp.scope_id IS NOT DISTINCT FROM $6
    RETURNING rp.role_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $1, $2, 'auth.role_permission_removed', 'role', r.role_id,
        jsonb_build_object('permission', $4::text, 'scope_type', $5::text, 'scope_id', $6::text), 'auth'
    FROM removed r
)
SELECT CASE WHEN EXISTS (SELECT 1 FROM removed) THEN 'done' ELSE 'none' END AS outcome;

-- $5 to whom, $6 the role, $7 the scope, $8 its id, $9 until when (NULL: for
-- ever), $10 whether the environment names the key.
-- name: auth_role_assign :one
WITH {mine}, found AS (
    SELECT least(ar.expires_at, 'infinity') AS until FROM actor_roles ar
    WHERE ar.actor_id = $5 AND ar.actor_type = 'APIKey' AND ar.role_id = $6 AND ar.scope_type = $7
        AND ar.scope_id IS NOT DISTINCT FROM $8
), decided AS (
    SELECT CASE
        WHEN NOT $10::bool AND NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.name = $5) THEN 'no_key'
        WHEN NOT EXISTS (SELECT 1 FROM roles r WHERE r.id = $6) THEN 'no_role'
        WHEN w.until <= clock_timestamp() THEN 'past'
        WHEN EXISTS (SELECT 1 FROM auth_role_gives($6, $7, $8) g WHERE {beyond_mine g.permission_id w.until g.scope_type g.scope_id}) THEN 'beyond'
        WHEN f.until > w.until THEN 'longer'
        WHEN f.until = w.until THEN 'same'
        ELSE 'done' END AS outcome
    FROM (SELECT coalesce($9::timestamptz, 'infinity') AS until) AS w
    LEFT JOIN found f ON true
), given AS (
    INSERT INTO actor_roles (id, actor_id, actor_type, role_id, expires_at, granted_by, tenant_id, scope_type, scope_id)
    SELECT 'ar-' || gen_random_uuid(), $5, 'APIKey', $6, $9::timestamptz, $1, 't-default', $7, $8
    FROM decided d WHERE d.outcome = 'done'
    ON CONFLICT (actor_id, actor_type, role_id, scope_type, scope_id, tenant_id)
        DO UPDATE SET expires_at = excluded.expires_at, granted_by = excluded.granted_by, granted_at = excluded.granted_at
    RETURNING role_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $1, $2, 'auth.role_assigned', 'api_key', $5, jsonb_build_object('role_id', g.role_id, 'scope_type', $7::text,
        'scope_id', $8::text, 'expires_at', $9::timestamptz), 'auth'
    FROM given g
)
SELECT d.outcome FROM decided d;

-- $5 from whom, $6 the role, $7 the scope, $8 its id, $9 the names of the
-- environment's keys, $10 whether one of them is an administrator's, $11 what
-- role the key falls back to when it holds none (NULL: none).  An administrator
-- goes only while another stays at least as long; a role of a name that is no
-- key's makes none.
-- name: auth_role_revoke :one
WITH {mine}, {admins $9}, found AS (
    SELECT ar.id FROM actor_roles ar
    WHERE ar.actor_id = $5 AND ar.actor_type = 'APIKey' AND ar.role_id = $6 AND ar.scope_type = $7
        AND ar.scope_id IS NOT DISTINCT FROM $8
), decided AS (
    SELECT CASE
        WHEN NOT EXISTS (SELECT 1 FROM found) THEN 'none'
        WHEN NOT $10::bool AND $6 = 'r-admin' AND $7 = 'global' AND {last_admin $5} THEN 'last_admin'
        WHEN $11::text IS NOT NULL AND (SELECT count(*) FROM actor_roles ar WHERE ar.actor_id = $5 AND ar.actor_type = 'APIKey') = 1
            AND EXISTS (SELECT 1 FROM auth_role_gives($11, 'global', NULL) g WHERE
                {beyond_mine g.permission_id 'infinity' g.scope_type g.scope_id}) THEN 'beyond'
        ELSE 'done' END AS outcome
), removed AS (
    DELETE FROM actor_roles ar USING found f, decided d WHERE ar.id = f.id AND d.outcome = 'done' RETURNING ar.role_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $1, $2, 'auth.role_revoked', 'api_key', $5,
        jsonb_build_object('role_id', r.role_id, 'scope_type', $7::text, 'scope_id', $8::text), 'auth'
    FROM removed r
)
SELECT d.outcome FROM decided d;

-- $1, $2 who asks, $3 the new key's name, $4 its hash, $5 until when it is good
-- (NULL: for ever).  A name that holds roles is not given to a new key.
-- name: auth_key_create :one
WITH decided AS (
    SELECT CASE
        WHEN $5::timestamptz <= clock_timestamp() THEN 'past'
        WHEN EXISTS (SELECT 1 FROM api_keys k WHERE k.name = $3)
            OR EXISTS (SELECT 1 FROM actor_roles ar WHERE ar.actor_id = $3 AND ar.actor_type = 'APIKey') THEN 'taken'
        ELSE 'done' END AS outcome
), made AS (
    INSERT INTO api_keys (id, name, key_hash, created_by, expires_at)
    SELECT 'ak-' || gen_random_uuid(), $3, $4, $1, $5::timestamptz FROM decided d WHERE d.outcome = 'done'
    RETURNING id, name, created_at, expires_at
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $1, $2, 'auth.key_created', 'api_key', m.name, jsonb_build_object('api_key_id', m.id, 'expires_at', m.expires_at), 'auth'
    FROM made m
)
SELECT d.outcome, m.name AS actor_id, m.id AS api_key_id, m.created_at AT TIME ZONE 'UTC' AS created_at,
    m.expires_at AT TIME ZONE 'UTC' AS expires_at, NULL AS old_key_until
FROM decided d
LEFT JOIN made m ON true;

-- $5 the key's name, $6 the hash of the new one, $7 for how many seconds the
-- one before it stays good.  Whoever makes the new one has it: so they hold what
-- its holder holds, unless it is their own, and are no second person beside them.
-- name: auth_key_rotate :one
WITH {mine}, found AS (
    SELECT k.id, k.key_hash, k.rotated_by, k.admin, least(k.expires_at, 'infinity') AS until FROM api_keys k WHERE k.name = $5
), decided AS (
    SELECT CASE
        WHEN f.id IS NULL THEN 'none'
        WHEN f.until <= clock_timestamp() THEN 'ended'
        WHEN $1 <> $5 AND EXISTS (SELECT 1 FROM auth_held($5, 'APIKey', NULL, f.admin) t WHERE
            {beyond_mine t.permission_id t.until t.scope_type t.scope_id}) THEN 'beyond'
        ELSE 'done' END AS outcome
    FROM (SELECT 1) AS one
    LEFT JOIN found f ON true
), made AS (
    UPDATE api_keys k SET key_hash = $6, rotated_by = nullif($1, $5), old_rotated_by = f.rotated_by,
        old_hash = CASE WHEN $7::bigint > 0 THEN f.key_hash END,
        old_until = CASE WHEN $7::bigint > 0 THEN clock_timestamp() + make_interval(secs => $7::bigint) END
    FROM found f, decided d
    WHERE k.id = f.id AND d.outcome = 'done'
    RETURNING k.id, k.name, k.created_at, k.expires_at, k.old_until
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $1, $2, 'auth.key_rotated', 'api_key', m.name, jsonb_build_object('api_key_id', m.id, 'old_key_until', m.old_until), 'auth'
    FROM made m
)
SELECT d.outcome, m.name AS actor_id, m.id AS api_key_id, m.created_at AT TIME ZONE 'UTC' AS created_at,
    m.expires_at AT TIME ZONE 'UTC' AS expires_at, m.old_until AT TIME ZONE 'UTC' AS old_key_until
FROM decided d
LEFT JOIN made m ON true;

-- $1, $2 who asks, $3 the key's name, $4 the names of the environment's keys, $5
-- whether one of them is an administrator's.  Its roles go with it.
-- name: auth_key_delete :one
WITH {admins $4}, decided AS (
    SELECT CASE
        WHEN NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.name = $3) THEN 'none'
        WHEN NOT $5::bool AND {last_admin $3} THEN 'last_admin'
        ELSE 'done' END AS outcome
), removed AS (
    DELETE FROM api_keys k USING decided d WHERE k.name = $3 AND d.outcome = 'done' RETURNING k.id, k.name
), taken AS (
    DELETE FROM actor_roles ar USING removed r WHERE ar.actor_id = r.name AND ar.actor_type = 'APIKey' RETURNING ar.role_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $1, $2, 'auth.key_deleted', 'api_key', r.name,
        jsonb_build_object('api_key_id', r.id, 'role_ids', (SELECT array_agg(DISTINCT t.role_id) FROM taken t)), 'auth'
    FROM removed r
)
SELECT d.outcome FROM decided d;
