"""
Vault's PKI secrets engine, and the token store that lets in, as far as an issuer needs them, on this host (sim_ca.py).

    sim = VaultSim(trust)
    sim.role                  what the role allows: its longest life, in seconds, and the domain of names
    sim.token                 the one token: its time to live, whether it can be renewed, and how often it was
    sim.end()                 the token has ended
"""
import re
import time

from cryptography import x509

from sim_ca import OrderSim, pem

TOKEN, MOUNT, ROLE, NAMESPACE = "hvs.0123456789-token", "pki_int", "servers", "team/a"
ROLE_RULES = {"max_ttl": 400 * 86400, "domain": ".example.test"}


def error(status, *texts):
    return status, {"errors": list(texts)}


def colons(serial):
    text = f"{serial:X}".lower()
    text = "0" * (len(text) % 2) + text
    return ":".join(text[i:i + 2] for i in range(0, len(text), 2))


def seconds(text):
    found = re.fullmatch(r"(\d+)s", text or "")
    return int(found[1]) if found else 0


class VaultSim(OrderSim):
    base, name, issued = "/v1", "Vault", "issued"
    statuses = ("issued",)
    front = ""

    def __init__(self, trust):
        self.role = ROLE_RULES
        super().__init__(trust)
        self.reset()

    def reset(self):
        super().reset()
        self.role = dict(ROLE_RULES)
        self.token = {"ttl": 0, "renewable": False, "renewals": 0, "ended": False}

    def end(self):
        self.token["ended"] = True

    def handle(self, method, path, headers, body):
        if path == "/v1/sys/health":
            return 200, {"initialized": True, "sealed": False, "standby": False}
        if headers.get("X-Vault-Token") != TOKEN or self.token["ended"]:
            return error(403, "permission denied")
        if headers.get("X-Vault-Request") != "true":
            return error(412, "missing required header X-Vault-Request")
        if headers.get("X-Vault-Namespace", NAMESPACE) != NAMESPACE:
            return error(404, "no handler for route")
        return self.dispatch((
            ("GET", "/auth/token/lookup-self", self.look_up_token), ("POST", "/auth/token/renew-self", self.renew_token),
            ("POST", rf"/{MOUNT}/sign/([^/]+)", self.sign), ("POST", f"/{MOUNT}/revoke", self.revoke),
            ("GET", f"/{MOUNT}/cert/([0-9a-f:-]+|[0-9a-f%A]+)", self.show)), method, path, body) or error(404, f'no handler for route "{path}"')

    def look_up_token(self, body, query):
        return 200, {"data": {"ttl": self.token["ttl"], "renewable": self.token["renewable"], "policies": ["certctl"]}}

    def renew_token(self, body, query):
        if not self.token["renewable"]:
            return error(400, "lease is not renewable")
        self.token["renewals"] += 1
        return 200, {"auth": {"lease_duration": self.token["ttl"], "renewable": True, "policies": ["certctl"]}}

    def sign(self, role, body, query):
        if role != ROLE:
            return error(400, f"unknown role: {role}")
        try:
            csr = x509.load_pem_x509_csr(body["csr"].encode())
        except (KeyError, ValueError):
            return error(400, "the CSR could not be parsed")
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for name in names.get_values_for_type(x509.DNSName):
            if not name.endswith(self.role["domain"]):
                return error(400, f"subject alternate name {name} not allowed by this role")
        if not body.get("common_name"):
            return error(400, "the common_name field is required, or must be provided in a CSR with \"use_csr_common_name\" set to true")
        life = seconds(body.get("ttl"))
        if not 0 < life <= self.role["max_ttl"]:
            return error(400, f"cannot satisfy request, as TTL would result in a longer life than {self.role['max_ttl']}s")
        order = self.take(len(self.orders) + 1, csr, life / 86400, sent=body)
        leaf, *above = self.chain(order)
        return 200, {"data": {"certificate": pem(leaf).strip(), "issuing_ca": pem(above[0]).strip(), "ca_chain": [pem(c).strip() for c in above],
                              "serial_number": colons(leaf.serial_number), "expiration": int(time.time() + life)}}

    def find(self, serial):
        serial = serial.replace("%3A", ":").replace("-", ":")
        return next((o for n, o in self.orders.items() if self.known(n) and colons(o["leaf"].serial_number) == serial), None)

    def revoke(self, body, query):
        order = self.find(body.get("serial_number", ""))
        if not order:
            return error(400, f"certificate with serial {body.get('serial_number')} not found.")
        order.setdefault("reason", "revoked")
        order.setdefault("revoked_at", int(time.time()))
        return 200, {"data": {"revocation_time": order["revoked_at"], "state": "revoked"}}

    def show(self, serial, body, query):
        order = self.find(serial)
        if not order:
            return error(404)
        return 200, {"data": {"certificate": pem(order["leaf"]), "revocation_time": order.get("revoked_at", 0)}}
