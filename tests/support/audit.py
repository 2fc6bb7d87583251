"""
The format of the audit trail's blocks (docs/internals/audit.md) written down
a second time, for the tests: nothing of it is shared with the product.
"""
import hashlib
import struct

ROW = ("epoch", "xid", "seq", "timestamp_us", "id", "actor", "actor_type", "action", "resource_type", "resource_id",
       "event_category", "details")
BLOCK = ("n", "epoch", "from_xid", "to_xid", "rows", "oldest_us", "newest_us", "sealed_us", "merkle_root", "rows_hash",
         "previous_hash")
ROWS_SQL = ("SELECT epoch, xid::text, seq, (extract(epoch FROM timestamp) * 1000000)::bigint, id, actor, actor_type, action, "
            "resource_type, resource_id, event_category, coalesce(details::text, '') FROM audit_events "
            "e ORDER BY e.epoch, e.xid, e.seq")
BLOCKS_SQL = ("SELECT n, epoch, from_xid::text, to_xid::text, rows, (extract(epoch FROM oldest) * 1000000)::bigint, "
              "(extract(epoch FROM newest) * 1000000)::bigint, (extract(epoch FROM sealed_at) * 1000000)::bigint, "
              "encode(merkle_root, 'hex'), encode(rows_hash, 'hex'), encode(previous_hash, 'hex'), encode(hash, 'hex'), "
              "row_marks FROM audit_blocks ORDER BY n")
DETAILS = '{"n": 1, "text": "a:b,c\\u00e9"}'


def netstrings(*fields):
    return b"".join(b"%d:%s," % (len(f), f) for f in (str(f).encode() for f in fields))


def leaf(fields):
    return hashlib.sha256(b"\0" + netstrings("certctl-audit-row-1", *fields)).digest()


def root(leaves):
    """By the recursive definition of RFC 9162; the product goes level by level."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()


def check(fleet):
    """Every row is in exactly one block, and every block holds; the blocks."""
    rows = fleet.query(ROWS_SQL)
    blocks = fleet.query(BLOCKS_SQL)
    previous, seen = "00" * 32, []
    for block in blocks:
        mine = [r for r in rows if r[0] == block[1] and int(block[2]) <= int(r[1]) < int(block[3])]
        leaves = [leaf(r) for r in mine]
        marks = b"".join(struct.pack(">q", r[2]) + h[:8] for r, h in zip(mine, leaves))
        assert block[4] == len(mine), block[:5]
        assert bytes(block[12]) == marks, block[:5]
        assert block[8] == root(leaves).hex() and block[9] == hashlib.sha256(marks).hexdigest()
        assert block[10] == previous
        previous = hashlib.sha256(b"\2" + netstrings("certctl-audit-block-1", *block[:11])).hexdigest()
        assert block[11] == previous
        seen += [r[2] for r in mine]
    assert sorted(seen) == sorted(r[2] for r in rows), "a row in no block, or in two"
    return blocks


def write(fleet, n=1, actor="tester"):
    """n rows in one transaction; their seq."""
    return [r[0] for r in fleet.query(
        "INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details) "
        "SELECT %s, 'User', 'tested', 'test', 'res-' || i, %s::jsonb FROM generate_series(1, %s) i RETURNING seq",
        actor, DETAILS, n)]


def seal(fleet, limit=5000):
    """Until nothing is left that may be sealed."""
    while fleet.query("SELECT is_behind FROM audit_seal(%s)", limit)[0][0]:
        pass


def anchor(fleet, n):
    """As verify prints it for that block."""
    return fleet.value("SELECT n || ':' || encode(hash, 'hex') || '@' || to_char(sealed_at AT TIME ZONE 'UTC', "
                       "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM audit_blocks WHERE n = %s", n)


def is_in_a_block(fleet, seq):
    return fleet.value("SELECT count(*) FROM audit_events e JOIN audit_blocks b ON b.epoch = e.epoch AND e.xid >= b.from_xid "
                       "AND e.xid < b.to_xid WHERE e.seq = %s", seq)


def tamper(fleet, *statements):
    """As who owns the cluster may: past every trigger."""
    with fleet.admin() as c:
        c.execute("SET session_replication_role = replica")
        for sql in statements:
            c.execute(sql)


def forget_all(fleet):
    tamper(fleet, "TRUNCATE audit_events, audit_blocks, audit_verification", "DELETE FROM audit_epochs WHERE n > 1",
           "UPDATE audit_epochs SET system_identifier = (SELECT system_identifier FROM pg_control_system()) WHERE n = 1",
           "INSERT INTO audit_verification DEFAULT VALUES", "DELETE FROM duties WHERE name LIKE 'audit%'")
