-- Statements about policy rules' violations; the rules themselves are a noun of
-- api_config.sql.

-- Of a rule, newest first.
-- name: rule_violations :many fresh
SELECT v.id, v.certificate_id, v.rule_id, v.message, v.severity, v.created_at AT TIME ZONE 'UTC' AS created_at
FROM policy_violations v
WHERE v.rule_id = $1
    AND ($4::text IS NULL OR v.id < $4)
ORDER BY v.id DESC
LIMIT $2::bigint OFFSET $3::bigint;

-- name: rule_violations_total :one
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped, EXISTS (SELECT 1 FROM policy_rules r WHERE r.id = $1) AS is_there
FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM policy_violations v WHERE v.rule_id = $1 ORDER BY v.id LIMIT 10001) AS found) AS n;

-- Of a certificate, one a rule.
-- name: cert_violations :many fresh
SELECT v.id, v.certificate_id, v.rule_id, v.message, v.severity, v.created_at AT TIME ZONE 'UTC' AS created_at
FROM policy_violations v
WHERE v.certificate_id = $1
    AND ($4::text IS NULL OR v.rule_id > $4)
ORDER BY v.certificate_id, v.rule_id
LIMIT $2::bigint OFFSET $3::bigint;

-- name: cert_violations_total :one
SELECT count(*) AS total, false AS is_capped, EXISTS (SELECT 1 FROM managed_certificates c WHERE c.id = $1) AS is_there
FROM policy_violations v
WHERE v.certificate_id = $1;
