-- Health checks: the TLS endpoints that are watched, what each showed last, and before.
CREATE TABLE endpoint_health_checks (
    id text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 128 AND id !~ '[^A-Za-z0-9._-]' AND id NOT IN ('.', '..')),
    endpoint text NOT NULL,
    certificate_id text REFERENCES managed_certificates (id) ON DELETE SET NULL,
    network_scan_target_id text REFERENCES network_scan_targets (id) ON DELETE SET NULL,
    expected_fingerprint text NOT NULL DEFAULT '', observed_fingerprint text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'unknown' CHECK (status IN ('healthy', 'degraded', 'down', 'cert_mismatch', 'unknown')),
    consecutive_failures int NOT NULL DEFAULT 0, response_time_ms int NOT NULL DEFAULT 0,
    tls_version text NOT NULL DEFAULT '', cipher_suite text NOT NULL DEFAULT '',
    cert_subject text NOT NULL DEFAULT '', cert_issuer text NOT NULL DEFAULT '', cert_expiry timestamptz,
    last_checked_at timestamptz, last_success_at timestamptz, last_failure_at timestamptz, last_transition_at timestamptz,
    failure_reason text NOT NULL DEFAULT '',
    degraded_threshold int NOT NULL DEFAULT 2 CHECK (degraded_threshold > 0),
    down_threshold int NOT NULL DEFAULT 5 CHECK (down_threshold > 0),
    check_interval_seconds int NOT NULL DEFAULT 300 CHECK (check_interval_seconds > 0),
    enabled bool NOT NULL DEFAULT true,
    acknowledged bool NOT NULL DEFAULT false, acknowledged_by text NOT NULL DEFAULT '', acknowledged_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    next_check_at timestamptz NOT NULL DEFAULT now(),
    -- The task that asks the endpoint; one that is gone asks no more.
    probe_task text
);
CREATE INDEX endpoint_health_checks_due ON endpoint_health_checks (next_check_at) WHERE enabled;
CREATE INDEX endpoint_health_checks_certificate_id ON endpoint_health_checks (certificate_id, id) WHERE certificate_id IS NOT NULL;
CREATE INDEX endpoint_health_checks_network_scan_target_id ON endpoint_health_checks (network_scan_target_id, id)
    WHERE network_scan_target_id IS NOT NULL;
-- What lists look for and few are.
CREATE INDEX endpoint_health_checks_status ON endpoint_health_checks (status, id) WHERE status <> 'healthy';
-- What a person has to do something about.
CREATE INDEX endpoint_health_checks_wrong ON endpoint_health_checks (last_transition_at)
    WHERE enabled AND NOT acknowledged AND status IN ('down', 'cert_mismatch');

CREATE TABLE endpoint_health_history (
    id text PRIMARY KEY, -- holds the time it was made at: the oldest stand first
    health_check_id text NOT NULL REFERENCES endpoint_health_checks (id) ON DELETE CASCADE,
    status text NOT NULL, response_time_ms int NOT NULL DEFAULT 0, fingerprint text NOT NULL DEFAULT '',
    failure_reason text NOT NULL DEFAULT '', checked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX endpoint_health_history_check ON endpoint_health_history (health_check_id, checked_at, id);

-- How many checks there are of each status, in shards so that writers seldom wait for each other.
CREATE TABLE health_check_counts (
    shard int PRIMARY KEY, healthy bigint NOT NULL DEFAULT 0, degraded bigint NOT NULL DEFAULT 0, down bigint NOT NULL DEFAULT 0,
    cert_mismatch bigint NOT NULL DEFAULT 0, unknown bigint NOT NULL DEFAULT 0
);
INSERT INTO health_check_counts (shard) SELECT s FROM generate_series(0, 15) AS s;
