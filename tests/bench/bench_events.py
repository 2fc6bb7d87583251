"""
Live events: many listeners while certificates change, one transaction each;
how long after its change an event was received, and what it took.
"""
import os
import subprocess
from pathlib import Path

from bench_common import BENCH_PG, sized
from fleet import API_KEY, BUILD, Fleet, clean_env, pg_bin

LISTENERS = sized(500, 20)
RATE = sized(1000, 50)
SECONDS = sized(20, 2)
CERTIFICATES = 2000
LATE_MS = 1000
FILL = """
INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status)
SELECT 'mc-' || i, 'mc-' || i, 'mc-' || i || '.example.test', 'o-test', 't-test', 'iss-local', 'rp-default', 'Active'
FROM generate_series(1, %s) i"""


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write(fleet):
    """Changes at that rate, by clients that wait for each commit; how many there were."""
    script = fleet.dir / "flip.sql"
    script.write_text(f"\\set n random(1, {CERTIFICATES})\nUPDATE managed_certificates SET status = CASE status WHEN 'Active' THEN 'Expiring' "
                      "ELSE 'Active' END WHERE id = 'mc-' || :n;\n")
    done = subprocess.run([pg_bin() / "pgbench", "-h", fleet.socket_dir, "-U", "postgres", "-n", "-M", "prepared", "-c", "8", "-j", "1", "-R", str(RATE),
                           "-t", str(RATE * SECONDS // 8), "-f", script, "certctl"],
                          env=clean_env(), capture_output=True, text=True, check=True)
    rate = next(float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("tps"))
    return RATE * SECONDS // 8 * 8, rate


def events_fanout(bench):
    with Fleet("bench") as fleet:
        fleet.start_postgres(**BENCH_PG)
        bench.look_at_settings(fleet)
        fleet.start_apiserver(CERTCTL_LOG_LEVEL="warn", CERTCTL_EVENTS_MAX_LISTENERS_PER_KEY=str(LISTENERS))
        fleet.make_basics()
        fleet.query(FILL, CERTIFICATES)
        total = RATE * SECONDS // 8 * 8
        listener = subprocess.Popen([BUILD / "tests/bench/events_listen", str(fleet.api_port), str(LISTENERS), str(4 * SECONDS + 20), str(total)],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_env())
        try:
            listener.stdin.write(API_KEY + "\n")
            listener.stdin.close()
            assert listener.stdout.readline() == "ready\n"
            api = fleet.processes["apiserver"].pid
            began = cpu_s(api), cpu_s(listener.pid)
            _, rate = write(fleet)
            line = listener.stdout.readline()
            took = cpu_s(api) - began[0], cpu_s(listener.pid) - began[1]
        finally:
            listener.kill()
            listener.wait()
            listener.stdout.close()
        left, fewest, sent, p50, p99, most = map(int, line.split())
        whole = left == LISTENERS and fewest == total and sent == LISTENERS * total
        bench.add("events_fanout", p99, "ms", None, LATE_MS,
                  f"p99 from change to received; p50 {p50} ms, longest {most} ms; {LISTENERS} listeners, {rate:.0f} changes/s, "
                  f"{sent} events{'' if whole else f', SOME MISSING: the fewest had {fewest} of {total}, {left} listeners are left'}; "
                  f"CPU of a core: apiserver {100 * took[0] / SECONDS:.0f} %, listeners {100 * took[1] / SECONDS:.0f} %", at_most=True)
        assert whole, line


ENTRIES = {"events_fanout": events_fanout}
