"""
Every command and every flag that help, man page and docs/reference/cli.md name, run against a server that keeps what it
was asked: each does what it says, and none is left out.
"""
import concurrent.futures
import json
import re
import subprocess
import time
import urllib.parse

import pytest

from conftest import fleets
from odd_server import odd_servers
from test_cli import needed_of, words_of
from test_cli_table import ROWS

NOT_SANITIZED = "what is asked of a server, by thousands of runs: the parser, lists and bodies have sanitized unit tests, and runs other files"
LIMIT_S = 240
# By code of their own: beside what the table sends there is what makes them end, or begin.
MORE = {"events": ["--for", "1"], "certs bulk-renew": ["--yes"], "certs bulk-revoke": ["--yes"], "certs bulk-revoke-est": ["--yes"], "certs bulk-reassign": ["--yes"],
        "intermediates retire": ["--yes"]}
# Their answers are of forms of their own, which this server does not have: a proof, and a stream.
ODD = {"audit prove": 1, "events": 3}
BEGINS = ["b", "a"]  # each member of the two rows of every list


def name_of(row):
    return " ".join(filter(None, (row["noun"], row.get("verb"))))


def flags_of(row):
    return [o["flag"] for o in row["options"]]


NAMES = {name for row in ROWS for name in (*row.get("filters_here", ()), *row.get("sorts_here", ()))} | {"id", "name"}
LISTS = [row for row in ROWS if "filters" in row and not row["offline"]]
CALLS = [row for row in ROWS if row.get("method") and not row["offline"]]
PAGED = [row for row in LISTS if row["paged"]]
OBJECT = dict.fromkeys(("id", "name", "actor_id", "last_hash", "Unmanaged", "healthy", "available", "user", "auth_type", "runtime_config", "version",
                        "total_certificates", "target_url", "role", "hmac_key", "verified", "job_id", "action"), "x") | {"status": "success", "ready": True, "total_matched": 1, "total_enqueued": 1, "total_revoked": 1, "total_reassigned": 1, "resealed": 0, "unopened": [], "job_ids": ["job-1"], "total": 2}


def answer(method, path):
    rows = [dict.fromkeys(NAMES, value) for value in BEGINS]
    lists = {name: rows for name in ("data", "keys", "roles", "permissions", "profiles", "cache_rows", "probes")}
    if path.startswith("/api/v1/events"):
        return 404, {"message": "no events here"}
    return 200, OBJECT | lists | ({"next_cursor": "n"} if "cursor=begin" in path else {})


@pytest.fixture(scope="module")
def fleet():
    yield from fleets("cli-flags")


@pytest.fixture
def asked(fleet):
    with odd_servers(fleet) as servers:
        yield servers.serve(answer)


def value_of(option, directory):
    """What is given for it."""
    takes = option.get("takes")
    if takes is None:
        return None
    if option["form"] == "file":
        (directory / "text").write_text("of a file")
        return str(directory / "text")
    if option["form"] in ("texts", "ints", "tags", "json"):
        return {"texts": "a,b", "ints": "1,2", "tags": "k=v,l=w", "json": '{"k":[1]}'}[option["form"]]
    if "|" in takes:
        return takes.split("|")[-1]
    return re.split(r"\.\.", takes)[0] if ".." in takes else "2030-01-02T03:04:05Z" if takes == "TIME" else "v-2" if option["flag"] == "--to" else "v-1"


def member_value(option, value):
    """What a body has then."""
    if value is None:
        return json.loads(option.get("sends", "true"))
    if option["form"] == "plain":
        number = re.fullmatch(r"\d+\.\.\d+", option["takes"])
        return int(value) if number else value == "true" if option["takes"] == "true|false" else value
    return {"texts": ["a", "b"], "ints": [1, 2], "tags": {"k": "v", "l": "w"}, "json": {"k": [1]}, "file": "of a file"}[option["form"]]


def members_of(row, without=None):
    """What its body can have by an option, each once."""
    named = [o["member"].split(".")[0] for o in row["options"] if "member" in o and not o["query"] and o["flag"] != without]
    return list(dict.fromkeys(named))


def base_of(row, directory, without=None):
    """The least that it runs with."""
    needed = [w for o in row["options"] if o["required"] and o["flag"] != without for w in (o["flag"], value_of(o, directory))]
    body = ["--set", members_of(row, without)[0] + "=v"] if row["body"] and row["method"] == "PUT" and not needed else []
    return [*words_of(row), *needed, *body, *MORE.get(name_of(row), ["--yes"] if "asks" in row else [])]


def sent(row, asked):
    """(query, body) of the first request of the row's own route."""
    method, route = row["routes"][0].split(" ")
    pattern = re.escape(route).replace(r"\{\}", "[^/]+")
    for (how, path), body in zip(asked, asked.bodies):
        if how == method and re.fullmatch(pattern, path.split("?")[0]):
            return urllib.parse.parse_qs(urllib.parse.urlsplit(path).query, keep_blank_values=True), json.loads(body) if body else {}
    raise AssertionError((name_of(row), list(asked)))


def is_query(row, option):
    return row["method"] in ("GET", "DELETE") or option["query"]


def at(body, member):
    for name in member.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body


# --- what the table sends ---

def is_sent(row, option):
    return "member" in option and row in CALLS and option["flag"] not in ("--page", "--per-page")


@pytest.mark.parametrize("row", CALLS, ids=name_of)
def test_a_flag_is_what_the_request_says(fleet, asked, tmp_path, row):
    for option in (o for o in row["options"] if is_sent(row, o)):
        given = value_of(option, tmp_path)
        for value in (given, option["null"]) if "null" in option else (given,):
            asked.forget()
            flag = [option["flag"]] if value is None else [f"{option['flag']}={value}"]
            flag += [option["needs"], "v-1"] if "needs" in option else []
            done = fleet.cli(*base_of(row, tmp_path, option["flag"]), *flag)
            assert len(asked) > 0, (flag, done)
            query, body = sent(row, asked)
            if is_query(row, option):
                assert query[option["member"]] == [value if value is not None else option.get("sends", "true")], (flag, query, done)
                assert option["member"] not in body
            else:
                wanted = None if value == option.get("null", object()) else member_value(option, value)
                assert at(body, option["member"]) == wanted, (flag, body, done)
    # without them nothing is said but what stands for them
    asked.forget()
    base = base_of(row, tmp_path)
    done = fleet.cli(*base)
    assert done.returncode == ODD.get(name_of(row), 0), done
    query, body = sent(row, asked)
    for option in (o for o in row["options"] if is_sent(row, o) and not o["required"]):
        if option["member"] != "name" and option["member"] + "=v" not in base:
            assert at(body, option["member"]) == option.get("default") and option["member"] not in query, (option, done)


@pytest.mark.parametrize("row", [r for r in CALLS if r["body"]], ids=name_of)
def test_members_come_by_set_and_file(fleet, asked, tmp_path, row):
    words, members = words_of(row), members_of(row)
    (tmp_path / "body.yaml").write_text("".join(f"{member}: 6\n" for member in members))
    for file in ("--file", "-f"):
        for key, value in ((f"{members[0]}:=[5]", [5]), (f"{members[0]}.side=7", {"side": 7})):
            asked.forget()
            fleet.cli(*words, file, str(tmp_path / "body.yaml"), "--set", key)
            body = sent(row, asked)[1]
            assert body[members[0]] == value and all(body[member] == 6 for member in members[1:]), body


@pytest.mark.parametrize("row", [r for r in CALLS if r["body"]], ids=name_of)
def test_a_member_that_there_is_none_of_is_refused(fleet, asked, tmp_path, row):
    """The API passes over it; nothing is asked."""
    words = words_of(row)
    near = members_of(row)[0]
    (tmp_path / "body.yaml").write_text(f"{near}s: 6\n")
    for given in (["--set", f"{near}s=v"], ["--file", str(tmp_path / "body.yaml")]):
        asked.forget()
        done = fleet.cli(*words, *given)
        assert done.returncode == 2 and not done.stdout and f'{name_of(row)} has no member "{near}s"' in done.stderr, done
        assert "did you mean" in done.stderr and "its members: " in done.stderr and not len(asked), done


CHANGES = [row for row in CALLS if "--dry-run" in flags_of(row) and "bulk" not in row.get("verb", "")]


@pytest.mark.parametrize("row", CHANGES, ids=name_of)
def test_a_dry_run_shows_the_call_and_makes_none(fleet, asked, tmp_path, row):
    done = fleet.cli(*base_of(row, tmp_path), "--dry-run", "-o", "json")
    told = json.loads(done.stdout)
    path = row["routes"][0].split(" ")[1]
    assert done.returncode == 0 and told["dry_run"] is True and told["method"] == row["method"], done
    assert re.fullmatch(re.escape(path).replace(r"\{\}", "[^/]+") + r"(\?.*)?", told["path"])
    assert all(method == "GET" for method, _ in asked)
    asked.forget()
    fleet.cli(*base_of(row, tmp_path))
    # what it shows is what is sent, but for secrets
    hidden = {o["member"]: "***" for o in row["options"] if o["secret"]}
    body = sent(row, asked)[1]
    assert body | {k: v for k, v in hidden.items() if k in body} == told.get("body", {})


@pytest.mark.parametrize("row", [r for r in ROWS if "asks" in r], ids=name_of)
def test_what_cannot_be_undone_takes_a_yes(fleet, asked, tmp_path, row):
    words = [w for w in base_of(row, tmp_path) if w != "--yes"] + (["--confirm"] if name_of(row) == "intermediates retire" else [])
    done = fleet.cli(*words)
    assert done.returncode == 2 and "add --yes" in done.stderr and not asked, done
    assert fleet.cli(*words, "--yes").returncode == 0 and sent(row, asked)


# --- lists ---

def rows_of(row, done):
    assert done.returncode == 0, done
    whole = json.loads(done.stdout)
    return [r["name"] for r in whole[row.get("rows", "data")]]


@pytest.mark.parametrize("row", PAGED, ids=name_of)
def test_pages(fleet, asked, row):
    words = [*words_of(row), "-o", "json"]
    fleet.cli(*words, "--page", "2", "--per-page", "3")
    query = sent(row, asked)[0]
    assert (query["page"], query["per_page"]) == (["2"], ["3"])
    assert rows_of(row, fleet.cli(*words, "--all")) == BEGINS * 2
    assert rows_of(row, fleet.cli(*words, "--limit", "3")) == (BEGINS * 2)[:3] and rows_of(row, fleet.cli(*words, "--limit", "1")) == BEGINS[:1]


@pytest.mark.parametrize("row", LISTS, ids=name_of)
def test_filters_and_sorts(fleet, asked, tmp_path, row):
    words, pages = [*words_of(row), "-o", "json"], ["--all"] if row["paged"] else []
    whole = sorted(BEGINS * (2 if pages else 1))
    options = {o["flag"][2:].replace("-", "_"): o for o in row["options"]}
    for key in row["filters"]:
        asked.forget()
        value = value_of(options[key], tmp_path)
        fleet.cli(*words, "--filter", f"{key}={value}")
        assert sent(row, asked)[0][options[key]["member"]] == [value]
    for key in row["filters_here"]:
        assert rows_of(row, fleet.cli(*words, *pages, "--filter", f"{key}=a")) == [w for w in whole if w == "a"]
    both = [w for key in row["filters_here"][:2] for w in ("--filter", f"{key}=a", "--filter", f"{key}=b")]
    assert rows_of(row, fleet.cli(*words, *pages, *both)) == []
    for key in row["sorts"]:
        asked.forget()
        fleet.cli(*words, "--sort", f"{key}:desc")
        assert sent(row, asked)[0]["sort"] == [f"-{key}"]
    for key in row["sorts_here"]:
        assert rows_of(row, fleet.cli(*words, *pages, "--sort", f"{key}:desc")) == whole[::-1]
    assert rows_of(row, fleet.cli(*words, *pages, "--sort", row["sorts_here"][0])) == whole


# --- --watch ---

WATCHES = [row for row in ROWS if "watches" in row]


def test_watch_goes_on_until_its_time(fleet, asked):
    def run(row):
        words = ["explain", "certificate", "x"] if row["noun"] == "explain" else words_of(row)
        assert fleet.cli(*words, "--timeout", "1").returncode == 2, row
        began = time.monotonic()
        done = fleet.cli(*words, "--watch", "--timeout", "1")
        return row, done, time.monotonic() - began
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for row, done, seconds in pool.map(run, WATCHES):
            assert done.returncode == 0 and done.stdout and seconds >= 0.9, (name_of(row), seconds, done)
    for row in WATCHES:
        assert any(path.startswith(f"/api/v1/events?kind={row['watches']}") for _, path in asked), name_of(row)


# --- of commands with code of their own ---

BULK = [row for row in CALLS if "bulk" in row.get("verb", "")]


@pytest.mark.parametrize("row", BULK, ids=name_of)
def test_bulk_calls_count_ask_and_go_by_a_key(fleet, tmp_path, row):
    def count(method, path):
        return 200, {"total_matched": 1, "total_enqueued": 1, "total_revoked": 1, "total_reassigned": 1}
    with odd_servers(fleet) as servers:
        asked = servers.serve(count)
        words = [w for w in base_of(row, tmp_path) if w != "--yes"] + ["mc-1"]
        route = row["routes"][0].split(" ")[1]

        def posted():
            return [path for method, path in asked if method != "GET"]
        done = fleet.cli(*words, "--dry-run")
        assert done.returncode == 0 and posted() == [f"{route}?dry_run=true"], done
        asked.forget()
        done = fleet.cli(*words)
        assert done.returncode == 2 and "add --yes" in done.stderr and posted() == [f"{route}?dry_run=true"]
        asked.forget()
        done = fleet.cli(*words, "--yes", "--idempotency-key", "k-1")
        assert done.returncode == 0 and posted()[-1] == route and asked.headers[-1]["Idempotency-Key"] == "k-1", done


def test_a_replacement_is_planned_begun_and_excluded(fleet, asked):
    ends = ["--issuer", "iss-1", "--to", "iss-2"]
    fleet.cli("replace", *ends, "--plan", "--within", "2d", "--wave", "7", "--revoke-old", "superseded", "--move-profiles")
    assert asked == [("POST", "/api/v1/replacements/plan")]
    whole = {"from_issuer_id": "iss-1", "to_issuer_id": "iss-2", "move_profiles": True, "wave_size": 7, "revoke_reason": "superseded"}
    assert json.loads(asked.bodies[0]) == whole | {"within_seconds": 172800}
    assert fleet.cli("replace", *ends, "--within", "2d").returncode == 2 and len(asked) == 1
    done = fleet.cli("replace", *ends)
    assert done.returncode == 2 and "add --yes" in done.stderr and len(asked) == 2 and asked[1][1].endswith("/plan")
    asked.forget()
    assert fleet.cli("replace", *ends, "--yes", "--wave", "7", "--revoke-old", "superseded", "--move-profiles").returncode == 0
    assert asked == [("POST", "/api/v1/replacements")] and json.loads(asked.bodies[0]) == whole
    asked.forget()
    done = fleet.cli("replace", *ends, "--dry-run", "-o", "json")
    assert json.loads(done.stdout)["body"] == {"from_issuer_id": "iss-1", "to_issuer_id": "iss-2", "move_profiles": False}
    assert {method for method, _ in asked} == {"GET"}
    assert fleet.cli("replace", *ends, "--dry-run", "--plan").returncode == 2
    reason = next(o["takes"] for row in ROWS if name_of(row) == "replace excluded" for o in row["options"] if o["flag"] == "--reason").split("|")[0]
    fleet.cli("replace", "excluded", *ends, "--reason", reason, "--move-profiles")
    method, path = asked[-1]
    assert (method, path) == ("POST", "/api/v1/replacements/plan/certificates")
    assert {k: v for k, v in json.loads(asked.bodies[-1]).items() if k != "after"} == \
        {"from_issuer_id": "iss-1", "to_issuer_id": "iss-2", "move_profiles": True, "reason": reason}


def test_dry_runs_of_commands_with_calls_of_their_own(fleet, asked):
    for words, route in ((["eab-keys", "reseal"], "/api/v1/acme/eab-keys/reseal"), (["recover", "--apply"], "/api/v1/admin/recovery")):
        done = fleet.cli(*words, "--dry-run")
        assert done.returncode == 0 and done.stdout.splitlines()[0].endswith(route) and not asked, done
        fleet.cli(*words, *(["--yes"] if words[0] == "recover" else []))
        assert asked[-1] == ("POST", route)
        asked.forget()


def test_a_recovery_is_agreed_to(fleet, asked):
    """It revokes: the plan is shown, and nobody is there to say yes."""
    done = fleet.cli("recover", "--apply")
    assert done.returncode == 2 and "add --yes" in done.stderr and done.stdout.startswith("ISSUER "), done
    assert fleet.cli("recover", "--apply", "-o", "json").returncode == 2
    assert asked == [("GET", "/api/v1/admin/recovery")]
    assert fleet.cli("recover", "--dry-run").stdout == done.stdout
    assert fleet.cli("recover", "--yes").returncode == 2 and {method for method, _ in asked} == {"GET"}


def test_what_is_excluded_is_cut_and_none_is_said(fleet):
    ends = ["replace", "excluded", "--issuer", "iss-1", "--to", "iss-2"]
    pieces = {"first": [{"id": f"mc-{i}", "reason": "no_agent"} for i in range(3)], "none": []}

    def some(method, path):
        if method == "GET":
            return 200, {"id": "x"}
        return 200, {"data": pieces["first"], "after": "mc-2" if pieces["first"] else None}
    with odd_servers(fleet) as servers:
        asked = servers.serve(some)
        for limit, posts in (("2", 1), ("3", 1), ("5", 2)):
            asked.forget()
            done = fleet.cli(*ends, "--limit", limit)
            assert done.returncode == 0 and len(done.stdout.splitlines()) == int(limit) and not done.stderr, done
            assert [method for method, _ in asked].count("POST") == posts
        done = fleet.cli(*ends, "--limit", "1", "-o", "json")
        assert [r["id"] for r in json.loads(done.stdout)["data"]] == ["mc-0"]
        pieces["first"] = []
        done = fleet.cli(*ends)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "No certificate of iss-1 is excluded.\n")


def test_retired_agents_are_a_list_of_their_own(fleet, asked):
    assert fleet.cli("agents", "list", "--retired").returncode == 0
    assert asked == [("GET", "/api/v1/agents/retired?per_page=500")]


def test_each_number_of_size_counts(fleet, asked):
    words = {"--certificates": "1000", "--agents": "100", "--lifetime": "90d", "--ca-rate": "5"}
    def size(**changed):
        done = fleet.cli("size", *(w for pair in (words | {f"--{k.replace('_', '-')}": v for k, v in changed.items()}).items() for w in pair))
        assert done.returncode == 0, done
        return done.stdout
    told = {size(), size(certificates="200000"), size(agents="50000"), size(lifetime="6d"), size(ca_rate="900")}
    assert len(told) == 5 and not asked


def test_a_context_with_a_key_is_forgotten_after_a_yes(fleet, asked, tmp_path):
    home = {"XDG_CONFIG_HOME": str(tmp_path), "CERTCTL_SERVER_URL": ""}
    url = f"https://127.0.0.1:{fleet.api_port}"
    assert fleet.cli("context", "add", "one", "--server", url, **home).returncode == 0
    done = fleet.cli("context", "remove", "one", **home)
    assert done.returncode == 2 and "add --yes" in done.stderr and fleet.cli("context", "list", "-o", "name", **home).stdout == "one\n"
    assert fleet.cli("context", "remove", "one", "--yes", **home).returncode == 0 and fleet.cli("context", "list", "-o", "name", **home).stdout == ""


def test_a_dry_run_of_a_context_keeps_nothing(fleet, asked, tmp_path):
    home = {"XDG_CONFIG_HOME": str(tmp_path), "CERTCTL_SERVER_URL": "", "CERTCTL_API_KEY": ""}
    add = ["context", "add", "one", "--server", f"https://127.0.0.1:{fleet.api_port}", "--api-key", "k-secret"]
    kept = tmp_path / "certctl" / "contexts.json"
    done = fleet.cli(*add, "--dry-run", **home)
    assert done.returncode == 0 and "one would be kept, for https://127.0.0.1" in done.stdout and done.stderr == "--dry-run: nothing was kept\n", done
    assert "k-secret" not in done.stdout and not kept.exists() and not kept.parent.exists()
    assert fleet.cli("context", "use", "one", "--dry-run", **home).returncode == 3
    assert fleet.cli(*add, **home).returncode == 0 and fleet.cli(*add, "--dry-run", **home).returncode == 5
    assert fleet.cli(*["two" if w == "one" else w for w in add], **home).returncode == 0
    before = kept.read_bytes()
    for words, said in ((["use", "two"], "two would be the one in use\n"), (["remove", "one"], "one would be removed\n"),
                        (["add", "two", "--replace", *add[3:]], "two would be kept, ")):
        done = fleet.cli("context", *words, "--dry-run", **home)
        assert done.returncode == 0 and done.stdout.startswith(said) and done.stderr == "--dry-run: nothing was kept\n", done
        assert json.loads(fleet.cli("context", *words, "--dry-run", "-o", "json", **home).stdout) == {"dry_run": True}
    assert kept.read_bytes() == before


def test_import_says_what_it_was_told(fleet, tmp_path):
    """By the calls of a dry run: each option stands in a body, and without it nothing of it does."""
    site, etc = tmp_path / "site", tmp_path / "conf"
    site.mkdir(), (etc / "nginx").mkdir(parents=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj", "/CN=a.test",
                    "-addext", "subjectAltName=DNS:a.test", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", site / "a.key", "-out", site / "a.pem"], check=True, capture_output=True)
    (etc / "nginx" / "nginx.conf").write_text(
        f"http {{ server {{ listen 443 ssl; server_name a.test; ssl_certificate {site}/a.pem; ssl_certificate_key {site}/a.key; }} }}\n")
    needed = {"--owner-id": "o-1", "--team-id": "t-1", "--issuer-id": "iss-1", "--agent-id": "agent-1"}
    more = {"--renewal-policy-id": "rp-1", "--environment": "env-1", "--validate-command": "/bin/true one", "--reload-command": "/bin/true two"}

    def calls(*words, **options):
        done = fleet.cli("import", str(site), "--etc", str(etc), *words, *(w for pair in options.items() for w in pair), "-o", "json")
        assert done.returncode == 0, done
        return [json.loads(line) for line in done.stdout.splitlines()]
    with odd_servers(fleet) as servers:
        asked = servers.serve(lambda method, path: (200, {"data": []}) if "?" in path else (404, {"message": "no"}))
        plain, full = calls("--dry-run", **needed), calls("--dry-run", **needed, **more)
        assert all(method == "GET" for method, _ in asked)
    both = {c["path"]: c.get("body") for c in full}
    certificate, target = both["/api/v1/certificates"], both["/api/v1/targets"]
    assert (certificate["owner_id"], certificate["team_id"], certificate["issuer_id"], certificate["renewal_policy_id"], certificate["environment"]) == \
        ("o-1", "t-1", "iss-1", "rp-1", "env-1")
    assert target["agent_id"] == "agent-1" and target["config"]["validate_command"] == ["/bin/true", "one"]
    assert target["config"]["reload_command"] == ["/bin/true", "two"]
    assert "/api/v1/agents/agent-1/discoveries" in both and "/api/v1/renewal-policies" not in both
    bodies = json.dumps(plain)
    assert "/api/v1/renewal-policies" in bodies and not any(word in bodies for word in ("rp-1", "env-1", '"one"', '"two"'))


# --- options of every command ---

def test_options_of_every_command(fleet, asked, tmp_path):
    url, ca = f"https://127.0.0.1:{fleet.api_port}", str(fleet.dir / "tls" / "api.pem")
    for spelt in ("-o", "--output", "--format"):
        shown = {word: fleet.cli("teams", "list", spelt, word) for word in ("table", "wide", "json", "yaml", "csv", "name")}
        assert {d.returncode for d in shown.values()} == {0} and len({d.stdout for d in shown.values()}) >= 5
        assert json.loads(shown["json"].stdout)["data"] and shown["name"].stdout.split() == BEGINS and shown["yaml"].stdout.startswith("id: x\n")
    assert fleet.cli("teams", "list", "--json").stdout == shown["json"].stdout
    assert [*map(list, json.loads(fleet.cli("teams", "list", "--json", "--fields", "name").stdout)["data"])] == [["name"]] * 2
    nothing = {"CERTCTL_SERVER_URL": "", "CERTCTL_API_KEY": "", "CERTCTL_SERVER_CA_BUNDLE_PATH": "", "XDG_CONFIG_HOME": str(tmp_path)}
    asked.forget()
    assert fleet.cli("teams", "list", "--server", url, "--api-key", "k-1", "--ca-bundle", ca, **nothing).returncode == 0
    assert asked.headers[-1]["Authorization"] == "Bearer k-1"
    assert fleet.cli("teams", "list", "--server", url, **nothing).returncode == 6 and len(asked) == 1
    assert fleet.cli("teams", "list", "--server", url, "--insecure", **nothing).returncode == 0 and len(asked) == 2


# --- none is left out ---

def is_by_table(row, flag):
    option = next(o for o in row["options"] if o["flag"] == flag)
    return is_sent(row, option) or row in PAGED and flag in ("--page", "--per-page", "--limit", "--all") or row in LISTS and flag in ("--filter", "--sort") \
        or row in WATCHES and flag in ("--watch", "--timeout") or row in CALLS and row["body"] and flag in ("--set", "--file") \
        or row in CHANGES and flag == "--dry-run" or "asks" in row and flag == "--yes" or row in BULK and flag in ("--dry-run", "--yes", "--idempotency-key")


# What does not stand alone, or has a form of its own.
GIVEN = {"--timeout": ["--wait", "--timeout", "1"], "--handshake": ["--wait", "--handshake", "--timeout", "1"], "--wait": ["--wait", "--timeout", "1"],
         "--within": ["--plan", "--within", "1d"], "--interval": ["--once", "--interval", "1"], "--since": ["--since", "1-a", "--for", "1"],
         "--filter": ["--filter", "name=x"], "--sort": ["--sort", "name"],
         ("replace watch", "--timeout"): ["--timeout", "1"], ("import", "--yes"): ["--apply", "--yes"], ("recover", "--yes"): ["--apply", "--yes"]}
OWN = [(row, o) for row in ROWS for o in row["options"] if not is_by_table(row, o["flag"])]


def without(base, given):
    """The base without what is given anew, and without its values."""
    at = [i for i, word in enumerate(base) if word.startswith("--") and word in given]
    return [w for i, w in enumerate(base) if i not in at and not (i - 1 in at and not w.startswith("--"))]


@pytest.mark.parametrize("row, option", OWN, ids=lambda v: name_of(v) if "noun" in v else v["flag"])
def test_what_code_of_its_own_reads_is_taken(fleet, asked, tmp_path, row, option):
    """
    Each flag that the tests above do not send by the table: its command takes it and goes on to its own work, and a value that it cannot
    have is refused.  What it does then is tested where the command is at home.
    """
    home, flag, value = {"XDG_CONFIG_HOME": str(tmp_path)}, option["flag"], value_of(option, tmp_path)
    given = GIVEN.get((name_of(row), flag)) or GIVEN.get(flag) or [flag, *([] if value is None else [value])]
    base = without(base_of(row, tmp_path), given)
    done = fleet.cli(*base, *given, **home)
    assert done.returncode >= 0 and "usage: certctl" not in done.stderr, done
    takes = option.get("takes", "")
    wrong = f"{flag}=1" if value is None else f"{flag}=not-so" if ".." in takes or "|" in takes else f"{flag}="
    asked.forget()
    done = fleet.cli(*base, wrong, **home)
    assert done.returncode == 2 and "usage: certctl" in done.stderr and flag in done.stderr and not asked, done


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_usage_errors_fit_the_width(fleet, row):
    """What is wrong, then how it is used, folded."""
    choices = [o["flag"] for o in row["options"] if "|" in o.get("takes", "")]
    for more in [], ["--odd"], ["-o", "odd"], *([flag, "Odd"] for flag in choices):
        if not more and not needed_of(row):
            continue
        done = fleet.cli(*words_of(row), *more)
        lines = done.stderr.splitlines()
        assert done.returncode == 2 and max(map(len, lines)) <= 80 and "\nusage: certctl " in done.stderr, (row, done)
        assert lines[0].startswith("certctl: ") and lines[-1].startswith("see certctl "), done
