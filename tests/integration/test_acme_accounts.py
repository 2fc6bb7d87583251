"""
The ACME server's directory, nonces and accounts (RFC 8555 sections 6 and 7.1 to 7.3): what a signed request has to be, contacts, ends; a nonce serves
once, whichever replica made it and whichever is asked, also after a crash of PostgreSQL.
"""
import concurrent.futures
import json

import pytest

from acme import JOSE, Client, alg_of, b64, jwk_of, jws, new_key, problem, serve, thumbprint
from fleet import wait_for

BASE = "/acme/profile/p-acme"
TERMS = "https://terms.example.test/1"
ALGORITHMS = ("ES256", "ES384", "RS256", "EdDSA")


@pytest.fixture(scope="module")
def plane(stack):
    stack.make_basics()
    serve(stack)
    env = {"CERTCTL_ACME_SERVER_ENABLED": "true", "CERTCTL_ACME_SERVER_DEFAULT_PROFILE_ID": "p-acme"}
    for i in (2, 3):
        stack.start_apiserver(i, keep=True, **env)
    stack.one, stack.two = stack.apis["apiserver-2"], stack.apis["apiserver-3"]
    return stack


@pytest.fixture(autouse=True)
def connections():
    yield
    Client.close_all()


@pytest.fixture
def client(plane):
    return Client(plane.one, BASE)


# --- directory and nonces ---

@pytest.mark.parametrize("base", [BASE, "/acme"])
def test_directory(plane, base):
    c = Client(plane.one, base)
    status, headers, directory = c.call("GET", "directory")
    assert status == 200 and headers["Cache-Control"] == "public, max-age=0, no-cache" and headers["Replay-Nonce"]
    assert directory == {name: c.url(path) for name, path in (
        ("newNonce", "new-nonce"), ("newAccount", "new-account"), ("newOrder", "new-order"), ("revokeCert", "revoke-cert"),
        ("keyChange", "key-change"), ("renewalInfo", "renewal-info"))}


def test_directories_that_are_none(plane):
    serve(plane, "p-off", enabled=False)
    serve(plane, "p-nobody", acme_owner_id=None)
    serve(plane, "p-signed-by-none", issuer_id=None)
    for profile, status, words in (("p-none", 404, "no profile"), ("p-off", 403, "enabled"), ("p-nobody", 403, "acme_owner_id"),
                                   ("p-signed-by-none", 403, "issuer_id")):
        answer = Client(plane.one, f"/acme/profile/{profile}").call("GET", "directory")
        assert problem(answer) == (status, "userActionRequired") and words in answer[2]["detail"]
    # The first apiserver has it switched off.
    for path in ("directory", "new-nonce", "renewal-info/a.b"):
        assert Client(plane.api, BASE).call("GET", path)[0] == 404
    assert problem(Client(plane.api, BASE).send("new-account", "{}"))[0] == 404


def test_new_nonce(client):
    seen = set()
    for method, status in (("HEAD", 200), ("GET", 204)) * 3:
        got, headers, _ = client.call(method, "new-nonce")
        assert got == status and headers["Cache-Control"] == "no-store"
        assert headers["Link"] == f'<{client.url("directory")}>;rel="index"'
        seen.add(headers["Replay-Nonce"])
    assert len(seen) == 6


def test_no_write_for_a_nonce(plane, client):
    def written():
        return plane.query("SELECT count(*), (SELECT count(*) FROM acme_nonce_keys) FROM acme_nonces")
    client.call("HEAD", "new-nonce")
    before = written()
    for _ in range(20):
        client.call("HEAD", "new-nonce")
        client.call("GET", "directory")
    assert written() == before and before[0][1] >= 1


def test_a_nonce_serves_once_on_any_replica(plane, client):
    assert client.register()[0] == 201
    other = Client(plane.two, BASE, client.key)
    # Made by one, used at the other, and at neither again.
    client.call("HEAD", "new-nonce")
    nonce = client.nonce
    message = jws(client.key, other.header("new-account", nonce=nonce), {"onlyReturnExisting": True})
    assert other.send("new-account", message)[0] == 200
    for c in (client, other):
        answer = c.post("new-account", {"onlyReturnExisting": True}, nonce=nonce, kid=None, jwk=jwk_of(c.key))
        assert problem(answer) == (400, "badNonce") and answer[1]["Replay-Nonce"]
        # What the refusal brings does.
        assert c.post("new-account", {"onlyReturnExisting": True}, kid=None, jwk=jwk_of(c.key))[0] == 200


def test_one_of_many_at_once_has_the_nonce(plane, client):
    assert client.register()[0] == 201
    for _ in range(5):
        client.call("HEAD", "new-nonce")
        crowd = [Client(api, BASE, client.key) for api in (plane.one, plane.two) for _ in range(8)]
        messages = [jws(c.key, c.header("new-account", nonce=client.nonce), {"onlyReturnExisting": True}) for c in crowd]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda cm: cm[0].send("new-account", cm[1]), zip(crowd, messages)))
        assert sorted(a[0] for a in answers) == [200] + [400] * 15


@pytest.mark.parametrize("nonce", [None, "", "x", "A" * 60, "A" * 59 + "=", "-" * 60, 7])
def test_a_nonce_that_is_none(client, nonce):
    status, kind = problem(client.post("new-account", {}, nonce=nonce))
    assert status == 400 and kind in ("badNonce", "malformed")


def test_a_nonce_of_another_server(client):
    client.call("HEAD", "new-nonce")
    forged = client.nonce[:40] + ("A" if client.nonce[40] != "A" else "B") + client.nonce[41:]
    assert problem(client.post("new-account", {}, nonce=forged)) == (400, "badNonce")


def test_a_nonce_that_is_too_old(plane):
    plane.start_apiserver(4, CERTCTL_ACME_SERVER_ENABLED="true", CERTCTL_ACME_SERVER_NONCE_TTL="10s")
    c = Client(plane.apis["apiserver-4"], BASE)
    c.call("HEAD", "new-nonce")
    old = c.nonce
    answer = wait_for(lambda: (lambda a: a if a[0] == 400 and "too old" in a[2]["detail"] else None)(
        c.post("new-account", {"onlyReturnExisting": True}, nonce=old)), 30, "the nonce's end", every=1)
    assert problem(answer) == (400, "badNonce")


def test_after_a_crash_of_the_database_no_nonce_serves_again(plane, client):
    """Which were used is forgotten then, so those of before are refused, used or not, and the answer brings one that is good."""
    assert client.register()[0] == 201
    client.call("HEAD", "new-nonce")
    used = client.nonce
    assert client.post("new-account", {"onlyReturnExisting": True}, nonce=used, kid=None, jwk=jwk_of(client.key))[0] == 200
    client.call("HEAD", "new-nonce")
    unused = client.nonce
    plane.crash_postgres()
    assert plane.value("SELECT count(*) FROM acme_nonces WHERE nonce = %s", used) == 0
    wait_for(lambda: client.call("GET", "directory")[0] == 200, 30, "the API")
    for api in (plane.one, plane.two):
        c = Client(api, BASE, client.key)
        for nonce in (used, unused):
            def refused():
                answer = c.post("new-account", {"onlyReturnExisting": True}, nonce=nonce)
                return answer if answer[0] < 500 else None
            assert problem(wait_for(refused, 30, "an answer")) == (400, "badNonce")
        assert c.post("new-account", {"onlyReturnExisting": True})[0] == 200


# --- signed requests ---

@pytest.mark.parametrize("alg", ALGORITHMS)
def test_each_algorithm(plane, alg):
    c = Client(plane.one, BASE, new_key(alg))
    assert alg_of(c.key) == alg
    status, headers, account = c.register(contact=["mailto:a@example.test"])
    assert status == 201 and account == {"status": "valid", "contact": ["mailto:a@example.test"], "orders": c.kid + "/orders"}
    assert headers["Link"] == f'<{c.url("directory")}>;rel="index"' and headers["Cache-Control"] == "no-store"
    assert c.post(c.kid)[2] == account
    assert plane.query("SELECT jwk_thumbprint, status FROM acme_accounts WHERE account_id = %s", c.kid.split("/")[-1]) == \
        [(thumbprint(c.key), "valid")]


def test_the_short_path_is_the_default_profile(plane):
    short, long = Client(plane.one, "/acme"), Client(plane.two, BASE)
    assert short.register()[0] == 201
    long.key = short.key
    assert long.register()[0] == 200
    assert long.kid.split("/")[-1] == short.kid.split("/")[-1] and "/profile/" not in short.kid
    # Either address of the account will do at either path.
    for c, kid in ((short, long.kid), (long, short.kid)):
        assert c.post("account/" + kid.split("/")[-1], kid=kid.replace(str(short.api.port), str(c.api.port)).replace(str(long.api.port), str(c.api.port)))[0] == 200


REFUSED = [
    ("another type", dict(content_type="application/json"), {}, (415, "malformed")),
    ("no signature", dict(drop="signature"), {}, (400, "malformed")),
    ("another address", {}, dict(url="https://other.example.test/acme/new-account"), (401, "unauthorized")),
    ("another path", {}, dict(url="/acme/profile/p-acme/new-order"), (401, "unauthorized")),
    ("no address", {}, dict(url=None), None),
    ("no algorithm", {}, dict(alg="none"), (400, "badSignatureAlgorithm")),
    ("a MAC", {}, dict(alg="HS256"), (400, "badSignatureAlgorithm")),
    ("neither kid nor jwk", {}, dict(jwk=None), (400, "malformed")),
    ("both", {}, dict(kid="https://x/acme/account/1"), (400, "malformed")),
    ("kid where the key is wanted", {}, dict(jwk=None, kid="https://x/acme/account/1"), (400, "malformed")),
    ("another's signature", dict(key=new_key()), {}, (401, "unauthorized")),
    ("a payload that is no object", dict(payload=[1]), {}, (400, "malformed")),
    ("a payload that is no JSON", dict(payload=b"{"), {}, (400, "malformed")),
    ("twins in the payload", dict(payload=b'{"contact":[],"contact":[]}'), {}, (400, "malformed")),
    ("no payload", dict(payload=""), {}, (400, "malformed")),
]


@pytest.mark.parametrize("what, how, header, want", REFUSED, ids=[r[0] for r in REFUSED])
def test_a_request_that_is_refused(client, what, how, header, want):
    header = {k: client.url(v.removeprefix(client.base + "/")) if k == "url" and v and v.startswith("/") else v for k, v in header.items()}
    message = jws(how.get("key", client.key), client.header("new-account", **header), how.get("payload", {}))
    message.pop(how.get("drop"), None)
    answer = client.send("new-account", message, how.get("content_type", JOSE))
    got = problem(answer)
    assert got == want or want is None and got in ((401, "unauthorized"), (400, "malformed")), answer[2]
    assert answer[1]["Replay-Nonce"]
    if got[1] == "badSignatureAlgorithm":
        assert "ES256" in answer[2]["algorithms"]


def test_bodies_up_to_64_kib(client):
    assert problem(client.send("new-account", "x" * 65536)) == (400, "malformed")
    assert problem(client.send("new-account", "x" * 65537)) == (413, "malformed")


def test_a_forged_request_costs_its_nonce_only(plane, client):
    assert client.register()[0] == 201
    assert problem(client.post(client.kid, key=new_key())) == (401, "unauthorized")
    assert client.post(client.kid)[0] == 200


def test_paths_and_methods_that_are_none(client):
    assert problem(client.call("GET", "no-such"))[0] == 404
    assert problem(client.call("GET", "new-account"))[0] == 405
    assert problem(client.call("PUT", "directory"))[0] == 405


# --- accounts ---

def test_found_again(plane, client):
    assert problem(client.post("new-account", {"onlyReturnExisting": True})) == (400, "accountDoesNotExist")
    status, headers, account = client.register(contact=["mailto:a@example.test"])
    assert status == 201
    for payload in ({}, {"onlyReturnExisting": True}, {"contact": ["mailto:other@example.test"]}):
        again = client.post("new-account", payload, kid=None, jwk=jwk_of(client.key))
        assert again[0] == 200 and again[1]["Location"] == headers["Location"] and again[2] == account
    assert plane.value("SELECT count(*) FROM acme_accounts WHERE jwk_thumbprint = %s", thumbprint(client.key)) == 1


def test_many_at_once_make_one(plane):
    key = new_key()
    crowd = [Client(api, BASE, key) for api in (plane.one, plane.two) for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        got = sorted(pool.map(lambda c: c.register()[0], crowd))
    assert got == [200] * 15 + [201] and len({c.kid.split("/")[-1] for c in crowd}) == 1


CONTACTS = [
    (["mailto:a@example.test", "MAILTO:b.c+d@sub.example.test"], None),
    ([], None),
    ([f"mailto:a{i}@example.test" for i in range(10)], None),
    ([f"mailto:a{i}@example.test" for i in range(11)], (400, "invalidContact")),
    (["tel:+12025551212"], (400, "unsupportedContact")),
    (["a@example.test"], (400, "unsupportedContact")),
    (["mailto:a@example.test?subject=x"], (400, "invalidContact")),
    (["mailto:a@example.test,b@example.test"], (400, "invalidContact")),
    (["mailto:"], (400, "invalidContact")),
    (["mailto:a"], (400, "invalidContact")),
    (["mailto:@example.test"], (400, "invalidContact")),
    (["mailto:a b@example.test"], (400, "invalidContact")),
    (["mailto:a@exa mple.test"], (400, "invalidContact")),
    (["mailto:a@b@example.test"], (400, "invalidContact")),
    (["mailto:" + "a" * 65 + "@example.test"], (400, "invalidContact")),
    (["mailto:a\n@example.test"], (400, "invalidContact")),
    ([7], (400, "malformed")),
    ("mailto:a@example.test", (400, "malformed")),
]


@pytest.mark.parametrize("contact, want", CONTACTS, ids=range(len(CONTACTS)))
def test_contacts(plane, contact, want):
    new, old = Client(plane.one, BASE), Client(plane.one, BASE)
    old.register()
    for answer in (new.register(contact=contact), old.post(old.kid, {"contact": contact})):
        if want:
            assert problem(answer) == want
        else:
            assert answer[0] in (200, 201) and answer[2].get("contact", []) == contact


def test_changed_and_ended(plane, client):
    client.register(contact=["mailto:a@example.test"])
    account = client.kid.split("/")[-1]
    for payload in ("", {}, {"status": "valid", "orders": "x", "termsOfServiceAgreed": True}):
        assert client.post(client.kid, payload)[2]["contact"] == ["mailto:a@example.test"]
    assert client.post(client.kid, {"contact": ["mailto:b@example.test"]})[2]["contact"] == ["mailto:b@example.test"]
    assert client.post(client.kid)[2]["contact"] == ["mailto:b@example.test"]
    plane.query("INSERT INTO acme_orders (order_id, account_id, identifiers, status, expires_at, profile_id, names_key) "
                "SELECT s || %s, %s, '[]', s, now() + interval '1 hour', 'p-acme', '' FROM unnest('{pending,ready,processing,valid}'::text[]) s",
                account, account)
    assert client.post(client.kid, {"status": "deactivated"})[2]["status"] == "deactivated"
    for answer in (client.post(client.kid), client.post(client.kid, {"status": "valid"}), client.register()):
        assert problem(answer) == (401, "unauthorized")
    assert dict(plane.query("SELECT replace(order_id, %s, ''), status FROM acme_orders WHERE account_id = %s", account, account)) == {
        "pending": "invalid", "ready": "invalid", "processing": "processing", "valid": "valid"}
    assert [r for r, in plane.query("SELECT action FROM audit_events WHERE resource_id = %s AND actor = %s ORDER BY timestamp, id",
                                    account, f"acme:{account}")] == [
        "acme_account_created", "acme_account_updated", "acme_account_deactivated"]


def test_another_account_is_nobodys_business(plane, client):
    client.register()
    other = Client(plane.one, BASE)
    other.register(contact=["mailto:secret@example.test"])
    serve(plane, "p-other")
    abroad = Client(plane.one, "/acme/profile/p-other", client.key)
    assert abroad.register()[0] == 201  # the same key in another profile is another account
    for answer in (client.post(other.kid), client.post(other.kid, {"status": "deactivated"}), client.post("account/no-such")):
        assert problem(answer) == (401, "unauthorized") and "secret" not in json.dumps(answer[2])
    assert problem(abroad.post("new-order", {}, kid=client.kid))[0] in (400, 404)
    assert problem(abroad.post(abroad.kid, kid=client.kid)) == (400, "accountDoesNotExist")
    assert other.post(other.kid)[0] == 200


def test_terms(plane):
    plane.start_apiserver(5, CERTCTL_ACME_SERVER_ENABLED="true", CERTCTL_ACME_SERVER_TOS_URL=TERMS,
                          CERTCTL_ACME_SERVER_WEBSITE="https://www.example.test/", CERTCTL_ACME_SERVER_CAA_IDENTITIES="ca.example.test")
    c = Client(plane.apis["apiserver-5"], BASE)
    assert c.call("GET", "directory")[2]["meta"] == {
        "termsOfService": TERMS, "website": "https://www.example.test/", "caaIdentities": ["ca.example.test"]}
    for agreed in ({}, {"termsOfServiceAgreed": False}):
        answer = c.post("new-account", agreed)
        assert problem(answer) == (403, "userActionRequired") and answer[2]["instance"] == TERMS
        assert f'<{TERMS}>;rel="terms-of-service"' in answer[1].get_all("Link")
    assert problem(c.post("new-account", {"termsOfServiceAgreed": "yes"})) == (400, "malformed")
    assert c.post("new-account", {"termsOfServiceAgreed": True})[0] == 201
    assert plane.value("SELECT terms_agreed_at IS NOT NULL FROM acme_accounts WHERE jwk_thumbprint = %s", thumbprint(c.key))


def test_a_private_key_is_not_taken(client):
    bad = jwk_of(client.key) | {"d": b64(b"x" * 32)}
    assert problem(client.post("new-account", {}, jwk=bad)) == (400, "badPublicKey")
