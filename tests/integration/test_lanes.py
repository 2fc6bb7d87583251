"""
The engine's functions about lanes, against PostgreSQL and by a clock of our
own: breaker, rate, parking, what an outcome counts, a tick's budget.
"""
import concurrent.futures
import datetime
import json
import math
import random
import re

import psycopg2
import pytest

from fleet import ROOT, job_words, wait_for

NOT_SANITIZED = "the functions of the queue alone, called as scheduler and worker do"

START = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)


class Lane:
    """An issuer of its own with jobs of its own; plays leader and worker."""

    def __init__(self, stack, issuer, kind="ACME"):
        self.stack, self.issuer, self.jobs = stack, issuer, 0
        self.now = START
        self.q("UPDATE leadership SET term = 7, holder = 'leader', nonce = 'n', expires_at = 'infinity'")
        self.q("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES ('w', 'w', 'h', 1, 'infinity') "
               "ON CONFLICT DO NOTHING")
        self.deaths = 0
        self.q("INSERT INTO issuers (id, name, type) VALUES (%s, %s, %s)", issuer, issuer, kind)

    def q(self, sql, *parameters):
        self.stack.query("SELECT set_config('certctl.now', %s, false)", self.now.isoformat())
        try:
            return self.stack.query(sql, *parameters)
        finally:
            self.stack.query("SELECT set_config('certctl.now', '', false)")

    def later(self, seconds):
        self.now += datetime.timedelta(seconds=seconds)

    def job(self, **more):
        self.jobs += 1
        name = f"{self.issuer}-{self.jobs}"
        self.q("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id) "
               "VALUES (%s, %s, 'a.example.test', 'o-test', 't-test', %s, 'rp-default')", name, name, self.issuer)
        row = {"id": f"job-{name}", "type": "Issuance", "certificate_id": name, "issuer_id": self.issuer, "run_after": START,
               "dedupe_key": f"issue:{name}:", "requested_by": "system"} | more
        self.q(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", *row.values())
        return row["id"]

    def claim(self, limit=1, worker="w"):
        """(lease, how many), or None."""
        rows = self.q("SELECT lease_id, claimed FROM jobs_claim('leader', 7, %s, %s, %s, '-infinity', '', 60000)", worker, self.issuer,
                      limit)
        return rows[0] if rows and rows[0][1] else None

    def claim_alone(self):
        """(lease, how many), or None: its first job was set aside, or there is none."""
        rows = self.q("SELECT lease_id, claimed FROM jobs_claim_alone('leader', 7, 'w', %s, '-infinity', '', 60000, %s)", self.issuer,
                      job_words())
        return rows[0] if rows else None

    def aside(self, lease, outcome, error="the CA is away", jobs=None):
        ids = jobs or self.held(lease)
        return dict(self.q("SELECT job_id, status FROM issue_set_aside('w', %s, %s, %s, %s)", lease, ids,
                           [outcome] * len(ids), [error] * len(ids)))

    def complete(self, lease, worker="w"):
        ids = self.held(lease)
        n = len(ids)
        rows = self.q("SELECT job_id FROM issue_complete(%s, %s, %s, %s, %s, %s, %s, '')", worker, lease, ids, ["pem"] * n,
                      [f"{i}" for i in ids], ["ECDSA"] * n, [256] * n)
        assert sorted(r[0] for r in rows) == sorted(ids)

    def held(self, lease):
        return [r[0] for r in self.q("SELECT id FROM jobs WHERE lease_id = %s AND status = 'Running'", lease)]

    def row(self, job, columns):
        return self.q(f"SELECT {columns} FROM jobs WHERE id = %s", job)[0]

    def state(self):
        return self.q("SELECT breaker_state, failures, opens FROM lanes WHERE issuer_id = %s", self.issuer)[0]

    def due(self):
        """(due, allows) as the leader sees it."""
        return self.q("SELECT due, allows FROM lanes_due('{}', '{}', '{}') WHERE issuer_id = %s", self.issuer)[0]

    def fail(self, outcome="retry", error="the CA is away"):
        """One claim that fails outside."""
        lease, n = self.claim()
        assert n == 1
        self.aside(lease, outcome, error)
        return lease


@pytest.fixture
def lane(basics, unique):
    return Lane(basics, unique("iss"))


def test_a_claim_says_whether_it_is_the_worker_that_may_not(lane):
    asked = "SELECT claimed FROM jobs_claim('leader', 7, %s, %s, 10, '-infinity', '', 60000)"
    assert lane.q(asked, "w", lane.issuer) == [(0,)]  # there is nothing for anybody
    lane.job()
    assert lane.q(asked, "nobody", lane.issuer) == []  # a worker whose lease is over
    assert lane.q(asked, "w", lane.issuer) == [(1,)]


SECOND = datetime.timedelta(seconds=1)


@pytest.mark.parametrize("ttl, before_s", [(90 * 86400, 300), (3600, 300), (600, 60), (30, 3), (5, 0)])
def test_a_lifetime_begins_a_little_earlier_and_is_no_longer_than_ordered(lane, ttl, before_s):
    """Both of its ends belong to it."""
    lane.q("UPDATE issuers SET config = jsonb_build_object('validity_seconds', %s) WHERE id = %s", ttl, lane.issuer)
    lane.later(0.7)
    job = lane.job()
    assert lane.claim()[1] == 1
    begins, ends = lane.row(job, "not_before, not_after")
    assert begins == START - before_s * SECOND
    assert ends == begins + (ttl - 1) * SECOND


def test_no_certificate_begins_before_its_ca_nor_ends_after_it(lane):
    lane.q("SELECT * FROM ca_certificate_store(%s, 'pem', 'pem', 'aa', %s, %s, 'key')", lane.issuer, START - 100 * SECOND,
           START + datetime.timedelta(days=20))
    job = lane.job()
    assert lane.claim()[1] == 1
    assert lane.row(job, "not_before, not_after") == (START - 100 * SECOND, START + datetime.timedelta(days=20))


def claimed_and_released(lane, steps):
    """A job is claimed after each so many seconds; whether what was fixed at first is the same then.  What that was."""
    job = lane.job()
    first = None
    for seconds, same in steps:
        lane.later(seconds)
        lease, _ = lane.claim()
        fixed = lane.row(job, "serial_number, not_before, not_after")
        assert (first in (None, fixed)) == same, seconds
        first = first or fixed
        lane.aside(lease, "release", None)
        lane.q("UPDATE jobs SET run_after = %s WHERE id = %s", START, job)
    return first


def test_a_serial_is_kept_for_the_hour_it_was_fixed_for(lane):
    """However much earlier its certificate begins."""
    claimed_and_released(lane, ((0, True), (3590, True), (20, False)))


def test_a_short_validity_is_kept_for_half_of_it(lane):
    """Else a certificate would be signed that is over, or nearly."""
    lane.q("UPDATE issuers SET config = '{\"validity_seconds\": 60}' WHERE id = %s", lane.issuer)
    first = claimed_and_released(lane, ((0, True), (20, True), (35, False)))
    assert lane.q("SELECT reason FROM certificate_revocations WHERE serial_number = %s", first[0]) in ([], [("superseded",)])


def test_a_breaker_opens_and_closes(lane):
    for _ in range(8):
        lane.job()
    assert lane.due() == (True, None)
    for n in range(1, 5):
        lane.fail()
        assert lane.state() == ("closed", n, 0)
    lane.fail()
    assert lane.state() == ("open", 5, 1)
    assert lane.due() == (True, 0) and lane.claim(8) is None
    lane.later(29)
    assert lane.claim(8) is None
    lane.later(2)
    # One job, though eight are asked for; and no second while it runs.
    assert lane.due() == (True, 1)
    lease, n = lane.claim(8)
    assert n == 1 and lane.state()[0] == "half_open"
    assert lane.due() == (True, 0) and lane.claim(8) is None
    lane.complete(lease)
    assert lane.state() == ("closed", 0, 0)
    assert lane.due()[1] is None and lane.claim(8)[1] >= 2
    assert lane.q("SELECT last_error, opened_until FROM lanes WHERE issuer_id = %s", lane.issuer) == [(None, None)]


@pytest.mark.parametrize("call", [
    "issue_set_aside('w', {lease}, ARRAY['{job}'], ARRAY[{word}], '{{x}}')",
    "job_finish(ARRAY['{job}'], ARRAY[{word}], '{{x}}')", "job_report('ag', '{job}', {word}, '', NULL, 'x')"])
@pytest.mark.parametrize("word", ["'Retry'", "'parked'", "''", "NULL", "'Pending'"])
def test_an_unknown_word_is_refused(lane, call, word):
    """Taken for a back-off, it put jobs off that counted nothing and so never ended."""
    job = lane.job()
    lease, _ = lane.claim()
    before = lane.row(job, "status, attempts, run_after, lease_id, last_error"), lane.state()
    with pytest.raises(psycopg2.errors.InvalidParameterValue):
        lane.q("SELECT * FROM " + call.format(lease=lease, job=job, word=f"{word}::text"))
    assert (lane.row(job, "status, attempts, run_after, lease_id, last_error"), lane.state()) == before


def test_lists_that_do_not_belong_together_are_refused(lane):
    job = lane.job()
    lease, _ = lane.claim()
    for words in ([], ["release", "fail"], None):
        with pytest.raises(psycopg2.errors.InvalidParameterValue):
            lane.q("SELECT * FROM issue_set_aside('w', %s, %s, %s, '{x,y}')", lease, [job], words)
    assert lane.row(job, "status") == ("Running",)


def ordered(lane, n, together=True):
    """Jobs whose orders the CA works on, due one after another."""
    lane.q("UPDATE workers SET code = current_schema() WHERE incarnation = 'w'")
    known = {"state": "ordered", "order_id": "1", "polls": 0} | ({"together": True} if together else {})
    return [lane.job(checkpoint=json.dumps(known)) for _ in range(n)]


def test_orders_for_one_list_go_together_and_count_as_one(lane):
    lane.q("UPDATE lanes SET rate_per_s = 1 WHERE issuer_id = %s", lane.issuer)
    jobs = ordered(lane, 9)
    lease, n = lane.claim()
    assert n == 9 and lane.claim() is None
    # Two are pending, at a time that both have; one was told to wait; of the others the list said nothing.
    outcomes = ["pending"] * 2 + ["silent"] + ["alone"] * 6
    orders = [json.dumps({"order_id": "7", "polls": 1, "wait_ms": wait, "grid_ms": 3000, "together": True}) for wait in (16500, 14900)] + [
        json.dumps({"order_id": "7", "polls": 1, "wait_ms": 100000, "together": True})] + [None] * 6
    lane.q("SELECT issue_set_aside('w', %s, %s, %s, %s, %s, NULL, %s::jsonb[])", lease, jobs, outcomes, [None] * 9, jobs, orders)
    rows = [lane.row(job, "status, extract(epoch FROM run_after - %s::timestamptz), checkpoint ? 'together', attempts, "
                     "checkpoint ? 'wait_ms' OR checkpoint ? 'grid_ms', checkpoint ->> 'order_id'" % repr(lane.now.isoformat())) for job in jobs]
    assert {row[0] for row in rows} == {"Pending"} and {row[3:5] for row in rows} == {(0, False)}
    assert 13.5 <= rows[0][1] <= 16.5 and rows[0][1] - rows[1][1] in (0, 3) and rows[2][1] == 100
    assert [row[2] for row in rows] == [True] * 3 + [False] * 6 and [row[5] for row in rows] == ["7"] * 3 + ["1"] * 6
    for _ in range(6):  # each by itself, as the rate has it
        assert lane.claim() is None
        lane.later(1)
        assert lane.claim()[1] == 1
    assert lane.claim() is None


@pytest.mark.parametrize("n, claimed", [(7, 1), (8, 8), (520, 500)], ids=["few", "enough", "more than one list"])
def test_a_list_is_asked_for_enough_orders(lane, n, claimed):
    ordered(lane, n)
    assert lane.claim()[1] == claimed


def test_no_list_is_asked_for_other_jobs(lane):
    """Those that go before them go alone; and a worker of a version that knows no lists is given one order."""
    first = lane.job()
    jobs = ordered(lane, 8)
    lane.q("UPDATE jobs SET run_after = run_after + interval '1 second' WHERE id = ANY (%s)", jobs)
    lane.later(2)
    lease, n = lane.claim()
    assert (n, lane.held(lease)) == (1, [first])
    lane.q("UPDATE jobs SET cancel_requested_at = now() WHERE id = %s", jobs[0])
    assert lane.claim()[1] == 1  # it is cancelled by itself
    ordered(lane, 1)
    lane.q("UPDATE workers SET code = 'another' WHERE incarnation = 'w'")
    assert lane.claim()[1] == 1
    lane.q("UPDATE workers SET code = current_schema() WHERE incarnation = 'w'")
    assert lane.claim() is not None


def test_the_worker_has_the_words_that_sql_knows():
    table = re.search(r"aside_names\[ASIDE_KINDS\] = \{(.*?)\};", (ROOT / "worker/kinds/issue_finish.c").read_text(), re.S).group(1)
    text = (ROOT / "migrations/code/07_complete.sql").read_text()
    known = re.search(r"words_check\(p_outcomes, '\{(.*?)\}'", text).group(1).split(",")
    assert len(known) == 12 and sorted(re.findall(r'"(\w+)"', table)) == sorted(known)


def test_an_open_breaker_waits_twice_as_long_each_time(lane):
    for _ in range(20):
        lane.job(max_attempts=1)
    for _ in range(5):
        lane.fail()
    waits = []
    for _ in range(7):
        until = lane.q("SELECT opened_until FROM lanes WHERE issuer_id = %s", lane.issuer)[0][0]
        waits.append((until - lane.now).total_seconds())
        lane.now = until
        lane.fail("refuse", "not today")
    assert waits == [30, 60, 120, 240, 480, 600, 600]
    assert lane.q("SELECT last_error FROM lanes WHERE issuer_id = %s", lane.issuer) == [("not today",)]


def test_what_ran_when_it_opened_changes_nothing(lane):
    leases = []
    for _ in range(8):
        lane.job()
        leases.append(lane.claim()[0])
    for lease in leases[:7]:
        lane.aside(lease, "retry")
    assert lane.state() == ("open", 7, 1)
    lane.later(31)
    lane.job()
    trial = lane.claim()[0]
    lane.aside(leases[7], "retry")
    assert lane.state()[::2] == ("half_open", 1)
    # A trial that ended without a word of the CA lets another through.
    lane.aside(trial, "release")
    again = lane.claim()[0]
    assert again != trial
    lane.aside(again, "retry")
    assert lane.state()[::2] == ("open", 2)


def test_a_success_in_between_is_not_in_a_row(lane):
    for _ in range(9):
        lane.job()
    for _ in range(4):
        lane.fail()
    lane.complete(lane.claim()[0])
    assert lane.state() == ("closed", 0, 0)
    for _ in range(4):
        lane.fail()
    assert lane.state()[0] == "closed"


def test_one_batch_is_one_failure(lane):
    for _ in range(30):
        lane.job()
    lease, n = lane.claim(30)
    assert n == 30
    lane.aside(lease, "retry")
    assert lane.state() == ("closed", 1, 0)


def test_the_leader_only_reads_a_healthy_lane(lane):
    lane.job()
    lane.job()
    before = lane.q("SELECT xmin::text, ctid FROM lanes WHERE issuer_id = %s", lane.issuer)
    lane.complete(lane.claim()[0])
    lane.aside(lane.claim()[0], "fail", "a bad request")
    assert lane.q("SELECT xmin::text, ctid FROM lanes WHERE issuer_id = %s", lane.issuer) == before


def test_a_rate(lane):
    for _ in range(12):
        lane.job()
    lane.q("UPDATE lanes SET rate_per_s = 4 WHERE issuer_id = %s", lane.issuer)
    assert lane.due() == (True, 4)
    assert lane.claim(3)[1] == 3
    assert lane.claim(3)[1] == 1
    assert lane.claim(3) is None and lane.due() == (True, 0)
    lane.later(0.5)
    assert lane.claim(3)[1] == 2
    # What nobody used does not pile up.
    lane.later(3600)
    assert lane.due() == (True, 4)


def test_a_slow_rate(lane):
    lane.job()
    lane.job()
    lane.q("UPDATE lanes SET rate_per_s = 0.1 WHERE issuer_id = %s", lane.issuer)
    assert lane.claim()[1] == 1
    lane.later(9)
    assert lane.claim() is None
    lane.later(1.1)
    assert lane.claim()[1] == 1


def test_retries_wait_longer_and_end(lane):
    job = lane.job(max_attempts=4)
    waits = []
    for n in range(1, 4):
        lane.fail("refuse", f"no: {n}")
        status, attempts, error, run_after = lane.row(job, "status, attempts, last_error, run_after")
        assert (status, attempts, error) == ("Pending", n, f"no: {n}")
        waits.append((run_after - lane.now).total_seconds())
        assert lane.claim() is None
        lane.now = run_after
    assert all(0.9 * 60 * 2 ** i <= w <= 1.1 * 60 * 2 ** i for i, w in enumerate(waits)), waits
    lane.fail("refuse", "no: 4")
    assert lane.row(job, "status, attempts, last_error") == ("Failed", 4, "no: 4")
    # Said once: the certificate's history has one line about it.
    assert lane.q("SELECT details ->> 'error' FROM audit_events WHERE action = 'renewal_job_failed' AND resource_id = %s",
                  f"{lane.issuer}-1") == [("no: 4",)]


def test_the_policy_says_how_long_a_retry_waits(lane):
    lane.q("INSERT INTO renewal_policies (id, name, renewal_window_days, retry_interval_seconds) VALUES (%s, %s, 30, 7200)",
           f"rp-{lane.issuer}", f"rp-{lane.issuer}")
    job = lane.job(max_attempts=9)
    lane.q("UPDATE managed_certificates SET renewal_policy_id = %s WHERE id = %s", f"rp-{lane.issuer}", f"{lane.issuer}-1")
    lane.fail()
    wait = (lane.row(job, "run_after")[0] - lane.now).total_seconds()
    assert 0.9 * 7200 <= wait <= 1.1 * 7200
    # No longer than a tenth of its life: it has the last third for its tries.
    for seconds in (3600, 60):
        lane.q("UPDATE managed_certificates SET valid_from = now(), expires_at = now() + make_interval(secs => %s) WHERE id = %s",
               seconds, f"{lane.issuer}-1")
        lane.q("UPDATE jobs SET run_after = %s WHERE id = %s", lane.now, job)
        lane.fail()
        assert 0.09 * seconds <= (lane.row(job, "run_after")[0] - lane.now).total_seconds() <= 0.11 * seconds


def test_a_release_counts_nothing(lane):
    job = lane.job(max_attempts=1)
    for _ in range(15):
        lane.fail("release", None)
        assert lane.row(job, "status, attempts") == ("Pending", 0)
    assert lane.state() == ("closed", 0, 0)


def test_a_lost_lease_changes_nothing(lane):
    job = lane.job()
    lease, _ = lane.claim()
    for outcome in ("fail", "retry", "refuse", "ended", "release", "cancel"):
        lane.aside(lease + 1, outcome, jobs=[job])
        assert lane.row(job, "status, attempts, lease_id") == ("Running", 0, lease)
    assert lane.state() == ("closed", 0, 0)


def test_the_end_of_a_budget_is_not_a_cancellation(lane):
    job, asked = lane.job(max_attempts=1), lane.job(requested_by="alice")
    by_system, by_alice = lane.claim()[0], lane.claim()[0]
    assert lane.held(by_system) == [job]
    assert lane.q("SELECT duty_renewal_budget()")[0][0] >= 1
    told = lane.q("SELECT cancel_job_ids FROM worker_renew('w', 'w', 'h', 1, '', 1, 1700)")[0][0]
    assert job in told and asked not in told
    lane.q("UPDATE workers SET lease_until = 'infinity' WHERE incarnation = 'w'")
    assert lane.aside(by_system, "cancel") == {job: "Pending"}
    assert lane.row(job, "attempts, last_error, budget_over_at") == (0, None, None)
    again, _ = lane.claim()
    assert lane.held(again) == [job]
    # Nor is what a worker heard of its lease before, and does by the next one.
    assert lane.aside(again, "cancel") == {job: "Pending"} and lane.row(job, "last_error") == (None,)
    again, _ = lane.claim()
    # A person's word goes before the budget's.
    lane.q("SELECT duty_renewal_budget()")
    assert lane.q("SELECT outcome FROM job_cancel(%s, 'alice', 'APIKey', 'cancelled by alice')", job) == [("requested",)]
    assert lane.aside(again, "cancel") == {job: "Cancelled"}
    lane.aside(by_alice, "release")


def test_a_budget_leaves_the_local_ca_alone(basics, unique):
    lane = Lane(basics, unique("iss"), "GenericCA")
    lane.job()
    lease, _ = lane.claim()
    lane.q("SELECT duty_renewal_budget()")
    assert lane.row(lane.held(lease)[0], "budget_over_at") == (None,)
    lane.aside(lease, "release")


DIED = "its workers died again and again while running it, at last with nothing else in hand"


def born(lane, worker):
    lane.q("SELECT * FROM worker_renew(%s, %s, 'h', 1, '', 1, 60000)", worker, worker)
    lane.q("UPDATE workers SET lease_until = 'infinity' WHERE incarnation = %s", worker)
    return worker


def died(lane, job, times):
    """The worker that runs this job dies, so many times."""
    for _ in range(times):
        lane.deaths += 1
        worker = born(lane, f"{lane.issuer}-w{lane.deaths}")
        assert lane.claim(worker=worker)
        free(lane, worker)
        lane.later(1)
    return lane.row(job, "status, last_error, run_after = 'infinity', checkpoint ->> 'state'")


def test_the_second_death_alone_fails_a_suspect(lane):
    job = lane.job()
    assert died(lane, job, 4)[0] == "Pending"
    status, error, *_ = died(lane, job, 1)
    assert (status, error) == ("Failed", DIED)


def test_a_suspect_fails_for_no_death_that_another_may_have_caused(lane):
    """Its worker held a job of another lease, or a task; in the end too many deaths are too many."""
    suspect, other = lane.job(), None
    assert died(lane, suspect, 3)[0] == "Pending"
    deaths = 3
    while lane.row(suspect, "status") == ("Pending",):
        other = lane.job()
        worker = born(lane, f"{lane.issuer}-b{deaths}")
        assert lane.claim(worker=worker)[1] == 1 and lane.row(other, "status") == ("Running",)
        lease, n = lane.claim(worker=worker)
        assert lane.held(lease) == [suspect]
        free(lane, worker)
        lane.q("UPDATE jobs SET status = 'Cancelled', completed_at = now() WHERE id = %s", other)
        deaths += 1
    assert deaths == 16 and lane.row(suspect, "last_error") == (DIED,)


def crash(lane, worker, poison, limit, slots):
    """One worker's life until it holds nothing more: False when it died of what it held."""
    leases = [lane.claim(limit, worker) for _ in range(slots)]
    leases = [lease for lease in leases if lease]
    held = {job for lease, _ in leases for job in lane.held(lease)}
    if held & poison:
        free(lane, worker)
        return False
    for lease, _ in leases:
        lane.complete(lease, worker)
    return True


@pytest.mark.parametrize("n, k, limit, slots", [(250, 1, 1000, 2), (250, 4, 1000, 2), (250, 3, 100, 2), (60, 2, 1, 32)])
def test_the_guilty_among_many_are_found_by_halves(lane, n, k, limit, slots):
    """By two workers at once: O(k log n) of them die, and every innocent job is completed."""
    jobs = [lane.job() for _ in range(n)]
    poison = set(random.Random(n + k).sample(jobs, k))
    workers, deaths, turns = [born(lane, f"{lane.issuer}-{i}") for i in range(2)], 0, 0
    while lane.q("SELECT 1 FROM jobs WHERE issuer_id = %s AND status = 'Pending' LIMIT 1", lane.issuer):
        turns += 1
        for i in range(2):
            if not crash(lane, workers[i], poison, limit, slots):
                deaths += 1
                workers[i] = born(lane, f"{lane.issuer}-{i}-{deaths}")
    ended = lane.q("SELECT id, status, last_error FROM jobs WHERE issuer_id = %s", lane.issuer)
    assert {(status, why) for job, status, why in ended if job in poison} == {("Failed", DIED)}
    assert {status for job, status, _ in ended if job not in poison} == {"Completed"}
    assert deaths <= k * (3 + math.ceil(math.log2(n)) + 3)
    assert turns <= deaths + n // 8


def free(lane, worker=None):
    """The worker's connection closed, or the leader sweeps."""
    lane.q("SELECT * FROM leases_free('leader', 7, %s, NULL, 0, %s)", worker, job_words())


def lives(lane):
    born(lane, "w")


@pytest.mark.parametrize("is_closed", [False, True], ids=["silent", "closed"])
def test_a_worker_that_returns_was_no_death(lane, is_closed):
    """However often: nothing fails, and nothing runs alone."""
    jobs = sorted(lane.job() for _ in range(300))
    for _ in range(6):
        lease, n = lane.claim(1000)
        assert n == 300
        if not is_closed:
            lane.q("UPDATE workers SET lease_until = clock_timestamp() WHERE incarnation = 'w'")
        free(lane, "w" if is_closed else None)
        assert lane.row(jobs[0], "status, died_with") == ("Pending", ["w"])
        lives(lane)
        assert {lane.row(job, "status, cardinality(died_with)") for job in jobs} <= {("Pending", 0), ("Pending", None)}
        lane.later(1)
    lane.complete(lane.claim(1000)[0])


def test_a_pause_takes_back_no_death_of_another(lane):
    """Nor is it the last death: what it looked like is taken back before it counts."""
    job = lane.job()
    lane.q("UPDATE jobs SET died_with = '{x,y,z}' WHERE id = %s", job)
    for _ in range(3):
        assert lane.claim()
        free(lane, "w")
        assert lane.row(job, "status") == ("Pending",)
        lives(lane)
        assert lane.row(job, "died_with") == (["x", "y", "z"],)
    assert died(lane, job, 2)[:2] == ("Failed", DIED)


def test_a_pause_is_no_part_of_an_attempt(lane):
    """A host stopped with everything on it, PostgreSQL too: all leases and deadlines lie in the past when it goes on."""
    job = lane.job()
    task = lane.q("INSERT INTO tasks (id, kind, subject, status, lease_id, leased_by, attempt_until) VALUES "
                  "(%s, 'noop', '', 'Running', nextval('lease_seq'), 'w', clock_timestamp() + interval '1 minute') RETURNING id",
                  f"task-{job}")[0][0]
    for _ in range(6):
        assert lane.claim()
        lane.q("UPDATE workers SET lease_until = clock_timestamp() - interval '1 hour' WHERE incarnation = 'w'")
        lane.q("UPDATE jobs SET attempt_until = clock_timestamp() - interval '59 minutes' WHERE id = %s", job)
        lane.q("UPDATE tasks SET attempt_until = clock_timestamp() - interval '59 minutes' WHERE id = %s", task)
        lives(lane)
        free(lane)
        assert lane.row(job, "status, died_with") == ("Running", None)
        assert lane.q("SELECT status, died_with FROM tasks WHERE id = %s", task) == [("Running", None)]
        assert lane.row(job, "attempt_until < clock_timestamp() + interval '65 s'") == (True,)
        lane.q("SELECT * FROM leases_free('leader', 7, 'w', '{}', 0, %s)", job_words())  # it names no lease: they were dropped
        assert lane.row(job, "status, died_with, attempts") == ("Pending", None, 0)
        lane.q("UPDATE tasks SET status = 'Running', lease_id = nextval('lease_seq'), leased_by = 'w' WHERE id = %s", task)
        lane.later(1)
    lane.q("DELETE FROM tasks WHERE id = %s", task)


def test_a_worker_that_is_back_while_its_jobs_are_freed_died_of_nothing(lane):
    """Nor was its time up under it: the leader looks at the lease and the deadline, and then writes what it saw."""
    job = lane.job()
    assert lane.claim()
    lane.q("UPDATE workers SET lease_until = clock_timestamp() - interval '1 hour' WHERE incarnation = 'w'")
    lane.q("UPDATE jobs SET attempt_until = clock_timestamp() - interval '59 minutes' WHERE id = %s", job)
    with concurrent.futures.ThreadPoolExecutor(1) as beside, lane.stack.connect() as other, other.cursor() as c:
        c.execute("LOCK TABLE audit_events IN SHARE ROW EXCLUSIVE MODE")  # which its last statement writes to
        freeing = beside.submit(free, lane)
        wait_for(lambda: lane.q("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%leases_free%' AND wait_event_type = 'Lock'")
                 == [(1,)], 20, "the leader between its look and its writing")
        lives(lane)
        other.rollback()
        freeing.result()
    assert lane.row(job, "status, died_with") == ("Pending", ["w"])
    lives(lane)
    assert lane.row(job, "cardinality(died_with)") in ((0,), (None,))


def test_a_renewal_waits_for_no_job_that_somebody_holds(lane):
    job = lane.job()
    assert lane.claim()
    free(lane, "w")
    with lane.stack.connect() as other, other.cursor() as c:
        c.execute("SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", (job,))
        lives(lane)
        assert lane.row(job, "died_with") == (["w"],)
    lives(lane)
    assert lane.row(job, "cardinality(died_with)") in ((0,), (None,))


def test_attempts_past_their_end_count_though_the_worker_lives(lane):
    job = lane.job()
    for _ in range(4):
        assert lane.claim()
        lane.q("UPDATE jobs SET attempt_until = clock_timestamp() - interval '1 second' WHERE id = %s", job)
        free(lane)
        lives(lane)
        lane.later(1)
    assert lane.row(job, "status") == ("Failed",)


def test_one_that_runs_alone_goes_behind_the_untouched(lane):
    suspect = lane.job()
    assert died(lane, suspect, 3)[0] == "Pending"
    untouched = lane.job()
    lease, n = lane.claim(20)
    assert n == 1 and lane.held(lease) == [untouched]
    lease, n = lane.claim(20)
    assert n == 1 and lane.held(lease) == [suspect]


def test_the_last_death_with_an_open_order_waits_for_a_person(lane):
    job = lane.job(checkpoint=json.dumps({"state": "placing", "order_reference": "order-1"}))
    status, error, is_parked, state = died(lane, job, 5)
    assert (status, is_parked, state) == ("Pending", True, "uncertain")
    assert "order-1" in error and "cancel this job" in error
    assert lane.q("SELECT count(*) FROM audit_events WHERE action = 'renewal_job_order_uncertain' AND details ->> 'job_id' = %s",
                  job)[0][0] == 1


def test_a_bad_configuration_is_a_failure_of_its_lane_in_words(lane):
    lane.q("UPDATE issuers SET config = %s WHERE id = %s", json.dumps({"validity_days": "90d"}), lane.issuer)
    jobs = [lane.job() for _ in range(6)]
    for n, job in enumerate(jobs[:5], 1):
        assert lane.claim_alone() is None
        status, attempts, error = lane.row(job, "status, attempts, last_error")
        assert (status, attempts) == ("Pending", 1) and 'type integer: "90d"' in error and "configuration" in error
        assert lane.state()[1] == n
    assert lane.state()[0] == "open" and lane.due() == (True, 0)
    # Whoever waits behind it says why, though nobody tried it.
    assert lane.row(jobs[5], "attempts, last_error") == (0, None)
    status, shown = lane.stack.api.get(f"/api/v1/jobs/{jobs[5]}")
    assert status == 200 and '"90d"' in shown["last_error"]
    assert [j["last_error"] for j in lane.stack.api.get(f"/api/v1/jobs?certificate_id={lane.issuer}-6")[1]["data"]] == [shown["last_error"]]
    # One is tried after the rest, and a longer one follows.
    assert lane.claim_alone() is None and lane.row(jobs[5], "attempts") == (0,)
    lane.later(31)
    assert lane.claim_alone() is None and lane.row(jobs[5], "attempts") == (1,)
    assert lane.state() == ("open", 6, 2)
    lane.q("UPDATE issuers SET config = '{}' WHERE id = %s", lane.issuer)
    lane.later(61)
    lease, n = lane.claim_alone()
    assert n == 1
    lane.complete(lease)
    assert lane.state() == ("closed", 0, 0)


def test_one_bad_job_is_set_aside_and_the_others_go(lane):
    bad, good = lane.job(), lane.job()
    lane.stack.plant("ALTER TABLE jobs ADD CONSTRAINT no_such_job CHECK (id <> %s OR status <> 'Running' OR deliveries = 0)", bad)
    try:
        assert lane.claim_alone() is None
        status, attempts, error = lane.row(bad, "status, attempts, last_error")
        assert (status, attempts) == ("Pending", 1) and "no_such_job" in error
        lease, n = lane.claim_alone()
        assert n == 1 and lane.held(lease) == [good]
    finally:
        lane.stack.plant("ALTER TABLE jobs DROP CONSTRAINT no_such_job")


def test_what_somebody_holds_is_passed_over(lane):
    held, free = lane.job(), lane.job()
    with lane.stack.connect() as other, other.cursor() as c:
        c.execute("SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", (held,))
        lease, n = lane.claim_alone()
        assert n == 1 and lane.held(lease) == [free]


@pytest.mark.parametrize("table, column", [("managed_certificates", "certificate_id"), ("jobs", "id")])
def test_what_somebody_holds_goes_back_and_the_rest_is_stored(lane, table, column):
    """An open transaction of anybody's: a batch does not wait for it, and its jobs go on by themselves afterwards."""
    jobs = [lane.job() for _ in range(12)]
    lease, n = lane.claim(20)
    assert n == 12

    def complete(lease, ids):
        return {r[0] for r in lane.q("SELECT job_id FROM issue_complete('w', %s, %s, %s, %s, %s, %s, '', 'somebody holds it') "
                                     "WHERE status = 'Completed'", lease, ids, ["pem"] * len(ids), ids, ["ECDSA"] * len(ids), [256] * len(ids))}

    with lane.stack.connect() as other, other.cursor() as c:
        c.execute(f"SELECT 1 FROM {table} WHERE id IN (SELECT {column} FROM jobs WHERE id = ANY(%s)) FOR UPDATE", (jobs[:8],))
        lane.q("SET statement_timeout = '30s'")
        assert complete(lease, jobs) == set(jobs[8:])
        assert {lane.row(job, "status")[0] for job in jobs[8:]} == {"Completed"}
        if table == "managed_certificates":
            for job in jobs[:8]:
                assert lane.row(job, "status, attempts, died_with, last_error") == ("Pending", 0, None, "somebody holds it")
        other.rollback()
    lane.q("SET statement_timeout = 0")
    lane.later(3)
    if table == "managed_certificates":
        lease, n = lane.claim(20)
        assert n == 8
    assert complete(lease, jobs[:8]) == set(jobs[:8])
    assert {lane.row(job, "status, last_error") for job in jobs} == {("Completed", None)}
