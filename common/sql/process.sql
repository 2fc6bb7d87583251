-- The rows by which every process makes itself known.

-- Which of our sessions have executed everything and wait for a standby to
-- confirm it; only a role's own are told.
-- name: db_sessions :many
SELECT a.pid, coalesce(a.wait_event = 'SyncRep', false) AS is_waiting
FROM pg_stat_activity a WHERE a.pid = ANY($1::int[]) AND a.state <> 'idle';

-- What lists read: statement triggers count there before their commit.
-- name: list_changes :one
SELECT coalesce(pg_sequence_last_value('public.agents_changes'), 0) AS agents,
    coalesce(pg_sequence_last_value('public.audit_changes'), 0) AS audit,
    coalesce(pg_sequence_last_value('public.certificates_changes'), 0) AS certificates,
    coalesce(pg_sequence_last_value('public.discovered_changes'), 0) AS discovered,
    coalesce(pg_sequence_last_value('public.jobs_changes'), 0) AS jobs,
    coalesce(pg_sequence_last_value('public.revocations_changes'), 0) AS revocations;

-- Which of it transactions have written and not committed yet: a lock goes after its transaction's rows can be seen.
-- name: list_writers :one
SELECT coalesce(bool_or(l.relation = 'public.agents'::regclass), false) AS agents,
    coalesce(bool_or(l.relation = 'public.audit_events'::regclass), false) AS audit,
    coalesce(bool_or(l.relation NOT IN ('public.agents'::regclass, 'public.audit_events'::regclass, 'public.jobs'::regclass,
        'public.discovered_certificates'::regclass, 'public.certificate_revocations'::regclass)), false) AS certificates,
    coalesce(bool_or(l.relation = 'public.discovered_certificates'::regclass), false) AS discovered,
    coalesce(bool_or(l.relation = 'public.jobs'::regclass), false) AS jobs,
    coalesce(bool_or(l.relation = 'public.certificate_revocations'::regclass), false) AS revocations
FROM pg_locks l
WHERE l.locktype = 'relation' AND l.granted
    AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    AND l.relation IN ('public.agents'::regclass, 'public.audit_events'::regclass, 'public.jobs'::regclass,
        'public.discovered_certificates'::regclass, 'public.managed_certificates'::regclass, 'public.certificate_target_mappings'::regclass, 'public.deployment_targets'::regclass,
        'public.served_certificates'::regclass, 'public.issuers'::regclass, 'public.renewal_policies'::regclass,
        'public.certificate_revocations'::regclass)
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());

-- name: apiserver_seen :one
SELECT apiserver_seen($1, $2, $3, $4::int, $5, $6);

-- In one transaction: rows that do not fit into that memory go to a temporary file.
-- name: room_probe_memory :one
SELECT set_config('work_mem', '64kB', true);

-- name: room_probe :one
SELECT count(*) AS n FROM generate_series(1, 5000) g;
