-- Statements about alerts and notifications, of all processes.

-- --- scheduler ---

-- name: duty_expiry_alerts :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT d.rows, d.is_more FROM led CROSS JOIN LATERAL duty_expiry_alerts(led.n, $4::bool, $5::jsonb) d;

-- name: duty_event_alerts :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT d.rows, d.is_more FROM led CROSS JOIN LATERAL duty_event_alerts(led.n, $4::jsonb) d;

-- --- API ---

-- Newest sent first, what was not sent after that; order_at is that order.
-- name: notification_list :many fresh
SELECT n.id, n.type, n.certificate_id, n.channel, n.recipient, n.message, n.sent_at AT TIME ZONE 'UTC' AS sent_at, n.status,
    n.error, n.retry_count, n.next_retry_at AT TIME ZONE 'UTC' AS next_retry_at, n.last_error,
    n.created_at AT TIME ZONE 'UTC' AS created_at, n.severity, n.threshold_days,
    coalesce(n.sent_at, '-infinity') AT TIME ZONE 'UTC' AS order_at
FROM (SELECT p.id, row_number() OVER () AS at FROM (SELECT n.id
FROM notification_events n
WHERE ($1::text IS NULL OR n.status = $1)
    AND ($4::timestamptz IS NULL OR (coalesce(n.sent_at, '-infinity'), n.id) < ($4::timestamptz, $5::text))
ORDER BY coalesce(n.sent_at, '-infinity') DESC, n.id DESC
LIMIT $2::bigint OFFSET $3::bigint) AS p) AS k
JOIN notification_events n ON n.id = k.id
ORDER BY k.at;

-- name: notification_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM notification_events n WHERE ($1::text IS NULL OR n.status = $1) LIMIT 10001) AS found) AS n;

-- name: notification_get :many
SELECT n.id, n.type, n.certificate_id, n.channel, n.recipient, n.message, n.sent_at AT TIME ZONE 'UTC' AS sent_at, n.status,
    n.error, n.retry_count, n.next_retry_at AT TIME ZONE 'UTC' AS next_retry_at, n.last_error,
    n.created_at AT TIME ZONE 'UTC' AS created_at, n.severity, n.threshold_days
FROM notification_events n
WHERE n.id = $1;

-- One that still waits is sent no more, so whoever reads it answers for that.  $2,
-- $3 who asks.
-- name: notification_read :many
WITH found AS (
    SELECT n.id, n.status FROM notification_events n WHERE n.id = $1 FOR UPDATE
), marked AS (
    UPDATE notification_events n SET status = 'read' FROM found f WHERE n.id = f.id AND f.status <> 'read'
    RETURNING n.id, n.certificate_id, f.status AS before
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT $2, $3, 'notification_read', 'notification', m.id,
        jsonb_strip_nulls(jsonb_build_object('certificate_id', m.certificate_id, 'status_before', m.before))
    FROM marked m
)
SELECT f.id FROM found f;

-- name: notification_requeue :many
WITH queued AS (
    UPDATE notification_events n SET status = 'pending', retry_count = 0, next_retry_at = NULL, last_error = NULL,
        message_id = NULL
    WHERE n.id = $1 RETURNING n.id, n.certificate_id, n.channel
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT $2, $3, 'notification_requeued', 'notification', q.id,
        jsonb_strip_nulls(jsonb_build_object('certificate_id', q.certificate_id, 'channel', q.channel))
    FROM queued q
)
SELECT q.id FROM queued q;
