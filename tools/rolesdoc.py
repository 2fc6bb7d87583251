#!/usr/bin/python3
"""Writes the table of roles into docs/operator/keys-and-roles.md, from the migration that makes them.

  tools/rolesdoc.py           write it
  tools/rolesdoc.py --check   exit 1 when the page differs
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MIGRATION = "migrations/0004_roles.up.sql"
PAGE = "docs/operator/keys-and-roles.md"
BEGIN, END = "<!-- Made by tools/rolesdoc.py; do not edit. -->\n", "<!-- End of what tools/rolesdoc.py made. -->\n"


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def statement(sql, begin):
    """What stands between this and the next semicolon."""
    return sql.split(begin, 1)[1].split(";", 1)[0]


def roles_of(sql):
    """[(id, name, description)], and {permission: letters of the roles that hold it}, {id: letter}."""
    roles = re.findall(r"\('(r-[a-z]+)', '[^']*', '([^']*)', '([^']*)'\)", statement(sql, "INSERT INTO roles "))
    lists = re.findall(r"\('([A-Z]+)', '\{([a-z_.,\s]+)\}'\)", statement(sql, "INSERT INTO grants VALUES"))
    grants = {name: held_by for held_by, names in lists for name in re.split(r",\s*", names)}
    letters = dict(re.findall(r"\('(r-[a-z]+)', '([A-Z])'\)", statement(sql, "INSERT INTO role_permissions ")))
    if not grants or {r[0] for r in roles} != set(letters) or set("".join(grants.values())) != set(letters.values()):
        raise SystemExit(f"{MIGRATION}: its roles and grants cannot be read")
    return roles, grants, letters


def table(sql):
    roles, grants, letters = roles_of(sql)
    text = "| Role | Id | For |\n|---|---|---|\n"
    for role, name, description in roles:
        text += f"| {name} | `{role}` | {description} |\n"
    text += "\n| Permission | " + " | ".join(name for _, name, _ in roles) + " |\n|---|" + ":-:|" * len(roles) + "\n"
    for permission, held_by in sorted(grants.items()):
        text += f"| `{permission}` | " + " | ".join("yes" if letters[role] in held_by else "" for role, _, _ in roles) + " |\n"
    return text


def main(arguments):
    page = read(PAGE)
    before, rest = page.split(BEGIN, 1)
    made = before + BEGIN + "\n" + table(read(MIGRATION)) + "\n" + END + rest.split(END, 1)[1]
    if "--check" not in arguments:
        with open(os.path.join(ROOT, PAGE), "w", encoding="utf-8") as f:
            f.write(made)
        return 0
    if made != page:
        print(f"{PAGE} is not what {MIGRATION} says: run tools/rolesdoc.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
