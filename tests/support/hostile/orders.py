"""
Orders, authorizations and challenges that are not to be, or are over: identifiers, times,
states (RFC 8555 sections 7.1.3, 7.1.6, 7.4, 7.5, RFC 8737, RFC 8738, RFC 5280).
"""
from hostile.world import BAD_CSR, MALFORMED, NOT_FOUND, NOT_READY, REJECTED, UNAUTHORIZED, Row, certid, csr, dns, ident, signed

UNSUPPORTED = (400, "unsupportedIdentifier")
LABEL = "a" * 63


# --- new orders ---
def order_row(name, payload, want=MALFORMED, rfc="8555 7.4", who=lambda w: w.bob):
    return Row("order " + name, rfc, want, lambda w: signed(who(w), "new-order", payload(w) if callable(payload) else payload))


def name_row(name, value, rfc="8555 7.1.4, 5280 4.2.1.6", kind="dns", want=REJECTED, **more):
    return order_row(f"for {name}", {"identifiers": [{"type": kind, "value": value}]}, want, rfc, **more)


NAMES = [
    *(name_row(what, value) for what, value in {
        "a dot": ".", "a dot at the end": "a.example.test.", "a dot at the start": ".example.test", "two dots": "a..example.test", "an underscore": "_acme.example.test",
        "an underscore inside": "a_b.example.test", "a hyphen first": "-a.example.test", "a hyphen last": "a-.example.test", "a label of 64": LABEL + "a.example.test",
        "254 characters": ".".join([LABEL, LABEL, LABEL, "a" * 62]), "a blank": "a b.example.test", "a blank at the end": "a.example.test ", "a line's end": "a.example.test\n",
        "a port": "a.example.test:443", "an URL": "https://a.example.test/", "a path": "a.example.test/x", "a user": "x@a.example.test", "unicode": "bücher.example.test",
        "a full-width letter": "ａ.example.test", "a dot of another script": "a。example.test", "a zero-width joiner": "a\u200d.example.test", "a soft hyphen": "a\u00ad.example.test",
        "right to left": "\u202ea.example.test", "an A-label of nothing": "xn--.example.test", "an A-label of ASCII": "xn--abc-.example.test",
        "an A-label that does not decode": "xn--999999999.example.test", "an A-label of capitals' letters": "xn--Bcher-Kva8445foa.example.test",
        "numbers alone": "123.456", "a number for the last label": "a.example.42", "hexadecimal digits for the last label": "a.0x7f", "an address": "192.0.2.1",
        "an address in one number": "3221225985", "an address in octal": "0300.0.2.1", "an IPv6 address": "2001:db8::1", "an IPv6 address in brackets": "[2001:db8::1]",
        "a percent sign": "%2a.example.test", "a quote": "a'.example.test", "a slash": "a\\.example.test", "a control character": "a\x01.example.test",
    }.items()),
    *(name_row(what, value, "8555 7.1.3, 6125 6.4.3") for what, value in {
        "an asterisk alone": "*", "an asterisk and a dot": "*.", "two asterisks": "*.*.example.test", "an asterisk below": "a.*.example.test", "an asterisk in a label": "a*.example.test",
        "an asterisk at the end": "example.*", "a wildcard of an address": "*.192.0.2.1", "asterisks in one label": "**.example.test", "a wildcard with a dot at the end": "*.example.test.",
        "a wildcard of a wildcard": "*.*", "an asterisk in an A-label": "xn--*.example.test",
    }.items()),
    *(name_row(what, value, "8738 3", "ip") for what, value in {
        "a name as an address": "example.test", "three numbers": "192.0.2", "five numbers": "192.0.2.1.1", "a number above 255": "192.0.2.256", "leading zeros": "192.0.02.1",
        "octal": "0300.0.2.1", "hexadecimal": "0xc0.0.2.1", "one number": "3221225985", "a net": "192.0.2.0/24", "a port": "192.0.2.1:80", "blanks": " 192.0.2.1",
        "IPv6 in full": "2001:0db8:0000:0000:0000:0000:0000:0001", "IPv6 without its zeros left out": "2001:db8:0:0:0:0:0:1", "IPv6 with the shorter zeros left out": "2001:db8::1:0:0:0:1",
        "IPv6 with a leading zero": "2001:0db8::1", "IPv6 in brackets": "[2001:db8::1]", "IPv6 with a zone": "fe80::1%eth0", "two gaps": "2001::db8::1", "nine groups": "1:2:3:4:5:6:7:8:9",
        "IPv4 in IPv6, as numbers": "::ffff:c000:201", "one gap alone and a colon": ":::", "a reverse name": "1.2.0.192.in-addr.arpa", "a wildcard": "*.192.0.2.1",
    }.items()),
    *(name_row(f"type {kind!r}", "a.example.test", "8555 9.7.7", kind, UNSUPPORTED) for kind in ("email", "DNS", "dns ", "IP", "uri", "TNAuthList", "permanent-identifier")),
    name_row("a name that the profile has not", "host.outside.example.test", "8555 7.4", who=lambda w: w.inside),
    name_row("a wildcard that the profile has not", "*.inside.example.test", "8555 7.4", who=lambda w: w.inside),
    name_row("a name below the profile's", "a.b.inside.example.test", "8555 7.4", who=lambda w: w.inside),
    name_row("a name that only begins as the profile's", "a.inside.example.test.evil.test", "8555 7.4", who=lambda w: w.inside),
    name_row("an address of a profile of names", "192.0.2.1", "8555 7.4", "ip", who=lambda w: w.inside),
    order_row("of which one name is wrong", lambda w: dns(w.fresh(), "a_b.example.test", w.fresh()), REJECTED, "8555 6.7.1"),
    order_row("of which all names are wrong", dns("a_b.example.test", "c..test", "*"), REJECTED, "8555 6.7.1"),
    order_row("of a wrong name and a wrong type", lambda w: {"identifiers": [{"type": "x", "value": "a.test"}, {"type": "dns", "value": "a_b.test"}]}, REJECTED, "8555 6.7.1"),
]

FORM = [
    *(order_row(what, payload) for what, payload in {
        "without identifiers": {}, "of no identifiers": {"identifiers": []}, "of identifiers null": {"identifiers": None}, "of one text": {"identifiers": "a.example.test"},
        "of texts": {"identifiers": ["a.example.test"]}, "of an object": {"identifiers": {"type": "dns", "value": "a.example.test"}}, "of lists": {"identifiers": [[]]},
        "of null": {"identifiers": [None]}, "without a type": {"identifiers": [{"value": "a.example.test"}]}, "without a value": {"identifiers": [{"type": "dns"}]},
        "of a type that is a number": {"identifiers": [{"type": 1, "value": "a.example.test"}]}, "of a value that is a list": {"identifiers": [{"type": "dns", "value": ["a.example.test"]}]},
        "of an empty name": dns(""), "of an empty type": {"identifiers": [{"type": "", "value": "a.example.test"}]}, "of a name of 2000": dns("a" * 2000),
        "of 101 names": dns(*(f"n{i}.example.test" for i in range(101))), "of 2000 names": dns(*(f"{i}.t" for i in range(1000))), "of 101 times one name": dns(*["a.example.test"] * 101),
    }.items()),
    *(order_row(f"with {m} {what}", lambda w, m=m, v=v: dns(w.fresh()) | {m: v}, rfc="8555 7.1.3") for m in ("notBefore", "notAfter") for what, v in {
        "in time": "2027-01-01T00:00:00Z", "past": "2001-01-01T00:00:00Z", "that is none": "soon", "a number": 1, "null": None}.items()),
    order_row("that ends before it begins", lambda w: dns(w.fresh()) | {"notBefore": "2030-01-01T00:00:00Z", "notAfter": "2029-01-01T00:00:00Z"}, rfc="8555 7.4"),
]


# --- what it may replace ---
def replaces_row(name, value, want=MALFORMED, names=("one.secret.example.test",)):
    return Row("replaces " + name, "9773 5", want, lambda w: signed(w.alice, "new-order", dns(*names) | {"replaces": value(w)}))


REPLACES = [
    *(replaces_row(what, lambda w, v=v: v) for what, v in {
        "a number": 1, "a list": [], "empty": "", "a text": "x", "a dot": ".", "two dots": "AA.AA.AA", "huge": "A" * 5000, "nothing before the dot": ".AQ", "nothing behind it": "AQ.",
        "not base64url": "+/+/.AQ", "a negative serial": "AQ.gA", "serial 0": "AQ.AA", "a serial of 21 octets": "AQ." + "AQEBAQEBAQEBAQEBAQEBAQEBAQEB", "nobody's": "AQ.AQ"}.items()),
    replaces_row("with padding", lambda w: certid(w.issued["leaf"]) + "="),
    replaces_row("another serial", lambda w: certid(w.issued["leaf"], w.issued["leaf"].serial_number + 1)),
    replaces_row("another CA's key", lambda w: "AQ." + certid(w.issued["leaf"]).split(".")[1]),
    replaces_row("another's", lambda w: certid(w.others["leaf"])),
    replaces_row("a certificate of other names", lambda w: certid(w.issued["leaf"]), names=("unrelated.example.test",)),
    replaces_row("one that is replaced already", lambda w: certid(w.replaced["leaf"]), (409, "alreadyReplaced"), ("three.secret.example.test",)),
]


# --- states ---
def finalize(w, order, client=None, key=None):
    return signed(client or w.alice, order["finalize"], {"csr": csr(*(i["value"] for i in order["identifiers"]), key=key)})


def state_row(name, make, want, rfc="8555 7.1.6, 7.4"):
    return Row(name, rfc, want, make)


def ended(w, how):
    """An order that ended so, by a deactivated authorization or by a job that failed."""
    if how == "deactivated":
        order = w.order(w.alice, w.fresh("deactivated"))
        assert w.alice.post(order["authz"][0]["url"], {"status": "deactivated"})[0] == 200
        return order
    return w.order_as("invalid", error='{"why": "job_failed", "job": "job-1"}')


def challenge(w, order, client):
    return signed(client, order["authz"][0]["challenges"][0]["url"], {})


def proof(w, change):
    """The open challenge of an order that change has ended."""
    order = w.order(w.prover, w.fresh("proof"))
    change(order)
    return challenge(w, order, w.prover)


def authz_end(w, status):
    order = w.order(w.prover, w.fresh("authz"))
    w.query("UPDATE acme_authorizations SET status = %s WHERE order_id = %s", status, ident(order["url"]))
    return signed(w.prover, order["authz"][0]["url"], {"status": "deactivated"})


def set_authz(w, order, status):
    w.query("UPDATE acme_authorizations SET status = %s WHERE order_id = %s", status, ident(order["url"]))


STATES = [
    state_row("finalize of a pending order", lambda w: finalize(w, w.order(w.prover, w.fresh("pending")), w.prover), NOT_READY),
    state_row("finalize of a pending order with other names", lambda w: signed(w.prover, w.order(w.prover, w.fresh("pending"))["finalize"], {"csr": csr("x.example.test")}), BAD_CSR),
    *(state_row(f"finalize of an order that ended: {how}", lambda w, how=how: finalize(w, ended(w, how)), NOT_READY) for how in ("deactivated", "job_failed")),
    state_row("finalize of an order that expired", lambda w: finalize(w, w.expire(w.order(w.alice, w.fresh("expired")))), NOT_READY),
    *(state_row(f"finalize of an order whose authorization is {s}", lambda w, s=s: (lambda o: (set_authz(w, o, s), finalize(w, o))[1])(w.order(w.alice, w.fresh("authz"))), NOT_READY)
      for s in ("pending", "invalid", "deactivated", "expired", "revoked")),
    state_row("finalize of a valid order with another key", lambda w: finalize(w, w.issued), NOT_READY),
    state_row("finalize of a valid order with its key and other names", lambda w: signed(w.alice, w.issued["finalize"], {"csr": csr("evil.example.test", key=w.issued["key"])}), BAD_CSR),
    state_row("finalize of a valid order with its key and a name more",
              lambda w: signed(w.alice, w.issued["finalize"], {"csr": csr("one.secret.example.test", "evil.example.test", key=w.issued["key"])}), BAD_CSR),
    *(state_row(f"challenge whose authorization is {s}", lambda w, s=s: proof(w, lambda o: set_authz(w, o, s)), MALFORMED, "8555 7.5.1, 7.1.6")
      for s in ("deactivated", "invalid", "expired", "revoked")),
    state_row("challenge of an authorization that its account gave up",
              lambda w: proof(w, lambda o: w.prover.post(o["authz"][0]["url"], {"status": "deactivated"})), MALFORMED, "8555 7.5.2"),
    state_row("challenge of an order that expired", lambda w: proof(w, w.expire), MALFORMED, "8555 7.1.6"),
    *(state_row(f"end of an authorization that is {s}", lambda w, s=s: authz_end(w, s), MALFORMED, "8555 7.5.2") for s in ("invalid", "deactivated", "expired", "revoked")),
]

# --- what is not there ---
ABSENT = [
    *(Row(f"{path} that is not there", "8555 7.4, contract", NOT_FOUND, lambda w, p=path, b=body: signed(w.bob, p, b(w) if callable(b) else b))
      for path, body in (("order/acme-ord-1", ""), ("order/acme-ord-1/finalize", lambda w: {"csr": csr("x.example.test")}), ("authz/acme-authz-1", ""),
                         ("authz/acme-authz-1", {"status": "deactivated"}), ("challenge/acme-chall-1", ""), ("challenge/acme-chall-1", {}), ("cert/certver-1", ""),
                         ("cert/certver-1/1", ""))),
    Row("a chain that is not there", "8555 7.4.2", NOT_FOUND, lambda w: signed(w.alice, w.issued["certificate"] + "/7", "")),
    Row("an order under an authorization's path", "8555 7.4", NOT_FOUND, lambda w: signed(w.alice, "authz/" + ident(w.ready["url"]), "")),
    Row("an authorization under an order's path", "8555 7.4", NOT_FOUND, lambda w: signed(w.alice, "order/" + ident(w.ready["authz"][0]["url"]), "")),
    Row("another account under the path of one's own", "8555 7.3.2", UNAUTHORIZED, lambda w: signed(w.bob, "account/acct-1", "")),
]

# --- payloads where there is nothing to say ---
READ = [
    Row("an order with an empty object", "8555 6.3, 7.4", MALFORMED, lambda w: signed(w.alice, w.ready["url"], {})),
    Row("an order with a change", "8555 6.3, 7.4", MALFORMED, lambda w: signed(w.alice, w.ready["url"], {"status": "valid"})),
    Row("a certificate with an empty object", "8555 6.3, 7.4.2", MALFORMED, lambda w: signed(w.alice, w.issued["certificate"], {})),
    Row("the list of orders with an empty object", "8555 6.3, 7.1.2.1", MALFORMED, lambda w: signed(w.alice, w.alice.kid + "/orders", {})),
    *(Row(f"the list of orders behind {what}", "8555 7.1.2.1", MALFORMED, lambda w, c=c: signed(w.alice, w.alice.kid + "/orders?cursor=" + c))
      for what, c in {"nothing": "", "a text": "x", "a mark": "~", "no time": "~acme-ord-1", "no order": "2026-01-01T00:00:00Z~", "a month 13": "2026-13-01T00:00:00Z~acme-ord-1",
                      "SQL": "2026-01-01T00:00:00Z'~acme-ord-1", "a huge text": "x" * 2000}.items()),
    Row("a chain with a payload", "8555 6.3, 7.4.2", MALFORMED, lambda w: signed(w.alice, w.issued["certificate"] + "/1", {"x": 1})),
    *(Row(f"an authorization with {what}", "8555 7.5, 7.5.2", MALFORMED, lambda w, v=v: signed(w.prover, w.order(w.prover, w.fresh("read"))["authz"][0]["url"], v))
      for what, v in {"an empty object": {}, "status valid": {"status": "valid"}, "status revoked": {"status": "revoked"}, "a status in capitals": {"status": "Deactivated"},
                      "a status that is a number": {"status": 1}, "another member": {"identifier": {"type": "dns", "value": "x.test"}}}.items()),
]

TABLE = NAMES + FORM + REPLACES + STATES + ABSENT + READ
