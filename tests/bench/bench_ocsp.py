"""
OCSP: answers that somebody asked for before, from memory, and answers with a
nonce, each signed by a worker while its client waits.
"""
import hashlib
import statistics

from cryptography import x509
from cryptography.hazmat.primitives import serialization

import bench as b
from bench_common import BENCH_PG, RUNS, sized
from bench_lists import against_bare
from fleet import Fleet, wait_for

CERTIFICATES = sized(1000, 20)
WORKERS = 2
CONNECTIONS = sized(512, 8)
SERIAL = 0x5019A << 140
FILL = """
WITH made AS (
    INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id, status, expires_at, valid_from)
    SELECT 'mc-' || i, 'mc-' || i, 'mc-' || i || '.example.test', '{}', 'o-test', 't-test', 'iss-local', 'rp-default', 'Active',
        now() + interval '80 days', now() - interval '10 days' FROM generate_series(0, %s - 1) i)
INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, issuer_id, job_id)
SELECT 'certver-' || i, 'mc-' || i, %s || lpad(to_hex(i), 8, '0'), now() - interval '10 days', now() + interval '80 days', 'x', '',
    'iss-local', 'job-' || i FROM generate_series(0, %s - 1) i"""
PREFIX = f"{SERIAL:040x}"[:32]


def start(fleet):
    fleet.start_scheduler()
    for i in range(WORKERS):
        fleet.start_worker(i + 1, CERTCTL_LOG_LEVEL="warn")
    fleet.query(FILL, CERTIFICATES, PREFIX, CERTIFICATES)
    wait_for(lambda: fleet.value("SELECT 1 FROM ca_certificates WHERE issuer_id = 'iss-local'"), 20, "the CA")
    with fleet.admin() as c:
        c.execute("VACUUM ANALYZE")


def kept(fleet):
    path = fleet.dir / "ocsp_get.lua"
    path.write_text(f"""
function request()
    return wrk.format("GET", "/.well-known/pki/ocsp/iss-local/{PREFIX}" .. string.format("%08x", math.random({CERTIFICATES}) - 1))
end
""")
    return path


def cached(bench, fleet):
    start(fleet)
    b.wrk(f"https://127.0.0.1:{fleet.api_port}/", b.CONNECTIONS, b.SECONDS, kept(fleet))  # all are asked for
    against_bare(bench, fleet, "ocsp_cached", kept(fleet), 0.6)


def element(tag, *parts):
    """DER of less than 256 octets."""
    content = b"".join(parts)
    return bytes([tag, *([0x81] if len(content) > 127 else []), len(content)]) + content


def with_nonces(fleet):
    """A request whose serial and nonce change."""
    ca = x509.load_pem_x509_certificate(fleet.value("SELECT cert_pem FROM ca_certificates WHERE issuer_id = 'iss-local'").encode())
    name = hashlib.sha1(ca.subject.public_bytes()).digest()
    key = hashlib.sha1(ca.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)).digest()
    sha1 = bytes.fromhex("300906052b0e03021a0500")
    asked = element(0x30, sha1, element(4, name), element(4, key), element(2, SERIAL.to_bytes(20, "big")))
    nonce = element(0x30, bytes.fromhex("06092b0601050507300102"), element(4, element(4, b"\xaa" * 16)))
    der = element(0x30, element(0x30, element(0x30, element(0x30, asked)), element(0xa2, element(0x30, nonce))))
    head, tail = der.split(SERIAL.to_bytes(20, "big"))
    middle, end = tail.split(b"\xaa" * 16)
    lua = ["".join(f"\\{byte:03d}" for byte in part) for part in (head + bytes.fromhex(PREFIX), middle, end)]
    path = fleet.dir / "ocsp_post.lua"
    path.write_text(f"""
local n = 0
local function word(value)
    return string.char(math.floor(value / 16777216) % 256, math.floor(value / 65536) % 256, math.floor(value / 256) % 256, value % 256)
end
function request()
    n = n + 1
    return wrk.format("POST", "/.well-known/pki/ocsp/iss-local", {{["Content-Type"] = "application/ocsp-request"}},
        "{lua[0]}" .. word(n % {CERTIFICATES}) .. "{lua[1]}" .. string.rep(word(n), 4) .. "{lua[2]}")
end
""")
    return path


def signed(bench, fleet):
    start(fleet)
    asked = with_nonces(fleet)
    bare = bench.bare(fleet)
    ours, p99s, floor, bad = [], [], [], 0
    b.wrk(f"https://127.0.0.1:{fleet.api_port}/", CONNECTIONS, b.SECONDS, asked)  # the responder is made
    for _ in range(RUNS):
        floor.append(b.wrk(f"https://127.0.0.1:{bare}/health", CONNECTIONS, b.SECONDS)[0])
        rate, p99, wrong = b.wrk(f"https://127.0.0.1:{fleet.api_port}/", CONNECTIONS, b.SECONDS, asked)
        ours.append(rate)
        p99s.append(p99)
        bad += wrong
    bench.add("ocsp_signed", statistics.median(ours), "req/s", statistics.median(o / f for o, f in zip(ours, floor)), None,
              f"p99 {statistics.median(p99s):.1f} ms, {CONNECTIONS} connections, {WORKERS} workers, {bad} bad answers; "
              f"bare evhttp {statistics.median(floor):.0f}/s")


def with_plane(measured):
    def entry(bench):
        with Fleet("bench") as fleet:
            fleet.start_postgres(**BENCH_PG)
            bench.look_at_settings(fleet)
            fleet.start_apiserver(CERTCTL_LOG_LEVEL="warn", CERTCTL_OCSP_RATE_LIMIT_PER_IP_MIN="0")
            fleet.make_basics()
            measured(bench, fleet)
    return entry


ENTRIES = {"ocsp_cached": with_plane(cached), "ocsp_signed": with_plane(signed)}
