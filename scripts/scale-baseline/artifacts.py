"""
Summaries of load tests, format 1, read from their archive.  What a field is, and
what refuses a summary, deploy/test/loadtest-artifacts/README.md says; this is that page as code.
"""
import gzip
import json
import math
import re
from pathlib import Path

LARGEST = 4 << 20  # bytes of a summary
TEXT, NUMBER, COUNT, FLAG = "text", "a number of 0 or more", "a whole number of 0 or more", "true or false"
SIGNED, SIGNED_MAYBE = "a number", "a number, or null"
MAYBE, EITHER = "a number of 0 or more, or null", "text, a number of 0 or more, or a list of these"
SHAPE = {
    "format": COUNT, "scenario": TEXT, "date": TEXT, "commit": TEXT, "passed": FLAG,
    "machine": {"cpu": TEXT, "cores": COUNT, "memory_mb": COUNT, "kernel": TEXT, "os": TEXT},
    "versions": {"*": TEXT}, "settings": {"*": TEXT}, "postgresql": {"*": TEXT}, "counters": {"*": SIGNED},
    "load": {"what": TEXT, "duration_s": NUMBER, "certificates": COUNT, "agents": COUNT, "*": EITHER},
    "measures": [{"name": TEXT, "unit": TEXT, "count": COUNT, "rate": MAYBE, "p50": MAYBE, "p95": MAYBE, "p99": MAYBE,
                  "max": MAYBE, "errors": COUNT, "error_rate": MAYBE}],
    "thresholds": [{"name": TEXT, "limit": TEXT, "value": SIGNED_MAYBE, "passed": FLAG, "why?": TEXT}],
    "processes": [{"name": TEXT, "rss_peak_kb": NUMBER, "rss_end_kb": NUMBER, "cpu_s": NUMBER, "cpu_share": NUMBER}],
    "floor": {"name": TEXT, "value": NUMBER, "unit": TEXT, "ratio": NUMBER},
    "not_measured": [TEXT],
}


class Refused(Exception):
    """A summary or its place is not as the archive's page says; the text names file, field and what is allowed."""


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def suits(value, kind):
    if kind is TEXT:
        return isinstance(value, str) and value.strip() and value.isprintable() and "|" not in value and len(value) <= 2000
    if kind is FLAG:
        return isinstance(value, bool)
    if kind is EITHER:
        return all(suits(v, TEXT) or suits(v, NUMBER) for v in (value if isinstance(value, list) else [value]))
    if kind in (SIGNED, SIGNED_MAYBE):
        return is_number(value) or (kind is SIGNED_MAYBE and value is None)
    if kind is MAYBE:
        return value is None or suits(value, NUMBER)
    return is_number(value) and value >= 0 and (kind is NUMBER or value == int(value))


def check_shape(value, shape, at):
    if isinstance(shape, str):
        if not suits(value, shape):
            raise Refused(f"{at} is {json.dumps(value)[:80]}; it must be {shape}" + (", one line without |" if shape is TEXT else ""))
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise Refused(f"{at} must be a list")
        for i, item in enumerate(value):
            check_shape(item, shape[0], f"{at}[{i}]")
    elif not isinstance(value, dict):
        raise Refused(f"{at} must be an object")
    else:
        check_members(value, shape, at)


def check_members(value, shape, at):
    """"*" stands for every other name, "name?" for one that may be missing."""
    for key in shape:
        if key != "*" and not key.endswith("?") and key not in value:
            raise Refused(f"{at}.{key} is missing")
    for key, item in value.items():
        kind = shape.get(key, shape.get(f"{key}?", shape.get("*")))
        if kind is None:
            raise Refused(f"{at}.{key} is no field of format 1")
        if not suits(key, TEXT):
            raise Refused(f"{at} has the key {key!r}")
        check_shape(item, kind, f"{at}.{key}")


def excuse(summary, what):
    """Why that is not measured: what a line of not_measured says behind "...what...:"; None where there is no such line."""
    for line in summary["not_measured"]:
        named, _, why = line.partition(":")
        if what in named.lower() and why.strip():
            return why.strip()
    return None


def check_measure(m):
    at = f"measures {m['name']}"
    rising = [m[key] for key in ("p50", "p95", "p99", "max")]
    if m["count"] == 0:
        if any(value is not None for value in [*rising, m["error_rate"]]):
            raise Refused(f"{at}: figures of a count of 0")
        return
    if None in rising or rising != sorted(rising):
        raise Refused(f"{at}: p50, p95, p99 and max do not rise")
    if m["errors"] > m["count"]:
        raise Refused(f"{at}: more errors than count")
    if m["error_rate"] is None or abs(m["error_rate"] - m["errors"] / m["count"]) > 0.0005:
        raise Refused(f"{at}: error_rate is not errors / count")


def check_sense(s):
    """What the fields say of each other."""
    if s["format"] != 1:
        raise Refused(f"format is {s['format']}; this reads 1")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", s["scenario"]):
        raise Refused(f"scenario is {s['scenario']!r}; a name of a-z, 0-9 and _")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", s["date"]):
        raise Refused(f"date is {s['date']!r}; it must be as 2026-11-30T08:00:00Z")
    if not re.fullmatch(r"[0-9a-f]{7,40}", s["commit"]):
        raise Refused(f"commit is {s['commit']!r}; it must be 7 to 40 hex digits, of a checkout without changes")
    for kind in ("measures", "thresholds", "processes"):
        names = [row["name"] for row in s[kind]]
        for name in names:
            if names.count(name) > 1:
                raise Refused(f"{kind} has {name} twice")
    if not s["measures"] and not s["counters"]:
        raise Refused("measures and counters are both empty: nothing was measured")
    for m in s["measures"]:
        check_measure(m)
    for t in s["thresholds"]:
        if t["passed"] and t["value"] is None:
            raise Refused(f"thresholds {t['name']} passed without a value")
    if s["passed"] != all(t["passed"] for t in s["thresholds"]):
        raise Refused("passed is not what the thresholds say")
    for what in ("postgresql", "generator"):
        if what not in [p["name"] for p in s["processes"]] and not excuse(s, what):
            raise Refused(f"processes has no {what}, and not_measured no line \"{what}: why\"")
    if len(s["processes"]) < 2 and not excuse(s, "processes"):
        raise Refused("processes names none of ours, and not_measured no line \"processes: why\"")


def check(summary):
    """Raises Refused."""
    if not isinstance(summary, dict):
        raise Refused("it is no JSON object")
    shape = dict(SHAPE)
    if summary.get("floor", 0) is None:
        del shape["floor"]
        summary = {k: v for k, v in summary.items() if k != "floor"}
        check_shape(summary, shape, "summary")
        if not excuse(summary, "floor"):
            raise Refused("floor is null, and not_measured has no line \"floor: why\"")
    else:
        check_shape(summary, shape, "summary")
    check_sense(summary)


def once(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("a key stands twice in one object")
    return found


def load(path):
    """One summary; the error names its file."""
    try:
        if path.stat().st_size > LARGEST:
            raise Refused(f"larger than {LARGEST} bytes")
        summary = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
        check(summary)
        if path.name != f"{summary['scenario']}.summary.json":
            raise Refused(f"its scenario is {summary['scenario']}, by which the file must be called")
        day, _, commit = path.parent.name[:10], path.parent.name[10:11], path.parent.name[11:]
        if day != summary["date"][:10] or not commit or not summary["commit"].startswith(commit):
            raise Refused(f"it is of {summary['date'][:10]} and {summary['commit']}, so its folder is "
                          f"{summary['date'][:10]}-{summary['commit'][:12]}")
    except (Refused, ValueError, RecursionError) as e:
        raise Refused(f"{path.parent.name}/{path.name}: {e}") from e
    return summary


def check_raw(path):
    """A raw file is whole: gzip's own checksum says so."""
    try:
        with gzip.open(path) as f:
            while f.read(1 << 20):
                pass
    except (OSError, EOFError) as e:
        raise Refused(f"{path.parent.name}/{path.name}: {e}") from e


def shortfalls(summary, least):
    """What makes it no full run: words for each amount that is below that of the record."""
    load_ = summary["load"]
    return [f"{key} {load_[key]} of {least[key]}" for key in sorted(least) if load_[key] < least[key]]


def counts(path, only):
    """Whether that is looked at: a folder is by what it holds."""
    return only is None or path in only or (path.is_dir() and any(p in only for p in path.iterdir()))


def latest(archive, least, only=None):
    """
    {scenario: its newest summary}.  least: {scenario: {field of load: what a full run has at least}}.  Every file of the
    archive is looked at: one that is no summary, no raw file or no full run is refused.  only: paths; others are passed over.
    """
    found = {}
    for folder in sorted(p for p in Path(archive).iterdir() if p.name != "README.md"):
        if not counts(folder, only):
            continue
        if not folder.is_dir() or not re.fullmatch(r"\d{4}-\d\d-\d\d-[0-9a-f]{7,40}", folder.name):
            raise Refused(f"{folder.name}: the archive holds folders <date>-<commit> and README.md alone")
        for path in sorted(folder.iterdir()):
            if not counts(path, only):
                continue
            if path.name.endswith(".gz"):
                check_raw(path)
                continue
            if not path.name.endswith(".summary.json"):
                raise Refused(f"{folder.name}/{path.name}: neither <scenario>.summary.json nor a raw file *.gz")
            summary = load(path)
            if summary["scenario"] not in least:
                raise Refused(f"{folder.name}/{path.name}: scripts/scale-baseline/record.json does not list that scenario")
            short = shortfalls(summary, least[summary["scenario"]])
            if short:
                raise Refused(f"{folder.name}/{path.name}: a short run ({', '.join(short)}) is no part of the record")
            before = found.get(summary["scenario"])
            if before is None or before["date"] < summary["date"]:
                found[summary["scenario"]] = summary
    return found
