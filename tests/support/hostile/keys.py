"""
Keys that are none, or too weak, or no secret any more (RFC 8555 section 6.2, RFC 7517,
RFC 7518 section 6, RFC 8037): badPublicKey, before any signature is looked at.
"""
import json

from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acme import b64, jwk_of, jws, new_key, unb64
from hostile.world import BAD_ALG, BAD_KEY, MALFORMED, UNAUTHORIZED, Ask, Row, from_text

P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1
P25519 = 2**255 - 19
# RFC 7748 and 8032: every y of a point of small order.
SMALL = {"0": 0, "1": 1, "-1": P25519 - 1,
         "order 8": 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826,
         "order 8, the other": P25519 - 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826}
RSA = rsa.generate_private_key(65537, 2048)
SHORT = {bits: rsa.generate_private_key(65537, bits) for bits in (1024, 1536)}


def strangers_key(kind):
    """Of RSA always the same one, which nobody registers: one takes longer to make than its test."""
    return RSA if kind == "RS256" else new_key(kind)


def number(n, size=None):
    return b64(n.to_bytes(size or max(1, (n.bit_length() + 7) // 8), "big"))


def key_row(name, change, want=BAD_KEY, kind="ES256", rfc="8555 6.2", alg=None):
    """change: from the right JWK what is sent in its place; the signature is the right key's."""
    def make(w):
        client = w.stranger(key=strangers_key(kind))
        more = {"alg": alg} if alg else {}
        header = client.header("new-account", jwk=change(jwk_of(client.key)), **more)
        return Ask(client, "new-account", json.dumps(jws(client.key, header, {})))
    return Row(f"key {name} ({kind})", rfc, want, make)


def without(name):
    return lambda k: {n: v for n, v in k.items() if n != name}


def put(**members):
    return lambda k: k | members


def twin(w):
    """The key's x twice in the header."""
    client = w.stranger()
    header = json.dumps(client.header("new-account"))
    return from_text(client, "new-account", header.replace('"kty"', '"x": "AAAA", "kty"'))


def ed(y, sign=0):
    return b64((y | sign << 255).to_bytes(32, "little"))


def point(x, y):
    return put(x=number(x, 32), y=number(y, 32))


def rsa_key(n=None, e=None):
    numbers = RSA.public_key().public_numbers()
    return put(n=number(n or numbers.n), e=number(numbers.e if e is None else e))


def rsa_pair(key):
    numbers = key.public_key().public_numbers()
    return put(n=number(numbers.n), e=number(numbers.e))


N = RSA.public_key().public_numbers().n
MEMBERS = [
    *(key_row(f"with its {m}", put(**{m: b64(bytes(32))}), kind=kind, rfc="8555 6.2, 7518 6")
      for kind, m in (("ES256", "d"), ("EdDSA", "d"), ("RS256", "d"), ("RS256", "p"), ("RS256", "q"), ("RS256", "dp"), ("RS256", "dq"), ("RS256", "qi"),
                      ("RS256", "oth"), ("ES256", "k"))),
    key_row("with an empty private part", put(d="")), key_row("with a private part null", put(d=None)),
    key_row("of a secret", lambda k: {"kty": "oct", "k": b64(bytes(32))}, rfc="7518 6.4"),
    *(key_row(f"without {m}", without(m), rfc="7518 6.2.1") for m in ("kty", "crv", "x", "y")),
    *(key_row(f"without {m}", without(m), kind="RS256", rfc="7518 6.3.1") for m in ("n", "e")), key_row("without x", without("x"), kind="EdDSA", rfc="8037 2"),
    *(key_row(f"with {m} a number", put(**{m: 1})) for m in ("kty", "crv", "x", "y")), *(key_row(f"with {m} null", put(**{m: None})) for m in ("kty", "x", "y")),
    key_row("of an unknown type", put(kty="ec")), key_row("of an unknown curve", put(crv="p-256")), key_row("empty", lambda k: {}),
    key_row("for encryption", put(use="enc"), rfc="7517 4.2"), key_row("for signing alone", put(key_ops=["sign"]), rfc="7517 4.3"),
    key_row("for nothing", put(key_ops=[]), rfc="7517 4.3"), key_row("for verifying twice", put(key_ops=["verify", "verify"]), rfc="7517 4.3"),
    key_row("of another alg", put(alg="RS256"), rfc="7517 4.4"), Row("key with x twice", "7517 4", MALFORMED, twin),
]

CURVES = [
    key_row("P-521", lambda k: {"kty": "EC", "crv": "P-521", "x": number(1, 66), "y": number(1, 66)}, alg="ES512", want=BAD_ALG),
    key_row("P-521 as ES256", lambda k: {"kty": "EC", "crv": "P-521", "x": number(1, 66), "y": number(1, 66)}),
    key_row("secp256k1", put(crv="secp256k1"), rfc="8812 3.1"), key_row("P-384 as P-256", lambda k: jwk_of(new_key("ES384")) | {"crv": "P-256"}),
    key_row("P-256 as P-384", put(crv="P-384")), key_row("off the curve", lambda k: k | {"y": k["x"]}, rfc="7518 6.2.1"),
    key_row("one bit off the curve", lambda k: k | {"y": b64(unb64(k["y"])[:-1] + bytes([unb64(k["y"])[-1] ^ 1]))}),
    key_row("at infinity", point(0, 0), rfc="SEC 1 3.2.2"), key_row("with x 0", put(x=number(0, 32))), key_row("with y 0", put(y=number(0, 32))),
    key_row("with x the prime", put(x=number(P256, 32))), key_row("with x and the prime", point(5 + P256 if 5 + P256 < 2**256 else P256, 1)),
    key_row("of ones", point(2**256 - 1, 2**256 - 1)), key_row("with x of 31 octets", lambda k: k | {"x": b64(unb64(k["x"])[1:])}, rfc="7518 6.2.1.2"),
    key_row("with x of 33 octets", lambda k: k | {"x": b64(b"\0" + unb64(k["x"]))}, rfc="7518 6.2.1.2"),
    key_row("with y of 33 octets", lambda k: k | {"y": b64(b"\0" + unb64(k["y"]))}, rfc="7518 6.2.1.3"), key_row("with x empty", put(x="")),
    key_row("as a SEC 1 point", lambda k: k | {"x": b64(b"\4" + unb64(k["x"]))}), key_row("compressed", lambda k: k | {"x": b64(b"\2" + unb64(k["x"])), "y": ""}),
    key_row("with padding", lambda k: k | {"x": k["x"] + "="}, rfc="7515 2"), key_row("with bits left over", lambda k: k | {"x": k["x"][:-1] + "B"}, rfc="4648 3.5"),
    key_row("as numbers in text", put(x="12345678901234567890", y="1")),
    key_row("turned over", lambda k: k | {"y": number(P256 - int.from_bytes(unb64(k["y"]), "big"), 32)}, want=UNAUTHORIZED, rfc="7515 5.2"),
    key_row("off P-384", lambda k: k | {"y": k["x"]}, kind="ES384"), key_row("at infinity", put(x=number(0, 48), y=number(0, 48)), kind="ES384"),
]


def modulus(name, n=None, e=None, rfc="8555 6.2, 7518 6.3.1"):
    return key_row(name, rsa_key(n, e), kind="RS256", rfc=rfc)


RSA_KEYS = [
    *(key_row(f"of {bits} bits", rsa_pair(key), kind="RS256", rfc="7518 3.3") for bits, key in SHORT.items()),
    modulus("of 2047 bits", n=N % 2**2046 | 2**2046 | 1), modulus("of 16384 bits", n=2**16383 | 1), modulus("even", n=N - 1), modulus("1", n=1),
    modulus("with exponent 0", e=0), modulus("with exponent 1", e=1), modulus("with exponent 3", e=3), modulus("with exponent 65536", e=65536),
    modulus("with an even exponent", e=65538), modulus("with an exponent of 65 bits", e=2**64 | 1), modulus("with an exponent of its length", e=N - 2),
    key_row("with a zero before n", lambda k: k | {"n": b64(b"\0" + unb64(k["n"]))}, kind="RS256", rfc="7518 6.3.1.1"),
    key_row("with a zero before e", lambda k: k | {"e": b64(b"\0" + unb64(k["e"]))}, kind="RS256", rfc="7518 6.3.1.2"),
    key_row("with n empty", put(n=""), kind="RS256"), key_row("with e empty", put(e=""), kind="RS256"), key_row("with e a number", put(e=65537), kind="RS256"),
]

EDWARDS = [
    *(key_row(f"of small order, y {name}", put(x=ed(y)), kind="EdDSA", rfc="8032 8.4, 5.1.3") for name, y in SMALL.items()),
    *(key_row(f"of small order, y {name}, x odd", put(x=ed(y, 1)), kind="EdDSA", rfc="8032 5.1.3") for name, y in SMALL.items()),
    key_row("with y the prime", put(x=ed(P25519)), kind="EdDSA", rfc="8032 5.1.3"), key_row("with y past the prime", put(x=ed(P25519 + 3)), kind="EdDSA", rfc="8032 5.1.3"),
    key_row("of no point", put(x=ed(2)), kind="EdDSA", rfc="8032 5.1.7", want=UNAUTHORIZED),
    key_row("of 31 octets", lambda k: k | {"x": b64(unb64(k["x"])[:31])}, kind="EdDSA", rfc="8037 2"),
    key_row("of 33 octets", lambda k: k | {"x": b64(unb64(k["x"]) + b"\0")}, kind="EdDSA", rfc="8037 2"),
    key_row("of X25519", lambda k: {"kty": "OKP", "crv": "X25519", "x": b64(x25519.X25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))},
            kind="EdDSA", rfc="8037 3.2"),
    key_row("of Ed448", lambda k: {"kty": "OKP", "crv": "Ed448", "x": b64(ed448.Ed448PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))},
            kind="EdDSA"),
    key_row("an EC key's numbers", lambda k: jwk_of(ec.generate_private_key(ec.SECP256R1())) | {"kty": "OKP"}, kind="EdDSA"),
]

TABLE = MEMBERS + CURVES + RSA_KEYS + EDWARDS
