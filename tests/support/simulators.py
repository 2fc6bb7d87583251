#!/usr/bin/python3
"""
The simulated CAs by themselves, to try the product with (`make up SIM=1`):

    simulators.py --ports               how many ports they take
    simulators.py DIRECTORY PORT...     one for each, and one more for the http-01 of ACME's client

An order is worked on for two looks, then issued.  Once all listen,
DIRECTORY/issuers.json tells how workers reach them ("settings") and how an issuer
of each is configured ("issuers").  What they were asked for ends with the process.
"""
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

from ca_kinds import CONNECTORS, Rest, start_simulators
from sinks import Sink

KINDS = {kind: made for kind, made in CONNECTORS.items() if hasattr(made, "simulator")}
PORTS = len(KINDS) + 1
DAYS = 365


def issuer(stack, kind):
    made = KINDS[kind](stack, kind)
    if isinstance(made, Rest):
        made.sim.behave()
    return {"id": f"sim-{kind}", "name": f"Simulated {kind}"} | made.config


def main():
    if sys.argv[1:] == ["--ports"]:
        sys.exit(print(PORTS))
    directory, ports = Path(sys.argv[1]), [int(port) for port in sys.argv[2:]]
    if len(ports) != PORTS:
        sys.exit(f"usage: simulators.py DIRECTORY PORT...   ({PORTS} ports)")
    told = directory / "issuers.json"
    told.unlink(missing_ok=True)
    for name in ("scripts", "clients", "trust"):
        shutil.rmtree(directory / name, ignore_errors=True)
    Sink.ports = iter(ports)
    stack = SimpleNamespace(dir=directory, free_port=lambda: ports[-1])
    settings = start_simulators(stack, DAYS)
    del settings["CERTCTL_SCRIPT_ISSUER_DIR"]
    issuers = [issuer(stack, kind) for kind in KINDS]
    temporary = directory / "issuers.new"
    temporary.write_text(json.dumps({"settings": settings, "issuers": issuers}, indent=1) + "\n")
    os.replace(temporary, told)
    print(f"{len(issuers)} simulated CAs listen", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
