-- Rules about certificates, what breaks them, and how far duties have read the audit trail.

CREATE TABLE policy_rules (
    id text PRIMARY KEY, name varchar(255) NOT NULL UNIQUE,
    type varchar(255) NOT NULL, config jsonb NOT NULL,
    enabled bool NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    severity varchar(50) NOT NULL DEFAULT 'Warning' CHECK (severity IN ('Warning', 'Error', 'Critical')),
    -- The certificates up to here were held against the rule as it is now; NULL: all were.
    walked_to text DEFAULT '',
    -- What nobody could evaluate is not stored.
    CONSTRAINT policy_rules_config CHECK (coalesce(CASE type
        WHEN 'AllowedIssuers' THEN jsonb_typeof(config -> 'allowed_issuer_ids') = 'array'
        WHEN 'AllowedDomains' THEN jsonb_typeof(config -> 'allowed_domains') = 'array'
        WHEN 'RequiredMetadata' THEN jsonb_typeof(config -> 'required_keys') = 'array'
        WHEN 'AllowedEnvironments' THEN jsonb_typeof(config -> 'allowed') = 'array'
        WHEN 'RenewalLeadTime' THEN coalesce(config ->> 'lead_time_days', '1') ~ '^[1-9][0-9]{0,3}$'
        WHEN 'CertificateLifetime' THEN config ->> 'max_days' ~ '^[1-9][0-9]{0,3}$' END, false))
);

-- What every issuance asks for: empty where no rule is Critical.
CREATE INDEX policy_rules_critical ON policy_rules (id) WHERE enabled AND severity = 'Critical';

-- One a certificate and rule, gone when it is cured.
CREATE TABLE policy_violations (
    id text PRIMARY KEY,
    certificate_id text NOT NULL REFERENCES managed_certificates (id) ON DELETE CASCADE,
    rule_id text NOT NULL REFERENCES policy_rules (id) ON DELETE CASCADE,
    message text NOT NULL, severity varchar(50) NOT NULL CHECK (severity IN ('Warning', 'Error', 'Critical')),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (certificate_id, rule_id)
);
CREATE INDEX policy_violations_rule_id ON policy_violations (rule_id, id); -- the order of the list
CREATE INDEX policy_violations_severity ON policy_violations (severity, id);

-- Beside an inventory they begin switched off: nothing that was issued until now stops being issued by an upgrade.
INSERT INTO policy_rules (id, name, type, config, severity, enabled)
SELECT r.id, r.name, r.type, r.config, r.severity, NOT EXISTS (SELECT 1 FROM managed_certificates) FROM (VALUES
    ('pr-require-owner', 'require-owner', 'RequiredMetadata', '{"required_keys": ["owner"]}'::jsonb, 'Warning'),
    ('pr-allowed-environments', 'allowed-environments', 'AllowedEnvironments',
        '{"allowed": ["production", "staging", "development"]}', 'Error'),
    ('pr-max-certificate-lifetime', 'max-certificate-lifetime', 'CertificateLifetime', '{"max_days": 90}', 'Critical'),
    ('pr-min-renewal-window', 'min-renewal-window', 'RenewalLeadTime', '{"lead_time_days": 14}', 'Warning'))
    AS r (id, name, type, config, severity);

-- Up to where each reader of the audit trail has read it, in the order of its blocks.
CREATE TABLE audit_readers (
    name text PRIMARY KEY, epoch int NOT NULL, xid xid8 NOT NULL, seq bigint NOT NULL
);

-- What a notification is about beside the certificate: a target, a rule.
ALTER TABLE notification_events ADD COLUMN about text;
