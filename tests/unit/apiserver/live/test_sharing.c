#include "apiserver/live/sharing.h"

#include <string.h>

#include "tests/unit/apiserver/fixture.h"
#include "tests/unit/check.h"

static struct sharing *sharing;

static op_step told;

/* A handler that answers with an agent's row, for all who ask for that one. */
static enum op_next
row_found(struct op *op)
{
	struct sharer **c = op_state(op, sizeof(struct sharer *));
	const char *says = op_text(op, 0, "has_work");
	struct blob *body = blob_new(says, strlen(says));

	sharer_tell(*c, &(struct shared_answer){"", false, body});
	blob_let_go(body);
	return reply_status(op, 200, "says", says);
}

static enum op_next
go_on(struct op *op)
{
	struct sharer **c = op_state(op, sizeof(struct sharer *));

	if (sharer_asks(*c))
		return OP_QUERY(op, Q_AGENTS_POLLED, row_found,
		    req_param(op, "id"));
	return op_park(op, 5000, told);
}

static enum op_next
told(struct op *op)
{
	struct sharer **c = op_state(op, sizeof(struct sharer *));
	const struct shared_answer *had = sharer_answer(*c);

	if (!had)
		return go_on(op);
	return reply_status(op, 200, "shared", had->body->bytes);
}

static enum op_next
join(struct op *op)
{
	struct sharer **c = op_state(op, sizeof(struct sharer *));

	*c = sharing_join(sharing, op, req_param(op, "id"));
	return go_on(op);
}

static const struct route route = {"GET", "/api/v1/agents/{id}/work",
    "agent.job.poll", join, .own = {.access = ROUTE_AGENT}};

static void
init(struct fixture *f)
{
	fixture_init(f);
	sharing = sharing_new();
}

static void
fini(struct fixture *f)
{
	loop_sim_advance(f->api.loop, 0);
	sharing_free(sharing);
	fixture_fini(f);
}

static void
ask(struct fixture *f, const char *id, struct answer *answer)
{
	char target[128];

	(void)snprintf(target, sizeof(target), "/api/v1/agents/%s/work", id);
	fixture_request(f, &route, "GET", target, "", answer);
	loop_sim_advance(f->api.loop, 1);
}

/* The database's next answer, in 100 ms. */
static void
expect(struct fixture *f, const char *id, const char *says)
{
	db_script_expect(f->db, Q_AGENTS_POLLED, id);
	db_script_rows(f->db, "has_work", says);
	db_script_after(f->db, 100);
}

/* Nobody has the answer to what was asked before it came; who waits together
 * has one, and who asks for something else is not in the way. */
static void
test_never_by_an_earlier_one(void)
{
	struct answer a[6];
	struct fixture f;

	init(&f);
	expect(&f, "one", "first");
	ask(&f, "one", &a[0]);
	expect(&f, "two", "other");
	ask(&f, "two", &a[1]);
	for (int i = 2; i < 5; i++)
		ask(&f, "one", &a[i]);
	CHECK_INT(db_script_in_flight(f.db), 2);
	expect(&f, "one", "second");
	loop_sim_advance(f.api.loop, 110);
	CHECK_STR(a[0].body, "{\"says\":\"first\"}\n");
	CHECK_STR(a[1].body, "{\"says\":\"other\"}\n");
	CHECK_INT(a[2].status, 0);
	/* Too late for the second. */
	ask(&f, "one", &a[5]);
	expect(&f, "one", "third");
	loop_sim_advance(f.api.loop, 300);
	CHECK_STR(a[2].body, "{\"says\":\"second\"}\n");
	CHECK_STR(a[3].body, "{\"shared\":\"second\"}\n");
	CHECK_STR(a[4].body, "{\"shared\":\"second\"}\n");
	CHECK_STR(a[5].body, "{\"says\":\"third\"}\n");
	CHECK(db_script_is_done(f.db));
	/* Nothing of it is left: the next asks anew. */
	expect(&f, "one", "fourth");
	ask(&f, "one", &a[0]);
	loop_sim_advance(f.api.loop, 110);
	CHECK_STR(a[0].body, "{\"says\":\"fourth\"}\n");
	fini(&f);
}

/* Whose asker fails, or goes, asks by itself. */
static void
test_an_asker_that_has_no_answer(void)
{
	for (int is_gone = 0; is_gone < 2; is_gone++) {
		struct answer a[4];
		struct fixture f;

		init(&f);
		expect(&f, "one", "first");
		ask(&f, "one", &a[0]);
		for (int i = 1; i < 4; i++)
			ask(&f, "one", &a[i]);
		db_script_expect(f.db, Q_AGENTS_POLLED, "one");
		if (is_gone)
			db_script_after(f.db, -1);
		else
			db_script_code(f.db, RC_BUSY);
		expect(&f, "one", "alone");
		expect(&f, "one", "alone too");
		loop_sim_advance(f.api.loop, 110);
		if (is_gone)
			op_abort(a[1].op, RC_CANCELLED);
		loop_sim_advance(f.api.loop, 300);
		if (!is_gone)
			CHECK_INT(a[1].status, 503);
		CHECK_STR(a[2].body, "{\"says\":\"alone\"}\n");
		CHECK_STR(a[3].body, "{\"says\":\"alone too\"}\n");
		fini(&f);
	}
}

/* Who leaves while it waits, before or behind the asker's question, costs the
 * others nothing. */
static void
test_leaving(void)
{
	struct answer a[5];
	struct fixture f;

	init(&f);
	expect(&f, "one", "first");
	ask(&f, "one", &a[0]);
	for (int i = 1; i < 5; i++)
		ask(&f, "one", &a[i]);
	op_abort(a[1].op, RC_CANCELLED);
	loop_sim_advance(f.api.loop, 1);
	expect(&f, "one", "second");
	loop_sim_advance(f.api.loop, 110);
	op_abort(a[3].op, RC_CANCELLED);
	loop_sim_advance(f.api.loop, 110);
	CHECK_STR(a[2].body, "{\"says\":\"second\"}\n");
	CHECK_STR(a[4].body, "{\"shared\":\"second\"}\n");
	CHECK(db_script_is_done(f.db));
	fini(&f);
}

CHECK_MAIN(CHECK_ROW(test_never_by_an_earlier_one),
    CHECK_ROW(test_an_asker_that_has_no_answer), CHECK_ROW(test_leaving))
