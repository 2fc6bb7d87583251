"""
Lints certificates and revocation lists by RFC 5280 with pkilint; run by the Python
of build-venv/ (tools/venv.sh), whose packages the tests themselves have not.

  lint_pki.py FILE...      DER, a list's name ends with .crl

Prints one JSON object: by file, the findings from a warning on: [severity, code, text].
"""
import json
import sys
from pathlib import Path

from pkilint import loader, pkix, validation
from pkilint.pkix import certificate, crl, extension, name


def certificate_lints():
    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [certificate.create_issuer_validator_container([]), certificate.create_validity_validator_container(),
         certificate.create_subject_validator_container([]), certificate.create_extensions_validator_container([]),
         certificate.create_spki_validator_container([])])


def list_lints():
    return crl.create_pkix_crl_validator_container(
        [pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS), pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS)],
        [crl.create_issuer_validator_container([]), crl.create_validity_validator_container([]),
         crl.create_extensions_validator_container([])])


def main():
    certificates, lists = certificate_lints(), list_lints()
    found = {}
    for path in map(Path, sys.argv[1:]):
        is_list = path.suffix == ".crl"
        reader = loader.RFC5280CertificateListDocumentLoader() if is_list else loader.RFC5280CertificateDocumentLoader()
        document = reader.load_der_document(path.read_bytes(), path.name)
        results = (lists if is_list else certificates).validate(document.root)
        found[path.name] = [[f.finding.severity.name, f.finding.code, f"{r.node.path}: {f.message or ''}"] for r in results
                            for f in r.finding_descriptions if f.finding.severity <= validation.ValidationFindingSeverity.WARNING]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
