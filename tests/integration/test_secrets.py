"""
Each secret is used, well and badly; then none stands in any log, answer, row,
metric or export.  What is looked for is found where it must be, once.
"""
import json
import re
import subprocess

import pytest

import acme
from fleet import API_KEY, BOOTSTRAP, BUILD, CA_KEY, CONFIG_KEY, clean_env, wait_for
from openapi import Client, operations, target
from sinks import MailSink, Trust, WebSink
from test_notify import SECRETS, channels, notify, settled

LIMIT_S = 150
PASSWORD = "secret-password-of-the-pkcs12"
FIRST = "secret-token-of-the-first-administrator"
IN_CONFIG = "secret-in-an-issuers-config"
# Of channels whose address is all they have; a webhook has its secret, and its address is shown.
SECRET_PATHS = ("/slack-token", "/teams-token")


@pytest.fixture(scope="module")
def secrets():
    """By name: every secret there is."""
    return {"API key": API_KEY, "agents' bootstrap token": BOOTSTRAP, "bootstrap token": FIRST, "sealing key": CA_KEY, "apiservers' sealing key": CONFIG_KEY, "password": PASSWORD,
            "issuer's": IN_CONFIG, **SECRETS, **{path: path for path in SECRET_PATHS}}


@pytest.fixture(scope="module")
def site(stack, secrets, tmp_path_factory):
    stack.processes["apiserver"].stop()  # two would share the port
    stack.start_apiserver(keep=True, CERTCTL_BOOTSTRAP_TOKEN=FIRST, CERTCTL_DIGEST_ENABLED="true", CERTCTL_AUDIT_API_EVENTS="true",
                          CERTCTL_ACME_SERVER_ENABLED="true")
    stack.trust = Trust(stack.dir / "sinks")
    stack.web, stack.mail = WebSink(stack.trust.context()), MailSink(stack.trust.context(), account=["certctl", "another password"])
    stack.start_scheduler(CERTCTL_SCHEDULER_NOTIFICATION_PROCESS_INTERVAL="1s", CERTCTL_NOTIFICATION_RETRY_INTERVAL="1h")
    stack.start_worker(**channels(stack))
    stack.make_basics()
    make_file_ca(stack, secrets, tmp_path_factory.mktemp("ca"))
    yield stack
    stack.web.close()
    stack.mail.close()


def make_file_ca(stack, secrets, at):
    """An issuer whose key is a file, which a worker opens."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=files", "-days", "30", "-keyout", at / "ca.key",
                    "-out", at / "ca.pem"], check=True, capture_output=True)
    secrets["CA's key"] = (at / "ca.key").read_text().splitlines()[5]
    stack.api.need("POST", "/api/v1/issuers", {"id": "iss-files", "name": "files", "type": "GenericCA", "config": {
        "validity_days": 10, "ca_cert_path": str(at / "ca.pem"), "ca_key_path": str(at / "ca.key")}})
    wait_for(lambda: stack.api.need("GET", "/api/v1/issuers/iss-files").get("test_status"), 30, "the CA of the file to be opened")


def ask(stack, said, method, path, body=None, **more):
    """Keeps what was answered."""
    status, reply = stack.api.call(method, path, body, **more)
    said.append(json.dumps(reply) if isinstance(reply, (dict, list)) else str(reply))
    return status, reply


def use_keys(stack, secrets, said):
    """Made, rotated, shown once; guessed, cut short and put where they do not belong."""
    for path, body in (("/api/v1/auth/keys", {"name": "secret-key"}), ("/api/v1/auth/keys/secret-key/rotate", {"grace_seconds": 60}),
                       ("/api/v1/agents", {"name": "secret-agent", "hostname": "h.example.test"})):
        status, reply = stack.api.post(path, body, key=BOOTSTRAP if path.endswith("agents") else None)
        assert status in (200, 201)
        secrets[f"made by {path}"] = reply.get("key_value") or reply["api_key"]
    for key in list(secrets.values()):
        ask(stack, said, "GET", "/api/v1/certificates", key=key)
        ask(stack, said, "GET", "/api/v1/certificates", key=key + "x")
        ask(stack, said, "GET", "/api/v1/certificates", key="", headers={"Authorization": f"Basic {key}"})
        ask(stack, said, "POST", "/api/v1/agents", {"name": 7}, key=key)
        ask(stack, said, "POST", "/api/v1/auth/bootstrap", {"token": key, "actor_name": "first-admin"}, key="")
        ask(stack, said, "POST", "/api/v1/auth/bootstrap", raw=f'{{"token": "{key}", "token": 1', key="")


def use_external_accounts(stack, secrets, said):
    """Keys that are shown once: one admits an account, well and badly; one is there yet."""
    base = acme.serve(stack)
    for name in ("a used", "an active"):
        made = stack.api.need("POST", "/api/v1/acme/eab-keys", {"profile_id": "p-acme"})
        mac = acme.unb64(made["hmac_key"])
        secrets |= {f"{name} account's HMAC key": made["hmac_key"], f"{name} account's HMAC key, in hex": mac.hex()}
        client = acme.Client(stack.api, base)
        for key in (mac[::-1], *([mac] if name == "a used" else [])):
            said.append(str(client.register(externalAccountBinding=acme.binding(made["id"], key, client.key, client.url("new-account")))))
        said.append(str(stack.api.need("GET", f"/api/v1/acme/eab-keys/{made['id']}")))
        client.close()
    assert stack.value("SELECT count(*) FROM acme_accounts") == 1


def use_exports(stack, said):
    stack.make_certificate("mc-secret", [])
    path = "/api/v1/certificates/mc-secret/export/pkcs12"
    for body in ({"password": PASSWORD}, {"password": PASSWORD, "encryption": PASSWORD}, {"password": PASSWORD * 99}, {"password": [PASSWORD]}):
        ask(stack, said, "POST", path, body)
    ask(stack, said, "POST", path, raw=f'{{"password": "{PASSWORD}"')


def use_configs(stack, said):
    """What no connector knows is refused by its name; what one does is stored sealed."""
    digicert = {"id": "iss-secret", "name": "secret", "type": "DigiCert", "config": {"api_key": IN_CONFIG, "org_id": "1"}}
    for change in ({"org_id": "x"}, {"product_type": 7}, {"api_key": IN_CONFIG * 999}, {"api_key": [IN_CONFIG]}, {"api_key": {"cms": IN_CONFIG}}):
        ask(stack, said, "POST", "/api/v1/issuers", digicert | {"config": digicert["config"] | change})
    for method, path, body in (("POST", "/api/v1/issuers", digicert), ("POST", "/api/v1/issuers", digicert), ("PUT", "/api/v1/issuers/iss-secret", digicert),
                               ("GET", "/api/v1/issuers/iss-secret", None), ("GET", "/api/v1/issuers", None)):
        status, reply = ask(stack, said, method, path, body)
    assert status == 200 and "********" in str(reply)
    for config in ({"api_key": IN_CONFIG}, {"token": {"secret": IN_CONFIG}}, {"password": [IN_CONFIG]}):
        for path, body, more in (("/api/v1/issuers", {"name": "s", "type": "GenericCA"}, {}),
                                 ("/api/v1/targets", {"name": "s", "type": "NGINX", "agent_id": "none"}, {"cert_path": "/c", "key_path": "/k"})):
            status, reply = ask(stack, said, "POST", path, body | {"config": config | more})
            assert status == 400 and "config." in reply["message"]


def use_channels(stack, said):
    """Each refused by its receiver, which says back what it was given."""
    own = {"Webhook": "CERTCTL_WEBHOOK_SECRET", "PagerDuty": "CERTCTL_PAGERDUTY_ROUTING_KEY", "OpsGenie": "CERTCTL_OPSGENIE_API_KEY"}
    for channel in ("Email", "Webhook", "Slack", "Teams", "PagerDuty", "OpsGenie"):
        stack.web.clear(*[(403, f"no: {SECRETS[own[channel]] if channel in own else channel}".encode(), {})] * 5)
        (notification,) = notify(stack, channel)
        said.append(str(settled(stack, notification, "failed", "dead")))
        used = str([(g["path"], g["headers"], g["raw"]) for g in stack.web.got])
        # It was used, indeed.
        assert channel == "Email" or channel.lower() in used
        assert channel not in ("PagerDuty", "OpsGenie") or SECRETS[own[channel]] in used


def all_reads(stack):
    """Every route that reads, its metrics and exports among them."""
    client = Client(stack.api)
    ids = ("none-such", "mc-secret", "iss-files", "iss-local", "r-admin")
    for method, path, _ in operations(stack.api.need("GET", "/api/v1/openapi.json")):
        if method != "GET":
            continue
        # Of lists all there is: what was done first may stand far behind on a slow machine.
        query = [("from", "2026-01-01T00:00:00Z"), ("to", "2026-01-02T00:00:00Z"), ("per_page", "500")]
        if path.endswith("/audit/export"):
            now = stack.query("SELECT to_char(now() - interval '1 h', 'YYYY-MM-DD\"T\"HH24:MI:SSZ'),"
                              " to_char(now() + interval '1 h', 'YYYY-MM-DD\"T\"HH24:MI:SSZ')")[0]
            query = list(zip(("from", "to"), now))
        for one in ids if "{" in path else ids[:1]:
            yield path, client.call("GET", target(path, {n: one for n in re.findall(r"\{(\w+)\}", path)}, query))[2].decode("latin-1")
    client.close()


def all_rows(stack):
    for name, in stack.query("SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                             " WHERE c.relkind = 'r' AND n.nspname = 'public'"):
        yield f"table {name}", "\n".join(r[0] for r in stack.query(f"SELECT t::text FROM {name} t"))


def configured(program, env):
    return subprocess.run([BUILD / program.split("-")[-1] / program, "--print-config"], text=True, capture_output=True, timeout=20, check=False,
                          env=clean_env() | env).stdout


def test_no_secret_is_told(site, secrets):
    said = []
    use_keys(site, secrets, said)
    use_external_accounts(site, secrets, said)
    use_exports(site, said)
    use_configs(site, said)
    use_channels(site, said)
    places = [("an answer", text) for text in said] + list(all_reads(site)) + list(all_rows(site))
    places += [(path.name, path.read_text(errors="replace")) for path in (site.dir / "log").glob("*.log")]
    places.append(("--print-config", configured("certctl-apiserver", {
        "CERTCTL_API_KEYS_NAMED": f"a:{API_KEY}:admin", "CERTCTL_AGENT_BOOTSTRAP_TOKEN": BOOTSTRAP, "CERTCTL_BOOTSTRAP_TOKEN": FIRST,
        "CERTCTL_CONFIG_ENCRYPTION_KEY": CONFIG_KEY})))
    places.append(("--print-config", configured(
        "certctl-worker", site.processes["worker-1"].env)))
    assert len(places) > 150 and all("=" in text for place, text in places if place == "--print-config")
    assert sum("mc-secret" in text for _, text in places) > 5 and any(len(text) > 1000 for place, text in places if "prometheus" in place)
    found = {(name, place) for name, secret in secrets.items() for place, text in places if secret in text}
    assert not found, sorted(found)
    # No key that names a secret has a value in the trail, whoever wrote it.
    assert site.value("SELECT count(*) FROM audit_events") > 20
    assert site.query("SELECT action, details FROM audit_events WHERE details <> audit_shown(details)") == []
    # And the product's own events need no hiding.
    assert site.query("SELECT action, details FROM audit_events WHERE details ? 'redacted_keys'") == []
    # The search finds: a name that was given with them is everywhere.
    assert {place for place, text in places if "secret-key" in text} >= {"/api/v1/auth/keys", "/api/v1/audit"}
