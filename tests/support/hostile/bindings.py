"""
External accounts that are not whose they say (RFC 8555 section 7.3.4): refused wherever a
binding is sent, and the key that it names is as good as before.
"""
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acme import alg_of, b64, binding, jwk_of, jws, new_key, thumbprint, unb64
from hostile.world import BAD_ALG, MALFORMED, UNAUTHORIZED, UNKNOWN_ACCOUNT, Row, flip, signed

KEYS = "/api/v1/acme/eab-keys"
RFC = "8555 7.3.4"
REQUIRED = (403, "externalAccountRequired")


def make(w, profile, **more):
    made = w.stack.api.need("POST", KEYS, {"profile_id": profile} | more)
    return made | {"mac": unb64(made["hmac_key"])}


def bound(client, key, mac=None, payload=None, **header):
    """The binding of that client by that key; header: members that are otherwise, or (None) not there."""
    head = {"alg": "HS256", "kid": key["id"], "url": client.url("new-account")} | header
    return jws(mac or key["mac"], {k: v for k, v in head.items() if v is not None}, jwk_of(client.key) if payload is None else payload)


def row(name, send, want=UNAUTHORIZED, key=lambda w, profile: make(w, profile), words="", profiles=("p-bound", "p-acme"), **payload):
    """send: from the client and the key, the binding."""
    def of(profile):
        def ask(w):
            k = key(w, profile)
            client = w.stranger(profile)
            return signed(client, "new-account", {"externalAccountBinding": send(client, k)} | payload)
        return ask
    return [Row(f"external account {name}, {'asked for' if profile == 'p-bound' else 'not asked for'}", RFC, want, of(profile), words)
            for profile in profiles]


# --- keys that admit nobody ---
def used(w, profile):
    key = make(w, profile)
    client = w.stranger(profile)
    assert client.register(externalAccountBinding=bound(client, key))[0] == 201
    return key


def revoked(w, profile):
    key = make(w, profile)
    w.stack.api.need("POST", f"{KEYS}/{key['id']}/revoke")
    return key


def expired(w, profile):
    key = make(w, profile, reusable=True)
    w.query("UPDATE acme_eab_keys SET expires_at = now() - interval '1 second' WHERE key_id = %s", key["id"])
    return key


def removed(w, profile):
    key = make(w, profile)
    assert w.stack.api.call("DELETE", f"{KEYS}/{key['id']}")[0] == 204
    return key


def foreign(w, _):
    return make(w, "p-other")


# --- what a binding says ---
def spki(client):
    return client.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def by(alg):
    """Signed by the account's own key, as if that were the external one."""
    return lambda c, k: jws(c.key, {"alg": alg or alg_of(c.key), "kid": k["id"], "url": c.url("new-account")}, jwk_of(c.key))


def twin(c, k):
    """Its kid twice: the first is of the key, the second of nobody."""
    made = bound(c, k)
    header = unb64(made["protected"]).decode().replace('"kid"', '"kid":"eab-none","kid"')
    protected = b64(header.encode())
    return made | {"protected": protected}


def headed(**header):
    return lambda c, k: bound(c, k, **header)


def without(name):
    return lambda c, k: {n: v for n, v in bound(c, k).items() if n != name}


TABLE = [
    *row("by a key that is used up", bound, key=used, words="has admitted an account"),
    *row("by a key that was revoked", bound, key=revoked, words="was revoked"),
    *row("by a key that has expired", bound, key=expired, words="has expired"),
    *row("by a key that was removed", bound, key=removed, words="no key of this kid"),
    *row("by another profile's key", bound, key=foreign, words="another profile"),
    *row("by a kid of nobody", headed(kid="eab-none"), words="no key of this kid"), *row("by a kid in capitals", lambda c, k: bound(c, k, kid=k["id"].upper())),
    *row("by an account's kid", lambda c, k: bound(c, k, kid=c.url("account/acct-1"))), *row("by a kid of SQL", headed(kid="' OR true --")),
    *row("by an empty kid", headed(kid="")),
    *row("by a kid of 1,024 characters", headed(kid="e" * 1024)), *row("by a kid of 1,025 characters", headed(kid="e" * 1025), MALFORMED),
    *row("by a kid that is a number", headed(kid=1), MALFORMED), *row("by a kid that is a list", lambda c, k: bound(c, k, kid=[k["id"]]), MALFORMED),
    *row("without a kid", headed(kid=None), MALFORMED), *row("with a jwk", lambda c, k: bound(c, k, jwk=jwk_of(c.key)), MALFORMED),
    *row("with a jwk for a kid", lambda c, k: bound(c, k, kid=None, jwk=jwk_of(c.key)), MALFORMED), *row("with its kid twice", twin, MALFORMED),
    *row("with a nonce", lambda c, k: bound(c, k, nonce="AAAA"), MALFORMED, words="nonce"), *row("with an empty nonce", headed(nonce=""), MALFORMED),
    *row("with crit", headed(crit=["url"]), MALFORMED), *row("with b64", headed(b64=False), MALFORMED),
    *row("without a url", headed(url=None), MALFORMED), *row("with a url that is a list", lambda c, k: bound(c, k, url=[c.url("new-account")]), MALFORMED),
    *row("with another resource's url", lambda c, k: bound(c, k, url=c.url("new-order")), MALFORMED, words="url"),
    *row("with the url of the short path", lambda c, k: bound(c, k, url=f"https://{c.host}/acme/new-account"), MALFORMED, words="url"),
    *row("with another host's url", headed(url="https://acme.example.test/acme/profile/p-acme/new-account"), MALFORMED, words="url"),
    *(r for a in ("none", "None", "hs256", "HS1", "", "ES256", "RS256", "EdDSA") for r in row(f"with alg {a!r}", headed(alg=a), BAD_ALG, words="HS256" if a else "")),
    *row("with alg a number", headed(alg=256), BAD_ALG), *row("without alg", headed(alg=None), MALFORMED),
    *row("signed by the account's key", by(None), BAD_ALG), *row("signed by the account's key as HS256", by("HS256")),
    *row("by HMAC of the public key", lambda c, k: bound(c, k, mac=spki(c))), *row("by HMAC of the thumbprint", lambda c, k: bound(c, k, mac=thumbprint(c.key).encode())),
    *row("by HMAC of the kid", lambda c, k: bound(c, k, mac=k["id"].encode())), *row("by HMAC of zeros", lambda c, k: bound(c, k, mac=bytes(64))),
    *row("by HMAC of the key's text", lambda c, k: bound(c, k, mac=k["hmac_key"].encode())), *row("by HMAC of half the key", lambda c, k: bound(c, k, mac=k["mac"][:32])),
    *row("by another key's HMAC", lambda c, k: bound(c, k, mac=b"x" * 64)), *row("by the HMAC of another alg", headed(alg="HS512")),
    *row("with a spoilt MAC", lambda c, k: (lambda m: m | {"signature": flip(m["signature"], 31)})(bound(c, k))),
    *row("with half a MAC", lambda c, k: (lambda m: m | {"signature": b64(unb64(m["signature"])[:16])})(bound(c, k))),
    *row("with a MAC of zeros", lambda c, k: bound(c, k) | {"signature": b64(bytes(32))}), *row("with an empty MAC", lambda c, k: bound(c, k) | {"signature": ""}, MALFORMED),
    *row("of another key", lambda c, k: binding(k["id"], k["mac"], new_key(), c.url("new-account")), MALFORMED, words="the key that signs"),
    *row("of the key's private part", lambda c, k: bound(c, k, payload=jwk_of(c.key) | {"d": "AA"}), MALFORMED),
    *row("of a secret", lambda c, k: bound(c, k, payload={"kty": "oct", "k": "AAAA"}), MALFORMED), *row("of no key", lambda c, k: bound(c, k, payload={}), MALFORMED),
    *row("of nothing", lambda c, k: bound(c, k, payload=""), MALFORMED), *row("of no JSON", lambda c, k: bound(c, k, payload=b"x"), MALFORMED),
    *row("with an unprotected header", lambda c, k: bound(c, k) | {"header": {"kid": k["id"]}}, MALFORMED),
    *row("with several signatures", lambda c, k: {"payload": "", "signatures": [bound(c, k)]}, MALFORMED),
    *(r for n in ("protected", "payload", "signature") for r in row(f"without {n}", without(n), MALFORMED)),
    *(r for what, sent in (("null", None), ("a text", "x"), ("a list", []), ("an empty object", {}), ("true", True)) for r in row(f"that is {what}", lambda c, k, s=sent: s, MALFORMED)),
    *row("for an account to be found only", bound, UNKNOWN_ACCOUNT, onlyReturnExisting=True),
    *row("with contacts that are wrong", bound, (400, "unsupportedContact"), contact=["tel:+12025551212"]),
    Row("external account missing", RFC, REQUIRED, lambda w: signed(w.stranger("p-bound"), "new-account", {})),
    Row("external account missing, with all else", RFC, REQUIRED,
        lambda w: signed(w.stranger("p-bound"), "new-account", {"termsOfServiceAgreed": True, "contact": ["mailto:a@example.test"]})),
    Row("external account of the request of another account", RFC, MALFORMED, lambda w: signed(
        w.stranger("p-bound"), "new-account", {"externalAccountBinding": bound(w.stranger("p-bound"), make(w, "p-bound"))}), "the key that signs"),
]
