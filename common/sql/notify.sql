-- Statements by which notifications leave, of scheduler and worker.

-- --- scheduler ---

-- New notifications become messages: one a channel, recipient, type and
-- severity, whose task has its id.  rows: notifications.
-- name: duty_notification_dispatch :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1)),
due AS MATERIALIZED (
    SELECT n.id, n.channel, n.recipient, n.type, n.severity FROM notification_events n
    WHERE n.status = 'pending' AND n.message_id IS NULL
    ORDER BY n.id LIMIT coalesce((SELECT led.n FROM led), 0) FOR NO KEY UPDATE SKIP LOCKED
), made AS MATERIALIZED (
    SELECT id_new('task') AS id, d.channel, d.recipient, d.type, d.severity FROM due d
    GROUP BY d.channel, d.recipient, d.type, d.severity
), marked AS (
    UPDATE notification_events n SET message_id = m.id
    FROM due d JOIN made m USING (channel, recipient, type, severity) WHERE n.id = d.id
), queued AS (
    INSERT INTO tasks (id, kind, subject, dedupe_key, run_after, created_at)
    SELECT m.id, 'notify', m.channel, 'notify:' || m.id, engine_now(), engine_now() FROM made m
)
SELECT (SELECT count(*) FROM due) AS rows FROM led;

-- Messages whose wait is over get a task again.  One whose task the engine
-- gave up, as after several deaths of its workers, is dead.
-- Of a message, whose rows are alike, one row is read: it may be about thousands.
-- name: duty_notification_retry :many
WITH RECURSIVE led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1)),
messages AS (
    SELECT (SELECT min(o.message_id) FROM notification_events o WHERE o.status IN ('pending', 'failed') AND o.message_id IS NOT NULL) AS id
    FROM led
    UNION ALL
    SELECT (SELECT min(o.message_id) FROM notification_events o WHERE o.status IN ('pending', 'failed') AND o.message_id > m.id)
    FROM messages m WHERE m.id IS NOT NULL
), unsent AS MATERIALIZED (
    SELECT n.message_id, n.channel, n.next_retry_at, t.id IS NOT NULL AS has_task, t.status = 'Failed' AS is_given_up, t.last_error
    FROM messages m
    CROSS JOIN LATERAL (SELECT o.message_id, o.channel, o.next_retry_at FROM notification_events o
        WHERE o.status IN ('pending', 'failed') AND o.message_id = m.id LIMIT 1) n
    LEFT JOIN LATERAL (SELECT k.id, k.status, k.last_error FROM tasks k WHERE k.id = n.message_id LIMIT 1) t ON true
), given_up AS (
    UPDATE notification_events n SET status = 'dead', error = u.last_error, last_error = u.last_error, next_retry_at = NULL,
        retry_count = n.retry_count + 1
    FROM unsent u WHERE u.is_given_up AND n.message_id = u.message_id AND n.status IN ('pending', 'failed')
), due AS (
    SELECT u.message_id, u.channel FROM unsent u
    WHERE NOT u.has_task AND (u.next_retry_at IS NULL OR u.next_retry_at <= (SELECT engine_now()))
    LIMIT coalesce((SELECT led.n FROM led), 0)
), queued AS (
    INSERT INTO tasks (id, kind, subject, dedupe_key, run_after, created_at)
    SELECT d.message_id, 'notify', d.channel, 'notify:' || d.message_id, engine_now(), engine_now() FROM due d
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM queued) AS rows FROM led;

-- What was made so long ago ($4: ms) and is not to be sent any more goes.
-- name: duty_notification_retention :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT g.rows, g.rows >= led.n AS is_more
FROM led CROSS JOIN LATERAL (SELECT duty_notification_retention($4::bigint, led.n) AS rows) g;

-- --- worker ---

-- What a message is about, as far as nobody read it or asked for it anew since.
-- name: notification_load :many
SELECT n.channel, n.type, n.severity, n.recipient, n.message, coalesce(n.certificate_id, '') AS certificate_id,
    count(*) OVER () AS total, floor(extract(epoch FROM min(n.created_at) OVER ()) * 1000000)::bigint AS created_us,
    floor(extract(epoch FROM engine_now()))::bigint AS now_unix
FROM tasks t
JOIN notification_events n ON n.message_id = t.id AND n.status IN ('pending', 'failed')
WHERE t.leased_by = $1 AND t.lease_id = $2::bigint AND t.id = $3 AND t.status = 'Running'
ORDER BY n.id
LIMIT $4::int;

-- name: notification_sent :one
WITH done AS (
    DELETE FROM tasks t WHERE t.leased_by = $1 AND t.lease_id = $2::bigint AND t.id = $3 AND t.status = 'Running' RETURNING t.id
), told AS (
    UPDATE notification_events n SET status = 'sent', sent_at = engine_now(), error = NULL, last_error = NULL, next_retry_at = NULL
    FROM done d WHERE n.message_id = d.id AND n.status IN ('pending', 'failed')
)
SELECT EXISTS (SELECT 1 FROM done) AS is_ours, 'sent' AS status;

-- $5: whether it would be refused again; $6: the seconds that its receiver
-- asks to wait; $7: the tries that it cost.
-- name: notification_failed :one
WITH done AS (
    DELETE FROM tasks t WHERE t.leased_by = $1 AND t.lease_id = $2::bigint AND t.id = $3 AND t.status = 'Running' RETURNING t.id
), told AS (
    UPDATE notification_events n SET retry_count = n.retry_count + $7::int, error = $4, last_error = $4,
        status = CASE WHEN $5::bool OR n.retry_count + 1 >= policy_notify_tries() THEN 'dead' ELSE 'failed' END,
        next_retry_at = CASE WHEN NOT $5::bool AND n.retry_count + 1 < policy_notify_tries() THEN engine_now()
            + greatest(back_off(policy_notify_first(), policy_notify_most(), n.retry_count), make_interval(secs => $6::int)) END
    FROM done d WHERE n.message_id = d.id AND n.status IN ('pending', 'failed') RETURNING n.status
)
SELECT EXISTS (SELECT 1 FROM done) AS is_ours, coalesce((SELECT min(o.status) FROM told o), '') AS status;
