/*
 * certfile: the certificates in the bytes of a file, whatever its form: PEM,
 * DER, PKCS#12 without a password, PKCS#7.
 *
 * The bytes are anybody's.  Private keys beside a certificate are passed over
 * and never decrypted.
 */
#ifndef AGENT_CERTFILE_H
#define AGENT_CERTFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/pki/asn1/span.h"

enum {
	CERTFILE_MAX = 1024 * 1024, /* bytes of a file */
	CERTFILE_CERTS_MAX = 1000,  /* certificates of a file */
	/* Of a PKCS#12 file: it says itself how often a key is hashed. */
	CERTFILE_ITERATIONS_MAX = 600000
};

/* der is what claims to be a certificate, for the length of the call. */
typedef void certfile_fn(void *arg, const char *format, struct span der);

/* Whether a file of this name may hold certificates: not one without an
 * extension, nor a key's. */
bool certfile_is_wanted(const char *name);
/* NULL, or why not all of it could be read (a static text); fn has run for
 * what could. */
const char *certfile_read(struct arena *a, const char *name, struct span bytes,
    certfile_fn *fn, void *arg);

#endif
