-- The lists beside bulk calls' events: read over the API, checked with the
-- chain, and removed with the events.

-- What is wrong with a block, or NULL; its rows, and the lists beside them, are
-- looked at unless some of them are older than p_kept_from.
CREATE OR REPLACE FUNCTION audit_block_fault(b audit_blocks, p_previous audit_blocks, p_kept_from timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_now record;
    v_id text;
BEGIN
    IF b.n <> coalesce(p_previous.n, 0) + 1 THEN
        RETURN format('block %s is missing', coalesce(p_previous.n, 0) + 1);
    ELSIF b.hash <> audit_block_hash(b) OR b.rows_hash <> sha256(b.row_marks) THEN
        RETURN format('block %s was changed: its hash is not that of its fields', b.n);
    ELSIF b.previous_hash <> coalesce(p_previous.hash, decode(repeat('00', 32), 'hex')) THEN
        RETURN format('block %s does not follow block %s: one of them was replaced', b.n, b.n - 1);
    ELSIF b.epoch = p_previous.epoch AND b.from_xid <> p_previous.to_xid THEN
        RETURN format('block %s does not begin where block %s ends', b.n, b.n - 1);
    END IF;
    IF b.rows > 0 AND b.oldest < p_kept_from THEN
        RETURN NULL;
    END IF;
    SELECT * INTO v_now FROM audit_rows_of(b.epoch, b.from_xid, b.to_xid);
    IF v_now.rows <> b.rows THEN
        RETURN format('block %s was sealed with %s rows and has %s', b.n, b.rows, v_now.rows);
    ELSIF audit_merkle_root(v_now.leaves) <> b.merkle_root THEN
        RETURN format('a row of block %s was changed', b.n);
    END IF;
    SELECT e.id INTO v_id FROM audit_events e LEFT JOIN audit_attachments t ON t.id = e.details ->> 'attachment_id'
        WHERE e.epoch = b.epoch AND e.xid >= b.from_xid AND e.xid < b.to_xid AND e.details ? 'attachment_sha256'
            AND e.details ->> 'attachment_sha256' IS DISTINCT FROM encode(sha256(convert_to(t.content, 'UTF8')), 'hex')
        LIMIT 1;
    IF v_id IS NOT NULL THEN
        RETURN format('the attachment of %s in block %s was changed or removed', v_id, b.n);
    END IF;
    RETURN NULL;
END $$;

-- The oldest month of audit events, when all of it is older than the cut and
-- sealed, with the lists beside them; a month that is empty needs no seal.
-- Waits for the table's lock a moment only, since every writer of events would
-- wait behind it.  Outcomes: removed, none (nothing is old enough), unsealed, busy.
CREATE OR REPLACE FUNCTION duty_audit_retention(p_keep_ms bigint) RETURNS TABLE (outcome text, partition text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    v_cut timestamptz := engine_now() - make_interval(secs => p_keep_ms / 1000.0);
    v_name text;
    v_until timestamptz;
    v_first bigint;
    v_last bigint;
    v_is_sealed bool := false;
BEGIN
    SELECT c.relname INTO v_name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'audit_events'::regclass AND c.relname ~ '^audit_events_[0-9]{4}_[0-9]{2}$'
        ORDER BY c.relname LIMIT 1;
    v_until := (to_date(substr(v_name, 14), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC';
    IF v_name IS NULL OR v_until > v_cut THEN
        RETURN QUERY SELECT 'none', ''::text;
        RETURN;
    END IF;
    EXECUTE format('SELECT min(seq), max(seq) FROM %I', v_name) INTO v_first, v_last;
    IF v_first IS NULL THEN
        v_is_sealed := true;
    ELSIF to_regprocedure('audit_is_sealed_before(timestamptz)') IS NOT NULL THEN
        EXECUTE 'SELECT audit_is_sealed_before($1)' INTO v_is_sealed USING v_until;
    END IF;
    IF v_is_sealed IS NOT TRUE THEN
        RETURN QUERY SELECT 'unsealed', v_name;
        RETURN;
    END IF;
    BEGIN
        LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('ALTER TABLE audit_events DETACH PARTITION %I', v_name);
        EXECUTE format('DROP TABLE %I', v_name);
        -- A list is written just before its event, which may be of the next
        -- month by then.
        DELETE FROM audit_attachments t WHERE t.created_at < v_until - interval '1 day';
    EXCEPTION WHEN lock_not_available THEN
        RETURN QUERY SELECT 'busy', v_name;
        RETURN;
    END;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        VALUES ('system', 'System', 'audit_partition_removed', 'audit_partition', v_name,
            jsonb_build_object('first_seq', v_first, 'last_seq', v_last, 'until', v_until), 'config');
    RETURN QUERY SELECT 'removed', v_name;
END $$;

DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_apiserver') THEN
        GRANT SELECT ON audit_attachments TO certctl_apiserver;
    END IF;
END $$;
