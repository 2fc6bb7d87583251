/*
 * One job of a CA outside, on a CA that the test plays: what is committed
 * before anything leaves, and what becomes of every answer and of none.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pki/cert/cert.h"
#include "common/pki/cert/certbuild.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"
#include "tests/unit/worker/rig.h"

#define LIMIT_MS 4000
/* The database's time; what this host's clock says is of no account. */
#define NOW 1900000000

static struct {
	struct rig *r;
	/* the database */
	const char *state;   /* of the order, as the checkpoint says */
	const char *outcome; /* of issue_placing; NULL: not ours any more */
	int64_t placing_ms;  /* how long it takes */
	bool is_last;
	int placings;
	char aside[16], error[512], open[64], order[512];
	const char *order_id; /* of the checkpoint */
	const char *note;     /* likewise; NULL: none */
	int polled;           /* times, so it says */
	int64_t waited_ms;
	char serial[41], pem[4096];
	/* the CA */
	const char *open_why; /* NULL: opens */
	bool can_look_up;
	rc place_code;
	int64_t delay_ms; /* < 0: no answer */
	struct issuer_answer placed, looked, poll;
	int places, look_ups, polls, cancels;
	bool placed_first; /* committed before it was sent */
	bool is_waiting;
} t;

/* --- the CA --- */

struct fake {
	const struct issuer_order *order;
	struct timer *timer;
	const struct issuer_answer *answer;
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
	f->done(f->arg, f->answer);
}

static rc
fake_open(const struct issuer_ops *ops, const struct issuer_env *env,
    struct arena *a, const char *config, const struct issuer_order *order,
    void **out, const char **out_why)
{
	struct fake *f = arena_alloc(a, sizeof(*f));

	CHECK_STR(config, "{}");
	CHECK_STR(order->reference, "job-00");
	CHECK_INT(order->max_ttl_s, 0);
	if (t.open_why) {
		*out_why = t.open_why;
		return RC_INVALID;
	}
	f->order = order;
	f->timer = timer_new(t.r->loop, fake_answer, f);
	arena_defer(a, fake_end, f);
	*out = f;
	return RC_OK;
}

static int64_t
fake_limit_ms(const void *order)
{
	return LIMIT_MS;
}

static bool
fake_can_look_up(const void *order)
{
	return t.can_look_up;
}

static rc
fake_ask(struct fake *f, const struct issuer_answer *answer,
    issuer_answer_fn *done, void *arg)
{
	f->answer = answer;
	f->done = done;
	f->arg = arg;
	if (t.delay_ms >= 0)
		timer_arm(f->timer, t.delay_ms);
	return RC_OK;
}

static rc
fake_place(void *order, issuer_answer_fn *done, void *arg)
{
	t.places++;
	t.placed_first = t.placings == t.places;
	if (t.place_code != RC_OK)
		return t.place_code;
	return fake_ask(order, &t.placed, done, arg);
}

static rc
fake_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	t.look_ups++;
	return fake_ask(order, &t.looked, done, arg);
}

static rc
fake_cancel(void *order, const char *order_id, issuer_answer_fn *done,
    void *arg)
{
	t.cancels++;
	CHECK_STR(order_id, t.order_id);
	return fake_ask(order, &t.poll, done, arg);
}

static rc
fake_poll(void *order, const char *order_id, issuer_answer_fn *done, void *arg)
{
	t.polls++;
	CHECK_STR(((struct fake *)order)->order->note, t.note ? t.note : "");
	CHECK_STR(order_id, t.order_id);
	return fake_ask(order, &t.poll, done, arg);
}

static const struct issuer_ops fake = {
    .type = "Fake",
    .open = fake_open,
    .limit_ms = fake_limit_ms,
    .can_look_up = fake_can_look_up,
    .place = fake_place,
    .look_up = fake_look_up,
    .poll = fake_poll,
};
static struct issuer_ops cancelling; /* the same, and it cancels */
static const struct issuer_ops *const fakes[] = {&fake, NULL};
static const struct issuer_ops *const cancelling_fakes[] = {&cancelling, NULL};

/* --- the database --- */

static void
on_outside_job(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	char row[256];

	snprintf(row, sizeof(row),
	    "Fake|{}|%s|job-00|%s|%d|%" PRId64 "|%d|0|%s||%s|%d", t.state,
	    t.order_id, t.polled, t.waited_ms, NOW, t.note ? t.note : "",
	    t.is_last ? "t" : "f", NOW);
	db_script_rows(p,
	    "type|config|state|order_reference|order_id|polls|waited_ms|"
	    "placed_unix|max_ttl_seconds|note|previous_pem|is_last|now_unix",
	    row);
}

static void
on_placing(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	t.placings++;
	CHECK_STR(stmt->params[2], "job-00");
	db_script_rows(p, "outcome", t.outcome ? t.outcome : "");
	db_script_after(p, t.placing_ms);
}

static void
on_complete(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	CHECK_STR(stmt->params[0], "worker-1");
	CHECK_STR(stmt->params[1], "7");
	CHECK_STR(stmt->params[2], "job-00");
	snprintf(t.serial, sizeof(t.serial), "%s", stmt->params[3]);
	snprintf(t.pem, sizeof(t.pem), "%s", stmt->params[6]);
	db_script_rows(p, "job_id|agent_id|status", "job-00|agent-1|Completed");
}

static void
on_aside(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	/* {"x"}: one job. */
	snprintf(t.aside, sizeof(t.aside), "%.*s",
	    (int)strlen(stmt->params[3]) - 4, stmt->params[3] + 2);
	snprintf(t.error, sizeof(t.error), "%s", stmt->params[4]);
	snprintf(t.open, sizeof(t.open), "%s", stmt->params[5]);
	snprintf(t.order, sizeof(t.order), "%s",
	    stmt->params[7] ? stmt->params[7] : "");
	db_script_rows(p, "job_id|status", "");
}

static void
on_wait(void *owner, bool is_waiting)
{
	CHECK(t.is_waiting != is_waiting);
	t.is_waiting = is_waiting;
}

/* --- the rig --- */

/* What was asked for, signed by a CA of the test's. */
static const char *
good_pem(struct arena *a, int64_t not_after_unix)
{
	struct leaf_spec spec = {
	    .serial_hex = "5000000000000000000000000000000000000009",
	    .not_before_unix = NOW - 60,
	    .not_after_unix = not_after_unix,
	};
	struct certbuild *ca;
	struct span tbs, der;
	const char *why;
	EVP_PKEY *key;
	struct csr c;
	X509 *root;
	char *pem;

	CHECK_INT(csr_parse(a, rig_csr(), strlen(rig_csr()), &c, &why), RC_OK);
	spec.csr = &c;
	CHECK_INT(certbuild_root("CA", 0, 4000000000, &root, &key), RC_OK);
	CHECK_INT(certbuild_new(root, key, &ca), RC_OK);
	CHECK_INT(certbuild_tbs(ca, a, &spec, &tbs), RC_OK);
	CHECK_INT(certbuild_sign(ca, a, tbs, &der), RC_OK);
	CHECK_INT(cert_to_pem(a, der.p, der.len, &pem), RC_OK);
	certbuild_free(ca);
	X509_free(root);
	EVP_PKEY_free(key);
	return pem;
}

static struct issuer_answer
answer(enum issuer_verdict verdict, const char *pem, const char *words)
{
	return (struct issuer_answer){
	    .verdict = verdict,
	    .pem = pem,
	    .len = pem ? strlen(pem) : 0,
	    .words = words,
	};
}

static void
begin(void)
{
	struct rig *r = rig_new();

	memset(&t, 0, sizeof(t));
	t.r = r;
	t.state = "";
	t.order_id = "";
	t.outcome = "placing";
	t.delay_ms = 1000;
	t.placed = answer(ISSUER_RETRY, NULL, "no");
	t.looked = answer(ISSUER_NO_ORDER, NULL, "none");
	r->type = "Fake";
	r->env.issuers = fakes;
	r->env.issuer.max_waits.any_s = 600;
	(void)rig_add_job(r);
	db_script_on(r->pool, Q_ISSUE_OUTSIDE_JOB, on_outside_job, NULL);
	db_script_on(r->pool, Q_ISSUE_PLACING, on_placing, NULL);
	db_script_on(r->pool, Q_ISSUE_COMPLETE_OUTSIDE, on_complete, NULL);
	db_script_on(r->pool, Q_ISSUE_SET_ASIDE, on_aside, NULL);
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
}

static void
end(void)
{
	CHECK(db_script_is_done(t.r->pool));
	rig_free(t.r);
}

/* What became of the job, and whether an order may exist. */
static void
check_aside(const char *outcome, bool is_open, const char *words)
{
	CHECK_STR(t.aside, outcome);
	CHECK_STR(t.open, is_open ? "{\"job-00\"}" : "{}");
	if (!strstr(t.error, words))
		CHECK_STR(t.error, words);
	CHECK_STR(t.pem, "");
}

/* --- tests --- */

static void
test_issued(void)
{
	struct arena *a = arena_new();
	const char *pem = good_pem(a, NOW + 86400);

	begin();
	t.placed = answer(ISSUER_ISSUED, pem, "");
	run();
	CHECK_STR(t.pem, pem);
	CHECK_STR(t.serial, "5000000000000000000000000000000000000009");
	CHECK_STR(t.aside, "");
	CHECK_INT(t.places, 1);
	CHECK(t.placed_first);
	CHECK_STR(t.r->hint, "{\"agents\":[\"agent-1\"],"
			     "\"finished\":[\"job-00\"]}");
	end();
	arena_free(a);
}

static void
test_wrong_certificate(void)
{
	struct arena *a = arena_new();

	begin();
	t.placed = answer(ISSUER_ISSUED, good_pem(a, NOW - 1), "");
	run();
	check_aside("wrong", true, "it expired at");
	CHECK(strstr(t.error, "serial number is 50000") != NULL);
	end();
	begin();
	t.placed = answer(ISSUER_ISSUED, "<html>", "");
	run();
	check_aside("wrong", true, "there is no certificate in it");
	end();
	arena_free(a);
}

static void
test_refused(void)
{
	begin();
	run();
	check_aside("refuse", false, "the CA refused: no");
	CHECK_INT(t.look_ups, 0);
	CHECK_STR(t.order, "{\"wait_ms\":0}");
	end();
	/* It asked for so much time. */
	begin();
	t.placed.retry_after_s = 90;
	run();
	check_aside("refuse", false, "the CA refused: no");
	CHECK_STR(t.order, "{\"wait_ms\":90000}");
	end();
	/* For good: the same again would be refused again. */
	begin();
	t.placed = answer(ISSUER_REFUSED, NULL, "no such product");
	run();
	check_aside("fail", false, "the CA refused: no such product");
	end();
}

static void
test_unsure(void)
{
	begin();
	t.placed = answer(ISSUER_UNSURE, NULL, "it hung up");
	run();
	check_aside("uncertain", true, "order uncertain: it hung up. The CA");
	CHECK(strstr(t.error, "/api/v1/jobs/job-00/cancel") != NULL);
	CHECK_INT(t.places, 1);
	end();
	/* No answer at all. */
	begin();
	t.delay_ms = -1;
	run();
	check_aside("uncertain", true, "no answer came in time");
	end();
	/* With a look-up: the CA says that there is none. */
	begin();
	t.can_look_up = true;
	t.placed = answer(ISSUER_UNSURE, NULL, "it hung up");
	run();
	check_aside("retry", true, "has no such order");
	CHECK_INT(t.places, 1);
	CHECK_INT(t.look_ups, 1);
	end();
}

static void
test_open_order_is_adopted(void)
{
	struct arena *a = arena_new();

	begin();
	t.state = "placing";
	t.can_look_up = true;
	t.looked = answer(ISSUER_ISSUED, good_pem(a, NOW + 86400), "");
	/* Somebody wanted it cancelled, too late. */
	t.r->jobs[0].is_cancelled = true;
	run();
	CHECK(t.pem[0] != '\0');
	CHECK_INT(t.places, 0);
	CHECK_INT(t.placings, 0);
	end();
	arena_free(a);
}

static void
test_open_order_that_is_none(void)
{
	begin();
	t.state = "placing";
	t.can_look_up = true;
	run();
	CHECK_INT(t.look_ups, 1);
	CHECK_INT(t.places, 1);
	CHECK(t.placed_first);
	check_aside("refuse", false, "no");
	end();
	begin();
	t.state = "placing";
	t.can_look_up = true;
	t.r->jobs[0].is_cancelled = true;
	run();
	CHECK_INT(t.places, 0);
	CHECK_STR(t.aside, "cancel");
	end();
}

static void
test_open_order_that_nobody_knows(void)
{
	begin();
	t.state = "placing";
	run();
	check_aside("uncertain", true, "has no look-up");
	CHECK_INT(t.places, 0);
	end();
	begin();
	t.state = "placing";
	t.can_look_up = true;
	t.looked = answer(ISSUER_RETRY, NULL, "closed");
	run();
	check_aside("retry", true, "could not be looked up: closed");
	CHECK_INT(t.places, 0);
	end();
	/* It may not simply fail. */
	begin();
	t.state = "placing";
	t.can_look_up = true;
	t.is_last = true;
	t.looked = answer(ISSUER_RETRY, NULL, "closed");
	run();
	check_aside("uncertain", true, "closed");
	end();
	begin();
	t.state = "placing";
	t.is_last = true;
	t.open_why = "sign_script is missing";
	run();
	check_aside("uncertain", true, "sign_script is missing");
	end();
}

/* The milliseconds until the order is asked for again, whose id and polls are
 * those. */
static int64_t
order_wait_ms(const char *order_id, int polls)
{
	char form[128];

	snprintf(form, sizeof(form),
	    "{\"order_id\":\"%s\",\"polls\":%d,\"wait_ms\":", order_id, polls);
	if (strncmp(t.order, form, strlen(form)) != 0)
		CHECK_STR(t.order, form);
	return strtoll(t.order + strlen(form), NULL, 10);
}

static void
check_about(int64_t ms, int64_t about_ms)
{
	CHECK(ms >= about_ms - about_ms / 5 && ms <= about_ms + about_ms / 5);
}

static struct issuer_answer
pending(const char *order_id, int64_t retry_after_s)
{
	struct issuer_answer an = answer(ISSUER_PENDING, NULL, "processing");

	an.order_id = order_id;
	an.retry_after_s = retry_after_s;
	return an;
}

static void
test_pending(void)
{
	begin();
	t.placed = pending("4711", 0);
	run();
	check_aside("pending", true,
	    "pending: the CA has order 4711, and works on it: processing");
	check_about(order_wait_ms("4711", 0), 5000);
	CHECK_STR(t.r->hint, "");
	end();
	begin();
	t.placed = pending("4711", 60);
	run();
	CHECK_INT(order_wait_ms("4711", 0), 60000);
	end();
	/* Whoever placed it did not come back: it is adopted. */
	begin();
	t.state = "placing";
	t.can_look_up = true;
	t.looked = pending("4711", 0);
	run();
	check_aside("pending", true, "order 4711");
	check_about(order_wait_ms("4711", 0), 5000);
	CHECK_INT(t.places, 0);
	end();
}

/* An order that the CA has, asked for so often since so long. */
static void
begin_ordered(int polls, int64_t waited_ms)
{
	begin();
	t.state = "ordered";
	t.order_id = "4711";
	t.polled = polls;
	t.waited_ms = waited_ms;
	t.poll = pending("4711", 0);
}

/* A connector with steps of its own says when the next is due, and what it
 * needs to know then. */
static void
test_own_steps(void)
{
	begin();
	t.placed = pending("4711", 0);
	t.placed.wait_ms = 1500;
	t.placed.note = "p1:20";
	run();
	CHECK_STR(t.order, "{\"order_id\":\"4711\",\"polls\":0,"
			   "\"note\":\"p1:20\",\"wait_ms\":1500}");
	end();
	/* No sooner than the CA asked for. */
	begin();
	t.placed = pending("4711", 60);
	t.placed.wait_ms = 1500;
	run();
	CHECK_INT(order_wait_ms("4711", 0), 60000);
	end();
	/* Past its limit it is asked once an hour, whosever step is next; what
	 * was noted stays. */
	begin_ordered(3, 700000);
	t.note = "p1:20";
	t.poll = pending("4711", 0);
	t.poll.wait_ms = 1500;
	run();
	check_about(order_wait_ms("4711", 4), 3600000);
	end();
	/* Of another order nothing was noted. */
	begin();
	t.state = "placing";
	t.note = "p1:20";
	t.can_look_up = true;
	t.looked = pending("4711", 0);
	run();
	CHECK(strstr(t.order, "\"note\":\"\"") != NULL);
	end();
}

static void
test_poll_goes_on(void)
{
	static const int64_t waits_ms[] = {15000, 45000, 120000, 300000,
	    300000};

	for (int i = 0; i < 5; i++) {
		begin_ordered(i, 10000);
		run();
		check_aside("pending", true, "processing");
		check_about(order_wait_ms("4711", i + 1), waits_ms[i]);
		CHECK_INT(t.polls, 1);
		CHECK_INT(t.places + t.look_ups + t.placings, 0);
		end();
	}
	/* The last one of its time, and then once an hour. */
	begin_ordered(3, 580000);
	run();
	CHECK_INT(order_wait_ms("4711", 4), 20000);
	end();
	begin_ordered(8, 600000);
	run();
	check_aside("pending", true, "StillPending: the CA has order 4711");
	check_about(order_wait_ms("4711", 9), 3600000);
	end();
}

/* From the order to its limit and past it: what is waited is what the clock
 * moves by, and the order's id stays, whoever asks. */
static void
test_until_its_limit(int64_t limit_s, bool asks_for_time)
{
	static const int64_t plan_ms[] = {5000, 15000, 45000, 120000, 300000};
	int64_t waited_ms = 0, wait_ms, about_ms, left_ms;
	int polls = 0;

	begin();
	t.placed = pending("4711", 0);
	t.r->env.issuer.max_waits.any_s = limit_s;
	run();
	wait_ms = order_wait_ms("4711", 0);
	end();
	while (waited_ms + wait_ms < limit_s * 1000) {
		about_ms = plan_ms[polls < 4 ? polls : 4];
		check_about(wait_ms, about_ms);
		waited_ms += wait_ms;
		left_ms = limit_s * 1000 - waited_ms;
		begin_ordered(polls, waited_ms);
		t.r->env.issuer.max_waits.any_s = limit_s;
		run();
		check_aside("pending", true, "pending: the CA has order 4711");
		wait_ms = order_wait_ms("4711", ++polls);
		CHECK(wait_ms <= left_ms);
		end();
	}
	CHECK_INT(waited_ms + wait_ms, limit_s * 1000);
	/* It is over: back in the queue for a later time, with its id. */
	for (int i = 0; i < 3; i++) {
		waited_ms += wait_ms;
		begin_ordered(polls, waited_ms);
		t.r->env.issuer.max_waits.any_s = limit_s;
		if (asks_for_time)
			t.poll = pending("4711", 7200);
		run();
		check_aside("pending", true,
		    "StillPending: the CA has order 4711");
		wait_ms = order_wait_ms("4711", ++polls);
		if (asks_for_time)
			CHECK_INT(wait_ms, 7200000);
		else
			check_about(wait_ms, 3600000);
		end();
	}
}

static void
test_limits(void)
{
	test_until_its_limit(600, false);
	test_until_its_limit(600, true);
	test_until_its_limit(30, false);
	test_until_its_limit(86400, false);
}

static void
test_poll_ends(void)
{
	struct arena *a = arena_new();
	const char *pem = good_pem(a, NOW + 86400);

	begin_ordered(1, 6000);
	t.poll = answer(ISSUER_ISSUED, pem, "");
	run();
	CHECK_STR(t.pem, pem);
	CHECK_INT(t.places + t.look_ups + t.placings, 0);
	end();
	begin_ordered(1, 6000);
	t.poll = answer(ISSUER_REFUSED, NULL, "rejected");
	run();
	check_aside("fail", false,
	    "the CA ended order 4711 without a certificate: rejected");
	end();
	/* Tried again by another order, for this one has ended. */
	begin_ordered(1, 6000);
	t.poll = answer(ISSUER_ENDED, NULL, "Connection refused");
	t.poll.retry_after_s = 90;
	run();
	check_aside("ended", false,
	    "the CA ended order 4711 without a certificate: Connection");
	CHECK_STR(t.order, "{\"wait_ms\":90000}");
	CHECK_INT(t.places + t.look_ups + t.placings, 0);
	end();
	begin_ordered(1, 6000);
	t.poll = answer(ISSUER_ISSUED, good_pem(a, NOW - 1), "");
	run();
	check_aside("wrong", true, "it expired at");
	end();
	arena_free(a);
}

/* What the CA does not say never costs the order, nor an attempt. */
static void
test_poll_is_not_answered(void)
{
	begin_ordered(1, 6000);
	t.is_last = true;
	t.poll = answer(ISSUER_RETRY, NULL, "HTTP 503");
	t.poll.retry_after_s = 100;
	run();
	check_aside("silent", true, "did not say what became of it: HTTP 503");
	CHECK_INT(order_wait_ms("4711", 2), 100000);
	end();
	begin_ordered(0, 6000);
	t.delay_ms = -1;
	run();
	check_aside("silent", true, "no answer came in time");
	check_about(order_wait_ms("4711", 1), 15000);
	end();
	begin_ordered(0, 6000);
	t.is_last = true;
	t.open_why = "api_key is missing";
	run();
	check_aside("silent", true, "api_key is missing");
	CHECK_INT(t.polls, 0);
	check_about(order_wait_ms("4711", 0), 5000);
	end();
}

static void
test_forgotten_order(void)
{
	/* Nobody can say what became of it. */
	begin_ordered(1, 6000);
	t.poll = answer(ISSUER_NO_ORDER, NULL, "HTTP 404");
	run();
	check_aside("uncertain", true, "does not know its order 4711");
	CHECK_INT(t.places, 0);
	end();
	/* It is there under our own reference. */
	begin_ordered(1, 6000);
	t.can_look_up = true;
	t.poll = answer(ISSUER_NO_ORDER, NULL, "HTTP 404");
	t.looked = pending("4712", 0);
	run();
	check_aside("pending", true, "order 4712");
	CHECK_INT(t.places, 0);
	end();
	/* A person is to decide: it is not asked for by its id. */
	begin();
	t.state = "uncertain";
	t.order_id = "4711";
	run();
	check_aside("uncertain", true, "has no look-up");
	CHECK_INT(t.polls, 0);
	end();
}

/* Nobody wants it any more: the order is followed to its end. */
static void
begin_cancelled(struct issuer_answer says)
{
	begin_ordered(1, 6000);
	cancelling = fake;
	cancelling.cancel = fake_cancel;
	t.r->env.issuers = cancelling_fakes;
	t.r->jobs[0].is_cancelled = true;
	t.poll = says;
}

static void
test_cancelled_order(void)
{
	struct arena *a = arena_new();
	const char *pem = good_pem(a, NOW + 86400);

	begin_cancelled(answer(ISSUER_REFUSED, NULL, "canceled"));
	run();
	check_aside("cancel", false, "cancelled, and order 4711 at the CA");
	CHECK_INT(t.cancels, 1);
	CHECK_INT(t.polls, 0);
	end();
	/* It had come to nothing by itself. */
	begin_cancelled(answer(ISSUER_ENDED, NULL, "invalid"));
	run();
	check_aside("cancel", false, "cancelled, and order 4711 at the CA");
	end();
	/* Too late. */
	begin_cancelled(answer(ISSUER_ISSUED, pem, ""));
	run();
	CHECK_STR(t.pem, pem);
	end();
	/* It has not ended, as far as is known: asked again. */
	begin_cancelled(answer(ISSUER_RETRY, NULL, "HTTP 503"));
	run();
	check_aside("silent", true, "HTTP 503");
	end();
	begin_cancelled(pending("4711", 0));
	run();
	check_aside("pending", true, "processing");
	end();
	/* A CA whose orders cannot be cancelled: who asked for it is told. */
	begin_ordered(1, 6000);
	t.r->jobs[0].is_cancelled = true;
	run();
	check_aside("cancel", true, "the CA has order 4711 still");
	CHECK_INT(t.polls, 1);
	end();
	/* But for what it has issued by now. */
	begin_ordered(1, 6000);
	t.r->jobs[0].is_cancelled = true;
	t.poll = answer(ISSUER_ISSUED, pem, "");
	run();
	CHECK_STR(t.pem, pem);
	end();
	arena_free(a);
}

static void
test_nothing_leaves(void)
{
	begin();
	t.r->jobs[0].is_cancelled = true;
	run();
	check_aside("cancel", false, "cancelled before it was ordered");
	CHECK_INT(t.placings, 0);
	end();
	begin();
	t.outcome = "cancelled";
	run();
	check_aside("cancel", false, "cancelled before it was ordered");
	CHECK_INT(t.places, 0);
	end();
	begin();
	t.outcome = "held";
	run();
	check_aside("held", false,
	    "given back before it was ordered: somebody's open transaction "
	    "held its row");
	CHECK_INT(t.places, 0);
	end();
	begin();
	t.outcome = NULL; /* the lease is another's */
	run();
	CHECK_INT(t.places, 0);
	CHECK_STR(t.aside, "");
	end();
	begin();
	t.placing_ms = 2500; /* too late to send it */
	run();
	CHECK_INT(t.places, 0);
	check_aside("release", false, "");
	end();
	begin();
	t.open_why = "sign_script is missing";
	run();
	check_aside("retry", false, "cannot be used: sign_script is missing");
	CHECK_INT(t.placings, 0);
	end();
	begin();
	t.place_code = RC_IO;
	run();
	check_aside("release", false, "could not be sent: ");
	end();
	begin();
	t.r->jobs[0].csr_pem = "rubbish";
	run();
	check_aside("fail", false, "the CSR is not usable");
	end();
}

/* Trust ends while the intent is on its way: nothing leaves any more. */
static void
test_lost_trust(void)
{
	struct grant g = {.lease_id = 7, .issuer_id = "iss-1"};
	struct slot_end slot_end;

	begin();
	slot_end = rig_end(t.r);
	slot_end.on_wait = on_wait;
	t.placing_ms = 1900;
	t.r->is_down = true;
	(void)issue_start(&t.r->env, &g, &slot_end);
	rig_run_until_ended(t.r);
	CHECK_INT(t.r->code, RC_LEASE_LOST);
	CHECK_INT(t.placings, 1);
	CHECK_INT(t.places, 0);
	CHECK_STR(t.aside, "");
	rig_free(t.r);
}

CHECK_MAIN(CHECK_ROW(test_issued), CHECK_ROW(test_wrong_certificate),
    CHECK_ROW(test_refused), CHECK_ROW(test_unsure),
    CHECK_ROW(test_open_order_is_adopted),
    CHECK_ROW(test_open_order_that_is_none),
    CHECK_ROW(test_open_order_that_nobody_knows), CHECK_ROW(test_pending),
    CHECK_ROW(test_own_steps), CHECK_ROW(test_poll_goes_on),
    CHECK_ROW(test_limits), CHECK_ROW(test_poll_ends),
    CHECK_ROW(test_poll_is_not_answered), CHECK_ROW(test_forgotten_order),
    CHECK_ROW(test_cancelled_order), CHECK_ROW(test_nothing_leaves),
    CHECK_ROW(test_lost_trust))
