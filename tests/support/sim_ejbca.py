"""
EJBCA's REST API, version 1, as far as an issuer needs it, on this host (sim_ca.py): it asks for a client certificate of trust's CA, or
takes a bearer token.

    sim = EjbcaSim(trust)
    sim.approvals = True      requests wait for one
    sim.chains = False             answers have no certificate_chain
    sim.most_found = n             a search gives no more, whatever it is asked for
    sim.issue_others(user, [3, 4]) two are issued to that end entity, for another key, that begin so many minutes ago
    sim.approve(); sim.decide("REJECTED")     all that waits
"""
import base64
import datetime
import itertools
import ssl
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sim_ca import OrderSim, pem, request_for

CA, PROFILE, ENTITY_PROFILE, TOKEN = "Simulated CA", "SERVER", "servers", "an-access-token.of-the.simulator"
REASONS = ("UNSPECIFIED", "KEY_COMPROMISE", "CA_COMPROMISE", "AFFILIATION_CHANGED", "SUPERSEDED", "CESSATION_OF_OPERATION",
           "CERTIFICATE_HOLD", "PRIVILEGES_WITHDRAWN", "AA_COMPROMISE")


def error(status, message):
    return status, {"error_code": status, "error_message": message}


def der(certificate):
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


class EjbcaSim(OrderSim):
    base, name, first_id = "/ejbca/ejbca-rest-api/v1", "EJBCA", 1
    statuses, back_minutes = ("issued",), 10  # as its profiles have it, unless they say otherwise

    def __init__(self, trust):
        self.entities, self.requests = {}, itertools.count(810000001)
        self.usual()
        super().__init__(trust)
        # As EJBCA writes it, with a comma and spaces that a path must not have.
        self.dn = self.ca.intermediate.subject.rfc4514_string() + ", O=Sims & Sons"

    def usual(self):
        self.approvals, self.chains, self.approves_revocations, self.most_found = False, True, False, 1000

    def reset(self):
        super().reset()
        self.entities.clear()
        self.usual()

    def make_context(self, trust):
        context = trust.context()
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(trust.ca)
        return context

    def issue_others(self, user, minutes):
        request = request_for("somebody.else.example")
        with self.lock:
            for back in minutes:
                order = self.take(str(next(self.requests)), request, 90, user=user)
                order["leaf"] = self.ca.leaf(request, 90, back_minutes=back)

    def decide(self, word):
        for order in self.orders.values():
            order["status"] = word

    def approve(self):
        self.decide("issued")

    def handle(self, method, path, headers, body):
        bearer = headers.get("Authorization", "")
        if bearer != f"Bearer {TOKEN}" and (bearer or not self.has_client_certificate):
            return error(403, "Not authorized")
        return self.dispatch((
            ("GET", "/ca", self.cas), ("GET", "/ca/([^/]+)/certificate/download", self.download),
            ("POST", "/certificate/pkcs10enroll", self.enroll), ("POST", "/certificate/(-?[0-9]+)/finalize", self.finalize),
            ("POST", "/certificate/search", self.search), ("PUT", "/certificate/([^/]+)/([0-9a-fA-F]+)/revoke", self.revoke),
            ("GET", "/certificate/([^/]+)/([0-9a-fA-F]+)/revocationstatus", self.show_revocation)),
            method, path, body) or error(404, "There is nothing at this path")

    def cas(self, body, query):
        return 200, {"certificate_authorities": [
            {"id": 1, "name": "ManagementCA", "subject_dn": "CN=ManagementCA", "issuer_dn": "CN=ManagementCA"},
            {"id": 2, "name": CA, "subject_dn": self.dn, "issuer_dn": self.ca.root.subject.rfc4514_string()}]}

    def download(self, dn, body, query):
        if unquote(dn) != self.dn:
            return error(404, f"CA with DN: {unquote(dn)} does not exist.")
        return 200, pem(self.ca.intermediate) + pem(self.ca.root), {"Content-Type": "application/octet-stream"}

    def enroll(self, body, query):
        try:
            csr = x509.load_pem_x509_csr(body["certificate_request"].encode())
        except (KeyError, ValueError):
            return error(400, "Invalid certificate request")
        if body.get("certificate_authority_name") != CA:
            return error(404, f"CA with name {body.get('certificate_authority_name')} doesn't exist")
        if (body.get("certificate_profile_name"), body.get("end_entity_profile_name")) != (PROFILE, ENTITY_PROFILE):
            return error(422, "Profile is not found")
        user, subject = body.get("username", ""), csr.subject.rfc4514_string()
        if not user or not body.get("password"):
            return error(422, "Username and password are required")
        others = [u for u, (dn, _) in self.entities.items() if dn == subject and u != user]
        if others:
            return error(422, f"User '{user}' is not allowed to use same subject DN as user(s) {others}")
        if any(o["status"] == "WAITING" and o["user"] == user and user for o in self.orders.values()):
            return error(400, "There already exists an approval request for this end entity")
        self.entities[user] = subject, body["password"]
        number = str(next(self.requests))
        order = self.take(number, csr, 90, user=user, password=body["password"], body=body)
        if self.approvals:
            order["status"] = "WAITING"
            return self.waits(number)
        return self.issue(order, body.get("include_chain"))

    def waits(self, number):
        return 202, {"status_code": 202, "info_message": "The request has been added for approval", "request_id": int(number),
                     "link": f"{self.url}/certificate/{number}/finalize"}

    def issue(self, order, with_chain):
        leaf, *above = self.chain(order)
        return 201, {"certificate": der(leaf), "serial_number": f"{leaf.serial_number:X}", "response_format": "DER"} | (
            {"certificate_chain": [der(c) for c in above]} if with_chain and self.chains else {})

    def finalize(self, number, body, query):
        if not self.known(number):
            return error(404, f"Could not find request with Id {number}")
        order = self.orders[number]
        status = self.status(order)
        if status == "WAITING":
            return self.waits(number)
        if status != self.issued:
            return error(400, f"Request with Id {number} is {status}")
        if body.get("password") != order["password"] or body.get("response_format") != "DER":
            return error(403, "Wrong enrollment code")
        return self.issue(order, False)

    def search(self, body, query):
        """By the date of issue it means notBefore; neither bound is part of what is searched."""
        user, after, before = None, None, None
        for criterion in body.get("criteria", []):
            what, value = (criterion["property"], criterion["operation"]), criterion["value"]
            if what == ("QUERY", "EQUAL"):
                user = value
            elif what in (("ISSUED_DATE", "AFTER"), ("ISSUED_DATE", "BEFORE")):
                at = datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
                after, before = (at, before) if what[1] == "AFTER" else (after, at)
            else:
                return error(400, "The search is malformed")
        most = body.get("max_number_of_results", 0)
        if not 0 < most <= 1000 or not user:
            return error(400, "The search is malformed")
        found = [o["leaf"] for n, o in self.orders.items() if self.known(n) and o["leaf"] and o["user"] == user
                 and (not after or o["leaf"].not_valid_before > after) and (not before or o["leaf"].not_valid_before < before)]
        most = min(most, self.most_found)
        return 200, {"certificates": [{"certificate": der(c), "serial_number": f"{c.serial_number:X}", "response_format": "DER",
                                       "certificate_profile": PROFILE, "end_entity_profile": ENTITY_PROFILE} for c in found[:most]],
                     "more_results": len(found) > most}

    def of_serial(self, dn, serial):
        for number, order in self.orders.items():
            if unquote(dn) == self.dn and self.known(number) and order["leaf"] and order["leaf"].serial_number == int(serial, 16):
                return order
        return None

    def revoke(self, dn, serial, body, query):
        order, reason = self.of_serial(dn, serial), query.get("reason", [""])[0]
        if not order:
            return error(404, "Certificate not found")
        if reason not in REASONS:
            return error(400, "Invalid revocation reason")
        if "reason" in order:
            return error(409, "Certificate has previously been revoked")
        if self.approves_revocations:
            self.approves_revocations = order
            return 202, {"status_code": 202, "info_message": "The request to revoke has been added for approval", "request_id": 4}
        order["reason"] = reason
        return 200, {"issuer_dn": self.dn, "serial_number": serial, "revocation_reason": reason, "revoked": True, "message": "Successfully revoked"}

    def show_revocation(self, dn, serial, body, query):
        order = self.of_serial(dn, serial)
        if not order:
            return error(404, "Certificate not found")
        return 200, {"issuer_dn": self.dn, "serial_number": serial, "revoked": "reason" in order}
