"""What a CA of ACME may do wrong, and what becomes of the order each time; and what is asked of it."""
import base64
import socket

import pytest

from fleet import wait_for
from sim_acme import cert_id, problem
from test_issuers_conformance import (at_once, certificates, completed, make, order, plane, renew, row, versions,  # noqa: F401
                                      wait_ordered, wait_status)


@pytest.fixture
def acme(make):  # noqa: F811
    return make("acme")


@pytest.fixture
def sim(acme):
    return acme.sim


def reconfigure(plane, acme, **change):  # noqa: F811
    plane.api.need("PUT", f"/api/v1/issuers/{acme.id}", {"config": acme.config["config"] | change})


def payloads(sim, path):
    return [payload for asked, payload in sim.asked if asked == path]


def test_what_is_asked_for(plane, acme, sim, order):  # noqa: F811
    reconfigure(plane, acme, profile="shortlived")
    sim.behave(visit=acme.config["config"]["http_port"], processing=2)
    name, job = order(acme)
    completed(plane, job)
    assert payloads(sim, "/new-order") == [{"identifiers": [{"type": "dns", "value": f"{name}.example.test"}], "profile": "shortlived"}]
    assert list(sim.accounts.values())[-1]["contact"] == ["mailto:ops@example.test"]
    (_, text, _), = versions(plane, name)
    assert [c.subject.rfc4514_string() for c in certificates(text)][1:] == ["CN=Simulated ACME Issuing CA"]
    # A renewal says what it replaces, by the same account; the first leaf is named as RFC 9773 says.
    again = renew(plane, name)
    completed(plane, again)
    first = next(iter(sim.orders.values()))
    assert payloads(sim, "/new-order")[1]["replaces"] == cert_id(first["leaf"])
    # The account is that of the issuer's test.
    assert not payloads(sim, "/new-account") and len(sim.orders) == 2


def test_a_replacement_that_is_refused_is_ordered_without(plane, acme, sim, order):  # noqa: F811
    name, job = order(acme)
    completed(plane, job)
    for each in sim.orders.values():
        del each["leaf"]
    again = renew(plane, name)
    completed(plane, again)
    assert ["replaces" in p for p in payloads(sim, "/new-order")] == [False, True, False] and len(sim.orders) == 2


@pytest.mark.parametrize("fault, lists", [({"close": "after"}, True), ({"close": "after"}, False), ({"truncate": True}, True),
                                          ({"status": 500}, True), ({"status": 201, "body": {}}, False)],
                         ids=["cut, listed", "cut, unlisted", "half", "500", "no URL"])
def test_an_order_whose_answer_is_lost(plane, acme, sim, order, fault, lists):  # noqa: F811
    """Where the CA lists orders it is adopted; elsewhere another is placed, and the first can become nothing."""
    sim.behave(lists=lists)
    sim.fault("POST /new-order", **fault)
    name, job = order(acme)
    completed_with_help(plane, job)
    taken = 1 if "status" in fault or lists else 2
    assert len(sim.orders) == taken and [o["status"] for o in sim.orders.values()].count("valid") == 1
    assert len(versions(plane, name)) == 1


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("page", [1000, 100])
def test_an_order_whose_answer_is_lost_is_the_newest_of_many(plane, acme, sim, order, page, newest_first):  # noqa: F811
    """An account has had more orders than are looked at, listed in one page or in several, the newest at either end."""
    sim.behave(lists=True, page=page, newest_first=newest_first)
    earlier = {"status": "valid", "identifiers": [{"type": "dns", "value": "earlier.example.test"}], "authzs": [], "replaces": None}
    with sim.lock:
        sim.orders.update({-n: dict(earlier) for n in range(350, 0, -1)})
    sim.fault("POST /new-order", close="after")
    name, job = order(acme)
    completed_with_help(plane, job)
    assert len([n for n in sim.orders if n > 0]) == 1 and len(versions(plane, name)) == 1


def test_a_lost_order_is_found_behind_newer_ones(plane, acme, sim, order):  # noqa: F811
    """Eighty were placed before the list was asked for."""
    sim.behave(lists=True)
    others = {"status": "valid", "identifiers": [{"type": "dns", "value": "others.example.test"}], "authzs": [], "replaces": None}
    with sim.lock:
        sim.orders.update({-n: dict(others) for n in range(350, 100, -1)})
    sim.fault("POST /new-order", close="after")
    sim.fault("POST /orders", delay=1)
    name, job = order(acme)
    wait_for(lambda: len(sim.orders) == 251, 20, "the order")
    with sim.lock:
        sim.orders.update({-n: dict(others) for n in range(80, 0, -1)})
    completed_with_help(plane, job)
    assert len([n for n in sim.orders if n > 0]) == 1 and len(versions(plane, name)) == 1


def completed_with_help(plane, job):  # noqa: F811
    def look():
        status, error = row(plane, job)
        if status == "Pending":
            plane.query("UPDATE jobs SET run_after = now() WHERE id = %s AND status = 'Pending' AND run_after < 'infinity'", job)
        return status in ("Completed", "Failed") and (status, error)
    assert wait_for(look, 40, f"{job} to end") == ("Completed", None)


LIMITED = {"status": 429, "headers": {"Retry-After": "7000"}, "body": problem(429, "rateLimited", "too many")[1]}
BUSY = {"status": 503, "headers": {"Retry-After": "7000"}}


@pytest.mark.parametrize("path, fault, words", [
    ("GET /directory", BUSY, "HTTP 503"), ("GET /new-nonce", LIMITED, '"too many" (rateLimited)'),
    ("POST /new-account", LIMITED, '"too many" (rateLimited)'), ("POST /new-order", LIMITED, '"too many" (rateLimited)')],
    ids=["directory", "nonce", "account", "order"])
def test_before_there_is_an_order_it_is_tried_again_when_the_ca_says(plane, acme, sim, order, path, fault, words):  # noqa: F811
    sim.fault(path, **fault)
    if path != "POST /new-order":
        plane.processes["worker-1"].kill()  # what it remembers would do
    _, job = order(acme)
    assert words in wait_for(lambda: row(plane, job)[1], 30, "the refusal")
    assert row(plane, job, "status, attempts, checkpoint, run_after > now() + interval '100 minutes'") == ("Pending", 1, None, True)
    at_once(plane, job)
    completed(plane, job)
    assert len(sim.orders) == 1


@pytest.mark.parametrize("path", ["POST /order/", "POST /authz/", "POST /challenge/", "POST /finalize/", "POST /certificate/"])
def test_a_step_that_fails_is_taken_again(plane, acme, sim, order, path):  # noqa: F811
    """It meets one fault after the other, and there is one order and one certificate in the end."""
    for fault in ({"status": 429, "headers": {"Retry-After": "7000"}}, {"status": 500}, {"close": "before"}, {"truncate": True}):
        sim.fault(path, **fault)
    name, job = order(acme)
    completed_with_help(plane, job)
    assert len(sim.orders) == 1 and len(versions(plane, name)) == 1
    assert not [f for f in sim.faults if f["times"]]


REFUSED = {"type": "urn:ietf:params:acme:error:connection", "detail": "Connection refused"}


def wait_ended(plane, job, attempts):  # noqa: F811
    """The order came to nothing and costs an attempt; nothing of it is left but the CA's words.  Those, and how long it waits."""
    found = wait_for(lambda: (r := row(plane, job, "status, attempts, checkpoint, last_error, run_after - now()"))[1] == attempts and r, 40,
                     f"the end of order {attempts}")
    assert (found[0], found[2]) == ("Pending", None), found
    return found[3], found[4].total_seconds()


def test_an_order_that_ended_costs_an_attempt_and_another_is_placed(plane, acme, sim, order):  # noqa: F811
    sim.behave(authz_error=REFUSED)
    name, job = order(acme)
    words, wait_s = wait_ended(plane, job, 1)
    (first,) = sim.orders
    assert words == f'the CA ended order {sim.url}/order/{first} without a certificate: {name}.example.test: "Connection refused" (connection)'
    assert wait_s > 0
    # Never beside one that may still become something.
    assert [o["status"] for o in sim.orders.values()] == ["invalid"]
    sim.behave()
    at_once(plane, job)
    completed(plane, job)
    assert [o["status"] for o in sim.orders.values()] == ["invalid", "valid"] and len(versions(plane, name)) == 1
    assert row(plane, job, "attempts") == (1,)


def test_the_last_order_that_ended_fails_the_job_in_the_ca_s_words(plane, acme, sim, order):  # noqa: F811
    sim.behave(hold=True, order_error={"type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it"})
    _, job = order(acme)
    most = row(plane, job, "max_attempts")[0]
    waits = []
    for attempt in range(1, most + 1):
        wait_for(lambda: sum(a["challenge"]["status"] == "processing" for a in list(sim.authzs.values())) == attempt, 20, "the challenge")
        with sim.lock:
            for each in sim.orders.values():
                each["status"] = "invalid"
        if attempt < most:
            words, wait_s = wait_ended(plane, job, attempt)
            assert words.endswith('without a certificate: invalid: "CAA forbids it" (caa)'), words
            waits.append(wait_s)
            at_once(plane, job)
    status, error = wait_status(plane, job, "Completed", "Failed")
    assert status == "Failed" and error.endswith('without a certificate: invalid: "CAA forbids it" (caa)'), error
    # A failure of the names is none of the CA's: its lane stays open.
    assert len(sim.orders) == most and waits == sorted(waits)
    assert plane.query("SELECT failures, breaker_state FROM lanes WHERE issuer_id = %s", acme.id) == [(0, "closed")]


def test_a_ca_is_told_once_of_each_answer(plane, acme, sim, order):  # noqa: F811
    """Told again it would look again, maybe when the answer is gone: of a challenge that shows as pending meanwhile, and by whatever worker."""
    sim.behave(hold=True, quiet=True)
    _, job = order(acme)
    wait_ordered(plane, job, 1)
    at_once(plane, job)
    wait_ordered(plane, job, 3)
    plane.processes["worker-1"].kill()
    at_once(plane, job)
    wait_ordered(plane, job, 4)
    assert len([path for path, _ in sim.asked if path.startswith("/challenge/")]) == 1
    assert row(plane, job, "checkpoint ->> 'note'")[0].startswith("t1:")
    sim.let_go()
    completed(plane, job)
    assert len(sim.orders) == 1


def test_an_order_that_is_forgotten_is_placed_again(plane, acme, sim, order):  # noqa: F811
    sim.behave(hold=True)
    _, job = order(acme)
    wait_ordered(plane, job, 1)
    with sim.lock:
        sim.orders.clear()
        sim.behave()
    completed_with_help(plane, job)
    assert len(sim.orders) == 1 and len(payloads(sim, "/new-order")) == 2


def test_a_challenge_that_is_not_offered(plane, acme, sim, order):  # noqa: F811
    sim.behave(challenges=("dns-01", "tls-alpn-01"))
    name, job = order(acme)
    status, error = wait_status(plane, job, "Completed", "Failed")
    assert status == "Failed" and error.endswith(
        f"{name}.example.test: the CA does not offer http-01 (it offers: dns-01, tls-alpn-01)"), error


def test_a_port_that_is_taken(plane, acme, sim, order):  # noqa: F811
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", acme.config["config"]["http_port"]))
        taken.listen()
        _, job = order(acme)
        words = "port %d can't be listened on for http-01: Address already in use" % acme.config["config"]["http_port"]
        wait_for(lambda: words in (row(plane, job)[1] or ""), 20, "the words")
    completed_with_help(plane, job)
    assert len(sim.orders) == 1


@pytest.fixture
def hooks(plane):  # noqa: F811
    log = plane.dir / "hooks"
    log.unlink(missing_ok=True)

    def script(name, text="exit 0"):
        path = plane.dir / "scripts" / name
        path.write_text(f'#!/bin/sh\necho "{name}|$CERTCTL_DNS_DOMAIN|$CERTCTL_DNS_FQDN|$CERTCTL_DNS_VALUE|$CERTCTL_DNS_TOKEN" >>{log}\n{text}\n')
        path.chmod(0o755)
        return str(path)
    script.lines = lambda: [line.split("|") for line in log.read_text().splitlines()] if log.exists() else []
    return script


def test_dns01_presents_waits_and_cleans(plane, acme, sim, order, hooks):  # noqa: F811
    reconfigure(plane, acme, challenge_type="dns-01", dns_propagation_wait=0, dns_present_script=hooks("present"),
                dns_cleanup_script=hooks("cleanup"))
    name, job = order(acme)
    completed(plane, job)
    (authz,) = sim.authzs.values()
    record = [f"{name}.example.test", f"_acme-challenge.{name}.example.test"]
    present, cleanup = hooks.lines()
    assert present[:3] == ["present", *record] and cleanup[:3] == ["cleanup", *record] and present[3:] == cleanup[3:]
    assert present[4] == authz["token"] and len(present[3]) == 43


def test_a_script_that_fails_is_quoted_and_run_again(plane, acme, sim, order, hooks):  # noqa: F811
    reconfigure(plane, acme, challenge_type="dns-01", dns_propagation_wait=0,
                dns_present_script=hooks("present", 'echo "the zone is locked" >&2; exit 7'))
    _, job = order(acme)
    wait_for(lambda: 'present ended with status 7: "the zone is locked"' in (row(plane, job)[1] or ""), 20, "its words")
    hooks("present")
    completed_with_help(plane, job)
    assert len(sim.orders) == 1


def test_dns_persist01(plane, acme, sim, order, hooks):  # noqa: F811
    sim.behave(challenges=("dns-persist-01",))
    reconfigure(plane, acme, challenge_type="dns-persist-01", dns_propagation_wait=0, dns_persist_issuer_domain="ca.example",
                dns_present_script=hooks("present"), dns_cleanup_script=hooks("cleanup"))
    name, job = order(acme)
    completed(plane, job)
    account = list(sim.accounts)[-1]
    assert hooks.lines() == [["present", f"{name}.example.test", f"_validation-persist.{name}.example.test",
                              f"ca.example; accounturi={account}", ""]]


def test_the_account_is_made_once_and_its_key_is_sealed(plane, acme, sim, order):  # noqa: F811
    name, job = order(acme)
    completed(plane, job)
    before = len(sim.accounts)
    plane.processes["worker-1"].kill()
    again = renew(plane, name)
    completed(plane, again)
    assert len(sim.accounts) == before and len(payloads(sim, "/new-account")) == 1
    sealed = bytes(plane.value("SELECT key_sealed FROM issuer_accounts WHERE issuer_id = %s", acme.id))
    assert sealed[0] == 3 and b"PRIVATE" not in sealed


def ask_for_bindings(plane, sim, bindings):  # noqa: F811
    """From now on; no account of before is known to either side."""
    with sim.lock:
        sim.accounts.clear()
        sim.bindings = bindings
    plane.processes["worker-1"].kill()


def ended_test(plane, acme):  # noqa: F811
    """How its test ends that is asked for now, and in what words."""
    plane.query("UPDATE issuers SET test_status = 'untested' WHERE id = %s", acme.id)
    plane.api.call("POST", f"/api/v1/issuers/{acme.id}/test")
    status = wait_for(lambda: (s := plane.value("SELECT test_status FROM issuers WHERE id = %s", acme.id)) != "untested" and s, 40, "the test")
    return status, plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", acme.id) or ""


def test_its_test_asks_the_directory_and_the_account(plane, acme, sim):  # noqa: F811
    assert len(sim.accounts) >= 1 and not sim.orders
    assert ended_test(plane, acme)[0] == "success"
    assert [path for path, _ in sim.asked if path.startswith("/account/")] and not payloads(sim, "/new-order")
    sim.fault("POST /account/", times=9, status=403, body=problem(403, "unauthorized", "This account is deactivated")[1])
    status, words = ended_test(plane, acme)
    assert status == "failed" and 'the CA refused the test: HTTP 403: "This account is deactivated" (unauthorized)' in words
    sim.faults.clear()
    ask_for_bindings(plane, sim, {"kid-7": b"0123456789abcdef0123456789abcdef"})
    status, words = ended_test(plane, acme)
    assert status == "failed" and "the CA refused the test: the CA takes accounts with an external account only" in words


def test_an_external_account_binds_it(plane, acme, sim, order):  # noqa: F811
    key = b"0123456789abcdef0123456789abcdef"
    ask_for_bindings(plane, sim, {"kid-7": key})
    _, job = order(acme)
    wait_for(lambda: "set eab_kid and eab_hmac" in (row(plane, job)[1] or ""), 20, "the refusal")
    reconfigure(plane, acme, eab_kid="kid-7", eab_hmac=base64.b64encode(key).decode())
    at_once(plane, job)
    completed(plane, job)
    assert base64.b64encode(key).decode() not in str(plane.api.get(f"/api/v1/issuers/{acme.id}"))


@pytest.mark.parametrize("change, words", [
    ({"directory_url": "https://elsewhere.example/directory"}, "directory_url is none of the known CAs'"),
    ({"challenge_type": "tls-alpn-01"}, "challenge_type is none of http-01, dns-01 and dns-persist-01"),
    ({"challenge_type": "dns-01"}, "dns-01 needs dns_present_script"),
    ({"challenge_type": "dns-01", "dns_present_script": "/bin/true"}, "does not lie directly in CERTCTL_SCRIPT_ISSUER_DIR"),
    ({"webroot": "/etc"}, "webroot /etc is none of CERTCTL_ACME_WEBROOTS"), ({"profile": "a/b"}, "profile is letters, digits"),
    ({"email": "nobody"}, "email is no address"), ({"eab_kid": "kid-1"}, "eab_kid and eab_hmac belong together")])
def test_a_configuration_that_no_worker_may_use(plane, acme, sim, change, words):  # noqa: F811
    # Its test, by the configuration that it was made with, is over before.
    wait_for(lambda: plane.value("SELECT test_status FROM issuers WHERE id = %s", acme.id) != "untested", 40, "the issuer's test")
    reconfigure(plane, acme, **({"directory_url": sim.silent} | change))
    wait_for(lambda: words in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", acme.id) or ""),
             20, "its words")
    assert sim.calls("GET /silent/") == 0
