"""
A restore from an older base backup, by docs/operator/runbooks/postgres-backup.md:
what the restored database does not know is noticed by the journals, nobody leads
until certctl recover, and then every serial is known: put back where the journal
has the certificate, revoked where it has not.  Agents that came after the backup
are back, each agent tells what it serves, and each site serves what the database says.
"""
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import audit
from backup import back_up, restore
from fleet import BUILD, Fleet, wait_for

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import checker  # noqa: E402

PROCESSES = ("apiserver", "scheduler-1", "worker-1")
LIMIT_S = 400
PATIENCE_S = 90


def forget_leaf(fleet, serial):
    """As a journal from before it held certificates, or one that a power cut took the end of."""
    for path in (fleet.dir / "journal").glob("*.journal"):
        path.write_text("".join(line for line in path.read_text().splitlines(True)
                                if line.split()[1] != serial or len(line.split()) < 9))


def forget_line(fleet, serial):
    """As a journal that went with its host."""
    for path in (fleet.dir / "journal").glob("*.journal"):
        path.write_text("".join(line for line in path.read_text().splitlines(True) if line.split()[1] != serial))


def unknown_serials(fleet):
    serials = [e[0] for e in checker.read_journals(fleet.dir / "journal")]
    known = {r[0] for r in fleet.query("SELECT serial_number FROM certificate_versions UNION "
                                       "SELECT serial_number FROM certificate_revocations")}
    return [s for s in serials if s not in known]


class World:
    """
    A plane that was restored from before: two renewals of demo, one of bare whose
    certificate its journal does not have, one of lost that is in no journal, one of open
    whose job was there already, an agent with its certificate, and the revocation of gone with its two serials, one from
    before the copy and one from after it.
    """

    def __init__(self, fleet):
        self.fleet = fleet
        # Each certificate's line is in a file of its own nearly.
        fleet.start_plane(CERTCTL_SCHEDULER_CRL_BEHIND_INTERVAL="1s", CERTCTL_CRL_GENERATION_INTERVAL="1s",
                          CERTCTL_ISSUANCE_JOURNAL_SIZE="1024")
        fleet.make_basics()
        beat = {"CERTCTL_AGENT_HEARTBEAT_INTERVAL": "1s"}
        self.site = fleet.start_site(agent_env=beat)
        self.bare = fleet.start_site("bare", agent="agent-2", agent_env=beat)
        self.open = fleet.start_site("open", agent="agent-3", agent_env=beat)
        self.gone = fleet.start_site("gone", agent="agent-4", agent_env=beat)
        self.lost_site = fleet.start_site("lost", agent="agent-5", agent_env=beat)
        sites = (self.site, self.bare, self.open, self.lost_site, self.gone)
        self.gone_serial = [site.renew_and_wait(PATIENCE_S) for site in sites][-1]
        fleet.processes["worker-1"].stop(timeout=PATIENCE_S)
        self.open_job = self.open.renew()
        base = back_up(fleet, PATIENCE_S)
        fleet.processes["worker-1"].start()
        self.open_serial = self.open.wait_served(self.open_job, PATIENCE_S)
        late = fleet.start_site("late", agent="agent-late", agent_env=beat)
        self.late_serial = late.renew_and_wait(PATIENCE_S)
        self.demo_serials = [self.site.renew_and_wait(PATIENCE_S) for _ in range(2)]
        self.bare_serial = self.bare.renew_and_wait(PATIENCE_S)
        self.lost_serial = self.lost_site.renew_and_wait(PATIENCE_S)
        self.brief_serial = self.gone.renew_and_wait(PATIENCE_S)
        fleet.api.need("POST", "/api/v1/certificates/gone/revoke", {"reason": "keyCompromise"})
        self.revocations = self.revocations_now()
        assert set(self.revocations) == {self.gone_serial, self.brief_serial}
        wait_for(lambda: fleet.value("SELECT revoked_count FROM crl_cache") == 2, PATIENCE_S, "the list of both")
        self.number = fleet.value("SELECT crl_number FROM crl_cache")
        self.lost = sorted([self.brief_serial, self.open_serial, self.late_serial, *self.demo_serials, self.bare_serial])
        assert unknown_serials(fleet) == [] and len(list((fleet.dir / "journal").glob("*.journal"))) > len(self.lost)
        self.pems = self.pems_now()
        forget_leaf(fleet, self.bare_serial)
        forget_line(fleet, self.lost_serial)
        restore(fleet, base, PROCESSES, PATIENCE_S)

    def revocations_now(self):
        return {r[0]: r[1:] for r in self.fleet.query(
            "SELECT serial_number, certificate_id, reason, date_trunc('second', revoked_at) FROM certificate_revocations")}

    def pems_now(self):
        """{serial: what of the version's row a recovery puts back}"""
        return {r[0]: r[1:] for r in self.fleet.query(
            "SELECT v.serial_number, v.id, v.certificate_id, v.pem_chain, c.pem, v.fingerprint_sha256, v.not_before, v.not_after, "
            "v.key_algorithm, v.key_size, v.issuer_id, v.key_holder, v.job_id "
            "FROM certificate_versions v LEFT JOIN certificate_chains c ON c.id = v.chain_id")}


@pytest.fixture(scope="module")
def world():
    with Fleet("restore") as fleet:
        yield World(fleet)


def test_it_is_noticed_and_nobody_leads(world):
    fleet, lost = world.fleet, world.lost
    wait_for(lambda: "code=DATABASE-BEHIND" in fleet.processes["worker-1"].log(), PATIENCE_S, "the worker to notice")
    wait_for(lambda: "code=DATABASE-BEHIND" in fleet.processes["scheduler-1"].log(), PATIENCE_S, "the scheduler to wait")
    assert sorted(unknown_serials(fleet)) == lost
    assert [r[0] for r in fleet.query("SELECT serial_number FROM recovery ORDER BY 1")] == sorted([*lost, world.gone_serial])
    wait_for(lambda: fleet.value("SELECT expires_at <= clock_timestamp() FROM leadership"), PATIENCE_S, "nobody to lead")
    status = wait_for(lambda: (done := fleet.cli("status")).returncode == 1 and done, PATIENCE_S, "certctl status")
    assert "NOT healthy" in status.stdout and "database_behind" in status.stdout


def test_agents_tell_anew_what_they_serve(world):
    """Though nothing changed on their hosts; of a target that is unknown nobody can."""
    fleet = world.fleet
    serves = {"tgt-demo": world.demo_serials[-1], "tgt-bare": world.bare_serial, "tgt-open": world.open_serial,
              "tgt-lost": world.lost_serial, "tgt-gone": world.brief_serial}
    wait_for(lambda: dict(fleet.query("SELECT target_id, serial_number FROM served_certificates")) == serves, PATIENCE_S,
             "the agents to tell what they serve")
    # As some minutes later.
    fleet.plant("UPDATE served_certificates SET since = since - interval '1 hour'; "
                "UPDATE certificate_target_mappings SET deployed_at = deployed_at - interval '1 hour'")
    others = [c for c in fleet.api.need("GET", "/api/v1/admin/conditions")["data"] if c["name"] == "served_other"]
    assert len(others) == 1 and others[0]["count"] == len(serves), others


def test_a_dry_run_shows_and_changes_nothing(world):
    fleet, lost = world.fleet, [*world.lost, world.lost_serial]
    done = fleet.cli("recover")
    assert done.returncode == 0 and all(serial in done.stdout for serial in lost), done.stderr
    rows = fleet.api.need("GET", "/api/v1/admin/recovery")["data"]
    assert {r["serial_number"]: r["target_id"] for r in rows if "target_id" in r} == {
        world.demo_serials[-1]: "tgt-demo", world.bare_serial: "tgt-bare", world.open_serial: "tgt-open", world.lost_serial: "tgt-lost",
        world.brief_serial: "tgt-gone"}
    assert "tgt-lost" in done.stdout and fleet.processes["agent-5"].agent_id in done.stdout
    would = {r["serial_number"]: (r["outcome"], r.get("reason", "")) for r in rows}
    assert would == {world.bare_serial: ("revoke", "the journal does not hold the certificate"),
                     world.gone_serial: ("revoke", "a revocation list that was published has it"),
                     world.brief_serial: ("reenter", ""),
                     world.lost_serial: ("renew", "an agent serves it, and no journal that was read has it"),
                     world.late_serial: ("recreate", ""), world.open_serial: ("reenter", ""),
                     **{serial: ("reenter", "") for serial in world.demo_serials}}
    assert "the journal does not hold" in done.stdout
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["Not", "Nothing"]
    assert sorted(unknown_serials(fleet)) == world.lost
    wait_for(lambda: fleet.value("SELECT expires_at <= clock_timestamp() FROM leadership"), PATIENCE_S, "nobody to lead")


def changes(fleet):
    return fleet.query("SELECT (SELECT count(*) FROM certificate_versions), (SELECT count(*) FROM certificate_revocations), "
                       "(SELECT count(*) FROM managed_certificates), (SELECT count(*) FROM recovery), (SELECT max(n) FROM audit_epochs), "
                       "(SELECT count(*) FROM audit_events WHERE action IN ('database_recovered', 'certificate_reentered')), "
                       "(SELECT count(*) FROM jobs WHERE status = 'Cancelled')")


@contextlib.contextmanager
def recovery_midway(fleet):
    """certctl recover --apply, held in the midst of its transaction: the program and the session's process."""
    with contextlib.closing(fleet.connect()) as locker, locker.cursor() as cursor:
        # What it asks for once it has chosen what to do, and before it does it.
        cursor.execute("LOCK TABLE audit_events IN SHARE MODE")
        program = subprocess.Popen([BUILD / "cli" / "certctl", "recover", "--apply", "--yes"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=fleet.cli_env())
        try:
            yield program, wait_for(lambda: fleet.value(
                "SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid WHERE NOT l.granted "
                "AND l.relation = 'audit_events'::regclass AND l.mode = 'ShareRowExclusiveLock'"), PATIENCE_S, "the recovery to be midway")
        finally:
            program.kill()
            program.wait()


@pytest.mark.parametrize("victim", ["session", "apiserver"])
def test_killed_on_the_way_it_has_done_nothing(world, victim):
    """It is one transaction: what is left of it when somebody dies goes back, and the next call does it all."""
    fleet = world.fleet
    before = changes(fleet)
    with recovery_midway(fleet) as (program, session):
        program.kill()
        if victim == "apiserver":
            fleet.processes["apiserver"].kill()
            fleet.query("SELECT pg_terminate_backend(%s)", session)
        else:
            fleet.crash_postgres(session, PATIENCE_S)
    if victim == "apiserver":
        fleet.processes["apiserver"].start()
    fleet.wait_ready()
    assert changes(fleet) == before


def test_recover_settles_it_and_work_goes_on(world):
    fleet = world.fleet
    assert world.site.serial() == world.demo_serials[-1] and world.bare.serial() == world.bare_serial
    before = fleet.value("SELECT count(*) FROM managed_certificates")
    # Nobody is there to agree.
    asked = fleet.cli("recover", "--apply")
    assert asked.returncode == 2 and "stays revoked" in asked.stderr and "add --yes" in asked.stderr and world.bare_serial in asked.stdout, asked
    dry = fleet.cli("recover", "--dry-run")
    assert dry.returncode == 0 and world.bare_serial in dry.stdout and "Nothing was changed" in dry.stderr, dry
    assert fleet.value("SELECT count(*) FROM managed_certificates") == before
    done = fleet.cli("recover", "--apply", "--yes")
    assert done.returncode == 0, done.stderr
    assert "7 serials were unknown: 4 put back, 1 with its certificate made again, 2 revoked" in done.stdout
    assert f"{world.lost_serial} tgt-lost" in done.stdout + done.stderr and world.bare_serial not in done.stdout + done.stderr
    assert unknown_serials(fleet) == [] and fleet.value("SELECT count(*) FROM managed_certificates") == before + 1
    revocations = world.revocations_now()
    assert revocations.pop(world.bare_serial)[:2] == ("bare", "superseded") and revocations == world.revocations
    wait_for(lambda: fleet.value("SELECT expires_at > clock_timestamp() FROM leadership"), PATIENCE_S, "a leader")


def test_what_was_put_back_is_as_it_was(world):
    fleet = world.fleet
    now = world.pems_now()
    for serial in (*world.demo_serials, world.open_serial, world.late_serial, world.brief_serial):
        assert now[serial] == world.pems[serial]
    rows = {r[0]: r[1:] for r in fleet.query("SELECT c.id, c.status, v.serial_number, c.expires_at = v.not_after, c.common_name = c.id "
                                             "FROM managed_certificates c JOIN LATERAL (SELECT * FROM certificate_versions o "
                                             "WHERE o.certificate_id = c.id ORDER BY o.id DESC LIMIT 1) v ON true")}
    for name, serial in (("demo", world.demo_serials[-1]), ("open", world.open_serial), ("late", world.late_serial)):
        assert rows[name][:3] == ("Active", serial, True), (name, rows[name])
    assert fleet.query("SELECT status, revocation_reason FROM managed_certificates WHERE id = 'gone'") == [("Revoked", "keyCompromise")]
    job = fleet.query("SELECT status, last_error FROM jobs WHERE id = %s", world.open_job)[0]
    assert job[0] == "Cancelled" and "put the certificate that it made back" in job[1]


def test_the_next_list_has_all_revocations_and_a_higher_number(world):
    fleet = world.fleet
    wait_for(lambda: fleet.value("SELECT revoked_count FROM crl_cache") == 3, PATIENCE_S, "the next list")
    assert fleet.value("SELECT crl_number FROM crl_cache") > world.number


def test_each_site_serves_what_the_database_says(world):
    fleet = world.fleet
    fleet.api.need("POST", "/api/v1/admin/scheduler/run-now/renewal_scan")
    wait_for(lambda: len(world.bare.versions()) == 2 and world.bare.serial() == world.bare.versions()[-1], PATIENCE_S,
             "the site of the revoked certificate to be renewed")
    wait_for(lambda: len(world.lost_site.versions()) == 2 and world.lost_site.serial() == world.lost_site.versions()[-1] != world.lost_serial,
             PATIENCE_S, "the site whose certificate nobody knows to be renewed")
    wait_for(lambda: fleet.value("SELECT count(*) FROM certificate_target_mappings WHERE desired_version_id IS DISTINCT FROM "
                                 "deployed_version_id") == 0, PATIENCE_S, "every target to have what is desired")
    for site, serial in ((world.site, world.demo_serials[-1]), (world.open, world.open_serial)):
        assert site.serial() == serial == site.versions()[-1]
    wait_for(lambda: fleet.value("SELECT count(*) FROM served_unknown") == 0 and
             fleet.query("SELECT target_id FROM served_certificates WHERE is_other") == [("tgt-gone",)], PATIENCE_S, "the agents to tell of it")


def test_recover_again_changes_nothing(world):
    fleet = world.fleet
    before = fleet.query("SELECT count(*), max(xmin::text::bigint) FROM certificate_versions"), fleet.value("SELECT max(seq) FROM audit_events "
                                                                                                 "WHERE action = 'database_recovered'")
    done = fleet.cli("recover", "--apply", "--yes")
    assert done.returncode == 0 and "nothing to recover" in done.stdout + done.stderr
    assert before == (fleet.query("SELECT count(*), max(xmin::text::bigint) FROM certificate_versions"), fleet.value(
        "SELECT max(seq) FROM audit_events WHERE action = 'database_recovered'"))


def test_the_agent_from_after_the_backup_is_back(world):
    fleet = world.fleet
    wait_for(lambda: "code=RETURNED" in fleet.processes["agent-late"].log(), PATIENCE_S, "the late agent")
    wait_for(lambda: fleet.value("SELECT count(*) FROM agents WHERE status = 'Online' AND last_heartbeat_at > now() - interval '10 s'") == 6,
             PATIENCE_S, "heartbeats of all")


def test_the_audit_trail_names_the_gap_and_verifies(world):
    fleet = world.fleet
    details = fleet.value("SELECT details FROM audit_events WHERE action = 'database_recovered'")
    assert [details[k] for k in ("serials", "reentered", "recreated", "revoked", "renewed")] == [7, 4, 1, 2, 1] and details["gap_from"] <= details["gap_to"]
    assert details["epoch"] == 2 and details["copy_seq"] < fleet.value("SELECT min(seq) FROM audit_events WHERE epoch = 2")
    # The copy's rows are in the first epoch, and what came since in the second.
    assert fleet.value("SELECT count(DISTINCT epoch) FROM audit_events") == 2
    done = wait_for(lambda: fleet.value("SELECT lag_s FROM audit_unsealed") < 60 and (v := fleet.cli("audit", "verify")).returncode == 0
                    and "epoch 2 begins" in v.stdout and v, PATIENCE_S, "the audit trail to verify", every=1)
    assert "the database was restored from a copy of" in done.stdout
    assert [r["epoch"] for r in json.loads(fleet.cli("audit", "verify", "-o", "json").stdout)["restores"]] == [2]


@pytest.mark.parametrize("epoch", [1, 2])
def test_the_audit_trail_shows_tampering_on_both_sides(world, epoch):
    fleet = world.fleet
    change = f"UPDATE audit_events SET actor = actor || '%s' WHERE id = (SELECT min(id) FROM audit_events WHERE epoch = {epoch})"
    audit.tamper(fleet, change % "x")
    done = fleet.cli("audit", "verify")
    assert done.returncode == 1 and "row changed" in done.stdout, done.stdout
    audit.tamper(fleet, f"UPDATE audit_events SET actor = rtrim(actor, 'x') WHERE id = (SELECT min(id) FROM audit_events WHERE epoch = {epoch})")
    assert fleet.cli("audit", "verify").returncode == 0


def test_another_start_finds_nothing(world):
    fleet = world.fleet
    worker = fleet.processes["worker-1"]
    before = worker.log().count("code=DATABASE-BEHIND")
    worker.stop()
    with fleet.admin() as c:
        c.execute("ALTER ROLE certctl_worker SET track_functions = 'all'")
    worker.start()
    wait_for(lambda: fleet.value("SELECT count(*) FROM workers WHERE pid = %s AND lease_until > clock_timestamp()", worker.pid) == 1,
             PATIENCE_S, "the worker's lease")
    assert worker.log().count("code=DATABASE-BEHIND") == before
    assert fleet.value("SELECT count(*) FROM journal_ahead WHERE settled_at IS NULL") == 0
    # Of all the files that are kept only the newest were shown.
    worker.stop()
    wait_for(lambda: fleet.value("SELECT calls FROM pg_stat_user_functions WHERE funcname = 'journal_check'"), PATIENCE_S, "the count")
    assert fleet.value("SELECT calls FROM pg_stat_user_functions WHERE funcname = 'journal_check'") == 2
