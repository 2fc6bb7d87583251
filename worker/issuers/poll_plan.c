#include "worker/issuers/poll_plan.h"

#include "common/base/attr.h"
#include "common/base/rand.h"

#define JITTER_PERCENT 20
#define OVER_MS 3600000
/* A CA that names a longer time is asked after a day nevertheless. */
#define RETRY_AFTER_MAX_S 86400

static const int64_t waits_ms[] = {5000, 15000, 45000, 120000, 300000};

int64_t
poll_plan_wait_ms(const struct poll_plan *p, bool *out_is_over)
{
	int64_t left_ms = p->max_wait_ms - p->waited_ms, wait_ms, least_ms;
	size_t at = ARRAY_LEN(waits_ms) - 1;

	if (p->polls >= 0 && p->polls < (int64_t)at)
		at = (size_t)p->polls;
	*out_is_over = left_ms <= 0;
	wait_ms =
	    rand_jitter(*out_is_over ? OVER_MS : waits_ms[at], JITTER_PERCENT);
	/* The last one of the plan comes when the limit does. */
	if (!*out_is_over && wait_ms > left_ms)
		wait_ms = left_ms;
	least_ms = p->retry_after_s;
	if (least_ms > RETRY_AFTER_MAX_S)
		least_ms = RETRY_AFTER_MAX_S;
	least_ms *= 1000;
	return wait_ms < least_ms ? least_ms : wait_ms;
}
