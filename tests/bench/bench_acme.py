"""
The ACME server: whole signed flows, from new-order to the certificate, beside
Pebble with the same driver; the same with real http-01 on 127.0.0.0/8; and what
clients ask without a signature.
"""
import base64
import json
import re
import statistics
import subprocess
import time

import bench as b
from bench_common import BENCH_PG, RUNS, pss_kb, sized
from bench_lists import against_bare
from cryptography import x509
from fleet import BUILD, Fleet, clean_env, free_port, wait_for

CLIENTS = sized(64, 2)  # as many as two cores have work for
FEW = sized(16, 2)
SECONDS = sized(8, 2)
BURST = sized(200, 8)
BURST_SECONDS = sized(120, 3)
BURST_ORDERS = sized(100, 5)  # an hour, of all together
WORKERS = 2
SERVER = {"CERTCTL_ACME_SERVER_ENABLED": "true", "CERTCTL_ACME_SERVER_RATE_LIMIT_ORDERS_PER_HOUR": "0",
          "CERTCTL_ACME_SERVER_RATE_LIMIT_CONCURRENT_ORDERS": "0", "CERTCTL_ACME_SERVER_RATE_LIMIT_CHALLENGE_RESPONDS_PER_HOUR": "0"}


def load(directory, ca, clients, port=None):
    argv = [BUILD / "tests/bench/acme_load", directory, ca, str(clients), str(SECONDS), *([str(port)] if port else [])]
    run = subprocess.run(argv, capture_output=True, text=True, env=clean_env(), check=False)
    if run.returncode != 0:
        raise SystemExit(f"acme_load: {run.stderr}")
    if run.stderr:
        print(run.stderr.splitlines()[0], flush=True)
    return json.loads(run.stdout)


# --- Pebble ---

class Pebble:
    """That accepts every answer, never refuses a nonce for fun and never waits; with more than one client it deadlocks."""

    def __init__(self, fleet):
        port, tls = free_port(), fleet.dir / "tls"
        self.directory, self.ca = f"https://127.0.0.1:{port}/dir", tls / "api.pem"
        config = fleet.dir / "pebble.json"
        config.write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{port}", "managementListenAddress": f"127.0.0.1:{free_port()}",
            "certificate": str(self.ca), "privateKey": str(tls / "api.key"), "httpPort": free_port(), "tlsPort": free_port(),
            "ocspResponderURL": "", "externalAccountBindingRequired": False}}))
        self.process = fleet.spawn("pebble", ["/usr/bin/pebble", "-config", config], {
            "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_VA_ALWAYS_VALID": "1", "PEBBLE_WFE_NONCEREJECT": "0"})
        wait_for(lambda: fleet.served_serial(port), 20, "pebble")


# --- ours ---

def profile(mode):
    return {"name": "acme", "acme_auth_mode": mode, "issuer_id": "iss-local", "acme_owner_id": "o-test"}


def make_profile(fleet, mode):
    fleet.api.need("POST", "/api/v1/profiles", {"id": "prof-acme"} | profile(mode))
    wait_for(lambda: fleet.value("SELECT 1 FROM ca_certificates WHERE issuer_id = 'iss-local'"), 20, "the CA")


def directory(fleet):
    return f"https://127.0.0.1:{fleet.api_port}/acme/profile/prof-acme/directory"


def trips(fleet):
    """Requests that the apiserver put to its pools of sessions."""
    text = fleet.api.get("/api/v1/metrics/prometheus")[1]
    return sum(float(n) for n in re.findall(r"^certctl_database_requests_total\S* (\S+)$", text, re.M))


def flows(bench, fleet, name, port, against, clients=CLIENTS):
    rates, p50s, p99s, ratios, peers, each, failed = [], [], [], [], [], [], 0
    load(directory(fleet), fleet.dir / "tls/api.pem", clients, port)  # caches fill
    for _ in range(RUNS):
        before = trips(fleet)
        got = load(directory(fleet), fleet.dir / "tls/api.pem", clients, port)
        each.append((trips(fleet) - before) / max(1, got["orders"]))
        rates.append(got["per_s"])
        p50s.append(got["p50_ms"])
        p99s.append(got["p99_ms"])
        failed += got["failed"]
        if against:
            peers.append(load(against.directory, against.ca, 1)["per_s"])
            ratios.append(got["per_s"] / peers[-1])
    note = (f"p50 {statistics.median(p50s):.1f} ms, p99 {statistics.median(p99s):.1f} ms (target 600/s under 50 ms), {clients} clients, "
            f"{WORKERS} workers, {statistics.median(each):.1f} database trips an order, {failed} failed")
    if against:
        note += f"; Pebble, one client {statistics.median(peers):.0f}/s"
    bench.add(name, statistics.median(rates), "orders/s", statistics.median(ratios) if ratios else None, 3.0 if against else None, note)


def orders(bench, fleet):
    make_profile(fleet, "trust_authenticated")
    pebble = Pebble(fleet)
    flows(bench, fleet, "acme_orders", None, pebble)
    flows(bench, fleet, "acme_orders_16", None, None, FEW)


def orders_http01(bench, fleet):
    make_profile(fleet, "challenge")
    flows(bench, fleet, "acme_orders_http01", fleet.http01_port, None)


# --- what needs no signature ---

def asked(fleet, name, *requests):
    path = fleet.dir / f"{name}.lua"
    calls = ", ".join(f'{{"{method}", "{where}"}}' for method, where in requests)
    path.write_text(f"local n, all = 0, {{{calls}}}\nfunction request()\n    n = n % #all + 1\n    return wrk.format(all[n][1], all[n][2])\nend\n")
    return path


def renewal_info(fleet):
    """The path of one certificate that a client got."""
    load(directory(fleet), fleet.dir / "tls/api.pem", 1)
    pem = fleet.value("SELECT pem_chain FROM certificate_versions ORDER BY id DESC LIMIT 1")
    leaf = x509.load_pem_x509_certificate(pem.encode())
    key = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = leaf.serial_number.to_bytes((leaf.serial_number.bit_length() + 8) // 8, "big")
    return "/acme/profile/prof-acme/renewal-info/" + ".".join(base64.urlsafe_b64encode(x).rstrip(b"=").decode() for x in (key, serial))


BASE = "/acme/profile/prof-acme"


def unsigned(name, gate, request):
    def entry(bench, fleet):
        make_profile(fleet, "trust_authenticated")
        against_bare(bench, fleet, name, asked(fleet, name, request(fleet)), gate)
    return with_plane(entry)


def burst(bench, fleet):
    """
    Many connections to three apiservers for a while: memory stays, each order above the account's limit has a 429 as it
    should be, and there is nothing else.  What a connection takes is there from the start: memory is read while all are open.
    """
    make_profile(fleet, "trust_authenticated")
    names = ["apiserver", "apiserver-2", "apiserver-3"]
    for i in (2, 3):
        fleet.start_apiserver(i, CERTCTL_LOG_LEVEL="warn", **SERVER)
    certid = renewal_info(fleet).rsplit("/", 1)[1]
    fleet.api.need("PUT", "/api/v1/profiles/prof-acme", profile("trust_authenticated") | {"acme_limits": {"orders_per_hour": BURST_ORDERS}})
    argv = [BUILD / "tests/bench/acme_burst", fleet.dir / "tls/api.pem", str(BURST), str(BURST_SECONDS), certid,
            *(f"https://127.0.0.1:{fleet.apis[n].port}{BASE}/directory" for n in names)]
    begun = time.monotonic()
    run = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_env())
    taken = []
    for until in (BURST_SECONDS // 3, BURST_SECONDS - 1):
        while run.poll() is None and time.monotonic() < begun + until:
            time.sleep(0.1)
        taken.append([pss_kb(fleet.processes[n].pid) for n in names])
    out, errors = run.communicate()
    if run.returncode != 0:
        raise SystemExit(f"acme_burst: {errors}")
    if errors:
        print(errors.splitlines()[0], flush=True)
    got = json.loads(out)
    grown = max(after - before for before, after in zip(*taken))
    bench.add("acme_burst", grown, "KB grown", None, 1024,
              f"{got['good'] / BURST_SECONDS:.0f} req/s, {BURST} connections to three for {BURST_SECONDS} s, {taken[1]} KB in the end, "
              f"{got['made']} orders, {got['limited']} refused by 429", at_most=True)
    bench.add("acme_burst_bad", got["bad"], "answers", None, 0, "no 5xx, no 429 but a problem with Retry-After, no failure", at_most=True)


def with_plane(measured, **env):
    def entry(bench):
        with Fleet("bench") as fleet:
            fleet.start_postgres(**BENCH_PG)
            bench.look_at_settings(fleet)
            fleet.http01_port = free_port()
            fleet.start_apiserver(CERTCTL_LOG_LEVEL="warn", **SERVER)
            fleet.start_scheduler(CERTCTL_LOG_LEVEL="warn")
            for i in range(WORKERS):
                fleet.start_worker(i + 1, CERTCTL_LOG_LEVEL="warn",
                                   **{key: value.format(port=fleet.http01_port) for key, value in env.items()})
            fleet.make_basics()
            measured(bench, fleet)
    return entry


ENTRIES = {
    "acme_orders": with_plane(orders),
    "acme_orders_http01": with_plane(orders_http01, CERTCTL_ACME_SERVER_HTTP01_PORT="{port}", CERTCTL_ACME_SERVER_ALLOW_LOOPBACK="true",
                                     CERTCTL_ACME_SERVER_HTTP01_CONCURRENCY="100"),
    "acme_directory": unsigned("acme_directory", 0.8, lambda fleet: ("GET", f"{BASE}/directory")),
    "acme_nonce": unsigned("acme_nonce", 0.6, lambda fleet: ("HEAD", f"{BASE}/new-nonce")),
    "acme_ari": unsigned("acme_ari", 0.4, lambda fleet: ("GET", renewal_info(fleet))),
    "acme_burst": with_plane(burst),
}
