-- Statements of the API's approvals.

-- name: approval_list :many fresh
SELECT r.id, r.approval_kind AS kind, r.certificate_id, r.job_id, r.profile_id, r.requested_by, r.state, r.decided_by,
    r.decided_at AT TIME ZONE 'UTC' AS decided_at, r.decision_note, r.metadata::text AS metadata,
    replace(encode(convert_to(r.payload::text, 'UTF8'), 'base64'), E'\n', '') AS payload,
    r.created_at AT TIME ZONE 'UTC' AS created_at, r.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM issuance_approval_requests r
WHERE ($1::text IS NULL OR r.state = $1)
    AND ($2::text IS NULL OR r.certificate_id = $2)
    AND ($3::text IS NULL OR r.requested_by = $3)
    AND ($6::timestamptz IS NULL OR (r.created_at, r.id) < ($6::timestamptz, $7::text))
ORDER BY r.created_at DESC, r.id DESC
LIMIT $4::bigint OFFSET $5::bigint;

-- name: approval_get :one
SELECT r.id, r.approval_kind AS kind, r.certificate_id, r.job_id, r.profile_id, r.requested_by, r.state, r.decided_by,
    r.decided_at AT TIME ZONE 'UTC' AS decided_at, r.decision_note, r.metadata::text AS metadata,
    replace(encode(convert_to(r.payload::text, 'UTF8'), 'base64'), E'\n', '') AS payload,
    r.created_at AT TIME ZONE 'UTC' AS created_at, r.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM issuance_approval_requests r
WHERE r.id = $1;

-- By its id ($1) or its job ($2).
-- name: approval_decide :one
SELECT d.outcome, d.id, d.state, d.job_status, d.agent_id, d.issuer_id
FROM approval_decide($1, $2, $3, $4, $5::bool, $6, $7) d;

-- $1 profile, $2 the checked body of its update, $3 actor, $4 actor type.  The same
-- edit that its requester waits for already is not asked for again, and what names
-- something that is not there is not asked for at all (unknown: the member that does).  Behind
-- profile_lock_update.
-- name: profile_edit_request :many
WITH unknown AS (
    SELECT n.member FROM (VALUES
        ('issuer_id', NOT EXISTS (SELECT 1 FROM issuers i WHERE i.id = $2::jsonb ->> 'issuer_id')),
        ('acme_owner_id', NOT EXISTS (SELECT 1 FROM owners o WHERE o.id = $2::jsonb ->> 'acme_owner_id')),
        ('acme_renewal_policy_id', NOT EXISTS (SELECT 1 FROM renewal_policies k WHERE k.id = $2::jsonb ->> 'acme_renewal_policy_id')))
        AS n (member, is_missing)
    WHERE $2::jsonb ->> n.member IS NOT NULL AND n.is_missing ORDER BY n.member LIMIT 1
), same AS (
    SELECT r.id FROM issuance_approval_requests r WHERE r.requested_by = $3 AND r.profile_id = $1
        AND r.approval_kind = 'profile_edit' AND r.state = 'pending' AND r.payload = $2::jsonb LIMIT 1
), asked AS (
    INSERT INTO issuance_approval_requests (id, profile_id, requested_by, approval_kind, payload, created_at, updated_at)
    SELECT 'ar-' || gen_random_uuid(), p.id, $3, 'profile_edit', $2::jsonb, engine_now(), engine_now()
    FROM certificate_profiles p WHERE p.id = $1 AND NOT EXISTS (SELECT 1 FROM same) AND NOT EXISTS (SELECT 1 FROM unknown)
    RETURNING id, profile_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT $3, $4, 'approval_profile_edit_requested', 'approval', a.id, jsonb_build_object('profile_id', a.profile_id,
        'fields', (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys($2::jsonb) AS k))
    FROM asked a
)
SELECT NULL::text AS id, u.member AS unknown FROM unknown u
UNION ALL SELECT a.id, NULL FROM asked a
UNION ALL SELECT s.id, NULL FROM same s WHERE NOT EXISTS (SELECT 1 FROM unknown);

-- As approval_decide, of an edit of a profile, which an approval applies.  $1 id,
-- $2 actor, $3 actor type, $4 approve, $5 note.  No row: no such request.
-- name: profile_edit_decide :many
WITH judged AS MATERIALIZED (
    SELECT r.id, r.profile_id, r.requested_by, r.state, r.payload, CASE WHEN r.state <> 'pending' THEN 'decided'
        WHEN r.requested_by = $2 THEN 'self' WHEN actors_are_one($2, r.requested_by) THEN 'one' WHEN $4::bool THEN 'approved' ELSE 'rejected' END AS outcome
    FROM issuance_approval_requests r WHERE r.id = $1 AND r.approval_kind = 'profile_edit' FOR NO KEY UPDATE
), decided AS (
    UPDATE issuance_approval_requests r SET state = j.outcome, decided_by = $2, decided_at = engine_now(),
        updated_at = engine_now(), decision_note = nullif($5, '')
    FROM judged j WHERE r.id = j.id AND j.outcome IN ('approved', 'rejected')
    RETURNING r.id
), applied AS (
    UPDATE certificate_profiles p SET (name, description, allowed_key_algorithms, max_ttl_seconds, allowed_ekus,
        required_san_patterns, spiffe_uri_pattern, allow_short_lived, must_staple, required_csr_attributes, acme_auth_mode,
        issuer_id, acme_owner_id, acme_renewal_policy_id, acme_eab_required, acme_limits, requires_approval, enabled, updated_at) = (SELECT n.name, n.description, n.allowed_key_algorithms, n.max_ttl_seconds,
            n.allowed_ekus, n.required_san_patterns, n.spiffe_uri_pattern, n.allow_short_lived, n.must_staple,
            n.required_csr_attributes, n.acme_auth_mode, n.issuer_id, n.acme_owner_id, n.acme_renewal_policy_id, n.acme_eab_required,
            n.acme_limits, n.requires_approval, n.enabled, engine_now()
        FROM jsonb_populate_record(p, j.payload) n)
    FROM judged j WHERE p.id = j.profile_id AND j.outcome = 'approved'
    RETURNING p.id, j.id AS request_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT $2, $3, 'approval_' || j.outcome, 'approval', j.id, jsonb_strip_nulls(jsonb_build_object('profile_id', j.profile_id,
        'requested_by', j.requested_by, 'note', nullif($5, '')))
    FROM judged j JOIN decided d ON d.id = j.id
    UNION ALL
    SELECT $2, $3, 'profile_edit_applied', 'profile', a.id, jsonb_build_object('approval_id', a.request_id) FROM applied a
)
SELECT j.outcome, j.id, j.state, '' AS job_status, NULL AS agent_id, NULL AS issuer_id FROM judged j;
