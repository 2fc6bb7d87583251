"""
ZeroSSL's way of giving an external account: it is asked for one by the e-mail address, where the issuer is configured with none.
The simulated CA is found at a name of theirs on this host.
"""
import itertools
from urllib.parse import parse_qs

import pytest

from ca_kinds import start_simulators
from fleet import free_port, wait_for
from sim_acme import AcmeSim, b64
from test_acme_issuer_faults import payloads
from test_issuers_conformance import at_once, completed, renew, row, versions

HOST = "zerossl.com.localhost"  # curl knows by itself where that is
MAC = b"0123456789abcdef0123456789abcdef"
ASKED = "/eab-credentials-email"
numbers = itertools.count(1)


class ZeroSsl(AcmeSim):
    def __init__(self, trust):
        trust.make("zerossl", HOST)
        super().__init__(trust)
        self.url = self.url.replace("localhost", HOST, 1)
        self.entry = self.url + self.front

    def make_context(self, trust):
        return trust.context("zerossl")


@pytest.fixture(scope="module")
def plane(stack):
    settings = start_simulators(stack)
    stack.zerossl = ZeroSsl(stack.trust)
    settings["CERTCTL_ISSUER_BASE_URLS"] += "," + stack.zerossl.entry
    stack.start_scheduler(keep=True)
    stack.start_worker(1, keep=True, CERTCTL_FAULT_FILE=str(stack.dir / "fault"),
                       CERTCTL_ZEROSSL_EAB_URL=stack.zerossl.url + ASKED, **settings)
    stack.make_basics()
    stack.start_agent("agent-1", keep=True)
    yield stack
    stack.zerossl.close()
    for sim in stack.sims.values():
        sim.close()


@pytest.fixture
def sim(plane):
    """It knows nobody, and takes accounts of customers only."""
    plane.zerossl.reset()
    vars(plane.zerossl).pop("on_new_account", None)
    with plane.zerossl.lock:
        plane.zerossl.accounts.clear()
        plane.zerossl.bindings = {"kid-9": MAC}
    return plane.zerossl


def email_of(name):
    """Each issuer has its own: those of earlier tests come again when they like, to one simulator."""
    return f"ops+{name}@example.test"


def accounts(sim, name):
    return [account for account in list(sim.accounts.values()) if f"mailto:{email_of(name)}" in account["contact"]]


def asked(sim, name):
    """How often that issuer asked for an external account."""
    return [parse_qs(body, strict_parsing=True) for body in payloads(sim, ASKED)].count({"email": [email_of(name)]})


@pytest.fixture
def obtain(plane, sim):
    """Its first order; one of the issuer's test is over by then, or has failed and comes again later."""
    def order(**config):
        name = f"zero{next(numbers)}"
        email = config.pop("email", email_of(name))
        plane.api.need("POST", "/api/v1/issuers", {"id": f"iss-{name}", "name": name, "type": "ACME", "config": {
            "directory_url": sim.entry, "http_port": free_port()} | ({"email": email} if email else {}) | config})
        wait_for(lambda: plane.value("SELECT test_status FROM issuers WHERE id = %s", f"iss-{name}") != "untested", 40, "the issuer's test")
        plane.make_target(f"tgt-{name}", plane.processes["agent-1"].agent_id, plane.dir / "sites" / name)
        plane.make_certificate(name, [f"tgt-{name}"], issuer_id=f"iss-{name}")
        return name, renew(plane, name)
    return order


def test_it_is_asked_once_and_binds_the_account(plane, sim, obtain):
    name, job = obtain()
    completed(plane, job)
    assert asked(sim, name) == 1
    (account,) = accounts(sim, name)
    assert account["contact"] == [f"mailto:{email_of(name)}"]
    plane.processes["worker-1"].kill()  # and all that it remembers
    again = renew(plane, name)
    completed(plane, again)
    assert asked(sim, name) == 1 and len(accounts(sim, name)) == 1 and len(versions(plane, name)) == 2
    # It stands nowhere.
    assert b64(MAC) not in plane.processes["worker-1"].log()
    assert not plane.value("SELECT count(*) FROM jobs WHERE checkpoint::text LIKE %s OR last_error LIKE %s", f"%{b64(MAC)}%", f"%{b64(MAC)}%")


def test_one_that_the_issuer_is_configured_with_is_taken(plane, sim, obtain):
    name, job = obtain(eab_kid="kid-9", eab_hmac=b64(MAC))
    completed(plane, job)
    assert not asked(sim, name) and len(accounts(sim, name)) == 1


def test_without_an_address_nobody_is_asked(plane, sim, obtain):
    name, job = obtain(email=None)
    wait_for(lambda: "set eab_kid and eab_hmac" in (row(plane, job)[1] or ""), 30, "the refusal")
    # Without an address it could only have asked with none.
    assert all(parse_qs(body).get("email") for body in payloads(sim, ASKED)) and not accounts(sim, name)


GOOD = {"success": True, "eab_kid": "kid-9", "eab_hmac_key": b64(MAC)}
FAULTS = {
    "refused": ({"status": 200, "body": {"success": False, "error": {"code": 2900, "type": "invalid_email"}}}, 'HTTP 200: "invalid_email"'),
    "refused in words": ({"status": 400, "body": {"success": False, "error": "no such customer"}}, 'HTTP 400: "no such customer"'),
    "no JSON": ({"status": 200, "body": "<html>"}, "HTTP 200"),
    "an array": ({"status": 200, "body": []}, "its answer has no eab_kid and eab_hmac_key"),
    "no key": ({"status": 200, "body": GOOD | {"eab_hmac_key": ""}}, "its answer has no eab_kid and eab_hmac_key"),
    "a key that is none": ({"status": 200, "body": GOOD | {"eab_hmac_key": "not base64url!"}}, "its answer has no eab_kid"),
    "numbers": ({"status": 200, "body": GOOD | {"eab_kid": 7}}, "its answer has no eab_kid"),
    "an id that is too long": ({"status": 200, "body": GOOD | {"eab_kid": "k" * 300}}, "its answer has no eab_kid"),
    "an answer that is too long": ({"status": 200, "body": GOOD | {"more": "x" * 70000}}, "ZeroSSL gave no external account"),
    "500": ({"status": 500}, "HTTP 500"), "cut": ({"close": "before"}, "ZeroSSL gave no external account"),
    "half": ({"truncate": True}, "ZeroSSL gave no external account"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_account_without_it_and_then_it_is_asked_again(plane, sim, obtain, fault):
    how, words = FAULTS[fault]
    sim.fault("POST " + ASKED, times=99, **how)
    name, job = obtain()
    said = wait_for(lambda: row(plane, job)[1], 30, "its words")
    assert words in said and "ZeroSSL gave no external account for the e-mail address" in said, said
    assert not accounts(sim, name) and row(plane, job, "status, checkpoint") == ("Pending", None)
    sim.faults.clear()
    at_once(plane, job)
    completed(plane, job)
    assert len(accounts(sim, name)) == 1 and len(versions(plane, name)) == 1


def test_it_is_left_alone_as_long_as_it_says(plane, sim, obtain):
    sim.fault("POST " + ASKED, times=99, status=429, headers={"Retry-After": "7000"}, body={"success": False, "error": {"type": "rate_limited"}})
    _, job = obtain()
    assert '"rate_limited"' in wait_for(lambda: row(plane, job)[1], 30, "its words")
    assert row(plane, job, "run_after > now() + interval '100 minutes'") == (True,)


def answer_new_accounts(sim, made):
    """Of those that make one the CA loses the answer; made: it made it all the same."""
    take = AcmeSim.on_new_account

    def lose(ident, payload, header, jwk):
        if payload.get("onlyReturnExisting"):
            return take(sim, ident, payload, header, jwk)
        if made:
            take(sim, ident, payload, header, jwk)
        return 500, None, {}
    sim.on_new_account = lose


def test_before_the_account_is_made_it_is_asked_again_and_after_it_never(plane, sim, obtain):
    """What a worker was given dies with it; the account's key does not, and an account that there is needs no binding."""
    answer_new_accounts(sim, made=False)
    name, job = obtain()
    wait_for(lambda: row(plane, job)[1], 30, "the answer to be missed")
    key = plane.value("SELECT key_sealed FROM issuer_accounts WHERE issuer_id = %s", f"iss-{name}")
    assert asked(sim, name) >= 1 and not accounts(sim, name) and key
    plane.processes["worker-1"].kill()
    answer_new_accounts(sim, made=True)
    at_once(plane, job)
    wait_for(lambda: accounts(sim, name), 40, "the account")
    del sim.on_new_account
    plane.processes["worker-1"].kill()
    # What was on its way, the issuer's test too, ended with it.
    before = asked(sim, name)
    wait_for(lambda: row(plane, job)[0] == "Pending", 30, "the job to be free")
    at_once(plane, job)
    completed(plane, job)
    assert asked(sim, name) == before and len(accounts(sim, name)) == 1
    assert plane.value("SELECT key_sealed FROM issuer_accounts WHERE issuer_id = %s", f"iss-{name}") == key
