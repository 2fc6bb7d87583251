"""
Requests that nobody thought of, made of the API's description, to every route:
none ends in a 5xx or shows the inside, and each refusal is the contract's.

The same requests every time (derandomize); PROPERTY_EXAMPLES makes more of them, PROPERTY_SEED others.
"""
import json
import operator
import os
import re

import pytest
from hypothesis import HealthCheck, configuration, given, seed, settings
from hypothesis import strategies as st

from fleet import BUILD
from openapi import Client, body_schema, fault_of, fault_of_error, operations, parameters, target
from test_routes import ROUTES

# Its tables of characters are written down, and not into the checkout.
configuration.set_hypothesis_home_dir(str(BUILD / "hypothesis"))
LIMIT_S = 240
EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "24"))
FEW = max(EXAMPLES // 6, 3)
SEED = os.environ.get("PROPERTY_SEED")
PROPERTY = settings(max_examples=EXAMPLES, derandomize=SEED is None, deadline=None, database=None, suppress_health_check=list(HealthCheck))
LESS = settings(PROPERTY, max_examples=FEW)
seeded = seed(SEED) if SEED else lambda test: test

INJECTIONS = ["' OR 1=1--", "'; DROP TABLE agents; --", "\\", "\\'", "$1", "$$", "%", "_", "{}", "[]", "{{7*7}}", "${jndi:ldap://x}", "../../etc/passwd",
              "<script>alert(1)</script>", "%s%n%x", "NULL", "null", "NaN", "infinity", "-infinity", "now()", "\"", "a:b:c", "*", "-1",
              "0", "1e309", "9223372036854775808", "99999999999999999999999999", "0x10", "true", "t-test", "iss-local", "mc-props",
              "0001-01-01T00:00:00Z", "294277-01-01T00:00:00Z", "2024-02-30T00:00:00Z", "2024-01-01", "epoch", "R0lG", "a" * 300]
CHARACTERS = st.characters(blacklist_categories=["Cs"])
TEXTS = st.one_of(st.sampled_from(INJECTIONS), st.text(CHARACTERS, max_size=20), st.text(st.sampled_from("abc019._:-"), min_size=1, max_size=12))
NUMBERS = st.one_of(st.integers(-3, 3), st.integers(), st.sampled_from([2**31, -2**31, 2**53, 2**63, -2**63 - 1, 10**40]),
                    st.floats(allow_nan=False, allow_infinity=False))
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
JSONS = st.recursive(LEAVES, lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(TEXTS, below, max_size=3)), max_leaves=6)
# No JSON, or none that may be taken.
RAW = st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"{", b"nul", b"{\"a\":1,\"a\":2}", b"{} {}", b"{\"a\":1e999}", b"[" * 40 + b"]" * 40,
                                                          b"{\"a\":\"\\u0000\"}", b"{\"a\":\"\\ud800\"}", b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00",
                                                          b"{\"a\":" * 200 + b"1" + b"}" * 200, b"\"" + b"a" * 5000 + b"\""]))


def values_of(schema):
    """Of a schema of ours: mostly what it allows."""
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    if "enum" in schema:
        good = st.sampled_from(schema["enum"])
    elif kind == "string" and schema.get("format") == "date-time":
        good = st.sampled_from(["2030-01-01T00:00:00Z", "2030-01-01T00:00:00.123456789+14:00", "0001-01-01T00:00:00Z"])
    elif kind == "string":
        good = st.one_of(st.sampled_from(["a", "some-name", "t-test", "o-test", "iss-local", "a.example.test", "NGINX", "GenericCA"]), TEXTS)
    elif kind == "integer":
        good = st.integers(schema.get("minimum", -10), schema.get("maximum", 10**9))
    elif kind == "boolean":
        good = st.booleans()
    elif kind == "array":
        good = st.lists(values_of(schema["items"]), max_size=3)
    else:
        good = st.dictionaries(TEXTS, LEAVES, max_size=3)
    return st.one_of(good, good, JSONS)


def bodies_of(schema):
    """What is sent: objects of the schema's members and others, and anything else."""
    if schema is None:
        return st.one_of(st.none(), st.builds(json.dumps, JSONS), RAW)
    members = {name: values_of(s) for name, s in schema["properties"].items()}
    needed = {name: members[name] for name in schema["required"]}
    optional = {name: value for name, value in members.items() if name not in needed}
    objects = st.builds(operator.or_, st.fixed_dictionaries(needed, optional=optional),
                        st.one_of(st.just({}), st.dictionaries(TEXTS, JSONS, max_size=2)))
    return st.one_of(st.builds(json.dumps, objects), st.builds(json.dumps, objects), st.builds(json.dumps, JSONS), RAW)


def is_no_wait(pair):
    """A duration is a wait, for which this test has no time."""
    return pair[0] != "wait" or not re.match(r"^[0-9.]+\s*(?:ms|s|m|h)", pair[1])


def queries_of(operation):
    """Some of the parameters that are known, and one that is not."""
    names = st.one_of(*[st.just(n) for n in parameters(operation, "query")], st.just("no_such"))
    pairs = st.tuples(names, st.one_of(TEXTS, st.integers(-2, 10**12).map(str))).filter(is_no_wait)
    return st.lists(pairs, max_size=4)


def requests_of(path, operation):
    ids = st.one_of(st.sampled_from(["none-such", "mc-props", "iss-local", "t-test", "o-test", "1", "ag-props"]), TEXTS.filter(bool))
    params = st.fixed_dictionaries({n: ids for n in re.findall(r"\{(\w+)\}", path)})
    return st.tuples(params, queries_of(operation), bodies_of(body_schema(operation)) if "requestBody" in operation else
                     st.one_of(st.none(), st.none(), RAW))


@pytest.fixture(scope="module")
def stack(stack):
    stack.make_basics()
    stack.make_certificate("mc-props", [])
    stack.query("INSERT INTO agents (id, name, hostname, api_key_hash) VALUES ('ag-props', 'ag-props', 'h.example.test', repeat('0', 64))")
    return stack


@pytest.fixture(scope="module")
def document(stack):
    return stack.api.need("GET", "/api/v1/openapi.json")


@pytest.fixture(scope="module")
def client(stack):
    made = Client(stack.api)
    yield made
    made.close()


@pytest.fixture(scope="module")
def nobody(stack):
    """A key that holds nothing."""
    made = Client(stack.api, stack.api.need("POST", "/api/v1/auth/keys", {"name": "holds-nothing"})["key_value"])
    yield made
    made.close()


def plain(pattern):
    return re.sub(r"\{(\w+)[^}]*\}", r"{\1}", pattern)


NAMES = [(r["method"], plain(r["pattern"])) for r in ROUTES]
PERMITTED = [(r["method"], plain(r["pattern"])) for r in ROUTES if r["permission"]]


def each_of(names):
    return pytest.mark.parametrize("method, path", names, ids=[" ".join(n) for n in names])


def show(method, where, payload, status, body):
    return f"{method} {where} {payload!r:.300} -> {status} {body[:300]!r}"


@each_of(NAMES)
def test_no_request_breaks_it(document, client, method, path):
    operation = document["paths"][path][method.lower()]

    @seeded
    @PROPERTY
    @given(requests_of(path, operation))
    def holds(request):
        params, query, payload = request
        where = target(path, params, query)
        status, headers, body = client.call(method, where, payload)
        fault = fault_of(document, path, operation, status, headers, body)
        assert not fault, f"{fault}: {show(method, where, payload, status, body)}"
    holds()


@each_of(PERMITTED)
def test_without_permission_nothing_is_told(document, nobody, method, path):
    """Whatever the request is like: who may not is told so, and nothing else, before anything is read."""
    operation = document["paths"][path][method.lower()]

    @seeded
    @LESS
    @given(requests_of(path, operation))
    def holds(request):
        params, query, payload = request
        where = target(path, params, query)
        status, headers, body = nobody.call(method, where, payload)
        # What cannot be read at all is refused before anybody is known.
        assert status in (400, 403, 404, 405), show(method, where, payload, status, body)
        assert fault_of_error(path, status, headers, body.decode()) is None, show(method, where, payload, status, body)
    holds()


def test_wrong_methods(document, client):
    """A path that is known, asked with any other verb."""
    for path, methods in document["paths"].items():
        where = target(path, {n: "none-such" for n in re.findall(r"\{(\w+)\}", path)})
        for verb in ("GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "LOCK", "get", "X" * 20):
            if verb.lower() in methods and verb.isupper():
                continue
            status, headers, body = client.call(verb, where)
            # Another row may have this verb where a parameter stands: GET /agents/retired is of /agents/{id}, too.
            assert status < 500 and (status != 405 or fault_of_error(path, status, headers, body.decode()) is None), (verb, path, status, body)
            assert status >= 400 or verb in ("DELETE", "PUT", "GET"), (verb, path, status, body)


def test_it_still_serves(stack, document, client):
    """After all that: the same process, whose log has no trace of a mistake of ours."""
    assert client.call("GET", "/health")[0] == 200 and client.call("GET", "/ready")[0] == 200
    log = (stack.dir / "log" / "apiserver.log").read_text()
    assert "HTTP-UNDESCRIBED" not in log and "level=error" not in log and log.count("code=STARTED") == 1
