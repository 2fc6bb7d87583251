"""
CAs outside of our process that are slow, broken or hostile, on real processes:
nobody else waits, nothing wrong is stored, nothing is ordered twice.
"""
import itertools
import os
import signal
import stat

import pytest

from fleet import wait_for
from scripted_issuer import install
from test_conditions import told

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def scripts(stack):
    directory = stack.dir / "scripts"
    directory.mkdir(mode=0o755)
    return directory


@pytest.fixture(scope="module")
def plane(stack, scripts):
    stack.start_scheduler(keep=True, CERTCTL_SCHEDULER_RENEWAL_CHECK_INTERVAL="1s")
    temporary(stack).mkdir(mode=0o700)
    stack.start_worker(1, keep=True, TMPDIR=str(temporary(stack)), CERTCTL_SCRIPT_ISSUER_DIR=str(scripts), CERTCTL_WORKER_SLOTS="1",
                       CERTCTL_FAULT_FILE=str(stack.dir / "fault"))
    stack.make_basics()
    stack.start_agent("agent-1", keep=True)
    return stack


@pytest.fixture
def second_worker(plane, scripts):
    yield lambda: plane.start_worker(2, CERTCTL_SCRIPT_ISSUER_DIR=str(scripts))
    worker = plane.processes.pop("worker-2", None)
    if worker:
        worker.stop()


@pytest.fixture
def make_issuer(plane, scripts):
    made = []

    def make(behaviour, **config):
        name = f"ca{next(numbers)}"
        issuer = install(scripts, name, plane.dir / name)
        issuer.id = f"iss-{name}"
        issuer.behave(behaviour)
        plane.api.need("POST", "/api/v1/issuers", {"id": issuer.id, "name": name, "type": "OpenSSL",
                                                   "config": issuer.config(**config)})
        made.append(issuer)
        return issuer
    yield make
    # Nothing of it may go on in the next test.
    for issuer in made:
        issuer.end()
        plane.query("UPDATE issuers SET enabled = false WHERE id = %s", issuer.id)
    wait_for(lambda: not plane.value("SELECT count(*) FROM jobs WHERE status = 'Running' AND issuer_id = ANY (%s)",
                                     [i.id for i in made]), 20, "its jobs to leave the worker")


@pytest.fixture
def order(plane):
    """A certificate of that issuer, and the job of its first issuance."""
    def place(issuer_id, **more):
        name = f"c{next(numbers)}"
        plane.make_target(f"tgt-{name}", plane.processes["agent-1"].agent_id, plane.dir / "sites" / name)
        plane.make_certificate(name, [f"tgt-{name}"], issuer_id=issuer_id, **more)
        return name, renew(plane, name)
    return place


def renew(plane, certificate):
    return plane.api.need("POST", f"/api/v1/certificates/{certificate}/renew")["job_id"]


def temporary(plane):
    """Where the worker keeps the files of its orders."""
    return plane.dir / "tmp"


def job_row(plane, job, columns="status, last_error"):
    return plane.query(f"SELECT {columns} FROM jobs WHERE id = %s", job)[0]


def wait_status(plane, job, *statuses, seconds=20):
    return wait_for(lambda: (row := job_row(plane, job))[0] in statuses and row, seconds, f"{job} to be {statuses}")


def wait_parked(plane, job, seconds=30):
    """The words of a job that waits for a person."""
    wait_for(lambda: job_row(plane, job, "status, run_after = 'infinity'") == ("Pending", True), seconds, f"{job} to be parked")
    return job_row(plane, job)[1]


def wait_call(issuer, n=1, kind="sign"):
    wait_for(lambda: len(issuer.calls(kind)) >= n, 20, f"{n} calls of {kind}")


def skip_the_wait(plane, job):
    """After its worker's death nobody takes the job for as long as its order may be under way; then, by hand, at once."""
    wait_for(lambda: job_row(plane, job)[0] == "Pending", 10, "the job to be free")
    assert job_row(plane, job, "run_after > started_at + interval '20 seconds', checkpoint ->> 'state'") == (True, "placing")
    plane.query("UPDATE jobs SET run_after = now() WHERE id = %s", job)


def versions(plane, certificate):
    return plane.query("SELECT v.serial_number, v.pem_chain || c.pem, v.not_after FROM certificate_versions v "
                       "JOIN certificate_chains c ON c.id = v.chain_id WHERE v.certificate_id = %s ORDER BY v.id", certificate)


def test_it_issues_and_the_agent_installs(plane, make_issuer, order):
    issuer = make_issuer("answer", timeout_seconds=20)
    name, job = order(issuer.id)
    assert wait_status(plane, job, "Completed", "Failed") == ("Completed", None)
    (serial, chain, not_after), = versions(plane, name)
    assert len(serial) == 40 and set(serial) <= set("0123456789abcdef")
    leaf, root = certificates(chain)
    assert (leaf.serial_number, leaf.not_valid_after.replace(tzinfo=not_after.tzinfo)) == (int(serial, 16), not_after)
    assert leaf.issuer == root.subject
    assert plane.query("SELECT status, expires_at, renew_after < expires_at FROM managed_certificates WHERE id = %s", name) == [
        ("Active", not_after, True)]
    assert issuer.orders() == {job: 1}
    env = dict(line.split("=", 1) for line in (issuer.state / "environment").read_text().splitlines())
    assert {k: v for k, v in env.items() if k.startswith("CERTCTL_")} == {
        "CERTCTL_COMMON_NAME": f"{name}.example.test", "CERTCTL_SANS": f"{name}.example.test",
        "CERTCTL_MAX_TTL_SECONDS": "0", "CERTCTL_ORDER_REFERENCE": job}
    wait_for(lambda: plane.value("SELECT status FROM jobs WHERE type = 'Deployment' AND certificate_id = %s", name) == "Completed",
             20, "the deployment")
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{issuer.id}")[1]["test_status"] == "success", 10, "the issuer's test")
    assert not list(temporary(plane).iterdir())


def test_nine_answer_while_one_never_does(plane, make_issuer, order):
    hung = make_issuer("never", timeout_seconds=600)
    # As many as the lane lets run at once, and more.
    stuck = [order(hung.id)[1] for _ in range(10)]
    wait_call(hung, 8)
    others = [make_issuer("answer").id for _ in range(8)] + ["iss-local"]
    for job in [order(issuer)[1] for issuer in others]:
        assert wait_status(plane, job, "Completed", "Failed", seconds=25) == ("Completed", None)
    # On a busy machine a worker may lose its lease: what it had is called for no second time, but makes room for the others.
    called = len(hung.calls())
    statuses, handed_out = plane.query("SELECT array_agg(status ORDER BY status), sum(deliveries) FROM jobs WHERE id = ANY (%s)", stuck)[0]
    assert 8 <= called <= handed_out and statuses.count("Running") <= 8
    assert handed_out > 8 or statuses == ["Pending"] * 2 + ["Running"] * 8


def test_one_that_refuses_everything_is_left_alone(plane, make_issuer, order):
    issuer = make_issuer("refuse")
    jobs = [order(issuer.id)[1] for _ in range(20)]
    wait_for(lambda: plane.value("SELECT breaker_state FROM lanes WHERE issuer_id = %s", issuer.id) == "open", 20, "the breaker")
    wait_for(lambda: not plane.value("SELECT count(*) FROM jobs WHERE issuer_id = %s AND status = 'Running'", issuer.id), 20,
             "what was under way")
    called = [reference for _, reference in issuer.calls()]
    # Five in a row open it, and eight may have been on their way by then.
    assert 5 <= len(called) <= 13 and len(set(called)) == len(called)
    errors = dict(plane.query("SELECT id, last_error FROM jobs WHERE id = ANY (%s)", jobs))
    assert {errors[job] for job in called} == {
        "the CA refused: sign_script ended with status 1: \"policy 'strict' says no\""}
    assert {errors[job] for job in jobs if job not in called} == {None}
    assert plane.query("SELECT DISTINCT attempts, status, checkpoint FROM jobs WHERE id = ANY (%s)", called) == [(1, "Pending", None)]
    assert plane.value("SELECT min(run_after - started_at) > interval '40 seconds' FROM jobs WHERE id = ANY (%s)", called)


@pytest.mark.parametrize("behaviour, words", [
    ("expired", "it expired at 20"), ("soon", "it ends within a minute"), ("names", "it names somebody.else.example"),
    ("key", "it is for another key"), ("ca", "it is a CA's certificate"), ("huge", "it is longer than 128 KiB")])
def test_a_wrong_certificate_is_not_stored(plane, make_issuer, order, behaviour, words):
    issuer = make_issuer("answer")
    name, job = order(issuer.id)
    assert wait_status(plane, job, "Completed", "Failed")[0] == "Completed"
    good = versions(plane, name)
    issuer.behave(behaviour)
    plane.query("UPDATE managed_certificates SET renew_after = now() WHERE id = %s", name)
    job = wait_for(lambda: plane.value("SELECT id FROM jobs WHERE certificate_id = %s AND type = 'Renewal'", name), 20, "the scan")
    status, error = wait_status(plane, job, "Completed", "Failed")
    assert (status, words in error) == ("Failed", True), error
    assert behaviour == "huge" or f"its serial number is {serial_of(issuer, job)}, revoke it" in error
    assert versions(plane, name) == good
    # The old one serves on, and is renewed again later, not at once.
    assert plane.query("SELECT c.status, c.renew_after > j.completed_at + interval '50 seconds' FROM managed_certificates c "
                       "JOIN jobs j ON j.certificate_id = c.id WHERE j.id = %s", job) == [("Active", True)]
    assert plane.value("SELECT count(*) FROM jobs WHERE certificate_id = %s AND type = 'Renewal'", name) == 1
    assert len(issuer.calls()) == 2


def certificates(pem):
    from cryptography import x509
    end = "-----END CERTIFICATE-----\n"
    return [x509.load_pem_x509_certificate((text + end).encode()) for text in pem.split(end)[:-1]]


def serial_of(issuer, job):
    return f"{certificates((issuer.state / 'orders' / f'{job}.pem').read_text())[0].serial_number:040x}"


def test_killed_while_the_ca_works_the_order_is_adopted(plane, make_issuer, order):
    issuer = make_issuer("late", with_look_up=True)
    name, job = order(issuer.id)
    wait_call(issuer)
    wait_for(lambda: issuer.orders() == {job: 1}, 10, "the order")
    plane.processes["worker-1"].kill()
    skip_the_wait(plane, job)
    assert wait_status(plane, job, "Completed", "Failed", seconds=30) == ("Completed", None)
    assert issuer.orders() == {job: 1}
    assert issuer.calls() == [("sign", job), ("lookup", job)]
    assert [v[0] for v in versions(plane, name)] == [serial_of(issuer, job)]


@pytest.fixture
def die_at(plane):
    """die_at(point): arms the death; what it returns waits for it."""
    fault = plane.dir / "fault"

    def arm(point):
        (plane.dir / "fault.new").write_text(point + "\n")
        os.rename(plane.dir / "fault.new", fault)
        return lambda: wait_for(lambda: not fault.exists(), 20, f"a worker to die at {point}")
    yield arm
    fault.unlink(missing_ok=True)


def test_killed_with_the_answer_in_hand_the_order_is_adopted(plane, make_issuer, order, die_at):
    issuer = make_issuer("answer", with_look_up=True)
    died = die_at("worker.outside.answered")
    name, job = order(issuer.id)
    died()
    skip_the_wait(plane, job)
    assert wait_status(plane, job, "Completed", "Failed", seconds=30) == ("Completed", None)
    assert issuer.calls() == [("sign", job), ("lookup", job)] and issuer.orders() == {job: 1}
    assert len(versions(plane, name)) == 1


@pytest.mark.parametrize("point, sends", [("worker.outside.placing", 0), ("worker.outside.sent", 1)])
def test_killed_before_the_ca_has_it_the_order_is_placed_once(plane, make_issuer, order, die_at, point, sends):
    issuer = make_issuer("slow", with_look_up=True, timeout_seconds=4)
    died = die_at(point)
    name, job = order(issuer.id)
    died()
    # Nobody touches it while the order might still be under way.
    wait_for(lambda: job_row(plane, job)[0] == "Pending", 10, "the job to be free")
    until = plane.value("SELECT run_after FROM jobs WHERE id = %s AND run_after > started_at + interval '4 seconds'", job)
    wait_call(issuer, 1, "lookup")
    assert plane.value("SELECT clock_timestamp() > %s", until)
    issuer.go()
    assert wait_status(plane, job, "Completed", "Failed", seconds=30) == ("Completed", None)
    assert issuer.orders() == {job: 1} and len(versions(plane, name)) == 1
    assert issuer.calls("lookup") == [("lookup", job)]
    # One that was killed right after the start may not have come to say so.
    assert 1 <= len(issuer.calls("sign")) <= sends + 1


def test_killed_and_no_look_up_waits_for_a_person(plane, make_issuer, order):
    issuer = make_issuer("late")
    name, job = order(issuer.id)
    wait_for(lambda: issuer.orders() == {job: 1}, 20, "the order")
    plane.processes["worker-1"].kill()
    skip_the_wait(plane, job)
    words = wait_parked(plane, job)
    assert words.startswith("order uncertain: ") and f"reference {job}" in words and f"certctl jobs cancel {job}" in words
    assert issuer.calls() == [("sign", job)] and not versions(plane, name)
    sample = f'certctl_lane_uncertain_jobs{{issuer="{issuer.id}"}}'
    assert f"{sample} 1\n" in plane.api.get("/api/v1/metrics/prometheus")[1]
    # What the message says is what helps.
    assert plane.api.post(f"/api/v1/jobs/{job}/cancel")[0] == 200
    assert job_row(plane, job)[0] == "Cancelled"
    assert f"{sample} 0\n" in plane.api.get("/api/v1/metrics/prometheus")[1]
    issuer.behave("answer")
    again = renew(plane, name)
    assert wait_status(plane, again, "Completed", "Failed") == ("Completed", None)
    assert issuer.orders() == {job: 1, again: 1}


@pytest.mark.parametrize("behaviour, words", [("never", "sign_script did not end in time"),
                                              ("silent", "status 0, and wrote no certificate"),
                                              ("half", "sign_script was ended by signal 9")])
def test_an_unclear_end_without_look_up_waits_for_a_person(plane, make_issuer, order, behaviour, words):
    issuer = make_issuer(behaviour, timeout_seconds=4)
    name, job = order(issuer.id)
    assert words in wait_parked(plane, job)
    assert len(issuer.calls()) == 1 and not versions(plane, name)
    condition = told(plane)[0]["order_uncertain"]
    assert condition["subject"] == job and words in condition["detail"]
    plane.api.need("POST", f"/api/v1/jobs/{job}/cancel")
    assert "order_uncertain" not in told(plane)[0]


def test_an_unclear_end_is_looked_up(plane, make_issuer, order):
    issuer = make_issuer("half", with_look_up=True)
    name, job = order(issuer.id)
    assert wait_status(plane, job, "Completed", "Failed") == ("Completed", None)
    assert issuer.calls() == [("sign", job), ("lookup", job)] and issuer.orders() == {job: 1}
    # A look-up that fails says nothing: it is asked again later.
    (issuer.state / "look_up_fails").touch()
    job = renew(plane, name)
    error = wait_for(lambda: job_row(plane, job)[1], 20, "the failure")
    assert error == 'the order could not be looked up: lookup_script ended with status 1: "the CA is down for maintenance"'
    assert job_row(plane, job, "status, attempts, checkpoint ->> 'state'") == ("Pending", 1, "placing")
    (issuer.state / "look_up_fails").unlink()
    plane.query("UPDATE jobs SET run_after = now() WHERE id = %s", job)
    assert wait_status(plane, job, "Completed", "Failed") == ("Completed", None)
    assert issuer.orders()[job] == 1


def test_no_order_at_the_ca_is_tried_again(plane, make_issuer, order):
    issuer = make_issuer("never", with_look_up=True, timeout_seconds=4)
    _, job = order(issuer.id)
    error = wait_for(lambda: job_row(plane, job)[1], 20, "the failure")
    assert error == "the order was not answered (sign_script did not end in time), and the CA has no such order"
    issuer.behave("answer")
    plane.query("UPDATE jobs SET run_after = now() WHERE id = %s", job)
    assert wait_status(plane, job, "Completed", "Failed") == ("Completed", None)
    assert [kind for kind, _ in issuer.calls()] == ["sign", "lookup", "lookup", "sign"]


def test_a_worker_that_hangs_loses_its_job(plane, make_issuer, order, second_worker):
    issuer = make_issuer("late", with_look_up=True)
    name, job = order(issuer.id)
    wait_for(lambda: issuer.orders() == {job: 1}, 20, "the order")
    hung = plane.processes["worker-1"]
    hung.signal(signal.SIGSTOP)
    try:
        second_worker()
        skip_the_wait(plane, job)
        assert wait_status(plane, job, "Completed", "Failed", seconds=30) == ("Completed", None)
        holder = job_row(plane, job, "leased_by")
        issuer.go()
    finally:
        hung.signal(signal.SIGCONT)
    wait_for(lambda: hung.log().count("LEASE-LOST") and hung.log().rstrip().rfind("LEASE-HELD") >
             hung.log().rfind("LEASE-LOST"), 10, "the worker to come back")
    assert job_row(plane, job, "leased_by") == holder
    assert len(versions(plane, name)) == 1 and issuer.orders() == {job: 1}
    assert issuer.calls("sign") == [("sign", job)]


def test_cancelled_while_the_ca_works_it_goes_on(plane, make_issuer, order):
    issuer = make_issuer("slow", timeout_seconds=30)
    _, job = order(issuer.id)
    wait_call(issuer)
    assert plane.api.post(f"/api/v1/jobs/{job}/cancel")[0] in (200, 202)
    assert job_row(plane, job, "cancel_requested_at IS NOT NULL, status") == (True, "Running")
    issuer.go()
    assert wait_status(plane, job, "Completed", "Cancelled", "Failed") == ("Completed", None)


def wait_ordered(plane, job, polls):
    """It is parked, and was asked for so often."""
    columns = "status, checkpoint ->> 'state', checkpoint ->> 'polls', leased_by, lease_id"
    wait_for(lambda: job_row(plane, job, columns) == ("Pending", "ordered", str(polls), None, None), 20, f"{job} to be parked")


def poll_now(plane, job):
    plane.query("UPDATE jobs SET run_after = now() WHERE id = %s", job)


def test_an_order_that_takes_its_time_is_parked_and_polled(plane, make_issuer, order):
    issuer = make_issuer("pending", with_look_up=True)
    name, job = order(issuer.id)
    wait_ordered(plane, job, 0)
    assert job_row(plane, job, "last_error, attempts, checkpoint ->> 'order_id'") == (
        f'pending: the CA has order {job}, and works on it: sign_script ended with status 10: "it is being looked at"; it is asked again',
        0, job)
    assert plane.api.get(f"/api/v1/certificates/{name}")[1]["status"] == "RenewalInProgress"
    poll_now(plane, job)
    wait_ordered(plane, job, 1)
    assert job_row(plane, job, "run_after BETWEEN now() + interval '8 seconds' AND now() + interval '18 seconds'") == (True,)
    # Whoever polls is not who placed it, and does not know more than the row says.
    plane.processes["worker-1"].kill()
    poll_now(plane, job)
    wait_ordered(plane, job, 2)
    issuer.go()
    poll_now(plane, job)
    assert wait_status(plane, job, "Completed", "Failed") == ("Completed", None)
    assert issuer.orders() == {job: 1} and [v[0] for v in versions(plane, name)] == [serial_of(issuer, job)]
    assert [kind for kind, _ in issuer.calls()] == ["sign", "lookup", "lookup", "lookup"]


def test_killed_with_a_pending_answer_the_order_is_adopted(plane, make_issuer, order, die_at):
    issuer = make_issuer("pending", with_look_up=True)
    died = die_at("worker.outside.pending")
    _, job = order(issuer.id)
    died()
    skip_the_wait(plane, job)
    wait_ordered(plane, job, 0)
    issuer.go()
    poll_now(plane, job)
    assert wait_status(plane, job, "Completed", "Failed") == ("Completed", None)
    assert issuer.orders() == {job: 1}
    assert [kind for kind, _ in issuer.calls()] == ["sign", "lookup", "lookup"]


def test_past_its_limit_an_order_is_kept(plane, make_issuer, order):
    issuer = make_issuer("pending", with_look_up=True, poll_max_wait_seconds=1)
    _, job = order(issuer.id)
    wait_ordered(plane, job, 1)
    assert job_row(plane, job)[1].startswith(f"StillPending: the CA has order {job}, ")
    assert job_row(plane, job, "run_after BETWEEN now() + interval '47 minutes' AND now() + interval '73 minutes'") == (True,)
    issuer.go()
    poll_now(plane, job)
    assert wait_status(plane, job, "Completed", "Failed") == ("Completed", None)
    assert issuer.orders() == {job: 1}


def test_a_poll_without_an_answer_is_a_failure_of_the_lane_alone(plane, make_issuer, order):
    issuer = make_issuer("pending", with_look_up=True)
    _, job = order(issuer.id)
    wait_ordered(plane, job, 0)
    (issuer.state / "look_up_fails").touch()
    poll_now(plane, job)
    wait_ordered(plane, job, 1)
    assert "did not say what became of it" in job_row(plane, job)[1]
    failures = "SELECT failures FROM lanes WHERE issuer_id = %s"
    assert (job_row(plane, job, "attempts"), plane.value(failures, issuer.id)) == ((0,), 1)
    (issuer.state / "look_up_fails").unlink()
    poll_now(plane, job)
    wait_ordered(plane, job, 2)
    assert plane.value(failures, issuer.id) == 0


@pytest.mark.parametrize("how", ["cancel", "revoke", "archive"])
def test_nobody_wants_a_pending_order_any_more(plane, make_issuer, order, how):
    issuer = make_issuer("pending", with_look_up=True)
    name, job = order(issuer.id)
    wait_ordered(plane, job, 0)
    if how == "cancel":
        assert plane.api.post(f"/api/v1/jobs/{job}/cancel") == (200, {"status": "job_cancel_requested"})
    elif how == "revoke":
        plane.api.need("POST", f"/api/v1/certificates/{name}/revoke", {"reason": "superseded"})
    else:
        assert plane.api.call("DELETE", f"/api/v1/certificates/{name}")[0] in (200, 204)
    status, error = wait_status(plane, job, "Cancelled", "Completed", "Failed")
    assert (status, f"the CA has order {job} still" in error) == ("Cancelled", True)
    assert issuer.calls() == [("sign", job), ("lookup", job)]  # nothing cancels it: it is asked for once more


def test_only_scripts_of_the_administrator_run(plane, make_issuer, order, scripts):
    issuer = make_issuer("answer")

    def refused(words, **config):
        plane.api.need("PUT", f"/api/v1/issuers/{issuer.id}", {"config": issuer.config() | config})
        _, job = order(issuer.id)
        error = wait_for(lambda: job_row(plane, job)[1], 20, "the refusal")
        assert words in error, error
        wait_for(lambda: plane.api.get(f"/api/v1/issuers/{issuer.id}")[1]["test_status"] == "failed", 10, "its test")
    elsewhere = plane.dir / "elsewhere"
    elsewhere.write_text(issuer.sign.read_text())
    elsewhere.chmod(0o755)
    refused("does not lie directly in CERTCTL_SCRIPT_ISSUER_DIR", sign_script=str(elsewhere))
    link = scripts / f"link-{issuer.id}"
    link.symlink_to(elsewhere)
    refused("is not a regular file", sign_script=str(link))
    loose = scripts / f"loose-{issuer.id}"
    loose.write_text(issuer.sign.read_text())
    loose.chmod(0o777)
    assert loose.stat().st_mode & stat.S_IWOTH
    refused("nobody else may write to it", sign_script=str(loose))
    assert not issuer.calls()
