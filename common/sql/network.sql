-- Statements of network scans and SCEP probes, of all processes.

-- noun: network_scan_target
--   table: network_scan_targets nst
--   id: id_new('nst')
--   column: name text create update
--   column: cidrs texts create update
--   column: ports ints create update
--   column: enabled bool update
--   column: scan_interval_hours int create update
--   column: timeout_ms int create update
--   column: last_scan_at time
--   column: last_scan_duration_ms int
--   column: last_scan_certs_found int
--   column: created_at time
--   column: updated_at time
--   column: next_scan_at time
--   on create: enabled true
--   on update: next_scan_at coalesce(nst.last_scan_at + make_interval(hours => coalesce(
--     ($2::jsonb ->> 'scan_interval_hours')::int, nst.scan_interval_hours)), {})
--   filter: name contains
--   audit: config
--   event: {noun}_{verb}d

-- --- scans ---

-- name: network_scan_ask :many
SELECT s.id, s.agent_id, array_to_json(s.directories) AS directories, s.certificates_found, s.certificates_new, s.errors_count,
    s.scan_duration_ms, s.started_at AT TIME ZONE 'UTC' AS started_at, s.completed_at AT TIME ZONE 'UTC' AS completed_at,
    array_to_json(s.errors) AS errors
FROM network_scan_ask($1, $2, $3) s;

-- name: duty_network_scan :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_network_scan(led.n) AS rows FROM led;

-- name: network_scan_store :one
SELECT network_scan_store($1, $2::bigint, $3, $4::bigint, $5::bool, $6::jsonb, $7::text[]) AS outcome;

-- name: metrics_network :one
SELECT o.scans AS network_scans_total, o.scans_given_up AS network_scans_given_up_total, o.endpoints AS network_scan_endpoints_total,
    o.certificates AS network_scan_certificates_total, o.errors AS network_scan_errors_total, o.scep_probes AS scep_probes_total,
    (SELECT count(*) FROM (SELECT 1 FROM network_scan_targets n WHERE n.scan_id IS NOT NULL LIMIT 10000) r) AS network_scans_running,
    coalesce((SELECT round(greatest(extract(epoch FROM clock_timestamp() - min(n.next_scan_at)), 0), 3) FROM network_scan_targets n
        WHERE n.enabled AND n.scan_id IS NULL), 0) AS network_scan_late_seconds
FROM network_totals o;

-- --- SCEP probes: apiserver ---

-- No row: no worker is there to do it.
-- name: scep_probe_request :many
WITH queued AS (
    INSERT INTO tasks (id, kind, subject, max_attempts, run_after, created_at)
    SELECT id_new('task'), 'scep_probe', $1, 1, engine_now(), engine_now()
    WHERE EXISTS (SELECT 1 FROM workers w WHERE w.lease_until > clock_timestamp()) RETURNING id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT $2, $3, 'scep_probe_requested', 'scep_probe', scep_probe_id(q.id), jsonb_build_object('url', $1::text) FROM queued q
)
SELECT q.id AS task, scep_probe_id(q.id) AS id FROM queued q;

-- fragment: scep_probe_columns
r.id, r.target_url, r.reachable, array_to_json(r.advertised_caps) AS advertised_caps, r.supports_rfc8894, r.supports_aes,
    r.supports_post_operation, r.supports_renewal, r.supports_sha256, r.supports_sha512, r.ca_cert_subject, r.ca_cert_issuer,
    r.ca_cert_not_before AT TIME ZONE 'UTC' AS ca_cert_not_before, r.ca_cert_not_after AT TIME ZONE 'UTC' AS ca_cert_not_after,
    r.ca_cert_expired, floor(extract(epoch FROM r.ca_cert_not_after - engine_now()) / 86400)::bigint AS ca_cert_days_to_expiry,
    r.ca_cert_algorithm, r.ca_cert_chain_length, r.probed_at AT TIME ZONE 'UTC' AS probed_at, r.probe_duration_ms, r.error,
    r.created_at AT TIME ZONE 'UTC' AS created_at

-- name: scep_probe_get :many
SELECT {scep_probe_columns}
FROM scep_probe_results r
WHERE r.id = $1;

-- name: scep_probe_list :many
SELECT {scep_probe_columns}
FROM scep_probe_results r
ORDER BY r.probed_at DESC, r.id DESC
LIMIT policy_scep_probes();

-- --- SCEP probes: worker ---

-- name: scep_probe_store :one
SELECT scep_probe_store($1, $2::bigint, $3, $4::jsonb) AS is_ours;
