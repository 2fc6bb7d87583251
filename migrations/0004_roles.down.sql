DO $$
DECLARE r text;
BEGIN
    FOR r IN SELECT p.rolname FROM pg_roles p WHERE p.rolname IN ('certctl_apiserver', 'certctl_scheduler', 'certctl_worker') LOOP
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA public FROM %1$I; REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM %1$I; '
            'REVOKE ALL ON SCHEMA public FROM %1$I', r);
    END LOOP;
END $$;
DROP TABLE api_keys, actor_roles, role_permissions, permissions, roles;
