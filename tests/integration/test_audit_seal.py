"""
Sealing the audit trail on a real PostgreSQL: no row is left out or sealed
twice, whatever commits when; the chain is what its description says.
"""
import threading

import psycopg2
import pytest

import audit
from conftest import fleets
from fleet import duty_words, wait_for

WORDS = duty_words("audit_chain_verify")


@pytest.fixture(scope="module")
def cluster():
    for fleet in fleets("audit"):
        fleet.start_postgres()
        yield fleet


@pytest.fixture
def db(cluster):
    """An audit trail without a row, and no scheduler."""
    audit.forget_all(cluster)
    yield cluster
    scheduler = cluster.processes.pop("scheduler-1", None)
    if scheduler:
        scheduler.stop()


def connect(fleet, role="postgres"):
    return fleet.connect(role)


def start_row(fleet):
    """A transaction that wrote one row and stays open: (connection, seq)."""
    connection = connect(fleet)
    with connection.cursor() as c:
        c.execute("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id) "
                  "VALUES ('late', 'User', 'tested', 'test', 'late') RETURNING seq")
        return connection, c.fetchone()[0]


def test_a_late_commit_lands_in_a_later_block(db):
    before = audit.write(db, 3)
    late, seq = start_row(db)
    after = audit.write(db, 3)
    audit.seal(db)
    assert [audit.is_in_a_block(db, s) for s in before] == [1] * 3
    # Later ones wait with it: they would be in front of it otherwise.
    assert [audit.is_in_a_block(db, s) for s in after] == [0] * 3
    assert db.value("SELECT audit_is_sealed_before(now() + interval '1 day')") is False
    blocks = db.value("SELECT max(n) FROM audit_blocks")
    rows, behind, lag_ms = db.query("SELECT * FROM audit_seal(100)")[0]
    assert (rows, behind) == (0, False) and lag_ms >= 0
    assert db.value("SELECT max(n) FROM audit_blocks") == blocks
    late.commit()
    late.close()
    audit.seal(db)
    assert len(audit.check(db)) == blocks + 1
    assert audit.is_in_a_block(db, seq) == 1
    assert db.value("SELECT audit_is_sealed_before(now() + interval '1 day')") is True


def test_rolled_back_rows_are_no_loss(db):
    late, seq = start_row(db)
    audit.write(db)
    late.rollback()
    late.close()
    audit.seal(db)
    audit.check(db)
    assert audit.is_in_a_block(db, seq) == 0


def test_savepoints_keep_the_transactions_id(db):
    connection = connect(db)
    with connection.cursor() as c:
        c.execute("SAVEPOINT a")
        c.execute("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id) VALUES ('a', 'b', 'c', 'd', 'e')")
        audit.write(db)
        audit.seal(db)
        c.execute("RELEASE a")
    connection.commit()
    connection.close()
    audit.seal(db)
    audit.check(db)


def test_eight_writers_while_the_scheduler_seals(db):
    audit.write(db, 1)
    db.start_scheduler(CERTCTL_AUDIT_SEAL_INTERVAL="100ms")
    wait_for(lambda: db.value("SELECT count(*) FROM audit_blocks WHERE rows > 0") == 1, 20, "the first block")
    errors = []

    def writer(number):
        try:
            connection = connect(db, "certctl_apiserver")
            with connection.cursor() as c:
                for i in range(150):
                    c.execute("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id) "
                              "SELECT %s, 'User', 'tested', 'test', 'r' || n FROM generate_series(1, %s) n", (f"w{number}", i % 4 + 1))
                    (connection.rollback if i % 10 == 3 else connection.commit)()
            connection.close()
        except Exception as e:  # noqa: BLE001 - told below
            errors.append(e)
    threads = [threading.Thread(target=writer, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    wait_for(lambda: db.value("SELECT count(*) FROM audit_blocks WHERE rows > 0") > 1, 20, "blocks while rows are written")
    for t in threads:
        t.join()
    assert not errors, errors
    wait_for(lambda: db.value("SELECT audit_is_sealed_before('infinity')"), 20, "all to be sealed")
    audit.check(db)
    assert db.value("SELECT sum(rows) FROM audit_blocks") == db.value("SELECT count(*) FROM audit_events")


def test_blocks_are_cut_between_transactions(db):
    for n in (5, 1, 40, 3, 3, 3):
        audit.write(db, n)
    audit.seal(db, 10)
    blocks = audit.check(db)
    assert db.value("SELECT count(DISTINCT b.n) - count(DISTINCT e.xid) FROM audit_events e JOIN audit_blocks b "
                    "ON e.xid >= b.from_xid AND e.xid < b.to_xid") <= 0
    assert max(b[4] for b in blocks) == 40 and sum(b[4] for b in blocks) == 55


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 1000])
def test_trees_of_any_size(db, n):
    audit.write(db, n)
    audit.seal(db)
    audit.check(db)


def test_text_that_looks_like_another_field(db):
    for actor in ("a,1:b", "é€𝄞", "x" * 255, ""):
        audit.write(db, 1, actor)
    audit.seal(db)
    audit.check(db)


def test_another_cluster_is_another_epoch(db):
    """As after a dump was restored elsewhere: ids start anew, nothing is lost."""
    audit.write(db, 2)
    audit.seal(db)
    unsealed = audit.write(db, 2)
    audit.tamper(db, "UPDATE audit_epochs SET system_identifier = 1 WHERE n = 1")
    with db.admin() as c:
        c.execute("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id) "
                  "VALUES ('new', 'User', 'tested', 'test', 'r') RETURNING epoch, xid")
        epoch, xid = c.fetchone()
        assert epoch == 2
    # What is left of the old epoch has ids from another cluster: higher than any here.
    audit.tamper(db, f"UPDATE audit_events SET xid = '99999999' WHERE seq IN {tuple(unsealed)}")
    audit.seal(db)
    blocks = audit.check(db)
    assert [b[1] for b in blocks] == [1, 1, 2] and blocks[2][2] == "0" and int(blocks[2][3]) > int(xid)
    assert db.query("SELECT fault FROM audit_chain_verify(1000, %s)", WORDS) == [(None,)]


def test_a_recovery_begins_another_epoch(db):
    """In the same cluster, whose sessions know the epoch of before and may have rows under way."""
    audit.write(db, 2)
    audit.seal(db)
    known = connect(db)
    known.autocommit = True
    insert = ("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id) "
              "VALUES ('known', 'User', 'tested', 'test', 'r') RETURNING epoch, seq")
    with known.cursor() as c:
        c.execute(insert)
        assert c.fetchone()[0] == 1
    late, seq = start_row(db)
    db.plant("INSERT INTO journal_ahead (issuer_id, serial_number, job_id, journalled_at, host) VALUES ('iss-gone', '51', 'job-1', now(), 'h')")
    thread = threading.Thread(target=lambda: db.query("SELECT recover('who', 'User', 'put back')"))
    thread.start()
    wait_for(lambda: db.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT recover%%'") == 1,
             60, "the recovery to wait for the row under way")
    late.commit()
    thread.join()
    with known.cursor() as c:
        c.execute(insert)
        epoch, after = c.fetchone()
    known.close()
    assert epoch == 2
    audit.seal(db)
    assert [audit.is_in_a_block(db, s) for s in (seq, after)] == [1, 1]
    assert [b[1] for b in audit.check(db)] == [1, 1, 2]
    assert db.query("SELECT fault FROM audit_chain_verify(1000, %s)", WORDS) == [(None,)]
    details = db.value("SELECT details FROM audit_events WHERE action = 'database_recovered' AND epoch = 2")
    assert (details["epoch"], details["copy_seq"], details["copy_block"]) == (2, seq, 1)


def test_ids_that_went_back_are_told(db):
    audit.write(db)
    audit.seal(db)
    audit.tamper(db, "UPDATE audit_blocks SET to_xid = '99999999'")
    with pytest.raises(psycopg2.Error, match="transaction ids went back"):
        audit.seal(db)


def test_nobody_changes_a_block(db):
    audit.write(db)
    audit.seal(db)
    for table, column in (("audit_events", "seq"), ("audit_blocks", "rows"), ("audit_epochs", "system_identifier")):
        for sql in (f"UPDATE {table} SET {column} = 7", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
            with pytest.raises(psycopg2.errors.CheckViolation, match="append-only"):
                db.query(sql)


def test_a_writer_does_not_choose_its_place(db):
    for column, value in (("xid", "'5'"), ("seq", "5"), ("epoch", "0"), ("timestamp", "'2020-01-01'"), ("id", "'x'")):
        connection = connect(db, "certctl_apiserver")
        with connection.cursor() as c, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            c.execute(f"INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, {column}) "
                      f"VALUES ('a', 'b', 'c', 'd', 'e', {value})")
        connection.close()


@pytest.mark.parametrize("sql, told", [
    ("UPDATE audit_events SET actor = 'other' WHERE seq = {seq}", "a row of block 2 was changed"),
    ("DELETE FROM audit_events WHERE seq = {seq}", "block 2 was sealed with 5 rows and has 4"),
    ("UPDATE audit_blocks SET merkle_root = sha256('x') WHERE n = 2", "block 2 was changed"),
    ("UPDATE audit_blocks SET sealed_at = now() WHERE n = 2", "block 2 was changed"),
    ("DELETE FROM audit_blocks WHERE n = 2", "block 2 is missing"),
])
def test_the_duty_finds_what_was_tampered_with(db, sql, told):
    seqs = []
    for _ in range(3):
        seqs.append(audit.write(db, 5))
        audit.seal(db)
    audit.tamper(db, sql.format(seq=seqs[1][2]))
    scheduler = db.start_scheduler(CERTCTL_AUDIT_CHAIN_VERIFY_INTERVAL="1s")
    what = wait_for(lambda: db.value("SELECT broken_what FROM audit_verification"), 20, "the fault to be found")
    assert told in what
    wait_for(lambda: f"tampered with: {what}" in scheduler.log(), 10, "the alarm")


def test_verifying_goes_on_where_it_was_and_round_again(db):
    for _ in range(5):
        audit.write(db, 10)
        audit.seal(db)
    seen = []
    for _ in range(4):
        seen.append(db.query("SELECT rows, is_at_end, fault, last_n FROM audit_chain_verify(20, %s)", WORDS)[0])
    assert seen == [(20, False, None, 2), (20, False, None, 4), (10, True, None, 5), (20, False, None, 2)]
    assert db.query("SELECT next_n, rounds, blocks, rows FROM audit_verification") == [(3, 1, 7, 70)]


def test_rows_that_retention_removed_are_no_fault(db):
    audit.write(db, 4)
    with db.admin() as c:
        c.execute("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, timestamp) "
                  "SELECT 'old', 'User', 'tested', 'test', 'r', audit_kept_from() FROM generate_series(1, 3)")
    audit.seal(db)
    audit.write(db, 2)
    audit.seal(db)
    name = db.value("SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                    "WHERE i.inhparent = 'audit_events'::regclass ORDER BY 1 LIMIT 1")
    db.query(f"ALTER TABLE audit_events DETACH PARTITION {name}")
    assert db.query("SELECT is_at_end, fault FROM audit_chain_verify(1000, %s)", WORDS) == [(True, None)]
    # The rows of blocks that are younger still count.
    audit.tamper(db, "DELETE FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)")
    assert "has 1" in db.query("SELECT fault FROM audit_chain_verify(1000, %s)", WORDS)[0][0]
    db.query(f"ALTER TABLE {name} RENAME TO removed")
    db.query("SELECT audit_partitions_ensure()")
