-- Statements of the API's audit trail.  Newest first is the order of sealing
-- backwards: by epoch, transaction, number.

-- Filters: category, since, until, actor, action, resource_type, resource_id.
-- name: audit_list :many fresh
SELECT e.id, e.actor, e.actor_type, e.action, e.resource_type, e.resource_id, coalesce(e.details, '{}') AS details,
    e.timestamp AT TIME ZONE 'UTC' AS timestamp, e.event_category, e.epoch AS at_epoch, e.xid AS at_xid, e.seq AS at_seq
FROM audit_events e
WHERE ($1::text IS NULL OR e.event_category = $1)
    AND ($2::timestamptz IS NULL OR e.timestamp >= $2)
    AND ($3::timestamptz IS NULL OR e.timestamp < $3)
    AND ($4::text IS NULL OR e.actor = $4)
    AND ($5::text IS NULL OR e.action = $5)
    AND ($6::text IS NULL OR e.resource_type = $6)
    AND ($7::text IS NULL OR e.resource_id = $7)
    AND ($10::bigint IS NULL OR (e.epoch, e.xid, e.seq) < ($10::bigint, $11::xid8, $12::bigint))
ORDER BY e.epoch DESC, e.xid DESC, e.seq DESC
LIMIT $8::bigint OFFSET $9::bigint;

-- How many events there are: exact while they are few, else what the statistics say.
-- fragment: audit_counted
(SELECT q.n > 10000 AS is_capped, CASE WHEN q.n > 10000 THEN greatest(q.n, (SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'public.audit_events'::regclass)) ELSE q.n END AS total
    FROM (SELECT count(*) AS n FROM (SELECT 1 FROM audit_events LIMIT 10001) AS found) AS q) AS events

-- name: audit_total :one
SELECT events.total, events.is_capped
FROM {audit_counted};

-- name: audit_list_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM audit_events e
    WHERE ($1::text IS NULL OR e.event_category = $1)
        AND ($2::timestamptz IS NULL OR e.timestamp >= $2)
        AND ($3::timestamptz IS NULL OR e.timestamp < $3)
        AND ($4::text IS NULL OR e.actor = $4)
        AND ($5::text IS NULL OR e.action = $5)
        AND ($6::text IS NULL OR e.resource_type = $6)
        AND ($7::text IS NULL OR e.resource_id = $7)
    LIMIT 10001) AS found) AS n;

-- name: audit_range :one
SELECT coalesce($2::timestamptz <= $1::timestamptz, false) AS is_empty;

-- $2, $3: the times that the id allows.  $4, for what is no event's id: the
-- newest event of that resource, among the last hundred thousand.
-- name: audit_get :many
(SELECT e.id, e.actor, e.actor_type, e.action, e.resource_type, e.resource_id, coalesce(e.details, '{}') AS details,
    e.timestamp AT TIME ZONE 'UTC' AS timestamp, e.event_category
FROM audit_events e WHERE e.id = $1 AND e.timestamp BETWEEN to_timestamp($2::bigint / 1000000.0) AND to_timestamp($3::bigint / 1000000.0) LIMIT 1)
UNION ALL
(SELECT e.id, e.actor, e.actor_type, e.action, e.resource_type, e.resource_id, coalesce(e.details, '{}') AS details,
    e.timestamp AT TIME ZONE 'UTC' AS timestamp, e.event_category
FROM (SELECT * FROM audit_events o WHERE $4::bool ORDER BY o.epoch DESC, o.xid DESC, o.seq DESC LIMIT 100000) AS e
WHERE e.resource_id = $1 ORDER BY e.epoch DESC, e.xid DESC, e.seq DESC LIMIT 1);

-- name: audit_export_range :one
SELECT $2::timestamptz <= $1::timestamptz AS is_empty, $2::timestamptz - $1::timestamptz > policy_audit_export() AS is_too_long,
    to_char($1::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS from_date,
    to_char($2::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS to_date;

-- name: audit_export_rows :many fresh
SELECT e.id, e.actor, e.actor_type, e.action, e.resource_type, e.resource_id, coalesce(e.details, '{}') AS details,
    e.timestamp AT TIME ZONE 'UTC' AS timestamp, e.event_category, e.epoch AS at_epoch, e.xid AS at_xid, e.seq AS at_seq
FROM audit_events e
WHERE e.timestamp >= $1::timestamptz AND e.timestamp < $2::timestamptz AND ($3::text IS NULL OR e.event_category = $3)
    AND (e.epoch, e.xid, e.seq) > ($4::int, $5::xid8, $6::bigint)
    AND (e.epoch, e.xid) < ($7::int, $8::xid8)
ORDER BY e.epoch, e.xid, e.seq
LIMIT $9::bigint;

-- At its begin, without a number of rows, and at its end with it.  What is written after the begin is not exported.
-- name: audit_export_event :one
INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
VALUES ($1, $2, 'audit.export', 'audit', 'export',
    jsonb_strip_nulls(jsonb_build_object('from', $3::text, 'to', $4::text, 'category', $5::text, 'limit', $6::bigint, 'rows', $7::bigint)),
    'auth')
RETURNING epoch AS at_epoch, xid AS at_xid;

-- The fields that are hashed, as they are hashed.
-- name: audit_rows :many
SELECT e.epoch::text AS epoch, e.xid::text AS xid, e.seq::text AS seq, audit_us(e.timestamp)::text AS timestamp_us, e.id,
    e.actor, e.actor_type, e.action, e.resource_type, e.resource_id, e.event_category, coalesce(e.details::text, '') AS details
FROM audit_events e
WHERE e.epoch = $1::int AND (e.xid, e.seq) > ($2::xid8, $3::bigint) AND e.xid < $4::xid8
ORDER BY e.epoch, e.xid, e.seq
LIMIT $5::bigint;

-- name: audit_blocks :many
SELECT b.n::text AS n, b.epoch::text AS epoch, b.from_xid::text AS from_xid, b.to_xid::text AS to_xid, b.rows::text AS rows,
    audit_us(b.oldest)::text AS oldest_us, audit_us(b.newest)::text AS newest_us, audit_us(b.sealed_at)::text AS sealed_us,
    encode(b.merkle_root, 'hex') AS merkle_root, encode(b.rows_hash, 'hex') AS rows_hash,
    encode(b.previous_hash, 'hex') AS previous_hash, encode(b.hash, 'hex') AS hash
FROM audit_blocks b WHERE b.n > $1::bigint ORDER BY b.n LIMIT $2::bigint;

-- name: audit_block_marks :many
SELECT encode(b.row_marks, 'hex') AS row_marks FROM audit_blocks b WHERE b.n = $1::bigint;

-- name: audit_seal_state :one
SELECT coalesce(b.n, 0) AS last_block, coalesce(encode(b.hash, 'hex'), '') AS last_hash, b.sealed_at AT TIME ZONE 'UTC' AS sealed_at,
    (SELECT count(*) FROM (SELECT 1 FROM audit_events e
        WHERE (e.epoch, e.xid) >= (coalesce(b.epoch, 0), coalesce(b.to_xid, '0')) LIMIT 10001) AS u) AS unsealed,
    coalesce((SELECT greatest((extract(epoch FROM clock_timestamp() - e.timestamp) * 1000)::bigint, 0) FROM audit_events e
        WHERE (e.epoch, e.xid) >= (coalesce(b.epoch, 0), coalesce(b.to_xid, '0'))
        ORDER BY e.epoch, e.xid, e.seq LIMIT 1), 0) AS lag_ms,
    audit_us(audit_kept_from())::text AS kept_from_us,
    v.next_n AS next_to_check, v.rounds, v.blocks AS blocks_checked, v.rows AS rows_checked,
    v.looked_at AT TIME ZONE 'UTC' AS checked_at, coalesce(v.broken_n, 0) AS broken_block, v.broken_what,
    v.broken_at AT TIME ZONE 'UTC' AS broken_at
FROM audit_verification v
LEFT JOIN LATERAL (SELECT * FROM audit_blocks o ORDER BY o.n DESC LIMIT 1) AS b ON true;

-- The event, its block (NULL: not sealed yet), and the way from the one to the
-- other's root.
-- name: audit_proof :many
SELECT e.epoch::text AS epoch, e.xid::text AS xid, e.seq::text AS seq, audit_us(e.timestamp)::text AS timestamp_us, e.id,
    e.actor, e.actor_type, e.action, e.resource_type, e.resource_id, e.event_category, coalesce(e.details::text, '') AS details,
    b.n::text AS n, b.from_xid::text AS from_xid, b.to_xid::text AS to_xid, b.rows::text AS rows,
    audit_us(b.oldest)::text AS oldest_us, audit_us(b.newest)::text AS newest_us, audit_us(b.sealed_at)::text AS sealed_us,
    encode(b.merkle_root, 'hex') AS merkle_root, encode(b.rows_hash, 'hex') AS rows_hash,
    encode(b.previous_hash, 'hex') AS previous_hash, encode(b.hash, 'hex') AS hash,
    i.leaf_index::text AS leaf_index, to_json(audit_merkle_path(r.leaves, i.leaf_index))::text AS path
FROM (SELECT o.* FROM audit_events o WHERE o.id = $1 AND o.timestamp BETWEEN to_timestamp($2::bigint / 1000000.0) AND to_timestamp($3::bigint / 1000000.0) LIMIT 1) AS e
LEFT JOIN LATERAL (SELECT * FROM audit_blocks o WHERE o.epoch = e.epoch AND o.to_xid > e.xid ORDER BY o.to_xid LIMIT 1) AS b
    ON b.from_xid <= e.xid
LEFT JOIN LATERAL audit_rows_of(b.epoch, b.from_xid, b.to_xid) AS r ON true
LEFT JOIN LATERAL (SELECT count(*)::int AS leaf_index FROM audit_events o
    WHERE o.epoch = b.epoch AND o.xid >= b.from_xid AND (o.xid, o.seq) < (e.xid, e.seq)) AS i ON true;

-- The list that lies beside an event: characters of it from the first on.
-- name: audit_attachment :many
SELECT substr(t.content, $4::int, $5::int) AS content
FROM (SELECT o.details FROM audit_events o WHERE o.id = $1
    AND o.timestamp BETWEEN to_timestamp($2::bigint / 1000000.0) AND to_timestamp($3::bigint / 1000000.0) LIMIT 1) AS e
JOIN audit_attachments t ON t.id = e.details ->> 'attachment_id';

-- What the gate refused, by address.
-- name: audit_refusals :exec
INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
SELECT 'anonymous', 'Anonymous', 'auth.refused', 'address', t.address, t.details::jsonb, 'auth'
FROM unnest($1::text[], $2::text[]) AS t (address, details);

-- Requests of known callers, where that is switched on; the actor's type is the
-- contract's.
-- name: audit_api_events :exec
INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
SELECT t.actor, 'User', t.action, 'api', t.path, t.details::jsonb, 'cert_lifecycle'
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS t (actor, action, path, details);
