"""
Certificate signing requests (RFC 2986) octet by octet, for what no library would make.
"""
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ECDSA_SHA256, ECDSA_SHA1 = "1.2.840.10045.4.3.2", "1.2.840.10045.4.1"
RSA_MD5, RSA_SHA1, RSA_SHA256 = (f"1.2.840.113549.1.1.{n}" for n in (4, 5, 11))
ED25519 = "1.3.101.112"
EXTENSION_REQUEST, CHALLENGE_PASSWORD = "1.2.840.113549.1.9.14", "1.2.840.113549.1.9.7"
SAN, BASIC_CONSTRAINTS, KEY_USAGE, EKU = "2.5.29.17", "2.5.29.19", "2.5.29.15", "2.5.29.37"
COMMON_NAME = "2.5.4.3"
NULL = b"\x05\x00"


def tlv(tag, *content):
    content = b"".join(content)
    size = len(content)
    length = bytes([size]) if size < 128 else (lambda n: bytes([0x80 | len(n)]) + n)(size.to_bytes((size.bit_length() + 7) // 8, "big"))
    return bytes([tag]) + length + content


def seq(*content):
    return tlv(0x30, *content)


def oid(text):
    first, second, *rest = (int(n) for n in text.split("."))
    out = bytes([first * 40 + second])
    for n in rest:
        part = [n & 0x7f]
        while n := n >> 7:
            part.insert(0, n & 0x7f | 0x80)
        out += bytes(part)
    return tlv(6, out)


def name(*common_names, tag=0x0c):
    return seq(*(tlv(0x31, seq(oid(COMMON_NAME), tlv(tag, cn if isinstance(cn, bytes) else cn.encode()))) for cn in common_names))


def extension(kind, value, critical=None):
    return seq(oid(kind), *([tlv(1, b"\xff" if critical else b"\0")] if critical is not None else []), tlv(4, value))


def san(*names, **more):
    """names: text for dns, or (context tag, bytes)."""
    return extension(SAN, seq(*(tlv(0x82, n.encode()) if isinstance(n, str) else tlv(0x80 | n[0], n[1]) for n in names)), **more)


def attribute(kind, *values):
    return seq(oid(kind), tlv(0x31, *values))


def request(*extensions):
    return attribute(EXTENSION_REQUEST, seq(*extensions))


def spki(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signature(key, data, digest):
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), digest)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    return key.sign(data, ec.ECDSA(digest))


def make(*attributes, key=None, subject=None, version=b"\0", public=None, algorithm=None, digest=None, signer=None, tail=b""):
    """DER: what is not said is as it should be.  algorithm: its octets, or its OID."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    usual = RSA_SHA256 if isinstance(key, rsa.RSAPrivateKey) else ED25519 if isinstance(key, ed25519.Ed25519PrivateKey) else ECDSA_SHA256
    algorithm = algorithm or usual
    if isinstance(algorithm, str):
        algorithm = seq(oid(algorithm), NULL if algorithm.startswith("1.2.840.113549") else b"")
    info = seq(tlv(2, version), subject or seq(), public or spki(key), tlv(0xa0, *attributes), tail)
    return seq(info, algorithm, tlv(3, b"\0" + signature(signer or key, info, digest or hashes.SHA256())))
