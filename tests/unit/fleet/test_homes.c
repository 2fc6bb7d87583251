#include "deploy/test/loadtest/fleet/homes.h"

#include "tests/unit/check.h"

static void
count_wake(void *arg)
{
	(*(int *)arg)++;
}

static struct home_wait
waiter(int *woken)
{
	*woken = 0;
	return (struct home_wait){.wake = count_wake, .arg = woken};
}

static void
test_places_go_in_the_order_of_asking(void)
{
	struct homes h = {.most = 1};
	int woken_a, woken_b, woken_c;
	struct home_wait a = waiter(&woken_a), b = waiter(&woken_b),
			 c = waiter(&woken_c);

	CHECK(homes_enter(&h, &a));
	CHECK(homes_are_full(&h));
	CHECK(!homes_enter(&h, &b));
	CHECK(!homes_enter(&h, &b)); /* it stands there once */
	CHECK(!homes_enter(&h, &c));
	CHECK_INT(h.waited, 2);
	homes_leave(&h);
	CHECK_INT(woken_b, 1);
	CHECK_INT(woken_c, 0);
	CHECK(!homes_enter(&h, &a)); /* what is kept for b is nobody else's */
	CHECK(homes_enter(&h, &b));
	homes_leave(&h);
	CHECK(homes_enter(&h, &c));
	homes_leave(&h);
	CHECK_INT(woken_a, 1);
	CHECK(homes_enter(&h, &a));
	homes_leave(&h);
	CHECK_INT(h.taken, 0);
	CHECK(!h.queue);
}

static void
test_who_gives_up_waiting_keeps_nothing(void)
{
	struct homes h = {.most = 1};
	int woken_a, woken_b, woken_c;
	struct home_wait a = waiter(&woken_a), b = waiter(&woken_b),
			 c = waiter(&woken_c);

	CHECK(homes_enter(&h, &a));
	CHECK(!homes_enter(&h, &b));
	CHECK(!homes_enter(&h, &c));
	homes_leave(&h);
	CHECK_INT(woken_b, 1);
	homes_forget(&h, &b); /* with the place that was kept for it */
	CHECK_INT(woken_c, 1);
	CHECK(homes_enter(&h, &c));
	CHECK(!homes_enter(&h, &b));
	homes_forget(&h, &b);
	homes_forget(&h, &b);
	homes_leave(&h);
	CHECK_INT(woken_b, 1);
	CHECK_INT(h.taken, 0);
}

/* What begins takes its place at once; the bound holds again after it. */
static void
test_beyond_the_bound(void)
{
	struct homes h = {.most = 1};
	int woken;
	struct home_wait a = waiter(&woken);

	homes_enter_now(&h);
	homes_enter_now(&h);
	CHECK_INT(h.taken, 2);
	CHECK(!homes_enter(&h, &a));
	homes_leave(&h);
	CHECK_INT(woken, 0);
	homes_leave(&h);
	CHECK_INT(woken, 1);
	CHECK(homes_enter(&h, &a));
	homes_leave(&h);
	CHECK_INT(h.taken, 0);
}

CHECK_MAIN(CHECK_ROW(test_places_go_in_the_order_of_asking),
    CHECK_ROW(test_who_gives_up_waiting_keeps_nothing),
    CHECK_ROW(test_beyond_the_bound))
