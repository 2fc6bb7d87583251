"""
Orders of the ACME server (RFC 8555): made, finalized into jobs, settled by them,
and cleaned away.
"""
import contextlib
import json
import re
import threading

import psycopg2
import pytest

from fleet import job_words

ACCOUNT, OTHER, PROFILE = "acct-1", "acct-2", "prof-acme"


def asked(*orders):
    """The parameters of acme_finalize: of each account, order, key of the names, key."""
    return [list(column) for column in zip(*((*one, "ECDSA", f"CSR of {one[3]}") for one in orders))]


def wanted(*orders):
    """A statement that makes orders, and its parameters; of each its names and what is not as most have it."""
    rows = []
    for names, options in orders:
        o = {"account": ACCOUNT, "profile": PROFILE, "per_hour": 0, "concurrent": 0, "ttl_ms": 3600000} | options
        types = ["ip" if n[0].isdigit() else "dns" for n in names]
        rows.append((o["account"], o["profile"], "|".join(types), "|".join(names), " ".join(f"{t}:{n}" for t, n in zip(types, names)), None,
                     o["profile"] != "prof-public", o["ttl_ms"], o["ttl_ms"], o["per_hour"], o["concurrent"]))
    return ("SELECT outcome, wait_s, order_id, status, authorizations FROM acme_orders_create(%s, %s, %s, %s, %s, %s::text[], %s, %s::bigint[], "
            "%s::bigint[], %s, %s, '|') ORDER BY at"), [list(column) for column in zip(*rows)]


FINALIZE = "acme_finalize(%s, %s, %s, %s, %s, %s)"


class Orders:
    """The functions of orders, against PostgreSQL."""

    def __init__(self, stack):
        self.stack, self.q, self.value = stack, stack.query, stack.value
        self.q("INSERT INTO teams (id, name) VALUES ('t-acme', 'acme')")
        self.q("INSERT INTO owners (id, name, email, team_id) VALUES ('o-acme', 'acme', 'a@example.test', 't-acme')")
        self.q("INSERT INTO issuers (id, name, type) VALUES ('iss-acme', 'acme', 'GenericCA')")
        for profile, mode in ((PROFILE, "trust_authenticated"), ("prof-public", "challenge")):
            self.q("INSERT INTO certificate_profiles (id, name, issuer_id, acme_owner_id, acme_auth_mode) "
                   "VALUES (%s, %s, 'iss-acme', 'o-acme', %s)", profile, profile, mode)
        for account in (ACCOUNT, OTHER):
            self.q("INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, status, profile_id) VALUES (%s, %s, '', 'valid', %s)",
                   account, account, PROFILE)

    def create(self, *names, connection=None, **options):
        sql, arguments = wanted((names, options))
        if connection is None:
            return self.q(sql, *arguments)[0]
        with connection.cursor() as c:
            c.execute(sql, arguments)
            return c.fetchone()

    def finalize(self, order, key="k1", account=ACCOUNT, names=None):
        names = names or self.value("SELECT names_key FROM acme_orders WHERE order_id = %s", order)
        return self.q(f"SELECT outcome, job_id, issuer_id FROM {FINALIZE}", *asked((account, order, names, key)))[0]

    def look(self, order):
        return self.q("SELECT status, error, version_id FROM acme_orders_look(ARRAY[%s], 'changed')", order)[0]

    def complete(self, *jobs):
        for job in jobs:
            self.q("UPDATE jobs SET status = 'Running', leased_by = 'w', lease_id = 77, attempt_until = now() + interval '1 minute', "
                   "serial_number = 'S-' || id, not_before = now(), not_after = now() + interval '90 days', ca_sha256 = '\\x00' "
                   "WHERE id = %s", job)
        n = len(jobs)
        self.q("SELECT job_id FROM issue_complete('w', 77, %s, %s, %s, %s, %s, '')", list(jobs), ["pem"] * n, [f"f-{j}" for j in jobs],
               ["ECDSA"] * n, [256] * n)

    def end(self, job, status):
        self.q("SELECT jobs_finish(ARRAY[%s], %s, 'secret words of the CA')", job, status)

    def certificate(self, job):
        return self.value("SELECT certificate_id FROM jobs WHERE id = %s", job)


@pytest.fixture(scope="module")
def orders(stack):
    return Orders(stack)


def test_an_order_of_a_trusted_account_is_ready(orders):
    outcome, _, order, status, authorizations = orders.create("a.example.test", "*.b.example.test", "192.0.2.1")
    assert (outcome, status, len(authorizations)) == ("created", "ready", 3)
    rows = orders.q("SELECT z.identifier, z.wildcard, z.status, c.type, c.status, length(c.token) FROM acme_authorizations z "
                    "JOIN acme_challenges c ON c.authz_id = z.authz_id WHERE z.order_id = %s ORDER BY z.authz_id", order)
    assert sorted((r[0]["value"], *r[1:]) for r in rows) == [
        ("192.0.2.1", False, "valid", "http-01", "valid", 43), ("a.example.test", False, "valid", "http-01", "valid", 43),
        ("b.example.test", True, "valid", "dns-01", "valid", 43)]


def test_an_order_that_is_to_be_proven(orders):
    _, _, order, status, _ = orders.create("a.example.test", "*.b.example.test", "192.0.2.1", profile="prof-public")
    assert status == "pending"
    rows = orders.q("SELECT z.identifier ->> 'value', array_agg(c.type ORDER BY c.type), bool_and(c.status = 'pending' AND z.status = 'pending'), "
                    "count(DISTINCT c.token) FROM acme_authorizations z JOIN acme_challenges c ON c.authz_id = z.authz_id "
                    "WHERE z.order_id = %s GROUP BY 1 ORDER BY 1", order)
    assert rows == [("192.0.2.1", ["http-01", "tls-alpn-01"], True, 2), ("a.example.test", ["dns-01", "http-01", "tls-alpn-01"], True, 3),
                    ("b.example.test", ["dns-01"], True, 1)]
    assert orders.finalize(order)[0] == "pending"


def test_finalized_it_is_a_job_with_its_csr(orders):
    order = orders.create("job.example.test", "www.job.example.test")[2]
    assert orders.finalize(order, names="dns:job.example.test")[0] == "other_names"
    outcome, job, issuer = orders.finalize(order)
    assert (outcome, issuer) == ("accepted", "iss-acme")
    assert orders.look(order) == ("processing", None, None)
    assert orders.q("SELECT j.status, j.type, j.agent_id, j.requested_by, r.csr_pem, r.key_sha256 FROM jobs j JOIN certificate_requests r "
                    "ON r.job_id = j.id WHERE j.id = %s", job) == [("Pending", "Issuance", None, f"acme:{ACCOUNT}", "CSR of k1", "k1")]
    assert orders.q("SELECT common_name, sans, owner_id, team_id, renewal_policy_id, status, source FROM managed_certificates WHERE id = %s",
                    orders.certificate(job)) == [("job.example.test", ["job.example.test", "www.job.example.test"], "o-acme", "t-acme",
                                                  "rp-acme", "RenewalInProgress", "ACME")]
    assert orders.finalize(order) == ("repeated", job, None)
    assert orders.finalize(order, key="k2")[0] == "other_csr"
    assert orders.finalize(order, account=OTHER)[0] == "foreign"
    assert orders.finalize("acme-ord-0")[0] == "unknown"
    orders.complete(job)
    assert orders.look(order) == ("valid", None, "certver" + job[3:])
    assert orders.finalize(order) == ("repeated", job, None)
    assert orders.q("SELECT action, actor FROM audit_events WHERE resource_type = 'acme_order' AND resource_id = %s ORDER BY seq", order) == [
        (a, f"acme:{ACCOUNT}") for a in ("acme_order_created", "acme_order_processing", "acme_order_finalized")]


MANY = 5000
# Certificates of the same account and issuer, with their versions; of the rows' own session: no trigger and no foreign key.
FILL = f"""
    SET LOCAL session_replication_role = replica;
    INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, certificate_profile_id, status)
        SELECT 'mc-' || i, 'mc-' || i, 'x.example.test', 'o-acme', 't-acme', 'iss-acme', 'rp-acme', '{PROFILE}', 'Active' FROM generate_series(1, {MANY}) i;
    INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, issuer_id, job_id)
        SELECT 'certver-' || i, 'mc-' || i, 'F-' || i, now(), now(), '', 'pem', 'iss-acme', 'job-' || i FROM generate_series(1, {MANY}) i;
    INSERT INTO acme_certificates (certificate_id, account_id, profile_id, names_key)
        SELECT 'mc-' || i, '{ACCOUNT}', '{PROFILE}', 'of ' || i FROM generate_series(1, {MANY}) i;
    SET LOCAL session_replication_role = origin"""
TELLS = {"auto_explain.log_min_duration": "0", "auto_explain.log_nested_statements": "on", "auto_explain.log_analyze": "on",
         "auto_explain.log_timing": "off", "client_min_messages": "log"}


def test_plans_of_an_empty_installation_walk_no_certificates(orders):
    """A session that finalized and downloaded while there was nothing does so when there is much, and no statistics say so."""
    before, after = (orders.create(f"{word}.plans.example.test")[2] for word in ("before", "after"))
    plans, connection = [], orders.stack.connect()
    with contextlib.closing(connection), connection.cursor() as c:

        def work(order, version):
            names = orders.value("SELECT names_key FROM acme_orders WHERE order_id = %s", order)
            c.execute(f"SELECT outcome FROM {FINALIZE}", asked((ACCOUNT, order, names, order)))
            outcome = c.fetchall()
            c.execute("SELECT at, account_id, pem FROM acme_certs_of(%s)", (["certver-none", version],))
            return outcome, c.fetchall()
        assert work(before, "certver-0") == ([("accepted",)], [])
        c.execute(FILL)
        c.execute("LOAD 'auto_explain'")
        for name, value in TELLS.items():
            c.execute(f"SET LOCAL {name} = '{value}'")
        connection.notices = plans
        assert work(after, "certver-7") == ([("accepted",)], [(2, ACCOUNT, "pem")])
    text = "\n".join(plans)
    assert "INSERT INTO jobs" in text and "certificate_versions" in text
    read = [int(n) for n in re.findall(r"\(actual rows=(\d+) |Rows Removed by [\w ]+: (\d+)", text) for n in n if n]
    assert read and max(read) < MANY // 10, text


def test_an_order_is_valid_by_the_transaction_that_completes_its_job(orders):
    order, held = (orders.create(f"{n}.complete.example.test")[2] for n in "ab")
    jobs = [orders.finalize(o)[1] for o in (order, held)]
    with orders.stack.admin() as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT 1 FROM acme_orders WHERE order_id = %s FOR NO KEY UPDATE", (held,))
        orders.complete(*jobs)  # waits for nobody
        rows = "SELECT order_id, status, version_id FROM acme_orders WHERE order_id IN (%s, %s) ORDER BY created_at"
        assert orders.q(rows, order, held) == [(order, "valid", "certver" + jobs[0][3:]), (held, "processing", None)]
        holder.execute("COMMIT")
    assert orders.look(held) == ("valid", None, "certver" + jobs[1][3:])
    assert orders.value("SELECT count(*) FROM audit_events WHERE action = 'acme_order_finalized' AND resource_id IN (%s, %s)", order, held) == 2


def test_many_orders_in_one_transaction_keep_to_their_limits(orders):
    for account in ("acct-few", "acct-rate"):
        orders.q("INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, status, profile_id) VALUES (%s, %s, '', 'valid', %s)",
                 account, account, PROFILE)
    few, rate, ended = {"account": "acct-few", "concurrent": 2}, {"account": "acct-rate", "per_hour": 1}, {"account": "acct-none"}
    sql, arguments = wanted(*((("x.many.example.test",), o) for o in (few, ended, rate, few, {}, few, rate)))
    rows = orders.q(sql, *arguments)
    assert [r[0] for r in rows] == ["created", "ended", "created", "created", "created", "open", "limited"]
    assert all((r[0] == "created") == (r[2] is not None) and (r[1] > 0) == (r[0] in ("open", "limited")) for r in rows)
    assert orders.q("SELECT account_id, count(*) FROM acme_orders WHERE names_key = 'dns:x.many.example.test' GROUP BY 1 ORDER BY 1") == [
        (ACCOUNT, 1), ("acct-few", 2), ("acct-rate", 1)]
    assert orders.q("SELECT resource_id, details ->> 'limit' FROM audit_events WHERE action = 'acme_limited' "
                    "AND resource_id IN ('acct-few', 'acct-rate') ORDER BY 1") == [
        ("acct-few", "concurrent_orders"), ("acct-rate", "orders_per_hour")]


@pytest.mark.parametrize("status, why", [("Failed", "job_failed"), ("Cancelled", "job_cancelled")])
def test_a_job_that_ends_badly_ends_the_order(orders, status, why):
    order = orders.create(f"{why.replace('_', '-')}.example.test")[2]
    job = orders.finalize(order)[1]
    orders.end(job, status)
    assert orders.look(order) == ("invalid", {"why": why, "job": job}, None)
    assert orders.finalize(order)[0] == "invalid"


def test_a_job_that_retention_removed(orders):
    one, two = (orders.create(f"gone-{i}.example.test")[2] for i in (1, 2))
    jobs = [orders.finalize(o)[1] for o in (one, two)]
    orders.complete(jobs[0])
    orders.end(jobs[1], "Failed")
    orders.q("DELETE FROM jobs WHERE id = ANY (%s)", jobs)
    assert orders.look(one) == ("valid", None, "certver" + jobs[0][3:])
    assert orders.look(two)[0] == "invalid"


def test_a_certificate_that_is_changed_meanwhile(orders):
    order = orders.create("changed.example.test")[2]
    job = orders.finalize(order)[1]
    orders.q("SELECT certificate_merge(%s, '{\"sans\": [\"other.example.test\"]}', 'op', 'APIKey', 'off')", orders.certificate(job))
    assert orders.look(order)[:2] == ("invalid", {"why": "order_changed", "job": job})
    # Nobody waits for a CSR any more, and the names can be ordered again at once.
    assert orders.q("SELECT status, last_error FROM jobs WHERE id = %s", job) == [("Cancelled", "changed")]
    assert orders.value("SELECT status FROM managed_certificates WHERE id = %s", orders.certificate(job)) == "Pending"


@pytest.mark.parametrize("is_asked", [False, True])
def test_one_that_nobody_looks_at_ends_too(orders, is_asked):
    profile = f"prof-anew-{is_asked}"
    orders.q("INSERT INTO certificate_profiles (id, name, issuer_id, acme_owner_id, requires_approval) VALUES (%s, %s, 'iss-acme', 'o-acme', %s)",
             profile, profile, is_asked)
    order = orders.create("anew.example.test", profile=profile)[2]
    job = orders.finalize(order)[1]
    certificate = orders.certificate(job)
    orders.q("SELECT certificate_merge(%s, '{\"common_name\": \"x.example.test\"}', 'op', 'APIKey', 'off')", certificate)
    assert orders.value("SELECT status FROM jobs WHERE id = %s", job) == ("AwaitingApproval" if is_asked else "AwaitingCSR")
    # While somebody holds the certificate nothing waits for them; the next look ends it.
    holder = orders.stack.connect()
    try:
        with holder.cursor() as c:
            c.execute("SELECT 1 FROM managed_certificates WHERE id = %s FOR UPDATE", (certificate,))
            orders.q("SELECT duty_acme_cleanup(0, 100, %s)", job_words())
            assert orders.value("SELECT status FROM acme_orders WHERE order_id = %s", order) == "processing"
        holder.rollback()
    finally:
        holder.close()
    orders.q("SELECT duty_acme_cleanup(0, 100, %s)", job_words())
    assert orders.q("SELECT o.status, o.error ->> 'why', j.status, j.last_error FROM acme_orders o JOIN jobs j ON j.id = o.job_id WHERE o.order_id = %s", order) == [
        ("invalid", "order_changed", "Cancelled", json.loads(job_words())["order_changed"])]
    assert orders.q("SELECT state FROM issuance_approval_requests WHERE job_id = %s AND state = 'pending'", job) == []


def test_the_scan_leaves_to_clients_what_is_theirs(orders):
    """A policy that renews by itself makes no job for a certificate whose key the client alone has."""
    orders.q("INSERT INTO renewal_policies (id, name, renewal_window_days, auto_renew) VALUES ('rp-eager', 'eager', 30, true)")
    order = orders.create("eager.example.test")[2]
    job = orders.finalize(order)[1]
    orders.complete(job)
    certificate = orders.certificate(job)
    orders.q("UPDATE managed_certificates SET renewal_policy_id = 'rp-eager' WHERE id = %s", certificate)
    for change in ("renew_after = now() - interval '1 hour'", "sans = ARRAY['eager.example.test', 'more.example.test']"):
        orders.q(f"UPDATE managed_certificates SET {change} WHERE id = %s", certificate)
        assert orders.value("SELECT renew_after <= now() FROM managed_certificates WHERE id = %s", certificate)
        orders.q("SELECT duty_renewal_scan(1000)")
        assert orders.q("SELECT renew_after, status FROM managed_certificates WHERE id = %s", certificate) == [(None, "Active")]
    assert orders.q("SELECT id FROM jobs WHERE certificate_id = %s", certificate) == [(job,)]


def test_without_a_policy_nothing_is_issued(orders):
    """The default one is known by its mark, and may be deleted as any other."""
    order = orders.create("policy.example.test")[2]
    assert orders.value("SELECT acme_policy_default()") == "rp-acme"
    orders.q("UPDATE renewal_policies SET is_acme_default = false WHERE id = 'rp-acme'")
    assert orders.finalize(order)[0] == "unconfigured" and orders.look(order)[0] == "ready"
    orders.q("UPDATE renewal_policies SET is_acme_default = true WHERE id = 'rp-acme'")
    assert orders.finalize(order)[0] == "accepted"


def test_the_same_names_again_renew_the_certificate(orders):
    certificates = []
    for key in ("k1", "k2"):
        job = orders.finalize(orders.create("again.example.test")[2], key=key)[1]
        certificates.append(orders.certificate(job))
        orders.complete(job)
    assert certificates[0] == certificates[1]
    assert orders.value("SELECT type FROM jobs WHERE id = %s", job) == "Renewal"
    # While one is issued, for another account, or revoked: another certificate.
    jobs = [orders.finalize(orders.create("again.example.test")[2])[1] for _ in range(2)]
    assert orders.certificate(jobs[0]) == certificates[0] != orders.certificate(jobs[1])
    foreign = orders.finalize(orders.create("again.example.test", account=OTHER)[2], account=OTHER)[1]
    assert orders.certificate(foreign) not in certificates
    orders.complete(*jobs)
    for certificate in {orders.certificate(j) for j in jobs}:
        orders.q("SELECT certificates_revoke(ARRAY[%s], 'superseded', 'op', 'APIKey', 'revoked')", certificate)
    assert orders.certificate(orders.finalize(orders.create("again.example.test")[2])[1]) not in certificates


def test_an_approval_comes_first(orders):
    orders.q("INSERT INTO certificate_profiles (id, name, issuer_id, acme_owner_id, requires_approval) "
             "VALUES ('prof-asked', 'asked', 'iss-acme', 'o-acme', true)")
    order, other = (orders.create(f"asked-{i}.example.test", profile="prof-asked")[2] for i in (1, 2))
    jobs = [orders.finalize(o)[1] for o in (order, other)]
    assert orders.value("SELECT status FROM jobs WHERE id = %s", jobs[0]) == "AwaitingApproval"
    orders.q("UPDATE acme_orders SET expires_at = now() - interval '1 hour' WHERE order_id = ANY (%s)", [order, other])
    assert orders.look(order)[0] == "processing"
    for job, approve in zip(jobs, (True, False)):
        orders.q("SELECT approval_decide(NULL, %s, 'someone', 'APIKey', %s, '', 'no')", job, approve)
    assert orders.value("SELECT status FROM jobs WHERE id = %s", jobs[0]) == "Pending"
    assert orders.look(order)[0] == "processing"
    assert orders.look(other)[:2] == ("invalid", {"why": "job_cancelled", "job": jobs[1]})


def test_a_profile_that_cannot_issue(orders):
    orders.q("INSERT INTO issuers (id, name, type, enabled) VALUES ('iss-off', 'off', 'GenericCA', false)")
    for profile, issuer, owner, outcome in (("p1", None, "o-acme", "unconfigured"), ("p2", "iss-acme", None, "unconfigured"),
                                            ("p3", "iss-off", "o-acme", "issuer_disabled")):
        orders.q("INSERT INTO certificate_profiles (id, name, issuer_id, acme_owner_id) VALUES (%s, %s, %s, %s)", profile, profile, issuer, owner)
        order = orders.create("off.example.test", profile=profile)[2]
        assert orders.finalize(order)[0] == outcome
        assert orders.look(order)[0] == "ready"


# --- time ---

def test_expiry(orders):
    order = orders.create("late.example.test", profile="prof-public")[2]
    ready = orders.create("late.example.test")[2]
    orders.q("UPDATE acme_orders SET expires_at = now() - interval '1 second' WHERE order_id IN (%s, %s)", order, ready)
    assert orders.finalize(ready)[0] == "expired"
    assert orders.look(ready)[:2] == ("invalid", {"why": "expired"})
    assert orders.value("SELECT sum(rows) FROM duty_acme_cleanup(0, 100, %s)", job_words()) >= 1
    assert orders.q("SELECT o.status, z.status FROM acme_orders o JOIN acme_authorizations z ON z.order_id = o.order_id WHERE o.order_id = %s",
                    order) == [("invalid", "expired")]


def test_an_authorization_that_is_over_finalizes_nothing(orders):
    order = orders.create("authz.example.test")[2]
    orders.q("UPDATE acme_authorizations SET expires_at = now() - interval '1 second' WHERE order_id = %s", order)
    assert orders.finalize(order)[0] == "pending"


def test_cleaning(orders):
    kept, gone, done, failed = (orders.create(f"clean-{i}.example.test")[2] for i in range(4))
    jobs = [orders.finalize(o)[1] for o in (done, failed)]
    orders.complete(jobs[0])
    orders.end(jobs[1], "Failed")
    orders.q("UPDATE acme_orders SET status = 'invalid', expires_at = now() - interval '8 days' WHERE order_id = %s", gone)
    orders.q("INSERT INTO acme_nonces (nonce, expires_at) VALUES ('old', now() - interval '3 minutes'), "
             "('over', now() - interval '1 minute'), ('new', now() + interval '1 minute')")
    orders.q("INSERT INTO acme_nonce_keys (id, key, made_at) VALUES ('old', '', now() - interval '73 hours'), ('used', '', now() - interval '71 hours')")
    orders.q("INSERT INTO acme_buckets (kind, subject, tokens, at) VALUES ('order', 'rest', 0, now() - interval '61 minutes'), "
             "('order', 'busy', 0, now())")
    for _ in range(orders.value("SELECT count(*) FROM acme_orders")): # some of those that wait at each look
        orders.q("SELECT duty_acme_cleanup(0, 2, %s)", job_words())
    assert orders.q("SELECT status FROM acme_orders WHERE order_id IN (%s, %s, %s, %s) ORDER BY order_id", kept, gone, done, failed) == [
        ("ready",), ("valid",), ("invalid",)]
    # By a clock that is behind one that is over is none yet, and would serve again.
    assert orders.q("SELECT nonce FROM acme_nonces ORDER BY nonce") == [("new",), ("over",)]
    assert orders.q("SELECT id FROM acme_nonce_keys WHERE id IN ('old', 'used')") == [("used",)]
    assert orders.q("SELECT subject FROM acme_buckets WHERE subject IN ('rest', 'busy')") == [("busy",)]


DAY = 24 * 3600 * 1000


@pytest.mark.parametrize("keep", [90 * DAY, 0])
def test_keys_of_external_accounts_that_have_ended_go(orders, keep):
    orders.q("DELETE FROM acme_eab_keys")
    made = {"active", "expires", "reused", "expired-89", "expired-91", "revoked-89", "revoked-91", "used-89", "used-91"}
    for name in made:
        orders.q("INSERT INTO acme_eab_keys (key_id, hmac_sealed, created_by, created_at) VALUES (%s, '', 'x', now() - interval '1 year')", name)
    orders.q("UPDATE acme_eab_keys SET expires_at = now() + interval '1 day' WHERE key_id = 'expires'")
    orders.q("UPDATE acme_eab_keys SET reusable = true, uses = 9, used_at = now() - interval '91 days' WHERE key_id = 'reused'")
    for column, word in (("expires_at", "expired"), ("revoked_at", "revoked"), ("used_at", "used")):
        for days in (89, 91):
            orders.q(f"UPDATE acme_eab_keys SET uses = %s, {column} = now() - make_interval(days => %s) WHERE key_id = %s",
                     int(word == "used"), days, f"{word}-{days}")
    # Used long ago, and revoked yesterday: it admits nobody since it was used.
    orders.q("UPDATE acme_eab_keys SET revoked_at = now() - interval '1 day' WHERE key_id = 'used-91'")
    orders.q("INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, profile_id, eab_key_id) "
             "SELECT 'acct-bound', 'bound', '', profile_id, 'used-91' FROM acme_accounts WHERE account_id = %s ON CONFLICT DO NOTHING", ACCOUNT)
    orders.q("UPDATE acme_eab_keys SET account_id = 'acct-bound' WHERE key_id = 'used-91'")
    for _ in range(3): # in chunks
        orders.q("SELECT duty_acme_cleanup(%s, 2, %s)", keep, job_words())
    left = {k for k, in orders.q("SELECT key_id FROM acme_eab_keys")}
    assert left == made - ({"expired-91", "revoked-91", "used-91"} if keep else set())
    told = orders.q("SELECT resource_id, actor, details ->> 'status' FROM audit_events WHERE action = 'acme_eab_key_deleted' ORDER BY resource_id")
    assert told == [("expired-91", "system", "expired"), ("revoked-91", "system", "revoked"), ("used-91", "system", "revoked")]
    assert orders.value("SELECT eab_key_id FROM acme_accounts WHERE account_id = 'acct-bound'") == "used-91"


def test_accounts_that_have_ended_go(orders):
    """Those that their clients ended, once nothing rests on them; one that an operator revoked shuts its key out for good."""
    names = ["lives", "revoked", "gone-1", "gone-2", "gone-3", "young", "orders", "certificate"]
    for name in names:
        orders.q("INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, profile_id, status, updated_at) "
                 "SELECT %s, %s, '', profile_id, %s, now() - make_interval(days => %s) FROM acme_accounts WHERE account_id = %s",
                 f"acct-{name}", name, {"lives": "valid", "revoked": "revoked"}.get(name, "deactivated"), 89 if name == "young" else 91, ACCOUNT)
    order = orders.create("rests.example.test")[2]
    job = orders.finalize(order)[1]
    orders.complete(job)
    orders.look(order)
    orders.q("UPDATE acme_certificates SET account_id = 'acct-certificate' WHERE certificate_id = %s", orders.certificate(job))
    orders.q("UPDATE acme_orders SET account_id = 'acct-orders' WHERE order_id = %s", order)
    for _ in range(6): # two at each look, and round again
        orders.q("SELECT duty_acme_cleanup(%s, 2, %s)", 90 * DAY, job_words())
    left = {a for a, in orders.q("SELECT account_id FROM acme_accounts")}
    assert {n for n in names if f"acct-{n}" in left} == {"lives", "revoked", "young", "orders", "certificate"}
    orders.q("DELETE FROM acme_orders WHERE order_id = %s", order)
    for _ in range(3):
        orders.q("SELECT duty_acme_cleanup(%s, 2, %s)", 90 * DAY, job_words())
    assert not orders.q("SELECT FROM acme_accounts WHERE account_id = 'acct-orders'")


# --- authorizations and challenges ---

def test_an_authorization_is_given_up(orders):
    _, _, order, _, (authz,) = orders.create("up.example.test")
    call = "SELECT acme_authz_deactivate(%s, %s)"
    assert orders.value(call, OTHER, authz) == "foreign"
    assert orders.value(call, ACCOUNT, "acme-authz-0") == "unknown"
    assert [orders.value(call, ACCOUNT, authz) for _ in range(2)] == ["deactivated", "final"]
    assert orders.look(order)[:2] == ("invalid", {"why": "deactivated"})


def test_a_challenge_is_answered_once(orders):
    order = orders.create("answer.example.test", profile="prof-public")[2]
    ids = [r[0] for r in orders.q("SELECT challenge_id FROM acme_challenges c JOIN acme_authorizations z ON z.authz_id = c.authz_id "
                                  "WHERE z.order_id = %s", order)]
    call = "SELECT outcome, wait_s FROM acme_challenge_answer(%s, %s, %s)"
    assert orders.q(call, OTHER, ids[0], 1)[0][0] == "foreign"
    assert orders.q(call, ACCOUNT, "acme-chall-0", 1)[0][0] == "unknown"
    assert [orders.q(call, ACCOUNT, ids[0], 1)[0] for _ in range(2)] == [("accepted", 0), ("shown", 0)]
    assert orders.q("SELECT kind, status FROM tasks WHERE subject = %s", ids[0]) == [("acme_validate", "Pending")]
    # A validation that is tried again by the client is charged.
    orders.q("UPDATE acme_challenges SET status = 'pending' WHERE challenge_id = %s", ids[0])
    outcome, wait = orders.q(call, ACCOUNT, ids[0], 1)[0]
    assert outcome == "limited" and 3500 < wait <= 3600
    orders.q("UPDATE acme_orders SET expires_at = now() WHERE order_id = %s", order)
    assert orders.q(call, ACCOUNT, ids[1], 1)[0][0] == "over"


# --- limits ---

def test_orders_an_hour(orders):
    got = [orders.create("rate.example.test", account=OTHER, per_hour=3)[:2] for _ in range(4)]
    assert [g[0] for g in got] == ["created"] * 3 + ["limited"]
    assert 1100 < got[3][1] <= 1200
    orders.q("UPDATE acme_buckets SET at = at - interval '20 minutes' WHERE subject = %s", OTHER)
    assert [orders.create("rate.example.test", account=OTHER, per_hour=3)[0] for _ in range(2)] == ["created", "limited"]


def test_open_orders(orders):
    orders.q("INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, status, profile_id) VALUES ('acct-own', 'own', '', 'valid', %s)", PROFILE)
    got = [orders.create("own.example.test", account="acct-own", concurrent=2) for _ in range(3)]
    assert [g[0] for g in got] == ["created", "created", "open"] and got[2][1] == 60
    # What is over makes room, whether anybody cleaned it away or not.
    orders.q("UPDATE acme_orders SET expires_at = now() WHERE order_id = %s", got[0][2])
    assert orders.create("own.example.test", account="acct-own", concurrent=2)[0] == "created"


def test_a_limit_is_exact_for_many_at_once(orders):
    orders.q("INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, status, profile_id) VALUES ('acct-many', 'many', '', 'valid', %s)", PROFILE)
    outcomes = []

    def run():
        connection = orders.stack.connect("certctl_apiserver")
        connection.autocommit = True
        for _ in range(10):
            outcomes.append(orders.create("many.example.test", account="acct-many", concurrent=13, connection=connection)[0])
        connection.close()
    threads = [threading.Thread(target=run) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (outcomes.count("created"), outcomes.count("open")) == (13, 67)


def test_finalized_by_many_at_once_it_is_one_job(orders):
    order = orders.create("once.example.test")[2]
    answers = []

    def run(key):
        connection = orders.stack.connect("certctl_apiserver")
        connection.autocommit = True
        with connection.cursor() as c:
            c.execute(f"SELECT outcome, job_id FROM {FINALIZE}", asked((ACCOUNT, order, "dns:once.example.test", key)))
            answers.append(c.fetchone())
        connection.close()
    threads = [threading.Thread(target=run, args=(f"k{i % 2}",)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(a for a, _ in answers) == ["accepted"] + ["other_csr"] * 4 + ["repeated"] * 3
    assert len({job for _, job in answers}) == 1


def test_many_are_finalized_together_each_for_itself(orders):
    """What is wrong with one is no other's fault; one that another is about too is asked for again, by itself."""
    first, second, twin, wrong = (orders.create(name)[2] for name in ("first.example.test", "second.example.test", "first.example.test",
                                                                      "wrong.example.test"))
    names = {order: orders.value("SELECT names_key FROM acme_orders WHERE order_id = %s", order) for order in (first, second, twin, wrong)}
    rows = orders.q(f"SELECT at, outcome, job_id FROM {FINALIZE} ORDER BY at", *asked(
        (ACCOUNT, first, names[first], "a"), (ACCOUNT, wrong, "dns:other.example.test", "b"), (ACCOUNT, "acme-ord-none", "x", "c"),
        ("acct-nobody", twin, names[twin], "d"), (ACCOUNT, second, names[second], "e"), (ACCOUNT, second, names[second], "f")))
    assert [(at, outcome) for at, outcome, _ in rows] == [(1, "accepted"), (2, "other_names"), (3, "unknown"), (4, "foreign"), (5, "accepted")]
    jobs = dict((at, job) for at, _, job in rows if job)
    for at, order, key in ((1, first, "a"), (5, second, "e")):
        assert orders.q("SELECT o.status, o.job_id, o.csr_pem, r.csr_pem, r.key_sha256, c.common_name, c.status FROM acme_orders o "
                        "JOIN certificate_requests r ON r.job_id = o.job_id JOIN managed_certificates c ON c.id = o.certificate_id "
                        "WHERE o.order_id = %s", order) == [
            ("processing", jobs[at], f"CSR of {key}", f"CSR of {key}", key, names[order].removeprefix("dns:"), "RenewalInProgress")]
    # Another order for the names of one that is in progress is another certificate.
    outcome, jobs[0], _ = orders.finalize(twin, "d")
    assert outcome == "accepted"
    assert orders.value("SELECT count(DISTINCT certificate_id) FROM acme_orders WHERE order_id = ANY (%s)", [first, twin]) == 2
    orders.complete(*jobs.values())
    assert {orders.look(order)[0] for order in (first, second, twin)} == {"valid"}


def test_processes_write_no_rows_of_orders_themselves(orders):
    with orders.stack.connect("certctl_apiserver") as connection, connection.cursor() as c, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        c.execute("UPDATE acme_orders SET status = 'valid'")
