-- The versions of this code: which of them are used, and the end of those that are not.  docs/internals/database.md has the
-- rules.

-- Notes when a process was last seen by the code it calls.  Its row stays for an hour, and this runs more often.
CREATE FUNCTION code_schemas_used() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE code_schemas s SET last_used_at = u.at FROM (SELECT p.code, max(p.at) AS at FROM (
            SELECT w.code, w.lease_until AS at FROM workers w
            UNION ALL SELECT h.code, h.seen_at FROM schedulers h
            UNION ALL SELECT a.code, a.seen_at FROM apiservers a) p GROUP BY p.code) u
    WHERE s.name = u.code AND (s.last_used_at IS NULL OR s.last_used_at < u.at);
$$;

-- Removes the schemas that no process used for p_grace_ms, nor was seen by just now.  One that a trigger or a default still
-- leads to stays, and so does this one.
CREATE FUNCTION code_schemas_drop_unused(p_grace_ms bigint) RETURNS SETOF text LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE v_cut timestamptz := clock_timestamp() - greatest(ms(p_grace_ms), policy_code_grace()); v_name text;
BEGIN
    PERFORM code_schemas_used();
    FOR v_name IN SELECT s.name FROM code_schemas s JOIN pg_namespace n ON n.nspname = s.name
        WHERE s.name <> current_schema() AND greatest(s.installed_at, s.last_used_at) < v_cut
            AND NOT EXISTS (SELECT 1 FROM pg_depend d JOIN pg_proc p ON p.oid = d.refobjid
                WHERE d.refclassid = 'pg_proc'::regclass AND p.pronamespace = n.oid
                    AND d.classid IN ('pg_trigger'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_class'::regclass))
        ORDER BY s.name
    LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', v_name);
        DELETE FROM code_schemas s WHERE s.name = v_name;
        RETURN NEXT v_name;
    END LOOP;
END $$;
