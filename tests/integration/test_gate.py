"""
With everything running: an approved renewal goes its whole way, and a job row
edited into nonsense stops nothing but itself.
"""
import pytest

from fleet import API_KEY, Api, Fleet, wait_for

BOSS_KEY = f"boss-{API_KEY}"


@pytest.fixture(scope="module")
def stack():
    fleet = Fleet("gate")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True, CERTCTL_API_KEYS_NAMED=f"admin:{API_KEY}:admin,boss:{BOSS_KEY}:admin")
        fleet.query("INSERT INTO certificate_profiles (id, name, requires_approval) VALUES ('prof-gated', 'gated', true)")
        yield fleet
    finally:
        fleet.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


@pytest.fixture(scope="module")
def site(plane):
    return plane.start_site("gated")


def test_an_approved_renewal_is_served(plane, site):
    plane.query("UPDATE managed_certificates SET certificate_profile_id = 'prof-gated' WHERE id = 'gated'")
    job = plane.api.need("POST", "/api/v1/certificates/gated/renew")["job_id"]
    assert plane.query("SELECT status, csr_pem FROM jobs LEFT JOIN certificate_requests ON job_id = id WHERE id = %s", job) == \
        [("AwaitingApproval", None)]
    boss = Api(plane.api_port, plane.dir / "tls" / "api.pem", BOSS_KEY)
    boss.need("POST", f"/api/v1/jobs/{job}/approve")
    # Its agent, whose request for work was waiting, is told at once.
    wait_for(lambda: plane.value("SELECT csr_pem FROM certificate_requests WHERE job_id = %s", job), 10, "the agent's CSR")
    assert plane.wait_job(job)[0] == "Completed"
    site.wait_served(job)
    plane.query("UPDATE managed_certificates SET certificate_profile_id = NULL WHERE id = 'gated'")


@pytest.mark.parametrize(("edit", "csr", "why"), [
    ("status = 'Pending', run_after = now()", None, "CSR"),
    ("status = 'Pending', run_after = now()", "no PEM at all", "CSR"),
    ("status = 'Pending', run_after = now(), certificate_id = NULL", "x", ""),
    ("status = 'Pending', run_after = now(), attempts = 99, deliveries = -5", "x", ""),
    ("status = 'Running', leased_by = 'nobody', lease_id = 1, attempt_until = now()", "x", ""),
])
def test_nonsense_stops_nothing_but_itself(plane, site, unique, edit, csr, why):
    name = unique("cert")
    plane.make_certificate(name)
    job = plane.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]
    if csr:
        plane.query("INSERT INTO certificate_requests VALUES (%s, %s, 'x')", job, csr)
    plane.plant(f"UPDATE jobs SET {edit} WHERE id = %s", job)
    wait_for(lambda: plane.value("SELECT status FROM jobs WHERE id = %s", job) == "Failed", 20, "the row to fail")
    error = plane.value("SELECT last_error FROM jobs WHERE id = %s", job)
    assert error and why in error
    site.renew_and_wait()
