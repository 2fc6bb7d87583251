"""
The first administrator's key is made over the API by whoever has the token:
once, of many that try at a time, and never where an administrator is or was.
"""
import concurrent.futures
import hashlib

import pytest

from fleet import API_KEY, BOOTSTRAP, Api, Fleet, wait_for

PATH = "/api/v1/auth/bootstrap"
TOKEN = "first-admin-token-0123456789abcdef"
ENV = {"CERTCTL_API_KEYS_NAMED": "", "CERTCTL_BOOTSTRAP_TOKEN": TOKEN}
GOOD = {"token": TOKEN, "actor_name": "first-admin"}


@pytest.fixture(scope="module")
def plane():
    """No key is configured, only the token."""
    fleet = Fleet("bootstrap")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True, **ENV)
        yield fleet
    finally:
        fleet.close()


@pytest.fixture
def empty(plane):
    """Nobody was made an administrator yet."""
    plane.query("DELETE FROM actor_roles")
    plane.query("DELETE FROM api_keys")
    plane.query("UPDATE tenants SET bootstrapped_at = NULL")
    return plane


def ask(plane, body, api=None, **more):
    return (api or plane.api).call("POST", PATH, body, key="", **more)


def is_available(plane, api=None):
    status, reply = (api or plane.api).call("GET", PATH, key="")
    assert status == 200 and set(reply) == {"available"}
    return reply["available"]


def said(answer, status):
    got, reply = answer
    assert got == status and set(reply) == {"error", "message"}, answer
    return reply["message"]


def test_it_makes_an_administrator_and_closes(empty):
    assert is_available(empty)
    status, key = ask(empty, GOOD)
    assert status == 201 and set(key) == {"actor_id", "api_key_id", "key_value", "created_at", "message"}
    assert key["actor_id"] == "first-admin" and len(key["key_value"]) == 64 and set(key["key_value"]) <= set("0123456789abcdef")
    by = Api(empty.api_port, empty.dir / "tls" / "api.pem", key["key_value"])
    me = by.need("GET", "/api/v1/auth/me")
    assert me["admin"] and me["roles"] == ["r-admin"] and len(me["effective_permissions"]) == 82
    assert by.post("/api/v1/auth/keys", {"name": "second"})[0] == 201
    assert not is_available(empty)
    assert "closed" in said(ask(empty, GOOD | {"actor_name": "another"}), 410)
    assert empty.query("SELECT actor, actor_type, resource_id, details ->> 'role_id' FROM audit_events WHERE action = 'bootstrap.consume'"
                       " ORDER BY seq DESC LIMIT 1") == [("bootstrap", "System", "first-admin", "r-admin")]
    # Neither the key's text nor the token lies anywhere.
    assert empty.value("SELECT key_hash FROM api_keys WHERE name = 'first-admin'") == hashlib.sha256(key["key_value"].encode()).hexdigest()
    for secret in (TOKEN, key["key_value"]):
        assert empty.value("SELECT count(*) FROM audit_events t WHERE strpos(t::text, %s) > 0", secret) == 0
        assert not [f for f in empty.dir.rglob("*.log") if secret in f.read_text(errors="replace")]


@pytest.mark.parametrize("body, status", [
    ([], 400), ({}, 400), ({"token": TOKEN}, 400), ({"token": 7, "actor_name": "first-admin"}, 400), (GOOD | {"actor_name": None}, 400),
    *((GOOD | {"actor_name": name}, 400) for name in ("", "ab", "Admin", "-abc", "_abc", "a b", "x" * 65, "ünme", 7, ["abc"])),
    ({"actor_name": "first-admin"}, 400), ({"token": "", "actor_name": "first-admin"}, 400),
    ({"token": "first-admin-token-0123456789abcdeg", "actor_name": "first-admin"}, 401), ({"token": BOOTSTRAP, "actor_name": "first-admin"}, 401),
    ({"token": "", "actor_name": "ab"}, 400), ({"token": "x", "actor_name": "ab"}, 400),
    (GOOD | {"actor_name": "actor-demo-anon"}, 409), (GOOD | {"actor_name": "legacy-key-0"}, 409)])
def test_it_is_refused(empty, body, status):
    said(ask(empty, body), status)
    assert is_available(empty) and not empty.value("SELECT count(*) FROM api_keys")


def test_what_is_no_request(empty):
    for raw, headers in (("", {}), ("{", {}), ("\xff", {}), ("x" * 4097, {}), ("1001\r\n" + "x" * 4097 + "\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"})):
        said(ask(empty, None, raw=raw, headers=headers), 400)
    # Nor does an API key or a token in the header do.
    assert empty.api.call("POST", PATH, {"actor_name": "first-admin"}, key=TOKEN)[0] == 400
    assert is_available(empty)


def test_closed_comes_before_the_token(empty):
    """Whoever tries tokens learns nothing once it is closed; a bad name is told all the same."""
    assert ask(empty, GOOD)[0] == 201
    said(ask(empty, GOOD | {"token": "wrong"}), 410)
    said(ask(empty, {"token": "wrong", "actor_name": "x"}), 400)


def test_of_many_at_a_time_one_is_made(empty):
    for attempt in range(5):
        empty.query("DELETE FROM actor_roles")
        empty.query("DELETE FROM api_keys")
        empty.query("UPDATE tenants SET bootstrapped_at = NULL")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda i: ask(empty, GOOD | {"actor_name": f"first-{i}"})[0], range(8)))
        assert sorted(answers) == [201] + [410] * 7, attempt
        assert empty.value("SELECT count(*) FROM api_keys") == empty.value("SELECT count(*) FROM actor_roles") == 1


@pytest.mark.parametrize("why", ["its key was deleted", "its key ended", "a grant", "a grant that ended"])
def test_it_stays_closed(empty, why):
    if "key" in why:
        assert ask(empty, GOOD)[0] == 201
        empty.query("DELETE FROM actor_roles")
        empty.query("DELETE FROM api_keys" if "deleted" in why else "UPDATE api_keys SET expires_at = now()")
    else:
        empty.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id, expires_at)"
                    " VALUES ('ar-1', 'ops', 'APIKey', 'r-admin', 't-default', %s)", "2020-01-01" if "ended" in why else None)
    assert not is_available(empty)
    said(ask(empty, GOOD), 410)


def test_what_does_not_close_it(empty):
    """Readers, an admin of one issuer, and what the demo left."""
    for name, role, scope in (("reader", "r-viewer", None), ("limited", "r-admin", "iss-a"), ("actor-demo-anon", "r-admin", None)):
        empty.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id, scope_type, scope_id)"
                    " VALUES (%s, %s, 'APIKey', %s, 't-default', %s, %s)", name, name, role, "issuer" if scope else "global", scope)
    assert is_available(empty)
    # A name that holds roles, or that a key has, is nobody's to take.
    said(ask(empty, GOOD | {"actor_name": "reader"}), 409)
    assert ask(empty, GOOD)[0] == 201


@pytest.mark.parametrize("env", [{"CERTCTL_BOOTSTRAP_TOKEN": ""}, {"CERTCTL_BOOTSTRAP_TOKEN": TOKEN}])
def test_an_administrator_of_the_environment_closes_it(empty, env):
    process = empty.start_apiserver(2, CERTCTL_API_KEYS_NAMED=f"admin:{API_KEY}:admin", **env)
    api = empty.apis["apiserver-2"]
    assert not is_available(empty, api)
    said(ask(empty, GOOD, api), 410)
    assert is_available(empty)
    process.stop()


def test_who_guesses_waits_and_is_recorded(empty):
    process = empty.start_apiserver(2, CERTCTL_RATE_LIMIT_ENABLED="true", CERTCTL_RATE_LIMIT_RPS="1", CERTCTL_RATE_LIMIT_BURST="3",
                                    wait=False, **ENV)
    api = empty.apis["apiserver-2"]
    empty.wait_ready(api)
    answers = [ask(empty, GOOD | {"token": f"guess-{i}"}, api)[0] for i in range(5)]
    assert set(answers) == {401, 429} and answers[0] == 401
    wait_for(lambda: empty.value("SELECT count(*) FROM audit_events WHERE action = 'auth.refused'"
                                 " AND details ->> 'last_request' = %s", f"POST {PATH}"), 10, "the event")
    process.stop()
