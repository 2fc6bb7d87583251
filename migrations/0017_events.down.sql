DROP TABLE event_conditions, event_batches, event_changes;
DROP SEQUENCE event_seq;
