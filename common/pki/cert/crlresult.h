/*
 * crlresult: a revocation list that a CA outside of our process made, before it
 * is believed (RFC 5280 section 5).
 *
 * It is stored and served only if clients can use it as the list of the CA that
 * issued what is in use: complete, of now, signed by that CA, and no older than
 * the one that is served.
 */
#ifndef COMMON_PKI_CERT_CRLRESULT_H
#define COMMON_PKI_CERT_CRLRESULT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"
#include "common/pki/cert/crl.h"

/* Of DER; as many as a list of our own may have. */
#define CRLRESULT_DER_MAX ((size_t)16 * 1024 * 1024)
/* Of what is sent: the same in PEM. */
#define CRLRESULT_BYTES_MAX ((size_t)24 * 1024 * 1024)
/* How far the CA's clock may be ahead of ours. */
#define CRLRESULT_SKEW_S 300

struct crlresult_rules {
	int64_t now_unix;
	/* By which the CA is known: certificates of it, each followed by its
	 * chain, PEM. */
	const char *const *issued;
	size_t nissued;
	/* What is served; NULL for nothing. */
	const char *served_ca; /* as in struct crlresult */
	int64_t served_number, served_this_update_unix, served_next_update_unix;
	/* What is revoked here. */
	const struct crl_entry *revoked;
	size_t nrevoked;
};

struct crlresult {
	struct span der;
	int64_t number;
	int64_t this_update_unix, next_update_unix;
	size_t nentries;
	char ca_fingerprint[65]; /* SHA-256 of the signer's certificate */
	/* For people: what is revoked here and does not stand in it; NULL where
	 * all does. */
	const char *lacks;
	/* For people: that what is issued is in use still by another key or
	 * name of the CA, for which this is no list; NULL where none is. */
	const char *others;
};

/*
 * PEM or DER.  What *out points at lives in the arena or is part of the bytes.
 * RC_INVALID or RC_TOO_LARGE with *out_why, for people: what is wrong with it.
 */
rc crlresult_read(struct arena *a, const struct crlresult_rules *rules,
    const char *bytes, size_t len, struct crlresult *out,
    const char **out_why) MUST_CHECK;

#endif
