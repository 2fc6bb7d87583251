/*
 * ocsp_responder: the certificate by which a CA lets a key of its own sign for
 * it what it says of certificates, and nothing else (RFC 6960 section
 * 4.2.2.2).
 *
 * It says that nobody need ask whether it was revoked (id-pkix-ocsp-nocheck):
 * so its life is short.
 */
#ifndef COMMON_PKI_OCSP_OCSP_RESPONDER_H
#define COMMON_PKI_OCSP_OCSP_RESPONDER_H

#include <openssl/evp.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/cert/certbuild.h"

struct ocsp_responder_spec {
	const char *common_name;
	const char *serial_hex; /* 40 hex digits */
	int64_t not_before_unix;
	int64_t not_after_unix;
	const EVP_PKEY *key; /* its public part */
};

/* The certificate, DER, in the arena. */
rc ocsp_responder_make(struct certbuild *ca, struct arena *a,
    const struct ocsp_responder_spec *spec, struct span *out_der) MUST_CHECK;

#endif
