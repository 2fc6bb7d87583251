"""
Accounts that are not to be made, found, changed or given another key (RFC 8555 sections
7.3 to 7.3.6).
"""
from acme import alg_of, b64, jwk_of, jws, new_key, sign
from hostile.world import BAD_ALG, BAD_KEY, MALFORMED, UNAUTHORIZED, UNKNOWN_ACCOUNT, Row, flip, ident, signed

UNSUPPORTED = (400, "unsupportedContact")
INVALID = (400, "invalidContact")
TAKEN = (409, "unauthorized")


def new_row(name, payload, want=MALFORMED, rfc="8555 7.3"):
    return Row("new account " + name, rfc, want, lambda w: signed(w.stranger(), "new-account", payload))


def update_row(name, payload, want=MALFORMED, rfc="8555 7.3.2"):
    return Row("account's update " + name, rfc, want, lambda w: signed(w.bob, w.bob.kid, payload))


CONTACTS = [
    row(f"with contact {what}", {"contact": value}, want, "8555 7.3, 6068 2") for row in (new_row, update_row) for what, value, want in (
        ("a text", "mailto:a@example.test", MALFORMED), ("an object", {}, MALFORMED), ("a number", 1, MALFORMED), ("of numbers", [1], MALFORMED), ("of null", [None], MALFORMED),
        ("of lists", [["mailto:a@example.test"]], MALFORMED), ("of 11", [f"mailto:a{i}@example.test" for i in range(11)], INVALID),
        ("by telephone", ["tel:+12025551212"], UNSUPPORTED), ("of a page", ["https://example.test/"], UNSUPPORTED), ("without a scheme", ["a@example.test"], UNSUPPORTED),
        ("empty", [""], UNSUPPORTED), ("of a scheme alone", ["mailto:"], INVALID), ("of two addresses", ["mailto:a@example.test,b@example.test"], INVALID),
        ("with header fields", ["mailto:a@example.test?bcc=b@example.test"], INVALID), ("percent-encoded", ["mailto:a%0ab@example.test"], INVALID),
        ("with a line's end", ["mailto:a@example.test\r\nBcc: b@example.test"], INVALID), ("with a blank", ["mailto:a b@example.test"], INVALID), ("without a name", ["mailto:@example.test"], INVALID),
        ("without a host", ["mailto:a@"], INVALID), ("with two ats", ["mailto:a@b@example.test"], INVALID), ("of an address literal", ["mailto:a@[192.0.2.1]"], INVALID),
        ("in quotes", ['mailto:"a"@example.test'], INVALID), ("of a long name", ["mailto:" + "a" * 65 + "@example.test"], INVALID), ("of a long host", ["mailto:a@" + "a." * 130 + "test"], INVALID),
        ("with letters of no mailbox", ["mailto:é@example.test"], INVALID), ("with markup", ["mailto:<script>@example.test"], INVALID), ("good and bad", ["mailto:a@example.test", "x"], UNSUPPORTED))]

NEW = [
    *(new_row(f"with {m} {what}", {m: value}, MALFORMED, rfc) for m, rfc in (("termsOfServiceAgreed", "8555 7.3.3"), ("onlyReturnExisting", "8555 7.3.1"))
      for what, value in (("a text", "true"), ("a number", 1), ("a list", [True]), ("an object", {}))),
    new_row("that is to be found only", {"onlyReturnExisting": True}, UNKNOWN_ACCOUNT, "8555 7.3.1"),
    new_row("that is to be found only, with all else", {"onlyReturnExisting": True, "termsOfServiceAgreed": True, "contact": ["mailto:a@example.test"]}, UNKNOWN_ACCOUNT, "8555 7.3.1"),
    Row("account of another profile that is to be found only", "8555 7.3.1", UNKNOWN_ACCOUNT, lambda w: signed(w.stranger(key=w.abroad.key), "new-account", {"onlyReturnExisting": True})),
    *(Row(f"key of an account that was {what}, {how}", "8555 7.3.6", UNAUTHORIZED, lambda w, who=who, p=payload: signed(w.stranger(key=who(w).key), "new-account", p))
      for what, who in (("deactivated", lambda w: w.gone), ("revoked", lambda w: w.banned)) for how, payload in (("anew", {}), ("found", {"onlyReturnExisting": True}))),
]

UPDATE = [
    update_row("with status a number", {"status": 1}), update_row("with status a list", {"status": ["deactivated"]}), update_row("with status huge", {"status": "x" * 5000}),
    Row("end of an account that was deactivated", "8555 7.3.6", UNAUTHORIZED, lambda w: signed(w.gone, w.gone.kid, {"status": "deactivated"})),
    Row("beginning of an account that was deactivated", "8555 7.3.6", UNAUTHORIZED, lambda w: signed(w.gone, w.gone.kid, {"status": "valid"})),
    Row("beginning of an account that was revoked", "8555 7.3.6", UNAUTHORIZED, lambda w: signed(w.banned, w.banned.kid, {"status": "valid"})),
    Row("account under another's path", "8555 7.3.2", UNAUTHORIZED, lambda w: signed(w.bob, "account/" + ident(w.alice.kid), {"status": "deactivated"})),
]


# --- key change ---
def inner(w, client, new, header=None, payload=None, key=None):
    """What the new key has to sign; header and payload: members that are otherwise, or (None) not there."""
    head = {"alg": alg_of(new), "jwk": jwk_of(new), "url": client.url("key-change")} | (header or {})
    content = {"account": client.kid, "oldKey": jwk_of(client.key)} | (payload or {})
    return jws(key or new, {k: v for k, v in head.items() if v is not None}, {k: v for k, v in content.items() if v is not None})


def change_row(name, header=None, payload=None, want=MALFORMED, change=lambda m: m, kind="ES256", rfc="8555 7.3.5", key=None, new=None):
    def make(w):
        made = inner(w, w.bob, new(w) if new else new_key(kind), *(v(w) if callable(v) else v for v in (header, payload)), key and key(w))
        return signed(w.bob, "key-change", change(made))
    return Row("key change " + name, rfc, want, make)


def without(name):
    return lambda m: {k: v for k, v in m.items() if k != name}


CHANGES = [
    change_row("to the same key", want=TAKEN, new=lambda w: w.bob.key), change_row("to another account's key", want=TAKEN, new=lambda w: w.neighbour.key),
    change_row("to a deactivated account's key", want=TAKEN, new=lambda w: w.gone.key), change_row("to a revoked account's key", want=TAKEN, new=lambda w: w.banned.key),
    change_row("with an inner url of another resource", lambda w: {"url": w.bob.url("new-order")}), change_row("with an inner url of another host", {"url": "https://x.test/acme/key-change"}),
    change_row("without an inner url", {"url": None}), change_row("with an inner url that is a number", {"url": 1}),
    change_row("with an inner nonce", lambda w: {"nonce": w.nonce_expired()}), change_row("with an empty inner nonce", {"nonce": ""}),
    change_row("with an inner kid", lambda w: {"kid": w.bob.kid, "jwk": None}), change_row("with an inner kid beside jwk", lambda w: {"kid": w.bob.kid}),
    change_row("without an inner jwk", {"jwk": None}), change_row("with an inner crit", {"crit": ["url"]}), change_row("with an inner b64", {"b64": False}),
    *(change_row(f"with an inner alg {a!r}", {"alg": a}, want=BAD_ALG) for a in ("none", "HS256", "ES512", "PS256", "RS256", 1)), change_row("without an inner alg", {"alg": None}),
    change_row("for another account", payload=lambda w: {"account": w.alice.kid}), change_row("without the account", payload={"account": None}),
    change_row("with the account's id alone", payload=lambda w: {"account": ident(w.bob.kid)}), change_row("with the account a list", payload=lambda w: {"account": [w.bob.kid]}),
    change_row("with the account in capitals", payload=lambda w: {"account": w.bob.kid.upper()}),
    change_row("with the account under the short path", payload=lambda w: {"account": w.bob.kid.replace("/profile/p-acme", "")}),
    change_row("without the old key", payload={"oldKey": None}), change_row("with another old key", payload=lambda w: {"oldKey": jwk_of(new_key())}),
    change_row("with another account's old key", payload=lambda w: {"oldKey": jwk_of(w.alice.key)}), change_row("with an old key that is a text", payload={"oldKey": "x"}),
    change_row("with an old key that is a kid", payload=lambda w: {"oldKey": w.bob.kid}), change_row("with the old key's private part", payload=lambda w: {"oldKey": jwk_of(w.bob.key) | {"d": "AA"}}),
    change_row("signed by the old key inside", key=lambda w: w.bob.key, want=UNAUTHORIZED), change_row("signed by a third key inside", key=lambda w: new_key(), want=UNAUTHORIZED),
    change_row("with a spoilt inner signature", change=lambda m: m | {"signature": flip(m["signature"], 3)}, want=UNAUTHORIZED),
    change_row("with an inner signature of zeros", change=lambda m: m | {"signature": b64(bytes(64))}, want=UNAUTHORIZED),
    change_row("with an empty inner signature", change=lambda m: m | {"signature": ""}),
    change_row("with an inner payload of another message", change=lambda m: m | {"payload": b64(b"{}")}, want=UNAUTHORIZED),
    *(change_row(f"without the inner {n}", change=without(n)) for n in ("protected", "payload", "signature")),
    change_row("with an inner unprotected header", change=lambda m: m | {"header": {}}), change_row("with several inner signatures", change=lambda m: {"payload": m["payload"], "signatures": [m]}),
    change_row("with the private part of the new key", lambda w: {"jwk": jwk_of(w.bob.key) | {"d": "AA"}}, want=BAD_KEY),
    change_row("to a key off the curve", lambda w: {"jwk": jwk_of(w.bob.key) | {"y": jwk_of(w.bob.key)["x"]}}, want=BAD_KEY),
    change_row("to a secret", {"jwk": {"kty": "oct", "k": "AAAA"}, "alg": "HS256"}, want=BAD_ALG),
    change_row("to a key of another alg", {"alg": "ES384"}, want=BAD_ALG), change_row("to nothing", change=lambda m: {}),
    *(Row(f"key change whose inner payload is {what}", "8555 7.3.5", MALFORMED, lambda w, t=text: signed(w.bob, "key-change", of_payload(w, t)))
      for what, text in (("empty", b""), ("no JSON", b"x"), ("a list", b"[]"), ("null", b"null"), ("with twins", b'{"account":"x","account":"x"}'))),
]


def of_payload(w, payload):
    key = new_key()
    protected = jws(key, {"alg": "ES256", "jwk": jwk_of(key), "url": w.bob.url("key-change")}, {})["protected"]
    return {"protected": protected, "payload": b64(payload), "signature": b64(sign(key, f"{protected}.{b64(payload)}".encode()))}


TABLE = CONTACTS + NEW + UPDATE + CHANGES
