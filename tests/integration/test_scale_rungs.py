"""
The rungs of the guide's ladder as their table tells them: what was run and what was not, and what doubling added.  And what a run of
ladder.py says of itself.
"""
import json
import subprocess
import sys

import pytest

from fleet import BUILD, ROOT, clean_env

sys.path[:0] = [str(ROOT / "scripts" / "scale-baseline"), str(ROOT / "deploy" / "test" / "loadtest")]
import artifacts  # noqa: E402
import ladder  # noqa: E402
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
    lines = rungs.table({s["scenario"]: s}).splitlines()
    title = f"| {s['load']['certificates']} / "
    row = next(line for line in lines if line.startswith(title))
    return dict(zip(rungs.HEADS, [cell.strip() for cell in row.strip("|").split("|")]))


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
    assert "found no limit" not in rungs.table({"ladder_500": small})


def test_a_rung_without_a_limit_says_so(small):
    assert "found no limit at 500 certificates: where it lies was not measured." in rungs.table({"ladder_500": small})
    assert "found no limit" not in rungs.table({})


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
        rungs.table({"ladder_500": small})


def test_a_run_says_how_many_times_the_peak_it_renews():
    assert "renewals at 1 a second, 173 times the peak that certctl size reckons with (0.00579); then twice" in ladder.what(500, 100, 500 / 86400)
    assert "renewals at 12 a second, 1.04 times" in ladder.what(1000000, 20000, 1000000 / 86400)
    assert "1 a second at least" in ladder.what(500, 100)


def test_no_phase_runs_out_of_certificates():
    for certificates, agents in rungs.LADDER:
        made, rate = min(agents, ladder.IN_ONE_PROCESS), ladder.rate_of(rungs.peak(certificates))
        each = ladder.certificates_each(made, rate, ladder.PHASE_S)
        assert 2 * rate * ladder.PHASE_S <= made * each <= certificates
