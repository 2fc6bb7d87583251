"""What is looked for and judged: policies, discovery, network scans, health checks, tests, hierarchies, series, OCSP."""
from datetime import datetime, timedelta, timezone

from contract.config import LONG, noun
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID
from walk import NO, Bad, Good, members, page

V1 = "/api/v1"
CHECKS = f"{V1}/health-checks"
RULE = members("id name type config:o enabled:b severity created_at:t updated_at:t")
VIOLATION = members("id certificate_id rule_id message severity created_at:t")
FOUND = members("id fingerprint_sha256 common_name sans:l serial_number issuer_dn subject_dn not_before:t? not_after:t? key_algorithm key_size:i is_ca:b "
                "pem_data? source_path source_format agent_id discovery_scan_id? managed_certificate_id? status first_seen_at,last_seen_at:t "
                "dismissed_at:t? created_at:t updated_at:t")
SCAN = members("id agent_id directories:l certificates_found,certificates_new,errors_count,scan_duration_ms:i started_at:t completed_at:t?")
NETWORK = members("id name cidrs,ports:l enabled:b scan_interval_hours,timeout_ms:i last_scan_at:t? last_scan_duration_ms:i? last_scan_certs_found:i? "
                  "created_at:t updated_at:t")
PROBE = members("id target_url reachable:b advertised_caps:l supports_rfc8894,supports_aes,supports_post_operation,supports_renewal,supports_sha256,"
                "supports_sha512:b ca_cert_subject? ca_cert_issuer? ca_cert_not_before,ca_cert_not_after:t ca_cert_expired:b ca_cert_days_to_expiry:i "
                "ca_cert_algorithm? ca_cert_chain_length:i probed_at:t probe_duration_ms:i error? created_at:t")
CHECK = members("id endpoint certificate_id? network_scan_target_id? expected_fingerprint observed_fingerprint status consecutive_failures,response_time_ms:i "
                "tls_version cipher_suite cert_subject cert_issuer cert_expiry,last_checked_at,last_success_at,last_failure_at,last_transition_at:t? "
                "failure_reason degraded_threshold,down_threshold,check_interval_seconds:i enabled,acknowledged:b acknowledged_by? acknowledged_at:t? "
                "created_at,updated_at:t")
CHECKED = members("id health_check_id status response_time_ms:i fingerprint failure_reason checked_at:t")
INTERMEDIATE = members("id owning_issuer_id parent_ca_id? name subject state cert_pem key_driver_id not_before,not_after:t path_len_constraint:i? "
                       "name_constraints:l? ocsp_responder_url? metadata:o? created_at:t updated_at:t")
STATUS = members("status")


def certificate(name):
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(x509.random_serial_number()) \
        .not_valid_before(now).not_valid_after(now + timedelta(days=9)).sign(key, hashes.SHA256())


def report(w, **more):
    name = w.name("found")
    cert = certificate(name)
    return {"directories": ["/etc/ssl"], "scan_duration_ms": 5, "certificates": [{
        "fingerprint_sha256": cert.fingerprint(hashes.SHA256()).hex(), "common_name": name, "sans": [], "serial_number": f"{cert.serial_number:x}",
        "issuer_dn": f"CN={name}", "subject_dn": f"CN={name}", "not_before": "2026-01-01T00:00:00Z", "not_after": "2027-01-01T00:00:00Z",
        "key_algorithm": "ECDSA", "key_size": 256, "is_ca": False, "source_path": f"/etc/ssl/{name}.pem", "source_format": "PEM",
        "pem_data": cert.public_bytes(serialization.Encoding.PEM).decode()} | more]}


def found(w):
    """One that the agent of our hands reported."""
    body = report(w)
    w.api.need("POST", f"{V1}/agents/{w.hand['id']}/discoveries", body)
    return w.fleet.value("SELECT id FROM discovered_certificates WHERE fingerprint_sha256 = %s", body["certificates"][0]["fingerprint_sha256"])


def dismissed(w):
    one = found(w)
    w.api.need("POST", f"{V1}/discovered-certificates/{one}/dismiss")
    return one


def violated(w):
    """A rule that a certificate does not keep to, as the duty found."""
    rule = w.make("policies", type="AllowedEnvironments", config={"allowed": ["nowhere"]}, severity="Warning", enabled=True)
    w.certificate()
    w.await_rows(f"{V1}/policies/{rule}/violations")
    return rule


def violator(w):
    """A certificate with a violation."""
    rule = violated(w)
    return w.api.need("GET", f"{V1}/policies/{rule}/violations")["data"][0]["certificate_id"]


def check(w, **more):
    """Its id."""
    return w.api.need("POST", CHECKS, endpoint(**more))["id"]


def endpoint(**more):
    return {"endpoint": "192.0.2.1:443"} | more


def checked(w):
    """One that was looked at."""
    one = check(w)
    w.fleet.query("INSERT INTO endpoint_health_history (id, health_check_id, status) VALUES (%s, %s, 'healthy')", w.name("hch"), one)
    return one


def acknowledged(w):
    one = check(w)
    w.api.need("POST", f"{CHECKS}/{one}/acknowledge", {})
    return one


def own_root(w):
    """An issuer of its own root."""
    issuer = w.make("issuers", type="GenericCA", config={"ca_common_name": w.name("Root")})
    w.await_rows(f"{V1}/issuers/{issuer}/cas")
    return issuer


def root(w, issuer):
    """The body that enters an issuer's own root into its hierarchy."""
    pem = w.api.need("GET", f"{V1}/issuers/{issuer}/cas")["data"][0]["certificate_pem"]
    return {"name": w.name("root"), "root_cert_pem": pem, "key_driver_id": "issuer"}


def hierarchy(w):
    """An issuer whose root is in its hierarchy; the root is kept for the body."""
    issuer = own_root(w)
    w.made = w.api.need("POST", f"{V1}/issuers/{issuer}/intermediates", root(w, issuer))["id"]
    return issuer


def child(w, **more):
    return {"name": w.name("child"), "parent_ca_id": w.made, "subject": {"common_name": "Child CA"}, "ttl_days": 30} | more


def intermediate(w):
    return w.api.need("POST", f"{V1}/issuers/{hierarchy(w)}/intermediates", child(w))["id"]


def retired(w):
    one = intermediate(w)
    for body in ({}, {"confirm": True}):
        w.api.need("POST", f"{V1}/intermediates/{one}/retire", body)
    return one


def parent(w):
    """A root that is retiring, above a CA that is not."""
    intermediate(w)
    w.api.need("POST", f"{V1}/intermediates/{w.made}/retire", {})
    return w.made


def asked_of(w):
    """An OCSP request about a leaf of the local CA."""
    name = w.issued()
    pem = w.api.call("GET", f"/api/v1/agents/{w.hand['id']}/certificates/{name}", key=w.hand["api_key"])[1]["certificate_pem"]
    end = "-----END CERTIFICATE-----\n"
    leaf, issuer = (x509.load_pem_x509_certificate((part + end).encode()) for part in pem.split(end)[:2])
    return ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA1()).build().public_bytes(serialization.Encoding.DER)


def serial(w):
    return ["iss-local", w.fleet.value("SELECT serial_number FROM certificate_versions WHERE certificate_id = %s", w.issued())]


RULES = [{"type": t, "config": c} for t, c in (
    ("AllowedIssuers", {"allowed_issuer_ids": ["iss-local"]}), ("AllowedDomains", {"allowed_domains": ["example.test"]}),
    ("RequiredMetadata", {"required_keys": ["team"]}), ("AllowedEnvironments", {"allowed": ["development"]}),
    ("RenewalLeadTime", {"lead_time_days": 30}), ("CertificateLifetime", {"max_days": 90}))]
NETS = [{"cidrs": ["192.0.2.0/28"]}, {"cidrs": ["192.0.2.1", "2001:db8::/120"], "ports": [443, 8443], "scan_interval_hours": 1, "timeout_ms": 100}]


def named(base):
    return lambda w: {"name": w.name("n")} | base


GOOD, BAD = noun("policies", RULE, [named(r) for r in RULES] + [named(RULES[0] | {"severity": s}) for s in ("Warning", "Error", "Critical")],
                 [{"enabled": False}, {"severity": ""}, {}],
                 [{"name": "x"}, {"name": "x", "type": "Nonsense"}, {"name": "x", "type": "CertificateLifetime", "config": {"max_days": "x"}},
                  {"name": "x", "type": "AllowedDomains", "config": {"nonsense": 1}}, {"name": "x", "type": "AllowedDomains", "severity": "Nonsense"}], RULES[0])
more_good, more_bad = noun("network-scan-targets", NETWORK, [named(n) for n in NETS], [{"ports": [8443]}, {"enabled": False}, {}],
                           [{"name": "x"}, {"name": "x", "cidrs": []}, {"name": "x", "cidrs": ["192.0.2.0/33"]}, {"name": "x", "cidrs": ["10.0.0.0/8"]},
                            {"name": "x", "cidrs": ["192.0.2.1"], "ports": [0]}, {"name": "x", "cidrs": ["192.0.2.1"], "ports": [65536]},
                            {"name": "x", "cidrs": ["host.example.test"]}], NETS[0])
GOOD |= more_good | {
    ("GET", f"{V1}/policies/{{id}}/violations"): [page(VIOLATION, violated)],
    ("GET", f"{V1}/certificates/{{id}}/violations"): [page(VIOLATION, violator)],
    ("POST", f"{V1}/agents/{{id}}/discoveries"): [Good(lambda w: w.hand["id"], report, 202, SCAN),
                                                  Good(lambda w: w.hand["id"], {"directories": ["/x"], "certificates": [], "errors": ["no such directory"],
                                                                                "scan_duration_ms": 1}, 202, SCAN)],
    ("GET", f"{V1}/discovered-certificates"): [page(FOUND, lambda w: found(w) and ""), page(FOUND, "?status=Unmanaged"),
                                               page(FOUND, lambda w: f"?agent_id={w.hand['id']}"), page(FOUND, lambda w: dismissed(w) and "?status=Dismissed")],
    ("GET", f"{V1}/discovered-certificates/{{id}}"): [Good(found, None, 200, FOUND)],
    ("POST", f"{V1}/discovered-certificates/{{id}}/claim"): [Good(found, lambda w: {"managed_certificate_id": w.certificate()}, 200, members("status message"))],
    ("POST", f"{V1}/discovered-certificates/{{id}}/dismiss"): [Good(found, None, 200, members("status message"))],
    ("GET", f"{V1}/discovery-scans"): [page(SCAN), page(SCAN, lambda w: f"?agent_id={w.hand['id']}")],
    ("GET", f"{V1}/discovery-summary"): [Good("", None, 200, members("Unmanaged,Managed,Dismissed:i"))],
    ("POST", f"{V1}/network-scan-targets/{{id}}/scan"): [Good(lambda w: w.make("network-scan-targets", **NETS[0]), b, 202, SCAN) for b in (None, {})],
    ("POST", f"{V1}/network-scan/scep-probe"): [],   # It wants a server that is allowed: test_network_scans.py.
    ("GET", f"{V1}/network-scan/scep-probes"): [Good("", None, 200, members("probes:l probe_count:i"))],
    ("GET", CHECKS): [page(CHECK, lambda w: check(w) and ""), page(CHECK, "?status=unknown"), page(CHECK, lambda w: check(w, enabled=True) and "?enabled=true"),
                      page(CHECK, lambda w: f"?certificate_id={w.last(w.certificate())}&page={check(w, certificate_id=w.made) and 1}")],
    ("GET", f"{CHECKS}/summary"): [Good("", None, 200, members("healthy,degraded,down,cert_mismatch,unknown,total:i"))],
    ("POST", CHECKS): [Good("", endpoint(**more), 201, CHECK) for more in (
        {}, {"enabled": True, "expected_fingerprint": "AB" * 32}, {"check_interval_seconds": 0, "degraded_threshold": 1, "down_threshold": 1},
        {"endpoint": "[2001:db8::1]:443", "no_such": 1})] +
    [Good("", lambda w: endpoint(certificate_id=w.certificate(), network_scan_target_id=w.make("network-scan-targets", **NETS[0])), 201,
          CHECK | members("certificate_id network_scan_target_id"))],
    ("GET", f"{CHECKS}/{{id}}"): [Good(check, None, 200, CHECK), Good(acknowledged, None, 200, CHECK | members("acknowledged_by acknowledged_at:t"))],
    ("PUT", f"{CHECKS}/{{id}}"): [Good(check, b, 200, CHECK) for b in ({}, endpoint(endpoint="other.example.test:8443"), {"enabled": True}, {"down_threshold": 9})],
    ("DELETE", f"{CHECKS}/{{id}}"): [Good(checked, None, 204)],
    ("GET", f"{CHECKS}/{{id}}/history"): [Good(checked, None, 200, CHECKED, rows="."), Good(lambda w: [checked(w), "?limit=1"], None, 200, CHECKED, rows=".")],
    ("POST", f"{CHECKS}/{{id}}/acknowledge"): [Good(check, b, 204) for b in ({}, {"actor": "ann"}, {"acknowledged_by": "bob"})],
    ("POST", f"{V1}/issuers/{{id}}/test"): [Good("iss-local", None, 200, STATUS)],
    ("POST", f"{V1}/targets/{{id}}/test"): [Good(lambda w: w.target(), None, 200, members("status message"))],
    ("POST", f"{V1}/agents/{{id}}/tests/{{test_id}}"): [],   # An agent answers its own: test_target_tests.py.
    ("POST", f"{V1}/issuers/{{id}}/intermediates"): [Good(lambda w: w.last(own_root(w)), lambda w: root(w, w.made), 201, INTERMEDIATE), Good(hierarchy, child, 201, INTERMEDIATE)],
    ("GET", f"{V1}/issuers/{{id}}/intermediates"): [Good(lambda w: w.api.need("GET", f"{V1}/intermediates/{intermediate(w)}")["owning_issuer_id"],
                                                         None, 200, INTERMEDIATE, rows="data")],
    ("GET", f"{V1}/intermediates/{{id}}"): [Good(intermediate, None, 200, INTERMEDIATE)],
    ("POST", f"{V1}/intermediates/{{id}}/retire"): [Good(intermediate, {"note": "over"}, 200, members("id decided_by confirmed:b"))],
    ("POST", f"{V1}/intermediates/{{id}}/revoke"): [Good(retired, {"reason": "caCompromise"}, 200, STATUS), Good(retired, None, 200, STATUS)],
    **{("GET", f"{V1}/stats/{name}"): [Good(q, None, 200, members(f"date {fields}"), rows=".") for q in ("", "?days=7", "?days=366", "?days=x")]
       for name, fields in (("expiration-timeline", "count:i"), ("job-trends", "completed_count,failed_count:i success_rate:f"), ("issuance-rate", "issued_count:i"))},
    ("GET", "/.well-known/pki/ocsp/{issuer}/{asked:ocsp...}"): [Good(serial, None, 200, media="application/ocsp-response"),
                                                                Good(["iss-local", "abcdef"], None, 200, media="application/ocsp-response")],
    ("POST", "/.well-known/pki/ocsp/{issuer}"): [Good("iss-local", asked_of, 200, media="application/ocsp-response", sends="application/ocsp-request")],
}
NEW = f"{V1}/issuers/{{id}}/intermediates"
BAD |= more_bad | {
    ("GET", f"{V1}/policies/{{id}}/violations"): [Bad(NO, None, 404)],
    ("GET", f"{V1}/certificates/{{id}}/violations"): [Bad(NO, None, 404)],
    ("POST", f"{V1}/agents/{{id}}/discoveries"): [Bad(NO, report, 404)] + [Bad(lambda w: w.hand["id"], b, 400) for b in (
        {}, {"directories": [], "certificates": []}, {"certificates": "x"}, {"certificates": [7]}, lambda w: report(w, fingerprint_sha256="x"),
        *(lambda w, m=more: report(w, **m) for more in ({"pem_data": "x"}, {"sans": "x"}, {"not_after": "soon"}, {"source_path": 7})))],
    ("GET", f"{V1}/discovered-certificates/{{id}}"): [Bad(NO, None, 404)],
    ("POST", f"{V1}/discovered-certificates/{{id}}/claim"): [Bad(NO, {"managed_certificate_id": "x"}, 404), Bad(found, {}, 400),
                                                             Bad(found, {"managed_certificate_id": 7}, 400), Bad(found, {"managed_certificate_id": NO}, 400)],
    ("POST", f"{V1}/discovered-certificates/{{id}}/dismiss"): [Bad(NO, None, 404)],
    ("POST", f"{V1}/network-scan/scep-probe"): [Bad("", b, 400) for b in ({}, {"url": ""}, {"url": 7}, {"url": "ftp://x/"}, {"url": "http://127.0.0.1/scep"})],
    ("POST", f"{V1}/network-scan-targets/{{id}}/scan"): [Bad(NO, None, 404)],
    ("GET", CHECKS): [Bad("?enabled=perhaps", None, 400)],
    ("POST", CHECKS): [Bad("", b, 400) for b in ({}, {"endpoint": ""}, *(endpoint(**more) for more in (
        {"endpoint": 7}, {"endpoint": "192.0.2.1"}, {"endpoint": "192.0.2.1:0"}, {"endpoint": "https://a.test:443"}, {"endpoint": f"{LONG}:443"},
        {"expected_fingerprint": "x"}, {"check_interval_seconds": -1}, {"degraded_threshold": "2"}, {"down_threshold": 1001}, {"enabled": "yes"},
        {"certificate_id": NO}, {"network_scan_target_id": NO}, {"id": "a b"})))] + [Bad("", lambda w: endpoint(id=check(w)), 409)],
    ("GET", f"{CHECKS}/{{id}}"): [Bad(NO, None, 404)],
    ("PUT", f"{CHECKS}/{{id}}"): [Bad(NO, endpoint(endpoint=7), 404)] + [Bad(check, b, 400) for b in (
        {"endpoint": ""}, {"endpoint": "x"}, {"enabled": 7}, {"check_interval_seconds": 1.5})],
    ("DELETE", f"{CHECKS}/{{id}}"): [Bad(NO, None, 404)],
    ("GET", f"{CHECKS}/{{id}}/history"): [Bad(NO, None, 404)],
    ("POST", f"{CHECKS}/{{id}}/acknowledge"): [Bad(NO, {}, 404), Bad(check, "", 400), Bad(check, {"actor": 7}, 400), Bad(check, {"acknowledged_by": LONG}, 400)],
    ("POST", f"{V1}/issuers/{{id}}/test"): [Bad(NO, None, 404)],
    ("POST", NEW): [Bad(NO, lambda w: child(w, parent_ca_id=NO), 404)] + [Bad(hierarchy, lambda w, m=more: child(w, **m), 400) for more in (
        {"name": ""}, {"name": 7}, {"subject": "x"}, {"ttl_days": -1}, {"ttl_days": "x"}, {"path_len_constraint": -1}, {"algorithm": "nonsense"},
        {"root_cert_pem": "x", "key_driver_id": "y"}, {"name_constraints": "x"})] + [Bad(hierarchy, lambda w: child(w, parent_ca_id=NO), 404)],
    ("GET", NEW): [Bad(NO, None, 404)],
    ("GET", f"{V1}/intermediates/{{id}}"): [Bad(NO, None, 404)],
    ("POST", f"{V1}/intermediates/{{id}}/revoke"): [Bad(NO, {}, 404), Bad(intermediate, {"reason": "boredom"}, 400), Bad(intermediate, {"reason": 7}, 400),
                                                      Bad(intermediate, {}, 409), Bad(parent, {}, 409)],
    ("POST", f"{V1}/intermediates/{{id}}/retire"): [Bad(NO, {}, 404), Bad(intermediate, {"confirm": "yes"}, 400),
                                                      Bad(parent, {"confirm": True}, 409)],
    ("GET", "/.well-known/pki/ocsp/{issuer}/{asked:ocsp...}"): [Bad([NO, "abcdef"], None, 404), Bad(["iss-local", "xyz"], None, 400)],
    ("POST", "/.well-known/pki/ocsp/{issuer}"): [Bad("iss-local", "nonsense", 415)],
}
