-- Certificates that a worker's issuance journal has and the database does not:
-- it is from before them.  docs/operator/runbooks/postgres-backup.md
CREATE TABLE journal_ahead (
    issuer_id text NOT NULL, -- by the journal's name; it may be unknown too
    serial_number text NOT NULL,
    job_id text NOT NULL,
    certificate_id text NOT NULL DEFAULT '', -- '': the line does not say
    journalled_at timestamptz NOT NULL,
    host text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz, -- certctl recover
    settled_as text,
    PRIMARY KEY (issuer_id, serial_number)
);
CREATE INDEX journal_ahead_open ON journal_ahead (journalled_at) WHERE settled_at IS NULL;

-- A serial may be revoked whose certificate nobody knows any more.
ALTER TABLE certificate_revocations ALTER COLUMN certificate_id DROP NOT NULL;
