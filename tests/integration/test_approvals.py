"""
Approval gates every path into issuance, is given by a second person, and ends
the job when it is refused or never comes.
"""
import pytest

from fleet import API_KEY, Api, Fleet, job_words

BOSS_KEY = f"boss-{API_KEY}"
OWNER_KEY = f"owner-{API_KEY}"


@pytest.fixture(scope="module")
def stack():
    fleet = Fleet("approvals")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True, CERTCTL_API_KEYS_NAMED=(
            f"admin:{API_KEY}:admin,boss:{BOSS_KEY}:admin,carol:{OWNER_KEY}:admin"))
        fleet.make_basics()
        fleet.query("UPDATE owners SET name = 'Carol' WHERE id = 'o-test'")
        fleet.query("INSERT INTO certificate_profiles (id, name, requires_approval) VALUES ('prof-gated', 'gated', true)")
        fleet.boss = Api(fleet.api_port, fleet.dir / "tls" / "api.pem", BOSS_KEY)
        fleet.owner = Api(fleet.api_port, fleet.dir / "tls" / "api.pem", OWNER_KEY)
        yield fleet
    finally:
        fleet.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


@pytest.fixture
def certificate(stack, new_agent, unique):
    """A certificate under the gated profile: (its id, its agent)."""
    agent, _ = new_agent()
    name = unique("cert")
    stack.make_target(f"tgt-{name}", agent, stack.dir / name)
    stack.make_certificate(name, [f"tgt-{name}"], certificate_profile_id="prof-gated")
    return name, agent


def renew(stack, name):
    return stack.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]


def request_of(stack, job):
    return stack.query("SELECT id, state, requested_by, decided_by, decision_note FROM issuance_approval_requests WHERE job_id = %s",
                       job)


def events(stack, request):
    return [r[0] for r in stack.query("SELECT action FROM audit_events WHERE resource_id = %s ORDER BY seq", request)]


def status(stack, job):
    return stack.query("SELECT status, last_error FROM jobs WHERE id = %s", job)[0]


def test_every_path_waits(stack, certificate, unique):
    name, agent = certificate
    by_hand = renew(stack, name)
    assert request_of(stack, by_hand)[0][1:3] == ("pending", "admin")
    # Nothing passes it: not the agent's work, not a CSR sent all the same.
    assert stack.query("SELECT id FROM agent_work(%s, 10)", agent) == []
    assert stack.query("SELECT outcome FROM csr_submit(%s, %s, %s, 'csr', 'key', '', '{}')", agent, name, by_hand) == [("none",)]
    assert stack.query("SELECT outcome FROM csr_submit(%s, %s, NULL, 'csr', 'key', '', '{}')", agent, name) == [("none",)]
    assert status(stack, by_hand)[0] == "AwaitingApproval"
    # The scan and bulk requests make their jobs in the same place.
    scanned, bulk = unique("cert"), [unique("cert") for _ in range(5)]
    for other in (scanned, *bulk):
        stack.make_certificate(other, certificate_profile_id="prof-gated")
    stack.query("UPDATE managed_certificates SET status = 'Active', expires_at = now() + interval '1 day', valid_from = now() - interval '29 days', "
                "renew_after = now() - interval '1 day' WHERE id = %s", scanned)
    stack.query("SELECT * FROM duty_renewal_scan(100)")
    stack.api.need("POST", "/api/v1/certificates/bulk-renew", {"certificate_ids": bulk})
    rows = stack.query("SELECT j.certificate_id, j.status, r.state, r.requested_by, r.profile_id FROM jobs j "
                       "LEFT JOIN issuance_approval_requests r ON r.job_id = j.id WHERE j.certificate_id = ANY (%s)",
                       [scanned, *bulk])
    assert sorted(rows) == sorted([(scanned, "AwaitingApproval", "pending", "system", "prof-gated")] +
                                  [(c, "AwaitingApproval", "pending", "admin", "prof-gated") for c in bulk])
    # No second job, no second request.
    stack.query("SELECT * FROM jobs_enqueue(%s, 'admin', 'APIKey', true, true, true)", bulk)
    assert stack.value("SELECT count(*) FROM issuance_approval_requests WHERE certificate_id = ANY (%s)", bulk) == 5


def test_the_trail_names_who_asked(stack, unique):
    """By kind too: a key may be called as the engine is."""
    name = unique("cert")
    stack.make_certificate(name)
    stack.query("SELECT * FROM jobs_enqueue(%s, 'system', 'APIKey', false, false, true)", [name])
    assert stack.query("SELECT actor, actor_type FROM audit_events WHERE action = 'renewal_job_created' AND resource_id = %s",
                       name) == [("system", "APIKey")]


def test_a_profile_without_the_gate_makes_no_request(stack, unique):
    name = unique("cert")
    stack.make_certificate(name)
    job = renew(stack, name)
    assert status(stack, job)[0] == "AwaitingCSR" and request_of(stack, job) == []


def test_a_second_person_approves(stack, certificate):
    name, agent = certificate
    job = renew(stack, name)
    request = request_of(stack, job)[0][0]
    seen = stack.api.need("GET", f"/api/v1/approvals/{request}")
    assert {k: seen[k] for k in ("id", "kind", "certificate_id", "job_id", "profile_id", "requested_by", "state")} == {
        "id": request, "kind": "cert_issuance", "certificate_id": name, "job_id": job, "profile_id": "prof-gated",
        "requested_by": "admin", "state": "pending"}
    assert "decided_by" not in seen
    for path in (f"/api/v1/approvals/{request}/approve", f"/api/v1/jobs/{job}/approve"):
        assert stack.api.post(path)[0] == 403
        assert stack.owner.post(path)[0] == 403  # the certificate's owner by name, in other letters
    assert status(stack, job)[0] == "AwaitingApproval"
    answer = stack.boss.need("POST", f"/api/v1/approvals/{request}/approve", {"note": "fine"})
    assert answer == {"id": request, "decided_by": "boss", "action": "approved"}
    assert status(stack, job)[0] == "AwaitingCSR"
    assert request_of(stack, job) == [(request, "approved", "admin", "boss", "fine")]
    assert stack.query("SELECT id FROM agent_work(%s, 10)", agent) == [(job,)]
    for verb in ("approve", "reject"):
        assert stack.boss.post(f"/api/v1/approvals/{request}/{verb}")[0] == 409
        code, reply = stack.boss.post(f"/api/v1/jobs/{job}/{verb}")
        assert code == 400 and f"cannot {verb} job with status AwaitingCSR (must be AwaitingApproval)" in str(reply)
    assert events(stack, request) == ["approval_requested", "approval_approved"]


def scanned(stack, name):
    """The job that the scan makes of a certificate that is due: (its id, its request's)."""
    stack.plant("UPDATE managed_certificates SET status = 'Active', expires_at = now() + interval '1 day', valid_from = now() - interval '29 days', "
                "renew_after = now() - interval '1 day' WHERE id = %s", name)
    stack.query("SELECT * FROM duty_renewal_scan(100)")
    return stack.query("SELECT j.id, r.id FROM jobs j JOIN issuance_approval_requests r ON r.job_id = j.id "
                       "WHERE j.certificate_id = %s AND r.state = 'pending' AND r.requested_by = 'system'", name)[0]


def test_nobody_has_the_scan_ask_for_them(stack, certificate):
    """Who made a certificate does not approve it, because the scan was first to ask."""
    job, request = scanned(stack, certificate[0])
    for path in (f"/api/v1/approvals/{request}/approve", f"/api/v1/jobs/{job}/reject"):
        code, reply = stack.api.post(path)
        assert code == 403 and "yourself" in reply["message"]
    assert stack.boss.post(f"/api/v1/approvals/{request}/approve")[0] == 200


@pytest.mark.parametrize("change, is_order", [({"sans": ["other.example.test"]}, True), ({"common_name": "other.example.test"}, True),
                                              ({"tags": {"a": "b"}, "environment": "dev"}, False)], ids=str)
def test_who_changed_what_is_ordered_asked_for_it(stack, certificate, change, is_order):
    """While it waits, or before the scan asks; what is no part of the order makes nobody a party."""
    name, _ = certificate
    job = renew(stack, name)
    assert stack.boss.call("PUT", f"/api/v1/certificates/{name}", change)[0] == 200
    request = [r[0] for r in request_of(stack, job) if r[1] == "pending"][0]
    assert stack.api.post(f"/api/v1/approvals/{request}/approve")[0] == 403
    assert stack.boss.post(f"/api/v1/approvals/{request}/approve")[0] == (403 if is_order else 200)


def test_who_brought_in_another_target_asked_for_it(stack, certificate, new_agent, unique):
    name, agent = certificate
    target = unique("tgt")
    stack.make_target(target, agent, stack.dir / target)
    assert stack.boss.call("PUT", f"/api/v1/certificates/{name}", {"target_ids": [f"tgt-{name}", target]})[0] == 200
    _, request = scanned(stack, name)
    assert stack.boss.post(f"/api/v1/approvals/{request}/approve")[0] == 403
    assert stack.api.post(f"/api/v1/approvals/{request}/approve")[0] == 200  # the one who made it has no part in what it is now


def test_who_switched_a_target_on_asked_for_it(stack, certificate, new_agent, unique):
    """Its agent holds a key of the certificate from then on; a switch that was on already changes nothing."""
    name, _ = certificate
    agent, _ = new_agent()
    target = unique("tgt")
    stack.make_target(target, agent, stack.dir / target)
    stack.api.need("PUT", f"/api/v1/targets/{target}", {"enabled": False})
    stack.api.need("PUT", f"/api/v1/certificates/{name}", {"target_ids": [f"tgt-{name}", target]})
    stack.boss.need("PUT", f"/api/v1/targets/tgt-{name}", {"enabled": True})
    stack.boss.need("PUT", f"/api/v1/targets/{target}", {"name": unique("other")})
    assert stack.value("SELECT ordered_by FROM managed_certificates WHERE id = %s", name) == "admin"
    stack.boss.need("PUT", f"/api/v1/targets/{target}", {"enabled": True})
    _, request = scanned(stack, name)
    assert stack.boss.post(f"/api/v1/approvals/{request}/approve")[0] == 403
    assert stack.api.post(f"/api/v1/approvals/{request}/approve")[0] == 200


def person(stack, unique, by=None):
    """A key that may do all: (its name, its API)."""
    name = unique("key")
    key = (by or stack.boss).need("POST", "/api/v1/auth/keys", {"name": name})["key_value"]
    stack.boss.need("POST", f"/api/v1/auth/keys/{name}/roles", {"role_id": "r-admin"})
    return name, Api(stack.api_port, stack.dir / "tls" / "api.pem", key)


def rotate(stack, by, name, grace=0):
    key = by.need("POST", f"/api/v1/auth/keys/{name}/rotate", {"grace_seconds": grace})["key_value"]
    return Api(stack.api_port, stack.dir / "tls" / "api.pem", key)


def refused_as_one(by, request, verb="approve"):
    code, reply = by.post(f"/api/v1/approvals/{request}/{verb}")
    return code == 403 and "made the other's key anew" in reply["message"]


def test_a_key_made_anew_by_another_is_no_second_person(stack, certificate, unique):
    """Whoever makes a key has it: neither side decides for the other, over any number of hands, until the holder has a key of their own."""
    ann, by_ann = person(stack, unique)
    bob, _ = person(stack, unique)
    name, _ = certificate
    job = by_ann.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]
    request = request_of(stack, job)[0][0]
    as_bob = rotate(stack, by_ann, bob)
    assert refused_as_one(as_bob, request) and refused_as_one(as_bob, request, "reject")
    cat, _ = person(stack, unique)
    as_cat = rotate(stack, as_bob, cat)
    assert refused_as_one(as_cat, request)
    # The key between is good for a while, and ann has it.
    own = rotate(stack, as_bob, bob, 60)
    assert refused_as_one(own, request)
    stack.query("UPDATE api_keys SET old_until = now() - interval '1 second' WHERE name = %s", bob)
    # Nor for who asks by a key that is theirs no more.
    stack.query("UPDATE issuance_approval_requests SET requested_by = %s WHERE id = %s", cat, request)
    assert refused_as_one(own, request)
    stack.query("UPDATE issuance_approval_requests SET requested_by = %s WHERE id = %s", ann, request)
    assert own.post(f"/api/v1/approvals/{request}/approve")[0] == 200


def test_a_profile_s_edit_asks_for_another_person_too(stack, unique):
    _, by_ann = person(stack, unique)
    bob, _ = person(stack, unique)
    profile = stack.api.need("POST", "/api/v1/profiles", {"name": unique("prof"), "requires_approval": True})["id"]
    request = by_ann.need("PUT", f"/api/v1/profiles/{profile}", {"max_ttl_seconds": 600})["pending_approval_id"]
    as_bob = rotate(stack, by_ann, bob)
    assert refused_as_one(as_bob, request)
    assert rotate(stack, as_bob, bob).need("POST", f"/api/v1/approvals/{request}/approve")["action"] == "approved"


def test_who_is_given_the_key_after_the_approval_is_approved_too(stack, new_agent, unique):
    """A certificate without targets: whoever names the first decides who holds the key."""
    name, target, (agent, _) = unique("cert"), unique("tgt"), new_agent()
    stack.make_certificate(name, certificate_profile_id="prof-gated")
    job = renew(stack, name)
    stack.boss.need("POST", f"/api/v1/jobs/{job}/approve")
    stack.make_target(target, agent, stack.dir / target)
    assert stack.boss.call("PUT", f"/api/v1/certificates/{name}", {"target_ids": [target]})[0] == 200
    assert status(stack, job)[0] == "AwaitingApproval" and stack.query("SELECT id FROM agent_work(%s, 10)", agent) == []
    assert stack.boss.post(f"/api/v1/jobs/{job}/approve")[0] == 403
    # It is still the first one's request; a third decides.
    assert stack.api.post(f"/api/v1/jobs/{job}/approve")[0] == 403
    stack.query("UPDATE managed_certificates SET ordered_by = 'carla' WHERE id = %s", name)
    assert stack.boss.post(f"/api/v1/jobs/{job}/approve")[0] == 200
    assert stack.query("SELECT id FROM agent_work(%s, 10)", agent) == [(job,)]


def test_a_job_that_has_its_csr_goes_to_the_queue(stack, certificate):
    job = renew(stack, certificate[0])
    stack.query("INSERT INTO certificate_requests VALUES (%s, 'csr', '')", job)
    assert stack.boss.need("POST", f"/api/v1/jobs/{job}/approve") == {"status": "job_approved"}
    assert status(stack, job)[0] == "Pending"


def test_a_rejection_cancels(stack, certificate):
    job = renew(stack, certificate[0])
    assert stack.boss.need("POST", f"/api/v1/jobs/{job}/reject", {"reason": "not this week"}) == {"status": "job_rejected"}
    assert status(stack, job) == ("Cancelled", "rejected: not this week")
    (request, state, *_, note), = request_of(stack, job)
    assert (state, note) == ("rejected", "not this week")
    assert events(stack, request) == ["approval_requested", "approval_rejected"]
    assert stack.boss.post(f"/api/v1/jobs/{job}/reject")[0] == 400
    # The scan waits a day, a person need not.
    stack.query("UPDATE managed_certificates SET status = 'Active', expires_at = now() + interval '1 hour', "
                "renew_after = now() - interval '1 hour' WHERE id = %s", certificate[0])
    stack.boss.need("POST", f"/api/v1/jobs/{renew(stack, certificate[0])}/reject")
    stack.query("SELECT * FROM duty_renewal_scan(100)")
    assert stack.value("SELECT renew_after > now() + interval '23 hours' FROM managed_certificates WHERE id = %s", certificate[0])
    assert stack.value("SELECT count(*) FROM jobs WHERE certificate_id = %s AND completed_at IS NULL", certificate[0]) == 0
    assert renew(stack, certificate[0]) != job


def test_a_request_that_nobody_decides_expires(stack, certificate):
    name, _ = certificate
    old, young = renew(stack, name), None
    stack.query("UPDATE jobs SET created_at = now() - interval '8 days' WHERE id = %s", old)
    week, day = 7 * 86400000, 86400000
    stack.query("SELECT duty_job_timeouts(%s, %s, 100, %s)", day, week, job_words())
    assert status(stack, old) == ("Cancelled", "nobody decided within the approval time limit")
    (request, state, _, decided_by, note), = request_of(stack, old)
    assert (state, decided_by, note) == ("expired", "system", "nobody decided within the approval time limit")
    assert events(stack, request) == ["approval_requested", "approval_expired"]
    assert stack.boss.post(f"/api/v1/approvals/{request}/approve")[0] == 409
    young = renew(stack, name)
    stack.query("SELECT duty_job_timeouts(%s, %s, 100, %s)", day, week, job_words())
    assert status(stack, young)[0] == "AwaitingApproval"


def test_the_wait_for_the_csr_begins_with_the_approval(stack, certificate):
    job = renew(stack, certificate[0])
    stack.query("UPDATE jobs SET created_at = now() - interval '3 days', run_after = now() - interval '3 days' WHERE id = %s", job)
    stack.boss.need("POST", f"/api/v1/jobs/{job}/approve")
    stack.query("SELECT duty_job_timeouts(86400000, 604800000, 100, %s)", job_words())
    assert status(stack, job)[0] == "AwaitingCSR"
    stack.query("UPDATE jobs SET run_after = now() - interval '2 days' WHERE id = %s", job)
    stack.query("SELECT duty_job_timeouts(86400000, 604800000, 100, %s)", job_words())
    assert status(stack, job)[0] == "Failed"


def test_a_job_that_ends_otherwise_takes_its_request_with_it(stack, certificate):
    name, _ = certificate
    job = renew(stack, name)
    stack.api.need("POST", f"/api/v1/jobs/{job}/cancel", {})
    assert request_of(stack, job)[0][1] == "expired"
    job = renew(stack, name)
    assert stack.api.call("DELETE", f"/api/v1/certificates/{name}")[0] == 204
    assert request_of(stack, job)[0][1] == "expired"


def test_unknown_ones(stack):
    for verb in ("approve", "reject"):
        assert stack.boss.post(f"/api/v1/approvals/ar-none/{verb}")[0] == 404
        assert stack.boss.post(f"/api/v1/jobs/job-none/{verb}")[0] == 404
    assert stack.api.get("/api/v1/approvals/ar-none")[0] == 404


def test_the_list_and_the_command_line(stack, certificate):
    name, _ = certificate
    job = renew(stack, name)
    request = request_of(stack, job)[0][0]
    listed = stack.api.need("GET", f"/api/v1/approvals?state=Pending&certificate_id={name}")
    assert set(listed) == {"data", "page", "per_page"} and [r["id"] for r in listed["data"]] == [request]
    assert stack.api.need("GET", f"/api/v1/approvals?requested_by=nobody&certificate_id={name}")["data"] == []
    shown = stack.cli("approvals", "list", "--certificate-id", name)
    assert shown.returncode == 0 and request in shown.stdout and "pending" in shown.stdout
    assert stack.cli("approvals", "approve", request).returncode == 4
    done = stack.cli("approvals", "reject", request, "--note", 'says "no"', CERTCTL_API_KEY=BOSS_KEY)
    assert (done.returncode, done.stdout) == (0, "rejected\n")
    assert request_of(stack, job)[0][4] == 'says "no"'
    assert stack.cli("approvals", "approve", request, CERTCTL_API_KEY=BOSS_KEY).returncode == 5


# --- rows edited by hand ---

NONSENSE = [
    ("type = 'Validation'", "nothing runs jobs of type Validation"),
    ("type = 'Deployment'", "it names no target"),
    ("type = 'Deployment', target_id = (SELECT min(id) FROM deployment_targets)", "it names no version to install"),
    ("certificate_id = NULL", "it names no certificate"),
    ("issuer_id = NULL", "it names no issuer"),
    ("status = 'Running', leased_by = 'nobody'", "it is Running without a lease"),
    ("run_after = 'infinity'", "its run_after lies more than a year ahead"),
    ("run_after = now() + interval '2 years'", "its run_after lies more than a year ahead"),
    ("status = 'Pending', run_after = now() + interval '2 years'", "its run_after lies more than a year ahead"),
    ("type = 'Deployment', target_id = 'target', version_id = 'version', status = 'Pending', run_after = now() + interval '2 years'",
     "its run_after lies more than a year ahead"),
    ("status = 'Pending', issuer_id = NULL, certificate_id = NULL, dedupe_key = NULL", "it names no certificate"),
]


@pytest.mark.parametrize(("edit", "why"), NONSENSE)
def test_a_row_edited_into_nonsense_fails_and_says_why(stack, new_agent, unique, edit, why):
    agent, _ = new_agent()
    jobs = []
    for _ in range(2):
        name = unique("cert")
        stack.make_target(f"tgt-{name}", agent, stack.dir / name)
        stack.make_certificate(name, [f"tgt-{name}"])
        jobs.append(renew(stack, name))
    stack.plant(f"UPDATE jobs SET {edit} WHERE id = %s", jobs[0])
    stack.query("SELECT duty_job_timeouts(86400000, 604800000, 1000, %s)", job_words())
    assert status(stack, jobs[0]) == ("Failed", f"this job can never run: {why}")
    # The one beside it goes on, and nothing is left to fail.
    assert status(stack, jobs[1])[0] == "AwaitingCSR"
    assert stack.query("SELECT jobs_fail_nonsense(1000, %s)", job_words()) == [(0,)]


def test_a_certificate_whose_start_is_unknown(stack, unique):
    name = unique("cert")
    stack.make_certificate(name)
    job = renew(stack, name)
    stack.query("UPDATE managed_certificates SET expires_at = now() + interval '29 days', valid_from = NULL WHERE id = %s", name)
    stack.api.need("POST", f"/api/v1/jobs/{job}/cancel", {})
    assert stack.value("SELECT status FROM managed_certificates WHERE id = %s", name) == "Expiring"
    stack.query("UPDATE managed_certificates SET status = 'Active' WHERE id = %s", name)
    stack.query("SELECT duty_certificate_status(1000)")
    assert stack.value("SELECT status FROM managed_certificates WHERE id = %s", name) == "Expiring"


def test_a_job_parked_until_a_person_decides_is_no_nonsense(stack, new_agent, unique):
    name = unique("cert")
    stack.make_certificate(name)
    job = renew(stack, name)
    stack.query("""UPDATE jobs SET status = 'Pending', run_after = 'infinity', checkpoint = '{"state": "uncertain"}' WHERE id = %s""", job)
    assert stack.query("SELECT jobs_fail_nonsense(1000, %s)", job_words()) == [(0,)]
    assert status(stack, job)[0] == "Pending"


def test_a_wait_for_an_approval_nobody_was_asked_for(stack, certificate):
    job = renew(stack, certificate[0])
    stack.query("DELETE FROM issuance_approval_requests WHERE job_id = %s", job)
    assert stack.boss.post(f"/api/v1/jobs/{job}/approve")[0] == 400
    stack.query("SELECT jobs_fail_nonsense(1000, %s)", job_words())
    assert status(stack, job) == ("Cancelled", "this job can never run: nobody was asked for the approval that it waits for")
