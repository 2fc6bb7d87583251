"""The plots of the guide: latency and drain rate against the inventory, of the newest flat run."""
import re

import svg
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


def words(made):
    """What the guide shows of them."""
    if not made:
        return "Not measured: no full run of `flat` is archived. `make loadtest-scale-flat` takes it.\n"
    return "\n".join(f"![{re.search('<title>(.*?)</title>', text)[1]}]({name})" for name, text in sorted(made.items())) + "\n"
