"""
certctl explain: the main reasons why something is not ready are told in the first line, with their own words, the next
moment and what to do.  Nothing runs beside the apiserver, so states stay as they are made: by the API where it makes them,
else planted.
"""
import json
import re

import pytest

from fleet import ROOT
from test_conditions import (ACTIVE, CERTIFICATE, JOB, MAPPED, ONLINE, OTHER, SCENES, TABLE, VERSION,
                             calm)  # noqa: F401
from test_rest import make_csr

CODES = re.findall(r"^EXPLAIN\((\w+),", (ROOT / "apiserver/handlers/explain/explain.def").read_text(), re.M)


@pytest.fixture
def world(calm):  # noqa: F811
    calm.plant("UPDATE issuers SET enabled = true; UPDATE lanes SET rate_per_s = NULL; UPDATE workers SET bus_near = NULL, bus_ends = NULL; "
               "DELETE FROM policy_rules WHERE id = 'x'; DELETE FROM issuance_approval_requests; DELETE FROM certificate_versions")
    return calm


def explain(fleet, kind="certificate", of="mc-x"):
    return fleet.api.need("GET", f"/api/v1/explain/{kind}/{of}")


def steps(told):
    return {s["code"]: s for s in told["steps"]}


def plant(fleet, *statements):
    for each in statements:
        fleet.plant(each)


def test_every_condition_has_a_sentence():
    """Each is told, in the walk of what it holds up, of its own scene in test_conditions.py."""
    assert set(TABLE) <= set(CODES) and len(CODES) == len(set(CODES))


# --- the main reasons ---

def first(fleet, kind="certificate", of="mc-x"):
    """(code, state, said, next_at) of the verdict, and its first line by the command line."""
    told = explain(fleet, kind, of)
    done = fleet.cli("explain", kind, of)
    assert done.returncode == (0 if told["ready"] else 1), done.stderr
    assert done.stdout.splitlines()[0] == told["verdict"]
    for part in ("next", "advice", "said"):
        assert told.get(part, "") in done.stdout
    return told.get("code"), told["state"], told.get("said", ""), told.get("next_at", ""), told["verdict"]


RENEWAL = JOB.format("Renewal", "Pending", "now()", "")
LATER = [ACTIVE, ONLINE, JOB.format("Renewal", "Pending", "'2030-01-02 03:04:05Z'", ""), "UPDATE jobs SET attempts = 1, last_error = 'the CA said no'"]
MAIN = {
    "issuer_disabled": ([ACTIVE, ONLINE, RENEWAL, "UPDATE issuers SET enabled = false"], "stuck", "", ""),
    "lane_stopped": ([ACTIVE, ONLINE, RENEWAL, "UPDATE lanes SET breaker_state = 'open', opened_until = '2030-01-02 03:04:05Z', "
                      "last_error = 'no answer'"], "progressing", "no answer", "2030-01-02T03:04:05Z"),
    "lane_rate": ([ACTIVE, ONLINE, RENEWAL, "UPDATE lanes SET rate_per_s = 0.0001, rate_tokens = 0, rate_at = now()"], "progressing", "", ""),
    "lane_closed": ([ACTIVE, ONLINE, RENEWAL, "UPDATE lanes SET cap = 0"], "stuck", "", ""),
    "agent_offline": ([ACTIVE, ONLINE, JOB.format("Renewal", "AwaitingCSR", "now()", ""), "UPDATE agents SET status = 'Offline'"], "stuck", "", ""),
    "order": ([*LATER, "UPDATE jobs SET checkpoint = '{}'"], "progressing", "the CA said no", "2030-01-02T03:04:05Z"),
    "later": (LATER, "progressing", "the CA said no", "2030-01-02T03:04:05Z"),
    "served_other": ([*SCENES["served_other"][0], ONLINE], "stuck", "", ""),
    "no_worker": ([ACTIVE, ONLINE, RENEWAL, "UPDATE workers SET lease_until = now() - interval '1 minute'"], "stuck", "", ""),
    "policy_broken": ([*SCENES["policy_broken"][0], ONLINE, RENEWAL], "stuck", "it lives long", ""),
    "certificate_expired": ([CERTIFICATE.format("Expired", "-1 day", "now() + interval '1 day'")], "stuck", "", None),
    "never_renewed": ([CERTIFICATE.format("Active", "5 days", "NULL")], "ready", "", None),
}


@pytest.mark.parametrize("code", sorted(MAIN))
def test_the_first_line_is_the_reason(world, code):
    statements, state, said, next_at = MAIN[code]
    plant(world, *statements)
    got = first(world)
    assert got[:3] == (code, state, said), got
    assert next_at is None or got[3] == next_at, got


def test_a_job_says_the_same(world):
    plant(world, *LATER)
    assert "certctl certs renew mc-x" in explain(world, "job", "job-x")["advice"]
    assert first(world, "job", "job-x")[:4] == ("later", "progressing", "the CA said no", "2030-01-02T03:04:05Z")
    told = json.loads(world.cli("explain", "job-x", "--json").stdout)
    assert told["verdict"] == "job job-x is not ready: attempt 1 of 3 failed" and not told["ready"]


def test_all_is_well(world):
    """The renewal window is not open yet: that is what comes next."""
    plant(world, ACTIVE, ONLINE, VERSION, MAPPED.format(0), *OTHER, "UPDATE served_certificates SET is_other = false",
          "UPDATE managed_certificates SET renew_after = '2030-01-02 03:04:05Z', expires_at = '2030-03-02 00:00:00Z'")
    assert first(world) == (None, "ready", "", "2030-01-02T03:04:05Z", "certificate mc-x is ready")
    codes = set(steps(explain(world)))
    assert {"valid", "policy", "renewal_later", "issuer", "lane", "agent_heard", "deployed", "served"} - codes == {"policy"}
    assert first(world, "target", "tgt-x")[4] == "target tgt-x is ready"
    assert world.cli("explain", "tgt-x").returncode == 0


def test_an_agent_that_never_reported_is_not_said_to_report(world):
    plant(world, ACTIVE, ONLINE, "UPDATE agents SET last_heartbeat_at = registered_at WHERE id = 'agent-x'", VERSION, MAPPED.format(0), *OTHER,
          "UPDATE served_certificates SET is_other = false")
    code, state, *_, verdict = first(world, "target", "tgt-x")
    assert (code, state) == ("agent_unheard", "ready") and verdict == "target tgt-x is ready, but: agent agent-x on host x has not reported yet"
    assert "Start certctl-agent on its host." in world.cli("explain", "target", "tgt-x").stdout


def test_what_nothing_renews_has_no_time_of_its_renewal(world):
    """A disabled issuer or a policy by hand: also before the scan met it."""
    plant(world, ACTIVE, "UPDATE issuers SET enabled = false")
    told = explain(world)
    assert told["ready"] and told["code"] == "issuer_off" and "by_hand" in steps(told) and "renewal_later" not in steps(told)
    plant(world, "UPDATE issuers SET enabled = true", "UPDATE renewal_policies SET auto_renew = false")
    try:
        assert first(world)[:2] == ("by_hand", "ready")
    finally:
        plant(world, "UPDATE renewal_policies SET auto_renew = true")


def approve(fleet, job):
    """By somebody else than who asked."""
    fleet.plant("UPDATE issuance_approval_requests SET requested_by = 'other'; UPDATE jobs SET requested_by = 'other'; "
                "UPDATE managed_certificates SET ordered_by = 'other'")
    fleet.api.need("POST", f"/api/v1/jobs/{job}/approve")


def test_what_the_api_makes(world, new_agent, unique):
    """Approval, no target, CSR, issuer, deployment with the host's words, cancellation, revocation: by who makes them."""
    api, name, target = world.api, unique("mc"), unique("tgt")
    agent, key = new_agent()
    api.need("POST", "/api/v1/profiles", {"id": "prof-x", "name": "prof-x", "requires_approval": True})
    world.make_certificate(name, certificate_profile_id="prof-x", renewal_policy_id="rp-default")
    assert first(world, of=name)[0] == "never_issued"
    job = api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]
    code, state, *_ = first(world, of=name)
    assert (code, state) == ("approval_waiting", "stuck")
    assert re.search(r"certctl approvals approve \S+ \(or reject\)", explain(world, of=name)["advice"])
    approve(world, job)
    assert first(world, of=name)[0] == "target_needed"
    assert first(world, "job", job)[0] == "target_needed"
    world.make_target(target, agent, world.dir / target)
    api.need("PUT", f"/api/v1/certificates/{name}", {"target_ids": [target]})
    assert api.post(f"/api/v1/agents/{agent}/heartbeat", {}, key=key)[0] == 200
    # Who holds its key is another now: that is approved anew.
    assert first(world, of=name)[0] == "approval_waiting"
    approve(world, job)
    assert first(world, of=name)[0] == "csr"
    status, reply = api.call("POST", f"/api/v1/agents/{agent}/csr", {"certificate_id": name, "job_id": job, "csr_pem": make_csr(f"{name}.example.test")},
                             key=key)
    assert status == 202, reply
    api.need("PUT", "/api/v1/issuers/iss-local", {"enabled": False})
    assert first(world, of=name)[0] == "issuer_disabled"
    api.need("POST", f"/api/v1/jobs/{job}/cancel")
    assert first(world, "job", job)[0] == "job_cancelled"
    api.need("PUT", "/api/v1/issuers/iss-local", {"enabled": True})
    # A deployment that the host refuses, in its own words.
    plant(world, ACTIVE, VERSION, ONLINE, OTHER[0], MAPPED.format(0), JOB.format("Deployment", "Running", "now()", "agent-x"),
          "UPDATE jobs SET target_id = 'tgt-x', version_id = 'certver-x', dedupe_key = 'deploy:mc-x:tgt-x' WHERE id = 'job-x'")
    world.query("SELECT job_report('agent-x', 'job-x', 'Failed', 'nginx: no room on \"/etc\"', NULL, 'no CSR')")
    code, state, said, next_at, _ = first(world)
    assert (code, state, said) == ("deployment_failing", "stuck", 'nginx: no room on "/etc"') and next_at
    api.need("POST", "/api/v1/certificates/mc-x/revoke", {"reason": "superseded"})
    assert first(world)[0] == "revoked"
    api.need("DELETE", f"/api/v1/certificates/{name}")
    assert first(world, of=name)[0] == "archived"


def test_who_may_ask(world, new_agent):
    plant(world, ACTIVE)
    for kind, of in (("certificate", "mc-x"), ("job", "job-x"), ("target", "tgt-x")):
        path = f"/api/v1/explain/{kind}/{of}"
        assert world.api.get(path, key="")[0] == 401
        assert world.api.get(path, key=new_agent()[1])[0] == 403
        assert world.api.get(f"/api/v1/explain/{kind}/none-such")[0] == 404
    done = world.cli("explain", "none-such")
    assert done.returncode == 3 and "none-such" in done.stderr


def test_the_page_says_what_works(world):
    """Each command of docs/operator/explain.md, on what it names."""
    plant(world, *(text.replace("mc-x", "demo").replace("tgt-x", "tgt-web").replace("job-x", "job-0001") for text in (
        ACTIVE, ONLINE, OTHER[0], RENEWAL)))
    commands = re.findall(r"^certctl (explain .+)$", (ROOT / "docs/operator/explain.md").read_text(), re.M)
    assert len(commands) == 5
    for command in commands:
        done = world.cli(*command.split())
        assert done.returncode in (0, 1) and " ready" in done.stdout, command + done.stdout + done.stderr


def test_it_costs_the_same_with_many(world):
    """By indexes alone: also where the planner does not know yet how many there are."""
    plant(world, ACTIVE, "INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, "
          "valid_from, expires_at, renew_after) SELECT 'mc-' || g, 'mc-' || g, 'x.example.test', 'o-test', 't-test', 'iss-local', "
          "'rp-default', 'Active', now(), now() + interval '60 days', now() + interval '30 days' FROM generate_series(1, 20000) g",
          "INSERT INTO jobs (id, type, certificate_id, issuer_id, status, completed_at, dedupe_key) "
          "SELECT 'job-' || g, 'Renewal', 'mc-' || g, 'iss-local', 'Completed', now(), g FROM generate_series(1, 20000) g")
    text = (ROOT / "common/sql/explain.sql").read_text().split("-- name: explain_facts :many fresh\n")[1].rstrip().rstrip(";")
    for n, value in {1: "'certificate'::text", 2: "'mc-x'", 3: "'{}'", 4: "'{}'", 5: "'{}'"}.items():
        text = text.replace(f"${n}", value)
    plan = world.query("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + text.replace("%", "%%"))[0][0][0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 4000, json.dumps(plan)[:20000]
