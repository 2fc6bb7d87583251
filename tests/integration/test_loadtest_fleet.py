"""
certctl-fleet: many agents in one process that register, renew and deploy as certctl-agent does, and figures that say so.
"""
import re
import resource
import subprocess
import sys

import pytest

from fleet import BUILD, PATIENCE, ROOT, Fleet

sys.path.insert(0, str(ROOT / "deploy" / "test" / "loadtest"))
from agents import SETTINGS, Agents  # noqa: E402

COUNT, EACH = 40, 2
PROGRAM = BUILD / "deploy/test/loadtest/fleet/certctl-fleet"
QUICK = {"CERTCTL_AGENT_START_SPREAD": "0s"}
SPANS = ("due to offered", "offered to CSR taken", "CSR taken to issued and offered", "issued and offered to served",
         "served to reported", "due to served", "offered to served")


@pytest.fixture(scope="module")
def plane():
    with Fleet("fleet") as fleet:
        # Forty agents share a processor with all else: their handshakes come to an end, but not within 5 s where sanitizers look on.
        fleet.start_plane(workers=1, CERTCTL_SERVER_HEAD_TIMEOUT="50s", **SETTINGS)
        fleet.make_basics()
        yield fleet
    assert not fleet.alarms, fleet.alarms


@pytest.fixture(scope="module")
def agents(plane):
    with Agents(plane, COUNT, EACH, start_rate=20) as made:
        status, found = made.register(60 * PATIENCE)
        assert (status, found["registered"], found["errors"]) == (0, COUNT, {}), found
        assert plane.value("SELECT count(*) FROM agents WHERE name LIKE 'fleet-%%'") == COUNT
        made.seed()
        yield made


def check(found, agents):
    """Every certificate came to its end once, in the order of the points, and nothing failed."""
    assert found["passed"] and found["failure"] == "" and found["errors"] == {}, found
    assert [found[k] for k in ("certificates", "offered", "served", "reported")] == [agents.certificates] * 4
    assert (found["renewed_again"], found["work_of_others"]) == (0, 0)
    spans = {row["name"]: row for row in found["renewals"]}
    assert tuple(spans) == SPANS
    for row in spans.values():
        assert row["count"] == agents.certificates and row["errors"] == 0
        assert 0 <= row["p50"] <= row["p95"] <= row["p99"] <= row["max"], row
    assert spans["due to served"]["p50"] > spans["offered to served"]["p50"] > 150  # the two proofs are 150 ms apart
    requests = {row["name"]: row for row in found["requests"]}
    for name in ("csr", "certificate for an agent", "verification"):
        assert requests[name]["count"] == agents.certificates, (name, requests[name])
    for what in ("offered", "issued", "served"):
        assert sum(s[what] for s in found["seconds"]) == agents.certificates
    assert found["tls_server"]["names"] == agents.certificates
    assert found["tls_server"]["handshakes"] >= 2 * agents.certificates
    assert 0 < found["process"]["cpu_share"] < 2 and found["process"]["rss_peak_kb"] > 1000


def test_issued_when_asked_and_renewed_when_due(plane, agents):
    status, found = agents.ask(40, 60 * PATIENCE, env=QUICK)
    assert status == 0, found
    check(found, agents)
    assert (agents.versions(), agents.behind()) == ({1: agents.certificates}, 0)
    status, found = agents.renew_due(60 * PATIENCE, env=QUICK)
    assert status == 0, found
    check(found, agents)
    assert (agents.versions(), agents.behind()) == ({2: agents.certificates}, 0)


def test_the_agents_are_the_same_after_a_restart(plane, agents):
    status, found = agents.register(60 * PATIENCE)
    assert (status, found["registered"]) == (0, COUNT)
    assert plane.value("SELECT count(*) FROM agents WHERE name LIKE 'fleet-%%'") == COUNT


def test_where_descriptors_are_few_agents_take_turns(plane, agents, tmp_path):
    """With the least descriptors it takes, 8 agents have their directories open at once; the others wait, and all come to their end."""
    least = re.search(r" take (\d+) file descriptors", run("--agents", COUNT, "--dir", tmp_path / "a", limit=few).stderr).group(1)

    def started(name, argv, env):
        return plane.spawn(name, ["/usr/bin/prlimit", f"--nofile={least}", *argv], env)
    agents.start, before = started, agents.start
    try:
        status, found = agents.renew_due(60 * PATIENCE, env=QUICK)
    finally:
        agents.start = before
    assert status == 0, found
    check(found, agents)
    assert agents.behind() == 0
    assert found["process"]["homes"] == 8 and found["process"]["homes_waited_for"] > 0, found["process"]


def test_what_is_not_renewed_fails_the_run(plane, agents):
    """A certificate that no agent has is waited for in vain, and the exit status says so."""
    listed = agents.dir / "certificates"
    before = listed.read_text(encoding="ascii")
    listed.write_text("nobody-has-this\n", encoding="ascii")
    try:
        status, found = agents.ask(40, 3, env=QUICK)
    finally:
        listed.write_text(before, encoding="ascii")
    assert status == 1 and not found["passed"]
    assert found["failure"] == "not every certificate was renewed in time"
    assert found["errors"] == {"renewal asked for: 404": 1}
    assert next(row for row in found["renewals"] if row["name"] == "due to served")["count"] == 0


def few():
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))


def run(*options, limit=None, **env):
    return subprocess.run([PROGRAM, *map(str, options)], text=True, capture_output=True, timeout=30 * PATIENCE, check=False, env={
        "PATH": "/usr/bin:/bin", **env}, preexec_fn=limit)


@pytest.mark.parametrize("options, word", [
    ((), "--agents is missing"),
    (("--agents", "0"), '--agents is "0"'),
    (("--agents", "10001"), "from 1 to 10000"),
    (("--agents", "2", "--dir", "here"), "--dir"),
    (("--agents", "2", "--dir", "/tmp/x", "--ask", "5"), "--ask needs --certificates"),
    (("--agents", "2", "--dir", "/tmp/x", "--certificates", "/x"), "--listen is missing"),
    (("--agents", "2", "--dir", "/tmp/x", "--listen", "70000"), '--listen is "70000"'),
    (("--agents", "2", "--dir", "/tmp/x", "--listen", "7000"), "--listen needs --certificates"),
    (("--agents", "2", "--dir", "/tmp/x", "--for", "0s"), '--for is "0s"'),
    (("--agents", "2", "--dir", "/tmp/x", "--prefix", "A b"), '--prefix is "A b"'),
    (("--agents", "2", "--dir", "/tmp/x", "--register-only", "--certificates", "/x"), "--register-only renews nothing"),
    (("--agents", "2", "--dir", "/tmp/x", "--certificates", "/nowhere", "--listen", "7000"), "--certificates /nowhere"),
    (("--agents", "2", "--dir", "/tmp/x", "--nonsense"), "nonsense"),
    (("--agents", "2", "--dir", "/tmp/x", "more"), "options only"),
])
def test_a_bad_option_is_refused_by_its_name(options, word):
    done = run(*options)
    assert done.returncode == 2 and word in done.stderr, done.stderr


def test_help_names_every_option():
    done = run("--help")
    assert done.returncode == 0
    source = (ROOT / "deploy/test/loadtest/fleet/opts.c").read_text(encoding="utf-8")
    names = re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', source)
    assert len(names) == 13 and all(f"--{name}" in done.stdout for name in names)


def test_too_few_descriptors_are_told(tmp_path):
    done = run("--agents", 5000, "--dir", tmp_path / "a", limit=few)
    assert done.returncode == 2
    assert re.search(r"5000 agents take \d+ file descriptors and this process may have 1000", done.stderr), done.stderr


def test_what_the_fleet_sets_is_not_taken_from_the_environment(tmp_path):
    done = run("--agents", 1, "--dir", tmp_path / "a", CERTCTL_AGENT_NAME="mine")
    assert done.returncode == 2 and "CERTCTL_AGENT_NAME is set" in done.stderr
