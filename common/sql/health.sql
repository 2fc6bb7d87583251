-- Statements of the health checks, of all processes.

-- --- scheduler ---

-- name: duty_health_checks :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_health_checks(led.n) AS rows FROM led;

-- name: duty_health_history :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT g.rows, g.rows >= led.n AS is_more FROM led CROSS JOIN LATERAL (SELECT duty_health_history($4::bigint, led.n) AS rows) g;

-- --- worker ---

-- What a task asks of: those that are still wanted, and still its own.
-- name: health_checks_load :many
SELECT c.id, c.endpoint, array_to_string(health_expected(c.expected_fingerprint, c.certificate_id), ' ') AS expected
FROM tasks t
CROSS JOIN LATERAL jsonb_array_elements_text(t.payload -> 'checks') AS u (id)
JOIN endpoint_health_checks c ON c.id = u.id AND c.probe_task = t.id AND c.enabled
WHERE t.leased_by = $1 AND t.lease_id = $2::bigint AND t.id = $3 AND t.status = 'Running';

-- name: health_checks_store :many
SELECT s.id, s.endpoint, s.status_before, s.status, s.reason
FROM health_checks_store($1, $2::bigint, $3, $4::text[], $5::text[], $6::text[], $7::int[], $8::text[], $9::text[], $10::text[], $11::text[],
    $12::text[]::timestamptz[], $13::text[]) AS s;

-- --- API ---

-- fragment: health_check_columns of
{of}.id, {of}.endpoint, {of}.certificate_id, {of}.network_scan_target_id, {of}.expected_fingerprint, {of}.observed_fingerprint, {of}.status,
    {of}.consecutive_failures, {of}.response_time_ms, {of}.tls_version, {of}.cipher_suite, {of}.cert_subject, {of}.cert_issuer,
    {of}.cert_expiry AT TIME ZONE 'UTC' AS cert_expiry, {of}.last_checked_at AT TIME ZONE 'UTC' AS last_checked_at,
    {of}.last_success_at AT TIME ZONE 'UTC' AS last_success_at, {of}.last_failure_at AT TIME ZONE 'UTC' AS last_failure_at,
    {of}.last_transition_at AT TIME ZONE 'UTC' AS last_transition_at, {of}.failure_reason, {of}.degraded_threshold, {of}.down_threshold,
    {of}.check_interval_seconds, {of}.enabled, {of}.acknowledged, {of}.acknowledged_by,
    {of}.acknowledged_at AT TIME ZONE 'UTC' AS acknowledged_at, {of}.created_at AT TIME ZONE 'UTC' AS created_at,
    {of}.updated_at AT TIME ZONE 'UTC' AS updated_at

-- The newest first.  $1 status, $2 certificate, $3 network scan target, $4 enabled.
-- name: health_check_list :many fresh
SELECT {health_check_columns c}
FROM (SELECT p.id, row_number() OVER () AS at FROM (SELECT c.id
FROM endpoint_health_checks c
WHERE ($1::text IS NULL OR c.status = $1) AND ($2::text IS NULL OR c.certificate_id = $2)
    AND ($3::text IS NULL OR c.network_scan_target_id = $3) AND ($4::bool IS NULL OR c.enabled = $4::bool)
    AND ($7::text IS NULL OR c.id < $7)
ORDER BY c.id DESC
LIMIT $5::bigint OFFSET $6::bigint) AS p) AS k
JOIN endpoint_health_checks c ON c.id = k.id
ORDER BY k.at;

-- name: health_check_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (SELECT 1 FROM endpoint_health_checks c
WHERE ($1::text IS NULL OR c.status = $1) AND ($2::text IS NULL OR c.certificate_id = $2)
    AND ($3::text IS NULL OR c.network_scan_target_id = $3) AND ($4::bool IS NULL OR c.enabled = $4::bool)
LIMIT 10001) AS found) AS n;

-- name: health_check_get :many
SELECT {health_check_columns c} FROM endpoint_health_checks c WHERE c.id = $1;

-- name: health_check_create :one
WITH given AS (SELECT $1::jsonb AS j),
made AS (
    INSERT INTO endpoint_health_checks (id, endpoint, certificate_id, network_scan_target_id, expected_fingerprint, check_interval_seconds,
        degraded_threshold, down_threshold, enabled, created_at, updated_at, next_check_at)
    SELECT coalesce(g.j ->> 'id', id_new('hc')), g.j ->> 'endpoint', g.j ->> 'certificate_id', g.j ->> 'network_scan_target_id',
        g.j ->> 'expected_fingerprint', (g.j ->> 'check_interval_seconds')::int, (g.j ->> 'degraded_threshold')::int,
        (g.j ->> 'down_threshold')::int, (g.j ->> 'enabled')::bool, n.now, n.now, n.now
    FROM given g CROSS JOIN (SELECT engine_now() AS now) n RETURNING *
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'health_check_created', 'health_check', m.id, jsonb_build_object('endpoint', m.endpoint), 'config' FROM made m
)
SELECT {health_check_columns m} FROM made m;

-- name: health_check_lock_update :many
SELECT c.id FROM endpoint_health_checks c WHERE c.id = $1 FOR NO KEY UPDATE;

-- name: health_check_lock_delete :many
SELECT c.id FROM endpoint_health_checks c WHERE c.id = $1 FOR UPDATE;

-- name: health_check_update :one
WITH changed AS (
    UPDATE endpoint_health_checks c SET endpoint = coalesce($2::jsonb ->> 'endpoint', c.endpoint),
        certificate_id = CASE WHEN $2::jsonb ? 'certificate_id' THEN $2::jsonb ->> 'certificate_id' ELSE c.certificate_id END,
        network_scan_target_id = CASE WHEN $2::jsonb ? 'network_scan_target_id' THEN $2::jsonb ->> 'network_scan_target_id'
            ELSE c.network_scan_target_id END,
        expected_fingerprint = coalesce($2::jsonb ->> 'expected_fingerprint', c.expected_fingerprint),
        check_interval_seconds = coalesce(($2::jsonb ->> 'check_interval_seconds')::int, c.check_interval_seconds),
        degraded_threshold = coalesce(($2::jsonb ->> 'degraded_threshold')::int, c.degraded_threshold),
        down_threshold = coalesce(($2::jsonb ->> 'down_threshold')::int, c.down_threshold),
        enabled = coalesce(($2::jsonb ->> 'enabled')::bool, c.enabled), updated_at = engine_now()
    WHERE c.id = $1 RETURNING c.*
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $3, $4, 'health_check_updated', 'health_check', m.id,
        jsonb_build_object('fields', (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys($2::jsonb) AS k)), 'config' FROM changed m
)
SELECT {health_check_columns m} FROM changed m;

-- name: health_check_delete :one
WITH removed AS (
    DELETE FROM endpoint_health_checks c WHERE c.id = $1 RETURNING c.id, c.endpoint
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'health_check_deleted', 'health_check', m.id, jsonb_build_object('endpoint', m.endpoint), 'config' FROM removed m
)
SELECT false AS was_there, EXISTS (SELECT 1 FROM removed) AS is_gone;

-- The newest $2 of its history; one row with NULL where there is none yet, none
-- where there is no such check.
-- name: health_check_history :many
SELECT h.id, h.health_check_id, h.status, h.response_time_ms, h.fingerprint, h.failure_reason, h.checked_at AT TIME ZONE 'UTC' AS checked_at
FROM endpoint_health_checks c
LEFT JOIN LATERAL (SELECT o.* FROM endpoint_health_history o WHERE o.health_check_id = c.id
    ORDER BY o.checked_at DESC, o.id DESC LIMIT $2::bigint) h ON true
WHERE c.id = $1;

-- name: health_check_summary :one
SELECT sum(k.healthy)::bigint AS healthy, sum(k.degraded)::bigint AS degraded, sum(k.down)::bigint AS down,
    sum(k.cert_mismatch)::bigint AS cert_mismatch, sum(k.unknown)::bigint AS unknown,
    sum(k.healthy + k.degraded + k.down + k.cert_mismatch + k.unknown)::bigint AS total
FROM health_check_counts k;

-- name: health_check_acknowledge :many
WITH known AS (
    UPDATE endpoint_health_checks c SET acknowledged = true, acknowledged_by = $2, acknowledged_at = engine_now(), updated_at = engine_now()
    WHERE c.id = $1 RETURNING c.id, c.status
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT $3, $4, 'health_check_acknowledged', 'health_check', k.id, jsonb_build_object('status', k.status, 'acknowledged_by', $2::text)
    FROM known k
)
SELECT k.id FROM known k;
