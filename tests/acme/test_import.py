"""
certctl import on directories as the tools really leave them, each made by its
tool at our ACME server: all that a file says is read, it is adopted, and again
changes nothing.
"""
import json

import pytest
from acme_clients import CLIENTS
from acme_stack import AcmeStack
from cryptography.hazmat.primitives import hashes

# Of each tool: the directory that is given to certctl, and the file and key that servers use below it.
TOOLS = {
    "certbot": ("config", "live/{0}/fullchain.pem", "live/{0}/privkey.pem"),
    "lego": ("", "certificates/{0}.crt", "certificates/{0}.key"),
    "caddy": ("data", "certificates/*/{0}/{0}.crt", "certificates/*/{0}/{0}.key"),
}


@pytest.fixture(scope="module")
def stack():
    with AcmeStack("acme_import") as stack:
        stack.fleet.query("INSERT INTO agents (id, name, hostname, api_key_hash) VALUES ('agent-here', 'here', 'here', 'x')")
        (stack.fleet.dir / "etc").mkdir()
        yield stack


@pytest.mark.parametrize("tool", TOOLS)
def test_what_the_tool_wrote(stack, tool):
    client, name = CLIENTS[tool](stack.server(), stack.fleet.dir / tool), f"web.{tool}.example.test"
    client.register()
    try:
        leaf = client.issue(name, "http-01")
    finally:
        client.close()
    below, cert, key = TOOLS[tool]
    directory = client.dir / below

    def run(*more, code=0):
        done = stack.fleet.cli("import", directory, "--etc", stack.fleet.dir / "etc", "--owner-id", "o-test", "--team-id", "t-test",
                               "--issuer-id", "iss-local", "--agent-id", "agent-here", *more)
        assert done.returncode == code, done
        return done.stdout
    found, = json.loads(run("-o", "json"))["found"]
    assert (found["tool"], found["name"], found["names"]) == (tool, name, [name])
    (cert,), (key,) = directory.glob(cert.format(name)), directory.glob(key.format(name))
    assert (found["cert_path"], found["key_path"]) == (str(cert), str(key))
    assert str(stack.fleet.api.port) in found["ca"], found["ca"]
    assert found["fingerprint_sha256"] == leaf.fingerprint(hashes.SHA256()).hex()
    assert found["not_after"] == leaf.not_valid_after.strftime("%Y-%m-%dT%H:%M:%S.000Z") and found["renewal"] and found["to_end_it"]
    assert "created" in run("--apply", "--yes")
    assert stack.fleet.query("SELECT common_name, issuer_id FROM managed_certificates WHERE id = %s", f"mc-{name}") == [(name, "iss-local")]
    assert "nothing was changed" in run("--apply", "--yes")
