-- What certctl doctor asks the database with the settings of a process on its host: its role, and the server.

-- name: doctor_database :one
SELECT r.rolname, r.rolsuper AS is_superuser, r.rolcreaterole OR r.rolcreatedb OR r.rolbypassrls AS may_create,
    coalesce(has_table_privilege(to_regclass('public.ca_keys'), 'SELECT'), false) AS reads_ca_keys,
    coalesce(has_table_privilege(to_regclass('public.tasks'), 'SELECT'), false) AS knows_tasks,
    current_setting('fsync') = 'on' AS fsync, current_setting('full_page_writes') = 'on' AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    (SELECT s.setting FROM pg_settings s WHERE s.name = 'idle_in_transaction_session_timeout') AS idle_timeout_ms,
    current_setting('max_connections') AS max_connections, floor(extract(epoch FROM clock_timestamp()))::bigint AS now
FROM pg_roles r WHERE r.rolname = current_user;
