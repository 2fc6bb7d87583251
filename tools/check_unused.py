#!/usr/bin/python3
"""
check_unused.py ARCHIVE...: fails when a function or table that one file of the
libraries gives to others is named by no other file, tests included.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MADE = re.compile(r"^(sql|code)_")  # of files that the build makes
REPLACED = {"sendmsg"}  # stand in for the C library's, and are called by other libraries


def symbols(archive):
    """(object file, kind, name) of what the archive's files have and need."""
    out = subprocess.run(["nm", "-A", archive], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        where, rest = line.rsplit(":", 1)
        words = rest.split()
        yield where.rsplit(":", 1)[1], words[-2], words[-1]


def words_of_sources():
    """Word -> the sources it stands in; headers only declare."""
    found = {}
    for path in ROOT.glob("[a-z]*/**/*"):
        if path.suffix in (".c", ".def") and path.is_file() and not (ROOT / path.relative_to(ROOT).parts[0] / "build.ninja").exists():
            for word in set(re.findall(r"\w+", path.read_text(encoding="utf-8"))):
                found.setdefault(word, set()).add(path)
    return found


def main():
    given, needed = {}, set()
    for archive in sys.argv[1:]:
        for where, kind, name in symbols(archive):
            if kind == "U":
                needed.add(name)
            elif kind in "TDRB" and not MADE.match(name) and name not in REPLACED:
                given[name] = where
    if not given:
        sys.exit("nothing is given")
    words = words_of_sources()
    unused = sorted((where, name) for name, where in given.items() if name not in needed and len(words.get(name, ())) < 2)
    for where, name in unused:
        print(f"{Path(where).stem}: nobody else uses {name}")
    return 1 if unused else 0


if __name__ == "__main__":
    sys.exit(main())
