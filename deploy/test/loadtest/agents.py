"""
Many agents for a control plane of fleet.py: certctl-fleet, and what it needs there - agents that have registered, and targets and
certificates of theirs.

The agents' directories lie in memory where there is any: each host has a disk of its own, and these have one between them.
"""
import json
import os
import tempfile
import time
from pathlib import Path

from fleet import API_KEY, BOOTSTRAP, BUILD, free_port, wait_for
from guard import Guard

# Of a fleet behind one address: its connections, and registrations, which come without a key.
SETTINGS = {"CERTCTL_SERVER_MAX_CONNECTIONS": "19000", "CERTCTL_SERVER_MAX_CONNECTIONS_PER_ADDRESS": "19000",
            "CERTCTL_RATE_LIMIT_RPS": "1000", "CERTCTL_RATE_LIMIT_BURST": "2000"}
MEMORY = "/dev/shm"


class Agents:
    """
    count agents with so many certificates each, start_rate of them started a second; start: how a generator of load is started
    (fleet.spawn).
    """

    def __init__(self, fleet, count, certificates_each=1, prefix="fleet", start_rate=200, start=None):
        self.fleet, self.count, self.each, self.prefix, self.start_rate = fleet, count, certificates_each, prefix, start_rate
        self.start = start or fleet.spawn
        self.dir = Path(tempfile.mkdtemp(prefix="cc-agents-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None))
        self.guard = Guard(self.dir)
        self.port = free_port()
        self.runs = 0

    def close(self):
        self.guard.end()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def certificates(self):
        return self.count * self.each

    def names(self):
        return [f"{self.prefix}-c{i:06d}" for i in range(1, self.certificates + 1)]

    # --- what the server knows ---
    def seed(self):
        """A target and a certificate for each of the agents, which have registered; make_basics() was called."""
        root = self.dir / "agents"
        self.fleet.query("""
            WITH told (prefix, root, each, port) AS (SELECT %s, %s, %s, %s),
            numbered AS (SELECT a.id, a.name, row_number() OVER (ORDER BY a.name) AS n FROM agents a, told WHERE a.name LIKE prefix || '-%%'),
            wanted AS (SELECT a.id AS agent, port, root || '/' || a.name || '-sites/' || k || '/current/' AS at,
                    prefix || '-c' || lpad(((a.n - 1) * each + k)::text, 6, '0') AS cert
                FROM numbered a, told, generate_series(1, each) k),
            targets AS (INSERT INTO deployment_targets (id, name, type, agent_id, config)
                SELECT 't-' || cert, 't-' || cert, 'NGINX', agent, jsonb_build_object('cert_path', at || 'fullchain.pem',
                    'key_path', at || 'privkey.pem', 'host', '127.0.0.1', 'port', port, 'server_name', cert || '.example.test',
                    'validate_command', jsonb_build_array('/usr/bin/true', 'test', at || 'fullchain.pem', at || 'privkey.pem'),
                    'reload_command', jsonb_build_array('/usr/bin/true', 'reload', at || 'fullchain.pem', at || 'privkey.pem'))
                FROM wanted RETURNING id),
            certificates AS (INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id,
                    renewal_policy_id, status, environment)
                SELECT cert, cert, cert || '.example.test', ARRAY[cert || '.example.test'], 'o-test', 't-test', 'iss-local',
                    'rp-default', 'Pending', 'development' FROM wanted RETURNING id)
            SELECT (SELECT count(*) FROM targets), (SELECT count(*) FROM certificates)""",
                         self.prefix, str(root), self.each, self.port)
        self.fleet.query("INSERT INTO certificate_target_mappings (certificate_id, target_id) "
                         "SELECT id, 't-' || id FROM managed_certificates WHERE id LIKE %s || '-c%%'", self.prefix)
        for i in range(1, self.count + 1):
            for k in range(1, self.each + 1):
                (root / f"{self.prefix}-{i:05d}-sites" / str(k)).mkdir(parents=True)
        self.fleet.query("VACUUM ANALYZE")
        (self.dir / "certificates").write_text("".join(f"{name}\n" for name in self.names()), encoding="ascii")

    def make_due(self):
        """As time does it: all at once, found by the next scan, which comes now."""
        self.fleet.query("UPDATE managed_certificates SET renew_after = now() WHERE id LIKE %s || '-c%%'", self.prefix)
        self.fleet.query("UPDATE duties SET run_requested_at = clock_timestamp() WHERE name = 'renewal_scan'")

    def versions(self):
        """{how many versions: so many certificates have}."""
        return dict(self.fleet.query("SELECT n, count(*) FROM (SELECT (SELECT count(*) FROM certificate_versions v WHERE v.certificate_id = c.id) "
                                     "AS n FROM managed_certificates c WHERE c.id LIKE %s || '-c%%') s GROUP BY n", self.prefix))

    def behind(self):
        """Certificates whose target does not have the latest version, by what its agent reported."""
        return self.fleet.value(
            "SELECT count(*) FROM certificate_target_mappings m WHERE m.certificate_id LIKE %s || '-c%%' AND (m.deployed_version_id IS NULL "
            "OR m.deployed_version_id <> (SELECT v.id FROM certificate_versions v WHERE v.certificate_id = m.certificate_id "
            "ORDER BY v.created_at DESC, v.id DESC LIMIT 1))", self.prefix)

    # --- the program ---
    def run(self, *options, seconds, standing=None, env=None):
        """
        (exit status, what it found) of certctl-fleet with these options, which may take so many seconds; standing: called with the
        process once all agents stand.
        """
        self.runs += 1
        out = self.dir / f"fleet-{self.runs}.json"
        process = self.start("fleet", [BUILD / "deploy/test/loadtest/fleet/certctl-fleet", "--agents", str(self.count), "--dir",
                                    self.dir / "agents", "--prefix", self.prefix, "--start-rate",
                                    str(self.start_rate), "--out", out, *options],
                             {"CERTCTL_SERVER_URL": f"https://127.0.0.1:{self.fleet.api_port}",
                              "CERTCTL_SERVER_CA_BUNDLE_PATH": str(self.fleet.dir / "tls" / "api.pem"),
                              "CERTCTL_AGENT_BOOTSTRAP_TOKEN": BOOTSTRAP} | (env or {}))
        deadline = time.monotonic() + seconds
        if standing:
            wait_for(lambda: "STANDING" in process.log() or process.popen.poll() is not None, seconds, "the agents to stand", every=0.1)
            if process.popen.poll() is None:
                standing(process)
        process.popen.wait(max(1, deadline - time.monotonic()))
        assert out.exists(), process.log()[-2000:]
        return process.popen.returncode, json.loads(out.read_text(encoding="utf-8"))

    def register(self, seconds):
        return self.run("--register-only", seconds=seconds)

    def options(self, limit_s, certificates):
        return ("--certificates", certificates, "--listen", str(self.port), "--for", f"{limit_s}s",
                "--events", self.dir / f"events-{self.runs + 1}.jsonl")

    def ask(self, a_second, limit_s, names=None, **more):
        """Asks for the issuance or renewal of each certificate, or of these, so many a second."""
        key = self.dir / "operator.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_text(API_KEY, encoding="ascii")
        certificates = self.dir / "certificates"
        if names is not None:
            certificates = self.dir / f"certificates-{self.runs + 1}"
            certificates.write_text("".join(f"{name}\n" for name in names), encoding="ascii")
        return self.run(*self.options(limit_s, certificates), "--ask", str(a_second), "--operator-key-file", key, seconds=limit_s + 600, **more)

    def renew_due(self, limit_s, begin=lambda: None, **more):
        """All fall due at once, and the scan finds them; begin: called when all agents stand, before that."""
        def fall_due(process):
            begin()
            process.signal(10)  # SIGUSR1: from here on it counts
            self.make_due()
        return self.run(*self.options(limit_s, self.dir / "certificates"), seconds=limit_s + 600, standing=fall_due, **more)
