"""
What deploy/ has for monitors, asked of Prometheus itself: promtool finds no fault
with the exposition, the configuration and the rules; each alert fires when its
condition lasts and no sooner; and each query of the dashboards is answered from
what an apiserver told.
"""
import contextlib
import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request

import pytest
import yaml

from fleet import API_KEY, ROOT, free_port, wait_for

NOT_SANITIZED = "the programs are those of test_metrics.py, the rest is Prometheus"
PATH = "/api/v1/metrics/prometheus"
RULES = ROOT / "deploy/prometheus/certctl.rules.yml"
ALL_RULES = sorted((ROOT / "deploy/prometheus").glob("*.rules.yml"))
DASHBOARDS = sorted((ROOT / "deploy/grafana").glob("*.json"))
# What these ask for is not there while nothing is wrong or nothing changes.
MAY_BE_EMPTY = ("> 0", "certctl_policy_change_", "certctl_ca_not_after_", "certctl_task_queue_")
# Names that promtool's rules of style would have otherwise: three that clients know, and one that alert rules know.
ODD_NAMES = {"certctl_certificate_total", "certctl_agent_total", "certctl_condition_count", "certctl_ocsp_counter_total"}


def promtool(*arguments, text=None):
    return subprocess.run(["promtool", *map(str, arguments)], input=text, text=True, capture_output=True, timeout=60, check=False)


def queries(dashboard):
    for panel in json.loads(dashboard.read_text(encoding="utf-8"))["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m")


@pytest.fixture(scope="module")
def scraped(plane):
    """The address of a Prometheus that asks the apiserver twice a second, as deploy/ has it but for place and pace."""
    home, port = plane.dir / "prometheus", free_port()
    home.mkdir()
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "1s"}
    job = config["scrape_configs"][0]
    (home / "certctl.key").write_text(f"viewer-{API_KEY}", encoding="ascii")
    job["authorization"]["credentials_file"] = str(home / "certctl.key")
    job["tls_config"]["ca_file"] = str(plane.dir / "tls" / "api.pem")
    job["static_configs"][0]["targets"] = [f"127.0.0.1:{plane.api.port}"]
    for rules in ALL_RULES:
        shutil.copy(rules, home)
    (home / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    plane.spawn("prometheus", ["/usr/bin/prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data",
                               f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], {})
    url = f"http://127.0.0.1:{port}"

    def has_two_samples():
        with contextlib.suppress(OSError):
            found = ask(url, "count_over_time(certctl_leader_alive[1m]) >= 2")
            return found and ask(url, "rate(certctl_http_requests_total[1m])")
    wait_for(has_two_samples, 30, "Prometheus to have asked twice")
    return url


def ask(url, query):
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=20) as reply:
        answer = json.load(reply)
    assert answer["status"] == "success", (query, answer)
    return answer["data"]["result"]


def test_promtool_finds_no_fault_with_the_exposition(plane):
    status, text = plane.api.get(PATH)
    assert status == 200
    found = promtool("check", "metrics", text=text)
    told = [line for line in (found.stdout + found.stderr).splitlines() if line and line.split()[0] not in ODD_NAMES]
    assert not told, told
    broken = promtool("check", "metrics", text=text.replace("# TYPE certctl_leader_alive gauge", "# TYPE certctl_leader_alive what"))
    assert broken.returncode != 0


def test_promtool_finds_no_fault_with_the_configuration(tmp_path):
    text = (ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8")
    for name in ("certctl.key", "certctl-ca.pem"):
        (tmp_path / name).write_text("", encoding="ascii")
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus", str(tmp_path)), encoding="utf-8")
    for rules in ALL_RULES:
        shutil.copy(rules, tmp_path)
    found = promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yml")
    assert found.returncode == 0, found.stderr
    found = promtool("check", "rules", *ALL_RULES)
    assert found.returncode == 0, found.stderr


def alert_rules():
    return yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]


def test_every_alert_fires_when_its_condition_lasts(tmp_path):
    """And neither sooner, nor for another's."""
    tests = []
    for rule in alert_rules():
        named = re.search(r'condition="(\w+)"', rule["expr"])
        minutes = int(rule["for"].removesuffix("m"))
        series = [{"series": f'certctl_condition_count{{condition="{named[1]}",instance="a"}}', "values": "0x4 1x60"},
                  {"series": f'certctl_condition_count{{condition="{named[1]}",instance="b"}}', "values": "0x64"},
                  {"series": 'certctl_condition_count{condition="none_of_these",instance="a"}', "values": "1x64"}] if named else []
        begins = 5 if named else 0
        fires = {"exp_labels": {"severity": rule["labels"]["severity"]}, "exp_annotations": rule["annotations"]}
        tests.append({"interval": "1m", "input_series": series, "alert_rule_test": [
            {"eval_time": f"{begins + minutes - 1}m", "alertname": rule["alert"], "exp_alerts": []},
            {"eval_time": f"{begins + minutes}m", "alertname": rule["alert"], "exp_alerts": [fires]}]})
    assert len(tests) > 30
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}),
                                       encoding="utf-8")
    found = promtool("test", "rules", tmp_path / "test.yml")
    assert found.returncode == 0, found.stdout + found.stderr


def every_rule():
    return [r for rules in ALL_RULES for r in yaml.safe_load(rules.read_text(encoding="utf-8"))["groups"][0]["rules"]]


RENEWED = 'certctl_vault_token_renewals_total{result="%s",instance="a",job="certctl"}'
JOB = {"CertctlVaultTokenNotRenewed": {"job": "certctl"}}
ENDED = 'certctl_acme_orders_ended_total{outcome="%s",instance="%s"}'
TRIED = 'certctl_acme_validations_total{type="http-01",result="%s",instance="a"}'


@pytest.mark.parametrize("alert,series,fires", [
    # Two apiservers tell the same numbers.
    ("CertctlAcmeOrdersFailing", {ENDED % ("job_failed", "a"): "0+1x90", ENDED % ("job_failed", "b"): "0+1x90", ENDED % ("valid", "a"): "0+3x90"}, True),
    ("CertctlAcmeOrdersFailing", {ENDED % ("job_failed", "a"): "0+1x90", ENDED % ("job_failed", "b"): "0+1x90", ENDED % ("valid", "a"): "0+5x90"}, False),
    ("CertctlAcmeOrdersFailing", {ENDED % ("expired", "a"): "0+9x90", ENDED % ("valid", "a"): "0+1x90"}, False),
    ("CertctlAcmeOrdersFailing", {ENDED % ("validation", "a"): "0x60 1x30", ENDED % ("valid", "a"): "0x90"}, False),
    ("CertctlAcmeValidationsFailing", {TRIED % "dns": "0+2x90", TRIED % "valid": "0+1x90"}, True),
    ("CertctlAcmeValidationsFailing", {TRIED % "dns": "0+1x90", TRIED % "valid": "0+2x90"}, False),
    ("CertctlAcmeValidationsFailing", {TRIED % "dns": "0x80 4x10", TRIED % "valid": "0x90"}, False),
    ("CertctlVaultTokenNotRenewed", {RENEWED % "failure": "0x40 1+1x50", RENEWED % "success": "5x90"}, True),
    ("CertctlVaultTokenNotRenewed", {RENEWED % "failure": "0x40 1+1x50", RENEWED % "success": "5+1x90"}, False),
    ("CertctlVaultTokenNotRenewed", {RENEWED % "failure": "7x90", RENEWED % "success": "5x90"}, False),
])
def test_what_went_wrong_often_lately_is_told(tmp_path, alert, series, fires):
    rule, = [r for r in every_rule() if r["alert"] == alert]
    told = [{"exp_labels": {"severity": "warning"} | JOB.get(alert, {}), "exp_annotations": rule["annotations"]}] if fires else []
    test = {"interval": "1m", "input_series": [{"series": s, "values": v} for s, v in series.items()],
            "alert_rule_test": [{"eval_time": "85m", "alertname": alert, "exp_alerts": told}]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [str(r) for r in ALL_RULES], "evaluation_interval": "1m", "tests": [test]}),
                                       encoding="utf-8")
    found = promtool("test", "rules", tmp_path / "test.yml")
    assert found.returncode == 0, found.stdout + found.stderr


MOVES = 'certctl_replacement_certificates{replacement="%s",state="%s",instance="a"}'


@pytest.mark.parametrize("states, paused, fires", [
    ({"left": "90x90", "moving": "10x90", "done": "0x90"}, 0, True), ({"left": "90-1x90", "moving": "10x90", "done": "0+1x90"}, 0, False),
    ({"left": "90-1x20 70x70", "moving": "10x90", "issued": "0+1x20 20x70"}, 0, True), ({"left": "90x90", "moving": "10x90", "done": "0x90"}, 1, False),
    ({"left": "0x90", "moving": "0x90", "waiting": "5x90", "done": "9x90"}, 0, False)],
    ids=["none", "all", "no more", "paused", "only waits"])
def test_a_replacement_that_stands_is_told_of(tmp_path, states, paused, fires):
    """And one beside it that goes on is not."""
    rule, = [r for r in every_rule() if r["alert"] == "CertctlReplacementStalled"]
    series = {MOVES % ("repl-1", state): values for state, values in states.items()} | {
        MOVES % ("repl-2", "left"): "900-2x90", MOVES % ("repl-2", "done"): "0+2x90",
        'certctl_replacement_paused{replacement="repl-1",instance="a"}': f"{paused}x90"}
    told = [{"exp_labels": {"severity": "critical", "replacement": "repl-1"}, "exp_annotations": rule["annotations"]}] if fires else []
    test = {"interval": "1m", "input_series": [{"series": s, "values": v} for s, v in series.items()],
            "alert_rule_test": [{"eval_time": "25m", "alertname": rule["alert"], "exp_alerts": []},
                                {"eval_time": "85m", "alertname": rule["alert"], "exp_alerts": told}]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [str(r) for r in ALL_RULES], "evaluation_interval": "1m", "tests": [test]}),
                                       encoding="utf-8")
    found = promtool("test", "rules", tmp_path / "test.yml")
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_alert_names_a_page_that_is_there():
    for rule in every_rule():
        assert (ROOT / rule["annotations"]["runbook"]).is_file(), rule["alert"]


def test_there_are_four_dashboards():
    assert [d.stem for d in DASHBOARDS] == ["acme", "certificates", "engine", "overview"]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda d: d.stem)
def test_each_query_of_a_dashboard_is_answered(scraped, dashboard):
    asked = list(queries(dashboard))
    assert len(asked) >= 8
    for title, query in asked:
        found = ask(scraped, query)
        assert found or any(word in query for word in MAY_BE_EMPTY), (title, query)


def test_each_metric_of_a_dashboard_is_one_that_we_tell(plane):
    _, text = plane.api.get(PATH)
    told = set(re.findall(r"^# TYPE (\w+) ", text, re.M))
    asked = {name.removesuffix("_bucket") for d in DASHBOARDS for _, query in queries(d) for name in re.findall(r"certctl_\w+", query)}
    assert len(asked) > 20 and asked <= told, asked - told


def test_nothing_is_firing_that_is_not_so(plane, scraped):
    """Prometheus has the rules loaded, and evaluates them from what it was told."""
    loaded = wait_for(lambda: json.load(urllib.request.urlopen(f"{scraped}/api/v1/rules", timeout=20))["data"]["groups"], 20, "the rules")
    rules = loaded[0]["rules"]
    assert len(rules) == len(alert_rules()) and len(loaded) == len(ALL_RULES)
    wait_for(lambda: all(r["health"] == "ok" for g in json.load(urllib.request.urlopen(f"{scraped}/api/v1/rules", timeout=20))["data"]["groups"]
                         for r in g["rules"]), 20, "each rule to be evaluated")
