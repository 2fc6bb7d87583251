-- Agents: registration, heartbeats, work, CSRs, pickup, reports, retirement.

-- Whoever registers with the key of that hash comes by here first.
-- name: agent_key_lock :one
SELECT pg_advisory_xact_lock(hashtextextended($1, 3));

-- $1 name, $2 hostname, $3 os, $4 architecture, $5 ip, $6 version, $7 hash of
-- the key, $8 actor, $9 actor type.  The same name and hash give the same
-- agent; no row at all means that somebody registered the name meanwhile.  Behind
-- agent_key_lock, in its transaction: no key becomes two agents'.
-- name: agent_register :many
WITH taken AS (
    SELECT 1 FROM agents a WHERE a.api_key_hash = $7 AND a.name <> $1
), made AS (
    INSERT INTO agents (id, name, hostname, status, last_heartbeat_at, registered_at, api_key_hash, os, architecture,
        ip_address, version)
    SELECT id_new('agent'), $1, $2, 'Online', n.at, n.at, $7, $3, $4, $5, $6
    FROM (SELECT engine_now() AS at) AS n
    WHERE NOT EXISTS (SELECT 1 FROM taken)
    ON CONFLICT (name) DO NOTHING
    RETURNING id, name, hostname, status, last_heartbeat_at, registered_at, os, architecture, ip_address, version
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT $8, $9, 'agent_registered', 'agent', m.id, jsonb_build_object('hostname', m.hostname)
    FROM made m
)
SELECT 'created' AS outcome, m.id, m.name, m.hostname, m.status,
    m.last_heartbeat_at AT TIME ZONE 'UTC' AS last_heartbeat_at,
    m.registered_at AT TIME ZONE 'UTC' AS registered_at,
    m.os, m.architecture, m.ip_address, m.version, NULL AS retired_at, NULL AS retired_reason
FROM made m
UNION ALL
SELECT CASE WHEN a.api_key_hash <> $7 THEN 'other' WHEN a.retired_at IS NOT NULL THEN 'retired' ELSE 'same' END,
    a.id, a.name, a.hostname, a.status,
    a.last_heartbeat_at AT TIME ZONE 'UTC',
    a.registered_at AT TIME ZONE 'UTC',
    a.os, a.architecture, a.ip_address, a.version,
    a.retired_at AT TIME ZONE 'UTC', a.retired_reason
FROM agents a
WHERE a.name = $1
UNION ALL
SELECT 'key_taken', '', '', '', '', NULL, NULL, '', '', '', '', NULL, NULL FROM taken;

-- name: agent_list :many fresh
SELECT a.id, a.name, a.hostname, a.status,
    a.last_heartbeat_at AT TIME ZONE 'UTC' AS last_heartbeat_at,
    a.registered_at AT TIME ZONE 'UTC' AS registered_at,
    a.os, a.architecture, a.ip_address, a.version,
    a.retired_at AT TIME ZONE 'UTC' AS retired_at, a.retired_reason
FROM agents a
WHERE a.retired_at IS NULL
    AND ($3::timestamptz IS NULL OR (a.registered_at, a.id) < ($3::timestamptz, $4::text))
    AND ($5::text IS NULL OR a.status = $5)
    AND ($6::text IS NULL OR a.name = $6)
ORDER BY a.registered_at DESC, a.id DESC
LIMIT $1::bigint OFFSET $2::bigint;

-- name: agent_list_retired :many fresh
SELECT a.id, a.name, a.hostname, a.status,
    a.last_heartbeat_at AT TIME ZONE 'UTC' AS last_heartbeat_at,
    a.registered_at AT TIME ZONE 'UTC' AS registered_at,
    a.os, a.architecture, a.ip_address, a.version,
    a.retired_at AT TIME ZONE 'UTC' AS retired_at, a.retired_reason
FROM agents a
WHERE a.retired_at IS NOT NULL
    AND ($3::timestamptz IS NULL OR (a.retired_at, a.id) < ($3::timestamptz, $4::text))
    AND ($5::text IS NULL OR a.status = $5)
    AND ($6::text IS NULL OR a.name = $6)
ORDER BY a.retired_at DESC, a.id DESC
LIMIT $1::bigint OFFSET $2::bigint;

-- name: agent_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM agents a WHERE (a.retired_at IS NOT NULL) = $1::bool AND ($2::text IS NULL OR a.status = $2)
        AND ($3::text IS NULL OR a.name = $3)
    LIMIT 10001) AS found) AS n;

-- name: agent_get :many
SELECT a.id, a.name, a.hostname, a.status,
    a.last_heartbeat_at AT TIME ZONE 'UTC' AS last_heartbeat_at,
    a.registered_at AT TIME ZONE 'UTC' AS registered_at,
    a.os, a.architecture, a.ip_address, a.version,
    a.retired_at AT TIME ZONE 'UTC' AS retired_at, a.retired_reason
FROM agents a
WHERE a.id = $1;

-- name: agent_state :many
SELECT a.retired_at IS NOT NULL AS is_retired, EXISTS (SELECT 1 FROM target_tests o WHERE o.agent_id = a.id AND o.taken_at IS NULL
        AND o.ended_at IS NULL AND o.asked_at > engine_now() - policy_test_wait()) AS has_tests
FROM agents a WHERE a.id = $1;

-- What there is for agents that ask for work; see cert_gets.  Here and in others for many: (SELECT $1) hides from the
-- planner how many they are.  It would find them fewer than it takes an unknown number for, and so plan each call anew, which
-- takes it thirty times as long as the call.
-- name: agents_polled :many
SELECT k.at, a.is_retired, a.has_tests, a.has_work
FROM unnest((SELECT $1::text[])) WITH ORDINALITY AS k (id, at) CROSS JOIN LATERAL (
    SELECT g.retired_at IS NOT NULL AS is_retired,
        EXISTS (SELECT 1 FROM target_tests o WHERE o.agent_id = g.id AND o.taken_at IS NULL AND o.ended_at IS NULL
            AND o.asked_at > engine_now() - policy_test_wait()) AS has_tests,
        EXISTS (SELECT 1 FROM jobs j WHERE j.agent_id = g.id AND job_needs_agent(j)) AS has_work
    FROM agents g WHERE g.id = k.id OFFSET 0) AS a;

-- A batch, without doubles.  Empty texts keep what is there.  What somebody
-- holds is waited for as long as another batch has it; then the batch is sent
-- again as agents_heartbeat_past.  The row without an id counts them all; the
-- others told of another digest than is known.
-- name: agents_heartbeat :many
WITH done AS (
    UPDATE agents a SET status = 'Online', last_heartbeat_at = n.at,
        version = CASE WHEN b.version = '' THEN a.version ELSE b.version END,
        hostname = CASE WHEN b.hostname = '' THEN a.hostname ELSE b.hostname END,
        os = CASE WHEN b.os = '' THEN a.os ELSE b.os END,
        architecture = CASE WHEN b.architecture = '' THEN a.architecture ELSE b.architecture END,
        ip_address = CASE WHEN b.ip_address = '' THEN a.ip_address ELSE b.ip_address END
    FROM unnest((SELECT $1::text[]), (SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::text[]), (SELECT $5::text[]),
            (SELECT $6::text[]), (SELECT $7::text[]))
            AS b (id, version, hostname, os, architecture, ip_address, served),
        (SELECT engine_now() AS at, set_config('lock_timeout', '20ms', true)) AS n
    WHERE a.id = b.id AND a.retired_at IS NULL
    RETURNING a.id, b.served NOT IN ('', a.served_digest) AS is_wanted
)
SELECT '' AS id, count(*) AS n FROM done
UNION ALL SELECT d.id, 0 FROM done d WHERE d.is_wanted;

-- The same, passing over an agent whose row somebody holds, so that the others
-- are heard.  It looks each agent up twice and locks it first.
-- name: agents_heartbeat_past :many
WITH done AS (
    UPDATE agents a SET status = 'Online', last_heartbeat_at = n.at,
        version = CASE WHEN b.version = '' THEN a.version ELSE b.version END,
        hostname = CASE WHEN b.hostname = '' THEN a.hostname ELSE b.hostname END,
        os = CASE WHEN b.os = '' THEN a.os ELSE b.os END,
        architecture = CASE WHEN b.architecture = '' THEN a.architecture ELSE b.architecture END,
        ip_address = CASE WHEN b.ip_address = '' THEN a.ip_address ELSE b.ip_address END
    FROM (SELECT u.* FROM unnest((SELECT $1::text[]), (SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::text[]), (SELECT $5::text[]),
            (SELECT $6::text[]), (SELECT $7::text[]))
                AS u (id, version, hostname, os, architecture, ip_address, served)
            JOIN agents o ON o.id = u.id AND o.retired_at IS NULL FOR NO KEY UPDATE OF o SKIP LOCKED) AS b,
        (SELECT engine_now() AS at) AS n
    WHERE a.id = b.id
    RETURNING a.id, b.served NOT IN ('', a.served_digest) AS is_wanted
)
SELECT '' AS id, count(*) AS n FROM done
UNION ALL SELECT d.id, 0 FROM done d WHERE d.is_wanted;

-- Asked only when a batch touched fewer rows than it named.  is_heard: by this
-- batch, or another just now.
-- name: agents_known :many
SELECT a.id, a.retired_at IS NOT NULL AS is_retired,
    coalesce(a.last_heartbeat_at >= engine_now() - policy_held_rest(), false) AS is_heard
FROM agents a WHERE a.id = ANY ($1::text[]);

-- name: agent_served :one
SELECT array_to_json(agent_served($1, $2, $3::jsonb)) AS forget;

-- name: agent_work_fetch :many
SELECT w.id, w.type, w.certificate_id, w.status, w.common_name, array_to_json(w.sans) AS sans, w.target_id, w.target_type,
    w.target_config, w.version_id, w.serial_number, w.fingerprint_sha256,
    to_char(w.not_after AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS not_after
FROM agents a, LATERAL agent_work(a.id, $2::int) AS w
WHERE a.id = $1 AND a.retired_at IS NULL;

-- name: agents_parked_with_work :many
SELECT a.id FROM unnest($1::text[]) AS a (id)
WHERE EXISTS (SELECT 1 FROM jobs j WHERE j.agent_id = a.id AND job_needs_agent(j))
    OR EXISTS (SELECT 1 FROM target_tests o WHERE o.agent_id = a.id AND o.taken_at IS NULL AND o.ended_at IS NULL
        AND o.asked_at > engine_now() - policy_test_wait())
    OR EXISTS (SELECT 1 FROM agents g WHERE g.id = a.id AND g.retired_at IS NOT NULL);

-- name: jobs_parked_finished :many
SELECT j.id FROM jobs j WHERE j.id = ANY ($1::text[]) AND j.status IN ('Completed', 'Failed', 'Cancelled');

-- What a CSR is judged by.  $1 agent, $2 certificate.  No row: this agent has no
-- issuance of that certificate.
-- name: csr_context :many
SELECT a.retired_at IS NOT NULL AS is_retired, c.common_name, array_to_json(coalesce(c.sans, '{}')) AS sans,
    CASE WHEN p.id IS NOT NULL THEN row_to_json(p)::text END AS profile
FROM agents a
JOIN managed_certificates c ON c.id = $2
LEFT JOIN certificate_profiles p ON p.id = c.certificate_profile_id
WHERE a.id = $1
    AND EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = c.id AND j.agent_id = a.id AND j.type IN ('Issuance', 'Renewal'));

-- name: csr_submit :one
SELECT s.outcome, s.job_id, s.issuer_id FROM csr_submit($1, $2, $3, $4, $5, $6,
    ARRAY(SELECT jsonb_array_elements_text($7::jsonb))) AS s;

-- $1 agent, $2 certificate, $3 job (NULL: the agent's running deployment, else
-- its newest version of the certificate).
-- name: agent_pickup :many
SELECT v.id AS version_id, v.pem_chain || coalesce(h.pem, '') AS pem_chain, v.serial_number, v.fingerprint_sha256
FROM jobs j
JOIN certificate_versions v ON v.id = j.version_id AND v.certificate_id = j.certificate_id
LEFT JOIN certificate_chains h ON h.id = v.chain_id
WHERE j.agent_id = $1 AND j.certificate_id = $2
    AND CASE WHEN $3::text IS NULL THEN j.type = 'Deployment' AND j.status = 'Running' ELSE j.id = $3 END
UNION ALL
(SELECT v.id, v.pem_chain || coalesce(h.pem, ''), v.serial_number, v.fingerprint_sha256
FROM certificate_versions v
LEFT JOIN certificate_chains h ON h.id = v.chain_id
WHERE $3::text IS NULL AND v.certificate_id = $2 AND v.key_holder = $1
ORDER BY v.id DESC LIMIT 1)
LIMIT 1;

-- What of certificate $1 must not be served again: revoked and not expired.
-- name: agent_pickup_revoked :many
SELECT v.fingerprint_sha256
FROM certificate_versions v
JOIN certificate_revocations r ON r.issuer_id = v.issuer_id AND r.serial_number = v.serial_number
WHERE v.certificate_id = $1 AND v.not_after > engine_now()
ORDER BY v.id DESC LIMIT 100;

-- name: job_report :one
SELECT r.outcome, r.status, r.certificate_id FROM job_report($1, $2, $3, $4, $5, $6) AS r;

-- $1 agent (NULL: any), $2 job, $3 target, $4 verified, $5 fingerprint seen,
-- $6 error, $7 actor, $8 actor type.
-- name: job_verify :one
WITH done AS (
    SELECT v.outcome, v.verified_at FROM job_verify($1, $2, $3, $4::bool, $5, $6) AS v
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT $7, $8, CASE WHEN $4::bool THEN 'job_verification_success' ELSE 'job_verification_failed' END, 'job', $2,
        jsonb_strip_nulls(jsonb_build_object('target_id', $3, 'fingerprint', nullif($5, ''), 'error', nullif($6, '')))
    FROM done d WHERE d.outcome = 'stored'
)
SELECT d.outcome, d.verified_at AT TIME ZONE 'UTC' AS verified_at FROM done d;

-- name: job_verification :many
SELECT j.id, j.target_id, j.verification_status, j.verification_fingerprint, j.verification_error, v.fingerprint_sha256 AS expected,
    j.verified_at AT TIME ZONE 'UTC' AS verified_at
FROM jobs j
LEFT JOIN certificate_versions v ON v.id = j.version_id
WHERE j.id = $1;

-- Before agent_retire, in its transaction: who gives the agent a target, or one of its
-- targets a certificate, is waited for, and then counted.
-- name: agent_lock :many
SELECT a.id FROM agents a WHERE a.id = $1 FOR NO KEY UPDATE;

-- name: agent_targets_lock :many
SELECT t.id FROM deployment_targets t WHERE t.agent_id = $1 AND t.retired_at IS NULL ORDER BY t.id FOR NO KEY UPDATE;

-- $1 agent, $2 force, $3 reason, $4 actor, $5 actor type.  The checks stand
-- in the order of the contract; what depends on the agent is retired with it.
-- name: agent_retire :many
WITH found AS (
    SELECT a.id, a.retired_at FROM agents a WHERE a.id = $1
), counted AS (
    SELECT
        (SELECT count(*) FROM deployment_targets t WHERE t.agent_id = $1 AND t.retired_at IS NULL) AS active_targets,
        (SELECT count(DISTINCT m.certificate_id) FROM certificate_target_mappings m
            JOIN deployment_targets t ON t.id = m.target_id WHERE t.agent_id = $1 AND t.retired_at IS NULL) AS active_certificates,
        (SELECT count(*) FROM jobs j WHERE j.agent_id = $1
            AND j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running')) AS pending_jobs
), judged AS (
    SELECT f.id, c.active_targets, c.active_certificates, c.pending_jobs, n.at,
        CASE WHEN f.retired_at IS NOT NULL THEN 'already'
            WHEN $2::bool AND coalesce($3, '') = '' THEN 'no_reason'
            WHEN NOT $2::bool AND c.active_targets + c.active_certificates + c.pending_jobs > 0 THEN 'blocked'
            ELSE 'retired' END AS outcome,
        c.active_targets + c.active_certificates + c.pending_jobs > 0 AS cascade
    FROM found f, counted c, (SELECT engine_now() AS at) AS n
), retired AS (
    UPDATE agents a SET retired_at = j.at, retired_reason = nullif($3, ''), status = 'Offline'
    FROM judged j WHERE a.id = j.id AND j.outcome = 'retired'
    RETURNING a.id
), targets AS (
    UPDATE deployment_targets t SET retired_at = j.at, retired_reason = coalesce(nullif($3, ''), 'agent retired'), updated_at = j.at
    FROM judged j WHERE t.agent_id = j.id AND j.outcome = 'retired' AND t.retired_at IS NULL
    RETURNING t.id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT $4, $5, CASE WHEN j.cascade THEN 'agent_retirement_cascaded' ELSE 'agent_retired' END, 'agent', j.id,
        jsonb_strip_nulls(jsonb_build_object('reason', nullif($3, ''), 'active_targets', j.active_targets,
            'active_certificates', j.active_certificates, 'pending_jobs', j.pending_jobs))
    FROM judged j WHERE j.outcome = 'retired'
)
SELECT j.outcome, j.active_targets, j.active_certificates, j.pending_jobs, j.cascade,
    j.at AT TIME ZONE 'UTC' AS retired_at
FROM judged j;

-- --- groups ---

-- fragment: agent_shown
a.id, a.name, a.hostname, a.status,
    a.last_heartbeat_at AT TIME ZONE 'UTC' AS last_heartbeat_at,
    a.registered_at AT TIME ZONE 'UTC' AS registered_at,
    a.os, a.architecture, a.ip_address, a.version, NULL AS retired_at, NULL AS retired_reason

-- A text as a network or an address; NULL: it is none.  The rows of agents and
-- groups may hold any text.
-- fragment: network_of text
CASE WHEN {text} ~ '^((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(/(3[0-2]|[12]?[0-9]))?$'
    OR {text} ~* '^([0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}|([0-9a-f]{1,4}(:[0-9a-f]{1,4})*)?::([0-9a-f]{1,4}(:[0-9a-f]{1,4})*)?)(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?$'
    AND cardinality(string_to_array({text}, ':')) <= 8 THEN {text}::inet END

-- $1 group, $2 whether its rules count, too; who is excluded is never one.  Ten
-- thousand at most, by name.
-- name: agent_group_members :many fresh
SELECT f.* FROM (
    SELECT {agent_shown}
    FROM agent_group_members m JOIN agents a ON a.id = m.agent_id AND a.retired_at IS NULL
    WHERE m.agent_group_id = $1 AND m.membership_type = 'include'
    UNION ALL
    SELECT {agent_shown}
    FROM agent_groups ag JOIN agents a ON a.retired_at IS NULL
    WHERE $2::bool AND ag.id = $1 AND ag.enabled
        AND NOT EXISTS (SELECT 1 FROM agent_group_members m WHERE m.agent_group_id = $1 AND m.agent_id = a.id)
        -- All that the group has, and it has one.
        AND concat(ag.match_os, ag.match_architecture, ag.match_ip_cidr, ag.match_version) <> ''
        AND lower(coalesce(nullif(ag.match_os, ''), a.os)) = lower(a.os)
        AND lower(coalesce(nullif(ag.match_architecture, ''), a.architecture)) = lower(a.architecture)
        AND coalesce(nullif(ag.match_version, ''), a.version) = a.version
        AND (coalesce(ag.match_ip_cidr, '') = '' OR {network_of a.ip_address} <<= {network_of ag.match_ip_cidr})
) AS f
ORDER BY f.name, f.id LIMIT 10001;

-- $1 group, $2 agent, $3 the checked body, $4 actor, $5 actor type.  Behind
-- agent_group_lock_update.
-- name: agent_group_member_put :one
WITH put AS (
    INSERT INTO agent_group_members AS m (agent_group_id, agent_id, membership_type, created_at)
    SELECT ag.id, a.id, $3::jsonb ->> 'membership_type', engine_now() FROM agent_groups ag JOIN agents a ON a.id = $2 AND a.retired_at IS NULL
    WHERE ag.id = $1
    ON CONFLICT (agent_group_id, agent_id) DO UPDATE SET membership_type = excluded.membership_type
    RETURNING m.agent_id, m.membership_type
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $4, $5, 'update_agent_group', 'agent_group', $1,
        jsonb_build_object('agent_id', p.agent_id, 'membership_type', p.membership_type), 'config'
    FROM put p
)
SELECT EXISTS (SELECT 1 FROM agent_groups ag WHERE ag.id = $1) AS is_group,
    (SELECT p.membership_type FROM put p) AS membership_type;

-- $1 group, $2 agent, $3 actor, $4 actor type.
-- name: agent_group_member_delete :one
WITH gone AS (
    DELETE FROM agent_group_members m WHERE m.agent_group_id = $1 AND m.agent_id = $2
    RETURNING m.agent_id
), audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $3, $4, 'update_agent_group', 'agent_group', $1, jsonb_build_object('agent_id', g.agent_id, 'membership_type', ''), 'config'
    FROM gone g
)
SELECT EXISTS (SELECT 1 FROM agent_groups ag WHERE ag.id = $1) AS is_group, EXISTS (SELECT 1 FROM gone) AS is_gone;
