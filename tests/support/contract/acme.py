"""The accounts and orders of ACME clients, as operators see them."""
from walk import NO, Bad, Good, members, page

V1 = "/api/v1/acme"
ACCOUNT = members("id profile_id status contact:l key_thumbprint owner_id? eab_key_id? terms_agreed_at:t? created_at,updated_at:t")
ACCOUNT_GOT = ACCOUNT | members("orders_pending,orders_ready,orders_processing,orders_valid,orders_invalid,certificates:i last_order_id? last_order_at:t?")
ORDER = members("id account_id profile_id status identifiers:l error:o? certificate_id? version_id? job_id? replaces? expires_at,created_at,updated_at:t")
ORDER_GOT = ORDER | members("job_status? authorizations:l")


def account(w):
    ident = w.name("acct")
    w.fleet.query("INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, contact, profile_id) VALUES (%s, %s, '', '{mailto:a@example.test}', %s)",
                  ident, ident, w.make("profiles"))
    return ident


def order(w, **more):
    ident, owner = w.name("acme-ord"), account(w)
    row = {"status": "pending", "error": None} | more
    w.fleet.query("INSERT INTO acme_orders (order_id, account_id, identifiers, status, error, expires_at, profile_id, names_key) SELECT %s, %s, "
                  "'[{\"type\": \"dns\", \"value\": \"a.example.test\"}]', %s, %s, now() + interval '1 hour', profile_id, '' FROM acme_accounts "
                  "WHERE account_id = %s", ident, owner, row["status"], row["error"], owner)
    w.fleet.query("INSERT INTO acme_authorizations (authz_id, order_id, identifier, status, expires_at) VALUES (%s, %s, "
                  "'{\"type\": \"dns\", \"value\": \"a.example.test\"}', 'pending', now() + interval '1 hour')", f"z-{ident}", ident)
    w.fleet.query("INSERT INTO acme_challenges (challenge_id, authz_id, type, status, token) VALUES (%s, %s, 'http-01', 'pending', 't')", f"c-{ident}", f"z-{ident}")
    return ident


def holder(w):
    return w.fleet.value("SELECT account_id FROM acme_orders WHERE order_id = %s", order(w))


def ended(w):
    one = account(w)
    w.fleet.query("UPDATE acme_accounts SET status = 'deactivated' WHERE account_id = %s", one)
    return one


GOOD = {
    ("GET", f"{V1}/accounts"): [page(ACCOUNT, lambda w: account(w) and ""), page(ACCOUNT, "?status=valid")],
    ("GET", f"{V1}/accounts/{{id}}"): [Good(account, None, 200, ACCOUNT_GOT)],
    ("POST", f"{V1}/accounts/{{id}}/revoke"): [Good(account, b, 200, ACCOUNT_GOT) for b in (None, {}, {"reason": "its key was stolen"}, {"reason": ""})],
    ("GET", f"{V1}/orders"): [page(ORDER, lambda w: order(w) and ""), page(ORDER, lambda w: f"?account_id={holder(w)}"), page(ORDER, "?status=pending")],
    ("GET", f"{V1}/orders/{{id}}"): [Good(order, None, 200, ORDER_GOT), Good(lambda w: order(w, status="invalid", error='{"why": "expired"}'), None, 200,
                                                                           ORDER_GOT | members("error:o"))],
}
BAD = {
    ("GET", f"{V1}/accounts/{{id}}"): [Bad(NO, None, 404)],
    ("POST", f"{V1}/accounts/{{id}}/revoke"): [Bad(NO, {}, 404), Bad(ended, {}, 409), Bad(account, {"reason": 7}, 400), Bad(account, {"reason": "x" * 501}, 400)],
    ("GET", f"{V1}/orders/{{id}}"): [Bad(NO, None, 404)],
}
