"""
Health checks: their routes, the table of states against a model, and probes of
real TLS servers by a scheduler and workers, killed ones too.
"""
import contextlib
import datetime
import random
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fleet import API_KEY, PATIENCE, Api, Fleet, free_port, wait_for
from statements import statements

LIMIT_S = 240
CHECKS = "/api/v1/health-checks"
STATES = ("healthy", "degraded", "down", "cert_mismatch", "unknown")
ALWAYS = {"id", "endpoint", "expected_fingerprint", "observed_fingerprint", "status", "consecutive_failures", "response_time_ms",
          "tls_version", "cipher_suite", "cert_subject", "cert_issuer", "failure_reason", "degraded_threshold", "down_threshold",
          "check_interval_seconds", "enabled", "acknowledged", "created_at", "updated_at"}
FINGERPRINT = "0123456789abcdef" * 4
PATIENCE_S = 60


# --- the states ---

def model(status, failures, degraded, down, outcome):
    """As docs/operator/health-checks.md says it."""
    if outcome != "failed":
        return {"served": "healthy", "other": "cert_mismatch", "refused": "unknown"}[outcome], 0
    failures += 1
    if failures >= down:
        return "down", failures
    if failures >= degraded:
        return "degraded", failures
    return status, failures


def test_each_step_is_as_the_page_says(stack):
    """All states, thresholds and outcomes, by one statement."""
    cases = [(s, f, g, d, o) for s in STATES for f in range(7) for g in (1, 2, 4) for d in (1, 3, 5)
             for o in ("served", "other", "failed", "refused")]
    rows = stack.query("SELECT n.status, n.failures FROM unnest(%s::text[], %s::int[], %s::int[], %s::int[], %s::text[]) WITH ORDINALITY "
                       "AS u (s, f, g, d, o, at) CROSS JOIN LATERAL health_step(s, f, g, d, o) n ORDER BY u.at",
                       *(list(column) for column in zip(*cases)))
    assert rows == [model(*case) for case in cases]


def test_a_threshold_is_met_at_exactly_that_many_failures(stack):
    def walk(status, outcomes):
        failures, seen = 0, []
        for outcome in outcomes:
            status, failures = stack.query("SELECT * FROM health_step(%s, %s, 2, 5, %s)", status, failures, outcome)[0]
            seen.append(status)
        return seen
    assert walk("healthy", ["failed"] * 6) == ["healthy", "degraded", "degraded", "degraded", "down", "down"]
    assert walk("unknown", ["failed"] * 2) == ["unknown", "degraded"]
    assert walk("cert_mismatch", ["failed", "served", "failed", "failed"]) == ["cert_mismatch", "healthy", "healthy", "degraded"]
    assert walk("down", ["served", "other"]) == ["healthy", "cert_mismatch"]


# --- storing ---

class Worker:
    """Plays the duty and a worker, in the statements that they use."""

    def __init__(self, stack):
        self.stack = stack
        stack.query("TRUNCATE endpoint_health_checks CASCADE")
        stack.query("TRUNCATE tasks")
        stack.query("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES ('w', 'w', 'h', 1, 'infinity') ON CONFLICT DO NOTHING")

    def add(self, n=1, prefix="hc", **columns):
        ids = [f"{prefix}-{i:03}" for i in range(n)]
        for i in ids:
            names = ["id", "endpoint", *columns]
            self.stack.query(f"INSERT INTO endpoint_health_checks ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})",
                             i, "127.0.0.1:443", *columns.values())
        return ids

    def due(self, limit=100):
        return self.stack.value("SELECT duty_health_checks(%s)", limit)

    def tasks(self):
        return [t for t, in self.stack.query("SELECT id FROM tasks WHERE kind = 'health_check' ORDER BY id")]

    def take(self, task):
        self.stack.query("UPDATE tasks SET status = 'Running', leased_by = 'w', lease_id = 7 WHERE id = %s", task)

    def store(self, task, outcomes, worker="w", lease=7, fingerprint=FINGERPRINT, reason="it broke"):
        """outcomes: {id: outcome}; the changes of status, or None where the task was another's."""
        n = len(outcomes)
        _, text = statements()["health_checks_store"]
        with self.stack.connect("certctl_worker") as c, c.cursor() as cursor:
            cursor.execute(f"PREPARE it AS {text}")
            cursor.execute(f"EXECUTE it ({', '.join(['%s'] * 13)})", (
                worker, lease, task, list(outcomes), list(outcomes.values()), [fingerprint] * n, [12] * n, ["TLS 1.3"] * n,
                ["TLS_AES_256_GCM_SHA384"] * n, ["CN=a"] * n, ["CN=b"] * n, ["2100-01-01T00:00:00Z"] * n,
                ["" if o == "served" else reason for o in outcomes.values()]))
            rows = cursor.fetchall()
        return {r[0]: (r[2], r[3]) for r in rows if r[0]} if rows else None

    def round(self, outcomes):
        """A whole one of all checks."""
        self.stack.query("UPDATE endpoint_health_checks SET next_check_at = now()")
        assert self.due() == len(outcomes)
        task, = self.tasks()
        self.take(task)
        return self.store(task, outcomes)

    def row(self, check="hc-000"):
        columns = "status, consecutive_failures, failure_reason, observed_fingerprint, acknowledged, enabled, probe_task"
        return dict(zip(columns.split(", "), self.stack.query(f"SELECT {columns} FROM endpoint_health_checks WHERE id = %s", check)[0]))


@pytest.fixture(scope="module")
def basics(stack):
    stack.make_basics()
    return stack


@pytest.fixture
def worker(stack):
    return Worker(stack)


def counted(stack):
    kept = stack.query("SELECT sum(healthy), sum(degraded), sum(down), sum(cert_mismatch), sum(unknown) FROM health_check_counts")[0]
    return dict(zip(STATES, map(int, kept)))


def test_random_walks_keep_rows_history_counts_and_trail_in_step(stack, worker):
    """Many checks through random outcomes: each is as the model has it, at every step."""
    rng = random.Random(7)
    ids = worker.add(8, degraded_threshold=2, down_threshold=4)
    expected = {i: ("unknown", 0) for i in ids}
    for _ in range(25):
        outcomes = {i: rng.choice(["served", "other", "failed", "failed", "failed", "refused"]) for i in ids}
        events = stack.value("SELECT count(*) FROM audit_events WHERE action = 'health_check_status_transition'")
        changes = worker.round(outcomes)
        after = {i: model(*expected[i], 2, 4, outcomes[i]) for i in ids}
        assert changes == {i: (expected[i][0], after[i][0]) for i in ids if expected[i][0] != after[i][0]}
        rows = {r[0]: r[1:] for r in stack.query("SELECT id, status, consecutive_failures FROM endpoint_health_checks")}
        assert rows == after
        assert counted(stack) == {s: sum(a[0] == s for a in after.values()) for s in STATES}
        newest = stack.query("SELECT DISTINCT ON (health_check_id) health_check_id, status FROM endpoint_health_history "
                             "ORDER BY health_check_id, checked_at DESC, id DESC")
        assert dict(newest) == {i: a[0] for i, a in after.items()}
        assert stack.value("SELECT count(*) FROM audit_events WHERE action = 'health_check_status_transition'") == events + len(changes)
        expected = after
    assert stack.value("SELECT count(*) FROM endpoint_health_history") == 25 * len(ids)
    stack.query("DELETE FROM endpoint_health_checks WHERE id < 'hc-003'")
    assert sum(counted(stack).values()) == 5


def test_only_what_is_due_is_taken_once(stack, worker):
    ids = worker.add(5)
    worker.add(2, "off", enabled=False)
    worker.add(2, "later", next_check_at=datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc))
    assert [worker.due(3), worker.due(3), worker.due(3)] == [3, 2, 0]
    tasks = worker.tasks()
    assert len(tasks) == 2
    taken = stack.query("SELECT id FROM endpoint_health_checks WHERE probe_task = ANY (%s) ORDER BY id", tasks)
    assert [i for i, in taken] == ids
    # Due again while the task has not ended: no second one asks.
    stack.query("UPDATE endpoint_health_checks SET next_check_at = now() WHERE id = 'hc-000'")
    assert worker.due() == 1 and worker.tasks() == tasks
    # A task that was given up holds nothing back.
    stack.query("UPDATE tasks SET status = 'Failed' WHERE id = ANY (%s)", tasks)
    stack.query("UPDATE endpoint_health_checks SET next_check_at = now() WHERE id = 'hc-000'")
    assert worker.due() == 1 and len(worker.tasks()) == 3


def test_what_a_transaction_holds_is_passed_by(stack, worker):
    worker.add(3)
    with stack.connect() as held, held.cursor() as c:
        c.execute("SELECT 1 FROM endpoint_health_checks WHERE id = 'hc-001' FOR UPDATE")
        assert worker.due() == 2
        task, = worker.tasks()
        held.rollback()
        c.execute("SELECT 1 FROM endpoint_health_checks WHERE id = 'hc-002' FOR UPDATE")
        worker.take(task)
        assert set(worker.store(task, {"hc-000": "served", "hc-002": "served"})) == {"hc-000"}
        # Its answer is lost, and it is asked again soon, not when it would be due.
        assert stack.query("SELECT id, status, payload, attempts, run_after < now() + interval '5 seconds' FROM tasks") == [
            (task, "Pending", {"checks": ["hc-002"]}, 0, True)]
        held.rollback()
    worker.take(task)
    assert worker.store(task, {"hc-002": "served"}) == {"hc-002": ("unknown", "healthy")} and worker.tasks() == []
    assert worker.due() == 1


def test_a_task_that_rests_holds_nothing_back(stack, worker):
    """One that failed often rests for an hour; its checks are asked every minute all the same, and once."""
    worker.add(1, check_interval_seconds=60)
    worker.due()
    task, = worker.tasks()
    for status, rest, tasks in (("Pending", "30 seconds", 1), ("Running", "0", 1), ("Pending", "1 hour", 2)):
        stack.query("UPDATE tasks SET status = %s, run_after = now() + %s::interval", status, rest)
        stack.query("UPDATE endpoint_health_checks SET next_check_at = now()")
        assert worker.due() == 1 and len(worker.tasks()) == tasks
    other, = set(worker.tasks()) - {task}
    worker.take(other)
    assert worker.store(other, {"hc-000": "served"}) == {"hc-000": ("unknown", "healthy")}
    worker.take(task)
    assert worker.store(task, {"hc-000": "failed"}) == {} and worker.row()["consecutive_failures"] == 0 and worker.tasks() == []


def test_a_task_ends_once_and_is_its_workers_alone(stack, worker):
    worker.add()
    worker.due()
    task, = worker.tasks()
    worker.take(task)
    assert worker.store(task, {"hc-000": "failed"}, worker="another") is None
    assert worker.store(task, {"hc-000": "failed"}, lease=8) is None
    assert worker.row()["consecutive_failures"] == 0
    assert worker.store(task, {"hc-000": "failed"}) == {}
    assert worker.store(task, {"hc-000": "failed"}) is None
    assert worker.row()["consecutive_failures"] == 1


def test_what_was_not_asked_is_due_at_once_and_counts_nothing(stack, worker):
    worker.add(2)
    assert worker.round({"hc-000": "later", "hc-001": "failed"}) == {}
    assert worker.row()["consecutive_failures"] == 0
    assert stack.query("SELECT id FROM endpoint_health_checks WHERE next_check_at <= now()") == [("hc-000",)]
    assert stack.query("SELECT health_check_id FROM endpoint_health_history") == [("hc-001",)]


def test_a_change_of_status_names_the_certificate(basics, worker):
    basics.make_certificate("named")
    worker.add(1, "with", certificate_id="named")
    worker.add(1, "alone")
    worker.round({"with-000": "served", "alone-000": "served"})
    told = dict(basics.query("SELECT resource_id, details FROM audit_events WHERE action = 'health_check_status_transition' ORDER BY seq DESC LIMIT 2"))
    assert told["with-000"] == {"endpoint": "127.0.0.1:443", "certificate_id": "named", "from": "unknown", "to": "healthy", "reason": ""}
    assert "certificate_id" not in told["alone-000"]


def test_a_failure_keeps_what_was_seen_and_says_why(worker):
    worker.add()
    worker.round({"hc-000": "served"})
    worker.round({"hc-000": "failed"})
    row = worker.row()
    assert (row["status"], row["failure_reason"], row["observed_fingerprint"]) == ("healthy", "it broke", FINGERPRINT)
    worker.round({"hc-000": "served"})
    assert worker.row()["failure_reason"] == ""


def test_old_history_goes_and_the_rest_stays(stack, worker):
    worker.add()
    stack.query("UPDATE leadership SET term = 7, holder = 'leader', nonce = 'n', expires_at = 'infinity'")
    stack.query("INSERT INTO endpoint_health_history (id, health_check_id, status, checked_at) SELECT id_bound('hch', t) || '-' || i, 'hc-000', "
                "'healthy', t FROM generate_series(1, 40) i CROSS JOIN LATERAL (SELECT now() - i * interval '1 day' AS t) x")
    _, text = statements()["duty_health_history"]
    with stack.connect("certctl_scheduler") as c, c.cursor() as cursor:
        cursor.execute(f"PREPARE it AS {text}")
        cursor.execute("EXECUTE it ('leader', 7, 4, %s)", (30 * 86400 * 1000 - 1000,))
        assert cursor.fetchone() == (4, True)
        cursor.execute("EXECUTE it ('leader', 7, 100, %s)", (30 * 86400 * 1000 - 1000,))
        assert cursor.fetchone() == (7, False)
    assert stack.value("SELECT count(*) FROM endpoint_health_history") == 29


# --- what is expected ---

def test_the_newest_version_is_expected_and_for_a_while_the_one_before(basics):
    stack = basics
    stack.make_certificate("expected")

    def version(name, holder, age):
        stack.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, "
                    "issuer_id, job_id, key_holder, created_at) VALUES (%s, 'expected', %s, now(), now(), %s, '', 'iss-local', 'x', %s, "
                    "now() - %s * interval '1 minute')", name, name, name, holder, age)

    def expected(fingerprint=""):
        return stack.value("SELECT health_expected(%s, 'expected')", fingerprint)
    assert expected() is None  # nothing was issued: anything may be served
    version("v1", "agent-1", 60)
    assert expected() == ["v1"]
    version("v2", "agent-1", 20)
    assert expected() == ["v2"]
    version("v3", "agent-2", 10)
    assert expected() == ["v3", "v2"]  # each holder of a key has its own
    version("v4", "agent-1", 1)
    assert expected() == ["v4", "v3", "v2"]  # v4 is being deployed
    stack.query("UPDATE certificate_versions SET created_at = now() - interval '6 minutes' WHERE id = 'v4'")
    assert expected() == ["v4", "v3"]
    assert expected("AB:CD") == ["abcd"]
    assert stack.value("SELECT health_expected('', NULL)") is None


# --- the routes ---

@pytest.fixture
def api(stack, worker):
    return stack.api


def make(api, **body):
    return api.need("POST", CHECKS, {"endpoint": "www.example.com:443"} | body)


def test_create_says_what_it_made(api):
    one = make(api)
    assert set(one) == ALWAYS and one["id"].startswith("hc-")
    assert (one["status"], one["enabled"], one["degraded_threshold"], one["down_threshold"], one["check_interval_seconds"]) == (
        "unknown", False, 2, 5, 300)
    assert api.need("GET", f"{CHECKS}/{one['id']}") == one
    given = make(api, id="hc-mine", endpoint="[2001:db8::1]:8443", expected_fingerprint=":".join(["AB"] * 32), enabled=True,
                 degraded_threshold=1, down_threshold=1, check_interval_seconds=1, network_scan_target_id=None)
    assert (given["id"], given["endpoint"], given["expected_fingerprint"], given["enabled"]) == ("hc-mine", "[2001:db8::1]:8443", "ab" * 32, True)
    assert api.post(CHECKS, {"id": "hc-mine", "endpoint": "a.example:1"})[0] == 409


def test_update_merges(api):
    one = make(api, enabled=True, expected_fingerprint=FINGERPRINT, degraded_threshold=3)

    def put(**body):
        return api.need("PUT", f"{CHECKS}/{one['id']}", body)
    assert put() | {"updated_at": one["updated_at"]} == one
    assert put(down_threshold=9)["enabled"] is True  # as it was: nothing was said of it
    changed = put(endpoint="other.example.com:8443", enabled=False)
    assert (changed["endpoint"], changed["enabled"], changed["down_threshold"], changed["degraded_threshold"]) == (
        "other.example.com:8443", False, 9, 3)
    assert put(expected_fingerprint="")["expected_fingerprint"] == ""


def test_a_changed_endpoint_begins_anew(stack, worker):
    make(stack.api, id="hc-000", enabled=True, down_threshold=1)
    worker.round({"hc-000": "failed"})
    stack.api.need("PUT", f"{CHECKS}/hc-000", {"check_interval_seconds": 900})
    assert worker.row()["status"] == "down"
    one = stack.api.need("PUT", f"{CHECKS}/hc-000", {"endpoint": "other.example.com:443"})
    assert (one["status"], one["consecutive_failures"], one["failure_reason"]) == ("unknown", 0, "")
    assert "last_checked_at" not in one and counted(stack)["unknown"] == 1
    assert worker.due() == 1


def test_what_is_under_way_for_another_endpoint_is_not_stored(stack, worker):
    make(stack.api, id="hc-000", enabled=True, down_threshold=1)
    worker.due()
    task, = worker.tasks()
    worker.take(task)
    stack.api.need("PUT", f"{CHECKS}/hc-000", {"endpoint": "other.example.com:443"})
    assert worker.store(task, {"hc-000": "failed"}) == {}
    assert worker.row()["status"] == "unknown"


@pytest.mark.parametrize("body,words", [
    ({"endpoint": None}, "endpoint is required"),
    ({"endpoint": ""}, "endpoint is required"),
    ({"endpoint": 7}, "endpoint must be a string"),
    ({"endpoint": "www.example.com"}, "endpoint must be host:port"),
    ({"endpoint": "https://www.example.com:443"}, "endpoint must be host:port"),
    ({"endpoint": "www.example.com:0"}, "endpoint must be host:port"),
    ({"endpoint": "2001:db8::1:443"}, "endpoint must be host:port"),
    ({"endpoint": "a\nb:443"}, "endpoint"),
    ({"endpoint": "a" * 400 + ":443"}, "endpoint must be 300 characters or fewer"),
    ({"expected_fingerprint": "abc"}, "expected_fingerprint must be the SHA-256"),
    ({"expected_fingerprint": "zz" * 32}, "expected_fingerprint must be the SHA-256"),
    ({"check_interval_seconds": -1}, "check_interval_seconds must be"),
    ({"check_interval_seconds": 1e12}, "check_interval_seconds must be"),
    ({"check_interval_seconds": 1.5}, "check_interval_seconds must be"),
    ({"degraded_threshold": "2"}, "degraded_threshold must be"),
    ({"down_threshold": -5}, "down_threshold must be"),
    ({"enabled": "yes"}, "enabled must be"),
    ({"certificate_id": "no-such"}, "certificate_id"),
    ({"certificate_id": "a b"}, "certificate_id must be"),
    ({"id": "-x"}, "id must be"),
])
def test_bad_bodies(api, body, words):
    status, reply = api.post(CHECKS, {"endpoint": "www.example.com:443"} | body)
    assert (status, reply["error"]) == (400, "Bad Request") and words in reply["message"]
    one = make(api)
    if "id" not in body and body.get("endpoint", "") is not None:
        status, reply = api.call("PUT", f"{CHECKS}/{one['id']}", body)
        assert status == 400 and words in reply["message"]
    assert api.need("GET", f"{CHECKS}/{one['id']}") == one


def test_one_that_is_not_there(api):
    for method, path, body in (("GET", "", None), ("PUT", "", {"endpoint": 7}), ("DELETE", "", None), ("GET", "/history", None),
                               ("POST", "/acknowledge", {})):
        status, reply = api.call(method, f"{CHECKS}/hc-none{path}", body)
        assert (status, reply["message"]) == (404, "Health check not found"), method


def test_delete_takes_its_history(stack, worker):
    make(stack.api, id="hc-000", enabled=True)
    worker.round({"hc-000": "served"})
    assert stack.api.call("DELETE", f"{CHECKS}/hc-000")[0] == 204
    assert stack.value("SELECT count(*) FROM endpoint_health_history") == 0
    assert stack.api.call("DELETE", f"{CHECKS}/hc-000")[0] == 404


def test_history_is_the_newest_first_to_a_limit(stack, worker):
    api = stack.api
    make(api, id="hc-000", enabled=True)
    assert api.need("GET", f"{CHECKS}/hc-000/history") == []
    for outcome in ("served", "failed", "other"):
        worker.round({"hc-000": outcome})
    history = api.need("GET", f"{CHECKS}/hc-000/history")
    assert [(h["status"], h["failure_reason"]) for h in history] == [("cert_mismatch", "it broke"), ("healthy", "it broke"), ("healthy", "")]
    assert set(history[0]) == {"id", "health_check_id", "status", "response_time_ms", "fingerprint", "failure_reason", "checked_at"}
    assert api.need("GET", f"{CHECKS}/hc-000/history?limit=1") == history[:1]
    stack.query("INSERT INTO endpoint_health_history (id, health_check_id, status) SELECT 'hch-1-' || i, 'hc-000', 'healthy' "
                "FROM generate_series(1, 1100) i")
    for limit, n in (("", 100), ("?limit=1000", 1000), ("?limit=1001", 100), ("?limit=0", 100), ("?limit=x", 100)):
        assert len(api.need("GET", f"{CHECKS}/hc-000/history{limit}")) == n


def test_summary(stack, worker):
    assert stack.api.need("GET", f"{CHECKS}/summary") == dict.fromkeys((*STATES, "total"), 0)
    worker.add(4, down_threshold=1)
    worker.round({"hc-000": "served", "hc-001": "other", "hc-002": "failed", "hc-003": "refused"})
    assert stack.api.need("GET", f"{CHECKS}/summary") == {
        "healthy": 1, "degraded": 0, "down": 1, "cert_mismatch": 1, "unknown": 1, "total": 4}


@pytest.mark.parametrize("body,who", [({}, "unknown"), ({"actor": "ann"}, "ann"), ({"acknowledged_by": "bob"}, "bob"),
                                      ({"actor": "", "acknowledged_by": "bob"}, "bob")])
def test_acknowledged_until_the_status_changes(stack, worker, body, who):
    api = stack.api
    make(api, id="hc-000", enabled=True, down_threshold=2)
    worker.round({"hc-000": "failed"})
    worker.round({"hc-000": "failed"})
    assert api.call("POST", f"{CHECKS}/hc-000/acknowledge", body)[0] == 204
    worker.round({"hc-000": "failed"})
    one = api.need("GET", f"{CHECKS}/hc-000")
    assert (one["status"], one["acknowledged"], one["acknowledged_by"]) == ("down", True, who) and one["acknowledged_at"]
    worker.round({"hc-000": "served"})
    one = api.need("GET", f"{CHECKS}/hc-000")
    assert one["acknowledged"] is False and not {"acknowledged_by", "acknowledged_at"} & set(one)


def test_an_acknowledgement_needs_a_body(api):
    one = make(api)
    path = f"{CHECKS}/{one['id']}/acknowledge"
    for raw in (b"", b"x", b"[]"):
        assert api.call("POST", path, raw=raw)[0] == 400
    for body in ({"actor": 7}, {"acknowledged_by": "x" * 256}, {"actor": "a\nb"}):
        assert api.call("POST", path, body)[0] == 400
    assert api.need("GET", f"{CHECKS}/{one['id']}")["acknowledged"] is False


def test_filters(basics, api):
    stack = basics
    stack.make_certificate("filtered")
    make(api, id="hc-a", certificate_id="filtered", enabled=True)
    make(api, id="hc-b")
    stack.query("INSERT INTO network_scan_targets (id, name) VALUES ('nst-1', 'net')")
    stack.api.need("PUT", f"{CHECKS}/hc-b", {"network_scan_target_id": "nst-1"})

    def found(query):
        reply = api.need("GET", f"{CHECKS}?{query}")
        assert reply["total"] == len(reply["data"])
        return [c["id"] for c in reply["data"]]
    assert found("") == ["hc-b", "hc-a"]
    assert found("status=unknown") == ["hc-b", "hc-a"] and found("status=down") == found("status=x") == []
    assert found("certificate_id=filtered") == ["hc-a"] and found("certificate_id=x") == []
    assert found("network_scan_target_id=nst-1") == ["hc-b"]
    assert found("enabled=true") == ["hc-a"] and found("enabled=false") == ["hc-b"]
    status, reply = api.get(f"{CHECKS}?enabled=maybe")
    assert status == 400 and reply["message"] == "enabled must be true or false"


# --- probes of real servers ---

class Server:
    """TLS on loopback, with a certificate that can be changed; or mute, or gone."""

    def __init__(self, directory):
        self.directory, self.port, self.numbers = directory, free_port(), 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.is_mute = False
        self.names = []
        self.context.sni_callback = lambda s, name, c: self.names.append(name)
        self.asked = threading.Event()
        self.socket = None
        self.fingerprint = self.certify()
        self.open()

    def certify(self):
        """Another certificate; its fingerprint."""
        self.numbers += 1
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"server {self.numbers}")])
        now = datetime.datetime.now(datetime.timezone.utc)
        cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=9))
                .sign(key, hashes.SHA256()))
        path = self.directory / f"server-{self.port}-{self.numbers}.pem"
        path.write_bytes(cert.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        self.context.load_cert_chain(path)
        self.fingerprint = cert.fingerprint(hashes.SHA256()).hex()
        return self.fingerprint

    def open(self):
        self.socket = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, args=(self.socket,), daemon=True).start()

    def serve(self, listening):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listening.accept()
                threading.Thread(target=self.greet, args=(peer,), daemon=True).start()

    def greet(self, peer):
        self.asked.set()
        with contextlib.suppress(OSError), peer:
            if self.is_mute:
                while peer.recv(4096):
                    pass
                return
            with self.context.wrap_socket(peer, server_side=True) as tls:
                tls.recv(1)

    def close(self):
        """A thread in accept keeps the socket listening unless it is shut down."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


QUICK = {"CERTCTL_HEALTH_CHECK_ENABLED": "true", "CERTCTL_HEALTH_CHECK_INTERVAL": "1s"}
# Of a check that is asked once in an hour nobody looks again when a busy machine was too slow for its handshake.
PATIENT = {"CERTCTL_NETWORK_SCAN_ALLOW_LOOPBACK": "true", "CERTCTL_HEALTH_CHECK_DEFAULT_TIMEOUT": "30000"}
LOCAL = {"CERTCTL_NETWORK_SCAN_ALLOW_LOOPBACK": "true", "CERTCTL_HEALTH_CHECK_DEFAULT_TIMEOUT": str(500 * PATIENCE)}


@pytest.fixture(scope="module")
def plane():
    fleet = Fleet("health")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True)
        fleet.make_basics()
        fleet.start_scheduler(keep=True, **QUICK)
        fleet.start_worker(keep=True, **LOCAL)
        yield fleet
    finally:
        fleet.close()


@pytest.fixture
def server(plane):
    one = Server(plane.dir)
    yield one
    one.close()
    plane.query("TRUNCATE endpoint_health_checks CASCADE")


def watch(plane, server, **body):
    one = plane.api.need("POST", CHECKS, {"endpoint": f"127.0.0.1:{server.port}", "enabled": True, "check_interval_seconds": 1,
                                          "degraded_threshold": 1, "down_threshold": 2} | body)

    def wait(**members):
        def seen():
            now = plane.api.need("GET", f"{CHECKS}/{one['id']}")
            return now if all(now.get(k) == v for k, v in members.items()) else None
        return wait_for(seen, PATIENCE_S, f"the check to be {members}")
    return one["id"], wait


def conditions(plane):
    return {(c["name"], c["subject"]) for c in plane.api.need("GET", "/api/v1/admin/conditions")["data"] if c["name"].startswith("endpoint_")}


def test_a_server_that_goes_and_comes_back(plane, server):
    check, wait = watch(plane, server)
    one = wait(status="healthy")
    assert (one["observed_fingerprint"], one["cert_subject"], one["cert_issuer"]) == (server.fingerprint, "CN=server 1", "CN=server 1")
    assert one["tls_version"] == "TLS 1.3" and one["cipher_suite"].startswith("TLS_AES_") and one["last_success_at"] and one["cert_expiry"]
    assert server.names[0] is None  # an address is no name
    server.close()
    one = wait(status="down", consecutive_failures=2)
    assert one["failure_reason"] == "no connection to 127.0.0.1: Connection refused" and one["last_failure_at"]
    assert one["observed_fingerprint"] == server.fingerprint  # what was seen last
    assert conditions(plane) == {("endpoint_down", check)}
    assert plane.api.call("POST", f"{CHECKS}/{check}/acknowledge", {})[0] == 204
    assert conditions(plane) == set()
    server.open()
    one = wait(status="healthy", consecutive_failures=0)
    assert one["acknowledged"] is False and one["failure_reason"] == ""
    history = plane.api.need("GET", f"{CHECKS}/{check}/history?limit=1000")
    told = [h["status"] for h in history][::-1]
    assert [s for i, s in enumerate(told) if s != told[i - 1] or i == 0] == ["healthy", "degraded", "down", "healthy"]
    events = plane.query("SELECT details ->> 'from', details ->> 'to' FROM audit_events WHERE resource_id = %s "
                         "AND action = 'health_check_status_transition' ORDER BY seq", check)
    assert events == [("unknown", "healthy"), ("healthy", "degraded"), ("degraded", "down"), ("down", "healthy")]


def test_another_certificate_than_the_expected(plane, server):
    check, wait = watch(plane, server, endpoint=f"localhost:{server.port}", expected_fingerprint=server.fingerprint)
    wait(status="healthy")
    assert server.names[0] == "localhost"
    before, now = server.fingerprint, server.certify()
    one = wait(status="cert_mismatch", observed_fingerprint=now)
    assert one["failure_reason"] == f"it serves the certificate with SHA-256 {now}, and {before} is expected"
    assert one["consecutive_failures"] == 0 and conditions(plane) == {("endpoint_mismatch", check)}
    plane.api.need("PUT", f"{CHECKS}/{check}", {"expected_fingerprint": now.upper()})
    wait(status="healthy")


def test_the_newest_version_of_a_certificate_is_expected(plane, server):
    plane.make_certificate("watched")
    version = ("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, "
               "issuer_id, job_id, created_at) VALUES (%s, 'watched', %s, now(), now(), %s, '', 'iss-local', 'x', now() - interval '1 hour')")
    plane.query(version, "certver-1", "1", server.fingerprint)
    _, wait = watch(plane, server, certificate_id="watched")
    wait(status="healthy")
    plane.query(version, "certver-2", "2", FINGERPRINT)
    one = wait(status="cert_mismatch")
    assert FINGERPRINT in one["failure_reason"]


def test_a_mute_server_is_given_up_in_time(plane, server):
    server.is_mute = True
    _, wait = watch(plane, server)
    assert wait(status="down")["failure_reason"] == "no handshake within the time limit"


def test_one_that_is_off_is_not_asked(plane, server):
    check, wait = watch(plane, server)
    wait(status="healthy")
    plane.api.need("PUT", f"{CHECKS}/{check}", {"enabled": False})
    before = plane.api.need("GET", f"{CHECKS}/{check}")
    # Another one that is asked proves that the duty ran.
    _, other = watch(plane, server)
    other(status="healthy")
    assert plane.api.need("GET", f"{CHECKS}/{check}") == before


def test_reserved_addresses_are_not_asked(plane, server):
    _, wait = watch(plane, server, endpoint="169.254.1.1:443")
    one = wait(failure_reason="169.254.1.1 is a link-local address, which may not be asked")
    assert (one["status"], one["consecutive_failures"]) == ("unknown", 0)


def test_a_killed_workers_checks_are_asked_again(plane, server):
    """At the moment when it has asked and stored nothing."""
    server.is_mute = True
    worker = plane.start_worker(2, **PATIENT)
    plane.processes["worker-1"].stop()
    check, wait = watch(plane, server, check_interval_seconds=3600)
    wait_for(server.asked.is_set, PATIENCE_S, "the endpoint to be asked")
    worker.kill()
    server.is_mute = False
    worker = plane.start_worker(**PATIENT)
    wait(status="healthy")
    assert len(plane.api.need("GET", f"{CHECKS}/{check}/history")) == 1
    assert plane.value("SELECT count(*) FROM tasks WHERE kind = 'health_check'") == 0
    worker.stop()
    plane.start_worker(keep=True, **LOCAL)


def test_a_worker_that_dies_with_its_answers(plane, server):
    """At the moment when it has asked all and stored nothing."""
    plane.processes["worker-1"].stop()
    fault = plane.dir / "fault"
    fault.write_text("worker.health.probed\n")
    worker = plane.start_worker(2, keep=True, CERTCTL_FAULT_FILE=str(fault), **PATIENT)
    check, wait = watch(plane, server, check_interval_seconds=3600)
    wait(status="healthy")
    assert worker.exits == [-9] and not fault.exists()
    assert len(plane.api.need("GET", f"{CHECKS}/{check}/history")) == 1
    assert plane.value("SELECT count(*) FROM tasks WHERE kind = 'health_check'") == 0
    worker.stop()
    plane.start_worker(keep=True, **LOCAL)


def test_many_that_are_due_together(plane, server):
    """Several tasks; each check is asked once."""
    plane.query("INSERT INTO endpoint_health_checks (id, endpoint, check_interval_seconds) SELECT 'hc-many-' || i, %s, 3600 "
                "FROM generate_series(1, 300) i", f"127.0.0.1:{server.port}")

    def are_healthy():
        """One that a busy machine was too slow for is asked again; by itself it would be in an hour."""
        plane.query("UPDATE endpoint_health_checks SET next_check_at = now() WHERE id LIKE 'hc-many-%%' AND consecutive_failures > 0 "
                    "AND next_check_at > now() + interval '30 minutes'")
        return plane.api.need("GET", f"{CHECKS}/summary")["healthy"] == 300
    wait_for(are_healthy, PATIENCE_S, "all to be healthy")
    assert plane.query("SELECT health_check_id FROM endpoint_health_history GROUP BY 1 HAVING count(*) > 1 AND bool_and(status = 'healthy')") == []
    assert plane.value("SELECT count(DISTINCT health_check_id) FROM endpoint_health_history") == 300


def test_metrics_tell_of_each_status(plane, server):
    _, wait = watch(plane, server)
    wait(status="healthy")
    _, text = plane.api.get("/api/v1/metrics/prometheus")
    assert 'certctl_health_checks{status="healthy"} 1' in text and 'certctl_health_checks{status="down"} 0' in text


def test_routes_answer_while_no_checks_are_made(stack, worker):
    """CERTCTL_HEALTH_CHECK_ENABLED is false here; and a viewer may look only."""
    assert stack.api.get(CHECKS)[0] == 200
    viewer = Api(stack.api_port, stack.dir / "tls" / "api.pem", API_KEY + "-nobody")
    assert viewer.get(CHECKS)[0] == 401
