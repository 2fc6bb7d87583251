-- The core tables, by the names operators' SQL addresses, and what the engine
-- adds to them.  Ids are text with a prefix; server-made ids contain a time,
-- so ordering by id is ordering by age and no second index is needed for it.

CREATE EXTENSION IF NOT EXISTS pgcrypto;

-- Time as the engine sees it.  Tests own the clock by setting certctl.now for
-- a database; nothing else sets it.
CREATE FUNCTION engine_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(nullif(current_setting('certctl.now', true), '')::timestamptz, clock_timestamp())
$$;

CREATE SEQUENCE id_seq;
-- "<prefix>-<unix nanoseconds>-<counter>", as the API's own ids.
CREATE FUNCTION id_new(prefix text) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT prefix || '-' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || '000-' || nextval('id_seq')
$$;

-- Enumerated values are stored in one spelling; other letter cases that
-- operators' SQL writes are folded to it, unknown words are refused by the
-- CHECK of the column.
CREATE FUNCTION enum_canonical(value text, spellings text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce((SELECT s FROM unnest(spellings) s WHERE lower(s) = lower(value)), value)
$$;

CREATE TABLE tenants (
    id text PRIMARY KEY,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants (id, name) VALUES ('t-default', 'default');

CREATE TABLE teams (
    id text PRIMARY KEY,
    name varchar(255) NOT NULL UNIQUE,
    description text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE owners (
    id text PRIMARY KEY,
    name varchar(255) NOT NULL,
    email varchar(255) NOT NULL,
    team_id text NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX owners_team_id ON owners (team_id);

CREATE TABLE certificate_profiles (
    id text PRIMARY KEY,
    name varchar(255) NOT NULL UNIQUE,
    description text DEFAULT '',
    allowed_key_algorithms jsonb NOT NULL DEFAULT '[{"algorithm": "ECDSA", "min_size": 256}, {"algorithm": "RSA", "min_size": 2048}]',
    max_ttl_seconds int NOT NULL DEFAULT 0 CHECK (max_ttl_seconds >= 0),
    allowed_ekus jsonb NOT NULL DEFAULT '["serverAuth"]',
    required_san_patterns jsonb NOT NULL DEFAULT '[]',
    spiffe_uri_pattern varchar(512) DEFAULT '',
    allow_short_lived bool NOT NULL DEFAULT false,
    enabled bool NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    required_csr_attributes jsonb NOT NULL DEFAULT '[]',
    must_staple bool NOT NULL DEFAULT false,
    acme_auth_mode text NOT NULL DEFAULT 'trust_authenticated' CHECK (acme_auth_mode IN ('trust_authenticated', 'challenge')),
    requires_approval bool NOT NULL DEFAULT false
);

CREATE TABLE agent_groups (
    id text PRIMARY KEY,
    name varchar(255) NOT NULL UNIQUE,
    description text DEFAULT '',
    match_os varchar(100) DEFAULT '',
    match_architecture varchar(100) DEFAULT '',
    match_ip_cidr varchar(45) DEFAULT '',
    match_version varchar(50) DEFAULT '',
    enabled bool NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE renewal_policies (
    id text PRIMARY KEY,
    name varchar(255) NOT NULL UNIQUE,
    renewal_window_days int NOT NULL,
    auto_renew bool NOT NULL DEFAULT true,
    max_retries int NOT NULL DEFAULT 3,
    retry_interval_seconds int NOT NULL DEFAULT 60,
    alert_thresholds_days jsonb NOT NULL DEFAULT '[30, 14, 7, 0]',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    certificate_profile_id text REFERENCES certificate_profiles (id) ON DELETE SET NULL,
    agent_group_id text REFERENCES agent_groups (id) ON DELETE SET NULL,
    alert_channels jsonb NOT NULL DEFAULT '{}',
    alert_severity_map jsonb NOT NULL DEFAULT '{}',
    -- Percent of the lifetime after which a certificate is due; replaces
    -- min(window, lifetime / 3) where it is set.
    renewal_percent int CHECK (renewal_percent BETWEEN 1 AND 99)
);

CREATE TABLE issuers (
    id text PRIMARY KEY,
    name varchar(255) NOT NULL UNIQUE,
    type varchar(255) NOT NULL,
    config jsonb, -- what the API may show: secrets masked
    enabled bool NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    encrypted_config bytea, -- secrets, sealed to the workers
    last_tested_at timestamptz,
    test_status text NOT NULL DEFAULT 'untested' CHECK (test_status IN ('untested', 'success', 'failed')),
    source text NOT NULL DEFAULT 'database',
    hierarchy_mode varchar(20) NOT NULL DEFAULT 'single'
);

-- An issuer's lane: what of it may run at once, and what it costs the rest of
-- the fleet when it is slow (nothing).
CREATE TABLE lanes (
    issuer_id text PRIMARY KEY REFERENCES issuers (id) ON DELETE CASCADE,
    cap int NOT NULL DEFAULT 8 CHECK (cap BETWEEN 0 AND 1000),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- The signing certificate of a local CA.  It lives apart from ca_keys so that
-- everyone may read the one and only workers the other.
CREATE TABLE ca_certificates (
    issuer_id text PRIMARY KEY REFERENCES issuers (id) ON DELETE RESTRICT,
    cert_pem text NOT NULL,
    chain_pem text NOT NULL, -- what is sent with a leaf
    fingerprint_sha256 text NOT NULL,
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE ca_keys (
    issuer_id text PRIMARY KEY REFERENCES issuers (id) ON DELETE RESTRICT,
    key_sealed bytea NOT NULL, -- under CERTCTL_CA_ENCRYPTION_KEY
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Heartbeats change status and last_heartbeat_at all day: no index holds
-- either, and pages keep room, so that every one is a HOT update.
CREATE TABLE agents (
    id text PRIMARY KEY,
    name varchar(255) NOT NULL UNIQUE,
    hostname varchar(255) NOT NULL,
    status varchar(50) NOT NULL DEFAULT 'Offline' CHECK (status IN ('Online', 'Offline', 'Degraded')),
    last_heartbeat_at timestamptz,
    registered_at timestamptz NOT NULL DEFAULT now(),
    api_key_hash varchar(255) NOT NULL,
    os varchar(100) DEFAULT '',
    architecture varchar(100) DEFAULT '',
    ip_address varchar(45) DEFAULT '',
    version varchar(50) DEFAULT '',
    retired_at timestamptz,
    retired_reason text
) WITH (fillfactor = 50);
CREATE INDEX agents_api_key_hash ON agents (api_key_hash);

CREATE TABLE agent_group_members (
    agent_group_id text NOT NULL REFERENCES agent_groups (id) ON DELETE CASCADE,
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    membership_type varchar(20) NOT NULL DEFAULT 'include' CHECK (membership_type IN ('include', 'exclude')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent_group_id, agent_id)
);

CREATE TABLE deployment_targets (
    id text PRIMARY KEY,
    name varchar(255) NOT NULL,
    type varchar(255) NOT NULL,
    agent_id text NOT NULL REFERENCES agents (id) ON DELETE RESTRICT,
    config jsonb,
    enabled bool NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    encrypted_config bytea,
    last_tested_at timestamptz,
    test_status text NOT NULL DEFAULT 'untested' CHECK (test_status IN ('untested', 'success', 'failed')),
    source text NOT NULL DEFAULT 'database',
    retired_at timestamptz,
    retired_reason text,
    UNIQUE (agent_id, name)
);

CREATE TABLE managed_certificates (
    id text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9._-]{1,128}$' AND id NOT IN ('.', '..')),
    name varchar(255) NOT NULL UNIQUE,
    common_name varchar(255) NOT NULL,
    sans text[] DEFAULT '{}',
    environment varchar(50),
    owner_id text NOT NULL REFERENCES owners (id) ON DELETE RESTRICT,
    team_id text NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE RESTRICT,
    renewal_policy_id text NOT NULL REFERENCES renewal_policies (id) ON DELETE RESTRICT,
    status varchar(50) NOT NULL DEFAULT 'Pending'
        CHECK (status IN ('Pending', 'Active', 'Expiring', 'Expired', 'RenewalInProgress', 'Failed', 'Revoked', 'Archived')),
    expires_at timestamptz,
    tags jsonb NOT NULL DEFAULT '{}',
    last_renewal_at timestamptz,
    last_deployment_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    certificate_profile_id text REFERENCES certificate_profiles (id) ON DELETE SET NULL,
    revoked_at timestamptz,
    revocation_reason varchar(50),
    source text NOT NULL DEFAULT '',
    -- Start of the validity that expires_at ends; NULL when unknown.
    valid_from timestamptz,
    -- When renewal falls due; kept by renew_after_of() whenever what it
    -- depends on changes.
    renew_after timestamptz
) WITH (fillfactor = 85);
CREATE INDEX managed_certificates_created_at ON managed_certificates (created_at, id);
CREATE INDEX managed_certificates_expires_at ON managed_certificates (expires_at);
CREATE INDEX managed_certificates_renew_after ON managed_certificates (renew_after)
    WHERE status IN ('Active', 'Expiring', 'Expired', 'Failed');
CREATE INDEX managed_certificates_in_progress ON managed_certificates (id) WHERE status = 'RenewalInProgress';
CREATE INDEX managed_certificates_renewal_policy_id ON managed_certificates (renewal_policy_id);

-- The id of a version is its job's id with another prefix, so the primary key
-- is also the rule that a job makes one version at most.  Fingerprints follow
-- from serials, which are unique in an issuer; a second unique index over
-- random bytes would only cost writes.
CREATE TABLE certificate_versions (
    id text PRIMARY KEY,
    certificate_id text NOT NULL REFERENCES managed_certificates (id) ON DELETE CASCADE,
    serial_number varchar(255) NOT NULL,
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    fingerprint_sha256 varchar(255) NOT NULL,
    pem_chain text NOT NULL,
    csr_pem text,
    created_at timestamptz NOT NULL DEFAULT now(),
    key_algorithm varchar(50) DEFAULT '',
    key_size int DEFAULT 0,
    issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE RESTRICT,
    key_holder text NOT NULL DEFAULT '',
    job_id text NOT NULL,
    UNIQUE (issuer_id, serial_number)
-- A row is 2 to 5 KB of base64: not worth the time to compress it.
) WITH (toast_tuple_target = 8160);
CREATE INDEX certificate_versions_certificate_id ON certificate_versions (certificate_id, id);

CREATE TABLE certificate_target_mappings (
    certificate_id text NOT NULL REFERENCES managed_certificates (id) ON DELETE CASCADE,
    target_id text NOT NULL REFERENCES deployment_targets (id) ON DELETE CASCADE,
    desired_version_id text,
    deployed_version_id text,
    deployed_at timestamptz,
    deploy_failures int NOT NULL DEFAULT 0,
    deploy_after timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (certificate_id, target_id)
);
CREATE INDEX certificate_target_mappings_target_id ON certificate_target_mappings (target_id);
CREATE INDEX certificate_target_mappings_behind ON certificate_target_mappings (deploy_after)
    WHERE desired_version_id IS DISTINCT FROM deployed_version_id;

CREATE TABLE certificate_revocations (
    id text PRIMARY KEY,
    certificate_id text NOT NULL REFERENCES managed_certificates (id),
    serial_number text NOT NULL,
    reason varchar(50) NOT NULL DEFAULT 'unspecified',
    revoked_by text NOT NULL,
    revoked_at timestamptz NOT NULL DEFAULT now(),
    issuer_id text REFERENCES issuers (id),
    issuer_notified bool NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    job_id text, -- a serial written off: the job that had it fixed
    UNIQUE (issuer_id, serial_number)
);

CREATE SEQUENCE lease_seq;

-- Few indexes, and none on what the hot path changes beyond the queue's own.
CREATE TABLE jobs (
    id text PRIMARY KEY,
    type varchar(255) NOT NULL CHECK (type IN ('Issuance', 'Renewal', 'Deployment', 'Validation')),
    certificate_id text REFERENCES managed_certificates (id) ON DELETE CASCADE,
    target_id text REFERENCES deployment_targets (id) ON DELETE SET NULL,
    agent_id text REFERENCES agents (id) ON DELETE SET NULL, -- key holder, or who deploys
    status varchar(50) NOT NULL DEFAULT 'Pending' CHECK (status IN
        ('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running', 'Completed', 'Failed', 'Cancelled')),
    attempts int NOT NULL DEFAULT 0,
    max_attempts int NOT NULL DEFAULT 3,
    last_error text,
    deployment_result jsonb,
    scheduled_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    verification_status text DEFAULT 'pending',
    verified_at timestamptz,
    verification_fingerprint text,
    verification_error text,
    -- the engine's own
    issuer_id text REFERENCES issuers (id) ON DELETE RESTRICT,
    dedupe_key text,
    priority smallint NOT NULL DEFAULT 0,
    run_after timestamptz NOT NULL DEFAULT now(),
    lease_id bigint, -- of the last hand-out; stays as a receipt
    leased_by text,
    attempt_until timestamptz,
    deliveries int NOT NULL DEFAULT 0, -- hand-outs
    deaths int NOT NULL DEFAULT 0, -- hand-outs that ended with the worker
    cancel_requested_at timestamptz,
    checkpoint jsonb,
    version_id text, -- issuance: what it made; deployment: what it installs
    csr_pem text,
    csr_key_sha256 text, -- of the SubjectPublicKeyInfo
    serial_number text, -- fixed before the first signature, the same in every attempt
    not_before timestamptz,
    not_after timestamptz,
    extensions jsonb, -- ekus, must_staple, crl_urls, ca (its fingerprint): fixed with the serial
    requested_by text NOT NULL DEFAULT 'system',
    retry_of text,
    CONSTRAINT jobs_final_has_end CHECK ((status IN ('Completed', 'Failed', 'Cancelled')) = (completed_at IS NOT NULL)),
    CONSTRAINT jobs_running_has_holder CHECK (status <> 'Running' OR leased_by IS NOT NULL)
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX jobs_dedupe_key ON jobs (dedupe_key)
    WHERE status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval');
CREATE INDEX jobs_queue ON jobs (issuer_id, run_after, id)
    WHERE status = 'Pending' AND type IN ('Issuance', 'Renewal');
CREATE INDEX jobs_leased ON jobs (leased_by, lease_id) WHERE status = 'Running';
CREATE INDEX jobs_agent ON jobs (agent_id, id)
    WHERE status = 'AwaitingCSR' OR (type = 'Deployment' AND status IN ('Pending', 'Running'));
CREATE INDEX jobs_waiting ON jobs (created_at) WHERE status IN ('AwaitingCSR', 'AwaitingApproval');
CREATE INDEX jobs_certificate_id ON jobs (certificate_id, id);
CREATE INDEX jobs_target_id ON jobs (target_id) WHERE target_id IS NOT NULL;

-- All other work of workers; deleted when done, never shown as jobs.
CREATE TABLE tasks (
    id text PRIMARY KEY,
    kind text NOT NULL,
    subject text NOT NULL,
    dedupe_key text UNIQUE,
    issuer_id text REFERENCES issuers (id) ON DELETE CASCADE,
    payload jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'Pending' CHECK (status IN ('Pending', 'Running', 'Failed')),
    attempts int NOT NULL DEFAULT 0,
    max_attempts int NOT NULL DEFAULT 10,
    last_error text,
    run_after timestamptz NOT NULL DEFAULT now(),
    lease_id bigint,
    leased_by text,
    attempt_until timestamptz,
    deliveries int NOT NULL DEFAULT 0,
    deaths int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tasks_queue ON tasks (run_after, id) WHERE status = 'Pending';
CREATE INDEX tasks_leased ON tasks (leased_by, lease_id) WHERE status = 'Running';

-- --- processes ---
CREATE TABLE workers (
    incarnation text PRIMARY KEY,
    name text NOT NULL,
    host text NOT NULL,
    pid int NOT NULL,
    version text NOT NULL DEFAULT '',
    slots int NOT NULL DEFAULT 1,
    started_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE schedulers (
    incarnation text PRIMARY KEY,
    name text NOT NULL,
    host text NOT NULL,
    pid int NOT NULL,
    url text NOT NULL,
    version text NOT NULL DEFAULT '',
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE TABLE apiservers (
    incarnation text PRIMARY KEY,
    name text NOT NULL,
    host text NOT NULL,
    pid int NOT NULL,
    url text NOT NULL,
    version text NOT NULL DEFAULT '',
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
-- One row: who leads, in which term, until when.  The nonce tells one start
-- of a leader from another.
CREATE TABLE leadership (
    id int PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    term bigint NOT NULL,
    holder text NOT NULL,
    nonce text NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
INSERT INTO leadership (term, holder, nonce, expires_at) VALUES (0, '', '', '-infinity');
-- When each duty last ran, so that a new leader does not run all at once.
CREATE TABLE duties (
    name text PRIMARY KEY,
    last_started_at timestamptz,
    last_finished_at timestamptz,
    last_outcome text NOT NULL DEFAULT '',
    last_rows bigint NOT NULL DEFAULT 0,
    run_requested_at timestamptz
);

-- --- who may do what ---
CREATE TABLE roles (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name)
);
CREATE TABLE permissions (
    id text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    namespace text NOT NULL
);
CREATE TABLE role_permissions (
    id bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    role_id text NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    permission_id text NOT NULL REFERENCES permissions (id) ON DELETE RESTRICT,
    scope_type text NOT NULL DEFAULT 'global' CHECK (scope_type IN ('global', 'profile', 'issuer')),
    scope_id text,
    CHECK ((scope_type = 'global') = (scope_id IS NULL)),
    UNIQUE NULLS NOT DISTINCT (role_id, permission_id, scope_type, scope_id)
);
CREATE TABLE actor_roles (
    id text PRIMARY KEY,
    actor_id text NOT NULL,
    actor_type text NOT NULL CHECK (actor_type IN ('User', 'System', 'Agent', 'APIKey', 'Anonymous')),
    role_id text NOT NULL REFERENCES roles (id) ON DELETE RESTRICT,
    granted_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    granted_by text NOT NULL DEFAULT 'system',
    tenant_id text NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    scope_type text NOT NULL DEFAULT 'global' CHECK (scope_type IN ('global', 'profile', 'issuer')),
    scope_id text,
    CHECK ((scope_type = 'global') = (scope_id IS NULL)),
    UNIQUE NULLS NOT DISTINCT (actor_id, actor_type, role_id, scope_type, scope_id, tenant_id)
);
CREATE TABLE api_keys (
    id text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    key_hash text NOT NULL UNIQUE,
    tenant_id text NOT NULL DEFAULT 't-default' REFERENCES tenants (id) ON DELETE CASCADE,
    admin bool NOT NULL DEFAULT false,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz
);

-- --- audit: append-only, partitioned by month ---
CREATE SEQUENCE audit_seq;
CREATE TABLE audit_events (
    id text NOT NULL DEFAULT id_new('audit'),
    actor varchar(255) NOT NULL,
    actor_type varchar(50) NOT NULL,
    action varchar(255) NOT NULL,
    resource_type varchar(255) NOT NULL,
    resource_id varchar(255) NOT NULL,
    details jsonb,
    timestamp timestamptz NOT NULL DEFAULT clock_timestamp(),
    event_category text NOT NULL DEFAULT 'cert_lifecycle' CHECK (event_category IN ('cert_lifecycle', 'auth', 'config')),
    -- The order and the horizon by which blocks are sealed.
    seq bigint NOT NULL DEFAULT nextval('audit_seq'),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (seq, timestamp)
) PARTITION BY RANGE (timestamp);

-- Partitions from this month to p_months ahead; there is no default one, so a
-- row can never hide from retention.
CREATE FUNCTION audit_partitions_ensure(p_months int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_from date := date_trunc('month', engine_now() AT TIME ZONE 'UTC')::date;
    v_name text;
    v_made int := 0;
BEGIN
    FOR i IN -1..p_months LOOP
        v_name := 'audit_events_' || to_char(v_from + make_interval(months => i), 'YYYY_MM');
        IF to_regclass('public.' || v_name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF audit_events FOR VALUES FROM (%L) TO (%L)', v_name,
                ((v_from + make_interval(months => i))::timestamp AT TIME ZONE 'UTC'),
                ((v_from + make_interval(months => i + 1))::timestamp AT TIME ZONE 'UTC'));
            v_made := v_made + 1;
        END IF;
    END LOOP;
    RETURN v_made;
END $$;
SELECT audit_partitions_ensure(13);

CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events is append-only' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER audit_events_worm_trigger BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_events_worm_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();

-- --- spelling ---
CREATE FUNCTION certificates_canonical() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.status := enum_canonical(NEW.status,
        '{Pending,Active,Expiring,Expired,RenewalInProgress,Failed,Revoked,Archived}');
    RETURN NEW;
END $$;
CREATE TRIGGER certificates_canonical BEFORE INSERT OR UPDATE OF status ON managed_certificates FOR EACH ROW
    WHEN (NEW.status NOT IN ('Pending', 'Active', 'Expiring', 'Expired', 'RenewalInProgress', 'Failed', 'Revoked', 'Archived'))
    EXECUTE FUNCTION certificates_canonical();

CREATE FUNCTION agents_canonical() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.status := enum_canonical(NEW.status, '{Online,Offline,Degraded}');
    RETURN NEW;
END $$;
CREATE TRIGGER agents_canonical BEFORE INSERT OR UPDATE OF status ON agents FOR EACH ROW
    WHEN (NEW.status NOT IN ('Online', 'Offline', 'Degraded')) EXECUTE FUNCTION agents_canonical();

CREATE FUNCTION jobs_canonical() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.status := enum_canonical(NEW.status,
        '{Pending,AwaitingCSR,AwaitingApproval,Running,Completed,Failed,Cancelled}');
    NEW.type := enum_canonical(NEW.type, '{Issuance,Renewal,Deployment,Validation}');
    RETURN NEW;
END $$;
CREATE TRIGGER jobs_canonical BEFORE INSERT OR UPDATE OF status, type ON jobs FOR EACH ROW
    WHEN (NEW.status NOT IN ('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running', 'Completed', 'Failed', 'Cancelled')
        OR NEW.type NOT IN ('Issuance', 'Renewal', 'Deployment', 'Validation'))
    EXECUTE FUNCTION jobs_canonical();

CREATE FUNCTION lanes_for_issuer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO lanes (issuer_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER issuers_lane AFTER INSERT ON issuers FOR EACH ROW EXECUTE FUNCTION lanes_for_issuer();

-- --- when renewal falls due ---
-- notAfter - min(window, lifetime / 3), or the policy's percent of the
-- lifetime; then later by a share of up to a tenth of that lead, taken from a
-- hash of the id, so that certificates made together do not renew together.
-- One expression, and STABLE as timestamptz arithmetic is: so it is inlined,
-- which makes it twenty times cheaper in the completion of a batch.
CREATE FUNCTION renew_after_of(p_id text, p_valid_from timestamptz, p_expires_at timestamptz,
    p_window_days int, p_percent int) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT p_expires_at - (1 - 0.1::float8 * ((hashtext(p_id) & 65535) / 65536.0::float8)) * CASE
        WHEN p_valid_from IS NULL THEN make_interval(days => p_window_days)
        WHEN p_percent IS NOT NULL THEN (p_expires_at - p_valid_from) * ((100 - p_percent) / 100.0::float8)
        ELSE least(make_interval(days => p_window_days), (p_expires_at - p_valid_from) / 3)
    END
$$;

CREATE FUNCTION certificates_renew_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT renew_after_of(NEW.id, NEW.valid_from, NEW.expires_at, p.renewal_window_days, p.renewal_percent)
        INTO NEW.renew_after FROM renewal_policies p WHERE p.id = NEW.renewal_policy_id;
    RETURN NEW;
END $$;
CREATE TRIGGER certificates_renew_after BEFORE INSERT ON managed_certificates FOR EACH ROW
    WHEN (NEW.expires_at IS NOT NULL AND NEW.renew_after IS NULL) EXECUTE FUNCTION certificates_renew_after();
CREATE TRIGGER certificates_renew_after_moved BEFORE UPDATE OF renewal_policy_id ON managed_certificates FOR EACH ROW
    WHEN (NEW.expires_at IS NOT NULL AND NEW.renewal_policy_id <> OLD.renewal_policy_id)
    EXECUTE FUNCTION certificates_renew_after();

CREATE FUNCTION policies_renew_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE managed_certificates c SET renew_after =
        renew_after_of(c.id, c.valid_from, c.expires_at, NEW.renewal_window_days, NEW.renewal_percent)
    WHERE c.renewal_policy_id = NEW.id AND c.expires_at IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER policies_renew_after AFTER UPDATE OF renewal_window_days, renewal_percent ON renewal_policies FOR EACH ROW
    WHEN (OLD.renewal_window_days <> NEW.renewal_window_days OR OLD.renewal_percent IS DISTINCT FROM NEW.renewal_percent)
    EXECUTE FUNCTION policies_renew_after();

-- --- baseline seed ---
INSERT INTO renewal_policies (id, name, renewal_window_days, auto_renew, max_retries, retry_interval_seconds)
    VALUES ('rp-default', 'default', 30, true, 3, 60);
INSERT INTO roles (id, tenant_id, name, description) VALUES
    ('r-admin', 't-default', 'admin', 'Everything'),
    ('r-operator', 't-default', 'operator', 'Day-to-day work on certificates, targets and agents'),
    ('r-viewer', 't-default', 'viewer', 'Reading'),
    ('r-agent', 't-default', 'agent', 'What an agent on a host needs'),
    ('r-mcp', 't-default', 'mcp', 'What the MCP bridge needs'),
    ('r-cli', 't-default', 'cli', 'What the command line needs'),
    ('r-auditor', 't-default', 'auditor', 'Reading and exporting the audit trail');
-- name, and who holds it: A admin, O operator, C cli, M mcp, V viewer, G agent,
-- U auditor.  The agent role also holds verification.run: an agent reports what
-- it proved.
CREATE TEMP TABLE grants (name text, held_by text);
INSERT INTO grants VALUES
    ('agent.edit', 'AOC'),
    ('agent.heartbeat', 'AG'),
    ('agent.job.complete', 'AG'),
    ('agent.job.poll', 'AG'),
    ('agent.job.report', 'AG'),
    ('agent.read', 'AOCMV'),
    ('agent.retire', 'A'),
    ('approval.approve', 'AOCM'),
    ('approval.read', 'AOCMV'),
    ('approval.reject', 'AOCM'),
    ('audit.export', 'AU'),
    ('audit.read', 'AOCMVU'),
    ('auth.bootstrap.use', 'A'),
    ('auth.breakglass.admin', 'A'),
    ('auth.breakglass.login', 'A'),
    ('auth.key.create', 'AC'),
    ('auth.key.delete', 'A'),
    ('auth.key.list', 'AC'),
    ('auth.key.rotate', 'AC'),
    ('auth.oidc.create', 'A'),
    ('auth.oidc.delete', 'A'),
    ('auth.oidc.edit', 'A'),
    ('auth.oidc.list', 'A'),
    ('auth.role.assign', 'A'),
    ('auth.role.create', 'A'),
    ('auth.role.delete', 'A'),
    ('auth.role.edit', 'A'),
    ('auth.role.list', 'A'),
    ('auth.role.revoke', 'A'),
    ('auth.session.list', 'A'),
    ('auth.session.list.all', 'A'),
    ('auth.session.revoke', 'A'),
    ('auth.user.deactivate', 'A'),
    ('auth.user.read', 'AOU'),
    ('ca.hierarchy.manage', 'A'),
    ('cert.bulk_revoke', 'A'),
    ('cert.delete', 'AOC'),
    ('cert.edit', 'AOCM'),
    ('cert.issue', 'AOCM'),
    ('cert.read', 'AOCMVG'),
    ('cert.revoke', 'AOCM'),
    ('crl.admin', 'A'),
    ('digest.read', 'AOCMV'),
    ('digest.send', 'AOC'),
    ('discovery.claim', 'AOCM'),
    ('discovery.read', 'AOCMV'),
    ('discovery.run', 'AOCG'),
    ('est.admin', 'A'),
    ('healthcheck.acknowledge', 'AOCM'),
    ('healthcheck.delete', 'AO'),
    ('healthcheck.edit', 'AOC'),
    ('healthcheck.read', 'AOCMV'),
    ('issuer.delete', 'A'),
    ('issuer.edit', 'AOCM'),
    ('issuer.read', 'AOCMV'),
    ('job.cancel', 'AOCM'),
    ('job.read', 'AOCMV'),
    ('metrics.read', 'AOCMV'),
    ('network_scan.edit', 'AOC'),
    ('network_scan.read', 'AOCMV'),
    ('network_scan.run', 'AOCM'),
    ('notification.edit', 'AOCM'),
    ('notification.read', 'AOCMV'),
    ('owner.delete', 'AO'),
    ('owner.edit', 'AOC'),
    ('owner.read', 'AOCMV'),
    ('policy.delete', 'AOC'),
    ('policy.edit', 'AOC'),
    ('policy.read', 'AOCMV'),
    ('profile.delete', 'A'),
    ('profile.edit', 'AOCM'),
    ('profile.read', 'AOCMV'),
    ('scep.admin', 'A'),
    ('stats.read', 'AOCMV'),
    ('target.delete', 'AOC'),
    ('target.edit', 'AOCM'),
    ('target.read', 'AOCMV'),
    ('team.delete', 'AO'),
    ('team.edit', 'AOC'),
    ('team.read', 'AOCMV'),
    ('verification.read', 'AOCMV'),
    ('verification.run', 'AOCMG');
INSERT INTO permissions (id, name, namespace)
    SELECT 'p-' || replace(name, '.', '-'), name, split_part(name, '.', 1) FROM grants;
INSERT INTO role_permissions (role_id, permission_id)
    SELECT r.id, 'p-' || replace(g.name, '.', '-')
    FROM grants g
    JOIN (VALUES ('r-admin', 'A'), ('r-operator', 'O'), ('r-cli', 'C'), ('r-mcp', 'M'), ('r-viewer', 'V'),
        ('r-agent', 'G'), ('r-auditor', 'U')) AS r (id, letter) ON strpos(g.held_by, r.letter) > 0;
DROP TABLE grants;
