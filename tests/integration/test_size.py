"""
certctl size: its help, what it refuses and by which words, and that text and JSON say the same.  The arithmetic has a unit test
(test_size.c).
"""
import json
import re
import subprocess

import pytest

from fleet import BUILD, ROOT, clean_env

NEEDED = {"--certificates": "50000", "--agents": "10000", "--lifetime": "47d"}


def size(*more, env=None, **changed):
    options = NEEDED | {f"--{name}": value for name, value in changed.items()}
    words = [f"{name}={value}" for name, value in options.items() if value is not None]
    return subprocess.run([BUILD / "cli" / "certctl", "size", *words, *more], text=True, capture_output=True, timeout=20, check=False,
                          env=clean_env() | (env or {}))


@pytest.mark.parametrize("changed, says", [
    ({"certificates": None}, "--certificates is required"), ({"agents": None}, "--agents is required"),
    ({"lifetime": None}, "--lifetime is required"), ({"certificates": "0"}, "--certificates takes 1..100000000"),
    ({"certificates": "100000001"}, "--certificates takes"), ({"agents": "-1"}, "--agents takes 0..10000000"), ({"agents": "many"}, "--agents takes"),
    ({"lifetime": "47"}, "--lifetime is \"47\""), ({"lifetime": "0d"}, "--lifetime"), ({"lifetime": "3651d"}, "1h to 3650d"),
    ({"lifetime": "59m"}, "1h to 3650d"), ({"lifetime": "1.5d"}, "--lifetime"), ({"lifetime": "-1d"}, "--lifetime"), ({"lifetime": "d"}, "--lifetime"),
    ({"lifetime": "99999999999999999999d"}, "--lifetime"),
    ({"ca-rate": "0"}, "--ca-rate is \"0\""), ({"ca-rate": "0.000"}, "--ca-rate"), ({"ca-rate": "1e3"}, "--ca-rate"), ({"ca-rate": "nan"}, "--ca-rate"),
    ({"ca-rate": "-1"}, "--ca-rate"), ({"ca-rate": "1."}, "--ca-rate"), ({"ca-rate": "1.0001"}, "--ca-rate"), ({"ca-rate": "1000000"}, "--ca-rate"),
])
def test_what_makes_no_sense_is_refused_by_name(changed, says):
    done = size(**changed)
    assert done.returncode == 2 and says in done.stderr and not done.stdout, done


def test_a_ca_that_is_too_slow_is_refused():
    done = size(**{"ca-rate": "0.01"})
    assert done.returncode == 2 and not done.stdout
    assert "--ca-rate 0.01 is too low" in done.stderr and "a CA that gives 0.01 a second cannot renew them in time" in done.stderr
    # What it says that the CA can keep, it can.
    kept = re.search(r"it can keep (\d+)", done.stderr)[1]
    assert size(certificates=kept, **{"ca-rate": "0.01"}).returncode == 0
    assert size(certificates=str(int(kept) + 1), **{"ca-rate": "0.01"}).returncode == 2


def test_a_ca_that_is_slow_is_warned_of():
    done = size(**{"ca-rate": "0.02"})
    assert done.returncode == 0 and "within a day; it takes" in done.stdout and "some end before it comes to them" in done.stdout
    assert "within a day" not in size(**{"ca-rate": "50"}).stdout


def test_text_and_json_say_the_same():
    said = json.loads(size("-o", "json").stdout)
    text = size().stdout
    assert said["load"]["heartbeats_per_second"] == pytest.approx(10000 / 60)
    for part in ("load", "disk", "memory", "settings"):
        assert said[part]
        for name, value in said[part].items():
            line = re.search(rf"^  {name} +(.*)\n      (?:= )?(.*)$", text, re.M)
            assert line and line[2] == said["arithmetic"][name], name
            assert (value is None) == (line[1] == "not measured"), name
    for warning in said["warnings"]:
        assert f"warning: {warning}\n" in text
    for fact in said["facts"]:
        assert (fact["value"] is None) == fact["origin"].startswith("not measured: "), fact


def test_beyond_what_was_measured_it_warns_by_how_much():
    said = json.loads(size("-o", "json", certificates="1", agents="4000000").stdout)
    assert any(f["name"] == "agent_us" for f in said["facts"])
    warned = [w for w in said["warnings"] if w.startswith("agent_us ")]
    told = re.search(r"was measured with (\d+) agents .*; 4000000 are (\S+) times as many", warned[0])
    assert len(warned) == 1 and float(told[2]) == pytest.approx(4000000 / int(told[1]), rel=0.01)
    assert json.loads(size("-o", "json", certificates="1", agents="1").stdout)["warnings"] == []


def test_the_cores_have_a_part_at_rest_and_say_what_is_not_in_them():
    said = json.loads(size("-o", "json").stdout)
    facts = {f["name"]: f for f in said["facts"]}
    load = said["load"]
    assert load["cores_at_rest"] == facts["idle_cores"]["value"] > 0
    assert load["cores_at_peak"] == pytest.approx(load["cores_at_rest"] + (load["heartbeats_per_second"] * facts["agent_us"]["value"] +
                                                                        load["renewals_per_second_peak"] * facts["renewal_us"]["value"]) / 1e6)
    assert "are not in it" in said["arithmetic"]["cores_at_peak"]


def test_no_figure_of_processor_time_is_a_sentence_s():
    for fact in json.loads(size("-o", "json").stdout)["facts"]:
        if fact["unit"] in ("us", "cores"):
            assert re.search(r" of \d{4}-\d\d-\d\d, commit [0-9a-f]{12}", fact["origin"]), fact


def test_it_asks_no_server():
    done = size(env={"CERTCTL_SERVER_URL": "https://127.0.0.1:1"})
    assert done.returncode == 0 and "settings" in done.stdout


def test_every_extreme_is_reckoned_or_refused():
    for certificates in ("1", "100000000"):
        for agents in ("0", "10000000"):
            for lifetime in ("1h", "3650d"):
                done = size("-o", "json", certificates=certificates, agents=agents, lifetime=lifetime)
                assert done.returncode in (0, 2)
                if done.returncode == 0:
                    json.loads(done.stdout)
                else:
                    assert "--agents" in done.stderr


def test_the_guide_s_commands_run():
    text = (ROOT / "docs/operator/scale.md").read_text(encoding="utf-8")
    lines = re.findall(r"^certctl (.*size .*)$", text, re.M)
    assert len(lines) == 3
    for line in lines:
        done = subprocess.run([BUILD / "cli" / "certctl", *line.split()], text=True, capture_output=True, timeout=20, check=False, env=clean_env())
        assert done.returncode == 0, (line, done.stderr)
