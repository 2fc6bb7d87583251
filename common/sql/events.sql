-- Statements of the live events.

-- $1: NULL, then the newest batch alone; $2: NULL, whatever its mark; $3: NULL, all of $1 is known.
-- name: events_look :many
SELECT e.batch, e.mark, e.seq, e.kind, e.id, e.subject, e.was, e.became, e.since AT TIME ZONE 'UTC' AS since, e.at AT TIME ZONE 'UTC' AS at,
    e.name, e.type, e.certificate_id, e.agent_id, e.issuer_id, e.team_id, e.target_id, e.outcome
FROM events_look($1::bigint, $2::int, $3::bigint, $4::int) e;

-- name: events_conditions :exec
SELECT events_conditions();
