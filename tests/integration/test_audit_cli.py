"""
certctl audit: what was tampered with is found and named; a proof is checked by
a program that shares nothing with the product.
"""
import json
import subprocess
import sys
import threading

import pytest

import audit
from fleet import ROOT, clean_env, duty_words, wait_for

WORDS = duty_words("audit_chain_verify")

BLOCKS = 4
ROWS = 6


@pytest.fixture
def trail(stack):
    """Blocks 1 to 4 of 6 rows; trail.seqs[block - 1][i]."""
    audit.forget_all(stack)
    stack.seqs = []
    for _ in range(BLOCKS):
        stack.seqs.append(audit.write(stack, ROWS))
        audit.seal(stack)
    return stack


def verify(fleet, *arguments):
    done = fleet.cli("audit", "verify", "-o", "json", *arguments)
    assert done.returncode in (0, 1), done.stderr
    reply = json.loads(done.stdout)
    assert (done.returncode == 1) == bool(reply["faults"])
    return reply


def id_of(fleet, seq):
    return fleet.value("SELECT id FROM audit_events WHERE seq = %s", seq)


def test_a_trail_as_it_was_sealed(trail):
    reply = verify(trail)
    assert reply == {"faults": [], "blocks": 4, "rows": 24, "restores": [], "removed_up_to": 0, "unsealed": 0, "last_block": 4,
                     "last_hash": trail.value("SELECT encode(hash, 'hex') FROM audit_blocks WHERE n = 4"), "anchor": "none",
                     "next_anchor": audit.anchor(trail, 4)}
    assert (verify(trail, "--from", "3")["blocks"], verify(trail, "--from", "3")["rows"]) == (2, 12)
    assert verify(trail, "--anchor", f"4:{reply['last_hash']}")["faults"] == []
    done = trail.cli("audit", "verify")
    assert done.returncode == 0 and f"--anchor {reply['next_anchor']}\n" in done.stdout
    assert verify(trail, "--anchor", reply["next_anchor"])["anchor"] == "found"
    audit.write(trail, 2)
    assert verify(trail)["unsealed"] == 2


@pytest.mark.parametrize("column, value", [
    ("actor", "'other'"), ("actor_type", "'System'"), ("action", "'x'"), ("resource_type", "'x'"), ("resource_id", "'x'"),
    ("details", "'{}'"), ("details", "NULL"), ("event_category", "'auth'"), ("id", "id || '0'"),
    ("timestamp", "timestamp + interval '1 us'")])
def test_a_changed_field(trail, column, value):
    seq = trail.seqs[1][2]
    audit.tamper(trail, f"UPDATE audit_events SET {column} = {value} WHERE seq = {seq}")
    assert verify(trail)["faults"] == [f"block 2: row changed: {id_of(trail, seq)} (number {seq})"]


def test_a_missing_row(trail):
    seq = trail.seqs[2][5]
    audit.tamper(trail, f"DELETE FROM audit_events WHERE seq = {seq}")
    assert verify(trail)["faults"] == [f"block 3: row missing: number {seq}"]


def test_an_added_row(trail):
    audit.tamper(trail, "INSERT INTO audit_events (id, actor, actor_type, action, resource_type, resource_id, seq, xid) "
                 f"SELECT 'audit-forged', 'a', 'b', 'c', 'd', 'e', 7000, xid FROM audit_events WHERE seq = {trail.seqs[0][0]}")
    assert verify(trail)["faults"] == ["block 1: row added: audit-forged (number 7000)"]


def test_two_rows_that_changed_places(trail):
    a, b = trail.seqs[1][0], trail.seqs[1][4]
    ids = id_of(trail, a), id_of(trail, b)
    audit.tamper(trail, f"UPDATE audit_events SET seq = {a + b} - seq WHERE seq IN ({a}, {b})")
    assert verify(trail)["faults"] == [f"block 2: order changed: row {ids[1]} was number {b} and is number {a}",
                                       f"block 2: order changed: row {ids[0]} was number {a} and is number {b}"]


def test_a_row_that_moved_to_another_block(trail):
    seq = trail.seqs[1][3]
    audit.tamper(trail, f"UPDATE audit_events SET xid = (SELECT xid FROM audit_events WHERE seq = {trail.seqs[3][0]}) WHERE seq = {seq}")
    assert verify(trail)["faults"] == [f"block 2: row missing: number {seq}", f"block 4: row added: {id_of(trail, seq)} (number {seq})"]


@pytest.mark.parametrize("column, value", [
    ("merkle_root", "sha256('x')"), ("rows", "5"), ("oldest", "now()"), ("sealed_at", "now()"), ("rows_hash", "sha256('x')"),
    ("from_xid", "'1'"), ("previous_hash", "sha256('x')")])
def test_a_changed_block(trail, column, value):
    audit.tamper(trail, f"UPDATE audit_blocks SET {column} = {value} WHERE n = 2")
    assert "block 2: block changed: its hash is not that of its fields" in verify(trail)["faults"]
    assert {f.split(":")[0] for f in verify(trail)["faults"]} == {"block 2"}


def test_a_missing_block(trail):
    audit.tamper(trail, "DELETE FROM audit_blocks WHERE n = 2")
    assert verify(trail)["faults"] == ["block missing: 2"]
    audit.tamper(trail, "DELETE FROM audit_blocks WHERE n = 3")
    assert verify(trail)["faults"] == ["blocks missing: 2 to 3"]


REHASH = ("UPDATE audit_blocks b SET hash = audit_block_hash(b) WHERE n = 2")


def test_a_row_and_its_block_changed_together(trail):
    seq = trail.seqs[1][2]
    audit.tamper(trail, f"UPDATE audit_events SET actor = 'other' WHERE seq = {seq}",
                 "UPDATE audit_blocks b SET merkle_root = (SELECT audit_merkle_root(r.leaves) FROM audit_rows_of(b.epoch, b.from_xid, "
                 "b.to_xid) r) WHERE n = 2", REHASH)
    assert verify(trail)["faults"] == ["block 3: it does not follow block 2; one of them was replaced"]


def test_marks_that_were_changed_too(trail):
    audit.tamper(trail, f"UPDATE audit_events SET actor = 'other' WHERE seq = {trail.seqs[1][2]}",
                 "UPDATE audit_blocks SET row_marks = set_byte(row_marks, 40, 255 - get_byte(row_marks, 40)) WHERE n = 2")
    assert verify(trail)["faults"] == [
        "block 2: its rows are not those that were sealed, and what would name them was changed too"]


def test_what_only_an_anchor_finds(trail):
    anchor = f"4:{verify(trail)['last_hash']}"
    # Sealed anew from the beginning, after a row was changed.
    audit.tamper(trail, f"UPDATE audit_events SET actor = 'other' WHERE seq = {trail.seqs[0][0]}", "TRUNCATE audit_blocks")
    audit.seal(trail, 1)
    assert verify(trail)["faults"] == []
    assert verify(trail, "--anchor", anchor)["faults"] == ["block 4: it is not the one that was noted; the chain was written anew"]
    audit.tamper(trail, "DELETE FROM audit_blocks WHERE n > 2")
    assert verify(trail, "--anchor", anchor)["faults"] == ["blocks missing: 3 to 4, which there were"]


def restore(trail):
    """The last two blocks are gone, and the event of the recovery that tells it is in a block of its own."""
    audit.tamper(trail, "DELETE FROM audit_blocks WHERE n > 2", f"DELETE FROM audit_events WHERE seq >= {trail.seqs[2][0]}")
    trail.query("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details) VALUES "
                "('op', 'User', 'database_recovered', 'database', '', '{\"epoch\": 2, \"copy_block\": 2}')")
    audit.seal(trail)


@pytest.mark.parametrize("n, blocks", [(4, 3), (9, 0)])
def test_an_anchor_in_a_gap_that_a_recovery_named(trail, n, blocks):
    """A block of that number is there again, or none."""
    lost = audit.anchor(trail, 4).replace("4:", f"{n}:", 1)
    kept, gone = audit.anchor(trail, 2), audit.anchor(trail, 3)
    restore(trail)
    for _ in range(blocks):
        audit.write(trail, ROWS)
        audit.seal(trail)
    reply = verify(trail, "--anchor", lost)
    assert (reply["faults"], reply["anchor"], len(reply["restores"])) == ([], "gone", 1)
    done = trail.cli("audit", "verify", "--anchor", lost)
    assert done.returncode == 0 and f"block {n}, as it was noted, is gone: it lay in the gap that the recovery on " in done.stdout
    assert verify(trail, "--anchor", gone)["anchor"] == "gone" and verify(trail, "--anchor", kept)["anchor"] == "found"


def test_a_gap_explains_no_other_anchor(trail):
    """Not one of before the copy, nor of after the recovery, nor one that does not say when."""
    before, bare = audit.anchor(trail, 2), audit.anchor(trail, 4).split("@", maxsplit=1)[0]
    restore(trail)
    audit.write(trail, ROWS)
    audit.seal(trail)
    after = audit.anchor(trail, 4)
    reply = verify(trail, "--anchor", bare)
    assert reply["anchor"] == "fault" and len(reply["faults"]) == 1, reply
    assert "block 4: it is not the one that was noted" in reply["faults"][0] and "the gap that the recovery on" in reply["faults"][0]
    audit.tamper(trail, f"UPDATE audit_events SET actor = 'other' WHERE seq = {trail.seqs[0][0]}", "TRUNCATE audit_blocks")
    audit.seal(trail, 1)
    for anchor, n in ((before, 2), (after, 4)):
        assert verify(trail, "--anchor", anchor)["faults"] == [f"block {n}: it is not the one that was noted; the chain was written anew"]


def test_blocks_cut_off_after_the_server_had_seen_them(trail):
    trail.query("SELECT audit_chain_verify(18, %s)", WORDS)
    audit.tamper(trail, "DELETE FROM audit_blocks WHERE n > 2")
    assert verify(trail)["faults"] == ["blocks missing: 3 to 3, which there were"]


@pytest.fixture
def listed(trail):
    """A bulk call's event in block 5, with its list beside it; the event's id."""
    trail.query("DELETE FROM audit_attachments")
    trail.query("SELECT bulk_audit('renew', 'tester', 'APIKey', '{}', ROW (1, 1, 0, ARRAY['mc-1'], ARRAY['job-1'], NULL, NULL, NULL, 0, false))")
    audit.seal(trail)
    return trail.value("SELECT id FROM audit_events WHERE resource_id = 'bulk'")


LISTED = '[{"certificate_id":"mc-1","job_id":"job-1"}]'


def test_an_attachment_is_read_and_checked(trail, listed):
    assert verify(trail)["faults"] == []
    assert trail.query("SELECT fault FROM audit_chain_verify(1000, %s)", WORDS) == [(None,)]
    done = trail.cli("audit", "attachment", listed)
    assert (done.returncode, done.stdout) == (0, LISTED + "\n"), done.stderr
    assert trail.cli("audit", "attachment", id_of(trail, trail.seqs[0][0])).returncode == 3
    assert trail.cli("audit", "attachment", "audit-1").returncode == 3
    assert trail.cli("audit", "attachment").returncode == 2


@pytest.mark.parametrize("sql, fault", [("UPDATE audit_attachments SET content = '[]'", "changed"),
                                        ("UPDATE audit_attachments SET content = '[]', sha256 = encode(sha256('[]'), 'hex')", "changed"),
                                        ("DELETE FROM audit_attachments", "missing")])
def test_an_attachment_that_was_tampered_with(trail, listed, sql, fault):
    audit.tamper(trail, sql)
    assert verify(trail)["faults"] == [f"block 5: attachment {fault}: of {listed}"]
    assert trail.query("SELECT fault FROM audit_chain_verify(1000, %s)", WORDS) == [
        (f"the attachment of {listed} in block 5 was changed or removed",)]
    done = trail.cli("audit", "attachment", listed)
    assert done.stdout == "" and done.returncode == (3 if fault == "missing" else 1)


@pytest.mark.parametrize("arguments", [("--from", "x"), ("--from", "0"), ("--anchor", "4"), ("--anchor", "4:abc"), ("--anchor", f"4:{64 * 'a'}@now"),
                                       ("--anchor", f"4:{64 * 'a'}@2026-11-28T12:00:00"), ("--from", "3", "--anchor", f"2:{64 * 'a'}"), ("more",)])
def test_wrong_usage(trail, arguments):
    assert trail.cli("audit", "verify", *arguments).returncode == 2


def test_from_a_block_that_is_not_there(trail):
    assert trail.cli("audit", "verify", "--from", "9").returncode == 3


def test_verifying_while_rows_are_written_and_commit_late(stack):
    """No false alarm, however rows come and go meanwhile."""
    audit.forget_all(stack)
    scheduler = stack.start_scheduler(CERTCTL_AUDIT_SEAL_INTERVAL="100ms")
    stop = threading.Event()

    def writer():
        connection = stack.connect("certctl_apiserver")
        with connection.cursor() as c:
            while not stop.is_set():
                for i in range(3):
                    c.execute("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id) "
                              "VALUES ('w', 'User', 'tested', 'test', 'r')")
                connection.commit()
                # All of them are verified at each look, so they are written no faster than that.
                stop.wait(0.02)
        connection.close()
    threads = [threading.Thread(target=writer) for _ in range(3)]
    for t in threads:
        t.start()
    try:
        reply = wait_for(lambda: (lambda r: r["blocks"] > 15 and r)(verify(stack)), 30, "some blocks", every=0)
        assert reply["faults"] == [] and reply["rows"] > 0
    finally:
        stop.set()
        for t in threads:
            t.join()
    wait_for(lambda: stack.value("SELECT audit_is_sealed_before('infinity')"), 20, "all to be sealed")
    scheduler.stop()
    reply = verify(stack)
    assert (reply["faults"], reply["rows"]) == ([], stack.value("SELECT count(*) FROM audit_events"))


def test_more_rows_than_a_page_and_more_blocks(trail):
    audit.write(trail, 12000)
    for _ in range(600):
        audit.write(trail)
    audit.seal(trail, 1)
    reply = verify(trail)
    assert (reply["faults"], reply["blocks"], reply["rows"]) == ([], 605, 24 + 12600)


def test_an_epoch_after_a_restore(trail):
    audit.write(trail, 2)
    audit.tamper(trail, "UPDATE audit_epochs SET system_identifier = 1 WHERE n = 1")
    with trail.admin() as c:
        c.execute("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id) "
                  "VALUES ('new', 'User', 'tested', 'test', 'r')")
    audit.seal(trail)
    reply = verify(trail)
    assert (reply["faults"], reply["blocks"], reply["rows"]) == ([], 6, 27)
    event = trail.api.need("GET", "/api/v1/audit")["data"][0]
    assert event["actor"] == "new"
    audit.tamper(trail, "UPDATE audit_events SET actor = 'other' WHERE actor = 'new'")
    assert verify(trail)["faults"][0].startswith("block 6: row changed: ")


def test_lists_and_one_event(trail):
    done = trail.cli("audit", "list", "--actor", "tester", "--per-page", "2")
    assert done.returncode == 0 and "2 of 24" in done.stdout and done.stdout.count("tested") == 2
    event = trail.api.need("GET", "/api/v1/audit")["data"][0]["id"]
    assert event in trail.cli("audit", "get", event).stdout
    assert trail.cli("audit", "get", "audit-1").returncode == 3


# --- proofs ---

def check(path, block_hash):
    return subprocess.run([sys.executable, ROOT / "tools/check_audit_proof.py", path, block_hash], text=True, capture_output=True,
                          check=False, env=clean_env())


@pytest.fixture
def proof(trail, tmp_path):
    """(path, object, hash of its block) of one row in a block of 7 with an odd end."""
    audit.write(trail, 7)
    audit.seal(trail)
    block_hash = trail.value("SELECT encode(hash, 'hex') FROM audit_blocks ORDER BY n DESC LIMIT 1")
    event = trail.value("SELECT id FROM audit_events ORDER BY seq DESC LIMIT 1")
    done = trail.cli("audit", "prove", event)
    assert done.returncode == 0 and block_hash in done.stderr
    path = tmp_path / "proof.json"
    path.write_text(done.stdout)
    return path, json.loads(done.stdout), block_hash


def test_a_proof_holds_for_every_row(trail, tmp_path):
    for n in (1, 2, 3, 5):
        audit.write(trail, n)
        audit.seal(trail)
    hashes = dict(trail.query("SELECT n::text, encode(hash, 'hex') FROM audit_blocks"))
    events = trail.query("SELECT id FROM audit_events WHERE seq > %s", trail.seqs[-1][-1])
    assert len(events) >= 11
    for (event,) in events:
        reply = trail.api.need("GET", f"/api/v1/audit/{event}/proof")
        (tmp_path / "p").write_text(json.dumps(reply))
        done = check(tmp_path / "p", hashes[reply["block"]["n"]])
        assert done.returncode == 0 and f"proved: {event}" in done.stdout, done.stderr


def test_a_proof_with_one_byte_changed_is_refused(proof):
    path, good, block_hash = proof
    assert check(path, block_hash).returncode == 0
    bad = [(block_hash[:-1] + ("0" if block_hash[-1] != "0" else "1"), good)]
    for part in ("event", "block"):
        for key, value in good[part].items():
            if (part, key) != ("block", "hash"):
                bad.append((block_hash, good | {part: good[part] | {key: value + "1"}}))
    bad.append((block_hash, good | {"leaf_index": "5"}))
    bad.append((block_hash, good | {"path": good["path"][:-1]}))
    bad.append((block_hash, good | {"path": [*good["path"], "00" * 32]}))
    bad.append((block_hash, good | {"path": ["00" * 32, *good["path"][1:]]}))
    bad.append((block_hash, {k: v for k, v in good.items() if k != "block"}))
    for known, forged in bad:
        path.write_text(json.dumps(forged))
        done = check(path, known)
        assert done.returncode == 1 and "REFUSED" in done.stderr, forged


def test_no_proof_of_what_was_changed(trail):
    seq = trail.seqs[1][2]
    audit.tamper(trail, f"UPDATE audit_events SET actor = 'other' WHERE seq = {seq}")
    for other in (seq, trail.seqs[1][0]):
        done = trail.cli("audit", "prove", id_of(trail, other))
        assert done.returncode == 1 and "--from 2" in done.stderr and not done.stdout
    assert trail.cli("audit", "prove", id_of(trail, trail.seqs[0][0])).returncode == 0
    assert trail.cli("audit", "prove", "audit-0").returncode == 3
