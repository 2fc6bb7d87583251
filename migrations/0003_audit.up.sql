-- The audit trail: append-only events, partitioned by month, and the blocks that seal them.  docs/internals/audit.md has
-- the rules and the format.

CREATE SEQUENCE audit_seq;

CREATE TABLE audit_events (
    id text NOT NULL, -- by default from id_new
    actor varchar(255) NOT NULL, actor_type varchar(50) NOT NULL, action varchar(255) NOT NULL,
    resource_type varchar(255) NOT NULL, resource_id varchar(255) NOT NULL, details jsonb,
    timestamp timestamptz NOT NULL DEFAULT clock_timestamp(),
    event_category text NOT NULL DEFAULT 'cert_lifecycle' CHECK (event_category IN ('cert_lifecycle', 'auth', 'config')),
    -- The order and the horizon by which blocks are sealed.
    seq bigint NOT NULL DEFAULT nextval('audit_seq'), xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    epoch int NOT NULL, -- by default from audit_epoch
    -- The order of sealing, so that it costs no index of its own; it is also the order of lists, newest first.
    PRIMARY KEY (epoch, xid, seq, timestamp)
) PARTITION BY RANGE (timestamp);
-- Times are looked for in ranges of pages, which costs writers next to nothing.
CREATE INDEX audit_events_timestamp ON audit_events USING brin (timestamp) WITH (pages_per_range = 32, autosummarize = on);

-- What an event lists and is too long for the event.  The event names the SHA-256 of the content, so whatever seals the
-- event seals the list.
CREATE TABLE audit_attachments (
    id text PRIMARY KEY, -- by default from id_new
    sha256 text NOT NULL, -- of the content's UTF-8, lower-case hex
    content text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Transaction ids start again in another cluster, so ranges of them mean something within an epoch only.  A new one begins
-- when the newest epoch's cluster is not this one: after a dump was restored elsewhere.  Epoch 0 are the rows from before
-- there were blocks.
CREATE TABLE audit_epochs (
    n int PRIMARY KEY, system_identifier bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO audit_epochs (n, system_identifier) SELECT 0, 0 UNION ALL SELECT 1, system_identifier FROM pg_control_system();

CREATE TABLE audit_blocks (
    n bigint PRIMARY KEY, epoch int NOT NULL REFERENCES audit_epochs (n),
    from_xid xid8 NOT NULL, -- the horizon of the block before
    to_xid xid8 NOT NULL, -- its own; not included
    rows int NOT NULL,
    oldest timestamptz NOT NULL, -- of its rows
    newest timestamptz NOT NULL, sealed_at timestamptz NOT NULL, merkle_root bytea NOT NULL,
    rows_hash bytea NOT NULL, -- of row_marks
    previous_hash bytea NOT NULL, hash bytea NOT NULL,
    -- seq and the first 8 bytes of the leaf hash, 16 bytes a row: what names the row when the root no longer fits.
    row_marks bytea NOT NULL,
    UNIQUE (epoch, to_xid)
);
ALTER TABLE audit_blocks ALTER COLUMN row_marks SET STORAGE EXTERNAL;

-- How far the duty that verifies has come; the first fault it met stays.
CREATE TABLE audit_verification (
    id int PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    next_n bigint NOT NULL DEFAULT 1,
    rounds bigint NOT NULL DEFAULT 0, -- walks through all of history
    blocks bigint NOT NULL DEFAULT 0, -- looked at, ever
    rows bigint NOT NULL DEFAULT 0, looked_at timestamptz,
    broken_n bigint, broken_what text, broken_at timestamptz
);
INSERT INTO audit_verification DEFAULT VALUES;
