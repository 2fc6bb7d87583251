"""
Every route is asked with every kind of principal.  What must come of it is
derived from the table that --print-routes prints and from the roles' grants.
"""
import functools
import hashlib
import json
import re
import subprocess

import pytest

from fleet import API_KEY, BOOTSTRAP, BUILD, ROOT, Api, Fleet, clean_env
from openapi import Client

ROUTES = json.loads(subprocess.run([BUILD / "apiserver" / "certctl-apiserver", "--print-routes"], text=True, capture_output=True,
                                   timeout=20, check=True, env=clean_env()).stdout)
ROLES = ("r-admin", "r-operator", "r-viewer", "r-agent", "r-mcp", "r-cli", "r-auditor")
OWN, OTHER, ISSUER = "ag-own", "ag-other", "iss-scoped"
LISTED = ("https://dash.example.test", "http://127.0.0.1:3000")
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
        fleet.start_apiserver(keep=True, CERTCTL_DIGEST_ENABLED="true", CERTCTL_CORS_ORIGINS=",".join(LISTED))
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
    also = route["also"] or permission
    if who in ("own agent", "other agent"):
        own = route["own_keys"] and (auth != "agent" or object_id == {"own agent": OWN, "other agent": OTHER}[who])
        return 0 if own and {permission, also} <= grants["r-agent"] else 403
    if who == "scoped":
        return 0 if route["scope"] == "issuer" and object_id == ISSUER else 403
    return 0 if {permission, also} <= grants.get(who, set()) else 403


def ids_of(route):
    """What {id} is tried with; nothing that a permitted call would harm."""
    if route["auth"] == "agent":
        return [OWN]
    return [ISSUER, "none-such"] if "{id}" in route["pattern"] else ["none-such"]


def path_of(route, object_id):
    parts = [object_id if p == "{id}" else "5a" if ":ocsp" in p else "AQ.AQ" if ":certid" in p else "none-such" if p.startswith("{") else p for p in route["pattern"].split("/")]
    return "/".join(parts)


def status_of(api, route, object_id="none-such"):
    return api.call(route["method"], path_of(route, object_id), None if route["method"] == "GET" else {})[0]


def test_the_table_is_whole():
    assert len(ROUTES) > 60
    assert len({(r["method"], r["pattern"]) for r in ROUTES}) == len(ROUTES)
    for r in ROUTES:
        assert bool(r["permission"]) == (r["auth"] not in ("public", "signed-in")), r
        assert r["auth"] != "agent" or "{id}" in r["pattern"], r
        assert r["scope"] == "global" or "{id}" in r["pattern"], r
        # Of whoever is nobody yet, only the first administrator's body is read.
        is_small = (r["method"], r["pattern"]) == ("POST", "/api/v1/auth/bootstrap")
        is_ocsp = r["pattern"] == "/.well-known/pki/ocsp/{issuer}"
        is_acme = r["pattern"].startswith("/acme/")  # signed messages: 64 KiB at most
        assert (r["max_body"] == 0) == (not is_small and not is_ocsp and not is_acme and r["auth"] == "public" or r["method"] == "GET"), r
        assert (r["max_body"] == 65536) == (is_acme and r["method"] == "POST"), r
        assert r["deadline_ms"] > 0, r
        assert (r["max_body"] == 4096) == is_small, r
        # The contract's errors of these have no request_id.
        is_brief = r["pattern"].startswith(("/api/v1/auth/", "/api/v1/admin/", "/.well-known/", "/api/v1/health-checks",
                                               "/api/v1/network-scan", "/api/v1/discover")) or r["pattern"].endswith("/discoveries")
        assert r["renderer"] == ("register" if r["auth"] == "register" else "brief" if is_brief else "acme" if is_acme else "api"), r
        # Whoever needs a key may be asked about from another origin, and all verbs of a path agree.
        assert r["preflight"] == (r["auth"] != "public"), r
        assert {o["preflight"] for o in ROUTES if o["pattern"] == r["pattern"]} == {r["preflight"]}, r
    # What nobody needs a key for, and no more than this.
    assert {r["pattern"] for r in ROUTES if r["auth"] == "public" and not r["pattern"].startswith("/acme/")} == {
        "/health", "/ready", "/api/v1/version", "/api/v1/openapi.json", "/api/v1/auth/info", "/api/v1/auth/bootstrap",
        "/.well-known/pki/crl/{issuer}", "/.well-known/pki/crl/{issuer}/{key}",
        "/.well-known/pki/ocsp/{issuer}", "/.well-known/pki/ocsp/{issuer}/{asked:ocsp...}"}
    assert {r["pattern"] for r in ROUTES if r["rate"] == "unrated"} == {"/health", "/ready"}


@pytest.mark.parametrize("who", PRINCIPALS)
def test_every_route(stack, grants, who):
    api = Api(stack.api_port, stack.dir / "tls" / "api.pem", key_of(who))
    wrong = []
    for route in ROUTES:
        for object_id in ids_of(route):
            want = expected(route, who, object_id, grants)
            status = status_of(api, route, object_id)
            passed = 200 <= status < 500 and status not in (401, 403, 405, 429)
            if status != want and not (want == 0 and passed):
                wrong.append((route["method"], route["pattern"], object_id, want, status))
    assert not wrong


def test_bodies(stack):
    """What reads none lets a small one pass, as libraries send "{}" with anything; a larger one is refused by its length or on the way."""
    api = Api(stack.api_port, stack.dir / "tls" / "api.pem")
    for route in ROUTES:
        for raw in ("{}", json.dumps({"name": "x" * 5000})):
            for headers in ({}, {"Transfer-Encoding": "chunked"}):
                sent = f"{len(raw):x}\r\n{raw}\r\n0\r\n\r\n" if headers else raw
                status = api.call(route["method"], path_of(route, "none-such"), raw=sent, headers=headers)[0]
                assert (status == 413) == (route["max_body"] == 0 and len(raw) > 4096), (route, headers, status)


def test_paths_that_are_none(stack):
    """Below what wants keys a stranger is not told which paths and methods there are, by whatever method but OPTIONS."""
    for path, method, want in (("/api/v1/no/such", "GET", 404), ("/api/v1/teams/", "GET", 404), ("/api/v1/teams", "DELETE", 405),
                               ("/api/v1/teams", "HEAD", 405), ("/api/v1/auth/no", "POST", 404), ("/api/v1/admin/no", "GET", 404)):
        for key, status in ((None, want), ("", 401), ("no-such-key", 401)):
            assert (path, stack.api.call(method, path, key=key)[0]) == (path, status)
    for path, method, want in (("/api/v1", "GET", 404), ("/no/such", "GET", 404), ("/health", "POST", 405), ("/api/v1/version", "DELETE", 405),
                               ("/.well-known/pki/no", "GET", 404)):
        for key in (None, "", "no-such-key"):
            assert (path, stack.api.call(method, path, key=key)[0]) == (path, want)


def test_preflight(stack):
    """Answered without a key, or as any method that the path does not have."""
    api = Api(stack.api_port, stack.dir / "tls" / "api.pem", "")
    for route in ROUTES:
        path = path_of(route, "none-such")
        for key in ("", "no-such-key"):
            assert api.call("OPTIONS", path, key=key)[0] == (204 if route["preflight"] else 405), route
    for path, want in (("/api/v1/no/such", 204), ("/api/v1/", 204), ("/api/v1", 404), ("/api/v10/x", 404), ("/no-such", 404), ("/", 404)):
        assert (path, api.call("OPTIONS", path)[0]) == (path, want)


def test_head(stack):
    """Of what signing in is about GET's head without its body, as HEAD of a web server; of anything else none."""
    own = {"Date", "X-Request-ID"}
    assert {r["pattern"] for r in ROUTES if r["head"]} == \
        {r["pattern"] for r in ROUTES if r["method"] == "GET" and ("/v1/auth/" in r["pattern"] or r["pattern"].startswith("/acme/"))}
    for caller in (Client(stack.api), Client(stack.api, "")):
        for route in (r for r in ROUTES if r["method"] == "GET"):
            path = path_of(route, "none-such")
            got, (status, headers, body) = caller.call("GET", path), caller.call("HEAD", path)
            none = 405 if caller.key or route["auth"] == "public" else 401
            assert body == b"" and status == (got[0] if route["head"] else none), route
            if route["head"]:
                assert {i for i in headers.items() if i[0] not in own} == {i for i in got[1].items() if i[0] not in own}, route
            elif none == 405:
                assert "HEAD" not in headers["Allow"] and headers["Content-Type"] == "application/json", route
        caller.close()


def shared(caller, method, path, origin):
    """The headers that a page of that origin gets, beside the status."""
    status, headers, _ = caller.call(method, path, headers={"Origin": origin} if origin else {})
    return status, {n: v for n, v in headers.items() if n.startswith("Access-Control-") or n == "Vary"}


def test_origins(stack):
    """Pages of the listed origins may ask what a key is needed for, refusals too; any page what is told to everybody."""
    anybody = {"/health", "/ready", "/api/v1/version", "/api/v1/openapi.json", "/api/v1/auth/info"}
    listed = {"Vary": "Origin", "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, PATCH, OPTIONS",
              "Access-Control-Allow-Headers": "Content-Type, Authorization, X-Request-ID", "Access-Control-Max-Age": "86400"}
    caller = Client(stack.api, "")
    for route in ROUTES:
        for method in (route["method"], "OPTIONS"):
            path = path_of(route, "none-such")
            for origin in (*LISTED, None, "https://other.example.test", "https://dash.example.test:8443", "HTTPS://DASH.EXAMPLE.TEST", "null"):
                want = {"Access-Control-Allow-Origin": "*"} if route["pattern"] in anybody else \
                    listed | {"Access-Control-Allow-Origin": origin} if route["preflight"] and origin in LISTED else {}
                assert shared(caller, method, path, origin)[1] == want, (route, method, origin)
    assert shared(caller, "GET", "/api/v1/no/such", LISTED[0]) == (401, listed | {"Access-Control-Allow-Origin": LISTED[0]})
    caller.key = API_KEY
    assert shared(caller, "GET", "/api/v1/jobs", LISTED[1]) == (200, listed | {"Access-Control-Allow-Origin": LISTED[1]})
    caller.close()


@pytest.mark.parametrize("cookie,authorization,is_session", [
    ("__Host-certctl_session=v1.a.b.c", None, True),
    ("a=b; __Host-certctl_session=", None, True),
    ("a=b;__Host-certctl_session=x; c=d", "Bearer no-such-key", True),
    ("__Host-certctl_session=x", "Basic x", True),
    ("certctl_session=x; x__Host-certctl_session=y; __Host-certctl_session2=z", None, False),
    ("", None, False)])
def test_a_session_that_is_none(stack, cookie, authorization, is_session):
    """A dashboard tells its user by the cause that their session is over."""
    caller = Client(stack.api, "")
    headers = {"Cookie": cookie} | ({"Authorization": authorization} if authorization else {})
    status, got, body = caller.call("GET", "/api/v1/jobs", headers=headers)
    caller.close()
    assert (status, got["Content-Type"]) == (401, "text/plain; charset=utf-8")
    assert (body == b'{"error":"Authentication required"}\n') == is_session
    assert got["WWW-Authenticate"] == 'Bearer realm="certctl"' + (', error="invalid_token", error_description="invalid_token"' if is_session else "")


def test_a_key_beside_a_dead_session(stack):
    caller = Client(stack.api)
    assert caller.call("GET", "/api/v1/jobs", headers={"Cookie": "__Host-certctl_session=x"})[0] == 200
    caller.close()


@pytest.fixture(scope="module")
def crowd(stack):
    """An apiserver whose callers have a request a second each."""
    stack.start_apiserver(2, keep=True, wait=False, CERTCTL_RATE_LIMIT_ENABLED="true", CERTCTL_RATE_LIMIT_RPS="1", CERTCTL_RATE_LIMIT_BURST="1",
                          CERTCTL_API_KEYS_NAMED=f"admin:{API_KEY}:admin")
    api = stack.apis["apiserver-2"]
    stack.wait_ready(api)
    return api


def asked(once):
    """What up to eight requests got, until one was refused."""
    got = []
    while len(got) < 8 and 429 not in got:
        got.append(once())
    return got


def test_rates(crowd):
    """Past the rate of its caller a rated route is 429, an unrated one never."""
    wrong = []
    for route in ROUTES:
        got = asked(functools.partial(status_of, crowd, route))
        if (429 in got) != (route["rate"] == "rated"):
            wrong.append((route["method"], route["pattern"], got))
    assert not wrong
    assert 429 in asked(lambda: crowd.call("OPTIONS", "/api/v1/teams", key="")[0])
    assert 429 in asked(lambda: crowd.call("GET", "/no/such/path", key="")[0])


def test_every_permission_of_the_table_is_known(stack):
    known = {name for name, in stack.query("SELECT name FROM permissions")}
    assert {r[p] for r in ROUTES for p in ("permission", "also") if r[p]} <= known


def test_the_page_of_roles_is_the_databases(stack, grants):
    """As the migrated database has it, which the page's tool never asked."""
    page = (ROOT / "docs" / "operator" / "keys-and-roles.md").read_text()
    head, _, *rows = [[c.strip(" `") for c in line.split("|")[1:-1]] for line in
                      re.search(r"^\| Permission .*?(?=\n\n)", page, re.M | re.S).group().splitlines()]
    ids = {name: role for role, name in stack.query("SELECT id, name FROM roles WHERE id <> 'r-scoped'")}
    held = {role: set() for role in ids.values()}
    for permission, *cells in rows:
        for name, cell in zip(head[1:], cells, strict=True):
            if cell == "yes":
                held[ids[name]].add(permission)
    assert held == grants


def test_the_page_of_routes_is_current():
    done = subprocess.run([ROOT / "tools" / "apidoc.py", "--check", BUILD], cwd=ROOT, text=True, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
