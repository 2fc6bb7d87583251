-- Sealing the audit trail: rows are put into blocks, each with the root of a Merkle tree over its rows and the hash of the
-- block before it.  Writers take no lock for it; docs/internals/audit.md has the rules and the format.

-- --- the trail ---
-- Partitions from last month to some months ahead; there is no default one, so a row can never hide from retention.
CREATE FUNCTION audit_partitions_ensure() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_from timestamp := date_trunc('month', engine_now() AT TIME ZONE 'UTC'); v_name text;
BEGIN
    FOR i IN -1..policy_audit_months() LOOP
        v_name := 'audit_events_' || to_char(v_from + make_interval(months => i), 'YYYY_MM');
        IF to_regclass('public.' || v_name) IS NULL THEN
            EXECUTE format('CREATE TABLE public.%I PARTITION OF audit_events FOR VALUES FROM (%L) TO (%L)', v_name,
                (v_from + make_interval(months => i)) AT TIME ZONE 'UTC', (v_from + make_interval(months => i + 1)) AT TIME ZONE 'UTC');
        END IF;
    END LOOP;
END $$;

-- Removal is left to retention, which runs as the owner; nobody else may.
CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_ARGV[0] USING ERRCODE = 'check_violation';
END $$;

-- --- what no event shows ---
-- Keys of details, in lower case, whose values are secrets or of persons, and what stands there instead.
CREATE FUNCTION audit_hidden() RETURNS TABLE (keys text[], shown text) LANGUAGE sql IMMUTABLE AS $$
    VALUES ('{api_key,apikey,password,passphrase,passwd,secret,client_secret,webhook_secret,hmac_secret,token,access_token,refresh_token,
            id_token,bootstrap_token,session_token,csrf_token,cookie,credential,credentials,private_key,privatekey,private_key_pem,key_pem,
            key_value,cert_pem,chain_pem,full_pem,eab_secret,eab_kid,acme_account_key,hmac,hmac_key,signing_key,encryption_key,routing_key,
            signature,auth,authorization,bearer}'::text[], '[REDACTED:CREDENTIAL]'),
        ('{email,email_address,phone,phone_number,telephone,ssn,social_security,dob,date_of_birth,name,full_name,first_name,last_name,
            surname,address,street,street_address,city,postal_code,zip,zipcode,ip,ip_address}', '[REDACTED:PII]')
$$;

-- A value as it is shown, whatever lies in it.
CREATE FUNCTION audit_shown(p_value jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN CASE jsonb_typeof(p_value)
        WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(m.key, coalesce(('"' || h.shown || '"')::jsonb, audit_shown(m.value))), '{}')
            FROM jsonb_each(p_value) AS m LEFT JOIN audit_hidden() AS h ON lower(m.key) = ANY (h.keys))
        WHEN 'array' THEN (SELECT coalesce(jsonb_agg(audit_shown(e.value) ORDER BY e.n), '[]')
            FROM jsonb_array_elements(p_value) WITH ORDINALITY AS e (value, n))
        ELSE p_value END;
END $$;

-- The one place that all details pass; redacted_keys are those whose values are hidden.
CREATE FUNCTION audit_redact() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_keys jsonb;
BEGIN
    NEW.details := audit_shown(NEW.details);
    SELECT jsonb_agg(DISTINCT m ->> 'key') INTO v_keys FROM jsonb_path_query(NEW.details, 'strict $.** ? (@.type() == "object").keyvalue()') AS m
        WHERE m ->> 'value' IN (SELECT h.shown FROM audit_hidden() AS h);
    IF v_keys IS NOT NULL THEN NEW.details := NEW.details || jsonb_build_object('redacted_keys', v_keys); END IF;
    RETURN NEW;
END $$;

-- --- epochs ---
CREATE FUNCTION audit_epoch_look() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_system bigint := (SELECT c.system_identifier FROM pg_control_system() c); v_last audit_epochs;
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

-- Before each statement, for a session that looked before the newest began.
CREATE FUNCTION audit_epoch_is_newest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('certctl.audit_epoch', true) IS DISTINCT FROM (SELECT max(e.n)::text FROM audit_epochs e) THEN
        PERFORM audit_epoch_look();
    END IF;
    RETURN NULL;
END $$;

-- --- hashes ---
CREATE FUNCTION audit_us(p_at timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT (extract(epoch FROM p_at) * 1000000)::bigint $$;

-- Every field as a netstring (length in bytes, colon, bytes, comma), so that no two rows have one text.  SHA-256 of 0x00
-- and that text, as RFC 9162.
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

-- The tree of RFC 9162, level by level: pairs are hashed with 0x01 before them, an odd last one moves up as it is. p_level:
-- 32 bytes a leaf.
CREATE FUNCTION audit_merkle_level(p_level bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(sha256('\x01'::bytea || substring(p_level FROM 64 * i + 1 FOR 64)), ''::bytea ORDER BY i)
        || CASE WHEN octet_length(p_level) % 64 = 32 THEN substring(p_level FROM octet_length(p_level) - 31) ELSE ''::bytea END
    FROM generate_series(0, octet_length(p_level) / 64 - 1) AS i
$$;

CREATE FUNCTION audit_merkle_root(p_leaves bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF octet_length(p_leaves) = 0 THEN RETURN sha256(''::bytea); END IF;
    WHILE octet_length(p_leaves) > 32 LOOP
        p_leaves := audit_merkle_level(p_leaves);
    END LOOP;
    RETURN p_leaves;
END $$;

-- The siblings on the way from leaf p_index (from 0) to the root.
CREATE FUNCTION audit_merkle_path(p_leaves bytea, p_index int) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE v_path text[] := '{}';
BEGIN
    WHILE octet_length(p_leaves) > 32 LOOP
        IF 32 * (p_index # 1) < octet_length(p_leaves) THEN
            v_path := v_path || encode(substring(p_leaves FROM 32 * (p_index # 1) + 1 FOR 32), 'hex');
        END IF;
        p_leaves := audit_merkle_level(p_leaves);
        p_index := p_index / 2;
    END LOOP;
    RETURN v_path;
END $$;

-- What a block's rows come to now.
CREATE FUNCTION audit_rows_of(p_epoch int, p_from xid8, p_to xid8)
RETURNS TABLE (rows int, oldest timestamptz, newest timestamptz, leaves bytea, row_marks bytea) LANGUAGE sql STABLE AS $$
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
-- One block at most: the rows that no transaction can add to any more, of a size near p_limit (the rows of one transaction
-- stay together).  is_behind: there is more.  lag_ms: the age of the oldest row that must still wait.
CREATE FUNCTION audit_seal(p_limit int, OUT rows bigint, OUT is_behind bool, OUT lag_ms bigint) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_last audit_blocks; v_new audit_blocks; v_current int;
    v_horizon xid8; v_first xid8; v_cut xid8; v_leaves bytea; v_oldest timestamptz;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('certctl.audit_seal', 0)) THEN
        rows := 0; is_behind := false; lag_ms := 0;
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
    rows := v_new.rows; is_behind := v_cut IS NOT NULL OR v_new.epoch < v_current;
    lag_ms := coalesce(greatest((extract(epoch FROM clock_timestamp() - v_oldest) * 1000)::bigint, 0), 0);
END $$;

-- --- verifying ---
-- Rows older than this may be gone: where the oldest partition begins.
CREATE FUNCTION audit_kept_from() RETURNS timestamptz LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT min(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''([^'']+)''\)')::timestamptz)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'public.audit_events'::regclass
$$;

-- Whether every row older than that is in a block, and may be removed.
CREATE FUNCTION audit_is_sealed_before(p_before timestamptz) RETURNS bool LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.timestamp < p_before AND (e.epoch, e.xid) >= (
        coalesce((SELECT b.epoch FROM audit_blocks b ORDER BY b.n DESC LIMIT 1), 0),
        coalesce((SELECT b.to_xid FROM audit_blocks b ORDER BY b.n DESC LIMIT 1), '0')))
$$;

-- A fault as the caller says it; one that it has no sentence for is named still.
CREATE FUNCTION audit_say(p_words jsonb, p_word text, VARIADIC p_values text[]) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(format(p_words ->> p_word, VARIADIC p_values), p_word)
$$;

-- What is wrong with a block, or NULL; its rows, and the lists beside bulk calls' events, are looked at unless some of them
-- are older than p_kept_from. p_words: the faults as sentences, of the block and what follows in each.
CREATE FUNCTION audit_block_fault(b audit_blocks, p_previous audit_blocks, p_kept_from timestamptz, p_words jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE v_now record;
BEGIN
    IF b.n <> coalesce(p_previous.n, 0) + 1 THEN
        RETURN audit_say(p_words, 'missing', (coalesce(p_previous.n, 0) + 1)::text);
    ELSIF b.hash <> audit_block_hash(b) OR b.rows_hash <> sha256(b.row_marks) THEN
        RETURN audit_say(p_words, 'changed', b.n::text);
    ELSIF b.previous_hash <> coalesce(p_previous.hash, decode(repeat('00', 32), 'hex')) THEN
        RETURN audit_say(p_words, 'replaced', b.n::text, (b.n - 1)::text);
    ELSIF b.epoch = p_previous.epoch AND b.from_xid <> p_previous.to_xid THEN
        RETURN audit_say(p_words, 'gap', b.n::text, (b.n - 1)::text);
    END IF;
    IF b.rows > 0 AND b.oldest < p_kept_from THEN RETURN NULL; END IF;
    SELECT * INTO v_now FROM audit_rows_of(b.epoch, b.from_xid, b.to_xid);
    IF v_now.rows <> b.rows THEN
        RETURN audit_say(p_words, 'rows', b.n::text, b.rows::text, v_now.rows::text);
    ELSIF audit_merkle_root(v_now.leaves) <> b.merkle_root THEN
        RETURN audit_say(p_words, 'row', b.n::text);
    END IF;
    RETURN (SELECT audit_say(p_words, 'attachment', b.n::text, e.id)
        FROM audit_events e LEFT JOIN audit_attachments t ON t.id = e.details ->> 'attachment_id'
        WHERE e.epoch = b.epoch AND e.xid >= b.from_xid AND e.xid < b.to_xid AND e.details ? 'attachment_sha256'
            AND e.details ->> 'attachment_sha256' IS DISTINCT FROM encode(sha256(convert_to(t.content, 'UTF8')), 'hex')
        LIMIT 1);
END $$;

-- The next blocks, about p_rows rows of them; past the last it begins again at the first in the next call.  A loop over
-- blocks: each is one statement.
CREATE FUNCTION audit_chain_verify(p_rows int, p_words jsonb, OUT rows bigint, OUT is_at_end bool, OUT fault text,
    OUT last_n bigint, OUT last_hash text) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_kept_from timestamptz := audit_kept_from();
    v_state audit_verification; v_previous audit_blocks; v_block audit_blocks; v_blocks bigint := 0; v_fault text;
BEGIN
    rows := 0;
    SELECT * INTO v_state FROM audit_verification v WHERE v.id = 1 FOR NO KEY UPDATE;
    SELECT * INTO v_previous FROM audit_blocks b WHERE b.n < v_state.next_n ORDER BY b.n DESC LIMIT 1;
    LOOP
        SELECT * INTO v_block FROM audit_blocks b WHERE b.n >= v_state.next_n ORDER BY b.n LIMIT 1;
        EXIT WHEN NOT FOUND OR rows >= p_rows OR v_blocks >= p_rows;
        v_fault := audit_block_fault(v_block, v_previous, v_kept_from, p_words);
        fault := coalesce(fault, v_fault);
        IF v_fault IS NOT NULL AND v_state.broken_n IS NULL THEN
            UPDATE audit_verification v SET broken_n = v_block.n, broken_what = v_fault, broken_at = clock_timestamp() WHERE v.id = 1;
            v_state.broken_n := v_block.n;
        END IF;
        rows := rows + v_block.rows;
        v_blocks := v_blocks + 1;
        v_state.next_n := v_block.n + 1;
        v_previous := v_block;
    END LOOP;
    UPDATE audit_verification v SET next_n = CASE WHEN v_block.n IS NULL THEN 1 ELSE v_state.next_n END,
        rounds = v.rounds + (v_block.n IS NULL)::int, blocks = v.blocks + v_blocks, rows = v.rows + audit_chain_verify.rows, looked_at = clock_timestamp()
    WHERE v.id = 1;
    is_at_end := v_block.n IS NULL; last_n := v_previous.n; last_hash := encode(v_previous.hash, 'hex');
END $$;

-- --- retention ---
-- The oldest month of audit events, when all of it is older than the cut and sealed, with the lists beside them; a month
-- that is empty needs no seal.  Waits for the table's lock a moment only, since every writer of events would wait behind
-- it.  Outcomes: removed, none (nothing is old enough), unsealed, busy.
CREATE FUNCTION duty_audit_retention(p_keep_ms bigint, OUT outcome text, OUT partition text)
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '200ms' AS $$
DECLARE v_cut timestamptz := engine_now() - ms(p_keep_ms); v_until timestamptz; v_first bigint; v_last bigint;
BEGIN
    SELECT c.relname INTO partition FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'audit_events'::regclass AND c.relname ~ '^audit_events_[0-9]{4}_[0-9]{2}$'
        ORDER BY c.relname LIMIT 1;
    v_until := (to_date(substr(partition, 14), 'YYYY_MM') + make_interval(months => 1)) AT TIME ZONE 'UTC';
    IF partition IS NULL OR v_until > v_cut THEN
        outcome := 'none'; partition := '';
        RETURN;
    END IF;
    EXECUTE format('SELECT min(seq), max(seq) FROM %I', partition) INTO v_first, v_last;
    outcome := CASE WHEN v_first IS NOT NULL AND NOT audit_is_sealed_before(v_until) THEN 'unsealed' ELSE 'removed' END;
    IF outcome = 'unsealed' THEN RETURN; END IF;
    BEGIN
        LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('ALTER TABLE audit_events DETACH PARTITION %I', partition);
        EXECUTE format('DROP TABLE %I', partition);
        -- A list is written just before its event, which may be of the next month by then.
        DELETE FROM audit_attachments t WHERE t.created_at < v_until - policy_attachment_slack();
    EXCEPTION WHEN lock_not_available THEN
        outcome := 'busy';
        RETURN;
    END;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        VALUES ('system', 'System', 'audit_partition_removed', 'audit_partition', partition,
            jsonb_build_object('first_seq', v_first, 'last_seq', v_last, 'until', v_until), 'config');
END $$;
