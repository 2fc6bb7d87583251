"""
What a run is asked for: which scenarios, how long, how many of what; and whether they can do that.  Nothing is taken and passed over:
what a scenario does not take is refused by its name.

A scenario's module may say TAKES (the variables it heeds; without it DURATION alone), LONGEST (the seconds beyond which a longer
DURATION would change nothing), OWN_SERVER (why it needs a PostgreSQL of its own) and SCRIPT (k6 makes its load).
"""
import argparse
import re
import sys

GROUPS = ("main", "scale")
LEAST_S = 5
UNITS = {"s": 1, "m": 60, "h": 3600}
AMOUNTS = ("MINUTES", "CERTIFICATES", "AGENTS")


def duration(text):
    """Seconds, of 30s, 5m or 1h."""
    found = re.fullmatch(r"(\d{1,6})(s|m|h)?", text)
    seconds = int(found[1]) * UNITS[found[2] or "s"] if found else 0
    if seconds < LEAST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration of at least {LEAST_S} s, such as 30s or 5m")
    return seconds


def amounts_of(environment):
    """{variable: number} of those that are set and not empty."""
    found = {name: environment[name] for name in AMOUNTS if environment.get(name)}
    for name, text in found.items():
        if not re.fullmatch(r"[1-9]\d{0,6}", text):
            sys.exit(f"loadtest: {name}={text} is no whole number from 1 to 9999999")
    return {name: int(text) for name, text in found.items()}


def settle(arguments, amounts):
    """MINUTES is DURATION in another word; amounts keeps the others."""
    minutes = amounts.pop("MINUTES", None)
    if minutes and arguments.duration:
        sys.exit("loadtest: MINUTES and DURATION both say how long: give one of them")
    arguments.duration = 60 * minutes if minutes else arguments.duration
    arguments.amounts = amounts


def takes(module):
    return getattr(module, "TAKES", ("DURATION",))


def refusals(names, modules, arguments):
    """What these scenarios cannot do of what was asked for: words for each."""
    for name in names:
        module, longest = modules[name], getattr(modules[name], "LONGEST", None)
        if arguments.duration and "DURATION" not in takes(module):
            yield f"{name} takes no DURATION: it ends when its work is done"
        elif arguments.duration and longest and arguments.duration > longest:
            yield f"{name} takes a DURATION of {longest} s at most, not {arguments.duration} s: it would do no more in that time"
        for variable in arguments.amounts:
            if variable not in takes(module):
                takers = [n for n, m in modules.items() if variable in takes(m)]
                yield f"{name} takes no {variable}; those that do: {', '.join(takers)}"


def chosen(words, modules):
    names = []
    for word in words:
        found = [n for n, m in modules.items() if m.GROUP == word] if word in GROUPS else [word] if word in modules else None
        if not found:
            sys.exit(f"loadtest: there is no scenario {word}; there are: {' '.join(modules)}, and the groups {' '.join(GROUPS)}")
        names += [n for n in found if n not in names]
    return names


def needs_own_server(name, modules, arguments):
    """Why it cannot run against the server that was given; None where it can."""
    return getattr(modules[name], "OWN_SERVER", None) if arguments.database else None


def driver_of(module, arguments, has_k6):
    """
    ("k6" or "plain", None), or (None, why there is neither).  plain.py stands in for k6 where the run is short or somebody said so:
    another generator's figures are not the record's.
    """
    if not hasattr(module, "SCRIPT") or (has_k6 and arguments.driver != "plain"):
        return "k6" if has_k6 else "plain", None
    if not hasattr(module, "request"):
        return None, "this load is written for k6 alone, and k6 is not here or not to be taken; tools/k6.sh installs it"
    if arguments.driver != "plain" and (arguments.duration or module.SECONDS) >= module.SECONDS:
        return None, ("a full run takes k6, and k6 is not here; tools/k6.sh installs it.  --driver plain makes the load by plain.py, "
                      "which is no part of the record")
    return "plain", None
