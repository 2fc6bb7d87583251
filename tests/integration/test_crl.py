"""
Revocation lists: made by workers, checked by OpenSSL, complete whatever
commits when, never replaced by an older one, and served to anyone.
"""
import http.client
import subprocess

import pytest

from fleet import clean_env, wait_for

PATH = "/.well-known/pki/crl/iss-local"


@pytest.fixture(scope="module")
def plane(stack):
    stack.start_scheduler(keep=True, CERTCTL_SCHEDULER_CRL_BEHIND_INTERVAL="1s", CERTCTL_CRL_GENERATION_INTERVAL="1s")
    stack.start_worker(keep=True)
    stack.make_basics()
    return stack


@pytest.fixture(scope="module")
def site(plane):
    site = plane.start_site("demo")
    site.renew_and_wait()
    return site


def fetch(plane, path=PATH, **headers):
    """(status, headers, body), without a key."""
    connection = http.client.HTTPSConnection("127.0.0.1", plane.api_port, context=plane.api.context, timeout=20)
    try:
        connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], text=True, capture_output=True, timeout=30, env=clean_env(),
                          check=False)


class Lists:
    def __init__(self, plane):
        self.plane, self.dir = plane, plane.dir
        self.ca = self.dir / "ca.pem"
        wait_for(lambda: plane.value("SELECT 1 FROM ca_certificates WHERE issuer_id = 'iss-local'"), 20, "the CA")
        self.ca.write_text(plane.value("SELECT cert_pem FROM ca_certificates WHERE issuer_id = 'iss-local'"))

    def text(self):
        """The list as OpenSSL prints it, its signature verified."""
        status, _, body = fetch(self.plane)
        assert status == 200, body
        (self.dir / "list.der").write_bytes(body)
        done = openssl("crl", "-inform", "DER", "-in", self.dir / "list.der", "-CAfile", self.ca, "-noout", "-text", "-verify")
        assert done.returncode == 0 and "verify OK" in done.stderr, done.stderr
        return done.stdout

    def serials(self):
        return {line.split(":")[1].strip().lower().zfill(40) for line in self.text().splitlines() if "Serial Number:" in line}

    def wait_for_serial(self, serial):
        wait_for(lambda: serial in self.serials(), 30, f"{serial} in the list", every=0.2)

    def verify(self, chain):
        """openssl verify of a PEM chain's leaf with the list."""
        (self.dir / "leaf.pem").write_text(chain)
        openssl("crl", "-inform", "DER", "-in", self.dir / "list.der", "-out", self.dir / "list.pem")
        return openssl("verify", "-crl_check", "-CAfile", self.ca, "-CRLfile", self.dir / "list.pem", self.dir / "leaf.pem")


@pytest.fixture(scope="module")
def lists(plane):
    lists = Lists(plane)
    wait_for(lambda: fetch(plane)[0] == 200, 30, "the first list", every=0.1)
    return lists


def revoke(query, serial, reason="keyCompromise", certificate="demo", **more):
    columns = {"id": f"rev-{serial}", "certificate_id": certificate, "serial_number": serial, "reason": reason,
               "revoked_by": "test", "issuer_id": "iss-local"} | more
    query(f"INSERT INTO certificate_revocations ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})",
          *columns.values())


def test_an_empty_list_is_served(plane, lists):
    status, headers, body = fetch(plane)
    assert status == 200
    assert headers["Content-Type"] == "application/pkix-crl"
    assert headers["Cache-Control"] == "public, max-age=3600, must-revalidate"
    assert "No Revoked Certificates" in lists.text()
    assert "X509v3 CRL Number" in lists.text() and "X509v3 Authority Key Identifier" in lists.text()
    tag = headers["ETag"]
    assert tag.startswith('W/"') and len(tag) == 36
    status, headers, body = fetch(plane, If_None_Match=tag)
    assert (status, body, headers["ETag"]) == (304, b"", tag)
    assert headers["Cache-Control"] == "public, max-age=3600, must-revalidate"
    assert fetch(plane, If_None_Match=tag[2:])[0] == 200
    assert fetch(plane, If_None_Match="*" * 100)[0] == 200


def test_a_revoked_certificate_is_refused(plane, site, lists):
    serial, chain = plane.query("SELECT v.serial_number, v.pem_chain || c.pem FROM certificate_versions v "
                                "JOIN certificate_chains c ON c.id = v.chain_id WHERE v.certificate_id = 'demo'")[0]
    lists.text()
    done = lists.verify(chain)
    assert done.returncode == 0, done.stderr
    revoke(plane.query, serial)
    lists.wait_for_serial(serial)
    assert "Key Compromise" in lists.text()
    done = lists.verify(chain)
    assert done.returncode != 0 and "certificate revoked" in done.stderr


def test_reasons_and_numbers(plane, site, lists):
    first = plane.value("SELECT crl_number FROM crl_cache WHERE issuer_id = 'iss-local'")
    revoke(plane.query, f"{0x5001:040x}", "unspecified")
    revoke(plane.query, f"{0x80:x}", "certificateHold")
    revoke(plane.query, "no serial at all")
    lists.wait_for_serial(f"{0x80:040x}")
    lists.wait_for_serial(f"{0x5001:040x}")
    text = lists.text()
    assert "Certificate Hold" in text and "Unspecified" not in text
    assert plane.value("SELECT crl_number FROM crl_cache WHERE issuer_id = 'iss-local'") > first
    rows = plane.query("SELECT crl_number FROM crl_generation_events WHERE issuer_id = 'iss-local' ORDER BY id")
    assert len(rows) == len(set(rows)) >= 3


def test_what_commits_late_is_not_forgotten(plane, site, lists):
    late, other = f"{0x6001:040x}", f"{0x6002:040x}"
    connection = plane.connect()
    with connection.cursor() as cursor:
        revoke(lambda sql, *p: cursor.execute(sql, p), late)
        # A list is made while it is open, so its time says nothing.
        revoke(plane.query, other)
        lists.wait_for_serial(other)
        assert late not in lists.serials()
        connection.commit()
    connection.close()
    lists.wait_for_serial(late)


def test_a_list_at_rest_is_not_made_again(plane, site, lists):
    """Only what changed makes work; half its life is the other reason."""
    wait_for(lambda: plane.value("SELECT NOT crl_is_behind(issuer_id, this_update, snapshot) FROM crl_cache"), 20, "the list")
    number = plane.value("SELECT crl_number FROM crl_cache")
    plane.wait_for_duty("crl_refresh", 3)
    assert plane.value("SELECT crl_number FROM crl_cache") == number
    plane.query("UPDATE crl_cache SET this_update = this_update - interval '13 hours', next_update = next_update - interval '13 hours'")
    wait_for(lambda: plane.value("SELECT crl_number FROM crl_cache") > number, 20, "the next list")


def test_one_that_ended_is_asked_for(plane, lists):
    number = plane.value("SELECT crl_number FROM crl_cache")
    plane.query("UPDATE crl_cache SET this_update = now() - interval '25 hours', next_update = now() - interval '1 hour'")
    status, headers, _ = fetch(plane)
    if status != 200:  # the duty may be as quick
        assert status == 503 and headers["Retry-After"]
    wait_for(lambda: plane.value("SELECT crl_number FROM crl_cache") > number, 20, "the next list")
    assert fetch(plane)[0] == 200


def test_issuers_without_a_list(plane):
    status, _, body = fetch(plane, "/.well-known/pki/crl/iss-nobody")
    assert status == 404 and b"request_id" not in body
    plane.query("INSERT INTO issuers (id, name, type) VALUES ('iss-vault', 'Vault', 'VaultPKI')")
    assert fetch(plane, "/.well-known/pki/crl/iss-vault")[0] == 501
    # Made by hand, so that nothing has begun to make its CA.
    plane.query("INSERT INTO issuers (id, name, type) VALUES ('iss-new', 'New', 'GenericCA')")
    status, headers, _ = fetch(plane, "/.well-known/pki/crl/iss-new")
    assert status == 503 and int(headers["Retry-After"]) > 0
    wait_for(lambda: fetch(plane, "/.well-known/pki/crl/iss-new")[0] == 200, 30, "its list", every=0.1)


def test_a_ca_that_cannot_be_opened(plane):
    plane.query("INSERT INTO issuers (id, name, type, config) VALUES ('iss-bad', 'Bad', 'GenericCA', "
                "'{\"ca_cert_path\": \"/nonexistent/ca.pem\", \"ca_key_path\": \"/nonexistent/ca.key\"}')")
    assert fetch(plane, "/.well-known/pki/crl/iss-bad")[0] == 503
    error = wait_for(lambda: plane.value("SELECT error FROM crl_generation_events WHERE issuer_id = 'iss-bad' AND NOT succeeded"),
                     20, "the failure")
    assert "/nonexistent/ca.pem" in error
    assert fetch(plane, "/.well-known/pki/crl/iss-bad")[0] == 503
    assert plane.value("SELECT count(*) FROM tasks WHERE issuer_id = 'iss-bad'") == 1
    plane.query("DELETE FROM tasks WHERE issuer_id = 'iss-bad'")


def test_admin(plane, site, lists):
    status, reply = plane.api.get("/api/v1/admin/crl/cache")
    assert status == 200
    assert reply["row_count"] == len(reply["cache_rows"]) >= 1 and reply["generated_at"].endswith("Z")
    row = next(r for r in reply["cache_rows"] if r["issuer_id"] == "iss-local")
    assert row["cache_present"] is True and row["crl_number"] > 0 and row["revoked_count"] >= 4
    assert row["recent_events"][0]["succeeded"] is True and row["recent_events"][0]["crl_number"] <= row["crl_number"]
    for r in reply["cache_rows"]:
        seconds = [e["started_at"][:19] for e in r["recent_events"]]
        assert seconds == sorted(seconds, reverse=True)
    counted = dict(plane.query("SELECT issuer_id, least(count(*), 10) FROM crl_generation_events GROUP BY 1"))
    assert {r["issuer_id"]: len(r["recent_events"]) for r in reply["cache_rows"] if r["recent_events"]} == {
        i: n for i, n in counted.items() if i in {r["issuer_id"] for r in reply["cache_rows"]}}
    event = row["recent_events"][0]
    assert set(event) == {"started_at", "duration_ms", "succeeded", "crl_number", "revoked_count"} and event["started_at"].endswith("Z")
    assert plane.api.get("/api/v1/admin/crl/cache", key="viewer-" + plane.api.key)[0] == 403


# --- the database's own rules ---

@pytest.fixture
def task(plane, unique):
    """A task that a worker of the test's holds, of an issuer of its own."""
    issuer, name = unique("iss"), unique("task")
    plane.query("INSERT INTO issuers (id, name, type) VALUES (%s, %s, 'VaultPKI')", issuer, issuer)

    # A worker that lives, or its leases are freed.
    plane.query("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES ('w-test', 'w', 'h', 1, "
                "now() + interval '1 hour') ON CONFLICT DO NOTHING")

    def take():
        plane.query("INSERT INTO tasks (id, kind, subject, issuer_id, status, leased_by, lease_id, attempt_until) "
                    "VALUES (%s, 'crl_build', %s, %s, 'Running', 'w-test', 99, now() + interval '1 hour')", name, issuer, issuer)
        return name, issuer
    take.id, take.issuer = name, issuer
    yield take
    plane.query("DELETE FROM tasks WHERE id = %s", name)


def store(plane, task, number, worker="w-test", lease=99):
    return plane.value("SELECT crl_store(%s, %s, %s, '\\x00', %s, now(), now() + interval '1 day', 0, %s, 'f', "
                       "pg_current_snapshot(), 1, 'older')", worker, lease, task, number, f"tag-{number}")


def test_a_lower_number_replaces_nothing(plane, task):
    task()
    assert store(plane, task.id, 10, lease=98) == "lost"
    assert store(plane, task.id, 10, worker="w-other") == "lost"
    assert plane.value("SELECT count(*) FROM crl_cache WHERE issuer_id = %s", task.issuer) == 0
    assert store(plane, task.id, 10) == "stored"
    assert plane.value("SELECT count(*) FROM tasks WHERE id = %s", task.id) == 0
    for number in (9, 10):
        task()
        assert store(plane, task.id, number) == "older"
    task()
    assert store(plane, task.id, 11) == "stored"
    assert plane.value("SELECT etag FROM crl_cache WHERE issuer_id = %s", task.issuer) == "tag-11"


def test_numbers_grow_whatever_the_clock_says(plane, task):
    task()
    ask = "SELECT crl_number FROM crl_begin('w-test', 99, %s)"
    first = plane.value(ask, task.id)
    assert first >= 1700000000
    assert plane.value(ask, task.id) == first + 1
    plane.query("UPDATE crl_numbers SET last_number = %s WHERE issuer_id = %s", first + 10**6, task.issuer)
    assert plane.value(ask, task.id) == first + 10**6 + 1
    assert plane.value("SELECT crl_number FROM crl_begin('w-test', 98, %s)", task.id) is None


def test_what_is_left_out(plane, site, task, unique):
    task()
    plane.query("INSERT INTO certificate_profiles (id, name, allow_short_lived, max_ttl_seconds) VALUES ('p-short', 'short', true, 600) "
                "ON CONFLICT DO NOTHING")
    plane.query("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, "
                "certificate_profile_id) VALUES ('short', 'short', 'short', 'o-test', 't-test', 'iss-local', 'rp-default', 'p-short')")
    cases = [("a1", "demo", "-90 days", "-8 days"), ("a2", "demo", "-90 days", "-6 days"),
             ("a3", "short", "-5 minutes", "5 minutes"), ("a4", "short", "-5 minutes", "90 days")]
    for serial, certificate, start, end in cases:
        serial = serial.zfill(40)
        plane.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, "
                    "pem_chain, issuer_id, job_id) VALUES (%s, %s, %s, now() + %s::interval, now() + %s::interval, '', '', %s, 'x')",
                    unique("certver"), certificate, serial, start, end, task.issuer)
        revoke(plane.query, serial, certificate=certificate, issuer_id=task.issuer, id=unique("rev"))
    found = plane.query("SELECT serial FROM crl_revocations('w-test', 99, %s)", task.id)
    assert found == [("a2".zfill(40),), ("a4".zfill(40),)]
    assert plane.query("SELECT serial FROM crl_revocations('w-test', 98, %s)", task.id) == []
