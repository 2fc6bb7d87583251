"""The plots of the guide, and their figures: latency and drain rate against the inventory, of the newest flat run."""
import re

import svg
import tables
from artifacts import Refused

LATENCY, DRAIN = "scale-flat-latency.svg", "scale-flat-drain.svg"
LINES = (("list_page", "list page, p99"), ("get_one", "one certificate, p99"))


def by_size(found, prefix):
    """{certificates: what}, of names that are a prefix and a number."""
    return {int(m[1]): what for name, what in found.items() if (m := re.fullmatch(rf"{prefix}_(\d+)", name))}


def points(found, prefix):
    made = sorted(by_size(found, prefix).items())
    if len(made) < 2 or any(y <= 0 for _, y in made):
        raise Refused(f"flat: {prefix}_<certificates> must be there for two sizes at least, each above 0")
    return made


def make(found):
    """{file: text}; empty where there is no run of flat."""
    s = found.get("flat")
    if s is None:
        return {}
    units = {m["unit"] for m in s["measures"]}
    if units != {"ms"}:
        raise Refused(f"flat: measures are in {', '.join(sorted(units))}; the plot is in ms")
    of = {m["name"]: m["p99"] for m in s["measures"]}
    lines = [(name, points(of, prefix)) for prefix, name in LINES]
    scan = [("renewal scan of what is due, p50", points({m["name"]: m["p50"] for m in s["measures"]}, "renewal_scan"))]
    drain = [("certificates renewed a second", points(s["counters"], "drain_per_s"))]
    when = f"{s['date'][:10]}, {s['commit'][:12]}"
    return {LATENCY: svg.chart(f"Latency by inventory ({when})", "ms", lines),
            "scale-flat-scan.svg": svg.chart(f"Renewal scan by inventory ({when})", "ms", scan),
            DRAIN: svg.chart(f"Renewal drain by inventory ({when})", "certificates/s", drain)}


def growth(s):
    """The figures of the plots, and how the largest inventory stands to the smallest."""
    of = {m["name"]: m for m in s["measures"]}

    def measure(name, prefix, keys):
        return [(f"{name}, {word}", points({n: m[key] for n, m in of.items()}, prefix)) for key, word in keys]
    asked = (("p50", "p50, ms"), ("p99", "p99, ms"), ("rate", "a second"))
    lines = [*measure("list page", "list_page", asked), *measure("one certificate", "get_one", asked),
             *measure("renewal scan of what is due", "renewal_scan", (("p50", "p50, ms"),)),
             ("certificates renewed a second", points(s["counters"], "drain_per_s")),
             ("answers of the bare TLS server a second", points(s["counters"], "bare_per_s"))]
    sizes = [size for size, _ in lines[0][1]]
    rows = [[name, *(tables.shown(y) for _, y in found), f"{found[-1][1] / found[0][1]:.2f}"] for name, found in lines]
    return tables.table(["By certificates", *map(str, sizes), "Largest to smallest"], rows)


def judged(s):
    """Which of it the run is held to: a page must not read as if all were."""
    held = "; ".join(f"{t['name']}: {tables.shown(t['value'])}, {t['limit']}" for t in s["thresholds"] if "slowest size" in t["name"])
    return f"The run is judged by its rates alone ({held}). One certificate and the renewal scan are judged by nothing.\n"


def words(found, made):
    """What the guide shows of them."""
    if not made:
        return "Not measured: no full run of `flat` is archived. `make loadtest-scale-flat` takes it.\n"
    shown = "\n".join(f"![{re.search('<title>(.*?)</title>', text)[1]}]({name})" for name, text in sorted(made.items()))
    return f"{shown}\n\n{growth(found['flat'])}\n{judged(found['flat'])}"
