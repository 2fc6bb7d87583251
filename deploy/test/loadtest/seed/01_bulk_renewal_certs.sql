-- Ten thousand certificates that end within one to thirty days: none meanwhile, for what has ended is not renewed by a call for many.  Again and again is no harm: a name is there once.
INSERT INTO managed_certificates (id, name, common_name, sans, environment, owner_id, team_id, issuer_id, renewal_policy_id, status,
    expires_at, tags, created_at, updated_at)
SELECT 'cert-loadtest-bulk-' || x.number, x.host, x.host, ARRAY[x.host], 'loadtest', 'o-alice', 't-platform', 'iss-local', 'rp-standard',
    'active', now() + (1 + x.n % 30) * interval '1 day', '{"source": "loadtest-phase8", "batch": "bulk-renewal"}'::jsonb, now(), now()
FROM (
    SELECT n, lpad(n::text, 5, '0') AS number, 'loadtest-bulk-' || lpad(n::text, 5, '0') || '.example.test' AS host
    FROM generate_series(1, 10000) n
) AS x
ON CONFLICT (name) DO NOTHING;
