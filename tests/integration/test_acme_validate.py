"""
Validation of ACME challenges (RFC 8555 section 8): real web, TLS and name
servers with every fault, asked by a worker, and what is stored of it.
"""
import base64
import hashlib
import json
import threading
from types import SimpleNamespace

import pytest

from acme_hosts import Alpn, Web, answer
from fleet import wait_for
from nameserver import NameServer
from statements import statements

LIMIT_S = 240
TRIES = 4
THUMBPRINT = "thumbprint-of-the-accounts-key"
ACCOUNT = "acct-one"
URN = "urn:ietf:params:acme:error:"
KINDS = {"http": "http-01", "dns": "dns-01", "tls": "tls-alpn-01"}
HERE = {"A": ["127.0.0.1"]}


def proof(token):
    return f"{token}.{THUMBPRINT}"


def digest(token):
    return hashlib.sha256(proof(token).encode()).digest()


def digest_text(token):
    return base64.urlsafe_b64encode(digest(token)).rstrip(b"=").decode()


class World:
    """The hosts that are validated, and the rows of orders."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.dns, self.web = NameServer(), Web()
        self.tls = Alpn(fleet.dir, self.web)
        fleet.query("INSERT INTO certificate_profiles (id, name) VALUES ('prof-acme', 'acme')")
        fleet.query("INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, status, profile_id) VALUES (%s, %s, '', 'valid', 'prof-acme')",
                    ACCOUNT, THUMBPRINT)

    def close(self):
        for server in (self.dns, self.web, self.tls):
            server.close()

    def settings(self):
        return {"CERTCTL_ACME_SERVER_DNS01_RESOLVER": self.dns.text, "CERTCTL_ACME_SERVER_HTTP01_PORT": str(self.web.port),
                "CERTCTL_ACME_SERVER_TLSALPN01_PORT": str(self.tls.port), "CERTCTL_ACME_SERVER_ALLOW_LOOPBACK": "true",
                "CERTCTL_ACME_SERVER_CAA_CHECK": "true", "CERTCTL_ACME_SERVER_CAA_IDENTITIES": "ca.test",
                "CERTCTL_BLOCK_RFC1918_OUTBOUND": "true", "CERTCTL_ACME_SERVER_HTTP01_CONCURRENCY": "100"}

    def order(self, stem, *names, kind="http-01", status="processing", tries=0, name_type="dns", wildcard=False):
        """An order with an authorization a name, each with one challenge."""
        self.fleet.query("INSERT INTO acme_orders (order_id, account_id, identifiers, status, expires_at, profile_id, names_key) "
                         "VALUES (%s, %s, '[]', 'pending', now() + interval '1 day', 'prof-acme', '')", stem, ACCOUNT)
        for i, name in enumerate(names):
            self.fleet.query("INSERT INTO acme_authorizations (authz_id, order_id, identifier, status, expires_at, wildcard) "
                             "VALUES (%s, %s, %s, 'pending', now() + interval '1 day', %s)", f"{stem}-{i}", stem,
                             json.dumps({"type": name_type, "value": name}), wildcard)
            self.fleet.query("INSERT INTO acme_challenges (challenge_id, authz_id, type, status, token, attempts) VALUES (%s, %s, %s, %s, %s, %s)",
                             f"{stem}-{i}-c", f"{stem}-{i}", kind, status, f"token-{stem}-{i}", tries)
            if status == "processing":
                self.fleet.query("INSERT INTO tasks (id, kind, subject, dedupe_key, run_after) VALUES (%s, 'acme_validate', %s, %s, now())",
                                 f"task-{stem}-{i}", f"{stem}-{i}-c", f"acme_validate:{stem}-{i}-c")

    def look(self, stem, i=0):
        columns = ("challenge", "error", "attempts", "validated_at", "authz", "order", "order_error")
        row = self.fleet.query("SELECT c.status, c.error, c.attempts, c.validated_at, z.status, o.status, o.error FROM acme_challenges c "
                               "JOIN acme_authorizations z USING (authz_id) JOIN acme_orders o USING (order_id) WHERE c.challenge_id = %s",
                               f"{stem}-{i}-c")[0]
        return SimpleNamespace(**dict(zip(columns, row)))

    def ended(self, stem):
        return self.all_ended(f"{stem}-%")

    def all_ended(self, subjects):
        return not self.fleet.value("SELECT count(*) FROM tasks WHERE subject LIKE %s", subjects)

    def trail(self, stem):
        return [d for d, in self.fleet.query("SELECT details FROM audit_events WHERE action = 'acme_challenge_completed' "
                                             "AND resource_id LIKE %s ORDER BY seq", f"{stem}-%")]


@pytest.fixture(scope="module")
def bare(stack):
    """No worker takes its tasks."""
    world = World(stack)
    yield world
    world.close()


# --- the table ---

def redirect(to, status=302):
    return lambda path, _: answer(status, Location=to.replace("{path}", path))


def says(text, status=200, **headers):
    body = text if isinstance(text, bytes) else text.encode()
    return lambda *_: answer(status, body, **headers)


def endless(_, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        connection.sendall(b"x" * 1000)


def silent(web):
    def hold(*_):
        web.closing.wait(60)
    return hold


def drips(web):
    """A byte now and then."""
    def drip(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        while not web.closing.wait(1):
            connection.sendall(b"x")
    return drip


class Row:
    """One challenge: how its host, `host`, is set up, and what is to come of it: `fault` None, or a type and words of the detail."""

    def __init__(self, name, fault=None, words="", **setup):
        self.name, self.fault, self.words = name, fault, words
        self.kind = name.split(" ")[0]
        self.setup = setup


def http(name, site=None, fault=None, words="", **setup):
    return Row(f"http {name}", fault, words, site=site, **setup)


def dns(name, records=None, fault=None, words="", **setup):
    return Row(f"dns {name}", fault, words, records=records, **setup)


def tls(name, fault=None, words="", **setup):
    return Row(f"tls {name}", fault, words, **setup)


def caa(name, records, fault=None, words="", **setup):
    return Row(f"dns CAA {name}", fault, words, caa=records, **setup)


# A site is a function of its row; "right" is a web site that shows the proof.
ROWS = [
    http("right"),
    http("white space after it", lambda r: says(proof(r.token) + " \r\n\t\n")),
    http("white space before it", lambda r: says(" " + proof(r.token)), "incorrectResponse", "begins"),
    http("another body", lambda r: says("wrong <b>body\x00\x1b[1m"), "incorrectResponse", "the body is not the key authorization: 18 bytes"),
    http("nothing", lambda r: says(""), "incorrectResponse", "0 bytes"),
    http("a longer one", lambda r: says(proof(r.token) + "x"), "incorrectResponse", "not the key authorization"),
    http("another account's", lambda r: says(f"{r.token}.other"), "incorrectResponse", "not the key authorization"),
    http("404", lambda r: says(proof(r.token), 404), "incorrectResponse", "HTTP status 404"),
    http("206", lambda r: says(proof(r.token), 206), "incorrectResponse", "HTTP status 206"),
    http("500", lambda r: says("", 500), "incorrectResponse", "HTTP status 500"),
    http("16 KiB", lambda r: says(proof(r.token) + " " * (16384 - len(proof(r.token))))),
    http("more than 16 KiB", lambda r: says(proof(r.token) + " " * 16384), "incorrectResponse", "larger than 16 KiB"),
    http("no end", lambda r: endless, "incorrectResponse", "larger than 16 KiB"),
    http("a drip", lambda r: drips(r.world.web), "connection", "no answer"),
    http("silence", lambda r: silent(r.world.web), "connection", "no answer"),
    http("no HTTP", lambda r: lambda *_: b"220 mail.test ESMTP\r\n", "connection", "no answer"),
    http("an end at once", lambda r: lambda *_: b"", "connection", "no answer"),
    http("redirect to another host", lambda r: redirect("http://target.test/{path}"), target=True),
    http("redirect by a path", lambda r: lambda path, _: answer(200, proof(r.token).encode()) if path == "/moved" else answer(301, Location="/moved")),
    http("redirect to https", lambda r: redirect("https://tls-target.test{path}", 308), target=True),
    http("redirect with a body", lambda r: says(b"x" * 20000, 302, Location="http://target.test/x"), target=True),
    http("redirects for ever", lambda r: redirect("http://{host}{path}".replace("{host}", r.host)), "incorrectResponse", "more than 10 redirects"),
    http("redirect to another port", lambda r: redirect("http://target.test:8080/"), "incorrectResponse", "port 8080"),
    http("redirect to port 22", lambda r: redirect("http://target.test:22/"), "incorrectResponse", "port 22"),
    http("redirect to a scheme", lambda r: redirect("ftp://target.test/"), "incorrectResponse", "redirect"),
    http("redirect to a file", lambda r: redirect("file:///etc/passwd"), "incorrectResponse", "redirect"),
    http("redirect with a user", lambda r: redirect("http://user:secret@target.test/"), "incorrectResponse", "no user"),
    http("redirect to metadata", lambda r: redirect("http://169.254.169.254/latest/"), "connection", "link-local"),
    http("redirect to a number", lambda r: redirect("http://2852039166/latest/"), "connection", "link-local"),
    http("redirect to a mapped address", lambda r: redirect("http://[::ffff:169.254.169.254]/"), "connection", "link-local"),
    http("redirect without a Location", lambda r: says("", 302), "incorrectResponse", "without a Location"),
    http("redirect to a name that is not there", lambda r: redirect("http://none.test/"), "dns", "NXDOMAIN"),
    http("304", lambda r: says("", 304), "incorrectResponse", "HTTP status 304"),
    http("reserved address", fault="connection", words="link-local", records={"A": ["169.254.169.254"]}),
    http("private address", fault="connection", words="private", records={"A": ["10.0.0.1"]}),
    http("private after public", records={"A": ["10.0.0.1", "127.0.0.1"]}),
    http("IPv6 that nobody answers", records={"A": ["127.0.0.1"], "AAAA": ["::1"]}),
    http("no address answers", fault="connection", words="Couldn't connect", records={"A": ["127.0.0.2"], "AAAA": ["::1"]}, subproblems=2),
    http("CNAME", records={"CNAME": "target.test"}),
    http("name that changes", lambda r: redirect("http://{host}/again".replace("{host}", r.host)), "connection", "link-local", rebinds=True),
    http("NXDOMAIN", fault="dns", words="NXDOMAIN", records=None, is_absent=True),
    http("no address", fault="dns", words="no A and no AAAA", records={"TXT": ["x"]}),
    http("SERVFAIL", fault="dns", words="SERVFAIL", dns_fault={"A": "SERVFAIL", "AAAA": "SERVFAIL"}),
    http("no answer of the name server", fault="dns", words="in time", dns_fault={"A": "silence", "AAAA": "silence"}),
    http("address", host="127.0.0.1", name_type="ip"),
    http("address that may not be asked", fault="connection", words="link-local", host="169.254.169.254", name_type="ip"),
    dns("right", lambda r: {"TXT": [digest_text(r.token)]}),
    dns("among others", lambda r: {"TXT": ["v=spf1 -all", "x" * 255, digest_text(r.token), b"\xff\x00"]}),
    dns("in two strings", lambda r: {"TXT": [[digest_text(r.token)[:20], digest_text(r.token)[20:]]]}),
    dns("CNAME", lambda r: {"CNAME": f"proof.{r.host}"}, elsewhere=True),
    dns("CNAMEs for ever", lambda r: {"CNAME": f"_acme-challenge.{r.host}"}, "incorrectResponse", "no TXT record"),
    dns("cut off", lambda r: {"TXT": [digest_text(r.token)]}, dns_fault="truncated"),
    dns("another's answer first", lambda r: {"TXT": [digest_text(r.token)]}, dns_fault="wrong id"),
    dns("another text", lambda r: {"TXT": ["hello", "there"]}, "incorrectResponse", 'none of the 2 TXT records'),
    dns("NUL after it", lambda r: {"TXT": [digest_text(r.token).encode() + b"\x00"]}, "incorrectResponse", "no TXT record"),
    dns("the key authorization itself", lambda r: {"TXT": [proof(r.token)]}, "incorrectResponse", "none of the 1 TXT records"),
    dns("longer", lambda r: {"TXT": [digest_text(r.token) + "="]}, "incorrectResponse", "none of the 1 TXT records"),
    dns("no TXT", lambda r: {"A": ["127.0.0.1"]}, "incorrectResponse", "no TXT record"),
    dns("NXDOMAIN", None, "dns", "NXDOMAIN"),
    dns("SERVFAIL", lambda r: {}, "dns", "SERVFAIL", dns_fault="SERVFAIL"),
    dns("REFUSED", lambda r: {}, "dns", "REFUSED", dns_fault="REFUSED"),
    dns("silence", lambda r: {}, "dns", "in time", dns_fault="silence"),
    dns("rubbish", lambda r: {}, "dns", "TXT records", dns_fault="garbage"),
    dns("wildcard", lambda r: {"TXT": [digest_text(r.token)]}, wildcard=True),
    tls("right"),
    tls("in capitals", names=lambda r: [r.host.upper()]),
    tls("address", host="127.0.0.1", name_type="ip", sni="1.0.0.127.in-addr.arpa"),
    tls("another address in it", "incorrectResponse", "not that address", host="127.0.0.1", name_type="ip", names=lambda r: ["127.0.0.2"],
        sni="1.0.0.127.in-addr.arpa", apart=True),
    tls("another protocol", "tls", "acme-tls/1", protocols=("h2", "http/1.1")),
    tls("no such name there", "tls", "unrecognized name", is_absent=True),
    tls("two names", "incorrectResponse", "not one name alone", names=lambda r: [r.host, "www." + r.host]),
    tls("another name", "incorrectResponse", "not that name", names=lambda r: ["other.test"]),
    tls("a wildcard", "incorrectResponse", "not that name", names=lambda r: ["*.test"]),
    tls("no name", "incorrectResponse", "no subjectAltName", names=lambda r: []),
    tls("not critical", "incorrectResponse", "not critical", critical=False),
    tls("no extension", "incorrectResponse", "no acmeIdentifier", digest=lambda r: None),
    tls("another digest", "incorrectResponse", "SHA-256 digest", digest=lambda r: b"\x01" * 32),
    tls("a digest too long", "incorrectResponse", "SHA-256 digest", value=lambda r: b"\x04\x21" + digest(r.token) + b"\x00"),
    tls("a digest bare", "incorrectResponse", "SHA-256 digest", value=lambda r: digest(r.token)),
    tls("signed by another", "incorrectResponse", "not self-signed", is_signed_by_itself=False),
    tls("nobody there", "connection", "refused", records={"A": ["127.0.0.2"]}),
    tls("reserved address", "connection", "link-local", records={"A": ["169.254.169.254"]}),
    tls("NXDOMAIN", "dns", "NXDOMAIN", records=None, no_name=True),
    caa("allows", [(0, "issue", "ca.test")]),
    caa("allows, with blanks", [(0, "issue", "  ca.test ; ")]),
    caa("allows another too", [(0, "issue", "other.test"), (0, "issue", "CA.test")]),
    caa("allows another", [(0, "issue", "other.test")], "caa", "none of its issue records names this CA"),
    caa("allows nobody", [(0, "issue", ";")], "caa", "none of its issue records"),
    caa("says nothing of it", [(0, "iodef", "mailto:a@b.test")]),
    caa("is not understood", [(0, "future", "x"), (0, "issue", "ca.test")]),
    caa("is critical and not understood", [(128, "future", "x"), (0, "issue", "ca.test")], "caa", "critical"),
    caa("this account", [(0, "issue", f"ca.test; accounturi=https://acme.test/acme/profile/prof-acme/account/{ACCOUNT}")]),
    caa("this account, short", [(0, "issue", f"ca.test; accounturi=https://acme.test/acme/account/{ACCOUNT}")]),
    caa("another account", [(0, "issue", "ca.test; accounturi=https://acme.test/acme/account/acct-two")], "caa", "another account or method"),
    caa("two accounts", [(0, "issue", f"ca.test; accounturi=https://a/acme/account/{ACCOUNT}; accounturi=https://a/acme/account/{ACCOUNT}")],
        "caa", "another account or method"),
    caa("this method", [(0, "issue", "ca.test; validationmethods=http-01,dns-01")]),
    caa("another method", [(0, "issue", "ca.test; validationmethods=http-01")], "caa", "another account or method"),
    caa("no parameter", [(0, "issue", "ca.test; what is this")], "caa", "another account or method"),
    caa("of the wildcard", [(0, "issue", "ca.test"), (0, "issuewild", ";")], "caa", "issuewild", wildcard=True),
    caa("of the wildcard alone", [(0, "issue", ";"), (0, "issuewild", "ca.test")], wildcard=True),
    caa("of the wildcard, and not for one", [(0, "issue", "ca.test"), (0, "issuewild", ";")]),
    caa("of the name above", [(0, "issue", "other.test")], "caa", "none of its issue records", is_above=True),
    caa("of the name itself first", [(0, "issue", "ca.test")], above=[(0, "issue", "other.test")]),
    caa("not known", [], "dns", "CAA records", caa_fault="SERVFAIL"),
]


class Case:
    """A row in the world."""

    def __init__(self, world, row, at):
        self.world, self.row, setup = world, row, row.setup
        self.stem = f"row{at:03}"
        self.host = setup.get("host", f"{self.stem}.parent{at}.test")
        self.token = f"token-{self.stem}-0"
        getattr(self, f"make_{row.kind}")(setup)
        if setup.get("dns_fault"):
            world.dns.faults[f"_acme-challenge.{self.host}" if row.kind == "dns" else self.host] = setup["dns_fault"]

    def name(self, setup):
        records = setup.get("records") or HERE
        if not setup.get("is_absent") and "host" not in setup:
            self.world.dns.zone[self.host] = {"A": self.turns} if setup.get("rebinds") else records
        if setup.get("target"):
            self.world.web.sites["target.test"] = self.show_any
            self.world.web.sites["tls-target.test"] = self.show_any

    def show_any(self, path, _):
        """At the host that redirects lead to; the path of some says whose proof it is."""
        token = path.rsplit("/", 1)[-1]
        return answer(200, proof(self.token if token == "x" else token).encode())

    def turns(self):
        """Another address each time."""
        self.asked = getattr(self, "asked", 0) + 1
        return ["127.0.0.1"] if self.asked == 1 else ["169.254.169.254"]

    def make_http(self, setup):
        self.name(setup)
        site = setup.get("site") or (lambda r: says(proof(r.token)))
        if "name_type" in setup:
            self.world.web.sites[self.host] = lambda path, _: answer(200, proof(path.rsplit("/", 1)[-1]).encode())
        else:
            self.world.web.sites[self.host] = site(self)

    def make_dns(self, setup):
        zone = self.world.dns.zone
        name = f"_acme-challenge.{self.host}"
        records = setup.get("records") if "caa" not in setup else lambda r: {"TXT": [digest_text(r.token)]}
        if records:
            zone[name] = records(self)
        if setup.get("elsewhere"):
            zone[f"proof.{self.host}"] = {"TXT": [digest_text(self.token)]}
        if "caa" in setup:
            above = self.host.split(".", 1)[1]
            zone[above if setup.get("is_above") else self.host] = {"CAA": setup["caa"]}
            if "above" in setup:
                zone[above] = {"CAA": setup["above"]}
            if "caa_fault" in setup:
                self.world.dns.faults[self.host] = {"CAA": setup["caa_fault"]}

    def make_tls(self, setup):
        if not setup.get("no_name"):
            self.name(setup | {"is_absent": False})
        if setup.get("is_absent"):
            return
        self.serves = {"names": setup.get("names", lambda r: [r.host])(self), "digest": setup.get("digest", lambda r: digest(r.token))(self),
                       "critical": setup.get("critical", True), "value": setup.get("value", lambda r: None)(self),
                       "is_signed_by_itself": setup.get("is_signed_by_itself", True)}
        if not setup.get("apart"):
            self.serve()

    def serve(self):
        setup = self.row.setup
        self.world.tls.context(setup.get("sni", self.host), setup.get("protocols", ("acme-tls/1",)), **self.serves)

    def order(self):
        setup = self.row.setup
        self.world.order(self.stem, self.host, kind=KINDS[self.row.kind], tries=TRIES - 1, name_type=setup.get("name_type", "dns"),
                         wildcard=setup.get("wildcard", False))


@pytest.fixture(scope="module")
def cases(bare):
    """All of the table at once, each with its last try."""
    bare.tls.context("tls-target.test", ("http/1.1",), names=["tls-target.test"])
    for name in ("target.test", "tls-target.test"):
        bare.dns.zone[name] = HERE
    made = {row.name: Case(bare, row, at) for at, row in enumerate(ROWS)}
    bare.fleet.start_scheduler(keep=True)
    bare.fleet.start_worker(keep=True, **bare.settings())
    together = [c for c in made.values() if not c.row.setup.get("apart")]
    for case in together:
        case.order()
    wait_for(lambda: bare.all_ended("row%"), 120, "the end of all validations", every=0.5)
    for case in made.values():
        if case not in together:
            case.serve()
            case.order()
            wait_for(lambda: bare.ended(case.stem), 60, "the end of its validation")  # noqa: B023
    bare.fleet.processes["worker-1"].stop()
    return made


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_what_comes_of_a_challenge(bare, cases, row):
    case = cases[row.name]
    seen = bare.look(case.stem)
    if row.fault is None:
        assert (seen.challenge, seen.authz, seen.order, seen.error) == ("valid", "valid", "ready", None)
        assert seen.validated_at and seen.order_error is None
        assert [t["status"] for t in bare.trail(case.stem)] == ["valid"]
        return
    assert (seen.challenge, seen.authz, seen.order) == ("invalid", "invalid", "invalid"), seen
    assert seen.error["type"] == URN + row.fault and row.words in seen.error["detail"], seen.error
    assert seen.error["status"] == (403 if row.fault in ("incorrectResponse", "caa") else 400)
    assert all(c.isprintable() for c in seen.error["detail"])
    assert seen.validated_at is None
    whole = seen.order_error
    assert whole["type"] == seen.error["type"] and case.host in whole["detail"]
    assert whole["subproblems"][0]["identifier"] == {"type": row.setup.get("name_type", "dns"), "value": case.host}
    assert len(seen.error.get("subproblems", [])) == row.setup.get("subproblems", 0)
    assert [t["status"] for t in bare.trail(case.stem)] == ["invalid"]


def test_a_name_is_asked_again_by_tcp_where_the_answer_was_cut(bare, cases):
    name = f"_acme-challenge.{cases['dns cut off'].host}"
    assert {how for n, _, how in bare.dns.asked if n == name} == {"udp", "tcp"}


def test_no_byte_of_another_host_is_told(bare, cases):
    """A redirect may lead to what only the worker sees."""
    assert "127.0.0.9" not in json.dumps([bare.look(c.stem).error for c in cases.values()])


# --- a worker, its tries and its death ---

@pytest.fixture(scope="module")
def world(bare, cases):
    """With a worker, after the table."""
    fault = bare.fleet.dir / "fault"
    bare.fleet.start_worker(keep=True, CERTCTL_FAULT_FILE=str(fault), **bare.settings())
    bare.fault = fault
    return bare


def test_several_tries_before_it_is_invalid(world):
    world.dns.zone["later.test"] = HERE
    world.web.sites["later.test"] = says("not yet")
    world.order("later", "later.test")
    wait_for(lambda: world.look("later").attempts >= 1, what="the first try")
    seen = world.look("later")
    assert seen.authz == "pending" and seen.error["type"] == URN + "incorrectResponse" and seen.order == "pending"
    world.web.sites["later.test"] = says(proof("token-later-0"))
    wait_for(lambda: world.ended("later"), 30, "its end")
    seen = world.look("later")
    assert (seen.challenge, seen.order, seen.error) == ("valid", "ready", None) and 2 <= seen.attempts <= TRIES
    assert [t["status"] for t in world.trail("later")] == ["valid"]


def test_the_last_try_is_the_last(world):
    world.dns.zone["never.test"] = HERE
    world.web.sites["never.test"] = says("never")
    world.order("never", "never.test")
    wait_for(lambda: world.ended("never"), 60, "its end")
    assert (world.look("never").challenge, world.look("never").attempts) == ("invalid", TRIES)
    assert len([a for a in world.web.asked if a[0] == "never.test"]) == TRIES


def test_an_order_is_ready_when_all_of_it_is_valid(world):
    names = [f"part{i}.test" for i in range(5)]
    held = threading.Event()
    for i, name in enumerate(names):
        world.dns.zone[name] = HERE
        world.web.sites[name] = says(proof(f"token-parts-{i}"))

    def wait(*_):
        held.wait(20)
        return answer(200, proof("token-parts-4").encode())
    world.web.sites[names[4]] = wait
    world.order("parts", *names)
    wait_for(lambda: [world.look("parts", i).challenge for i in range(4)] == ["valid"] * 4, what="all but one")
    assert world.look("parts").order == "pending"
    held.set()
    wait_for(lambda: world.look("parts").order == "ready", what="the order")
    assert len(world.trail("parts")) == 5


def test_one_that_failed_ends_its_order_and_the_rest_is_moot(world):
    for name in ("good.test", "bad.test"):
        world.dns.zone[name] = HERE
    held = threading.Event()

    def wait(*_):
        held.wait(20)
        return answer(200, proof("token-mixed-0").encode())
    world.web.sites["good.test"] = wait
    world.web.sites["bad.test"] = says("no")
    world.order("mixed", "good.test", "bad.test", tries=TRIES - 1)
    wait_for(lambda: world.look("mixed", 1).challenge == "invalid", what="the bad one")
    assert world.look("mixed").order == "invalid"
    held.set()
    wait_for(lambda: world.ended("mixed"), what="the end of the other")
    assert (world.look("mixed").authz, world.look("mixed").order) == ("pending", "invalid")
    assert len(world.trail("mixed")) == 1


@pytest.mark.parametrize("change", ["UPDATE acme_authorizations SET status = 'deactivated' WHERE order_id = %s",
                                    "UPDATE acme_authorizations SET expires_at = now() WHERE order_id = %s",
                                    "UPDATE acme_orders SET status = 'invalid' WHERE order_id = %s"])
def test_what_was_decided_meanwhile_stays(world, change, unique):
    stem = unique("meanwhile")
    world.dns.zone[f"{stem}.test"] = HERE
    asked, held = threading.Event(), threading.Event()

    def wait(*_):
        asked.set()
        held.wait(20)
        return answer(200, proof(f"token-{stem}-0").encode())
    world.web.sites[f"{stem}.test"] = wait
    world.order(stem, f"{stem}.test")
    assert asked.wait(20)
    world.fleet.query(change, stem)
    before = world.look(stem)
    held.set()
    wait_for(lambda: world.ended(stem), what="the end of its task")
    assert world.look(stem) == before and world.trail(stem) == []


def test_a_worker_that_dies_loses_nothing_and_doubles_nothing(world):
    names = [f"death{i}.test" for i in range(20)]
    for i, name in enumerate(names):
        world.dns.zone[name] = HERE
        world.web.sites[name] = says(proof(f"token-death-{i}"))
    exits = len(world.fleet.processes["worker-1"].exits)
    world.fault.write_text("worker.acme.judged\n")
    world.order("death", *names)
    wait_for(lambda: world.look("death").order == "ready", 60, "the order")
    assert world.fleet.processes["worker-1"].exits[exits:] == [-9]
    assert [t["status"] for t in world.trail("death")] == ["valid"] * len(names)
    assert {world.look("death", i).attempts for i in range(len(names))} == {1}


def test_a_slow_host_keeps_nobody_waiting(world):
    """Of one lease: the others' challenges end while it is still asked."""
    held = threading.Event()
    names = [f"crowd{i}.test" for i in range(12)]
    for i, name in enumerate(names):
        world.dns.zone[name] = HERE
        world.web.sites[name] = says(proof(f"token-crowd-{i}"))

    def wait(*_):
        held.wait(20)
        return answer(200, proof("token-crowd-0").encode())
    world.web.sites[names[0]] = wait
    world.order("crowd", *names)
    wait_for(lambda: all(world.look("crowd", i).challenge == "valid" for i in range(1, 12)), what="all but the slow one")
    assert world.look("crowd").challenge == "processing"
    held.set()
    wait_for(lambda: world.look("crowd").order == "ready", what="the order")


# --- the statements ---

class Worker:
    """Plays a worker, in the statements that it uses."""

    def __init__(self, world):
        self.fleet = world.fleet

    def take(self, task, lease=7):
        self.fleet.query("UPDATE tasks SET status = 'Running', leased_by = 'w', lease_id = %s WHERE id = %s", lease, task)

    def run(self, name, *parameters):
        _, text = statements()[name]
        with self.fleet.connect("certctl_worker") as c, c.cursor() as cursor:
            cursor.execute(f"PREPARE it AS {text}")
            cursor.execute(f"EXECUTE it ({', '.join(['%s'] * len(parameters))})", parameters)
            return cursor.fetchall()

    def load(self, task, worker="w", lease=7):
        return self.run("acme_challenge_load", worker, lease, task)

    def end(self, task, outcome, worker="w", lease=7):
        problem = json.dumps({"type": URN + "connection"}) if outcome == "failed" else None
        return [s for s, in self.run("acme_challenge_end", worker, lease, task, outcome, problem, problem,
                                      "connection" if problem else "valid", 70, None)]


@pytest.fixture
def played(bare, cases, unique):
    """A challenge that no worker takes, and who plays one."""
    stem = unique("played")
    bare.order(stem, f"{stem}.test", status="pending")
    bare.fleet.query("UPDATE acme_challenges SET status = 'processing' WHERE challenge_id = %s", f"{stem}-0-c")
    bare.fleet.query("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES ('w', 'w', 'h', 1, 'infinity') ON CONFLICT DO NOTHING")
    bare.fleet.query("INSERT INTO tasks (id, kind, subject, status, leased_by, lease_id, attempt_until) "
                     "VALUES (%s, 'acme_validate', %s, 'Running', 'w', 7, 'infinity')", f"task-{stem}-0", f"{stem}-0-c")
    return SimpleNamespace(worker=Worker(bare), task=f"task-{stem}-0", stem=stem)


def test_a_task_ends_once_and_is_its_workers_alone(bare, played):
    worker, task = played.worker, played.task
    assert worker.load(task, worker="another") == worker.load(task, lease=8) == []
    assert worker.end(task, "valid", worker="another") == worker.end(task, "valid", lease=8) == []
    assert bare.look(played.stem).challenge == "processing"
    assert worker.end(task, "valid") == ["valid"]
    assert worker.end(task, "valid") == [] and worker.load(task) == []
    assert len(bare.trail(played.stem)) == 1


def test_a_try_that_failed_waits_longer_each_time(bare, played):
    waits = []
    for n in range(1, TRIES + 1):
        assert len(played.worker.load(played.task)) == 1
        assert played.worker.end(played.task, "failed") == ["processing" if n < TRIES else "invalid"]
        if n < TRIES:
            waits.append(bare.fleet.value("SELECT extract(epoch FROM run_after - now())::float8 FROM tasks WHERE id = %s", played.task))
            assert bare.fleet.value("SELECT lease_id IS NULL AND status = 'Pending' FROM tasks WHERE id = %s", played.task)
            played.worker.take(played.task)
    assert waits[0] < waits[1] < waits[2] < 5
    assert bare.look(played.stem).order == "invalid"


@pytest.mark.parametrize("change", ["UPDATE acme_accounts SET status = 'deactivated' WHERE account_id = 'acct-one'",
                                    "UPDATE acme_orders SET expires_at = now() WHERE order_id LIKE 'played%'"])
def test_what_is_no_more_to_be_tried_is_not(bare, played, change):
    bare.fleet.query(change)
    try:
        assert played.worker.load(played.task) == []
    finally:
        bare.fleet.query("UPDATE acme_accounts SET status = 'valid'")
    assert played.worker.end(played.task, "moot") == ["moot"]
    assert bare.ended(played.stem) and bare.trail(played.stem) == []


FAILED = "UPDATE tasks SET status = 'Failed', leased_by = NULL, lease_id = NULL, attempt_until = NULL, dedupe_key = NULL WHERE id = %s"


def clean(world):
    world.fleet.query("SELECT * FROM duty_acme_cleanup(0, 100, '{}')")


def test_what_nobody_can_validate_is_invalid(bare, played):
    """Its task was given up: nobody would look at it again."""
    bare.fleet.query(FAILED, played.task)
    clean(bare)
    seen = bare.look(played.stem)
    assert (seen.challenge, seen.authz, seen.order) == ("invalid",) * 3 and seen.error == seen.order_error == {"why": "given_up"}
    assert bare.ended(played.stem)
    assert [(t["status"], t["error"]) for t in bare.trail(played.stem)] == [("invalid", {"why": "given_up"})]


def test_four_workers_that_died_end_a_challenge(bare, played):
    """As the leader frees what nobody holds any more."""
    bare.fleet.query("UPDATE leadership SET term = 1, holder = 'me', nonce = 'n', expires_at = clock_timestamp() + interval '1 hour'")
    try:
        for n in range(4):
            clean(bare)
            assert bare.look(played.stem).challenge == "processing", n
            bare.fleet.query("UPDATE tasks SET status = 'Running', leased_by = %s, lease_id = %s, attempt_until = 'infinity' WHERE id = %s",
                             f"dead-{n}", 100 + n, played.task)
            bare.fleet.query("SELECT * FROM leases_free('me', 1, NULL, NULL, 0, '{\"v\": 1, \"workers_died\": \"they died\"}')")
    finally:
        bare.fleet.query("UPDATE leadership SET holder = '', expires_at = '-infinity'")
    assert bare.fleet.value("SELECT status FROM tasks WHERE id = %s", played.task) == "Failed"
    clean(bare)
    assert bare.look(played.stem).order == "invalid"


@pytest.mark.parametrize("change", ["UPDATE acme_authorizations SET status = 'deactivated' WHERE order_id = %s",
                                    "UPDATE acme_orders SET status = 'invalid' WHERE order_id = %s",
                                    "DELETE FROM acme_orders WHERE order_id = %s"])
def test_a_task_that_was_given_up_too_late_changes_nothing(bare, played, change):
    bare.fleet.query(FAILED, played.task)
    bare.fleet.query(change, played.stem)
    rows = bare.fleet.query("SELECT * FROM acme_challenges WHERE challenge_id LIKE %s", f"{played.stem}-%")
    clean(bare)
    assert bare.ended(played.stem) and bare.trail(played.stem) == []
    assert bare.fleet.query("SELECT * FROM acme_challenges WHERE challenge_id LIKE %s", f"{played.stem}-%") == rows


@pytest.mark.parametrize("settings,words", [
    ({"CERTCTL_ACME_SERVER_DNS01_RESOLVER": "dns.example.com:53"}, "CERTCTL_ACME_SERVER_DNS01_RESOLVER"),
    ({"CERTCTL_ACME_SERVER_DNS01_RESOLVER": "192.0.2.1"}, "CERTCTL_ACME_SERVER_DNS01_RESOLVER"),
    ({"CERTCTL_ACME_SERVER_CAA_CHECK": "true"}, "CERTCTL_ACME_SERVER_CAA_IDENTITIES"),
    ({"CERTCTL_ACME_SERVER_HTTP01_CONCURRENCY": "0"}, "CERTCTL_ACME_SERVER_HTTP01_CONCURRENCY"),
])
def test_settings_that_cannot_be_obeyed(bare, settings, words):
    process = bare.fleet.start_worker(9, **settings)
    process.wait_end()
    assert process.popen.returncode > 0 and words in process.log()
