/*
 * poll_plan: when a CA is asked again for an order that it works on.
 *
 * After 5 s, 15 s, 45 s and 2 min, then every 5 min, each a fifth more or less
 * by chance, and no sooner than the CA asked for (Retry-After).  When the
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
};

/* Milliseconds, at least 1.  *out_is_over: the limit is. */
int64_t poll_plan_wait_ms(const struct poll_plan *p, bool *out_is_over);

#endif
