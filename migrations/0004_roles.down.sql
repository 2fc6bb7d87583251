DO $$
DECLARE
    r text;
BEGIN
    FOREACH r IN ARRAY '{certctl_apiserver,certctl_scheduler,certctl_worker}'::text[] LOOP
        IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = r) THEN
            EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA public FROM %I', r);
            EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM %I', r);
            EXECUTE format('REVOKE ALL ON SCHEMA public FROM %I', r);
        END IF;
    END LOOP;
END $$;
DROP TABLE api_keys, actor_roles, role_permissions, permissions, roles;
