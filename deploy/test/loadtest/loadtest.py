#!/usr/bin/python3
"""
Runs load tests: each boots a control plane of its own, seeds it, puts a load on it, judges what came of that and writes a summary.

    loadtest.py SCENARIO... [--duration 30s] [--database URL] [--artifacts DIR] [--driver k6|plain] [--raw]
    loadtest.py --list | --targets

A SCENARIO is a module of scenarios/, or a group of them: main, scale.  A module says NAME (the summary's), GROUP ("main", "scale", or
None: only by its name), SECONDS, WHAT (the load, in words) and run(run), which gets a Run; asked.py says what else it may say.

Exit status: 0 all thresholds held; 1 one did not; 2 something was not measured, or nothing was.
"""
import argparse
import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "tests" / "support"), str(HERE.parents[2] / "scripts" / "scale-baseline")]
sys.dont_write_bytecode = True
import artifacts  # noqa: E402
import asked  # noqa: E402
import k6  # noqa: E402
from place import BY_PLAIN, Place, is_in_archive  # noqa: E402
from report import NotMeasured, Report, output_of, stale  # noqa: E402
from stack import Stack  # noqa: E402

PASSED_OVER = "passed over"


class Run:
    """One scenario's run: what it is told, and where it puts what it finds."""

    def __init__(self, module, arguments, driver):
        self.module, self.database, self.driver, self.raw = module, arguments.database, driver, arguments.raw
        self.seconds = arguments.duration or module.SECONDS
        self.amounts = arguments.amounts
        self.report = Report(module.NAME, module.WHAT, self.seconds)
        if hasattr(module, "SCRIPT") and driver == "plain":
            self.report.not_measured(BY_PLAIN)
        self.report.data["versions"]["k6"] = output_of(k6.find(), "version") if k6.find() else "absent"
        self.stacks = []

    def stack(self, **postgres):
        """A control plane to be entered; postgres: settings of a private PostgreSQL."""
        stack = Judged(self, **postgres)
        self.stacks.append(stack)
        return stack

    def amount(self, variable, default):
        """What was asked for by CERTIFICATES=n and its like."""
        return self.amounts.get(variable, default)

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


def own_directory(text):
    if is_in_archive(Path(text)):
        raise argparse.ArgumentTypeError(f"{text} lies in the archive, into which a full run's files come by themselves; name another directory")
    return Path(text)


def arguments_of(argv):
    parser = argparse.ArgumentParser(prog="loadtest.py", description="Load tests of a control plane.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--targets", action="store_true", help="name the make targets, as JSON: one a scenario")
    parser.add_argument("--raw", action="store_true", help="keep each figure that k6 took, too: some MB a minute")
    parser.add_argument("--duration", type=asked.duration, help="of each, instead of its own: 30s, 5m")
    parser.add_argument("--database", metavar="URL", help="of a server of PostgreSQL: a database is made there and goes afterwards")
    parser.add_argument("--artifacts", type=own_directory, metavar="DIR",
                        help="where summaries go; without it those of full runs into the archive, others below the build")
    parser.add_argument("--driver", choices=("k6", "plain"), help="what makes the load; k6 where it is, and else plain.py in a short run")
    arguments = parser.parse_args(argv)
    if arguments.driver == "k6" and not k6.find():
        sys.exit("loadtest: k6 is neither on the PATH nor in build-k6/; tools/k6.sh installs it")
    asked.settle(arguments, asked.amounts_of(os.environ))
    return arguments


def in_the_archive(report):
    """A summary that the record could not take is told now, and not when all runs are over; a checkout with changes is allowed here."""
    commit = report.data["commit"].removesuffix("-dirty")
    try:
        artifacts.check(report.data | {"commit": "0" * 12 if commit == "unknown" else commit})
    except artifacts.Refused as e:
        report.fail("the archive takes the summary", str(e))


def run_one(name, module, arguments):
    """Whether all thresholds held; None when nothing could be measured."""
    driver, why_none = asked.driver_of(module, arguments, bool(k6.find()))
    if not driver:
        print(f"{name}: not measured: {why_none}", flush=True)
        return None
    run = Run(module, arguments, driver)
    report = run.report
    place = Place(report, arguments.artifacts)
    run.keep = place.keep
    begun = time.monotonic()
    print(f"{module.NAME}: {module.WHAT}, for {run.seconds} s", flush=True)
    try:
        module.run(run)
    except Exception as e:
        print(e) if isinstance(e, NotMeasured) else traceback.print_exc()
        print(f"{module.NAME}: not measured{f'; logs are in {place.where}' if place.where.exists() else ''}", flush=True)
        return None
    report.finish()
    in_the_archive(report)
    held = report.finish()
    path, why_not = place.write()
    print("\n".join(report.lines()))
    print(f"{module.NAME}: {'passed' if held else 'FAILED'}, {time.monotonic() - begun:.0f} s; {path}", flush=True)
    if why_not:
        print(f"{module.NAME}: no part of the record: {'; '.join(why_not)}", flush=True)
    return held


def run_all(names, modules, arguments):
    """{name: what came of it}; what cannot be had of a given server is passed over where nobody asked for it by its name."""
    results = {}
    for name in names:
        why_not = asked.needs_own_server(name, modules, arguments)
        if why_not:
            print(f"{name}: not measured: {why_not}", flush=True)
            results[name] = None if name in arguments.scenarios else PASSED_OVER
        else:
            results[name] = run_one(name, modules[name], arguments)
    return results


def status_of(results):
    if len(results) > 1:
        words = {True: "passed", False: "FAILED", None: "not measured", PASSED_OVER: "not measured: it needs a server of its own"}
        print("\n".join(f"{name:<15} {words[held]}" for name, held in results.items()))
    held = [h for h in results.values() if h != PASSED_OVER]
    return 2 if None in held or not held else 0 if all(held) else 1


def main():
    arguments = arguments_of(sys.argv[1:])
    modules = all_scenarios()
    if arguments.list:
        for name, module in modules.items():
            print(f"{name:<15} {module.GROUP or '-':<6} {module.SECONDS:>5} s  {module.WHAT}")
        return 0
    if arguments.targets:
        print(json.dumps(targets(modules)))
        return 0
    names = asked.chosen(arguments.scenarios, modules)
    if not names:
        sys.exit("loadtest: which scenario? --list names them")
    if refused := list(asked.refusals(names, modules, arguments)):
        sys.exit("loadtest: " + "\nloadtest: ".join(refused))
    if why := stale():
        sys.exit(f"loadtest: {why}, and a summary names the commit that it measured: tools/build.sh first, or set BUILD_DIR")
    # As Ctrl-C: what is open is closed on the way out.
    for signo in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signo, lambda *_: sys.exit(2))
    return status_of(run_all(names, modules, arguments))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("loadtest: interrupted; nothing is left running")
    except SystemExit as e:  # a refusal in words: nothing was measured
        if not isinstance(e.code, str):
            raise
        print(e.code, file=sys.stderr)
        sys.exit(2)
