"""
What HTTP alone gets wrong: methods, media types, paths, profiles, and headers and framing
that no library would send (RFC 8555 sections 6.1 to 6.3, RFC 9110, RFC 9112).
"""
import email
import json
from typing import NamedTuple

from acme import JOSE, Client
from hostile.world import BAD_NONCE, MALFORMED, NOT_FOUND, UNAUTHORIZED, Ask, Row, dns, signed
from rawtls import RawTls

NO_METHOD = (405, "malformed")
NO_TYPE = (415, "malformed")
NO_PROFILE = (404, "userActionRequired")
OFF = (403, "userActionRequired")
TOO_LARGE = (413, "malformed")
POSTED = ("new-account", "new-order", "revoke-cert", "key-change", "account/x", "account/x/orders", "order/x", "order/x/finalize", "authz/x", "challenge/x", "cert/x", "cert/x/1")
READ = ("directory", "new-nonce", "renewal-info/AQ.AQ")


class Raw(NamedTuple):
    """Octets for a connection of their own."""

    client: Client
    data: bytes
    fleet: object
    method: str = "POST"
    path: str = ""

    @property
    def body(self):
        return self.data

    def send(self):
        with RawTls(self.fleet) as connection:
            connection.send(self.data)
            status, headers, body = connection.reply()
        return status, email.message_from_string("".join(f"{k}: {v}\n" for k, v in headers.items())), json.loads(body) if body else None


def method_row(method, path, want=NO_METHOD, rfc="8555 6.3", body=None, **headers):
    return Row(f"{method} {path}", rfc, want, lambda w: Ask(w.bob, path, body, method, headers))


METHODS = [
    *(method_row("GET", p) for p in POSTED), *(method_row(m, p, rfc="9110 15.5.6") for m in ("PUT", "DELETE", "PATCH") for p in ("new-order", "order/x", *READ)),
    *(method_row(m, "new-order", rfc="9110 15.5.6") for m in ("OPTIONS", "TRACE", "PROPFIND", "post")),
    method_row("POST", "renewal-info/AQ.AQ", rfc="9773 4.1", body="{}"),
    *(Row(f"POST {p} with {h}: {m}", "8555 6.3", MALFORMED, lambda w, p=p, m=m, h=h: Ask(w.bob, p, "", "POST", {"Content-Type": JOSE, h: m}))
      for p in ("order/x", "account/x") for m in ("GET", "DELETE") for h in ("X-HTTP-Method-Override",)),
]

METHODS += [
    *(Row(f"POST {p} {what}", "8555 6.3", want, make(p)) for p in ("directory", "new-nonce") for what, want, make in (
        ("with an empty object", MALFORMED, lambda p: lambda w: signed(w.bob, p, {})), ("unsigned", MALFORMED, lambda p: lambda w: Ask(w.bob, p, "")),
        ("by another's key", UNAUTHORIZED, lambda p: lambda w: signed(w.bob, p, key=w.others["key"])), ("by one that was deactivated", UNAUTHORIZED, lambda p: lambda w: signed(w.gone, p)),
        ("for a profile that is off", OFF, lambda p: lambda w: signed(w.late_off, p)), ("with a nonce that was used", BAD_NONCE, lambda p: lambda w: spent(w, p)))),
]


def spent(w, path):
    ask = signed(w.bob, path)
    assert ask.send()[0] in (200, 204)
    return ask


# --- media types ---
def type_row(kind):
    def make(w):
        ask = signed(w.bob, "new-order", dns(w.fresh()))
        return ask._replace(headers={} if kind is None else {"Content-Type": kind})
    return Row(f"type {kind!r}", "8555 6.2", NO_TYPE, make)


TYPES = [type_row(k) for k in (None, "", "application/json", "application/jose", "application/jose+jsonx", "application/jose+json-x", "xapplication/jose+json", "text/plain",
                               "application/jose+json, text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/pkix-cert", "*/*", ";")]


# --- paths ---
def path_row(name, path, want=NOT_FOUND, method="POST"):
    def make(w):
        client = w.bob
        if method == "GET":
            return Ask(client, path(w), None, "GET", {})
        return signed(client, path(w), {})
    return Row("path " + name, "8555 6.7, 9110 15.5.5", want, make)


PATHS = [
    *(path_row(p, lambda w, p=p: p) for p in ("no-such", "new-order/", "new-order/x", "order/", "order/x/cancel", "order/x/finalize/", "account/x/y", "authz/", "cert/x/1/2", "NEW-ORDER",
                                             "new-authz", "challenge/x/http-01", "order//finalize", "new%2Dorder/x", "order/../new-order")),
    *(path_row(p, lambda w, p=p: p, MALFORMED) for p in ("order/x%2Ffinalize", "order/..", "order/-x", "order/x%20y", "order/" + "x" * 129, "cert/x'--", "authz/x;y", "challenge/%C3%A9")),
    *(path_row("GET " + p, lambda w, p=p: p, method="GET") for p in ("directory/", "directory/x", "new-nonce/", "renewal-info", "renewal-info/", "renewal-info/a/b", "Directory")),
]


# --- profiles ---
def profile_row(name, profile, want=NO_PROFILE, path="new-account"):
    def make(w):
        client = w.stranger(profile)
        client.nonce = w.nonce()
        return signed(client, path, {}) if path == "new-account" else Ask(client, path, None, "GET", {})
    return Row(f"profile {name}: {path}", "8555 6.7, contract", want, make)


PROFILES = [
    *(profile_row(name, profile, want, path) for path in ("new-account", "directory") for name, profile, want in (
        ("unknown", "p-none", NO_PROFILE), ("in capitals", "P-ACME", NO_PROFILE), ("switched off", "p-off", OFF), ("of nobody", "p-nobody", OFF), ("empty", "", NOT_FOUND),
        ("two dots", "..", MALFORMED), ("two dots, encoded", "%2e%2e", MALFORMED), ("with SQL", "p-acme'--", MALFORMED), ("with a slash, encoded", "p-acme%2Fx", MALFORMED),
        ("of 129", "p" * 129, MALFORMED))),
    *(Row(f"account of a profile {what}: {path}", "contract", OFF, lambda w, who=who, path=path, payload=payload: signed(who(w), path, payload))
      for what, who in (("switched off", lambda w: w.late_off), ("of nobody", lambda w: w.late_nobody))
      for path, payload in (("new-order", dns("a.example.test")), ("order/x", ""), ("key-change", {}), ("revoke-cert", {}))),
]


# --- headers and framing ---
def raw(w, headers, body, target="/acme/profile/p-acme/new-order", method="POST", host=True):
    lines = [f"{method} {target} HTTP/1.1"] + ([f"Host: {w.bob.host}"] if host else []) + headers
    return Raw(w.bob, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body.encode(), w.stack, method, target)


def raw_row(name, headers, want=MALFORMED, rfc="9112", body=None, target=None, **more):
    """A right message, in a request that has these headers; {n} in them is its length."""
    def make(w):
        message = signed(w.bob, "new-order", dns(w.fresh())).body if body is None else body
        made = [h.replace("{n}", str(len(message))).replace("{host}", w.bob.host) for h in headers]
        where = {"target": target.replace("{host}", w.bob.host)} if target else {}
        return raw(w, made, message, **where, **more)
    return Row("HTTP " + name, rfc, want, make)


T, L = f"Content-Type: {JOSE}", "Content-Length: {n}"
RAW = [
    raw_row("of another host", [T, L, "Host: acme.example.test"], UNAUTHORIZED, "8555 6.4", host=False),
    raw_row("of another port", [T, L, "Host: 127.0.0.1:1"], UNAUTHORIZED, "8555 6.4", host=False),
    raw_row("of another host by X-Forwarded-Host", [T, L, "X-Forwarded-Host: {host}", "Host: acme.example.test"], UNAUTHORIZED, "8555 6.4", host=False),
    raw_row("of another host by Forwarded", [T, L, "Forwarded: host={host};proto=https", "Host: acme.example.test"], UNAUTHORIZED, "8555 6.4", host=False),
    raw_row("of another path by X-Original-URL", [T, L, "X-Original-URL: /acme/profile/p-acme/new-order"], UNAUTHORIZED, "8555 6.4", target="/acme/profile/p-acme/new-account"),
    raw_row("with an API key in place of a signature", [T, "Content-Length: 2", "Authorization: Bearer x"], MALFORMED, "8555 6.2", body="{}"),
    raw_row("with a length of a gigabyte", [T, "Content-Length: 1073741824"], TOO_LARGE, body=""), raw_row("with broken chunks", [T, "Transfer-Encoding: chunked"], body="x\r\n"),
    raw_row("with chunks above 64 KiB", [T, "Transfer-Encoding: chunked"], TOO_LARGE, body="10001\r\n" + " " * 65537 + "\r\n0\r\n\r\n"),
    raw_row("without a body", [T, "Content-Length: 0"], MALFORMED, "8555 6.2", body=""), raw_row("without a length", [T], MALFORMED, "8555 6.2", body=""),
    raw_row("that is compressed", [T, L, "Content-Encoding: gzip"], MALFORMED, "8555 6.2", body="\x1f"),
]

# What is no HTTP is refused before anybody looks whose path it is: by the server's error, not ACME's.  name: (status, headers, and what else)
FRAMES = {
    "a type twice": (400, [T, T, L], {}), "two lengths": (400, [T, L, L], {}), "a length that is none": (400, [T, "Content-Length: x"], {}),
    "a negative length": (400, [T, "Content-Length: -1"], {}), "length and chunks": (400, [T, L, "Transfer-Encoding: chunked"], {}),
    "an unknown coding": (501, [T, "Transfer-Encoding: gzip"], {}), "no host": (400, [T, L], {"host": False}), "two hosts": (400, [T, L, "Host: x.test"], {}),
    "a header without a name": (400, [T, L, ": x"], {}), "a blank before a colon": (400, [T, L, "X : y"], {}), "a folded header": (400, [T, L, "X-A: y", " z"], {}),
    "an unknown expectation": (417, [T, L, "Expect: 200-ok"], {}), "a fragment": (400, [T, L], {"target": "/acme/profile/p-acme/new-order#x"}),
    "a bad escape": (400, [T, L], {"target": "/acme/profile/p-acme/order/%zz"}), "a zero octet": (400, [T, L], {"target": "/acme/profile/p-acme/order/%00"}),
    "a line's end": (400, [T, L], {"target": "/acme/profile/p-acme/order/x%0d%0aX:y"}), "direction marks": (400, [T, L], {"target": "/acme/profile/p-acme/order/%e2%80%ae"}),
}


def frame(w, headers, **more):
    return raw_row("", headers, **more).make(w)


TABLE = METHODS + TYPES + PATHS + PROFILES + RAW
