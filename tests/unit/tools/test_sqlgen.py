"""What tools/sqlgen.py makes of a noun, and which descriptions it refuses, with the line.

    test_sqlgen.py PATH_OF_SQLGEN
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

SQLGEN = os.path.abspath(sys.argv.pop(1))

NOUN = """\
-- noun: box
--   table: boxes b
--   id: id_new('box')
--   column: name text create update
--   column: size int create update nullable
--   column: config json update masked
--   column: seen_at time
--   on create: config
--     '{}'
--   filter: name contains
--   filter: size is
--   held by: things.box_id
--   audit: config
"""

GOLDEN = {
    "box_list": (6, True, """
        SELECT b.id, b.name, b.size, b.config, b.seen_at AT TIME ZONE 'UTC' AS seen_at FROM (
        SELECT p.id, row_number() OVER () AS at FROM ( SELECT b.id FROM boxes b
        WHERE ($3::text IS NULL OR (b.name, b.id) > ($3, $4::text))
        AND ($5::text IS NULL OR strpos(lower(b.name), lower($5)) > 0) AND ($6::text IS NULL OR b.size = $6)
        ORDER BY b.name, b.id LIMIT $1::bigint OFFSET $2::bigint) AS p) AS k
        JOIN boxes b ON b.id = k.id ORDER BY k.at"""),
    "box_total": (2, True, """
        SELECT least(n.n, 10000) AS total, n.n > 10000 AS is_capped FROM (SELECT count(*) AS n FROM (
        SELECT 1 FROM boxes b
        WHERE ($1::text IS NULL OR strpos(lower(b.name), lower($1)) > 0) AND ($2::text IS NULL OR b.size = $2)
        LIMIT 10001) AS found) AS n"""),
    "box_get": (1, False, """
        SELECT b.id, b.name, b.size, b.config, b.seen_at AT TIME ZONE 'UTC' AS seen_at FROM boxes b WHERE b.id = $1"""),
    "box_create": (3, False, """
        WITH given AS (SELECT $1::jsonb AS j), made AS (
        INSERT INTO boxes (id, name, size, config)
        SELECT coalesce(g.j ->> 'id', id_new('box')), g.j ->> 'name', (g.j ->> 'size')::int, '{}' FROM given g
        RETURNING id, name, size, config, seen_at ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        SELECT $2, $3, 'create_box', 'box', m.id, jsonb_build_object('resource_name', m.name), 'config' FROM made m )
        SELECT m.id, m.name, m.size, m.config, m.seen_at AT TIME ZONE 'UTC' AS seen_at FROM made m"""),
    "box_update": (4, False, """
        WITH changed AS ( UPDATE boxes b SET name = coalesce($2::jsonb ->> 'name', b.name),
        size = CASE WHEN $2::jsonb ? 'size' THEN ($2::jsonb ->> 'size')::int ELSE b.size END,
        config = CASE WHEN $2::jsonb ? 'config' THEN (SELECT coalesce(jsonb_object_agg(n.key,
        CASE WHEN n.value = '"********"' THEN coalesce(b.config -> n.key, n.value) ELSE n.value END), '{}')
        FROM jsonb_each($2::jsonb -> 'config') AS n) ELSE b.config END,
        updated_at = engine_now() WHERE b.id = $1 RETURNING b.id, b.name, b.size, b.config, b.seen_at ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        SELECT $3, $4, 'update_box', 'box', m.id, jsonb_build_object('fields',
        (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys($2::jsonb) AS k)), 'config' FROM changed m )
        SELECT m.id, m.name, m.size, m.config, m.seen_at AT TIME ZONE 'UTC' AS seen_at FROM changed m"""),
    "box_delete": (3, False, """
        WITH removed AS ( DELETE FROM boxes b WHERE b.id = $1
        AND NOT EXISTS (SELECT 1 FROM things h WHERE h.box_id = $1) RETURNING b.id, b.name ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        SELECT $2, $3, 'delete_box', 'box', m.id, jsonb_build_object('resource_name', m.name), 'config' FROM removed m )
        SELECT EXISTS (SELECT 1 FROM boxes b WHERE b.id = $1) AS was_there, EXISTS (SELECT 1 FROM removed) AS is_gone"""),
    "box_lock_update": (1, False, "SELECT b.id FROM boxes b WHERE b.id = $1 FOR NO KEY UPDATE"),
    "box_lock_delete": (1, False, "SELECT b.id FROM boxes b WHERE b.id = $1 FOR UPDATE"),
}

# A line of NOUN, what stands there instead, the line that the refusal names and a word of it.
REFUSED = [
    ("--   audit: config\n", "", 1, "audit is missing"),
    ("--   table: boxes b\n", "", 1, "table is missing"),
    ("--   table: boxes b", "--   table: boxes", 2, "table can't be"),
    ("--   audit: config", "--   colour: red", 13, "no key is called 'colour'"),
    ("--   audit: config", "--   audit: config\n--   audit: auth", 14, "stands twice"),
    ("--   audit: config", "-- audit: config", 13, "neither"),
    ("--   column: seen_at time", "--   column: seen_at date", 7, "column can't be"),
    ("--   column: seen_at time", "--   column: size int", 7, "stands twice"),
    ("--   column: seen_at time", "--   column: seen_at time update", 7, "can't be update"),
    ("--   column: seen_at time", "--   column: seen_at text masked", 7, "can't be masked"),
    ("--   column: seen_at time", "--   column: seen_at text nullable", 7, "can't be nullable"),
    ("--   column: name text", "--   column: label text", 1, "name and others"),
    ("--   filter: size is", "--   filter: weight is", 11, "which is no column"),
    ("--   filter: size is", "--   filter: size above", 11, "filter can't be"),
    ("--   held by: things.box_id", "--   held by: things", 12, "held by can't be"),
    ("--   on create: config", "--   on create: size", 8, "takes the body's too"),
    ("--   audit: config", "--   audit: config\n--   written: get", 1, "box_get is said to be written here"),
    ("--   audit: config", "--   audit: config\n--   written: fetch", 14, "written can't be"),
    ("--   audit: config\n", "--   audit: config\n\n-- name: box_get :one\nSELECT 1;\n", 15, "box_get is also in"),
    ("--   audit: config\n", "--   audit: config\nSELECT 1;\n", 14, "text outside of a statement"),
    ("-- noun: box", "-- noun: Box", 1, "names no statement, no noun"),
]


def squeezed(text):
    return re.sub(r"\s+", " ", text).strip()


FUNCTIONS = """\
CREATE FUNCTION far() RETURNS void LANGUAGE sql AS $$ SELECT near(); $$;
CREATE FUNCTION near() RETURNS void LANGUAGE plpgsql AS $b$ BEGIN UPDATE boxes SET size = 1; END $b$;
CREATE FUNCTION looks() RETURNS int LANGUAGE sql AS $$
    -- This is no UPDATE.
    SELECT 1; $$;
"""

# A statement, and whether it only reads.
READS = [("SELECT updated_at, locked FROM boxes", True), ("SELECT looks()", True), ("SELECT near()", False), ("SELECT far()", False),
         ("SELECT id FROM boxes FOR NO KEY UPDATE", False), ("SELECT id FROM boxes FOR SHARE", False),
         ("WITH gone AS (DELETE FROM boxes RETURNING id) SELECT id FROM gone", False), ("SELECT nextval('ids')", False)]


class Sqlgen(unittest.TestCase):
    def setUp(self):
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.path = os.path.join(made.name, "nouns.sql")
        self.out_c, self.out_h = os.path.join(made.name, "out.c"), os.path.join(made.name, "out.h")

    def run_on(self, text, *options):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text)
        return subprocess.run(["/usr/bin/python3", "-B", SQLGEN, self.out_c, self.out_h, *options, self.path],
                              capture_output=True, text=True, check=False)

    def made(self):
        """name: (parameters, is fresh, text) of the table that was made."""
        with open(self.out_c, encoding="utf-8") as f:
            source = f.read()
        out = {}
        for m in re.finditer(r'^\{ "(\w+)", (\d+), (\w+), \w+,\n((?:\t".*"\n?)+) \},$', source, re.M):
            lines = re.findall(r'^\t"(.*)\\n"', m.group(4), re.M)
            text = "\n".join(lines).replace('\\"', '"').replace("\\\\", "\\")
            out[m.group(1)] = int(m.group(2)), m.group(3) == "true", squeezed(text)
        return out

    def test_golden(self):
        run = self.run_on(NOUN)
        self.assertEqual(run.returncode, 0, run.stderr)
        made = self.made()
        self.assertEqual(list(made), list(GOLDEN))
        for name, (nparams, is_fresh, text) in GOLDEN.items():
            self.assertEqual(made[name], (nparams, is_fresh, squeezed(text)), name)

    def test_what_only_reads(self):
        code = os.path.join(os.path.dirname(self.path), "code")
        os.mkdir(code)
        with open(os.path.join(code, "1.sql"), "w", encoding="utf-8") as f:
            f.write(FUNCTIONS)
        run = self.run_on("".join(f"-- name: s{n} :one\n{text};\n" for n, (text, _) in enumerate(READS)), "--code=" + code)
        self.assertEqual(run.returncode, 0, run.stderr)
        with open(self.out_c, encoding="utf-8") as f:
            made = re.findall(r'^\{ "s\d+", 0, false, (\w+),$', f.read(), re.M)
        self.assertEqual(made, ["true" if reads else "false" for _, reads in READS])

    def test_arrays_and_events(self):
        run = self.run_on(NOUN.replace("--   audit: config", "--   column: sizes ints create update\n--   audit: config\n--   event: {noun}_{verb}d"))
        self.assertEqual(run.returncode, 0, run.stderr)
        made = {name: text for name, (_, _, text) in self.made().items()}
        given = ("(SELECT array_agg(e.v::int ORDER BY e.n) FROM jsonb_array_elements_text({} -> 'sizes') WITH ORDINALITY AS e (v, n))")
        self.assertIn(given.format("g.j"), made["box_create"])
        self.assertIn("sizes = coalesce(" + given.format("$2::jsonb") + ", b.sizes)", made["box_update"])
        self.assertIn("array_to_json(b.sizes) AS sizes", made["box_get"])
        for verb in ("create", "update", "delete"):
            self.assertIn(f"'box_{verb}d'", made[f"box_{verb}"])

    def test_written_by_hand(self):
        run = self.run_on(NOUN + "--   written: get\n\n-- name: box_get :one\nSELECT 'mine' WHERE $1 = 'x';\n")
        self.assertEqual(run.returncode, 0, run.stderr)
        made = self.made()
        self.assertEqual(sorted(made), sorted(GOLDEN))
        self.assertEqual(made["box_get"], (1, False, "SELECT 'mine' WHERE $1 = 'x'"))

    def test_fragments(self):
        run = self.run_on("-- fragment: one_of of what\nEXISTS (SELECT 1 FROM boxes b\n    WHERE b.id = {of} AND {of} <> {what})\n\n"
                          "-- name: a :one\nSELECT {one_of $1 'x'};\n-- name: b :one\nSELECT '{}' WHERE NOT {one_of b.id $3};\n")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(self.made(), {
            "a": (1, False, "SELECT EXISTS (SELECT 1 FROM boxes b WHERE b.id = $1 AND $1 <> 'x')"),
            "b": (3, False, "SELECT '{}' WHERE NOT EXISTS (SELECT 1 FROM boxes b WHERE b.id = b.id AND b.id <> $3)")})

    def test_fragments_refused(self):
        for text, line, why in (
                ("-- name: a :one\nSELECT {none};\n", 1, "none is no fragment"),
                ("-- fragment: f x\n{x}\n-- name: a :one\nSELECT {f};\n", 3, "f takes 1 values"),
                ("-- fragment: f x\n{y}\n-- name: a :one\nSELECT {f 1};\n", 1, "y is no value"),
                ("-- fragment: f\n1\n-- name: a :one\nSELECT 1;\n", 1, "nothing uses f"),
                ("-- fragment: f\n1\n-- fragment: f\n2\n", 3, "f is also in"),
                ("-- fragment: F\n1\n", 1, "no fragment")):
            with self.subTest(text=text):
                run = self.run_on(text)
                self.assertEqual(run.returncode, 1, run.stderr)
                self.assertTrue(run.stderr.startswith(f"{self.path}:{line}: ") and why in run.stderr, run.stderr)

    def test_refused(self):
        for old, new, line, why in REFUSED:
            with self.subTest(new=new):
                self.assertIn(old, NOUN)
                run = self.run_on(NOUN.replace(old, new, 1))
                self.assertEqual(run.returncode, 1, run.stderr)
                self.assertTrue(run.stderr.startswith(f"{self.path}:{line}: "), run.stderr)
                self.assertIn(why, run.stderr)
                self.assertFalse(os.path.exists(self.out_c))

    def test_a_kept_plan_may_not_skip_rows(self):
        for more in ("OFFSET $1", "offset $1::bigint"):
            run = self.run_on(f"-- name: far :many\nSELECT id FROM boxes ORDER BY id {more};\n")
            self.assertIn("must be fresh", run.stderr)
        self.assertEqual(self.run_on("-- name: far :many fresh\nSELECT id FROM boxes ORDER BY id OFFSET $1;\n").returncode, 0)

    def test_more_of_nothing(self):
        run = self.run_on("-- noun: box\n--     more\n")
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertTrue(run.stderr.startswith(f"{self.path}:2: "), run.stderr)


unittest.main()
