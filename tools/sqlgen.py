#!/usr/bin/python3
"""Makes sql_gen.c and sql_gen.h from the statements in common/sql/*.sql.

A statement starts at a line `-- name: job_claim :many` and ends at the next
such line.  The kind is :one (exactly one row is usual), :many or :exec (no
rows).  Other comment lines inside are kept out of the text.

`-- name: job_list :many fresh` is planned at every call, for the values of that
call.  One with filters that may be absent must be: after five calls PostgreSQL
may keep a plan for all values, which serves `$1 IS NULL` by searching the whole
table, also when $1 is an id.
"""
import re
import sys

NAME = re.compile(r"^--\s*name:\s*([a-z][a-z0-9_]*)\s+:(one|many|exec)( fresh)?\s*$")
OPTIONAL = re.compile(r"\$\d+(::\w+)? IS NULL OR\b")


def read(paths):
    statements = []
    seen = {}
    for path in paths:
        current = None
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                m = NAME.match(line)
                if m:
                    name = m.group(1)
                    if name in seen:
                        sys.exit(f"{path}:{number}: {name} is also in {seen[name]}")
                    seen[name] = f"{path}:{number}"
                    current = {"name": name, "kind": m.group(2), "fresh": bool(m.group(3)), "lines": [], "at": seen[name]}
                    statements.append(current)
                elif line.lstrip().startswith("--"):
                    continue
                elif current is not None:
                    current["lines"].append(line.rstrip())
                elif line.strip():
                    sys.exit(f"{path}:{number}: text before the first -- name: line")
    return statements


def c_string(text):
    out = []
    for line in text.split("\n"):
        out.append('\t"%s\\n"' % line.replace("\\", "\\\\").replace('"', '\\"'))
    return "\n".join(out)


def main():
    out_c, out_h, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
    statements = read(paths)
    rows, names = [], []
    for s in statements:
        text = "\n".join(s["lines"]).strip()
        if not text.endswith(";"):
            sys.exit(f"{s['at']}: {s['name']} does not end in a semicolon")
        text = text[:-1]
        if OPTIONAL.search(text) and not s["fresh"]:
            sys.exit(f"{s['at']}: {s['name']} has a filter that may be absent, so it must be fresh")
        nparams = max([int(n) for n in re.findall(r"\$(\d+)", text)] or [0])
        names.append("Q_" + s["name"].upper())
        rows.append(
            '{ "%s", %d, %s,\n%s },' % (s["name"], nparams, "true" if s["fresh"] else "false", c_string(text)))
    with open(out_h, "w", encoding="utf-8") as f:
        f.write("/* Made by tools/sqlgen.py from common/sql; do not edit. */\n"
                "#ifndef SQL_GEN_H\n#define SQL_GEN_H\n\n#include <stdbool.h>\n#include <stddef.h>\n\n"
                "enum query {\n")
        for n in names:
            f.write(f"\t{n},\n")
        f.write("\tQ_COUNT\n};\n\n"
                "struct sql_statement {\n\tconst char *name;\n\tsize_t nparams;\n"
                "\tbool is_fresh; /* planned at every call */\n\tconst char *text;\n};\n"
                "extern const struct sql_statement sql_statements[Q_COUNT];\n\n#endif\n")
    with open(out_c, "w", encoding="utf-8") as f:
        f.write("/* Made by tools/sqlgen.py from common/sql; do not edit. */\n"
                '#include "sql_gen.h"\n\nconst struct sql_statement sql_statements[Q_COUNT] = {\n')
        f.write("\n".join(rows))
        f.write("\n};\n")


main()
