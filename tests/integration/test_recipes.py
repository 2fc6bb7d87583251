"""
The recipes of docs/operator/performance-baselines.md run as they stand there, against a plane of some certificates; and the rehearsal of
docs/operator/runbooks/postgres-backup.md, over a copy of its database.
"""
import os
import re
import subprocess

import pytest

from fleet import API_KEY, BUILD, ROOT, Fleet, clean_env, pg_bin

NOT_SANITIZED = "what people type; the routes and commands behind it have tests of their own"
PAGE = ROOT / "docs/operator/performance-baselines.md"
RUNBOOK = ROOT / "docs/operator/runbooks/postgres-backup.md"
CERTIFICATES = 1234


def blocks(page, heading):
    """The shell of a section, one script."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", page.read_text(encoding="utf-8"), re.M | re.S)[1]
    found = re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)
    assert found, heading
    return "".join(found)


@pytest.fixture(scope="module")
def plane():
    with Fleet("recipes") as fleet:
        fleet.start_postgres()
        fleet.start_scheduler()
        fleet.start_worker()
        fleet.start_apiserver()
        fleet.make_basics()
        fleet.query("INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id, status, expires_at, "
                    "valid_from) SELECT 'mc-' || i, 'mc-' || i, 'mc-' || i || '.example.test', ARRAY['mc-' || i || '.example.test'], 'o-test', 't-test', "
                    "'iss-local', 'rp-default', 'Active', now() + interval '80 days', now() - interval '10 days' FROM generate_series(1, %s) i", CERTIFICATES)
        (fleet.dir / "api.pem").write_bytes((fleet.dir / "tls" / "api.pem").read_bytes())
        yield fleet


@pytest.fixture
def stack(plane):
    return plane


def run(fleet, script):
    script = script.replace("https://certctl.example:8443", f"https://127.0.0.1:{fleet.api_port}")
    env = fleet.cli_env() | {"KEY": API_KEY}
    env["PATH"] = f"{BUILD / 'cli'}:{env['PATH']}"
    done = subprocess.run(["sh", "-euc", script], cwd=fleet.dir, text=True, capture_output=True, timeout=150, check=False, env=env)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_a_single_endpoint(plane):
    out = run(plane, blocks(PAGE, "A single endpoint"))
    assert float(re.search(r"Requests/sec: +([\d.]+)", out)[1]) > 0 and "Non-2xx" not in out and "99%" in out
    assert re.search(r'^tag "\S+"$', out, re.M)
    assert re.search(r"^status 304, 0 bytes", out, re.M)
    assert not (plane.dir / "ask.lua").exists()


def test_a_walk_through_the_inventory(plane):
    pages = -(-plane.value("SELECT count(*) FROM managed_certificates WHERE status <> 'Archived'") // 500)
    out = run(plane, blocks(PAGE, "A walk through the inventory"))
    assert re.fullmatch(rf"{pages} pages in \d+ ms, \d+ ms a page\n", out) and pages >= 3


def test_the_renewal_scan(plane):
    out = run(plane, blocks(PAGE, "The renewal scan"))
    assert re.search(r"^renewal_scan took \d+ ms, outcome ok$", out, re.M)


def test_a_bulk_revocation(plane):
    plane.api.need("POST", "/api/v1/teams", {"id": "t-perf", "name": "Measuring"})
    ids = [r[0] for r in plane.query("UPDATE managed_certificates SET team_id = 't-perf' WHERE id IN (SELECT 'mc-' || i FROM generate_series(1, 100) i) "
                                     "RETURNING id")]
    plane.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, issuer_id, "
                "job_id) SELECT 'certver-' || n, n, md5(n), now() - interval '10 days', now() + interval '80 days', md5(n), '', 'iss-local', "
                "'job-' || n FROM unnest(%s) n", ids)
    out = run(plane, blocks(PAGE, "A bulk revocation"))
    assert "100 matched, 100 to be revoked" in out and "100 revoked" in out and re.search(r"^revoked in \d+ ms$", out, re.M)
    assert plane.value("SELECT count(*) FROM managed_certificates WHERE team_id = 't-perf' AND status = 'Revoked'") == 100
    assert plane.value("SELECT count(*) FROM managed_certificates WHERE team_id <> 't-perf' AND status = 'Revoked'") == 0


def test_a_backup_is_made_and_rehearsed(plane):
    """As the runbook has it, with the copy where this test may write."""
    place = plane.make_data_dir("backup")
    script = (blocks(RUNBOOK, "Backing up") + blocks(RUNBOOK, "Rehearsing")).replace("/backup", str(place))
    done = subprocess.run(["sh", "-euc", script], text=True, capture_output=True, timeout=150, check=False, cwd="/", user=plane.pg_user,
                          env=clean_env() | {"PATH": f"{pg_bin()}:{os.environ['PATH']}", "PGHOST": str(plane.socket_dir), "PGUSER": "postgres"})
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert str(plane.value("SELECT count(*) FROM managed_certificates")) in lines
    assert any(re.match(r"\d{4}-\d\d-\d\d ", line) for line in lines)
    assert not (place / "rehearsal").exists() and (place / "base" / "PG_VERSION").exists()
    assert plane.api.get("/ready")[0] == 200  # it noticed nothing
