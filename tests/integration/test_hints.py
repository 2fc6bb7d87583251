"""
Hints between the processes are lost, doubled, late, in another order, made up
and broken.  They only make things faster: every job is done, once.
"""
import random
import sys
import time
from pathlib import Path

import pytest

from fleet import Fleet, wait_for
from load import Load, done_since, last_lease, make_certificates, wait_quiet
from relay import Relay, hint

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import checker  # noqa: E402

# Hints that nobody sent, or nobody could have.
NONSENSE = [
    hint({}), hint({"jobs": 5, "issuers": ["iss-none"], "agents": ["agent-none"], "tables": ["no_such_table"]}),
    hint({"jobs": -1, "issuers": "iss-local", "agents": {"a": 1}, "finished": 7}), hint({"finished": ["job-none"] * 500}),
    hint([]), hint(b"{"), hint(b""), hint({"jobs": 1}, term=2**63), hint({"jobs": 1}, kind=3), hint({"jobs": 1}, kind=99),
    b"", b"rubbish", hint({"jobs": 1})[:-1], b"CB\x02" + hint({"jobs": 1})[3:], hint({"jobs": 1}) + b"more",
]


class Fate:
    """What becomes of each hint; seeded, so that a run can be had again."""

    def __init__(self, seed=7):
        self.rng = random.Random(seed)
        self.how = "pass"
        self.kept = []

    def __call__(self, message):
        if self.how == "lose":
            return []
        if self.how == "double":
            return [message] * 3
        if self.how == "reorder":
            self.kept.append(message)
            if len(self.kept) < 8:
                return []
            out, self.kept = self.kept, []
            self.rng.shuffle(out)
            return out
        if self.how == "nonsense":
            return [self.rng.choice(NONSENSE), message, self.rng.choice(NONSENSE)]
        return [message]


@pytest.fixture(scope="module")
def plane(request):
    """Everybody but the scheduler speaks to a relay."""
    fleet = Fleet("hints")
    relay = None
    try:
        fleet.start_postgres()
        fleet.start_scheduler()
        real = fleet.bus_urls()[0].removeprefix("ipc://")
        wait_for(lambda: all(Path(real + link).exists() for link in (".hint", ".work", ".events")), 10, "the scheduler")
        fleet.fate = Fate()
        relay = fleet.relay = Relay(f"{fleet.dir}/bus/relay", real, fleet.fate)
        url = f"ipc://{fleet.dir}/bus/relay"
        fleet.start_apiserver(CERTCTL_BUS_URLS=url)
        fleet.start_worker(CERTCTL_BUS_URLS=url)
        fleet.make_basics()
        fleet.start_agent()
        fleet.names = make_certificates(fleet, ["agent-1"], 12)
        yield fleet
    finally:
        fleet.close()
        if relay:
            relay.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


@pytest.mark.parametrize("how", ["pass", "lose", "double", "reorder", "nonsense"])
def test_hints(plane, how):
    plane.fate.how = how
    seen, sent = plane.relay.seen, plane.relay.sent
    lease = last_lease(plane)
    since = time.monotonic()
    load = Load(plane, plane.names, threads=3)
    try:
        wait_for(lambda: done_since(plane, lease) >= 25, 40, "certificates")
    finally:
        load.stop()
    wait_quiet(plane, 40)
    print(f"hints {how}: {plane.relay.seen - seen} seen, {plane.relay.sent - sent} passed on, {time.monotonic() - since:.1f} s")
    assert plane.relay.seen > seen, "there were hints"
    assert (plane.relay.sent > sent) == (how != "lose")
    assert checker.check(plane.query, load.accepted, plane.dir / "journal") == ([], [])
    for name in ("scheduler-1", "worker-1", "apiserver"):
        assert plane.processes[name].popen.poll() is None
    if how == "nonsense":
        assert "BUS-BAD-FRAME" in plane.processes["scheduler-1"].log()
