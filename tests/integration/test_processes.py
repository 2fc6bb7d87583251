"""
Each process in turn is killed, stopped and asked to end: the control plane is
healthy again by itself and a renewal works.
"""
import re
import signal

import pytest

from fleet import Fleet, wait_for

SCHEDULERS = 2


@pytest.fixture(scope="module")
def plane(stack: Fleet):
    stack.start_scheduler(1, keep=True)
    stack.start_scheduler(2, keep=True)
    stack.start_worker(1, keep=True)
    stack.start_worker(2, keep=True)
    stack.make_basics()
    return stack


@pytest.fixture(scope="module")
def site(plane):
    site = plane.start_site("demo", keep=True)
    site.renew_and_wait()
    return site


def leader(plane):
    """(term, name of the process) while somebody leads, else None."""
    rows = plane.query("SELECT l.term, s.name FROM leadership l JOIN schedulers s ON s.incarnation = l.holder "
                       "WHERE l.expires_at > clock_timestamp()")
    return rows[0] if rows else None


def healthy_and_renewing(plane, site):
    """certctl status says so, and a renewal ends on the wire."""
    wait_for(lambda: plane.cli("status").returncode == 0, 20, "a healthy status", every=0.1)
    before = site.serial()
    done = plane.cli("certs", "renew", site.name, "--wait", "--timeout", "30")
    assert done.returncode == 0, done.stdout + done.stderr
    assert site.serial() not in (None, before)
    wait_for(lambda: plane.value("SELECT count(*) FROM jobs WHERE completed_at IS NULL") == 0, 20, "the reports")


@pytest.mark.parametrize("name", ["apiserver", "scheduler-1", "scheduler-2", "worker-1", "worker-2", "agent-1", "nginx-demo",
                                  "postgres"])
def test_killed_process_comes_back(plane, site, name):
    plane.processes[name].kill()
    if name == "postgres":
        wait_for(plane.database_is_up, 30, "PostgreSQL")
    if name == "nginx-demo":
        wait_for(site.serial, 10, "nginx")
    healthy_and_renewing(plane, site)
    # What it was before is not told of beside it, once it counts as gone.
    states = lambda: re.findall(r"^(?:apiserver|scheduler|worker) .* (alive|gone) ", plane.cli("status").stdout, re.M)  # noqa: E731
    wait_for(lambda: states() == ["alive"] * 5, 20, "five that live")


def test_everything_killed_at_once_comes_back(plane, site):
    starts = {n: p.starts for n, p in plane.processes.items()}
    for process in plane.processes.values():
        process.signal(signal.SIGKILL)
    wait_for(lambda: all(p.starts > starts[n] for n, p in plane.processes.items()), 10, "all to start again")
    wait_for(plane.database_is_up, 30, "PostgreSQL")
    wait_for(site.serial, 10, "nginx")
    healthy_and_renewing(plane, site)


def test_renewal_goes_on_while_postgres_restarts(plane, site):
    before = site.serial()
    job = site.renew()
    plane.processes["postgres"].kill()
    wait_for(plane.database_is_up, 30, "PostgreSQL")
    assert site.wait_served(job, 40) != before


def test_standby_takes_over_from_a_killed_leader(plane, site):
    term, name = wait_for(lambda: leader(plane), 10, "a leader")
    process = plane.processes[name]
    process.keep = False
    process.signal(signal.SIGKILL)
    new_term, new_name = wait_for(lambda: (lambda l: l and l[0] > term and l)(leader(plane)), 5, "the standby to lead")
    assert new_name != name and new_term == term + 1
    healthy_and_renewing(plane, site)
    process.keep = True
    process.start()


def test_standby_takes_over_at_once_from_one_that_leaves(plane, site):
    """A leader that is asked to stop gives its term up; nobody waits for its end."""
    term, name = wait_for(lambda: leader(plane), 10, "a leader")
    process = plane.processes[name]
    assert process.stop() == 0
    assert wait_for(lambda: (lambda l: l and l[0] > term and l)(leader(plane)), 5, "the standby to lead")[1] != name
    healthy_and_renewing(plane, site)
    process.keep = True
    process.start()


def test_leader_that_was_stopped_does_no_harm(plane, site):
    term, name = wait_for(lambda: leader(plane), 10, "a leader")
    process = plane.processes[name]
    process.signal(signal.SIGSTOP)
    try:
        new_term, new_name = wait_for(lambda: (lambda l: l and l[0] > term and l)(leader(plane)), 5, "the standby to lead")
        assert new_name != name
        healthy_and_renewing(plane, site)
    finally:
        process.signal(signal.SIGCONT)
    healthy_and_renewing(plane, site)
    # it woke up as a follower: the term stayed
    assert leader(plane) == (new_term, new_name)
    assert process.popen.poll() is None


def test_worker_that_was_stopped_does_no_harm(plane, site):
    process = plane.processes["worker-1"]
    process.signal(signal.SIGSTOP)
    try:
        for _ in range(3):
            healthy_renewal(plane, site)
    finally:
        process.signal(signal.SIGCONT)
    # it takes work again, under a lease that it holds anew
    wait_for(lambda: plane.value("SELECT count(*) FROM workers WHERE lease_until > clock_timestamp()") == 2, 10, "both workers")
    healthy_and_renewing(plane, site)


def healthy_renewal(plane, site):
    site.renew_and_wait()
    assert plane.value("SELECT count(*) FROM workers WHERE lease_until > clock_timestamp()") >= 1


def test_agent_that_was_stopped_goes_on(plane, site):
    process = plane.processes["agent-1"]
    process.signal(signal.SIGSTOP)
    try:
        job = site.renew()
    finally:
        process.signal(signal.SIGCONT)
    site.wait_served(job)


@pytest.mark.parametrize("name", ["apiserver", "scheduler-1", "scheduler-2", "worker-1", "worker-2", "agent-1"])
def test_asked_to_stop_it_ends_with_status_0(plane, site, name):
    process = plane.processes[name]
    assert process.stop(12) == 0
    process.keep = True
    process.start()
    if name == "apiserver":
        plane.wait_ready()
    if name.startswith("worker"):
        wait_for(lambda: plane.value("SELECT count(*) FROM workers WHERE lease_until > clock_timestamp()") == 2, 10, "both")
    healthy_and_renewing(plane, site)


def test_without_schedulers_the_api_takes_work(plane, site):
    """It is queued, and done as soon as one is back."""
    for i in (1, 2):
        plane.processes[f"scheduler-{i}"].stop()
    job = site.renew()
    assert plane.cli("status").returncode != 0
    assert plane.api.get("/health")[0] == 200
    for i in (1, 2):
        plane.processes[f"scheduler-{i}"].keep = True
        plane.processes[f"scheduler-{i}"].start()
    site.wait_served(job)


def test_without_the_database_the_api_says_so(plane, site):
    postgres = plane.processes["postgres"]
    postgres.keep = False
    postgres.signal(signal.SIGKILL)
    wait_for(lambda: not plane.database_is_up(), 10, "the end of PostgreSQL")
    try:
        assert plane.api.get("/health")[0] == 200
        wait_for(lambda: plane.api.get("/ready")[0] == 503, 10, "the API to say that it is not ready")
        status, reply = plane.api.get("/api/v1/certificates")
        assert status == 503 and reply["message"], reply
    finally:
        postgres.popen.wait(10)
        postgres.keep = True
        postgres.start()
    wait_for(plane.database_is_up, 30, "PostgreSQL")
    healthy_and_renewing(plane, site)
