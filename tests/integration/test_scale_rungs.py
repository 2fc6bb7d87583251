"""
The rungs of the guide's ladder as their table tells them: what was run and what was not, and what doubling added; what a run of
ladder.py says of itself; and the model of processor time that is fitted to them.
"""
import json
import subprocess
import sys

import pytest

from fleet import BUILD, ROOT, clean_env

sys.path[:0] = [str(ROOT / "scripts" / "scale-baseline"), str(ROOT / "deploy" / "test" / "loadtest")]
import artifacts  # noqa: E402
import extract  # noqa: E402
import ladder  # noqa: E402
import model  # noqa: E402
import rungs  # noqa: E402

NOT_SANITIZED = "scripts that make tables; certctl size has a unit test"


def rung(certificates, agents, load, double, **changed):
    """A summary with what the table reads; load and double: (seconds, heartbeats and renewals a second, cores busy)."""
    made = {"scenario": f"ladder_{certificates}", "date": "2026-11-30T00:00:00Z", "commit": "abcdef012345", "machine": {"cores": 2},
            "load": {"certificates": certificates, "agents": agents, "conditions at the load": "none",
                     "gave way at double the load": "nothing; conditions: none"} | changed,
            "measures": [], "not_measured": [], "processes": [],
            "counters": {"load: heartbeats p99, ms": 20, "load: due to served p95, ms": 200}}
    for name, (seconds, beats, renewals, cores) in (("load", load), ("double", double)):
        made["measures"] += [{"name": f"{name}: heartbeat", "count": round(seconds * beats), "rate": beats},
                             {"name": f"{name}: due to served", "count": round(seconds * renewals), "rate": renewals}]
        made["counters"] |= {f"{name}: {rungs.BUSY}": cores, f"{name}: renewals": seconds * renewals,
                             f"{name}: renewals served": seconds * renewals, f"{name}: errors": 0}
    return made


def told(s):
    """{heading: cell} of its row."""
    lines = rungs.table({s["scenario"]: s}, model.cell_of({s["scenario"]: s})).splitlines()
    title = f"| {s['load']['certificates']} / "
    row = next(line for line in lines if line.startswith(title))
    return dict(zip(rungs.HEADS, [cell.strip() for cell in row.strip("|").split("|")]))


def no_model(*_):
    return "none"


@pytest.fixture
def small():
    return rung(500, 100, (99, 2, 1, 0.1), (50, 4, 2, 0.14))


def test_the_renewals_and_seconds_are_those_that_were_run(small):
    row = told(small)
    assert row["Renewals a second"] == "1, 2 at double; `certctl size` reckons with 0.00579"
    assert row["Measured for"] == "99 s, 50 s at double"
    assert row["Headroom by processors, reckoned"] == "20 times the load" and row["Agents that ran"] == "100"


def test_the_peak_is_that_of_certctl_size():
    for certificates, agents in rungs.LADDER:
        done = subprocess.run([BUILD / "cli/certctl", "size", f"--certificates={certificates}", f"--agents={agents}",
                               f"--lifetime={rungs.LIFETIME_DAYS}d", "-o", "json"], capture_output=True, text=True, check=True, env=clean_env())
        assert json.loads(done.stdout)["load"]["renewals_per_second_peak"] == pytest.approx(rungs.peak(certificates))
    assert f"{rungs.LIFETIME_DAYS}d" == ladder.LIFETIME


@pytest.mark.parametrize(("before", "then", "says"), [
    ("notification_unsent", "notification_unsent", "conditions that doubling added: none"),
    ("none", "none", "conditions that doubling added: none"),
    ("lane_slow", "job_old, lane_slow", "conditions that doubling added: job_old"),
    ("none", "job_old, notification_unsent",
     "conditions that doubling added: job_old (notification_unsent, which came meanwhile, is not of load: no channel of notifications was configured)")])
def test_conditions_are_those_that_doubling_added(small, before, then, says):
    small["load"] |= {"conditions at the load": before, "gave way at double the load": f"nothing; conditions: {then}"}
    assert told(small)["What gave way at double the load"] == f"nothing; {says}"


def test_what_gave_way_stays_whole(small):
    small["load"]["gave way at double the load"] = "answers: 503 3 times; heartbeats: p95 600 ms, p99 900 ms; conditions: none"
    assert told(small)["What gave way at double the load"].startswith("answers: 503 3 times; heartbeats: p95 600 ms, p99 900 ms; conditions that")
    assert "found no limit" not in rungs.table({"ladder_500": small}, no_model)


def test_a_rung_without_a_limit_says_so(small):
    assert "found no limit at 500 certificates: where it lies was not measured." in rungs.table({"ladder_500": small}, no_model)
    assert "found no limit" not in rungs.table({}, no_model)


def test_fewer_agents_that_stood_for_all_are_told():
    large = rung(1000000, 20000, (120, 333, 12, 1.5), (120, 600, 24, 1.9))
    large["not_measured"] = ["former versions: none", "20000 agents: 10000 with heartbeats and questions for work 2 times as often stand for them; "
                             "connections and rows are those of the fewer"]
    assert told(large)["Agents that ran"] == "10000, each 2 times as often; connections and rows are those of 10000"
    assert rungs.agents_of(large) == (10000, 2)


def test_the_harness_says_it_as_the_table_reads_it(small):
    """ladder.py writes the line by which fewer agents are known."""
    class Run:
        seconds = ladder.PHASE_S

        class report:
            lines = []
            not_measured = lines.append
    assert ladder.fleet_size(Run, 20000) == (10000, 2)
    assert rungs.agents_of(small | {"not_measured": Run.report.lines}) == (10000, 2)


def test_a_rung_without_figures_is_refused(small):
    del small["counters"]["double: errors"]
    with pytest.raises(artifacts.Refused, match="ladder_500: the phase double"):
        rungs.table({"ladder_500": small}, no_model)


def test_a_run_says_how_many_times_the_peak_it_renews():
    assert "renewals at 1 a second, 173 times the peak that certctl size reckons with (0.00579); then twice" in ladder.what(500, 100, 500 / 86400)
    assert "renewals at 12 a second, 1.04 times" in ladder.what(1000000, 20000, 1000000 / 86400)
    assert "1 a second at least" in ladder.what(500, 100)


def test_no_phase_runs_out_of_certificates():
    for certificates, agents in rungs.LADDER:
        made, rate = min(agents, ladder.IN_ONE_PROCESS), ladder.rate_of(rungs.peak(certificates))
        each = ladder.certificates_each(made, rate, ladder.PHASE_S)
        assert 2 * rate * ladder.PHASE_S <= made * each <= certificates


# --- the model's fit ---

REST, AGENT, RENEWAL = 0.07, 0.008, 0.02


def made_of(certificates, agents, beats, renewals, off=1.0, ran=None):
    """A rung whose cores are those figures', but for a part of the double's."""
    def cores(times):
        return REST + times * (beats * AGENT + renewals * RENEWAL)
    return rung(certificates, ran or agents, (120, beats, renewals, cores(1)), (120, 2 * beats, 2 * renewals, cores(2) * off))


def archive(*summaries):
    return {s["scenario"]: s for s in summaries}


def test_the_fit_finds_what_was_put_in():
    fit, why = model.fit_of(archive(made_of(500, 100, 2, 1), made_of(5000, 1000, 17, 1)))
    assert why is None and fit.worst < 1e-6
    assert (fit.idle_cores, fit.agent_us, fit.renewal_us) == pytest.approx((REST, 1e6 * AGENT, 1e6 * RENEWAL), rel=1e-3)
    assert (fit.certificates, fit.agents) == (5000, 1000)
    assert "4 phases of ladder_500 of 2026-11-30, commit abcdef012345; ladder_5000 of" in fit.origin


def test_rungs_that_are_archived_later_take_part():
    found = archive(made_of(500, 100, 2, 1), made_of(5000, 1000, 17, 1), made_of(50000, 10000, 167, 1), made_of(2000000, 30000, 500, 23))
    fit, _ = model.fit_of(found)
    assert "8 phases" in fit.origin and "ladder_2000000" in fit.origin and fit.agents == 30000


def test_the_fit_says_by_how_much_it_misses():
    fit, _ = model.fit_of(archive(made_of(500, 100, 2, 1), made_of(5000, 1000, 17, 1, off=1.3)))
    assert 0.005 < fit.worst < 0.3 and f"off by {100 * fit.worst:.2g} % at most" in fit.origin


@pytest.mark.parametrize("failed", [0, 1])
def test_too_few_phases_give_no_fit(failed):
    small, large = made_of(500, 100, 2, 1), made_of(5000, 1000, 17, 1)
    large["counters"]["double: errors"] = failed
    fit, why = model.fit_of(archive(small, large) if failed else archive(small))
    assert fit is None and why == f"{3 if failed else 2} phases of {2 if failed else 1} rungs went well, and 3 unknowns take 4 phases of 2 rungs at least"


def test_without_a_fit_the_cell_and_the_fact_say_why(small):
    found = {"ladder_500": small}
    assert told(small)["Cores by the model of `certctl size`"].startswith("not measured: 2 phases of 1 rungs went well")
    assert model.from_fit({"fit": "agent_us", "of": {}}, found)[0] is None


def test_nothing_gives_processor_time_back():
    found = archive(made_of(500, 100, 2, 1), made_of(5000, 1000, 17, 1))
    for s, (load, double) in zip(found.values(), ((0.1, 0.08), (0.3, 0.5))):
        s["counters"] |= {f"load: {rungs.BUSY}": load, f"double: {rungs.BUSY}": double}
    fit, _ = model.fit_of(found)
    assert min(fit.idle_cores, fit.agent_us, fit.renewal_us) >= 0 and fit.worst > 0.05


def test_the_largest_rung_tells_each_program_s_part():
    small, large = made_of(500, 100, 2, 1), made_of(1000000, 20000, 333, 12, ran=20000)
    for s in (small, large):
        s["processes"] = [{"name": name, "cpu_s": cpu} for name, cpu in (("apiserver", 30), ("apiserver-2", 10), ("postgresql", 100), ("generator", 9))]
    large["not_measured"] = ["20000 agents: 10000 with heartbeats and questions for work 2 times as often stand for them; connections"]
    fact = {"name": "agent_apiserver_us", "rung": "apiserver"}
    value, certificates, agents, origin = model.from_rung(fact, archive(large, small))
    assert value == pytest.approx(1e6 * 40 / (333 * 120), rel=1e-3) and (certificates, agents) == (0, 10000) and origin.startswith("ladder_1000000 of")
    # A run that failed tells nothing of it.
    large["counters"]["load: errors"] = 1
    assert model.from_rung(fact, archive(large, small))[3].startswith("ladder_500 of")
    small["processes"] = []
    with pytest.raises(artifacts.Refused, match="no process apiserver"):
        model.from_rung(fact, archive(small))


def test_a_fact_has_one_source(tmp_path):
    path = tmp_path / "scripts/scale-baseline/model.json"
    path.parent.mkdir(parents=True)
    for more, n in (({}, 0), ({"rung": "apiserver", "fit": "agent_us"}, 2)):
        path.write_text(json.dumps([{"name": "x", "unit": "us", "what": "x", "of": {}, "why": "x"} | more]), encoding="utf-8")
        with pytest.raises(artifacts.Refused, match=f"x: it has {n} of the sources"):
            model.facts(tmp_path, {})


def test_the_record_s_model_is_near_what_was_measured():
    """No rung that is archived is missed by a factor, as figures of a saturated machine missed them: by 8 to 85."""
    found = artifacts.latest(ROOT / "deploy/test/loadtest-artifacts", {s["name"]: s["least"] for s in extract.listed(ROOT)}, extract.tracked(ROOT))
    fit, why = model.fit_of(found)
    assert fit, why
    for _, phases in rungs.run_of(found):
        for phase in phases.values():
            assert not phase.is_clean or phase.cores / 3 < model.cores(fit, phase) < 3 * phase.cores, phase
