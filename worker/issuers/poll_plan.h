/*
 * poll_plan: when a CA is asked again for an order that it works on.
 *
 * After 5 s, 15 s, 45 s and 2 min, then every 5 min, each a fifth more or less
 * by chance, and no sooner than the CA asked for (Retry-After).  Where the CA
 * lists orders those of one issuer are asked for together: chance is what a
 * list can't serve, so they wait a tenth longer, and are due at the last
 * multiple of a fifth of that time before, which is the same for all.  When the
 * order has taken longer than its limit it is asked for once an hour: it stays
 * the job's, whatever the CA does with it, and nobody orders a second one.
 */
#ifndef WORKER_ISSUERS_POLL_PLAN_H
#define WORKER_ISSUERS_POLL_PLAN_H

#include <stdbool.h>
#include <stdint.h>

struct poll_plan {
	int64_t polls;     /* times it was asked for so far */
	int64_t waited_ms; /* since the CA took the order */
	int64_t max_wait_ms;
	int64_t retry_after_s; /* 0: the CA did not say */
	bool is_together;      /* with the others of its issuer */
};

struct poll_wait {
	int64_t ms; /* at least 1 */
	/* Due at the last multiple of it by then; 0: exactly then. */
	int64_t grid_ms;
	bool is_over; /* the limit is */
};

struct poll_wait poll_plan_wait(const struct poll_plan *p);

#endif
