"""
Certificates that are not to be revoked, or not so, and identifiers of none (RFC 8555
section 7.6, RFC 5280 section 5.3.1, RFC 9773 section 4.1).
"""
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from acme import b64, new_key
from hostile.world import DER, MALFORMED, NOT_FOUND, UNAUTHORIZED, Ask, Row, certid, signed

BAD_REASON = (400, "badRevocationReason")
REVOKED = (400, "alreadyRevoked")
LONG = 2**159 + 7


def leaf(w, which="issued"):
    return getattr(w, which)["leaf"]


def der(w, which="issued"):
    return b64(leaf(w, which).public_bytes(DER))


def revoke_row(name, payload, want=MALFORMED, who=lambda w: w.alice, rfc="8555 7.6"):
    return Row("revocation " + name, rfc, want, lambda w: signed(who(w), "revoke-cert", payload(w)))


def forged(w, **change):
    """A certificate that says what the issued one says, but for what is changed, and that nobody here signed."""
    real, key = leaf(w), new_key()
    made = x509.CertificateBuilder(change.get("issuer", real.issuer), real.subject, change.get("key", real.public_key()), change.get("serial", real.serial_number),
                                   real.not_valid_before, real.not_valid_after)
    for extension in real.extensions:
        made = made.add_extension(extension.value, extension.critical)
    return b64(made.sign(key, hashes.SHA256()).public_bytes(DER))


def late(w):
    """A certificate of alice's that has expired."""
    return {"certificate": der(w, "late")}


REASONS = [revoke_row(f"for reason {reason!r}", lambda w, r=reason: {"certificate": der(w), "reason": r}, BAD_REASON, rfc="8555 7.6, 5280 5.3.1")
           for reason in (7, 8, 10, 11, -1, 255, 2**31, 2**53 - 1, 1.5, "1", "keyCompromise", "x", True, [], [1], {})]

WHAT = [
    *(revoke_row(f"for reason {r}", lambda w, r=r: {"certificate": der(w), "reason": r}, rfc="7493 2.2") for r in (2**63, 2**64)),
    *(revoke_row(what, lambda w, v=v: {"certificate": v}) for what, v in {
        "of nothing": "", "of null": None, "of a number": 1, "of a list": [], "of a text": "x", "of rubbish": b64(bytes(100)), "of base64, not base64url": "+/+/",
        "of a length without content": b64(b"\x30\x82\xff\xff"), "of indefinite length": b64(b"\x30\x80\x30\x80\0\0\0\0")}.items()),
    revoke_row("without certificate", lambda w: {}),
    revoke_row("without anything", lambda w: ""),
    revoke_row("of a list of certificates", lambda w: {"certificate": [der(w)]}),
    revoke_row("in PEM", lambda w: {"certificate": leaf(w).public_bytes(Encoding.PEM).decode()}),
    revoke_row("with padding", lambda w: {"certificate": der(w) + "="}),
    revoke_row("with a line's end", lambda w: {"certificate": der(w) + "\n"}),
    revoke_row("with octets behind it", lambda w: {"certificate": b64(leaf(w).public_bytes(DER) + b"\0")}),
    revoke_row("of a chain", lambda w: {"certificate": b64(leaf(w).public_bytes(DER) * 2)}),
    revoke_row("of one that is cut", lambda w: {"certificate": b64(leaf(w).public_bytes(DER)[:-1])}),
    revoke_row("of a request", lambda w: {"certificate": w.issued["csr"]}),
    revoke_row("of a serial number", lambda w: {"certificate": f"{leaf(w).serial_number:x}"}),
]

WHOSE = [
    revoke_row("of what is revoked", lambda w: {"certificate": der(w, "revoked")}, REVOKED),
    revoke_row("of what is revoked, for another reason", lambda w: {"certificate": der(w, "revoked"), "reason": 1}, REVOKED),
    revoke_row("of what is revoked, by its key", lambda w: {"certificate": der(w, "revoked")}, REVOKED, lambda w: w.stranger(key=w.revoked["key"])),
    revoke_row("of what is revoked, by another", lambda w: {"certificate": der(w, "revoked")}, UNAUTHORIZED, lambda w: w.bob),
    revoke_row("of what has expired", late),
    revoke_row("by another certificate's key", lambda w: {"certificate": der(w)}, UNAUTHORIZED, lambda w: w.stranger(key=w.others["key"])),
    revoke_row("by the account's key without its kid", lambda w: {"certificate": der(w)}, UNAUTHORIZED, lambda w: w.stranger(key=w.alice.key)),
    revoke_row("by a key of nobody", lambda w: {"certificate": der(w)}, UNAUTHORIZED, lambda w: w.stranger()),
    revoke_row("by its key in another profile", lambda w: {"certificate": der(w)}, NOT_FOUND, lambda w: w.stranger("p-other", w.issued["key"])),
    revoke_row("of a forged one with another key, by that", lambda w: {"certificate": forged(w, key=FORGER.public_key())}, NOT_FOUND, lambda w: w.stranger(key=FORGER)),
    revoke_row("of a forged one, by the certificate's key", lambda w: {"certificate": forged(w)}, NOT_FOUND, lambda w: w.stranger(key=w.issued["key"])),
    revoke_row("of a forged one, by the account", lambda w: {"certificate": forged(w)}, NOT_FOUND),
    revoke_row("of one with another serial", lambda w: {"certificate": forged(w, serial=LONG)}, NOT_FOUND),
    revoke_row("of one of another CA", lambda w: {"certificate": forged(w, issuer=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Other CA")]))}, NOT_FOUND),
    revoke_row("of the CA's own", lambda w: {"certificate": b64(w.issued["ca"].public_bytes(DER))}, NOT_FOUND),
]
FORGER = new_key()


def info_row(name, make, want=MALFORMED):
    return Row("renewal-info " + name, "9773 4.1", want, lambda w: Ask(w.bob, "renewal-info/" + make(w), None, "GET", {}))


INFO = [
    *(info_row(what, lambda w, v=v: v) for what, v in {
        "of a text": "x", "of a dot": ".", "of two dots": "AQ.AQ.AQ", "of no key": ".AQ", "of no serial": "AQ.", "of serial 0": "AQ.AA", "of a negative serial": "AQ.gA",
        "of a serial with zeros before": "AQ.AAE", "of a serial of 21 octets": "AQ." + b64(b"\1" * 21), "of a key of 65 octets": b64(b"\1" * 65) + ".AQ", "of characters left over": "AQ.AAAAA",
        "of bits left over": "AR.AQ", "in base64": "a+b.AQ", "with padding": "AQ==.AQ", "percent-encoded": "%41Q%3D.AQ", "with a letter of another alphabet": "%C3%A9.AQ",
        "with a comma": "AQ,AQ", "with a hash": "AQ%23.AQ", "of 129 characters": "A" * 64 + "." + "A" * 64, "of 4000 characters": "A" * 2000 + "." + "A" * 2000}.items()),
    info_row("with padding behind", lambda w: certid(leaf(w)) + "="),
    info_row("of a serial in hexadecimal", lambda w: certid(leaf(w)).split(".")[0] + ":" + f"{leaf(w).serial_number:x}"),
    info_row("of nobody's", lambda w: "AQ.AQ", NOT_FOUND),
    info_row("of another serial", lambda w: certid(leaf(w), leaf(w).serial_number + 1), NOT_FOUND),
    info_row("of another CA's key", lambda w: b64(bytes(20)) + "." + certid(leaf(w)).split(".")[1], NOT_FOUND),
    info_row("of part of the CA's key", lambda w: certid(leaf(w))[1 + 3:], NOT_FOUND),
    info_row("of the CA itself", lambda w: certid(leaf(w), w.issued["ca"].serial_number), NOT_FOUND),
]

TABLE = REASONS + WHAT + WHOSE + INFO
