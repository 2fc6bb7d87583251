#include "apiserver/live/faults.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

/* A tick's probe is remembered by its pool for longer than that. */
enum { EVERY_MS = 2000 };

/* What is wrong: "" or the words of it; NULL: nothing. */
typedef const char *look_fn(const struct api *a);

struct faults {
	const struct api *api;
	struct timer *tick;
	struct db_req *probe;
	int64_t since_unix_ms[]; /* one for each kind; 0: it is not so */
};

/* --- the kinds; one pool's word is enough: it is the same server --- */

enum { POOLS = 3 };

static void
stats_of(const struct api *a, struct db_stats out[POOLS])
{
	db_pool_stats(a->pool, &out[0]);
	db_pool_stats(a->heartbeat_pool, &out[1]);
	db_pool_stats(a->own_pool, &out[2]);
}

static const char *
is_waiting(const struct api *a)
{
	struct db_stats st[POOLS];

	stats_of(a, st);
	return st[0].waiting + st[1].waiting + st[2].waiting > 0 ? "" : NULL;
}

static const char *
is_full(const struct api *a)
{
	struct db_stats st[POOLS];

	stats_of(a, st);
	return st[0].is_full || st[1].is_full || st[2].is_full ? "" : NULL;
}

const char *
faults_warning(const struct api *a)
{
	const char *words = NULL;

	/* Who is with another server says why ours refuses the one that
	 * answers. */
	if (a->bus)
		words = bus_client_other_server(a->bus);
	if (!words)
		words = db_pool_warning(a->pool);
	if (!words)
		words = db_pool_warning(a->heartbeat_pool);
	if (!words)
		words = db_pool_warning(a->own_pool);
	return words;
}

struct cert_look {
	int64_t now_unix;
	const char *ended; /* the first's words; NULL: none */
	const char *ending;
};

static void
on_cert(void *arg, const char *address, const struct bus_cert *cert)
{
	struct cert_look *l = arg;
	const char *whose = address ? address : "an apiserver";

	if (l->now_unix >= cert->ends_unix) {
		if (!l->ended)
			l->ended = whose;
	} else if (l->now_unix >= cert->near_unix && !l->ending) {
		l->ending = whose;
	}
}

static struct cert_look
look_at_certs(const struct api *a)
{
	struct cert_look l = {.now_unix = clock_wall_us() / 1000000};

	if (a->bus)
		bus_client_certs(a->bus, on_cert, &l);
	return l;
}

static const char *
cert_ended(const struct api *a)
{
	return look_at_certs(a).ended;
}

static const char *
cert_ending(const struct api *a)
{
	return look_at_certs(a).ending;
}

static const struct {
	const char *name; /* in conditions.def */
	look_fn *look;
} kinds[] = {
    {"bus_certificate_ended", cert_ended},
    {"bus_certificate_ending", cert_ending},
    {"commits_waiting", is_waiting},
    {"database_full", is_full},
    {"database_warning", faults_warning},
};

const char *
faults_trouble(const struct api *a)
{
	if (is_waiting(a))
		return "commits wait for a synchronous standby; what only "
		       "reads is served";
	if (is_full(a))
		return "its disk is full; what only reads is served";
	return NULL;
}

/* --- since when --- */

static void
look(struct faults *f, const char *found[ARRAY_LEN(kinds)])
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		found[i] = kinds[i].look(f->api);
		if (!found[i])
			f->since_unix_ms[i] = 0;
		else if (f->since_unix_ms[i] == 0)
			f->since_unix_ms[i] = clock_wall_us() / 1000;
	}
}

static void
on_probed(void *arg, struct db_outcome *o)
{
	struct faults *f = arg;

	f->probe = NULL; /* its pool knows what it came to */
}

/* Most writes need no room on the disk, so one that does is tried: enough rows
 * for a temporary file, which leaves nothing behind. */
static void
probe(struct faults *f)
{
	static const struct db_stmt stmts[] = {{Q_ROOM_PROBE_MEMORY, 0, NULL},
	    {Q_ROOM_PROBE, 0, NULL}};

	if (!f->probe)
		f->probe = db_submit(f->api->own_pool, stmts, ARRAY_LEN(stmts),
		    on_probed, f);
}

static void
on_tick(void *arg)
{
	const char *found[ARRAY_LEN(kinds)];
	struct faults *f = arg;

	look(f, found);
	probe(f);
	timer_arm(f->tick, EVERY_MS);
}

void
faults_params(struct faults *f, struct arena *a,
    const char *out_params[FAULTS_NPARAMS])
{
	const char *found[ARRAY_LEN(kinds)], *names[ARRAY_LEN(kinds)];
	const char *details[ARRAY_LEN(kinds)];
	int64_t since[ARRAY_LEN(kinds)];
	size_t n = 0;

	look(f, found);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!found[i])
			continue;
		names[n] = kinds[i].name;
		since[n] = f->since_unix_ms[i];
		details[n++] = found[i];
	}
	out_params[0] = db_text_array(a, names, n);
	out_params[1] = db_i64_array(a, since, n);
	out_params[2] = db_text_array(a, details, n);
}

/* --- life --- */

struct faults *
faults_new(const struct api *api)
{
	struct faults *f =
	    mem_zalloc(sizeof(*f) + sizeof(int64_t) * ARRAY_LEN(kinds));

	f->api = api;
	f->tick = timer_new(api->loop, on_tick, f);
	timer_arm(f->tick, EVERY_MS);
	return f;
}

void
faults_free(struct faults *f)
{
	if (!f)
		return;
	db_forget(f->probe);
	timer_free(f->tick);
	free(f);
}
