-- Statements about the status of certificates one by one, of all processes.

-- --- scheduler ---

-- name: duty_ocsp_refresh :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_ocsp_refresh(led.n) AS rows FROM led;

-- --- worker ---

-- The keys of an issuer that may answer, each with its responder.
-- name: ocsp_cas :many
SELECT ca.issuer_id, ca.list, ca.state, ca.key_id, ca.cert_pem, ca.fingerprint_sha256,
    coalesce(r.fingerprint_sha256, '') AS responder, floor(extract(epoch FROM engine_now()))::bigint AS now_unix
FROM ca_certificates ca
LEFT JOIN ocsp_responders r ON r.list = ca.list
WHERE ca.issuer_id = ANY ($1::text[]) AND ca.state <> 'next' AND ca.not_after > engine_now()
ORDER BY ca.issuer_id, ca.state, ca.list;

-- name: ocsp_load :many
SELECT l.request, l.issuer_id, l.issuer_type, l.serial, l.cert_id, l.nonce, l.status, l.reason, l.revoked_at, l.list
FROM ocsp_load($1, $2::bigint, $3) l;

-- name: ocsp_due :many
SELECT l.request, l.issuer_id, l.issuer_type, l.serial, l.cert_id, l.nonce, l.status, l.reason, l.revoked_at, l.list
FROM ocsp_due($1, $2::bigint, $3, $4::int) l;

-- name: ocsp_keep :one
SELECT ocsp_keep($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::int[], $7::bigint[], $8::bigint, $9::bigint) AS kept;

-- name: ocsp_store :one
SELECT ocsp_store($1, $2::bigint, $3, $4::bytea) AS is_ours;

-- name: ocsp_responder :many
SELECT ca.cert_pem AS ca_cert_pem, ca.fingerprint_sha256 AS ca_fingerprint, r.cert_pem, coalesce(r.fingerprint_sha256, '') AS fingerprint,
    coalesce(r.ca_fingerprint, '') AS signed_by, '\x' || encode(k.key_sealed, 'hex') AS key_sealed,
    floor(extract(epoch FROM engine_now()))::bigint AS now_unix, f.list IS NOT NULL AS is_faulty
FROM ca_certificates ca
LEFT JOIN ocsp_responders r ON r.list = ca.list
LEFT JOIN ocsp_responder_keys k ON k.list = ca.list
LEFT JOIN ocsp_responder_faults f ON f.list = ca.list
WHERE ca.list = $1;

-- name: ocsp_responder_store :one
SELECT ocsp_responder_store($1, $2, $3, $4, $5, $6, to_timestamp($7::bigint), to_timestamp($8::bigint), $9::bytea) AS is_ours;

-- name: ocsp_responder_fault :exec
SELECT ocsp_responder_fault($1, $2);

-- --- API ---

-- The kept answer, unless it says other than what is so now: NULL.
-- name: ocsp_find :many
SELECT i.type, CASE WHEN k.cert_status = s.status THEN encode(k.response_der, 'hex') END AS der, k.cert_status AS status,
    floor(extract(epoch FROM k.next_update - engine_now()))::bigint AS left_s,
    coalesce(k.asked_at > engine_now() - policy_ocsp_asked(), true) AS is_asked
FROM issuers i
LEFT JOIN ocsp_response_cache k ON k.issuer_id = i.id AND k.serial_hex = $2 AND k.cert_id = $3
    AND k.next_update > engine_now() + policy_ocsp_margin()
LEFT JOIN LATERAL ocsp_status(i.id, $2) s ON k.issuer_id IS NOT NULL
WHERE i.id = $1;

-- name: ocsp_asked :exec
SELECT ocsp_asked($1, $2, $3);

-- name: ocsp_ask :one
SELECT ocsp_ask($1::int[], $2::text[], $3::text[], $4::text[], $5::text[]) AS id;

-- name: ocsp_answers :many
SELECT a.id, a.answers FROM ocsp_answers($1::text[]) a;

-- name: ocsp_forget :exec
SELECT ocsp_forget($1);
