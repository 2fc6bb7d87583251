"""
Some of what make acme-rfc-conformance-test does with all clients: two of them,
through three apiservers, with each kind of challenge.
"""
import pytest
from acme_clients import CLIENTS, ClientFailed
from acme_stack import AcmeStack


@pytest.fixture(scope="module")
def stack():
    with AcmeStack("acme_clients") as stack:
        yield stack


def serials(stack, name):
    return stack.fleet.value("SELECT count(DISTINCT v.serial_number) FROM certificate_versions v JOIN managed_certificates c "
                             "ON c.id = v.certificate_id WHERE c.common_name = %s AND c.source = 'ACME'", name)


def test_lego(stack):
    client = CLIENTS["lego"](stack.server(), stack.fleet.dir / "lego")
    for name, challenge in (("a.example.test", "http-01"), ("b.example.test", "tls-alpn-01")):
        client.issue(name, challenge)
        client.renew(name, challenge)
        assert serials(stack, name) == 2
    client.revoke("b.example.test")
    assert stack.fleet.value("SELECT status FROM managed_certificates WHERE common_name = 'b.example.test'") == "Revoked"


def test_bound(stack):
    """Where a key of an external account is demanded."""
    kid, hmac = stack.eab_key()
    for i, eab in enumerate((None, (kid, hmac), (kid, hmac))):
        client = CLIENTS["lego"](stack.server("prof-bound"), stack.fleet.dir / f"bound-{i}")
        client.eab = eab
        if i == 1:
            client.issue("bound.example.test", "http-01")
        else:
            with pytest.raises(ClientFailed, match="External Account Binding|admits one only"):
                client.issue("bound.example.test", "http-01")
    assert serials(stack, "bound.example.test") == 1
    assert stack.fleet.query("SELECT eab_key_id FROM acme_accounts WHERE profile_id = 'prof-bound'") == [(kid,)]


def test_uacme(stack):
    client = CLIENTS["uacme"](stack.server(), stack.fleet.dir / "uacme")
    client.register()
    client.issue("*.u.example.test", "dns-01")
    client.key_change()
    client.renew("*.u.example.test", "dns-01")
    assert serials(stack, "*.u.example.test") == 2
    client.deactivate()
    assert stack.fleet.value("SELECT count(*) FROM acme_accounts WHERE status = 'deactivated'") == 1
