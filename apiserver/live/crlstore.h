/*
 * crlstore: the revocation lists this process has sent, so that one of
 * megabytes is read from the database once, not for everyone who asks.
 *
 * Kept by issuer, under the tag of the database's row; whoever uses one has
 * asked for that tag just now.  Event loop only.
 */
#ifndef APISERVER_LIVE_CRLSTORE_H
#define APISERVER_LIVE_CRLSTORE_H

#include <stddef.h>
#include <stdint.h>

#include "common/pki/asn1/span.h"

/* Past this the lists that were asked for longest ago go. */
#define CRLSTORE_MAX_BYTES ((size_t)64 * 1024 * 1024)

struct crlstore; /* defined in crlstore.c */

struct crlstore *crlstore_new(size_t max_bytes);
/* NULL: no-op. */
void crlstore_free(struct crlstore *s);
/* The list, empty when it is not here or has another tag; valid until the
 * next call. */
struct span crlstore_get(struct crlstore *s, const char *issuer_id,
    const char *etag);
/* hex: the DER.  The list, empty when it is no hex; valid until the next
 * call. */
struct span crlstore_put(struct crlstore *s, const char *issuer_id,
    const char *etag, const char *hex);

#endif
