#include "cli/wait.h"

#include <stdio.h>
#include <time.h>

#include "cli/out.h"
#include "common/base/clock.h"

enum {
	LISTEN_MS = 5000, /* for a stream to begin; without it looks help */
	GRACE_MS = 1000,
};

void
wait_init(struct wait *w, struct cli *c, int64_t seconds, int64_t pause_ms)
{
	*w = (struct wait){.cli = c, .pause_ms = pause_ms};
	w->started_ms = clock_boot_ms();
	w->deadline_ms = w->started_ms + seconds * 1000;
	c->deadline_ms = w->deadline_ms + GRACE_MS;
}

void
wait_fini(struct wait *w)
{
	wait_listen_no_more(w);
	arena_free(w->held);
	w->held = NULL;
	w->cli->deadline_ms = 0;
}

static int64_t
left_ms(const struct wait *w)
{
	int64_t left = w->deadline_ms - clock_boot_ms();

	return left > 0 ? left : 0;
}

void
wait_listen(struct wait *w, const char *filter)
{
	int64_t left = left_ms(w);

	wait_listen_no_more(w);
	w->wake = wake_new(w->cli, filter);
	wake_begin(w->wake, left < LISTEN_MS ? left : LISTEN_MS);
}

void
wait_listen_no_more(struct wait *w)
{
	wake_free(w->wake);
	w->wake = NULL;
}

bool
wait_look(struct wait *w, const char *path)
{
	w->last = client_look(w->cli, path, &w->held);
	return !client_is_passing(&w->last);
}

/* Between two looks there is that much, however many events come. */
static int64_t
least_pause(const struct wait *w)
{
	int64_t ms = w->pause_ms, asked = w->last.retry_after_s;

	if (client_is_passing(&w->last) && asked > ms / 1000)
		ms = asked < INT64_MAX / 1000 ? asked * 1000 : INT64_MAX;
	return ms;
}

bool
wait_pause(struct wait *w)
{
	int64_t left = left_ms(w), ms = least_pause(w), until;
	bool is_woken = client_is_passing(&w->last);
	struct timespec t;

	if (left == 0)
		return false;
	ms = ms < left ? ms : left;
	if (!w->wake) {
		t = (struct timespec){ms / 1000, ms % 1000 * 1000000};
		nanosleep(&t, NULL);
		return true;
	}
	until = clock_boot_ms() + ms;
	do {
		ms = until - clock_boot_ms();
		if (wake_wait(w->wake, ms > 0 ? ms : 0))
			is_woken = true;
	} while (ms > 0);
	if (!is_woken && wake_is_live(w->wake))
		IGNORE_RESULT(wake_wait(w->wake, left_ms(w)));
	return true;
}

double
wait_seconds(const struct wait *w)
{
	return (double)(clock_boot_ms() - w->started_ms) / 1000.0;
}

void
wait_tell(const struct wait *w, const char *what)
{
	double seconds = wait_seconds(w);

	if (w->cli->as_json)
		out_tell("%6.2f s  %s", seconds, what);
	else
		out_print("%6.2f s  %s\n", seconds, what);
	(void)fflush(stdout); /* out_flush tells at the end */
}
