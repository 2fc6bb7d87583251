"""
Conditions that come about and go by what people, hosts, agents and time do, with all
processes running; test_conditions.py says what each is told with.  What takes hours
or days is told to one who asks that much later: the rows stay as the processes made
them, and only the clock by which the API's statements reckon is ahead.
"""
import contextlib
import datetime

import pytest
from cryptography.hazmat.primitives import serialization

import audit
from fleet import PATIENCE, wait_for
from test_agent_bad import make_csr
from test_conditions import PATH, told
from test_lint_certificates import KEYS, sign_ca

CERTS = "/api/v1/certificates"
ENDS_IN_S = 12 * PATIENCE


@pytest.fixture(scope="module")
def world(stack):
    """A plane whose agent is this test."""
    stack.start_scheduler(CERTCTL_SCHEDULER_AGENT_HEALTH_CHECK_INTERVAL="1s", CERTCTL_AGENT_OFFLINE_AFTER="2s",
                          CERTCTL_AUDIT_CHAIN_VERIFY_INTERVAL="1s", CERTCTL_SCHEDULER_CRL_BEHIND_INTERVAL="1s",
                          CERTCTL_SCHEDULER_RENEWAL_CHECK_INTERVAL="1s")
    stack.start_worker()
    stack.make_basics()
    made = stack.api.need("POST", "/api/v1/agents", {"name": "hand", "hostname": "h.example.test"})
    stack.agent, stack.key = made["id"], made["api_key"]
    return stack


def as_agent(world, method, path, body=None):
    status, reply = world.api.call(method, f"/api/v1/agents/{world.agent}/{path}", body, key=world.key)
    assert 200 <= status < 300, reply
    return reply


def beat(world):
    as_agent(world, "POST", "heartbeat", {})


def wait_told(world, name, subject):
    def look():
        condition = told(world)[0].get(name)
        return condition if condition and condition["subject"] == subject else None
    return wait_for(look, 40, f"{name} of {subject}")


def wait_over(world, name):
    wait_for(lambda: name not in told(world)[0], 40, f"{name} to be over")


def end_sessions(world, role, but=""):
    """Those whose last statement holds no such word; more are made at once."""
    world.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND (%s = '' OR strpos(query, %s) = 0)", role, but, but)


@contextlib.contextmanager
def later(world, **by):
    """So much later, for who asks the API; nothing is done meanwhile."""
    def move(sql):
        with world.admin() as c:
            c.execute(sql)
        end_sessions(world, "certctl_apiserver")
        wait_for(lambda: world.api.get("/ready")[0] == world.api.get(PATH)[0] == 200, 20, "new sessions")
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**by)
    try:
        move(f"ALTER ROLE certctl_apiserver SET certctl.now = '{now.isoformat()}'")
        yield
    finally:
        move("ALTER ROLE certctl_apiserver RESET certctl.now")


def told_later(world, name, subject, **by):
    assert name not in told(world)[0]
    with later(world, **by):
        wait_told(world, name, subject)


def over_later(world, *names, **by):
    with later(world, **by):
        for name in names:
            wait_over(world, name)


def make(world, name, **more):
    world.make_target(f"tgt-{name}", world.agent, world.dir / name)
    world.make_certificate(name, [f"tgt-{name}"], **more)


def ask(world, name):
    return world.api.need("POST", f"{CERTS}/{name}/renew")["job_id"]


def answer(world, name, job):
    names = [f"{name}.example.test"]
    as_agent(world, "POST", "csr", {"csr_pem": make_csr(cn=names[0], sans=names), "certificate_id": name, "job_id": job})
    assert world.wait_job(job) == ("Completed", None)


def deployment(world, name):
    """The id of that in hand."""
    return wait_for(lambda: next((j["id"] for j in as_agent(world, "GET", "work")["jobs"]
                                  if j["type"] == "Deployment" and j["certificate_id"] == name), None), 20, "a deployment")


def report(world, job, status, **more):
    as_agent(world, "POST", f"jobs/{job}/status", {"status": status} | more)


def issue(world, name, **more):
    make(world, name, **more)
    answer(world, name, ask(world, name))


def test_a_certificate_that_nobody_renews(world):
    issue(world, "old")
    report(world, deployment(world, "old"), "Completed")
    told_later(world, "renewal_overdue", "old", days=64)
    told_later(world, "certificate_expired", "old", days=91)
    world.api.need("DELETE", f"{CERTS}/old")
    over_later(world, "renewal_overdue", "certificate_expired", days=91)


def test_a_certificate_that_nothing_renews(world):
    """Of ten minutes, the first of which was before it was signed; due after twelve seconds, as by its id it is not spread."""
    policy = world.api.need("POST", "/api/v1/renewal-policies", {"name": "never", "auto_renew": False, "renewal_percent": 12})
    profile = world.api.need("POST", "/api/v1/profiles", {"name": "short", "max_ttl_seconds": 600, "allow_short_lived": True})["id"]
    name = world.value("SELECT 'aside-' || g FROM generate_series(1, 1000) g ORDER BY hashtext('aside-' || g) & 65535 LIMIT 1")
    issue(world, name, renewal_policy_id=policy["id"], certificate_profile_id=profile)
    wait_told(world, "never_renewed", name)
    world.api.need("PUT", f"/api/v1/renewal-policies/{policy['id']}", policy | {"auto_renew": True})
    wait_over(world, "never_renewed")
    world.api.need("DELETE", f"{CERTS}/{name}")


def test_a_list_that_nobody_makes(world):
    wait_for(lambda: world.value("SELECT count(*) FROM crl_cache WHERE list = 'iss-local'"), 40, "the list")
    told_later(world, "crl_ended", "iss-local", days=2)


def test_a_job_that_nobody_goes_on_with(world):
    """Its agent, the workers, the agent again."""
    make(world, "slow")
    job = ask(world, "slow")
    told_later(world, "csr_missing", job, minutes=16)
    worker = world.processes["worker-1"]
    worker.stop()
    as_agent(world, "POST", "csr", {"csr_pem": make_csr(cn="slow.example.test", sans=["slow.example.test"]), "certificate_id": "slow", "job_id": job})
    told_later(world, "job_not_taken", "iss-local", minutes=16)
    worker.start()
    assert world.wait_job(job) == ("Completed", None)
    told_later(world, "deployment_late", "slow", minutes=16)
    report(world, deployment(world, "slow"), "Completed")
    over_later(world, "csr_missing", "job_not_taken", "deployment_late", minutes=16)


def test_a_request_that_nobody_decides(world):
    profile = world.api.need("POST", "/api/v1/profiles", {"name": "gated", "requires_approval": True})["id"]
    make(world, "gated", certificate_profile_id=profile)
    job = ask(world, "gated")
    told_later(world, "approval_waiting", job, hours=25)
    world.api.need("POST", f"/api/v1/jobs/{job}/cancel")
    over_later(world, "approval_waiting", hours=25)


def test_a_leader_that_gets_no_session_for_its_duties(world):
    """It leads on: the session of the leadership is one of its own."""
    with world.admin() as c:
        c.execute("ALTER ROLE certctl_scheduler CONNECTION LIMIT 1")
        try:
            end_sessions(world, "certctl_scheduler", but="leadership_hold")
            found = wait_for(lambda: (f := told(world)[0]) and "duty_late" in f and f, 40, "duty_late")
            assert "no_leader" not in found
        finally:
            c.execute("ALTER ROLE certctl_scheduler CONNECTION LIMIT -1")
    wait_over(world, "duty_late")


def dies_at_the_list(world):
    """The worker, when it has the task of a list in hand; its supervisor starts it again."""
    worker = world.processes["worker-1"]
    wait_for(lambda: world.value("SELECT count(*) FROM tasks t JOIN workers w ON w.incarnation = t.leased_by "
                                 "WHERE t.kind = 'crl_build' AND t.status = 'Running' AND w.pid = %s", worker.pid), 40, "the task")
    worker.kill()
    end_sessions(world, "certctl_worker")
    worker.start()


def test_a_list_that_its_workers_die_with(world):
    issue(world, "gone")
    with contextlib.closing(world.connect()) as open_one, open_one.cursor() as c:
        c.execute("LOCK TABLE crl_generation_events IN EXCLUSIVE MODE")  # what a list's end is noted in
        world.api.need("POST", f"{CERTS}/gone/revoke", {"reason": "superseded"})
        for _ in range(4):
            dies_at_the_list(world)
        wait_for(lambda: world.value("SELECT count(*) FROM tasks WHERE kind = 'crl_build' AND status = 'Failed'"), 40, "the task to be given up")
    assert "died" in wait_told(world, "task_failed", "iss-local")["detail"]
    world.query("UPDATE tasks SET run_after = now() WHERE status = 'Failed'")  # its rest, of ten minutes
    wait_over(world, "task_failed")


@pytest.mark.parametrize("process, name", [("scheduler-1", "no_leader"), ("worker-1", "no_worker")])
def test_a_process_that_is_away(world, process, name):
    gone = world.processes[process]
    gone.stop()
    wait_told(world, name, "")
    gone.start()
    wait_over(world, name)


def test_a_target_that_refuses(world):
    issue(world, "refused")
    report(world, deployment(world, "refused"), "Failed", error="nginx: no such directive")
    assert wait_told(world, "deployment_failing", "refused")["severity"] == "critical"
    world.api.need("POST", f"{CERTS}/refused/deploy")
    report(world, deployment(world, "refused"), "Completed")
    wait_over(world, "deployment_failing")


def test_an_agent_that_can_make_no_key(world):
    make(world, "keyless")
    report(world, ask(world, "keyless"), "Failed", error="no such directory")
    wait_told(world, "certificate_failed", "keyless")
    answer(world, "keyless", ask(world, "keyless"))
    wait_over(world, "certificate_failed")


def test_an_agent_that_is_silent_and_work_for_it(world):
    make(world, "waits")
    wait_told(world, "agent_silent", world.agent)
    job = ask(world, "waits")
    wait_told(world, "agent_needed", world.agent)
    beat(world)
    for name in ("agent_needed", "agent_silent"):
        wait_for(lambda condition=name: beat(world) or condition not in told(world)[0], 20, f"{name} to be over")
    answer(world, "waits", job)


def test_a_certificate_without_a_target(world):
    world.make_certificate("homeless")
    job = ask(world, "homeless")
    wait_told(world, "target_needed", job)
    world.api.need("POST", f"/api/v1/jobs/{job}/cancel")
    wait_over(world, "target_needed")


def sub_ca(world, name, **life):
    """The files of one below a root of an operator's, with a byte-order mark in front of its certificate; its configuration."""
    key, root_key = KEYS["ec256"](), KEYS["ec256"]()
    cert = sign_ca(name, key, sign_ca("Outer", root_key), root_key, **life)
    files = {"ca_cert_path": b"\xef\xbb\xbf" + cert.public_bytes(serialization.Encoding.PEM), "ca_key_path": key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())}
    for what, content in files.items():
        path = world.dir / f"{name}.{what}"
        path.touch(0o600)
        path.write_bytes(content)
    return {what: str(world.dir / f"{name}.{what}") for what in files}


def test_a_ca_whose_key_is_anothers(world):
    config = sub_ca(world, "iss-odd")
    other = sub_ca(world, "iss-else")
    world.api.need("POST", "/api/v1/issuers", {"id": "iss-odd", "name": "odd", "type": "GenericCA",
                                              "config": config | {"ca_key_path": other["ca_key_path"]}})
    wait_told(world, "issuer_failing", "iss-odd")
    world.api.need("PUT", "/api/v1/issuers/iss-odd", {"config": config})
    wait_over(world, "issuer_failing")


def test_a_ca_that_ends(world):
    config = sub_ca(world, "iss-end", lasts=datetime.timedelta(seconds=ENDS_IN_S))
    world.api.need("POST", "/api/v1/issuers", {"id": "iss-end", "name": "end", "type": "GenericCA", "config": config})
    wait_told(world, "ca_ending", "iss-end")
    wait_told(world, "ca_ended", "iss-end")
    sub_ca(world, "iss-end")
    world.api.need("PUT", "/api/v1/issuers/iss-end", {"config": config})
    wait_over(world, "ca_ended")


def test_a_lane_that_an_operator_closed(world):
    world.query("UPDATE lanes SET cap = 0 WHERE issuer_id = 'iss-local'")  # as docs/operator/lanes.md says
    wait_told(world, "lane_closed", "iss-local")
    world.query("UPDATE lanes SET cap = 8 WHERE issuer_id = 'iss-local'")
    wait_over(world, "lane_closed")


def test_a_trail_that_somebody_changed(world):
    """The last: it is told of for ever."""
    world.api.need("PUT", "/api/v1/teams/t-test", {"name": "Seen"})
    wait_for(lambda: world.value("SELECT count(*) FROM audit_blocks"), 30, "a block")
    audit.tamper(world, "UPDATE audit_events SET actor = 'nobody' WHERE seq = (SELECT min(seq) FROM audit_events)")
    condition = wait_for(lambda: told(world)[0].get("audit_broken"), 60, "audit_broken")
    assert "was changed" in condition["detail"]


def test_an_open_transaction_is_told_of_and_is_over(world):
    """Noted by the scheduler's duty; an older one, which holds nothing, makes no difference."""
    with world.connect() as older, older.cursor() as o, world.connect() as other, other.cursor() as c:
        o.execute("CREATE TEMP TABLE older ()")
        c.execute("SELECT 1 FROM issuers WHERE id = 'iss-local' FOR UPDATE")
        condition = wait_told(world, "transaction_open", str(other.info.backend_pid))
        assert condition["detail"].endswith(": issuers") and condition["count"] == 1
        other.rollback()
        wait_over(world, "transaction_open")
        older.rollback()
