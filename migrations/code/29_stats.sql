-- Numbers that are kept, so that no answer costs with the inventory.
--
-- Kinds and their keys: certificate (status; times: the hour of its end), job (status), agent (active: those not retired),
-- notification (dead), which follow the rows; and those
-- that only grow, whatever becomes of the rows: job_ended (status; times: the day), issuance (type of the issuer and
-- outcome; the day), issuance_le (type and bucket of how long it took), issuance_ms (type), issuance_failure (type and class
-- of an attempt's failure), expiry_alert (channel, threshold and what came of it), vault_token (what renewals of
-- Vault's tokens came to); 34_acme_stats.sql has those of the ACME
-- server.  Times count from 1970, UTC.
--
-- A trigger writes what a statement changed as one row for each key; nobody waits for another's commit, and what is rolled
-- back was never counted.  A number is what was folded and what was not yet, in one snapshot.

-- The hour of a time, none of one that is out of reach; the day.
CREATE FUNCTION stat_hour(p_at timestamptz) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_at > '-infinity' AND p_at < '10000-01-01Z' THEN floor(date_part('epoch', p_at) / 3600)::int END
$$;
CREATE FUNCTION stat_day(p_at timestamptz) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT floor(date_part('epoch', p_at) / 86400)::int
$$;
CREATE FUNCTION stat_date(p_day int) RETURNS date LANGUAGE sql IMMUTABLE AS $$ SELECT 'epoch'::date + p_day $$;

CREATE VIEW stat_totals_now AS
SELECT u.kind, u.key, sum(u.n)::bigint AS n
FROM (SELECT t.kind, t.key, t.n FROM stat_totals t UNION ALL SELECT m.kind, m.key, m.n FROM stat_moves m) u
GROUP BY u.kind, u.key;

CREATE VIEW stat_series_now AS
SELECT u.kind, u.at, u.key, sum(u.n)::bigint AS n
FROM (SELECT s.kind, s.at, s.key, s.n FROM stat_series s
    UNION ALL SELECT m.kind, t.at, m.key, t.n FROM stat_moves m CROSS JOIN LATERAL unnest(m.at, m.ns) AS t (at, n)) u
GROUP BY u.kind, u.at, u.key;

-- Whether the numbers are those of the rows: not between an upgrade that brought them and the first run of the duty.
CREATE VIEW stat_state AS SELECT EXISTS (SELECT 1 FROM duty_marks m WHERE m.name = 'stats') AS is_counted;

-- --- triggers ---
-- came, went: the rows as they are and as they were.  Those of certificates and jobs write the live events too
-- (35_events.sql): another trigger would gather the same rows again.
CREATE FUNCTION stats_certificates() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_keys text[]; v_at int[]; v_ns int[];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM stats_recount();
    ELSIF TG_OP = 'INSERT' THEN
        SELECT array_agg(g.key), array_agg(g.at), array_agg(g.n) INTO v_keys, v_at, v_ns FROM (
            SELECT c.status::text AS key, stat_hour(c.expires_at) AS at, count(*)::int AS n FROM came c GROUP BY 1, 2) g;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(g.key), array_agg(g.at), array_agg(g.n) INTO v_keys, v_at, v_ns FROM (
            SELECT c.status::text AS key, stat_hour(c.expires_at) AS at, -count(*)::int AS n FROM went c GROUP BY 1, 2) g;
    ELSE
        SELECT array_agg(g.key), array_agg(g.at), array_agg(g.n) INTO v_keys, v_at, v_ns FROM (
            SELECT u.status::text AS key, stat_hour(u.expires_at) AS at, sum(u.n)::int AS n
            FROM (SELECT c.status, c.expires_at, 1 AS n FROM came c
                UNION ALL SELECT c.status, c.expires_at, -1 FROM went c) u
            GROUP BY 1, 2 HAVING sum(u.n) <> 0) g;
    END IF;
    IF v_keys IS NOT NULL THEN
        INSERT INTO stat_moves (kind, key, n, at, ns)
        SELECT 'certificate', u.key, sum(u.n), array_agg(u.at) FILTER (WHERE u.at IS NOT NULL),
            array_agg(u.n) FILTER (WHERE u.at IS NOT NULL)
        FROM unnest(v_keys, v_at, v_ns) AS u (key, at, n) GROUP BY u.key;
    END IF;
    -- What came and what went of a row are found by sorting, however many there are and whatever the planner believes.
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO event_changes (kind, id, was, became)
        SELECT 'certificate', u.id, min(u.was), min(u.became)
        FROM (SELECT c.id, NULL AS was, c.status AS became, c.expires_at FROM came c
            UNION ALL SELECT c.id, c.status, NULL, c.expires_at FROM went c) u
        GROUP BY u.id HAVING min(u.was) <> min(u.became) OR min(u.expires_at) <> max(u.expires_at)
            OR count(u.expires_at) = 1;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO event_changes (kind, id, became) SELECT 'certificate', c.id, c.status FROM came c;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO event_changes (kind, id, was) SELECT 'certificate', c.id, c.status FROM went c;
    END IF;
    RETURN NULL;
END $$;

-- What has ended never changes its state again, so it is what came without what went.
CREATE FUNCTION stats_jobs() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_keys text[]; v_ns int[]; v_ids text[]; v_was text[]; v_became text[];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM stats_recount();
    ELSIF TG_OP = 'INSERT' THEN
        SELECT array_agg(g.key), array_agg(g.n) INTO v_keys, v_ns FROM (
            SELECT j.status::text AS key, count(*)::int AS n FROM came j GROUP BY 1) g;
        INSERT INTO event_changes (kind, id, became) SELECT 'job', j.id, j.status FROM came j;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(g.key), array_agg(g.n) INTO v_keys, v_ns FROM (
            SELECT j.status::text AS key, -count(*)::int AS n FROM went j GROUP BY 1) g;
    ELSE
        SELECT array_agg(g.id), array_agg(g.was), array_agg(g.became) INTO v_ids, v_was, v_became FROM (
            SELECT u.id, min(u.was) AS was, min(u.became) AS became
            FROM (SELECT j.id, NULL AS was, j.status AS became FROM came j UNION ALL SELECT j.id, j.status, NULL FROM went j) u
            GROUP BY u.id HAVING min(u.was) <> min(u.became)) g;
        IF v_ids IS NULL THEN RETURN NULL; END IF;
        INSERT INTO event_changes (kind, id, was, became) SELECT 'job', u.id, u.was, u.became
        FROM unnest(v_ids, v_was, v_became) AS u (id, was, became);
        SELECT array_agg(g.key), array_agg(g.n) INTO v_keys, v_ns FROM (SELECT u.key, sum(u.n)::int AS n
            FROM (SELECT b.key, 1 AS n FROM unnest(v_became) AS b (key) UNION ALL SELECT w.key, -1 FROM unnest(v_was) AS w (key)) u
            GROUP BY 1 HAVING sum(u.n) <> 0) g;
    END IF;
    INSERT INTO stat_moves (kind, key, n) SELECT 'job', u.key, u.n FROM unnest(v_keys, v_ns) AS u (key, n);
    IF TG_OP = 'UPDATE' AND v_keys && '{Completed,Failed}' THEN
        INSERT INTO stat_moves (kind, key, n, at, ns)
        WITH ended AS MATERIALIZED (
            SELECT u.status, stat_day(u.completed_at) AS day,
                CASE WHEN job_issues(u.type) THEN coalesce(i.type, 'unknown') END AS issuer,
                stat_le(stat_ms(u.started_at, u.completed_at)) AS le, sum(u.n)::int AS n,
                sum(u.n * stat_ms(u.started_at, u.completed_at))::bigint AS ms
            FROM (SELECT j.status, j.type, j.issuer_id, j.started_at, j.completed_at, 1 AS n FROM came j
                    WHERE j.status IN ('Completed', 'Failed')
                UNION ALL SELECT j.status, j.type, j.issuer_id, j.started_at, j.completed_at, -1 FROM went j
                    WHERE j.status IN ('Completed', 'Failed')) u
            LEFT JOIN issuers i ON i.id = u.issuer_id GROUP BY u.status, day, issuer, le HAVING sum(u.n) <> 0)
        SELECT 'job_ended', e.status, sum(e.n), ARRAY[e.day], ARRAY[sum(e.n)::int] FROM ended e GROUP BY e.status, e.day
        UNION ALL SELECT 'issuance', e.issuer || CASE e.status WHEN 'Failed' THEN ' failure' ELSE ' success' END,
            sum(e.n), ARRAY[e.day], ARRAY[sum(e.n)::int]
            FROM ended e WHERE e.issuer IS NOT NULL GROUP BY e.issuer, e.status, e.day
        UNION ALL SELECT 'issuance_le', e.issuer || ' ' || e.le, sum(e.n), NULL, NULL
            FROM ended e WHERE e.issuer IS NOT NULL AND e.status = 'Completed' GROUP BY e.issuer, e.le
        UNION ALL SELECT 'issuance_ms', e.issuer, sum(e.ms), NULL, NULL
            FROM ended e WHERE e.issuer IS NOT NULL AND e.status = 'Completed' GROUP BY e.issuer;
    END IF;
    RETURN NULL;
END $$;

-- Agents that came or went (moved; the argument is the sign), and one whose retirement changed: heartbeats fire neither.
CREATE FUNCTION stats_agents() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO stat_moves (kind, key, n) SELECT 'agent', 'active', g.n
    FROM (SELECT TG_ARGV[0]::int * count(*) AS n FROM moved m WHERE m.retired_at IS NULL) g WHERE g.n <> 0;
    RETURN NULL;
END $$;
CREATE FUNCTION stats_agent_retired() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO stat_moves (kind, key, n) VALUES ('agent', 'active', CASE WHEN NEW.retired_at IS NULL THEN 1 ELSE -1 END);
    RETURN NULL;
END $$;
-- The same of notifications: those that are dead.
CREATE FUNCTION stats_notifications() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO stat_moves (kind, key, n) SELECT 'notification', 'dead', g.n
    FROM (SELECT TG_ARGV[0]::int * count(*) AS n FROM moved m WHERE m.status = 'dead') g WHERE g.n <> 0;
    RETURN NULL;
END $$;
CREATE FUNCTION stats_emptied() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM stats_recount();
    RETURN NULL;
END $$;

-- Of changed notifications those that are dead now, or were; and alerts before certificates end that reached somebody or
-- nobody, by channel, threshold and that.
CREATE FUNCTION stats_alerts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO stat_moves (kind, key, n) SELECT 'notification', 'dead', g.n
    FROM (SELECT (SELECT count(*) FROM came c WHERE c.status = 'dead')
        - (SELECT count(*) FROM went w WHERE w.status = 'dead') AS n) g WHERE g.n <> 0;
    INSERT INTO stat_moves (kind, key, n)
    SELECT 'expiry_alert', concat_ws(' ', c.channel, c.threshold_days,
        CASE c.status WHEN 'sent' THEN 'success' ELSE 'failure' END), count(*)
    FROM came c JOIN went w ON w.id = c.id
    WHERE c.type = 'ExpirationWarning' AND c.status IN ('sent', 'dead') AND w.status IN ('pending', 'failed')
    GROUP BY c.channel, c.threshold_days, c.status;
    RETURN NULL;
END $$;

-- From the first hand-out to the end; the least of the histogram's buckets that holds it.
CREATE FUNCTION stat_ms(p_from timestamptz, p_to timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(ceil(1000 * date_part('epoch', p_to - p_from)), 0)::bigint
$$;
CREATE FUNCTION stat_buckets() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT '{0.05,0.1,0.25,0.5,1,2.5,5,10,30,60,120,+Inf}'::text[]
$$;
CREATE FUNCTION stat_le(p_ms bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (stat_buckets())[1 + width_bucket(p_ms - 1,
        '{50,100,250,500,1000,2500,5000,10000,30000,60000,120000}'::bigint[])]
$$;

-- What a worker counted since it told the last time: so many of each result.
CREATE FUNCTION stats_vault_tokens(p_results text[], p_ns bigint[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO stat_moves (kind, key, n) SELECT 'vault_token', u.result, u.n FROM unnest(p_results, p_ns) AS u (result, n) WHERE u.n > 0;
END $$;

-- --- reading ---
-- Certificates in these statuses that end up to then: whole hours by their numbers, of the last one the rows.
CREATE FUNCTION stat_ended_by(p_at timestamptz, p_statuses text[] DEFAULT '{Active,Expiring}') RETURNS TABLE (status text, n bigint)
LANGUAGE sql STABLE AS $$
    SELECT u.status, sum(u.n)::bigint
    FROM (SELECT s.key AS status, s.n FROM stat_series_now s
            WHERE s.kind = 'certificate' AND s.at < stat_hour(p_at) AND s.key = ANY (p_statuses)
        UNION ALL SELECT c.status, 1 FROM managed_certificates c WHERE c.expires_at >= date_trunc('hour', p_at, 'UTC')
            AND c.expires_at <= p_at AND c.status = ANY (p_statuses)) u
    GROUP BY u.status
$$;

-- A histogram's lines of each key: how many took so long at most, and of the last all and their sum.
CREATE FUNCTION stat_histogram(p_keys text[], p_le text, p_ms text)
RETURNS TABLE (key text, le text, at bigint, up_to bigint, total bigint, sum_ms bigint) LANGUAGE sql STABLE AS $$
    SELECT u.key, b.le, b.at, coalesce(sum(k.n), 0)::bigint, CASE b.le WHEN '+Inf' THEN coalesce(sum(k.n), 0)::bigint END,
        CASE b.le WHEN '+Inf' THEN coalesce((SELECT t.n FROM stat_totals_now t WHERE t.kind = p_ms AND t.key = u.key), 0) END
    FROM unnest(p_keys) AS u (key) CROSS JOIN unnest(stat_buckets()) WITH ORDINALITY AS b (le, at)
    LEFT JOIN stat_totals_now k ON k.kind = p_le AND k.key = ANY (ARRAY(SELECT u.key || ' ' || o.le FROM unnest((stat_buckets())[:b.at]) AS o (le)))
    GROUP BY u.key, b.le, b.at
$$;

-- --- keeping ---
-- Puts right what is not as the rows say.  In one statement, so that what others commit meanwhile is in both or in neither.
-- What only grows begins with the jobs that are there, once.
CREATE FUNCTION stats_recount() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    WITH kinds AS (SELECT '{certificate,job,agent,notification,acme_account,acme_order}'::text[]
        || CASE WHEN NOT EXISTS (SELECT 1 FROM stat_totals t WHERE t.kind = 'job_ended') THEN '{job_ended,issuance}'::text[] ELSE '{}' END AS known),
    rows AS (
        SELECT 'certificate' AS kind, c.status::text AS key, stat_hour(c.expires_at) AS at, count(*) AS n
            FROM managed_certificates c GROUP BY c.status, stat_hour(c.expires_at)
        UNION ALL SELECT 'job', j.status, NULL, count(*) FROM jobs j GROUP BY 2
        UNION ALL SELECT 'agent', 'active', NULL, count(*) FROM agents a WHERE a.retired_at IS NULL
        UNION ALL SELECT 'notification', 'dead', NULL, count(*) FROM notification_events n WHERE n.status = 'dead'
        UNION ALL SELECT 'acme_account', a.status, NULL, count(*) FROM acme_accounts a GROUP BY a.status
        UNION ALL SELECT 'acme_order', o.status, NULL, count(*) FROM acme_orders o GROUP BY o.status
        UNION ALL SELECT 'job_ended', j.status, stat_day(j.completed_at), count(*) FROM jobs j
            WHERE j.status IN ('Completed', 'Failed') GROUP BY j.status, stat_day(j.completed_at)
        UNION ALL SELECT 'issuance', i.type || CASE j.status WHEN 'Failed' THEN ' failure' ELSE ' success' END,
            stat_day(j.completed_at), count(*) FROM jobs j JOIN issuers i ON i.id = j.issuer_id
            WHERE j.status IN ('Completed', 'Failed') AND job_issues(j.type) GROUP BY i.type, j.status, stat_day(j.completed_at)
        UNION ALL SELECT s.kind, s.key, s.at, -s.n FROM stat_series_now s
        -- Of no time is what the total has beside its times.
        UNION ALL SELECT s.kind, s.key, NULL, s.n FROM stat_series_now s
        UNION ALL SELECT t.kind, t.key, NULL, -t.n FROM stat_totals_now t
    )
    INSERT INTO stat_moves (kind, key, n, at, ns)
    SELECT d.kind, d.key, sum(d.n), array_agg(d.at) FILTER (WHERE d.at IS NOT NULL),
        array_agg(d.n) FILTER (WHERE d.at IS NOT NULL)
    FROM (SELECT r.kind, r.key, r.at, sum(r.n)::int AS n FROM rows r, kinds k WHERE r.kind = ANY (k.known)
        GROUP BY r.kind, r.key, r.at HAVING sum(r.n) <> 0) d
    GROUP BY d.kind, d.key
$$;

-- Adds up what was written, and forgets days that nobody can ask for.  Whoever comes second takes what is left.
CREATE FUNCTION duty_stats_fold(p_limit int) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_n bigint;
BEGIN
    INSERT INTO duty_marks (name) VALUES ('stats') ON CONFLICT DO NOTHING;
    IF FOUND THEN PERFORM stats_recount(); END IF;
    WITH taken AS (
        DELETE FROM stat_moves m WHERE m.ctid = ANY (ARRAY(SELECT o.ctid FROM stat_moves o LIMIT p_limit))
        RETURNING m.kind, m.key, m.n, m.at, m.ns
    ), totals AS (
        INSERT INTO stat_totals AS t (kind, key, n) SELECT k.kind, k.key, sum(k.n) FROM taken k GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (kind, key) DO UPDATE SET n = t.n + excluded.n
    ), series AS (
        INSERT INTO stat_series AS s (kind, at, key, n) SELECT k.kind, u.at, k.key, sum(u.n)
        FROM taken k CROSS JOIN LATERAL unnest(k.at, k.ns) AS u (at, n) GROUP BY k.kind, u.at, k.key HAVING sum(u.n) <> 0
        ORDER BY k.kind, u.at, k.key
        ON CONFLICT (kind, at, key) DO UPDATE SET n = s.n + excluded.n
    )
    SELECT count(*) INTO v_n FROM taken;
    DELETE FROM stat_series s WHERE s.n = 0;
    DELETE FROM stat_series s
        WHERE s.kind IN ('job_ended', 'issuance') AND s.at < stat_day(engine_now() - policy_stats_kept());
    RETURN v_n;
END $$;
