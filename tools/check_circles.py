#!/usr/bin/python3
"""
check_circles.py ARCHIVE: fails when files of a static library call each other
in a circle; names the files of each.
"""
import subprocess
import sys


def read(archive):
    """file -> symbols it needs; symbol -> file that has it."""
    needs, home = {}, {}
    for line in subprocess.run(["nm", "-A", archive], capture_output=True, text=True, check=True).stdout.splitlines():
        where, rest = line.rsplit(":", 1)
        name = where.rsplit(":", 1)[1].removesuffix(".o")
        words = rest.split()
        needs.setdefault(name, set())
        if words[-2] == "U":
            needs[name].add(words[-1])
        elif words[-2] in "TDRBV":
            home[words[-1]] = name
    return needs, home


def circles(calls):
    """Sets of files that reach each other."""
    def reach(start):
        seen, todo = set(), [start]
        while todo:
            for other in calls[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        return seen
    reached = {name: reach(name) for name in calls}
    return {frozenset(o for o in reached[n] if n in reached[o]) for n in calls if n in reached[n]}


def main():
    needs, home = read(sys.argv[1])
    if not home:
        sys.exit(f"{sys.argv[1]} holds nothing")
    calls = {name: {home[s] for s in symbols if s in home} - {name} for name, symbols in needs.items()}
    found = circles(calls)
    for circle in found:
        print(f"{sys.argv[1]}: {', '.join(sorted(circle))} call each other in a circle")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
