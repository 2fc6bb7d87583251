"""
Another key that the secrets of issuers are sealed to: certctl-worker --reseal-issuer-secrets and --issuer-secrets.
Only a worker's host can open them; neither the API nor the database sees any.
"""
import base64
import json
import subprocess

import pytest

from fleet import BUILD, CA_KEY, clean_env, wait_for
from sim_digicert import KEY, ORGANISATION, DigiCertSim
from sinks import Trust

SECRETS = {"DigiCert": {"api_key": "key-of-digicert", "org_id": "1"},
           "Sectigo": {"customer_uri": "c", "login": "l", "password": "password-of-sectigo", "org_id": 1, "cert_type": 31},
           "GlobalSign": {"api_key": "key-of-atlas", "api_secret": "secret-of-atlas", "client_cert_path": "/c", "client_key_path": "/k"}}
SEALED = {"DigiCert": 1, "Sectigo": 1, "GlobalSign": 2}
# The members that are sealed, and to what.
TO = "SELECT i.id, s.key, s.value ->> 'to' FROM issuers i, jsonb_each(i.config) s WHERE jsonb_typeof(s.value) = 'object' ORDER BY 1, 2"


class Worker:
    """The program on a worker's host, as a command."""

    def __init__(self, plane):
        self.plane = plane

    def path(self, name):
        return str(self.plane.make_issuer_secrets(name) / f"{name}.key")

    def fingerprint(self, name):
        told = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", self.path(name)], check=True, text=True, capture_output=True)
        return told.stdout.strip().partition("=")[2].replace(":", "").lower()

    def run(self, option, *names, **env):
        env = self.plane._common("reseal", "certctl_worker") | {
            "CERTCTL_CA_ENCRYPTION_KEY": CA_KEY, "CERTCTL_ISSUANCE_JOURNAL_DIR": str(self.plane.dir / "journal"),
            "CERTCTL_ISSUER_SECRETS_KEYS": ",".join(self.path(n) for n in names)} | env
        return subprocess.run([BUILD / "worker" / "certctl-worker", option], env=clean_env() | env, text=True, capture_output=True, timeout=60,
                              check=False)

    def look(self, *names):
        done = self.run("--issuer-secrets", *names)
        return done.returncode, done.stdout.splitlines()

    def reseal(self, *names):
        done = self.run("--reseal-issuer-secrets", *names)
        return done.returncode, done.stdout.splitlines()


@pytest.fixture(scope="module")
def made(stack):
    for kind, config in SECRETS.items():
        stack.api.need("POST", "/api/v1/issuers", {"id": f"iss-{kind}", "name": kind, "type": kind, "config": config})
    return stack


@pytest.fixture
def world(made):
    """All of them as the API seals them, to the former key."""
    for kind, config in SECRETS.items():
        made.api.need("PUT", f"/api/v1/issuers/iss-{kind}", {"config": config})
    return made


def test_everything_is_sealed_to_the_first_key(world):
    worker, total = Worker(world), sum(SEALED.values())
    former, first = worker.fingerprint("issuer-secrets"), worker.fingerprint("second")
    assert {to for _, _, to in world.query(TO)} == {former}
    assert worker.look("issuer-secrets") == (0, [f"{total} sealed to the first key, 0 to others, 0 that do not open"])
    code, lines = worker.look("second", "issuer-secrets")
    assert code == 1 and lines[-1] == f"0 sealed to the first key, {total} to others, 0 that do not open"
    assert "iss-DigiCert: api_key is sealed to another key than the first" in lines
    # Looking changes nothing, and neither does a host without the former key.
    code, lines = worker.reseal("second")
    assert code == 1 and lines[-1] == f"0 sealed anew, {total} that do not open"
    assert "iss-DigiCert: api_key is sealed to a key that is not here: name its file in CERTCTL_ISSUER_SECRETS_KEYS" in lines
    assert {to for _, _, to in world.query(TO)} == {former}
    others = "SELECT id, config - '{api_key,api_secret,password}'::text[], updated_at FROM issuers ORDER BY id"
    before = world.query(others)
    assert worker.reseal("second", "issuer-secrets") == (0, [f"{total} sealed anew, 0 that do not open"])
    found = world.query(TO)
    assert len(found) == total and {to for _, _, to in found} == {first} and world.query(others) == before
    assert worker.reseal("second", "issuer-secrets") == (0, ["0 sealed anew, 0 that do not open"])
    # The former key can go.
    assert worker.look("second") == (0, [f"{total} sealed to the first key, 0 to others, 0 that do not open"])
    assert worker.look("issuer-secrets")[0] == 1
    told = world.query("SELECT DISTINCT resource_id, details -> 'secrets' FROM audit_events WHERE action = 'issuer_secrets_resealed' ORDER BY 1")
    assert told == [("iss-DigiCert", ["api_key"]), ("iss-GlobalSign", ["api_key", "api_secret"]), ("iss-Sectigo", ["password"])]
    # They are what they were: back under the first key, and compared by who can open them.
    assert worker.reseal("issuer-secrets", "second") == (0, [f"{total} sealed anew, 0 that do not open"])
    assert opened(world, worker, "issuer-secrets", "iss-DigiCert", "api_key") == b"DigiCert:api_key\nkey-of-digicert"
    assert opened(world, worker, "issuer-secrets", "iss-GlobalSign", "api_secret") == b"GlobalSign:api_secret\nsecret-of-atlas"


def opened(world, worker, name, issuer, member):
    cms = base64.b64decode(world.value("SELECT config -> %s ->> 'cms' FROM issuers WHERE id = %s", member, issuer))
    return subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-binary", "-inkey", worker.path(name), "-recip", worker.path(name)],
                          input=cms, check=True, capture_output=True).stdout


def test_killed_in_the_middle_it_is_run_again(world):
    worker, fault = Worker(world), world.dir / "fault"
    fault.write_text("worker.reseal.stored\n")
    done = worker.run("--reseal-issuer-secrets", "second", "issuer-secrets", CERTCTL_FAULT_FILE=str(fault))
    assert done.returncode == -9
    first = worker.fingerprint("second")
    assert len({to for _, _, to in world.query(TO)}) == 2
    left = sum(to != first for _, _, to in world.query(TO))
    assert worker.look("second", "issuer-secrets")[0] == 1
    assert worker.reseal("second", "issuer-secrets") == (0, [f"{left} sealed anew, 0 that do not open"])
    assert {to for _, _, to in world.query(TO)} == {first}


def test_what_is_no_envelope_is_named(world):
    worker = Worker(world)
    world.query("UPDATE issuers SET config = config || %s WHERE id = 'iss-DigiCert'", json.dumps({"api_key": "by hand"}))
    world.query("UPDATE issuers SET config = jsonb_set(config, '{password,cms}', '\"AAAA\"') WHERE id = 'iss-Sectigo'")
    code, lines = worker.reseal("second", "issuer-secrets")
    assert code == 1 and lines == ["iss-DigiCert: api_key is not sealed: give it anew by the API",
                                   "iss-Sectigo: password does not open: give it anew by the API", "2 sealed anew, 2 that do not open"]
    assert "by hand" not in worker.run("--issuer-secrets", "second").stderr


def test_the_function_puts_nothing_but_sealed_secrets(world):
    """A worker's role may replace a secret, which it can read anyway, and no other member."""
    def call(secrets):
        with world.connect("certctl_worker") as c, c.cursor() as cursor:
            cursor.execute("SELECT issuer_secrets_reseal(id, config, %s) FROM issuers WHERE id = 'iss-DigiCert'", (json.dumps(secrets),))
            return cursor.fetchone()[0]
    for secrets in ({"base_url": "https://elsewhere.example"}, {"base_url": {"cms": "x", "to": "y"}}, {"api_key": "plain"}, {"new": {"cms": "x", "to": "y"}}):
        assert call(secrets) is False, secrets
    assert call({"api_key": {"cms": "x", "to": "y"}}) is True


def test_settings_that_are_missing(world):
    done = Worker(world).run("--issuer-secrets")
    assert done.returncode != 0 and "names no key to seal to" in done.stderr
    both = subprocess.run([BUILD / "worker" / "certctl-worker", "--issuer-secrets", "--reseal-issuer-secrets"], text=True, capture_output=True,
                          env=clean_env() | world._common("x", "certctl_worker") | {
                              "CERTCTL_CA_ENCRYPTION_KEY": CA_KEY, "CERTCTL_ISSUANCE_JOURNAL_DIR": str(world.dir / "journal")}, timeout=60, check=False)
    assert both.returncode != 0 and "stands alone" in both.stderr


def test_the_services_go_on_with_both_keys(world):
    """A worker that has both calls the CA with a key that is sealed to either, before and after."""
    worker, trust = Worker(world), Trust(world.dir / "trust")
    sim = DigiCertSim(trust)
    try:
        world.api.need("PUT", "/api/v1/issuers/iss-DigiCert", {"config": SECRETS["DigiCert"] | {
            "api_key": KEY, "org_id": str(ORGANISATION), "base_url": sim.url}})
        world.start_scheduler()
        world.start_worker(1, CERTCTL_ISSUER_SECRETS_KEYS=",".join(worker.path(n) for n in ("second", "issuer-secrets")),
                           CERTCTL_ISSUER_CA_FILE=str(trust.ca), CERTCTL_ISSUER_BASE_URLS=sim.url, CERTCTL_ISSUER_ALLOW_LOOPBACK="true")
        for name in ("issuer-secrets", "second"):
            assert (world.value("SELECT config -> 'api_key' ->> 'to' FROM issuers WHERE id = 'iss-DigiCert'")) == worker.fingerprint(name)
            world.query("UPDATE issuers SET test_status = 'untested' WHERE id = 'iss-DigiCert'")
            world.api.call("POST", "/api/v1/issuers/iss-DigiCert/test")
            wait_for(lambda: world.value("SELECT test_status FROM issuers WHERE id = 'iss-DigiCert'") == "success", 40, "the CA to know the key")
            assert worker.reseal("second", "issuer-secrets")[0] == 0
    finally:
        sim.close()
