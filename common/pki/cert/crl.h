/*
 * crl: certificate revocation lists (RFC 5280 section 5).
 *
 * A list of a hundred thousand entries is 4 to 5 MB, put together in one pass
 * and one allocation; OpenSSL's builders take an object for each.
 */
#ifndef COMMON_PKI_CERT_CRL_H
#define COMMON_PKI_CERT_CRL_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/cert/certbuild.h"

#define CRL_SERIAL_BYTES 20

struct crl_entry {
	uint8_t serial[CRL_SERIAL_BYTES]; /* big endian */
	uint8_t reason;                   /* CRLReason; 0 is not written */
	int64_t revoked_at_unix;
};

struct crl_spec {
	int64_t number; /* positive */
	int64_t this_update_unix;
	int64_t next_update_unix;
	const struct crl_entry *entries; /* ascending, each serial once */
	size_t n;
};

/* CRLReason by the name that the product uses, in any letter case; 0,
 * unspecified, for every other text. */
uint8_t crl_reason(const char *name);
/* The other way round; "unspecified" for codes without a name. */
const char *crl_reason_name(int64_t code);

/* A serial of 40 hex digits.  RC_INVALID: it is none, or 0. */
rc crl_serial_read(const char *hex, uint8_t out[CRL_SERIAL_BYTES]) MUST_CHECK;
/* In lower-case hex, without leading bytes of 0; in the arena. */
const char *crl_serial_text(struct arena *a,
    const uint8_t serial[CRL_SERIAL_BYTES]);

/*
 * The to-be-signed bytes, for certbuild_sign.  RC_FORBIDDEN: the CA's key
 * usage lacks cRLSign; RC_TOO_LARGE: the list would pass 16 MiB; RC_INVALID:
 * the entries are in no order, or a time can't be written.
 */
rc crl_tbs(const struct certbuild *b, struct arena *a,
    const struct crl_spec *spec, struct span *out_tbs) MUST_CHECK;

#endif
