-- Which servers this data has been on: a system identifier and each timeline that
-- somebody wrote in.  A promoted standby has the rows of the server it follows.
CREATE TABLE database_servers (
    system_identifier text NOT NULL,
    timeline int NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (system_identifier, timeline)
);

-- The server that a process is with, in words.
ALTER TABLE workers ADD COLUMN server text NOT NULL DEFAULT '';
ALTER TABLE schedulers ADD COLUMN server text NOT NULL DEFAULT '';
ALTER TABLE apiservers ADD COLUMN server text NOT NULL DEFAULT '';
