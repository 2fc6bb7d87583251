-- The ACME server: profiles, nonces, accounts.

-- fragment: acme_settings
p.enabled, p.issuer_id, p.acme_owner_id, coalesce(p.acme_renewal_policy_id, acme_policy_default()) AS policy_id,
    p.acme_auth_mode, p.acme_eab_required, i.enabled AS issuer_enabled,
    (p.acme_limits ->> 'orders_per_hour')::int AS orders_per_hour, (p.acme_limits ->> 'concurrent_orders')::int AS concurrent_orders,
    (p.acme_limits ->> 'key_changes_per_hour')::int AS key_changes_per_hour,
    (p.acme_limits ->> 'challenge_responses_per_hour')::int AS challenge_responses_per_hour

-- $1 profile.
-- name: acme_profile :many
SELECT {acme_settings} FROM certificate_profiles p LEFT JOIN issuers i ON i.id = p.issuer_id WHERE p.id = $1;

-- name: acme_nonce_keys :many
SELECT k.id, k.key FROM acme_nonce_keys_live() k;

-- What signed requests rest on, many at a time: each uses its nonce up, if nobody did before, and finds its account and profile.
-- $1: of each request, a line feed between: nonce, id of the nonce's key, when it expires (Unix time), profile, account ('': that
-- of the key), thumbprint of the key.  nonce: fresh, used, or gone (its key is).  How many there are is hidden from the planner: it
-- would take one to be so much cheaper than the ten that it expects otherwise, that it made the plan anew for each.
-- name: acme_requests :many
WITH asked AS MATERIALIZED (
    SELECT u.n AS at, u.a[1] AS nonce, u.a[2] AS key_id, u.a[3]::bigint AS expires, u.a[4] AS profile, u.a[5] AS account,
        u.a[6] AS thumbprint
    FROM (SELECT r.n, string_to_array(r.v, E'\n') AS a FROM (SELECT $1::text[] AS all_of OFFSET 0) g
        CROSS JOIN LATERAL unnest(g.all_of) WITH ORDINALITY AS r (v, n)) u
), used AS (
    INSERT INTO acme_nonces (nonce, expires_at)
    SELECT DISTINCT ON (a.nonce) a.nonce, to_timestamp(a.expires) FROM asked a JOIN acme_nonce_keys k ON k.id = a.key_id
    ORDER BY a.nonce -- of all who bring the same ones, so that none waits for another in a circle
    ON CONFLICT DO NOTHING RETURNING nonce
)
SELECT a.at, CASE WHEN NOT EXISTS (SELECT 1 FROM acme_nonce_keys k WHERE k.id = a.key_id) THEN 'gone'
        WHEN a.nonce IN (SELECT u.nonce FROM used u)
            AND NOT EXISTS (SELECT 1 FROM asked b WHERE b.nonce = a.nonce AND b.at < a.at) THEN 'fresh' ELSE 'used' END AS nonce,
    c.account_id, c.status, c.jwk_pem, to_json(c.contact)::text AS contact, c.owner_id,
    p.id AS profile_id, CASE WHEN p.id IS NOT NULL THEN row_to_json(p)::text END AS profile, {acme_settings}
FROM asked a LEFT JOIN certificate_profiles p ON p.id = a.profile LEFT JOIN issuers i ON i.id = p.issuer_id
LEFT JOIN LATERAL (
    SELECT x.account_id, x.status, x.jwk_pem, x.contact, x.owner_id FROM acme_accounts x
        WHERE x.account_id = a.account AND x.profile_id = a.profile
    UNION ALL SELECT x.account_id, x.status, x.jwk_pem, x.contact, x.owner_id FROM acme_accounts x
        WHERE a.account = '' AND x.profile_id = a.profile AND x.jwk_thumbprint = a.thumbprint) c ON true;

-- $1 profile, $2 thumbprint, $3 key, $4 contact, $5 terms agreed to, $6 id of the external account's key.
-- name: acme_account_create :one
SELECT a.outcome, a.account_id, a.status, to_json(a.contact)::text AS contact
FROM acme_account_create($1, $2, $3, $4::text[], $5::bool, $6) a;

-- $1 account, $2 contact, $3 whether it ends, $4 actor, $5 actor type.
-- name: acme_account_update :many
SELECT a.status, to_json(a.contact)::text AS contact FROM acme_account_update($1, $2::text[], $3::bool, $4, $5) a;
