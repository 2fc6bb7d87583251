"""
External account binding (RFC 8555 section 7.3.4): keys over the API and the command
line, and whom they admit; a key that admits one account admits one, whoever comes
at once and over whichever apiserver.
"""
import base64
import concurrent.futures
import json

import pytest

from acme import Client, alg_of, b64, binding, jwk_of, jws, new_key, problem, serve, sign, unb64
from fleet import API_KEY, CONFIG_KEY, code_schema
from test_snapshots import meet

KEYS = "/api/v1/acme/eab-keys"
ENV = {"CERTCTL_ACME_SERVER_ENABLED": "true"}
SHOWN = ("id", "description", "reusable", "status", "uses", "created_by", "created_at")


@pytest.fixture(scope="module")
def plane(stack):
    stack.make_basics()
    stack.query("INSERT INTO owners (id, name, email, team_id) SELECT 'o-eab', 'eab', '', team_id FROM owners WHERE id = 'o-test'")
    serve(stack)
    serve(stack, "p-eab", acme_eab_required=True)
    serve(stack, "p-other", acme_eab_required=True)
    for i in (2, 3):
        stack.start_apiserver(i, keep=True, **ENV)
    return stack


@pytest.fixture(autouse=True)
def connections():
    yield
    Client.close_all()


def make(plane, **body):
    """A key as it is answered when it is made; its HMAC key decoded."""
    made = plane.api.need("POST", KEYS, {"profile_id": "p-eab"} | body)
    return made | {"mac": unb64(made["hmac_key"])}


def new_client(plane, profile="p-eab", i=2, key=None):
    return Client(plane.apis[f"apiserver-{i}"], f"/acme/profile/{profile}", key)


def bound(client, key, **header):
    """externalAccountBinding of that client by that key, its header changed."""
    header = {"alg": "HS256", "kid": key["id"], "url": client.url("new-account")} | header
    return jws(key["mac"], {k: v for k, v in header.items() if v is not None}, jwk_of(client.key))


def register(client, key):
    return client.register(externalAccountBinding=bound(client, key))


def events(plane, key):
    return [action for action, in plane.query("SELECT action FROM audit_events WHERE resource_id = %s ORDER BY timestamp, id", key["id"])]


# --- keys ---

def test_a_key_is_shown_once(plane):
    made = plane.api.need("POST", KEYS, {"profile_id": "p-eab", "owner_id": "o-eab", "description": "for the web team",
                                         "expires_at": "2099-01-01T00:00:00Z"})
    hmac, ident = made.pop("hmac_key"), made["id"]
    assert len(unb64(hmac)) == 64 and "=" not in hmac and made.pop("message")
    assert {m: made[m] for m in ("status", "uses", "reusable", "profile_id", "owner_id", "description", "created_by", "expires_at")} == {
        "status": "active", "uses": 0, "reusable": False, "profile_id": "p-eab", "owner_id": "o-eab", "description": "for the web team",
        "created_by": "admin", "expires_at": "2099-01-01T00:00:00Z"}
    assert plane.api.need("GET", f"{KEYS}/{ident}") == made
    assert plane.api.need("GET", KEYS)["data"][0] == made
    sealed = bytes(plane.value("SELECT hmac_sealed FROM acme_eab_keys WHERE key_id = %s", ident))
    for form in (unb64(hmac), hmac.encode(), unb64(hmac).hex().encode(), base64.b64encode(unb64(hmac))):
        assert form not in sealed
    assert sealed[0] == 3 and events(plane, made) == ["acme_eab_key_created"]
    assert hmac not in json.dumps(plane.query("SELECT details FROM audit_events"))


def test_all_keys_lie_under_one_salt(plane):
    """Whichever apiserver makes them: each derives one key of the passphrase."""
    for api in (plane.api, plane.apis["apiserver-2"], plane.apis["apiserver-3"]):
        api.need("POST", KEYS, {"any_profile": True})
    assert plane.value("SELECT count(DISTINCT substr(hmac_sealed, 1, 17)) FROM acme_eab_keys WHERE hmac_sealed <> ''") == 1


def test_no_key_looks_like_an_option(plane):
    """certbot refuses an --eab-hmac-key that begins with '-', as one in 64 would."""
    keys = [make(plane)["hmac_key"] for _ in range(600)]
    assert not [k for k in keys if k.startswith("-")]
    plane.query("DELETE FROM acme_eab_keys WHERE uses = 0 AND description = ''")


@pytest.mark.parametrize("body, status", [
    ({"expires_at": "2001-01-01T00:00:00Z"}, 400), ({"expires_at": "tomorrow"}, 400), ({"profile_id": "p-none"}, 400), ({"owner_id": "o-none"}, 400),
    ({}, 400), ({"profile_id": ""}, 400), ({"profile_id": "p-eab", "any_profile": True}, 400), ({"any_profile": 1}, 400), ({"reusable": "yes"}, 400), ({"description": "x" * 256}, 400), ({"description": "a\nb"}, 400), ([], 400)])
def test_keys_that_are_not_made(plane, body, status):
    before = plane.value("SELECT count(*) FROM acme_eab_keys")
    if isinstance(body, dict) and body and not {"profile_id", "any_profile"} & set(body):
        body = {"profile_id": "p-eab"} | body
    assert plane.api.post(KEYS, body)[0] == status and plane.value("SELECT count(*) FROM acme_eab_keys") == before


def test_the_list(plane):
    keys = [make(plane, description=f"list {i}", **({"owner_id": "o-eab"} if i % 2 else {})) for i in range(5)]
    plane.api.need("POST", f"{KEYS}/{keys[0]['id']}/revoke")
    listed = plane.api.need("GET", f"{KEYS}?per_page=5")
    assert [k["id"] for k in listed["data"]] == [k["id"] for k in reversed(keys)] and listed["total"] >= 5
    assert all(m in k for m in SHOWN for k in listed["data"])
    assert plane.api.need("GET", f"{KEYS}?status=revoked&per_page=1")["data"][0]["id"] == keys[0]["id"]
    assert all(k["owner_id"] == "o-eab" for k in plane.api.need("GET", f"{KEYS}?owner_id=o-eab")["data"])
    assert plane.api.need("GET", f"{KEYS}?profile_id=p-none") == {"data": [], "total": 0, "page": 1, "per_page": 50}
    walked, cursor = [], "start"
    while cursor:
        page = plane.api.need("GET", f"{KEYS}?cursor={cursor}&page_size=2")
        walked += [k["id"] for k in page["data"]]
        cursor = page.get("next_cursor")
    assert walked == [k["id"] for k in plane.api.need("GET", f"{KEYS}?per_page=500")["data"]]


def test_who_may(plane):
    """A viewer reads; a key's HMAC key is nobody's to read."""
    key = make(plane)
    viewer = f"viewer-{API_KEY}"
    plane.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id) VALUES ('ar-eab', 'viewer', 'APIKey', 'r-viewer', 't-default') "
                "ON CONFLICT DO NOTHING")
    assert plane.api.call("GET", f"{KEYS}/{key['id']}", key=viewer)[0] == 200
    for method, path in (("POST", KEYS), ("POST", f"{KEYS}/{key['id']}/revoke"), ("DELETE", f"{KEYS}/{key['id']}")):
        assert plane.api.call(method, path, {"profile_id": "p-eab"} if path == KEYS else None, key=viewer)[0] == 403
    assert plane.api.call("GET", KEYS, key="")[0] == 401


def test_the_command_line(plane):
    made = json.loads(plane.cli("eab-keys", "create", "--profile-id", "p-eab", "--description", "by hand", "--reusable", "-o", "json").stdout)
    assert made["reusable"] and len(unb64(made["hmac_key"])) == 64
    text = plane.cli("eab-keys", "create", "--any-profile").stdout
    assert "hmac_key" in text and "shown once" in text
    assert made["id"] in plane.cli("eab-keys", "list", "--status", "active").stdout and "by hand" in plane.cli("eab-keys", "get", made["id"]).stdout
    client = new_client(plane)
    assert register(client, made | {"mac": unb64(made["hmac_key"])})[0] == 201
    assert plane.cli("eab-keys", "revoke", made["id"], "--yes").stdout == "revoked\n"
    assert plane.cli("eab-keys", "delete", made["id"], "--yes").stdout == "deleted\n"
    assert plane.cli("eab-keys", "get", made["id"]).returncode == 3 and plane.cli("eab-keys", "delete", made["id"], "--yes").returncode == 3


def test_without_the_passphrase_none_is_made(plane):
    plane.start_apiserver(5, CERTCTL_CONFIG_ENCRYPTION_KEY="", **ENV)
    key, api = make(plane), plane.apis["apiserver-5"]
    status, reply = api.post(KEYS, {"profile_id": "p-eab"})
    assert status == 503 and "CERTCTL_CONFIG_ENCRYPTION_KEY" in reply["message"]
    assert problem(register(new_client(plane, i=5), key)) == (500, "serverInternal")
    plane.start_apiserver(6, CERTCTL_CONFIG_ENCRYPTION_KEY=CONFIG_KEY[::-1], **ENV)
    assert problem(register(new_client(plane, i=6), key)) == (500, "serverInternal")
    for name in ("apiserver-5", "apiserver-6"):
        assert "CERTCTL_CONFIG_ENCRYPTION_KEY" in plane.processes[name].log()
    assert register(new_client(plane), key)[0] == 201


# --- whom they admit ---

def test_the_directory_says_it(plane):
    assert new_client(plane).call("GET", "directory")[2]["meta"] == {"externalAccountRequired": True}
    assert "meta" not in new_client(plane, "p-acme").call("GET", "directory")[2]
    for payload in ({}, {"externalAccountBindings": {}}):
        answer = new_client(plane).register(**payload)
        assert problem(answer) == (403, "externalAccountRequired")
    assert problem(new_client(plane).register(onlyReturnExisting=True)) == (400, "accountDoesNotExist")


@pytest.mark.parametrize("profile", ["p-eab", "p-acme"])  # where it is demanded, and where it is not
def test_admitted(plane, profile):
    key, client = make(plane, profile_id=profile, owner_id="o-eab"), new_client(plane, profile)
    sent = bound(client, key)
    status, headers, account = client.register(externalAccountBinding=sent)
    assert status == 201 and account["externalAccountBinding"] == sent and headers["Location"]
    ident = client.kid.split("/")[-1]
    assert plane.query("SELECT owner_id, eab_key_id FROM acme_accounts WHERE account_id = %s", ident) == [("o-eab", key["id"])]
    shown = plane.api.need("GET", f"{KEYS}/{key['id']}")
    assert (shown["status"], shown["uses"], shown["account_id"]) == ("used", 1, ident) and shown["used_at"]
    assert events(plane, key) == ["acme_eab_key_created", "acme_eab_key_used"]
    assert plane.query("SELECT actor, details ->> 'account_id' FROM audit_events WHERE action = 'acme_eab_key_used' AND resource_id = %s",
                       key["id"]) == [(f"acme:{ident}", ident)]
    # Its secret is of no more use, and gone; the account is found without it, and another is not made.
    assert plane.value("SELECT hmac_sealed FROM acme_eab_keys WHERE key_id = %s", key["id"]).tobytes() == b""
    assert client.register()[0] == 200 and register(client, key)[0] == 200
    assert problem(register(new_client(plane, profile, 3), key)) == (401, "unauthorized")
    assert client.post("new-order", {"identifiers": [{"type": "dns", "value": "eab.example.test"}]})[0] == 201


@pytest.mark.parametrize("alg, name", [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")])
def test_algorithms(plane, alg, name):
    import hmac
    key, client = make(plane), new_client(plane)
    sent = bound(client, key, alg=alg)
    sent["signature"] = b64(hmac.digest(key["mac"], f'{sent["protected"]}.{sent["payload"]}'.encode(), name))
    assert client.register(externalAccountBinding=sent)[0] == 201


def test_any_profile_and_many_accounts(plane):
    key = make(plane, profile_id="", any_profile=True, reusable=True)
    clients = [new_client(plane, profile, i) for profile in ("p-eab", "p-other", "p-acme") for i in (2, 3)]
    assert [register(c, key)[0] for c in clients] == [201] * 6
    shown = plane.api.need("GET", f"{KEYS}/{key['id']}")
    assert (shown["status"], shown["uses"], shown["account_id"]) == ("active", 6, clients[-1].kid.split("/")[-1])
    assert len({c.kid for c in clients}) == 6 and "profile_id" not in shown and shown["any_profile"]
    assert events(plane, key) == ["acme_eab_key_created"] + ["acme_eab_key_used"] * 6


def test_keys_that_are_over(plane):
    revoked, expired, foreign, gone = make(plane), make(plane, reusable=True), make(plane, profile_id="p-other"), make(plane)
    plane.api.need("POST", f"{KEYS}/{revoked['id']}/revoke")
    again = plane.api.need("POST", f"{KEYS}/{revoked['id']}/revoke")
    assert again["status"] == "revoked" and events(plane, revoked) == ["acme_eab_key_created", "acme_eab_key_revoked"]
    plane.query("UPDATE acme_eab_keys SET expires_at = now() WHERE key_id = %s", expired["id"])
    assert plane.api.call("DELETE", f"{KEYS}/{gone['id']}")[0] == 204
    for key, word in ((revoked, "revoked"), (expired, "expired"), (foreign, "another profile"), (gone, "no key")):
        for profile in ("p-eab", "p-acme"):
            answer = register(new_client(plane, profile), key)
            # Of a key of another profile nothing more is said.
            said = word if profile == "p-eab" or key is gone else "another profile"
            assert problem(answer) == (401, "unauthorized") and said in answer[2]["detail"], answer
    assert plane.value("SELECT count(*) FROM acme_accounts WHERE eab_key_id = ANY (%s)", [k["id"] for k in (revoked, expired, foreign, gone)]) == 0
    assert register(new_client(plane, "p-other"), foreign)[0] == 201
    for path in (f"{KEYS}/{gone['id']}", f"{KEYS}/{gone['id']}/revoke"):
        assert plane.api.call("POST" if "revoke" in path else "GET", path)[0] == 404
    # What a key admitted stays when the key goes.
    key, client = make(plane), new_client(plane)
    register(client, key)
    plane.api.call("DELETE", f"{KEYS}/{key['id']}")
    assert client.post(client.kid)[0] == 200


def tampered(part):
    def change(client, key):
        sent = bound(client, key)
        return sent | {part: sent[part][:-2] + ("AA" if sent[part][-2:] != "AA" else "BB")}
    return change


def headed(**header):
    return lambda client, key: bound(client, key, **header)


def of_another_key(client, key):
    return binding(key["id"], key["mac"], new_key(), client.url("new-account"))


def paid(payload):
    """Another payload, well signed."""
    return lambda client, key: jws(key["mac"], {"alg": "HS256", "kid": key["id"], "url": client.url("new-account")}, payload)


def by_a_public_key(client, key):
    header = {"alg": alg_of(client.key), "kid": key["id"], "url": client.url("new-account")}
    return jws(client.key, header, jwk_of(client.key))


def by_the_text(client, key):
    """The HMAC key as it is written, not decoded: a common mistake."""
    return binding(key["id"], key["hmac_key"].encode(), client.key, client.url("new-account"))


BAD = {
    "signature": (tampered("signature"), 401, "unauthorized"),
    "the text for the key": (by_the_text, 401, "unauthorized"),
    "no mac": (lambda c, k: bound(c, k) | {"signature": ""}, 400, "malformed"),
    "short mac": (lambda c, k: bound(c, k) | {"signature": bound(c, k)["signature"][:20]}, 401, "unauthorized"),
    "another key": (of_another_key, 400, "malformed"),
    "no key": (paid({}), 400, "badPublicKey or malformed"),
    "no JSON": (paid(b"x"), 400, "malformed"),
    "nothing": (paid(""), 400, "malformed"),
    "a private key": (lambda c, k: paid(jwk_of(c.key) | {"d": "AA"})(c, k), 400, "malformed"),
    "url": (headed(url="https://127.0.0.1/acme/new-account"), 400, "malformed"),
    "no url": (headed(url=None), 400, "malformed"),
    "no kid": (headed(kid=None), 400, "malformed"),
    "unknown kid": (headed(kid="eab-none"), 401, "unauthorized"),
    "kid that is an address": (lambda c, k: bound(c, k, kid=c.url("account/x")), 401, "unauthorized"),
    "nonce": (headed(nonce="AAAA"), 400, "malformed"),
    "crit": (headed(crit=["x"]), 400, "malformed"),
    "jwk too": (lambda c, k: bound(c, k, jwk=jwk_of(c.key)), 400, "malformed"),
    "alg none": (headed(alg="none"), 400, "badSignatureAlgorithm"),
    "another alg": (headed(alg="HS512"), 401, "unauthorized"),
    "a public key's alg": (by_a_public_key, 400, "badSignatureAlgorithm"),
    "unprotected": (lambda c, k: bound(c, k) | {"header": {}}, 400, "malformed"),
    "no object": (lambda c, k: "x", 400, "malformed"),
    "null": (lambda c, k: None, 400, "malformed"),
    "a list": (lambda c, k: [bound(c, k)], 400, "malformed"),
    "empty": (lambda c, k: {}, 400, "malformed"),
}


@pytest.mark.parametrize("profile", ["p-eab", "p-acme"])
@pytest.mark.parametrize("name", BAD)
def test_bindings_that_are_none(plane, name, profile):
    """Refused wherever they are sent; the key is as good as before."""
    wrong, status, kind = BAD[name]
    key, client = make(plane, profile_id=profile), new_client(plane, profile)
    answer = client.register(externalAccountBinding=wrong(client, key))
    got = problem(answer)
    assert got[0] == status and got[1] in kind.split(" or ") and len(answer[2]["detail"]) > 20, answer
    if kind == "badSignatureAlgorithm":
        assert answer[2]["algorithms"] == ["HS256", "HS384", "HS512"]
    assert register(client, key)[0] == 201


def test_a_binding_is_of_one_request(plane):
    """What another client has sent admits nobody who has not its key."""
    key, client, thief = make(plane, reusable=True), new_client(plane), new_client(plane)
    sent = bound(client, key)
    assert problem(thief.register(externalAccountBinding=sent)) == (400, "malformed")
    assert client.register(externalAccountBinding=sent)[0] == 201
    other = new_client(plane, "p-other", key=client.key)
    assert problem(other.register(externalAccountBinding=sent)) == (400, "malformed")  # its url is another


# --- at once ---

def test_many_at_once_and_one_wins(plane):
    for _ in range(5):
        key = make(plane)
        crowd = [new_client(plane, i=i) for i in (2, 3) for _ in range(6)]
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            got = list(pool.map(lambda c, k=key: register(c, k), crowd))
        assert sorted(a[0] for a in got) == [201] + [401] * 11
        assert all(problem(a) == (401, "unauthorized") for a in got if a[0] != 201)
        assert plane.query("SELECT uses FROM acme_eab_keys WHERE key_id = %s", key["id"]) == [(1,)]
        assert plane.value("SELECT count(*) FROM acme_accounts WHERE eab_key_id = %s", key["id"]) == 1
        assert events(plane, key) == ["acme_eab_key_created", "acme_eab_key_used"]


def test_one_client_at_many_doors_makes_one_account(plane):
    key, account = make(plane), new_key()
    crowd = [new_client(plane, i=i, key=account) for i in (2, 3) for _ in range(6)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        got = sorted(pool.map(lambda c: register(c, key)[0], crowd))
    assert got == [200] * 11 + [201] and len({c.kid.split("/")[-1] for c in crowd}) == 1


def test_many_uses_are_all_counted(plane):
    key = make(plane, reusable=True)
    crowd = [new_client(plane, i=i) for i in (2, 3) for _ in range(6)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert set(pool.map(lambda c: register(c, key)[0], crowd)) == {201}
    assert plane.api.need("GET", f"{KEYS}/{key['id']}")["uses"] == 12


@pytest.mark.parametrize("write, word", [
    ("UPDATE acme_eab_keys SET revoked_at = now(), hmac_sealed = '' WHERE key_id = %s", "revoked"),
    ("UPDATE acme_eab_keys SET expires_at = now() WHERE key_id = %s", "expired"),
    ("UPDATE acme_eab_keys SET uses = 1, hmac_sealed = '' WHERE key_id = %s", "one only"),
    ("UPDATE acme_eab_keys SET profile_id = 'p-other' WHERE key_id = %s", "another profile"),
    ("DELETE FROM acme_eab_keys WHERE key_id = %s", "no key")])
def test_what_became_of_it_meanwhile_counts(plane, write, word):
    """The binding was good when it was looked at; its key's row is held by who changes it, and waited for."""
    key, client = make(plane), new_client(plane)
    client.take_nonce()
    answer, = meet(plane, lambda c: c.execute(write, (key["id"],)), lambda: register(client, key))
    assert problem(answer) == (401, "unauthorized") and word in answer[2]["detail"]
    assert plane.value("SELECT count(*) FROM acme_accounts WHERE eab_key_id = %s", key["id"]) == 0


def test_a_revocation_that_waits_for_a_use_comes_after_it(plane):
    key = make(plane)
    use = (f"SELECT * FROM {code_schema()}.acme_account_create('p-eab', %s, 'pem', '{{}}', false, %s)", ("eab-thumb", key["id"]))
    (status, shown), = meet(plane, lambda c: c.execute(*use), lambda: plane.api.call("POST", f"{KEYS}/{key['id']}/revoke"))
    assert (status, shown["status"], shown["uses"]) == (200, "revoked", 1)
    assert events(plane, key) == ["acme_eab_key_created", "acme_eab_key_used", "acme_eab_key_revoked"]


@pytest.mark.parametrize("noun, column", [("profiles", "profile_id"), ("owners", "owner_id")])
def test_what_a_key_names_stays(plane, unique, noun, column):
    name = unique("eab")
    plane.api.need("POST", f"/api/v1/{noun}", {"id": name, "name": name} | ({"team_id": "t-test"} if noun == "owners" else {}))
    key = make(plane, **{column: name})
    status, reply = plane.api.call("DELETE", f"/api/v1/{noun}/{name}")
    assert status == 409 and "key" in reply["message"]
    plane.api.call("DELETE", f"{KEYS}/{key['id']}")
    assert plane.api.call("DELETE", f"/api/v1/{noun}/{name}")[0] == 204


def test_a_required_key_needs_the_passphrase(plane):
    """A server that would admit nobody does not start."""
    plane.start_apiserver(7, wait=False, CERTCTL_CONFIG_ENCRYPTION_KEY="", CERTCTL_ACME_SERVER_EAB_REQUIRED="true", **ENV)
    process = plane.processes["apiserver-7"]
    assert process.wait_end(20) != 0 and "CERTCTL_CONFIG_ENCRYPTION_KEY" in process.log()
