#include "apiserver/live/sharing.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "common/base/mem.h"

/* Lives until the last op that it was for has ended. */
struct kept {
	size_t nusers;
	struct shared_answer answer;
	char *tag;
};

/* All that ask for one thing. */
struct group {
	UT_hash_handle hh;
	struct sharing *owner;
	char *what;
	struct sharer *asker;
	TAILQ_HEAD(sharers, sharer) with; /* came before the asker asked */
	struct sharers later;
};

/* One of them; in its op's arena. */
struct sharer {
	TAILQ_ENTRY(sharer) entry;
	struct op *op;
	struct group *group;   /* NULL: no longer */
	struct sharers *among; /* NULL: it is not in a queue */
	struct kept *kept;
};

struct sharing {
	struct group *groups;
};

struct sharing *
sharing_new(void)
{
	return mem_zalloc(sizeof(struct sharing));
}

void
sharing_free(struct sharing *s)
{
	free(s);
}

/* --- answers --- */

static struct kept *
keep(const struct shared_answer *answer)
{
	struct kept *k = mem_zalloc(sizeof(*k));

	k->tag = mem_strdup(answer->tag);
	k->answer = (struct shared_answer){.tag = k->tag,
	    .is_momentary = answer->is_momentary,
	    .body = blob_hold(answer->body)};
	return k;
}

static void
let_go(struct kept *k)
{
	if (--k->nusers > 0)
		return;
	free(k->tag);
	blob_let_go(k->answer.body);
	free(k);
}

/* --- groups --- */

static void
leave_queue(struct sharer *c)
{
	if (c->among)
		TAILQ_REMOVE(c->among, c, entry);
	c->among = NULL;
}

/* The first of those that wait asks, for all of them. */
static void
go_on(struct group *g)
{
	struct sharer *c, *first = TAILQ_FIRST(&g->later);

	g->asker = first;
	if (!first) {
		HASH_DEL(g->owner->groups, g);
		free(g->what);
		free(g);
		return;
	}
	leave_queue(first);
	TAILQ_FOREACH (c, &g->later, entry)
		c->among = &g->with;
	TAILQ_CONCAT(&g->with, &g->later, entry);
	op_wake(first->op);
}

void
sharer_tell(struct sharer *c, const struct shared_answer *answer)
{
	struct group *g = c->group;
	struct kept *k = NULL;
	struct sharer *with;

	if (!g || g->asker != c)
		return;
	c->group = NULL;
	if (answer && !TAILQ_EMPTY(&g->with))
		k = keep(answer);
	while ((with = TAILQ_FIRST(&g->with)) != NULL) {
		leave_queue(with);
		with->group = NULL;
		with->kept = k;
		if (k)
			k->nusers++;
		op_wake(with->op);
	}
	go_on(g);
}

/* --- one of them --- */

static void
end_sharer(void *arg)
{
	struct sharer *c = arg;

	leave_queue(c);
	sharer_tell(c, NULL);
	if (c->kept)
		let_go(c->kept);
}

static struct group *
find_group(struct sharing *s, const char *what)
{
	struct group *g;

	HASH_FIND_STR(s->groups, what, g);
	if (g)
		return g;
	g = mem_zalloc(sizeof(*g));
	g->owner = s;
	g->what = mem_strdup(what);
	TAILQ_INIT(&g->with);
	TAILQ_INIT(&g->later);
	HASH_ADD_KEYPTR(hh, s->groups, g->what, strlen(g->what), g);
	return g;
}

struct sharer *
sharing_join(struct sharing *s, struct op *op, const char *what)
{
	struct sharer *c = arena_alloc(op_arena(op), sizeof(*c));
	struct group *g = find_group(s, what);

	c->op = op;
	c->group = g;
	arena_defer(op_arena(op), end_sharer, c);
	if (!g->asker) {
		g->asker = c;
		return c;
	}
	c->among = &g->later;
	TAILQ_INSERT_TAIL(c->among, c, entry);
	return c;
}

bool
sharer_asks(const struct sharer *c)
{
	return c->group ? c->group->asker == c : c->kept == NULL;
}

const struct shared_answer *
sharer_answer(const struct sharer *c)
{
	return c->kept ? &c->kept->answer : NULL;
}
