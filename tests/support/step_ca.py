"""
Smallstep's own step-ca as a process on this host, where it is installed: a root, an intermediate and a JWK provisioner, whose key is
encrypted as our simulator (sim_stepca.py) encrypts it.

    path()                    the program, or None
    ca = StepCa(fleet, home)  running; ca.url, ca.fingerprint, ca.key_text (of the provisioner), ca.revoked() by its own CRL
"""
import datetime
import hashlib
import json
import os
import shutil
import ssl
import time
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

from fleet import free_port, wait_for
from sim_stepca import KID, PASSWORD, PROVISIONER, b64, encrypt

INSTALL = "skipped: step-ca is not installed; installed by `go install github.com/smallstep/certificates/cmd/step-ca@v0.28.4` (a Go of 2025 or later)"


def path():
    return shutil.which("step-ca")


def authority(name, signer=None, length=1):
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.utcnow()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    cert = x509.CertificateBuilder().subject_name(subject).issuer_name(signer[0].subject if signer else subject).public_key(key.public_key()) \
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1)) \
        .not_valid_after(now + datetime.timedelta(days=30)).add_extension(x509.BasicConstraints(True, length), True) \
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True) \
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    if signer:
        cert = cert.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer[1].public_key()), False)
    return cert.sign(signer[1] if signer else key, hashes.SHA256()), key


class StepCa:
    def __init__(self, fleet, home):
        home.mkdir()
        root = authority("Test root")
        below, key = authority("Test intermediate", root, 0)
        self.home, self.port, self.root = home, free_port(), root[0]
        (home / "root.pem").write_bytes(root[0].public_bytes(serialization.Encoding.PEM))
        (home / "below.pem").write_bytes(below.public_bytes(serialization.Encoding.PEM))
        (home / "below.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                                           serialization.NoEncryption()))
        self.url = f"https://localhost:{self.port}"
        self.fingerprint = hashlib.sha256(root[0].public_bytes(serialization.Encoding.DER)).hexdigest()
        (home / "ca.json").write_text(json.dumps(self.config(ec.generate_private_key(ec.SECP256R1()))))
        self.process = fleet.spawn("step-ca", [path(), str(home / "ca.json")], {"HOME": str(home), "STEPPATH": str(home), "PATH": os.environ["PATH"]})
        wait_for(self.answers, 60, "step-ca to answer", every=0.2)

    def config(self, key):
        self.key = key
        numbers = key.private_numbers()
        public = {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KID, "x": b64(numbers.public_numbers.x.to_bytes(32, "big")),
                  "y": b64(numbers.public_numbers.y.to_bytes(32, "big"))}
        parts = encrypt(json.dumps(public | {"d": b64(numbers.private_value.to_bytes(32, "big"))}).encode(), PASSWORD)
        self.key_text = ".".join(parts[n] for n in ("protected", "encrypted_key", "iv", "ciphertext", "tag"))
        return {"root": str(self.home / "root.pem"), "crt": str(self.home / "below.pem"), "key": str(self.home / "below.key"),
                "address": f"127.0.0.1:{self.port}", "dnsNames": ["localhost"], "logger": {"format": "text"},
                "db": {"type": "badgerv2", "dataSource": str(self.home / "db")}, "crl": {"enabled": True, "generateOnRevoke": True},
                "authority": {"provisioners": [{"type": "JWK", "name": PROVISIONER, "key": public, "encryptedKey": self.key_text,
                                                "claims": {"maxTLSCertDuration": "2400h", "defaultTLSCertDuration": "24h"}}]}}

    def get(self, where):
        context = ssl.create_default_context(cafile=str(self.home / "root.pem"))
        with urllib.request.urlopen(self.url + where, context=context, timeout=20) as reply:
            return reply.read()

    def answers(self):
        try:
            return json.loads(self.get("/health"))["status"] == "ok"
        except OSError:
            return False

    def provisioner_key(self):
        """As an operator finds it: the member encryptedKey of /provisioners."""
        return json.loads(self.get("/provisioners"))["provisioners"][0]["encryptedKey"]

    def revoke(self, serial):
        """As its own command line does."""
        now = int(time.time())
        claims = {"iss": PROVISIONER, "aud": f"{self.url}/1.0/revoke", "sub": str(serial), "jti": b64(os.urandom(16)), "iat": now, "nbf": now, "exp": now + 300}
        text = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "ES256", "kid": KID, "typ": "JWT"}, claims))
        r, s = utils.decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        token = f"{text}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
        body = json.dumps({"serial": str(serial), "ott": token, "passive": True, "reasonCode": 1}).encode()
        context = ssl.create_default_context(cafile=str(self.home / "root.pem"))
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/1.0/revoke", body, {"Content-Type": "application/json"}), context=context,
                                    timeout=20) as reply:
            assert json.load(reply) == {"status": "ok"}

    def revoked(self):
        """Serial numbers of its revocation list, which names no reasons."""
        return {r.serial_number for r in x509.load_der_x509_crl(self.get("/1.0/crl"))}
