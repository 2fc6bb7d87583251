"""
Smallstep's step-ca as far as an issuer needs it, on this host (sim_ca.py): its one-time tokens are judged as it judges them, by the public
key of a JWK provisioner.

    sim = StepCaSim(trust)
    sim.encrypted_key()       the provisioner's key, as `step crypto jwk create` writes it
    sim.root()                the root that the server's own certificate is of, PEM; sim.fingerprint() its SHA-256
"""
import base64
import hashlib
import json
import os
import re
import time

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from sim_ca import OrderSim, pem

PASSWORD, PROVISIONER, KID = "a provisioner's password", "certctl@example.test", "kid-of-certctl"
MOST_S = 100 * 86400
ALG = "PBES2-HS256+A128KW"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def error(status, message):
    return status, {"status": status, "message": message}


def encrypt(payload, password=PASSWORD, rounds=100000, enc="A256GCM"):
    """The parts of a JWE by RFC 7518 section 4.8."""
    salt, key, iv = os.urandom(16), os.urandom(32 if enc == "A256GCM" else 16), os.urandom(12)
    header = b64(json.dumps({"alg": ALG, "enc": enc, "cty": "jwk+json", "p2c": rounds, "p2s": b64(salt)}).encode())
    wrapping = PBKDF2HMAC(hashes.SHA256(), 16, ALG.encode() + b"\0" + salt, rounds).derive(password.encode())
    sealed = AESGCM(key).encrypt(iv, payload, header.encode())
    return {"protected": header, "encrypted_key": b64(aes_key_wrap(wrapping, key)), "iv": b64(iv), "ciphertext": b64(sealed[:-16]),
            "tag": b64(sealed[-16:])}


class StepCaSim(OrderSim):
    name, issued, statuses = "step-ca", "issued", ("issued",)

    def __init__(self, trust):
        self.key, self.trust, self.used, self.started = ec.generate_private_key(ec.SECP256R1()), trust, set(), int(time.time())
        super().__init__(trust)

    def reset(self):
        super().reset()
        self.used.clear()
        self.started = int(time.time())

    def root(self):
        return self.trust.ca.read_text()

    def fingerprint(self):
        return hashlib.sha256(x509.load_pem_x509_certificate(self.root().encode()).public_bytes(serialization.Encoding.DER)).hexdigest()

    def jwk(self):
        numbers = self.key.private_numbers()
        public = numbers.public_numbers
        return json.dumps({"kty": "EC", "crv": "P-256", "use": "sig", "kid": KID, "x": b64(public.x.to_bytes(32, "big")),
                           "y": b64(public.y.to_bytes(32, "big")), "d": b64(numbers.private_value.to_bytes(32, "big"))}).encode()

    def encrypted_key(self, **how):
        return json.dumps(encrypt(self.jwk(), **how), indent=2)

    def claims(self, token, path):
        """Of a token that lets in, else None."""
        try:
            header, payload, signature = token.split(".")
            head, claims, raw = json.loads(unb64(header)), json.loads(unb64(payload)), unb64(signature)
            self.key.public_key().verify(utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")),
                                         f"{header}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
        except (ValueError, InvalidSignature):
            return None
        now = time.time()
        if (head.get("alg"), head.get("kid"), claims.get("iss"), claims.get("aud")) != ("ES256", KID, PROVISIONER, self.url + path):
            return None
        if claims["iat"] < self.started:
            return None
        if not claims["nbf"] <= now + 60 or not now - 60 <= claims["exp"] <= now + 600 or not claims.get("jti") or claims["jti"] in self.used:
            return None
        if claims.get("sha", self.fingerprint()) != self.fingerprint():
            return None
        self.used.add(claims["jti"])
        return claims

    def handle(self, method, path, headers, body):
        return self.dispatch((
            ("GET", "/health", lambda body, query: (200, {"status": "ok"})), ("GET", "/root" "/([0-9a-f]{64})", self.show_root),
            ("POST", "/1.0/sign", self.sign), ("POST", "/1.0/revoke", self.revoke)), method, path, body) or error(404, "The requested resource could not be found.")

    def show_root(self, fingerprint, body, query):
        if fingerprint != self.fingerprint():
            return error(404, "The requested resource could not be found.")
        return 200, {"ca": self.root()}

    def sign(self, body, query):
        claims = self.claims(body.get("ott", ""), "/1.0/sign")
        if not claims:
            return error(401, "The request lacked necessary authorization to be completed.")
        csr = x509.load_pem_x509_csr(body["csr"].encode())
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if sorted(names.get_values_for_type(x509.DNSName)) != sorted(claims["sans"]):
            return error(403, "The request was forbidden by the certificate authority: the names are not those of the token")
        life = re.fullmatch(r"(\d+)s", body.get("notAfter", "86400s"))
        if not life:
            return error(400, "notAfter is no duration")
        if int(life[1]) > MOST_S:
            return error(403, f"The request was forbidden by the certificate authority: requested duration of {int(life[1]) // 3600}h1m0s is more than "
                              f"the authorized maximum certificate duration of {MOST_S // 3600}h1m0s.")
        order = self.take(len(self.orders) + 1, csr, int(life[1]) / 86400, sent=body, claims=claims)
        leaf, above, _ = self.chain(order)
        return 201, {"crt": pem(leaf), "ca": pem(above), "certChain": [pem(leaf), pem(above)], "tlsOptions": {}}

    def revoke(self, body, query):
        claims = self.claims(body.get("ott", ""), "/1.0/revoke")
        if not claims or claims["sub"] != body.get("serial"):
            return error(401, "The request lacked necessary authorization to be completed.")
        if body.get("passive") is not True:
            return error(501, "The requested method is not implemented by the certificate authority.")
        found = [o for n, o in self.orders.items() if self.known(n) and str(o["leaf"].serial_number) == body["serial"]]
        if found and "reason" in found[0]:
            return error(400, f"certificate with serial number '{body['serial']}' is already revoked")
        for order in found:
            order["reason"] = body["reasonCode"]
        return 200, {"status": "ok"}
