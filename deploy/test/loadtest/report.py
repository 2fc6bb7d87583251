"""
What a load test found: one summary a scenario, as JSON (format 1), with what is needed to read its figures later, and the judgement.

A Report is filled by a scenario and written by loadtest.py.  A threshold without a value fails: nothing holds by absence.
"""
import json
import math
import operator
import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from fleet import BUILD, ROOT, pg_bin

FORMAT = 1
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}
LIMIT = re.compile(r"(<=|>=|==|<|>) ([0-9.]+(?:e[+-]?[0-9]+)?)(?: (\S.*))?$")


class NotMeasured(Exception):
    """Something stood in the way; no figure of the run is good."""


def output_of(*argv):
    """The first line that a program says, or "unknown"."""
    try:
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return (done.stdout.strip() or done.stderr.strip() or "unknown").splitlines()[0]


def commit():
    """Of the checkout; with "-dirty" where tracked files differ from it; "unknown" outside of one."""
    git = ("git", "-c", f"safe.directory={ROOT}", "-C", ROOT)
    found = output_of(*git, "rev-parse", "--short=12", "HEAD")
    if not re.fullmatch(r"[0-9a-f]{12,40}", found):
        return "unknown"
    return found + ("-dirty" if output_of(*git, "status", "--porcelain", "--untracked-files=no") != "unknown" else "")


def stale(build=BUILD, root=ROOT):
    """Why the programs of a build may be others than this checkout's; None where they are its own."""
    try:
        source = json.loads((build / "meson-info/meson-info.json").read_text(encoding="utf-8"))["directories"]["source"]
    except (OSError, ValueError, KeyError):
        return f"there is no whole build in {build}"
    if Path(source).resolve() != Path(root).resolve():
        return f"{build} is built of another checkout, {source}"
    done = subprocess.run(["ninja", "-n", "-C", build], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"ninja -n -C {build} fails: {(done.stdout + done.stderr).strip()[-300:]}"
    return None if "no work to do" in done.stdout else f"{build} is older than the checkout"


def line_of(path, start):
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(start):
            return line.split(":" if ":" in line else "=", 1)[1].strip().strip('"')
    return "unknown"


def machine():
    return {"cpu": line_of("/proc/cpuinfo", "model name"), "cores": os.cpu_count(),
            "memory_mb": int(line_of("/proc/meminfo", "MemTotal").split()[0]) // 1024,
            "kernel": platform.release(), "os": line_of("/etc/os-release", "PRETTY_NAME")}


def versions():
    return {"postgresql": output_of(pg_bin() / "postgres", "--version").split()[-1],
            "openssl": output_of("openssl", "version").removeprefix("OpenSSL ").split()[0], "python": platform.python_version()}


def quantile(ordered, q):
    """The smallest of the ordered values that q of them do not exceed; None of none."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else None


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


class Report:
    def __init__(self, scenario, what, seconds):
        self.now = datetime.now(timezone.utc)
        self.data = {
            "format": FORMAT, "scenario": scenario, "date": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"), "commit": commit(),
            "machine": machine(), "versions": versions(), "settings": {}, "postgresql": {},
            "load": {"what": what, "duration_s": seconds, "certificates": 0, "agents": 0},
            "measures": [], "counters": {}, "thresholds": [], "processes": [], "floor": None, "not_measured": [], "passed": False}
        self.raw = {}  # name of a file beside the summary: its path

    @property
    def scenario(self):
        return self.data["scenario"]

    def load(self, **more):
        """How many certificates and agents there are, and whatever else says what the load was."""
        self.data["load"] |= more

    def measure(self, name, unit, values=None, seconds=None, errors=0, **known):
        """
        values: each one that was measured, or known: count, p50, p95, p99 and max; seconds: how long it took, for the rate;
        errors: of count that went wrong.
        """
        if values is not None:
            ordered = sorted(values)
            known = {"count": len(ordered), "p50": quantile(ordered, 0.5), "p95": quantile(ordered, 0.95),
                     "p99": quantile(ordered, 0.99), "max": ordered[-1] if ordered else None} | known
        count = known["count"]
        known.setdefault("rate", round(count / seconds, 3) if seconds else None)
        row = {"name": name, "unit": unit} | {key: known.get(key) for key in ("count", "rate", "p50", "p95", "p99", "max")}
        self.data["measures"].append(row | {"errors": errors, "error_rate": errors / count if count else None})

    def count(self, **counters):
        self.data["counters"] |= counters

    def threshold(self, name, limit, value):
        """limit: "< 2000 ms".  What was not measured (None) fails."""
        sign, bound, _unit = LIMIT.match(limit).groups()
        passed = is_number(value) and COMPARE[sign](value, float(bound))
        self.data["thresholds"].append({"name": name, "limit": limit, "value": value, "passed": passed})
        return passed

    def fail(self, name, why):
        """Something that is no figure went wrong."""
        self.data["thresholds"].append({"name": name, "limit": "== 0 errors", "value": 1, "passed": False, "why": why})

    def floor(self, name, value, unit, ratio):
        """What the machine could do at most, or at least has to spend, measured in the same run; ratio: ours by the floor."""
        self.data["floor"] = {"name": name, "value": value, "unit": unit, "ratio": ratio}

    def not_measured(self, *what):
        self.data["not_measured"] += what

    def finish(self):
        """Whether all held.  No threshold at all is no success."""
        thresholds = self.data["thresholds"]
        self.data["passed"] = bool(thresholds) and all(t["passed"] for t in thresholds)
        return self.data["passed"]

    def write(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.scenario}.summary.json"
        path.write_text(json.dumps(self.data, indent=1) + "\n", encoding="utf-8")
        return path

    def lines(self):
        """What a person reads of it."""
        for m in self.data["measures"]:
            figures = " ".join(f"{key} {figure(m[key])}" for key in ("p50", "p95", "p99", "max"))
            yield f"  {m['name']:<36} {m['count']:>8} in all, {figure(m['rate'])}/s, {figures} {m['unit']}, {m['errors']} errors"
        for p in self.data["processes"]:
            yield (f"  {p['name']:<36} {p['rss_peak_kb'] / 1024:8.1f} MB at most, {p['cpu_s']:.1f} s of a core, "
                   f"{100 * p['cpu_share']:.1f} % of the machine")
        if self.data["floor"]:
            yield "  floor: {name}: {value} {unit}, ratio {ratio}".format(**self.data["floor"])
        for t in self.data["thresholds"]:
            yield f"  {'ok    ' if t['passed'] else 'FAILED'} {t['name']} {t['limit']}: {figure(t['value'])}{' ' + t['why'] if 'why' in t else ''}"


def figure(value):
    return "-" if value is None else f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
