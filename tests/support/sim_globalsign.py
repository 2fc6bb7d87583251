"""
GlobalSign Atlas HVCA, version 2 of its API, as far as an issuer needs it, on this host (sim_ca.py); it asks for a client
certificate of trust's CA.

    sim = GlobalSignSim(trust)
    sim.policy                the account's validation policy
    sim.expire()              the tokens that it gave are good no more
    sim.issue_others(n)       so many are issued to somebody else, of the same account; their serial numbers
"""
import itertools
import re
import ssl
import time

from cryptography import x509

from sim_ca import OrderSim, pem, request_for

KEY, SECRET = "0123456789abcdef", "fedcba9876543210fedcba9876543210fedcba98"
POLICY = {"validity": {"secondsmin": 3600, "secondsmax": 90 * 86400}, "subject_dn": {"common_name": {"presence": "OPTIONAL", "format": "^.*$"}},
          "san": {"dns_names": {"static": False, "mincount": 1, "maxcount": 100, "list": ["^.*$"]}},
          "extended_key_usages": {"ekus": {"static": True, "list": ["1.3.6.1.5.5.7.3.1"]}, "critical": False},
          "public_key": {"key_type": "ECDSA", "allowed_lengths": [256, 384], "key_format": "PKCS10"}, "public_key_signature": "FORBIDDEN"}


def error(status, description):
    return status, {"description": description}, {"Content-Type": "application/problem+json"}


class GlobalSignSim(OrderSim):
    base, name, first_id, issued = "/v2", "GlobalSign", 1, "ISSUED"
    statuses = "202", "202", "ISSUED"

    def __init__(self, trust):
        self.tokens, self.policy, self.logins = set(), POLICY, itertools.count(1)
        super().__init__(trust)

    def make_context(self, trust):
        context = trust.context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(trust.ca)
        return context

    def reset(self):
        super().reset()
        self.policy = POLICY

    def expire(self):
        self.tokens.clear()

    def issue_others(self, n):
        request, serials = request_for("somebody.else.example"), []
        with self.lock:
            for _ in range(n):
                order = self.take("", request, 30, placed=int(time.time()))
                del self.orders[""]
                order["status"] = self.issued
                serials.append(f"{self.chain(order)[0].serial_number:X}")
                self.orders[serials[-1]] = order
        return serials

    def handle(self, method, path, headers, body):
        if (method, path) == ("POST", "/v2/login"):
            return self.login(body)
        if headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return error(401, "The token is not valid")
        return self.dispatch((
            ("GET", "/validationpolicy", lambda body, query: (200, self.policy)), ("POST", "/certificates", self.order),
            ("GET", "/certificates/([0-9A-F]+)", self.show), ("PATCH", "/certificates/([0-9A-F]+)", self.revoke),
            ("GET", "/trustchain", lambda body, query: (200, [pem(self.ca.intermediate), pem(self.ca.root)])),
            ("GET", "/stats/issued", self.stats)), method, path, body) or error(404, "There is nothing at this path")

    def login(self, body):
        if not body or (body.get("api_key"), body.get("api_secret")) != (KEY, SECRET):
            return error(401, "The key or its secret is wrong")
        token = f"token-{next(self.logins)}"
        self.tokens.add(token)
        return 200, {"access_token": token}

    def order(self, body, query):
        try:
            csr = x509.load_pem_x509_csr(body["public_key"].encode())
        except (KeyError, ValueError):
            return error(422, "public_key is no PKCS#10 request")
        for rule, given in (((self.policy["subject_dn"]["common_name"]["presence"] in ("STATIC", "FORBIDDEN"), "common_name" in body.get("subject_dn", {})),
                             (self.policy["san"]["dns_names"]["static"], "dns_names" in body.get("san", {})),
                             (self.policy["extended_key_usages"]["ekus"]["static"], "extended_key_usages" in body))):
            if rule and given:
                return error(422, "The policy sets what the request says")
        validity = body.get("validity", {})
        life = validity.get("not_after", 0) - validity.get("not_before", 0)
        most = self.policy["validity"]["secondsmax"]
        if validity.get("not_after") != 0 and not 0 < life <= most:
            return error(422, "The validity is longer than the policy allows")
        order = self.take("", csr, (life if validity["not_after"] else most) / 86400, placed=int(time.time()))
        del self.orders[""]
        serial = f"{self.chain(order)[0].serial_number:X}"
        self.orders[serial] = order
        return 201, None, {"Location": f"{self.url}/certificates/{serial}"}

    def show(self, serial, body, query):
        if not self.known(serial):
            return error(404, "The certificate is not known")
        order = self.orders[serial]
        status = self.status(order)
        ready = status == "REVOKED" or self.is_ready(order)
        order["looks"] += 1
        if not ready:
            return 202, None
        return 200, {"certificate": pem(self.chain(order)[0]), "status": status, "updated_at": int(time.time())}

    def stats(self, body, query):
        first, last = int(query["from"][0]), int(query["to"][0])
        size, page = int(query["per_page"][0]), int(query["page"][0])
        if not 1 <= size <= 100 or page < 1:
            return error(422, "The page is not valid")
        found = [s for s, o in self.orders.items() if self.known(s) and self.status(o) in (self.issued, "REVOKED") and first <= o["placed"] <= last]
        return (200, [{"serial_number": s, "not_before": self.orders[s]["placed"], "not_after": 0} for s in found][(page - 1) * size:page * size],
                {"Total-Count": str(len(found))})

    def revoke(self, serial, body, query):
        if not self.known(serial):
            return error(404, "The certificate is not known")
        order = self.orders[serial]
        if self.status(order) == "REVOKED":
            return error(422, "The certificate is revoked")
        if not re.fullmatch("[a-zA-Z]+", body.get("revocation_reason", "")) or not body.get("revocation_time"):
            return error(422, "The reason or the time is missing")
        order["status"], order["reason"] = "REVOKED", body["revocation_reason"]
        return 204, None
