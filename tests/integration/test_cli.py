"""
The command line against servers that mean harm, words it does not know, and a
renewal of several targets.
"""
import json
import re
import socket
import subprocess
import time

import pytest

from conftest import fleets
from fleet import BUILD, clean_env, wait_for
from odd_server import odd_servers

ESC, RLO, CSI, ZWSP = "\x1b[2J\x1b[31m", "\u202e", "\u009b", "\u200b"
HOSTILE = f"a{ESC}b{RLO}c{CSI}d{ZWSP}e\nhealthy"


@pytest.fixture(scope="module")
def fleet():
    """Of all tests here: none starts a process in it that stays."""
    yield from fleets("cli-alone")


@pytest.fixture
def hostile(fleet):
    """hostile(status, body): a server that answers everything so; body is bytes or becomes JSON."""
    with odd_servers(fleet) as servers:
        yield lambda status, body: servers.serve(lambda method, path: (status, body))


def is_harmless(text):
    return all(c == "\n" or c.isprintable() for c in text)


NAMES = ("id", "name", "hostname", "type", "status", "certificate_id", "last_error", "common_name", "issuer_id", "actor", "action",
         "resource_id", "state", "requested_by", "decision_note", "details", "version", "note", "host")
OBJECT = {n: HOSTILE for n in NAMES} | {"job_id": f"job-{HOSTILE}", "job_ids": [f"job-{HOSTILE}"], "total": HOSTILE}


@pytest.mark.parametrize("arguments", [
    ["certs", "list"], ["certs", "get", "x"], ["jobs", "list"], ["jobs", "get", "x"], ["agents", "list"], ["agents", "list", "--retired"],
    ["approvals", "list"], ["approvals", "approve", "x"], ["audit", "list"], ["audit", "get", "x"], ["scheduler"],
    ["discovery", "list"], ["discovery", "get", "x"], ["discovery", "scans"], ["discovery", "claim", "x", "y"], ["discovery", "dismiss", "x"],
    ["certs", "violations", "x"], ["policies", "list"], ["policies", "violations", "x"],
    ["acme-accounts", "list"], ["acme-accounts", "get", "x"], ["acme-accounts", "revoke", "x", "--reason", "y", "--yes"], ["acme-orders", "list"], ["acme-orders", "get", "x"],
    ["profiles", "list"], ["profiles", "get", "x"], ["profiles", "create", "x"], ["profiles", "update", "x", "--name", "y"], ["issuers", "list"], ["issuers", "test", "x"],
    ["targets", "list"], ["targets", "test", "x"], ["intermediates", "list", "x"], ["intermediates", "get", "x"], ["intermediates", "retire", "x"],
    ["intermediates", "create", "x", "y", "--parent-ca-id", "z", "--common-name", "n"],
    ["eab-keys", "list"], ["eab-keys", "get", "x"], ["eab-keys", "create"], ["eab-keys", "reseal"], ["eab-keys", "revoke", "x", "--yes"], ["eab-keys", "delete", "x", "--yes"],
    ["health-checks", "list"], ["health-checks", "get", "x"], ["health-checks", "history", "x"], ["health-checks", "summary"],
    ["health-checks", "acknowledge", "x"], ["network-scans", "list"], ["network-scans", "run", "x"], ["network-scans", "probe", "http://x/"],
    ["scheduler", "run", "x"], ["certs", "renew", "x"], ["certs", "revoke", "x", "--yes"], ["jobs", "cancel", "x"],
    ["certs", "bulk-renew", "x", "--dry-run"], ["status"], ["top", "--once"], ["events", "--for", "1"], ["audit", "verify"], ["audit", "prove", "x"], ["audit", "attachment", "x"],
])
@pytest.mark.parametrize("status", [200, 400, 404])
def test_foreign_text_is_harmless(fleet, hostile, arguments, status):
    hostile(status, {"data": [OBJECT], "message": HOSTILE, "action": HOSTILE, "leader": OBJECT, "workers": [OBJECT],
                     "total_matched": HOSTILE, "total_enqueued": HOSTILE, "faults": [HOSTILE]} | OBJECT)
    done = fleet.cli(*arguments)
    assert is_harmless(done.stdout + done.stderr)
    assert "healthy" not in (done.stdout + done.stderr).splitlines()
    if status != 200:
        assert done.returncode not in (0, 2) and "\\x1b[2J" in done.stderr and "\\u202e" in done.stderr
    done = fleet.cli(*arguments, "-o", "json")
    assert is_harmless(done.stdout + done.stderr)
    if status == 200 and arguments[0] not in ("audit", "events", "top") and arguments not in (["scheduler", "run", "x"], ["eab-keys", "reseal"], ["network-scans", "probe", "http://x/"]):
        assert json.loads(done.stdout)["message"] == HOSTILE


@pytest.mark.parametrize("body", [b"", b"<html>It works</html>", b"\x1b[2J", b"[]x", b"\xff\xfe{}", b'{"data": [1}'])
def test_answer_that_is_no_json_is_no_success(fleet, hostile, body):
    hostile(200, body)
    for arguments in (["certs", "list"], ["certs", "list", "-o", "json"], ["certs", "get", "x"], ["certs", "renew", "x"],
                      ["certs", "bulk-revoke", "x", "--yes"], ["status"], ["scheduler"]):
        done = fleet.cli(*arguments)
        assert done.returncode == 1 and "is it a certctl server?" in done.stderr, (arguments, done)
        assert is_harmless(done.stdout + done.stderr) and not done.stdout


# Named, for a test's name is in the environment of what it starts, where 128 KiB is the most.
@pytest.mark.parametrize("body", [b"\x1b]0;owned\x07", b"\xff" * 100000, b"x\r\ny"], ids=["escape", "long", "lines"])
def test_error_body_that_is_no_json_is_harmless(fleet, hostile, body):
    hostile(500, body)
    done = fleet.cli("certs", "list")
    assert done.returncode == 1 and is_harmless(done.stderr) and len(done.stderr) < 5000


def test_key_with_a_line_feed_makes_no_header(fleet, hostile):
    hostile(200, {"data": []})
    done = fleet.cli("certs", "list", CERTCTL_API_KEY="key\nX-Odd: 1")
    assert done.returncode == 2 and "control character" in done.stderr
    done = fleet.cli("certs", "bulk-renew", "x", "--yes", "--idempotency-key", "k\r\nX-Odd: 1")
    assert done.returncode == 2 and "control character" in done.stderr


def test_full_disk_is_no_success(fleet, hostile):
    hostile(200, {"data": [], "total": 0})
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([BUILD / "cli" / "certctl", "certs", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                              env=clean_env() | {"CERTCTL_SERVER_URL": f"https://127.0.0.1:{fleet.api_port}",
                                                 "CERTCTL_SERVER_CA_BUNDLE_PATH": str(fleet.dir / "tls" / "api.pem")})
    assert done.returncode == 1 and "standard output" in done.stderr


def test_time_holds_where_a_server_only_listens(fleet):
    """Its handshake never ends: out of time is 6, and in time."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        for words in (["certs", "renew", "x", "--wait"], ["scheduler", "run", "x", "--wait"], ["replace", "watch", "x"], ["certs", "list", "--watch"]):
            began = time.monotonic()
            done = fleet.cli(*words, "--timeout", "1", CERTCTL_SERVER_URL=url)
            assert done.returncode == 6 and time.monotonic() - began < 20, (words, done)


# --- words ---

@pytest.mark.parametrize("arguments", [
    ["certs", "bulk-revoke", "words", "--dryrun", "--yes"], ["certs", "bulk-revoke", "words", "-yes"],
    ["certs", "bulk-revoke", "words", "--odd", "--", "--yes"], ["certs", "bulk-revoke", "words", "--yes", "--reason"],
    ["certs", "bulk-revoke", "words", "--team-id", "--yes"], ["certs", "bulk-revoke", "words", "", "--yes"],
    ["certs", "bulk-revoke", "words", "--yes", "--yes"], ["certs", "bulk-revoke", "words", "--yes=1"],
    ["certs", "bulk-renew", "words", "--reason", "superseded", "--yes"], ["certs", "bulk-reassign", "words", "--issuer-id", "x", "--yes"],
    ["certs", "bulk-revoke", "--team-id", "", "words", "--yes"], ["certs", "revoke", "words", "more"],
    ["certs", "revoke", "words", "--force"], ["certs", "renew", "words", "--wait", "--dryrun"], ["certs", "revoke", "-words"],
    ["certs", "renew", "words", "--timeout", "5"], ["certs", "revoke", "."], ["certs", "revoke", ".."],
])
def test_unknown_words_change_nothing(plane, arguments):
    if not plane.value("SELECT 1 FROM managed_certificates WHERE id = 'words'"):
        plane.make_certificate("words")
    done = plane.cli(*arguments)
    assert done.returncode == 2 and not done.stdout, done
    assert done.stderr.startswith("certctl: ") and "\nusage: certctl certs " in done.stderr
    assert plane.value("SELECT status FROM managed_certificates WHERE id = 'words'") != "Revoked"
    assert plane.value("SELECT count(*) FROM jobs WHERE certificate_id = 'words'") == 0


TABLE = json.loads(subprocess.run([BUILD / "cli" / "certctl", "__table"], stdout=subprocess.PIPE, check=True, env=clean_env()).stdout)


def takes(noun, verb, flag):
    """What an option of a command may be."""
    row = next(r for r in TABLE["commands"] if (r["noun"], r.get("verb")) == (noun, verb))
    return next(o["takes"] for o in row["options"] if o["flag"] == flag)


def words_of(row):
    """The least that a command of the table takes."""
    ids = ["x"] * len([w for w in row["words"].split() if not w.startswith("[")])
    return [row["noun"], *filter(None, [row.get("verb")]), *ids]


def needed_of(row):
    """Options that it does not do without."""
    values = {"--to": "OTHER"}  # not what another option has
    return [w for o in row["options"] if o["required"]
            for w in (o["flag"], "2030-01-02T03:04:05Z" if o["takes"] == "TIME" else values.get(o["flag"], re.split(r"\.\.|\|", o["takes"])[0]))]


ODD = [["--dryrun"], ["--dryrun", "--"], ["-"], ["--yes=1"], [""], ["-x"], ["--odd", "x"], ["--odd=x"], ["--insecure", "--insecure"], ["--insecure=1"], ["--server"],
       ["-o"], ["-o", "xml"], ["--format="], ["-o", "json", "-o", "json"], [f"x{RLO}"], [f"x{CSI}"], [f"x{ZWSP}"], [f"--api-key=k{ZWSP}"],
       ["--page", "0"], ["--per-page", "501"], ["--status", "Odd"], ["--timeout", "0"], ["--reason", ""], ["-o", "json", "--format", "json"]]


def test_no_command_takes_words_it_does_not_know(fleet, hostile):
    """Each command one of them, and two commands all."""
    asked = hostile(200, {"data": []})
    rows = TABLE["commands"]
    assert len(rows) >= 100
    for row, more in [(row, ODD[i % len(ODD)]) for i, row in enumerate(rows)] + [(row, more) for row in rows[:2] for more in ODD]:
        done = fleet.cli(*words_of(row), *needed_of(row), *more)
        begin = '{"error":{' if more[:2] == ["-o", "json"] else "certctl: "
        assert done.returncode == 2 and done.stderr.startswith(begin) and not done.stdout, (row, more, done)
        assert is_harmless(done.stderr)
    assert asked == []


def test_a_refused_choice_is_told_on_a_line_of_its_own(fleet):
    """Programs get the sentence whole."""
    done = fleet.cli("certs", "list", "--status", "Odd")
    assert '--status does not take "Odd"' in done.stderr and "\n--status takes: Pending, Active, " in done.stderr
    told = json.loads(fleet.cli("certs", "list", "--status", "Odd", "-o", "json").stderr)["error"]
    assert told["why"].startswith("--status takes Pending|Active|") and "\n     " not in told["fix"]


def test_a_name_may_begin_with_a_dash(plane):
    assert plane.cli("teams", "create", "--id", "t-dash", "--", "--help").returncode == 0
    assert plane.value("SELECT name FROM teams WHERE id = 't-dash'") == "--help"
    assert plane.cli("teams", "get", "--", "--help").returncode == 0
    assert plane.cli("teams", "update", "t-dash", "--name=-x").returncode == 0 and plane.cli("teams", "delete", "--yes", "--", "-x").returncode == 0
    assert not plane.value("SELECT 1 FROM teams WHERE id = 't-dash'")


@pytest.mark.parametrize("words, table, column", [
    (["certs", "list"], "managed_certificates", "status"), (["jobs", "list"], "jobs", "status"), (["jobs", "list"], "jobs", "type"),
    (["approvals", "list"], "issuance_approval_requests", "state"), (["audit", "list"], "audit_events", "category"), (["discovery", "list"], "discovered_certificates", "status"),
    (["health-checks", "list"], "endpoint_health_checks", "status"),
])
def test_words_of_options_are_those_the_database_knows(stack, words, table, column):
    said = set(takes(*words, f"--{column}").split("|"))
    check = stack.value("SELECT string_agg(pg_get_constraintdef(oid), ' ') FROM pg_constraint WHERE conrelid = %s::regclass "
                        "AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%%' || %s || '%%'", table, column)
    assert said == set(re.findall(r"'(\w+)'::", check)), check


def test_reasons_are_those_the_server_knows(plane):
    reasons = takes("certs", "bulk-revoke", "--reason").split("|")
    assert len(reasons) == 8
    for reason in reasons:
        done = plane.cli("certs", "bulk-revoke", "none", "--dry-run", "--reason", reason.upper())
        assert done.returncode == 0, done.stderr


# --- what is looked for and judged ---

def said(plane, *words, code=0, again=True):
    """What the command prints, and as JSON; asked twice for that, unless it makes something."""
    if not again:
        words = (*words, "-o", "json")
    done = plane.cli(*words)
    assert done.returncode == code and not done.stderr, (words, done)
    if not again:
        return done.stdout, json.loads(done.stdout)
    return done.stdout, json.loads(plane.cli(*words, "-o", "json").stdout)


def test_policies_and_what_breaks_them(plane):
    rule = plane.api.need("POST", "/api/v1/policies", {"name": "nowhere", "type": "AllowedEnvironments", "config": {"allowed": ["nowhere"]},
                                                       "severity": "Warning", "enabled": True})["id"]
    plane.make_certificate("mc-broken")
    assert plane.cli("scheduler", "run", "policy_scan", "--wait").returncode == 0
    for words in (["policies", "violations", rule], ["certs", "violations", "mc-broken"]):
        text, reply = said(plane, *words)
        assert "mc-broken" in text and rule in text and "in all" in text
        assert {v["rule_id"] for v in reply["data"]} >= {rule}
    text, reply = said(plane, "policies", "list")
    assert "AllowedEnvironments" in text and rule in {r["id"] for r in reply["data"]}
    assert plane.cli("policies", "violations", "none-such").returncode == 3


def test_issuers_and_targets_are_tried(plane):
    text, _ = said(plane, "issuers", "test", "iss-local")
    assert text == "iss-local can be used\n"
    text, reply = said(plane, "issuers", "list")
    assert "iss-local" in text and reply["data"][0]["test_status"] == "success"
    assert plane.cli("issuers", "test", "none-such").returncode == 3
    agent = plane.api.need("POST", "/api/v1/agents", {"name": "silent", "hostname": "h.example.test"})["id"]
    plane.make_target("tgt-silent", agent, plane.dir / "silent")
    done = plane.cli("targets", "test", "tgt-silent")
    assert done.returncode == 1 and not done.stdout and done.stderr.startswith("certctl: ")
    text, reply = said(plane, "targets", "list", "--agent-id", agent)
    assert "tgt-silent" in text and reply["total"] == 1


def test_no_name_takes_the_place_of_an_id(plane):
    """Somebody gives an object another's id as its name: what is refused of the one is not done to the other."""
    for words in (["teams", "create", "held", "--id", "t-held"], ["owners", "create", "holder", "--team-id", "t-held"],
                  ["teams", "create", "t-held", "--id", "t-named"], ["teams", "create", "alone", "--id", "t-alone"],
                  ["teams", "create", "t-alone", "--id", "t-full"], ["owners", "create", "somebody", "--team-id", "t-full"]):
        done = plane.cli(*words)
        assert done.returncode == 0, (words, done)
    assert plane.cli("teams", "delete", "t-held", "--yes").returncode == 5
    assert plane.cli("teams", "get", "t-named").returncode == 0
    _, reply = said(plane, "owners", "list", "--team-id", "t-alone")
    assert reply["total"] == 0


def test_health_checks(plane):
    check = plane.api.need("POST", "/api/v1/health-checks", {"endpoint": "192.0.2.1:443", "enabled": False})["id"]
    text, reply = said(plane, "health-checks", "list", "--status", "unknown")
    assert "192.0.2.1:443" in text and reply["total"] == 1
    assert plane.cli("health-checks", "acknowledge", check, "--by", "ann").stdout == "acknowledged\n"
    text, reply = said(plane, "health-checks", "get", check)
    assert "192.0.2.1:443" in text and reply["acknowledged_by"] == "ann"
    plane.query("INSERT INTO endpoint_health_history (id, health_check_id, status, failure_reason) VALUES ('hch-cli', %s, 'down', 'no answer')", check)
    text, reply = said(plane, "health-checks", "history", check, "--limit", "5")
    assert "no answer" in text and reply[0]["status"] == "down"
    text, reply = said(plane, "health-checks", "summary")
    assert "total" in text and reply["unknown"] == 1


def test_network_scans(plane):
    target = plane.api.need("POST", "/api/v1/network-scan-targets", {"name": "lab", "cidrs": ["192.0.2.0/30"]})["id"]
    text, _ = said(plane, "network-scans", "list")
    assert "192.0.2.0/30" in text and "lab" in text
    assert re.match(r"scan dscan-\S+ began: ", plane.cli("network-scans", "run", target).stdout)
    done = plane.cli("network-scans", "probe", "http://127.0.0.1/scep")
    assert done.returncode != 0 and not done.stdout and done.stderr.startswith("certctl: ")


def test_hierarchies(plane):
    assert plane.cli("certs", "renew", "mc-broken").returncode == 0
    root = wait_for(lambda: plane.api.need("GET", "/api/v1/issuers/iss-local/cas")["data"], 30, "the CA")[0]["certificate_pem"]
    assert plane.cli("intermediates", "register", "iss-local", "root", "--root-cert", "/no/such").returncode == 2
    assert plane.cli("intermediates", "register", "iss-local", "root").returncode == 2
    (plane.dir / "root.pem").write_text("no certificate")
    refused = plane.cli("intermediates", "register", "iss-local", "root", "--root-cert", str(plane.dir / "root.pem"))
    assert refused.returncode not in (0, 2) and "root_cert_pem" in refused.stderr
    (plane.dir / "root.pem").write_text(root)
    _, made = said(plane, "intermediates", "register", "iss-local", "root", "--root-cert", str(plane.dir / "root.pem"), again=False)
    root = made["id"]
    for wrong in (["--ttl-days", "0"], ["--algorithm", "DSA"], ["--path-len-constraint", "x"]):
        assert plane.cli("intermediates", "create", "iss-local", "child", "--parent-ca-id", root, "--common-name", "x", *wrong).returncode == 2
    refused = plane.cli("intermediates", "create", "iss-local", "child", "--common-name", "x")
    assert refused.returncode == 2 and "--parent-ca-id is required" in refused.stderr
    _, made = said(plane, "intermediates", "create", "iss-local", "child", "--parent-ca-id", root, "--common-name", "Child CA", "--organization", "Example",
                   "--country", "DE", "--algorithm", "ecdsa-p384", "--ttl-days", "30", "--path-len-constraint", "0", again=False)
    assert (made["parent_ca_id"], made["path_len_constraint"], made["subject"]) == (root, 0, "CN=Child CA,O=Example,C=DE")
    child = made["id"]
    text, reply = said(plane, "intermediates", "list", "iss-local")
    assert child in text and {i["id"] for i in reply["data"]} == {root, child}
    text, _ = said(plane, "intermediates", "get", child)
    assert "CN=Child CA" in text
    assert plane.cli("intermediates", "retire", child, "--note", "over").stdout.startswith("retiring")
    assert plane.cli("intermediates", "retire", child, "--confirm", "--yes").stdout == "retired for good\n"
    assert plane.cli("intermediates", "retire", child, "--confirm", "--yes").returncode == 5


# --- renew --wait ---

@pytest.fixture(scope="module")
def many(plane):
    """A certificate on two targets whose reloads can be made to fail."""
    plane.start_agent()
    agent = plane.processes["agent-1"].agent_id
    for n in ("one", "two"):
        plane.make_target(f"tgt-{n}", agent, plane.dir / n)
    plane.make_certificate("many", ["tgt-one", "tgt-two"])
    return plane


def fail(plane, target, is_failing):
    config = plane.api.need("GET", f"/api/v1/targets/{target}")["config"]
    plane.api.need("PUT", f"/api/v1/targets/{target}",
                   {"config": config | {"validate_command": ["false" if is_failing else "true"]}})


def renew(plane, *more):
    wait_for(lambda: plane.value("SELECT count(*) FROM jobs WHERE certificate_id = 'many' AND type <> 'Deployment' "
                                 "AND completed_at IS NULL") == 0, 20, "earlier renewals")
    return plane.cli("certs", "renew", "many", "--wait", "--timeout", "25", *more)


def test_renewal_waits_for_every_target(many):
    done = renew(many)
    assert done.returncode == 0, done.stderr
    assert "installed on 2 targets" in done.stdout and not done.stderr
    # their targets name no host, so nobody made a handshake
    assert "no handshake has checked that it is served: tgt-one, tgt-two" in done.stdout and "served on" not in done.stdout
    done = renew(many, "-o", "json")
    assert done.returncode == 0 and "installed on 2 targets" in done.stderr
    assert [j["status"] for j in json.loads(done.stdout)["data"]] == ["Completed"]


@pytest.mark.parametrize("bad", ["tgt-one", "tgt-two"])
def test_renewal_fails_when_one_target_does(many, bad):
    fail(many, bad, True)
    try:
        done = renew(many)
    finally:
        fail(many, bad, False)
    other = {"tgt-one": "tgt-two", "tgt-two": "tgt-one"}[bad]
    assert done.returncode == 1 and "installed on 1 of 2 targets" in done.stdout, done
    assert f"the deployment to {bad} " in done.stderr and "configuration test" in done.stderr
    assert f"the deployment to {other} " not in done.stderr


def test_renewal_without_targets_says_so(plane, many):
    plane.make_certificate("bare")
    plane.start_agent("agent-bare")
    done = plane.cli("certs", "renew", "bare", "--wait", "--timeout", "2")
    # nobody holds a key for it: it waits, and that is no success
    assert done.returncode == 6 and "\nwarning: its renewal waits for an agent" in "\n" + done.stderr
    assert "is still AwaitingCSR: it waits for an agent to hold its key: the certificate has no target" in done.stderr
