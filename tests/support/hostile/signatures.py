"""
Signatures that are none, or another's, or made otherwise (RFC 7515 section 5.2, RFC
7518 section 3, RFC 8032 section 5.1.7), as Wycheproof has them.
"""
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from acme import b64, jws, new_key, sign, unb64
from hostile.keys import strangers_key
from hostile.world import MALFORMED, UNAUTHORIZED, Ask, Row, altered, dns, signed

N256 = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
N384 = 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973
ED_L = 2**252 + 27742317777372353535851937790883648493


def signature_row(name, change, kind="ES256", want=UNAUTHORIZED, rfc="7515 5.2"):
    """change: from the signature's bytes and the key, and what was signed."""
    def make(w):
        client = w.stranger(key=strangers_key(kind))
        made = jws(client.key, client.header("new-account"), {})
        data = f'{made["protected"]}.{made["payload"]}'.encode()
        return Ask(client, "new-account", json.dumps(made | {"signature": b64(change(unb64(made["signature"]), client.key, data))}))
    return Row(f"signature {name} ({kind})", rfc, want, make)


def pair(r, s, size=32):
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def parts(raw):
    half = len(raw) // 2
    return int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")


def ecdsa_rows(kind, n, size):
    def row(name, change, **more):
        return signature_row(name, change, kind, rfc="7518 3.4", **more)
    return [
        row("in DER", lambda s, k, d: encode_dss_signature(*parts(s))), row("of zeros", lambda s, k, d: bytes(2 * size)),
        row("with r 0", lambda s, k, d: pair(0, parts(s)[1], size)), row("with s 0", lambda s, k, d: pair(parts(s)[0], 0, size)),
        row("with r the order", lambda s, k, d: pair(n, parts(s)[1], size)), row("with s the order", lambda s, k, d: pair(parts(s)[0], n, size)),
        row("with r and s the order", lambda s, k, d: pair(n, n, size)), row("of ones", lambda s, k, d: b"\xff" * (2 * size)),
        row("with r and s 1", lambda s, k, d: pair(1, 1, size)), row("with r above the order", lambda s, k, d: pair(n + 1, parts(s)[1], size)),
        row("with s and the order", lambda s, k, d: pair(parts(s)[0], min(parts(s)[1] + n, 2**(8 * size) - 1), size)),
        row("turned about", lambda s, k, d: s[size:] + s[:size]), row("cut", lambda s, k, d: s[:-1]), row("longer", lambda s, k, d: s + b"\0"),
        row("with zeros before", lambda s, k, d: b"\0" + s[:size] + b"\0" + s[size:]), row("one bit off", lambda s, k, d: s[:-1] + bytes([s[-1] ^ 1])),
        row("of half its length", lambda s, k, d: s[:size]), row("of an octet", lambda s, k, d: b"\1"), row("with -r", lambda s, k, d: pair(n - parts(s)[0], parts(s)[1], size)),
        row("of another key", lambda s, k, d: sign(new_key(kind), d)), row("of other words", lambda s, k, d: sign(k, d + b"x")),
        row("without the header", lambda s, k, d: sign(k, d.split(b".")[1])), row("of the texts, not encoded", lambda s, k, d: sign(k, b".".join(unb64(p.decode()) for p in d.split(b".")))),
    ]


def of_rsa(pad, digest):
    return lambda s, k, d: k.sign(d, pad, digest)


TABLE = [
    *ecdsa_rows("ES256", N256, 32), *ecdsa_rows("ES384", N384, 48),
    signature_row("of PSS", of_rsa(padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()), "RS256", rfc="7518 3.3"),
    signature_row("of SHA-1", of_rsa(padding.PKCS1v15(), hashes.SHA1()), "RS256", rfc="7518 3.3"),
    signature_row("of SHA-512", of_rsa(padding.PKCS1v15(), hashes.SHA512()), "RS256", rfc="7518 3.3"),
    signature_row("and the modulus", lambda s, k, d: ((int.from_bytes(s, "big") + k.public_key().public_numbers().n) % 2**2048).to_bytes(256, "big"), "RS256", rfc="8017 8.2.2"),
    signature_row("of 0", lambda s, k, d: bytes(256), "RS256", rfc="8017 8.2.2"), signature_row("of 1", lambda s, k, d: bytes(255) + b"\1", "RS256", rfc="8017 8.2.2"),
    signature_row("cut", lambda s, k, d: s[:-1], "RS256", rfc="8017 8.2.2"), signature_row("longer", lambda s, k, d: b"\0" + s, "RS256", rfc="8017 8.2.2"),
    signature_row("of another key", lambda s, k, d: sign(new_key("RS256"), d), "RS256", rfc="7518 3.3"),
    signature_row("and the group's order", lambda s, k, d: s[:32] + (int.from_bytes(s[32:], "little") + ED_L).to_bytes(32, "little"), "EdDSA", rfc="8032 5.1.7"),
    signature_row("of zeros", lambda s, k, d: bytes(64), "EdDSA", rfc="8032 5.1.7"), signature_row("with R 1", lambda s, k, d: b"\1" + bytes(63), "EdDSA", rfc="8032 5.1.7"),
    signature_row("of ones", lambda s, k, d: b"\xff" * 64, "EdDSA", rfc="8032 5.1.7"), signature_row("cut", lambda s, k, d: s[:63], "EdDSA", rfc="8032 5.1.7"),
    signature_row("longer", lambda s, k, d: s + b"\0", "EdDSA", rfc="8032 5.1.7"), signature_row("of another key", lambda s, k, d: sign(new_key("EdDSA"), d), "EdDSA", rfc="8032 5.1.7"),
    signature_row("empty", lambda s, k, d: b"", want=MALFORMED), signature_row("longer than any", lambda s, k, d: bytes(2000), want=MALFORMED),
    Row("payload of another message", "7515 5.2", UNAUTHORIZED,
        lambda w: altered(w.bob, "new-order", dns(w.fresh()), lambda m: m | {"payload": b64(json.dumps(dns("evil.example.test")).encode())})),
    Row("header of another message", "7515 5.2", UNAUTHORIZED,
        lambda w: altered(w.bob, "new-order", dns(w.fresh()), lambda m: m | {"protected": b64(json.dumps(w.bob.header("new-order")).encode())})),
    Row("certificate's key with the account's kid", "8555 6.2", UNAUTHORIZED, lambda w: signed(w.bob, "new-order", dns(w.fresh()), key=w.others["key"])),
    Row("another account's key with one's kid", "8555 6.2", UNAUTHORIZED, lambda w: signed(w.bob, "new-order", dns(w.fresh()), key=w.alice.key)),
]
