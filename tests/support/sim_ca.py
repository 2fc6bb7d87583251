"""
What simulators of CAs share: a web server on this host with TLS, faults on order, a log, and a CA that signs.

    SimCa(name)           a root, an intermediate, and leaves as a test likes them
    request_for(name)     a CSR of a new key
    Simulator(trust)      .url, .log, .fault(...)
    OrderSim(trust)       one that takes orders and issues when their statuses say so

    sim.behave(statuses=[...])    what an order's status is at each look; the last one stays
    sim.behave(how="good")        what certificate is sent (SimCa.leaf)
    sim.behave(not_ready=n)       so many fetches of an issued certificate find none yet
    sim.forget(id)                the CA has no such order any more
    sim.take_others(name, ids)    orders of somebody else, where a CA lists them by their common name
    sim.raw                       within handle: the body's bytes; sim.has_client_certificate: whether the peer showed one

Every order stands in sim.orders for good, so a second one of the same request shows.
"""
import contextlib
import datetime
import itertools
import json
import re
import socket
import threading
import time
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sinks import Sink, TlsWebHandler


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def request_for(name):
    return (x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()))


class SimCa:
    def __init__(self, name):
        self.root, root_key = self.make(f"{name} Root", None, None)
        self.intermediate, self.key = self.make(f"{name} Issuing CA", self.root, root_key)

    def make(self, name, above, above_key):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(above.subject if above else subject)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=3650))
                .add_extension(x509.BasicConstraints(True, None), True).sign(above_key or key, hashes.SHA256())), key

    def leaf(self, csr, days, how="good", back_minutes=1):
        """how: good, or what is wrong with it: expired, soon, names, key, ca; it begins some minutes ago, for clocks that are behind."""
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end, key = now - datetime.timedelta(minutes=back_minutes), now + datetime.timedelta(days=days), csr.public_key()
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if how == "expired":
            start, end = now - datetime.timedelta(days=30), now - datetime.timedelta(minutes=1)
        elif how == "soon":
            end = now + datetime.timedelta(seconds=30)
        elif how == "names":
            names = x509.SubjectAlternativeName([*names, x509.DNSName("somebody.else.example")])
        elif how == "key":
            key = ec.generate_private_key(ec.SECP256R1()).public_key()
        return (x509.CertificateBuilder().subject_name(csr.subject).issuer_name(self.intermediate.subject).public_key(key)
                .serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)
                .add_extension(names, False).add_extension(x509.BasicConstraints(how == "ca", None), True)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
                .sign(self.key, hashes.SHA256()))


class Handler(TlsWebHandler):
    def do_any(self):
        simulator = self.server.sink
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        line = simulator.line(self.command, self.path, self.headers)
        with simulator.lock:
            simulator.log.append((line, dict(self.headers), body))
            fault = simulator.take_fault(line)
        if fault and fault["delay"]:
            time.sleep(fault["delay"])
        if fault and fault["hang"]:
            simulator.release.wait(60)
            return self.cut()
        if fault and fault["close"] == "before":
            return self.cut()
        if fault and fault["status"]:
            status, answer, headers = fault["status"], fault["body"], fault["headers"]
        else:
            with simulator.lock:
                simulator.raw, simulator.has_client_certificate = raw, bool(self.connection.getpeercert())
                status, answer, *more = simulator.handle(self.command, self.path, self.headers, body)
            headers = more[0] if more else {}
        if fault and fault["close"] == "after":
            return self.cut()
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode() if answer is not None else b""
        self.send_response(status)
        for name, values in headers.items():
            for value in values if isinstance(values, list) else [values]:
                self.send_header(name, value)
        # Of an answer without a body it is the body's absence that can't be known.
        self.send_header("Content-Length", str(max(len(data), 1) if fault and fault["truncate"] else len(data)))
        self.end_headers()
        self.wfile.write(data[:len(data) // 2] if fault and fault["truncate"] else data)
        if fault and fault["truncate"]:
            self.wfile.flush()
            return self.cut()
        return None

    do_GET = do_POST = do_PUT = do_PATCH = do_any

    def cut(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class Simulator(Sink):
    base, front, raw, has_client_certificate = "", "", b"", False

    def __init__(self, trust):
        self.context, self.log, self.faults, self.orders = self.make_context(trust), [], [], {}
        super().__init__(Handler, None)
        self.lock = threading.RLock()
        self.url = f"https://localhost:{self.port}{self.base}"
        self.entry = self.url + self.front  # what an issuer is configured with
        self.entries = [self.entry]  # all that calls go to

    def make_context(self, trust):
        return trust.context()

    def fault(self, match, times=1, status=0, body=None, headers=None, delay=0, hang=False, close=None, truncate=False):
        """The next calls whose line begins so.  close: before or after it is obeyed; truncate: half of the answer, then the end."""
        with self.lock:
            self.faults.append({"match": match, "times": times, "status": status, "body": body, "headers": headers or {},
                                "delay": delay, "hang": hang, "close": close, "truncate": truncate})

    def line(self, command, path, headers):
        """By what a call is known in the log, and faults are planned."""
        return f"{command} {path}"

    def take_fault(self, line):
        for fault in self.faults:
            if fault["times"] > 0 and line.startswith(fault["match"].replace(" /", f" {self.base}/", 1)):
                fault["times"] -= 1
                return fault
        return None

    def calls(self, match):
        """How many were made whose line begins so."""
        return sum(line.startswith(match.replace(" /", f" {self.base}/", 1)) for line, _, _ in list(self.log))

    def forget_calls(self):
        """Those that were made so far."""
        self.log.clear()

    def dispatch(self, routes, method, path, body):
        """What the route's function answers to its groups, body and query; None: there is no such route."""
        parts = urlsplit(path)
        for verb, form, do in routes:
            found = re.fullmatch(self.base + form, parts.path)
            if found and verb == method:
                return do(*found.groups(), body=body, query=parse_qs(parts.query))
        return None

    def handle(self, method, path, headers, body):
        raise NotImplementedError


class OrderSim(Simulator):
    name, first_id, issued, statuses, back_minutes = "", 1, "issued", ("pending", "processing", "issued"), 1

    def __init__(self, trust):
        super().__init__(trust)
        self.ca, self.ids, self.forgotten = SimCa(f"Simulated {self.name}"), itertools.count(self.first_id), set()
        self.behave()

    def behave(self, statuses=None, how="good", instant=False, not_ready=0):
        self.statuses, self.how, self.instant, self.not_ready = list(statuses or type(self).statuses), how, instant, not_ready

    def reset(self):
        """As new, for the next test; the numbers of orders go on."""
        with self.lock:
            for kept in (self.log, self.faults, self.orders, self.forgotten):
                kept.clear()
            self.behave()

    def forget(self, order_id):
        self.forgotten.add(order_id)

    def known(self, order_id):
        return order_id in self.orders and order_id not in self.forgotten

    def take(self, order_id, csr, days, **facts):
        self.orders[order_id] = {"csr": csr, "days": days, "looks": 0, "status": None, "leaf": None, "statuses": self.statuses,
                                 "how": self.how, "taken": datetime.datetime.now(datetime.timezone.utc)} | facts
        return self.orders[order_id]

    def take_others(self, name, ids, days_ago=0):
        """Orders of somebody else for that name, under those ids."""
        request = request_for(name)
        with self.lock:
            for number in ids:
                self.take(number, request, 90, cn=name, names=[name], product="ssl_basic", type=31, comments="by hand", status=self.issued)
                self.orders[number]["taken"] -= datetime.timedelta(days=days_ago)

    def chain(self, order):
        if order["leaf"] is None:
            order["leaf"] = self.ca.leaf(order["csr"], order["days"], order["how"], self.back_minutes)
        return order["leaf"], self.ca.intermediate, self.ca.root

    def status(self, order):
        return order["status"] or order["statuses"][min(order["looks"], len(order["statuses"]) - 1)]

    def is_ready(self, order):
        """Whether this fetch of its certificate finds it."""
        if self.not_ready > 0:
            self.not_ready -= 1
            return False
        return self.status(order) == self.issued
