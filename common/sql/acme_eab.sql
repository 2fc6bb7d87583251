-- Keys of external account binding (RFC 8555 section 7.3.4).

-- fragment: acme_eab_state_of of
acme_eab_state({of}.revoked_at, {of}.uses, {of}.reusable, {of}.expires_at, (SELECT engine_now()))

-- fragment: acme_eab_columns of
{of}.key_id AS id, {of}.profile_id, {of}.profile_id IS NULL AS any_profile, {of}.owner_id, {of}.description, {of}.reusable, acme_eab_state({of}.revoked_at, {of}.uses, {of}.reusable, {of}.expires_at, (SELECT engine_now())) AS status, {of}.uses,
    {of}.account_id, {of}.expires_at AT TIME ZONE 'UTC' AS expires_at, {of}.used_at AT TIME ZONE 'UTC' AS used_at,
    {of}.revoked_at AT TIME ZONE 'UTC' AS revoked_at, {of}.created_by, {of}.created_at AT TIME ZONE 'UTC' AS created_at

-- The newest first.  $1 status, $2 profile, $3 owner.
-- name: acme_eab_key_list :many fresh
SELECT {acme_eab_columns k} FROM acme_eab_keys k
WHERE ($1::text IS NULL OR {acme_eab_state_of k} = $1) AND ($2::text IS NULL OR k.profile_id = $2) AND ($3::text IS NULL OR k.owner_id = $3)
    AND ($6::timestamptz IS NULL OR (k.created_at, k.key_id) < ($6::timestamptz, $7))
ORDER BY k.created_at DESC, k.key_id DESC
LIMIT $4::bigint OFFSET $5::bigint;

-- name: acme_eab_key_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (SELECT 1 FROM acme_eab_keys k
WHERE ($1::text IS NULL OR {acme_eab_state_of k} = $1) AND ($2::text IS NULL OR k.profile_id = $2) AND ($3::text IS NULL OR k.owner_id = $3)
LIMIT 10001) AS found) AS n;

-- name: acme_eab_key_get :many
SELECT {acme_eab_columns k} FROM acme_eab_keys k WHERE k.key_id = $1;

-- One that is sealed, whose salt serves again.
-- name: acme_eab_key_sealed :many
SELECT encode(k.hmac_sealed, 'hex') AS hmac_sealed FROM acme_eab_keys k WHERE k.hmac_sealed <> '' ORDER BY k.created_at DESC LIMIT 1;

-- Those behind $1 in the order of their ids whose secret is still kept.
-- name: acme_eab_keys_sealed :many
SELECT k.key_id, encode(k.hmac_sealed, 'hex') AS hmac_sealed FROM acme_eab_keys k
WHERE k.key_id > $1 AND k.hmac_sealed <> '' ORDER BY k.key_id LIMIT $2::bigint;

-- The keys $1, as they were read ($2) and as they are to be ($3): who was used or revoked meanwhile stays as it is.  $4, $5 who does it.
-- name: acme_eab_keys_reseal :one
WITH held AS MATERIALIZED (
    SELECT k.key_id FROM acme_eab_keys k WHERE k.key_id = ANY ($1::text[]) ORDER BY k.key_id FOR NO KEY UPDATE
), changed AS (
    UPDATE acme_eab_keys k SET hmac_sealed = decode(u.fresh, 'hex')
    FROM unnest($1::text[], $2::text[], $3::text[]) AS u (id, was, fresh) JOIN held h ON h.key_id = u.id
    WHERE k.key_id = u.id AND k.hmac_sealed = decode(u.was, 'hex') RETURNING k.key_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $4, $5, 'acme_eab_keys_resealed', 'acme_eab_key', max(c.key_id), jsonb_build_object('keys', count(*)), 'auth' FROM changed c
    HAVING count(*) > 0
)
SELECT count(*) AS n FROM changed c;

-- $1 the body, $2 id, $3 the key, sealed, in hex, $4 and $5 who makes it.  No row: it would have expired already.
-- name: acme_eab_key_create :many
WITH given AS (SELECT $1::jsonb AS j, engine_now() AS now),
made AS (
    INSERT INTO acme_eab_keys (key_id, profile_id, owner_id, description, reusable, expires_at, hmac_sealed, created_by, created_at)
    SELECT $2, g.j ->> 'profile_id', g.j ->> 'owner_id', g.j ->> 'description', (g.j ->> 'reusable')::bool, (g.j ->> 'expires_at')::timestamptz,
        decode($3, 'hex'), $4, g.now FROM given g WHERE ((g.j ->> 'expires_at')::timestamptz <= g.now) IS NOT TRUE RETURNING *
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $4, $5, 'acme_eab_key_created', 'acme_eab_key', m.key_id, jsonb_strip_nulls(jsonb_build_object('profile_id', m.profile_id,
        'owner_id', m.owner_id, 'reusable', m.reusable, 'expires_at', m.expires_at)), 'auth' FROM made m
)
SELECT {acme_eab_columns m} FROM made m;

-- No row: there is none, or it is revoked already.
-- name: acme_eab_key_revoke :many
WITH changed AS (
    UPDATE acme_eab_keys k SET revoked_at = engine_now(), hmac_sealed = '' WHERE k.key_id = $1 AND k.revoked_at IS NULL RETURNING *
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'acme_eab_key_revoked', 'acme_eab_key', c.key_id, '{}', 'auth' FROM changed c
)
SELECT {acme_eab_columns c} FROM changed c;

-- name: acme_eab_key_delete :many
WITH gone AS (
    DELETE FROM acme_eab_keys k WHERE k.key_id = $1 RETURNING *
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'acme_eab_key_deleted', 'acme_eab_key', g.key_id, jsonb_build_object('status', {acme_eab_state_of g}), 'auth' FROM gone g
)
SELECT g.key_id AS id FROM gone g;

-- What a client's binding is held against: the key of $1, and the account that $2, its profile, has by now of its own key, $3.
-- name: acme_eab_key_ask :one
SELECT CASE WHEN k.key_id IS NULL THEN 'unknown' WHEN k.profile_id <> $2 THEN 'foreign' ELSE {acme_eab_state_of k} END AS word,
    encode(k.hmac_sealed, 'hex') AS hmac_sealed, a.account_id, a.status, to_json(a.contact)::text AS contact
FROM (VALUES ($1::text, $2::text, $3::text)) AS q (key_id, profile_id, thumbprint) LEFT JOIN acme_eab_keys k ON k.key_id = q.key_id
LEFT JOIN acme_accounts a ON a.profile_id = q.profile_id AND a.jwk_thumbprint = q.thumbprint;
