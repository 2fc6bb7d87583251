-- Certificates that were found, and what becomes of them.

-- The managed certificate that one of this fingerprint is a version of.  Versions are found by their serial numbers, which
-- they have in 40 digits.
CREATE FUNCTION discovery_match(p_fingerprint text, p_serial text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT v.certificate_id FROM issuers i
        JOIN certificate_versions v ON v.issuer_id = i.id AND v.serial_number = lpad(p_serial, 40, '0')
    WHERE v.fingerprint_sha256 = p_fingerprint ORDER BY v.id DESC LIMIT 1
$$;

-- What a scan found: p_certificates are objects of a report's members, checked by who calls.  p_scan: of which scan this is
-- another part; NULL begins one.  The same again finds nothing new, and what the scan had found already is not counted
-- again.  Of p_errors_count errors p_errors has the first texts.  Rows are written in the order of their key, so that two
-- reports never wait for each other in a circle.
-- p_is_part: more of this scan will follow, so it is not completed.
-- Outcomes: stored, unknown, retired (the agent), unknown_scan (not that agent's).
CREATE FUNCTION discovery_store(p_agent text, p_actor text, p_actor_type text, p_scan text, p_directories text[],
    p_certificates jsonb, p_errors text[], p_errors_count int, p_duration_ms int, p_is_part bool DEFAULT false,
    OUT outcome text, OUT scan discovery_scans)
LANGUAGE plpgsql SECURITY DEFINER SET enable_bitmapscan = off SET enable_seqscan = off AS $$
DECLARE v_now timestamptz := engine_now(); v_scan text := coalesce(p_scan, id_new('dscan'));
BEGIN
    SELECT CASE WHEN count(*) = 0 THEN 'unknown' WHEN bool_or(a.retired_at IS NOT NULL) THEN 'retired'
        WHEN p_scan IS NOT NULL AND NOT EXISTS (SELECT 1 FROM discovery_scans s WHERE s.id = p_scan AND s.agent_id = p_agent)
            THEN 'unknown_scan' ELSE 'stored' END INTO outcome FROM agents a WHERE a.id = p_agent;
    IF outcome <> 'stored' THEN RETURN; END IF;
    -- The same part, sent twice at once, is counted once.
    PERFORM 1 FROM discovery_scans s WHERE s.id = p_scan FOR NO KEY UPDATE;
    WITH told AS MATERIALIZED (
        SELECT DISTINCT ON (r.fingerprint_sha256, r.source_path) r.*, o.discovery_scan_id IS DISTINCT FROM v_scan AS is_found,
            m.certificate_id
        FROM jsonb_to_recordset(p_certificates) AS r (fingerprint_sha256 text, common_name text, sans text[], serial_number text,
            issuer_dn text, subject_dn text, not_before timestamptz, not_after timestamptz, key_algorithm text, key_size int,
            is_ca bool, pem_data text, source_path text, source_format text)
        LEFT JOIN discovered_certificates o ON o.fingerprint_sha256 = r.fingerprint_sha256 AND o.agent_id = p_agent
            AND o.source_path = r.source_path
        LEFT JOIN LATERAL discovery_match(r.fingerprint_sha256, r.serial_number) AS m (certificate_id) ON true
        ORDER BY r.fingerprint_sha256, r.source_path
    ), kept AS (
        INSERT INTO discovered_certificates AS d (id, fingerprint_sha256, common_name, sans, serial_number, issuer_dn, subject_dn,
            not_before, not_after, key_algorithm, key_size, is_ca, pem_data, source_path, source_format, agent_id,
            discovery_scan_id, managed_certificate_id, status, first_seen_at, last_seen_at, created_at, updated_at)
        SELECT id_new('dcert'), t.fingerprint_sha256, t.common_name, t.sans, t.serial_number, t.issuer_dn, t.subject_dn,
            t.not_before, t.not_after, t.key_algorithm, t.key_size, t.is_ca, t.pem_data, t.source_path, t.source_format, p_agent,
            v_scan, t.certificate_id, CASE WHEN t.certificate_id IS NULL THEN 'Unmanaged' ELSE 'Managed' END,
            v_now, v_now, v_now, v_now
        FROM told t ORDER BY t.fingerprint_sha256, t.source_path
        ON CONFLICT (fingerprint_sha256, agent_id, source_path) DO UPDATE SET
            last_seen_at = greatest(d.last_seen_at, excluded.last_seen_at), discovery_scan_id = excluded.discovery_scan_id,
            pem_data = CASE d.pem_data WHEN '' THEN excluded.pem_data ELSE d.pem_data END,
            -- What people decided stays.
            managed_certificate_id = CASE d.status WHEN 'Unmanaged' THEN excluded.managed_certificate_id
                ELSE d.managed_certificate_id END,
            status = CASE d.status WHEN 'Unmanaged' THEN excluded.status ELSE d.status END,
            updated_at = CASE WHEN d.status = 'Unmanaged' AND excluded.status = 'Managed' THEN v_now ELSE d.updated_at END
        RETURNING xmax = 0 AS is_new -- inserted, not updated
    )
    INSERT INTO discovery_scans AS s (id, agent_id, directories, certificates_found, certificates_new, errors_count, errors,
        scan_duration_ms, started_at, completed_at)
    SELECT v_scan, p_agent, p_directories, (SELECT count(*) FROM told t WHERE t.is_found),
        (SELECT count(*) FROM kept k WHERE k.is_new),
        p_errors_count, p_errors[1:policy_scan_errors()], p_duration_ms,
        v_now - ms(p_duration_ms), CASE WHEN NOT p_is_part THEN v_now END
    ON CONFLICT (id) DO UPDATE SET certificates_found = s.certificates_found + excluded.certificates_found,
        certificates_new = s.certificates_new + excluded.certificates_new, errors_count = s.errors_count + excluded.errors_count,
        errors = (s.errors || excluded.errors)[1:policy_scan_errors()],
        directories = s.directories || ARRAY(SELECT unnest(excluded.directories) EXCEPT SELECT unnest(s.directories)),
        scan_duration_ms = greatest(s.scan_duration_ms, excluded.scan_duration_ms), completed_at = excluded.completed_at
    RETURNING s.* INTO scan;
    IF p_is_part THEN RETURN; END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    VALUES (p_actor, p_actor_type, 'discovery_scan_completed', 'discovery_scan', v_scan, jsonb_build_object('agent_id', p_agent,
        'certificates_found', scan.certificates_found, 'certificates_new', scan.certificates_new,
        'errors_count', scan.errors_count));
END $$;

-- What people say of one that was found: p_certificate's, or nobody's to manage (NULL).  A later scan does not change it.
-- Outcomes: done, repeated, unknown, unknown_certificate, archived.
CREATE FUNCTION discovery_triage(p_id text, p_certificate text, p_actor text, p_actor_type text, OUT outcome text)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_found discovered_certificates; v_status text;
BEGIN
    SELECT c.status INTO v_status FROM managed_certificates c WHERE c.id = p_certificate FOR KEY SHARE;
    SELECT d.* INTO v_found FROM discovered_certificates d WHERE d.id = p_id FOR NO KEY UPDATE;
    outcome := CASE
        WHEN NOT FOUND THEN 'unknown'
        WHEN p_certificate IS NOT NULL AND v_status IS NULL THEN 'unknown_certificate'
        WHEN v_status = 'Archived' THEN 'archived'
        WHEN p_certificate IS NULL AND v_found.status = 'Dismissed'
            OR v_found.status = 'Managed' AND v_found.managed_certificate_id = p_certificate THEN 'repeated'
        ELSE 'done' END;
    IF outcome <> 'done' THEN RETURN; END IF;
    UPDATE discovered_certificates d SET managed_certificate_id = p_certificate,
        status = CASE WHEN p_certificate IS NULL THEN 'Dismissed' ELSE 'Managed' END,
        dismissed_at = CASE WHEN p_certificate IS NULL THEN v_now END, updated_at = v_now
    WHERE d.id = p_id;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    VALUES (p_actor, p_actor_type,
        CASE WHEN p_certificate IS NULL THEN 'discovery_cert_dismissed' ELSE 'discovery_cert_claimed' END, 'discovered_certificate',
        p_id, jsonb_strip_nulls(jsonb_build_object('fingerprint_sha256', v_found.fingerprint_sha256,
            'managed_certificate_id', p_certificate)));
END $$;

-- Scans that ended before the cut.  One that met a certificate last stays: it says when that was there.
CREATE FUNCTION duty_discovery_retention(p_keep_ms bigint, p_limit int, OUT rows bigint, OUT is_more bool)
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE v_cut timestamptz := engine_now() - ms(p_keep_ms); v_ids text[];
BEGIN
    SELECT w.ids, w.is_more INTO v_ids, is_more FROM duty_walk('discovery_retention', 'discovery_scans', 'dscan', v_cut, p_limit) w;
    DELETE FROM discovery_scans s WHERE s.id IN (SELECT o.id FROM discovery_scans o
        WHERE o.id = ANY (v_ids) AND coalesce(o.completed_at, o.started_at) < v_cut
            AND NOT EXISTS (SELECT 1 FROM discovered_certificates d WHERE d.discovery_scan_id = o.id) FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS rows = ROW_COUNT;
    is_more := is_more AND rows > 0;
END $$;

-- came, went: the rows as they are and as they were.
CREATE FUNCTION discovered_counts_keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_n bigint[] := '{0,0,0}';
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE discovered_counts c SET unmanaged = 0, managed = 0, dismissed = 0;
        RETURN NULL;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        SELECT ARRAY[count(*) FILTER (WHERE r.status = 'Unmanaged'), count(*) FILTER (WHERE r.status = 'Managed'),
            count(*) FILTER (WHERE r.status = 'Dismissed')] INTO v_n FROM came r;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        SELECT ARRAY[v_n[1] - count(*) FILTER (WHERE r.status = 'Unmanaged'), v_n[2] - count(*) FILTER (WHERE r.status = 'Managed'),
            v_n[3] - count(*) FILTER (WHERE r.status = 'Dismissed')] INTO v_n FROM went r;
    END IF;
    UPDATE discovered_counts c SET unmanaged = c.unmanaged + v_n[1], managed = c.managed + v_n[2], dismissed = c.dismissed + v_n[3]
        WHERE c.shard = pg_backend_pid() % 16 AND v_n <> '{0,0,0}';
    RETURN NULL;
END $$;
