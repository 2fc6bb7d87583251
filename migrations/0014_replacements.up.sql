-- Certificates that leave one CA for another, all of them, in waves.

CREATE TABLE replacements (
    id text PRIMARY KEY,
    from_issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    to_issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'cancelling', 'completed', 'cancelled')),
    wave_size int NOT NULL CHECK (wave_size BETWEEN 1 AND 100000), -- as many are under way at once
    revoke_reason text, -- what they had is revoked with, once what they got is served; NULL: it is not
    low_id text NOT NULL DEFAULT '', -- the walk has come so far
    found bigint NOT NULL DEFAULT 0, -- by this pass of it
    is_walked bool NOT NULL DEFAULT false, -- a pass found nothing more
    planned bigint NOT NULL, -- how many could go when it began
    -- How many of its certificates are in each state.
    moving bigint NOT NULL DEFAULT 0, waiting bigint NOT NULL DEFAULT 0, failed bigint NOT NULL DEFAULT 0,
    issued bigint NOT NULL DEFAULT 0, done bigint NOT NULL DEFAULT 0, skipped bigint NOT NULL DEFAULT 0,
    returned bigint NOT NULL DEFAULT 0,
    has_items bool NOT NULL DEFAULT true, -- its certificates are still known
    created_by text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT replacements_differ CHECK (from_issuer_id <> to_issuer_id),
    CONSTRAINT replacements_ended CHECK ((state IN ('completed', 'cancelled')) = (ended_at IS NOT NULL))
) WITH (fillfactor = 50);
-- An issuer's certificates leave for one other at a time.
CREATE UNIQUE INDEX replacements_open ON replacements (from_issuer_id) WHERE state IN ('running', 'paused', 'cancelling');
CREATE INDEX replacements_to ON replacements (to_issuer_id);
CREATE INDEX replacements_from ON replacements (from_issuer_id);

-- What became of each certificate.
CREATE TABLE replacement_items (
    replacement_id text NOT NULL REFERENCES replacements (id) ON DELETE CASCADE,
    certificate_id text NOT NULL, -- it may be gone
    -- moving: a job of the new issuer; waiting: for somebody (reason); issued: and not served yet; failed: tried again
    state text NOT NULL CHECK (state IN ('moving', 'waiting', 'failed', 'issued', 'done', 'skipped', 'returned')),
    reason text,
    was_wanted text, -- renewal_wanted of the certificate, before
    moved_at timestamptz NOT NULL, look_after timestamptz NOT NULL,
    PRIMARY KEY (replacement_id, certificate_id)
) WITH (fillfactor = 70);
CREATE INDEX replacement_items_open ON replacement_items (replacement_id, look_after)
    WHERE state IN ('moving', 'waiting', 'failed', 'issued');
-- What people ask for.
CREATE INDEX replacement_items_told ON replacement_items (replacement_id, state, certificate_id)
    WHERE state IN ('waiting', 'failed', 'skipped');
