/*
 * One job of a CA outside, on a CA that the test plays: what is committed
 * before anything leaves, and what becomes of every answer and of none.
 */
#include <stdio.h>
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
	char aside[16], error[512], open[64];
	char serial[41], pem[4096];
	/* the CA */
	const char *open_why; /* NULL: opens */
	bool can_look_up;
	rc place_code;
	int64_t delay_ms; /* < 0: no answer */
	struct issuer_answer placed, looked;
	int places, look_ups;
	bool placed_first; /* committed before it was sent */
	bool is_waiting;
} t;

/* --- the CA --- */

struct fake {
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
fake_open(const struct issuer_env *env, struct arena *a, const char *config,
    const struct issuer_order *order, void **out, const char **out_why)
{
	struct fake *f = arena_alloc(a, sizeof(*f));

	CHECK_STR(config, "{}");
	CHECK_STR(order->reference, "job-00");
	CHECK_INT(order->max_ttl_s, 0);
	if (t.open_why) {
		*out_why = t.open_why;
		return RC_INVALID;
	}
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

static const struct issuer_ops fake = {
    .type = "Fake",
    .open = fake_open,
    .limit_ms = fake_limit_ms,
    .can_look_up = fake_can_look_up,
    .place = fake_place,
    .look_up = fake_look_up,
};
static const struct issuer_ops *const fakes[] = {&fake, NULL};

/* --- the database --- */

static void
on_outside_job(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	char row[256];

	snprintf(row, sizeof(row), "Fake|{}|%s|job-00|0|%s|%d", t.state,
	    t.is_last ? "t" : "f", NOW);
	db_script_rows(p,
	    "type|config|state|order_reference|max_ttl_seconds|is_last|"
	    "now_unix",
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
	t.outcome = "placing";
	t.delay_ms = 1000;
	t.placed = answer(ISSUER_REFUSED, NULL, "no");
	t.looked = answer(ISSUER_NO_ORDER, NULL, "none");
	r->type = "Fake";
	r->env.issuers = fakes;
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
	t.looked = answer(ISSUER_UNREACHABLE, NULL, "closed");
	run();
	check_aside("retry", true, "could not be looked up: closed");
	CHECK_INT(t.places, 0);
	end();
	/* It may not simply fail. */
	begin();
	t.state = "placing";
	t.can_look_up = true;
	t.is_last = true;
	t.looked = answer(ISSUER_UNREACHABLE, NULL, "closed");
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
    CHECK_ROW(test_open_order_that_nobody_knows),
    CHECK_ROW(test_nothing_leaves), CHECK_ROW(test_lost_trust))
