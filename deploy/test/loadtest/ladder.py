"""
A rung of the guide's ladder, run: the programs and PostgreSQL as certctl size has them for so many certificates and agents, an
inventory of that size, a fleet that gives signs of life and asks for work, and renewals as they come in the worst hour that certctl
size reckons with.  Then the same with twice of each: what gives way first is named, and how the product says so.
"""
import json
import math
import os
import subprocess
from contextlib import ExitStack

import inventory
from agents import SETTINGS, Agents
from fleet import BUILD, clean_env
from report import NotMeasured
from stack import LIMITED

LIFETIME = "47d"
PHASE_S = 120
LEAST_A_SECOND = 1  # renewals: fewer than that measure nothing in two minutes
TELL_NOBODY = '{"informational": [], "warning": [], "critical": []}'
IN_ONE_PROCESS = 10_000
START_S = 900
END_S = 300
BEAT_S, POLL_S = 60, 30  # of certctl-agent's defaults
# What an operator would call gone: the agent storm's thresholds, and a renewal that takes minutes where it takes a second.
BEAT_P95_MS, BEAT_P99_MS, SERVED_P95_MS = 500, 1000, 60_000


def said_of(certificates, agents):
    """What certctl size says; a line that is not measured yet stops the run."""
    done = subprocess.run([BUILD / "cli/certctl", "size", "--certificates", str(certificates), "--agents", str(agents), "--lifetime", LIFETIME,
                           "-o", "json"], capture_output=True, text=True, check=False, env=clean_env())
    if done.returncode != 0:
        raise NotMeasured(f"certctl size: {done.stderr.strip()}")
    said = json.loads(done.stdout)
    for name, value in said["settings"].items():
        if value is None:
            raise NotMeasured(f"certctl size has no {name}: {said['arithmetic'][name]}")
    return said


def start(stack, settings):
    """Each program as often as it says; the apiservers share a port, as behind a balancer of connections."""
    most = str(settings["server_max_connections"])
    env = LIMITED | SETTINGS | {"CERTCTL_RENEWAL_CONCURRENCY": str(settings["renewal_concurrency"]), "CERTCTL_SERVER_MAX_CONNECTIONS": most,
                                "CERTCTL_SERVER_MAX_CONNECTIONS_PER_ADDRESS": most}

    def pool(of):
        return env | {"CERTCTL_DATABASE_MAX_CONNS": str(settings[f"{of}_database_max_conns"])}
    stack.bus_count = settings["schedulers"]
    for i in range(1, settings["schedulers"] + 1):
        stack.start_scheduler(i, **pool("scheduler"))
    for i in range(1, settings["workers"] + 1):
        stack.start_worker(i, **pool("worker"))
    stack.start_apiserver(**pool("apiserver"))
    for i in range(2, settings["apiservers"] + 1):
        stack.start_beside(i, **pool("apiserver"))
    stack.tell_settings()
    stack.make_basics()
    # No channel is configured here: alerts that nobody can be told of would be a condition, which says nothing of the load.
    stack.query("UPDATE renewal_policies SET alert_channels = %s", TELL_NOBODY)
    stack.report.not_measured("notifications: the policies name no channel")


def rate_of(peak):
    """Renewals a second of a run, of those that certctl size reckons with."""
    return max(LEAST_A_SECOND, round(peak))


class Rung:
    def __init__(self, run, stack, agents, said, times):
        """times: how often an agent of this fleet does what one of the rung's does, for fewer agents stand for all."""
        self.run, self.stack, self.agents, self.said, self.times = run, stack, agents, said, times
        self.rate, self.seconds = rate_of(said["load"]["renewals_per_second_peak"]), min(PHASE_S, run.seconds)

    def phase(self, name, factor):
        """(figures, all that certctl-fleet found) of so many times the load."""
        rate, often = self.rate * factor, self.times * factor
        names = self.agents.names()[:rate * self.seconds]
        cadence = {"CERTCTL_AGENT_HEARTBEAT_INTERVAL": f"{1000 * BEAT_S // often}ms", "CERTCTL_AGENT_POLL_WAIT": f"{1000 * POLL_S // often}ms"}
        with ExitStack() as scope:
            _, found = self.agents.ask(rate, self.seconds + END_S, names, env=cadence,
                                       standing=lambda _: scope.enter_context(self.stack.sampled()))
        figures = self.figures(found, len(names))
        for what, row in rows_of(found).items():
            self.run.report.measure(f"{name}: {what}", "ms", count=row["count"], seconds=found["process"]["measured_s"], errors=row["errors"],
                                    **{key: row[key] for key in ("p50", "p95", "p99", "max")})
        self.run.report.count(**{f"{name}: {what}": value for what, value in figures.items()},
                              **{f"{name}: {kind}": n for kind, n in found["errors"].items()})
        self.run.say(f"{name}: {figures}, errors {found['errors']}")
        return figures, found

    def figures(self, found, renewals):
        rows, took = rows_of(found), found["process"]["measured_s"]
        beat, served = rows["heartbeat"], rows["due to served"]
        ours = sum(p["cpu_s"] for p in self.run.report.data["processes"]
                   if p["name"].startswith(("apiserver", "scheduler", "worker", "postgresql")))
        return {"renewals": renewals, "renewals served": found["served"], "heartbeats a second": round(beat["count"] / took, 1),
                "cores busy, control plane and PostgreSQL": round(ours / took, 3), "heartbeats p95, ms": beat["p95"],
                "heartbeats p99, ms": beat["p99"], "due to served p95, ms": served["p95"] or 0, "errors": sum(found["errors"].values())}


def rows_of(found):
    """The rows of certctl-fleet's figures that a rung is judged by."""
    rows = {row["name"]: row for row in found["requests"] + found["renewals"] if row["name"] in ("heartbeat", "due to served")}
    if len(rows) < 2 or not rows["heartbeat"]["count"]:
        raise NotMeasured("no heartbeat came: the phase was too short")
    return rows


def conditions(stack):
    """Names of those that are true, which is how the product says that something is not as it should be."""
    return ", ".join(sorted(c["name"] for c in stack.api.need("GET", "/api/v1/admin/conditions")["data"]))


def gave_way(figures, found, held):
    """What an operator would have noticed, the first refusals before what is slow, and how the product said so."""
    seen = []
    if figures["errors"]:
        seen.append("answers: " + ", ".join(f"{kind} {n} times" for kind, n in sorted(found["errors"].items())))
    if figures["heartbeats p95, ms"] >= BEAT_P95_MS or figures["heartbeats p99, ms"] >= BEAT_P99_MS:
        seen.append(f"heartbeats: p95 {figures['heartbeats p95, ms']:.0f} ms, p99 {figures['heartbeats p99, ms']:.0f} ms")
    if figures["renewals served"] < figures["renewals"] or figures["due to served p95, ms"] >= SERVED_P95_MS:
        seen.append(f"renewals: {figures['renewals served']} of {figures['renewals']} served, p95 {figures['due to served p95, ms'] / 1000:.0f} s")
    return f"{'; '.join(seen) or 'nothing'}; conditions: {held or 'none'}"


def judge(report, figures, beats):
    report.threshold("renewals served", f"== {figures['renewals']}", figures["renewals served"])
    report.threshold("errors of any kind", "== 0", figures["errors"])
    report.threshold("heartbeats p95", f"< {BEAT_P95_MS} ms", figures["heartbeats p95, ms"])
    report.threshold("heartbeats p99", f"< {BEAT_P99_MS} ms", figures["heartbeats p99, ms"])
    report.threshold("heartbeats a second, of those that are due", f">= {0.9 * beats:.1f}", figures["heartbeats a second"])
    report.threshold("due to served p95", f"< {SERVED_P95_MS} ms", figures["due to served p95, ms"])


def what(certificates, agents, peak=None):
    """peak: renewals a second that certctl size reckons with, once it was asked."""
    renewals = f"the peak that certctl size reckons with, {LEAST_A_SECOND} a second at least"
    if peak:
        renewals = f"{rate_of(peak)} a second, {rate_of(peak) / peak:.3g} times the peak that certctl size reckons with ({peak:.3g})"
    return (f"{certificates} certificates, {agents} agents with heartbeats each {BEAT_S} s and polls parked {POLL_S} s, renewals at {renewals}; "
            "then twice of each")


def of_postgresql(settings):
    return {"max_connections": settings["postgresql_max_connections"], "shared_buffers": f"{settings['postgresql_shared_buffers'] >> 20}MB",
            "max_wal_size": f"{settings['postgresql_max_wal_size'] >> 20}MB"}


def fleet_size(run, agents):
    """(agents in the one process of certctl-fleet, how often each does what one of the rung's does); fewer in a short run."""
    made = min(agents, IN_ONE_PROCESS)
    if run.seconds < PHASE_S:
        return max(20, made * run.seconds // PHASE_S), 1
    if made < agents:
        run.report.not_measured(f"{agents} agents: {made} with heartbeats and questions for work {agents // made} times as often stand for them; "
                                "connections and rows are those of the fewer")
    return made, agents // made


def certificates_each(agents, rate, seconds):
    """Certificates of an agent, so that there is one for each renewal of the phase that doubles them: fewer would cut it short."""
    return math.ceil(2 * rate * seconds / agents)


def run_rung(run, certificates, agents):
    report, said = run.report, said_of(certificates, agents)
    peak = said["load"]["renewals_per_second_peak"]
    with run.stack(**of_postgresql(said["settings"])) as stack:
        start(stack, said["settings"])
        made, times = fleet_size(run, agents)
        each = certificates_each(made, rate_of(peak), min(PHASE_S, run.seconds))
        inventory.grow(stack, 0, max(0, certificates - made * each))
        report.load(what=what(certificates, made * times, peak), certificates=certificates, agents=made * times)
        report.not_measured("former versions of the inventory's certificates: it is made by SQL, one row each")
        with Agents(stack, made, each, start=stack.generate) as fleet:
            _, found = fleet.register(START_S)
            report.threshold("agents registered", f"== {made}", found["registered"])
            fleet.seed()
            rung = Rung(run, stack, fleet, said, times)
            report.load(renewals_a_second=rung.rate)
            figures, _ = rung.phase("load", 1)
            processes = report.data["processes"]
            judge(report, figures, made * times / BEAT_S)
            report.load(**{"conditions at the load": conditions(stack) or "none"})
            double, found = rung.phase("double", 2)
            report.data["processes"] = processes
            report.load(**{"gave way at double the load": gave_way(double, found, conditions(stack))})
        cores, busy = os.cpu_count(), figures["cores busy, control plane and PostgreSQL"]
        report.floor("the machine's cores, beside those busy in control plane and PostgreSQL at the load", cores, "cores", round(busy / cores, 4))
