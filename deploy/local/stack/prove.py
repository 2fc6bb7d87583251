"""The proof: a TLS handshake with the server, and what it showed."""
import socket
import ssl
import subprocess

NAME = "demo.certctl.test"


def _pems(bundle):
    end = "-----END CERTIFICATE-----"
    return [part.strip() + "\n" + end + "\n" for part in bundle.split(end) if "BEGIN CERTIFICATE" in part]


def served(port, chain_pem, name=NAME):
    """
    What the port serves, checked against the chain's own CA: serial, issuer.
    The handshake itself proves that the server holds the certificate's key.
    None while it serves something else.
    """
    pems = _pems(chain_pem)
    if len(pems) < 2:
        return None
    context = ssl.create_default_context()
    context.load_verify_locations(cadata="".join(pems[1:]))
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            with context.wrap_socket(raw, server_hostname=name) as tls:
                certificate = tls.getpeercert()
                der = tls.getpeercert(binary_form=True)
    except (OSError, ssl.SSLError):
        return None
    if ssl.DER_cert_to_PEM_cert(der).split() != pems[0].split():
        return None
    issuer = dict(pair for rdn in certificate["issuer"] for pair in rdn)
    return {"serial": certificate["serialNumber"].lower(), "issuer": issuer.get("commonName", "?"),
            "not_after": certificate["notAfter"]}


def key_matches(certificate_pem, key_file, as_user=()):
    """Whether a key file belongs to a certificate, by their public halves; as_user: how to become who may read it."""
    a = subprocess.run(["openssl", "x509", "-noout", "-pubkey"], input=certificate_pem, capture_output=True, text=True, check=False)
    try:
        b = subprocess.run([*as_user, "openssl", "pkey", "-in", str(key_file), "-pubout"], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, cwd="/", timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return False
    return a.returncode == 0 and b.returncode == 0 and a.stdout == b.stdout
