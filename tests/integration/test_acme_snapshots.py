"""
Two who meet at a row of the ACME server: the one that waited decides by what the
other left, not by what its statement saw when it began (database.md).
"""
import pytest

from test_acme_orders import ACCOUNT, FINALIZE, Orders, asked
from test_snapshots import meet, write

DEACTIVATE = "SELECT status FROM acme_account_update(%s, NULL, true, 'a', 'User')"


@pytest.fixture(scope="module")
def orders(stack):
    return Orders(stack)


@pytest.fixture
def account(orders, unique):
    """A valid account of its own."""
    name = unique("acct")
    orders.q("INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, profile_id) VALUES (%s, %s, '', 'prof-acme')", name, name)
    return name


def thumbprint(orders, account):
    return orders.value("SELECT jwk_thumbprint FROM acme_accounts WHERE account_id = %s", account)


def change_key(orders, account, old, new):
    return orders.q("SELECT outcome, account_id FROM acme_key_change(%s, %s, %s, '', 0)", account, old, new)[0]


# --- accounts ---

@pytest.mark.parametrize("concurrent", [0, 5])
def test_an_account_that_ended_gets_no_order(orders, account, concurrent):
    made, = meet(orders.stack, write(DEACTIVATE, account), lambda: orders.create("a.example.test", account=account, concurrent=concurrent))
    assert made[0] == "ended"
    assert orders.value("SELECT count(*) FROM acme_orders WHERE account_id = %s", account) == 0


@pytest.mark.parametrize("concurrent", [0, 5])
def test_an_order_that_came_first_ends_with_its_account(orders, account, concurrent):
    meet(orders.stack, lambda c: orders.create("a.example.test", account=account, concurrent=concurrent, connection=c.connection),
         lambda: orders.q(DEACTIVATE, account))
    assert orders.q("SELECT status, error FROM acme_orders WHERE account_id = %s", account) == [("invalid", {"why": "account_ended"})]


def test_a_contact_does_not_bring_an_account_back(orders, account):
    answers = meet(orders.stack, write(DEACTIVATE, account),
                   lambda: orders.q("SELECT status FROM acme_account_update(%s, ARRAY['mailto:a@b.test'], false, 'a', 'User')", account))
    assert answers == [[]]
    assert orders.q("SELECT status, contact FROM acme_accounts WHERE account_id = %s", account) == [("deactivated", [])]


def test_a_key_becomes_one_accounts(orders, account, unique):
    """Another is made with it meanwhile."""
    new = unique("key")
    made, = meet(orders.stack, write("INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, profile_id) VALUES (%s, %s, '', 'prof-acme')",
                                     f"acct-{new}", new), lambda: change_key(orders, account, account, new))
    assert made == ("taken", f"acct-{new}") and thumbprint(orders, account) == account


def test_an_account_is_made_with_a_key_that_another_gave_up(orders, account, unique):
    created, = meet(orders.stack, write("SELECT acme_key_change(%s, %s, %s, '', 0)", account, account, unique("key")),
                    lambda: orders.q("SELECT outcome, account_id FROM acme_account_create('prof-acme', %s, '', '{}', true, NULL)", account)[0])
    assert created[0] == "created" and created[1] != account


def test_the_same_account_is_made_once(orders, unique):
    key = unique("key")
    make = "SELECT outcome, account_id FROM acme_account_create('prof-acme', %s, '', '{}', true, NULL)"
    found, = meet(orders.stack, write(make, key), lambda: orders.q(make, key)[0])
    assert found == ("found", orders.value("SELECT account_id FROM acme_accounts WHERE jwk_thumbprint = %s", key))


def test_an_old_key_changes_nothing_after_a_change(orders, account, unique):
    first, second = unique("key"), unique("key")
    told, = meet(orders.stack, write("SELECT acme_key_change(%s, %s, %s, '', 0)", account, account, first),
                 lambda: change_key(orders, account, account, second))
    assert told == ("raced", None) and thumbprint(orders, account) == first


def test_those_who_want_a_key_of_nonces_at_once_get_the_same(orders):
    """With more than eight, some would issue by one that others do not read."""
    orders.q("DELETE FROM acme_nonce_keys")
    ask = "SELECT id FROM acme_nonce_keys_live()"
    answers = meet(orders.stack, write(ask), *[lambda: orders.q(ask)] * 3)
    assert len({tuple(a) for a in answers}) == 1
    assert orders.value("SELECT count(*) FROM acme_nonce_keys") == 1


# --- orders ---

def test_the_last_order_that_may_be_open_is_placed_once(orders, account):
    def place(connection=None):
        return orders.create("a.example.test", account=account, concurrent=1, connection=connection)
    second, = meet(orders.stack, lambda c: place(c.connection), place)
    assert second[0] == "open" and orders.value("SELECT count(*) FROM acme_orders WHERE account_id = %s", account) == 1


def test_an_order_is_finalized_once(orders):
    order = orders.create("once.example.test")[2]
    names = orders.value("SELECT names_key FROM acme_orders WHERE order_id = %s", order)
    finalize = write(f"SELECT {FINALIZE}", *asked((ACCOUNT, order, names, "k1")))
    again, other = meet(orders.stack, finalize, lambda: orders.finalize(order, "k1"), lambda: orders.finalize(order, "k2"))
    job = orders.value("SELECT job_id FROM acme_orders WHERE order_id = %s", order)
    assert (again[:2], other[:2]) == (("repeated", job), ("other_csr", job))


def test_an_order_that_is_finalized_as_it_expires_goes_on(orders):
    """Who settles it waits, and sees the job."""
    order = orders.create("late.example.test")[2]
    names = orders.value("SELECT names_key FROM acme_orders WHERE order_id = %s", order)

    def finalize(c):
        c.execute(f"SELECT {FINALIZE}", asked((ACCOUNT, order, names, "k1")))
        c.execute("UPDATE acme_orders SET expires_at = now() - interval '1 second' WHERE order_id = %s", (order,))
    meet(orders.stack, finalize, lambda: orders.q("SELECT acme_orders_settle(ARRAY[%s], 'why')", order))
    assert orders.look(order)[0] == "processing"


def test_two_orders_for_the_same_names_have_two_certificates(orders):
    """The one that is there is renewed by the first of them alone."""
    job = orders.finalize(orders.create("same.example.test")[2])[1]
    orders.complete(job)
    first, second = (orders.create("same.example.test")[2] for _ in range(2))
    names = orders.value("SELECT names_key FROM acme_orders WHERE order_id = %s", first)
    meet(orders.stack, write(f"SELECT {FINALIZE}", *asked((ACCOUNT, first, names, "k2"))), lambda: orders.finalize(second, "k3"))
    certificates = orders.q("SELECT certificate_id FROM acme_orders WHERE order_id = ANY (%s) ORDER BY order_id", [first, second])
    assert certificates[0] == (orders.certificate(job),) and certificates[1] not in (certificates[0], (None,))


# --- authorizations and challenges ---

def challenge(orders, name, n=1):
    """The order, and of its authorizations the id, and a challenge's."""
    order = orders.create(*[f"{name}-{i}.example.test" for i in range(n)], profile="prof-public")[2]
    return order, *orders.q("SELECT z.authz_id, min(c.challenge_id) FROM acme_authorizations z JOIN acme_challenges c USING (authz_id) "
                            "WHERE z.order_id = %s GROUP BY z.authz_id ORDER BY z.authz_id", order)


def test_a_challenge_is_answered_for_the_last_time_before_its_authorization_is_given_up(orders):
    order, (authz, one) = challenge(orders, "given")
    answers = meet(orders.stack, write("SELECT acme_authz_deactivate(%s, %s)", ACCOUNT, authz),
                   lambda: orders.value("SELECT outcome FROM acme_challenge_answer(%s, %s, 0)", ACCOUNT, one))
    assert answers == ["over"] and orders.look(order)[0] == "invalid"
    assert orders.value("SELECT count(*) FROM tasks WHERE subject = %s", one) == 0


def test_a_challenge_is_answered_once(orders):
    _, (_, one) = challenge(orders, "twice")
    answer = "SELECT outcome FROM acme_challenge_answer(%s, %s, 1)"
    assert meet(orders.stack, write(answer, ACCOUNT, one), lambda: orders.value(answer, ACCOUNT, one)) == ["shown"]
    assert orders.value("SELECT count(*) FROM tasks WHERE subject = %s", one) == 1


def end(orders, task, outcome):
    return orders.q("SELECT * FROM acme_challenge_end('w', 7, %s, %s, NULL, NULL, 'valid', 5, NULL)", task, outcome)


def take(orders, *challenges):
    orders.q("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES ('w', 'w', 'h', 1, 'infinity') ON CONFLICT DO NOTHING")
    for one in challenges:
        orders.q("SELECT acme_challenge_answer(%s, %s, 0)", ACCOUNT, one)
    orders.q("UPDATE tasks SET status = 'Running', leased_by = 'w', lease_id = 7, attempt_until = 'infinity' WHERE subject = ANY (%s)", list(challenges))
    return [orders.value("SELECT id FROM tasks WHERE subject = %s", one) for one in challenges]


def test_the_last_two_proofs_at_once_make_the_order_ready(orders):
    order, (_, one), (_, two) = challenge(orders, "both", 2)
    tasks = take(orders, one, two)
    meet(orders.stack, write("SELECT acme_challenge_end('w', 7, %s, 'valid', NULL, NULL, 'valid', 5, NULL)", tasks[0]), lambda: end(orders, tasks[1], "valid"))
    assert orders.look(order)[0] == "ready"


def test_a_proof_that_comes_as_its_task_is_given_up(orders):
    order, (_, one) = challenge(orders, "dead")
    task, = take(orders, one)
    orders.q("UPDATE tasks SET status = 'Failed', dedupe_key = NULL, leased_by = NULL, lease_id = NULL, attempt_until = NULL WHERE id = %s", task)
    told, = meet(orders.stack, write("SELECT acme_challenges_give_up(100)"), lambda: end(orders, task, "valid"))
    assert told == [] and orders.look(order)[0] == "invalid"


def test_what_is_held_is_given_up_by_the_next_look(orders):
    order, (_, one) = challenge(orders, "held")
    task, = take(orders, one)
    orders.q("UPDATE tasks SET status = 'Failed', dedupe_key = NULL, leased_by = NULL, lease_id = NULL, attempt_until = NULL WHERE id = %s", task)
    held = write("SELECT 1 FROM acme_orders WHERE order_id = %s FOR NO KEY UPDATE", order)
    give_up = "SELECT acme_challenges_give_up(100)"
    assert meet(orders.stack, held, lambda: orders.value(give_up)) == [0]
    assert orders.value(give_up) == 1 and orders.look(order)[0] == "invalid"
