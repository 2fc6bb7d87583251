/*
 * pkcs12: a certificate and its chain as a PKCS#12 file (RFC 7292), without a
 * private key: what trust stores and Windows' import read.
 */
#ifndef COMMON_PKI_CERT_PKCS12_H
#define COMMON_PKI_CERT_PKCS12_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"

enum pkcs12_ciphers {
	PKCS12_MODERN, /* PBES2 with AES-256-CBC; HMAC with SHA-256 */
	/* pbeWithSHAAnd3-KeyTripleDES-CBC; HMAC with SHA-1: all that Windows
	 * reads before Server 2019 */
	PKCS12_LEGACY
};

/* Certificates in a file at most, the leaf counted. */
enum { PKCS12_CERTS_MAX = 20 };

/*
 * pem: the leaf first, then its chain.  password: "" encrypts with an empty
 * one.  name: the leaf's friendlyName.  The file's bytes are in the arena.
 * RC_INVALID: pem holds something that is no certificate, or none, or too
 * many; RC_INTERNAL: OpenSSL failed.
 */
rc pkcs12_make(struct arena *a, const char *pem, const char *password,
    const char *name, enum pkcs12_ciphers ciphers, struct span *out) MUST_CHECK;

#endif
