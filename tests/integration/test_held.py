"""
Running programs while somebody's open transaction holds rows: hundreds of jobs
go on around them, status tells what is held, and when it is let go that goes on
too, once each.  The transaction stands as long as the rest takes.
"""
import contextlib
import subprocess

import pytest

from fleet import clean_env, wait_for

LIMIT_S = 240
LONG_S = 150
N = 300
HELD = 8
CONDITIONS = "/api/v1/admin/conditions"


@pytest.fixture(scope="module")
def world(stack):
    stack.start_scheduler(keep=True, CERTCTL_BATCH_SIZE="40", CERTCTL_SCHEDULER_RENEWAL_CHECK_INTERVAL="1s")
    for i in (1, 2):
        stack.start_worker(i, keep=True)
    stack.make_basics()
    for issuer in ("iss-paced", "iss-free"):
        stack.api.need("POST", "/api/v1/issuers", {"id": issuer, "name": issuer, "type": "GenericCA", "config": {"validity_days": 90}})
    stack.agent = stack.api.need("POST", "/api/v1/agents", {"name": "by-hand", "hostname": "h.example.test"})["id"]
    stack.pem = subprocess.run(
        ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", stack.dir / "csr.key",
         "-subj", "/CN=held.example.test", "-addext", "subjectAltName=DNS:held.example.test"],
        check=True, capture_output=True, text=True, env=clean_env()).stdout
    wait_for(lambda: stack.value("SELECT count(*) FROM ca_certificates") == 3, 60, "the CAs")
    return stack


class Jobs:
    """n certificates, each with an issuance that has its CSR and begins when it is let go."""

    def __init__(self, world, stem, n=N, issuer="iss-local", with_target=False):
        self.world, self.q = world, world.query
        self.names = [f"{stem}-{i:04}" for i in range(n)]
        self.ids = [f"job-{name}" for name in self.names]
        self.q("INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id) "
               "SELECT n, n, 'held.example.test', '{held.example.test}', 'o-test', 't-test', %s, 'rp-default' FROM unnest(%s) n",
               issuer, self.names)
        if with_target:
            self.q("INSERT INTO deployment_targets (id, name, type, agent_id, config) SELECT 'tgt-' || n, 'tgt-' || n, 'NGINX', %s, '{}' "
                   "FROM unnest(%s) n", world.agent, self.names)
            self.q("INSERT INTO certificate_target_mappings (certificate_id, target_id) SELECT n, 'tgt-' || n FROM unnest(%s) n", self.names)
        self.q("INSERT INTO jobs (id, type, certificate_id, issuer_id, agent_id, run_after, dedupe_key) SELECT 'job-' || n, 'Issuance', n, %s, "
               "%s, now() + interval '1 day', 'issue:' || n || ':' FROM unnest(%s) n", issuer, world.agent if with_target else None, self.names)
        self.q("INSERT INTO certificate_requests SELECT j, %s, '' FROM unnest(%s) j", world.pem, self.ids)

    def begin(self, ids=None):
        self.q("UPDATE jobs SET run_after = now() WHERE id = ANY (%s)", ids or self.ids)

    def count(self, ids, status="Completed"):
        return self.world.value("SELECT count(*) FROM jobs WHERE id = ANY (%s) AND status = %s", ids, status)

    def wait_done(self, ids, what):
        wait_for(lambda: self.count(ids) == len(ids), LONG_S, what, every=0.1)

    def check_once_each(self):
        """Nothing lost, nothing done twice, and nothing counted against anybody."""
        assert self.q("SELECT count(*), count(DISTINCT job_id), count(DISTINCT serial_number) FROM certificate_versions "
                      "WHERE job_id = ANY (%s)", self.ids) == [(len(self.ids),) * 3]
        assert self.q("SELECT id, attempts, died_with, last_error FROM jobs WHERE id = ANY (%s) AND (attempts > 0 OR last_error IS NOT NULL)",
                      self.ids) == []
        assert self.world.value("SELECT count(*) FROM managed_certificates WHERE id = ANY (%s) AND status <> 'Active'", self.names) == 0
        assert self.world.value("SELECT count(*) FROM certificate_revocations WHERE certificate_id = ANY (%s)", self.names) == 0


@contextlib.contextmanager
def held(world, table, column, ids):
    with world.connect() as other, other.cursor() as c:
        c.execute(f"SELECT 1 FROM {table} WHERE {column} = ANY (%s) FOR UPDATE", (ids,))
        assert c.rowcount == len(ids)
        try:
            yield
        finally:
            other.rollback()


def told(world, name="row_held"):
    """How many, the oldest's subject, and what is said of it."""
    found = [c for c in world.api.need("GET", CONDITIONS)["data"] if c["name"] == name]
    return (found[0]["count"], found[0]["subject"], found[0]["detail"]) if found else (0, "", "")


def wait_told(world, subjects):
    wait_for(lambda: told(world)[0] == len(subjects), LONG_S, "status to name what is held", every=0.1)
    _, subject, detail = told(world)
    assert subject in subjects and "held" in detail and not world.api.need("GET", CONDITIONS)["healthy"]


def test_held_certificates(world):
    jobs = Jobs(world, "cert")
    mine, rest = jobs.ids[100:100 + HELD], jobs.ids[:100] + jobs.ids[100 + HELD:]
    with held(world, "managed_certificates", "id", jobs.names[100:100 + HELD]):
        jobs.begin()
        jobs.wait_done(rest, "all but what is held")
        assert jobs.count(mine, "Completed") == 0
        # Status tells of them, and each job has the reason.
        wait_told(world, mine)
        assert all("open transaction" in world.api.need("GET", f"/api/v1/jobs/{job}")["last_error"] for job in mine)
        # A second wave, while it stands.
        more = Jobs(world, "more", 100)
        more.begin()
        more.wait_done(more.ids, "the second wave")
    jobs.wait_done(mine, "what was held, when it is let go")
    assert told(world) == (0, "", "")
    jobs.check_once_each()
    more.check_once_each()


def test_held_jobs(world):
    jobs = Jobs(world, "job")
    mine, rest = jobs.ids[:HELD], jobs.ids[HELD:]
    # Due once they are held: those that ended before would not be told of.
    jobs.q("UPDATE jobs SET run_after = now() + interval '5 seconds' WHERE id = ANY (%s)", mine)
    with held(world, "jobs", "id", mine):
        jobs.begin(rest)
        jobs.wait_done(rest, "all but what is held")
        wait_told(world, mine)
    jobs.wait_done(mine, "what was held, when it is let go")
    jobs.check_once_each()


def test_held_lane(world):
    """A lane with a rate is the one whose row a claim changes."""
    world.query("UPDATE lanes SET rate_per_s = 1000 WHERE issuer_id = 'iss-paced'")
    paced, free = Jobs(world, "paced", 50, "iss-paced"), Jobs(world, "free", N, "iss-free")
    with held(world, "lanes", "issuer_id", ["iss-paced"]):
        paced.begin()
        free.begin()
        free.wait_done(free.ids, "the other lane")
        assert paced.count(paced.ids) == 0
        wait_told(world, ["iss-paced"])
    paced.wait_done(paced.ids, "the lane, when it is let go")
    for jobs in (paced, free):
        jobs.check_once_each()


def test_held_mappings(world):
    """What the end of a batch needs beside its certificates: found by halving, and the rest is stored."""
    jobs = Jobs(world, "mapped", with_target=True)
    mine, rest = jobs.ids[50:50 + HELD], jobs.ids[:50] + jobs.ids[50 + HELD:]
    with held(world, "certificate_target_mappings", "certificate_id", jobs.names[50:50 + HELD]):
        jobs.begin()
        jobs.wait_done(rest, "all but what is held")
        wait_told(world, mine)
    jobs.wait_done(mine, "what was held, when it is let go")
    jobs.check_once_each()


def test_held_certificates_of_a_scan(world):
    """Renewals fall due; eight are held."""
    jobs = Jobs(world, "scan", 200)
    jobs.begin()
    jobs.wait_done(jobs.ids, "the certificates")
    mine, rest = jobs.names[:HELD], jobs.names[HELD:]
    renewed = "SELECT count(*) FROM jobs WHERE certificate_id = ANY (%s) AND type = 'Renewal'"
    with held(world, "managed_certificates", "id", mine):
        world.query("UPDATE managed_certificates SET renew_after = now() WHERE id = ANY (%s)", rest)
        wait_for(lambda: world.value(renewed, rest) == len(rest), LONG_S, "the renewals of the others", every=0.1)
    world.query("UPDATE managed_certificates SET renew_after = now() WHERE id = ANY (%s)", mine)
    wait_for(lambda: world.value(renewed, mine) == HELD, LONG_S, "theirs, when they are let go", every=0.1)
    assert world.value(renewed, jobs.names) == 200
    wait_for(lambda: told(world, "duty_failing") == (0, "", ""), LONG_S, "no duty to fail")
