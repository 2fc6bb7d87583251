#include "scheduler/workers.h"

#include "common/base/attr.h"
#include "tests/unit/check.h"

static struct worker *
ask(struct workers *ws, const char *name, uint32_t pipe, unsigned room,
    const int64_t *holding, size_t n)
{
	struct worker_request req = {
	    .incarnation = name,
	    .pipe = pipe,
	    .reply_to = pipe * 100,
	    .room = room,
	    .holding = holding,
	    .nholding = n,
	};
	struct worker *w = NULL;

	CHECK(workers_ask(ws, &req, &w) == RC_OK);
	return w;
}

static void
the_first_request_frees(void)
{
	struct workers ws;
	struct worker *w;

	workers_init(&ws);
	w = ask(&ws, "w-1", 1, 2, NULL, 0);
	CHECK(w->must_free);
	CHECK(!workers_next(&ws, 0, NULL));
	w->must_free = false;
	CHECK(workers_next(&ws, 0, NULL) == w);
	workers_fini(&ws);
}

static void
a_lease_that_is_not_listed(void)
{
	struct workers ws;
	const int64_t seven[] = {7};
	struct worker *w;

	workers_init(&ws);
	w = ask(&ws, "w-1", 1, 2, NULL, 0);
	w->must_free = false;
	worker_answered(w, 7);
	CHECK(!w->is_asking);
	w = ask(&ws, "w-1", 1, 1, seven, 1);
	CHECK(!w->must_free); /* it arrived */
	worker_answered(w, 8);
	w = ask(&ws, "w-1", 1, 1, seven, 1);
	CHECK(w->must_free); /* 8 is finished, or its reply was lost */
	workers_fini(&ws);
}

/* A lease granted to the request that replaced the one it was claimed for is
 * on the list that a free goes by. */
static void
a_grant_after_a_repeated_request(void)
{
	struct workers ws;
	struct worker *w;

	workers_init(&ws);
	w = ask(&ws, "w-1", 1, 2, NULL, 0);
	w->must_free = false;
	w->is_claiming = true;
	w = ask(&ws, "w-1", 1, 2, NULL, 0);
	w->is_claiming = false;
	worker_answered(w, 9);
	CHECK_INT(w->nholding, 1);
	CHECK_INT(w->holding[0], 9);
	workers_fini(&ws);
}

static void
the_longest_wait_first(void)
{
	struct workers ws;
	struct worker *a, *b, *c;

	workers_init(&ws);
	a = ask(&ws, "a", 1, 1, NULL, 0);
	b = ask(&ws, "b", 2, 1, NULL, 0);
	c = ask(&ws, "c", 3, 0, NULL, 0); /* no room */
	a->must_free = b->must_free = c->must_free = false;
	CHECK(workers_next(&ws, 0, NULL) == a);
	worker_answered(a, 0);
	CHECK(workers_next(&ws, 0, NULL) == b);
	b->rest_until_ms = 50;
	CHECK(!workers_next(&ws, 49, NULL));
	CHECK(workers_next(&ws, 50, NULL) == b);
	/* And those behind one that there is nothing for. */
	a = ask(&ws, "a", 1, 1, NULL, 0);
	CHECK(workers_next(&ws, 50, b) == a);
	CHECK(!workers_next(&ws, 50, a));
	workers_fini(&ws);
}

static void
a_new_connection_replaces_the_old(void)
{
	struct workers ws;
	struct worker *w;

	workers_init(&ws);
	w = ask(&ws, "w-1", 1, 1, NULL, 0);
	CHECK(ask(&ws, "w-1", 2, 1, NULL, 0) == w);
	w->must_free = false;
	CHECK(!workers_gone(&ws, 1)); /* the old one closes late */
	CHECK(!w->is_gone && w->is_asking);
	CHECK(workers_gone(&ws, 2) == w);
	CHECK(w->is_gone && w->must_free && !w->is_asking);
	/* It was freed as gone; what it holds by its own list stands. */
	w->must_free = false;
	w = ask(&ws, "w-1", 3, 1, NULL, 0);
	CHECK(w->must_free && !w->is_gone);
	workers_fini(&ws);
}

CHECK_MAIN(CHECK_ROW(the_first_request_frees),
    CHECK_ROW(a_lease_that_is_not_listed),
    CHECK_ROW(a_grant_after_a_repeated_request),
    CHECK_ROW(the_longest_wait_first),
    CHECK_ROW(a_new_connection_replaces_the_old))
