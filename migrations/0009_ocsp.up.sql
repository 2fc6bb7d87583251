-- The status of certificates, asked one by one (RFC 6960): who signs it for a CA, what was signed and is asked for lately, and
-- what is to be signed now.

-- The certificate by which a key of a CA, by its list's name, lets another key answer for it.
CREATE TABLE ocsp_responders (
    list text PRIMARY KEY REFERENCES ca_certificates (list) ON DELETE CASCADE,
    issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    cert_pem text NOT NULL, cert_serial text NOT NULL,
    fingerprint_sha256 text NOT NULL,
    ca_fingerprint text NOT NULL, -- of the CA's certificate that signed it
    key_path text NOT NULL, -- where its key is: a table of workers alone, and the row's name
    key_alg text NOT NULL,
    not_before timestamptz NOT NULL, not_after timestamptz NOT NULL,
    rotated_from text, -- the serial of the one before
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ocsp_responder_keys (
    list text PRIMARY KEY REFERENCES ocsp_responders (list) ON DELETE CASCADE,
    key_sealed bytea NOT NULL -- under CERTCTL_CA_ENCRYPTION_KEY
);

-- What keeps workers from having one, or the next.
CREATE TABLE ocsp_responder_faults (
    list text PRIMARY KEY REFERENCES ca_certificates (list) ON DELETE CASCADE,
    since timestamptz NOT NULL, failed_at timestamptz NOT NULL, -- the first time and the last
    why text NOT NULL
);

-- Answers that somebody asked for lately; made anew at refresh_at.  Rows are small and change twice an hour.
CREATE TABLE ocsp_response_cache (
    issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    serial_hex text NOT NULL, -- 40 digits
    cert_id text NOT NULL DEFAULT '', -- the CertID as it was asked, in hex; '': by the serial alone
    response_der bytea NOT NULL,
    cert_status text NOT NULL CHECK (cert_status IN ('good', 'revoked')),
    revocation_reason int, revoked_at timestamptz,
    this_update timestamptz NOT NULL, next_update timestamptz NOT NULL,
    generated_at timestamptz NOT NULL DEFAULT now(),
    refresh_at timestamptz NOT NULL, asked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer_id, serial_hex, cert_id)
) WITH (fillfactor = 70);
CREATE INDEX ocsp_response_cache_refresh_at ON ocsp_response_cache (refresh_at);
-- Signatures do not compress.
ALTER TABLE ocsp_response_cache ALTER COLUMN response_der SET STORAGE EXTERNAL;

-- Requests of an apiserver that wait for a worker, many in a row, under the id of their task.  What a crash of the database
-- takes from it is asked again by clients.
CREATE UNLOGGED TABLE ocsp_batches (
    id text PRIMARY KEY,
    requests int[] NOT NULL, -- to which request each of the next belongs, from 1
    issuers text[] NOT NULL, serials text[] NOT NULL, cert_ids text[] NOT NULL, nonces text[] NOT NULL,
    answers bytea -- of common/pki/ocsp/ocsp_answers.h; NULL: not signed yet
);
-- They are there for some milliseconds: compressing them costs more.
ALTER TABLE ocsp_batches ALTER COLUMN requests SET STORAGE EXTERNAL, ALTER COLUMN issuers SET STORAGE EXTERNAL,
    ALTER COLUMN serials SET STORAGE EXTERNAL, ALTER COLUMN cert_ids SET STORAGE EXTERNAL, ALTER COLUMN nonces SET STORAGE EXTERNAL,
    ALTER COLUMN answers SET STORAGE EXTERNAL;

-- Moved by each statement that revokes, as the others are by what lists are made of.
CREATE SEQUENCE revocations_changes;
