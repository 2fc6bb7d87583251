/*
 * ocsp_answers: what a worker answers to a batch of OCSP requests, as the
 * octets in which an apiserver fetches it.
 *
 * All answers of a responder end with its certificate, more than half of each:
 * such an end is written once.
 */
#ifndef COMMON_PKI_OCSP_OCSP_ANSWERS_H
#define COMMON_PKI_OCSP_OCSP_ANSWERS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"

struct ocsp_answer {
	const char *outcome; /* "good", "unauthorized"; 255 octets at most */
	struct span der;     /* an OCSPResponse; empty unless it is signed */
	struct span end;     /* what of it others end with too; empty: none */
	int64_t left_s;      /* for so long it may be given again; 0: not */
};

/* In the arena.  RC_TOO_LARGE: one has more than 65535 octets, or there are
 * more than 255 ends. */
rc ocsp_answers_write(struct arena *a, const struct ocsp_answer *answers,
    size_t n, struct span *out) MUST_CHECK;
/* In the arena, without their ends told apart.  RC_INVALID: it was not written
 * so. */
rc ocsp_answers_read(struct arena *a, struct span octets,
    const struct ocsp_answer **out, size_t *out_n) MUST_CHECK;

#endif
