"""
A CA is left with real processes: an agent's certificates go to another CA while
schedulers, workers and the apiserver are killed; the command line plans,
begins, follows, pauses and cancels as the page for operators shows it.
"""
import itertools
import json
import re
import sys
from pathlib import Path

import pytest

from fleet import ROOT, wait_for
from load import make_certificates, wait_quiet

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import checker  # noqa: E402

LIMIT_S = 300
SCHEDULERS = 2
N = 24
R = "/api/v1/replacements"
SOON = {"CERTCTL_SCHEDULER_REPLACEMENTS_INTERVAL": "500ms", "CERTCTL_SCHEDULER_REDEPLOY_INTERVAL": "2s", "CERTCTL_BATCH_SIZE": "4"}


@pytest.fixture(scope="module")
def plane(stack):
    for i in (1, 2):
        stack.start_scheduler(i, keep=True, **SOON)
        stack.start_worker(i, keep=True)
    stack.make_basics()
    stack.start_agent("agent-1", keep=True)
    stack.names = make_certificates(stack, ["agent-1"], N)
    for name in stack.names:
        stack.api.need("POST", f"/api/v1/certificates/{name}/renew")
    wait_for(lambda: served(stack, "iss-local") == N, 100, "the first certificates", every=0.2)
    return stack


def issuer(plane, name):
    return plane.api.need("POST", "/api/v1/issuers", {"id": name, "name": name, "type": "GenericCA", "config": {"validity_days": 90}})["id"]


def served(plane, by):
    """How many certificates' targets serve a version of this issuer."""
    return plane.value("SELECT count(*) FROM certificate_target_mappings m JOIN certificate_versions v ON v.id = m.deployed_version_id "
                       "WHERE v.issuer_id = %s AND m.desired_version_id = m.deployed_version_id", by)


def row(plane, ident):
    return plane.query("SELECT state, done, moving, waiting, failed, issued, skipped FROM replacements WHERE id = %s", ident)[0]


def kill_in_turn(plane, is_over, what):
    """One process after the other, each once another of them has done something since, until it is over."""
    names = itertools.cycle(("scheduler-1", "worker-1", "apiserver", "scheduler-2", "worker-2"))
    kills = 0
    while not is_over():
        before = plane.value("SELECT count(*) FROM certificate_versions")
        plane.processes[next(names)].kill()
        kills += 1
        wait_for(lambda: is_over() or plane.value("SELECT count(*) FROM certificate_versions") > before, 100, what, every=0.05)
    return kills


def test_nothing_is_lost_or_doubled_whoever_is_killed(plane):
    new = issuer(plane, "iss-new")
    ident = plane.api.need("POST", R, {"from_issuer_id": "iss-local", "to_issuer_id": new, "wave_size": 3, "revoke_reason": "superseded"})["id"]
    kills = kill_in_turn(plane, lambda: plane.value("SELECT count(*) FROM certificate_versions WHERE issuer_id = %s", new) >= N, "a certificate")
    assert kills > 3
    wait_for(lambda: row(plane, ident)[0] == "completed", 120, "the replacement to end", every=0.2)
    assert row(plane, ident) == ("completed", N, 0, 0, 0, 0, 0)
    wait_quiet(plane)
    assert served(plane, new) == N
    assert plane.query("SELECT count(*), count(DISTINCT certificate_id) FROM certificate_versions WHERE issuer_id = %s", new) == [(N, N)]
    assert plane.value("SELECT count(*) FROM certificate_revocations r JOIN certificate_versions v ON v.issuer_id = r.issuer_id AND "
                       "v.serial_number = r.serial_number WHERE r.issuer_id = 'iss-local' AND r.reason = 'superseded' AND r.job_id IS NULL") == N
    assert plane.value("SELECT count(*) FROM certificate_revocations WHERE issuer_id = %s AND job_id IS NULL", new) == 0
    accepted = [r[0] for r in plane.query("SELECT id FROM jobs")]
    assert checker.check(plane.query, accepted, plane.dir / "journal") == ([], [])
    plane.wait_ready()


def cli(plane, *words, code=0):
    done = plane.cli("replace", *words)
    assert done.returncode == code, done
    return done.stdout + done.stderr


def shown():
    """The commands of the page's walk-through, in its order."""
    text = (ROOT / "docs/operator/replacements.md").read_text(encoding="utf-8").split("## How fast")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    return [line.split()[2:] for block in blocks for line in block.splitlines()]


def test_the_walk_through_of_the_page(plane):
    """Each command as it stands there, with our names; what is planned is what happens."""
    wait_quiet(plane)
    old = plane.value("SELECT issuer_id FROM managed_certificates LIMIT 1")
    names = {"iss-old": old, "iss-new": issuer(plane, "iss-walk")}
    plane.make_certificate("mc-keyless", issuer_id=old)
    said = {}
    for command in shown():
        words = [names.get(w, w) for w in command]
        if words[0] in ("pause", "resume", "cancel"):  # when all is done there is nothing to turn: the next test
            continue
        key = " ".join(w for w in words if w != names.get("ID"))
        said[key] = cli(plane, *words)
        if "--yes" in words:
            names["ID"] = re.search(r"(repl-\S+) has begun", said[key])[1]
    plan, watched = next(v for k, v in said.items() if "--plan" in k), said["watch"]
    assert f"{N} certificates go from {old} to iss-walk, 1 stays" in plan and "1 stays: no agent and no ACME client has their key" in plan
    assert re.search(rf"completed, wave 1 of 1: {N} of {N} issued, {N} served", watched) and "a second" in watched
    assert "mc-keyless" in said["certificates --state skipped"] and "no_key_holder" in said["certificates --state skipped"]
    assert served(plane, "iss-walk") == N and names["ID"] in said["list"]
    got = json.loads(cli(plane, "get", names["ID"], "-o", "json"))
    assert (got["done"], got["skipped"], got["planned"]) == (N, 1, N)


def test_the_command_line_turns_one_and_says_what_it_came_to(plane):
    wait_quiet(plane)
    old, new = "iss-walk", issuer(plane, "iss-turn")
    plane.processes["agent-1"].signal(19)  # makes no CSR: all wait
    try:
        said = cli(plane, "--issuer", old, "--to", new, "--wave", "5", "--yes")
        ident = re.search(r"repl-\S+", said)[0]
        wait_for(lambda: row(plane, ident)[2] == 5, 60, "the first wave")
        assert "paused" in cli(plane, "pause", ident) and "goes on" in cli(plane, "resume", ident)
        assert "it goes on" in cli(plane, "watch", ident, "--timeout", "1", code=6)
        assert "replacement" in cli(plane, "--issuer", old, "--to", "iss-local", "--yes", code=5)
        assert "cancelled" in cli(plane, "cancel", ident, "--yes")
        assert "it was cancelled" in cli(plane, "watch", ident, code=1)
    finally:
        plane.processes["agent-1"].signal(18)
    assert row(plane, ident)[0] == "cancelled" and plane.value("SELECT count(*) FROM managed_certificates WHERE issuer_id = %s", new) == 0
    for words, code, says in ((["--issuer", old], 2, "--to"), (["--issuer", old, "--to", "nobody", "--plan"], 3, "to_issuer_id"),
                              (["get", "nobody"], 3, "not found"), (["--issuer", old, "--to", new], 2, "--yes"),
                              (["cancel", ident], 2, "--yes"), (["cancel", ident, "--yes"], 5, "has ended")):
        assert says in cli(plane, *words, code=code).replace("Not found", "not found"), words


def test_who_does_not_come_is_waited_for_and_told_of(plane):
    """An approval that nobody gives: all went that could, and watch says so."""
    wait_quiet(plane)
    plane.query("INSERT INTO certificate_profiles (id, name, requires_approval) VALUES ('prof-asked', 'asked', true)")
    old, new = issuer(plane, "iss-few"), issuer(plane, "iss-few-new")
    agent = plane.processes["agent-1"].agent_id
    for n in range(2):
        plane.make_target(f"tgt-few-{n}", agent, plane.dir / "sites" / f"few-{n}")
        plane.make_certificate(f"mc-few-{n}", [f"tgt-few-{n}"], issuer_id=old, **({"certificate_profile_id": "prof-asked"} if n else {}))
    ident = plane.api.need("POST", R, {"from_issuer_id": old, "to_issuer_id": new})["id"]
    said = cli(plane, "watch", ident, code=5)
    assert "all went that could: 1 wait for somebody" in said
    assert "mc-few-1" in cli(plane, "certificates", ident, "--state", "waiting")
