"""
Signed messages as ACME clients make them (RFC 7515, RFC 8555 section 6.2), by
cryptography: right ones, and whatever a test puts into them.
"""
import base64
import hashlib
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MAKERS = {"ES256": lambda: ec.generate_private_key(ec.SECP256R1()), "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
          "RS256": lambda: rsa.generate_private_key(65537, 2048), "EdDSA": ed25519.Ed25519PrivateKey.generate}
HASHES = {256: hashes.SHA256, 384: hashes.SHA384, 521: hashes.SHA512}


def b64(data):
    """base64url without padding, of bytes, text or what becomes JSON."""
    if not isinstance(data, bytes):
        data = (data if isinstance(data, str) else json.dumps(data)).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


def jwk(key):
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        n = public.public_numbers()
        return {"kty": "RSA", "n": number(n.n), "e": number(n.e)}
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}
    n, size = public.public_numbers(), (public.key_size + 7) // 8
    return {"kty": "EC", "crv": f"P-{public.key_size}", "x": number(n.x, size), "y": number(n.y, size)}


def thumbprint(key):
    """RFC 7638."""
    return b64(hashlib.sha256(json.dumps(jwk(key), sort_keys=True, separators=(",", ":")).encode()).digest())


def alg(key):
    kty = jwk(key)
    return {"RSA": "RS256", "OKP": "EdDSA"}.get(kty["kty"]) or {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[kty["crv"]]


def signature(key, message):
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    size = (key.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(HASHES[key.key_size]())))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def jws(key, header, payload):
    """Flattened; header and payload are what becomes JSON, or text as it is; payload "" is POST-as-GET."""
    protected, payload = b64(header), b64(payload)
    return {"protected": protected, "payload": payload, "signature": b64(signature(key, f"{protected}.{payload}".encode()))}
