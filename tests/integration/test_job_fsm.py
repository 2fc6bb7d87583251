"""
The database lets a job's status change as common/job/job_fsm.c says, and in no
other way, whoever asks for it.
"""
import itertools
import json
import re
import subprocess

import psycopg2
import pytest

from fleet import BUILD, ROOT, clean_env, code_text, duty_words, job_words

STATES = ("Pending", "Running", "AwaitingCSR", "AwaitingApproval", "Completed", "Failed", "Cancelled")


def printed(option):
    return subprocess.run([BUILD / "tools" / "job_fsm_diagram", option], text=True, capture_output=True, check=True,
                          env=clean_env()).stdout


ALLOWED = set(re.findall(r"\('(\w+)', '(\w+)'\)", printed("--values")))


@pytest.fixture(scope="module")
def jobs(basics):
    basics.make_certificate("c")
    return basics


def row(status):
    """Columns that a job of that status must have."""
    return {"id": "job-fsm", "type": "Renewal", "certificate_id": "c", "issuer_id": "iss-local", "status": status,
            "completed_at": "2026-01-01" if status in ("Completed", "Failed", "Cancelled") else None, "leased_by": "w"}


def insert(cursor, status):
    values = row(status)
    cursor.execute(f"INSERT INTO jobs ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})", list(values.values()))


def is_refused(jobs, before, after):
    connection = jobs.connect()
    try:
        with connection.cursor() as c:
            if before != "none":
                c.execute("SET session_replication_role = replica")
                insert(c, before)
                c.execute("SET session_replication_role = origin")
            if before == "none":
                insert(c, after)
            else:
                c.execute("UPDATE jobs SET status = %s, completed_at = %s WHERE id = 'job-fsm'", (after, row(after)["completed_at"]))
    except psycopg2.errors.CheckViolation as e:
        assert e.diag.constraint_name == "jobs_fsm" and "job-fsm" in e.diag.message_detail
        return True
    finally:
        connection.rollback()
        connection.close()
    return False


def test_the_guard_is_made_from_the_table():
    assert (ROOT / "migrations" / "code" / "98_triggers_jobs.sql").read_text() == printed("--sql"), (
        "make it anew: build/tools/job_fsm_diagram --sql > migrations/code/98_triggers_jobs.sql")


def test_there_is_something_to_allow_and_to_refuse():
    assert {("none", "Pending"), ("Pending", "Running"), ("Running", "Completed")} <= ALLOWED
    assert 10 < len(ALLOWED) < 25 and {s for pair in ALLOWED for s in pair} == {"none", *STATES}


@pytest.mark.parametrize("before,after", itertools.product(("none", *STATES), STATES))
def test_every_change(jobs, before, after):
    assert is_refused(jobs, before, after) == (before != after and (before, after) not in ALLOWED)


def test_what_is_folded_is_judged_as_it_is_stored(jobs):
    """Other letter cases of a status come from operators' SQL."""
    assert is_refused(jobs, "none", "COMPLETED") and not is_refused(jobs, "none", "pending")
    assert is_refused(jobs, "Completed", "RUNNING") and not is_refused(jobs, "Pending", "running")


def test_words_are_those_that_sql_names():
    """The sentences are C's: SQL has none, and names no word that is not there."""
    words = json.loads(job_words())
    assert words.pop("v") == 1 and len(words) > 10
    text = re.sub(r"--.*", "", code_text())
    cases = re.findall(r"job_say\(p_words, CASE (.*?) END", text, re.S)
    named = (set(re.findall(r"job_say\(p_words, '(\w+)'", text)) | set(re.findall(r"THEN '(nonsense_\w+)'", text))
             | {word for case in cases for word in re.findall(r"(?:THEN|ELSE) '(\w+)'", case)})
    assert named == set(words)
    said = set(re.findall(r"audit_say\(p_words, '(\w+)'", text))
    assert len(said) > 5 and said == set(json.loads(duty_words("audit_chain_verify")))
    assert set(json.loads(duty_words("expiry_alerts"))) == {"expired", "expires"}
    assert all(re.findall("%.?", s) in ([], ["%s"]) for s in words.values())


def test_sql_says_nothing_to_people():
    """A literal of several words is a sentence; what RAISE says is for who wrote the statement."""
    paths = sorted((ROOT / "migrations" / "code").glob("*.sql"))
    assert len(paths) > 10
    for path in paths:
        text = re.sub(r"RAISE EXCEPTION[^;]*;", "", re.sub(r"--.*", "", path.read_text()))
        literals = re.findall(r"(interval )?'((?:[^'\n]|'')*)'", text)
        assert literals, path
        found = {m for unit, s in literals if not unit for m in re.findall(r"[a-z']+(?: [a-z']+){2,}", s)}
        assert not found, path


def test_sql_makes_no_answer():
    """JSON for clients is C's; SQL writes it into columns, and gives back what a column holds, here a
    target's configuration and the details of an audit event, or one array."""
    statements = [found for path in sorted((ROOT / "common" / "sql").glob("*.sql"))
                  for found in re.findall(r"^-- name: (\w+)(.*?);$", path.read_text(), re.M | re.S)]
    assert len(statements) > 80
    for name, text in statements:
        # The line of a worker's journal, which certctl recover gives back to SQL.
        if name == "issue_jobs":
            continue
        # A profile's row, whole, for the one place that reads what it demands (common/pki/profile).
        text = text.replace("row_to_json(p)::text END AS profile", "END AS profile")
        # A row of a job that is not made is asked about; its values never leave SQL.
        text = text.replace("jsonb_populate_record(NULL::jobs, jsonb_build_object(", "(")
        # Who asked, in the column of a task that a worker reads.
        text = text.replace("jsonb_build_object('actor', $2::text, 'actor_type', $3::text)", "")
        assert "INSERT INTO audit_events" in text or not re.search(r"jsonb?_(?:build|agg|object|strip)|row_to_json", text), name
    code = re.sub(r"--.*", "", code_text())
    returning = re.findall(r"CREATE FUNCTION (\w+)\([^$]*?\bRETURNS ((?:[^$](?!LANGUAGE))*)", code)
    assert len(returning) > 100
    assert {name for name, result in returning if re.search(r"\bjsonb?\b", result)} == {
        "acme_orders_create", "acme_orders_look", "agent_work", "audit_shown", "certificate_now", "policy_alert_tiers", "recover"}
    assert not re.findall(r"\bjson_\w+|\bto_jsonb?\(|row_to_json", code)
