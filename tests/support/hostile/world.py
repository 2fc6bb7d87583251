"""
Who is attacked and who attacks: accounts, orders and certificates of an ACME server,
in each state that they have; and what a row of a table is.
"""
import base64
import hmac
import json
import secrets
import time
from typing import Callable, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from acme import JOSE, Client, b64, jwk_of, jws, new_key, serve, sign, thumbprint, unb64
from fleet import wait_for

# Whoever waits for the end of the tables keeps a nonce meanwhile.
SETTINGS = {"CERTCTL_ACME_SERVER_ENABLED": "true", "CERTCTL_ACME_SERVER_DEFAULT_PROFILE_ID": "p-acme", "CERTCTL_ACME_SERVER_NONCE_TTL": "50m"} | {
    f"CERTCTL_ACME_SERVER_RATE_LIMIT_{what}": "0"
    for what in ("ORDERS_PER_HOUR", "CONCURRENT_ORDERS", "KEY_CHANGE_PER_HOUR", "CHALLENGE_RESPONDS_PER_HOUR")}
DER = serialization.Encoding.DER
END = "-----END CERTIFICATE-----"


class Ask(NamedTuple):
    """A request that is made, and not yet sent."""

    client: Client
    path: str
    body: str | bytes | None
    method: str = "POST"
    headers: dict = {"Content-Type": JOSE}

    def send(self):
        return self.client.call(self.method, self.path, self.body, self.headers)


class Row(NamedTuple):
    name: str
    rfc: str  # what says so
    want: tuple  # HTTP status, and the problem's type behind its URN
    make: Callable  # from the world, what is sent
    words: str = ""  # that the detail has


MALFORMED = (400, "malformed")
UNAUTHORIZED = (401, "unauthorized")
NOT_FOUND = (404, "malformed")
BAD_NONCE = (400, "badNonce")
BAD_ALG = (400, "badSignatureAlgorithm")
BAD_KEY = (400, "badPublicKey")
BAD_CSR = (400, "badCSR")
NOT_READY = (403, "orderNotReady")
REJECTED = (400, "rejectedIdentifier")
UNKNOWN_ACCOUNT = (400, "accountDoesNotExist")


def signed(client, path, payload="", key=None, content_type=JOSE, **header):
    """A request in its right form; header: members of the protected header that are otherwise, or (None) not there."""
    return Ask(client, path, json.dumps(jws(key or client.key, client.header(path, **header), payload)),
               headers={"Content-Type": content_type})


def altered(client, path, payload, change, **header):
    """The same, with what change makes of the JWS: an object, text or bytes."""
    made = change(jws(client.key, client.header(path, **header), payload))
    return Ask(client, path, made if isinstance(made, (str, bytes)) else json.dumps(made))


def from_text(client, path, protected, payload=b"{}"):
    """Signed as it should be, over a protected header and a payload of any bytes."""
    protected, payload = (b64(p if isinstance(p, bytes) else p.encode()) for p in (protected, payload))
    return client_signed(client, path, protected, payload)


def client_signed(client, path, protected, payload):
    signature = b64(sign(client.key, f"{protected}.{payload}".encode()))
    return Ask(client, path, json.dumps({"protected": protected, "payload": payload, "signature": signature}))


def dns(*names):
    return {"identifiers": [{"type": "dns", "value": n} for n in names]}


def csr(*names, key=None, cn=None):
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, cn)] if cn else [])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([n if isinstance(n, x509.GeneralName) else x509.DNSName(n) for n in names]), False)
    return b64(made.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(DER))


class World:
    """alice is who has something; the others are who want it, or know no better."""

    def __init__(self, stack):
        self.stack, self.query = stack, stack.query
        serve(stack)
        for profile, change in (("p-other", {}), ("p-public", {"acme_auth_mode": "challenge"}), ("p-off", {}), ("p-nobody", {}), ("p-bound", {"acme_eab_required": True}),
                                ("p-names", {"required_san_patterns": json.dumps([r"[a-z]+\.inside\.example\.test"])})):
            serve(stack, profile, **change)
        self.numbers = iter(range(1, 10000))
        self.alice, self.bob, self.neighbour = self.account(contact=["mailto:alice@secret.example.test"]), self.account(), self.account()
        self.abroad, self.public = self.account("p-other"), self.account("p-public")
        self.prover, self.inside = self.account("p-public"), self.account("p-names")
        self.namesake = Client(stack.api, "/acme/profile/p-other", self.alice.key)
        assert self.namesake.register()[0] == 201
        self.gone, self.banned = self.account(), self.account()
        self.late_off, self.late_nobody = self.account("p-off"), self.account("p-nobody")
        self.issued = self.certificate(self.alice, "one.secret.example.test")
        self.revoked = self.certificate(self.alice, "two.secret.example.test")
        self.replaced = self.certificate(self.alice, "three.secret.example.test")
        self.late = self.certificate(self.alice, "four.secret.example.test")
        self.others = self.certificate(self.bob, "bob.example.test")
        self.ready = self.order(self.alice, "ready.secret.example.test")
        self.ready_csr = csr("ready.secret.example.test")
        self.pending = self.order(self.public, "pending.secret.example.test", "*.wild.secret.example.test")
        self.end()

    def end(self):
        """The states that requests do not make."""
        leaf = b64(self.revoked["leaf"].public_bytes(DER))
        assert self.alice.post("revoke-cert", {"certificate": leaf})[0] == 200
        again = dns("three.secret.example.test") | {"replaces": certid(self.replaced["leaf"])}
        assert self.alice.post("new-order", again)[0] == 201
        self.query("UPDATE certificate_versions SET not_after = now() - interval '1 second' WHERE id = %s", ident(self.late["certificate"]))
        assert self.gone.post(self.gone.kid, {"status": "deactivated"})[0] == 200
        self.query("UPDATE acme_accounts SET status = 'revoked' WHERE account_id = %s", ident(self.banned.kid))
        self.query("UPDATE certificate_profiles SET enabled = false WHERE id = 'p-off'")
        self.query("UPDATE certificate_profiles SET acme_owner_id = NULL WHERE id = 'p-nobody'")

    # --- what there is ---
    def account(self, profile="p-acme", key=None, **payload):
        made = Client(self.stack.api, f"/acme/profile/{profile}", key)
        status, _, answer = made.register(**payload)
        assert status == 201, answer
        return made

    def stranger(self, profile="p-acme", key=None):
        """A key without an account."""
        return Client(self.stack.api, f"/acme/profile/{profile}", key)

    def fresh(self, stem="n"):
        return f"{stem}-{next(self.numbers)}.example.test"

    def order(self, client, *names, **more):
        status, headers, order = client.post("new-order", dns(*names) | more)
        assert status == 201, order
        authz = [client.post(a)[2] | {"url": a} for a in order["authorizations"]]
        return order | {"url": headers["Location"], "authz": authz}

    def certificate(self, client, *names, key=None):
        key = key or new_key()
        order = self.order(client, *names)
        request = csr(*names, key=key)
        status, _, answer = client.post(order["finalize"], {"csr": request})
        assert status == 200, answer
        if answer["status"] == "processing":
            answer = wait_for(lambda: (lambda a: a if a["status"] != "processing" else None)(client.post(order["url"])[2]), 30, "the order")
        pem = client.post(answer["certificate"])[2]
        leaf, ca = (x509.load_pem_x509_certificate((part + END).encode()) for part in pem.split(END)[:2])
        return order | answer | {"leaf": leaf, "ca": ca, "key": key, "csr": request}

    def order_as(self, status, client=None, **change):
        """An order of alice's (or client's), in a state that it comes to by time or by others."""
        made = self.order(client or self.alice, self.fresh("late"))
        for column, value in ({"status": status} if status else {} | change).items():
            self.query(f"UPDATE acme_orders SET {column} = %s WHERE order_id = %s", value, ident(made["url"]))
        return made

    def expire(self, order):
        for table in ("acme_orders", "acme_authorizations"):
            self.query(f"UPDATE {table} SET expires_at = now() - interval '1 minute' WHERE order_id = %s", ident(order["url"]))
        return order

    # --- what nobody but its owner may be told ---
    def secrets(self):
        """Texts of alice's things, and of those of the profile where names are proven."""
        texts = [thumbprint(self.alice.key), jwk_of(self.alice.key)["x"], "secret.example.test", ident(self.alice.kid), ident(self.public.kid)]
        for order in (self.issued, self.revoked, self.ready, self.pending):
            texts += [ident(order["url"])] + [ident(z["url"]) for z in order["authz"]]
            texts += [c["token"] for z in order["authz"] for c in z["challenges"]] + [ident(c["url"]) for z in order["authz"] for c in z["challenges"]]
        return texts + [ident(self.issued["certificate"]), f"{self.issued['leaf'].serial_number:x}"]

    def owners(self):
        return self.alice, self.public

    def snapshot(self):
        """Of all that a request may change, but for nonces and rates: how many rows, and by which transactions."""
        tables = ("acme_accounts", "acme_eab_keys", "acme_orders", "acme_authorizations", "acme_challenges", "acme_certificates", "certificate_revocations", "managed_certificates",
                  "jobs", "tasks", "audit_events")
        return self.query("SELECT " + ", ".join(f"(SELECT count(*) || ' ' || coalesce(sum(xmin::text::bigint), 0) FROM {table})" for table in tables))

    def nonce(self):
        return nonce_of(self.bob)

    def nonce_expired(self):
        """One that this server would have made an hour ago."""
        key_id, key = self.query("SELECT id, key FROM acme_nonce_keys ORDER BY made_at DESC LIMIT 1")[0]
        head = bytes.fromhex(key_id) + (int(time.time()) - 3600).to_bytes(5, "big") + secrets.token_bytes(16)
        return base64.urlsafe_b64encode(head + hmac.digest(bytes(key), head, "sha256")[:16]).decode()


def ident(url):
    """The last part of an address."""
    return url.rsplit("/", 1)[1]


def certid(leaf, serial=None):
    """RFC 9773 section 4.1."""
    aki = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = serial or leaf.serial_number
    return f"{b64(aki)}.{b64(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


def nonce_of(client):
    client.call("HEAD", "new-nonce")
    return client.take_nonce()


def flip(text, at):
    """base64url with one bit of its bytes otherwise."""
    data = bytearray(unb64(text))
    data[at] ^= 1
    return b64(bytes(data))
