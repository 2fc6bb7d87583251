/*
 * certid: the identifier of a certificate in renewal information (RFC 9773
 * section 4.1): the key identifier of its issuer and its serial number, as they
 * stand in it, each in base64url, with a dot between them.
 */
#ifndef COMMON_PKI_CERT_CERTID_H
#define COMMON_PKI_CERT_CERTID_H

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"

struct certid {
	struct span issuer_key; /* keyIdentifier of AuthorityKeyIdentifier */
	char serial_hex[41];    /* 40 lower-case digits, zero padded */
};

/* RC_INVALID unless it is the one text of a positive serial of at most 20
 * octets and a key identifier of at most 64. */
rc certid_parse(struct arena *a, const char *text,
    struct certid *out) MUST_CHECK;
/* What names the first certificate of a PEM bundle; RC_INVALID where it has no
 * key identifier of its issuer, or is none. */
rc certid_of_pem(struct arena *a, const char *pem,
    struct certid *out) MUST_CHECK;
/* Whether both name one certificate. */
bool certid_equal(const struct certid *x, const struct certid *y);

#endif
