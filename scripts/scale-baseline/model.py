"""
The model of certctl size: each fact from the newest artifact that has it, else from a sentence of a page that
tells of a measurement, else said to be unmeasured.  model.json lists them; the outcome is cli/size_model.def.
"""
import json
import re

from artifacts import Refused

FIELDS = {"name", "unit", "what", "artifact", "of", "page", "why"}
NUMBERS = ("certificates", "agents")
HEAD = """/* Made by scripts/scale-baseline/extract.sh from artifacts and pages; do not edit.
 * FACT(name, is it measured, value, unit, what it is, certificates and agents it was measured with, origin) */
"""


def from_artifact(fact, found):
    """(value, certificates, agents, origin), or None where no such run is archived; of what it does not grow by ("of" says by what) it is 0."""
    scenario, counter = fact["artifact"]
    s = found.get(scenario)
    if s is None:
        return None
    if counter not in s["counters"]:
        raise Refused(f"model.json: {fact['name']}: the newest run of {scenario} has no counter {counter}")
    if set(fact["of"]) - set(NUMBERS) or set(fact["of"].values()) - set(s["load"]):
        raise Refused(f"model.json: {fact['name']}: \"of\" has {' and '.join(NUMBERS)} and for each a field of the run's load")
    return (s["counters"][counter], *(s["load"][fact["of"][number]] if number in fact["of"] else 0 for number in NUMBERS),
            f"{scenario} of {s['date'][:10]}, commit {s['commit'][:12]}")


def from_page(fact, root):
    """The sentence must stand in the page, however its lines are broken, and hold the figure."""
    page = fact["page"]
    text = " ".join((root / page["file"]).read_text(encoding="utf-8").split())
    if page["says"] not in text:
        raise Refused(f"model.json: {fact['name']}: {page['file']} does not say \"{page['says']}\"")
    if page["figure"] not in re.findall(r"[\d,.]*\d", page["says"]):
        raise Refused(f"model.json: {fact['name']}: the figure {page['figure']} is not in what the page says")
    return float(page["figure"].replace(",", "")) * page.get("times", 1), page["certificates"], page["agents"], page["file"]


def facts(root, found):
    """[(fact, value or None, certificates, agents, origin)]"""
    made = []
    listed = json.loads((root / "scripts/scale-baseline/model.json").read_text(encoding="utf-8"))
    for fact in listed:
        unknown = set(fact) - FIELDS
        if unknown:
            raise Refused(f"model.json: {fact.get('name')}: unknown field {min(unknown)}")
        taken = from_artifact(fact, found) if "artifact" in fact else None
        if taken is None and "page" in fact:
            taken = from_page(fact, root)
        made.append((fact, *(taken or (None, 0, 0, "not measured: " + fact["why"]))))
    return made


def literal(text):
    return json.dumps(text, ensure_ascii=True)


def definition(root, found):
    rows = []
    for fact, value, certificates, agents, origin in facts(root, found):
        known = "false" if value is None else "true"
        number = 0.0 if value is None else float(value)
        rows.append(f"FACT({fact['name']}, {known}, {number!r}, {literal(fact['unit'])}, {literal(fact['what'])}, {certificates}, {agents},\n"
                    f"    {literal(origin)})\n")
    return HEAD + "".join(rows)
