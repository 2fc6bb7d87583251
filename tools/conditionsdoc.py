#!/usr/bin/python3
"""Makes what tells of the conditions from apiserver/conditions.def: the table in
docs/operator/conditions.md and the alert rules deploy/prometheus/certctl.rules.yml.

  tools/conditionsdoc.py           write both
  tools/conditionsdoc.py --check   exit 1 when one differs
"""
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCE = "apiserver/conditions.def"
PAGE = "docs/operator/conditions.md"
RULES = "deploy/prometheus/certctl.rules.yml"
RUNBOOK = "docs/operator/monitoring.md"
BEGIN, END = f"<!-- Made by tools/conditionsdoc.py from {SOURCE}; do not edit. -->\n", "<!-- End of what is made. -->\n"
TEXT = r'("(?:[^"\\]|\\.)*")'
ROW = re.compile(rf"^CONDITION\((\w+), (CRITICAL|WARNING|NOTICE), {TEXT}, {TEXT}, {TEXT}\)$", re.M)
# A moment's state is no alert; what stands still is one sooner than what may mend itself.
WAIT = {"critical": "2m", "warning": "15m"}


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def conditions():
    """[(name, severity, what it is, what to do)]"""
    text = read(SOURCE)
    rows = [(name, severity.lower(), json.loads(what), json.loads(advice)) for name, severity, what, _, advice in ROW.findall(text)]
    if len(rows) != len(re.findall(r"^CONDITION\(", text, re.M)):
        raise SystemExit(f"{SOURCE}: a line cannot be read")
    return rows


def runbook(advice):
    """The page that the advice names, or else that of all conditions."""
    named = re.search(r"docs/operator/[\w/-]+\.md|docs/internals/[\w-]+\.md", advice)
    return named[0] if named else PAGE


def page():
    text = "| Condition | Severity | What it is | What to do |\n|---|---|---|---|\n"
    for name, severity, what, advice in conditions():
        text += f"| `{name}` | {severity} | {what} | {advice} |\n"
    before, rest = read(PAGE).split(BEGIN, 1)
    return before + BEGIN + text + END + rest.split(END, 1)[1]


def rules():
    text = f"# Made by tools/conditionsdoc.py from {SOURCE}; do not edit.\ngroups:\n  - name: certctl\n    rules:\n"
    # Who can't be asked says nothing of the others.
    text += ("      - alert: CertctlUnreachable\n        expr: absent(certctl_condition_count)\n        for: 2m\n"
             "        labels:\n          severity: critical\n        annotations:\n"
             "          summary: \"no apiserver answers the scrape\"\n"
             "          description: \"Start one, or see what its /ready says.\"\n"
             f"          runbook: \"{RUNBOOK}\"\n")
    for name, severity, what, advice in conditions():
        if severity == "notice":
            continue
        alert = "Certctl" + "".join(w.capitalize() for w in name.split("_"))
        text += (f"      - alert: {alert}\n        expr: max(certctl_condition_count{{condition=\"{name}\"}}) > 0\n        for: {WAIT[severity]}\n"
                 f"        labels:\n          severity: {severity}\n        annotations:\n"
                 f"          summary: {json.dumps(what)}\n          description: {json.dumps(advice)}\n"
                 f"          runbook: {json.dumps(runbook(advice))}\n")
    return text


def main(arguments):
    differs = False
    for name, made in ((PAGE, page()), (RULES, rules())):
        path = os.path.join(ROOT, name)
        if "--check" not in arguments:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(made)
        elif not os.path.exists(path) or read(name) != made:
            print(f"{name} is not what {SOURCE} says: run tools/conditionsdoc.py", file=sys.stderr)
            differs = True
    return int(differs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
