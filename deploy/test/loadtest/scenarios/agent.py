"""
The heartbeats of five thousand agents, 167 a second, each agent with its own key as a registered one has: so each has a rate of its
own at the limiter, whose settings are those of a new installation.
"""
import k6

NAME = "agent_storm"
GROUP = "scale"
SECONDS = 300
WHAT = "167 req/s POST /api/v1/agents/{id}/heartbeat, 5000 agents, each with its own key"
SCRIPT = "agent_storm"
AGENTS = 5000
RATE = 167


def run(run):
    with run.stack() as stack:
        stack.start(workers=1)
        stack.seed("02_agent_fleet.sql")
        run.report.load(agents=AGENTS)
        before = stack.value("SELECT now()")
        floor = k6.floor(stack, RATE, run.seconds) if stack.driver == "k6" else None
        with stack.sampled():
            data = k6.drive(stack, run.module, run.seconds)
        k6.measure(run.report, data, "http_req_duration{scenario:agent_storm}", failed="http_req_failed{scenario:agent_storm}",
                   seconds=run.seconds)
        k6.counters(run.report, data, "agent_storm_ok")
        k6.thresholds(run.report, data)
        touched = stack.value("SELECT count(*) FROM agents WHERE last_heartbeat_at >= %s AND id LIKE 'ag-loadtest-%%'", before)
        run.report.count(agents_touched=touched)
        run.report.threshold("agents whose heartbeat is stored", f">= {min(AGENTS, int(0.99 * RATE * run.seconds))}", touched)
        k6.tell_floor(run.report, data, "http_req_duration{scenario:agent_storm}", floor)


# --- the same for plain.py ---
THRESHOLDS = {"http_req_duration{scenario:agent_storm}": ("p(95)<500", "p(99)<1000"), "http_req_failed{scenario:agent_storm}": ("rate<0.001",)}


def request(n):
    number = f"{n % AGENTS + 1:05d}"
    return ("POST", f"/api/v1/agents/ag-loadtest-{number}/heartbeat", f"loadtest-agent-key-{number}",
            {"version": "2.1.0", "hostname": f"loadtest-{number}.fleet.example.test", "os": "linux", "architecture": "amd64"})


def is_right(reply):
    return reply["status"] == "heartbeat_recorded"
