"""
Requests that are almost good: what the contract's tables ask, of objects that are
there, with one thing changed.  They get past what refuses nonsense at the door.
Asked like test_properties.py, and judged like it.
"""
import copy
import itertools
import json

import pytest
import test_auth_table
import walk
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import fleets
from openapi import Client, fault_of, with_query
from test_contract import GOOD
from test_properties import CHARACTERS, EXAMPLES, JSONS, PROPERTY, RAW, TEXTS, plain, queries_of, show
from test_routes import ROUTES
from walk import Good, placed

LIMIT_S = 240
SOME, ONE = settings(PROPERTY, max_examples=max(EXAMPLES // 3, 1)), settings(PROPERTY, max_examples=1)
# Each asks an agent that is away, and waits for it.
AWAITED = ("POST", "/api/v1/targets/{id}/test")
# What is almost one of these.
FORMS = ["", " ", "\u0000", "\u202e", "a\nb", "*", "*.example.test", "xn--a", "-a", "a" * 64 + ".test", "a" * 10000, "192.0.2.1", "::1", "::ffff:10.0.0.1", "fe80::1%lo",
         "0.0.0.0/0", "192.0.2.0/31", "http://127.0.0.1/", "https://[::1]:99999/", "https://user:pw@h.example.test/", "file:///etc/passwd", "//", "/", "..",
         "2030-13-01T00:00:00Z", "2030-01-01T00:00:00+99:00", "9999-12-31T23:59:60Z", "292278994-08-17T07:12:55Z", "RSA-0", "ECDSA-P256", "global", "Active"]
NUMBERS = [0, -1, 1.5, 1e300, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -2**63, True, "7", None]


def places(value, path=()):
    """Of each value that is in it, how one gets there."""
    yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


@st.composite
def text_like(draw, text):
    """Some of it another, gone, or twice."""
    at, to = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
    return text[:at] + draw(st.one_of(st.just(""), st.text(CHARACTERS, max_size=3), st.just(text[at:to] * 2))) + text[to:]


def like(value):
    """What may stand where this stood."""
    near = {str: lambda: st.one_of(text_like(value), st.sampled_from(FORMS)), int: lambda: st.sampled_from(NUMBERS),
            list: lambda: st.one_of(st.just([]), st.just(value * 2), st.just(value * 1001), st.lists(LEAF, max_size=3)),
            dict: lambda: st.builds(lambda more: value | more, st.dictionaries(TEXTS, JSONS, max_size=2))}.get(type(value))
    return st.one_of(near(), near(), JSONS) if near else JSONS


LEAF = st.one_of(st.sampled_from(FORMS), st.sampled_from(NUMBERS), TEXTS)


@st.composite
def body_like(draw, body):
    """The text of the body with one thing changed."""
    way = draw(st.integers(0, 9))
    if way == 0:
        return draw(RAW)
    if way == 1:
        return draw(text_like(json.dumps(body)))
    made, path = copy.deepcopy(body), draw(st.sampled_from([p for p in places(body) if p] or [()]))
    if not path:
        return json.dumps(draw(like(made)))
    at = made
    for key in path[:-1]:
        at = at[key]
    if way == 2:
        del at[path[-1]]
    else:
        at[path[-1]] = draw(like(at[path[-1]]))
    return json.dumps(made)


def payload_like(body):
    if body is None:
        return st.none()
    if isinstance(body, bytes):
        return text_like(body.decode("latin-1")).map(lambda t: t.encode("latin-1", "replace"))
    try:
        return body_like(json.loads(body))
    except ValueError:
        return text_like(body)


class Signing(test_auth_table.World):
    """Makes roles, keys and requests for approval; of another process there is none."""

    def __init__(self, fleet):
        self.fleet, self.numbers, self.nobody = fleet, itertools.count(10000), ""
        fleet.query("INSERT INTO certificate_profiles (id, name, requires_approval) VALUES ('prof-gated', 'gated', true)")

    def approval(self, state=None):
        return super().approval() if state is None else "none-such"


@pytest.fixture(scope="module")
def asked():
    """By route: [(path, body's text, its media type)]; all made before the first is changed."""
    for fleet in fleets("nearmisses"):
        world = walk.serve(fleet)
        signing, made = Signing(fleet), {}
        for route in ROUTES:
            key = route["method"], route["pattern"]
            rows = [(world, row) for row in GOOD.get(key, ())] + [(signing, Good(*row[:2])) for row in test_auth_table.GOOD.get(key, ())]
            # Of what is only read the body can't change, and one is as good as many.
            made[key] = [(*placed(w, route, row), row.sends) for w, row in rows[:1 if route["method"] == "GET" else None]]
        yield fleet, made


@pytest.fixture(scope="module")
def document(asked):
    return asked[0].api.need("GET", "/api/v1/openapi.json")


@pytest.fixture(scope="module")
def client(asked):
    made = Client(asked[0].api)
    yield made
    made.close()


NAMES = [(r["method"], r["pattern"]) for r in ROUTES if GOOD.get((r["method"], r["pattern"])) or (r["method"], r["pattern"]) in test_auth_table.GOOD]


@pytest.mark.parametrize("method, pattern", NAMES, ids=[" ".join(n) for n in NAMES])
def test_no_near_miss_breaks_it(asked, document, client, method, pattern):
    operation, rows = document["paths"][plain(pattern)][method.lower()], asked[1][method, pattern]
    requests = st.one_of([st.tuples(st.just(path), queries_of(operation), payload_like(body), st.just(media)) for path, body, media in rows])

    @(ONE if (method, pattern) == AWAITED else SOME)
    @given(requests)
    def holds(request):
        path, query, payload, media = request
        where = with_query(path, query)
        payload = payload.encode() if isinstance(payload, str) else payload
        status, headers, body = client.call(method, where, payload, media=media)
        fault = fault_of(document, plain(pattern), operation, status, headers, body)
        assert not fault, f"{fault}: {show(method, where, payload, status, body)}"
    holds()


def test_it_still_serves(asked, client):
    """After all that: the same process, whose log has no trace of a mistake of ours."""
    assert client.call("GET", "/health")[0] == 200 and client.call("GET", "/ready")[0] == 200
    log = (asked[0].dir / "log" / "apiserver.log").read_text()
    assert "HTTP-UNDESCRIBED" not in log and "level=error" not in log and log.count("code=STARTED") == 1
