DELETE FROM tasks WHERE kind IN ('ocsp_sign', 'ocsp_refresh');
-- What a later code has made of it.
DROP TRIGGER IF EXISTS lists_changed ON certificate_revocations;
DROP SEQUENCE revocations_changes;
DROP TABLE ocsp_batches, ocsp_response_cache, ocsp_responder_keys, ocsp_responders;
