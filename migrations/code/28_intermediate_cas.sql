-- The hierarchies of intermediate CAs: asked for, made by workers, retired.  The issuer's row is locked first, always, so that
-- what is decided about one CA is not overtaken by another's.

-- Its certificate and those above it, PEM.
CREATE FUNCTION intermediate_ca_chain(p_ca text) RETURNS text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up AS (
        SELECT c.cert_pem, c.parent_ca_id, 1 AS n FROM intermediate_cas c WHERE c.id = p_ca
        UNION ALL SELECT c.cert_pem, c.parent_ca_id, u.n + 1 FROM up u JOIN intermediate_cas c ON c.id = u.parent_ca_id)
    SELECT string_agg(u.cert_pem, '' ORDER BY u.n) FROM up u
$$;

-- A CA that others stand below signs a revocation list and OCSP answers about them, as a key does that signed leaves once.
CREATE FUNCTION intermediate_ca_signs(p_ca text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO ca_keys (issuer_id, key_id, key_sealed) SELECT c.owning_issuer_id, c.key_id, k.key_sealed
        FROM intermediate_cas c JOIN intermediate_ca_keys k ON k.ca_id = c.id WHERE c.id = p_ca ON CONFLICT DO NOTHING;
    INSERT INTO ca_certificates (issuer_id, state, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after)
    SELECT c.owning_issuer_id, 'former', c.key_id, ca_list_name(c.owning_issuer_id, c.key_id), c.cert_pem,
        intermediate_ca_chain(c.id), c.fingerprint_sha256, c.not_before, c.not_after
    FROM intermediate_cas c WHERE c.id = p_ca ON CONFLICT DO NOTHING
$$;

-- Asks for a CA; the same again, while it is being made, is the same request.  Outcomes: asked, unknown (issuer), outside (its
-- type has no hierarchy), taken (the name), other (one of that name is being made, and differs), no_parent, inactive (parent),
-- root_taken, full.
CREATE FUNCTION intermediate_ca_ask(p_issuer text, p_body jsonb, p_actor text, p_actor_type text, OUT outcome text, OUT id text)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_type text; v_name text := p_body ->> 'name'; v_parent text := p_body ->> 'parent_ca_id'; v_state text;
    v_request intermediate_ca_requests;
BEGIN
    SELECT i.type INTO v_type FROM issuers i WHERE i.id = p_issuer FOR NO KEY UPDATE;
    DELETE FROM intermediate_ca_requests r WHERE r.owning_issuer_id = p_issuer AND r.refusal IS NOT NULL
        AND (r.name = v_name OR r.created_at < now() - policy_test_wait());
    SELECT r.* INTO v_request FROM intermediate_ca_requests r WHERE r.owning_issuer_id = p_issuer AND r.name = v_name;
    SELECT c.state INTO v_state FROM intermediate_cas c WHERE c.id = v_parent AND c.owning_issuer_id = p_issuer;
    outcome := CASE
        WHEN v_type IS NULL THEN 'unknown'
        WHEN v_type <> 'GenericCA' THEN 'outside'
        WHEN EXISTS (SELECT 1 FROM intermediate_cas c WHERE c.owning_issuer_id = p_issuer AND c.name = v_name) THEN 'taken'
        WHEN v_request.body <> p_body THEN 'other'
        WHEN v_parent IS NOT NULL AND v_state IS NULL THEN 'no_parent'
        WHEN v_state <> 'active' THEN 'inactive'
        WHEN v_parent IS NULL AND EXISTS (SELECT 1 FROM intermediate_cas c WHERE c.owning_issuer_id = p_issuer
            AND c.parent_ca_id IS NULL AND c.state = 'active') THEN 'root_taken'
        WHEN (SELECT count(*) FROM intermediate_cas c WHERE c.owning_issuer_id = p_issuer) >= policy_intermediate_cas() THEN 'full'
        ELSE 'asked' END;
    id := coalesce(v_request.id, id_new('ica'));
    IF outcome = 'asked' THEN
        INSERT INTO intermediate_ca_requests (id, owning_issuer_id, name, body, actor, actor_type)
            VALUES (intermediate_ca_ask.id, p_issuer, v_name, p_body, p_actor, p_actor_type) ON CONFLICT DO NOTHING;
        INSERT INTO tasks (id, kind, subject, dedupe_key, issuer_id)
            VALUES (id_new('task'), 'ica_create', intermediate_ca_ask.id, 'ica_create:' || intermediate_ca_ask.id, p_issuer)
            ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING;
        PERFORM intermediate_ca_signs(v_parent);
    END IF;
END $$;

-- The worker's end of a request: the CA as it was made, or p_refusal.  In one piece with the end of the task: a worker that is
-- killed before has made nothing, and one that comes after it finds nothing to make.  Outcomes: made, refused, inactive (its
-- parent is, since; p_inactive is told), lost (the task is not this worker's any more).
CREATE FUNCTION intermediate_ca_end(p_worker text, p_lease bigint, p_task text, p_refusal text, p_inactive text, p_made jsonb,
    p_key_sealed bytea, OUT outcome text) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_request intermediate_ca_requests;
BEGIN
    PERFORM 1 FROM issuers i WHERE i.id = (SELECT t.issuer_id FROM tasks t WHERE t.id = p_task) FOR NO KEY UPDATE;
    SELECT r.* INTO v_request FROM tasks t JOIN intermediate_ca_requests r ON r.id = t.subject
        WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running' FOR NO KEY UPDATE;
    outcome := CASE
        WHEN NOT FOUND THEN 'lost'
        WHEN p_refusal IS NOT NULL THEN 'refused'
        WHEN v_request.body ? 'parent_ca_id' AND NOT EXISTS (SELECT 1 FROM intermediate_cas c
            WHERE c.id = v_request.body ->> 'parent_ca_id' AND c.state = 'active') THEN 'inactive'
        ELSE 'made' END;
    IF outcome = 'lost' THEN RETURN; END IF;
    DELETE FROM tasks t WHERE t.id = p_task;
    IF outcome <> 'made' THEN
        UPDATE intermediate_ca_requests r SET refusal = coalesce(p_refusal, p_inactive) WHERE r.id = v_request.id;
        RETURN;
    END IF;
    INSERT INTO intermediate_cas (id, owning_issuer_id, parent_ca_id, name, subject, cert_pem, key_driver_id, not_before, not_after,
        path_len_constraint, name_constraints, ocsp_responder_url, metadata, key_id, fingerprint_sha256, serial_number)
    SELECT v_request.id, v_request.owning_issuer_id, b.parent_ca_id, v_request.name, m.subject, m.cert_pem, m.key_driver_id,
        to_timestamp(m.not_before), to_timestamp(m.not_after), m.path_len_constraint, m.name_constraints, b.ocsp_responder_url,
        coalesce(b.metadata, '{}'), m.key_id, m.fingerprint_sha256, coalesce(m.serial_number, '')
    FROM jsonb_to_record(p_made) AS m (subject text, cert_pem text, key_driver_id text, not_before bigint, not_after bigint,
            path_len_constraint int, name_constraints jsonb, key_id text, fingerprint_sha256 text, serial_number text),
        jsonb_to_record(v_request.body) AS b (parent_ca_id text, ocsp_responder_url text, metadata jsonb);
    INSERT INTO intermediate_ca_keys (ca_id, key_sealed) SELECT v_request.id, p_key_sealed WHERE p_key_sealed IS NOT NULL;
    DELETE FROM intermediate_ca_requests r WHERE r.id = v_request.id;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        VALUES (v_request.actor, v_request.actor_type, CASE WHEN v_request.body ? 'parent_ca_id' THEN 'intermediate_ca_child_created'
            ELSE 'intermediate_ca_root_created' END, 'intermediate_ca', v_request.id,
            jsonb_build_object('issuer_id', v_request.owning_issuer_id, 'resource_name', v_request.name,
                'fingerprint_sha256', p_made ->> 'fingerprint_sha256'), 'config');
END $$;

-- One step further: active, retiring, retired.  The last one needs p_confirm, no active CA below it, and that it does not sign
-- the issuer's leaves.  Outcomes: done, unknown, retired (already), unconfirmed, children, signing.
CREATE FUNCTION intermediate_ca_retire(p_ca text, p_confirm bool, p_note text, p_actor text, p_actor_type text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_ca intermediate_cas; v_outcome text;
BEGIN
    PERFORM 1 FROM issuers i WHERE i.id = (SELECT c.owning_issuer_id FROM intermediate_cas c WHERE c.id = p_ca) FOR NO KEY UPDATE;
    SELECT c.* INTO v_ca FROM intermediate_cas c WHERE c.id = p_ca;
    v_outcome := CASE
        WHEN v_ca.id IS NULL THEN 'unknown'
        WHEN v_ca.state = 'retired' THEN 'retired'
        WHEN v_ca.state = 'active' THEN 'done'
        WHEN NOT p_confirm THEN 'unconfirmed'
        WHEN EXISTS (SELECT 1 FROM intermediate_cas c WHERE c.parent_ca_id = p_ca AND c.state = 'active') THEN 'children'
        WHEN v_ca.parent_ca_id IS NOT NULL AND EXISTS (SELECT 1 FROM ca_certificates k WHERE k.issuer_id = v_ca.owning_issuer_id
            AND k.key_id = v_ca.key_id AND k.state = 'current') THEN 'signing'
        ELSE 'done' END;
    IF v_outcome = 'done' THEN
        UPDATE intermediate_cas c SET state = CASE v_ca.state WHEN 'active' THEN 'retiring' ELSE 'retired' END, updated_at = engine_now()
            WHERE c.id = p_ca;
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
            VALUES (p_actor, p_actor_type, CASE v_ca.state WHEN 'active' THEN 'intermediate_ca_retiring' ELSE 'intermediate_ca_retired' END,
                'intermediate_ca', p_ca, jsonb_strip_nulls(jsonb_build_object('note', nullif(p_note, ''))), 'config');
    END IF;
    RETURN v_outcome;
END $$;

-- Its certificate is revoked, in the lists and answers of the CA above.  Of one that is retired, so that nothing stands below
-- it nor is signed by it.  Outcomes: done, unknown, root, unretired, revoked (already).
CREATE FUNCTION intermediate_ca_revoke(p_ca text, p_reason text, p_actor text, p_actor_type text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_ca intermediate_cas; v_outcome text;
BEGIN
    PERFORM 1 FROM issuers i WHERE i.id = (SELECT c.owning_issuer_id FROM intermediate_cas c WHERE c.id = p_ca) FOR NO KEY UPDATE;
    SELECT c.* INTO v_ca FROM intermediate_cas c WHERE c.id = p_ca;
    v_outcome := CASE
        WHEN v_ca.id IS NULL THEN 'unknown'
        WHEN v_ca.parent_ca_id IS NULL THEN 'root'
        WHEN v_ca.state <> 'retired' THEN 'unretired'
        WHEN EXISTS (SELECT 1 FROM certificate_revocations r WHERE r.issuer_id = v_ca.owning_issuer_id
            AND r.serial_number = v_ca.serial_number) THEN 'revoked'
        ELSE 'done' END;
    IF v_outcome = 'done' THEN
        INSERT INTO certificate_revocations (id, serial_number, reason, revoked_by, issuer_id)
            VALUES (id_new('rev'), v_ca.serial_number, p_reason, p_actor, v_ca.owning_issuer_id);
        UPDATE intermediate_cas c SET updated_at = engine_now() WHERE c.id = p_ca;
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
            VALUES (p_actor, p_actor_type, 'intermediate_ca_revoked', 'intermediate_ca', p_ca,
                jsonb_build_object('reason', p_reason, 'serial_number', v_ca.serial_number), 'config');
    END IF;
    RETURN v_outcome;
END $$;
