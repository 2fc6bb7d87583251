#!/usr/bin/python3
"""
A small generator of load for where k6 is not: what a scenario's module says by RATE, request(n), is_right(reply) and THRESHOLDS, at that
rate whether or not earlier answers have come; its summary has the form of k6's.

    plain.py SCENARIO PORT CA SECONDS SUMMARY
"""
import concurrent.futures
import http.client
import importlib
import json
import re
import ssl
import sys
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[3] / "tests" / "support")]
from report import COMPARE, quantile  # noqa: E402

THREADS = 16
TIMEOUT_S = 60
NOBODY = (0, None, b"")


class Client:
    """One connection a thread, as an agent has one, or several that share it."""

    def __init__(self, port, ca):
        self.port, self.context, self.local = port, ssl.create_default_context(cafile=ca), threading.local()

    def ask(self, method, path, key, body):
        """(status, content type, body); status 0: no answer."""
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=TIMEOUT_S)
        self.local.connection = None
        try:
            connection.request(method, path, json.dumps(body), {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.status, response.headers.get_content_type(), response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return NOBODY
        self.local.connection = connection
        return answer


def is_right(module, answer):
    status, kind, body = answer
    try:
        return status == 200 and kind == "application/json" and bool(module.is_right(json.loads(body)))
    except (ValueError, KeyError, TypeError):
        return False


def load(module, client, seconds):
    """[(milliseconds, it failed, it was right)] of each request."""
    begun = time.monotonic()

    def one(n):
        time.sleep(max(0.0, begun + n / module.RATE - time.monotonic()))
        started = time.monotonic()
        answer = client.ask(*module.request(n))
        return 1000 * (time.monotonic() - started), not 200 <= answer[0] < 400, is_right(module, answer)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(int(module.RATE * seconds))))


def summary(module, seconds, answers):
    took = sorted(a[0] for a in answers)
    failed, right = sum(a[1] for a in answers), sum(a[2] for a in answers)
    trend = {"count": len(took), "med": quantile(took, 0.5), "p(95)": quantile(took, 0.95), "p(99)": quantile(took, 0.99), "max": took[-1]}
    name = module.NAME
    metrics = {f"http_req_duration{{scenario:{name}}}": {"type": "trend", "contains": "time", "values": trend},
               f"http_req_failed{{scenario:{name}}}": {"type": "rate", "values": {"rate": failed / len(took), "passes": failed}},
               f"{name}_ok": {"type": "counter", "values": {"count": right}}}
    wanted = module.THRESHOLDS | {f"{name}_ok": (f"count>={int(0.99 * module.RATE * seconds)}",)}
    for metric, expressions in wanted.items():
        metrics[metric]["thresholds"] = {e: {"ok": holds(metrics[metric]["values"], e)} for e in expressions}
    return {"metrics": metrics}


def holds(values, expression):
    left, sign, bound = re.fullmatch(r"(.+?)(<=|>=|==|<|>)(.+)", expression).groups()
    return COMPARE[sign](values[left], float(bound))


def main():
    name, port, ca, seconds, path = sys.argv[1:]
    module = importlib.import_module(f"scenarios.{name}")
    told = summary(module, float(seconds), load(module, Client(int(port), ca), float(seconds)))
    Path(path).write_text(json.dumps(told), encoding="utf-8")
    return 0 if all(t["ok"] for m in told["metrics"].values() for t in m["thresholds"].values()) else 99


if __name__ == "__main__":
    sys.exit(main())
