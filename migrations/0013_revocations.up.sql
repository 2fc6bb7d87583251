-- Telling the CAs outside of our process what was revoked.

-- What the CA calls what it issued, and the order of it: by these it is told to revoke.
ALTER TABLE certificate_versions ADD COLUMN ca_order_id text, ADD COLUMN ca_certificate_id text;

ALTER TABLE certificate_revocations
    -- What the CA knows of it; NULL: it is our own, whose lists and answers have it.
    ADD COLUMN issuer_state text CHECK (issuer_state IN ('waiting', 'pending', 'refused', 'by_hand', 'confirmed')),
    ADD COLUMN issuer_said text; -- the last time it was asked
-- Few: those that people are to be told of.
CREATE INDEX certificate_revocations_untold ON certificate_revocations (certificate_id) WHERE issuer_state <> 'confirmed';
