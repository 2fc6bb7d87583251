"""
What is signed is what the certificate's row asks for, also when the row changes
while a job is on its way; and what waits for something says for what.
"""
import pytest

from test_agent_bad import make_csr

CERTS = "/api/v1/certificates"


@pytest.fixture(scope="module")
def world(basics):
    """Two agents that nobody runs, and a target of each."""
    basics.agents = []
    for i in (1, 2):
        made = basics.api.need("POST", "/api/v1/agents", {"name": f"hand-{i}", "hostname": "h.example.test"})
        basics.agents.append((made["id"], made["api_key"]))
        basics.make_target(f"tgt-{i}", made["id"], basics.dir / f"orders-{i}")
    basics.api.need("POST", "/api/v1/issuers", {"id": "iss-other", "name": "Other", "type": "GenericCA"})
    basics.query("INSERT INTO certificate_profiles (id, name, requires_approval) VALUES ('prof-asked', 'asked', true), "
                 "('prof-free', 'free', false)")
    return basics


def order(world, name, csr=True, **more):
    """A certificate and its job, which has a CSR."""
    if not world.query("SELECT 1 FROM managed_certificates WHERE id = %s", name):
        world.make_target(f"tgt-{name}", world.agents[0][0], world.dir / name)
        world.make_certificate(name, [f"tgt-{name}"], **more)
    job = world.api.need("POST", f"{CERTS}/{name}/renew")["job_id"]
    if csr:
        status, reply = submit(world, name, job)
        assert status == 202, reply
    return job


def submit(world, name, job, names=None):
    agent, key = world.agents[0]
    names = names or [f"{name}.example.test"]
    return world.api.call("POST", f"/api/v1/agents/{agent}/csr", {
        "csr_pem": make_csr(cn=names[0], sans=names), "certificate_id": name, "job_id": job}, key=key)


def claim(world, job):
    """As a worker's: Running under lease 77, with a serial that may be signed by now."""
    world.plant("UPDATE jobs SET status = 'Running', leased_by = 'w', lease_id = 77, attempt_until = now() + interval '1 minute', "
                "serial_number = 'S-' || id, not_before = now(), not_after = now() + interval '90 days', ca_sha256 = '\\x00' "
                "WHERE id = %s", job)


def complete(world, *jobs):
    n = len(jobs)
    return [r[0] for r in world.query("SELECT job_id FROM issue_complete('w', 77, %s, %s, %s, %s, %s, '')", list(jobs), ["pem"] * n,
                                      [f"f-{j}" for j in jobs], ["ECDSA"] * n, [256] * n)]


def state(world, job):
    return world.query("SELECT j.status, j.serial_number, j.issuer_id, j.is_stale, EXISTS (SELECT 1 FROM certificate_requests r "
                       "WHERE r.job_id = j.id) FROM jobs j WHERE j.id = %s", job)[0]


CHANGES = [{"sans": ["new.example.test"]}, {"common_name": "new.example.test"}, {"issuer_id": "iss-other"},
           {"certificate_profile_id": "prof-free"}]


@pytest.mark.parametrize("n", range(len(CHANGES)))
def test_a_job_that_waits_to_be_signed_begins_anew(world, n):
    name = f"waits-{n}"
    job = order(world, name)
    assert state(world, job)[0] == "Pending"
    world.api.need("PUT", f"{CERTS}/{name}", {"tags": {"a": "b"}, "environment": "x", "sans": [f"{name}.example.test"]})
    assert state(world, job)[0] == "Pending"  # nothing that is signed
    world.api.need("PUT", f"{CERTS}/{name}", CHANGES[n])
    assert state(world, job) == ("AwaitingCSR", None, CHANGES[n].get("issuer_id", "iss-local"), False, False)
    row = world.query("SELECT common_name, sans FROM managed_certificates WHERE id = %s", name)[0]
    names = list(dict.fromkeys([row[0], *row[1]]))
    if n < 2:
        assert submit(world, name, job)[0] == 400  # the old names
    assert submit(world, name, job, names)[0] == 202
    assert state(world, job)[0] == "Pending"


@pytest.mark.parametrize("n", range(len(CHANGES)))
def test_what_was_signed_for_another_order_is_not_stored(world, n):
    name = f"signed-{n}"
    job, other = order(world, name), order(world, f"beside-{n}")
    claim(world, job)
    claim(world, other)
    world.api.need("PUT", f"{CERTS}/{name}", CHANGES[n])
    assert state(world, job)[0] == "Running"
    assert complete(world, job, other) == [other]
    assert state(world, job) == ("AwaitingCSR", None, CHANGES[n].get("issuer_id", "iss-local"), False, False)
    assert world.query("SELECT count(*) FROM certificate_versions WHERE certificate_id = %s", name) == [(0,)]
    # The serial that stands over the old names never counts as good.
    assert world.query("SELECT issuer_id, reason, job_id FROM certificate_revocations WHERE serial_number = %s", f"S-{job}") == [
        ("iss-local", "superseded", job)]
    assert world.api.get(f"{CERTS}/{name}")[1]["status"] == "RenewalInProgress"
    assert world.api.get(f"{CERTS}/beside-{n}")[1]["status"] == "Active"


def test_one_that_comes_back_unsigned_begins_anew(world):
    jobs = [order(world, f"back-{i}") for i in range(2)]
    for job in jobs:
        claim(world, job)
        world.api.need("PUT", f"{CERTS}/back-{jobs.index(job)}", CHANGES[0])
    world.query("SELECT * FROM issue_set_aside('w', 77, %s, '{release}', '{x}')", jobs[:1])
    world.query("SELECT worker_leave('w')")
    assert [state(world, job)[0] for job in jobs] == ["AwaitingCSR"] * 2


def test_an_order_at_a_ca_outside_is_kept_and_followed(world):
    job = order(world, "outside")
    claim(world, job)
    world.query("UPDATE jobs SET checkpoint = '{\"state\": \"placing\"}' WHERE id = %s", job)
    world.api.need("PUT", f"{CERTS}/outside", CHANGES[0])
    assert complete(world, job) == [job]
    cert = world.api.get(f"{CERTS}/outside")[1]
    assert cert["status"] == "Active" and cert["needs_renewal"] is True and "were changed" in cert["reason"]
    assert world.value("SELECT renew_after < now() + interval '2 minutes' FROM managed_certificates WHERE id = 'outside'")


def test_an_active_certificate_is_renewed_by_the_scan(world):
    for n, change in enumerate(CHANGES):
        name = f"active-{n}"
        job = order(world, name)
        claim(world, job)
        assert complete(world, job) == [job]
        before = world.api.get(f"{CERTS}/{name}")[1]
        assert before["status"] == "Active" and "needs_renewal" not in before and "reason" not in before
        world.api.need("PUT", f"{CERTS}/{name}", change)
        cert = world.api.get(f"{CERTS}/{name}")[1]
        word = ("names", "names", "issuer", "profile")[n]
        assert cert["needs_renewal"] is True and cert["reason"].startswith(f"its {word} ")
        assert [c.get("reason") for c in world.api.get(f"{CERTS}?q={name}")[1]["data"]] == [cert["reason"]]
        world.query("SELECT * FROM duty_renewal_scan(1000)")
        job = world.value("SELECT id FROM jobs WHERE certificate_id = %s AND status = 'AwaitingCSR'", name)
        assert job, name
        names = list(dict.fromkeys([cert["common_name"], *cert["sans"]]))
        assert submit(world, name, job, names)[0] == 202
        claim(world, job)
        assert complete(world, job) == [job]
        cert = world.api.get(f"{CERTS}/{name}")[1]
        assert cert["status"] == "Active" and "needs_renewal" not in cert and "reason" not in cert


def test_what_was_approved_is_approved_again(world):
    name = "approved"
    job = order(world, name, csr=False, certificate_profile_id="prof-asked")
    first = world.value("SELECT id FROM issuance_approval_requests WHERE job_id = %s", job)
    decide = "SELECT outcome FROM approval_decide(%s, NULL, 'boss', 'APIKey', true, '', '')"
    # Changed while somebody looks at it.
    world.api.need("PUT", f"{CERTS}/{name}", CHANGES[0])
    assert world.value(decide, first) == "decided" and state(world, job)[0] == "AwaitingApproval"
    pending = "SELECT id FROM issuance_approval_requests WHERE job_id = %s AND state = 'pending'"
    assert world.value(decide, world.value(pending, job)) == "approved"
    assert submit(world, name, job, [f"{name}.example.test", "new.example.test"])[0] == 202
    # Changed after it was approved.
    world.api.need("PUT", f"{CERTS}/{name}", {"sans": ["root.example.test"]})
    assert state(world, job)[0] == "AwaitingApproval" and world.value(pending, job)
    claim(world, job)
    world.api.need("PUT", f"{CERTS}/{name}", {"sans": ["other.example.test"]})
    assert complete(world, job) == [] and state(world, job)[0] == "AwaitingApproval"


def test_a_csr_checked_against_other_names_is_refused(world):
    job = order(world, "raced", csr=False)
    agent = world.agents[0][0]
    assert world.query("SELECT outcome FROM csr_submit(%s, 'raced', %s, 'pem', 'k', 'raced.example.test', '{old.example.test}')",
                       agent, job) == [("changed",)]
    assert state(world, job)[0] == "AwaitingCSR"


# --- what waits says for what ---

def waits(world, job):
    """A job as it is shown alone, in lists and by certctl: the same."""
    one = world.api.need("GET", f"/api/v1/jobs/{job}")
    told = {k: one.get(k) for k in ("reason", "reason_since", "reason_until")}
    for query in ("", f"certificate_id={one['certificate_id']}"):
        rows = world.api.need("GET", f"/api/v1/jobs?per_page=500&{query}")["data"]
        assert [{k: r.get(k) for k in told} for r in rows if r["id"] == job] == [told]
    shown = world.cli("jobs", "get", job).stdout
    assert (one.get("reason") or "reason ") in " ".join(shown.split())
    assert (one.get("reason") or "") in " ".join(world.cli("jobs", "list", "--certificate-id", one["certificate_id"]).stdout.split())
    return one


def settled(world, word, job, **changes):
    """The job as it would be with these columns, and what it waits for then."""
    keys = ", ".join(f"{k} = {v}" for k, v in changes.items())
    world.plant(f"UPDATE jobs SET {keys} WHERE id = %s", job)
    one = waits(world, job)
    assert word in one["reason"], one
    return one


def test_each_job_that_waits_says_for_what(world):
    job = order(world, "tells")
    world.query("UPDATE workers SET lease_until = '-infinity'")
    assert "a worker: none lives" in waits(world, job)["reason"]
    world.query("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES ('idle', 'idle', 'h', 1, 'infinity')")
    assert waits(world, job)["reason"] == "waits for its turn at issuer iss-local"
    assert "as workers died with it" in settled(world, "nothing else of its lane is due", job, died_with="'{a,b,c}'")["reason"]
    one = settled(world, "waits before it is tried again until 20", job, died_with="NULL", last_error="'the CA said no'",
                  run_after="now() + interval '1 hour'")
    assert one["reason"].endswith(": the CA said no") and one["reason_until"] > one["created_at"] and "reason_since" not in one
    settled(world, "its order at the CA", job, checkpoint="'{\"state\": \"placed\"}'")
    settled(world, "looks whether its order stands", job, run_after="'infinity'")
    settled(world, "for its turn", job, run_after="now()", checkpoint="NULL", last_error="NULL")
    world.query("UPDATE lanes SET breaker_state = 'open', opened_until = now() + interval '1 hour', last_error = 'CA away' "
                "WHERE issuer_id = 'iss-local'")
    one = waits(world, job)
    assert "issuer iss-local, whose calls failed until" in one["reason"]
    assert one["reason"].endswith(": CA away") and one["last_error"] == "CA away" and one["reason_until"]
    assert world.api.get(f"{CERTS}/tells")[1]["reason"] == f"its renewal {one['reason']}"
    world.query("UPDATE lanes SET breaker_state = 'closed', opened_until = NULL, last_error = NULL, rate_per_s = 0.001, "
                "rate_tokens = 0, rate_at = now() WHERE issuer_id = 'iss-local'")
    assert "whose rate allows no more" in waits(world, job)["reason"]
    world.query("UPDATE lanes SET rate_per_s = NULL, cap = 0 WHERE issuer_id = 'iss-local'")
    assert "whose lane is closed" in waits(world, job)["reason"]
    world.query("UPDATE lanes SET cap = 8 WHERE issuer_id = 'iss-local'")
    world.query("UPDATE issuers SET enabled = false WHERE id = 'iss-local'")
    assert "issuer iss-local, which is disabled" in waits(world, job)["reason"]
    world.query("UPDATE issuers SET enabled = true WHERE id = 'iss-local'")
    world.query("UPDATE workers SET faults = '{\"\": \"no room for its journal\"}' WHERE incarnation = 'idle'")
    assert waits(world, job)["reason"].endswith("whose host can do it: no room for its journal")
    world.query("DELETE FROM workers WHERE incarnation = 'idle'")
    claim(world, job)
    assert "reason" not in waits(world, job)
    assert complete(world, job) == [job] and "reason" not in waits(world, job)
    install = world.value("SELECT id FROM jobs WHERE certificate_id = 'tells' AND type = 'Deployment'")
    assert waits(world, install)["reason"].startswith(f"waits for agent {world.agents[0][0]}")


def test_who_waits_for_an_approval_or_an_agent_says_since_when(world):
    asked = order(world, "asks", csr=False, certificate_profile_id="prof-asked")
    assert "an approval" in waits(world, asked)["reason"]
    assert "an approval" in world.api.get(f"{CERTS}/asks")[1]["reason"]
    agent = world.agents[0][0]
    job = order(world, "silent", csr=False)
    world.query("UPDATE agents SET status = 'Online' WHERE id = %s", agent)
    assert waits(world, job)["reason"] == f"waits for the CSR of agent {agent}"
    assert "reason" not in world.api.get(f"{CERTS}/silent")[1]  # it comes by itself
    world.query("UPDATE agents SET status = 'Offline', last_heartbeat_at = '2026-01-02 03:04:05+00' WHERE id = %s", agent)
    one, cert = waits(world, job), world.api.get(f"{CERTS}/silent")[1]
    assert one["reason"] == f"waits for agent {agent}, which is offline since 2026-01-02 03:04:05 UTC"
    assert cert["reason"] == f"its renewal {one['reason']}"
    assert one["reason_since"] == cert["reason_since"] == "2026-01-02T03:04:05Z"
    assert [c["reason_since"] for c in world.api.get(f"{CERTS}?q=silent")[1]["data"]] == [cert["reason_since"]]
    world.query("UPDATE agents SET retired_at = '2026-01-03 00:00:00+00' WHERE id = %s", agent)
    assert "which is retired" in waits(world, job)["reason"] and waits(world, job)["reason_since"] == "2026-01-03T00:00:00Z"
    world.query("UPDATE agents SET retired_at = NULL WHERE id = %s", agent)


def test_without_a_target_the_reason_is_told_and_a_target_helps(world):
    world.make_certificate("homeless")
    reply = world.api.need("POST", f"{CERTS}/homeless/renew")
    assert "map it to a target" in reply["warnings"][0]
    assert "has no target" in world.api.get(f"{CERTS}/homeless")[1]["reason"]
    assert "has no target" in world.api.get(f"{CERTS}?q=homeless")[1]["data"][0]["reason"]
    assert "has no target" in waits(world, reply["job_id"])["reason"]
    world.api.need("PUT", f"{CERTS}/homeless", {"target_ids": ["tgt-1"]})
    assert world.query("SELECT agent_id, status FROM jobs WHERE id = %s", reply["job_id"]) == [(world.agents[0][0], "AwaitingCSR")]
    assert submit(world, "homeless", reply["job_id"])[0] == 202


def test_force_overrides_a_job_that_waits_for_a_dead_agent(world):
    agent = world.agents[0][0]
    job = order(world, "forced", csr=False)
    world.query("UPDATE agents SET status = 'Online' WHERE id = %s", agent)
    assert world.api.need("POST", f"{CERTS}/forced/renew?force=true")["job_ids"] == [job]  # it lives
    world.query("UPDATE agents SET status = 'Offline' WHERE id = %s", agent)
    assert agent in world.api.get(f"{CERTS}/forced")[1]["reason"]
    assert world.api.post(f"{CERTS}/forced/renew")[0] == 409
    shown = world.cli("certs", "renew", "forced", "--force")
    assert shown.returncode == 0, shown
    again = world.value("SELECT id FROM jobs WHERE certificate_id = 'forced' AND status = 'AwaitingCSR'")
    assert again != job
    assert world.query("SELECT status, last_error FROM jobs WHERE id = %s", job) == [("Cancelled", "another renewal was forced by admin")]
    # Another host takes its place.
    world.api.need("PUT", f"{CERTS}/forced", {"target_ids": ["tgt-2"]})
    moved = world.api.need("POST", f"{CERTS}/forced/renew?force=true")["job_id"]
    assert world.query("SELECT agent_id, status FROM jobs WHERE id IN (%s, %s) ORDER BY id", again, moved) == [
        (agent, "Cancelled"), (world.agents[1][0], "AwaitingCSR")]
    # A force does not throw away what is being signed.
    busy = order(world, "busy")
    assert world.api.need("POST", f"{CERTS}/busy/renew?force=true")["job_ids"] == [busy] and state(world, busy)[0] == "Pending"
