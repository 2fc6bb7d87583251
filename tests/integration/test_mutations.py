"""
Requests that were good, with something changed: a member's value, its type or its name, an
id, the query.  They come past what a request made of nothing is refused for, to the rows and
the statements; the others are test_properties.py's.
"""
import copy
import json

import pytest
import test_auth_table as auth
import test_contract as contract
import walk
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi import Client, fault_of, parameters, with_query
from test_auth_table import world as auth_world  # noqa: F401
from test_contract import world as contract_world  # noqa: F401
from test_properties import EXAMPLES, JSONS, LESS, PROPERTY, RAW, TEXTS, is_no_wait, plain, seeded

LIMIT_S = 240
MUTATED = settings(PROPERTY, max_examples=max(EXAMPLES * 2 // 3, 3))
# A new one of what a request used up, so often for a route; later ones meet what is used up.
REMADE = 5
# What waits for a worker has fewer.
SLOW = {"/api/v1/issuers/{id}/test", "/api/v1/issuers/{id}/intermediates"}
# No agent answers the test of a target, and what breaks a rule is known when a duty has looked.
OTHERS = {("POST", "/api/v1/targets/{id}/test"): [walk.Good("none-such", {})],
          ("GET", "/api/v1/policies/{id}/violations"): [walk.Good("pr-max-certificate-lifetime")],
          ("GET", "/api/v1/certificates/{id}/violations"): [walk.Good(lambda w: w.certificate())]}
ROWS = contract.GOOD | OTHERS

NUMBER = st.integers(0, 2**20)
CHANGE = st.tuples(NUMBER, st.sampled_from(["value", "value", "value", "text", "drop", "rename", "add", "twice"]), JSONS, TEXTS)
QUERY = st.lists(st.tuples(NUMBER, st.one_of(TEXTS, st.integers(-2, 10**12).map(str))), max_size=2)
MUTATION = st.fixed_dictionaries({
    "changes": st.lists(CHANGE, max_size=2), "query": st.one_of(st.just([]), QUERY), "raw": st.one_of(st.none(), st.none(), st.none(), RAW),
    "id": st.one_of(st.none(), st.none(), st.none(), TEXTS.filter(bool)), "at": NUMBER})


def places(value, place=()):
    """Of each value in a JSON text, the way to it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place] + [p for key, below in inner for p in places(below, (*place, key))]


def change(body, number, how, value, text):
    """One thing of it is another; the whole, where the place is its root."""
    found = places(body)
    place = found[number % len(found)]
    if how == "add" or not place:
        return body | {text: value} if isinstance(body, dict) else value
    *way, last = place
    holder = body
    for key in way:
        holder = holder[key]
    if how == "drop":
        del holder[last]
    elif how == "rename" and isinstance(holder, dict):
        holder[text] = holder.pop(last)
    elif how == "twice" and isinstance(holder[last], (str, list)):
        holder[last] = holder[last] * (2 + number % 40)
    else:
        holder[last] = text if how in ("text", "rename") else value
    return body


def change_bytes(body, number, value):
    at = number % max(len(body), 1)
    piece = json.dumps(value).encode()[:8]
    return [body[:at], body[:at] + piece + body[at + len(piece):], body[:at] + piece + body[at:], body[at:]][number % 4]


def change_payload(body, mutation):
    """The text of a request's body: JSON, or bytes of another kind."""
    if mutation["raw"] is not None:
        return mutation["raw"]
    if isinstance(body, (str, bytes)):
        body = body.encode() if isinstance(body, str) else body
        for number, _, value, _ in mutation["changes"]:
            body = change_bytes(body, number, value)
        return body
    if body is None:
        return None
    body = copy.deepcopy(body)
    for one in mutation["changes"]:
        body = change(body, *one)
    return json.dumps(body)


def change_path(pattern, place, names, mutation):
    values = [place] if isinstance(place, str) else list(place)
    slots = pattern.count("{")
    if mutation["id"] is not None and slots:
        values[mutation["at"] % slots] = walk.quoted(mutation["id"])
    pairs = [(names[number % len(names)], text) for number, text in mutation["query"]] if names else []
    return with_query(walk.put(pattern, values), [p for p in pairs if is_no_wait(p)])


class Asked:
    """A row of a table that is made when it is first needed, and again when it is used up."""

    def __init__(self, world, row):
        self.world, self.row, self.left, self.now = world, row, REMADE, None

    def get(self):
        if self.now is None:
            self.now = tuple(x(self.world) if callable(x) else x for x in (self.row.place, self.row.body))
        return self.now

    def used_up(self):
        if self.left > 0 and (callable(self.row.place) or callable(self.row.body)):
            self.left, self.now = self.left - 1, None


def hold(document, client, world, route, rows):
    """Whatever is changed of any of its rows."""
    operation = document["paths"][plain(route["pattern"])][route["method"].lower()]
    names = [*parameters(operation, "query"), "no_such"]
    asked = [Asked(world, row) for row in rows]

    @seeded
    @(LESS if plain(route["pattern"]) in SLOW else MUTATED)
    @given(st.sampled_from(range(len(asked))), MUTATION)
    def holds(which, mutation):
        one = asked[which]
        place, body = one.get()
        where, payload = change_path(route["pattern"], place, names, mutation), change_payload(body, mutation)
        status, headers, reply = client.call(route["method"], where, payload, media=one.row.sends)
        fault = fault_of(document, plain(route["pattern"]), operation, status, headers, reply)
        assert not fault, f"{fault}: {route['method']} {where} {payload!r:.400} -> {status} {reply[:300]!r}"
        if route["method"] != "GET" and status < 300:
            one.used_up()
    holds()


@pytest.fixture(scope="module")
def contract_client(contract_world):  # noqa: F811
    made = Client(contract_world.api)
    yield made
    made.close()


@pytest.fixture(scope="module")
def auth_client(auth_world):  # noqa: F811
    made = Client(auth_world.fleet.api, auth.BOSS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def document(contract_world):  # noqa: F811
    return contract_world.api.need("GET", "/api/v1/openapi.json")


@pytest.mark.parametrize("route", [r for r in contract.IN if ROWS[contract.key_of(r)]], ids=contract.name_of)
def test_what_was_good_is_answered_or_refused(document, contract_client, contract_world, route):  # noqa: F811
    hold(document, contract_client, contract_world, route, ROWS[contract.key_of(route)])


@pytest.mark.parametrize("route", [r for r in auth.OURS if r["pattern"] != f"{auth.AUTH}/bootstrap"], ids=auth.name_of)
def test_of_keys_and_approvals_too(document, auth_client, auth_world, route):  # noqa: F811
    rows = [walk.Good(place, body) for place, body, *_ in auth.GOOD[route["method"], route["pattern"]]]
    hold(document, auth_client, auth_world, route, rows)


def test_they_still_serve(contract_world, auth_world):  # noqa: F811
    """After all that: the same processes, whose logs have no trace of a mistake of ours."""
    for fleet, names in ((contract_world.fleet, ("apiserver", "worker-1", "scheduler-1")), (auth_world.fleet, ("apiserver", "apiserver-2"))):
        assert fleet.api.call("GET", "/health")[0] == 200 and fleet.api.call("GET", "/ready")[0] == 200
        texts = [(fleet.dir / "log" / f"{name}.log").read_text() for name in names]
        assert all("level=error" not in text and text.count("code=STARTED") == 1 for text in texts)
