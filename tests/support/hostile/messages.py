"""
Signed messages that are none: nonce, url, form, encoding, header, algorithm, kid and
jwk, payload (RFC 8555 section 6, RFC 7515).
"""
import json

from cryptography.hazmat.primitives import serialization

from acme import b64, jwk_of, new_key
from hostile.keys import strangers_key
from hostile.world import (BAD_ALG, BAD_NONCE, MALFORMED, UNAUTHORIZED, UNKNOWN_ACCOUNT, Ask, Row, altered, client_signed, dns, flip, from_text,
                           nonce_of, signed)

DEEP = "[" * 40 + "]" * 40


# --- nonces ---
def used(w):
    """By a request that was fine."""
    nonce = nonce_of(w.bob)
    assert w.bob.post(w.bob.kid, nonce=nonce)[0] == 200
    return signed(w.bob, w.bob.kid, nonce=nonce)


def burnt(w):
    """By a request whose signature was another's."""
    nonce = nonce_of(w.bob)
    assert w.bob.post(w.bob.kid, nonce=nonce, key=new_key())[0] == 401
    return signed(w.bob, w.bob.kid, nonce=nonce)


def used_by_another(w):
    nonce = nonce_of(w.alice)
    assert w.alice.post(w.alice.kid, nonce=nonce)[0] == 200
    return signed(w.bob, w.bob.kid, nonce=nonce)


def sent_twice(w):
    """The very same message again."""
    ask = signed(w.bob, w.bob.kid)
    assert ask.send()[0] == 200
    return ask


def nonce_row(name, rfc, want, make):
    return Row("nonce " + name, rfc, want, lambda w: signed(w.bob, w.bob.kid, nonce=make(w)))


NONCES = [
    nonce_row("absent", "8555 6.5", BAD_NONCE, lambda w: None),
    Row("nonce used", "8555 6.5", BAD_NONCE, used),
    Row("nonce used by a forged request", "8555 6.5", BAD_NONCE, burnt),
    Row("nonce used by another account", "8555 6.5", BAD_NONCE, used_by_another),
    Row("message sent twice", "8555 6.5", BAD_NONCE, sent_twice),
    nonce_row("too old", "8555 6.5", BAD_NONCE, lambda w: w.nonce_expired()),
    nonce_row("nobody's", "8555 6.5", BAD_NONCE, lambda w: b64(b"nonce")),
    nonce_row("of another server", "8555 6.5", BAD_NONCE, lambda w: b64(bytes(range(45)))),
    nonce_row("with another MAC", "8555 6.5", BAD_NONCE, lambda w: flip(nonce_of(w.bob), 44)),
    nonce_row("with a later end", "8555 6.5", BAD_NONCE, lambda w: flip(nonce_of(w.bob), 9)),
    nonce_row("cut", "8555 6.5", BAD_NONCE, lambda w: nonce_of(w.bob)[:40]),
    nonce_row("longer", "8555 6.5", BAD_NONCE, lambda w: nonce_of(w.bob) + "AAAA"),
    nonce_row("empty", "8555 6.5.2", MALFORMED, lambda w: ""),
    nonce_row("with padding", "8555 6.5.2", MALFORMED, lambda w: b64(b"12") + "="),
    nonce_row("of base64, not base64url", "8555 6.5.2", MALFORMED, lambda w: "+/+/"),
    nonce_row("with a line's end", "8555 6.5.2", MALFORMED, lambda w: nonce_of(w.bob) + "\r\nX: y"),
    nonce_row("a number", "8555 6.5.2", MALFORMED, lambda w: 7),
    nonce_row("a list", "8555 6.5.2", MALFORMED, lambda w: [nonce_of(w.bob)]),
    nonce_row("huge", "8555 6.5.2", MALFORMED, lambda w: "A" * 8192),
]


# --- url ---
def url_row(name, want, make):
    return Row("url " + name, "8555 6.4", want, lambda w: signed(w.bob, "new-order", dns(w.fresh()), url=make(w.bob.url("new-order"), w)))


URLS = [
    url_row("of another host", UNAUTHORIZED, lambda u, w: u.replace("127.0.0.1", "acme.example.test")),
    url_row("of another port", UNAUTHORIZED, lambda u, w: u.replace(f":{w.stack.api.port}", ":1")),
    url_row("without the port", UNAUTHORIZED, lambda u, w: u.replace(f":{w.stack.api.port}", "")),
    url_row("of http", UNAUTHORIZED, lambda u, w: u.replace("https:", "http:")),
    url_row("of another resource", UNAUTHORIZED, lambda u, w: u.replace("new-order", "new-account")),
    url_row("of another profile", UNAUTHORIZED, lambda u, w: u.replace("p-acme", "p-other")),
    url_row("of the short path", UNAUTHORIZED, lambda u, w: u.replace("/profile/p-acme", "")),
    url_row("with a query", UNAUTHORIZED, lambda u, w: u + "?x=1"),
    url_row("with a fragment", UNAUTHORIZED, lambda u, w: u + "#x"),
    url_row("with a slash more", UNAUTHORIZED, lambda u, w: u + "/"),
    url_row("in capitals", UNAUTHORIZED, lambda u, w: u.replace("new-order", "NEW-ORDER")),
    url_row("percent-encoded", UNAUTHORIZED, lambda u, w: u.replace("new-order", "new%2Dorder")),
    url_row("with a user", UNAUTHORIZED, lambda u, w: u.replace("https://", "https://x@")),
    url_row("with blanks", UNAUTHORIZED, lambda u, w: " " + u),
    url_row("a path alone", UNAUTHORIZED, lambda u, w: "/acme/profile/p-acme/new-order"),
    url_row("empty", UNAUTHORIZED, lambda u, w: ""),
    url_row("absent", UNAUTHORIZED, lambda u, w: None),
    url_row("a number", MALFORMED, lambda u, w: 1),
    url_row("a list", MALFORMED, lambda u, w: [u]),
    Row("request with a query that url lacks", "8555 6.4", UNAUTHORIZED,
        lambda w: Ask(w.bob, "new-order?x=1", signed(w.bob, "new-order", dns(w.fresh())).body)),
]


# --- the form ---
def form_row(name, change, want=MALFORMED, rfc="8555 6.2"):
    return Row("form " + name, rfc, want, lambda w: altered(w.bob, "new-order", dns(w.fresh()), change))


def body_row(name, body, want=MALFORMED):
    return Row("form " + name, "8555 6.2", want, lambda w: Ask(w.bob, "new-order", body))


def without(name):
    return lambda m: {k: v for k, v in m.items() if k != name}


def twin(name):
    """The member a second time, as it is."""
    return lambda m: json.dumps(m)[:-1] + f', {json.dumps(name)}: {json.dumps(m[name])}}}'


FORMS = [
    body_row("empty", ""), body_row("no JSON", "hello"), body_row("a list", "[]"), body_row("a text", '"x"'), body_row("a number", "1"),
    body_row("null", "null"), body_row("an empty object", "{}"), body_row("unsigned", json.dumps(dns("a.example.test"))),
    body_row("not UTF-8", b'{"protected":"\xff"}'), body_row("nothing but depth", DEEP), body_row("a zero octet", b'{"protected":"a\0"}'),
    body_row("64 KiB of blanks", " " * 65536), body_row("one octet above 64 KiB", " " * 65537, (413, "malformed")),
    *(form_row(f"without {n}", without(n)) for n in ("protected", "payload", "signature")),
    *(form_row(f"{n} twice", twin(n)) for n in ("protected", "payload", "signature")),
    *(form_row(f"{n} null", lambda m, n=n: m | {n: None}) for n in ("protected", "payload", "signature")),
    *(form_row(f"{n} an object", lambda m, n=n: m | {n: {}}) for n in ("protected", "payload", "signature")),
    form_row("members in capitals", lambda m: {k.upper(): v for k, v in m.items()}),
    form_row("unprotected header", lambda m: m | {"header": {"kid": "x"}}),
    form_row("empty unprotected header", lambda m: m | {"header": {}}),
    form_row("unprotected header null", lambda m: m | {"header": None}),
    form_row("general serialization", lambda m: {"payload": m["payload"], "signatures": [without("payload")(m)]}, rfc="7515 7.2.1"),
    form_row("flattened and general", lambda m: m | {"signatures": [without("payload")(m)]}, rfc="7515 7.2.2"),
    form_row("no signatures", lambda m: without("signature")(m) | {"signatures": []}, rfc="7515 7.2.1"),
    form_row("compact serialization", lambda m: f'{m["protected"]}.{m["payload"]}.{m["signature"]}', rfc="7515 7.1"),
    form_row("compact serialization as a text", lambda m: json.dumps(f'{m["protected"]}.{m["payload"]}.{m["signature"]}'), rfc="7515 7.1"),
    form_row("in a list", lambda m: [m]),
    form_row("two messages", lambda m: json.dumps(m) + json.dumps(m)),
    form_row("with more behind it", lambda m: json.dumps(m) + "x"),
    form_row("with a byte order mark", lambda m: b"\xef\xbb\xbf" + json.dumps(m).encode()),
    form_row("UTF-16", lambda m: json.dumps(m).encode("utf-16")),
    form_row("with depth beside it", lambda m: json.dumps(m)[:-1] + f', "x": {DEEP}}}'),
]

# --- base64url ---
SPOILT = {
    "padding": lambda t: t + "=" * (-len(t) % 4 or 4), "white space": lambda t: t[:4] + " " + t[4:], "a line's end": lambda t: t + "\n",
    "a plus": lambda t: "+" + t[1:], "a slash": lambda t: "/" + t[1:], "a character left over": lambda t: t + "A" * (5 - len(t) % 4 if len(t) % 4 != 1 else 4),
    "a dot": lambda t: t + ".A", "a letter of another alphabet": lambda t: "é" + t,
}


def with_rest(text):
    """Whose last character says more than it may; text has such a one."""
    assert len(text) % 4 != 0
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]


def loose(w, member):
    """All of it signed as it stands, but for bits that stand for nothing."""
    header = json.dumps(w.bob.header("new-order"))
    protected, payload = b64((header + " " * (2 - len(header) % 3 + 0)).encode()), b64(json.dumps(dns(w.fresh("nn"))).encode())
    for _ in range(3):
        protected = protected if len(protected) % 4 else b64((header := header + " ").encode())
        payload = payload if len(payload) % 4 else b64(json.dumps(dns(w.fresh("nnn"))).encode() + b" ")
    protected = with_rest(protected) if member == "protected" else protected
    payload = with_rest(payload) if member == "payload" else payload
    ask = client_signed(w.bob, "new-order", protected, payload)
    if member != "signature":
        return ask
    made = json.loads(ask.body)
    return ask._replace(body=json.dumps(made | {"signature": with_rest(made["signature"])}))


ENCODINGS = [
    *(form_row(f"{n} with {what}", lambda m, n=n, f=f: m | {n: f(m[n])}, rfc="7515 2")
      for n in ("protected", "payload", "signature") for what, f in SPOILT.items()),
    *(Row(f"form {n} with bits left over", "4648 3.5", MALFORMED, lambda w, n=n: loose(w, n)) for n in ("protected", "payload", "signature")),
]


# --- the protected header ---
def text_row(name, make, want=MALFORMED, rfc="7515 4"):
    """make: the header's text from its members."""
    return Row("header " + name, rfc, want, lambda w: from_text(w.bob, "new-order", make(w.bob.header("new-order"))))


def header_row(name, change, want=MALFORMED, rfc="8555 6.2"):
    return Row("header " + name, rfc, want, lambda w: signed(w.bob, "new-order", dns(w.fresh()), **change(w) if callable(change) else change))


def twice(member, value=None):
    return lambda h: json.dumps(h)[:-1] + f", {json.dumps(member)}: {json.dumps(value or h[member])}}}"


HEADERS = [
    text_row("no JSON", lambda h: "hello"), text_row("a list", lambda h: json.dumps([h])), text_row("empty", lambda h: ""),
    text_row("null", lambda h: "null"), text_row("with more behind it", lambda h: json.dumps(h) + "{}"),
    text_row("not UTF-8", lambda h: json.dumps(h).encode()[:-1] + b', "x": "\xc3\x28"}'),
    text_row("with depth", lambda h: json.dumps(h)[:-1] + f', "x": {DEEP}}}'),
    *(text_row(f"{m} twice", twice(m)) for m in ("alg", "nonce", "url", "kid")),
    text_row("alg twice, otherwise", twice("alg", "none")), text_row("url twice, otherwise", twice("url", "https://x/")),
    text_row("twins by an escape", lambda h: json.dumps(h)[:-1] + ', "\\u0061lg": "none"}'),
    header_row("crit", {"crit": ["b64"]}, rfc="7515 4.1.11"), header_row("crit empty", {"crit": []}, rfc="7515 4.1.11"),
    header_row("crit of what is known", {"crit": ["url"]}, rfc="7515 4.1.11"), header_row("crit a text", {"crit": "url"}, rfc="7515 4.1.11"),
    header_row("b64 false", {"b64": False}, rfc="7797 3"), header_row("b64 false, critical", {"b64": False, "crit": ["b64"]}, rfc="7797 6"),
    header_row("b64 a text", {"b64": "true"}, rfc="7797 3"), header_row("typ JWT", {"typ": "JWT"}, rfc="7515 4.1.9"),
    header_row("typ a number", {"typ": 1}, rfc="7515 4.1.9"),
]


# --- algorithms ---
def mac_by_public_key(w, secret):
    """HS256, with what everybody knows for a secret: the key's form that is to be confused."""
    ask = signed(w.bob, "new-order", dns(w.fresh()), key=secret(w.bob.key.public_key()), alg="HS256")
    return ask


def spki(form):
    return lambda key: key.public_bytes(form, serialization.PublicFormat.SubjectPublicKeyInfo)


def alg_of_another_key(w, kind, alg):
    """Signed as the key does, said to be otherwise."""
    client = w.stranger(key=strangers_key(kind))
    return signed(client, "new-account", {}, alg=alg)


ALGORITHMS = [
    *(Row(f"alg {alg}", "8555 6.2", BAD_ALG, lambda w, alg=alg: signed(w.bob, "new-order", dns(w.fresh()), alg=alg))
      for alg in ("none", "NONE", "None", "", "es256", "ES256 ", "ES512", "ES256K", "PS256", "RS1", "RS512", "HS256", "HS384", "HS512", "RSA1_5", "dir", 256, True,
                  ["ES256"], {})),
    Row("alg absent", "7515 4.1.1", MALFORMED, lambda w: signed(w.bob, "new-order", dns(w.fresh()), alg=None)),
    Row("alg null", "7515 4.1.1", BAD_ALG, lambda w: from_text(w.bob, "new-order", json.dumps(w.bob.header("new-order") | {"alg": None}))),
    Row("alg none without a signature", "8555 6.2", MALFORMED,
        lambda w: altered(w.bob, "new-order", dns(w.fresh()), lambda m: m | {"signature": ""}, alg="none")),
    Row("MAC by the public key's PEM", "8725 2.1", BAD_ALG, lambda w: mac_by_public_key(w, spki(serialization.Encoding.PEM))),
    Row("MAC by the public key's DER", "8725 2.1", BAD_ALG, lambda w: mac_by_public_key(w, spki(serialization.Encoding.DER))),
    Row("MAC by the JWK's text", "8725 2.1", BAD_ALG, lambda w: mac_by_public_key(w, lambda _: json.dumps(jwk_of(w.bob.key)).encode())),
    *(Row(f"{kind}'s key with alg {alg}", "8555 6.2", BAD_ALG, lambda w, kind=kind, alg=alg: alg_of_another_key(w, kind, alg))
      for kind, alg in (("ES256", "RS256"), ("RS256", "ES256"), ("ES256", "ES384"), ("ES384", "ES256"), ("EdDSA", "ES256"), ("ES256", "EdDSA"),
                        ("EdDSA", "RS256"))),
    Row("account's key with another alg", "8555 6.2", BAD_ALG, lambda w: signed(w.bob, "new-order", dns(w.fresh()), alg="ES384")),
]


# --- kid and jwk ---
def kid_row(name, want, make, rfc="8555 6.2"):
    return Row("kid " + name, rfc, want, lambda w: signed(w.bob, "new-order", dns(w.fresh()), kid=make(w)))


def both(path):
    return lambda w: signed(w.bob, path, {}, jwk=jwk_of(w.bob.key))


KIDS = [
    *(Row(f"jwk where kid is wanted: {p}", "8555 6.2", MALFORMED,
          lambda w, p=p: signed(w.bob, p, {}, kid=None, jwk=jwk_of(w.bob.key)))
      for p in ("new-order", "key-change", "account/x", "account/x/orders", "order/x", "order/x/finalize", "authz/x", "challenge/x", "cert/x", "cert/x/1")),
    Row("kid where jwk is wanted", "8555 6.2", MALFORMED, lambda w: signed(w.bob, "new-account", {})),
    *(Row(f"kid and jwk: {p}", "8555 6.2", MALFORMED, both(p)) for p in ("new-account", "new-order", "revoke-cert")),
    *(Row(f"neither kid nor jwk: {p}", "8555 6.2", MALFORMED, lambda w, p=p: signed(w.bob, p, {}, kid=None))
      for p in ("new-account", "new-order", "revoke-cert")),
    Row("key by jku", "8555 6.2", MALFORMED, lambda w: signed(w.bob, "new-account", {}, kid=None, jku="https://evil.example.test/keys")),
    Row("key by x5c", "8555 6.2", MALFORMED, lambda w: signed(w.bob, "new-account", {}, kid=None, x5c=["AAAA"])),
    *(Row(f"jwk {name}", "8555 6.2", MALFORMED, lambda w, v=v: signed(w.stranger(), "new-account", {}, jwk=v))
      for name, v in (("a text", "x"), ("a list", []), ("true", True))),
    kid_row("a number", MALFORMED, lambda w: 1), kid_row("a list", MALFORMED, lambda w: [w.bob.kid]),
    kid_row("huge", MALFORMED, lambda w: w.bob.kid + "x" * 8192),
    kid_row("empty", UNKNOWN_ACCOUNT, lambda w: ""), kid_row("the id alone", UNKNOWN_ACCOUNT, lambda w: w.bob.kid.rsplit("/", 1)[1]),
    kid_row("of another host", UNKNOWN_ACCOUNT, lambda w: w.bob.kid.replace("127.0.0.1", "acme.example.test")),
    kid_row("of http", UNKNOWN_ACCOUNT, lambda w: w.bob.kid.replace("https", "http")),
    kid_row("of another profile's path", UNKNOWN_ACCOUNT, lambda w: w.bob.kid.replace("p-acme", "p-other")),
    kid_row("of another profile's account", UNKNOWN_ACCOUNT, lambda w: w.abroad.kid),
    kid_row("of another profile's account, at this path", UNKNOWN_ACCOUNT, lambda w: w.abroad.kid.replace("p-other", "p-acme")),
    kid_row("of nobody", UNKNOWN_ACCOUNT, lambda w: w.bob.kid + "0"), kid_row("with a slash more", UNKNOWN_ACCOUNT, lambda w: w.bob.kid + "/"),
    kid_row("with a query", UNKNOWN_ACCOUNT, lambda w: w.bob.kid + "?x"), kid_row("percent-encoded", UNKNOWN_ACCOUNT, lambda w: w.bob.kid.replace("acct", "%61cct")),
    kid_row("an order's address", UNKNOWN_ACCOUNT, lambda w: w.ready["url"]),
    kid_row("with SQL", UNKNOWN_ACCOUNT, lambda w: w.bob.kid + "' OR '1'='1"),
    kid_row("with a line's end", UNKNOWN_ACCOUNT, lambda w: w.bob.kid + "\n"),
    kid_row("another account's", UNAUTHORIZED, lambda w: w.alice.kid),
]


# --- payloads ---
def payload_row(name, payload, path="new-order"):
    return Row(f"payload {name}: {path}", "8555 6.2", MALFORMED, lambda w: signed(w.bob if path != "new-account" else w.stranger(), path, payload))


PAYLOADS = [
    *(payload_row(name, payload, path) for path in ("new-order", "new-account", "revoke-cert", "key-change") for name, payload in (
        ("no JSON", b"hello"), ("a list", b"[]"), ("a text", b'"x"'), ("null", b"null"), ("with more behind it", b"{}{}"), ("with depth", ('{"x":' + DEEP + "}").encode()),
        ("with twins", b'{"x":1,"x":1}'), ("not UTF-8", b'{"x":"\xff"}'), ("empty", ""))),
    payload_row("a number too large", b'{"identifiers":1e999}'), payload_row("with a zero octet", b'{"x":"\\u0000"}'),
    payload_row("twins by an escape", b'{"identifiers":[],"\\u0069dentifiers":[]}'), payload_row("half a surrogate", b'{"x":"\\ud800"}'),
]


TABLE = NONCES + URLS + FORMS + ENCODINGS + HEADERS + ALGORITHMS + KIDS + PAYLOADS
