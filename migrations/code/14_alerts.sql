-- Who is told: of certificates that are about to expire, and of what happened to them.

-- A policy's thresholds; what is no number of days is passed over.
CREATE FUNCTION thresholds_of(p_thresholds jsonb) RETURNS SETOF int LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN x.v ~ '^[0-9]{1,3}$' THEN x.v::int END
    FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(p_thresholds) = 'array' THEN p_thresholds ELSE '[]' END) AS x (v)
    WHERE x.v ~ '^[0-9]{1,3}$'
$$;

-- Alerts of these certificates, as far as they are due and were not made: one a channel, for the tightest threshold passed.
-- A threshold that lies before the certificate's validity began is never passed.  p_words: the messages "expires" and
-- "expired", of name, common name, end, threshold and days left.  is_held: somebody holds rows of some, which got none.
-- What was told already and is looked at again is counted as such.
CREATE FUNCTION expiry_alerts_make(p_ids text[], p_now timestamptz, p_words jsonb, OUT made bigint, OUT is_held bool)
LANGUAGE sql SECURITY DEFINER AS $$
    -- First those, by their ids: by their policies they would be looked for among all certificates.
    WITH named AS MATERIALIZED (
        SELECT c.id, c.name, c.common_name, c.expires_at, c.valid_from, c.owner_id, c.renewal_policy_id
        FROM managed_certificates c WHERE c.id = ANY (p_ids) AND c.status NOT IN ('Revoked', 'Archived')
    ), looked AS MATERIALIZED (
        SELECT c.id, c.name, c.common_name, c.expires_at, c.owner_id, p.alert_channels, p.alert_severity_map, t.days,
            a.certificate_id IS NULL AS is_first, (a.expires_at = c.expires_at AND a.threshold_days <= t.days) IS TRUE AS is_known
        FROM named c JOIN renewal_policies p ON p.id = c.renewal_policy_id
        CROSS JOIN LATERAL (SELECT min(d) AS days FROM thresholds_of(p.alert_thresholds_days) AS d
            WHERE c.expires_at <= p_now + days(d) AND (c.valid_from IS NULL OR c.valid_from < c.expires_at - days(d))) t
        LEFT JOIN expiry_alerts a ON a.certificate_id = c.id
        WHERE t.days IS NOT NULL
    ), due AS MATERIALIZED (
        SELECT l.id, l.expires_at, l.days,
            EXISTS (SELECT 1 FROM managed_certificates h WHERE h.id = l.id FOR KEY SHARE SKIP LOCKED) AND (l.is_first
                OR EXISTS (SELECT 1 FROM expiry_alerts h WHERE h.certificate_id = l.id FOR NO KEY UPDATE SKIP LOCKED)) AS is_free
        FROM looked l WHERE NOT l.is_known
    ), fresh AS (
        INSERT INTO expiry_alerts AS a (certificate_id, expires_at, threshold_days, alerted_at)
        SELECT d.id, d.expires_at, d.days, p_now FROM due d WHERE d.is_free ORDER BY d.id
        ON CONFLICT (certificate_id) DO UPDATE SET expires_at = excluded.expires_at,
            threshold_days = excluded.threshold_days, alerted_at = excluded.alerted_at RETURNING certificate_id
    ), routed AS (
        SELECT d.*, CASE WHEN t.tier IN ('informational', 'warning', 'critical') THEN t.tier ELSE 'informational' END AS severity,
            CASE WHEN jsonb_typeof(d.alert_channels -> t.tier) = 'array' THEN d.alert_channels -> t.tier
                ELSE '["Email"]' END AS channels
        FROM looked d LEFT JOIN fresh f ON f.certificate_id = d.id
        CROSS JOIN LATERAL (SELECT coalesce(nullif(lower(d.alert_severity_map ->> d.days::text), ''),
            policy_alert_tiers() ->> d.days::text, 'informational') AS tier) t
        WHERE d.is_known OR f.certificate_id IS NOT NULL
    ), sent AS (
        SELECT r.*, x.name AS given, enum_canonical(x.name, '{Email,Webhook,Slack,Teams,PagerDuty,OpsGenie}') AS channel
        FROM routed r CROSS JOIN LATERAL (SELECT DISTINCT e.name FROM jsonb_array_elements_text(r.channels) AS e (name)) x
    ), made AS (
        INSERT INTO notification_events (id, type, certificate_id, channel, recipient, message, created_at, severity, threshold_days)
        SELECT DISTINCT ON (s.id, s.channel) id_new('notif'), 'ExpirationWarning', s.id, s.channel,
            left(coalesce(nullif(o.email, ''), s.owner_id), 255),
            format(p_words ->> CASE WHEN s.expires_at <= p_now THEN 'expired' ELSE 'expires' END, s.name, s.common_name,
                to_char(s.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), s.days,
                floor(extract(epoch FROM s.expires_at - p_now) / 86400)),
            p_now, s.severity, s.days FROM sent s LEFT JOIN owners o ON o.id = s.owner_id
        WHERE s.channel IN ('Email', 'Webhook', 'Slack', 'Teams', 'PagerDuty', 'OpsGenie') AND NOT s.is_known
        ORDER BY s.id, s.channel RETURNING 1
    ), deduped AS (
        INSERT INTO stat_moves (kind, key, n)
        SELECT 'expiry_alert', concat_ws(' ', s.channel, s.days, 'deduped'), count(DISTINCT s.id) FROM sent s
        WHERE s.channel IN ('Email', 'Webhook', 'Slack', 'Teams', 'PagerDuty', 'OpsGenie') AND s.is_known GROUP BY s.channel, s.days
    ), skipped AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT 'system', 'System', 'expiration_alert_skipped_no_channels', 'certificate', r.id,
            jsonb_build_object('threshold_days', r.days, 'severity', r.severity)
        FROM routed r WHERE r.channels = '[]' AND NOT r.is_known
        UNION ALL
        SELECT 'system', 'System', 'expiration_alert_skipped_invalid_channel', 'certificate', s.id,
            jsonb_build_object('threshold_days', s.days, 'severity', s.severity, 'channel', s.given)
        FROM sent s WHERE s.channel NOT IN ('Email', 'Webhook', 'Slack', 'Teams', 'PagerDuty', 'OpsGenie') AND NOT s.is_known
    )
    SELECT (SELECT count(*) FROM made), EXISTS (SELECT 1 FROM due d WHERE NOT d.is_free)
$$;

-- One piece of a run, which ends where a window holds p_limit certificates.  It looks at those whose distance to their end
-- passed a threshold in use since the last time, and those made since.  Now and then, and when a policy was changed, it
-- looks again at all that are within a threshold, for what was changed by hand; so it does after a run that met what
-- somebody holds.
CREATE FUNCTION duty_expiry_alerts(p_limit int, p_is_first bool, p_words jsonb) RETURNS TABLE (rows bigint, is_more bool)
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    v_now timestamptz := engine_now(); v_state expiry_alert_state; v_days int[];
    v_from timestamptz; v_to timestamptz;
    v_made_from timestamptz; v_made_to timestamptz; v_ids text[]; v_made record;
BEGIN
    SELECT s.* INTO v_state FROM expiry_alert_state s FOR UPDATE;
    SELECT coalesce(array_agg(DISTINCT d), '{}') INTO v_days
        FROM renewal_policies p CROSS JOIN LATERAL thresholds_of(p.alert_thresholds_days) AS d;
    v_from := v_state.crossed_to;
    -- In a run of many pieces the overlap, for what commits late, is one.
    v_made_from := v_state.created_to - policy_alert_overlap() * p_is_first::int;
    IF p_is_first AND (v_state.full_at < v_now - policy_alert_full()
            OR EXISTS (SELECT 1 FROM renewal_policies p WHERE p.updated_at > v_state.full_at)) THEN
        v_state.full_at := v_now;
        v_from := v_now - days(coalesce((SELECT max(d) FROM unnest(v_days) d), 0)) - policy_alert_known();
        -- Those are all; the new ones need no look of their own.
        v_made_from := v_now;
        v_state.created_to := v_now;
    END IF;
    SELECT least(v_now, min((SELECT c.expires_at FROM managed_certificates c
            WHERE c.expires_at > v_from + days(d) AND c.expires_at <= v_now + days(d)
            ORDER BY c.expires_at OFFSET p_limit LIMIT 1) - days(d))) INTO v_to FROM unnest(v_days) d;
    v_made_to := least(v_now, (SELECT c.created_at FROM managed_certificates c
        WHERE c.created_at > v_state.created_to ORDER BY c.created_at OFFSET p_limit LIMIT 1));
    SELECT array_agg(f.id) INTO v_ids FROM (
        SELECT c.id FROM unnest(v_days) d JOIN managed_certificates c
            ON c.expires_at > greatest(v_from + days(d), v_now - policy_alert_known()) AND c.expires_at <= v_to + days(d)
        UNION
        -- Found by when they were made, whatever the planner thinks of their ends.
        SELECT c.id FROM (SELECT n.id, n.expires_at FROM managed_certificates n
            WHERE n.created_at > v_made_from AND n.created_at <= v_made_to ORDER BY n.created_at OFFSET 0) c
        WHERE c.expires_at > v_now - policy_alert_known()
            AND c.expires_at <= v_now + days((SELECT max(d) FROM unnest(v_days) d))) f;
    SELECT m.made, m.is_held INTO v_made FROM expiry_alerts_make(v_ids, v_now, p_words) m;
    UPDATE expiry_alert_state s SET crossed_to = v_to, created_to = v_made_to,
        full_at = CASE WHEN v_made.is_held THEN '-infinity' ELSE v_state.full_at END;
    RETURN QUERY SELECT v_made.made, v_to < v_now OR v_made_to < v_now;
END $$;

-- --- what happened ---
-- As it is stored, of what is told.
CREATE FUNCTION notification_type(p_type text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_type WHEN 'EndpointFailure' THEN 'DeploymentFailure' ELSE p_type END
$$;

-- Notifications of what happened to these certificates: one each and channel, or one for all of a kind and recipient where
-- they are many.  The channels are those that the renewal policy names for the tier, else e-mail; what is informational is
-- told only where a policy names some.  A failure that was told of is not told again within a day.  p_abouts: beside the
-- certificate, what it is about; p_facts: what is said.  EndpointFailure, of a health check, has words of its own and is
-- stored as the DeploymentFailure that clients know.  Of a certificate that somebody holds it is told without its id.
-- p_words: by type, of name, common name, fact and end, and with ".many" of how many there are, some names and the fact.
CREATE FUNCTION notifications_make(p_ids text[], p_types text[], p_tiers text[], p_abouts text[], p_facts text[], p_now timestamptz,
    p_words jsonb) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    WITH asked AS MATERIALIZED (
        SELECT DISTINCT ON (u.id, u.type, u.about) u.* FROM unnest(p_ids, p_types, p_tiers, p_abouts, p_facts)
            WITH ORDINALITY AS u (id, type, tier, about, fact, at) ORDER BY u.id, u.type, u.about, u.at DESC
    ), routed AS MATERIALIZED (
        SELECT a.*, c.name, c.common_name, c.expires_at, c.owner_id, CASE
                WHEN jsonb_typeof(p.alert_channels -> a.tier) = 'array' THEN p.alert_channels -> a.tier
                WHEN a.tier = 'informational' THEN '[]' ELSE '["Email"]' END AS channels
        FROM asked a JOIN managed_certificates c ON c.id = a.id JOIN renewal_policies p ON p.id = c.renewal_policy_id
        CROSS JOIN LATERAL notification_type(a.type) AS k (type)
        WHERE NOT (a.type LIKE '%Failure' AND (c.status IN ('Revoked', 'Archived') OR EXISTS (SELECT 1 FROM notification_events n
            WHERE n.certificate_id = a.id AND n.id > id_bound('notif', clock_timestamp() - policy_notify_again())
                AND n.type = k.type AND n.about = a.about)))
    ), sent AS MATERIALIZED (
        SELECT s.*, count(*) OVER w AS n, row_number() OVER (w ORDER BY s.name) AS nth
        FROM (SELECT DISTINCT r.id, r.type, r.tier, r.about, r.fact, r.name, r.common_name, r.expires_at, t.recipient,
                enum_canonical(x.name, '{Email,Webhook,Slack,Teams,PagerDuty,OpsGenie}') AS channel
            FROM routed r CROSS JOIN LATERAL jsonb_array_elements_text(r.channels) AS x (name)
            LEFT JOIN owners o ON o.id = r.owner_id
            CROSS JOIN LATERAL (SELECT left(coalesce(nullif(o.email, ''), r.owner_id), 255) AS recipient) t) s
        WHERE s.channel IN ('Email', 'Webhook', 'Slack', 'Teams', 'PagerDuty', 'OpsGenie')
        WINDOW w AS (PARTITION BY s.channel, s.recipient, s.type, s.tier, CASE WHEN s.type = 'PolicyViolation' THEN s.about END)
    ), made AS (
        INSERT INTO notification_events (id, type, certificate_id, channel, recipient, message, created_at, severity, about)
        SELECT id_new('notif'), notification_type(s.type),
                (SELECT h.id FROM managed_certificates h WHERE h.id = s.id FOR KEY SHARE SKIP LOCKED), s.channel, s.recipient, format(p_words ->> s.type, s.name, s.common_name,
                left(s.fact, policy_notify_text()), to_char(s.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')), p_now, s.tier, s.about
            FROM sent s WHERE s.n <= policy_notify_single() OR s.type LIKE '%Failure'
        UNION ALL
        SELECT id_new('notif'), s.type, NULL, s.channel, s.recipient, format(p_words ->> (s.type || '.many'), s.n,
                string_agg(s.name, ', ' ORDER BY s.nth), min(left(s.fact, policy_notify_text()))), p_now, s.tier, min(s.about)
            FROM sent s WHERE s.n > policy_notify_single() AND s.nth <= policy_notify_named() AND s.type NOT LIKE '%Failure'
            GROUP BY s.channel, s.recipient, s.type, s.tier, s.n, CASE WHEN s.type = 'PolicyViolation' THEN s.about END
        RETURNING 1
    )
    SELECT count(*) FROM made
$$;

-- Of the next events of the audit trail: no transaction that issues or deploys writes a notification.
CREATE FUNCTION duty_event_alerts(p_limit int, p_words jsonb, OUT rows bigint, OUT is_more bool) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_read record; v_told record; v_successes bool := EXISTS (SELECT 1 FROM renewal_policies p WHERE p.alert_channels ? 'informational');
BEGIN
    rows := 0;
    SELECT r.* INTO v_read FROM audit_read('event_alerts', '{renewal_job_completed,renewal_job_failed,deployment_job_completed,
        deployment_job_failed,certificate_revoked,health_check_status_transition}', p_limit) r;
    is_more := v_read.is_more;
    SELECT array_agg(e.certificate ORDER BY e.at) AS ids, array_agg(t.type ORDER BY e.at) AS types, array_agg(t.tier ORDER BY e.at) AS tiers,
            array_agg(coalesce(e.details ->> 'target_id', e.health_check, '') ORDER BY e.at) AS abouts,
            array_agg(concat_ws(': ', coalesce(e.details ->> 'target_id', e.details ->> 'endpoint'),
                coalesce(e.details ->> 'error', e.details ->> 'reason')) ORDER BY e.at) AS facts
        INTO v_told
    FROM (SELECT u.action, u.details, u.at, CASE WHEN h.is_one THEN u.id END AS health_check,
            CASE WHEN h.is_one THEN u.details ->> 'certificate_id' ELSE u.id END AS certificate
        FROM unnest(v_read.actions, v_read.ids, v_read.details) WITH ORDINALITY AS u (action, id, details, at)
        CROSS JOIN LATERAL (SELECT u.action = 'health_check_status_transition' AS is_one) h
        -- Whose certificate is expected there is told, once it does not answer for good or with another one.
        WHERE NOT h.is_one OR u.details ? 'certificate_id' AND u.details ->> 'to' IN ('down', 'cert_mismatch')) e
    JOIN (VALUES ('renewal_job_completed', 'RenewalSuccess', 'informational'), ('renewal_job_failed', 'RenewalFailure', 'warning'),
        ('deployment_job_completed', 'DeploymentSuccess', 'informational'), ('deployment_job_failed', 'DeploymentFailure', 'warning'),
        ('certificate_revoked', 'Revocation', 'warning'), ('health_check_status_transition', 'EndpointFailure', 'warning'))
        AS t (action, type, tier) ON t.action = e.action
    WHERE v_successes OR t.tier <> 'informational';
    IF v_told.ids IS NOT NULL THEN
        rows := notifications_make(v_told.ids, v_told.types, v_told.tiers, v_told.abouts, v_told.facts, engine_now(), p_words);
    END IF;
END $$;

-- What was told before the cut goes, whatever the statistics say of the table; its ids hold their time.
CREATE FUNCTION duty_notification_retention(p_keep_ms bigint, p_limit int) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    WITH cut AS MATERIALIZED (SELECT engine_now() - ms(p_keep_ms) AS at), gone AS (
        DELETE FROM notification_events n WHERE n.id IN (SELECT o.id FROM notification_events o
            WHERE o.id < (SELECT id_bound('notif', c.at) FROM cut c) AND o.created_at < (SELECT c.at FROM cut c)
                AND o.status IN ('sent', 'read', 'dead')
            ORDER BY o.id LIMIT p_limit FOR UPDATE SKIP LOCKED) RETURNING 1)
    SELECT count(*) FROM gone
$$;
