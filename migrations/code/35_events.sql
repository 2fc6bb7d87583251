-- Live events.
--
-- A change is a row of event_changes, written by a trigger in the same transaction.  Neither the sequence nor the time of
-- such a row says when it can be seen: a transaction that began first may commit last.  So rows are told of by snapshots.
-- Whoever looks and finds something new notes a batch: the snapshot of the batch before (was) and its own (seen).  A batch
-- is what seen shows and was does not, in the order of the sequence, and that is the same for whoever reads it, at any
-- time.  A transaction that stays open keeps nothing back but its own rows: they come with the batch that sees it ended.
-- Batches have no gaps: of two that look at once one writes number n + 1 and the other finds it taken; so the snapshot
-- of the next is always a later one.  Within a batch a row's changes stand in their order, since the second one waits for
-- the first one's commit before it takes a number.
--
-- Kinds: certificate, job, agent (was and became: statuses), deployment (id: the target, subject: the certificate), health_check
-- (subject: the certificate), replacement (subject: the new issuer), duty (id: its name), condition (subject: of whom) and
-- access: somebody's key or role changed, which is told to apiservers and to nobody else.

-- --- writing ---
CREATE FUNCTION events_certificate_edited() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO event_changes (kind, id, subject, was, became) VALUES ('certificate', NEW.id, 'edited', OLD.status, NEW.status);
    RETURN NULL;
END $$;
CREATE FUNCTION events_agent() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO event_changes (kind, id, was, became)
    VALUES ('agent', NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN CASE WHEN OLD.retired_at IS NULL THEN OLD.status ELSE 'Retired' END END,
        CASE WHEN NEW.retired_at IS NULL THEN NEW.status ELSE 'Retired' END);
    RETURN NULL;
END $$;
CREATE FUNCTION events_deployment() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO event_changes (kind, id, subject, was, became)
    VALUES ('deployment', NEW.target_id, NEW.certificate_id, CASE WHEN OLD.deploy_failures > 0 THEN 'Failed'
            WHEN OLD.deployed_version_id IS NOT NULL THEN 'Deployed' END,
        CASE WHEN NEW.deploy_failures > OLD.deploy_failures THEN 'Failed' ELSE 'Deployed' END);
    RETURN NULL;
END $$;
CREATE FUNCTION events_health_check() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO event_changes (kind, id, subject, was, became)
    VALUES ('health_check', coalesce(NEW.id, OLD.id), CASE WHEN TG_OP = 'DELETE' THEN OLD.certificate_id ELSE NEW.certificate_id END,
        replace(initcap(OLD.status), '_', ''), replace(initcap(NEW.status), '_', ''));
    RETURN NULL;
END $$;
-- One a piece of the duty, however many certificates that piece was of.
CREATE FUNCTION events_replacement() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO event_changes (kind, id, subject, was, became)
    VALUES ('replacement', coalesce(NEW.id, OLD.id), coalesce(NEW.to_issuer_id, OLD.to_issuer_id), initcap(OLD.state), initcap(NEW.state));
    RETURN NULL;
END $$;
-- Of a run that somebody asked for: those by the clock are several a second, and nobody waits for one of them.
CREATE FUNCTION events_duty() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO event_changes (kind, id, was, became)
    VALUES ('duty', NEW.name, CASE OLD.last_outcome WHEN 'running' THEN 'Running' END,
        CASE NEW.last_outcome WHEN 'running' THEN 'Running' WHEN 'ok' THEN 'Completed' ELSE 'Failed' END);
    RETURN NULL;
END $$;
CREATE FUNCTION events_access() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO event_changes (kind, id) VALUES ('access', '');
    RETURN NULL;
END $$;

-- Notes the conditions that came and went since somebody looked last.  One looks at a time.
CREATE FUNCTION events_conditions() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('certctl.events_conditions', 0)) THEN
        RETURN;
    END IF;
    WITH found AS MATERIALIZED (
        SELECT c.name, c.subject, min(c.since) AS since FROM conditions c GROUP BY c.name, c.subject
    ), came AS (
        INSERT INTO event_conditions (name, subject, since) SELECT f.name, coalesce(f.subject, ''), f.since FROM found f
        ON CONFLICT DO NOTHING RETURNING name, subject, since
    ), went AS (
        DELETE FROM event_conditions e WHERE NOT EXISTS (SELECT FROM found f
            WHERE f.name = e.name AND coalesce(f.subject, '') = e.subject) RETURNING e.name, e.subject, e.since
    )
    INSERT INTO event_changes (kind, id, subject, was, became, since)
    SELECT 'condition', w.name, w.subject, w.was, w.became, w.since FROM (
        SELECT g.name, g.subject, 'Raised' AS was, NULL AS became, g.since FROM went g
        UNION ALL SELECT c.name, c.subject, NULL, 'Raised', c.since FROM came c ORDER BY 1, 2) w;
END $$;

-- --- reading ---
-- A dump that was restored in another cluster, where numbers of transactions are smaller: nothing of before can be told
-- of, and who asks for it is told so.
CREATE FUNCTION events_begin_anew() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM event_changes c WHERE c.xid >= pg_snapshot_xmax(pg_current_snapshot());
    WITH last AS (SELECT coalesce(max(b.n), 0) AS n FROM event_batches b),
    gone AS (DELETE FROM event_batches RETURNING n)
    INSERT INTO event_batches (n, was, seen) SELECT last.n + 1, pg_current_snapshot(), pg_current_snapshot() FROM last
    ON CONFLICT (n) DO NOTHING;
$$;

CREATE FUNCTION events_publish() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_last event_batches;
BEGIN
    SELECT * INTO v_last FROM event_batches b ORDER BY b.n DESC LIMIT 1;
    IF v_last.n IS NULL OR pg_snapshot_xmax(v_last.seen) > pg_snapshot_xmax(pg_current_snapshot()) THEN
        PERFORM events_begin_anew();
        RETURN;
    END IF;
    -- The batch before is read by the statement whose snapshot is noted.
    INSERT INTO event_batches (n, was, seen, top)
    SELECT b.n + 1, b.seen, pg_current_snapshot(), (SELECT q.last_value FROM event_seq q)
    FROM (SELECT o.n, o.seen FROM event_batches o ORDER BY o.n DESC LIMIT 1) b
    WHERE EXISTS (SELECT FROM event_changes c WHERE c.xid >= pg_snapshot_xmax(b.seen))
        OR EXISTS (SELECT FROM pg_snapshot_xip(b.seen) AS x (xid) JOIN event_changes c ON c.xid = x.xid)
    ON CONFLICT (n) DO NOTHING;
END $$;

-- The changes of one batch, those behind p_seq.
CREATE FUNCTION events_of(p_was pg_snapshot, p_seen pg_snapshot, p_seq bigint, p_limit int) RETURNS SETOF event_changes
LANGUAGE sql STABLE AS $$
    SELECT c.* FROM (SELECT o.* FROM pg_snapshot_xip(p_was) AS x (xid) JOIN event_changes o ON o.xid = x.xid
        UNION ALL SELECT o.* FROM event_changes o WHERE o.xid >= pg_snapshot_xmax(p_was) AND o.xid < pg_snapshot_xmax(p_seen)) c
    WHERE c.seq > p_seq AND pg_visible_in_snapshot(c.xid, p_seen) ORDER BY c.seq LIMIT p_limit
$$;

-- What came behind that place, p_limit changes at most, and last a row without a kind: the newest batch.  outcome of that
-- row: ok, or gone: that place is none any more.  p_batch NULL: that row alone.  p_mark NULL: whatever it is.
CREATE FUNCTION events_look(p_batch bigint, p_mark int, p_seq bigint, p_limit int)
RETURNS TABLE (batch bigint, mark int, seq bigint, kind text, id text, subject text, was text, became text, since timestamptz,
    at timestamptz, name text, type text, certificate_id text, agent_id text, issuer_id text, team_id text, target_id text,
    outcome text)
LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE v_last event_batches; b event_batches; v_n int; v_left int := p_limit;
BEGIN
    PERFORM events_publish();
    SELECT * INTO v_last FROM event_batches o ORDER BY o.n DESC LIMIT 1;
    FOR b IN SELECT o.* FROM event_batches o WHERE o.n >= p_batch AND o.n <= v_last.n ORDER BY o.n LOOP
        EXIT WHEN v_left <= 0;
        CONTINUE WHEN b.n = p_batch AND p_seq IS NULL;
        RETURN QUERY SELECT b.n, b.mark, e.seq, e.kind, e.id, CASE WHEN e.kind IN ('certificate', 'condition') THEN e.subject END, e.was, e.became,
            e.since, e.at, coalesce(m.name, a.name)::text, coalesce(j.type, t.type)::text, m.id, coalesce(j.agent_id, a.id, t.agent_id),
            coalesce(j.issuer_id, m.issuer_id, CASE e.kind WHEN 'replacement' THEN e.subject END), m.team_id, coalesce(j.target_id, t.id), NULL
        FROM events_of(b.was, b.seen, CASE WHEN b.n = p_batch THEN p_seq ELSE 0 END, v_left) e
        LEFT JOIN jobs j ON e.kind = 'job' AND j.id = e.id
        LEFT JOIN agents a ON e.kind = 'agent' AND a.id = e.id
        LEFT JOIN deployment_targets t ON e.kind = 'deployment' AND t.id = e.id
        LEFT JOIN managed_certificates m ON m.id = CASE e.kind WHEN 'certificate' THEN e.id WHEN 'job' THEN j.certificate_id
            WHEN 'deployment' THEN e.subject WHEN 'health_check' THEN e.subject END
        ORDER BY e.seq;
        GET DIAGNOSTICS v_n = ROW_COUNT;
        v_left := v_left - v_n;
    END LOOP;
    -- Batches leave before their changes do: as long as the first is there, nothing was missing.
    RETURN QUERY SELECT v_last.n, v_last.mark, NULL::bigint, NULL, NULL, NULL, NULL, NULL, NULL::timestamptz, NULL::timestamptz, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, CASE WHEN p_batch IS NULL OR EXISTS (SELECT FROM event_batches o
            WHERE o.n = p_batch AND (p_mark IS NULL OR o.mark = p_mark)) THEN 'ok' ELSE 'gone' END;
END $$;

-- --- keeping ---
-- Ends batches that are too old or more than may be kept, but for the newest, and then takes their changes away, p_limit
-- of them.  It looks, too: so that no batch is longer than what comes about between two runs.
CREATE FUNCTION duty_event_retention(p_limit int) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_was pg_snapshot; v_n bigint;
BEGIN
    PERFORM events_publish();
    DELETE FROM event_batches b USING (SELECT o.n, o.top FROM event_batches o ORDER BY o.n DESC LIMIT 1) last
    WHERE b.n < last.n AND b.n <= (SELECT coalesce(max(o.n), 0) FROM event_batches o
        WHERE o.at < clock_timestamp() - policy_events_kept() OR o.top < last.top - policy_events_most());
    SELECT b.was INTO v_was FROM event_batches b ORDER BY b.n LIMIT 1;
    DELETE FROM event_changes c WHERE c.ctid = ANY (ARRAY(SELECT o.ctid FROM event_changes o
        WHERE o.xid < pg_snapshot_xmax(v_was) AND pg_visible_in_snapshot(o.xid, v_was) ORDER BY o.xid, o.seq LIMIT p_limit));
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;
