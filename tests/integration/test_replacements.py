"""
Certificates that leave one CA for another: what a plan says and what comes of
it, waves, and every way that a certificate may stay behind.  The duty is called
as the scheduler does, piece by piece.
"""
import contextlib

import pytest

R = "/api/v1/replacements"
COUNTERS = ("moving", "waiting", "failed", "issued", "done", "skipped", "returned")
WORDS = '{"replacement_cancelled": "cancelled: %s"}'


class World:
    def __init__(self, stack):
        self.stack, self.query, self.value, self.api = stack, stack.query, stack.value, stack.api
        self.query("INSERT INTO agents (id, name, hostname, status, last_heartbeat_at, api_key_hash) VALUES "
                   "('agent-on', 'on', 'h', 'Online', now(), 'x'), ('agent-off', 'off', 'h', 'Offline', now(), 'x')")
        self.n = 0

    def issuers(self, kind="GenericCA"):
        """Two of its own for a test: what leaves and what comes."""
        self.n += 1
        self.a, self.b = f"iss-a{self.n}", f"iss-b{self.n}"
        for i in (self.a, self.b):
            self.query("INSERT INTO issuers (id, name, type) VALUES (%s, %s, %s)", i, i, kind)
        return self

    def certificates(self, stem, n=1, agent="agent-on", status="Active", profile=None, life="90 days"):
        """n of the old issuer's, each with a version and a target that serves it."""
        ids = [f"{stem}-{self.n}-{i:03}" for i in range(n)]
        self.query("INSERT INTO managed_certificates (id, name, common_name, sans, owner_id, team_id, issuer_id, renewal_policy_id, status, "
                   "valid_from, expires_at, certificate_profile_id) SELECT u, u, 'r.example.test', '{r.example.test}', 'o-test', 't-test', %s, "
                   "'rp-default', %s, now() - interval '1 hour', now() + %s::interval, %s FROM unnest(%s) u", self.a, status, life, profile, ids)
        self.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, "
                   "issuer_id, job_id, key_holder) SELECT 'certver-0-' || u, u, 'old-' || u, now() - interval '1 hour', now() + %s::interval, 'f', "
                   "'pem', %s, 'job-0-' || u, coalesce(%s, '') FROM unnest(%s) u", life, self.a, agent, ids)
        if agent:
            self.query("INSERT INTO deployment_targets (id, name, type, agent_id, config) SELECT 'tgt-' || u, 'tgt-' || u, 'NGINX', %s, '{}' "
                       "FROM unnest(%s) u", agent, ids)
            self.query("INSERT INTO certificate_target_mappings (certificate_id, target_id, desired_version_id, deployed_version_id) "
                       "SELECT u, 'tgt-' || u, 'certver-0-' || u, 'certver-0-' || u FROM unnest(%s) u", ids)
        return ids

    def acme(self, stem, profile, **more):
        ids = self.certificates(stem, agent=None, profile=profile, **more)
        self.query("INSERT INTO acme_accounts (account_id, profile_id, jwk_thumbprint, jwk_pem) VALUES (%s, %s, %s, '') ON CONFLICT DO NOTHING",
                   f"acct-{profile}", profile, f"thumb-{profile}")
        self.query("INSERT INTO acme_certificates (certificate_id, account_id, profile_id, names_key) SELECT u, %s, %s, 'k' FROM unnest(%s) u",
                   f"acct-{profile}", profile, ids)
        return ids

    def profile(self, name, issuer=None, approved=False):
        name = f"prof-{name}-{self.n}"
        self.query("INSERT INTO certificate_profiles (id, name, issuer_id, requires_approval) VALUES (%s, %s, %s, %s)", name, name, issuer, approved)
        return name

    def job(self, certificate, status, checkpoint=None):
        self.query("INSERT INTO jobs (id, type, certificate_id, issuer_id, agent_id, status, dedupe_key, checkpoint, run_after) "
                   "SELECT 'job-open-' || id, 'Renewal', id, issuer_id, 'agent-on', %s, 'issue:' || id || ':agent-on', %s::jsonb, "
                   "now() + interval '1 hour' FROM managed_certificates WHERE id = %s", status, checkpoint, certificate)
        self.query("UPDATE managed_certificates SET status = 'RenewalInProgress' WHERE id = %s", certificate)

    # --- the replacement ---
    def wish(self, **more):
        return {"from_issuer_id": self.a, "to_issuer_id": self.b} | more

    def plan(self, **more):
        return self.api.need("POST", f"{R}/plan", self.wish(**more))

    def begin(self, **more):
        self.id = self.api.need("POST", R, self.wish(**more))["id"]
        return self.id

    def get(self):
        return self.api.need("GET", f"{R}/{self.id}")

    def turn(self, how):
        return self.api.need("POST", f"{R}/{self.id}/{how}")

    def check(self):
        """The counters are those of the certificates."""
        kept = self.query(f"SELECT {', '.join(COUNTERS)} FROM replacements WHERE id = %s", self.id)[0]
        real = dict(self.query("SELECT state, count(*) FROM replacement_items WHERE replacement_id = %s GROUP BY 1", self.id))
        assert dict(zip(COUNTERS, kept)) == {c: real.get(c, 0) for c in COUNTERS}
        return dict(zip(COUNTERS, kept))

    def piece(self, limit=500):
        """One piece of the duty, with all that is open to be looked at."""
        self.query("UPDATE replacement_items SET look_after = '-infinity' WHERE replacement_id = %s", self.id)
        rows, is_more = self.query("SELECT rows, is_more FROM duty_replacements(0, %s, %s)", limit, WORDS)[0]
        self.check()
        return rows, is_more

    def pieces(self, n=6, limit=500):
        for _ in range(n):
            self.piece(limit)
        return self.check()

    def open_jobs(self, issuer=None):
        return [r[0] for r in self.query("SELECT j.id FROM jobs j JOIN managed_certificates c ON c.id = j.certificate_id "
                                         "WHERE j.issuer_id = %s AND j.status NOT IN ('Completed', 'Failed', 'Cancelled') ORDER BY 1", issuer or self.b)]

    def issue(self, jobs):
        """As the agents and a worker do."""
        self.stack.plant("UPDATE jobs SET status = 'Running', leased_by = 'w', lease_id = 77, attempt_until = now() + interval '1 minute', "
                         "serial_number = 'S-' || id, not_before = now(), not_after = now() + interval '90 days', ca_sha256 = '\\x00' "
                         "WHERE id = ANY (%s)", jobs)
        n = len(jobs)
        done = self.query("SELECT job_id FROM issue_complete('w', 77, %s, %s, %s, %s, %s, '')", jobs, ["pem"] * n, [f"f-{j}" for j in jobs],
                          ["ECDSA"] * n, [256] * n)
        assert len(done) == n

    def serve(self, ids):
        self.query("DELETE FROM jobs WHERE type = 'Deployment' AND certificate_id = ANY (%s)", ids)
        self.query("UPDATE certificate_target_mappings SET deployed_version_id = desired_version_id WHERE certificate_id = ANY (%s)", ids)

    def issuer_of(self, ids):
        return {r[0] for r in self.query("SELECT issuer_id FROM managed_certificates WHERE id = ANY (%s)", ids)}

    def items(self, state):
        return {i["id"]: i.get("reason") for i in self.api.need("GET", f"{R}/{self.id}/certificates?state={state}")["data"]}

    def events(self, action):
        return self.value("SELECT count(*) FROM audit_events WHERE action = %s AND resource_id = %s", action, self.id)


@pytest.fixture(scope="module")
def made(basics):
    return World(basics)


@pytest.fixture
def world(made):
    made.query("UPDATE replacements SET state = 'cancelled', ended_at = now() WHERE ended_at IS NULL")
    return made.issuers()


def reasons(groups):
    return {g["reason"]: g["certificates"] for g in groups}


# --- a plan and what comes of it ---

def test_the_plan_is_what_happens(world):
    """Each reason to stay, each to wait, and those that go at once."""
    other = world.profile("other", "iss-local")
    asked = world.profile("asked", approved=True)
    going = world.certificates("go", 4)
    world.certificates("revoked", 2, status="Revoked")
    world.certificates("archived", status="Archived")
    world.certificates("keyless", 3, agent=None)
    world.certificates("pinned", 2, profile=other)
    approved = world.certificates("approved", 2, profile=asked)
    offline = world.certificates("offline", 3, agent="agent-off")
    ordered = world.certificates("ordered")
    world.job(ordered[0], "Pending", '{"state": "ordered", "order_id": "o"}')
    new = world.profile("acme", world.b)
    clients = world.acme("client", new)
    world.acme("ended", new, life="-1 minute")
    plan = world.plan()
    assert reasons(plan["cannot_go"]) == {"revoked": 2, "archived": 1, "no_key_holder": 3, "profile_pins": 2, "expired": 1}
    assert reasons(plan["waiting"]) == {"approval": 2, "agent_offline": 3, "job_open": 1, "acme_client": 1}
    assert (plan["certificates"], plan["excluded"]) == (11, 9)
    assert [g["certificate_ids"] for g in plan["cannot_go"] if g["reason"] == "profile_pins"] == [[f"pinned-{world.n}-000", f"pinned-{world.n}-001"]]
    assert world.value("SELECT count(*) FROM jobs WHERE issuer_id = %s", world.b) == 0 and world.issuer_of(going) == {world.a}

    world.begin()
    world.pieces()
    got = world.get()
    assert (got["planned"], got["moved"], got["skipped"], got["state"]) == (plan["certificates"], 11, plan["excluded"], "running")
    skipped = list(world.items("skipped").values())
    assert {r: skipped.count(r) for r in set(skipped)} == reasons(plan["cannot_go"])
    assert world.items("waiting") == dict.fromkeys(approved, "approval") | dict.fromkeys(ordered, "job_open") | dict.fromkeys(clients, "acme_client")
    assert world.issuer_of(going + approved + offline + ordered + clients) == {world.b}
    # The order at the CA that is left is followed to its end, and nobody waits for it.
    assert world.value("SELECT cancel_requested_at IS NOT NULL FROM jobs WHERE id = 'job-open-' || %s", ordered[0])
    # Nobody has lost what it serves.
    assert world.value("SELECT count(*) FROM certificate_target_mappings WHERE certificate_id = ANY (%s) AND deployed_version_id = "
                       "'certver-0-' || certificate_id", going) == 4
    assert world.get()["is_settled"] is False


def test_a_rule_of_issuers_keeps_all(world):
    world.certificates("ruled", 2)
    world.query("INSERT INTO policy_rules (id, name, type, config, enabled) VALUES ('rule-iss', 'iss', 'AllowedIssuers', %s::jsonb, true)",
                f'{{"allowed_issuer_ids": ["{world.a}"]}}')
    try:
        assert reasons(world.plan()["cannot_go"]) == {"policy_forbids": 2}
        world.begin()
        assert world.pieces()["skipped"] == 2 and world.get()["state"] == "completed"
    finally:
        world.query("DELETE FROM policy_rules WHERE id = 'rule-iss'")


def test_the_waves_of_a_plan_follow_from_the_lane(world):
    world.certificates("waves", 25)
    world.query("UPDATE lanes SET rate_per_s = 2, cap = 3 WHERE issuer_id = %s", world.b)
    plan = world.plan(wave_size=10)
    assert plan["lane"] == {"cap": 3, "rate_per_s": 2, "breaker_state": "closed"} and plan["rate_is_lane"]
    assert (plan["rate_per_s"], plan["waves"], plan["seconds"]) == (2, 3, 13)
    assert plan["wave_ends"] == [{"wave": 1, "certificates": 10, "ends_after_seconds": 5}, {"wave": 2, "certificates": 10, "ends_after_seconds": 10},
                                 {"wave": 3, "certificates": 5, "ends_after_seconds": 13}]
    assert world.plan()["wave_size"] == 120
    world.query("UPDATE lanes SET rate_per_s = NULL WHERE issuer_id = %s", world.b)
    assert not world.plan()["rate_is_lane"]


# --- waves ---

def test_waves_move_as_many_as_there_is_room_for(world):
    ids = world.certificates("wave", 10)
    world.begin(wave_size=4)
    assert world.pieces()["moving"] == 4
    # What is issued makes room, whether or not it is served yet.
    world.issue(world.open_jobs()[:3])
    world.pieces()
    assert (world.check()["issued"], world.check()["moving"]) == (3, 4)
    while jobs := world.open_jobs():
        world.issue(jobs)
        world.pieces()
    assert world.check()["issued"] == 10 and world.get()["state"] == "running"
    world.serve(ids)
    world.pieces()
    got = world.get()
    assert (got["state"], got["done"], got["wave"], got["waves"]) == ("completed", 10, 3, 3)
    assert world.value("SELECT count(*) FROM certificate_versions WHERE certificate_id = ANY (%s) AND issuer_id = %s", ids, world.b) == 10
    assert world.value("SELECT count(*) FROM certificate_revocations WHERE certificate_id = ANY (%s)", ids) == 0
    assert world.events("replacement_begun") == world.events("replacement_ended") == 1


def test_who_does_not_come_makes_room(world):
    world.certificates("silent", 5)
    world.begin(wave_size=2)
    assert world.pieces()["moving"] == 2
    world.query("UPDATE jobs SET created_at = now() - interval '2 minutes', run_after = now() - interval '2 minutes' WHERE issuer_id = %s", world.b)
    world.pieces(2)
    assert (world.check()["waiting"], world.check()["moving"]) == (2, 2) and set(world.items("waiting").values()) == {"csr"}


def test_certificates_made_meanwhile_go_too(world):
    world.certificates("b", 3)
    world.begin()
    world.piece()
    late = world.certificates("a", 2)
    world.pieces()
    assert world.issuer_of(late) == {world.b} and world.get()["moved"] == 5


# --- what goes wrong ---

def test_a_piece_that_is_lost_is_done_again(world):
    """Whoever is killed in the middle of one leaves all as it was before."""
    ids = world.certificates("lost", 6)
    world.begin(wave_size=3)
    for piece in range(4):
        with world.stack.connect() as other, other.cursor() as c:
            c.execute("UPDATE replacement_items SET look_after = '-infinity'")
            c.execute("SELECT rows FROM duty_replacements(0, 500, %s)", (WORDS,))
            before = world.check()
            other.rollback()
        assert world.check() == before
        world.piece()
        if piece % 2:
            world.issue(world.open_jobs())
    world.pieces()
    assert world.value("SELECT count(*) FROM jobs WHERE certificate_id = ANY (%s) AND type <> 'Deployment'", ids) == 6
    assert world.value("SELECT count(*) FROM certificate_versions WHERE certificate_id = ANY (%s) AND issuer_id = %s", ids, world.b) == 6


def test_two_leaders_do_not_do_the_same(world):
    world.certificates("two", 3)
    world.begin()
    with world.stack.connect() as other, other.cursor() as c:
        c.execute("SELECT rows FROM duty_replacements(0, 500, %s)", (WORDS,))
        assert c.fetchone()[0] > 0
        assert world.query("SELECT rows FROM duty_replacements(0, 500, %s)", WORDS) == [(0,)]
        other.commit()
    assert world.check()["moving"] == 3


@contextlib.contextmanager
def holding(world, ids, table="managed_certificates"):
    with world.stack.connect() as other, other.cursor() as c:
        c.execute(f"SELECT 1 FROM {table} WHERE id = ANY (%s) FOR UPDATE", (ids,))
        yield
        other.rollback()


def test_what_somebody_holds_goes_later(world):
    ids = world.certificates("held", 3)
    world.begin()
    with holding(world, ids[:1]):
        world.pieces()
        assert world.items("waiting") == {ids[0]: "held"} and world.check()["moving"] == 2
    world.pieces(2)
    assert world.check()["moving"] == 3 and world.issuer_of(ids) == {world.b}
    world.issuers()
    world.certificates("held", 1)
    world.begin()
    with holding(world, [world.b], "issuers"):
        assert world.pieces()["moving"] == 0
    assert world.pieces()["moving"] == 1


def test_a_lane_that_stops_stops_the_waves(world):
    world.certificates("stop", 6)
    world.begin(wave_size=2)
    world.pieces()
    for sql, word in (("UPDATE lanes SET breaker_state = 'open', opened_until = now() + interval '1 hour'", "lane_stopped"),
                      ("UPDATE lanes SET breaker_state = 'closed', cap = 0", "lane_closed")):
        world.query(f"{sql} WHERE issuer_id = %s", world.b)
        world.issue(world.open_jobs())
        # A success closes the breaker.
        world.query(f"{sql} WHERE issuer_id = %s", world.b)
        assert world.pieces()["moving"] == 0 and world.get()["stop"] == word
        assert world.query("SELECT subject, detail FROM conditions WHERE name = 'replacement_stopped'") == [(world.id, world.b)]
        world.query("UPDATE lanes SET breaker_state = 'closed', cap = 8 WHERE issuer_id = %s", world.b)
        assert world.pieces()["moving"] == 2 and "stop" not in world.get()
    world.query("UPDATE issuers SET enabled = false WHERE id = %s", world.b)
    assert world.get()["stop"] == "issuer_disabled"
    world.query("UPDATE issuers SET enabled = true WHERE id = %s", world.b)


def test_what_failed_is_told_of_and_tried_again(world):
    ids = world.certificates("fail", 2)
    world.begin()
    world.pieces()
    jobs = world.open_jobs()
    world.query("SELECT job_finish(%s, %s, %s)", jobs[:1], ["Failed"], ["the CA says no"])
    world.pieces(2)
    failed = world.items("failed")
    assert list(failed.values()) == ["the CA says no"] and world.get()["failed"] == 1
    world.query("UPDATE managed_certificates SET renew_after = now() - interval '1 s' WHERE id = ANY (%s)", list(failed))
    world.pieces(1)
    assert len(world.open_jobs()) == 2 and world.check()["moving"] == 2
    world.issue(world.open_jobs())
    world.serve(ids)
    world.pieces()
    assert world.get()["state"] == "completed"


def test_what_is_revoked_or_goes_elsewhere_is_left_alone(world):
    ids = world.certificates("gone", 3)
    world.begin()
    world.pieces()
    world.api.need("POST", f"/api/v1/certificates/{ids[0]}/revoke", {"reason": "superseded"})
    world.api.need("PUT", f"/api/v1/certificates/{ids[1]}", {"issuer_id": "iss-local"})
    world.api.need("PUT", f"/api/v1/certificates/{ids[2]}", {"issuer_id": world.a})
    world.pieces(2)
    assert world.items("skipped") == {ids[0]: "revoked", ids[1]: "moved_on", ids[2]: "moved_on"}
    assert world.get()["state"] == "completed" and world.issuer_of(ids[1:]) == {"iss-local", world.a}


# --- what a person does ---

def test_a_pause_lets_what_is_under_way_go_on(world):
    world.certificates("pause", 6)
    world.begin(wave_size=2)
    world.pieces()
    assert world.turn("pause")["state"] == world.turn("pause")["state"] == "paused"
    world.issue(world.open_jobs())
    world.pieces()
    assert (world.check()["issued"], world.get()["moved"]) == (2, 2)
    assert world.turn("resume")["state"] == "running"
    assert world.pieces()["moving"] == 2
    assert world.events("replacement_paused") == world.events("replacement_resumed") == 1


def test_a_cancel_gives_back_what_has_got_nothing(world):
    ids = world.certificates("back", 6)
    first = world.certificates("first")
    world.query("DELETE FROM certificate_versions WHERE certificate_id = ANY (%s)", first)
    world.query("UPDATE managed_certificates SET expires_at = NULL, valid_from = NULL, status = 'Pending' WHERE id = ANY (%s)", first)
    was = world.query("SELECT id, renew_after, renewal_wanted FROM managed_certificates WHERE id = ANY (%s) ORDER BY id", ids)
    world.begin(revoke_reason="superseded")
    world.pieces()
    assert world.check()["moving"] == 7
    jobs = dict(world.query("SELECT certificate_id, id FROM jobs WHERE issuer_id = %s", world.b))
    world.issue([jobs[ids[0]]])
    world.stack.plant("UPDATE jobs SET status = 'Running', leased_by = 'w', lease_id = 78, attempt_until = now() + interval '1 minute' "
                      "WHERE id = %s", jobs[ids[1]])
    assert world.turn("cancel")["state"] == "cancelling"
    world.pieces()
    # What a worker runs ends as it ends.
    assert world.get()["state"] == "cancelling" and world.issuer_of(ids[2:]) == {world.a} and world.issuer_of(ids[:2]) == {world.b}
    world.stack.plant("UPDATE jobs SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL WHERE id = %s", jobs[ids[1]])
    world.issue([jobs[ids[1]]])
    world.pieces()
    got = world.get()
    assert (got["state"], got["done"], got["returned"]) == ("cancelled", 2, 5)
    assert world.query("SELECT id, renew_after, renewal_wanted FROM managed_certificates WHERE id = ANY (%s) ORDER BY id", ids[2:]) == was[2:]
    assert {r[0] for r in world.query("SELECT status FROM managed_certificates WHERE id = ANY (%s)", ids[2:])} == {"Active"}
    assert {r[0] for r in world.query("SELECT last_error FROM jobs WHERE certificate_id = ANY (%s)", ids[2:])} == {f"cancelled: {world.id}"}
    # The first certificate of one begins anew at the old issuer, and nothing of the old was revoked.
    assert world.value("SELECT issuer_id FROM jobs WHERE certificate_id = %s AND completed_at IS NULL", first[0]) == world.a
    assert world.value("SELECT count(*) FROM certificate_revocations WHERE certificate_id = ANY (%s)", ids) == 0
    for how in ("pause", "resume"):
        assert world.api.post(f"{R}/{world.id}/{how}")[0] == 409


def test_the_old_is_revoked_once_the_new_is_served(world):
    ids = world.certificates("revoke", 2)
    world.begin(revoke_reason="caCompromise")
    world.pieces()
    world.issue(world.open_jobs())
    world.pieces()
    assert world.value("SELECT count(*) FROM certificate_revocations WHERE certificate_id = ANY (%s)", ids) == 0
    world.serve(ids[:1])
    world.pieces()
    listed = "SELECT serial_number, reason, issuer_id FROM certificate_revocations WHERE certificate_id = ANY (%s)"
    assert world.query(listed, ids) == [(f"old-{ids[0]}", "caCompromise", world.a)]
    world.serve(ids)
    world.pieces()
    assert len(world.query(listed, ids)) == 2 and world.get()["state"] == "completed"
    assert {r[0] for r in world.query("SELECT status FROM managed_certificates WHERE id = ANY (%s)", ids)} == {"Active"}


def test_a_ca_outside_is_told_of_what_is_revoked(made):
    world = made.issuers("EJBCA")
    world.query("UPDATE issuers SET type = 'GenericCA' WHERE id = %s", world.b)
    ids = world.certificates("outside")
    world.begin(revoke_reason="superseded")
    world.pieces()
    world.issue(world.open_jobs())
    world.serve(ids)
    world.pieces()
    assert world.query("SELECT issuer_state FROM certificate_revocations WHERE certificate_id = ANY (%s)", ids) == [("waiting",)]


# --- ACME clients ---

def test_renewal_windows_move_with_the_waves(world):
    """Profiles go along where it is asked for; a client is told to renew when its certificate has moved, not before."""
    profile = world.profile("windows", world.a)
    ids = world.acme("window", profile, n=2)
    serials = [f"{i:040x}" for i in range(world.n * 1000, world.n * 1000 + 2)]
    for i, serial in zip(ids, serials):
        world.query("UPDATE certificate_versions SET serial_number = %s WHERE certificate_id = %s", serial, i)
    assert reasons(world.plan()["cannot_go"]) == {"profile_pins": 2}
    assert reasons(world.plan(move_profiles=True)["waiting"]) == {"acme_client": 2}
    urgent = "SELECT ends_at <= engine_now() FROM acme_renewal_info(%s)"
    world.begin(move_profiles=True)
    assert world.value("SELECT issuer_id FROM certificate_profiles WHERE id = %s", profile) == world.b
    assert [world.value(urgent, s) for s in serials] == [False, False]
    with holding(world, ids[1:]):
        world.pieces(2)
        assert [world.value(urgent, s) for s in serials] == [True, False]
    world.pieces(2)
    assert [world.value(urgent, s) for s in serials] == [True, True] and world.open_jobs() == []
    # The client comes: its order is this certificate's renewal.
    world.job(ids[0], "Pending")
    world.issue([f"job-open-{ids[0]}"])
    world.pieces(2)
    assert world.check()["done"] == 1 and world.items("waiting") == {ids[1]: "acme_client"}


# --- the rest of the API ---

def test_what_is_refused(world):
    world.certificates("refused")
    for body, status, says in ((world.wish(to_issuer_id="nobody"), 404, "to_issuer_id"), (world.wish(from_issuer_id="nobody"), 404, "from_issuer_id"),
                               (world.wish(to_issuer_id=world.a), 400, "same"), ({"from_issuer_id": world.a}, 400, "to_issuer_id"),
                               (world.wish(wave_size=0), 400, "wave_size"), (world.wish(revoke_reason="certificateHold"), 400, "revoke_reason")):
        for path in (R, f"{R}/plan"):
            got, reply = world.api.post(path, body)
            assert got == status and says in str(reply), (path, body, reply)
    for sql, says in (("UPDATE lanes SET cap = 0 WHERE issuer_id = %s", "closed"), ("UPDATE issuers SET enabled = false WHERE id = %s", "disabled"),
                      ("INSERT INTO ca_certificates (issuer_id, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after) "
                       "SELECT id, 'k', id, '', '', 'f', now(), now() FROM issuers WHERE id = %s", "ended")):
        world.query(sql, world.b)
        status, reply = world.api.post(R, world.wish())
        assert status == 409 and says in str(reply)
        world.query("UPDATE lanes SET cap = 8 WHERE issuer_id = %s", world.b)
        world.query("UPDATE issuers SET enabled = true WHERE id = %s", world.b)
    world.query("DELETE FROM ca_certificates WHERE issuer_id = %s", world.b)
    world.begin()
    status, reply = world.api.post(R, world.wish(to_issuer_id="iss-local"))
    assert status == 409 and world.id in str(reply) and world.plan()["open_id"] == world.id
    assert world.id in [r["id"] for r in world.api.need("GET", f"{R}?state=running")["data"]]
    for path in (f"{R}/nobody", f"{R}/nobody/certificates"):
        assert world.api.get(path)[0] == 404
    assert all(world.api.post(f"{R}/nobody/{how}")[0] == 404 for how in ("pause", "resume", "cancel"))


def test_what_is_forgotten(world):
    world.certificates("old", 5)
    world.begin()
    world.pieces()
    world.query("UPDATE replacements SET state = 'cancelled', ended_at = now() - interval '2 hours' WHERE id = %s", world.id)
    keep = "SELECT rows, is_more FROM duty_replacements(%s, 3, %s)"
    assert world.query(keep, 3 * 3600 * 1000, WORDS) == world.query(keep, 0, WORDS) == [(0, False)]
    assert [world.query(keep, 3600 * 1000, WORDS)[0] for _ in range(3)] == [(3, True), (2, False), (0, False)]
    assert world.value("SELECT count(*) FROM replacement_items WHERE replacement_id = %s", world.id) == 0 and world.get()["planned"] == 5
