#include "scheduler/lanes.h"

#include "tests/unit/check.h"

static void
row(struct lanes *ls, const char *id, const char *type, size_t cap, bool is_due)
{
	lanes_look_row(ls, &(struct lane_row){
			       .issuer_id = id,
			       .issuer_type = type,
			       .cap = cap,
			       .is_due = is_due,
			       .allows = LANE_ALLOWS_ALL,
			   });
}

static struct lanes *
three_lanes(void)
{
	struct lanes *ls = lanes_new(256);

	row(ls, "iss-a", "GenericCA", 2, true);
	row(ls, "iss-b", "ACME", 1, true);
	row(ls, LANE_TASKS, "", 25, true);
	return ls;
}

static void
look(struct lanes *ls, bool is_full, struct lane_keys *out, struct arena *a)
{
	lanes_look_begin(ls, is_full, a, out);
}

static void
lanes_take_turns(void)
{
	struct lanes *ls = three_lanes();
	const char *const want[] = {"iss-a", "iss-b", "", "iss-a", "iss-b"};

	for (size_t i = 0; i < 5; i++) {
		struct lane *l = lanes_next(ls, NULL, 0);

		CHECK(l);
		CHECK_STR(l->issuer_id, want[i]);
	}
	lanes_free(ls);
}

static void
batches_are_for_the_local_ca(void)
{
	struct lanes *ls = three_lanes();

	CHECK_INT(lanes_find(ls, "iss-a")->batch, 256);
	CHECK_INT(lanes_find(ls, "iss-b")->batch, 1);
	CHECK_INT(lanes_find(ls, LANE_TASKS)->batch, LANE_TASKS_BATCH);
	CHECK(lane_is_tasks(lanes_find(ls, LANE_TASKS)));
	CHECK(!lanes_find(ls, "iss-c"));
	lanes_free(ls);
}

static void
one_claim_a_lane(void)
{
	struct lanes *ls = three_lanes();
	struct lane *l = lanes_find(ls, "iss-a");

	CHECK(lane_claim(l) == RC_OK);
	CHECK(lane_claim(l) == RC_BUSY);
	for (size_t i = 0; i < 4; i++)
		CHECK(lanes_next(ls, NULL, 0) != l);
	lane_claimed(l, 256, true, "2026-01-01", "job-1");
	CHECK(lanes_next(ls, NULL, 0) == l);
	lanes_free(ls);
}

/* By who cannot do its work; the others get it. */
static void
a_lane_is_passed_over_for_one_worker(void)
{
	struct lanes *ls = three_lanes();
	struct lane *a = lanes_find(ls, "iss-a");
	char *without[] = {(char[]){"iss-a"}, (char[]){"iss-b"}};
	bool was_given = false;

	for (size_t i = 0; i < 6; i++)
		CHECK(lanes_next(ls, without, 1) != a);
	for (size_t i = 0; i < 3; i++)
		was_given = was_given || lanes_next(ls, NULL, 0) == a;
	CHECK(was_given);
	for (size_t i = 0; i < 6; i++)
		CHECK(lanes_next(ls, without, 2) != lanes_find(ls, "iss-b"));
	lanes_free(ls);
}

static void
a_full_lane_is_passed_over(void)
{
	struct lanes *ls = three_lanes();
	struct lane *b = lanes_find(ls, "iss-b");
	struct arena *a = arena_new();
	struct lane_keys k;

	CHECK(lane_claim(b) == RC_OK);
	lane_claimed(b, 1, true, "2026-01-01", "job-1");
	/* One runs, its cap is one. */
	for (size_t i = 0; i < 6; i++)
		CHECK(lanes_next(ls, NULL, 0) != b);
	/* The next look says that it has ended. */
	look(ls, false, &k, a);
	row(ls, "iss-b", "ACME", 1, true);
	CHECK(lane_claim(b) == RC_OK);
	arena_free(a);
	lanes_free(ls);
}

static void
an_empty_claim_gives_the_permit_back(void)
{
	struct lanes *ls = three_lanes();
	struct lane *b = lanes_find(ls, "iss-b");

	CHECK(lane_claim(b) == RC_OK);
	lane_claim_empty(b);
	CHECK(!b->is_due);
	CHECK_INT(permits_left(&b->permits), 1);
	lanes_free(ls);
}

static void
low_keys_until_a_full_look(void)
{
	struct lanes *ls = three_lanes();
	struct arena *a = arena_new();
	struct lane *l = lanes_find(ls, "iss-a");
	struct lane_keys k;

	look(ls, false, &k, a);
	CHECK_INT(k.n, 0);
	CHECK(lane_claim(l) == RC_OK);
	lane_claimed(l, 256, true, "2026-01-01", "job-1");
	look(ls, false, &k, a);
	CHECK_INT(k.n, 1);
	CHECK_STR(k.issuer_ids[0], "iss-a");
	CHECK_STR(k.low_afters[0], "2026-01-01");
	CHECK_STR(k.low_ids[0], "job-1");
	look(ls, true, &k, a);
	CHECK_INT(k.n, 0);
	CHECK(!l->low_after);
	arena_free(a);
	lanes_free(ls);
}

/* Jobs that came back lie behind the key of a claim that was on its way. */
static void
a_claim_does_not_undo_a_full_look(void)
{
	struct lanes *ls = three_lanes();
	struct arena *a = arena_new();
	struct lane *l = lanes_find(ls, "iss-a");
	struct lane_keys k;

	CHECK(lane_claim(l) == RC_OK);
	look(ls, true, &k, a);
	lane_claimed(l, 3, false, "2026-01-01", "job-1");
	CHECK(!l->low_after);
	CHECK(l->is_due);
	CHECK(lane_claim(l) == RC_OK);
	lane_claimed(l, 3, false, "2026-01-01", "job-1");
	CHECK_STR(l->low_after, "2026-01-01");
	CHECK(!l->is_due);
	arena_free(a);
	lanes_free(ls);
}

static void
the_key_of_tasks_is_moved_by_what_a_full_look_found(void)
{
	struct lanes *ls = three_lanes();
	struct arena *a = arena_new();
	struct lane *l = lanes_find(ls, LANE_TASKS);
	struct lane_keys k;

	CHECK(lane_claim(l) == RC_OK);
	lane_claimed(l, 1000, true, "2026-01-02", "task-9");
	look(ls, true, &k, a);
	CHECK_INT(k.n, 0);
	CHECK_STR(l->low_id, "task-9");
	CHECK(lane_claim(l) == RC_OK);
	lanes_look_first(ls, LANE_TASKS, "2026-01-01", "task-1");
	lane_claimed(l, 1000, true, "2026-01-02", "task-99");
	CHECK_STR(l->low_after, "2026-01-01");
	CHECK_STR(l->low_id, "task-1");
	lanes_look_first(ls, LANE_TASKS, NULL, NULL);
	CHECK(!l->low_after);
	arena_free(a);
	lanes_free(ls);
}

static void
a_lane_that_is_gone(void)
{
	struct lanes *ls = three_lanes();
	struct arena *a = arena_new();
	struct lane_keys k;
	struct lane *b = lanes_find(ls, "iss-b");

	CHECK(lane_claim(b) == RC_OK);
	look(ls, false, &k, a);
	row(ls, "iss-a", "GenericCA", 2, false);
	lanes_look_end(ls);
	/* Its claim is still to be answered. */
	CHECK(lanes_find(ls, "iss-b") == b);
	CHECK(!lanes_find(ls, LANE_TASKS));
	lane_claim_empty(b);
	look(ls, false, &k, a);
	row(ls, "iss-a", "GenericCA", 2, false);
	lanes_look_end(ls);
	CHECK(!lanes_find(ls, "iss-b"));
	CHECK(!lanes_next(ls, NULL, 0));
	arena_free(a);
	lanes_free(ls);
}

static void
allow(struct lanes *ls, const char *id, const char *type, int64_t n)
{
	lanes_look_row(ls, &(struct lane_row){
			       .issuer_id = id,
			       .issuer_type = type,
			       .cap = 8,
			       .is_due = true,
			       .is_open = true,
			       .allows = n,
			   });
}

static void
an_open_lane_is_passed_over(void)
{
	struct lanes *ls = three_lanes();

	allow(ls, "iss-a", "GenericCA", 0);
	for (size_t i = 0; i < 6; i++)
		CHECK(lanes_next(ls, NULL, 0) != lanes_find(ls, "iss-a"));
	row(ls, "iss-b", "ACME", 1, false);
	row(ls, LANE_TASKS, "", 25, false);
	CHECK(!lanes_next(ls, NULL, 0));
	CHECK(!lanes_have_due(ls));
	lanes_free(ls);
}

static void
a_half_open_lane_lets_one_through(void)
{
	struct lanes *ls = three_lanes();
	struct lane *a = lanes_find(ls, "iss-a");

	allow(ls, "iss-a", "GenericCA", 1);
	CHECK_INT(lane_limit(a), 1);
	CHECK(lanes_next(ls, NULL, 0) == a);
	CHECK(lane_claim(a) == RC_OK);
	lane_claimed(a, 1, true, "2026-01-01", "job-1");
	for (size_t i = 0; i < 6; i++)
		CHECK(lanes_next(ls, NULL, 0) != a);
	/* It closed. */
	row(ls, "iss-a", "GenericCA", 8, true);
	CHECK(!a->is_open);
	CHECK_INT(lane_limit(a), 256);
	lanes_free(ls);
}

static void
a_paced_lane_uses_up_its_tokens(void)
{
	struct lanes *ls = three_lanes();
	struct lane *a = lanes_find(ls, "iss-a");

	allow(ls, "iss-a", "GenericCA", 300);
	CHECK_INT(lane_limit(a), 256);
	CHECK(lane_claim(a) == RC_OK);
	lane_claimed(a, 256, true, "2026-01-01", "job-1");
	CHECK_INT(lane_limit(a), 44);
	CHECK(lane_claim(a) == RC_OK);
	lane_claim_unknown(a);
	CHECK_INT(lane_limit(a), 44);
	CHECK(lane_claim(a) == RC_OK);
	lane_claimed(a, 45, true, "2026-01-01", "job-2");
	CHECK_INT(lane_limit(a), 0);
	lanes_free(ls);
}

static void
a_refused_claim_asks_for_less(void)
{
	struct lanes *ls = three_lanes();
	struct lane *a = lanes_find(ls, "iss-a"), *b = lanes_find(ls, "iss-b");

	for (size_t n = 256; n > 1; n /= 2) {
		CHECK_INT(lane_limit(a), n);
		CHECK(!lane_is_careful(a));
		CHECK(lane_claim(a) == RC_OK);
		lane_claim_refused(a, n);
		CHECK(a->is_due);
	}
	CHECK_INT(lane_limit(a), 1);
	CHECK(lane_is_careful(a));
	/* One went, so more may. */
	CHECK(lane_claim(a) == RC_OK);
	lane_claimed(a, 1, true, "2026-01-01", "job-1");
	CHECK_INT(lane_limit(a), 2);
	CHECK(!lane_is_careful(a));
	/* A lane of single jobs is careful at once, and small no longer than
	 * until one went. */
	CHECK(lane_claim(b) == RC_OK);
	lane_claim_refused(b, 1);
	CHECK(lane_is_careful(b) && lane_limit(b) == 1);
	CHECK(lane_claim(b) == RC_OK);
	lane_claimed(b, 1, true, "2026-01-01", "job-1");
	CHECK(!lane_is_careful(b));
	lanes_free(ls);
}

static void
a_lane_that_brings_nothing_rests_until_a_full_look(void)
{
	struct lanes *ls = three_lanes();
	struct lane *a = lanes_find(ls, "iss-a");
	struct arena *arena = arena_new();
	struct lane_keys keys;

	for (size_t i = 0; i < 2; i++) {
		CHECK(lane_claim(a) == RC_OK);
		lane_claim_empty(a);
		look(ls, false, &keys, arena);
		row(ls, "iss-a", "GenericCA", 2, true);
	}
	for (size_t i = 0; i < 4; i++)
		CHECK(lanes_next(ls, NULL, 0) != a);
	look(ls, true, &keys, arena);
	row(ls, "iss-a", "GenericCA", 2, true);
	while (lanes_next(ls, NULL, 0) != a) {
	}
	/* One that can't even set its job aside rests likewise. */
	for (size_t i = 0; i < 2; i++) {
		CHECK(lane_claim(a) == RC_OK);
		lane_claim_refused(a, 1);
	}
	for (size_t i = 0; i < 4; i++)
		CHECK(lanes_next(ls, NULL, 0) != a);
	arena_free(arena);
	lanes_free(ls);
}

/* The key goes back to what a hint tells of, and no further. */
static void
a_hint_moves_the_key_back(void)
{
	struct lanes *ls = three_lanes();
	struct lane *a = lanes_find(ls, "iss-a");

	CHECK(lane_claim(a) == RC_OK);
	lane_claimed(a, 1, false, "2026-01-03", "job-3");
	CHECK(!a->is_due);
	lane_hint(a, "2026-01-04");
	CHECK(a->is_due);
	CHECK_STR(a->low_after, "2026-01-03");
	CHECK_STR(a->low_id, "job-3");
	lane_hint(a, "2026-01-03"); /* whichever of those */
	CHECK_STR(a->low_id, "");
	lane_hint(a, "2026-01-02");
	CHECK_STR(a->low_after, "2026-01-02");
	lanes_free(ls);
}

/* The claim may have been sent before what the hints are about was there. */
static void
a_hint_outlives_a_claim(void)
{
	struct lanes *ls = three_lanes();
	struct lane *a = lanes_find(ls, "iss-a");

	row(ls, "iss-a", "GenericCA", 8, true);
	CHECK(lane_claim(a) == RC_OK);
	lane_hint(a, "2026-01-02");
	lane_hint(a, "2026-01-01");
	lane_hint(a, "2026-01-04");
	lane_claimed(a, 1, false, "2026-01-03", "job-3");
	CHECK(a->is_due);
	CHECK_STR(a->low_after, "2026-01-01");
	/* Once. */
	CHECK(lane_claim(a) == RC_OK);
	lane_claimed(a, 1, false, "2026-01-04", "job-4");
	CHECK(!a->is_due);
	CHECK_STR(a->low_after, "2026-01-04");
	CHECK(lane_claim(a) == RC_OK);
	lane_hint(a, "2026-01-05");
	lane_claim_empty(a);
	CHECK(a->is_due);
	lanes_free(ls);
}

/* A look may have been sent before, too. */
static void
a_hint_outlives_a_look(void)
{
	struct lanes *ls = three_lanes();
	struct lane *a = lanes_find(ls, "iss-a");
	struct arena *arena = arena_new();
	struct lane_keys keys;

	look(ls, false, &keys, arena);
	lane_hint(a, "2026-01-01");
	row(ls, "iss-a", "GenericCA", 2, false);
	CHECK(a->is_due);
	look(ls, false, &keys, arena);
	row(ls, "iss-a", "GenericCA", 2, false);
	CHECK(!a->is_due);
	arena_free(arena);
	lanes_free(ls);
}

/* What rested gets another try. */
static void
a_hint_ends_a_rest(void)
{
	struct lanes *ls = three_lanes();
	struct lane *a = lanes_find(ls, "iss-a");

	for (size_t i = 0; i < 2; i++) {
		a->is_due = true;
		CHECK(lane_claim(a) == RC_OK);
		lane_claim_empty(a);
	}
	a->is_due = true;
	for (size_t i = 0; i < 4; i++)
		CHECK(lanes_next(ls, NULL, 0) != a);
	lane_hint(a, "2026-01-01");
	CHECK(lanes_next(ls, NULL, 0) == a || lanes_next(ls, NULL, 0) == a ||
	      lanes_next(ls, NULL, 0) == a);
	lanes_free(ls);
}

CHECK_MAIN(CHECK_ROW(a_hint_moves_the_key_back),
    CHECK_ROW(a_hint_outlives_a_claim), CHECK_ROW(a_hint_outlives_a_look),
    CHECK_ROW(a_hint_ends_a_rest), CHECK_ROW(a_refused_claim_asks_for_less),
    CHECK_ROW(a_lane_that_brings_nothing_rests_until_a_full_look),
    CHECK_ROW(an_open_lane_is_passed_over),
    CHECK_ROW(a_half_open_lane_lets_one_through),
    CHECK_ROW(a_paced_lane_uses_up_its_tokens), CHECK_ROW(lanes_take_turns),
    CHECK_ROW(batches_are_for_the_local_ca), CHECK_ROW(one_claim_a_lane),
    CHECK_ROW(a_lane_is_passed_over_for_one_worker),
    CHECK_ROW(a_full_lane_is_passed_over),
    CHECK_ROW(an_empty_claim_gives_the_permit_back),
    CHECK_ROW(low_keys_until_a_full_look),
    CHECK_ROW(a_claim_does_not_undo_a_full_look),
    CHECK_ROW(the_key_of_tasks_is_moved_by_what_a_full_look_found),
    CHECK_ROW(a_lane_that_is_gone))
