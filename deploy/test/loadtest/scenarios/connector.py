"""
TLS handshakes to a real nginx, apache2 and haproxy, whose certificates certctl issued and its agent deployed, a hundred a minute to each,
while the control plane and the agent run.  Before and after, each serves what the database says it was given.
"""
import json

import k6
import servers

NAME = "connector_tier"
GROUP = "main"
SECONDS = 300
WHAT = "100 TLS handshakes a minute each to nginx, apache2 and haproxy with certificates that certctl deployed"
SCRIPT = "connector_tier"
RATE = 5


def trust(stack):
    """The API's certificate, and the CA that signed what is served."""
    known = (stack.dir / "tls/api.pem").read_text(encoding="ascii")
    roots = [row[0] for row in stack.query("SELECT cert_pem FROM ca_certificates WHERE issuer_id = 'iss-local'")]
    (stack.dir / "trusted.pem").write_text(known + "\n".join(roots), encoding="ascii")


def run(run):
    with run.stack() as stack:
        stack.start(workers=1)
        stack.make_seed_basics()
        sites = servers.start_all(stack, "agent-1")
        trust(stack)
        run.report.load(certificates=len(sites), agents=1, targets=sorted(sites))
        floor = k6.floor(stack, RATE, run.seconds, metric="http_req_tls_handshaking", script="floor_handshake")
        with stack.sampled():
            data = k6.run(stack, SCRIPT, run.seconds, PORTS=json.dumps({name: site.port for name, site in sites.items()}))
        for name in sites:
            k6.measure(run.report, data, f"http_req_tls_handshaking{{scenario:{name}}}", failed=f"http_req_failed{{scenario:{name}}}",
                       seconds=run.seconds)
        k6.counters(run.report, data, *(f"{name}_handshakes_ok" for name in sites))
        k6.thresholds(run.report, data)
        served = sum(site.serial() == site.versions()[-1] for site in sites.values())
        run.report.threshold("servers that serve what was deployed", f"== {len(sites)}", served)
        k6.tell_floor(run.report, data, "http_req_tls_handshaking{scenario:nginx}", floor, "one TLS handshake with a bare server, p95")
