-- The engine: lanes, jobs, tasks, the processes that work on them, and what the duties remember.

-- An issuer's lane: what of it may run at once, and what it costs the rest of the fleet when it is slow (nothing).
CREATE TABLE lanes (
    issuer_id text PRIMARY KEY REFERENCES issuers (id) ON DELETE CASCADE,
    cap int NOT NULL DEFAULT 8 CHECK (cap BETWEEN 0 AND 1000),
    updated_at timestamptz NOT NULL DEFAULT now(),
    rate_per_s double precision CHECK (rate_per_s > 0), -- jobs started a second; NULL: no limit
    rate_tokens double precision NOT NULL DEFAULT 1,
    rate_at timestamptz NOT NULL DEFAULT '-infinity', -- when the tokens were counted
    breaker_state text NOT NULL DEFAULT 'closed' CHECK (breaker_state IN ('closed', 'open', 'half_open')),
    failures int NOT NULL DEFAULT 0, -- in a row
    failures_max int NOT NULL DEFAULT 5 CHECK (failures_max > 0), -- that many open the breaker
    opens int NOT NULL DEFAULT 0, -- in a row
    opened_until timestamptz,
    trial_lease bigint, -- the one job let through while half-open
    last_error text
) WITH (fillfactor = 50);

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
    attempts int NOT NULL DEFAULT 0, max_attempts int NOT NULL DEFAULT 3, last_error text,
    deployment_result jsonb, scheduled_at timestamptz, started_at timestamptz, completed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    verification_status text DEFAULT 'pending', verified_at timestamptz,
    verification_fingerprint text, verification_error text,
    -- the engine's own
    issuer_id text REFERENCES issuers (id) ON DELETE RESTRICT,
    dedupe_key text, run_after timestamptz NOT NULL DEFAULT now(),
    lease_id bigint, -- of the last hand-out; stays as a receipt
    leased_by text, attempt_until timestamptz,
    deliveries int NOT NULL DEFAULT 0, -- hand-outs
    died_with text[], -- by whom hand-outs ended with the worker; '': one that lives, past the attempt's end
    held_since timestamptz, -- it went back because somebody holds a row that its end needs
    cancel_requested_at timestamptz, checkpoint jsonb,
    version_id text, -- issuance: what it made; deployment: what it installs
    serial_number text, -- fixed before the first signature, the same in every attempt
    not_before timestamptz, not_after timestamptz,
    extensions jsonb, -- ekus, must_staple, crl_urls: fixed with the serial
    ca_sha256 bytea, -- of the CA's certificate: fixed with the serial
    requested_by text NOT NULL DEFAULT 'system', retry_of text,
    budget_over_at timestamptz, -- its tick's budget ended while it ran
    is_stale bool NOT NULL DEFAULT false, -- the certificate's names, issuer or profile changed since it got its CSR
    CONSTRAINT jobs_final_has_end CHECK ((status IN ('Completed', 'Failed', 'Cancelled')) = (completed_at IS NOT NULL)),
    CONSTRAINT jobs_running_has_holder CHECK (status <> 'Running' OR leased_by IS NOT NULL)
-- Room for its next states, as in managed_certificates; a job that waits is half as long as one that has ended.
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX jobs_dedupe_key ON jobs (dedupe_key)
    WHERE status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval');
CREATE INDEX jobs_queue ON jobs (issuer_id, run_after, id) WHERE status = 'Pending' AND type IN ('Issuance', 'Renewal');
CREATE INDEX jobs_died ON jobs (id) WHERE died_with IS NOT NULL AND status IN ('Pending', 'Running');
CREATE INDEX jobs_held ON jobs (held_since) WHERE held_since IS NOT NULL AND status IN ('Pending', 'Running');
CREATE INDEX jobs_leased ON jobs (leased_by, lease_id) WHERE status = 'Running';
CREATE INDEX jobs_agent ON jobs (agent_id, id)
    WHERE status = 'AwaitingCSR' OR (type = 'Deployment' AND status IN ('Pending', 'Running'));
-- Since when a job waits for its CSR or for an approval.
CREATE INDEX jobs_waiting_since ON jobs
    (status, (CASE status WHEN 'AwaitingCSR' THEN greatest(created_at, run_after) ELSE created_at END), id)
    WHERE status IN ('AwaitingCSR', 'AwaitingApproval');
-- Active jobs that nobody can ever run: empty, but for rows edited by hand.
CREATE INDEX jobs_nonsense ON jobs (id) WHERE status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')
        AND (type = 'Validation' OR certificate_id IS NULL
            OR (type = 'Deployment' AND (target_id IS NULL OR agent_id IS NULL OR version_id IS NULL
                OR status IN ('AwaitingCSR', 'AwaitingApproval')))
            OR (type <> 'Deployment' AND (issuer_id IS NULL OR (status = 'Running' AND (lease_id IS NULL OR attempt_until IS NULL))))
            OR (checkpoint IS NULL AND run_after = 'infinity'));
-- Deployments that were put off.
CREATE INDEX jobs_deployments_later ON jobs (run_after)
    WHERE type = 'Deployment' AND status = 'Pending' AND run_after > created_at;
CREATE INDEX jobs_ended_badly ON jobs (status, id) WHERE status IN ('Failed', 'Cancelled');
CREATE INDEX jobs_target_id ON jobs (target_id) WHERE target_id IS NOT NULL;
-- A certificate's jobs are few and sorted quickly, and each state of a job is a new entry: without the job's id it is half
-- as long.
CREATE INDEX jobs_certificate_id ON jobs (certificate_id);

-- All other work of workers; deleted when done, never shown as jobs.
CREATE TABLE tasks (
    id text PRIMARY KEY, kind text NOT NULL, subject text NOT NULL, dedupe_key text,
    issuer_id text REFERENCES issuers (id) ON DELETE CASCADE,
    payload jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'Pending' CHECK (status IN ('Pending', 'Running', 'Failed')),
    attempts int NOT NULL DEFAULT 0, max_attempts int NOT NULL DEFAULT 10, last_error text,
    run_after timestamptz NOT NULL DEFAULT now(),
    lease_id bigint, leased_by text, attempt_until timestamptz,
    deliveries int NOT NULL DEFAULT 0, died_with text[], -- as in jobs
    created_at timestamptz NOT NULL DEFAULT now(),
    -- One that failed keeps no like one from being made; when that may be is its run_after.
    CONSTRAINT tasks_failed_has_no_key CHECK (status <> 'Failed' OR dedupe_key IS NULL)
);
CREATE INDEX tasks_died ON tasks (id) WHERE died_with IS NOT NULL;
CREATE INDEX tasks_failed ON tasks (subject, kind) WHERE status = 'Failed';
CREATE INDEX tasks_queue ON tasks (run_after, id) WHERE status = 'Pending';
CREATE INDEX tasks_leased ON tasks (lease_id, leased_by) WHERE status = 'Running';
CREATE UNIQUE INDEX tasks_dedupe_key ON tasks (dedupe_key) WHERE dedupe_key IS NOT NULL;

-- Certificates that a worker's issuance journal has and the database does not: it is from before them.
-- docs/operator/runbooks/postgres-backup.md
CREATE TABLE journal_ahead (
    issuer_id text NOT NULL, -- by the journal's name; it may be unknown too
    serial_number text NOT NULL, job_id text NOT NULL,
    certificate_id text NOT NULL DEFAULT '', -- '': the line does not say
    leaf jsonb, -- the certificate itself; NULL: the journal does not hold it
    revoked_at timestamptz, -- by a list that was published
    reason text, journalled_at timestamptz NOT NULL, host text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz, -- certctl recover
    settled_as text,
    PRIMARY KEY (issuer_id, serial_number)
);
CREATE INDEX journal_ahead_open ON journal_ahead (journalled_at) WHERE settled_at IS NULL;

-- --- approval ---

CREATE TABLE issuance_approval_requests (
    id text PRIMARY KEY, certificate_id text REFERENCES managed_certificates (id) ON DELETE CASCADE,
    job_id text REFERENCES jobs (id) ON DELETE CASCADE,
    profile_id text NOT NULL REFERENCES certificate_profiles (id) ON DELETE RESTRICT,
    requested_by text NOT NULL,
    state varchar(20) NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'approved', 'rejected', 'expired')),
    decided_by text, decided_at timestamptz, decision_note text, metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    approval_kind text NOT NULL DEFAULT 'cert_issuance' CHECK (approval_kind IN ('cert_issuance', 'profile_edit')),
    payload jsonb,
    CONSTRAINT approvals_decided CHECK ((state = 'pending') = (decided_by IS NULL) AND (state = 'pending') = (decided_at IS NULL)),
    CONSTRAINT approvals_subject CHECK (CASE approval_kind WHEN 'cert_issuance' THEN certificate_id IS NOT NULL AND job_id IS NOT NULL
        ELSE payload IS NOT NULL END)
);
CREATE UNIQUE INDEX issuance_approval_requests_pending ON issuance_approval_requests (job_id) WHERE state = 'pending';
CREATE INDEX issuance_approval_requests_job_id ON issuance_approval_requests (job_id);
CREATE INDEX issuance_approval_requests_certificate_id ON issuance_approval_requests (certificate_id);
CREATE INDEX issuance_approval_requests_requested_by ON issuance_approval_requests (requested_by, created_at, id);
CREATE INDEX issuance_approval_requests_created_at ON issuance_approval_requests (created_at, id);

-- --- processes ---

CREATE TABLE workers (
    incarnation text PRIMARY KEY,
    name text NOT NULL, host text NOT NULL, pid int NOT NULL, version text NOT NULL DEFAULT '',
    code text NOT NULL DEFAULT '', -- the schema whose functions it calls
    slots int NOT NULL DEFAULT 1,
    server text NOT NULL DEFAULT '', -- the database server that it is with, in words
    started_at timestamptz NOT NULL DEFAULT now(), lease_until timestamptz NOT NULL,
    fault text NOT NULL DEFAULT '', -- what its host cannot do: words of worker/host_fault.h
    fault_detail text NOT NULL DEFAULT '',
    faults jsonb NOT NULL DEFAULT '{}', -- the reason by the issuer whose work is not taken; '': all work
    fault_since timestamptz,
    bus_near timestamptz, bus_ends timestamptz -- its certificate of the bus: from when on its end is near
) WITH (fillfactor = 50);

CREATE TABLE schedulers (
    incarnation text PRIMARY KEY, name text NOT NULL, host text NOT NULL, pid int NOT NULL,
    url text NOT NULL, version text NOT NULL DEFAULT '',
    code text NOT NULL DEFAULT '', -- the schema whose functions it calls
    server text NOT NULL DEFAULT '', -- the database server that it is with, in words
    started_at timestamptz NOT NULL DEFAULT now(), seen_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE apiservers (LIKE schedulers INCLUDING ALL) WITH (fillfactor = 50);

-- Which servers this data has been on: a system identifier and each timeline that somebody wrote in.  A promoted standby
-- has the rows of the server it follows.
CREATE TABLE database_servers (
    system_identifier text NOT NULL, timeline int NOT NULL, first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (system_identifier, timeline)
);

-- One row: who leads, in which term, until when.  The nonce tells one start of a leader from another.
CREATE TABLE leadership (
    id int PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    term bigint NOT NULL, holder text NOT NULL, nonce text NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
INSERT INTO leadership (term, holder, nonce, expires_at) VALUES (0, '', '', '-infinity');

-- --- duties ---

-- When each duty last ran, so that a new leader does not run all at once.
CREATE TABLE duties (
    name text PRIMARY KEY, last_started_at timestamptz, last_finished_at timestamptz,
    last_outcome text NOT NULL DEFAULT '', last_rows bigint NOT NULL DEFAULT 0,
    run_requested_at timestamptz,
    term bigint NOT NULL DEFAULT 0, -- in which the last run began
    interval_ms bigint NOT NULL DEFAULT 0, timeout_ms bigint NOT NULL DEFAULT 0,
    off_reason text NOT NULL DEFAULT '', -- empty: it runs
    next_run_at timestamptz, last_duration_ms bigint, last_error text NOT NULL DEFAULT '',
    runs bigint NOT NULL DEFAULT 0, failures bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0 -- ticks, while a run went on
);

-- How far a duty came that walks a table by its key: behind the mark are only rows that it removed or that are to stay, so
-- a walk does not step over them (or their remains) again until its next pass.
CREATE TABLE duty_marks (
    name text PRIMARY KEY,
    low_id text NOT NULL DEFAULT '', low_at timestamptz NOT NULL DEFAULT '-infinity',
    is_done bool NOT NULL DEFAULT true -- the pass met its end
);

-- Who holds rows of ours, and since when that is known; without a leader it is not kept.
CREATE TABLE lock_holders (holder text PRIMARY KEY, since timestamptz NOT NULL DEFAULT clock_timestamp());

-- --- revocation lists ---

CREATE TABLE crl_cache (
    list text PRIMARY KEY, -- of ca_certificates
    issuer_id text NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    crl_der bytea NOT NULL, crl_number bigint NOT NULL, this_update timestamptz NOT NULL,
    next_update timestamptz NOT NULL, generated_at timestamptz NOT NULL DEFAULT now(),
    generation_duration_ms int NOT NULL, revoked_count int NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    etag text NOT NULL,
    ca_fingerprint text NOT NULL, -- of the certificate whose key signed it
    snapshot pg_snapshot NOT NULL -- which revocations it can know of
);
-- Serial numbers do not compress.
ALTER TABLE crl_cache ALTER COLUMN crl_der SET STORAGE EXTERNAL;

CREATE TABLE crl_generation_events (
    id bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    issuer_id text NOT NULL, crl_number bigint NOT NULL, duration_ms int NOT NULL, revoked_count int NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    succeeded bool NOT NULL, error text
);
CREATE INDEX crl_generation_events_issuer_id ON crl_generation_events (issuer_id, id);

CREATE TABLE crl_numbers (
    issuer_id text PRIMARY KEY REFERENCES issuers (id) ON DELETE CASCADE,
    last_number bigint NOT NULL
);

-- --- notifications ---

CREATE TABLE notification_events (
    id text PRIMARY KEY,
    type varchar(255) NOT NULL CHECK (type IN ('ExpirationWarning', 'RenewalSuccess', 'RenewalFailure', 'DeploymentSuccess',
        'DeploymentFailure', 'PolicyViolation', 'Revocation')),
    certificate_id text REFERENCES managed_certificates (id) ON DELETE CASCADE,
    channel varchar(255) NOT NULL CHECK (channel IN ('Email', 'Webhook', 'Slack', 'Teams', 'PagerDuty', 'OpsGenie')),
    recipient varchar(255) NOT NULL, message text NOT NULL, sent_at timestamptz,
    status varchar(50) NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'sent', 'failed', 'dead', 'read')),
    error text, retry_count int NOT NULL DEFAULT 0, next_retry_at timestamptz, last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    severity text NOT NULL DEFAULT 'informational' CHECK (severity IN ('informational', 'warning', 'critical')),
    threshold_days int,
    message_id text -- the message it was put into, and its task
);
-- The order of the list, newest sent first.
CREATE INDEX notification_events_sent_at ON notification_events ((coalesce(sent_at, '-infinity')) DESC, id DESC);
CREATE INDEX notification_events_status ON notification_events (status, (coalesce(sent_at, '-infinity')) DESC, id DESC)
    WHERE status IN ('pending', 'failed', 'dead');
CREATE INDEX notification_events_new ON notification_events (id) WHERE status = 'pending' AND message_id IS NULL;
CREATE INDEX notification_events_unsent ON notification_events (message_id) WHERE status IN ('pending', 'failed') AND message_id IS NOT NULL;
CREATE INDEX notification_events_dead ON notification_events ((retry_count > 0), id) WHERE status = 'dead';
CREATE INDEX notification_events_certificate_id ON notification_events (certificate_id, id);

-- The tightest threshold that was alerted for the end a certificate has now: the rule that no alert is made twice, and that
-- a new end alerts anew.
CREATE TABLE expiry_alerts (
    certificate_id text PRIMARY KEY REFERENCES managed_certificates (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL, threshold_days int NOT NULL,
    alerted_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);

-- How far the duty has come: every threshold passed up to crossed_to was seen, every certificate made up to created_to, and
-- at full_at it began to look at all that are within a threshold.
CREATE TABLE expiry_alert_state (
    id int PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    crossed_to timestamptz NOT NULL DEFAULT '-infinity',
    created_to timestamptz NOT NULL DEFAULT '-infinity',
    full_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO expiry_alert_state DEFAULT VALUES;

-- --- requests that are repeated ---

-- What requests that carried an Idempotency-Key came to, written with their effect; lists are NULL where empty.
CREATE TABLE idempotency_keys (
    principal text NOT NULL, -- actor type and id
    key text NOT NULL, route text NOT NULL, request_sha256 text NOT NULL,
    matched bigint NOT NULL, done bigint NOT NULL, failed bigint NOT NULL,
    certificate_ids text[], -- one for each of job_ids
    job_ids text[], failed_ids text[], unknown_ids text[], held_ids text[],
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
