-- The nouns, by the names operators' SQL addresses, and what the engine adds to them.  Ids are text with a prefix;
-- server-made ids contain a time, so ordering by id is ordering by age and no second index is needed for it.

CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE SEQUENCE id_seq;
-- Of what lists read: moved by every statement that writes it, before its commit.
CREATE SEQUENCE agents_changes; CREATE SEQUENCE audit_changes; CREATE SEQUENCE certificates_changes; CREATE SEQUENCE jobs_changes;

-- Which versions of the functions are installed, each in the schema of this name, and when a process last ran by them.
CREATE TABLE code_schemas (
    name text PRIMARY KEY, installed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at timestamptz
);

CREATE TABLE tenants (
    id text PRIMARY KEY, name text NOT NULL, description text NOT NULL DEFAULT '', bootstrapped_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants (id, name) VALUES ('t-default', 'default');

CREATE TABLE teams (
    id text PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, description text,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE owners (
    id text PRIMARY KEY, name varchar(255) NOT NULL, email varchar(255) NOT NULL,
    team_id text NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX owners_team_id ON owners (team_id);
CREATE INDEX owners_name ON owners (name, id); -- the order of the list

CREATE TABLE certificate_profiles (
    id text PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, description text DEFAULT '',
    allowed_key_algorithms jsonb NOT NULL DEFAULT '[{"algorithm": "ECDSA", "min_size": 256}, {"algorithm": "RSA", "min_size": 2048}]',
    max_ttl_seconds int NOT NULL DEFAULT 0 CHECK (max_ttl_seconds = 0 OR max_ttl_seconds >= 30),
    allowed_ekus jsonb NOT NULL DEFAULT '["serverAuth"]',
    required_san_patterns jsonb NOT NULL DEFAULT '[]', spiffe_uri_pattern varchar(512) DEFAULT '',
    allow_short_lived bool NOT NULL DEFAULT false, enabled bool NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    required_csr_attributes jsonb NOT NULL DEFAULT '[]', must_staple bool NOT NULL DEFAULT false,
    acme_auth_mode text NOT NULL DEFAULT 'trust_authenticated' CHECK (acme_auth_mode IN ('trust_authenticated', 'challenge')),
    requires_approval bool NOT NULL DEFAULT false
);

CREATE TABLE agent_groups (
    id text PRIMARY KEY, name varchar(255) NOT NULL UNIQUE,
    description text DEFAULT '', match_os varchar(100) DEFAULT '',
    match_architecture varchar(100) DEFAULT '', match_ip_cidr varchar(45) DEFAULT '',
    match_version varchar(50) DEFAULT '', enabled bool NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE renewal_policies (
    id text PRIMARY KEY, name varchar(255) NOT NULL UNIQUE,
    renewal_window_days int NOT NULL, auto_renew bool NOT NULL DEFAULT true,
    max_retries int NOT NULL DEFAULT 3, retry_interval_seconds int NOT NULL DEFAULT 60,
    alert_thresholds_days jsonb NOT NULL DEFAULT '[30, 14, 7, 0]',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    certificate_profile_id text REFERENCES certificate_profiles (id) ON DELETE SET NULL,
    agent_group_id text REFERENCES agent_groups (id) ON DELETE SET NULL,
    alert_channels jsonb NOT NULL DEFAULT '{}', alert_severity_map jsonb NOT NULL DEFAULT '{}',
    -- Percent of the lifetime after which a certificate is due; replaces min(window, lifetime / 3) where it is set.
    renewal_percent int CHECK (renewal_percent BETWEEN 1 AND 99)
);
INSERT INTO renewal_policies (id, name, renewal_window_days) VALUES ('rp-default', 'default', 30);

-- Policies whose window or percentage changed, and how far their certificates have followed.
CREATE TABLE policy_changes (
    policy_id text PRIMARY KEY REFERENCES renewal_policies (id) ON DELETE CASCADE,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- A transaction below this may have read the policy as it was; NULL: not looked yet.
    horizon xid8,
    low_id text NOT NULL DEFAULT '', -- the certificates up to here have followed
    again_id text, -- but for some behind this one, which somebody held
    total bigint, -- certificates of the policy when it began
    done bigint NOT NULL DEFAULT 0
);

CREATE TABLE issuers (
    id text PRIMARY KEY, name varchar(255) NOT NULL UNIQUE,
    type varchar(255) NOT NULL,
    config jsonb, -- what the API may show: secrets masked
    enabled bool NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    encrypted_config bytea, -- secrets, sealed to the workers
    last_tested_at timestamptz,
    test_status text NOT NULL DEFAULT 'untested' CHECK (test_status IN ('untested', 'success', 'failed')),
    source text NOT NULL DEFAULT 'database',
    hierarchy_mode varchar(20) NOT NULL DEFAULT 'single'
);

-- The signing certificate of a local CA.  It lives apart from ca_keys so that everyone may read the one and only workers
-- the other.  Both go with their issuer, which stays while there is anything that they signed, or a CA below it.
CREATE TABLE ca_certificates (
    issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    -- An issuer signs with one key at a time; it keeps those it signed with.
    state text NOT NULL DEFAULT 'current' CHECK (state IN ('next', 'current', 'former')),
    key_id text NOT NULL, -- SHA-256 of the public key
    list text NOT NULL UNIQUE, -- of revocations: the issuer's id, and "/..." behind it from the second key on
    cert_pem text NOT NULL,
    chain_pem text NOT NULL, -- what is sent with a leaf
    fingerprint_sha256 text NOT NULL, not_before timestamptz NOT NULL, not_after timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer_id, key_id)
);
CREATE UNIQUE INDEX ca_certificates_state ON ca_certificates (issuer_id, state) WHERE state <> 'former';

CREATE TABLE ca_keys (
    issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    key_id text NOT NULL, -- of ca_certificates
    key_sealed bytea NOT NULL, -- under CERTCTL_CA_ENCRYPTION_KEY
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer_id, key_id)
);

-- Heartbeats change status and last_heartbeat_at all day: no index holds either, and pages keep room, so that every one is
-- a HOT update.
CREATE TABLE agents (
    id text PRIMARY KEY, name varchar(255) NOT NULL UNIQUE,
    hostname varchar(255) NOT NULL,
    status varchar(50) NOT NULL DEFAULT 'Offline' CHECK (status IN ('Online', 'Offline', 'Degraded')),
    last_heartbeat_at timestamptz, registered_at timestamptz NOT NULL DEFAULT now(),
    api_key_hash varchar(255) NOT NULL,
    os varchar(100) DEFAULT '', architecture varchar(100) DEFAULT '',
    ip_address varchar(45) DEFAULT '', version varchar(50) DEFAULT '',
    retired_at timestamptz, retired_reason text,
    served_digest text NOT NULL DEFAULT 'none' -- of what it told last of what its targets serve
) WITH (fillfactor = 50);
CREATE INDEX agents_api_key_hash ON agents (api_key_hash);
-- The order of the two lists; heartbeats change neither.
CREATE INDEX agents_registered_at ON agents (registered_at, id) WHERE retired_at IS NULL;
CREATE INDEX agents_retired_at ON agents (retired_at, id) WHERE retired_at IS NOT NULL;

CREATE TABLE agent_group_members (
    agent_group_id text NOT NULL REFERENCES agent_groups (id) ON DELETE CASCADE,
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    membership_type varchar(20) NOT NULL DEFAULT 'include' CHECK (membership_type IN ('include', 'exclude')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent_group_id, agent_id)
);

CREATE TABLE deployment_targets (
    id text PRIMARY KEY, name varchar(255) NOT NULL, type varchar(255) NOT NULL,
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE RESTRICT,
    config jsonb, enabled bool NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    encrypted_config bytea, last_tested_at timestamptz,
    test_status text NOT NULL DEFAULT 'untested' CHECK (test_status IN ('untested', 'success', 'failed')),
    source text NOT NULL DEFAULT 'database', retired_at timestamptz, retired_reason text,
    UNIQUE (agent_id, name)
);
CREATE INDEX deployment_targets_name ON deployment_targets (name, id); -- the order of the list
CREATE INDEX deployment_targets_type ON deployment_targets (type, name, id);

-- What each target serves, as its agent saw it last; written only when that changed.
CREATE TABLE served_certificates (
    target_id text PRIMARY KEY REFERENCES deployment_targets (id) ON DELETE CASCADE,
    seen_by text NOT NULL CHECK (seen_by IN ('handshake', 'file')),
    -- NULL: it could not be seen.
    fingerprint_sha256 text, serial_number text, issuer_dn text, not_after timestamptz,
    error text, -- why it was not seen, or not by a handshake
    since timestamptz NOT NULL, -- when it was first told
    is_other bool NOT NULL -- than the version that was deployed there last
);
CREATE INDEX served_certificates_other ON served_certificates (since) WHERE is_other;

CREATE TABLE managed_certificates (
    -- A regular expression that counts would be an automaton of as many states, made anew for each row that is written.
    id text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 128 AND id !~ '[^A-Za-z0-9._-]' AND id NOT IN ('.', '..')),
    name varchar(255) NOT NULL UNIQUE, common_name varchar(255) NOT NULL,
    sans text[] DEFAULT '{}', environment varchar(50),
    owner_id text NOT NULL REFERENCES owners (id) ON DELETE RESTRICT,
    team_id text NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE RESTRICT,
    renewal_policy_id text NOT NULL REFERENCES renewal_policies (id) ON DELETE RESTRICT,
    status varchar(50) NOT NULL DEFAULT 'Pending'
        CHECK (status IN ('Pending', 'Active', 'Expiring', 'Expired', 'RenewalInProgress', 'Failed', 'Revoked', 'Archived')),
    expires_at timestamptz, tags jsonb NOT NULL DEFAULT '{}',
    last_renewal_at timestamptz, last_deployment_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    certificate_profile_id text REFERENCES certificate_profiles (id) ON DELETE SET NULL,
    revoked_at timestamptz, revocation_reason varchar(50), source text NOT NULL DEFAULT '',
    -- Start of the validity that expires_at ends; NULL when unknown.
    valid_from timestamptz,
    -- When renewal falls due; kept by renew_after_of() whenever what it depends on changes.
    renew_after timestamptz,
    expiring_at timestamptz, -- when it begins to be Expiring; kept by expiring_at_of() likewise
    -- Why the newest version is not what the row asks for: names_changed, issuer_changed, profile_changed; NULL: it is.
    renewal_wanted text,
    ordered_by text -- who said last what it is to be and who holds its key; NULL: nobody knows
-- Room for the next states of a row on its page: one that stays there costs the log what changed, one that moves costs all
-- of it and a lock.
) WITH (fillfactor = 60);
CREATE INDEX managed_certificates_created_at ON managed_certificates (created_at, id);
CREATE INDEX managed_certificates_expires_at ON managed_certificates (expires_at);
CREATE INDEX managed_certificates_renew_after ON managed_certificates (renew_after)
    WHERE status IN ('Active', 'Expiring', 'Expired', 'Failed');
-- Those that a scan a day would come too late for: see duty_cannot_wait.
CREATE INDEX managed_certificates_short ON managed_certificates (renew_after)
    WHERE status IN ('Active', 'Expiring', 'Expired', 'Failed') AND expires_at - valid_from < '6 days';
CREATE INDEX managed_certificates_failed ON managed_certificates (updated_at) WHERE status = 'Failed';
-- When the clock changes the status next.
CREATE INDEX managed_certificates_status_due ON managed_certificates
    ((CASE status WHEN 'Active' THEN least(expiring_at, expires_at) ELSE expires_at END))
    WHERE status IN ('Active', 'Expiring');
-- What lists look for and few are; a renewal of one that is Active costs it nothing.
CREATE INDEX managed_certificates_status ON managed_certificates (status, created_at, id)
    WHERE status IN ('Pending', 'Expiring', 'Expired', 'Revoked', 'Archived');
CREATE INDEX managed_certificates_in_progress ON managed_certificates (id) WHERE status = 'RenewalInProgress';
CREATE INDEX managed_certificates_renewal_policy_id ON managed_certificates (renewal_policy_id);
-- Certificates that nothing renews by itself (their policy says so, or their issuer is switched off) have no renew_after
-- once the scan has met them, so that no scan walks them again.  What switches them on computes it anew and finds them
-- here.
CREATE INDEX managed_certificates_set_aside ON managed_certificates (issuer_id, renewal_policy_id)
    WHERE renew_after IS NULL AND status IN ('Active', 'Expiring', 'Expired', 'Failed') AND (expires_at IS NOT NULL OR status = 'Failed');

-- The certificates of CAs that follow a leaf, byte for byte as they were sent.
CREATE TABLE certificate_chains (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sha256 bytea NOT NULL UNIQUE, pem text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The id of a version is its job's id with another prefix, so the primary key is also the rule that a job makes one version
-- at most.  Fingerprints follow from serials, which are unique in an issuer; a second unique index over random bytes would
-- only cost writes.
CREATE TABLE certificate_versions (
    id text PRIMARY KEY,
    certificate_id text NOT NULL REFERENCES managed_certificates (id) ON DELETE CASCADE,
    serial_number varchar(255) NOT NULL,
    not_before timestamptz NOT NULL, not_after timestamptz NOT NULL,
    fingerprint_sha256 varchar(255) NOT NULL, pem_chain text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    key_algorithm varchar(50) DEFAULT '', key_size int DEFAULT 0,
    issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE RESTRICT,
    key_holder text NOT NULL DEFAULT '', job_id text NOT NULL,
    -- pem_chain is followed by the chain this names; where it names none, pem_chain is all.
    chain_id int REFERENCES certificate_chains (id),
    UNIQUE (issuer_id, serial_number)
-- A row is 2 to 5 KB of base64: not worth the time to compress it.
) WITH (toast_tuple_target = 8160);
CREATE INDEX certificate_versions_certificate_id ON certificate_versions (certificate_id, id);
-- Few chains, each in the pages of its time: an index that costs nothing to keep and says well enough where one is named.
CREATE INDEX certificate_versions_chain_id ON certificate_versions USING brin (chain_id int4_minmax_multi_ops);

-- The CSR of a job, and of the version that the job made.  Apart from both, for every state of a job is a new copy of its
-- row.  It stays as long as one of the two.
CREATE TABLE certificate_requests (
    job_id text PRIMARY KEY, csr_pem text NOT NULL,
    key_sha256 text NOT NULL -- of the SubjectPublicKeyInfo; '' where it came with a version alone
);

CREATE TABLE certificate_target_mappings (
    certificate_id text NOT NULL REFERENCES managed_certificates (id) ON DELETE CASCADE,
    target_id text NOT NULL REFERENCES deployment_targets (id) ON DELETE CASCADE,
    desired_version_id text, deployed_version_id text, deployed_at timestamptz,
    deploy_failures int NOT NULL DEFAULT 0, deploy_after timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (certificate_id, target_id)
);
CREATE INDEX certificate_target_mappings_target_id ON certificate_target_mappings (target_id);
CREATE INDEX certificate_target_mappings_behind ON certificate_target_mappings (deploy_after)
    WHERE desired_version_id IS DISTINCT FROM deployed_version_id;

-- The files that a certificate's targets write: no other certificate has them.
CREATE TABLE target_files (
    certificate_id text NOT NULL, target_id text NOT NULL, agent_id text NOT NULL, path text NOT NULL,
    PRIMARY KEY (certificate_id, target_id, path),
    FOREIGN KEY (certificate_id, target_id) REFERENCES certificate_target_mappings ON DELETE CASCADE,
    CONSTRAINT target_files_taken EXCLUDE USING gist (path WITH =, agent_id WITH =, certificate_id WITH <>)
);

CREATE TABLE certificate_revocations (
    id text PRIMARY KEY,
    certificate_id text REFERENCES managed_certificates (id), -- NULL: nobody knows it any more
    serial_number text NOT NULL, reason varchar(50) NOT NULL DEFAULT 'unspecified',
    revoked_by text NOT NULL, revoked_at timestamptz NOT NULL DEFAULT now(),
    issuer_id text REFERENCES issuers (id),
    issuer_notified bool NOT NULL DEFAULT false, created_at timestamptz NOT NULL DEFAULT now(),
    job_id text, -- a serial written off: the job that had it fixed
    -- Times are taken when a transaction starts and say nothing of when it commits; whether a list was made without a
    -- revocation is told by the transaction's number and the list's snapshot.
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (issuer_id, serial_number)
);
CREATE INDEX certificate_revocations_created_at ON certificate_revocations (issuer_id, created_at);
