"""
What the plan of a replacement knows of the issuer that certificates are to have: by its type, its configuration and its CA's
certificate; whether a deadline is met; and the list of what stays, piece by piece.  What a plan says is what happens.
"""
import datetime
import ipaddress
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from test_replacements import R, World, reasons

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
# Names of each kind; what nothing is against.
NAMES = {"dns": "a.example.test", "wildcard": "*.example.test", "ip": "192.0.2.7", "ip6": "2001:db8::7", "email": "me@example.test",
         "uri": "spiffe://example.test/a", "urn": "urn:example:a"}


@pytest.fixture(scope="module")
def made(basics):
    return World(basics)


@pytest.fixture
def world(made):
    made.query("UPDATE replacements SET state = 'cancelled', ended_at = now() WHERE ended_at IS NULL")
    return made.issuers()


def limited(world, kind, **config):
    """The issuer to come is of that kind and configuration."""
    world.query("UPDATE issuers SET type = %s, config = %s::jsonb WHERE id = %s", kind, json.dumps(config), world.b)


def named(world, kinds=NAMES):
    """One certificate of each kind of name, or of that name; by it, its id."""
    ids = {}
    for at, kind in enumerate(kinds):
        ids[kind], = world.certificates(f"n-{at}")
        world.query("UPDATE managed_certificates SET sans = ARRAY['ok.example.test', %s], common_name = 'ok.example.test' WHERE id = %s",
                    NAMES.get(kind, kind), ids[kind])
    return ids


def stays(world, **wish):
    """By the plan, and then by what comes of it: the same."""
    plan = world.plan(**wish)
    listed = world.api.need("POST", f"{R}/plan/certificates", world.wish(**wish))
    assert "after" not in listed and len(listed["data"]) == plan["excluded"]
    told = {c["id"]: c["reason"] for c in listed["data"]}
    world.begin(**wish)
    world.pieces()
    assert world.items("skipped") == told
    assert reasons(plan["cannot_go"]) == {r: list(told.values()).count(r) for r in told.values()}
    return told


def by_kind(ids, told):
    return {kind: told[i] for kind, i in ids.items() if i in told}


@pytest.mark.parametrize("kind, config, refused", [
    ("ACME", {"challenge_type": "http-01"}, {"wildcard": "name_wildcard", "email": "name_email", "uri": "name_uri", "urn": "name_uri"}),
    ("ACME", {}, {"wildcard": "name_wildcard", "email": "name_email", "uri": "name_uri", "urn": "name_uri"}),
    ("ACME", {"challenge_type": "dns-01"}, {"ip": "name_ip", "ip6": "name_ip", "email": "name_email", "uri": "name_uri", "urn": "name_uri"}),
    ("ACME", {"challenge_type": "dns-persist-01"}, {"ip": "name_ip", "ip6": "name_ip", "email": "name_email", "uri": "name_uri", "urn": "name_uri"}),
    ("DigiCert", {"product_type": "ssl_basic"}, {"email": "name_email", "uri": "name_uri", "urn": "name_uri"}),
    ("Sectigo", {"term": 199}, {"email": "name_email", "uri": "name_uri", "urn": "name_uri"}),
    ("VaultPKI", {"role": "r"}, {}), ("GenericCA", {}, {}), ("OpenSSL", {}, {})])
def test_names_that_an_issuer_has_not(world, kind, config, refused):
    ids = named(world)
    limited(world, kind, **config)
    assert by_kind(ids, stays(world)) == refused


@pytest.mark.parametrize("config", [None, "[]", '"x"', '{"challenge_type": 7}', '{"directory_url": null}'])
def test_a_configuration_that_is_none_limits_as_the_type_does(world, config):
    named(world, ["wildcard", "dns"])
    world.query("UPDATE issuers SET type = 'ACME', config = %s::jsonb WHERE id = %s", config, world.b)
    assert reasons(world.plan()["cannot_go"]) == {"name_wildcard": 1}


def profiled(world, name, **columns):
    profile = world.profile(name)
    for column, value in columns.items():
        world.query(f"UPDATE certificate_profiles SET {column} = %s WHERE id = %s", value, profile)
    return world.certificates(name, profile=profile)[0]


@pytest.mark.parametrize("kind, config, refused", [
    ("ACME", {"directory_url": LETS_ENCRYPT}, {"mail", "code"}), ("ACME", {"directory_url": "https://acme.internal.example/directory"}, set()),
    ("DigiCert", {}, {"mail", "code"}), ("DigiCert", {"product_type": "private_ssl_plus"}, set()), ("EJBCA", {}, set())])
def test_what_certificates_are_for(world, kind, config, refused):
    ids = {name: profiled(world, name, allowed_ekus=json.dumps(ekus)) for name, ekus in (
        ("web", ["serverAuth"]), ("both", ["serverAuth", "clientAuth"]), ("client", ["clientAuth"]), ("mail", ["emailProtection"]),
        ("code", ["codeSigning"]))}
    limited(world, kind, **config)
    assert by_kind(ids, stays(world)) == dict.fromkeys(refused, "usage")


def test_keys_that_a_ca_refuses(world):
    """Of ACME's clients, who make their own; agents make one that all take."""
    profile = world.profile("own", world.b)
    ids = {kind: world.acme(f"k-{kind}", profile)[0] for kind in ("Ed25519", "ECDSA", "RSA")}
    for kind, i in ids.items():
        world.query("UPDATE certificate_versions SET key_algorithm = %s WHERE certificate_id = %s", kind, i)
    limited(world, "ACME", directory_url=LETS_ENCRYPT)
    assert by_kind(ids, stays(world)) == {"Ed25519": "key"}


@pytest.mark.parametrize("kind, config, refused", [
    ("DigiCert", {}, {"hour": "life", "short": "life"}), ("Sectigo", {}, {"hour": "life", "short": "life"}), ("Entrust", {}, {"short": "life"}),
    ("GenericCA", {"validity_seconds": 600}, {"day": "short_lived", "hour": "short_lived"}), ("GenericCA", {"validity_seconds": 86400}, {}),
    ("VaultPKI", {}, {})])
def test_lives_that_an_issuer_has_not(world, kind, config, refused):
    ids = {"none": world.certificates("none")[0]} | {name: profiled(world, name, max_ttl_seconds=s) for name, s in (
        ("day", 86400), ("hour", 3600), ("short", 45))}
    limited(world, kind, **config)
    assert by_kind(ids, stays(world)) == refused


def test_a_profile_that_is_off(world):
    off = profiled(world, "off", enabled=False)
    assert stays(world) == {off: "profile_off"}


def authority(name, signer=None, trees=None, ekus=None):
    """A CA with such constraints, as PEM, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime(2026, 1, 1)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(signer[0].subject if signer else subject).public_key(key.public_key()) \
        .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=3650)) \
        .add_extension(x509.BasicConstraints(True, None), True)
    if trees:
        builder = builder.add_extension(x509.NameConstraints(*trees), True)
    if ekus:
        builder = builder.add_extension(x509.ExtendedKeyUsage(ekus), False)
    return builder.sign(signer[1] if signer else key, hashes.SHA256()), key


def own_ca(world, *chain):
    pem = "".join(c.public_bytes(Encoding.PEM).decode() for c, _ in chain)
    world.query("INSERT INTO ca_certificates (issuer_id, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after) "
                "SELECT id, 'k', id, '', %s, 'f', now() - interval '1 day', now() + interval '900 days' FROM issuers WHERE id = %s", pem, world.b)


def trees(permitted=None, excluded=None):
    made = [[x509.IPAddress(ipaddress.ip_network(n)) if "/" in n else x509.DNSName(n) for n in names] if names else None
            for names in (permitted, excluded)]
    return tuple(made)


def test_the_constraints_of_an_own_ca(world):
    """Those of every CA of its chain, as OpenSSL judges leaves: a name and what is below it, networks apart."""
    cases = ["ok.example.test", "*.ok.example.test", "example.test", "notexample.test", "example.org", "secret.example.test", "a.secret.example.test",
             "192.0.2.7", "192.0.2.200", "198.51.100.1"]
    ids = named(world, cases)
    root = authority("root", trees=trees(["example.test", "192.0.2.0/24"]))
    own_ca(world, authority("below", root, trees(excluded=["secret.example.test", "192.0.2.128/25"])), root)
    forbidden = {"notexample.test", "example.org", "secret.example.test", "a.secret.example.test", "192.0.2.200", "198.51.100.1"}
    assert by_kind(ids, stays(world)) == dict.fromkeys(forbidden, "name_constrained")


def test_the_uses_of_an_own_ca(world):
    ids = {name: profiled(world, name, allowed_ekus=json.dumps(ekus)) for name, ekus in (
        ("web", ["serverAuth", "clientAuth"]), ("client", ["clientAuth"]), ("mail", ["emailProtection"]))} | {"none": world.certificates("none")[0]}
    own_ca(world, authority("servers", ekus=[ExtendedKeyUsageOID.SERVER_AUTH]))
    assert by_kind(ids, stays(world)) == {"client": "usage", "mail": "usage"}


def test_names_that_are_no_addresses_break_no_plan(world):
    """A row may have anything."""
    ids = named(world, ["999.1.1.1", "1.2", "::::", "*.", ".", "", "a:b", "'; DROP"])
    own_ca(world, authority("net", trees=trees(["192.0.2.0/24"])))
    # What looks like an address is in no network; a network says nothing of names.
    assert by_kind(ids, stays(world)) == dict.fromkeys(["999.1.1.1", "1.2", "::::", ".", "a:b"], "name_constrained")


# --- many ---

def test_what_stays_is_listed_piece_by_piece(world):
    """More than one statement looks at; each once, in order, by its reason too."""
    many = 2 * world.value("SELECT policy_replace_piece()") + 5
    world.stack.plant("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, expires_at) "
                      "SELECT %s || lpad(i::text, 6, '0'), %s || i, 'x', 'o-test', 't-test', %s, 'rp-default', CASE i %% 5 WHEN 0 THEN 'Archived' ELSE 'Active' END, "
                      "now() + interval '9 days' FROM generate_series(1, %s) i", f"many-{world.n}-", f"many-{world.n}-", world.a, many)
    going = world.certificates("zz", 2)
    plan = world.plan()
    archived = many // 5
    assert reasons(plan["cannot_go"]) == {"no_key_holder": many - archived, "archived": archived} and plan["certificates"] == len(going)
    assert all(len(g["certificate_ids"]) == 5 and g["certificate_ids"] == sorted(g["certificate_ids"]) for g in plan["cannot_go"])
    for reason, n in ((None, many), ("archived", archived), ("revoked", 0)):
        listed, body, rounds = [], world.wish(**({"reason": reason} if reason else {})), 0
        while True:
            reply = world.api.need("POST", f"{R}/plan/certificates", body)
            listed += [c["id"] for c in reply["data"]]
            rounds += 1
            if "after" not in reply:
                break
            body["after"] = reply["after"]
        assert rounds == 3 and len(listed) == n and listed == sorted(set(listed))
    assert world.api.post(f"{R}/plan/certificates", world.wish(to_issuer_id="nobody"))[0] == 404


def test_the_walk_takes_those_of_its_issuer_alone(world):
    """And comes by those that it knows already only to step over them."""
    mine = world.certificates("mine", 7)
    others = World.certificates(world, "other", 3)
    world.query("UPDATE managed_certificates SET issuer_id = 'iss-local' WHERE id = ANY (%s)", others)
    world.begin(wave_size=3)
    assert world.pieces(1)["moving"] == 3
    world.issue(world.open_jobs())
    world.pieces(2)
    assert world.issuer_of(others) == {"iss-local"} and world.check()["moving"] == 3 and world.check()["issued"] == 3
    world.issue(world.open_jobs())
    world.pieces(3)
    assert world.issuer_of(mine) == {world.b}


# --- in time ---

@pytest.mark.parametrize("kind, lane, within, met, needs", [
    ("GenericCA", "rate_per_s = 2", 13, True, (1.924, None)), ("GenericCA", "rate_per_s = 2", 12, False, (2.084, None)),
    # A call takes two seconds: the cap is what holds it up.
    ("VaultPKI", "rate_per_s = 50, cap = 4", 12, False, (2.084, 5)), ("VaultPKI", "rate_per_s = 50, cap = 4", 13, True, (1.924, 4)),
    ("VaultPKI", "rate_per_s = 1, cap = 40", 24, False, (1.042, 3)),
    # An order and a look at it.
    ("DigiCert", "rate_per_s = 2, cap = 90", 25, True, (2.0, 4)), ("DigiCert", "rate_per_s = 2, cap = 90", 24, False, (2.084, 5)),
    ("GenericCA", "cap = 0", 1, True, (25.0, None))])
def test_whether_a_deadline_is_met(world, kind, lane, within, met, needs):
    world.certificates("soon", 25)
    limited(world, kind)
    world.query(f"UPDATE lanes SET {lane} WHERE issuer_id = %s", world.b)
    told = world.plan(within_seconds=within)["deadline"]
    assert told == {"within_seconds": within, "is_met": met, "needs_rate_per_s": needs[0]} | ({"needs_cap": needs[1]} if needs[1] else {})
    assert "deadline" not in world.plan()


def test_a_deadline_that_is_none(world):
    for within in (0, -1, "1h", 10 ** 9, 1.5):
        status, reply = world.api.post(f"{R}/plan", world.wish(within_seconds=within))
        assert status == 400 and "within_seconds" in str(reply), (within, reply)
