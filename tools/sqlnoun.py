"""Makes the statements of a plain noun from its description.

A description stands in common/sql, from a line `-- noun: team` to the first
line that is no comment.  Its lines are `--   key: value`; a line indented
further goes on with the value before it.

  table: teams t            the table and its alias in list, get, update, delete
  id: id_new('team')        the id of a row whose body gives none
  column: name text create update
                            once for each column that an answer shows, in order.
                            Types: text, int, bool, json, time (shown as UTC),
                            texts, ints (arrays; shown as JSON, and an empty one
                            in a body changes nothing).
                            create, update: taken from the body there.  nullable:
                            an update may set it to null.  masked: an update keeps
                            the secrets that come back as stars (json).
  shown: description coalesce({}, '')
                            how an answer shows the column, {} in these lines
  also: is_new ({}.at > x)  what an answer shows beside its columns; {} is the row
  on create: enabled true   what the column is made with instead of the body's
  on update: name upper({}) what it is changed to instead of the body's
  filter: name contains     of the list, in the parameters' order: contains or is
  held by: owners.team_id   a row that this column names can't be deleted
  audit: config             the category of its audit events; `config unnamed`: of a
                            person, whose name they do not hold
  event: {noun}_{verb}d     what they are called, unless {verb}_{noun}
  create from: JOIN ...     more of the FROM that a row is made with, `g` the body
  update where: ...         what else an update asks for
  create step: queued AS (...)
  update step: queued AS (...)
                            one more statement of the WITH, over `made` or `changed`
  written: delete           these words' statements are written out by hand
                            (`-- name: team_delete :one`) in the same file

Needed are table, id, audit and the column `name`, which the list is ordered by
and the audit trail quotes.  A table has id, created_at and updated_at.
"""
import re

NOUN = re.compile(r"^-- noun:\s*([a-z][a-z0-9_]*)\s*$")
ENTRY = re.compile(r"^--   (\S[^:]*): *(\S.*?)\s*$")
MORE = re.compile(r"^--    +(\S.*?)\s*$")
WORD = r"[a-z][a-z0-9_]*"
VALUES = {
    "table": rf"{WORD} [a-z]+",
    "id": r".+",
    "column": rf"{WORD} (text|int|bool|json|time|texts|ints)( (create|update|nullable|masked))*",
    "shown": rf"{WORD}\s+.+",
    "also": rf"{WORD}\s+.+",
    "on create": rf"{WORD}\s+.+",
    "on update": rf"{WORD}\s+.+",
    "filter": rf"{WORD} (contains|is)",
    "held by": rf"{WORD}\.{WORD}",
    "audit": rf"{WORD}( unnamed)?",
    "event": r"[a-z_{}]+",
    "create from": r".+",
    "update where": r".+",
    "create step": r".+",
    "update step": r".+",
    "written": r"(list|total|get|create|update|delete)( (list|total|get|create|update|delete))*",
}
ONCE = ("table", "id", "audit", "event", "create from", "update where", "create step", "update step", "written")
NEEDED = ("table", "id", "audit")
OF_COLUMN = ("shown", "on create", "on update", "filter")
VERBS = ("list", "total", "get", "create", "update", "delete", "lock_update", "lock_delete")
TOTAL_CAP = 10000
ELEMENTS = {"texts": "text", "ints": "int"}  # arrays: the type of what is in them


class Bad(Exception):
    """A description that can't be expanded: path:line: why."""


def fail(at, text):
    raise Bad(f"{at}: {text}")


class Noun:
    def __init__(self, name, at):
        self.name, self.at = name, at
        self.entries = []  # [key, value, at] as they stand

    def add(self, line, at):
        """Takes one comment line of the block."""
        more, entry = MORE.match(line), ENTRY.match(line)
        if more and self.entries:
            self.entries[-1][1] += "\n    " + more.group(1)
        elif entry:
            self.entries.append([entry.group(1), entry.group(2), at])
        else:
            fail(at, f"noun {self.name}: this is neither `--   key: value` nor more of one")

    def check(self):
        """Refuses what is unknown, missing or said twice, and sorts the entries by key."""
        self.of = {key: [] for key in VALUES}
        seen = set()
        for key, value, at in self.entries:
            if key not in VALUES:
                fail(at, f"noun {self.name}: no key is called {key!r}")
            if not re.fullmatch(VALUES[key], value, re.S):
                fail(at, f"noun {self.name}: {key} can't be {value!r}")
            what = (key,) if key in ONCE else (key, value.split()[0])
            if what in seen:
                fail(at, f"noun {self.name}: {' '.join(what)} stands twice")
            seen.add(what)
            self.of[key].append((value, at))
        for key in NEEDED:
            if not self.of[key]:
                fail(self.at, f"noun {self.name}: {key} is missing")
        self.check_columns()
        self.table, self.alias = self.one("table").split()
        self.written = self.one("written").split()

    def check_columns(self):
        self.columns = {}  # name: its type and words
        for value, at in self.of["column"]:
            name, *words = value.split()
            for word, fits in (("nullable", "update" in words), ("masked", {"json", "update"} <= set(words)),
                               ("create", words[0] != "time"), ("update", words[0] != "time")):
                if word in words and not fits:
                    fail(at, f"noun {self.name}: {name} can't be {word}")
            if {"nullable", "masked"} <= set(words) or len(words) != len(set(words)):
                fail(at, f"noun {self.name}: the words of {name} don't go together")
            self.columns[name] = words
        if "name" not in self.columns or "id" in self.columns:
            fail(self.at, f"noun {self.name}: its columns are name and others, id goes without saying")
        for key in OF_COLUMN:
            for value, at in self.of[key]:
                name = value.split()[0]
                if name not in self.columns:
                    fail(at, f"noun {self.name}: {key} names {name}, which is no column")
                if key.startswith("on ") and key[3:] in self.columns[name]:
                    fail(at, f"noun {self.name}: {name} has {key!r} and takes the body's too")

    def one(self, key):
        return self.of[key][0][0] if self.of[key] else ""

    def said(self, key, column):
        """What an entry of this key says of the column, or None."""
        for value, _ in self.of[key]:
            if value.split()[0] == column:
                return value.split(None, 1)[1]
        return None

    def shown(self, alias):
        """The list of columns of an answer, out of a row called alias."""
        out = [f"{alias}.id"]
        for name, words in self.columns.items():
            plain = f"{alias}.{name}"
            said = self.said("shown", name)
            if said:
                out.append(f"{said.replace('{}', plain)} AS {name}")
            elif words[0] == "time":
                out.append(f"{plain} AT TIME ZONE 'UTC' AS {name}")
            elif words[0] in ELEMENTS:
                out.append(f"array_to_json({plain}) AS {name}")
            else:
                out.append(plain)
        for value, _ in self.of["also"]:
            name, expression = value.split(None, 1)
            out.append(f"{expression.replace('{}', alias)} AS {name}")
        return ", ".join(out)

    def returning(self, prefix):
        return ", ".join(prefix + name for name in ("id", *self.columns))

    def filters(self, first, *more):
        """The WHERE of the list, its parameters numbered from first, and more of it."""
        out = list(more)
        for number, (value, _) in enumerate(self.of["filter"], first):
            name, how = value.split()
            column = f"{self.alias}.{name}"
            test = f"{column} = ${number}" if how == "is" else f"strpos(lower({column}), lower(${number})) > 0"
            out.append(f"(${number}::text IS NULL OR {test})")
        return "\nWHERE " + "\n    AND ".join(out) if out else ""

    def made_of(self):
        """Pairs of column and value of an INSERT."""
        pairs = []
        for name, words in self.columns.items():
            said = self.said("on create", name)
            if said or "create" in words:
                pairs.append((name, said or of_body("g.j", name, words[0])))
        return pairs

    def changed_to(self):
        """The assignments of an UPDATE."""
        out = []
        for name, words in self.columns.items():
            old, said = f"{self.alias}.{name}", self.said("on update", name)
            given = of_body("$2::jsonb", name, words[0])
            if said:
                out.append(f"{name} = {said.replace('{}', old)}")
            elif "masked" in words:
                out.append(f"{name} = {unmasked(name, old)}")
            elif "nullable" in words:
                out.append(f"{name} = CASE WHEN $2::jsonb ? '{name}' THEN {given} ELSE {old} END")
            elif "update" in words:
                out.append(f"{name} = coalesce({given}, {old})")
        return ",\n        ".join(out + ["updated_at = engine_now()"])

    def audited(self, verb, details, source, actor):
        """The audit event of a write; actor is the number of its parameter, its type's follows."""
        category, *unnamed = self.one("audit").split()
        if unnamed and "name" in details:
            details = ""
        event = (self.one("event") or "{verb}_{noun}").format(verb=verb, noun=self.name)
        return ("audited AS (\n"
                "    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)\n"
                f"    SELECT ${actor}, ${actor + 1}, '{event}', '{self.name}', m.id, "
                f"jsonb_build_object({details}), '{category}' FROM {source} m\n)\n")

    def step(self, key):
        return self.one(key) + ",\n" if self.one(key) else ""

    def list(self):
        """The rows are looked up once the page's are known, so that an offset walks an index."""
        a = self.alias
        walked = f"($3::text IS NULL OR ({a}.name, {a}.id) > ($3, $4::text))"
        return (f"SELECT {self.shown(a)}\nFROM (\n"
                f"    SELECT p.id, row_number() OVER () AS at FROM (\n    SELECT {a}.id FROM {self.one('table')}"
                f"{self.filters(5, walked)}\n"
                f"    ORDER BY {a}.name, {a}.id\n    LIMIT $1::bigint OFFSET $2::bigint) AS p) AS k\n"
                f"JOIN {self.one('table')} ON {a}.id = k.id\nORDER BY k.at;")

    def total(self):
        return (f"SELECT least(n.n, {TOTAL_CAP}) AS total, n.n > {TOTAL_CAP} AS is_capped "
                "FROM (SELECT count(*) AS n FROM (\n"
                f"    SELECT 1 FROM {self.one('table')}{self.filters(1)}\n    LIMIT {TOTAL_CAP + 1}) AS found) AS n;")

    def get(self):
        return f"SELECT {self.shown(self.alias)}\nFROM {self.one('table')}\nWHERE {self.alias}.id = $1;"

    def create(self):
        pairs = self.made_of()
        names = ", ".join(["id"] + [name for name, _ in pairs])
        values = ", ".join([f"coalesce(g.j ->> 'id', {self.one('id')})"] + [value for _, value in pairs])
        more = self.one("create from")
        return ("WITH given AS (SELECT $1::jsonb AS j),\nmade AS (\n"
                f"    INSERT INTO {self.table} ({names})\n    SELECT {values}\n    FROM given g{' ' if more else ''}{more}\n"
                f"    RETURNING {self.returning('')}\n),\n" + self.step("create step")
                + self.audited("create", "'resource_name', m.name", "made", 2) + f"SELECT {self.shown('m')}\nFROM made m;")

    def update(self):
        more = self.one("update where")
        fields = "'fields',\n        (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys($2::jsonb) AS k)"
        return (f"WITH changed AS (\n    UPDATE {self.one('table')} SET\n        {self.changed_to()}\n"
                f"    WHERE {self.alias}.id = $1{' AND ' + more if more else ''}\n"
                f"    RETURNING {self.returning(self.alias + '.')}\n),\n" + self.step("update step")
                + self.audited("update", fields, "changed", 3) + f"SELECT {self.shown('m')}\nFROM changed m;")

    def delete(self):
        held = ""
        for value, _ in self.of["held by"]:
            table, column = value.split(".")
            held += f"\n        AND NOT EXISTS (SELECT 1 FROM {table} h WHERE h.{column} = $1)"
        return (f"WITH removed AS (\n    DELETE FROM {self.one('table')} WHERE {self.alias}.id = $1{held}\n"
                f"    RETURNING {self.alias}.id, {self.alias}.name\n),\n"
                + self.audited("delete", "'resource_name', m.name", "removed", 2)
                + f"SELECT EXISTS (SELECT 1 FROM {self.one('table')} WHERE {self.alias}.id = $1) AS was_there, "
                "EXISTS (SELECT 1 FROM removed) AS is_gone;")

    def lock_update(self):
        """Before an update, so that what this asks beside its row is true of it."""
        return f"SELECT {self.alias}.id FROM {self.one('table')} WHERE {self.alias}.id = $1 FOR NO KEY UPDATE;"

    def lock_delete(self):
        """Before a delete: waits for whoever begins to refer to the row just now, and then is seen by the delete."""
        return f"SELECT {self.alias}.id FROM {self.one('table')} WHERE {self.alias}.id = $1 FOR UPDATE;"

    def statements(self):
        """(name, kind, is fresh, text) of each statement that is not written by hand."""
        for verb in VERBS:
            if verb not in self.written:
                is_list = verb in ("list", "total")
                yield f"{self.name}_{verb}", "many" if verb == "list" else "one", is_list, getattr(self, verb)()


def of_body(body, name, kind):
    if kind == "json":
        return f"{body} -> '{name}'"
    if kind in ELEMENTS:
        return (f"(SELECT array_agg(e.v::{ELEMENTS[kind]} ORDER BY e.n)\n"
                f"            FROM jsonb_array_elements_text({body} -> '{name}') WITH ORDINALITY AS e (v, n))")
    text = f"{body} ->> '{name}'"
    return text if kind == "text" else f"({text})::{kind}"


def unmasked(name, old):
    return (f"CASE WHEN $2::jsonb ? '{name}' THEN (SELECT coalesce(jsonb_object_agg(n.key,\n"
            f"            CASE WHEN n.value = '\"********\"' THEN coalesce({old} -> n.key, n.value) ELSE n.value END), '{{}}')\n"
            f"            FROM jsonb_each($2::jsonb -> '{name}') AS n) ELSE {old} END")
