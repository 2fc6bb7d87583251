DROP TABLE policy_changes;
DROP INDEX tasks_failed;
ALTER TABLE tasks DROP CONSTRAINT tasks_failed_has_no_key;
DROP INDEX jobs_deployments_later;
DROP INDEX jobs_nonsense;
CREATE INDEX jobs_waiting ON jobs (created_at) WHERE status IN ('AwaitingCSR', 'AwaitingApproval');
DROP INDEX jobs_waiting_since;
ALTER TABLE managed_certificates DROP COLUMN expiring_at;
