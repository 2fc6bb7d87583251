#!/usr/bin/python3
"""
acme_alpn_cert.py DIRECTORY NAME DIGEST: leaves there the certificate and key that
answer tls-alpn-01 for a name (RFC 8737); DIGEST is base64url of the key
authorization's SHA-256.
"""
import base64
import datetime
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")


def make(directory, name, digest):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "acme")])
    now = datetime.datetime.utcnow()
    made = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.UnrecognizedExtension(ACME_IDENTIFIER, b"\x04\x20" + digest), critical=True)
            .sign(key, hashes.SHA256()))
    Path(directory, f"{name}.key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    Path(directory, f"{name}.crt.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2], base64.urlsafe_b64decode(sys.argv[3] + "="))
