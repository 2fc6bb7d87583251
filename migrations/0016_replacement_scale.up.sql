-- The certificates of one issuer, in the order that a replacement walks them: it costs with what is replaced, not with the
-- inventory.  On a large table make it before: CREATE INDEX CONCURRENTLY (docs/internals/database.md).
CREATE INDEX IF NOT EXISTS managed_certificates_issuer ON managed_certificates (issuer_id, id);

-- What the new issuer can't issue, as it was when the replacement began (common/issuer/issuer_limits.h).
ALTER TABLE replacements ADD COLUMN limits jsonb NOT NULL DEFAULT '{}';
