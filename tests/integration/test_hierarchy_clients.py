"""
What TLS clients make of leaves that a CA of a hierarchy may not sign: OpenSSL
and Go refuse names beyond its constraints and paths longer than it allows.

The product signs no such leaf, and gives no key of a CA away.  So each is
signed by a twin: a certificate with all that the product wrote into the CA's,
under the same root, but for the key, which is the test's.
"""
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from test_hierarchy import PEM, child, file_root, openssl_verify
from test_lint_certificates import DER, KEYS, build_go, general_name, go

# What OpenSSL's program and Go's verifier say.
NAMES = {"permitted": ("permitted subtree violation", "not permitted by any constraint"),
         "excluded": ("excluded subtree violation", "is excluded by constraint")}
PATH = ("path length constraint exceeded", "too many intermediates for path length constraint")
CONSTRAINTS = {"permitted": ["in.example.test", "10.0.0.0/8", "2001:db8::/32"], "excluded": ["secret.in.example.test", "10.9.0.0/16"]}


def common_name(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def sign(subject, key, above, extensions):
    """Signed by above, a certificate and its key; for as long as that is valid."""
    by, by_key = above
    b = (x509.CertificateBuilder().subject_name(subject).issuer_name(by.subject).public_key(key.public_key())
         .serial_number(x509.random_serial_number()).not_valid_before(by.not_valid_before).not_valid_after(by.not_valid_after)
         .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
         .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
             by.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value), False))
    for value, is_critical in extensions:
        b = b.add_extension(value, is_critical)
    return b.sign(by_key, hashes.SHA256()), key


def twin(made, above):
    """Of a CA as the API shows it: (certificate, key)."""
    cert = x509.load_pem_x509_certificate(made["cert_pem"].encode())
    kept = [(e.value, e.critical) for e in cert.extensions if not isinstance(e.value, (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier))]
    assert {x509.BasicConstraints, x509.KeyUsage} <= {type(value) for value, _ in kept}
    return sign(cert.subject, KEYS["ec256"](), above, kept)


def leaf(ca, names):
    return sign(common_name("leaf"), KEYS["ec256"](), ca, [
        (x509.BasicConstraints(False, None), True), (x509.KeyUsage(True, False, False, False, False, False, False, False, False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([general_name(n) for n in names]), False)])[0]


@pytest.fixture(scope="module")
def plane(stack):
    stack.start_scheduler(keep=True)
    stack.start_worker(keep=True)
    stack.make_basics()
    stack.numbers = iter(range(1000))
    stack.verifier = build_go(stack.dir, "verify")
    return stack


@pytest.fixture(scope="module")
def tree(plane):
    """A root whose key is the test's; twins of the CAs that the product made below it."""
    path, body, key = file_root(plane, path_length=2)
    root = plane.api.need("POST", path, body)
    upper = plane.api.need("POST", path, child("upper", root))
    narrow = plane.api.need("POST", path, child("narrow", root, path_len_constraint=0, name_constraints=[CONSTRAINTS]))
    assert (upper["path_len_constraint"], narrow["path_len_constraint"], narrow["name_constraints"]) == (1, 0, [CONSTRAINTS])
    top = x509.load_pem_x509_certificate(root["cert_pem"].encode()), key
    return {"root": top, "upper": twin(upper, top), "narrow": twin(narrow, top)}


def judged(plane, directory, certificate, names, *chain):
    """What OpenSSL and Go say, "good" or why not; chain: from the leaf's CA to the root."""
    (directory / "leaf.der").write_bytes(certificate.public_bytes(DER))
    for i, ca in enumerate(chain):
        (directory / f"{i}.der").write_bytes(ca.public_bytes(DER))
    files = [f"{i}.der" for i in range(len(chain))]
    (directory / "cases.json").write_text(json.dumps([{"leaf": "leaf.der", "chain": files[:-1], "root": files[-1], "names": names}]))
    pem = [c.public_bytes(PEM).decode() for c in (certificate, *chain)]
    return openssl_verify(plane, pem[0], pem[1:]), go(plane.verifier, directory).strip() or "good"


@pytest.mark.parametrize("names", [["a.in.example.test", "10.1.2.3"], ["in.example.test"], ["2001:db8::7"]])
def test_they_accept_what_it_may_sign(plane, tree, tmp_path, names):
    chain = tree["narrow"], tree["root"]
    assert judged(plane, tmp_path, leaf(chain[0], names), names, *[c for c, _ in chain]) == ("good", "good")


@pytest.mark.parametrize("why, names", [
    ("permitted", ["a.example.test"]), ("permitted", ["a.in.example.test", "b.example.test"]), ("permitted", ["evilin.example.test"]),
    ("permitted", ["*.example.test"]), ("permitted", ["192.0.2.1"]), ("permitted", ["2001:db9::1"]), ("excluded", ["secret.in.example.test"]),
    ("excluded", ["a.secret.in.example.test"]), ("excluded", ["10.1.2.3", "10.9.0.1"])])
def test_they_refuse_names_beyond_its_constraints(plane, tree, tmp_path, why, names):
    chain = tree["narrow"], tree["root"]
    by_openssl, by_go = judged(plane, tmp_path, leaf(chain[0], names), [], *[c for c, _ in chain])
    assert NAMES[why][0] in by_openssl and NAMES[why][1] in by_go, (by_openssl, by_go)


def test_they_refuse_a_longer_path_than_it_allows(plane, tree, tmp_path):
    names = ["a.in.example.test"]

    def below(*above):
        """A CA below these, from the lowest to the root, and what is said of its leaf."""
        ca = sign(common_name(f"below {len(above)}"), KEYS["ec256"](), above[0], [
            (x509.BasicConstraints(True, None), True), (x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)])
        return ca, judged(plane, tmp_path, leaf(ca, names), names, *[c for c, _ in (ca, *above)])
    # One CA below upper is what it allows, a second is not; narrow allows none.
    once, said = below(tree["upper"], tree["root"])
    assert said == ("good", "good")
    for above in ((once, tree["upper"], tree["root"]), (tree["narrow"], tree["root"])):
        _, (by_openssl, by_go) = below(*above)
        assert PATH[0] in by_openssl and PATH[1] in by_go, (by_openssl, by_go)
