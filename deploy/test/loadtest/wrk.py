"""
wrk as a generator of load: what it asks is a Lua script, what came of it is told exactly, with answers that were not as they should be:
the status, the content type and the body of each are looked at.
"""
import json

from fleet import clean_env
from report import NotMeasured

THREADS = 1
ANY_BODY = "#body > 0"
END = """
local threads = {}
local status, kind = %s, %s
local function is_right(body) return %s end
function setup(thread) table.insert(threads, thread) end
function init() bad = 0 first = "" good = 0 end
function response(got, headers, body)
    local told = (headers["Content-Type"] or headers["content-type"] or ""):match("^[^;]*")
    if got == status and (kind == nil or told == kind) and is_right(body) then good = good + 1 return end
    bad = bad + 1
    if first == "" then first = got .. " " .. told .. ", " .. #body .. " bytes" end
end
function done(summary, latency, requests)
    local bad, good, first = 0, 0, ""
    for _, t in ipairs(threads) do
        bad = bad + t:get("bad") good = good + t:get("good")
        if t:get("first") ~= "" then first = t:get("first") end
    end
    local e = summary.errors
    print(string.format('{"count":%%d,"good":%%d,"bad":%%d,"first_bad":"%%s","seconds":%%.3f,"p50":%%.3f,"p95":%%.3f,"p99":%%.3f,"max":%%.3f,"errors":%%d}',
        summary.requests, good, bad, first, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
        latency:percentile(99) / 1e3, latency.max / 1e3, e.connect + e.read + e.write + e.timeout))
end
"""


def run(stack, port, connections, seconds, script, status=200, kind=None, name="wrk", body=ANY_BODY):
    """
    What came of it: count, good, bad (another status, type or body), errors (of connections), rate, percentiles in ms.
    script: Lua that says request(), or None for GET / of the bare server; body: Lua that says whether the text body is right.
    """
    path = stack.dir / f"{name}.lua"
    path.write_text((script or "") + END % (status, json.dumps(kind) if kind else "nil", body), encoding="utf-8")
    process = stack.generate(name, ["wrk", f"-t{THREADS}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", path,
                                    f"https://127.0.0.1:{port}/"], clean_env())
    ended = stack.await_generator(process, seconds + 60)
    lines = [line for line in process.log().splitlines() if line.startswith("{")]
    if ended != 0 or not lines:
        raise NotMeasured(f"wrk ended with status {ended}: {process.log()[-1000:]}")
    got = json.loads(lines[-1])
    return got | {"rate": got["count"] / got["seconds"]}


def floor(stack, connections, seconds):
    """Requests a second of the bare server; one that refuses would be quicker than any that answers."""
    got = run(stack, stack.start_bare(), connections, seconds, None, name="floor")
    stack.end_bare()
    if got["bad"] + got["errors"]:
        raise NotMeasured(f"the bare server: {got['bad']} answers that were not right ({got['first_bad']}), {got['errors']} errors of connections")
    return got["rate"]


def tell(report, name, got, least):
    """A measure, and that all was as it should be, least a second of it."""
    report.measure(name, "ms", count=got["count"], seconds=got["seconds"], p50=got["p50"], p95=got["p95"], p99=got["p99"], max=got["max"],
                   errors=got["bad"] + got["errors"])
    report.threshold(f"{name}: answers that were not right", "== 0", got["bad"] + got["errors"])
    report.threshold(f"{name}: right answers", f">= {int(least * got['seconds'])}", got["good"])
