"""
Every route is asked with every kind of principal.  What must come of it is
derived from the table that --print-routes prints and from the roles' grants.
"""
import hashlib
import json
import subprocess

import pytest

from fleet import API_KEY, BOOTSTRAP, BUILD, ROOT, Api, Fleet, clean_env

ROUTES = json.loads(subprocess.run([BUILD / "apiserver" / "certctl-apiserver", "--print-routes"], text=True, capture_output=True,
                                   timeout=20, check=True, env=clean_env()).stdout)
ROLES = ("r-admin", "r-operator", "r-viewer", "r-agent", "r-mcp", "r-cli", "r-auditor")
OWN, OTHER, ISSUER = "ag-own", "ag-other", "iss-scoped"
PRINCIPALS = ("none", "wrong", "bootstrap", "admin key", "own agent", "other agent", "scoped", "no role", *ROLES)


def key_of(who):
    return {"none": "", "bootstrap": BOOTSTRAP, "admin key": API_KEY}.get(who, f"key-of-{who.replace(' ', '-')}-0123456789abcdef")


def hash_of(who):
    return hashlib.sha256(key_of(who).encode()).hexdigest()


@pytest.fixture(scope="module")
def stack():
    fleet = Fleet("routes")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True)
        for agent, who in ((OWN, "own agent"), (OTHER, "other agent")):
            fleet.query("INSERT INTO agents (id, name, hostname, api_key_hash) VALUES (%s, %s, 'h.example.test', %s)",
                        agent, agent, hash_of(who))
        fleet.query("INSERT INTO roles (id, tenant_id, name, description) VALUES ('r-scoped', 't-default', 'scoped', 'x')")
        fleet.query("INSERT INTO role_permissions (role_id, permission_id, scope_type, scope_id)"
                    " SELECT 'r-scoped', id, 'issuer', %s FROM permissions", ISSUER)
        for who, role in (*((r, r) for r in ROLES), ("scoped", "r-scoped"), ("no role", None)):
            name = who.replace(" ", "-")
            fleet.query("INSERT INTO api_keys (id, name, key_hash, created_by) VALUES (%s, %s, %s, 'test')", name, name, hash_of(who))
            if role:
                fleet.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id)"
                            " VALUES (%s, %s, 'APIKey', %s, 't-default')", f"ar-{name}", name, role)
        yield fleet
    finally:
        fleet.close()


@pytest.fixture(scope="module")
def grants(stack):
    held = {}
    for role, permission in stack.query("SELECT role_id, p.name FROM role_permissions JOIN permissions p ON p.id = permission_id"
                                        " WHERE scope_type = 'global'"):
        held.setdefault(role, set()).add(permission)
    assert set(held) == set(ROLES) and "cert.read" in held["r-viewer"] and "cert.read" in held["r-agent"]
    return held


def expected(route, who, object_id, grants):
    """401, 403, or 0 where the gate lets it pass."""
    auth, permission = route["auth"], route["permission"]
    if auth == "public":
        return 0
    if who in ("none", "wrong"):
        return 401
    if who == "bootstrap":
        return 0 if auth == "register" else 401
    if auth == "signed-in" or who == "admin key":
        return 0
    if who in ("own agent", "other agent"):
        own = route["own_keys"] and (auth != "agent" or object_id == {"own agent": OWN, "other agent": OTHER}[who])
        return 0 if own and permission in grants["r-agent"] else 403
    if who == "scoped":
        return 0 if route["scope"] == "issuer" and object_id == ISSUER else 403
    return 0 if permission in grants.get(who, ()) else 403


def ids_of(route):
    """What {id} is tried with; nothing that a permitted call would harm."""
    if route["auth"] == "agent":
        return [OWN]
    return [ISSUER, "none-such"] if "{id}" in route["pattern"] else ["none-such"]


def path_of(route, object_id):
    parts = [object_id if p == "{id}" else "none-such" if p.startswith("{") else p for p in route["pattern"].split("/")]
    return "/".join(parts)


def test_the_table_is_whole():
    assert len(ROUTES) > 60
    assert len({(r["method"], r["pattern"]) for r in ROUTES}) == len(ROUTES)
    for r in ROUTES:
        assert bool(r["permission"]) == (r["auth"] not in ("public", "signed-in")), r
        assert r["auth"] != "agent" or "{id}" in r["pattern"], r
        assert r["scope"] == "global" or "{id}" in r["pattern"], r
        assert (r["max_body"] == 0) == (r["auth"] == "public") and r["deadline_ms"] > 0, r
    # What nobody needs a key for, and no more than this.
    assert {r["pattern"] for r in ROUTES if r["auth"] == "public"} == {
        "/health", "/ready", "/api/v1/version", "/api/v1/auth/info", "/.well-known/pki/crl/{issuer}"}
    assert {r["pattern"] for r in ROUTES if r["rate"] == "unrated"} == {"/health", "/ready"}


@pytest.mark.parametrize("who", PRINCIPALS)
def test_every_route(stack, grants, who):
    api = Api(stack.api_port, stack.dir / "tls" / "api.pem", key_of(who))
    wrong = []
    for route in ROUTES:
        for object_id in ids_of(route):
            want = expected(route, who, object_id, grants)
            body = None if route["method"] == "GET" else {}
            status = api.call(route["method"], path_of(route, object_id), body)[0]
            passed = 200 <= status < 500 and status not in (401, 403, 405, 429)
            if status != want and not (want == 0 and passed):
                wrong.append((route["method"], route["pattern"], object_id, want, status))
    assert not wrong


def test_every_permission_of_the_table_is_known(stack):
    known = {name for name, in stack.query("SELECT name FROM permissions")}
    assert {r["permission"] for r in ROUTES if r["permission"]} <= known


def test_the_page_of_routes_is_current():
    done = subprocess.run([ROOT / "tools" / "apidoc.py", "--check", BUILD], cwd=ROOT, text=True, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
