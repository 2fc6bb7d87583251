-- Which server this is, for a process that must stay with one.

-- What tells this server from any other, and the timelines that its data has been on; asked by every new session, which is
-- named after it from then on.  A timeline is noted when it is met first.  That waits for no standby: a session is needed
-- most when there is none, and what is lost of it is noted again.
CREATE FUNCTION server_meet(p_host text, OUT system_identifier text, OUT timeline int, OUT started_at text, OUT lsn bigint,
    OUT known_timelines int[]) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_lsn pg_lsn;
BEGIN
    system_identifier := (SELECT c.system_identifier FROM pg_control_system() c);
    IF pg_is_in_recovery() THEN
        timeline := (SELECT c.timeline_id FROM pg_control_checkpoint() c);
        v_lsn := pg_last_wal_replay_lsn();
    ELSE
        -- The control file knows of a promotion only after a checkpoint.
        timeline := ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int;
        v_lsn := pg_current_wal_flush_lsn();
        IF NOT current_setting('transaction_read_only')::bool AND NOT EXISTS (SELECT 1 FROM database_servers s
            WHERE s.system_identifier = server_meet.system_identifier AND s.timeline = server_meet.timeline)
        THEN
            PERFORM set_config('synchronous_commit', 'off', true);
            INSERT INTO database_servers AS s (system_identifier, timeline) VALUES (system_identifier, timeline) ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    PERFORM set_config('certctl.server', format('%s, system %s, timeline %s', p_host, system_identifier, timeline), false);
    started_at := pg_postmaster_start_time(); lsn := v_lsn - '0/0'::pg_lsn;
    known_timelines := ARRAY(SELECT s.timeline FROM database_servers s WHERE s.system_identifier = server_meet.system_identifier ORDER BY 1);
END $$;

-- What the session's program is to write into its row.
CREATE FUNCTION server_name() RETURNS text LANGUAGE sql STABLE AS $$ SELECT coalesce(current_setting('certctl.server', true), '') $$;
