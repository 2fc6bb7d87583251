CREATE OR REPLACE FUNCTION duty_certificate_status(p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_ids text[];
BEGIN
    SELECT array_agg(d.id) INTO v_ids FROM (
        (SELECT c.id FROM managed_certificates c WHERE c.status = 'RenewalInProgress'
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = c.id AND j.type IN ('Issuance', 'Renewal')
                AND j.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')) LIMIT p_limit)
        UNION ALL
        (SELECT c.id FROM managed_certificates c WHERE c.expires_at <= v_now AND c.status IN ('Active', 'Expiring')
            ORDER BY c.expires_at DESC LIMIT p_limit)
        UNION ALL
        (SELECT c.id FROM managed_certificates c JOIN renewal_policies p ON p.id = c.renewal_policy_id
            WHERE c.status = 'Active' AND c.expires_at > v_now AND c.expires_at <= v_now + interval '365 days'
                AND c.expires_at <= v_now + least(make_interval(days => p.renewal_window_days),
                    (c.expires_at - coalesce(c.valid_from, '-infinity')) / 3)
            ORDER BY c.expires_at LIMIT p_limit)) d;
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM managed_certificates c WHERE c.id = ANY (v_ids) ORDER BY c.id FOR NO KEY UPDATE;
    RETURN certificates_refresh(v_ids);
END $$;
DROP FUNCTION duties_register(text, bigint, text[], bigint[], bigint[], text[]), duty_run_request(text, text, text),
    duty_short_lived_expiry(int), duty_idempotency_cleanup(int), profile_is_short_lived(bool, int), duty_job_retention(bigint, int),
    duty_version_retention(bigint, int), duty_audit_retention(bigint), duty_mark_take(text), duty_mark_put(text, text[], int),
    id_bound(text, timestamptz);
DROP TABLE duty_marks;
ALTER TABLE duties
    DROP COLUMN term, DROP COLUMN interval_ms, DROP COLUMN timeout_ms, DROP COLUMN off_reason, DROP COLUMN next_run_at,
    DROP COLUMN last_duration_ms, DROP COLUMN last_error, DROP COLUMN runs, DROP COLUMN failures, DROP COLUMN skipped;
