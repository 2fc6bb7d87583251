-- Statements of the API's jobs.

-- The first page of all, in a plan made once (see cert_page).
-- name: job_page :many
SELECT p.id, p.type, p.certificate_id, p.target_id, p.agent_id, p.status, p.attempts, p.max_attempts, p.last_error,
    p.scheduled_at, p.started_at, p.completed_at, p.created_at, p.verification_status, p.verified_at, p.verification_error,
    p.verification_fingerprint, p.version_id, p.reason
FROM (SELECT j.id, j.type, j.certificate_id, j.target_id, j.agent_id, j.status, j.attempts, j.max_attempts, coalesce(j.last_error, r.why) AS last_error,
        coalesce(j.scheduled_at, j.created_at) AT TIME ZONE 'UTC' AS scheduled_at, j.started_at AT TIME ZONE 'UTC' AS started_at,
        j.completed_at AT TIME ZONE 'UTC' AS completed_at, j.created_at AT TIME ZONE 'UTC' AS created_at, j.verification_status,
        j.verified_at AT TIME ZONE 'UTC' AS verified_at, j.verification_error, j.verification_fingerprint, j.version_id, r.reason
    FROM jobs j LEFT JOIN LATERAL job_reason(j) r ON true
    ORDER BY j.id DESC
    LIMIT 501) AS p
LIMIT $1::bigint;

-- Newest first: ids contain the time they were made at.  What is skipped are
-- keys; rows are looked up for the page only.  A version's jobs are found by its
-- certificate, which the job that made it names when the version is gone.
-- name: job_list :many fresh
SELECT j.id, j.type, j.certificate_id, j.target_id, j.agent_id, j.status, j.attempts, j.max_attempts, coalesce(j.last_error, r.why) AS last_error,
    coalesce(j.scheduled_at, j.created_at) AT TIME ZONE 'UTC' AS scheduled_at, j.started_at AT TIME ZONE 'UTC' AS started_at,
    j.completed_at AT TIME ZONE 'UTC' AS completed_at, j.created_at AT TIME ZONE 'UTC' AS created_at, j.verification_status,
    j.verified_at AT TIME ZONE 'UTC' AS verified_at, j.verification_error, j.verification_fingerprint, j.version_id, r.reason
FROM (SELECT p.id, row_number() OVER () AS at FROM (SELECT j.id
FROM jobs j
WHERE ($1::text IS NULL OR j.status = $1)
    AND ($2::text IS NULL OR j.type = $2)
    AND ($3::text IS NULL OR j.certificate_id = $3)
    AND ($4::text IS NULL OR j.target_id = $4)
    AND ($5::text IS NULL OR j.agent_id = $5)
    AND ($6::text IS NULL OR j.version_id = $6 AND j.certificate_id = ANY (ARRAY(
        SELECT v.certificate_id FROM certificate_versions v WHERE v.id = $6
        UNION ALL SELECT o.certificate_id FROM jobs o WHERE o.id = 'job' || substr($6, length('certver') + 1))))
    AND ($9::text IS NULL OR j.id < $9)
ORDER BY j.id DESC
LIMIT $7::bigint OFFSET $8::bigint) AS p) AS k
JOIN jobs j ON j.id = k.id
LEFT JOIN LATERAL job_reason(j) r ON true
ORDER BY k.at;

-- name: job_total :one
SELECT coalesce(sum(k.n), 0)::bigint AS total, NOT (SELECT s.is_counted FROM stat_state s) AS is_capped
FROM stat_totals_now k WHERE k.kind = 'job';

-- name: job_list_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM jobs j
    WHERE ($1::text IS NULL OR j.status = $1)
        AND ($2::text IS NULL OR j.type = $2)
        AND ($3::text IS NULL OR j.certificate_id = $3)
        AND ($4::text IS NULL OR j.target_id = $4)
        AND ($5::text IS NULL OR j.agent_id = $5)
        AND ($6::text IS NULL OR j.version_id = $6 AND j.certificate_id = ANY (ARRAY(
            SELECT v.certificate_id FROM certificate_versions v WHERE v.id = $6
            UNION ALL SELECT o.certificate_id FROM jobs o WHERE o.id = 'job' || substr($6, length('certver') + 1))))
    LIMIT 10001) AS found) AS n;

-- name: job_get :one
SELECT j.id, j.type, j.certificate_id, j.target_id, j.agent_id, j.status, j.attempts, j.max_attempts, coalesce(j.last_error, r.why) AS last_error,
    coalesce(j.scheduled_at, j.created_at) AT TIME ZONE 'UTC' AS scheduled_at, j.started_at AT TIME ZONE 'UTC' AS started_at,
    j.completed_at AT TIME ZONE 'UTC' AS completed_at, j.created_at AT TIME ZONE 'UTC' AS created_at, j.verification_status,
    j.verified_at AT TIME ZONE 'UTC' AS verified_at, j.verification_error, j.verification_fingerprint, j.version_id, r.reason
FROM jobs j LEFT JOIN LATERAL job_reason(j) r ON true
WHERE j.id = $1;

-- name: job_cancel :one
SELECT r.outcome, r.status FROM job_cancel($1, $2, $3, $4) AS r;
