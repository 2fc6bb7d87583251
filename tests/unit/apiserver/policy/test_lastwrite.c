#include "apiserver/policy/lastwrite.h"

#include "tests/unit/check.h"

enum { PATIENCE = 2000 };

struct scene {
	struct loop *loop;
	struct lastwrite *w;
	int called;
};

static void
on_done(void *arg)
{
	struct scene *s = arg;

	s->called++;
}

static void
begin(struct scene *s)
{
	*s = (struct scene){.loop = loop_new_sim(1000)};
	s->w = lastwrite_new(s->loop);
	CHECK(!lastwrite_is_on(s->w));
	lastwrite_begin(s->w, PATIENCE, on_done, s);
	CHECK(lastwrite_is_on(s->w));
}

static void
end(struct scene *s)
{
	lastwrite_free(s->w);
	loop_sim_advance(s->loop, 0);
	loop_free(s->loop);
}

static void
test_written(void)
{
	struct scene s;

	begin(&s);
	lastwrite_end(s.w);
	CHECK(!lastwrite_is_on(s.w));
	CHECK_INT(s.called, 0);
	loop_sim_advance(s.loop, 0);
	CHECK_INT(s.called, 1);
	loop_sim_advance(s.loop, 2 * PATIENCE);
	CHECK_INT(s.called, 1);
	end(&s);
}

static void
test_patience_ends(void)
{
	struct scene s;

	begin(&s);
	loop_sim_advance(s.loop, PATIENCE - 1);
	CHECK_INT(s.called, 0);
	loop_sim_advance(s.loop, 1);
	CHECK_INT(s.called, 1);
	CHECK(!lastwrite_is_on(s.w));
	end(&s);
}

static void
test_freed_meanwhile(void)
{
	struct scene s;

	begin(&s);
	lastwrite_free(s.w);
	loop_sim_advance(s.loop, 2 * PATIENCE);
	CHECK_INT(s.called, 0);
	s.w = NULL;
	end(&s);
}

CHECK_MAIN(CHECK_ROW(test_written), CHECK_ROW(test_patience_ends),
    CHECK_ROW(test_freed_meanwhile))
