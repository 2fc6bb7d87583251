#include "apiserver/policy/apievents.h"

#include <string.h>

#include "common/base/buf.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"

enum { TICK = 200, SECOND = 1000, BATCH = 1000 };

struct scene {
	struct loop *loop;
	struct db_pool *db;
	struct apievents *e;
	int flushed;
};

static void
scene_init(struct scene *s)
{
	*s = (struct scene){.loop = loop_new_sim(1000)};
	s->db = db_script_new(s->loop);
	s->e = apievents_new(s->loop, s->db);
}

static void
scene_fini(struct scene *s)
{
	CHECK(db_script_is_done(s->db));
	apievents_free(s->e);
	loop_sim_advance(s->loop, 0);
	db_pool_free(s->db);
	loop_free(s->loop);
}

static void
note(struct scene *s, const char *actor, const char *method, const char *body)
{
	char target[] = "/api/v1/teams?name=secret";
	struct path path;

	CHECK_INT(path_parse(target, &path), RC_OK);
	apievents_note(s->e, &(struct apievent){actor, method, &path, body,
				 body ? strlen(body) : 0, 200, 7});
}

static void
on_flushed(void *arg)
{
	struct scene *s = arg;

	s->flushed++;
}

/* Together, once a tick has passed; of a target the path. */
static void
test_in_one_statement(void)
{
	struct scene s;

	scene_init(&s);
	note(&s, "ops", "GET", NULL);
	note(&s, "reader", "POST", "abc");
	db_script_expect(s.db, Q_AUDIT_API_EVENTS,
	    "*ops*reader*|*api_get*api_post*|*/api/v1/teams*/api/v1/teams?}|"
	    "*ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	    "*");
	loop_sim_advance(s.loop, TICK - 1);
	CHECK_INT(db_script_in_flight(s.db), 0);
	loop_sim_advance(s.loop, 1);
	loop_sim_advance(s.loop, 5 * SECOND);
	scene_fini(&s);
}

/* As long as its column, and no half of a character. */
static void
test_a_long_path(void)
{
	struct buf target, want;
	struct path path;
	struct scene s;

	scene_init(&s);
	buf_init(&target, 0);
	buf_init(&want, 0);
	buf_puts(&target, "/aa");
	buf_puts(&want, "*|*|{\"/aa");
	for (int i = 0; i < 125; i++) {
		buf_puts(&target, "%C3%BC");
		buf_puts(&want, "\xc3\xbc");
	}
	buf_puts(&target, "%E2%82%AC");
	buf_puts(&want, "\"}|*");
	CHECK_INT(path_parse(target.data, &path), RC_OK);
	apievents_note(s.e,
	    &(struct apievent){"ops", "GET", &path, NULL, 0, 400, 0});
	db_script_expect(s.db, Q_AUDIT_API_EVENTS, buf_cstr(&want));
	loop_sim_advance(s.loop, TICK);
	scene_fini(&s);
	buf_fini(&target);
	buf_fini(&want);
}

static void
test_what_failed_is_tried_again(void)
{
	struct scene s;

	scene_init(&s);
	note(&s, "ops", "GET", NULL);
	db_script_expect(s.db, Q_AUDIT_API_EVENTS, "*ops*|*|*|*");
	db_script_error(s.db, "57P01", "shutting down", NULL);
	loop_sim_advance(s.loop, TICK);
	note(&s, "reader", "GET", NULL);
	db_script_expect(s.db, Q_AUDIT_API_EVENTS, "{\"ops\"}|*|*|*");
	db_script_expect(s.db, Q_AUDIT_API_EVENTS, "*reader*|*|*|*");
	loop_sim_advance(s.loop, 2 * SECOND);
	scene_fini(&s);
}

/* Who cannot be written holds up nobody. */
static void
test_what_cannot_be_written_is_left(void)
{
	struct scene s;

	scene_init(&s);
	note(&s, "ops", "GET", NULL);
	db_script_expect(s.db, Q_AUDIT_API_EVENTS, NULL);
	db_script_error(s.db, "22P02", "not json", NULL);
	loop_sim_advance(s.loop, TICK);
	note(&s, "reader", "GET", NULL);
	db_script_expect(s.db, Q_AUDIT_API_EVENTS, "{\"reader\"}|*|*|*");
	loop_sim_advance(s.loop, SECOND);
	scene_fini(&s);
}

/* While the database is away, so many wait and no more. */
static void
test_bounded(void)
{
	struct scene s;

	scene_init(&s);
	db_script_expect(s.db, Q_AUDIT_API_EVENTS, NULL);
	db_script_after(s.db, SECOND);
	for (int i = 0; i < 3 * BATCH; i++)
		note(&s,
		    i < BATCH       ? "first"
		    : i < 2 * BATCH ? "next"
				    : "last",
		    "GET", NULL);
	CHECK_INT(db_script_in_flight(s.db), 1);
	db_script_expect(s.db, Q_AUDIT_API_EVENTS, "{\"next\"*\"next\"}|*|*|*");
	loop_sim_advance(s.loop, 5 * SECOND);
	scene_fini(&s);
}

static void
test_flush(void)
{
	struct scene s;

	scene_init(&s);
	note(&s, "first", "GET", NULL);
	db_script_expect(s.db, Q_AUDIT_API_EVENTS, "*first*|*|*|*");
	db_script_after(s.db, 500);
	loop_sim_advance(s.loop, TICK);
	note(&s, "last", "GET", NULL);
	db_script_expect(s.db, Q_AUDIT_API_EVENTS, "*last*|*|*|*");
	apievents_flush(s.e, 2 * SECOND, on_flushed, &s);
	CHECK_INT(s.flushed, 0);
	loop_sim_advance(s.loop, 2 * SECOND);
	CHECK_INT(s.flushed, 1);
	loop_sim_advance(s.loop, 3 * SECOND);
	CHECK_INT(s.flushed, 1);
	scene_fini(&s);
	/* Nothing to write. */
	scene_init(&s);
	apievents_flush(s.e, 2 * SECOND, on_flushed, &s);
	CHECK_INT(s.flushed, 0);
	loop_sim_advance(s.loop, 0);
	CHECK_INT(s.flushed, 1);
	scene_fini(&s);
}

/* A database that is away does not hold the end up; one that hangs does until
 * patience ends. */
static void
test_flush_in_vain(void)
{
	struct scene s;

	for (int hangs = 0; hangs < 2; hangs++) {
		scene_init(&s);
		note(&s, "ops", "GET", NULL);
		db_script_expect(s.db, Q_AUDIT_API_EVENTS, NULL);
		db_script_code(s.db, RC_BUSY);
		db_script_after(s.db, hangs ? -1 : 0);
		apievents_flush(s.e, 2 * SECOND, on_flushed, &s);
		loop_sim_advance(s.loop, 0);
		CHECK_INT(s.flushed, hangs ? 0 : 1);
		loop_sim_advance(s.loop, 2 * SECOND);
		CHECK_INT(s.flushed, 1);
		scene_fini(&s);
	}
}

CHECK_MAIN(CHECK_ROW(test_in_one_statement), CHECK_ROW(test_a_long_path),
    CHECK_ROW(test_what_failed_is_tried_again),
    CHECK_ROW(test_what_cannot_be_written_is_left), CHECK_ROW(test_bounded),
    CHECK_ROW(test_flush), CHECK_ROW(test_flush_in_vain))
