"""
Alerts before certificates expire: one a certificate, threshold and channel,
the tightest only, again after a renewal, without walking the inventory; how
they are listed; and when the renewals themselves fall due.
"""
import pytest

from fleet import duty_words, wait_for

WORDS = duty_words("expiry_alerts")


@pytest.fixture(scope="module")
def site(basics):
    basics.query("INSERT INTO renewal_policies (id, name, renewal_window_days, alert_channels, alert_severity_map) VALUES "
                 "('rp-loud', 'loud', 30, '{\"critical\": [\"email\", \"PagerDuty\"], \"warning\": [], \"informational\": [\"Slack\", "
                 "\"Carrier pigeon\"]}', '{\"30\": \"informational\"}')")
    return basics


@pytest.fixture
def clean(site):
    site.query("TRUNCATE notification_events, expiry_alerts")
    site.query("DELETE FROM managed_certificates")
    site.query("UPDATE expiry_alert_state SET crossed_to = '-infinity', created_to = '-infinity', full_at = '-infinity'")
    site.query("UPDATE renewal_policies SET updated_at = now() - interval '1 day'")
    return site


def make(site, name, days, policy="rp-default", status="Active", lifetime=90, owner="o-test"):
    site.query("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, "
               "expires_at, valid_from) VALUES (%s, %s, %s, %s, 't-test', 'iss-local', %s, %s, now() + %s * interval '1 day', "
               "now() + (%s - %s) * interval '1 day')", name, name, f"{name}.example.test", owner, policy, status, days, days, lifetime)


def run(site, limit=1000):
    """A whole run of the duty; the alerts it made, and its pieces."""
    rows, pieces, more = 0, 0, True
    while more:
        made, more = site.query("SELECT rows, is_more FROM duty_expiry_alerts(%s, %s, %s)", limit, pieces == 0, WORDS)[0]
        rows, pieces = rows + made, pieces + 1
        assert pieces < 1000
    return rows, pieces


def alerts(site, name):
    return site.query("SELECT threshold_days, channel, severity FROM notification_events WHERE certificate_id = %s AND type = 'ExpirationWarning' ORDER BY id", name)


def pass_time(site, days):
    """As if that much later: certificates are that much nearer to their end."""
    site.query("UPDATE managed_certificates SET expires_at = expires_at - %s * interval '1 day', "
               "valid_from = valid_from - %s * interval '1 day', created_at = created_at - %s * interval '1 day'", days, days, days)
    site.query("UPDATE expiry_alerts SET expires_at = expires_at - %s * interval '1 day'", days)
    site.query("UPDATE expiry_alert_state SET crossed_to = crossed_to - %s * interval '1 day', "
               "created_to = created_to - %s * interval '1 day'", days, days)


def test_only_the_tightest(clean):
    make(clean, "five", 5)
    make(clean, "twenty", 20)
    make(clean, "forty", 40)
    make(clean, "gone", -0.5)
    assert run(clean)[0] == 3
    assert alerts(clean, "five") == [(7, "Email", "warning")]
    assert alerts(clean, "twenty") == [(30, "Email", "informational")]
    assert alerts(clean, "forty") == []
    assert alerts(clean, "gone") == [(0, "Email", "critical")]
    row = clean.query("SELECT type, recipient, status, message, sent_at FROM notification_events WHERE certificate_id = 'five'")[0]
    assert row[:3] == ("ExpirationWarning", "owner@example.test", "pending") and row[4] is None
    assert "five.example.test" in row[3] and "[threshold:7]" in row[3] and "expires in 4 days" in row[3]
    assert run(clean)[0] == 0


def test_each_threshold_once_as_time_passes(clean):
    make(clean, "c", 31)
    seen = []
    run(clean)
    for _ in range(33):
        pass_time(clean, 1)
        run(clean)
        run(clean)
    seen = [a[0] for a in alerts(clean, "c")]
    assert seen == [30, 14, 7, 0]


def test_a_new_end_alerts_anew(clean):
    make(clean, "c", 5)
    run(clean)
    clean.query("UPDATE managed_certificates SET expires_at = now() + interval '90 days', valid_from = now() WHERE id = 'c'")
    run(clean)
    assert len(alerts(clean, "c")) == 1
    pass_time(clean, 61)
    run(clean)
    assert [a[0] for a in alerts(clean, "c")] == [7, 30]


def test_what_was_told_already_is_counted_as_such(clean):
    def deduped():
        return {key: n for key, n in clean.query("SELECT key, n FROM stat_totals_now WHERE kind = 'expiry_alert' AND key LIKE '%% deduped'")}
    before = deduped()
    make(clean, "c", 5)
    make(clean, "other", 60)
    run(clean)
    assert deduped() == before
    clean.query("UPDATE expiry_alert_state SET full_at = '-infinity'")  # as once a day
    assert run(clean)[0] == 0
    added = {key: n - before.get(key, 0) for key, n in deduped().items()}
    assert {key: n for key, n in added.items() if n} == {"Email 7 deduped": 1}


def test_new_ones_are_seen_at_the_next_run(clean):
    run(clean)
    make(clean, "imported", 5)
    make(clean, "later", 60)
    assert run(clean)[0] == 1
    assert [a[0] for a in alerts(clean, "imported")] == [7]


def test_what_was_changed_by_hand_is_seen_within_a_day(clean):
    make(clean, "c", 60)
    run(clean)
    clean.query("UPDATE managed_certificates SET expires_at = now() + interval '3 days', created_at = now() - interval '1 day' "
                "WHERE id = 'c'")
    assert run(clean)[0] == 0
    clean.query("UPDATE expiry_alert_state SET full_at = full_at - interval '25 hours'")
    assert run(clean)[0] == 1


def test_a_changed_policy_is_seen_at_the_next_run(clean):
    clean.query("INSERT INTO renewal_policies (id, name, renewal_window_days) VALUES ('rp-moved', 'moved', 30) ON CONFLICT DO NOTHING")
    clean.query("UPDATE renewal_policies SET alert_thresholds_days = '[30]', updated_at = now() - interval '1 day' WHERE id = 'rp-moved'")
    make(clean, "c", 50, policy="rp-moved")
    assert run(clean)[0] == 0
    clean.query("UPDATE renewal_policies SET alert_thresholds_days = '[60, \"soon\", 40]', updated_at = now() WHERE id = 'rp-moved'")
    assert run(clean)[0] == 1
    assert [a[0] for a in alerts(clean, "c")] == [60]


def test_who_is_told(clean):
    clean.query("INSERT INTO owners (id, name, email, team_id) VALUES ('o-silent', 'Silent', '', 't-test') ON CONFLICT DO NOTHING")
    make(clean, "informational", 20, "rp-loud")
    make(clean, "warning", 5, "rp-loud")
    make(clean, "critical", -0.1, "rp-loud", owner="o-silent")
    assert run(clean)[0] == 3
    assert alerts(clean, "informational") == [(30, "Slack", "informational")]
    assert alerts(clean, "warning") == []
    assert [a[1] for a in alerts(clean, "critical")] == ["Email", "PagerDuty"]
    assert {r[0] for r in clean.query("SELECT recipient FROM notification_events WHERE certificate_id = 'critical'")} == {"o-silent"}
    for _ in range(2):
        skipped = clean.query("SELECT action, resource_id, details ->> 'channel' FROM audit_events WHERE action LIKE "
                              "'expiration_alert_skipped%%' ORDER BY seq DESC LIMIT 10")
        assert sorted(skipped, key=str) == [("expiration_alert_skipped_invalid_channel", "informational", "Carrier pigeon"),
                                            ("expiration_alert_skipped_no_channels", "warning", None)]
        clean.query("UPDATE expiry_alert_state SET full_at = '-infinity'")  # looks at all again
        assert run(clean)[0] == 0


def test_what_is_over_or_short_is_left_alone(clean):
    make(clean, "revoked", 5, status="Revoked")
    make(clean, "archived", 5, status="Archived")
    make(clean, "long-gone", -30, status="Expired")
    # Of six days: thirty, fourteen and seven lie before it began.
    make(clean, "six", 5.9, lifetime=6)
    assert run(clean)[0] == 0
    pass_time(clean, 6)
    run(clean)
    assert [a[0] for a in alerts(clean, "six")] == [0]


def test_pieces(clean):
    for i in range(40):
        make(clean, f"c-{i}", 1 + i)
    rows, pieces = run(clean, limit=5)
    assert rows == 30 and pieces > 5
    assert clean.value("SELECT count(DISTINCT certificate_id) FROM notification_events") == 30
    assert run(clean, limit=5) == (0, 1)


def test_cost_follows_the_work(clean):
    """Of thirty thousand, a run that finds nothing reads next to nothing."""
    clean.query("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, "
                "expires_at, valid_from) SELECT 'm-' || i, 'm-' || i, 'm', 'o-test', 't-test', 'iss-local', 'rp-default', 'Active', "
                "now() + i * interval '4 minutes', now() - interval '30 days' FROM generate_series(1, 30000) i")
    clean.query("ANALYZE managed_certificates")
    rows, pieces = run(clean)
    assert 10000 < rows < 11000 and pieces >= 10
    clean.query("UPDATE expiry_alert_state SET created_to = created_to - interval '1 hour', crossed_to = crossed_to - interval '1 minute'")
    clean.query("UPDATE managed_certificates SET created_at = created_at - interval '1 day'")
    clean.query("VACUUM ANALYZE managed_certificates")
    clean.query("SET track_functions = 'none'")
    clean.query("SELECT pg_stat_force_next_flush()")
    before = clean.value("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'managed_certificates'")
    assert run(clean)[1] == 1
    clean.query("SELECT pg_stat_force_next_flush()")
    after = clean.value("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'managed_certificates'")
    assert after - before < 5000


def test_the_scheduler_runs_it(clean):
    make(clean, "c", 5)
    scheduler = clean.start_scheduler(CERTCTL_EXPIRY_ALERT_INTERVAL="1s")
    wait_for(lambda: alerts(clean, "c"), 20, "the alert")
    make(clean, "d", 5)
    wait_for(lambda: alerts(clean, "d"), 20, "the alert of the new one")
    assert scheduler.stop() == 0
    assert len(alerts(clean, "c")) == len(alerts(clean, "d")) == 1


# --- the API ---

def test_notifications(clean):
    api = clean.api
    make(clean, "a", 5)
    make(clean, "b", 5)
    run(clean)
    sent = clean.value("SELECT id FROM notification_events WHERE certificate_id = 'a'")
    clean.query("UPDATE notification_events SET status = 'sent', sent_at = now() WHERE id = %s", sent)
    status, page = api.get("/api/v1/notifications?per_page=1")
    assert status == 200 and page["total"] == 2 and page["page"] == 1 and page["per_page"] == 1
    assert page["data"][0]["id"] == sent and page["data"][0]["sent_at"].endswith("Z")
    page = api.get("/api/v1/notifications?status=pending")[1]
    assert [n["certificate_id"] for n in page["data"]] == ["b"] and page["total"] == 1
    other = page["data"][0]
    assert other["type"] == "ExpirationWarning" and other["channel"] == "Email" and "sent_at" not in other
    assert other["retry_count"] == 0 and other["status"] == "pending"
    assert api.get(f"/api/v1/notifications/{sent}")[1]["id"] == sent
    assert api.post(f"/api/v1/notifications/{sent}/read") == (200, {"status": "marked_as_read"})
    assert api.get(f"/api/v1/notifications/{sent}")[1]["status"] == "read"
    clean.query("UPDATE notification_events SET status = 'dead', retry_count = 5, last_error = 'no' WHERE id = %s", other["id"])
    assert api.post(f"/api/v1/notifications/{other['id']}/requeue") == (200, {"status": "requeued"})
    again = api.get(f"/api/v1/notifications/{other['id']}")[1]
    assert (again["status"], again["retry_count"], again.get("last_error")) == ("pending", 0, None)
    for verb, path in (("GET", ""), ("POST", "/read"), ("POST", "/requeue")):
        assert api.call(verb, f"/api/v1/notifications/notif-none{path}")[0] == 404
    viewer = "viewer-" + api.key
    assert api.get("/api/v1/notifications", key="wrong")[0] == 401
    assert api.post(f"/api/v1/notifications/{sent}/requeue", key=viewer)[0] == 403


# --- when renewal falls due ---

@pytest.mark.parametrize("seconds,backdate", [(3600, 0), (90, 0), (15, 0), (1, 0), (3660, 3600), (3602, 3600)])
def test_short_lives_never_loop(clean, seconds, backdate):
    """Two thirds of a life, and a minute for one that is due when it comes, whatever the window is."""
    make(clean, "c", 5)
    clean.query("UPDATE managed_certificates c SET last_renewal_at = now(), valid_from = now() - %s * interval '1 second', "
                "expires_at = now() + %s * interval '1 second', renew_after = renew_after_of(c.id, now() - %s * interval '1 second', "
                "now() + %s * interval '1 second', 30, NULL) WHERE id = 'c'", backdate, seconds - backdate, backdate, seconds - backdate)
    wait = clean.value("SELECT extract(epoch FROM renew_after - last_renewal_at) FROM managed_certificates WHERE id = 'c'")
    planned = seconds * 2 / 3 - backdate
    assert wait >= (planned if planned >= 5 else 60)
    # The scan leaves it alone until then.
    assert clean.value("SELECT due FROM duty_renewal_scan(10)") == 0
