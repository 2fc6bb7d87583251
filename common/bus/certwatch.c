#include "common/bus/certwatch.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/bus/certlife.h"
#include "common/log/log.h"
#include "common/loop/filewatch.h"

#define LOOK_MS 1000
#define DAY_S 86400
/* A certificate of a year is told of a month ahead, one of a day at a third
 * of its life. */
#define AHEAD_MAX_S (30 * (int64_t)DAY_S)
#define END_LOOK_MS (60 * 1000)
#define AGAIN_S DAY_S
/* Ended: nothing connects any more. */
#define AGAIN_ENDED_S 600

struct certwatch {
	struct bus_tls files;
	struct filewatch *watch;
	struct timer *end_look;
	struct certlife life;
	int64_t told_unix; /* of the end, last; 0: not yet */
	bool told_over;    /* that it was there */
	loop_fn *on_change;
	void *arg;
};

static int64_t
near_unix(const struct certlife *life)
{
	int64_t ahead = (life->ends_unix - life->begins_unix) / 3;

	return life->ends_unix - (ahead < AHEAD_MAX_S ? ahead : AHEAD_MAX_S);
}

static void
tell_end(struct certwatch *w)
{
	int64_t now = clock_wall_us() / 1000000;
	int64_t left = w->life.ends_unix - now;

	if (w->life.ends_unix == 0 || now < near_unix(&w->life))
		return;
	if (w->told_unix != 0 && w->told_over == (left <= 0) &&
	    now - w->told_unix < (left > 0 ? AGAIN_S : AGAIN_ENDED_S))
		return;
	w->told_unix = now;
	w->told_over = left <= 0;
	if (left > 0)
		log_warn("BUS-CERT-ENDS",
		    "%s, or the CA that signed it, ends in %" PRId64
		    " s; put a new one in its place, it is read while this "
		    "process runs",
		    w->files.cert_file, left);
	else
		log_error("BUS-CERT-ENDED",
		    "%s, or the CA that signed it, ended %" PRId64
		    " s ago: no new connection of the bus comes about with it",
		    w->files.cert_file, -left);
}

/* At its end, too, and not up to a minute behind it. */
static void
on_end_look(void *arg)
{
	struct certwatch *w = arg;
	int64_t left_ms = w->life.ends_unix * 1000 - clock_wall_us() / 1000;

	timer_arm(w->end_look, left_ms > 0 && left_ms < END_LOOK_MS
				   ? (int)left_ms + 1
				   : END_LOOK_MS);
	tell_end(w);
}

static void
read_life(struct certwatch *w)
{
	w->told_unix = 0;
	if (certlife_read(&w->files, &w->life) != RC_OK)
		w->life = (struct certlife){0};
}

static void
on_files(void *arg)
{
	struct certwatch *w = arg;
	const char *why = "";

	if (certlife_prove(&w->files, &why) != RC_OK) {
		log_warn("BUS-CERT-KEPT",
		    "%s and its key and CA changed and are not used: %s; going "
		    "on with those that were read before",
		    w->files.cert_file, why);
		return;
	}
	read_life(w);
	log_info("BUS-CERT-RELOADED", "new connections are made with %s",
	    w->files.cert_file);
	w->on_change(w->arg);
	timer_arm(w->end_look, 0);
}

struct certwatch *
certwatch_new(struct loop *l, const struct bus_tls *files, loop_fn *on_change,
    void *arg)
{
	const char *const paths[] = {files->ca_file, files->cert_file,
	    files->key_file};
	struct certwatch *w = mem_zalloc(sizeof(*w));

	w->files = *files;
	w->on_change = on_change;
	w->arg = arg;
	w->watch = filewatch_new(paths, ARRAY_LEN(paths));
	read_life(w);
	w->end_look = timer_new(l, on_end_look, w);
	timer_arm(w->end_look, 0);
	filewatch_start(w->watch, l, LOOK_MS, on_files, w);
	return w;
}

void
certwatch_free(struct certwatch *w)
{
	if (!w)
		return;
	filewatch_free(w->watch);
	timer_free(w->end_look);
	free(w);
}

struct bus_cert
certwatch_cert(const struct certwatch *w)
{
	if (w->life.ends_unix == 0)
		return (struct bus_cert){0};
	return (struct bus_cert){
	    .ends_unix = w->life.ends_unix,
	    .near_unix = near_unix(&w->life),
	};
}
