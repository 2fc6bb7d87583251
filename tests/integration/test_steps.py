"""
Dies between every two steps of a renewal and of an install, and each time the
renewal is done exactly once.

The names are read from the source, so that a new fault_point() is covered by
the test that it needs.
"""
import os
import re
import sys
from pathlib import Path

import pytest

from fleet import ROOT, wait_for

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import checker  # noqa: E402

# These are not on the way of a renewal that goes well; each has its own test.
APART = {"agent.register.after", "agent.install.swapped_back", "agent.install.copied", "agent.install.linked",
         "agent.install.given_back", "worker.outside.placing", "worker.outside.sent",
         "worker.outside.answered", "worker.outside.pending", "worker.outside.listing", "worker.outside.listed", "worker.outside.account", "worker.revoke.before", "worker.revoke.sent",
         "worker.revoke.answered", "worker.crl_fetch.before", "worker.crl_fetch.begun", "worker.crl_fetch.answered", "worker.notify.sending", "worker.notify.sent", "worker.hierarchy.made", "worker.hierarchy.stored",
         "worker.health.probed", "worker.network_scan.store", "worker.scep_probe.half",
         "worker.acme.judged", "worker.reseal.stored", "worker.windows.answered"}


def points_of(directory):
    return sorted({name for path in (ROOT / directory).rglob("*.c")
                   for name in re.findall(r'fault_point\(\s*"([^"]+)"', path.read_text())})


POINTS = points_of("agent") + points_of("worker")


class Fault:
    """Kills the process that passes a point, once."""

    def __init__(self, plane):
        self.plane, self.path = plane, plane.dir / "fault"

    def arm(self, *points):
        """One death at each, in this order."""
        self.expected = self.count() + len(points)
        temporary = self.path.with_suffix(".new")
        temporary.write_text("".join(point + "\n" for point in points))
        os.rename(temporary, self.path)

    def count(self):
        return sum(p.exits.count(-9) for p in self.plane.processes.values())

    def wait_death(self, seconds=20):
        wait_for(lambda: not self.path.exists(), seconds, "a process to pass the armed point")
        wait_for(lambda: self.count() >= self.expected, 10, "its death")

    def disarm(self):
        self.path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def plane(stack):
    env = {"CERTCTL_FAULT_FILE": str(stack.dir / "fault")}
    stack.start_scheduler(keep=True)
    # A journal of one certificate is put aside by the next.
    for i in (1, 2):
        stack.start_worker(i, keep=True, CERTCTL_ISSUANCE_JOURNAL_SIZE="1024", **env)
    stack.make_basics()
    stack.start_agent("agent-1", keep=True, **env)
    return stack


@pytest.fixture
def fault(plane):
    fault = Fault(plane)
    yield fault
    fault.disarm()


@pytest.fixture(scope="module")
def site(plane):
    site = plane.start_site("demo")
    site.renew_and_wait()
    return site


def check(plane, jobs):
    lost, doubled = checker.check(plane.query, jobs, plane.dir / "journal")
    assert not lost and not doubled


def check_journals(plane, serials):
    """Each is in one of the files, and those were put aside one after the other."""
    files = sorted((plane.dir / "journal").glob("*.journal"))
    assert len(files) > len(serials) / 3 and all(f.stat().st_size for f in files)
    assert set(serials) <= {e[0] for e in checker.read_journals(plane.dir / "journal")}


def leftovers(site):
    """Everything below T that is neither a whole version, nor the current link, nor whose it is."""
    versions = [p for p in (site.directory / "v").iterdir()]
    return [p.name for p in versions if p.name.endswith(".tmp")] + \
        [p.name for p in site.directory.iterdir() if p.name not in ("v", "current", "owner")]


def test_there_are_points_to_die_at():
    assert {"agent.key.stored", "agent.csr.before", "agent.csr.after", "agent.install.staged", "agent.install.journalled",
            "agent.install.switched", "agent.install.reloaded", "agent.report.before", "agent.report.after"} <= set(POINTS)
    assert {"worker.loaded", "worker.journal.synced", "worker.journal.renamed", "worker.journalled", "worker.signed",
            "worker.completed"} <= set(POINTS)
    assert APART <= set(POINTS)


@pytest.mark.parametrize("point", [p for p in POINTS if p not in APART])
def test_renewal_survives_a_death_at(plane, site, fault, point):
    before = len(site.versions())
    fault.arm(point)
    job = site.renew()
    fault.wait_death()
    serial = site.wait_served(job, 20)
    assert fault.count() == fault.expected
    assert len(site.versions()) == before + 1 and site.versions()[-1] == serial
    jobs = plane.query("SELECT type, status FROM jobs WHERE id >= %s ORDER BY id", job)
    assert jobs == [("Renewal", "Completed"), ("Deployment", "Completed")]
    wait_for(lambda: not list((plane.dir / "agent-1" / "journal").iterdir()), 10, "the install journal to be cleared")
    assert not leftovers(site)
    check(plane, [job])
    check_journals(plane, site.versions())


def test_rollback_survives_a_death(plane, site, fault):
    config = plane.api.need("GET", "/api/v1/targets/tgt-demo")["config"]
    plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config | {"validate_command": ["false"]}})
    before = site.serial()
    fault.arm("agent.install.swapped_back")
    try:
        job = site.renew()
        fault.wait_death()
        plane.wait_job(job)
        deployment = wait_for(lambda: plane.value(
            "SELECT id FROM jobs WHERE type = 'Deployment' AND version_id = 'certver' || substr(%s, 4)", job), 10, "a deployment")
        status, error = plane.wait_job(deployment)
    finally:
        plane.api.need("PUT", "/api/v1/targets/tgt-demo", {"config": config})
    assert status == "Failed" and "ended with status 1" in error
    assert site.serial() == before
    assert fault.count() == fault.expected
    assert plane.api.post("/api/v1/certificates/demo/deploy")[0] in (200, 202)
    wanted = site.versions()[-1]
    wait_for(lambda: site.serial() == wanted, 20, "the new version, once the test passes")
    wait_for(lambda: plane.value("SELECT count(*) FROM jobs WHERE completed_at IS NULL") == 0, 10, "the report")
    check(plane, [job, deployment])


def test_registration_survives_a_death(plane, fault):
    fault.arm("agent.register.after")
    agent = plane.start_agent("agent-2", keep=True, wait=False, CERTCTL_FAULT_FILE=str(fault.path))
    fault.wait_death()
    wait_for(lambda: "code=STARTED" in agent.log(), 10, "the agent to start again")
    assert agent.exits == [-9]
    assert plane.value("SELECT count(*) FROM agents WHERE name = 'agent-2'") == 1
    agent.stop()


def test_both_workers_may_die(plane, site, fault):
    """The job's second worker dies as well, at another point."""
    fault.arm("worker.journalled", "worker.signed")
    job = site.renew()
    fault.wait_death()
    site.wait_served(job, 20)
    # the same serial, the same bytes: signed again, not anew
    lines = [e for e in checker.read_journals(plane.dir / "journal") if e[2] == job]
    assert len(lines) >= 2 and len({e[:2] for e in lines}) == 1
    check(plane, [job])
