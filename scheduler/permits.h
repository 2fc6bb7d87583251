/*
 * permits: a semaphore whose truth are rows.
 *
 * One permit is one running lease.  Between two counts of the rows a permit
 * that was taken stays taken, so the book may say too many for a moment but
 * never too few: what is in flight while a count is made is added to it.
 * Used for the whole fleet and, per issuer, for each lane.
 */
#ifndef SCHEDULER_PERMITS_H
#define SCHEDULER_PERMITS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

struct permits { /* embedded by lanes; change it through the functions only */
	size_t cap;
	size_t used;
	size_t in_flight; /* taken, and its claim not answered yet */
	size_t since;     /* taken that the count under way may not have seen */
};

void permits_init(struct permits *p, size_t cap);
void permits_set_cap(struct permits *p, size_t cap);
/* RC_BUSY when none is free. */
rc permits_take(struct permits *p) MUST_CHECK;
/* A permit that was taken became a lease. */
void permits_keep(struct permits *p);
/* A permit that was taken was not needed. */
void permits_give(struct permits *p);
size_t permits_left(const struct permits *p);

/* A count of the rows is sent now. */
void permits_mark(struct permits *p);
/* Its answer. */
void permits_recount(struct permits *p, size_t counted);

#endif
