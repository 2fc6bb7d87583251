"""
What operators see and decide of ACME clients: accounts and their end, orders, and certificates
that came over ACME, which are managed as any other; and that the audit trail has each of a client's acts.
"""
import http.server
import ipaddress
import json
import subprocess
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from acme import Client, b64, new_key, problem, thumbprint
from fleet import clean_env, free_port, wait_for
from test_acme_flow import csr, dns, finish, issue, read_chain
from test_acme_keys import certid, inner
from test_crl import fetch
from test_rest import refused

ACCOUNTS, ORDERS, CERTS = "/api/v1/acme/accounts", "/api/v1/acme/orders", "/api/v1/certificates"
ENV = {"CERTCTL_ACME_SERVER_ENABLED": "true", "CERTCTL_ACME_SERVER_DEFAULT_PROFILE_ID": "p-admin", "CERTCTL_ACME_SERVER_RATE_LIMIT_KEY_CHANGE_PER_HOUR": "1"}
PEM = serialization.Encoding.PEM


@pytest.fixture(scope="module")
def world(stack):
    stack.start_scheduler(keep=True, CERTCTL_SCHEDULER_CRL_BEHIND_INTERVAL="1s", CERTCTL_CRL_GENERATION_INTERVAL="1s")
    stack.http01_port = free_port()
    stack.start_worker(keep=True, CERTCTL_ACME_SERVER_HTTP01_PORT=str(stack.http01_port), CERTCTL_ACME_SERVER_ALLOW_LOOPBACK="true")
    stack.make_basics()
    stack.api.need("POST", "/api/v1/profiles", {"id": "p-admin", "name": "p-admin", "issuer_id": "iss-local", "acme_owner_id": "o-test"})
    stack.api.need("POST", "/api/v1/profiles", {"id": "p-proof", "name": "p-proof", "issuer_id": "iss-local", "acme_owner_id": "o-test",
                                                "acme_auth_mode": "challenge", "acme_limits": {"concurrent_orders": 2, "challenge_responses_per_hour": 1}})
    for i in (2, 3):
        stack.start_apiserver(i, keep=True, **ENV)
    return stack


@pytest.fixture(autouse=True)
def connections():
    yield
    Client.close_all()


def new_client(world, profile="p-admin", i=2, **payload):
    made = Client(world.apis[f"apiserver-{i}"], f"/acme/profile/{profile}")
    made.register(**payload)
    return made


def id_of(client):
    return client.kid.rsplit("/", 1)[1]


def account_of(world, client):
    return world.api.need("GET", f"{ACCOUNTS}/{id_of(client)}")


def said(world, *arguments):
    """What the command line shows, as a table and as JSON."""
    table, doc = world.cli(*arguments), world.cli(*arguments, "-o", "json")
    assert table.returncode == doc.returncode == 0, table.stderr + doc.stderr
    return table.stdout, json.loads(doc.stdout)


# --- accounts and orders ---

def test_what_an_account_has(world):
    client = new_client(world, contact=["mailto:ops@example.test"])
    made = account_of(world, client)
    assert {k: made[k] for k in ("id", "profile_id", "status", "contact", "owner_id", "certificates", "orders_ready")} == {
        "id": id_of(client), "profile_id": "p-admin", "status": "valid", "contact": ["mailto:ops@example.test"], "owner_id": "o-test",
        "certificates": 0, "orders_ready": 0}
    assert len(made["key_thumbprint"]) == 43 and "terms_agreed_at" in made and "eab_key_id" not in made and "last_order_id" not in made
    issue(client, "has.example.test")
    left = client.post("new-order", dns("left.example.test"))[1]["Location"].rsplit("/", 1)[1]
    made = account_of(world, client)
    assert {k: v for k, v in made.items() if k.startswith("orders_")} == {
        "orders_pending": 0, "orders_ready": 1, "orders_processing": 0, "orders_valid": 1, "orders_invalid": 0}
    assert (made["certificates"], made["last_order_id"]) == (1, left)
    listed = world.api.need("GET", f"{ACCOUNTS}?profile_id=p-admin&status=valid&per_page=500")["data"]
    assert {k: made[k] for k in listed[0]} in listed
    text, shown = said(world, "acme-accounts", "get", id_of(client))
    assert shown == made and id_of(client) in text
    text, _ = said(world, "acme-accounts", "list", "--profile-id", "p-admin", "--per-page", "500")
    assert id_of(client) in text and "mailto:ops@example.test" in text
    status, reply = world.api.get(f"{ACCOUNTS}/acct-none")
    refused(reply, status, "ACME account not found", 404)


def test_what_an_order_is(world):
    client = new_client(world)
    done = issue(client, "order.example.test", "more.example.test")
    listed = world.api.need("GET", f"{ORDERS}?account_id={id_of(client)}")["data"]
    order = world.api.need("GET", f"{ORDERS}/{listed[0]['id']}")
    assert {k: order[k] for k in listed[0]} == listed[0] and len(listed) == 1
    assert (order["status"], order["account_id"], order["profile_id"], order["job_status"]) == ("valid", id_of(client), "p-admin", "Completed")
    assert order["identifiers"] == done["identifiers"] and done["certificate"].endswith(order["version_id"])
    assert [(z["status"], z["wildcard"], [(c["type"], c["status"]) for c in z["challenges"]]) for z in order["authorizations"]] == [
        ("valid", False, [("http-01", "valid")])] * 2
    assert world.api.need("GET", f"{ORDERS}?certificate_id={order['certificate_id']}")["data"] == listed
    text, shown = said(world, "acme-orders", "get", order["id"])
    assert shown == order and "valid" in text
    text, _ = said(world, "acme-orders", "list", "--account-id", id_of(client))
    assert order["id"] in text
    status, reply = world.api.get(f"{ORDERS}/acme-ord-none")
    refused(reply, status, "ACME order not found", 404)


def test_why_an_order_failed(world):
    """One that was not finalized in time is shown as invalid before anybody has looked; why is told as its client is told it."""
    client = new_client(world)
    url = client.post("new-order", dns("late.example.test"))[1]["Location"]
    order = url.rsplit("/", 1)[1]
    world.query("UPDATE acme_orders SET expires_at = now() - interval '1 second' WHERE order_id = %s", order)
    assert world.api.need("GET", f"{ORDERS}/{order}")["status"] == "invalid"
    told = client.post(url)[2]
    shown = world.api.need("GET", f"{ORDERS}/{order}")
    assert shown["error"] == told["error"] and "not finalized in time" in told["error"]["detail"]
    assert shown in [world.api.need("GET", f"{ORDERS}/{o['id']}") for o in world.api.need("GET", f"{ORDERS}?status=invalid")["data"]]


def test_an_account_that_is_revoked_is_refused_on_every_replica(world):
    client = new_client(world)
    others = [Client(world.apis[f"apiserver-{i}"], client.base, client.key) for i in (2, 3)]
    for other in others:
        other.register()
        assert other.post(other.kid)[0] == 200
    certificate = read_chain(client.post(issue(client, "kept.example.test")["certificate"])[2])[0]
    url = client.post("new-order", dns("open.example.test"))[1]["Location"]
    reply = world.api.need("POST", f"{ACCOUNTS}/{id_of(client)}/revoke", {"reason": "its host was stolen"})
    assert (reply["status"], reply["orders_invalid"], reply["orders_ready"]) == ("revoked", 1, 0)
    for other in others:
        for path, payload in ((other.kid, ""), ("new-order", dns("more.example.test")), (f"order/{url.rsplit('/', 1)[1]}", ""),
                              ("revoke-cert", {"certificate": b64(certificate.public_bytes(serialization.Encoding.DER))})):
            answer = other.post(path, payload)
            assert problem(answer) == (401, "unauthorized"), (path, answer)
        # Its key makes no other account, and is told why not.
        kid, other.kid = other.kid, None
        answer = other.post("new-account", {"termsOfServiceAgreed": True})
        assert problem(answer) == (401, "unauthorized") and "revoked" in answer[2]["detail"]
        other.kid = kid
        assert problem(other.post("key-change", inner_of(other, new_key()))) == (401, "unauthorized")
    error = world.api.need("GET", f"{ORDERS}/{url.rsplit('/', 1)[1]}")["error"]
    assert "deactivated or revoked" in error["detail"]
    assert world.query("SELECT actor, action, details FROM audit_events WHERE resource_id = %s AND action = 'acme_account_revoked'", id_of(client)) == [
        ("admin", "acme_account_revoked", {"reason": "its host was stolen"})]
    # What it had issued stays until somebody revokes that.
    (found,) = [c for c in world.api.need("GET", f"{CERTS}?q=kept.example.test")["data"]]
    assert found["status"] == "Active"
    for ended in (client, new_client(world)):
        if ended is not client:
            assert ended.post(ended.kid, {"status": "deactivated"})[0] == 200
        status, reply = world.api.post(f"{ACCOUNTS}/{id_of(ended)}/revoke")
        refused(reply, status, "the account has ended before: it is", 409)
    status, reply = world.api.post(f"{ACCOUNTS}/acct-none/revoke")
    refused(reply, status, "ACME account not found", 404)


def inner_of(client, new):
    """The inner JWS of a key change, by the helper of test_acme_keys."""
    class Of:
        origin, kid, key = f"https://{client.host}", client.kid, client.key
    return inner(Of, new, f"{client.base}/key-change")


def test_the_command_line_revokes(world):
    client = new_client(world)
    done = world.cli("acme-accounts", "revoke", id_of(client), "--reason", "gone", "--yes")
    assert done.returncode == 0 and done.stdout.startswith("revoked: nothing that it signs is obeyed any more")
    assert world.cli("acme-accounts", "revoke", id_of(client), "--yes").returncode == 5
    assert world.cli("acme-accounts", "revoke", "acct-none", "--yes").returncode == 3
    assert id_of(client) in said(world, "acme-accounts", "list", "--status", "revoked", "--per-page", "500")[0]


# --- certificates ---

def openssl(world, *arguments):
    return subprocess.run(["openssl", *map(str, arguments)], cwd=world.dir, text=True, capture_output=True, timeout=30, env=clean_env(), check=False)


def test_it_is_managed_as_any_other(world):
    """Where it came from, lists, export, renewal, and what OCSP and the revocation list say once its client has revoked it."""
    client = new_client(world)
    done = issue(client, "managed.example.test")
    chain = client.post(done["certificate"])[2]
    leaf = read_chain(chain)[0]
    (listed,) = world.api.need("GET", f"{CERTS}?q=managed.example.test")["data"]
    path = f"{CERTS}/{listed['id']}"
    shown = world.api.need("GET", path)
    order = world.api.need("GET", f"{ORDERS}/{shown['acme_order_id']}")
    assert (shown["source"], shown["acme_account_id"], order["certificate_id"], order["account_id"]) == (
        "ACME", id_of(client), listed["id"], id_of(client))
    assert (shown["owner_id"], shown["certificate_profile_id"], shown["renewal_policy_id"], shown["status"]) == ("o-test", "p-admin", "rp-acme", "Active")
    status, exported = world.api.get(f"{path}/export/pem")
    assert status == 200 and read_chain(exported["full_pem"] if isinstance(exported, dict) else exported)[0] == leaf
    versions = world.api.need("GET", f"{path}/versions")["data"]
    assert [int(v["serial_number"], 16) for v in versions] == [leaf.serial_number]
    # An operator's renewal is the client's to do: it is asked to.
    before = client.call("GET", f"renewal-info/{certid(leaf)}")[2]["suggestedWindow"]
    assert world.api.post(f"{path}/renew")[0] in (200, 202)
    wait_for(lambda: client.call("GET", f"renewal-info/{certid(leaf)}")[2]["suggestedWindow"]["start"] < before["start"], 20,
             "the window that moved; what was answered before is kept for a second")
    status, headers, replacing = client.post("new-order", dns("managed.example.test") | {"replaces": certid(leaf)})
    assert replacing["replaces"] == certid(leaf) == client.post(headers["Location"])[2]["replaces"]
    assert finish(client, replacing, headers["Location"], csr("managed.example.test"))["status"] == "valid"
    newest = world.api.need("GET", path)
    assert newest["acme_order_id"] == headers["Location"].rsplit("/", 1)[1] and len(world.api.need("GET", f"{path}/versions")["data"]) == 2
    # Its client revokes the older one alone, then the newer one.
    second = read_chain(client.post(client.post(headers["Location"])[2]["certificate"])[2])[0]
    ca = world.value("SELECT cert_pem FROM ca_certificates WHERE issuer_id = 'iss-local'")
    (world.dir / "ca.pem").write_text(ca)
    for one, other, status in ((leaf, second, "Active"), (second, None, "Revoked")):
        answer = client.post("revoke-cert", {"certificate": b64(one.public_bytes(serialization.Encoding.DER)), "reason": 4})
        assert answer[0] == 200, answer
        assert ocsp(world, one).startswith("leaf.pem: revoked\n") and "Reason: superseded" in ocsp(world, one)
        if other is not None:
            assert ocsp(world, other).startswith("leaf.pem: good\n")
        assert world.api.need("GET", path)["status"] == status
        wait_for(lambda one=one: f"{one.serial_number:040X}" in listed_serials(world), 40, "the revocation list")
    assert f"{second.serial_number:040X}" in listed_serials(world) and f"{leaf.serial_number:040X}" in listed_serials(world)
    status, reply = world.api.post(f"{path}/renew")
    assert status == 400 and "revoked" in reply["message"]


def ocsp(world, leaf):
    """What openssl makes of the responder's answer, whose signature it has verified."""
    (world.dir / "leaf.pem").write_bytes(leaf.public_bytes(PEM))
    done = openssl(world, "ocsp", "-issuer", "ca.pem", "-cert", "leaf.pem", "-CAfile", "ca.pem", "-url",
                   f"https://127.0.0.1:{world.api_port}/.well-known/pki/ocsp/iss-local")
    assert done.returncode == 0 and "Response verify OK" in done.stderr, done.stderr
    return done.stdout


def listed_serials(world):
    (world.dir / "list.der").write_bytes(fetch(world)[2])
    done = openssl(world, "crl", "-inform", "DER", "-in", "list.der", "-CAfile", "ca.pem", "-noout", "-text", "-verify")
    assert done.returncode == 0 and "verify OK" in done.stderr, done.stderr
    return {line.split(":")[1].strip().zfill(40) for line in done.stdout.splitlines() if "Serial Number:" in line}


# --- the audit trail ---

class Answers(http.server.BaseHTTPRequestHandler):
    """What http-01 asks for; 404 for every token that it was not told of."""
    tokens = {}

    def do_GET(self):
        text = self.tokens.get(self.path.rsplit("/", 1)[1], "").encode()
        self.send_response(200 if text else 404)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def prove(client, is_proven):
    """An order for an address that is proven, or is not; the challenge as it ends."""
    order = client.post("new-order", {"identifiers": [{"type": "ip", "value": "127.0.0.1"}]})[2]
    challenge = next(c for c in client.post(order["authorizations"][0])[2]["challenges"] if c["type"] == "http-01")
    if is_proven:
        Answers.tokens[challenge["token"]] = f"{challenge['token']}.{thumbprint(client.key)}"
    assert client.post(challenge["url"], {})[0] == 200
    return wait_for(lambda: (c := client.post(challenge["url"])[2])["status"] in ("valid", "invalid") and c, 40, "the challenge to end")


# What a client does, and the events that it leaves, which name the account as actor.
ACTS = [
    ("account", lambda c: c.post(c.kid, {"contact": ["mailto:new@example.test"]}), ["acme_account_updated"]),
    ("challenge proven", lambda c: prove(c, True), ["acme_order_created", "acme_challenge_processing", "acme_challenge_completed"]),
    ("challenge failed", lambda c: prove(c, False), ["acme_order_created", "acme_challenge_processing", "acme_challenge_completed"]),
    ("authorization", lambda c: c.post(c.post("new-order", dns("up.example.test"))[2]["authorizations"][0], {"status": "deactivated"}),
     ["acme_order_created", "acme_authorization_deactivated"]),
    ("certificate", lambda c: issue_proven(c), ["acme_order_created", "acme_challenge_processing", "acme_challenge_completed", "certificate_created",
                                                "renewal_job_created", "acme_order_processing", "acme_order_finalized"]),
    ("revocation", lambda c: c.post("revoke-cert", {"certificate": c.leaf}), ["certificate_revoked"]),
    ("open orders", lambda c: [c.post("new-order", dns("open.example.test")) for _ in range(3)], ["acme_order_created", "acme_limited", "acme_limited"]),
    ("key change", lambda c: change_key(c), ["acme_account_key_changed"]),
    ("too many key changes", lambda c: change_key(c), ["acme_limited"]),
    ("end", lambda c: c.post(c.kid, {"status": "deactivated"}), ["acme_account_deactivated"]),
]


def issue_proven(client):
    order = client.post("new-order", {"identifiers": [{"type": "ip", "value": "127.0.0.1"}]})
    url, authz = order[1]["Location"], client.post(order[2]["authorizations"][0])[2]
    challenge = next(c for c in authz["challenges"] if c["type"] == "http-01")
    Answers.tokens[challenge["token"]] = f"{challenge['token']}.{thumbprint(client.key)}"
    assert client.post(challenge["url"], {})[0] == 200
    wait_for(lambda: client.post(url)[2]["status"] == "ready", 40, "the order to be ready")
    done = finish(client, order[2], url, csr_of_address("127.0.0.1"))
    client.leaf = b64(read_chain(client.post(done["certificate"])[2])[0].public_bytes(serialization.Encoding.DER))


def csr_of_address(address):
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return b64(made.public_bytes(serialization.Encoding.DER))


def change_key(client):
    new = new_key()
    if client.post("key-change", inner_of(client, new))[0] == 200:
        client.key = new


@pytest.fixture(scope="module")
def answers(world):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", world.http01_port), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()
    server.server_close()


def test_every_act_of_a_client_s_is_in_the_trail(world, answers):
    client = new_client(world, "p-proof")
    actor = f"acme:{id_of(client)}"
    seen = events(world, actor, 0)
    assert [e[1] for e in seen] == ["acme_account_created"] and seen[0][2:4] == ("acme_account", "auth")
    for what, act, wanted in ACTS:
        last = seen[-1][0]
        act(client)
        seen = events(world, actor, last) or seen
        assert sorted(e[1] for e in seen if e[0] > last) == sorted(wanted), what
    told = dict(world.query("SELECT details ->> 'limit', details ->> 'wait_s' FROM audit_events WHERE actor = %s AND action = 'acme_limited'", actor))
    assert set(told) == {"concurrent_orders", "key_changes_per_hour"} and all(int(s) > 0 for s in told.values())
    outcomes = world.query("SELECT details ->> 'status', details ->> 'type' FROM audit_events WHERE actor = %s AND action = 'acme_challenge_completed' "
                           "ORDER BY seq", actor)
    assert outcomes == [("valid", "http-01"), ("invalid", "http-01"), ("valid", "http-01")]
    # An operator finds them by the account, and by the actor over the API.
    listed = world.api.need("GET", f"/api/v1/audit?actor={actor}&per_page=100")["data"]
    assert len(listed) == 1 + sum(len(wanted) for _, _, wanted in ACTS)


def events(world, actor, after):
    return world.query("SELECT seq, action, resource_type, event_category FROM audit_events WHERE actor = %s AND seq > %s ORDER BY seq", actor, after)


def test_the_trail_is_not_flooded_with_refusals(world):
    """A client that asks on and on leaves some events an hour, whoever answers it."""
    client = new_client(world, "p-proof")
    other = Client(world.apis["apiserver-3"], client.base, client.key)
    other.register()
    for i in range(12):
        answer = (client, other)[i % 2].post("new-order", dns(f"n{i}.example.test"))
        assert answer[0] == (201 if i < 2 else 429)
    assert world.value("SELECT count(*) FROM audit_events WHERE actor = %s AND action = 'acme_limited'", f"acme:{id_of(client)}") == 4


def test_a_refused_answer_to_a_challenge_is_told(world):
    client = new_client(world, "p-proof")
    order = client.post("new-order", dns("again.example.test"))[2]
    challenge = client.post(order["authorizations"][0])[2]["challenges"][0]
    world.query("INSERT INTO acme_buckets (kind, subject, tokens, at) VALUES ('challenge', %s, 0, now())", challenge["url"].rsplit("/", 1)[1])
    assert problem(client.post(challenge["url"], {})) == (429, "rateLimited")
    assert world.value("SELECT details ->> 'limit' FROM audit_events WHERE actor = %s AND action = 'acme_limited'", f"acme:{id_of(client)}") == (
        "challenge_responses_per_hour")
