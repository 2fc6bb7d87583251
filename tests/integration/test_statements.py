"""
Every statement of the programs, written or made of a noun's description, is one
that PostgreSQL can plan over this tree's tables and functions.
"""
import re

from fleet import ROOT
from statements import statements

NOT_SANITIZED = "PostgreSQL alone works: statements are explained"


def test_every_statement_can_be_prepared(cursor):
    texts = statements()
    nouns = {f"{noun}_{verb}" for noun in ("team", "owner", "renewal_policy", "issuer", "target")
             for verb in ("list", "total", "get", "create", "update", "delete")}
    assert nouns <= set(texts) and len(texts) > 150
    for name, (_, text) in texts.items():
        cursor.execute(f"PREPARE {name} AS {text}")
    cursor.execute("SELECT name, cardinality(parameter_types) FROM pg_prepared_statements")
    assert dict(cursor.fetchall()) == {name: nparams for name, (nparams, _) in texts.items()}


def test_no_plan_kept_from_an_empty_table_walks_it(cursor):
    """Sessions plan while there is no job yet, and keep those plans while a hundred thousand come in."""
    calls = {
        "worker_renew('w', 'w', 'h', 1, '', 1, 60000)": "jobs_leased",
        "worker_renew('x', 'x', 'h', 1, '', 1, 60000)": "jobs_died",
        "lanes_due('{}', '{}', '{}')": "jobs_leased",
        "jobs_claim('s', 1, 'w', 'iss-walk', 256, '-infinity', '', 60000)": "jobs_queue",
        "issue_complete('w', 1, '{j}', '{p}', '{f}', '{a}', '{1}', '')": "jobs_leased",
        "leases_free('s', 1, 'w', '{}', 0, '{}')": "jobs_leased",
        "leases_free('s', 1, NULL, NULL, 0, '{}')": "jobs_leased",
        "tasks_due('-infinity', '', 0)": "tasks_queue",
        "tasks_claim('s', 1, 'w', 256, '-infinity', '', 60000)": "tasks_queue",
    }
    cursor.execute("INSERT INTO issuers (id, name, type) VALUES ('iss-walk', 'walk', 'GenericCA')")
    cursor.execute("UPDATE leadership SET term = 1, holder = 's', expires_at = 'infinity'")
    cursor.execute("VACUUM ANALYZE jobs, tasks, managed_certificates")
    cursor.execute("LOAD 'auto_explain'")
    cursor.execute("SELECT set_config('auto_explain.' || n, v, false) FROM (VALUES ('log_min_duration', '0'), "
                   "('log_nested_statements', 'on')) s (n, v)")
    cursor.execute("SET client_min_messages = log")
    cursor.connection.notices = plans = []
    for call, index in calls.items():
        plans.clear()
        cursor.execute(f"SELECT * FROM {call}")
        text = "".join(plans)
        assert f"using {index}" in text, call
        assert not re.findall(r"Seq Scan on (?:jobs|tasks|managed_certificates)\b", text), call


def test_what_serves_many_is_planned_once(cursor):
    """Looks at rows for few at a time: a plan for each call took thirty times as long as the call, and most of PostgreSQL's time."""
    cursor.execute("INSERT INTO agents (id, name, hostname, api_key_hash) SELECT 'a' || i, 'a' || i, 'h', '' FROM generate_series(1, 3000) i")
    cursor.execute("VACUUM ANALYZE agents")
    text = (ROOT / "apiserver/assemble.c").read_text(encoding="utf-8")
    gathered = {name.lower() for name in re.findall(r"gather_new\([^;]*?Q_(\w+)", text)}
    assert {"agents_polled", "cert_gets", "acme_orders_create"} <= gathered
    for name in sorted(gathered | {"agents_heartbeat", "agents_heartbeat_past"}):
        nparams, statement = statements()[name]
        arrays = {int(n) for n in re.findall(r"\$(\d+)::text\[\]", statement)}
        cursor.execute(f"PREPARE many_{name} AS {statement}")
        for _ in range(8):
            cursor.execute("EXECUTE many_{} ({})".format(name, ", ".join("'{}'" if i in arrays else "'x'" for i in range(1, nparams + 1))))
        cursor.execute("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = %s", (f"many_{name}",))
        generic, custom = cursor.fetchone()
        assert (generic, custom) == (3, 5), name  # the first five, by which they are compared, are always custom
