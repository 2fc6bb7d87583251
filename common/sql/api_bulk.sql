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

-- Of jobs just made ($1, commas between them) those that wait for what does not come by
-- itself: by reason, with some of their certificates ($2).  Those alike in what a
-- reason is found by are asked once.
-- name: bulk_waiting :many
SELECT r.reason, g.n, array_to_json(g.ids) AS certificate_ids
FROM (SELECT min(j.id) AS id, count(DISTINCT j.certificate_id) AS n, (array_agg(DISTINCT j.certificate_id))[1:$2::int] AS ids
    FROM jobs j
    WHERE j.id = ANY (string_to_array($1, ','))
    GROUP BY j.status, CASE WHEN j.status <> 'AwaitingApproval' THEN j.agent_id END,
        CASE WHEN j.status = 'Pending' THEN j.issuer_id END, j.last_error, j.run_after > engine_now()) g
JOIN jobs j ON j.id = g.id
CROSS JOIN LATERAL job_reason(j) r
WHERE r.reason !~ E'^(csr|turn)\n'
ORDER BY g.n DESC, r.reason
LIMIT $3::int;

-- No row: no such certificate.
-- name: cert_revoke :one
SELECT r.outcome FROM certificates_revoke(ARRAY[$1::text], $2, $3, $4, $5) AS r;
