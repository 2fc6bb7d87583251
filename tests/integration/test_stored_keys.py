"""
Keys of the database are made, rotated and deleted over the API; each is shown
once, and nobody comes to a key that holds more than they do.
"""
import hashlib

import pytest

from fleet import wait_for
from test_grants import AUTH, a_key, alone, api, grant, held_by, plane, said, soon  # noqa: F401 (fixtures)

KEYS = f"{AUTH}/keys"
SHOWN = {"actor_id", "api_key_id", "key_value", "created_at", "message"}


def made(plane, name, **more):
    """(answer, its API) of a key that was made."""
    status, key = plane.api.post(KEYS, {"name": name} | more)
    assert status == 201, key
    return key, api(plane, key["key_value"])


def test_a_key_is_made_and_shown_once(plane):
    key, by = made(plane, "made-1")
    assert set(key) == SHOWN and key["actor_id"] == "made-1" and len(bytes.fromhex(key["key_value"])) == 32
    me = by.need("GET", f"{AUTH}/me")
    assert (me["actor_id"], me["roles"], me["effective_permissions"], me["admin"]) == ("made-1", [], [], False)
    assert {"actor_id": "made-1", "actor_type": "APIKey", "tenant_id": "t-default", "role_ids": []} in plane.api.need("GET", KEYS)["keys"]
    assert plane.value("SELECT key_hash FROM api_keys WHERE name = 'made-1'") == hashlib.sha256(key["key_value"].encode()).hexdigest()
    # No table or log holds its text.
    for table in ("api_keys", "audit_events", "actor_roles"):
        assert plane.value(f"SELECT count(*) FROM {table} t WHERE strpos(t::text, %s) > 0", key["key_value"]) == 0
    assert not [f for f in plane.dir.rglob("*.log") if key["key_value"] in f.read_text(errors="replace")]


@pytest.mark.parametrize("body, status", [
    ({}, 400), ({"name": 7}, 400), ({"name": "ab"}, 400), ({"name": "Abc"}, 400), ({"name": "-abc"}, 400), ({"name": "x" * 65}, 400),
    ({"name": "a b c"}, 400), ([], 400), ({"name": "fine", "expires_at": "2020-01-01T00:00:00Z"}, 400), ({"name": "fine", "expires_at": "x"}, 400),
    ({"name": "admin"}, 409), ({"name": "actor-demo-anon"}, 409), ({"name": "legacy-key-3"}, 409), ({"name": "agent-bootstrap"}, 409)])
def test_a_key_is_refused(plane, body, status):
    assert said(plane.api.post(KEYS, body))[0] == status
    assert not plane.value("SELECT count(*) FROM api_keys WHERE name IN ('fine', 'admin', 'actor-demo-anon')")


def test_a_name_is_one_keys(plane):
    made(plane, "made-2")
    assert said(plane.api.post(KEYS, {"name": "made-2"}))[0] == 409
    # Nor is one given that still holds roles: whoever makes the key would come to them.
    plane.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id) VALUES ('left', 'left-over', 'APIKey', 'r-admin', 't-default')")
    assert said(plane.api.post(KEYS, {"name": "left-over"}))[0] == 409


def test_a_key_ends(plane):
    key, by = made(plane, "made-3", expires_at=soon(hours=1))
    assert key["expires_at"] and by.get(f"{AUTH}/me")[0] == 200
    plane.query("UPDATE api_keys SET expires_at = now() WHERE name = 'made-3'")
    wait_for(lambda: by.get(f"{AUTH}/me")[0] == 401, 5, "its end")
    assert said(plane.api.post(f"{KEYS}/made-3/rotate", {}))[0] == 409


def test_rotation_leaves_the_old_key_a_while(plane):
    old, by_old = made(plane, "made-4")
    assert grant(plane.api, "made-4", "r-viewer")[0] == 204
    status, new = plane.api.post(f"{KEYS}/made-4/rotate", {})
    assert status == 200 and set(new) == SHOWN | {"old_key_until"}
    assert new["key_value"] != old["key_value"] and new["api_key_id"] == old["api_key_id"]
    by_new = api(plane, new["key_value"])
    assert by_old.get("/api/v1/teams")[0] == by_new.get("/api/v1/teams")[0] == 200
    assert plane.value("SELECT old_until BETWEEN now() + interval '50 minutes' AND now() + interval '1 hour' FROM api_keys WHERE name = 'made-4'")
    # It ends by itself, and with the next rotation at once.
    plane.query("UPDATE api_keys SET old_until = now() WHERE name = 'made-4'")
    wait_for(lambda: by_old.get("/api/v1/teams")[0] == 401, 5, "the old key's end")
    _, newer = plane.api.post(f"{KEYS}/made-4/rotate", {"grace_seconds": 600})
    assert by_new.get("/api/v1/teams")[0] == 200
    _, newest = plane.api.post(f"{KEYS}/made-4/rotate", {"grace_seconds": 0})
    assert "old_key_until" not in newest
    assert [api(plane, k["key_value"]).get("/api/v1/teams")[0] for k in (new, newer, newest)] == [401, 401, 200]


@pytest.mark.parametrize("name, body, status", [
    ("nobody", {}, 404), ("reader", {}, 409), ("made-5", {"grace_seconds": -1}, 400), ("made-5", {"grace_seconds": 2592001}, 400),
    ("made-5", {"grace_seconds": "1h"}, 400), ("made-5", [], 400)])
def test_a_rotation_is_refused(plane, name, body, status):
    if name == "made-5" and not plane.value("SELECT count(*) FROM api_keys WHERE name = 'made-5'"):
        made(plane, name)
    assert said(plane.api.post(f"{KEYS}/{name}/rotate", body))[0] == status
    assert not plane.value("SELECT count(*) FROM api_keys WHERE name = 'made-5' AND old_hash IS NOT NULL")


def test_nobody_comes_to_a_key_that_holds_more(plane):
    _, cli = a_key(plane, "r-cli")
    for target in (a_key(plane, "r-admin")[0], a_key(plane, "r-auditor")[0], a_key(plane, ("r-admin", "iss-a"))[0]):
        status, message = said(cli.post(f"{KEYS}/{target}/rotate", {}))
        assert status == 403 and "more than you do" in message
    boss, _ = a_key(plane)
    plane.query("UPDATE api_keys SET admin = true WHERE name = %s", boss)
    assert said(cli.post(f"{KEYS}/{boss}/rotate", {}))[0] == 403
    reader, _ = a_key(plane, "r-viewer")
    assert cli.post(f"{KEYS}/{reader}/rotate", {})[0] == 200


def test_ones_own_key_is_rotated_and_ends_no_later(plane):
    name, by = a_key(plane, "r-cli", until=soon(hours=1))
    before = plane.value("SELECT expires_at FROM api_keys WHERE name = %s", name)
    status, new = by.post(f"{KEYS}/{name}/rotate", {"grace_seconds": 0, "expires_at": soon(hours=9)})
    assert status == 200 and by.get(f"{AUTH}/me")[0] == 401 and api(plane, new["key_value"]).get(f"{AUTH}/me")[0] == 200
    assert plane.value("SELECT expires_at FROM api_keys WHERE name = %s", name) == before


def test_a_deleted_key_is_gone_at_once_with_its_roles(plane):
    key, by = made(plane, "made-6")
    assert grant(plane.api, "made-6", "r-viewer")[0] == 204 and by.get("/api/v1/teams")[0] == 200
    _, old = key, by
    _, new = plane.api.post(f"{KEYS}/made-6/rotate", {})
    assert plane.api.call("DELETE", f"{KEYS}/made-6")[0] == 204
    assert old.get("/api/v1/teams")[0] == api(plane, new["key_value"]).get("/api/v1/teams")[0] == 401
    assert held_by(plane, "made-6") == []
    assert said(plane.api.call("DELETE", f"{KEYS}/made-6"))[0] == 404
    assert said(plane.api.call("DELETE", f"{KEYS}/reader"))[0] == 409
    # The name is free again, and nothing comes with it.
    again, by = made(plane, "made-6")
    assert by.get("/api/v1/teams")[0] == 403


def test_who_may_not(plane):
    _, viewer = a_key(plane, "r-viewer")
    target, _ = a_key(plane)
    _, cli = a_key(plane, "r-cli")
    assert [viewer.post(KEYS, {"name": "made-7"})[0], viewer.post(f"{KEYS}/{target}/rotate", {})[0],
            viewer.call("DELETE", f"{KEYS}/{target}")[0], cli.call("DELETE", f"{KEYS}/{target}")[0]] == [403] * 4


def test_the_last_administrators_key_stays(alone):
    alone.query("DELETE FROM actor_roles WHERE role_id = 'r-admin'")
    name, by = a_key(alone, "r-admin")
    assert said(by.call("DELETE", f"{KEYS}/{name}"))[0] == 409
    other, _ = a_key(alone, "r-admin", until=soon(hours=1))
    assert said(by.call("DELETE", f"{KEYS}/{name}"))[0] == 409, "the other ends"
    assert by.call("DELETE", f"{KEYS}/{other}")[0] == 204
    a_key(alone, "r-admin")
    assert by.call("DELETE", f"{KEYS}/{name}")[0] == 204
