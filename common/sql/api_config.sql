-- Statements of the plain nouns: teams, owners, renewal policies, issuers,
-- targets.  Every noun has the same six, in the same parameters:
--   list    limit, offset, then the filters of its descriptor
--   total   the filters
--   get     id
--   create  the checked body, actor, actor type
--   update  id, the checked body, actor, actor type
--   delete  id, actor, actor type
-- A write and its audit event are one statement.

-- --- teams ---

-- name: team_list :many fresh
SELECT t.id, t.name, coalesce(t.description, '') AS description, t.created_at AT TIME ZONE 'UTC' AS created_at,
    t.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM teams t
WHERE ($3::text IS NULL OR strpos(lower(t.name), lower($3)) > 0)
ORDER BY t.name, t.id
LIMIT $1::bigint OFFSET $2::bigint;

-- name: team_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM teams t
    WHERE ($1::text IS NULL OR strpos(lower(t.name), lower($1)) > 0)
    LIMIT 10001) AS found) AS n;

-- name: team_get :one
SELECT t.id, t.name, coalesce(t.description, '') AS description, t.created_at AT TIME ZONE 'UTC' AS created_at,
    t.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM teams t
WHERE t.id = $1;

-- name: team_create :one
WITH given AS (SELECT $1::jsonb AS j),
made AS (
    INSERT INTO teams (id, name, description)
    SELECT coalesce(g.j ->> 'id', id_new('team')), g.j ->> 'name', g.j ->> 'description'
    FROM given g
    RETURNING id, name, description, created_at, updated_at
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'create_team', 'team', m.id, jsonb_build_object('name', m.name), 'config' FROM made m
)
SELECT m.id, m.name, coalesce(m.description, '') AS description, m.created_at AT TIME ZONE 'UTC' AS created_at,
    m.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM made m;

-- name: team_update :one
WITH changed AS (
    UPDATE teams t SET
        name = coalesce($2::jsonb ->> 'name', t.name),
        description = coalesce($2::jsonb ->> 'description', t.description),
        updated_at = engine_now()
    WHERE t.id = $1
    RETURNING t.id, t.name, t.description, t.created_at, t.updated_at
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $3, $4, 'update_team', 'team', m.id, jsonb_build_object('fields',
        (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys($2::jsonb) AS k)), 'config' FROM changed m
)
SELECT m.id, m.name, coalesce(m.description, '') AS description, m.created_at AT TIME ZONE 'UTC' AS created_at,
    m.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM changed m;

-- name: team_delete :one
WITH removed AS (
    DELETE FROM teams t WHERE t.id = $1 AND NOT (EXISTS (SELECT 1 FROM owners o WHERE o.team_id = $1)
        OR EXISTS (SELECT 1 FROM managed_certificates c WHERE c.team_id = $1))
    RETURNING t.id, t.name
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'delete_team', 'team', m.id, jsonb_build_object('name', m.name), 'config'
    FROM removed m
)
SELECT EXISTS (SELECT 1 FROM teams t WHERE t.id = $1) AS was_there, EXISTS (SELECT 1 FROM removed) AS is_gone;

-- --- owners ---

-- name: owner_list :many fresh
SELECT o.id, o.name, o.email, o.team_id, o.created_at AT TIME ZONE 'UTC' AS created_at,
    o.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM owners o
WHERE ($3::text IS NULL OR strpos(lower(o.name), lower($3)) > 0)
    AND ($4::text IS NULL OR o.team_id = $4)
ORDER BY o.name, o.id
LIMIT $1::bigint OFFSET $2::bigint;

-- name: owner_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM owners o
    WHERE ($1::text IS NULL OR strpos(lower(o.name), lower($1)) > 0)
        AND ($2::text IS NULL OR o.team_id = $2)
    LIMIT 10001) AS found) AS n;

-- name: owner_get :one
SELECT o.id, o.name, o.email, o.team_id, o.created_at AT TIME ZONE 'UTC' AS created_at,
    o.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM owners o
WHERE o.id = $1;

-- name: owner_create :one
WITH given AS (SELECT $1::jsonb AS j),
made AS (
    INSERT INTO owners (id, name, email, team_id)
    SELECT coalesce(g.j ->> 'id', id_new('owner')), g.j ->> 'name', coalesce(g.j ->> 'email', ''), g.j ->> 'team_id'
    FROM given g
    RETURNING id, name, email, team_id, created_at, updated_at
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'create_owner', 'owner', m.id, jsonb_build_object('name', m.name), 'config' FROM made m
)
SELECT m.id, m.name, m.email, m.team_id, m.created_at AT TIME ZONE 'UTC' AS created_at,
    m.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM made m;

-- name: owner_update :one
WITH changed AS (
    UPDATE owners o SET
        name = coalesce($2::jsonb ->> 'name', o.name),
        email = coalesce($2::jsonb ->> 'email', o.email),
        team_id = coalesce($2::jsonb ->> 'team_id', o.team_id),
        updated_at = engine_now()
    WHERE o.id = $1
    RETURNING o.id, o.name, o.email, o.team_id, o.created_at, o.updated_at
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $3, $4, 'update_owner', 'owner', m.id, jsonb_build_object('fields',
        (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys($2::jsonb) AS k)), 'config' FROM changed m
)
SELECT m.id, m.name, m.email, m.team_id, m.created_at AT TIME ZONE 'UTC' AS created_at,
    m.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM changed m;

-- name: owner_delete :one
WITH removed AS (
    DELETE FROM owners o WHERE o.id = $1
        AND NOT EXISTS (SELECT 1 FROM managed_certificates c WHERE c.owner_id = $1)
    RETURNING o.id, o.name
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'delete_owner', 'owner', m.id, jsonb_build_object('name', m.name), 'config'
    FROM removed m
)
SELECT EXISTS (SELECT 1 FROM owners o WHERE o.id = $1) AS was_there, EXISTS (SELECT 1 FROM removed) AS is_gone;

-- --- renewal_policies ---

-- name: renewal_policy_list :many fresh
SELECT p.id, p.name, p.renewal_window_days, p.auto_renew, p.max_retries, p.retry_interval_seconds,
    p.alert_thresholds_days, p.certificate_profile_id, p.created_at AT TIME ZONE 'UTC' AS created_at,
    p.updated_at AT TIME ZONE 'UTC' AS updated_at, p.alert_channels, p.alert_severity_map, p.renewal_percent
FROM renewal_policies p
WHERE ($3::text IS NULL OR strpos(lower(p.name), lower($3)) > 0)
ORDER BY p.name, p.id
LIMIT $1::bigint OFFSET $2::bigint;

-- name: renewal_policy_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM renewal_policies p
    WHERE ($1::text IS NULL OR strpos(lower(p.name), lower($1)) > 0)
    LIMIT 10001) AS found) AS n;

-- name: renewal_policy_get :one
SELECT p.id, p.name, p.renewal_window_days, p.auto_renew, p.max_retries, p.retry_interval_seconds,
    p.alert_thresholds_days, p.certificate_profile_id, p.created_at AT TIME ZONE 'UTC' AS created_at,
    p.updated_at AT TIME ZONE 'UTC' AS updated_at, p.alert_channels, p.alert_severity_map, p.renewal_percent
FROM renewal_policies p
WHERE p.id = $1;

-- name: renewal_policy_create :one
WITH given AS (SELECT $1::jsonb AS j),
made AS (
    INSERT INTO renewal_policies (id, name, renewal_window_days, auto_renew, max_retries, retry_interval_seconds,
        alert_thresholds_days, alert_channels, alert_severity_map, renewal_percent)
    SELECT coalesce(g.j ->> 'id', s.id), g.j ->> 'name', (g.j ->> 'renewal_window_days')::int,
        (g.j ->> 'auto_renew')::bool, (g.j ->> 'max_retries')::int, (g.j ->> 'retry_interval_seconds')::int,
        g.j -> 'alert_thresholds_days', coalesce(g.j -> 'alert_channels', '{}'),
        coalesce(g.j -> 'alert_severity_map', '{}'), (g.j ->> 'renewal_percent')::int
    FROM given g,
        -- "rp-" and the name in lower case, its spaces as dashes, what is left
        -- of other characters dropped; numbered when that id is taken.
        LATERAL (SELECT CASE WHEN b.slug = 'rp-' THEN id_new('rp')
                WHEN EXISTS (SELECT 1 FROM renewal_policies o WHERE o.id = b.slug) THEN b.slug || '-' || nextval('id_seq')
                ELSE b.slug END AS id
            FROM (SELECT 'rp-' || left(regexp_replace(replace(lower(g.j ->> 'name'), ' ', '-'), '[^a-z0-9-]', '', 'g'), 61)
                AS slug) AS b) AS s
    RETURNING id, name, renewal_window_days, auto_renew, max_retries, retry_interval_seconds, alert_thresholds_days,
        certificate_profile_id, created_at, updated_at, alert_channels, alert_severity_map, renewal_percent
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'create_renewal_policy', 'renewal_policy', m.id, jsonb_build_object('name', m.name), 'config' FROM made m
)
SELECT m.id, m.name, m.renewal_window_days, m.auto_renew, m.max_retries, m.retry_interval_seconds,
    m.alert_thresholds_days, m.certificate_profile_id, m.created_at AT TIME ZONE 'UTC' AS created_at,
    m.updated_at AT TIME ZONE 'UTC' AS updated_at, m.alert_channels, m.alert_severity_map, m.renewal_percent
FROM made m;

-- name: renewal_policy_update :one
WITH changed AS (
    UPDATE renewal_policies p SET
        name = coalesce($2::jsonb ->> 'name', p.name),
        renewal_window_days = coalesce(($2::jsonb ->> 'renewal_window_days')::int, p.renewal_window_days),
        auto_renew = coalesce(($2::jsonb ->> 'auto_renew')::bool, p.auto_renew),
        max_retries = coalesce(($2::jsonb ->> 'max_retries')::int, p.max_retries),
        retry_interval_seconds = coalesce(($2::jsonb ->> 'retry_interval_seconds')::int, p.retry_interval_seconds),
        alert_thresholds_days = coalesce($2::jsonb -> 'alert_thresholds_days', p.alert_thresholds_days),
        alert_channels = coalesce($2::jsonb -> 'alert_channels', p.alert_channels),
        alert_severity_map = coalesce($2::jsonb -> 'alert_severity_map', p.alert_severity_map),
        renewal_percent = CASE WHEN $2::jsonb ? 'renewal_percent' THEN ($2::jsonb ->> 'renewal_percent')::int
            ELSE p.renewal_percent END,
        updated_at = engine_now()
    WHERE p.id = $1
    RETURNING p.id, p.name, p.renewal_window_days, p.auto_renew, p.max_retries, p.retry_interval_seconds,
        p.alert_thresholds_days, p.certificate_profile_id, p.created_at, p.updated_at, p.alert_channels,
        p.alert_severity_map, p.renewal_percent
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $3, $4, 'update_renewal_policy', 'renewal_policy', m.id, jsonb_build_object('fields',
        (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys($2::jsonb) AS k)), 'config' FROM changed m
)
SELECT m.id, m.name, m.renewal_window_days, m.auto_renew, m.max_retries, m.retry_interval_seconds,
    m.alert_thresholds_days, m.certificate_profile_id, m.created_at AT TIME ZONE 'UTC' AS created_at,
    m.updated_at AT TIME ZONE 'UTC' AS updated_at, m.alert_channels, m.alert_severity_map, m.renewal_percent
FROM changed m;

-- name: renewal_policy_delete :one
WITH removed AS (
    DELETE FROM renewal_policies p WHERE p.id = $1
        AND NOT EXISTS (SELECT 1 FROM managed_certificates c WHERE c.renewal_policy_id = $1)
    RETURNING p.id, p.name
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'delete_renewal_policy', 'renewal_policy', m.id, jsonb_build_object('name', m.name), 'config'
    FROM removed m
)
SELECT EXISTS (SELECT 1 FROM renewal_policies p WHERE p.id = $1) AS was_there, EXISTS (SELECT 1 FROM removed) AS is_gone;

-- --- issuers ---

-- name: issuer_list :many fresh
SELECT i.id, i.name, i.type, i.config, i.enabled, i.last_tested_at AT TIME ZONE 'UTC' AS last_tested_at, i.test_status,
    i.source, i.created_at AT TIME ZONE 'UTC' AS created_at, i.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM issuers i
WHERE ($3::text IS NULL OR strpos(lower(i.name), lower($3)) > 0)
    AND ($4::text IS NULL OR i.type = $4)
ORDER BY i.name, i.id
LIMIT $1::bigint OFFSET $2::bigint;

-- name: issuer_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM issuers i
    WHERE ($1::text IS NULL OR strpos(lower(i.name), lower($1)) > 0)
        AND ($2::text IS NULL OR i.type = $2)
    LIMIT 10001) AS found) AS n;

-- name: issuer_get :one
SELECT i.id, i.name, i.type, i.config, i.enabled, i.last_tested_at AT TIME ZONE 'UTC' AS last_tested_at, i.test_status,
    i.source, i.created_at AT TIME ZONE 'UTC' AS created_at, i.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM issuers i
WHERE i.id = $1;

-- name: issuer_create :one
WITH given AS (SELECT $1::jsonb AS j),
made AS (
    INSERT INTO issuers (id, name, type, config, enabled)
    SELECT coalesce(g.j ->> 'id', id_new('issuer')), g.j ->> 'name', g.j ->> 'type', coalesce(g.j -> 'config', '{}'), true
    FROM given g
    RETURNING id, name, type, config, enabled, last_tested_at, test_status, source, created_at, updated_at
),
queued AS (
    INSERT INTO tasks (id, kind, subject, dedupe_key, issuer_id)
    SELECT id_new('task'), 'ca_init', m.id, 'ca_init:' || m.id, m.id FROM made m
    ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'create_issuer', 'issuer', m.id, jsonb_build_object('name', m.name), 'config' FROM made m
)
SELECT m.id, m.name, m.type, m.config, m.enabled, m.last_tested_at AT TIME ZONE 'UTC' AS last_tested_at, m.test_status,
    m.source, m.created_at AT TIME ZONE 'UTC' AS created_at, m.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM made m;

-- name: issuer_update :one
WITH changed AS (
    UPDATE issuers i SET
        name = coalesce($2::jsonb ->> 'name', i.name),
        config = CASE WHEN $2::jsonb ? 'config' THEN (SELECT coalesce(jsonb_object_agg(n.key,
            CASE WHEN n.value = '"********"' THEN coalesce(i.config -> n.key, n.value) ELSE n.value END), '{}')
            FROM jsonb_each($2::jsonb -> 'config') AS n) ELSE i.config END,
        enabled = coalesce(($2::jsonb ->> 'enabled')::bool, i.enabled),
        test_status = CASE WHEN $2::jsonb ? 'config' THEN 'untested' ELSE i.test_status END,
        updated_at = engine_now()
    WHERE i.id = $1
    RETURNING i.id, i.name, i.type, i.config, i.enabled, i.last_tested_at, i.test_status, i.source, i.created_at,
        i.updated_at
),
queued AS (
    INSERT INTO tasks (id, kind, subject, dedupe_key, issuer_id)
    SELECT id_new('task'), 'ca_init', m.id, 'ca_init:' || m.id, m.id FROM changed m WHERE $2::jsonb ? 'config'
    ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $3, $4, 'update_issuer', 'issuer', m.id, jsonb_build_object('fields',
        (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys($2::jsonb) AS k)), 'config' FROM changed m
)
SELECT m.id, m.name, m.type, m.config, m.enabled, m.last_tested_at AT TIME ZONE 'UTC' AS last_tested_at, m.test_status,
    m.source, m.created_at AT TIME ZONE 'UTC' AS created_at, m.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM changed m;

-- name: issuer_delete :one
WITH removed AS (
    DELETE FROM issuers i WHERE i.id = $1
        AND NOT EXISTS (SELECT 1 FROM managed_certificates c WHERE c.issuer_id = $1)
    RETURNING i.id, i.name
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'delete_issuer', 'issuer', m.id, jsonb_build_object('name', m.name), 'config'
    FROM removed m
)
SELECT EXISTS (SELECT 1 FROM issuers i WHERE i.id = $1) AS was_there, EXISTS (SELECT 1 FROM removed) AS is_gone;

-- --- deployment_targets ---

-- name: target_list :many fresh
SELECT t.id, t.name, t.type, t.agent_id, t.config, t.enabled, t.last_tested_at AT TIME ZONE 'UTC' AS last_tested_at,
    t.test_status, t.source, t.retired_at AT TIME ZONE 'UTC' AS retired_at, t.retired_reason,
    t.created_at AT TIME ZONE 'UTC' AS created_at, t.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM deployment_targets t
WHERE ($3::text IS NULL OR strpos(lower(t.name), lower($3)) > 0)
    AND ($4::text IS NULL OR t.type = $4)
    AND ($5::text IS NULL OR t.agent_id = $5)
ORDER BY t.name, t.id
LIMIT $1::bigint OFFSET $2::bigint;

-- name: target_total :one fresh
SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
    SELECT 1 FROM deployment_targets t
    WHERE ($1::text IS NULL OR strpos(lower(t.name), lower($1)) > 0)
        AND ($2::text IS NULL OR t.type = $2)
        AND ($3::text IS NULL OR t.agent_id = $3)
    LIMIT 10001) AS found) AS n;

-- name: target_get :one
SELECT t.id, t.name, t.type, t.agent_id, t.config, t.enabled, t.last_tested_at AT TIME ZONE 'UTC' AS last_tested_at,
    t.test_status, t.source, t.retired_at AT TIME ZONE 'UTC' AS retired_at, t.retired_reason,
    t.created_at AT TIME ZONE 'UTC' AS created_at, t.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM deployment_targets t
WHERE t.id = $1;

-- name: target_create :one
WITH given AS (SELECT $1::jsonb AS j),
made AS (
    INSERT INTO deployment_targets (id, name, type, agent_id, config, enabled)
    SELECT coalesce(g.j ->> 'id', id_new('target')), g.j ->> 'name', g.j ->> 'type', a.id,
        coalesce(g.j -> 'config', '{}'), true
    FROM given g
    JOIN agents a ON a.id = g.j ->> 'agent_id' AND a.retired_at IS NULL
    RETURNING id, name, type, agent_id, config, enabled, last_tested_at, test_status, source, retired_at, retired_reason,
        created_at, updated_at
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'create_target', 'target', m.id, jsonb_build_object('name', m.name), 'config' FROM made m
)
SELECT m.id, m.name, m.type, m.agent_id, m.config, m.enabled, m.last_tested_at AT TIME ZONE 'UTC' AS last_tested_at,
    m.test_status, m.source, m.retired_at AT TIME ZONE 'UTC' AS retired_at, m.retired_reason,
    m.created_at AT TIME ZONE 'UTC' AS created_at, m.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM made m;

-- name: target_update :one
WITH changed AS (
    UPDATE deployment_targets t SET
        name = coalesce($2::jsonb ->> 'name', t.name),
        agent_id = coalesce($2::jsonb ->> 'agent_id', t.agent_id),
        config = CASE WHEN $2::jsonb ? 'config' THEN (SELECT coalesce(jsonb_object_agg(n.key,
            CASE WHEN n.value = '"********"' THEN coalesce(t.config -> n.key, n.value) ELSE n.value END), '{}')
            FROM jsonb_each($2::jsonb -> 'config') AS n) ELSE t.config END,
        enabled = coalesce(($2::jsonb ->> 'enabled')::bool, t.enabled),
        updated_at = engine_now()
    WHERE t.id = $1
        AND ($2::jsonb ->> 'agent_id' IS NULL OR $2::jsonb ->> 'agent_id' = t.agent_id
            OR EXISTS (SELECT 1 FROM agents a WHERE a.id = $2::jsonb ->> 'agent_id' AND a.retired_at IS NULL)
                AND NOT EXISTS (SELECT 1 FROM certificate_target_mappings m WHERE m.target_id = t.id))
    RETURNING t.id, t.name, t.type, t.agent_id, t.config, t.enabled, t.last_tested_at, t.test_status, t.source, t.retired_at,
        t.retired_reason, t.created_at, t.updated_at
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $3, $4, 'update_target', 'target', m.id, jsonb_build_object('fields',
        (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys($2::jsonb) AS k)), 'config' FROM changed m
)
SELECT m.id, m.name, m.type, m.agent_id, m.config, m.enabled, m.last_tested_at AT TIME ZONE 'UTC' AS last_tested_at,
    m.test_status, m.source, m.retired_at AT TIME ZONE 'UTC' AS retired_at, m.retired_reason,
    m.created_at AT TIME ZONE 'UTC' AS created_at, m.updated_at AT TIME ZONE 'UTC' AS updated_at
FROM changed m;

-- name: target_delete :one
WITH removed AS (
    DELETE FROM deployment_targets t WHERE t.id = $1
        AND NOT EXISTS (SELECT 1 FROM certificate_target_mappings m WHERE m.target_id = $1)
    RETURNING t.id, t.name
),
audited AS (
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT $2, $3, 'delete_target', 'target', m.id, jsonb_build_object('name', m.name), 'config'
    FROM removed m
)
SELECT EXISTS (SELECT 1 FROM deployment_targets t WHERE t.id = $1) AS was_there, EXISTS (SELECT 1 FROM removed) AS is_gone;
