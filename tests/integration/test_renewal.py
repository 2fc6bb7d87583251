"""
A certificate that falls due is renewed, deployed and served without anybody
asking, again and again.
"""
import re

import pytest

from fleet import Fleet, wait_for

PLAIN_TOO = "the whole way of a certificate"
LIFETIME_S = 30  # the shortest there is: due 17 seconds in


@pytest.fixture(scope="module")
def plane(stack: Fleet):
    # No tick comes while this runs: short lives are scanned when they are due.
    stack.start_scheduler(keep=True, CERTCTL_LOG_LEVEL="debug", CERTCTL_SCHEDULER_STATUS_REPAIR_INTERVAL="1h")
    stack.start_worker(keep=True)
    stack.make_basics(validity_seconds=LIFETIME_S)
    return stack


def test_it_renews_by_itself_twice(plane):
    site = plane.start_site("short")
    serials = [site.renew_and_wait()]
    for _ in range(2):
        serials.append(wait_for(lambda: (now := site.serial()) not in (None, *serials) and now, LIFETIME_S + 5,
                                "another certificate to be served"))
    assert site.versions()[:3] == serials
    rows = plane.query("SELECT type, requested_by, status FROM jobs WHERE certificate_id = 'short' "
                       "AND type IN ('Issuance', 'Renewal') ORDER BY id")
    assert rows[0][0] == "Issuance" and rows[0][1] != "system"
    assert [r[:2] for r in rows[1:3]] == [("Renewal", "system")] * 2
    # never too early and never after the end
    lives = plane.query("SELECT not_after, lead(not_before) OVER (ORDER BY id) FROM certificate_versions "
                        "WHERE certificate_id = 'short' ORDER BY id LIMIT 2")
    assert len(lives) == 2
    for not_after, next_from in lives:
        assert 0 < (not_after - next_from).total_seconds() <= LIFETIME_S / 3 + LIFETIME_S / 10 + 1
    # no gap: what was served was always valid
    assert plane.value("SELECT bool_and(v.not_after > j.completed_at) FROM (SELECT id, lead(id) OVER (ORDER BY id) AS next, not_after "
                       "FROM certificate_versions WHERE certificate_id = 'short') v JOIN jobs j ON j.version_id = v.next "
                       "WHERE j.type = 'Deployment' AND j.status = 'Completed'")
    assert plane.value("SELECT count(*) FROM jobs WHERE status = 'Failed'") == 0
    line = [m for m in re.finditer(r"renewal scan complete.*", plane.processes["scheduler-1"].log()) if "enqueued=1" in m.group()]
    assert line and all(f" {word}=" in line[0].group() for word in ("due", "running", "left", "seconds", "budget"))


def test_a_policy_without_auto_renew_is_left_alone(plane):
    plane.api.need("POST", "/api/v1/renewal-policies", {
        "id": "rp-manual", "name": "by hand", "renewal_window_days": 30, "auto_renew": False})
    plane.make_target("tgt-manual", plane.processes["agent-1"].agent_id, plane.dir / "manual")
    plane.make_certificate("manual", ["tgt-manual"], renewal_policy_id="rp-manual")
    job = plane.api.need("POST", "/api/v1/certificates/manual/renew")["job_id"]
    assert plane.wait_job(job)[0] == "Completed"
    # It is told that it ended, without a tick of the duty.
    wait_for(lambda: plane.api.get("/api/v1/certificates/manual")[1]["status"] == "Expired", LIFETIME_S + 20, "its end to be told")
    assert plane.value("SELECT count(*) FROM certificate_versions WHERE certificate_id = 'manual'") == 1
    assert plane.value("SELECT renew_after IS NULL FROM managed_certificates WHERE id = 'manual'")
