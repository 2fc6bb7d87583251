"""
What the CAs of this product sign is what the standards say: every certificate and
revocation list passes pkilint's lints of RFC 5280, OpenSSL's strict verification and
Go's, by whatever key, name, profile and kind of CA.

pkilint is in build-venv/ (tools/venv.sh, called by deploy/local/packages.sh test);
Go is Debian's, whatever else PATH holds.
"""
import datetime
import ipaddress
import json
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from fleet import ROOT, clean_env, wait_for
from test_crl import fetch

LIMIT_S = 300
LINT = ROOT / "tests" / "support" / "lint"
DER = serialization.Encoding.DER
CERTS = "/api/v1/certificates"

KEYS = {
    "ec256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ec521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa3072": lambda: rsa.generate_private_key(65537, 3072),
}
EVERY_KEY = [{"algorithm": "ECDSA", "min_size": 256}, {"algorithm": "RSA", "min_size": 2048}, {"algorithm": "Ed25519", "min_size": 0}]
# By profile: what it allows, and the purpose that OpenSSL verifies for.
PROFILES = {
    "server": (["serverAuth"], "sslserver"),
    "both": (["serverAuth", "clientAuth"], "sslserver"),
    "client": (["clientAuth"], "sslclient"),
    "mail": (["emailProtection"], "smimesign"),
    "code": (["codeSigning"], "any"),
    "time": (["timeStamping"], "timestampsign"),
    "staple": (["serverAuth"], "sslserver"),
}
LONG = "a" * 60 + ".very-long." + "b" * 60 + ".example.test"
# name: (CA, key, profile, names); the first name is the common name.
LEAVES = {
    **{f"key-{k}": ("root", k, "both", ["www.example.test"]) for k in KEYS},
    **{f"ca-{c}": (c, "ec256", "server", ["www.example.test", "192.0.2.9"])
       for c in ("sub-ec384", "sub-rsa2048", "sub-rsa4096", "sub-deep")},
    "rsa-by-rsa": ("sub-rsa2048", "rsa3072", "both", ["www.example.test"]),
    "constrained": ("sub-names", "ec256", "server", ["a.corp.example", "10.1.2.3"]),
    **{f"profile-{p}": ("root", "ec256", p, ["p.example.test"]) for p in PROFILES if p != "mail"},
    "profile-rsa-staple": ("root", "rsa2048", "staple", ["p.example.test"]),
    "wildcard": ("root", "ec256", "server", ["*.example.test", "example.test"]),
    "ipv4": ("root", "ec256", "server", ["192.0.2.7"]),
    "ipv6": ("root", "ec256", "server", ["host.example.test", "2001:db8::7"]),
    "idn": ("root", "ec256", "server", ["xn--bcher-kva.example.test"]),
    "underscore": ("root", "ec256", "server", ["my_host.example.test"]),
    "empty-subject": ("root", "ec256", "both", [LONG]),
    "many": ("root", "ec256", "server", [f"h{i}.example.test" for i in range(100)]),
    "mail": ("root", "rsa2048", "mail", ["someone@example.test"]),
}
REVOKED = {"root": "key-ec256", "sub-rsa2048": "rsa-by-rsa"}
# Findings that stand, by file: RFC 5280 leaves wildcards open, and RFC 9525 section 6.3 is what gives them their meaning.
ALLOWED = {"leaf-wildcard.der": "pkix.invalid_domain_name_syntax"}


# --- CAs outside of the product ---

def sign_ca(name, key, by=None, by_key=None, more=(), lasts=datetime.timedelta(days=3000)):
    """A CA's certificate as a careful operator makes it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow().replace(microsecond=0)
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(by.subject if by else subject)
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + lasts)
               .add_extension(x509.BasicConstraints(True, None), True).add_extension(ski, False)
               .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True))
    if by:
        theirs = by.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(theirs), False)
    for extension in more:
        builder = builder.add_extension(extension, True)
    return builder.sign(by_key or key, hashes.SHA256())


def sub_cas():
    """By name of the issuer: (key, chain from its certificate to the root)."""
    root_key = KEYS["ec256"]()
    root = sign_ca("Outer Root", root_key)
    names = x509.NameConstraints([x509.DNSName("corp.example"), x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))],
                                 [x509.DNSName("secret.corp.example")])
    kinds = {"sub-ec384": (KEYS["ec384"](), ()), "sub-rsa2048": (KEYS["rsa2048"](), ()),
             "sub-rsa4096": (rsa.generate_private_key(65537, 4096), ()), "sub-names": (KEYS["ec256"](), [names])}
    made = {name: (key, [sign_ca(name, key, root, root_key, more), root]) for name, (key, more) in kinds.items()}
    key, (middle, _) = made["sub-ec384"]
    deep = KEYS["rsa2048"]()
    made["sub-deep"] = (deep, [sign_ca("sub-deep", deep, middle, key), middle, root])
    return made


# --- the product's ---

@pytest.fixture(scope="module")
def world(stack):
    stack.start_scheduler(keep=True, CERTCTL_SCHEDULER_CRL_BEHIND_INTERVAL="1s", CERTCTL_CRL_GENERATION_INTERVAL="1s")
    stack.start_worker(keep=True)
    stack.make_basics()
    for name, (ekus, _) in PROFILES.items():
        stack.query("INSERT INTO certificate_profiles (id, name, allowed_ekus, allowed_key_algorithms, must_staple) VALUES (%s, %s, %s, %s, %s)",
                    name, name, json.dumps(ekus), json.dumps(EVERY_KEY), name == "staple")
    stack.api.need("POST", "/api/v1/issuers", {"id": "root", "name": "root", "type": "GenericCA", "config": {
        "crl_distribution_point_urls": [crl_url(stack, "root")]}})
    stack.cas = sub_cas()
    for name, (key, chain) in stack.cas.items():
        cert, secret = stack.dir / f"{name}.pem", stack.dir / f"{name}.key"
        cert.write_bytes(b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain))
        secret.touch(0o600)
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        stack.api.need("POST", "/api/v1/issuers", {"id": name, "name": name, "type": "GenericCA", "config": {
            "ca_cert_path": str(cert), "ca_key_path": str(secret), "crl_distribution_point_urls": [crl_url(stack, name)]}})
    stack.agent = stack.api.need("POST", "/api/v1/agents", {"name": "hand", "hostname": "h.example.test"})
    return stack


def crl_url(stack, issuer):
    return f"https://127.0.0.1:{stack.api_port}/.well-known/pki/crl/{issuer}"


def general_name(text):
    if "://" in text:
        return x509.UniformResourceIdentifier(text)
    if "@" in text:
        return x509.RFC822Name(text)
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def make_csr(key, names):
    common = [x509.NameAttribute(NameOID.COMMON_NAME, names[0])] if len(names[0]) <= 64 else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(common)).add_extension(
        x509.SubjectAlternativeName([general_name(n) for n in names]), False)
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()).public_bytes(
        serialization.Encoding.PEM).decode()


def order(world, name, ca, key, profile, names):
    agent = world.agent["id"]
    world.make_target(f"tgt-{name}", agent, world.dir / "sites" / name)
    world.make_certificate(name, [f"tgt-{name}"], common_name=names[0], sans=names, issuer_id=ca, certificate_profile_id=profile)
    job = world.api.need("POST", f"{CERTS}/{name}/renew")["job_id"]
    status, reply = world.api.call("POST", f"/api/v1/agents/{agent}/csr", {
        "csr_pem": make_csr(KEYS[key](), names), "certificate_id": name, "job_id": job}, key=world.agent["api_key"])
    assert status == 202, (name, reply)
    return job


def keep(directory, name, certificate):
    """The file's name; OpenSSL's program wants some of them as PEM."""
    (directory / name).write_bytes(certificate.public_bytes(DER))
    (directory / name).with_suffix(".pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return name


@pytest.fixture(scope="module")
def issued(world):
    """A directory of DER, and its cases."""
    directory = world.dir / "lint"
    directory.mkdir()
    jobs = {name: order(world, name, *leaf) for name, leaf in LEAVES.items()}
    for name, job in jobs.items():
        assert world.wait_job(job, 60) == ("Completed", None), name
    lists = save_lists(world, directory)
    cases = []
    for name, (ca, _, profile, names) in LEAVES.items():
        pem = world.value("SELECT v.pem_chain || coalesce(c.pem, '') FROM certificate_versions v LEFT JOIN certificate_chains c "
                          "ON c.id = v.chain_id WHERE v.certificate_id = %s", name)
        ends = "-----END CERTIFICATE-----\n"
        found = [x509.load_pem_x509_certificate((p + ends).encode()) for p in pem.split(ends) if p.strip()]
        chain = world.cas[ca][1] if ca in world.cas else found[1:]
        files = [keep(directory, f"{ca}-{i}.der", c) for i, c in enumerate(chain)]
        cases.append({"name": name, "leaf": keep(directory, f"leaf-{name}.der", found[0]), "chain": files[:-1], "root": files[-1],
                      "crl": lists[ca], "revoked": REVOKED.get(ca) == name, "purpose": PROFILES[profile][1],
                      # What Go compares with a host's name; addresses and names of others it compares not.
                      "names": [n.replace("*", "any") for n in names if "@" not in n and "://" not in n]})
    (directory / "cases.json").write_text(json.dumps(cases))
    return directory, cases


def keep_list(directory, name, body):
    (directory / name).write_bytes(body)
    (directory / name).with_suffix(".crl.pem").write_bytes(x509.load_der_x509_crl(body).public_bytes(serialization.Encoding.PEM))
    return name


def pem_of(name):
    return name.replace(".der", ".pem").replace(".crl", ".crl.pem")


def save_lists(world, directory):
    """The list of each CA, as the API serves it: of two something was revoked."""
    for issuer, name in REVOKED.items():
        # Empty ones are linted too.
        body = wait_for(lambda path=issuer: list_of(world, path), 30, "the first list", every=0.1)
        keep_list(directory, f"empty-{issuer}.crl", body)
        world.api.need("POST", f"{CERTS}/{name}/revoke", {"reason": "keyCompromise"})
    made = {}
    for issuer in {leaf[0] for leaf in LEAVES.values()}:
        expected = 1 if issuer in REVOKED else 0
        body = wait_for(lambda path=issuer, n=expected: list_of(world, path, n), 30, f"the list of {issuer}", every=0.1)
        made[issuer] = keep_list(directory, f"{issuer}.crl", body)
    return made


def list_of(world, issuer, revoked=0):
    status, _, body = fetch(world, f"/.well-known/pki/crl/{issuer}")
    return body if status == 200 and len(list(x509.load_der_x509_crl(body))) == revoked else None


# --- the three that judge ---

def pkilint(files):
    """By file: [severity, code, text] each."""
    python = ROOT / "build-venv" / "bin" / "python3"
    if not python.exists():
        pytest.skip("pip could not install pkilint; tools/venv.sh says why")
    done = subprocess.run([python, "-B", LINT / "lint_pki.py", *files], text=True, capture_output=True, timeout=200, env=clean_env(),
                          check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == len(files)
    return found


def test_pkilint_finds_nothing(issued):
    directory, cases = issued
    files = sorted([*directory.glob("*.der"), *directory.glob("*.crl")])
    assert len(files) > len(cases) + len({c["crl"] for c in cases})
    found = pkilint(files)
    left = [f"{file}: {severity} {code}: {text}" for file, findings in found.items() for severity, code, text in findings
            if ALLOWED.get(file) != code]
    assert not left, "\n".join(left)


def build_go(directory, name):
    """A program of tests/support/lint, built in this directory by Debian's Go with Debian's packages."""
    program, home = directory / f"go-{name}", str(directory / "go")
    subprocess.run(["/usr/bin/go", "build", "-o", program, LINT / f"{name}.go"], check=True, timeout=200, env=clean_env() | {
        "GO111MODULE": "off", "GOCACHE": home + "/cache", "GOPATH": f"{home}:/usr/share/gocode", "HOME": home})
    return program


@pytest.fixture(scope="module")
def go_program(world):
    return build_go(world.dir, "verify")


def go(program, directory):
    """What it has to say."""
    done = subprocess.run([program, directory], text=True, capture_output=True, timeout=60, env=clean_env(), check=False)
    assert done.stderr == ""
    return done.stdout


def test_go_verifies(issued, go_program):
    directory, _ = issued
    assert go(go_program, directory) == ""


def openssl(directory, case):
    """"" when it verifies."""
    untrusted = [x for name in case["chain"] for x in ("-untrusted", pem_of(name))]
    files = ["-CAfile", pem_of(case["root"]), *untrusted, "-CRLfile", pem_of(case["crl"]), pem_of(case["leaf"])]
    done = subprocess.run(["openssl", "verify", "-x509_strict", "-crl_check", "-purpose", case["purpose"], *files], cwd=directory,
                          text=True, capture_output=True, timeout=30, env=clean_env(), check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_openssl_verifies_strictly(issued):
    directory, cases = issued
    said = {case["name"]: openssl(directory, case) for case in cases}
    for name in REVOKED.values():
        assert "certificate revoked" in said.pop(name)
    assert not any(said.values()), said


def test_the_judges_find_what_is_wrong(issued, go_program, tmp_path):
    """None of the three says yes to everything."""
    directory, cases = issued
    case = next(c for c in cases if c["name"] == "key-ec384")
    for path in directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    other = case | {"crl": "sub-ec384.crl"}
    (tmp_path / "cases.json").write_text(json.dumps([case, other]))
    said = go(go_program, tmp_path)
    assert said.count("\n") == 1 and "sub-ec384.crl" in said
    assert openssl(tmp_path, case) == "" and "unable to get certificate CRL" in openssl(tmp_path, other)
    # No name at all, and where one could stand is not critical.
    key = KEYS["ec256"]()
    bad = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).public_key(key.public_key())
           .serial_number(1).not_valid_before(datetime.datetime(2020, 1, 1)).not_valid_after(datetime.datetime(2050, 1, 1))
           .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example.test")]), False).sign(key, hashes.SHA256()))
    assert pkilint([tmp_path / keep(tmp_path, "bad.der", bad)])["bad.der"]
