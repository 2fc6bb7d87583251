-- Sealing the audit trail: rows are put into blocks, each with the root of a
-- Merkle tree over its rows and the hash of the block before it.  Writers
-- take no lock for it; docs/internals/audit.md has the rules and the format.

-- --- epochs ---
-- Transaction ids start again in another cluster, so ranges of them mean
-- something within an epoch only.  A new one begins when the newest epoch's
-- cluster is not this one: after a dump was restored elsewhere.  Epoch 0 are
-- the rows from before there were blocks.
CREATE TABLE audit_epochs (
    n int PRIMARY KEY,
    system_identifier bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO audit_epochs (n, system_identifier) SELECT 0, 0 UNION ALL SELECT 1, system_identifier FROM pg_control_system();

CREATE FUNCTION audit_epoch_look() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_system bigint := (SELECT c.system_identifier FROM pg_control_system() c);
    v_last audit_epochs;
BEGIN
    SELECT * INTO v_last FROM audit_epochs ORDER BY n DESC LIMIT 1;
    IF v_last.system_identifier <> v_system THEN
        INSERT INTO audit_epochs (n, system_identifier) VALUES (v_last.n + 1, v_system) ON CONFLICT DO NOTHING;
        SELECT * INTO v_last FROM audit_epochs ORDER BY n DESC LIMIT 1;
    END IF;
    -- For the session; undone with the transaction, as the row would be.
    PERFORM set_config('certctl.audit_epoch', v_last.n::text, false);
    RETURN v_last.n;
END $$;
-- A session looks once: reading the control file costs as much as a row.
CREATE FUNCTION audit_epoch() RETURNS int LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(nullif(current_setting('certctl.audit_epoch', true), '')::int, audit_epoch_look())
$$;

-- The key is the order of sealing, so that it costs no index of its own; it
-- is also the order of lists, newest first.  Times are looked for in ranges
-- of pages, which costs writers next to nothing.
ALTER TABLE audit_events ADD COLUMN epoch int NOT NULL DEFAULT 0;
ALTER TABLE audit_events ALTER COLUMN epoch SET DEFAULT audit_epoch();
ALTER TABLE audit_events DROP CONSTRAINT audit_events_pkey;
ALTER TABLE audit_events ADD PRIMARY KEY (epoch, xid, seq, timestamp);
CREATE INDEX audit_events_timestamp ON audit_events USING brin (timestamp)
    WITH (pages_per_range = 32, autosummarize = on);

-- --- blocks ---
CREATE TABLE audit_blocks (
    n bigint PRIMARY KEY,
    epoch int NOT NULL REFERENCES audit_epochs (n),
    from_xid xid8 NOT NULL, -- the horizon of the block before
    to_xid xid8 NOT NULL, -- its own; not included
    rows int NOT NULL,
    oldest timestamptz NOT NULL, -- of its rows
    newest timestamptz NOT NULL,
    sealed_at timestamptz NOT NULL,
    merkle_root bytea NOT NULL,
    rows_hash bytea NOT NULL, -- of row_marks
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    -- seq and the first 8 bytes of the leaf hash, 16 bytes a row:
    -- what names the row when the root no longer fits.
    row_marks bytea NOT NULL,
    UNIQUE (epoch, to_xid)
);
ALTER TABLE audit_blocks ALTER COLUMN row_marks SET STORAGE EXTERNAL;

CREATE FUNCTION audit_chain_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER audit_blocks_worm BEFORE UPDATE OR DELETE ON audit_blocks
    FOR EACH ROW EXECUTE FUNCTION audit_chain_refuse_change();
CREATE TRIGGER audit_blocks_worm_truncate BEFORE TRUNCATE ON audit_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION audit_chain_refuse_change();
CREATE TRIGGER audit_epochs_worm BEFORE UPDATE OR DELETE ON audit_epochs
    FOR EACH ROW EXECUTE FUNCTION audit_chain_refuse_change();
CREATE TRIGGER audit_epochs_worm_truncate BEFORE TRUNCATE ON audit_epochs
    FOR EACH STATEMENT EXECUTE FUNCTION audit_chain_refuse_change();

-- How far the duty that verifies has come; the first fault it met stays.
CREATE TABLE audit_verification (
    id int PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    next_n bigint NOT NULL DEFAULT 1,
    rounds bigint NOT NULL DEFAULT 0, -- walks through all of history
    blocks bigint NOT NULL DEFAULT 0, -- looked at, ever
    rows bigint NOT NULL DEFAULT 0,
    looked_at timestamptz,
    broken_n bigint,
    broken_what text,
    broken_at timestamptz
);
INSERT INTO audit_verification DEFAULT VALUES;

-- --- hashes ---
CREATE FUNCTION audit_us(p_at timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (extract(epoch FROM p_at) * 1000000)::bigint
$$;

-- Every field as a netstring (length in bytes, colon, bytes, comma), so that
-- no two rows have one text.  SHA-256 of 0x00 and that text, as RFC 9162.
CREATE FUNCTION audit_leaf(e audit_events) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256('\x00'::bytea || convert_to(concat('19:certctl-audit-row-1,',
        length(e.epoch::text), ':', e.epoch, ',', length(e.xid::text), ':', e.xid, ',', length(e.seq::text), ':', e.seq, ',',
        length(audit_us(e.timestamp)::text), ':', audit_us(e.timestamp), ',',
        octet_length(e.id), ':', e.id, ',', octet_length(e.actor), ':', e.actor, ',',
        octet_length(e.actor_type), ':', e.actor_type, ',', octet_length(e.action), ':', e.action, ',',
        octet_length(e.resource_type), ':', e.resource_type, ',', octet_length(e.resource_id), ':', e.resource_id, ',',
        octet_length(e.event_category), ':', e.event_category, ',',
        coalesce(octet_length(e.details::text), 0), ':', e.details, ','), 'UTF8'))
$$;

-- The tree of RFC 9162, level by level: pairs are hashed with 0x01 before
-- them, an odd last one moves up as it is.  p_level: 32 bytes a leaf.
CREATE FUNCTION audit_merkle_level(p_level bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(sha256('\x01'::bytea || substring(p_level FROM 64 * i + 1 FOR 64)), ''::bytea ORDER BY i)
        || CASE WHEN octet_length(p_level) % 64 = 32 THEN substring(p_level FROM octet_length(p_level) - 31) ELSE ''::bytea END
    FROM generate_series(0, octet_length(p_level) / 64 - 1) AS i
$$;
CREATE FUNCTION audit_merkle_root(p_leaves bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF octet_length(p_leaves) = 0 THEN
        RETURN sha256(''::bytea);
    END IF;
    WHILE octet_length(p_leaves) > 32 LOOP
        p_leaves := audit_merkle_level(p_leaves);
    END LOOP;
    RETURN p_leaves;
END $$;
-- The siblings on the way from leaf p_index (from 0) to the root.
CREATE FUNCTION audit_merkle_path(p_leaves bytea, p_index int) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_path text[] := '{}';
    v_sibling int;
BEGIN
    WHILE octet_length(p_leaves) > 32 LOOP
        v_sibling := p_index # 1;
        IF 32 * v_sibling < octet_length(p_leaves) THEN
            v_path := v_path || encode(substring(p_leaves FROM 32 * v_sibling + 1 FOR 32), 'hex');
        END IF;
        p_leaves := audit_merkle_level(p_leaves);
        p_index := p_index / 2;
    END LOOP;
    RETURN v_path;
END $$;

-- What a block's rows come to now.
CREATE FUNCTION audit_rows_of(p_epoch int, p_from xid8, p_to xid8)
RETURNS TABLE (rows int, oldest timestamptz, newest timestamptz, leaves bytea, row_marks bytea)
LANGUAGE sql STABLE AS $$
    SELECT count(*)::int, min(s.timestamp), max(s.timestamp), coalesce(string_agg(s.leaf, ''::bytea), ''),
        coalesce(string_agg(int8send(s.seq) || substring(s.leaf FROM 1 FOR 8), ''::bytea), '')
    FROM (SELECT e.seq, e.timestamp, audit_leaf(e) AS leaf FROM audit_events e
        WHERE e.epoch = p_epoch AND e.xid >= p_from AND e.xid < p_to ORDER BY e.xid, e.seq) s
$$;

CREATE FUNCTION audit_block_hash(b audit_blocks) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256('\x02'::bytea || convert_to(string_agg(octet_length(f) || ':' || f || ',', '' ORDER BY i), 'UTF8'))
    FROM unnest(ARRAY['certctl-audit-block-1', b.n::text, b.epoch::text, b.from_xid::text, b.to_xid::text, b.rows::text,
        audit_us(b.oldest)::text, audit_us(b.newest)::text, audit_us(b.sealed_at)::text, encode(b.merkle_root, 'hex'),
        encode(b.rows_hash, 'hex'), encode(b.previous_hash, 'hex')]) WITH ORDINALITY AS u (f, i)
$$;

-- --- sealing ---

-- One block at most: the rows that no transaction can add to any more, of a
-- size near p_limit (the rows of one transaction stay together).  is_behind:
-- there is more.  lag_ms: the age of the oldest row that must still wait.
CREATE FUNCTION audit_seal(p_limit int) RETURNS TABLE (rows bigint, is_behind bool, lag_ms bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_last audit_blocks;
    v_new audit_blocks;
    v_current int;
    v_horizon xid8;
    v_first xid8;
    v_cut xid8;
    v_leaves bytea;
    v_oldest timestamptz;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('certctl.audit_seal', 0)) THEN
        RETURN QUERY SELECT 0::bigint, false, 0::bigint;
        RETURN;
    END IF;
    v_current := audit_epoch_look();
    SELECT * INTO v_last FROM audit_blocks b ORDER BY b.n DESC LIMIT 1;
    v_new.n := coalesce(v_last.n, 0) + 1;
    -- Nobody writes in an older epoch: what is left there needs no horizon.
    IF v_last.epoch IS DISTINCT FROM v_current THEN
        SELECT e.epoch INTO v_new.epoch FROM audit_events e
        WHERE (e.epoch, e.xid) >= (coalesce(v_last.epoch, 0), coalesce(v_last.to_xid, '0')) AND e.epoch < v_current
        ORDER BY e.epoch, e.xid, e.seq LIMIT 1;
    END IF;
    v_new.epoch := coalesce(v_new.epoch, v_current);
    v_new.from_xid := CASE WHEN v_last.epoch = v_new.epoch THEN v_last.to_xid ELSE '0' END;
    IF v_new.epoch = v_current THEN
        v_horizon := pg_snapshot_xmin(pg_current_snapshot());
    ELSE
        SELECT (e.xid::text::numeric + 1)::text::xid8 INTO v_horizon FROM audit_events e
        WHERE e.epoch = v_new.epoch ORDER BY e.xid DESC, e.seq DESC LIMIT 1;
    END IF;
    IF v_horizon < v_new.from_xid THEN
        RAISE EXCEPTION 'transaction ids went back from % to %: is this database a copy of files older than its last block?',
            v_new.from_xid, v_horizon;
    END IF;

    v_new.to_xid := v_horizon;
    SELECT e.xid INTO v_cut FROM audit_events e
    WHERE e.epoch = v_new.epoch AND e.xid >= v_new.from_xid AND e.xid < v_horizon
    ORDER BY e.xid, e.seq OFFSET p_limit LIMIT 1;
    IF v_cut IS NOT NULL THEN
        SELECT e.xid INTO v_first FROM audit_events e
        WHERE e.epoch = v_new.epoch AND e.xid >= v_new.from_xid ORDER BY e.xid, e.seq LIMIT 1;
        v_new.to_xid := CASE WHEN v_cut > v_first THEN v_cut ELSE (v_cut::text::numeric + 1)::text::xid8 END;
    END IF;

    SELECT r.rows, r.oldest, r.newest, r.leaves, r.row_marks INTO v_new.rows, v_new.oldest, v_new.newest, v_leaves, v_new.row_marks
    FROM audit_rows_of(v_new.epoch, v_new.from_xid, v_new.to_xid) r;
    -- An epoch begins with a block, if need be an empty one.
    IF v_new.rows > 0 OR v_last.epoch IS DISTINCT FROM v_new.epoch THEN
        v_new.sealed_at := clock_timestamp();
        v_new.oldest := coalesce(v_new.oldest, v_new.sealed_at);
        v_new.newest := coalesce(v_new.newest, v_new.sealed_at);
        v_new.merkle_root := audit_merkle_root(v_leaves);
        v_new.rows_hash := sha256(v_new.row_marks);
        v_new.previous_hash := coalesce(v_last.hash, decode(repeat('00', 32), 'hex'));
        v_new.hash := audit_block_hash(v_new);
        INSERT INTO audit_blocks SELECT v_new.*;
    END IF;
    SELECT e.timestamp INTO v_oldest FROM audit_events e
    WHERE e.epoch = v_new.epoch AND e.xid >= v_new.to_xid ORDER BY e.xid, e.seq LIMIT 1;
    RETURN QUERY SELECT v_new.rows::bigint, v_cut IS NOT NULL OR v_new.epoch < v_current,
        coalesce(greatest((extract(epoch FROM clock_timestamp() - v_oldest) * 1000)::bigint, 0), 0);
END $$;

-- Rows older than this may be gone: where the oldest partition begins.
CREATE FUNCTION audit_kept_from() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT min(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''([^'']+)''\)')::timestamptz)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.audit_events'::regclass
$$;
-- Whether every row older than that is in a block, and may be removed.
CREATE FUNCTION audit_is_sealed_before(p_before timestamptz) RETURNS bool
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.timestamp < p_before AND (e.epoch, e.xid) >= (
        coalesce((SELECT b.epoch FROM audit_blocks b ORDER BY b.n DESC LIMIT 1), 0),
        coalesce((SELECT b.to_xid FROM audit_blocks b ORDER BY b.n DESC LIMIT 1), '0')))
$$;

-- --- verifying ---

-- What is wrong with a block, or NULL; its rows are looked at unless some of
-- them are older than p_kept_from.
CREATE FUNCTION audit_block_fault(b audit_blocks, p_previous audit_blocks, p_kept_from timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_now record;
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
    RETURN NULL;
END $$;

-- The next blocks, about p_rows rows of them; past the last it begins again
-- at the first in the next call.  A loop over blocks: each is one statement.
CREATE FUNCTION audit_chain_verify(p_rows int)
RETURNS TABLE (rows bigint, is_at_end bool, fault text, last_n bigint, last_hash text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_kept_from timestamptz := audit_kept_from();
    v_state audit_verification;
    v_previous audit_blocks;
    v_block audit_blocks;
    v_rows bigint := 0;
    v_blocks bigint := 0;
    v_fault text;
    v_first_fault text;
BEGIN
    SELECT * INTO v_state FROM audit_verification v WHERE v.id = 1 FOR NO KEY UPDATE;
    SELECT * INTO v_previous FROM audit_blocks b WHERE b.n < v_state.next_n ORDER BY b.n DESC LIMIT 1;
    LOOP
        SELECT * INTO v_block FROM audit_blocks b WHERE b.n >= v_state.next_n ORDER BY b.n LIMIT 1;
        EXIT WHEN NOT FOUND OR v_rows >= p_rows OR v_blocks >= p_rows;
        v_fault := audit_block_fault(v_block, v_previous, v_kept_from);
        IF v_fault IS NOT NULL AND v_state.broken_n IS NULL THEN
            v_state.broken_n := v_block.n;
            v_state.broken_what := v_fault;
            v_state.broken_at := clock_timestamp();
        END IF;
        v_first_fault := coalesce(v_first_fault, v_fault);
        v_rows := v_rows + v_block.rows;
        v_blocks := v_blocks + 1;
        v_state.next_n := v_block.n + 1;
        v_previous := v_block;
    END LOOP;
    UPDATE audit_verification v SET next_n = CASE WHEN v_block.n IS NULL THEN 1 ELSE v_state.next_n END,
        rounds = v.rounds + (v_block.n IS NULL)::int, blocks = v.blocks + v_blocks, rows = v.rows + v_rows,
        looked_at = clock_timestamp(), broken_n = v_state.broken_n, broken_what = v_state.broken_what,
        broken_at = v_state.broken_at
    WHERE v.id = 1;
    RETURN QUERY SELECT v_rows, v_block.n IS NULL, v_first_fault, v_previous.n, encode(v_previous.hash, 'hex');
END $$;

-- --- rights ---
DO $$
DECLARE
    r text;
BEGIN
    REVOKE ALL ON FUNCTION audit_epoch_look(), audit_epoch(), audit_chain_refuse_change(), audit_us(timestamptz),
        audit_leaf(audit_events), audit_merkle_level(bytea), audit_merkle_root(bytea), audit_merkle_path(bytea, int),
        audit_rows_of(int, xid8, xid8), audit_block_hash(audit_blocks), audit_seal(int), audit_kept_from(),
        audit_is_sealed_before(timestamptz), audit_block_fault(audit_blocks, audit_blocks, timestamptz),
        audit_chain_verify(int) FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_apiserver') THEN
        -- What orders and seals a row is never the writer's choice.
        REVOKE INSERT ON audit_events FROM certctl_apiserver;
        GRANT INSERT (actor, actor_type, action, resource_type, resource_id, details, event_category)
            ON audit_events TO certctl_apiserver;
        GRANT SELECT ON audit_epochs, audit_blocks, audit_verification TO certctl_apiserver;
        GRANT EXECUTE ON FUNCTION audit_us(timestamptz), audit_leaf(audit_events), audit_merkle_level(bytea),
            audit_merkle_path(bytea, int), audit_rows_of(int, xid8, xid8), audit_kept_from() TO certctl_apiserver;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_scheduler') THEN
        GRANT EXECUTE ON FUNCTION audit_seal(int), audit_chain_verify(int), audit_is_sealed_before(timestamptz)
            TO certctl_scheduler;
    END IF;
    -- Defaults of a column run as the calling role.
    FOREACH r IN ARRAY '{certctl_apiserver,certctl_scheduler,certctl_worker}'::text[] LOOP
        IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = r) THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION audit_epoch(), audit_epoch_look() TO %I', r);
        END IF;
    END LOOP;
END $$;
