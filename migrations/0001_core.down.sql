DROP TABLE certificate_revocations, target_files, certificate_target_mappings, certificate_requests, certificate_versions,
    certificate_chains, managed_certificates, served_certificates, deployment_targets, agent_group_members, agents, ca_keys, ca_certificates,
    issuers, policy_changes, renewal_policies, agent_groups, certificate_profiles, owners, teams, tenants, code_schemas;
DROP SEQUENCE id_seq, agents_changes, audit_changes, certificates_changes, jobs_changes;
