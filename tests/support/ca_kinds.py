"""
Every kind of CA that certctl speaks to, as tests and `make chaos ISSUERS=all` drive it:

    CONNECTORS[kind](plane, name)   how its CA is told to behave; .config is the issuer's, .orders() what the CA was asked for
    start_simulators(fleet)         one simulator of each, and the settings of the workers that may call them

The local CA is one, a script another; for each CA outside there is a simulator (sim_ca.py) beside it.
"""
import sim_awsacmpca
import sim_ejbca
import sim_entrust
import sim_globalsign
import sim_googlecas
import sim_sectigo
import sim_stepca
import sim_vault
from scripted_issuer import install
from sim_acme import AcmeSim, problem
from sim_awsacmpca import AwsAcmPcaSim
from sim_digicert import KEY, ORGANISATION, DigiCertSim
from sim_ejbca import EjbcaSim
from sim_entrust import EntrustSim
from sim_globalsign import GlobalSignSim
from sim_googlecas import GoogleCasSim
from sim_sectigo import SectigoSim
from sim_stepca import StepCaSim
from sim_vault import VaultSim
from sinks import Trust


def client_pair(directory, trust):
    """By which CAs know this worker."""
    trust.make("client", "certctl")
    for kind in ("pem", "key"):
        (directory / f"client.{kind}").write_bytes((trust.directory / f"client.{kind}").read_bytes())
        (directory / f"client.{kind}").chmod(0o600)
    return {"client_cert_path": str(directory / "client.pem"), "client_key_path": str(directory / "client.key")}


class Local:
    outside = False

    def __init__(self, plane, name):
        self.config = {"type": "GenericCA", "config": {}}

    def close(self):
        pass


class Script:
    outside = True
    refusal = "policy 'strict' says no"

    def __init__(self, plane, name):
        self.ca = install(plane.dir / "scripts", name, plane.dir / name)
        self.config = {"type": "OpenSSL", "config": self.ca.config(with_look_up=True, timeout_seconds=4)}

    def pending(self):
        self.ca.behave("pending")

    def ready(self):
        self.ca.go()

    def refuse(self):
        self.ca.behave("refuse")

    def wrong(self, how):
        self.ca.behave(how)

    def orders(self):
        return sum(self.ca.orders().values())

    def close(self):
        self.ca.end()


class Rest:
    """A CA with a simulator of sim_ca.py: one for all its issuers, and as new for each."""
    refuses_revocation = {"status": 400, "body": {"code": -9, "message": "Not by you"}}
    outside = True
    issues_at_once = False  # then an order is never one that it works on
    look_up_places = False  # an order that it has not is placed by the look-up
    let_in_anew = 0  # so often it is signed in anew when the CA does not let it in

    def __init__(self, plane, name):
        self.sim = plane.sims[type(self)]
        self.sim.reset()
        self.ready_word = self.sim.issued
        self.sim.behave(statuses=[self.ready_word])
        self.config = self.configure(plane, name)

    def pending(self):
        self.sim.behave(statuses=self.waits[:1])

    def ready(self):
        for order in self.sim.orders.values():
            order["status"] = self.ready_word

    def refuse(self):
        self.sim.fault(self.places, 99, *self.refused)

    def wrong(self, how):
        self.sim.behave(statuses=[self.ready_word], how=how)

    def orders(self):
        return len(self.sim.orders)

    def times(self, fault):
        """How often the CA must answer so until the question has that answer."""
        return 1 + (self.let_in_anew if fault.get("status") == 401 else 0)

    def looked(self):
        """How often orders were looked up."""
        return self.sim.calls(self.lists)

    def revoked(self):
        """The reasons of those that are revoked there."""
        return [o["reason"] for o in self.sim.orders.values() if "reason" in o]

    def told(self):
        return self.sim.calls(self.revokes)

    def close(self):
        pass


class DigiCert(Rest):
    simulator, cancelled = DigiCertSim, "canceled"
    places, polls, lists = "POST /order", "GET /order/certificate/", "GET /order/certificate?"
    refusal = 'HTTP 400: "The organization is not known" (invalid_organization)'
    refused = 400, {"errors": [{"code": "invalid_organization", "message": "The organization is not known"}]}
    waits = ["pending", "processing", "needs_approval", "reissue_pending", "needs_csr", "waiting_pickup", "a_word_of_tomorrow"]
    ends = ["rejected", "denied", "canceled", "expired", "revoked"]
    not_yet = 'issued, but not to be fetched yet: HTTP 404: "The certificate is not available yet"'
    revokes, compromised, tests = "PUT /certificate/", "key_compromise", "GET /user/me"
    # Its list of pending orders: in how many calls one is found, a status that it does not have, entries a page; and one by itself.
    listed, found_in, unlisted, page, shows = "GET /order/certificate?filters%5Bstatus%5D=", 1, "processing", 500, "/order/certificate/"

    def configure(self, plane, name):
        return {"type": "DigiCert", "config": {"api_key": KEY, "org_id": str(ORGANISATION), "base_url": self.sim.url}}


class Sectigo(Rest):
    simulator, cancelled = SectigoSim, "Declined"
    places, polls, lists = "POST /ssl/v1/enroll", "GET /ssl/v1/8", "GET /ssl/v1?"
    refusal = 'HTTP 400: "The organization is not available for this user" (-9)'
    refused = 400, {"code": -9, "description": "The organization is not available for this user"}
    waits = ["Requested", "Init", "Approved", "Applied", "SAApproved", "Pending", "Unmanaged", "A word of tomorrow"]
    ends = ["Declined", "Invalid", "Rejected", "Revoked", "Expired", "Replaced", "Not Enrolled"]
    not_yet = 'issued, but not to be fetched yet: HTTP 400: "Being processed by Sectigo" (0)'
    revokes, compromised, tests = "POST /ssl/v1/revoke/", 1, "GET /ssl/v1/types"
    listed, found_in, unlisted, page, shows = "GET /ssl/v1?size=200&position=", 2, "Init", 200, "/ssl/v1/"

    def configure(self, plane, name):
        return {"type": "Sectigo", "config": {"customer_uri": sim_sectigo.CUSTOMER, "login": sim_sectigo.LOGIN, "cert_type": 31,
                                              "password": sim_sectigo.PASSWORD,
                                              "org_id": sim_sectigo.ORGANISATION, "base_url": self.sim.url}}


class Entrust(Rest):
    simulator, cancelled = EntrustSim, None
    ca = f"/v1/certificate-authorities/{sim_entrust.CA}"
    places, polls, lists = f"POST {ca}/enrollments", f"GET {ca}/enrollments/", f"GET {ca}/certificate-events"
    refusal = 'HTTP 422: "The names are not allowed" (invalid-names)'
    refused = 422, {"type": "ErrorResponse", "error": {"code": "invalid-names", "message": "The names are not allowed"}}
    waits = ["PENDING", "PROCESSING", "AWAITING_APPROVAL", "A_WORD_OF_TOMORROW"]
    ends = ["REJECTED", "denied", "Failed"]
    not_yet = "and works on it: ACCEPTED"
    revokes, compromised, tests = f"POST {ca}/certificates/", "keyCompromise", f"GET {ca}"

    def configure(self, plane, name):
        return {"type": "Entrust", "config": {"api_url": self.sim.url, "ca_id": sim_entrust.CA, "profile_id": sim_entrust.PROFILE,
                                              "approval": "none"} | plane.client}


class GlobalSign(Rest):
    simulator, cancelled, let_in_anew = GlobalSignSim, None, 1
    places, polls, lists = "POST /certificates", "GET /certificates/", "GET /stats/issued"
    refusal = 'HTTP 422: "The domain is not verified"'
    refused = 422, {"description": "The domain is not verified"}
    waits = ["202"]
    ends = ["REVOKED"]
    not_yet = "and works on it: HTTP 202"
    revokes, compromised, tests = "PATCH /certificates/", "keyCompromise", "GET /validationpolicy"
    knows_within_s = 60

    def configure(self, plane, name):
        return {"type": "GlobalSign", "config": {"api_url": self.sim.url, "api_key": sim_globalsign.KEY,
                                                 "api_secret": sim_globalsign.SECRET} | plane.client}


class AwsAcmPca(Rest):
    simulator, cancelled, look_up_places = AwsAcmPcaSim, None, True
    places, polls = "POST / IssueCertificate", "POST / GetCertificate"
    refusal = 'HTTP 400: "The CSR is malformed" (MalformedCSRException)'
    refused = 400, {"__type": "MalformedCSRException", "message": "The CSR is malformed"}
    waits = ["RequestInProgressException"]
    ends = ["RequestFailedException"]
    not_yet = "and works on it: RequestInProgressException"
    revokes, compromised, tests = "POST / RevokeCertificate", "KEY_COMPROMISE", "POST / DescribeCertificateAuthority"

    def looked(self):
        return self.sim.calls(self.places) - 1

    def configure(self, plane, name):
        return {"type": "AWSACMPCA", "config": {"region": sim_awsacmpca.REGION, "ca_arn": sim_awsacmpca.CA_ARN,
                                                "access_key_id": sim_awsacmpca.ACCESS_KEY, "base_url": self.sim.url,
                                                "secret_access_key": sim_awsacmpca.SECRET_KEY, "validity_days": 90}}


class GoogleCas(Rest):
    simulator, issues_at_once, let_in_anew = GoogleCasSim, True, 1
    pool = f"/{sim_googlecas.PARENT}"
    places, lists = f"POST {pool}/certificates?", f"GET {pool}/certificates/"
    refusal = 'HTTP 400: "The CSR is malformed" (INVALID_ARGUMENT)'
    refused = sim_googlecas.error(400, "INVALID_ARGUMENT", "The CSR is malformed")
    revokes, compromised, tests = f"POST {pool}/certificates/", "KEY_COMPROMISE", f"GET {pool}"

    def configure(self, plane, name):
        return {"type": "GoogleCAS", "config": {"project": sim_googlecas.PROJECT, "location": sim_googlecas.LOCATION, "ca_pool": sim_googlecas.POOL,
                                                "credentials": self.sim.credentials(), "ttl": "2160h", "base_url": self.sim.url,
                                                "token_url": self.sim.token_url}}


class Ejbca(Rest):
    simulator, issues_at_once = EjbcaSim, True
    places, lists = "POST /certificate/pkcs10enroll", "POST /certificate/search"
    refusal = 'HTTP 422: "The end entity profile does not allow it"'
    refused = sim_ejbca.error(422, "The end entity profile does not allow it")
    revokes, compromised, tests = "PUT /certificate/", "KEY_COMPROMISE", "GET /ca"

    def configure(self, plane, name):
        return {"type": "EJBCA", "config": {"api_url": self.sim.url, "ca_name": sim_ejbca.CA, "cert_profile": sim_ejbca.PROFILE,
                                            "ee_profile": sim_ejbca.ENTITY_PROFILE} | plane.client}


class GivenOnce(Rest):
    """One that answers an order with its certificate, and has none that could be found later (test_issuers_given_once.py)."""
    issues_at_once = True

    def looked(self):
        return 0


class Vault(GivenOnce):
    simulator = VaultSim
    places = f"POST /{sim_vault.MOUNT}/sign/"
    refusal = 'HTTP 400: "subject alternate name is not allowed by this role"'
    refused = 400, {"errors": ["subject alternate name is not allowed by this role"]}
    down = {"errors": ["Vault is sealed"]}
    revokes, compromised, tests = f"POST /{sim_vault.MOUNT}/revoke", "revoked", "GET /sys/health"

    def configure(self, plane, name):
        return {"type": "VaultPKI", "config": {"addr": self.sim.url, "token": sim_vault.TOKEN, "mount": sim_vault.MOUNT, "role": sim_vault.ROLE,
                                               "namespace": sim_vault.NAMESPACE}}


class StepCa(GivenOnce):
    simulator = StepCaSim
    places = "POST /1.0/sign"
    refusal = 'HTTP 400: "The certificate duration is not allowed"'
    refused = 400, {"status": 400, "message": "The certificate duration is not allowed"}
    down = {"status": 500, "message": "The certificate authority encountered an Internal Server Error."}
    revokes, compromised, tests = "POST /1.0/revoke", 1, "GET /health"

    def configure(self, plane, name):
        key = plane.dir / "clients" / f"{name}.json"
        key.write_text(self.sim.encrypted_key())
        key.chmod(0o600)
        return {"type": "StepCA", "config": {"ca_url": self.sim.entry, "provisioner_name": sim_stepca.PROVISIONER, "provisioner_key_path": str(key),
                                             "provisioner_password": sim_stepca.PASSWORD, "root_fingerprint": self.sim.fingerprint()}}


class Acme:
    outside, simulator = True, AcmeSim
    cancelled = "pending"  # it expires there: nobody finalizes it
    refusal = 'HTTP 400: "That name is forbidden" (rejectedIdentifier)'
    revokes, compromised, tests = "POST /revoke-cert", 1, "GET /directory"
    refuses_revocation = {"status": 403, "body": problem(403, "unauthorized", "Not by you")[1]}

    def __init__(self, plane, name):
        self.sim = plane.sims[type(self)]
        self.sim.reset()
        self.config = {"type": "ACME", "config": {"directory_url": self.sim.entry, "email": "ops@example.test", "http_port": plane.free_port()}}

    def pending(self):
        self.sim.behave(hold=True)

    def ready(self):
        self.sim.let_go()

    def refuse(self):
        self.sim.fault("POST /new-order", times=99, status=400, body=problem(400, "rejectedIdentifier", "That name is forbidden")[1])

    def wrong(self, how):
        self.sim.behave(how=how)

    def orders(self):
        return len(self.sim.orders)

    def revoked(self):
        return [o["reason"] for o in self.sim.orders.values() if "reason" in o]

    def times(self, fault):
        return 1

    def told(self):
        """Times that it was told of a revocation; a nonce that it refuses is not its being told."""
        return len([path for path, _ in self.sim.asked if path == "/revoke-cert"])

    def close(self):
        pass


CONNECTORS = {"local": Local, "openssl": Script, "digicert": DigiCert, "sectigo": Sectigo, "entrust": Entrust,
              "globalsign": GlobalSign, "acme": Acme, "awsacmpca": AwsAcmPca, "googlecas": GoogleCas, "ejbca": Ejbca, "vault": Vault, "stepca": StepCa}
OUTSIDE = [name for name, kind in CONNECTORS.items() if kind.outside]
REVOKE = [name for name, kind in CONNECTORS.items() if hasattr(kind, "revokes")]
GIVEN_ONCE = [name for name, kind in CONNECTORS.items() if issubclass(kind, GivenOnce)]
REST = [name for name, kind in CONNECTORS.items() if issubclass(kind, Rest) and name not in GIVEN_ONCE]
AT_ONCE = [name for name in REST if CONNECTORS[name].issues_at_once] + GIVEN_ONCE
POLLED = [name for name in REST if name not in AT_ONCE]
LISTED = [name for name in POLLED if hasattr(CONNECTORS[name], "listed")]  # many of its orders are asked for by one list
WORKS_ON_IT = [name for name in OUTSIDE if name not in AT_ONCE]  # its orders may take their time
GO_ON = ("openssl", "acme", *AT_ONCE)  # as far as they get by themselves


def start_simulators(fleet, days=2):
    """What they were given stands in fleet: trust (for so many days), client and sims, by class."""
    for name, mode in (("scripts", 0o755), ("clients", 0o700)):
        (fleet.dir / name).mkdir(mode=mode)
    fleet.trust = Trust(fleet.dir / "trust", days)
    fleet.client = client_pair(fleet.dir / "clients", fleet.trust)
    fleet.sims = {kind: kind.simulator(fleet.trust) for kind in CONNECTORS.values() if hasattr(kind, "simulator")}
    return {"CERTCTL_SCRIPT_ISSUER_DIR": str(fleet.dir / "scripts"), "CERTCTL_ISSUER_CA_FILE": str(fleet.trust.ca),
            "CERTCTL_ISSUER_CLIENT_DIR": str(fleet.dir / "clients"), "CERTCTL_ISSUER_ALLOW_LOOPBACK": "true",
            "CERTCTL_ISSUER_BASE_URLS": ",".join(url for sim in fleet.sims.values() for url in sim.entries)}
