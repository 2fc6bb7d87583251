"""
Every kind of CA beside the local one, for `make chaos ISSUERS=all`: the connectors
and simulators of the conformance suite (ca_kinds.py).  They answer late, cut answers off and work on
an order for a while; each order that a CA was ever given stands in its
simulator, and there must be one for each job that ended with a certificate of it.
A CA that gives a certificate once and has none to be found later may have one more
for each job that failed, and says so, because its answer was lost.
"""
import time
from collections import Counter

import psycopg2
from ca_kinds import CONNECTORS, GIVEN_ONCE, OUTSIDE, Rest, start_simulators
from fleet import Timeout, wait_for

CERTIFICATES = 3  # of each CA
WORKED_ON_S = 3  # an order, asked for or not: some CAs list only what they have issued
# Answers that are lost on their way: only a look-up tells whether the order was taken.
LOST = ({"close": "after"}, {"close": "before"}, {"truncate": True}, {"status": 503}, {"delay": 2})
POLLED = ("UPDATE jobs SET run_after = now() WHERE status = 'Pending' AND run_after > now() AND run_after < 'infinity' "
          "AND checkpoint ->> 'state' = 'ordered'")


class Issuers:
    def __init__(self, fleet, rng):
        self.fleet, self.rng, self.made, self.seen = fleet, rng, {}, {}
        self.settings = start_simulators(fleet)

    def make(self, agents):
        """The names of their certificates."""
        names = []
        for kind in OUTSIDE:
            issuer = self.made[kind] = CONNECTORS[kind](self.fleet, f"chaos-{kind}")
            issuer.id = f"iss-{kind}"
            self.fleet.api.need("POST", "/api/v1/issuers", {"id": issuer.id, "name": kind} | issuer.config)
            if isinstance(issuer, Rest) and not issuer.issues_at_once:
                issuer.pending()
            for i in range(CERTIFICATES):
                name = f"{kind}-{i}"
                self.fleet.make_target(f"tgt-{name}", self.rng.choice(agents), self.fleet.dir / "sites" / name)
                self.fleet.make_certificate(name, [f"tgt-{name}"], issuer_id=issuer.id)
                names.append(name)
        return names

    def rest(self):
        return [i for i in self.made.values() if isinstance(i, Rest)]

    def trouble(self):
        """
        The next order of one of them is answered badly, and then it is looked up: that of a CA whose orders are looked up by placing them
        again must be answered before its time is over, so no other fault waits for it.
        """
        issuer = self.rng.choice(self.rest())
        if not issuer.sim.faults and not self.in_question(issuer):
            issuer.sim.fault(issuer.places, **self.rng.choice(LOST))

    def in_question(self, issuer):
        try:
            return bool(self.fleet.query("SELECT 1 FROM jobs WHERE issuer_id = %s AND checkpoint ->> 'state' = 'placing' "
                                         "AND status IN ('Pending', 'Running') LIMIT 1", issuer.id))
        except psycopg2.Error:
            return True  # it starts again

    def go_on(self):
        """What they have worked on for long enough is done."""
        for issuer in (i for i in self.rest() if not i.issues_at_once):
            with issuer.sim.lock:
                for number, order in issuer.sim.orders.items():
                    if time.monotonic() - self.seen.setdefault((issuer.id, number), time.monotonic()) > WORKED_ON_S:
                        order["status"] = order["status"] or issuer.ready_word

    def hurry(self):
        """What waits for its next poll is polled at once; what may be on its way to a CA keeps its time."""
        self.go_on()
        try:
            self.fleet.query(POLLED)
        except psycopg2.Error:
            pass  # it starts again

    def quiet(self):
        """Some CAs tell of an order a minute later only; no further one is answered badly: each would be looked up for minutes."""
        for issuer in self.rest():
            with issuer.sim.lock:
                issuer.sim.faults.clear()

        def still():
            self.hurry()
            return not left("1", "LIMIT 1")

        def left(what, more=""):
            return self.fleet.query(f"SELECT {what} FROM jobs WHERE status IN ('Pending', 'Running', 'AwaitingCSR') AND issuer_id = ANY (%s) "
                                    f"AND checkpoint ->> 'state' IS DISTINCT FROM 'uncertain' {more}", [i.id for i in self.made.values()])
        try:
            wait_for(still, 600, "the CAs' orders to end", every=0.3)
        except Timeout:
            print("left:", *left("id, issuer_id, status, attempts, run_after, checkpoint ->> 'state', last_error"), sep="\n  ")
            raise

    def count(self):
        """{kind: (orders, jobs)}: what each CA was asked for, and who has a certificate of it or lost its only answer."""
        had = "SELECT issuer_id, count(*) FROM jobs WHERE status = ANY (%s) AND type <> 'Deployment' GROUP BY 1"
        completed, ended = dict(self.fleet.query(had, ["Completed"])), dict(self.fleet.query(had, ["Completed", "Failed"]))
        counted = {}
        for kind, issuer in self.made.items():
            orders, jobs = issuer.orders(), completed.get(issuer.id, 0)
            counted[kind] = (orders, min(max(orders, jobs), ended.get(issuer.id, 0)) if kind in GIVEN_ONCE else jobs)
        return counted

    def states(self, kind):
        """What became of its orders, for whoever finds one too many."""
        issuer = self.made[kind]
        return Counter(issuer.sim.status(o) if isinstance(issuer, Rest) else o["status"] for o in issuer.sim.orders.values()) if hasattr(issuer, "sim") else {}

    def close(self):
        for issuer in self.made.values():
            issuer.close()
        for sim in self.fleet.sims.values():
            sim.close()
