"""
Whole flows of ACME clients (RFC 8555 section 7.4): from the order to the
certificate, which is managed as any other; many at once, over several
apiservers, and with processes that are killed in the middle.

CERTCTL_TEST_ACME_ORDERS: how many orders run while processes are killed.
"""
import http.client
import os
import re
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from acme import Client, b64, problem, serve
from fleet import wait_for
from test_acme_metrics import Now

PLAIN_TOO = "the whole way of an order, and kills in the middle"
ORDERS = int(os.environ.get("CERTCTL_TEST_ACME_ORDERS", "40"))
LIMIT_S = 180 + ORDERS
ENV = {"CERTCTL_ACME_SERVER_ENABLED": "true", "CERTCTL_ACME_SERVER_DEFAULT_PROFILE_ID": "p-acme",
       "CERTCTL_ACME_SERVER_RATE_LIMIT_ORDERS_PER_HOUR": "0"}


def csr(*names, key=None, cn=None):
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else [])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False).sign(key, hashes.SHA256())
    return b64(made.public_bytes(serialization.Encoding.DER))


def read_chain(pem):
    end = "-----END CERTIFICATE-----"
    return [x509.load_pem_x509_certificate((part + end).encode()) for part in pem.split(end) if part.strip()]


def dns(*names):
    return {"identifiers": [{"type": "dns", "value": n} for n in names]}


@pytest.fixture(scope="module")
def world(plane):
    serve(plane)
    serve(plane, "p-public", acme_auth_mode="challenge")
    for i in (2, 3, 4):
        plane.start_apiserver(i, keep=True, **ENV, CERTCTL_ACME_SERVER_RATE_LIMIT_CONCURRENT_ORDERS="0" if i < 4 else "7")
    plane.clients = []
    yield plane
    for client in plane.clients:
        client.close()


def new_client(world, profile="p-acme", i=2, key=None):
    made = Client(world.apis[f"apiserver-{i}"], f"/acme/profile/{profile}", key)
    made.register()
    world.clients.append(made)
    return made


@pytest.fixture
def client(world):
    return new_client(world)


def finish(client, order, url, request):
    """Finalizes, and asks again for as long as it is processing."""
    status, _, answer = client.post(order["finalize"], {"csr": request})
    assert status == 200, answer

    def ended():
        nonlocal answer
        if answer["status"] == "processing":
            answer = client.post(url)[2]
        return answer["status"] != "processing"
    wait_for(ended, 30, "the order to end")
    return answer


def issue(client, *names, key=None):
    status, headers, order = client.post("new-order", dns(*names))
    assert status == 201, order
    return finish(client, order, headers["Location"], csr(*names, key=key))


def test_from_the_order_to_the_certificate(world, client):
    status, headers, order = client.post("new-order", dns("B.example.test", "a.example.test", "a.example.test"))
    url = headers["Location"]
    assert status == 201 and url.startswith(client.url("order/"))
    assert (order["status"], order["identifiers"]) == ("ready", dns("a.example.test", "b.example.test")["identifiers"])
    assert len(order["authorizations"]) == 2 and order["finalize"] == url + "/finalize" and "certificate" not in order
    status, _, authz = client.post(order["authorizations"][0])
    assert (status, authz["status"], authz["challenges"][0]["status"]) == (200, "valid", "valid") and "wildcard" not in authz
    request = csr("a.example.test", "b.example.test", cn="a.example.test")
    done = finish(client, order, url, request)
    assert done["status"] == "valid", done
    status, headers, chain = client.post(done["certificate"])
    assert status == 200 and headers.get_content_type() == "application/pem-certificate-chain"
    certificates = read_chain(chain)
    names = certificates[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert sorted(names) == ["a.example.test", "b.example.test"]
    assert certificates[0].issuer == certificates[1].subject
    assert f'<{done["certificate"]}/1>;rel="alternate"' in ",".join(headers.get_all("Link"))
    assert read_chain(client.post(done["certificate"] + "/1")[2]) == certificates[:1]
    assert problem(client.post(done["certificate"] + "/2")) == (404, "malformed")
    # The same CSR again is the same answer, another one is none.
    assert client.post(order["finalize"], {"csr": request})[2] == done
    assert problem(client.post(order["finalize"], {"csr": csr("a.example.test", "b.example.test")})) == (403, "orderNotReady")
    found = [c for c in world.api.need("GET", "/api/v1/certificates?per_page=500")["data"] if c["common_name"] == "a.example.test"]
    assert [(c["source"], c["status"], c["renewal_policy_id"]) for c in found] == [("ACME", "Active", "rp-acme")]


def test_renewed_it_is_the_same_certificate(world, client):
    issue(client, "renew.example.test")
    assert issue(client, "renew.example.test")["status"] == "valid"
    assert world.query("SELECT count(*), count(DISTINCT v.certificate_id) FROM certificate_versions v JOIN managed_certificates c "
                       "ON c.id = v.certificate_id WHERE c.common_name = 'renew.example.test'") == [(2, 1)]


def trips(api):
    text = api.get("/api/v1/metrics/prometheus")[1]
    return int(re.search(r'^certctl_database_requests_total{pool="requests"} (\d+)$', text, re.M)[1])


def test_how_often_an_order_asks_the_database(world, client):
    """Alone, when nothing is asked for together with others: from new-order to the certificate."""
    api, n = world.apis["apiserver-2"], 10
    issue(client, "trips.example.test")
    before = trips(api)
    for i in range(n):
        assert client.post(issue(client, f"trips-{i}.example.test")["certificate"])[0] == 200
    assert trips(api) - before <= 8 * n


@pytest.mark.parametrize("payload, kind", [
    ({}, "malformed"), ({"identifiers": []}, "malformed"), ({"identifiers": "x"}, "malformed"), ({"identifiers": [1]}, "malformed"),
    (dns(*(f"n{i}.example.test" for i in range(101))), "malformed"), (dns("a.example.test") | {"notAfter": "2030-01-01T00:00:00Z"}, "malformed"),
    (dns("a_b.example.test"), "rejectedIdentifier"), (dns("a.example.test."), "rejectedIdentifier"), (dns("*.*.example.test"), "rejectedIdentifier"),
    (dns("192.0.2.1"), "rejectedIdentifier"), ({"identifiers": [{"type": "ip", "value": "2001:db8:0::1"}]}, "rejectedIdentifier"),
    ({"identifiers": [{"type": "email", "value": "a@example.test"}]}, "unsupportedIdentifier"), ("", "malformed")])
def test_orders_that_are_refused(client, payload, kind):
    answer = client.post("new-order", payload)
    assert problem(answer) == (400, kind)
    if kind.endswith("Identifier"):
        assert len(answer[2]["subproblems"]) == 1 and answer[2]["subproblems"][0]["identifier"]


def test_requests_that_are_refused(world, client):
    order = client.post("new-order", dns("csr.example.test"))[2]
    for request in (csr("csr.example.test", "more.example.test"), csr("other.example.test"), "AAAA", "!",
                    csr("csr.example.test", key=client.key)):
        assert problem(client.post(order["finalize"], {"csr": request})) == (400, "badCSR")
    assert world.query("SELECT count(*) FROM managed_certificates WHERE common_name = 'csr.example.test'") == [(0,)]


def test_nothing_is_another_accounts(world, client):
    status, headers, order = client.post("new-order", dns("own.example.test"))
    url = headers["Location"]
    authz = client.post(order["authorizations"][0])[2]
    done = finish(client, order, url, csr("own.example.test"))
    other = new_client(world)
    for path, payload in ((url, ""), (order["finalize"], {"csr": csr("own.example.test")}), (order["authorizations"][0], ""),
                          (order["authorizations"][0], {"status": "deactivated"}), (authz["challenges"][0]["url"], ""),
                          (authz["challenges"][0]["url"], {}), (done["certificate"], ""), (done["certificate"] + "/1", "")):
        assert problem(other.post(path, payload)) == (401, "unauthorized"), path
    for path in ("order/x", "authz/x", "challenge/x", "cert/x"):
        assert problem(other.post(path)) == (404, "malformed"), path
    assert problem(other.post("order/x/finalize", {"csr": csr("own.example.test")})) == (404, "malformed")


def test_what_is_to_be_proven(world):
    client = new_client(world, "p-public")
    status, headers, order = client.post("new-order", dns("*.proof.example.test"))
    assert order["status"] == "pending"
    authz = client.post(order["authorizations"][0])[2]
    assert authz["wildcard"] is True and authz["identifier"]["value"] == "proof.example.test"
    (challenge,) = authz["challenges"]
    assert (challenge["type"], challenge["status"]) == ("dns-01", "pending")
    assert problem(client.post(order["finalize"], {"csr": csr("*.proof.example.test")})) == (403, "orderNotReady")
    status, links, shown = client.post(challenge["url"], {})
    assert status == 200 and f'<{order["authorizations"][0]}>;rel="up"' in ",".join(links.get_all("Link"))
    assert client.post(order["authorizations"][0], {"status": "deactivated"})[2]["status"] == "deactivated"
    shown = client.post(headers["Location"])[2]
    assert shown["status"] == "invalid" and shown["error"]["type"].endswith(":unauthorized")


def test_a_limit_over_three_apiservers(world):
    """200 orders of one account: as many as may be open, and not one more."""
    first = new_client(world, i=4)
    for i in (5, 6):
        if f"apiserver-{i}" not in world.apis:
            world.start_apiserver(i, keep=True, **ENV, CERTCTL_ACME_SERVER_RATE_LIMIT_CONCURRENT_ORDERS="7")
    answers, clients = [], [Client(world.apis[f"apiserver-{4 + i % 3}"], "/acme/profile/p-acme", first.key) for i in range(20)]

    def run(client):
        client.kid = first.kid.replace(first.host, client.host)
        for _ in range(10):
            answers.append(client.post("new-order", dns("limit.example.test")))
        client.close()
    threads = [threading.Thread(target=run, args=(c,)) for c in clients]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(answers) == 200
    assert sum(status == 201 for status, _, _ in answers) == 7
    for answer in answers:
        if answer[0] != 201:
            assert problem(answer) == (429, "rateLimited") and int(answer[1]["Retry-After"]) > 0


class Refused(Exception):
    """An answer that no later try can better."""


class Runner(threading.Thread):
    """A client that goes on, whatever is killed: it repeats what has no answer."""

    def __init__(self, client, names):
        super().__init__()
        self.client, self.names, self.placed, self.done, self.error = client, names, {}, {}, None
        self.is_placed, self.repeats = threading.Event(), 0

    def ask(self, path, payload):
        for i in range(600):
            self.repeats += i > 0
            try:
                if self.client.nonce is None:
                    self.client.call("HEAD", "new-nonce")
                if self.client.nonce is None:
                    raise OSError("no nonce can be made now")
                status, headers, answer = self.client.post(path, payload)
            except (OSError, http.client.HTTPException):
                self.client.nonce = None
                threading.Event().wait(0.1)
                continue
            if status in (200, 201):
                return headers, answer
            if status < 500 and not str(answer.get("type")).endswith("badNonce"):
                raise Refused(answer)
            threading.Event().wait(0.1)
        raise Refused(f"no answer of {path}")

    def run(self):
        """All its orders are placed before the first is finalized, so that all are under way when processes are killed."""
        name = None
        try:
            for name in self.names:
                headers, order = self.ask("new-order", dns(name))
                self.placed[name] = headers["Location"], order["finalize"], csr(name)
            self.is_placed.set()
            for name, (url, finalize, request) in self.placed.items():
                answer = self.ask(finalize, {"csr": request})[1]
                for _ in range(600):
                    if answer["status"] != "processing":
                        break
                    threading.Event().wait(0.1)
                    answer = self.ask(url, "")[1]
                self.done[name] = answer["status"], self.ask(answer["certificate"], "")[1].startswith("-----BEGIN CERTIFICATE")
        except (Refused, KeyError) as e:
            self.error = f"{name}: {e}"
        finally:
            self.is_placed.set()


OPEN = "SELECT order_id FROM acme_orders WHERE status IN ('pending', 'ready', 'processing') AND identifiers -> 0 ->> 'value' LIKE 'kill-%%'"
VICTIMS = ("apiserver-2", "scheduler-1", "worker-1", "apiserver-3", "postgres")


def takes_nonces(client):
    """The keys of nonces went with the database: an apiserver has none for a moment, or refuses the first nonce that it made
    before, which clients repeat and those of other tests do not."""
    if client.nonce is None:
        client.call("HEAD", "new-nonce")
    if client.nonce is None:
        return False
    status, _, answer = client.register()
    return status < 500 and not str(answer.get("type")).endswith("badNonce")


def test_killed_in_the_middle(world):
    """Every order that runs when something is killed ends valid, and none is issued twice."""
    runners = []
    for i in range(8):
        runners.append(Runner(new_client(world, i=2 + i % 2), [f"kill-{i}-{n}.example.test" for n in range(-(-ORDERS // 8))]))
    placed = sum(len(r.names) for r in runners)
    for r in runners:
        r.start()
    for r in runners:
        r.is_placed.wait(60 + ORDERS // 5)
    assert [r.error for r in runners if r.error] == [] and len(world.query(OPEN)) >= placed - 8
    running = set()
    for i, victim in enumerate(VICTIMS):
        wait_for(lambda n=placed * i // len(VICTIMS): sum(len(r.done) for r in runners) > n or not any(r.is_alive() for r in runners), 60 + ORDERS // 5,
                 "orders to end")
        running |= {o for o, in world.query(OPEN)}
        world.processes[victim].kill()
    for r in runners:
        r.join(150 + ORDERS // 5)
    assert [r.error for r in runners if r.error] == []
    wait_for(world.database_is_up, 30, "PostgreSQL, which may have been killed behind the last order")
    valid = [o for o, in world.query("SELECT order_id FROM acme_orders WHERE status = 'valid' AND identifiers -> 0 ->> 'value' LIKE 'kill-%%'")]
    doubled = world.query("SELECT c.common_name FROM certificate_versions v JOIN managed_certificates c ON c.id = v.certificate_id "
                          "WHERE c.common_name LIKE 'kill-%%' GROUP BY 1 HAVING count(*) > 1")
    print(f"killed in the middle: {placed} orders, {len(VICTIMS)} kills, {len(valid)} valid, {len(running & set(valid))} of them resumed, "
          f"{len(doubled)} doubled, {sum(r.repeats for r in runners)} requests repeated")
    assert all(len(r.done) == len(r.names) and set(r.done.values()) == {("valid", True)} for r in runners)
    assert len(valid) == placed and running <= set(valid) and doubled == []
    assert world.query("SELECT order_id FROM acme_orders o WHERE o.status = 'valid' AND (SELECT count(*) FROM certificate_versions v "
                       "WHERE v.job_id = o.job_id) <> 1") == []
    assert world.query("SELECT job_id FROM acme_orders WHERE job_id IS NOT NULL GROUP BY 1 HAVING count(*) > 1") == []
    wait_for(lambda: all(api.get("/ready")[0] == 200 for api in world.apis.values()), 60, "every apiserver to have its database again")
    for api in [api for name, api in world.apis.items() if name != "apiserver"]:  # which is no ACME server
        wait_for(lambda client=Client(api): takes_nonces(client), 20, "nonces that serve")


# --- the account's list of orders (section 7.1.2.1) ---

def walk(client, url):
    """Every page of the list, by its links."""
    pages = []
    while url:
        status, headers, body = client.post(url)
        assert status == 200 and list(body) == ["orders"] and len(pages) < 10
        pages.append([order.removeprefix(client.url("order/")) for order in body["orders"]])
        links = dict(reversed(link.split(";rel=")) for link in headers.get_all("Link"))
        assert links['"index"'] == f'<{client.url("directory")}>'
        url = links.get('"next"', "").strip("<>")
    return pages


@pytest.mark.parametrize("base", ["/acme", "/acme/profile/p-acme"])
def test_the_list_of_orders(world, base):
    client = Client(world.apis["apiserver-2"], base)
    world.clients.append(client)
    client.register()
    orders = client.post(client.kid)[2]["orders"]
    assert orders == client.kid + "/orders" and walk(client, orders) == [[]]
    status, headers, _ = client.post("new-order", dns("list.example.test"))
    account, made = client.kid.rsplit("/", 1)[1], headers["Location"].rsplit("/", 1)[1]
    assert walk(client, orders) == [[made]]
    # Some of each state; those of one moment have an order, too.
    world.query("INSERT INTO acme_orders (order_id, account_id, identifiers, status, expires_at, profile_id, names_key, created_at) "
                "SELECT 'o' || lpad(i::text, 3, '0') || %s, %s, '[]', (ARRAY['pending', 'ready', 'processing', 'valid', 'invalid'])[1 + i %% 5], "
                "now() + (CASE WHEN i <= 5 THEN '-1 hour' ELSE '1 hour' END)::interval, 'p-acme', '', timestamptz '2026-01-01' + i / 7 * "
                "interval '0.000001 s' FROM generate_series(1, 270) i", account, account)
    want = [made] + [o for o, in world.query(
        "SELECT order_id FROM acme_orders WHERE account_id = %s AND status <> 'invalid' AND order_id <> %s AND (status IN ('processing', 'valid') "
        "OR expires_at > now()) ORDER BY created_at DESC, order_id DESC", account, made)]
    assert len(want) == 1 + 270 * 4 // 5 - 2  # two of the first five are over
    pages = walk(client, orders)
    assert [len(p) for p in pages] == [100, 100, len(want) - 200] and sum(pages, []) == want
    # What comes meanwhile is in front, and moves nothing.
    link = client.post(orders)[1].get_all("Link")
    second = next(x for x in link if "next" in x).split(">")[0].strip("<")
    client.post("new-order", dns("more.example.test"))
    assert client.post(second)[2]["orders"][0] == client.url("order/") + want[100]


def test_a_list_of_orders_is_its_account_s(world, client):
    other = new_client(world)
    other.post("new-order", dns("secret.example.test"))
    orders = f"{other.kid}/orders"
    for answer in (client.post(orders), client.post("account/no-such/orders"), client.post(f"{orders}?cursor=2026-01-01T00:00:00Z~o")):
        assert problem(answer) == (401, "unauthorized")
    for answer in (other.post(orders, {}), *(other.post(f"{orders}?cursor={c}") for c in (
            "", "x", "~", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z~", "2026-13-01T00:00:00Z~o", "infinity~o", "2026-01-01T00:00:00Z~a!b"))):
        assert problem(answer) == (400, "malformed")
    assert other.call("GET", "account/x/orders")[0] == 405
    other.post(other.kid, {"status": "deactivated"})
    assert problem(other.post(orders)) == (401, "unauthorized")


def test_a_flow_shows_in_the_metrics(world):
    client = new_client(world)

    def told():
        now = Now(client.api)
        return [now("orders_ended_total", outcome="valid"), now("orders", status="valid"), now("order_duration_seconds", part="_count"),
                now("requests_total", operation="finalize", outcome="success")]
    before = told()
    status, headers, order = client.post("new-order", dns("shows.example.test"))
    assert status == 201 and client.post(order["finalize"], {"csr": csr("shows.example.test")})[0] == 200
    wait_for(lambda: client.post(headers["Location"])[2]["status"] == "valid", what="the certificate")
    assert [now - then for now, then in zip(told(), before)] == [1] * 4
