"""
What the documentation tells people to type and to open is there: commands,
make targets, options, variables, files, the diagram of the job states.
"""
import re
import subprocess
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

import pytest

from fleet import BUILD, ROOT, clean_env

TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, text=True, capture_output=True, check=False).stdout.split()
PAGES = sorted(p for p in (ROOT / n for n in TRACKED if n.endswith(".md")) if p.exists())
ABSENT = {"CERTCTL_KEYGEN_MODE"}  # the pages say that it does not exist
DAEMONS = ("apiserver", "scheduler", "worker", "agent")


def shell_lines(text):
    """Lines of the shell blocks, comments cut off."""
    for block in re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.M | re.S):
        for line in block.splitlines():
            line = re.sub(r"\s+#.*", "", line.strip()).removeprefix("$ ")
            if line and not line.startswith("#"):
                yield line


def said(pattern):
    """[(page's name, match)] in code of every page; some page must say it."""
    found = [(p.relative_to(ROOT).as_posix(), m) for p in PAGES for line in
            [*shell_lines(p.read_text()), *re.findall(r"`([^`\n]+)`", p.read_text())] for m in re.findall(pattern, line)]
    assert found, pattern
    return found


def run(program, *arguments):
    return subprocess.run([BUILD / program, *arguments], text=True, capture_output=True, timeout=20, check=False, env=clean_env())


def test_there_are_pages():
    assert ROOT / "README.md" in PAGES and len(PAGES) > 5


def test_commands_exist():
    nouns = set(re.findall(r"^  ([a-z][a-z-]*) ", run("cli/certctl", "help").stdout.partition("\nwhat is done most")[0], re.M))
    known = {(noun, verb) for noun in nouns for verb in re.findall(r"^  ([a-z][a-z-]*)", run("cli/certctl", noun, "--help").stdout, re.M)}
    for page, (noun, verb) in said(r"(?:^|\s|\./)certctl ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?"):
        assert noun in nouns | {"help"}, f"{page}: certctl {noun}"
        # Those without verbs take words.
        if any(n == noun for n, _ in known):
            assert (noun, verb) in known or not verb, f"{page}: certctl {noun} {verb}"


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert "\nloadtest-scale-%:" in (ROOT / "Makefile").read_text()
    targets |= {f"loadtest-scale-{p.stem}" for p in (ROOT / "deploy/test/loadtest/scenarios").glob("*.py")}
    for page, target in said(r"^make ([a-z0-9_-]+)"):
        assert target in targets, f"{page}: make {target}"


def test_options_of_daemons_exist():
    for page, (daemon, option) in said(r"certctl-(apiserver|scheduler|worker|agent) (--[a-z-]+)"):
        help_text = run(f"{daemon}/certctl-{daemon}", "--help").stdout
        assert option in help_text, f"{page}: certctl-{daemon} {option}"


def test_variables_exist():
    keys = set(re.findall(r'^DUTY\(\w+, "(\w+)"', (ROOT / "scheduler/duties.def").read_text(), re.M))
    for path in [*ROOT.glob("*/cfg_keys.def"), *ROOT.glob("cli/*.c"), *ROOT.glob("worker/issuers/*.c"),
                 *ROOT.glob("common/**/*.[ch]")]:
        keys |= set(re.findall(r"CERTCTL_[A-Z0-9_]*[A-Z0-9]", path.read_text()))
    for page, name in said(r"(CERTCTL_[A-Z0-9_]*[A-Z0-9])"):
        assert name in keys | ABSENT or name.removesuffix("_FILE") in keys, f"{page}: {name}"


def test_links_lead_somewhere():
    links = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", page.read_text())
             if not re.match(r"[a-z]+:", link)]
    assert len(links) > len(PAGES)
    for page, link in links:
        assert (page.parent / link).exists() or (ROOT / link).exists(), f"{page.name}: {link}"


def test_files_that_are_named_exist():
    places = {n.split("/")[0] for n in TRACKED if "/" in n}
    for page, name in said(r"^((?:[\w.-]+/)+[\w.-]+\.(?:c|h|py|sh|sql|md|def|build))$"):
        if name.split("/")[0] in places:
            assert (ROOT / name).exists(), f"{page}: {name}"


def test_certificates_of_the_bus_are_made_as_written(tmp_path):
    lines = [line for line in shell_lines((ROOT / "docs/operator/workers.md").read_text()) if "bus-certs.sh" in line]
    lines += re.findall(r"`(deploy/bus-certs.sh [^`]+)`", (ROOT / "docs/operator/workers.md").read_text())
    assert len(lines) >= 4
    for line in lines:
        subprocess.run([ROOT / line.split()[0], *line.split()[1:]], check=True, cwd=tmp_path, env=clean_env(), capture_output=True)
    hosts = {line.split()[3] for line in lines if line.split()[2] == "host"}
    for host in hosts:
        directory = tmp_path / "bus-certs" / host
        assert (directory / "bus.key").stat().st_mode & 0o777 == 0o600
        for purpose in ("sslserver", "sslclient"):
            subprocess.run(["openssl", "verify", "-CAfile", directory / "ca.pem", "-purpose", purpose, directory / "bus.pem"],
                           check=True, capture_output=True, env=clean_env())
        text = subprocess.run(["openssl", "x509", "-in", directory / "bus.pem", "-noout", "-ext", "subjectAltName"], text=True,
                              check=True, capture_output=True, env=clean_env()).stdout
        assert f"DNS:{host}" in text
    again = subprocess.run([ROOT / "deploy/bus-certs.sh", "bus-certs", "ca"], cwd=tmp_path, env=clean_env(), capture_output=True,
                           text=True, check=False)
    assert again.returncode != 0 and "exists" in again.stderr, "a second CA would cut everybody off"


def test_the_diagram_is_the_tables():
    page = (ROOT / "docs/internals/jobs.md").read_text()
    printed = run("tools/job_fsm_diagram").stdout
    assert printed and printed in page, "docs/internals/jobs.md: the diagram differs from tools/job_fsm_diagram"


@pytest.mark.parametrize("daemon", DAEMONS)
def test_daemons_explain_themselves(daemon):
    program = f"{daemon}/certctl-{daemon}"
    done = run(program, "--help")
    assert done.returncode == 0 and f"certctl-{daemon}" in done.stdout and "--check-config" in done.stdout
    done = run(program, "--version")
    assert done.returncode == 0 and re.search(r"\d+\.\d+\.\d+", done.stdout)
    assert run(program, "--no-such-option").returncode != 0


def named_paths(page):
    """What stands in backticks like a file or folder, as patterns of paths."""
    for token in re.findall(r"`([^`\n]+)`", page):
        if re.fullmatch(r"[\w./*<>\[\]-]+", token) and re.search(r"/|\.(c|h|def|py|sh|md|sql|txt|\[ch\])$", token):
            token = token.replace(".[ch]", ".[ch]*").replace("NNNN", "[0-9]*").replace("NN", "[0-9]*")
            yield re.sub(r"<\w+>", "*", token)


def suits(path, pattern):
    """Whether path is the file, is in the folder, or is named without its suffix."""
    if pattern.endswith("/"):
        return fnmatchcase(path, pattern + "*")
    return fnmatchcase(path, pattern) or fnmatchcase(path.rsplit(".", 1)[0], pattern.removesuffix(".[ch]*").rsplit(".", 1)[0])


@pytest.mark.parametrize("readme", [n for n in TRACKED if n.endswith("/README.md")])
def test_a_folder_s_readme_names_the_files_that_are_there(readme):
    folder = PurePosixPath(readme).parent
    patterns = list(named_paths((ROOT / readme).read_text(encoding="utf-8")))
    inside = [str(PurePosixPath(n).relative_to(folder)) for n in TRACKED if n.startswith(f"{folder}/")]
    gone = [p for p in patterns if not any(suits(n, p) or suits(n, "*/" + p) for n in inside + TRACKED)]
    assert not gone, f"{readme} names what is not there"
    words = patterns + re.findall(r"`([\w./-]+)`", (ROOT / readme).read_text(encoding="utf-8"))
    untold = [n for n in inside if n.endswith((".c", ".def", ".sh", ".py", ".sql")) and not any(suits(n, w) for w in words)]
    assert not untold, f"{readme} does not say what these are for"


def test_an_issuer_s_page_has_every_key_of_its_configuration():
    table = (ROOT / "common/issuer/issuers.def").read_text(encoding="utf-8")
    issuers = re.findall(r'^ISSUER\(\w+, "(\w+)", "[^"]*",\n((?:    KEY\(.*\n)+)', table, re.M)
    assert len(issuers) == len(re.findall(r"^ISSUER\(", table, re.M)) >= 2
    pages = [(ROOT / n).read_text(encoding="utf-8") for n in TRACKED if n.startswith("docs/") and n.endswith(".md")]
    for word, keys in issuers:
        told = "".join(p for p in pages if f'"type": "{word}", "config"' in p)
        untold = [k for k in re.findall(r'KEY\("(\w+)"', keys) if f"`{k}`" not in told]
        assert not untold, f"no page of {word} tells of them"
