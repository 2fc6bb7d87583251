-- How many there are of what, kept beside the rows: every statement that changes a number adds a row here, so that nobody
-- waits for anybody; a duty adds these up and takes them away.  code/29_stats.sql has the kinds.
CREATE TABLE stat_moves (
    kind text NOT NULL, key text NOT NULL, n bigint NOT NULL,
    at int[], ns int[] -- how much of n at which times, where the kind has times
-- Rows that stay for moments: never compressed or put aside, and what they leave is soon cleaned up.
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE stat_totals (kind text, key text, n bigint NOT NULL, PRIMARY KEY (kind, key)) WITH (fillfactor = 50);
CREATE TABLE stat_series (
    kind text, at int, key text, n bigint NOT NULL, PRIMARY KEY (kind, at, key)
) WITH (fillfactor = 50);
CREATE INDEX stat_series_zero ON stat_series (kind) WHERE n = 0;
