"""
Discoveries of a real agent: what lies in its directories, in every form, is
told to the server, and nothing that lies elsewhere or is a key.
"""
import os
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12, pkcs7
from cryptography import x509

from fleet import BUILD, clean_env, wait_for
from test_discovery import FOUND, KEY, V1, certificate

LIMIT_S = 240
KEY_PEM = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def made(name):
    """(object, entry) of a new certificate."""
    entry = certificate(name)
    return x509.load_pem_x509_certificate(entry["pem_data"].encode()), entry


def pem(name):
    return made(name)[1]["pem_data"].encode()


def der(name):
    return made(name)[0].public_bytes(serialization.Encoding.DER)


def p12(name, encryption):
    return pkcs12.serialize_key_and_certificates(b"n", KEY, made(name)[0], None, encryption)


@pytest.fixture(scope="module")
def tree(stack):
    """A directory with a certificate for each thing that must be found, and some that must not."""
    top = stack.dir / "found"
    (top / "deep" / "er").mkdir(parents=True)
    outside = stack.dir / "outside"
    outside.mkdir()
    (outside / "o.pem").write_bytes(pem("outside.example.com"))
    none = serialization.NoEncryption()
    files = {
        "two.pem": pem("one.example.com") + KEY_PEM + pem("two.example.com"),
        "deep/a.crt": pem("crt.example.com"), "deep/er/b.der": der("der.example.com"), "deep/c.cer": der("cer.example.com"),
        "d.conf": b"x = y\n" + pem("conf.example.com"), "e.p12": p12("p12.example.com", none),
        "f.p7b": pkcs7.serialize_certificates([made("p7b.example.com")[0]], serialization.Encoding.DER),
        # And what is not looked at, or cannot be.
        "g.key": pem("key.example.com"), "noextension": pem("noextension.example.com"), "h.pem": KEY_PEM,
        "secret.p12": p12("secret.example.com", serialization.BestAvailableEncryption(b"secret")), "cut.pem": pem("cut.example.com")[:300],
        "big.pem": pem("big.example.com") + b"\n" * (1 << 20), "junk.der": b"0junk",
    }
    for name, data in files.items():
        (top / name).write_bytes(data)
    (top / "link.pem").symlink_to(outside / "o.pem")
    (top / "linked").symlink_to(outside)
    (top / "circle").symlink_to(top)
    os.mkfifo(top / "fifo.pem")
    return top


@pytest.fixture(scope="module")
def plane(stack, tree):
    agent = stack.start_agent("finder", CERTCTL_DISCOVERY_DIRS=f"{tree},{stack.dir / 'none'}", CERTCTL_AGENT_DISCOVERY_INTERVAL="1s")
    stack.finder = agent.agent_id
    return stack


def told(plane):
    """{(name, path below the tree): row}"""
    status, reply = plane.api.get(f"{FOUND}?agent_id={plane.finder}&per_page=500")
    assert status == 200
    return {(r["common_name"].removesuffix(".example.com"), os.path.relpath(r["source_path"], plane.dir / "found")): r for r in reply["data"]}


def scans(plane):
    return plane.api.get(f"{V1}/discovery-scans?agent_id={plane.finder}&per_page=500")[1]["data"]


def wait_for_scans(plane, n):
    seen = len(scans(plane))
    wait_for(lambda: len(scans(plane)) >= seen + n, 30, "another scan")


WANTED = {("one", "two.pem"): "PEM", ("two", "two.pem"): "PEM", ("crt", "deep/a.crt"): "PEM", ("der", "deep/er/b.der"): "DER",
          ("cer", "deep/c.cer"): "DER", ("conf", "d.conf"): "PEM", ("p12", "e.p12"): "PKCS12", ("p7b", "f.p7b"): "PKCS7"}


def test_what_is_found_and_what_is_not(plane, tree):
    wait_for(lambda: scans(plane), 30, "the first scan")
    rows = told(plane)
    assert {key: r["source_format"] for key, r in rows.items()} == WANTED
    for row in rows.values():
        got = plane.api.get(f"{FOUND}/{row['id']}")[1]
        assert got["pem_data"].startswith("-----BEGIN CERTIFICATE-----\n") and got["pem_data"].count("BEGIN") == 1
        assert row["sans"] == [row["common_name"]] and row["serial_number"] and row["status"] == "Unmanaged"
    first = scans(plane)[-1]
    assert first["directories"] == [str(tree), str(plane.dir / "none")] and first["certificates_found"] == first["certificates_new"] == len(WANTED)
    errors = {e.removeprefix(str(plane.dir) + "/"): e for e in first["errors"]}
    assert set(errors) == {"none: No such file or directory", "found/secret.p12: it needs a password",
                           "found/cut.pem: a certificate in it is cut off or no base64", "found/junk.der: what is in it is no certificate"}
    assert first["errors_count"] == 4


def test_the_same_again_is_no_news_and_carries_no_text(plane):
    wait_for_scans(plane, 2)
    before = told(plane)
    plane.query("UPDATE discovered_certificates SET pem_data = '' WHERE agent_id = %s AND common_name = 'crt.example.com'", plane.finder)
    wait_for_scans(plane, 2)
    after = told(plane)
    assert after.keys() == before.keys() and all(after[k]["last_seen_at"] > before[k]["last_seen_at"] for k in after)
    assert scans(plane)[0]["certificates_new"] == 0 and scans(plane)[0]["certificates_found"] == len(WANTED)
    # Nobody asked for it again, so it was not sent.
    assert plane.value("SELECT pem_data FROM discovered_certificates WHERE common_name = 'crt.example.com'") == ""


def test_a_server_that_lost_some_is_told_all_again(plane):
    plane.query("DELETE FROM discovered_certificates WHERE agent_id = %s AND common_name = 'der.example.com'", plane.finder)
    wait_for(lambda: plane.value("SELECT count(*) FROM discovered_certificates WHERE agent_id = %s AND pem_data <> ''", plane.finder)
             == len(WANTED), 30, "all texts")
    assert told(plane).keys() == WANTED.keys()


def test_what_comes_later_and_what_goes(plane, tree):
    (tree / "later.pem").write_bytes(pem("later.example.com"))
    wait_for(lambda: ("later", "later.pem") in told(plane), 30, "the new file")
    (tree / "later.pem").unlink()
    wait_for_scans(plane, 2)
    rows = told(plane)
    assert rows["later", "later.pem"]["last_seen_at"] < rows["one", "two.pem"]["last_seen_at"]


def test_many_are_told_in_parts_of_one_scan(plane, tree):
    many = tree / "many"
    many.mkdir()
    bundle = b"".join(pem(f"many{i}.example.com") for i in range(430))
    (many / "bundle.pem").write_bytes(bundle)
    wait_for(lambda: sum(path == "many/bundle.pem" for _, path in told(plane)) == 430, 60, "all of a bundle")
    scan = next(s for s in scans(plane) if s["certificates_new"] >= 430)
    assert scan["certificates_new"] == 430
    parts = plane.value("SELECT count(*) FROM audit_events WHERE action = 'discovery_scan_completed' AND resource_id = %s", scan["id"])
    assert parts == 3
    shutil.rmtree(many)


def test_a_server_that_was_away(plane, tree):
    plane.processes["apiserver"].stop()
    (tree / "away.pem").write_bytes(pem("away.example.com"))
    plane.start_apiserver()
    wait_for(lambda: ("away", "away.pem") in told(plane), 60, "what was found meanwhile")


def test_keys_stay_where_they_are(plane):
    """In no table, and in no log."""
    line = KEY_PEM.decode().splitlines()[1]
    tables = plane.query("SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'")
    assert len(tables) > 40
    for table, in tables:
        assert plane.value(f"SELECT count(*) FROM {table} t WHERE strpos(t::text, %s) > 0", line) == 0, table
    assert "DISCOVERED" in plane.processes["finder"].log()
    assert all(line not in p.log() for p in plane.processes.values())


def test_directories_that_are_none_are_refused(plane):
    done = subprocess.run([BUILD / "agent" / "certctl-agent", "--check-config"], text=True, capture_output=True, check=False, timeout=20,
                          env=clean_env() | {"CERTCTL_DISCOVERY_DIRS": "/etc,etc/ssl", "CERTCTL_AGENT_STATE_DIR": str(plane.dir / "s"),
                                             "CERTCTL_KEY_DIR": str(plane.dir / "k")})
    assert done.returncode == 1 and "etc/ssl" in done.stderr and "absolute" in done.stderr
