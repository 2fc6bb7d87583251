"""
A sub-CA that is given another key under the same issuer: what the former key
signed keeps a revocation list signed by it, where those certificates say.
"""
import os
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from fleet import clean_env, wait_for
from test_crl import fetch
from test_lint_certificates import CERTS, KEYS, crl_url, make_csr, pkilint, sign_ca
from test_ocsp import ask, checked, request, serial_of

ISSUER = "iss-sub"
PEM = serialization.Encoding.PEM


class SubCa:
    """The files of one, and the root above."""

    def __init__(self, directory):
        self.dir = directory
        self.root_key = KEYS["ec256"]()
        self.root = sign_ca("Outer Root", self.root_key)
        self.cert, self.key = directory / "sub.pem", directory / "sub.key"
        (directory / "root.pem").write_bytes(self.root.public_bytes(PEM))
        self.renew_key()

    def write(self, path, content):
        """At once, and the stamp is another."""
        temporary = path.with_suffix(".new")
        temporary.touch(0o600)
        temporary.write_bytes(content)
        os.rename(temporary, path)

    def renew_key(self):
        """Another key under the same name: the certificate of it."""
        key = KEYS["ec256"]()
        self.write(self.key, key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        cert = sign_ca("Sub CA", key, self.root, self.root_key)
        self.write(self.cert, cert.public_bytes(PEM) + self.root.public_bytes(PEM))
        return cert


@pytest.fixture(scope="module")
def plane(stack):
    stack.start_scheduler(keep=True, CERTCTL_SCHEDULER_CRL_BEHIND_INTERVAL="1s", CERTCTL_CRL_GENERATION_INTERVAL="1s")
    stack.start_worker(keep=True)
    stack.make_basics()
    stack.sub = SubCa(stack.dir)
    stack.config = {"ca_cert_path": str(stack.sub.cert), "ca_key_path": str(stack.sub.key),
                    "crl_distribution_point_urls": [crl_url(stack, ISSUER), "http://mirror.example.test/sub.crl"]}
    stack.api.need("POST", "/api/v1/issuers", {"id": ISSUER, "name": ISSUER, "type": "GenericCA", "config": stack.config})
    stack.agent = stack.api.need("POST", "/api/v1/agents", {"name": "hand", "hostname": "h.example.test"})
    return stack


def issue(plane, name, issuer=ISSUER):
    """The leaf, kept as a file, and where its list is."""
    names = [f"{name}.example.test"]
    plane.make_target(f"tgt-{name}", plane.agent["id"], plane.dir / "sites" / name)
    plane.make_certificate(name, [f"tgt-{name}"], issuer_id=issuer)
    return renew(plane, name, names)


def renew(plane, name, names, job=None):
    """By that job, which waits for a CSR, or one of its own."""
    job = job or plane.api.need("POST", f"{CERTS}/{name}/renew")["job_id"]
    status, reply = plane.api.call("POST", f"/api/v1/agents/{plane.agent['id']}/csr", {
        "csr_pem": make_csr(KEYS["ec256"](), names), "certificate_id": name, "job_id": job}, key=plane.agent["api_key"])
    assert status == 202, reply
    assert plane.wait_job(job, 60) == ("Completed", None)
    pem = plane.value("SELECT pem_chain FROM certificate_versions WHERE job_id = %s", job)
    (plane.dir / f"{name}.pem").write_text(pem)
    points = x509.load_pem_x509_certificate(pem.encode()).extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return [p.full_name[0].value for p in points]


def verify(plane, name, path, ca, root):
    """OpenSSL's word on a leaf with the list that it names."""
    status, _, body = fetch(plane, path)
    assert status == 200, body
    (plane.dir / "list.pem").write_bytes(x509.load_der_x509_crl(body).public_bytes(PEM))
    (plane.dir / "ca.pem").write_bytes(ca.public_bytes(PEM))
    done = subprocess.run(["openssl", "verify", "-x509_strict", "-crl_check", "-CAfile", root, "-untrusted", "ca.pem", "-CRLfile", "list.pem",
                           f"{name}.pem"], cwd=plane.dir, text=True, capture_output=True, timeout=30, env=clean_env(), check=False)
    return "good" if done.returncode == 0 else done.stderr


def path_of(url):
    return "/" + url.split("/", 3)[3]


def test_each_key_signs_the_list_of_what_it_signed(plane):
    first = x509.load_pem_x509_certificate(plane.sub.cert.read_bytes())
    urls = {name: issue(plane, name) for name in ("old", "old-good")}
    assert urls["old"] == plane.config["crl_distribution_point_urls"]
    kept = plane.dir / "former.key"
    plane.sub.write(kept, plane.sub.key.read_bytes())
    second = plane.sub.renew_key()
    for name in ("new", "new-good"):
        urls[name] = issue(plane, name)
        key_id = plane.value("SELECT key_id FROM ca_certificates WHERE issuer_id = %s AND state = 'current'", ISSUER)
        assert urls[name] == [f"{crl_url(plane, ISSUER)}/{key_id[:16]}", "http://mirror.example.test/sub.crl"]
    for name in ("old", "new"):
        plane.api.need("POST", f"{CERTS}/{name}/revoke", {"reason": "superseded"})

    # The former key's file is not named: the reason says which, and nothing pretends.
    error = "SELECT error FROM crl_generation_events WHERE NOT succeeded AND issuer_id = %s LIMIT 1"
    assert "former_key_paths" in wait_for(lambda: plane.value(error, ISSUER), 30, "the failure")
    plane.api.need("PUT", f"/api/v1/issuers/{ISSUER}", {"config": plane.config | {"former_key_paths": ["/nonexistent.key", str(kept)]}})
    plane.query("DELETE FROM tasks WHERE kind = 'crl_build'")
    root = plane.dir / "root.pem"
    for name, ca in (("old", first), ("new", second)):
        path = path_of(urls[name][0])
        wait_for(lambda n=name, p=path, c=ca: fetch(plane, p)[0] == 200 and "certificate revoked" in verify(plane, n, p, c, root), 30,
                 f"the list with {name}", every=0.2)
        assert verify(plane, f"{name}-good", path, ca, root) == "good"
    # A list of another key than the leaf's is none.
    assert verify(plane, "old-good", path_of(urls["new"][0]), first, root) != "good"

    # What is revoked stands in both: nobody need know which key signed it.
    def told():
        rows = plane.api.need("GET", "/api/v1/admin/crl/cache")["cache_rows"]
        return [(r["list"], r.get("revoked_count")) for r in rows if r["issuer_id"] == ISSUER]
    lists = [ISSUER, path_of(urls["new"][0]).split("/crl/")[1]]
    # One more where a job's serial was fixed for the former key and written off.
    n = plane.value("SELECT count(*)::int FROM certificate_revocations WHERE issuer_id = %s", ISSUER)
    wait_for(lambda: told() == [(name, n) for name in lists], 30, "both lists with all")
    assert fetch(plane, f"{path_of(urls['old'][0])}/0123456789abcdef")[0] == 404


def test_each_key_answers_for_what_it_signed(plane):
    """By OCSP, asked by the serial alone or by the issuer's key."""
    cas = {state: x509.load_pem_x509_certificate(pem.encode()) for state, pem in plane.query(
        "SELECT state, cert_pem FROM ca_certificates WHERE issuer_id = %s", ISSUER)}
    for name, state, want in (("old", "former", "REVOKED"), ("old-good", "former", "GOOD"), ("new", "current", "REVOKED"), ("new-good", "current", "GOOD")):
        leaf, ca = x509.load_pem_x509_certificate((plane.dir / f"{name}.pem").read_bytes()), cas[state]
        for method, path, body in (("GET", f"/{serial_of(leaf)}", None), ("POST", "", request(leaf, ca=ca)),
                                   ("POST", "", request(leaf, ca=ca, nonce=b"1"))):
            status, _, reply = ask(plane, method, f"/.well-known/pki/ocsp/{ISSUER}{path}", body)
            assert status == 200, reply
            assert checked(reply, ca).certificate_status.name == want
    assert plane.value("SELECT count(*) FROM ocsp_responders WHERE issuer_id = %s", ISSUER) == 2
    # A key knows nothing of a certificate that another one signed, and says no good of it.
    for name, state in (("old", "current"), ("old-good", "current"), ("new-good", "former")):
        leaf, ca = x509.load_pem_x509_certificate((plane.dir / f"{name}.pem").read_bytes()), cas[state]
        for nonce in (None, b"1"):
            reply = ask(plane, "POST", f"/.well-known/pki/ocsp/{ISSUER}", request(leaf, ca=ca, nonce=nonce))[2]
            assert checked(reply, ca).certificate_status.name == "UNKNOWN"


def test_lints_find_nothing_in_either_list(plane):
    lists = [name for name, in plane.query("SELECT list FROM crl_cache WHERE issuer_id = %s ORDER BY list", ISSUER)]
    files = []
    for n, name in enumerate(lists):
        files.append(plane.dir / f"{n}.crl")
        files[-1].write_bytes(fetch(plane, f"/.well-known/pki/crl/{name}")[2])
    assert pkilint(files) == {"0.crl": [], "1.crl": []}


def test_a_new_certificate_of_the_same_key_changes_no_list(plane):
    key = serialization.load_pem_private_key(plane.sub.key.read_bytes(), None)
    before = plane.value("SELECT list FROM ca_certificates WHERE issuer_id = %s AND state = 'current'", ISSUER)
    cert = sign_ca("Sub CA", key, plane.sub.root, plane.sub.root_key)
    plane.sub.write(plane.sub.cert, cert.public_bytes(PEM) + plane.sub.root.public_bytes(PEM))
    assert path_of(issue(plane, "same-key")[0]).endswith(before)
    assert plane.query("SELECT state, count(*)::int FROM ca_certificates WHERE issuer_id = %s GROUP BY 1 ORDER BY 1", ISSUER) == [
        ("current", 1), ("former", 1)]


def test_the_first_name_leads_on_when_its_key_is_over(plane):
    plane.query("UPDATE ca_certificates SET not_after = now() - interval '1 minute' WHERE issuer_id = %s AND state = 'former'", ISSUER)

    def is_later():
        """The next list may be stored between the two looks."""
        body = fetch(plane, f"/.well-known/pki/crl/{ISSUER}")[2]
        return body == bytes(plane.value("SELECT crl_der FROM crl_cache k JOIN ca_certificates ca USING (list) "
                                         "WHERE ca.issuer_id = %s AND ca.state = 'current'", ISSUER))
    wait_for(is_later, 20, "the later key's list under the first name", every=0.2)
