"""
A CA of ACME (RFC 8555, RFC 9773) as a simulator: it verifies what is signed, refuses every third nonce, and does what a test likes.

    sim = AcmeSim(trust)
    sim.behave(hold=True)        challenges are looked at, and nothing comes of it before sim.let_go()
    sim.fault("POST /new-order", status=429, ...)
    sim.behave(window=(start, end))    what renewal information says of every certificate; None: what it says by itself
"""
import datetime
import hashlib
import hmac
import itertools
import json
import urllib.request

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from acme import URN, b64, unb64
from sim_ca import SimCa, Simulator, pem


def problem(status, kind, detail, **more):
    return status, {"type": URN + kind, "detail": detail, "status": status} | more, {}


def public_key(jwk):
    x, y = (int.from_bytes(unb64(jwk[c]), "big") for c in "xy")
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def thumbprint(jwk):
    text = json.dumps({k: jwk[k] for k in ("crv", "kty", "x", "y")}, separators=(",", ":"), sort_keys=True)
    return b64(hashlib.sha256(text.encode()).digest())


def cert_id(certificate):
    """RFC 9773 section 4.1, by another hand than the client's."""
    key = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = certificate.serial_number
    return b64(key) + "." + b64(serial.to_bytes(serial.bit_length() // 8 + 1, "big"))


class AcmeSim(Simulator):
    base, front = "/acme", "/directory"

    def __init__(self, trust):
        super().__init__(trust)
        self.silent = f"{self.url}/silent/directory"  # for who is to ask nothing: other issuers ask there still
        self.entries.append(self.silent)
        self.ca = SimCa("Simulated ACME")
        self.accounts, self.authzs, self.nonces, self.posts = {}, {}, set(), 0
        self.numbers = itertools.count(1)
        self.bindings = None  # id -> MAC key of the external accounts that are asked for
        self.asked = []  # (resource, payload) of what was signed and taken
        self.behave()

    def behave(self, hold=False, how="good", processing=0, days=30, challenges=("http-01", "dns-01"), visit=0, lists=True, ari=True,
               authz_error=None, order_error=None, quiet=False, reasons=(0, 1, 3, 4, 5), window=None, explanation=None, retry_after=21600,
               profiles=("classic", "shortlived"), page=1000, newest_first=False):
        """page: so many orders on one of a list; visit: the port where http-01 is looked for, on this host; processing: times that a finalized order says so; quiet: a challenge
        that is looked at shows as pending still, and may be told of again, as at Pebble and Let's Encrypt."""
        self.hold, self.how, self.processing, self.days, self.challenges = hold, how, processing, days, challenges
        self.visit, self.lists, self.ari, self.authz_error, self.order_error, self.quiet = visit, lists, ari, authz_error, order_error, quiet
        self.reasons, self.window, self.explanation, self.retry_after, self.profiles = reasons, window, explanation, retry_after, profiles
        self.page, self.newest_first = page, newest_first

    def reset(self):
        """As new, for the next test; accounts and numbers go on."""
        with self.lock:
            for kept in (self.log, self.faults, self.orders, self.authzs, self.asked):
                kept.clear()
            self.bindings, self.posts = None, 0
            self.behave()

    def forget_calls(self):
        with self.lock:
            super().forget_calls()
            self.asked.clear()
            self.posts = 0

    def let_go(self):
        """What was held is valid."""
        with self.lock:
            self.hold = False
            for authz in self.authzs.values():
                if authz["challenge"]["status"] == "processing":
                    self.validate(authz)

    # --- what is signed ---

    def handle(self, method, path, headers, body):
        path = path.removeprefix(self.base)
        if path == "/eab-credentials-email":
            self.asked.append((path, self.raw.decode()))
            kid, mac = next(iter(self.bindings.items()))
            return 200, {"success": True, "eab_kid": kid, "eab_hmac_key": b64(mac)}
        if path == "/directory":
            urls = {"newNonce": "new-nonce", "newAccount": "new-account", "newOrder": "new-order", "revokeCert": "revoke-cert"}
            urls |= {"renewalInfo": "renewal-info"} if self.ari else {}
            meta = {"externalAccountRequired": True} if self.bindings else {}
            meta |= {"profiles": {name: f"{self.url}/about/{name}" for name in self.profiles}} if self.profiles else {}
            return 200, {name: f"{self.url}/{path}" for name, path in urls.items()} | {"meta": meta}
        if path.startswith("/renewal-info/") and method == "GET":
            return self.renewal_info(path.removeprefix("/renewal-info/"))
        nonce = b64(str(next(self.numbers)).encode() + b"nonce")
        self.nonces.add(nonce)
        if path == "/new-nonce":
            return 204, None, {"Replay-Nonce": nonce}
        status, answer, more = self.post(path, headers, body)
        return status, answer, more | {"Replay-Nonce": nonce}

    def renewal_info(self, ident):
        leaf = next((o["leaf"] for o in self.orders.values() if "leaf" in o and cert_id(o["leaf"]) == ident), None)
        if leaf is None:
            return problem(404, "malformed", "no such certificate")
        life = leaf.not_valid_after - leaf.not_valid_before
        start = leaf.not_valid_before + life / 2
        window = self.window or [t.strftime("%Y-%m-%dT%H:%M:%SZ") for t in (start, start + datetime.timedelta(hours=1))]
        answer = {"suggestedWindow": dict(zip(("start", "end"), window))} | ({"explanationURL": self.explanation} if self.explanation else {})
        return 200, answer, {"Retry-After": str(self.retry_after)} if self.retry_after is not None else {}

    def post(self, path, headers, body):
        if headers["Content-Type"] != "application/jose+json":
            return problem(415, "malformed", "the content type is wrong")
        header = json.loads(unb64(body["protected"]))
        if header["url"] != f"{self.url}{path}":
            return problem(403, "unauthorized", "the url is another")
        self.posts += 1
        if header["nonce"] not in self.nonces or self.posts % 3 == 0:
            self.nonces.discard(header["nonce"])
            return problem(400, "badNonce", "the nonce is not known")
        self.nonces.discard(header["nonce"])
        jwk = header.get("jwk") or self.accounts.get(header.get("kid"), {}).get("jwk")
        if jwk is None:
            return problem(400, "accountDoesNotExist", "no such account")
        raw = unb64(body["signature"])
        try:
            public_key(jwk).verify(encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")),
                                   f"{body['protected']}.{body['payload']}".encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return problem(400, "malformed", "the signature is wrong")
        payload = json.loads(unb64(body["payload"])) if body["payload"] else None
        self.asked.append((path, payload))
        kind, _, ident = path[1:].partition("/")
        return getattr(self, "on_" + kind.replace("-", "_"))(ident, payload, header, jwk)

    # --- resources ---

    def on_new_account(self, _, payload, header, jwk):
        for url, account in self.accounts.items():
            if account["jwk"] == jwk:
                return 200, {"status": "valid"}, {"Location": url}
        if payload.get("onlyReturnExisting"):
            return problem(400, "accountDoesNotExist", "no such account")
        if self.bindings is not None:
            binding = payload.get("externalAccountBinding")
            if not binding or not self.is_bound(binding, jwk):
                return problem(403, "externalAccountRequired", "an external account is needed")
        url = f"{self.url}/account/{len(self.accounts) + 1}"
        self.accounts[url] = {"jwk": jwk, "contact": payload.get("contact")}
        return 201, {"status": "valid"}, {"Location": url}

    def is_bound(self, binding, jwk):
        header = json.loads(unb64(binding["protected"]))
        key = self.bindings.get(header["kid"])
        mac = hmac.digest(key or b"", f"{binding['protected']}.{binding['payload']}".encode(), "sha256")
        return (key and header["alg"] == "HS256" and header["url"] == f"{self.url}/new-account" and mac == unb64(binding["signature"])
                and json.loads(unb64(binding["payload"])) == jwk)

    def on_account(self, ident, payload, header, jwk):
        return 200, {"status": "valid"} | ({"orders": f"{self.url}/orders/{ident}"} if self.lists else {}), {}

    def on_orders(self, ident, payload, header, jwk):
        ident, _, cursor = ident.partition("?cursor=")
        urls, start = [f"{self.url}/order/{n}" for n in self.orders], int(cursor or 0)
        end = start + self.page
        links = [f'<{self.url}/directory>;rel="index"'] + ([f'<{self.url}/orders/{ident}?cursor={end}>;rel="next"'] if end < len(urls) else [])
        return 200, {"orders": (urls[::-1] if self.newest_first else urls)[start:end]}, {"Link": links}

    def on_new_order(self, _, payload, header, jwk):
        number = next(self.numbers)
        if payload.get("replaces"):
            if payload["replaces"] not in [cert_id(o["leaf"]) for o in self.orders.values() if "leaf" in o]:
                return problem(404, "malformed", "no such certificate is to be replaced")
            if payload["replaces"] in [o["replaces"] for o in self.orders.values() if o["status"] != "invalid"]:
                return problem(409, "alreadyReplaced", "another order replaces it")
        if payload.get("profile") and payload["profile"] not in (self.profiles or ()):
            return problem(400, "invalidProfile", "no such profile")
        authzs = []
        for identifier in payload["identifiers"]:
            ident = next(self.numbers)
            wildcard = identifier["value"].startswith("*.")
            self.authzs[ident] = {
                "identifier": identifier | {"value": identifier["value"].removeprefix("*.")}, "status": "pending", "order": number,
                "wildcard": wildcard, "jwk": jwk, "error": None, "challenge": {"status": "pending", "type": None},
                "token": b64(hashlib.sha256(str(ident).encode()).digest())}
            authzs.append(ident)
        self.orders[number] = {"status": "pending", "identifiers": payload["identifiers"], "authzs": authzs, "replaces": payload.get("replaces"),
                               "profile": payload.get("profile"), "polled": 0, "jwk": jwk}
        return 201, self.show(number), {"Location": f"{self.url}/order/{number}"}

    def show(self, number):
        order = self.orders[number]
        states = {self.authzs[a]["status"] for a in order["authzs"]}
        if order["status"] == "pending" and states == {"valid"}:
            order["status"] = "ready"
        elif order["status"] == "pending" and "invalid" in states:
            order["status"] = "invalid"
        shown = {"status": order["status"], "identifiers": order["identifiers"], "finalize": f"{self.url}/finalize/{number}",
                 "authorizations": [f"{self.url}/authz/{a}" for a in order["authzs"]]}
        if order["status"] == "valid":
            shown["certificate"] = f"{self.url}/certificate/{number}"
        if order["status"] == "invalid" and self.order_error:
            shown["error"] = self.order_error
        return shown

    def on_order(self, ident, payload, header, jwk):
        number = int(ident)
        if number not in self.orders:
            return problem(404, "malformed", "no such order")
        order = self.orders[number]
        if order["status"] == "processing":
            order["polled"] += 1
            if order["polled"] > self.processing:
                order["status"] = "valid"
        return 200, self.show(number), {"Retry-After": "1"} if order["status"] == "processing" else {}

    def on_authz(self, ident, payload, header, jwk):
        authz = self.authzs[int(ident)]
        challenges = []
        for kind in self.challenges:
            shown = {"type": kind, "url": f"{self.url}/challenge/{ident}~{kind}", "status": "pending"}
            shown |= {"issuer-domain-names": ["ca.example"]} if kind == "dns-persist-01" else {"token": authz["token"]}
            if authz["challenge"]["type"] == kind:
                status = authz["challenge"]["status"]
                shown |= {"status": "pending" if self.quiet and status == "processing" else status} | ({"error": authz["error"]} if authz["error"] else {})
            challenges.append(shown)
        return 200, {"status": authz["status"], "identifier": authz["identifier"], "challenges": challenges} | (
            {"wildcard": True} if authz["wildcard"] else {}), {}

    def on_challenge(self, ident, payload, header, jwk):
        number, _, kind = ident.partition("~")
        authz = self.authzs[int(number)]
        if payload != {} or authz["challenge"]["status"] not in ("pending", "processing" if self.quiet else ""):
            return problem(400, "malformed", "the challenge is not pending")
        authz["challenge"] = {"status": "processing", "type": kind}
        if not self.hold:
            self.validate(authz)
        return 200, {"type": kind, "status": "processing"}, {}

    def validate(self, authz):
        if self.visit and authz["challenge"]["type"] == "http-01":
            request = urllib.request.Request(f"http://127.0.0.1:{self.visit}/.well-known/acme-challenge/{authz['token']}")
            with urllib.request.urlopen(request, timeout=10) as answer:
                found = answer.read().decode().strip()
            wanted = f"{authz['token']}.{thumbprint(authz['jwk'])}"
            assert found == wanted, (found, wanted)
        is_good = self.authz_error is None
        authz["status"] = authz["challenge"]["status"] = "valid" if is_good else "invalid"
        authz["error"] = self.authz_error

    def on_finalize(self, ident, payload, header, jwk):
        number = int(ident)
        order = self.orders[number]
        if order["status"] != "ready":
            return problem(403, "orderNotReady", "the order is not ready")
        order["csr"] = csr = x509.load_der_x509_csr(unb64(payload["csr"]))
        order["leaf"] = self.ca.leaf(csr, self.days, self.how)
        order["status"] = "processing" if self.processing else "valid"
        return 200, self.show(number), {}

    def on_revoke_cert(self, _, payload, header, jwk):
        if "kid" not in header:
            return problem(403, "unauthorized", "by the account, please")
        leaf = x509.load_der_x509_certificate(unb64(payload["certificate"]))
        for order in self.orders.values():
            if order.get("leaf") == leaf and order["jwk"] == jwk:
                if "reason" in order:
                    return problem(400, "alreadyRevoked", "it is revoked")
                if payload.get("reason", 0) not in self.reasons:
                    return problem(400, "badRevocationReason", "no such reason here")
                order["reason"] = payload.get("reason", 0)
                return 200, None, {}
        return problem(404, "malformed", "no such certificate")

    def on_certificate(self, ident, payload, header, jwk):
        return 200, pem(self.orders[int(ident)]["leaf"]) + pem(self.ca.intermediate), {}
