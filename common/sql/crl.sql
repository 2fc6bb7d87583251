-- Statements about revocation lists, of all processes.

-- --- scheduler ---

-- name: duty_crl_refresh :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_crl_refresh(led.n, false) AS rows FROM led;

-- name: duty_crl_behind :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_crl_refresh(led.n, true) AS rows FROM led;

-- --- worker: the first two share a transaction ---

-- name: crl_begin :many
SELECT b.crl_number, extract(epoch FROM b.this_update)::bigint AS this_update, b.snapshot::text AS snapshot,
    coalesce(ca.fingerprint_sha256, '') AS ca_fingerprint, CASE WHEN ca.state = 'former' THEN ca.key_id END AS former_key
FROM crl_begin($1, $2::bigint, $3) b
LEFT JOIN ca_certificates ca ON ca.list = $4;

-- name: crl_revocations :many
SELECT r.serial, r.revoked_at, r.reason, r.is_over FROM crl_revocations($1, $2::bigint, $3) r;

-- name: crl_store :one
SELECT crl_store($1, $2::bigint, $3, $4::bytea, $5::bigint, to_timestamp($6::bigint), to_timestamp($7::bigint), $8::int, $9,
    $10, $11::pg_snapshot, $12::int, $13, $14, $15) AS outcome;

-- These two and the revocations share a transaction.
-- name: crl_fetch_begin :many
SELECT b.outcome, b.type, b.config, b.now, b.snapshot::text AS snapshot, b.crl_number, b.this_update, b.next_update,
    b.ca_fingerprint
FROM crl_fetch_begin($1, $2::bigint, $3) b;

-- name: crl_fetch_issued :many
SELECT i.pem FROM crl_fetch_issued($1, $2::bigint, $3) i;

-- name: crl_failed :exec
SELECT crl_failed($1, $2::bigint, $3, $4::int, $5);

-- --- API ---

-- The list of that name, $2: NULL when no key has it.  When the first key's time is
-- over, its name leads to the list of the one that signs.  left_s: until the
-- next one is to be there.
-- name: crl_head :many
SELECT i.type = 'GenericCA' OR crl_is_fetched(i) AS is_served, n.list, k.etag, floor(extract(epoch FROM k.next_update - engine_now()))::bigint AS left_s
FROM issuers i
CROSS JOIN LATERAL (SELECT coalesce(
    (SELECT ca.list FROM ca_certificates ca WHERE ca.list = $2 AND ca.state <> 'next' AND ca.not_after > engine_now()),
    CASE WHEN $2 = i.id THEN coalesce((SELECT ca.list FROM ca_certificates ca WHERE ca.issuer_id = i.id AND ca.state = 'current'), i.id) END)
    AS list) n
LEFT JOIN crl_cache k ON k.list = n.list
WHERE i.id = $1;

-- name: crl_body :many
SELECT k.etag, encode(k.crl_der, 'hex') AS der FROM crl_cache k WHERE k.list = $1;

-- name: crl_request :exec
SELECT crl_request($1, $2);

-- Both in the order of bytes, so that the one is read beside the other.
-- name: crl_cache_list :many
WITH lists AS (
    SELECT ca.issuer_id, ca.list, false AS is_fetched FROM ca_certificates ca WHERE ca.state <> 'next'
    UNION ALL SELECT i.id, i.id, true FROM issuers i WHERE crl_is_fetched(i))
SELECT ca.issuer_id, ca.list, k.list IS NOT NULL AS cache_present, k.crl_number, k.this_update AT TIME ZONE 'UTC' AS this_update,
    k.next_update AT TIME ZONE 'UTC' AS next_update, k.generated_at AT TIME ZONE 'UTC' AS generated_at,
    k.generation_duration_ms, k.revoked_count,
    engine_now() > k.next_update
        OR crl_is_behind(ca.issuer_id, CASE WHEN ca.is_fetched THEN k.generated_at ELSE k.this_update END, k.snapshot) AS is_stale
FROM lists ca
LEFT JOIN crl_cache k ON k.list = ca.list
ORDER BY ca.issuer_id COLLATE "C", ca.list
LIMIT 1001;

-- name: crl_cache_events :many
SELECT ca.issuer_id, e.started_at AT TIME ZONE 'UTC' AS started_at, e.duration_ms, e.succeeded, e.crl_number, e.revoked_count, e.error
FROM (SELECT c.issuer_id COLLATE "C" AS issuer_id FROM ca_certificates c UNION SELECT i.id FROM issuers i WHERE crl_is_fetched(i)
    ORDER BY 1 LIMIT 1000) ca
CROSS JOIN LATERAL (SELECT n.id, n.started_at, n.duration_ms, n.succeeded, n.crl_number, n.revoked_count, n.error
    FROM crl_generation_events n WHERE n.issuer_id = ca.issuer_id ORDER BY n.id DESC LIMIT 10) e
ORDER BY ca.issuer_id COLLATE "C", e.id DESC;

-- name: crl_now :one
SELECT engine_now() AT TIME ZONE 'UTC' AS now;

-- --- API: the CAs of an issuer ---

-- A row without a state: the issuer has none yet.
-- name: issuer_cas :many
SELECT ca.state, ca.fingerprint_sha256, ca.not_before AT TIME ZONE 'UTC' AS not_before, ca.not_after AT TIME ZONE 'UTC' AS not_after,
    ca.list, ca.cert_pem AS certificate_pem
FROM issuers i LEFT JOIN ca_certificates ca ON ca.issuer_id = i.id
WHERE i.id = $1
ORDER BY ca.state = 'former', ca.state, ca.not_before DESC
LIMIT 100;

-- name: issuer_successor_ask :exec
WITH asked AS MATERIALIZED (SELECT ca_successor_ask($1) AS is_new)
INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, event_category)
SELECT $2, $3, 'issuer_successor_requested', 'issuer', $1, 'config' FROM asked WHERE is_new;

-- What came of it, in the same transaction: somebody else may have asked at once.
-- outcome: exists or asked; outside where the key is not here; no_issuer.
-- name: issuer_successor_asked :one
SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM issuers i WHERE i.id = $1) THEN 'no_issuer'
    WHEN EXISTS (SELECT 1 FROM tasks t WHERE t.dedupe_key = 'ca_next:' || $1) THEN 'asked'
    WHEN EXISTS (SELECT 1 FROM ca_certificates c WHERE c.issuer_id = $1 AND c.state = 'next') THEN 'exists' ELSE 'outside' END AS outcome;

-- name: issuer_switch :one
SELECT CASE WHEN EXISTS (SELECT 1 FROM issuers i WHERE i.id = $1) THEN ca_switch($1, $2, $3, $4) ELSE 'no_issuer' END AS outcome;
