"""
Scans of the network: what servers on this host show, in the database and over
the API; intervals; limits; what becomes of a scan whose worker is killed.
"""
import contextlib
import socket
import ssl
import subprocess
import threading

import pytest

from fleet import clean_env, wait_for

LIMIT_S = 150
V1 = "/api/v1"
TARGETS = f"{V1}/network-scan-targets"
LOOPBACK = {"CERTCTL_NETWORK_SCAN_ALLOW_LOOPBACK": "true"}


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True, env=clean_env()).stdout


class Servers:
    """TLS servers of this process, at addresses and ports of the loopback network."""

    def __init__(self, directory):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=scan ca",
                "-keyout", directory / "ca.key", "-out", directory / "ca.pem")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=found.example.test",
                "-addext", "subjectAltName=DNS:found.example.test,IP:192.0.2.9", "-keyout", directory / "key", "-out", directory / "csr")
        openssl("x509", "-req", "-in", directory / "csr", "-CA", directory / "ca.pem", "-CAkey", directory / "ca.key", "-days", "2",
                "-copy_extensions", "copy", "-out", directory / "leaf.pem")
        (directory / "chain.pem").write_text((directory / "leaf.pem").read_text() + (directory / "ca.pem").read_text())
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(directory / "chain.pem", directory / "key")
        self.leaf = openssl("x509", "-in", directory / "leaf.pem", "-noout", "-fingerprint", "-sha256").partition("=")[2].replace(":", "").strip().lower()
        self.sockets = []
        self.met, self.held = threading.Event(), None

    def listen(self, host, port=0, talk=None):
        """Its port; talk gets each connection instead of TLS."""
        server = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=64)
        self.sockets.append(server)
        threading.Thread(target=self.serve, args=(server, talk), daemon=True).start()
        return server.getsockname()[1]

    def serve(self, server, talk):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.answer, args=(server.accept()[0], talk), daemon=True).start()

    def answer(self, peer, talk):
        with contextlib.suppress(OSError), peer:
            peer.settimeout(20)
            if talk:
                talk(peer)
                return
            with self.context.wrap_socket(peer, server_side=True) as tls:
                tls.recv(1)

    def close(self):
        for server in self.sockets:
            server.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with contextlib.closing(Servers(tmp_path_factory.mktemp("scan"))) as found:
        yield found


@pytest.fixture(scope="module")
def plane(stack):
    stack.start_apiserver(2, **LOOPBACK)
    stack.start_scheduler(CERTCTL_NETWORK_SCAN_ENABLED="true", CERTCTL_NETWORK_SCAN_INTERVAL="1s")
    start_worker(stack)
    stack.scan_api = stack.apis["apiserver-2"]
    return stack


def start_worker(stack, **env):
    stack.start_worker(**({"CERTCTL_NETWORK_SCAN_RATE": "2000"} | LOOPBACK | env))


@pytest.fixture
def idle(plane):
    """Nothing is scanned by itself, nothing was found."""
    plane.query("UPDATE network_scan_targets SET enabled = false")
    wait_for(lambda: not plane.value("SELECT count(*) FROM tasks WHERE kind = 'network_scan' AND status <> 'Failed'"),
             what="the end of scans before")
    plane.query("TRUNCATE discovered_certificates, discovery_scans CASCADE")
    return plane


def target(plane, cidrs, ports, **more):
    """A target that is scanned when it is asked for."""
    made = plane.scan_api.need("POST", TARGETS, {"name": "t", "cidrs": cidrs, "ports": ports, "timeout_ms": 1000} | more)
    plane.query("UPDATE network_scan_targets SET enabled = false WHERE id = %s", made["id"])
    return made["id"]


def scan(plane, nst):
    status, reply = plane.scan_api.post(f"{TARGETS}/{nst}/scan")
    assert status == 202, reply
    return reply


def ended(plane, one, seconds=30):
    """The row of a scan, when it is over."""
    def row():
        found = [s for s in plane.scan_api.need("GET", f"{V1}/discovery-scans?agent_id=server-scanner&per_page=500")["data"] if s["id"] == one["id"]]
        return found[0] if found and "completed_at" in found[0] else None
    return wait_for(row, seconds, what="the end of a scan")


def found(plane):
    return plane.scan_api.need("GET", f"{V1}/discovered-certificates?agent_id=server-scanner&per_page=500")["data"]


def test_what_is_found(idle, servers):
    plain = servers.listen("127.0.0.1", talk=lambda peer: peer.sendall(b"220 mail.example.test ESMTP\r\n"))
    v4, v6 = servers.listen("127.0.0.2"), servers.listen("::1")
    nst = target(idle, ["127.0.0.0/30", "::1"], [v4, v6, plain])
    begun = scan(idle, nst)
    assert begun["agent_id"] == "server-scanner" and begun["directories"] == ["127.0.0.0/30", "::1"] and "completed_at" not in begun
    over = ended(idle, begun)
    assert over["certificates_found"] == over["certificates_new"] == 4
    assert over["errors_count"] == 1 and over["errors"][0].startswith(f"127.0.0.1:{plain}: ")
    rows = found(idle)
    places = {f"127.0.0.2:{v4}", f"[::1]:{v6}"}
    assert {r["source_path"] for r in rows} == places and {r["source_format"] for r in rows} == {"network"}
    leaves = [r for r in rows if r["fingerprint_sha256"] == servers.leaf]
    assert {r["source_path"] for r in leaves} == places
    assert all(r["common_name"] == "found.example.test" and r["sans"] == ["found.example.test", "192.0.2.9"] and r["status"] == "Unmanaged"
               and r["discovery_scan_id"] == begun["id"] and not r["is_ca"] for r in leaves)
    assert sorted(r["common_name"] for r in rows) == ["found.example.test"] * 2 + ["scan ca"] * 2
    known = idle.scan_api.need("GET", f"{TARGETS}/{nst}")
    assert known["last_scan_at"] == begun["started_at"] and known["last_scan_certs_found"] == 4
    assert known["last_scan_duration_ms"] == over["scan_duration_ms"] < 30_000
    # Again: nothing new, the same rows.
    again = ended(idle, scan(idle, nst))
    assert (again["certificates_found"], again["certificates_new"], again["id"] != begun["id"]) == (4, 0, True)
    assert {r["id"] for r in found(idle)} == {r["id"] for r in rows}
    actions = [a for a, in idle.query("SELECT action FROM audit_events WHERE resource_id IN (%s, %s) ORDER BY seq", nst, begun["id"])]
    assert actions == ["network_scan_target_created", "network_scan_requested", "discovery_scan_completed", "network_scan_requested"]


def test_the_agent_that_is_none(idle, servers):
    ended(idle, scan(idle, target(idle, ["127.0.0.2"], [servers.listen("127.0.0.2")])))
    assert idle.api.need("GET", f"{V1}/agents/server-scanner")["name"] == "server-scanner"
    assert idle.api.call("DELETE", f"{V1}/agents/server-scanner")[0] == 403
    for key in ("", "x"):
        assert idle.api.get(f"{V1}/agents/server-scanner/work", key=key)[0] == 401


def test_a_name_that_is_taken(idle, servers):
    """Some agent was called so before anything was scanned."""
    idle.query("UPDATE agents SET name = 'was the scanner' WHERE id = 'server-scanner'")
    idle.query("TRUNCATE discovered_certificates, discovery_scans CASCADE")
    idle.query("DELETE FROM agents WHERE id = 'server-scanner'")
    idle.query("INSERT INTO agents (id, name, hostname, api_key_hash) VALUES ('agent-odd', 'server-scanner', 'h', 'odd')")
    assert ended(idle, scan(idle, target(idle, ["127.0.0.2"], [servers.listen("127.0.0.2")])))["certificates_found"] == 2
    idle.query("UPDATE agents SET name = 'odd' WHERE id = 'agent-odd'")


def test_by_interval(idle, servers):
    """The duty; a scan under way is not begun again, and the next is an interval after it began."""
    made = idle.scan_api.need("POST", TARGETS, {"name": "t", "cidrs": ["127.0.0.2"], "ports": [servers.listen("127.0.0.2")], "scan_interval_hours": 3})
    known = wait_for(lambda: (t := idle.scan_api.need("GET", f"{TARGETS}/{made['id']}")).get("last_scan_at") and t, what="its first scan")
    assert known["last_scan_certs_found"] == 2
    due = "SELECT next_scan_at - last_scan_at = interval '%s hours' FROM network_scan_targets WHERE id = %%s"
    assert idle.value(due % 3, made["id"])
    assert idle.scan_api.need("PUT", f"{TARGETS}/{made['id']}", {"scan_interval_hours": 9})["scan_interval_hours"] == 9
    assert idle.value(due % 9, made["id"])
    idle.query("UPDATE network_scan_targets SET next_scan_at = now() WHERE id = %s", made["id"])
    wait_for(lambda: idle.value("SELECT count(*) FROM discovery_scans WHERE completed_at IS NOT NULL") == 2, what="its second scan")
    idle.wait_for_duty("network_scan", 20)
    assert idle.value("SELECT count(*) FROM discovery_scans") == 2


def test_where_scans_never_go(idle):
    """Rows that no API let in: the worker has the last word, and knows blocks from others."""
    idle.processes["worker-1"].stop()
    start_worker(idle, CERTCTL_NETWORK_SCAN_ALLOW_LOOPBACK="false", CERTCTL_BLOCK_RFC1918_OUTBOUND="true")
    idle.query("INSERT INTO network_scan_targets (id, name, cidrs, ports, enabled, timeout_ms) VALUES ('nst-odd', 'odd',"
               " '{127.0.0.0/29,169.254.169.254,10.0.0.0/8,nonsense,192.168.1.0/30}', '{443,0,99999}', false, -5)")
    try:
        over = ended(idle, scan(idle, "nst-odd"))
    finally:
        idle.processes["worker-1"].stop()
        start_worker(idle)
    assert over["certificates_found"] == 0 and over["errors_count"] == 3
    assert [e for e in over["errors"] if "9 endpoints were not asked" in e]
    assert sorted(e for e in over["errors"] if "no block" in e) == [f"{t} is no block of 4096 addresses at most" for t in ("10.0.0.0/8", "nonsense")]


def test_a_target_that_goes_in_between(idle, servers):
    nst = target(idle, ["127.0.0.2"], [hold(servers)], timeout_ms=15000)
    begun = scan(idle, nst)
    assert servers.met.wait(20)
    # Asked for again: the one under way.
    assert scan(idle, nst)["id"] == begun["id"]
    assert idle.scan_api.call("DELETE", f"{TARGETS}/{nst}") == (204, None)
    servers.held.set()
    assert ended(idle, begun)["certificates_found"] == 2
    assert idle.scan_api.post(f"{TARGETS}/{nst}/scan")[0] == 404


def hold(servers):
    """A server that shows nothing until servers.held is set; servers.met: somebody waits."""
    servers.met, servers.held = threading.Event(), threading.Event()

    def talk(peer):
        servers.met.set()
        servers.held.wait(30)
        with servers.context.wrap_socket(peer, server_side=True) as tls:
            tls.recv(1)
    return servers.listen("127.0.0.2", talk=talk)


def test_a_worker_dies_in_between(idle, servers):
    """Another goes on where the last slice ended; nothing is lost and nothing counted twice."""
    late = hold(servers)
    early = [servers.listen("127.0.0.2") for _ in range(4)]
    idle.processes["worker-1"].kill()
    start_worker(idle, CERTCTL_NETWORK_SCAN_PARALLEL="1")  # one after the other, in order
    begun = scan(idle, target(idle, ["127.0.0.2"], [*early, late], timeout_ms=15000))
    assert servers.met.wait(30)
    idle.processes["worker-1"].kill()
    assert idle.value("SELECT count(*) FROM discovered_certificates") == 0  # the slice was not stored
    servers.held.set()
    idle.processes["worker-1"].start()
    over = ended(idle, begun, 60)
    assert over["certificates_found"] == over["certificates_new"] == len(found(idle)) == 10
    assert not idle.value("SELECT count(*) FROM tasks WHERE kind = 'network_scan'")
    idle.processes["worker-1"].stop()
    start_worker(idle)


def test_a_worker_that_dies_with_what_it_found(idle, servers):
    ports = [servers.listen("127.0.0.2") for _ in range(4)]
    idle.processes["worker-1"].stop()
    fault = idle.dir / "fault"
    fault.write_text("worker.network_scan.store\n")
    start_worker(idle, keep=True, CERTCTL_FAULT_FILE=str(fault))
    worker = idle.processes["worker-1"]
    over = ended(idle, scan(idle, target(idle, ["127.0.0.2"], ports)), 60)
    assert worker.exits == [-9] and not fault.exists()
    assert over["certificates_found"] == over["certificates_new"] == len(found(idle)) == 8
    assert not idle.value("SELECT count(*) FROM tasks WHERE kind = 'network_scan'")
    worker.stop()
    start_worker(idle)


def test_many_slices(idle, servers):
    """Where a slice ends the next begins, also when what was found fills it; a position survives each worker."""
    ports = [servers.listen("127.0.0.2") for _ in range(3)]
    nst = target(idle, ["127.0.0.2", "127.0.0.0/29"], ports)
    begun = scan(idle, nst)
    ended(idle, begun)
    # From the middle, as a worker leaves it.
    idle.query("UPDATE network_scan_targets SET scan_id = %s WHERE id = %s", begun["id"], nst)
    idle.query("TRUNCATE discovered_certificates")
    # Both at once: a scan without a task is ended.
    idle.query("UPDATE discovery_scans SET completed_at = NULL;"
               " INSERT INTO tasks (id, kind, subject, dedupe_key, payload) SELECT 'task-half', 'network_scan', n.id, 'network_scan:' || n.id,"
               " jsonb_build_object('scan', n.scan_id, 'at', 2, 'cidrs', n.cidrs, 'ports', n.ports, 'timeout_ms', 1000)"
               " FROM network_scan_targets n WHERE n.id = %s", nst)
    ended(idle, begun)
    places = {r["source_path"] for r in found(idle)}
    assert places == {f"127.0.0.2:{p}" for p in ports}  # those of the second block; of the first only the last was left


def test_what_nobody_goes_on_with(idle):
    """A scan whose task is gone ends, and the target can be scanned again."""
    nst = target(idle, ["127.0.0.2"], [1])
    idle.processes["worker-1"].stop()
    begun = scan(idle, nst)
    idle.query("UPDATE tasks SET status = 'Failed', dedupe_key = NULL, last_error = 'its workers died' WHERE kind = 'network_scan'")
    before = idle.value("SELECT scans_given_up FROM network_totals")
    over = ended(idle, begun)
    assert over["errors"] == ["its workers died"] and over["errors_count"] == 1
    assert idle.value("SELECT scans_given_up FROM network_totals") == before + 1
    again = scan(idle, nst)
    assert again["id"] != begun["id"]
    idle.processes["worker-1"].start()
    assert ended(idle, again)["errors_count"] == 0


def test_metrics(idle, servers):
    def values():
        text = idle.scan_api.call("GET", f"{V1}/metrics/prometheus")[1]
        return {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line.startswith(("certctl_network", "certctl_scep"))}
    before = values()
    ended(idle, scan(idle, target(idle, ["127.0.0.0/29"], [servers.listen("127.0.0.2")])))
    after = values()
    grown = {name: after[name] - before[name] for name in after if name.endswith("_total")}
    assert grown == {"certctl_network_scans_total": 1, "certctl_network_scans_given_up_total": 0, "certctl_network_scan_endpoints_total": 6,
                     "certctl_network_scan_certificates_total": 2, "certctl_network_scan_errors_total": 0, "certctl_scep_probes_total": 0}
    assert after["certctl_network_scans_running"] == 0 and after["certctl_network_scan_late_seconds"] == 0


def test_off_unless_told(stack, plane, idle):
    idle.processes["scheduler-1"].stop()
    idle.start_scheduler()
    try:
        off = wait_for(lambda: idle.value("SELECT off_reason FROM duties WHERE name = 'network_scan'"), what="the table of duties")
        assert "CERTCTL_NETWORK_SCAN_ENABLED" in off
        assert ended(idle, scan(idle, target(idle, ["127.0.0.2"], [1])))["errors_count"] == 0  # asked for, it is made all the same
    finally:
        idle.processes["scheduler-1"].stop()
        idle.start_scheduler(CERTCTL_NETWORK_SCAN_ENABLED="true", CERTCTL_NETWORK_SCAN_INTERVAL="1s")
