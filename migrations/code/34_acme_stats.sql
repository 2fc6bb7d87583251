-- Numbers of the ACME server that are kept (29_stats.sql): acme_account and acme_order (status), which follow the rows; and those
-- that only grow: acme_order_ended (valid, or why not), acme_order_le and acme_order_ms (how long the valid ones took, key ''),
-- acme_validation (type and result of a try), acme_validation_le and acme_validation_ms (type).

-- Accounts or orders that came, went, or whose status is another; the argument is the kind.
CREATE FUNCTION stats_acme_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO stat_moves (kind, key, n) SELECT TG_ARGV[0], c.status, count(*) FROM came c GROUP BY c.status;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO stat_moves (kind, key, n) SELECT TG_ARGV[0], w.status, -count(*) FROM went w GROUP BY w.status;
    ELSE
        INSERT INTO stat_moves (kind, key, n) SELECT TG_ARGV[0], u.status, sum(u.n)
        FROM (SELECT c.status, 1 AS n FROM came c UNION ALL SELECT w.status, -1 FROM went w) u
        GROUP BY u.status HAVING sum(u.n) <> 0;
    END IF;
    RETURN NULL;
END $$;

-- Orders that became valid, or invalid: by the error's word, or because a validation failed.  One that has ended never changes its
-- state again, so it is what came without what went.
CREATE FUNCTION stats_acme_orders_ended() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO stat_moves (kind, key, n)
    WITH ended AS MATERIALIZED (
        SELECT u.status, u.why, u.ms, sum(u.n) AS n FROM (
            SELECT c.status, coalesce(c.error ->> 'why', 'validation') AS why, stat_ms(c.created_at, c.updated_at) AS ms, 1 AS n
                FROM came c WHERE c.status IN ('valid', 'invalid')
            UNION ALL SELECT w.status, coalesce(w.error ->> 'why', 'validation'), stat_ms(w.created_at, w.updated_at), -1
                FROM went w WHERE w.status IN ('valid', 'invalid')) u
        GROUP BY u.status, u.why, u.ms HAVING sum(u.n) <> 0
    )
    SELECT 'acme_order_ended', CASE e.status WHEN 'valid' THEN 'valid' ELSE e.why END, sum(e.n) FROM ended e GROUP BY 2
    UNION ALL SELECT 'acme_order_le', ' ' || stat_le(e.ms), sum(e.n) FROM ended e WHERE e.status = 'valid' GROUP BY 2
    UNION ALL SELECT 'acme_order_ms', '', sum(e.n * e.ms) FROM ended e WHERE e.status = 'valid' HAVING count(*) > 0;
    RETURN NULL;
END $$;

-- A try of a challenge: its result, and how long its host took.
CREATE FUNCTION stats_acme_validation(p_type text, p_result text, p_ms bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO stat_moves (kind, key, n) VALUES ('acme_validation', p_type || ' ' || p_result, 1),
        ('acme_validation_le', p_type || ' ' || stat_le(p_ms), 1), ('acme_validation_ms', p_type, p_ms);
END $$;
