"""
Live events: every kind, in the order it could be seen, none twice and none
lost: over late commits, other apiservers, kills and restarts of PostgreSQL; and
nobody sees what its key may not.
"""
import hashlib
import http.client
import itertools
import json
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from events import Listener
from fleet import API_KEY, BUILD, Fleet, wait_for
from rogue import EVENT, Scheduler, frame, leader_beat

SEED = """
INSERT INTO teams (id, name) VALUES ('t-1', 'team'), ('t-2', 'other');
INSERT INTO owners (id, name, email, team_id) VALUES ('o-1', 'owner', '', 't-1');
INSERT INTO issuers (id, name, type) VALUES ('iss-1', 'issuer', 'GenericCA'), ('iss-2', 'issuer 2', 'GenericCA');
INSERT INTO renewal_policies (id, name, renewal_window_days) VALUES ('rp-1', 'policy', 30);
INSERT INTO agents (id, name, hostname, api_key_hash) VALUES ('agent-1', 'agent', 'h', 'x');
INSERT INTO deployment_targets (id, name, type, agent_id, config) VALUES ('tgt-1', 'target', 'NGINX', 'agent-1', '{}');
INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status)
    SELECT 'mc-' || i, 'cert ' || i, 'h' || i || '.example.com', 'o-1', CASE WHEN i % 2 = 0 THEN 't-2' ELSE 't-1' END,
        'iss-1', 'rp-1', 'Pending' FROM generate_series(1, 50) i;
INSERT INTO certificate_target_mappings (certificate_id, target_id) VALUES ('mc-1', 'tgt-1');
"""
PLACE = re.compile(r"[1-9]\d*-[0-9a-f]{8}(-[1-9]\d*)?")
FLIP = ("UPDATE managed_certificates SET status = CASE status WHEN 'Active' THEN 'Expiring' ELSE 'Active' END,"
        " environment = %s WHERE id = %s")


@pytest.fixture(scope="module")
def fleet():
    fleet = Fleet("events")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True, CERTCTL_EVENTS_MAX_LISTENERS="700", CERTCTL_EVENTS_MAX_LISTENERS_PER_KEY="600")
        fleet.start_apiserver(2, keep=True)
        fleet.query(SEED)
        yield fleet
    finally:
        fleet.close()


def api_of(fleet, i=1):
    return fleet.apis["apiserver" if i == 1 else f"apiserver-{i}"]


def flip(fleet, certificate, mark="x"):
    fleet.query(FLIP, mark, certificate)


def make_key(fleet, name, *roles):
    key = f"key-of-{name}-0123456789abcdef"
    fleet.query("INSERT INTO api_keys (id, name, key_hash, created_by) VALUES (%s, %s, %s, 'test')", name, name,
                hashlib.sha256(key.encode()).hexdigest())
    for role in roles:
        fleet.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id) VALUES (%s, %s, 'APIKey', %s, 't-default')",
                    f"ar-{name}-{role}", name, role)
    return key


# --- kinds ---

def test_each_kind(fleet):
    with Listener(fleet.api) as all_of_it:
        assert all_of_it.retry == 2000 and PLACE.fullmatch(all_of_it.last_id)
        fleet.query("INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id)"
                    " VALUES ('mc-new', 'new', 'n.example.com', 'o-1', 't-1', 'iss-1', 'rp-1')")
        fleet.query("UPDATE managed_certificates SET status = 'Active' WHERE id = 'mc-new'")
        fleet.query("UPDATE managed_certificates SET expires_at = now() + interval '9 days', valid_from = now() WHERE id = 'mc-new'")
        fleet.query("UPDATE managed_certificates SET environment = 'prod' WHERE id = 'mc-new'")
        fleet.query("INSERT INTO jobs (id, type, certificate_id, issuer_id, agent_id) VALUES ('job-1', 'Renewal', 'mc-new', 'iss-1', 'agent-1')")
        fleet.query("UPDATE jobs SET status = 'Cancelled', completed_at = now() WHERE id = 'job-1'")
        fleet.query("INSERT INTO agents (id, name, hostname, api_key_hash) VALUES ('agent-2', 'second', 'h', 'y')")
        fleet.query("UPDATE agents SET status = 'Online', last_heartbeat_at = now() WHERE id = 'agent-2'")
        fleet.query("UPDATE agents SET status = 'Online', last_heartbeat_at = now() WHERE id = 'agent-2'")  # a heartbeat
        fleet.query("UPDATE agents SET retired_at = now(), status = 'Offline' WHERE id = 'agent-2'")
        fleet.query("UPDATE certificate_target_mappings SET deploy_failures = 1 WHERE certificate_id = 'mc-1'")
        fleet.query("UPDATE certificate_target_mappings SET deployed_version_id = 'v', deploy_failures = 0 WHERE certificate_id = 'mc-1'")
        all_of_it.wait(lambda b: b["change"] == "deployed")  # what is gone is not told more of than its id
        fleet.query("DELETE FROM managed_certificates WHERE id = 'mc-new'")
        all_of_it.wait(lambda b: b["change"] == "removed")
        said = [(b["kind"], b["id"], b["change"], b["status"]["from"], b["status"]["to"]) for b in all_of_it.bodies()
                if b["kind"] != "condition"]
        job = all_of_it.bodies("job")[0]
    assert said == [
        ("certificate", "mc-new", "created", None, "Pending"), ("certificate", "mc-new", "status", "Pending", "Active"),
        ("certificate", "mc-new", "renewed", "Active", "Active"), ("certificate", "mc-new", "edited", "Active", "Active"),
        ("job", "job-1", "created", None, "Pending"), ("job", "job-1", "status", "Pending", "Cancelled"),
        ("agent", "agent-2", "created", None, "Offline"), ("agent", "agent-2", "status", "Offline", "Online"),
        ("agent", "agent-2", "status", "Online", "Retired"), ("deployment", "tgt-1", "failed", None, "Failed"),
        ("deployment", "tgt-1", "deployed", "Failed", "Deployed"), ("certificate", "mc-new", "removed", "Active", None)]
    assert job["type"] == "Renewal" and job["href"] == "/api/v1/jobs/job-1" and job["agent_id"] == "agent-1"
    ids = [i for i, _, _ in all_of_it.events]
    assert all(PLACE.fullmatch(i) for i in ids) and len(set(ids)) == len(ids)


def test_what_is_watched_beside(fleet):
    """Health checks, replacements, and runs of duties that somebody asked for."""
    with Listener(fleet.api, "?kind=health_check,replacement,duty") as heard:
        fleet.query("INSERT INTO endpoint_health_checks (id, endpoint, certificate_id) VALUES ('hc-1', 'h.example.com:443', 'mc-2')")
        fleet.query("UPDATE endpoint_health_checks SET status = 'cert_mismatch', response_time_ms = 1")
        fleet.query("UPDATE endpoint_health_checks SET status = 'cert_mismatch', response_time_ms = 2")
        fleet.query("INSERT INTO replacements (id, from_issuer_id, to_issuer_id, wave_size, planned, created_by) "
                    "VALUES ('repl-1', 'iss-1', 'iss-2', 10, 10, 'test')")
        fleet.query("UPDATE replacements SET moving = 2, issued = 1")
        fleet.query("UPDATE replacements SET updated_at = now(), low_id = 'x'")
        fleet.query("UPDATE replacements SET state = 'paused'")
        heard.wait(lambda b: b["status"]["to"] == "Paused")
        fleet.query("DELETE FROM endpoint_health_checks")
        fleet.query("DELETE FROM replacements")
        heard.wait(lambda b: b["kind"] == "replacement" and b["change"] == "removed")
        said = [(b["kind"], b["id"], b["change"], b["status"]["from"], b["status"]["to"]) for b in heard.bodies()]
        check, replacement = heard.bodies("health_check")[0], heard.bodies("replacement")[0]
    assert said == [
        ("health_check", "hc-1", "created", None, "Unknown"), ("health_check", "hc-1", "status", "Unknown", "CertMismatch"),
        ("replacement", "repl-1", "created", None, "Running"), ("replacement", "repl-1", "progress", "Running", "Running"),
        ("replacement", "repl-1", "status", "Running", "Paused"), ("health_check", "hc-1", "removed", "CertMismatch", None),
        ("replacement", "repl-1", "removed", "Paused", None)]
    assert check["certificate_id"] == "mc-2" and check["team_id"] == "t-2" and check["href"] == "/api/v1/health-checks/hc-1", check
    assert replacement["issuer_id"] == "iss-2" and replacement["href"] == "/api/v1/replacements/repl-1", replacement


def test_conditions(fleet):
    with Listener(fleet.api, "?kind=condition&condition=lane_closed") as heard:
        fleet.query("INSERT INTO lanes (issuer_id, cap) VALUES ('iss-2', 0) ON CONFLICT (issuer_id) DO UPDATE SET cap = 0")
        raised = heard.wait(lambda b: b["subject"] == "iss-2")
        assert raised["change"] == "raised" and raised["severity"] == "critical" and raised["status"] == {"from": None, "to": "Raised"}
        fleet.query("UPDATE lanes SET cap = 8 WHERE issuer_id = 'iss-2'")
        cleared = heard.wait(lambda b: b["change"] == "cleared")
        assert cleared["subject"] == "iss-2"


def test_soon(fleet):
    """Within a second of the commit, though no bus says anything."""
    with Listener(fleet.api, "?kind=certificate&certificate_id=mc-3") as heard:
        late = []
        for i in range(10):
            began = time.time()
            flip(fleet, "mc-3", str(i))
            wait_for(lambda n=2 * i + 1: len(heard.events) >= n, 10, "its event")
            late.append(heard.times[2 * i] - began)
        assert sorted(late)[5] < 1, late


# --- order ---

def test_late_commits(fleet):
    """A transaction that began first and commits last keeps nothing back, and its events come when it commits."""
    with Listener(fleet.api, "?kind=certificate") as heard, Listener(api_of(fleet, 2), "?kind=certificate") as other:
        open_one = fleet.connect()
        cursor = open_one.cursor()
        cursor.execute("UPDATE managed_certificates SET status = 'Active' WHERE id = 'mc-5'")
        for i in range(3):
            flip(fleet, "mc-7", f"a{i}")
            heard.wait(lambda b, n=2 * (i + 1): len([x for x in heard.bodies() if x["id"] == "mc-7"]) >= n)
        assert "mc-5" not in {b["id"] for b in heard.bodies()}
        open_one.commit()
        open_one.close()
        heard.wait(lambda b: b["id"] == "mc-5")
        other.wait(lambda b: b["id"] == "mc-5")
        assert [e[:2] + (e[2]["id"],) for e in heard.events] == [e[:2] + (e[2]["id"],) for e in other.events], "the same at each apiserver"
        # Its number is smaller, it comes later, and whoever resumes before it gets it all the same.
        before = next(i for i, _, b in heard.events if b["id"] == "mc-7")
        with Listener(api_of(fleet, 2), "?kind=certificate", last_id=before) as again:
            again.wait(lambda b: b["id"] == "mc-5")
            rest = heard.events[1 + [i for i, _, _ in heard.events].index(before):]
            assert again.events[:len(rest)] == rest


def test_concurrent_writers(fleet):
    """Many transactions of random length: each event once, each certificate's in its order."""
    import random
    import threading
    rng = random.Random(19)
    per_writer = 40

    def write(i):
        connection = fleet.connect()
        for n in range(per_writer):
            with connection, connection.cursor() as cursor:
                cursor.execute("UPDATE managed_certificates SET tags = %s WHERE id = %s", (f'{{"n": "{n}"}}', f"mc-{10 + i}"))
                cursor.execute("SELECT pg_sleep(%s)", (rng.random() / 50,))
        connection.close()

    with Listener(fleet.api, "?kind=certificate") as heard:
        start = heard.last_id
        threads = [threading.Thread(target=write, args=(i,)) for i in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        wait_for(lambda: len(heard.events) >= 12 * per_writer, 20, "all events")
        ids = [i for i, _, _ in heard.events]
        assert len(ids) == len(set(ids)) == 12 * per_writer
        with Listener(api_of(fleet, 2), "?kind=certificate", last_id=start) as again:
            wait_for(lambda: len(again.events) >= 12 * per_writer, 20, "all events again")
            assert again.events == heard.events
        # From the middle of it, at both.
        for i in (0, len(ids) // 2, len(ids) - 2):
            for api in (fleet.api, api_of(fleet, 2)):
                with Listener(api, "?kind=certificate", last_id=ids[i]) as rest:
                    wait_for(lambda n=len(ids) - 1 - i, r=rest: len(r.events) >= n, 20, "the rest")
                    assert rest.events == heard.events[i + 1:]


# --- going on ---

def test_another_apiserver_goes_on(fleet):
    """One is killed; the client goes on at the other with what it has, without a gap."""
    with Listener(api_of(fleet, 2), "?kind=certificate") as first:
        for i in range(20):
            flip(fleet, f"mc-{i + 1}", "before")
        wait_for(lambda: len(first.events) >= 10, 20, "some events")
        fleet.processes["apiserver-2"].kill()
        wait_for(lambda: first.is_over, 20, "its end")
        for i in range(20):
            flip(fleet, f"mc-{i + 1}", "after")
    with Listener(fleet.api, "?kind=certificate", last_id=first.last_id) as second:
        wait_for(lambda: len(first.events) + len(second.events) >= 80, 20, "all events")
        ids = [i for i, _, _ in first.events + second.events]
        assert len(ids) == len(set(ids)) == 80
    fleet.start_apiserver(2, keep=True)


def test_postgres_restarts(fleet):
    with Listener(fleet.api, "?kind=certificate&certificate_id=mc-9") as heard:
        flip(fleet, "mc-9", "1")
        wait_for(lambda: len(heard.events) >= 2, 20, "its events")
        fleet.processes["postgres"].kill()
        fleet.forget_connections()
        fleet.processes["postgres"].start()
        wait_for(fleet.database_is_up, 30, "PostgreSQL")
        flip(fleet, "mc-9", "2")
        wait_for(lambda: len(heard.events) >= 4, 30, "the events behind it")
        assert not heard.is_over and len(heard.events) == 4


def test_too_long_ago(fleet):
    """What is not kept any more is said so, and the stream goes on."""
    with Listener(fleet.api, "?kind=certificate") as heard:
        flip(fleet, "mc-11", "old")
        wait_for(lambda: len(heard.events) >= 2, 20, "its events")
        old = heard.last_id
    fleet.query("UPDATE event_batches SET at = at - interval '2 hours'")
    flip(fleet, "mc-11", "newer")
    fleet.query("SELECT duty_event_retention(1000)")
    assert fleet.value("SELECT count(*) FROM event_batches") == 1
    for last_id in (old, f"{2 ** 62}-0000002a", f"{2 ** 62}-0000002a-7", re.sub(r"-.{8}", "-7fffffff", old, count=1)):
        with Listener(fleet.api, "?kind=certificate&certificate_id=mc-11", last_id=last_id) as again:
            again.wait(lambda b: b["kind"] == "reset")
            assert len(again.events) == 1
            flip(fleet, "mc-11", last_id[:20])
            again.wait(lambda b: b["kind"] == "certificate")
    left = fleet.value("SELECT count(*) FROM event_changes")
    assert left < 50, left


def test_restored_elsewhere(fleet):
    """A dump in another cluster, whose numbers of transactions are smaller: told of as a reset, and events go on."""
    with Listener(fleet.api, "?kind=certificate&certificate_id=mc-12") as heard:
        flip(fleet, "mc-12", "1")
        wait_for(lambda: len(heard.events) >= 2, 20, "its events")
        fleet.query("UPDATE event_batches SET seen = '4000000000000:4000000000000:' WHERE n = (SELECT max(n) FROM event_batches)")
        flip(fleet, "mc-12", "lost")
        heard.wait(lambda b: b["kind"] == "reset")
        flip(fleet, "mc-12", "2")
        heard.wait(lambda b: b["kind"] == "certificate" and heard.bodies().index(b) > 2)


@pytest.mark.parametrize("last_id", ["x", "-1", "0", "1", "1-2", "1-zzzzzzzz", "1-0000000A", "-5-00000001", "1-00000001-0", "1-00000001--1",
                                     "1-00000001-9223372036854775808", "99999999999999999999-00000001", "1-ffffffff", "1-00000001-1-1",
                                     "9" * 5000, "1-00000001 ", "%00", "1'; SELECT 1 --"])
def test_hostile_last_event_id(fleet, last_id):
    status, answer = fleet.api.call("GET", "/api/v1/events?for=0s", headers={"Last-Event-ID": last_id})[:2]
    if last_id == "1-00000001 ":  # blanks around a value are none of it
        assert status == 200
        return
    assert status == 400 and "Last-Event-ID" in answer["message"], answer


# --- filters ---

def test_filters(fleet):
    with Listener(fleet.api, "?kind=certificate&team_id=t-2") as team, Listener(fleet.api, "?certificate_id=mc-21,mc-22") as two, \
            Listener(fleet.api, "?kind=job&issuer_id=iss-2") as jobs, Listener(fleet.api, "?kind=certificate&status=Failed") as failed:
        for n in (21, 22, 23, 24):
            flip(fleet, f"mc-{n}")
        fleet.query("UPDATE managed_certificates SET status = 'Failed' WHERE id = 'mc-23'")
        fleet.query("INSERT INTO jobs (id, type, certificate_id, issuer_id) VALUES ('job-f1', 'Renewal', 'mc-21', 'iss-1'),"
                    " ('job-f2', 'Renewal', 'mc-22', 'iss-2')")
        two.wait(lambda b: b["id"] == "job-f2")
        jobs.wait(lambda b: b["id"] == "job-f2")
        failed.wait(lambda b: b["id"] == "mc-23")
        wait_for(lambda: len(team.events) == 4, 20, "the team's")
        assert {b["id"] for b in team.bodies()} == {"mc-22", "mc-24"}
        assert {b["id"] for b in two.bodies()} == {"mc-21", "mc-22", "job-f1", "job-f2"}
        assert [b["id"] for b in jobs.bodies()] == ["job-f2"] and len(failed.events) == 1


@pytest.mark.parametrize("query, word", [
    ("certifcate_id=mc-1", "certifcate_id"), ("kind=cert", '"cert"'), ("kind=", "kind"), ("status=Odd", '"Odd"'), ("status=Active,Odd", '"Odd"'), ("team_id=", "team_id"), ("team_id=a,,b", "team_id"),
    ("agent_id=" + ",".join(f"a{i}" for i in range(101)), "agent_id"), ("for=x", "for"), ("for=25h", "for"), ("for=-1s", "for"),
    ("last_event_id=5", "Last-Event-ID"), ("page=1", "page")])
def test_refused_by_name(fleet, query, word):
    status, answer = fleet.api.call("GET", f"/api/v1/events?{query}")[:2]
    assert status == 400 and word in answer["message"], answer


def test_for_a_time(fleet):
    """A look at what came meanwhile, and an end: for scripts."""
    with Listener(fleet.api, "?for=0s") as first:
        wait_for(lambda: first.is_over, 20, "its end")
        assert not first.is_cut
    flip(fleet, "mc-31")
    with Listener(fleet.api, f"?for=0s&kind=certificate&last_event_id={first.last_id}") as second:
        wait_for(lambda: second.is_over, 20, "its end")
        assert [b["id"] for b in second.bodies()] == ["mc-31"] * 2 and not second.is_cut


# --- who may ---

def test_permissions(fleet):
    reader = make_key(fleet, "reader", "r-viewer")
    fleet.query("INSERT INTO roles (id, tenant_id, name) VALUES ('r-certs', 't-default', 'certs')")
    fleet.query("INSERT INTO role_permissions (role_id, permission_id) VALUES ('r-certs', 'p-cert-read')")
    certs = make_key(fleet, "certs", "r-certs")
    auditor = make_key(fleet, "auditor", "r-auditor")
    assert Listener(fleet.api, key=auditor).status == 403
    for kind in ("job", "agent", "condition", "duty", "health_check"):
        assert Listener(fleet.api, f"?kind=certificate,{kind}", key=certs).status == 403, kind
    assert Listener(fleet.api, key="no-such-key-0123456789abcdef").status == 401
    with Listener(fleet.api, key=reader) as sees_all, Listener(fleet.api, key=certs) as sees_certs:
        fleet.query("INSERT INTO jobs (id, type, certificate_id, issuer_id) VALUES ('job-p', 'Renewal', 'mc-32', 'iss-1')")
        flip(fleet, "mc-32")
        sees_all.wait(lambda b: b["id"] == "mc-32")
        sees_certs.wait(lambda b: b["id"] == "mc-32")
        assert "job-p" in {b["id"] for b in sees_all.bodies()}
        assert {b["kind"] for b in sees_certs.bodies()} <= {"certificate", "deployment", "replacement"}


def test_role_is_taken_away(fleet):
    """Nothing that was committed behind it is seen, at another apiserver than the one that was told."""
    key = make_key(fleet, "former", "r-viewer")
    with Listener(fleet.api, "?kind=certificate", key=key) as heard, Listener(fleet.api, "?kind=certificate") as admin:
        flip(fleet, "mc-33", "seen")
        heard.wait(lambda b: b["id"] == "mc-33")
        fleet.query("DELETE FROM actor_roles WHERE actor_id = 'former'")
        flip(fleet, "mc-34", "unseen")
        admin.wait(lambda b: b["id"] == "mc-34")
        wait_for(lambda: heard.is_over, 20, "its end")
        assert not heard.is_cut and "mc-34" not in {b["id"] for b in heard.bodies()}


def test_key_is_revoked(fleet):
    key = make_key(fleet, "gone", "r-viewer")
    with Listener(fleet.api, "?kind=certificate", key=key) as heard, Listener(fleet.api, "?kind=certificate") as admin:
        assert api_of(fleet, 2).call("DELETE", "/api/v1/auth/keys/gone")[0] in (200, 204)
        flip(fleet, "mc-35", "unseen")
        admin.wait(lambda b: b["id"] == "mc-35")
        wait_for(lambda: heard.is_over, 20, "its end")
        assert not heard.is_cut and not heard.events
    assert Listener(fleet.api, key=key).status == 401


# --- many, slow, and the end ---

def metric(api, name):
    text = api.get("/api/v1/metrics/prometheus")[1]
    return float(re.search(rf"^certctl_{name} (\S+)$", text, re.M).group(1))


def test_many_cost_one_look(fleet):
    """Five hundred listeners, and statements as for one."""
    listeners = [Listener(fleet.api, "?kind=certificate", wait=False) for _ in range(500)]
    try:
        for one in listeners:
            wait_for(lambda o=one: o.last_id, 30, "a place")
        assert metric(fleet.api, "event_listeners") == 500
        looks, began = metric(fleet.api, "event_looks_total"), time.time()
        for i in range(20):
            flip(fleet, "mc-40", str(i))
        for one in listeners:
            wait_for(lambda o=one: len(o.events) >= 40, 60, "all events")
        looks, took = metric(fleet.api, "event_looks_total") - looks, time.time() - began
        assert looks <= 10 * took + 2, (looks, took)
        assert all(one.events == listeners[0].events for one in listeners)
    finally:
        for one in listeners:
            one.close()
    wait_for(lambda: metric(fleet.api, "event_listeners") == 0, 20, "nobody")
    looks = metric(fleet.api, "event_looks_total")
    flip(fleet, "mc-40", "unheard")
    with Listener(api_of(fleet, 2), "?kind=certificate") as elsewhere:
        flip(fleet, "mc-41", "heard")
        elsewhere.wait(lambda b: b["id"] == "mc-41")
    assert metric(fleet.api, "event_looks_total") == looks, "nobody listens here"


def test_last_one_leaves_while_a_look_waits(fleet):
    """Hints come so densely that one waits for its turn when the last listener leaves; the next listener has its look all the same."""
    turn, is_over = itertools.count(), threading.Event()

    def beats():
        is_over.wait(0.01)
        return frame(b"{}", EVENT, 1) if next(turn) % 2 else leader_beat(1)

    scheduler = Scheduler(f"{fleet.dir}/bus/s1", lambda: leader_beat(1), beats)
    try:
        wait_for(lambda: scheduler.sent > 10, 30, "who hears the scheduler")
        for _ in range(5):
            with Listener(fleet.api, "?kind=certificate&for=1s") as heard:
                assert heard.status == 200
                wait_for(lambda h=heard: h.is_over, 20, "its end")
    finally:
        is_over.set()
        scheduler.close()


def test_too_many(fleet):
    fleet.start_apiserver(3, CERTCTL_EVENTS_MAX_LISTENERS="3", CERTCTL_EVENTS_MAX_LISTENERS_PER_KEY="2")
    api = api_of(fleet, 3)
    other = make_key(fleet, "second", "r-viewer")
    with Listener(api), Listener(api):
        refused = Listener(api)
        assert refused.status == 503 and "PER_KEY" in refused.body["message"] and refused.response.headers["Retry-After"] == "1"
        with Listener(api, key=other):
            refused = Listener(api, key=other)
            assert refused.status == 503 and "CERTCTL_EVENTS_MAX_LISTENERS)" in refused.body["message"]
    wait_for(lambda: api.get("/api/v1/events")[0] == 200, 20, "room")
    fleet.processes["apiserver-3"].stop()


def test_slow_reader(fleet):
    """One that reads nothing is dropped, and holds up nobody."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", fleet.api.port))
    slow = http.client.HTTPSConnection("127.0.0.1", fleet.api.port, timeout=60)
    slow.sock = fleet.api.context.wrap_socket(sock, server_hostname="127.0.0.1")
    slow.request("GET", "/api/v1/events?kind=certificate", headers={"Authorization": f"Bearer {API_KEY}"})
    assert slow.getresponse().status == 200
    dropped = metric(fleet.api, "event_listeners_dropped_total")
    with Listener(fleet.api, "?kind=certificate") as quick:
        n = 0
        while metric(fleet.api, "event_listeners_dropped_total") == dropped:
            fleet.query("UPDATE managed_certificates SET tags = jsonb_build_object('n', %s::text)", str(n))
            n += 1
            wait_for(lambda k=n: len(quick.events) >= 50 * k, 30, "the quick one's")
            assert n < 3000
        assert not quick.is_over
    assert "EVENTS-SLOW" in fleet.processes["apiserver"].log()
    slow.close()


def test_stop(fleet):
    fleet.start_apiserver(4)
    with Listener(api_of(fleet, 4)) as heard:
        process = fleet.processes["apiserver-4"]
        process.stop()
        wait_for(lambda: heard.is_over, 20, "its end")
        assert not heard.is_cut and any("stops" in c for c in heard.comments)


# --- certctl events ---

def test_command(fleet):
    """Follows over a server's end, prints lines or JSON, and stops when it is told to."""
    with Listener(fleet.api, "?kind=certificate") as first:
        place = first.last_id
    flip(fleet, "mc-42", "cli")
    done = fleet.cli("events", "--kind", "certificate", "--certificate-id", "mc-42", "--since", place, "--for", "2", "-o", "json")
    assert done.returncode == 0 and [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["mc-42"] * 2, done
    done = fleet.cli("events", "--certificate-id", "cert 42", "--since", place, "--for", "1")
    assert done.returncode == 0 and "certificate" in done.stdout and "edited" in done.stdout and len(done.stdout.splitlines()) == 2, done
    assert fleet.cli("events", "--kind", "nothing", "--for", "1").returncode == 1
    assert fleet.cli("events", "--since", "x", "--for", "1").returncode == 1
    assert fleet.cli("events", "--for", "0").returncode == 2
    assert fleet.cli("events", "--for", "1", CERTCTL_API_KEY="no-such-key-0123456789abcdef").returncode == 4


def test_command_says_that_nobody_answers(fleet):
    """Once while the server is gone, once when it is back; events go on."""
    process = fleet.start_apiserver(5)
    env = fleet.cli_env() | {"CERTCTL_SERVER_URL": f"https://127.0.0.1:{api_of(fleet, 5).port}"}
    with subprocess.Popen([BUILD / "cli" / "certctl", "events", "--kind", "certificate", "--certificate-id", "mc-43"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as command:
        try:
            wait_for(lambda: metric(api_of(fleet, 5), "event_listeners") == 1, 20, "it to listen")
            flip(fleet, "mc-43", "before")
            assert "mc-43" in command.stdout.readline()
            process.stop()
            assert re.match("what changes now is not known: .*; looking again$", command.stderr.readline())
            process.start()
            assert command.stderr.readline() == "it answers again\n"
            flip(fleet, "mc-43", "behind")
            assert "mc-43" in command.stdout.readline()
        finally:
            command.kill()
    process.stop()


def heed_interrupts():
    """What a shell runs in the background passes it on that they are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_watch(fleet):
    """Prints again what changed, until it is told to stop."""
    process = subprocess.Popen([BUILD / "cli" / "certctl", "certs", "get", "cert 41", "--watch", "-o", "json", "--fields", "id,environment"],
                               stdout=subprocess.PIPE, text=True, env=fleet.cli_env(), preexec_fn=heed_interrupts)
    with process:
        seen = [process.stdout.readline()]
        flip(fleet, "mc-41", "watched")
        seen.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
    assert [json.loads(line)["id"] for line in seen] == ["mc-41"] * 2 and "watched" in seen[1], seen
    done = fleet.cli("certs", "list", "--watch", "-o", "csv")
    assert done.returncode == 2 and "-o csv" in done.stderr and "--watch" in done.stderr
    assert fleet.cli("jobs", "list", "--watch", "--timeout", "1").returncode == 0


def test_what_it_costs(fleet):
    """Rows that a change costs: one for each status that changed, none for what is no event."""
    count = "SELECT count(*) FROM event_changes"
    before = fleet.value(count)
    fleet.query("UPDATE agents SET status = status, last_heartbeat_at = now()")
    fleet.query("UPDATE jobs SET last_error = 'x'")
    fleet.query("UPDATE managed_certificates SET updated_at = now()")
    fleet.query("UPDATE api_keys SET last_used_at = now()")
    fleet.query("UPDATE duties SET last_outcome = 'failed', runs = runs + 1 WHERE NOT is_asked")
    assert fleet.value(count) == before
    fleet.query("UPDATE managed_certificates SET status = 'Archived' WHERE id IN ('mc-48', 'mc-49', 'mc-50')")
    assert fleet.value(count) == before + 3


def test_runs_that_were_asked_for(fleet):
    """They begin and end, also where another leader runs again what was cut off; those by the clock are not told of."""
    name, outcome = "renewal_scan", "SELECT last_outcome FROM duties WHERE name = 'renewal_scan'"
    fleet.start_scheduler(CERTCTL_SCHEDULER_RENEWAL_CHECK_INTERVAL="1h")
    wait_for(lambda: fleet.query(outcome) == [("ok",)], 20, "its first run")
    with Listener(fleet.api, f"?kind=duty&duty={name}") as heard:
        done = fleet.cli("scheduler", "run", name, "--wait", "-o", "json")
        assert done.returncode == 0 and json.loads(done.stdout)["last_outcome"] == "ok", done
        heard.wait(lambda b: b["change"] == "ended")
        assert [(b["change"], b["status"]["from"], b["status"]["to"]) for b in heard.bodies()] == [
            ("began", None, "Running"), ("ended", "Running", "Completed")]
        fleet.processes["scheduler-1"].stop()
        # As one that was asked for leaves it when its scheduler is killed.
        fleet.query("UPDATE duties SET last_outcome = 'running', last_started_at = clock_timestamp() WHERE name = %s", name)
        fleet.start_scheduler()
        wait_for(lambda: len(heard.bodies()) == 4, 30, "the run that was owed")
        assert heard.bodies()[-1]["change"] == "ended"
        fleet.processes["scheduler-1"].stop()
        runs = fleet.value("SELECT runs FROM duties WHERE name = %s", name)
        fleet.query("UPDATE duties SET next_run_at = now() WHERE name = %s", name)
        fleet.start_scheduler()
        wait_for(lambda: fleet.value("SELECT runs FROM duties WHERE name = %s", name) > runs, 20, "one by the clock")
        fleet.processes["scheduler-1"].stop()
    assert fleet.value("SELECT count(*) FROM event_changes WHERE kind = 'duty'") == 4
