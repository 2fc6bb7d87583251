#!/usr/bin/python3
"""The rules of the house that a pattern can find.

Reads NUL-separated paths on standard input and prints `path:line: finding`.
Exit status 1 when there is any; lines that start with `note:` do not count.
"""
import os
import re
import sys

BANNED = ("strcpy", "strcat", "sprintf", "vsprintf", "gets", "strtok", "atoi",
          "atol", "alloca", "system", "popen")
BANNED_CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))
# The start of a statement, upper case as in common/sql.
SQL_TEXT = re.compile(
    r'"\s*(SELECT\s|INSERT INTO\s|UPDATE \w+ SET\s|DELETE FROM\s|WITH \w+ AS\s|CREATE (TABLE|INDEX|ROLE)\s'
    r'|ALTER TABLE\s|DROP TABLE\s|TRUNCATE\s)')
# Taken apart so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
MACHINE_PATH = re.compile(
    r"(?<![\w}])/wo" r"rk/(main|shared|\.)|\.\./shar" r"ed|/tmp/b" r"-|/tmp/pgd" r"ev|/ho" r"me/(?!<|\$)\w|/ro" r"ot/")
ASSIGN_IN_IF = re.compile(r"(?<![=!<>+\-*/%&|^])=(?!=)")
TEXT_SUFFIXES = (".c", ".h", ".py", ".sh", ".sql", ".md", ".build", ".def", ".txt", ".yml", ".yaml", ".conf", ".json")
DAEMONS = ("apiserver", "scheduler", "worker", "agent", "cli")
FOREIGN_PYTHON = re.compile(r"(?<![\w/.-])python3\s+\S")
FILE_LINES, FUNCTION_LINES = 600, 100

found = 0


def finding(path, line, text):
    global found
    found += 1
    print(f"{path}:{line}: {text}")


def without(source, strings):
    """The source with comments, and with `strings` also string texts, blanked; the lines stay where they are."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)

    def blank(m):
        text = m.group(0)
        if text[0] == '"' and not strings:
            return text
        if text[0] in "\"'":
            return text[0] + "_" * (len(text) - 2) + text[0]
        return re.sub(r"[^\n]", " ", text)

    return token.sub(blank, source)


def line_of(source, offset):
    return source.count("\n", 0, offset) + 1


def conditions(code):
    """(offset, text) of the condition of each if."""
    for m in re.finditer(r"\bif\s*\(", code):
        depth, at = 1, m.end()
        while at < len(code) and depth:
            depth += {"(": 1, ")": -1}.get(code[at], 0)
            at += 1
        yield m.start(), code[m.end():at - 1]


def check_c(path, source):
    code = without(source, strings=True)
    for m in BANNED_CALL.finditer(code):
        finding(path, line_of(code, m.start()), f"banned function {m.group(1)}")
    for at, text in conditions(code):
        if ASSIGN_IN_IF.search(text):
            finding(path, line_of(code, at), "assignment in if: call and check are two statements")
    if not path.startswith(("tests/", "common/sql/")):
        quoted = without(source, strings=False)
        for m in SQL_TEXT.finditer(quoted):
            finding(path, line_of(quoted, m.start()), "SQL in a C string: it belongs in common/sql")
    if path.endswith(".h") and not re.match(r"/\*\n \* [\w ,]+:", source):
        finding(path, 1, "header does not start with a comment `name: purpose`")
    check_includes(path, source)
    check_include_order(path, source)
    check_order(path, source)
    check_size(path, code)


def check_includes(path, source):
    top = path.split("/")[0]
    for m in re.finditer(r'^#include "([a-z]+)/', source, re.M):
        other = m.group(1)
        if other in DAEMONS and top != other and top in DAEMONS + ("common",):
            finding(path, line_of(source, m.start()), f"{top} must not include {other}")


def check_include_order(path, source):
    for m in re.finditer(r'(?:^#include ["<][^">]+[">].*\n){2,}', source, re.M):
        lines = m.group(0).splitlines()
        names = [re.search(r'["<]([^">]+)', line).group(1) for line in lines]
        if names != sorted(names) and len({line[:len('#include "')] for line in lines}) == 1:
            print(f"note: {path}:{line_of(source, m.start())}: the includes of a group stand in order")


def common_order():
    """The folders of common/, from those that call to those that are called, as its README lists them."""
    with open("common/README.md", encoding="utf-8") as f:
        table = f.read().split("\n## ")[0]
    return re.findall(r"^\| `(\w+)/`", table, re.M)


def check_order(path, source):
    if not path.startswith("common/"):
        return
    order = common_order()
    own = path.split("/")[1]
    if own not in order:
        finding(path, 1, f"common/README.md does not list {own}/")
        return
    for m in re.finditer(r'^#include "common/(\w+)/', source, re.M):
        if m.group(1) in order[:order.index(own)]:
            finding(path, line_of(source, m.start()), f"common/{own} calls no folder above it, as {m.group(1)} is")


def check_size(path, code):
    lines = code.split("\n")
    if len(lines) > FILE_LINES:
        print(f"note: {path} has {len(lines)} lines: is there a second responsibility?")
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start > FUNCTION_LINES:
                print(f"note: {path}:{start}: a function of {number - start} lines")
            start = None


def check_text(path, source):
    for number, line in enumerate(source.split("\n"), 1):
        if line != line.rstrip():
            finding(path, number, "blanks at the end of the line")
        if UNFINISHED.search(line):
            finding(path, number, "unfinished work is marked: finish it or file it")
        if MACHINE_PATH.search(line):
            finding(path, number, "a path of one machine")
    if source and not source.endswith("\n"):
        finding(path, source.count("\n") + 1, "no newline at the end of the file")


def check_script(path, source):
    lines = source.split("\n")
    if path.endswith(".sh") and not any(line.startswith("# ") for line in lines[1:3]):
        finding(path, 1, "script does not say what it is for")
    # What stands first in PATH may be another Python, without the packages or slow to start.
    if path.endswith(".sh"):
        for number, line in enumerate(lines, 1):
            if FOREIGN_PYTHON.search(line) and not line.lstrip().startswith("#"):
                finding(path, number, "a script calls /usr/bin/python3")
    if path.endswith(".py") and lines[0].startswith("#!") and lines[0] != "#!/usr/bin/python3":
        finding(path, 1, "the first line names /usr/bin/python3")
    if path.endswith(".py") and os.path.basename(path) != "__init__.py":
        if not re.match(r'(#!.*\n)?(#.*\n)*r?"""', source):
            finding(path, 1, "module has no docstring")


FUNCTION = re.compile(r"^[a-z][^\n;{}#]*\n(\w+)\([^)]*\)\n\{\n(.*?)^\}", re.M | re.S)
SAME_BODY = 50  # characters; shorter ones may agree by chance
bodies = {}


def check_copies(path, source):
    """What two files need stands in a third."""
    for m in FUNCTION.finditer(re.sub(r"/\*.*?\*/", lambda c: "\n" * c[0].count("\n"), source, flags=re.S)):
        body = re.sub(r"\s+", " ", m[2])
        there, name = bodies.setdefault(body, (path, m[1]))
        if len(body) > SAME_BODY and there != path:
            finding(path, line_of(source, m.start(1)), f"{m[1]} is {name} of {there} again")


def main():
    for path in sys.stdin.read().split("\0"):
        if not path.endswith(TEXT_SUFFIXES) or "/corpus/" in path or not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8", newline="") as f:
            try:
                source = f.read()
            except UnicodeDecodeError:
                finding(path, 1, "not UTF-8")
                continue
        check_text(path, source)
        if path.endswith((".c", ".h")):
            check_c(path, source)
        if path.endswith(".c") and not path.startswith("tests/"):
            check_copies(path, source)
        check_script(path, source)
    return 1 if found else 0


sys.exit(main())
