"""
The one table of commands: it holds the whole API, and what is made of it (help,
completion, pages) is right.
"""
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fleet import API_KEY, BUILD, ROOT, clean_env
from openapi import body_schema, operations, parameters
from test_cli import needed_of, words_of
from test_routes import ROUTES

CERTCTL = BUILD / "cli" / "certctl"
SNAPSHOTS = Path(__file__).parent / "snapshots"
# Routes that no command calls, and why.
OTHERS = {
    r"GET /health": "probes look at it", r"GET /ready": "probes look at it",
    r"GET /api/v1/openapi\.json": "programs read it",
    r"GET /api/v1/metrics": "metrics has the same as Prometheus reads them",
    r"POST /api/v1/certificates/\{\}/export/pkcs12": "the answer is bytes",
    r"(GET|POST) /acme/.*": "ACME clients ask it", r"(GET|POST) /\.well-known/.*": "relying parties ask it",
    r"POST /api/v1/agents/\{\}/(heartbeat|served|csr|tests/\{\}|jobs/\{\}/status)": "agents report it",
    r"GET /api/v1/agents/\{\}/(work|certificates/\{\})": "agents fetch it", r"POST /api/v1/jobs/\{\}/verify": "agents report it",
}
# What is posted and changes nothing.
QUESTIONS = {"POST /api/v1/replacements/plan", "POST /api/v1/replacements/plan/certificates"}
# Members and parameters that no option has, and why.
# --page, --per-page, --limit and --all; --fields is of every command, and cut out here
PAGES = {"page", "per_page", "page_size", "cursor", "fields"}
OTHER_MEMBERS = {
    "/api/v1/certificates": {"sort", "sort_desc", "status", "expires_at", "created_at", "updated_at", "last_renewal_at", "last_deployment_at"},  # only updates, or never believed
    "/api/v1/certificates/{}": {"id", "source", "expires_at", "created_at", "updated_at", "last_renewal_at", "last_deployment_at"},
    "/api/v1/certificates/{}/renew": {"force"},  # it is in the query
    "/api/v1/health-checks/{}/acknowledge": {"actor"},  # the older name of acknowledged_by
    "/api/v1/profiles": {"acme_limits"}, "/api/v1/profiles/{}": {"acme_limits"},  # options for its members
    "/api/v1/issuers/{}/intermediates": {"subject"},
    "/api/v1/certificates/bulk-renew": {"certificate_ids"}, "/api/v1/certificates/bulk-revoke": {"certificate_ids"},  # words
    "/api/v1/certificates/bulk-reassign": {"certificate_ids"}, "/api/v1/est/certificates/bulk-revoke": {"certificate_ids"},
}


def table():
    return json.loads(subprocess.run([CERTCTL, "__table"], stdout=subprocess.PIPE, check=True, env=clean_env()).stdout)


TABLE = table()
ROWS = TABLE["commands"]


def holes(route):
    return re.sub(r"\{[^}]*\}", "{}", route)


def run(*arguments, **env):
    return subprocess.run([CERTCTL, *arguments], text=True, capture_output=True, timeout=60, check=False, env=clean_env() | env)


# --- the API ---

def test_every_route_has_a_command():
    known = {route for row in ROWS for route in row["routes"]}
    there = {holes(f"{r['method']} {r['pattern']}") for r in ROUTES}
    assert known <= there, known - there
    assert not {r for r in there - known if not any(re.fullmatch(o, r) for o in OTHERS)}
    assert not {r for r in known if any(re.fullmatch(o, r) for o in OTHERS)}
    for other in OTHERS:
        assert any(re.fullmatch(other, r) for r in there), other


def test_every_parameter_and_member_has_an_option(stack):
    """And no option is of what the API does not read."""
    described = {(method, holes(path)): o for method, path, o in operations(stack.api.need("GET", "/api/v1/openapi.json"))}
    missing, odd, sent = [], [], {}
    for row in (r for r in ROWS if r.get("method")):
        method, path = row["routes"][0].split(" ")
        operation = described[method, path]
        query, schema = set(parameters(operation, "query")), body_schema(operation)
        body = set((schema or {}).get("properties", {}))
        ours = {o["member"].split(".")[0]: o["query"] or method in ("GET", "DELETE") for o in row["options"] if "member" in o}
        if "last_word" in row:
            ours[row["last_word"]] = False
        odd += [(row["noun"], row.get("verb"), name) for name, is_query in ours.items() if name not in (query if is_query else body) | PAGES]
        sent.setdefault((method, path), (query, body, set()))[2].update(ours)
    for (method, path), (query, body, ours) in sent.items():
        # events and bulk calls have code of their own for the rest; --sort FIELD:desc is both
        others = PAGES | OTHER_MEMBERS.get(path, set()) | ({"last_event_id", "for"} if path == "/api/v1/events" else set()) \
            | ({"dry_run"} if "bulk" in path else set()) | ({"download"} if "export" in path else set())
        missing += [(method, path, name) for name in (query | body) - ours - others]
    assert not odd and not missing, (odd, missing)


# --- each row against one stack ---

def test_every_row_runs(stack):
    """A wrong id is 3, a change of one as a dry run sends nothing; help and an unknown option ask nobody."""
    before = stack.value("SELECT count(*) FROM audit_events WHERE action NOT LIKE 'auth%%'")
    for row in ROWS:
        words, needed = words_of(row), needed_of(row)
        told = run(*words[:2] if "verb" in row else words[:1], "--help")
        assert told.returncode == 0 and not told.stderr and f"certctl {row['noun']}" in told.stdout, row
        is_dry = any(o["flag"] == "--dry-run" for o in row["options"])
        changes = [r for r in row["routes"] if not r.startswith("GET ") and r not in QUESTIONS]
        keeps = row["noun"] == "context" and row["verb"] in ("add", "remove", "use")  # in a file of the user's own
        assert is_dry == (bool(changes) or keeps), (row["noun"], row.get("verb"))
        if row["offline"] or row["noun"] in ("events", "audit", "import") or row["own"] and not row.get("method") and not is_dry:
            continue
        if row.get("method") == "GET":
            done = stack.cli(*words, *needed)
            # What needs no id works (but a digest that is not configured); what has one finds none such. A list below none may be empty.
            assert done.returncode in ((0, 3) if row["words"] else (0, 6) if row["noun"] == "digest" else (0,)), (row["noun"], row.get("verb"), done)
            if row.get("verb") == "get":
                assert done.returncode == 3, done
        elif is_dry and "bulk" not in row.get("verb", ""):
            member = next((o["member"] for o in row["options"] if "member" in o), None)
            needed = ["--set", f'{member}:="y"'] if row["body"] else [w if w != "FILE" else "/dev/null" for w in needed]
            if "--root-cert" in needed:
                continue
            if row["noun"] == "recover":  # without it, it only looks
                done = stack.cli(*words, "--dry-run")
                assert done.returncode == 0 and "Nothing was changed" in done.stderr, done
                needed = ["--apply"]
            done = stack.cli(*words, *needed, "--dry-run")
            assert done.returncode == 0 and done.stdout.startswith(f"{row.get('method', 'POST')} https://"), (row["noun"], row.get("verb"), done)
            assert done.stderr == "--dry-run: nothing was sent\n"
    assert stack.value("SELECT count(*) FROM audit_events WHERE action NOT LIKE 'auth%%'") == before


# --- the whole life of objects ---

def made(stack, *words):
    done = stack.cli(*words, "-o", "json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def test_objects_are_made_changed_and_ended(stack):
    team = made(stack, "teams", "create", "blue", "--description", "the blue ones")
    owner = made(stack, "owners", "create", "ann", "--team-id", team["id"], "--email", "ann@example.test")
    # by name, in a word and in an option
    assert made(stack, "owners", "get", "ann")["id"] == owner["id"]
    assert [o["id"] for o in made(stack, "owners", "list", "--team-id", "blue")["data"]] == [owner["id"]]
    assert made(stack, "owners", "create", "bob", "--team-id", "blue")["team_id"] == team["id"]
    made(stack, "owners", "create", "bob", "--team-id", "blue")
    done = stack.cli("owners", "get", "bob")
    assert done.returncode == 2 and 'is the name of 2 owners: give the id, one of' in done.stderr
    assert made(stack, "owners", "update", owner["id"], "--set", "email=new@example.test")["email"] == "new@example.test"
    # members in a file, what is named besides goes before it
    (stack.dir / "team.json").write_text('{"name": "red", "description": "of the file"}')
    # what get printed, sent again; what only answers have is told
    kept = stack.cli("owners", "get", "ann", "-o", "yaml").stdout
    (stack.dir / "owner.yaml").write_text(kept.replace("ann", "eve").replace(owner["id"], "o-eve"))
    done = stack.cli("owners", "create", "-f", str(stack.dir / "owner.yaml"))
    assert done.returncode == 0 and "only answers have it" in done.stderr and "created_at, updated_at\n" in done.stderr, done
    assert made(stack, "owners", "get", "o-eve")["name"] == "eve"
    red = made(stack, "teams", "update", "blue", "-f", str(stack.dir / "team.json"), "--description", "of the option")
    assert (red["name"], red["description"]) == ("red", "of the option")
    # a dry run, a question nobody can answer, and an end
    done = stack.cli("owners", "delete", "ann", "--dry-run", "-o", "json")
    assert done.returncode == 0 and json.loads(done.stdout) == {"dry_run": True, "method": "DELETE", "path": f"/api/v1/owners/{owner['id']}"}
    done = stack.cli("owners", "delete", "ann")
    assert done.returncode == 2 and "owner ann will be deleted." in done.stderr and "add --yes" in done.stderr
    assert stack.cli("owners", "delete", "ann", "--yes").stdout == "deleted\n"
    assert stack.cli("owners", "get", "ann").returncode == 3
    done = stack.cli("owners", "update", owner["id"])
    assert done.returncode == 2 and "nothing is to be changed" in done.stderr


def test_a_set_into_an_object_keeps_the_rest(stack, basics):
    made(stack, "policies", "create", "where", "--id", "pr-where", "--type", "AllowedEnvironments", "--config", '{"allowed": ["x"]}')
    agent = made(stack, "agents", "create", "silent", "--hostname", "h.example.test")
    assert agent["api_key"]
    made(stack, "targets", "create", "web", "--type", "NGINX", "--agent-id", agent["id"], "--set", "config.cert_path=/c", "--set", "config.key_path=/k")
    changed = made(stack, "targets", "update", "web", "--set", "config.port=8443", "--set", 'config.reload_command=["true"]')
    assert changed["config"] == {"cert_path": "/c", "key_path": "/k", "port": 8443, "reload_command": ["true"]}


def test_what_get_prints_is_taken_again(stack, basics):
    """Of every kind: each member of an answer is one to send, or known as one that only answers have, and none is taken for a slip."""
    agent = made(stack, "agents", "create", "of-file", "--hostname", "of-file.example.test")["id"]
    given = {
        "targets": ("of-file", "--type", "NGINX", "--agent-id", agent, "--config", '{"cert_path": "/c", "key_path": "/k"}'),
        "certs": ("of-file", "--common-name", "of-file.test", "--owner-id", "o-test", "--team-id", "t-test", "--issuer-id", "iss-local",
                  "--renewal-policy-id", "rp-default"),
        "policies": ("of-file", "--type", "AllowedEnvironments", "--config", '{"allowed": ["x"]}'),
        "network-scans": ("of-file", "--cidrs", "10.0.0.0/30", "--enabled", "false"), "health-checks": ("of-file.example.test:443", "--enabled", "false"),
        "issuers": ("of-file", "--type", "GenericCA"), "owners": ("of-file", "--team-id", "t-test", "--email", "of@example.test"),
        "agent-groups": ("of-file",), "profiles": ("of-file",), "renewal-policies": ("of-file",), "teams": ("of-file",), "roles": ("of-file",)}
    assert set(given) == {row["noun"] for row in ROWS if row.get("verb") == "update"}
    for noun, words in given.items():
        one = made(stack, noun, "create", *words)["id"]
        told = json.loads(stack.cli(noun, "get", one, "-o", "json").stdout)
        (stack.dir / "one.json").write_text(json.dumps(told.get("role", told)))
        done = stack.cli(noun, "update", one, "-f", str(stack.dir / "one.json"), "--dry-run", "-o", "json")
        assert done.returncode == 0, (noun, json.loads(done.stderr)['error']['why'])
        assert set(json.loads(done.stdout)["body"]) < set(told.get("role", told)), (noun, done.stdout)
        assert stack.cli(noun, "update", one, "-f", str(stack.dir / "one.json")).returncode == 0, noun


def test_an_agent_by_its_name(stack, basics):
    """Wherever its id is taken; one that is retired has its name still."""
    agent = made(stack, "agents", "create", "host one", "--hostname", "one.example.test")["id"]
    assert made(stack, "agents", "get", "host one")["id"] == agent
    assert [a["id"] for a in made(stack, "agents", "list", "--name", "host one")["data"]] == [agent]
    target = made(stack, "targets", "create", "there", "--type", "NGINX", "--agent-id", "host one", "--config", '{"cert_path": "/c", "key_path": "/k"}')
    assert target["agent_id"] == agent and [t["id"] for t in made(stack, "targets", "list", "--agent-id", "host one")["data"]] == [target["id"]]
    two = made(stack, "agents", "create", "host two", "--hostname", "two.example.test")["id"]
    assert made(stack, "targets", "update", "there", "--set", "agent_id=host two")["agent_id"] == two
    (stack.dir / "there.yaml").write_text("agent_id: host one\n")
    assert made(stack, "targets", "update", "there", "-f", str(stack.dir / "there.yaml"))["agent_id"] == agent
    made(stack, "certs", "create", "by-name", "--common-name", "by-name.test", "--owner-id", "o-test", "--team-id", "t-test", "--issuer-id", "iss-local",
         "--renewal-policy-id", "rp-default", "--id", "mc-by-name", "--target-ids", "there")
    assert made(stack, "certs", "get", "mc-by-name")["target_ids"] == [target["id"]]
    assert [c["id"] for c in made(stack, "certs", "list", "--filter", "agent_id=host one")["data"]] == ["mc-by-name"]
    assert made(stack, "certs", "bulk-renew", "--agent-id", "host one", "--dry-run")["total_matched"] == 1
    group = made(stack, "agent-groups", "create", "some")["id"]
    assert stack.cli("agent-groups", "add", "some", "host one").stdout == f"{agent}: include\n"
    assert [a["id"] for a in made(stack, "agent-groups", "members", "some")["data"]] == [agent]
    assert stack.cli("agent-groups", "remove", group, "host one").returncode == 0
    for words in (["jobs", "list"], ["discovery", "list"], ["discovery", "scans"], ["events", "--for", "1"]):
        assert stack.cli(*words, "--agent-id", "host one").returncode == 0, words
    assert stack.cli("agents", "retire", "host one", "--force", "--reason", "test", "--yes").returncode == 0
    assert made(stack, "agents", "get", "host one")["id"] == agent
    for name in ("host-three", "host three"):
        assert stack.cli("agents", "get", name).returncode == 3


def test_lists_go_on_through_the_pages(stack):
    stack.query("INSERT INTO teams (id, name) SELECT 't-many-' || n, 'many ' || n FROM generate_series(1, 520) n")
    everything = made(stack, "teams", "list", "--all", "--query", "many")["data"]
    assert len({t["id"] for t in everything}) == 520
    assert len(made(stack, "teams", "list", "--limit", "3")["data"]) == 3
    assert len(made(stack, "teams", "list", "--limit", "510", "--query", "many")["data"]) == 510
    assert stack.cli("teams", "list", "--limit", "3", "--page", "2").returncode == 2


# --- --filter and --sort ---

LISTS = [row for row in ROWS if "filters" in row]


def test_every_list_filters_and_sorts(stack, basics):
    """By each key that its help names, as the server has it or as it is looked at here; by no other."""
    assert {row.get("verb") for row in ROWS if row.get("verb") in ("list", "versions", "violations", "history", "members", "cas")} <= {row.get("verb") for row in LISTS}
    for row in (r for r in LISTS if not r["offline"]):
        words = words_of(row)
        assert row["filters_here"] and row["sorts_here"], row
        pages = ["--all"] if row["paged"] else []
        filters = [w for key in row["filters_here"] for w in ("--filter", f"{key}=never")]
        done = stack.cli(*words, *filters, *pages)
        assert done.returncode in ((0, 3) if row["words"] else (0,)), (words, done)
        assert not pages or (done := stack.cli(*words, *filters)).returncode == 2 and "add --all" in done.stderr, (words, done)
        for key in row["sorts_here"]:
            done = stack.cli(*words, "--sort", f"{key}:desc", *pages)
            assert done.returncode in ((0, 3) if row["words"] else (0,)), (words, key, done)
        for given in (["--filter", "odd_one=x"], ["--sort", "odd_one"]):
            done = stack.cli(*words, *given)
            assert done.returncode == 2 and 'this list has no "odd_one"' in done.stderr, (words, done)
        shown = run(*words[:2] if "verb" in row else words[:1], "--help").stdout
        assert "\n--filter: " in shown and "\n--sort: " in shown, shown


def test_a_filter_is_what_the_server_has_and_a_sort_too(stack, basics):
    def ids(*words):
        return [r["id"] for r in made(stack, *words)["data"]]
    for i, name in enumerate(("sort red", "sort green", "sort blue")):
        made(stack, "teams", "create", name, "--id", f"t-sorted-{i}", "--description", "sorted")
    assert ids("teams", "list", "--filter", "query=SORT GREE") == ["t-sorted-1"]
    assert ids("teams", "list", "--all", "--filter", "description=sorted", "--sort", "name") == ["t-sorted-2", "t-sorted-1", "t-sorted-0"]
    assert ids("teams", "list", "--limit", "2", "--filter", "description=sorted") == ids("teams", "list", "--all", "--filter", "description=sorted")[:2]
    for i in range(3):
        made(stack, "certs", "create", f"sort-{i}", "--common-name", f"{'bca'[i]}.sort.test", "--owner-id", "o-test", "--team-id", "t-test",
             "--issuer-id", "iss-local", "--renewal-policy-id", "rp-default", "--id", f"mc-sort-{i}", "--environment", "sorting")
    mine = ["certs", "list", "--filter", "environment=sorting"]
    assert ids(*mine, "--sort", "commonName") == ids(*mine, "--sort", "common_name", "--all") == ["mc-sort-2", "mc-sort-0", "mc-sort-1"]
    assert ids(*mine, "--sort", "common_name:desc", "--limit", "2") == ["mc-sort-1", "mc-sort-0"]
    assert ids(*mine, "--sort", "name:desc", "--page", "1", "--per-page", "1") == ["mc-sort-2"]
    # a name in the place of an id, in a filter too
    made(stack, "owners", "create", "sorter", "--id", "o-sorter", "--team-id", "t-test")
    made(stack, "certs", "update", "mc-sort-1", "--owner-id", "o-sorter")
    assert ids(*mine, "--filter", "owner_id=sorter") == ["mc-sort-1"]
    keys = made(stack, "api-keys", "list", "--sort", "actor_id:desc")["keys"]
    assert [k["actor_id"] for k in keys] == sorted((k["actor_id"] for k in keys), reverse=True)


# --- help, completion and pages ---

@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("words", [[], ["certs"], ["certs", "list"], ["targets", "create"], ["replace"]], ids="-".join)
def test_help_is_as_it_was(words, width):
    done = run(*words, "--help", COLUMNS=str(width))
    assert done.returncode == 0 and not done.stderr
    assert max(map(len, done.stdout.splitlines())) <= width
    kept = SNAPSHOTS / f"help-{'-'.join(words) or 'all'}-{width}.txt"
    assert done.stdout == kept.read_text(), f"if it is meant so: COLUMNS={width} certctl {' '.join(words)} --help > {kept}"


def test_help_of_every_row_fits():
    for row in ROWS:
        done = run(row["noun"], *filter(None, [row.get("verb")]), "--help", COLUMNS="80")
        assert max(map(len, done.stdout.splitlines())) <= 80, done.stdout


# What a shell does at a Tab, in a shell without a terminal; zsh's own functions only print what they are given.
LOADED = {
    "bash": ["bash", "--norc", "-c", 'source $1; compopt() { :; }; COMP_LINE=$2; COMP_POINT=${#2}; _certctl; printf "%s\n" "${COMPREPLY[@]}"', "x"],
    "zsh": ["zsh", "-f", "-c", 'compdef() { :; }; _files() { :; }; _describe() { print -rl -- ${${(P)2}%%:*}; }; compadd() { print -rl -- ${(P)@[-1]}; };'
            ' source $1; words=("${(@s: :)2}"); CURRENT=$#words; _certctl', "x"],
    "fish": ["fish", "--no-config", "-c", 'source $argv[1]; complete -C $argv[2] | string replace -r "\\t.*" ""'],
}


@pytest.mark.parametrize("shell", LOADED)
def test_shells_complete(shell, tmp_path):
    done = run("completion", shell)
    assert done.returncode == 0 and "__complete" in done.stdout
    assert shutil.which(shell), f"{shell} is not installed: deploy/local/packages.sh test"
    script = tmp_path / "script"
    script.write_text(done.stdout)
    checked = subprocess.run([shell, "-n", script], text=True, capture_output=True, check=False, timeout=60)
    assert checked.returncode == 0 and not checked.stderr, checked
    env = clean_env() | {"HOME": str(tmp_path), "TERM": "dumb", "PATH": f"{CERTCTL.parent}:{clean_env()['PATH']}", "CERTCTL_SERVER_URL": "https://127.0.0.1:1"}
    behind = {"bash": ""}.get(shell, "status=")  # bash has broken the word there
    for line, words in (("certctl heal", ["health-checks"]), ("certctl certs li", ["list"]), ("certctl certs list --filter stat", ["status="]),
                        ("certctl certs list --filter status=Re", [f"{behind}RenewalInProgress", f"{behind}Revoked"]), ("certctl completion f", ["fish"]),
                        ("certctl help heal", ["health-checks"])):
        done = subprocess.run([*LOADED[shell], script, line], text=True, capture_output=True, check=False, timeout=60, env=env)
        assert done.stdout.split() == words and not done.stderr, (line, done)


def completed(stack, *words):
    done = stack.cli("__complete", *words)
    assert done.returncode == 0 and not done.stderr, done
    return [line.split(" ")[0] for line in done.stdout.splitlines()]


def test_what_may_stand_next(stack, basics):
    assert {"certs", "jobs", "help"} <= set(completed(stack, ""))
    assert completed(stack, "health") == ["health-checks"]
    assert {"list", "get"} <= set(completed(stack, "certs", "")) and completed(stack, "certs", "bulk-ren") == ["bulk-renew"]
    assert completed(stack, "certs", "list", "--sta") == ["--status"]
    assert completed(stack, "certs", "list", "--status", "Re") == ["RenewalInProgress", "Revoked"]
    assert completed(stack, "completion", "f") == ["fish"]
    assert completed(stack, "certs", "list", "--status=Re") == ["--status=RenewalInProgress", "--status=Revoked"]
    assert completed(stack, "certs", "list", "--filter", "en") == ["environment="]
    assert completed(stack, "certs", "list", "--filter", "status=Re") == ["status=RenewalInProgress", "status=Revoked"]
    assert completed(stack, "certs", "list", "--filter", "issuer_id=iss-l") == ["issuer_id=iss-local"]
    assert completed(stack, "certs", "list", "--sort", "exp") == ["expiresAt", "expiresAt:desc"]
    assert completed(stack, "roles", "list", "--sort=na") == ["--sort=name", "--sort=name:desc"]
    assert completed(stack, "issuers", "get", "iss-") == ["iss-local"] == completed(stack, "certs", "list", "--issuer-id", "iss-l")
    assert completed(stack, "help", "ce") == ["certs"] and completed(stack, "help", "certs", "bulk-ren") == ["bulk-renew"]
    assert completed(stack, "help", "explain", "ce") == []
    assert completed(stack, "explain", "ce") == ["certificate"]
    agent = stack.api.need("POST", "/api/v1/agents", {"name": "completes", "hostname": "h"})["id"]
    stack.make_target("tgt-completes", agent, stack.dir / "tgt-completes")
    stack.make_certificate("mc-completes")
    assert completed(stack, "explain", "certificate", "mc-comp") == ["mc-completes"]
    assert completed(stack, "explain", "target", "tgt-comp") == ["tgt-completes"]
    assert completed(stack, "certs", "create", "--target-ids", "tgt-x,tgt-comp") == ["tgt-x,tgt-completes"]
    assert completed(stack, "certs", "create", "--target-ids=tgt-x,tgt-comp") == ["--target-ids=tgt-x,tgt-completes"]
    # without a server nothing, and no word of it
    done = run("__complete", "issuers", "get", "", CERTCTL_SERVER_URL="https://127.0.0.1:1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def asks_there(stack):
    """Options that name the server, and an environment that names none that answers."""
    dead = clean_env() | {"CERTCTL_SERVER_URL": "https://127.0.0.1:1", "CERTCTL_API_KEY": "k", "HOME": "/nonexistent"}
    return ["--server", f"https://127.0.0.1:{stack.api_port}", "--api-key", API_KEY, "--ca-bundle", str(stack.dir / "tls" / "api.pem")], dead


def test_ids_are_those_of_the_server_on_the_line(stack, basics, tmp_path):
    there, dead = asks_there(stack)

    def ids(*words, **env):
        return [line.split(" ")[0] for line in run("__complete", *words, **dead | env).stdout.splitlines()]
    assert ids(*there, "issuers", "get", "iss-") == ["iss-local"] == ids("issuers", "get", *there, "iss-")
    assert ids(*(f"{a}={b}" for a, b in zip(there[::2], there[1::2])), "issuers", "get", "iss-") == ["iss-local"]
    assert ids("--server", f"'{there[1]}'", *there[2:4], "--ca-bundle", "~/api.pem", "issuers", "get", "iss-", HOME=str(stack.dir / "tls")) == ["iss-local"]
    assert ids(*there[:4], "issuers", "get", "iss-") == [] != ids(*there[:4], "--insecure", "issuers", "get", "iss-")
    assert ids("issuers", "get", "iss-") == []
    home = {"XDG_CONFIG_HOME": str(tmp_path), "CERTCTL_SERVER_URL": "", "CERTCTL_API_KEY": ""}
    for name in ("gone", "there"):
        assert run("context", "add", name, *there, **home).returncode == 0
    path = tmp_path / "certctl" / "contexts.json"
    path.write_text(path.read_text().replace(there[1], "https://127.0.0.1:1", 1))  # of the first one
    assert ids("--context", "gone", "issuers", "get", "iss-", **home) == [] != ids("--context", "there", "issuers", "get", "iss-", **home)
    # behind -- there are no options
    assert completed(stack, "teams", "create", "--", "-") == []


@pytest.mark.parametrize("shell", LOADED)
def test_shells_ask_the_server_on_the_line(shell, stack, basics, tmp_path):
    there, dead = asks_there(stack)
    script = tmp_path / "script"
    script.write_text(run("completion", shell).stdout)
    done = subprocess.run([*LOADED[shell], script, f"certctl issuers get {' '.join(there)} iss-"], text=True, capture_output=True, check=False, timeout=60,
                          env=dead | {"HOME": str(tmp_path), "TERM": "dumb", "PATH": f"{CERTCTL.parent}:{clean_env()['PATH']}"})
    assert done.stdout.split() == ["iss-local"] and not done.stderr, done


def test_the_page_of_commands_is_current():
    done = subprocess.run([ROOT / "tools" / "clidoc.py", "--check", BUILD], cwd=ROOT, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_man_page_is_one():
    done = subprocess.run([ROOT / "tools" / "clidoc.py", "--man", CERTCTL, "1"], text=True, capture_output=True, timeout=60, check=True)
    assert ".SH EXIT STATUS" in done.stdout and "certctl certs list" in done.stdout.replace("\\", "")
    if shutil.which("groff"):
        shown = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=done.stdout, text=True, capture_output=True, timeout=60, check=False)
        assert shown.returncode == 0 and "certctl certs list" in re.sub(".\b", "", shown.stdout)
