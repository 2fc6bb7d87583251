"""
What is another's: every resource of one account, asked for by another of the same
profile, by one of another profile, by the same key's account elsewhere, by one that was
deactivated or revoked, and by who has no account (RFC 8555 sections 6.2, 7.3.6, 10.5).
"""
from acme import b64, jwk_of, jws, new_key
from hostile.world import DER, MALFORMED, NOT_FOUND, UNAUTHORIZED, UNKNOWN_ACCOUNT, Row, certid, dns, ident, signed


def authz(w):
    return w.ready["authz"][0]


def challenge(w, order="ready"):
    return getattr(w, order)["authz"][0]["challenges"][0]


def change(w, client):
    """A key change of alice's account."""
    new = new_key()
    path = client.url("key-change")
    return jws(new, {"alg": "ES256", "jwk": jwk_of(new), "url": path}, {"account": w.alice.kid, "oldKey": jwk_of(w.alice.key)})


def leaf(w):
    return {"certificate": b64(w.issued["leaf"].public_bytes(DER))}


# name: (path of it behind the profile's, what is asked of it)
RESOURCES = {
    "account": (lambda w: f"account/{ident(w.alice.kid)}", lambda w, c: ""),
    "account's contact": (lambda w: f"account/{ident(w.alice.kid)}", lambda w, c: {"contact": ["mailto:evil@example.test"]}),
    "account's end": (lambda w: f"account/{ident(w.alice.kid)}", lambda w, c: {"status": "deactivated"}),
    "orders": (lambda w: f"account/{ident(w.alice.kid)}/orders", lambda w, c: ""),
    "order": (lambda w: f"order/{ident(w.ready['url'])}", lambda w, c: ""),
    "valid order": (lambda w: f"order/{ident(w.issued['url'])}", lambda w, c: ""),
    "finalize": (lambda w: f"order/{ident(w.ready['url'])}/finalize", lambda w, c: {"csr": w.ready_csr}),
    "finalize of a valid order": (lambda w: f"order/{ident(w.issued['url'])}/finalize", lambda w, c: {"csr": w.issued["csr"]}),
    "authorization": (lambda w: f"authz/{ident(authz(w)['url'])}", lambda w, c: ""),
    "authorization's end": (lambda w: f"authz/{ident(authz(w)['url'])}", lambda w, c: {"status": "deactivated"}),
    "challenge": (lambda w: f"challenge/{ident(challenge(w)['url'])}", lambda w, c: ""),
    "challenge's answer": (lambda w: f"challenge/{ident(challenge(w)['url'])}", lambda w, c: {}),
    "open challenge's answer": (lambda w: f"challenge/{ident(challenge(w, 'pending')['url'])}", lambda w, c: {}),
    "certificate": (lambda w: f"cert/{ident(w.issued['certificate'])}", lambda w, c: ""),
    "alternate chain": (lambda w: f"cert/{ident(w.issued['certificate'])}/1", lambda w, c: ""),
    "key change": (lambda w: "key-change", change),
    "revocation": (lambda w: "revoke-cert", lambda w, c: leaf(w)),
    "certificate to replace": (lambda w: "new-order", lambda w, c: dns("one.secret.example.test") | {"replaces": certid(w.issued["leaf"])}),
}
# What is none of the account's by what it says rather than by whose it is.
OTHERWISE = {"key change": MALFORMED, "certificate to replace": MALFORMED}


def intruder(name, want, who, rfc, otherwise=None, **header):
    def row(resource):
        path, payload = RESOURCES[resource]

        def make(w):
            client = who(w)
            return signed(client, path(w), payload(w, client), **{k: v(w) for k, v in header.items()})
        return Row(f"{resource}, by {name}", rfc, (otherwise or {}).get(resource, want), make)
    return [row(r) for r in RESOURCES]



TABLE = [
    *intruder("another account", UNAUTHORIZED, lambda w: w.bob, "8555 10.5, 7.6; 9773 5", OTHERWISE),
    *intruder("an account of another profile", UNAUTHORIZED, lambda w: w.abroad, "8555 10.5, 7.6; 9773 5",
              OTHERWISE | {"revocation": NOT_FOUND}),
    *intruder("the same key's account of another profile", UNAUTHORIZED, lambda w: w.namesake, "8555 10.5, 7.6; 9773 5",
              OTHERWISE | {"revocation": NOT_FOUND}),
    *intruder("an account of another profile, at this one's path", UNKNOWN_ACCOUNT, lambda w: w.stranger(key=w.abroad.key), "8555 6.2",
              kid=lambda w: w.abroad.kid, jwk=lambda w: None),
    *intruder("one that was deactivated", UNAUTHORIZED, lambda w: w.gone, "8555 7.3.6"),
    *intruder("one that was revoked", UNAUTHORIZED, lambda w: w.banned, "8555 7.1.6"),
    *intruder("who signs with a key of his own in alice's name", UNAUTHORIZED, lambda w: w.stranger(), "8555 6.2",
              kid=lambda w: w.alice.kid, jwk=lambda w: None),
    *intruder("a key without an account", MALFORMED, lambda w: w.stranger(), "8555 6.2", {"revocation": UNAUTHORIZED}),
]
