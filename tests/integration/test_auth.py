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


def test_how_signing_in_is_configured(plane):
    """Without any secret, in the contract's names."""
    config = plane.api.need("GET", f"{AUTH}/runtime-config")
    assert set(config) == {"runtime_config"} and set(config["runtime_config"]) == {f"CERTCTL_{name}" for name in (
        "AUTH_TYPE", "SESSION_SAMESITE", "OIDC_BCL_MAX_AGE_SECONDS", "OIDC_PRELOGIN_REQUIRE_UA", "OIDC_PRELOGIN_REQUIRE_IP", "BREAKGLASS_ENABLED",
        "BREAKGLASS_LOCKOUT_THRESHOLD", "DEMO_MODE_ACK", "TRUSTED_PROXIES_COUNT", "BOOTSTRAP_TOKEN_SET", "BOOTSTRAP_OIDC_PROVIDER_ID",
        "BOOTSTRAP_ADMIN_GROUPS_COUNT")}
    assert config["runtime_config"].items() >= {
        "CERTCTL_AUTH_TYPE": "api-key", "CERTCTL_BOOTSTRAP_TOKEN_SET": "false", "CERTCTL_TRUSTED_PROXIES_COUNT": "0"}.items()
    plane.start_apiserver(2, CERTCTL_BOOTSTRAP_TOKEN=f"first-{API_KEY}", CERTCTL_TRUSTED_PROXIES="10.0.0.0/8,192.0.2.1")
    other = plane.apis["apiserver-2"].need("GET", f"{AUTH}/runtime-config")["runtime_config"]
    assert (other["CERTCTL_BOOTSTRAP_TOKEN_SET"], other["CERTCTL_TRUSTED_PROXIES_COUNT"]) == ("true", "2")
    assert API_KEY not in str(other)


def test_what_a_demo_left_goes(plane):
    for n, kind in enumerate(("Anonymous", "APIKey")):
        plane.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id) VALUES (%s, 'actor-demo-anon', %s, 'r-admin', 't-default')",
                    f"demo-{n}", kind)
    assert api(plane, READER).call("POST", f"{AUTH}/demo-residual/cleanup")[0] == 403
    assert plane.api.call("POST", f"{AUTH}/demo-residual/cleanup") == (200, {"removed": 2})
    assert plane.api.call("POST", f"{AUTH}/demo-residual/cleanup") == (200, {"removed": 0})
    assert plane.query("SELECT actor, details FROM audit_events WHERE action = 'auth.demo_residual_removed'") == [
        ("admin", {"role_ids": ["r-admin", "r-admin"]})]
    assert plane.value("SELECT count(*) FROM actor_roles WHERE actor_id = 'limited'") == 3


@pytest.mark.parametrize("path, brief", [
    ("auth/roles/r-none", True), ("auth/nothing", None), ("admin/scheduler/run-now/none-such", True), ("teams/none-such", False), ("certificates/none-such", False)])
def test_which_errors_name_the_request(plane, path, brief):
    """The contract's of roles, keys and administration do not; the header does."""
    status, reply = plane.api.call("POST" if "run-now" in path else "GET", f"/api/v1/{path}")
    assert status == 404
    assert reply == "404 page not found\n" if brief is None else set(reply) == {"error", "message"} | (set() if brief else {"request_id"})
