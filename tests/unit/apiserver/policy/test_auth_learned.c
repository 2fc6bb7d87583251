/* test_auth_learned: what is remembered of keys that the database knows. */
#include "apiserver/policy/auth.h"
#include "common/base/attr.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"

enum { SECOND = 1000, HOUR = 3600 * SECOND };

struct scene {
	struct loop *loop;
	struct db_pool *db;
	struct keyring *keys;
	struct auth *auth;
	struct credential c;
	uint64_t changes;
	bool is_changed_meanwhile;
};

static void
scene_init(struct scene *s)
{
	static const char *const named[] = {"a:abcdefghijklmnopqrstuvwx-1",
	    NULL};
	static const char *const none[] = {NULL};

	*s = (struct scene){.loop = loop_new_sim(1000)};
	s->db = db_script_new(s->loop);
	CHECK_INT(keyring_new(named, none, "", "", &s->keys), RC_OK);
	s->auth = auth_new(s->loop, s->keys);
	auth_read("Bearer the-key-of-an-agent", &s->c);
}

static void
scene_fini(struct scene *s)
{
	CHECK(db_script_is_done(s->db));
	auth_free(s->auth);
	keyring_free(s->keys);
	db_pool_free(s->db);
	loop_free(s->loop);
}

static void
on_looked_up(void *arg, struct db_outcome *o)
{
	struct scene *s = arg;

	CHECK_INT(o->code, RC_OK);
	if (s->is_changed_meanwhile)
		auth_changed(s->auth);
	auth_learn(s->auth, &s->c, o->results[0], s->changes);
}

/* The database says this of the key. */
static void
look_up(struct scene *s, const char *rows)
{
	const char *params[] = {s->c.hash};
	const struct db_stmt stmt = {Q_AUTH_BY_HASH, 1, params};

	db_script_expect(s->db, Q_AUTH_BY_HASH, "*");
	db_script_rows(s->db, "kind|id|is_admin|is_retired", rows);
	s->changes = auth_changes(s->auth);
	(void)db_submit(s->db, &stmt, 1, on_looked_up, s);
	loop_sim_advance(s->loop, 0);
}

static rc
find(struct scene *s)
{
	struct auth_found found;

	return auth_find(s->auth, &s->c, &found);
}

static void
test_good_key(void)
{
	struct scene s;

	scene_init(&s);
	CHECK_INT(find(&s), RC_BUSY);
	CHECK(!auth_was_good(s.auth, &s.c));
	look_up(&s, "agent|ag-1|f|f");
	CHECK_INT(find(&s), RC_OK);
	/* Asked for anew after five seconds, and no stranger then. */
	loop_sim_advance(s.loop, 5 * SECOND);
	CHECK_INT(find(&s), RC_BUSY);
	CHECK(auth_was_good(s.auth, &s.c));
	loop_sim_advance(s.loop, HOUR - 6 * SECOND);
	CHECK(auth_was_good(s.auth, &s.c));
	look_up(&s, "agent|ag-1|f|f");
	loop_sim_advance(s.loop, HOUR - SECOND);
	CHECK(auth_was_good(s.auth, &s.c));
	loop_sim_advance(s.loop, SECOND);
	CHECK(!auth_was_good(s.auth, &s.c));
	scene_fini(&s);
}

static void
test_revoked_key(void)
{
	struct scene s;

	scene_init(&s);
	look_up(&s, "agent|ag-1|f|f");
	loop_sim_advance(s.loop, 5 * SECOND);
	look_up(&s, "");
	CHECK_INT(find(&s), RC_UNAUTHENTICATED);
	CHECK(!auth_was_good(s.auth, &s.c));
	loop_sim_advance(s.loop, 2 * SECOND);
	CHECK_INT(find(&s), RC_BUSY);
	CHECK(!auth_was_good(s.auth, &s.c));
	scene_fini(&s);
}

static void
test_forgotten_key(void)
{
	struct scene s;

	scene_init(&s);
	look_up(&s, "agent|ag-1|f|f");
	auth_forget(s.auth, s.c.hash);
	CHECK_INT(find(&s), RC_BUSY);
	CHECK(!auth_was_good(s.auth, &s.c));
	scene_fini(&s);
}

static void
test_stored_key(void)
{
	struct scene s;

	scene_init(&s);
	look_up(&s, "key|alice|f|f");
	loop_sim_advance(s.loop, 800);
	CHECK_INT(find(&s), RC_OK);
	/* A change elsewhere counts within a second. */
	loop_sim_advance(s.loop, 150);
	CHECK_INT(find(&s), RC_BUSY);
	CHECK(auth_was_good(s.auth, &s.c));
	/* One made here at once. */
	look_up(&s, "key|alice|f|f");
	CHECK_INT(find(&s), RC_OK);
	auth_changed(s.auth);
	CHECK_INT(find(&s), RC_BUSY);
	CHECK(auth_was_good(s.auth, &s.c));
	scene_fini(&s);
}

/* What was asked before a change says nothing of what is now. */
static void
test_change_while_asked(void)
{
	static const char *const answers[] = {"key|alice|f|f", ""};

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct scene s;

		scene_init(&s);
		s.is_changed_meanwhile = true;
		look_up(&s, answers[i]);
		CHECK_INT(find(&s), RC_BUSY);
		s.is_changed_meanwhile = false;
		look_up(&s, "key|alice|f|f");
		CHECK_INT(find(&s), RC_OK);
		scene_fini(&s);
	}
}

static void
test_no_key(void)
{
	struct scene s;

	scene_init(&s);
	auth_read("Basic x", &s.c);
	CHECK(!auth_was_good(s.auth, &s.c));
	scene_fini(&s);
}

CHECK_MAIN(CHECK_ROW(test_good_key), CHECK_ROW(test_revoked_key),
    CHECK_ROW(test_forgotten_key), CHECK_ROW(test_stored_key),
    CHECK_ROW(test_change_while_asked), CHECK_ROW(test_no_key))
