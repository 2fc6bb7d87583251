/*
 * pem: the textual wrapping of DER (RFC 7468), read and written.
 */
#ifndef COMMON_PKI_ASN1_PEM_H
#define COMMON_PKI_ASN1_PEM_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"

/*
 * The bytes of the first block that carries the label; explanatory text
 * before it is skipped, and so is a byte-order mark.  *out_rest is what
 * follows its last line; it may be NULL.  RC_NOT_FOUND without such a block;
 * RC_INVALID when its end is missing or its body is not base64.  The caller has
 * capped len.
 */
rc pem_read(struct arena *a, const char *label, const char *pem, size_t len,
    struct span *out_der, struct span *out_rest) MUST_CHECK;
/* The same; *out_before is what was skipped, without the byte-order mark. */
rc pem_find(struct arena *a, const char *label, const char *pem, size_t len,
    struct span *out_der, struct span *out_before,
    struct span *out_rest) MUST_CHECK;
/* The block, in lines of 64 characters, NUL-terminated, in the arena. */
char *pem_write(struct arena *a, const char *label, struct span der);

#endif
