"""
Revocation lists of CAs behind a script: fetched, judged, and served as our own are; a bad one, a dead worker or a dead script
changes nothing of what is served.
"""
import datetime
import itertools
import json
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fleet import wait_for
from test_crl import fetch

numbers = itertools.count(1)
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
HOUR = datetime.timedelta(hours=1)


@pytest.fixture(scope="module")
def plane(stack):
    (stack.dir / "scripts").mkdir(mode=0o755)
    stack.start_scheduler(keep=True, CERTCTL_SCHEDULER_CRL_BEHIND_INTERVAL="1s", CERTCTL_CRL_GENERATION_INTERVAL="1s")
    stack.start_worker(keep=True, CERTCTL_SCRIPT_ISSUER_DIR=str(stack.dir / "scripts"), CERTCTL_FAULT_FILE=str(stack.dir / "fault"))
    stack.make_basics()
    stack.plant("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status) "
                "VALUES ('demo', 'demo', 'demo', 'o-test', 't-test', 'iss-local', 'rp-default', 'Active')")
    return stack


class Ca:
    """One whose lists are what the test says, and what is known of it here.  Its script copies a list and notes that it ran."""

    def __init__(self, plane, number=1, **config):
        self.plane, self.id = plane, f"iss-ca{next(numbers)}"
        self.dir = plane.dir / self.id
        self.dir.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.id)])
        self.script = plane.dir / "scripts" / self.id
        self.first = self.makes(number)
        self.runs_as(f'cp "$1" {self.dir}/given\nenv >{self.dir}/env\ncp {self.dir}/list "$2"')
        plane.api.need("POST", "/api/v1/issuers", {"id": self.id, "name": self.id, "type": "OpenSSL", "config": {
            "sign_script": str(self.script), "crl_script": str(self.script), "timeout_seconds": 20} | config})

    def runs_as(self, text):
        temporary = self.dir / "script"
        temporary.write_text(f"#!/bin/sh\necho $# >>{self.dir}/runs\n{text}\n")
        temporary.chmod(0o755)
        os.rename(temporary, self.script)

    def runs(self):
        path = self.dir / "runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def signed(self, name, key, is_ca, number):
        now = datetime.datetime.utcnow()
        return (x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key.public_key()).serial_number(number)
                .not_valid_before(now - HOUR).not_valid_after(now + 24 * HOUR)
                .add_extension(x509.BasicConstraints(is_ca, None), True).sign(self.key, hashes.SHA256()).public_bytes(PEM).decode())

    def fingerprint(self):
        """Of the CA's certificate that its certificates are known with."""
        pem = self.plane.value("SELECT c.pem FROM certificate_chains c JOIN certificate_versions v ON v.chain_id = c.id WHERE v.issuer_id = %s "
                               "ORDER BY c.id DESC LIMIT 1", self.id)
        return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex()

    def issued(self, serial=1, chain=True, id=None):
        """A certificate of it is known here."""
        leaf = self.signed(x509.Name([]), ec.generate_private_key(ec.SECP256R1()), False, serial or 1)
        root = self.signed(self.name, self.key, True, 1)
        self.plane.query("WITH c AS (INSERT INTO certificate_chains (sha256, pem) SELECT sha256(convert_to(%s, 'UTF8')), %s WHERE %s RETURNING id) "
                         "INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, "
                         "issuer_id, job_id, chain_id) SELECT %s, 'demo', %s, now(), now() + interval '1 day', '', %s, %s, 'x', "
                         "(SELECT c.id FROM c)", root, root, chain, id or f"certver-{self.id}{serial}", f"{serial:040x}", leaf, self.id)
        return self

    def makes(self, number=1, revoked=(), pem=False, key=None, age=HOUR / 2, life=24 * HOUR, raw=None):
        """Its next list."""
        now = datetime.datetime.utcnow().replace(microsecond=0)
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(now - age).next_update(now - age + life)
                   .add_extension(x509.CRLNumber(number), False))
        for serial in revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - age).build())
        crl = builder.sign(key or self.key, hashes.SHA256())
        (self.dir / "list.new").write_bytes(raw if raw is not None else crl.public_bytes(PEM if pem else DER))
        os.rename(self.dir / "list.new", self.dir / "list")
        return crl.public_bytes(DER)

    def served(self, plane=None):
        return fetch(plane or self.plane, f"/.well-known/pki/crl/{self.id}")

    def wait_served(self, der):
        wait_for(lambda: self.served()[::2] == (200, der), 60, f"the list of {self.id}", every=0.05)

    def revoke(self, *serials):
        self.rested()
        for serial in serials:
            self.plane.query("INSERT INTO certificate_revocations (id, certificate_id, serial_number, reason, revoked_by, issuer_id, issuer_state) "
                             "VALUES (%s, 'demo', %s, 'keyCompromise', 'test', %s, 'by_hand')", f"rev-{self.id}-{serial}", f"{serial:040x}", self.id)

    def rested(self, hours=0):
        """It came two minutes ago, and is older by hours."""
        self.plane.query("UPDATE crl_cache SET generated_at = now() - interval '2 minutes', this_update = this_update - %s * interval '1 hour', "
                         "next_update = next_update - %s * interval '1 hour' WHERE list = %s", hours, hours, self.id)

    def at_once(self):
        self.plane.query("UPDATE tasks SET run_after = now(), payload = '{}' WHERE subject = %s AND status = 'Pending'", self.id)

    def event(self, columns="succeeded, error"):
        rows = self.plane.query(f"SELECT {columns} FROM crl_generation_events WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", self.id)
        return rows[0] if rows else None

    def conditions(self):
        return dict(self.plane.query("SELECT name, detail FROM conditions WHERE subject = %s AND name LIKE 'crl%%'", self.id))


@pytest.fixture
def make(plane):
    made = []

    def one(**config):
        made.append(Ca(plane, **config))
        return made[-1]
    yield one
    plane.query("UPDATE issuers SET enabled = false WHERE id = ANY (%s)", [ca.id for ca in made])


@pytest.fixture
def ca(make):
    return make()


@pytest.fixture
def keep(make):
    """Some with a list that is served."""
    def some(n):
        cas = [make(number=10).issued() for _ in range(n)]
        for ca in cas:
            ca.wait_served(ca.first)
        return cas
    return some


@pytest.fixture
def kept(keep):
    ca, = keep(1)
    return ca


@pytest.mark.parametrize("pem", [False, True], ids=["DER", "PEM"])
def test_it_is_served_as_our_own_are(ca, pem):
    der = ca.issued().makes(number=7, revoked=[0x5001], pem=pem)
    ca.wait_served(der)
    status, headers, _ = ca.served()
    assert headers["Content-Type"] == "application/pkix-crl" and headers["Cache-Control"] == "public, max-age=3600, must-revalidate"
    assert fetch(ca.plane, f"/.well-known/pki/crl/{ca.id}", If_None_Match=headers["ETag"])[0] == 304
    assert fetch(ca.plane, f"/.well-known/pki/crl/{ca.id}/aa")[0] == 404
    assert ca.event("succeeded, error, crl_number, revoked_count") == (True, None, 7, 1) and ca.conditions() == {}
    row, = [r for r in ca.plane.api.need("GET", "/api/v1/admin/crl/cache")["cache_rows"] if r["issuer_id"] == ca.id]
    assert (row["cache_present"], row["crl_number"], row["revoked_count"], row["is_stale"]) == (True, 7, 1, False)
    assert row["recent_events"][0]["crl_number"] == 7


def test_the_script_is_told_what_is_revoked(ca):
    ca.issued(0x0a1b2c).revoke(0x0a1b2c)
    ca.wait_served(ca.makes(revoked=[0x0a1b2c]))
    given, = json.loads((ca.dir / "given").read_text())
    assert (given["serial"], given["reason_code"]) == ("0a1b2c", 1) and given["revoked_at"].endswith("Z")
    assert (ca.dir / "runs").read_text() == "2\n"
    assert "CERTCTL_" not in (ca.dir / "env").read_text()
    assert not list(ca.plane.dir.glob("tmp/certctl-order-*"))


def test_another_apiserver_and_a_restarted_one_serve_it(kept):
    kept.plane.start_apiserver(2)
    other = kept.plane.apis["apiserver-2"]
    kept.plane.processes.pop("apiserver").stop()
    kept.plane.start_apiserver(keep=True)
    assert kept.served()[::2] == (200, kept.first) and kept.runs() == 1

    class Other:
        api_port, api = other.port, other
    assert kept.served(Other)[::2] == (200, kept.first)
    kept.plane.processes.pop("apiserver-2").stop()


def test_many_revocations_are_one_run(kept):
    der = kept.makes(11, range(100, 140))
    kept.revoke(*range(100, 140))
    kept.wait_served(der)
    assert kept.runs() <= 3  # one may have met some of them only


def test_what_it_lacks_is_told_of(kept):
    der = kept.makes(number=11)
    kept.issued(0xc0de).revoke(0xc0de)
    kept.wait_served(der)
    wait_for(kept.conditions, 30, "the condition")
    words = "1 of what is revoked here is not in the CA's list: c0de"
    assert kept.conditions() == {"crl_incomplete": words} and kept.event() == (True, words)
    der = kept.makes(12, [0xc0de])
    kept.rested()
    kept.wait_served(der)
    assert kept.conditions() == {}
    # What has expired may leave it.
    kept.plane.query("UPDATE certificate_versions SET not_after = now() WHERE issuer_id = %s AND serial_number = %s", kept.id, f"{0xc0de:040x}")
    der = kept.makes(13)
    kept.rested(hours=13)
    kept.wait_served(der)
    assert kept.conditions() == {}


BAD = [({"key": ec.generate_private_key(ec.SECP256R1())}, "not signed by the CA"), ({"life": HOUR / 4}, "it ended at 20"), ({"age": -HOUR}, "of the future"),
       ({"raw": b"<html>"}, "neither DER nor PEM"), ({"raw": b""}, "crl_script ended with status 0, and wrote no list"),
       ({"number": 9}, "number 9, and 10 is served")]


def test_a_bad_one_replaces_nothing(keep):
    cas = keep(len(BAD))
    for ca, (change, _) in zip(cas, BAD):
        ca.makes(**({"number": 11} | change))
        ca.revoke(0xbad)
    for ca, (_, words) in zip(cas, BAD):
        wait_for(ca.conditions, 30, f"the failure: {words}")
        assert words in ca.conditions()["crl_not_fetched"] and ca.event()[0] is False
        assert ca.served()[::2] == (200, ca.first)
    lists = [ca.makes(12, [0xbad]) for ca in cas]
    for ca in cas:
        ca.at_once()
    for ca, der in zip(cas, lists):
        ca.wait_served(der)
        assert ca.conditions() == {}


def test_a_ca_that_counts_anew_is_served_again_once_the_list_has_ended(kept):
    der = kept.makes(number=3, age=HOUR / 4)
    kept.rested(hours=13)
    wait_for(kept.conditions, 30, "the failure")
    assert "number 3, and 10 is served until" in kept.conditions()["crl_not_fetched"] and kept.served()[::2] == (200, kept.first)
    kept.rested(hours=12)
    kept.at_once()
    kept.wait_served(der)
    assert kept.conditions() == {}


def test_a_ca_with_another_key_is_known_by_one_certificate_of_thousands(plane, kept):
    """Its serials are random: the only one by the new key may be the lowest."""
    before = kept.fingerprint()
    plane.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, issuer_id, "
                "job_id, chain_id) SELECT 'certver-0-' || v.issuer_id || n, v.certificate_id, lpad(to_hex(n + 100), 40, 'f'), v.not_before, v.not_after, '', v.pem_chain, "
                "v.issuer_id, 'x', v.chain_id FROM certificate_versions v, generate_series(1, policy_crl_chains_looked()) n WHERE v.issuer_id = %s", kept.id)
    kept.key = ec.generate_private_key(ec.SECP256R1())
    kept.issued(serial=0, id=plane.value("SELECT id_new('certver')"))
    der = kept.makes(number=1, age=HOUR / 4)
    assert kept.conditions() == {}
    kept.rested(hours=13)
    kept.wait_served(der)
    # What the key before signed has no list now, and that is said for as long as it is in use.
    told = wait_for(kept.conditions, 30, "the condition")
    assert list(told) == ["crl_other_key"] and before in told["crl_other_key"], told
    since, = plane.query("SELECT since FROM conditions WHERE name = 'crl_other_key' AND subject = %s", kept.id)
    runs = kept.runs()
    kept.rested(hours=13)
    wait_for(lambda: kept.runs() > runs and kept.event()[0], 30, "another run")
    assert plane.query("SELECT since FROM conditions WHERE name = 'crl_other_key' AND subject = %s", kept.id) == [since]
    plane.query("DELETE FROM certificate_versions WHERE issuer_id = %s AND serial_number <> %s", kept.id, f"{0:040x}")
    kept.rested(hours=13)
    wait_for(lambda: not kept.conditions(), 30, "its end")


SAID = [("echo one >&2; echo 'the CA is closed' >&2; exit 7", 'crl_script ended with status 7: "the CA is closed"'),
        ("kill -9 $$", "crl_script was ended by signal 9"), ("truncate -s 25M $2", "more than a list may have, 24 MiB"),
        ("ln -s /etc/passwd $2", "no regular file")]


def test_what_a_script_says_is_shown(make):
    cas = [make() for _ in SAID]
    for ca, (text, _) in zip(cas, SAID):
        ca.runs_as(text)
        ca.issued()
    for ca, (_, words) in zip(cas, SAID):
        wait_for(ca.conditions, 30, f"the failure: {words}")
        assert words in ca.conditions()["crl_not_fetched"] and ca.served()[0] == 503


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_script_that_hangs_is_ended_with_all_it_started(make):
    ca = make(timeout_seconds=1)
    ca.runs_as(f"sleep 300 & echo $! >{ca.dir}/pid\nwait")
    ca.issued()
    wait_for(ca.conditions, 30, "the failure")
    assert "crl_script did not end in time" in ca.conditions()["crl_not_fetched"]
    wait_for(lambda: not lives((ca.dir / "pid").read_text().strip()), 20, "its child's end")


def test_a_script_that_ends_leaves_nothing_behind(ca):
    der = ca.makes(number=7)
    ca.runs_as(f'sleep 300 & echo $! >{ca.dir}/pid\ncp {ca.dir}/list "$2"')
    ca.issued()
    ca.wait_served(der)
    wait_for(lambda: not lives((ca.dir / "pid").read_text().strip()), 20, "its child's end")


def test_killed_anywhere_it_is_fetched_in_the_end_and_never_twice_at_once(ca):
    fault = ca.plane.dir / "fault"
    ca.runs_as(f'mkdir {ca.dir}/alone || echo twice >>{ca.dir}/twice\nsleep 0.2\ncp {ca.dir}/list "$2"\nrmdir {ca.dir}/alone\necho >>{ca.dir}/ends')
    der = ca.makes()
    points = ["before", "begun", "answered"]
    fault.with_suffix(".new").write_text("".join(f"worker.crl_fetch.{p}\n" for p in points))
    os.rename(fault.with_suffix(".new"), fault)
    ca.issued()
    for left in range(len(points) - 1, -1, -1):
        wait_for(lambda left=left: (len(fault.read_text().splitlines()) if fault.exists() else 0) == left, 60, "a death")
        # Whoever comes next leaves it until the time of the dead one's script is over.
        wait_for(lambda: ca.plane.value("SELECT status = 'Pending' AND run_after > now() + interval '15 seconds' FROM tasks WHERE subject = %s", ca.id),
                 60, "it to be put off")
        ends = len(points) - 1 - left
        wait_for(lambda ends=ends: (text := ca.dir / "ends").exists() and len(text.read_text().splitlines()) == ends or ends == 0, 60,
                 "the end of the script that was left")
        ca.at_once()
    ca.wait_served(der)
    assert not (ca.dir / "twice").exists() and ca.event() == (True, None)


def test_the_lane_holds_it_back(ca):
    # Its test closes the breaker.
    wait_for(lambda: ca.plane.value("SELECT test_status FROM issuers WHERE id = %s", ca.id) == "success", 30, "the issuer's test")
    ca.plane.query("UPDATE lanes SET breaker_state = 'open', opened_until = now() + interval '1 hour' WHERE issuer_id = %s", ca.id)
    ca.issued()
    wait_for(lambda: ca.plane.value("SELECT run_after > now() + interval '50 minutes' FROM tasks WHERE subject = %s AND kind = 'crl_fetch'", ca.id),
             30, "the lane to be asked")
    assert ca.runs() == 0
    ca.plane.query("UPDATE lanes SET breaker_state = 'closed', opened_until = NULL WHERE issuer_id = %s", ca.id)
    ca.at_once()
    ca.wait_served(ca.makes())


def test_who_has_none(make, kept):
    """No script, nothing issued, no chain, not enabled."""
    plane = kept.plane
    new, blind = make(), make().issued(chain=False)
    assert new.served()[0] == 503
    wait_for(blind.conditions, 30, "the failure")
    assert "have the chain written after each certificate" in blind.conditions()["crl_not_fetched"]
    config = plane.api.need("GET", f"/api/v1/issuers/{kept.id}")["config"]
    plane.api.need("PUT", f"/api/v1/issuers/{kept.id}", {"config": {k: v for k, v in config.items() if k != "crl_script"}})
    assert kept.served()[0] == 501
    plane.api.need("PUT", f"/api/v1/issuers/{kept.id}", {"config": config, "enabled": False})
    runs = kept.runs()
    kept.rested(hours=13)
    assert kept.served()[::2] == (200, kept.first)
    plane.query("UPDATE crl_cache SET next_update = now() WHERE list = %s", kept.id)
    assert kept.served()[0] == 503 and kept.runs() == runs and new.runs() == 0
    assert plane.value("SELECT count(*) FROM tasks WHERE subject = ANY (%s) AND kind = 'crl_fetch'", [kept.id, new.id]) == 0
    assert kept.conditions() == {}
    plane.query("UPDATE issuers SET enabled = true WHERE id = %s", kept.id)
    kept.wait_served(kept.first)


def test_from_the_revocation_to_the_list(plane, ca):
    """All of it by scripts: signed, revoked, listed."""
    state = ca.dir / "state"
    state.mkdir()
    (state / "ca.key").write_bytes(ca.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (state / "ca.pem").write_text(ca.signed(ca.name, ca.key, True, 1))
    (state / "index").touch()
    (state / "number").write_text("01\n")
    (state / "conf").write_text(f"[ca]\ndefault_ca=c\n[c]\nprivate_key={state}/ca.key\ncertificate={state}/ca.pem\ndatabase={state}/index\n"
                                f"new_certs_dir={state}\nrand_serial=yes\ncrlnumber={state}/number\ndefault_md=sha256\ndefault_days=9\n"
                                "default_crl_days=2\npolicy=p\ncopy_extensions=copy\nunique_subject=no\n[p]\ncommonName=optional\n")
    common = f"cd {state} && openssl ca -config {state}/conf -batch -notext"
    scripts = {"sign": f'{common} -in "$1" -out leaf && cat leaf ca.pem >"$2"',
               "revoke": f'{common} -revoke {state}/$(echo $1 | sed "s/^\\(00\\)*//" | tr a-f A-F).pem -crl_reason $2',
               "crl": f'{common} -gencrl -out "$2"'}
    config = {}
    for verb, text in scripts.items():
        path = plane.dir / "scripts" / f"{ca.id}-{verb}"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        config[f"{verb}_script"] = str(path)
    plane.api.need("PUT", f"/api/v1/issuers/{ca.id}", {"config": config})
    plane.start_agent("agent-1", keep=True)
    plane.make_target("tgt-listed", plane.processes["agent-1"].agent_id, plane.dir / "sites" / "listed")
    plane.make_certificate("listed", ["tgt-listed"], issuer_id=ca.id)
    job = plane.api.need("POST", "/api/v1/certificates/listed/renew")["job_id"]
    wait_for(lambda: plane.value("SELECT status FROM jobs WHERE id = %s", job) == "Completed", 60, "the certificate")
    serial = int(plane.value("SELECT serial_number FROM certificate_versions WHERE certificate_id = 'listed'"), 16)
    wait_for(lambda: ca.served()[0] == 200, 60, "the first list", every=0.05)
    assert list(x509.load_der_x509_crl(ca.served()[2])) == []
    plane.api.need("POST", "/api/v1/certificates/listed/revoke", {"reason": "keyCompromise"})
    wait_for(lambda: [r.serial_number for r in x509.load_der_x509_crl(ca.served()[2])] == [serial], 60, "it to be listed", every=0.05)
    wait_for(lambda: ca.conditions() == {}, 30, "nothing to be wrong")
