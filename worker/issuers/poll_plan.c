#include "worker/issuers/poll_plan.h"

#include "common/base/attr.h"
#include "common/base/rand.h"

#define JITTER_PERCENT 20
#define OVER_MS 3600000
/* Orders that are asked for together are due at multiples of this part of their
 * wait.  A tenth longer, and down to the multiple: between a tenth less and a
 * tenth more. */
#define GRID_PART 5
#define LONGER_PART 10
/* A CA that names a longer time is asked after a day nevertheless. */
#define RETRY_AFTER_MAX_S 86400

static const int64_t waits_ms[] = {5000, 15000, 45000, 120000, 300000};

static int64_t
planned_ms(const struct poll_plan *p, bool is_over)
{
	size_t at = ARRAY_LEN(waits_ms) - 1;

	if (p->polls >= 0 && p->polls < (int64_t)at)
		at = (size_t)p->polls;
	return is_over ? OVER_MS : waits_ms[at];
}

struct poll_wait
poll_plan_wait(const struct poll_plan *p)
{
	int64_t left_ms = p->max_wait_ms - p->waited_ms, least_ms, planned;
	struct poll_wait w = {.is_over = left_ms <= 0};

	planned = planned_ms(p, w.is_over);
	if (p->is_together) {
		w.ms = planned + planned / LONGER_PART;
		w.grid_ms = planned / GRID_PART;
	} else {
		w.ms = rand_jitter(planned, JITTER_PERCENT);
	}
	/* The last one of the plan comes when the limit does. */
	if (!w.is_over && w.ms > left_ms) {
		w.ms = left_ms;
		w.grid_ms = 0;
	}
	least_ms = p->retry_after_s;
	if (least_ms > RETRY_AFTER_MAX_S)
		least_ms = RETRY_AFTER_MAX_S;
	least_ms *= 1000;
	/* What is due at a multiple may be due so much sooner. */
	if (w.ms - w.grid_ms < least_ms) {
		w.grid_ms = 0;
		if (w.ms < least_ms)
			w.ms = least_ms;
	}
	return w;
}
