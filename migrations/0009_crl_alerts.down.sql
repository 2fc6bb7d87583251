DROP TRIGGER certificates_renewal_floor ON managed_certificates;
DROP FUNCTION certificates_renewal_floor();
DROP TRIGGER certificates_keep_window ON managed_certificates;
DROP FUNCTION certificates_keep_window();
CREATE OR REPLACE FUNCTION certificates_renew_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT renew_after_of(NEW.id, NEW.valid_from, NEW.expires_at, p.renewal_window_days, p.renewal_percent)
        INTO NEW.renew_after FROM renewal_policies p WHERE p.id = NEW.renewal_policy_id;
    RETURN NEW;
END $$;
DROP FUNCTION certificate_ari_set(text, timestamptz, timestamptz),
    ari_renew_after(text, timestamptz, timestamptz, timestamptz), duty_expiry_alerts(int, bool),
    expiry_alerts_make(text[], timestamptz), thresholds_of(jsonb);
ALTER TABLE managed_certificates DROP COLUMN ari_start, DROP COLUMN ari_end, DROP COLUMN ari_for;
DROP TABLE expiry_alert_state, expiry_alerts, notification_events;
DROP FUNCTION crl_failed(text, bigint, text, int, text),
    crl_store(text, bigint, text, bytea, bigint, timestamptz, timestamptz, int, text, text, pg_snapshot, int),
    crl_revocations(text, bigint, text), crl_begin(text, bigint, text), crl_request(text), duty_crl_refresh(int, bool),
    crl_is_behind(text, timestamptz, pg_snapshot);
DROP INDEX certificate_revocations_created_at;
ALTER TABLE certificate_revocations DROP COLUMN xid;
DELETE FROM tasks WHERE kind = 'crl_build';
DROP TABLE crl_numbers, crl_generation_events, crl_cache;
