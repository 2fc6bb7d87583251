"""
make acme-rfc-conformance-test: Debian's ACME clients, each against a fresh stack
of three apiservers: all that a client can do, with each kind of challenge that it
knows.  A client that is not installed fails.
"""
import pytest
from acme_clients import CLIENTS, ClientFailed
from acme_stack import AcmeStack

NAMES = {"http-01": "a", "tls-alpn-01": "b", "dns-01": "c"}
ALL = [(name, what) for name, client in CLIENTS.items()
       for what in ("register", *client.challenges, *(["wildcard"] if "dns-01" in client.challenges else []), *client.can)]
# In this order: what ends an account comes last.
ORDER = ("register", "http-01", "tls-alpn-01", "dns-01", "wildcard", "bind", "renew", "update", "key_change", "revoke", "revoke_by_key", "deactivate")


@pytest.fixture(scope="module")
def stacks():
    """One stack at a time, the running client's."""
    running = {}
    yield running
    for stack, client in running.values():
        client.close()
        stack.__exit__()


def of(stacks, name):
    if name not in stacks:
        for other in list(stacks):
            stack, client = stacks.pop(other)
            client.close()
            stack.__exit__()
        stack = AcmeStack().__enter__()
        stacks[name] = stack, CLIENTS[name](stack.server(), stack.fleet.dir / name)
    return stacks[name]


def label(name, challenge):
    return f"{NAMES[challenge]}.{name.replace('_', '-')}.example.test"


def managed(stack, leaf):
    """It stands in the inventory, with its version."""
    found = stack.fleet.query("SELECT c.source, c.status, c.owner_id FROM certificate_versions v JOIN managed_certificates c "
                              "ON c.id = v.certificate_id WHERE v.serial_number = %s", f"{leaf.serial_number:040x}")
    assert found and found[0][0] == "ACME" and found[0][2] == "o-test", found
    return found[0][1]


@pytest.mark.parametrize("name,what", sorted(ALL, key=lambda one: (list(CLIENTS).index(one[0]), ORDER.index(one[1]))))
def test_client(stacks, name, what):
    stack, client = of(stacks, name)
    last = client.challenges[-1]
    if what in NAMES:
        leaf = client.issue(label(name, what), what)
        assert managed(stack, leaf) == "Active"
    elif what == "wildcard":
        assert managed(stack, client.issue(f"*.{name.replace('_', '-')}.example.test", "dns-01")) == "Active"
    elif what == "bind":
        bind(stack, client, name)
    elif what == "renew":
        renew(stack, client, name, last)
    elif what in ("revoke", "revoke_by_key"):
        which = label(name, client.challenges[-1] if what == "revoke" else client.challenges[0])
        leaf = client.certificate(which)
        getattr(client, what)(which)
        assert stack.fleet.value("SELECT count(*) FROM certificate_revocations WHERE serial_number = %s", f"{leaf.serial_number:040x}") == 1
    else:
        getattr(client, what)()
        if what == "deactivate":
            assert stack.fleet.value("SELECT count(*) FROM acme_accounts WHERE status = 'deactivated'") == 1


def bind(stack, client, name):
    """Where a key of an external account is demanded it registers by one, once; the command lines fail without."""
    client.close()
    kid, hmac = stack.eab_key()
    which = f"bound.{name.replace('_', '-')}.example.test"
    for i, eab in enumerate([(kid, hmac)] if client.renews_by_itself else [None, (kid, hmac), (kid, hmac)]):
        other = CLIENTS[name](stack.server("prof-bound"), stack.fleet.dir / f"{name}-bound-{i}")
        other.eab = eab
        if eab is None or i == 2:  # with none, or with one that was used
            with pytest.raises(ClientFailed):
                other.register()
                other.issue(which, "http-01")
            continue
        try:
            other.register()
            assert managed(stack, other.issue(which, "http-01")) == "Active"
        finally:
            other.close()
    assert stack.fleet.query("SELECT k.uses, count(*) FROM acme_eab_keys k JOIN acme_accounts a ON a.eab_key_id = k.key_id WHERE k.key_id = %s "
                             "GROUP BY 1", kid) == [(1, 1)]


def renew(stack, client, name, challenge):
    """Another certificate of the same names; the inventory has one more version and no more certificates."""
    which = label(name, challenge)
    if client.renews_by_itself:
        client.close()
        client = CLIENTS[name](stack.server("prof-short"), stack.fleet.dir / f"{name}-short")
        client.issue(which, challenge)
    try:
        before = stack.fleet.value("SELECT count(*) FROM managed_certificates")
        old = client.found(which) if client.renews_by_itself else None
        first = client.first(old) if old else client.certificate(which)
        assert client.renew(which, challenge).serial_number != first.serial_number
        assert stack.fleet.value("SELECT count(*) FROM managed_certificates") == before
    finally:
        if client.renews_by_itself:
            client.close()
