/*
 * The loop on its real clock: turns, timers, signals.
 */
#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

#include "common/base/attr.h"
#include "common/loop/loop.h"
#include "tests/unit/check.h"

static struct loop *loop;
static char trace[64];
static size_t trace_len;

static void
begin(void)
{
	rc ret = loop_new(&loop);

	CHECK_INT(ret, RC_OK);
	trace_len = 0;
	trace[0] = '\0';
}

static void
mark(char c)
{
	if (trace_len + 1 < sizeof(trace)) {
		trace[trace_len++] = c;
		trace[trace_len] = '\0';
	}
}

static void
run(void)
{
	rc ret = loop_run(loop);

	CHECK_INT(ret, RC_OK);
}

static void
on_mark(void *arg)
{
	mark(*(const char *)arg);
}

static void
on_stop(void *arg)
{
	mark('.');
	loop_stop(loop);
}

static void
on_defer_more(void *arg)
{
	mark('a');
	loop_defer(loop, on_mark, "c");
	loop_defer(loop, on_stop, NULL);
}

static void
defer_runs_in_order_on_a_later_turn(void)
{
	begin();
	loop_defer(loop, on_defer_more, NULL);
	loop_defer(loop, on_mark, "b");
	CHECK_STR(trace, ""); /* not from inside loop_defer */
	run();
	CHECK_STR(trace, "abc.");
	loop_free(loop);
}

static void
on_defer_for_ever(void *arg)
{
	int *turns = arg;

	(*turns)++;
	loop_defer(loop, on_defer_for_ever, arg);
}

static void
on_pipe(evutil_socket_t fd, short what, void *arg)
{
	char c;

	if (read(fd, &c, 1) == 1)
		mark(c);
	loop_stop(loop);
}

static void
deferring_for_ever_starves_nobody(void)
{
	struct event *ev;
	int fds[2], turns = 0;

	begin();
	CHECK(pipe(fds) == 0);
	ev = event_new(loop_base(loop), fds[0], EV_READ, on_pipe, NULL);
	CHECK(ev && event_add(ev, NULL) == 0);
	CHECK(write(fds[1], "p", 1) == 1);
	loop_defer(loop, on_defer_for_ever, &turns);
	run();
	CHECK_STR(trace, "p");
	CHECK(turns < 10);
	event_free(ev);
	close(fds[0]);
	close(fds[1]);
	loop_free(loop);
}

static void
timers_fire_once_in_order_of_time(void)
{
	struct timer *late, *early, *never, *last;

	begin();
	late = timer_new(loop, on_mark, "2");
	early = timer_new(loop, on_mark, "1");
	never = timer_new(loop, on_mark, "x");
	last = timer_new(loop, on_stop, NULL);
	CHECK(!timer_is_armed(late));
	timer_arm(late, 20);
	timer_arm(early, 500);
	timer_arm(early, 5); /* arming again moves it */
	timer_arm(never, 10);
	timer_arm(last, 40);
	CHECK(timer_is_armed(never));
	timer_disarm(never);
	CHECK(!timer_is_armed(never));
	run();
	CHECK_STR(trace, "12.");
	CHECK(!timer_is_armed(early));
	timer_free(late);
	timer_free(early);
	timer_free(never);
	timer_free(last);
	timer_free(NULL);
	loop_free(loop);
}

static struct timer *own;

static void
on_free_self(void *arg)
{
	timer_free(own);
	own = NULL;
	loop_stop(loop);
}

static void
timer_may_be_freed_from_its_own_callback(void)
{
	begin();
	own = timer_new(loop, on_free_self, NULL);
	timer_arm(own, 0);
	run();
	CHECK(own == NULL);
	loop_free(loop);
}

static void
timer_freed_while_armed_does_not_fire(void)
{
	struct timer *t, *last;

	begin();
	t = timer_new(loop, on_mark, "x");
	last = timer_new(loop, on_stop, NULL);
	timer_arm(t, 0);
	timer_arm(last, 10);
	timer_free(t);
	run();
	CHECK_STR(trace, ".");
	timer_free(last);
	loop_free(loop);
}

static void
timers_count_real_milliseconds(void)
{
	struct timer *last;
	int64_t start_ms, took_ms;

	begin();
	last = timer_new(loop, on_stop, NULL);
	start_ms = loop_now_ms(loop);
	timer_arm(last, 30);
	run();
	took_ms = loop_now_ms(loop) - start_ms;
	CHECK(took_ms >= 29);
	CHECK(took_ms < 2000);
	timer_free(last);
	loop_free(loop);
}

static void
stop_before_run_is_not_forgotten(void)
{
	begin();
	loop_defer(loop, on_mark, "x");
	loop_stop(loop);
	run();
	CHECK_STR(trace, "");
	loop_defer(loop, on_stop, NULL);
	run();
	CHECK_STR(trace, "x.");
	loop_free(loop);
}

static void
on_signal(void *arg)
{
	mark('s');
	loop_stop(loop);
}

static void
signal_runs_on_the_loop_once_per_signal(void)
{
	rc ret;

	begin();
	ret = loop_on_signal(loop, SIGUSR1, on_signal, NULL);
	CHECK_INT(ret, RC_OK);
	ret = loop_on_signal(loop, SIGUSR1, on_signal, NULL);
	CHECK_INT(ret, RC_CONFLICT);
	ret = loop_on_signal(loop, 0, on_signal, NULL);
	CHECK_INT(ret, RC_INVALID);
	ret = loop_on_signal(loop, 9999, on_signal, NULL);
	CHECK_INT(ret, RC_INVALID);
	CHECK(raise(SIGUSR1) == 0);
	CHECK_STR(trace, "");
	run();
	CHECK_STR(trace, "s");
	loop_free(loop);
}

static void
sigpipe_is_ignored(void)
{
	int fds[2];

	begin();
	CHECK(pipe(fds) == 0);
	close(fds[0]);
	CHECK(write(fds[1], "x", 1) == -1); /* and we are still here */
	close(fds[1]);
	loop_free(loop);
}

static void
on_defer_one(void *arg)
{
	loop_defer(loop, on_mark, arg);
}

static void
settling_runs_what_was_deferred_and_what_that_defers(void)
{
	begin();
	loop_defer(loop, on_defer_one, "s");
	loop_settle(loop);
	CHECK_STR(trace, "s");
	loop_settle(loop);
	CHECK_STR(trace, "s");
	loop_free(loop);
}

static void
free_runs_what_was_deferred(void)
{
	begin();
	loop_defer(loop, on_mark, "f");
	loop_free(loop);
	CHECK_STR(trace, "f");
	loop_free(NULL);
}

CHECK_MAIN(CHECK_ROW(defer_runs_in_order_on_a_later_turn),
    CHECK_ROW(deferring_for_ever_starves_nobody),
    CHECK_ROW(timers_fire_once_in_order_of_time),
    CHECK_ROW(timer_may_be_freed_from_its_own_callback),
    CHECK_ROW(timer_freed_while_armed_does_not_fire),
    CHECK_ROW(timers_count_real_milliseconds),
    CHECK_ROW(stop_before_run_is_not_forgotten),
    CHECK_ROW(signal_runs_on_the_loop_once_per_signal),
    CHECK_ROW(sigpipe_is_ignored),
    CHECK_ROW(settling_runs_what_was_deferred_and_what_that_defers),
    CHECK_ROW(free_runs_what_was_deferred))
