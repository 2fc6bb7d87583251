-- A database that is older than what was issued: a restore from a backup.  The workers' issuance journals lie outside of it
-- and tell.  Until certctl recover has settled what they tell nobody leads (leadership_hold).

CREATE FUNCTION journal_issuer(p_file text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT i.id FROM issuers i WHERE starts_with(p_file, i.id || '.') ORDER BY length(i.id) DESC LIMIT 1),
        split_part(p_file, '.', 1))
$$;

-- Lines of a journal, called by each worker before it takes a lease; answers how many of them the database does not know.
-- A line's job and serial are committed before it is written, so one that is unknown was issued after the database was
-- copied, unless retention has removed its job: so only what is fresh counts, or whose job has a number that the database
-- has not given yet.
CREATE FUNCTION journal_check(p_host text, p_journal text, p_at bigint[], p_serials text[], p_jobs text[],
    p_certificates text[], p_leaves jsonb[]) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE
    v_issuer text := journal_issuer(p_journal);
    v_last bigint := (SELECT s.last_value FROM id_seq s); v_n bigint;
BEGIN
    WITH ahead AS (
        SELECT DISTINCT ON (l.serial) l.serial, l.job, l.certificate, to_timestamp(l.at / 1000.0) AS at, nullif(l.leaf, 'null') AS leaf
        FROM unnest(p_at, p_serials, p_jobs, p_certificates, p_leaves) AS l (at, serial, job, certificate, leaf)
        WHERE (to_timestamp(l.at / 1000.0) > engine_now() - policy_journal_fresh() OR substring(l.job FROM '^job-\d+-(\d{1,18})$')::bigint > v_last)
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = l.job AND j.serial_number = l.serial)
            AND NOT EXISTS (SELECT 1 FROM certificate_versions v WHERE v.issuer_id = v_issuer AND v.serial_number = l.serial)
            AND NOT EXISTS (SELECT 1 FROM certificate_revocations r WHERE r.issuer_id = v_issuer AND r.serial_number = l.serial)
            AND NOT EXISTS (SELECT 1 FROM journal_ahead a
                WHERE a.issuer_id = v_issuer AND a.serial_number = l.serial AND a.settled_at IS NOT NULL)
        ORDER BY l.serial, l.leaf = 'null', l.at
    ), kept AS (
        INSERT INTO journal_ahead AS o (issuer_id, serial_number, job_id, certificate_id, journalled_at, host, leaf)
        SELECT v_issuer, a.serial, a.job, a.certificate, a.at, p_host, a.leaf FROM ahead a
        ON CONFLICT (issuer_id, serial_number) DO UPDATE SET leaf = excluded.leaf, job_id = excluded.job_id,
            certificate_id = excluded.certificate_id, journalled_at = excluded.journalled_at WHERE o.leaf IS NULL AND o.settled_at IS NULL
    )
    SELECT count(*) INTO v_n FROM ahead;
    RETURN v_n;
END $$;

-- The last revocation list that was made on a host, likewise.  Numbers are committed before a list is made, so one with a
-- higher number than the database gave is from after it was copied.
CREATE FUNCTION crl_check(p_host text, p_file text, p_number bigint, p_serials text[], p_at bigint[], p_reasons text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_issuer text := journal_issuer(p_file); v_n bigint;
BEGIN
    IF p_number <= (SELECT n.last_number FROM crl_numbers n WHERE n.issuer_id = v_issuer) THEN RETURN 0; END IF;
    INSERT INTO journal_ahead AS o (issuer_id, serial_number, job_id, journalled_at, host, revoked_at, reason)
        SELECT v_issuer, l.serial, '', to_timestamp(l.at), p_host, to_timestamp(l.at), l.reason
        FROM unnest(p_serials, p_at, p_reasons) AS l (serial, at, reason)
        WHERE l.serial NOT IN (SELECT lpad(lower(r.serial_number), 40, '0') FROM certificate_revocations r WHERE r.issuer_id = v_issuer)
        ON CONFLICT (issuer_id, serial_number) DO UPDATE SET revoked_at = excluded.revoked_at, reason = excluded.reason
            WHERE o.settled_at IS NULL;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    INSERT INTO crl_numbers AS n (issuer_id, last_number) SELECT i.id, p_number FROM issuers i WHERE i.id = v_issuer
        ON CONFLICT (issuer_id) DO UPDATE SET last_number = greatest(n.last_number, excluded.last_number);
    RETURN v_n;
END $$;

CREATE FUNCTION journal_is_ahead() RETURNS bool LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM journal_ahead a WHERE a.settled_at IS NULL);
END $$;

-- What certctl recover does with each: reenter (the version goes back to its certificate), recreate (and the certificate's
-- row too), revoke (why: for want of what; its certificate, where it is known, is renewed), unknown_issuer (nothing can be
-- done here, as issuer and CA key are from after the backup too).
CREATE VIEW recovery AS
SELECT a.issuer_id, a.serial_number, a.job_id, a.journalled_at, a.host, a.leaf, a.revoked_at, a.reason, coalesce(c.id, '') AS certificate_id,
    coalesce(v.certificate_id, a.certificate_id) AS journalled_certificate, w.why, n.name, n.common_name, n.sans, n.environment,
    n.owner_id, n.team_id, n.renewal_policy_id, (SELECT p.id FROM certificate_profiles p WHERE p.id = n.certificate_profile_id) AS profile_id,
    CASE WHEN w.why = 'unknown_issuer' THEN w.why WHEN w.why <> '' THEN 'revoke' WHEN c.id IS NULL THEN 'recreate' ELSE 'reenter' END AS outcome
FROM journal_ahead a
LEFT JOIN certificate_versions v ON v.issuer_id = a.issuer_id AND v.serial_number = a.serial_number
LEFT JOIN managed_certificates c ON c.id = coalesce(v.certificate_id, a.certificate_id)
LEFT JOIN ca_certificates ca ON ca.issuer_id = a.issuer_id AND ca.fingerprint_sha256 = a.leaf ->> 'ca' -- of several, the one that signed
CROSS JOIN jsonb_populate_record(NULL::managed_certificates, a.leaf -> 'row') n
CROSS JOIN LATERAL (SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM issuers i WHERE i.id = a.issuer_id) THEN 'unknown_issuer'
    WHEN a.leaf IS NULL THEN CASE WHEN a.revoked_at IS NULL THEN 'no_leaf' ELSE 'was_revoked' END
    WHEN ca.fingerprint_sha256 IS NULL THEN 'other_ca'
    WHEN EXISTS (SELECT 1 FROM certificate_versions v WHERE v.id = 'certver' || substr(a.job_id, 4))
        OR EXISTS (SELECT 1 FROM journal_ahead o WHERE o.job_id = a.job_id AND o.settled_at IS NULL
            AND (o.journalled_at, o.serial_number) > (a.journalled_at, a.serial_number)) THEN 'superseded'
    WHEN c.status IN ('Revoked', 'Archived') THEN 'ended'
    WHEN c.id IS NULL AND NOT (EXISTS (SELECT 1 FROM owners o WHERE o.id = n.owner_id) AND EXISTS (SELECT 1 FROM teams t WHERE t.id = n.team_id)
        AND EXISTS (SELECT 1 FROM renewal_policies p WHERE p.id = n.renewal_policy_id)) THEN 'no_row'
    WHEN c.id IS NULL AND EXISTS (SELECT 1 FROM managed_certificates o WHERE o.name = n.name) THEN 'name_taken'
    ELSE '' END AS why) w
WHERE a.settled_at IS NULL;

-- Does it, all in one transaction, and answers with what the audit trail says of it; NULL: there was nothing.  p_why: what
-- a job ends with whose certificate is put back or revoked again.  The trail goes on in a new epoch.
CREATE FUNCTION recover(p_actor text, p_actor_type text, p_why text) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_now timestamptz := engine_now(); v_done jsonb; v_renewed bigint; v_taken text[] := '{}';
    v_each record; v_certificates text[]; v_jobs text[];
BEGIN
    -- One at a time.  Workers may bring more while we work: those stay for the next.
    PERFORM pg_advisory_xact_lock(hashtextextended('certctl.recover', 0));
    PERFORM 1 FROM managed_certificates c WHERE c.id IN (SELECT r.certificate_id FROM recovery r) ORDER BY c.id FOR NO KEY UPDATE;
    CREATE TEMP TABLE recovering ON COMMIT DROP AS SELECT r.*, 'certver' || substr(r.job_id, 4) AS version_id, r.leaf ->> 'agent' AS key_holder,
            to_timestamp((r.leaf ->> 'from')::bigint) AS not_before, to_timestamp((r.leaf ->> 'to')::bigint) AS not_after
        FROM recovery r;
    SELECT jsonb_build_object('serials', count(*), 'reentered', count(*) FILTER (WHERE r.outcome = 'reenter'),
            'recreated', count(*) FILTER (WHERE r.outcome = 'recreate'), 'revoked', count(*) FILTER (WHERE r.outcome = 'revoke'),
            'unknown_issuer', count(*) FILTER (WHERE r.outcome = 'unknown_issuer'), 'gap_from', min(r.journalled_at), 'gap_to', max(r.journalled_at),
            'unknown_agents', ARRAY(SELECT DISTINCT o.key_holder FROM recovering o
                WHERE o.key_holder <> '' AND NOT EXISTS (SELECT 1 FROM agents g WHERE g.id = o.key_holder)),
            'unknown_targets', ARRAY(SELECT t.id FROM recovering o CROSS JOIN jsonb_array_elements_text(o.leaf -> 'row' -> 'targets') AS t (id)
                EXCEPT SELECT t.id FROM deployment_targets t),
            'outside_issuers', ARRAY(SELECT i.id FROM issuers i WHERE i.type <> 'GenericCA')),
            array_agg(DISTINCT r.journalled_certificate) FILTER (WHERE r.outcome IN ('reenter', 'recreate'))
        INTO v_done, v_certificates FROM recovering r;
    IF v_done -> 'serials' = '0' THEN
        DROP TABLE recovering;
        RETURN NULL;
    END IF;

    -- A job of before the backup that made its certificate after it, and its serial of before.
    SELECT array_agg(j.id) INTO v_jobs FROM jobs j JOIN recovering r ON r.job_id = j.id
        WHERE r.outcome = 'reenter' AND job_is_active(j.status);
    PERFORM jobs_lock(v_jobs);
    -- No event is under way that would go into an epoch of before.
    LOCK TABLE audit_events IN SHARE ROW EXCLUSIVE MODE;
    SELECT v_done || jsonb_build_object('copy_block', b.n, 'copy_hash', encode(b.hash, 'hex'), 'copy_seq', e.seq, 'copy_at', e.timestamp)
        INTO v_done FROM (SELECT 1) one LEFT JOIN LATERAL (SELECT * FROM audit_blocks o ORDER BY o.n DESC LIMIT 1) b ON true
        LEFT JOIN LATERAL (SELECT * FROM audit_events o ORDER BY o.epoch DESC, o.xid DESC, o.seq DESC LIMIT 1) e ON true;
    INSERT INTO audit_epochs (n, system_identifier) SELECT max(e.n) + 1, (SELECT c.system_identifier FROM pg_control_system() c) FROM audit_epochs e;
    v_done := v_done || jsonb_build_object('epoch', audit_epoch_look());
    PERFORM jobs_finish(v_jobs, 'Cancelled', p_why, p_actor, p_actor_type);
    INSERT INTO managed_certificates (id, name, common_name, sans, environment, owner_id, team_id, issuer_id, renewal_policy_id,
            certificate_profile_id)
        SELECT DISTINCT ON (r.journalled_certificate) r.journalled_certificate, r.name, r.common_name, r.sans, r.environment, r.owner_id,
            r.team_id, r.issuer_id, r.renewal_policy_id, r.profile_id
        FROM recovering r WHERE r.outcome = 'recreate' ORDER BY r.journalled_certificate, r.version_id DESC;
    INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain,
            created_at, key_algorithm, key_size, issuer_id, key_holder, job_id, chain_id)
        SELECT r.version_id, r.journalled_certificate, r.serial_number, r.not_before, r.not_after, r.leaf ->> 'fingerprint',
            r.leaf ->> 'pem', r.journalled_at, r.leaf ->> 'algorithm', (r.leaf ->> 'size')::int, r.issuer_id, r.key_holder, r.job_id,
            certificate_chain_keep(ca.chain_pem)
        FROM recovering r JOIN ca_certificates ca ON ca.issuer_id = r.issuer_id AND ca.fingerprint_sha256 = r.leaf ->> 'ca' WHERE r.outcome IN ('reenter', 'recreate');
    -- What was ordered last is what the newest certificate says; first, as a changed order asks for a renewal.
    CREATE TEMP TABLE recovered ON COMMIT DROP AS SELECT DISTINCT ON (r.journalled_certificate) r.*
        FROM recovering r WHERE r.outcome IN ('reenter', 'recreate') ORDER BY r.journalled_certificate, r.version_id DESC;
    UPDATE managed_certificates c SET common_name = r.common_name, sans = r.sans, issuer_id = r.issuer_id,
            certificate_profile_id = coalesce(r.profile_id, c.certificate_profile_id)
        FROM recovered r WHERE c.id = r.journalled_certificate;
    UPDATE managed_certificates c SET expires_at = r.not_after, valid_from = r.not_before, last_renewal_at = r.journalled_at, updated_at = v_now,
            renewal_wanted = NULL, renew_after = renew_after_of(c.id, r.not_before, r.not_after, p.renewal_window_days, p.renewal_percent)
        FROM recovered r, renewal_policies p WHERE c.id = r.journalled_certificate AND p.id = c.renewal_policy_id;
    FOR v_each IN SELECT o.journalled_certificate AS certificate, t.id AS target
        FROM recovered o JOIN deployment_targets t ON o.leaf -> 'row' -> 'targets' ? t.id WHERE t.retired_at IS NULL ORDER BY 1, 2
    LOOP
        BEGIN
            INSERT INTO certificate_target_mappings (certificate_id, target_id) VALUES (v_each.certificate, v_each.target) ON CONFLICT DO NOTHING;
        EXCEPTION WHEN exclusion_violation THEN -- the copy has its files at another certificate
            v_taken := v_taken || (v_each.certificate || ' ' || v_each.target);
        END;
    END LOOP;
    UPDATE certificate_target_mappings m SET desired_version_id = r.version_id, deploy_failures = 0, deploy_after = '-infinity'
        FROM (SELECT DISTINCT ON (o.journalled_certificate, o.key_holder) o.* FROM recovering o WHERE o.outcome IN ('reenter', 'recreate')
            ORDER BY o.journalled_certificate, o.key_holder, o.version_id DESC) r, deployment_targets t
        WHERE m.certificate_id = r.journalled_certificate AND t.id = m.target_id AND t.agent_id = r.key_holder;
    PERFORM certificates_refresh(v_certificates);
    PERFORM deployments_fan_out(v_certificates, v_now);

    UPDATE managed_certificates c SET renew_after = v_now
        WHERE c.id IN (SELECT r.certificate_id FROM recovering r WHERE r.outcome = 'revoke' AND r.why NOT IN ('superseded', 'was_revoked'))
            AND certificate_renews(c.status) AND c.id <> ALL (coalesce(v_certificates, '{}'));
    GET DIAGNOSTICS v_renewed = ROW_COUNT;
    v_done := v_done || jsonb_build_object('renewed', v_renewed, 'taken_targets', v_taken);
    INSERT INTO certificate_revocations (id, certificate_id, serial_number, reason, revoked_by, issuer_id, job_id, revoked_at)
        SELECT id_new('rev'), nullif(r.certificate_id, ''), r.serial_number, coalesce(r.reason, 'superseded'), p_actor, r.issuer_id,
            nullif(r.job_id, ''), coalesce(r.revoked_at, v_now)
        FROM (SELECT coalesce(c.id, '') AS certificate_id, o.serial_number, o.issuer_id, o.job_id, o.reason, o.revoked_at
            FROM recovering o LEFT JOIN managed_certificates c ON c.id = o.journalled_certificate
            WHERE o.outcome = 'revoke' OR (o.revoked_at IS NOT NULL AND o.outcome <> 'unknown_issuer')
            UNION SELECT j.certificate_id, j.serial_number, j.issuer_id, j.id, NULL, NULL FROM jobs j
            WHERE j.id = ANY (v_jobs) AND j.serial_number IS NOT NULL) r ORDER BY r.issuer_id, r.serial_number
        ON CONFLICT DO NOTHING;
    -- One whose newest version a published list had was revoked as a whole.
    FOR v_each IN SELECT o.reason, array_agg(o.journalled_certificate) AS ids FROM recovering o WHERE o.revoked_at IS NOT NULL
        AND o.serial_number = (SELECT v.serial_number FROM certificate_versions v WHERE v.certificate_id = o.journalled_certificate ORDER BY v.id DESC LIMIT 1)
        AND NOT EXISTS (SELECT 1 FROM recovering n WHERE n.journalled_certificate = o.journalled_certificate AND n.outcome = 'revoke' AND n.revoked_at IS NULL)
        GROUP BY 1
    LOOP
        PERFORM certificates_revoke(v_each.ids, v_each.reason, p_actor, p_actor_type, p_why);
    END LOOP;
    UPDATE journal_ahead a SET settled_at = v_now, settled_as = r.outcome, leaf = NULL
        FROM recovering r WHERE r.issuer_id = a.issuer_id AND r.serial_number = a.serial_number AND a.settled_at IS NULL;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_actor, p_actor_type, 'certificate_reentered', 'certificate', r.journalled_certificate,
            jsonb_build_object('serial_number', r.serial_number, 'job_id', r.job_id, 'outcome', r.outcome)
        FROM recovering r WHERE r.outcome IN ('reenter', 'recreate');
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        VALUES (p_actor, p_actor_type, 'database_recovered', 'database', '', v_done, 'config');
    DROP TABLE recovering, recovered;
    RETURN v_done;
END $$;

-- What agents serve and the database does not know, and whose place it takes, where that can be renewed.  What a journal
-- has is known once recover() has put it back.
CREATE VIEW served_unknown AS
SELECT s.target_id, t.agent_id, s.serial_number, s.issuer_dn, s.since, c.id AS certificate_id
FROM served_certificates s JOIN deployment_targets t ON t.id = s.target_id AND t.retired_at IS NULL
LEFT JOIN (certificate_target_mappings m JOIN managed_certificates c ON c.id = m.certificate_id
    AND c.status NOT IN ('Pending', 'Revoked', 'Archived')) ON m.target_id = s.target_id
WHERE s.serial_number <> '' AND NOT EXISTS (SELECT 1 FROM issuers i
    JOIN certificate_versions v ON v.issuer_id = i.id AND v.serial_number = s.serial_number)
    AND NOT EXISTS (SELECT 1 FROM issuers i JOIN certificate_revocations v ON v.issuer_id = i.id AND v.serial_number = s.serial_number);

-- Asks for those renewals, and answers what is served and where; NULL: nothing.
CREATE FUNCTION recover_served(p_actor text, p_actor_type text) RETURNS text[] LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_served text[]; v_ids text[];
BEGIN
    SELECT array_agg(DISTINCT u.serial_number || ' ' || u.target_id), array_agg(DISTINCT u.certificate_id) INTO v_served, v_ids FROM served_unknown u;
    PERFORM 1 FROM managed_certificates c WHERE c.id = ANY (v_ids) ORDER BY c.id FOR NO KEY UPDATE;
    UPDATE managed_certificates c SET renew_after = engine_now() WHERE c.id = ANY (v_ids);
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_actor, p_actor_type, 'served_unknown_found', 'database', '', jsonb_build_object('served', v_served, 'renewed', v_ids)
        WHERE v_served IS NOT NULL;
    RETURN v_served;
END $$;
