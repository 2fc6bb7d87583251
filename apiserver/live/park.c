#include "apiserver/live/park.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "common/json/json.h"
#include "common/log/log_peer.h"

enum {
	LOOK_MS = 1000,
	WATCHES_MAX = 20000,
	/* An agent waits with one; a few more are left from links that broke
	 * unseen. */
	AGENT_WATCHES_MAX = 4,
	ID_MAX = 128,
	EVENT_IDS_MAX = 10000,
};

struct watch {
	LIST_ENTRY(watch) entry;
	struct park *park;
	struct topic *topic;
	struct op *op;
	op_step *next; /* of park_wait */
	bool is_parked;
	bool is_signalled; /* woken while it was not parked */
};

/* One id somebody waits for. */
struct topic {
	UT_hash_handle hh;
	enum park_topic kind;
	LIST_HEAD(, watch) watches;
	size_t n;
	char id[ID_MAX + 1];
};

struct look {
	struct park *park;
	enum park_topic kind;
	struct db_req *req;
};

struct park {
	struct loop *loop;
	struct db_pool *pool;
	struct timer *tick;
	struct topic *topics[PARK_COUNT];
	struct look looks[PARK_COUNT];
	size_t nwatches;
	bool is_stopping; /* nothing parks any more */
};

static void on_tick(void *arg);

struct park *
park_new(struct loop *l, struct db_pool *pool)
{
	struct park *p = mem_zalloc(sizeof(*p));

	p->loop = l;
	p->pool = pool;
	for (int i = 0; i < PARK_COUNT; i++)
		p->looks[i] = (struct look){p, (enum park_topic)i, NULL};
	p->tick = timer_new(l, on_tick, p);
	timer_arm(p->tick, LOOK_MS);
	return p;
}

void
park_free(struct park *p)
{
	if (!p)
		return;
	for (int i = 0; i < PARK_COUNT; i++)
		db_forget(p->looks[i].req);
	timer_free(p->tick);
	free(p);
}

size_t
park_count(const struct park *p)
{
	return p->nwatches;
}

/* --- watches --- */

static struct topic *
find_topic(struct park *p, enum park_topic kind, const char *id)
{
	struct topic *t;

	HASH_FIND_STR(p->topics[kind], id, t);
	return t;
}

/* Runs when the op's arena ends. */
static void
end_watch(void *arg)
{
	struct watch *w = arg;
	struct park *p = w->park;
	struct topic *t = w->topic;

	LIST_REMOVE(w, entry);
	p->nwatches--;
	t->n--;
	if (LIST_EMPTY(&t->watches)) {
		HASH_DEL(p->topics[t->kind], t);
		free(t);
	}
	free(w);
}

struct watch *
park_watch(struct park *p, struct op *op, enum park_topic kind, const char *id)
{
	struct topic *t = find_topic(p, kind, id);
	struct watch *w;

	if (p->nwatches >= WATCHES_MAX || strlen(id) > ID_MAX)
		return NULL;
	if (kind == PARK_AGENT && t && t->n >= AGENT_WATCHES_MAX)
		return NULL;
	if (!t) {
		t = mem_zalloc(sizeof(*t));
		t->kind = kind;
		memcpy(t->id, id, strlen(id) + 1);
		LIST_INIT(&t->watches);
		HASH_ADD_STR(p->topics[kind], id, t);
	}
	w = mem_zalloc(sizeof(*w));
	w->park = p;
	w->topic = t;
	w->op = op;
	LIST_INSERT_HEAD(&t->watches, w, entry);
	p->nwatches++;
	t->n++;
	arena_defer(op_arena(op), end_watch, w);
	return w;
}

/* Woken, or its time is over: from here on the op may wait for something else,
 * and a wake that comes then is for the next park_wait. */
static enum op_next
wait_over(struct op *op)
{
	struct watch *w = op_lent(op);

	op_lend(op, NULL);
	w->is_parked = false;
	return w->next(op);
}

enum op_next
park_wait(struct watch *w, int64_t max_ms, op_step *next)
{
	if (w->park->is_stopping)
		return op_fail(w->op, RC_UNAVAILABLE,
		    "this server is stopping; try again");
	if (w->is_signalled) {
		w->is_signalled = false;
		return op_goto(w->op, next);
	}
	w->is_parked = true;
	w->next = next;
	op_lend(w->op, w);
	return op_park(w->op, max_ms, wait_over);
}

static void
wake_topic(struct topic *t)
{
	struct watch *w;

	/* Waking only marks the op: no watch ends inside this loop. */
	LIST_FOREACH (w, &t->watches, entry) {
		if (w->is_parked)
			op_wake(w->op);
		else
			w->is_signalled = true;
		w->is_parked = false;
	}
}

void
park_wake(struct park *p, enum park_topic kind, const char *id)
{
	struct topic *t = find_topic(p, kind, id);

	if (t)
		wake_topic(t);
}

void
park_stop(struct park *p)
{
	struct topic *t, *next;

	p->is_stopping = true;
	for (int i = 0; i < PARK_COUNT; i++) {
		HASH_ITER (hh, p->topics[i], t, next)
			wake_topic(t);
	}
}

bool
park_is_stopping(const struct park *p)
{
	return p->is_stopping;
}

/* --- the bus --- */

static void
wake_list(struct park *p, enum park_topic kind, struct arena *a,
    const struct cJSON *event, const char *key)
{
	const char **ids;
	size_t n;
	rc ret;

	ret = json_str_list(a, event, key, EVENT_IDS_MAX, ID_MAX, &ids, &n);
	if (ret != RC_OK)
		return; /* absent, or of a version we do not know */
	for (size_t i = 0; i < n; i++)
		park_wake(p, kind, ids[i]);
}

void
park_on_event(struct park *p, const char *body, size_t len)
{
	const struct cJSON *event;
	struct arena *a;
	const char *why;
	rc ret;

	if (p->nwatches == 0)
		return;
	a = arena_new();
	ret = json_parse(a, body, len, &event, &why);
	if (ret == RC_OK) {
		wake_list(p, PARK_AGENT, a, event, "agents");
		wake_list(p, PARK_JOB, a, event, "finished");
	} else {
		log_peer(LOG_WARN, "BUS-EVENT", "", "an event was ignored: %s",
		    why);
	}
	arena_free(a);
}

/* --- the look once a second --- */

static void
on_looked(void *arg, struct db_outcome *o)
{
	struct look *look = arg;
	int col;

	look->req = NULL;
	if (o->code != RC_OK)
		return; /* the pool logged it; the next look is a second away */
	col = db_col(o->results[0], "id");
	for (size_t i = 0; i < db_nrows(o->results[0]); i++)
		park_wake(look->park, look->kind,
		    db_text(o->results[0], i, col));
}

static void
look_at(struct park *p, enum park_topic kind, enum query q)
{
	struct look *look = &p->looks[kind];
	size_t n = HASH_COUNT(p->topics[kind]), i = 0;
	struct arena *a;
	struct topic *t, *next;
	const char **ids, *param;

	if (n == 0 || look->req)
		return;
	a = arena_new();
	ids = arena_alloc(a, n * sizeof(*ids));
	HASH_ITER (hh, p->topics[kind], t, next)
		ids[i++] = t->id;
	param = db_text_array(a, ids, n);
	look->req = db_submit(p->pool, &(struct db_stmt){q, 1, &param}, 1,
	    on_looked, look);
	arena_free(a);
}

static void
on_tick(void *arg)
{
	struct park *p = arg;

	look_at(p, PARK_AGENT, Q_AGENTS_PARKED_WITH_WORK);
	look_at(p, PARK_JOB, Q_JOBS_PARKED_FINISHED);
	timer_arm(p->tick, LOOK_MS);
}
