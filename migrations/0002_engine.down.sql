DROP TABLE idempotency_keys, expiry_alert_state, expiry_alerts, notification_events, crl_numbers, crl_generation_events, crl_cache,
    lock_holders, duty_marks, duties, leadership, database_servers, apiservers,
    schedulers, workers, issuance_approval_requests, journal_ahead, tasks, jobs, lanes;
DROP SEQUENCE lease_seq;
