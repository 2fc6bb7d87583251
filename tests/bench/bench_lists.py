"""
Reading: a page of certificates from the database, at three sizes of the
inventory, the same for all who ask and another for each; the same page from
memory, whole and as 304; one certificate; and an agent's question for work
where there is none.
"""
import http.client
import statistics

import bench as b
from bench_common import BENCH_PG, RUNS, sized
from fleet import API_KEY, Fleet
from statements import statements

SIZES = sized((("10k", 10_000), ("100k", 100_000), ("1m", 1_000_000)), (("10k", 100), ("100k", 200), ("1m", 300)))
CLIENTS = sized((8, 32), (4,))
PATH = "/api/v1/certificates"
PLACES = 199
FILL = """
INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id, status, expires_at,
    valid_from, created_at)
SELECT 'mc-' || i, 'mc-' || i, 'mc-' || i || '.example.test', ARRAY['mc-' || i || '.example.test'], 'o-test', 't-test', 'iss-local',
    'rp-default', 'Active', now() + interval '80 days', now() - interval '10 days', now() + i * interval '1 ms'
FROM generate_series(%s + 1, %s) i"""


def script(fleet, name, request, **headers):
    lines = [f'wrk.headers["{k}"] = [==[{v}]==]' for k, v in ({"Authorization": f"Bearer {API_KEY}"} | headers).items()]
    path = fleet.dir / f"{name}.lua"
    path.write_text("\n".join(lines) + f"\nfunction request()\n    return wrk.format(nil, {request})\nend\n")
    return path


def same_sql(fleet):
    """What one page asks the database for."""
    found = statements()
    path = fleet.dir / "page.sql"
    path.write_text(found["cert_page"][1].replace("$1::bigint", "50") + ";\n" + found["cert_total"][1] + ";\n")
    return path


def places(fleet):
    """A request for a page at one of many places of a walk."""
    found, cursor = [], ""
    while len(found) < PLACES and cursor is not None:
        page = fleet.api.need("GET", f"{PATH}?per_page=50&cursor={cursor}" if cursor else PATH)
        cursor = page.get("next_cursor")
        if cursor:
            found.append(f"{PATH}?cursor={cursor}")
    return "({" + ",".join(f'"{path}"' for path in found) + f"}})[math.random({len(found)})]"


def tag(fleet):
    c = http.client.HTTPSConnection("127.0.0.1", fleet.api_port, context=fleet.api.context)
    c.request("GET", PATH, headers={"Authorization": f"Bearer {API_KEY}"})
    answer = c.getresponse()
    answer.read()
    c.close()
    return answer.headers["ETag"]


def pages(bench, fleet):
    asked = script(fleet, "page", f'"{PATH}"', **{"Cache-Control": "no-cache"})
    sql, rates, filled = same_sql(fleet), {}, 0
    for name, size in SIZES:
        fleet.query(FILL, filled, size)
        filled = size
        with fleet.admin() as c:
            c.execute("VACUUM ANALYZE")
            c.execute("CHECKPOINT")
        apart = script(fleet, "apart", places(fleet), **{"Cache-Control": "no-cache"})
        floor = [max(bench.pgbench(fleet, sql, clients) for clients in CLIENTS) for _ in range(RUNS)]
        for entry, what in (("list_page", asked), ("list_page_apart", apart)):
            ours, p99s, bad = [], [], 0
            for _ in range(RUNS):
                rate, p99, wrong = b.wrk(f"https://127.0.0.1:{fleet.api_port}/", b.CONNECTIONS, b.SECONDS, what)
                ours.append(rate)
                p99s.append(p99)
                bad += wrong
            rates.setdefault(entry, []).append(statistics.median(ours))
            bench.add(f"{entry}_{name}", statistics.median(ours), "req/s", statistics.median(o / f for o, f in zip(ours, floor)), 0.33,
                      f"p99 {statistics.median(p99s):.1f} ms, {size} certificates, {b.CONNECTIONS} connections, {bad} bad answers; "
                      f"pgbench on the same SQL {statistics.median(floor):.0f}/s")
    for entry, r in rates.items():
        bench.add(f"{entry}_flat", 100 * min(r) / max(r), "%", min(r) / max(r), 0.8, "the slowest size of the fastest")


def against_bare(bench, fleet, name, entry, gate):
    bare = bench.bare(fleet) if "bare" not in fleet.processes else fleet.bare_port
    fleet.bare_port = bare
    ours, p99s, floor, bad = [], [], [], 0
    for _ in range(RUNS):
        floor.append(b.wrk(f"https://127.0.0.1:{bare}/health", b.CONNECTIONS, b.SECONDS)[0])
        rate, p99, wrong = b.wrk(f"https://127.0.0.1:{fleet.api_port}/", b.CONNECTIONS, b.SECONDS, entry)
        ours.append(rate)
        p99s.append(p99)
        bad += wrong
    bench.add(name, statistics.median(ours), "req/s", statistics.median(o / f for o, f in zip(ours, floor)), gate,
              f"p99 {statistics.median(p99s):.1f} ms, {b.CONNECTIONS} connections, {bad} bad answers; "
              f"bare evhttp {statistics.median(floor):.0f}/s")


def with_plane(measured):
    def entry(bench):
        with Fleet("bench") as fleet:
            fleet.start_postgres(**BENCH_PG)
            bench.look_at_settings(fleet)
            fleet.start_apiserver(CERTCTL_LOG_LEVEL="warn")
            fleet.make_basics()
            measured(bench, fleet)
    return entry


def from_memory(bench, fleet):
    fleet.query(FILL, 0, SIZES[0][1])
    against_bare(bench, fleet, "list_cached", script(fleet, "cached", f'"{PATH}"'), 0.4)
    against_bare(bench, fleet, "list_304", script(fleet, "held", f'"{PATH}"', **{"If-None-Match": tag(fleet)}), 0.6)


def get_one(bench, fleet):
    size = SIZES[0][1]
    fleet.query(FILL, 0, size)
    with fleet.admin() as c:
        c.execute("VACUUM ANALYZE")
    against_bare(bench, fleet, "get_one", script(fleet, "one", f'"{PATH}/mc-" .. math.random({size})'), 0.33)


def work_poll(bench, fleet):
    fleet.query("INSERT INTO agents (id, name, hostname, status, last_heartbeat_at, api_key_hash, os, architecture) "
                "SELECT 'ag-' || i, 'bench-' || i, 'host-' || i, 'Online', now(), 'bench', 'linux', 'x86_64' "
                "FROM generate_series(1, %s) i", b.AGENTS)
    with fleet.admin() as c:
        c.execute("VACUUM ANALYZE")
    against_bare(bench, fleet, "work_poll", script(fleet, "poll", f'"/api/v1/agents/ag-" .. math.random({b.AGENTS}) .. "/work"'), 0.33)


ENTRIES = {"list_page": with_plane(pages), "list_304": with_plane(from_memory), "get_one": with_plane(get_one),
           "work_poll": with_plane(work_poll)}
