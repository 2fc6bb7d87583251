DELETE FROM tasks WHERE kind = 'ca_revoke';
DROP INDEX certificate_revocations_untold;
ALTER TABLE certificate_revocations DROP COLUMN issuer_said, DROP COLUMN issuer_state;
ALTER TABLE certificate_versions DROP COLUMN ca_certificate_id, DROP COLUMN ca_order_id;
