-- Statements of the API about ACME accounts and their orders.

-- fragment: acme_account_shown
a.account_id AS id, a.profile_id, a.status, array_to_json(a.contact) AS contact, a.jwk_thumbprint AS key_thumbprint,
    coalesce(a.owner_id, p.acme_owner_id) AS owner_id, a.eab_key_id, a.terms_agreed_at AT TIME ZONE 'UTC' AS terms_agreed_at,
    a.created_at AT TIME ZONE 'UTC' AS created_at, a.updated_at AT TIME ZONE 'UTC' AS updated_at

-- fragment: acme_account_is_wanted
($1::text IS NULL OR a.profile_id = $1) AND ($2::text IS NULL OR a.status = $2)
    AND ($3::text IS NULL OR a.owner_id = $3 OR a.owner_id IS NULL AND EXISTS (SELECT 1 FROM certificate_profiles w
        WHERE w.id = a.profile_id AND w.acme_owner_id = $3))

-- Newest first.  $1 profile, $2 status, $3 owner, $4 limit, $5 offset, $6 and $7 the row to go on behind.
-- name: acme_account_list :many fresh
SELECT {acme_account_shown} FROM acme_accounts a JOIN certificate_profiles p ON p.id = a.profile_id
WHERE {acme_account_is_wanted}
    AND ($6::timestamptz IS NULL OR (a.created_at, a.account_id) < ($6::timestamptz, $7::text))
ORDER BY a.created_at DESC, a.account_id DESC
LIMIT $4::bigint OFFSET $5::bigint;

-- name: acme_account_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM acme_accounts a WHERE {acme_account_is_wanted}
    LIMIT 10001) AS found) AS n;

-- With what it has: orders by their state, the newest of them, certificates.
-- name: acme_account_get :one
SELECT {acme_account_shown}, n.orders_pending, n.orders_ready, n.orders_processing, n.orders_valid, n.orders_invalid,
    l.order_id AS last_order_id, l.created_at AT TIME ZONE 'UTC' AS last_order_at,
    (SELECT count(*) FROM acme_certificates c WHERE c.account_id = a.account_id) AS certificates
FROM acme_accounts a JOIN certificate_profiles p ON p.id = a.profile_id
CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE s.status = 'pending') AS orders_pending, count(*) FILTER (WHERE s.status = 'ready') AS orders_ready,
    count(*) FILTER (WHERE s.status = 'processing') AS orders_processing, count(*) FILTER (WHERE s.status = 'valid') AS orders_valid,
    count(*) FILTER (WHERE s.status = 'invalid') AS orders_invalid
    FROM (SELECT acme_order_status(o.status, o.expires_at, (SELECT engine_now())) AS status FROM acme_orders o WHERE o.account_id = a.account_id) s) n
LEFT JOIN LATERAL (SELECT o.order_id, o.created_at FROM acme_orders o WHERE o.account_id = a.account_id
    ORDER BY o.created_at DESC, o.order_id DESC LIMIT 1) l ON true
WHERE a.account_id = $1;

-- $1 account, $2 actor, $3 actor type, $4 why.
-- name: acme_account_revoke :one
SELECT r.outcome, r.status FROM acme_account_revoke($1, $2, $3, $4) AS r;

-- --- orders ---

-- fragment: acme_order_shown
o.order_id AS id, o.account_id, o.profile_id, acme_order_status(o.status, o.expires_at, (SELECT engine_now())) AS status, o.identifiers, o.error,
    o.certificate_id, o.version_id, o.job_id, o.replaces, o.expires_at AT TIME ZONE 'UTC' AS expires_at,
    o.created_at AT TIME ZONE 'UTC' AS created_at, o.updated_at AT TIME ZONE 'UTC' AS updated_at

-- fragment: acme_orders_found
acme_orders o
WHERE ($1::text IS NULL OR o.account_id = $1)
    AND ($2::text IS NULL OR o.status = $2 AND (o.status NOT IN ('pending', 'ready') OR o.expires_at > (SELECT engine_now()))
        OR $2 = 'invalid' AND o.status IN ('pending', 'ready') AND o.expires_at <= (SELECT engine_now()))
    AND ($3::text IS NULL OR o.certificate_id = $3)

-- Newest first, which ids are in the order of.  $1 account, $2 status, $3 certificate, $4 limit, $5 offset, $6 the row to go on
-- behind.
-- name: acme_orders_of_all :many fresh
SELECT {acme_order_shown} FROM {acme_orders_found}
    AND ($6::text IS NULL OR o.order_id < $6)
ORDER BY o.order_id DESC
LIMIT $4::bigint OFFSET $5::bigint;

-- Those of one account, by the index of these.  $6 and $7 the row to go on behind.
-- name: acme_orders_of_account :many fresh
SELECT {acme_order_shown} FROM {acme_orders_found}
    AND ($6::timestamptz IS NULL OR (o.created_at, o.order_id) < ($6::timestamptz, $7::text))
ORDER BY o.created_at DESC, o.order_id DESC
LIMIT $4::bigint OFFSET $5::bigint;

-- name: acme_orders_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM {acme_orders_found}
    LIMIT 10001) AS found) AS n;

-- With its authorizations: a row for each of their challenges.
-- name: acme_order_get :many
SELECT {acme_order_shown}, j.status AS job_status, z.authz_id, z.identifier,
    CASE WHEN z.status IN ('pending', 'valid') AND z.expires_at <= engine_now() THEN 'expired' ELSE z.status END AS authz_status,
    z.wildcard, z.expires_at AT TIME ZONE 'UTC' AS authz_expires_at, c.challenge_id, c.type, c.status AS challenge_status, c.attempts,
    c.validated_at AT TIME ZONE 'UTC' AS validated_at, c.error AS challenge_error
FROM acme_orders o LEFT JOIN jobs j ON j.id = o.job_id LEFT JOIN acme_authorizations z ON z.order_id = o.order_id
LEFT JOIN acme_challenges c ON c.authz_id = z.authz_id
WHERE o.order_id = $1 ORDER BY z.authz_id, c.challenge_id;
