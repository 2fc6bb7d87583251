"""
Transactions that lock the same rows take them in one order (database.md), so that
none becomes a deadlock's victim.

One is halted in the middle, where it is about to write a table; the other runs
until it has ended or waits for the first; then the first goes on.
"""
import threading

import psycopg2
import pytest

from fleet import wait_for
from statements import statements

HALT = 4711
HALTED = "halted"


class Session:
    """Runs one statement of the programs on a thread, as `role`."""

    def __init__(self, fleet, role, name, *parameters, application=""):
        count, text = statements()[name]
        assert count == len(parameters), name
        self.connection = fleet.connect(f"certctl_{role}")
        self.connection.autocommit = True
        self.pid = self.connection.info.backend_pid
        self.rows = self.error = None
        with self.connection.cursor() as c:
            c.execute("SELECT set_config('application_name', %s, false)", (application,))
            c.execute(f"PREPARE it AS {text}")
        self.call = f"EXECUTE it ({', '.join(['%s'] * count)})"
        self.parameters = parameters
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            with self.connection.cursor() as c:
                c.execute(self.call, self.parameters)
                self.rows = c.fetchall() if c.description else []
        except psycopg2.Error as e:
            self.error = e

    def end(self):
        self.thread.join(40)
        assert not self.thread.is_alive()
        self.connection.close()


class Scene:
    def __init__(self, fleet):
        self.fleet, self.q, self.value = fleet, fleet.query, fleet.value
        self.q("CREATE OR REPLACE FUNCTION public.halt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
               f"IF current_setting('application_name') = '{HALTED}' THEN PERFORM pg_advisory_xact_lock({HALT}); END IF; "
               "RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END; END $$")

    def is_waiting(self, pid, sql):
        return self.value(f"SELECT count(*) FROM pg_stat_activity a WHERE a.pid = %s AND {sql}", pid) == 1

    def meet(self, first, event, table, second, when="true"):
        """first is halted before that event of the table; what both answered."""
        self.q(f"CREATE TRIGGER halt BEFORE {event} ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION public.halt()")
        sessions = []
        try:
            with self.fleet.admin() as holder:
                holder.execute(f"SELECT pg_advisory_lock({HALT})")
                one = Session(self.fleet, *first, application=HALTED)
                sessions.append(one)
                wait_for(lambda: self.is_waiting(one.pid, "a.wait_event = 'advisory'"), 30, f"{first[1]} to be halted")
                two = Session(self.fleet, *second)
                sessions.append(two)
                wait_for(lambda: not two.thread.is_alive() or self.is_waiting(two.pid, f"{one.pid} = ANY (pg_blocking_pids(a.pid))"),
                         30, f"{second[1]} to end or to wait")
        finally:
            for session in sessions:
                session.end()
            self.q(f"DROP TRIGGER halt ON {table}")
        assert not [s.error for s in sessions if s.error]
        return one.rows, two.rows


@pytest.fixture(scope="module")
def plane(stack):
    stack.make_basics()
    for worker in ("w1", "w2"):
        stack.query("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES (%s, 'w', 'h', 1, 'infinity')", worker)
    return stack


@pytest.fixture
def scene(plane):
    return Scene(plane)


@pytest.fixture
def running_test(scene, unique):
    """An issuer whose test a worker runs: (issuer, lease, task)."""
    issuer = unique("iss")
    scene.fleet.api.need("POST", "/api/v1/issuers", {"id": issuer, "name": issuer, "type": "GenericCA", "config": {"validity_days": 90}})
    lease, task = scene.q("UPDATE tasks SET status = 'Running', leased_by = 'w1', lease_id = nextval('lease_seq'), attempts = 3, "
                          "attempt_until = 'infinity' WHERE subject = %s RETURNING lease_id, id", issuer)[0]
    return issuer, lease, task


def status(scene, issuer):
    return scene.value("SELECT test_status FROM issuers WHERE id = %s", issuer)


@pytest.mark.parametrize("end", ["task_ca_init_done", "task_ca_init_failed"])
def test_an_issuer_is_changed_while_its_test_ends(scene, running_test, end):
    issuer, lease, task = running_test
    update = ("apiserver", "issuer_update", issuer, '{"config": {"validity_days": 30}}', "a", "User")
    (changed, ended) = scene.meet(update, "INSERT", "tasks", ("worker", end, "w1", lease, task))
    assert len(changed) == 1 and not ended
    # What was tested is not what is configured now.
    assert status(scene, issuer) == "untested"
    assert scene.q("SELECT id, status, leased_by, attempts FROM tasks WHERE subject = %s", issuer) == [(task, "Pending", None, 0)]


@pytest.mark.parametrize("end, expected", [("task_ca_init_done", ("success", 0)), ("task_ca_init_failed", ("failed", 1))])
def test_a_test_ends_while_its_issuer_is_changed(scene, running_test, end, expected):
    issuer, lease, task = running_test
    update = ("apiserver", "issuer_update", issuer, f'{{"name": "{issuer}-renamed"}}', "a", "User")
    (ended, _) = scene.meet(("worker", end, "w1", lease, task), "UPDATE", "issuers", update)
    assert ended == [(issuer,)]
    assert (status(scene, issuer), scene.value("SELECT count(*) FROM tasks WHERE subject = %s", issuer)) == expected


def test_a_changed_configuration_is_tested_at_once(scene, running_test):
    issuer, lease, task = running_test
    scene.q("UPDATE tasks SET status = 'Pending', leased_by = NULL, lease_id = NULL, run_after = now() + interval '1 h' WHERE id = %s", task)
    scene.fleet.api.need("PUT", f"/api/v1/issuers/{issuer}", {"config": {"validity_days": 31}})
    assert scene.q("SELECT run_after <= now(), attempts FROM tasks WHERE id = %s", task) == [(True, 0)]


def test_a_worker_leaves_while_its_certificates_are_revoked(scene, unique):
    names = sorted(unique("cert") for _ in range(2))
    for name, lease in zip(names, (2, 1)):
        scene.fleet.make_certificate(name)
        scene.q("INSERT INTO jobs (id, type, certificate_id, issuer_id, status, leased_by, lease_id, attempt_until, dedupe_key) "
                "VALUES (%s, 'Issuance', %s, 'iss-local', 'Pending', NULL, NULL, NULL, %s)", f"job-{name}", name, f"issue:{name}:x")
        scene.q("UPDATE jobs SET status = 'Running', leased_by = 'w2', lease_id = %s, attempt_until = 'infinity' WHERE id = %s",
                lease, f"job-{name}")
    # By its lease the job that is later by its id comes first.
    revoke = ("apiserver", "bulk_run", "revoke", "{}", names, '{"reason": "unspecified"}', "a", "User", False, None, "", "why", 1000)
    scene.meet(("worker", "worker_leave", "w2"), "UPDATE", "jobs", revoke, when=f"NEW.id = 'job-{names[1]}'")
