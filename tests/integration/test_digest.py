"""
The digest: shown, mailed on request and by its duty, to each once, and off.
"""
import re

import pytest

from fleet import wait_for
from sinks import MailSink, Trust

LIMIT_S = 120
HOSTILE = 'demo <script>alert("x")</script>'


@pytest.fixture(scope="module")
def site(stack):
    stack.processes["apiserver"].stop()
    stack.start_apiserver(keep=True, CERTCTL_DIGEST_ENABLED="true")
    stack.make_basics()
    stack.trust = Trust(stack.dir / "sinks")
    stack.mail = MailSink(stack.trust.context())
    stack.start_scheduler()
    start_worker(stack)
    for i in range(60):
        stack.query("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, "
                    "expires_at) VALUES (%s, %s, 'demo.example.test', 'o-test', 't-test', 'iss-local', 'rp-default', 'Active', "
                    "now() + %s * interval '1 day')", f"mc-{i:02}", f"{HOSTILE} {i:02}", 1 + i / 3)
    wait_for(lambda: stack.value("SELECT is_counted FROM stat_state"), 20, "the first count")
    yield stack
    stack.mail.close()


def start_worker(site, **env):
    worker = site.start_worker(**{
        "CERTCTL_NOTIFY_CA_FILE": str(site.trust.ca), "CERTCTL_SMTP_HOST": "localhost", "CERTCTL_SMTP_PORT": str(site.mail.port),
        "CERTCTL_SMTP_FROM_ADDRESS": "certctl@example.test"} | env)
    wait_for(lambda: site.query("SELECT 1 FROM workers WHERE lease_until > clock_timestamp()"), 20, "the worker")
    return worker


@pytest.fixture
def clean(site):
    site.query("DELETE FROM tasks")
    site.mail.clear()
    site.mail.refusals.clear()
    return site


def digests(site):
    """The mails; alerts of these certificates go to the same server."""
    return [g for g in site.mail.got if g["message"]["Subject"] == "certctl digest"]


def is_page(page):
    assert "<td>Certificates</td><td>60</td>" in page and "<td>Ending within 30 days</td><td>60</td>" in page
    assert "demo &lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; 00" in page and "<script" not in page
    assert page.count("<tr><td>demo") == 50 and "and 10 more" in page


def test_preview(clean):
    status, page = clean.api.get("/api/v1/digest/preview")
    assert status == 200
    is_page(page)
    assert not digests(clean)


def test_figures_are_kept_numbers_and_cost_the_same_with_a_million(clean):
    """Rows that nobody counted are in none of them: no table was read for it.  Nobody changes a status between the looks."""
    clean.processes["scheduler-1"].stop()
    states = ["Pending", "Active", "Expiring", "Expired", "RenewalInProgress", "Failed", "Revoked", "Archived"]
    clean.plant("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, expires_at) "
                f"SELECT 'counted-' || s, s, 'x', 'o-test', 't-test', 'iss-local', 'rp-default', s, now() + interval '9 days' FROM unnest(ARRAY{states}) s")
    rest = dict(clean.query("SELECT status, count(*) FROM managed_certificates GROUP BY status"))
    with clean.admin() as c:
        c.execute("BEGIN; SET LOCAL session_replication_role = replica; INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, "
                  "issuer_id, renewal_policy_id, status) VALUES ('uncounted', 'x', 'x', 'o-test', 't-test', 'iss-local', 'rp-default', 'Active'); COMMIT")
    page = clean.api.need("GET", "/api/v1/digest/preview")
    with clean.admin() as c:
        c.execute("BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM managed_certificates WHERE id = 'uncounted'; COMMIT")
    clean.plant("DELETE FROM managed_certificates WHERE id LIKE 'counted-%'")
    clean.start_scheduler()
    rows = dict(re.findall("<tr><td>([^<]+)</td><td>([0-9]+)</td></tr>", page))
    assert [int(rows[k]) for k in ("Certificates", "Active", "Expiring", "In renewal", "Expired", "Failed", "Revoked", "Ending within 30 days")] == [
        67, *(rest[s] for s in ("Active", "Expiring", "RenewalInProgress", "Expired", "Failed", "Revoked")), 66]


def test_a_digest_before_the_first_count_is_none(clean):
    clean.processes["scheduler-1"].stop()
    clean.query("DELETE FROM duty_marks WHERE name = 'stats'")
    status, reply = clean.api.get("/api/v1/digest/preview")
    clean.start_scheduler()
    assert status == 503 and "not counted yet" in reply["message"]
    wait_for(lambda: clean.value("SELECT is_counted FROM stat_state"), 30, "the count")


def test_send(clean):
    assert clean.api.post("/api/v1/digest/send") == (200, {"status": "sent"})
    (got,) = digests(clean)
    assert got["to"] == ["<owner@example.test>"]
    text, page = (p.get_content() for p in got["message"].iter_parts())
    is_page(page)
    assert "Certificates: 60\n" in text and "and 10 more" in text
    assert clean.query("SELECT 1 FROM tasks WHERE kind = 'digest'") == []
    assert clean.value("SELECT count(*) FROM audit_events WHERE action = 'digest_requested'") > 0


def test_recipients_of_the_configuration(clean):
    clean.processes["worker-1"].stop()
    worker = start_worker(clean, CERTCTL_DIGEST_RECIPIENTS="a@example.test, b@example.test")
    assert clean.api.post("/api/v1/digest/send") == (200, {"status": "sent"})
    assert sorted(g["to"][0] for g in digests(clean)) == ["<a@example.test>", "<b@example.test>"]
    worker.stop()
    start_worker(clean)


@pytest.mark.parametrize("refusals", [{"RCPT": "550 no such user"}, {"MAIL": "451 later"}], ids=["for good", "for now"])
def test_what_failed_is_not_called_sent(clean, refusals):
    clean.mail.refusals.update(refusals)
    status, reply = clean.api.post("/api/v1/digest/send")
    assert status == 500 and "could not be sent" in reply["message"]
    assert refusals.popitem()[1] in clean.value("SELECT last_error FROM tasks WHERE kind = 'digest'")


def test_one_that_fails_keeps_no_other(clean):
    clean.query("INSERT INTO owners (id, name, email, team_id) VALUES ('o-bad', 'Bad', 'no address', 't-test') ON CONFLICT DO NOTHING")
    assert clean.api.post("/api/v1/digest/send")[0] == 500
    wait_for(lambda: digests(clean), 20, "the mail of the good one")
    wait_for(lambda: clean.value("SELECT status FROM tasks WHERE subject = 'no address'") == "Failed", 20, "the bad one's end")
    clean.query("DELETE FROM owners WHERE id = 'o-bad'")


def test_no_worker(clean):
    clean.processes["worker-1"].stop()
    assert clean.api.post("/api/v1/digest/send") == (202, {"status": "queued"})
    start_worker(clean)
    wait_for(lambda: digests(clean), 20, "the mail")


def test_off(clean):
    clean.start_apiserver(2)
    for verb, path in (("GET", "preview"), ("POST", "send")):
        assert clean.apis["apiserver-2"].call(verb, f"/api/v1/digest/{path}") == (503, {"error": "digest service not configured"})
    clean.processes["apiserver-2"].stop()


def test_who_may(clean):
    viewer = "viewer-" + clean.api.key
    assert clean.api.get("/api/v1/digest/preview", key="wrong")[0] == 401
    assert clean.api.post("/api/v1/digest/send", key=viewer)[0] == 403


def test_the_duty(clean):
    clean.processes["scheduler-1"].stop()
    scheduler = clean.start_scheduler(CERTCTL_DIGEST_ENABLED="true")
    wait_for(lambda: digests(clean), 30, "the digest of a duty that never ran")
    scheduler.stop()
    clean.start_scheduler()
