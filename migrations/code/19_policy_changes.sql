-- What a change of a policy or an issuer means for its certificates: they follow in chunks, by a duty.  A window or
-- percentage moves the times of all certificates of the policy: a row of policy_changes says how far the walk through them
-- has come.  A policy or issuer that is switched on takes back what the scan had set aside, by an index.

CREATE FUNCTION policies_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO policy_changes (policy_id) VALUES (NEW.id)
    ON CONFLICT (policy_id) DO UPDATE SET changed_at = clock_timestamp(), horizon = NULL, low_id = '', again_id = NULL,
        total = NULL, done = 0;
    RETURN NULL;
END $$;

-- Computes anew when these certificates fall due and begin to be Expiring, and the status of those for which that changes
-- it.  One that is set aside stays so unless policy and issuer are on.  What somebody holds is passed over; answers how
-- many were not.
CREATE FUNCTION certificates_retime(p_ids text[]) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_now timestamptz := engine_now(); v_ids text[]; v_other text[];
BEGIN
    SELECT array_agg(l.id) INTO v_ids FROM (SELECT c.id FROM unnest(p_ids) AS u (id) JOIN managed_certificates c ON c.id = u.id
        ORDER BY c.id FOR NO KEY UPDATE OF c SKIP LOCKED) l;
    WITH timed AS (
        UPDATE managed_certificates c SET renew_after = n.renew_after, expiring_at = n.expiring_at
        FROM (SELECT m.id, expiring_at_of(m.valid_from, m.expires_at, p.renewal_window_days) AS expiring_at,
                CASE WHEN m.renewal_wanted IS NOT NULL OR m.expires_at IS NULL
                    THEN coalesce(m.renew_after, CASE WHEN p.auto_renew AND i.enabled THEN v_now END)
                    WHEN m.renew_after IS NOT NULL OR (p.auto_renew AND i.enabled)
                    THEN least(renew_after_of(m.id, m.valid_from, m.expires_at, p.renewal_window_days, p.renewal_percent), renewal_window_at(m.id)) END AS renew_after
            FROM unnest(v_ids) AS u (id) JOIN managed_certificates m ON m.id = u.id
            JOIN renewal_policies p ON p.id = m.renewal_policy_id JOIN issuers i ON i.id = m.issuer_id) n
        WHERE c.id = n.id AND (c.renew_after IS DISTINCT FROM n.renew_after OR c.expiring_at IS DISTINCT FROM n.expiring_at)
        RETURNING c.id, c.status, c.expiring_at
    )
    SELECT array_agg(t.id) INTO v_other FROM timed t
        WHERE t.status = CASE WHEN t.expiring_at <= v_now THEN 'Active' ELSE 'Expiring' END;
    IF v_other IS NOT NULL THEN PERFORM certificates_refresh(v_other); END IF;
    RETURN coalesce(cardinality(v_ids), 0);
END $$;

-- Certificates that are set aside though their policy and issuer are on.  The pairs that have any are picked out of the
-- index one by one, so that what stays aside is not walked.
CREATE FUNCTION renewals_set_aside(p_limit int) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_sort = off AS $$
    WITH RECURSIVE aside AS (
        (SELECT c.issuer_id, c.renewal_policy_id FROM managed_certificates c WHERE certificate_is_aside(c)
        ORDER BY c.issuer_id, c.renewal_policy_id LIMIT 1)
        UNION ALL
        SELECT n.issuer_id, n.renewal_policy_id FROM aside a
        CROSS JOIN LATERAL (SELECT c.issuer_id, c.renewal_policy_id FROM managed_certificates c
            WHERE certificate_is_aside(c) AND (c.issuer_id, c.renewal_policy_id) > (a.issuer_id, a.renewal_policy_id)
            ORDER BY c.issuer_id, c.renewal_policy_id LIMIT 1) n
    ), back AS MATERIALIZED (
        SELECT a.issuer_id, a.renewal_policy_id FROM aside a
        WHERE (SELECT i.enabled FROM issuers i WHERE i.id = a.issuer_id)
            AND (SELECT p.auto_renew FROM renewal_policies p WHERE p.id = a.renewal_policy_id)
    )
    SELECT array_agg(f.id) FROM (SELECT w.id FROM back b CROSS JOIN LATERAL (SELECT c.id FROM managed_certificates c
            WHERE certificate_is_aside(c) AND c.issuer_id = b.issuer_id AND c.renewal_policy_id = b.renewal_policy_id
            ORDER BY c.issuer_id, c.renewal_policy_id LIMIT p_limit) w LIMIT p_limit) f
$$;

-- The next step of a walk: the policy's certificates among the p_limit behind p_low, whosoever's they are; all of a
-- policy's at once where they are few. last: where the next step begins; NULL: this was the last one.
CREATE FUNCTION policy_change_step(p_policy text, p_low text, p_total bigint, p_limit int, OUT ids text[], OUT last text)
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE v_seen bigint;
BEGIN
    IF p_total < p_limit THEN
        SELECT array_agg(c.id) INTO ids FROM managed_certificates c WHERE c.renewal_policy_id = p_policy AND c.expires_at IS NOT NULL;
        RETURN;
    END IF;
    SELECT array_agg(w.id) FILTER (WHERE w.renewal_policy_id = p_policy AND w.expires_at IS NOT NULL), max(w.id), count(*)
        INTO ids, last, v_seen
    FROM (SELECT c.id, c.renewal_policy_id, c.expires_at FROM managed_certificates c WHERE c.id > p_low ORDER BY c.id LIMIT p_limit) w;
    IF v_seen < p_limit THEN last := NULL; END IF;
END $$;

-- A chunk of what policies and issuers that changed mean for certificates.  The walk begins when every transaction is over
-- that may have read the policy as it was, so that what such a one writes is behind it.  Where somebody holds a certificate
-- the walk goes on, and comes back to that step at the end.
CREATE FUNCTION duty_policy_changes(p_limit int, OUT rows bigint, OUT is_more bool) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_xmin xid8 := pg_snapshot_xmin(pg_current_snapshot());
    v_ids text[] := renewals_set_aside(p_limit); v_change policy_changes; v_last text;
BEGIN
    IF v_ids IS NOT NULL THEN
        rows := certificates_retime(v_ids);
        is_more := rows > 0;
        RETURN;
    END IF;
    SELECT k.* INTO v_change FROM policy_changes k WHERE k.horizon IS NULL OR k.horizon <= v_xmin
        ORDER BY k.changed_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    rows := 0;
    is_more := FOUND;
    IF v_change.horizon IS NULL THEN
        UPDATE policy_changes k SET horizon = pg_snapshot_xmax(pg_current_snapshot()),
            total = (SELECT count(*) FROM managed_certificates c WHERE c.renewal_policy_id = k.policy_id)
        WHERE k.policy_id = v_change.policy_id;
        RETURN;
    END IF;
    SELECT s.ids, s.last INTO v_ids, v_last FROM policy_change_step(v_change.policy_id, v_change.low_id, v_change.total, p_limit) s;
    rows := certificates_retime(v_ids);
    IF rows < cardinality(v_ids) THEN v_change.again_id := coalesce(v_change.again_id, v_change.low_id); END IF;
    IF v_last IS NULL AND v_change.again_id IS NULL THEN
        DELETE FROM policy_changes k WHERE k.policy_id = v_change.policy_id;
        is_more := EXISTS (SELECT 1 FROM policy_changes);
    ELSE
        UPDATE policy_changes k SET low_id = coalesce(v_last, v_change.again_id), done = least(k.done + rows, k.total - 1),
            again_id = CASE WHEN v_last IS NOT NULL THEN v_change.again_id END
        WHERE k.policy_id = v_change.policy_id;
        is_more := v_last IS NOT NULL;
    END IF;
END $$;
