#include "apiserver/live/lists.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "common/base/attr.h"
#include "common/base/mem.h"

enum {
	FRESH_MS = 1000,
	/* What the clock alone changes in an answer is told by then. */
	AGE_MAX_MS = 60000,
	KEPT_MAX_BYTES = 32 * 1024 * 1024,
};

/* In the order of their last use: uthash keeps the order of insertion. */
struct entry {
	UT_hash_handle hh;
	struct lists_page page;
	struct lists_view view;
	bool is_momentary;
	char tag[LISTS_TAG_MAX];
	char text[]; /* the list */
};

/* A part of what lists read, by the last look. */
struct part {
	uint64_t generation; /* of answers: another number, another one */
	int64_t changes;
	bool is_written; /* by a transaction that was open then */
};

struct lists {
	struct loop *loop;
	struct db_pool *requests, *heartbeats;
	struct entry *entries;
	size_t bytes;
	struct part parts[LISTS_PARTS];

	struct db_req *look;         /* NULL: none is under way */
	uint64_t nlooks;             /* begun */
	struct lists_view now, last; /* of the look under way; of the last */
	bool has_looked;
	LIST_HEAD(, lists_wait) waits;
};

struct lists *
lists_new(struct loop *l, struct db_pool *requests, struct db_pool *heartbeats)
{
	struct lists *s = mem_zalloc(sizeof(*s));

	s->loop = l;
	s->requests = requests;
	s->heartbeats = heartbeats;
	LIST_INIT(&s->waits);
	return s;
}

static size_t
size_of(const struct entry *e)
{
	return sizeof(*e) + e->hh.keylen + 1 + e->page.body->len;
}

static void
free_entry(struct entry *e)
{
	blob_let_go(e->page.body);
	free(e);
}

static void
drop(struct lists *s, struct entry *e)
{
	HASH_DEL(s->entries, e);
	s->bytes -= size_of(e);
	free_entry(e);
}

void
lists_free(struct lists *s)
{
	struct entry *e, *next;

	if (!s)
		return;
	db_forget(s->look);
	HASH_ITER (hh, s->entries, e, next)
		drop(s, e);
	free(s);
}

/* --- what is known --- */

void
lists_view(const struct lists *s, struct lists_view *out)
{
	size_t running = 0;

	for (size_t i = 0; i < LISTS_PARTS; i++)
		out->generations[i] = s->parts[i].generation;
	out->writes = db_pool_writes(s->requests, &running) +
		      db_pool_writes(s->heartbeats, &running);
	out->is_writing = running > 0;
	out->at_ms = loop_now_ms(s->loop);
}

/* Whether what was seen then is a second old at most and nothing of ours came
 * in between. */
static bool
is_new(const struct lists *s, const struct lists_view *then)
{
	struct lists_view now;

	lists_view(s, &now);
	return !then->is_writing && then->writes == now.writes &&
	       now.at_ms - then->at_ms < FRESH_MS;
}

bool
lists_is_fresh(const struct lists *s)
{
	return s->has_looked && is_new(s, &s->last);
}

bool
lists_is_recent(const struct lists *s)
{
	return s->has_looked && loop_now_ms(s->loop) - s->last.at_ms < FRESH_MS;
}

/* --- answers --- */

static struct entry *
find(struct lists *s, const char *list)
{
	struct entry *e;

	HASH_FIND_STR(s->entries, list, e);
	if (e != NULL) { /* used last */
		HASH_DEL(s->entries, e);
		HASH_ADD_KEYPTR(hh, s->entries, e->text, strlen(e->text), e);
	}
	return e;
}

static bool
holds(const struct lists *s, const struct entry *e, unsigned reads)
{
	for (size_t i = 0; i < LISTS_PARTS; i++) {
		if ((reads & 1U << i) != 0 &&
		    e->view.generations[i] != s->parts[i].generation)
			return false;
	}
	return loop_now_ms(s->loop) - e->view.at_ms < AGE_MAX_MS;
}

const struct lists_page *
lists_find(struct lists *s, unsigned reads, const char *list)
{
	struct entry *e = find(s, list);

	if (e == NULL || !holds(s, e, reads))
		return NULL;
	return !e->is_momentary || is_new(s, &e->view) ? &e->page : NULL;
}

const struct lists_page *
lists_find_new(struct lists *s, unsigned reads, const char *list)
{
	struct entry *e = find(s, list);

	return e != NULL && holds(s, e, reads) && is_new(s, &e->view) ? &e->page
								      : NULL;
}

void
lists_keep(struct lists *s, unsigned reads, const char *list,
    const struct lists_view *view, bool is_momentary,
    const struct lists_page *page)
{
	size_t len = strlen(list);
	struct entry *e, *next;

	HASH_FIND_STR(s->entries, list, e);
	if (e != NULL)
		drop(s, e);
	e = mem_zalloc(sizeof(*e) + len + 1);
	e->view = *view;
	e->is_momentary = is_momentary;
	memcpy(e->tag, page->tag, strlen(page->tag) + 1);
	memcpy(e->text, list, len + 1);
	e->page = (struct lists_page){e->tag, blob_hold(page->body)};
	if (!holds(s, e, reads)) { /* it changed meanwhile */
		free_entry(e);
		return;
	}
	HASH_ADD_KEYPTR(hh, s->entries, e->text, len, e);
	s->bytes += size_of(e);
	HASH_ITER (hh, s->entries, e, next) {
		if (s->bytes <= KEPT_MAX_BYTES)
			break;
		drop(s, e);
	}
}

/* --- looks --- */

static void on_looked(void *arg, struct db_outcome *o);

static void
begin_look(struct lists *s)
{
	/* In this order: a number that did not move was not moved by who is
	 * found to write afterwards, or is by then. */
	static const struct db_stmt stmts[] = {
	    {Q_LIST_CHANGES, 0, NULL},
	    {Q_LIST_WRITERS, 0, NULL},
	};

	lists_view(s, &s->now);
	s->nlooks++;
	s->look = db_submit(s->requests, stmts, ARRAY_LEN(stmts), on_looked, s);
}

static void
learn(struct lists *s, const struct db_result *changes,
    const struct db_result *writers)
{
	static const char *const names[LISTS_PARTS] = {"agents", "audit",
	    "certificates", "discovered", "jobs", "revocations"};

	for (size_t i = 0; i < LISTS_PARTS; i++) {
		struct part *p = &s->parts[i];
		int64_t n = db_i64(changes, 0, db_col(changes, names[i]));

		if (n != p->changes || p->is_written || !s->has_looked)
			p->generation++;
		p->changes = n;
		p->is_written = db_bool(writers, 0, db_col(writers, names[i]));
	}
	s->last = s->now;
	s->has_looked = true;
}

static void
wake(struct lists *s, uint64_t look, bool has_looked)
{
	struct lists_wait *w = LIST_FIRST(&s->waits), *next;

	for (; w != NULL; w = next) {
		struct op *op = w->op;

		next = LIST_NEXT(w, entry);
		if (w->look > look)
			continue;
		w->has_looked = has_looked;
		lists_forget(w);
		op_wake(op);
	}
}

static void
on_looked(void *arg, struct db_outcome *o)
{
	struct lists *s = arg;

	s->look = NULL;
	if (o->code == RC_OK)
		learn(s, o->results[0], o->results[1]);
	wake(s, s->nlooks, o->code == RC_OK);
	if (!LIST_EMPTY(&s->waits))
		begin_look(s);
}

void
lists_look(struct lists *s, struct lists_wait *w, struct op *op)
{
	w->op = op;
	w->has_looked = false;
	w->look = s->nlooks + 1; /* one under way began too early */
	LIST_INSERT_HEAD(&s->waits, w, entry);
	if (s->look == NULL)
		begin_look(s);
}

void
lists_forget(struct lists_wait *w)
{
	if (w->op == NULL)
		return;
	LIST_REMOVE(w, entry);
	w->op = NULL;
}
