"""
What is told to be done can be done as it stands: sentences name commands where
there are some, and a refusal is followed by what helps.
"""
import re

from fleet import ROOT
from test_cli_table import ROWS, holes

LITERALS = re.compile(r'"(?:[^"\\\n]|\\.)*"(?:\s*(?:PRI\w+\s*)?"(?:[^"\\\n]|\\.)*")*')
CALL = re.compile(r"\b(GET|POST|PUT|DELETE) (/api/v1/[\w/{}%.-]*[\w}%])")
# Rows of the table itself.
SOURCES = sorted(p for top in ("apiserver", "cli", "common", "scheduler", "worker") for end in ("c", "def") for p in (ROOT / top).rglob(f"*.{end}")
                 if p.parent != ROOT / "cli/commands")
# Settings are read in files, by who has no key yet.
OTHERS = {"apiserver/cfg_keys.def"}


def calls_of(text):
    """The calls that its sentences name, as the command table has routes."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for literal in LITERALS.findall(text):
        sentence = "".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', literal))
        yield from (f"{method} {holes(path.replace('%s', '{}'))}" for method, path in CALL.findall(sentence))


def test_sentences_name_commands():
    """Who reads them sits at a prompt."""
    routes = {route: f"certctl {row['noun']} {row.get('verb', '')}" for row in ROWS for route in row["routes"]}
    found = [(str(p.relative_to(ROOT)), call, routes[call]) for p in SOURCES for call in calls_of(p.read_text(encoding="utf-8")) if call in routes]
    assert [f for f in found if f[0] not in OTHERS] == []
    rules = [call for p in (ROOT / "deploy/prometheus").glob("*.rules.yml") for call in CALL.findall(p.read_text(encoding="utf-8"))]
    assert rules == []
    assert list(calls_of('x("see POST /api/v1/jobs/%s/"\n\t"cancel")')) == ["POST /api/v1/jobs/{}/cancel"]


def test_refusals_are_followed_by_what_helps(stack):
    def fix(exit_code, *words):
        done = stack.cli(*words)
        assert done.returncode == exit_code, done
        return re.search(r"^To fix it: (.*)$", done.stderr, re.M)[1]

    stack.make_basics()
    made = ["--common-name", "x.example.test", "--sans", "x.example.test", "--team-id", "t-test", "--renewal-policy-id", "rp-default",
            "--issuer-id", "iss-local"]
    assert fix(1, "certs", "create", "x", *made, "--owner-id", "o-none") == \
        "Give --owner-id one that certctl owners list shows, or make it: certctl owners create."
    assert fix(1, "owners", "create", "x", "--team-id", "t-none").startswith("Give --team-id one that certctl teams list shows")
    assert fix(1, "certs", "create", "x", *made, "--owner-id", "o-test", "--id", "no id").endswith("certctl certs create --help has the words.")
    assert fix(5, "teams", "create", "Test team") == "Give another name, or go on with the one that has it: certctl teams list shows it."
    assert fix(5, "teams", "create", "Other", "--id", "t-test").startswith("Give another id (--id), or")
    assert fix(5, "issuers", "create", "Local CA", "--type", "GenericCA").startswith("Give another name, or")
    assert fix(5, "api-keys", "create", "viewer").startswith("Give another name, or go on with the one that has it: certctl api-keys list")
    assert fix(5, "api-keys", "rotate", "viewer").startswith("Change it in CERTCTL_API_KEYS_NAMED")
    stack.make_certificate("there")
    assert fix(5, "certs", "create", "there", *made, "--owner-id", "o-test").startswith("Give another name, or")
    assert "certctl certs renew there --wait" in fix(3, "certs", "export", "there")
    assert "certctl owners list --team-id t-test and certctl certs list --team-id t-test" in fix(5, "teams", "delete", "t-test", "--yes")
    assert "certctl certs list --owner-id o-test" in fix(5, "owners", "delete", "o-test", "--yes")
    assert "CERTCTL_DIGEST_ENABLED=true" in fix(6, "digest", "preview")
    assert fix(3, "jobs", "get", "job-none").startswith("certctl jobs list shows")
    assert fix(3, "explain", "certificate", "none").startswith("certctl certs list shows")
    assert fix(3, "explain", "target", "none").startswith("certctl targets list shows")
    assert fix(3, "explain", "job", "job-none").startswith("certctl jobs list shows")
    agent = stack.api.need("POST", "/api/v1/agents", {"name": "busy", "hostname": "busy"})["id"]
    stack.make_target("tgt-busy", agent, stack.dir / "tgt-busy")
    assert f'certctl agents retire {agent} --force --reason "WHY"' in fix(5, "agents", "retire", agent, "--yes")
    done = stack.cli("agents", "retire", agent, "--force", "--yes")
    assert done.returncode == 2 and "--force needs --reason beside it" in done.stderr, done
    stack.query("UPDATE managed_certificates SET status = 'Revoked' WHERE id = 'there'")
    assert "certctl explain certificate there" in fix(1, "certs", "renew", "there")
    stack.query("UPDATE managed_certificates SET status = 'RenewalInProgress' WHERE id = 'there'")
    assert "certctl explain certificate there says what it waits for" in fix(5, "certs", "renew", "there")
    stack.query("UPDATE managed_certificates SET status = 'Pending' WHERE id = 'there'")
