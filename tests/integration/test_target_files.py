"""
A file of a host is written for one certificate: whoever comes second is told who
has it, by whichever way it comes.
"""
import threading

import pytest

from fleet import wait_for

CERTS = "/api/v1/certificates"
TARGETS = "/api/v1/targets"


@pytest.fixture(scope="module")
def world(basics):
    """Two agents that nobody runs."""
    basics.agents = [basics.api.need("POST", "/api/v1/agents", {"name": f"host-{i}", "hostname": "h.example.test"})["id"] for i in (1, 2)]
    return basics


def target(world, name, cert, key=None, agent=0, **config):
    world.api.need("POST", TARGETS, {"id": name, "name": name, "type": "NGINX", "agent_id": world.agents[agent], "config": {
        "cert_path": cert, "key_path": key or f"{cert}.key"} | config})
    return name


def is_taken(answer, path, certificate, by):
    status, reply = answer
    assert status == 409, reply
    assert path in reply["message"] and f"certificate {certificate}," in reply["message"] and f"target {by}:" in reply["message"], reply


@pytest.mark.parametrize("name, config", [
    ("same", {"cert": "/s/{}/a"}),
    ("key", {"cert": "/s/{}/b", "key": "/s/{}/a.key"}),
    ("crossed", {"cert": "/s/{}/c", "key": "/s/{}/a"}),
    ("chain", {"cert": "/s/{}/d", "chain_path": "/s/{}/a.key"}),
    ("versions", {"cert": "/s/{}/.certctl-a/current/fullchain.pem", "key": "/s/{}/.certctl-a/current/privkey.pem"}),
])
def test_a_file_of_another_certificate_is_refused(world, name, config):
    config = {key: path.format(name) for key, path in config.items()}
    world.make_certificate(f"{name}-1", [target(world, f"{name}-t1", f"/s/{name}/a")])
    target(world, f"{name}-t2", **config)
    answer = world.api.post(CERTS, world.certificate(f"{name}-2", [f"{name}-t2"]))
    is_taken(answer, f"/s/{name}/a", f"{name}-1", f"{name}-t1")
    assert world.api.get(f"{CERTS}/{name}-2")[0] == 404
    world.make_certificate(f"{name}-2")
    answer = world.api.call("PUT", f"{CERTS}/{name}-2", {"target_ids": [f"{name}-t2"], "environment": "changed"})
    is_taken(answer, f"/s/{name}/a", f"{name}-1", f"{name}-t1")
    after = world.api.get(f"{CERTS}/{name}-2")[1]
    assert (after["target_ids"], after["environment"]) == ([], "development")
    # The same path of another host is another file.
    other = dict(config, agent=1)
    world.api.need("PUT", f"{CERTS}/{name}-2", {"target_ids": [target(world, f"{name}-t3", **other)]})


def test_one_target_serves_one_certificate(world):
    world.make_certificate("first", [target(world, "shared", "/one/a")])
    is_taken(world.api.post(CERTS, world.certificate("second", ["shared"])), "/one/a", "first", "shared")


def test_a_target_is_not_moved_onto_a_file_of_another_certificate(world):
    for i in (1, 2):
        world.make_certificate(f"move-{i}", [target(world, f"move-t{i}", f"/move/{i}")])
    paths = {"cert_path": "/move/2", "key_path": "/move/1.key"}
    is_taken(world.api.call("PUT", f"{TARGETS}/move-t1", {"config": paths}), "/move/2", "move-2", "move-t2")
    assert world.api.get(f"{TARGETS}/move-t1")[1]["config"]["cert_path"] == "/move/1"
    # What it leaves is free, and what it took is not.
    world.api.need("PUT", f"{TARGETS}/move-t1", {"config": paths | {"cert_path": "/move/3"}})
    world.api.need("PUT", f"{TARGETS}/move-t2", {"config": {"cert_path": "/move/1", "key_path": "/move/2.key"}})
    is_taken(world.api.call("PUT", f"{TARGETS}/move-t2", {"config": {"cert_path": "/move/3", "key_path": "/move/2.key"}}),
             "/move/3", "move-1", "move-t1")


def test_one_certificate_may_name_its_file_twice(world):
    for name in ("twice-1", "twice-2"):
        target(world, name, "/twice/a")
    world.make_certificate("twice", ["twice-1", "twice-2"])
    world.api.need("PUT", f"{CERTS}/twice", {"target_ids": ["twice-2"]})
    is_taken(world.api.post(CERTS, world.certificate("thrice", ["twice-1"])), "/twice/a", "twice", "twice-2")


def give_up_by_put(world, name):
    world.api.need("PUT", f"{CERTS}/{name}", {"target_ids": []})


def give_up_by_archiving(world, name):
    assert world.api.call("DELETE", f"{CERTS}/{name}")[0] == 204


def give_up_by_revoking(world, name):
    world.plant("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, "
                "pem_chain, issuer_id, job_id) VALUES (%s, %s, %s, now(), now() + interval '1 day', '', '', 'iss-local', '')",
                f"certver-{name}", name, name)
    world.api.need("POST", f"{CERTS}/{name}/revoke", {"reason": "superseded"})


@pytest.mark.parametrize("give_up", [give_up_by_put, give_up_by_archiving, give_up_by_revoking])
def test_files_are_given_up(world, give_up):
    name = give_up.__name__
    world.make_certificate(name, [target(world, f"t-{name}", f"/{name}/a")])
    give_up(world, name)
    world.make_certificate(f"next-{name}", [f"t-{name}"])
    # Neither is it taken by what is over.
    if give_up is not give_up_by_put:
        world.api.need("PUT", f"{TARGETS}/t-{name}", {"config": {"cert_path": f"/{name}/b", "key_path": f"/{name}/k"}})
        assert world.query("SELECT DISTINCT certificate_id FROM target_files WHERE target_id = %s", f"t-{name}") == [(f"next-{name}",)]


def test_two_at_once_are_one_after_the_other(world):
    for name in ("race-1", "race-2"):
        target(world, f"t-{name}", "/race/a")
        world.make_certificate(name)
    answers = []
    with world.connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO certificate_target_mappings (certificate_id, target_id) VALUES ('race-1', 't-race-1')")
        second = threading.Thread(target=lambda: answers.append(world.api.call("PUT", f"{CERTS}/race-2", {"target_ids": ["t-race-2"]})))
        second.start()
        wait_for(lambda: world.value("SELECT count(*) FROM pg_locks WHERE NOT granted") > 0, 30, "the second to wait")
        connection.commit()
    second.join()
    is_taken(answers[0], "/race/a", "race-1", "t-race-1")
