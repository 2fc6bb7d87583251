#include "scheduler/permits.h"

#include <assert.h>

void
permits_init(struct permits *p, size_t cap)
{
	*p = (struct permits){.cap = cap};
}

void
permits_set_cap(struct permits *p, size_t cap)
{
	p->cap = cap;
}

rc
permits_take(struct permits *p)
{
	if (p->used >= p->cap)
		return RC_BUSY;
	p->used++;
	p->in_flight++;
	p->since++;
	return RC_OK;
}

void
permits_keep(struct permits *p)
{
	assert(p->in_flight > 0);
	p->in_flight--;
}

void
permits_give(struct permits *p)
{
	assert(p->in_flight > 0 && p->used > 0 && p->since > 0);
	p->in_flight--;
	p->used--;
	p->since--;
}

size_t
permits_left(const struct permits *p)
{
	return p->used < p->cap ? p->cap - p->used : 0;
}

void
permits_mark(struct permits *p)
{
	/* A claim in flight may commit before or after the count. */
	p->since = p->in_flight;
}

void
permits_recount(struct permits *p, size_t counted)
{
	p->used = counted + p->since;
}
