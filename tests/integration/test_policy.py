"""
The engine's times and counts have one home, common/policy/policy.def: SQL gets
them from there, and has no others.
"""
import re

import psycopg2
import pytest

from fleet import ROOT

NOT_SANITIZED = "SQL and the text of files alone"

TEXTS = sorted([*(ROOT / "migrations" / "code").glob("*.sql"), *(ROOT / "common" / "sql").glob("*.sql")])
# Numbers that are no policy: units, sizes of formats and of columns.  A rule that
# stands in a number of its own belongs into policy.def.
UNITS = {"0", "1", "2", "1000", "1000.0", "1000000"}
FORMATS = {
    "01_base.sql": {"20", "24"},  # 2^20 is long enough; hours of a day
    "02_certificates.sql": {"65535", "65536.0", "100", "100.0", "4"},  # share of a hash; percent
    "06_claim.sql": {"11", "14"},  # the digits of a serial
    "07_complete.sql": {"4", "16"},  # of 'certver' || substr(id, 4); digits of a key's id in the name of a list
    "12_bulk.sql": {"32"},  # bits of half an advisory lock's key
    "13_crl.sql": {"40"},  # digits of a serial
    "14_alerts.sql": {"255", "86400"},  # a column's width; seconds of a day
    "15_duties.sql": {"32"},  # bits of half an advisory lock's key
    "16_audit.sql": {"8", "14", "31", "32", "64"},  # the tree of hashes; digits of a name
    "20_recover.sql": {"4", "40"},  # of 'certver' || substr(id, 4); digits of a serial
    "26_health_checks.sql": {"16"},  # shards of the counts
    "21_servers.sql": {"8", "32"},  # digits and bits of a timeline in the name of a file
    "30_acme.sql": {"8", "32"},  # bytes of a key of nonces, and of its id; how many serve at once
    "31_acme_orders.sql": {"4"},  # of 'certver' || substr(id, 4)
    "23_policies.sql": {"86400"},  # seconds of a day
    "24_discovery.sql": {"3", "16", "40"},  # statuses and shards of a counter; digits of a serial
    "32_acme_ari.sql": {"3", "4", "40"},  # base64's groups; digits of a serial
    "29_stats.sql": {"3600", "86400"},  # seconds of an hour, of a day
}


def code(path):
    """Without comments, literals, the names of parameters, and settings of functions, which measurements chose."""
    text = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
    text = re.sub(r"\bSET (?:LOCAL )?\w+ = '[^']*'", "", text)
    return text


def numbers(path):
    text = re.sub(r"'(?:[^']|'')*'", "''", code(path))
    return set(re.findall(r"(?<![\w$.])\d+(?:\.\d+)?(?![\w.])", text))


def policies():
    return re.findall(r"^([A-Z]+)\((\w+), ([^\n]*?), \"([^\n]*)\"\)$", (ROOT / "common/policy/policy.def").read_text(), re.M)


def test_the_table_is_in_order_and_says_what_each_is():
    names = [name for _, name, _, _ in policies()]
    assert len(names) > 40 and names == sorted(set(names)) and all(len(what) > 8 for *_, what in policies())


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.name)
def test_no_policy_stands_elsewhere(path):
    text = code(path)
    assert re.findall(r"\binterval\s*'[^']*'|'[^']*'::interval", text, re.I) == []
    assert re.findall(r"make_interval\((?:secs|mins|hours|days|weeks|years) => [\d.]+\)", text) == []
    if "code" in path.parts:
        assert numbers(path) - UNITS == FORMATS.get(path.name, set())


def test_every_policy_is_used():
    """By SQL, or by a process where what it rules is no statement's."""
    text = "\n".join(code(p) for p in TEXTS)
    by_sql = set(re.findall(r"\bpolicy_(\w+)\(\)", text))
    by_c = {name.lower() for area in ("apiserver", "scheduler", "worker") for path in (ROOT / area).rglob("*.c")
            if "common/policy/policy.h" in path.read_text(encoding="utf-8")
            for name in re.findall(r"\bPOLICY_(\w+)\b", path.read_text(encoding="utf-8"))}
    names = {name.lower() for _, name, _, _ in policies()}
    assert by_sql <= names <= by_sql | by_c


def test_a_profile_has_the_shortest_life_that_an_issuer_has(cursor):
    insert = "INSERT INTO certificate_profiles (id, name, max_ttl_seconds) SELECT %s, %s, extract(epoch FROM policy_life_least())::int + %s"
    cursor.execute(insert, ("prof-least", "least", 0))
    with pytest.raises(psycopg2.errors.CheckViolation):
        cursor.execute(insert, ("prof-less", "less", -1))


def value(cursor, sql, *parameters):
    cursor.execute(sql, parameters)
    return cursor.fetchone()[0]


def test_the_planner_sees_constants(cursor):
    """No call is left in a plan: they cost nothing, and an index is found by them."""
    cursor.execute("EXPLAIN (VERBOSE) SELECT c.id FROM managed_certificates c WHERE c.expires_at <= now() + policy_far_ahead() "
               "AND c.renew_after < now() + back_off(policy_retry_least(), policy_retry_most(), 3)")
    plan = "\n".join(r[0] for r in cursor.fetchall())
    assert "8760:00:00" in plan and "policy_" not in plan and "back_off" not in plan, plan


def test_waits_double_up_to_their_limit(cursor):
    waits = [value(cursor, "SELECT extract(epoch FROM back_off('30 seconds', '10 minutes', %s))::int", n) for n in range(8)]
    assert waits == [30, 60, 120, 240, 480, 600, 600, 600]
    assert value(cursor, "SELECT extract(epoch FROM back_off('30 seconds', '10 minutes', 2147483647))") == 600
    # A policy's interval that is longer than the limit holds.
    assert value(cursor, "SELECT extract(epoch FROM back_off('2 hours', '1 hour', 5))") == 7200


def test_chance_is_bounded(cursor):
    least, most = (value(cursor, f"SELECT {f}(extract(epoch FROM jittered('100 seconds'))) FROM generate_series(1, 2000)") for f in ("min", "max"))
    assert 90 <= least < 92 and 108 < most <= 110


@pytest.mark.parametrize("role", ["certctl_apiserver", "certctl_scheduler", "certctl_worker"])
def test_every_program_may_reckon_with_them(cursor, role):
    cursor.execute(f"SET ROLE {role}")
    try:
        for _, name, _, _ in policies():
            assert value(cursor, f"SELECT policy_{name.lower()}()") is not None
        assert value(cursor, "SELECT jittered(back_off(policy_task_first(), policy_task_most(), 2)) > interval '7 seconds'")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("SELECT lane_succeeded('x')")
    finally:
        cursor.execute("RESET ROLE")


def test_time_is_a_condition_of_an_index():
    """
    What is compared with something volatile is looked for from end to end: with columns that an index is for, time is asked for once,
    by (SELECT engine_now()).  Words of a CASE look at one row.
    """
    columns = r"(?:renew_after|run_after|refresh_at|due_at|next_retry_at|certificate_changes_at\(\w+\))"
    bare = re.compile(rf"\b(?:WHERE|AND|OR) \(?(?:\w+\.)?{columns} [<>]=? (?:engine_now|clock_timestamp)\(\)")
    found = [(path.name, line.strip()) for path in TEXTS for line in code(path).splitlines() if bare.search(line) and "WHEN" not in line]
    assert not found
    assert "certificate_changes_at(c) <= (SELECT engine_now())" in (ROOT / "migrations/code/04_scan.sql").read_text(encoding="utf-8")
