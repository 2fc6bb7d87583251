"""
Hosts that an ACME server validates: a web server and a TLS server on this
host, which answer each name as a test likes.
"""
import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
WELL_KNOWN = "/.well-known/acme-challenge/"


def answer(status, body=b"", **headers):
    head = f"HTTP/1.1 {status} x\r\n" + "".join(f"{n.replace('_', '-')}: {v}\r\n" for n, v in headers.items())
    return head.encode() + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


class Listener:
    """A thread for each connection; serve(connection) answers it."""

    def __init__(self, host="127.0.0.1", port=0):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, port))
        self.socket.listen(128)
        self.port = self.socket.getsockname()[1]
        self.closing = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.attend, args=(connection,), daemon=True).start()

    def attend(self, connection):
        with contextlib.suppress(OSError), connection:
            self.serve(connection)

    def close(self):
        self.closing.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Web(Listener):
    """sites: {host: callable(path, connection)}, which returns bytes, or None when it has answered itself."""

    def __init__(self, host="127.0.0.1", port=0):
        self.sites, self.asked = {}, []
        super().__init__(host, port)

    def serve(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(4096)
            if not more:
                return
            data += more
        lines = data.decode().split("\r\n")
        path = lines[0].split(" ")[1]
        host = next(line.split(": ", 1)[1] for line in lines if line.lower().startswith("host: "))
        self.asked.append((host, path))
        reply = self.sites[host](path, connection) if host in self.sites else answer(404)
        if reply is not None:
            connection.sendall(reply)


class Alpn(Listener):
    """names: {what SNI says: (pair, protocols)}: the pair's context, and what it chooses by ALPN."""

    def __init__(self, directory, web=None):
        self.directory, self.names, self.web = directory, {}, web
        super().__init__()

    def context(self, name, protocols=("acme-tls/1",), **certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = self.directory / f"{len(self.names)}.pem"
        path.write_bytes(challenge_pair(**certificate))
        context.load_cert_chain(path)
        context.set_alpn_protocols(list(protocols))
        self.names[name] = context

    def serve(self, connection):
        def choose(connection, name, _):
            if name not in self.names:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            connection.context = self.names[name]
            return None
        first = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        first.sni_callback = choose
        with first.wrap_socket(connection, server_side=True) as tls:
            if self.web and tls.selected_alpn_protocol() == "http/1.1":
                self.web.serve(tls)
            else:
                tls.recv(1)


def general_name(name):
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


def challenge_pair(names, digest=None, critical=True, value=None, is_signed_by_itself=True):
    """Certificate and key, PEM, as RFC 8737 wants them, but for what is said."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = key if is_signed_by_itself else ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ACME challenge")])
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
               .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
               .not_valid_after(now + datetime.timedelta(days=2)))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([general_name(n) for n in names]), critical=False)
    if digest is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(ACME_IDENTIFIER, value or b"\x04\x20" + digest), critical=critical)
    certificate = builder.sign(signer, hashes.SHA256())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) + \
        certificate.public_bytes(serialization.Encoding.PEM)
