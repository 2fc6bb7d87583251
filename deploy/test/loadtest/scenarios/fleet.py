"""
The whole agent path: certctl-fleet's agents register, each with a certificate that is issued when it is asked for; then all fall due
at once, and what is measured is each certificate's way from there to a handshake that shows the new one.
"""
import os
from contextlib import ExitStack

import wrk
from agents import SETTINGS, Agents
from report import NotMeasured

NAME = "fleet"
GROUP = "scale"
TAKES = ("DURATION", "AGENTS")
SECONDS = 600
AGENTS = int(os.environ.get("AGENTS") or 10000)
WHAT = f"{AGENTS} agents of certctl-fleet, a certificate each, all due at once; heartbeats each 60 s, polls parked 30 s (AGENTS=n for others)"
ASK = 60  # first issuances asked for, a second
START_S = 600
BARE = 5
P95_MS = 300000  # a renewal has days; that long for a whole fleet at once


def size(run):
    """So many agents at the scenario's own duration, fewer for less of it."""
    return max(20, min(AGENTS, AGENTS * run.seconds // SECONDS))


def tell_spans(report, found, certificates, seconds):
    for row in found["renewals"]:
        report.measure(row["name"], "ms", count=row["count"], seconds=seconds, errors=row["errors"],
                       **{key: row[key] for key in ("p50", "p95", "p99", "max")})
    for row in found["requests"]:
        report.measure(f"request: {row['name']}", "ms", count=row["count"], seconds=seconds, errors=row["errors"],
                       **{key: row[key] for key in ("p50", "p95", "p99", "max")})
    report.measure("certificates served a second", "certificates/s", values=[s["served"] for s in found["seconds"] if s["served"]])


def judge(report, agents, found, versions):
    n = agents.certificates
    report.threshold("agents that stand", f"== {agents.count}", found["standing"])
    report.threshold("renewals offered", f"== {n}", found["offered"])
    report.threshold("new certificates served, by a handshake", f"== {n}", found["served"])
    report.threshold("deployments reported", f"== {n}", found["reported"])
    report.threshold("errors of any kind", "== 0", sum(found["errors"].values()))
    report.threshold("certificates that were given a second job", "== 0", found["renewed_again"])
    seen = agents.versions()
    report.threshold("certificates without a new version (lost)", "== 0", sum(k for v, k in seen.items() if v < versions))
    report.threshold("certificates with more than one (doubled)", "== 0", sum(k for v, k in seen.items() if v > versions))
    report.threshold("certificates whose target is behind", "== 0", agents.behind())
    spans = {row["name"]: row for row in found["renewals"]}
    report.threshold("due to served p95", f"< {P95_MS} ms", spans["due to served"]["p95"] if spans["due to served"]["count"] else None)
    beats = next((row for row in found["requests"] if row["name"] == "heartbeat"), None)
    report.threshold("heartbeats in the measured part", f">= {agents.count // 2}", beats and beats["count"])


def run(run):
    count = size(run)
    limit = max(120, run.seconds)
    with run.stack(shared_buffers="1GB") as stack:
        stack.start(**SETTINGS)
        stack.make_basics()
        with Agents(stack, count, start=stack.generate) as agents:
            run.report.load(agents=count, certificates=agents.certificates)
            if count < AGENTS:
                run.report.not_measured(f"{AGENTS} agents: the run was shortened to {count}")
            status, found = agents.register(START_S)
            run.report.threshold("agents registered", f"== {count}", found["registered"])
            run.report.count(registered_a_second=round(count / max(0.001, found["start_ms"] / 1000), 1))
            agents.seed()
            run.say(f"{count} agents registered in {found['start_ms'] / 1000:.0f} s")
            status, found = agents.ask(ASK, limit)
            run.report.threshold("first certificates served", f"== {agents.certificates}", found["served"])
            run.say(f"first certificates: {found['served']} served, errors {found['errors']}")
            with ExitStack() as scope:  # what the agents take until they stand is not the renewals'
                status, found = agents.renew_due(limit, begin=lambda: scope.enter_context(stack.sampled()))
            took = found["process"]["measured_s"]
            if not took:
                raise NotMeasured(f"the agents did not stand, so no renewal was measured; errors: {found['errors']}")
            tell_spans(run.report, found, agents.certificates, took)
            judge(run.report, agents, found, versions=2)
            run.report.threshold("exit status of certctl-fleet", "== 0", status)
            run.report.count(renewed_a_second=round(found["served"] / took, 1), fleet_cpu_share=found["process"]["cpu_share"],
                             fleet_rss_kb=found["process"]["rss_peak_kb"], handshakes=found["tls_server"]["handshakes"],
                             heartbeats=found["heartbeats"], **{f"error: {k}": v for k, v in found["errors"].items()})
            for path in agents.dir.glob("*.json*"):
                run.report.raw[f"{NAME}.{path.name}"] = path
            run.keep(run.report.raw)  # before the agents' directory goes
            asked = sum(row["count"] for row in found["requests"]) / max(1, found["served"])
            bare = wrk.run(stack, stack.start_bare(), 32, BARE, None, name="floor")["rate"]
            stack.end_bare()
            run.report.floor(f"renewals a second if each of its {asked:.1f} requests were one to a bare TLS server", round(bare / asked, 1),
                             "renewals/s", round(found["served"] / took / (bare / asked), 3))
