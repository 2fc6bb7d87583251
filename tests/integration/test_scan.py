"""
What the renewal scan finds due, under a clock that the test owns: policies,
spread, retries, and rows that must not stand in the way of others.
"""
import threading

import pytest

from fleet import wait_for

NOT_SANITIZED = "the functions of the scan alone, called as the scheduler does"

DAY = 86400
NOW = "2026-03-01 00:00:00+00"


class Scan:
    def __init__(self, stack):
        self.stack = stack
        self.clock(0)

    def clock(self, seconds):
        """That many seconds after NOW, for this connection."""
        self.stack.query("SELECT set_config('certctl.now', (%s::timestamptz + %s * interval '1 second')::text, false)", NOW, seconds)

    def policy(self, name, window=30, percent=None, auto=True, retry=60):
        self.stack.query("INSERT INTO renewal_policies (id, name, renewal_window_days, auto_renew, max_retries, retry_interval_seconds, "
                         "renewal_percent) VALUES (%s, %s, %s, %s, 3, %s, %s)", name, name, window, auto, retry, percent)

    def issuer(self, name, enabled=True):
        self.stack.query("INSERT INTO issuers (id, name, type, enabled) VALUES (%s, %s, 'GenericCA', %s)", name, name, enabled)

    def certificates(self, stem, count, lived, left, policy="rp-default", issuer="iss-local", status="Active"):
        """Valid from `lived` seconds before NOW to `left` seconds after it."""
        self.stack.query(
            "INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, "
            "valid_from, expires_at) SELECT %s || i, %s || i, 'x.example.test', 'o-test', 't-test', %s, %s, %s, "
            "%s::timestamptz - %s * interval '1 second', %s::timestamptz + %s * interval '1 second' "
            "FROM generate_series(1, %s) i", stem, stem, issuer, policy, status, NOW, lived, NOW, left, count)

    def chunk(self, limit=1000):
        """due, enqueued, seen"""
        return self.stack.query("SELECT due, enqueued, seen FROM duty_renewal_scan(%s)", limit)[0]

    def tick(self, limit=1000):
        """What the duty does: chunks until one is not full; jobs made, chunks."""
        made = chunks = 0
        while True:
            _, enqueued, seen = self.chunk(limit)
            made, chunks = made + enqueued, chunks + 1
            assert chunks < 100, "the scan meets the same rows again and again"
            if seen < limit:
                return made, chunks

    def follow(self, limit=500):
        """Certificates follow what changed, as the duty does it; (certificates, chunks)."""
        done = chunks = 0
        while True:
            rows, is_more = self.stack.query("SELECT rows, is_more FROM duty_policy_changes(%s)", limit)[0]
            done, chunks = done + rows, chunks + 1
            assert chunks < 100, "the walk never ends"
            if not is_more:
                return done, chunks

    def window(self, days, policy="rp-default", is_read=False):
        """is_read: a transaction of the test is open meanwhile."""
        self.stack.query("UPDATE renewal_policies SET renewal_window_days = %s WHERE id = %s", days, policy)
        # A walk waits for whoever may have read the policy as it was; autovacuum too may be under way.
        wait_for(lambda: is_read or self.stack.value("SELECT pg_snapshot_xmin(s) = pg_snapshot_xmax(s) FROM pg_current_snapshot() AS s"), 20,
                 "all transactions to be over")

    def wrong(self):
        """Certificates whose times are not those of their policy."""
        return self.stack.value(
            "SELECT count(*) FROM managed_certificates c JOIN renewal_policies p ON p.id = c.renewal_policy_id WHERE c.expiring_at IS DISTINCT FROM "
            "expiring_at_of(c.valid_from, c.expires_at, p.renewal_window_days) OR c.renew_after IS DISTINCT FROM "
            "renew_after_of(c.id, c.valid_from, c.expires_at, p.renewal_window_days, p.renewal_percent)")

    def in_progress(self):
        return {r[0] for r in self.stack.query("SELECT id FROM managed_certificates WHERE status = 'RenewalInProgress'")}

    def fail_all(self):
        self.stack.query("SELECT job_finish(array_agg(id), array_agg('Failed'::text), array_agg('no'::text)) FROM jobs "
                         "WHERE completed_at IS NULL HAVING count(*) > 0")


@pytest.fixture
def scan(basics):
    basics.query("TRUNCATE managed_certificates CASCADE")
    basics.query("DELETE FROM policy_changes")
    yield Scan(basics)
    basics.query("UPDATE renewal_policies SET renewal_window_days = 30 WHERE id = 'rp-default'")


def test_the_window_decides_up_to_a_third_of_the_lifetime(scan):
    scan.certificates("early", 1, 60 * DAY, 31 * DAY)
    scan.certificates("late", 1, 64 * DAY, 26 * DAY)
    # A third of nine days is three: due within the last three, not before.
    scan.certificates("short-early", 1, 5 * DAY, 4 * DAY)
    scan.certificates("short-late", 1, 7 * DAY, 2 * DAY)
    scan.tick()
    assert scan.in_progress() == {"late1", "short-late1"}


def test_a_percentage_replaces_the_window(scan):
    scan.policy("rp-half", percent=50)
    scan.certificates("half", 1, 60 * DAY, 40 * DAY, "rp-half")
    scan.certificates("early", 1, 40 * DAY, 60 * DAY, "rp-half")
    scan.tick()
    assert scan.in_progress() == {"half1"}


def test_the_spread_is_the_same_each_time_and_within_a_tenth(scan):
    scan.certificates("mc", 1000, 60 * DAY, 30 * DAY)
    share = "SELECT id, extract(epoch FROM renew_after - (expires_at - interval '30 days')) FROM managed_certificates ORDER BY id"
    first = dict(scan.stack.query(share))
    assert all(0 <= s <= 3 * DAY for s in first.values())
    # Evenly: each tenth of the spread holds its tenth of the certificates.
    for tenth in range(10):
        n = sum(tenth * 0.3 * DAY <= s < (tenth + 1) * 0.3 * DAY for s in first.values())
        assert 60 <= n <= 140, (tenth, n)
    for days in (29, 30):
        scan.window(days)
        scan.follow()
    assert dict(scan.stack.query(share)) == first
    scan.clock(1.5 * DAY)
    made, _ = scan.tick(100)
    assert 400 <= made <= 600
    scan.clock(3 * DAY)
    assert made + scan.tick(100)[0] == 1000


def test_a_failed_renewal_waits_for_its_retry_interval(scan):
    scan.policy("rp-slow", retry=3600)
    scan.certificates("quick", 1, 89 * DAY, DAY)
    scan.certificates("slow", 1, 89 * DAY, DAY, "rp-slow")
    scan.stack.query("UPDATE renewal_policies SET retry_interval_seconds = 5 WHERE id = 'rp-default'")
    try:
        assert scan.tick()[0] == 2
        scan.fail_all()
        for seconds, due in ((0, set()), (59, set()), (61, {"quick1"}), (3599, {"quick1"}), (3601, {"quick1", "slow1"})):
            scan.clock(seconds)
            scan.tick()
            assert scan.in_progress() == due, seconds
    finally:
        scan.stack.query("UPDATE renewal_policies SET retry_interval_seconds = 60 WHERE id = 'rp-default'")
    assert scan.stack.value("SELECT count(*) FROM jobs") == 4


def test_a_short_life_is_tried_again_before_it_ends(scan):
    """Whatever the policy's interval: it has its last third for it."""
    scan.policy("rp-hourly", retry=3600)
    scan.certificates("hour", 1, 43 * 60, 17 * 60, "rp-hourly")
    scan.certificates("minute", 1, 43, 17, "rp-hourly")
    assert scan.tick()[0] == 2
    scan.fail_all()
    for seconds, due in ((5, set()), (7, {"minute1"}), (5 * 60, {"minute1"}), (6 * 60 + 1, {"minute1", "hour1"})):
        scan.clock(seconds)
        scan.tick()
        assert scan.in_progress() == due, seconds


def test_a_first_issuance_that_failed_is_tried_again(scan):
    """Nothing else would ever ask for it."""
    scan.policy("rp-none", auto=False)
    for name, policy in (("first", "rp-default"), ("none", "rp-none")):
        scan.certificates(name, 1, DAY, DAY, policy)
    scan.stack.query("UPDATE managed_certificates SET valid_from = NULL, expires_at = NULL, renew_after = NULL")
    scan.tick()
    assert scan.in_progress() == set()
    scan.stack.query("SELECT jobs_enqueue('{first1,none1}', 'a person', 'User', false, true, true)")
    assert scan.stack.query("SELECT DISTINCT type FROM jobs") == [("Issuance",)]
    scan.fail_all()
    for seconds, due in ((59, set()), (61, {"first1"})):
        scan.clock(seconds)
        scan.tick()
        assert scan.in_progress() == due, seconds
    assert scan.stack.query("SELECT certificate_id, type FROM jobs WHERE completed_at IS NULL") == [("first1", "Issuance")]


def test_what_nothing_renews_does_not_stand_in_the_way(scan):
    """5,000 that are skipped come first; all of the 1,000 behind them are made."""
    scan.policy("rp-hand", auto=False)
    scan.issuer("iss-off", enabled=False)
    scan.certificates("hand", 2500, 89 * DAY, DAY, "rp-hand")
    scan.certificates("off", 2500, 89 * DAY, DAY, issuer="iss-off")
    scan.certificates("good", 1000, 88 * DAY, 2 * DAY)
    assert scan.tick() == (1000, 7)
    # The next tick does not walk them again ...
    assert scan.tick() == (0, 1)
    # ... and each comes back when what kept it is switched on.
    scan.stack.query("UPDATE issuers SET enabled = true WHERE id = 'iss-off'")
    assert scan.follow() == (2500, 6)
    assert scan.tick()[0] == 2500
    scan.stack.query("UPDATE managed_certificates SET renewal_policy_id = 'rp-default' WHERE id = 'hand1'")
    assert scan.tick()[0] == 1
    assert scan.follow() == (0, 1)
    scan.stack.query("UPDATE renewal_policies SET auto_renew = true WHERE id = 'rp-hand'")
    assert scan.follow() == (2499, 6)
    assert scan.tick()[0] == 2499


def test_a_first_issuance_that_failed_comes_back_with_what_is_switched_on(scan):
    """Its issuer or its policy was off when its next try fell due; or it is given to others."""
    scan.policy("rp-on-later", auto=False)
    scan.issuer("iss-on-later", enabled=False)
    for name, policy, issuer in (("off", "rp-default", "iss-on-later"), ("hand", "rp-on-later", "iss-local"), ("both", "rp-on-later", "iss-on-later"),
                                 ("moved", "rp-on-later", "iss-on-later")):
        scan.stack.query("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, "
                         "renew_after) VALUES (%s, %s, 'x.example.test', 'o-test', 't-test', %s, %s, 'Failed', %s)",
                         name, name, issuer, policy, NOW)
    assert scan.tick()[0] == 0
    assert scan.stack.query("SELECT DISTINCT renew_after FROM managed_certificates") == [(None,)]
    assert scan.follow()[0] == 0
    back = []
    for change, who in (("UPDATE issuers SET enabled = true WHERE id = 'iss-on-later'", ["off"]),
                        ("UPDATE managed_certificates SET renewal_policy_id = 'rp-default' WHERE id = 'moved'", ["moved"]),
                        ("UPDATE renewal_policies SET auto_renew = true WHERE id = 'rp-on-later'", ["both", "hand"])):
        scan.stack.query(change)
        assert scan.follow()[0] == len(who)
        assert scan.tick()[0] == len(who)
        back += who
        assert scan.stack.query("SELECT certificate_id FROM jobs ORDER BY 1") == [(name,) for name in sorted(back)]
        assert scan.follow()[0] == 0


def store_ca(scan, issuer, fingerprint, begins, ends):
    scan.stack.query("SELECT * FROM ca_certificate_store(%s, 'pem', 'pem', %s, %s::timestamptz + %s * interval '1 day', "
                     "%s::timestamptz + %s * interval '1 day', 'key')", issuer, fingerprint, NOW, begins, NOW, ends)


def test_what_its_ca_s_end_cuts_off_is_renewed_under_the_next_ca_only(scan):
    """Else it would be renewed again and again, ever sooner, and end at the same time."""
    scan.issuer("iss-ending")
    scan.clock(0)
    store_ca(scan, "iss-ending", "aa", -300, 5)
    scan.certificates("cut", 3, 60 * DAY, 5 * DAY, issuer="iss-ending")
    scan.certificates("short", 2, 87 * DAY, 3 * DAY, issuer="iss-ending")
    assert scan.tick()[0] == 2
    assert scan.in_progress() == {"short1", "short2"}
    assert scan.tick() == (0, 1)
    assert scan.stack.value("SELECT count(*) FROM managed_certificates WHERE renew_after = 'infinity'") == 3
    # the same CA again changes nothing, a longer one does
    store_ca(scan, "iss-ending", "aa", -300, 5)
    assert scan.tick()[0] == 0
    store_ca(scan, "iss-ending", "bb", -1, 900)
    while scan.stack.value("SELECT is_more FROM duty_policy_changes(500)"):
        pass
    assert scan.tick()[0] == 3


# --- a policy that changes ---

def test_a_policy_changes_at_the_cost_of_its_row(scan):
    scan.certificates("mc", 5000, 70 * DAY, 20 * DAY)
    with scan.stack.admin() as c:
        c.execute("BEGIN")
        c.execute("UPDATE renewal_policies SET renewal_window_days = 7 WHERE id = 'rp-default'")
        c.execute("SELECT pg_stat_get_xact_tuples_updated('managed_certificates'::regclass)")
        assert c.fetchone() == (0,), "certificates were written by the request"
        c.execute("COMMIT")


def test_certificates_follow_in_chunks_and_are_counted(scan):
    scan.policy("rp-other")
    scan.certificates("mc", 2000, 70 * DAY, 20 * DAY, status="Expiring")
    scan.certificates("other", 100, 70 * DAY, 20 * DAY, "rp-other")
    scan.window(7)
    behind = []
    while scan.stack.value("SELECT is_more FROM duty_policy_changes(500)"):
        behind.append(scan.stack.value("SELECT total - done FROM policy_changes"))
    assert behind == [2000, 1500, 1000, 500, 1] and scan.wrong() == 0
    assert not scan.stack.value("SELECT EXISTS (SELECT 1 FROM policy_changes)")
    # What they say of themselves follows too.
    assert scan.stack.query("SELECT DISTINCT status FROM managed_certificates WHERE id LIKE 'mc%%'") == [("Active",)]
    # Few among many are found at once.
    scan.window(9, "rp-other")
    assert scan.follow() == (100, 2)
    assert scan.wrong() == 0


def test_the_scan_does_not_renew_by_a_time_that_no_longer_holds(scan):
    scan.certificates("mc", 1200, 70 * DAY, 20 * DAY)
    scan.certificates("near", 300, 85 * DAY, 5 * DAY)
    scan.window(7)
    # Neither before the walk nor in its middle.
    scan.stack.query("SELECT duty_policy_changes(500)")
    scan.stack.query("SELECT duty_policy_changes(500)")
    made, _ = scan.tick(100)
    assert (made, {name[:4] for name in scan.in_progress()}) == (300, {"near"})
    scan.follow()
    assert scan.tick(100) == (0, 1)


def test_a_policy_that_changes_again_in_the_middle(scan):
    scan.certificates("mc", 2000, 70 * DAY, 20 * DAY)
    for days in (7, 14, 21):
        scan.window(days)
        for _ in range(3):
            assert scan.stack.value("SELECT is_more FROM duty_policy_changes(500)")
        assert scan.wrong() == 1000
    scan.follow()
    assert scan.wrong() == 0


def test_a_walk_that_is_cut_off_goes_on(scan):
    scan.certificates("mc", 2000, 70 * DAY, 20 * DAY)
    scan.window(7)
    for _ in range(3):
        with scan.stack.admin() as c:
            c.execute("SELECT duty_policy_changes(500)")
            c.execute("BEGIN")
            c.execute("SELECT duty_policy_changes(500)")
            c.execute("ROLLBACK")
    scan.follow()
    assert scan.wrong() == 0


def test_a_certificate_that_somebody_holds_follows_later(scan):
    scan.certificates("mc", 2000, 70 * DAY, 20 * DAY)
    scan.window(7)
    # The walk has begun, so that it does not wait for this transaction.
    assert scan.stack.query("SELECT rows, is_more FROM duty_policy_changes(500)") == [(0, True)]
    with scan.stack.admin() as c:
        c.execute("BEGIN")
        c.execute("SELECT 1 FROM managed_certificates WHERE id IN ('mc1', 'mc700') FOR UPDATE")
        scan.stack.query("SET statement_timeout = '20s'")
        scan.follow()
        assert scan.wrong() == 2
        scan.follow()
        assert scan.stack.value("SELECT count(*) FROM policy_changes") == 1
        c.execute("ROLLBACK")
    scan.follow()
    assert scan.wrong() == 0 and not scan.stack.value("SELECT EXISTS (SELECT 1 FROM policy_changes)")


def test_what_was_written_by_the_old_policy_and_commits_late(scan):
    """Its transaction read the window before it changed, and ends after the walk could have passed it."""
    scan.certificates("mc", 10, 70 * DAY, 20 * DAY)
    with scan.stack.admin() as c:
        c.execute("BEGIN")
        c.execute("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status, "
                  "valid_from, expires_at) VALUES ('late', 'late', 'x', 'o-test', 't-test', 'iss-local', 'rp-default', 'Active', "
                  "now() - interval '70 days', now() + interval '20 days')")
        scan.window(7, is_read=True)
        scan.follow()
        assert scan.stack.value("SELECT count(*) FROM policy_changes") == 1
        c.execute("COMMIT")
    scan.follow()
    assert scan.wrong() == 0 and not scan.stack.value("SELECT EXISTS (SELECT 1 FROM policy_changes)")


# --- what else the scan meets ---


def test_a_certificate_moved_off_a_disabled_issuer_is_found(scan):
    scan.issuer("iss-dead", enabled=False)
    scan.certificates("mc", 1, 89 * DAY, DAY, issuer="iss-dead")
    assert scan.tick()[0] == 0
    scan.stack.query("UPDATE managed_certificates SET issuer_id = 'iss-local' WHERE id = 'mc1'")
    assert scan.tick()[0] == 1


def test_jobs_under_way_are_not_doubled_and_hold_up_nobody(scan):
    """Statuses written by hand hide that jobs are waiting."""
    scan.certificates("busy", 300, 89 * DAY, DAY)
    assert scan.tick(100)[0] == 300
    scan.stack.query("UPDATE managed_certificates SET status = 'Expiring'")
    scan.certificates("good", 50, 88 * DAY, 2 * DAY)
    assert scan.tick(100) == (50, 4)
    assert scan.stack.value("SELECT count(*) FROM jobs") == 350
    assert len(scan.in_progress()) == 350


def test_a_row_that_no_job_can_be_made_for_is_put_off(scan):
    """Its dedupe key is taken by a job that an operator's SQL moved away."""
    scan.certificates("mc", 2, 89 * DAY, DAY)
    scan.tick()
    scan.stack.query("UPDATE jobs SET certificate_id = 'mc1'")
    scan.stack.query("UPDATE managed_certificates SET status = 'Active' WHERE id = 'mc2'")
    assert scan.tick(1) == (0, 2)
    scan.clock(59)
    assert scan.tick(1) == (0, 1)


@pytest.mark.parametrize("status", ["RenewalInProgress", "Revoked", "Archived", "Pending"])
def test_not_in_these_states(scan, status):
    scan.certificates("mc", 1, 89 * DAY, DAY, status=status)
    assert scan.chunk() == (0, 0, 0)


def test_expired_and_failed_ones_are_renewed_but_not_what_was_never_issued(scan):
    scan.certificates("expired", 1, 91 * DAY, -DAY, status="Expired")
    scan.certificates("failed", 1, 89 * DAY, DAY, status="Failed")
    scan.certificates("never", 1, 0, 0, status="Failed")
    scan.stack.query("UPDATE managed_certificates SET expires_at = NULL, valid_from = NULL, renew_after = NULL WHERE id = 'never1'")
    scan.tick()
    assert scan.in_progress() == {"expired1", "failed1"}


def test_one_that_lives_shorter_than_its_window_is_not_renewed_in_a_loop(scan):
    scan.policy("rp-year", window=365)
    scan.certificates("mc", 1, 0, 6 * 3600, "rp-year")
    assert scan.tick()[0] == 0
    scan.clock(4 * 3600 - 60)
    assert scan.tick()[0] == 0
    scan.clock(4 * 3600 + 720)
    assert scan.tick()[0] == 1
    assert scan.tick()[0] == 0


def test_two_scans_at_once_make_each_job_once(scan):
    scan.certificates("mc", 2000, 89 * DAY, DAY)
    made = [0, 0]

    def run(i):
        connection = scan.stack.connect()
        with connection, connection.cursor() as c:
            c.execute("SELECT set_config('certctl.now', %s, false)", (NOW,))
            connection.commit()
            while True:
                c.execute("SELECT enqueued, seen FROM duty_renewal_scan(100)")
                enqueued, seen = c.fetchone()
                connection.commit()
                made[i] += enqueued
                if seen < 100:
                    break
        connection.close()

    threads = [threading.Thread(target=run, args=(i,)) for i in (0, 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sum(made) == 2000
    assert scan.stack.value("SELECT count(*) FROM jobs") == 2000


def test_a_scan_in_the_middle_of_another_skips_what_that_holds(scan):
    scan.certificates("mc", 30, 89 * DAY, DAY)
    other = scan.stack.connect()
    with other.cursor() as c:
        c.execute("SELECT set_config('certctl.now', %s, false)", (NOW,))
        c.execute("SELECT enqueued FROM duty_renewal_scan(20)")
        assert c.fetchone() == (20,)
        assert scan.chunk(20) == (10, 10, 10)
        other.commit()
    other.close()
    assert scan.stack.value("SELECT count(DISTINCT certificate_id) FROM jobs") == 30


def test_the_plan_walks_only_what_is_due(scan):
    """Also when the statistics say that everything is due."""
    scan.certificates("mc", 20000, 89 * DAY, DAY)
    scan.stack.query("ANALYZE managed_certificates")
    scan.stack.query("UPDATE managed_certificates SET renew_after = renew_after + interval '1 year' WHERE id NOT LIKE '%%99'")
    with scan.stack.admin() as c:
        c.execute("SELECT set_config('certctl.now', %s, false)", (NOW,))
        c.execute("BEGIN")
        c.execute("SELECT seen FROM duty_renewal_scan(1000)")
        assert c.fetchone() == (200,)
        c.execute("SELECT pg_stat_get_xact_tuples_returned('managed_certificates'::regclass)")
        assert c.fetchone()[0] == 0, "a walk through the whole table"
        c.execute("ROLLBACK")
