#!/usr/bin/python3
"""Checks what `certctl audit prove ID` wrote, with nothing but a known hash.

    check_audit_proof.py PROOF.json BLOCK_HASH

BLOCK_HASH is the 64 hex digits of the block that the proof names, from a place
that whoever made the proof can't change: a line of the scheduler's log, an
older `certctl audit verify`, a colleague's notebook.  Exit status 0: the event
stood in that block, exactly as shown.
"""
import hashlib
import json
import sys

EVENT = ("epoch", "xid", "seq", "timestamp_us", "id", "actor", "actor_type", "action", "resource_type", "resource_id",
         "event_category", "details")
BLOCK = ("n", "epoch", "from_xid", "to_xid", "rows", "oldest_us", "newest_us", "sealed_us", "merkle_root", "rows_hash",
         "previous_hash")


def digest(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def netstrings(name, fields, names):
    texts = [name] + [fields[n] for n in names]
    return b"".join(b"%d:%s," % (len(t), t) for t in (x.encode() for x in texts))


def root_of(leaf, index, rows, path):
    if not 0 <= index < rows:
        sys.exit("REFUSED: the block has no row of that number")
    path = [bytes.fromhex(p) for p in path]
    while rows > 1:
        if index % 2 == 1:
            leaf = digest(b"\1", path.pop(0), leaf)
        elif index + 1 < rows:
            leaf = digest(b"\1", leaf, path.pop(0))
        index, rows = index // 2, (rows + 1) // 2
    if path:
        sys.exit("REFUSED: the path is too long")
    return leaf


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as f:
        proof = json.load(f)
    event, block = proof["event"], proof["block"]
    leaf = digest(b"\0", netstrings("certctl-audit-row-1", event, EVENT))
    root = root_of(leaf, int(proof["leaf_index"]), int(block["rows"]), proof["path"]).hex()
    if root != block["merkle_root"]:
        sys.exit("REFUSED: the event does not lead to the block's root")
    if not event["epoch"] == block["epoch"] or not int(block["from_xid"]) <= int(event["xid"]) < int(block["to_xid"]):
        sys.exit("REFUSED: the event does not belong to that block")
    if digest(b"\2", netstrings("certctl-audit-block-1", block, BLOCK)).hex() != sys.argv[2].lower():
        sys.exit("REFUSED: the block is not the one with that hash")
    print(f"proved: {event['id']} stood in block {block['n']}: {event['actor']} {event['action']} "
          f"{event['resource_type']} {event['resource_id']} {event['details']}")


try:
    main()
except (KeyError, IndexError, ValueError, TypeError, AttributeError, OSError) as e:
    sys.exit(f"REFUSED: this is no proof ({type(e).__name__}: {e})")
