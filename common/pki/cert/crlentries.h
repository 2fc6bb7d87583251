/*
 * crlentries: the entries of a list by a CA outside, beside what is revoked
 * here.
 */
#ifndef COMMON_PKI_CERT_CRLENTRIES_H
#define COMMON_PKI_CERT_CRLENTRIES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"
#include "common/pki/cert/crl.h"

struct crlentries {
	size_t n;
	bool has_critical; /* one has an extension that is critical */
	/* For people: what is revoked here and does not stand in it; NULL
	 * where all does.  In the arena. */
	const char *lacks;
};

/* entries as crlscan_cut gives them.  RC_INVALID: one is none. */
rc crlentries_read(struct arena *a, struct span entries,
    const struct crl_entry *revoked, size_t nrevoked,
    struct crlentries *out) MUST_CHECK;

#endif
