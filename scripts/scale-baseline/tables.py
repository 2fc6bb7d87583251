"""
The tables of the record, made of summaries: Markdown between marks of a page.
A cell is never empty: what has no figure says "not measured: why".
"""
import re

from artifacts import Refused, excuse

NO_RUN = "no full run is archived"


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
        rows += made or [[scenario["title"]] + [absent("it has none of these")] * (len(heads) - 1)]
    return table(heads, rows)


def runs(scenarios, found):
    def rows(scenario, s):
        floor = s["floor"]
        load = s["load"]
        yield [f"{load['what']}; {shown(load['duration_s'])} s, {load['certificates']} certificates, {load['agents']} agents",
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
    return each(scenarios, found, ["Scenario", "Machine", "Versions", "PostgreSQL", "Settings of certctl"], rows)


def latency(scenarios, found):
    def rows(scenario, s):
        for m in s["measures"]:
            unit = m["unit"]
            if m["count"] == 0:
                yield [m["name"], "0", *[absent("there was none")] * 6]
                continue
            yield [m["name"], str(m["count"]), shown(m["rate"]), *(f"{shown(m[p])} {unit}" for p in ("p50", "p95", "p99", "max")),
                   f"{percent(m['error_rate'])} ({m['errors']})"]
    heads = ["Scenario", "Of", "Count", "A second", "p50", "p95", "p99", "Longest", "Errors"]
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
            memory = [f"{shown(p[key] / 1024)} MiB" if p["rss_peak_kb"] else absent("not looked at") for key in ("rss_peak_kb", "rss_end_kb")]
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
