"""
The model of certctl size: each fact from the newest artifacts that have it, else from a sentence of a page that tells of a
measurement, else said to be unmeasured.  model.json lists them, each with one source; the outcome is cli/size_model.def.

  artifact  [scenario, counter]: the counter's value
  cpu       [scenario, program, counter]: CPU of that program by the counter, in us
  rung      a program: its CPU by the heartbeats of the largest rung that went well, in us
  fit       a figure of fit_of() over all rungs
  page      a sentence, and the figure in it
"""
import itertools
import json
import re
from collections import namedtuple

import rungs
import tables
from artifacts import Refused

FIELDS = {"name", "unit", "what", "artifact", "cpu", "rung", "fit", "of", "page", "why"}
NUMBERS = ("certificates", "agents")
HEAD = """/* Made by scripts/scale-baseline/extract.sh from artifacts and pages; do not edit.
 * FACT(name, is it measured, value, unit, what it is, certificates and agents it was measured with, origin) */
"""
UNKNOWNS, LEAST_RUNGS = 3, 2

# worst: the most by which it misses a phase, as a part of what was measured there.
Fit = namedtuple("Fit", "idle_cores agent_us renewal_us worst certificates agents origin")


def dated(s):
    return f"{s['scenario']} of {s['date'][:10]}, commit {s['commit'][:12]}"


def rounded(value):
    """A figure that was reckoned, without digits that say nothing."""
    return float(f"{value:.4g}")


# --- what the rungs say together ---

def solved(matrix, right):
    """x of matrix x = right, by Gauss and Jordan; None where there is not one answer."""
    n = len(right)
    rows = [[*line, value] for line, value in zip(matrix, right)]
    for i in range(n):
        best = max(range(i, n), key=lambda k: abs(rows[k][i]))
        rows[i], rows[best] = rows[best], rows[i]
        if abs(rows[i][i]) < 1e-12:
            return None
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(n):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i])]
    return [row[n] for row in rows]


def least_squares(points):
    """
    What is to be multiplied with each of a point's figures so that their sum is 1, as nearly as can be; none is below 0, for
    nothing gives processor time back: those that would be take no part.
    """
    width, best = len(points[0]), None
    for used in itertools.chain.from_iterable(itertools.combinations(range(width), n) for n in range(1, width + 1)):
        found = solved([[sum(p[i] * p[k] for p in points) for k in used] for i in used], [sum(p[i] for p in points) for i in used])
        if found is None or min(found) < 0:
            continue
        full = [found[used.index(i)] if i in used else 0.0 for i in range(width)]
        missed = [sum(a * b for a, b in zip(full, p)) - 1 for p in points]
        if best is None or sum(m * m for m in missed) < best[0]:
            best = sum(m * m for m in missed), full, max(abs(m) for m in missed)
    return best[1:]


def fit_of(found):
    """
    (the Fit, or None; why there is none).  In each phase of a rung, cores busy = at rest + heartbeats a second x an agent's + renewals
    a second x a renewal's: three unknowns, fitted by least squares of the relative errors, so that a small rung counts as much as a
    large one.  Agents of all rungs ask for work twice a heartbeat, so the questions are in the heartbeat's.  A phase in which
    something failed does other work, and is left out.
    """
    run = [(s, phase) for s, phases in rungs.run_of(found) for phase in phases.values() if phase.is_clean]
    summaries = list({s["scenario"]: s for s, _ in run}.values())
    if len(summaries) < LEAST_RUNGS or len(run) <= UNKNOWNS:
        return None, (f"{len(run)} phases of {len(summaries)} rungs went well, and {UNKNOWNS} unknowns take {UNKNOWNS + 1} phases of "
                      f"{LEAST_RUNGS} rungs at least")
    values, worst = least_squares([(1 / p.cores, p.beats / p.cores, p.renewals / p.cores) for _, p in run])
    origin = f"fitted to {len(run)} phases of {'; '.join(dated(s) for s in summaries)}; off by {100 * worst:.2g} % at most"
    return Fit(rounded(values[0]), rounded(1e6 * values[1]), rounded(1e6 * values[2]), worst, max(s["load"]["certificates"] for s in summaries),
               max(rungs.agents_of(s)[0] for s in summaries), origin), None


def cores(fit, phase):
    """What the fit has for such a phase."""
    return fit.idle_cores + (phase.beats * fit.agent_us + phase.renewals * fit.renewal_us) / 1e6


def cell_of(found):
    """What of two phases gives the cell that has the fit's cores beside those measured."""
    fit, why = fit_of(found)
    if fit is None:
        return lambda *_: tables.absent(why)
    return lambda load, double: f"{tables.shown(cores(fit, load))}, {tables.shown(cores(fit, double))} at double"


# --- the sources of a fact: (value, certificates, agents, origin), or None where no such run is archived ---

def measured_with(fact, s):
    """Certificates and agents; of what a fact does not grow by ("of" says by what) it is 0."""
    if set(fact["of"]) - set(NUMBERS) or set(fact["of"].values()) - set(s["load"]):
        raise Refused(f"model.json: {fact['name']}: \"of\" has {' and '.join(NUMBERS)} and for each a field of the run's load")
    return [s["load"][fact["of"][number]] if number in fact["of"] else 0 for number in NUMBERS]


def counter_of(fact, s, counter):
    if counter not in s["counters"]:
        raise Refused(f"model.json: {fact['name']}: the newest run of {s['scenario']} has no counter {counter}")
    return s["counters"][counter]


def from_artifact(fact, found):
    scenario, counter = fact["artifact"]
    s = found.get(scenario)
    return s and (counter_of(fact, s, counter), *measured_with(fact, s), dated(s))


def cpu_of(fact, s, program):
    """Seconds of all processes of that program."""
    spent = [p["cpu_s"] for p in s["processes"] if re.fullmatch(rf"{program}(-\d+)?", p["name"])]
    if not spent:
        raise Refused(f"model.json: {fact['name']}: the newest run of {s['scenario']} has no process {program}")
    return sum(spent)


def from_cpu(fact, found):
    scenario, program, counter = fact["cpu"]
    s = found.get(scenario)
    return s and (rounded(1e6 * cpu_of(fact, s, program) / counter_of(fact, s, counter)), *measured_with(fact, s), dated(s))


def from_rung(fact, found):
    """Of the single load, to which a run's rows of processes belong."""
    run = [(phases["load"], s) for s, phases in rungs.run_of(found) if phases["load"].is_clean]
    if not run:
        return None
    phase, s = max(run, key=lambda one: one[0].beats)
    return rounded(1e6 * cpu_of(fact, s, fact["rung"]) / (phase.beats * phase.seconds)), 0, rungs.agents_of(s)[0], dated(s)


def from_fit(fact, found):
    fit, why = fit_of(found)
    if fit is None:
        return None, 0, 0, f"not measured: {why}"
    return getattr(fit, fact["fit"]), *(getattr(fit, number) if number in fact["of"] else 0 for number in NUMBERS), fit.origin


def from_page(fact, root):
    """The sentence must stand in the page, however its lines are broken, and hold the figure."""
    page = fact["page"]
    text = " ".join((root / page["file"]).read_text(encoding="utf-8").split())
    if page["says"] not in text:
        raise Refused(f"model.json: {fact['name']}: {page['file']} does not say \"{page['says']}\"")
    if page["figure"] not in re.findall(r"[\d,.]*\d", page["says"]):
        raise Refused(f"model.json: {fact['name']}: the figure {page['figure']} is not in what the page says")
    return (float(page["figure"].replace(",", "")), page["certificates"], page["agents"],
            f"a sentence of {page['file']}; no artifact of it is archived")


SOURCES = {"artifact": from_artifact, "cpu": from_cpu, "rung": from_rung, "fit": from_fit}


def facts(root, found):
    """[(fact, value or None, certificates, agents, origin)]"""
    made = []
    for fact in json.loads((root / "scripts/scale-baseline/model.json").read_text(encoding="utf-8")):
        unknown = set(fact) - FIELDS
        if unknown:
            raise Refused(f"model.json: {fact.get('name')}: unknown field {min(unknown)}")
        sources = [name for name in (*SOURCES, "page") if name in fact]
        if len(sources) != 1:
            raise Refused(f"model.json: {fact.get('name')}: it has {len(sources)} of the sources {', '.join(SOURCES)}, page; it must have one")
        taken = from_page(fact, root) if sources == ["page"] else SOURCES[sources[0]](fact, found)
        made.append((fact, *(taken or (None, 0, 0, "not measured: " + fact["why"]))))
    return made


def literal(text):
    return json.dumps(text, ensure_ascii=True)


def definition(root, found):
    rows = []
    for fact, value, certificates, agents, origin in facts(root, found):
        known = "false" if value is None else "true"
        number = 0.0 if value is None else float(value)
        rows.append(f"FACT({fact['name']}, {known}, {number!r}, {literal(fact['unit'])}, {literal(fact['what'])}, {certificates}, {agents},\n"
                    f"    {literal(origin)})\n")
    return HEAD + "".join(rows)
