#!/usr/bin/python3
"""
Runs load tests: each boots a control plane of its own, seeds it, puts a load on it, judges what came of that and writes a summary.

    loadtest.py SCENARIO... [--duration 30s] [--database URL] [--artifacts DIR] [--driver k6|plain] [--raw]
    loadtest.py --list | --targets

A SCENARIO is a module of scenarios/, or a group of them: main, scale.  A module says NAME (the summary's), GROUP ("main", "scale", or
None: only by its name), SECONDS, WHAT (the load, in words) and run(run), which gets a Run.

Exit status: 0 all thresholds held; 1 one did not; 2 nothing was measured.
"""
import argparse
import gzip
import importlib
import json
import re
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "tests" / "support"), str(HERE.parents[2] / "scripts" / "scale-baseline")]
sys.dont_write_bytecode = True
import artifacts  # noqa: E402
import k6  # noqa: E402
from report import NotMeasured, Report, output_of  # noqa: E402
from stack import BUILD, ROOT, Stack  # noqa: E402

GROUPS = ("main", "scale")
LEAST_S = 5
UNITS = {"s": 1, "m": 60, "h": 3600}


class Run:
    """One scenario's run: what it is told, and where it puts what it finds."""

    def __init__(self, module, arguments):
        self.module, self.database, self.driver, self.raw = module, arguments.database, arguments.driver, arguments.raw
        self.seconds = arguments.duration or module.SECONDS
        self.report = Report(module.NAME, module.WHAT, self.seconds)
        self.report.data["versions"]["k6"] = output_of(k6.find(), "version") if k6.find() else "absent"
        self.stacks = []

    def stack(self, **postgres):
        """A control plane to be entered; postgres: settings of a private PostgreSQL."""
        stack = Judged(self, **postgres)
        self.stacks.append(stack)
        return stack

    def say(self, text):
        print(f"    {text}", flush=True)


class Judged(Stack):
    """A stack that is judged before it goes, and whose raw files are kept."""

    def __init__(self, run, **postgres):
        self.run, self.driver, self.raw = run, run.driver, run.raw
        super().__init__(run.report, run.database, **postgres)

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.judge_processes()
                self.keep_raw()
            if kind is not None or not all(t["passed"] for t in self.report.data["thresholds"]):
                self.keep_logs()
        finally:
            super().__exit__(kind)

    def keep_raw(self):
        self.run.keep(self.report.raw)

    def keep_logs(self):
        """Of a run that failed, beside its summary."""
        self.run.keep({f"{self.report.scenario}.{p.name}": p for p in (self.dir / "log").glob("*.log")})


def all_scenarios():
    """{name: module}, in the order of their names."""
    names = sorted(p.stem for p in (HERE / "scenarios").glob("*.py") if p.stem != "__init__")
    return {name: importlib.import_module(f"scenarios.{name}") for name in names}


def targets(modules):
    """What the weekly run calls: each scenario by itself."""
    return [f"loadtest-scale-{name}" for name, module in modules.items() if module.GROUP]


def chosen(words, modules):
    names = []
    for word in words:
        found = [n for n, m in modules.items() if m.GROUP == word] if word in GROUPS else [word] if word in modules else None
        if not found:
            sys.exit(f"loadtest: there is no scenario {word}; there are: {' '.join(modules)}, and the groups {' '.join(GROUPS)}")
        names += [n for n in found if n not in names]
    return names


def duration(text):
    """Seconds, of 30s, 5m or 1h."""
    found = re.fullmatch(r"(\d{1,6})(s|m|h)?", text)
    seconds = int(found[1]) * UNITS[found[2] or "s"] if found else 0
    if seconds < LEAST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration of at least {LEAST_S} s, such as 30s or 5m")
    return seconds


def arguments_of(argv):
    parser = argparse.ArgumentParser(prog="loadtest.py", description="Load tests of a control plane.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--targets", action="store_true", help="name the make targets, as JSON: one a scenario")
    parser.add_argument("--raw", action="store_true", help="keep each figure that k6 took, too: some MB a minute")
    parser.add_argument("--duration", type=duration, help="of each, instead of its own: 30s, 5m")
    parser.add_argument("--database", metavar="URL", help="of a server of PostgreSQL: a database is made there and goes afterwards")
    parser.add_argument("--artifacts", type=Path, metavar="DIR", help="where summaries go")
    parser.add_argument("--driver", choices=("k6", "plain"), help="what makes the load; k6 where it is")
    arguments = parser.parse_args(argv)
    arguments.driver = arguments.driver or ("k6" if k6.find() else "plain")
    if arguments.driver == "k6" and not k6.find():
        sys.exit("loadtest: k6 is neither on the PATH nor in build-k6/; tools/k6.sh installs it")
    return arguments


def keep(files, where):
    """{name: path}, beside the summary: packed, as the archive wants raw files; but logs, which only a run that failed has."""
    for name, path in files.items():
        if not path.exists():
            continue
        if name.endswith((".gz", ".log")):
            shutil.copy(path, where / name)
            continue
        with open(path, "rb") as plain, gzip.open(where / f"{name}.gz", "wb") as packed:
            shutil.copyfileobj(plain, packed)


def in_the_archive(report):
    """A summary that the record could not take is told now, and not when all runs are over; a checkout with changes is allowed here."""
    commit = report.data["commit"].removesuffix("-dirty")
    try:
        artifacts.check(report.data | {"commit": "0" * 12 if commit == "unknown" else commit})
    except artifacts.Refused as e:
        report.fail("the archive takes the summary", str(e))


def run_one(name, module, arguments):
    """Whether all thresholds held; None when nothing could be measured."""
    if arguments.driver == "plain" and hasattr(module, "SCRIPT") and not hasattr(module, "request"):
        print(f"{name}: this load is written for k6 alone, and k6 is not here; tools/k6.sh installs it", flush=True)
        return None
    run = Run(module, arguments)
    report = run.report
    where = arguments.artifacts or ROOT / "deploy/test/loadtest-artifacts" / f"{report.now:%Y-%m-%d}-{report.data['commit']}"
    where.mkdir(parents=True, exist_ok=True)
    run.keep = lambda files: keep(files, where)
    begun = time.monotonic()
    print(f"{module.NAME}: {module.WHAT}, for {run.seconds} s", flush=True)
    try:
        module.run(run)
    except Exception as e:
        print(e) if isinstance(e, NotMeasured) else traceback.print_exc()
        print(f"{module.NAME}: not measured; logs are in {where}", flush=True)
        return None
    report.finish()
    in_the_archive(report)
    held = report.finish()
    path = report.write(where)
    print("\n".join(report.lines()))
    print(f"{module.NAME}: {'passed' if held else 'FAILED'}, {time.monotonic() - begun:.0f} s; {path}", flush=True)
    return held


def main():
    arguments = arguments_of(sys.argv[1:])
    modules = all_scenarios()
    if arguments.list:
        for name, module in modules.items():
            print(f"{name:<12} {module.GROUP or '-':<6} {module.SECONDS:>5} s  {module.WHAT}")
        return 0
    if arguments.targets:
        print(json.dumps(targets(modules)))
        return 0
    if not (BUILD / "apiserver" / "certctl-apiserver").exists():
        sys.exit(f"loadtest: no certctl-apiserver below {BUILD}: build first, or set BUILD_DIR")
    # As Ctrl-C: what is open is closed on the way out.
    for signo in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signo, lambda *_: sys.exit(2))
    names = chosen(arguments.scenarios, modules)
    if not names:
        sys.exit("loadtest: which scenario? --list names them")
    results = {name: run_one(name, modules[name], arguments) for name in names}
    if len(results) > 1:
        print("\n".join(f"{name:<12} { {True: 'passed', False: 'FAILED', None: 'not measured'}[held] }" for name, held in results.items()))
    return 2 if None in results.values() else 0 if all(results.values()) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("loadtest: interrupted; nothing is left running")
