"""
Who one is, and what permissions, roles and keys are there; what comes later with
the dashboard is not there.  Changes: test_grants.py.
"""
import hashlib

import pytest

from fleet import API_KEY, Api, Fleet

AUTH = "/api/v1/auth"
READER, LIMITED = f"reader-{API_KEY}", f"limited-{API_KEY}"


@pytest.fixture(scope="module")
def plane():
    with Fleet("auth") as fleet:
        fleet.start_postgres()
        fleet.start_apiserver(CERTCTL_API_KEYS_NAMED=f"admin:{API_KEY}:admin,reader:{READER}")
        fleet.query("INSERT INTO api_keys (id, name, key_hash, created_by) VALUES ('ak-1', 'limited', %s, 'test')",
                    hashlib.sha256(LIMITED.encode()).hexdigest())
        for end, role, scope in (("infinity", "r-cli", None), ("infinity", "r-operator", "iss-a"), ("2020-01-01", "r-admin", None)):
            fleet.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id, expires_at, scope_type, scope_id)"
                        " VALUES ('ar-' || %s, 'limited', 'APIKey', %s, 't-default', %s, %s, %s)",
                        role, role, end, "issuer" if scope else "global", scope)
        yield fleet


def api(plane, key):
    return Api(plane.api_port, plane.dir / "tls" / "api.pem", key)


def test_an_administrator_is_told_everything(plane):
    me = plane.api.need("GET", f"{AUTH}/me")
    assert set(me) == {"actor_id", "actor_type", "tenant_id", "admin", "roles", "effective_permissions"}
    assert (me["actor_id"], me["actor_type"], me["tenant_id"], me["admin"], me["roles"]) == (
        "admin", "APIKey", "t-default", True, ["r-admin"])
    assert len(me["effective_permissions"]) == 82


def test_others_are_told_what_counts(plane):
    me = api(plane, READER).need("GET", f"{AUTH}/me")
    assert me["admin"] is False and me["roles"] == ["r-viewer"] and len(me["effective_permissions"]) == 19
    me = api(plane, LIMITED).need("GET", f"{AUTH}/me")
    assert me["admin"] is False and me["roles"] == ["r-cli", "r-operator"], "a role that ended is none"
    held = me["effective_permissions"]
    assert {"permission": "auth.key.list", "scope_type": "global"} in held
    assert {"permission": "team.delete", "scope_type": "issuer", "scope_id": "iss-a"} in held
    assert "auth.role.list" not in {h["permission"] for h in held}


def test_permissions(plane):
    for key in (API_KEY, READER):
        got = api(plane, key).need("GET", f"{AUTH}/permissions")
        assert set(got) == {"permissions"} and len(got["permissions"]) == 82
        assert {"id": "p-auth-user-read", "name": "auth.user.read", "namespace": "auth"} in got["permissions"]
    assert plane.api.call("GET", f"{AUTH}/permissions", key="")[0] == 401


def test_roles(plane):
    roles = plane.api.need("GET", f"{AUTH}/roles")["roles"]
    assert [r["id"] for r in roles] == ["r-admin", "r-agent", "r-auditor", "r-cli", "r-mcp", "r-operator", "r-viewer"]
    assert all(set(r) == {"id", "tenant_id", "name", "description", "created_at", "updated_at"} for r in roles)
    assert all(r["created_at"].endswith("Z") and "." not in r["created_at"] for r in roles), "whole seconds"
    for role, n in (("admin", 82), ("operator", 48), ("cli", 47), ("mcp", 33), ("viewer", 19), ("agent", 7), ("auditor", 3)):
        one = plane.api.need("GET", f"{AUTH}/roles/r-{role}")
        assert one["role"] in roles and len(one["permissions"]) == n
        assert {"role_id": f"r-{role}", "scope_type": "global"}.items() <= one["permissions"][0].items()
    status, reply = plane.api.get(f"{AUTH}/roles/r-none")
    assert status == 404 and reply["message"] == "Not found"


def test_keys(plane):
    """Those of the environment, too."""
    assert plane.api.need("GET", f"{AUTH}/keys") == {"keys": [
        {"actor_id": name, "actor_type": "APIKey", "tenant_id": "t-default", "role_ids": roles}
        for name, roles in (("admin", ["r-admin"]), ("limited", ["r-cli", "r-operator"]), ("reader", ["r-viewer"]))]}


@pytest.mark.parametrize("path, key, status", [
    ("roles", READER, 403), ("roles/r-admin", READER, 403), ("keys", READER, 403), ("keys", LIMITED, 403), ("roles", LIMITED, 403), ("keys", "", 401), ("me", "", 401)])
def test_who_may_not_ask_is_told_nothing(plane, path, key, status):
    got, reply = plane.api.call("GET", f"{AUTH}/{path}", key=key)
    assert got == status and set(reply) == {"error"}


@pytest.mark.parametrize("method, path", [
    ("GET", f"{AUTH}/sessions"), ("DELETE", f"{AUTH}/sessions/ses-x"), ("GET", f"{AUTH}/users"), ("GET", f"{AUTH}/oidc/providers"),
    ("POST", f"{AUTH}/oidc/test"), ("GET", f"{AUTH}/breakglass/credentials"), ("POST", "/auth/breakglass/login"), ("POST", "/auth/logout"),
    ("GET", "/auth/oidc/login?provider=x")])
def test_what_comes_with_the_dashboard_is_not_there(plane, method, path):
    status, reply = plane.api.call(method, path)
    assert status == 404 and reply == "404 page not found\n"
