"""
The REST API over real HTTPS: certificates, jobs and the configuration nouns.
"""
import base64
import concurrent.futures
import json
import time

import pytest

from fleet import API_KEY, PATIENCE, wait_for

TEAMS, OWNERS, ISSUERS = "/api/v1/teams", "/api/v1/owners", "/api/v1/issuers"
PLAIN_TOO = "the API"
CRL_URLS_MAX = 8
CRL_URL = "http://crl.example.test/".ljust(1024, "a")
TARGETS, POLICIES = "/api/v1/targets", "/api/v1/renewal-policies"
CERTS, JOBS = "/api/v1/certificates", "/api/v1/jobs"
ZERO_TIME = "0001-01-01T00:00:00Z"
VIEWER = f"viewer-{API_KEY}"


# Controls of C0 and C1, what turns the writing direction, what takes no room, ends of lines of another kind.
HIDDEN = "\u0001\u001b\u007f\u0085\u009b\u00ad\u061c\u200b\u200d\u200e\u2028\u2029\u202a\u202e\u2060\u2066\u2069\ufeff\U000e0041"


def refused(reply, status, words, expected=400):
    """The contract's error body, and a message that says what is wrong."""
    assert status == expected, reply
    assert set(reply) == {"error", "message", "request_id"}, reply
    assert words in reply["message"], reply
    return reply


def cert_body(name, **more):
    return {"name": name, "common_name": f"{name}.example.test", "sans": [f"{name}.example.test"], "owner_id": "o-test",
            "team_id": "t-test", "issuer_id": "iss-local", "renewal_policy_id": "rp-default"} | more


def audit_of(stack, resource_id):
    return stack.query("SELECT action, actor, actor_type FROM audit_events WHERE resource_id = %s ORDER BY seq", resource_id)


# --- bodies ---

@pytest.mark.parametrize("raw", [
    "", "{", "[]", "null", "1", '{"name":"a"} x', '{"name":"a","name":"b"}', '{"name":"a\\u0000b"}', '{"name":"a",}',
    '{"name":1e400}', '{"name":' + "[" * 200 + "]" * 200 + "}", "\ufeff{}", '{"name":"\\ud800"}',
])
def test_malformed_json_is_refused(api, stack, raw):
    before = stack.value("SELECT count(*) FROM teams")
    status, reply = api.call("POST", TEAMS, raw=raw.encode("utf-8", "surrogatepass"))
    refused(reply, status, "Invalid request body")
    assert stack.value("SELECT count(*) FROM teams") == before


def test_body_of_broken_utf8_is_refused(api):
    status, reply = api.call("POST", TEAMS, raw=b'{"name":"\xff\xfe"}')
    refused(reply, status, "Invalid request body")


def test_oversized_body_is_413(api):
    status, reply = api.post(TEAMS, {"name": "x", "description": "y" * (2 << 20)})
    assert status == 413, reply
    assert api.get("/health")[0] == 200


@pytest.mark.parametrize("body, words", [
    ({}, "name is required"),
    ({"name": ""}, "name is required"),
    ({"name": None}, "name is required"),
    ({"name": 7}, "name must be a string"),
    ({"name": ["a"]}, "name must be a string"),
    ({"name": "x" * 256}, "name must be 255 characters or fewer"),
    ({"name": "a\nb"}, "name must not contain control characters"),
    *(({"name": f"a{c}b"}, "name must not contain control characters") for c in HIDDEN),
    *(({"name": "a", "description": f"a{c}b"}, "description must not contain") for c in HIDDEN),
    *(({"name": blank}, "name must not be blank") for blank in (" ", "\u00a0\u3000", "\u2800")),
    ({"name": "a", "id": "-rf"}, "id must be"),
    ({"name": "a", "description": {}}, "description must be a string"),
    ({"name": "a", "id": "../etc"}, "id must be"),
    ({"name": "a", "id": "x" * 129}, "id must be"),
    ({"name": "a", "id": ".."}, "id must be"),
])
def test_team_fields_are_checked(api, body, words):
    status, reply = api.post(TEAMS, body)
    refused(reply, status, words)


def test_255_characters_are_counted_as_characters(api, unique):
    name = (unique() + "ü" * 255)[:255]
    status, reply = api.post(TEAMS, {"name": name})
    assert (status, reply["name"]) == (201, name)


# --- plain nouns ---

def test_team_life(api, stack, unique):
    name = unique("team")
    status, made = api.post(TEAMS, {"NAME": name, "description": "a <b> & c", "unknown": 1})
    assert status == 201
    assert list(made) == ["id", "name", "description", "created_at", "updated_at"]
    assert made["id"].startswith("team-") and made["description"] == "a <b> & c" and made["created_at"].endswith("Z")
    assert api.get(f"{TEAMS}/{made['id']}") == (200, made)

    status, reply = api.post(TEAMS, {"name": name})
    refused(reply, status, "A team with this name already exists", 409)
    status, reply = api.post(TEAMS, {"name": unique("team"), "id": made["id"]})
    refused(reply, status, "id already exists", 409)

    status, changed = api.call("PUT", f"{TEAMS}/{made['id']}", {"description": "new"})
    assert (status, changed["name"], changed["description"]) == (200, name, "new")
    status, reply = api.call("PUT", f"{TEAMS}/{made['id']}", {"name": ""})
    refused(reply, status, "name is required")

    assert api.call("DELETE", f"{TEAMS}/{made['id']}") == (204, None)
    for method in ("GET", "DELETE"):
        status, reply = api.call(method, f"{TEAMS}/{made['id']}")
        refused(reply, status, "Team not found", 404)
    status, reply = api.call("PUT", f"{TEAMS}/{made['id']}", {"name": "x"})
    refused(reply, status, "Team not found", 404)
    assert audit_of(stack, made["id"]) == [(a, "admin", "APIKey") for a in ("create_team", "update_team", "delete_team")]


def test_one_of_many_equal_creates_wins(api, unique):
    name = unique("race")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post(TEAMS, {"name": name})[0], range(8)))
    assert sorted(answers) == [201] + [409] * 7


def test_agents_say_who_they_are_in_plain_words(api, unique, new_agent):
    good = {"name": unique("plain"), "hostname": "plain.example.test"}
    bad = [({field: f"a{c}b"}, f"{field} must not contain") for c in HIDDEN
           for field in ("name", "hostname", "os", "architecture", "ip_address", "version")]
    bad += [({field: " \u00a0"}, f"{field} must not be blank") for field in ("name", "hostname", "os", "architecture", "version")]
    bad += [({"hostname": name}, "hostname must be a host name") for name in ("256.1.1.1", "127.1", "*.1.2.3.4", "*.a.test", "xn--a", "a b", "-")]
    bad += [({"ip_address": text}, "ip_address must be an IP address") for text in ("256.1.1.1", "127.1", "host")]
    for change, words in bad:
        status, reply = api.post("/api/v1/agents", good | change)
        refused(reply, status, words)
    agent, key = new_agent()
    for change, words in bad:
        if "name" not in change:
            status, reply = api.post(f"/api/v1/agents/{agent}/heartbeat", change, key=key)
            refused(reply, status, words)
    assert api.get("/api/v1/agents/-rf")[0] == 400


def test_lists_are_paged(api, unique):
    stem = unique("page")
    for i in range(5):
        assert api.post(TEAMS, {"name": f"{stem}-{i}"})[0] == 201
    status, reply = api.get(f"{TEAMS}?q={stem}&page=2&per_page=2")
    assert status == 200
    assert [t["name"] for t in reply["data"]] == [f"{stem}-2", f"{stem}-3"]
    assert (reply["total"], reply["page"], reply["per_page"]) == (5, 2, 2)
    assert list(reply) == ["data", "total", "page", "per_page"]
    assert len(api.get(f"{TEAMS}?q={stem.upper()}")[1]["data"]) == 5
    assert api.get(f"{TEAMS}?q={stem}&page=9&per_page=2")[1]["data"] == []
    assert api.get(f"{TEAMS}?q={stem}")[1]["per_page"] == 50
    for i in range(5, 55):
        assert api.post(TEAMS, {"name": f"{stem}-{i}"})[0] == 201
    assert [len(api.get(f"{TEAMS}?q={stem}&page={page}")[1]["data"]) for page in (1, 2, 3)] == [50, 5, 0]
    # What can't be used counts as not said.
    for query in ("per_page=501", "per_page=0", "per_page=x", "page=-1&per_page=-1"):
        assert api.get(f"{TEAMS}?q={stem}&{query}")[1]["per_page"] == 50


def test_owner_belongs_to_a_team(basics, api, unique):
    status, reply = api.post(OWNERS, {"name": unique(), "team_id": "t-nobody"})
    refused(reply, status, "team_id")
    status, reply = api.post(OWNERS, {"name": unique()})
    refused(reply, status, "team_id is required")
    status, made = api.post(OWNERS, {"name": unique(), "team_id": "t-test"})
    assert status == 201 and made["email"] == "" and made["id"].startswith("owner-")
    status, changed = api.call("PUT", f"{OWNERS}/{made['id']}", {"email": "a@b.test"})
    assert (status, changed["email"], changed["team_id"]) == (200, "a@b.test", "t-test")
    status, reply = api.call("PUT", f"{OWNERS}/{made['id']}", {"team_id": "t-nobody"})
    refused(reply, status, "team_id")
    assert made["id"] in [o["id"] for o in api.get(f"{OWNERS}?team_id=t-test")[1]["data"]]
    status, reply = api.call("DELETE", f"{TEAMS}/t-test")
    refused(reply, status, "Cannot delete team", 409)
    assert api.call("DELETE", f"{OWNERS}/{made['id']}")[0] == 204


def test_a_policy_says_that_certificates_follow_its_change(stack, api, unique):
    name = unique("policy")
    path = f"{POLICIES}/{api.post(POLICIES, {'name': name})[1]['id']}"
    assert "change_pending" not in api.get(path)[1]
    assert api.call("PUT", path, {"name": name, "renewal_window_days": 7})[0] == 200
    shown = api.get(path)[1]
    assert shown["change_pending"] is True and "certificates_behind" not in shown
    policy = path.rsplit("/", 1)[1]
    stack.query("UPDATE policy_changes SET total = 40, done = 30 WHERE policy_id = %s", policy)
    assert api.get(path)[1]["certificates_behind"] == 10
    # Who writes what they read takes nothing with it.
    assert api.call("PUT", path, shown)[0] == 200
    wait_for(lambda: stack.query("SELECT rows, is_more FROM duty_policy_changes(500)") == [(0, False)], 20, "the walk")
    assert not {"change_pending", "certificates_behind"} & set(api.get(path)[1])


def test_policy_defaults_and_bounds(api, unique):
    name = unique("My Policy!")
    status, made = api.post(POLICIES, {"name": name, "renewal_window_days": 0, "alert_thresholds_days": []})
    assert status == 201
    assert made["id"] == "rp-" + name.lower().replace(" ", "-").replace("!", "")
    assert {k: made[k] for k in ("renewal_window_days", "auto_renew", "max_retries", "retry_interval_seconds",
                                 "alert_thresholds_days")} == {
        "renewal_window_days": 30, "auto_renew": False, "max_retries": 0, "retry_interval_seconds": 3600,
        "alert_thresholds_days": [30, 14, 7, 0]}
    assert "renewal_percent" not in made
    path = f"{POLICIES}/{made['id']}"
    for field, low, high in (("renewal_window_days", 1, 365), ("retry_interval_seconds", 60, 86400), ("max_retries", 0, 10),
                             ("renewal_percent", 1, 99)):
        for value in (low, high):
            assert api.call("PUT", path, {"name": name, field: value})[1][field] == value
        for value in (low - 1 or -1, high + 1, "5", 1.5, 1e300, True, 9007199254740993):
            status, reply = api.call("PUT", path, {"name": name, field: value})
            assert status == 400, (field, value, reply)
            assert field in reply["message"] or "Invalid request body" in reply["message"]
    for value in ([366], [-1], ["a"], 7, [1] * 101):
        status, reply = api.call("PUT", path, {"name": name, "alert_thresholds_days": value})
        refused(reply, status, "alert_thresholds_days")
    status, kept = api.get(path)
    assert (kept["renewal_window_days"], kept["renewal_percent"], kept["name"]) == (30, 99, name)
    assert "renewal_percent" not in api.call("PUT", path, {"name": name, "renewal_percent": None})[1]
    status, reply = api.post(POLICIES, {"name": name})
    refused(reply, status, "A renewal policy with that name already exists", 409)
    status, other = api.post(POLICIES, {"name": name.replace("!", "?")})
    assert status == 201 and other["id"].startswith(made["id"] + "-")
    assert api.call("DELETE", path)[0] == 204


def test_alerting_of_policies(api, unique):
    """What nothing obeys is refused by name: tiers, channels, days."""
    for member, value, words in (
            ("alert_channels", {"urgent": ["Email"]}, "alert_channels.urgent is no tier"),
            ("alert_channels", {"Warning": ["Email"]}, "alert_channels.Warning is no tier"),
            ("alert_channels", {"warning": ["Pigeon"]}, "Email, Webhook"), ("alert_channels", {"warning": "Email"}, "arrays of channels"),
            ("alert_channels", {"warning": [1]}, "arrays of channels"), ("alert_channels", [], "must be an object"),
            ("alert_severity_map", {"soon": "warning"}, "alert_severity_map.soon is no number of days"),
            ("alert_severity_map", {"366": "warning"}, "alert_severity_map.366"), ("alert_severity_map", {"-1": "warning"}, "-1"),
            ("alert_severity_map", {"7": "red"}, "names of tiers"), ("alert_severity_map", {"7": 1}, "names of tiers")):
        status, reply = api.post(POLICIES, {"name": unique(), member: value})
        refused(reply, status, words)
    good = {"alert_channels": {"critical": ["email", "PagerDuty"], "warning": []}, "alert_severity_map": {"30": "Warning", "0": "critical"}}
    status, made = api.post(POLICIES, {"name": unique()} | good)
    assert status == 201 and {k: made[k] for k in good} == good


def test_issuer_types_and_configuration(api, stack, unique):
    status, made = api.post(ISSUERS, {"name": unique("ca"), "type": "LOCAL_CA", "config": {
        "ca_common_name": "Test CA", "validity_days": 30, "crl_distribution_point_urls": ["http://crl.example.test/a"],
        "ca_key_path": "", "note": None}})
    assert status == 201, made
    assert (made["type"], made["enabled"], made["test_status"], made["source"]) == ("GenericCA", True, "untested", "database")
    assert stack.query("SELECT kind, subject, issuer_id FROM tasks WHERE dedupe_key = %s", f"ca_init:{made['id']}") == [
        ("ca_init", made["id"], made["id"])]
    for kind, words in (("acme", "config.directory_url is required"),
                        ("whatever", "unsupported issuer type")):
        status, reply = api.post(ISSUERS, {"name": unique("ca"), "type": kind})
        refused(reply, status, words)
    for config, words in (
            ({"validity_days": 0}, "validity_days"), ({"validity_days": "90"}, "validity_days"),
            ({"validity_seconds": 0}, "validity_seconds"), ({"validity_seconds": 29}, "from 30 to"), ({"ca_common_name": "x" * 65}, "ca_common_name"),
            ({"ca_cert_path": "/a/b.pem"}, "both or neither"), ({"ca_key_path": "/a/b.pem"}, "both or neither"),
            ({"ca_cert_path": "a.pem", "ca_key_path": "/b.pem"}, "ca_cert_path"),
            ({"ca_cert_path": "/a/../b.pem", "ca_key_path": "/b.pem"}, "ca_cert_path"),
            ({"crl_distribution_point_urls": "http://x"}, "crl_distribution_point_urls"),
            ({"crl_distribution_point_urls": ["ftp://x"]}, "crl_distribution_point_urls"),
            ({"crl_distribution_point_urls": ["http://a b"]}, "crl_distribution_point_urls"),
            ({"crl_distribution_point_urls": [CRL_URL] * (CRL_URLS_MAX + 1)}, "crl_distribution_point_urls"),
            ({"crl_distribution_point_urls": [CRL_URL + "x"]}, "crl_distribution_point_urls"),
            ({"note": "x"}, "config.note is not supported by this version"), ({"valid_days": 3}, "config.valid_days is not supported"),
            ({"sign_script": "/s"}, "config.sign_script is not supported"), ({"nested": {"a": 1}}, "config.nested is not supported"),
            ({"api_token": "s3cret"}, "api_token"), ({"x": {"password": "s3cret"}}, "password"),
            ([], "config must be an object")):
        status, reply = api.post(ISSUERS, {"name": unique("ca"), "type": "GenericCA", "config": config})
        refused(reply, status, words)
        assert "s3cret" not in json.dumps(reply)
    # As many and as long as a leaf may name (test_certbuild.c signs them).
    assert api.post(ISSUERS, {"name": unique("ca"), "type": "GenericCA", "config": {
        "crl_distribution_point_urls": [CRL_URL] * CRL_URLS_MAX}})[0] == 201
    status, reply = api.post(ISSUERS, {"name": made["name"], "type": "local"})
    refused(reply, status, "An issuer with this name already exists", 409)
    # Partial updates keep the rest: the dashboard sends no "enabled".
    path = f"{ISSUERS}/{made['id']}"
    assert api.call("PUT", path, {"enabled": False})[1]["enabled"] is False
    status, changed = api.call("PUT", path, {"name": made["name"], "type": "GenericCA", "config": {"validity_days": 7}})
    assert (status, changed["enabled"], changed["config"]) == (200, False, {"validity_days": 7})
    assert api.get(path)[1]["config"] == {"validity_days": 7}


def test_script_issuers(api, unique):
    good = {"sign_script": "/etc/certctl/scripts/sign", "lookup_script": "/etc/certctl/scripts/look-up", "crl_script": "/etc/certctl/scripts/crl",
            "timeout_seconds": 600}
    status, made = api.post(ISSUERS, {"name": unique("ca"), "type": "openssl", "config": good})
    assert status == 201, made
    assert (made["type"], made["config"]) == ("OpenSSL", good)
    for change, words in (({"sign_script": None}, "sign_script is required"), ({"sign_script": ""}, "sign_script is required"),
                          ({"sign_script": "sign"}, "absolute path"), ({"sign_script": "/a/../sign"}, "absolute path"),
                          ({"sign_script": ["/sign"]}, "absolute path"), ({"lookup_script": "x"}, "lookup_script"),
                          ({"revoke_script": "x"}, "revoke_script"), ({"crl_script": "x"}, "crl_script"),
                          ({"timeout_seconds": 0}, "timeout_seconds"), ({"timeout_seconds": 601}, "timeout_seconds"),
                          ({"validity_days": 90}, "config.validity_days is not supported"),
                          ({"ca_token": "s3cret"}, "ca_token")):
        status, reply = api.post(ISSUERS, {"name": unique("ca"), "type": "OpenSSL", "config": good | change})
        refused(reply, status, words)
    status, reply = api.post(ISSUERS, {"name": unique("ca"), "type": "OpenSSL"})
    refused(reply, status, "sign_script is required")
    # Nothing of another connector, however little it says, and in no other spelling.
    status, quiet = api.post(ISSUERS, {"name": unique("ca"), "type": "OpenSSL", "config": good | {"validity_days": "", "note": None}})
    assert (status, quiet["config"]) == (201, good)
    for more, words in (({"validity_days": "90d"}, "config.validity_days is not supported"),
                        ({"Timeout_Seconds": 5, "timeout_seconds": None}, "Invalid request body"),
                        ({"Lookup_Script": "/x", "lookup_script": None}, "Invalid request body"),
                        ({"Revoke_Script": "/x"}, "config.Revoke_Script is not supported")):
        status, reply = api.post(ISSUERS, {"name": unique("ca"), "type": "OpenSSL", "config": good | more})
        refused(reply, status, words)
    # What an update may say follows from the type that is stored, with or without its own.
    path = f"{ISSUERS}/{made['id']}"
    for body, words in (({"config": {"validity_days": 30}}, "sign_script is required"),
                        ({"config": {}}, "sign_script is required"),
                        ({"config": good | {"validity_days": 90}}, "config.validity_days is not supported"),
                        ({"type": "GenericCA", "config": {"validity_days": 30}}, "type is OpenSSL and can't be changed"),
                        ({"type": "local"}, "type is OpenSSL and can't be changed")):
        status, reply = api.call("PUT", path, body)
        refused(reply, status, words)
    assert api.get(path)[1]["config"] == good
    status, reply = api.call("PUT", f"{ISSUERS}/iss-no-such", {"config": {}})
    refused(reply, status, "Issuer not found", 404)
    status, reply = api.call("PUT", path, {"config": good | {"timeout_seconds": 0}})
    refused(reply, status, "timeout_seconds")
    status, changed = api.call("PUT", path, {"config": good | {"timeout_seconds": 5}})
    assert (status, changed["config"]["timeout_seconds"]) == (200, 5)
    assert api.call("PUT", path, {"type": "OpenSSL", "name": made["name"], "config": good})[0] == 200
    assert api.call("PUT", path, {"enabled": False})[0] == 200
    assert api.call("PUT", path, {"type": "OpenSSL", "enabled": True})[0] == 200


def test_stored_secrets_are_masked(api, stack, unique):
    issuer = unique("iss")
    stack.query("INSERT INTO issuers (id, name, type, config) VALUES (%s, %s, 'GenericCA', %s)", issuer, issuer, json.dumps(
        {"api_token": "s3cret", "nested": {"password": "s3cret", "list": [{"hmac": "s3cret"}]}, "ca_key_path": "/k.pem",
         "tokens": ["s3cret"], "validity_days": 90}))
    for status, reply in (api.get(f"{ISSUERS}/{issuer}"), api.get(f"{ISSUERS}?q={issuer}")):
        assert status == 200 and "s3cret" not in json.dumps(reply)
    config = api.get(f"{ISSUERS}/{issuer}")[1]["config"]
    assert config["api_token"] == config["nested"]["password"] == "********"
    assert (config["ca_key_path"], config["validity_days"]) == ("/k.pem", 90)
    # The mask, sent back, keeps what is stored.
    assert api.call("PUT", f"{ISSUERS}/{issuer}", {"config": {"api_token": "********", "validity_days": 5}})[0] == 200
    assert stack.value("SELECT config FROM issuers WHERE id = %s", issuer) == {"api_token": "s3cret", "validity_days": 5}


def test_a_mask_that_keeps_nothing_is_refused_by_name(basics, api, stack, unique, new_agent):
    """Of every noun with secrets, made or changed, under any key and as deep as it may be: it would be stored as it came."""
    paths = {"cert_path": f"/etc/{unique()}.pem", "key_path": f"/etc/{unique()}.key"}
    nouns = ((ISSUERS, "issuers", {"type": "GenericCA", "config": {"validity_days": 5}}),
             (TARGETS, "deployment_targets", {"type": "NGINX", "agent_id": new_agent()[0], "config": paths}))
    for path, table, body in nouns:
        status, made = api.post(path, body | {"name": unique()})
        assert status == 201, made
        for key, value in (("api_token", "********"), ("ca_cert_path", "********"), ("script", ["********"]),
                           ("reload_command", ["********"]), ("nested", {"password": ["********"]})):
            bad = body["config"] | {key: value}
            for reply in (api.post(path, body | {"name": unique(), "config": bad}), api.call("PUT", f"{path}/{made['id']}", {"config": bad})):
                refused(reply[1], reply[0], f"config.{key}" + " is ********" * (key == "api_token"))
        assert stack.value(f"SELECT config::text LIKE '%%****%%' FROM {table} WHERE id = %s", made["id"]) is False
        stack.query(f"UPDATE {table} SET config = config || '{{\"api_token\": \"s3cret\"}}' WHERE id = %s", made["id"])
        config = api.get(f"{path}/{made['id']}")[1]["config"]
        assert config["api_token"] == "********"
        assert api.call("PUT", f"{path}/{made['id']}", {"config": config})[0] == 200
        assert stack.value(f"SELECT config FROM {table} WHERE id = %s", made["id"]) == body["config"] | {"api_token": "s3cret"}


def test_targets(basics, api, stack, unique, new_agent):
    agent, _ = new_agent()
    good = {"cert_path": "/etc/ssl/a.pem", "key_path": "/etc/ssl/a.key", "validate_command": "nginx -t",
            "reload_command": ["nginx", "-s", "reload"], "host": "127.0.0.1", "port": 8443, "key_file_mode": 384,
            "server_name": "xn--bcher-kva.example.test", "chain_file_mode": 420, "key_file_owner": "root", "key_file_group": "www-data"}
    status, made = api.post(TARGETS, {"name": "web", "type": "nginx", "agent_id": agent, "config": good})
    assert status == 201, made
    assert (made["type"], made["enabled"], made["config"]) == ("NGINX", True, good)
    status, reply = api.post(TARGETS, {"name": "web", "type": "NGINX", "agent_id": agent, "config": good})
    refused(reply, status, "name", 409)
    for change, words in (
            ({"agent_id": "agent-nobody"}, "referenced agent does not exist"), ({"agent_id": ""}, "agent_id is required"),
            ({"type": "Apache"}, "Apache is not supported by this version"), ({"type": "x"}, "unsupported target type"),
            ({"config": None}, "config is required")):
        status, reply = api.post(TARGETS, {"name": unique(), "type": "NGINX", "agent_id": agent, "config": good} | change)
        refused(reply, status, words)
    for change, words in (
            ({"cert_path": ""}, "cert_path is required"), ({"key_path": None}, "key_path is required"),
            ({"cert_path": "a.pem"}, "cert_path"), ({"cert_path": "/a/../../etc/x"}, "cert_path"), ({"cert_path": "/a/"}, "cert_path"),
            ({"reload_command": "nginx; rm -rf /"}, "shell characters"), ({"reload_command": "a `b`"}, "shell characters"),
            ({"reload_command": "a\nb"}, "shell characters"), ({"reload_command": "   "}, "empty"),
            ({"reload_command": []}, "arguments"), ({"reload_command": ["a", 1]}, "arguments"),
            ({"reload_command": ["a"] * 40}, "arguments"), ({"reload_command": "x" * 1025}, "too long"),
            ({"port": 0}, "port"), ({"port": "443"}, "port"), ({"port": 65536}, "port"), ({"key_file_mode": 0o1777}, "key_file_mode"),
            ({"host": "h" * 254}, "host"), ({"host": "256.1.1.1"}, "host"), ({"hostname": "127.1"}, "hostname"),
            ({"target": "*.example.test"}, "target"), ({"address": "a b"}, "address"), ({"server_name": "xn--a.test"}, "server_name"),
            ({"cert_path": "/a//b"}, "cert_path"), ({"chain_path": "/a/./b"}, "chain_path"), ({"key_path": "/a/."}, "key_path"),
            ({"key_path": "/etc/ssl/a.pem"}, "two files"), ({"chain_path": "/etc/ssl/a.key"}, "two files"),
            ({"host": "a.example", "hostname": "b.example"}, "give one"), ({"target": "a.example", "address": "::1"}, "give one"),
            *(({field: text}, f"config.{field} must be the name or number") for field in ("cert_file_owner", "key_file_group")
              for text in ("a b", "-x", "root:root", "a/b")),
            ({"cert_path": "/a\u202e"}, "cert_path"), ({"reload_command": "a\u200bb"}, "can't be seen"),
            *(({field: "www-data"}, f"config.{field} is not supported by this version") for field in (
                "post_deploy_verify", "backup_retention", "backup_dir", "file_acl", "own")), ({"basic_password": "s3cret"}, "basic_password")):
        status, reply = api.post(TARGETS, {"name": unique(), "type": "NGINX", "agent_id": agent, "config": good | change})
        refused(reply, status, words)
    path = f"{TARGETS}/{made['id']}"
    status, renamed = api.call("PUT", path, {"name": "web2"})
    assert (status, renamed["name"], renamed["config"], renamed["agent_id"]) == (200, "web2", good, agent)
    status, reply = api.call("PUT", path, {"agent_id": "agent-nobody"})
    refused(reply, status, "agent does not exist")
    status, reply = api.call("PUT", f"{TARGETS}/tgt-nobody", {"agent_id": agent})
    refused(reply, status, "Target not found", 404)
    assert [t["id"] for t in api.get(f"{TARGETS}?agent_id={agent}")[1]["data"]] == [made["id"]]
    stack.query("UPDATE agents SET retired_at = now() WHERE id = %s", agent)
    status, reply = api.post(TARGETS, {"name": unique(), "type": "NGINX", "agent_id": agent, "config": good})
    refused(reply, status, "retired")
    assert api.call("DELETE", path)[0] == 204


# --- certificates ---

def test_certificate_as_created(basics, api, stack, unique):
    name = unique("c")
    status, made = api.post(CERTS, cert_body(name))
    assert status == 201, made
    assert made["id"].startswith("cert-")
    assert list(made) == ["id", "name", "common_name", "sans", "environment", "owner_id", "team_id", "issuer_id",
                          "renewal_policy_id", "target_ids", "status", "expires_at", "tags", "created_at", "updated_at"]
    assert (made["status"], made["expires_at"], made["tags"], made["target_ids"], made["environment"]) == (
        "Pending", ZERO_TIME, {}, [], "")
    assert api.get(f"{CERTS}/{made['id']}") == (200, made)
    assert api.get(f"{CERTS}/{made['id']}/versions") == (200, {"data": [], "total": 0, "page": 1, "per_page": 50})
    assert audit_of(stack, made["id"]) == [("certificate_created", "admin", "APIKey")]
    assert api.get(f"{CERTS}/mc-nobody/versions") == (200, {"data": [], "total": 0, "page": 1, "per_page": 50})
    status, reply = api.get(f"{CERTS}/mc-nobody")
    refused(reply, status, "not found", 404)


def test_what_a_client_says_is_not_what_is_so(basics, api, stack, unique):
    """As the command line's import sends it: taken, and nothing of it believed."""
    claims = {"expires_at": "2031-02-03T04:05:06.789+01:00", "created_at": "2020-01-01T00:00:00Z",
              "updated_at": "2020-01-01T00:00:00Z", "last_renewal_at": "2020-01-01T00:00:00Z",
              "last_deployment_at": "2020-01-01T00:00:00Z"}
    status, made = api.post(CERTS, cert_body(unique("imp"), status="active", environment="imported", serial_number="1",
                                             tags={"a<b": "ü&"}, source="api", **claims))
    assert status == 201, made
    assert (made["status"], made["expires_at"], made["tags"], made["source"]) == ("Pending", ZERO_TIME, {"a<b": "ü&"}, "API")
    assert "last_renewal_at" not in made and "last_deployment_at" not in made
    assert min(made["created_at"], made["updated_at"]) > "2026"
    warnings = made.pop("warnings")
    assert [w.split()[0] for w in warnings] == [*claims, "status"] and warnings[-1].endswith("Pending")
    assert api.get(f"{CERTS}/{made['id']}") == (200, made)
    # What is not said is no cause for a warning.
    status, quiet = api.post(CERTS, cert_body(unique("imp"), last_renewal_at=ZERO_TIME, status="Pending", expires_at=None))
    assert status == 201 and "warnings" not in quiet
    # The same of an issued one, whatever it is called.
    stack.plant("UPDATE managed_certificates SET status = 'Active', expires_at = now() + interval '90 days', valid_from = now() "
                "WHERE id = %s", made["id"])
    path = f"{CERTS}/{made['id']}"
    for word in ("Expired", "Pending", "Failed", "Expiring"):
        status, changed = api.call("PUT", path, {"status": word} | claims)
        assert status == 200 and changed["status"] == "Active", changed
        said = [c for c in claims if c != "updated_at"]  # who writes back what was read sends that of before
        assert [w.split()[0] for w in changed["warnings"]] == [*said, "status"] and changed["warnings"][-1].endswith("it is Active")
        assert changed["created_at"] == made["created_at"] and changed["expires_at"] > "2026"
    # An object that was read may be written back.
    status, again = api.call("PUT", path, api.get(path)[1])
    assert status == 200 and again["status"] == "Active" and "warnings" not in again
    stack.query("DELETE FROM managed_certificates WHERE id = %s", made["id"])


@pytest.mark.parametrize("noun, body, claims", [
    (ISSUERS, {"type": "local"}, {"test_status": "success", "last_tested_at": "2020-01-01T00:00:00Z", "source": "env"}),
    (POLICIES, {"auto_renew": True}, {}), ("/api/v1/teams", {}, {})])
def test_what_a_client_says_of_other_nouns(basics, api, unique, noun, body, claims):
    claims = claims | {"created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z"}
    status, made = api.post(noun, {"name": unique()} | body | claims)
    assert status == 201, made
    status, changed = api.call("PUT", f"{noun}/{made['id']}", {"name": made["name"]} | claims)
    assert status == 200, changed
    for member, claimed in claims.items():
        assert claimed not in (made.get(member), changed.get(member)), member
    assert api.call("DELETE", f"{noun}/{made['id']}")[0] == 204


def test_an_update_of_a_policy_replaces_it(api, unique):
    """What is left out is what a create would make it, as the contract has it; only what is not the contract's stays."""
    name = unique("whole")
    full = {"name": name, "renewal_window_days": 7, "auto_renew": True, "max_retries": 5, "retry_interval_seconds": 60, "alert_thresholds_days": [3],
            "alert_channels": {"warning": ["Slack"]}, "alert_severity_map": {"3": "critical"}}
    made = api.need("POST", POLICIES, full | {"renewal_percent": 50})
    path = f"{POLICIES}/{made['id']}"
    assert {k: api.need("PUT", path, full)[k] for k in full} == full
    changed = api.need("PUT", path, {"name": name, "id": "another"})
    assert {k: changed[k] for k in full} == {
        "name": name, "renewal_window_days": 30, "auto_renew": False, "max_retries": 0, "retry_interval_seconds": 3600,
        "alert_thresholds_days": [30, 14, 7, 0], "alert_channels": {}, "alert_severity_map": {}}
    assert (changed["id"], changed["renewal_percent"]) == (made["id"], 50)
    # A part is no policy: it would end what it does not name.
    for body in ({}, {"auto_renew": True}, {"name": ""}, {"name": None, "auto_renew": True}):
        status, reply = api.call("PUT", path, body)
        refused(reply, status, "name is required")
    assert api.call("PUT", f"{POLICIES}/rp-none", {"name": name})[0] == 404
    assert api.call("DELETE", path)[0] == 204


def test_a_policy_that_never_renews_says_so(basics, api, unique):
    status, policy = api.post(POLICIES, {"name": unique("manual")})
    assert status == 201 and "auto_renew is false" in policy["warnings"][0]
    assert "auto_renew is false" in api.get(f"{POLICIES}/{policy['id']}")[1]["warnings"][0]
    status, made = api.post(CERTS, cert_body(unique("manual"), renewal_policy_id=policy["id"]))
    assert status == 201 and "nothing renews this certificate" in made["warnings"][0]
    status, policy = api.call("PUT", f"{POLICIES}/{policy['id']}", policy | {"auto_renew": True})
    assert status == 200 and "warnings" not in policy
    status, changed = api.call("PUT", f"{CERTS}/{made['id']}", {"environment": "x"})
    assert status == 200 and "warnings" not in changed


def test_required_fields_in_the_contracts_order(basics, api, unique):
    body = cert_body(unique())
    given = {}
    for field in ("common_name", "owner_id", "team_id", "issuer_id", "name", "renewal_policy_id"):
        status, reply = api.post(CERTS, given)
        refused(reply, status, f"{field} is required")
        given[field] = body[field]
    assert api.post(CERTS, given)[0] == 201


@pytest.mark.parametrize("name", ["a", "a.b.example", "*.example.test", "x_y.test", "192.0.2.1", "2001:db8::1", "me@example.test"])
def test_good_common_names(basics, api, unique, name):
    assert api.post(CERTS, cert_body(unique(), common_name=name, sans=[name]))[0] == 201


@pytest.mark.parametrize("name", [
    "a..b", ".a", "a.", "-a.test", "a-.test", "a b", "a/b", "ä.test", "*", "a*.test", "*.*.test", "a,b", "<b>", "@a", "a@", "a@b@c",
    "a\u202eb.test", "a\tb", "256.1.1.1", "127.1", "*.1.2.3.4", "0x7f.1", "1.2.3.4.5", "xn--a.test", "xn--", "xn--abc-.test",
    "a\u200bb.test", "a@256.1.1.1", "a@xn--a.test", "-", "a" * 64 + ".test", "x." * 126 + "xy", "1.2.3.4/24", "a@-b", "::g"])
def test_bad_names(basics, api, unique, name):
    status, reply = api.post(CERTS, cert_body(unique(), common_name=name))
    refused(reply, status, "common_name")
    status, reply = api.post(CERTS, cert_body(unique(), sans=["ok.test", name]))
    refused(reply, status, "sans")


@pytest.mark.parametrize("change, words, expected", [
    ({"owner_id": "o-nobody"}, "owner_id", 400), ({"team_id": "t-nobody"}, "team_id", 400),
    ({"issuer_id": "iss-nobody"}, "issuer_id", 400), ({"renewal_policy_id": "rp-nobody"}, "renewal_policy_id", 400),
    ({"certificate_profile_id": "prof-nobody"}, "certificate_profile_id", 400), ({"target_ids": ["tgt-nobody"]}, "target_ids: what it refers to", 400),
    ({"target_ids": "x"}, "target_ids", 400), ({"target_ids": [1]}, "target_ids", 400), ({"sans": "x"}, "sans", 400),
    ({"sans": [""]}, "sans", 400), ({"sans": [None]}, "sans", 400), ({"sans": ["a.test"] * 1001}, "sans", 400),
    ({"tags": ["x"]}, "tags", 400), ({"tags": {"a": 1}}, "tags", 400), ({"name": "n" * 256}, "name must be 255", 400),
    ({"status": "nonsense"}, "status", 400), ({"source": "other"}, "source", 400),
    ({"environment": "e" * 51}, "environment must be 50", 400), ({"expires_at": "soon"}, "expires_at", 400),
    ({"expires_at": "2031-02-30T00:00:00Z"}, "expires_at", 400), ({"created_at": 5}, "created_at", 400),
    ({"id": "-rf"}, "id must be", 400), ({"owner_id": "-x"}, "owner_id must be", 400), ({"target_ids": ["-x"]}, "target_ids must be", 400),
    ({"name": " \u00a0"}, "name must not be blank", 400), ({"environment": "a\u0085"}, "environment must not contain", 400),
    ({"tags": {"a": "\u202e"}}, "tags.a must not contain", 400), ({"tags": {"\u200b": "a"}}, "tags must not contain", 400),
    ({"id": "a b"}, "id must be", 400), ({"id": "a:b"}, "id must be", 400), ({"owner_id": 5}, "owner_id must be a string", 400),
    ({"common_name": "c" * 254}, "common_name must be 253", 400),
])
def test_bad_certificates_leave_nothing(basics, api, stack, unique, change, words, expected):
    name = unique("bad")
    before = stack.query("SELECT count(*) FROM managed_certificates")
    status, reply = api.post(CERTS, cert_body(name) | change)
    refused(reply, status, words, expected)
    assert stack.query("SELECT count(*) FROM managed_certificates") == before


def test_duplicate_certificates(basics, api, unique):
    name = unique("dup")
    assert api.post(CERTS, cert_body(name, id=name))[0] == 201
    status, reply = api.post(CERTS, cert_body(name))
    refused(reply, status, "name already exists", 409)
    status, reply = api.post(CERTS, cert_body(unique(), id=name))
    refused(reply, status, "id already exists", 409)


def make_target(api, unique, agent):
    status, target = api.post(TARGETS, {"name": unique("tgt"), "type": "NGINX", "agent_id": agent,
                                        "config": {"cert_path": "/tmp/a.pem", "key_path": "/tmp/a.key"}})
    assert status == 201, target
    return target["id"]


def test_targets_of_a_certificate(basics, api, stack, unique, new_agent):
    agent, _ = new_agent()
    one, two = sorted(make_target(api, unique, agent) for _ in range(2))
    status, made = api.post(CERTS, cert_body(unique("c"), target_ids=[two, one, two]))
    assert (status, made["target_ids"]) == (201, [one, two])
    path = f"{CERTS}/{made['id']}"
    status, reply = api.get(f"{path}/deployments")
    assert (status, [t["id"] for t in reply["data"]], reply["total"]) == (200, [one, two], 2)
    assert made["id"] in [c["id"] for c in api.get(f"{CERTS}?agent_id={agent}")[1]["data"]]
    assert api.get(f"{CERTS}?agent_id=agent-nobody")[1]["total"] == 0
    status, changed = api.call("PUT", path, {"target_ids": [two], "common_name": "new.test", "environment": ""})
    assert (status, changed["target_ids"], changed["common_name"]) == (200, [two], "new.test")
    status, reply = api.call("DELETE", f"{TARGETS}/{two}")
    refused(reply, status, "Cannot delete target", 409)
    assert api.call("DELETE", f"{TARGETS}/{one}")[0] == 204
    status, reply = api.call("PUT", path, {"target_ids": ["tgt-nobody"]})
    refused(reply, status, "target_id")
    status, reply = api.post(f"{path}/deploy")
    refused(reply, status, "no version", 409)
    assert audit_of(stack, made["id"]) == [(a, "admin", "APIKey") for a in ("certificate_created", "certificate_updated")]


def test_update_merges(basics, api, unique):
    name = unique("up")
    made = api.post(CERTS, cert_body(name, tags={"a": "1"}, environment="staging"))[1]
    path = f"{CERTS}/{made['id']}"
    status, changed = api.call("PUT", path, {"tags": {"b": "2"}, "name": "", "owner_id": "", "created_at": "2001-01-01T00:00:00Z"})
    assert status == 200 and [w.split()[0] for w in changed.pop("warnings")] == ["created_at"]
    assert changed == made | {"tags": {"b": "2"}, "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > made["updated_at"]
    # What says nothing changes nothing: who saves a form that was not filled clears no names.
    status, kept = api.call("PUT", path, {"sans": [], "tags": {}, "environment": "", "certificate_profile_id": ""})
    assert status == 200 and made["sans"] and kept == changed | {"updated_at": kept["updated_at"]}
    for change, words, expected in (({"owner_id": "o-nobody"}, "owner_id", 400), ({"common_name": "a..b"}, "common_name", 400),
                                    ({"status": "Revoked"}, "status", 400), ({"team_id": "x" * 256}, "team_id", 400)):
        status, reply = api.call("PUT", path, change)
        refused(reply, status, words, expected)
    status, reply = api.call("PUT", f"{CERTS}/mc-nobody", {"name": unique()})
    refused(reply, status, "not found", 404)


def test_archive(basics, api, stack, unique):
    made = api.post(CERTS, cert_body(unique("arc")))[1]
    path = f"{CERTS}/{made['id']}"
    job = api.post(f"{path}/renew")[1]["job_id"]
    assert api.call("DELETE", path) == (204, None)
    assert api.get(path)[1]["status"] == "Archived"
    assert api.get(f"{JOBS}/{job}")[1]["status"] == "Cancelled"
    assert api.call("DELETE", path)[0] == 204
    status, reply = api.post(f"{path}/renew?force=true")
    refused(reply, status, "cannot renew archived certificate")
    status, reply = api.call("PUT", path, {"status": "Active"})
    refused(reply, status, "for good", 409)
    status, reply = api.post(f"{path}/deploy")
    refused(reply, status, "archived")
    status, reply = api.call("DELETE", f"{CERTS}/mc-nobody")
    refused(reply, status, "not found", 404)
    assert [a for a, *_ in audit_of(stack, made["id"])].count("certificate_archived") == 1


@pytest.fixture(scope="module")
def herd(basics):
    """230 certificates, 100 of one created_at; their environment is "herd"."""
    basics.query("""
        INSERT INTO managed_certificates (id, name, common_name, environment, owner_id, team_id, issuer_id, renewal_policy_id, status,
            expires_at, created_at)
        SELECT 'herd-' || i, 'herd ' || i, 'h' || i || '.test', 'herd', 'o-test', 't-test', 'iss-local', 'rp-default',
            CASE WHEN i % 10 = 0 THEN 'Failed' ELSE 'Active' END, timestamptz '2030-01-01' + i * interval '1 day',
            timestamptz '2026-01-01 00:00:00.123456' + greatest(i - 100, 0) * interval '1 second'
        FROM generate_series(1, 230) AS i""")
    return basics


def test_pages(herd, api, stack):
    total = stack.value("SELECT count(*) FROM managed_certificates")
    status, reply = api.get(f"{CERTS}?per_page=7&page=3")
    assert status == 200 and len(reply["data"]) == 7
    assert (reply["total"], reply["page"], reply["per_page"]) == (total, 3, 7)
    seen = []
    for page in range(1, total // 50 + 2):
        seen += [c["id"] for c in api.get(f"{CERTS}?page={page}")[1]["data"]]
    assert seen == [r[0] for r in stack.query("SELECT id FROM managed_certificates ORDER BY created_at, id")]
    assert len(api.get(f"{CERTS}?page_size=3&per_page=9")[1]["data"]) == 3
    assert api.get(f"{CERTS}?page=2000")[1]["data"] == []


@pytest.mark.parametrize("query", ["", "&environment=herd", "&status=failed&q=herd"])
def test_walk_sees_everything_once(herd, api, stack, query):
    cursor, seen, pages = "start", [], 0
    while cursor:
        status, reply = api.get(f"{CERTS}?cursor={cursor}&page_size=23{query}&fields=id")
        assert status == 200 and reply["page_size"] == 23 and "page" not in reply
        assert len(reply["data"]) <= 23
        seen += [c["id"] for c in reply["data"]]
        cursor = reply.get("next_cursor")
        pages += 1
        if cursor and query == "":
            created, _, last = base64.urlsafe_b64decode(cursor).decode().rpartition(":")
            assert last == seen[-1] and created.endswith("Z")
    where = {"": "true", "&environment=herd": "environment = 'herd'", "&status=failed&q=herd": "status = 'Failed' AND name LIKE 'herd%'"}
    rows = [r[0] for r in stack.query(f"SELECT id FROM managed_certificates WHERE {where[query]} ORDER BY created_at, id")]
    assert seen == rows and pages == -(-len(rows) // 23)


def test_filters_sort_and_fields(herd, api):
    def ids(query):
        status, reply = api.get(f"{CERTS}?environment=herd&per_page=500&{query}")
        assert status == 200, reply
        return [c["id"] for c in reply["data"]]
    assert len(ids("")) == 230
    assert len(ids("status=Failed")) == len(ids("status=failed")) == 23
    assert ids("status=nonsense") == [] and ids("owner_id=o-nobody") == []
    assert ids("expires_before=2030-01-03") == ["herd-1"]
    assert ids("expires_before=2030-01-03T00:00:01Z") == ["herd-1", "herd-2"]
    assert ids("expires_after=2030-08-17T00:00:00Z") == ["herd-229", "herd-230"]
    assert len(ids("expires_before=tomorrow")) == 230
    assert ids("q=H17.TEST") == ["herd-17"]
    assert ids("sort=notAfter") == ids("sort=expiresAt") == [f"herd-{i}" for i in range(1, 231)]
    assert ids("sort=-notAfter") == ids("sort=notAfter&sort_desc=true") == [f"herd-{i}" for i in range(230, 0, -1)]
    assert ids("sort=name") == sorted(f"herd-{i}" for i in range(1, 231))
    assert ids("sort=nonsense") == ids("sort=createdAt") == ids("")
    assert ids("sort=-createdAt") == ids("")[::-1]
    for sort, states in (("status", ["Active"] * 207 + ["Failed"] * 23), ("-status", ["Failed"] * 23 + ["Active"] * 207)):
        listed = api.get(f"{CERTS}?environment=herd&per_page=500&sort={sort}&fields=id,status")[1]["data"]
        assert [c["status"] for c in listed] == states and len({c["id"] for c in listed}) == 230
    reply = api.get(f"{CERTS}?environment=herd&fields=id,status,nonsense")[1]
    assert set(reply["data"][0]) == {"id", "status"} and reply["total"] == 230
    assert list(api.get(f"{CERTS}?fields=,")[1]["data"][0]) == []


def test_hostile_queries_change_nothing(herd, api):
    for query in ("q=%27%3B%20DROP%20TABLE%20teams--", "status=%00", "cursor=%FF%FE", "cursor=" + "A" * 5000, "sort=%27",
                  "owner_id=" + "x" * 3000, "owner_id=%FF", "q=%C3%28", "fields=%FF", "expires_before=%FF", "status=%ED%A0%80", "page=99999999999999999999", "cursor=" + base64.urlsafe_b64encode(b"x:y").decode()):
        status, _ = api.get(f"{CERTS}?{query}")
        assert status in (200, 400, 414), query
        status, _ = api.get(f"{JOBS}?{query}")
        assert status in (200, 400, 414), query
        status, _ = api.get(f"{TEAMS}?{query}")
        assert status in (200, 400, 414), query
    # A filter that can't be read is refused, never dropped.
    for value in ("%00", "a%00b", "%FF", "%C3%28", "%ED%A0%80", "%zz", "%0A", "%C2%85", "%E2%80%AE", "%E2%80%8B"):
        for path in (CERTS, JOBS, TEAMS, TARGETS, "/api/v1/agents", "/api/v1/audit"):
            assert api.get(f"{path}?q={value}&status={value}")[0] == 400, (path, value)
    assert api.get(f"{CERTS}?cursor=nonsense&page_size=1&fields=id")[1]["data"] == \
        api.get(f"{CERTS}?per_page=1&fields=id")[1]["data"]


def test_total_follows_every_write(herd, stack):
    counted = "SELECT (SELECT sum(n) FROM stat_totals_now WHERE kind = 'certificate') = " \
        "(SELECT count(*) FROM managed_certificates)"
    assert stack.value(counted)
    stack.query("DELETE FROM managed_certificates WHERE id = 'herd-230'")
    stack.query("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id) "
                "SELECT 'x' || i, 'x' || i, 'x.test', 'o-test', 't-test', 'iss-local', 'rp-default' FROM generate_series(1, 3) AS i")
    assert stack.value(counted)
    stack.query("DELETE FROM managed_certificates WHERE id LIKE 'x_'")
    assert stack.value(counted)


# --- renewals and jobs ---

def test_renew_and_cancel(basics, api, stack, unique, new_agent):
    (first, _), (second, _) = new_agent(), new_agent()
    targets = [make_target(api, unique, a) for a in (first, second)]
    made = api.post(CERTS, cert_body(unique("ren"), target_ids=targets))[1]
    path = f"{CERTS}/{made['id']}"
    status, reply = api.post(f"{path}/renew")
    assert (status, reply["status"]) == (202, "renewal_triggered")
    assert len(reply["job_ids"]) == 2 and reply["job_id"] == reply["job_ids"][0]  # one a key holder
    assert api.get(path)[1]["status"] == "RenewalInProgress"
    status, again = api.post(f"{path}/renew")
    refused(again, status, "certificate renewal already in progress", 409)
    # Force looks past the status, never past the rule of one job a holder: it answers with those there are.
    status, again = api.post(f"{path}/renew", {"force": True})
    assert (status, again["status"], sorted(again["job_ids"])) == (202, "renewal_triggered", sorted(reply["job_ids"]))
    assert again["warnings"] == [f"a renewal is in progress already and goes on: job {again['job_id']} is AwaitingCSR"]
    status, again = api.post(f"{path}/renew", {"force": "yes"})
    refused(again, status, "force")

    status, job = api.get(f"{JOBS}/{reply['job_id']}")
    assert status == 200
    assert (job["type"], job["status"], job["certificate_id"], job["attempts"], job["verification_status"]) == (
        "Issuance", "AwaitingCSR", made["id"], 0, "pending")
    assert {"scheduled_at", "created_at", "max_attempts"} <= set(job) and "completed_at" not in job
    listed = api.get(f"{JOBS}?certificate_id={made['id']}&status=awaitingcsr")[1]
    assert [j["id"] for j in listed["data"]] == sorted(reply["job_ids"], reverse=True) and listed["total"] == 2
    assert api.get(f"{JOBS}?agent_id={first}")[1]["total"] == 1
    assert api.get(f"{JOBS}?type=Deployment&certificate_id={made['id']}")[1]["total"] == 0

    for job_id in reply["job_ids"]:
        assert api.post(f"{JOBS}/{job_id}/cancel", {}) == (200, {"status": "job_cancelled"})
    status, job = api.get(f"{JOBS}/{reply['job_id']}")
    assert (job["status"], job["last_error"]) == ("Cancelled", "cancelled by admin") and "completed_at" in job
    status, again = api.post(f"{JOBS}/{reply['job_id']}/cancel")
    refused(again, status, "Cancelled", 409)
    status, again = api.post(f"{JOBS}/job-nobody/cancel")
    refused(again, status, "Job not found", 404)
    status, again = api.get(f"{JOBS}/job-nobody")
    refused(again, status, "Job not found", 404)
    assert api.get(path)[1]["status"] == "Pending"
    assert api.post(f"{path}/renew")[0] == 202
    status, again = api.post(f"{CERTS}/mc-nobody/renew")
    refused(again, status, "not found", 404)


def test_many_renewals_at_once_make_one_job(basics, api, stack, unique):
    made = api.post(CERTS, cert_body(unique("many")))[1]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: api.post(f"{CERTS}/{made['id']}/renew?force={i % 2}")[0], range(16)))
    # Of those who do not force only the first, if it came before all others.
    assert answers[1::2] == [202] * 8 and sorted(answers[::2]) in ([409] * 8, [202] + [409] * 7)
    assert stack.value("SELECT count(*) FROM jobs WHERE certificate_id = %s", made["id"]) == 1


def test_renew_says_why_not(basics, api, stack, unique):
    made = api.post(CERTS, cert_body(unique("exp")))[1]
    stack.plant("UPDATE managed_certificates SET status = 'Expired', expires_at = '2021-01-01' WHERE id = %s", made["id"])
    status, reply = api.post(f"{CERTS}/{made['id']}/renew")
    refused(reply, status, "cannot renew expired certificate; reissue instead")
    issuer = api.post(ISSUERS, {"name": unique("off"), "type": "local"})[1]
    made = api.post(CERTS, cert_body(unique("off"), issuer_id=issuer["id"]))[1]
    api.need("PUT", f"{ISSUERS}/{issuer['id']}", {"enabled": False})
    status, reply = api.post(f"{CERTS}/{made['id']}/renew")
    refused(reply, status, "issuer is disabled", 409)
    status, reply = api.call("DELETE", f"{ISSUERS}/{issuer['id']}")
    refused(reply, status, "Cannot delete issuer", 409)


def test_wait_for_a_job(basics, api, unique):
    made = api.post(CERTS, cert_body(unique("wait")))[1]
    job = api.post(f"{CERTS}/{made['id']}/renew")[1]["job_id"]
    started = time.monotonic()
    status, reply = api.get(f"{JOBS}/{job}?wait=300ms")
    assert (status, reply["status"]) == (200, "AwaitingCSR") and time.monotonic() - started >= 0.3
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        parked = pool.submit(api.get, f"{JOBS}/{job}?wait=30s")
        # Parked or not yet: either way it must answer once the job ends.
        assert api.post(f"{JOBS}/{job}/cancel")[0] == 200
        status, reply = parked.result(timeout=10)
    assert (status, reply["status"]) == (200, "Cancelled")
    started = time.monotonic()
    assert api.get(f"{JOBS}/{job}?wait=30s")[1]["status"] == "Cancelled"
    assert time.monotonic() - started < 5 * PATIENCE
    for wait in ("nonsense", "-1s", "5"):
        refused(*reversed(api.get(f"{JOBS}/{job}?wait={wait}")), "wait must be a duration")


# --- who may ---

def test_permissions(basics, api, stack, unique):
    assert api.get(CERTS, key="wrong")[0] == 401
    assert api.get(CERTS, key=VIEWER)[0] == 200
    written = "SELECT (SELECT count(*) FROM managed_certificates), (SELECT count(*) FROM teams), (SELECT count(*) FROM jobs), " \
        "(SELECT enabled FROM issuers WHERE id = 'iss-local'), (SELECT count(*) FROM audit_events WHERE resource_type IN " \
        "('certificate', 'team', 'issuer', 'job'))"
    before = stack.query(written)
    for method, path, body in (("POST", CERTS, cert_body(unique())), ("POST", TEAMS, {"name": unique()}),
                               ("DELETE", f"{TEAMS}/t-test", None), ("PUT", f"{ISSUERS}/iss-local", {"enabled": False}),
                               ("POST", f"{CERTS}/x/renew", None), ("POST", f"{JOBS}/x/cancel", None)):
        status, reply = api.call(method, path, body, key=VIEWER)
        assert (status, reply) == (403, {"error": "Insufficient permissions"}), (method, path)
    assert stack.query(written) == before
    # Who may leaves traces in what was just compared.
    assert api.post(TEAMS, {"name": unique()})[0] == 201
    assert [after - b for after, b in zip(stack.query(written)[0], before[0])] == [0, 1, 0, 0, 1]


# --- issuance, with this test as the agent ---

def make_csr(name):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])) \
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def workers(basics):
    basics.start_scheduler(1)
    basics.start_worker(1)
    return basics


def test_ca_is_made_by_a_worker(workers, api, unique):
    made = api.post(ISSUERS, {"name": unique("ca"), "type": "local", "config": {"ca_common_name": "Fresh CA"}})[1]
    tested = wait_for(lambda: (lambda i: i if i["test_status"] != "untested" else None)(api.get(f"{ISSUERS}/{made['id']}")[1]),
                      60, "the CA to be made")
    assert tested["test_status"] == "success" and "last_tested_at" in tested


@pytest.mark.parametrize("allowed, status", [
    ('{"algorithm": "ECDSA"}', 400), ('"ECDSA"', 400), ("null", 400), ("7", 400), ('["ECDSA", 1, null, []]', 400),
    ('[{"algorithm": ["ECDSA"]}]', 400), ('[{"algorithm": "ECDSA", "min_size": "256"}]', 400),
    ('[{"algorithm": "ECDSA", "min_size": 384.5}]', 400), ('[1, {"algorithm": "ecdsa", "min_size": 255.5}]', 202),
    ('[{"algorithm": "ECDSA"}]', 202), ('[{"algorithm": "ECDSA", "min_size": null}]', 202)])
def test_a_profile_that_makes_no_sense_allows_no_key(basics, api, stack, unique, new_agent, allowed, status):
    """What was stored by hand as keys that a profile allows stops no statement, and opens nothing."""
    agent, key = new_agent()
    profile, name = unique("prof"), unique("cert")
    stack.query("INSERT INTO certificate_profiles (id, name, allowed_key_algorithms) VALUES (%s, %s, %s)", profile, profile, allowed)
    made = api.post(CERTS, cert_body(name, target_ids=[make_target(api, unique, agent)], certificate_profile_id=profile))[1]
    job = api.post(f"{CERTS}/{made['id']}/renew")[1]["job_id"]
    found, reply = api.post(f"/api/v1/agents/{agent}/csr", {"csr_pem": make_csr(made["common_name"]), "certificate_id": made["id"],
                                                           "job_id": job}, key=key)
    assert found == status and (status == 202 or "does not allow a key" in reply["message"]), reply


def test_a_target_whose_configuration_is_none_takes_no_files(basics, api, stack, unique, new_agent):
    agent, _ = new_agent()
    for config in ("[]", '"x"', "7", "null", None):
        target, name = unique("tgt"), unique("cert")
        stack.query("INSERT INTO deployment_targets (id, name, type, agent_id, config) VALUES (%s, %s, 'NGINX', %s, %s)", target, target,
                    agent, config)
        status, made = api.post(CERTS, cert_body(name, target_ids=[target]))
        assert status == 201, made
        assert stack.query("SELECT 1 FROM target_files WHERE target_id = %s", target) == []
        paths = {"cert_path": f"/etc/{name}.pem", "key_path": f"/etc/{name}.key"}
        assert api.call("PUT", f"{TARGETS}/{target}", {"config": paths})[0] == 200
        assert stack.value("SELECT count(*) FROM target_files WHERE target_id = %s", target) == 2


def test_issuance(workers, api, stack, unique, new_agent):
    agent, key = new_agent()
    target = make_target(api, unique, agent)
    name = unique("iss")
    made = api.post(CERTS, cert_body(name, target_ids=[target]))[1]
    job = api.post(f"{CERTS}/{made['id']}/renew")[1]["job_id"]
    status, reply = api.get(f"/api/v1/agents/{agent}/work?wait=soon", key=key)
    refused(reply, status, "wait must be a duration")
    status, work = api.get(f"/api/v1/agents/{agent}/work", key=key)
    assert (status, work["count"], work["jobs"][0]["id"], work["jobs"][0]["status"]) == (200, 1, job, "AwaitingCSR")
    status, reply = api.post(f"/api/v1/agents/{agent}/csr", {"csr_pem": make_csr(made["common_name"]), "certificate_id": made["id"],
                                                            "job_id": job}, key=key)
    assert status == 202, reply
    status, done = api.get(f"{JOBS}/{job}?wait=60s")
    assert (status, done["status"]) == (200, "Completed"), done
    cert = api.get(f"{CERTS}/{made['id']}")[1]
    assert cert["status"] == "Active" and cert["expires_at"] > cert["last_renewal_at"]
    status, versions = api.get(f"{CERTS}/{made['id']}/versions")
    version = versions["data"][0]
    assert versions["total"] == 1 and version["id"] == done["version_id"] and len(version["serial_number"]) == 40
    assert version["pem_chain"].count("BEGIN CERTIFICATE") == 2 and "PRIVATE" not in json.dumps(version)
    assert version["csr_pem"].startswith("-----BEGIN CERTIFICATE REQUEST")
    # stored apart, told together; a version from before holds all of it
    leaf, chain = stack.query("SELECT v.pem_chain, c.pem FROM certificate_versions v JOIN certificate_chains c ON c.id = v.chain_id "
                              "WHERE v.id = %s", version["id"])[0]
    assert leaf.count("BEGIN CERTIFICATE") == 1 and version["pem_chain"] == leaf + chain
    assert chain == stack.value("SELECT chain_pem FROM ca_certificates WHERE issuer_id = %s", made["issuer_id"])
    pickup = f"/api/v1/agents/{agent}/certificates/{made['id']}"
    assert api.get(pickup, key=key)[1]["certificate_pem"] == leaf + chain
    assert api.get(f"{pickup}?job={job}", key=key)[1]["certificate_pem"] == leaf + chain
    stack.query("UPDATE certificate_versions SET pem_chain = %s, chain_id = NULL WHERE id = %s", leaf + chain, version["id"])
    assert api.get(f"{CERTS}/{made['id']}/versions")[1]["data"][0] == version
    assert api.get(pickup, key=key)[1]["certificate_pem"] == leaf + chain
    assert (version["key_algorithm"], version["key_size"], version["not_after"]) == ("ECDSA", 256, cert["expires_at"])

    deployments = api.get(f"{JOBS}?certificate_id={made['id']}&type=Deployment")[1]["data"]
    assert [(d["status"], d["target_id"], d["version_id"]) for d in deployments] == [("Pending", target, version["id"])]
    assert api.get(f"{JOBS}?type=Deployment&version_id={version['id']}")[1]["data"] == deployments
    assert api.get(f"{JOBS}?version_id=certver-none")[1]["total"] == 0
    status, reply = api.post(f"{CERTS}/{made['id']}/deploy", {"target_id": target})
    assert (status, reply["job_ids"]) == (202, [deployments[0]["id"]])  # the waiting one
    status, work = api.get(f"/api/v1/agents/{agent}/work", key=key)
    assert [j["id"] for j in work["jobs"]] == [deployments[0]["id"]]
    status, reply = api.post(f"{JOBS}/{deployments[0]['id']}/cancel")
    refused(reply, status, "installing", 409)
    # Taken off the certificate while it waits again: cancelled with it.
    status, reply = api.post(f"/api/v1/agents/{agent}/jobs/{deployments[0]['id']}/status", {"status": "Completed"}, key=key)
    assert status == 200, reply
    again = api.post(f"{CERTS}/{made['id']}/deploy")[1]["job_id"]
    assert again != deployments[0]["id"]
    assert api.call("PUT", f"{CERTS}/{made['id']}", {"target_ids": []})[1]["target_ids"] == []
    assert api.get(f"{JOBS}/{again}")[1]["status"] == "Cancelled"
    status, reply = api.post(f"{CERTS}/{made['id']}/deploy")
    refused(reply, status, "not mapped")
    # The next one is a renewal, by the same holder's key or another.
    assert api.call("PUT", f"{CERTS}/{made['id']}", {"target_ids": [target]})[0] == 200
    job = api.post(f"{CERTS}/{made['id']}/renew")[1]["job_id"]
    assert api.get(f"{JOBS}/{job}")[1]["type"] == "Renewal"
