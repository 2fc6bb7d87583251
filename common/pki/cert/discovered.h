/*
 * discovered: what a certificate that was found somewhere says of itself, as
 * reports of discoveries have it.
 *
 * Anything may lie on a host or be served on a network, so nothing is judged
 * here: what can't be read of a certificate is left empty, and its texts are
 * cut, and cleaned of what can't be seen.
 */
#ifndef COMMON_PKI_CERT_DISCOVERED_H
#define COMMON_PKI_CERT_DISCOVERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/json/json.h"
#include "common/pki/asn1/span.h"

enum {
	DISCOVERED_DER_MAX = 48 * 1024, /* bytes of one certificate */
	DISCOVERED_TEXT_MAX = 2048,     /* bytes of one text */
	DISCOVERED_PATH_MAX = 1024,     /* bytes of a place; indexed */
	DISCOVERED_SANS_MAX = 500,
	DISCOVERED_SERIAL_MAX = 128 /* digits */
};

/* Texts are never NULL; they live in the arena. */
struct discovered {
	char fingerprint_sha256[65]; /* of the DER, lower-case hex */
	/* Lower-case hex without leading zeros; "-" before a negative one. */
	const char *serial_number;
	const char *common_name;
	const char *issuer_dn, *subject_dn; /* RFC 2253 */
	const char *const *sans;            /* DNS, IP, e-mail, URI */
	size_t nsans;
	const char *not_before, *not_after; /* RFC 3339, UTC */
	const char *key_algorithm;          /* "ECDSA" */
	int key_size;                       /* bits; 0: the algorithm says it */
	bool is_ca;
	const char *pem; /* this certificate alone */
};

/* RC_INVALID: no certificate, more than one, or one past DISCOVERED_DER_MAX. */
rc discovered_read(struct arena *a, struct span der,
    struct discovered *out) MUST_CHECK;
/* As an entry of a report: it was found at path (see discovered_text), in
 * that format.  with_pem: with all of it. */
void discovered_put(struct json_w *w, const struct discovered *d,
    const char *path, const char *format, bool with_pem);
/* Another's text as a line to be shown: at most max bytes of it, whole
 * characters, with "?" for what can't be seen. */
const char *discovered_text(struct arena *a, const char *text, size_t len,
    size_t max);

#endif
