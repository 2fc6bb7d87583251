#include "scheduler/workers.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void
workers_init(struct workers *ws)
{
	*ws = (struct workers){0};
}

void
workers_fini(struct workers *ws)
{
	struct worker *w, *tmp;

	HASH_ITER (hh, ws->by_name, w, tmp)
		workers_remove(ws, w);
}

struct worker *
workers_find(struct workers *ws, const char *incarnation)
{
	struct worker *w;

	HASH_FIND_STR(ws->by_name, incarnation, w);
	return w;
}

static void
set_without(struct worker *w, const char *const *issuers, size_t n)
{
	for (size_t i = 0; i < w->nwithout; i++)
		free(w->without[i]);
	w->without = mem_realloc(w->without, n + 1, sizeof(w->without[0]));
	for (size_t i = 0; i < n; i++)
		w->without[i] = mem_strdup(issuers[i]);
	w->nwithout = n;
}

void
workers_remove(struct workers *ws, struct worker *w)
{
	HASH_DEL(ws->by_name, w);
	set_without(w, NULL, 0);
	free(w->without);
	free(w->incarnation);
	free(w->holding);
	free(w);
}

static bool
lists(const int64_t *ids, size_t n, int64_t id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* Whether a lease of our book is missing from the list. */
static bool
has_vanished(const struct worker *w, const struct worker_request *req)
{
	for (size_t i = 0; i < w->nholding; i++)
		if (!lists(req->holding, req->nholding, w->holding[i]))
			return true;
	return false;
}

static void
set_holding(struct worker *w, const int64_t *ids, size_t n)
{
	w->holding = mem_realloc(w->holding, n + 1, sizeof(ids[0]));
	if (n > 0)
		memcpy(w->holding, ids, n * sizeof(ids[0]));
	w->nholding = n;
}

rc
workers_ask(struct workers *ws, const struct worker_request *req,
    struct worker **out)
{
	struct worker *w = workers_find(ws, req->incarnation);

	if (!w) {
		if (HASH_COUNT(ws->by_name) >= WORKERS_MAX)
			return RC_BUSY;
		w = mem_zalloc(sizeof(*w));
		w->incarnation = mem_strdup(req->incarnation);
		/* The first one of this term: rows of older terms, and of
		 * replies that were lost with the older leader. */
		w->must_free = true;
		HASH_ADD_KEYPTR(hh, ws->by_name, w->incarnation,
		    strlen(w->incarnation), w);
	}
	if (w->is_gone || has_vanished(w, req))
		w->must_free = true;
	set_holding(w, req->holding, req->nholding);
	set_without(w, req->without, req->nwithout);
	w->pipe = req->pipe;
	w->reply_to = req->reply_to;
	w->room = req->room;
	w->asked_ms = req->now_ms;
	w->asked_seq = ++ws->seq;
	w->is_asking = true;
	w->is_gone = false;
	*out = w;
	return RC_OK;
}

struct worker *
workers_gone(struct workers *ws, uint32_t pipe)
{
	struct worker *w, *tmp;

	HASH_ITER (hh, ws->by_name, w, tmp) {
		if (w->pipe != pipe || w->is_gone)
			continue;
		w->is_gone = true;
		w->is_asking = false;
		w->must_free = true;
		return w;
	}
	return NULL;
}

static bool
is_ready(const struct worker *w, int64_t now_ms)
{
	return w->is_asking && w->room > 0 && !w->must_free && !w->freeing &&
	       !w->is_claiming && now_ms >= w->rest_until_ms;
}

struct worker *
workers_next(struct workers *ws, int64_t now_ms, const struct worker *after)
{
	struct worker *w, *tmp, *first = NULL;

	HASH_ITER (hh, ws->by_name, w, tmp) {
		if (is_ready(w, now_ms) &&
		    (!after || w->asked_seq > after->asked_seq) &&
		    (!first || w->asked_seq < first->asked_seq))
			first = w;
	}
	return first;
}

void
worker_answered(struct worker *w, int64_t lease_id)
{
	w->is_asking = false;
	if (lease_id == 0)
		return;
	w->holding =
	    mem_realloc(w->holding, w->nholding + 1, sizeof(w->holding[0]));
	w->holding[w->nholding++] = lease_id;
}
