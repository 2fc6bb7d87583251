-- Certificates that were found: by agents in their hosts' files, by scans of the network.

CREATE SEQUENCE discovered_changes; -- moved as those of 0001

CREATE TABLE discovery_scans (
    id text PRIMARY KEY, agent_id text NOT NULL REFERENCES agents (id),
    directories text[] NOT NULL,
    certificates_found int NOT NULL DEFAULT 0, certificates_new int NOT NULL DEFAULT 0,
    errors_count int NOT NULL DEFAULT 0, scan_duration_ms int NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(), completed_at timestamptz,
    errors text[] NOT NULL DEFAULT '{}' -- the first of them
);
CREATE INDEX discovery_scans_started_at ON discovery_scans (started_at, id); -- the order of the list
CREATE INDEX discovery_scans_agent_id ON discovery_scans (agent_id, started_at, id);

-- A certificate at a place.  Each scan that meets it again moves last_seen_at, so all indexes are written then.
CREATE TABLE discovered_certificates (
    id text PRIMARY KEY, fingerprint_sha256 text NOT NULL,
    common_name text NOT NULL DEFAULT '', sans text[] NOT NULL DEFAULT '{}',
    serial_number text NOT NULL DEFAULT '', -- lower-case hex without leading zeros
    issuer_dn text NOT NULL DEFAULT '', subject_dn text NOT NULL DEFAULT '',
    not_before timestamptz, not_after timestamptz,
    key_algorithm text NOT NULL DEFAULT '', key_size int NOT NULL DEFAULT 0, is_ca bool NOT NULL DEFAULT false,
    pem_data text NOT NULL DEFAULT '', -- this certificate and nothing else
    source_path text NOT NULL DEFAULT '', source_format text NOT NULL DEFAULT 'PEM',
    agent_id text NOT NULL REFERENCES agents (id),
    discovery_scan_id text REFERENCES discovery_scans (id), -- that met it last
    managed_certificate_id text REFERENCES managed_certificates (id) ON DELETE SET NULL,
    status text NOT NULL DEFAULT 'Unmanaged' CHECK (status IN ('Unmanaged', 'Managed', 'Dismissed')),
    first_seen_at timestamptz NOT NULL DEFAULT now(), last_seen_at timestamptz NOT NULL DEFAULT now(), dismissed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (fingerprint_sha256, agent_id, source_path)
);
-- The order of the list, of all and of those that a filter leaves.
CREATE INDEX discovered_certificates_last_seen_at ON discovered_certificates (last_seen_at, id);
CREATE INDEX discovered_certificates_status ON discovered_certificates (status, last_seen_at, id);
CREATE INDEX discovered_certificates_agent_id ON discovered_certificates (agent_id, last_seen_at, id);
CREATE INDEX discovered_certificates_scan ON discovered_certificates (discovery_scan_id);
CREATE INDEX discovered_certificates_managed ON discovered_certificates (managed_certificate_id) WHERE managed_certificate_id IS NOT NULL;

-- How many there are of each status: one row a shard, so that no statement locks two.
CREATE TABLE discovered_counts (
    shard int PRIMARY KEY, unmanaged bigint NOT NULL DEFAULT 0, managed bigint NOT NULL DEFAULT 0, dismissed bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 30);
INSERT INTO discovered_counts (shard) SELECT s FROM generate_series(0, 15) AS s;
