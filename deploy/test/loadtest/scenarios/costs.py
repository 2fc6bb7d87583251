"""
What one of each costs: bytes of the database, of the log and of memory for a certificate, an agent, a renewal, an idle connection, and
what a renewal that is deployed leaves behind.  certctl size reckons with these.
"""
import re
import socket
import ssl
import time
from pathlib import Path

import inventory
from fleet import wait_for

NAME = "costs"
GROUP = None
SECONDS = 60
TAKES = ()  # it ends when its work is done
WHAT = "certificates and agents made by SQL, each certificate renewed once by the local CA; idle connections; renewals deployed by one agent"
CERTIFICATES = 20_000
AGENTS = 5_000
CONNECTIONS = 1_000
DEPLOYED = 10
OF_JOBS = ("jobs", "certificate_requests")
OF_CERTIFICATES = ("managed_certificates",)


def sizes(stack):
    """{table: bytes with indexes and long texts}, after VACUUM."""
    with stack.admin() as c:
        c.execute("VACUUM ANALYZE")
    return {name: size for name, size in stack.query(
        "SELECT relname::text, pg_total_relation_size(oid)::bigint FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm')")}


def grown(before, after, is_meant=lambda name: True):
    return sum(size - before.get(name, 0) for name, size in after.items() if is_meant(name))


def is_audit(name):
    return name.startswith("audit")


def connections_of(pid, port):
    """Established ones of a process to a port."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes |= set(re.findall(r"socket:\[(\d+)\]", str(fd.readlink())))
        except OSError:
            continue  # closed meanwhile
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(row[9] in inodes and row[3] == "01" and int(row[2].split(":")[1], 16) == port for row in rows)


def memory(report, stack):
    """At rest, and by connections that say nothing."""
    report.count(**{f"{role}_rest_bytes": 1024 * inventory.resident_kb(stack, name)
                    for role, name in (("apiserver", "apiserver"), ("scheduler", "scheduler-1"), ("worker", "worker-1"))})
    context = ssl.create_default_context(cafile=str(stack.dir / "tls/api.pem"))
    before, held = inventory.resident_kb(stack, "apiserver"), []
    try:
        for _ in range(CONNECTIONS):
            held.append(context.wrap_socket(socket.create_connection(("127.0.0.1", stack.api_port)), server_hostname="localhost"))
        report.count(connection_bytes=round(1024 * (inventory.resident_kb(stack, "apiserver") - before) / CONNECTIONS))
    finally:
        for one in held:
            one.close()


def rows_of(report, stack):
    """A certificate's and an agent's."""
    empty = sizes(stack)
    inventory.grow(stack, 0, CERTIFICATES)
    filled = sizes(stack)
    report.count(certificate_bytes=round(grown(empty, filled) / CERTIFICATES))
    stack.query("INSERT INTO agents (id, name, hostname, status, last_heartbeat_at, api_key_hash, os, architecture) "
                "SELECT 'ag-' || i, 'costs-' || i, 'host-' || i, 'Online', now(), 'costs-' || i, 'linux', 'x86_64' FROM generate_series(1, %s) i", AGENTS)
    report.count(agent_bytes=round(grown(filled, sizes(stack)) / AGENTS))


def renewals(report, stack):
    """Of each certificate once, deployed nowhere: the rate, the log, and what stays."""
    before, wal = sizes(stack), inventory.wal_at(stack)
    audit = stack.value("SELECT count(*) FROM audit_events")
    rate = inventory.drain(stack, CERTIFICATES, 1, 1, inventory.csrs())
    wal = inventory.wal_at(stack) - wal
    wait_for(lambda: stack.value("SELECT count(*) FROM audit_events") >= audit + CERTIFICATES, 60, "the trail")
    audit = stack.value("SELECT count(*) FROM audit_events") - audit
    after = sizes(stack)
    report.count(drain_per_s=round(rate, 1), renewal_wal=round(wal / CERTIFICATES), audit_rows_undeployed=round(audit / CERTIFICATES, 3),
                 job_bytes=round(grown(before, after, lambda n: n in OF_JOBS) / CERTIFICATES),
                 audit_row_bytes=round(grown(before, after, is_audit) / audit),
                 version_bytes=round(grown(before, after, lambda n: n not in OF_JOBS + OF_CERTIFICATES and not is_audit(n)) / CERTIFICATES))
    report.threshold("renewals that are Completed", f">= {CERTIFICATES}", stack.value("SELECT count(*) FROM jobs WHERE status = 'Completed'"))


def deployed(report, stack):
    """What one more renewal leaves, once its nginx serves it."""
    site = stack.start_site()
    site.renew_and_wait(120)
    agent = stack.processes["agent-1"]

    def counted():
        return stack.value("SELECT count(*) FROM jobs"), stack.value("SELECT count(*) FROM audit_events")
    jobs, rows = counted()
    for _ in range(DEPLOYED):
        site.renew_and_wait(120)
    now = counted()
    report.count(deployed_jobs=(now[0] - jobs) / DEPLOYED, deployed_audit_rows=(now[1] - rows) / DEPLOYED,
                 connections_per_agent=max(connections_of(agent.pid, stack.api_port) for _ in range(50)))
    report.threshold("renewals that nginx serves", f">= {DEPLOYED}", len(site.versions()) - 1)


def run(run):
    report = run.report
    with run.stack(shared_buffers="1GB") as stack:
        inventory.start(stack)
        report.load(certificates=CERTIFICATES, agents=AGENTS, connections=CONNECTIONS, deployed=DEPLOYED)
        begun = time.monotonic()
        with stack.sampled():
            memory(report, stack)
            rows_of(report, stack)
            renewals(report, stack)
            deployed(report, stack)
        report.load(duration_s=round(time.monotonic() - begun))
    report.not_measured("floor: bytes and rows have none; the drain's stands in the scenario flat",
                        "generator: nobody asks while it drains; jobs were made by SQL before",
                        "what a deployment adds to the log")
