#!/usr/bin/python3
"""
Makes what the guide says in figures from the archived artifacts of load tests, and from nothing else.

  extract.sh            write the record's tables, the plots, and the model of certctl size
  extract.sh --check    exit 1 when what is committed differs from the artifacts that git knows
  extract.sh ladder     write the guide's ladder by the certctl of build/ (BUILD_DIR); after --check is content
  extract.sh show FILE  what the tables would say of one summary, wherever it lies; also of a short run
"""
import json
import os
import subprocess
import sys
from pathlib import Path

import artifacts
import model
import plots
import rungs
import tables
from artifacts import Refused

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = "deploy/test/loadtest-artifacts"
PAGE = "docs/operator/scale-baseline-2026-Q4.md"
GUIDE = "docs/operator/scale.md"
MODEL = "cli/size_model.def"


def listed(root):
    """The record's scenarios."""
    return json.loads((root / "scripts/scale-baseline/record.json").read_text(encoding="utf-8"))["scenarios"]


def tracked(root):
    """Files of the archive that are committed or staged: a run that somebody just took lies there too, and is no part of it yet."""
    done = subprocess.run(["git", "-c", f"safe.directory={root}", "-C", root, "ls-files", "-z", "--", ARCHIVE], capture_output=True, text=True, check=False)
    return {root / name for name in done.stdout.split("\0") if name} if done.returncode == 0 else None


def pages(root, only=None):
    """{path: text} of all that is made; only: files of the archive beside which others do not count."""
    scenarios = listed(root)
    found = artifacts.latest(root / ARCHIVE, {s["name"]: s["least"] for s in scenarios}, only)
    made = {name: maker(scenarios, found) for name, maker in tables.TABLES.items()}
    drawn = plots.make(found)
    guide = (root / GUIDE).read_text(encoding="utf-8")
    out = {PAGE: tables.fill((root / PAGE).read_text(encoding="utf-8"), made), GUIDE: tables.between(guide, "plots", plots.words(found, drawn)),
           MODEL: model.definition(root, found)}
    out[GUIDE] = tables.between(out[GUIDE], "rungs", rungs.table(found, model.cell_of(found)))
    return out | {f"docs/operator/{name}": text for name, text in drawn.items()}


def stray(root, made):
    """Plots that no artifact stands behind any more."""
    return [p.relative_to(root).as_posix() for p in sorted((root / "docs/operator").glob("scale-flat-*.svg"))
            if p.relative_to(root).as_posix() not in made]


def differing(root):
    made = pages(root, tracked(root))
    bad = [path for path, text in made.items() if not (root / path).exists() or (root / path).read_text(encoding="utf-8") != text]
    return bad + stray(root, made)


def write(root):
    made = pages(root)
    for path, text in made.items():
        (root / path).write_text(text, encoding="utf-8")
    for path in stray(root, made):
        (root / path).unlink()


def rung(program, certificates, agents):
    done = subprocess.run([program, "size", "--certificates", str(certificates), "--agents", str(agents), "--lifetime",
                           f"{rungs.LIFETIME_DAYS}d", "-o", "json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(f"certctl size: {done.stderr.strip()}")
    return json.loads(done.stdout)


def amount(size):
    return f"{size >> 30}GB" if size % (1 << 30) == 0 else f"{size >> 20}MB"


def ladder(root, program):
    """The guide with what certctl size says of each rung."""
    heads = ["Certificates / agents", "Renewals a second at the peak", "Cores busy at the peak", "apiservers", "schedulers", "workers",
             "`CERTCTL_DATABASE_MAX_CONNS` of an apiserver", "`CERTCTL_SERVER_MAX_CONNECTIONS`", "`CERTCTL_RENEWAL_CONCURRENCY`", "`max_connections`",
             "`shared_buffers`", "`max_wal_size`", "Beyond what was measured"]
    loads = ("renewals_per_second_peak", "cores_at_peak")
    keys = ("apiservers", "schedulers", "workers", "apiserver_database_max_conns", "server_max_connections", "renewal_concurrency",
            "postgresql_max_connections", "postgresql_shared_buffers", "postgresql_max_wal_size")
    rows = []
    for certificates, agents in rungs.LADDER:
        said = rung(program, certificates, agents)
        found = said["load"] | said["settings"]
        cells = [tables.absent(said["arithmetic"][k]) if found[k] is None else tables.shown(found[k]) if k in loads else
                 amount(found[k]) if k.endswith(("buffers", "size")) else str(found[k]) for k in (*loads, *keys)]
        rows.append([f"{certificates} / {agents}", *cells, f"{len(said['warnings'])} warnings" if said["warnings"] else "nothing"])
    return tables.between((root / GUIDE).read_text(encoding="utf-8"), "ladder", tables.table(heads, rows))


def show(path):
    summary = json.loads(Path(path).read_text(encoding="utf-8"))
    artifacts.check(summary)
    scenario = {"name": summary["scenario"], "title": summary["scenario"], "command": "", "least": {}}
    for name, maker in tables.TABLES.items():
        if name != "commands":
            print(maker([scenario], {summary["scenario"]: summary}))


def main():
    words = sys.argv[1:]
    build = Path(os.environ.get("BUILD_DIR", ROOT / "build"))
    try:
        if not words:
            write(ROOT)
        elif words == ["--check"]:
            for path in (bad := differing(ROOT)):
                print(f"{path}: differs from the artifacts: run scripts/scale-baseline/extract.sh and commit it")
            return 1 if bad else 0
        elif words == ["ladder"]:
            text = ladder(ROOT, build / "cli/certctl")
            (ROOT / GUIDE).write_text(text, encoding="utf-8")
        elif len(words) == 2 and words[0] == "show":
            show(words[1])
        else:
            print(__doc__.strip(), file=sys.stderr)
            return 2
    except (Refused, OSError, ValueError) as e:
        print(f"extract: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
