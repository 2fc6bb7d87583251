#include "apiserver/live/park.h"

#include "tests/unit/apiserver/fixture.h"
#include "tests/unit/check.h"

/* A handler that waits up to 10 s for its agent. */
struct wait {
	struct watch *watch;
	int looks;
	bool was_woken;
};

static int nlooks;   /* of the last op that answered */
static bool is_late; /* an event comes between look and park */

static op_step wait_look;

static enum op_next
wait_start(struct op *op)
{
	struct wait *w = op_state(op, sizeof(*w));

	w->watch =
	    park_watch(req_api(op)->park, op, PARK_AGENT, req_param(op, "id"));
	return wait_look(op);
}

static enum op_next
wait_look(struct op *op)
{
	struct wait *w = op_state(op, sizeof(*w));

	nlooks = ++w->looks;
	if (is_late && w->looks == 1)
		park_wake(req_api(op)->park, PARK_AGENT, req_param(op, "id"));
	if (w->looks == 1)
		return park_wait(w->watch, 10000, wait_look);
	return reply_status(op, 200, "status",
	    op_woken(op) || is_late ? "woken" : "late");
}

static const struct route route = {"GET", "/api/v1/agents/{id}/work",
    "agent.job.poll", wait_start, .own = {.access = ROUTE_AGENT}};

static void
wait_for(struct fixture *f, const char *id, struct answer *answer)
{
	char target[128];

	(void)snprintf(target, sizeof(target), "/api/v1/agents/%s/work", id);
	fixture_request(f, &route, "GET", target, "", answer);
	loop_sim_advance(f->api.loop, 0);
}

static void
on_event(struct fixture *f, const char *body)
{
	park_on_event(f->api.park, body, strlen(body));
	loop_sim_advance(f->api.loop, 0);
}

static void
test_bus(void)
{
	struct answer a, b;
	struct fixture f;

	fixture_init(&f);
	is_late = false;
	wait_for(&f, "ag-1", &a);
	wait_for(&f, "ag-2", &b);
	CHECK_INT(park_count(f.api.park), 2);
	on_event(&f, "{\"agents\":[\"ag-3\"],\"finished\":[\"ag-1\"]}");
	on_event(&f, "{\"agents\":5}");
	on_event(&f, "not json");
	CHECK_INT(a.status, 0);
	on_event(&f, "{\"jobs\":1,\"agents\":[\"ag-2\",\"ag-1\"]}");
	CHECK_INT(a.status, 200);
	CHECK_INT(b.status, 200);
	CHECK_STR(a.body, "{\"status\":\"woken\"}\n");
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(park_count(f.api.park), 0);
	fixture_fini(&f);
}

/* The fifth of one agent may not wait; another agent's may. */
static void
test_crowd(void)
{
	struct fixture f;
	struct answer crowd[4] = {{0}}, other = {0};

	fixture_init(&f);
	for (size_t i = 0; i < ARRAY_LEN(crowd); i++)
		wait_for(&f, "ag-1", &crowd[i]);
	wait_for(&f, "ag-2", &other);
	CHECK_INT(park_count(f.api.park), 5);
	CHECK(park_watch(f.api.park, NULL, PARK_AGENT, "ag-1") == NULL);
	CHECK_INT(park_count(f.api.park), 5);
	on_event(&f, "{\"agents\":[\"ag-1\",\"ag-2\"]}");
	for (size_t i = 0; i < ARRAY_LEN(crowd); i++)
		CHECK_INT(crowd[i].status, 200);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(park_count(f.api.park), 0);
	fixture_fini(&f);
}

/* The bus may lose all: one statement a second asks for everybody. */
static void
test_look(void)
{
	struct answer a, b;
	struct fixture f;

	fixture_init(&f);
	is_late = false;
	wait_for(&f, "ag-1", &a);
	wait_for(&f, "ag-2", &b);
	db_script_expect(f.db, Q_AGENTS_PARKED_WITH_WORK, "*ag-*,*ag-*");
	db_script_rows(f.db, "id", "ag-2");
	loop_sim_advance(f.api.loop, 1000);
	CHECK_INT(a.status, 0);
	CHECK_INT(b.status, 200);
	CHECK(db_script_is_done(f.db));
	op_abort(a.op, RC_PEER_GONE);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(park_count(f.api.park), 0);
	/* Nobody waits: nobody asks. */
	loop_sim_advance(f.api.loop, 5000);
	CHECK(db_script_is_done(f.db));
	fixture_fini(&f);
}

static void
answer_none(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	db_script_rows(p, "id", "");
}

static void
test_time_out(void)
{
	struct answer a;
	struct fixture f;

	fixture_init(&f);
	is_late = false;
	db_script_on(f.db, Q_AGENTS_PARKED_WITH_WORK, answer_none, NULL);
	wait_for(&f, "ag-1", &a);
	loop_sim_advance(f.api.loop, 9999);
	CHECK_INT(a.status, 0);
	loop_sim_advance(f.api.loop, 1);
	CHECK_INT(a.status, 200);
	CHECK_STR(a.body, "{\"status\":\"late\"}\n");
	fixture_fini(&f);
}

/* What happens between the look and the wait is not slept through. */
static void
test_between(void)
{
	struct answer a;
	struct fixture f;

	fixture_init(&f);
	is_late = true;
	wait_for(&f, "ag-1", &a);
	CHECK_INT(a.status, 200);
	CHECK_INT(nlooks, 2);
	fixture_fini(&f);
}

/* --- a wait that is over, and another after it --- */

static op_step late_parks;
static op_step late_asked;
static op_step late_again;

static enum op_next
late_start(struct op *op)
{
	struct wait *w = op_state(op, sizeof(*w));

	w->watch =
	    park_watch(req_api(op)->park, op, PARK_AGENT, req_param(op, "id"));
	return park_wait(w->watch, 2000, late_parks);
}

static enum op_next
late_parks(struct op *op)
{
	return op_park(op, 3000, late_asked);
}

static enum op_next
late_asked(struct op *op)
{
	struct wait *w = op_state(op, sizeof(*w));

	w->was_woken = op_woken(op);
	return park_wait(w->watch, 4000, late_again);
}

static enum op_next
late_again(struct op *op)
{
	const struct wait *w = op_state(op, sizeof(*w));

	return reply_status(op, 200, "status",
	    w->was_woken ? "woken too soon" : "in turn");
}

/* A wake that comes when the wait's time is over, and the op waits for an
 * answer already, does not end that: it is kept for the next wait. */
static void
test_late_wake(void)
{
	static const struct route late = {"GET", "/api/v1/agents/{id}/work",
	    "agent.job.poll", late_start, .own = {.access = ROUTE_AGENT}};
	struct answer a;
	struct fixture f;

	fixture_init(&f);
	db_script_on(f.db, Q_AGENTS_PARKED_WITH_WORK, answer_none, NULL);
	fixture_request(&f, &late, "GET", "/api/v1/agents/ag-1/work", "", &a);
	loop_sim_advance(f.api.loop, 2500);
	on_event(&f, "{\"agents\":[\"ag-1\"]}");
	CHECK_INT(a.status, 0);
	loop_sim_advance(f.api.loop, 2500);
	CHECK_INT(a.status, 200);
	CHECK_STR(a.body, "{\"status\":\"in turn\"}\n");
	fixture_fini(&f);
}

static void
test_stop(void)
{
	struct answer a, b;
	struct fixture f;

	fixture_init(&f);
	is_late = false;
	wait_for(&f, "ag-1", &a);
	park_stop(f.api.park);
	loop_sim_advance(f.api.loop, 0);
	CHECK_INT(a.status, 200);
	wait_for(&f, "ag-1", &b);
	CHECK_INT(b.status, 503);
	fixture_fini(&f);
}

CHECK_MAIN(CHECK_ROW(test_bus), CHECK_ROW(test_crowd), CHECK_ROW(test_look),
    CHECK_ROW(test_time_out), CHECK_ROW(test_between),
    CHECK_ROW(test_late_wake), CHECK_ROW(test_stop))
