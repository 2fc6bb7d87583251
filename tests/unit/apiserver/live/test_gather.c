#include "apiserver/live/gather.h"

#include "tests/unit/apiserver/fixture.h"
#include "tests/unit/check.h"

static struct gather *gather;
static size_t nrows[8], nasked; /* what each found */

/* A handler that answers with its agent's row, or the error. */
static enum op_next
row_found(struct op *op)
{
	struct gathered **asked = op_state(op, sizeof(*asked));
	const struct db_result *rows;
	size_t row;
	rc ret = gathered_row(*asked, &rows, &row);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", "");
	if (nasked < 8)
		nrows[nasked++] = gathered_count(*asked);
	return reply_status(op, 200, "says",
	    db_text(rows, row, db_col(rows, "has_work")));
}

static enum op_next
row_start(struct op *op)
{
	struct gathered **asked = op_state(op, sizeof(*asked));

	*asked = gather_ask(gather, op, req_param(op, "id"));
	return op_park(op, 5000, row_found);
}

/* The same by gather_query. */
static enum op_next
row_read(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "%s", "none");
	if (nasked < 8)
		nrows[nasked++] = op_rows(op);
	return reply_status(op, 200, "says", op_text(op, 0, "has_work"));
}

static enum op_next
query_start(struct op *op)
{
	return gather_query(gather, op, req_param(op, "id"), row_read);
}

static const struct route query_route = {"GET", "/api/v1/agents/{id}/work",
    "agent.job.poll", query_start, .own = {.access = ROUTE_AGENT}};

static const struct route route = {"GET", "/api/v1/agents/{id}/work",
    "agent.job.poll", row_start, .own = {.access = ROUTE_AGENT}};

static void
init(struct fixture *f)
{
	fixture_init(f);
	nasked = 0;
	gather = gather_new(f->api.loop, f->db, Q_AGENTS_POLLED, NULL);
}

static void
fini(struct fixture *f)
{
	loop_sim_advance(f->api.loop, 0);
	gather_free(gather);
	fixture_fini(f);
}

static void
ask(struct fixture *f, const char *id, struct answer *answer)
{
	char target[128];

	(void)snprintf(target, sizeof(target), "/api/v1/agents/%s/work", id);
	fixture_request(f, &route, "GET", target, "", answer);
}

/* What one turn reads is one statement, and each gets its own row, in whatever
 * order they come; doubles too. */
static void
test_together(void)
{
	struct answer a[4];
	struct fixture f;

	init(&f);
	db_script_expect(f.db, Q_AGENTS_POLLED,
	    "{\"ag-1\",\"ag-2\",\"none\",\"ag-1\"}");
	db_script_rows(f.db, "at|has_work", "2|two\n4|one\n1|one");
	ask(&f, "ag-1", &a[0]);
	ask(&f, "ag-2", &a[1]);
	ask(&f, "none", &a[2]);
	ask(&f, "ag-1", &a[3]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_STR(a[0].body, "{\"says\":\"one\"}\n");
	CHECK_STR(a[1].body, "{\"says\":\"two\"}\n");
	CHECK_INT(a[2].status, 404);
	CHECK_STR(a[3].body, "{\"says\":\"one\"}\n");
	CHECK(db_script_is_done(f.db));
	fini(&f);
}

/* Of several rows of one, the first, and how many they are. */
static void
test_many_rows_of_one(void)
{
	struct answer a[2];
	struct fixture f;

	init(&f);
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-1\",\"ag-2\"}");
	db_script_rows(f.db, "at|has_work", "1|one\n1|uno\n1|eins\n2|two");
	ask(&f, "ag-1", &a[0]);
	ask(&f, "ag-2", &a[1]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_STR(a[0].body, "{\"says\":\"one\"}\n");
	CHECK_INT(nrows[0], 3);
	CHECK_STR(a[1].body, "{\"says\":\"two\"}\n");
	CHECK_INT(nrows[1], 1);
	fini(&f);
}

static void
query(struct fixture *f, const char *id, struct answer *answer)
{
	char target[128];

	(void)snprintf(target, sizeof(target), "/api/v1/agents/%s/work", id);
	fixture_request(f, &query_route, "GET", target, "", answer);
}

/* Rows that were asked for together are read as the op's own; who has none
 * asks once more, alone. */
static void
test_query(void)
{
	struct answer a[3];
	struct fixture f;

	init(&f);
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-1\",\"none\",\"ag-2\"}");
	db_script_rows(f.db, "at|has_work", "3|two\n3|deux\n1|one");
	query(&f, "ag-1", &a[0]);
	query(&f, "none", &a[1]);
	query(&f, "ag-2", &a[2]);
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"none\"}");
	db_script_rows(f.db, "at|has_work", "");
	loop_sim_advance(f.api.loop, 10);
	CHECK_STR(a[0].body, "{\"says\":\"one\"}\n");
	CHECK_INT(nrows[0], 1);
	CHECK_INT(a[1].status, 404);
	CHECK_STR(a[2].body, "{\"says\":\"two\"}\n");
	CHECK_INT(nrows[1], 2);
	CHECK(db_script_is_done(f.db));
	fini(&f);
}

/* What a statement for many was refused for may be one's fault: each asks
 * alone, and that one hears of it. */
static void
test_query_of_whom_one_is_refused(void)
{
	struct answer a[2];
	struct fixture f;

	init(&f);
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-1\",\"bad\"}");
	db_script_code(f.db, RC_DATA);
	query(&f, "ag-1", &a[0]);
	query(&f, "bad", &a[1]);
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-1\"}");
	db_script_rows(f.db, "at|has_work", "1|one");
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"bad\"}");
	db_script_code(f.db, RC_DATA);
	loop_sim_advance(f.api.loop, 10);
	CHECK_STR(a[0].body, "{\"says\":\"one\"}\n");
	CHECK(a[1].status >= 400);
	CHECK(db_script_is_done(f.db));
	fini(&f);
}

/* One statement at a time, where that was asked for. */
static void
test_one_at_a_time(void)
{
	struct answer a[3];
	struct fixture f;

	init(&f);
	gather_serialize(gather);
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-1\"}");
	db_script_rows(f.db, "at|has_work", "1|one");
	db_script_after(f.db, 100);
	query(&f, "ag-1", &a[0]);
	loop_sim_advance(f.api.loop, 1);
	query(&f, "ag-2", &a[1]);
	query(&f, "ag-3", &a[2]);
	loop_sim_advance(f.api.loop, 50);
	CHECK_INT(db_script_in_flight(f.db), 1);
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-2\",\"ag-3\"}");
	db_script_rows(f.db, "at|has_work", "1|two\n2|three");
	loop_sim_advance(f.api.loop, 60);
	CHECK_STR(a[0].body, "{\"says\":\"one\"}\n");
	CHECK_STR(a[1].body, "{\"says\":\"two\"}\n");
	CHECK_STR(a[2].body, "{\"says\":\"three\"}\n");
	CHECK(db_script_is_done(f.db));
	fini(&f);
}

/* Behind a statement for several, more may come first: as long as it took, or
 * eight milliseconds.  Behind one for a single id nothing waits. */
static void
test_pause(void)
{
	struct answer a[4];
	struct fixture f;

	init(&f);
	gather_serialize(gather);
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-1\",\"ag-2\"}");
	db_script_rows(f.db, "at|has_work", "1|one\n2|two");
	db_script_after(f.db, 5);
	query(&f, "ag-1", &a[0]);
	query(&f, "ag-2", &a[1]);
	loop_sim_advance(f.api.loop, 5);
	CHECK_STR(a[1].body, "{\"says\":\"two\"}\n");
	query(&f, "ag-3", &a[2]);
	loop_sim_advance(f.api.loop, 4);
	CHECK_INT(db_script_in_flight(f.db), 0);
	query(&f, "ag-4", &a[3]);
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-3\",\"ag-4\"}");
	db_script_rows(f.db, "at|has_work", "1|three\n2|four");
	db_script_after(f.db, 100); /* and the pause is bounded */
	loop_sim_advance(f.api.loop, 2);
	CHECK_INT(db_script_in_flight(f.db), 1);
	loop_sim_advance(f.api.loop, 99);
	CHECK_STR(a[2].body, "{\"says\":\"three\"}\n");
	query(&f, "ag-1", &a[0]);
	loop_sim_advance(f.api.loop, 5);
	CHECK_INT(db_script_in_flight(f.db), 0);
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-1\"}");
	db_script_rows(f.db, "at|has_work", "1|one");
	loop_sim_advance(f.api.loop, 4);
	CHECK_STR(a[0].body, "{\"says\":\"one\"}\n");
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-2\"}");
	db_script_rows(f.db, "at|has_work", "1|two");
	query(&f, "ag-2", &a[1]);
	loop_sim_advance(f.api.loop, 1);
	CHECK_STR(a[1].body, "{\"says\":\"two\"}\n");
	CHECK(db_script_is_done(f.db));
	fini(&f);
}

/* A second parameter is the same for all. */
static void
test_with(void)
{
	struct answer a[2];
	struct fixture f;

	init(&f);
	gather_free(gather);
	gather = gather_new(f.api.loop, f.db, Q_ACME_ORDERS_LOOK, "why");
	db_script_expect(f.db, Q_ACME_ORDERS_LOOK, "{\"o-1\",\"o-2\"}|why");
	db_script_rows(f.db, "at|has_work", "1|one\n2|two");
	query(&f, "o-1", &a[0]);
	query(&f, "o-2", &a[1]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_STR(a[0].body, "{\"says\":\"one\"}\n");
	CHECK_STR(a[1].body, "{\"says\":\"two\"}\n");
	CHECK(db_script_is_done(f.db));
	fini(&f);
}

/* Who comes while two statements are under way is asked for by a third, which
 * is sent when one of them is done. */
static void
test_never_by_an_earlier_one(void)
{
	struct answer a[5];
	struct fixture f;

	init(&f);
	for (int i = 0; i < 2; i++) {
		db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-1\"}");
		db_script_rows(f.db, "at|has_work", "1|old");
		db_script_after(f.db, 100 + 100 * i);
		ask(&f, "ag-1", &a[i]);
		loop_sim_advance(f.api.loop, 1);
	}
	for (int i = 2; i < 5; i++)
		ask(&f, "ag-1", &a[i]);
	loop_sim_advance(f.api.loop, 50);
	CHECK_INT(db_script_in_flight(f.db), 2);
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-1\",\"ag-1\",\"ag-1\"}");
	db_script_rows(f.db, "at|has_work", "1|new\n2|new\n3|new");
	loop_sim_advance(f.api.loop, 60);
	CHECK_STR(a[0].body, "{\"says\":\"old\"}\n");
	CHECK_INT(a[1].status, 0);
	for (int i = 2; i < 5; i++)
		CHECK_STR(a[i].body, "{\"says\":\"new\"}\n");
	loop_sim_advance(f.api.loop, 200);
	CHECK_STR(a[1].body, "{\"says\":\"old\"}\n");
	CHECK(db_script_is_done(f.db));
	fini(&f);
}

/* All of a statement that failed hear of it. */
static void
test_failure(void)
{
	struct answer a[2];
	struct fixture f;

	init(&f);
	db_script_expect(f.db, Q_AGENTS_POLLED, NULL);
	db_script_code(f.db, RC_BUSY);
	ask(&f, "ag-1", &a[0]);
	ask(&f, "ag-2", &a[1]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a[0].status, 503);
	CHECK_INT(a[1].status, 503);
	fini(&f);
}

/* Who leaves while waiting, or while asked for, costs the others nothing. */
static void
test_leaving(void)
{
	struct answer a[4];
	struct fixture f;

	init(&f);
	for (int i = 0; i < 2; i++) {
		db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-1\"}");
		db_script_rows(f.db, "at|has_work", "1|t");
		db_script_after(f.db, 100);
		ask(&f, "ag-1", &a[i]);
		loop_sim_advance(f.api.loop, 1);
	}
	ask(&f, "ag-2", &a[2]);
	ask(&f, "ag-3", &a[3]);
	loop_sim_advance(f.api.loop, 1);
	op_abort(a[0].op, RC_CANCELLED);
	op_abort(a[2].op, RC_CANCELLED);
	loop_sim_advance(f.api.loop, 1);
	db_script_expect(f.db, Q_AGENTS_POLLED, "{\"ag-3\"}");
	db_script_rows(f.db, "at|has_work", "1|t");
	loop_sim_advance(f.api.loop, 200);
	CHECK_STR(a[1].body, "{\"says\":\"t\"}\n");
	CHECK_STR(a[3].body, "{\"says\":\"t\"}\n");
	CHECK(db_script_is_done(f.db));
	fini(&f);
}

/* At the end of the process a statement may be under way for nobody. */
static void
test_end(void)
{
	struct answer a;
	struct fixture f;

	init(&f);
	db_script_expect(f.db, Q_AGENTS_POLLED, NULL);
	db_script_after(f.db, -1);
	ask(&f, "ag-1", &a);
	loop_sim_advance(f.api.loop, 1);
	op_abort(a.op, RC_CANCELLED);
	fini(&f);
}

CHECK_MAIN(CHECK_ROW(test_together), CHECK_ROW(test_many_rows_of_one),
    CHECK_ROW(test_query), CHECK_ROW(test_query_of_whom_one_is_refused),
    CHECK_ROW(test_one_at_a_time), CHECK_ROW(test_pause), CHECK_ROW(test_with),
    CHECK_ROW(test_never_by_an_earlier_one), CHECK_ROW(test_failure),
    CHECK_ROW(test_leaving), CHECK_ROW(test_end))
