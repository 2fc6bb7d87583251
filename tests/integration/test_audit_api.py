"""
The audit trail over the API: lists and their filters, one event, and what a
verifier reads.
"""
import json
import time

import pytest

import audit
from fleet import API_KEY, Fleet, duty_words
from memory import MEASURED, rss_kb
from rawtls import RawTls

WORDS = duty_words("audit_chain_verify")

LIST = "/api/v1/audit"


@pytest.fixture(scope="module")
def stack():
    fleet = Fleet("audit_api")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True, **MEASURED)
        yield fleet
    finally:
        fleet.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


@pytest.fixture
def trail(stack):
    audit.forget_all(stack)
    audit.write(stack, 3, "alice")
    with stack.admin() as c:
        c.execute("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, event_category, details) "
                  "VALUES ('bob', 'APIKey', 'create_issuer', 'issuer', 'iss-1', 'config', '{\"a\": \"<b>\"}')")
    return stack


def ids(reply):
    return [(e["actor"], e["resource_id"]) for e in reply["data"]]


def test_newest_first_in_pages(trail):
    reply = trail.api.need("GET", f"{LIST}?per_page=2")
    assert ids(reply) == [("bob", "iss-1"), ("alice", "res-3")]
    assert (reply["total"], reply["page"], reply["per_page"]) == (4, 1, 2)
    assert ids(trail.api.need("GET", f"{LIST}?per_page=2&page=2")) == [("alice", "res-2"), ("alice", "res-1")]
    event = reply["data"][0]
    assert event["details"] == {"a": "<b>"} and event["event_category"] == "config" and event["timestamp"].endswith("Z")
    assert set(event) == {"id", "actor", "actor_type", "action", "resource_type", "resource_id", "details", "timestamp",
                          "event_category"}


@pytest.mark.parametrize("query, found", [
    ("category=config", 1), ("category=auth", 0), ("actor=alice", 3), ("action=create_issuer", 1), ("resource_type=test", 3),
    ("resource_id=res-2", 1), ("actor=alice&resource_id=iss-1", 0), ("since=2020-01-01T00:00:00Z", 4),
    ("until=2020-01-01T00:00:00Z", 0), ("since=2020-01-01T00:00:00Z&until=2999-01-01T00:00:00%2B02:00", 4)])
def test_filters(trail, query, found):
    reply = trail.api.need("GET", f"{LIST}?{query}")
    assert (len(reply["data"]), reply["total"]) == (found, found)


@pytest.mark.parametrize("query", ["category=other", "since=yesterday", "until=2020-13-01T00:00:00Z",
                                   "since=2020-01-02T00:00:00Z&until=2020-01-02T00:00:00Z"])
def test_unusable_filters_are_refused(trail, query):
    status, reply = trail.api.get(f"{LIST}?{query}")
    assert status == 400 and reply["message"]


def test_one_event_by_its_id_or_its_resource(trail):
    event = trail.api.need("GET", LIST)["data"][1]
    assert trail.api.need("GET", f"{LIST}/{event['id']}") == event
    assert trail.api.need("GET", f"{LIST}/res-3") == event
    for other in (event["id"][:-1] + "99999", "audit-1", "audit-9999999999999999999", "nothing"):
        assert trail.api.get(f"{LIST}/{other}")[0] == 404
        assert trail.api.get(f"{LIST}/{other}/proof")[0] == 404


def test_what_a_verifier_reads(trail):
    api = trail.api
    audit.seal(trail, 2)
    blocks = api.need("GET", f"{LIST}/blocks")["data"]
    assert [b["rows"] for b in blocks] == ["3", "1"]
    assert api.need("GET", f"{LIST}/blocks?after=1")["data"] == blocks[1:]
    assert api.need("GET", f"{LIST}/blocks?limit=1")["data"] == blocks[:1]
    rows = api.need("GET", f"{LIST}/rows?epoch=1")["data"]
    assert [tuple(r[f] for f in audit.ROW) for r in rows] == [tuple(str(f) for f in r) for r in trail.query(audit.ROWS_SQL)]
    last = rows[1]
    assert api.need("GET", f"{LIST}/rows?epoch=1&after_xid={last['xid']}&after_seq={last['seq']}")["data"] == rows[2:]
    assert api.need("GET", f"{LIST}/rows?epoch=1&before_xid={rows[3]['xid']}")["data"] == rows[:3]
    assert api.need("GET", f"{LIST}/rows?epoch=2")["data"] == []
    marks = api.need("GET", f"{LIST}/blocks/1/marks")["row_marks"]
    assert len(marks) == 3 * 32
    assert api.get(f"{LIST}/blocks/9/marks")[0] == 404 and api.get(f"{LIST}/blocks/x/marks")[0] == 400


def test_how_far_sealing_has_come(trail):
    api = trail.api
    before = api.need("GET", f"{LIST}/seal")
    assert (before["last_block"], before["unsealed"]) == (0, 4) and before["lag_ms"] > 0
    audit.seal(trail)
    trail.query("SELECT audit_chain_verify(100, %s)", WORDS)
    after = api.need("GET", f"{LIST}/seal")
    block = api.need("GET", f"{LIST}/blocks")["data"][-1]
    assert (after["last_block"], after["last_hash"]) == (1, block["hash"])
    assert (after["unsealed"], after["lag_ms"], after["rounds"], after["rows_checked"], after["broken_block"]) == (0, 0, 1, 4, 0)


def test_an_event_that_is_in_no_block_has_no_proof_yet(trail):
    event = trail.api.need("GET", LIST)["data"][0]
    status, reply = trail.api.get(f"{LIST}/{event['id']}/proof")
    assert status == 409 and "no block yet" in reply["message"]


RANGE = "from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z"


def export(fleet, query, **more):
    return fleet.api.get(f"{LIST}/export?{query}", **more)


def ninety_days(fleet):
    return fleet.value("""SELECT to_char((now() - interval '80 days') AT TIME ZONE 'UTC', '"from="YYYY-MM-DD"T00:00:00Z"')
        || to_char((now() + interval '1 day') AT TIME ZONE 'UTC', '"&to="YYYY-MM-DD"T00:00:00Z"')""")


def test_an_export_is_lines_and_an_event_itself(trail):
    audit.write(trail, 4100, "many")
    status, text = export(trail, ninety_days(trail))
    events = [json.loads(line) for line in text.splitlines()]
    assert status == 200 and len(events) == 4104
    assert len({e["id"] for e in events}) == 4104
    assert events[0] == trail.api.need("GET", f"{LIST}/{events[0]['id']}")
    event = trail.api.need("GET", LIST)["data"][0]
    assert (event["action"], event["actor"], event["details"]["rows"]) == ("audit.export", "admin", 4104)
    event = trail.api.need("GET", LIST)["data"][1]  # written before anything left
    assert event["action"] == "audit.export" and "rows" not in event["details"]
    status, text = export(trail, ninety_days(trail) + "&limit=2001")
    assert [json.loads(line) for line in text.splitlines()] == events[:2001]
    assert len(export(trail, ninety_days(trail) + "&category=config")[1]["id"]) > 0  # one line is one object
    assert export(trail, RANGE) == (200, None) == export(trail, RANGE + "&limit=100000")


@pytest.mark.parametrize("query", ["", "from=2020-01-01T00:00:00Z", "to=2020-01-01T00:00:00Z", RANGE + "&category=x",
                                   "from=2020-01-01T00:00:00Z&to=2020-03-31T00:00:01Z", "from=2020-01-02T00:00:00Z&to=2020-01-01T00:00:00Z",
                                   "from=2020-01-02&to=x", RANGE + "&limit=0", RANGE + "&limit=x", RANGE + "&limit=100001"])
def test_an_export_of_what_is_refused(trail, query):
    status, reply = export(trail, query)
    assert status == 400 and reply["message"]


def test_a_long_export_is_whole_and_waits_for_its_reader(trail):
    """More lines than memory would hold for many readers; one that stops reading stops the reading of pages."""
    audit.write(trail, 60000, "long")
    pid = trail.processes["apiserver"].pid
    request = (f"GET {LIST}/export?{ninety_days(trail)} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {API_KEY}\r\n"
               "Connection: close\r\n\r\n")
    before = rss_kb(pid)
    readers = [RawTls(trail, 30) for _ in range(4)]
    for c in readers:
        c.send(request)
    time.sleep(2)
    assert rss_kb(pid) - before < 24 * 1024
    slow, gone = readers[0], readers[1:]
    for c in gone:
        c.close()
    while slow.receive():
        assert rss_kb(pid) - before < 24 * 1024
    head, _, rest = slow.rest.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head and b"Connection: close" in head
    lines, size = b"", None
    while size != 0:
        number, _, rest = rest.partition(b"\r\n")
        size = int(number, 16)
        lines += rest[:size]
        assert rest[size:size + 2] == b"\r\n"
        rest = rest[size + 2:]
    slow.close()
    assert rest == b"" and len({json.loads(line)["id"] for line in lines.splitlines()}) == len(lines.splitlines()) > 60000
    assert trail.value("SELECT details->>'rows' FROM audit_events WHERE action = 'audit.export' AND details ? 'rows' "
                       "ORDER BY timestamp DESC LIMIT 1") == str(len(lines.splitlines()))


@pytest.mark.parametrize("n", [1, 512 * 1024 - 1, 512 * 1024, 512 * 1024 + 1, 3 * 1024 * 1024])
def test_a_long_attachment_comes_whole(trail, n):
    """In pieces that end at characters, not bytes."""
    content = ("é" + "0123456789" * 20) * (n // 201) + "x" * (n % 201)
    trail.query("SELECT bulk_audit('renew', 'tester', 'APIKey', '{}', ROW (1, 1, 0, ARRAY[%s], NULL, NULL, NULL, NULL, 0, false))", content)
    event = trail.value("SELECT id FROM audit_events WHERE resource_id = 'bulk' ORDER BY seq DESC LIMIT 1")
    status, text = trail.api.get(f"{LIST}/{event}/attachment")
    assert status == 200 and text == content


def test_reading_is_not_exporting(trail):
    trail.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id) "
                "VALUES ('ar-view', 'viewer', 'APIKey', 'r-viewer', 't-default') ON CONFLICT DO NOTHING")
    key = f"viewer-{API_KEY}"
    assert trail.api.get(LIST, key=key)[0] == 200
    assert export(trail, RANGE, key=key)[0] == 403


def test_who_may_read_it(trail):
    for path in ("", "/seal", "/blocks", "/blocks/1/marks", "/rows", "/export", "/some", "/some/proof"):
        assert trail.api.get(LIST + path, key="")[0] == 401
        assert trail.api.get(LIST + path, key="nobody-0123456789abcdef0123456789abcdef")[0] == 401
