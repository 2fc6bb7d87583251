-- Statements of the API's certificates.  Times leave as UTC without an offset
-- whatever the session's zone is; the writer adds the Z.

-- The first page that nobody filtered or sorted, and the steps of a walk.  The
-- inner limit is a constant on purpose: of a parameter the planner thinks it
-- asks for a tenth of the table, and would plan every call anew (150 us).
-- Rows are made as the outer limit pulls them.
-- name: cert_page :many
SELECT p.id, p.name, p.common_name, p.sans, p.environment, p.owner_id, p.team_id, p.issuer_id, p.renewal_policy_id,
    p.target_ids, p.certificate_profile_id, p.status, p.expires_at, p.tags, p.last_renewal_at, p.last_deployment_at,
    p.revoked_at, p.revocation_reason, p.created_at, p.updated_at, p.source, p.needs_renewal, p.deployment_status, p.reason
FROM (SELECT c.id, c.name, c.common_name, array_to_json(c.sans) AS sans, c.environment, c.owner_id, c.team_id, c.issuer_id,
        c.renewal_policy_id,
        w.target_ids,
        c.certificate_profile_id, c.status, c.expires_at AT TIME ZONE 'UTC' AS expires_at, c.tags,
        c.last_renewal_at AT TIME ZONE 'UTC' AS last_renewal_at,
        c.last_deployment_at AT TIME ZONE 'UTC' AS last_deployment_at, c.revoked_at AT TIME ZONE 'UTC' AS revoked_at,
        c.revocation_reason, c.created_at AT TIME ZONE 'UTC' AS created_at, c.updated_at AT TIME ZONE 'UTC' AS updated_at,
        c.source, CASE WHEN c.renewal_wanted IS NOT NULL THEN true END AS needs_renewal, w.deployment_status, w.reason
    FROM managed_certificates c CROSS JOIN LATERAL certificate_now(c) AS w
    ORDER BY c.created_at, c.id
    LIMIT 501) AS p
LIMIT $1::bigint;

-- name: cert_page_after :many
SELECT p.id, p.name, p.common_name, p.sans, p.environment, p.owner_id, p.team_id, p.issuer_id, p.renewal_policy_id,
    p.target_ids, p.certificate_profile_id, p.status, p.expires_at, p.tags, p.last_renewal_at, p.last_deployment_at,
    p.revoked_at, p.revocation_reason, p.created_at, p.updated_at, p.source, p.needs_renewal, p.deployment_status, p.reason
FROM (SELECT c.id, c.name, c.common_name, array_to_json(c.sans) AS sans, c.environment, c.owner_id, c.team_id, c.issuer_id,
        c.renewal_policy_id,
        w.target_ids,
        c.certificate_profile_id, c.status, c.expires_at AT TIME ZONE 'UTC' AS expires_at, c.tags,
        c.last_renewal_at AT TIME ZONE 'UTC' AS last_renewal_at,
        c.last_deployment_at AT TIME ZONE 'UTC' AS last_deployment_at, c.revoked_at AT TIME ZONE 'UTC' AS revoked_at,
        c.revocation_reason, c.created_at AT TIME ZONE 'UTC' AS created_at, c.updated_at AT TIME ZONE 'UTC' AS updated_at,
        c.source, CASE WHEN c.renewal_wanted IS NOT NULL THEN true END AS needs_renewal, w.deployment_status, w.reason
    FROM managed_certificates c CROSS JOIN LATERAL certificate_now(c) AS w
    WHERE (c.created_at, c.id) > ($2::timestamptz, $3::text)
    ORDER BY c.created_at, c.id
    LIMIT 501) AS p
LIMIT $1::bigint;

-- Everything else.  The planner folds what is NULL and the sort keys that are
-- not meant, so each call gets the plan of the query it stands for.  A
-- certificate that was never issued counts as ending after all others.  What is
-- sorted and skipped are keys; rows and targets are looked up for the page only.
-- name: cert_search :many fresh
SELECT c.id, c.name, c.common_name, array_to_json(c.sans) AS sans, c.environment, c.owner_id, c.team_id, c.issuer_id,
    c.renewal_policy_id,
    w.target_ids,
    c.certificate_profile_id, c.status, c.expires_at AT TIME ZONE 'UTC' AS expires_at, c.tags,
    c.last_renewal_at AT TIME ZONE 'UTC' AS last_renewal_at, c.last_deployment_at AT TIME ZONE 'UTC' AS last_deployment_at,
    c.revoked_at AT TIME ZONE 'UTC' AS revoked_at, c.revocation_reason, c.created_at AT TIME ZONE 'UTC' AS created_at,
    c.updated_at AT TIME ZONE 'UTC' AS updated_at, c.source,
    CASE WHEN c.renewal_wanted IS NOT NULL THEN true END AS needs_renewal, w.deployment_status, w.reason
FROM (SELECT p.id, row_number() OVER () AS at FROM (SELECT c.id
FROM managed_certificates c
WHERE ($1::text IS NULL OR c.status = $1)
    AND ($2::text IS NULL OR c.environment = $2)
    AND ($3::text IS NULL OR c.owner_id = $3)
    AND ($4::text IS NULL OR c.team_id = $4)
    AND ($5::text IS NULL OR c.issuer_id = $5)
    AND ($6::text IS NULL OR c.id = ANY (ARRAY(SELECT m.certificate_id FROM certificate_target_mappings m
        JOIN deployment_targets t ON t.id = m.target_id WHERE t.agent_id = $6)))
    AND ($7::text IS NULL OR c.certificate_profile_id = $7)
    AND ($8::timestamptz IS NULL OR c.expires_at < $8)
    AND ($9::timestamptz IS NULL OR c.expires_at > $9)
    AND ($10::timestamptz IS NULL OR c.created_at > $10)
    AND ($11::timestamptz IS NULL OR c.updated_at > $11)
    AND ($12::text IS NULL OR strpos(lower(c.name), lower($12)) > 0 OR strpos(lower(c.common_name), lower($12)) > 0
        OR strpos(lower(c.id), lower($12)) > 0)
    AND ($15::timestamptz IS NULL OR (c.created_at, c.id) > ($15::timestamptz, $16::text))
ORDER BY
    CASE WHEN $17::text = 'expires_at' AND NOT $18::bool THEN c.expires_at END,
    CASE WHEN $17::text = 'expires_at' AND $18::bool THEN c.expires_at END DESC,
    CASE WHEN $17::text = 'updated_at' AND NOT $18::bool THEN c.updated_at END,
    CASE WHEN $17::text = 'updated_at' AND $18::bool THEN c.updated_at END DESC,
    CASE WHEN $17::text = 'common_name' AND NOT $18::bool THEN c.common_name END,
    CASE WHEN $17::text = 'common_name' AND $18::bool THEN c.common_name END DESC,
    CASE WHEN $17::text = 'name' AND NOT $18::bool THEN c.name END,
    CASE WHEN $17::text = 'name' AND $18::bool THEN c.name END DESC,
    CASE WHEN $17::text = 'status' AND NOT $18::bool THEN c.status END,
    CASE WHEN $17::text = 'status' AND $18::bool THEN c.status END DESC,
    CASE WHEN $17::text = 'environment' AND NOT $18::bool THEN coalesce(c.environment, '') END,
    CASE WHEN $17::text = 'environment' AND $18::bool THEN coalesce(c.environment, '') END DESC,
    CASE WHEN NOT $18::bool THEN c.created_at END,
    CASE WHEN $18::bool THEN c.created_at END DESC,
    CASE WHEN NOT $18::bool THEN c.id END,
    CASE WHEN $18::bool THEN c.id END DESC
LIMIT $13::bigint OFFSET $14::bigint) AS p) AS k
JOIN managed_certificates c ON c.id = k.id
CROSS JOIN LATERAL certificate_now(c) AS w
ORDER BY k.at;

-- name: cert_total :one
SELECT coalesce(sum(k.n), 0)::bigint AS total, NOT (SELECT s.is_counted FROM stat_state s) AS is_capped
FROM stat_totals_now k WHERE k.kind = 'certificate';

-- The exact number of matches, up to the cap.
-- name: cert_search_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM managed_certificates c
    WHERE ($1::text IS NULL OR c.status = $1)
        AND ($2::text IS NULL OR c.environment = $2)
        AND ($3::text IS NULL OR c.owner_id = $3)
        AND ($4::text IS NULL OR c.team_id = $4)
        AND ($5::text IS NULL OR c.issuer_id = $5)
        AND ($6::text IS NULL OR c.id = ANY (ARRAY(SELECT m.certificate_id FROM certificate_target_mappings m
            JOIN deployment_targets t ON t.id = m.target_id WHERE t.agent_id = $6)))
        AND ($7::text IS NULL OR c.certificate_profile_id = $7)
        AND ($8::timestamptz IS NULL OR c.expires_at < $8)
        AND ($9::timestamptz IS NULL OR c.expires_at > $9)
        AND ($10::timestamptz IS NULL OR c.created_at > $10)
        AND ($11::timestamptz IS NULL OR c.updated_at > $11)
        AND ($12::text IS NULL OR strpos(lower(c.name), lower($12)) > 0
            OR strpos(lower(c.common_name), lower($12)) > 0 OR strpos(lower(c.id), lower($12)) > 0)
    LIMIT 10001) AS found) AS n;

-- One that was changed, to be answered.
-- name: cert_get :one
SELECT c.id, c.name, c.common_name, array_to_json(c.sans) AS sans, c.environment, c.owner_id, c.team_id, c.issuer_id,
    c.renewal_policy_id,
    w.target_ids,
    c.certificate_profile_id, c.status, c.expires_at AT TIME ZONE 'UTC' AS expires_at, c.tags,
    c.last_renewal_at AT TIME ZONE 'UTC' AS last_renewal_at, c.last_deployment_at AT TIME ZONE 'UTC' AS last_deployment_at,
    c.revoked_at AT TIME ZONE 'UTC' AS revoked_at, c.revocation_reason, c.created_at AT TIME ZONE 'UTC' AS created_at,
    c.updated_at AT TIME ZONE 'UTC' AS updated_at, c.source,
    CASE WHEN c.renewal_wanted IS NOT NULL THEN true END AS needs_renewal, w.deployment_status, w.reason,
    (SELECT p.auto_renew FROM renewal_policies p WHERE p.id = c.renewal_policy_id) AS auto_renew
FROM managed_certificates c CROSS JOIN LATERAL certificate_now(c) AS w
WHERE c.id = $1;

-- Many by their ids; at is whose row it is, counted from 1.  The fence keeps
-- looking each up by its key, whatever the table was like when it was planned.
-- name: cert_gets :many
SELECT k.at, d.id, d.name, d.common_name, d.sans, d.environment, d.owner_id, d.team_id, d.issuer_id, d.renewal_policy_id,
    d.target_ids, d.certificate_profile_id, d.status, d.expires_at, d.tags, d.last_renewal_at, d.last_deployment_at,
    d.revoked_at, d.revocation_reason, d.created_at, d.updated_at, d.source, d.needs_renewal, d.deployment_status, d.reason,
    CASE WHEN d.target_ids::text <> '[]' THEN array_to_json(ARRAY(SELECT ARRAY[s.target_id, s.serial_number]
        FROM certificate_target_mappings m JOIN served_certificates s ON s.target_id = m.target_id
        WHERE m.certificate_id = d.id ORDER BY s.target_id)) END AS served,
    CASE WHEN d.source = 'ACME' THEN (SELECT a.account_id FROM acme_certificates a WHERE a.certificate_id = d.id) END AS acme_account_id,
    CASE WHEN d.source = 'ACME' THEN (SELECT o.order_id FROM acme_orders o WHERE o.certificate_id = d.id
        ORDER BY o.created_at DESC, o.order_id DESC LIMIT 1) END AS acme_order_id,
    n.starts_at AT TIME ZONE 'UTC' AS ari_window_start, n.ends_at AT TIME ZONE 'UTC' AS ari_window_end,
    n.explanation_url AS ari_explanation_url, n.said AS ari_said
FROM unnest((SELECT $1::text[])) WITH ORDINALITY AS k (id, at) CROSS JOIN LATERAL (
    SELECT c.id, c.name, c.common_name, array_to_json(c.sans) AS sans, c.environment, c.owner_id, c.team_id, c.issuer_id,
        c.renewal_policy_id,
        w.target_ids,
        c.certificate_profile_id, c.status, c.expires_at AT TIME ZONE 'UTC' AS expires_at, c.tags,
        c.last_renewal_at AT TIME ZONE 'UTC' AS last_renewal_at,
        c.last_deployment_at AT TIME ZONE 'UTC' AS last_deployment_at, c.revoked_at AT TIME ZONE 'UTC' AS revoked_at,
        c.revocation_reason, c.created_at AT TIME ZONE 'UTC' AS created_at, c.updated_at AT TIME ZONE 'UTC' AS updated_at,
        c.source, CASE WHEN c.renewal_wanted IS NOT NULL THEN true END AS needs_renewal, w.deployment_status, w.reason
    FROM managed_certificates c CROSS JOIN LATERAL certificate_now(c) AS w
    WHERE c.id = k.id OFFSET 0) AS d
-- What its CA says of its renewal, or why nothing.
LEFT JOIN LATERAL (SELECT a.starts_at, a.ends_at, a.explanation_url, coalesce(a.said, e.said) AS said
    FROM renewal_windows a LEFT JOIN renewal_window_rests e ON e.issuer_id = a.issuer_id
    WHERE a.certificate_id = d.id AND a.issuer_id = d.issuer_id AND EXISTS (SELECT 1 FROM issuers i
        WHERE i.id = a.issuer_id AND issuer_asks_windows(i.type, i.config)) ORDER BY a.renew_at LIMIT 1) AS n ON true;

-- The row of what was given as g.
-- fragment: cert_made
INSERT INTO managed_certificates (id, name, common_name, sans, environment, owner_id, team_id, issuer_id,
        renewal_policy_id, certificate_profile_id, tags, source, created_at, updated_at, ordered_by)
    SELECT g.id, g.j ->> 'name', g.j ->> 'common_name', ARRAY(SELECT jsonb_array_elements_text(g.j -> 'sans')),
        coalesce(g.j ->> 'environment', ''), g.j ->> 'owner_id', g.j ->> 'team_id', g.j ->> 'issuer_id',
        g.j ->> 'renewal_policy_id', g.j ->> 'certificate_profile_id', coalesce(g.j -> 'tags', '{}'),
        coalesce(g.j ->> 'source', ''), g.at, g.at, g.actor
    FROM given g

-- fragment: cert_made_columns
id, name, common_name, sans, environment, owner_id, team_id, issuer_id, renewal_policy_id, certificate_profile_id,
        status, expires_at, tags, last_renewal_at, last_deployment_at, revoked_at, revocation_reason, created_at, updated_at, source

-- What was made as m, with the targets t.ids.
-- fragment: cert_made_shown
m.id, m.name, m.common_name, array_to_json(m.sans) AS sans, m.environment, m.owner_id, m.team_id, m.issuer_id,
    m.renewal_policy_id, array_to_json(t.ids) AS target_ids,
    m.certificate_profile_id, m.status, m.expires_at AT TIME ZONE 'UTC' AS expires_at, m.tags,
    m.last_renewal_at AT TIME ZONE 'UTC' AS last_renewal_at, m.last_deployment_at AT TIME ZONE 'UTC' AS last_deployment_at,
    m.revoked_at AT TIME ZONE 'UTC' AS revoked_at, m.revocation_reason, m.created_at AT TIME ZONE 'UTC' AS created_at,
    m.updated_at AT TIME ZONE 'UTC' AS updated_at, m.source, NULL::bool AS needs_renewal, NULL::text AS deployment_status, NULL::text AS reason,
    (SELECT p.auto_renew FROM renewal_policies p WHERE p.id = m.renewal_policy_id) AS auto_renew

-- The rows, their targets and the audit events, or none of them.  What has happened to
-- a certificate (status, times) is never taken from the body.  A name or an id that is
-- there already makes no row.  What somebody holds is waited for as long as another
-- batch has it.  n: whose row it is, from 1.  In the order of names, so that two batches
-- with the same ones do not wait for each other.
-- name: cert_create_many :many
WITH given AS MATERIALIZED (
    SELECT DISTINCT ON (u.j ->> 'name') u.n, coalesce(u.j ->> 'id', id_new('cert')) AS id, u.j ->> 'name' AS name, u.j, u.actor,
        u.actor_type, t.at
    FROM unnest($1::jsonb[], $2::text[], $3::text[]) WITH ORDINALITY AS u (j, actor, actor_type, n),
        (SELECT engine_now() AS at, set_config('lock_timeout', '20ms', true)) AS t
    ORDER BY u.j ->> 'name', u.n
), made AS (
    {cert_made}
    ON CONFLICT DO NOTHING RETURNING {cert_made_columns}
), mapped AS (
    INSERT INTO certificate_target_mappings (certificate_id, target_id)
    SELECT DISTINCT m.id, t.target_id
    FROM given g JOIN made m ON m.id = g.id AND m.name = g.name, jsonb_array_elements_text(g.j -> 'target_ids') AS t (target_id)
    ORDER BY t.target_id, m.id
    RETURNING certificate_id, target_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT g.actor, g.actor_type, 'certificate_created', 'certificate', m.id,
        jsonb_build_object('common_name', m.common_name, 'issuer_id', m.issuer_id)
    FROM given g JOIN made m ON m.id = g.id AND m.name = g.name
)
SELECT g.n, {cert_made_shown}
FROM given g JOIN made m ON m.id = g.id AND m.name = g.name
LEFT JOIN (SELECT a.certificate_id, array_agg(a.target_id ORDER BY a.target_id) AS ids FROM mapped a GROUP BY 1) AS s
    ON s.certificate_id = m.id
CROSS JOIN LATERAL (SELECT coalesce(s.ids, '{}') AS ids) AS t;

-- One by itself, which says what is wrong with it and waits as long as any other.
-- name: cert_create :one
WITH given AS (SELECT coalesce(w.j ->> 'id', id_new('cert')) AS id, w.j, $2::text AS actor, engine_now() AS at
    FROM (SELECT $1::jsonb AS j) AS w),
made AS (
    {cert_made}
    RETURNING {cert_made_columns}
), mapped AS (
    INSERT INTO certificate_target_mappings (certificate_id, target_id)
    SELECT DISTINCT m.id, t.target_id
    FROM made m, given g, jsonb_array_elements_text(g.j -> 'target_ids') AS t (target_id)
    ORDER BY t.target_id
    RETURNING target_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT $2, $3, 'certificate_created', 'certificate', m.id,
        jsonb_build_object('common_name', m.common_name, 'issuer_id', m.issuer_id)
    FROM made m
)
SELECT {cert_made_shown}
FROM made m, (SELECT ARRAY(SELECT o.target_id FROM mapped o ORDER BY o.target_id) AS ids) AS t;

-- Who has a file that these targets ($2) would write for a certificate ($1; NULL: a
-- new one), or that a target ($1) would write with what it is to become ($2).
-- name: cert_files_taken :many fresh
SELECT f.path, f.certificate_id, f.target_id
FROM jsonb_array_elements_text($2::jsonb -> 'target_ids') AS w (target_id)
JOIN deployment_targets t ON t.id = w.target_id
CROSS JOIN LATERAL target_paths(t.config) AS p (path)
JOIN target_files f ON f.path = p.path AND f.agent_id = t.agent_id AND f.certificate_id IS DISTINCT FROM $1::text
ORDER BY f.path, f.target_id LIMIT 1;

-- name: target_files_taken :many fresh
SELECT f.path, f.certificate_id, f.target_id
FROM deployment_targets t
JOIN certificate_target_mappings m ON m.target_id = t.id
CROSS JOIN LATERAL target_paths(coalesce($2::jsonb -> 'config', t.config)) AS p (path)
JOIN target_files f ON f.path = p.path AND f.agent_id = coalesce($2::jsonb ->> 'agent_id', t.agent_id)
    AND f.certificate_id <> m.certificate_id
WHERE t.id = $1::text
ORDER BY f.path, f.target_id LIMIT 1;

-- name: cert_merge :one
SELECT r.outcome, array_to_json(r.agents) AS agents FROM certificate_merge($1, $2::jsonb, $3, $4, $5) AS r;

-- name: cert_archive :one
SELECT certificate_archive($1, $2, $3, $4) AS outcome;

-- name: cert_versions :many fresh
SELECT v.id, v.certificate_id, v.serial_number, v.not_before AT TIME ZONE 'UTC' AS not_before,
    v.not_after AT TIME ZONE 'UTC' AS not_after, v.fingerprint_sha256,
    v.pem_chain || coalesce(h.pem, '') AS pem_chain, q.csr_pem, v.key_algorithm, v.key_size,
    v.created_at AT TIME ZONE 'UTC' AS created_at, r.revoked_at AT TIME ZONE 'UTC' AS revoked_at,
    r.issuer_state AS ca_revocation, r.issuer_said AS ca_revocation_said
FROM certificate_versions v
LEFT JOIN certificate_revocations r ON r.issuer_id = v.issuer_id AND r.serial_number = v.serial_number
LEFT JOIN certificate_chains h ON h.id = v.chain_id
LEFT JOIN certificate_requests q ON q.job_id = v.job_id
WHERE v.certificate_id = $1
    AND ($4::text IS NULL OR v.id < $4)
ORDER BY v.id DESC
LIMIT $2::bigint OFFSET $3::bigint;

-- name: cert_versions_total :one
SELECT count(*) AS total, false AS is_capped FROM certificate_versions v WHERE v.certificate_id = $1;

-- Its newest version; no row when there is no such certificate, one with a NULL
-- pem before the first.
-- name: cert_newest :one
SELECT c.name, v.serial_number, v.pem
FROM managed_certificates c
LEFT JOIN LATERAL (SELECT n.serial_number, n.pem_chain || coalesce(h.pem, '') AS pem FROM certificate_versions n
    LEFT JOIN certificate_chains h ON h.id = n.chain_id
    WHERE n.certificate_id = c.id ORDER BY n.id DESC LIMIT 1) AS v ON true
WHERE c.id = $1;

-- name: cert_exported :exec
INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
VALUES ($1, $2, $3, 'certificate', $4, jsonb_build_object('serial_number', $5::text));

-- The targets of a certificate; no row when there is no such certificate, one
-- with a NULL id when it has no target.
-- name: cert_targets :many
SELECT t.id, t.name, t.type, t.agent_id, t.config, t.enabled, t.last_tested_at AT TIME ZONE 'UTC' AS last_tested_at,
    t.test_status, t.source, t.retired_at AT TIME ZONE 'UTC' AS retired_at, t.retired_reason,
    t.created_at AT TIME ZONE 'UTC' AS created_at, t.updated_at AT TIME ZONE 'UTC' AS updated_at,
    s.serial_number AS served_serial_number, s.fingerprint_sha256 AS served_fingerprint_sha256, s.issuer_dn AS served_issuer_dn,
    s.not_after AT TIME ZONE 'UTC' AS served_not_after, s.since AT TIME ZONE 'UTC' AS served_since, s.seen_by AS served_by,
    s.error AS served_error
FROM managed_certificates c
LEFT JOIN (certificate_target_mappings m JOIN deployment_targets t ON t.id = m.target_id) ON m.certificate_id = c.id
LEFT JOIN served_certificates s ON s.target_id = t.id
WHERE c.id = $1
ORDER BY t.id;

-- name: cert_renew :many
SELECT r.outcome, r.job_id, r.agent_id, (SELECT p.id FROM managed_certificates c
        JOIN renewal_policies p ON p.id = c.renewal_policy_id AND NOT p.auto_renew WHERE c.id = r.certificate_id) AS by_hand
FROM certificate_renew($1, $2, $3, $4::bool, $5) AS r;

-- name: cert_open_jobs :many
SELECT j.id AS job_id, j.agent_id::text AS agent_id, j.status FROM jobs j
WHERE j.certificate_id = $1 AND job_issues(j.type) AND job_is_active(j.status) ORDER BY j.id LIMIT 100;

-- name: cert_deploy :many
SELECT r.outcome, r.job_id, r.agent_id FROM certificate_deploy($1, $2, $3, $4) AS r;
