"""
Google Certificate Authority Service, version 1 of its API, with the token server beside it, on this host (sim_ca.py): the signature
of a service account's token is verified.

    sim = GoogleCasSim(trust)
    sim.credentials()         the key file of its service account, JSON
    sim.expire()              the access tokens that it gave are good no more
    sim.tier = "DEVOPS"       of the pool: it issues, and keeps nothing
"""
import base64
import itertools
import json
import re
import time
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sim_ca import OrderSim, pem

PROJECT, LOCATION, POOL = "simulated-project", "europe-west3", "pool-1"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}/caPools/{POOL}"
EMAIL, KEY_ID = f"certctl@{PROJECT}.iam.gserviceaccount.com", "0123456789abcdef0123456789abcdef01234567"
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
REASONS = ("REVOCATION_REASON_UNSPECIFIED", "KEY_COMPROMISE", "CERTIFICATE_AUTHORITY_COMPROMISE", "AFFILIATION_CHANGED", "SUPERSEDED",
           "CESSATION_OF_OPERATION", "CERTIFICATE_HOLD", "PRIVILEGE_WITHDRAWN", "ATTRIBUTE_AUTHORITY_COMPROMISE")


def error(code, status, message):
    return code, {"error": {"code": code, "message": message, "status": status}}


def part(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


class GoogleCasSim(OrderSim):
    base, name, token_path = "/v1", "Google CAS", "/v1/token"
    statuses = ("issued",)
    key = rsa.generate_private_key(65537, 2048)

    def __init__(self, trust):
        self.tokens, self.logins, self.tier, self.lives = set(), itertools.count(1), "ENTERPRISE", 3599
        super().__init__(trust)
        self.token_url = f"{self.url}/token"
        self.entries = [self.url, self.token_url]

    def reset(self):
        super().reset()
        self.expire()
        self.tier, self.lives = "ENTERPRISE", 3599

    def expire(self):
        self.tokens.clear()

    def credentials(self, **changes):
        text = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        return json.dumps({"type": "service_account", "project_id": PROJECT, "private_key_id": KEY_ID, "private_key": text,
                           "client_email": EMAIL, "client_id": "1", "token_uri": self.token_url} | changes, indent=2)

    def handle(self, method, path, headers, body):
        if (method, path) == ("POST", self.token_path):
            return self.login(headers)
        if headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        return self.dispatch((
            ("GET", f"/{PARENT}", lambda body, query: (200, {"name": PARENT, "tier": self.tier})),
            ("POST", f"/{PARENT}/certificates", self.create), ("GET", f"/({PARENT}/certificates/[A-Za-z0-9_-]+)", self.get),
            ("POST", f"/({PARENT}/certificates/[A-Za-z0-9_-]+):revoke", self.revoke)),
            method, path, body) or error(404, "NOT_FOUND", "There is nothing at this path")

    def login(self, headers):
        """RFC 7523 section 3, as https://developers.google.com/identity/protocols/oauth2/service-account has it."""
        form = {name: values[0] for name, values in parse_qs(self.raw.decode()).items()}
        refused = 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        if headers.get("Content-Type") != "application/x-www-form-urlencoded" or form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return 400, {"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}
        head, claims, signature = form["assertion"].split(".")
        try:
            self.key.public_key().verify(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)), f"{head}.{claims}".encode(),
                                         padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return refused
        says, now = part(claims), time.time()
        if (part(head) != {"alg": "RS256", "typ": "JWT", "kid": KEY_ID} or (says["iss"], says["aud"]) != (EMAIL, self.token_url)
                or says["scope"] != "https://www.googleapis.com/auth/cloud-platform"
                or not now - 300 < says["iat"] <= now + 5 or not says["iat"] < says["exp"] <= says["iat"] + 3600):
            return refused
        token = f"ya29.token-{next(self.logins)}"
        self.tokens.add(token)
        return 200, {"access_token": token, "expires_in": self.lives, "token_type": "Bearer"}

    def create(self, body, query):
        number, request = query.get("certificateId", [""])[0], query.get("requestId", [""])[0]
        name = f"{PARENT}/certificates/{number}"
        if not re.fullmatch("[a-zA-Z0-9_-]{1,63}", number) or not re.fullmatch(UUID, request):
            return error(400, "INVALID_ARGUMENT", "The id of the certificate or of the request is malformed")
        if name in self.orders and self.tier == "ENTERPRISE":
            if self.orders[name]["request"] != request or name in self.forgotten:
                return error(409, "ALREADY_EXISTS", f"Resource '{name}' already exists")
            return self.show(name)
        lifetime = re.fullmatch("([0-9]+)s", body.get("lifetime", ""))
        try:
            csr = x509.load_pem_x509_csr(body["pemCsr"].encode())
        except (KeyError, ValueError):
            return error(400, "INVALID_ARGUMENT", "The CSR is malformed")
        if not lifetime or int(lifetime[1]) < 1:
            return error(400, "INVALID_ARGUMENT", "The lifetime is malformed")
        self.take(name, csr, int(lifetime[1]) / 86400, request=request, body=body)
        return self.show(name)

    def show(self, name):
        order = self.orders[name]
        leaf, *above = self.chain(order)
        shown = {"name": name, "pemCertificate": pem(leaf), "pemCertificateChain": [pem(c) for c in above], "lifetime": "1s"}
        return 200, shown | ({"revocationDetails": {"revocationState": order["reason"]}} if "reason" in order else {})

    def get(self, name, body, query):
        if not self.known(name) or self.tier != "ENTERPRISE":
            return error(404, "NOT_FOUND", f"Resource '{name}' was not found")
        return self.show(name)

    def revoke(self, name, body, query):
        if not self.known(name) or self.tier != "ENTERPRISE":
            return error(404, "NOT_FOUND", f"Resource '{name}' was not found")
        order = self.orders[name]
        if "reason" in order:
            return error(400, "FAILED_PRECONDITION", f"Certificate '{name}' is already revoked")
        if body.get("reason") not in REASONS:
            return error(400, "INVALID_ARGUMENT", "The reason is malformed")
        order["reason"] = body["reason"]
        return self.show(name)
