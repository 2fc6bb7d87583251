-- Tests of targets by their agents, and the hierarchies of intermediate CAs.

-- The last test of each target: an agent takes it with its work and says what it found.
CREATE TABLE target_tests (
    target_id text PRIMARY KEY REFERENCES deployment_targets (id) ON DELETE CASCADE,
    id text NOT NULL UNIQUE, agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    asked_by text NOT NULL, asked_by_type text NOT NULL, asked_at timestamptz NOT NULL,
    taken_at timestamptz, ended_at timestamptz, passed bool, message text NOT NULL DEFAULT '',
    CHECK ((ended_at IS NULL) = (passed IS NULL))
);
CREATE INDEX target_tests_agent_id ON target_tests (agent_id) WHERE taken_at IS NULL AND ended_at IS NULL;
