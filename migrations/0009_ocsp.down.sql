DELETE FROM tasks WHERE kind IN ('ocsp_sign', 'ocsp_refresh');
DROP SEQUENCE revocations_changes;
DROP TABLE ocsp_batches, ocsp_response_cache, ocsp_responder_keys, ocsp_responder_faults, ocsp_responders;
