-- Who a presented key belongs to, and what its holder may do.

-- Keys made through the API, and agents' own keys; both are known by the
-- SHA-256 of the key only.  A retired agent is still known, so that it can be
-- told that it is retired.
-- name: auth_by_hash :many
SELECT 'key' AS kind, k.name AS id, k.admin AS is_admin, false AS is_retired
FROM api_keys k
WHERE k.key_hash = $1 AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
UNION ALL
SELECT 'agent', a.id, false, a.retired_at IS NOT NULL
FROM agents a
WHERE a.api_key_hash = $1;

-- $1 actor, $2 its type, $3 the role of an actor that was given none (NULL:
-- none).  Of a grant's two scopes the narrower one counts; different ones
-- leave nothing.
-- name: authz_permissions :many
WITH given AS (
    SELECT ar.role_id, ar.scope_type, ar.scope_id
    FROM actor_roles ar
    WHERE ar.actor_id = $1 AND ar.actor_type = $2 AND (ar.expires_at IS NULL OR ar.expires_at > clock_timestamp())
), held AS (
    SELECT g.role_id, g.scope_type, g.scope_id FROM given g
    UNION ALL
    SELECT $3::text, 'global', NULL
    WHERE $3::text IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM actor_roles ar WHERE ar.actor_id = $1 AND ar.actor_type = $2)
)
SELECT DISTINCT p.name AS permission,
    CASE WHEN h.scope_type = 'global' THEN rp.scope_type ELSE h.scope_type END AS scope_type,
    CASE WHEN h.scope_type = 'global' THEN rp.scope_id ELSE h.scope_id END AS scope_id
FROM held h
JOIN role_permissions rp ON rp.role_id = h.role_id
JOIN permissions p ON p.id = rp.permission_id
WHERE h.scope_type = 'global' OR rp.scope_type = 'global'
    OR (h.scope_type = rp.scope_type AND h.scope_id = rp.scope_id)
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

-- $1 the id of one, or NULL for all.
-- name: auth_role_list :many fresh
SELECT r.id, r.tenant_id, r.name, r.description, date_trunc('second', r.created_at AT TIME ZONE 'UTC') AS created_at,
    date_trunc('second', r.updated_at AT TIME ZONE 'UTC') AS updated_at
FROM roles r
WHERE $1::text IS NULL OR r.id = $1
ORDER BY r.id;

-- name: auth_role_grants :many
SELECT rp.role_id, rp.permission_id, rp.scope_type, rp.scope_id
FROM role_permissions rp
WHERE rp.role_id = $1
ORDER BY 2, 3, 4;

-- The keys of the database, and whoever else holds a role as a key: a name of
-- the environment's.  Grants that ended count no more.
-- name: auth_key_list :many
SELECT a.actor_id, 'APIKey' AS actor_type, min(a.tenant_id) AS tenant_id,
    array_to_json(coalesce(array_agg(DISTINCT a.role_id) FILTER (WHERE a.role_id IS NOT NULL), '{}')) AS role_ids
FROM (SELECT k.name AS actor_id, k.tenant_id, NULL AS role_id FROM api_keys k
    WHERE k.expires_at IS NULL OR k.expires_at > clock_timestamp()
    UNION ALL
    SELECT ar.actor_id, ar.tenant_id, ar.role_id FROM actor_roles ar
    WHERE ar.actor_type = 'APIKey' AND (ar.expires_at IS NULL OR ar.expires_at > clock_timestamp())) AS a
GROUP BY 1
ORDER BY 1;
