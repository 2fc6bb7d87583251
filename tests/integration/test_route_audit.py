"""
What the route table says a route leaves in the audit trail is what it leaves:
each that names an event is asked until all of its events were seen, and no
other leaves any.
"""
import itertools
import json
import threading

import pytest

from acme import seal
from fleet import API_KEY, BOOTSTRAP, Api, Fleet, code_schema, wait_for
from test_rest import make_csr
from test_routes import ROUTES, path_of

BOSS, FIRST = f"boss-{API_KEY}", f"first-{API_KEY}"
FORMER = "the-passphrase-of-before-0123456789abcdefghij"
NOUNS = {
    "teams": {},
    "owners": {"email": "o@example.test", "team_id": "t-test"},
    "renewal-policies": {},
    "profiles": {},
    "policies": {"type": "CertificateLifetime", "config": {"max_days": 30}},
    "agent-groups": {},
    "network-scan-targets": {"cidrs": ["192.0.2.0/24"]},
    "issuers": {"type": "GenericCA", "config": {"validity_days": 90}},
    "targets": {"type": "NGINX", "config": {"cert_path": "/c/f", "key_path": "/c/k"}},
}


class World:
    """What the routes are asked about; every object is made for one request."""

    def __init__(self, fleet):
        self.fleet, self.numbers = fleet, itertools.count()
        self.admin = fleet.api
        self.boss = Api(fleet.api_port, fleet.dir / "tls" / "api.pem", BOSS)
        self.agent = Api(fleet.api_port, fleet.dir / "tls" / "api.pem")
        fleet.start_apiserver(2, keep=True, CERTCTL_API_KEYS_NAMED="", CERTCTL_BOOTSTRAP_TOKEN=FIRST)
        self.nobody = fleet.apis["apiserver-2"]
        self.nobody.key = ""
        agent = self.register()
        self.agent_id, self.agent.key = agent["id"], agent["api_key"]

    def name(self, what):
        return f"{what}-{next(self.numbers)}"

    def certificate(self, **more):
        name = self.name("cert")
        self.fleet.make_certificate(name, **more)
        return name

    def issued(self, **more):
        name = self.certificate(**more)
        self.fleet.query("INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256,"
                         " pem_chain, issuer_id, job_id, key_holder) VALUES ('v-' || %s, %s, md5(%s), now(), now() + interval '80 days',"
                         " md5(%s), '', 'iss-local', 'x', %s)", name, name, name, name, self.agent_id)
        self.fleet.query("UPDATE managed_certificates SET status = 'Active', expires_at = now() + interval '80 days' WHERE id = %s", name)
        return name

    def exportable(self):
        """A certificate with a version that is one; no CA is needed."""
        name = self.issued()
        self.fleet.query("UPDATE certificate_versions SET pem_chain = %s WHERE certificate_id = %s",
                         (self.fleet.dir / "tls" / "api.pem").read_text(), name)
        return name

    def found(self):
        name = self.name("dcert")
        self.fleet.query("INSERT INTO discovered_certificates (id, fingerprint_sha256, agent_id) VALUES (%s, md5(%s), %s)", name, name, self.agent_id)
        return name

    def target(self, agent=None):
        name = self.name("tgt")
        self.fleet.make_target(name, agent or self.agent_id, self.fleet.dir / name)
        return name

    def renewal(self, **more):
        """A job that waits: for the agent's request, or for an approval."""
        return self.admin.need("POST", f"/api/v1/certificates/{self.certificate(**more)}/renew")["job_id"]

    def gated(self):
        job = self.renewal(certificate_profile_id="prof-gated")
        return job, self.fleet.value("SELECT id FROM issuance_approval_requests WHERE job_id = %s", job)

    def profile(self, is_gated):
        return self.admin.need("POST", PROFILES, {"name": self.name("prof"), "requires_approval": is_gated})["id"]

    def acme_account(self):
        name = self.name("acct")
        self.fleet.query("INSERT INTO acme_accounts (account_id, jwk_thumbprint, jwk_pem, profile_id) VALUES (%s, %s, '', %s)", name, name, self.profile(False))
        return name

    def health_check(self):
        return self.admin.need("POST", HEALTH, {"endpoint": "www.example.test:443"})["id"]

    def replacing(self):
        """What a replacement of an issuer is asked with that has no certificates."""
        return {end: self.admin.need("POST", ISSUERS, {"name": self.name("iss"), "type": "GenericCA"})["id"] for end in ("from_issuer_id", "to_issuer_id")}

    def replacement(self, how):
        """One that can be turned so."""
        wish = self.replacing()
        one = self.admin.need("POST", REPLACEMENTS, wish)["id"]
        self.fleet.query("UPDATE issuers SET enabled = false WHERE id = %s", wish["to_issuer_id"])
        self.fleet.query("UPDATE replacements SET state = 'running', ended_at = NULL, is_walked = false WHERE id = %s", one)
        if how == "resume":
            self.admin.need("POST", f"{REPLACEMENTS}/{one}/pause")
        return one

    def eab_key(self):
        return self.admin.need("POST", EAB, {"any_profile": True})["id"]

    def eab_key_of_before(self):
        """Sealed under the passphrase of before; the body that asks for those behind it."""
        name = self.name("eab-zz")
        self.fleet.query("INSERT INTO acme_eab_keys (key_id, hmac_sealed, created_by) VALUES (%s, %s, 'x')", name, seal(FORMER, f"acme_eab_keys:{name}", b"x" * 64))
        return {"after": name[:-1]}

    def group(self):
        return self.admin.need("POST", GROUPS, {"name": self.name("group")})["id"]

    def member(self):
        """The path of one that is named."""
        path = f"{GROUPS}/{self.group()}/members/{self.agent_id}"
        self.admin.need("PUT", path)
        return path

    def edited(self):
        """A request for the approval of a profile's edit."""
        return self.admin.need("PUT", f"{PROFILES}/{self.profile(True)}", {"max_ttl_seconds": 60})["pending_approval_id"]

    def worker(self, issuer="iss-local"):
        """What a worker does with the test of an issuer, as soon as it is asked for."""
        def end():
            task = wait_for(lambda: self.fleet.value("UPDATE tasks SET status = 'Running', leased_by = 'w', lease_id = 1 WHERE payload ? 'actor' "
                                                     "AND issuer_id = %s RETURNING id", issuer), 20, "the task")
            self.fleet.query(f"SELECT * FROM {code_schema()}.task_ca_init_end('w', 1, %s, 'success')", task)
        threading.Thread(target=end, daemon=True).start()

    def maker(self):
        """What a worker does with a CA that is asked for, in a moment."""
        made = json.dumps({"subject": "CN=x", "cert_pem": "x", "key_driver_id": "sealed:x", "not_before": 1, "not_after": 2,
                           "name_constraints": [], "key_id": self.name("key"), "fingerprint_sha256": self.name("print"), "serial_number": self.name("serial")})

        def end():
            task = wait_for(lambda: self.fleet.value("UPDATE tasks SET status = 'Running', leased_by = 'w', lease_id = 1 WHERE "
                                                     "kind = 'ica_create' RETURNING id"), 20, "the task")
            self.fleet.query(f"SELECT {code_schema()}.intermediate_ca_end('w', 1, %s, NULL, '', %s, 'x')", task, made)
        threading.Thread(target=end, daemon=True).start()

    def new_root(self):
        """The request for one, of an issuer that has none."""
        issuer = self.admin.need("POST", ISSUERS, self.noun("issuers"))["id"]
        self.maker()
        return self.admin, f"{ISSUERS}/{issuer}/intermediates", {"name": "root", "key_driver_id": "issuer",
                                                                 "root_cert_pem": (self.fleet.dir / "tls" / "api.pem").read_text()}

    def hierarchy(self, state="active"):
        """(issuer, root) in that state."""
        issuer, root = self.admin.need("POST", ISSUERS, self.noun("issuers"))["id"], self.name("ica")
        self.fleet.query("INSERT INTO intermediate_cas (id, owning_issuer_id, name, subject, cert_pem, key_driver_id, not_before, not_after, "
                         "state) VALUES (%s, %s, 'root', 'CN=x', 'x', 'issuer', now(), now() + interval '1 day', %s)", root, issuer, state)
        return issuer, root

    def retired_child(self):
        """A CA below a root, retired."""
        issuer, root = self.hierarchy()
        name = self.name("ica")
        self.fleet.query("INSERT INTO intermediate_cas (id, owning_issuer_id, parent_ca_id, name, subject, cert_pem, key_driver_id, not_before, "
                         "not_after, state, serial_number) VALUES (%s, %s, %s, 'below', 'CN=y', 'x', 'sealed:x', now(), now() + interval '1 day', "
                         "'retired', %s)", name, issuer, root, name)
        return name

    def new_child(self):
        issuer, root = self.hierarchy()
        self.maker()
        return self.admin, f"{ISSUERS}/{issuer}/intermediates", {"name": "child", "parent_ca_id": root, "subject": {"common_name": "x"}}

    def tested(self):
        """A target that its agent tests as soon as it is asked to."""
        target = self.target()
        self.fleet.query("UPDATE agents SET status = 'Online', last_heartbeat_at = now() WHERE id = %s", self.agent_id)

        def end():
            test = wait_for(lambda: self.agent.need("GET", f"{AGENTS}/{self.agent_id}/work?tests=1").get("tests"), 20, "the test")[0]["id"]
            self.agent.need("POST", f"{AGENTS}/{self.agent_id}/tests/{test}", {"passed": True, "message": "fine"})
        threading.Thread(target=end, daemon=True).start()
        return target

    def untested(self):
        """A target whose agent is away."""
        agent = self.other()
        self.fleet.plant("UPDATE agents SET status = 'Offline' WHERE id = %s", agent)
        return self.target(agent)

    def asked_test(self):
        """A test that waits for what its agent found."""
        target = self.target()
        self.fleet.query("INSERT INTO target_tests (target_id, id, agent_id, asked_by, asked_by_type, asked_at) VALUES (%s, %s, %s, 'boss', "
                         "'APIKey', now())", target, f"test-{target}", self.agent_id)
        return f"test-{target}"

    def deployment(self):
        """(job, target) in the agent's hands."""
        target = self.target()
        name = self.issued(target_ids=[target])
        job = self.name("job")
        self.fleet.plant("INSERT INTO jobs (id, type, certificate_id, target_id, agent_id, dedupe_key, version_id, status, leased_by)"
                         f" VALUES (%s, 'Deployment', '{name}', '{target}', '{self.agent_id}', 'deploy:{name}:{target}', 'v-{name}',"
                         f" 'Running', '{self.agent_id}')", job)
        return job, target

    def pending(self, **more):
        """(certificate, job) of a deployment that waits for the agent."""
        target = self.target()
        name, job = self.issued(target_ids=[target], **more), self.name("job")
        self.fleet.plant("INSERT INTO jobs (id, type, certificate_id, target_id, agent_id, dedupe_key, version_id)"
                         f" VALUES (%s, 'Deployment', '{name}', '{target}', '{self.agent_id}', 'deploy:{name}:{target}', 'v-{name}')", job)
        return name, job

    def busy(self):
        """A certificate with a job of each kind that ends with it, one of them waiting for an approval."""
        name, _ = self.pending(certificate_profile_id="prof-gated")
        self.admin.need("POST", f"/api/v1/certificates/{name}/renew")
        return name

    def orphan(self):
        """A certificate whose job waits for the request of an agent that is offline."""
        agent = self.other()
        name = self.certificate(target_ids=[self.target(agent)])
        self.admin.need("POST", f"/api/v1/certificates/{name}/renew")
        self.fleet.plant("UPDATE agents SET status = 'Offline' WHERE id = %s", agent)
        return name

    def asked(self):
        """A job that waits for the request of our agent."""
        return self.admin.need("POST", f"/api/v1/certificates/{self.certificate(target_ids=[self.target()])}/renew")["job_id"]

    def register(self):
        status, agent = self.admin.call("POST", "/api/v1/agents", {"name": self.name("agent"), "hostname": "h.example.test"}, key=BOOTSTRAP)
        assert status == 201, agent
        return agent

    def other(self):
        """An agent with nothing to do."""
        return self.register()["id"]

    def noun(self, noun):
        """A body of one more."""
        return {"name": self.name("noun")} | NOUNS[noun] | ({"agent_id": self.agent_id} if noun == "targets" else {})

    def csr(self):
        """(who, path, body) of a request for a certificate that waits for it."""
        name = self.certificate(target_ids=[self.target()])
        job = self.admin.need("POST", f"/api/v1/certificates/{name}/renew")["job_id"]
        return self.agent, f"/api/v1/agents/{self.agent_id}/csr", {
            "certificate_id": name, "job_id": job, "csr_pem": make_csr(f"{name}.example.test")}

    def verification(self, is_verified):
        job, target = self.deployment()
        seen = {"expected_fingerprint": "ab", "actual_fingerprint": "ab"} if is_verified else {"error": "no answer"}
        return self.agent, f"/api/v1/jobs/{job}/verify", {"target_id": target, "verified": is_verified} | seen

    def running(self):
        job = self.renewal()
        self.fleet.plant("UPDATE jobs SET status = 'Running', leased_by = 'nobody', lease_id = 1 WHERE id = %s", job)
        return job

    def est_revocation(self):
        name = self.busy()
        self.fleet.query("UPDATE managed_certificates SET source = 'EST' WHERE id = %s", name)
        return self.admin, "/api/v1/est/certificates/bulk-revoke", {"certificate_ids": [name], "reason": "superseded"}

    def ahead(self):
        """A serial of a journal that the database does not know."""
        self.fleet.plant("INSERT INTO journal_ahead (issuer_id, serial_number, job_id, journalled_at, host) "
                         "VALUES ('iss-local', '5a', 'job-gone', now(), 'h')")
        return self.admin, "/api/v1/admin/recovery", {}

    def served(self):
        """A serial that an agent serves and the database does not know."""
        self.fleet.plant("INSERT INTO served_certificates (target_id, seen_by, fingerprint_sha256, serial_number, since, is_other) "
                         "VALUES (%s, 'file', 'f', '5b', now(), true)", self.target())
        return self.admin, "/api/v1/admin/recovery", {}

    def root(self, *more):
        """An issuer with a root, and CAs in these states beside it."""
        name = self.admin.need("POST", "/api/v1/issuers", self.noun("issuers"))["id"]
        for state in ("current", *more):
            self.fleet.plant("INSERT INTO ca_certificates (issuer_id, state, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before,"
                             " not_after) VALUES (%s, %s, %s, %s, '', '', rpad(%s, 64, '0'), now(), now() + interval '9 years')",
                             name, state, state, f"{name}/{state}", state)
        self.fleet.plant("INSERT INTO ca_keys (issuer_id, key_id, key_sealed) VALUES (%s, 'current', '')", name)
        return name

    def duty(self):
        name = self.name("duty")
        self.fleet.query("INSERT INTO duties (name) VALUES (%s)", name)
        return name

    def role(self):
        return self.admin.need("POST", "/api/v1/auth/roles", {"name": self.name("role")})["id"]

    def held_role(self):
        """(key, role) of a key that holds a role."""
        key, role = self.name("key"), self.role()
        self.fleet.query("INSERT INTO api_keys (id, name, key_hash, created_by) VALUES (%s, %s, md5(%s), 'test')", key, key, key)
        self.fleet.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id) VALUES (%s, %s, 'APIKey', %s, 't-default')",
                         key, key, role)
        return key, role

    def permitted_role(self):
        role = self.role()
        self.fleet.query("INSERT INTO role_permissions (role_id, permission_id) VALUES (%s, 'p-cert-read')", role)
        return role

    def first_administrator(self):
        self.fleet.query("UPDATE tenants SET bootstrapped_at = NULL")
        return self.nobody, f"{AUTH}/bootstrap", {"token": FIRST, "actor_name": self.name("first")}

    def demo(self):
        """A grant of the time when no key was asked for."""
        self.fleet.query("INSERT INTO actor_roles (id, actor_id, actor_type, role_id, tenant_id)"
                         " VALUES (%s, 'actor-demo-anon', 'Anonymous', 'r-admin', 't-default')", self.name("grant"))
        return self.admin, f"{AUTH}/demo-residual/cleanup", None

    def scanned(self):
        made = self.admin.need("POST", "/api/v1/network-scan-targets", {"name": "scanned", "cidrs": ["192.0.2.1"]})
        return f"/api/v1/network-scan-targets/{made['id']}/scan"

    def probe(self):
        """A worker that lives for a moment, whose probe ends when it is asked for."""
        self.fleet.query("INSERT INTO workers (incarnation, name, host, pid, lease_until) VALUES"
                         " ('quick', 'quick', 'h', 1, clock_timestamp() + interval '3 s')")
        self.fleet.query("CREATE FUNCTION probed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
                         " INSERT INTO scep_probe_results (id, target_url, reachable, probed_at)"
                         " VALUES (replace(NEW.id, 'task-', 'scep-'), NEW.subject, true, now()); RETURN NULL; END $$")
        self.fleet.query("CREATE TRIGGER probed AFTER INSERT ON tasks FOR EACH ROW WHEN (NEW.kind = 'scep_probe') EXECUTE FUNCTION probed()")
        return self.admin, "/api/v1/network-scan/scep-probe", {"url": "http://192.0.2.1/scep"}

    def notification(self):
        name = self.name("notif")
        self.fleet.query("INSERT INTO notification_events (id, type, channel, recipient, message, status) VALUES"
                         " (%s, 'ExpirationWarning', 'Email', 'o@example.test', 'x', 'dead')", name)
        return name


def nouns():
    for noun in NOUNS:
        path = f"/api/v1/{noun}"

        def made(w, noun=noun, path=path):
            return w.admin.need("POST", path, w.noun(noun))["id"]
        yield ("POST", path), [lambda w, noun=noun, path=path: (w.admin, path, w.noun(noun))]
        yield ("PUT", f"{path}/{{id}}"), [lambda w, path=path, made=made: (w.admin, f"{path}/{made(w)}", {"name": w.name("noun")})]
        yield ("DELETE", f"{path}/{{id}}"), [lambda w, path=path, made=made: (w.admin, f"{path}/{made(w)}", None)]


REPLACEMENTS = "/api/v1/replacements"
HEALTH, EAB, ACCOUNTS = "/api/v1/health-checks", "/api/v1/acme/eab-keys", "/api/v1/acme/accounts"
ISSUERS, PROFILES, GROUPS = "/api/v1/issuers", "/api/v1/profiles", "/api/v1/agent-groups"
AUTH = "/api/v1/auth"
ROLES, KEYS = f"{AUTH}/roles", f"{AUTH}/keys"
CERTS, JOBS, AGENTS = "/api/v1/certificates", "/api/v1/jobs", "/api/v1/agents"
FOUND = "/api/v1/discovered-certificates"
# For each route: what is made ready, and then asked: (who, path, body).
CASES = dict(nouns()) | {
    ("POST", AGENTS): [lambda w: (w.admin, AGENTS, {"name": w.name("agent"), "hostname": "h.example.test"})],
    ("DELETE", f"{AGENTS}/{{id}}"): [
        lambda w: (w.admin, f"{AGENTS}/{w.other()}", None),
        lambda w: (w.admin, f"{AGENTS}/{(a := w.other(), w.target(a))[0]}?force=true&reason=gone", None)],
    ("POST", f"{AGENTS}/{{id}}/heartbeat"): [lambda w: (w.agent, f"{AGENTS}/{w.agent_id}/heartbeat", {})],
    ("POST", f"{AGENTS}/{{id}}/served"): [lambda w: (w.agent, f"{AGENTS}/{w.agent_id}/served", {"digest": "none", "targets": []})],
    ("POST", f"{AGENTS}/{{id}}/discoveries"): [
        lambda w: (w.agent, f"{AGENTS}/{w.agent_id}/discoveries", {"errors": ["nothing could be read"]})],
    ("POST", f"{FOUND}/{{id}}/claim"): [lambda w: (w.admin, f"{FOUND}/{w.found()}/claim", {"managed_certificate_id": w.certificate()})],
    ("POST", f"{FOUND}/{{id}}/dismiss"): [lambda w: (w.admin, f"{FOUND}/{w.found()}/dismiss", {})],
    ("POST", f"{AGENTS}/{{id}}/csr"): [lambda w: w.csr()],
    ("POST", f"{AGENTS}/{{id}}/jobs/{{job_id}}/status"): [
        lambda w: (w.agent, f"{AGENTS}/{w.agent_id}/jobs/{w.deployment()[0]}/status", {"status": "Completed"}),
        lambda w: (w.agent, f"{AGENTS}/{w.agent_id}/jobs/{w.deployment()[0]}/status", {"status": "Failed", "error": "no"}),
        lambda w: (w.agent, f"{AGENTS}/{w.agent_id}/jobs/{w.asked()}/status", {"status": "Failed", "error": "no room"})],
    ("POST", f"{JOBS}/{{id}}/verify"): [lambda w, ok=ok: w.verification(ok) for ok in (True, False)],
    ("POST", f"{JOBS}/{{id}}/cancel"): [
        lambda w: (w.admin, f"{JOBS}/{w.renewal()}/cancel", {}),
        lambda w: (w.admin, f"{JOBS}/{w.running()}/cancel", {}),
        lambda w: (w.admin, f"{JOBS}/{w.pending()[1]}/cancel", {}),
        lambda w: (w.admin, f"{JOBS}/{w.gated()[0]}/cancel", {})],
    ("POST", f"{JOBS}/{{id}}/approve"): [lambda w: (w.boss, f"{JOBS}/{w.gated()[0]}/approve", {})],
    ("POST", f"{JOBS}/{{id}}/reject"): [lambda w: (w.boss, f"{JOBS}/{w.gated()[0]}/reject", {"reason": "no"})],
    ("POST", "/api/v1/approvals/{id}/approve"): [lambda w: (w.boss, f"/api/v1/approvals/{w.gated()[1]}/approve", {}),
                                                 lambda w: (w.boss, f"/api/v1/approvals/{w.edited()}/approve", {})],
    ("PUT", f"{GROUPS}/{{id}}/members/{{agent_id}}"): [lambda w: (w.admin, f"{GROUPS}/{w.group()}/members/{w.agent_id}", {})],
    ("DELETE", f"{GROUPS}/{{id}}/members/{{agent_id}}"): [lambda w: (w.admin, w.member(), None)],
    ("PUT", f"{PROFILES}/{{id}}"): [
        lambda w, gated=gated: (w.admin, f"{PROFILES}/{w.profile(gated)}", {"max_ttl_seconds": 60}) for gated in (False, True)],
    ("POST", "/api/v1/approvals/{id}/reject"): [lambda w: (w.boss, f"/api/v1/approvals/{w.gated()[1]}/reject", {})],
    ("POST", f"{ISSUERS}/{{id}}/test"): [lambda w: (w.worker(), (w.admin, f"{ISSUERS}/iss-local/test", {}))[1]],
    ("POST", "/api/v1/targets/{id}/test"): [lambda w: (w.admin, f"/api/v1/targets/{w.tested()}/test", {}),
                                            lambda w: (w.admin, f"/api/v1/targets/{w.untested()}/test", {})],
    ("POST", f"{AGENTS}/{{id}}/tests/{{test_id}}"): [
        lambda w: (w.agent, f"{AGENTS}/{w.agent_id}/tests/{w.asked_test()}", {"passed": True})],
    ("POST", f"{ISSUERS}/{{id}}/intermediates"): [lambda w: w.new_root(), lambda w: w.new_child()],
    ("POST", "/api/v1/intermediates/{id}/revoke"): [
        lambda w: (w.admin, f"/api/v1/intermediates/{w.retired_child()}/revoke", {"reason": "caCompromise"})],
    ("POST", "/api/v1/intermediates/{id}/retire"): [
        lambda w, state=state: (w.admin, f"/api/v1/intermediates/{w.hierarchy(state)[1]}/retire", {"confirm": True})
        for state in ("active", "retiring")],
    ("POST", f"{ISSUERS}/{{id}}/successor"): [lambda w: (w.admin, f"{ISSUERS}/{w.root()}/successor", {})],
    ("POST", f"{ISSUERS}/{{id}}/switch"): [
        lambda w: (w.admin, f"{ISSUERS}/{w.root('next')}/switch", {"fingerprint_sha256": "next".ljust(64, "0")})],
    ("POST", CERTS): [lambda w: (w.admin, CERTS, w.fleet.certificate(w.name("cert")))],
    ("PUT", f"{CERTS}/{{id}}"): [lambda w: (w.admin, f"{CERTS}/{w.certificate()}", {"environment": "production"}),
                                   lambda w: (w.admin, f"{CERTS}/{w.pending()[0]}", {"target_ids": []})],
    ("DELETE", f"{CERTS}/{{id}}"): [lambda w, name=name: (w.admin, f"{CERTS}/{getattr(w, name)()}", None) for name in ("certificate", "busy")],
    ("POST", f"{CERTS}/{{id}}/renew"): [
        lambda w: (w.admin, f"{CERTS}/{w.certificate()}/renew", {}),
        lambda w: (w.admin, f"{CERTS}/{w.certificate(certificate_profile_id='prof-gated')}/renew", {}),
        lambda w: (w.admin, f"{CERTS}/{w.orphan()}/renew", {"force": True})],
    ("POST", f"{CERTS}/{{id}}/deploy"): [lambda w: (w.admin, f"{CERTS}/{w.issued(target_ids=[w.target()])}/deploy", {})],
    ("POST", f"{CERTS}/{{id}}/revoke"): [
        lambda w, name=name: (w.admin, f"{CERTS}/{getattr(w, name)()}/revoke", {"reason": "superseded"}) for name in ("issued", "busy")],
    ("GET", f"{CERTS}/{{id}}/export/pem"): [lambda w: (w.admin, f"{CERTS}/{w.exportable()}/export/pem", None)],
    ("POST", f"{CERTS}/{{id}}/export/pkcs12"): [lambda w: (w.admin, f"{CERTS}/{w.exportable()}/export/pkcs12", {})],
    ("POST", f"{REPLACEMENTS}/plan"): [lambda w: (w.admin, f"{REPLACEMENTS}/plan", w.replacing())],
    ("POST", f"{REPLACEMENTS}/plan/certificates"): [lambda w: (w.admin, f"{REPLACEMENTS}/plan/certificates", w.replacing())],
    ("POST", REPLACEMENTS): [lambda w: (w.admin, REPLACEMENTS, w.replacing())],
    **{("POST", f"{REPLACEMENTS}/{{id}}/{how}"): [lambda w, how=how: (w.admin, f"{REPLACEMENTS}/{w.replacement(how)}/{how}", None)]
       for how in ("pause", "resume", "cancel")},
    ("POST", f"{CERTS}/bulk-renew"): [
        lambda w: (w.admin, f"{CERTS}/bulk-renew", {"certificate_ids": [w.issued()]}),
        lambda w: (w.admin, f"{CERTS}/bulk-renew", {"certificate_ids": [w.issued(certificate_profile_id="prof-gated")]})],
    ("POST", f"{CERTS}/bulk-revoke"): [
        lambda w, name=name: (w.admin, f"{CERTS}/bulk-revoke", {"certificate_ids": [getattr(w, name)()], "reason": "superseded"})
        for name in ("issued", "busy")],
    ("POST", f"{CERTS}/bulk-reassign"): [
        lambda w: (w.admin, f"{CERTS}/bulk-reassign", {"certificate_ids": [w.issued()], "owner_id": "o-other"})],
    ("POST", "/api/v1/est/certificates/bulk-revoke"): [lambda w: w.est_revocation()],
    ("POST", "/api/v1/network-scan/scep-probe"): [lambda w: w.probe()],
    ("POST", "/api/v1/network-scan-targets/{id}/scan"): [lambda w: (w.admin, w.scanned(), {})],
    ("POST", "/api/v1/digest/send"): [lambda w: (w.admin, "/api/v1/digest/send", None)],
    ("POST", f"{AUTH}/bootstrap"): [lambda w: w.first_administrator()],
    ("POST", f"{AUTH}/demo-residual/cleanup"): [lambda w: w.demo()],
    ("POST", ROLES): [lambda w: (w.admin, ROLES, {"name": w.name("role")})],
    ("PUT", f"{ROLES}/{{id}}"): [lambda w: (w.admin, f"{ROLES}/{w.role()}", {"name": w.name("role")})],
    ("DELETE", f"{ROLES}/{{id}}"): [lambda w: (w.admin, f"{ROLES}/{w.role()}", None)],
    ("POST", f"{ROLES}/{{id}}/permissions"): [lambda w: (w.admin, f"{ROLES}/{w.role()}/permissions", {"permission": "cert.read"})],
    ("DELETE", f"{ROLES}/{{id}}/permissions/{{perm}}"): [
        lambda w: (w.admin, f"{ROLES}/{w.permitted_role()}/permissions/cert.read", None)],
    ("POST", KEYS): [lambda w: (w.admin, KEYS, {"name": w.name("key")})],
    ("POST", f"{KEYS}/{{id}}/rotate"): [lambda w: (w.admin, f"{KEYS}/{w.held_role()[0]}/rotate", {})],
    ("DELETE", f"{KEYS}/{{id}}"): [lambda w: (w.admin, f"{KEYS}/{w.held_role()[0]}", None)],
    ("POST", f"{KEYS}/{{id}}/roles"): [lambda w: (w.admin, f"{KEYS}/boss/roles", {"role_id": w.role()})],
    ("DELETE", f"{KEYS}/{{id}}/roles/{{role_id}}"): [
        lambda w: (w.admin, "/".join([KEYS, (held := w.held_role())[0], "roles", held[1]]), None)],
    ("POST", EAB): [lambda w: (w.admin, EAB, {"any_profile": True})],
    ("POST", f"{EAB}/{{id}}/revoke"): [lambda w: (w.admin, f"{EAB}/{w.eab_key()}/revoke", None)],
    ("POST", f"{EAB}/reseal"): [lambda w: (w.admin, f"{EAB}/reseal", w.eab_key_of_before())],
    ("DELETE", f"{EAB}/{{id}}"): [lambda w: (w.admin, f"{EAB}/{w.eab_key()}", None)],
    ("POST", HEALTH): [lambda w: (w.admin, HEALTH, {"endpoint": "www.example.test:443"})],
    ("POST", f"{ACCOUNTS}/{{id}}/revoke"): [lambda w: (w.admin, f"{ACCOUNTS}/{w.acme_account()}/revoke", {"reason": "stolen"})],
    ("PUT", f"{HEALTH}/{{id}}"): [lambda w: (w.admin, f"{HEALTH}/{w.health_check()}", {"down_threshold": 9})],
    ("DELETE", f"{HEALTH}/{{id}}"): [lambda w: (w.admin, f"{HEALTH}/{w.health_check()}", None)],
    ("POST", f"{HEALTH}/{{id}}/acknowledge"): [lambda w: (w.admin, f"{HEALTH}/{w.health_check()}/acknowledge", {})],
    ("POST", "/api/v1/notifications/{id}/read"): [lambda w: (w.admin, f"/api/v1/notifications/{w.notification()}/read", {})],
    ("POST", "/api/v1/notifications/{id}/requeue"): [lambda w: (w.admin, f"/api/v1/notifications/{w.notification()}/requeue", {})],
    ("POST", "/api/v1/admin/scheduler/run-now/{duty}"): [lambda w: (w.admin, f"/api/v1/admin/scheduler/run-now/{w.duty()}", {})],
    # Neither has a profile that could be read again; and OCSP is asked by nobody in particular.
    ("POST", "/api/v1/admin/scep/intune/reload-trust"): [], ("POST", "/api/v1/admin/est/reload-trust"): [],
    ("POST", "/.well-known/pki/ocsp/{issuer}"): [],
    ("POST", "/api/v1/admin/recovery"): [lambda w: w.ahead(), lambda w: w.served()],
    ("GET", "/api/v1/audit/export"): [
        lambda w: (w.admin, "/api/v1/audit/export?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z", None)],
}


@pytest.fixture(scope="module")
def world():
    fleet = Fleet("routeaudit")
    try:
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True, CERTCTL_API_KEYS_NAMED=f"admin:{API_KEY}:admin,boss:{BOSS}:admin",
                              CERTCTL_DIGEST_ENABLED="true", CERTCTL_CONFIG_ENCRYPTION_KEY_ALSO=FORMER)
        fleet.make_basics()
        fleet.query("INSERT INTO owners (id, name, email, team_id) VALUES ('o-other', 'Other', 'other@example.test', 't-test')")
        fleet.query("INSERT INTO certificate_profiles (id, name, requires_approval) VALUES ('prof-gated', 'gated', true)")
        yield World(fleet)
    finally:
        fleet.close()


def left_by(world, who, call):
    """What call leaves under that name, in the order it was written."""
    before = world.fleet.value("SELECT coalesce(max(seq), 0) FROM audit_events")
    call()
    return [a for a, in world.fleet.query("SELECT action FROM audit_events WHERE seq > %s AND actor = %s ORDER BY seq", before, who)]


def name_of(world, api):
    return {world.admin.key: "admin", world.boss.key: "boss", "": "bootstrap"}.get(api.key, world.agent_id)


# What accounts of ACME leave, the tests of the ACME server look for.
LEAVING = [r for r in ROUTES if (r["method"] != "GET" or r["audit"]) and not r["pattern"].startswith("/acme/")]


def test_there_is_a_case_for_each():
    assert set(CASES) == {(r["method"], r["pattern"]) for r in LEAVING}


@pytest.mark.parametrize("route", LEAVING,
                         ids=lambda r: f"{r['method']} {r['pattern']}")
def test_what_a_route_leaves(world, route):
    seen = set()
    for case in CASES[route["method"], route["pattern"]]:
        api, path, body = case(world)

        def ask(api=api, path=path, body=body):
            status, reply = api.call(route["method"], path, body)
            assert 200 <= status < 300, (path, status, reply)
        left = set(left_by(world, name_of(world, api), ask))
        assert bool(left) == bool(route["audit"])
        seen |= left
    assert seen == set(route["audit"])


def test_reading_leaves_nothing(world):
    def read():
        for route in ROUTES:
            if route["method"] == "GET" and not route["audit"]:
                for object_id in ("none-such", world.agent_id, "iss-local", "o-test"):
                    assert world.admin.call("GET", path_of(route, object_id))[0] in (200, 204, 400, 404), route
    assert left_by(world, "admin", read) == []


def test_what_is_refused_leaves_nothing(world):
    """Every case again, for objects that are not there or with a body that says nothing."""
    def ask():
        for route in ROUTES:
            if route["method"] != "GET":
                status, reply = world.admin.call(route["method"], path_of(route, "none-such"), {"no": "such field"})
                assert 400 <= status < 500 or reply in ({"removed": 0}, {"resealed": 0, "unopened": []}) or not route["audit"], (route, status, reply)
    assert left_by(world, "admin", ask) == []
