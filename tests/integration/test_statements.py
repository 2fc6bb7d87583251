"""
Every statement of the programs, written or made of a noun's description, is one
that PostgreSQL can plan over this tree's tables and functions.
"""
import re

import pytest

from fleet import BUILD, Fleet, code_schema

ROW = re.compile(r'^\{ "(\w+)", (\d+), \w+,\n((?:\t".*"\n?)+) \},$', re.M)
PLANNED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "VALUES")


def statements():
    """name: (parameters, text) of those that can be prepared: not CREATE, LOCK and their like."""
    source = (BUILD / "common" / "sql" / "sql_gen.c").read_text(encoding="utf-8")
    found = {}
    for name, nparams, rows in ROW.findall(source):
        text = "\n".join(re.findall(r'^\t"(.*)\\n"', rows, re.M)).replace('\\"', '"').replace("\\\\", "\\")
        if text.startswith(PLANNED):
            found[name] = int(nparams), text
    return found


@pytest.fixture(scope="module")
def cursor():
    fleet = Fleet("statements")
    try:
        fleet.start_postgres()
        with fleet.admin("certctl") as c:
            c.execute(f"SET search_path = {code_schema()}, public")
            yield c
    finally:
        fleet.close()


def test_every_statement_can_be_prepared(cursor):
    texts = statements()
    nouns = {f"{noun}_{verb}" for noun in ("team", "owner", "renewal_policy", "issuer", "target")
             for verb in ("list", "total", "get", "create", "update", "delete")}
    assert nouns <= set(texts) and len(texts) > 150
    for name, (_, text) in texts.items():
        cursor.execute(f"PREPARE {name} AS {text}")
    cursor.execute("SELECT name, cardinality(parameter_types) FROM pg_prepared_statements")
    assert dict(cursor.fetchall()) == {name: nparams for name, (nparams, _) in texts.items()}
