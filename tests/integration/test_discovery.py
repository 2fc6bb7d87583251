"""
Discoveries: what a report may say, what is kept of it, whose certificate it is
then, and that the numbers are those of the rows.
"""
import datetime
import hashlib
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

V1 = "/api/v1"
FOUND = f"{V1}/discovered-certificates"
UTC = datetime.timezone.utc
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(name, serial=None, is_ca=False, days=90, sans=None):
    """An entry of a report for a certificate that is new in the world."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Found, Inc")])
    start = datetime.datetime(2026, 11, 1, tzinfo=UTC)
    sans = sans or [x509.DNSName(name)]
    made = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(KEY.public_key())
            .serial_number(serial or x509.random_serial_number()).not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=days)).add_extension(x509.SubjectAlternativeName(sans), False)
            .add_extension(x509.BasicConstraints(is_ca, None), True).sign(KEY, hashes.SHA256()))
    der = made.public_bytes(serialization.Encoding.DER)
    return {"fingerprint_sha256": hashlib.sha256(der).hexdigest(), "common_name": name, "sans": [name], "serial_number": f"{made.serial_number:x}",
            "issuer_dn": f"CN={name},O=Found", "subject_dn": f"CN={name},O=Found", "not_before": "2026-11-01T00:00:00Z",
            "not_after": (start + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ"), "key_algorithm": "ECDSA", "key_size": 256,
            "is_ca": is_ca, "pem_data": made.public_bytes(serialization.Encoding.PEM).decode(), "source_path": f"/etc/ssl/{name}.pem",
            "source_format": "PEM"}


def report(*entries, **more):
    return {"agent_id": "x", "directories": ["/etc/ssl"], "certificates": list(entries), "errors": [], "scan_duration_ms": 12} | more


@pytest.fixture(scope="module")
def plane(stack):
    stack.make_basics()
    return stack


@pytest.fixture
def agent(plane, unique):
    name = unique("host")
    made = plane.api.need("POST", f"{V1}/agents", {"name": name, "hostname": "h.example.com"})
    return made["id"], made["api_key"]


def tell(plane, agent, *entries, **more):
    status, scan = plane.api.post(f"{V1}/agents/{agent[0]}/discoveries", report(*entries, **more), key=agent[1])
    assert status == 202, scan
    return scan


def rows_of(plane, agent, query=""):
    status, reply = plane.api.get(f"{FOUND}?agent_id={agent[0]}{query}")
    assert status == 200
    return reply["data"]


def summary(plane):
    status, reply = plane.api.get(f"{V1}/discovery-summary")
    assert status == 200
    counted = dict(plane.query("SELECT status, count(*) FROM discovered_certificates GROUP BY status"))
    assert reply == {"Unmanaged": 0, "Managed": 0, "Dismissed": 0} | counted
    return reply


def test_a_report_is_kept_and_the_same_again_is_no_news(plane, agent):
    entries = [certificate(f"h{i}.example.com") for i in range(3)]
    before = summary(plane)
    scan = tell(plane, agent, *entries, errors=["/etc/ssl/x: no permission"], agent_id=agent[0])
    assert {k: scan[k] for k in ("agent_id", "directories", "certificates_found", "certificates_new", "errors_count", "scan_duration_ms", "errors")} \
        == {"agent_id": agent[0], "directories": ["/etc/ssl"], "certificates_found": 3, "certificates_new": 3, "errors_count": 1,
            "scan_duration_ms": 12, "errors": ["/etc/ssl/x: no permission"]}
    assert scan["id"].startswith("dscan-") and scan["started_at"] < scan["completed_at"]
    first = rows_of(plane, agent)
    assert sorted(r["common_name"] for r in first) == [e["common_name"] for e in entries]
    for row in first:
        entry = next(e for e in entries if e["fingerprint_sha256"] == row["fingerprint_sha256"])
        got = plane.api.get(f"{FOUND}/{row['id']}")[1]
        assert got == row | {"pem_data": entry["pem_data"]} and got == got | entry
        assert row["status"] == "Unmanaged" and row["discovery_scan_id"] == scan["id"] and row["id"].startswith("dcert-")
        assert not {"managed_certificate_id", "dismissed_at", "pem_data"} & set(row)
        assert row["first_seen_at"] == row["last_seen_at"] == row["created_at"] == row["updated_at"]
    again = tell(plane, agent, *entries)
    assert (again["certificates_found"], again["certificates_new"], again["errors_count"]) == (3, 0, 0) and "errors" not in again
    second = {r["id"]: r for r in rows_of(plane, agent)}
    for row in first:
        seen = second[row["id"]]
        assert seen["last_seen_at"] > row["last_seen_at"] and seen["discovery_scan_id"] == again["id"]
        assert seen == row | {k: seen[k] for k in ("last_seen_at", "discovery_scan_id")}
    assert summary(plane) == before | {"Unmanaged": before["Unmanaged"] + 3}
    scans = plane.api.get(f"{V1}/discovery-scans?agent_id={agent[0]}")[1]
    assert scans["data"] == [again, scan] and scans["total"] == 2
    assert plane.query("SELECT actor, actor_type, details ->> 'certificates_new' FROM audit_events WHERE action = 'discovery_scan_completed' "
                       "AND resource_id = ANY (%s) ORDER BY seq", [scan["id"], again["id"]]) == [(agent[0], "Agent", "3"), (agent[0], "Agent", "0")]


@pytest.mark.parametrize("claimed", ["a b", "x" * 300, 7, None])
def test_whose_report_it_is_the_path_says(plane, agent, claimed):
    """And a place with too long a name is known by its beginning, as other texts are: neither costs the rest of the report."""
    deep, plain = certificate("deep.example.com"), certificate("plain.example.com")
    for new in (2, 0):
        scan = tell(plane, agent, deep | {"source_path": "/" + "d" * 4000}, plain, agent_id=claimed)
        assert (scan["agent_id"], scan["certificates_found"], scan["certificates_new"]) == (agent[0], 2, new)
    assert sorted(len(r["source_path"]) for r in rows_of(plane, agent)) == [len(plain["source_path"]), 1024]


def test_two_of_one_report_and_one_at_two_places(plane, agent):
    one = certificate("twice.example.com")
    scan = tell(plane, agent, one, one, one | {"source_path": "/other"})
    assert (scan["certificates_found"], scan["certificates_new"]) == (2, 2)
    assert sorted(r["source_path"] for r in rows_of(plane, agent)) == ["/etc/ssl/twice.example.com.pem", "/other"]


def test_a_scan_in_parts(plane, agent):
    entries = [certificate(f"p{i}.example.com") for i in range(5)]
    scan = tell(plane, agent, *entries[:2], errors=["a"])
    scan = tell(plane, agent, *entries[2:], discovery_scan_id=scan["id"], directories=["/srv"], scan_duration_ms=90)
    assert (scan["certificates_found"], scan["certificates_new"], scan["errors_count"], scan["directories"], scan["scan_duration_ms"]) \
        == (5, 5, 1, ["/etc/ssl", "/srv"], 90)
    # A part whose answer was lost comes again.
    again = tell(plane, agent, *entries[2:], discovery_scan_id=scan["id"])
    assert (again["id"], again["certificates_found"], again["certificates_new"]) == (scan["id"], 5, 5)
    assert {r["discovery_scan_id"] for r in rows_of(plane, agent)} == {scan["id"]}
    assert plane.api.get(f"{V1}/discovery-scans?agent_id={agent[0]}")[1]["total"] == 1


def test_a_scan_of_another_agent_is_refused(plane, agent):
    other = plane.api.need("POST", f"{V1}/agents", {"name": f"{agent[0]}-other", "hostname": "h"})
    scan = tell(plane, agent, certificate("a.example.com"))
    for wrong in (scan["id"], "dscan-none"):
        status, reply = plane.api.post(f"{V1}/agents/{other['id']}/discoveries",
                                       report(certificate("b.example.com"), discovery_scan_id=wrong), key=other["api_key"])
        assert status == 400 and "discovery_scan_id" in reply["message"]
    assert rows_of(plane, (other["id"],)) == []


def test_what_the_certificate_says_goes_before_what_is_said_of_it(plane, agent):
    entry = certificate("own.example.com", serial=0xABCDEF, is_ca=True, sans=[x509.DNSName("own.example.com"), x509.RFC822Name("a@example.com")])
    bare = {k: entry[k] for k in ("fingerprint_sha256", "pem_data", "source_path")}
    wrong = entry | {"not_before": "2001-01-01T00:00:00Z", "not_after": "2002-01-01T00:00:00Z", "is_ca": False, "key_algorithm": "RSA",
                     "key_size": 1024, "serial_number": "00ABCDEF", "fingerprint_sha256": entry["fingerprint_sha256"].upper(),
                     "source_path": "/wrong", "source_format": ""}
    tell(plane, agent, bare, wrong)
    for row in rows_of(plane, agent):
        assert row["not_before"] == "2026-11-01T00:00:00Z" and row["not_after"] == entry["not_after"]
        assert (row["is_ca"], row["key_algorithm"], row["key_size"], row["serial_number"]) == (True, "ECDSA", 256, "abcdef")
        assert row["fingerprint_sha256"] == entry["fingerprint_sha256"] and row["source_format"] == "PEM"
        if row["source_path"] != "/wrong":
            assert row["subject_dn"] == row["issuer_dn"] == "O=Found\\, Inc,CN=own.example.com"
            assert row["sans"] == ["own.example.com", "a@example.com"] and row["common_name"] == "own.example.com"


def test_a_certificate_that_is_only_told_of(plane, agent):
    """No text of it, nor what else may be left out; an agent that had told all before says as little."""
    entry = certificate("told.example.com")
    tell(plane, agent, {"fingerprint_sha256": entry["fingerprint_sha256"], "source_path": entry["source_path"], "sans": None,
                        "not_before": "0001-01-01T00:00:00Z", "not_after": ""})
    row, = rows_of(plane, agent, "&fields=id,sans,not_before,not_after,pem_data,status")
    assert row == {"id": row["id"], "sans": [], "status": "Unmanaged"}
    assert tell(plane, agent, entry)["certificates_new"] == 0
    row, = rows_of(plane, agent, "&fields=pem_data,status")
    assert row == {"pem_data": entry["pem_data"], "status": "Unmanaged"}
    tell(plane, agent, {k: v for k, v in entry.items() if k != "pem_data"})
    assert rows_of(plane, agent, "&fields=pem_data,status") == [row]


def test_a_private_key_is_never_kept(plane, agent):
    entry = certificate("secret.example.com")
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        key = KEY.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
        for text in (key, key + entry["pem_data"], entry["pem_data"] + key, entry["pem_data"] + "x" + key, "\ufeff" + key + entry["pem_data"],
                     key.replace("EC PRIVATE KEY", "CERTIFICATE").replace("PRIVATE KEY", "CERTIFICATE")):
            status, reply = plane.api.post(f"{V1}/agents/{agent[0]}/discoveries", report(entry | {"pem_data": text}), key=agent[1])
            assert status == 400 and "certificates[0].pem_data must be one certificate" in reply["message"]
            assert not any(line in reply["message"] for line in key.splitlines())
    assert rows_of(plane, agent) == []
    # Around it white space alone is welcome; what is kept is the certificate, written anew.
    tell(plane, agent, entry | {"pem_data": f"\r\n{entry['pem_data']}\t\n"})
    row, = rows_of(plane, agent, "&fields=pem_data")
    assert row["pem_data"] == entry["pem_data"]


BAD = [
    ({"certificates": [], "errors": []}, "neither certificates nor errors"),
    ({"certificates": None}, "neither certificates nor errors"),
    ({"certificates": {}}, "certificates must be a list"),
    ({"certificates": [{}] * 1001}, "certificates must be a list of 1000"),
    ({"certificates": [7]}, "certificates[0] must be an object"),
    ({"certificates": [{}]}, "certificates[0].fingerprint_sha256 must be"),
    ({"directories": "/etc"}, "directories must be a list"),
    ({"directories": ["x"] * 101}, "directories must be a list of 100"),
    ({"directories": [1]}, "directories must be a list"),
    ({"errors": ["x", 1]}, "errors must be a list"),
    ({"errors": ["x"] * 10001}, "errors must be a list of 10000"),
    ({"scan_duration_ms": -1}, "scan_duration_ms"),
    ({"scan_duration_ms": 1 << 31}, "scan_duration_ms"),
    ({"scan_duration_ms": "1"}, "scan_duration_ms"),
    ({"discovery_scan_id": "a b"}, "discovery_scan_id must be"),
    ({"discovery_scan_id": 1}, "discovery_scan_id must be"),
]
BAD_ENTRIES = [
    ({"fingerprint_sha256": "ab"}, "fingerprint_sha256 must be"), ({"fingerprint_sha256": "g" * 64}, "fingerprint_sha256 must be"),
    ({"fingerprint_sha256": 1}, "fingerprint_sha256 must be"), ({"fingerprint_sha256": "0" * 64}, "fingerprint_sha256 is not that"),
    ({"serial_number": "12:34"}, "serial_number must be"), ({"serial_number": "-"}, "serial_number must be"),
    ({"serial_number": "a" * 130}, "serial_number must be"), ({"serial_number": "1"}, "serial_number is not that"),
    ({"sans": "x"}, "sans must be"), ({"sans": [None]}, "sans must be"), ({"sans": ["x"] * 600 + [7]}, "sans must be"),
    ({"common_name": 1}, "common_name must be"), ({"issuer_dn": []}, "issuer_dn must be"), ({"subject_dn": {}}, "subject_dn must be"),
    ({"not_before": "yesterday"}, "not_before must be"), ({"not_after": "2026-02-30T00:00:00Z"}, "not_after must be"),
    ({"not_after": 1}, "not_after must be"), ({"key_algorithm": 1}, "key_algorithm must be"), ({"key_size": "1"}, "key_size must be"),
    ({"key_size": -1}, "key_size must be"), ({"key_size": 1.5}, "key_size must be"), ({"is_ca": "no"}, "is_ca must be"),
    ({"pem_data": 1}, "pem_data must be"), ({"pem_data": "x"}, "pem_data must be"),
    ({"pem_data": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "pem_data must be"),
    ({"source_path": 1}, "source_path must be"), ({"source_format": 1}, "source_format must be"),
]


@pytest.mark.parametrize("change, why", BAD)
def test_a_report_that_is_none(plane, agent, change, why):
    status, reply = plane.api.post(f"{V1}/agents/{agent[0]}/discoveries", report(certificate("a.example.com")) | change, key=agent[1])
    assert status == 400 and why in reply["message"] and set(reply) == {"error", "message"}, reply
    assert rows_of(plane, agent) == []


def test_more_names_than_are_kept_cost_no_report(plane, agent):
    entry = certificate("many.example.com") | {"pem_data": "", "sans": [f"h{i}" for i in range(1500)]}
    tell(plane, agent, entry)
    row, = rows_of(plane, agent, "&fields=sans")
    assert row["sans"] == [f"h{i}" for i in range(500)]


@pytest.mark.parametrize("change, why", BAD_ENTRIES)
def test_an_entry_that_is_none(plane, agent, change, why):
    """One refuses the report, and is named."""
    entries = [certificate("a.example.com"), certificate("b.example.com") | change]
    status, reply = plane.api.post(f"{V1}/agents/{agent[0]}/discoveries", report(*entries), key=agent[1])
    assert status == 400 and f"certificates[1].{why}" in reply["message"], reply
    assert rows_of(plane, agent) == []


def test_odd_texts_are_cleaned(plane, agent):
    """What lies about on hosts is named as its owners liked."""
    entry = certificate("odd.example.com")
    del entry["pem_data"]
    odd = "a\u202e\u0007\n<b>\U0001f600 "
    tell(plane, agent, entry | {"common_name": odd, "sans": [odd, ""], "issuer_dn": odd * 900, "subject_dn": odd, "source_path": odd,
                                "source_format": odd, "key_algorithm": odd}, directories=[odd], errors=[odd, odd * 100])
    row, = rows_of(plane, agent)
    clean = "a???<b>\U0001f600 "
    assert {row[k] for k in ("common_name", "subject_dn", "source_path", "source_format", "key_algorithm")} == {clean}
    assert row["sans"] == [clean, ""] and row["issuer_dn"].startswith(clean * 100) and len(row["issuer_dn"].encode()) <= 2048
    scan, = plane.api.get(f"{V1}/discovery-scans?agent_id={agent[0]}")[1]["data"]
    assert scan["directories"] == [clean] and scan["errors"][0] == clean and len(scan["errors"][1].encode()) <= 300


def test_many_errors_are_counted_and_the_first_are_told(plane, agent):
    scan = tell(plane, agent, errors=[f"error {i}" for i in range(3000)])
    assert scan["errors_count"] == 3000 and scan["errors"] == [f"error {i}" for i in range(20)] and scan["certificates_found"] == 0


def test_a_thousand_at_once(plane, agent):
    entries = []
    for i in range(1000):
        entries.append({"fingerprint_sha256": hashlib.sha256(f"{agent}{i}".encode()).hexdigest(), "source_path": f"/f/{i}"})
    before = summary(plane)["Unmanaged"]
    assert tell(plane, agent, *entries)["certificates_new"] == 1000
    assert tell(plane, agent, *entries[::-1])["certificates_new"] == 0
    assert summary(plane)["Unmanaged"] == before + 1000


def test_who_may_report(plane, agent):
    entry = certificate("who.example.com")
    path = f"{V1}/agents/{agent[0]}/discoveries"
    other = plane.api.need("POST", f"{V1}/agents", {"name": f"{agent[0]}-b", "hostname": "h"})
    assert plane.api.post(path, report(entry), key=other["api_key"])[0] == 403
    assert plane.api.post(path, report(entry))[0] == 202  # a key with discovery.run
    assert plane.value("SELECT actor_type FROM audit_events WHERE action = 'discovery_scan_completed' ORDER BY seq DESC LIMIT 1") == "APIKey"
    assert plane.api.post(f"{V1}/agents/nobody/discoveries", report(entry))[0] == 404
    plane.api.need("DELETE", f"{V1}/agents/{agent[0]}")
    assert plane.api.post(path, report(entry), key=agent[1])[0] == 410


def test_two_reports_at_once(plane, agent):
    entries = [certificate(f"same{i}.example.com") for i in range(60)]
    scans = []

    def send(some):
        scans.append(tell(plane, agent, *some))
    threads = [threading.Thread(target=send, args=(some,)) for some in (entries, entries[::-1], entries[20:], entries[:40])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(s["certificates_new"] for s in scans) == 60 and len(scans) == 4
    summary(plane)


# --- whose it is ---

def manage(plane, name, entry=None, serial=None):
    plane.make_certificate(name)
    if entry:
        plane.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, "
                    "issuer_id, job_id, key_holder) VALUES ('v-' || %s, %s, %s, now(), now() + interval '80 days', %s, '', 'iss-local', 'x', 'y')",
                    name, name, serial or entry["serial_number"].rjust(40, "0"), entry["fingerprint_sha256"])
    return name


def test_a_certificate_of_ours_is_known(plane, agent, unique):
    ours, theirs, forged = (certificate(f"{x}.example.com") for x in ("ours", "theirs", "forged"))
    name = manage(plane, unique("mc"), ours)
    manage(plane, unique("mc"), certificate("other.example.com"), forged["serial_number"].rjust(40, "0"))
    tell(plane, agent, ours, theirs, forged)
    rows = {r["common_name"].partition(".")[0]: r for r in rows_of(plane, agent)}
    assert rows["ours"]["status"] == "Managed" and rows["ours"]["managed_certificate_id"] == name
    for other in ("theirs", "forged"):
        assert rows[other]["status"] == "Unmanaged" and "managed_certificate_id" not in rows[other]
    assert [r["id"] for r in rows_of(plane, agent, "&status=managed")] == [rows["ours"]["id"]]
    # One that came to be ours later.
    name = manage(plane, unique("mc"), theirs)
    tell(plane, agent, theirs)
    row = plane.api.get(f"{FOUND}/{rows['theirs']['id']}")[1]
    assert row["status"] == "Managed" and row["managed_certificate_id"] == name
    summary(plane)


def events(plane, row):
    return plane.query("SELECT action, actor, details ->> 'managed_certificate_id' FROM audit_events WHERE resource_type = 'discovered_certificate' "
                       "AND resource_id = %s ORDER BY seq", row["id"])


def test_claim_and_dismiss(plane, agent, unique):
    entry = certificate("claimed.example.com")
    tell(plane, agent, entry)
    row, = rows_of(plane, agent)
    name, other = manage(plane, unique("mc")), manage(plane, unique("mc"))
    claim, dismiss = f"{FOUND}/{row['id']}/claim", f"{FOUND}/{row['id']}/dismiss"
    for body, why in (({}, "managed_certificate_id is required"), ({"managed_certificate_id": ""}, "managed_certificate_id is required"),
                      ({"managed_certificate_id": 7}, "managed_certificate_id"), ({"managed_certificate_id": "none"}, "no such certificate")):
        status, reply = plane.api.post(claim, body)
        assert status == 400 and why in reply["message"] and set(reply) == {"error", "message"}, reply
    for _ in range(2):
        status, reply = plane.api.post(claim, {"managed_certificate_id": name})
        assert status == 200 and reply["status"] == "claimed" and set(reply) == {"status", "message"}
    tell(plane, agent, entry)  # a scan changes nothing of it
    got = plane.api.get(f"{FOUND}/{row['id']}")[1]
    assert got["status"] == "Managed" and got["managed_certificate_id"] == name and got["updated_at"] > row["updated_at"]
    assert plane.api.post(claim, {"managed_certificate_id": other})[0] == 200
    before = summary(plane)
    for body in (None, {}):
        status, reply = plane.api.post(dismiss, body)
        assert status == 200 and reply["status"] == "dismissed" and set(reply) == {"status", "message"}
    assert summary(plane) == before | {"Managed": before["Managed"] - 1, "Dismissed": before["Dismissed"] + 1}
    manage(plane, unique("mc"), entry)
    tell(plane, agent, entry)
    got = plane.api.get(f"{FOUND}/{row['id']}")[1]
    assert got["status"] == "Dismissed" and got["dismissed_at"] and "managed_certificate_id" not in got
    assert plane.api.post(claim, {"managed_certificate_id": name})[0] == 200
    assert "dismissed_at" not in plane.api.get(f"{FOUND}/{row['id']}")[1]
    assert events(plane, row) == [("discovery_cert_claimed", "admin", name), ("discovery_cert_claimed", "admin", other),
                                  ("discovery_cert_dismissed", "admin", None), ("discovery_cert_claimed", "admin", name)]
    plane.api.need("DELETE", f"{V1}/certificates/{other}")
    assert plane.api.post(claim, {"managed_certificate_id": other})[0] == 409
    for what in ("claim", "dismiss"):
        assert plane.api.post(f"{FOUND}/none/{what}", {"managed_certificate_id": name})[0] == 404
    assert plane.api.get(f"{FOUND}/none")[0] == 404


def test_the_numbers_follow_what_operators_write(plane, agent):
    tell(plane, agent, *(certificate(f"sql{i}.example.com") for i in range(4)))
    before = summary(plane)
    plane.query("UPDATE discovered_certificates SET status = 'dismissed' WHERE agent_id = %s AND common_name = 'sql1.example.com'", agent[0])
    plane.query("DELETE FROM discovered_certificates WHERE agent_id = %s AND common_name IN ('sql2.example.com', 'sql3.example.com')", agent[0])
    assert summary(plane) == before | {"Unmanaged": before["Unmanaged"] - 3, "Dismissed": before["Dismissed"] + 1}
    for query, n in (("", None), ("?status=Unmanaged", "Unmanaged"), ("?status=dismissed", "Dismissed")):
        reply = plane.api.get(f"{FOUND}{query}")[1]
        counted = summary(plane)
        assert reply["total"] == (counted[n] if n else sum(counted.values())) and "total_is_estimate" not in reply
    assert plane.api.get(f"{FOUND}?status=none")[1] == {"data": [], "total": 0, "page": 1, "per_page": 50}


def test_the_command_line(plane, agent, unique):
    entry = certificate("cli.example.com")
    tell(plane, agent, entry)
    row, = rows_of(plane, agent)
    name = manage(plane, unique("mc"))
    shown = plane.cli("discovery", "list", "--agent-id", agent[0], "--status", "Unmanaged")
    assert row["id"] in shown.stdout and entry["source_path"] in shown.stdout
    assert entry["fingerprint_sha256"] in plane.cli("discovery", "get", row["id"]).stdout
    assert plane.cli("discovery", "claim", row["id"], name).stdout == "claimed\n"
    assert name in plane.cli("discovery", "list", "--agent-id", agent[0]).stdout
    assert plane.cli("discovery", "dismiss", row["id"]).stdout == "dismissed\n"
    assert plane.cli("discovery", "claim", row["id"], "none").returncode != 0
    assert row["discovery_scan_id"] in plane.cli("discovery", "scans", "--agent-id", agent[0]).stdout
    counted = dict(line.split() for line in plane.cli("discovery", "summary").stdout.splitlines())
    assert {k: int(v) for k, v in counted.items()} == summary(plane)
