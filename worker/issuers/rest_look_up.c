/*
 * An order is looked for in what a CA lists, however long that is.
 *
 * In rounds of some seconds each: between two of them whoever asks says whether
 * to go on, and what they were answered is forgotten, so that it costs no
 * memory how much there is.
 */
#include <string.h>

#include "worker/issuers/rest_ca.h"

/* A call that begins by then has ended within ISSUER_ASK_MS. */
#define ROUND_MS 4000
#define ROUND_CALLS 50
#define ROOM_FIRST 128

struct rest_look_up { /* in the arena */
	loop_fn *next;
	struct timer *timer; /* begins a round */
	struct arena *replies;
	struct arena_mark unused; /* of it */
	int64_t ends_ms;          /* the round */
	unsigned calls;
	size_t seen;
	/* the candidates of one page, and where in the list the next begins */
	const char **listed;
	size_t n, at, room, from;
	bool is_last; /* there is no next one */
};

/* --- rounds --- */

static void
look_up_end(void *arg)
{
	struct rest_look_up *l = arg;

	timer_free(l->timer);
	arena_free(l->replies);
}

static void
round_begin(struct rest_order *o)
{
	struct rest_look_up *l = o->look_up;

	arena_rewind(l->replies, &l->unused);
	l->calls = 0;
	l->ends_ms = loop_now_ms(o->env->loop) + ROUND_MS;
}

void
rest_rounds_begin(struct rest_order *o, loop_fn *next, issuer_answer_fn *done,
    void *arg)
{
	struct rest_look_up *l = arena_alloc(o->a, sizeof(*l));

	rest_begin(o, NULL, done, arg);
	l->next = next;
	l->timer = timer_new(o->env->loop, next, o);
	l->replies = arena_new();
	l->unused = arena_mark(l->replies);
	arena_defer(o->a, look_up_end, l);
	o->look_up = l;
	o->replies = l->replies;
	round_begin(o);
}

bool
rest_round_is_over(struct rest_order *o, size_t nseen)
{
	struct rest_look_up *l = o->look_up;

	l->seen += nseen;
	return ++l->calls >= ROUND_CALLS ||
	       loop_now_ms(o->env->loop) >= l->ends_ms;
}

/* The candidates that are left are shown to who asks. */
void
rest_round_end(struct rest_order *o)
{
	const struct rest_look_up *l = o->look_up;
	struct issuer_answer a = {
	    .verdict = ISSUER_LISTED,
	    .words = arena_printf(o->a, "%zu looked at so far", l->seen),
	    .serials = l->n > 0 ? l->listed + l->at : NULL,
	    .nserials = o->ca->lists_serials ? l->n - l->at : 0,
	};

	o->done(o->arg, &a);
}

void
rest_look_through(void *order, const bool *is_stored, issuer_answer_fn *done,
    void *arg)
{
	struct rest_order *o = order;
	struct rest_look_up *l = o->look_up;
	size_t left = l->at;

	o->done = done;
	o->arg = arg;
	for (size_t i = l->at; o->ca->lists_serials && i < l->n; i++) {
		if (is_stored[i - l->at])
			l->seen++;
		else
			l->listed[left++] = l->listed[i];
	}
	if (o->ca->lists_serials)
		l->n = left;
	round_begin(o);
	timer_arm(l->timer, 0);
}

/* --- candidates of a list --- */

static issuer_reply_fn on_page;
static issuer_reply_fn on_candidate;

void
rest_list_add(struct rest_order *o, const char *id)
{
	struct rest_look_up *l = o->look_up;
	const char **more;

	if (!id)
		return;
	if (l->n == l->room) {
		l->room = l->room > 0 ? 2 * l->room : ROOM_FIRST;
		more = arena_alloc(o->a, l->room * sizeof(char *));
		if (l->n > 0)
			memcpy(more, l->listed, l->n * sizeof(char *));
		l->listed = more;
	}
	l->listed[l->n++] = id;
}

static void
answer_none(struct rest_order *o)
{
	rest_answer(o, ISSUER_NO_ORDER, "none of its orders has our request",
	    0);
}

/* The next call of the look-up, or its end. */
static void
go_on(void *arg)
{
	struct rest_order *o = arg;
	struct rest_look_up *l = o->look_up;

	o->order_id = NULL;
	if (l->at < l->n) {
		o->order_id = l->listed[l->at++];
		rest_get(o,
		    arena_printf(l->replies, "%s%s", o->ca->candidates,
			o->order_id),
		    on_candidate);
	} else if (l->is_last) {
		answer_none(o);
	} else {
		rest_get(o, o->ca->list_path(o, l->from), on_page);
	}
}

static void
on_candidate(void *arg, const struct issuer_reply *r)
{
	struct rest_order *o = arg;
	const struct rest_ca *ca = o->ca;

	if (!rest_is_good(r) || !r->json)
		rest_answer_reply(o, ISSUER_RETRY, r);
	else if (ca->is_ours(o, r->json))
		ca->judge(o, r->json);
	else if (ca->is_before && ca->is_before(o, r->json))
		answer_none(o);
	else if (rest_round_is_over(o, 1))
		rest_round_end(o);
	else
		go_on(o);
}

static void
on_page(void *arg, const struct issuer_reply *r)
{
	struct rest_order *o = arg;
	struct rest_look_up *l = o->look_up;
	int64_t n;

	if (!rest_is_good(r) || !r->json) {
		rest_answer_reply(o, ISSUER_RETRY, r);
		return;
	}
	l->n = l->at = 0;
	n = o->ca->list(o, r->json);
	if (n < 0) {
		rest_answer(o, ISSUER_RETRY, "the list of what it has is none",
		    0);
		return;
	}
	l->from += (size_t)n;
	l->is_last = (size_t)n < o->ca->list_size;
	if (rest_round_is_over(o, 0) || (o->ca->lists_serials && l->n > 0))
		rest_round_end(o);
	else
		go_on(o);
}

rc
rest_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	struct rest_order *o = order;

	rest_rounds_begin(o, go_on, done, arg);
	return rest_call(o, "GET", o->ca->list_path(o, 0), NULL, on_page);
}
