#include "apiserver/handlers/agents/heartbeat.h"

#include "tests/unit/apiserver/fixture.h"
#include "tests/unit/check.h"

/* As heartbeats.c tries what somebody holds. */
enum { HELD_MS = 100, HELD_TRIES_MAX = 20 };

static const struct route route = {"POST", "/api/v1/agents/{id}/heartbeat",
    "agent.heartbeat", agent_heartbeat_start, ROUTE_NO_EVENT,
    .own = {.access = ROUTE_AGENT}};

static void
beat(struct fixture *f, const char *id, const char *body, struct answer *answer)
{
	char target[128];

	(void)snprintf(target, sizeof(target), "/api/v1/agents/%s/heartbeat",
	    id);
	fixture_request(f, &route, "POST", target, body, answer);
}

/* What one turn reads goes together, sorted and without doubles. */
static void
test_coalesces(void)
{
	struct answer a[4];
	struct fixture f;

	fixture_init(&f);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT,
	    "{\"ag-1\",\"ag-2\"}|{\"1\",\"3\"}|{\"\",\"h\"}|*|*|*|*");
	db_script_rows(f.db, "id|n", "|2");
	beat(&f, "ag-2", "{\"version\":\"2\",\"hostname\":\"h\"}", &a[0]);
	beat(&f, "ag-1", "{\"version\":\"1\"}", &a[1]);
	beat(&f, "ag-2", "{\"version\":\"3\"}", &a[2]);
	beat(&f, "ag-1", "no json at all", &a[3]);
	loop_sim_advance(f.api.loop, 0);
	for (int i = 0; i < 4; i++) {
		CHECK_INT(a[i].status, 200);
		CHECK_STR(a[i].body, "{\"status\":\"heartbeat_recorded\"}\n");
	}
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

#define DIGEST \
	"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Who told of another digest than is known is asked for more, each of its
 * doubles, and nobody else. */
static void
test_wanted(void)
{
	struct answer a[6];
	struct fixture f;

	fixture_init(&f);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT,
	    "{\"a\",\"b\",\"c\"}|*|*|*|*|*|{\"\",\"" DIGEST "\",\"none\"}");
	db_script_rows(f.db, "id|n", "|3\nb|0");
	beat(&f, "b", "{\"served\":\"" DIGEST "\"}", &a[0]);
	beat(&f, "a", "", &a[1]);
	beat(&f, "c", "{\"served\":\"none\"}", &a[2]);
	beat(&f, "b", "", &a[3]);
	beat(&f, "d", "{\"served\":\"some\"}", &a[4]);
	beat(&f, "d", "{\"served\":7}", &a[5]);
	loop_sim_advance(f.api.loop, 0);
	for (int i = 0; i < 4; i++)
		CHECK_STR(a[i].body,
		    i % 3 == 0 ? "{\"status\":\"heartbeat_recorded\","
				 "\"served\":\"wanted\"}\n"
			       : "{\"status\":\"heartbeat_recorded\"}\n");
	CHECK_INT(a[4].status, 400);
	CHECK_INT(a[5].status, 400);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

/* Of a batch, an array in SQL's text, no row could be had. */
static void
expect_held(struct fixture *f, const char *ids)
{
	char all[128];

	(void)snprintf(all, sizeof(all), "%s|*|*|*|*|*|*", ids);
	db_script_expect(f->db, Q_AGENTS_HEARTBEAT, all);
	db_script_rows(f->db, "id|n", "|0");
	db_script_expect(f->db, Q_AGENTS_KNOWN, ids);
	db_script_rows(f->db, "id|is_retired|is_heard", "held|f|f\nleft|f|f");
}

static void
test_unknown_retired_and_held(void)
{
	struct answer a[4];
	struct fixture f;

	fixture_init(&f);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT,
	    "{\"gone\",\"good\",\"held\",\"nope\"}|*|*|*|*|*|*");
	db_script_rows(f.db, "id|n", "|1");
	db_script_expect(f.db, Q_AGENTS_KNOWN,
	    "{\"gone\",\"good\",\"held\",\"nope\"}");
	db_script_rows(f.db, "id|is_retired|is_heard",
	    "good|f|t\ngone|t|f\nheld|f|f");
	beat(&f, "nope", "", &a[0]);
	beat(&f, "gone", "", &a[1]);
	beat(&f, "good", "", &a[2]);
	beat(&f, "held", "", &a[3]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a[0].status, 404);
	CHECK_INT(a[1].status, 410);
	CHECK_INT(a[2].status, 200);
	CHECK_INT(a[3].status, 0);
	CHECK(db_script_is_done(f.db));

	/* Somebody holds it for two seconds and more. */
	for (int i = 0; i < HELD_TRIES_MAX; i++) {
		expect_held(&f, "{\"held\"}");
		CHECK_INT(a[3].status, 0);
		loop_sim_advance(f.api.loop, HELD_MS);
		CHECK(db_script_is_done(f.db));
	}
	CHECK_INT(a[3].status, 503);
	fixture_fini(&f);
}

static void
test_held_for_a_moment(void)
{
	struct answer a[3];
	struct fixture f;

	fixture_init(&f);
	expect_held(&f, "{\"held\",\"left\"}");
	beat(&f, "held", "", &a[0]);
	beat(&f, "left", "", &a[1]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a[0].status, 0);

	/* Who leaves meanwhile is not asked for again, and who comes does not
	 * wait. */
	op_abort(a[1].op, RC_PEER_GONE);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT, "{\"good\"}|*|*|*|*|*|*");
	db_script_rows(f.db, "id|n", "|1");
	beat(&f, "good", "", &a[2]);
	loop_sim_advance(f.api.loop, HELD_MS - 1);
	CHECK_INT(a[2].status, 200);
	CHECK_INT(a[0].status, 0);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT, "{\"held\"}|*|*|*|*|*|*");
	db_script_rows(f.db, "id|n", "|1");
	loop_sim_advance(f.api.loop, 1);
	CHECK_INT(a[0].status, 200);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

static void
test_too_long(void)
{
	struct answer a;
	struct fixture f;

	fixture_init(&f);
	beat(&f, "ag-1",
	    "{\"ip_address\":\"0123456789012345678901234567890123456789"
	    "01234567890\"}",
	    &a);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a.status, 400);
	CHECK(strstr(a.body, "ip_address must be a text of 45") != NULL);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

/* Two statements in flight at most; what comes meanwhile waits and then goes
 * together. */
static void
test_two_in_flight(void)
{
	struct answer a[4];
	struct fixture f;

	fixture_init(&f);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT, "{\"a\"}|*|*|*|*|*|*");
	db_script_rows(f.db, "id|n", "|1");
	db_script_after(f.db, 50);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT, "{\"b\"}|*|*|*|*|*|*");
	db_script_rows(f.db, "id|n", "|1");
	db_script_after(f.db, 100);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT, "{\"c\",\"d\"}|*|*|*|*|*|*");
	db_script_rows(f.db, "id|n", "|2");
	beat(&f, "a", "", &a[0]);
	loop_sim_advance(f.api.loop, 1);
	beat(&f, "b", "", &a[1]);
	loop_sim_advance(f.api.loop, 1);
	beat(&f, "d", "", &a[2]);
	loop_sim_advance(f.api.loop, 1);
	beat(&f, "c", "", &a[3]);
	loop_sim_advance(f.api.loop, 1);
	CHECK_INT(db_script_in_flight(f.db), 2);
	CHECK_INT(a[0].status, 0);
	loop_sim_advance(f.api.loop, 50);
	CHECK_INT(a[0].status, 200);
	CHECK_INT(a[1].status, 0);
	CHECK_INT(a[2].status, 200);
	CHECK_INT(a[3].status, 200);
	loop_sim_advance(f.api.loop, 100);
	CHECK_INT(a[1].status, 200);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

/* Nothing was written: the same batch again, past what is held. */
static void
check_again(const char *sqlstate)
{
	struct answer a;
	struct fixture f;

	fixture_init(&f);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT, "{\"a\"}|{\"1\"}|*|*|*|*|*");
	db_script_error(f.db, sqlstate, "it waits for a lock", NULL);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT_PAST,
	    "{\"a\"}|{\"1\"}|*|*|*|*|*");
	db_script_rows(f.db, "id|n", "|1");
	beat(&f, "a", "{\"version\":\"1\"}", &a);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a.status, 200);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

static void
test_held_or_deadlock(void)
{
	check_again("55P03");
	check_again("40P01");
}

static void
test_database_away(void)
{
	struct answer a[2];
	struct fixture f;

	fixture_init(&f);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT, NULL);
	db_script_error(f.db, "", "server closed the connection", NULL);
	beat(&f, "a", "", &a[0]);
	beat(&f, "b", "", &a[1]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a[0].status, 503);
	CHECK_INT(a[1].status, 503);
	/* Never answered: the request does not wait for ever. */
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT, NULL);
	db_script_after(f.db, -1);
	beat(&f, "a", "", &a[0]);
	loop_sim_advance(f.api.loop, 31000);
	CHECK_INT(a[0].status, 503);
	fixture_fini(&f);
}

/* A client that leaves while its beat waits is not in the next batch; one
 * that leaves while it is in flight is not answered. */
static void
test_client_gone(void)
{
	struct answer a[4];
	struct fixture f;

	fixture_init(&f);
	for (int i = 0; i < 2; i++) {
		db_script_expect(f.db, Q_AGENTS_HEARTBEAT, NULL);
		db_script_rows(f.db, "id|n", "|1");
		db_script_after(f.db, 50);
	}
	beat(&f, "a", "", &a[0]);
	loop_sim_advance(f.api.loop, 1);
	beat(&f, "b", "", &a[1]);
	loop_sim_advance(f.api.loop, 1);
	beat(&f, "c", "", &a[2]);
	beat(&f, "d", "", &a[3]);
	loop_sim_advance(f.api.loop, 1);
	op_abort(a[0].op, RC_PEER_GONE);
	op_abort(a[2].op, RC_PEER_GONE);
	loop_sim_advance(f.api.loop, 0);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT, "{\"d\"}|*|*|*|*|*|*");
	db_script_rows(f.db, "id|n", "|1");
	loop_sim_advance(f.api.loop, 100);
	CHECK_INT(a[0].code, RC_PEER_GONE);
	CHECK_INT(a[1].status, 200);
	CHECK_INT(a[3].status, 200);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

static void
hang_up(void *arg)
{
	struct answer *a = arg;

	op_abort(a->op, RC_PEER_GONE);
}

/* The request goes in the turn that read it, before the batch is made. */
static void
test_client_gone_at_once(void)
{
	struct answer a[2];
	struct fixture f;

	fixture_init(&f);
	db_script_expect(f.db, Q_AGENTS_HEARTBEAT,
	    "{\"ag-1\",\"ag-2\"}|{\"1\",\"2\"}|*|*|*|*|*");
	db_script_rows(f.db, "id|n", "|1");
	db_script_expect(f.db, Q_AGENTS_KNOWN, "{\"ag-1\",\"ag-2\"}");
	db_script_rows(f.db, "id|is_retired|is_heard", "ag-2|f|t");
	beat(&f, "ag-2", "{\"version\":\"2\"}", &a[0]);
	beat(&f, "ag-1", "{\"version\":\"1\"}", &a[1]);
	loop_defer(f.api.loop, hang_up, &a[1]);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a[0].status, 200);
	CHECK_INT(a[1].code, RC_PEER_GONE);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

CHECK_MAIN(CHECK_ROW(test_coalesces), CHECK_ROW(test_wanted),
    CHECK_ROW(test_unknown_retired_and_held), CHECK_ROW(test_held_for_a_moment),
    CHECK_ROW(test_too_long), CHECK_ROW(test_two_in_flight),
    CHECK_ROW(test_held_or_deadlock), CHECK_ROW(test_database_away),
    CHECK_ROW(test_client_gone), CHECK_ROW(test_client_gone_at_once))
