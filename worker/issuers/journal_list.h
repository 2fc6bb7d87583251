/*
 * journal_list: a revocation list that was kept beside the issuance journal.
 */
#ifndef WORKER_ISSUERS_JOURNAL_LIST_H
#define WORKER_ISSUERS_JOURNAL_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

struct journal_list {
	int64_t number;
	size_t n;
	const char **serials; /* 40 lower-case hex digits each */
	const char **reasons; /* by the names that the product uses */
	int64_t *revoked_at_unix;
};

/* All in the arena.  RC_INVALID for what is no list with a number. */
rc journal_list_read(struct arena *a, const uint8_t *der, size_t len,
    struct journal_list *out) MUST_CHECK;

#endif
