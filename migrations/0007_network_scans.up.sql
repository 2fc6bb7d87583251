-- Scans of the network for certificates, and what SCEP servers were seen to be able to do.

CREATE TABLE network_scan_targets (
    id text PRIMARY KEY, name text NOT NULL,
    cidrs text[] NOT NULL DEFAULT '{}', ports int[] NOT NULL DEFAULT '{443}',
    enabled bool NOT NULL DEFAULT true, scan_interval_hours int NOT NULL DEFAULT 6, timeout_ms int NOT NULL DEFAULT 5000,
    -- the last scan that came to its end: its beginning
    last_scan_at timestamptz, last_scan_duration_ms int, last_scan_certs_found int,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    next_scan_at timestamptz NOT NULL DEFAULT now(),
    scan_id text -- the scan under way
);
CREATE INDEX network_scan_targets_name ON network_scan_targets (name, id); -- the order of the list
CREATE INDEX network_scan_targets_next_scan_at ON network_scan_targets (next_scan_at) WHERE enabled AND scan_id IS NULL;
CREATE INDEX network_scan_targets_scan_id ON network_scan_targets (scan_id) WHERE scan_id IS NOT NULL;

-- A few, the newest.
CREATE TABLE scep_probe_results (
    id text PRIMARY KEY, -- of the task that made it, with another prefix
    target_url text NOT NULL, reachable bool NOT NULL, advertised_caps text[] NOT NULL DEFAULT '{}',
    supports_rfc8894 bool NOT NULL DEFAULT false, supports_aes bool NOT NULL DEFAULT false,
    supports_post_operation bool NOT NULL DEFAULT false, supports_renewal bool NOT NULL DEFAULT false,
    supports_sha256 bool NOT NULL DEFAULT false, supports_sha512 bool NOT NULL DEFAULT false,
    ca_cert_subject text, ca_cert_issuer text, ca_cert_not_before timestamptz, ca_cert_not_after timestamptz,
    ca_cert_expired bool NOT NULL DEFAULT false, -- when it was probed
    ca_cert_algorithm text, ca_cert_chain_length int NOT NULL DEFAULT 0,
    probed_at timestamptz NOT NULL, probe_duration_ms bigint NOT NULL DEFAULT 0, error text,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What was done since this database began, for the metrics; one row.
CREATE TABLE network_totals (
    id int PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    scans bigint NOT NULL DEFAULT 0, scans_given_up bigint NOT NULL DEFAULT 0, endpoints bigint NOT NULL DEFAULT 0,
    certificates bigint NOT NULL DEFAULT 0, errors bigint NOT NULL DEFAULT 0, scep_probes bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO network_totals DEFAULT VALUES;
