-- Statements of the API's discoveries: certificates that were found, and the
-- scans that found them.

-- All of one, and of a list all but its PEM text, which is asked for by name.
-- fragment: discovered_columns
d.id, d.fingerprint_sha256, d.common_name, array_to_json(d.sans) AS sans, d.serial_number, d.issuer_dn, d.subject_dn,
    d.not_before AT TIME ZONE 'UTC' AS not_before, d.not_after AT TIME ZONE 'UTC' AS not_after, d.key_algorithm, d.key_size, d.is_ca,
    d.source_path, d.source_format, d.agent_id, d.discovery_scan_id, d.managed_certificate_id, d.status,
    d.first_seen_at AT TIME ZONE 'UTC' AS first_seen_at, d.last_seen_at AT TIME ZONE 'UTC' AS last_seen_at,
    d.dismissed_at AT TIME ZONE 'UTC' AS dismissed_at, d.created_at AT TIME ZONE 'UTC' AS created_at,
    d.updated_at AT TIME ZONE 'UTC' AS updated_at

-- The first page of all, in a plan made once (see cert_page).
-- name: discovered_page :many
SELECT * FROM (SELECT {discovered_columns}, NULL AS pem_data
    FROM discovered_certificates d
    ORDER BY d.last_seen_at DESC, d.id DESC
    LIMIT 501) AS p
LIMIT $1::bigint;

-- Filters: agent, status; $3: with the PEM texts.  What is skipped are keys.
-- name: discovered_list :many fresh
SELECT {discovered_columns}, CASE WHEN $3::bool THEN d.pem_data END AS pem_data
FROM (SELECT p.id, row_number() OVER () AS at FROM (SELECT d.id
FROM discovered_certificates d
WHERE ($1::text IS NULL OR d.agent_id = $1)
    AND ($2::text IS NULL OR d.status = $2)
    AND ($6::timestamptz IS NULL OR (d.last_seen_at, d.id) < ($6::timestamptz, $7::text))
ORDER BY d.last_seen_at DESC, d.id DESC
LIMIT $4::bigint OFFSET $5::bigint) AS p) AS k
JOIN discovered_certificates d ON d.id = k.id
ORDER BY k.at;

-- Of all, or of a status.
-- name: discovered_total :one
SELECT sum(CASE $1::text WHEN 'Unmanaged' THEN c.unmanaged WHEN 'Managed' THEN c.managed WHEN 'Dismissed' THEN c.dismissed
    ELSE CASE WHEN $1::text IS NULL THEN c.unmanaged + c.managed + c.dismissed ELSE 0 END END)::bigint AS total, false AS is_capped
FROM discovered_counts c;

-- name: discovered_list_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM discovered_certificates d
    WHERE ($1::text IS NULL OR d.agent_id = $1)
        AND ($2::text IS NULL OR d.status = $2)
    LIMIT 10001) AS found) AS n;

-- name: discovered_get :many
SELECT {discovered_columns}, d.pem_data FROM discovered_certificates d WHERE d.id = $1;

-- name: discovered_triage :one
SELECT discovery_triage($1, $2, $3, $4) AS outcome;

-- name: discovered_summary :one
SELECT sum(c.unmanaged)::bigint AS unmanaged, sum(c.managed)::bigint AS managed, sum(c.dismissed)::bigint AS dismissed
FROM discovered_counts c;

-- $1 agent, $2 actor, $3 actor type, $4 scan, $5 directories, $6 certificates,
-- $7 errors, $8 how many there were, $9 duration.
-- name: discovery_store :one
SELECT r.outcome, (r.scan).id, (r.scan).agent_id, array_to_json((r.scan).directories) AS directories, (r.scan).certificates_found,
    (r.scan).certificates_new, (r.scan).errors_count, (r.scan).scan_duration_ms,
    (r.scan).started_at AT TIME ZONE 'UTC' AS started_at, (r.scan).completed_at AT TIME ZONE 'UTC' AS completed_at,
    CASE WHEN (r.scan).errors <> '{}' THEN array_to_json((r.scan).errors) END AS errors
FROM discovery_store($1, $2, $3, $4, $5::text[], $6::jsonb, $7::text[], $8::int, $9::int) AS r;

-- name: discovery_scan_list :many fresh
SELECT s.id, s.agent_id, array_to_json(s.directories) AS directories, s.certificates_found, s.certificates_new, s.errors_count,
    s.scan_duration_ms, s.started_at AT TIME ZONE 'UTC' AS started_at, s.completed_at AT TIME ZONE 'UTC' AS completed_at,
    CASE WHEN s.errors <> '{}' THEN array_to_json(s.errors) END AS errors
FROM discovery_scans s
WHERE ($1::text IS NULL OR s.agent_id = $1)
    AND ($4::timestamptz IS NULL OR (s.started_at, s.id) < ($4::timestamptz, $5::text))
ORDER BY s.started_at DESC, s.id DESC
LIMIT $2::bigint OFFSET $3::bigint;

-- name: discovery_scan_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM discovery_scans s WHERE ($1::text IS NULL OR s.agent_id = $1) LIMIT 10001) AS found) AS n;
