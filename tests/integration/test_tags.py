"""
Lists with a tag: an unchanged one costs no row and no count, and is never told
of what this process changed before, nor for long of what others change.
"""
import hashlib
import http.client
import json
import threading

import pytest

from fleet import API_KEY, wait_for

V1 = "/api/v1"
SEED = """
INSERT INTO teams (id, name) VALUES ('t-1', 'team');
INSERT INTO owners (id, name, email, team_id) VALUES ('o-1', 'owner', '', 't-1');
INSERT INTO issuers (id, name, type) VALUES ('iss-1', 'issuer', 'GenericCA');
INSERT INTO renewal_policies (id, name, renewal_window_days) VALUES ('rp-1', 'policy', 30);
INSERT INTO agents (id, name, hostname, api_key_hash) VALUES ('agent-1', 'agent', 'h', 'x');
INSERT INTO deployment_targets (id, name, type, agent_id, config) VALUES ('tgt-1', 'target', 'NGINX', 'agent-1', '{}');
INSERT INTO discovered_certificates (id, fingerprint_sha256, agent_id) VALUES ('dcert-1', 'aa', 'agent-1'), ('dcert-2', 'bb', 'agent-1');
INSERT INTO managed_certificates (id, name, common_name, owner_id, team_id, issuer_id, renewal_policy_id, status)
    SELECT 'mc-' || i, 'cert ' || i, 'h' || i || '.example.com', 'o-1', 't-1', 'iss-1', 'rp-1', 'Pending' FROM generate_series(1, 400) i;
"""
JOB = """
INSERT INTO jobs (id, type, certificate_id, status, completed_at, issuer_id) VALUES ('job-1', 'Renewal', 'mc-1', 'Completed', now(), 'iss-1');
"""
# A list, the table it is of, and what changes what it says.
CHANGES = [
    ("certificates", "managed_certificates", "UPDATE managed_certificates SET environment = coalesce(environment, '') || 'x' WHERE id = 'mc-1'"),
    ("certificates", "managed_certificates", "DELETE FROM managed_certificates WHERE id = 'mc-200'"),
    ("certificates", "managed_certificates",
     "INSERT INTO certificate_target_mappings (certificate_id, target_id) VALUES ('mc-10', 'tgt-1')"),
    ("certificates", "managed_certificates", "UPDATE renewal_policies SET auto_renew = NOT auto_renew WHERE id = 'rp-1'"),
    ("certificates?agent_id=agent-1", "managed_certificates", "DELETE FROM certificate_target_mappings WHERE certificate_id = 'mc-10'"),
    ("jobs", "jobs", "UPDATE jobs SET last_error = coalesce(last_error, '') || 'x' WHERE id = 'job-1'"),
    ("agents", "agents", "UPDATE agents SET version = version || 'x' WHERE id = 'agent-1'"),
    ("discovered-certificates", "discovered_certificates", "UPDATE discovered_certificates SET last_seen_at = now() WHERE id = 'dcert-1'"),
    ("discovered-certificates?status=Managed", "discovered_certificates",
     "UPDATE discovered_certificates SET status = 'Managed', updated_at = now() WHERE id = 'dcert-2'"),
    ("audit?actor=somebody", "audit_events",
     "INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id) VALUES ('somebody', 'User', 'x', 'y', 'z')"),
]
LISTS = {path: table for path, table, _ in CHANGES}


@pytest.fixture(scope="module")
def seeded(stack):
    stack.query(SEED)
    stack.plant(JOB)
    return stack


def fetch(api, path, tag=None, **headers):
    """(status, headers, body)"""
    connection = http.client.HTTPSConnection("127.0.0.1", api.port, context=api.context, timeout=40)
    headers |= {"Authorization": f"Bearer {API_KEY}"} | ({"If-None-Match": tag} if tag else {})
    connection.request("GET", f"{V1}/{path}", headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, response.headers, body


def tag_of(api, path):
    status, headers, body = fetch(api, path)
    assert status == 200
    assert headers["ETag"] == f'"{hashlib.sha256(body).hexdigest()}"'
    return headers["ETag"]


def write_here(fleet):
    """A write through this process, of what no list reads: nothing that was known before it counts."""
    assert fleet.api.call("PUT", f"{V1}/teams/t-1", {"name": "team"})[0] == 200


def look_again(fleet, table):
    """The same; where the list is of audit events by a heartbeat, which leaves none."""
    if table == "audit_events":
        assert fleet.api.post(f"{V1}/agents/nobody/heartbeat", {})[0] == 404
    else:
        write_here(fleet)


@pytest.mark.parametrize("path", LISTS)
def test_a_repeat_is_empty(seeded, path):
    tag = tag_of(seeded.api, path)
    for held in (tag, "*", f'"x", {tag}', f'W/"x",{tag} ,"y"'):
        status, headers, body = fetch(seeded.api, path, held)
        assert (status, body, headers["ETag"]) == (304, b"", tag), held
        assert headers["Content-Type"] is None and headers["Content-Length"] is None
    for held in (f"W/{tag}", tag[1:-1], '"x"', f"*, {tag}"):
        status, headers, body = fetch(seeded.api, path, held)
        assert (status, headers["ETag"]) == (200, tag) and body, held


@pytest.mark.parametrize("path", LISTS)
def test_a_repeat_reads_nothing(seeded, path):
    """The role may not read the table meanwhile: whoever asks for a row or a count is refused by the server."""
    table = LISTS[path]
    write_here(seeded)
    tag = tag_of(seeded.api, path)
    seeded.query(f"REVOKE SELECT ON {table} FROM certctl_apiserver")
    try:
        for _ in range(3):
            assert fetch(seeded.api, path, tag)[0] == 304
            status, headers, body = fetch(seeded.api, path)  # nor does another client's
            assert (status, headers["ETag"]) == (200, tag) and body
            look_again(seeded, table)
        other = f"{path}{'&' if '?' in path else '?'}per_page=7"
        assert fetch(seeded.api, other)[0] >= 500  # what was not asked before
    finally:
        seeded.query(f"GRANT SELECT ON {table} TO certctl_apiserver")


@pytest.mark.parametrize("path, _, change", CHANGES)
def test_a_change_by_others_is_told(seeded, path, _, change):
    """Within a second; at once when this process has reason to look."""
    tag = tag_of(seeded.api, path)
    seeded.query(change)
    write_here(seeded)
    status, headers, _ = fetch(seeded.api, path, tag)
    assert status == 200 and headers["ETag"] != tag


def test_a_change_by_others_is_told_soon(seeded):
    tag = tag_of(seeded.api, "jobs")
    seeded.query(CHANGES[5][2])
    wait_for(lambda: fetch(seeded.api, "jobs", tag)[0] == 200, 10, "a look at what changed")


@pytest.mark.parametrize("path, _, change", [row for row in CHANGES if row[2].startswith(("UPDATE", "INSERT INTO audit"))])
def test_a_change_that_commits_late_is_told(seeded, path, _, change):
    """Its trigger was seen before its rows could be."""
    with seeded.connect() as open_one:
        open_one.cursor().execute(change)
        write_here(seeded)
        tag = tag_of(seeded.api, path)
        write_here(seeded)
        assert fetch(seeded.api, path, tag)[0] == 304
        open_one.commit()
    write_here(seeded)
    assert fetch(seeded.api, path, tag)[0] == 200


def test_a_change_through_this_process_is_told_at_once(seeded):
    for i in range(20):
        tags = {path: tag_of(seeded.api, path) for path in ("certificates", "agents", "audit", "jobs")}
        assert seeded.api.call("PUT", f"{V1}/certificates/mc-1", {"environment": f"e{i}"})[0] == 200
        assert fetch(seeded.api, "certificates", tags["certificates"])[0] == 200
        assert fetch(seeded.api, "audit", tags["audit"])[0] == 200
        assert fetch(seeded.api, "jobs", tags["jobs"])[0] == 304
        assert seeded.api.post(f"{V1}/agents/agent-1/heartbeat", {"version": f"v{i}"})[0] == 200
        assert fetch(seeded.api, "agents", tags["agents"])[0] == 200
        tag = tag_of(seeded.api, "discovered-certificates")
        certificates = tag_of(seeded.api, "certificates")
        assert seeded.api.post(f"{V1}/agents/agent-1/discoveries", {"certificates": [{"fingerprint_sha256": f"{i:064x}"}]})[0] == 202
        assert fetch(seeded.api, "discovered-certificates", tag)[0] == 200
        assert fetch(seeded.api, "certificates", certificates)[0] == 304


def test_a_change_through_another_process_is_told_soon(seeded):
    seeded.start_apiserver(2)
    for path in ("certificates", "audit"):
        tag = tag_of(seeded.api, path)
        assert seeded.apis["apiserver-2"].call("PUT", f"{V1}/certificates/mc-1", {"environment": f"by-2-{path}"})[0] == 200
        wait_for(lambda path=path, tag=tag: fetch(seeded.api, path, tag)[0] == 200, 10, path)


def test_a_job_that_waits_is_asked_for_again(seeded):
    """Why it waits depends on what moves no number of the list of jobs."""
    seeded.plant("INSERT INTO jobs (id, type, certificate_id, status, agent_id) "
                 "VALUES ('job-2', 'Deployment', 'mc-1', 'Pending', 'agent-1')")
    seeded.query("UPDATE agents SET status = 'Offline' WHERE id = 'agent-1'")
    tag = tag_of(seeded.api, "jobs?certificate_id=mc-1")
    assert seeded.api.post(f"{V1}/agents/agent-1/heartbeat", {})[0] == 200
    assert fetch(seeded.api, "jobs?certificate_id=mc-1", tag)[0] == 200


def test_what_is_asked_for_anew_is_not_kept(seeded):
    """Nor hashed, but for who holds a tag."""
    news = {"Cache-Control": "no-cache"}
    path = "certificates?per_page=11"
    status, headers, body = fetch(seeded.api, path, **news)
    assert status == 200 and body and headers["ETag"] is None
    seeded.query("REVOKE SELECT ON managed_certificates FROM certctl_apiserver")
    try:
        assert fetch(seeded.api, path)[0] >= 500
    finally:
        seeded.query("GRANT SELECT ON managed_certificates TO certctl_apiserver")
    tag = tag_of(seeded.api, path)
    status, headers, body = fetch(seeded.api, path, tag, **news)
    assert (status, headers["ETag"], body) == (304, tag, b"")
    assert fetch(seeded.api, path, '"x"', **news)[0] == 200


def test_a_long_list_has_no_tag(seeded):
    for _ in range(2):
        status, headers, body = fetch(seeded.api, "certificates?per_page=500", "*")
        assert status == 200 and headers["ETag"] is None and len(body) > 64 * 1024


def test_who_may_not_read_gets_no_304(seeded):
    tag = tag_of(seeded.api, "certificates")
    assert seeded.api.get(f"{V1}/certificates", key="nobody", headers={"If-None-Match": tag})[0] == 401


@pytest.mark.parametrize("headers", [{}, {"Cache-Control": "no-cache"}, {"If-None-Match": '"x"', "Cache-Control": "no-cache"}])
def test_who_asks_at_once_with_others_sees_what_it_wrote(seeded, headers):
    """They share answers, and nobody has one whose rows were asked for before."""
    missing, n = [], len(headers)

    def write_and_read(some):
        for name in some:
            seeded.make_certificate(name, owner_id="o-1", team_id="t-1", issuer_id="iss-1", renewal_policy_id="rp-1")
            status, got, body = fetch(seeded.api, f"certificates?sort=-createdAt&per_page=100&q=mc-{n}-", **headers)
            missing.extend({name} - {c["id"] for c in json.loads(body)["data"]})
            assert status == 200 and got["ETag"] == (f'"{hashlib.sha256(body).hexdigest()}"' if n != 1 else None)
    threads = [threading.Thread(target=write_and_read, args=([f"mc-{n}-{i}-{k}" for k in range(5)],)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not missing
    assert seeded.value("SELECT count(*) FROM managed_certificates WHERE id LIKE %s", f"mc-{n}-%-4") == 16
