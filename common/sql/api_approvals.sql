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
