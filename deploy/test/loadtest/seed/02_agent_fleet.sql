-- Five thousand agents.  Each has a key of its own, made of its number: an agent is known by the SHA-256 of its key, as those are
-- that register.  Again and again is no harm.
INSERT INTO agents (id, name, hostname, status, last_heartbeat_at, registered_at, api_key_hash, os, architecture, ip_address, version)
SELECT 'ag-loadtest-' || x.number, 'loadtest-agent-' || x.number, 'loadtest-' || x.number || '.fleet.example.test', 'Online', now(), now(),
    encode(sha256(convert_to('loadtest-agent-key-' || x.number, 'UTF8')), 'hex'), 'linux', 'amd64', '192.0.2.1', '2.1.0'
FROM (SELECT lpad(n::text, 5, '0') AS number FROM generate_series(1, 5000) n) AS x
ON CONFLICT (id) DO NOTHING;
