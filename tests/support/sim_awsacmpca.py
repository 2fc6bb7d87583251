"""
AWS Private CA, as far as an issuer needs it, on this host (sim_ca.py): each call's signature is computed anew, by the secret key.

    sim = AwsAcmPcaSim(trust)
    sim.idle(seconds)         so much time goes by for idempotency tokens, which are remembered for five minutes
    sim.state = "DISABLED"    of the CA
"""
import base64
import hashlib
import hmac
import re
import time

from cryptography import x509

from sim_ca import OrderSim, pem

REGION, ACCESS_KEY, SECRET_KEY, SESSION = "eu-central-1", "AKIDSIMULATED", "simulated/secret+key0123456789", "a/session+token=="
CA_ARN = f"arn:aws:acm-pca:{REGION}:123456789012:certificate-authority/11111111-2222-3333-4444-555555555555"
TARGET, REMEMBERED_S = "ACMPrivateCA.", 300
REASONS = ("UNSPECIFIED", "KEY_COMPROMISE", "CERTIFICATE_AUTHORITY_COMPROMISE", "AFFILIATION_CHANGED", "SUPERSEDED",
           "CESSATION_OF_OPERATION", "PRIVILEGE_WITHDRAWN", "A_A_COMPROMISE")


def error(kind, message, status=400):
    return status, {"__type": kind, "message": message}, {"Content-Type": "application/x-amz-json-1.1"}


def signature(secret, date, region, service, text):
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


class AwsAcmPcaSim(OrderSim):
    name, first_id = "AWS Private CA", 0x1000
    statuses = "RequestInProgressException", "RequestInProgressException", "issued"

    def __init__(self, trust):
        self.tokens, self.later, self.state, self.session = {}, 0, "ACTIVE", ""
        super().__init__(trust)

    def reset(self):
        super().reset()
        self.tokens, self.later, self.state, self.session = {}, 0, "ACTIVE", ""

    def idle(self, seconds):
        self.later += seconds

    def line(self, command, path, headers):
        return f"{command} {path} {headers.get('X-Amz-Target', '').removeprefix(TARGET)}"

    def forget(self, order_id):
        super().forget(order_id)
        self.tokens = {t: kept for t, kept in self.tokens.items() if kept[1] != order_id}

    def refuse_signature(self, method, path, headers):
        """Of https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html; None: it is right."""
        found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/acm-pca/aws4_request, SignedHeaders=([a-z0-9;-]+), "
                             r"Signature=([0-9a-f]{64})", headers.get("Authorization", ""))
        if not found:
            return error("IncompleteSignatureException", "Authorization header requires more")
        access_key, date, region, names, given = found.groups()
        if access_key != ACCESS_KEY or headers.get("X-Amz-Security-Token", "") != self.session:
            return error("UnrecognizedClientException", "The security token included in the request is invalid.")
        stamp = headers.get("X-Amz-Date", "")
        signed = names.split(";")
        wanted = {"host", "x-amz-date"} | {n.lower() for n in headers if n.lower().startswith("x-amz-") or n.lower() == "content-type"}
        if signed != sorted(signed) or not wanted <= set(signed) or not stamp.startswith(date) or region != REGION:
            return error("InvalidSignatureException", "Credential should be scoped to this region, and every header be signed")
        if abs(time.time() - (time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.timezone)) > 300:
            return error("InvalidSignatureException", "Signature expired")
        lines = [f"{n}:{' '.join(','.join(headers.get_all(n)).split())}\n" for n in signed]
        request = "\n".join([method, path, "", "".join(lines), names, hashlib.sha256(self.raw).hexdigest()])
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, f"{date}/{region}/acm-pca/aws4_request", hashlib.sha256(request.encode()).hexdigest()])
        if not hmac.compare_digest(given, signature(SECRET_KEY, date, region, "acm-pca", text)):
            return error("InvalidSignatureException", "The request signature we calculated does not match the signature you provided.")
        return None

    def handle(self, method, path, headers, body):
        if (method, path) != ("POST", "/") or headers.get("Content-Type") != "application/x-amz-json-1.1" or not isinstance(body, dict):
            return error("UnknownOperationException", "")
        refused = self.refuse_signature(method, path, headers)
        if refused:
            return refused
        calls = {"IssueCertificate": self.issue, "GetCertificate": self.get, "RevokeCertificate": self.revoke,
                 "DescribeCertificateAuthority": self.describe}
        call = calls.get(headers.get("X-Amz-Target", "").removeprefix(TARGET))
        if not call:
            return error("UnknownOperationException", "")
        if body.get("CertificateAuthorityArn") != CA_ARN:
            return error("ResourceNotFoundException", "Could not find the certificate authority")
        return call(body)

    def describe(self, body):
        return 200, {"CertificateAuthority": {"Arn": CA_ARN, "Status": self.state, "Type": "SUBORDINATE"}}

    def issue(self, body):
        token = body.get("IdempotencyToken", "")
        if not 1 <= len(token) <= 36:
            return error("ValidationException", "1 validation error detected: IdempotencyToken")
        if self.state != "ACTIVE":
            return error("InvalidStateException", f"The certificate authority is in the {self.state} state")
        try:
            csr = x509.load_pem_x509_csr(base64.b64decode(body["Csr"], validate=True))
        except (KeyError, ValueError):
            return error("MalformedCSRException", "The CSR is no PEM")
        now, validity = time.time() + self.later, body.get("Validity", {})
        kind, value = validity.get("Type"), validity.get("Value", 0)
        seconds = value * 86400 if kind == "DAYS" else value - time.time() if kind == "ABSOLUTE" else 0
        if seconds <= 0 or not re.fullmatch("SHA(256|384|512)WITH(RSA|ECDSA)", body.get("SigningAlgorithm", "")):
            return error("InvalidArgsException", "One or more of the specified arguments was not valid.")
        at, arn = self.tokens.get(token, (0, None))
        if not arn or now - at > REMEMBERED_S:
            arn = f"{CA_ARN}/certificate/{next(self.ids):032x}"
            self.take(arn, csr, seconds / 86400, body=body)
            self.tokens[token] = (now, arn)
        return 200, {"CertificateArn": arn}

    def get(self, body):
        arn = body.get("CertificateArn")
        if not self.known(arn):
            return error("ResourceNotFoundException", f"Could not find certificate {arn}")
        order = self.orders[arn]
        status = self.status(order)
        ready = self.is_ready(order) if status == self.issued else False
        order["looks"] += 1
        if not ready:
            return error(status if status != self.issued else "RequestInProgressException", "The request is not done")
        leaf, *above = self.chain(order)
        return 200, {"Certificate": pem(leaf), "CertificateChain": "".join(pem(c) for c in above)}

    def revoke(self, body):
        serial, reason = body.get("CertificateSerial", ""), body.get("RevocationReason")
        if not re.fullmatch("[0-9a-f]{2}(:[0-9a-f]{2})*", serial) or reason not in REASONS:
            return error("ValidationException", "1 validation error detected")
        for order in self.orders.values():
            if order["leaf"] and order["leaf"].serial_number == int(serial.replace(":", ""), 16):
                if "reason" in order:
                    return error("RequestAlreadyProcessedException", "The certificate is revoked already")
                order["reason"] = reason
                return 200, None
        return error("ResourceNotFoundException", "Could not find the certificate")
