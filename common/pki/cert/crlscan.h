/*
 * crlscan: a revocation list of any size, cut into what stands in it once and
 * its entries (RFC 5280 section 5.1).
 *
 * A list may have half a million entries, and OpenSSL makes objects of each:
 * that takes longer than a worker may be away from its loop.  Here they are
 * passed by, and OpenSSL gets the rest.
 */
#ifndef COMMON_PKI_CERT_CRLSCAN_H
#define COMMON_PKI_CERT_CRLSCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"

/* Of what is no entry: names, numbers, extensions. */
#define CRLSCAN_HEAD_MAX ((size_t)64 * 1024)

struct crlscan {
	struct span tbs; /* what is signed, whole */
	/* The list without its entries, in the arena; its signature is that of
	 * tbs. */
	struct span head;
	struct span entries; /* for crlscan_entries */
};

struct crlscan_entry {
	struct span serial; /* of the INTEGER, minimal */
	bool is_removed;    /* its reason is removeFromCRL */
	bool has_critical;  /* an extension that is critical */
};

/* RC_INVALID: it is no list in DER, or names two algorithms; RC_TOO_LARGE: its
 * head is. */
rc crlscan_cut(struct arena *a, struct span der,
    struct crlscan *out) MUST_CHECK;
/* Each, in order.  RC_INVALID: one is no entry in DER; some were told of. */
rc crlscan_entries(struct span entries,
    void (*each)(void *arg, const struct crlscan_entry *e),
    void *arg) MUST_CHECK;

#endif
