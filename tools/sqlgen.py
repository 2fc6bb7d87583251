#!/usr/bin/python3
"""Makes sql_gen.c and sql_gen.h from the statements in common/sql/*.sql.

A statement starts at a line `-- name: job_claim :many` and ends at the next
such line.  The kind is :one (exactly one row is usual), :many or :exec (no
rows).  Other comment lines inside are kept out of the text.

`-- name: job_list :many fresh` is planned at every call, for the values of that
call.  One with filters that may be absent must be: after five calls PostgreSQL
may keep a plan for all values, which serves `$1 IS NULL` by searching the whole
table, also when $1 is an id.  One that skips rows must be too: a plan for any
number of them is one for a tenth of the table.

The table also says which statements only read: nothing in them writes, nor in
the functions of --code=DIR that they call.  Such a one has no commit to wait for.

A block `-- noun: team` stands for the statements of a plain noun;
sqlnoun.py says what is in it.

A block `-- fragment: only_one of` is text that several statements share.
`{only_one $3}` in one of them stands for it, with $3 wherever it says {of}.
"""
import glob
import re
import sys

import sqlnoun

NAME = re.compile(r"^--\s*name:\s*([a-z][a-z0-9_]*)\s+:(one|many|exec)( fresh)?\s*$")
FRAGMENT = re.compile(r"^-- fragment: ([a-z][a-z0-9_]*)((?: [a-z][a-z0-9_]*)*)$")
USE = re.compile(r"\{([a-z][a-z0-9_]*)((?: [^{} ]+)*)\}")
OPTIONAL = re.compile(r"\$\d+(::\w+)? IS NULL OR\b")
SKIPPING = re.compile(r"\bOFFSET \$", re.I)
WRITING = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|TRUNCATE|CREATE|DROP|ALTER|LOCK|COPY|GRANT|CALL|EXECUTE|DO|FOR SHARE|FOR KEY SHARE"
                     r"|nextval|setval)\b", re.I)
FUNCTION = re.compile(r"^CREATE (?:OR REPLACE )?FUNCTION (\w+)\(.*?\bAS (\$\w*\$)(.*?)\2", re.M | re.S)


class Reader:
    """Collects the statements of all files, written or made of a noun."""

    def __init__(self):
        self.statements = []
        self.seen = {}
        self.current = None  # the statement whose lines are being read
        self.noun = None     # the noun whose description is being read
        self.fragments = {}

    def open(self, name, kind, is_fresh, at, lines):
        if name in self.seen:
            sys.exit(f"{at}: {name} is also in {self.seen[name]}")
        self.seen[name] = at
        self.statements.append({"name": name, "kind": kind, "fresh": is_fresh, "lines": lines, "at": at})
        return self.statements[-1]

    def open_fragment(self, name, names, at):
        if name in self.fragments:
            sys.exit(f"{at}: {name} is also in {self.fragments[name]['at']}")
        self.fragments[name] = {"names": names, "lines": [], "at": at, "used": False}
        return self.fragments[name]

    def filled(self, use, at):
        """What a fragment's use stands for."""
        fragment, values = self.fragments.get(use.group(1)), use.group(2).split()
        if fragment is None:
            sys.exit(f"{at}: {use.group(1)} is no fragment")
        if len(values) != len(fragment["names"]):
            sys.exit(f"{at}: {use.group(1)} takes {len(fragment['names'])} values")
        fragment["used"] = True
        text = "\n".join(fragment["lines"]).strip()
        for name, value in zip(fragment["names"], values, strict=True):
            text = text.replace("{%s}" % name, value)
        left = USE.search(text)
        if left:
            sys.exit(f"{fragment['at']}: {left.group(1)} is no value of it")
        return text

    def fill(self):
        for s in self.statements:
            s["lines"] = [USE.sub(lambda use, at=s["at"]: self.filled(use, at), line) for line in s["lines"]]
        for name, fragment in self.fragments.items():
            if not fragment["used"]:
                sys.exit(f"{fragment['at']}: nothing uses {name}")

    def end_noun(self):
        if self.noun:
            self.noun.check()
            for name, kind, is_fresh, text in self.noun.statements():
                self.open(name, kind, is_fresh, self.noun.at, text.split("\n"))
        self.noun = None

    def line(self, line, at):
        name, noun, fragment = NAME.match(line), sqlnoun.NOUN.match(line), FRAGMENT.match(line)
        is_comment = line.lstrip().startswith("--")
        if self.noun and (name or noun or fragment or not is_comment):
            self.end_noun()
        if name:
            self.current = self.open(name.group(1), name.group(2), bool(name.group(3)), at, [])
        elif noun:
            self.current, self.noun = None, sqlnoun.Noun(noun.group(1), at)
        elif fragment:
            self.current = self.open_fragment(fragment.group(1), fragment.group(2).split(), at)
        elif self.noun:
            self.noun.add(line, at)
        elif line.startswith(("-- name:", "-- noun:", "-- fragment:")):
            sys.exit(f"{at}: this names no statement, no noun and no fragment")
        elif is_comment:
            return
        elif self.current is not None:
            self.current["lines"].append(line.rstrip())
        elif line.strip():
            sys.exit(f"{at}: text outside of a statement")

    def file(self, path):
        self.current = None
        nouns = []
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                self.line(line, f"{path}:{number}")
                if self.noun and self.noun not in nouns:
                    nouns.append(self.noun)
        self.end_noun()
        for noun in nouns:
            for verb in noun.written:
                if not self.seen.get(f"{noun.name}_{verb}", "").startswith(path + ":"):
                    sys.exit(f"{noun.at}: {noun.name}_{verb} is said to be written here, and is not")


def read(paths):
    reader = Reader()
    try:
        for path in paths:
            reader.file(path)
    except sqlnoun.Bad as bad:
        sys.exit(str(bad))
    reader.fill()
    return reader.statements


def writes(text, writers):
    return bool(WRITING.search(text)) or any(name in writers for name in re.findall(r"\b(\w+)\(", text))


def writing_functions(directory):
    """Names of those that write, themselves or by calling another."""
    bodies = {}
    for path in sorted(glob.glob(directory + "/*.sql")):
        with open(path, encoding="utf-8") as f:
            for name, _, body in FUNCTION.findall(f.read()):
                bodies[name] = bodies.get(name, "") + re.sub(r"--.*", "", body)
    found = set()
    while True:
        more = {name for name, body in bodies.items() if name not in found and writes(body, found)}
        if not more:
            return found
        found |= more


def c_bool(value):
    return "true" if value else "false"


def c_string(text):
    out = []
    for line in text.split("\n"):
        out.append('\t"%s\\n"' % line.replace("\\", "\\\\").replace('"', '\\"'))
    return "\n".join(out)


def main():
    out_c, out_h, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
    writers = writing_functions(paths.pop(0).split("=", 1)[1]) if paths[0].startswith("--code=") else set()
    statements = read(paths)
    rows, names = [], []
    for s in statements:
        text = "\n".join(s["lines"]).strip()
        if not text.endswith(";"):
            sys.exit(f"{s['at']}: {s['name']} does not end in a semicolon")
        text = text[:-1]
        if OPTIONAL.search(text) and not s["fresh"]:
            sys.exit(f"{s['at']}: {s['name']} has a filter that may be absent, so it must be fresh")
        if SKIPPING.search(text) and not s["fresh"]:
            sys.exit(f"{s['at']}: {s['name']} skips rows, how many its plan would not know, so it must be fresh")
        nparams = max([int(n) for n in re.findall(r"\$(\d+)", text)] or [0])
        names.append("Q_" + s["name"].upper())
        rows.append(
            '{ "%s", %d, %s, %s,\n%s },' % (s["name"], nparams, c_bool(s["fresh"]), c_bool(not writes(text, writers)), c_string(text)))
    with open(out_h, "w", encoding="utf-8") as f:
        f.write("/* Made by tools/sqlgen.py from common/sql; do not edit. */\n"
                "#ifndef SQL_GEN_H\n#define SQL_GEN_H\n\n#include <stdbool.h>\n#include <stddef.h>\n\n"
                "enum query {\n")
        for n in names:
            f.write(f"\t{n},\n")
        f.write("\tQ_COUNT\n};\n\n"
                "struct sql_statement {\n\tconst char *name;\n\tsize_t nparams;\n"
                "\tbool is_fresh; /* planned at every call */\n\tbool is_read; /* writes nothing */\n\tconst char *text;\n};\n"
                "extern const struct sql_statement sql_statements[Q_COUNT];\n\n#endif\n")
    with open(out_c, "w", encoding="utf-8") as f:
        f.write("/* Made by tools/sqlgen.py from common/sql; do not edit. */\n"
                '#include "sql_gen.h"\n\nconst struct sql_statement sql_statements[Q_COUNT] = {\n')
        f.write("\n".join(rows))
        f.write("\n};\n")


main()
