/*
 * Many orders are asked for by the lists of a CA in which pending ones are.
 *
 * Pages are read until all that is asked for was found, the lists end, or
 * reading on does not pay any more: the CA may have many orders pending that
 * are nobody's here.
 */
#include <stdlib.h>
#include <string.h>

#include "worker/issuers/rest_ca.h"

/* Pages that are read, and one more for so many orders that are asked for: each
 * of those is a call if it is not found. */
#define PAGES_LEAST 4
#define ORDERS_A_PAGE 16

struct named {
	const char *id;
	size_t at; /* among those asked for */
};

struct rest_list { /* in the arena */
	const struct issuer_list *asked;
	struct named *by_id; /* the same, ascending */
	size_t found;
	struct rest_page page;
	size_t pages; /* read so far */
};

static issuer_reply_fn on_page;

static int
by_id(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static void
start(struct rest_order *o, const struct issuer_list *asked)
{
	struct rest_list *l = arena_alloc(o->a, sizeof(*l));

	l->asked = asked;
	l->by_id = arena_alloc(o->a, (asked->n + 1) * sizeof(l->by_id[0]));
	for (size_t i = 0; i < asked->n; i++)
		l->by_id[i] = (struct named){asked->order_ids[i], i};
	qsort(l->by_id, asked->n, sizeof(l->by_id[0]), by_id);
	o->list = l;
}

void
rest_is_pending(struct rest_order *o, const char *id)
{
	struct rest_list *l = o->list;
	const struct named wanted = {.id = id}, *found;

	if (!id)
		return;
	found = bsearch(&wanted, l->by_id, l->asked->n, sizeof(wanted), by_id);
	if (!found || l->asked->is_pending[found->at])
		return;
	l->asked->is_pending[found->at] = true;
	l->found++;
}

static void
next_page(struct rest_order *o)
{
	struct rest_list *l = o->list;
	const char *path = o->ca->page_path(o, &l->page);

	if (!path || l->found == l->asked->n ||
	    l->pages == PAGES_LEAST + l->asked->n / ORDERS_A_PAGE) {
		rest_answer(o, ISSUER_DONE, "", 0);
		return;
	}
	l->pages++;
	rest_get(o, path, on_page);
}

static void
refused(struct rest_order *o, const struct issuer_reply *r)
{
	bool is_told_to_wait =
	    r->code == RC_OK && (r->status == 429 || r->retry_after_s > 0);

	rest_answer_reply(o, is_told_to_wait ? ISSUER_RETRY : ISSUER_UNSURE, r);
}

static void
on_page(void *arg, const struct issuer_reply *r)
{
	struct rest_order *o = arg;
	struct rest_list *l = o->list;
	int64_t n;

	if (!rest_is_good(r)) {
		refused(o, r);
		return;
	}
	n = r->json ? o->ca->page(o, r->json) : -1;
	if (n < 0) {
		rest_answer(o, ISSUER_UNSURE,
		    "the list of its orders is no list", 0);
		return;
	}
	l->page.from += (size_t)n;
	if ((size_t)n < o->ca->page_size)
		l->page = (struct rest_page){.list = l->page.list + 1};
	next_page(o);
}

rc
rest_list(void *order, const struct issuer_list *asked, issuer_answer_fn *done,
    void *arg)
{
	struct rest_order *o = order;

	rest_begin(o, NULL, done, arg);
	start(o, asked);
	o->list->pages++;
	return rest_call(o, "GET", o->ca->page_path(o, &o->list->page), NULL,
	    on_page);
}
