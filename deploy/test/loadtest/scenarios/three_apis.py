"""
Three apiservers behind one port, which the kernel shares out (SO_REUSEPORT): heartbeats and lists, by as many connections, beside one
apiserver; and one of them killed in the middle.
"""
import time

import engine
import wrk
from fleet import API_KEY, Api

NAME = "three_apiservers"
GROUP = "scale"
SECONDS = 60
WHAT = "heartbeats and lists, 48 connections, at one apiserver and then at three behind one port; one of the three is killed"
AGENTS = 5000
CONNECTIONS = 48
LEAST = 200
PAGE = 50
# One key asks for all, from one address.
SETTINGS = {"CERTCTL_RATE_LIMIT_PER_USER_RPS": "1000000", "CERTCTL_RATE_LIMIT_PER_USER_BURST": "1000000"}
ASK = f"""
local n = math.random(1000)
local body = '{{"version":"2.1.0","hostname":"host","os":"linux","architecture":"x86_64"}}'
local headers = {{["Authorization"] = "Bearer {API_KEY}", ["Content-Type"] = "application/json"}}
function request()
    n = n + 1
    if n % 4 == 0 then return wrk.format("GET", "/api/v1/certificates?per_page={PAGE}", headers) end
    return wrk.format("POST", "/api/v1/agents/ag-" .. (n * 7919 % {AGENTS} + 1) .. "/heartbeat", headers, body)
end
"""
# A sign of life that was taken, or a whole page.
RIGHT = f'''body == '{{"status":"heartbeat_recorded"}}\\n' or select(2, body:gsub('"common_name":', "")) == {PAGE}'''


def seed(stack):
    stack.query("INSERT INTO agents (id, name, hostname, status, last_heartbeat_at, api_key_hash, os, architecture) SELECT 'ag-' || i, 'many-' || i, "
                "'host-' || i, 'Online', now(), 'x', 'linux', 'x86_64' FROM generate_series(1, %s) i", AGENTS)
    stack.make_basics()
    engine.Bench().make_certificates(stack, PAGE)
    stack.query("VACUUM ANALYZE")


def run(run):
    seconds = max(4, run.seconds // 3)
    with run.stack(shared_buffers="1GB") as stack:
        stack.start(workers=1, **SETTINGS)
        seed(stack)
        run.report.load(agents=AGENTS, certificates=PAGE, connections=CONNECTIONS)
        before = stack.value("SELECT now()")
        one = wrk.run(stack, stack.api_port, CONNECTIONS, seconds, ASK, kind="application/json", name="one", body=RIGHT)
        for i in (2, 3):
            stack.start_beside(i, **SETTINGS)
        stack.tell_settings()
        with stack.sampled():
            three = wrk.run(stack, stack.api_port, CONNECTIONS, seconds, ASK, kind="application/json", name="three", body=RIGHT)
        share = {row["name"]: row["cpu_s"] for row in run.report.data["processes"] if row["name"].startswith("apiserver")}
        wrk.tell(run.report, "one apiserver", one, LEAST)
        wrk.tell(run.report, "three apiservers behind one port", three, LEAST)
        # Every fourth request is a list, and so every fourth agent is not asked for.
        touched = stack.value("SELECT count(*) FROM agents WHERE last_heartbeat_at >= %s", before)
        run.report.threshold("agents whose heartbeat is stored", f">= {min(3 * AGENTS // 4, int(0.7 * three['good']))}", touched)
        run.report.threshold("apiservers that worked", "== 3", sum(s > 0.01 * sum(share.values()) for s in share.values()))
        run.report.floor("one apiserver, the same requests; processors are shared with what asks", round(one["rate"], 1), "req/s",
                         round(three["rate"] / one["rate"], 3))
        kill_one(stack, run.report)


def kill_one(stack, report):
    """Asked for anew each time: until the kernel sends nobody to it any more."""
    stack.processes.pop("apiserver-3").kill()
    started, failed, good = time.monotonic(), 0, 0
    while good < 100:
        status, _ = Api(stack.api_port, stack.dir / "tls" / "api.pem").get("/health", key="", timeout=5)
        good, failed = (good + 1, failed) if status == 200 else (0, failed + 1)
        if time.monotonic() > started + 60:
            break
    report.count(new_connections_that_failed_after_the_kill=failed)
    report.threshold("new connections in a row that were answered after one was killed", ">= 100", good)
    report.threshold("new connections that failed after the kill", "<= 3", failed)
