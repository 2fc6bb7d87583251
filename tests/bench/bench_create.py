"""
Writing and starting: certificates that are made one by one, beside pgbench on
the same SQL; and how long an apiserver takes from exec to its first answer with
a million certificates.
"""
import statistics
import time

import bench as b
from bench_common import RUNS, pss_kb, sized
from bench_lists import CLIENTS, FILL, PATH, script, with_plane
from fleet import API_KEY, wait_for
from statements import statements

STARTED_WITH = sized(1_000_000, 300)
ROW = ('"common_name":"x.example.test","sans":["x.example.test"],"owner_id":"o-test","team_id":"t-test","issuer_id":"iss-local",'
       '"renewal_policy_id":"rp-default"')


def posts(fleet, run):
    """Certificates of names that no other run has."""
    path = fleet.dir / f"create-{run}.lua"
    path.write_text(f'''local n = 0
wrk.headers["Authorization"] = "Bearer {API_KEY}"
wrk.headers["Content-Type"] = "application/json"
function request()
    n = n + 1
    return wrk.format("POST", "/api/v1/certificates", nil, '{{"name":"made-{run}-' .. n .. '",{ROW}}}')
end
''')
    return path


def same_sql(fleet):
    path = fleet.dir / "create.sql"
    given = "('{\"name\":\"raw-' || :a || '-' || :b || '\"," + ROW + "}')::jsonb"
    path.write_text("\\set a random(1, 1000000000)\n\\set b random(1, 1000000000)\n"
                    + statements()["cert_create"][1].replace("$1::jsonb", given).replace("$2", "'x'").replace("$3", "'APIKey'") + ";\n")
    return path


def create(bench, fleet):
    sql, ours, p99s, floor, bad = same_sql(fleet), [], [], [], 0
    for run in range(RUNS):
        rate, p99, wrong = b.wrk(f"https://127.0.0.1:{fleet.api_port}/", b.CONNECTIONS, b.SECONDS, posts(fleet, run))
        ours.append(rate)
        p99s.append(p99)
        bad += wrong
        floor.append(max(bench.pgbench(fleet, sql, clients) for clients in CLIENTS))
    bench.add("create_certificate", statistics.median(ours), "req/s", statistics.median(o / f for o, f in zip(ours, floor)), None,
              f"p99 {statistics.median(p99s):.1f} ms, {b.CONNECTIONS} connections, {bad} bad answers; pgbench on the same SQL "
              f"{statistics.median(floor):.0f}/s; target 3000")


def start(bench, fleet):
    fleet.query(FILL, 0, STARTED_WITH)
    with fleet.admin() as c:
        c.execute("VACUUM ANALYZE")
    took = []
    for _ in range(RUNS):
        fleet.processes["apiserver"].stop()
        began = time.monotonic()
        fleet.start_apiserver(keep=True, CERTCTL_LOG_LEVEL="warn")
        wait_for(lambda: fleet.api.get("/api/v1/certificates")[0] == 200, 20, "the first page", every=0.005)
        took.append(1000 * (time.monotonic() - began))
    rest = pss_kb(fleet.processes["apiserver"].pid)
    b.wrk(f"https://127.0.0.1:{fleet.api_port}/", b.CONNECTIONS, b.SECONDS, script(fleet, "page", f'"{PATH}"', **{"Cache-Control": "no-cache"}))
    kb = pss_kb(fleet.processes["apiserver"].pid)
    bench.add("start_1m", statistics.median(took), "ms", None, None, f"from exec to a page of {STARTED_WITH} certificates")
    bench.add("memory_api", kb / 1024, "MB", None, 40, f"PSS after {b.SECONDS} s of pages over {b.CONNECTIONS} connections; {rest / 1024:.1f} MB after "
              "the first page", at_most=True)


ENTRIES = {"create_certificate": with_plane(create), "start_1m": with_plane(start)}
