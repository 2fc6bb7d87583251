"""
Certificate signing requests that do not fit their order, or are none (RFC 8555 section
7.4, RFC 2986): badCSR.
"""
import datetime
import functools
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from acme import b64, new_key
from hostile import pkcs10 as p
from hostile.keys import N, RSA, SHORT
from hostile.world import BAD_CSR, MALFORMED, Row, csr, signed

RSA_ACCOUNT = functools.cache(functools.partial(rsa.generate_private_key, 65537, 2048))
WORDS = {"basicConstraints": p.BASIC_CONSTRAINTS, "keyUsage": p.KEY_USAGE, "extendedKeyUsage": p.EKU}


def csr_row(name, made, want=BAD_CSR, rfc="8555 7.4", names=None, who=None, words=""):
    """made: from the order's first name, and the client, what is sent as csr."""
    def make(w):
        client = who(w) if who else w.bob
        ordered = names(w) if names else [w.fresh("csr")]
        order = w.order(client, *ordered)
        sent = made(ordered[0], client)
        return signed(client, order["finalize"], {"csr": b64(sent) if isinstance(sent, bytes) else sent})
    return Row("csr " + name, rfc, want, make, words)


def ip_order(name, made):
    def make(w):
        order = w.bob.post("new-order", {"identifiers": [{"type": "ip", "value": "192.0.2.7"}]})[2]
        return signed(w.bob, order["finalize"], {"csr": made()})
    return Row("csr " + name, "8738 3", BAD_CSR, make)


NAMES = [
    csr_row("with a name more", lambda n, c: csr(n, "more.example.test")), csr_row("with another name", lambda n, c: csr("other.example.test")),
    csr_row("with a name less", lambda n, c: csr(n), names=lambda w: [w.fresh(), w.fresh()]),
    csr_row("with a common name beside the others", lambda n, c: csr(n, cn="more.example.test")),
    csr_row("with a common name of no host", lambda n, c: csr(n, cn="A Person")),
    csr_row("for the wildcard of its name", lambda n, c: csr("*." + n)), csr_row("for the name of its wildcard", lambda n, c: csr(n[2:]), names=lambda w: ["*." + w.fresh()]),
    csr_row("for a name below its wildcard", lambda n, c: csr(n.replace("*", "www")), names=lambda w: ["*." + w.fresh()]),
    csr_row("for the name above", lambda n, c: csr(n.split(".", 1)[1])), csr_row("for a name below", lambda n, c: csr("www." + n)),
    csr_row("with a dot at the end", lambda n, c: csr(n + ".")), csr_row("with a blank", lambda n, c: p.make(p.request(p.san(n + " ")))),
    csr_row("with a zero octet in its name", lambda n, c: p.make(p.request(p.san(n + "\0.evil.example.test")))),
    csr_row("with a line's end in its name", lambda n, c: p.make(p.request(p.san(n + "\n")))),
    csr_row("with an address beside", lambda n, c: p.make(p.request(p.san(n, (7, bytes([192, 0, 2, 1])))))),
    csr_row("with an e-mail address beside", lambda n, c: p.make(p.request(p.san(n, (1, b"a@example.test"))))),
    csr_row("with an URI beside", lambda n, c: p.make(p.request(p.san(n, (6, b"https://example.test/"))))),
    csr_row("with an other name beside", lambda n, c: p.make(p.request(p.san(n, (0x20, p.oid("1.3.6.1.4.1.311.20.2.3") + p.tlv(0xa0, p.tlv(0x0c, b"x"))))))),
    csr_row("with a directory name beside", lambda n, c: p.make(p.request(p.san(n, (0x24, p.name("x")))))),
    csr_row("with a registered id beside", lambda n, c: p.make(p.request(p.san(n, (8, b"\x2a\x03"))))),
    csr_row("without any name", lambda n, c: csr()), csr_row("with an empty alternative name", lambda n, c: p.make(p.request(p.san("")))),
    csr_row("with no alternative name in their list", lambda n, c: p.make(p.request(p.extension(p.SAN, p.seq())))),
    csr_row("with its name as an e-mail address", lambda n, c: p.make(p.request(p.san((1, n.encode()))))),
    csr_row("with its name as an URI", lambda n, c: p.make(p.request(p.san((6, n.encode()))))),
    csr_row("with a name that is not ASCII", lambda n, c: p.make(p.request(p.san((2, b"\xc3\xa9.example.test"))))),
    csr_row("with two common names", lambda n, c: p.make(p.request(p.san(n)), subject=p.name(n, n))),
    csr_row("with 102 names", lambda n, c: csr(n, *(f"n{i}.example.test" for i in range(101)))),
    ip_order("for an address as a name", lambda: b64(p.make(p.request(p.san("192.0.2.7"))))),
    ip_order("for another address", lambda: csr(x509.IPAddress(ipaddress.ip_address("192.0.2.8")))),
    ip_order("for the address in IPv6", lambda: b64(p.make(p.request(p.san((7, bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7]))))))),
    ip_order("for an address of 5 octets", lambda: b64(p.make(p.request(p.san((7, bytes([192, 0, 2, 7, 0]))))))),
    ip_order("for the address with its mask", lambda: b64(p.make(p.request(p.san((7, bytes([192, 0, 2, 7, 255, 255, 255, 255]))))))),
]

FORM = [
    csr_row("absent", lambda n, c: None), csr_row("empty", lambda n, c: "", words="DER form"), csr_row("a number", lambda n, c: 1), csr_row("an object", lambda n, c: {}),
    csr_row("in PEM", lambda n, c: "-----BEGIN CERTIFICATE REQUEST-----\n" + csr(n) + "\n-----END CERTIFICATE REQUEST-----\n"),
    csr_row("with padding", lambda n, c: csr(n) + "="), csr_row("in base64, not base64url", lambda n, c: "+/" + csr(n)[2:]),
    csr_row("with a line's end", lambda n, c: csr(n) + "\n"), csr_row("of zeros", lambda n, c: bytes(64)), csr_row("cut", lambda n, c: p.make(p.request(p.san(n)))[:-4]),
    csr_row("with octets behind it", lambda n, c: p.make(p.request(p.san(n))) + b"\0"), csr_row("twice", lambda n, c: p.make(p.request(p.san(n))) * 2),
    csr_row("with something behind its attributes", lambda n, c: p.make(p.request(p.san(n)), tail=p.NULL)),
    csr_row("of indefinite length", lambda n, c: b"\x30\x80" + p.make(p.request(p.san(n)))[4:] + b"\0\0"),
    csr_row("huge", lambda n, c: "A" * 45000), csr_row("of version 2", lambda n, c: p.make(p.request(p.san(n)), version=b"\1")),
    csr_row("that is a certificate", lambda n, c: certificate_of(n)),
    csr_row("that is a public key", lambda n, c: p.spki(new_key())),
    csr_row("with two extension requests", lambda n, c: p.make(p.request(p.san(n)), p.request(p.san("evil.example.test"))), rfc="2986 4.1"),
    csr_row("with two sets of extensions in one", lambda n, c: p.make(p.attribute(p.EXTENSION_REQUEST, p.seq(p.san(n)), p.seq(p.san("evil.example.test")))), rfc="2985 5.4.2"),
    csr_row("with two lists of names", lambda n, c: p.make(p.request(p.san(n), p.san("evil.example.test"))), rfc="5280 4.2"),
    csr_row("with its list of names twice", lambda n, c: p.make(p.request(p.san(n), p.san(n))), rfc="5280 4.2"),
    *(csr_row(f"with {what} twice", lambda n, c, o=o: p.make(p.request(p.san(n), p.extension(o, v := value_of(o)), p.extension(o, v))), rfc="5280 4.2")
      for what, o in WORDS.items()),
    csr_row("with a broken list of names", lambda n, c: p.make(p.request(p.extension(p.SAN, b"\x30\x05abc")))),
]


def value_of(kind):
    return {p.BASIC_CONSTRAINTS: p.seq(), p.KEY_USAGE: p.tlv(3, b"\x07\x80"), p.EKU: p.seq(p.oid("1.3.6.1.5.5.7.3.1"))}[kind]


def certificate_of(n):
    key, now = new_key(), datetime.datetime(2026, 1, 1)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)])
    return x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + datetime.timedelta(days=1)).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def with_extension(kind, value, critical=True):
    return lambda n, c: p.make(p.request(p.san(n), p.extension(kind, value, critical)))


USAGE = [
    csr_row("of a CA", with_extension(p.BASIC_CONSTRAINTS, p.seq(p.tlv(1, b"\xff"))), words="CA"),
    csr_row("of a CA with a path length", with_extension(p.BASIC_CONSTRAINTS, p.seq(p.tlv(1, b"\xff"), p.tlv(2, b"\0"))), words="CA"),
    csr_row("with a key that signs certificates", with_extension(p.KEY_USAGE, p.tlv(3, b"\x02\x04")), words="keyCertSign"),
    csr_row("with a key that signs revocation lists", with_extension(p.KEY_USAGE, p.tlv(3, b"\x01\x02")), words="cRLSign"),
    csr_row("with basicConstraints of no meaning", with_extension(p.BASIC_CONSTRAINTS, b"\x30\x05abc")),
    csr_row("with keyUsage of no meaning", with_extension(p.KEY_USAGE, b"\x03\x00")),
]


def compressed(key):
    """The key's point in its short form."""
    whole = p.spki(key)
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return p.seq(whole[2:2 + 21], p.tlv(3, b"\0" + point))


def without_null(key):
    """rsaEncryption without its parameters (RFC 4055 wants them)."""
    bits = key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return p.seq(p.seq(p.oid("1.2.840.113549.1.1.1")), p.tlv(3, b"\0" + bits))


def dsa_request(n, c):
    key = dsa.generate_private_key(1024)
    info = p.make(p.request(p.san(n)), public=key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return info


def rsa_public(n, e=65537):
    def number(v):
        return p.tlv(2, v.to_bytes(v.bit_length() // 8 + 1, "big"))
    return p.seq(p.seq(p.oid("1.2.840.113549.1.1.1"), p.NULL), p.tlv(3, b"\0" + p.seq(number(n), number(e))))


def of_account(make):
    return lambda n, c: make(n, c.key)


def rsa_account(w):
    client = w.stranger(key=RSA_ACCOUNT())
    assert client.register()[0] in (200, 201)
    return client


KEYS = [
    csr_row("by another key than its own", lambda n, c: p.make(p.request(p.san(n)), signer=new_key()), words="signature"),
    csr_row("whose signature is spoilt", lambda n, c: p.make(p.request(p.san(n)))[:-1] + b"\0", words="signature"),
    csr_row("signed with SHA-1", lambda n, c: p.make(p.request(p.san(n)), algorithm=p.ECDSA_SHA1, digest=hashes.SHA1()), words="SHA-256"),
    csr_row("of RSA signed with SHA-1", lambda n, c: p.make(p.request(p.san(n)), key=RSA, algorithm=p.RSA_SHA1, digest=hashes.SHA1()), words="SHA-256"),
    csr_row("of RSA signed with MD5", lambda n, c: p.make(p.request(p.san(n)), key=RSA, algorithm=p.RSA_MD5, digest=hashes.MD5()), words="SHA-256"),
    csr_row("signed by another's algorithm", lambda n, c: p.make(p.request(p.san(n)), algorithm=p.RSA_SHA256)),
    csr_row("whose algorithm is unknown", lambda n, c: p.make(p.request(p.san(n)), algorithm="1.2.3.4")),
    csr_row("with RSA of 1024 bits", lambda n, c: p.make(p.request(p.san(n)), key=SHORT[1024]), words="2048"),
    csr_row("with RSA of 16384 bits", lambda n, c: p.make(p.request(p.san(n)), public=rsa_public(2**16383 | 1)), words="8192"),
    csr_row("with an even modulus", lambda n, c: p.make(p.request(p.san(n)), key=RSA, public=rsa_public(N - 1))),
    csr_row("with exponent 1", lambda n, c: p.make(p.request(p.san(n)), key=RSA, public=rsa_public(N, 1))),
    csr_row("with an even exponent", lambda n, c: p.make(p.request(p.san(n)), key=RSA, public=rsa_public(N, 4))),
    csr_row("with P-224", lambda n, c: p.make(p.request(p.san(n)), key=ec.generate_private_key(ec.SECP224R1()))),
    csr_row("with secp256k1", lambda n, c: p.make(p.request(p.san(n)), key=ec.generate_private_key(ec.SECP256K1()))),
    csr_row("with DSA", dsa_request), csr_row("with a compressed point", lambda n, c: p.make(p.request(p.san(n)), key=(k := new_key()), public=compressed(k))),
    csr_row("with a point off the curve", lambda n, c: p.make(p.request(p.san(n)), public=p.spki(new_key())[:-1] + b"\0")),
    csr_row("with Ed25519, which the profile has not", lambda n, c: p.make(p.request(p.san(n)), key=ed25519.Ed25519PrivateKey.generate()), words="Ed25519"),
    csr_row("with the account's key", of_account(lambda n, k: csr(n, key=k)), rfc="8555 11.1", words="account's key"),
    csr_row("with the account's RSA key", of_account(lambda n, k: csr(n, key=k)), rfc="8555 11.1", who=rsa_account, words="account's key"),
    csr_row("with the account's RSA key without its parameters", of_account(lambda n, k: p.make(p.request(p.san(n)), key=k, public=without_null(k))),
            rfc="8555 11.1", who=rsa_account, words="account's key"),
]


def payload_row(name, payload):
    def make(w):
        order = w.order(w.bob, w.fresh())
        return signed(w.bob, order["finalize"], payload)
    return Row(f"finalize with {name}", "8555 7.4", MALFORMED if payload == "" else BAD_CSR, make)


PAYLOADS = [payload_row("nothing", ""), payload_row("an empty object", {}), payload_row("csr in capitals' place", {"request": "AAAA"})]
TABLE = NAMES + FORM + USAGE + KEYS + PAYLOADS
