-- What the API needs beyond the engine: how many certificates there are
-- without counting them, and the changes of a certificate that touch its jobs
-- as well.

-- --- counters ---
-- One table is split over shards by backend, so that writers in different
-- sessions do not wait for each other's commit; the sum is the count.
CREATE TABLE row_counts (
    table_name text NOT NULL,
    shard int NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (table_name, shard)
) WITH (fillfactor = 30);
INSERT INTO row_counts (table_name, shard, n)
    SELECT 'managed_certificates', s, CASE WHEN s = 0 THEN (SELECT count(*) FROM managed_certificates) ELSE 0 END
    FROM generate_series(0, 15) AS s;

CREATE FUNCTION row_counts_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_n bigint;
BEGIN
    SELECT count(*) INTO v_n FROM fresh;
    IF v_n > 0 THEN
        UPDATE row_counts r SET n = r.n + v_n WHERE r.table_name = TG_TABLE_NAME AND r.shard = pg_backend_pid() % 16;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION row_counts_removed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_n bigint;
BEGIN
    SELECT count(*) INTO v_n FROM gone;
    IF v_n > 0 THEN
        UPDATE row_counts r SET n = r.n - v_n WHERE r.table_name = TG_TABLE_NAME AND r.shard = pg_backend_pid() % 16;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION row_counts_emptied() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE row_counts r SET n = 0 WHERE r.table_name = TG_TABLE_NAME;
    RETURN NULL;
END $$;
CREATE TRIGGER managed_certificates_added AFTER INSERT ON managed_certificates
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION row_counts_added();
CREATE TRIGGER managed_certificates_removed AFTER DELETE ON managed_certificates
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION row_counts_removed();
CREATE TRIGGER managed_certificates_emptied AFTER TRUNCATE ON managed_certificates
    FOR EACH STATEMENT EXECUTE FUNCTION row_counts_emptied();

-- --- changes of certificates that touch their jobs ---

-- DELETE on the wire: the row stays as Archived.  Jobs that wait are
-- cancelled; one that a worker runs is asked to stop; a deployment that an
-- agent installs runs to its end.  Outcomes: archived, repeated, unknown.
CREATE FUNCTION certificate_archive(p_id text, p_actor text, p_actor_type text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_status text;
    v_ids text[];
BEGIN
    SELECT c.status INTO v_status FROM managed_certificates c WHERE c.id = p_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'unknown';
    ELSIF v_status = 'Archived' THEN
        RETURN 'repeated';
    END IF;
    UPDATE managed_certificates c SET status = 'Archived', updated_at = engine_now() WHERE c.id = p_id;
    PERFORM 1 FROM jobs j WHERE j.certificate_id = p_id
        AND j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running') ORDER BY j.id FOR NO KEY UPDATE;
    SELECT array_agg(j.id ORDER BY j.id) INTO v_ids FROM jobs j
        WHERE j.certificate_id = p_id AND j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval');
    IF v_ids IS NOT NULL THEN
        PERFORM job_finish(v_ids, array_fill('Cancelled'::text, ARRAY[cardinality(v_ids)]),
            array_fill('certificate archived by ' || p_actor, ARRAY[cardinality(v_ids)]));
    END IF;
    UPDATE jobs j SET cancel_requested_at = engine_now()
        WHERE j.certificate_id = p_id AND j.status = 'Running' AND j.type IN ('Issuance', 'Renewal')
            AND j.cancel_requested_at IS NULL;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES (p_actor, p_actor_type, 'certificate_archived', 'certificate', p_id,
            jsonb_build_object('cancelled_jobs', coalesce(cardinality(v_ids), 0)));
    RETURN 'archived';
END $$;

-- Deployment jobs on request, for one mapped target or for all, also where
-- the target serves the wanted version already.  Outcomes, one row a target:
-- enqueued, under_way; or a single row: unknown, archived, revoked,
-- not_mapped, no_version, target_off.
CREATE FUNCTION certificate_deploy(p_id text, p_target text, p_actor text, p_actor_type text)
RETURNS TABLE (outcome text, job_id text, agent_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_status text;
    v_why text;
BEGIN
    SELECT c.status INTO v_status FROM managed_certificates c WHERE c.id = p_id FOR NO KEY UPDATE;
    IF NOT FOUND OR v_status IN ('Archived', 'Revoked') THEN
        RETURN QUERY SELECT coalesce(lower(v_status), 'unknown'), NULL::text, NULL::text;
        RETURN;
    END IF;
    UPDATE certificate_target_mappings m SET desired_version_id = v.id
    FROM deployment_targets t, LATERAL (SELECT o.id FROM certificate_versions o
        WHERE o.certificate_id = p_id AND o.key_holder = t.agent_id ORDER BY o.id DESC LIMIT 1) v
    WHERE m.certificate_id = p_id AND t.id = m.target_id AND m.desired_version_id IS NULL;
    SELECT CASE WHEN count(*) = 0 THEN 'not_mapped'
            WHEN count(*) FILTER (WHERE t.enabled AND t.retired_at IS NULL AND a.retired_at IS NULL) = 0 THEN 'target_off'
            WHEN count(*) FILTER (WHERE m.desired_version_id IS NOT NULL
                AND t.enabled AND t.retired_at IS NULL AND a.retired_at IS NULL) = 0 THEN 'no_version' END
        INTO v_why
    FROM certificate_target_mappings m
    JOIN deployment_targets t ON t.id = m.target_id
    JOIN agents a ON a.id = t.agent_id
    WHERE m.certificate_id = p_id AND (p_target IS NULL OR m.target_id = p_target);
    IF v_why IS NOT NULL THEN
        RETURN QUERY SELECT v_why, NULL::text, NULL::text;
        RETURN;
    END IF;
    UPDATE jobs j SET version_id = m.desired_version_id, run_after = v_now
    FROM certificate_target_mappings m
    WHERE m.certificate_id = p_id AND (p_target IS NULL OR m.target_id = p_target)
        AND j.dedupe_key = 'deploy:' || m.certificate_id || ':' || m.target_id AND j.status = 'Pending';
    RETURN QUERY
    WITH wanted AS MATERIALIZED (
        SELECT m.target_id, t.agent_id, m.desired_version_id
        FROM certificate_target_mappings m
        JOIN deployment_targets t ON t.id = m.target_id AND t.enabled AND t.retired_at IS NULL
        JOIN agents a ON a.id = t.agent_id AND a.retired_at IS NULL
        WHERE m.certificate_id = p_id AND (p_target IS NULL OR m.target_id = p_target)
            AND m.desired_version_id IS NOT NULL
    ), made AS (
        INSERT INTO jobs (id, type, certificate_id, target_id, agent_id, status, max_attempts, scheduled_at, created_at,
            run_after, dedupe_key, version_id, requested_by)
        SELECT id_new('job'), 'Deployment', p_id, w.target_id, w.agent_id, 'Pending', 1, v_now, v_now, v_now,
            'deploy:' || p_id || ':' || w.target_id, w.desired_version_id, p_actor
        FROM wanted w ORDER BY w.target_id
        ON CONFLICT (dedupe_key) WHERE status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval') DO NOTHING
        RETURNING id, target_id
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_actor, p_actor_type, 'deployment_triggered', 'certificate', p_id,
            jsonb_build_object('job_ids', coalesce((SELECT jsonb_agg(made.id) FROM made), '[]'))
    )
    SELECT CASE WHEN made.id IS NULL THEN 'under_way' ELSE 'enqueued' END,
        coalesce(made.id, (SELECT j.id FROM jobs j WHERE j.dedupe_key = 'deploy:' || p_id || ':' || w.target_id
            AND j.status IN ('Pending', 'Running'))), w.agent_id::text
    FROM wanted w LEFT JOIN made ON made.target_id = w.target_id
    ORDER BY w.target_id;
END $$;

-- Merges what p_new names into a certificate.  A new set of targets cancels
-- the waiting deployments of those that left; those that came get the newest
-- version that their agent holds the key of, if there is one.  Outcomes:
-- updated, unknown, final (its status is Revoked or Archived for good).
CREATE FUNCTION certificate_merge(p_id text, p_new jsonb, p_actor text, p_actor_type text)
RETURNS TABLE (outcome text, agents text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_status text;
    v_ids text[];
    v_agents text[] := '{}';
BEGIN
    SELECT c.status INTO v_status FROM managed_certificates c WHERE c.id = p_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown', v_agents;
        RETURN;
    ELSIF v_status IN ('Revoked', 'Archived') AND p_new ? 'status' AND p_new ->> 'status' <> v_status THEN
        RETURN QUERY SELECT 'final', v_agents;
        RETURN;
    END IF;
    UPDATE managed_certificates c SET
        name = coalesce(p_new ->> 'name', c.name),
        common_name = coalesce(p_new ->> 'common_name', c.common_name),
        sans = CASE WHEN p_new ? 'sans' THEN ARRAY(SELECT jsonb_array_elements_text(p_new -> 'sans')) ELSE c.sans END,
        environment = coalesce(p_new ->> 'environment', c.environment),
        owner_id = coalesce(p_new ->> 'owner_id', c.owner_id),
        team_id = coalesce(p_new ->> 'team_id', c.team_id),
        issuer_id = coalesce(p_new ->> 'issuer_id', c.issuer_id),
        renewal_policy_id = coalesce(p_new ->> 'renewal_policy_id', c.renewal_policy_id),
        certificate_profile_id = coalesce(p_new ->> 'certificate_profile_id', c.certificate_profile_id),
        status = coalesce(p_new ->> 'status', c.status),
        tags = coalesce(p_new -> 'tags', c.tags),
        updated_at = v_now
    WHERE c.id = p_id;
    IF p_new ? 'target_ids' THEN
        SELECT array_agg(j.id ORDER BY j.id) INTO v_ids FROM (SELECT o.id FROM jobs o
            WHERE o.certificate_id = p_id AND o.type = 'Deployment' AND o.status = 'Pending'
                AND NOT p_new -> 'target_ids' ? o.target_id
            ORDER BY o.id FOR NO KEY UPDATE) j;
        IF v_ids IS NOT NULL THEN
            PERFORM job_finish(v_ids, array_fill('Cancelled'::text, ARRAY[cardinality(v_ids)]),
                array_fill('the target was taken off the certificate'::text, ARRAY[cardinality(v_ids)]));
        END IF;
        DELETE FROM certificate_target_mappings m WHERE m.certificate_id = p_id AND NOT p_new -> 'target_ids' ? m.target_id;
        INSERT INTO certificate_target_mappings (certificate_id, target_id, desired_version_id)
        SELECT p_id, w.target_id, (SELECT v.id FROM certificate_versions v JOIN deployment_targets t ON t.id = w.target_id
            WHERE v.certificate_id = p_id AND v.key_holder = t.agent_id ORDER BY v.id DESC LIMIT 1)
        FROM jsonb_array_elements_text(p_new -> 'target_ids') AS w (target_id)
        ON CONFLICT DO NOTHING;
        IF v_status NOT IN ('Revoked', 'Archived') THEN
            SELECT coalesce(array_agg(DISTINCT f.agent_id), '{}') INTO v_agents
            FROM deployments_fan_out(ARRAY[p_id], v_now) f;
        END IF;
    END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES (p_actor, p_actor_type, 'certificate_updated', 'certificate', p_id,
            jsonb_build_object('fields', (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys(p_new) k)));
    RETURN QUERY SELECT 'updated', v_agents;
END $$;

DO $$
BEGIN
    REVOKE ALL ON FUNCTION row_counts_added(), row_counts_removed(), row_counts_emptied(), certificate_archive(text, text, text),
        certificate_deploy(text, text, text, text), certificate_merge(text, jsonb, text, text) FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_apiserver') THEN
        GRANT SELECT ON row_counts TO certctl_apiserver;
        GRANT EXECUTE ON FUNCTION certificate_archive(text, text, text), certificate_deploy(text, text, text, text),
            certificate_merge(text, jsonb, text, text) TO certctl_apiserver;
    END IF;
END $$;
