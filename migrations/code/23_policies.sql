-- Rules about certificates: what breaks them, found by what changed, by the clock, and by a walk that never ends.

-- --- what happened ---
-- Events of these actions about certificates or health checks that no transaction can add to any more, of the next p_limit of the trail in
-- the order in which they were written; a reader that is new begins now.  None is read twice, unless the caller's
-- transaction fails.
CREATE FUNCTION audit_read(p_name text, p_actions text[], p_limit int,
    OUT actions text[], OUT ids text[], OUT details jsonb[], OUT is_more bool)
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE v_at audit_readers; v_now audit_readers; v_xids xid8[]; v_epochs int[]; v_seqs bigint[]; v_n int;
BEGIN
    is_more := false;
    v_now := (p_name, audit_epoch(), pg_snapshot_xmin(pg_current_snapshot()), -1);
    IF NOT EXISTS (SELECT 1 FROM audit_readers r WHERE r.name = p_name) THEN
        INSERT INTO audit_readers (name, epoch, xid, seq) VALUES (v_now.name, v_now.epoch, v_now.xid, v_now.seq) ON CONFLICT DO NOTHING;
    END IF;
    SELECT r.* INTO v_at FROM audit_readers r WHERE r.name = p_name FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN; END IF;
    SELECT array_agg(w.action) FILTER (WHERE w.is_wanted), array_agg(w.resource_id) FILTER (WHERE w.is_wanted),
            array_agg(w.details) FILTER (WHERE w.is_wanted), array_agg(w.epoch), array_agg(w.xid), array_agg(w.seq), count(*)
        INTO actions, ids, details, v_epochs, v_xids, v_seqs, v_n
    FROM (SELECT e.epoch, e.xid, e.seq, e.action, e.resource_id, e.details,
            e.resource_type IN ('certificate', 'health_check') AND e.action = ANY (p_actions) AS is_wanted FROM audit_events e
        WHERE (e.epoch, e.xid, e.seq) > (v_at.epoch, v_at.xid, v_at.seq) AND (e.epoch, e.xid) < (v_now.epoch, v_now.xid)
        ORDER BY e.epoch, e.xid, e.seq LIMIT p_limit) w;
    is_more := v_n >= p_limit;
    IF is_more THEN v_now := (p_name, v_epochs[v_n], v_xids[v_n], v_seqs[v_n]); END IF;
    UPDATE audit_readers r SET epoch = v_now.epoch, xid = v_now.xid, seq = v_now.seq WHERE r.name = p_name;
END $$;

-- --- a rule and a certificate ---
-- Whether one of these domains allows the name: itself, or with "*." any one label before it.
CREATE FUNCTION rule_allows_name(p_domains jsonb, p_name text) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT EXISTS (SELECT 1 FROM jsonb_array_elements_text(p_domains) AS d (domain) WHERE lower(p_name) = lower(d.domain)
        OR d.domain LIKE '*.%' AND strpos(p_name, '.') > 1 AND lower(substr(p_name, strpos(p_name, '.'))) = lower(substr(d.domain, 2)))
$$;

-- What of a list breaks the rule: the first name that no domain allows, the keys that the tags lack.
CREATE FUNCTION rule_fault_of(r policy_rules, c managed_certificates) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN
    IF r.type = 'AllowedDomains' THEN
        RETURN (SELECT n.name FROM unnest(c.common_name::text || coalesce(c.sans, '{}')) AS n (name)
            WHERE NOT rule_allows_name(r.config -> 'allowed_domains', n.name) LIMIT 1);
    END IF;
    RETURN (SELECT string_agg(k.key, ', ') FROM jsonb_array_elements_text(r.config -> 'required_keys') AS k (key)
        WHERE coalesce(c.tags ->> k.key, '') = '');
END $$;

-- What of a certificate breaks the rule; NULL: nothing does.  p_life: that of the certificate it has or is to get; NULL: not
-- known.  One that lives shorter than the lead time is to be renewed in the last part of its life, as renew_after_of has it.
CREATE FUNCTION rule_fault(r policy_rules, c managed_certificates, p_life interval, p_now timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE r.type
        WHEN 'AllowedIssuers' THEN CASE WHEN NOT r.config -> 'allowed_issuer_ids' ? c.issuer_id THEN c.issuer_id END
        WHEN 'AllowedEnvironments' THEN CASE WHEN NOT r.config -> 'allowed' ? coalesce(c.environment, '') THEN coalesce(c.environment, '') END
        WHEN 'CertificateLifetime' THEN CASE WHEN p_life > days((r.config ->> 'max_days')::int)
            THEN round(extract(epoch FROM p_life) / 86400, 2)::text END
        WHEN 'RenewalLeadTime' THEN CASE WHEN c.expires_at < p_now + least(rule_lead(r.config),
                p_life / policy_lead_part() * (1 - policy_lead_spread()))
            THEN to_char(c.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') END
        ELSE rule_fault_of(r, c) END
$$;

CREATE FUNCTION rule_lead(p_config jsonb) RETURNS interval LANGUAGE sql IMMUTABLE AS $$
    SELECT days(coalesce((p_config ->> 'lead_time_days')::int, policy_rule_lead_days()))
$$;

-- What the rule asks for, as much of it as a message holds.
CREATE FUNCTION rule_wants(r policy_rules) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE r.type WHEN 'CertificateLifetime' THEN r.config ->> 'max_days'
        WHEN 'RenewalLeadTime' THEN coalesce(r.config ->> 'lead_time_days', policy_rule_lead_days()::text)
        ELSE left((SELECT string_agg(i.item, ', ') FROM jsonb_each(r.config) AS l (key, list), jsonb_array_elements_text(l.list) AS i (item)),
            policy_rule_words()) END
$$;

-- p_words: by type, of what breaks it and what it asks for (common/policy/rule_words.h).
CREATE FUNCTION rule_say(r policy_rules, p_fault text, p_words jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format(p_words ->> r.type, left(p_fault, policy_rule_words()), rule_wants(r))
$$;

-- --- violations ---
-- Holds these certificates against the rules that are on, or one: what breaks one gets its violation, what no longer does
-- loses it.  How many came, went or changed.  Nothing is waited for: what somebody deletes or changes is left alone.
CREATE FUNCTION rules_apply(p_ids text[], p_rule text, p_now timestamptz, p_words jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_rules text[]; v_told record;
BEGIN
    SELECT array_agg(l.id) INTO v_rules FROM (SELECT r.id FROM policy_rules r
        WHERE p_ids IS NOT NULL AND r.enabled AND (p_rule IS NULL OR r.id = p_rule) FOR KEY SHARE SKIP LOCKED) l;
    IF v_rules IS NULL THEN RETURN 0; END IF;
    WITH asked AS MATERIALIZED (SELECT DISTINCT u.id FROM unnest(p_ids) AS u (id)),
    broken AS MATERIALIZED (
        SELECT f.certificate_id, f.rule_id, f.severity, rule_say(f.r, f.fault, p_words) AS message
        FROM (SELECT c.id AS certificate_id, r.id AS rule_id, r.severity, r,
                rule_fault(r, c, CASE WHEN isfinite(c.expires_at) AND isfinite(c.valid_from) THEN c.expires_at - c.valid_from END, p_now) AS fault
            FROM asked a JOIN managed_certificates c ON c.id = a.id JOIN policy_rules r ON r.id = ANY (v_rules)
            WHERE c.status NOT IN ('Revoked', 'Archived') OFFSET 0) f WHERE f.fault IS NOT NULL
    ), known AS MATERIALIZED (
        SELECT k.* FROM asked a CROSS JOIN LATERAL (SELECT v.id, v.certificate_id, v.rule_id, v.severity, v.message
            FROM policy_violations v WHERE v.certificate_id = a.id OFFSET 0) k WHERE k.rule_id = ANY (v_rules)
    ), other AS MATERIALIZED (
        SELECT d.* FROM (SELECT k.id, b.severity, b.message, b.rule_id IS NULL AS is_cured
            FROM known k LEFT JOIN broken b USING (certificate_id, rule_id)
            WHERE (b.severity, b.message) IS DISTINCT FROM (k.severity, k.message) OFFSET 0) d
        WHERE EXISTS (SELECT 1 FROM policy_violations h WHERE h.id = d.id FOR UPDATE SKIP LOCKED)
    ), cured AS (
        DELETE FROM policy_violations v USING other o WHERE v.id = o.id AND o.is_cured RETURNING v.rule_id, v.certificate_id
    ), retold AS (
        UPDATE policy_violations v SET severity = o.severity, message = o.message FROM other o WHERE v.id = o.id AND NOT o.is_cured
        RETURNING 1
    ), made AS (
        INSERT INTO policy_violations AS v (id, certificate_id, rule_id, message, severity, created_at)
        SELECT id_new('violation'), n.certificate_id, n.rule_id, n.message, n.severity, p_now
        FROM (SELECT b.* FROM broken b LEFT JOIN known k USING (certificate_id, rule_id) WHERE k.id IS NULL
            ORDER BY b.certificate_id, b.rule_id OFFSET 0) n
        WHERE EXISTS (SELECT 1 FROM managed_certificates h WHERE h.id = n.certificate_id FOR KEY SHARE SKIP LOCKED)
        ON CONFLICT DO NOTHING RETURNING v.rule_id, v.certificate_id, v.severity, v.message
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT 'system', 'System', m.action, 'policy_rule', m.rule_id, jsonb_build_object('certificates', count(*),
            'certificate_ids', (array_agg(m.certificate_id ORDER BY m.certificate_id))[:policy_rule_named()])
        FROM (SELECT 'policy_violation_detected' AS action, n.rule_id, n.certificate_id FROM made n
            UNION ALL SELECT 'policy_violation_cured', g.* FROM cured g) m
        GROUP BY m.action, m.rule_id
    )
    SELECT count(m.*) + (SELECT count(*) FROM cured) + (SELECT count(*) FROM retold) AS n, array_agg(m.certificate_id) AS ids,
            array_agg(CASE m.severity WHEN 'Critical' THEN 'critical' WHEN 'Error' THEN 'warning' ELSE 'informational' END) AS tiers,
            array_agg(m.rule_id) AS abouts, array_agg(concat(r.name, ' (', m.severity, '): ', m.message)) AS facts
        INTO v_told FROM made m JOIN policy_rules r ON r.id = m.rule_id;
    IF v_told.ids IS NOT NULL THEN
        PERFORM notifications_make(v_told.ids, array_fill('PolicyViolation'::text, ARRAY[cardinality(v_told.ids)]), v_told.tiers,
            v_told.abouts, v_told.facts, p_now, p_words);
    END IF;
    RETURN v_told.n;
END $$;

-- A rule that was made or changed is held against all certificates, by a walk that begins anew.
CREATE FUNCTION rules_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.walked_to := ''; RETURN NEW; END $$;

-- The next p_limit certificates of such a walk.  Of a rule that was switched off the violations go.
CREATE FUNCTION rule_walk(p_limit int, p_now timestamptz, p_words jsonb, OUT rows bigint, OUT is_more bool) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_rule policy_rules; v_ids text[]; v_last text;
BEGIN
    SELECT r.* INTO v_rule FROM policy_rules r WHERE r.walked_to IS NOT NULL ORDER BY r.updated_at, r.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
    rows := 0; is_more := FOUND;
    IF NOT is_more THEN RETURN; END IF;
    IF v_rule.enabled THEN
        SELECT array_agg(w.id), max(w.id) INTO v_ids, v_last
            FROM (SELECT c.id FROM managed_certificates c WHERE c.id > v_rule.walked_to ORDER BY c.id LIMIT p_limit) w;
        rows := rules_apply(v_ids, v_rule.id, p_now, p_words);
        IF coalesce(cardinality(v_ids), 0) < p_limit THEN v_last := NULL; END IF;
    ELSE
        WITH gone AS (DELETE FROM policy_violations v WHERE v.id IN (SELECT o.id FROM policy_violations o
            WHERE o.rule_id = v_rule.id ORDER BY o.id LIMIT p_limit FOR UPDATE SKIP LOCKED) RETURNING 1)
        SELECT count(*) INTO rows FROM gone;
        v_last := CASE WHEN EXISTS (SELECT 1 FROM policy_violations v WHERE v.rule_id = v_rule.id) THEN '' END;
    END IF;
    UPDATE policy_rules r SET walked_to = v_last WHERE r.id = v_rule.id;
END $$;

-- Certificates that came to the lead time of a rule since p_from, up to a moment at which a window holds p_limit of them.
CREATE FUNCTION rules_lead_due(p_from timestamptz, p_now timestamptz, p_limit int, OUT ids text[], OUT upto timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_leads interval[];
BEGIN
    SELECT coalesce(array_agg(DISTINCT rule_lead(r.config)), '{}') INTO v_leads FROM policy_rules r WHERE r.enabled AND r.type = 'RenewalLeadTime';
    SELECT least(p_now, min((SELECT c.expires_at FROM managed_certificates c WHERE c.expires_at > p_from + l AND c.expires_at <= p_now + l
        ORDER BY c.expires_at OFFSET p_limit LIMIT 1) - l)) INTO upto FROM unnest(v_leads) AS l;
    SELECT array_agg(c.id) INTO ids FROM unnest(v_leads) AS l
        JOIN managed_certificates c ON c.expires_at > p_from + l AND c.expires_at <= upto + l;
END $$;

-- One piece of a run: the next certificates that changed, by the audit trail, and those that the clock brought to a lead
-- time; the next of a walk for a rule that changed; and once a run some of all, round and round, for what nobody wrote down.
CREATE FUNCTION duty_policy_scan(p_limit int, p_is_first bool, p_words jsonb, OUT rows bigint, OUT is_more bool)
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    v_now timestamptz := engine_now(); v_mark duty_marks; v_changed record; v_due record; v_walk record;
    v_turn text[]; -- NULL: not now
BEGIN
    rows := 0; is_more := false;
    IF NOT EXISTS (SELECT 1 FROM policy_rules r WHERE r.enabled OR r.walked_to IS NOT NULL) THEN
        -- Whatever happens meanwhile, the next rule is held against all.
        DELETE FROM audit_readers a WHERE a.name = 'policy_scan';
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM duty_marks m WHERE m.name = 'policy_scan') THEN
        INSERT INTO duty_marks (name, low_at) VALUES ('policy_scan', v_now) ON CONFLICT DO NOTHING;
    END IF;
    SELECT m.* INTO v_mark FROM duty_marks m WHERE m.name = 'policy_scan' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN; END IF;
    SELECT c.ids, c.is_more INTO v_changed FROM audit_read('policy_scan', '{certificate_created,certificate_updated,certificate_revoked,
        certificate_archived,renewal_job_completed}', p_limit) c;
    SELECT d.ids, d.upto INTO v_due FROM rules_lead_due(v_mark.low_at, v_now, p_limit) d;
    IF p_is_first THEN
        v_turn := ARRAY(SELECT c.id FROM managed_certificates c WHERE c.id > v_mark.low_id ORDER BY c.id LIMIT policy_rule_turn());
        v_mark.low_id := CASE WHEN cardinality(v_turn) < policy_rule_turn() THEN '' ELSE v_turn[policy_rule_turn()] END;
    END IF;
    rows := rules_apply(v_changed.ids || v_due.ids || v_turn, NULL, v_now, p_words);
    UPDATE duty_marks m SET low_id = v_mark.low_id, low_at = v_due.upto WHERE m.name = 'policy_scan';
    SELECT w.rows, w.is_more INTO v_walk FROM rule_walk(p_limit, v_now, p_words) w;
    rows := rows + v_walk.rows;
    is_more := v_changed.is_more OR v_due.upto < v_now OR v_walk.is_more;
END $$;
