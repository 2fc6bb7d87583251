-- The ACME server (RFC 8555): what profiles say of it, accounts and the keys that admit them, orders and what they rest on.

-- A profile serves ACME when it is enabled and says whose certificates they become and which issuer signs them.
ALTER TABLE certificate_profiles
    ADD COLUMN issuer_id text REFERENCES issuers (id) ON DELETE RESTRICT,
    ADD COLUMN acme_owner_id text REFERENCES owners (id) ON DELETE RESTRICT,
    ADD COLUMN acme_renewal_policy_id text REFERENCES renewal_policies (id) ON DELETE RESTRICT, -- NULL: the default
    ADD COLUMN acme_eab_required bool, -- NULL: as the apiserver's setting says
    -- Those that differ from the apiserver's settings.
    ADD COLUMN acme_limits jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(acme_limits) = 'object');
CREATE INDEX certificate_profiles_issuer_id ON certificate_profiles (issuer_id) WHERE issuer_id IS NOT NULL;
CREATE INDEX certificate_profiles_acme_owner_id ON certificate_profiles (acme_owner_id) WHERE acme_owner_id IS NOT NULL;

-- ACME clients renew by themselves: no scan does it for them, warnings of expiry go on.  The policy for this is known by its
-- mark: an operator's that has the same id or name is another.
ALTER TABLE renewal_policies ADD COLUMN is_acme_default bool NOT NULL DEFAULT false;
CREATE UNIQUE INDEX renewal_policies_acme_default ON renewal_policies (is_acme_default) WHERE is_acme_default;
INSERT INTO renewal_policies (id, name, renewal_window_days, auto_renew, is_acme_default)
SELECT i.id, n.name, 30, false, true
FROM (SELECT o.id FROM (SELECT 'rp-acme' || CASE WHEN s.n > 1 THEN '-' || s.n ELSE '' END AS id, s.n FROM generate_series(1, 1000) AS s (n)) o
    WHERE NOT EXISTS (SELECT 1 FROM renewal_policies p WHERE p.id = o.id) ORDER BY o.n LIMIT 1) i,
    (SELECT o.name FROM (SELECT 'ACME clients' || CASE WHEN s.n > 1 THEN ' ' || s.n ELSE '' END AS name, s.n FROM generate_series(1, 1000) AS s (n)) o
    WHERE NOT EXISTS (SELECT 1 FROM renewal_policies p WHERE p.name = o.name) ORDER BY o.n LIMIT 1) n;

CREATE TABLE acme_accounts (
    account_id text PRIMARY KEY,
    jwk_thumbprint text NOT NULL, -- RFC 7638, SHA-256, base64url
    jwk_pem text NOT NULL, -- its SubjectPublicKeyInfo
    contact text[] NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'valid' CHECK (status IN ('valid', 'deactivated', 'revoked')),
    profile_id text NOT NULL REFERENCES certificate_profiles (id) ON DELETE RESTRICT,
    owner_id text REFERENCES owners (id) ON DELETE RESTRICT, -- NULL: the profile's
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    terms_agreed_at timestamptz,
    eab_key_id text, -- which admitted it; kept when that key is gone
    UNIQUE (profile_id, jwk_thumbprint)
);
CREATE INDEX acme_accounts_created_at ON acme_accounts (created_at, account_id); -- the order of the list
CREATE INDEX acme_accounts_deactivated ON acme_accounts (updated_at, account_id) WHERE status = 'deactivated'; -- for the duty acme_cleanup
CREATE INDEX acme_accounts_ended ON acme_accounts (created_at, account_id) WHERE status <> 'valid';
CREATE INDEX acme_accounts_owner_id ON acme_accounts (owner_id) WHERE owner_id IS NOT NULL;

-- Keys of external account binding (RFC 8555 section 7.3.4): each admits one account, or any number if it is reusable.
CREATE TABLE acme_eab_keys (
    key_id text PRIMARY KEY,
    profile_id text REFERENCES certificate_profiles (id) ON DELETE RESTRICT, -- NULL: any
    owner_id text REFERENCES owners (id) ON DELETE RESTRICT, -- of the accounts it admits; NULL: the profile's
    hmac_sealed bytea NOT NULL, -- under CERTCTL_CONFIG_ENCRYPTION_KEY; empty once nobody is admitted any more
    description text NOT NULL DEFAULT '', created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz, revoked_at timestamptz,
    reusable bool NOT NULL DEFAULT false,
    uses bigint NOT NULL DEFAULT 0 CHECK (uses <= 1 OR reusable), used_at timestamptz,
    account_id text REFERENCES acme_accounts (account_id) ON DELETE SET NULL -- the one that it admitted last
);
-- No constraint, of which an UPDATE would lock the row against those who refer to it.
CREATE UNIQUE INDEX acme_eab_keys_account_id ON acme_eab_keys (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX acme_eab_keys_created_at ON acme_eab_keys (created_at, key_id); -- the order of the list
-- Since when, or from when on, it admits nobody.
CREATE INDEX acme_eab_keys_ended ON acme_eab_keys ((least(revoked_at, expires_at, CASE WHEN NOT reusable THEN used_at END)));
CREATE INDEX acme_eab_keys_profile_id ON acme_eab_keys (profile_id) WHERE profile_id IS NOT NULL;
CREATE INDEX acme_eab_keys_owner_id ON acme_eab_keys (owner_id) WHERE owner_id IS NOT NULL;

CREATE TABLE acme_orders (
    order_id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES acme_accounts (account_id) ON DELETE CASCADE,
    identifiers jsonb NOT NULL, -- [{"type", "value"}]
    status text NOT NULL CHECK (status IN ('pending', 'ready', 'processing', 'valid', 'invalid')),
    expires_at timestamptz NOT NULL, not_before timestamptz, not_after timestamptz,
    error jsonb, csr_pem text,
    certificate_id text REFERENCES managed_certificates (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    profile_id text NOT NULL, -- the account's
    job_id text, version_id text, -- what it was finalized with, and what came of that
    replaces text, -- RFC 9773 section 5: the identifier of the certificate it replaces
    names_key text NOT NULL
-- A row goes through its states within moments: room for them on its page.
) WITH (fillfactor = 60);
CREATE INDEX acme_orders_account_id ON acme_orders (account_id, created_at, order_id);
CREATE INDEX acme_orders_open ON acme_orders (account_id) WHERE status IN ('pending', 'ready', 'processing');
CREATE INDEX acme_orders_expires_at ON acme_orders (expires_at, order_id);
CREATE INDEX acme_orders_due ON acme_orders (expires_at) WHERE status IN ('pending', 'ready'); -- what is not finalized in time
CREATE INDEX acme_orders_invalid ON acme_orders (order_id) WHERE status = 'invalid';
CREATE INDEX acme_orders_job_id ON acme_orders (job_id) WHERE status = 'processing';
CREATE INDEX acme_orders_version_id ON acme_orders (version_id) WHERE version_id IS NOT NULL;
CREATE INDEX acme_orders_certificate_id ON acme_orders (certificate_id) WHERE certificate_id IS NOT NULL;

CREATE TABLE acme_authorizations (
    authz_id text PRIMARY KEY,
    order_id text NOT NULL REFERENCES acme_orders (order_id) ON DELETE CASCADE,
    identifier jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked')),
    expires_at timestamptz NOT NULL, wildcard bool NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX acme_authorizations_order_id ON acme_authorizations (order_id);

CREATE TABLE acme_challenges (
    challenge_id text PRIMARY KEY,
    authz_id text NOT NULL REFERENCES acme_authorizations (authz_id) ON DELETE CASCADE,
    type text NOT NULL CHECK (type IN ('http-01', 'dns-01', 'tls-alpn-01')),
    status text NOT NULL CHECK (status IN ('pending', 'processing', 'valid', 'invalid')),
    token text NOT NULL, validated_at timestamptz, error jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    attempts int NOT NULL DEFAULT 0
);
CREATE INDEX acme_challenges_authz_id ON acme_challenges (authz_id);

-- Certificates that accounts hold: an order for the same names renews the one that is there.
CREATE TABLE acme_certificates (
    certificate_id text PRIMARY KEY REFERENCES managed_certificates (id) ON DELETE CASCADE,
    account_id text NOT NULL REFERENCES acme_accounts (account_id) ON DELETE CASCADE,
    profile_id text NOT NULL,
    names_key text NOT NULL, -- its identifiers, sorted, and the algorithm of its key
    renew_asked_at timestamptz -- an operator wants it renewed: its renewal window is now (RFC 9773)
);
CREATE INDEX acme_certificates_account_id ON acme_certificates (account_id, names_key);

-- Nonces that were used; none is written when it is issued.  A crash empties all of these, and with it the key by which
-- nonces are known: those whose use was forgotten are refused.
CREATE UNLOGGED TABLE acme_nonces (
    nonce text PRIMARY KEY, issued_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz NOT NULL,
    used bool NOT NULL DEFAULT true
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
CREATE INDEX acme_nonces_expires_at ON acme_nonces (expires_at);

CREATE UNLOGGED TABLE acme_nonce_keys (
    id text PRIMARY KEY, -- at random: no number comes back after a crash
    key bytea NOT NULL, made_at timestamptz NOT NULL DEFAULT now()
);

-- What is left of the rates that accounts may ask at.
CREATE UNLOGGED TABLE acme_buckets (
    kind text NOT NULL, subject text NOT NULL, tokens float8 NOT NULL, at timestamptz NOT NULL,
    PRIMARY KEY (kind, subject)
) WITH (fillfactor = 50);
CREATE INDEX acme_buckets_at ON acme_buckets (at);

-- Since when no name server answers a worker's validations, when one was asked for the last time, and what came of that.
ALTER TABLE workers ADD COLUMN resolver_why text NOT NULL DEFAULT '', ADD COLUMN resolver_since timestamptz, ADD COLUMN resolver_failed_at timestamptz;

-- Of a bulk renewal: how many certificates others were about to renew.
ALTER TABLE idempotency_keys ADD COLUMN under_way bigint;

-- The key by which an issuer of type ACME has its account at its CA: made once, by a worker, and kept as CAs' keys are.
CREATE TABLE issuer_accounts (
    issuer_id text PRIMARY KEY REFERENCES issuers (id) ON DELETE CASCADE,
    key_sealed bytea NOT NULL, -- under CERTCTL_CA_ENCRYPTION_KEY
    created_at timestamptz NOT NULL DEFAULT now()
);
