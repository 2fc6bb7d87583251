"""
No numbered migration takes away what the release before still names
(migrations/released.txt; docs/internals/database.md says why and how to change
a table all the same).
"""
import pytest

import released
from fleet import Fleet

NOT_SANITIZED = "SQL alone"

LINES = released.LIST.read_text(encoding="ascii").splitlines()


@pytest.fixture(scope="module")
def server():
    fleet = Fleet("released")
    try:
        fleet.start_postgres()
        yield fleet
    finally:
        fleet.close()


@pytest.fixture
def cursor(server, unique):
    """In a database of this tree's tables and functions."""
    name = unique("r").replace("-", "_")
    with server.admin("postgres") as c:
        c.execute(f"CREATE DATABASE {name} TEMPLATE certctl")
    with server.admin(name) as c:
        yield c


def after(cursor, *migrations):
    """The tables once these are applied as well."""
    for text in migrations:
        cursor.execute(text)
    return released.Catalog(cursor)


def test_the_release_before_finds_all_it_names(cursor):
    assert len(LINES) > 300
    assert released.lost(LINES, after(cursor)) == []


@pytest.mark.parametrize("migration, words", [
    ("ALTER TABLE certificate_requests DROP COLUMN csr_pem", "column certificate_requests.csr_pem is gone"),
    ("ALTER TABLE jobs RENAME COLUMN last_error TO error", "column jobs.last_error is gone"),
    ("ALTER TABLE notification_events RENAME TO notifications", "table notification_events is gone"),
    ("DROP TABLE idempotency_keys", "table idempotency_keys is gone"),
    ("DO $$ BEGIN EXECUTE 'ALTER TABLE ' || 'teams DROP COLUMN ' || 'description'; END $$", "column teams.description is gone"),
    ("DROP SEQUENCE lease_seq", "sequence lease_seq is gone"),
    ("ALTER TABLE certificate_versions ALTER COLUMN key_size TYPE text", "column certificate_versions.key_size was integer and is text"),
    ("ALTER TABLE jobs ADD COLUMN why text NOT NULL", "column jobs.why is new and must be given"),
    ("ALTER TABLE jobs ALTER COLUMN last_error SET NOT NULL", "column jobs.last_error must be given now"),
    ("ALTER TABLE teams DROP CONSTRAINT teams_name_key", "the unique index on teams (name) is gone"),
])
def test_a_bad_migration_is_refused(cursor, migration, words):
    found = released.lost(LINES, after(cursor, migration))
    assert [line for line in found if line.startswith(words)], found


def test_a_good_one_is_not(cursor):
    """What only adds, and what takes away that nobody names."""
    assert released.lost(LINES, after(
        cursor, "ALTER TABLE jobs ADD COLUMN why text, ADD COLUMN n int NOT NULL DEFAULT 0", "CREATE TABLE fresh (id text PRIMARY KEY)",
        "CREATE INDEX jobs_why ON jobs (why)", "ALTER TABLE jobs DROP COLUMN why", "DROP TABLE fresh")) == []


def test_the_list_is_made_of_what_is_named(cursor):
    """As at the next release: it holds what the code calls by name, and not what it doesn't."""
    lines = released.names(after(cursor, "ALTER TABLE jobs ADD COLUMN nobody_says_this text"))
    assert "table jobs" in lines and "column jobs.lease_id bigint optional" in lines and "sequence lease_seq" in lines
    assert not [line for line in lines if "nobody_says_this" in line]
    assert released.lost(lines, released.Catalog(cursor)) == []
