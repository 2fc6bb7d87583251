-- Statements of worker.  Every write carries worker and lease in its
-- condition: a worker that lost its lease changes nothing.

-- --- the worker's own row ---

-- One row a job to be cancelled; one row with NULL when there is none.
-- name: worker_renew :many
SELECT u.id AS cancel_job_id, floor(extract(epoch FROM r.lease_until) * 1000)::bigint - $7::int AS now_ms
FROM worker_renew($1, $2, $3, $4::int, $5, $6::int, $7::int, $8, $9, $10::jsonb,
    $11::bigint, $12::bigint) r
LEFT JOIN LATERAL unnest(r.cancel_job_ids) AS u (id) ON true;

-- name: worker_leave :one
SELECT worker_leave($1) AS freed;

-- Lines of the journal of that name: how many the database does not know.
-- name: journal_check :one
SELECT journal_check($1, $2, $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[]::jsonb[]) AS ahead;

-- What renewals of Vault's tokens came to, since it was told the last time.
-- name: stats_vault_tokens :one
SELECT stats_vault_tokens($1::text[], $2::bigint[]);

-- name: crl_check :one
SELECT crl_check($1, $2, $3::bigint, $4::text[], $5::bigint[], $6::text[]) AS ahead;

-- --- issuing ---

-- name: issue_issuer :one
SELECT i.type, i.name, coalesce(ca.fingerprint_sha256, '') AS ca_fingerprint
FROM issuers i
LEFT JOIN ca_certificates ca ON ca.issuer_id = i.id AND ca.state = 'current'
WHERE i.id = $1;

-- What a lease holds.  ca is the fingerprint of the CA's certificate that the
-- serial was fixed for, row what recovery makes of a certificate that the
-- database does not know (as json: jsonb takes half as long again to make),
-- profile what its profile demands now, broken_* the first Critical policy rule
-- that it would break: $3 are the words (common/policy/rule_words.h).  A serial
-- that was fixed for a CA says how long it would live.
-- name: issue_jobs :many
SELECT j.id, q.csr_pem, j.serial_number,
    CASE WHEN isfinite(j.not_before) THEN floor(extract(epoch FROM j.not_before))::bigint END AS not_before,
    CASE WHEN isfinite(j.not_after) THEN floor(extract(epoch FROM j.not_after))::bigint END AS not_after,
    encode(j.ca_sha256, 'hex') AS ca, j.extensions::text AS extensions, j.certificate_id,
    j.cancel_requested_at IS NOT NULL AS is_cancelled, j.agent_id,
    json_build_object('name', c.name, 'common_name', c.common_name, 'sans', c.sans, 'environment', c.environment,
        'owner_id', c.owner_id, 'team_id', c.team_id, 'renewal_policy_id', c.renewal_policy_id,
        'certificate_profile_id', c.certificate_profile_id, 'targets', ARRAY(SELECT m.target_id
            FROM certificate_target_mappings m WHERE m.certificate_id = c.id))::text AS row,
    CASE WHEN pr.id IS NOT NULL THEN row_to_json(pr)::text END AS profile, b.name AS broken_rule, b.message AS broken_message
FROM jobs j
LEFT JOIN certificate_requests q ON q.job_id = j.id
LEFT JOIN managed_certificates c ON c.id = j.certificate_id
LEFT JOIN certificate_profiles pr ON pr.id = c.certificate_profile_id
LEFT JOIN LATERAL (SELECT f.name, rule_say(f.r, f.fault, $3::jsonb) AS message FROM (SELECT r.id, r.name, r, rule_fault(r, c,
            CASE WHEN j.ca_sha256 IS NOT NULL AND isfinite(j.not_before) AND isfinite(j.not_after) THEN j.not_after - j.not_before END,
            engine_now()) AS fault
        FROM policy_rules r WHERE r.enabled AND r.severity = 'Critical' AND r.type <> 'RenewalLeadTime' AND c.id IS NOT NULL
        ORDER BY r.id OFFSET 0) f
    WHERE f.fault IS NOT NULL LIMIT 1) b ON true
WHERE j.leased_by = $1 AND j.lease_id = $2::bigint AND j.status = 'Running'
ORDER BY j.id;

-- name: issue_complete :many
SELECT c.job_id, c.agent_id, c.status
FROM issue_complete($1, $2::bigint, $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8, $9) c;

-- name: issue_set_aside :many
SELECT s.job_id, s.status
FROM issue_set_aside($1, $2::bigint, $3::text[], $4::text[], $5::text[], $6::text[], $7, $8::jsonb[]) s;

-- --- issuing by a CA outside of the process ---

-- state: what the checkpoint says of an order that may exist; '' for none.  The CA took it waited_ms ago.
-- name: issue_outside_job :one
SELECT i.type, coalesce(i.config, '{}')::text AS config, coalesce(j.checkpoint ->> 'state', '') AS state,
    coalesce(j.checkpoint ->> 'order_reference', j.id) AS order_reference, coalesce(j.checkpoint ->> 'order_id', '') AS order_id,
    coalesce((j.checkpoint ->> 'polls')::bigint, 0) AS polls,
    coalesce(floor(extract(epoch FROM engine_now() - (j.checkpoint ->> 'ordered_at')::timestamptz) * 1000)::bigint, 0) AS waited_ms,
    floor(extract(epoch FROM least(engine_now(), (j.checkpoint ->> 'send_before')::timestamptz)))::bigint AS placed_unix,
    coalesce(pr.max_ttl_seconds, 0)::bigint AS max_ttl_seconds, coalesce(j.checkpoint ->> 'note', '') AS note,
    coalesce((SELECT v.pem_chain FROM certificate_versions v WHERE v.certificate_id = j.certificate_id AND v.issuer_id = j.issuer_id
        ORDER BY v.created_at DESC, v.id DESC LIMIT 1), '') AS previous_pem,
    j.attempts + 1 >= j.max_attempts AS is_last, floor(extract(epoch FROM engine_now()))::bigint AS now_unix
FROM jobs j
JOIN issuers i ON i.id = j.issuer_id
LEFT JOIN managed_certificates c ON c.id = j.certificate_id
LEFT JOIN certificate_profiles pr ON pr.id = c.certificate_profile_id
WHERE j.leased_by = $1 AND j.lease_id = $2::bigint AND j.id = $3 AND j.status = 'Running';

-- The orders of a lease that one list of the CA is asked for.
-- name: issue_outside_orders :many
SELECT j.id, coalesce(j.checkpoint ->> 'order_id', '') AS order_id, coalesce((j.checkpoint ->> 'polls')::bigint, 0) AS polls,
    coalesce(floor(extract(epoch FROM engine_now() - (j.checkpoint ->> 'ordered_at')::timestamptz) * 1000)::bigint, 0) AS waited_ms
FROM jobs j WHERE j.leased_by = $1 AND j.lease_id = $2::bigint AND j.status = 'Running' AND order_is_listed(j) ORDER BY j.id;

-- The key of an issuer's account at its CA, as it was sealed.
-- name: issuer_account_key :one
SELECT '\x' || encode(a.key_sealed, 'hex') AS key_sealed FROM issuer_accounts a WHERE a.issuer_id = $1;

-- Whoever is first makes it.
-- name: issuer_account_keep :one
SELECT '\x' || encode(k.key_sealed, 'hex') AS key_sealed FROM issuer_account_keep($1, $2::bytea) k;

-- name: issue_placing :many
SELECT p.outcome FROM issue_placing($1, $2::bigint, $3, $4::int, $5::int) p;

-- An order of the job is being looked for, and that goes on.
-- name: issue_looking :one
SELECT issue_looking($1, $2::bigint, $3) AS is_ours;

-- name: issue_stored_serials :many
SELECT v.serial_number FROM certificate_versions v WHERE v.issuer_id = $1 AND v.serial_number = ANY ($2::text[]);

-- name: issue_complete_outside :many
SELECT c.job_id, c.agent_id, c.status
FROM issue_complete_outside($1, $2::bigint, $3, $4, to_timestamp($5::bigint), to_timestamp($6::bigint), $7, $8, $9,
    $10::int, $11, $12, $13) c;

-- The issuer behind $1, whose configuration may hold sealed secrets.
-- name: issuer_secrets_next :many
SELECT i.id, i.type, coalesce(i.config, '{}')::text AS config FROM issuers i WHERE i.id = (SELECT min(n.id) FROM issuers n WHERE n.id > $1);

-- name: issuer_secrets_reseal :one
SELECT issuer_secrets_reseal($1, $2::jsonb, $3::jsonb) AS is_stored;

-- --- revoking there ---

-- name: revocation_begin :many
SELECT b.outcome, b.type, b.config, b.certificate_id, b.order_id, b.serial_number, b.pem, b.reason, b.was_pending
FROM revocation_begin($1, $2::bigint, $3) b;

-- name: revocation_end :one
SELECT revocation_end($1, $2::bigint, $3, $4, $5, $6::bigint) AS is_ours;

-- --- asking it when to renew ---

-- name: renewal_windows_begin :many
SELECT b.outcome, b.type, b.config, b.version_id, b.pem, extract(epoch FROM b.not_after)::bigint AS not_after_unix
FROM renewal_windows_begin($1, $2::bigint, $3) b;

-- name: renewal_windows_store :one
SELECT renewal_windows_store($1, $2::bigint, $3, $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::bigint[],
    $11, $12, $13::bigint) AS is_ours;

-- name: issuer_config :one
SELECT i.type, coalesce(i.config, '{}')::text AS config
FROM issuers i
WHERE i.id = $1;

-- --- CAs ---

-- $2: the id of a former key, NULL for the one that signs.  Where the key of a
-- hierarchy's root is, its row says.
-- name: ca_load :one
SELECT i.type, (coalesce(i.config, '{}') || coalesce((SELECT jsonb_set('{"former_key_paths": []}', '{former_key_paths, 0}', to_jsonb(r.key_driver_id))
        FROM intermediate_cas r WHERE r.owning_issuer_id = i.id AND r.key_id = $2 AND r.key_driver_id LIKE '/%' LIMIT 1), '{}'))::text AS config, ca.cert_pem, ca.chain_pem, ca.fingerprint_sha256, ca.list,
    '\x' || encode(k.key_sealed, 'hex') AS key_sealed
FROM issuers i
LEFT JOIN ca_certificates ca ON ca.issuer_id = i.id AND CASE WHEN $2::text IS NULL THEN ca.state = 'current' ELSE ca.key_id = $2 END
LEFT JOIN ca_keys k ON k.issuer_id = ca.issuer_id AND k.key_id = ca.key_id
WHERE i.id = $1;

-- A few keys; most were sealed with one salt, and their salts are what counts.
-- name: ca_keys_to_warm :many
SELECT DISTINCT ON (substring(k.key_sealed FROM 2 FOR 16)) k.issuer_id, encode(k.key_sealed, 'hex') AS key_sealed
FROM ca_keys k
ORDER BY substring(k.key_sealed FROM 2 FOR 16), k.issuer_id
LIMIT 8;

-- name: ca_root_store :one
SELECT s.cert_pem, s.chain_pem, s.fingerprint_sha256, s.list, s.key_sealed
FROM ca_root_store($1, $2, $3, to_timestamp($4::bigint), to_timestamp($5::bigint), $6::bytea, $7, $8) s;

-- name: ca_certificate_store :one
SELECT s.fingerprint_sha256, s.has_key, s.list
FROM ca_certificate_store($1, $2, $3, $4, to_timestamp($5::bigint), to_timestamp($6::bigint), $7) s;

-- --- tasks ---

-- name: tasks_load :many
SELECT t.id, t.kind, t.subject, t.issuer_id, t.payload::text AS payload
FROM tasks t
WHERE t.leased_by = $1 AND t.lease_id = $2::bigint AND t.status = 'Running'
ORDER BY t.id;

-- name: tasks_done :one
SELECT tasks_done($1, $2::bigint, $3::text[]) AS done;

-- A task that failed for good gives its dedupe key free, so that it can be
-- asked for anew.  $5: how many attempts it cost, as many as there are where
-- trying again would not help, none where it was the worker's host.
-- name: task_failed :many
UPDATE tasks t SET attempts = t.attempts + least($5::int, 1), last_error = $4, leased_by = NULL, lease_id = NULL, attempt_until = NULL,
    status = CASE WHEN t.attempts + $5::int >= t.max_attempts THEN 'Failed' ELSE 'Pending' END,
    dedupe_key = CASE WHEN t.attempts + $5::int >= t.max_attempts THEN NULL ELSE t.dedupe_key END,
    run_after = clock_timestamp() + jittered(back_off(policy_task_first(), policy_task_most(), t.attempts))
WHERE t.leased_by = $1 AND t.lease_id = $2::bigint AND t.id = $3 AND t.status = 'Running'
RETURNING t.status;

-- The CA of an issuer is there, or is not.
-- name: task_ca_init_done :many
SELECT e.issuer_id FROM task_ca_init_end($1, $2::bigint, $3, 'success') AS e (issuer_id);

-- name: task_ca_init_failed :many
SELECT e.issuer_id FROM task_ca_init_end($1, $2::bigint, $3, 'failed') AS e (issuer_id);
