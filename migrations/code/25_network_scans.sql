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
    DELETE FROM scep_probe_results r WHERE r.id IN
        (SELECT o.id FROM scep_probe_results o ORDER BY o.probed_at DESC, o.id DESC OFFSET policy_scep_probes());
    RETURN true;
END $$;
