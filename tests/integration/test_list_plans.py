"""
No list searches a table: by the plans of what the apiserver asks, whatever it was asked before.
"""
import json
import re
import urllib.parse

import pytest

from fleet import ROOT, code_schema
from test_lists import BIG, LISTS, V1, WHOLE, page, seeded  # noqa: F401
from test_statements import statements

LIMIT_S = 240
NOT_SANITIZED = "what PostgreSQL plans; the handlers of lists are walked by test_lists"


def nodes(plan, below=()):
    """Every node with what stands above it."""
    yield plan, below
    for child in plan.get("Plans", ()):
        yield from nodes(child, (*below, plan["Node Type"]))


def walked_tables(plan, big=BIG):
    """The big tables that a plan walks, but for those whose rows it counts up to a limit."""
    found = set()
    for node, above in nodes(plan):
        counted = [n for n in above if n != "Append"][-2:] == ["Aggregate", "Limit"]
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in big and not counted:
            found.add(node["Relation Name"])
    return found


class Explained:
    """(text, plan) of what the apiserver asked since the last look, as auto_explain wrote them."""

    def __init__(self, stack):
        self.log, self.end = stack.dir / "log" / "postgres.log", 0

    def skip(self):
        self.end = self.log.stat().st_size

    def __iter__(self):
        with self.log.open("rb") as f:
            f.seek(self.end)
            said = f.read().decode(errors="replace")
            self.end = f.tell()
        for match in re.finditer(r"LOG:  duration: \S+ ms  plan:\n((?:\t.*\n)+)", said):
            one = json.loads(match.group(1))
            yield one["Query Text"], one["Plan"]


@pytest.fixture(scope="module")
def explaining(seeded):
    """Its log has the plan of each statement that the apiserver asks."""
    with seeded.admin() as c:
        for setting in ("session_preload_libraries = 'auto_explain'", "auto_explain.log_format = 'json'", "auto_explain.log_min_duration = 0",
                        "auto_explain.log_analyze = on", "auto_explain.log_buffers = on", "auto_explain.log_timing = off"):
            c.execute(f"ALTER ROLE certctl_apiserver SET {setting}")
    seeded.processes["apiserver"].stop()
    seeded.start_apiserver(keep=True, CERTCTL_DATABASE_MAX_CONNS="4")
    seeded.explained = Explained(seeded)
    return seeded


def test_far_calls_do_not_change_the_plans_of_near_ones(explaining):
    """The apiserver's one connection is asked for far and odd pages first; every plan of the near ones is looked at."""
    seeded, api = explaining, explaining.api
    for path, (_, filters) in LISTS.items():
        for n in range(7):
            page(api, path, page=100_000 // 500, per_page=500)
            page(api, path, page=100_000 // (n + 1), per_page=n + 1)
            for odd in [*filters, "status=nonsense", "q=nothing-is-called-so", "type=none"]:
                assert api.get(f"{path}?{odd}&page=150&per_page=500")[0] == 200
    seeded.explained.skip()
    asked = 0
    for path, (_, filters) in LISTS.items():
        last = page(api, path, cursor="start").get("next_cursor", "start")
        for query in ["page=1" if path in WHOLE else "", "page=2", f"cursor={urllib.parse.quote(last)}", "cursor=start", *filters]:
            assert api.get(f"{path}?{query}")[0] == 200
            asked += 1
    near = list(seeded.explained)
    # A filtered list whose rows are all on its page asks for no total.
    assert len(near) >= 2 * asked - len(LISTS) - sum(len(filters) for _, filters in LISTS.values())
    month = seeded.value("SELECT tableoid::regclass::text FROM audit_events LIMIT 1")
    for text, plan in near:
        assert not walked_tables(plan, (*BIG, month)), text


def test_filters_that_find_few(explaining):
    """Each is asked of an index, and how many there are is told by the rows themselves."""
    for path, (table, filters) in LISTS.items():
        for query in filters:
            explaining.explained.skip()
            reply = explaining.api.need("GET", f"{path}?{query}")
            asked = [plan for text, plan in explaining.explained if f"FROM {table} " in text or f"FROM {table}\n" in text]
            assert len(asked) == 1, (path, query)
            assert reply.get("total", len(reply["data"])) == len(reply["data"]) < 50 and "total_is_estimate" not in reply
            assert asked[0]["Shared Hit Blocks"] + asked[0]["Shared Read Blocks"] < 200, (path, query)


@pytest.mark.parametrize("key", ["createdAt", "-createdAt", "notAfter", "-notAfter", "name", "-name"])
def test_sorts_that_an_index_serves(explaining, key):
    """A page is read off it, whatever the size of the table."""
    page(explaining.api, f"{V1}/certificates", sort="status")  # the first call reads the catalogue too
    for query in (f"sort={key}", f"sort={key}&page=3", f"sort={key}&team_id=t-1"):
        explaining.explained.skip()
        assert len(explaining.api.need("GET", f"{V1}/certificates?{query}&fields=id")["data"]) == 50
        asked = [(text, plan) for text, plan in explaining.explained
                 if "FROM managed_certificates" in text and "is_capped" not in text]
        assert len(asked) == 1
        for text, plan in asked:
            assert not walked_tables(plan), (query, text)
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 1000, query


def test_no_kept_plan_walks_a_table(seeded):
    """Of the API's statements that are prepared: the plan for all values, and the one chosen after far and odd ones."""
    names = set()
    for path in [*(ROOT / "common" / "sql").glob("api_*.sql"), ROOT / "common" / "sql" / "alerts.sql"]:
        text = path.read_text(encoding="utf-8")
        names |= set(re.findall(r"^-- name: (\w+) :\w+$", text, re.M))
        names |= {f"{noun}_{verb}" for noun in re.findall(r"^-- noun: (\w+)$", text, re.M) for verb in ("get", "update")}
        # A delete asks whether a certificate names the noun; an index of each such column would cost every renewal.
    with seeded.admin() as c:
        c.execute(f"SET search_path = {code_schema()}, public")
        found, asked = {}, 0
        for name, (nparams, text) in statements().items():
            if name not in names or not text.startswith(("SELECT", "WITH")):
                continue
            c.execute(f"PREPARE {name} AS {text}")
            call = f"EXPLAIN (FORMAT JSON) EXECUTE {name}" + (f"({', '.join(['NULL'] * nparams)})" if nparams else "")
            c.execute("SET plan_cache_mode = force_generic_plan")
            c.execute(call)
            bad = walked_tables(c.fetchone()[0][0]["Plan"])
            c.execute("SET plan_cache_mode = auto")
            for _ in range(7):
                c.execute(call)
            bad |= walked_tables(c.fetchone()[0][0]["Plan"])
            asked += 1
            if bad:
                found[name] = bad
    assert not found and asked > 40, (found, asked)
