"""GlobalSign Atlas: what is particular to it (test_issuers_faults.py has what every CA does wrong)."""
import copy

import pytest

from fleet import wait_for
from sim_globalsign import KEY, POLICY, SECRET
from test_issuers_conformance import at_once, certificates, change, completed, make, order, plane, row, versions, wait_ordered, wait_status  # noqa: F401


@pytest.fixture
def globalsign(make):  # noqa: F811
    return make("globalsign")


@pytest.fixture
def sim(globalsign):
    globalsign.sim.policy = copy.deepcopy(POLICY)
    return globalsign.sim


def sent(sim):
    return next(body for line, _, body in sim.log if line == "POST /v2/certificates")


def test_what_is_asked_for(plane, globalsign, sim, order):  # noqa: F811
    name, job = order(globalsign)
    completed(plane, job)
    body = sent(sim)
    assert body.pop("public_key").startswith("-----BEGIN CERTIFICATE REQUEST-----")
    assert body.pop("validity")["not_after"] == 0
    assert body == {"subject_dn": {"common_name": f"{name}.example.test"}, "san": {"dns_names": [f"{name}.example.test"]}}
    (_, text, _), = versions(plane, name)
    assert [c.subject.rfc4514_string() for c in certificates(text)] == [f"CN={name}.example.test", "CN=Simulated GlobalSign Issuing CA"]


@pytest.mark.parametrize("presence", ["STATIC", "FORBIDDEN"])
def test_what_the_policy_sets_is_not_sent(plane, globalsign, sim, order, presence):  # noqa: F811
    sim.policy["subject_dn"]["common_name"]["presence"] = presence
    sim.policy["extended_key_usages"]["ekus"] = {"static": False, "mincount": 1, "maxcount": 2}
    _, job = order(globalsign)
    completed(plane, job)
    assert "subject_dn" not in sent(sim) and sent(sim)["extended_key_usages"] == ["1.3.6.1.5.5.7.3.1"]


@pytest.mark.parametrize("days, life", [(30, 30 * 86400), (90, 0), (365, 0)])
def test_the_life_is_the_profile_s_within_the_policy_s(plane, globalsign, sim, order, days, life):  # noqa: F811
    profile = plane.api.need("POST", "/api/v1/profiles", {"name": f"{days} days of Atlas", "max_ttl_seconds": days * 86400})["id"]
    _, job = order(globalsign, certificate_profile_id=profile)
    completed(plane, job)
    validity = sent(sim)["validity"]
    assert (validity["not_after"] - validity["not_before"] if life else validity["not_after"]) == life


def test_a_policy_that_takes_no_request_is_refused(plane, globalsign, sim, order):  # noqa: F811
    sim.policy["public_key"]["key_format"] = "PKCS8"
    _, job = order(globalsign)
    words = wait_for(lambda: row(plane, job)[1], 20, "the refusal")
    assert words == ("the CA refused: the account's validation policy wants keys in the format PKCS8: certctl has requests (PKCS10) only")
    assert not sim.orders


@pytest.mark.parametrize("match", ["POST /login", "GET /validationpolicy"])
@pytest.mark.parametrize("fault", [{"status": 401}, {"status": 503}, {"close": "after"}, {"truncate": True}, {"status": 200, "body": {}}],
                         ids=["401", "503", "cut", "half", "empty"])
def test_what_comes_before_the_order_orders_nothing(plane, globalsign, sim, order, match, fault):  # noqa: F811
    if match.startswith("GET") and fault.get("status") == 200:
        fault = {"status": 200, "body": []}
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{globalsign.id}")[1]["test_status"] == "success", 20, "its test")
    if match == "POST /login":
        sim.expire()
    sim.fault(match, times=1 if match == "POST /login" else globalsign.times(fault), **fault)
    _, job = order(globalsign)
    wait_for(lambda: row(plane, job)[1], 20, "the refusal")
    assert row(plane, job, "status, attempts, checkpoint") == ("Pending", 1, None)
    assert not sim.orders
    at_once(plane, job)
    completed(plane, job)
    assert len(sim.orders) == 1 and sim.calls(globalsign.lists) == 0


def test_a_login_serves_until_it_ends(plane, globalsign, sim, order):  # noqa: F811
    """The issuer's test was the first."""
    _, job = order(globalsign)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    completed(plane, job)
    assert sim.calls("POST /login") == 0
    _, job = order(globalsign)
    wait_ordered(plane, job, 0)
    sim.expire()
    completed(plane, job)
    assert sim.calls("POST /login") == 1 and len(sim.orders) == 2


def test_another_secret_is_another_login(plane, globalsign, sim, order):  # noqa: F811
    """What was given for one secret lets nobody in who has another."""
    change(plane, globalsign, api_secret="0" * 40)
    assert wait_for(lambda: plane.api.get(f"/api/v1/issuers/{globalsign.id}")[1]["test_status"] == "failed", 20, "its test")
    assert sim.calls("POST /login") >= 1


def test_a_chain_of_many_items_costs_what_it_is_long(plane, globalsign, sim, order):  # noqa: F811
    """They were put together one by one, each time all anew: 60,000 of nothing took two gigabytes."""
    worker = plane.processes["worker-1"].pid
    sim.fault("GET /trustchain", status=200, body="[" + '"",' * 60000 + '""]')
    _, job = order(globalsign)
    wait_ordered(plane, job, 0)
    at_once(plane, job)
    wait_for(lambda: sim.calls("GET /trustchain") and row(plane, job)[0] != "Running", 20, "the answer to be judged")
    with open(f"/proc/{worker}/status", encoding="ascii") as f:
        peak_kb, = (int(line.split()[1]) for line in f if line.startswith("VmHWM:"))
    assert plane.processes["worker-1"].pid == worker and peak_kb < 500_000, peak_kb


def test_an_order_that_is_not_known_yet_is_waited_for(plane, globalsign, sim, order):  # noqa: F811
    _, job = order(globalsign)
    wait_ordered(plane, job, 0)
    sim.fault("GET /certificates/", status=404, body={"description": "The certificate is not known"})
    at_once(plane, job)
    wait_ordered(plane, job, 1)
    assert "works on it: HTTP 404;" in row(plane, job)[1]
    completed(plane, job)
    assert len(sim.orders) == 1


def test_an_order_is_found_behind_what_is_stored(plane, globalsign, sim, order):  # noqa: F811
    """Two pages of certificates are certctl's own, and of those none is fetched."""
    name, job = order(globalsign)
    completed(plane, job)
    others = sim.issue_others(230)
    stored = [serial for serial in others if serial not in (others[0], others[200], others[229])]
    plane.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256, pem_chain, issuer_id, job_id) "
                "SELECT 'certver-' || s, certificate_id, lpad(lower(s), 40, '0'), not_before, not_after, s, '', issuer_id, 'job-' || s "
                "FROM certificate_versions, unnest(%s::text[]) AS u (s) WHERE certificate_id = %s", stored, name)
    before = len(sim.orders)
    sim.fault("POST /certificates", close="after")
    sim.forget_calls()
    name, job = order(globalsign)
    completed(plane, job)
    assert len(sim.orders) == before + 1 and len(versions(plane, name)) == 1
    # Three of somebody else's, ours, and ours once more when it is asked what became of it, or not.
    assert sim.calls("GET /stats/issued") == 3 and sim.calls("GET /certificates/") in (4, 5)


def test_an_order_is_found_among_what_nobody_knows(plane, globalsign, sim, order):  # noqa: F811
    sim.issue_others(220)
    sim.fault("POST /certificates", close="after")
    name, job = order(globalsign)
    completed(plane, job)
    assert len(sim.orders) == 221 and len(versions(plane, name)) == 1 and sim.calls("POST /certificates") == 1
    assert row(plane, job, "attempts") == (0,)


def test_a_full_list_without_it_says_that_there_is_none(plane, globalsign, sim, order):  # noqa: F811
    """A page of exactly as many as a page may have, and then none."""
    sim.issue_others(100)
    sim.fault("POST /certificates", close="before")
    _, job = order(globalsign)
    words = wait_for(lambda: row(plane, job)[1], 30, "the look-up")
    assert words.endswith("and the CA has no such order") and sim.calls("GET /stats/issued") == 2
    at_once(plane, job)
    completed(plane, job)
    assert len(sim.orders) == 101


@pytest.mark.parametrize("match, fault", [("GET /stats/issued?page=2", {"status": 503}), ("GET /stats/issued?page=2", {"close": "before"}),
                                          ("GET /stats/issued?page=1", {"status": 200, "body": [{"serial_number": "no number"}]}),
                                          ("GET /stats/issued?page=1", {"status": 200, "body": {}}), ("GET /certificates/", {"status": 500})])
def test_a_look_up_that_is_cut_off_proves_nothing(plane, globalsign, sim, order, match, fault):  # noqa: F811
    sim.issue_others(101)
    sim.fault("POST /certificates", close="after")
    sim.fault(match, **fault)
    name, job = order(globalsign)
    words = wait_for(lambda: row(plane, job)[1], 30, "the look-up")
    assert words.startswith("the order could not be looked up: ")
    at_once(plane, job)
    completed(plane, job)
    assert sim.calls("POST /certificates") == 1 and len(versions(plane, name)) == 1


def test_a_login_that_ends_during_a_look_up_is_made_anew(plane, globalsign, sim, order):  # noqa: F811
    sim.issue_others(150)
    sim.fault("POST /certificates", close="after")
    sim.fault("GET /stats/issued?page=2", status=401)
    _, job = order(globalsign)
    completed(plane, job)
    assert sim.calls("POST /certificates") == 1 and sim.calls("GET /stats/issued?page=2") == 2


@pytest.mark.parametrize("changes, words", [({"api_url": "https://elsewhere.example/v2"}, "api_url is none of the CA's own"),
                                            ({"client_cert_path": "/etc/passwd"}, "does not lie directly in CERTCTL_ISSUER_CLIENT_DIR")])
def test_a_configuration_that_no_worker_may_use(plane, globalsign, changes, words):  # noqa: F811
    change(plane, globalsign, **changes)
    wait_for(lambda: plane.api.get(f"/api/v1/issuers/{globalsign.id}")[1]["test_status"] == "failed", 20, "its test")
    wait_for(lambda: words in (plane.value("SELECT last_error FROM tasks WHERE issuer_id = %s ORDER BY id DESC LIMIT 1", globalsign.id) or ""),
             20, "its words")
    assert not globalsign.sim.orders


def test_the_secrets_are_stored_sealed_alone(plane, globalsign, sim, order):  # noqa: F811
    _, job = order(globalsign)
    completed(plane, job)
    stored = plane.value("SELECT config::text FROM issuers WHERE id = %s", globalsign.id)
    for secret in (KEY, SECRET):
        assert secret not in plane.processes["worker-1"].log() and secret not in stored
        assert secret not in str(plane.api.get(f"/api/v1/issuers/{globalsign.id}"))
