"""
The numbers of the ACME server in the metrics: what a process counts of requests,
nonces and limits, and what the database keeps of accounts, orders and validations,
beside what the rows say.
"""
import pytest

from acme import Client, problem, serve
from fleet import job_words
from test_acme_orders import ACCOUNT, PROFILE, Orders
from test_metrics import scrape

ENV = {"CERTCTL_ACME_SERVER_ENABLED": "true"}
ORDER = {"identifiers": [{"type": "dns", "value": "a.example.test"}]}


@pytest.fixture(scope="module")
def orders(stack):
    stack.make_basics()
    serve(stack)
    stack.start_apiserver(2, keep=True, **ENV)
    yield Orders(stack)
    Client.close_all()


class Now:
    """What an apiserver tells, in families without their prefix."""

    def __init__(self, api):
        self.families = scrape(type("Asked", (), {"api": api}))

    def __call__(self, name, **labels):
        part = labels.pop("part", None)
        key = tuple(labels.items()) + ((("", part),) if part else ())
        return self.families[f"certctl_acme_{name}"][1].get(key)


def of(orders, i=1):
    return Now(orders.stack.apis[f"apiserver-{i}"] if i > 1 else orders.stack.api)


def states(orders, now):
    """Those of accounts and orders as they are told, and as the rows are."""
    told = tuple({dict(k)["status"]: int(v) for k, v in now.families[f"certctl_acme_{t}"][1].items() if v} for t in ("accounts", "orders"))
    return told, tuple(dict(orders.q(f"SELECT status, count(*) FROM acme_{t} GROUP BY status")) for t in ("accounts", "orders"))


# --- what a process counts ---

def test_requests_nonces_and_limits(orders):
    api = orders.stack.apis["apiserver-2"]
    client = Client(api, "/acme/profile/p-acme")
    before = Now(api)

    def grew(name, **labels):
        return (Now(api)(name, **labels) or 0) - (before(name, **labels) or 0)
    assert client.register()[0] == 201
    assert grew("requests_total", operation="new-account", outcome="success") == 1
    assert grew("requests_total", operation="new-nonce", outcome="success") == 1
    assert grew("nonces_issued_total") == 2
    for wrong, reason in ((None, "missing"), ("A" * 60, "unknown")):
        assert problem(client.post("new-order", ORDER, nonce=wrong))[1] == "badNonce"
        assert grew("nonces_refused_total", reason=reason) == 1
    nonce = client.nonce
    for place in range(6):
        answer = client.post("new-order", ORDER)
        assert answer[0] == (201 if place < 5 else 429)
    assert problem(client.post("new-order", ORDER, nonce=nonce))[1] == "badNonce"
    assert grew("nonces_refused_total", reason="used") == 1
    assert grew("requests_total", operation="new-order", outcome="success") == 5
    assert grew("requests_total", operation="new-order", outcome="badNonce") == 3
    assert grew("requests_total", operation="new-order", outcome="rateLimited") == grew("rate_limited_total", limit="concurrent_orders") == 1
    assert client.call("GET", "renewal-info/x")[0] == 400 and client.call("GET", "none")[0] == 404
    assert grew("requests_total", operation="renewal-info", outcome="malformed") == 1
    assert grew("requests_total", operation="other", outcome="malformed") == 1
    # Another process counts its own.
    assert of(orders)("nonces_issued_total") == 0


def test_a_server_that_is_off_counts_what_it_refuses(orders):
    before = of(orders)("requests_total", operation="directory", outcome="malformed") or 0
    assert Client(orders.stack.api, "/acme").call("GET", "directory")[0] == 404
    assert of(orders)("requests_total", operation="directory", outcome="malformed") == before + 1


# --- what the database keeps ---

def test_accounts_and_orders_by_status(orders):
    """Through all that changes them, and folded or not."""
    kept, gone = (orders.create(f"kept-{i}.example.test")[2] for i in range(2))
    orders.q("SELECT acme_account_update(%s, NULL, true, 'a', 'User')",
             orders.value("SELECT account_id FROM acme_account_create(%s, 'short', '', '{}', true, NULL)", PROFILE))
    job = orders.finalize(kept)[1]
    told, rows = states(orders, of(orders))
    assert told == rows and rows[0]["deactivated"] == 1 and rows[1]["processing"] == 1
    orders.complete(job)
    assert orders.look(kept)[0] == "valid"
    orders.q("UPDATE acme_orders SET status = 'invalid', expires_at = now() - interval '8 days' WHERE order_id = %s", gone)
    told, rows = states(orders, of(orders))
    assert told == rows and (rows[1]["valid"], rows[1]["invalid"]) == (1, 1)
    orders.q("SELECT duty_stats_fold(100000)")
    orders.q("SELECT * FROM duty_acme_cleanup(0, 100, %s)", job_words())
    told, rows = states(orders, of(orders))
    assert told == rows and "invalid" not in rows[1]
    # What was never counted, or wrongly, is counted by the rows.
    orders.q("INSERT INTO stat_moves (kind, key, n) VALUES ('acme_order', 'ready', 7), ('acme_account', 'valid', -1)")
    orders.q("SELECT stats_recount()")
    assert states(orders, of(orders))[0] == rows


def test_what_orders_came_to_and_how_long_they_took(orders):
    before = of(orders)
    good, bad, late, up = (orders.create(f"came-{i}.example.test") for i in range(4))
    orders.q("UPDATE acme_orders SET created_at = now() - interval '3 seconds' WHERE order_id = %s", good[2])
    orders.complete(orders.finalize(good[2])[1])
    orders.end(orders.finalize(bad[2])[1], "Failed")
    orders.q("UPDATE acme_orders SET expires_at = now() - interval '1 second' WHERE order_id = %s", late[2])
    assert [orders.look(o[2])[0] for o in (good, bad, late)] == ["valid", "invalid", "invalid"]
    orders.q("SELECT acme_authz_deactivate(%s, %s)", ACCOUNT, up[4][0])
    now = of(orders)
    grew = {dict(k)["outcome"]: v - before.families["certctl_acme_orders_ended_total"][1][k]
            for k, v in now.families["certctl_acme_orders_ended_total"][1].items()}
    assert {k: v for k, v in grew.items() if v} == {"valid": 1, "job_failed": 1, "expired": 1, "deactivated": 1}

    def more(**labels):
        return now("order_duration_seconds", **labels) - before("order_duration_seconds", **labels)
    assert [more(le=le, part="_bucket") for le in ("2.5", "5", "+Inf")] == [0, 1, 1]
    assert more(part="_count") == 1 and 3 <= more(part="_sum") < 60


def test_tries_to_validate(orders):
    """As a worker ends them, the last one with its order."""
    before = of(orders)
    order = orders.create("tried.example.test", profile="prof-public")[2]
    one = orders.value("SELECT challenge_id FROM acme_challenges c JOIN acme_authorizations z USING (authz_id) "
                       "WHERE z.order_id = %s AND c.type = 'dns-01'", order)
    orders.q("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES ('w', 'w', 'h', 1, 'infinity') ON CONFLICT DO NOTHING")
    orders.q("SELECT acme_challenge_answer(%s, %s, 0)", ACCOUNT, one)
    task = orders.value("SELECT id FROM tasks WHERE subject = %s", one)
    for n, outcome in enumerate(("failed", "failed", "failed", "failed", "valid")):
        orders.q("UPDATE tasks SET status = 'Running', leased_by = 'w', lease_id = 7, attempt_until = 'infinity' WHERE id = %s", task)
        assert len(orders.q("SELECT * FROM acme_challenge_end('w', 7, %s, %s, '{}', '{\"type\": \"x\"}', 'dns', %s, NULL)", task, outcome, 400 * n)) == (n < 4)
    now = of(orders)
    assert orders.look(order)[0] == "invalid"
    assert now("validations_total", type="dns-01", result="dns") - before("validations_total", type="dns-01", result="dns") == 4
    assert now("orders_ended_total", outcome="validation") - before("orders_ended_total", outcome="validation") == 1

    def more(**labels):
        return now("validation_duration_seconds", type="dns-01", **labels) - before("validation_duration_seconds", type="dns-01", **labels)
    assert [more(le=le, part="_bucket") for le in ("0.05", "0.25", "0.5", "1", "2.5", "+Inf")] == [1, 1, 2, 3, 4, 4]
    assert more(part="_count") == 4 and more(part="_sum") == pytest.approx(2.4)
