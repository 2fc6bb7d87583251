/*
 * The simulated loop: the same code on a fake clock.
 */
#include <signal.h>

#include "common/loop/loop.h"
#include "common/loop/spawn.h"
#include "tests/unit/check.h"

static struct loop *loop;
static struct timer *timers[3];
static char trace[256];

static void
begin(void)
{
	loop = loop_new_sim(1000);
	trace[0] = '\0';
}

/* "a@1005 " */
static void
on_mark(void *arg)
{
	size_t len = strlen(trace);

	(void)snprintf(trace + len, sizeof(trace) - len, "%s@%lld ",
	    (const char *)arg, (long long)loop_now_ms(loop));
}

static void
clock_moves_by_advance_only(void)
{
	begin();
	CHECK_INT(loop_now_ms(loop), 1000);
	loop_sim_advance(loop, 250);
	CHECK_INT(loop_now_ms(loop), 1250);
	CHECK(loop_base(loop) == NULL);
	CHECK_INT(loop_run(loop), RC_INVALID);
	loop_free(loop);
}

static void
timers_fire_at_their_own_time_in_order(void)
{
	begin();
	timers[0] = timer_new(loop, on_mark, "b");
	timers[1] = timer_new(loop, on_mark, "a");
	timers[2] = timer_new(loop, on_mark, "c");
	timer_arm(timers[0], 20);
	timer_arm(timers[1], 10);
	timer_arm(timers[2], 20); /* same time: in order of arming */
	loop_sim_advance(loop, 9);
	CHECK_STR(trace, "");
	loop_sim_advance(loop, 1);
	CHECK_STR(trace, "a@1010 ");
	CHECK(!timer_is_armed(timers[1]));
	loop_sim_advance(loop, 100);
	CHECK_STR(trace, "a@1010 b@1020 c@1020 ");
	for (int i = 0; i < 3; i++)
		timer_free(timers[i]);
	loop_free(loop);
}

static void
arming_again_moves_and_disarm_stops(void)
{
	begin();
	timers[0] = timer_new(loop, on_mark, "a");
	timers[1] = timer_new(loop, on_mark, "b");
	timer_arm(timers[0], 10);
	timer_arm(timers[0], 30);
	timer_arm(timers[1], 5);
	timer_disarm(timers[1]);
	CHECK(!timer_is_armed(timers[1]));
	loop_sim_advance(loop, 20);
	CHECK_STR(trace, "");
	loop_sim_advance(loop, 10);
	CHECK_STR(trace, "a@1030 ");
	timer_arm(timers[0], -5);
	loop_sim_advance(loop, 0);
	CHECK_STR(trace, "a@1030 a@1030 ");
	timer_arm(timers[0], 5);
	timer_free(timers[0]); /* while armed */
	timer_free(timers[1]);
	loop_sim_advance(loop, 10);
	CHECK_STR(trace, "a@1030 a@1030 ");
	loop_free(loop);
}

static void
on_tick(void *arg)
{
	on_mark("t");
	timer_arm(timers[0], 10);
	loop_defer(loop, on_mark, "d");
}

static void
deferred_calls_run_before_the_clock_moves_on(void)
{
	begin();
	timers[0] = timer_new(loop, on_tick, NULL);
	loop_defer(loop, on_mark, "first");
	timer_arm(timers[0], 10);
	CHECK_STR(trace, "");
	loop_sim_advance(loop, 25);
	CHECK_STR(trace, "first@1000 t@1010 d@1010 t@1020 d@1020 ");
	timer_free(timers[0]);
	loop_free(loop);
}

static void
on_free_self(void *arg)
{
	on_mark("f");
	timer_free(timers[0]);
}

static void
timer_may_be_freed_from_its_own_callback(void)
{
	begin();
	timers[0] = timer_new(loop, on_free_self, NULL);
	timer_arm(timers[0], 1);
	loop_sim_advance(loop, 5);
	CHECK_STR(trace, "f@1001 ");
	loop_free(loop);
}

static void
outside_world_is_not_there(void)
{
	const char *const argv[] = {"true", NULL};
	struct spawn *s;
	rc ret;

	begin();
	ret = loop_on_signal(loop, SIGHUP, on_mark, "x");
	CHECK_INT(ret, RC_OK);
	ret = spawn_start(loop, argv, 1000, NULL, NULL, &s);
	CHECK_INT(ret, RC_IO);
	loop_free(loop);
}

CHECK_MAIN(CHECK_ROW(clock_moves_by_advance_only),
    CHECK_ROW(timers_fire_at_their_own_time_in_order),
    CHECK_ROW(arming_again_moves_and_disarm_stops),
    CHECK_ROW(deferred_calls_run_before_the_clock_moves_on),
    CHECK_ROW(timer_may_be_freed_from_its_own_callback),
    CHECK_ROW(outside_world_is_not_there))
