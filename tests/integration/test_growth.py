"""
What grows often touches two or three files: a noun of the API, a periodic duty, a kind
of target, a connector to a CA.  Each is added to a copy of the tree as its folder's README says, and
what the build makes of it is compiled.
"""
import os
import re
import subprocess

import pytest

from fleet import ROOT
from release import copy_sources

NOT_SANITIZED = "the copy is compiled by itself, the same whatever build is under test"

NOUN = """
-- noun: gadget
--   table: teams t
--   id: id_new('gadget')
--   column: name text create update
--   column: description text create update
--   column: created_at time
--   column: updated_at time
--   shown: description coalesce({}, '')
--   filter: name contains
--   audit: config
"""
STATEMENT = """
-- name: duty_gadget_cleanup :many
WITH led AS MATERIALIZED (SELECT $3::int AS n WHERE leadership_is($2::bigint, $1))
SELECT duty_gadget_cleanup(led.n) AS rows FROM led;
"""
FUNCTION = """
CREATE FUNCTION duty_gadget_cleanup(p_limit int) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS 'SELECT 0::bigint';
"""
DUTY = """DUTY(gadget_cleanup, "CERTCTL_SCHEDULER_GADGET_CLEANUP_INTERVAL", "1h", 1000, 86400000, 60,
    WHILE_FULL(Q_DUTY_GADGET_CLEANUP),
    "removes gadgets")
"""


def run(*argv):
    # Debian's own tools first, as tools/build.sh does; a compiler's cache needs the rest.
    env = os.environ | {"PATH": f"/usr/bin:/bin:{os.environ['PATH']}"}
    done = subprocess.run(argv, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the sources, and a build directory in which nothing is compiled."""
    top = tmp_path_factory.mktemp("growth")
    copy_sources(top)
    run("meson", "setup", top / "new", top)
    return top, top / "new"


class Growth:
    """Additions to the tree; each may touch what its folder's README names, and nothing else."""

    def __init__(self, top, folder, beginning):
        self.top, self.touched = top, []
        text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
        paragraph = next(p for p in text.split("\n\n") if p.startswith(beginning))
        assert re.search("(two|three) files", paragraph)
        self.named = re.findall(r"`([\w/.<>]+)`", paragraph)

    def add(self, path, text, name):
        """At the end of path, a new file or not; name is how the README calls it."""
        assert name in self.named
        self.touched.append(path)
        with open(self.top / path, "a", encoding="utf-8") as f:
            f.write(text)

    def like(self, path, model, changes, name):
        """A new file like one that is there."""
        text = (self.top / model).read_text(encoding="utf-8")
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        self.add(path, text, name)

    def insert(self, path, before, text, name):
        """In front of a line that stands there once."""
        there = (self.top / path).read_text(encoding="utf-8")
        assert there.count(before) == 1 and name in self.named
        self.touched.append(path)
        (self.top / path).write_text(there.replace(before, text + before), encoding="utf-8")


def symbols(path):
    return subprocess.run(["nm", path], text=True, capture_output=True, check=True).stdout


def test_a_noun(tree):
    top, build = tree
    growth = Growth(top, "apiserver", "A new plain noun")
    growth.add("common/sql/api_config.sql", NOUN, "common/sql/api_config.sql")
    growth.like("apiserver/handlers/config/gadgets.c", "apiserver/handlers/config/teams.c",
                [("team_", "gadget_"), ("TEAM", "GADGET"), ("resource_teams", "resource_gadgets")], "handlers/config/<noun>.c")
    growth.add("apiserver/handlers/config/nouns.def", 'NOUN(gadget, gadgets, "/api/v1/gadgets", "team", "delete", ROUTE_GLOBAL, "")\n',
               "handlers/config/nouns.def")
    assert len(growth.touched) == 3
    objects = [f"apiserver/libcertctl_api.a.p/handlers_config_{name}.c.o" for name in ("gadgets", "routes")]
    run("ninja", "-C", build, *objects)
    assert re.search(r" [DR] resource_gadgets$", symbols(build / objects[0]), re.M)
    assert re.search(r" U resource_gadgets$", symbols(build / objects[1]), re.M)
    assert b"/api/v1/gadgets/{id}" in (build / objects[1]).read_bytes()


def test_a_duty(tree):
    top, build = tree
    growth = Growth(top, "scheduler", "A new duty")
    growth.add("scheduler/duties.def", DUTY, "duties.def")
    growth.add("common/sql/scheduler.sql", STATEMENT, "common/sql/scheduler.sql")
    growth.add("migrations/code/15_duties.sql", FUNCTION, "migrations/code/15_duties.sql")
    assert len(growth.touched) == 3
    objects = ["scheduler/libcertctl_scheduler.a.p/duties_table.c.o", "scheduler/certctl-scheduler.p/main.c.o"]
    run("ninja", "-C", build, *objects)
    assert b"gadget_cleanup" in (build / objects[0]).read_bytes()
    assert b"CERTCTL_SCHEDULER_GADGET_CLEANUP_INTERVAL" in (build / objects[1]).read_bytes()


def test_a_kind_of_target(tree):
    top, build = tree
    growth = Growth(top, "agent", "A new kind of target")
    growth.like("agent/targets/gadget.c", "agent/targets/nginx.c", [("NGINX", "Gadget"), ("target_nginx", "target_gadget")],
                "targets/<name>.c")
    growth.add("agent/targets.def", "TARGET(gadget)\n", "targets.def")
    growth.insert("apiserver/handlers/config/targets.c", "    {.type = \"Apache\"},\n",
                  "    {\"Gadget\", nginx_keys, ARRAY_LEN(nginx_keys), nginx_check},\n", "apiserver/handlers/config/targets.c")
    assert len(growth.touched) == 3
    objects = ["agent/libcertctl_agent.a.p/target.c.o", "agent/libcertctl_agent.a.p/targets_gadget.c.o",
               "apiserver/libcertctl_api.a.p/handlers_config_targets.c.o"]
    run("ninja", "-C", build, *objects)
    assert re.search(r" U target_gadget$", symbols(build / objects[0]), re.M)
    assert re.search(r" [DR] target_gadget$", symbols(build / objects[1]), re.M)


def test_a_connector_to_a_ca(tree):
    top, build = tree
    growth = Growth(top, "worker", "A new connector")
    growth.like("worker/issuers/gadget.c", "worker/issuers/openssl.c", [("OpenSSL", "Gadget"), ("issuer_openssl", "issuer_gadget")],
                "issuers/<name>.c")
    growth.add("common/issuer/issuers.def", 'ISSUER(gadget, "Gadget", "gadget",\n    KEY("gear", INT, 1, 5, true))\n',
               "common/issuer/issuers.def")
    assert len(growth.touched) == 2
    objects = ["worker/libcertctl_worker.a.p/issuers_issuer.c.o", "worker/libcertctl_worker.a.p/issuers_gadget.c.o",
               "common/libcertctl_common.a.p/issuer_issuer_type.c.o"]
    run("ninja", "-C", build, *objects)
    assert re.search(r" U issuer_gadget$", symbols(build / objects[0]), re.M)
    assert re.search(r" [DR] issuer_gadget$", symbols(build / objects[1]), re.M)
    assert b"gear" in (build / objects[2]).read_bytes()


@pytest.mark.parametrize("word, files", [
    ("NGINX", {"agent/targets/nginx.c", "apiserver/handlers/config/targets.c", "cli/import/conf_nginx.c"}),
    ("OpenSSL", {"worker/issuers/openssl.c", "common/issuer/issuers.def"})])
def test_no_other_file_knows_a_kind_by_its_word(word, files):
    """Else another one of its kind would touch that file, too; beside these is the row that names the file."""
    sources = [p for d in ("agent", "apiserver", "cli", "common", "scheduler", "worker") for e in ("c", "h", "def", "sql")
               for p in (ROOT / d).rglob(f"*.{e}")]
    comment = {".sql": re.compile(r"--.*")}
    said = {p: comment.get(p.suffix, re.compile(r"/\*.*?\*/", re.S)).sub("", p.read_text(encoding="utf-8")) for p in sources}
    assert {str(p.relative_to(ROOT)) for p, text in said.items() if re.search(rf"[\"']{word}[\"']", text)} == files
