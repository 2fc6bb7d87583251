"""
Certificates that are made at once go together, many in a transaction: each is
made or refused as if it were alone.
"""
import concurrent.futures
import contextlib
import random

import psycopg2
import psycopg2.extras
import pytest

from statements import statements
from test_rest import CERTS, TARGETS, audit_of, cert_body, refused

MANY = 8  # of each kind


@pytest.fixture
def make_many(basics):
    """Runs the statement with these bodies; the rows by whose they are."""
    with basics.admin() as c, c.connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as rows:
        rows.execute(f"PREPARE cert_create_many AS {statements()['cert_create_many'][1]}")
        c.execute("SET statement_timeout = '20s'")

        def make(bodies, actors=None):
            rows.execute("EXECUTE cert_create_many (%s::jsonb[], %s, %s)", (
                [psycopg2.extras.Json(b) for b in bodies], actors or ["somebody"] * len(bodies), ["User"] * len(bodies)))
            return {r["n"]: r for r in rows.fetchall()}
        yield make


@pytest.fixture
def target(api, basics, new_agent, unique):
    """Its agent and the body of another target that writes the same file."""
    agent, _ = new_agent()
    files = {"cert_path": f"/srv/{agent}.pem", "key_path": f"/srv/{agent}.key", "reload_command": "/usr/bin/true",
             "validate_command": "/usr/bin/true"}
    status, made = api.post(TARGETS, {"name": unique("target"), "type": "NGINX", "agent_id": agent, "config": files})
    assert status == 201, made
    return made["id"]


def test_rows_say_whose_they_are(basics, make_many, target, unique):
    names = [unique("many") for _ in range(4)]
    bodies = [cert_body(name) for name in reversed(names)]
    bodies[1] |= {"id": f"mc-{names[2]}", "target_ids": [target, target], "tags": {"a": "b"}, "source": "EST"}
    made = make_many(bodies, ["a", "b", "c", "d"])
    assert {n: r["name"] for n, r in made.items()} == {n: b["name"] for n, b in enumerate(bodies, 1)}
    assert (made[2]["id"], made[2]["target_ids"], made[2]["tags"], made[2]["source"]) == (f"mc-{names[2]}", [target], {"a": "b"}, "EST")
    assert [made[n]["target_ids"] for n in (1, 3, 4)] == [[]] * 3
    for n, actor in enumerate("abcd", 1):
        assert audit_of(basics, made[n]["id"]) == [("certificate_created", actor, "User")]


def test_what_is_there_makes_no_row_and_stops_nobody(basics, make_many, unique):
    name, other, taken = unique("twice"), unique("twice"), unique("taken")
    known = make_many([cert_body(taken, id=f"mc-{taken}")])[1]["id"]
    made = make_many([cert_body(name, environment="first"), cert_body(name, environment="second"), cert_body(taken),
                      cert_body(unique("taken"), id=known), cert_body(other, id=f"mc-{other}"),
                      cert_body(f"z-{other}", id=f"mc-{other}")])
    assert {n: r["name"] for n, r in made.items()} == {1: name, 5: other}
    assert made[1]["environment"] == "first"
    assert basics.value("SELECT count(*) FROM managed_certificates WHERE name = ANY (%s)", [name, other, taken, f"z-{other}"]) == 3
    assert len(audit_of(basics, made[5]["id"])) == 1


def test_what_somebody_holds_is_not_waited_for_long(basics, make_many, unique):
    bodies = [cert_body(unique("held")) for _ in range(2)]
    with basics.connect() as other, other.cursor() as c:
        c.execute("SELECT 1 FROM teams WHERE id = 't-test' FOR UPDATE")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            make_many(bodies)
        other.rollback()
    assert len(make_many(bodies)) == 2


def test_each_is_answered_as_if_it_were_alone(api, basics, target, unique):
    """Good ones, and whatever may be wrong, all at once; each answer is the one that a request by itself gets."""
    there = unique("there")
    _, known = api.post(CERTS, cert_body(there, target_ids=[target]))
    pairs = [unique("pair") for _ in range(MANY)]
    good = [cert_body(unique("good")) for _ in range(4 * MANY)]
    refusals = {
        "A certificate with this name already exists": lambda: cert_body(there),
        "A certificate with this id already exists": lambda: cert_body(unique("id"), id=known["id"]),
        "owner_id: what it refers to does not exist": lambda: cert_body(unique("bad"), owner_id="o-nobody"),
        "certificate_profile_id: what it refers to does not exist": lambda: cert_body(unique("bad"), certificate_profile_id="cp-none"),
        "target_ids: what it refers to does not exist": lambda: cert_body(unique("bad"), target_ids=["t-none"]),
        f"belongs to certificate {known['id']}": lambda: cert_body(unique("bad"), target_ids=[target]),
    }
    bodies = [(None, body) for body in good] + [("pair", cert_body(name)) for name in pairs for _ in range(2)]
    bodies += [(words, make()) for words, make in refusals.items() for _ in range(MANY)]
    random.Random(1).shuffle(bodies)
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda b: api.post(CERTS, b[1]), bodies))
    won = {}
    for (words, body), (status, reply) in zip(bodies, answers, strict=True):
        if words is None or (words == "pair" and status == 201):
            assert (status, reply["name"], reply["common_name"]) == (201, body["name"], body["common_name"]), reply
            assert body["name"] not in won
            won[body["name"]] = reply["id"]
        else:
            refused(reply, status, "this name already exists" if words == "pair" else words, 409 if "exists" in words or words == "pair"
                    or "belongs" in words else 400)
    assert set(won) == {b["name"] for b in good} | set(pairs)
    for name, made in won.items():
        assert basics.query("SELECT id FROM managed_certificates WHERE name = %s", name) == [(made,)]
        assert audit_of(basics, made) == [("certificate_created", "admin", "APIKey")]
    names = [body["name"] for words, body in bodies if words not in (None, "pair")]
    assert basics.value("SELECT count(*) FROM managed_certificates WHERE name = ANY (%s)", names) == 1


def test_one_that_is_held_waits_by_itself(api, basics, unique):
    """Others go on while somebody holds what one refers to."""
    status, team = api.post("/api/v1/teams", {"name": unique("team")})
    assert status == 201
    with contextlib.ExitStack() as ended, concurrent.futures.ThreadPoolExecutor(4) as pool:
        other = ended.enter_context(basics.connect())
        with other.cursor() as c:
            c.execute("SELECT 1 FROM teams WHERE id = %s FOR UPDATE", (team["id"],))
        waiting = [pool.submit(api.post, CERTS, cert_body(unique("wait"), team_id=team["id"])) for _ in range(2)]
        others = [pool.submit(api.post, CERTS, cert_body(unique("other"))) for _ in range(20)]
        assert [f.result()[0] for f in others] == [201] * 20
        other.rollback()
        assert [f.result()[0] for f in waiting] == [201] * 2
