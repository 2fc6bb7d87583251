"""
What is accepted is issued, signed and served, up to the last name and the last
byte; one more is refused when it is asked for, in words that tell the limit.
"""
import pytest
from cryptography import x509

CERTS, ISSUERS = "/api/v1/certificates", "/api/v1/issuers"
NAMES, NAME_BYTES = 100, 253  # beside the common name
URLS, URL_BYTES = 8, 1024


def name(i, size=NAME_BYTES):
    """Of labels as long as they may be."""
    text = ".".join([f"h{i}".ljust(63, "a"), "b" * 63, "c" * 63, "d" * 61])
    return text if size == len(text) else text + "e" * (size - len(text))


def url(i, size=URL_BYTES):
    return f"http://crl.example.test/{i}".ljust(size, "x")


@pytest.fixture(scope="module")
def plane(stack):
    stack.start_scheduler(keep=True)
    stack.start_worker(keep=True)
    stack.make_basics(crl_distribution_point_urls=[url(i) for i in range(URLS)])
    return stack


def leaf(plane, certificate):
    return x509.load_pem_x509_certificate(plane.api.need("GET", f"{CERTS}/{certificate}/versions")["data"][0]["pem_chain"].encode())


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def test_the_most_names_and_the_longest_are_served(plane):
    sans = [name(i) for i in range(NAMES)]
    site = plane.start_site("edge", common_name=name(NAMES), sans=sans)
    site.renew_and_wait()
    made = leaf(plane, "edge")
    names = extension(made, x509.SubjectAlternativeName)
    assert sorted(names.value.get_values_for_type(x509.DNSName)) == sorted([*sans, name(NAMES)])
    assert names.critical and not made.subject.rdns  # a common name has room for 64 bytes
    points = extension(made, x509.CRLDistributionPoints).value
    assert [n.value for p in points for n in p.full_name] == [url(i) for i in range(URLS)]
    # The same by a change, and what is beyond changes nothing.
    for bad, word in (([name(i) for i in range(NAMES + 1)], f"more than {NAMES}"), ([name(1, NAME_BYTES + 1)], "sans")):
        status, reply = plane.api.call("PUT", f"{CERTS}/edge", {"sans": bad})
        assert status == 400 and "sans" in reply["message"] and word in reply["message"], reply
    assert sorted(plane.api.need("GET", f"{CERTS}/edge")["sans"]) == sorted(sans)
    plane.api.need("PUT", f"{CERTS}/edge", {"sans": [name(i + 500) for i in range(NAMES)]})


@pytest.mark.parametrize("field, value, word", [
    ("sans", [name(i) for i in range(NAMES + 1)], f"has more than {NAMES} members"),
    ("sans", [name(1, NAME_BYTES + 1)], str(NAME_BYTES)),
    ("common_name", name(1, NAME_BYTES + 1), str(NAME_BYTES)),
])
def test_one_more_name_or_byte_is_refused(plane, field, value, word):
    status, reply = plane.api.post(CERTS, plane.certificate("beyond", **{field: value}))
    assert status == 400 and field in reply["message"] and word in reply["message"], reply
    assert plane.api.get(f"{CERTS}/beyond")[0] == 404


@pytest.mark.parametrize("urls, word", [([url(i) for i in range(URLS + 1)], f"at most {URLS}"), ([url(0, URL_BYTES + 1)], str(URL_BYTES))])
def test_one_more_address_or_byte_is_refused(plane, urls, word):
    body = {"id": "iss-beyond", "name": "Beyond", "type": "GenericCA", "config": {"validity_days": 90, "crl_distribution_point_urls": urls}}
    status, reply = plane.api.post(ISSUERS, body)
    assert status == 400 and "crl_distribution_point_urls" in reply["message"] and word in reply["message"], reply
    status, reply = plane.api.call("PUT", f"{ISSUERS}/iss-local", {"config": body["config"]})
    assert status == 400 and word in reply["message"], reply
