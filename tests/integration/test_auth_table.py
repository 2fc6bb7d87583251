"""
Every route of signing in, roles, keys and approvals, with input that is good and
input that is not: what it answers, to the member, and by which error.
"""
import http
import itertools

import pytest

from fleet import API_KEY, Api, Fleet
from test_routes import ROUTES

AUTH, APPROVALS = "/api/v1/auth", "/api/v1/approvals"
BOSS, READER, FIRST = f"boss-{API_KEY}", f"reader-{API_KEY}", f"first-{API_KEY}"
ROLE = {"id", "tenant_id", "name", "description", "created_at", "updated_at"}
GRANT = {"role_id", "permission_id", "scope_type"}
HELD = {"permission", "scope_type"}
KEY = {"actor_id", "actor_type", "tenant_id", "role_ids"}
MADE = {"actor_id", "api_key_id", "key_value", "created_at", "message"}
APPROVAL = {"id", "kind", "certificate_id", "job_id", "profile_id", "requested_by", "state", "created_at", "updated_at"}
MAY_BE = {"scope_id", "expires_at", "old_key_until", "decided_by", "decided_at", "decision_note", "metadata", "payload"}
OURS = [r for r in ROUTES if r["pattern"].startswith((AUTH, APPROVALS))]


class World:
    def __init__(self, fleet):
        self.fleet, self.numbers = fleet, itertools.count()
        self.nobody = fleet.apis["apiserver-2"]

    def name(self, what):
        return f"{what}-{next(self.numbers)}"

    def role(self, *permissions):
        role = self.fleet.api.need("POST", f"{AUTH}/roles", {"name": self.name("role")})["id"]
        for p in permissions:
            self.fleet.api.need("POST", f"{AUTH}/roles/{role}/permissions", {"permission": p})
        return role

    def key(self, *roles):
        name = self.name("key")
        self.fleet.api.need("POST", f"{AUTH}/keys", {"name": name})
        for role in roles:
            self.fleet.api.need("POST", f"{AUTH}/keys/{name}/roles", {"role_id": role})
        return name

    def approval(self, state=None):
        """A request of an administrator's, and decided by another one."""
        name = self.name("cert")
        self.fleet.make_certificate(name, certificate_profile_id="prof-gated")
        job = self.fleet.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]
        request = self.fleet.value("SELECT id FROM issuance_approval_requests WHERE job_id = %s", job)
        if state:
            assert self.as_boss("POST", f"{APPROVALS}/{request}/{state}", {})[0] == 200
        return request

    def as_boss(self, method, path, body=None):
        return self.fleet.api.call(method, path, body, key=BOSS)


@pytest.fixture(scope="module")
def world():
    fleet = Fleet("authtable")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(2, keep=True, CERTCTL_API_KEYS_NAMED="", CERTCTL_BOOTSTRAP_TOKEN=FIRST)
        fleet.start_apiserver(keep=True, CERTCTL_API_KEYS_NAMED=f"admin:{API_KEY}:admin,boss:{BOSS}:admin,reader:{READER}")
        fleet.make_basics()
        fleet.query("INSERT INTO certificate_profiles (id, name, requires_approval) VALUES ('prof-gated', 'gated', true)")
        yield World(fleet)
    finally:
        fleet.close()


# What is asked, and of an answer: its members, and those of an object in it.
GOOD = {
    ("GET", f"{AUTH}/info"): [("", None, 200, {"auth_type", "required"}, None)],
    ("GET", f"{AUTH}/bootstrap"): [("", None, 200, {"available"}, None)],
    ("POST", f"{AUTH}/bootstrap"): [(lambda w: w.nobody, {"token": FIRST, "actor_name": "first"}, 201, MADE, None)],
    ("GET", f"{AUTH}/check"): [("", None, 200, {
        "status", "user", "admin", "actor_id", "actor_type", "tenant_id", "roles", "effective_permissions", "admin_via_role"},
        ("effective_permissions", HELD))],
    ("GET", f"{AUTH}/me"): [("", None, 200, {"actor_id", "actor_type", "tenant_id", "admin", "roles", "effective_permissions"},
                             ("effective_permissions", HELD))],
    ("GET", f"{AUTH}/permissions"): [("", None, 200, {"permissions"}, ("permissions", {"id", "name", "namespace"}))],
    ("GET", f"{AUTH}/runtime-config"): [("", None, 200, {"runtime_config"}, None)],
    ("GET", f"{AUTH}/roles"): [("", None, 200, {"roles"}, ("roles", ROLE))],
    ("GET", f"{AUTH}/roles/{{id}}"): [("r-viewer", None, 200, {"role", "permissions"}, ("permissions", GRANT)),
                                      (lambda w: [w.role()], None, 200, {"role", "permissions"}, None)],
    ("POST", f"{AUTH}/roles"): [("", lambda w: {"name": w.name("role"), "description": "lines\nof it", "no_such": 1}, 201, ROLE, None)],
    ("PUT", f"{AUTH}/roles/{{id}}"): [(lambda w: [w.role()], {"description": "x"}, 200, ROLE, None),
                                      (lambda w: [w.role()], lambda w: {"name": w.name("role"), "description": ""}, 200, ROLE, None)],
    ("DELETE", f"{AUTH}/roles/{{id}}"): [(lambda w: [w.role("cert.read")], None, 204, None, None)],
    ("POST", f"{AUTH}/roles/{{id}}/permissions"): [
        (lambda w: [w.role()], body, 204, None, None) for body in (
            {"permission": "cert.read"}, {"permission": "auth.user.read", "scope_type": "global", "scope_id": ""},
            {"permission": "cert.read", "scope_type": "profile", "scope_id": "prof-gated"})],
    ("DELETE", f"{AUTH}/roles/{{id}}/permissions/{{perm}}"): [(lambda w: [w.role("cert.read"), "cert.read"], None, 204, None, None)],
    ("GET", f"{AUTH}/keys"): [("", None, 200, {"keys"}, ("keys", KEY))],
    ("POST", f"{AUTH}/keys"): [("", lambda w: {"name": w.name("key")}, 201, MADE, None),
                               ("", lambda w: {"name": w.name("key"), "expires_at": "2999-01-01T00:00:00Z"}, 201, MADE, None)],
    ("POST", f"{AUTH}/keys/{{id}}/rotate"): [(lambda w: [w.key("r-viewer")], body, 200, MADE, None) for body in (None, {}, {"grace_seconds": 0})],
    ("DELETE", f"{AUTH}/keys/{{id}}"): [(lambda w: [w.key("r-viewer")], None, 204, None, None)],
    ("POST", f"{AUTH}/keys/{{id}}/roles"): [
        (lambda w: [w.key()], {"role_id": "r-viewer"} | more, 204, None, None) for more in (
            {}, {"expires_at": "2999-01-01T00:00:00Z"}, {"expires_at": None}, {"scope_type": "issuer", "scope_id": "iss-local"})],
    ("DELETE", f"{AUTH}/keys/{{id}}/roles/{{role_id}}"): [(lambda w: [w.key("r-viewer"), "r-viewer"], None, 204, None, None)],
    ("POST", f"{AUTH}/demo-residual/cleanup"): [("", body, 200, {"removed"}, None) for body in (None, {})],
    ("GET", APPROVALS): [("", None, 200, {"data", "page", "per_page"}, ("data", APPROVAL))],
    ("GET", f"{APPROVALS}/{{id}}"): [(lambda w, s=state: [w.approval(s)], None, 200, APPROVAL, None) for state in (None, "approve", "reject")],
    ("POST", f"{APPROVALS}/{{id}}/approve"): [(lambda w: [w.approval()], body, 200, {"id", "decided_by", "action"}, None)
                                              for body in (None, {}, {"note": "seen"})],
    ("POST", f"{APPROVALS}/{{id}}/reject"): [(lambda w: [w.approval()], body, 200, {"id", "decided_by", "action"}, None)
                                             for body in (None, {"note": "lines\nof it"})],
}

LONG, NO = "x" * 5000, "no-such"
SCOPES = [{"scope_type": "planet"}, {"scope_type": "issuer"}, {"scope_type": "global", "scope_id": "x"}, {"scope_id": "x"}, {"scope_type": 7},
          {"scope_type": "issuer", "scope_id": "a/b"}, {"scope_type": "profile", "scope_id": {}}]
# Of what a key may do no more than be refused for: who asks, what, and by what error.
BAD = {
    ("POST", f"{AUTH}/bootstrap"): [("", b, 400) for b in ({"token": FIRST}, {"actor_name": "first"}, {"token": FIRST, "actor_name": "A"})] + [
        ("", {"token": FIRST, "actor_name": "first"}, 410), ("", {"token": "wrong", "actor_name": "first"}, 410)],
    ("GET", f"{AUTH}/roles/{{id}}"): [(NO, None, 404)],
    ("POST", f"{AUTH}/roles"): [("", b, 400) for b in ({}, {"name": ""}, {"name": None}, {"name": 7}, {"name": []}, {"name": LONG}, {"name": "a\tb"},
                                                       {"name": "x", "description": LONG}, {"name": "x", "description": 7})] + [
        ("", {"name": "viewer"}, 409)],
    ("PUT", f"{AUTH}/roles/{{id}}"): [(NO, {"name": "x"}, 404), ("r-viewer", {"name": "operator"}, 409), ("r-viewer", {"name": ""}, 400),
                                      ("r-viewer", {"name": {}}, 400), ("r-viewer", {"description": LONG}, 400)],
    ("DELETE", f"{AUTH}/roles/{{id}}"): [(NO, None, 404), ("r-viewer", None, 409), (lambda w: [(r := w.role(), w.key(r))[0]], None, 409)],
    ("POST", f"{AUTH}/roles/{{id}}/permissions"): [
        *(("r-viewer", b, 400) for b in ({}, {"permission": ""}, {"permission": NO}, {"permission": 7}, {"permission": LONG})),
        *(("r-viewer", {"permission": "cert.read"} | more, 400) for more in SCOPES), (NO, {"permission": "cert.read"}, 404),
        ("r-admin", {"permission": "cert.read"}, 409)],
    ("DELETE", f"{AUTH}/roles/{{id}}/permissions/{{perm}}"): [
        ([NO, "cert.read"], None, 404), (["r-viewer", NO], None, 404), (["r-viewer", "cert.edit"], None, 404),
        (["r-viewer", "cert.read?scope_type=planet"], None, 400), (["r-viewer", "cert.read?scope_type=issuer"], None, 400),
        (["r-viewer", "cert.read?scope_type=issuer&scope_id=iss-local"], None, 404), (["r-admin", "cert.read"], None, 409)],
    ("POST", f"{AUTH}/keys"): [("", b, 400) for b in ({}, {"name": 7}, {"name": "A"}, {"name": LONG}, {"name": "abc", "expires_at": 7},
                                                      {"name": "abc", "expires_at": "2020-01-01T00:00:00Z"}, {"name": "abc", "expires_at": "soon"})] + [
        ("", {"name": n}, 409) for n in ("admin", "reader", "actor-demo-anon", "agent-bootstrap", "legacy-key-9")],
    ("POST", f"{AUTH}/keys/{{id}}/rotate"): [(NO, {}, 404), ("reader", {}, 409)] + [
        (lambda w: [w.key()], {"grace_seconds": g}, 400) for g in (-1, 1.5, "1", 2592001, 1e300, [], True)],
    ("DELETE", f"{AUTH}/keys/{{id}}"): [(NO, None, 404), ("admin", None, 409)],
    ("POST", f"{AUTH}/keys/{{id}}/roles"): [
        *(("reader", b, 400) for b in ({}, {"role_id": ""}, {"role_id": 7}, {"role_id": LONG}, {"role_id": "r-viewer", "expires_at": 7},
                                       {"role_id": "r-viewer", "expires_at": "2020-01-01T00:00:00Z"}, {"role_id": "r-viewer", "expires_at": "soon"})),
        *(("reader", {"role_id": "r-viewer"} | more, 400) for more in SCOPES), ("reader", {"role_id": NO}, 400),
        (NO, {"role_id": "r-viewer"}, 404), ("actor-demo-anon", {"role_id": "r-viewer"}, 409)],
    ("DELETE", f"{AUTH}/keys/{{id}}/roles/{{role_id}}"): [
        ([NO, "r-viewer"], None, 404), (["reader", NO], None, 404), (["reader", "r-viewer?scope_type=planet"], None, 400),
        (["actor-demo-anon", "r-admin"], None, 409)],
    ("GET", f"{APPROVALS}/{{id}}"): [(NO, None, 404)],
    ("POST", f"{APPROVALS}/{{id}}/approve"): [(NO, {}, 404), (lambda w: [w.approval("approve")], {}, 409), (lambda w: [w.approval("reject")], {}, 409)] + [
        (lambda w: [w.approval()], {"note": n}, 400) for n in (7, [], LONG)],
    ("POST", f"{APPROVALS}/{{id}}/reject"): [(NO, {}, 404), (lambda w: [w.approval("approve")], {}, 409), (lambda w: [w.approval()], {"note": {}}, 400)],
}


def asked(world, route, path, body, key=BOSS):
    """(status, answer): a path is what stands for the parameters, or what follows."""
    api, pattern = world.fleet.api, route["pattern"]
    body = body(world) if callable(body) else body
    path = path(world) if callable(path) else path
    if isinstance(path, Api):
        return path.call(route["method"], pattern, body, key="")
    if "{" not in pattern:
        return api.call(route["method"], pattern + path, body, key=key)
    for value in [path] if isinstance(path, str) else path:
        start, rest = pattern.split("{", 1)
        pattern = start + value + rest.split("}", 1)[1]
    return api.call(route["method"], pattern, body, key=key)


def check_error(route, status, reply):
    shape = {"error", "message"} | ({"request_id"} if route["renderer"] == "api" else set())
    assert set(reply) == shape and reply["error"] == http.HTTPStatus(status).phrase and reply["message"], (route, reply)
    for inside in ("SELECT", "sqlstate", "pg_", ".c:", "constraint"):
        assert inside not in reply["message"], (route, reply)


def name_of(route):
    return f"{route['method']} {route['pattern']}"


def test_every_route_is_here():
    keys = {(r["method"], r["pattern"]) for r in OURS}
    assert set(GOOD) == keys and set(BAD) <= keys
    # Only what reads nothing of a request cannot be asked badly.
    assert keys - set(BAD) == {("GET", f"{AUTH}/{n}") for n in ("info", "bootstrap", "check", "me", "permissions", "runtime-config", "roles", "keys")} | {
        ("POST", f"{AUTH}/demo-residual/cleanup"), ("GET", APPROVALS)}


@pytest.mark.parametrize("route", OURS, ids=name_of)
def test_good(world, route):
    for path, body, want, members, inner in GOOD[route["method"], route["pattern"]]:
        world.approval()
        status, reply = asked(world, route, path, body)
        assert status == want, (path, body, reply)
        if members is None:
            assert reply is None
            continue
        assert members <= set(reply) <= members | MAY_BE, reply
        if inner:
            name, of = inner
            assert reply[name] and all(of <= set(one) <= of | MAY_BE for one in reply[name]), reply[name]


@pytest.mark.parametrize("route", [r for r in OURS if (r["method"], r["pattern"]) in BAD], ids=name_of)
def test_bad(world, route):
    for path, body, want in BAD[route["method"], route["pattern"]]:
        status, reply = asked(world, route, path, body)
        assert status == want, (path, body, reply)
        check_error(route, status, reply)


@pytest.mark.parametrize("route", OURS, ids=name_of)
def test_who_may_not_and_what_is_no_request(world, route):
    names = [NO] * route["pattern"].count("{")
    if route["auth"] != "public":
        for key in ("", "no-such-key-0123456789"):
            status, reply = asked(world, route, names or "", None, key=key)
            assert status == 401 and set(reply) == {"error"}, reply
    if route["permission"] and route["permission"] != "approval.read":
        status, reply = asked(world, route, names or "", None, key=READER)
        assert (status, reply) == (403, {"error": "Insufficient permissions"})
    if names:
        for bad in ("a%20b", "x" * 129, "%C3%BC"):
            status, reply = asked(world, route, [bad, *names[1:]], None)
            assert status == 400, (bad, reply)
            check_error(route, status, reply)
    if route["max_body"] and not route["pattern"].endswith("cleanup") and route["method"] != "DELETE":
        for raw in ("{", "[]", "7", '"x"', "null", '{"name": "\\u0000"}', "{}{}", "\xff", '{"a": 1, "a":' + "[" * 2000):
            status, reply = world.fleet.api.call(route["method"], "/".join(NO if p.startswith("{") else p for p in route["pattern"].split("/")), raw=raw, key=BOSS)
            assert status == 400, (raw, reply)
            check_error(route, status, reply)
    status, reply = asked(world, route | {"method": "PATCH"}, names or "", None)
    assert (status, reply) == (405, "Method Not Allowed\n")


def test_an_approval_is_a_second_persons(world):
    request = world.approval()
    for verb in ("approve", "reject"):
        status, reply = world.fleet.api.post(f"{APPROVALS}/{request}/{verb}", {})
        assert status == 403 and "yourself" in reply["message"]
    assert world.as_boss("POST", f"{APPROVALS}/{request}/approve", {}) == (200, {"id": request, "decided_by": "boss", "action": "approved"})


def test_the_list_of_approvals_is_filtered(world):
    request = world.approval("reject")
    one = world.fleet.api.need("GET", f"{APPROVALS}/{request}")
    for query, n in ((f"certificate_id={one['certificate_id']}", 1), (f"certificate_id={one['certificate_id']}&state=pending", 0),
                     (f"certificate_id={one['certificate_id']}&state=rejected&requested_by=admin", 1), ("state=no-such", 0), ("requested_by=nobody", 0)):
        assert len(world.fleet.api.need("GET", f"{APPROVALS}?{query}")["data"]) == n, query
