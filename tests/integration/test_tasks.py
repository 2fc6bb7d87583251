"""
The queue of tasks, against PostgreSQL: what shares a lease, the low-water key,
who may end what; and a noop's way through scheduler, bus and worker.
"""
import psycopg2
import pytest

from fleet import wait_for

T0 = "2030-01-01 00:00:00+00"


class Queue:
    """Plays leader and worker."""

    def __init__(self, stack):
        self.q, self.value = stack.query, stack.value
        self.q("TRUNCATE tasks")
        self.q("UPDATE leadership SET term = 7, holder = 'leader', nonce = 'n', expires_at = 'infinity'")
        for worker in ("w1", "w2"):
            self.q("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES (%s, 'w', 'h', 1, 'infinity') "
                   "ON CONFLICT DO NOTHING", worker)

    def add(self, *kinds, after="2020-01-01"):
        start = self.value("SELECT count(*) FROM tasks")
        for i, kind in enumerate(kinds):
            self.q("INSERT INTO tasks (id, kind, subject, run_after) VALUES (%s, %s, 'x', %s)", f"task-{start + i:04}", kind, after)

    def claim(self, limit=1000, key=("-infinity", ""), worker="w1"):
        """(lease, how many, key behind it, full), or None."""
        rows = self.q("SELECT lease_id, claimed, last_after::text, last_id, is_full FROM tasks_claim('leader', 7, %s, %s, %s, %s, 60000)",
                      worker, limit, *key)
        return rows[0][:2] + (rows[0][2:4], rows[0][4]) if rows and rows[0][1] else None

    def held(self, lease):
        return [r[0] for r in self.q("SELECT id FROM tasks WHERE lease_id = %s AND status = 'Running' ORDER BY id", lease)]

    def due(self, key=("-infinity", ""), low_lease=0):
        return self.q("SELECT due, running, first_id, low_lease FROM tasks_due(%s, %s, %s)", *key, low_lease)[0]

    def done(self, worker, lease, ids):
        return self.value("SELECT tasks_done(%s, %s, %s)", worker, lease, ids)


@pytest.fixture
def queue(stack):
    return Queue(stack)


def test_only_kinds_that_end_together_share_a_lease(queue):
    queue.add("noop", "noop", "ca_init", "ca_init", "noop")
    sizes = []
    while claimed := queue.claim():
        sizes.append(len(queue.held(claimed[0])))
        assert sizes[-1] == claimed[1]
    assert sizes == [2, 1, 1, 1]


def test_a_claim_says_whether_there_may_be_more(queue):
    queue.add("noop", "noop", "noop", "ca_init", "ca_init")
    assert queue.claim(limit=2)[3] is True
    assert queue.claim(limit=2)[3] is False  # the kind changes
    assert queue.claim()[3] is True  # alone, and so as many as it may be
    assert queue.claim()[3] is False  # so is this one, but nothing is behind it


def test_the_key_goes_past_what_was_handed_out(queue):
    queue.add(*["noop"] * 6)
    _, _, key, _ = queue.claim(limit=4)
    assert key[1] == "task-0003"
    assert queue.due(key)[2] == "task-0004"
    # What came back lies behind the key: found from the beginning only.
    queue.q("UPDATE tasks SET status = 'Pending', leased_by = NULL WHERE id = 'task-0001'")
    lease, n, _, _ = queue.claim(key=key)
    assert (n, queue.held(lease)) == (2, ["task-0004", "task-0005"])
    assert queue.due(key)[0] is False
    assert queue.due()[:3] == (True, 2, "task-0001")
    assert queue.held(queue.claim()[0]) == ["task-0001"]


def test_leases_are_counted_from_the_oldest_that_runs(queue):
    queue.add(*["noop"] * 3)
    leases = [queue.claim(limit=1)[0] for _ in range(3)]
    assert queue.due() == (False, 3, None, leases[0])
    assert queue.due(low_lease=leases[1])[1] == 2
    queue.done("w1", leases[0], ["task-0000"])
    assert queue.due()[3] == leases[1]


def test_what_is_not_due_is_left(queue):
    queue.add("noop", after="2999-01-01")
    assert queue.due()[:3] == (False, 0, None)
    assert queue.claim() is None


def test_a_claim_skips_what_somebody_holds(queue, stack):
    queue.add("noop", "noop")
    with stack.admin() as c:
        c.execute("BEGIN")
        c.execute("SELECT 1 FROM tasks WHERE id = 'task-0000' FOR UPDATE")
        assert queue.held(queue.claim()[0]) == ["task-0001"]
        c.execute("ROLLBACK")


def test_only_the_lease_ends_its_tasks(queue):
    queue.add(*["noop"] * 4)
    first, second = queue.claim(limit=2)[0], queue.claim(limit=2, worker="w2")[0]
    everything = queue.held(first) + queue.held(second)
    assert queue.done("w2", first, everything) == 0
    assert queue.done("w1", second, everything) == 0
    assert queue.done("w1", first, everything) == 2
    assert queue.done("w1", first, everything) == 0  # again after a lost answer
    assert queue.held(second) == ["task-0002", "task-0003"]


def test_freeing_leaves_what_the_worker_names(queue):
    queue.add(*["noop"] * 4)
    first, second = queue.claim(limit=1)[0], queue.claim(limit=1)[0]
    other = queue.claim(limit=1, worker="w2")[0]
    free = "SELECT freed FROM leases_free('leader', 7, %s, %s, %s, '{}')"
    assert queue.value(free, "w1", [first], 0) == 1
    assert (queue.held(first), queue.held(second), len(queue.held(other))) == (["task-0000"], [], 1)
    # Nothing older than the oldest that may run is looked at.
    assert queue.value(free, "w1", [], first + 1) == 0
    assert queue.value(free, "w1", None, first) == 1
    queue.q("UPDATE workers SET lease_until = clock_timestamp() WHERE incarnation = 'w2'")
    assert queue.value(free, None, None, 0) == 1
    queue.q("UPDATE workers SET lease_until = 'infinity' WHERE incarnation = 'w2'")
    assert queue.value("SELECT count(*) FROM tasks WHERE status = 'Pending' AND lease_id IS NULL") == 4


def free(queue, worker=None, holding=None):
    queue.q("SELECT leases_free('leader', 7, %s, %s, 0, '{}')", worker, holding)


def test_a_lost_reply_of_a_living_worker_is_no_death(queue):
    queue.add("ca_init")
    for _ in range(6):
        assert queue.claim()
        free(queue, "w1", [])
    assert queue.q("SELECT status, died_with FROM tasks") == [("Pending", None)]


def test_a_worker_that_returns_was_no_death(queue):
    queue.add("ca_init")
    for _ in range(6):
        assert queue.claim()
        free(queue, "w1")
        assert queue.q("SELECT status, died_with FROM tasks") == [("Pending", ["w1"])]
        queue.q("SELECT worker_renew('w1', 'w', 'h', 1, '', 1, 60000)")
    assert queue.q("SELECT status, coalesce(cardinality(died_with), 0) FROM tasks") == [("Pending", 0)]
    queue.q("UPDATE workers SET lease_until = 'infinity' WHERE incarnation = 'w1'")


def list_is_due(queue):
    queue.q("INSERT INTO issuers (id, name, type) VALUES ('iss-crl', 'crl', 'GenericCA') ON CONFLICT DO NOTHING")
    queue.q("INSERT INTO ca_certificates (issuer_id, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after) "
            "VALUES ('iss-crl', 'k', 'iss-crl', '', '', 'f', now(), now() + interval '10 years') ON CONFLICT DO NOTHING")
    assert queue.value("SELECT duty_crl_refresh(10, false)") == 1


def test_a_list_whose_workers_were_only_paused_needs_no_rest(queue):
    """All of them looked dead, one after the other, before any came back."""
    list_is_due(queue)
    for worker in ("w1", "w2", "w1", "w2"):
        assert queue.claim(worker=worker)
        free(queue, worker)
    assert queue.q("SELECT status FROM tasks") == [("Failed",)] and queue.value("SELECT duty_crl_refresh(10, false)") == 0
    queue.q("SELECT worker_renew('w1', 'w', 'h', 1, '', 1, 60000)")
    assert queue.value("SELECT duty_crl_refresh(10, false)") == 1
    queue.q("UPDATE workers SET lease_until = 'infinity' WHERE incarnation = 'w1'")


def test_a_list_whose_workers_died_is_made_again_after_a_rest(queue, stack):
    """The task that failed keeps no key, and goes once a list was made."""
    mine = "SELECT status, dedupe_key FROM tasks WHERE issuer_id = 'iss-crl' ORDER BY id"
    list_is_due(queue)
    for _ in range(4):
        assert queue.claim()
        free(queue, "w1")
    assert queue.q(mine) == [("Failed", None)]
    for _ in range(2):
        assert queue.value("SELECT duty_crl_refresh(10, false)") == 0
        queue.q("SELECT crl_request('iss-crl', 'iss-crl')")
    assert queue.q(mine) == [("Failed", None)]
    queue.q("UPDATE tasks SET run_after = now() - interval '1 second'")
    assert queue.value("SELECT duty_crl_refresh(10, false)") == 1
    assert queue.q(mine) == [("Failed", None), ("Pending", "crl:iss-crl")]
    lease = queue.claim()[0]
    task = queue.held(lease)[0]
    assert queue.value("SELECT crl_store('w1', %s, %s, '', 1, now(), now() + interval '7 days', 0, '', 'f', pg_current_snapshot(), 1, '')",
                       lease, task) == "stored"
    assert queue.q(mine) == []
    with pytest.raises(psycopg2.errors.CheckViolation):
        queue.q("INSERT INTO tasks (id, kind, subject, dedupe_key, status) VALUES ('task-x', 'noop', 'x', 'k', 'Failed')")


@pytest.mark.parametrize("why, sql", [
    ("the term is over", "UPDATE leadership SET term = 8"),
    ("another leads", "UPDATE leadership SET holder = 'other'")])
def test_an_old_leader_claims_nothing(queue, why, sql):
    queue.add("noop")
    queue.q(sql)
    with pytest.raises(Exception, match="is over"):
        queue.claim()


def test_a_worker_whose_lease_is_over_gets_nothing(queue):
    queue.add("noop")
    queue.q("UPDATE workers SET lease_until = clock_timestamp() WHERE incarnation = 'w1'")
    assert queue.claim() is None
    queue.q("UPDATE workers SET lease_until = 'infinity' WHERE incarnation = 'w1'")


def test_noops_pass_through_everything(fleet):
    fleet.start_postgres()
    fleet.query("INSERT INTO tasks (id, kind, subject) SELECT 'task-' || i, CASE WHEN i % 500 = 0 THEN 'unheard_of' ELSE 'noop' END, "
                "'x' FROM generate_series(1, 5000) i")
    fleet.start_scheduler()
    fleet.start_worker(1)
    fleet.start_worker(2)
    wait_for(lambda: fleet.value("SELECT count(*) FROM tasks WHERE status <> 'Failed'") == 0, 30, "the noops to end")
    assert fleet.value("SELECT count(*) FROM tasks") == 10
    # What comes back behind the key is found again.
    fleet.query("UPDATE tasks SET status = 'Pending', kind = 'noop', run_after = '2020-01-01'")
    wait_for(lambda: fleet.value("SELECT count(*) FROM tasks") == 0, 10, "those that came back")
