-- What a role gives within a scope: of two scopes the narrower one counts, different ones leave nothing.
CREATE FUNCTION auth_role_gives(p_role text, p_scope_type text, p_scope_id text)
RETURNS TABLE (permission_id text, scope_type text, scope_id text) LANGUAGE sql STABLE AS $$
    SELECT rp.permission_id, CASE WHEN p_scope_type = 'global' THEN rp.scope_type ELSE p_scope_type END,
        CASE WHEN p_scope_type = 'global' THEN rp.scope_id ELSE p_scope_id END
    FROM role_permissions rp WHERE rp.role_id = p_role AND (p_scope_type = 'global' OR rp.scope_type = 'global'
        OR (rp.scope_type, rp.scope_id) = (p_scope_type, p_scope_id))
$$;

-- Whether one can act as the other, who has their key, or has made it anew; or one who has the key of one who has it, ...
CREATE FUNCTION actor_acts_as(p_one text, p_other text) RETURNS bool LANGUAGE sql STABLE AS $$
    WITH RECURSIVE k AS (
        SELECT a.name AS holder, v.name FROM api_keys a CROSS JOIN LATERAL (VALUES (a.rotated_by),
            (CASE WHEN a.old_until > clock_timestamp() THEN a.old_rotated_by END)) v (name) WHERE v.name IS NOT NULL
    ), who (name) AS (SELECT p_other UNION SELECT k.name FROM who JOIN k ON k.holder = who.name)
    SELECT EXISTS (SELECT 1 FROM who WHERE who.name = p_one)
$$;
CREATE FUNCTION actors_are_one(p_one text, p_other text) RETURNS bool LANGUAGE sql STABLE AS $$
    SELECT coalesce(p_one = p_other OR actor_acts_as(p_one, p_other) OR actor_acts_as(p_other, p_one), false)
$$;

-- What an actor may do, and until when, which is no longer than the key is good.  p_fallback is the role of one that was
-- given none (NULL: none); an administrator holds r-admin, whatever else.
CREATE FUNCTION auth_held(p_actor text, p_type text, p_fallback text, p_is_admin bool)
RETURNS TABLE (permission_id text, scope_type text, scope_id text, until timestamptz) LANGUAGE sql STABLE AS $$
    WITH held AS (
        SELECT ar.role_id, ar.scope_type, ar.scope_id, ar.expires_at FROM actor_roles ar
        WHERE ar.actor_id = p_actor AND ar.actor_type = p_type
        UNION ALL SELECT 'r-admin', 'global', NULL, NULL WHERE p_is_admin
        UNION ALL SELECT p_fallback, 'global', NULL, NULL
        WHERE NOT EXISTS (SELECT 1 FROM actor_roles ar WHERE ar.actor_id = p_actor AND ar.actor_type = p_type))
    SELECT g.permission_id, g.scope_type, g.scope_id, least(h.expires_at, k.expires_at, 'infinity')
    FROM held h CROSS JOIN auth_role_gives(h.role_id, h.scope_type, h.scope_id) g
        LEFT JOIN api_keys k ON k.name = p_actor AND p_type = 'APIKey'
    WHERE least(h.expires_at, k.expires_at, 'infinity') > clock_timestamp()
$$;
