ALTER TABLE replacements DROP COLUMN limits;
DROP INDEX IF EXISTS managed_certificates_issuer;
