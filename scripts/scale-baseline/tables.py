"""
The tables of the record, made of summaries: Markdown between marks of a page.
A cell is never empty: what has no figure says "not measured: why".
"""
import re

from artifacts import Refused, excuse

NO_RUN = "no full run is archived"
NONE = "-"  # there can be no figure; the page says why
SAMPLES_LEAST = 20  # of fewer the 95th of a hundred is the longest
BESIDE = "everything else on the machine"
BESIDE_LEAST = 0.1  # of the machine: a run beside so much is said to be one
# Measures for which the scenario counts no errors (the summary has 0 there all the same): {scenario: their names}.
UNCOUNTED = {"flat": r"renewal_scan_\d+", "renewal_drain": ".*", "async_polling": ".*", "scheduler_failover": ".*", "postgresql_restart": ".*",
             "postgresql_settings": ".*", "soak": "due to served, p95 of each round"}
# One call among many does another thing than they, and is the longest: {scenario: what its row says}.
LONGEST_APART = {"bulk_renewal": "the longest of them alone: one call makes all the jobs, the others find them in progress"}


def shown(value):
    """A figure as people read it; whole numbers as they are, others with three digits that count."""
    if value is None:
        return absent("the run has no value")
    if value == int(value):
        return str(int(value))
    if value >= 100:
        return str(round(value))
    text = f"{value:.3g}"
    return f"{value:.6f}".rstrip("0") if "e" in text else text


def percent(value):
    return f"{shown(100 * value)} %"


def absent(why):
    return f"not measured: {why}"


def pairs(found):
    return ", ".join(f"{k} {v}" for k, v in sorted(found.items())) or "none set"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        if len(row) != len(heads) or any(not cell.strip() for cell in row):
            raise Refused(f"the table {heads[0]}, ... has an empty cell: {row}")
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def no_run(scenario, heads):
    return [scenario["title"]] + [absent(NO_RUN)] * (len(heads) - 1)


def each(scenarios, found, heads, rows_of):
    """A table to which every scenario gives rows, one at least."""
    rows = []
    for scenario in scenarios:
        summary = found.get(scenario["name"])
        made = [[scenario["title"], *row] for row in rows_of(scenario, summary)] if summary else [no_run(scenario, heads)]
        rows += made or [[scenario["title"]] + ["none of these"] * (len(heads) - 1)]
    return table(heads, rows)


def beside(s):
    """What a reader must know of a run that did not have the machine to itself."""
    share = next((p["cpu_share"] for p in s["processes"] if p["name"] == BESIDE), 0)
    return f"; {BESIDE} took {percent(share)}" if share > BESIDE_LEAST else ""


def runs(scenarios, found):
    def rows(scenario, s):
        floor = s["floor"]
        load = s["load"]
        note = f"; {scenario['note']}" if "note" in scenario else ""
        yield [f"{load['what']}; {shown(load['duration_s'])} s, {load['certificates']} certificates, {load['agents']} agents{note}{beside(s)}",
               "yes" if s["passed"] else "NO",
               f"{shown(floor['ratio'])} of {floor['name']}, {shown(floor['value'])} {floor['unit']}" if floor else absent(excuse(s, "floor")),
               s["date"], s["commit"][:12]]
    heads = ["Scenario", "Load", "Thresholds held", "Ratio to the floor", "Date", "Commit"]
    return each(scenarios, found, heads, rows)


def commands(scenarios, _):
    return table(["Scenario", "Command"], [[s["title"], f"`{s['command']}`"] for s in scenarios])


def machines(scenarios, found):
    def rows(scenario, s):
        m = s["machine"]
        yield [f"{m['cpu']}, {m['cores']} cores, {m['memory_mb']} MB, {m['os']}, {m['kernel']}", pairs(s["versions"]),
               pairs(s["postgresql"]), pairs(s["settings"])]
    return each(scenarios, found, ["Scenario", "Machine", "Versions", "PostgreSQL", "Settings of certctl, of all programs together"], rows)


def is_rate(m):
    return m["unit"].endswith("/s")


def measured(m):
    """p50, p95, p99 and the longest; of a rate the upper end is the best that was seen, which says nothing about what was bad."""
    few = m["count"] < SAMPLES_LEAST or is_rate(m)
    return [NONE if few and p in ("p95", "p99") else f"{shown(m[p])} {m['unit']}" for p in ("p50", "p95", "p99", "max")]


def errors(scenario, m):
    if re.fullmatch(UNCOUNTED.get(scenario["name"], "(?!)"), m["name"]):
        return "not counted"
    return f"{percent(m['error_rate'])} ({m['errors']})"


def latency(scenarios, found):
    def rows(scenario, s):
        for m in s["measures"]:
            if m["count"] == 0:
                yield [m["name"], "0", *[absent("there was none")] * 7]
                continue
            paced = [f"{shown(m['count'] / m['rate'])} s", shown(m["rate"])] if m["rate"] else [NONE, NONE]
            yield [m["name"], str(m["count"]), *paced, *measured(m), errors(scenario, m)]
        if scenario["name"] in LONGEST_APART:
            m = s["measures"][0]
            yield [LONGEST_APART[scenario["name"]], "1", *[NONE] * 5, f"{shown(m['max'])} {m['unit']}", NONE]
    heads = ["Scenario", "Of", "Count", "Within", "A second", "p50", "p95", "p99", "Longest; of rates the best", "Errors"]
    return each(scenarios, found, heads, rows)


def counters(scenarios, found):
    def rows(scenario, s):
        for name, value in sorted(s["counters"].items()):
            yield [name, shown(value)]
    return each(scenarios, found, ["Scenario", "What", "Figure"], rows)


def thresholds(scenarios, found):
    def rows(scenario, s):
        for t in s["thresholds"]:
            yield [t["name"], t["limit"], shown(t["value"]), "yes" if t["passed"] else "NO" + (f": {t['why']}" if "why" in t else "")]
    return each(scenarios, found, ["Scenario", "Threshold", "Limit", "Value", "Held"], rows)


def processes(scenarios, found):
    def rows(scenario, s):
        for p in s["processes"]:
            memory = [f"{shown(p[key] / 1024)} MiB" if p["rss_peak_kb"] else "does not apply" for key in ("rss_peak_kb", "rss_end_kb")]
            yield [p["name"], *memory, f"{shown(p['cpu_s'])} s", percent(p["cpu_share"])]
        for name in ("postgresql", "generator", "processes"):
            if excuse(s, name):
                yield [name] + [absent(excuse(s, name))] * 4
    return each(scenarios, found, ["Scenario", "Process", "RSS, peak", "RSS at the end", "CPU", "CPU, share of the machine"], rows)


def unmeasured(scenarios, found):
    def rows(scenario, s):
        for line in s["not_measured"]:
            yield [line]
    return each(scenarios, found, ["Scenario", "What it did not measure"], rows)


TABLES = {"runs": runs, "commands": commands, "machines": machines, "latency": latency, "counters": counters,
          "thresholds": thresholds, "processes": processes, "unmeasured": unmeasured}


def between(page, name, made):
    """The page's text with what stands between the marks of that name replaced."""
    marks = f"<!-- Made by scripts/scale-baseline/extract.sh: {name}; do not edit. -->\n", f"<!-- End of {name}. -->\n"
    pattern = re.escape(marks[0]) + ".*?" + re.escape(marks[1])
    if len(re.findall(pattern, page, re.S)) != 1:
        raise Refused(f"the page must have the marks of {name} once")
    return re.sub(pattern, lambda _: marks[0] + "\n" + made + "\n" + marks[1], page, flags=re.S)


def outside(page):
    """What people wrote: the page without what stands between marks."""
    return re.sub(r"<!-- Made by scripts/scale-baseline/extract\.sh: (\w+); do not edit\. -->\n.*?<!-- End of \1\. -->\n", "", page, flags=re.S)


def fill(page, makers):
    """makers: {mark's name: its text}.  A table that people wrote beside them is refused: its figures have no artifact."""
    for line in outside(page).splitlines():
        if line.lstrip().startswith("|"):
            raise Refused(f"a row outside the marks has no artifact: {line[:80]}")
    for name, made in makers.items():
        page = between(page, name, made)
    return page
