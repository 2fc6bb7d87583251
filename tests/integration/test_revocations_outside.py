"""
What is revoked here is revoked at the CA that issued it: told until it confirms, whoever dies and whatever the CA says,
and shown meanwhile.
"""
import pytest

from ca_kinds import POLLED, REVOKE
from fleet import wait_for
from test_issuers_conformance import at_once, change, completed, die_at, make, order, plane, row, versions, wait_ordered, wait_status  # noqa: F401


@pytest.fixture
def issued(plane, make, order):  # noqa: F811
    def one(kind):
        issuer = make(kind)
        name, job = order(issuer)
        completed(plane, job)
        return issuer, name
    return one


def revoke(plane, name, reason="keyCompromise"):  # noqa: F811
    assert plane.api.post(f"/api/v1/certificates/{name}/revoke", {"reason": reason}) == (200, {"status": "revoked"})


def shown(plane, name):  # noqa: F811
    """State and words at its newest version."""
    version = plane.api.need("GET", f"/api/v1/certificates/{name}/versions")["data"][0]
    return version.get("ca_revocation"), version.get("ca_revocation_said", "")


def wait_shown(plane, name, state, words=""):  # noqa: F811
    wait_for(lambda: shown(plane, name)[0] == state and words in shown(plane, name)[1], 30, f"{name} to be {state} at the CA: {words}")


def reason(plane, name):  # noqa: F811
    return plane.api.need("GET", f"/api/v1/certificates/{name}").get("reason", "")


def tasks(plane, name, columns="count(*)"):  # noqa: F811
    return plane.value(f"SELECT {columns} FROM tasks t JOIN certificate_revocations r ON r.id = t.subject WHERE t.kind = 'ca_revoke' "
                       "AND r.certificate_id = %s", name)


def again(plane, name):  # noqa: F811
    """It need not wait for its back-off."""
    wait_for(lambda: tasks(plane, name, "min(t.status)") == "Pending", 30, "the task to be free")
    plane.query("UPDATE tasks SET run_after = now() WHERE kind = 'ca_revoke' AND status = 'Pending'")


def condition(plane, name):  # noqa: F811
    return plane.query("SELECT detail FROM conditions WHERE name = 'revocation_unconfirmed' AND subject = %s", name)


def events(plane, name):  # noqa: F811
    return [a for a, in plane.query("SELECT action FROM audit_events WHERE resource_id = %s AND action LIKE 'certificate_revo%%' ORDER BY id", name)]


@pytest.mark.parametrize("kind", REVOKE)
def test_the_ca_is_told(plane, issued, kind):  # noqa: F811
    issuer, name = issued(kind)
    revoke(plane, name)
    wait_shown(plane, name, "confirmed")
    assert issuer.revoked() == [issuer.compromised] and issuer.told() == 1
    assert tasks(plane, name) == 0 and reason(plane, name) == "" and not condition(plane, name)
    assert events(plane, name) == ["certificate_revoked", "certificate_revocation_confirmed"]
    assert plane.value("SELECT issuer_notified FROM certificate_revocations WHERE certificate_id = %s", name)


@pytest.mark.parametrize("kind", REVOKE)
@pytest.mark.parametrize("fault", [{"status": 503}, {"close": "before"}, {"status": 401}, {"status": 429, "headers": {"Retry-After": "7000"}}],
                         ids=["503", "cut", "401", "429"])
def test_what_it_did_not_confirm_is_shown_and_told_again(plane, issued, kind, fault):  # noqa: F811
    issuer, name = issued(kind)
    issuer.sim.fault(issuer.revokes, times=issuer.times(fault), **fault)
    revoke(plane, name)
    wait_for(lambda: tasks(plane, name, "min(t.attempts)") == 1, 30, "the first try")
    assert shown(plane, name)[0] == "waiting" and reason(plane, name).startswith(f"it is revoked here, and not yet at its CA, issuer {issuer.id}: ")
    assert plane.value("SELECT failures FROM lanes WHERE issuer_id = %s", issuer.id) == 1
    assert tasks(plane, name, "min(t.run_after) > now() + interval '100 minutes'") == ("headers" in fault)
    assert not condition(plane, name)
    plane.query("UPDATE certificate_revocations SET revoked_at = revoked_at - interval '1 hour' WHERE certificate_id = %s", name)
    assert condition(plane, name)
    again(plane, name)
    wait_shown(plane, name, "confirmed")
    assert issuer.revoked() == [issuer.compromised] and not condition(plane, name)
    assert plane.value("SELECT failures FROM lanes WHERE issuer_id = %s", issuer.id) == 0


@pytest.mark.parametrize("kind", REVOKE)
def test_an_answer_that_got_lost_is_no_second_revocation(plane, issued, kind):  # noqa: F811
    """It obeyed, and nobody heard of it: told again, it says that it is revoked already, which is what was wanted."""
    issuer, name = issued(kind)
    issuer.sim.fault(issuer.revokes, close="after")
    revoke(plane, name)
    wait_for(lambda: tasks(plane, name, "min(t.attempts)") == 1, 30, "the first try")
    again(plane, name)
    wait_shown(plane, name, "confirmed")
    assert issuer.revoked() == [issuer.compromised]


@pytest.mark.parametrize("kind", REVOKE)
def test_a_refusal_is_told_of_at_once(plane, issued, kind):  # noqa: F811
    issuer, name = issued(kind)
    issuer.sim.fault(issuer.revokes, **issuer.refuses_revocation)
    revoke(plane, name)
    wait_shown(plane, name, "refused", "Not by you")
    assert "Not by you" in reason(plane, name) and "Not by you" in condition(plane, name)[0][0]
    again(plane, name)
    wait_shown(plane, name, "confirmed")
    assert events(plane, name) == ["certificate_revoked", "certificate_revocation_refused", "certificate_revocation_confirmed"]


@pytest.mark.parametrize("kind", REVOKE)
@pytest.mark.parametrize("point", ["before", "sent", "answered"])
def test_killed_anywhere_it_is_revoked_there_in_the_end(plane, issued, die_at, kind, point):  # noqa: F811
    issuer, name = issued(kind)
    died = die_at(f"worker.revoke.{point}")
    revoke(plane, name)
    died()
    wait_shown(plane, name, "confirmed")
    assert issuer.revoked() == [issuer.compromised] and tasks(plane, name) == 0
    assert events(plane, name) == ["certificate_revoked", "certificate_revocation_confirmed"]


@pytest.mark.parametrize("kind", REVOKE)
def test_the_lane_holds_it_back(plane, issued, kind):  # noqa: F811
    issuer, name = issued(kind)
    plane.query("UPDATE lanes SET breaker_state = 'open', opened_until = now() + interval '1 hour' WHERE issuer_id = %s", issuer.id)
    revoke(plane, name)
    wait_for(lambda: tasks(plane, name, "min(t.run_after) > now() + interval '50 minutes'"), 30, "the lane to be asked")
    assert issuer.told() == 0 and tasks(plane, name, "min(t.attempts)") == 0
    plane.query("UPDATE lanes SET opened_until = now() WHERE issuer_id = %s", issuer.id)
    again(plane, name)
    wait_shown(plane, name, "confirmed")
    assert plane.value("SELECT breaker_state FROM lanes WHERE issuer_id = %s", issuer.id) == "closed"


@pytest.mark.parametrize("kind", POLLED)
def test_what_is_issued_after_its_certificate_was_revoked_is_revoked_there(plane, make, order, kind):  # noqa: F811
    issuer = make(kind)
    issuer.pending()
    name, job = order(issuer)
    wait_ordered(plane, job, 0)
    # Neither can be cancelled any more when it is tried.
    issuer.ready()
    plane.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, "
                "issuer_id, job_id) SELECT 'a-' || %s, %s, md5(%s), now(), now(), md5(%s), '', %s, 'x'", name, name, name, name, issuer.id)
    revoke(plane, name)
    assert wait_status(plane, job, "Completed", "Cancelled", "Failed") == ("Completed", None)
    wait_shown(plane, name, "confirmed")
    assert issuer.revoked() == [issuer.compromised]


def test_an_approval_is_waited_for(plane, issued):  # noqa: F811
    issuer, name = issued("digicert")
    for placed in issuer.sim.orders.values():
        placed["approval"] = True
    revoke(plane, name)
    wait_shown(plane, name, "pending", "its approval is awaited")
    again(plane, name)
    wait_for(lambda: tasks(plane, name, "min(t.attempts)") == 2, 30, "the second look")
    issuer.sim.approve()
    again(plane, name)
    wait_shown(plane, name, "confirmed")
    assert issuer.told() == 1


def test_by_the_serial_number_where_the_ca_s_own_is_not_known(plane, issued):  # noqa: F811
    """Versions of before have neither."""
    issuer, name = issued("digicert")
    plane.query("UPDATE certificate_versions SET ca_certificate_id = NULL, ca_order_id = NULL WHERE certificate_id = %s", name)
    revoke(plane, name, "superseded")
    wait_shown(plane, name, "confirmed")
    assert issuer.revoked() == ["superseded"]


def test_a_reason_that_an_acme_ca_does_not_know_is_left_out(plane, issued):  # noqa: F811
    issuer, name = issued("acme")
    issuer.sim.behave(reasons=(0, 1))
    revoke(plane, name, "superseded")
    wait_shown(plane, name, "confirmed")
    assert issuer.revoked() == [0] and issuer.told() == 2


def test_a_ca_that_cannot_be_told_is_for_people(plane, issued):  # noqa: F811
    issuer, name = issued("openssl")
    revoke(plane, name)
    wait_shown(plane, name, "by_hand")
    assert reason(plane, name) == f"it is revoked here; its CA, issuer {issuer.id}, can't be told from here: revoke it there"
    assert condition(plane, name) and tasks(plane, name) == 0
    assert events(plane, name) == ["certificate_revoked", "certificate_revocation_by_hand"]


@pytest.fixture
def revoke_script(plane, make, order):  # noqa: F811
    """A certificate of an issuer whose revoke_script logs what it is given, and does what the text says."""
    def one(text):
        issuer = make("openssl")
        script, log = plane.dir / "scripts" / f"revoke-{issuer.id}", plane.dir / f"revoked-{issuer.id}"
        script.write_text(f'#!/bin/sh\necho "$# $1 $2 $CERTCTL_ORDER_REFERENCE $CERTCTL_REASON_CODE" >>{log}\n{text}\n')
        script.chmod(0o755)
        change(plane, issuer, revoke_script=str(script))
        name, job = order(issuer)
        completed(plane, job)
        return name, job, script, lambda: log.read_text().splitlines() if log.exists() else []
    return one


def test_a_script_is_told(plane, revoke_script):  # noqa: F811
    name, job, _, lines = revoke_script("exit 0")
    revoke(plane, name)
    wait_shown(plane, name, "confirmed")
    (serial, _, _), = versions(plane, name)
    assert lines() == [f"2 {serial} keyCompromise {job} 1"]


@pytest.mark.parametrize("text, state, words", [("echo 'the CA is closed' >&2; exit 7", "refused", 'revoke_script ended with status 7: "the CA is closed"'),
                                                ("echo 'two people look' >&2; exit 10", "pending", '"two people look"'),
                                                ("kill -9 $$", "waiting", "revoke_script was ended by signal 9"),
                                                ("sleep 60", "waiting", "revoke_script did not end in time")], ids=["no", "later", "signal", "late"])
def test_what_a_script_says_is_shown_and_it_is_run_again(plane, revoke_script, text, state, words):  # noqa: F811
    name, _, script, lines = revoke_script(text)
    revoke(plane, name)
    wait_for(lambda: tasks(plane, name, "min(t.attempts)") == 1, 60, "the first try")
    assert shown(plane, name)[0] == state and words in reason(plane, name) + shown(plane, name)[1]
    script.write_text(script.read_text().replace(text, "exit 0"))
    again(plane, name)
    wait_shown(plane, name, "confirmed")
    assert len(lines()) == 2


def test_a_revoke_script_that_may_not_run_fails_the_test_of_its_issuer(plane, make):  # noqa: F811
    issuer = make("openssl")
    change(plane, issuer, revoke_script="/bin/true")
    wait_for(lambda: plane.api.need("GET", f"/api/v1/issuers/{issuer.id}")["test_status"] == "failed", 20, "the test")


def test_our_own_ca_need_not_be_told(plane, issued):  # noqa: F811
    _, name = issued("local")
    revoke(plane, name)
    assert shown(plane, name) == (None, "") and reason(plane, name) == "" and tasks(plane, name) == 0
    assert plane.api.need("GET", f"/api/v1/certificates/{name}/versions")["data"][0]["revoked_at"]
