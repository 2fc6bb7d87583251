"""Simulated CAs beside the stack (make up SIM=1): the tests' own, as one more process."""
import json
import os
import shutil

from . import ports, services
from .layout import CHECKOUT
from .ui import StepFailed, wait_until

FIRST_PORT = 8501
SUPPORT = CHECKOUT / "tests" / "support"


def _told(layout):
    return layout.simulators / "issuers.json"


def _read(layout):
    """What the simulators say of themselves; {} where there are none."""
    if not (layout.services / services.SIMULATORS).is_dir():
        return {}
    text = layout.read_as(layout.user, _told(layout))
    return json.loads(text) if text else {}


def settings(layout):
    """Of the workers, which may call them."""
    return _read(layout).get("settings", {})


def issuers(layout):
    return _read(layout).get("issuers", [])


def is_wanted(state):
    """SIM=1 is remembered until SIM=0."""
    said = os.environ.get("SIM", "")
    if said not in ("", "0", "1"):
        raise StepFailed(f"SIM is {ascii(said)}", "SIM=1 starts simulated CAs, SIM=0 ends them")
    return state.get("sim", False) if said == "" else said == "1"


def _choose_ports(layout, state, n):
    """As many as last time, if these are free or ours."""
    kept = state.get("sim_ports", [])
    running = services.SIMULATORS in services.pids(layout)
    if len(kept) == n and (running or all(ports.is_free(port) for port in kept)):
        return kept
    chosen, taken = [], [v for k, v in state.items() if k.endswith("_port")]
    for _ in range(n):
        port, _ = ports.choose(chosen[-1] + 1 if chosen else FIRST_PORT, taken=[*taken, *chosen])
        chosen.append(port)
    return chosen


def start(layout, steps):
    """Copies them to where the service user can read them, and starts them; how many there are."""
    where = layout.base / "simulators"
    shutil.rmtree(where, ignore_errors=True)
    shutil.copytree(SUPPORT, where, ignore=lambda _, names: [n for n in names if not n.endswith(".py")])
    for path in [where, *where.iterdir()]:
        os.chmod(path, 0o755 if path.is_dir() else 0o644)
    program = ["/usr/bin/python3", "-B", where / "simulators.py"]
    n = int(layout.run_as(layout.user, 'exec /usr/bin/python3 -B "$1" --ports', where / "simulators.py"))
    chosen = layout.remember(sim=True, sim_ports=_choose_ports(layout, layout.state(), n))["sim_ports"]
    (layout.services / services.SIMULATORS).mkdir(parents=True, exist_ok=True)
    services.define(layout, services.SIMULATORS, [*program, layout.simulators, *chosen], {}, layout.user)
    services.supervise(layout)
    services.start(layout, services.SIMULATORS, steps)
    # They are made anew, so that they are those of this checkout.
    layout.run_as(layout.user, 'rm -f -- "$1"', _told(layout))
    services.restart(layout, services.SIMULATORS)
    wait_until(lambda: issuers(layout), 30, steps, "the simulated CAs to listen")
    return f"{len(issuers(layout))} simulated CAs from port {chosen[0]} on"


def end(layout, steps):
    if (layout.services / services.SIMULATORS).is_dir():
        services.remove(layout, services.SIMULATORS, steps)
        layout.remember(sim=False)
        return "ended; their issuers stay, and say that they cannot be reached"
    return "none (SIM=1 starts them)"
