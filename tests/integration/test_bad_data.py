"""
What is stored of one issuer can't be used: its lane says why and rests, and all the
others go on.
"""
import json

from fleet import wait_for

BAD = {"validity_days": "90d"}
STALLED_S = 40  # generous: what is to be seen takes a second or two


def test_a_bad_lane_stops_nobody_else(plane):
    """With the programs: its jobs say why, the condition tells of it, and a good configuration brings them on."""
    plane.start_agent("agent-1", keep=True)
    plane.api.need("POST", "/api/v1/issuers", {"id": "iss-bad", "name": "iss-bad", "type": "GenericCA", "config": {"validity_days": 30}})
    agent = plane.processes["agent-1"].agent_id
    for name, issuer in [("good", "iss-local"), *((f"bad-{n}", "iss-bad") for n in range(6))]:
        plane.make_target(f"tgt-{name}", agent, plane.dir / "sites" / name)
        plane.make_certificate(name, [f"tgt-{name}"], issuer_id=issuer)
    wait_for(lambda: plane.value("SELECT test_status FROM issuers WHERE id = 'iss-bad'") == "success", STALLED_S, "the CA")
    plane.query("UPDATE issuers SET config = %s WHERE id = 'iss-bad'", json.dumps(BAD))
    jobs = [plane.api.need("POST", f"/api/v1/certificates/bad-{n}/renew")["job_id"] for n in range(6)]
    wait_for(lambda: plane.value("SELECT breaker_state FROM lanes WHERE issuer_id = 'iss-bad'") == "open", STALLED_S, "the breaker")
    for job in jobs:
        shown = plane.api.get(f"/api/v1/jobs/{job}")[1]
        assert shown["status"] == "Pending" and '"90d"' in shown["last_error"], shown
    found = {(c["name"], c["subject"]): c for c in plane.api.get("/api/v1/admin/conditions")[1]["data"]}
    assert '"90d"' in found["lane_stopped", "iss-bad"]["detail"], found
    for _ in range(5):
        plane.wait_job(plane.api.need("POST", "/api/v1/certificates/good/renew")["job_id"], STALLED_S)
    assert plane.value("SELECT count(*) FROM jobs WHERE issuer_id = 'iss-local' AND status <> 'Completed'") == 0
    # The change closes the breaker: nobody waits for the next try.
    plane.query("UPDATE jobs SET run_after = now() WHERE issuer_id = 'iss-bad'")
    plane.api.need("PUT", "/api/v1/issuers/iss-bad", {"config": {"validity_days": 30}})
    for job in jobs:
        assert plane.wait_job(job, STALLED_S)[0] == "Completed"
