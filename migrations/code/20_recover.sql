-- A database that is older than what was issued: a restore from a backup.  The
-- workers' issuance journals lie outside of it and tell.  Until certctl recover
-- has settled what they tell nobody leads (leadership_hold).

-- Lines of a journal, called by each worker before it takes a lease; answers
-- how many of them the database does not know.  A line's job and serial are
-- committed before it is written, so one that is unknown was issued after the
-- database was copied, unless retention has removed its job: so only what is
-- fresh counts, or whose job has a number that the database has not given yet.
CREATE FUNCTION journal_check(p_host text, p_journal text, p_at bigint[], p_serials text[], p_jobs text[],
    p_certificates text[])
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    v_issuer text := coalesce((SELECT i.id FROM issuers i WHERE starts_with(p_journal, i.id || '.')
        ORDER BY length(i.id) DESC LIMIT 1), split_part(p_journal, '.', 1));
    v_last bigint := (SELECT s.last_value FROM id_seq s);
    v_n bigint;
BEGIN
    WITH ahead AS (
        SELECT DISTINCT ON (l.serial) l.serial, l.job, l.certificate, to_timestamp(l.at) AS at
        FROM unnest(p_at, p_serials, p_jobs, p_certificates) AS l (at, serial, job, certificate)
        WHERE (to_timestamp(l.at) > engine_now() - policy_journal_fresh() OR substring(l.job FROM '^job-\d+-(\d{1,18})$')::bigint > v_last)
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = l.job AND j.serial_number = l.serial)
            AND NOT EXISTS (SELECT 1 FROM certificate_versions v WHERE v.issuer_id = v_issuer AND v.serial_number = l.serial)
            AND NOT EXISTS (SELECT 1 FROM certificate_revocations r WHERE r.issuer_id = v_issuer AND r.serial_number = l.serial)
            AND NOT EXISTS (SELECT 1 FROM journal_ahead a
                WHERE a.issuer_id = v_issuer AND a.serial_number = l.serial AND a.settled_at IS NOT NULL)
        ORDER BY l.serial, l.at
    ), kept AS (
        INSERT INTO journal_ahead (issuer_id, serial_number, job_id, certificate_id, journalled_at, host)
        SELECT v_issuer, a.serial, a.job, a.certificate, a.at, p_host FROM ahead a
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) INTO v_n FROM ahead;
    RETURN v_n;
END $$;

CREATE FUNCTION journal_is_ahead() RETURNS bool LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM journal_ahead a WHERE a.settled_at IS NULL)
$$;

-- What certctl recover does with each.  revoke: its serial is revoked, and its
-- certificate, where it is known, renewed.  unknown_issuer: nothing can be done
-- here, as issuer and CA key are from after the backup too.
CREATE VIEW recovery AS
SELECT a.issuer_id, a.serial_number, a.job_id, a.journalled_at, a.host,
    CASE WHEN EXISTS (SELECT 1 FROM managed_certificates c WHERE c.id = a.certificate_id) THEN a.certificate_id ELSE '' END AS certificate_id,
    a.certificate_id AS journalled_certificate,
    CASE WHEN EXISTS (SELECT 1 FROM issuers i WHERE i.id = a.issuer_id) THEN 'revoke' ELSE 'unknown_issuer' END AS outcome
FROM journal_ahead a WHERE a.settled_at IS NULL;

-- Does it, all in one transaction, and answers with the counts.
CREATE FUNCTION recover(p_actor text, p_actor_type text)
RETURNS TABLE (serials bigint, revoked bigint, unknown_issuer bigint, renewed bigint, gap_from timestamptz, gap_to timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_serials text[];
BEGIN
    -- Workers may bring more while we work: those stay for the next time.
    PERFORM 1 FROM managed_certificates c WHERE c.id IN (SELECT r.certificate_id FROM recovery r) ORDER BY c.id FOR NO KEY UPDATE;
    SELECT array_agg(a.serial_number) INTO v_serials FROM (SELECT o.serial_number FROM journal_ahead o
        WHERE o.settled_at IS NULL ORDER BY o.issuer_id, o.serial_number FOR NO KEY UPDATE) a;
    SELECT count(*), count(*) FILTER (WHERE r.outcome = 'revoke'), count(*) FILTER (WHERE r.outcome = 'unknown_issuer'),
            min(r.journalled_at), max(r.journalled_at)
        INTO serials, revoked, unknown_issuer, gap_from, gap_to
    FROM recovery r WHERE r.serial_number = ANY (v_serials);
    UPDATE managed_certificates c SET renew_after = v_now
        WHERE c.id IN (SELECT r.certificate_id FROM recovery r WHERE r.serial_number = ANY (v_serials))
            AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed');
    GET DIAGNOSTICS renewed = ROW_COUNT;
    INSERT INTO certificate_revocations (id, certificate_id, serial_number, reason, revoked_by, issuer_id, job_id)
        SELECT id_new('rev'), nullif(r.certificate_id, ''), r.serial_number, 'superseded', p_actor, r.issuer_id, r.job_id
        FROM recovery r WHERE r.outcome = 'revoke' AND r.serial_number = ANY (v_serials) ORDER BY r.issuer_id, r.serial_number
        ON CONFLICT DO NOTHING;
    UPDATE journal_ahead a SET settled_at = v_now, settled_as = r.outcome
        FROM recovery r
        WHERE r.issuer_id = a.issuer_id AND r.serial_number = a.serial_number AND a.serial_number = ANY (v_serials)
            AND a.settled_at IS NULL;
    IF serials > 0 THEN
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
            VALUES (p_actor, p_actor_type, 'database_recovered', 'database', '', jsonb_build_object('serials', serials,
                'revoked', revoked, 'unknown_issuer', unknown_issuer, 'renewed', renewed, 'gap_from', gap_from, 'gap_to', gap_to),
                'config');
    END IF;
    RETURN NEXT;
END $$;
