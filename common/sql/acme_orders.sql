-- Orders of the ACME server (RFC 8555 section 7.4), their authorizations and challenges, and what was issued.

-- $1: of each, with E'\x1f' between: account, profile, types and values of the identifiers (E'\x1e' between them), the key of their
-- names, what it replaces ('': nothing), whether nothing is to be proven, how long order and authorizations live (ms), the
-- account's limits: orders an hour, open orders.
-- name: acme_orders_create :many
SELECT r.at, r.outcome, r.wait_s, r.order_id, r.status, r.expires_at AT TIME ZONE 'UTC' AS expires_at, r.identifiers,
    NULL::jsonb AS error, NULL::text AS version_id, nullif(g.replaces[r.at], '') AS replaces, array_to_json(r.authorizations) AS authorizations
FROM (SELECT array_agg(u.a[1] ORDER BY u.n) AS accounts, array_agg(u.a[2] ORDER BY u.n) AS profiles, array_agg(u.a[3] ORDER BY u.n) AS types,
        array_agg(u.a[4] ORDER BY u.n) AS vals, array_agg(u.a[5] ORDER BY u.n) AS names, array_agg(nullif(u.a[6], '') ORDER BY u.n) AS replaces,
        array_agg(u.a[7]::bool ORDER BY u.n) AS trusted, array_agg(u.a[8]::bigint ORDER BY u.n) AS order_ttl,
        array_agg(u.a[9]::bigint ORDER BY u.n) AS authz_ttl, array_agg(u.a[10]::int ORDER BY u.n) AS per_hour,
        array_agg(u.a[11]::int ORDER BY u.n) AS concurrent
    FROM (SELECT t.n, string_to_array(t.v, E'\x1f') AS a FROM unnest((SELECT $1::text[])) WITH ORDINALITY AS t (v, n)) u) g
CROSS JOIN LATERAL acme_orders_create(g.accounts, g.profiles, g.types, g.vals, g.names, g.replaces, g.trusted, g.order_ttl,
    g.authz_ttl, g.per_hour, g.concurrent, E'\x1e') AS r;

-- $1: orders as they are by now: their jobs may have ended.  $2: what a job ends with that nobody can go on with.
-- name: acme_orders_look :many
SELECT o.at, o.order_id, o.account_id, o.status, o.expires_at AT TIME ZONE 'UTC' AS expires_at, o.identifiers, o.error, o.job_id,
    o.version_id, o.replaces, array_to_json(o.authorizations) AS authorizations
FROM acme_orders_look($1::text[], $2) AS o;

-- An account's orders but for those that are over without a certificate.  $2 and $3: those behind this one, or NULL, $4 how many.
-- name: acme_orders_list :many
SELECT o.order_id, o.created_at AT TIME ZONE 'UTC' AS created_at FROM acme_orders o
WHERE o.account_id = $1 AND o.status <> 'invalid' AND (o.status IN ('processing', 'valid') OR o.expires_at > (SELECT engine_now()))
    AND (o.created_at, o.order_id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3, ''))
ORDER BY o.created_at DESC, o.order_id DESC LIMIT $4::bigint;

-- $1: of each, with E'\x1f' between: account, order, the key of the CSR's names, hash and algorithm of its key, the CSR.
-- name: acme_finalize :many
SELECT r.at, r.outcome, r.job_id, r.issuer_id, r.due_after
FROM (SELECT array_agg(u.a[1] ORDER BY u.n) AS accounts, array_agg(u.a[2] ORDER BY u.n) AS orders, array_agg(u.a[3] ORDER BY u.n) AS names,
        array_agg(u.a[4] ORDER BY u.n) AS keys, array_agg(u.a[5] ORDER BY u.n) AS algorithms, array_agg(u.a[6] ORDER BY u.n) AS csrs
    FROM (SELECT t.n, string_to_array(t.v, E'\x1f') AS a FROM unnest((SELECT $1::text[])) WITH ORDINALITY AS t (v, n)) u) g
CROSS JOIN LATERAL acme_finalize(g.accounts, g.orders, g.names, g.keys, g.algorithms, g.csrs) AS r;

-- With its challenges; one whose time is over is expired, whatever its row says yet.
-- name: acme_authz :many
SELECT o.account_id, z.identifier,
    CASE WHEN z.status IN ('pending', 'valid') AND z.expires_at <= engine_now() THEN 'expired' ELSE z.status END AS status,
    z.expires_at AT TIME ZONE 'UTC' AS expires_at, z.wildcard, c.challenge_id, c.type, c.status AS challenge_status, c.token,
    c.validated_at AT TIME ZONE 'UTC' AS validated_at, c.error
FROM acme_authorizations z JOIN acme_orders o ON o.order_id = z.order_id JOIN acme_challenges c ON c.authz_id = z.authz_id
WHERE z.authz_id = $1 ORDER BY c.challenge_id;

-- name: acme_authz_deactivate :one
SELECT acme_authz_deactivate($1, $2) AS outcome;

-- name: acme_challenge :many
SELECT o.account_id, c.authz_id, c.challenge_id, c.type, c.status AS challenge_status, c.token,
    c.validated_at AT TIME ZONE 'UTC' AS validated_at, c.error
FROM acme_challenges c JOIN acme_authorizations z ON z.authz_id = c.authz_id JOIN acme_orders o ON o.order_id = z.order_id
WHERE c.challenge_id = $1;

-- $1 account, $2 challenge, $3 the limit of answers an hour.
-- name: acme_challenge_answer :one
SELECT r.outcome, r.wait_s, r.due_after FROM acme_challenge_answer($1, $2, $3::int) AS r;

-- What ACME accounts had issued, with its chain.
-- name: acme_certs :many
SELECT c.at, c.account_id, c.pem FROM acme_certs_of($1::text[]) AS c;
