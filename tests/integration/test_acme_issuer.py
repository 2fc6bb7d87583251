"""
The issuer of type ACME at CAs that others made: Debian's Pebble, which refuses nonces and dawdles, and our own ACME server.
One control plane: its worker is the client, and where our own server is the CA also who validates.
"""
import itertools
import json
import socket

import pytest
from cryptography import x509

from acme_stack import SETTINGS
from fleet import free_port, wait_for
from test_issuers_conformance import certificates, renew, row, versions, wait_status

numbers = itertools.count(1)
MAC = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


class Pebble:
    """With nonces refused and random delays, as it is by itself; it validates for real."""

    def __init__(self, plane, bound=False):
        port, self.manage, tls = free_port(), free_port(), plane.dir / "tls"
        self.directory = f"https://localhost:{port}/dir"
        config = plane.dir / f"pebble-{port}.json"
        config.write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{port}", "managementListenAddress": f"127.0.0.1:{self.manage}",
            "certificate": str(tls / "api.pem"), "privateKey": str(tls / "api.key"), "httpPort": plane.http_port, "tlsPort": free_port(),
            "ocspResponderURL": "", "externalAccountBindingRequired": bound, "externalAccountMACKeys": {"kid-1": MAC} if bound else {}}}))
        self.process = plane.spawn(f"pebble-{port}", ["/usr/bin/pebble", "-config", config, "-dnsserver", f"127.0.0.1:{plane.dns_port}"], {
            "PEBBLE_WFE_NONCEREJECT": "30", "PEBBLE_VA_SLEEPTIME": "2", "PEBBLE_AUTHZREUSE": "0"})
        wait_for(lambda: plane.served_serial(port), 20, "pebble")


@pytest.fixture(scope="module")
def plane(stack):
    stack.http_port, stack.dns_port, stack.dns_api = free_port(), free_port(), free_port()
    stack.webroot = stack.dir / "webroot"
    stack.webroot.mkdir()
    stack.spawn("names", ["/usr/bin/pebble-challtestsrv", "-dns01", f"127.0.0.1:{stack.dns_port}", "-management", f"127.0.0.1:{stack.dns_api}",
                          "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""], {})
    stack.start_apiserver(2, **SETTINGS)
    stack.pebble, stack.bound = Pebble(stack), Pebble(stack, bound=True)
    stack.ours = f"https://localhost:{stack.apis['apiserver-2'].port}/acme/profile/%s/directory"
    scripts = stack.dir / "scripts"
    scripts.mkdir(mode=0o755)
    for name, action in (("present", "set-txt"), ("cleanup", "clear-txt")):
        script = scripts / name
        script.write_text(f"""#!/bin/sh
echo "{name} $CERTCTL_DNS_DOMAIN $CERTCTL_DNS_FQDN" >>{stack.dir}/hooks
curl -sS --noproxy '*' -d "{{\\"host\\":\\"$CERTCTL_DNS_FQDN.\\",\\"value\\":\\"$CERTCTL_DNS_VALUE\\"}}" http://127.0.0.1:{stack.dns_api}/{action} >/dev/null
""")
        script.chmod(0o755)
    stack.start_scheduler(keep=True, CERTCTL_SCHEDULER_RENEWAL_WINDOWS_INTERVAL="1s")
    stack.start_worker(1, keep=True, CERTCTL_SCRIPT_ISSUER_DIR=str(scripts), CERTCTL_ISSUER_ALLOW_LOOPBACK="true",
                       CERTCTL_ISSUER_CA_FILE=str(stack.dir / "tls/api.pem"), CERTCTL_ACME_WEBROOTS=str(stack.webroot),
                       CERTCTL_ISSUER_BASE_URLS=",".join([stack.pebble.directory, stack.bound.directory,
                                                         *(stack.ours % profile for profile in ("prof-own", "prof-bound"))]),
                       CERTCTL_ACME_SERVER_DNS01_RESOLVER=f"127.0.0.1:{stack.dns_port}",
                       CERTCTL_ACME_SERVER_HTTP01_PORT=str(stack.http_port), CERTCTL_ACME_SERVER_ALLOW_LOOPBACK="true")
    stack.make_basics()
    stack.start_agent("agent-1", keep=True)
    for profile in ("prof-own", "prof-bound"):
        stack.api.need("POST", "/api/v1/profiles", {"id": profile, "name": profile, "acme_auth_mode": "challenge", "issuer_id": "iss-local",
                                                    "acme_owner_id": "o-test", "acme_eab_required": profile == "prof-bound"})
    return stack


@pytest.fixture
def obtain(plane):
    def order(directory, names=None, **config):
        name = f"acme{next(numbers)}"
        plane.api.need("POST", "/api/v1/issuers", {"id": f"iss-{name}", "name": name, "type": "ACME", "config": {
            "directory_url": directory, "email": "ops@example.test", "http_port": plane.http_port} | config})
        plane.make_target(f"tgt-{name}", plane.processes["agent-1"].agent_id, plane.dir / "sites" / name)
        more = {"common_name": names[0], "sans": names} if names else {}
        plane.make_certificate(name, [f"tgt-{name}"], issuer_id=f"iss-{name}", **more)
        return name, renew(plane, name)
    return order


def is_free(port):
    """Nobody listens there, as our own listener does until some seconds after an order."""
    with socket.socket() as visitor:
        return visitor.connect_ex(("127.0.0.1", port)) != 0


def done(plane, job):
    assert wait_status(plane, job, "Completed", "Failed", seconds=90) == ("Completed", None)


def test_http01_by_our_own_listener(plane, obtain):
    name, job = obtain(plane.pebble.directory)
    done(plane, job)
    (_, text, _), = versions(plane, name)
    assert len(certificates(text)) >= 2
    again = renew(plane, name)
    done(plane, again)
    assert len(versions(plane, name)) == 2
    # One account, whose key nobody can read.
    assert plane.value("SELECT position('PRIVATE' IN encode(key_sealed, 'escape')) FROM issuer_accounts WHERE issuer_id = %s", f"iss-{name}") == 0
    wait_for(lambda: is_free(plane.http_port), 60, "the listener to be gone")


@pytest.fixture
def web(plane):
    """A web server that is there anyway."""
    wait_for(lambda: is_free(plane.http_port), 60, "the listener to be gone")
    server = plane.spawn("web", ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "-d", plane.webroot, str(plane.http_port)], {})
    yield {"webroot": str(plane.webroot)}
    server.stop()
    assert not list((plane.webroot / ".well-known/acme-challenge").iterdir())


def test_http01_by_a_webroot(plane, obtain, web):
    _, job = obtain(plane.pebble.directory, **web)
    done(plane, job)


def test_dns01_with_a_wildcard(plane, obtain):
    scripts = plane.dir / "scripts"
    name, job = obtain(plane.pebble.directory, ["wild.example.test", "*.wild.example.test"], challenge_type="dns-01", dns_propagation_wait=1,
                       dns_present_script=str(scripts / "present"), dns_cleanup_script=str(scripts / "cleanup"))
    done(plane, job)
    hooks = (plane.dir / "hooks").read_text().splitlines()
    assert sorted(hooks) == ["cleanup wild.example.test _acme-challenge.wild.example.test"] * 2 + [
        "present wild.example.test _acme-challenge.wild.example.test"] * 2
    assert len(versions(plane, name)) == 1


def test_an_external_account(plane, obtain):
    _, job = obtain(plane.bound.directory, eab_kid="kid-1", eab_hmac=MAC)
    done(plane, job)
    _, job = obtain(plane.bound.directory)
    words = wait_for(lambda: row(plane, job)[1], 30, "the refusal")
    assert words == "the CA refused: the CA takes accounts with an external account only: set eab_kid and eab_hmac to what it gave you"


def test_what_cannot_be_reached_fails_in_the_ca_s_words(plane, obtain):
    wait_for(lambda: is_free(plane.http_port), 60, "the listener to be gone")
    _, job = obtain(plane.pebble.directory, http_port=free_port())
    # Each order that ends costs an attempt, and the next waits for its time.
    error = wait_for(lambda: row(plane, job, "attempts = 1 AND status = 'Pending' AND checkpoint IS NULL")[0] and row(plane, job)[1], 90, "its end")
    assert "the CA ended order" in error and "(connection)" in error, error
    plane.api.need("POST", f"/api/v1/jobs/{job}/cancel")


def test_names_and_addresses(plane, obtain):
    name, job = obtain(plane.pebble.directory, ["both.example.test", "127.0.0.1"])
    done(plane, job)
    (_, text, _), = versions(plane, name)
    names = certificates(text)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_our_own_server_knows_what_a_renewal_replaces(plane, obtain):
    name, job = obtain(plane.ours % "prof-own")
    done(plane, job)
    again = renew(plane, name)
    done(plane, again)
    first, second = versions(plane, name)
    assert plane.value("SELECT count(*) FROM acme_orders WHERE replaces IS NOT NULL") == 1
    assert len(plane.query("SELECT 1 FROM acme_accounts")) == 1 and first[0] != second[0]


def ask_for_window(plane, name):
    """What our own server says of it now."""
    wait_for(lambda: not plane.value("SELECT count(*) FROM tasks WHERE kind = 'renewal_windows'"), 30, "the tasks before")
    (began,), = plane.query("UPDATE renewal_windows SET ask_at = now() - interval '1 second' WHERE certificate_id = %s RETURNING clock_timestamp()", name)
    return wait_for(lambda: plane.query("SELECT starts_at, ends_at, said, version_id FROM renewal_windows WHERE certificate_id = %s "
                                        "AND asked_at > %s", name, began), 30, "the window")[0]


def test_an_operator_of_our_own_server_moves_the_window_and_its_client_renews(plane, obtain):
    name, job = obtain(plane.ours % "prof-own", ari_enabled=True)
    done(plane, job)
    start, end, said, version = ask_for_window(plane, name)
    serial = versions(plane, name)[0][0]
    # It was asked by the right id: the server's certificate of that serial has this window.
    theirs, policy = plane.query("SELECT v.certificate_id, renew_after_of(c.id, v.not_before, v.not_after, p.renewal_window_days, p.renewal_percent) "
                                 "FROM certificate_versions v JOIN managed_certificates c ON c.id = v.certificate_id JOIN renewal_policies p "
                                 "ON p.id = c.renewal_policy_id WHERE v.issuer_id = 'iss-local' AND ltrim(v.serial_number, '0') = ltrim(%s, '0')", serial)[0]
    assert said is None and abs((start - policy).total_seconds()) < 2 and start < end
    plane.api.need("POST", f"/api/v1/certificates/{theirs}/renew")
    plane.query("UPDATE managed_certificates SET last_renewal_at = last_renewal_at - interval '2 hours' WHERE id = %s", name)
    before = plane.value("SELECT count(*) FROM acme_orders WHERE replaces IS NOT NULL")
    # An apiserver keeps for some seconds what it said.
    wait_for(lambda: ask_for_window(plane, name)[1] < end, 60, "the window to move")
    # The scan does not wait for its hour.
    wait_for(lambda: len(versions(plane, name)) == 2, 90, "the renewal")
    assert plane.value("SELECT count(*) FROM acme_orders WHERE replaces IS NOT NULL") == before + 1
    assert plane.value("SELECT version_id FROM renewal_windows WHERE certificate_id = %s", name) > version
    shown = plane.value("SELECT count(*) FROM audit_events WHERE action = 'certificate_renewal_window_moved' AND resource_id = %s", name)
    assert shown == 1


def test_our_own_server_binds_an_account(plane, obtain):
    key = plane.api.need("POST", "/api/v1/acme/eab-keys", {"profile_id": "prof-bound"})
    _, job = obtain(plane.ours % "prof-bound", eab_kid=key["id"], eab_hmac=key["hmac_key"])
    done(plane, job)
    assert plane.value("SELECT count(*) FROM acme_accounts WHERE eab_key_id = %s", key["id"]) == 1


@pytest.mark.parametrize("times", [3])
def test_killed_in_the_middle_it_goes_on(plane, obtain, web, times):
    """Wherever it is: what the CA looks for is still there, as it would not be with a listener that died."""
    name, job = obtain(plane.pebble.directory, **web)
    for polls in range(times):
        wait_for(lambda: row(plane, job, "status = 'Completed' OR (checkpoint ->> 'polls')::int >= %d" % polls)[0], 60, "another step")
        plane.processes["worker-1"].kill()
    done(plane, job)
    assert len(versions(plane, name)) == 1
