"""
DigiCert CertCentral's Services API as far as an issuer needs it, on this host (sim_ca.py).

    sim = DigiCertSim(trust)
    sim.behave(instant=True)    orders are answered with their certificate
"""
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sim_ca import OrderSim, pem

KEY = "dc-0123456789-key"
ORGANISATION = 4321
LONGEST_DAYS = 199
LISTED = ("pending", "issued", "rejected", "revoked", "waiting_pickup", "reissue_pending", "canceled")  # statuses that a list is asked for by
REASONS = ("unspecified", "key_compromise", "affiliation_changed", "superseded", "cessation_of_operation")


def error(status, code, message):
    return status, {"errors": [{"code": code, "message": message}]}


class DigiCertSim(OrderSim):
    base, name, first_id = "/services/v2", "DigiCert", 100001

    def handle(self, method, path, headers, body):
        if headers.get("X-DC-DEVKEY") != KEY:
            return error(401, "access_denied|invalid_api_key", "The API key is not valid")
        return self.dispatch((
            ("GET", r"/user/me", self.me), ("POST", r"/order/certificate/([a-z0-9_]+)", self.place),
            ("GET", r"/order/certificate", self.list), ("GET", r"/order/certificate/(\d+)", self.show),
            ("PUT", r"/order/certificate/(\d+)/status", self.cancel),
            ("PUT", r"/certificate/([0-9A-Fa-f]+)/revoke", self.revoke),
            ("GET", r"/certificate/(\d+)/download/format/(pem_all|pem_noroot)", self.download)),
            method, path, body) or error(404, "not_found", "There is nothing at this path")

    def me(self, body, query):
        return 200, {"id": 7, "username": "certctl", "status": "active", "type": "standard"}

    def place(self, product, body, query):
        certificate = body.get("certificate", {})
        try:
            csr = x509.load_pem_x509_csr(certificate["csr"].encode())
        except (KeyError, ValueError):
            return error(400, "invalid_csr", "The CSR could not be read")
        if not certificate.get("common_name") or not certificate.get("dns_names"):
            return error(400, "invalid_common_name", "The common name is missing")
        if body.get("organization", {}).get("id") != ORGANISATION:
            return error(400, "invalid_organization", "The organization is not known")
        days = body.get("order_validity", {}).get("days", 0)
        if not 1 <= days <= LONGEST_DAYS:
            return error(400, "invalid_validity", f"The validity is not 1 to {LONGEST_DAYS} days")
        number = next(self.ids)
        order = self.take(number, csr, days, product=product, cn=certificate["common_name"], names=certificate["dns_names"],
                          comments=body.get("comments"))
        answer = {"id": number, "requests": [{"id": number + 500000, "status": "pending"}]}
        if self.instant:
            order["statuses"] = ["issued"]
            answer |= {"certificate_id": number + 900000, "requests": [{"id": number + 500000, "status": "approved"}],
                       "certificate_chain": [{"subject_common_name": c.subject.rfc4514_string(), "pem": pem(c)} for c in self.chain(order)]}
        return 201, answer

    def shown(self, number, with_csr):
        order = self.orders[number]
        status = self.status(order)
        certificate = {"common_name": order["cn"], "dns_names": order["names"], "signature_hash": "sha256"}
        if with_csr: # in lines of another length, as nobody promised otherwise
            body = "".join(order["csr"].public_bytes(serialization.Encoding.PEM).decode().splitlines()[1:-1])
            certificate["csr"] = f"-----BEGIN CERTIFICATE REQUEST-----\r\n{body}\r\n-----END CERTIFICATE REQUEST-----"
        if status == "issued":
            certificate |= {"id": number + 900000, "serial_number": f"{self.chain(order)[0].serial_number:X}",
                            "status": "revoked" if "reason" in order else "issued"}
        return {"id": number, "status": status, "date_created": order["taken"].isoformat(timespec="seconds"), "certificate": certificate, "organization": {"id": ORGANISATION},
                "order_validity": {"days": order["days"]}, "product": {"name_id": order["product"]}}

    def show(self, number, body, query):
        number = int(number)
        if not self.known(number):
            return error(404, "not_found", "The order is not known")
        answer = self.shown(number, True)
        self.orders[number]["looks"] += 1
        return 200, answer

    def list(self, body, query):
        """The newest first, a page of them; by their common name, their status, or both."""
        name, status = (query.get(f"filters[{of}]", [None])[0] for of in ("common_name", "status"))
        limit, offset = int(query.get("limit", ["1000"])[0]), int(query.get("offset", ["0"])[0])
        if not 1 <= limit <= 1000 or offset < 0 or status not in (None, *LISTED) or query.get("sort") != ["-date_created"]:
            return error(400, "invalid_parameter", "The list can't be had so")
        found = [n for n in sorted(self.orders, reverse=True) if self.known(n) and name in (None, self.orders[n]["cn"])
                 and status in (None, self.status(self.orders[n]))]
        return 200, {"orders": [self.shown(n, False) for n in found[offset:offset + limit]],
                     "page": {"total": len(found), "limit": limit, "offset": offset}}

    def cancel(self, number, body, query):
        if not self.known(int(number)):
            return error(404, "not_found", "The order is not known")
        if body.get("status") != "CANCELED" or not body.get("note"):
            return error(400, "invalid_status", "status must be CANCELED, with a note")
        order = self.orders[int(number)]
        if self.status(order) == "issued":
            return error(400, "order_issued", "The order is issued and cannot be canceled")
        order["status"] = "canceled"
        return 204, None

    def download(self, certificate, form, body, query):
        number = int(certificate) - 900000
        if not self.known(number) or self.status(self.orders[number]) != "issued":
            return error(404, "not_found", "The certificate is not issued")
        if not self.is_ready(self.orders[number]):
            return error(404, "not_found", "The certificate is not available yet")
        chain = self.chain(self.orders[number])
        return 200, "".join(pem(c) for c in (chain[:-1] if form == "pem_noroot" else chain))

    def revoke(self, certificate, body, query):
        """By its id or its serial number.  An order whose "approval" is awaited is revoked when approve() was called."""
        found = [o for n, o in self.orders.items() if o["leaf"] and (certificate == str(n + 900000) or int(certificate, 16) == o["leaf"].serial_number)]
        if not found:
            return error(404, "not_found", "The certificate is not known")
        if body.get("revocation_reason") not in REASONS or body.get("skip_approval") is not True:
            return error(400, "invalid_reason", "The reason is not known")
        if "reason" in found[0]:
            return error(400, "certificate_revoked", "The certificate is already revoked")
        if found[0].get("approval"):
            found[0]["asked"] = body["revocation_reason"]
            return 201, {"id": 1, "type": "revoke", "status": "pending", "comments": body.get("comments")}
        found[0]["reason"] = body["revocation_reason"]
        return 204, None

    def approve(self):
        for order in self.orders.values():
            order["reason"] = order["asked"]
