"""
The API process as its clients see it: a stop that finishes what runs, clients
that leave, clients behind proxies.
"""
import re

import pytest

from fleet import API_KEY, Fleet, wait_for
from rawtls import RawTls, ask

HOST = "Host: localhost\r\n"
HEALTH = f"GET /health HTTP/1.1\r\n{HOST}\r\n"
AUTH = f"Authorization: Bearer {API_KEY}\r\n"


@pytest.fixture(scope="module")
def stack():
    fleet = Fleet("serving")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(CERTCTL_LOG_LEVEL="debug", CERTCTL_TRUSTED_PROXIES="127.0.0.0/8, 10.0.0.0/8")
        yield fleet
    finally:
        fleet.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


def logged(stack, reply, what):
    """A member of the log line of a request."""
    found = wait_for(lambda: re.search(rf"request={reply[1]['x-request-id']}.*? {what}=\"?([^\s\"]*)", stack.processes["apiserver"].log()), 20,
                     "the request's log line")
    return found.group(1)


def test_the_client_behind_a_proxy(stack):
    assert logged(stack, ask(stack, HEALTH), "peer") == "127.0.0.1"
    for said, peer in (("203.0.113.5", "203.0.113.5"), ("1.1.1.1, 203.0.113.5, 10.1.1.1", "203.0.113.5"), ("nonsense", "127.0.0.1")):
        assert logged(stack, ask(stack, f"GET /health HTTP/1.1\r\n{HOST}X-Forwarded-For: {said}\r\n\r\n"), "peer") == peer
    reply = ask(stack, f"GET /health HTTP/1.1\r\n{HOST}X-Forwarded-For: 203.0.113.5\r\nx-forwarded-for: 10.1.1.1\r\n\r\n")
    assert logged(stack, reply, "peer") == "203.0.113.5"


def test_a_client_that_leaves_ends_its_request(stack, new_agent):
    agent, _ = new_agent()
    with RawTls(stack) as c:
        c.send(f"GET /api/v1/agents/{agent}/work?wait=30s HTTP/1.1\r\n{HOST}{AUTH}\r\n")
        wait_for(lambda: ask(stack, HEALTH)[0] == 200, 20, "health")
    wait_for(lambda: re.search(r'msg="client gone".*agents/\{id\}/work', stack.processes["apiserver"].log()), 20, "the request to end")


def test_a_stop_finishes_what_runs(stack):
    process = stack.processes["apiserver"]
    with RawTls(stack) as idle, RawTls(stack) as busy, RawTls(stack) as half:
        for c in (idle, busy, half):
            c.send(HEALTH)
            assert c.reply()[0] == 200
        body = '{"id":"t-last","name":"last"}'
        busy.send(f"POST /api/v1/teams HTTP/1.1\r\n{HOST}{AUTH}Content-Length: {len(body)}\r\n\r\n{{")
        half.send("GET /health HT")
        process.ask_to_stop()
        assert idle.ends()
        busy.send(body[1:])
        status, headers, _ = busy.reply()
        assert status == 201 and headers["connection"] == "close" and busy.ends()
        half.send("TP/1.1\r\n" + HOST + "\r\n")
        status, headers, _ = half.reply()
        assert status == 200 and headers["connection"] == "close" and half.ends()
    assert process.wait_end(5) == 0
    assert stack.value("SELECT count(*) FROM teams WHERE id = 't-last'") == 1


@pytest.mark.parametrize("value", ["10.0.0.0/33", "proxy.example", "10.0.0.0/8, x"])
def test_proxies_that_are_none_are_refused(stack, value):
    process = stack.start_apiserver(wait=False, CERTCTL_TRUSTED_PROXIES=value)
    assert process.wait_end(10) == 1
    assert "CERTCTL_TRUSTED_PROXIES" in process.log() and value.split(", ")[-1] in process.log()
