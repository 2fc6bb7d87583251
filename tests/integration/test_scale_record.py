"""
The record of load tests is what its artifacts say and nothing else: tables, plots, the model of certctl size and the guide's ladder;
what is no full run, or no summary of format 1, is refused by name.
"""
import copy
import gzip
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from fleet import BUILD, ROOT, clean_env

sys.path.insert(0, str(ROOT / "scripts" / "scale-baseline"))
import artifacts  # noqa: E402
import extract  # noqa: E402
import plots  # noqa: E402
import svg  # noqa: E402
import tables  # noqa: E402

NOT_SANITIZED = "scripts; certctl size has a unit test"
# Short runs on a busy machine, kept for these tests: no figure of theirs is part of the record.
SHORT = ROOT / "tests" / "support" / "scale"
SUMMARIES = {p.name.split(".")[0]: json.loads(p.read_text(encoding="utf-8")) for p in SHORT.glob("*.summary.json")}


@pytest.fixture
def summary():
    return copy.deepcopy(SUMMARIES["flat"])


@pytest.fixture
def root(tmp_path):
    """The tree's pages over an archive of the short runs, which count as full here."""
    for name in (extract.PAGE, extract.GUIDE, extract.MODEL, "scripts/scale-baseline/model.json", "docs/internals/performance.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    record = json.loads((ROOT / "scripts/scale-baseline/record.json").read_text(encoding="utf-8"))
    for scenario in record["scenarios"]:
        scenario["least"] = {}
    (tmp_path / "scripts/scale-baseline/record.json").write_text(json.dumps(record))
    for summary in SUMMARIES.values():
        put(tmp_path, summary)
    return tmp_path


def put(root, summary):
    folder = root / extract.ARCHIVE / f"{summary['date'][:10]}-{summary['commit'][:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{summary['scenario']}.summary.json"
    path.write_text(json.dumps(summary))
    return path


def rows(text):
    return [line for line in text.splitlines() if line.startswith("|")]


# --- what is committed ---

def test_the_committed_record_is_what_the_artifacts_say():
    assert extract.differing(ROOT) == []
    assert subprocess.run([ROOT / "scripts/scale-baseline/extract.sh", "--check"], check=False, env=clean_env()).returncode == 0


def test_no_cell_of_the_record_is_empty():
    found = rows((ROOT / extract.PAGE).read_text(encoding="utf-8"))
    assert len(found) > 20
    for line in found:
        assert all(cell.strip() for cell in line.strip("|").split("|")), line


def test_every_scenario_of_the_harness_has_a_row():
    listed = {s["name"] for s in extract.listed(ROOT)}
    modules = list((ROOT / "deploy/test/loadtest/scenarios").glob("[a-z]*.py"))
    assert modules
    for path in modules:
        name = re.search(r'^NAME = "(\w+)"', path.read_text(encoding="utf-8"), re.M)
        assert name and name[1] in listed, f"{path.name}: scripts/scale-baseline/record.json does not list it"


def test_the_ladder_is_what_certctl_size_says():
    assert extract.ladder(ROOT, BUILD / "cli/certctl") == (ROOT / extract.GUIDE).read_text(encoding="utf-8")


# --- a table is its artifacts ---

def test_tables_plots_and_model_come_from_artifacts(root):
    extract.write(root)
    assert extract.differing(root) == []
    page = (root / extract.PAGE).read_text()
    for summary in SUMMARIES.values():
        for m in summary["measures"]:
            assert f"| {m['name']} | {m['count']} |" in page and f" {tables.shown(m['max'])} {m['unit']} " in page
            assert m["count"] < tables.SAMPLES_LEAST or f" {tables.shown(m['p99'])} {m['unit']} " in page
        for name, value in summary["counters"].items():
            assert f"| {name} | {tables.shown(value)} |" in page
        for p in summary["processes"]:
            assert f"| {p['name']} |" in page
        assert summary["date"] in page and summary["commit"][:12] in page and summary["machine"]["cpu"] in page
    assert f"renewal_wal, true, {float(SUMMARIES['costs']['counters']['renewal_wal'])!r}" in (root / extract.MODEL).read_text()
    guide = (root / extract.GUIDE).read_text()
    assert "scale-flat-latency.svg" in guide
    for prefix in ("drain_per_s", "bare_per_s"):
        line = " | ".join(tables.shown(SUMMARIES["flat"]["counters"][f"{prefix}_{size}"]) for size in (200, 400, 800))
        assert f" | {line} | " in guide
    for line in rows(page):
        assert all(cell.strip() for cell in line.strip("|").split("|")), line


def test_a_figure_that_was_changed_by_hand_is_found(root):
    extract.write(root)
    page = root / extract.PAGE
    figure = tables.shown(SUMMARIES["costs"]["counters"]["renewal_wal"])
    page.write_text(page.read_text().replace(f"| renewal_wal | {figure} |", "| renewal_wal | 12 |"))
    assert extract.differing(root) == [extract.PAGE]


def test_figures_without_their_artifact_are_found(root):
    extract.write(root)
    for path in (root / extract.ARCHIVE).glob("*/flat.summary.json"):
        path.unlink()
    bad = extract.differing(root)
    assert {extract.PAGE, extract.GUIDE, "docs/operator/scale-flat-latency.svg"} <= set(bad)
    extract.write(root)
    assert not list((root / "docs/operator").glob("*.svg")) and "Not measured" in (root / extract.GUIDE).read_text()


def test_a_row_outside_the_marks_is_refused(root):
    page = root / extract.PAGE
    page.write_text(page.read_text() + "\n| bulk renewal | 3 ms |\n")
    with pytest.raises(artifacts.Refused, match="outside the marks"):
        extract.pages(root)


def test_marks_that_are_gone_are_refused(root):
    page = root / extract.PAGE
    page.write_text(re.sub(r"<!-- Made by [^\n]*: runs; .*?<!-- End of runs. -->\n", "", page.read_text(), flags=re.S))
    with pytest.raises(artifacts.Refused, match="marks of runs"):
        extract.pages(root)


def test_the_newest_run_counts(root, summary):
    old = summary["counters"]["bare_per_s_200"]
    summary |= {"date": "2030-01-01T00:00:00Z", "commit": "abcdef012345"}
    summary["counters"]["bare_per_s_200"] = old + 7
    put(root, summary)
    extract.write(root)
    page = (root / extract.PAGE).read_text()
    assert f"| bare_per_s_200 | {tables.shown(old + 7)} |" in page and f"| bare_per_s_200 | {tables.shown(old)} |" not in page


def test_a_model_s_sentence_must_stand_in_its_page(root):
    page = root / "docs/internals/performance.md"
    page.write_text(page.read_text().replace("184 bytes of log", "185 bytes of log"))
    with pytest.raises(artifacts.Refused, match="heartbeat_wal.*does not say"):
        extract.pages(root)


def test_what_git_does_not_know_is_passed_over_by_the_check(root, summary):
    def git(*words):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.test", "-C", root, *words], check=True, capture_output=True)
    extract.write(root)
    git("init", "-q")
    git("add", "-A")
    put(root, summary | {"date": "2030-01-01T00:00:00Z", "commit": "abcdef012345"})
    (root / extract.ARCHIVE / "2030-01-01-abcdef012345" / "flat.apiserver.log").write_text("x")
    stray = root / extract.ARCHIVE / "0.summary.json"
    stray.write_text("{}")
    assert extract.differing(root) == []
    with pytest.raises(artifacts.Refused, match="0.summary.json: the archive holds folders"):
        extract.write(root)
    stray.unlink()
    with pytest.raises(artifacts.Refused, match="flat.apiserver.log"):
        extract.write(root)
    git("add", "-A")
    with pytest.raises(artifacts.Refused, match="flat.apiserver.log"):
        extract.differing(root)


def test_a_scenario_that_is_not_listed_is_refused(root, summary):
    put(root, summary | {"scenario": "other"})
    with pytest.raises(artifacts.Refused, match="does not list that scenario"):
        extract.pages(root)


# --- what a reader must not take for more than it is ---

def made(maker, summary, **more):
    """The cells of what a table says of one scenario."""
    text = maker([{"name": summary["scenario"], "title": "x"} | more], {summary["scenario"]: summary})
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows(text)[2:]]


def measure(summary, **changed):
    """The summary with one measure alone."""
    summary["measures"] = [summary["measures"][0] | changed]
    return made(tables.latency, summary)


def test_few_samples_have_no_percentiles(summary):
    few = measure(summary, count=tables.SAMPLES_LEAST - 1, rate=None, p50=2, p95=3, p99=4, max=5)
    assert few[0][2:9] == ["19", "-", "-", "2 ms", "-", "-", "5 ms"]
    enough = measure(summary, count=tables.SAMPLES_LEAST, rate=10, p50=2, p95=3, p99=4, max=5)
    assert enough[0][2:9] == ["20", "2 s", "10", "2 ms", "3 ms", "4 ms", "5 ms"]


def test_the_upper_end_of_a_rate_is_no_percentile(summary):
    assert measure(summary, count=100, rate=None, unit="jobs/s", p50=2, p95=3, p99=4, max=5)[0][5:9] == ["2 jobs/s", "-", "-", "5 jobs/s"]


def test_errors_that_nobody_counted_are_no_0(summary):
    said = {row[1]: row[-1] for row in made(tables.latency, summary)}
    assert said["renewal_scan_200"] == "not counted" and said["get_one_200"] == "0 % (0)"
    soak = {"scenario": "soak", "measures": [summary["measures"][0] | {"name": name, "errors": 0, "error_rate": 0}
                                             for name in ("due to served, p95 of each round", "another")]}
    assert [row[-1] for row in made(tables.latency, soak)] == ["not counted", "0 % (0)"]


def test_names_of_uncounted_measures_are_those_of_the_record():
    """Of scenarios that have none of their own any more a line here would hide counted errors."""
    found = artifacts.latest(ROOT / extract.ARCHIVE, short_runs_of_the_record(), extract.tracked(ROOT))
    for name in set(tables.UNCOUNTED) & set(found):
        assert any(re.fullmatch(tables.UNCOUNTED[name], m["name"]) and m["errors"] == 0 for m in found[name]["measures"]), name


@pytest.mark.parametrize("share", [tables.BESIDE_LEAST, 0.516])
def test_a_run_beside_other_work_says_so(summary, share):
    next(p for p in summary["processes"] if p["name"] == tables.BESIDE)["cpu_share"] = share
    load = made(tables.runs, summary, note="a note")[0][1]
    assert "; a note" in load and ("; everything else on the machine took 51.6 %" in load) == (share > tables.BESIDE_LEAST)


def test_the_call_that_is_another_has_a_row_of_its_own(summary):
    summary["scenario"] = "bulk_renewal"
    both = measure(summary, count=1500, rate=5, p50=11, p95=16, p99=18, max=1045)
    assert len(both) == 2 and both[0][2] == "1500"
    assert both[1][1].startswith("the longest of them") and both[1][2:] == ["1", "-", "-", "-", "-", "-", "1045 ms", "-"]


def test_the_guide_says_what_of_the_plots_is_judged(summary):
    text = plots.words({"flat": summary}, plots.make({"flat": summary}))
    growing = next(line for line in rows(text) if line.startswith("| renewal scan"))
    of = {m["name"]: m["p50"] for m in summary["measures"]}
    assert growing.endswith(f"| {tables.shown(of['renewal_scan_800'])} | {of['renewal_scan_800'] / of['renewal_scan_200']:.2f} |")
    assert "list page, the slowest size of the fastest: " in text and "One certificate and the renewal scan are judged by nothing." in text
    assert plots.words({}, {}).startswith("Not measured")


# --- what is refused ---

def short_runs_of_the_record():
    return {s["name"]: s["least"] for s in extract.listed(ROOT)}


@pytest.mark.parametrize("name", sorted(SUMMARIES))
def test_a_short_run_is_no_part_of_the_record(tmp_path, name):
    put(tmp_path, SUMMARIES[name])
    with pytest.raises(artifacts.Refused, match="a short run"):
        artifacts.latest(tmp_path / extract.ARCHIVE, short_runs_of_the_record())


CHANGES = {
    "format": lambda s: s.update(format=2), "no field": lambda s: s.update(extra=1), "missing": lambda s: s["machine"].pop("cpu"),
    "whole number": lambda s: s["load"].update(certificates=1.5), "a number": lambda s: s["measures"][0].update(p50=float("nan")),
    "rise": lambda s: s["measures"][0].update(p50=1e9), "more errors": lambda s: s["measures"][0].update(errors=10**9),
    "errors / count": lambda s: s["measures"][0].update(error_rate=0.5), "twice": lambda s: s["measures"].append(s["measures"][0]),
    "what the thresholds say": lambda s: s.update(passed=not s["passed"]), "no postgresql": lambda s: s.update(
        processes=[p for p in s["processes"] if p["name"] != "postgresql"]),
    "no generator": lambda s: s.update(processes=[p for p in s["processes"] if p["name"] != "generator"]),
    "floor is null": lambda s: s.update(floor=None), "date is": lambda s: s.update(date="2026-11-30"),
    "commit is": lambda s: s.update(commit="836641dc-dirty"), "without \\|": lambda s: s["load"].update(what="a | b"),
    "nothing was measured": lambda s: s.update(measures=[], counters={}), "must be a list": lambda s: s.update(processes={}),
    "true or false": lambda s: s["thresholds"][0].update(passed=1), "without a value": lambda s: s["thresholds"][0].update(value=None, passed=True),
    "0 or more": lambda s: s["load"].update(x=-1), "a number": lambda s: s["counters"].update(x="1"), "text": lambda s: s["settings"].update(A="")}


@pytest.mark.parametrize("why", sorted(CHANGES))
def test_a_summary_that_is_not_of_format_1_is_refused(tmp_path, summary, why):
    artifacts.check(summary)
    CHANGES[why](summary)
    if why == "without a value":
        summary["passed"] = all(t["passed"] for t in summary["thresholds"])
    with pytest.raises(artifacts.Refused, match=why):
        artifacts.check(summary)


def test_a_slope_may_fall(summary):
    summary["counters"]["memory of worker-1, KB an hour"] = summary["thresholds"][0]["value"] = -720
    artifacts.check(summary)


def test_what_is_excused_by_name_may_be_missing(summary):
    summary["floor"] = None
    summary["not_measured"] += ["floor: nothing to hold it against"]
    artifacts.check(summary)
    assert "not measured: nothing to hold it against" in tables.runs([{"name": "flat", "title": "x"}], {"flat": summary})


def test_a_file_in_the_wrong_place_is_refused(root, summary):
    path = put(root, summary)
    for name, why in (("other.summary.json", "its scenario is flat"), ("notes.txt", "neither")):
        shutil.copy(path, path.parent / name)
        with pytest.raises(artifacts.Refused, match=why):
            extract.pages(root)
        (path.parent / name).unlink()
    stranger = path.parent.parent / "2026-01-01-836641dc"
    stranger.mkdir()
    shutil.copy(path, stranger / path.name)
    with pytest.raises(artifacts.Refused, match="so its folder is"):
        extract.pages(root)
    shutil.rmtree(stranger)
    (path.parent.parent / "latest").mkdir()
    with pytest.raises(artifacts.Refused, match="latest: the archive holds folders"):
        extract.pages(root)
    (path.parent.parent / "latest").rmdir()
    shutil.copy(path, path.parent.parent / path.name)
    with pytest.raises(artifacts.Refused, match="flat.summary.json: the archive holds folders"):
        extract.pages(root)


def test_a_raw_file_must_be_whole(root, summary):
    path = put(root, summary).parent / "flat.samples.json.gz"
    path.write_bytes(gzip.compress(b"x" * 1000)[:-4])
    with pytest.raises(artifacts.Refused, match="flat.samples.json.gz"):
        extract.pages(root)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1, "format": 1}', "[" * 100000])
def test_what_is_no_summary_is_refused(root, summary, text):
    put(root, summary).write_text(text)
    with pytest.raises(artifacts.Refused, match="flat.summary.json"):
        extract.pages(root)


# --- plots ---

def test_a_plot_has_the_same_bytes_each_time_and_is_well_formed(summary):
    made = plots.make({"flat": summary})
    assert made == plots.make({"flat": copy.deepcopy(summary)}) and len(made) == 3
    for text in made.values():
        found = ElementTree.fromstring(text)
        assert found.tag.endswith("svg") and "prefers-color-scheme: dark" in text
        sizes = {m for m in re.findall(r">(200|400|800)<", text)}
        assert sizes == {"200", "400", "800"}


def test_a_chart_puts_greater_figures_higher():
    text = svg.chart("t & t", "ms", [("a<b", [(10, 1), (100, 3), (1000, 2)])])
    points = [tuple(map(float, p.split(","))) for p in re.search(r'points="([^"]+)"', text)[1].split()]
    assert points[0][0] < points[1][0] < points[2][0] and points[1][1] < points[2][1] < points[0][1]
    assert points[1][0] - points[0][0] == pytest.approx(points[2][0] - points[1][0], abs=0.2)
    assert "a&lt;b" in text and "t &amp; t" in text


def test_a_plot_needs_two_sizes(summary):
    summary["counters"] = {k: v for k, v in summary["counters"].items() if not k.startswith("drain") or k.endswith("_200")}
    with pytest.raises(artifacts.Refused, match="two sizes"):
        plots.make({"flat": summary})
