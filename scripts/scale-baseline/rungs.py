"""
The rungs of the guide's ladder that were run: what was put on in each phase, the load and twice of it, and the guide's table of them.
"""
import re
from collections import namedtuple

import tables
from artifacts import Refused

LADDER = ((500, 100), (5000, 1000), (50000, 10000), (1000000, 20000))
LIFETIME_DAYS = 47
PHASES = ("load", "double")
BUSY = "cores busy, control plane and PostgreSQL"
# Conditions that come whatever the load is, and why.
NOT_OF_LOAD = {"notification_unsent": "no channel of notifications was configured"}
HEADS = ["Certificates / agents", "Agents that ran", "Renewals a second", "Measured for", "Cores busy at the load, control plane and PostgreSQL",
         "Cores busy at double the load", "Cores by the model of `certctl size`", "Headroom by processors, reckoned", "Heartbeats p99",
         "Due to served p95", "What gave way at double the load", "Run"]

# beats and renewals: a second, as they came; is_clean: every renewal was served, and nothing was answered otherwise than it should be.
Phase = namedtuple("Phase", "seconds beats renewals cores is_clean")


def peak(certificates):
    """Renewals a second at the worst, as certctl size reckons: all fall due within a tenth of the lead, or leave their CA in a day."""
    return certificates / 86400 / min(1, 0.1 * min(30, LIFETIME_DAYS / 3))


def agents_of(s):
    """(how many ran, how many times as often each did what one of the rung's does): fewer may have stood for all."""
    for line in s["not_measured"]:
        told = re.match(r"(\d+) agents: (\d+) with heartbeats", line)
        if told:
            return int(told[2]), int(told[1]) // int(told[2])
    return s["load"]["agents"], 1


def phase(s, name):
    rows, counters = {m["name"]: m for m in s["measures"]}, s["counters"]
    needed = [f"{name}: {what}" for what in (BUSY, "renewals", "renewals served", "errors")]
    beats, served = rows.get(f"{name}: heartbeat"), rows.get(f"{name}: due to served")
    if not beats or not beats["rate"] or not served or served["rate"] is None or not all(key in counters for key in needed):
        raise Refused(f"{s['scenario']}: the phase {name} has no heartbeats or renewals with a rate, or lacks a counter of {', '.join(needed)}")
    busy, wanted, done, errors = (counters[key] for key in needed)
    return Phase(beats["count"] / beats["rate"], beats["rate"], served["rate"], busy, done == wanted and errors == 0)


def run_of(found):
    """[(summary, {name of a phase: it})] of the rungs that are archived, the smallest first."""
    rungs = [s for name, s in found.items() if name.startswith("ladder_")]
    return [(s, {name: phase(s, name) for name in PHASES}) for s in sorted(rungs, key=lambda s: s["load"]["certificates"])]


# --- the table ---

def names(text):
    return [] if text == "none" else text.split(", ")


def gave_way(s):
    """(what an operator noticed, the conditions that doubling added) as the run has it; what is not of load is told apart."""
    seen, _, held = s["load"]["gave way at double the load"].rpartition("; conditions: ")
    added = [name for name in names(held) if name not in names(s["load"]["conditions at the load"])]
    told = f"conditions that doubling added: {', '.join(name for name in added if name not in NOT_OF_LOAD) or 'none'}"
    aside = "".join(f" ({name}, which came meanwhile, is not of load: {NOT_OF_LOAD[name]})" for name in added if name in NOT_OF_LOAD)
    return seen, told + aside


def agents_told(s):
    ran, times = agents_of(s)
    return str(ran) if times == 1 else f"{ran}, each {times} times as often; connections and rows are those of {ran}"


def row(title, s, phases, model_has):
    load, double = (phases[name] for name in PHASES)
    cores, certificates = s["machine"]["cores"], s["load"]["certificates"]
    beats, served = (tables.shown(s["counters"][f"load: {what}, ms"]) for what in ("heartbeats p99", "due to served p95"))
    return [title, agents_told(s),
            f"{tables.shown(load.renewals)}, {tables.shown(double.renewals)} at double; `certctl size` reckons with {tables.shown(peak(certificates))}",
            f"{load.seconds:.0f} s, {double.seconds:.0f} s at double",
            f"{tables.shown(load.cores)} of {cores}", tables.shown(double.cores), model_has(load, double),
            f"{tables.shown(cores / load.cores)} times the load", f"{beats} ms", f"{served} ms", "; ".join(gave_way(s)), f"{s['date'][:10]}, {s['commit'][:12]}"]


def limits(run):
    """What doubling did not find; nothing where it found a limit everywhere."""
    without = [s for s, _ in run if gave_way(s)[0] == "nothing"]
    if not without:
        return ""
    sizes = " and ".join(str(s["load"]["certificates"]) for s in without)
    return f"\nDoubling the load found no limit at {sizes} certificates: where it lies was not measured.\n"


def table(found, model_has):
    """What came of each rung that was run; model_has: the cores that the model has for two phases, as a cell."""
    run = run_of(found)
    by_size = {s["scenario"]: (s, phases) for s, phases in run}
    rows = []
    for certificates, agents in LADDER:
        title, one = f"{certificates} / {agents}", by_size.get(f"ladder_{certificates}")
        rows.append(row(title, *one, model_has) if one else tables.no_run({"title": title}, HEADS))
    return tables.table(HEADS, rows) + limits(run)
