"""
What every answer of the ACME server brings, whoever makes it, a handler or what
stands before all handlers (RFC 8555 sections 6.5, 6.7 and 7.1): the link to the
directory of its profile, a nonce, no-store, and of errors a problem document.
"""
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from acme import JOSE, Client, b64, jwk_of, jws, new_key, problem, serve
from fleet import wait_for
from test_acme_flow import csr, dns, read_chain

BASE = "/acme/profile/p-acme"
ENV = {"CERTCTL_ACME_SERVER_ENABLED": "true", "CERTCTL_ACME_SERVER_DEFAULT_PROFILE_ID": "p-acme"}


class Heard(Client):
    """Holds each answer against what all have in common."""

    def call(self, method, path, body=None, headers=None):
        status, got, data = super().call(method, path, body, headers)
        base = path.split("/", 3)[-1] if path.startswith("https://") else f"{self.base}/{path}".lstrip("/")
        of = "/".join(base.split("/")[:3]) if base.startswith("acme/profile/") else "acme"
        is_directory = status == 200 and path.endswith("directory")
        index = [v for v in got.get_all("Link", []) if 'rel="index"' in v]
        if not is_directory:
            assert index == [f'<https://{self.host}/{of}/directory>;rel="index"'], (method, path, status)
            assert got["Cache-Control"] == "no-store", (method, path, status)
        if method == "POST" or status >= 400 or path.endswith("new-nonce"):
            assert len(got.get_all("Replay-Nonce", [])) == 1, (method, path, status)
        if status >= 400 and method != "HEAD":
            problem((status, got, data))
        self.heard.append((method, status))
        return status, got, data


@pytest.fixture(scope="module")
def world(plane):
    serve(plane)
    serve(plane, "p-public", acme_auth_mode="challenge")
    plane.start_apiserver(2, keep=True, **ENV)
    plane.start_apiserver(3, keep=True, **ENV, CERTCTL_RATE_LIMIT_ENABLED="true", CERTCTL_RATE_LIMIT_RPS="1", CERTCTL_RATE_LIMIT_BURST="2")
    yield plane
    Client.close_all()


@pytest.fixture
def client(world):
    made = Heard(world.apis["apiserver-2"], BASE)
    made.heard = []
    return made


@pytest.mark.parametrize("base", [BASE, "/acme"])
def test_what_goes_well(world, client, base):
    client.base = base
    assert [client.call(*c)[0] for c in (("GET", "directory"), ("HEAD", "new-nonce"), ("GET", "new-nonce"))] == [200, 200, 204]
    assert client.register()[0] == 201 and client.post(client.kid, {"contact": []})[0] == 200
    name = f"answers-{base.count('/')}.example.test"
    status, headers, order = client.post("new-order", dns(name))
    place = headers["Location"]
    assert status == 201
    authz = client.post(order["authorizations"][0])
    assert authz[0] == 200 and client.post(authz[2]["challenges"][0]["url"])[0] == 200
    assert client.post(order["finalize"], {"csr": csr(name)})[0] == 200
    valid = wait_for(lambda: (lambda o: o if o["status"] == "valid" else None)(client.post(place)[2]), what="the certificate")
    status, headers, pem = client.post(valid["certificate"])
    assert status == 200
    cert = read_chain(pem)[0]
    serial = cert.serial_number.to_bytes((cert.serial_number.bit_length() + 8) // 8, "big")
    key_id = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert client.call("GET", f"renewal-info/{b64(key_id)}.{b64(serial)}")[0] == 200
    assert client.post("revoke-cert", {"certificate": b64(cert.public_bytes(Encoding.DER))})[0] == 200
    new = new_key()
    inner = jws(new, {"alg": "ES256", "jwk": jwk_of(new), "url": client.url("key-change")}, {"account": client.kid, "oldKey": jwk_of(client.key)})
    assert client.post("key-change", inner)[0] == 200
    client.key = new
    assert client.post(client.kid, {"status": "deactivated"})[0] == 200
    assert len(client.heard) >= 15 and all(status < 300 for _, status in client.heard)


def signed(path, payload="", **header):
    return lambda c: c.post(path, payload, **header)


def raw(method, path, body=None, **headers):
    return lambda c: c.call(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})


def plain(path, body, content_type=JOSE):
    return lambda c: c.send(path, body, content_type)


# How it is asked, the status and the type of the problem.
REFUSED = [
    ("no path", raw("GET", "nothing"), 404, "malformed"),
    ("no path at all", raw("GET", "a/b/c/d/e/f"), 404, "malformed"),
    ("no path, posted to", plain("order", "{}"), 404, "malformed"),
    ("a method that is none there", raw("GET", "new-order"), 405, "malformed"),
    ("a method that is none", raw("DELETE", "directory"), 405, "malformed"),
    ("another type", plain("new-account", "{}", "application/json"), 415, "malformed"),
    ("no type", raw("POST", "new-account", "{}"), 415, "malformed"),
    ("a body too large", plain("new-account", "x" * 66000), 413, "malformed"),
    ("a body too large, in pieces", lambda c: c.call("POST", "new-account", iter([b"x" * 33000] * 2), {"Content-Type": JOSE}), 413, "malformed"),
    ("no JSON", plain("new-account", "x"), 400, "malformed"),
    ("an id that is none", signed("order/%2e%2e"), 400, "malformed"),
    ("an id that nobody has", signed("order/acme-ord-none"), 404, "malformed"),
    ("a certificate that is none", signed("cert/none"), 404, "malformed"),
    ("an identifier of no certificate", raw("GET", f"renewal-info/{b64(bytes(20))}.{b64(bytes([1]))}"), 404, "malformed"),
    ("an identifier that is none", raw("GET", "renewal-info/ab"), 400, "malformed"),
    ("no nonce", signed("new-order", {}, nonce=None), 400, "badNonce"),
    ("no account", signed("new-order", {}, kid="https://other.example.test/acme/account/x"), 400, "accountDoesNotExist"),
    ("another url", signed("new-order", {}, url="https://other.example.test/"), 401, "unauthorized"),
    ("a signature by another", lambda c: c.post("new-order", dns("a.example.test"), key=new_key()), 401, "unauthorized"),
    ("nothing ordered", signed("new-order", {"identifiers": []}), 400, "malformed"),
]


@pytest.mark.parametrize("base", [BASE, "/acme"])
@pytest.mark.parametrize("how,status,kind", [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_is_refused(client, base, how, status, kind):
    client.base = base
    assert client.register()[0] == 201
    answer = how(client)
    assert problem(answer) == (status, kind)
    assert (status == 405) == ("Allow" in answer[1])


def test_a_profile_that_is_none(client):
    client.base = "/acme/profile/p-none"
    assert problem(client.call("GET", "directory")) == (404, "userActionRequired")
    # What is no id is not said again.
    answer = Client.call(client, "GET", f"https://{client.host}/acme/profile/%3Ex/nothing")
    assert problem(answer) == (404, "malformed")
    assert answer[1].get_all("Link") == [f'<https://{client.host}/acme/directory>;rel="index"']


def test_who_asks_too_often(world):
    c = Heard(world.apis["apiserver-3"], BASE)
    c.heard = []
    answer = wait_for(lambda: (lambda a: a if a[0] == 429 else None)(c.call("GET", "directory")), 20, "429", every=0)
    assert problem(answer) == (429, "rateLimited") and int(answer[1]["Retry-After"]) >= 1


def test_the_server_that_is_off(world):
    """It has no nonce to give."""
    for answer in (Client(world.api, BASE).call("GET", "directory"), Client(world.api, BASE).send("new-account", "{}")):
        assert problem(answer) == (404, "malformed") and answer[1]["Replay-Nonce"] is None
        assert answer[1].get_all("Link") == [f'<https://127.0.0.1:{world.api.port}{BASE}/directory>;rel="index"']
