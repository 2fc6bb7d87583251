"""
Each process's database role can do what it needs and not what others need: the
API can't read a CA's key, nobody can rewrite the audit trail.
"""
import psycopg2
import pytest

from fleet import code_schema

API, SCHEDULER, WORKER = "certctl_apiserver", "certctl_scheduler", "certctl_worker"
# Who may read what is a secret or leads to one.
READERS = {
    "ca_keys": {WORKER},
    "api_keys": {API},
    "ca_certificates": {API, WORKER},
    "audit_events": {API},
    "leadership": {API, SCHEDULER},
    "certificate_requests": {API, WORKER},
    "certificate_chains": {API},
}


@pytest.fixture(scope="module")
def used(plane):
    """After one renewal, so that every table has rows."""
    plane.start_site("demo").renew_and_wait()
    return plane


def connect(plane, role):
    connection = plane.connect(role)
    connection.autocommit = True
    return connection


def refused(plane, role, sql):
    connection = connect(plane, role)
    try:
        with connection.cursor() as c:
            c.execute(sql)
    except psycopg2.errors.InsufficientPrivilege:
        return True
    finally:
        connection.close()
    return False


@pytest.mark.parametrize("role", [API, SCHEDULER, WORKER])
@pytest.mark.parametrize("table", sorted(READERS))
def test_who_reads_what(used, role, table):
    assert refused(used, role, f"SELECT * FROM {table}") == (role not in READERS[table])


def test_there_is_a_key_to_protect(used):
    assert used.value("SELECT count(*) FROM ca_keys") == 1
    sealed = bytes(used.value("SELECT key_sealed FROM ca_keys"))
    assert len(sealed) > 64 and b"PRIVATE" not in sealed and b"\x30\x77" != sealed[:2]


@pytest.mark.parametrize("sql", [
    "SELECT key_sealed FROM ca_keys", "COPY ca_keys TO STDOUT", "UPDATE ca_keys SET key_sealed = ''", "DELETE FROM ca_keys",
    "CREATE VIEW v AS SELECT * FROM ca_keys", "SELECT ca_root_store('iss-local', '', '', now(), now(), '', '', 'next')",
    "SELECT jobs_claim('', 1, '', 'iss-local', 1, '-infinity', '', 60000)", "SELECT issue_complete('', 1, '{}', '{}', '{}', '{}', '{}', '')",
    "SELECT job_finish('{}', '{}', '{}')", "UPDATE jobs SET status = 'Completed'", "DELETE FROM jobs",
    "UPDATE certificate_versions SET pem_chain = ''", "DELETE FROM managed_certificates", "DELETE FROM audit_events",
    "UPDATE audit_events SET actor = 'x'", "TRUNCATE audit_events", "DROP TABLE jobs", "ALTER TABLE audit_events DISABLE TRIGGER ALL",
    "CREATE TABLE t (x int)", "SET ROLE postgres", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "INSERT INTO certificate_requests VALUES ('x', 'x', '')", "UPDATE certificate_requests SET csr_pem = ''",
    "UPDATE certificate_chains SET pem = ''", "DELETE FROM certificate_chains", "SELECT certificate_chain_keep('x')",
    "SELECT pg_read_file('/etc/passwd')", "COPY teams TO PROGRAM 'true'", "SELECT leadership_hold('x', 'y', 1000)",
])
def test_the_api_may_not(used, sql):
    assert refused(used, API, sql)


@pytest.mark.parametrize("sql", [
    "SELECT * FROM managed_certificates", "SELECT * FROM jobs", "SELECT * FROM api_keys", "UPDATE jobs SET status = 'Completed'",
    "SELECT ca_root_store('iss-local', '', '', now(), now(), '', '', 'next')", "SELECT issue_complete('', 1, '{}', '{}', '{}', '{}', '{}', '')",
    "SELECT csr_submit('', '', NULL, '', '', '', '{}')", "INSERT INTO audit_events (actor) VALUES ('x')", "DELETE FROM workers",
    "UPDATE leadership SET term = 99", "CREATE TABLE t (x int)",
])
def test_the_scheduler_may_not(used, sql):
    assert refused(used, SCHEDULER, sql)


@pytest.mark.parametrize("sql", [
    "SELECT * FROM api_keys", "SELECT * FROM agents", "UPDATE jobs SET status = 'Completed'", "DELETE FROM ca_keys",
    "UPDATE ca_keys SET key_sealed = ''", "INSERT INTO ca_certificates DEFAULT VALUES", "UPDATE issuers SET config = '{}'",
    "SELECT jobs_claim('', 1, '', 'iss-local', 1, '-infinity', '', 60000)", "SELECT leadership_hold('x', 'y', 1000)",
    "SELECT csr_submit('', '', NULL, '', '', '', '{}')", "SELECT jobs_enqueue('{}', '', '', true, true, true)",
    "INSERT INTO certificate_versions DEFAULT VALUES", "UPDATE managed_certificates SET status = 'Active'",
    "INSERT INTO audit_events (actor) VALUES ('x')", "CREATE TABLE t (x int)", "UPDATE certificate_requests SET csr_pem = ''",
    "SELECT certificate_chain_keep('x')", "SELECT certificate_chains_forget('{1}')", "SELECT certificate_requests_forget('{x}')",
])
def test_a_worker_may_not(used, sql):
    assert refused(used, WORKER, sql)


def test_no_role_is_more_than_a_login(used):
    for role in (API, SCHEDULER, WORKER):
        assert used.query("SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication FROM pg_roles "
                          "WHERE rolname = %s", role) == [(False,) * 5]
        assert used.value("SELECT count(*) FROM pg_tables WHERE tableowner = %s", role) == 0


def test_every_function_is_closed_to_the_public(used):
    open_ones = used.query(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = %s::regnamespace "
        "AND (p.proacl IS NULL OR EXISTS (SELECT 1 FROM aclexplode(p.proacl) a WHERE a.grantee = 0))", code_schema())
    assert open_ones == []
    strangers = used.query("SELECT n.nspname, a.grantee::regrole::text FROM pg_namespace n, aclexplode(n.nspacl) a "
                           "WHERE n.nspname = %s AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner", code_schema())
    assert strangers == []


def test_not_even_the_owner_changes_the_audit_trail(used):
    for sql in ("DELETE FROM audit_events", "UPDATE audit_events SET actor = 'x'", "TRUNCATE audit_events"):
        with pytest.raises(psycopg2.errors.CheckViolation):
            used.query(sql)
