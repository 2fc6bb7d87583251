#include "apiserver/policy/lastwrite.h"

#include <stdlib.h>

#include "common/base/mem.h"

struct lastwrite {
	struct loop *loop;
	struct timer *patience;
	loop_fn *done; /* NULL: nobody waits */
	void *arg;
};

static void
on_out_of_patience(void *arg)
{
	lastwrite_end(arg);
}

struct lastwrite *
lastwrite_new(struct loop *l)
{
	struct lastwrite *w = mem_zalloc(sizeof(*w));

	w->loop = l;
	w->patience = timer_new(l, on_out_of_patience, w);
	return w;
}

void
lastwrite_free(struct lastwrite *w)
{
	if (!w)
		return;
	timer_free(w->patience);
	free(w);
}

void
lastwrite_begin(struct lastwrite *w, int64_t patience_ms, loop_fn *done,
    void *arg)
{
	w->done = done;
	w->arg = arg;
	timer_arm(w->patience, patience_ms);
}

bool
lastwrite_is_on(const struct lastwrite *w)
{
	return w->done != NULL;
}

void
lastwrite_end(struct lastwrite *w)
{
	timer_disarm(w->patience);
	loop_defer(w->loop, w->done, w->arg);
	w->done = NULL;
}
