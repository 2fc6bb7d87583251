#!/usr/bin/python3
"""Makes docs/reference/cli.md and the man page from what certctl says of its table of commands.

  tools/clidoc.py [BUILD_DIR]             write the page
  tools/clidoc.py --check [BUILD_DIR]     exit 1 when the committed page differs
  tools/clidoc.py --man PROGRAM VERSION   print the man page
"""
import json
import os
import subprocess
import sys

from madepage import build_dir, keep

PAGE = "docs/reference/cli.md"
HEAD = """# Commands of certctl

<!-- Made by tools/clidoc.py from certctl's table of commands; do not edit. -->

`certctl NOUN VERB [WORDS] [OPTIONS]`; words and options come in any order. `certctl --help`, `certctl NOUN --help` and
`certctl NOUN VERB --help` say what stands here. A word or option that a command does not have is refused before anything is done.

- An id may be a name where the list of such objects can be asked for one (those with `--query` or `--name`, and roles), in words, options,
  `--set` and files: the id is tried first, and a name that several objects have is refused with their ids.
- Lists show one page; `--limit N` and `--all` go on through the pages.
- `--filter KEY=VALUE` of a list is its option of that name, or the parameter of the API (`--filter status=Active`, `--filter q=web`). Members of
  its columns can be filtered by too where the API cannot: `certctl` looks at the rows itself, so a list in pages takes `--all` then, or
  `--limit N` for the first N that pass. `KEY=` is true where the member is absent or empty; of a list one value is enough.
- `--sort FIELD` and `--sort FIELD:desc` are the API's order where it has such; else, and with `--all`, `certctl` sorts all rows, texts by their
  bytes and numbers by their size; what is absent counts as behind all else. A key or field that a list does not have is refused.
- `create` and `update` take each member as an option, `--set KEY=VALUE` and `--file FILE` (JSON or YAML; `-` is standard input). Options
  and `--set` win over the file.
- Dots in the key of `--set` lead into objects; `\\.` is a dot of a name, `\\\\` a backslash. Where an option sets the same member, the value is
  what that takes. Else it is JSON where JSON writes the same text (`443`, `true`, `null`, `"443"`, `[1]`), and any other is a text: `1.10` and
  `007` stay as they are. `--set KEY:=JSON` takes JSON alone.
- `--` ends the options: what stands behind it are words, even one that begins with `-` (`certctl teams create -- -x`). A value that begins
  with `-` stands behind a `=` (`--name=-x`).
- Whatever changes something has `--dry-run`: it shows method, path and body of the call, or of each call, and sends none. Names are looked up,
  so the ids that would be sent stand there, and secrets are shown as `***`. Of `certs bulk-*` the server is asked which it would take;
  `import --dry-run` asks what is there already. `context add`, `use` and `remove` say what would be kept, and keep nothing.
- What cannot be undone is asked about; `--yes` answers. Without a terminal nothing is asked: without `--yes` it is refused.

What is printed, formats and failures: [cli-output.md](cli-output.md). Which of these a task takes: [the index](../README.md).

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not allowed, 5 conflict, 6 the server cannot be reached or is not ready, or the time to wait is over.

Completion: `certctl completion bash > /etc/bash_completion.d/certctl`, likewise for `zsh` and `fish`. Ids are asked of the
server that the line names (`--context`, `--server`, `--api-key`, `--ca-bundle`, `--insecure`), else of the one that a command would ask.
"""


def table(program):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CERTCTL_")}
    return json.loads(subprocess.run([program, "__table"], stdout=subprocess.PIPE, check=True, env=env).stdout)


def name_of(command):
    return " ".join(filter(None, (command["noun"], command.get("verb"))))


def flag_of(option):
    return ", ".join(filter(None, (option.get("brief"), option["flag"]))) + (f" {option['takes']}" if "takes" in option else "")


def say(option):
    return option["help"] + ("; required" if option["required"] else "")


def escaped(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def option_rows(options):
    rows = "".join(f"| `{escaped(flag_of(o))}` | {escaped(say(o))} |\n" for o in options)
    return f"\n| Option | |\n|---|---|\n{rows}" if rows else ""


def listing(command, quote=""):
    """What a list can be filtered and sorted by, a line each."""
    lines = []
    for flag, key, pages in (("--filter", "filters", "with --all or --limit also"), ("--sort", "sorts", "with --all also")):
        asked, here = ([f"{quote}{name}{quote}" for name in command.get(k, [])] for k in (key, f"{key}_here"))
        parts = [", ".join(asked)] * bool(asked) + [(f"{pages}: " if command.get("paged") else "") + ", ".join(here)] * bool(here)
        lines += [f"{quote}{flag}{quote}: {('; ' if command.get('paged') else ', ').join(parts)}."] * bool(parts)
    return lines


def page(made):
    text = HEAD + "\n## Options of every command\n" + option_rows(made["options"])
    for noun in made["nouns"]:
        text += f"\n## {noun['noun']}\n\n{noun['help'][0].upper()}{noun['help'][1:]}.\n"
        for c in (c for c in made["commands"] if c["noun"] == noun["noun"]):
            text += f"\n### certctl {name_of(c)}{' ' if c['words'] else ''}{c['words']}\n\n{c['help'][0].upper()}{c['help'][1:]}.\n"
            if c["routes"]:
                text += "Calls " + ", ".join(f"`{r}`" for r in c["routes"]) + ".\n"
            if c.get("asks"):
                text += "Asks first.\n"
            text += option_rows(c["options"]) + "".join(f"\n{line}\n" for line in listing(c, "`"))
    return text


# --- the man page ---

def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\\&" + text if text.startswith(".") else text


def man_options(options):
    return "".join(f".TP\n.B {roff(flag_of(o))}\n{roff(say(o))}.\n" for o in options)


def man(made, version):
    text = f""".TH CERTCTL 1 "" "certctl {version}" "User Commands"
.SH NAME
certctl \\- certificates that issue, renew and deploy themselves
.SH SYNOPSIS
.B certctl
.I NOUN VERB
.RI [ WORDS ]
.RI [ OPTIONS ]
.SH DESCRIPTION
The command line over the REST API of a certctl server; it does nothing that the API does not.
Words and options come in any order, and one that a command does not have is refused before anything is done.
\\-\\- ends the options: what stands behind it are words, even one that begins with \\-.
An id may be a name where the list of such objects has \\-\\-query or \\-\\-name.
What cannot be undone is asked about at a terminal, and refused without one unless \\-\\-yes is given.
.SH OPTIONS
These are of every command.
"""
    text += man_options(made["options"]) + ".SH COMMANDS\n"
    for noun in made["nouns"]:
        text += f".SS {roff(noun['noun'])}\n{roff(noun['help'][0].upper() + noun['help'][1:])}.\n"
        for c in (c for c in made["commands"] if c["noun"] == noun["noun"]):
            text += f".PP\n.B certctl {roff(name_of(c))}\n.I {roff(c['words'])}\n.RS\n{roff(c['help'])}.\n" + man_options(c["options"]) \
                + "".join(f".PP\n{roff(line)}\n" for line in listing(c)) + ".RE\n"
    return text + """.SH EXIT STATUS
0 done, 1 failed, 2 wrong usage, 3 not found, 4 not allowed, 5 conflict, 6 the server cannot be reached or is not ready, or the time to wait is over.
.SH ENVIRONMENT
.TP
.B CERTCTL_SERVER_URL
The server.
.TP
.B CERTCTL_API_KEY
The key.
.TP
.B CERTCTL_SERVER_CA_BUNDLE_PATH
Whom the server\\(aqs certificate must be of.
.TP
.B COLUMNS
How wide help is.
"""


def main(arguments):
    if arguments[:1] == ["--man"]:
        sys.stdout.write(man(table(arguments[1]), arguments[2]))
        return 0
    made = page(table(os.path.join(build_dir(arguments), "cli", "certctl")))
    return keep(PAGE, made, "--check" in arguments, "certctl says: run tools/clidoc.py")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
