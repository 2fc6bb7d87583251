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
