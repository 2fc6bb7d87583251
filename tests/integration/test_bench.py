"""
Every entry of make bench works: each prints its lines and writes what they say.
Its figures are not looked at.
"""
import json
import math
import subprocess
import sys

from fleet import BUILD, ROOT, clean_env

sys.path.insert(0, str(ROOT / "tests" / "bench"))
from bench import all_entries  # noqa: E402

LIMIT_S = 600
NOT_SANITIZED = "the scripts that measure: what the programs do meanwhile, every other file tests"


def names(rows):
    return {row["name"] for row in rows}


def test_every_entry_works():
    written = BUILD / "bench-short.json"
    written.unlink(missing_ok=True)
    done = subprocess.run(["/usr/bin/python3", "-B", ROOT / "tests" / "bench" / "bench.py", "--short"], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_env() | {"BUILD_DIR": str(BUILD)})
    assert done.returncode == 0, done.stdout
    rows = json.loads(written.read_text())
    assert list(dict.fromkeys(row["entry"] for row in rows)) == list(all_entries())
    printed = {words[0]: float(words[1]) for words in map(str.split, done.stdout.splitlines()) if words[:1] and words[0] in names(rows)}
    for row in rows:
        assert math.isfinite(row["value"]) and abs(printed[row["name"]] - row["value"]) < 0.1, (row, done.stdout)
