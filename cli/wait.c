#include "cli/wait.h"

#include <stdio.h>
#include <time.h>

#include "cli/out.h"
#include "common/base/clock.h"

void
wait_init(struct wait *w, struct cli *c, int64_t seconds, int64_t pause_ms)
{
	*w = (struct wait){.cli = c, .pause_ms = pause_ms};
	w->started_ms = clock_boot_ms();
	w->deadline_ms = w->started_ms + seconds * 1000;
}

void
wait_fini(struct wait *w)
{
	arena_free(w->held);
	w->held = NULL;
}

bool
wait_look(struct wait *w, const char *path)
{
	w->last = client_look(w->cli, path, &w->held);
	return !client_is_passing(&w->last);
}

bool
wait_pause(const struct wait *w)
{
	int64_t ms = w->pause_ms, left = w->deadline_ms - clock_boot_ms();
	struct timespec t;

	if (client_is_passing(&w->last) && w->last.retry_after_s > ms / 1000)
		ms = w->last.retry_after_s < left / 1000
			 ? w->last.retry_after_s * 1000
			 : left;
	if (left <= 0)
		return false;
	if (ms > left)
		ms = left;
	t = (struct timespec){ms / 1000, ms % 1000 * 1000000};
	nanosleep(&t, NULL);
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
