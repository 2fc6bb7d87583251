"""
Notifications on their way: each channel to a receiver of the test's own, what
its answers lead to, many in one message, and a worker that is killed between
sending and saying so.
"""
import hashlib
import hmac
import os
from pathlib import Path

import pytest

from fleet import BUILD, Timeout, clean_env, wait_for
from sinks import MailSink, Trust, WebSink

LIMIT_S = 150
SECRETS = {"CERTCTL_SMTP_PASSWORD": "secret-smtp-password", "CERTCTL_WEBHOOK_SECRET": "secret-of-the-webhook",
           "CERTCTL_PAGERDUTY_ROUTING_KEY": "secret-routing-key", "CERTCTL_OPSGENIE_API_KEY": "secret-genie-key"}


@pytest.fixture(scope="module")
def site(basics):
    """A plane without notifications but those of the tests, and the receivers."""
    basics.trust = Trust(basics.dir / "sinks")
    basics.web = WebSink(basics.trust.context())
    basics.mail = MailSink(basics.trust.context(), account=["certctl", SECRETS["CERTCTL_SMTP_PASSWORD"]])
    basics.start_scheduler(CERTCTL_SCHEDULER_NOTIFICATION_PROCESS_INTERVAL="1s", CERTCTL_NOTIFICATION_RETRY_INTERVAL="1s",
                           CERTCTL_EXPIRY_ALERT_INTERVAL="24h")
    start_worker(basics)
    yield basics
    basics.web.close()
    basics.mail.close()


def channels(site):
    web = site.web
    return SECRETS | {
        "CERTCTL_NOTIFY_CA_FILE": str(site.trust.ca), "CERTCTL_NOTIFY_ALLOW_LOOPBACK": "true",
        "CERTCTL_SMTP_HOST": "localhost", "CERTCTL_SMTP_PORT": str(site.mail.port), "CERTCTL_SMTP_FROM_ADDRESS": "certctl@example.test",
        "CERTCTL_SMTP_USERNAME": "certctl", "CERTCTL_WEBHOOK_URL": web.url("/webhook-token"),
        "CERTCTL_SLACK_WEBHOOK_URL": web.url("/slack-token"), "CERTCTL_TEAMS_WEBHOOK_URL": web.url("/teams-token"),
        "CERTCTL_PAGERDUTY_URL": web.url("/pagerduty"), "CERTCTL_OPSGENIE_URL": web.url("/opsgenie")}


def start_worker(site, keep=False, **env):
    return site.start_worker(keep=keep, **(channels(site) | env))


@pytest.fixture
def clean(site):
    site.query("TRUNCATE notification_events")
    site.query("DELETE FROM tasks WHERE kind = 'notify'")
    site.web.clear()
    site.mail.clear()
    site.mail.refusals.clear()
    return site


def notify(site, channel, n=1, recipient="owner@example.test", message="Certificate {0} ends", severity="critical"):
    """The ids of new notifications."""
    rows = site.query(
        "INSERT INTO notification_events (id, type, channel, recipient, message, severity) SELECT id_new('notif'), 'ExpirationWarning', "
        "%s, %s, replace(%s, '{0}', i::text), %s FROM generate_series(1, %s) i RETURNING id", channel, recipient, message, severity, n)
    return [r[0] for r in rows]


def row(site, notification):
    keys = ("status", "retry_count", "last_error", "wait")
    return dict(zip(keys, site.query("SELECT status, retry_count, last_error, round(extract(epoch FROM next_retry_at - now()))::int "
                                     "FROM notification_events WHERE id = %s", notification)[0]))


def settled(site, notification, *status, seconds=40):
    wait_for(lambda: row(site, notification)["status"] in status, seconds, f"{notification} to be {status}, it is {row(site, notification)}")
    return row(site, notification)


def hurry(site, notification):
    """As if its wait were over."""
    site.query("UPDATE notification_events SET next_retry_at = now() WHERE id = %s", notification)


# --- each channel ---

def test_mail(clean):
    message = 'Certificate <b>"x"</b> \r\nBcc: evil@example.test\r\n\r\nä ends'
    notification = notify(clean, "Email", message=message)[0]
    settled(clean, notification, "sent")
    assert len(clean.mail.got) == 1
    got = clean.mail.got[0]
    assert (got["from"], got["to"], got["tls"]) == ("<certctl@example.test>", ["<owner@example.test>"], True)
    mail = got["message"]
    assert mail["To"] == "owner@example.test" and mail["Bcc"] is None and mail["Subject"] == "[certctl] ExpirationWarning"
    assert mail["Message-ID"].startswith("<task-") and mail["Auto-Submitted"] == "auto-generated" and mail["Date"]
    text, page = (p.get_content() for p in mail.iter_parts())
    assert text == 'Certificate <b>"x"</b>   Bcc: evil@example.test    ä ends\n'
    assert "&lt;b&gt;&quot;x&quot;&lt;/b&gt;" in page and "<b>" not in page
    reply = clean.api.get(f"/api/v1/notifications/{notification}")[1]
    assert reply["status"] == "sent" and reply["sent_at"].endswith("Z") and "error" not in reply


def test_webhook(clean):
    notification = notify(clean, "Webhook")[0]
    settled(clean, notification, "sent")
    (got,) = clean.web.got
    assert got["path"] == "/webhook-token" and got["headers"]["User-Agent"] == "certctl-notifier/1.0"
    body, headers, key = got["json"], got["headers"], SECRETS["CERTCTL_WEBHOOK_SECRET"].encode()
    assert body["type"] == "event" and body["event_type"] == "notification" and body["subject"] == "ExpirationWarning"
    assert body["body"] == "Certificate 1 ends" and body["recipient"] == "owner@example.test" and body["event_id"].startswith("task-")
    assert headers["X-Signature"] == "sha256=" + hmac.new(key, got["raw"], hashlib.sha256).hexdigest()
    assert headers["X-Signature-Algorithm"] == "sha256"
    timed = headers["X-Certctl-Timestamp"].encode() + b"." + got["raw"]
    assert headers["X-Certctl-Signature"] == "v1=" + hmac.new(key, timed, hashlib.sha256).hexdigest()
    assert abs(int(headers["X-Certctl-Timestamp"]) - clean.value("SELECT extract(epoch FROM now())::int")) < 60


@pytest.mark.parametrize("channel,path,status", [("Slack", "/slack-token", 200), ("Teams", "/teams-token", 202),
                                                 ("PagerDuty", "/pagerduty", 202), ("OpsGenie", "/opsgenie", 202)])
def test_services(clean, channel, path, status):
    clean.web.clear(status)
    notification = notify(clean, channel)[0]
    settled(clean, notification, "sent")
    (got,) = clean.web.got
    assert got["path"] == path and b"Certificate 1 ends" in got["raw"]
    if channel == "OpsGenie":
        assert got["headers"]["Authorization"] == "GenieKey secret-genie-key"
    if channel == "PagerDuty":
        assert got["json"]["routing_key"] == "secret-routing-key" and got["json"]["dedup_key"]


# --- many ---

def test_a_thousand_are_one_message(clean):
    notifications = notify(clean, "Email", 1000)
    settled(clean, notifications[0], "sent")
    assert clean.value("SELECT count(*) FROM notification_events WHERE status = 'sent'") == 1000
    (got,) = clean.mail.got
    assert got["message"]["Subject"] == "[certctl] ExpirationWarning: 1000 notifications"
    text = next(got["message"].iter_parts()).get_content()
    assert "Certificate 100 ends\nand 900 more" in text


def test_messages_are_by_channel_recipient_and_severity(clean):
    some = [notify(clean, "Webhook", 3, *more)[0] for more in (
        ("a@example.test",), ("b@example.test",), ("a@example.test", "Certificate {0} ends", "warning"))]
    for notification in some:
        settled(clean, notification, "sent")
    assert sorted((g["json"]["recipient"], g["json"]["metadata"]["severity"], g["json"]["metadata"]["count"]) for g in clean.web.got) == [
        ("a@example.test", "critical", "3"), ("a@example.test", "warning", "3"), ("b@example.test", "critical", "3")]


def test_no_more_than_eight_at_once(clean):
    clean.web.release.clear()
    clean.web.clear("hang")
    some = [notify(clean, "Webhook", 1, f"r{i}@example.test")[0] for i in range(12)]
    wait_for(lambda: clean.web.open == 8, 20, "eight at once")
    with pytest.raises(Timeout):
        wait_for(lambda: clean.web.open > 8, 1, "a ninth")
    # They wait outside: the worker's two slots serve others meanwhile.
    clean.query("INSERT INTO tasks (id, kind, subject) VALUES ('task-0', 'noop', 'x')")
    wait_for(lambda: not clean.query("SELECT 1 FROM tasks WHERE id = 'task-0'"), 10, "another task")
    clean.web.release.set()
    for notification in some:
        settled(clean, notification, "sent")
    assert len(clean.web.got) == 12


# --- what answers lead to ---

@pytest.mark.parametrize("answer,words", [
    (408, "it answered 408"), (425, "it answered 425"), (500, "it answered 500"), (503, "it answered 503"), ("cut", "")])
def test_what_may_pass_is_tried_again(clean, answer, words):
    clean.web.clear(answer, 200)
    notification = notify(clean, "Webhook")[0]
    after = settled(clean, notification, "failed")
    assert after["retry_count"] == 1 and 40 < after["wait"] <= 61 and words in after["last_error"]
    hurry(clean, notification)
    assert settled(clean, notification, "sent")["retry_count"] == 1
    first, second = clean.web.got
    assert first["json"] == second["json"]  # the same, under the same id


@pytest.mark.parametrize("asked,least,most", [("600", 590, 601), ("1", 40, 61), ("soon", 40, 61), ("999999999", 86390, 86401)])
def test_who_asks_to_wait_is_heard(clean, asked, least, most):
    clean.web.clear((429, b"slow down", {"Retry-After": asked}))
    notification = notify(clean, "Slack")[0]
    after = settled(clean, notification, "failed")
    assert least <= after["wait"] <= most and "429" in after["last_error"] and "slow down" in after["last_error"]


@pytest.mark.parametrize("answer", [301, 400, 401, 403, 404, 410])
def test_what_is_refused_is_dead_at_once(clean, answer):
    clean.web.clear((answer, b"no <b>way</b>", {"Location": clean.web.url("/elsewhere")}))
    notification = notify(clean, "Teams")[0]
    after = settled(clean, notification, "dead")
    assert after["retry_count"] == 1 and after["wait"] is None and f"it answered {answer}: no <b>way</b>" == after["last_error"]
    assert len(clean.web.got) == 1


def test_an_answer_without_end_is_judged_by_its_status(clean):
    clean.web.clear((200, b"x" * 1_000_000, {}))
    settled(clean, notify(clean, "Webhook")[0], "sent")
    clean.web.clear((500, b"x" * 1_000_000, {}))
    assert "500" in settled(clean, notify(clean, "Webhook")[0], "failed")["last_error"]


def test_dead_after_five_and_back_by_a_person(clean):
    clean.web.clear(500)
    notification = notify(clean, "Webhook")[0]
    for n in range(1, 5):
        wait_for(lambda: row(clean, notification)["retry_count"] == n, 40, f"failure {n}")
        after = settled(clean, notification, "failed")
        assert 60 * 2 ** (n - 1) - 20 < after["wait"] <= 60 * 2 ** (n - 1) + 1
        hurry(clean, notification)
    assert settled(clean, notification, "dead")["retry_count"] == 5
    first = clean.web.got[0]["json"]["event_id"]
    clean.web.clear(200)
    assert clean.api.post(f"/api/v1/notifications/{notification}/requeue")[0] == 200
    assert settled(clean, notification, "sent")["retry_count"] == 0
    # A person asked for another message: no receiver may take it for the first.
    assert clean.web.got[0]["json"]["event_id"] != first


MAIL_FAULTS = {
    "no such recipient": ({"RCPT": "550 5.1.1 no such user"}, "dead", "550 5.1.1 no such user"),
    "grey list": ({"RCPT": "451 4.7.1 come back later"}, "failed", "451 4.7.1 come back later"),
    "busy": ({"EHLO": "421 too busy", "HELO": "421 too busy"}, "failed", "421"),
    "sender refused": ({"MAIL": "553 not yours"}, "dead", "553 not yours"),
    "no TLS now": ({"STARTTLS": "454 TLS not available"}, "failed", "454"),
    "cut before the message": ({"DATA": "cut"}, "failed", ""),
}


@pytest.mark.parametrize("name", MAIL_FAULTS)
def test_a_mail_server_that_refuses(clean, name):
    refusals, status, words = MAIL_FAULTS[name]
    clean.mail.refusals.update(refusals)
    notification = notify(clean, "Email")[0]
    assert words in settled(clean, notification, "dead", "failed")["last_error"]
    assert row(clean, notification)["status"] == status
    assert not clean.mail.got
    if status == "failed":
        clean.mail.refusals.clear()
        hurry(clean, notification)
        settled(clean, notification, "sent")


@pytest.mark.parametrize("answer,status", [("554 spam", "dead"), ("452 full", "failed"), ("cut", "failed")])
def test_a_message_that_is_not_taken(clean, answer, status):
    clean.mail.clear(answer)
    assert settled(clean, notify(clean, "Email")[0], "dead", "failed")["status"] == status


def test_an_owner_without_address(clean):
    assert "no e-mail address" in settled(clean, notify(clean, "Email", recipient="o-test")[0], "dead")["last_error"]
    assert not clean.mail.got


def test_a_message_that_the_engine_gave_up(clean):
    """As after several deaths of its workers: its notifications say so, and it is not begun again."""
    clean.query("INSERT INTO tasks (id, kind, subject, status, last_error) VALUES ('task-x', 'notify', 'Webhook', 'Failed', 'they died')")
    clean.query("INSERT INTO notification_events (id, type, channel, recipient, message, message_id) "
                "VALUES ('notif-x', 'ExpirationWarning', 'Webhook', 'x', 'x', 'task-x')")
    after = settled(clean, "notif-x", "dead")
    assert after["last_error"] == "they died" and after["retry_count"] == 1
    assert not clean.web.got
    assert clean.api.post("/api/v1/notifications/notif-x/requeue")[0] == 200
    settled(clean, "notif-x", "sent")


# --- what goes ---

def test_old_ones_go_unless_they_are_to_be_sent(clean):
    """In pieces, and whatever their id says, the young stay; no alert is made again for what went."""
    clean.query("INSERT INTO notification_events (id, type, channel, recipient, message, status, message_id, next_retry_at, created_at) "
                "SELECT 'notif-' || floor(extract(epoch FROM t.at) * 1000000)::bigint || '000-' || i || s, 'ExpirationWarning', 'Email', s, a, s, "
                "'task-x', now() + interval '1 day', t.at FROM generate_series(1, 400) i, "
                "unnest('{sent,read,dead,failed,pending}'::text[]) s, unnest('{89,91}'::text[]) a, "
                "LATERAL (SELECT now() - a::int * interval '1 day' AS at) t")
    clean.query("INSERT INTO notification_events (id, type, channel, recipient, message, status) "
                "VALUES ('notif-0', 'ExpirationWarning', 'Email', 'sent', '89', 'sent')")
    # So that the retry leaves alone what waits.
    clean.query("INSERT INTO tasks (id, kind, subject, run_after) VALUES ('task-x', 'notify', 'Email', 'infinity')")
    done = clean.cli("scheduler", "run", "notification_retention", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    left = {(s, age): n for s, age, n in clean.query("SELECT recipient, message, count(*) FROM notification_events GROUP BY 1, 2")}
    assert left == {(s, "89"): 400 + (s == "sent") for s in ("sent", "read", "dead", "failed", "pending")} | {
        ("failed", "91"): 400, ("pending", "91"): 400}


# --- people in between ---

def test_what_was_read_meanwhile_is_not_sent(clean):
    clean.web.clear(500, 200)
    one, other = notify(clean, "Webhook", 2)
    settled(clean, one, "failed")
    assert clean.api.post(f"/api/v1/notifications/{one}/read")[0] == 200
    hurry(clean, other)
    settled(clean, other, "sent")
    assert row(clean, one)["status"] == "read"
    assert clean.web.got[-1]["json"]["metadata"]["count"] == "1"
    # Who put it away is known, and doing so again is nothing new.
    assert clean.api.post(f"/api/v1/notifications/{one}/read")[0] == 200
    assert clean.query("SELECT actor, details ->> 'status_before' FROM audit_events WHERE action = 'notification_read' AND resource_id = %s",
                       one) == [("admin", "failed")]


# --- nothing lost ---

@pytest.mark.parametrize("point,times", [("worker.notify.sending", 1), ("worker.notify.sent", 2)])
def test_a_worker_killed_on_the_way(clean, point, times):
    clean.processes["worker-1"].stop()
    faults = clean.dir / "faults"
    faults.write_text(point + "\n")
    worker = start_worker(clean, keep=True, CERTCTL_FAULT_FILE=str(faults))
    notification = notify(clean, "Webhook")[0]
    settled(clean, notification, "sent")
    assert worker.exits and not (faults.exists() and faults.read_text())
    # Sent twice at most, and then known by its id.
    assert len(clean.web.got) == times and len({g["json"]["event_id"] for g in clean.web.got}) == 1
    assert clean.query("SELECT 1 FROM tasks WHERE kind = 'notify'") == []
    worker.stop()
    start_worker(clean)


def test_a_database_that_is_away_when_it_was_sent(clean):
    """What was sent is stored when the database is back, and not sent again."""
    clean.web.release.clear()
    clean.web.clear("hang")
    notification = notify(clean, "Webhook")[0]
    wait_for(lambda: clean.web.open == 1, 20, "the message")
    clean.query("ALTER TABLE notification_events RENAME TO notification_events_away")
    clean.web.release.set()
    wait_for(lambda: clean.web.open == 0, 20, "the answer")
    clean.query("ALTER TABLE notification_events_away RENAME TO notification_events")
    settled(clean, notification, "sent")


# --- where messages may go, and what nobody may read ---

def restarted(site, **env):
    site.processes["worker-1"].stop()
    return start_worker(site, **env)


@pytest.mark.parametrize("env,status,words", [
    ({"CERTCTL_NOTIFY_ALLOW_LOOPBACK": "false"}, "dead", "it leads to a loopback address, where calls may not go"),
    ({"CERTCTL_WEBHOOK_URL": "https://169.254.169.254/latest"}, "dead", "a link-local address"),
    ({"CERTCTL_WEBHOOK_URL": "https://10.255.255.1/", "CERTCTL_BLOCK_RFC1918_OUTBOUND": "true"}, "dead", "a private address"),
    ({"CERTCTL_WEBHOOK_URL": "https://[::ffff:169.254.1.1]/"}, "dead", "a link-local address"),
    ({"CERTCTL_WEBHOOK_URL": ""}, "dead", "the channel is not configured: set CERTCTL_WEBHOOK_URL"),
    ({"CERTCTL_WEBHOOK_URL": "https://nobody.invalid/"}, "failed", "nobody.invalid"),
    ({"CERTCTL_NOTIFY_CA_FILE": ""}, "failed", "certificate"),
], ids=["loopback", "metadata", "private", "mapped", "not configured", "unknown name", "unknown roots"])
def test_where_messages_may_go(clean, env, status, words):
    restarted(clean, **env)
    notification = notify(clean, "Webhook")[0]
    after = settled(clean, notification, "dead", "failed")
    assert after["status"] == status and words in after["last_error"]
    assert not clean.web.got
    # What nobody configured was not tried, and is another condition than what was refused.
    is_off = "not configured" in words
    assert after["retry_count"] == (0 if is_off else 1)
    told = {c["name"] for c in clean.api.need("GET", "/api/v1/admin/conditions")["data"] if c["subject"] == notification}
    assert told == ({"notification_unsent" if is_off else "notification_dead"} if status == "dead" else set())
    restarted(clean)


def test_certificates_of_receivers_are_checked(clean):
    for name in ("wrong", "stranger"):
        web, mail = WebSink(clean.trust.context(name)), MailSink(clean.trust.context(name))
        restarted(clean, CERTCTL_WEBHOOK_URL=web.url(), CERTCTL_SMTP_PORT=str(mail.port))
        for channel in ("Webhook", "Email"):
            assert "certificate" in settled(clean, notify(clean, channel)[0], "failed")["last_error"].lower()
        assert not web.got and not mail.got
        web.close()
        mail.close()
    restarted(clean)


def test_mail_without_tls_leaves_nothing(clean):
    mail = MailSink(clean.trust.context(), offers_tls=False, account=clean.mail.account)
    restarted(clean, CERTCTL_SMTP_PORT=str(mail.port))
    assert settled(clean, notify(clean, "Email")[0], "failed")["retry_count"] == 1
    assert not mail.got
    restarted(clean, CERTCTL_SMTP_PORT=str(mail.port), CERTCTL_SMTP_USE_TLS="false")
    settled(clean, notify(clean, "Email")[0], "sent")
    assert mail.got[0]["tls"] is False
    mail.close()
    restarted(clean)


def test_secrets_are_nowhere(clean):
    """A receiver that repeats what it was sent, and a password that is refused."""
    clean.mail.account[1] = "another"
    clean.web.clear((400, b"bad key secret-routing-key", {}))
    for channel in ("PagerDuty", "Email"):
        after = settled(clean, notify(clean, channel)[0], "dead")
        assert "***" in after["last_error"]
    for channel, words in (("OpsGenie", b"bad key secret-genie-key"), ("Slack", b"nobody is at /slack-token")):
        clean.web.clear((400, words, {}))
        assert "***" in settled(clean, notify(clean, channel)[0], "dead")["last_error"]
    clean.mail.account[1] = SECRETS["CERTCTL_SMTP_PASSWORD"]
    everything = str(clean.query("SELECT last_error, error FROM notification_events")) + str(clean.query("SELECT * FROM audit_events"))
    everything += "".join(p.read_text(errors="replace") for p in (clean.dir / "log").glob("*.log"))
    for secret in (*SECRETS.values(), "/slack-token"):
        assert secret not in everything


@pytest.mark.parametrize("env,words", [
    ({"CERTCTL_WEBHOOK_URL": "http://receiver.example/"}, "CERTCTL_WEBHOOK_URL: http:// shows everybody"),
    ({"CERTCTL_SLACK_WEBHOOK_URL": "ftp://x/secret-url"}, "CERTCTL_SLACK_WEBHOOK_URL: this is no URL"),
    ({"CERTCTL_TEAMS_WEBHOOK_URL": "https://user:pass@x/"}, "CERTCTL_TEAMS_WEBHOOK_URL: a user or password"),
    ({"CERTCTL_SMTP_HOST": "mail.example"}, "mail needs both"),
    ({"CERTCTL_SMTP_HOST": "mail.example", "CERTCTL_SMTP_FROM_ADDRESS": "certctl <a@b>"}, "this is no e-mail address"),
    ({"CERTCTL_SMTP_HOST": "mail.example", "CERTCTL_SMTP_FROM_ADDRESS": "a@b", "CERTCTL_SMTP_USERNAME": "u",
      "CERTCTL_SMTP_PASSWORD": "p", "CERTCTL_SMTP_USE_TLS": "false"}, "the password would be sent in the clear"),
    ({"CERTCTL_OPSGENIE_API_KEY": "key\nX: y"}, "CERTCTL_OPSGENIE_API_KEY"),
    ({"CERTCTL_NOTIFY_CA_FILE": "/etc/hostname"}, "CERTCTL_NOTIFY_CA_FILE"),
])
def test_settings_that_are_wrong(clean, env, words):
    worker = clean.start_worker(9, **env)
    assert worker.wait_end() != 0
    assert words in worker.log() and "secret-url" not in worker.log()
