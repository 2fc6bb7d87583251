"""
The harness of the load tests: what it judges, what it leaves behind, and that a load reaches the product.  How quick the product is, is
not judged here (tools/test.sh loadtest does that, with the machine to itself).
"""
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest
import yaml

from fleet import API_KEY, BUILD, ROOT, Fleet, clean_env, pg_bin, wait_for

HERE = ROOT / "deploy" / "test" / "loadtest"
sys.path.insert(0, str(HERE))
import asked  # noqa: E402
import k6  # noqa: E402
import loadtest  # noqa: E402
import plain  # noqa: E402
import slopes  # noqa: E402
import stack as stack_module  # noqa: E402
from report import NotMeasured, Report  # noqa: E402

NOT_SANITIZED = "the scripts that put a load on: what the programs do meanwhile, every other file tests"
SCENARIOS = loadtest.all_scenarios()
COMMAND = ["/usr/bin/python3", "-B", str(HERE / "loadtest.py")]
WORKFLOW = ROOT / ".github" / "workflows" / "loadtest.yml"
COMPOSE = ROOT / "deploy" / "compose" / "loadtest.yml"


def environment(**more):
    return clean_env() | {"BUILD_DIR": str(BUILD)} | more


def run(*arguments, seconds=150, **env):
    return subprocess.run([*COMMAND, *(str(a) for a in arguments)], text=True, capture_output=True, check=False, timeout=seconds,
                          env=environment(**env))


# --- what is judged ---

@pytest.mark.parametrize(("limit", "value", "passed"), [
    ("< 500 ms", 499.9, True), ("< 500 ms", 500, False), (">= 10000", 10000, True), (">= 10000", 9999, False), ("== 0", 0, True),
    ("== 0", 1, False), ("< 500 ms", None, False), ("< 500 ms", float("nan"), False), (">= 0", True, False)])
def test_a_threshold(limit, value, passed):
    report = Report("s", "a load", 5)
    assert report.threshold("t", limit, value) is passed and report.finish() is passed


def test_a_report_without_a_threshold_has_not_passed():
    assert Report("s", "a load", 5).finish() is False


def test_one_failure_fails_the_whole():
    report = Report("s", "a load", 5)
    report.threshold("good", "< 5", 1)
    report.fail("apiserver-1 runs to the end", "status -11")
    assert not report.finish() and any("FAILED" in line and "status -11" in line for line in report.lines())


def test_figures_of_values():
    report = Report("s", "a load", 5)
    report.measure("m", "ms", range(1, 101), seconds=10, errors=2)
    report.measure("none", "ms", [])
    m, none = report.data["measures"]
    assert (m["count"], m["rate"], m["p50"], m["p95"], m["p99"], m["max"], m["error_rate"]) == (100, 10, 50, 95, 99, 100, 0.02)
    assert none["count"] == 0 and none["p50"] is None and none["error_rate"] is None


def test_a_metric_that_never_came_fails_as_the_generator_s_threshold():
    report = Report("s", "a load", 5)
    k6.thresholds(report, {"metrics": {"took": {"type": "trend", "contains": "time", "values": {"p(95)": 3}, "thresholds": {"p(95)<5": {"ok": True}}},
                                       "never": {"type": "counter", "values": {}, "thresholds": {"count>=1": {"ok": False}}}}})
    assert [(t["name"], t["limit"], t["passed"]) for t in report.data["thresholds"]] == [
        ("never count", ">= 1", False), ("took p(95)", "< 5 ms", True)]


def test_what_plain_py_counts():
    module = SimpleNamespace(NAME="n", RATE=10, THRESHOLDS={"http_req_failed{scenario:n}": ("rate<0.01",)})
    good = plain.summary(module, 10, [(1.0, False, True)] * 100)["metrics"]
    assert good["n_ok"] == {"type": "counter", "values": {"count": 100}, "thresholds": {"count>=99": {"ok": True}}}
    bad = plain.summary(module, 10, [(1.0, False, True)] * 98 + [(1.0, True, False)] * 2)["metrics"]
    assert not bad["n_ok"]["thresholds"]["count>=99"]["ok"] and not bad["http_req_failed{scenario:n}"]["thresholds"]["rate<0.01"]["ok"]


def fake(run_it, *without):
    """A scenario whose summary the archive would take; without: of what it says no word."""
    def run_all(run):
        run.report.count(n=1)
        run.report.not_measured(*(f"{what}: it does nothing" for what in ("floor", "generator", "postgresql", "processes") if what not in without))
        run_it(run)
    return SimpleNamespace(NAME="fake", GROUP=None, SECONDS=5, WHAT="nothing", run=run_all)


def not_measured(_run):
    raise NotMeasured("no server there")


@pytest.mark.parametrize(("run_it", "held"), [(lambda r: r.report.threshold("t", "< 2", 1), True),
                                              (lambda r: r.report.threshold("t", "< 2", 3), False), (lambda _r: None, False),
                                              (not_measured, None)])
def test_what_becomes_of_a_scenario(tmp_path, capsys, run_it, held):
    arguments = loadtest.arguments_of(["--artifacts", str(tmp_path), "--driver", "plain"])
    assert loadtest.run_one("fake", fake(run_it), arguments) is held
    assert (tmp_path / "fake.summary.json").exists() is (held is not None)
    assert {True: "passed", False: "FAILED", None: "no server there"}[held] in capsys.readouterr().out


@pytest.mark.parametrize(("run_it", "without", "why"), [
    (lambda r: r.report.threshold("t", "< 2", 1), ["floor"], "floor is null"),
    (lambda r: r.report.threshold("t", "< 2", 1), ["generator"], "no generator"),
    (lambda r: [r.report.threshold("t", "< 2", 1), r.report.threshold("t", "< 2", 1)], [], "thresholds has t twice"),
    (lambda r: [r.report.threshold("t", "< 2", 1), r.report.load(pages={"a": 1})], [], "summary.load.pages"),
])
def test_a_summary_that_the_archive_refuses_fails(tmp_path, capsys, run_it, without, why):
    arguments = loadtest.arguments_of(["--artifacts", str(tmp_path), "--driver", "plain"])
    assert loadtest.run_one("fake", fake(run_it, *without), arguments) is False
    assert "FAILED the archive takes the summary" in (told := capsys.readouterr().out) and why in told


@pytest.mark.parametrize("words", [["agent", "--duration", "4s"], ["agent", "--duration", "soon"], ["agent", "--duration", "0"], ["nonesuch"], []])
def test_refused(words):
    done = run(*words, "--driver", "plain")
    assert done.returncode != 0 and "Traceback" not in done.stderr and (words[-1:] or ["scenario"])[0] in done.stderr


# --- the scenarios ---

def test_a_scenario_says_what_it_is():
    page = (HERE / "README.md").read_text(encoding="utf-8")
    assert len({m.NAME for m in SCENARIOS.values()}) == len(SCENARIOS) >= 5
    for name, module in SCENARIOS.items():
        assert module.GROUP in (*asked.GROUPS, None) and module.SECONDS >= asked.LEAST_S and module.WHAT and callable(module.run)
        assert f"`{name}`" in page, f"README.md does not tell of {name}"
        assert not hasattr(module, "SCRIPT") or (HERE / "k6" / f"{module.SCRIPT}.js").exists()


@pytest.mark.parametrize("script", sorted(p.name for p in (HERE / "k6").glob("*.js")))
def test_a_script_imports_nothing_from_elsewhere(script):
    text = (HERE / "k6" / script).read_text(encoding="utf-8")
    imported = re.findall(r"^import .* from '([^']+)';$", text, re.M)
    assert imported and len(imported) == len(re.findall(r"\bimport\b|\brequire\s*\(", re.sub(r"//.*", "", text)))
    assert all(re.fullmatch(r"k6(/[a-z]+)?|\./common\.js", name) for name in imported)


@pytest.mark.parametrize("script", sorted({m.SCRIPT for m in SCENARIOS.values() if hasattr(m, "SCRIPT")}))
def test_a_script_wants_successes(script):
    """Limits of time and of errors hold where nothing was asked."""
    text = (HERE / "k6" / f"{script}.js").read_text(encoding="utf-8")
    counted = set(re.findall(r"new Counter\([`']([\w${}]*_ok)[`']\)", text))
    wanted = set(re.findall(r"([\w${}]+_ok)`?\]?(?:: | = )\[(?:atLeast|most|`count>=)", text))
    assert counted and counted <= wanted


def test_seeds_are_whole_and_repeatable(stack):
    for path, body in (("teams", {"id": "t-platform", "name": "platform"}),
                       ("owners", {"id": "o-alice", "name": "alice", "email": "alice@example.test", "team_id": "t-platform"}),
                       ("issuers", {"id": "iss-local", "name": "local", "type": "GenericCA"}), ("renewal-policies", {"name": "standard"})):
        stack.api.need("POST", f"/api/v1/{path}", body)
    for _ in range(2):
        for seed in sorted((HERE / "seed").glob("0[12]_*.sql")):
            stack.query(seed.read_text(encoding="utf-8"))
    assert stack.value("SELECT count(*) FROM managed_certificates WHERE expires_at > now() AND team_id = 't-platform'") == 10000
    assert stack.value("SELECT count(*) FROM agents") == stack.value("SELECT count(DISTINCT api_key_hash) FROM agents") == 5000
    beat = stack.api.post("/api/v1/agents/ag-loadtest-00007/heartbeat", {}, key="loadtest-agent-key-00007")
    assert beat == (200, {"status": "heartbeat_recorded"})
    assert stack.api.post("/api/v1/agents/ag-loadtest-00008/heartbeat", {}, key="loadtest-agent-key-00007")[0] == 403


# --- whole runs ---

def test_a_short_load(tmp_path):
    """Of both that plain.py makes; what is left of thresholds when those of time are not looked at, all hold."""
    done = run("agent", "bulk", "--driver", "plain", "--duration", "5s", "--artifacts", tmp_path)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    for scenario, asked in (("agent_storm", 835), ("bulk_renewal", 25)):
        told = json.loads((tmp_path / f"{scenario}.summary.json").read_text(encoding="utf-8"))
        assert [t for t in told["thresholds"] if not t["passed"] and " ms" not in t["limit"]] == [], done.stdout
        assert told["measures"][0]["count"] == asked == told["counters"][f"{scenario}_ok"]
        assert {"apiserver", "scheduler-1", "worker-1", "postgresql", "generator"} <= {p["name"] for p in told["processes"]}
        assert all(p["rss_peak_kb"] > 1000 for p in told["processes"] if not p["name"].startswith("everything"))
        assert told["settings"]["CERTCTL_RATE_LIMIT_ENABLED"] == "true" and told["postgresql"]["fsync"] == "on"
        assert API_KEY not in json.dumps(told) and told["format"] == 1
        assert (tmp_path / f"{scenario}.samples.json.gz").stat().st_size > 0


@pytest.mark.parametrize("scenario", ["async", "drain"])
def test_a_short_load_of_the_engine(tmp_path, scenario):
    """What the drivers share with the benchmarks fits; of the thresholds those that count, for others judge the machine."""
    done = run(scenario, "--duration", "5s", "--artifacts", tmp_path)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    [summary] = tmp_path.glob("*.summary.json")
    told = json.loads(summary.read_text(encoding="utf-8"))
    counted = [t for t in told["thresholds"] if t["limit"].startswith("==")]
    assert counted and [t for t in counted if not t["passed"]] == [], done.stdout


def test_a_load_that_is_refused_fails(monkeypatch, tmp_path):
    """By a limiter that lets the operator's key ask once a second, which the limits of time would not notice."""
    monkeypatch.setattr(Fleet, "template", None)
    for key, value in (("RPS", "1"), ("BURST", "10")):
        monkeypatch.setitem(stack_module.LIMITED, f"CERTCTL_RATE_LIMIT_PER_USER_{key}", value)
    arguments = loadtest.arguments_of(["--artifacts", str(tmp_path), "--driver", "plain", "--duration", "5s"])
    assert loadtest.run_one("bulk", SCENARIOS["bulk"], arguments) is False
    told = json.loads((tmp_path / "bulk_renewal.summary.json").read_text(encoding="utf-8"))
    failed = {t["name"] for t in told["thresholds"] if not t["passed"]}
    assert {"bulk_renewal_ok count", "http_req_failed{scenario:bulk_renewal} rate"} <= failed and told["measures"][0]["errors"] > 5


def test_a_program_that_ends_fails_the_run(monkeypatch, tmp_path):
    monkeypatch.setattr(Fleet, "template", None)

    def run_it(r):
        with r.stack() as stack:
            stack.start(workers=1)
            with stack.sampled():
                stack.processes["worker-1"].kill()
            r.report.threshold("t", "< 2", 1)
    arguments = loadtest.arguments_of(["--artifacts", str(tmp_path), "--driver", "plain"])
    assert loadtest.run_one("fake", fake(run_it), arguments) is False
    told = json.loads((tmp_path / "fake.summary.json").read_text(encoding="utf-8"))
    assert "worker-1 runs to the end" in {t["name"] for t in told["thresholds"] if not t["passed"]}


def guarded(pid):
    """The directory of a run's control plane, once it is there."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(w.endswith(b"guard.py") for w in words) and f'"owner": {pid},'.encode() in words[-2]:
            return json.loads(words[-2])["directory"]
    return None


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whoever_ends_a_run_leaves_nothing(tmp_path, signo):
    said = tmp_path / "said"
    with said.open("w", encoding="utf-8") as out:
        running = subprocess.Popen([*COMMAND, "agent", "--driver", "plain", "--duration", "10m", "--artifacts", str(tmp_path)],
                                   stdout=out, stderr=subprocess.STDOUT, env=environment(), start_new_session=True,
                                   # What a shell starts in the background ignores SIGINT, and so does all that it starts.
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def await_what(what, test, seconds):
        def told():
            return f"{what}; the run said: {said.read_text(encoding='utf-8')}"

        def is_there():
            assert running.poll() is None, told()
            return test()
        return wait_for(is_there, seconds, told)
    try:
        directory = await_what("a control plane", lambda: guarded(running.pid), 20)
        await_what("the load", lambda: list(Path(directory).glob("log/generator-*.log")), 90)
        os.killpg(running.pid, signo)
        assert running.wait(60) != 0
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    mark = directory.encode()

    def left():
        found = [Path(directory)] if Path(directory).exists() else []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                found += [path] if mark in path.read_bytes() else []
            except OSError:
                continue
        return found
    wait_for(lambda: not left(), 40, "all of it to be gone")


@pytest.fixture
def given(monkeypatch):
    """A server with no certctl on it: (its URL, what is there of databases and roles)."""
    monkeypatch.setattr(Fleet, "template", None)
    monkeypatch.setattr(Fleet, "make_database", lambda self: None)
    with Fleet("given") as fleet:
        fleet.start_postgres()

        def there():
            connection = psycopg2.connect(host=str(fleet.socket_dir), user="postgres", dbname="postgres")
            with connection.cursor() as c:
                c.execute("SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg_%' ORDER BY 1")
                found = [r[0] for r in c.fetchall()]
            connection.close()
            return found
        yield f"postgresql://postgres@/postgres?host={fleet.socket_dir}", there, fleet


def test_a_given_server_is_left_as_it_was(given, tmp_path):
    url, there, _ = given
    before = there()
    done = run("agent", "--driver", "plain", "--duration", "5s", "--artifacts", tmp_path, "--database", url)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    told = json.loads((tmp_path / "agent_storm.summary.json").read_text(encoding="utf-8"))
    assert told["postgresql"]["where"] == "given" and told["counters"]["agent_storm_ok"] == 835
    assert there() == before


def test_a_given_server_with_another_certctl_is_refused(given, tmp_path):
    url, there, fleet = given
    subprocess.run([pg_bin() / "psql", "-q", "-h", fleet.socket_dir, "-U", "postgres", "-c", "CREATE ROLE certctl_worker"], check=True,
                   env=clean_env())
    before = there()
    done = run("agent", "--driver", "plain", "--duration", "5s", "--artifacts", tmp_path, "--database", url)
    assert done.returncode == 2 and "certctl_worker" in done.stdout and there() == before


@pytest.mark.parametrize(("url", "told"), [("postgresql://postgres@127.0.0.1:1/postgres", "the given server: "), ("nonsense", "none of PostgreSQL")])
def test_a_given_server_that_is_none(tmp_path, url, told):
    done = run("agent", "--driver", "plain", "--duration", "5s", "--artifacts", tmp_path, "--database", url)
    assert done.returncode == 2 and told in done.stdout and "Traceback" not in done.stdout + done.stderr


# --- the weekly run, and containers ---

def targets():
    return set(re.findall(r"^(loadtest[a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)) | {
        f"loadtest-scale-{name}" for name in SCENARIOS}


def test_the_weekly_run_calls_targets_that_are_there():
    told = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert set(told[True]) == {"schedule", "workflow_dispatch"} and re.fullmatch(r"\d+ \d+ \* \* \d", told[True]["schedule"][0]["cron"])
    named, job = told["jobs"]["scenarios"], told["jobs"]["scenario"]
    assert "loadtest.py --targets" in named["steps"][-1]["run"] and job["needs"] == "scenarios"
    assert job["strategy"] == {"fail-fast": False, "matrix": {"target": "${{ fromJSON(needs.scenarios.outputs.targets) }}"}}
    legs = json.loads(run("--targets").stdout)
    assert set(legs) <= targets() and len(legs) == len({m.NAME for m in SCENARIOS.values() if m.GROUP}), "one leg a scenario"
    steps = job["steps"]
    assert any('make "$TARGET"' in step.get("run", "") and "continue-on-error" not in step for step in steps)
    kept = next(step for step in steps if step.get("uses", "").startswith("actions/upload-artifact@"))
    assert kept["if"] == "always()" and kept["with"]["path"] == job["env"]["ARTIFACTS"]


def test_containers_call_targets_that_are_there():
    told = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert set(told) <= {"name", "services", "volumes"} and all(s["profiles"] == ["scale"] for s in told["services"].values())
    load = told["services"]["loadtest"]
    assert load["environment"]["TARGET"] in targets() and 'make "$$TARGET"' in load["command"][-1]
    assert set(load["depends_on"]) <= set(told["services"])
    assert {v.split(":")[0] for v in load["volumes"] if not v.startswith(".")} <= set(told["volumes"])


def test_growth_of_memory_is_a_slope():
    """Of programs that were there all the time; what came later, what went, and what puts the load on, have none."""
    hour = [{"s": t * 60.0, "busy_s": 1, "leak": {"rss_kb": 1000 + 2 * t}, "flat": {"rss_kb": 500}, "generator-1": {"rss_kb": t}}
            | ({"late": {"rss_kb": 1}} if t > 40 else {}) | ({"gone": {"rss_kb": 1}} if t < 40 else {}) for t in range(61)]
    found = slopes.fit(hour, 30 * 60)
    assert set(found) == {"leak", "flat"}
    assert found["leak"] == pytest.approx((120, 1090)) and found["flat"] == pytest.approx((0, 500))
    assert slopes.fit(hour, 10**9) == {} and slopes.line([(1, 5), (1, 7)]) == (0, 6)
