-- Revocation, and operations on many certificates at once.

-- Before bulk_run, in the same transaction: it may take minutes.
-- name: bulk_patience :one
SELECT set_config('statement_timeout', $1, true) AS statement_timeout;

-- Ids hold no comma.
-- name: bulk_run :one
SELECT b.outcome, b.matched, b.done, b.failed, array_to_string(b.certificate_ids, ',') AS certificate_ids,
    array_to_string(b.job_ids, ',') AS job_ids, array_to_string(b.failed_ids, ',') AS failed_ids,
    array_to_string(b.unknown_ids, ',') AS unknown_ids, array_to_string(b.held_ids, ',') AS held_ids, array_to_json(b.agents) AS agents,
    b.under_way
FROM bulk_run($1, $2::jsonb, $3::text[], $4::jsonb, $5, $6, $7::bool, $8, $9, $10, $11::int) AS b;

-- Of jobs just made ($1, commas between them) those that wait for what does not come by
-- itself: by reason, with some of their certificates ($2).  Those alike in what a
-- reason is found by are asked once.  And, as no wait, the certificates that nothing
-- renews the next time.
-- name: bulk_waiting :many
SELECT w.reason, w.is_wait, w.n, array_to_json(w.ids) AS certificate_ids
FROM (SELECT r.reason, true AS is_wait, g.n, g.ids
    FROM (SELECT min(j.id) AS id, count(DISTINCT j.certificate_id) AS n, (array_agg(DISTINCT j.certificate_id))[1:$2::int] AS ids
        FROM jobs j
        WHERE j.id = ANY (string_to_array($1, ','))
        GROUP BY j.status, CASE WHEN j.status <> 'AwaitingApproval' THEN j.agent_id END,
            CASE WHEN j.status = 'Pending' THEN j.issuer_id END, j.last_error, j.run_after > engine_now()) g
    JOIN jobs j ON j.id = g.id
    CROSS JOIN LATERAL job_reason(j) r
    UNION ALL
    SELECT E'by_hand\n' || p.id, false, count(DISTINCT c.id), (array_agg(DISTINCT c.id))[1:$2::int]
    FROM jobs j
    JOIN managed_certificates c ON c.id = j.certificate_id
    JOIN renewal_policies p ON p.id = c.renewal_policy_id AND NOT p.auto_renew
    WHERE j.id = ANY (string_to_array($1, ','))
    GROUP BY p.id) w
WHERE w.reason !~ E'^(csr|turn)\n'
ORDER BY w.n DESC, w.reason
LIMIT $3::int;

-- The same of a renewal that is only counted: the jobs that jobs_enqueue would make of
-- the certificates which bulk_renew would give it.  Planned for each call, which may be
-- of one certificate or of all.
-- name: bulk_would_wait :many fresh
WITH made AS MATERIALIZED (
    SELECT DISTINCT c.id, c.renewal_policy_id, t.agent_id,
        CASE WHEN pr.requires_approval THEN 'AwaitingApproval' ELSE 'AwaitingCSR' END AS status
    FROM certificates_matching($1::jsonb, $2::text[]) f
    JOIN managed_certificates c ON c.id = f.id AND c.status NOT IN ('Archived', 'Revoked', 'Expired', 'RenewalInProgress')
    JOIN issuers i ON i.id = c.issuer_id AND i.enabled
    LEFT JOIN certificate_profiles pr ON pr.id = c.certificate_profile_id
    LEFT JOIN (certificate_target_mappings m
        JOIN deployment_targets t ON t.id = m.target_id AND t.retired_at IS NULL AND t.enabled) ON m.certificate_id = c.id
    WHERE NOT EXISTS (SELECT 1 FROM acme_certificates a WHERE a.certificate_id = c.id)
)
SELECT w.reason, w.is_wait, w.n, array_to_json(w.ids) AS certificate_ids
FROM (SELECT r.reason, true AS is_wait, g.n, g.ids
    FROM (SELECT m.status, CASE WHEN m.status <> 'AwaitingApproval' THEN m.agent_id END AS agent_id,
            count(DISTINCT m.id) AS n, (array_agg(DISTINCT m.id))[1:$3::int] AS ids
        FROM made m GROUP BY 1, 2) g
    CROSS JOIN LATERAL job_reason(jsonb_populate_record(NULL::jobs, jsonb_build_object('type', 'Renewal', 'status', g.status,
        'agent_id', g.agent_id, 'run_after', engine_now()))) r
    UNION ALL
    SELECT E'by_hand\n' || p.id, false, count(DISTINCT m.id), (array_agg(DISTINCT m.id))[1:$3::int]
    FROM made m
    JOIN renewal_policies p ON p.id = m.renewal_policy_id AND NOT p.auto_renew
    GROUP BY p.id) w
WHERE w.reason !~ E'^(csr|turn)\n'
ORDER BY w.n DESC, w.reason
LIMIT $4::int;

-- No row: no such certificate.
-- name: cert_revoke :one
SELECT r.outcome FROM certificates_revoke(ARRAY[$1::text], $2, $3, $4, $5) AS r;
