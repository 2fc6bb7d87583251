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
