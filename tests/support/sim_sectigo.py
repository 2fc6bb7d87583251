"""
Sectigo Certificate Manager's REST API for SSL certificates as far as an issuer needs it, on this host (sim_ca.py).

    sim = SectigoSim(trust)
    sim.not_ready_code    what a collection says of a certificate that is still being made
"""
from cryptography import x509

from sim_ca import OrderSim, pem

CUSTOMER, LOGIN, PASSWORD = "example-corp", "certctl-api", "sectigo-secret-password"
ORGANISATION = 7001
TYPES = {31: [90, 199, 365], 32: [30]}


def error(status, code, description):
    return status, {"code": code, "description": description}


class SectigoSim(OrderSim):
    base, name, first_id, issued = "/api", "Sectigo", 8001, "Issued"
    statuses = "Requested", "Approved", "Applied", "Issued"
    not_ready_code = 0

    def handle(self, method, path, headers, body):
        if (headers.get("customerUri"), headers.get("login"), headers.get("password")) != (CUSTOMER, LOGIN, PASSWORD):
            return error(401, -16, "Unknown user")
        return self.dispatch((
            ("GET", "/ssl/v1/types", self.types), ("POST", "/ssl/v1/enroll", self.enroll), ("GET", "/ssl/v1", self.list),
            ("GET", r"/ssl/v1/(\d+)", self.show), ("GET", r"/ssl/v1/collect/(\d+)/(\w+)", self.collect),
            ("POST", r"/ssl/v1/decline/(\d+)", self.decline), ("POST", r"/ssl/v1/revoke/(\d+)", self.revoke),
            ("POST", r"/ssl/v1/revoke/serial/([0-9A-Fa-f:]+)", self.revoke_serial)), method, path, body) or error(404, -1, "Not found")

    def types(self, body, query):
        return 200, [{"id": number, "name": f"SSL type {number}", "description": "", "terms": terms, "keyTypes": {"RSA": ["2048"]},
                      "useSecondaryOrgName": False} for number, terms in TYPES.items()]

    def enroll(self, body, query):
        try:
            csr = x509.load_pem_x509_csr(body["csr"].encode())
        except (KeyError, ValueError):
            return error(400, -1002, "The CSR is not valid Base-64 data")
        if body.get("orgId") != ORGANISATION:
            return error(400, -9, "The organization is not available for this user")
        if body.get("certType") not in TYPES:
            return error(400, -105, "The certificate type is not available for the organization")
        if body.get("term") not in TYPES[body["certType"]]:
            return error(400, -106, "The term is not valid for the certificate type")
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        if sorted(body.get("subjAltNames", "").split(",")) != sorted(names):
            return error(400, -1003, "The alternative names are not those of the CSR")
        number = next(self.ids)
        self.take(number, csr, body["term"], cn=names[0], names=names, comments=body.get("comments", ""), type=body["certType"])
        return 200, {"sslId": number, "renewId": f"renew{number}"}

    def list(self, body, query):
        """By a part of the common name, the status, or both; it does not say the status of each."""
        wanted, status = query.get("commonName", [""])[0], query.get("status", [None])[0]
        size, position = int(query.get("size", ["20"])[0]), int(query.get("position", ["0"])[0])
        if not 1 <= size <= 200 or position < 0:
            return error(400, -1, "The page is not valid")
        found = [n for n, o in self.orders.items() if self.known(n) and wanted in o["cn"] and status in (None, self.status(o))]
        return 200, [{"sslId": n, "commonName": self.orders[n]["cn"], "subjectAlternativeNames": self.orders[n]["names"], "serialNumber": ""}
                     for n in found[position:position + size]], {"X-Total-Count": str(len(found))}

    def show(self, number, body, query):
        number = int(number)
        if not self.known(number):
            return error(404, -1, "The certificate is not found")
        order = self.orders[number]
        answer = {"sslId": number, "id": number, "commonName": order["cn"], "orgId": ORGANISATION, "status": self.status(order),
                  "comments": order["comments"], "term": order["days"], "certType": {"id": order["type"]}, "vendor": "Sectigo Limited",
                  "requested": order["taken"].strftime("%m/%d/%Y")}
        order["looks"] += 1
        return 200, answer

    def collect(self, number, form, body, query):
        number = int(number)
        if not self.known(number):
            return error(404, -1, "The certificate is not found")
        if form != "pem":
            return error(400, -1450, "The format is not supported")
        if not self.is_ready(self.orders[number]):
            return error(400, self.not_ready_code, "Being processed by Sectigo")
        leaf, issuer, root = self.chain(self.orders[number])
        return 200, pem(root) + pem(issuer) + pem(leaf)  # nobody promised an order

    def decline(self, number, body, query):
        if not self.known(int(number)):
            return error(404, -1, "The certificate is not found")
        order = self.orders[int(number)]
        if not body.get("message"):
            return error(400, -105, "The message is missing")
        if self.status(order) != "Requested":
            return error(400, -1400, "The request is not awaiting approval")
        order["status"] = "Declined"
        return 204, None

    def revoke(self, number, body, query):
        number = int(number)
        if not self.known(number):
            return error(404, -1, "The certificate is not found")
        order = self.orders[number]
        if not body.get("reason") or body.get("reasonCode") not in (0, 1, 3, 4, 5):
            return error(400, -105, "The reason is missing or unknown")
        if self.status(order) != "Issued":
            return error(400, -1401, "The certificate is not in the state Issued")
        order["status"], order["reason"] = "Revoked", body["reasonCode"]
        return 204, None

    def revoke_serial(self, serial, body, query):
        serial = int(serial.replace(":", ""), 16)
        found = [n for n, o in self.orders.items() if o["leaf"] and o["leaf"].serial_number == serial]
        return self.revoke(found[0], body, query) if found else error(404, -1, "The certificate is not found")
