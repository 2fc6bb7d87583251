-- What is not as it should be, now: the rows that `certctl status`, the metrics and the alert rules tell of.  What each
-- means and what to do about it stands in apiserver/conditions.def, under the same name.
--
-- Every part reads a bounded number of rows, by an index or of a small table, whatever there is; one with
-- policy_condition_rows() may have more.

-- The duties and how late each is: its planned run is past, whoever is to blame.
CREATE VIEW duties_now AS
SELECT o.*, p.due_at, p.is_running,
    CASE WHEN p.is_running THEN 0
        ELSE coalesce(greatest((extract(epoch FROM clock_timestamp() - p.due_at) * 1000)::bigint, 0), 0) END AS late_ms,
    CASE WHEN o.last_outcome = 'running' AND NOT p.is_running THEN 'interrupted' ELSE o.last_outcome END AS outcome
FROM duties o JOIN leadership l ON l.id = 1
CROSS JOIN LATERAL (SELECT o.last_outcome = 'running' AND o.term = l.term AND l.expires_at > clock_timestamp() AS is_running,
    CASE WHEN o.off_reason = ''
        THEN coalesce(o.next_run_at, o.last_started_at + make_interval(secs => o.interval_ms / 1000.0)) END AS due_at) p;

-- Not by a moment's load: more than some seconds and a part of its interval.
CREATE FUNCTION duty_is_late(p_late_ms bigint, p_interval_ms bigint) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT p_late_ms > (extract(epoch FROM policy_condition_late()) * 1000)::bigint + p_interval_ms / policy_condition_late_part()
$$;

-- The age of the oldest event of the trail that no block seals yet.
CREATE VIEW audit_unsealed AS
SELECT coalesce((SELECT greatest(extract(epoch FROM clock_timestamp() - e.timestamp), 0) FROM audit_events e
    WHERE (e.epoch, e.xid) >= (coalesce(b.epoch, 0), coalesce(b.to_xid, '0'))
    ORDER BY e.epoch, e.xid, e.seq LIMIT 1), 0) AS lag_s FROM (SELECT 1) one
LEFT JOIN LATERAL (SELECT * FROM audit_blocks o ORDER BY o.n DESC LIMIT 1) AS b ON true;

-- --- the parts; since: NULL where nobody knows, detail: what the words there name ---
CREATE VIEW conditions AS
SELECT 'no_leader' AS name, '' AS subject, nullif(l.expires_at, '-infinity') AS since, l.term::text AS detail
FROM leadership l WHERE l.id = 1 AND l.expires_at <= clock_timestamp()
UNION ALL SELECT 'no_worker', '', (SELECT max(w.lease_until) FROM workers w), ''
WHERE NOT EXISTS (SELECT 1 FROM workers w WHERE w.lease_until > clock_timestamp())
UNION ALL (SELECT 'worker_fault', w.name, w.fault_since, w.fault_detail
FROM workers w WHERE w.fault <> '' AND w.lease_until > clock_timestamp() ORDER BY w.fault_since LIMIT policy_condition_rows())
UNION ALL (SELECT CASE WHEN w.bus_ends <= clock_timestamp() THEN 'bus_certificate_ended' ELSE 'bus_certificate_ending' END, w.name,
    w.bus_near, w.name FROM workers w WHERE w.bus_near <= clock_timestamp() AND w.lease_until > clock_timestamp()
ORDER BY w.bus_ends LIMIT policy_condition_rows())
UNION ALL (SELECT 'database_behind', a.serial_number, a.journalled_at, a.issuer_id
FROM journal_ahead a WHERE a.settled_at IS NULL ORDER BY a.journalled_at LIMIT policy_condition_rows())
UNION ALL SELECT 'duty_failing', d.name, d.last_finished_at, d.last_error FROM duties d
WHERE d.off_reason = '' AND CASE d.last_outcome WHEN 'running' THEN d.last_error <> '' ELSE d.last_outcome NOT IN ('', 'ok') END
UNION ALL SELECT 'duty_late', d.name, d.due_at, '' FROM duties_now d JOIN leadership l ON l.id = 1
WHERE duty_is_late(d.late_ms, d.interval_ms) AND l.expires_at > clock_timestamp()
UNION ALL SELECT 'audit_unsealed', '', clock_timestamp() - make_interval(secs => u.lag_s), ''
FROM audit_unsealed u WHERE u.lag_s > extract(epoch FROM policy_condition_audit())
UNION ALL (SELECT CASE c.status WHEN 'down' THEN 'endpoint_down' ELSE 'endpoint_mismatch' END, c.id, c.last_transition_at,
    c.endpoint || ': ' || c.failure_reason FROM endpoint_health_checks c
WHERE c.enabled AND NOT c.acknowledged AND c.status IN ('down', 'cert_mismatch')
    AND EXISTS (SELECT 1 FROM duties d WHERE d.name = 'health_checks' AND d.off_reason = '')
ORDER BY c.last_transition_at LIMIT policy_condition_rows())
UNION ALL SELECT 'audit_broken', v.broken_n::text, v.broken_at, v.broken_what
FROM audit_verification v WHERE v.broken_n IS NOT NULL
-- --- issuers ---
UNION ALL (SELECT CASE WHEN l.cap = 0 THEN 'lane_closed' ELSE 'lane_stopped' END AS name, l.issuer_id AS subject, NULL::timestamptz AS since,
    coalesce(l.last_error, l.breaker_state) AS detail FROM lanes l JOIN issuers i ON i.id = l.issuer_id
WHERE i.enabled AND (l.cap = 0 OR l.breaker_state <> 'closed') ORDER BY l.issuer_id LIMIT policy_condition_rows())
UNION ALL (SELECT 'replacement_stopped', r.id, r.updated_at, r.to_issuer_id
FROM replacements r JOIN issuers i ON i.id = r.to_issuer_id LEFT JOIN lanes l ON l.issuer_id = i.id
WHERE r.state = 'running' AND NOT r.is_walked AND replacement_stop(i, l) IS NOT NULL ORDER BY r.id LIMIT policy_condition_rows())
UNION ALL (SELECT 'issuer_failing', i.id, i.last_tested_at,
    coalesce((SELECT t.last_error FROM tasks t WHERE t.dedupe_key = 'ca_init:' || i.id), '')
FROM issuers i WHERE i.enabled AND i.test_status = 'failed' ORDER BY i.last_tested_at LIMIT policy_condition_rows())
UNION ALL (SELECT CASE WHEN ca.not_after <= engine_now() THEN 'ca_ended' ELSE 'ca_ending' END, ca.issuer_id,
    CASE WHEN ca.not_after <= engine_now() THEN ca.not_after ELSE ca.not_after - (ca.not_after - ca.not_before) / policy_condition_ca_part() END,
    to_char(ca.not_after AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
FROM ca_certificates ca JOIN issuers i ON i.id = ca.issuer_id
WHERE i.enabled AND ca.state = 'current' AND engine_now() > ca.not_after - (ca.not_after - ca.not_before) / policy_condition_ca_part()
ORDER BY ca.not_after LIMIT policy_condition_rows())
UNION ALL (SELECT 'crl_ended', k.list, k.next_update, ''
FROM crl_cache k LEFT JOIN ca_certificates ca ON ca.list = k.list
WHERE k.next_update <= engine_now() AND CASE WHEN ca.list IS NOT NULL THEN ca.not_after > engine_now()
    ELSE EXISTS (SELECT 1 FROM issuers i WHERE i.id = k.issuer_id AND i.enabled AND crl_is_fetched(i)) END
ORDER BY k.next_update LIMIT policy_condition_rows())
UNION ALL (SELECT CASE WHEN e.succeeded THEN 'crl_incomplete' ELSE 'crl_not_fetched' END, i.id, e.started_at, e.error
FROM issuers i CROSS JOIN LATERAL (SELECT n.* FROM crl_generation_events n WHERE n.issuer_id = i.id ORDER BY n.id DESC LIMIT 1) e
WHERE i.enabled AND crl_is_fetched(i) AND e.error IS NOT NULL ORDER BY e.started_at LIMIT policy_condition_rows())
UNION ALL (SELECT 'crl_other_key', i.id, k.other_keys_since, k.other_keys FROM issuers i JOIN crl_cache k ON k.list = i.id
WHERE i.enabled AND crl_is_fetched(i) AND k.other_keys IS NOT NULL ORDER BY k.other_keys_since LIMIT policy_condition_rows())
UNION ALL (SELECT CASE WHEN r.not_after > engine_now() THEN 'ocsp_responder_ending' ELSE 'ocsp_failing' END, f.list, f.since, f.why
FROM ocsp_responder_faults f LEFT JOIN ocsp_responders r ON r.list = f.list
WHERE f.failed_at > engine_now() - policy_condition_ocsp() ORDER BY f.since LIMIT policy_condition_rows())
UNION ALL (SELECT 'task_failed', t.subject, t.created_at, t.kind || ': ' || coalesce(t.last_error, '')
FROM tasks t WHERE t.status = 'Failed' ORDER BY t.id LIMIT policy_condition_rows())
UNION ALL (SELECT 'revocation_unconfirmed', r.certificate_id, r.revoked_at, r.issuer_id || ': ' || coalesce(r.issuer_said, '')
FROM certificate_revocations r JOIN certificate_versions v ON v.issuer_id = r.issuer_id AND v.serial_number = r.serial_number
WHERE r.issuer_state <> 'confirmed' AND r.certificate_id IS NOT NULL AND v.not_after > engine_now()
    AND (r.issuer_state NOT IN ('waiting', 'pending') OR r.revoked_at < engine_now() - policy_condition_job())
ORDER BY r.revoked_at LIMIT policy_condition_rows())
UNION ALL (SELECT 'acme_validation_waiting', t.subject, t.run_after, ''
FROM (SELECT o.* FROM tasks o WHERE o.status = 'Pending' AND o.run_after < (SELECT engine_now() - policy_condition_acme())
    ORDER BY o.run_after, o.id LIMIT 1000) t WHERE t.kind = 'acme_validate' ORDER BY t.run_after LIMIT policy_condition_rows())
UNION ALL (SELECT 'acme_resolver_silent', w.name, w.resolver_since, w.resolver_why
FROM workers w WHERE w.resolver_failed_at > engine_now() - policy_condition_resolver() AND w.lease_until > clock_timestamp()
ORDER BY w.resolver_since LIMIT policy_condition_rows())
UNION ALL (SELECT 'acme_profile_unable', p.id, NULL, p.name
FROM certificate_profiles p LEFT JOIN issuers i ON i.id = p.issuer_id
WHERE p.enabled AND i.enabled IS NOT TRUE AND EXISTS (SELECT 1 FROM acme_accounts a WHERE a.profile_id = p.id)
    AND EXISTS (SELECT 1 FROM duties d WHERE d.name = 'acme_cleanup' AND d.off_reason = '')
ORDER BY p.id LIMIT policy_condition_rows())
UNION ALL (SELECT w.name, n.id, n.created_at, n.channel || ': ' || coalesce(n.last_error, '')
FROM (VALUES (true, 'notification_dead'), (false, 'notification_unsent')) AS w (is_tried, name) CROSS JOIN LATERAL (SELECT o.*
    FROM notification_events o WHERE o.status = 'dead' AND (o.retry_count > 0) = w.is_tried ORDER BY o.id LIMIT policy_condition_rows()) n)
-- --- jobs that wait, by what they wait for ---
UNION ALL (SELECT 'order_uncertain' AS name, j.id AS subject, j.created_at AS since, coalesce(j.last_error, '') AS detail
FROM lanes l CROSS JOIN LATERAL (SELECT o.* FROM jobs o WHERE o.issuer_id = l.issuer_id AND o.status = 'Pending'
        AND job_issues(o.type) AND o.run_after = 'infinity'
    ORDER BY o.id LIMIT policy_condition_rows()) j ORDER BY j.created_at LIMIT policy_condition_rows())
UNION ALL (SELECT 'row_held', j.id, j.held_since, coalesce(j.last_error, '')
FROM jobs j WHERE j.held_since IS NOT NULL AND j.status IN ('Pending', 'Running') ORDER BY j.held_since LIMIT policy_condition_rows())
-- What the oldest transaction holds is seen by the rows' xmax, once the audit trail says how long it is open.
UNION ALL (SELECT 'row_held', h.id, h.since, h.what
FROM (SELECT engine_now() AS now FROM audit_unsealed u WHERE u.lag_s > extract(epoch FROM policy_condition_held()) OFFSET 0) is_open
CROSS JOIN LATERAL (SELECT l.issuer_id AS id, NULL::timestamptz AS since, 'lanes' AS what, l.xmax AS held_by FROM lanes l
    UNION ALL SELECT i.id, NULL, 'issuers', i.xmax FROM issuers i
    UNION ALL SELECT a.id, NULL, 'agents', a.xmax FROM agents a
    UNION ALL SELECT n.issuer_id, NULL, 'crl_numbers', n.xmax FROM crl_numbers n
    UNION ALL SELECT d.name, NULL, 'duty_marks', d.xmax FROM duty_marks d
    UNION ALL SELECT j.id, j.run_after, 'jobs', j.xmax FROM lanes l CROSS JOIN LATERAL (SELECT o.id, o.run_after, o.xmax FROM jobs o
        WHERE o.issuer_id = l.issuer_id AND o.status = 'Pending' AND job_issues(o.type) AND o.run_after <= is_open.now
        ORDER BY o.run_after, o.id LIMIT policy_condition_rows()) j
    UNION ALL SELECT j.id, j.run_after, 'managed_certificates', c.xmax FROM lanes l CROSS JOIN LATERAL (SELECT o.id, o.run_after,
            o.certificate_id, o.held_since FROM jobs o WHERE o.issuer_id = l.issuer_id AND o.status = 'Pending' AND job_issues(o.type)
            AND o.run_after <= is_open.now ORDER BY o.run_after, o.id LIMIT policy_condition_rows()) j
        JOIN managed_certificates c ON c.id = j.certificate_id WHERE j.held_since IS NULL -- told of above
    UNION ALL SELECT o.id, NULL, 'jobs', o.xmax FROM jobs o WHERE o.status = 'Running') h
WHERE h.held_by = pg_snapshot_xmin(pg_current_snapshot())::xid ORDER BY h.id LIMIT policy_condition_rows())
-- Whatever it is that somebody holds: what needs it passes over it.
UNION ALL (SELECT 'transaction_open', n.pid, h.since, n.what FROM lock_holders h JOIN lock_holders_now n ON n.holder = h.holder
WHERE h.since < clock_timestamp() - CASE WHEN n.is_ours THEN policy_condition_held_ours() ELSE policy_condition_held() END
ORDER BY h.since LIMIT policy_condition_rows())
UNION ALL (SELECT 'job_not_taken', l.issuer_id, j.run_after, ''
FROM lanes l CROSS JOIN LATERAL (SELECT o.run_after FROM jobs o WHERE o.issuer_id = l.issuer_id AND o.status = 'Pending'
        AND job_issues(o.type) ORDER BY o.run_after, o.id LIMIT 1) j
WHERE j.run_after < (SELECT engine_now() - policy_condition_job()) ORDER BY j.run_after LIMIT policy_condition_rows())
UNION ALL (SELECT 'agent_needed', a.id, coalesce(a.last_heartbeat_at, a.registered_at), j.id
FROM agents a CROSS JOIN LATERAL (SELECT o.id FROM jobs o WHERE o.agent_id = a.id AND job_needs_agent(o) ORDER BY o.id LIMIT 1) j
WHERE a.status = 'Offline' OR a.retired_at IS NOT NULL
ORDER BY coalesce(a.last_heartbeat_at, a.registered_at) LIMIT policy_condition_rows())
UNION ALL (SELECT 'target_needed', j.id, j.created_at, j.certificate_id
FROM jobs j WHERE j.agent_id IS NULL AND job_needs_agent(j) ORDER BY j.id LIMIT policy_condition_rows())
UNION ALL (SELECT w.name, j.id, j.since, j.certificate_id
FROM (VALUES ('AwaitingCSR', 'csr_missing', policy_condition_job()), ('AwaitingApproval', 'approval_waiting', policy_condition_approval()))
    AS w (status, name, patience) CROSS JOIN LATERAL (SELECT o.id, o.certificate_id, o.agent_id, job_waits_since(o) AS since
    FROM jobs o WHERE o.status IN ('AwaitingCSR', 'AwaitingApproval') AND o.status = w.status
        AND job_waits_since(o) < engine_now() - w.patience ORDER BY job_waits_since(o), o.id
    LIMIT 1000) j WHERE j.agent_id IS NOT NULL OR w.name <> 'csr_missing' ORDER BY j.since LIMIT policy_condition_rows())
UNION ALL (SELECT 'agent_silent', a.id, coalesce(a.last_heartbeat_at, a.registered_at), a.hostname
FROM agents a WHERE a.status = 'Offline' AND a.retired_at IS NULL
ORDER BY coalesce(a.last_heartbeat_at, a.registered_at) LIMIT policy_condition_rows())
-- --- what is served, or is about to be ---
UNION ALL (SELECT CASE WHEN m.deploy_failures > 0 THEN 'deployment_failing' ELSE 'deployment_late' END AS name, m.certificate_id AS subject,
    v.created_at AS since, m.target_id AS detail
FROM (SELECT o.* FROM certificate_target_mappings o WHERE o.desired_version_id IS DISTINCT FROM o.deployed_version_id
    ORDER BY o.deploy_after LIMIT 1000) m JOIN certificate_versions v ON v.id = m.desired_version_id
WHERE m.deploy_failures > 0 OR v.created_at < engine_now() - policy_condition_job()
ORDER BY v.created_at LIMIT policy_condition_rows())
UNION ALL (SELECT 'served_other', o.certificate_id, o.since, o.target_id
FROM (SELECT * FROM served_other LIMIT 1000) o ORDER BY o.since LIMIT policy_condition_rows())
UNION ALL (SELECT 'certificate_expired', c.id, c.expires_at, c.common_name
FROM (SELECT o.* FROM managed_certificates o WHERE o.expires_at <= (SELECT engine_now()) AND o.expires_at > (SELECT engine_now() - policy_alert_known())
    ORDER BY o.expires_at DESC LIMIT 1000) c
WHERE c.status NOT IN ('Revoked', 'Archived') ORDER BY c.expires_at LIMIT policy_condition_rows())
UNION ALL (SELECT 'renewal_overdue', c.id, c.renew_after, c.common_name
FROM managed_certificates c WHERE c.renew_after < (SELECT engine_now() - policy_condition_renewal())
    AND certificate_renews(c.status) ORDER BY c.renew_after LIMIT policy_condition_rows())
UNION ALL (SELECT 'policy_broken', v.certificate_id, v.created_at, v.message
FROM policy_violations v WHERE v.severity = 'Critical' ORDER BY v.severity, v.id LIMIT policy_condition_rows())
UNION ALL (SELECT 'certificate_failed', c.id, c.updated_at, c.common_name
FROM managed_certificates c WHERE c.status = 'Failed' ORDER BY c.updated_at LIMIT policy_condition_rows())
UNION ALL (SELECT 'ends_with_ca', c.id, c.expires_at, c.common_name
FROM managed_certificates c WHERE c.renew_after = 'infinity' AND certificate_renews(c.status)
ORDER BY c.renew_after LIMIT policy_condition_rows())
UNION ALL (SELECT 'never_renewed', c.id, c.expires_at, c.common_name
FROM (SELECT o.* FROM managed_certificates o WHERE certificate_is_aside(o)
    ORDER BY o.issuer_id, o.renewal_policy_id LIMIT 1000) c
WHERE c.expires_at > (SELECT engine_now()) AND c.expires_at < (SELECT engine_now() + policy_condition_end())
ORDER BY c.expires_at LIMIT policy_condition_rows());
