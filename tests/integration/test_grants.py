"""
Roles, what they hold and who holds them are changed over the API, and nobody
gives more than they hold: within a scope, and for as long.
"""
import concurrent.futures
import contextlib
import datetime
import hashlib
import itertools

import pytest

from fleet import API_KEY, Api, Fleet, wait_for

AUTH = "/api/v1/auth"
READER = f"reader-{API_KEY}"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def plane():
    with Fleet("grants") as fleet:
        fleet.start_postgres()
        # Refusals are written within a second once for an address, and within a minute after.
        fleet.start_apiserver(CERTCTL_API_KEYS_NAMED=f"admin:{API_KEY}:admin,reader:{READER}")
        yield fleet


def api(plane, key):
    return Api(plane.api_port, plane.dir / "tls" / "api.pem", key)


def a_key(plane, *roles, until=None):
    """(name, its API) of a stored key with these: role, (role, issuer) or (role, None, until)."""
    name = f"key-{next(NUMBERS)}"
    secret = f"{name}-{API_KEY}"
    plane.query("INSERT INTO api_keys (id, name, key_hash, created_by, expires_at) VALUES (%s, %s, %s, 'test', %s)",
                name, name, hashlib.sha256(secret.encode()).hexdigest(), until)
    for role in roles:
        role, issuer, end = (role, None, None) if isinstance(role, str) else (*role, None, None)[:3]
        plane.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id, scope_type, scope_id, expires_at)"
                    " VALUES (%s, %s, 'APIKey', %s, 't-default', %s, %s, %s)", f"{name}-{role}", name, role,
                    "issuer" if issuer else "global", issuer, end)
    return name, api(plane, secret)


def a_role(plane, *permissions):
    role = plane.api.need("POST", f"{AUTH}/roles", {"name": f"role-{next(NUMBERS)}"})["id"]
    for p in permissions:
        body = {"permission": p} if isinstance(p, str) else {"permission": p[0], "scope_type": "issuer", "scope_id": p[1]}
        assert plane.api.post(f"{AUTH}/roles/{role}/permissions", body)[0] == 204
    return role


def held_by(plane, name):
    return sorted(r for r, in plane.query("SELECT role_id FROM actor_roles WHERE actor_id = %s", name))


def grant(by, to, role, **more):
    return by.post(f"{AUTH}/keys/{to}/roles", {"role_id": role} | more)


def said(answer):
    status, reply = answer
    assert set(reply) >= {"error", "message"}, reply
    return status, reply["message"]


def soon(**more):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**more)).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- roles ---

def test_a_role_is_made_changed_and_deleted(plane):
    status, role = plane.api.post(f"{AUTH}/roles", {"name": "ops", "description": "night shift"})
    assert status == 201 and role.items() >= {"name": "ops", "description": "night shift", "tenant_id": "t-default"}.items()
    assert set(role) == {"id", "tenant_id", "name", "description", "created_at", "updated_at"}
    assert role["id"].startswith("r-") and len(role["id"]) == 38
    path = f"{AUTH}/roles/{role['id']}"
    status, changed = plane.api.call("PUT", path, {"name": "ops2"})
    assert status == 200 and (changed["name"], changed["description"]) == ("ops2", "night shift")
    assert plane.api.get(path)[1] == {"role": changed, "permissions": []}
    assert plane.api.call("DELETE", path)[0] == 204
    assert [plane.api.call(m, path, b)[0] for m, b in (("GET", None), ("PUT", {"name": "x"}), ("DELETE", None))] == [404] * 3


@pytest.mark.parametrize("body, status, message", [
    ({}, 400, "role name is required"), ({"name": ""}, 400, "role name is required"), ({"name": 7}, 400, None), ([], 400, None),
    ({"name": "x" * 256}, 400, "name must be 255 characters or fewer"), ({"name": "admin"}, 409, "A role with this name already exists")])
def test_a_role_is_refused(plane, body, status, message):
    got, reply = plane.api.post(f"{AUTH}/roles", body)
    assert got == status and message in (None, reply["message"])


@pytest.mark.parametrize("role", ["admin", "operator", "viewer", "agent", "mcp", "cli", "auditor"])
def test_defaults_stay(plane, role):
    assert said(plane.api.call("DELETE", f"{AUTH}/roles/r-{role}")) == (409, "Cannot delete role: it is one of the defaults")
    path = f"{AUTH}/roles/r-{role}"
    assert said(plane.api.call("PUT", path, {"name": "harmless"})) == (409, "Cannot rename role: it is one of the defaults")
    for body in ({"description": "of the house"}, {"name": role, "description": ""}):
        assert plane.api.need("PUT", path, body).items() >= (body | {"name": role}).items()
    assert plane.api.call("PUT", path, {"name": 7})[0] == plane.api.call("PUT", path, [])[0] == 400


def test_a_role_that_somebody_holds_stays(plane):
    role = a_role(plane, "cert.read")
    name, _ = a_key(plane, role)
    assert said(plane.api.call("DELETE", f"{AUTH}/roles/{role}"))[0] == 409
    assert plane.api.call("DELETE", f"{AUTH}/keys/{name}/roles/{role}")[0] == 204
    assert plane.api.call("DELETE", f"{AUTH}/roles/{role}")[0] == 204


# --- what a role holds ---

def test_permissions_come_and_go_and_count_at_once(plane):
    role = a_role(plane)
    _, key = a_key(plane, role)
    path = f"{AUTH}/roles/{role}/permissions"
    for _ in range(3):
        assert key.get("/api/v1/teams")[0] == 403
        assert plane.api.post(path, {"permission": "team.read"}) == (204, None)
        assert plane.api.post(path, {"permission": "team.read"})[0] == 204, "again"
        assert key.get("/api/v1/teams")[0] == 200
        assert plane.api.get(f"{AUTH}/roles/{role}")[1]["permissions"] == [
            {"role_id": role, "permission_id": "p-team-read", "scope_type": "global"}]
        assert plane.api.call("DELETE", f"{path}/team.read")[0] == 204
    assert said(plane.api.call("DELETE", f"{path}/team.read"))[0] == 404


def test_changes_count_within_a_second_elsewhere(plane):
    plane.start_apiserver(2, CERTCTL_API_KEYS_NAMED=f"admin:{API_KEY}:admin")
    role = a_role(plane, "team.read")
    _, key = a_key(plane, role)
    there = Api(plane.apis["apiserver-2"].port, plane.dir / "tls" / "api.pem", key.key)
    assert there.get("/api/v1/teams")[0] == 200
    assert plane.api.call("DELETE", f"{AUTH}/roles/{role}/permissions/team.read")[0] == 204
    wait_for(lambda: there.get("/api/v1/teams")[0] == 403, 1.5, "the other process to know")


def test_a_permission_may_be_limited(plane):
    role = a_role(plane, ("issuer.edit", "iss-a"))
    path = f"{AUTH}/roles/{role}/permissions/issuer.edit"
    assert plane.api.get(f"{AUTH}/roles/{role}")[1]["permissions"] == [
        {"role_id": role, "permission_id": "p-issuer-edit", "scope_type": "issuer", "scope_id": "iss-a"}]
    for query in ("", "?scope_type=issuer&scope_id=iss-b", "?scope_type=profile&scope_id=iss-a"):
        assert plane.api.call("DELETE", path + query)[0] == 404
    assert plane.api.call("DELETE", f"{path}?scope_type=issuer&scope_id=iss-a")[0] == 204


BAD_SCOPES = [({"scope_type": "global", "scope_id": "x"}, "scope_id must be empty"), ({"scope_id": "x"}, "scope_id must be empty"),
              ({"scope_type": "issuer"}, "scope_id is required"), ({"scope_type": "profile", "scope_id": ""}, "scope_id is required"),
              ({"scope_type": "team", "scope_id": "x"}, "scope_type must be"), ({"scope_type": 1}, "scope_type must be"),
              ({"scope_type": "issuer", "scope_id": "a b"}, "scope_id"), ({"scope_type": "issuer", "scope_id": ["x"]}, "scope_id")]


@pytest.mark.parametrize("more, words", BAD_SCOPES)
def test_scopes_are_refused(plane, more, words):
    role = a_role(plane)
    for path, body in ((f"roles/{role}/permissions", {"permission": "cert.read"}), ("keys/reader/roles", {"role_id": role})):
        status, message = said(plane.api.post(f"{AUTH}/{path}", body | more))
        assert status == 400 and words in message
    assert held_by(plane, "reader") == []


@pytest.mark.parametrize("role, body, status", [
    ("r-viewer", {}, 400), ("r-viewer", {"permission": "no.such"}, 400), ("r-viewer", {"permission": 1}, 400), ("r-viewer", [], 400),
    ("r-none", {"permission": "cert.read"}, 404), ("r-admin", {"permission": "cert.read"}, 409)])
def test_a_permission_is_refused(plane, role, body, status):
    assert said(plane.api.post(f"{AUTH}/roles/{role}/permissions", body))[0] == status


def test_the_admin_role_stays_whole(plane):
    assert said(plane.api.call("DELETE", f"{AUTH}/roles/r-admin/permissions/auth.role.assign"))[0] == 409
    assert len(plane.api.get(f"{AUTH}/roles/r-admin")[1]["permissions"]) == 82


# --- who holds it ---

def test_a_role_is_given_and_taken_and_counts_at_once(plane):
    name, key = a_key(plane)
    for _ in range(3):
        assert key.get("/api/v1/teams")[0] == 403
        assert grant(plane.api, name, "r-viewer") == (204, None)
        assert grant(plane.api, name, "r-viewer")[0] == 204, "again"
        assert key.get("/api/v1/teams")[0] == 200
        assert plane.api.call("DELETE", f"{AUTH}/keys/{name}/roles/r-viewer")[0] == 204
    assert said(plane.api.call("DELETE", f"{AUTH}/keys/{name}/roles/r-viewer"))[0] == 404


@pytest.mark.parametrize("to, body, status", [
    ("reader", {}, 400), ("reader", {"role_id": 1}, 400), ("reader", {"role_id": "r-none"}, 400), ("reader", [], 400),
    ("reader", {"role_id": "r-cli", "expires_at": "2020-01-01T00:00:00Z"}, 400),
    ("reader", {"role_id": "r-cli", "expires_at": "tomorrow"}, 400), ("reader", {"role_id": "r-cli", "expires_at": 7}, 400),
    ("nobody", {"role_id": "r-cli"}, 404), ("actor-demo-anon", {"role_id": "r-cli"}, 409)])
def test_a_grant_is_refused(plane, to, body, status):
    assert said(plane.api.post(f"{AUTH}/keys/{to}/roles", body))[0] == status
    assert held_by(plane, to) == []


def test_a_grant_may_end(plane):
    name, _ = a_key(plane)
    assert grant(plane.api, name, "r-viewer", expires_at=soon(hours=1))[0] == 204
    assert grant(plane.api, name, "r-viewer", expires_at=soon(hours=2))[0] == 204, "longer"
    assert said(grant(plane.api, name, "r-viewer", expires_at=soon(minutes=9)))[0] == 409, "never shorter by the way"
    assert grant(plane.api, name, "r-viewer")[0] == 204
    assert plane.value("SELECT expires_at IS NULL FROM actor_roles WHERE actor_id = %s", name)


def test_a_grant_that_ended_counts_no_more_and_may_be_given_anew(plane):
    name, key = a_key(plane, ("r-viewer", None, "2020-01-01"))
    assert key.get("/api/v1/teams")[0] == 403
    assert grant(plane.api, name, "r-viewer", expires_at=soon(seconds=900))[0] == 204
    assert key.get("/api/v1/teams")[0] == 200


# --- nobody gives what they do not hold ---

GIVER = ("auth.role.list", "auth.role.assign", "auth.role.revoke", "auth.role.edit", "auth.key.list", "team.read")


def test_nobody_gives_what_they_do_not_hold(plane):
    role = a_role(plane, *GIVER)
    name, giver = a_key(plane, role)
    other, _ = a_key(plane)
    for role_id in ("r-admin", "r-viewer", "r-auditor"):
        for to in (other, name):
            status, message = said(grant(giver, to, role_id))
            assert status == 403 and "more than you do" in message
    for to in (role, a_role(plane)):
        status, message = said(giver.post(f"{AUTH}/roles/{to}/permissions", {"permission": "cert.read"}))
        assert status == 403 and "do not hold" in message
    assert held_by(plane, other) == [] and held_by(plane, name) == [role]
    # What they do hold they may.
    small = a_role(plane, "team.read")
    assert grant(giver, other, small)[0] == 204 and held_by(plane, other) == [small]
    assert giver.post(f"{AUTH}/roles/{small}/permissions", {"permission": "auth.key.list"})[0] == 204
    assert giver.call("DELETE", f"{AUTH}/keys/{other}/roles/{small}")[0] == 204


def test_a_scope_is_no_more_than_it(plane):
    """Whoever holds something of one issuer gives it of that issuer alone."""
    _, giver = a_key(plane, a_role(plane, *GIVER), (a_role(plane, "issuer.edit"), "iss-a"))
    other, _ = a_key(plane)
    role = a_role(plane, "issuer.edit")
    narrow = a_role(plane, ("issuer.edit", "iss-a"))
    a, b = ({"scope_type": "issuer", "scope_id": i} for i in ("iss-a", "iss-b"))
    assert [grant(giver, other, role, **more)[0] for more in ({}, b, {"scope_type": "profile", "scope_id": "iss-a"})] == [403] * 3
    path = f"{AUTH}/roles/{a_role(plane)}/permissions"
    assert [giver.post(path, {"permission": "issuer.edit"} | more)[0] for more in ({}, b, a)] == [403, 403, 204]
    assert grant(giver, other, narrow)[0] == 204
    assert grant(giver, other, role, **a)[0] == 204
    # Scopes that have nothing in common leave nothing to give.
    assert grant(giver, other, narrow, **b)[0] == 204


@pytest.mark.parametrize("is_key", [False, True])
def test_nobody_gives_for_longer_than_they_hold(plane, is_key):
    """Whether the role ends or the key."""
    role = a_role(plane, *GIVER)
    name, giver = a_key(plane, role, until=soon(hours=1)) if is_key else a_key(plane, (role, None, soon(hours=1)))
    small = a_role(plane, "team.read")
    for to in (a_key(plane)[0], name):
        assert said(grant(giver, to, small))[0] == 403
        assert said(grant(giver, to, small, expires_at=soon(hours=2)))[0] == 403
        assert grant(giver, to, small, expires_at=soon(minutes=30))[0] == 204
    assert said(giver.post(f"{AUTH}/roles/{small}/permissions", {"permission": "team.read"}))[0] == 403, "a role never ends"


def test_a_key_of_the_environment_does_not_fall_back_to_more(plane):
    role = a_role(plane, "auth.role.revoke", "auth.role.assign")
    _, taker = a_key(plane, role)
    assert grant(plane.api, "reader", "r-auditor")[0] == 204
    path = f"{AUTH}/keys/reader/roles/r-auditor"
    assert said(taker.call("DELETE", path))[0] == 403
    assert held_by(plane, "reader") == ["r-auditor"]
    assert plane.api.call("DELETE", path)[0] == 204
    assert api(plane, READER).get("/api/v1/teams")[0] == 200


# --- the last administrator ---

@pytest.fixture(scope="module")
def alone():
    """No administrator stands in the environment."""
    with Fleet("lastadmin") as fleet:
        fleet.start_postgres()
        fleet.start_apiserver(wait=False, CERTCTL_API_KEYS_NAMED=f"reader:{READER}")
        reader = api(fleet, READER)
        fleet.wait_ready(reader)
        yield fleet


def test_the_last_administrator_stays(alone):
    one, by = a_key(alone, "r-admin")
    assert said(by.call("DELETE", f"{AUTH}/keys/{one}/roles/r-admin"))[0] == 409
    # One that ends before it is no other, nor is one limited to something, nor one whose key is nobody's.
    a_key(alone, ("r-admin", None, soon(hours=1)))
    a_key(alone, "r-admin", until=soon(hours=1))
    a_key(alone, ("r-admin", "iss-a"))
    alone.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id) VALUES ('g', 'ghost', 'APIKey', 'r-admin', 't-default')")
    assert said(by.call("DELETE", f"{AUTH}/keys/{one}/roles/r-admin"))[0] == 409
    assert by.call("DELETE", f"{AUTH}/keys/ghost/roles/r-admin")[0] == 204
    # A role of the environment's key counts.
    assert grant(by, "reader", "r-admin")[0] == 204
    assert by.call("DELETE", f"{AUTH}/keys/{one}/roles/r-admin")[0] == 204
    reader = api(alone, READER)
    assert said(reader.call("DELETE", f"{AUTH}/keys/reader/roles/r-admin"))[0] == 409
    assert by.call("DELETE", f"{AUTH}/keys/reader/roles/r-admin") == (403, {"error": "Insufficient permissions"})


def test_two_administrators_cannot_remove_each_other(alone):
    """Both at once: one of them is told that they are the last."""
    alone.query("DELETE FROM actor_roles WHERE role_id = 'r-admin'")
    (one, first), (two, second) = a_key(alone, "r-admin"), a_key(alone, "r-admin")
    assert first.get(f"{AUTH}/me")[0] == second.get(f"{AUTH}/me")[0] == 200
    with concurrent.futures.ThreadPoolExecutor() as pool, contextlib.closing(alone.connect()) as holder:
        # Each waits for the lock of r-admin, having been let in by the gate.
        holder.cursor().execute("SELECT 1 FROM roles WHERE id = 'r-admin' FOR UPDATE")
        answers = [pool.submit(by.call, "DELETE", f"{AUTH}/keys/{other}/roles/r-admin") for by, other in ((first, two), (second, one))]
        wait_for(lambda: alone.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 2, 20, "both to wait")
        holder.commit()
        assert sorted(a.result()[0] for a in answers) == [204, 409]
    assert alone.value("SELECT count(*) FROM actor_roles WHERE role_id = 'r-admin'") == 1


def test_an_administrator_of_the_environment_is_one(plane):
    name, _ = a_key(plane, "r-admin")
    assert plane.api.call("DELETE", f"{AUTH}/keys/{name}/roles/r-admin")[0] == 204
    status, message = said(plane.api.call("DELETE", f"{AUTH}/keys/admin/roles/r-admin"))
    assert status == 409 and "environment" in message


# --- what is told ---

def test_refusals_are_audited():
    """One that a rule made is, as one that the gate made."""
    with Fleet("grantsaudit") as fleet:
        fleet.start_postgres()
        fleet.start_apiserver()
        assert fleet.api.call("DELETE", f"{AUTH}/roles/r-viewer")[0] == 409
        details = wait_for(lambda: fleet.value("SELECT details FROM audit_events WHERE action = 'auth.refused'"), 20, "the event")
        assert details["forbidden"] == 1 and details["last_actor"] and details["last_request"].startswith("DELETE /api/v1/auth/roles")
