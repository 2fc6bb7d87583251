DROP TABLE audit_events, api_keys, actor_roles, role_permissions, permissions, roles, duties, leadership, apiservers,
    schedulers, workers, tasks, jobs, certificate_revocations, certificate_target_mappings, certificate_versions,
    managed_certificates, deployment_targets, agent_group_members, agents, ca_keys, ca_certificates, lanes, issuers,
    renewal_policies, agent_groups, certificate_profiles, owners, teams, tenants CASCADE;
DROP SEQUENCE audit_seq, lease_seq;
DROP FUNCTION certificates_canonical(), agents_canonical(), jobs_canonical(), lanes_for_issuer(), certificates_renew_after(),
    policies_renew_after(), renew_after_of(text, timestamptz, timestamptz, int, int), audit_partitions_ensure(int),
    audit_refuse_change(), enum_canonical(text, text[]), id_new(text), engine_now();
DROP SEQUENCE id_seq;
