-- Keys of ACME accounts, and what they revoke and renew.

-- $1 account, $2 thumbprint of its key, $3 that of the next, $4 the next, $5 the server's limit of changes an hour.
-- name: acme_key_change :one
SELECT r.outcome, r.wait_s, r.account_id FROM acme_key_change($1, $2, $3, $4, $5::int) AS r;

-- $1 who is booked, $2 account or NULL, $3 profile, $4 serial and $5 fingerprint of the certificate, $6 types and $7 values of
-- its names, $8 reason, $9 what its jobs end with.
-- name: acme_revoke :one
SELECT acme_revoke($1, $2, $3, $4, $5, $6::text[], $7::text[], $8, $9) AS outcome;

-- $1 serials; at says whose each row is.
-- name: acme_renewal_info :many
SELECT u.at, r.pem, r.starts_at AT TIME ZONE 'UTC' AS starts_at, r.ends_at AT TIME ZONE 'UTC' AS ends_at
FROM unnest((SELECT $1::text[])) WITH ORDINALITY AS u (serial, at) CROSS JOIN LATERAL acme_renewal_info(u.serial) AS r ORDER BY u.at;
