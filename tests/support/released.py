#!/usr/bin/python3
"""
What the functions and statements of a release name of the tables, so that no
later migration takes it away from them (docs/internals/database.md).

    released.py         writes migrations/released.txt: run when a release is made

A function or statement names a table when the word stands in it, and a
column when the words of both do.  That can be one too many, never one too few:
who selects "*" asks for no name.
"""
import re

from fleet import BUILD, ROOT, Fleet, code_text

LIST = ROOT / "migrations" / "released.txt"
RELATIONS = """
    SELECT c.relname, CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition
        AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('e', 'i'))"""
COLUMNS = """
    SELECT a.attrelid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod),
        NOT a.attnotnull OR a.atthasdef OR a.attidentity <> '' FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
        AND a.attnum > 0 AND NOT a.attisdropped"""
UNIQUE = """
    SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique AND NOT c.relispartition"""


class Catalog:
    """The tables that a cursor's database has."""

    def __init__(self, cursor):
        cursor.execute(RELATIONS)
        self.relations = dict(cursor.fetchall())
        cursor.execute(COLUMNS)
        self.columns = {(t, c): (kind, is_optional) for t, c, kind, is_optional in cursor.fetchall()}
        cursor.execute(UNIQUE)
        # What ON CONFLICT infers an index by: its columns and condition, not its name.
        self.unique = {(t, re.search(r"\(.*", text).group()) for t, text in cursor.fetchall()}


def texts():
    """Every function and statement of this tree, without comments."""
    found = re.split(r"^(?=CREATE |ALTER |DO |SELECT )", re.sub(r"--.*", "", code_text()), flags=re.M)
    # As the programs hold them, whatever they were made from.
    return found + re.split(r'^(?=\{ ")', (BUILD / "common" / "sql" / "sql_gen.c").read_text(encoding="utf-8"), flags=re.M)


def names(catalog):
    """The lines of the list."""
    found = set()
    for text in texts():
        words = set(re.findall(r"\b[a-z_][a-z0-9_]*\b", text.lower()))
        for relation in words & set(catalog.relations):
            found.add(f"{catalog.relations[relation]} {relation}")
            for (table, column), (kind, is_optional) in catalog.columns.items():
                if table == relation and column in words:
                    found.add(f"column {table}.{column} {kind}{' optional' if is_optional else ''}")
            if {"on", "conflict"} <= words:
                found |= {f"unique {table} {by}" for table, by in catalog.unique if table == relation}
    # Filled by migrations only, and no news to later ones.
    found |= {f"required {t}.{c}" for (t, c), (kind, is_optional) in catalog.columns.items()
              if f"table {t}" in found and not is_optional and f"column {t}.{c} {kind}" not in found}
    return sorted(found)


def lost(lines, catalog):
    """What of the list is not there any more, or asks more of who writes it; a line each."""
    wrong, tables, known = [], set(), set()
    for line in lines:
        kind, name = line.split(" ", 2)[:2]
        rest = line[len(kind) + len(name) + 2:]
        if kind in ("table", "sequence"):
            tables.add(name)
            if catalog.relations.get(name) != kind:
                wrong.append(f"{kind} {name} is gone or renamed")
        elif kind == "unique":
            if (name, rest) not in catalog.unique:
                wrong.append(f"the unique index on {name} {rest} is gone: ON CONFLICT finds it by that")
        else:
            table, column = name.split(".")
            known.add((table, column))
        if kind == "column":
            was, is_optional = catalog.columns.get((table, column), (None, False))
            if was is None:
                wrong.append(f"column {name} is gone or renamed")
            elif was != rest.removesuffix(" optional"):
                wrong.append(f"column {name} was {rest.removesuffix(' optional')} and is {was}")
            elif rest.endswith(" optional") and not is_optional:
                wrong.append(f"column {name} must be given now")
    wrong += [f"column {t}.{c} is new and must be given: rows of the release before have none"
              for (t, c), (_, is_optional) in catalog.columns.items() if t in tables and (t, c) not in known and not is_optional]
    return wrong


def main():
    with Fleet("released") as fleet:
        fleet.start_postgres()
        with fleet.admin() as c:
            lines = names(Catalog(c))
    LIST.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    print(f"{len(lines)} names in {LIST.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
