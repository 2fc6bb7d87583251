#include "scheduler/lanes.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"

/* The issuer that signs by itself: one permit for a whole batch. */
#define TYPE_LOCAL_CA "GenericCA"

/* So many claims in a row that brought nothing though jobs are due (somebody
 * holds their rows), and the lane rests until the next full look. */
#define EMPTY_MAX 2

struct lanes {
	size_t batch;
	size_t n;
	size_t cap;
	size_t turn; /* index of the lane whose turn is next */
	struct lane **items;
};

struct lanes *
lanes_new(size_t batch)
{
	struct lanes *ls = mem_zalloc(sizeof(*ls));

	ls->batch = batch;
	return ls;
}

static void
forget_key(struct lane *l)
{
	mem_freep(&l->low_after);
	mem_freep(&l->low_id);
	l->is_moved = l->is_claiming;
}

static void
lane_free(struct lane *l)
{
	forget_key(l);
	free(l->hint_after);
	free(l->issuer_id);
	free(l);
}

void
lanes_reset(struct lanes *ls)
{
	for (size_t i = 0; i < ls->n; i++)
		lane_free(ls->items[i]);
	ls->n = 0;
	ls->turn = 0;
}

void
lanes_free(struct lanes *ls)
{
	if (!ls)
		return;
	lanes_reset(ls);
	free(ls->items);
	free(ls);
}

bool
lane_is_tasks(const struct lane *l)
{
	return strcmp(l->issuer_id, LANE_TASKS) == 0;
}

size_t
lane_limit(const struct lane *l)
{
	size_t limit = l->batch;

	if (l->at_most > 0 && l->at_most < limit)
		limit = l->at_most;
	if (l->allows == LANE_ALLOWS_ALL || (size_t)l->allows > limit)
		return limit;
	return (size_t)l->allows;
}

bool
lane_is_careful(const struct lane *l)
{
	return l->at_most == 1 && !lane_is_tasks(l);
}

/* --- turns --- */

static bool
has_work(const struct lane *l)
{
	return l->is_due && l->nempty < EMPTY_MAX && l->allows != 0 &&
	       permits_left(&l->permits) > 0;
}

static bool
is_among(const struct lane *l, char *const *issuers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(l->issuer_id, issuers[i]) == 0)
			return true;
	return false;
}

struct lane *
lanes_next(struct lanes *ls, char *const *without, size_t n)
{
	for (size_t i = 0; i < ls->n; i++) {
		size_t at = (ls->turn + i) % ls->n;
		struct lane *l = ls->items[at];

		if (!has_work(l) || l->is_claiming || is_among(l, without, n))
			continue;
		ls->turn = (at + 1) % ls->n;
		return l;
	}
	return NULL;
}

bool
lanes_have_due(const struct lanes *ls)
{
	for (size_t i = 0; i < ls->n; i++)
		if (has_work(ls->items[i]))
			return true;
	return false;
}

struct lane *
lanes_find(struct lanes *ls, const char *issuer_id)
{
	for (size_t i = 0; i < ls->n; i++)
		if (strcmp(ls->items[i]->issuer_id, issuer_id) == 0)
			return ls->items[i];
	return NULL;
}

rc
lane_claim(struct lane *l)
{
	rc ret;

	if (l->is_claiming)
		return RC_BUSY;
	ret = permits_take(&l->permits);
	if (ret != RC_OK)
		return ret;
	l->is_claiming = true;
	l->is_hinted = false;
	return RC_OK;
}

static void
set_key(struct lane *l, const char *low_after, const char *low_id)
{
	if (!low_after || !low_id)
		return;
	forget_key(l);
	l->low_after = mem_strdup(low_after);
	l->low_id = mem_strdup(low_id);
}

/* --- hints --- */

/* Of what is due at the same time any may be meant. */
static void
lower_key(struct lane *l, const char *after)
{
	if (l->low_after && strcmp(after, l->low_after) <= 0)
		set_key(l, after, "");
}

void
lane_hint(struct lane *l, const char *after)
{
	l->nempty = 0;
	l->is_hinted = true;
	if (!l->is_claiming) {
		lower_key(l, after);
		l->is_due = true;
	} else if (!l->hint_after || strcmp(after, l->hint_after) < 0) {
		free(l->hint_after);
		l->hint_after = mem_strdup(after);
	}
}

/* The claim may have been sent before what was hinted at was committed. */
static void
take_hint(struct lane *l)
{
	if (!l->hint_after)
		return;
	lower_key(l, l->hint_after);
	mem_freep(&l->hint_after);
	l->is_due = true;
}

/* --- the end of a claim --- */

void
lane_claimed(struct lane *l, int64_t n, bool is_full, const char *low_after,
    const char *low_id)
{
	l->is_claiming = false;
	l->nempty = 0;
	l->at_most = l->at_most * 2 < l->batch ? l->at_most * 2 : 0;
	/* What a half-open or paced lane let through is let through once. */
	if (l->allows != LANE_ALLOWS_ALL)
		l->allows = n < l->allows ? l->allows - n : 0;
	l->is_due = is_full || l->is_moved;
	permits_keep(&l->permits);
	if (!l->is_moved)
		set_key(l, low_after, low_id);
	l->is_moved = false;
	take_hint(l);
}

static void
claim_over(struct lane *l, bool is_due)
{
	l->is_claiming = false;
	l->is_due = is_due || l->is_moved;
	l->is_moved = false;
	take_hint(l);
}

void
lane_claim_empty(struct lane *l)
{
	l->nempty++;
	claim_over(l, false);
	permits_give(&l->permits);
}

void
lane_claim_unknown(struct lane *l)
{
	claim_over(l, true);
	permits_keep(&l->permits);
}

void
lane_claim_refused(struct lane *l, size_t n)
{
	/* One alone that can't even be set aside: at the next full look. */
	bool is_stuck = lane_is_careful(l) && n == 1;

	l->at_most = n > 1 ? n / 2 : 1;
	claim_over(l, true);
	permits_give(&l->permits);
	if (is_stuck)
		l->nempty = EMPTY_MAX;
}

/* --- looks --- */

/* What came back lies behind the keys: look from the beginning. */
static void
forget_keys(struct lanes *ls)
{
	for (size_t i = 0; i < ls->n; i++)
		if (!lane_is_tasks(ls->items[i]))
			forget_key(ls->items[i]);
}

void
lanes_look_begin(struct lanes *ls, bool is_full, struct arena *a,
    struct lane_keys *out)
{
	size_t bytes = (ls->n + 1) * sizeof(char *);

	if (is_full)
		forget_keys(ls);
	out->n = 0;
	out->issuer_ids = arena_alloc(a, bytes);
	out->low_afters = arena_alloc(a, bytes);
	out->low_ids = arena_alloc(a, bytes);
	for (size_t i = 0; i < ls->n; i++) {
		struct lane *l = ls->items[i];

		l->is_seen = false;
		l->is_hinted = false;
		if (is_full)
			l->nempty = 0;
		permits_mark(&l->permits);
		if (!l->low_after || lane_is_tasks(l))
			continue;
		out->issuer_ids[out->n] = arena_strdup(a, l->issuer_id);
		out->low_afters[out->n] = arena_strdup(a, l->low_after);
		out->low_ids[out->n++] = arena_strdup(a, l->low_id);
	}
}

static struct lane *
lane_add(struct lanes *ls, const char *issuer_id)
{
	struct lane *l = mem_zalloc(sizeof(*l));

	l->issuer_id = mem_strdup(issuer_id);
	if (ls->n == ls->cap) {
		ls->cap = ls->cap ? ls->cap * 2 : 16;
		ls->items =
		    mem_realloc(ls->items, ls->cap, sizeof(ls->items[0]));
	}
	ls->items[ls->n++] = l;
	return l;
}

void
lanes_look_row(struct lanes *ls, const struct lane_row *row)
{
	struct lane *l = lanes_find(ls, row->issuer_id);
	bool is_local = strcasecmp(row->issuer_type, TYPE_LOCAL_CA) == 0;

	if (!l)
		l = lane_add(ls, row->issuer_id);
	l->is_seen = true;
	/* It may have been sent before what a hint told of was committed. */
	l->is_due = row->is_due || l->is_hinted;
	l->is_open = row->is_open;
	l->allows = row->allows;
	l->batch = is_local ? ls->batch : 1;
	if (lane_is_tasks(l))
		l->batch = LANE_TASKS_BATCH;
	permits_set_cap(&l->permits, row->cap);
	permits_recount(&l->permits, row->running);
}

void
lanes_look_first(struct lanes *ls, const char *issuer_id, const char *low_after,
    const char *low_id)
{
	struct lane *l = lanes_find(ls, issuer_id);

	if (!l)
		return;
	forget_key(l);
	set_key(l, low_after, low_id);
}

void
lanes_look_end(struct lanes *ls)
{
	size_t kept = 0;

	for (size_t i = 0; i < ls->n; i++) {
		struct lane *l = ls->items[i];

		/* A claim under way holds on to its lane. */
		if (l->is_seen || l->is_claiming)
			ls->items[kept++] = l;
		else
			lane_free(l);
	}
	ls->n = kept;
	if (ls->turn >= kept)
		ls->turn = 0;
}
