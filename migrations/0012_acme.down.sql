ALTER TABLE idempotency_keys DROP COLUMN under_way;
ALTER TABLE workers DROP COLUMN resolver_why, DROP COLUMN resolver_since, DROP COLUMN resolver_failed_at;
DROP TABLE issuer_accounts, acme_buckets, acme_nonce_keys, acme_nonces, acme_certificates, acme_challenges, acme_authorizations, acme_orders,
    acme_eab_keys, acme_accounts;
ALTER TABLE certificate_profiles DROP COLUMN acme_limits, DROP COLUMN acme_eab_required, DROP COLUMN acme_renewal_policy_id,
    DROP COLUMN acme_owner_id, DROP COLUMN issuer_id;
-- What ACME clients obtained stays managed, by the policy that it has.
DELETE FROM renewal_policies p WHERE p.is_acme_default
    AND NOT EXISTS (SELECT 1 FROM managed_certificates c WHERE c.renewal_policy_id = p.id);
ALTER TABLE renewal_policies DROP COLUMN is_acme_default;
