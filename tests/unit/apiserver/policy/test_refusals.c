#include "apiserver/policy/refusals.h"

#include <stdio.h>

#include "tests/support/db_script.h"
#include "tests/unit/check.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND };

struct scene {
	struct loop *loop;
	struct db_pool *db;
	struct refusals *f;
	int flushed;
};

static void
scene_init(struct scene *s)
{
	*s = (struct scene){.loop = loop_new_sim(1000)};
	s->db = db_script_new(s->loop);
	s->f = refusals_new(s->loop, s->db);
}

static void
scene_fini(struct scene *s)
{
	CHECK(db_script_is_done(s->db));
	refusals_free(s->f);
	loop_sim_advance(s->loop, 0);
	db_pool_free(s->db);
	loop_free(s->loop);
}

static void
note(struct scene *s, const char *address, int status, int times)
{
	for (int i = 0; i < times; i++)
		refusals_note(s->f, address, status, "ops", "GET", "/x");
}

static void
expect(struct scene *s, const char *address, const char *counts)
{
	char params[200];

	(void)snprintf(params, sizeof(params), "*%s*|*%s*", address, counts);
	db_script_expect(s->db, Q_AUDIT_REFUSALS, params);
}

static void
on_flushed(void *arg)
{
	struct scene *s = arg;

	s->flushed++;
}

static void
test_first_at_once_and_counts_later(void)
{
	struct scene s;

	scene_init(&s);
	note(&s, "192.0.2.1", 401, 2);
	note(&s, "192.0.2.1", 429, 1);
	expect(&s, "192.0.2.1", "unauthenticated*2*rate_limited*1");
	loop_sim_advance(s.loop, SECOND);
	note(&s, "192.0.2.1", 403, 7);
	loop_sim_advance(s.loop, MINUTE - SECOND);
	expect(&s, "192.0.2.1", "forbidden*7");
	loop_sim_advance(s.loop, 2 * SECOND);
	scene_fini(&s);
}

static void
test_what_failed_is_counted_again(void)
{
	struct scene s;

	scene_init(&s);
	note(&s, "192.0.2.1", 401, 2);
	expect(&s, "192.0.2.1", "unauthenticated*2");
	db_script_error(s.db, "57P01", "shutting down", NULL);
	loop_sim_advance(s.loop, SECOND);
	note(&s, "192.0.2.1", 401, 3);
	expect(&s, "192.0.2.1", "unauthenticated*5");
	loop_sim_advance(s.loop, MINUTE + SECOND);
	scene_fini(&s);
}

static void
test_flush(void)
{
	struct scene s;

	scene_init(&s);
	note(&s, "192.0.2.1", 401, 1);
	expect(&s, "192.0.2.1", "unauthenticated*1");
	loop_sim_advance(s.loop, SECOND);
	note(&s, "192.0.2.1", 401, 4);
	expect(&s, "192.0.2.1", "unauthenticated*4");
	refusals_flush(s.f, 2 * SECOND, on_flushed, &s);
	CHECK_INT(s.flushed, 0);
	loop_sim_advance(s.loop, 0);
	CHECK_INT(s.flushed, 1);
	loop_sim_advance(s.loop, 3 * SECOND);
	CHECK_INT(s.flushed, 1);
	scene_fini(&s);
}

static void
test_flush_of_nothing(void)
{
	struct scene s;

	scene_init(&s);
	refusals_flush(s.f, 2 * SECOND, on_flushed, &s);
	CHECK_INT(s.flushed, 0);
	loop_sim_advance(s.loop, 0);
	CHECK_INT(s.flushed, 1);
	scene_fini(&s);
}

/* What is being written is waited for, and the rest follows. */
static void
test_flush_behind_a_write(void)
{
	struct scene s;

	scene_init(&s);
	note(&s, "192.0.2.1", 401, 1);
	expect(&s, "192.0.2.1", "unauthenticated*1");
	db_script_after(s.db, 500);
	loop_sim_advance(s.loop, SECOND);
	note(&s, "192.0.2.2", 403, 1);
	expect(&s, "192.0.2.2", "forbidden*1");
	refusals_flush(s.f, 2 * SECOND, on_flushed, &s);
	loop_sim_advance(s.loop, 0);
	CHECK_INT(s.flushed, 0);
	loop_sim_advance(s.loop, SECOND);
	CHECK_INT(s.flushed, 1);
	scene_fini(&s);
}

/* As with apievents. */
static void
test_flush_in_vain(void)
{
	struct scene s;

	for (int hangs = 0; hangs < 2; hangs++) {
		scene_init(&s);
		note(&s, "192.0.2.1", 401, 1);
		expect(&s, "192.0.2.1", "unauthenticated*1");
		db_script_code(s.db, RC_BUSY);
		db_script_after(s.db, hangs ? -1 : 0);
		refusals_flush(s.f, 2 * SECOND, on_flushed, &s);
		loop_sim_advance(s.loop, 0);
		CHECK_INT(s.flushed, hangs ? 0 : 1);
		loop_sim_advance(s.loop, 2 * SECOND);
		CHECK_INT(s.flushed, 1);
		scene_fini(&s);
	}
}

/* More addresses than are told apart. */
static void
test_others(void)
{
	char address[32];
	struct scene s;

	scene_init(&s);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(address, sizeof(address), "192.0.2.%d", i);
		note(&s, address, 401, 1);
	}
	expect(&s, "192.0.2.63*others", "unauthenticated*36");
	db_script_error(s.db, "57P01", "shutting down", NULL);
	loop_sim_advance(s.loop, SECOND);
	expect(&s, "192.0.2.63*others", "unauthenticated*36");
	refusals_flush(s.f, 2 * SECOND, on_flushed, &s);
	loop_sim_advance(s.loop, 0);
	CHECK_INT(s.flushed, 1);
	scene_fini(&s);
}

CHECK_MAIN(CHECK_ROW(test_first_at_once_and_counts_later),
    CHECK_ROW(test_what_failed_is_counted_again), CHECK_ROW(test_flush),
    CHECK_ROW(test_flush_of_nothing), CHECK_ROW(test_flush_behind_a_write),
    CHECK_ROW(test_flush_in_vain), CHECK_ROW(test_others))
