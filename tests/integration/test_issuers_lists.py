"""
Orders that a CA works on are asked for by a list of it, where it has one: what that saves, and that no answer to it, nor none, loses an
order or makes a second one.
"""
import re

import pytest

from ca_kinds import LISTED
from fleet import ROOT, Timeout, wait_for
from sim_ca import request_for
from test_issuers_conformance import die_at, make, numbers, order, plane, row  # noqa: F401

LEAST, MOST = 8, 500  # orders that are asked for by one list
FAR = "UPDATE jobs SET run_after = now() + interval '1 hour' WHERE id = ANY (%s) AND status = 'Pending'"
DUE = "UPDATE jobs SET run_after = now() WHERE id = ANY (%s) AND status = 'Pending'"
PARK = """
    WITH given AS (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) AS g (name, number, pem)
    ), made AS (
        INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id, status, expires_at, valid_from,
            environment)
        SELECT name, name, name || '.example.test', ARRAY[name || '.example.test'], 'o-test', 't-test', %s, 'rp-default', 'RenewalInProgress',
            now() + interval '80 days', now() - interval '10 days', 'production' FROM given
    ), jobs AS (
        INSERT INTO jobs (id, type, certificate_id, status, issuer_id, dedupe_key, scheduled_at, run_after, checkpoint)
        SELECT 'job-' || name, 'Renewal', name, 'Pending', %s, 'issue:' || name || ':', now(), now() + interval '1 hour', jsonb_build_object('state',
            'ordered', 'order_id', number, 'order_reference', 'job-' || name, 'send_before', now() - interval '1 minute', 'ordered_at', now(),
            'polls', 0, 'together', true) FROM given)
    INSERT INTO certificate_requests SELECT 'job-' || name, pem, '' FROM given"""


@pytest.fixture(params=LISTED)
def ca(make, request):  # noqa: F811
    issuer = make(request.param)
    issuer.pending()
    return issuer


def park(plane, ca, n=LEAST):  # noqa: F811
    """Jobs whose orders it works on, as a worker left them; none is due before the test says so."""
    from cryptography.hazmat.primitives import serialization
    names = [f"listed{next(numbers)}" for _ in range(n)]
    ordered, pems = [], []
    for name in names:
        request = request_for(f"{name}.example.test")
        with ca.sim.lock:
            ordered.append(next(ca.sim.ids))
            ca.sim.take(ordered[-1], request, 90, cn=f"{name}.example.test", names=[f"{name}.example.test"], product="ssl_basic", type=31,
                        comments=f"certctl job-{name}")
        pems.append(request.public_bytes(serialization.Encoding.PEM).decode())
    plane.query(PARK, names, [str(number) for number in ordered], pems, ca.id, ca.id)
    ca.sim.forget_calls()
    return [f"job-{name}" for name in names]


def number_of(plane, job):  # noqa: F811
    return int(row(plane, job, "checkpoint ->> 'order_id'")[0])


def state(plane, job):  # noqa: F811
    return row(plane, job, "status, checkpoint ->> 'state', (checkpoint ->> 'polls')::int, checkpoint ? 'together'")


def lists(ca):
    return ca.sim.calls(ca.listed)


def wait_polled(plane, jobs):  # noqa: F811
    wait_for(lambda: all(state(plane, job) == ("Pending", "ordered", 1, True) for job in jobs), 30, "all to be parked again")


def issued(plane, jobs):  # noqa: F811
    """What is ready is not in the list, so each is collected by itself."""
    plane.query(DUE, jobs)
    wait_for(lambda: plane.value("SELECT count(*) FROM jobs WHERE id = ANY (%s) AND status = 'Completed'", jobs) == len(jobs), 30, "all to be issued")


def asked_alone(ca):
    """How often single orders were asked for, by number."""
    form = re.compile(f"GET {ca.sim.base}{ca.shows}([0-9]+)$")
    found = [int(match[1]) for line, _, _ in list(ca.sim.log) if (match := form.match(line))]
    return {number: found.count(number) for number in found}


def test_one_list_serves_many(plane, ca):  # noqa: F811
    jobs = park(plane, ca)
    plane.query(DUE, jobs)
    wait_polled(plane, jobs)
    assert (lists(ca), asked_alone(ca)) == (ca.found_in, {})
    # The second time of the plan, a tenth more or less, and together again.
    assert plane.query("SELECT count(DISTINCT run_after), bool_and(run_after - now() BETWEEN interval '8 s' AND interval '16.5 s'), max(attempts) "
                       "FROM jobs WHERE id = ANY (%s)", jobs) == [(1, True, 0)]
    assert all("works on it" in row(plane, j)[1] for j in jobs)
    assert ca.orders() == LEAST


def test_few_are_asked_for_by_themselves(plane, ca):  # noqa: F811
    jobs = park(plane, ca, 2)
    plane.query(DUE, jobs)
    wait_polled(plane, jobs)
    assert (lists(ca), asked_alone(ca)) == (0, {number_of(plane, j): 1 for j in jobs})


def test_what_has_changed_is_collected(plane, ca):  # noqa: F811
    jobs = park(plane, ca)
    done, ended, still = jobs[:2], jobs[2:3], jobs[3:]
    numbers_ = {j: number_of(plane, j) for j in jobs}
    for job in done:
        ca.sim.orders[numbers_[job]]["status"] = ca.ready_word
    ca.sim.orders[numbers_[ended[0]]]["status"] = ca.ends[0]
    plane.query(DUE, jobs)
    wait_polled(plane, still)
    for job in done:
        wait_for(lambda: row(plane, job)[0] == "Completed", 20, "it to be collected")  # noqa: B023
    wait_for(lambda: row(plane, ended[0]) == ("Failed", f"the CA ended order {numbers_[ended[0]]} without a certificate: {ca.ends[0]}"), 20, "it to fail")
    assert asked_alone(ca) == {numbers_[j]: 1 for j in done + ended}
    assert ca.orders() == LEAST


def test_what_it_does_not_show_is_asked_for_by_itself(plane, ca):  # noqa: F811
    """It waits in a status that the list does not have; another one is forgotten there, and is placed again."""
    jobs = park(plane, ca)
    waits, forgotten = number_of(plane, jobs[0]), number_of(plane, jobs[1])
    ca.sim.orders[waits]["status"] = ca.unlisted
    ca.sim.forget(forgotten)
    plane.query(DUE, jobs)
    wait_polled(plane, [jobs[0], *jobs[2:]])

    def is_placed_again():
        status, step = state(plane, jobs[1])[:2]
        if (status, step) == ("Pending", "ordered") and number_of(plane, jobs[1]) != forgotten:
            return True
        # Stopped by the end of its tick's budget, or by an answer that came too late on a busy machine: it need not wait.
        plane.query(DUE, jobs[1:2])
        return False
    try:
        wait_for(is_placed_again, 20, "the second order", every=0.5)
    except Timeout as e:
        raise AssertionError((row(plane, jobs[1], "to_jsonb(jobs)"), plane.query("SELECT to_jsonb(l) FROM lanes l WHERE issuer_id = %s", ca.id),
                              list(ca.sim.log)[-20:])) from e
    alone = asked_alone(ca)
    # Whatever stopped it before it was placed, it is asked for once more then.
    assert alone[waits] == 1 and alone[forgotten] >= 1 and ca.orders() == LEAST + 1


def test_a_cancelled_one_is_cancelled(plane, ca):  # noqa: F811
    jobs = park(plane, ca, LEAST + 1)
    cancelled = number_of(plane, jobs[-1])
    plane.query("UPDATE jobs SET cancel_requested_at = now() WHERE id = %s", jobs[-1])
    plane.query(DUE, jobs)
    wait_for(lambda: row(plane, jobs[-1])[0] == "Cancelled", 20, "it to be cancelled")
    wait_polled(plane, jobs[:-1])
    assert ca.sim.orders[cancelled]["status"] == ca.cancelled and ca.orders() == LEAST + 1


@pytest.mark.parametrize("fault, waits", [
    ({"status": 429, "headers": {"Retry-After": "7000"}}, True), ({"status": 503, "headers": {"Retry-After": "7000"}}, True), ({"status": 500}, False),
    ({"status": 401}, False), ({"status": 403}, False), ({"status": 404}, False), ({"close": "before"}, False), ({"truncate": True}, False),
    ({"status": 200, "body": "<html>"}, False), ({"status": 200, "body": {"id": 1}}, False), ({"status": 200, "body": "[" * 2000}, False),
    ({"status": 200, "body": "[" + "1," * 700000 + "1]"}, False)],
    ids=["429", "503", "500", "401", "403", "404", "cut", "half", "html", "no list", "deep", "too long"])
def test_a_list_that_fails_loses_no_order(plane, ca, fault, waits):  # noqa: F811
    jobs = park(plane, ca)
    ca.sim.fault(ca.listed, times=1, **fault)
    plane.query(DUE, jobs)
    wait_polled(plane, jobs)
    assert lists(ca) == 1
    if waits:  # whom it tells to wait it is not asked one by one
        assert asked_alone(ca) == {}
        assert plane.value("SELECT bool_and(run_after > now() + interval '100 minutes' AND last_error LIKE '%%did not say what became of it%%') "
                           "FROM jobs WHERE id = ANY (%s)", jobs)
    else:
        assert asked_alone(ca) == {number_of(plane, j): 1 for j in jobs}
    assert plane.value("SELECT max(attempts) FROM jobs WHERE id = ANY (%s)", jobs) == 0
    ca.ready()
    issued(plane, jobs)
    assert ca.orders() == LEAST


@pytest.mark.parametrize("point", ["listing", "listed"])
def test_killed_at_a_list_nothing_is_lost_or_doubled(plane, ca, die_at, point):  # noqa: F811
    jobs = park(plane, ca)
    died = die_at(f"worker.outside.{point}")
    plane.query(DUE, jobs)
    died()
    wait_for(lambda: not plane.value("SELECT count(*) FROM jobs WHERE status = 'Running' AND id = ANY (%s)", jobs), 30, "the jobs to be free")
    wait_polled(plane, jobs)
    assert asked_alone(ca) == {}
    ca.ready()
    issued(plane, jobs)
    assert ca.orders() == LEAST and plane.value("SELECT count(*) FROM certificate_versions v JOIN jobs j ON j.version_id = v.id "
                                                "WHERE j.id = ANY (%s)", jobs) == LEAST


def test_past_their_limit_they_are_kept(plane, ca):  # noqa: F811
    jobs = park(plane, ca)
    plane.query("UPDATE jobs SET checkpoint = checkpoint || jsonb_build_object('ordered_at', now() - interval '1 hour') WHERE id = ANY (%s)", jobs)
    plane.query(DUE, jobs)
    wait_polled(plane, jobs)
    assert asked_alone(ca) == {} and plane.value("SELECT bool_and(last_error LIKE 'StillPending: %%' AND run_after - now() BETWEEN "
                                                 "interval '48 minutes' AND interval '66 minutes') FROM jobs WHERE id = ANY (%s)", jobs)


def test_calls_grow_with_pages_and_not_with_orders(plane, ca):  # noqa: F811
    """As many orders as are pending after a big replacement: about a call a page, where there was one an order."""
    many = 2 * MOST
    jobs = park(plane, ca, many)
    plane.query(DUE, jobs)
    polled = "SELECT count(*) FROM jobs WHERE id = ANY (%s) AND status = 'Pending' AND checkpoint ->> 'polls' = '1' AND last_error LIKE 'pending: %%'"
    wait_for(lambda: plane.value(polled, jobs) == many, 60, "all to be asked for")
    assert not asked_alone(ca)
    # Each lease may have to read all pages before it has found its orders.
    assert lists(ca) <= many // MOST * (ca.found_in + many // ca.page) <= 14, lists(ca)
    assert plane.value("SELECT count(DISTINCT run_after) <= 2 FROM jobs WHERE id = ANY (%s)", jobs)
    plane.query(FAR, jobs)


def test_the_numbers_are_the_policys():
    text = (ROOT / "common/policy/policy.def").read_text()
    assert f"NUMBER(LIST_LEAST, {LEAST}," in text and f"NUMBER(LIST_MOST, {MOST}," in text
