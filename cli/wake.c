#include "cli/wake.h"

#include <stdlib.h>
#include <time.h>

#include "cli/stream.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define EVENTS "/api/v1/events?"
#define RETRY_MS 2000

struct wake {
	struct cli *cli;
	char *path;
	struct stream stream;
	struct client_listen *listen; /* NULL: there is no stream now */
	struct arena *held;           /* of that stream */
	size_t seen;                  /* blocks of it */
	bool is_live, is_refused;
	int64_t retry_ms; /* when it is asked for again */
};

static bool
take_event(void *arg, const char *data)
{
	(void)arg;
	(void)data;
	return true;
}

static bool
take_bytes(void *arg, const char *bytes, size_t n)
{
	struct wake *w = arg;

	return stream_bytes(&w->stream, bytes, n);
}

struct wake *
wake_new(struct cli *c, const char *filter)
{
	struct wake *w = mem_zalloc(sizeof(*w));

	w->cli = c;
	w->path = mem_strdup(arena_printf(c->arena, EVENTS "%s", filter));
	stream_init(&w->stream, take_event, w);
	return w;
}

static void
close_stream(struct wake *w)
{
	client_listen_free(w->listen);
	w->listen = NULL;
	arena_free(w->held);
	w->held = NULL;
	w->is_live = false;
}

void
wake_free(struct wake *w)
{
	if (!w)
		return;
	close_stream(w);
	stream_fini(&w->stream);
	free(w->path);
	free(w);
}

static void
open_stream(struct wake *w)
{
	struct arena *run = w->cli->arena;

	stream_begin(&w->stream);
	w->seen = w->stream.nblocks;
	w->cli->arena = w->held = arena_new();
	w->listen = client_listen_new(w->cli, w->path, w->stream.last_id,
	    take_bytes, w);
	w->cli->arena = run;
}

/* A stream that broke is asked for again; one that was refused is not, for
 * looking does as well. */
static void
end_stream(struct wake *w, const struct answer *a)
{
	int64_t pause = RETRY_MS;

	w->is_refused = a->status != 200 && !client_is_passing(a);
	if (a->retry_after_s > 0 && a->retry_after_s < INT64_MAX / 2000)
		pause = a->retry_after_s * 1000;
	w->retry_ms = clock_boot_ms() + pause;
	close_stream(w);
}

/* One step of at most so long.  True: something came, or what was heard of
 * before is not any more. */
static bool
step(struct wake *w, int64_t ms)
{
	struct arena *run = w->cli->arena;
	bool was_live = w->is_live, goes_on;
	struct answer a;

	w->cli->arena = w->held;
	goes_on = client_listen_run(w->listen, ms, &a);
	w->cli->arena = run;
	if (!goes_on) {
		end_stream(w, &a);
		return was_live;
	}
	if (w->stream.nblocks == w->seen)
		return false;
	w->seen = w->stream.nblocks;
	w->is_live = true;
	return true;
}

static void
nap(int64_t ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	if (ms > 0)
		nanosleep(&t, NULL);
}

bool
wake_wait(struct wake *w, int64_t ms)
{
	int64_t now = clock_boot_ms(), until = now + ms, next;

	for (;;) {
		if (!w->listen && !w->is_refused && now >= w->retry_ms)
			open_stream(w);
		if (w->listen) {
			if (step(w, until > now ? until - now : 0))
				return true;
		} else {
			next = w->is_refused || w->retry_ms > until
				   ? until
				   : w->retry_ms;
			nap(next - now);
		}
		now = clock_boot_ms();
		if (now >= until)
			return false;
	}
}

void
wake_begin(struct wake *w, int64_t ms)
{
	int64_t until = clock_boot_ms() + ms, now;

	do {
		now = clock_boot_ms();
		if (!w->listen && !w->is_refused && now >= w->retry_ms)
			open_stream(w);
		if (w->listen)
			(void)step(w, until > now ? until - now : 0);
	} while (w->listen && !w->is_live && clock_boot_ms() < until);
}

bool
wake_is_live(const struct wake *w)
{
	return w->is_live;
}
