"""The nouns that are configured: teams, owners, policies, profiles, issuers, targets, groups of agents."""
from walk import NO, Bad, Good, members, page

V1 = "/api/v1"
TEAM = members("id name description created_at:t updated_at:t")
OWNER = members("id name email team_id created_at:t updated_at:t")
RENEWAL = members("id name renewal_window_days:i auto_renew:b max_retries:i retry_interval_seconds:i alert_thresholds_days:l "
                  "certificate_profile_id? created_at:t updated_at:t alert_channels:o? alert_severity_map:o?")
PROFILE = members("id name description allowed_key_algorithms:l max_ttl_seconds:i allowed_ekus,required_san_patterns:l spiffe_uri_pattern "
                  "allow_short_lived,must_staple:b required_csr_attributes:l? acme_auth_mode? requires_approval:b? enabled:b created_at:t "
                  "updated_at:t issuer_id? acme_owner_id? acme_renewal_policy_id? acme_eab_required:b? acme_limits:o?")
ACME = {"issuer_id": "iss-local", "acme_owner_id": "o-test", "acme_renewal_policy_id": "rp-default", "acme_eab_required": True, "acme_limits": {"orders_per_hour": 1}}
ISSUER = members("id name type config:o enabled:b last_tested_at:t? test_status? source? hierarchy_mode? created_at:t updated_at:t")
TARGET = members("id name type agent_id config:o enabled:b last_tested_at:t? test_status? source? retired_at:t? retired_reason? "
                 "created_at:t updated_at:t")
GROUP = members("id name description match_os match_architecture match_ip_cidr match_version enabled:b created_at:t updated_at:t")
AGENT = members("id name hostname status last_heartbeat_at:t? registered_at:t os architecture ip_address version retired_at:t? "
                "retired_reason?")
CA = members("fingerprint_sha256 state certificate_pem not_before,not_after:t")
LONG = "x" * 300


def named(what, **more):
    return lambda w: {"name": w.name(what)} | more


def of(noun, **body):
    """One that was made for this row."""
    return lambda w: w.make(noun, **body)


def owned(what):
    """The owner or team of a certificate."""
    return lambda w: w.api.need("GET", f"{V1}/certificates/{w.certificate()}")[what]


def taken(noun):
    """The name of another one of those."""
    return lambda w: {"name": w.api.need("GET", f"{V1}/{noun}/{w.make(noun)}")["name"]}


def target(w, **more):
    name = w.name("target")
    return w.fleet.target(name, w.hand["id"], w.fleet.dir / name) | more


def with_key(w):
    """An issuer whose CA's key a worker has made."""
    issuer = w.make("issuers", type="GenericCA")
    w.await_rows(f"{V1}/issuers/{issuer}/cas")
    return issuer


def member(w):
    group, agent = w.make("agent-groups"), w.agent()
    w.api.need("PUT", f"{V1}/agent-groups/{group}/members/{agent}")
    return [group, agent]


def noun(name, fields, new, changes, refused, more=None):
    """The five routes that every noun has: good, and those of bad input that they share."""
    one = f"{V1}/{name}/{{id}}"
    made = of(name, **(more or {}))
    good = {("GET", f"{V1}/{name}"): [page(fields, lambda w: made(w) and ""), page(fields, "?page=1&per_page=500")],
            ("POST", f"{V1}/{name}"): [Good("", b, 201, fields) for b in new],
            ("GET", one): [Good(made, None, 200, fields)],
            ("PUT", one): [Good(made, b, 200, fields) for b in changes],
            ("DELETE", one): [Good(made, None, 204)]}
    bad = {("POST", f"{V1}/{name}"): [Bad("", b, 400) for b in ({}, {"name": ""}, {"name": 7}, {"name": []}, {"name": LONG}, {"name": "a\tb"}, *refused)],
           ("GET", one): [Bad(NO, None, 404)],
           ("PUT", one): [Bad(NO, named("x"), 404)] + [Bad(made, b, 400) for b in ({"name": 7}, {"name": LONG})],
           ("DELETE", one): [Bad(NO, None, 404)]}
    return good, bad


GOOD, BAD = {}, {}
for goods, bads in (
        noun("teams", TEAM, [named("t"), named("t", description="d", no_such=1)], [{"description": "x"}, {}], [{"name": "x", "description": 7}]),
        noun("owners", OWNER, [named("o", email="a@example.test", team_id="t-test"), named("o", team_id="t-test")], [{"email": "b@example.test"}, {}],
             [{"name": "x", "team_id": NO}, {"name": "x", "team_id": "t-test", "email": 7}], {"team_id": "t-test"}),
        noun("renewal-policies", RENEWAL, [named("r"), named("r", renewal_window_days=0), named("r", auto_renew=True, max_retries=10),
                                           named("r", alert_channels={"warning": ["Email"]}, alert_severity_map={"7": "warning"})],
             [named("r", renewal_window_days=365), named("r", auto_renew=False)],
             [{"name": "x"} | more for more in ({"renewal_window_days": 366}, {"renewal_window_days": -1}, {"retry_interval_seconds": 59},
                                                {"retry_interval_seconds": 86401}, {"alert_thresholds_days": [366]}, {"alert_thresholds_days": "x"},
                                                {"max_retries": 11}, {"max_retries": -1}, {"auto_renew": "yes"})]),
        noun("profiles", PROFILE, [named("p"), named("p", allowed_key_algorithms=[{"algorithm": "RSA", "min_size": 3072}], must_staple=True),
                                   named("p", max_ttl_seconds=3599, allow_short_lived=True), named("p", **ACME)],
             [{"description": "x"}, {"enabled": False}, ACME, {k: None for k in ACME}],
             [{"name": "x"} | more for more in ({"allowed_key_algorithms": [{"algorithm": "DSA", "min_size": 2048}]},
                                                {"allowed_key_algorithms": [{"algorithm": "RSA", "min_size": 2047}]},
                                                {"allowed_key_algorithms": [{"algorithm": "ECDSA", "min_size": 255}]}, {"allowed_ekus": ["nonsense"]},
                                                {"max_ttl_seconds": -1}, {"max_ttl_seconds": 3600, "allow_short_lived": True},
                                                {"issuer_id": NO}, {"acme_owner_id": NO}, {"acme_renewal_policy_id": NO}, {"acme_eab_required": 1},
                                                {"acme_limits": {"nonsense": 1}}, {"acme_limits": {"orders_per_hour": -1}})]),
        noun("issuers", ISSUER, [named("i", type="GenericCA"), named("i", type="local_ca", config={"validity_days": 30})],
             [{"config": {"validity_days": 20}}, {"enabled": False}, {}],
             [{"name": "x"}, {"name": "x", "type": "nonsense"}, {"name": "x", "type": "GenericCA", "config": {"validity_days": "90d"}},
              {"name": "x", "type": "GenericCA", "config": []}], {"type": "GenericCA"}),
        noun("agent-groups", GROUP, [named("g"), named("g", match_os="linux", match_ip_cidr="10.0.0.0/8", enabled=True)], [{"match_os": "linux"}, {}],
             [{"name": "x", "match_os": 7}])):
    GOOD |= goods
    BAD |= bads

TARGETS = f"{V1}/targets"
GOOD |= {
    ("GET", TARGETS): [page(TARGET)],
    ("POST", TARGETS): [Good("", target, 201, TARGET)],
    ("GET", f"{TARGETS}/{{id}}"): [Good(lambda w: w.target(), None, 200, TARGET)],
    ("PUT", f"{TARGETS}/{{id}}"): [Good(lambda w: w.target(), b, 200, TARGET) for b in (named("n"), {"enabled": False}, {})],
    ("DELETE", f"{TARGETS}/{{id}}"): [Good(lambda w: w.target(), None, 204)],
    ("GET", f"{V1}/agent-groups/{{id}}/members"): [page(AGENT, lambda w: member(w)[0])],
    ("PUT", f"{V1}/agent-groups/{{id}}/members/{{agent_id}}"): [Good(lambda w: [w.make("agent-groups"), w.agent()], None, 200, members("agent_group_id agent_id membership_type"))],
    ("DELETE", f"{V1}/agent-groups/{{id}}/members/{{agent_id}}"): [Good(member, None, 204)],
    ("GET", f"{V1}/issuers/{{id}}/cas"): [Good("iss-local", None, 200, CA, rows="data")],
    ("POST", f"{V1}/issuers/{{id}}/successor"): [Good("iss-local", None, 202, members("status"))],
}
BAD |= {
    ("POST", TARGETS): [Bad("", lambda w, m=more: target(w, **m), 400) for more in (
        {"name": ""}, {"name": LONG}, {"type": "nonsense"}, {"type": 7}, {"agent_id": NO}, {"agent_id": ""}, {"config": []},
        {"config": {"cert_path": "relative", "key_path": "/k"}}, {"config": {"reload_command": "a; b"}})],
    ("GET", f"{TARGETS}/{{id}}"): [Bad(NO, None, 404)],
    ("PUT", f"{TARGETS}/{{id}}"): [Bad(NO, {}, 404), Bad(lambda w: w.target(), {"agent_id": NO}, 400), Bad(lambda w: w.target(), {"name": 7}, 400)],
    ("DELETE", f"{TARGETS}/{{id}}"): [Bad(NO, None, 404)],
    ("GET", f"{V1}/agent-groups/{{id}}/members"): [Bad(NO, None, 404)],
    ("PUT", f"{V1}/agent-groups/{{id}}/members/{{agent_id}}"): [Bad([NO, NO], None, 404), Bad(lambda w: [w.make("agent-groups"), NO], None, 404)],
    ("DELETE", f"{V1}/agent-groups/{{id}}/members/{{agent_id}}"): [Bad([NO, NO], None, 404), Bad(lambda w: [w.make("agent-groups"), w.agent()], None, 404)],
    ("GET", f"{V1}/issuers/{{id}}/cas"): [Bad(NO, None, 404)],
    ("POST", f"{V1}/issuers/{{id}}/successor"): [Bad(NO, None, 404)],
    ("POST", f"{V1}/issuers/{{id}}/switch"): [Bad(NO, {"fingerprint_sha256": "ab" * 32}, 404), Bad("iss-local", {}, 400),
                                              Bad("iss-local", {"fingerprint_sha256": "ab" * 32}, 409)],
}
GOOD[("POST", f"{V1}/issuers/{{id}}/switch")] = []   # It wants a successor that is ready: test_ca_successor.py.
GOOD[("DELETE", f"{V1}/issuers/{{id}}")] = [Good(of("issuers", type="OpenSSL", config={"sign_script": "/opt/ca/sign"}), None, 204),
                                              Good(with_key, None, 204)]
# What another one has, or is used by.
BAD[("DELETE", f"{V1}/owners/{{id}}")] += [Bad(owned("owner_id"), None, 409)]
BAD[("DELETE", f"{V1}/issuers/{{id}}")] += [Bad(owned("issuer_id"), None, 409)]
BAD[("DELETE", f"{V1}/renewal-policies/{{id}}")] += [Bad(owned("renewal_policy_id"), None, 409)]
BAD[("PUT", f"{V1}/renewal-policies/{{id}}")] += [Bad(of("renewal-policies"), b, 400) for b in ({}, {"auto_renew": True})]
BAD[("POST", f"{V1}/renewal-policies")] += [Bad("", taken("renewal-policies"), 409)]
BAD[("POST", f"{V1}/teams")] += [Bad("", taken("teams"), 409)]
BAD[("POST", f"{V1}/issuers")] += [Bad("", {"name": "Local CA", "type": "GenericCA"}, 409)]
