"""
A database whose disk is full: said within seconds, by everything that is asked,
also when nobody asks for a write; reads go on; and all goes on by itself.
"""
import sys
import time
from pathlib import Path

import pytest

from conftest import fleets
from fleet import wait_for
from full_disk import FullDisk
from load import Load, done_since, last_lease, make_certificates, wait_quiet

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import checker  # noqa: E402

FULL = "its disk is full"
TOLD_S = 5
AGAIN_S = 2
SLACK_S = 10  # of a busy machine


@pytest.fixture(scope="module")
def plane():
    for fleet in fleets("fulldisk"):
        fleet.disk = FullDisk(fleet)
        fleet.start_postgres(keep=True, env=fleet.disk.env)
        fleet.start_plane(keep=True)
        fleet.make_basics()
        fleet.start_agent(keep=True)
        fleet.names = make_certificates(fleet, ["agent-1"], 8)
        wait_quiet(fleet)
        yield fleet


def is_ready(plane):
    return plane.api.get("/ready")[0] == 200


def told(plane):
    return {c["name"] for c in plane.api.need("GET", "/api/v1/admin/conditions")["data"]}


def grow(plane):
    """A write that needs room, whatever the table's last page has left."""
    plane.teams = getattr(plane, "teams", 0) + 1
    return plane.api.post("/api/v1/teams", {"id": f"t-{plane.teams}", "name": f"Team {plane.teams}", "description": "x" * 100})[0]


def test_it_is_told_without_anybody_writing(plane):
    wait_for(lambda: is_ready(plane), 20, "to be ready")
    with plane.disk.filled():
        since = time.monotonic()
        wait_for(lambda: not is_ready(plane), TOLD_S + SLACK_S, "/ready to tell")
        print(f"told after {time.monotonic() - since:.1f} s")
        assert FULL in plane.api.get("/ready")[1]["error"]
        assert "database_full" in told(plane)
        assert 'certctl_condition_count{condition="database_full",severity="critical"} 1' in plane.api.get("/api/v1/metrics/prometheus")[1]
        done = plane.cli("status")
        assert done.returncode == 1 and "database_full" in done.stdout and done.stdout.endswith("NOT healthy\n"), done.stdout + done.stderr
        assert "code=DB-FULL" in plane.processes["apiserver"].log()
        # It does not come and go while it lasts.
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert not is_ready(plane)
            assert plane.api.get("/api/v1/certificates?per_page=5")[0] == 200
    since = time.monotonic()
    wait_for(lambda: is_ready(plane), TOLD_S + SLACK_S, "to be ready again")
    print(f"ready {time.monotonic() - since:.1f} s after there was room")
    assert "database_full" not in told(plane)


def test_work_goes_on_by_itself(plane):
    load = Load(plane, plane.names, threads=2, pause=0.02)
    wait_for(lambda: done_since(plane, 0) > 10, 30, "certificates")
    with plane.disk.filled():
        wait_for(lambda: grow(plane) == 503, 30, "a write to fail")
        wait_for(lambda: not is_ready(plane), TOLD_S + SLACK_S, "/ready to tell")
        until = time.monotonic() + 6
        wait_for(lambda: time.monotonic() > until and grow(plane) == 503, 30, "writes that go on failing")
    since = time.monotonic()
    lease = last_lease(plane)
    wait_for(lambda: grow(plane) == 201, AGAIN_S + SLACK_S, "the next commit")
    commit_s = time.monotonic() - since
    wait_for(lambda: done_since(plane, lease), AGAIN_S + SLACK_S, "the next certificate")
    print(f"next commit after {commit_s:.1f} s, next certificate after {time.monotonic() - since:.1f} s")
    wait_for(lambda: is_ready(plane), TOLD_S + SLACK_S, "to be ready again")
    load.stop()
    wait_quiet(plane)
    assert checker.check(plane.query, load.accepted, plane.dir / "journal") == ([], [])
    assert plane.value("SELECT count(*) FROM jobs WHERE status = 'Failed'") == 0
