-- Tests of targets by their agents, and the hierarchies of intermediate CAs.

-- The last test of each target: an agent takes it with its work and says what it found.
CREATE TABLE target_tests (
    target_id text PRIMARY KEY REFERENCES deployment_targets (id) ON DELETE CASCADE,
    id text NOT NULL UNIQUE, agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    asked_by text NOT NULL, asked_by_type text NOT NULL, asked_at timestamptz NOT NULL,
    taken_at timestamptz, ended_at timestamptz, passed bool, message text NOT NULL DEFAULT '',
    CHECK ((ended_at IS NULL) = (passed IS NULL))
);
CREATE INDEX target_tests_agent_id ON target_tests (agent_id) WHERE taken_at IS NULL AND ended_at IS NULL;

-- The CAs of an issuer's hierarchy: roots that were registered, and CAs that workers made below them.
CREATE TABLE intermediate_cas (
    id text PRIMARY KEY,
    owning_issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE RESTRICT,
    parent_ca_id text REFERENCES intermediate_cas (id) ON DELETE RESTRICT CHECK (parent_ca_id <> id),
    name text NOT NULL, subject text NOT NULL,
    state varchar(20) NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'retiring', 'retired')),
    cert_pem text NOT NULL,
    key_driver_id text NOT NULL, -- 'sealed:...': in intermediate_ca_keys; 'issuer': in ca_keys; a path: on the workers' hosts
    not_before timestamptz NOT NULL, not_after timestamptz NOT NULL,
    path_len_constraint int, name_constraints jsonb NOT NULL DEFAULT '[]',
    ocsp_responder_url text, metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    key_id text NOT NULL DEFAULT '', fingerprint_sha256 text NOT NULL DEFAULT '', serial_number text NOT NULL DEFAULT '',
    CHECK (not_after > not_before),
    UNIQUE (owning_issuer_id, name)
);
CREATE UNIQUE INDEX intermediate_cas_root ON intermediate_cas (owning_issuer_id) WHERE parent_ca_id IS NULL AND state = 'active';
CREATE INDEX intermediate_cas_parent ON intermediate_cas (parent_ca_id);
CREATE INDEX intermediate_cas_serial ON intermediate_cas (owning_issuer_id, serial_number);

-- Apart, so that only workers may read them, as ca_keys.
CREATE TABLE intermediate_ca_keys (
    ca_id text PRIMARY KEY REFERENCES intermediate_cas (id) ON DELETE RESTRICT,
    key_sealed bytea NOT NULL -- under CERTCTL_CA_ENCRYPTION_KEY
);

-- CAs that were asked for, until they are made, or whoever asked has read why not.
CREATE TABLE intermediate_ca_requests (
    id text PRIMARY KEY, -- of the CA to come
    owning_issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    name text NOT NULL, body jsonb NOT NULL,
    actor text NOT NULL, actor_type text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
    refusal text, -- NULL: none yet
    UNIQUE (owning_issuer_id, name)
);
