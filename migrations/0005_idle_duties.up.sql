-- What a duty looks for is found by an index that holds little else, so that a
-- look costs with what is found.

-- When a certificate begins to be Expiring; kept by expiring_at_of() whenever
-- what it depends on changes.
ALTER TABLE managed_certificates ADD COLUMN expiring_at timestamptz;
-- When the clock changes the status next.
CREATE INDEX IF NOT EXISTS managed_certificates_status_due ON managed_certificates
    ((CASE status WHEN 'Active' THEN least(expiring_at, expires_at) ELSE expires_at END))
    WHERE status IN ('Active', 'Expiring');

-- Since when a job waits for its CSR or for an approval.
CREATE INDEX IF NOT EXISTS jobs_waiting_since ON jobs
    (status, (CASE status WHEN 'AwaitingCSR' THEN greatest(created_at, run_after) ELSE created_at END), id)
    WHERE status IN ('AwaitingCSR', 'AwaitingApproval');
DROP INDEX jobs_waiting;
-- Active jobs that nobody can ever run: empty, but for rows edited by hand.
CREATE INDEX IF NOT EXISTS jobs_nonsense ON jobs (id)
    WHERE status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')
        AND (type = 'Validation' OR certificate_id IS NULL
            OR (type = 'Deployment' AND (target_id IS NULL OR agent_id IS NULL OR version_id IS NULL
                OR status IN ('AwaitingCSR', 'AwaitingApproval')))
            OR (type <> 'Deployment' AND (issuer_id IS NULL OR (status = 'Running' AND (lease_id IS NULL OR attempt_until IS NULL))))
            OR (checkpoint IS NULL AND run_after = 'infinity'));
-- Deployments that were put off.
CREATE INDEX IF NOT EXISTS jobs_deployments_later ON jobs (run_after)
    WHERE type = 'Deployment' AND status = 'Pending' AND run_after > created_at;

-- A task that failed keeps no like one from being made; when that may be is its
-- run_after.
UPDATE tasks SET dedupe_key = NULL WHERE status = 'Failed';
ALTER TABLE tasks ADD CONSTRAINT tasks_failed_has_no_key CHECK (status <> 'Failed' OR dedupe_key IS NULL);
CREATE INDEX IF NOT EXISTS tasks_failed ON tasks (issuer_id, kind) WHERE status = 'Failed';

-- Policies whose window or percentage changed, and how far their certificates
-- have followed.
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
-- Rows from before have no expiring_at.
INSERT INTO policy_changes (policy_id) SELECT p.id FROM renewal_policies p;
