"""
A load of renewals: certificates over several agents, and threads that ask for
renewals all the time and remember what was accepted.
"""
import itertools
import random
import threading
import time
from collections import Counter

from fleet import wait_for

FINAL = "('Completed', 'Failed', 'Cancelled')"


class Load:
    def __init__(self, fleet, names, seed=1, threads=6, pause=0.005):
        self.fleet, self.names, self.pause = fleet, names, pause
        self.accepted = []
        self.lock = threading.Lock()
        self.is_over = False
        self.threads = [threading.Thread(target=self._run, args=(random.Random(seed + i),), daemon=True) for i in range(threads)]
        for t in self.threads:
            t.start()

    def _run(self, rng):
        while not self.is_over and not self.fleet.is_closing:
            status = self.step(rng)
            if status == 0:
                time.sleep(0.02)  # refused: the API is down just now
            else:
                time.sleep(self.pause)

    def step(self, rng):
        return self.renew(self.fleet.api, rng.choice(self.names))

    def renew(self, api, name):
        status, reply = api.post(f"/api/v1/certificates/{name}/renew", timeout=10)
        if status == 202:
            with self.lock:
                self.accepted += reply.get("job_ids") or [reply["job_id"]]
        return status

    def stop(self):
        self.is_over = True
        for t in self.threads:
            t.join(30)


class Traffic(Load):
    """
    Renewals, enrolments (a target, a certificate and its first issuance) and
    heartbeats, over all apiservers; counts answers by status.
    """

    def __init__(self, fleet, names, agents, **more):
        self.agents = agents
        self.statuses = Counter()
        self.numbers = itertools.count(1)
        self.pulse = fleet.api.need("POST", "/api/v1/agents", {"name": "traffic", "hostname": "traffic.example.test"})["id"]
        super().__init__(fleet, names, **more)

    def step(self, rng):
        api = rng.choice(list(self.fleet.apis.values()))
        what = rng.choices((self.renew_any, self.enrol, self.heartbeat), (70, 10, 20))[0]
        status = what(api, rng)
        with self.lock:
            self.statuses[status] += 1
        return status

    def renew_any(self, api, rng):
        return self.renew(api, rng.choice(self.names))

    def enrol(self, api, rng):
        name = f"enrolled-{next(self.numbers)}"
        directory = self.fleet.dir / "sites" / name
        directory.mkdir()  # beside those of make_certificates()
        status, _ = api.post("/api/v1/targets", self.fleet.target(f"tgt-{name}", self.fleet.processes[rng.choice(self.agents)].agent_id,
                                                                  directory), timeout=10)
        if status == 201:
            status, _ = api.post("/api/v1/certificates", self.fleet.certificate(name, [f"tgt-{name}"]), timeout=10)
        if status == 201:
            status = self.renew(api, name)
        return status

    def heartbeat(self, api, _rng):
        return api.post(f"/api/v1/agents/{self.pulse}/heartbeat", {}, timeout=10)[0]


def make_certificates(fleet, agents, count):
    """count certificates, each with a target on one of the agents in turn; their names."""
    names = []
    for n in range(count):
        agent = fleet.processes[agents[n % len(agents)]]
        fleet.make_target(f"tgt-{n}", agent.agent_id, fleet.dir / "sites" / str(n))
        fleet.make_certificate(f"mc-{n}", [f"tgt-{n}"])
        names.append(f"mc-{n}")
    return names


def done_since(fleet, lease):
    """Certificates stored under leases handed out after that one."""
    return fleet.value("SELECT count(*) FROM jobs WHERE lease_id > %s AND status = 'Completed' "
                       "AND type IN ('Issuance', 'Renewal')", lease)


def last_lease(fleet):
    return fleet.value("SELECT last_value FROM lease_seq")


def wait_quiet(fleet, seconds=60):
    """No job under way any more."""
    wait_for(lambda: fleet.value(f"SELECT count(*) FROM jobs WHERE status NOT IN {FINAL}") == 0, seconds, "the work to end", every=0.1)
