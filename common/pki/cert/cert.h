/*
 * cert: reading X.509 certificates (RFC 5280).
 */
#ifndef COMMON_PKI_CERT_CERT_H
#define COMMON_PKI_CERT_CERT_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

struct cert_info {
	char serial_hex[41]; /* 40 lower-case digits, zero padded */
	char fingerprint_sha256[65];
	int64_t not_before_unix;
	int64_t not_after_unix;
	const char *common_name;   /* arena; "" when none */
	const char *issuer_dn;     /* arena; RFC 2253 */
	const char *key_algorithm; /* "ECDSA" */
	int key_size;
	bool is_ca;
};

/* The first certificate of a PEM bundle.  The caller frees it. */
rc cert_from_pem(const char *pem, size_t len, X509 **out) MUST_CHECK;
rc cert_read(struct arena *a, X509 *x, struct cert_info *out) MUST_CHECK;
rc cert_to_pem(struct arena *a, const uint8_t *der, size_t len,
    char **out) MUST_CHECK;
/* The same of a certificate that was read or made. */
rc cert_x509_pem(struct arena *a, const X509 *x, char **out) MUST_CHECK;
/* SHA-256 of the public key, 64 lower-case digits: the same for every
 * certificate of one key. */
rc cert_key_id(const X509 *x, char out[65]) MUST_CHECK;
/* RC_INVALID unless the key's public part is the certificate's. */
rc cert_match_key(X509 *x, EVP_PKEY *key) MUST_CHECK;
/* Unix seconds. */
rc cert_time(const ASN1_TIME *t, int64_t *out) MUST_CHECK;
/* For people; "a year that is none" for what RFC 3339 can't write. */
const char *cert_time_text(struct arena *a, int64_t unix_s);
/* 40 lower-case digits of a serial; RC_INVALID past 20 octets. */
rc cert_serial_hex(const ASN1_INTEGER *serial, char out[41]) MUST_CHECK;

#endif
