"""
What holds for every kind of CA, on real processes: the same tests for each connector, the local CA included.  A connector of an
outside CA says how its CA is told to behave (ca_kinds.py); what is particular to one has a file of its own.
"""
import itertools
import os

import pytest

from ca_kinds import CONNECTORS, GIVEN_ONCE, GO_ON, OUTSIDE, WORKS_ON_IT, start_simulators
from fleet import wait_for

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def plane(stack):
    stack.start_scheduler(keep=True, CERTCTL_SCHEDULER_RENEWAL_CHECK_INTERVAL="1s", CERTCTL_SCHEDULER_RENEWAL_WINDOWS_INTERVAL="1s")
    stack.start_worker(1, keep=True, CERTCTL_FAULT_FILE=str(stack.dir / "fault"), **start_simulators(stack))
    stack.make_basics()
    stack.start_agent("agent-1", keep=True)
    yield stack
    for sim in stack.sims.values():
        sim.close()


@pytest.fixture
def make(plane):
    made = []

    def one(kind):
        name = f"ca{next(numbers)}"
        issuer = CONNECTORS[kind](plane, name)
        issuer.id = f"iss-{name}"
        made.append(issuer)
        plane.api.need("POST", "/api/v1/issuers", {"id": issuer.id, "name": name} | issuer.config)
        if hasattr(issuer, "sim"):
            # The test of a new issuer calls the CA: what a test plans is not met by that, nor is it in the log.
            wait_for(lambda: plane.api.need("GET", f"/api/v1/issuers/{issuer.id}")["test_status"] != "untested", 20, "the issuer's test")
            issuer.sim.forget_calls()
        return issuer
    yield one
    for issuer in made:
        issuer.close()
        plane.query("UPDATE issuers SET enabled = false WHERE id = %s", issuer.id)
    ids = [i.id for i in made]

    def are_over():
        """A task that failed would be tried again, and ask the simulator in the middle of another test."""
        plane.query("DELETE FROM tasks WHERE status = 'Pending' AND issuer_id = ANY (%s)", ids)
        return not plane.value("SELECT (SELECT count(*) FROM jobs WHERE status = 'Running' AND issuer_id = ANY (%s)) "
                               "+ (SELECT count(*) FROM tasks WHERE issuer_id = ANY (%s))", ids, ids)
    wait_for(are_over, 40, "its jobs and tasks to leave the worker")


@pytest.fixture
def order(plane):
    def place(issuer, **facts):
        name = f"c{next(numbers)}"
        plane.make_target(f"tgt-{name}", plane.processes["agent-1"].agent_id, plane.dir / "sites" / name)
        plane.make_certificate(name, [f"tgt-{name}"], issuer_id=issuer.id, **facts)
        return name, renew(plane, name)
    return place


def change(plane, issuer, **changes):
    plane.api.need("PUT", f"/api/v1/issuers/{issuer.id}", {"config": issuer.config["config"] | changes})


def renew(plane, certificate):
    return plane.api.need("POST", f"/api/v1/certificates/{certificate}/renew")["job_id"]


def row(plane, job, columns="status, last_error"):
    return plane.query(f"SELECT {columns} FROM jobs WHERE id = %s", job)[0]


def wait_status(plane, job, *statuses, seconds=30):
    return wait_for(lambda: (found := row(plane, job))[0] in statuses and found, seconds, f"{job} to be {statuses}")


def wait_ordered(plane, job, polls):
    """So often at least: where the next step is not the CA's, it is polled again by itself."""
    columns = "status, checkpoint ->> 'state', leased_by, lease_id, (checkpoint ->> 'polls')::int >= %d" % polls
    wait_for(lambda: row(plane, job, columns) == ("Pending", "ordered", None, None, True), 30, f"{job} to be parked")


def at_once(plane, job):
    """It need not wait for its time."""
    wait_for(lambda: row(plane, job)[0] in ("Pending", "Completed"), 30, "the job to be free")
    plane.query("UPDATE jobs SET run_after = now() WHERE id = %s AND status = 'Pending'", job)


def completed(plane, job):
    """An order that is answered with its id is asked for at once, however long a CA takes by itself."""
    def look():
        status, _, state = row(plane, job, "status, last_error, checkpoint ->> 'state'")
        if (status, state) == ("Pending", "ordered"):
            plane.query("UPDATE jobs SET run_after = now() WHERE id = %s AND status = 'Pending'", job)
        return status in ("Completed", "Failed", "Cancelled")
    wait_for(look, 40, f"{job} to end")
    assert row(plane, job) == ("Completed", None)


def versions(plane, certificate):
    return plane.query("SELECT v.serial_number, v.pem_chain || c.pem, v.not_after FROM certificate_versions v "
                       "JOIN certificate_chains c ON c.id = v.chain_id WHERE v.certificate_id = %s ORDER BY v.id", certificate)


def certificates(text):
    from cryptography import x509
    end = "-----END CERTIFICATE-----\n"
    return [x509.load_pem_x509_certificate((part + end).encode()) for part in text.split(end)[:-1]]


@pytest.mark.parametrize("kind", CONNECTORS)
def test_it_is_tested_when_it_is_configured(plane, make, kind):
    issuer = make(kind)
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{issuer.id}")[1]["test_status"] == "success", 20, "the issuer's test")
    if issuer.outside:
        assert issuer.orders() == 0


@pytest.mark.parametrize("kind", CONNECTORS)
def test_it_issues_and_renews_one_order_each(plane, make, order, kind):
    from cryptography import x509
    issuer = make(kind)
    name, job = order(issuer)
    completed(plane, job)
    again = renew(plane, name)
    completed(plane, again)
    stored = versions(plane, name)
    assert len(stored) == 2 and len({serial for serial, _, _ in stored}) == 2
    for serial, text, not_after in stored:
        leaf, *chain = certificates(text)
        assert (leaf.serial_number, leaf.not_valid_after.replace(tzinfo=not_after.tzinfo)) == (int(serial, 16), not_after)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [f"{name}.example.test"]
        for below, above in zip([leaf, *chain], chain):
            assert below.issuer == above.subject
    if issuer.outside:
        assert issuer.orders() == 2


@pytest.mark.parametrize("kind", OUTSIDE)
def test_its_refusal_is_shown_in_its_own_words(plane, make, order, kind):
    issuer = make(kind)
    issuer.refuse()
    _, job = order(issuer)
    assert issuer.refusal in wait_for(lambda: row(plane, job)[1], 20, "the refusal")
    assert issuer.orders() == 0
    assert row(plane, job, "checkpoint") == (None,)


@pytest.mark.parametrize("how, words", [("expired", "it expired at 20"), ("soon", "it ends within a minute"),
                                        ("names", "it names somebody.else.example"), ("key", "it is for another key"),
                                        ("ca", "it is a CA's certificate")])
@pytest.mark.parametrize("kind", OUTSIDE)
def test_a_wrong_certificate_is_not_stored(plane, make, order, kind, how, words):
    issuer = make(kind)
    issuer.wrong(how)
    name, job = order(issuer)
    if kind not in GO_ON:
        wait_ordered(plane, job, 0)
        at_once(plane, job)
    status, error = wait_status(plane, job, "Completed", "Failed")
    assert (status, words in error, "revoke it at the CA" in error) == ("Failed", True, True), error
    assert not versions(plane, name) and issuer.orders() == 1


@pytest.mark.parametrize("kind", WORKS_ON_IT)
def test_an_order_that_takes_its_time_is_polled(plane, make, order, kind):
    issuer = make(kind)
    issuer.pending()
    name, job = order(issuer)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    # Whoever goes on knows no more than the row says.
    plane.processes["worker-1"].kill()
    issuer.ready()
    at_once(plane, job)
    completed(plane, job)
    assert len(versions(plane, name)) == 1 and issuer.orders() == 1


@pytest.fixture
def die_at(plane):
    fault = plane.dir / "fault"

    def arm(point):
        (plane.dir / "fault.new").write_text(point + "\n")
        os.rename(plane.dir / "fault.new", fault)
        return lambda: wait_for(lambda: not fault.exists(), 20, f"a worker to die at {point}")
    yield arm
    fault.unlink(missing_ok=True)


@pytest.mark.parametrize("kind, point", [*((k, p) for k in OUTSIDE if k not in GIVEN_ONCE for p in ("placing", "sent", "answered")),
                                         *((k, "pending") for k in WORKS_ON_IT), ("acme", "account"), ("ejbca", "account")])
def test_killed_anywhere_it_has_one_order_in_the_end(plane, make, order, die_at, kind, point):
    issuer = make(kind)
    if point == "pending":
        issuer.pending()
    elif point == "account":
        # Its test made it.
        plane.query("DELETE FROM issuer_accounts WHERE issuer_id = %s", issuer.id)
    died = die_at(f"worker.outside.{point}")
    name, job = order(issuer)
    if point == "answered" and kind not in GO_ON:
        wait_ordered(plane, job, 0)
        at_once(plane, job)
    died()
    issuer.ready()
    # Until its time is over nobody takes it; by hand, at once, but where the order may be on its way.
    wait_for(lambda: row(plane, job)[0] != "Running", 10, "the job to be free")
    if not (kind == "openssl" and point == "sent"):
        at_once(plane, job)
    completed(plane, job)
    assert len(versions(plane, name)) == 1 and issuer.orders() == 1


@pytest.mark.parametrize("kind", WORKS_ON_IT)
def test_a_cancelled_order_is_not_forgotten(plane, make, order, kind):
    issuer = make(kind)
    issuer.pending()
    _, job = order(issuer)
    wait_ordered(plane, job, 0)
    assert plane.api.post(f"/api/v1/jobs/{job}/cancel") == (200, {"status": "job_cancel_requested"})
    status, error = wait_status(plane, job, "Cancelled", "Completed", "Failed")
    assert status == "Cancelled" and ("order" in error and "at the CA" in error), error
    if kind != "openssl":
        assert [o["status"] for o in issuer.sim.orders.values()] == [issuer.cancelled]
