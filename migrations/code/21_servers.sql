-- Which server this is, for a process that must stay with one.

-- What tells this server from any other, and the timelines that its data has been on; asked by every new session, which is
-- named after it from then on.  A timeline is noted when it is met first.  That waits for no standby: a session is needed
-- most when there is none, and what is lost of it is noted again.
CREATE FUNCTION server_meet(p_host text)
RETURNS TABLE (system_identifier text, timeline int, started_at text, lsn bigint, known_timelines int[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    v_system text := (SELECT c.system_identifier::text FROM pg_control_system() c);
    v_timeline int; v_lsn pg_lsn;
BEGIN
    IF pg_is_in_recovery() THEN
        v_timeline := (SELECT c.timeline_id FROM pg_control_checkpoint() c);
        v_lsn := pg_last_wal_replay_lsn();
    ELSE
        -- The control file knows of a promotion only after a checkpoint.
        v_timeline := ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int;
        v_lsn := pg_current_wal_flush_lsn();
        IF NOT current_setting('transaction_read_only')::bool AND NOT EXISTS (SELECT 1 FROM database_servers s
            WHERE s.system_identifier = v_system AND s.timeline = v_timeline)
        THEN
            PERFORM set_config('synchronous_commit', 'off', true);
            INSERT INTO database_servers AS s (system_identifier, timeline) VALUES (v_system, v_timeline) ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    PERFORM set_config('certctl.server', format('%s, system %s, timeline %s', p_host, v_system, v_timeline), false);
    RETURN QUERY SELECT v_system, v_timeline, pg_postmaster_start_time()::text, (v_lsn - '0/0'::pg_lsn)::bigint,
        coalesce((SELECT array_agg(s.timeline ORDER BY s.timeline) FROM database_servers s WHERE s.system_identifier = v_system), '{}');
END $$;

-- What the session's program is to write into its row.
CREATE FUNCTION server_name() RETURNS text LANGUAGE sql STABLE AS $$ SELECT coalesce(current_setting('certctl.server', true), '') $$;
