DROP TABLE audit_verification, audit_blocks, audit_epochs, audit_attachments, audit_events;
DROP SEQUENCE audit_seq;
