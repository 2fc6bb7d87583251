"""
Agent groups: the routes with good and bad input, who is named as a member, and
whom the rules match.
"""
import pytest

from test_rest import refused

GROUPS = "/api/v1/agent-groups"
DEFAULTS = {"description": "", "match_os": "", "match_architecture": "", "match_ip_cidr": "", "match_version": "", "enabled": True}


@pytest.fixture(scope="module")
def agents(stack):
    """By name: its id; each once, with what it says of itself."""
    rows = {"linux-a": ("linux", "amd64", "10.0.1.7", "1.0"), "linux-b": ("Linux", "arm64", "10.0.2.7", "1.1"),
            "windows": ("windows", "amd64", "2001:db8::7", "1.0"), "silent": ("", "", "", ""), "odd": ("linux", "amd64", "not an address", "1.0")}
    for name, (os, arch, ip, version) in rows.items():
        stack.query("INSERT INTO agents (id, name, hostname, api_key_hash, os, architecture, ip_address, version) VALUES "
                    "(%s, %s, 'h', %s, %s, %s, %s, %s)", f"agent-{name}", name, name, os, arch, ip, version)
    stack.query("INSERT INTO agents (id, name, hostname, api_key_hash, os, retired_at) VALUES ('agent-gone', 'gone', 'h', 'gone', 'linux', now())")
    return stack


def members(api, group, **query):
    status, reply = api.get(f"{GROUPS}/{group}/members" + ("?matched=true" if query else ""))
    assert status == 200 and reply["total"] == reply["per_page"] == len(reply["data"]) and reply["page"] == 1, reply
    return [a["name"] for a in reply["data"]]


def test_defaults_and_all_fields(stack, api, unique):
    name = unique("group")
    made = api.need("POST", GROUPS, {"name": name})
    assert made["id"].startswith("ag-") and {k: made[k] for k in DEFAULTS} == DEFAULTS and "warnings" not in made
    assert set(made) == {"id", "name", "created_at", "updated_at"} | set(DEFAULTS)
    full = {"description": "x", "match_os": "linux", "match_architecture": "amd64", "match_ip_cidr": "10.0.0.0/8", "match_version": "1.0",
            "enabled": False}
    changed = api.need("PUT", f"{GROUPS}/{made['id']}", full)
    assert {k: changed[k] for k in full} == full and changed["name"] == name
    assert api.need("GET", f"{GROUPS}/{made['id']}") == changed
    assert api.call("DELETE", f"{GROUPS}/{made['id']}") == (204, None)
    for method, path, body in (("GET", "", None), ("PUT", "", {}), ("DELETE", "", None), ("GET", "/members", None),
                               ("PUT", "/members/agent-1", {}), ("DELETE", "/members/agent-1", None)):
        status, reply = api.call(method, f"{GROUPS}/{made['id']}{path}", body)
        refused(reply, status, "Agent group not found", 404)
    assert stack.query("SELECT action FROM audit_events WHERE resource_id = %s ORDER BY seq", made["id"]) == [
        ("create_agent_group",), ("update_agent_group",), ("delete_agent_group",)]


@pytest.mark.parametrize("body, words", [
    ({"name": ""}, "name is required"),
    ({"name": "x" * 256}, "name must be 255 characters or fewer"),
    ({"id": "a/b"}, "id must be"),
    ({"match_os": 7}, "match_os must be a string"),
    ({"match_os": "x" * 101}, "match_os must be 100 characters or fewer"),
    ({"match_architecture": "x" * 101}, "match_architecture must be 100 characters or fewer"),
    ({"match_ip_cidr": "x" * 46}, "match_ip_cidr must be 45 characters or fewer"),
    ({"match_version": "x" * 51}, "match_version must be 50 characters or fewer"),
    ({"match_version": "a\nb"}, "match_version must not contain control characters"),
    ({"enabled": 1}, "enabled must be true or false")])
def test_bad_input(api, unique, body, words):
    status, reply = api.post(GROUPS, {"name": unique("group")} | body)
    refused(reply, status, words)


def test_a_name_is_taken_once(api, unique):
    made = api.need("POST", GROUPS, {"name": unique("group")})
    status, reply = api.post(GROUPS, {"name": made["name"]})
    refused(reply, status, "An agent group with this name already exists", 409)


@pytest.mark.parametrize("rules, names", [
    ({}, []),
    ({"match_os": "LINUX"}, ["linux-a", "linux-b", "odd"]),
    ({"match_os": "linux", "match_architecture": "amd64"}, ["linux-a", "odd"]),
    ({"match_version": "1.0"}, ["linux-a", "odd", "windows"]),
    ({"match_ip_cidr": "10.0.1.0/24"}, ["linux-a"]),
    ({"match_ip_cidr": "10.0.1.9/16"}, ["linux-a", "linux-b"]),
    ({"match_ip_cidr": "10.0.2.7"}, ["linux-b"]),
    ({"match_ip_cidr": "2001:db8::/32"}, ["windows"]),
    ({"match_ip_cidr": "2001:db8::7"}, ["windows"]),
    ({"match_ip_cidr": "::/0"}, ["windows"]),
    ({"match_ip_cidr": "0.0.0.0/0", "match_os": "linux"}, ["linux-a", "linux-b"]),
    ({"match_os": "linux", "enabled": False}, [])])
def test_whom_rules_match(agents, api, unique, rules, names):
    made = api.need("POST", GROUPS, {"name": unique("group")} | rules)
    assert members(api, made["id"]) == []
    assert members(api, made["id"], matched=True) == names


def test_more_members_than_an_answer_holds(agents, api, unique):
    group = api.need("POST", GROUPS, {"name": unique("group"), "match_os": "plan9"})["id"]
    for n, marked in ((10_000, False), (10_001, True)):
        agents.plant("INSERT INTO agents (id, name, hostname, api_key_hash, os) SELECT 'many-' || i, 'many-' || i, 'h', 'many-' || i, 'plan9' "
                     f"FROM generate_series(1, {n}) i ON CONFLICT DO NOTHING")
        reply = api.need("GET", f"{GROUPS}/{group}/members?matched=true")
        assert reply["total"] == reply["per_page"] == len(reply["data"]) == 10_000
        assert reply.get("total_is_estimate", False) is marked
    agents.plant("DELETE FROM agents WHERE id LIKE 'many-%'")


@pytest.mark.parametrize("cidr", ["x", "10.0.1.0/33", "10.0.1", "10.0.1.256", "2001:db8::/129", "1::2::3", ":::", "1:2:3:4:5:6:7:8:9",
                                  "1::2:3:4:5:6:7:8:9", "10.0.1.0/", "10.0.1.0/-1", "10.0.1.0/8 or so", "/8", "::g"])
def test_a_network_that_is_none_matches_nobody_and_is_told_of(agents, api, unique, cidr):
    made = api.need("POST", GROUPS, {"name": unique("group"), "match_ip_cidr": cidr})
    assert made["match_ip_cidr"] == cidr and "match_ip_cidr is no network" in made["warnings"][0]
    assert members(api, made["id"], matched=True) == []


def test_who_is_named_is_in_or_out_whatever_the_rules_say(agents, api, unique):
    group = api.need("POST", GROUPS, {"name": unique("group"), "match_os": "linux"})["id"]
    assert api.need("PUT", f"{GROUPS}/{group}/members/agent-windows") == {
        "agent_group_id": group, "agent_id": "agent-windows", "membership_type": "include"}
    api.need("PUT", f"{GROUPS}/{group}/members/agent-odd", {"membership_type": "exclude"})
    assert members(api, group) == ["windows"]
    assert members(api, group, matched=True) == ["linux-a", "linux-b", "windows"]
    # Named again as the other.
    api.need("PUT", f"{GROUPS}/{group}/members/agent-windows", {"membership_type": "exclude"})
    assert members(api, group) == [] and members(api, group, matched=True) == ["linux-a", "linux-b"]
    assert api.call("DELETE", f"{GROUPS}/{group}/members/agent-odd") == (204, None)
    assert members(api, group, matched=True) == ["linux-a", "linux-b", "odd"]
    status, reply = api.call("DELETE", f"{GROUPS}/{group}/members/agent-odd")
    refused(reply, status, "no named member", 404)
    for agent in ("agent-gone", "agent-none"):
        status, reply = api.call("PUT", f"{GROUPS}/{group}/members/{agent}", {})
        refused(reply, status, "Agent not found, or retired", 404)
    for body in ({"membership_type": "both"}, {"membership_type": 1}, {"membership_type": ["include"]}):
        status, reply = api.call("PUT", f"{GROUPS}/{group}/members/agent-odd", body)
        refused(reply, status, "membership_type must be ")
    status, reply = api.get(f"{GROUPS}/{group}/members?matched=maybe")
    refused(reply, status, "matched must be true or false")
    api.need("DELETE", f"{GROUPS}/{group}")
