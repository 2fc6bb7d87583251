/*
 * scepca: what a SCEP server answers to GetCACert (RFC 8894 section 4.2): a
 * CA's certificate, or a degenerate PKCS#7 of it and those that go with it,
 * of registration authorities and of CAs above.
 */
#ifndef COMMON_PKI_CERT_SCEPCA_H
#define COMMON_PKI_CERT_SCEPCA_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"

enum { SCEPCA_BYTES_MAX = 1024 * 1024, SCEPCA_CERTS_MAX = 32 };

struct scepca {
	size_t n;  /* 1 at least */
	size_t ca; /* the first of a CA, or else the first */
	struct span certs[SCEPCA_CERTS_MAX]; /* DER, in the arena */
};

/* RC_INVALID: neither of the two, no certificate in it, or too many. */
rc scepca_read(struct arena *a, struct span answer,
    struct scepca *out) MUST_CHECK;

#endif
