-- What was ordered and what was signed stay the same, also when the order changes
-- on the way.

-- Why the newest version is not what the row asks for: names_changed,
-- issuer_changed, profile_changed; NULL: it is.
ALTER TABLE managed_certificates ADD COLUMN renewal_wanted text;
-- The certificate's names, issuer or profile changed since the job got its CSR.
ALTER TABLE jobs ADD COLUMN is_stale bool NOT NULL DEFAULT false;
