"""
Certificate profiles: the routes with good and bad input, edits that wait for an
approval, and what a profile lets be issued, by the certificate that comes of it.
"""
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as EKU, NameOID

from fleet import API_KEY, Api, Fleet
from test_rest import refused

PROFILES, CERTS = "/api/v1/profiles", "/api/v1/certificates"
BOSS = f"boss-{API_KEY}"
KEYS = [{"algorithm": "ECDSA", "min_size": 256}, {"algorithm": "RSA", "min_size": 2048}]
DEFAULTS = {"description": "", "allowed_key_algorithms": KEYS, "max_ttl_seconds": 0, "allowed_ekus": ["serverAuth"],
            "required_san_patterns": [], "spiffe_uri_pattern": "", "allow_short_lived": False, "must_staple": False,
            "required_csr_attributes": [], "acme_auth_mode": "trust_authenticated", "requires_approval": False, "enabled": True}
FULL = {"description": "all\nof it", "allowed_key_algorithms": [{"algorithm": "Ed25519", "min_size": 0}], "max_ttl_seconds": 600,
        "allowed_ekus": ["clientAuth", "emailProtection"], "required_san_patterns": [".*\\.example\\.test", "10\\..*"],
        "spiffe_uri_pattern": "spiffe://example.test/w/*", "allow_short_lived": True, "must_staple": True,
        "required_csr_attributes": ["challengePassword", "1.2.3.4"], "acme_auth_mode": "challenge", "requires_approval": False,
        "enabled": False}


@pytest.fixture(scope="module")
def world():
    fleet = Fleet("profiles")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True, CERTCTL_API_KEYS_NAMED=f"admin:{API_KEY}:admin,boss:{BOSS}:admin")
        fleet.start_scheduler(keep=True)
        fleet.start_worker(keep=True)
        fleet.make_basics()
        fleet.boss = Api(fleet.api_port, fleet.dir / "tls" / "api.pem", BOSS)
        fleet.agent = fleet.api.need("POST", "/api/v1/agents", {"name": "hand", "hostname": "h.example.test"})
        yield fleet
    finally:
        fleet.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


def profile(world, name, **more):
    return world.api.need("POST", PROFILES, {"id": name, "name": name} | more)


# --- the routes ---

def test_defaults_and_all_fields(world, unique):
    name = unique("prof")
    made = world.api.need("POST", PROFILES, {"name": name})
    assert made["id"].startswith("prof-") and {k: made[k] for k in DEFAULTS} == DEFAULTS and "warnings" not in made
    assert set(made) == {"id", "name", "created_at", "updated_at"} | set(DEFAULTS)
    changed = world.api.need("PUT", f"{PROFILES}/{made['id']}", FULL)
    assert {k: changed[k] for k in FULL} == FULL and changed["name"] == name
    read = world.api.need("GET", f"{PROFILES}/{made['id']}")
    assert {k: v for k, v in read.items() if k != "warnings"} == {k: v for k, v in changed.items() if k != "warnings"}
    assert "enabled is false" in read["warnings"][0]
    # An update keeps what it does not name.
    kept = world.api.need("PUT", f"{PROFILES}/{made['id']}", {"enabled": True})
    assert {k: kept[k] for k in FULL} == FULL | {"enabled": True}
    assert made["id"] in [p["id"] for p in world.api.need("GET", f"{PROFILES}?q={name}")["data"]]
    assert world.api.call("DELETE", f"{PROFILES}/{made['id']}") == (204, None)
    for method, body in (("GET", None), ("PUT", {}), ("DELETE", None)):
        status, reply = world.api.call(method, f"{PROFILES}/{made['id']}", body)
        refused(reply, status, "Profile not found", 404)
    assert world.query("SELECT action FROM audit_events WHERE resource_id = %s ORDER BY seq", made["id"]) == [
        ("create_profile",), ("update_profile",), ("update_profile",), ("delete_profile",)]


def test_a_key_without_a_size_shows_one(world, unique):
    """Ed25519 has one size, and the contract's keys have each of their members."""
    made = profile(world, unique("prof"), allowed_key_algorithms=[{"algorithm": "Ed25519"}] + KEYS)
    want = [{"algorithm": "Ed25519", "min_size": 0}] + KEYS
    assert made["allowed_key_algorithms"] == want == world.api.need("GET", f"{PROFILES}/{made['id']}")["allowed_key_algorithms"]


@pytest.mark.parametrize("body", [
    {"allowed_key_algorithms": []}, {"allowed_ekus": []}, {"allowed_ekus": None, "acme_auth_mode": "", "description": None}])
def test_what_says_nothing_is_the_default(world, unique, body):
    made = world.api.need("POST", PROFILES, {"name": unique("prof")} | body)
    assert {k: made[k] for k in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("body", [
    {"max_ttl_seconds": 30}, {"max_ttl_seconds": 2147483647}, {"max_ttl_seconds": 3599, "allow_short_lived": True},
    {"max_ttl_seconds": 0, "allow_short_lived": True}, {"allowed_key_algorithms": [{"algorithm": "Ed25519", "min_size": 0}]},
    {"allowed_key_algorithms": [{"algorithm": "RSA", "min_size": 8192}, {"algorithm": "ECDSA", "min_size": 521}]},
    {"allowed_ekus": ["serverAuth", "clientAuth", "codeSigning", "emailProtection", "timeStamping"]},
    {"required_san_patterns": ["^[a-z0-9-]+\\.example\\.test$"] * 20}, {"name": "x" * 255, "id": "prof_x.1"}])
def test_good_input(world, unique, body):
    made = world.api.need("POST", PROFILES, {"name": unique("prof")} | body)
    assert {k: made[k] for k in body} == body
    world.api.need("DELETE", f"{PROFILES}/{made['id']}")


BAD = [
    ({"name": ""}, "name is required"),
    ({"name": "x" * 256}, "name must be 255 characters or fewer"),
    ({"id": "a/b"}, "id must be"),
    ({"description": 7}, "description must be a string"),
    ({"allowed_key_algorithms": {}}, "allowed_key_algorithms must be an array of at most 16"),
    ({"allowed_key_algorithms": [KEYS[0]] * 17}, "allowed_key_algorithms must be an array of at most 16"),
    ({"allowed_key_algorithms": ["RSA"]}, "allowed_key_algorithms must be an array of objects"),
    ({"allowed_key_algorithms": [{}]}, "algorithm must be RSA, ECDSA or Ed25519"),
    ({"allowed_key_algorithms": [{"algorithm": "DSA", "min_size": 2048}]}, "algorithm must be RSA, ECDSA or Ed25519"),
    ({"allowed_key_algorithms": [{"algorithm": "rsa", "min_size": 2048}]}, "algorithm must be RSA, ECDSA or Ed25519"),
    ({"allowed_key_algorithms": [{"algorithm": "RSA", "min_size": 2047}]}, "min_size of RSA must be a whole number from 2048 to 8192"),
    ({"allowed_key_algorithms": [{"algorithm": "RSA"}]}, "min_size of RSA must be"),
    ({"allowed_key_algorithms": [{"algorithm": "RSA", "min_size": "2048"}]}, "min_size of RSA must be"),
    ({"allowed_key_algorithms": [{"algorithm": "RSA", "min_size": 2048.5}]}, "min_size of RSA must be"),
    ({"allowed_key_algorithms": [{"algorithm": "ECDSA", "min_size": 255}]}, "min_size of ECDSA must be a whole number from 256 to 521"),
    ({"allowed_key_algorithms": [{"algorithm": "ECDSA", "min_size": 522}]}, "min_size of ECDSA must be"),
    ({"allowed_key_algorithms": [{"algorithm": "Ed25519", "min_size": -1}]}, "min_size of Ed25519 must be"),
    ({"allowed_key_algorithms": [KEYS[0] | {"curve": "P-256"}]}, "curve is unknown"),
    ({"allowed_key_algorithms": [KEYS[0], KEYS[0]]}, "names ECDSA twice"),
    ({"max_ttl_seconds": -1}, "max_ttl_seconds must be a whole number from 0"),
    ({"max_ttl_seconds": 29}, "max_ttl_seconds must be 0 (the issuer's validity) or at least 30"),
    ({"max_ttl_seconds": 2147483648}, "max_ttl_seconds must be a whole number"),
    ({"max_ttl_seconds": 1.5}, "max_ttl_seconds must be a whole number"),
    ({"max_ttl_seconds": "1"}, "max_ttl_seconds must be a whole number"),
    ({"max_ttl_seconds": 3600, "allow_short_lived": True}, "allow_short_lived needs max_ttl_seconds under 3600"),
    ({"allow_short_lived": 1}, "allow_short_lived must be true or false"),
    ({"must_staple": "yes"}, "must_staple must be true or false"),
    ({"requires_approval": 0}, "requires_approval must be true or false"),
    ({"enabled": "true"}, "enabled must be true or false"),
    ({"allowed_ekus": "serverAuth"}, "allowed_ekus must be an array of strings"),
    ({"allowed_ekus": ["any"]}, "allowed_ekus must be of serverAuth"),
    ({"allowed_ekus": ["ServerAuth"]}, "allowed_ekus must be of serverAuth"),
    ({"allowed_ekus": ["serverAuth"] * 17}, "allowed_ekus has more than 16 members"),
    ({"required_san_patterns": ["*.example.test"]}, "required_san_patterns repeats nothing"),
    ({"required_san_patterns": ["(a|b)"]}, "required_san_patterns has groups"),
    ({"required_san_patterns": ["[a"]}, "required_san_patterns has a set"),
    ({"required_san_patterns": [""]}, "required_san_patterns must be an array of strings"),
    ({"required_san_patterns": ["a"] * 21}, "required_san_patterns has more than 20 members"),
    ({"required_san_patterns": ["a" * 256]}, "required_san_patterns must be 255 characters or fewer"),
    ({"spiffe_uri_pattern": "https://example.test/*"}, "spiffe_uri_pattern must begin with spiffe://"),
    ({"spiffe_uri_pattern": "spiffe://*/x"}, "spiffe_uri_pattern must name a trust domain"),
    ({"required_csr_attributes": ["noSuchThing"]}, "required_csr_attributes must be names or dotted numbers"),
    ({"required_csr_attributes": "x"}, "required_csr_attributes must be an array of strings"),
    ({"acme_auth_mode": "open"}, "acme_auth_mode must be one of trust_authenticated, challenge"),
    ({"issuer_id": "iss-none"}, "issuer_id: what it refers to does not exist: iss-none"),
    ({"acme_owner_id": "o-none"}, "acme_owner_id: what it refers to does not exist: o-none"),
    ({"acme_renewal_policy_id": "rp-none"}, "acme_renewal_policy_id: what it refers to does not exist: rp-none"),
    ({"issuer_id": ""}, "issuer_id must be 1 to 128"),
    ({"acme_owner_id": "a b"}, "acme_owner_id must be 1 to 128"),
    ({"acme_renewal_policy_id": 7}, "acme_renewal_policy_id must be a string"),
    ({"acme_eab_required": "yes"}, "acme_eab_required must be true or false"),
    ({"acme_limits": []}, "acme_limits must be an object"),
    ({"acme_limits": {"orders": 1}}, "acme_limits: orders is unknown, use orders_per_hour, concurrent_orders, key_changes_per_hour, "
                                     "challenge_responses_per_hour"),
    ({"acme_limits": {"orders_per_hour": -1}}, "acme_limits: orders_per_hour must be a whole number from 0 to 1000000000"),
    ({"acme_limits": {"concurrent_orders": 1.5}}, "acme_limits: concurrent_orders must be a whole number"),
    ({"acme_limits": {"key_changes_per_hour": "5"}}, "acme_limits: key_changes_per_hour must be a whole number"),
    ({"acme_limits": {"challenge_responses_per_hour": None}}, "acme_limits: challenge_responses_per_hour must be a whole number"),
    ({"acme_limits": {"orders_per_hour": 1000000001}}, "acme_limits: orders_per_hour must be a whole number"),
]


@pytest.mark.parametrize("body, words", BAD)
def test_bad_input(world, unique, body, words):
    status, reply = world.api.post(PROFILES, {"name": unique("prof")} | body)
    refused(reply, status, words)
    if "id" in body: # not looked at in an update
        return
    made = world.api.need("POST", PROFILES, {"name": unique("prof")})
    status, reply = world.api.call("PUT", f"{PROFILES}/{made['id']}", body)
    refused(reply, status, words)
    assert world.api.need("GET", f"{PROFILES}/{made['id']}") == made


def test_an_update_is_judged_beside_what_is_stored(world, unique):
    long, short = profile(world, unique("prof"), max_ttl_seconds=86400), profile(world, unique("prof"), max_ttl_seconds=60, allow_short_lived=True)
    for made, body in ((long, {"allow_short_lived": True}), (short, {"max_ttl_seconds": 7200})):
        status, reply = world.api.call("PUT", f"{PROFILES}/{made['id']}", body)
        refused(reply, status, "allow_short_lived needs max_ttl_seconds under 3600")
    assert world.api.call("PUT", f"{PROFILES}/{long['id']}", {"allow_short_lived": True, "max_ttl_seconds": 60})[0] == 200


def test_a_name_is_taken_once(world, unique):
    made, other = profile(world, unique("prof")), profile(world, unique("prof"))
    for method, path, body in (("POST", PROFILES, {"name": made["name"]}), ("PUT", f"{PROFILES}/{other['id']}", {"name": made["name"]})):
        status, reply = world.api.call(method, path, body)
        refused(reply, status, "A profile with this name already exists", 409)
    status, reply = world.api.post(PROFILES, {"id": made["id"], "name": unique("prof")})
    refused(reply, status, "Profile with this id already exists", 409)


def test_one_that_is_in_use_stays(world, unique):
    name = unique("prof")
    profile(world, name)
    world.make_certificate(name, certificate_profile_id=name)
    status, reply = world.api.call("DELETE", f"{PROFILES}/{name}")
    refused(reply, status, "still refer to it", 409)


# --- ACME ---

ACME = {"issuer_id": "iss-local", "acme_owner_id": "o-test", "acme_renewal_policy_id": "rp-default", "acme_eab_required": False,
        "acme_limits": {"orders_per_hour": 7, "concurrent_orders": 0, "key_changes_per_hour": 1000000000, "challenge_responses_per_hour": 1}}


def test_who_signs_for_acme_clients_and_whose_it_is(world, unique):
    """The members that say it are there where somebody said it, and go when somebody takes them back."""
    made = profile(world, unique("prof"), **ACME)
    path = f"{PROFILES}/{made['id']}"
    assert {k: made[k] for k in ACME} == ACME and "warnings" not in made
    kept = world.api.need("PUT", path, {"description": "by somebody who knows none of them"})
    assert {k: kept[k] for k in ACME} == ACME
    changed = world.api.need("PUT", path, {"acme_limits": {"orders_per_hour": 8}, "acme_eab_required": True, "acme_renewal_policy_id": None})
    assert changed["acme_limits"] == {"orders_per_hour": 8} and changed["acme_eab_required"] is True and "acme_renewal_policy_id" not in changed
    assert world.api.need("GET", path) == changed == next(p for p in world.api.need("GET", f"{PROFILES}?q={made['name']}")["data"])
    bare = world.api.need("PUT", path, {"issuer_id": None, "acme_owner_id": None, "acme_eab_required": None, "acme_limits": {}})
    assert not set(bare) & set(ACME) and "warnings" not in bare


@pytest.mark.parametrize("body, lacking", [
    ({"issuer_id": "iss-local"}, ["acme_owner_id"]), ({"acme_owner_id": "o-test"}, ["issuer_id"]),
    ({"acme_limits": {"orders_per_hour": 0}}, ["issuer_id", "acme_owner_id"]), ({"acme_eab_required": False}, ["issuer_id", "acme_owner_id"])])
def test_what_keeps_it_from_serving_is_said(world, unique, body, lacking):
    made = profile(world, unique("prof"), **body)
    assert len(made["warnings"]) == len(lacking)
    assert all("ACME clients get nothing by this profile" in text and name in text for text, name in zip(made["warnings"], lacking))


@pytest.mark.parametrize("member, path, body", [
    ("issuer_id", "issuers", {"type": "GenericCA"}), ("acme_owner_id", "owners", {"team_id": "t-test"}),
    ("acme_renewal_policy_id", "renewal-policies", {})])
def test_what_a_profile_names_stays(world, unique, member, path, body):
    name = unique("named")
    named = world.api.need("POST", f"/api/v1/{path}", {"name": name} | body)["id"]
    made = profile(world, unique("prof"), **{member: named})
    assert world.api.call("DELETE", f"/api/v1/{path}/{named}")[0] == 409
    world.api.need("PUT", f"{PROFILES}/{made['id']}", {member: None})
    assert world.api.call("DELETE", f"/api/v1/{path}/{named}")[0] == 204


def test_an_edit_of_them_waits_too(world, unique):
    name = unique("prof")
    profile(world, name, requires_approval=True, acme_owner_id="o-test", acme_limits={"orders_per_hour": 1})
    for member in ("issuer_id", "acme_owner_id", "acme_renewal_policy_id"):
        status, reply = world.api.call("PUT", f"{PROFILES}/{name}", {member: "x-none"})
        refused(reply, status, f"{member}: what it refers to does not exist: x-none")
    assert not world.value("SELECT count(*) FROM issuance_approval_requests WHERE profile_id = %s", name)
    status, reply = world.api.call("PUT", f"{PROFILES}/{name}", ACME | {"acme_owner_id": None})
    assert status == 202 and "issuer_id" not in world.api.need("GET", f"{PROFILES}/{name}")
    world.boss.need("POST", f"/api/v1/approvals/{reply['pending_approval_id']}/approve")
    read = world.api.need("GET", f"{PROFILES}/{name}")
    assert {k: read.get(k) for k in ACME} == ACME | {"acme_owner_id": None}


def test_what_an_edit_named_went_before_it_was_approved(world, unique):
    name = unique("prof")
    profile(world, name, requires_approval=True)
    issuer = world.api.need("POST", "/api/v1/issuers", {"name": name, "type": "GenericCA"})["id"]
    request = world.api.call("PUT", f"{PROFILES}/{name}", {"issuer_id": issuer})[1]["pending_approval_id"]
    assert world.api.call("DELETE", f"/api/v1/issuers/{issuer}")[0] == 204
    status, reply = world.boss.call("POST", f"/api/v1/approvals/{request}/approve")
    refused(reply, status, "issuer_id: what it refers to does not exist")
    assert world.api.need("GET", f"/api/v1/approvals/{request}")["state"] == "pending"


def test_the_command_line_sets_them(world, unique):
    name = unique("prof")
    done = world.cli("profiles", "create", name, "--id", name, "--issuer-id", "iss-local", "--acme-owner-id", "o-test", "--acme-auth-mode", "challenge",
                     "--acme-renewal-policy-id", "rp-default", "--acme-eab-required", "true", "--acme-orders-per-hour", "7", "--acme-concurrent-orders", "0")
    assert done.returncode == 0, done.stderr
    made = world.api.need("GET", f"{PROFILES}/{name}")
    assert {k: made.get(k) for k in ("acme_auth_mode", *ACME)} == ACME | {
        "acme_auth_mode": "challenge", "acme_eab_required": True, "acme_limits": {"orders_per_hour": 7, "concurrent_orders": 0}}
    done = world.cli("profiles", "update", name, "--acme-renewal-policy-id=-", "--acme-eab-required", "server", "--acme-server-limits",
                     "--max-ttl-seconds", "86400", "--enabled", "false")
    assert done.returncode == 0 and "enabled is false" in done.stderr, done
    read = world.api.need("GET", f"{PROFILES}/{name}")
    assert {k: read[k] for k in read if k in ACME} == {"issuer_id": "iss-local", "acme_owner_id": "o-test"}
    assert (read["max_ttl_seconds"], read["enabled"], read["name"]) == (86400, False, name)
    done = world.cli("profiles", "get", name, "-o", "json")
    assert json.loads(done.stdout) == read
    assert name in world.cli("profiles", "list", "--per-page", "500").stdout
    assert world.cli("profiles", "update", name, "--issuer-id", "iss-none").returncode == 1
    done = world.cli("profiles", "update", name, "--requires-approval", "true")
    assert done.returncode == 0 and done.stdout.startswith("nothing is changed before somebody else approves: certctl approvals approve ar-")


# --- edits that wait ---

def test_an_edit_waits_for_somebody_else(world, unique):
    name = unique("prof")
    profile(world, name, requires_approval=True)
    edit = {"max_ttl_seconds": 86400, "requires_approval": False}
    status, reply = world.api.call("PUT", f"{PROFILES}/{name}", edit)
    assert status == 202 and set(reply) == {"status", "pending_approval_id", "message"} and reply["status"] == "pending_approval"
    request = reply["pending_approval_id"]
    # Asked again it is the same, and nothing is changed.
    assert world.api.call("PUT", f"{PROFILES}/{name}", edit)[1] == reply
    read = world.api.need("GET", f"{PROFILES}/{name}")
    assert (read["max_ttl_seconds"], read["requires_approval"]) == (0, True)
    seen = world.api.need("GET", f"/api/v1/approvals/{request}")
    assert (seen["kind"], seen["profile_id"], seen["requested_by"], seen["state"]) == ("profile_edit", name, "admin", "pending")
    status, reply = world.api.post(f"/api/v1/approvals/{request}/approve")
    refused(reply, status, "somebody else must approve it", 403)
    assert world.boss.need("POST", f"/api/v1/approvals/{request}/approve", {"note": "fine"}) == {
        "id": request, "decided_by": "boss", "action": "approved"}
    read = world.api.need("GET", f"{PROFILES}/{name}")
    assert (read["max_ttl_seconds"], read["requires_approval"], read["name"], read["allowed_key_algorithms"]) == (86400, False, name, KEYS)
    status, reply = world.boss.call("POST", f"/api/v1/approvals/{request}/reject")
    refused(reply, status, "it is approved", 409)
    assert world.query("SELECT actor, action FROM audit_events WHERE resource_id IN (%s, %s) ORDER BY seq", request, name) == [
        ("admin", "create_profile"), ("admin", "approval_profile_edit_requested"), ("boss", "approval_approved"), ("boss", "profile_edit_applied")]


def test_a_rejected_edit_changes_nothing(world, unique):
    name = unique("prof")
    profile(world, name)
    # To ask for approvals from now on is asked for as well.
    status, reply = world.api.call("PUT", f"{PROFILES}/{name}", {"requires_approval": True})
    assert status == 202
    world.boss.need("POST", f"/api/v1/approvals/{reply['pending_approval_id']}/reject")
    assert world.api.need("GET", f"{PROFILES}/{name}")["requires_approval"] is False
    status, reply = world.api.call("DELETE", f"{PROFILES}/{name}")
    refused(reply, status, "requests for approval still refer", 409)


def test_an_edit_to_a_name_that_was_taken_meanwhile(world, unique):
    name, wanted = unique("prof"), unique("prof")
    profile(world, name, requires_approval=True)
    request = world.api.call("PUT", f"{PROFILES}/{name}", {"name": wanted})[1]["pending_approval_id"]
    profile(world, wanted)
    status, reply = world.boss.call("POST", f"/api/v1/approvals/{request}/approve")
    refused(reply, status, "another profile has the name of this edit", 409)
    assert world.api.need("GET", f"/api/v1/approvals/{request}")["state"] == "pending"


# --- what is issued ---

MADE = {
    "ec256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def general_name(text):
    return x509.UniformResourceIdentifier(text) if "://" in text else x509.DNSName(text)


def csr_of(names, key="ec256", challenge=None):
    secret = MADE[key]()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])) \
        .add_extension(x509.SubjectAlternativeName([general_name(n) for n in names]), False)
    if challenge:
        builder = builder.add_attribute(x509.oid.AttributeOID.CHALLENGE_PASSWORD, challenge)
    return builder.sign(secret, None if key == "ed25519" else hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def order(world, name, names, **more):
    """A job that waits for its CSR."""
    world.make_target(f"tgt-{name}", world.agent["id"], world.dir / "sites" / name)
    world.make_certificate(name, [f"tgt-{name}"], common_name=names[0], sans=names, **more)
    return world.api.need("POST", f"{CERTS}/{name}/renew")["job_id"]


def send(world, name, job, csr):
    return world.api.call("POST", f"/api/v1/agents/{world.agent['id']}/csr",
                          {"csr_pem": csr, "certificate_id": name, "job_id": job}, key=world.agent["api_key"])


def leaf_of(world, job):
    assert world.wait_job(job) == ("Completed", None)
    return x509.load_pem_x509_certificate(world.value("SELECT pem_chain FROM certificate_versions WHERE job_id = %s", job).encode())


OBEYED = [
    ({"allowed_ekus": ["clientAuth", "codeSigning"]}, {}, {EKU.CLIENT_AUTH, EKU.CODE_SIGNING}, 90 * 86400, False),
    ({"must_staple": True, "max_ttl_seconds": 86400}, {}, {EKU.SERVER_AUTH}, 86400, True),
    ({"max_ttl_seconds": 600, "allow_short_lived": True}, {}, {EKU.SERVER_AUTH}, 600, False),
    ({"allowed_key_algorithms": [{"algorithm": "Ed25519"}]}, {"key": "ed25519"}, {EKU.SERVER_AUTH}, 90 * 86400, False),
    ({"allowed_key_algorithms": [{"algorithm": "ECDSA", "min_size": 384}]}, {"key": "ec384"}, {EKU.SERVER_AUTH}, 90 * 86400, False),
    ({"required_san_patterns": ["www[0-9]*\\.example\\.test", "spiffe://.*"]}, {"names": ["www1.example.test", "spiffe://a/b"]},
     {EKU.SERVER_AUTH}, 90 * 86400, False),
    ({"required_san_patterns": [".*\\.example\\.test"], "spiffe_uri_pattern": "spiffe://example.test/w/*"},
     {"names": ["w.example.test", "spiffe://example.test/w/1"]}, {EKU.SERVER_AUTH}, 90 * 86400, False),
    ({"required_csr_attributes": ["challengePassword", "subjectAltName"]}, {"challenge": b"secret"}, {EKU.SERVER_AUTH}, 90 * 86400, False),
]


@pytest.mark.parametrize("rules, request_of, ekus, life_s, staples", OBEYED, ids=[", ".join(o[0]) for o in OBEYED])
def test_what_a_profile_demands_is_issued(world, unique, rules, request_of, ekus, life_s, staples):
    name = unique("cert")
    request_of = {"names": [f"{name}.example.test"]} | request_of
    profile(world, name, **rules)
    job = order(world, name, request_of["names"], certificate_profile_id=name)
    assert send(world, name, job, csr_of(**request_of)) == (202, {"status": "csr_accepted"})
    leaf = leaf_of(world, job)
    assert set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == ekus
    assert (leaf.not_valid_after - leaf.not_valid_before).total_seconds() + 1 == life_s
    assert any(isinstance(e.value, x509.TLSFeature) for e in leaf.extensions) == staples


# The CSR's request and what is said of it; the same profile, set once the CSR was accepted, has the job's reason.
REFUSED = [
    ({"enabled": False}, {}, "is disabled"),
    ({"allowed_key_algorithms": [{"algorithm": "RSA", "min_size": 2048}]}, {}, "does not allow a key of ECDSA with 256 bits"),
    ({"allowed_key_algorithms": [{"algorithm": "ECDSA", "min_size": 384}]}, {}, "does not allow a key of ECDSA with 256 bits"),
    ({"allowed_key_algorithms": [{"algorithm": "RSA", "min_size": 3072}]}, {"key": "rsa2048"}, "does not allow a key of RSA with 2048 bits"),
    ({"required_san_patterns": [".*\\.corp\\.test"]}, {}, "does not allow the name"),
    ({"spiffe_uri_pattern": "spiffe://example.test/*"}, {}, "demands a URI name (spiffe_uri_pattern)"),
    ({"spiffe_uri_pattern": "spiffe://example.test/w/*"}, {"names": ["w.example.test", "spiffe://example.test/x/1"]},
     "does not allow the name spiffe://example.test/x/1 (spiffe_uri_pattern)"),
    ({"required_csr_attributes": ["challengePassword"]}, {}, "demands the attribute challengePassword"),
]


@pytest.mark.parametrize("rules, request_of, words", REFUSED, ids=[", ".join(r[0]) for r in REFUSED])
def test_what_a_profile_does_not_allow_is_refused_early_and_late(world, unique, rules, request_of, words):
    name = unique("cert")
    request_of = {"names": [f"{name}.example.test"]} | request_of
    csr = csr_of(**request_of)
    profile(world, name, **rules)
    job = order(world, name, request_of["names"], certificate_profile_id=name)
    status, reply = send(world, name, job, csr)
    refused(reply, status, words)
    # The CSR is there already, and nobody has asked the profile.
    world.plant("INSERT INTO certificate_requests VALUES (%s, %s, 'x')", job, csr)
    world.plant("UPDATE jobs SET status = 'Pending', run_after = now() WHERE id = %s", job)
    status, why = world.wait_job(job)
    assert status == "Failed" and words in why and name in why
    assert world.value("SELECT count(*) FROM certificate_versions WHERE certificate_id = %s", name) == 0


@pytest.mark.parametrize("san", ["spiffe://", "spiffe://a", "spiffe://A/b", "spiffe://a/*", "spiffe://a/b c", "https://a.test/b"])
def test_other_uris_are_no_names_of_a_certificate(world, unique, san):
    status, reply = world.api.post(CERTS, world.certificate(unique("cert")) | {"sans": [san]})
    refused(reply, status, "sans must ")


def test_a_short_life_needs_leave(world, unique):
    """One that comes of the issuer's validity; the profile's own is what it wants."""
    issuer = unique("iss")
    world.api.need("POST", "/api/v1/issuers", {"id": issuer, "name": issuer, "type": "GenericCA", "config": {"validity_seconds": 1200}})
    for allowed in (False, True):
        name = unique("cert")
        profile(world, name, allow_short_lived=allowed)
        job = order(world, name, [f"{name}.example.test"], certificate_profile_id=name, issuer_id=issuer)
        assert send(world, name, job, csr_of([f"{name}.example.test"]))[0] == 202
        if allowed:
            leaf_of(world, job)
        else:
            status, why = world.wait_job(job)
            assert status == "Failed" and "lives 1200 s, and allow_short_lived is false" in why


def test_a_profile_that_makes_no_sense_issues_nothing(world, unique):
    name = unique("cert")
    profile(world, name)
    job = order(world, name, [f"{name}.example.test"], certificate_profile_id=name)
    world.query("UPDATE certificate_profiles SET required_san_patterns = %s WHERE id = %s", json.dumps(["*"]), name)
    status, reply = send(world, name, job, csr_of([f"{name}.example.test"]))
    refused(reply, status, "makes no sense")


def test_an_approval_comes_first(world, unique):
    name = unique("cert")
    profile(world, name, requires_approval=True)
    job = order(world, name, [f"{name}.example.test"], certificate_profile_id=name)
    status, _ = send(world, name, job, csr_of([f"{name}.example.test"]))
    assert status == 409
    world.boss.need("POST", f"/api/v1/jobs/{job}/approve")
    assert send(world, name, job, csr_of([f"{name}.example.test"]))[0] == 202
    leaf_of(world, job)
