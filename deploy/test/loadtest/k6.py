"""
k6 as a generator of load: where it is, how a script of k6/ is run, and what its summary means for ours.

Where k6 is not, drive() lets plain.py make the same load of those scenarios that describe it in Python too; its summary has the
form of k6's.
"""
import contextlib
import json
import re
import shutil
import sys
import urllib.request
from pathlib import Path

from fleet import API_KEY, free_port
from report import NotMeasured, output_of
from stack import BUILD, HERE, ROOT, clean_env

OURS = ROOT / "build-k6" / "k6"  # where tools/k6.sh puts it
THRESHOLDS_CROSSED = 99
INSTEAD = ("answers_none", "answers_429", "answers_503", "answers_of_another_status")  # of common.js
GRACE_S = 90  # beyond the duration: a start, the last answers, the summary
EXPRESSION = re.compile(r"(p\(\d+(?:\.\d+)?\)|\w+)(<=|>=|==|<|>)([0-9.]+(?:e[+-]?[0-9]+)?)$")


def find():
    """Of the PATH, or what tools/k6.sh installed; None where it is not."""
    return shutil.which("k6") or shutil.which(str(OURS))


def value_of(metric, left):
    return metric["values"].get(left)


def thresholds(report, data):
    """Each of the generator's becomes one of ours, with the value that was judged; a metric that never came has none."""
    for name, metric in sorted(data["metrics"].items()):
        for expression, told in metric.get("thresholds", {}).items():
            left, sign, bound = EXPRESSION.match(expression).groups()
            unit = " ms" if metric.get("contains") == "time" and left != "count" else ""
            passed = report.threshold(f"{name} {left}", f"{sign} {bound}{unit}", value_of(metric, left))
            if passed != told["ok"]:
                report.fail(f"{name} {expression}", f"the generator judged it otherwise: {told}")


def measure(report, data, name, shown=None, failed=None, seconds=None):
    """A trend in milliseconds; failed: the rate metric of its errors."""
    values = data["metrics"].get(name, {"values": {}})["values"]
    errors = data["metrics"].get(failed, {"values": {}})["values"].get("passes", 0) if failed else 0
    count = int(values.get("count", 0))
    report.measure(shown or name, "ms", count=count, p50=values.get("med"), p95=values.get("p(95)"), p99=values.get("p(99)"),
                   max=values.get("max"), errors=int(errors), seconds=seconds)


def counters(report, data, *names):
    """These, and what came instead of expected answers."""
    for name in (*names, *INSTEAD):
        report.count(**{name: int(data["metrics"].get(name, {"values": {}})["values"].get("count", 0))})


def asked(address):
    """How many requests a running k6 has made, for a progress line; nothing when it does not say."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        with urllib.request.urlopen(f"http://{address}/v1/metrics/http_reqs", timeout=2) as reply:
            return f", {json.load(reply)['data']['attributes']['sample']['count']:.0f} requests"
    return ""


def progress(stack, label, more=""):
    sampler = stack.sampler
    sample = sampler.samples[-1] if sampler and sampler.samples else {}
    who = " ".join(f"{name} {told['rss_kb'] // 1024} MB {told['cpu_s']:.0f} s" for name, told in sample.items()
                   if isinstance(told, dict) and told["rss_kb"])
    print(f"    {label}: {sample.get('s', 0):.0f} s{more}; {who}", flush=True)


def run(stack, script, seconds, label=None, options=(), **env):
    """
    What k6 says of a script of k6/: the data of its summary.  It talks to the first apiserver as BASE and trusts its certificate;
    env: more that the script reads of __ENV.
    """
    label = label or script
    summary = stack.dir / f"{label}.k6.json"
    address = f"127.0.0.1:{free_port()}"
    given = {"BASE": f"https://127.0.0.1:{stack.api_port}", "SECONDS": seconds, "SUMMARY": summary, "KEY": API_KEY} | env
    argv = [find(), "run", "--quiet", "--no-usage-report", "--no-color", "--address", address, *options]
    if getattr(stack, "raw", False):
        figures = stack.dir / f"{label}.figures.json.gz"
        argv += ["--out", f"json={figures}"]
        stack.report.raw[f"{stack.report.scenario}.{figures.name}"] = figures
    # __ENV has them by --include-system-env-vars, which k6 run does by itself.
    trusted = {"SSL_CERT_FILE": str(stack.dir / "trusted.pem"), "HOME": str(stack.dir)} | {key: str(value) for key, value in given.items()}
    if not (stack.dir / "trusted.pem").exists():
        shutil.copy(stack.dir / "tls/api.pem", stack.dir / "trusted.pem")
    process = stack.generate("k6", [*argv, HERE / "k6" / f"{script}.js"], trusted)
    status = stack.await_generator(process, seconds + GRACE_S, lambda: progress(stack, label, asked(address)))
    return read_summary(stack, process, status, summary)


def read_summary(stack, process, status, summary):
    if status not in (0, THRESHOLDS_CROSSED) or not summary.exists():
        tail = "\n".join(process.log().splitlines()[-20:])
        raise NotMeasured(f"{process.name} ended with status {status}:\n{tail}")
    stack.report.raw[f"{stack.report.scenario}.{summary.name}"] = summary
    data = json.loads(summary.read_text(encoding="utf-8"))
    crossed = [t for m in data["metrics"].values() for t in m.get("thresholds", {}).values() if not t["ok"]]
    assert bool(crossed) == (status == THRESHOLDS_CROSSED), (status, crossed)
    return data


def run_plain(stack, scenario, seconds):
    """The same by plain.py: its script is the scenario's module."""
    summary = stack.dir / f"{scenario}.plain.json"
    argv = [sys.executable, "-B", HERE / "plain.py", scenario, str(stack.api_port), stack.dir / "tls/api.pem", str(seconds), summary]
    process = stack.generate("plain", argv, clean_env() | {"BUILD_DIR": str(BUILD)})
    status = stack.await_generator(process, seconds + GRACE_S, lambda: progress(stack, scenario))
    return read_summary(stack, process, status, summary)


def drive(stack, module, seconds):
    """By k6 where it is, and else by plain.py."""
    stack.report.data["versions"]["generator"] = generator(stack.driver)
    if stack.driver == "k6":
        return run(stack, module.SCRIPT, seconds)
    return run_plain(stack, Path(module.__file__).stem, seconds)


def generator(driver):
    return output_of(find(), "version") if driver == "k6" else "plain.py"


def floor(stack, rate, seconds, metric="http_req_duration", script="floor"):
    """p95 in milliseconds of a bare server's answers, asked as often by the same generator: a quarter as long as the load, but 5 to 15 s."""
    port = stack.start_bare()
    data = run(stack, script, min(max(seconds // 4, 5), 15), BASE=f"https://127.0.0.1:{port}", RATE=rate)
    stack.end_bare()
    return value_of(data["metrics"][metric], "p(95)")


def tell_floor(report, data, name, p95, what="bare TLS server, as many requests a second by the same generator, p95"):
    """p95: of the bare server."""
    if p95 is None:
        report.not_measured("a floor: the generator is plain.py, whose own time is most of an answer's")
        return
    report.floor(what, round(p95, 3), "ms",
                 round(value_of(data["metrics"][name], "p(95)") / p95, 3))
