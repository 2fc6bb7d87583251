"""
The description of the API says what the process does: the route table, the file
and the handlers cannot disagree.
"""
import json
import re

import jsonschema
import pytest

from fleet import ROOT
from openapi import Client, body_schema, fault_of, operations, parameters, target
from test_routes import ROUTES

PATH = "/api/v1/openapi.json"
VERBS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
# Said in other words than the member's name.
OTHER_WORDS = {"reason": "revocation reason", "fingerprint": "fingerprint", "expected_fingerprint": "fingerprint"}
# What programs said is cut, not refused.
CUT = {"error"}
# What there is of each noun; elsewhere nothing need be.
IDS = {"/api/v1/issuers/": "iss-local", "/api/v1/teams/": "t-test", "/api/v1/owners/": "o-test", "/api/v1/targets/": "tgt-described",
       "/api/v1/profiles/": "prof-described", "/api/v1/network-scan-targets/": "nst-described", "/api/v1/policies/": "pr-max-certificate-lifetime",
       "/api/v1/health-checks/": "hc-described"}
OWN_SAMPLES = {
    "/api/v1/policies": {"type": "CertificateLifetime", "config": {"max_days": 90}},
    "/api/v1/targets": {"type": "NGINX", "config": {"cert_path": "/c", "key_path": "/k"}},
    "/api/v1/certificates/bulk-reassign": {"certificate_ids": ["a"]}, "/api/v1/certificates/bulk-renew": {"certificate_ids": ["a"]},
    "/api/v1/certificates/bulk-revoke": {"certificate_ids": ["a"]}, "/api/v1/est/certificates/bulk-revoke": {"certificate_ids": ["a"]},
}
SAMPLES = {"common_name": "a.example.test", "type": "GenericCA", "email": "a@example.test", "sans": ["a.example.test"],
           "hostname": "h.example.test", "ip_address": "192.0.2.1", "config": {}, "alert_channels": {}, "alert_severity_map": {},
           "api_key_hash": "a" * 64, "served": "none", "digest": "none", "targets": [], "csr_pem": "x", "reason": "superseded",
           "fingerprint_sha256": "a" * 64, "expires_at": "2099-01-01T00:00:00Z", "scope_type": "global", "scope_id": "",
           "permission": "cert.read", "name": "some-name", "cidrs": ["192.0.2.0/24"], "endpoint": "192.0.2.1:443",
           "url": "http://192.0.2.1/scep", "actor_name": "some-name", "token": "t", "status": "Failed"}


@pytest.fixture(scope="module")
def document(api):
    return api.need("GET", PATH)


def plain(pattern):
    return re.sub(r"\{(\w+)[^}]*\}", r"{\1}", pattern)


def test_the_table_and_the_file(document):
    """Each route is described, and no other; who may ask is the table's."""
    described = {(method, path): o for method, path, o in operations(document)}
    assert set(described) == {(r["method"], plain(r["pattern"])) for r in ROUTES} | {("HEAD", plain(r["pattern"])) for r in ROUTES if r["head"]}
    for r in ROUTES:
        o = described[r["method"], plain(r["pattern"])]
        assert o["x-access"] == r["auth"] and o["x-rate-class"] == r["rate"]
        assert o.get("x-permission", "") == r["permission"] and o.get("x-also", "") == r["also"]
        assert o.get("x-audit", "").split() == r["audit"]
        assert o["security"] == ([] if r["auth"] == "public" else [{"key": []}])
        assert set(parameters(o, "path")) == set(re.findall(r"\{(\w+)", r["pattern"]))
        assert "requestBody" not in o or r["max_body"] > 0
        assert ("429" in o["responses"]) == (r["rate"] == "rated") and "default" in o["responses"]
    ids = [o["operationId"] for o in described.values()]
    assert len(set(ids)) == len(ids)


def test_it_is_openapi(document):
    """By the meta-schema of the OpenAPI Initiative, and each schema in it by that of JSON Schema."""
    for _, _, o in operations(document):
        for schema in [p["schema"] for p in o["parameters"]] + ([body_schema(o)] if body_schema(o) else []):
            jsonschema.Draft202012Validator.check_schema(schema)
        for response in o["responses"].values():
            for content in response.get("content", {}).values():
                jsonschema.Draft202012Validator.check_schema(content["schema"])
    found = sorted(ROOT.glob("build-venv/lib/python3*/site-packages/openapi_spec_validator/resources/schemas/v3.1/schema.json"))
    if not found:
        pytest.skip("pip could not install the meta-schema; tools/venv.sh says why")
    judge = jsonschema.Draft202012Validator(json.loads(found[0].read_text()))
    judge.validate(document)
    assert not judge.is_valid(document | {"paths": {"no-slash": {}}}) and not judge.is_valid({"openapi": "3.1.0"})


def test_it_is_made_once(api, document):
    """For everybody the same, with a tag; nobody has to sign in."""
    client = Client(api, key="")
    status, headers, body = client.call("GET", PATH)
    assert status == 200 and json.loads(body) == document and re.fullmatch(r'"[0-9a-f]{64}"', headers["ETag"])
    client.connection.request("GET", PATH, headers={"If-None-Match": headers["ETag"]})
    response = client.connection.getresponse()
    assert response.status == 304 and response.read() == b"" and response.headers["ETag"] == headers["ETag"]
    client.close()


def sample(name, schema):
    """What the member may be."""
    if name in SAMPLES:
        return SAMPLES[name]
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    if "enum" in schema:
        return schema["enum"][0]
    return {"string": "some-name", "integer": schema.get("minimum", 1), "boolean": True, "array": [], "object": {}}[kind]


def wrongs(name, schema):
    """What it may not be: other types, and what lies beyond its limits."""
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    others = {"string": "x", "integer": 7, "boolean": True, "array": [[]], "object": {"a": 1}}
    yield from (value for kind, value in others.items() if kind not in kinds)
    if 0 < schema.get("maxLength", 0) <= 4000 and name not in CUT:
        yield "a" * (schema["maxLength"] + 1)
    if "maximum" in schema:
        yield schema["maximum"] + 1
        yield 1.5
    if "enum" in schema:
        yield "no-such-word"
    if schema["type"] == "array" and schema["maxItems"] < 10000:
        yield ["a"] * (schema["maxItems"] + 1)


def cases(document):
    for method, path, o in operations(document):
        schema = body_schema(o)
        for name, member in (schema["properties"] if schema else {}).items():
            yield method, path, schema, name, member


@pytest.fixture(scope="module")
def nouns(plane):
    """One of each noun whose update looks at what is stored first."""
    agent = plane.api.need("POST", "/api/v1/agents", {"name": "described", "hostname": "h.example.test"})
    plane.api.need("POST", "/api/v1/targets", {"id": "tgt-described", "name": "described", "agent_id": agent["id"]}
                    | OWN_SAMPLES["/api/v1/targets"])
    plane.api.need("POST", "/api/v1/profiles", {"id": "prof-described", "name": "described"})
    plane.query("INSERT INTO network_scan_targets (id, name, cidrs) VALUES ('nst-described', 'described', '{192.0.2.1}')")
    plane.query("INSERT INTO endpoint_health_checks (id, endpoint, enabled) VALUES ('hc-described', '192.0.2.1:443', false)")
    return IDS | {"/api/v1/agents/": agent["id"]}


def params_of(path, ids):
    known = next((i for prefix, i in ids.items() if path.startswith(prefix)), "none-such")
    return {n: "1" if n == "n" else "iss-local" if n == "issuer" else known for n in re.findall(r"\{(\w+)\}", path)}


def test_what_the_file_refuses_is_refused(api, nouns, document):
    """Each member that a body may have, as it must not be: the handler knows it, its type and its limits."""
    client, wrong, seen = Client(api), [], 0
    for method, path, schema, name, member in cases(document):
        good = {n: sample(n, s) for n, s in schema["properties"].items() if n in schema["required"]}
        good |= OWN_SAMPLES.get(path, {})
        for value in wrongs(name, member):
            seen += 1
            status, _, body = client.call(method, target(path, params_of(path, nouns)), json.dumps(good | {name: value}))
            message = json.loads(body).get("message", "") if body else ""
            if status != 400 or (name not in message and OTHER_WORDS.get(name, name) not in message):
                wrong.append((method, path, name, str(value)[:20], status, message[:100]))
    client.close()
    assert seen > 300
    assert not wrong, "\n".join(map(str, wrong))


def test_what_handlers_read_is_described(document):
    """The members that any handler takes from a body by their names."""
    described = {name for *_, name, _ in cases(document)}
    read = set()
    for source in (ROOT / "apiserver" / "handlers").rglob("*.c"):
        read |= set(re.findall(r"json_(?:str|int|bool|str_list|get)\((?:op_arena\(op\), )?\s*body,\s*\"(\w+)\"", source.read_text()))
    assert len(read) > 15 and read <= described


def test_what_is_answered_is_described(plane, nouns, document):
    """Objects of every kind, made and asked for: what comes is what the file says."""
    stack, wrong = plane, []
    stack.make_certificate("mc-described", [])
    stack.api.need("POST", "/api/v1/certificates/mc-described/renew")
    ids = nouns | {"/api/v1/certificates/": "mc-described", "/api/v1/auth/roles/": "r-viewer",
                   "/api/v1/jobs/": stack.api.need("GET", "/api/v1/jobs")["data"][0]["id"],
                   "/api/v1/audit/": stack.api.need("GET", "/api/v1/audit")["data"][0]["id"],
                   "/api/v1/renewal-policies/": stack.api.need("GET", "/api/v1/renewal-policies")["data"][0]["id"]}
    client, answered = Client(stack.api), 0
    for method, path, o in operations(document):
        if method != "GET" or path.startswith("/acme/"):  # its errors are problem documents
            continue
        query = [("from", "2020-01-01T00:00:00Z"), ("to", "2020-01-02T00:00:00Z")] if path.endswith("/export") else []
        status, headers, body = client.call(method, target(path, params_of(path, ids), query))
        answered += status == 200
        fault = fault_of(document, path, o, status, headers, body)
        if fault:
            wrong.append((path, status, fault))
    client.close()
    assert answered > 40
    assert not wrong, "\n".join(map(str, wrong))


def test_no_answer_is_left_to_guess(document):
    """Each answer of JSON has its members in the file."""
    for method, path, o in operations(document):
        for status, response in o["responses"].items():
            schema = response.get("content", {}).get("application/json", {}).get("schema")
            if schema is not None and status.startswith("2"):
                one = schema["items"] if schema["type"] == "array" else schema
                assert one["properties"], (method, path, status)


def test_what_is_read_of_queries_is_described(stack, document):
    """A handler that reads more than its route says tells so in the log, whatever is asked."""
    client = Client(stack.api)
    for method, path, _ in operations(document):
        client.call(method, target(path, {n: "none-such" for n in re.findall(r"\{(\w+)\}", path)}), None if method == "GET" else "{}")
    client.close()
    unsaid = [line for line in (stack.dir / "log" / "apiserver.log").read_text().splitlines() if "HTTP-UNDESCRIBED" in line]
    assert not unsaid, "\n".join(sorted(set(unsaid)))
