"""
What every route is asked and must answer, as tables: a row says where, with what body, and
the status; for success the members of the answer and their types, for the rest by whose error.

A table's keys are (method, pattern) of --print-routes.  A place is what stands for the
pattern's parameters, or follows it: text, a list, or a function of the world that makes one.
"""
import http
import itertools
import json
import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fleet import API_KEY, wait_for
from openapi import INTERNAL, Client

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?(Z|[+-]\d\d:\d\d)$")
TYPES = {"s": lambda v: isinstance(v, str), "b": lambda v: isinstance(v, bool), "i": lambda v: isinstance(v, int) and not isinstance(v, bool),
         "f": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool), "o": lambda v: isinstance(v, dict),
         "l": lambda v: isinstance(v, list), "t": lambda v: isinstance(v, str) and bool(TIME.match(v))}
NO = "no-such"
READER = f"reader-{API_KEY}"
NOT_JSON = ("{", "[]", "7", '"x"', "null", '{"name": "\\u0000"}', "{}{}", "\xff", '{"a": 1, "a":' + "[" * 2000)


def members(text):
    """ "id,name sent_at:t?" as {name: (type, whether it may be missing)}; without a type it is text."""
    found = {}
    for word in text.split():
        names, _, kind = word.rstrip("?").partition(":")
        found |= {name: (kind or "s", word.endswith("?")) for name in names.split(",")}
    return found


@dataclass(frozen=True)
class Good:
    place: Any = ""
    body: Any = None
    status: int = 200
    answer: Any = None   # members of the object; None: no body
    rows: str = ""       # the member that is a list of these objects instead; ".": the answer itself
    page: bool = False   # in the envelope of pages
    media: str = ""      # of an answer that is no JSON
    sends: str = ""      # the media type of a body that is none


@dataclass(frozen=True)
class Bad:
    place: Any
    body: Any
    status: int
    own: bool = False    # by an error of its own shape


def csr(name):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def page(answer, place=""):
    return Good(place, None, 200, answer, rows="data", page=True)


def misfit(spec, answer):
    """What is not as said of an object's members; None: all is."""
    for name, (kind, may_be_missing) in spec.items():
        if name not in answer:
            if not may_be_missing:
                return f"{name} is missing"
        elif not TYPES[kind](answer[name]):
            return f"{name} is {answer[name]!r}"
    return None


class World:
    """Makes what a row needs, each time another."""

    def __init__(self, fleet):
        self.fleet, self.api, self.numbers, self.made = fleet, fleet.api, itertools.count(), None

    def name(self, what="x"):
        return f"{what}-{next(self.numbers)}"

    def last(self, made):
        """Kept for the body of the same row."""
        self.made = made
        return made

    def make(self, noun, **body):
        """Its id."""
        return self.api.need("POST", f"/api/v1/{noun}", {"name": self.name(noun)} | body)["id"]

    def agent(self):
        return self.make("agents", hostname="h.example.test")

    def target(self, agent=None):
        name = self.name("target")
        self.fleet.make_target(name, agent or self.agent(), self.fleet.dir / "sites" / name)
        return name

    def certificate(self, targets=(), **more):
        return self.fleet.make_certificate(self.name("cert"), targets, **more)["id"]

    def owner(self):
        return self.make("owners", email="x@example.test", team_id="t-test")

    def await_rows(self, path):
        """Until something made them."""
        wait_for(lambda: self.api.need("GET", path)["data"], 60, path)

    def job(self, status=None, **more):
        """Of a certificate's renewal; by default one that waits for its agent."""
        target = self.target()
        job = self.api.need("POST", f"/api/v1/certificates/{self.certificate([target], **more)}/renew")["job_id"]
        if status:
            wait_for(lambda: self.api.need("GET", f"/api/v1/jobs/{job}")["status"] == status, 30, f"{job} {status}")
        return job


    def issued(self, **more):
        """A certificate with a version, whose deployment waits for the agent of our hands."""
        name = self.name("cert")
        target = self.target(self.hand["id"])
        self.fleet.make_certificate(name, [target], **more)
        job = self.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]
        status, reply = self.api.call("POST", f"/api/v1/agents/{self.hand['id']}/csr", {
            "csr_pem": csr(f"{name}.example.test"), "certificate_id": name, "job_id": job}, key=self.hand["api_key"])
        assert status == 202, reply
        ended = self.fleet.wait_job(job, 60)
        assert ended == ("Completed", None), ended
        return name

    def deployment(self, name=None):
        """The job of an issued certificate's deployment."""
        name = name or self.issued()
        return wait_for(lambda: [j["id"] for j in self.api.need("GET", f"/api/v1/jobs?certificate_id={name}&type=Deployment")["data"]],
                        30, "the deployment")[0]


def quoted(text):
    """As a part of a path."""
    return urllib.parse.quote(text, safe="", errors="surrogatepass")


def put(pattern, place):
    """The path of a pattern: the values of its parameters, then what follows."""
    values = [place] if isinstance(place, str) else list(place)
    while "{" in pattern:
        start, rest = pattern.split("{", 1)
        pattern = start + values.pop(0) + rest.split("}", 1)[1]
    return pattern + "".join(values)


def placed(world, route, row):
    """(path, text of the body)."""
    place, body = (x(world) if callable(x) else x for x in (row.place, row.body))
    return put(route["pattern"], place), body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)


def ask(world, route, row):
    """(status, answer)."""
    path, body = placed(world, route, row)
    return world.api.call(route["method"], path, raw=body)


def check_error(route, status, reply, own=False):
    if own:
        assert "error" in reply, (route, reply)
        return
    shape = {"error", "message"} | (set() if route["renderer"] == "brief" else {"request_id"})
    assert set(reply) == shape and reply["error"] == http.HTTPStatus(status).phrase and reply["message"], (route, reply)
    assert not INTERNAL.search(reply["message"]), (route, reply)


def check_good(world, route, row):
    if row.media:
        client = Client(world.api)
        status, headers, _ = client.call(route["method"], *placed(world, route, row), media=row.sends)
        client.close()
        assert (status, headers.get_content_type()) == (row.status, row.media), (row.place, row.body)
        return
    status, reply = ask(world, route, row)
    assert status == row.status, (row.place, row.body, status, reply)
    if row.answer is None:
        assert reply is None, reply
        return
    one = reply
    if row.page:
        assert set(reply) >= {"data", "total", "page", "per_page"} and reply["total"] >= len(reply["data"]), reply
    if row.rows:
        rows = reply if row.rows == "." else reply[row.rows]
        assert isinstance(rows, list) and rows, (row, reply)
        one = next((r for r in rows if misfit(row.answer, r)), rows[0])
    assert not misfit(row.answer, one), (misfit(row.answer, one), one)


def check_bad(world, route, row):
    status, reply = ask(world, route, row)
    assert status == row.status, (row.place, row.body, status, reply)
    check_error(route, status, reply, row.own)


def check_nobody(world, route, reads_body):
    """Who may not, and what is no request."""
    names = [NO] * route["pattern"].count("{")

    def asked(key=None, place=names, method=None, **how):
        return world.api.call(method or route["method"], put(route["pattern"], place), key=key, **how)
    if route["auth"] not in ("public", "register"):
        for key in ("", "no-such-key-0123456789"):
            status, reply = asked(key)
            assert status == 401 and set(reply) == {"error"}, reply
    if route["permission"] and route["permission"] not in world.readable:
        assert asked(READER) == (403, {"error": "Insufficient permissions"})
    if names and not route["pattern"].endswith("...}"):
        for bad in ("a%20b", "x" * 129, "%C3%BC"):
            status, reply = asked(place=[bad, *names[1:]])
            assert status == 400, (bad, reply)
            check_error(route, status, reply)
    if reads_body:
        for raw in NOT_JSON:
            status, reply = asked(raw=raw)
            assert status == 400, (raw, reply)
            check_error(route, status, reply)
    assert asked(method="PATCH") == (405, "Method Not Allowed\n")


def serve(fleet):
    """A world with all that its rows need: processes, an issuer, an agent of our hands, a reader."""
    fleet.bus_count = 1
    fleet.start_postgres(keep=True)
    fleet.start_apiserver(keep=True, CERTCTL_API_KEYS_NAMED=f"admin:{API_KEY}:admin,reader:{READER}")
    fleet.start_scheduler(keep=True, CERTCTL_SCHEDULER_CRL_BEHIND_INTERVAL="1s", CERTCTL_CRL_GENERATION_INTERVAL="1s")
    fleet.start_worker(keep=True)
    fleet.make_basics()
    world = World(fleet)
    held = fleet.api.call("GET", "/api/v1/auth/me", key=READER)[1]["effective_permissions"]
    world.readable = {p["permission"] for p in held}
    world.hand = fleet.api.need("POST", "/api/v1/agents", {"name": "hand", "hostname": "h.example.test"})
    world.issued()
    return world
