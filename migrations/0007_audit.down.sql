DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_apiserver') THEN
        GRANT INSERT ON audit_events TO certctl_apiserver;
    END IF;
END $$;
DROP FUNCTION audit_chain_verify(int), audit_block_fault(audit_blocks, audit_blocks, timestamptz),
    audit_is_sealed_before(timestamptz), audit_kept_from(), audit_seal(int), audit_block_hash(audit_blocks),
    audit_rows_of(int, xid8, xid8), audit_merkle_path(bytea, int), audit_merkle_root(bytea), audit_merkle_level(bytea),
    audit_leaf(audit_events), audit_us(timestamptz);
DROP TABLE audit_verification, audit_blocks;
DROP INDEX audit_events_timestamp;
ALTER TABLE audit_events DROP CONSTRAINT audit_events_pkey;
ALTER TABLE audit_events DROP COLUMN epoch;
ALTER TABLE audit_events ADD PRIMARY KEY (seq, timestamp);
DROP FUNCTION audit_epoch(), audit_epoch_look();
DROP TABLE audit_epochs;
DROP FUNCTION audit_chain_refuse_change();
