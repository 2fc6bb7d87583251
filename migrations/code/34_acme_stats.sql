-- Numbers of the ACME server that are kept (29_stats.sql): acme_account and acme_order (status), which follow the rows; and those
-- that only grow: acme_order_ended (valid, or why not), acme_order_le and acme_order_ms (how long the valid ones took, key ''),
-- acme_validation (type and result of a try), acme_validation_le and acme_validation_ms (type).

-- One that came, or whose status is another; the argument is the kind.
CREATE FUNCTION stats_acme_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO stat_moves (kind, key, n) VALUES (TG_ARGV[0], NEW.status, 1);
    ELSE
        INSERT INTO stat_moves (kind, key, n) VALUES (TG_ARGV[0], OLD.status, -1), (TG_ARGV[0], NEW.status, 1);
    END IF;
    RETURN NULL;
END $$;

-- Those that went.
CREATE FUNCTION stats_acme_removed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO stat_moves (kind, key, n) SELECT TG_ARGV[0], w.status, -count(*) FROM went w GROUP BY w.status;
    RETURN NULL;
END $$;

-- An order that is valid, or invalid: by its error's word, or because a validation failed.
CREATE FUNCTION stats_acme_order_ended() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_ms bigint;
BEGIN
    IF NEW.status = 'valid' THEN
        v_ms := stat_ms(NEW.created_at, NEW.updated_at);
        INSERT INTO stat_moves (kind, key, n) VALUES ('acme_order_ended', 'valid', 1), ('acme_order_le', ' ' || stat_le(v_ms), 1),
            ('acme_order_ms', '', v_ms);
    ELSE
        INSERT INTO stat_moves (kind, key, n) VALUES ('acme_order_ended', coalesce(NEW.error ->> 'why', 'validation'), 1);
    END IF;
    RETURN NULL;
END $$;

-- A try of a challenge: its result, and how long its host took.
CREATE FUNCTION stats_acme_validation(p_type text, p_result text, p_ms bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO stat_moves (kind, key, n) VALUES ('acme_validation', p_type || ' ' || p_result, 1),
        ('acme_validation_le', p_type || ' ' || stat_le(p_ms), 1), ('acme_validation_ms', p_type, p_ms);
END $$;
