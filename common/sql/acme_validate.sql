-- Statements of the validation of ACME challenges, by workers.

-- What a task is to try.  No row: nothing any more, or it is not this worker's.
-- name: acme_challenge_load :many
SELECT c.type, c.token, z.identifier ->> 'type' AS name_type, z.identifier ->> 'value' AS name, z.wildcard, a.jwk_thumbprint AS thumbprint,
    a.account_id, o.profile_id
FROM tasks t
JOIN acme_challenges c ON c.challenge_id = t.subject
JOIN acme_authorizations z ON z.authz_id = c.authz_id
JOIN acme_orders o ON o.order_id = z.order_id
JOIN acme_accounts a ON a.account_id = o.account_id AND a.status = 'valid'
WHERE t.leased_by = $1 AND t.lease_id = $2::bigint AND t.id = $3 AND t.status = 'Running'
    AND acme_challenge_is_open(c.status, z.status, o.status, least(z.expires_at, o.expires_at));

-- $4 valid, failed or moot; $5 and $6 the errors of challenge and order; $7 valid or the error's type, $8 how long it took (ms); $9 why the
-- name server did not answer, empty if it did, or NULL.
-- name: acme_challenge_end :many
SELECT e.status FROM acme_challenge_end($1, $2::bigint, $3, $4, $5::jsonb, $6::jsonb, $7, $8::bigint, $9) AS e (status);
