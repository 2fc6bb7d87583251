"""
What somebody's open transaction holds keeps back nothing but itself: the
engine's functions pass over it, or give it back with the reason, and do the rest.
Each test holds rows in a session of its own and never waits for a time.
"""
import contextlib
import threading

import psycopg2
import pytest

from fleet import duty_words, job_words, wait_for
from statements import statements
from test_lanes import Lane

HELD = "somebody holds it"
# A function that waited would end by this, as an error.
WAITS = "20s"


@contextlib.contextmanager
def held(lane, table, where, *parameters):
    with lane.stack.connect() as other, other.cursor() as c:
        c.execute(f"SELECT 1 FROM {table} WHERE {where} FOR UPDATE", parameters)
        assert c.rowcount > 0
        lane.q(f"SET lock_timeout = '{WAITS}'")
        try:
            yield
        finally:
            other.rollback()
            lane.q("SET lock_timeout = 0")


@pytest.fixture
def lane(basics, unique):
    lane = Lane(basics, unique("held"))
    yield lane
    lane.q("DELETE FROM jobs WHERE issuer_id = %s", lane.issuer)


def certificate(lane, job):
    return lane.row(job, "certificate_id")[0]


def statuses(lane, jobs):
    return [lane.row(job, "status")[0] for job in jobs]


def aside(lane, lease, outcome, jobs, why="the CA is away"):
    return dict(lane.q("SELECT job_id, status FROM issue_set_aside('w', %s, %s, %s, %s, NULL, %s)", lease, jobs, [outcome] * len(jobs),
                       [why] * len(jobs), HELD))


def complete(lane, lease, jobs):
    n = len(jobs)
    return {r[0]: r[1] for r in lane.q("SELECT job_id, status FROM issue_complete('w', %s, %s, %s, %s, %s, %s, '', %s)", lease, jobs,
                                       ["pem"] * n, jobs, ["ECDSA"] * n, [256] * n, HELD)}


# --- workers ---

@pytest.mark.parametrize("outcome, ends", [("fail", "Failed"), ("wrong", "Failed"), ("cancel", "Cancelled")])
def test_an_end_waits_for_its_certificate_and_the_rest_ends(lane, outcome, ends):
    jobs = [lane.job() for _ in range(3)]
    lane.q("UPDATE jobs SET cancel_requested_at = now() WHERE issuer_id = %s", lane.issuer)
    lease, _ = lane.claim(10)
    with held(lane, "managed_certificates", "id = %s", certificate(lane, jobs[0])):
        assert aside(lane, lease, outcome, jobs) == {jobs[0]: "Pending", jobs[1]: ends, jobs[2]: ends}
        assert lane.row(jobs[0], "attempts, lease_id, last_error, held_since") == (0, None, HELD, lane.now)
    # Nothing is forgotten: it is handed out again and comes to the same end.
    lane.later(3)
    lease, n = lane.claim(10)
    assert n == 1 and aside(lane, lease, outcome, jobs[:1]) == {jobs[0]: ends}


@pytest.mark.parametrize("outcome", ["retry", "refuse", "ended", "release", "uncertain", "held"])
def test_what_goes_back_needs_no_certificate(lane, outcome):
    jobs = [lane.job() for _ in range(2)]
    lease, _ = lane.claim(10)
    with held(lane, "managed_certificates", "id = %s", certificate(lane, jobs[0])):
        assert aside(lane, lease, outcome, jobs) == dict.fromkeys(jobs, "Pending")
    counted = int(outcome in ("retry", "refuse", "ended"))
    assert [lane.row(job, "attempts, held_since IS NOT NULL") for job in jobs] == [(counted, outcome == "held")] * 2


def test_the_last_attempt_is_no_end_while_its_certificate_is_held(lane):
    job = lane.job(max_attempts=1)
    lease, _ = lane.claim(10)
    with held(lane, "managed_certificates", "id = %s", certificate(lane, job)):
        assert aside(lane, lease, "retry", [job]) == {job: "Pending"}
        assert lane.row(job, "attempts, last_error") == (0, HELD)


@pytest.mark.parametrize("outcome", ["fail", "retry", "release", "cancel"])
def test_a_job_that_is_held_stays_as_it_is(lane, outcome):
    jobs = [lane.job() for _ in range(2)]
    lease, _ = lane.claim(10)
    with held(lane, "jobs", "id = %s", jobs[0]):
        assert aside(lane, lease, outcome, jobs)[jobs[0]] == "Running"
        assert statuses(lane, jobs)[1] != "Running"
    assert aside(lane, lease, outcome, jobs[:1])[jobs[0]] != "Running"


def test_a_completion_names_what_it_left(lane):
    jobs = [lane.job() for _ in range(3)]
    lease, _ = lane.claim(10)
    with held(lane, "managed_certificates", "id = %s", certificate(lane, jobs[0])), held(lane, "jobs", "id = %s", jobs[1]):
        assert complete(lane, lease, jobs) == {jobs[0]: "Pending", jobs[1]: "Running", jobs[2]: "Completed"}
        assert lane.row(jobs[0], "held_since") == (lane.now,)
    assert complete(lane, lease, jobs) == {jobs[1]: "Completed", jobs[2]: "Completed"}


def test_a_worker_leaves_what_is_held_to_the_next_look(lane):
    jobs = [lane.job() for _ in range(2)]
    lane.claim(10)
    with held(lane, "jobs", "id = %s", jobs[0]):
        assert lane.q("SELECT worker_leave('w')") == [(1,)]
        assert statuses(lane, jobs) == ["Running", "Pending"]
    lane.q("SELECT leases_free('leader', 7, NULL, NULL, 0, %s)", job_words())
    lane.q("UPDATE workers SET lease_until = 'infinity' WHERE incarnation = 'w'")
    assert statuses(lane, jobs) == ["Pending", "Pending"]


def test_what_a_lease_leaves_behind_a_held_certificate_is_told_of(lane):
    """Claims pass over it until it is let go, so nothing else would."""
    jobs = [lane.job() for _ in range(2)]
    lane.claim(10)
    lane.q("UPDATE jobs SET attempt_until = clock_timestamp() - interval '1 second' WHERE id = ANY (%s)", jobs)
    with held(lane, "managed_certificates", "id = %s", certificate(lane, jobs[0])):
        lane.q("SELECT leases_free('leader', 7, NULL, NULL, 0, %s)", job_words())
        assert [lane.row(job, "status, held_since") for job in jobs] == [("Pending", lane.now), ("Pending", None)]
        assert "open transaction" in lane.row(jobs[0], "last_error")[0] and lane.row(jobs[1], "last_error") == (None,)
        assert lane.q("SELECT subject FROM conditions WHERE name = 'row_held'") == [(jobs[0],)]
        assert lane.claim(10)[1] == 1
    assert lane.claim(10)[1] == 1


def test_tasks_of_a_lease_end_without_the_one_that_is_held(lane):
    tasks = [f"task-{lane.issuer}-{i}" for i in range(3)]
    lane.q("INSERT INTO tasks (id, kind, subject, status, lease_id, leased_by, attempt_until) "
           "SELECT t, 'noop', t, 'Running', 99, 'w', 'infinity' FROM unnest(%s) t", tasks)
    with held(lane, "tasks", "id = %s", tasks[0]):
        assert lane.q("SELECT tasks_done('w', 99, %s)", tasks) == [(2,)]
    assert lane.q("SELECT tasks_done('w', 99, %s)", tasks) == [(1,)]


def test_a_held_task_stops_no_other_kind(lane):
    first, second = f"task-{lane.issuer}-1", f"task-{lane.issuer}-2"
    lane.q("UPDATE tasks SET run_after = 'infinity'")
    for task, kind in ((first, "crl_build"), (second, "noop")):
        lane.q("INSERT INTO tasks (id, kind, subject, run_after) VALUES (%s, %s, %s, %s)", task, kind, task, lane.now)
    with held(lane, "tasks", "id = %s", first):
        assert lane.q("SELECT claimed, last_id FROM tasks_claim('leader', 7, 'w', 10, '-infinity', '', 60000)") == [(1, second)]
    lane.q("DELETE FROM tasks WHERE id = ANY (%s)", [first, second])


@pytest.mark.parametrize("end", ["let go", "changed nothing"])
def test_nobody_died_with_what_was_held_past_its_time(lane, end):
    """The worker lives and could not end them."""
    jobs = [lane.job() for _ in range(2)]
    tasks = [f"task-{lane.issuer}-{i}" for i in range(2)]
    lane.claim(10)
    lane.q("INSERT INTO tasks (id, kind, subject, status, lease_id, leased_by) SELECT t, 'noop', t, 'Running', 99, 'w' FROM unnest(%s) t", tasks)
    for table, ids in (("jobs", jobs), ("tasks", tasks)):
        deaths = f"SELECT status, died_with FROM {table} WHERE id = ANY (%s) ORDER BY id"
        lane.q(f"UPDATE {table} SET attempt_until = clock_timestamp() - interval '1 second' WHERE id = ANY (%s)", ids)
        with lane.stack.connect() as other, other.cursor() as c:
            c.execute(f"SELECT 1 FROM {table} WHERE id = %s FOR UPDATE", (ids[0],))
            lane.q("SELECT leases_free('leader', 7, NULL, NULL, 0, %s)", job_words())
            # The other one's time is over under a worker that lives: that counts.
            assert lane.q(deaths, ids) == [("Running", None), ("Pending", [""])]
            if end == "let go":
                other.rollback()
            else:
                other.commit()
        lane.q("SELECT leases_free('leader', 7, NULL, NULL, 0, %s)", job_words())
        assert lane.q(deaths, ids) == [("Pending", None), ("Pending", [""])]
    lane.q("DELETE FROM tasks WHERE id = ANY (%s)", tasks)


@contextlib.contextmanager
def parent_held(lane, new_agent, table, job):
    """A row that the job refers to."""
    agent, _ = new_agent()
    lane.q("UPDATE jobs SET agent_id = %s WHERE id = %s", agent, job)
    with held(lane, table, "id = %s", agent if table == "agents" else lane.issuer):
        yield


@pytest.mark.parametrize("table", ["agents", "issuers"])
@pytest.mark.parametrize("outcome, ends", [("fail", "Failed"), ("cancel", "Cancelled"), ("retry", "Failed")])
def test_an_end_needs_nothing_that_its_job_refers_to(lane, new_agent, table, outcome, ends):
    job = lane.job(max_attempts=1)
    lane.q("UPDATE jobs SET cancel_requested_at = now(), checkpoint = '{}' WHERE id = %s", job)
    lease, _ = lane.claim(1)
    with parent_held(lane, new_agent, table, job):
        assert lane.q("SELECT status FROM issue_set_aside('w', %s, %s, %s, '{why}', '{}')", lease, [job], [outcome]) == [(ends,)]
    assert lane.row(job, "attempts, checkpoint") == (int(ends == "Failed"), None)
    failed = lane.q("SELECT status, renew_after > %s FROM managed_certificates WHERE id = %s", lane.now, certificate(lane, job))
    assert failed == [("Failed", True)] if ends == "Failed" else failed[0][0] == "Pending"


@pytest.mark.parametrize("table", ["agents", "issuers"])
@pytest.mark.parametrize("checkpoint, ends", [(None, "Failed"), ('{"state": "placing"}', "Pending")])
def test_what_workers_died_with_ends_while_its_parent_is_held(lane, new_agent, table, checkpoint, ends):
    """And the sweep frees the others."""
    jobs = [lane.job() for _ in range(2)]
    lane.claim(2)
    lane.q("UPDATE jobs SET checkpoint = %s, died_with = array_fill('x'::text, '{20}'), attempt_until = '-infinity' WHERE id = %s", checkpoint,
           jobs[0])
    lane.q("UPDATE jobs SET attempt_until = '-infinity' WHERE id = %s", jobs[1])
    with parent_held(lane, new_agent, table, jobs[0]):
        assert lane.q("SELECT freed, failed FROM leases_free('leader', 7, NULL, NULL, 0, %s)", job_words()) == [(2, int(ends == "Failed"))]
    assert statuses(lane, jobs) == [ends, "Pending"]
    assert lane.row(jobs[0], "run_after = 'infinity'") == (ends == "Pending",)


@pytest.mark.parametrize("table", ["agents", "issuers"])
def test_a_claim_alone_waits_for_nobody(lane, new_agent, table):
    """What is stored of the first job makes its claim fail; it would be set aside."""
    job = lane.job()
    lane.q("UPDATE issuers SET config = '{\"validity_days\": \"90d\"}' WHERE id = %s", lane.issuer)
    with parent_held(lane, new_agent, table, job):
        assert lane.claim_alone() is None
        assert lane.row(job, "status, attempts") == ("Pending", 0)
    assert lane.claim_alone() is None
    assert lane.row(job, "status, attempts") == ("Pending", 1)


def test_a_worker_that_died_died_with_what_was_held_too(lane):
    job = lane.job()
    lane.q("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES (%s, 'x', 'h', 1, 'infinity')", lane.issuer)
    lane.claim(10, lane.issuer)
    lane.q("UPDATE workers SET lease_until = '-infinity' WHERE incarnation = %s", lane.issuer)
    with held(lane, "jobs", "id = %s", job):
        lane.q("SELECT leases_free('leader', 7, NULL, NULL, 0, %s)", job_words())
    lane.q("SELECT leases_free('leader', 7, NULL, NULL, 0, %s)", job_words())
    assert lane.row(job, "status, died_with") == ("Pending", [lane.issuer])


def test_no_order_is_placed_for_what_is_held(lane):
    job = lane.job()
    lease, _ = lane.claim(1)
    placing = "SELECT outcome FROM issue_placing('w', %s, %s, 2000, 10000)"
    with held(lane, "jobs", "id = %s", job):
        assert lane.q(placing, lease, job) == [("held",)]
        assert lane.row(job, "checkpoint") == (None,)
    assert lane.q(placing, lease, job) == [("placing",)]
    assert lane.q(placing, lease + 1, job) == []


def test_a_look_up_goes_on_beside_what_is_held(lane):
    job = lane.job()
    lease, _ = lane.claim(1)
    lane.q("UPDATE jobs SET attempt_until = now() + interval '1 second' WHERE id = %s", job)
    looking, left = "SELECT issue_looking('w', %s, %s)", "attempt_until - clock_timestamp() > interval '60 seconds'"
    with held(lane, "jobs", "id = %s", job):
        assert lane.q(looking, lease, job) == [(True,)]
        assert lane.row(job, left) == (False,)
    assert lane.q(looking, lease + 1, job) == [(False,)]
    assert lane.row(job, left) == (False,)
    assert lane.q(looking, lease, job) == [(True,)]
    assert lane.row(job, left) == (True,)


# --- lanes ---

def test_a_held_lane_claims_nothing_and_waits_for_nobody(lane):
    lane.job()
    lane.q("UPDATE lanes SET rate_per_s = 5 WHERE issuer_id = %s", lane.issuer)
    with held(lane, "lanes", "issuer_id = %s", lane.issuer):
        assert lane.claim(10) is None
    assert lane.claim(10)[1] == 1


def test_an_end_does_not_wait_for_its_lane(lane):
    jobs = [lane.job() for _ in range(2)]
    lane.q("UPDATE lanes SET failures = 3 WHERE issuer_id = %s", lane.issuer)
    lease, _ = lane.claim(10)
    with held(lane, "lanes", "issuer_id = %s", lane.issuer):
        assert aside(lane, lease, "retry", jobs[:1]) == {jobs[0]: "Pending"}
        assert complete(lane, lease, jobs[1:]) == {jobs[1]: "Completed"}
    assert lane.state()[:2] == ("closed", 3)


# --- duties ---

def test_timeouts_pass_over_what_is_held(lane):
    jobs = [lane.job(status="AwaitingCSR", created_at=lane.now) for _ in range(4)]
    nonsense = lane.job(type="Validation", dedupe_key=f"x-{lane.issuer}")
    lane.later(3 * 86400)
    duty = "SELECT duty_job_timeouts(86400000, 86400000, 100, %s)"
    with held(lane, "managed_certificates", "id = %s", certificate(lane, jobs[0])), held(lane, "jobs", "id = %s", jobs[1]):
        assert lane.q(duty, job_words()) == [(2,)]
        assert statuses(lane, jobs) == ["AwaitingCSR", "AwaitingCSR", "Failed", "Failed"]
        # Nor do they keep the next step of the duty from its turn.
        with held(lane, "managed_certificates", "id = %s", certificate(lane, nonsense)):
            assert lane.q(duty, job_words()) == [(0,)]
        assert lane.q(duty, job_words()) == [(1,)] and statuses(lane, [nonsense]) == ["Failed"]
    assert lane.q(duty, job_words()) == [(2,)] and set(statuses(lane, jobs)) == {"Failed"}


def test_retired_agents_jobs_end_without_the_one_that_is_held(lane, new_agent):
    agent, _ = new_agent()
    jobs = [lane.job(status="AwaitingCSR", agent_id=agent) for _ in range(2)]
    lane.q("UPDATE agents SET retired_at = now() WHERE id = %s", agent)
    duty = "SELECT duty_agent_rescue(300000, 100, %s)"
    with held(lane, "managed_certificates", "id = %s", certificate(lane, jobs[0])):
        assert lane.q(duty, job_words()) == [(1,)]
        assert statuses(lane, jobs) == ["AwaitingCSR", "Failed"]
    assert lane.q(duty, job_words()) == [(1,)]


# --- what a new row would refer to: a foreign key's check waits for who holds that ---

def target(lane, agent, certificate):
    lane.q("INSERT INTO deployment_targets (id, name, type, agent_id, config) VALUES (%s, %s, 'NGINX', %s, '{}')", f"t-{certificate}",
           f"t-{certificate}", agent)
    lane.q("INSERT INTO certificate_target_mappings (certificate_id, target_id) VALUES (%s, %s)", certificate, f"t-{certificate}")


def due(lane, new_agent, table, n=2):
    """Certificates whose renewal is due, and of the first the row of that table that only it refers to."""
    names = sorted(certificate(lane, lane.job()) for _ in range(n))
    lane.q("DELETE FROM jobs WHERE issuer_id = %s", lane.issuer)
    parent = f"p-{names[0]}"
    if table == "agents":
        parent = new_agent()[0]
        target(lane, parent, names[0])
    elif table == "issuers":
        lane.q("INSERT INTO issuers (id, name, type) VALUES (%s, %s, 'ACME')", parent, parent)
        lane.q("UPDATE managed_certificates SET issuer_id = %s WHERE id = %s", parent, names[0])
    else:
        lane.q("INSERT INTO certificate_profiles (id, name, requires_approval) VALUES (%s, %s, true)", parent, parent)
        lane.q("UPDATE managed_certificates SET certificate_profile_id = %s WHERE id = %s", parent, names[0])
    lane.q("UPDATE managed_certificates SET status = 'Active', valid_from = %s::timestamptz - interval '60 days', "
           "expires_at = %s::timestamptz + interval '10 days', renew_after = %s WHERE id = ANY (%s)", lane.now, lane.now, lane.now, names)
    return names, parent


def with_jobs(lane, names):
    return [r[0] for r in lane.q("SELECT DISTINCT certificate_id FROM jobs WHERE certificate_id = ANY (%s) ORDER BY 1", names)]


PARENTS = ["agents", "issuers", "certificate_profiles"]


@pytest.mark.parametrize("table", PARENTS)
def test_a_scan_renews_the_rest_of_its_chunk(lane, new_agent, table):
    names, parent = due(lane, new_agent, table)
    scan = "SELECT enqueued FROM duty_renewal_scan(2500)"
    with held(lane, table, "id = %s", parent):
        lane.q(scan)
        assert with_jobs(lane, names) == names[1:]
        # It stands in nobody's way until it is looked at again, which is soon.
        assert lane.q("SELECT seen FROM duty_renewal_scan(2500)") == [(0,)]
    lane.later(61)
    lane.q(scan)
    assert with_jobs(lane, names) == names
    lane.q("DELETE FROM jobs WHERE certificate_id = ANY (%s)", names)


def test_a_scan_counts_what_it_passed_over(lane, new_agent):
    """What somebody holds is left, and is not said to be none."""
    names, _ = due(lane, new_agent, "agents")
    left = lane.q("SELECT renewals_left(1000)")[0][0] - len(names)
    with held(lane, "managed_certificates", "id = %s", names[0]):
        lane.q("SELECT duty_renewal_scan(2500)")
        assert with_jobs(lane, names) == names[1:] and lane.q("SELECT renewals_left(1000)") == [(left + 1,)]
    lane.q("SELECT duty_renewal_scan(2500)")
    assert with_jobs(lane, names) == names and lane.q("SELECT renewals_left(1000)") == [(left,)]
    lane.q("DELETE FROM jobs WHERE certificate_id = ANY (%s)", names)


@pytest.mark.parametrize("table", PARENTS)
def test_renewals_for_a_person(lane, new_agent, table):
    names, parent = due(lane, new_agent, table)
    api = lane.stack.api
    with held(lane, table, "id = %s", parent):
        reply = api.need("POST", "/api/v1/certificates/bulk-renew", {"certificate_ids": names})
        assert (reply["total_enqueued"], reply["total_failed"], reply["held_ids"]) == (1, 1, names[:1])
        status, reply = api.post(f"/api/v1/certificates/{names[0]}/renew", {})
        assert status == 503 and "open transaction" in str(reply)
        assert with_jobs(lane, names) == names[1:]
    assert api.need("POST", "/api/v1/certificates/bulk-renew", {"certificate_ids": names})["total_enqueued"] == 1
    lane.q("DELETE FROM jobs WHERE certificate_id = ANY (%s)", names)


@pytest.mark.parametrize("table", ["agents", "deployment_targets"])
def test_an_issuance_ends_and_its_deployment_follows(lane, new_agent, table):
    agent, _ = new_agent()
    jobs = [lane.job(agent_id=agent if i == 0 else None) for i in range(2)]
    name = certificate(lane, jobs[0])
    target(lane, agent, name)
    lease, _ = lane.claim(10)
    deployments = "SELECT count(*) FROM jobs WHERE certificate_id = %s AND type = 'Deployment'"
    with held(lane, table, "id = %s", agent if table == "agents" else f"t-{name}"):
        assert complete(lane, lease, jobs) == dict.fromkeys(jobs, "Completed")
        lane.q("SELECT rows FROM duty_redeploy(100)")
        assert lane.q(deployments, name) == [(0,)]
    lane.q("SELECT rows FROM duty_redeploy(100)")
    assert lane.q(deployments, name) == [(1,)]


@pytest.mark.parametrize("table, column", [("managed_certificates", "id"), ("expiry_alerts", "certificate_id")])
def test_alerts_pass_over_what_is_held(lane, table, column):
    names = sorted(certificate(lane, lane.job()) for _ in range(2))
    lane.q("UPDATE managed_certificates SET status = 'Active', expires_at = %s::timestamptz + interval '5 days' WHERE id = ANY (%s)", lane.now,
           names)
    lane.q("UPDATE expiry_alert_state SET crossed_to = '-infinity', created_to = '-infinity', full_at = '-infinity'")
    if table == "expiry_alerts":
        lane.q("INSERT INTO expiry_alerts (certificate_id, expires_at, threshold_days) SELECT n, %s, 30 FROM unnest(%s) n", lane.now, names)
    duty = lambda: [lane.q("SELECT rows FROM duty_expiry_alerts(1000, true, %s)", duty_words("expiry_alerts"))] and \
        [r[0] for r in lane.q("SELECT certificate_id FROM notification_events WHERE certificate_id = ANY (%s) ORDER BY 1", names)]
    with held(lane, table, f"{column} = %s", names[0]):
        assert duty() == names[1:]
    lane.later(1)
    assert duty() == names
    assert duty() == names


@pytest.mark.parametrize("table", ["managed_certificates", "issuers"])
def test_a_claim_passes_over_whose_old_serial_it_could_not_write_off(lane, table):
    jobs = [lane.job() for _ in range(4)]
    lane.q("UPDATE jobs SET serial_number = '50' || id, ca_sha256 = 'x', not_before = %s::timestamptz - interval '30 days', not_after = %s "
           "WHERE id = ANY (%s)", lane.now, lane.now, jobs[:3])
    with held(lane, table, "id = %s", lane.issuer if table == "issuers" else certificate(lane, jobs[0])):
        # However few it asks for.
        lane.claim(1)
        lane.claim(10)
        assert statuses(lane, jobs) == (["Pending"] * 3 + ["Running"] if table == "issuers" else ["Pending"] + ["Running"] * 3)
    lane.claim(10)
    assert statuses(lane, jobs) == ["Running"] * 4


def test_lists_are_asked_for_but_of_a_held_issuer(lane):
    names = [lane.issuer, f"{lane.issuer}-b"]
    lane.q("INSERT INTO issuers (id, name, type) VALUES (%s, %s, 'ACME')", names[1], names[1])
    for name in names:
        lane.q("SELECT * FROM ca_certificate_store(%s, 'pem', 'pem', %s, %s, '2060-01-01', 'key')", name, name, lane.now)
    asked = "SELECT issuer_id FROM tasks WHERE kind = 'crl_build' AND issuer_id = ANY (%s) ORDER BY 1"
    with held(lane, "issuers", "id = %s", names[0]):
        lane.q("SELECT duty_crl_refresh(1000, false)")
        assert lane.q(asked, names) == [(names[1],)]
    lane.q("SELECT duty_crl_refresh(1000, false)")
    assert lane.q(asked, names) == [(n,) for n in names]
    lane.q("DELETE FROM tasks WHERE issuer_id = ANY (%s)", names)
    lane.q("DELETE FROM ca_certificates WHERE issuer_id = ANY (%s)", names)


@pytest.mark.parametrize("end", ["SELECT certificate_archive(%s, 'a', 'User', 'w')", "SELECT certificates_revoke(ARRAY[%s], 'superseded', 'a', 'User', 'w')"],
                         ids=["archived", "revoked"])
@pytest.mark.parametrize("gone", ["retired_at = now()", "last_heartbeat_at = '-infinity'"], ids=["retired", "silent"])
def test_what_an_agent_died_with_and_nothing_is_deployed_of_any_more_is_over(lane, new_agent, end, gone):
    """Its target wants nothing from then on, and no agent that returns installs it."""
    agent = new_agent()[0]
    name = certificate(lane, lane.job())
    lane.q("DELETE FROM jobs WHERE issuer_id = %s", lane.issuer)
    target(lane, agent, name)
    version = f"certver-{name}"
    lane.q("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, job_id, "
           "issuer_id) VALUES (%s, %s, '1', %s, 'infinity', 'x', 'x', 'x', %s)", version, name, lane.now, lane.issuer)
    lane.q("UPDATE certificate_target_mappings SET desired_version_id = %s WHERE certificate_id = %s", version, name)
    lane.q("SELECT deployments_fan_out(ARRAY[%s], engine_now())", name)
    ((job, *_),) = lane.q("SELECT id FROM agent_work(%s, 10)", agent)
    lane.q(end, name)
    assert lane.row(job, "status") == ("Running",)
    lane.q(f"UPDATE agents SET {gone} WHERE id = %s", agent)
    duty = "SELECT duty_agent_rescue(300000, 100, %s)"
    with held(lane, "managed_certificates", "id = %s", name):
        lane.q(duty, job_words())
        assert lane.row(job, "status") == ("Running",)
    lane.q(duty, job_words())
    status, error = lane.row(job, "status, last_error")
    assert status == "Failed" and "its agent was retired, or fell silent" in error
    assert lane.q("SELECT desired_version_id FROM certificate_target_mappings WHERE certificate_id = %s", name) == [(None,)]
    assert lane.q("SELECT id FROM agent_work(%s, 10)", agent) == []


def test_a_held_mark_stops_its_own_walk_only(lane):
    job = lane.job(status="AwaitingCSR", created_at=lane.now)
    duty = "SELECT duty_job_timeouts(86400000, 86400000, 100, %s)"
    lane.q(duty, job_words())
    lane.later(3 * 86400)
    with held(lane, "duty_marks", "name = 'jobs_nonsense'"):
        lane.q(duty, job_words())
        assert statuses(lane, [job]) == ["Failed"]


# --- agents ---

def test_a_held_agent_silences_no_other(lane, new_agent):
    agents = [new_agent() for _ in range(2)]
    beats = [lambda a=a, k=k: lane.stack.api.post(f"/api/v1/agents/{a}/heartbeat", {}, key=k) for a, k in agents]
    lane.stack.query("UPDATE agents SET last_heartbeat_at = NULL WHERE id = ANY (%s)", [a for a, _ in agents])
    with held(lane, "agents", "id = %s", agents[0][0]):
        status, reply = beats[0]()
        assert status == 503, reply
        assert beats[1]()[0] == 200
    assert beats[0]()[0] == 200


def test_an_agent_held_for_a_moment_is_heard(lane, new_agent):
    """As another replica does that records its heartbeat as well."""
    agent, key = new_agent()
    lane.stack.query("UPDATE agents SET last_heartbeat_at = NULL WHERE id = %s", agent)
    answers = []
    beat = threading.Thread(target=lambda: answers.append(lane.stack.api.post(f"/api/v1/agents/{agent}/heartbeat", {}, key=key)))
    with held(lane, "agents", "id = %s", agent):
        since = lane.stack.value("SELECT clock_timestamp()")
        beat.start()
        wait_for(lambda: lane.stack.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND query_start > %s"
                                          " AND pid <> pg_backend_pid()", "%is_heard%", since), 10, "the row to be passed over")
    beat.join()
    assert answers[0][0] == 200, answers


def test_a_batch_of_heartbeats_stops_for_who_is_held_and_then_passes_over(lane, new_agent):
    agents = sorted(new_agent()[0] for _ in range(2))
    lane.stack.query("UPDATE agents SET last_heartbeat_at = NULL WHERE id = ANY (%s)", agents)

    def beat(c, name):
        c.execute(f"EXECUTE {name} (%s::text[], %s, %s, %s, %s, %s, %s)", (agents, *[["", ""]] * 6))
        return c.fetchone()[1]

    with lane.stack.admin() as c:
        for name in ("agents_heartbeat", "agents_heartbeat_past"):
            c.execute(f"PREPARE {name} AS {statements()[name][1]}")
        c.execute(f"SET statement_timeout = '{WAITS}'")
        with held(lane, "agents", "id = %s", agents[1]):
            with pytest.raises(psycopg2.errors.LockNotAvailable):
                beat(c, "agents_heartbeat")
            assert beat(c, "agents_heartbeat_past") == 1
        c.execute("SHOW lock_timeout")
        assert c.fetchone() == ("0",)
        assert beat(c, "agents_heartbeat") == 2


# --- people ---

def ids_of(reply, member):
    return sorted(reply.get(member, []))


@pytest.mark.parametrize("what", ["managed_certificates", "jobs"])
def test_bulk_calls_do_what_they_can(lane, what):
    names = sorted(certificate(lane, lane.job()) for _ in range(12))
    lane.q("INSERT INTO owners (id, name, email, team_id) VALUES ('o-other', 'Other', 'other@example.test', 't-test') ON CONFLICT DO NOTHING")
    api, where = lane.stack.api, "id" if what == "managed_certificates" else "certificate_id"
    asked = {"certificate_ids": names}
    with held(lane, what, f"{where} = ANY (%s)", names[:8]):
        reply = api.need("POST", "/api/v1/certificates/bulk-reassign", asked | {"owner_id": "o-other"})
        assert (reply["total_reassigned"], reply["total_failed"], ids_of(reply, "held_ids")) == (4, 8, names[:8])
        asked |= {"reason": "keyCompromise"}
        status, reply = api.call("POST", "/api/v1/certificates/bulk-revoke", asked, headers={"Idempotency-Key": lane.issuer})
        assert status == 200 and (reply["total_revoked"], reply["total_failed"], ids_of(reply, "held_ids")) == (4, 8, names[:8])
        assert api.call("POST", "/api/v1/certificates/bulk-revoke", asked, headers={"Idempotency-Key": lane.issuer}) == (200, reply)
        status, reply = api.post(f"/api/v1/certificates/{names[0]}/revoke", {})
        assert status == 503 and "open transaction" in str(reply)
    reply = api.need("POST", "/api/v1/certificates/bulk-revoke", asked)
    assert reply["total_revoked"] == 8 and "held_ids" not in reply


def test_a_bulk_revocation_names_whose_issuer_is_held(lane):
    """Its current one, or the one before that: of each version there is to be a revocation."""
    names = sorted(certificate(lane, lane.job()) for _ in range(4))
    other = f"{lane.issuer}-other"
    lane.q("INSERT INTO issuers (id, name, type) VALUES (%s, %s, 'ACME')", other, other)
    for i, name in enumerate(names):
        for issuer in (lane.issuer, other) if i < 2 else (lane.issuer,):
            lane.q("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, "
                   "issuer_id, job_id) VALUES (%s, %s, %s, now(), %s, '', '', %s, '')", f"v-{name}-{issuer}", name, f"{name}-{issuer}",
                   "-infinity" if (i, issuer) == (1, other) else "infinity", issuer)
    api, asked = lane.stack.api, {"certificate_ids": names, "reason": "keyCompromise"}
    with held(lane, "issuers", "id = %s", other):
        reply = api.need("POST", "/api/v1/certificates/bulk-revoke", asked)
        # What is over needs no revocation.
        assert (reply["total_revoked"], reply["total_failed"], reply["held_ids"]) == (3, 1, names[:1])
        status, reply = api.post(f"/api/v1/certificates/{names[0]}/revoke", {})
        assert status == 503 and "open transaction" in str(reply)
    assert api.need("POST", "/api/v1/certificates/bulk-revoke", asked)["total_revoked"] == 1
    assert lane.q("SELECT count(*) FROM certificate_revocations WHERE certificate_id = %s", names[0]) == [(2,)]


def test_a_bulk_renewal_names_what_is_held(lane):
    jobs = [lane.job() for _ in range(4)]
    names = sorted(certificate(lane, job) for job in jobs)
    lane.q("DELETE FROM jobs WHERE id = ANY (%s)", jobs)
    with held(lane, "managed_certificates", "id = ANY (%s)", names[:2]):
        reply = lane.stack.api.need("POST", "/api/v1/certificates/bulk-renew", {"certificate_ids": names})
        assert (reply["total_enqueued"], reply["total_failed"], reply["held_ids"]) == (2, 2, names[:2])
        assert sorted(j["certificate_id"] for j in reply["enqueued_jobs"]) == names[2:]
    assert lane.stack.api.need("POST", "/api/v1/certificates/bulk-renew", {"certificate_ids": names})["total_enqueued"] == 2


# --- what status tells ---

def test_status_tells_of_rows_that_the_oldest_transaction_holds(lane, new_agent):
    job = lane.job()
    lane.q("UPDATE lanes SET rate_per_s = 5 WHERE issuer_id = %s", lane.issuer)
    told = "SELECT subject, detail FROM conditions WHERE name = 'row_held' ORDER BY subject"
    with held(lane, "jobs", "id = %s", job), held(lane, "lanes", "issuer_id = %s", lane.issuer):
        # The event that no block seals is what tells how long it is open.
        lane.q("INSERT INTO audit_events (id, epoch, xid, actor, actor_type, action, resource_type, resource_id, timestamp) "
               "VALUES (%s, (SELECT max(n) FROM audit_epochs), '0', 'system', 'System', 'x', 'x', 'x', clock_timestamp() - interval '1 hour')",
               f"old-{lane.issuer}")
        assert (job, "jobs") in lane.q(told)
    for table, column in (("lanes", "issuer_id"), ("issuers", "id")):
        with held(lane, table, f"{column} = %s", lane.issuer):
            assert lane.q(told) == [(lane.issuer, table)]
    with held(lane, "managed_certificates", "id = %s", certificate(lane, job)):
        assert lane.q(told) == [(job, "managed_certificates")]
    agent = new_agent()[0]
    with held(lane, "agents", "id = %s", agent):
        assert lane.q(told) == [(agent, "agents")]
    lane.q("INSERT INTO duty_marks (name) VALUES ('jobs_nonsense') ON CONFLICT DO NOTHING")
    with held(lane, "duty_marks", "name = 'jobs_nonsense'"):
        assert lane.q(told) == [("jobs_nonsense", "duty_marks")]
    assert lane.q(told) == []


OPEN = "SELECT subject, detail FROM conditions WHERE name = 'transaction_open'"


@contextlib.contextmanager
def statement(lane, sql):
    """Of a session of its own, in a transaction that stays open; its process."""
    with lane.stack.connect() as other, other.cursor() as c:
        c.execute(sql)
        try:
            yield other.info.backend_pid
        finally:
            c.execute("ROLLBACK")
            c.execute("SELECT pg_advisory_unlock_all()")


def noted(lane):
    """What is told once a transaction that is noted now has been open for a minute."""
    lane.q("SELECT duty_lock_holders()")
    lane.q("UPDATE lock_holders SET since = since - interval '1 minute'")
    return dict(lane.q(OPEN))


ANY = "SELECT 1 FROM {} FOR UPDATE"
SEAL = "SELECT pg_advisory_lock(hashtextextended('certctl.audit_seal', 0))"
HOLDS = {
    "a mark": (ANY.format("duty_marks WHERE name = 'jobs_nonsense'"), "duty_marks"),
    "a reader": ("INSERT INTO audit_readers (name, epoch, xid, seq) VALUES ('held', 0, '0', 0)", "audit_readers"),
    "certificates": (ANY.format("managed_certificates"), "managed_certificates"),
    "in a savepoint": ("SAVEPOINT s; " + ANY.format("issuers"), "issuers"),
    "two": (ANY.format("lanes") + "; " + ANY.format("agents"), "agents, lanes"),
    "a table": ("LOCK TABLE tasks IN SHARE MODE", "tasks"),
    "sealing": (SEAL, "audit sealing"), "sealing alone": (SEAL + "; COMMIT", "audit sealing"),
}


@pytest.mark.parametrize("what", sorted(HOLDS))
def test_status_tells_of_whoever_holds_something(lane, new_agent, what):
    """Whatever it is, and whoever is older: a transaction that is open for longer holds nothing of ours."""
    new_agent()
    lane.job()
    lane.q("INSERT INTO duty_marks (name) VALUES ('jobs_nonsense') ON CONFLICT DO NOTHING")
    sql, tables = HOLDS[what]
    with statement(lane, "CREATE TEMP TABLE older ()"), statement(lane, sql) as pid:
        # Not at once: most are open for a moment.
        lane.q("SELECT duty_lock_holders()")
        assert str(pid) not in dict(lane.q(OPEN))
        told = noted(lane)
        assert set(told) == {str(pid)}, told
        assert told[str(pid)].startswith(f"session {pid} of ") and told[str(pid)].endswith(f": {tables}"), told
        with lane.stack.admin() as c:
            c.execute("SET ROLE certctl_apiserver")
            c.execute(OPEN)
            assert dict(c.fetchall()) == told
    assert lane.q(OPEN) == []
    assert noted(lane) == {}


@pytest.mark.parametrize("sql", ["SELECT count(*) FROM jobs", "SELECT 1 FROM jobs WHERE id = 'nobody' FOR UPDATE", "LOCK TABLE jobs IN ACCESS SHARE MODE",
                                 "SELECT pg_advisory_lock(1)"])
def test_who_holds_nothing_is_not_told_of(lane, sql):
    with statement(lane, sql):
        assert noted(lane) == {}


def test_a_program_of_ours_has_more_time(lane):
    """Its statements end by themselves, unless it was stopped."""
    with statement(lane, "SET application_name = 'certctl-worker'; " + ANY.format("issuers")) as pid:
        assert noted(lane) == {}
        lane.q("UPDATE lock_holders SET since = since - interval '2 minutes'")
        assert set(dict(lane.q(OPEN))) == {str(pid)}


MARKS = {"certificate_status": "duty_certificate_status(10)", "short_lived_expiry": "duty_short_lived_expiry(10)",
         "job_retention": "duty_job_retention(1, 10)"}


@pytest.mark.parametrize("mark", sorted(MARKS))
def test_a_duty_without_its_mark_fails_and_is_told(lane, mark):
    """In moments, by the scheduler's time for locks; duty_failing names it with PostgreSQL's words."""
    lane.q(f"SELECT {MARKS[mark]}")
    with held(lane, "duty_marks", "name = %s", mark):
        lane.q("SET lock_timeout = '10ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            lane.q(f"SELECT {MARKS[mark]}")


def test_a_person_hears_what_is_in_the_way(lane):
    job = lane.job()
    name = certificate(lane, job)
    with held(lane, "managed_certificates", "id = %s", name):
        for method, path in (("POST", f"certificates/{name}/renew"), ("POST", f"jobs/{job}/cancel"), ("DELETE", f"certificates/{name}")):
            status, reply = lane.stack.api.call(method, f"/api/v1/{path}", {} if method == "POST" else None)
            assert status == 503 and "open transaction" in str(reply), (path, status, reply)
    assert lane.stack.api.call("DELETE", f"/api/v1/certificates/{name}")[0] in (200, 204)
