-- Scans of the network, and probes of SCEP servers.

-- What a task's probe is called.
CREATE FUNCTION scep_probe_id(p_task text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT regexp_replace(p_task, '^task', 'scep')
$$;

-- What a probe found (members of scep_probe_results, but those made here), and the end of its task.  False: the task is not
-- this worker's any more, and nothing was written.
CREATE FUNCTION scep_probe_store(p_worker text, p_lease bigint, p_task text, p_found jsonb) RETURNS bool
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_url text; v_now timestamptz := engine_now();
BEGIN
    DELETE FROM tasks t WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running'
        RETURNING t.subject INTO v_url;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO scep_probe_results (id, target_url, reachable, advertised_caps, supports_rfc8894, supports_aes,
        supports_post_operation, supports_renewal, supports_sha256, supports_sha512, ca_cert_subject, ca_cert_issuer,
        ca_cert_not_before, ca_cert_not_after, ca_cert_expired, ca_cert_algorithm, ca_cert_chain_length, probed_at,
        probe_duration_ms, error, created_at)
    SELECT scep_probe_id(p_task), v_url, f.reachable, f.advertised_caps, f.supports_rfc8894, f.supports_aes,
        f.supports_post_operation, f.supports_renewal, f.supports_sha256, f.supports_sha512, f.ca_cert_subject, f.ca_cert_issuer,
        f.ca_cert_not_before, f.ca_cert_not_after, coalesce(f.ca_cert_not_after <= v_now, false), f.ca_cert_algorithm,
        f.ca_cert_chain_length, v_now - ms(f.probe_duration_ms), f.probe_duration_ms, f.error, v_now
    FROM jsonb_populate_record(NULL::scep_probe_results, p_found) f;
    UPDATE network_totals o SET scep_probes = o.scep_probes + 1;
    DELETE FROM scep_probe_results r WHERE r.id IN
        (SELECT o.id FROM scep_probe_results o ORDER BY o.probed_at DESC, o.id DESC OFFSET policy_scep_probes());
    RETURN true;
END $$;

-- --- scans of the network ---

-- Scans that nobody goes on with, of these targets (NULL: of all): the task died with too many workers, or was removed.
CREATE FUNCTION network_scans_give_up(p_targets text[]) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    WITH lost AS (
        UPDATE network_scan_targets n SET scan_id = NULL FROM (SELECT o.id, o.scan_id FROM network_scan_targets o
            WHERE o.scan_id IS NOT NULL AND (p_targets IS NULL OR o.id = ANY (p_targets))
                AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.dedupe_key = 'network_scan:' || o.id)
            FOR NO KEY UPDATE SKIP LOCKED) l
        WHERE n.id = l.id RETURNING n.id, l.scan_id
    ), counted AS (
        UPDATE network_totals o SET scans_given_up = o.scans_given_up + l.n FROM (SELECT count(*) AS n FROM lost) l WHERE l.n > 0)
    UPDATE discovery_scans s SET completed_at = engine_now(), errors_count = s.errors_count + 1, errors = s.errors || coalesce(
        (SELECT t.last_error FROM tasks t WHERE t.subject = l.id AND t.kind = 'network_scan' AND t.status = 'Failed'
            ORDER BY t.id DESC LIMIT 1), '')
    FROM lost l WHERE s.id = l.scan_id
$$;

-- A scan of each of these targets that has none under way: its row, and its task, which holds what was to be scanned then.
-- They are booked to an agent that is none, which signs in by no key.
CREATE FUNCTION network_scans_begin(p_targets text[]) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH moment AS MATERIALIZED (SELECT engine_now() AS now),
    begun AS (
        UPDATE network_scan_targets n SET scan_id = id_new('dscan'), next_scan_at = m.now + make_interval(hours => n.scan_interval_hours)
        FROM moment m WHERE n.id = ANY (p_targets) AND n.scan_id IS NULL
        RETURNING n.id, n.scan_id, n.cidrs, n.ports, n.timeout_ms, m.now
    ), sentinel AS (
        INSERT INTO agents (id, name, hostname, api_key_hash) SELECT 'server-scanner',
            coalesce((SELECT a.name || ' (network)' FROM agents a WHERE a.name = 'server-scanner'), 'server-scanner'), '', ''
        WHERE EXISTS (SELECT 1 FROM begun) ON CONFLICT DO NOTHING
    ), scans AS (
        INSERT INTO discovery_scans (id, agent_id, directories, started_at) SELECT b.scan_id, 'server-scanner', b.cidrs, b.now FROM begun b
    ), queued AS (
        INSERT INTO tasks (id, kind, subject, dedupe_key, payload, run_after, created_at)
        SELECT id_new('task'), 'network_scan', b.id, 'network_scan:' || b.id, jsonb_build_object('scan', b.scan_id, 'at', 0,
            'cidrs', b.cidrs, 'ports', b.ports, 'timeout_ms', b.timeout_ms), b.now, b.now FROM begun b
        ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING
    )
    SELECT count(*) FROM begun
$$;

-- A person wants a scan now: the one under way, or a new one.  No row: there is no such target.
CREATE FUNCTION network_scan_ask(p_target text, p_actor text, p_actor_type text) RETURNS SETOF discovery_scans
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM 1 FROM network_scan_targets n WHERE n.id = p_target FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    PERFORM network_scans_give_up(ARRAY[p_target]);
    IF network_scans_begin(ARRAY[p_target]) > 0 THEN
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
            SELECT p_actor, p_actor_type, 'network_scan_requested', 'network_scan_target', n.id,
                jsonb_build_object('discovery_scan_id', n.scan_id) FROM network_scan_targets n WHERE n.id = p_target;
    END IF;
    RETURN QUERY SELECT s.* FROM network_scan_targets n JOIN discovery_scans s ON s.id = n.scan_id WHERE n.id = p_target;
END $$;

-- Scans of the targets that are due, the longest first.
CREATE FUNCTION duty_network_scan(p_limit int) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE v_now timestamptz := engine_now();
BEGIN
    PERFORM network_scans_give_up(NULL);
    RETURN network_scans_begin(ARRAY(SELECT n.id FROM network_scan_targets n
        WHERE n.enabled AND n.scan_id IS NULL AND n.next_scan_at <= v_now
        ORDER BY n.next_scan_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED));
END $$;

-- What a slice of a scan found, and where the next begins, which has the task wait anew; after the last the scan is over,
-- as it is when its target is gone.  Outcomes: more, done, gone, lost (the task is not this worker's, nothing was written).
CREATE FUNCTION network_scan_store(p_worker text, p_lease bigint, p_task text, p_at bigint, p_is_end bool, p_certificates jsonb,
    p_errors text[]) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_target text; v_scan text; v_from bigint; v_ms int; v_is_there bool; v_kept record;
BEGIN
    SELECT t.subject, t.payload ->> 'scan', (t.payload ->> 'at')::bigint INTO v_target, v_scan, v_from FROM tasks t
        WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running' FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN 'lost'; END IF;
    PERFORM 1 FROM network_scan_targets n WHERE n.id = v_target AND n.scan_id = v_scan FOR NO KEY UPDATE;
    v_is_there := FOUND;
    SELECT extract(epoch FROM v_now - s.started_at) * 1000 INTO v_ms FROM discovery_scans s WHERE s.id = v_scan;
    SELECT k.outcome, k.scan INTO v_kept FROM discovery_store('server-scanner', 'server-scanner', 'System', v_scan, '{}', p_certificates,
        p_errors, cardinality(p_errors), coalesce(v_ms, 0), v_is_there AND NOT p_is_end) k;
    UPDATE network_totals o SET endpoints = o.endpoints + p_at - v_from, certificates = o.certificates + jsonb_array_length(p_certificates),
        errors = o.errors + cardinality(p_errors), scans = o.scans + (v_is_there AND p_is_end)::int;
    IF v_is_there AND NOT p_is_end AND v_kept.outcome = 'stored' THEN
        UPDATE tasks t SET payload = t.payload || jsonb_build_object('at', p_at), status = 'Pending', leased_by = NULL,
            lease_id = NULL, attempt_until = NULL, died_with = NULL, attempts = 0, run_after = v_now WHERE t.id = p_task;
        RETURN 'more';
    END IF;
    DELETE FROM tasks t WHERE t.id = p_task;
    UPDATE network_scan_targets n SET scan_id = NULL, last_scan_at = (v_kept.scan).started_at, last_scan_duration_ms = v_ms,
        last_scan_certs_found = (v_kept.scan).certificates_found WHERE n.id = v_target AND v_is_there;
    RETURN CASE WHEN v_is_there AND v_kept.outcome = 'stored' THEN 'done' ELSE 'gone' END;
END $$;
