"""
The checker of the chaos run finds one planted loss and one planted double, of
each sort, and nothing where there is nothing.
"""
import sys
from pathlib import Path

import pytest

from fleet import wait_for

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import checker  # noqa: E402


class World:
    """The database in a transaction that is never committed, and the journals' entries."""

    def __init__(self, plane, cursor, jobs, entries):
        self.plane, self.cursor, self.accepted, self.journal = plane, cursor, list(jobs), list(entries)

    def query(self, sql, *parameters):
        self.cursor.execute(sql, parameters or None)
        return self.cursor.fetchall() if self.cursor.description else []

    def check(self):
        return checker.find_lost(self.query, self.accepted, self.journal), checker.find_doubled(self.query, self.journal)


@pytest.fixture(scope="module")
def quiet(plane):
    """Two renewals of one site, and nothing runs any more."""
    site = plane.start_site("demo")
    jobs = [site.renew(), ]
    site.wait_served(jobs[0])
    jobs.append(site.renew())
    site.wait_served(jobs[1])
    for name in ("agent-1", "worker-1", "scheduler-1", "apiserver"):
        plane.processes[name].stop()
    return site, jobs


@pytest.fixture
def world(plane, quiet):
    connection = plane.connect()
    cursor = connection.cursor()
    cursor.execute("SET session_replication_role = replica")  # faults are planted past the triggers that refuse them
    yield World(plane, cursor, quiet[1], checker.read_journals(plane.dir / "journal"))
    connection.rollback()
    connection.close()


def test_clean_is_clean(world, quiet):
    site, jobs = quiet
    assert [(e[0], e[2]) for e in world.journal] == list(zip(site.versions(), jobs))
    assert world.check() == ([], [])


def lost(world, words):
    found, doubled = world.check()
    assert len(found) == 1 and words in found[0] and not doubled, (found, doubled)


def doubled(world, words):
    found, twice = world.check()
    assert len(twice) == 1 and words in twice[0] and not found, (found, twice)


# --- one loss, of each sort ---

def test_accepted_without_a_row(world):
    world.accepted.append("job-never-stored")
    lost(world, "job-never-stored was accepted and has no row")


@pytest.mark.parametrize("status", ["Pending", "Running", "AwaitingCSR"])
def test_accepted_and_never_ended(world, status):
    world.query("UPDATE jobs SET status = %s, completed_at = NULL, leased_by = 'w' WHERE id = %s", status, world.accepted[1])
    lost(world, f"is still {status}")


def test_completed_without_its_version(world):
    world.query("DELETE FROM certificate_versions WHERE job_id = %s", world.accepted[0])
    lost(world, "is Completed without a version")


def test_journalled_without_a_record(world):
    world.journal.append(("5" + "a" * 39, "b" * 64, world.accepted[0]))
    # the same job signed two things, of which one is not known: both are true
    found, twice = world.check()
    assert len(found) == 1 and "has no record of it" in found[0] and len(twice) == 1


def test_journalled_for_an_unknown_job(world):
    world.journal.append(("5" + "a" * 39, "b" * 64, "job-forgotten"))
    lost(world, "job-forgotten, which has no record of it")


# --- one double, of each sort ---

def test_two_versions_of_a_job(world):
    world.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, "
                "fingerprint_sha256, pem_chain, issuer_id, job_id) SELECT 'certver-twin', certificate_id, '5f', not_before, "
                "not_after, '', '', issuer_id, job_id FROM certificate_versions WHERE job_id = %s", world.accepted[0])
    doubled(world, "has 2 versions")


def test_two_deployments_of_a_version(world):
    world.query("INSERT INTO jobs (id, type, certificate_id, target_id, agent_id, status, completed_at, version_id) "
                "SELECT 'job-twin', type, certificate_id, target_id, agent_id, status, completed_at, version_id "
                "FROM jobs WHERE type = 'Deployment' ORDER BY id LIMIT 1")
    doubled(world, "was deployed to tgt-demo 2 times")


def test_two_signatures_of_a_job(world):
    serial, _, job = world.journal[0]
    world.journal.append((serial, "c" * 64, job))
    doubled(world, "different to-be-signed certificates")


# --- what is neither ---

def test_the_same_signature_again_is_no_double(world):
    world.journal.append(world.journal[0])
    assert world.check() == ([], [])


def test_a_serial_written_off_is_no_double(world):
    serial = "5" + "a" * 39
    world.journal.append((serial, "c" * 64, world.accepted[0]))
    world.query("INSERT INTO certificate_revocations (id, certificate_id, serial_number, revoked_by, issuer_id, job_id) "
                "SELECT 'rev-1', certificate_id, %s, 'system', issuer_id, id FROM jobs WHERE id = %s", serial, world.accepted[0])
    assert world.check() == ([], [])


def test_a_deployment_that_somebody_asked_for_is_no_double(world):
    world.query("INSERT INTO jobs (id, type, certificate_id, target_id, agent_id, status, completed_at, version_id, requested_by) "
                "SELECT 'job-twin', type, certificate_id, target_id, agent_id, status, completed_at, version_id, 'admin' "
                "FROM jobs WHERE type = 'Deployment' ORDER BY id LIMIT 1")
    assert world.check() == ([], [])


def test_a_job_that_waits_for_a_person_is_not_lost(world):
    world.query("UPDATE jobs SET status = 'AwaitingApproval', completed_at = NULL WHERE id = %s", world.accepted[1])
    assert world.check() == ([], [])


# --- journals ---

def test_cut_lines_say_nothing(tmp_path):
    whole = f"2026-11-23T00:00:00Z 5{'0' * 39} {'a' * 64} job-1"
    (tmp_path / "iss.host.journal").write_text(
        f"{whole}\n" + whole[:60] + " torn\n" + f"{whole}\n2026-11-23T00:00:00Z 5{'0' * 39} {'a' * 64} jo")
    (tmp_path / "iss.other.journal").write_text(whole.replace("job-1", "job-2") + "\n")
    entries = checker.read_journals(tmp_path)
    assert [e[2] for e in entries] == ["job-1", "job-1", "job-2"]


def test_the_program_says_it_in_one_line(plane, quiet):
    import subprocess
    run = lambda: subprocess.run(  # noqa: E731
        [sys.executable, checker.__file__, f"host={plane.socket_dir} user=postgres dbname=certctl", plane.dir / "journal"],
        capture_output=True, text=True, check=False)
    done = run()
    assert done.returncode == 0 and done.stdout == "checked: jobs=4 lost=0 doubled=0\n", done
    extra = plane.dir / "journal" / "iss-local.elsewhere.journal"
    extra.write_text(f"2026-11-23T00:00:00Z 5{'0' * 39} {'a' * 64} job-forgotten\n")
    try:
        done = run()
    finally:
        extra.unlink()
    assert done.returncode == 1 and done.stdout.endswith("checked: jobs=4 lost=1 doubled=0\n"), done
