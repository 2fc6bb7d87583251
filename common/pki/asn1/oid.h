/*
 * oid: the object identifiers this product reads and writes.
 *
 * Content octets only, without tag and length.
 */
#ifndef COMMON_PKI_ASN1_OID_H
#define COMMON_PKI_ASN1_OID_H

#include "common/pki/asn1/span.h"

extern const struct span oid_common_name;
extern const struct span oid_extension_request; /* PKCS#9, RFC 2985 */
/* Extensions, RFC 5280 section 4.2. */
extern const struct span oid_ski;
extern const struct span oid_key_usage;
extern const struct span oid_san;
extern const struct span oid_basic_constraints;
extern const struct span oid_crl_points;
extern const struct span oid_crl_number;
extern const struct span oid_aki;
extern const struct span oid_ext_key_usage;
extern const struct span oid_authority_access;
extern const struct span oid_access_ocsp; /* RFC 5280 section 4.2.2.1 */
extern const struct span oid_tls_feature; /* RFC 7633 */
/* RFC 6960 section 4. */
extern const struct span oid_ocsp_basic;
extern const struct span oid_ocsp_nonce;
extern const struct span oid_ocsp_nocheck;

#endif
