"""
The hierarchies of intermediate CAs: a root is registered with its key, workers
make CAs below it, each verified as OpenSSL verifies it; an active one may sign
its issuer's leaves; a worker killed in the middle leaves one CA or none.
"""
import datetime
import http.client
import ipaddress
import re
import subprocess
import threading

import psycopg2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fleet import clean_env, wait_for
from test_crl import fetch
from test_lint_certificates import CERTS, KEYS, crl_url, make_csr
from test_rekey import path_of
from test_steps import Fault

ISSUER = "iss-tree"
TREE = f"/api/v1/issuers/{ISSUER}/intermediates"
PEM = serialization.Encoding.PEM
PKCS8 = (PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def make_root(name, key, path_length=None, constraints=None, days=3650, is_ca=True, signer=None):
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    b = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
         .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
         .not_valid_after(now + datetime.timedelta(days=days))
         .add_extension(x509.BasicConstraints(is_ca, path_length), True)
         .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
         .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
    if constraints:
        b = b.add_extension(constraints, True)
    return b.sign(signer or key, hashes.SHA256()).public_bytes(PEM).decode()


@pytest.fixture(scope="module")
def plane(stack):
    env = {"CERTCTL_FAULT_FILE": str(stack.dir / "fault")}
    stack.start_scheduler(keep=True, CERTCTL_SCHEDULER_CRL_BEHIND_INTERVAL="1s", CERTCTL_CRL_GENERATION_INTERVAL="1s")
    for i in (1, 2):
        stack.start_worker(i, keep=True, **env)
    stack.make_basics()
    stack.agent = stack.api.need("POST", "/api/v1/agents", {"name": "hand", "hostname": "h.example.test"})
    stack.numbers = iter(range(1000))
    return stack


def new_issuer(plane):
    name = f"tree-{next(plane.numbers)}"
    plane.api.need("POST", "/api/v1/issuers", {"id": name, "name": name, "type": "GenericCA"})
    return f"/api/v1/issuers/{name}/intermediates", name


def own_root(plane, issuer):
    return wait_for(lambda: plane.api.need("GET", f"/api/v1/issuers/{issuer}/cas")["data"], 30, "the root")[0]["certificate_pem"]


@pytest.fixture(scope="module")
def root(plane):
    plane.api.need("POST", "/api/v1/issuers", {"id": ISSUER, "name": ISSUER, "type": "GenericCA"})
    status, made = plane.api.post(TREE, {"name": "root", "root_cert_pem": own_root(plane, ISSUER), "key_driver_id": "issuer",
                                         "metadata": {"held": "here"}})
    assert status == 201, made
    return made


def child(name, parent, **more):
    return {"name": name, "parent_ca_id": parent["id"], "subject": {"common_name": name, "organization": ["Example"], "country": ["DE"]}} | more


def asked(plane, body):
    """A CA that takes longer than who asks waits (a long RSA key on a busy machine) is kept, and asked for again."""
    def once():
        status, reply = plane.api.post(TREE, body, timeout=60)
        return (status, reply) if status != 503 or "is kept" not in reply["message"] else None
    return wait_for(once, 60, "the CA")


def file_root(plane, **more):
    """A root made elsewhere, its key a file on the workers' host: (path, root, key)."""
    path, issuer = new_issuer(plane)
    key = ec.generate_private_key(ec.SECP384R1())
    place = plane.dir / f"{issuer}.key"
    place.touch(0o600)
    place.write_bytes(key.private_bytes(*PKCS8))
    return path, {"name": "root", "root_cert_pem": make_root(f"Root of {issuer}", key, **more), "key_driver_id": str(place)}, key


def chain_of(plane, ca):
    chain = [ca]
    while "parent_ca_id" in chain[-1]:
        chain.append(plane.api.need("GET", f"/api/v1/intermediates/{chain[-1]['parent_ca_id']}"))
    return [c["cert_pem"] for c in chain]


def openssl_verify(plane, leaf, chain, *more):
    """OpenSSL's word on a certificate, the last of the chain trusted."""
    for name, text in (("leaf", leaf), ("between", "".join(chain[:-1])), ("trusted", chain[-1])):
        (plane.dir / f"{name}.pem").write_text(text)
    between = ["-untrusted", "between.pem"] if len(chain) > 1 else []
    done = subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", "trusted.pem", *between, *more, "leaf.pem"], cwd=plane.dir, text=True,
                          capture_output=True, timeout=30, env=clean_env(), check=False)
    return "good" if done.returncode == 0 else done.stderr


def issue(plane, name, issuer, names):
    plane.make_target(f"tgt-{name}", plane.agent["id"], plane.dir / "sites" / name)
    plane.make_certificate(name, [f"tgt-{name}"], issuer_id=issuer, common_name=names[0], sans=names)
    job = plane.api.need("POST", f"{CERTS}/{name}/renew")["job_id"]
    status, reply = plane.api.call("POST", f"/api/v1/agents/{plane.agent['id']}/csr", {
        "csr_pem": make_csr(KEYS["ec256"](), names), "certificate_id": name, "job_id": job}, key=plane.agent["api_key"])
    assert status == 202, reply
    ended = plane.wait_job(job, 60)
    return ended, plane.api.call("GET", f"/api/v1/agents/{plane.agent['id']}/certificates/{name}", key=plane.agent["api_key"])[1]


def test_a_root_is_shown_as_it_was_registered(plane, root):
    assert root["state"] == "active" and root["owning_issuer_id"] == ISSUER and root["key_driver_id"] == "issuer"
    assert root["cert_pem"] == own_root(plane, ISSUER) and root["subject"] == "CN=CertCtl Local CA" and "parent_ca_id" not in root
    assert root["id"].startswith("ica-") and root["metadata"] == {"held": "here"}
    assert plane.api.need("GET", TREE)["data"][0] == plane.api.need("GET", f"/api/v1/intermediates/{root['id']}") == root
    assert plane.value("SELECT actor_type FROM audit_events WHERE action = 'intermediate_ca_root_created' AND resource_id = %s",
                       root["id"]) == "APIKey"
    status, reply = plane.api.post(TREE, {"name": "second", "root_cert_pem": root["cert_pem"], "key_driver_id": "issuer"})
    assert status == 409 and "root already" in reply["message"]
    assert plane.api.get("/api/v1/intermediates/none-such")[0] == 404


def test_a_root_must_be_one_and_its_key_be_at_hand(plane):
    path, issuer = new_issuer(plane)
    mine, other, key = own_root(plane, issuer), own_root(plane, "iss-local"), ec.generate_private_key(ec.SECP256R1())
    place = plane.dir / "other.key"
    place.touch(0o600)
    place.write_bytes(key.private_bytes(*PKCS8))
    weak = rsa.generate_private_key(65537, 1024)

    def refused(message, **body):
        status, reply = plane.api.post(path, {"name": "root", "root_cert_pem": mine, "key_driver_id": "issuer"} | body)
        assert status == 400 and message in reply["message"], (status, reply)
    refused("not a certificate", root_cert_pem="nonsense")
    refused("not a certificate", root_cert_pem="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    refused("not a CA certificate", root_cert_pem=make_root("leaf", key, is_ca=False))
    refused("self-signed", root_cert_pem=make_root("signed by another", key, signer=ec.generate_private_key(ec.SECP256R1())),
            key_driver_id=str(place))
    refused("holds no key", root_cert_pem=other)
    refused("does not belong", key_driver_id=str(place))
    refused("cannot be read", key_driver_id="/no/such.key")
    refused("has expired", root_cert_pem=make_root("over", key, days=0), key_driver_id=str(place))
    refused("a kind or size not supported", root_cert_pem=make_root("weak", weak), key_driver_id=str(key_file(plane, weak)))
    refused("key_driver_id must be", key_driver_id="hsm:1")
    refused("key_driver_id is required", key_driver_id="")
    refused("root_cert_pem is required", root_cert_pem="")
    refused("ttl_days is not taken", ttl_days=7)
    assert plane.api.need("GET", path)["data"] == []
    assert plane.value("SELECT count(*) FROM tasks WHERE kind = 'ica_create'") == 0
    assert plane.value("SELECT count(*) FROM intermediate_ca_requests WHERE refusal IS NULL") == 0


def key_file(plane, key):
    place = plane.dir / "weak.key"
    place.touch(0o600)
    place.write_bytes(key.private_bytes(*PKCS8))
    return place


def test_a_ca_is_made_below_and_openssl_agrees(plane, root):
    status, made = asked(plane, child("Issuing 1", root, ttl_days=30, ocsp_responder_url="http://ocsp.example.test/a,b",
                                       name_constraints=[{"permitted": ["Example.test"], "excluded": ["secret.example.test"]}]))
    assert status == 201, made
    cert = x509.load_pem_x509_certificate(made["cert_pem"].encode())
    lasts = cert.not_valid_after - datetime.datetime.utcnow()
    assert datetime.timedelta(days=29) < lasts <= datetime.timedelta(days=30)
    assert made["subject"] == "CN=Issuing 1,O=Example,C=DE" and made["parent_ca_id"] == root["id"] and made["state"] == "active"
    assert made["name_constraints"] == [{"permitted": ["example.test"], "excluded": ["secret.example.test"]}]
    assert made["key_driver_id"].startswith("sealed:") and made["fingerprint_sha256"] == cert.fingerprint(hashes.SHA256()).hex()
    usage = cert.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.key_cert_sign and usage.value.crl_sign and not usage.value.digital_signature
    assert cert.extensions.get_extension_for_class(x509.NameConstraints).critical
    where = cert.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value[0]
    assert where.access_location.value == "http://ocsp.example.test/a,b"
    assert openssl_verify(plane, made["cert_pem"], chain_of(plane, root)) == "good"
    assert plane.value("SELECT count(*) FROM audit_events WHERE action = 'intermediate_ca_child_created' AND resource_id = %s", made["id"]) == 1
    status, reply = plane.api.post(TREE, child("Issuing 1", root))
    assert status == 409 and "name" in reply["message"]


@pytest.mark.parametrize("algorithm, kind, size", [("ECDSA-P256", ec.EllipticCurvePublicKey, 256),
                                                   ("ecdsa-p384", ec.EllipticCurvePublicKey, 384), ("RSA-2048", rsa.RSAPublicKey, 2048),
                                                   ("RSA-3072", rsa.RSAPublicKey, 3072), ("RSA-4096", rsa.RSAPublicKey, 4096)])
def test_keys_of_each_kind(plane, root, algorithm, kind, size):
    status, made = asked(plane, child(f"Key {algorithm}", root, algorithm=algorithm))
    assert status == 201, made
    key = x509.load_pem_x509_certificate(made["cert_pem"].encode()).public_key()
    assert isinstance(key, kind) and key.key_size == size
    assert openssl_verify(plane, made["cert_pem"], chain_of(plane, root)) == "good"


def test_what_a_body_cannot_say(plane, root):
    def refused(message, status=400, **more):
        got, reply = plane.api.post(TREE, child("no", root) | more)
        assert got == status and message in reply["message"], (got, reply)
    refused("name is required", name="")
    refused("name must be", name="n" * 256)
    refused("Parent CA not found", 404, parent_ca_id="ica-none")
    refused("common_name is required", subject={})
    refused("subject", subject={"common_name": "x", "surname": "y"})
    refused("subject.common_name", subject={"common_name": "a\u202eb"})
    refused("64 characters", subject={"common_name": "x" * 65})
    refused("subject.organization", subject={"common_name": "x", "organization": "Example"})
    refused("two letters", subject={"common_name": "x", "country": ["Germany"]})
    refused("algorithm", algorithm="DSA-1024")
    refused("ttl_days", ttl_days=-1)
    refused("ttl_days", ttl_days=1e9)
    refused("path_len_constraint", path_len_constraint=-1)
    refused("path_len_constraint", path_len_constraint=99)
    refused("name_constraints", name_constraints=[{"permitted": ["not a name"]}])
    refused("name_constraints", name_constraints=[{"permitted": ["192.0.2.1/24"]}])
    refused("name_constraints", name_constraints=[{"permitted": ["2001:db8::/129"]}])
    refused("name_constraints", name_constraints=[{"allowed": ["example.test"]}])
    refused("name_constraints", name_constraints="example.test")
    refused("ocsp_responder_url", ocsp_responder_url="ldap://x")
    refused("ocsp_responder_url", ocsp_responder_url="http://exa mple")
    refused("key_driver_id is not taken", key_driver_id="issuer")
    refused("metadata", metadata={"a": 1})
    # Nobody could be given a certificate by it.
    refused("can issue nothing", name_constraints=[{"permitted": ["a.test", "192.0.2.0/24"], "excluded": ["a.test", "192.0.2.0/24"]}])
    assert plane.api.post("/api/v1/issuers/none-such/intermediates", child("no", root))[0] == 404
    other, _ = new_issuer(plane)
    assert plane.api.post(other, child("no", root))[0] == 404  # another issuer's CA is no parent
    plane.query("INSERT INTO issuers (id, name, type) VALUES ('iss-outside', 'outside', 'OpenSSL')")
    assert plane.api.post("/api/v1/issuers/iss-outside/intermediates", child("no", root))[0] == 409


def test_a_path_is_no_longer_than_those_above_allow(plane):
    path, body, _ = file_root(plane, path_length=2)
    status, root = plane.api.post(path, body)
    assert status == 201 and root["path_len_constraint"] == 2, root
    status, reply = plane.api.post(path, child("same", root, path_len_constraint=2))
    assert status == 400 and "less than" in reply["message"]
    one = plane.api.need("POST", path, child("one", root))
    assert one["path_len_constraint"] == 1
    two = plane.api.need("POST", path, child("two", one, path_len_constraint=0))
    assert two["path_len_constraint"] == 0 and openssl_verify(plane, two["cert_pem"], chain_of(plane, one)) == "good"
    status, reply = plane.api.post(path, child("three", two))
    assert status == 400 and "path length of 0" in reply["message"]


def test_a_ca_ends_no_later_than_those_above(plane):
    path, body, _ = file_root(plane, days=40)
    root = plane.api.need("POST", path, body)
    made = plane.api.need("POST", path, child("long", root, ttl_days=3650))
    assert made["not_after"] == root["not_after"] and openssl_verify(plane, made["cert_pem"], [root["cert_pem"]]) == "good"


def test_names_are_within_those_above(plane):
    constraints = x509.NameConstraints([x509.DNSName("corp.example"), x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))],
                                       [x509.DNSName("lab.corp.example")])
    path, body, _ = file_root(plane, constraints=constraints)
    status, root = plane.api.post(path, body)
    assert status == 201, root
    given = [{"permitted": ["corp.example", "10.0.0.0/8"], "excluded": ["lab.corp.example"]}]
    assert root["name_constraints"] == given
    # What nothing is asked for is as above; what is asked for must lie within.
    assert plane.api.need("POST", path, child("same", root))["name_constraints"] == given

    def made(name, permitted, excluded=("lab.corp.example",)):
        return plane.api.post(path, child(name, root, name_constraints=[{"permitted": list(permitted), "excluded": list(excluded)}]))
    status, reply = made("wider", ["example"])
    assert status == 400 and "permits example," in reply["message"]
    status, reply = made("like", ["evilcorp.example"])
    assert status == 400 and "evilcorp.example" in reply["message"]
    status, reply = made("net", ["10.0.0.0/7"])
    assert status == 400
    status, reply = made("forgets", ["web.corp.example"], [])
    assert status == 400 and "must exclude lab.corp.example" in reply["message"]
    status, narrow = made("narrow", ["web.corp.example", "10.1.0.0/16"], ["old.web.corp.example", "lab.corp.example"])
    assert status == 201, narrow
    assert narrow["name_constraints"][0]["permitted"] == ["web.corp.example", "10.1.0.0/16"]
    assert openssl_verify(plane, narrow["cert_pem"], [root["cert_pem"]]) == "good"


def test_an_active_ca_signs_the_issuers_leaves(plane):
    path, issuer = new_issuer(plane)
    plane.api.need("PUT", f"/api/v1/issuers/{issuer}", {"config": {"crl_distribution_point_urls": [crl_url(plane, issuer)]}})
    root = plane.api.need("POST", path, {"name": "root", "root_cert_pem": own_root(plane, issuer), "key_driver_id": "issuer"})
    upper = plane.api.need("POST", path, child("upper", root))
    signer = plane.api.need("POST", path, child("signer", upper, name_constraints=[{"permitted": ["in.example.test"]}]))
    switch = f"/api/v1/issuers/{issuer}/switch"
    assert plane.api.need("GET", f"/api/v1/issuers/{issuer}")["hierarchy_mode"] == "single"
    assert plane.api.post(switch, {"fingerprint_sha256": root["fingerprint_sha256"]})[1]["status"] == "already"
    assert plane.api.need("POST", switch, {"fingerprint_sha256": signer["fingerprint_sha256"]})["status"] == "switched"
    assert plane.api.need("GET", f"/api/v1/issuers/{issuer}")["hierarchy_mode"] == "tree"
    done, reply = issue(plane, "within", issuer, ["a.in.example.test"])
    assert done == ("Completed", None)
    leaf, *chain = re.findall("-----BEGIN.*?END CERTIFICATE-----\n", reply["certificate_pem"], re.S)
    assert chain == [signer["cert_pem"], upper["cert_pem"], root["cert_pem"]]
    assert openssl_verify(plane, leaf, chain_of(plane, signer)) == "good"
    # Its revocation list is where the leaf says, and is its own.
    cert = x509.load_pem_x509_certificate(leaf.encode())
    place = cert.extensions.get_extension_for_class(x509.CRLDistributionPoints).value[0].full_name[0].value

    def listed():
        status, _, body = fetch(plane, path_of(place))
        if status != 200:
            return None
        (plane.dir / "list.pem").write_bytes(x509.load_der_x509_crl(body).public_bytes(PEM))
        return openssl_verify(plane, leaf, chain_of(plane, signer), "-crl_check", "-CRLfile", "list.pem")
    assert wait_for(listed, 30, "the list") == "good"
    plane.api.need("POST", f"{CERTS}/within/revoke", {"reason": "superseded"})
    wait_for(lambda: "revoked" in listed(), 30, "the revocation in the list", every=0.2)
    status, error = issue(plane, "beyond", issuer, ["b.example.test"])[0]
    assert status == "Failed" and "name" in error
    # It has no successor of its own name; nor can it retire while it signs.
    assert plane.api.post(f"/api/v1/issuers/{issuer}/successor")[0] == 409
    retire = f"/api/v1/intermediates/{signer['id']}/retire"
    assert plane.api.post(retire)[0] == 200
    status, reply = plane.api.post(retire, {"confirm": True})
    assert status == 409 and "signs" in reply["message"]
    assert plane.api.post(f"/api/v1/issuers/{issuer}/test")[1] == {"status": "connection_successful"}
    plane.api.need("POST", switch, {"fingerprint_sha256": upper["fingerprint_sha256"]})
    assert plane.api.post(retire, {"confirm": True})[0] == 200
    assert plane.api.post(switch, {"fingerprint_sha256": signer["fingerprint_sha256"]})[0] == 409


def test_retiring_takes_two_steps_from_below(plane):
    path, issuer = new_issuer(plane)
    root = plane.api.need("POST", path, {"name": "root", "root_cert_pem": own_root(plane, issuer), "key_driver_id": "issuer"})
    one = plane.api.need("POST", path, child("one", root))
    two = plane.api.need("POST", path, child("two", one))
    def retire(ca, **body):
        return plane.api.post(f"/api/v1/intermediates/{ca['id']}/retire", body or None)

    def state(ca):
        return plane.api.need("GET", f"/api/v1/intermediates/{ca['id']}")["state"]
    assert plane.api.post("/api/v1/intermediates/none-such/retire")[0] == 404
    assert retire(one, confirm="yes")[0] == 400 and retire(one, note="n" * 1001)[0] == 400
    status, reply = retire(one, note="old", confirm=False)
    assert status == 200 and reply == {"id": one["id"], "decided_by": reply["decided_by"], "confirmed": False} and state(one) == "retiring"
    assert plane.value("SELECT details ->> 'note' FROM audit_events WHERE action = 'intermediate_ca_retiring' AND resource_id = %s", one["id"]) == "old"
    status, reply = plane.api.post(path, child("three", one))
    assert status == 409 and "not active" in reply["message"]
    assert retire(one)[0] == 409
    status, reply = retire(one, confirm=True)
    assert status == 409 and "active CAs below" in reply["message"]
    assert retire(two)[0] == 200 and retire(two, confirm=True)[0] == 200 and state(two) == "retired"
    status, reply = retire(one, confirm=True)
    assert status == 200 and reply["confirmed"] and state(one) == "retired"
    assert retire(one, confirm=True)[0] == 409
    # The place of the root is free once it retires.
    assert retire(root)[0] == 200
    again = {"name": "root 2", "root_cert_pem": own_root(plane, issuer), "key_driver_id": "issuer"}
    assert plane.api.post(path, again)[0] == 201


def ocsp_word(plane, issuer, ca, above):
    """openssl's word on a CA's status, asked of the product with the CA above; no word where no good answer came."""
    (plane.dir / "below.pem").write_text(ca["cert_pem"])
    (plane.dir / "above.pem").write_text(above["cert_pem"])
    (plane.dir / "chain.pem").write_text("".join(chain_of(plane, above)))
    run = ["openssl", "ocsp", "-issuer", "above.pem", "-cert", "below.pem"]
    subprocess.run([*run, "-no_nonce", "-reqout", "ask.der"], cwd=plane.dir, check=True, capture_output=True, env=clean_env())
    connection = http.client.HTTPSConnection("127.0.0.1", plane.api_port, context=plane.api.context, timeout=30)
    connection.request("POST", f"/.well-known/pki/ocsp/{issuer}", (plane.dir / "ask.der").read_bytes(), {"Content-Type": "application/ocsp-request"})
    reply = connection.getresponse()
    (plane.dir / "said.der").write_bytes(reply.read())
    connection.close()
    if reply.status != 200:
        return None
    done = subprocess.run([*run, "-respin", "said.der", "-CAfile", "chain.pem"], cwd=plane.dir, text=True, capture_output=True, check=False,
                          env=clean_env())
    assert "Response verify OK" in done.stderr, done.stderr
    return re.search(r"below.pem: (\w+)", done.stdout)[1]


@pytest.mark.parametrize("where", ["the issuer", "a file"])
def test_a_revoked_ca_is_known_to_clients(plane, where):
    """By the list that its certificate names and by OCSP, signed by the CA above, which never signed a leaf."""
    if where == "a file":
        path, body, _ = file_root(plane)
        issuer = path.split("/")[-2]
        own_root(plane, issuer)
    else:
        path, issuer = new_issuer(plane)
        body = {"name": "root", "root_cert_pem": own_root(plane, issuer), "key_driver_id": "issuer"}
    plane.api.need("PUT", f"/api/v1/issuers/{issuer}", {"config": {"crl_distribution_point_urls": [crl_url(plane, issuer)]}})
    root = plane.api.need("POST", path, body)
    upper = plane.api.need("POST", path, child("upper", root))
    lower = plane.api.need("POST", path, child("lower", upper))

    def checked():
        """OpenSSL's word on the lower CA, with the lists of both above it."""
        lists = []
        for one in (upper, lower):
            points = x509.load_pem_x509_certificate(one["cert_pem"].encode()).extensions.get_extension_for_class(x509.CRLDistributionPoints)
            status, _, der = fetch(plane, path_of(points.value[0].full_name[0].value))
            if status != 200:
                return None
            lists.append(x509.load_der_x509_crl(der).public_bytes(PEM))
        (plane.dir / "lists.pem").write_bytes(b"".join(lists))
        return openssl_verify(plane, lower["cert_pem"], chain_of(plane, upper), "-crl_check_all", "-CRLfile", "lists.pem")
    assert wait_for(checked, 30, "the lists") == "good"
    for one, above in ((upper, root), (lower, upper)):
        assert wait_for(lambda one=one, above=above: ocsp_word(plane, issuer, one, above), 20, "the answer") == "good"
    revoke = f"/api/v1/intermediates/{lower['id']}/revoke"
    status, reply = plane.api.post(revoke, {"reason": "caCompromise"})
    assert status == 409 and "retire it first" in reply["message"]
    assert plane.api.post(f"/api/v1/intermediates/{root['id']}/revoke")[0] == 409
    for confirm in ({}, {"confirm": True}):
        assert plane.api.post(f"/api/v1/intermediates/{lower['id']}/retire", confirm)[0] == 200
    assert plane.api.post(revoke, {"reason": "boredom"})[0] == 400
    assert plane.api.post(revoke, {"reason": "caCompromise"}) == (200, {"status": "revoked"})
    assert plane.api.post(revoke)[0] == 409
    now = plane.api.need("GET", f"/api/v1/intermediates/{lower['id']}")
    assert now["revocation_reason"] == "caCompromise" and now["revoked_at"] and now["state"] == "retired"
    assert "revoked_at" not in plane.api.need("GET", f"/api/v1/intermediates/{upper['id']}")
    wait_for(lambda: "revoked" in (checked() or ""), 30, "the revocation in the list", every=0.2)
    wait_for(lambda: ocsp_word(plane, issuer, lower, upper) == "revoked", 20, "the revocation in the answer", every=0.2)
    assert ocsp_word(plane, issuer, upper, root) == "good"


def test_the_same_at_once_is_one(plane, root):
    answers = []
    asking = [threading.Thread(target=lambda: answers.append(asked(plane, child("at once", root)))) for _ in range(6)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    # Who came after it was made hears that it is there.
    assert {status for status, _ in answers} <= {201, 409} and len({r["id"] for s, r in answers if s == 201}) == 1
    assert plane.value("SELECT count(*) FROM intermediate_cas WHERE owning_issuer_id = %s AND name = 'at once'", ISSUER) == 1


@pytest.mark.parametrize("point", ["worker.hierarchy.made", "worker.hierarchy.stored"])
def test_a_worker_killed_in_the_middle_makes_one_or_none(plane, root, point):
    fault = Fault(plane)
    fault.arm(point)
    try:
        status, made = asked(plane, child(f"killed {point}", root))
        fault.wait_death()
    finally:
        fault.disarm()
    assert status == 201, made
    wait_for(lambda: plane.value("SELECT count(*) FROM tasks WHERE kind = 'ica_create'") == 0, 30, "the end of the task")
    assert plane.value("SELECT count(*) FROM intermediate_cas WHERE name = %s", f"killed {point}") == 1
    assert plane.value("SELECT count(*) FROM audit_events WHERE action = 'intermediate_ca_child_created' AND resource_id = %s", made["id"]) == 1
    assert openssl_verify(plane, made["cert_pem"], chain_of(plane, root)) == "good"


def test_what_no_worker_makes_is_kept(plane, root):
    for i in (1, 2):
        plane.processes[f"worker-{i}"].stop()
    body = child("later", root)
    status, reply = plane.api.post(TREE, body)
    assert status == 503 and "kept" in reply["message"]
    status, reply = plane.api.post(TREE, body | {"ttl_days": 9})
    assert status == 409 and "differs" in reply["message"]
    for i in (1, 2):
        plane.processes[f"worker-{i}"].start()
    wait_for(lambda: "later" in [c["name"] for c in plane.api.need("GET", TREE)["data"]], 30, "the CA that was asked for")


def test_keys_are_the_workers_alone(plane, root):
    with plane.connect("certctl_apiserver").cursor() as c, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        c.execute("SELECT key_sealed FROM intermediate_ca_keys")
    assert "key_sealed" not in str(plane.api.need("GET", TREE))
