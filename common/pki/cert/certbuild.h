/*
 * certbuild: a leaf certificate from a template, the hot path of the product.
 *
 * OpenSSL's builders cost ten times the signature, so the DER of a leaf is
 * put together here: the CA's fixed parts once, the request's fields copied
 * as bytes, and only the signature made by OpenSSL (RFC 5280 section 4.1).
 */
#ifndef COMMON_PKI_CERT_CERTBUILD_H
#define COMMON_PKI_CERT_CERTBUILD_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/der.h"
#include "common/pki/csr/csr.h"

struct certbuild; /* a signing CA: certificate, key, fixed DER */

/* Both are referenced, not copied.  RC_INVALID unless ca can sign
 * certificates and key is its key. */
rc certbuild_new(X509 *ca, EVP_PKEY *key, struct certbuild **out) MUST_CHECK;
void certbuild_free(struct certbuild *b);

struct leaf_spec {
	const char *serial_hex; /* 40 hex digits */
	int64_t not_before_unix;
	int64_t not_after_unix;
	const char *const *ekus;      /* "serverAuth", ...; NULL-terminated */
	const char *const *crl_urls;  /* NULL-terminated; may be NULL */
	const char *const *ocsp_urls; /* the same */
	bool must_staple;
	const struct csr *csr;
};

/* The to-be-signed bytes: the same spec gives the same bytes. */
rc certbuild_tbs(struct certbuild *b, struct arena *a,
    const struct leaf_spec *spec, struct span *out_tbs) MUST_CHECK;
/* The whole certificate or revocation list, DER, over exactly these bytes. */
rc certbuild_sign(struct certbuild *b, struct arena *a, struct span tbs,
    struct span *out_der) MUST_CHECK;

/* What a revocation list of this CA is made of; lasts as long as the CA. */
struct certbuild_issuer {
	struct span name;    /* its subject, DER */
	struct span alg;     /* AlgorithmIdentifier of its signatures */
	struct span aki_ext; /* a whole Extension */
	bool may_sign_crls;  /* by its key usage */
};
struct certbuild_issuer certbuild_issuer(const struct certbuild *b);
/* In front of what w holds: a certificate's version, serial, algorithm and
 * issuer.  RC_INVALID: serial_hex is no positive number of 40 digits. */
rc certbuild_put_head(struct der_out *w, const struct certbuild_issuer *ca,
    const char *serial_hex) MUST_CHECK;

/* A self-signed root: ECDSA P-256, pathlen 0 absent, keyCertSign+cRLSign. */
rc certbuild_root(const char *common_name, int64_t not_before_unix,
    int64_t not_after_unix, X509 **out_ca, EVP_PKEY **out_key) MUST_CHECK;

#endif
