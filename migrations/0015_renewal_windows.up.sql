-- When the CAs outside want what they issued renewed (RFC 9773).

-- Of the newest version that a key holder of a certificate has from a CA of ACME.
CREATE TABLE renewal_windows (
    certificate_id text NOT NULL REFERENCES managed_certificates (id) ON DELETE CASCADE,
    key_holder text NOT NULL DEFAULT '',
    version_id text NOT NULL,
    issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    ask_at timestamptz NOT NULL,
    asked_at timestamptz, -- when the CA answered last
    starts_at timestamptz, ends_at timestamptz, -- what it said; NULL: no window
    explanation_url text,
    renew_at timestamptz, -- picked from the window
    due_at timestamptz, -- renew_after of the certificate, where the window moved it and no scan has met it since
    failures int NOT NULL DEFAULT 0, -- in a row
    said text, -- why there is no window, or none that is newer
    PRIMARY KEY (certificate_id, key_holder),
    CONSTRAINT renewal_windows_window CHECK ((starts_at IS NULL) = (ends_at IS NULL) AND (starts_at IS NULL) = (renew_at IS NULL)
        AND starts_at < ends_at)
) WITH (fillfactor = 80);
CREATE INDEX renewal_windows_ask ON renewal_windows (issuer_id, ask_at);
CREATE INDEX renewal_windows_known ON renewal_windows (issuer_id) WHERE renew_at IS NOT NULL;
CREATE INDEX renewal_windows_due ON renewal_windows (due_at) WHERE due_at IS NOT NULL;

-- A CA that could not be asked for windows at all is left alone.
CREATE TABLE renewal_window_rests (
    issuer_id text PRIMARY KEY REFERENCES issuers (id) ON DELETE CASCADE,
    until timestamptz NOT NULL, failures int NOT NULL, said text NOT NULL
);

INSERT INTO renewal_windows (certificate_id, key_holder, version_id, issuer_id, ask_at)
SELECT DISTINCT ON (v.certificate_id, v.key_holder) v.certificate_id, v.key_holder, v.id, v.issuer_id, now()
FROM issuers i JOIN certificate_versions v ON v.issuer_id = i.id
WHERE i.type = 'ACME' AND v.not_after > now()
    AND NOT EXISTS (SELECT 1 FROM acme_certificates a WHERE a.certificate_id = v.certificate_id)
ORDER BY v.certificate_id, v.key_holder, v.id DESC;
