#include "tests/unit/worker/outside_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pki/cert/cert.h"
#include "common/pki/cert/certbuild.h"
#include "tests/support/db_script.h"
#include "tests/unit/worker/rig_db.h"

#define LIMIT_MS 4000

struct outside_rig outside_t;

/* --- the CA --- */

struct fake {
	const struct issuer_order *order;
	struct timer *timer;
	const struct issuer_answer *answer;
	struct issuer_answer listed;
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

	CHECK(outside_t.is_waiting);
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
	if (outside_t.open_why) {
		*out_why = outside_t.open_why;
		return RC_INVALID;
	}
	f->order = order;
	f->timer = timer_new(outside_t.r->loop, fake_answer, f);
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
	return outside_t.can_look_up;
}

static rc
fake_ask(struct fake *f, const struct issuer_answer *answer,
    issuer_answer_fn *done, void *arg)
{
	f->answer = answer;
	f->done = done;
	f->arg = arg;
	if (outside_t.delay_ms >= 0)
		timer_arm(f->timer, outside_t.delay_ms);
	return RC_OK;
}

static rc
fake_place(void *order, issuer_answer_fn *done, void *arg)
{
	outside_t.places++;
	outside_t.placed_first = outside_t.placings == outside_t.places;
	if (outside_t.place_code != RC_OK)
		return outside_t.place_code;
	return fake_ask(order, &outside_t.placed, done, arg);
}

/* The rounds of a look-up that are left, and then what came of it. */
static const struct issuer_answer *
fake_round(struct fake *f)
{
	if (outside_t.rounds == 0)
		return &outside_t.looked;
	outside_t.rounds--;
	f->listed = (struct issuer_answer){
	    .verdict = ISSUER_LISTED,
	    .words = "17 looked at so far",
	    .serials = outside_t.serials,
	    .nserials = outside_t.nserials,
	};
	return &f->listed;
}

static rc
fake_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	outside_t.look_ups++;
	return fake_ask(order, fake_round(order), done, arg);
}

static void
fake_look_through(void *order, const bool *is_stored, issuer_answer_fn *done,
    void *arg)
{
	outside_t.look_ups++;
	for (size_t i = 0; i < outside_t.nserials; i++)
		outside_t.told[i] = is_stored[i] ? 't' : 'f';
	CHECK_INT(fake_ask(order, fake_round(order), done, arg), RC_OK);
}

static rc
fake_cancel(void *order, const char *order_id, issuer_answer_fn *done,
    void *arg)
{
	outside_t.cancels++;
	CHECK_STR(order_id, outside_t.order_id);
	return fake_ask(order, &outside_t.poll, done, arg);
}

static rc
fake_poll(void *order, const char *order_id, issuer_answer_fn *done, void *arg)
{
	outside_t.polls++;
	CHECK_STR(((struct fake *)order)->order->note,
	    outside_t.note ? outside_t.note : "");
	CHECK_STR(order_id, outside_t.order_id);
	return fake_ask(order, &outside_t.poll, done, arg);
}

static const struct issuer_ops fake = {
    .type = "Fake",
    .open = fake_open,
    .limit_ms = fake_limit_ms,
    .can_look_up = fake_can_look_up,
    .place = fake_place,
    .look_up = fake_look_up,
    .look_through = fake_look_through,
    .poll = fake_poll,
};
static struct issuer_ops cancelling; /* the same, and it cancels */
static const struct issuer_ops *const fakes[] = {&fake, NULL};
static const struct issuer_ops *const cancelling_fakes[] = {&cancelling, NULL};

void
outside_cancels(void)
{
	cancelling = fake;
	cancelling.cancel = fake_cancel;
	outside_t.r->env.issuers = cancelling_fakes;
}

/* --- the database --- */

static void
on_outside_job(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	char row[256];

	snprintf(row, sizeof(row),
	    "Fake|{}|%s|job-00|%s|%d|%" PRId64 "|%d|0|%s||%s|%d",
	    outside_t.state, outside_t.order_id, outside_t.polled,
	    outside_t.waited_ms, OUTSIDE_NOW,
	    outside_t.note ? outside_t.note : "", outside_t.is_last ? "t" : "f",
	    OUTSIDE_NOW);
	db_script_rows(p,
	    "type|config|state|order_reference|order_id|polls|waited_ms|"
	    "placed_unix|max_ttl_seconds|note|previous_pem|is_last|now_unix",
	    row);
}

static void
on_placing(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	outside_t.placings++;
	CHECK_STR(stmt->params[2], "job-00");
	db_script_rows(p, "outcome",
	    outside_t.outcome ? outside_t.outcome : "");
	db_script_after(p, outside_t.placing_ms);
}

static void
on_looking(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	CHECK_STR(stmt->params[0], "worker-1");
	CHECK_STR(stmt->params[1], "7");
	CHECK_STR(stmt->params[2], "job-00");
	db_script_rows(p, "is_ours",
	    outside_t.look_ups == outside_t.lost_after ? "f" : "t");
}

static void
on_stored_serials(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	CHECK_STR(stmt->params[0], "iss-1");
	snprintf(outside_t.compared, sizeof(outside_t.compared), "%s",
	    stmt->params[1]);
	db_script_rows(p, "serial_number",
	    outside_t.stored ? outside_t.stored : "");
}

static void
on_complete(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	CHECK_STR(stmt->params[0], "worker-1");
	CHECK_STR(stmt->params[1], "7");
	CHECK_STR(stmt->params[2], "job-00");
	snprintf(outside_t.serial, sizeof(outside_t.serial), "%s",
	    stmt->params[3]);
	snprintf(outside_t.pem, sizeof(outside_t.pem), "%s", stmt->params[6]);
	db_script_rows(p, "job_id|agent_id|status", "job-00|agent-1|Completed");
}

static void
on_aside(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct arena *a = arena_new();
	const char *order = NULL;

	/* {"x"}: one job. */
	snprintf(outside_t.aside, sizeof(outside_t.aside), "%.*s",
	    (int)strlen(stmt->params[3]) - 4, stmt->params[3] + 2);
	snprintf(outside_t.error, sizeof(outside_t.error), "%s",
	    stmt->params[4]);
	snprintf(outside_t.open, sizeof(outside_t.open), "%s", stmt->params[5]);
	(void)rig_items(a, stmt->params[7], &order);
	snprintf(outside_t.order, sizeof(outside_t.order), "%s",
	    order ? order : "");
	arena_free(a);
	db_script_rows(p, "job_id|status", "");
}

void
outside_on_wait(void *owner, bool is_waiting)
{
	CHECK(outside_t.is_waiting != is_waiting);
	outside_t.is_waiting = is_waiting;
}

/* --- the rig --- */

const char *
outside_pem(struct arena *a, int64_t not_after_unix)
{
	struct leaf_spec spec = {
	    .serial_hex = "5000000000000000000000000000000000000009",
	    .not_before_unix = OUTSIDE_NOW - 60,
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

struct issuer_answer
outside_answer(enum issuer_verdict verdict, const char *pem, const char *words)
{
	return (struct issuer_answer){
	    .verdict = verdict,
	    .pem = pem,
	    .len = pem ? strlen(pem) : 0,
	    .words = words,
	};
}

void
outside_begin(void)
{
	struct rig *r = rig_new();

	memset(&outside_t, 0, sizeof(outside_t));
	outside_t.r = r;
	outside_t.state = "";
	outside_t.order_id = "";
	outside_t.outcome = "placing";
	outside_t.delay_ms = 1000;
	outside_t.placed = outside_answer(ISSUER_RETRY, NULL, "no");
	outside_t.looked = outside_answer(ISSUER_NO_ORDER, NULL, "none");
	r->type = "Fake";
	r->env.issuers = fakes;
	r->env.issuer.max_waits.any_s = 600;
	(void)rig_add_job(r);
	db_script_on(r->pool, Q_ISSUE_OUTSIDE_JOB, on_outside_job, NULL);
	db_script_on(r->pool, Q_ISSUE_PLACING, on_placing, NULL);
	db_script_on(r->pool, Q_ISSUE_LOOKING, on_looking, NULL);
	db_script_on(r->pool, Q_ISSUE_STORED_SERIALS, on_stored_serials, NULL);
	db_script_on(r->pool, Q_ISSUE_COMPLETE_OUTSIDE, on_complete, NULL);
	db_script_on(r->pool, Q_ISSUE_SET_ASIDE, on_aside, NULL);
}

void
outside_run(void)
{
	struct grant g = {.lease_id = 7, .issuer_id = "iss-1"};
	struct slot_end end = rig_end(outside_t.r);

	end.on_wait = outside_on_wait;
	(void)issue_start(&outside_t.r->env, &g, &end);
	rig_run_until_ended(outside_t.r);
	CHECK_INT(outside_t.r->code, RC_OK);
	CHECK(!outside_t.is_waiting);
}

void
outside_end(void)
{
	CHECK(db_script_is_done(outside_t.r->pool));
	rig_free(outside_t.r);
}

void
outside_check_aside(const char *outcome, bool is_open, const char *words)
{
	CHECK_STR(outside_t.aside, outcome);
	CHECK_STR(outside_t.open, is_open ? "{\"job-00\"}" : "{}");
	if (!strstr(outside_t.error, words))
		CHECK_STR(outside_t.error, words);
	CHECK_STR(outside_t.pem, "");
}

int64_t
outside_order_wait_ms(const char *order_id, int polls)
{
	char form[128];

	snprintf(form, sizeof(form),
	    "{\"order_id\":\"%s\",\"polls\":%d,\"wait_ms\":", order_id, polls);
	if (strncmp(outside_t.order, form, strlen(form)) != 0)
		CHECK_STR(outside_t.order, form);
	return strtoll(outside_t.order + strlen(form), NULL, 10);
}

void
outside_check_about(int64_t ms, int64_t about_ms)
{
	CHECK(ms >= about_ms - about_ms / 5 && ms <= about_ms + about_ms / 5);
}

struct issuer_answer
outside_pending_answer(const char *order_id, int64_t retry_after_s)
{
	struct issuer_answer an =
	    outside_answer(ISSUER_PENDING, NULL, "processing");

	an.order_id = order_id;
	an.retry_after_s = retry_after_s;
	return an;
}

void
outside_begin_ordered(int polls, int64_t waited_ms)
{
	outside_begin();
	outside_t.state = "ordered";
	outside_t.order_id = "4711";
	outside_t.polled = polls;
	outside_t.waited_ms = waited_ms;
	outside_t.poll = outside_pending_answer("4711", 0);
}
