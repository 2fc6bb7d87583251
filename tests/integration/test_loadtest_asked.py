"""
What the load tests do with what they are asked for: nothing is taken and passed over, a summary names the programs it measured, short runs
stay out of the record's archive, and no answer counts as right that is not.
"""
import argparse
import ast
import datetime
import json
import re
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from fleet import BUILD, ROOT, Fleet, clean_env, wait_for

HERE = ROOT / "deploy" / "test" / "loadtest"
sys.path.insert(0, str(HERE))
import asked  # noqa: E402
import loadtest  # noqa: E402
import place  # noqa: E402
import servers  # noqa: E402
import wrk  # noqa: E402
from report import Report, stale  # noqa: E402

NOT_SANITIZED = "scripts, and what they say of answers"
SCENARIOS = loadtest.all_scenarios()
RECORD = json.loads((ROOT / "scripts/scale-baseline/record.json").read_text(encoding="utf-8"))["scenarios"]
# Programs that the load tests start, and the package of each; ninja and openssl come with the group run, k6 by tools/k6.sh.
PACKAGES = {"wrk": "wrk", "haproxy": "haproxy", "nginx": "nginx", "apache2": "apache2-bin", "openssl": "openssl", "ninja": "ninja-build",
            "git": "git", "kill": None, "k6": None, "env": None}


def told(**more):
    return argparse.Namespace(**{"duration": None, "amounts": {}, "database": None, "driver": None, "scenarios": [], "artifacts": None,
                                 "raw": False} | more)


# --- variables ---

@pytest.mark.parametrize(("name", "arguments", "words"), [
    ("agent", {"amounts": {"CERTIFICATES": 5}}, ["agent takes no CERTIFICATES", "drain"]),
    ("bulk", {"amounts": {"AGENTS": 5}}, ["bulk takes no AGENTS", "fleet"]),
    ("drain", {"amounts": {"AGENTS": 5}}, ["drain takes no AGENTS"]),
    ("costs", {"duration": 30}, ["costs takes no DURATION"]),
    ("ladder_500", {"duration": 600}, ["ladder_500 takes a DURATION of 120 s at most, not 600 s"]),
    ("jws", {"duration": 601}, ["jws takes a DURATION of 600 s at most"]),
    ("drain", {"duration": 61}, ["drain takes a DURATION of 60 s at most"])])
def test_what_a_scenario_does_not_take_is_refused_by_name(name, arguments, words):
    [line] = asked.refusals([name], SCENARIOS, told(**arguments))
    assert all(word in line for word in words)


@pytest.mark.parametrize(("name", "arguments"), [
    ("drain", {"amounts": {"CERTIFICATES": 5}, "duration": 60}), ("fleet", {"amounts": {"AGENTS": 5}}), ("soak", {"duration": 7200}),
    ("ladder_500", {"duration": 120}), ("costs", {}), ("agent", {"duration": 5})])
def test_what_it_takes_is_not(name, arguments):
    assert not list(asked.refusals([name], SCENARIOS, told(**arguments)))


def test_a_scenario_says_which_variables_it_reads():
    for name, module in SCENARIOS.items():
        text = Path(module.__file__).read_text(encoding="utf-8")
        read = {v for v in asked.AMOUNTS if re.search(rf'(?:amount\(|environ(?:\.get\(|\[))"{v}"', text)}
        assert read == set(asked.takes(module)) - {"DURATION"}, name


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1.5", "1e3", "99999999"])
@pytest.mark.parametrize("variable", asked.AMOUNTS)
def test_an_amount_that_is_none_is_refused(variable, text):
    with pytest.raises(SystemExit, match=f"{variable}={text}"):
        asked.amounts_of({variable: text})


def test_minutes_are_a_duration():
    arguments = told()
    asked.settle(arguments, asked.amounts_of({"MINUTES": "3", "AGENTS": "", "CERTIFICATES": "7"}))
    assert (arguments.duration, arguments.amounts) == (180, {"CERTIFICATES": 7})
    with pytest.raises(SystemExit, match="MINUTES and DURATION"):
        asked.settle(told(duration=30), {"MINUTES": 3})


@pytest.mark.parametrize("target", ["soak", "loadtest-scale-soak", "loadtest-scale-drain"])
def test_make_hands_on_what_it_is_told(target):
    line = subprocess.run(["make", "-n", target, "DURATION=30s"], cwd=ROOT, text=True, capture_output=True, check=True, env=clean_env()).stdout
    assert line.count("--duration") == 1 and "--duration 30s" in line and target.rpartition("-")[2] in line.splitlines()[-1].split()


def test_a_run_of_a_refused_variable_does_not_begin(tmp_path):
    done = subprocess.run(["/usr/bin/python3", "-B", HERE / "loadtest.py", "agent", "--artifacts", tmp_path / "a"], text=True, capture_output=True,
                          check=False, env=clean_env() | {"BUILD_DIR": str(BUILD), "CERTIFICATES": "5"})
    assert done.returncode == 2 and "agent takes no CERTIFICATES" in done.stderr and not (tmp_path / "a").exists()


# --- a given server, and who makes the load ---

def fake(**more):
    def run(run):
        run.report.count(n=1)
        run.report.not_measured(*(f"{what}: it does nothing" for what in ("floor", "generator", "postgresql", "processes")))
        run.report.threshold("t", "< 2", 1)
    return SimpleNamespace(**{"NAME": "fake", "GROUP": "scale", "SECONDS": 5, "WHAT": "nothing", "run": run} | more)


def test_a_group_passes_over_what_needs_a_server_of_its_own(tmp_path, capsys):
    modules = {"able": fake(), "unable": fake(OWN_SERVER="it is not ours to restart")}
    given = told(database="postgresql://x", artifacts=tmp_path)
    results = loadtest.run_all(list(modules), modules, given)
    assert results == {"able": True, "unable": loadtest.PASSED_OVER} and loadtest.status_of(results) == 0
    assert "unable: not measured: it is not ours to restart" in (said := capsys.readouterr().out) and "not measured: it needs" in said
    given.scenarios = ["unable"]
    assert loadtest.status_of(loadtest.run_all(["unable"], modules, given)) == 2, "by its name it is refused"
    assert loadtest.status_of({"unable": loadtest.PASSED_OVER}) == 2, "nothing was measured"
    assert loadtest.run_all(["unable"], modules, told(artifacts=tmp_path)) == {"unable": True}, "with a private one it runs"


def test_what_restarts_postgresql_says_so():
    assert {n for n, m in SCENARIOS.items() if hasattr(m, "OWN_SERVER")} == {"pg_restart", "pg_settings", "soak"}


@pytest.mark.parametrize(("arguments", "has_k6", "driver"), [
    ({}, True, "k6"), ({"driver": "plain"}, True, "plain"), ({}, False, None), ({"duration": 300}, False, None), ({"duration": 30}, False, "plain"),
    ({"driver": "plain"}, False, "plain")])
def test_a_full_run_takes_k6(arguments, has_k6, driver):
    found, why_none = asked.driver_of(SCENARIOS["agent"], told(**arguments), has_k6)
    assert found == driver and bool(why_none) == (driver is None)
    if driver is None:
        assert "a full run takes k6" in why_none


def test_a_load_for_k6_alone_has_no_other():
    assert asked.driver_of(SCENARIOS["acme"], told(duration=30), False)[0] is None
    assert asked.driver_of(SCENARIOS["drain"], told(), False)[1] is None, "it has no load of k6's"


def test_a_summary_says_that_k6_did_not_make_its_load(tmp_path):
    run = fake().run
    assert loadtest.run_one("fake", fake(SCRIPT="x", request=None, run=run), told(driver="plain", artifacts=tmp_path))
    assert place.BY_PLAIN in json.loads((tmp_path / "fake.summary.json").read_text())["not_measured"]


# --- what was built ---

def test_the_programs_of_these_tests_are_of_this_checkout():
    assert stale() is None


def test_a_build_that_is_none_or_another_s_is_told(tmp_path):
    assert "no whole build" in stale(tmp_path)
    (tmp_path / "meson-info").mkdir()
    (tmp_path / "meson-info/meson-info.json").write_text(json.dumps({"directories": {"source": "/elsewhere"}}))
    assert "another checkout, /elsewhere" in stale(tmp_path)


def test_a_build_that_is_older_is_told(tmp_path):
    (tmp_path / "meson-info").mkdir()
    (tmp_path / "meson-info/meson-info.json").write_text(json.dumps({"directories": {"source": str(tmp_path)}}))
    assert "fails" in stale(tmp_path, tmp_path)
    (tmp_path / "in").write_text("1")
    (tmp_path / "build.ninja").write_text("rule copy\n command = cp $in $out\nbuild out: copy in\n")
    assert "older than the checkout" in stale(tmp_path, tmp_path)
    subprocess.run(["ninja", "-C", tmp_path], check=True, capture_output=True)
    assert stale(tmp_path, tmp_path) is None


# --- where a run's files lie ---

@pytest.fixture
def full():
    """The report of a full run of ocsp_crl, of a checkout without changes."""
    report = Report("ocsp_crl", "a load", 60)
    report.data["commit"] = "0123456789ab"
    report.count(n=1)
    report.not_measured(*(f"{what}: it does nothing" for what in ("floor", "generator", "postgresql", "processes")))
    report.threshold("t", "< 2", 1)
    report.finish()
    return report


def placed(tmp_path, report, files=(), given=None):
    where = place.Place(report, given, disk=tmp_path / "disk", archive=tmp_path / "archive")
    for name in files:
        (tmp_path / name).write_text("x")
    where.keep({f"{report.scenario}.{name}": tmp_path / name for name in files})
    return where.write()


def test_a_full_run_goes_into_the_archive_but_for_its_logs(tmp_path, full):
    path, why = placed(tmp_path, full, ["a.log", "b.json"])
    assert why == [] and path.parent == tmp_path / "archive" / f"{full.now:%Y-%m-%d}-0123456789ab"
    assert {p.name for p in path.parent.iterdir()} == {"ocsp_crl.summary.json", "ocsp_crl.b.json.gz"}
    assert [p.name for p in (tmp_path / "disk").glob("*/*")] == ["ocsp_crl.a.log"]


def test_nothing_in_the_archive_is_written_over(tmp_path, full):
    first, _ = placed(tmp_path, full)
    before = first.read_bytes()
    full.count(n=2)
    path, [why] = placed(tmp_path, full)
    assert "is there already" in why and first.read_bytes() == before and path.parent.parent == tmp_path / "disk"
    assert json.loads(path.read_text())["counters"] == {"n": 2}


@pytest.mark.parametrize(("change", "why"), [
    (lambda d: d["load"].update(duration_s=30), "a short run: duration_s 30 of 60"), (lambda d: d.update(commit="0123456789ab-dirty"), "has changes"),
    (lambda d: d.update(commit="unknown"), "not known"), (lambda d: d["not_measured"].append(place.BY_PLAIN), "k6 did not"),
    (lambda d: d.update(scenario="other"), "does not list it"), (lambda d: d.update(measures=[], counters={}), "nothing was measured")])
def test_what_is_no_part_of_the_record_stays_on_disk(tmp_path, full, change, why):
    change(full.data)
    path, reasons = placed(tmp_path, full)
    assert any(why in r for r in reasons) and path.parent.parent == tmp_path / "disk" and not (tmp_path / "archive").exists()


def test_a_directory_that_was_named_has_both(tmp_path, full):
    for seconds in (60, 30):
        full.data["load"]["duration_s"] = seconds
        assert placed(tmp_path, full, given=tmp_path / "named") == (tmp_path / "named" / "ocsp_crl.summary.json", [])


def test_a_run_says_where_it_lies_and_why(tmp_path, monkeypatch, capsys):
    for name in ("DISK", "ARCHIVE"):
        monkeypatch.setattr(place, name, tmp_path / name)
    assert loadtest.run_one("fake", fake(), told())
    [summary] = (tmp_path / "DISK").glob("*/fake.summary.json")
    said = capsys.readouterr().out
    assert str(summary) in said and "no part of the record: " in said and not (tmp_path / "ARCHIVE").exists()


@pytest.mark.parametrize("path", ["", "2026-11-30-0123456789ab", "../loadtest-artifacts/x"])
def test_the_archive_is_no_directory_to_name(path, capsys):
    with pytest.raises(SystemExit):
        loadtest.arguments_of(["--artifacts", str(place.ARCHIVE / path)])
    assert "lies in the archive" in capsys.readouterr().err


def test_summaries_of_containers_lie_outside_the_archive():
    load = yaml.safe_load((ROOT / "deploy/compose/loadtest.yml").read_text(encoding="utf-8"))["services"]["loadtest"]
    [host] = [v.split(":")[0] for v in load["volumes"] if v.split(":")[1] == load["environment"]["ARTIFACTS"]]
    where = (ROOT / "deploy/compose" / host).resolve()
    assert not place.is_in_archive(where)
    assert subprocess.run(["git", "check-ignore", "-q", f"{where}/"], cwd=ROOT, check=False).returncode == 0, "git does not see them"


# --- the record ---

def test_a_row_s_command_is_its_scenario_s_make_target():
    modules = {m.NAME: (name, m) for name, m in SCENARIOS.items()}
    for row in RECORD:
        name, module = modules[row["name"]]
        assert row["command"] == ("make soak MINUTES=60" if name == "soak" else f"make loadtest-scale-{name}")
        if "DURATION" in asked.takes(module):
            assert row["least"]["duration_s"] == module.SECONDS, f"a shorter run of {name} would be a full one"


# --- what the load tests start ---

def started():
    """Names of the programs that the harness starts, as its text says them."""
    for path in HERE.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            for argument in call.args:
                first = argument.elts[0] if isinstance(argument, ast.List) and argument.elts else argument
                word = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
                called = getattr(call.func, "attr", getattr(call.func, "id", ""))
                is_program = isinstance(argument, ast.List) and called in ("run", "Popen", "generate", "spawn")
                if word and (is_program or called in ("program", "output_of", "which")):
                    yield word.rpartition("/")[2]
                if called in ("program", "output_of", "which"):
                    break


def test_the_group_loadtest_has_every_program_that_a_scenario_starts():
    there = subprocess.run([ROOT / "deploy/local/packages.sh", "list", "loadtest"], text=True, capture_output=True, check=True).stdout.split()
    found = set(started())
    assert {"wrk", "apache2", "haproxy", "nginx"} <= found <= set(PACKAGES), "a program with no package here"
    assert {PACKAGES[name] for name in found} - {None} <= set(there)


# --- which answers are right ---

def names(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, serial):
    now = datetime.datetime(2030, 1, 1)
    return (x509.CertificateBuilder().subject_name(names(subject)).issuer_name(names(issuer)).public_key(key.public_key()).serial_number(serial)
            .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(issuer_key, hashes.SHA256()))


def test_an_ocsp_answer_is_right_that_verifies_and_says_good():
    is_good = SCENARIOS["ocsp"].is_good
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(4)]
    ca = certificate("ca", keys[0], "ca", keys[0], 1)
    leaf = certificate("leaf", keys[1], "ca", keys[0], 77)
    responder, stranger = certificate("r", keys[2], "ca", keys[0], 3), certificate("r", keys[3], "other", keys[3], 4)
    now = datetime.datetime(2030, 1, 1)

    def answer(status, signer, key):
        revoked = now if status == ocsp.OCSPCertStatus.REVOKED else None
        made = ocsp.OCSPResponseBuilder().add_response(cert=leaf, issuer=ca, algorithm=hashes.SHA1(), cert_status=status, this_update=now,
                                                       next_update=now + datetime.timedelta(days=1), revocation_time=revoked, revocation_reason=None)
        made = made.responder_id(ocsp.OCSPResponderEncoding.HASH, signer).certificates([signer])
        return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    good = answer(ocsp.OCSPCertStatus.GOOD, responder, keys[2])
    assert is_good(ca, 77, good) and not is_good(ca, 78, good)
    assert not is_good(ca, 77, answer(ocsp.OCSPCertStatus.REVOKED, responder, keys[2]))
    assert not is_good(ca, 77, answer(ocsp.OCSPCertStatus.GOOD, stranger, keys[3]))
    changed = good.replace(b"20300102000000Z", b"20300103000000Z")
    assert changed != good and not is_good(ca, 77, changed)
    refusal = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
    assert not is_good(ca, 77, refusal.public_bytes(serialization.Encoding.DER))


@pytest.fixture(scope="module")
def plane():
    with Fleet("asked") as fleet:
        fleet.start_plane(workers=1, CERTCTL_OCSP_RATE_LIMIT_PER_IP_MIN="1", **SCENARIOS["three_apis"].SETTINGS)
        fleet.make_basics()
        wait_for(lambda: fleet.value("SELECT 1 FROM ca_certificates WHERE issuer_id = 'iss-local'"), 20, "the CA")
        yield fleet


def ask(plane, tmp_path, lua, **more):
    """One second of wrk, as a scenario has it."""
    stack = SimpleNamespace(dir=tmp_path, generate=lambda name, argv, env: plane.spawn(f"g-{name}-{tmp_path.name[-4:]}", argv, env),
                            await_generator=lambda process, seconds: process.popen.wait(seconds))
    return wrk.run(stack, plane.api_port, 2, 1, lua, **more)


def test_an_ocsp_answer_that_refuses_is_not_right(plane, tmp_path):
    """The limiter's comes with status 200 and the right type, and says unauthorized."""
    module = SCENARIOS["ocsp"]
    lua = 'function request() return wrk.format("GET", "/.well-known/pki/ocsp/iss-local/0123456789abcdef") end\n'
    got = ask(plane, tmp_path, lua, kind=module.OCSP, body=module.SUCCESSFUL)
    assert got["good"] <= 1 and got["bad"] > 5 and got["first_bad"] == f"200 {module.OCSP}, 5 bytes"


def test_a_page_that_is_not_full_is_not_right(plane, tmp_path, monkeypatch):
    module = SCENARIOS["three_apis"]
    lua = module.ASK.replace("n % 4 == 0", "true")
    none = ask(plane, tmp_path, lua, kind="application/json", body=module.RIGHT)
    assert none["good"] == 0 and none["bad"] > 5
    monkeypatch.setattr(plane, "make_basics", lambda: None)  # they are there
    module.seed(plane)
    full = ask(plane, tmp_path, lua, kind="application/json", body=module.RIGHT, name="full")
    both = ask(plane, tmp_path, module.ASK, kind="application/json", body=module.RIGHT, name="both")
    # Pages of before the seed are kept for a moment.
    assert full["good"] > 5 and both["good"] > 5 and both["bad"] == 0, (full, both)


@pytest.mark.parametrize("name", sorted(servers.STARTS))
def test_a_server_says_the_type_that_the_connector_tier_expects(name):
    if not servers.program(name):
        pytest.skip(f"{name} is not here")
    script = (HERE / "k6" / "connector_tier.js").read_text(encoding="utf-8")
    expected = re.search(r"^const TYPE = '([^']+)'", script, re.M)[1]
    assert "isRight(res, 200, TYPE, null)" in script
    context = ssl._create_unverified_context()  # the certificate is the placeholder
    with Fleet("types") as fleet:
        port, *_ = servers.STARTS[name](fleet)
        wait_for(lambda: fleet.served_serial(port), 15, name)
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/index.html", context=context, timeout=10) as reply:
            assert (reply.headers.get_content_type(), reply.read().strip()) == (expected, name.encode()) and reply.headers["Content-Type"]
