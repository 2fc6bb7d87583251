"""
Policy rules: the routes with good and bad input, what breaks each type, how
violations come and go, and what a Critical one keeps from being issued.
"""
import json
import subprocess
import threading

import psycopg2
import pytest

from fleet import BUILD, ROOT, Fleet, clean_env, code_schema, rule_words, wait_for
from test_rest import make_csr, refused

POLICIES, CERTS = "/api/v1/policies", "/api/v1/certificates"
BASELINE = {"pr-require-owner": ("RequiredMetadata", {"required_keys": ["owner"]}, "Warning"),
            "pr-allowed-environments": ("AllowedEnvironments", {"allowed": ["production", "staging", "development"]}, "Error"),
            "pr-max-certificate-lifetime": ("CertificateLifetime", {"max_days": 90}, "Critical"),
            "pr-min-renewal-window": ("RenewalLeadTime", {"lead_time_days": 14}, "Warning")}
LIFETIME = {"type": "CertificateLifetime", "config": {"max_days": 30}}


@pytest.fixture(scope="module")
def world():
    fleet = Fleet("policies")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True)
        fleet.start_scheduler(keep=True, CERTCTL_POLICY_SCAN_INTERVAL="24h")
        fleet.start_worker(keep=True)
        fleet.make_basics()
        # Its first run is over: from here on only a test runs it.
        wait_for(lambda: fleet.value("SELECT last_outcome FROM duties WHERE name = 'policy_scan'") == 'ok', 30, "the first run")
        fleet.agent = fleet.api.need("POST", "/api/v1/agents", {"name": "hand", "hostname": "h.example.test"})
        yield fleet
    finally:
        fleet.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


@pytest.fixture
def rules(world):
    """Makes rules; none but a test's own are there, and they go with it."""
    world.query("DELETE FROM policy_rules")
    yield lambda name, **more: world.api.need("POST", POLICIES, {"id": name, "name": name} | LIFETIME | more)
    world.query("DELETE FROM policy_rules")


def scan(world, limit=1000):
    """A run of the duty, as the leader makes it: how many violations came, went or changed."""
    done, is_first = 0, True
    while True:
        with world.admin() as c:
            c.execute(f"SET search_path = {code_schema()}, public")
            c.execute("SELECT rows, is_more FROM duty_policy_scan(%s, %s, %s)", (limit, is_first, rule_words()))
            rows, is_more = c.fetchone()
        done, is_first = done + rows, False
        if not is_more:
            return done


def violations(world, rule):
    reply = world.api.need("GET", f"{POLICIES}/{rule}/violations?per_page=500")
    assert reply["total"] == len(reply["data"])
    for row in reply["data"]:
        assert set(row) == {"id", "certificate_id", "rule_id", "message", "severity", "created_at"} and row["rule_id"] == rule
    return {row["certificate_id"]: row["message"] for row in reply["data"]}


def certificate(world, name, issued=None, **more):
    """issued: days from its begin to its end, and from now to its end."""
    world.make_certificate(name, **more)
    if issued:
        world.query("UPDATE managed_certificates SET status = 'Active', expires_at = now() + make_interval(days => %s), "
                    "valid_from = now() + make_interval(days => %s) WHERE id = %s", issued[1], issued[1] - issued[0], name)
    return name


# --- the routes ---

def test_the_baseline_is_there(world):
    found = {p["id"]: (p["type"], p["config"], p["severity"]) for p in world.api.need("GET", POLICIES)["data"]}
    assert {k: found[k] for k in BASELINE} == BASELINE
    assert all(p["enabled"] for p in world.api.need("GET", POLICIES)["data"])


def test_an_upgrade_brings_it_switched_off_where_there_are_certificates(world):
    """What is renewed today is renewed tomorrow."""
    names = sorted(p.name.split("_")[0] for p in (ROOT / "migrations").glob("*.up.sql"))
    down = len(names) - names.index("0005")
    with world.admin("postgres") as c:
        c.execute("CREATE DATABASE upgraded")
    url = f"postgresql://postgres@/upgraded?host={world.socket_dir}"

    def migrate(argument):
        subprocess.run([BUILD / "apiserver" / "certctl-apiserver", argument], check=True, capture_output=True, cwd="/", env=clean_env() | {
            "CERTCTL_DATABASE_URL": url, "CERTCTL_DATABASE_MIGRATIONS_PATH": str(ROOT / "migrations")})

    migrate("--migrate-only")
    migrate(f"--migrate-down={down}")
    with world.admin("upgraded") as c:
        c.execute("SET session_replication_role = replica")
        c.execute("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id) "
                  "VALUES ('mc-old', 'old', 'old.example.test', 'o', 't', 'i', 'rp-default')")
    migrate("--migrate-only")
    with world.admin("upgraded") as c:
        c.execute("SELECT id FROM policy_rules WHERE NOT enabled ORDER BY id")
        assert [r for r, in c.fetchall()] == sorted(BASELINE)
    with world.admin("postgres") as c:
        c.execute("DROP DATABASE upgraded WITH (FORCE)")


def test_defaults_and_all_fields(world, unique):
    name = unique("rule")
    made = world.api.need("POST", POLICIES, {"name": name, "type": "renewalleadtime"})
    assert made["id"].startswith("rule-") and "warnings" not in made
    assert {k: v for k, v in made.items() if not k.endswith("_at")} == {
        "id": made["id"], "name": name, "type": "RenewalLeadTime", "config": {}, "enabled": True, "severity": "Warning"}
    full = {"type": "AllowedDomains", "config": {"allowed_domains": ["example.com", "*.example.com"]}, "enabled": False, "severity": "Critical"}
    changed = world.api.need("PUT", f"{POLICIES}/{made['id']}", full)
    assert {k: changed[k] for k in full} == full and changed["name"] == name
    assert changed["warnings"] == ["enabled is false: no certificate is held against the rule"]
    # What a dashboard's switch sends; an empty severity is what it was.
    kept = world.api.need("PUT", f"{POLICIES}/{made['id']}", {"enabled": True, "severity": ""})
    assert {k: kept[k] for k in full} == full | {"enabled": True} and "ends unless that is cured" in kept["warnings"][0]
    assert world.api.call("DELETE", f"{POLICIES}/{made['id']}") == (204, None)
    for method, path, body in (("GET", "", None), ("PUT", "", {}), ("DELETE", "", None), ("GET", "/violations", None)):
        status, reply = world.api.call(method, f"{POLICIES}/{made['id']}{path}", body)
        refused(reply, status, "Policy not found", 404)
    assert world.query("SELECT action FROM audit_events WHERE resource_id = %s ORDER BY seq", made["id"]) == [
        ("create_policy_rule",), ("update_policy_rule",), ("update_policy_rule",), ("delete_policy_rule",)]


GOOD = [("AllowedIssuers", {"allowed_issuer_ids": ["iss-local"] * 200}), ("AllowedDomains", {"allowed_domains": ["EXAMPLE.com", "10.0.0.1", "::1"]}),
        ("RequiredMetadata", {"required_keys": ["cost center", "ä"]}), ("AllowedEnvironments", {"allowed": ["x" * 50]}),
        ("RenewalLeadTime", {"lead_time_days": 365}), ("RenewalLeadTime", {"lead_time_days": None}), ("CertificateLifetime", {"max_days": 3650})]


@pytest.mark.parametrize("kind, config", GOOD)
def test_good_input(world, rules, unique, kind, config):
    made = rules(unique("rule"), type=kind, config=config)
    assert made["config"] == config and world.api.need("GET", f"{POLICIES}/{made['id']}")["config"] == config


BAD = [
    ({"name": ""}, "name is required"),
    ({"name": "x" * 256}, "name must be 255 characters or fewer"),
    ({"id": "a/b"}, "id must be"),
    ({"type": "Nonsense"}, "type must be one of AllowedIssuers"),
    ({"type": ""}, "type is required"),
    ({"type": 7}, "type must be a string"),
    ({"severity": "Fatal"}, "severity must be one of Warning, Error, Critical"),
    ({"severity": 1}, "severity must be a string"),
    ({"enabled": "yes"}, "enabled must be true or false"),
    ({"config": []}, "config must be an object"),
    ({"config": "x"}, "config must be an object"),
    ({"config": {}}, "config.max_days is required by CertificateLifetime"),
    ({"config": {"max_days": None}}, "config.max_days is required"),
    ({"config": {"max_days": 0}}, "config.max_days must be a whole number from 1 to 3650"),
    ({"config": {"max_days": 3651}}, "config.max_days must be"),
    ({"config": {"max_days": 1.5}}, "config.max_days must be"),
    ({"config": {"max_days": "90"}}, "config.max_days must be"),
    ({"config": {"max_days": 90, "maxDays": 1}}, "config.maxDays is not a key of CertificateLifetime: it has max_days"),
    ({"config": {"MAX_DAYS": 90}}, "config.MAX_DAYS is not a key"),
    ({"config": {"allowed": ["x"]}}, "config.allowed is not a key of CertificateLifetime"),
    ({"type": "RenewalLeadTime", "config": {"lead_time_days": 366}}, "config.lead_time_days must be a whole number from 1 to 365"),
    ({"type": "RenewalLeadTime", "config": {"lead_time_days": True}}, "config.lead_time_days must be"),
    ({"type": "AllowedIssuers", "config": {"allowed_issuer_ids": []}}, "config.allowed_issuer_ids must be an array of 1 to 200"),
    ({"type": "AllowedIssuers", "config": {"allowed_issuer_ids": "iss-local"}}, "config.allowed_issuer_ids must be an array"),
    ({"type": "AllowedIssuers", "config": {"allowed_issuer_ids": ["a"] * 201}}, "config.allowed_issuer_ids must be an array of 1 to 200"),
    ({"type": "AllowedIssuers", "config": {"allowed_issuer_ids": ["a b"]}}, "config.allowed_issuer_ids must hold ids of issuers"),
    ({"type": "AllowedIssuers", "config": {"allowed_issuer_ids": [1]}}, "config.allowed_issuer_ids must hold strings"),
    ({"type": "AllowedIssuers", "config": {"allowed_issuer_ids": [["x"]]}}, "config.allowed_issuer_ids must hold strings"),
    ({"type": "AllowedDomains", "config": {"allowed_domains": ["a.*.example.com"]}}, "config.allowed_domains must hold host names"),
    ({"type": "AllowedDomains", "config": {"allowed_domains": ["'; DROP TABLE policy_rules; --"]}}, "config.allowed_domains must hold host names"),
    ({"type": "RequiredMetadata", "config": {"required_keys": [""]}}, "config.required_keys must hold keys of tags"),
    ({"type": "RequiredMetadata", "config": {"required_keys": ["x" * 256]}}, "config.required_keys must hold keys of tags"),
    ({"type": "RequiredMetadata", "config": {"required_keys": ["a\nb"]}}, "config.required_keys must hold keys of tags"),
    ({"type": "AllowedEnvironments", "config": {"allowed": ["x" * 51]}}, "config.allowed must hold environments"),
    ({"type": "AllowedEnvironments", "config": {"allowed": [" "]}}, "config.allowed must hold environments"),
]


@pytest.mark.parametrize("body, words", BAD)
def test_bad_input(world, rules, unique, body, words):
    status, reply = world.api.post(POLICIES, {"name": unique("rule")} | LIFETIME | body)
    refused(reply, status, words)
    if "id" in body:  # not looked at in an update
        return
    made = rules(unique("rule"))
    status, reply = world.api.call("PUT", f"{POLICIES}/{made['id']}", body)
    refused(reply, status, words)
    assert world.api.need("GET", f"{POLICIES}/{made['id']}") == made


def test_type_and_config_belong_together(world, rules, unique):
    made = rules(unique("rule"))
    for body, words in (({"type": "AllowedIssuers"}, "config.max_days is not a key of AllowedIssuers: it has allowed_issuer_ids"),
                        ({"config": {"allowed": ["x"]}}, "config.allowed is not a key of CertificateLifetime")):
        status, reply = world.api.call("PUT", f"{POLICIES}/{made['id']}", body)
        refused(reply, status, words)
    both = {"type": "AllowedIssuers", "config": {"allowed_issuer_ids": ["iss-local"]}}
    changed = world.api.need("PUT", f"{POLICIES}/{made['id']}", both)
    assert {k: changed[k] for k in both} == both


def test_names_and_ids_are_taken_once(world, rules, unique):
    made, other = rules(unique("rule")), rules(unique("rule"))
    for method, path, body in (("POST", "", LIFETIME | {"name": made["name"]}), ("PUT", f"/{other['id']}", {"name": made["name"]})):
        status, reply = world.api.call(method, POLICIES + path, body)
        refused(reply, status, "A policy with this name already exists", 409)
    status, reply = world.api.post(POLICIES, LIFETIME | {"id": made["id"], "name": unique("rule")})
    refused(reply, status, "Policy with this id already exists", 409)


@pytest.mark.parametrize("kind, config", [("Nonsense", {}), ("CertificateLifetime", {}), ("CertificateLifetime", {"max_days": "many"}),
                                          ("RenewalLeadTime", {"lead_time_days": 10 ** 9}), ("AllowedIssuers", {"allowed_issuer_ids": {}}),
                                          ("AllowedEnvironments", {"allowed": "x"}), ("RequiredMetadata", [])])
def test_what_nobody_could_evaluate_is_not_stored_by_sql_either(world, kind, config):
    with pytest.raises(psycopg2.errors.CheckViolation):
        world.query("INSERT INTO policy_rules (id, name, type, config) VALUES ('rule-x', 'x', %s, %s)", kind, json.dumps(config))


# --- what breaks a rule ---

# Type, config, what the good certificate is, what the bad one is, and what is said of it.
BROKEN = [
    ("AllowedIssuers", {"allowed_issuer_ids": ["iss-other", "iss-local"]}, {}, {"issuer_id": "iss-third"},
     "its issuer is iss-third, allowed are: iss-other, iss-local"),
    ("AllowedDomains", {"allowed_domains": ["*.Example.test", "example.org"]}, {"sans": ["EXAMPLE.org", "*.example.test"]},
     {"sans": ["a.b.example.test"]}, "the name a.b.example.test is in none of the allowed domains: *.Example.test, example.org"),
    ("AllowedDomains", {"allowed_domains": ["*.example.test"]}, {}, {"common_name": "example.test"},
     "the name example.test is in none of the allowed domains: *.example.test"),
    ("AllowedDomains", {"allowed_domains": ["*.example.test", "10.0.0.1"]}, {"sans": ["10.0.0.1"]}, {"sans": ["10.0.0.2"]},
     "the name 10.0.0.2 is in none of the allowed domains: *.example.test, 10.0.0.1"),
    ("RequiredMetadata", {"required_keys": ["owner", "cost", "x"]}, {"tags": {"owner": "a", "cost": "1", "x": "y"}},
     {"tags": {"cost": "1", "x": ""}}, "its tags lack: owner, x"),
    ("AllowedEnvironments", {"allowed": ["development", "production"]}, {}, {"environment": "Production"},
     "its environment is 'Production', allowed are: development, production"),
    ("AllowedEnvironments", {"allowed": ["development"]}, {}, {"environment": ""}, "its environment is '', allowed are: development"),
    ("CertificateLifetime", {"max_days": 90}, {"issued": (90, 80)}, {"issued": (91, 80)}, "it lives 91.00 days, allowed are 90"),
    ("CertificateLifetime", {"max_days": 90}, {}, {"issued": (92, -1)}, "it lives 92.00 days, allowed are 90"),
    ("RenewalLeadTime", {"lead_time_days": 14}, {"issued": (90, 15)}, {"issued": (90, 13)}, "and was not renewed 14 days before"),
    # Of a short life the last third, less what renewals are spread by.
    ("RenewalLeadTime", {}, {"issued": (40, 13)}, {"issued": (40, 11)}, "and was not renewed 30 days before"),
]


@pytest.mark.parametrize("kind, config, good, bad, words", BROKEN)
def test_what_breaks_each_type(world, rules, unique, kind, config, good, bad, words):
    for issuer in ("iss-other", "iss-third"):
        world.query("INSERT INTO issuers (id, name, type, enabled) VALUES (%s, %s, 'GenericCA', false) ON CONFLICT DO NOTHING", issuer, issuer)
    fine, wrong = certificate(world, unique("fine"), **good), certificate(world, unique("wrong"), **bad)
    gone = certificate(world, unique("gone"), **bad)
    world.query("UPDATE managed_certificates SET status = 'Archived' WHERE id = %s", gone)
    rule = rules(unique("rule"), type=kind, config=config, severity="Error")["id"]
    assert scan(world) >= 1
    found = violations(world, rule)
    assert fine not in found and gone not in found and words in found[wrong]
    reply = world.api.need("GET", f"{CERTS}/{wrong}/violations")
    assert [(v["rule_id"], v["severity"], v["message"]) for v in reply["data"]] == [(rule, "Error", found[wrong])] and reply["total"] == 1
    assert world.api.need("GET", f"{CERTS}/{fine}/violations")["data"] == []
    # And nothing more is to be done.
    before = world.query("SELECT id, created_at FROM policy_violations ORDER BY id")
    assert scan(world) == 0 and world.query("SELECT id, created_at FROM policy_violations ORDER BY id") == before


def test_violations_of_no_certificate(world):
    status, reply = world.api.get(f"{CERTS}/none/violations")
    refused(reply, status, "Certificate not found", 404)


def test_a_row_of_another_hand(world, rules, unique):
    """Names that are NULL, a life without end: each is judged by what is known of it."""
    none, endless = certificate(world, unique("none"), common_name="none.example.org"), certificate(world, unique("endless"))
    world.query("UPDATE managed_certificates SET sans = NULL WHERE id = %s", none)
    world.plant("UPDATE managed_certificates SET expires_at = 'infinity', valid_from = '-infinity' WHERE id = %s", endless)
    domains = rules(unique("rule"), type="AllowedDomains", config={"allowed_domains": ["*.example.test"]})["id"]
    rules(unique("life"))
    rules(unique("lead"), type="RenewalLeadTime", config={})
    scan(world)
    assert violations(world, domains)[none] == "the name none.example.org is in none of the allowed domains: *.example.test"
    assert world.value("SELECT count(*) FROM policy_violations WHERE certificate_id = %s", endless) == 0
    world.plant("DELETE FROM managed_certificates WHERE id = %s", endless)


# --- how they come and go ---

def test_a_rule_that_changed_is_held_against_all(world, rules, unique):
    name = certificate(world, unique("cert"), issued=(60, 50))
    rule = rules(unique("rule"), config={"max_days": 90})["id"]
    scan(world)
    assert name not in violations(world, rule)
    world.api.need("PUT", f"{POLICIES}/{rule}", {"config": {"max_days": 47}, "severity": "Critical"})
    # In steps of a few, as of a million.
    steps = scan(world, limit=2)
    assert steps >= 1 and violations(world, rule)[name] == "it lives 60.00 days, allowed are 47"
    made = world.query("SELECT id, created_at FROM policy_violations WHERE certificate_id = %s", name)
    world.api.need("PUT", f"{POLICIES}/{rule}", {"severity": "Warning", "config": {"max_days": 48}})
    scan(world)
    assert world.query("SELECT id, created_at FROM policy_violations WHERE certificate_id = %s", name) == made
    assert world.value("SELECT severity || ': ' || message FROM policy_violations WHERE certificate_id = %s", name) == \
        "Warning: it lives 60.00 days, allowed are 48"
    # A name is no reason to look again.
    world.api.need("PUT", f"{POLICIES}/{rule}", {"name": unique("rule")})
    assert world.value("SELECT walked_to FROM policy_rules WHERE id = %s", rule) is None
    world.api.need("PUT", f"{POLICIES}/{rule}", {"enabled": False})
    scan(world, limit=1)
    assert violations(world, rule) == {}
    world.api.need("PUT", f"{POLICIES}/{rule}", {"enabled": True})
    scan(world)
    assert name in violations(world, rule)
    world.api.need("DELETE", f"{POLICIES}/{rule}")
    assert world.value("SELECT count(*) FROM policy_violations WHERE rule_id = %s", rule) == 0


def aside(world):
    """The next turn of the walk through all begins behind every certificate, so that only what is known to have changed is met."""
    world.query("UPDATE duty_marks SET low_id = '~' WHERE name = 'policy_scan'")


def test_a_certificate_that_changed_is_met_at_once(world, rules, unique):
    rule = rules(unique("rule"), type="AllowedEnvironments", config={"allowed": ["production"]})["id"]
    scan(world)
    name = certificate(world, unique("cert"), environment="staging")
    aside(world)
    scan(world)
    assert name in violations(world, rule)
    world.api.need("PUT", f"{CERTS}/{name}", {"environment": "production"})
    aside(world)
    assert scan(world) == 1 and name not in violations(world, rule)
    world.api.need("PUT", f"{CERTS}/{name}", {"environment": "staging"})
    aside(world)
    assert scan(world) == 1 and name in violations(world, rule)
    world.api.need("DELETE", f"{CERTS}/{name}")
    aside(world)
    assert scan(world) == 1 and name not in violations(world, rule)
    events = world.query("SELECT action, details FROM audit_events WHERE resource_type = 'policy_rule' AND resource_id = %s "
                         "AND action LIKE 'policy_violation%%' ORDER BY seq", rule)
    assert [a for a, _ in events][-3:] == ["policy_violation_cured", "policy_violation_detected", "policy_violation_cured"]
    assert all(d == {"certificates": 1, "certificate_ids": [name]} for _, d in events[-3:])


def test_what_nobody_wrote_down_is_met_in_turn(world, rules, unique):
    rule = rules(unique("rule"), type="AllowedEnvironments", config={"allowed": ["production"]})["id"]
    name = certificate(world, unique("cert"), environment="production")
    scan(world)
    world.query("UPDATE managed_certificates SET environment = 'staging' WHERE id = %s", name)
    aside(world)
    assert scan(world) == 0
    turns = 1
    while name not in violations(world, rule):
        scan(world)
        turns += 1
        assert turns < 50
    assert turns <= world.value("SELECT count(*) / 200 + 2 FROM managed_certificates")


def test_the_clock_brings_certificates_to_a_lead_time(world, rules, unique):
    names = [certificate(world, unique("cert"), issued=(90, 20)) for _ in range(5)]
    rule = rules(unique("rule"), type="RenewalLeadTime", config={"lead_time_days": 14})["id"]
    scan(world)
    assert not set(names) & set(violations(world, rule))
    # As if this was written a week ago, and nobody has looked since.
    world.query("UPDATE managed_certificates SET expires_at = expires_at - interval '7 days', valid_from = valid_from - interval '7 days' "
                "WHERE id = ANY (%s)", names)
    world.query("UPDATE duty_marks SET low_at = low_at - interval '7 days' WHERE name = 'policy_scan'")
    aside(world)
    scan(world, limit=2)
    assert set(names) <= set(violations(world, rule))
    assert world.value("SELECT low_at > now() - interval '1 minute' FROM duty_marks WHERE name = 'policy_scan'")


def test_two_that_lead_make_each_once(world, rules, unique):
    """A leader that was deposed may still be at it."""
    names = [certificate(world, unique("cert"), environment="staging") for _ in range(20)]
    rule = rules(unique("rule"), type="AllowedEnvironments", config={"allowed": ["production"]})["id"]
    start, failed = threading.Barrier(4), []

    def run():
        try:
            with world.admin() as c:
                c.execute(f"SET search_path = {code_schema()}, public")
                start.wait()
                for _ in range(5):
                    c.execute("SELECT rules_apply((SELECT array_agg(id) FROM managed_certificates), NULL, now(), %s)", (rule_words(),))
                    c.execute("SELECT duty_policy_scan(7, true, %s)", (rule_words(),))
        except psycopg2.Error as e:
            failed.append(e)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []
    scan(world)
    assert set(names) <= set(violations(world, rule))
    with pytest.raises(psycopg2.errors.UniqueViolation):
        world.query("INSERT INTO policy_violations (id, certificate_id, rule_id, message, severity) VALUES ('v', %s, %s, 'x', 'Error')", names[0], rule)


def test_what_somebody_deletes_is_not_waited_for(world, rules, unique):
    kept, held = [certificate(world, unique("cert"), environment="staging") for _ in range(2)]
    rule = rules(unique("rule"), type="AllowedEnvironments", config={"allowed": ["production"]})["id"]
    connection = world.connect()
    try:
        with connection.cursor() as c:
            c.execute("DELETE FROM managed_certificates WHERE id = %s", (held,))
            scan(world)
            found = violations(world, rule)
            assert kept in found and held not in found
        connection.rollback()
    finally:
        connection.close()


def test_a_run_of_the_leader(world, rules, unique):
    name = certificate(world, unique("cert"), environment="staging")
    rule = rules(unique("rule"), type="AllowedEnvironments", config={"allowed": ["production"]})["id"]
    world.cli("scheduler", "run", "policy_scan", "--wait")
    assert violations(world, rule)[name] == "its environment is 'staging', allowed are: production"


# --- before issuance ---

def order(world, name, **more):
    """A job whose CSR was sent."""
    world.make_target(f"tgt-{name}", world.agent["id"], world.dir / "sites" / name)
    world.make_certificate(name, [f"tgt-{name}"], **more)
    return renew(world, name)


def renew(world, name):
    job = world.api.need("POST", f"{CERTS}/{name}/renew")["job_id"]
    status, reply = world.api.call("POST", f"/api/v1/agents/{world.agent['id']}/csr", {
        "csr_pem": make_csr(f"{name}.example.test"), "certificate_id": name, "job_id": job}, key=world.agent["api_key"])
    assert status == 202, reply
    return job


@pytest.mark.parametrize("kind, config, words, cure", [
    ("AllowedEnvironments", {"allowed": ["production"]}, "its environment is 'development', allowed are: production", {"environment": "production"}),
    ("RequiredMetadata", {"required_keys": ["owner"]}, "its tags lack: owner", {"tags": {"owner": "me"}}),
    ("CertificateLifetime", {"max_days": 89}, "it lives 90.00 days, allowed are 89", None)])
def test_a_critical_rule_stops_issuance_until_it_is_cured(world, rules, unique, kind, config, words, cure):
    name, rule = unique("cert"), unique("rule")
    rules(rule, type=kind, config=config, severity="Critical")
    job = order(world, name)
    status, why = world.wait_job(job)
    assert status == "Failed" and f"policy {rule} (Critical) does not allow it: {words}; change the certificate, or the policy" in why
    assert world.value("SELECT count(*) FROM certificate_versions WHERE certificate_id = %s", name) == 0
    read = world.api.need("GET", f"{CERTS}/{name}")
    assert read["status"] == "Failed" and words in read["reason"]
    assert why == world.api.need("GET", f"/api/v1/jobs/{job}")["last_error"]
    if cure:
        world.api.need("PUT", f"{CERTS}/{name}", cure)
    else:
        world.api.need("PUT", f"{POLICIES}/{rule}", {"config": {"max_days": 90}})
    assert world.wait_job(renew(world, name)) == ("Completed", None)


@pytest.mark.parametrize("more", [{"severity": "Error"}, {"enabled": False}, {"type": "RenewalLeadTime", "config": {"lead_time_days": 365}}])
def test_other_rules_stop_nothing(world, rules, unique, more):
    name = unique("cert")
    rules(unique("rule"), **{"severity": "Critical", "type": "AllowedEnvironments", "config": {"allowed": ["production"]}} | more)
    assert world.wait_job(order(world, name)) == ("Completed", None)
    scan(world)


# --- finding out ---

def test_metric_and_condition(world, rules, unique):
    name, rule = certificate(world, unique("cert"), environment="staging"), unique("rule")
    rules(rule, type="AllowedEnvironments", config={"allowed": ["production", "development"]}, severity="Critical")
    scan(world)
    _, text = world.api.get("/api/v1/metrics/prometheus")
    assert f'certctl_policy_violations{{severity="Critical"}} {len(violations(world, rule))}' in text
    assert 'certctl_policy_violations{severity="Warning"} 0' in text
    found = [c for c in world.api.need("GET", "/api/v1/admin/conditions")["data"] if c["name"] == "policy_broken"]
    assert [c["count"] for c in found] == [len(violations(world, rule))] and name in violations(world, rule)
