"""
Every entry of make bench works: each prints its lines and writes what they say.
Its figures are not looked at.
"""
import concurrent.futures
import json
import math
import subprocess
import sys

from fleet import BUILD, ROOT, clean_env

sys.path.insert(0, str(ROOT / "tests" / "bench"))
from bench import all_entries  # noqa: E402

LIMIT_S = 600
NOT_SANITIZED = "the scripts that measure: what the programs do meanwhile, every other file tests"
AT_ONCE = 4  # entries wait more than they reckon, and their figures are looked at by nobody here


def run(entries, out):
    """(rows, what was said) of these entries."""
    done = subprocess.run(["/usr/bin/python3", "-B", ROOT / "tests" / "bench" / "bench.py", "--short", "--out", out, *entries], text=True,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_env() | {"BUILD_DIR": str(BUILD)})
    assert done.returncode == 0, done.stdout
    return json.loads(out.read_text()), done.stdout


def check(rows, said, entries):
    assert list(dict.fromkeys(row["entry"] for row in rows)) == entries
    names = {row["name"] for row in rows}
    printed = {words[0]: float(words[1]) for words in map(str.split, said.splitlines()) if words[:1] and words[0] in names}
    for row in rows:
        assert math.isfinite(row["value"]) and abs(printed[row["name"]] - row["value"]) < 0.1, (row, said)


def test_every_entry_works(tmp_path):
    entries = list(all_entries())
    parts = [entries[i::AT_ONCE] for i in range(AT_ONCE)]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for part, (rows, said) in zip(parts, pool.map(run, parts, [tmp_path / f"{i}.json" for i in range(AT_ONCE)])):
            check(rows, said, part)
