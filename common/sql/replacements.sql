-- Replacements: certificates that leave one CA for another.

-- moved: how many have the new issuer, or had it.  The rate is that since it began.
-- fragment: replacement_columns
r.id, r.from_issuer_id, r.to_issuer_id, r.state, CASE WHEN r.state = 'running' AND NOT r.is_walked THEN replacement_stop(i, l) END AS stop,
    r.wave_size, ceil(n.moved::float8 / r.wave_size)::bigint AS wave, ceil(greatest(r.planned, n.moved)::float8 / r.wave_size)::bigint AS waves,
    r.planned, n.moved, r.moving, r.waiting, r.failed, r.issued, r.done, r.skipped, r.returned,
    r.is_walked AND r.moving = 0 AND r.issued = 0 AS is_settled, r.revoke_reason,
    round(e.rate::numeric, 2) AS rate_per_s, CASE WHEN r.state = 'running' AND e.rate > 0
        THEN (e.now + make_interval(secs => greatest(r.planned - r.issued - r.done, 0) / e.rate)) AT TIME ZONE 'UTC' END AS ends_at,
    r.created_by, r.created_at AT TIME ZONE 'UTC' AS created_at, r.updated_at AT TIME ZONE 'UTC' AS updated_at,
    r.ended_at AT TIME ZONE 'UTC' AS ended_at

-- fragment: replacement_tables
replacements r JOIN issuers i ON i.id = r.to_issuer_id LEFT JOIN lanes l ON l.issuer_id = r.to_issuer_id
CROSS JOIN LATERAL (SELECT r.moving + r.waiting + r.failed + r.issued + r.done AS moved) n
CROSS JOIN LATERAL (SELECT k.now, (r.issued + r.done) / greatest(extract(epoch FROM coalesce(r.ended_at, k.now) - r.created_at), 1)::float8 AS rate
    FROM (SELECT engine_now() AS now) k) e

-- The newest first.  $1 state.
-- name: replacement_list :many fresh
SELECT {replacement_columns} FROM {replacement_tables}
WHERE ($1::text IS NULL OR r.state = $1) AND ($4::text IS NULL OR r.id < $4)
ORDER BY r.id DESC LIMIT $2::bigint OFFSET $3::bigint;

-- name: replacement_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (SELECT 1 FROM replacements r
WHERE $1::text IS NULL OR r.state = $1 LIMIT 10001) AS found) AS n;

-- name: replacement_get :many
SELECT {replacement_columns} FROM {replacement_tables} WHERE r.id = $1;

-- $1 of which, $2 state: one of those that people ask for.
-- name: replacement_items :many fresh
SELECT i.certificate_id AS id, i.state, i.reason, i.moved_at AT TIME ZONE 'UTC' AS moved_at FROM replacement_items i
WHERE i.replacement_id = $1 AND i.state = $2 AND i.state IN ('waiting', 'failed', 'skipped') AND ($5::text IS NULL OR i.certificate_id > $5)
ORDER BY i.certificate_id LIMIT $3::bigint OFFSET $4::bigint;

-- By the counters that the duty keeps.
-- name: replacement_items_total :one fresh
SELECT CASE $2::text WHEN 'waiting' THEN r.waiting WHEN 'failed' THEN r.failed ELSE r.skipped END AS total, false AS is_capped
FROM replacements r WHERE r.id = $1;

-- What the lane of the new issuer brings.  $1 from, $2 to, $3 the wave asked for.
-- name: replacement_lane :many
SELECT f.id IS NOT NULL AS has_from, i.id IS NOT NULL AS has_to, i.type AS issuer_type, l.cap, l.rate_per_s, l.breaker_state, round(e.rate::numeric, 2) AS rate,
    floor(e.rate * 1000)::bigint AS rate_ks, replacement_turns(i.type) AS turns, extract(epoch FROM policy_replace_call())::bigint AS call_s,
    coalesce($3::int, replacement_wave(e.rate)) AS wave_size, replacement_stop(i, l) AS stop,
    (SELECT r.id FROM replacements r WHERE r.from_issuer_id = $1 AND r.state IN ('running', 'paused', 'cancelling')) AS open_id
FROM (SELECT 1) one LEFT JOIN issuers f ON f.id = $1 LEFT JOIN issuers i ON i.id = $2 LEFT JOIN lanes l ON l.issuer_id = i.id
LEFT JOIN LATERAL (SELECT replacement_rate(l, i.type) AS rate) e ON true;

-- By what the new issuer's limits are known.
-- name: replacement_issuer :many
SELECT i.type, coalesce(i.config::text, '') AS config, coalesce(c.chain_pem, '') AS chain_pem
FROM issuers i LEFT JOIN ca_certificates c ON c.issuer_id = i.id AND c.state = 'current' WHERE i.id = $1;

-- $1 from, $2 to, $3 whether profiles go along, $4 the limits of the new issuer, $5 behind which certificate.
-- name: replacement_plan :many
SELECT p.can_go, p.reason, p.n, array_to_json(p.ids) AS certificate_ids, p.last FROM replacement_plan($1, $2, $3::bool, $4::jsonb, $5) p;

-- The same, $6 the reason.
-- name: replacement_excluded :many
SELECT x.id, x.reason, x.last FROM replacement_excluded($1, $2, $3::bool, $4::jsonb, $5, $6) x;

-- $1 from, $2 to, $3 wave, $4 reason, $5 whether profiles go along, $6 how many can go, $7 the limits, $8 and $9 who.
-- name: replacement_begin :one
SELECT b.outcome, b.id FROM replacement_begin($1, $2, $3::int, $4, $5::bool, $6::bigint, $7::jsonb, $8, $9) b;

-- name: replacement_turn :one
SELECT replacement_turn($1, $2, $3, $4) AS outcome;
