/*
 * ocsp_response: what is answered of the status of certificates (RFC 6960
 * section 4.2), signed by a delegated responder.
 *
 * The DER is put together here, as of leaves (certbuild.h): OpenSSL's builders
 * cost several times the signature.
 */
#ifndef COMMON_PKI_OCSP_OCSP_RESPONSE_H
#define COMMON_PKI_OCSP_OCSP_RESPONSE_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"

/* An OCSPResponse without an answer, by its status: unsigned, so that a client
 * takes nothing from it. */
enum ocsp_error {
	OCSP_MALFORMED_REQUEST = 1,
	OCSP_TRY_LATER = 3,
	OCSP_UNAUTHORIZED = 6,
};
#define OCSP_ERROR_LEN 5
void ocsp_error(enum ocsp_error status, uint8_t out[OCSP_ERROR_LEN]);

enum ocsp_status { OCSP_GOOD, OCSP_REVOKED, OCSP_UNKNOWN };

struct ocsp_single {
	struct span cert_id; /* DER */
	enum ocsp_status status;
	int64_t revoked_at_unix; /* of OCSP_REVOKED, as the next */
	uint8_t reason;          /* CRLReason; 0 is not written */
};

struct ocsp_spec {
	const struct ocsp_single *singles;
	size_t n;
	int64_t this_update_unix; /* and when it was produced */
	int64_t next_update_unix;
	struct span nonce; /* its octets; empty: none */
};

struct ocsp_signer; /* a responder: its certificate and key */

/* Both are referenced, not copied.  RC_INVALID unless it is its key, of
 * ECDSA. */
rc ocsp_signer_new(X509 *cert, EVP_PKEY *key,
    struct ocsp_signer **out) MUST_CHECK;
/* NULL: no-op. */
void ocsp_signer_free(struct ocsp_signer *s);
/* What all that it signs ends with: its certificate.  As long as it is. */
struct span ocsp_signer_end(const struct ocsp_signer *s);
/* The whole OCSPResponse, DER, in the arena, with the responder's certificate.
 * RC_INVALID: no single, or a time that can't be written. */
rc ocsp_sign(struct ocsp_signer *s, struct arena *a,
    const struct ocsp_spec *spec, struct span *out_der) MUST_CHECK;

#endif
