#!/usr/bin/python3
"""Makes sql_gen.c and sql_gen.h from the statements in common/sql/*.sql.

A statement starts at a line `-- name: job_claim :many` and ends at the next
such line.  The kind is :one (exactly one row is usual), :many or :exec (no
rows).  Other comment lines inside are kept out of the text.
"""
import re
import sys

NAME = re.compile(r"^--\s*name:\s*([a-z][a-z0-9_]*)\s+:(one|many|exec)\s*$")


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
                    current = {"name": name, "kind": m.group(2), "lines": [], "at": seen[name]}
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
        nparams = max([int(n) for n in re.findall(r"\$(\d+)", text)] or [0])
        names.append("Q_" + s["name"].upper())
        rows.append(
            '{ "%s", %d,\n%s },' % (s["name"], nparams, c_string(text)))
    with open(out_h, "w", encoding="utf-8") as f:
        f.write("/* Made by tools/sqlgen.py from common/sql; do not edit. */\n"
                "#ifndef SQL_GEN_H\n#define SQL_GEN_H\n\n#include <stddef.h>\n\n"
                "enum query {\n")
        for n in names:
            f.write(f"\t{n},\n")
        f.write("\tQ_COUNT\n};\n\n"
                "struct sql_statement {\n\tconst char *name;\n\tsize_t nparams;\n"
                "\tconst char *text;\n};\n"
                "extern const struct sql_statement sql_statements[Q_COUNT];\n\n#endif\n")
    with open(out_c, "w", encoding="utf-8") as f:
        f.write("/* Made by tools/sqlgen.py from common/sql; do not edit. */\n"
                '#include "sql_gen.h"\n\nconst struct sql_statement sql_statements[Q_COUNT] = {\n')
        f.write("\n".join(rows))
        f.write("\n};\n")


main()
