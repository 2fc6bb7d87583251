ALTER TABLE jobs DROP COLUMN is_stale;
ALTER TABLE managed_certificates DROP COLUMN renewal_wanted;
