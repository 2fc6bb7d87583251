-- Revocation, and operations on many certificates at once.

-- Before bulk_run, in the same transaction: it may take minutes.
-- name: bulk_patience :one
SELECT set_config('statement_timeout', $1, true) AS statement_timeout;

-- Ids hold no comma.
-- name: bulk_run :one
SELECT b.outcome, b.matched, b.done, b.failed, array_to_string(b.certificate_ids, ',') AS certificate_ids,
    array_to_string(b.job_ids, ',') AS job_ids, array_to_string(b.failed_ids, ',') AS failed_ids,
    array_to_string(b.unknown_ids, ',') AS unknown_ids, array_to_string(b.held_ids, ',') AS held_ids, array_to_json(b.agents) AS agents
FROM bulk_run($1, $2::jsonb, $3::text[], $4::jsonb, $5, $6, $7::bool, $8, $9, $10, $11::int) AS b;

-- No row: no such certificate.
-- name: cert_revoke :one
SELECT r.outcome FROM certificates_revoke(ARRAY[$1::text], $2, $3, $4, $5) AS r;
