#include "common/pki/asn1/oid.h"

#define OID(text) \
	{ \
		(const uint8_t *)(text), sizeof(text) - 1 \
	}

const struct span oid_common_name = OID("\x55\x04\x03");
const struct span oid_extension_request =
    OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e");
const struct span oid_ski = OID("\x55\x1d\x0e");
const struct span oid_key_usage = OID("\x55\x1d\x0f");
const struct span oid_san = OID("\x55\x1d\x11");
const struct span oid_basic_constraints = OID("\x55\x1d\x13");
const struct span oid_crl_points = OID("\x55\x1d\x1f");
const struct span oid_crl_number = OID("\x55\x1d\x14");
const struct span oid_aki = OID("\x55\x1d\x23");
const struct span oid_ext_key_usage = OID("\x55\x1d\x25");
const struct span oid_tls_feature = OID("\x2b\x06\x01\x05\x05\x07\x01\x18");
const struct span oid_ocsp_basic = OID("\x2b\x06\x01\x05\x05\x07\x30\x01\x01");
const struct span oid_ocsp_nonce = OID("\x2b\x06\x01\x05\x05\x07\x30\x01\x02");
const struct span oid_ocsp_nocheck =
    OID("\x2b\x06\x01\x05\x05\x07\x30\x01\x05");
const struct span oid_authority_access =
    OID("\x2b\x06\x01\x05\x05\x07\x01\x01");
const struct span oid_access_ocsp = OID("\x2b\x06\x01\x05\x05\x07\x30\x01");
