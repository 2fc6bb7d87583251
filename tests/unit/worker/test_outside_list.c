/*
 * Orders that a CA outside has are asked for by one list: what it shows as
 * pending waits, all else is asked for by itself, and no answer nor its absence
 * loses any of them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"
#include "tests/unit/worker/rig.h"

#define ORDERS 4

static struct {
	struct rig *r;
	int64_t waited_ms;
	bool is_gone[ORDERS]; /* its row is no order of the lease any more */
	/* the CA */
	rc open_code, list_code;
	bool is_pending[ORDERS]; /* as its list shows it */
	struct issuer_answer answer;
	int64_t delay_ms; /* < 0: no answer */
	int lists, polls;
	bool is_waiting;
} t;

/* --- the CA --- */

struct fake {
	struct timer *timer;
	issuer_answer_fn *done;
	void *arg;
};

static void
fake_end(void *arg)
{
	timer_free(((struct fake *)arg)->timer);
}

static void
fake_answer(void *arg)
{
	struct fake *f = arg;

	CHECK(t.is_waiting);
	f->done(f->arg, &t.answer);
}

static rc
fake_open(const struct issuer_ops *ops, const struct issuer_env *env,
    struct arena *a, const char *config, const struct issuer_order *order,
    void **out, const char **out_why)
{
	struct fake *f = arena_alloc(a, sizeof(*f));

	CHECK(order == NULL);
	if (t.open_code != RC_OK) {
		*out_why = "api_key is missing";
		return t.open_code;
	}
	f->timer = timer_new(t.r->loop, fake_answer, f);
	arena_defer(a, fake_end, f);
	*out = f;
	return RC_OK;
}

static rc
fake_list(void *call, const struct issuer_list *asked, issuer_answer_fn *done,
    void *arg)
{
	struct fake *f = call;

	t.lists++;
	if (t.list_code != RC_OK)
		return t.list_code;
	for (size_t i = 0; i < asked->n; i++) {
		size_t at = (size_t)strtoul(asked->order_ids[i], NULL, 10);

		CHECK(!asked->is_pending[i]);
		asked->is_pending[i] = t.is_pending[at];
	}
	f->done = done;
	f->arg = arg;
	if (t.delay_ms >= 0)
		timer_arm(f->timer, t.delay_ms);
	return RC_OK;
}

static rc
fake_poll(void *order, const char *order_id, issuer_answer_fn *done, void *arg)
{
	t.polls++;
	return RC_IO;
}

static const struct issuer_ops fake = {
    .type = "Fake",
    .open = fake_open,
    .poll = fake_poll,
    .list = fake_list,
};
static const struct issuer_ops *const fakes[] = {&fake, NULL};

/* --- the database --- */

/* Its orders are "0", "1", ...; each was asked for twice. */
static void
on_orders(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct buf b;
	char row[128];

	CHECK_STR(stmt->params[0], "worker-1");
	CHECK_STR(stmt->params[1], "7");
	buf_init(&b, 0);
	for (size_t i = 0; i < t.r->njobs; i++) {
		if (t.is_gone[i])
			continue;
		snprintf(row, sizeof(row), "%s%s|%zu|2|%" PRId64,
		    b.len > 0 ? "\n" : "", t.r->jobs[i].id, i, t.waited_ms);
		buf_add(&b, row, strlen(row));
	}
	db_script_rows(p, "id|order_id|polls|waited_ms", buf_cstr(&b));
	buf_fini(&b);
}

static void
on_wait(void *owner, bool is_waiting)
{
	CHECK(t.is_waiting != is_waiting);
	t.is_waiting = is_waiting;
}

/* --- the rig --- */

static void
begin(void)
{
	struct rig *r = rig_new();

	memset(&t, 0, sizeof(t));
	t.r = r;
	t.waited_ms = 20000;
	t.delay_ms = 1000;
	t.answer = (struct issuer_answer){
	    .verdict = ISSUER_DONE,
	    .words = "",
	};
	r->type = "Fake";
	r->config = "{}";
	r->env.issuers = fakes;
	r->env.issuer.max_waits.any_s = 600;
	for (int i = 0; i < ORDERS; i++)
		(void)rig_add_job(r);
	db_script_on(r->pool, Q_ISSUE_OUTSIDE_ORDERS, on_orders, NULL);
}

static void
run(void)
{
	struct grant g = {.lease_id = 7, .issuer_id = "iss-1"};
	struct slot_end end = rig_end(t.r);

	end.on_wait = on_wait;
	(void)issue_start(&t.r->env, &g, &end);
	rig_run_until_ended(t.r);
	CHECK_INT(t.r->code, RC_OK);
	CHECK(!t.is_waiting);
	CHECK_INT(t.polls, 0);
}

static void
end(void)
{
	CHECK(db_script_is_done(t.r->pool));
	rig_free(t.r);
}

static void
check(size_t i, const char *outcome, const char *order)
{
	CHECK_STR(t.r->jobs[i].outcome, outcome);
	CHECK_STR(t.r->jobs[i].order, order);
}

/* Its third time, a tenth later, at a multiple that all have. */
static const char *
waits(size_t i)
{
	static char text[128];

	snprintf(text, sizeof(text),
	    "{\"order_id\":\"%zu\",\"polls\":3,\"wait_ms\":132000,"
	    "\"grid_ms\":24000,\"together\":true}",
	    i);
	return text;
}

/* --- tests --- */

static void
test_pending_wait_and_others_go_alone(void)
{
	begin();
	t.is_pending[0] = t.is_pending[2] = true;
	run();
	CHECK_INT(t.lists, 1);
	check(0, "pending", waits(0));
	CHECK_STR(t.r->jobs[0].error,
	    "pending: the CA has order 0, and works on it; it is asked again");
	check(1, "alone", "");
	CHECK_STR(t.r->jobs[1].error, "");
	check(2, "pending", waits(2));
	check(3, "alone", "");
	/* They are due now, and the leader hears of it. */
	CHECK_STR(t.r->hint, "{\"agents\":[],\"finished\":[],\"jobs\":2,"
			     "\"issuers\":[\"iss-1\"]}");
	end();
}

static void
test_past_its_limit(void)
{
	begin();
	t.waited_ms = 600000;
	t.is_pending[1] = true;
	run();
	check(1, "pending",
	    "{\"order_id\":\"1\",\"polls\":3,\"wait_ms\":3960000,"
	    "\"grid_ms\":720000,\"together\":true}");
	CHECK(strncmp(t.r->jobs[1].error, "StillPending: ", 14) == 0);
	end();
	/* The last time of its plan is when the limit is. */
	begin();
	t.waited_ms = 590000;
	t.is_pending[1] = true;
	run();
	check(1, "pending",
	    "{\"order_id\":\"1\",\"polls\":3,\"wait_ms\":10000,"
	    "\"together\":true}");
	end();
}

/* Whom it tells to wait it is not asked one by one. */
static void
test_told_to_wait(void)
{
	begin();
	t.is_pending[0] = true; /* of a page before */
	t.answer = (struct issuer_answer){
	    .verdict = ISSUER_RETRY,
	    .words = "HTTP 429",
	    .retry_after_s = 7000,
	};
	run();
	check(0, "pending", waits(0));
	for (size_t i = 1; i < ORDERS; i++) {
		char text[128];

		snprintf(text, sizeof(text),
		    "{\"order_id\":\"%zu\",\"polls\":3,\"wait_ms\":7000000,"
		    "\"together\":true}",
		    i);
		check(i, "silent", text);
		CHECK(strstr(t.r->jobs[i].error, "HTTP 429") != NULL);
	}
	CHECK_STR(t.r->hint, "");
	end();
}

static void
check_all_alone(void)
{
	for (size_t i = 0; i < ORDERS; i++)
		check(i, "alone", "");
}

static void
test_not_listed(void)
{
	begin();
	t.answer = (struct issuer_answer){
	    .verdict = ISSUER_UNSURE,
	    .words = "the list of its orders is no list",
	};
	run();
	check_all_alone();
	end();
	begin();
	t.delay_ms = -1;
	run();
	check_all_alone();
	end();
}

static void
test_cannot_be_asked(void)
{
	/* Its configuration is wrong: as of a poll. */
	begin();
	t.open_code = RC_INVALID;
	run();
	for (size_t i = 0; i < ORDERS; i++)
		check(i, "silent", waits(i));
	CHECK(strstr(t.r->jobs[0].error, "api_key is missing") != NULL);
	CHECK_INT(t.lists, 0);
	end();
	/* It is this host that can't. */
	begin();
	t.open_code = RC_IO;
	run();
	for (size_t i = 0; i < ORDERS; i++)
		check(i, "release", "");
	end();
	begin();
	t.list_code = RC_IO;
	run();
	for (size_t i = 0; i < ORDERS; i++)
		check(i, "release", "");
	end();
}

/* What was cancelled meanwhile, or is no order any more. */
static void
test_not_of_the_list(void)
{
	begin();
	t.is_pending[0] = t.is_pending[1] = t.is_pending[2] = true;
	t.r->jobs[1].is_cancelled = true;
	t.is_gone[2] = true;
	run();
	check(0, "pending", waits(0));
	check(1, "alone", "");
	check(2, "alone", "");
	end();
	begin();
	for (size_t i = 0; i < ORDERS; i++)
		t.is_gone[i] = true;
	run();
	check_all_alone();
	CHECK_INT(t.lists, 0);
	end();
}

CHECK_MAIN(CHECK_ROW(test_pending_wait_and_others_go_alone),
    CHECK_ROW(test_past_its_limit), CHECK_ROW(test_told_to_wait),
    CHECK_ROW(test_not_listed), CHECK_ROW(test_cannot_be_asked),
    CHECK_ROW(test_not_of_the_list))
