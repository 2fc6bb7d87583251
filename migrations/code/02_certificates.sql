-- A certificate: when its renewal falls due, its status, and what changes it.

-- --- when renewal falls due ---
-- notAfter - min(window, a part of the lifetime), or the policy's percent of the lifetime; then later by a share of up to a
-- tenth of that lead, taken from a hash of the id, so that certificates made together do not renew together.  One
-- expression, and STABLE as timestamptz arithmetic is: so it is inlined, which makes it twenty times cheaper in the
-- completion of a batch.
CREATE FUNCTION renew_after_of(p_id text, p_valid_from timestamptz, p_expires_at timestamptz,
    p_window_days int, p_percent int) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT p_expires_at - (1 - policy_lead_spread() * ((hashtext(p_id) & 65535) / 65536.0::float8)) * CASE
        WHEN p_valid_from IS NULL THEN make_interval(days => p_window_days)
        WHEN p_percent IS NOT NULL THEN (p_expires_at - p_valid_from) * ((100 - p_percent) / 100.0::float8)
        ELSE least(make_interval(days => p_window_days), (p_expires_at - p_valid_from) / policy_lead_part())
    END
$$;

-- How long one that failed is left, by its policy's interval and the life it has now (NULL: none yet).
CREATE FUNCTION retry_after(p_interval_seconds int, p_life interval) RETURNS interval LANGUAGE sql IMMUTABLE AS $$
    SELECT least(greatest(policy_retry_least(), make_interval(secs => p_interval_seconds)), p_life / policy_retry_part())
$$;

-- When a certificate begins to be Expiring: its policy's window, a part of its lifetime at most, before its end.
CREATE FUNCTION expiring_at_of(p_valid_from timestamptz, p_expires_at timestamptz, p_window_days int) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT p_expires_at - least(make_interval(days => p_window_days), (p_expires_at - p_valid_from) / policy_lead_part())
$$;

CREATE FUNCTION certificates_expiring_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT expiring_at_of(NEW.valid_from, NEW.expires_at, p.renewal_window_days) INTO NEW.expiring_at
    FROM renewal_policies p WHERE p.id = NEW.renewal_policy_id;
    RETURN NEW;
END $$;

CREATE FUNCTION certificates_renew_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT least(renew_after_of(NEW.id, NEW.valid_from, NEW.expires_at, p.renewal_window_days, p.renewal_percent), renewal_window_at(NEW.id))
        INTO NEW.renew_after FROM renewal_policies p WHERE p.id = NEW.renewal_policy_id;
    RETURN NEW;
END $$;

-- A CA may give certificates that are due when they come: then a minute lies between two renewals.  One that is merely
-- short of life keeps its own time.
CREATE FUNCTION certificates_renewal_floor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.renew_after := NEW.last_renewal_at + policy_renewal_floor();
    RETURN NEW;
END $$;

-- A profile makes short-lived certificates when it allows them and its lifetime is short.
CREATE FUNCTION profile_is_short_lived(p_allowed bool, p_max_ttl_seconds int) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT p_allowed AND p_max_ttl_seconds > 0 AND make_interval(secs => p_max_ttl_seconds) < policy_short_lived()
$$;

-- --- status ---
-- The status a certificate should have, from what is true of it.  Revoked and Archived are final.  One whose start of
-- validity is unknown is Expiring by its policy's window alone (infinite times can't be subtracted: such a row failed
-- whatever came to it).  All jobs of a certificate are read, for they are few: asked for the active ones, the planner may
-- walk an index of all active jobs for each certificate, where statistics say that it is empty.  What failed (p_failed, of
-- the same ids) is tried again, a first issuance too: in the same write, for a second one of a row has its keys checked.
CREATE FUNCTION certificates_refresh(p_ids text[], p_failed text[] DEFAULT NULL) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET enable_bitmapscan = off SET enable_seqscan = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE v_now timestamptz := engine_now(); v_n int;
BEGIN
    UPDATE managed_certificates c SET status = s.status, updated_at = v_now,
        renew_after = CASE WHEN s.has_failed THEN v_now + retry_after(s.retry_s, c.expires_at - c.valid_from) ELSE c.renew_after END FROM (
        SELECT m.id, coalesce(m.id = ANY (p_failed), false) AS has_failed, p.retry_interval_seconds AS retry_s, CASE
            WHEN k.is_active THEN 'RenewalInProgress'
            WHEN m.expires_at IS NULL THEN CASE WHEN k.has_failed THEN 'Failed' ELSE 'Pending' END
            WHEN m.expires_at <= v_now THEN 'Expired'
            WHEN expiring_at_of(m.valid_from, m.expires_at, p.renewal_window_days) <= v_now THEN 'Expiring'
            ELSE 'Active' END AS status
        FROM managed_certificates m JOIN renewal_policies p ON p.id = m.renewal_policy_id
        CROSS JOIN LATERAL (SELECT bool_or(job_is_active(j.status)) AS is_active, bool_or(j.status = 'Failed') AS has_failed
            FROM jobs j WHERE j.certificate_id = m.id AND job_issues(j.type)) k
        WHERE m.id = ANY (p_ids) AND m.status NOT IN ('Revoked', 'Archived')
    ) s WHERE c.id = s.id AND (c.status <> s.status OR s.has_failed) AND c.status NOT IN ('Revoked', 'Archived');
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

-- --- what was ordered ---
-- The names, the issuer or the profile changed: what was issued before is renewed by the next scan.
CREATE FUNCTION certificates_renewal_wanted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.expires_at IS NOT NULL THEN
        NEW.renewal_wanted := CASE WHEN NEW.issuer_id <> OLD.issuer_id THEN 'issuer_changed'
            WHEN NEW.certificate_profile_id IS DISTINCT FROM OLD.certificate_profile_id THEN 'profile_changed'
            ELSE 'names_changed' END;
        NEW.renew_after := engine_now();
    END IF;
    RETURN NEW;
END $$;

-- Jobs on their way begin anew (jobs_begin_anew): at once, or, where a worker runs one, when it comes back.  One whose
-- order may exist at a CA outside goes on, and is followed by another.
-- All jobs of the certificate are read: asked for the active ones, the planner walks all jobs for each certificate where
-- statistics say that there are none.
CREATE FUNCTION certificates_ordered_anew() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE v_ids text[];
BEGIN
    SELECT array_agg(o.id) FILTER (WHERE job_issues(o.type) AND job_is_active(o.status)) INTO v_ids
        FROM jobs o WHERE o.certificate_id = NEW.id;
    IF v_ids IS NULL THEN RETURN NULL; END IF;
    PERFORM 1 FROM jobs o WHERE o.id = ANY (v_ids) ORDER BY o.id FOR NO KEY UPDATE;
    UPDATE jobs j SET is_stale = true, status = j.status WHERE j.id = ANY (v_ids) AND job_is_active(j.status);
    RETURN NULL;
END $$;

-- A job whose certificate was changed is another order: its CSR goes, a serial that may have been signed is written off,
-- and what was approved is approved again.
CREATE FUNCTION jobs_begin_anew() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE v_now timestamptz := engine_now(); v_new record;
BEGIN
    IF NEW.serial_number IS NOT NULL AND NEW.ca_sha256 IS NOT NULL THEN
        INSERT INTO certificate_revocations (id, certificate_id, serial_number, reason, revoked_by, issuer_id, job_id)
            VALUES (id_new('rev'), NEW.certificate_id, NEW.serial_number, 'superseded', 'system', NEW.issuer_id, NEW.id)
            ON CONFLICT DO NOTHING;
    END IF;
    DELETE FROM certificate_requests r WHERE r.job_id = NEW.id;
    PERFORM approvals_expire(ARRAY[NEW.id], 'order_changed');
    SELECT c.issuer_id, c.certificate_profile_id AS profile_id, coalesce(p.requires_approval, false) AS is_approved INTO v_new
        FROM managed_certificates c LEFT JOIN certificate_profiles p ON p.id = c.certificate_profile_id
        WHERE c.id = NEW.certificate_id;
    NEW.issuer_id := v_new.issuer_id;
    NEW.status := CASE WHEN v_new.is_approved THEN 'AwaitingApproval' ELSE 'AwaitingCSR' END;
    IF v_new.is_approved THEN
        INSERT INTO issuance_approval_requests (id, certificate_id, job_id, profile_id, requested_by, created_at, updated_at)
            VALUES ('ar-' || gen_random_uuid(), NEW.certificate_id, NEW.id, v_new.profile_id, NEW.requested_by, v_now, v_now);
    END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES ('system', 'System', 'renewal_job_begun_anew', 'certificate', NEW.certificate_id, jsonb_strip_nulls(
            jsonb_build_object('job_id', NEW.id, 'status', NEW.status, 'serial_number', NEW.serial_number)));
    NEW.is_stale := false;
    NEW.run_after := v_now;
    RETURN jsonb_populate_record(NEW, '{"serial_number": null, "not_before": null, "not_after": null, "extensions": null,
        "ca_sha256": null, "lease_id": null, "leased_by": null, "attempt_until": null, "budget_over_at": null}');
END $$;

-- Whether a target that serves this serves another certificate than was deployed there; not known: no.
CREATE FUNCTION served_is_other(p_target text, p_fingerprint text) RETURNS bool LANGUAGE sql STABLE AS $$
    SELECT coalesce(bool_and(v.fingerprint_sha256 <> p_fingerprint), false)
    FROM certificate_target_mappings m JOIN certificate_versions v ON v.id = m.deployed_version_id WHERE m.target_id = p_target
$$;

-- Targets that serve another certificate than the one that was deployed to them, and is the one to be, for longer than an
-- agent takes to tell of a deployment.  Nothing is deployed any more for one that is revoked or archived.
CREATE VIEW served_other AS
SELECT m.certificate_id, m.target_id, greatest(s.since, m.deployed_at) AS since
FROM served_certificates s
JOIN certificate_target_mappings m ON m.target_id = s.target_id AND m.desired_version_id = m.deployed_version_id
JOIN deployment_targets t ON t.id = m.target_id AND t.retired_at IS NULL
JOIN managed_certificates c ON c.id = m.certificate_id AND c.status NOT IN ('Revoked', 'Archived')
WHERE s.is_other AND greatest(s.since, m.deployed_at) < engine_now() - policy_condition_served();

-- Whether its targets serve what they should: deployed, pending, failed (of some the last deployment did), other (some
-- serve another certificate); NULL: there is nothing to serve.
CREATE FUNCTION certificate_deployment(p_id text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN bool_or(m.desired_version_id IS DISTINCT FROM m.deployed_version_id AND m.deploy_failures > 0) THEN 'failed'
        WHEN bool_or(m.desired_version_id IS DISTINCT FROM m.deployed_version_id) THEN 'pending'
        WHEN EXISTS (SELECT 1 FROM served_other o WHERE o.certificate_id = p_id) THEN 'other'
        WHEN bool_or(m.desired_version_id IS NOT NULL) THEN 'deployed' END
    FROM certificate_target_mappings m WHERE m.certificate_id = p_id);
END $$;

-- --- the files of targets ---
-- A certificate of a directory of versions has the path that the directory is for.
CREATE FUNCTION target_paths(p_config jsonb) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
    SELECT DISTINCT regexp_replace(e.value, '/\.certctl-([^/]+)/current/fullchain\.pem$', '/\1') FROM jsonb_each_text(CASE WHEN jsonb_typeof(p_config) = 'object' THEN p_config END) e
    WHERE e.key IN ('cert_path', 'key_path', 'chain_path', 'pem_path') AND e.value <> ''
$$;

-- A target that was given to a certificate, or is another now, takes its files.
CREATE FUNCTION target_files_take() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_target text;
    v_certificate text; -- NULL: all that have the target
BEGIN
    IF TG_OP = 'INSERT' THEN
        v_target := NEW.target_id; v_certificate := NEW.certificate_id;
        PERFORM 1 FROM deployment_targets t WHERE t.id = v_target FOR SHARE; -- so that a change of it sees us, or we see it
    ELSE
        v_target := NEW.id;
        PERFORM 1 FROM certificate_target_mappings m JOIN managed_certificates c ON c.id = m.certificate_id
            WHERE m.target_id = v_target ORDER BY c.id FOR NO KEY UPDATE OF c;
        DELETE FROM target_files f USING certificate_target_mappings m
            WHERE m.target_id = v_target AND f.certificate_id = m.certificate_id AND f.target_id = v_target;
    END IF;
    INSERT INTO target_files (certificate_id, target_id, agent_id, path)
    SELECT c.id, t.id, t.agent_id, p.path FROM deployment_targets t JOIN certificate_target_mappings m ON m.target_id = t.id
    JOIN managed_certificates c ON c.id = m.certificate_id AND c.status NOT IN ('Revoked', 'Archived')
    CROSS JOIN LATERAL target_paths(t.config) AS p (path)
    WHERE t.id = v_target AND t.retired_at IS NULL AND m.certificate_id = coalesce(v_certificate, m.certificate_id);
    RETURN NULL;
END $$;

-- --- CSRs and chains ---
-- Forgets the CSRs of these jobs where neither the job nor its version is left.  Whoever removes the one waits here for who
-- is removing the other, and then sees it gone.
CREATE FUNCTION certificate_requests_forget(p_job_ids text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM 1 FROM certificate_requests r WHERE r.job_id = ANY (p_job_ids) ORDER BY r.job_id FOR UPDATE;
    DELETE FROM certificate_requests r WHERE r.job_id = ANY (p_job_ids)
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = r.job_id)
        AND NOT EXISTS (SELECT 1 FROM certificate_versions v WHERE v.id = 'certver' || substr(r.job_id, 4));
END $$;

-- The key of a chain, which stays until the caller's transaction ends.  Only the first certificate under a chain writes.
CREATE FUNCTION certificate_chain_keep(p_pem text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_sha256 bytea := sha256(convert_to(p_pem, 'UTF8')); v_id int;
BEGIN
    SELECT c.id INTO v_id FROM certificate_chains c WHERE c.sha256 = v_sha256 FOR KEY SHARE;
    IF NOT FOUND THEN
        INSERT INTO certificate_chains AS c (sha256, pem) VALUES (v_sha256, p_pem)
        ON CONFLICT (sha256) DO UPDATE SET created_at = c.created_at RETURNING c.id INTO v_id;
    END IF;
    RETURN v_id;
END $$;

-- Forgets those of these chains that no version names.  One that is just being used stays.
CREATE FUNCTION certificate_chains_forget(p_ids int[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_ids int[];
BEGIN
    SELECT array_agg(l.id) INTO v_ids FROM (SELECT c.id FROM certificate_chains c
        WHERE c.id = ANY (p_ids) AND NOT EXISTS (SELECT 1 FROM certificate_versions v WHERE v.chain_id = c.id)
        FOR UPDATE SKIP LOCKED) l;
    -- Looked at again, now that nobody can begin to use them.
    DELETE FROM certificate_chains c
    WHERE c.id = ANY (v_ids) AND NOT EXISTS (SELECT 1 FROM certificate_versions v WHERE v.chain_id = c.id);
END $$;

-- --- revoking ---
-- Locks those of these certificates that nobody holds, nor a job of, with their active jobs: the ones that it could have.
CREATE FUNCTION certificates_take_free(p_ids text[]) RETURNS text[] LANGUAGE plpgsql SECURITY DEFINER SET enable_bitmapscan = off AS $$
DECLARE v_ids text[]; v_jobs text[];
BEGIN
    SELECT array_agg(l.id) INTO v_ids FROM (SELECT c.id FROM unnest(p_ids) AS u (id)
        JOIN managed_certificates c ON c.id = u.id FOR NO KEY UPDATE OF c SKIP LOCKED) l;
    SELECT array_agg(l.id) INTO v_jobs FROM (SELECT j.id FROM unnest(v_ids) AS u (id) JOIN jobs j ON j.certificate_id = u.id
        WHERE job_is_active(j.status) FOR NO KEY UPDATE OF j SKIP LOCKED) l;
    RETURN (SELECT array_agg(u.id) FROM unnest(v_ids) AS u (id) WHERE u.id NOT IN (SELECT j.certificate_id
        FROM unnest(v_ids) AS w (id) JOIN jobs j ON j.certificate_id = w.id
        WHERE job_is_active(j.status) AND j.id NOT IN (SELECT m.id FROM unnest(v_jobs) AS m (id))));
END $$;

-- Locks these certificates and their active jobs, for a call by a person about many: held are those that somebody else
-- holds longer than a moment, or a job of.
CREATE FUNCTION certificates_take(p_ids text[], OUT ids text[], OUT held text[]) LANGUAGE plpgsql SECURITY DEFINER SET enable_bitmapscan = off SET lock_timeout = '1s' AS $$
BEGIN
    SELECT array_agg(l.id) INTO ids FROM (SELECT c.id FROM unnest(p_ids) AS u (id)
        JOIN managed_certificates c ON c.id = u.id ORDER BY c.id FOR NO KEY UPDATE OF c) l;
    PERFORM 1 FROM unnest(ids) AS u (id) JOIN jobs j ON j.certificate_id = u.id
        WHERE job_is_active(j.status) ORDER BY j.id FOR NO KEY UPDATE OF j;
-- A bulk renewal asks for these while it has others.
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    ids := certificates_take_free(p_ids);
    SELECT array_agg(u.id) INTO held FROM unnest(p_ids) AS u (id) WHERE u.id NOT IN (SELECT m.id FROM unnest(ids) AS m (id));
END $$;

-- What such a certificate's targets have is what they are to have from now on.
CREATE FUNCTION certificates_deploy_no_more(p_ids text[]) RETURNS void LANGUAGE sql AS $$
    UPDATE certificate_target_mappings m SET desired_version_id = m.deployed_version_id FROM unnest(p_ids) AS u (id)
        WHERE m.certificate_id = u.id AND m.desired_version_id IS DISTINCT FROM m.deployed_version_id
            -- What an agent is installing will be what the target has.
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.status = 'Running'
                AND j.dedupe_key = 'deploy:' || m.certificate_id || ':' || m.target_id)
$$;

-- Revokes these certificates: status, every unexpired version's serial, jobs that wait are cancelled, those that a worker
-- runs or that have an order are asked to stop (what one still completes is stored and its serial revoked by issue_complete), and no target wants
-- a version any more that it neither has nor is getting.  Outcomes: revoked, already_revoked, archived, held (a job, or an
-- issuer that a revocation would refer to, too), no_version (none yet, and no job that could make one).  Unknown ids give
-- no row.  p_why is what their jobs end with.  With p_version no serial but that version's is revoked.  Every statement joins
-- the ids; active jobs are walked at most once, also where the statistics say that there are hardly any.
CREATE FUNCTION certificates_revoke(p_ids text[], p_reason text, p_actor text, p_actor_type text, p_why text, p_version text DEFAULT NULL)
RETURNS TABLE (certificate_id text, outcome text) LANGUAGE plpgsql SECURITY DEFINER SET enable_bitmapscan = off SET enable_seqscan = off AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_asked text[] := ARRAY(SELECT DISTINCT u.id FROM unnest(p_ids) AS u (id));
    v_ids text[]; v_held text[]; v_jobs text[]; v_issuers text[]; -- that nobody holds
BEGIN
    SELECT t.ids, t.held INTO v_ids, v_held FROM certificates_take(v_asked) t;
    v_issuers := ARRAY(SELECT i.id FROM issuers i WHERE i.id IN (SELECT v.issuer_id FROM unnest(v_ids) AS u (id)
        JOIN certificate_versions v ON v.certificate_id = u.id) FOR KEY SHARE SKIP LOCKED);
    SELECT array_agg(u.id) FILTER (WHERE h.is_held IS NOT TRUE), v_held || array_agg(u.id) FILTER (WHERE h.is_held) INTO v_ids, v_held
    FROM unnest(v_ids) AS u (id) JOIN managed_certificates c ON c.id = u.id
    CROSS JOIN LATERAL (SELECT bool_or(v.not_after > v_now AND v.issuer_id <> ALL (v_issuers)) AS is_held
        FROM certificate_versions v WHERE v.certificate_id = u.id) h
    WHERE c.status NOT IN ('Revoked', 'Archived') AND (h.is_held IS NOT NULL OR u.id IN (SELECT j.certificate_id
        FROM unnest(v_ids) AS w (id) JOIN jobs j ON j.certificate_id = w.id
        WHERE job_issues(j.type) AND job_is_active(j.status)));

    UPDATE managed_certificates c SET status = 'Revoked', revoked_at = v_now, revocation_reason = p_reason, updated_at = v_now
        FROM unnest(v_ids) AS u (id) WHERE c.id = u.id;
    DELETE FROM target_files f USING unnest(v_ids) AS u (id) WHERE f.certificate_id = u.id;
    WITH listed AS (
        INSERT INTO certificate_revocations AS r (id, certificate_id, serial_number, reason, revoked_by, revoked_at, issuer_id)
        SELECT id_new('rev'), v.certificate_id, v.serial_number, p_reason, p_actor, v_now, v.issuer_id
        FROM unnest(v_ids) AS u (id) JOIN certificate_versions v ON v.certificate_id = u.id
        WHERE v.not_after > v_now AND (p_version IS NULL OR v.id = p_version) ON CONFLICT DO NOTHING
        RETURNING r.certificate_id, r.serial_number
    )
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT p_actor, p_actor_type, 'certificate_revoked', 'certificate', r.id,
        jsonb_build_object('reason', p_reason, 'serial_numbers', coalesce(l.serials, '[]'))
    FROM unnest(v_ids) AS r (id)
    LEFT JOIN (SELECT n.certificate_id, jsonb_agg(n.serial_number) AS serials FROM listed n GROUP BY 1) l ON l.certificate_id = r.id
    ORDER BY r.id;

    IF EXISTS (SELECT 1 FROM issuers i WHERE i.id = ANY (v_issuers) AND i.type <> 'GenericCA') THEN
        PERFORM revocations_tell(v_ids);
    END IF;

    SELECT array_agg(j.id ORDER BY j.id) INTO v_jobs FROM unnest(v_ids) AS u (id) JOIN jobs j ON j.certificate_id = u.id
        WHERE j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval') AND NOT job_has_order(j.status, j.checkpoint);
    PERFORM jobs_finish(v_jobs, 'Cancelled', p_why, p_actor, p_actor_type);
    SELECT array_agg(j.id) INTO v_jobs FROM unnest(v_ids) AS u (id) JOIN jobs j ON j.certificate_id = u.id
        WHERE j.status IN ('Pending', 'Running');
    PERFORM jobs_stop(v_jobs);
    PERFORM certificates_deploy_no_more(v_ids);

    RETURN QUERY SELECT c.id, CASE WHEN r.id IS NOT NULL THEN 'revoked' WHEN c.status = 'Revoked' THEN 'already_revoked'
            WHEN c.status = 'Archived' THEN 'archived' WHEN h.id IS NOT NULL THEN 'held' ELSE 'no_version' END
        FROM unnest(v_asked) AS u (id) JOIN managed_certificates c ON c.id = u.id
        LEFT JOIN unnest(v_ids) AS r (id) ON r.id = c.id LEFT JOIN unnest(v_held) AS h (id) ON h.id = c.id ORDER BY c.id;
END $$;

-- --- other changes ---
-- DELETE on the wire: the row stays as Archived.  Jobs that wait are cancelled; one that a worker runs or that has an order is
-- asked to stop; a
-- deployment that an agent installs runs to its end.  p_why is what the cancelled end with.  Outcomes: archived, repeated,
-- unknown.
CREATE FUNCTION certificate_archive(p_id text, p_actor text, p_actor_type text, p_why text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_status text; v_ids text[]; v_stop text[];
BEGIN
    SELECT c.status INTO v_status FROM managed_certificates c WHERE c.id = p_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'unknown';
    ELSIF v_status = 'Archived' THEN
        RETURN 'repeated';
    END IF;
    UPDATE managed_certificates c SET status = 'Archived', updated_at = engine_now() WHERE c.id = p_id;
    DELETE FROM target_files f WHERE f.certificate_id = p_id;
    SELECT array_agg(l.id) FILTER (WHERE NOT l.is_under_way), array_agg(l.id) FILTER (WHERE l.is_under_way) INTO v_ids, v_stop
    FROM (SELECT j.id, j.status = 'Running' OR job_has_order(j.status, j.checkpoint) AS is_under_way FROM jobs j
        WHERE j.certificate_id = p_id AND job_is_active(j.status) ORDER BY j.id FOR NO KEY UPDATE) l;
    PERFORM jobs_finish(v_ids, 'Cancelled', p_why, p_actor, p_actor_type);
    PERFORM jobs_stop(v_stop);
    PERFORM certificates_deploy_no_more(ARRAY[p_id]);
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES (p_actor, p_actor_type, 'certificate_archived', 'certificate', p_id,
            jsonb_build_object('cancelled_jobs', coalesce(cardinality(v_ids), 0)));
    RETURN 'archived';
END $$;

-- Deployment jobs on request, for one mapped target or for all, also where the target serves the wanted version already.
-- Outcomes, one row a target: enqueued, under_way; or a single row: unknown, archived, revoked, not_mapped, no_version,
-- target_off.
CREATE FUNCTION certificate_deploy(p_id text, p_target text, p_actor text, p_actor_type text)
RETURNS TABLE (outcome text, job_id text, agent_id text) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_status text; v_why text; v_targets text[];
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
    SELECT CASE WHEN count(*) = 0 THEN 'not_mapped' WHEN count(*) FILTER (WHERE s.is_on) = 0 THEN 'target_off'
            WHEN count(*) FILTER (WHERE s.is_on AND s.desired_version_id IS NOT NULL) = 0 THEN 'no_version' END,
            array_agg(s.target_id ORDER BY s.target_id) FILTER (WHERE s.is_on AND s.desired_version_id IS NOT NULL)
        INTO v_why, v_targets
    FROM (SELECT m.target_id, m.desired_version_id, t.enabled AND t.retired_at IS NULL AND a.retired_at IS NULL AS is_on
        FROM certificate_target_mappings m JOIN deployment_targets t ON t.id = m.target_id JOIN agents a ON a.id = t.agent_id
        WHERE m.certificate_id = p_id AND (p_target IS NULL OR m.target_id = p_target)) s;
    IF v_why IS NOT NULL THEN
        RETURN QUERY SELECT v_why, NULL::text, NULL::text;
        RETURN;
    END IF;
    UPDATE jobs j SET version_id = m.desired_version_id, run_after = v_now FROM certificate_target_mappings m
    WHERE m.certificate_id = p_id AND (p_target IS NULL OR m.target_id = p_target)
        AND j.dedupe_key = 'deploy:' || m.certificate_id || ':' || m.target_id AND j.status = 'Pending';
    RETURN QUERY
    WITH made AS (
        INSERT INTO jobs (id, type, certificate_id, target_id, agent_id, status, max_attempts, scheduled_at, created_at,
            run_after, dedupe_key, version_id, requested_by)
        SELECT id_new('job'), 'Deployment', p_id, t.id, t.agent_id, 'Pending', 1, v_now, v_now, v_now,
            'deploy:' || p_id || ':' || t.id, m.desired_version_id, p_actor
        FROM unnest(v_targets) AS u (id) JOIN deployment_targets t ON t.id = u.id
        JOIN certificate_target_mappings m ON m.certificate_id = p_id AND m.target_id = t.id ORDER BY t.id
        ON CONFLICT (dedupe_key) WHERE job_is_active(status) DO NOTHING RETURNING id, target_id
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_actor, p_actor_type, 'deployment_triggered', 'certificate', p_id,
            jsonb_build_object('job_ids', coalesce((SELECT jsonb_agg(made.id) FROM made), '[]'))
    )
    SELECT CASE WHEN made.id IS NULL THEN 'under_way' ELSE 'enqueued' END,
        coalesce(made.id, (SELECT j.id FROM jobs j WHERE j.dedupe_key = 'deploy:' || p_id || ':' || t.id
            AND j.status IN ('Pending', 'Running'))), t.agent_id::text
    FROM unnest(v_targets) AS u (id) JOIN deployment_targets t ON t.id = u.id LEFT JOIN made ON made.target_id = t.id
    ORDER BY t.id;
END $$;

-- Merges what p_new names into a certificate.  A new set of targets cancels the waiting deployments of those that left;
-- those that came get the newest version that their agent holds the key of, if there is one.  p_why_off is what the
-- cancelled end with.  A status is never taken from a client: it follows from what has happened.  Outcomes: updated,
-- unknown, final (its status is Revoked or Archived for good), act (the status is what another call brings about).
CREATE FUNCTION certificate_merge(p_id text, p_new jsonb, p_actor text, p_actor_type text, p_why_off text,
    OUT outcome text, OUT agents text[]) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_status text; v_ids text[];
BEGIN
    PERFORM 1 FROM jsonb_array_elements_text(p_new -> 'target_ids') AS u (id) JOIN deployment_targets t ON t.id = u.id
        ORDER BY t.id FOR SHARE OF t;
    SELECT c.status INTO v_status FROM managed_certificates c WHERE c.id = p_id FOR NO KEY UPDATE;
    agents := '{}';
    outcome := CASE WHEN NOT FOUND THEN 'unknown'
        WHEN v_status IN ('Revoked', 'Archived') AND p_new ->> 'status' <> v_status THEN 'final'
        WHEN p_new ->> 'status' IN ('Revoked', 'Archived', 'RenewalInProgress') AND p_new ->> 'status' <> v_status THEN 'act'
        ELSE 'updated' END;
    IF outcome <> 'updated' THEN RETURN; END IF;
    UPDATE managed_certificates c SET (name, common_name, sans, environment, owner_id, team_id, issuer_id, renewal_policy_id,
        certificate_profile_id, tags, updated_at, ordered_by) = (SELECT n.name, n.common_name, n.sans, n.environment, n.owner_id,
            n.team_id, n.issuer_id, n.renewal_policy_id, n.certificate_profile_id, n.tags, v_now,
            CASE WHEN (n.common_name, n.sans, n.issuer_id, n.certificate_profile_id)
                    IS DISTINCT FROM (c.common_name, c.sans, c.issuer_id, c.certificate_profile_id)
                OR EXISTS (SELECT 1 FROM jsonb_array_elements_text(p_new -> 'target_ids') t (id)
                    WHERE t.id NOT IN (SELECT m.target_id FROM certificate_target_mappings m WHERE m.certificate_id = p_id))
                THEN p_actor ELSE c.ordered_by END
        FROM jsonb_populate_record(c, jsonb_strip_nulls(p_new)) n) WHERE c.id = p_id;
    IF p_new ? 'target_ids' THEN
        SELECT array_agg(j.id ORDER BY j.id) INTO v_ids FROM (SELECT o.id FROM jobs o
            WHERE o.certificate_id = p_id AND o.type = 'Deployment' AND o.status = 'Pending'
                AND NOT p_new -> 'target_ids' ? o.target_id ORDER BY o.id FOR NO KEY UPDATE) j;
        PERFORM jobs_finish(v_ids, 'Cancelled', p_why_off, p_actor, p_actor_type);
        DELETE FROM certificate_target_mappings m WHERE m.certificate_id = p_id AND NOT p_new -> 'target_ids' ? m.target_id;
        INSERT INTO certificate_target_mappings (certificate_id, target_id, desired_version_id)
        SELECT p_id, w.target_id, (SELECT v.id FROM certificate_versions v JOIN deployment_targets t ON t.id = w.target_id
            WHERE v.certificate_id = p_id AND v.key_holder = t.agent_id ORDER BY v.id DESC LIMIT 1)
        FROM jsonb_array_elements_text(p_new -> 'target_ids') AS w (target_id) ON CONFLICT DO NOTHING;
        -- A job that waited for want of a target is now its agent's; who holds the key is part of what was approved.
        UPDATE jobs j SET agent_id = h.agent_id, dedupe_key = 'issue:' || p_id || ':' || h.agent_id, run_after = v_now, status = j.status,
            is_stale = j.is_stale OR j.status = 'AwaitingCSR' AND EXISTS (SELECT 1 FROM managed_certificates c
                JOIN certificate_profiles p ON p.id = c.certificate_profile_id WHERE c.id = p_id AND p.requires_approval)
        FROM (SELECT min(t.agent_id) AS agent_id FROM certificate_target_mappings m
            JOIN deployment_targets t ON t.id = m.target_id AND t.retired_at IS NULL AND t.enabled
            WHERE m.certificate_id = p_id) h
        WHERE j.certificate_id = p_id AND j.dedupe_key = 'issue:' || p_id || ':'
            AND j.status IN ('AwaitingCSR', 'AwaitingApproval') AND h.agent_id IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM certificate_requests r WHERE r.job_id = j.id) -- whose key somebody else has
            AND NOT EXISTS (SELECT 1 FROM jobs o WHERE o.dedupe_key = 'issue:' || p_id || ':' || h.agent_id
                AND job_is_active(o.status));
        IF v_status NOT IN ('Revoked', 'Archived') THEN
            agents := ARRAY(SELECT DISTINCT f.agent_id FROM deployments_fan_out(ARRAY[p_id], v_now) f);
        END IF;
    END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES (p_actor, p_actor_type, 'certificate_updated', 'certificate', p_id,
            jsonb_build_object('fields', (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys(p_new) k)));
    -- Whoever is to make a CSR, perhaps for other names now.
    agents := agents || ARRAY(SELECT DISTINCT j.agent_id FROM jobs j
        WHERE j.certificate_id = p_id AND j.status = 'AwaitingCSR' AND j.agent_id IS NOT NULL);
END $$;
