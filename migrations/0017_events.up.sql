-- Live events: what changed, and in which order it could be seen.  code/35_events.sql says how they are read.

CREATE SEQUENCE event_seq;

-- A row a change, written by triggers in the transaction that changes it.
CREATE TABLE event_changes (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(), seq bigint NOT NULL DEFAULT nextval('event_seq'),
    kind text NOT NULL, id text NOT NULL,
    subject text, -- whom it is about beside that: a deployment's certificate, a condition's object
    was text, became text, -- NULL: it was not, or is not any more
    since timestamptz, -- of a condition
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (xid, seq)
-- Rows that stay for an hour and leave in the order they came in.
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 200000);

-- What could be seen at once: the changes that the snapshot seen shows and was does not.  seen is was of the next one.
CREATE TABLE event_batches (
    n bigint PRIMARY KEY, was pg_snapshot NOT NULL, seen pg_snapshot NOT NULL,
    top bigint NOT NULL DEFAULT 0, -- of event_seq, then
    mark int NOT NULL DEFAULT (random() * 2147483647)::int, -- tells it from one of that number in another copy of this database
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The conditions that were told of.
CREATE TABLE event_conditions (name text, subject text, since timestamptz, PRIMARY KEY (name, subject));
