"""
What looks hostile and is right: the RFCs say that it is to be taken.
"""
import json

from acme import b64, jws, unb64
from hostile.signatures import N256, pair, parts
from hostile.web import T, raw
from hostile.world import Ask, Row, altered, csr, dns, signed


def half(w, is_high):
    """ECDSA's s above, or below, half of the order."""
    made = jws(w.bob.key, w.bob.header(w.bob.kid), "")
    r, s = parts(unb64(made["signature"]))
    s = s if (s > N256 // 2) == is_high else N256 - s
    return Ask(w.bob, w.bob.kid, json.dumps(made | {"signature": b64(pair(r, s))}))


def read(w, **header):
    return signed(w.bob, w.bob.kid, **header)


def answered(w):
    """A challenge that was answered before."""
    url = w.order(w.prover, w.fresh("twice"))["authz"][0]["challenges"][0]["url"]
    assert w.prover.post(url, {})[2]["status"] == "processing"
    return signed(w.prover, url, {})


def chunked(w):
    body = read(w).body
    return raw(w, [T, "Transfer-Encoding: chunked"], f"{len(body):x}\r\n{body}\r\n0\r\n\r\n", w.bob.kid.removeprefix(f"https://{w.bob.host}"))


TABLE = [
    Row("a signature with a high s", "7518 3.4", 200, lambda w: half(w, True)), Row("a signature with a low s", "7518 3.4", 200, lambda w: half(w, False)),
    *(Row(f"type {k}", "9110 8.3.1", 200, lambda w, k=k: read(w)._replace(headers={"Content-Type": k}))
      for k in ("application/jose+json; charset=utf-8", "Application/JOSE+JSON", "application/jose+json;x=y")),
    Row("a member of the message that nobody knows", "7515 7.2.1", 200, lambda w: altered(w.bob, w.bob.kid, "", lambda m: m | {"other": {"x": 1}})),
    Row("a member of the header that nobody knows", "7515 4", 200, lambda w: read(w, other={"x": [1]})),
    Row("typ", "7515 4.1.9", 200, lambda w: read(w, typ="JOSE+JSON")), Row("b64 true", "7797 3", 200, lambda w: read(w, b64=True)),
    Row("chunks", "9112 7.1", 200, chunked),
    Row("directory by POST-as-GET", "8555 6.3", 200, lambda w: signed(w.bob, "directory")),
    Row("directory by POST-as-GET with a key", "8555 6.3", 200, lambda w: signed(w.stranger(), "directory")),
    Row("new-nonce by POST-as-GET", "8555 6.3, 7.2", 204, lambda w: signed(w.bob, "new-nonce")),
    Row("an account's state that it cannot give itself", "8555 7.3.2", 200, lambda w: signed(w.bob, w.bob.kid, {"status": "revoked", "orders": "x", "x": 1})),
    Row("names that stand there twice", "8555 7.4", 201, lambda w: signed(w.bob, "new-order", dns("dup.example.test", "DUP.example.test", "dup.example.test"))),
    Row("a challenge that was answered before", "8555 7.5.1", 200, answered),
    Row("a request in capitals, again", "8555 7.4, 4343", 200, lambda w: signed(w.alice, w.issued["finalize"], {"csr": csr("ONE.secret.EXAMPLE.test", key=w.issued["key"])})),
]
