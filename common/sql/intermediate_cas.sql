-- The hierarchies of intermediate CAs.

-- fragment: intermediate_ca_columns
c.id, c.owning_issuer_id, c.parent_ca_id, c.name, c.subject, c.state, c.cert_pem, c.key_driver_id,
    c.not_before AT TIME ZONE 'UTC' AS not_before, c.not_after AT TIME ZONE 'UTC' AS not_after, c.path_len_constraint,
    c.name_constraints, c.ocsp_responder_url, c.metadata, c.fingerprint_sha256, c.serial_number,
    v.revoked_at AT TIME ZONE 'UTC' AS revoked_at, v.reason AS revocation_reason, c.created_at AT TIME ZONE 'UTC' AS created_at,
    c.updated_at AT TIME ZONE 'UTC' AS updated_at

-- $1 issuer.  A row without an id: it has none.
-- name: intermediate_ca_list :many
SELECT {intermediate_ca_columns}
FROM issuers i LEFT JOIN intermediate_cas c ON c.owning_issuer_id = i.id
LEFT JOIN certificate_revocations v ON v.issuer_id = c.owning_issuer_id AND v.serial_number = c.serial_number
WHERE i.id = $1 ORDER BY c.created_at, c.id LIMIT policy_intermediate_cas();

-- name: intermediate_ca_get :many
SELECT {intermediate_ca_columns}
FROM intermediate_cas c
LEFT JOIN certificate_revocations v ON v.issuer_id = c.owning_issuer_id AND v.serial_number = c.serial_number
WHERE c.id = $1;

-- $1 issuer, $2 the checked body, $3 actor, $4 actor type.
-- name: intermediate_ca_ask :one
SELECT a.outcome, a.id FROM intermediate_ca_ask($1, $2::jsonb, $3, $4) a;

-- Why it was not made, for all who wait: the next request of its issuer removes it.
-- name: intermediate_ca_refusal :one
SELECT (SELECT r.refusal FROM intermediate_ca_requests r WHERE r.id = $1) AS refusal,
    EXISTS (SELECT 1 FROM intermediate_ca_requests r WHERE r.id = $1) AS is_asked, EXISTS (SELECT 1 FROM workers w WHERE w.lease_until > clock_timestamp()) AS has_worker;

-- name: intermediate_ca_retire :one
SELECT intermediate_ca_retire($1, $2::bool, $3, $4, $5) AS outcome;

-- $1 id, $2 reason, $3 actor, $4 actor type.
-- name: intermediate_ca_revoke :one
SELECT intermediate_ca_revoke($1, $2, $3, $4) AS outcome;

-- What is to be made, with the CA above it and that one's key; of a root, the key
-- that the issuer holds of it.
-- name: intermediate_ca_load :many
SELECT r.id, r.owning_issuer_id, r.body::text AS body, coalesce(p.key_driver_id, '') AS parent_driver,
    coalesce(intermediate_ca_chain(p.id), '') AS parent_chain,
    coalesce('\x' || encode(coalesce(s.key_sealed, k.key_sealed), 'hex'), '') AS key_sealed,
    coalesce(i.config, '{}')::text AS config, coalesce(l.list, r.owning_issuer_id) AS parent_list
FROM intermediate_ca_requests r JOIN issuers i ON i.id = r.owning_issuer_id
LEFT JOIN intermediate_cas p ON p.id = r.body ->> 'parent_ca_id'
LEFT JOIN intermediate_ca_keys s ON s.ca_id = p.id
LEFT JOIN ca_certificates l ON l.issuer_id = r.owning_issuer_id AND l.key_id = p.key_id
LEFT JOIN ca_keys k ON k.issuer_id = r.owning_issuer_id AND k.key_id = coalesce(p.key_id, r.body ->> 'root_key_id')
WHERE r.id = $1;

-- name: intermediate_ca_end :one
SELECT intermediate_ca_end($1, $2::bigint, $3, $4, $5, $6::jsonb, $7::bytea) AS outcome;
