"""
Two who meet at a row: the one that waited decides by what the other left, not by what
its statement saw when it began (database.md).

One writes in a transaction of the test's own; what is asked for over the API runs
until it has ended or waits for that; then the transaction ends.
"""
import json
import threading

import pytest

from fleet import job_words, wait_for
from statements import statements

V1 = "/api/v1"


class Beside(threading.Thread):
    def __init__(self, call):
        super().__init__(target=lambda: setattr(self, "answer", call()))
        self.answer = None
        self.start()


def waiting(plane):
    return plane.value("SELECT count(*) FROM pg_stat_activity WHERE datname = 'certctl' AND wait_event_type = 'Lock'")


def meet(plane, write, *calls):
    """What the calls answer that meet what write(cursor) has not committed."""
    with plane.connect() as writer, writer.cursor() as c:
        write(c)
        beside = [Beside(call) for call in calls]
        wait_for(lambda: waiting(plane) + sum(not b.is_alive() for b in beside) == len(beside), 30, "all to wait or to have ended")
    for b in beside:
        b.join()
    return [b.answer for b in beside]


def run(c, name, *parameters):
    """A statement of the programs."""
    c.execute(f"PREPARE {name} AS {statements()[name][1]}")
    c.execute(f"EXECUTE {name} ({', '.join(['%s'] * len(parameters))})", parameters)
    return c.fetchall()


def write(sql, *parameters):
    return lambda c: c.execute(sql, parameters or None)


@pytest.fixture(scope="module")
def plane(stack):
    stack.make_basics()
    stack.query("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES ('w', 'w', 'h', 1, 'infinity')")
    stack.plant("INSERT INTO ca_certificates (issuer_id, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after) "
                "VALUES ('iss-local', 'k', 'iss-local', 'pem', 'pem', 'f', '2000-01-01', '2100-01-01')")
    stack.plant("INSERT INTO ca_keys (issuer_id, key_id, key_sealed) VALUES ('iss-local', 'k', '')")
    return stack


@pytest.fixture
def names(plane, unique, new_agent):
    """A team, a profile, an agent, its target and the body of a certificate of all these, by one name."""
    name = unique("met")
    plane.api.need("POST", f"{V1}/teams", {"id": name, "name": name})
    plane.api.need("POST", f"{V1}/profiles", {"id": name, "name": name})
    agent, _ = new_agent(name)
    plane.make_target(name, agent, plane.dir / name)
    return name, agent, plane.certificate(name, [name], team_id=name, certificate_profile_id=name)


# --- what is deleted ---

@pytest.mark.parametrize("noun", ["teams", "profiles", "targets"])
def test_what_a_new_certificate_names_stays(plane, names, noun):
    """A CASCADE would take the certificate, or what it has, with it."""
    name, _, body = names
    (status, _), = meet(plane, lambda c: run(c, "cert_create", json.dumps(body), "a", "User"), lambda: plane.api.call("DELETE", f"{V1}/{noun}/{name}"))
    assert status == 409
    made = plane.api.need("GET", f"{V1}/certificates/{name}")
    assert (made["team_id"], made["certificate_profile_id"], made["target_ids"]) == (name, name, [name])


def test_a_new_owner_keeps_its_team(plane, names):
    name = names[0]
    new = write("INSERT INTO owners (id, name, email, team_id) VALUES (%s, %s, '', %s)", name, name, name)
    assert meet(plane, new, lambda: plane.api.call("DELETE", f"{V1}/teams/{name}"))[0][0] == 409
    assert plane.value("SELECT count(*) FROM owners WHERE id = %s", name) == 1


def test_what_is_deleted_twice_was_not_there(plane, names):
    status, reply = meet(plane, write("DELETE FROM certificate_profiles WHERE id = %s", names[0]),
                         lambda: plane.api.call("DELETE", f"{V1}/profiles/{names[0]}"))[0]
    assert (status, reply["message"]) == (404, "Profile not found")


def test_a_group_that_goes_gets_no_member(plane, names, unique):
    name, agent, _ = names
    plane.api.need("POST", f"{V1}/agent-groups", {"id": name, "name": name})
    status, reply = meet(plane, write("DELETE FROM agent_groups WHERE id = %s", name),
                         lambda: plane.api.call("PUT", f"{V1}/agent-groups/{name}/members/{agent}"))[0]
    assert (status, reply["message"]) == (404, "Agent group not found")


# --- what is asked for twice ---

def test_a_successor_that_another_asks_for_is_asked_for(plane):
    answer = meet(plane, write("SELECT ca_successor_ask('iss-local')"), lambda: plane.api.post(f"{V1}/issuers/iss-local/successor"))[0]
    assert answer == (202, {"status": "successor_requested"})


def test_a_digest_that_another_asks_for_is_waited_for(plane):
    def ask():
        with plane.admin() as c:
            return run(c, "digest_request", "a", "User")
    new = write("INSERT INTO tasks (id, kind, subject, dedupe_key) VALUES ('task-digest', 'digest', '', 'digest:')")
    assert meet(plane, new, ask) == [[("task-digest", True)]]
    assert plane.query("SELECT id, status FROM tasks WHERE kind = 'digest'") == [("task-digest", "Pending")]


def test_the_same_edit_of_a_profile_is_asked_for_once(plane, names):
    name = names[0]
    plane.query("UPDATE certificate_profiles SET requires_approval = true WHERE id = %s", name)
    put = [lambda: plane.api.call("PUT", f"{V1}/profiles/{name}", {"description": "other"})] * 2
    answers = meet(plane, write("SELECT 1 FROM certificate_profiles WHERE id = %s FOR UPDATE", name), *put)
    asked = plane.query("SELECT id FROM issuance_approval_requests WHERE profile_id = %s", name)
    assert [(status, reply["pending_approval_id"]) for status, reply in answers] == [(202, asked[0][0])] * 2 and len(asked) == 1


def test_a_key_becomes_one_agents(plane, unique):
    name, other, key_hash = unique("agent"), unique("agent"), "ab" * 32

    def register(c):
        run(c, "agent_key_lock", key_hash)
        assert run(c, "agent_register", name, "h", "", "", "", "", key_hash, "a", "User")[0][0] == "created"
    status, reply = meet(plane, register, lambda: plane.api.post(f"{V1}/agents", {"name": other, "hostname": "h", "api_key_hash": key_hash}))[0]
    assert (status, reply["message"]) == (409, "this key is another agent's already")
    assert plane.query("SELECT name FROM agents WHERE api_key_hash = %s", key_hash) == [(name,)]


def test_ids_made_of_names_differ(plane, unique):
    slug = unique("slug")
    new = write("INSERT INTO renewal_policies (id, name, renewal_window_days) VALUES (%s, %s, 30)", f"rp-{slug}", slug)
    status, made = meet(plane, new, lambda: plane.api.post(f"{V1}/renewal-policies", {"name": slug.replace("-", " ")}))[0]
    assert status == 201 and made["id"].startswith(f"rp-{slug}-"), made


def test_all_who_wait_for_a_ca_are_told_why_it_is_not_made(plane):
    plane.query("INSERT INTO intermediate_ca_requests (id, owning_issuer_id, name, body, actor, actor_type, refusal) "
                "VALUES ('ica-no', 'iss-local', 'no', '{}', 'a', 'User', 'because')")
    for _ in range(2):
        with plane.connect("certctl_apiserver") as one, one.cursor() as c:
            assert run(c, "intermediate_ca_refusal", "ica-no") == [("because", True, True)]


def test_a_part_of_a_scan_that_comes_twice_is_counted_once(plane, names):
    agent = names[1]
    found = [{"fingerprint_sha256": "cd" * 32, "common_name": "x", "sans": [], "serial_number": "01", "issuer_dn": "", "subject_dn": "",
              "key_algorithm": "", "key_size": 0, "is_ca": False, "pem_data": "", "source_path": "/x", "source_format": "PEM"}]
    store = "SELECT (scan).id, (scan).certificates_found FROM discovery_store(%s, 'a', 'Agent', %s, '{}', %s, '{}', 0, 1)"
    scan = plane.query(store, agent, None, "[]")[0][0]
    part = (agent, scan, json.dumps(found))
    assert meet(plane, write(store, *part), lambda: plane.query(store, *part)) == [[(scan, 1)]]


# --- agents and their targets ---

def test_a_target_that_an_agent_is_getting_keeps_it(plane, new_agent, unique):
    agent, name = new_agent()[0], unique("tgt")
    body = plane.target(name, agent, plane.dir / name)
    status, reply = meet(plane, lambda c: run(c, "target_create", json.dumps(body), "a", "User"), lambda: plane.api.call("DELETE", f"{V1}/agents/{agent}"))[0]
    assert (status, reply["counts"]["active_targets"]) == (409, 1)
    assert plane.value("SELECT retired_at FROM agents WHERE id = %s", agent) is None


@pytest.mark.parametrize("is_new", [True, False])
def test_an_agent_that_retires_gets_no_target(plane, names, new_agent, unique, is_new):
    agent, name = new_agent()[0], unique("tgt") if is_new else names[0]
    body = plane.target(name, agent, plane.dir / name)

    def retire(c):
        assert run(c, "agent_lock", agent) == [(agent,)]
        assert run(c, "agent_retire", agent, "false", "", "a", "User")[0][0] == "retired"
    call = (lambda: plane.api.post(f"{V1}/targets", body)) if is_new else (lambda: plane.api.call("PUT", f"{V1}/targets/{name}", {"agent_id": agent}))
    assert meet(plane, retire, call)[0][0] == 400
    assert plane.value("SELECT count(*) FROM deployment_targets WHERE agent_id = %s", agent) == 0


def test_a_target_that_gets_a_certificate_stays_with_its_agent(plane, names, new_agent):
    name, agent, body = names
    other = new_agent()[0]
    status, _ = meet(plane, lambda c: run(c, "cert_create", json.dumps(body), "a", "User"),
                     lambda: plane.api.call("PUT", f"{V1}/targets/{name}", {"agent_id": other}))[0]
    assert (status, plane.value("SELECT agent_id FROM deployment_targets WHERE id = %s", name)) == (400, agent)


def files(plane, name):
    return {path for path, in plane.query("SELECT path FROM target_files WHERE target_id = %s", name)}


@pytest.mark.parametrize("first", ["certificate", "target"])
def test_a_certificate_has_the_files_of_its_target_as_it_is(plane, names, first):
    name, agent, body = names
    target = {"config": plane.target(name, agent, plane.dir / f"{name}-moved")["config"]}
    if first == "certificate":
        answers = meet(plane, lambda c: run(c, "cert_create", json.dumps(body), "a", "User"), lambda: plane.api.call("PUT", f"{V1}/targets/{name}", target))
    else:
        answers = meet(plane, lambda c: run(c, "target_update", name, json.dumps(target), "a", "User"), lambda: plane.api.post(f"{V1}/certificates", body))
    assert answers[0][0] in (200, 201), answers
    assert files(plane, name) == {target["config"][f"{kind}_path"] for kind in ("cert", "key")}


# --- duties ---

def test_a_wait_that_ended_and_another_that_began(plane, names):
    """An approval comes just as its time is over: the wait for the CSR begins then."""
    name, _, body = names
    plane.query("UPDATE certificate_profiles SET requires_approval = true WHERE id = %s", name)
    plane.api.need("POST", f"{V1}/certificates", body)
    job = plane.api.need("POST", f"{V1}/certificates/{name}/renew")["job_id"]
    plane.plant("UPDATE jobs SET created_at = now() - interval '8 days' WHERE id = %s", job)

    with plane.connect() as writer, writer.cursor() as c:
        # The duty looks, and comes no further before it takes what it found.
        c.execute("LOCK TABLE managed_certificates IN EXCLUSIVE MODE")
        duty = Beside(lambda: plane.query("SELECT duty_job_timeouts(86400000, 604800000, 100, %s)", job_words()))
        wait_for(lambda: waiting(plane) == 1, 20, "the duty to wait")
        c.execute("SELECT outcome FROM approval_decide(NULL, %s, 'boss', 'User', true, '', '')", (job,))
        assert c.fetchall() == [("approved",)]
    duty.join()
    assert plane.query("SELECT status FROM jobs WHERE id = %s", job) == [("AwaitingCSR",)]
