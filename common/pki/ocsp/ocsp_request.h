/*
 * ocsp_request: what a client asks of the status of certificates (RFC 6960
 * section 4.1), and the CA that it asks about.
 *
 * Foreign bytes (fuzzed against OpenSSL).  A request's own signature and its
 * requestor's name are read over: whoever asks gets the same answer.
 */
#ifndef COMMON_PKI_OCSP_OCSP_REQUEST_H
#define COMMON_PKI_OCSP_OCSP_REQUEST_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"
#include "common/pki/key/alg.h"

#define OCSP_IDS_MAX 16      /* certificates in one request */
#define OCSP_CERT_ID_MAX 256 /* octets of a CertID */
#define OCSP_NONCE_MAX 32    /* octets, RFC 8954 section 2.1 */

/* A CertID: the certificate by its issuer's name and key and its serial. */
struct ocsp_id {
	struct span whole; /* DER, as it came: the answer repeats it */
	enum alg_md md;    /* ALG_MD_NONE: of a digest that we do not know */
	struct span name_hash, key_hash;
	/* 40 lower-case digits; "" for what can be no serial of ours. */
	char serial_hex[41];
};

struct ocsp_request {
	const struct ocsp_id *ids; /* arena; spans point into the request */
	size_t n;
	struct span nonce; /* its octets; none when empty */
	/* A nonce of no octet, of too many, or that is none. */
	bool is_nonce_malformed;
	/* It asks for what nobody here knows to be so important. */
	bool has_unknown_critical;
};

/* RC_INVALID: it is no OCSPRequest in DER; RC_TOO_LARGE: more than
 * OCSP_IDS_MAX, or a CertID past OCSP_CERT_ID_MAX.  der must outlive *out. */
rc ocsp_request_parse(struct arena *a, struct span der,
    struct ocsp_request *out) MUST_CHECK;
/* One CertID, as above. */
rc ocsp_id_parse(struct span der, struct ocsp_id *out) MUST_CHECK;

/* A CA as CertIDs name it. */
struct ocsp_ca {
	uint8_t name_sha1[20], key_sha1[20];
	uint8_t name_sha256[32], key_sha256[32];
};
rc ocsp_ca_read(const X509 *ca, struct ocsp_ca *out) MUST_CHECK;
bool ocsp_ca_is(const struct ocsp_ca *ca, const struct ocsp_id *id);
/* The CertID, by SHA-1 as RFC 5019 section 2.1.1 asks, of a certificate of
 * that CA; in the arena.  RC_INVALID: serial_hex is not 40 digits. */
rc ocsp_ca_cert_id(struct arena *a, const struct ocsp_ca *ca,
    const char *serial_hex, struct span *out) MUST_CHECK;

#endif
