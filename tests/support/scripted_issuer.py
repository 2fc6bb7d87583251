#!/usr/bin/python3
"""
A CA that misbehaves as it is told, behind the scripts of an OpenSSL issuer.

    install(directory, name)   -> ScriptedIssuer: writes two scripts and its state

The scripts are this file again: `scripted_issuer.py sign STATE CSR OUT` and
`... lookup STATE REFERENCE OUT`.  STATE/behaviour names what the CA does:

    answer       the certificate that was asked for
    never        no answer before STATE/end exists, and then no
    slow         no answer before STATE/go exists
    late         as slow, but the order is placed at once: look-up finds it
    pending      the order is placed and worked on until STATE/go exists, exit status 10 until then
    refuse       "no", exit status 1
    expired names key ca soon        a certificate that is none of what was asked for
    silent       exit status 0 and no certificate
    half         half of a certificate, then killed by a signal
    huge         a hundred megabytes of blanks

Every order is kept as STATE/orders/<reference> (one line an order, so that a
second one shows), every call as a line of STATE/calls.
"""
import datetime
import os
import signal
import sys
import time
from pathlib import Path


class ScriptedIssuer:
    """The state of one, as a test sees it."""

    def __init__(self, state, sign, look_up):
        self.state, self.sign, self.look_up = state, sign, look_up

    def behave(self, how):
        temporary = self.state / "behaviour.new"
        temporary.write_text(how)
        os.rename(temporary, self.state / "behaviour")

    def go(self):
        (self.state / "go").touch()

    def end(self):
        self.go()
        (self.state / "end").touch()

    def calls(self, kind=None):
        """[(sign or lookup, reference)]"""
        path = self.state / "calls"
        lines = [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if kind in (None, line[0])]

    def orders(self):
        """{reference: how many orders}"""
        return {p.name: len(p.read_text().splitlines()) for p in (self.state / "orders").iterdir() if p.suffix == ""}

    def config(self, with_look_up=False, **more):
        return {"sign_script": str(self.sign)} | ({"lookup_script": str(self.look_up)} if with_look_up else {}) | more


def install(directory, name, state):
    """Scripts in directory, which a worker is told of; state anywhere."""
    (state / "orders").mkdir(parents=True)
    make_ca(state)
    paths = []
    for verb in ("sign", "lookup"):
        path = directory / f"{name}-{verb}"
        path.write_text(f"#!/bin/sh\nexec /usr/bin/python3 {Path(__file__).resolve()} {verb} {state} \"$@\"\n")
        path.chmod(0o755)
        paths.append(path)
    issuer = ScriptedIssuer(state, *paths)
    issuer.behave("answer")
    return issuer


def make_ca(state):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Scripted CA {state.name}")])
    now = datetime.datetime.now(datetime.timezone.utc)
    root = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))
    (state / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (state / "ca.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                     serialization.NoEncryption()))


def issue(state, csr_pem, how):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    root = x509.load_pem_x509_certificate((state / "ca.pem").read_bytes())
    ca_key = serialization.load_pem_private_key((state / "ca.key").read_bytes(), None)
    csr = x509.load_pem_x509_csr(csr_pem)
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    now = datetime.datetime.now(datetime.timezone.utc)
    start, end, key = now - datetime.timedelta(minutes=1), now + datetime.timedelta(days=30), csr.public_key()
    if how == "expired":
        start, end = now - datetime.timedelta(days=30), now - datetime.timedelta(minutes=1)
    elif how == "soon":
        end = now + datetime.timedelta(seconds=30)
    elif how == "names":
        names = x509.SubjectAlternativeName([*names, x509.DNSName("somebody.else.example")])
    elif how == "key":
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = (x509.CertificateBuilder().subject_name(csr.subject).issuer_name(root.subject).public_key(key)
            .serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)
            .add_extension(names, False).add_extension(x509.BasicConstraints(how == "ca", None), True)
            .sign(ca_key, hashes.SHA256()))
    return leaf.public_bytes(serialization.Encoding.PEM) + (state / "ca.pem").read_bytes()


def note(state, verb, reference):
    with open(state / "calls", "a", encoding="ascii") as f:
        f.write(f"{verb} {reference}\n")


def order(state, reference, pem):
    """The CA has it from here on, whatever the caller hears of it."""
    temporary = state / "orders" / f"{reference}.new"
    temporary.write_bytes(pem)
    os.rename(temporary, state / "orders" / f"{reference}.pem")
    with open(state / "orders" / reference, "a", encoding="ascii") as f:
        f.write("order\n")


def sign(state, csr, out):
    how = (state / "behaviour").read_text().strip()
    reference = os.environ["CERTCTL_ORDER_REFERENCE"]
    note(state, "sign", reference)
    (state / "environment").write_text("".join(f"{k}={v}\n" for k, v in sorted(os.environ.items())))
    while how == "never" and not (state / "end").exists():
        time.sleep(0.1)
    if how == "never":
        sys.exit(1)
    if how == "refuse":
        print("looking at the request", file=sys.stderr)
        print('policy "strict" says no', file=sys.stderr)
        sys.exit(1)
    if how == "silent":
        sys.exit(0)
    if how == "huge":
        with open(out, "wb") as f:
            f.truncate(100 * 1024 * 1024)
        sys.exit(0)
    pem = issue(state, Path(csr).read_bytes(), how)
    if how == "half":
        Path(out).write_bytes(pem[:200])
        order(state, reference, pem)
        os.kill(os.getpid(), signal.SIGKILL)
    if how in ("late", "pending"):
        order(state, reference, pem)
    if how == "pending":
        print("it is being looked at", file=sys.stderr)
        sys.exit(10)
    while how in ("slow", "late") and not (state / "go").exists():
        time.sleep(0.02)
    if how != "late":
        order(state, reference, pem)
    Path(out).write_bytes(pem)


def look_up(state, reference, out):
    note(state, "lookup", reference)
    if (state / "look_up_fails").exists():
        print("the CA is down for maintenance", file=sys.stderr)
        sys.exit(1)
    path = state / "orders" / f"{reference}.pem"
    if not path.exists():
        sys.exit(3)
    if (state / "behaviour").read_text().strip() == "pending" and not (state / "go").exists():
        print("it is being looked at", file=sys.stderr)
        sys.exit(10)
    Path(out).write_bytes(path.read_bytes())


if __name__ == "__main__":
    {"sign": sign, "lookup": look_up}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
