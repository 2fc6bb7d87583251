"""
What the documentation tells people to ask the API does what it says: every
route that is named exists, and every curl and every body that is shown is
accepted as it stands there.
"""
import json
import re
import subprocess
import urllib.parse

import pytest

from fleet import API_KEY, BUILD, ROOT, Fleet, clean_env
from test_export import chain, store  # noqa: F401

PLACE = re.compile(r"https://certctl\.example(?:\.test)?:8443")
TOKEN = "first-admin-token-0123456789abcdef"
PAGES = sorted([*(ROOT / "docs/operator").glob("**/*.md"), *(ROOT / "docs/reference/issuers").glob("*.md")])
ROUTE = re.compile(r"(?:^|[\s(`])(?:`?(GET|POST|PUT|PATCH|DELETE|HEAD)(?:`? and `?[A-Z]+|, `?[A-Z]+)*`? )(/[a-z.][^\s`,;:)'\"]*)")


def text_of(page):
    return page.read_text(encoding="utf-8")


def curls():
    """[(page's name, the command)]: a command may go over several lines."""
    for page in PAGES:
        for block in re.findall(r"^```(?:sh|bash)?\n(.*?)^```", text_of(page), re.M | re.S):
            for m in re.finditer(r"^curl (?:[^'\n\\]|'[^']*'|\\.|\\\n)*", block, re.M):
                yield page.name, m[0]


@pytest.fixture(scope="module")
def plane(chain):  # noqa: F811
    fleet = Fleet("docs_calls")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True)
        fleet.start_apiserver(2, keep=True, CERTCTL_API_KEYS_NAMED="", CERTCTL_BOOTSTRAP_TOKEN=TOKEN)
        fleet.make_basics()
        for name in ("demo", "mc-www"):
            fleet.make_certificate(name)
        store(fleet, "demo", "".join(chain))
        (fleet.dir / "token").write_text(TOKEN)
        yield fleet
    finally:
        fleet.close()


@pytest.fixture
def stack(plane):
    return plane


@pytest.mark.parametrize("page, command", list(curls()), ids=[f"{p} {i}" for i, (p, _) in enumerate(curls())])
def test_a_curl_does_what_its_page_says(plane, page, command):
    ca = plane.dir / "tls" / "api.pem"
    is_first = "auth/bootstrap" in command
    assert PLACE.search(command), f"{page}: a curl that asks another host"
    port = plane.apis["apiserver-2" if is_first else "apiserver"].port
    command = PLACE.sub(f"https://127.0.0.1:{port}", command).replace("--cacert api.pem", "")
    done = subprocess.run(["sh", "-c", f"set -e; {command.rstrip()} --silent --show-error --fail-with-body --cacert {ca}"], cwd=plane.dir, text=True,
                          capture_output=True, timeout=60, check=False, env=clean_env() | {"KEY": API_KEY})
    assert done.returncode == 0, f"{page}: {command}\n{done.stdout}{done.stderr}"


def test_bodies_that_are_shown_are_taken(plane):
    """"`POST /path`:" and what follows as JSON."""
    found = [(page.name, path, body) for page in PAGES for path, body in re.findall(
        r"`POST (/[^`]+)`:\n+```json\n(.*?)^```", text_of(page), re.M | re.S)]
    assert found
    for page, path, body in found:
        status, reply = plane.api.post(path, json.loads(body))
        assert 200 <= status < 300, f"{page}: POST {path}: {reply}"


def routes():
    rows = json.loads(subprocess.run([BUILD / "apiserver/certctl-apiserver", "--print-routes"], capture_output=True, check=True,
                                     env=clean_env()).stdout)
    return [(r["method"], r["pattern"], re.compile(re.sub(r"\\\{[^}]*\.\.\.\\\}", ".+", re.sub(r"\\\{(?![^}]*\.\.\.)[^}]*\\\}", "[^/]+", re.escape(r["pattern"]))) + "$"))
            for r in rows]


def test_routes_that_are_named_exist():
    """Below /api/v1 too, which pages leave out once they have said it."""
    known = routes()
    named = [(page.name, method, urllib.parse.urlsplit(path.rstrip(".")).path.replace("...", "x"))
             for page in [ROOT / "README.md", *PAGES, *sorted((ROOT / "docs/internals").glob("*.md"))] for method, path in ROUTE.findall(text_of(page))]
    assert len(named) > 50
    for page, method, path in named:
        assert any(m == method and (p.match(path) or p.match("/api/v1" + path) or (path.endswith("/") and pattern.startswith(path)))
                   for m, pattern, p in known), f"{page}: {method} {path}"
