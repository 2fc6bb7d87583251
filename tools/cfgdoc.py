#!/usr/bin/python3
"""Makes docs/reference/configuration.md from the cfg_keys.def of each daemon,
common/cfg/names.def (every variable that some program reads),
its intervals and the table of docs/operator/scheduler.md from
scheduler/duties.def, and deploy/ENVIRONMENTS.md, the inventory of variables, from all of them.

  tools/cfgdoc.py          write the pages
  tools/cfgdoc.py --check  exit 1 when a committed page differs, or when a
                           table is not alphabetical or lacks help
"""
import glob
import os
import re
import sys

NAMES = "common/cfg/names.def"
PAGE = "docs/reference/configuration.md"
INVENTORY = "deploy/ENVIRONMENTS.md"
DUTIES = "scheduler/duties.def"
DUTIES_PAGE = "docs/operator/scheduler.md"
DUTIES_MARKS = ("<!-- Made by tools/cfgdoc.py from scheduler/duties.def; do not edit. -->\n", "<!-- End of what is made. -->\n")
TOKEN = re.compile(r'"((?:\\.|[^"\\])*)"|([(),])|([^\s"(),]+)')
# A string is matched first, so that the // of a URL is no comment.
COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|/\*.*?\*/|//[^\n]*', re.S)
TITLES = {
    "apiserver": "certctl-apiserver", "scheduler": "certctl-scheduler",
    "worker": "certctl-worker", "agent": "certctl-agent", "cli": "certctl",
}
HEAD = """# Configuration

<!-- Made by tools/cfgdoc.py from the cfg_keys.def of each daemon; do not edit. -->

Every daemon is configured by environment variables. An empty variable counts as unset. A value
outside its range refuses the start with a message that names variable, value and range; nothing
falls back silently. `--check-config` tries a configuration, `--print-config` shows what is in force
with secrets masked, and `--help` prints the table of that daemon.

`--check-config` tells all mistakes at once: first every value that is out of its range, and when there
is none, all that a start would find wrong with what the values name. It names each variable
`CERTCTL_...` that the daemon does not read, with the program it is for or the name that was probably meant.

| Exit status | Of `--check-config` |
|---|---|
| 0 | the configuration is good |
| 1 | a start would be refused |
| 2 | an option is unknown |
| 3 | it would start, but a variable means nothing to any program: it is mistyped, or from another release |

A start does not refuse what means nothing, so that a release can be rolled back under the newer one's
environment; it warns of it (`CONFIG-UNREAD`).

- A *secret* may also come from a file: set the variable's name with `_FILE` behind it to a path.
  The file must not be readable by others, nor writable by its group; one newline at its end is dropped.
- Durations are numbers with units, `1h30m`, `250ms`; the units are `h`, `m`, `s`, `ms`.
- Numbers are whole, unless the table says *number*: those may have three decimals, `0.5`.
- What is marked *refused* is known to other software of this kind; setting it refuses the start, since nobody would obey it.
- Sizes are bytes, or numbers with `KiB`, `MiB`, `GiB`, `TiB`.
- Lists are separated by commas; blanks around items and empty items are dropped.
- Switches take `true`, `yes`, `on`, `1` or `false`, `no`, `off`, `0`.
"""
INVENTORY_HEAD = """# Every variable

<!-- Made by tools/cfgdoc.py from the cfg_keys.def of each daemon; do not edit. -->

All that an environment can say to a program of certctl, each variable once. What it means, and which values it takes,
stands in [configuration.md](../docs/reference/configuration.md); how large a deployment needs which, in
[scale.md](../docs/operator/scale.md). A *secret* may come from a file instead: the same name with `_FILE` behind it. What is *refused*
is known to other software of this kind; setting it refuses the start.

| Variable | Read by | Default | Notes |
|---|---|---|---|
"""


class Mistake(Exception):
    pass


def arguments(path, macro="KEY"):
    """The argument lists of the KEY(...) or DUTY(...) rows of one file; adjacent strings are joined, words are kept as (word,)."""
    with open(path, encoding="utf-8") as f:
        text = COMMENT.sub(lambda m: m.group(1) or " ", f.read())
    rows, at = [], 0
    for m in re.finditer(rf"\b{macro}\s*\(", text):
        if m.start() < at:
            raise Mistake(f"{path}: {macro} inside of {macro}")
        args, current, depth, at = [], [], 1, m.end()
        while depth:
            t = TOKEN.search(text, at)
            if not t:
                raise Mistake(f"{path}: a {macro}( is not closed")
            at = t.end()
            depth += {"(": 1, ")": -1}.get(t.group(2), 0)
            if t.group(2) == "," and depth == 1 or depth == 0:
                args.append(join(current))
                current = []
            else:
                current.append(t)
        if len(args) != 8:
            raise Mistake(f"{path}: {args[0]}: {len(args)} fields, not 8")
        rows.append(args)
    return rows


def join(tokens):
    if any(t.group(1) is not None for t in tokens):
        return "".join(t.group(1) or "" for t in tokens).replace('\\"', '"').replace("\\\\", "\\")
    return "".join(t.group(0) for t in tokens)


def duration(ms):
    text = ""
    for name, size in (("h", 3600000), ("m", 60000), ("s", 1000), ("ms", 1)):
        if ms // size:
            text += f"{ms // size}{name}"
        ms %= size
    return text or "0"


def size(n):
    for name, unit in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n and n % unit == 0:
            return f"{n // unit}{name}"
    return f"{n}B" if n else "0"


def number(path, name, text):
    """A C integer constant expression of products and sums."""
    text = re.sub(r"\(int64_t\)", "", text)
    text = re.sub(r"(?<=\d)[uUlL]+", "", text)
    text = {"INT64_MAX": str(2**63 - 1), "INT64_MIN": str(-2**63)}.get(text, text)
    if not re.fullmatch(r"[-\d\s()*+<]+", text):
        raise Mistake(f"{path}: {name}: {text!r} is not a number")
    return eval(text)  # digits and operators only, checked above


def thousandths(n):
    return f"{n // 1000}.{n % 1000:03d}".rstrip("0").rstrip(".")


def code(text):
    return "`" + text.replace("|", "\\|") + "`"


def row(path, args):
    name, env, kind, dflt, low, high, flags, help_text = args
    low, high = number(path, name, low), number(path, name, high)
    allowed = {
        "CFG_STRING": f"text, {low} to {high} bytes",
        "CFG_NAME": f"name, {low} to {high} bytes",
        "CFG_ID": f"id, {low} to {high} of A-Z a-z 0-9 . _ -",
        "CFG_PATH": f"path, {low} to {high} bytes",
        "CFG_INT": f"{low} to {high}",
        "CFG_DECIMAL": f"number, {thousandths(low)} to {thousandths(high)}",
        "CFG_BOOL": "`true`, `false`",
        "CFG_DURATION": f"duration, {duration(low)} to {duration(high)}",
        "CFG_SIZE": f"size, {size(low)} to {size(high)}",
        "CFG_ENUM": ", ".join(code(w) for w in dflt.split("|")),
        "CFG_LIST": f"list, {low} to {high} items",
    }.get(kind)
    if allowed is None:
        raise Mistake(f"{path}: {name}: unknown type {kind}")
    if kind == "CFG_ENUM":
        dflt = dflt.split("|")[0]
    if "CFG_REFUSED" in flags:
        allowed = "*refused*"
    if "CFG_REQUIRED" in flags:
        dflt = "*required*"
    else:
        dflt = code(dflt) if dflt else ""
    note = " *Secret.*" if "CFG_SECRET" in flags else ""
    if not help_text.startswith("libpq"):
        help_text = help_text[0].upper() + help_text[1:]
    help_text = help_text.rstrip(".") + "."
    return f"| {code(env)} | {dflt} | {allowed} | {help_text.replace('|', chr(92) + '|')}{note} |"


def check_table(path, rows):
    names = [r[0] for r in rows]
    for a, b in zip(names, names[1:]):
        if a >= b:
            raise Mistake(f"{path}: {b} stands after {a}: the table is alphabetical, each name once")
    seen = set()
    for r in rows:
        if r[1] in seen:
            raise Mistake(f"{path}: {r[1]} twice")
        seen.add(r[1])
        if not r[7].strip():
            raise Mistake(f"{path}: {r[0]} has no help")


def interval_keys(path):
    """The rows of the duties' intervals, as DUTY_KEY_ROW makes them."""
    return [[f"{name}_interval", env, "CFG_DURATION", dflt, low, high, "0", f"interval of the duty {name}: {does}"]
            for name, env, dflt, low, high, _, _, does in arguments(path, "DUTY")]


def duties_page():
    """The operator's page with its table of duties made anew."""
    with open(DUTIES_PAGE, encoding="utf-8") as f:
        before, first, rest = f.read().partition(DUTIES_MARKS[0])
    _, last, after = rest.partition(DUTIES_MARKS[1])
    if not last:
        raise Mistake(f"{DUTIES_PAGE}: the marks around the table of duties are gone")
    table = "| Duty | Every | Variable | What one run does |\n|---|---|---|---|\n"
    for name, env, dflt, _, _, _, _, does in arguments(DUTIES, "DUTY"):
        does = re.sub(r"\bCERTCTL_[A-Z_]+|\b[A-Z][A-Za-z]+-[A-Z][A-Za-z]+\b|\b[a-z]+_[a-z_]+\b", lambda m: code(m.group()), does)
        table += f"| {code(name)} | {dflt} | {code(env)} | {does} |\n"
    return before + first + table + last + after


def names():
    """Every variable and the programs that read it, for cfg_unread.c."""
    readers = {}
    for path in glob.glob("*/cfg_keys.def"):
        directory = os.path.dirname(path)
        rows = arguments(path) + (interval_keys(DUTIES) if directory == os.path.dirname(DUTIES) else [])
        for row_ in rows:
            if "CFG_REFUSED" in row_[6]:
                continue
            for name in [row_[1]] + ([row_[1] + "_FILE"] if "CFG_SECRET" in row_[6] else []):
                readers.setdefault(name, set()).add(TITLES.get(directory, directory))
    with open("cli/settings.c", encoding="utf-8") as f:
        for name in re.findall(r'"(CERTCTL_[A-Z_]+)"', f.read()):
            readers.setdefault(name, set()).add(TITLES["cli"])
    return "/* Made by tools/cfgdoc.py from the tables of all programs; do not edit. */\n" + "".join(
        f'NAME("{name}", "{", ".join(sorted(readers[name]))}")\n' for name in sorted(readers))


def defaults():
    """{variable: {program: (default, notes)}}, of every program that has a table."""
    found = {}
    for path in sorted(glob.glob("*/cfg_keys.def")):
        directory = os.path.dirname(path)
        rows = arguments(path) + (interval_keys(DUTIES) if directory == os.path.dirname(DUTIES) else [])
        for _, env, kind, dflt, _, _, flags, _ in rows:
            notes = [word for flag, word in (("CFG_SECRET", "secret"), ("CFG_REFUSED", "refused")) if flag in flags]
            shown = "*required*" if "CFG_REQUIRED" in flags else code(dflt.split("|")[0] if kind == "CFG_ENUM" else dflt) if dflt else "*empty*"
            found.setdefault(env, {})[TITLES.get(directory, directory)] = (shown, notes)
    return found


def inventory():
    """deploy/ENVIRONMENTS.md: each variable once, whoever reads it."""
    known = defaults()
    with open("cli/settings.c", encoding="utf-8") as f:
        for name in re.findall(r'"(CERTCTL_[A-Z_]+)"', f.read()):
            known.setdefault(name, {})[TITLES["cli"]] = ("*see certctl help*", ["secret"] if name.endswith("API_KEY") else [])
    out = [INVENTORY_HEAD]
    for name in sorted(known):
        programs = known[name]
        shown = {d for d, _ in programs.values()}
        dflt = shown.pop() if len(shown) == 1 else "; ".join(f"{p.removeprefix('certctl-')} {d}" for p, (d, _) in sorted(programs.items()))
        notes = sorted({n for _, of in programs.values() for n in of})
        out.append(f"| {code(name)} | {', '.join(sorted(programs))} | {dflt} | {', '.join(notes) or '-'} |\n")
    return "".join(out)


def page():
    out = [HEAD]
    paths = {os.path.dirname(p): p for p in glob.glob("*/cfg_keys.def")}
    order = [d for d in TITLES if d in paths] + sorted(set(paths) - set(TITLES))
    for directory in order:
        path = paths[directory]
        rows = arguments(path)
        check_table(path, rows)
        if directory == os.path.dirname(DUTIES):
            check_table(DUTIES, intervals := interval_keys(DUTIES))
            rows = sorted(rows + intervals)
        out.append(f"\n## {TITLES.get(directory, directory)}\n\n"
                   "| Variable | Default | Allowed | Meaning |\n|---|---|---|---|\n")
        out += [row(path, r) + "\n" for r in rows]
    return "".join(out)


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    try:
        pages = {PAGE: page(), DUTIES_PAGE: duties_page(), NAMES: names(), INVENTORY: inventory()}
    except Mistake as e:
        print(f"cfgdoc: {e}")
        return 1
    if sys.argv[1:] == ["--check"]:
        stale = [path for path, text in pages.items() if content(path) != text]
        for path in stale:
            print(f"{path}: differs from the tables: run tools/cfgdoc.py and commit the page")
        return 1 if stale else 0
    if sys.argv[1:]:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    for path, text in pages.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    return 0


def content(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
