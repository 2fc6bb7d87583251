#include "apiserver/policy/apievents.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/policy/lastwrite.h"
#include "common/base/arena.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/json/json.h"
#include "common/log/log.h"

enum {
	TICK_MS = 200,
	RETRY_MS = 1000,
	BATCH_MAX = 1000,
	PATH_LEN = 255, /* at most: audit_events.resource_id */
	METHOD_MAX = 16,
	NCOLUMNS = 4,
};

enum column { ACTOR, ACTION, PATH, DETAILS };

struct batch {
	struct arena *arena; /* its texts */
	size_t n;
	const char *texts[NCOLUMNS][BATCH_MAX];
};

struct apievents {
	struct db_pool *pool;
	struct timer *tick;
	struct batch *filling;
	struct batch *sending; /* what the database has not yet */
	struct db_req *req;
	int64_t left_out;
	struct lastwrite *flush;
};

static void on_tick(void *arg);

static struct batch *
batch_new(void)
{
	struct batch *b = mem_zalloc(sizeof(*b));

	b->arena = arena_new();
	return b;
}

static void
batch_empty(struct batch *b)
{
	arena_free(b->arena);
	b->arena = arena_new();
	b->n = 0;
}

static void
batch_free(struct batch *b)
{
	arena_free(b->arena);
	free(b);
}

struct apievents *
apievents_new(struct loop *l, struct db_pool *pool)
{
	struct apievents *e = mem_zalloc(sizeof(*e));

	e->pool = pool;
	e->tick = timer_new(l, on_tick, e);
	e->flush = lastwrite_new(l);
	e->filling = batch_new();
	e->sending = batch_new();
	return e;
}

void
apievents_free(struct apievents *e)
{
	int64_t missing;

	if (!e)
		return;
	missing = (int64_t)(e->filling->n + e->sending->n) + e->left_out;
	if (missing > 0)
		log_warn("API-EVENTS",
		    "%lld requests are missing in the audit trail",
		    (long long)missing);
	db_forget(e->req);
	timer_free(e->tick);
	lastwrite_free(e->flush);
	batch_free(e->filling);
	batch_free(e->sending);
	free(e);
}

/* --- writing --- */

/* Until the next batch: it fills meanwhile, unless it is full or the last. */
static int64_t
wait_ms(const struct apievents *e)
{
	return lastwrite_is_on(e->flush) || e->filling->n == BATCH_MAX
		   ? 0
		   : TICK_MS;
}

static void
on_written(void *arg, struct db_outcome *o)
{
	struct apievents *e = arg;
	bool is_kept = rc_is_retryable(o->code);

	e->req = NULL;
	if (o->code != RC_OK)
		log_error("API-EVENTS",
		    "%zu requests were not written to the audit trail, %s "
		    "(%s): %s %s",
		    e->sending->n, is_kept ? "trying again" : "and cannot be",
		    rc_name(o->code), o->error.sqlstate, o->error.message);
	if (!is_kept)
		batch_empty(e->sending);
	if (is_kept && lastwrite_is_on(e->flush))
		lastwrite_end(e->flush);
	else
		timer_arm(e->tick, is_kept ? RETRY_MS : wait_ms(e));
}

/* No request is under way. */
static void
send_batch(struct apievents *e)
{
	struct batch *b = e->sending;
	const char *params[NCOLUMNS];
	struct arena *a;

	if (b->n == 0) {
		e->sending = e->filling;
		e->filling = b;
		b = e->sending;
	}
	if (b->n == 0)
		return;
	a = arena_new();
	for (size_t i = 0; i < NCOLUMNS; i++)
		params[i] = db_text_array(a, b->texts[i], b->n);
	e->req = db_submit(e->pool,
	    &(struct db_stmt){Q_AUDIT_API_EVENTS, NCOLUMNS, params}, 1,
	    on_written, e);
	arena_free(a);
}

static void
tell_left_out(struct apievents *e)
{
	if (e->left_out == 0)
		return;
	log_error("API-EVENTS",
	    "%lld requests are missing in the audit trail: they came while "
	    "others waited to be written",
	    (long long)e->left_out);
	e->left_out = 0;
}

static void
on_tick(void *arg)
{
	struct apievents *e = arg;

	tell_left_out(e);
	if (!e->req)
		send_batch(e);
	if (!e->req && lastwrite_is_on(e->flush))
		lastwrite_end(e->flush);
}

/* --- noting --- */

static const char *
action_of(struct arena *a, const char *method)
{
	char text[METHOD_MAX] = "api_";
	size_t at = strlen(text);

	for (; *method && at < sizeof(text) - 1; method++)
		text[at++] = (char)tolower((unsigned char)*method);
	text[at] = '\0';
	return arena_strdup(a, text);
}

/* Of UTF-8. */
static bool
is_inside_character(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static const char *
path_of(struct arena *a, const struct path *path)
{
	const char *text;
	struct buf b;
	size_t len;

	buf_init(&b, 0);
	for (size_t i = 0; i < path->nsegments; i++) {
		buf_putc(&b, '/');
		buf_puts(&b, path->segments[i]);
	}
	text = buf_cstr(&b);
	len = strlen(text);
	if (len > PATH_LEN)
		len = PATH_LEN;
	while (len > 0 && is_inside_character(text[len]))
		len--;
	text = arena_strndup(a, text, len);
	buf_fini(&b);
	return text;
}

static const char *
details_of(struct arena *a, const struct apievent *event, const char *path)
{
	char hash[65] = "";
	const char *text;
	struct json_w w;
	struct buf b;

	if (event->body_len > 0)
		enc_sha256_hex(event->body, event->body_len, hash);
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "method", event->method);
	json_w_kv(&w, "path", path);
	json_w_kv(&w, "body_hash", hash);
	json_w_kv_int(&w, "status", event->status);
	json_w_kv_int(&w, "latency_ms", event->latency_ms);
	json_w_close(&w, '}');
	text = arena_strdup(a, buf_cstr(&b));
	buf_fini(&b);
	return text;
}

void
apievents_note(struct apievents *e, const struct apievent *event)
{
	struct batch *b = e->filling;
	struct arena *a = b->arena;

	if (b->n == BATCH_MAX) {
		e->left_out++;
		return;
	}
	b->texts[ACTOR][b->n] = arena_strdup(a, event->actor);
	b->texts[ACTION][b->n] = action_of(a, event->method);
	b->texts[PATH][b->n] = path_of(a, event->path);
	b->texts[DETAILS][b->n] = details_of(a, event, b->texts[PATH][b->n]);
	b->n++;
	if (b->n == BATCH_MAX && !e->req && e->sending->n == 0)
		send_batch(e);
	else if (!e->req && !timer_is_armed(e->tick))
		timer_arm(e->tick, TICK_MS);
}

/* --- the end --- */

void
apievents_flush(struct apievents *e, int64_t patience_ms, loop_fn *done,
    void *arg)
{
	lastwrite_begin(e->flush, patience_ms, done, arg);
	if (!e->req)
		timer_arm(e->tick, 0);
}
