"""
Network scan targets over the API, and probes of SCEP servers by a worker:
servers that answer well, badly, late and never.
"""
import contextlib
import http.server
import socket
import subprocess
import threading

import pytest

from fleet import clean_env, wait_for

V1 = "/api/v1"
TARGETS = f"{V1}/network-scan-targets"
PROBE, PROBES = f"{V1}/network-scan/scep-probe", f"{V1}/network-scan/scep-probes"
ZERO = "0001-01-01T00:00:00Z"
MEMBERS = {"id", "name", "cidrs", "ports", "enabled", "scan_interval_hours", "timeout_ms", "created_at", "updated_at"}


def brief(reply, status, words, want=400):
    """An error as the contract has it here: without request_id."""
    assert status == want and set(reply) == {"error", "message"} and words in reply["message"], (status, reply)


# --- targets ---

def test_defaults_and_all_fields(stack, api, unique):
    made = api.need("POST", TARGETS, {"name": unique("net"), "cidrs": ["192.0.2.0/24"], "id": "mine", "enabled": False})
    assert set(made) == MEMBERS and made["id"].startswith("nst-")
    assert made["ports"] == [443] and made["enabled"] and (made["scan_interval_hours"], made["timeout_ms"]) == (6, 5000)
    full = {"name": unique("net"), "cidrs": ["198.51.100.7", "2001:db8::/120", "203.0.113.0/30"], "ports": [443, 8443, 1, 65535],
            "enabled": False, "scan_interval_hours": 24, "timeout_ms": 250}
    changed = api.need("PUT", f"{TARGETS}/{made['id']}", full)
    assert {k: changed[k] for k in full} == full and changed["warnings"]
    assert api.need("PUT", f"{TARGETS}/{made['id']}", full | {"ports": [443, 8443, 443, 1, 65535, 1], "timeout_ms": 30000})["ports"] == full["ports"]
    api.need("PUT", f"{TARGETS}/{made['id']}", full)
    # What is left out, or says nothing, stays; enabled is no exception.
    for body in ({}, {"name": "", "cidrs": [], "ports": [], "scan_interval_hours": 0, "timeout_ms": 0}, {"ports": None, "enabled": None}):
        kept = api.need("PUT", f"{TARGETS}/{made['id']}", body)
        assert {k: kept[k] for k in full} == full
    assert api.need("PUT", f"{TARGETS}/{made['id']}", {"enabled": True})["enabled"]
    assert api.need("PUT", f"{TARGETS}/{made['id']}", {"name": "other"})["enabled"]
    listed = api.need("GET", f"{TARGETS}?per_page=500")
    assert [t for t in listed["data"] if t["id"] == made["id"]] == [api.need("GET", f"{TARGETS}/{made['id']}")]
    assert listed["page"] == 1 and listed["total"] == len(listed["data"])
    assert api.call("DELETE", f"{TARGETS}/{made['id']}") == (204, None)
    for method, body in (("GET", None), ("PUT", {}), ("DELETE", None)):
        status, reply = api.call(method, f"{TARGETS}/{made['id']}", body)
        brief(reply, status, "Network scan target not found", 404)
    assert [a for a, in stack.query("SELECT action FROM audit_events WHERE resource_id = %s ORDER BY seq", made["id"])] == [
        "network_scan_target_created", *["network_scan_target_updated"] * 8, "network_scan_target_deleted"]


BLOCK = ["192.0.2.0/24"]


@pytest.mark.parametrize("body, words", [
    ({"cidrs": BLOCK}, "name is required"),
    ({"name": "", "cidrs": BLOCK}, "name is required"),
    ({"name": "x" * 256, "cidrs": BLOCK}, "name must be 255 characters or fewer"),
    ({"name": "a\nb", "cidrs": BLOCK}, "name must not contain control characters"),
    ({"name": "n"}, "cidrs is required"),
    ({"name": "n", "cidrs": []}, "cidrs is required"),
    ({"name": "n", "cidrs": "192.0.2.0/24"}, "cidrs must be an array of strings"),
    ({"name": "n", "cidrs": [7]}, "cidrs must be an array of strings"),
    ({"name": "n", "cidrs": ["192.0.2.0/33"]}, "cidrs must be addresses or blocks of them"),
    ({"name": "n", "cidrs": ["host.example.test"]}, "cidrs must be addresses or blocks of them"),
    ({"name": "n", "cidrs": ["192.0.2.1-192.0.2.9"]}, "cidrs must be addresses or blocks of them"),
    ({"name": "n", "cidrs": ["192.0.0.0/19"]}, "4096 addresses at most"),
    ({"name": "n", "cidrs": ["0.0.0.0/0"]}, "4096 addresses at most"),
    ({"name": "n", "cidrs": ["2001:db8::/115"]}, "4096 addresses at most"),
    ({"name": "n", "cidrs": BLOCK * 65}, "cidrs has more than 64 members"),
    ({"name": "n", "cidrs": [f"203.0.{16 * i}.0/20" for i in range(16)], "ports": list(range(1, 17))}, "more than 1000000"),
    ({"name": "n", "cidrs": [*BLOCK, "169.254.169.254"]}, "169.254.169.254 is not scanned: a link-local address"),
    ({"name": "n", "cidrs": ["224.0.0.0/24"]}, "a multicast address"),
    ({"name": "n", "cidrs": ["ff02::/120"]}, "a multicast address"),
    ({"name": "n", "cidrs": ["0.0.0.0/24"]}, "an unspecified address"),
    ({"name": "n", "cidrs": ["255.255.255.255"]}, "a reserved address"),
    ({"name": "n", "cidrs": ["fd00:ec2::254"]}, "metadata"),
    ({"name": "n", "cidrs": BLOCK, "ports": [0]}, "ports must be an array of whole numbers from 1 to 65535"),
    ({"name": "n", "cidrs": BLOCK, "ports": [65536]}, "ports must be"),
    ({"name": "n", "cidrs": BLOCK, "ports": ["443"]}, "ports must be"),
    ({"name": "n", "cidrs": BLOCK, "ports": list(range(1, 102))}, "ports must be"),
    ({"name": "n", "cidrs": BLOCK, "scan_interval_hours": -1}, "scan_interval_hours must be"),
    ({"name": "n", "cidrs": BLOCK, "timeout_ms": 30001}, "timeout_ms must be"),
    ({"name": "n", "cidrs": BLOCK, "timeout_ms": 99}, "timeout_ms must be")])
def test_bad_targets(api, unique, body, words):
    status, reply = api.post(TARGETS, body)
    brief(reply, status, words)
    if set(body) == {"cidrs"} or body.get("name") == "" or not body.get("cidrs"):
        return
    made = api.need("POST", TARGETS, {"name": unique("net"), "cidrs": BLOCK})
    status, reply = api.call("PUT", f"{TARGETS}/{made['id']}", body)
    brief(reply, status, words)


def test_what_is_stored_counts_too(api, unique):
    """A port more makes too many endpoints of the blocks that are there."""
    made = api.need("POST", TARGETS, {"name": unique("net"), "cidrs": [f"203.0.{16 * i}.0/20" for i in range(16)]})
    status, reply = api.call("PUT", f"{TARGETS}/{made['id']}", {"ports": list(range(1, 17))})
    brief(reply, status, "more than 1000000")


def test_private_and_loopback(stack, unique):
    stack.start_apiserver(3, CERTCTL_BLOCK_RFC1918_OUTBOUND="true", CERTCTL_NETWORK_SCAN_ALLOW_LOOPBACK="true")
    own = stack.apis["apiserver-3"]
    for block, strictly, plainly in (("10.1.2.0/24", "a private address", None), ("fd00::/120", "a unique local address", None),
                                     ("127.0.0.0/24", None, "a loopback address"), ("::1", None, "a loopback address")):
        for api, refused in ((own, strictly), (stack.api, plainly)):
            status, reply = api.post(TARGETS, {"name": unique("net"), "cidrs": [block]})
            if refused:
                brief(reply, status, refused)
            else:
                assert status == 201, reply


def test_bad_bodies(api):
    for raw in (b"", b"[]", b"{", b'{"name": "a"', b"\xff"):
        status, reply = api.call("POST", TARGETS, raw=raw)
        brief(reply, status, "Invalid request body")


# --- SCEP ---

class Scep:
    """A server of a test's own: answers of operations, as (status, bytes); a callable makes one."""

    def __init__(self):
        self.answers, self.asked = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                answer = outer.answers[self.path.rpartition("operation=")[2]]
                status, body, *headers = answer(self) if callable(answer) else answer
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/scep"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, env=clean_env()).stdout


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A CA's certificate and a registration authority's, PEM."""
    where = tmp_path_factory.mktemp("scep")
    for name, is_ca in (("ca", "TRUE"), ("ra", "FALSE")):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/O=Test/CN=scep {name}",
                "-addext", f"basicConstraints=critical,CA:{is_ca}", "-keyout", where / "key", "-out", where / f"{name}.pem")
    return where


@pytest.fixture(scope="module")
def plane(stack):
    stack.start_scheduler()
    stack.start_worker(CERTCTL_NETWORK_SCAN_ALLOW_LOOPBACK="true")
    stack.start_apiserver(2, CERTCTL_NETWORK_SCAN_ALLOW_LOOPBACK="true")
    stack.scan_api = stack.apis["apiserver-2"]
    return stack


@pytest.fixture
def scep():
    with contextlib.closing(Scep()) as server:
        yield server


def wait_for_workers(plane, n):
    wait_for(lambda: plane.value("SELECT count(*) FROM workers WHERE lease_until > clock_timestamp()") == n, what=f"{n} workers")


def probed(plane, url):
    status, reply = plane.scan_api.post(PROBE, {"url": url})
    assert status == 200, reply
    newest = plane.scan_api.need("GET", PROBES)
    assert newest["probe_count"] == len(newest["probes"]) <= 50 and newest["probes"][0] == reply
    return reply


def test_a_modern_server(plane, scep, certificates):
    ra_first = openssl("crl2pkcs7", "-nocrl", "-certfile", certificates / "ra.pem", "-certfile", certificates / "ca.pem", "-outform", "DER")
    scep.answers = {"GetCACaps": (200, b"Renewal\nSHA-512\r\n\r\nSCEPStandard\n\x1b[31m\n"), "GetCACert": (200, ra_first)}
    found = probed(plane, scep.url + "?profile=x")
    assert scep.asked == ["/scep?profile=x&operation=GetCACaps", "/scep?profile=x&operation=GetCACert"]
    assert found["id"].startswith("scep-") and found["target_url"] == scep.url + "?profile=x" and found["reachable"] and "error" not in found
    assert found["advertised_caps"] == ["Renewal", "SHA-512", "SCEPStandard", "?[31m"]
    assert all(found[f"supports_{what}"] for what in ("rfc8894", "aes", "post_operation", "renewal", "sha256", "sha512"))
    assert found["ca_cert_subject"] == found["ca_cert_issuer"] == "CN=scep ca,O=Test" and found["ca_cert_algorithm"] == "RSA"
    assert found["ca_cert_chain_length"] == 2 and not found["ca_cert_expired"] and found["ca_cert_days_to_expiry"] == 29
    assert found["ca_cert_not_before"][:19] <= found["created_at"][:19] < found["ca_cert_not_after"]
    assert found["probed_at"] <= found["created_at"] and found["probe_duration_ms"] < 20_000
    assert plane.value("SELECT details ->> 'url' FROM audit_events WHERE action = 'scep_probe_requested' AND resource_id = %s",
                       found["id"]) == found["target_url"]


def test_an_old_server(plane, scep, certificates):
    scep.answers = {"GetCACaps": (404, b"no"), "GetCACert": (200, openssl("x509", "-in", certificates / "ca.pem", "-outform", "DER"))}
    found = probed(plane, scep.url)
    assert found["reachable"] and found["error"] == "GetCACaps: HTTP status 404" and found["advertised_caps"] == []
    assert not any(found[f"supports_{what}"] for what in ("rfc8894", "aes", "post_operation", "renewal", "sha256", "sha512"))
    assert found["ca_cert_chain_length"] == 1 and found["ca_cert_subject"] == "CN=scep ca,O=Test"


def silent(handler):
    """Nothing is said until the client is gone."""
    handler.rfile.read()
    return 200, b""


@pytest.mark.parametrize("answers, words", [
    ({"GetCACaps": (200, b"AES"), "GetCACert": (200, b"<html>")}, "GetCACert: the answer is no certificate"),
    ({"GetCACaps": (200, b"AES"), "GetCACert": (200, b"\x30" * (1 << 20) + b"x")}, "GetCACert: the answer is larger than allowed"),
    ({"GetCACaps": (200, b"AES"), "GetCACert": (302, b"", ("Location", "http://169.254.169.254/"))}, "GetCACert: HTTP status 302"),
    ({"GetCACaps": (200, b"x" * (1 << 17)), "GetCACert": (200, b"")}, "GetCACaps: the answer is larger than allowed"),
    ({"GetCACaps": (200, b"AES"), "GetCACert": (500, b"")}, "GetCACert: HTTP status 500")])
def test_what_is_no_answer(plane, scep, answers, words):
    scep.answers = answers
    found = probed(plane, scep.url)
    assert found["reachable"] and words in found["error"] and found["ca_cert_chain_length"] == 0
    assert found["ca_cert_not_before"] == found["ca_cert_not_after"] == ZERO and "ca_cert_subject" not in found
    assert len(scep.asked) == 2  # a redirect is not followed


def test_nobody_there(plane):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        found = probed(plane, f"http://127.0.0.1:{s.getsockname()[1]}/scep")
    assert not found["reachable"] and found["error"].startswith("GetCACaps: ") and found["ca_cert_days_to_expiry"] == 0


def test_the_worker_has_the_last_word(plane):
    """A name, whose address only who connects to it knows."""
    plane.processes["worker-1"].stop()
    plane.start_worker(2)
    try:
        wait_for_workers(plane, 1)
        found = probed(plane, "http://localhost:1/scep")
    finally:
        plane.processes["worker-2"].stop()
        plane.processes["worker-1"].start()
        wait_for_workers(plane, 1)
    assert not found["reachable"] and "a loopback address, where calls may not go" in found["error"]


@pytest.mark.parametrize("body, words", [
    ({}, "url is required"), ({"url": ""}, "url is required"), ({"url": 7}, "url must be a string"),
    ({"url": "ftp://x/"}, "url must be an address http://host/"), ({"url": "x" * 2049}, "url must be 2048 characters or fewer"),
    ({"url": "http://u:p@h/"}, "url must hold no user"), ({"url": "http://169.254.169.254/"}, "url leads to a link-local address"),
    ({"url": "http://127.1/"}, "url leads to a loopback address"), ({"url": "http://[::ffff:127.0.0.1]/"}, "url leads to a loopback address")])
def test_bad_probes(stack, body, words):
    status, reply = stack.api.post(PROBE, body)
    brief(reply, status, words)


def test_the_newest_are_kept(plane, scep):
    scep.answers = {"GetCACaps": (200, b"AES"), "GetCACert": (404, b"")}
    plane.query("INSERT INTO scep_probe_results (id, target_url, reachable, probed_at) SELECT 'scep-old-' || i, 'http://old/', true,"
                " now() - i * interval '1 h' FROM generate_series(1, 60) i")
    found = probed(plane, scep.url)
    kept = plane.scan_api.need("GET", PROBES)["probes"]
    assert len(kept) == plane.value("SELECT count(*) FROM scep_probe_results") == 50
    assert kept[0]["id"] == found["id"] and kept == sorted(kept, key=lambda p: p["probed_at"], reverse=True)


def test_a_worker_dies_in_between(plane, scep, certificates):
    """Another does it from its beginning; who asked hears of it."""
    met, go_on = threading.Event(), threading.Event()

    def hold(_):
        met.set()
        go_on.wait(20)
        return 200, openssl("x509", "-in", certificates / "ca.pem", "-outform", "DER")
    scep.answers = {"GetCACaps": (200, b"AES"), "GetCACert": hold}
    result = {}
    asking = threading.Thread(target=lambda: result.update(zip(("status", "reply"), plane.scan_api.post(PROBE, {"url": scep.url}), strict=True)))
    asking.start()
    assert met.wait(20)
    plane.processes["worker-1"].kill()
    go_on.set()
    plane.processes["worker-1"].start()
    asking.join()
    assert result["status"] == 200 and result["reply"]["ca_cert_chain_length"] == 1, result
    assert len(scep.asked) >= 3
    wait_for(lambda: not plane.value("SELECT count(*) FROM tasks WHERE kind = 'scep_probe'"), what="the end of the task")


def test_a_worker_that_dies_half_way(plane, scep, certificates):
    """The worker that comes after it asks everything again."""
    scep.answers = {"GetCACaps": (200, b"AES"), "GetCACert": (200, openssl("x509", "-in", certificates / "ca.pem", "-outform", "DER"))}
    plane.processes["worker-1"].stop()
    fault = plane.dir / "fault"
    fault.write_text("worker.scep_probe.half\n")
    worker = plane.start_worker(keep=True, CERTCTL_NETWORK_SCAN_ALLOW_LOOPBACK="true", CERTCTL_FAULT_FILE=str(fault))
    wait_for_workers(plane, 1)
    found = probed(plane, scep.url)
    assert worker.exits == [-9] and not fault.exists() and len(scep.asked) == 3
    assert found["supports_aes"] and found["ca_cert_chain_length"] == 1
    worker.stop()
    plane.start_worker(CERTCTL_NETWORK_SCAN_ALLOW_LOOPBACK="true")


def test_no_worker(plane):
    plane.processes["worker-1"].stop()
    try:
        wait_for_workers(plane, 0)
        status, reply = plane.scan_api.post(PROBE, {"url": "http://127.0.0.1:1/"})
        brief(reply, status, "No worker runs", 503)
    finally:
        plane.processes["worker-1"].start()
