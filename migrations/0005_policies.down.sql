DROP TABLE audit_readers, policy_violations, policy_rules;
ALTER TABLE notification_events DROP COLUMN about;
