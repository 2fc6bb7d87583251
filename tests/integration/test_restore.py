"""
A restore from an older base backup, by docs/operator/runbooks/postgres-backup.md:
what the restored database does not know is noticed by the journals, nobody leads
until certctl recover, and then every serial is known, agents that came after the
backup are back, and each site serves what the database says.
"""
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fleet import Fleet, clean_env, pg_bin, wait_for

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import checker  # noqa: E402

PROCESSES = ("apiserver", "scheduler-1", "worker-1")
LIMIT_S = 400
PATIENCE_S = 90


def back_up(fleet):
    base = fleet.dir / "pgs" / "base"
    subprocess.run([pg_bin() / "pg_basebackup", "-c", "fast", "-X", "stream", "--no-sync", "-D", base, "-h", fleet.socket_dir,
                    "-U", "postgres"], check=True, env=clean_env(), cwd="/", user=fleet.pg_user, timeout=PATIENCE_S)
    return base


def restore(fleet, base):
    """The older copy in place of the database; all that is not an agent starts anew on it."""
    for name in PROCESSES:
        fleet.processes[name].stop(timeout=PATIENCE_S)
    fleet.processes["postgres"].stop(timeout=PATIENCE_S, signo=signal.SIGINT)
    fleet.forget_connections()
    shutil.rmtree(fleet.pgdata)
    base.rename(fleet.pgdata)
    for name in ("postgres", *PROCESSES):
        fleet.processes[name].start()
        if name == "postgres":
            wait_for(fleet.database_is_up, PATIENCE_S, "the restored database", every=0.05)


def unknown_serials(fleet):
    serials = [e[0] for e in checker.read_journals(fleet.dir / "journal")]
    known = {r[0] for r in fleet.query("SELECT serial_number FROM certificate_versions UNION "
                                       "SELECT serial_number FROM certificate_revocations")}
    return [s for s in serials if s not in known]


@pytest.fixture(scope="module")
def world():
    """A plane that was restored from before two renewals and one agent with its certificate."""
    with Fleet("restore") as fleet:
        fleet.start_plane()
        fleet.make_basics()
        beat = {"CERTCTL_AGENT_HEARTBEAT_INTERVAL": "1s"}
        site = fleet.start_site(agent_env=beat)
        site.renew_and_wait(PATIENCE_S)
        base = back_up(fleet)
        late = fleet.start_site("late", agent="agent-late", agent_env=beat)
        lost = [renewed.renew_and_wait(PATIENCE_S) for renewed in (late, site, site)]
        assert unknown_serials(fleet) == []
        restore(fleet, base)
        yield fleet, site, sorted(lost)


def test_it_is_noticed_and_nobody_leads(world):
    fleet, _, lost = world
    wait_for(lambda: "code=DATABASE-BEHIND" in fleet.processes["worker-1"].log(), PATIENCE_S, "the worker to notice")
    wait_for(lambda: "code=DATABASE-BEHIND" in fleet.processes["scheduler-1"].log(), PATIENCE_S, "the scheduler to wait")
    assert sorted(unknown_serials(fleet)) == lost
    assert [r[0] for r in fleet.query("SELECT serial_number FROM recovery ORDER BY 1")] == lost
    wait_for(lambda: fleet.value("SELECT expires_at <= clock_timestamp() FROM leadership"), PATIENCE_S, "nobody to lead")
    status = wait_for(lambda: (done := fleet.cli("status")).returncode == 1 and done, PATIENCE_S, "certctl status")
    assert "NOT healthy" in status.stdout and "database_behind" in status.stdout


def test_a_dry_run_shows_and_changes_nothing(world):
    fleet, _, lost = world
    done = fleet.cli("recover")
    assert done.returncode == 0 and all(serial in done.stdout for serial in lost), done.stderr
    assert "revoke" in done.stdout and "Nothing was changed" in done.stdout + done.stderr
    assert sorted(unknown_serials(fleet)) == lost
    wait_for(lambda: fleet.value("SELECT expires_at <= clock_timestamp() FROM leadership"), PATIENCE_S, "nobody to lead")


def test_recover_settles_it_and_work_goes_on(world):
    fleet, site, lost = world
    served = site.serial()
    assert served in lost and served not in site.versions()
    done = fleet.cli("recover", "--apply")
    assert done.returncode == 0 and "3 serials were unknown: 3 revoked" in done.stdout, done.stderr
    assert unknown_serials(fleet) == []
    assert sorted(r[0] for r in fleet.query("SELECT serial_number FROM certificate_revocations")) == lost
    # A serial whose certificate is gone too names none.
    assert sorted(r[0] for r in fleet.query("SELECT coalesce(certificate_id, '') FROM certificate_revocations")) == ["", "demo", "demo"]
    wait_for(lambda: fleet.value("SELECT expires_at > clock_timestamp() FROM leadership"), PATIENCE_S, "a leader")
    fleet.api.need("POST", "/api/v1/admin/scheduler/run-now/renewal_scan")
    wait_for(lambda: len(site.versions()) == 2 and site.serial() == site.versions()[-1], PATIENCE_S,
             "the site to serve what the database says")


def test_the_agent_from_after_the_backup_is_back(world):
    fleet, _, _ = world
    wait_for(lambda: "code=RETURNED" in fleet.processes["agent-late"].log(), PATIENCE_S, "the late agent")
    wait_for(lambda: fleet.value("SELECT count(*) FROM agents WHERE status = 'Online' AND last_heartbeat_at > now() - interval '10 s'") == 2,
             PATIENCE_S, "heartbeats of both")


def test_the_audit_trail_names_the_gap_and_verifies(world):
    fleet, _, _ = world
    details = fleet.value("SELECT details FROM audit_events WHERE action = 'database_recovered'")
    assert (details["serials"], details["revoked"], details["renewed"]) == (3, 3, 1) and details["gap_from"] <= details["gap_to"]
    wait_for(lambda: fleet.value("SELECT lag_s FROM audit_unsealed") < 60 and fleet.cli("audit", "verify").returncode == 0,
             PATIENCE_S, "the audit trail to verify", every=1)


def test_another_start_finds_nothing(world):
    fleet, _, _ = world
    worker = fleet.processes["worker-1"]
    before = worker.log().count("code=DATABASE-BEHIND")
    worker.stop()
    worker.start()
    wait_for(lambda: fleet.value("SELECT count(*) FROM workers WHERE pid = %s AND lease_until > clock_timestamp()", worker.pid) == 1,
             PATIENCE_S, "the worker's lease")
    assert worker.log().count("code=DATABASE-BEHIND") == before
    assert fleet.value("SELECT count(*) FROM journal_ahead WHERE settled_at IS NULL") == 0
