"""When an ACME CA wants its certificates renewed (RFC 9773): what is asked, what becomes of the answer, and of none."""
import datetime

import pytest

from fleet import wait_for
from sim_acme import cert_id, problem
from test_acme_issuer_faults import acme, ended_test, payloads, reconfigure, sim  # noqa: F401
from test_issuers_conformance import completed, die_at, make, order, plane, row, versions  # noqa: F401

UTC = datetime.timezone.utc
COLUMNS = "starts_at, ends_at, renew_at, explanation_url, said"


@pytest.fixture
def obtained(plane, acme, sim, order):  # noqa: F811
    """A certificate of an issuer that asks, whose renewal its CA has a window for."""
    reconfigure(plane, acme, ari_enabled=True)
    name, job = order(acme)
    completed(plane, job)
    return name


def window(plane, name, columns=COLUMNS):  # noqa: F811
    return plane.query(f"SELECT {columns} FROM renewal_windows WHERE certificate_id = %s", name)[0]


def ask(plane, name):  # noqa: F811
    """What the row says once its CA was asked again."""
    wait_for(lambda: not tasks(plane), 30, "tasks before")
    plane.query("DELETE FROM renewal_window_rests")
    plane.query("UPDATE renewal_windows SET ask_at = now() - interval '1 second' WHERE certificate_id = %s", name)
    asked_before = window(plane, name, "asked_at")[0]

    def was_asked():
        if tasks(plane):
            return False
        if window(plane, name, "asked_at")[0] != asked_before or plane.value("SELECT count(*) FROM renewal_window_rests"):
            return True
        # Its lane, which was full, let nothing through: it would be asked as if the task had been lost.
        plane.query("UPDATE renewal_windows SET ask_at = now() - interval '1 second' WHERE certificate_id = %s AND ask_at > now() "
                    "AND NOT EXISTS (SELECT 1 FROM tasks WHERE kind = 'renewal_windows')", name)
        return False
    wait_for(was_asked, 30, "its CA to be asked")
    return window(plane, name)


def tasks(plane):  # noqa: F811
    return plane.value("SELECT count(*) FROM tasks WHERE kind = 'renewal_windows'")


def wait_known(plane, name):  # noqa: F811
    return wait_for(lambda: (w := window(plane, name))[0] and w, 30, "the window")


def around(hours, length=1):
    start = datetime.datetime.now(UTC).replace(microsecond=0) + datetime.timedelta(hours=hours)
    return start, start + datetime.timedelta(hours=length)


def text(times):
    return [t.isoformat().replace("+00:00", "Z") for t in times]


def renew_after(plane, name):  # noqa: F811
    return plane.value("SELECT renew_after FROM managed_certificates WHERE id = %s", name)


def by_policy(plane, name):  # noqa: F811
    return plane.value("SELECT renew_after_of(c.id, c.valid_from, c.expires_at, p.renewal_window_days, p.renewal_percent) "
                       "FROM managed_certificates c JOIN renewal_policies p ON p.id = c.renewal_policy_id WHERE c.id = %s", name)


def age(plane, name, hours=2):  # noqa: F811
    """As if it had been issued so long ago: a CA that says "now" at once is not believed."""
    plane.query("UPDATE managed_certificates SET last_renewal_at = last_renewal_at - make_interval(hours => %s) WHERE id = %s", hours, name)


def test_the_window_is_asked_for_and_shown(plane, sim, obtained):  # noqa: F811
    start, end, at, _, said = wait_known(plane, obtained)
    (leaf,) = [o["leaf"] for o in sim.orders.values()]
    assert sim.calls(f"GET /renewal-info/{cert_id(leaf)}") == sim.calls("GET /renewal-info/") == 1
    assert start < at < end and said is None
    assert start == leaf.not_valid_before.replace(tzinfo=UTC) + (leaf.not_valid_after - leaf.not_valid_before) / 2
    assert renew_after(plane, obtained) == at < by_policy(plane, obtained)
    shown = plane.api.get(f"/api/v1/certificates/{obtained}")[1]
    assert shown["ari_window_start"] == start.strftime("%Y-%m-%dT%H:%M:%SZ") and "ari_explanation_url" not in shown
    # Asked again when the CA says, a little later at most, and what was picked stays.
    wait_s = window(plane, obtained, "extract(epoch FROM ask_at - asked_at)")[0]
    assert 21600 <= wait_s <= 21600 * 1.051
    assert ask(plane, obtained)[2] == at


def test_a_window_that_has_passed_renews_at_once_and_says_what_it_replaces(plane, sim, obtained):  # noqa: F811
    wait_known(plane, obtained)
    first = versions(plane, obtained)
    sim.behave(window=text(around(-3)), explanation="https://ca.example/incident/7")
    age(plane, obtained)
    moved = ask(plane, obtained)
    assert moved[3] == "https://ca.example/incident/7"
    assert plane.api.get(f"/api/v1/certificates/{obtained}")[1]["ari_explanation_url"] == "https://ca.example/incident/7"
    wait_for(lambda: len(sim.orders) == 2, 30, "another order")
    job = plane.value("SELECT id FROM jobs WHERE certificate_id = %s ORDER BY id DESC LIMIT 1", obtained)
    sim.behave()
    completed(plane, job)
    assert len(versions(plane, obtained)) == len(first) + 1
    assert payloads(sim, "/new-order")[-1]["replaces"] == cert_id(next(iter(sim.orders.values()))["leaf"])
    told = plane.query("SELECT details ->> 'explanation_url' FROM audit_events WHERE action = 'certificate_renewal_window_moved' "
                       "AND resource_id = %s", obtained)
    assert told == [("https://ca.example/incident/7",)]
    # What was said of the former is nothing of this one.
    wait_for(lambda: window(plane, obtained, "version_id = (SELECT max(id) FROM certificate_versions WHERE certificate_id = "
                            "renewal_windows.certificate_id), starts_at > now(), explanation_url") == (True, True, None), 30, "its own window")


def test_a_ca_that_always_says_now_does_not_renew_for_ever(plane, sim, obtained):  # noqa: F811
    sim.behave(window=text(around(-3)))
    ask(plane, obtained)
    issued = plane.value("SELECT last_renewal_at FROM managed_certificates WHERE id = %s", obtained)
    assert renew_after(plane, obtained) == issued + datetime.timedelta(hours=1)
    assert plane.value("SELECT count(*) FROM renewal_windows WHERE due_at = %s", renew_after(plane, obtained)) == 1


def test_a_time_that_comes_wakes_the_scan(plane, sim, obtained):  # noqa: F811
    wait_known(plane, obtained)
    others = "UPDATE renewal_windows SET due_at = NULL WHERE certificate_id <> %s"
    plane.query(others, obtained)
    assert plane.value("SELECT duty_cannot_wait('renewal_scan')") is False
    with plane.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE renewal_windows SET due_at = now() - interval '1 second' WHERE certificate_id = %s", (obtained,))
        cursor.execute("SELECT duty_cannot_wait('renewal_scan')")
        assert cursor.fetchone()[0] is True
        cursor.execute("SELECT duty_renewal_scan(10)")
        cursor.execute("SELECT duty_cannot_wait('renewal_scan')")
        assert cursor.fetchone()[0] is False
        connection.rollback()


@pytest.mark.parametrize("hours, length, words", [
    (5, -1, "ends before it begins"), (5, 0, "ends before it begins"), (10, 24 * 365, "goes beyond the end"), (24 * 400, 1, "goes beyond the end")])
def test_a_window_that_makes_no_sense_is_refused_and_the_policy_stands(plane, sim, obtained, hours, length, words):  # noqa: F811
    wait_known(plane, obtained)
    assert renew_after(plane, obtained) < by_policy(plane, obtained)
    sim.behave(window=text(around(hours, length)))
    start, end, at, _, said = ask(plane, obtained)
    assert (start, end, at) == (None, None, None) and words in said
    assert renew_after(plane, obtained) == by_policy(plane, obtained)
    assert words in plane.api.get(f"/api/v1/certificates/{obtained}")[1]["ari_said"]


def test_it_is_never_renewed_later_than_its_policy_says(plane, sim, obtained):  # noqa: F811
    wait_known(plane, obtained)
    policy = by_policy(plane, obtained)
    start = policy.replace(microsecond=0) + datetime.timedelta(hours=1)
    sim.behave(window=text((start, start + datetime.timedelta(hours=1))))
    assert ask(plane, obtained)[0] == start
    assert renew_after(plane, obtained) == policy
    assert window(plane, obtained, "due_at") == (None,)


@pytest.mark.parametrize("asked, least, most", [(1, 60, 63.1), (7200, 7200, 7561), (10 ** 6, 86400, 90721), (None, 21600, 22681),
                                                ("soon", 21600, 22681)])
def test_when_it_is_asked_again(plane, sim, obtained, asked, least, most):  # noqa: F811
    sim.behave(retry_after=asked)
    ask(plane, obtained)
    assert least <= window(plane, obtained, "extract(epoch FROM ask_at - asked_at)")[0] <= most


@pytest.mark.parametrize("url", ["javascript:alert(1)", "ftp://ca.example/", "https://ca.example/\n", "https://ca.example/" + "x" * 1100])
def test_an_explanation_that_no_browser_opens_is_left_out(plane, sim, obtained, url):  # noqa: F811
    sim.behave(explanation=url, window=text(around(5)))
    start, _, _, shown, _ = ask(plane, obtained)
    assert start and shown is None


FAULTS = {"404": {"status": 404, "body": problem(404, "malformed", "who?")[1]}, "no JSON": {"status": 200, "body": "window"},
          "no window": {"status": 200, "body": {"explanationURL": "https://ca.example"}},
          "no times": {"status": 200, "body": {"suggestedWindow": {"start": "soon", "end": "later"}}},
          "an array": {"status": 200, "body": [1]}}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_answer_without_a_window_leaves_what_was_known(plane, sim, acme, obtained, fault):  # noqa: F811
    before = wait_known(plane, obtained)
    sim.fault("GET /renewal-info/", **FAULTS[fault])
    after = ask(plane, obtained)
    assert after[:4] == before[:4] and after[4]
    assert 21600 <= window(plane, obtained, "extract(epoch FROM ask_at - asked_at)")[0] <= 22681
    assert plane.query("SELECT failures, breaker_state FROM lanes WHERE issuer_id = %s", acme.id) == [(0, "closed")]
    assert not plane.query("SELECT 1 FROM renewal_window_rests WHERE issuer_id = %s", acme.id)


SILENT = {"503": ({"status": 503, "headers": {"Retry-After": "7000"}}, 7000, 7360),
          "429": ({"status": 429, "headers": {"Retry-After": "7000"}, "body": problem(429, "rateLimited", "too many")[1]}, 7000, 7360),
          "500": ({"status": 500}, 40, 80), "cut": ({"close": "before"}, 40, 80), "half": ({"truncate": True}, 40, 80), "hung": ({"hang": True}, 40, 80)}


@pytest.mark.parametrize("fault", SILENT)
def test_a_ca_that_fails_is_left_alone_and_renewals_go_on(plane, sim, acme, obtained, fault):  # noqa: F811
    reconfigure(plane, acme, ari_enabled=True, ari_http_timeout_seconds=1)
    before = wait_known(plane, obtained)
    how, least, most = SILENT[fault]
    sim.fault("GET /renewal-info/", times=9, **how)
    assert ask(plane, obtained)[:3] == before[:3]
    left, said = plane.query("SELECT extract(epoch FROM until - now()), said FROM renewal_window_rests WHERE issuer_id = %s", acme.id)[0]
    assert least - 20 <= left <= most and said
    calls = sim.calls("GET /renewal-info/")
    plane.query("UPDATE renewal_windows SET ask_at = now() WHERE certificate_id = %s", obtained)
    plane.query("UPDATE managed_certificates SET renew_after = now() WHERE id = %s", obtained)
    wait_for(lambda: len(sim.orders) == 2, 30, "the policy's renewal")
    completed(plane, plane.value("SELECT id FROM jobs WHERE certificate_id = %s ORDER BY id DESC LIMIT 1", obtained))
    assert sim.calls("GET /renewal-info/") == calls
    assert plane.query("SELECT failures, breaker_state FROM lanes WHERE issuer_id = %s", acme.id) == [(0, "closed")]


def test_an_issuer_that_is_not_to_ask_does_not(plane, sim, acme, order):  # noqa: F811
    name, job = order(acme)
    completed(plane, job)
    assert plane.value("SELECT duty_renewal_windows(100)") == 0 and sim.calls("GET /renewal-info/") == 0
    reconfigure(plane, acme, ari_enabled=True)
    wait_known(plane, name)
    assert renew_after(plane, name) < by_policy(plane, name)
    # Switched off again, all follows the policy.
    reconfigure(plane, acme, ari_enabled=False)
    wait_for(lambda: renew_after(plane, name) == by_policy(plane, name), 30, "the policy's time")
    assert window(plane, name)[0] is None and "ari_window_start" not in plane.api.get(f"/api/v1/certificates/{name}")[1]


def test_a_policy_that_changes_leaves_the_window(plane, sim, obtained):  # noqa: F811
    at = wait_known(plane, obtained)[2]
    for days in (3, 4):
        facts = {"name": f"ari {obtained} {days}", "renewal_window_days": days, "auto_renew": True}
        policy = plane.api.need("POST", "/api/v1/renewal-policies", facts)["id"]
        plane.api.need("PUT", f"/api/v1/certificates/{obtained}", {"renewal_policy_id": policy})
        assert renew_after(plane, obtained) == at < by_policy(plane, obtained)
    plane.api.need("PUT", f"/api/v1/renewal-policies/{policy}", facts | {"renewal_window_days": 5})
    wait_for(lambda: not plane.value("SELECT count(*) FROM policy_changes"), 30, "the policy to be followed")
    assert renew_after(plane, obtained) == at


def test_one_that_is_gone_is_not_asked_about(plane, sim, acme, obtained):  # noqa: F811
    wait_known(plane, obtained)
    calls = sim.calls("GET /renewal-info/")
    plane.api.need("POST", f"/api/v1/certificates/{obtained}/revoke", {"reason": "superseded"})
    plane.query("UPDATE renewal_windows SET ask_at = now() WHERE certificate_id = %s", obtained)
    wait_for(lambda: not plane.query("SELECT 1 FROM renewal_windows WHERE certificate_id = %s", obtained), 30, "its row to go")
    assert sim.calls("GET /renewal-info/") == calls


def test_a_worker_that_dies_with_the_answer_leaves_it_to_the_next(plane, sim, die_at, obtained):  # noqa: F811
    wait_known(plane, obtained)
    sim.behave(window=text(around(7)))
    die_at("worker.windows.answered")
    moved = ask(plane, obtained)
    assert text(moved[:2]) == sim.window and sim.calls("GET /renewal-info/") >= 3


def test_a_lane_with_a_rate_lets_no_more_through(plane, sim, acme, order):  # noqa: F811
    reconfigure(plane, acme, ari_enabled=True)
    names = []
    for _ in range(3):
        name, job = order(acme)
        completed(plane, job)
        names.append(name)
        wait_known(plane, name)
    calls = sim.calls("GET /renewal-info/")
    wait_for(lambda: not tasks(plane), 30, "tasks before")
    with plane.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE lanes SET rate_per_s = 0.001, rate_tokens = 1, rate_at = now() WHERE issuer_id = %s", (acme.id,))
        cursor.execute("UPDATE renewal_windows SET ask_at = now() WHERE certificate_id = ANY (%s)", (names,))
        connection.commit()
    wait_for(lambda: not tasks(plane) and sim.calls("GET /renewal-info/") > calls, 30, "one to be asked")
    assert sim.calls("GET /renewal-info/") == calls + 1
    plane.query("UPDATE lanes SET rate_per_s = NULL WHERE issuer_id = %s", acme.id)


def test_what_a_ca_cannot_do_is_said_by_the_issuer_s_test(plane, sim, acme):  # noqa: F811
    sim.behave(ari=False)
    reconfigure(plane, acme, ari_enabled=True)
    status, words = ended_test(plane, acme)
    assert status == "failed" and "the CA has no renewal information (RFC 9773), so ari_enabled can't be true" in words
    # What is configured otherwise, and works, is asked at once.
    plane.query("INSERT INTO renewal_window_rests (issuer_id, until, failures, said) VALUES (%s, 'infinity', 9, 'x')", acme.id)
    sim.behave()
    assert ended_test(plane, acme)[0] == "success"
    assert not plane.query("SELECT 1 FROM renewal_window_rests WHERE issuer_id = %s", acme.id)
    reconfigure(plane, acme, ari_enabled=True, profile="gold")
    status, words = ended_test(plane, acme)
    assert status == "failed" and 'the CA offers no profile "gold"; it offers classic, shortlived' in words
    assert plane.api.call("PUT", f"/api/v1/issuers/{acme.id}", {"config": acme.config["config"] | {"ari_enabled": "yes"}})[0] == 400


def test_a_profile_that_is_not_offered_fails_the_order(plane, sim, acme, order):  # noqa: F811
    reconfigure(plane, acme, profile="gold")
    _, job = order(acme)
    wait_for(lambda: row(plane, job)[0] == "Failed", 30, "the refusal")
    assert row(plane, job)[1] == 'the CA refused: the CA offers no profile "gold"; it offers classic, shortlived'
    assert not sim.orders
    # One that the CA offers since the directory was read is found.
    sim.behave(profiles=("classic", "gold"))
    _, job = order(acme)
    completed(plane, job)
    assert payloads(sim, "/new-order")[0]["profile"] == "gold"
    sim.behave(profiles=())
    plane.processes["worker-1"].kill()
    _, job = order(acme)
    wait_for(lambda: row(plane, job)[0] == "Failed", 30, "the refusal")
    assert "the CA offers no profiles" in row(plane, job)[1]


def test_a_certificate_that_was_replaced_is_ordered_without(plane, sim, acme, order):  # noqa: F811
    name, job = order(acme)
    completed(plane, job)
    (first,) = sim.orders.values()
    with sim.lock:
        sim.orders[0] = {"status": "pending", "identifiers": [], "authzs": [], "replaces": cert_id(first["leaf"]), "profile": None,
                         "polled": 0, "jwk": None}
        sim.behave(hold=True)
    again = plane.api.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]
    wait_for(lambda: len(payloads(sim, "/new-order")) == 3, 30, "the order without")
    assert "ordered again without what it replaces: HTTP 409: " in plane.processes["worker-1"].log()
    assert "(alreadyReplaced)" in wait_for(lambda: row(plane, again)[1], 30, "the job's words")
    assert ["replaces" in p for p in payloads(sim, "/new-order")] == [False, True, False]
    sim.let_go()
    completed(plane, again)
