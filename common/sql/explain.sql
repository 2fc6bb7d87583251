-- What `certctl explain` tells of: one statement, so that all of it is of the same moment.

-- Each row is something that is so now, in the order of the walk: certificate, profile and rules, policy, job, issuer and
-- lane, agent, target, what is served, the installation.  code: a row of apiserver/handlers/explain/explain.def, which has
-- its words and what it does to the verdict.  weight: what it may do at most: decides, warns, tells.  $1 kind, $2 id; $3
-- to $5 what the asking process knows beside (as of admin_conditions).  The first row is what is explained; no row: there
-- is none.  Everything is found by an index, and to a bound.
-- name: explain_facts :many fresh
WITH wanted AS MATERIALIZED (
    SELECT c.id, c.name::text AS name FROM managed_certificates c WHERE $1::text = 'certificate' AND c.id = $2
    UNION ALL SELECT j.id, j.type::text FROM jobs j WHERE $1 = 'job' AND j.id = $2
    UNION ALL SELECT t.id, t.name::text FROM deployment_targets t WHERE $1 = 'target' AND t.id = $2
), its AS MATERIALIZED (
    SELECT w.id FROM wanted w WHERE $1 = 'certificate'
    UNION ALL SELECT j.certificate_id FROM wanted w JOIN jobs j ON j.id = w.id WHERE $1 = 'job' AND j.certificate_id IS NOT NULL
    UNION ALL (SELECT m.certificate_id FROM certificate_target_mappings m WHERE $1 = 'target' AND m.target_id = $2
    ORDER BY m.desired_version_id IS NOT DISTINCT FROM m.deployed_version_id, m.deploy_failures DESC, m.certificate_id LIMIT 20)
), maps AS MATERIALIZED (
    SELECT m.* FROM certificate_target_mappings m
    WHERE CASE $1 WHEN 'target' THEN m.target_id = $2 AND m.certificate_id IN (SELECT i.id FROM its i)
        ELSE m.certificate_id IN (SELECT i.id FROM its i) END
        AND ($1 <> 'job' OR m.target_id = (SELECT j.target_id FROM jobs j WHERE j.id = $2))
    ORDER BY m.desired_version_id IS NOT DISTINCT FROM m.deployed_version_id, m.deploy_failures DESC, m.target_id LIMIT 50
), works AS MATERIALIZED (
    SELECT j.id, j.issuer_id, j.agent_id, job_issues(j.type) AS issues, job_is_active(j.status) AS is_active FROM jobs j
    WHERE CASE $1 WHEN 'job' THEN j.id = $2
        WHEN 'certificate' THEN j.certificate_id = $2 AND job_is_active(j.status)
        ELSE j.certificate_id IN (SELECT i.id FROM its i) AND job_is_active(j.status) AND (j.target_id = $2
            OR (job_issues(j.type) AND j.agent_id = (SELECT t.agent_id FROM deployment_targets t WHERE t.id = $2))) END
    ORDER BY j.id LIMIT 50
), cas AS MATERIALIZED (
    SELECT DISTINCT c.issuer_id AS id FROM managed_certificates c WHERE c.id IN (SELECT i.id FROM its i)
    UNION SELECT w.issuer_id FROM works w WHERE w.issuer_id IS NOT NULL AND w.issues
), hosts AS MATERIALIZED (
    SELECT t.agent_id AS id FROM deployment_targets t WHERE t.id IN (SELECT m.target_id FROM maps m) OR ($1 = 'target' AND t.id = $2)
    UNION SELECT w.agent_id FROM works w WHERE w.agent_id IS NOT NULL
), state AS MATERIALIZED (
    SELECT engine_now() AS at, EXISTS (SELECT 1 FROM works w WHERE w.issues AND w.is_active) AS issues,
        (SELECT d.next_run_at FROM duties d WHERE d.name = 'renewal_scan') AS scan_at
)
SELECT f.place, f.step, f.id, f.name, f.weight, f.code, CASE WHEN isfinite(f.since) THEN f.since AT TIME ZONE 'UTC' END AS since,
    CASE WHEN isfinite(f.until) THEN f.until AT TIME ZONE 'UTC' END AS until, f.detail, f.said, f.tried
FROM (
SELECT 0 AS place, $1 AS step, w.id, w.name, 'tells' AS weight, '' AS code, s.at AS since, NULL::timestamptz AS until, '' AS detail,
    '' AS said, '' AS tried FROM wanted w, state s
-- --- the certificate ---
UNION ALL SELECT 1, 'certificate', c.id, c.name, CASE WHEN $1 = 'job' THEN 'tells' WHEN s.issues AND v.code = 'certificate_expired' THEN 'warns'
    ELSE 'decides' END, v.code,
    CASE v.code WHEN 'certificate_expired' THEN c.expires_at WHEN 'valid' THEN c.valid_from ELSE c.created_at END, c.expires_at, '', '', ''
FROM managed_certificates c CROSS JOIN state s CROSS JOIN LATERAL (SELECT CASE WHEN c.expires_at <= s.at THEN 'certificate_expired'
        WHEN c.expires_at IS NOT NULL THEN 'valid' WHEN s.issues THEN 'being_issued' ELSE 'never_issued' END AS code) v
WHERE c.id IN (SELECT i.id FROM its i) AND c.status NOT IN ('Revoked', 'Archived')
UNION ALL SELECT 1, 'certificate', c.id, c.name, CASE $1 WHEN 'job' THEN 'tells' ELSE 'decides' END,
    CASE c.status WHEN 'Revoked' THEN 'revoked' WHEN 'Archived' THEN 'archived' WHEN 'Failed' THEN 'certificate_failed' ELSE 'being_renewed' END,
    CASE c.status WHEN 'Revoked' THEN c.revoked_at ELSE c.updated_at END,
    CASE c.status WHEN 'Failed' THEN greatest(c.renew_after, s.scan_at) WHEN 'RenewalInProgress' THEN c.expires_at END,
    coalesce(c.revocation_reason, ''), CASE c.status WHEN 'Failed' THEN (SELECT j.last_error FROM jobs j
        WHERE j.certificate_id = c.id AND j.status = 'Failed' AND job_issues(j.type) ORDER BY j.id DESC LIMIT 1) END, ''
FROM managed_certificates c CROSS JOIN state s WHERE c.id IN (SELECT i.id FROM its i)
    AND (c.status IN ('Revoked', 'Archived', 'Failed') OR (c.status = 'RenewalInProgress' AND c.expires_at IS NOT NULL))
UNION ALL SELECT 1, 'certificate', c.id, c.name, CASE $1 WHEN 'job' THEN 'tells' ELSE 'decides' END, c.renewal_wanted, c.updated_at,
    greatest(c.renew_after, s.scan_at), '', '', ''
FROM managed_certificates c CROSS JOIN state s WHERE c.id IN (SELECT i.id FROM its i) AND c.renewal_wanted IS NOT NULL AND certificate_renews(c.status)
UNION ALL SELECT 1, 'certificate', r.certificate_id, r.serial_number, CASE $1 WHEN 'job' THEN 'tells' ELSE 'warns' END,
    'revocation_unconfirmed', r.revoked_at, NULL, r.issuer_id, r.issuer_said, ''
FROM certificate_revocations r WHERE r.certificate_id IN (SELECT i.id FROM its i) AND r.issuer_state <> 'confirmed'
-- --- what it may be, and when it is renewed ---
UNION ALL SELECT 2, 'profile', p.id, p.name, 'tells', CASE WHEN p.requires_approval THEN 'profile_approves' ELSE 'profile' END, NULL, NULL, '', '', ''
FROM certificate_profiles p WHERE p.id IN (SELECT c.certificate_profile_id FROM managed_certificates c WHERE c.id IN (SELECT i.id FROM its i))
UNION ALL SELECT 2, 'rule', v.rule_id, v.certificate_id, CASE WHEN s.issues THEN 'decides' WHEN $1 = 'job' THEN 'tells' ELSE 'warns' END,
    CASE v.severity WHEN 'Critical' THEN 'policy_broken' ELSE 'rule_broken' END, v.created_at, NULL, v.severity, v.message, ''
FROM policy_violations v CROSS JOIN state s WHERE v.certificate_id IN (SELECT i.id FROM its i)
UNION ALL SELECT 3, 'policy', p.id, p.name, CASE $1 WHEN 'certificate' THEN 'warns' ELSE 'tells' END,
    CASE WHEN c.status IN ('Pending', 'RenewalInProgress') THEN 'policy' WHEN certificate_is_aside(c) OR NOT p.auto_renew OR NOT i.enabled THEN
            CASE WHEN c.expires_at BETWEEN s.at AND s.at + policy_condition_end() THEN 'never_renewed' ELSE 'by_hand' END
        WHEN c.renew_after = 'infinity' THEN 'ends_with_ca' WHEN c.renew_after < s.at - policy_condition_renewal() THEN 'renewal_overdue'
        WHEN c.renew_after <= s.at THEN 'renewal_due' WHEN c.renew_after IS NULL THEN 'policy' ELSE 'renewal_later' END,
    CASE WHEN c.renew_after <= s.at THEN c.renew_after END,
    CASE WHEN certificate_is_aside(c) OR NOT p.auto_renew OR NOT i.enabled OR c.renew_after = 'infinity' THEN c.expires_at WHEN c.renew_after <= s.at THEN s.scan_at ELSE c.renew_after END,
    c.id, '', ''
FROM managed_certificates c JOIN renewal_policies p ON p.id = c.renewal_policy_id JOIN issuers i ON i.id = c.issuer_id CROSS JOIN state s
WHERE c.id IN (SELECT i.id FROM its i) AND c.status NOT IN ('Revoked', 'Archived')
UNION ALL SELECT 3, 'policy', n.issuer_id, n.certificate_id, 'tells', CASE WHEN n.renew_at IS NULL THEN 'window_none' ELSE 'window' END,
    n.starts_at, n.renew_at, coalesce(n.explanation_url, ''), n.said, ''
FROM renewal_windows n WHERE $1 <> 'job' AND n.certificate_id IN (SELECT i.id FROM its i) AND n.asked_at IS NOT NULL
-- --- its jobs ---
UNION ALL SELECT 4, 'job', j.id, j.type, 'decides', CASE j.status WHEN 'Completed' THEN 'job_completed' WHEN 'Failed' THEN 'job_failed'
        WHEN 'Cancelled' THEN 'job_cancelled' ELSE CASE WHEN j.held_since IS NOT NULL THEN 'row_held' WHEN r.reason IS NULL THEN 'job_runs'
        WHEN d.word = 'approval' THEN 'approval_waiting' WHEN d.word = 'no_target' THEN 'target_needed'
        WHEN d.word = 'csr' AND job_waits_since(j) < s.at - policy_condition_job() THEN 'csr_missing'
        WHEN d.word = 'turn' AND j.run_after < s.at - policy_condition_job() THEN 'job_not_taken' ELSE d.word END END,
    CASE WHEN j.completed_at IS NOT NULL THEN j.completed_at WHEN j.held_since IS NOT NULL THEN j.held_since
        WHEN d.word IN ('agent_offline', 'agent_retired') THEN d.at WHEN j.status IN ('AwaitingCSR', 'AwaitingApproval') THEN job_waits_since(j)
        WHEN j.status = 'Running' THEN j.started_at ELSE j.created_at END,
    CASE WHEN d.word NOT IN ('agent_offline', 'agent_retired') THEN d.at END,
    coalesce(CASE d.word WHEN 'approval' THEN (SELECT a.id FROM issuance_approval_requests a WHERE a.job_id = j.id AND a.state = 'pending')
        WHEN 'no_target' THEN j.certificate_id ELSE split_part(r.reason, E'\n', 2) END, ''),
    coalesce(r.why, CASE WHEN j.status <> 'Completed' THEN j.last_error END), concat_ws(' of ', j.attempts, j.max_attempts)
FROM jobs j CROSS JOIN state s LEFT JOIN LATERAL job_reason(j) r ON true CROSS JOIN LATERAL (SELECT split_part(r.reason, E'\n', 1) AS word,
    nullif(split_part(r.reason, E'\n', 3), '')::timestamp AT TIME ZONE 'UTC' AS at) d
WHERE j.id IN (SELECT w.id FROM works w)
-- --- who issues ---
UNION ALL SELECT 5, 'issuer', i.id, i.name, CASE WHEN s.issues THEN 'decides' WHEN $1 = 'job' THEN 'tells' ELSE 'warns' END,
    CASE WHEN NOT i.enabled THEN 'issuer_off' WHEN i.test_status = 'failed' THEN 'issuer_failing' ELSE 'issuer' END,
    CASE WHEN i.enabled AND i.test_status = 'failed' THEN i.last_tested_at END, NULL, i.type, CASE WHEN i.test_status = 'failed' THEN
        (SELECT t.last_error FROM tasks t WHERE t.dedupe_key = 'ca_init:' || i.id) END, ''
FROM issuers i CROSS JOIN state s WHERE i.id IN (SELECT k.id FROM cas k)
UNION ALL SELECT 5, 'issuer', a.issuer_id, a.fingerprint_sha256, CASE WHEN s.issues THEN 'decides' WHEN $1 = 'job' THEN 'tells' ELSE 'warns' END,
    CASE WHEN a.not_after <= s.at THEN 'ca_ended' ELSE 'ca_ending' END, CASE WHEN a.not_after <= s.at THEN a.not_after END, a.not_after, '', '', ''
FROM ca_certificates a CROSS JOIN state s WHERE a.issuer_id IN (SELECT k.id FROM cas k) AND a.state = 'current'
    AND s.at > a.not_after - (a.not_after - a.not_before) / policy_condition_ca_part()
UNION ALL SELECT 5, 'lane', l.issuer_id, '', CASE WHEN s.issues THEN 'decides' WHEN $1 = 'job' THEN 'tells' ELSE 'warns' END,
    CASE WHEN l.cap = 0 THEN 'lane_closed' WHEN l.breaker_state <> 'closed' THEN 'lane_stopped'
        WHEN lane_allows(l, s.at) = 0 THEN 'lane_slow' ELSE 'lane' END, NULL,
    CASE WHEN l.breaker_state <> 'closed' THEN l.opened_until END, coalesce(l.rate_per_s, l.cap)::text,
    CASE WHEN l.breaker_state <> 'closed' THEN l.last_error END, ''
FROM lanes l CROSS JOIN state s WHERE l.issuer_id IN (SELECT k.id FROM cas k)
-- --- who makes the key and deploys ---
UNION ALL SELECT 6, 'agent', a.id, a.name, 'decides', CASE WHEN a.status = 'Offline' OR a.retired_at IS NOT NULL THEN
        CASE WHEN n.id IS NOT NULL THEN 'agent_needed' WHEN a.retired_at IS NOT NULL THEN 'agent_gone' ELSE 'agent_silent' END
        WHEN a.last_heartbeat_at = a.registered_at THEN 'agent_unheard' ELSE 'agent_heard' END,
    coalesce(a.retired_at, a.last_heartbeat_at, a.registered_at), NULL, a.hostname, CASE WHEN a.status = 'Offline' OR a.retired_at IS NOT NULL
        THEN coalesce(n.id, a.retired_reason) END, ''
FROM agents a LEFT JOIN LATERAL (SELECT j.id FROM jobs j WHERE j.agent_id = a.id AND job_needs_agent(j) ORDER BY j.id LIMIT 1) n ON true
WHERE a.id IN (SELECT h.id FROM hosts h)
-- --- where it goes ---
UNION ALL SELECT 7, 'target', m.target_id, coalesce(t.name, ''), CASE WHEN $1 = 'job' THEN 'tells' ELSE 'decides' END,
    CASE WHEN m.desired_version_id IS NULL THEN 'target_empty' WHEN m.desired_version_id = m.deployed_version_id THEN 'deployed'
        WHEN m.deploy_failures > 0 THEN 'deployment_failing' WHEN v.created_at < s.at - policy_condition_job() THEN 'deployment_late'
        ELSE 'deployment_soon' END,
    CASE WHEN m.desired_version_id = m.deployed_version_id THEN m.deployed_at ELSE v.created_at END,
    CASE WHEN m.deploy_failures > 0 THEN m.deploy_after END, m.certificate_id, CASE WHEN m.deploy_failures > 0 THEN (SELECT j.last_error FROM jobs j
        WHERE j.certificate_id = m.certificate_id AND j.target_id = m.target_id AND j.type = 'Deployment' AND j.last_error IS NOT NULL
        ORDER BY j.id DESC LIMIT 1) END, CASE WHEN m.deploy_failures > 0 THEN m.deploy_failures::text ELSE '' END
FROM maps m LEFT JOIN deployment_targets t ON t.id = m.target_id LEFT JOIN certificate_versions v ON v.id = m.desired_version_id
JOIN managed_certificates c ON c.id = m.certificate_id AND c.status NOT IN ('Revoked', 'Archived') CROSS JOIN state s
UNION ALL SELECT 7, 'target', t.id, t.name, CASE WHEN $1 = 'job' THEN 'tells' ELSE 'warns' END,
    CASE WHEN t.retired_at IS NOT NULL THEN 'target_retired' WHEN NOT t.enabled THEN 'target_off' ELSE 'target_unused' END,
    t.retired_at, NULL, t.type, t.retired_reason, ''
FROM deployment_targets t WHERE (t.id IN (SELECT m.target_id FROM maps m) AND (t.retired_at IS NOT NULL OR NOT t.enabled))
    OR ($1 = 'target' AND t.id = $2 AND (t.retired_at IS NOT NULL OR NOT t.enabled OR NOT EXISTS (SELECT 1 FROM maps)))
UNION ALL SELECT 7, 'target', '', '', 'tells', 'targetless', NULL, NULL, c.id, '', ''
FROM managed_certificates c WHERE $1 = 'certificate' AND c.id = $2 AND NOT EXISTS (SELECT 1 FROM maps) AND c.status NOT IN ('Revoked', 'Archived')
-- --- what is served there ---
UNION ALL SELECT 8, 'served', m.target_id, m.certificate_id, CASE WHEN $1 = 'job' THEN 'tells' ELSE 'decides' END,
    CASE WHEN o.target_id IS NOT NULL THEN 'served_other' WHEN v.target_id IS NULL THEN 'served_unknown' WHEN v.fingerprint_sha256 IS NULL THEN 'served_unseen'
        WHEN v.is_other OR m.desired_version_id IS DISTINCT FROM m.deployed_version_id THEN 'served_earlier' ELSE 'served' END,
    coalesce(o.since, v.since), v.not_after, coalesce(v.serial_number, ''), v.error, coalesce(v.seen_by, '')
FROM maps m LEFT JOIN served_certificates v ON v.target_id = m.target_id
LEFT JOIN served_other o ON o.certificate_id = m.certificate_id AND o.target_id = m.target_id
JOIN managed_certificates c ON c.id = m.certificate_id AND c.status NOT IN ('Revoked', 'Archived') WHERE m.deployed_version_id IS NOT NULL
UNION ALL SELECT 8, 'served', h.id, h.endpoint, CASE WHEN $1 = 'job' THEN 'tells' ELSE 'decides' END,
    CASE h.status WHEN 'down' THEN 'endpoint_down' WHEN 'cert_mismatch' THEN 'endpoint_mismatch' ELSE 'endpoint' END, h.last_transition_at,
    h.next_check_at, h.status, h.failure_reason, ''
FROM endpoint_health_checks h WHERE h.certificate_id IN (SELECT i.id FROM its i) AND h.enabled AND NOT h.acknowledged
-- --- what all of it needs ---
UNION ALL (SELECT DISTINCT ON (k.name) 9, 'installation', k.subject, '', CASE WHEN k.name IN ('no_worker', 'worker_fault') AND NOT s.issues
        THEN 'warns' ELSE 'decides' END, k.name, k.since, NULL, k.subject, k.detail, ''
FROM (SELECT * FROM conditions
    UNION ALL SELECT f.name, '', to_timestamp(f.since_ms / 1000.0), f.detail
    FROM unnest($3::text[], $4::bigint[], $5::text[]) AS f (name, since_ms, detail)) k CROSS JOIN state s
WHERE EXISTS (SELECT 1 FROM wanted) AND CASE
    WHEN k.name = 'database_behind' THEN k.detail IN (SELECT i.id FROM cas i)
    WHEN k.name IN ('crl_ended', 'ocsp_failing', 'ocsp_responder_ending') THEN k.subject IN (SELECT a.list FROM ca_certificates a
        WHERE a.issuer_id IN (SELECT i.id FROM cas i) UNION ALL SELECT i.id FROM cas i)
    WHEN k.name IN ('crl_not_fetched', 'crl_incomplete', 'crl_other_key') THEN k.subject IN (SELECT i.id FROM cas i)
    WHEN k.name = 'replacement_stopped' THEN k.subject IN (SELECT r.id FROM replacements r WHERE r.from_issuer_id IN (SELECT i.id FROM cas i))
    WHEN k.name IN ('notification_dead', 'notification_unsent') THEN k.subject IN (SELECT n.id FROM notification_events n
        WHERE n.certificate_id IN (SELECT i.id FROM its i))
    WHEN k.name = 'acme_profile_unable' THEN k.subject IN (SELECT c.certificate_profile_id FROM managed_certificates c WHERE c.id IN (SELECT i.id FROM its i))
    WHEN k.name = 'row_held' THEN k.subject IN (SELECT i.id FROM cas i UNION ALL SELECT h.id FROM hosts h)
    WHEN k.name = 'job_not_taken' THEN s.issues AND k.subject IN (SELECT i.id FROM cas i)
    WHEN k.name = 'task_failed' THEN k.subject IN (SELECT i.id FROM cas i UNION ALL SELECT i.id FROM its i UNION ALL SELECT m.target_id FROM maps m)
    ELSE k.name IN ('no_leader', 'no_worker', 'worker_fault', 'database_full', 'commits_waiting', 'database_warning', 'bus_certificate_ended',
        'bus_certificate_ending', 'audit_broken', 'audit_unsealed', 'duty_failing', 'duty_late', 'transaction_open', 'acme_resolver_silent',
        'acme_validation_waiting') END
ORDER BY k.name, k.since, k.subject)) f
WHERE EXISTS (SELECT 1 FROM wanted)
ORDER BY f.place, f.step, f.id, f.code
LIMIT 500;
