"""
Entrust CA Gateway's API as far as an issuer needs it, on this host (sim_ca.py); it asks for a client certificate of trust's CA.

    sim = EntrustSim(trust)
    sim.flat = True           answers of the older form: {trackingId, status, certificate}
    sim.behave(instant=True)  a profile that wants nobody's approval: the certificate comes with the answer
    sim.page = n              so many events a page
"""
import base64
import json
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sim_ca import OrderSim

CA, PROFILE = "CA-1001", "TLS-SERVER"


def error(status, code, message):
    return status, {"type": "ErrorResponse", "error": {"code": code, "message": message, "target": "request"}}


def data(certificate):
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


class EntrustSim(OrderSim):
    base, name, first_id, issued = "/cagw", "Entrust", 501, "ACCEPTED"
    statuses = "PENDING", "PROCESSING", "ACCEPTED"
    flat, page = False, 50

    def make_context(self, trust):
        context = trust.context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(trust.ca)
        return context

    def reset(self):
        super().reset()
        self.flat, self.page = False, 50

    def handle(self, method, path, headers, body):
        ca = f"/v1/certificate-authorities/({CA})"
        return self.dispatch((
            ("GET", ca, self.show_ca), ("POST", ca + "/enrollments", self.enroll), ("GET", ca + r"/enrollments/([\w-]+)", self.show),
            ("GET", ca + "/certificate-events", self.events), ("GET", ca + "/certificates/([0-9a-fA-F]+)", self.show_certificate),
            ("POST", ca + "/certificates/([0-9a-fA-F]+)/actions", self.act)), method, path, body) or error(404, "not-found", "There is no such thing")

    def show_ca(self, ca, body, query):
        return 200, {"type": "CertificateAuthorityResponse", "certificateAuthority": {
            "id": ca, "name": "Simulated", "certificate": {"certificateData": data(self.ca.intermediate)},
            "chain": [{"certificateData": data(self.ca.root)}]}}

    def enroll(self, ca, body, query):
        if body.get("profileId") != PROFILE:
            return error(400, "invalid-profile", "The profile is not known")
        try:
            csr = x509.load_der_x509_csr(base64.b64decode(body["csr"], validate=True))
        except (KeyError, ValueError):
            return error(400, "invalid-csr", "The CSR is no base64 of DER")
        names = [n["value"] for n in body.get("subjectAltNames", []) if n["type"] == "dNSName"]
        wanted = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        if sorted(names) != sorted(wanted) or body.get("requiredFormat") != {"format": "PEM"}:
            return error(422, "invalid-names", "The alternative names are missing")
        number = f"enr-{next(self.ids)}"
        self.take(number, csr, 90, details=body.get("optionalCertificateRequestDetails"))
        return 201, self.shown(number, None if self.instant else "PENDING")

    def shown(self, number, status=None):
        order = self.orders[number]
        status = status or self.status(order)
        is_out = status == self.issued and self.is_ready(order)
        leaf = self.chain(order)[0].public_bytes(serialization.Encoding.PEM).decode() if is_out else None
        if self.flat:
            return {"trackingId": number, "status": status, "certificate": leaf or ""}
        return {"type": "EnrollmentResponse", "enrollment": {"id": number, "status": status} | ({"body": leaf} if leaf else {}),
                "message": {"message": "", "details": []}}

    def show(self, ca, number, body, query):
        if not self.known(number):
            return error(404, "not-found", "The enrollment is not known")
        answer = self.shown(number)
        self.orders[number]["looks"] += 1
        return 200, answer

    def events(self, ca, body, query):
        """Those of certificates that were issued: enrolments that wait are not among them."""
        assert query["startDate"][0].endswith("Z")
        issued = [o for n, o in self.orders.items() if self.known(n) and self.status(o) in (self.issued, "REVOKED")]
        start = int(query.get("nextPageIndex", ["0"])[0])
        return 200, {"type": "CertificateEventsResponse", "morePages": len(issued) > start + self.page, "nextPageIndex": str(start + self.page),
                     "events": [{"action": "issued", "eventDate": "2026-01-01T00:00:00Z", "serialNumber": f"{self.chain(o)[0].serial_number:x}",
                                 "certificate": data(self.chain(o)[0])} for o in issued[start:start + self.page]]}

    def of_serial(self, serial):
        found = [o for o in self.orders.values() if o["leaf"] and o["leaf"].serial_number == int(serial, 16)]
        return found[0] if found else None

    def show_certificate(self, ca, serial, body, query):
        order = self.of_serial(serial)
        if order is None:
            return error(404, "not-found", "The certificate is not known")
        return 200, {"certificate": {"serialNumber": serial, "status": "REVOKED" if order["status"] == "REVOKED" else "ACTIVE",
                                     "certificateData": data(order["leaf"])}}

    def act(self, ca, serial, body, query):
        order = self.of_serial(serial)
        if order is None:
            return error(404, "not-found", "The certificate is not known")
        if order["status"] == "REVOKED":
            return error(409, "already-revoked", "The certificate is revoked")
        if body["action"]["type"] != "RevokeAction":
            return error(400, "invalid-action", "The action is not known")
        order["status"], order["reason"] = "REVOKED", body["action"]["reason"]
        return 200, {"type": "ActionResponse", "action": body["action"]}
