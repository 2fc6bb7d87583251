"""
A client of the ACME server (RFC 8555) for tests: it signs what it is told to,
right or wrong, and says what came back.

    client = Client(stack.api, "/acme/profile/p-acme")
    client.register(contact=["mailto:a@example.test"])
    status, headers, order = client.post("new-order", {"identifiers": [...]})
"""
import base64
import functools
import hashlib
import hmac
import http.client
import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

JOSE = "application/jose+json"
URN = "urn:ietf:params:acme:error:"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def new_key(alg="ES256"):
    if alg == "RS256":
        return rsa.generate_private_key(65537, 2048)
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP384R1() if alg == "ES384" else ec.SECP256R1())


def alg_of(key):
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "EdDSA"
    return "ES384" if key.curve.key_size == 384 else "ES256"


def jwk_of(key):
    """The public key, its members in the order of RFC 7638."""
    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        n = public.public_numbers()
        return {"e": b64(n.e.to_bytes(3, "big")), "kty": "RSA", "n": b64(n.n.to_bytes((n.n.bit_length() + 7) // 8, "big"))}
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"crv": "Ed25519", "kty": "OKP", "x": b64(raw)}
    n, size = public.public_numbers(), key.curve.key_size // 8
    return {"crv": f"P-{key.curve.key_size}", "kty": "EC", "x": b64(n.x.to_bytes(size, "big")), "y": b64(n.y.to_bytes(size, "big"))}


def thumbprint(key):
    return b64(hashlib.sha256(json.dumps(jwk_of(key), separators=(",", ":")).encode()).digest())


def sign(key, data):
    if isinstance(key, bytes):
        return hmac.digest(key, data, "sha256")
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    size = key.curve.key_size // 8
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA384() if size == 48 else hashes.SHA256())))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def jws(key, header, payload):
    """payload: what becomes JSON, "" for POST-as-GET, or bytes as they are."""
    if not isinstance(payload, bytes):
        payload = b"" if payload == "" else json.dumps(payload).encode()
    protected, payload = b64(json.dumps(header).encode()), b64(payload)
    return {"protected": protected, "payload": payload, "signature": b64(sign(key, f"{protected}.{payload}".encode()))}


def binding(key_id, mac_key, key, url):
    """externalAccountBinding (RFC 8555 section 7.3.4) of an account's key."""
    return jws(mac_key, {"alg": "HS256", "kid": key_id, "url": url}, jwk_of(key))


class Client:
    """One account key at one server; base is the path in front of its resources."""

    opened = []

    def __init__(self, api, base="/acme", key=None):
        self.api, self.base, self.key = api, base, key or new_key()
        self.host = f"127.0.0.1:{api.port}"
        self.kid, self.nonce, self.connection = None, None, None
        self.opened.append(self)

    @classmethod
    def close_all(cls):
        while cls.opened:
            cls.opened.pop().close()

    def url(self, path):
        return path if path.startswith("https://") else f"https://{self.host}{self.base}/{path}"

    def call(self, method, path, body=None, headers=None):
        """(status, headers, what the body says)."""
        target = self.url(path).removeprefix(f"https://{self.host}")
        for is_last in (False, True):
            if self.connection is None:
                self.connection = http.client.HTTPSConnection("127.0.0.1", self.api.port, context=self.api.context, timeout=60)
            try:
                self.connection.request(method, target, body, headers or {})
                response = self.connection.getresponse()
                data = response.read()
                break
            except (http.client.HTTPException, OSError):
                self.close()
                if is_last:
                    raise
        if response.headers.get("Connection", "").lower() == "close":
            self.close()
        if response.headers.get("Replay-Nonce"):
            self.nonce = response.headers["Replay-Nonce"]
        kind = response.headers.get_content_type() if response.headers.get("Content-Type") else ""
        return response.status, response.headers, json.loads(data) if data and kind.endswith("json") else data.decode()

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def take_nonce(self):
        if self.nonce is None:
            assert self.call("HEAD", "new-nonce")[0] == 200
        nonce, self.nonce = self.nonce, None
        return nonce

    def header(self, path, **change):
        """The protected header; a member given as None is left out."""
        who = {"kid": self.kid} if self.kid else {"jwk": jwk_of(self.key)}
        made = {"alg": alg_of(self.key), "url": self.url(path)} | who | change
        if "nonce" not in change:
            made["nonce"] = self.take_nonce()
        return {k: v for k, v in made.items() if v is not None}

    def send(self, path, message, content_type=JOSE):
        body = message if isinstance(message, (str, bytes)) else json.dumps(message)
        return self.call("POST", path, body, {"Content-Type": content_type})

    def post(self, path, payload="", key=None, **header):
        """One signed request; payload "" is POST-as-GET."""
        return self.send(path, jws(key or self.key, self.header(path, **header), payload))

    def register(self, path="new-account", **payload):
        """Makes the account, or finds it: the answer of new-account."""
        self.kid = None
        status, headers, account = self.post(path, {"termsOfServiceAgreed": True} | payload)
        if status in (200, 201):
            self.kid = headers["Location"]
        return status, headers, account


def problem(answer):
    """(status, error type without its URN) of an answer that is a problem document with all that belongs to it."""
    status, headers, body = answer
    assert headers.get_content_type() == "application/problem+json", (status, body)
    assert body["status"] == status and body["type"].startswith(URN) and body["detail"], body
    assert headers["Cache-Control"] == "no-store"
    return status, body["type"].removeprefix(URN)


@functools.lru_cache
def sealing_key(passphrase, salt):
    return AESGCM(PBKDF2HMAC(hashes.SHA256(), 32, salt, 600000).derive(passphrase.encode()))


def seal(passphrase, place, plain, salt=bytes(range(16))):
    """A secret as common/pki/key/seal.h has it in the database."""
    nonce = os.urandom(12)
    return b"\x03" + salt + nonce + sealing_key(passphrase, salt).encrypt(nonce, plain, place.encode())


def unseal(passphrase, place, blob):
    """What was sealed there; None: under another passphrase."""
    try:
        return sealing_key(passphrase, blob[1:17]).decrypt(blob[17:29], blob[29:], place.encode())
    except InvalidTag:
        return None


def serve(stack, profile="p-acme", **change):
    """A profile that serves ACME, straight in the database of a stack that has its basics."""
    stack.query("INSERT INTO certificate_profiles (id, name, issuer_id, acme_owner_id) VALUES (%s, %s, 'iss-local', 'o-test') "
                "ON CONFLICT DO NOTHING", profile, profile)
    for column, value in change.items():
        stack.query(f"UPDATE certificate_profiles SET {column} = %s WHERE id = %s", value, profile)
    return f"/acme/profile/{profile}"
