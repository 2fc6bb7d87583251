"""
Hostile requests to the ACME server, each with the status and the problem type that the
RFCs give it: nothing comes of any of them, and none learns what is another's.

The tables lie in tests/support/hostile; each row says the section that it rests on.
"""
import base64
import json
import re

import pytest

from acme import Client, problem
from hostile import accounts, bindings, certificates, keys, messages, orders, owners, requests, signatures, taken, web
from hostile.world import SETTINGS, World

TABLES = {"messages": messages, "signatures": signatures, "keys": keys, "owners": owners, "requests": requests, "orders": orders,
          "certificates": certificates, "accounts": accounts, "bindings": bindings, "web": web}
ROWS = [pytest.param(row, id=f"{name}: {row.name}") for name, table in TABLES.items() for row in table.TABLE]
# What no client is to read: names of ours, of our libraries, of the database.
INSIDE = re.compile(r"\b(RC_[A-Z]+|SELECT|INSERT|UPDATE|relation|psql|pg_|postgres\w*|PostgreSQL|libpq|OpenSSL|error:[0-9A-F]{8}|cJSON|\w+\.c:\d+|"
                    r"\(null\)|acme_(orders|accounts|nonces|authorizations|challenges|order_\w+|account_\w+|authz_\w+)|0x[0-9a-f]{6,}|/tmp/|/var/|/home/)", re.IGNORECASE)


@pytest.fixture(scope="module")
def world(plane):
    """Of one apiserver; once all is issued nothing else moves."""
    plane.processes["apiserver"].stop()
    plane.start_apiserver(keep=True, **SETTINGS)
    made = World(plane)
    for name in ("scheduler-1", "worker-1"):
        plane.processes[name].stop()
    yield made
    Client.close_all()


def plain(ask):
    """All that the request says, its parts decoded: what an answer may say again."""
    body = ask.body.decode("latin-1") if isinstance(ask.body, bytes) else ask.body or ""
    parts = re.findall(r"[A-Za-z0-9_-]{8,}", body)
    decoded = [base64.urlsafe_b64decode(p + "=" * (-len(p) % 4)).decode("latin-1") for p in parts if len(p) % 4 != 1]
    return ask.path + body + "".join(decoded)


def index_of(ask):
    """The link to the directory, at the host that was asked for (RFC 8555 section 7.1); of what is no profile's id, the default's."""
    path, host = ask.path if ask.path.startswith("/") else f"{ask.client.base}/{ask.path}", ask.client.host
    if isinstance(ask, web.Raw):
        host = re.search(rb"\r\nHost: ([^\r]+)", ask.data)[1].decode()
    profile = re.match(r"/acme/profile/([A-Za-z0-9_][A-Za-z0-9._-]{0,127})/", path.removeprefix(f"https://{host}"))
    return f'<https://{host}/acme{f"/profile/{profile[1]}" if profile else ""}/directory>;rel="index"'


@pytest.mark.parametrize("row", ROWS)
def test_refused(world, row):
    ask = row.make(world)
    before = world.snapshot()
    answer = ask.send()
    status, headers, body = answer
    assert problem(answer) == row.want, (row.rfc, body)
    said = json.dumps(body)
    assert len(body["detail"].split()) >= 4 and row.words in body["detail"] and not INSIDE.search(said), said
    assert headers["Replay-Nonce"] and headers.get_all("Link") == [index_of(ask)]
    if ask.client not in world.owners():
        asked = plain(ask)
        for secret in world.secrets():
            assert secret in asked or secret not in said + str(headers), (secret, said)
    assert world.snapshot() == before


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in taken.TABLE])
def test_taken(world, row):
    status, headers, body = row.make(world).send()
    assert status == row.want, (row.rfc, body)
    assert headers["Replay-Nonce"]


@pytest.mark.parametrize("status, headers, more", web.FRAMES.values(), ids=web.FRAMES)
def test_no_http(world, status, headers, more):
    ask = web.frame(world, headers, **more)
    before = world.snapshot()
    got, _, body = ask.send()
    assert got == status and body["message"] and not INSIDE.search(json.dumps(body))
    assert world.snapshot() == before
