#include "apiserver/live/ocspasks.h"

#include <stdarg.h>

#include "common/base/enc.h"
#include "tests/unit/apiserver/fixture.h"
#include "tests/unit/check.h"

/* A handler that has a serial signed, and tells what came of it. */
static op_step ask_signed;

struct asker {
	struct ocspask *ask;
	struct ocspask_cert cert;
};

static enum op_next
ask_start(struct op *op)
{
	struct asker *a = op_state(op, sizeof(*a));

	a->cert = (struct ocspask_cert){req_param(op, "id"), ""};
	a->ask = ocspasks_add(req_api(op)->ocsp, op, "iss-1", &a->cert, 1, "");
	op_extend(op, 60000);
	return op_park(op, 30000, ask_signed);
}

static enum op_next
ask_signed(struct op *op)
{
	const struct asker *a = op_state(op, sizeof(*a));
	const struct ocsp_answer *answer = ocspask_answer(a->ask);

	return reply_status(op, 200, "status",
	    answer ? op_printf(op, "%s %zu", answer->outcome, answer->der.len)
		   : "none");
}

static const struct route route = {"GET", "/api/v1/agents/{id}/work",
    "agent.job.poll", ask_start, .own = {.access = ROUTE_AGENT}};

static void
start(struct fixture *f)
{
	fixture_init(f);
	f->api.ocsp = ocspasks_new(&f->api);
}

static void
stop(struct fixture *f)
{
	CHECK(db_script_is_done(f->db));
	ocspasks_free(f->api.ocsp);
	f->api.ocsp = NULL;
	fixture_fini(f);
}

static void
ask(struct fixture *f, const char *serial, struct answer *answer)
{
	char target[128];

	(void)snprintf(target, sizeof(target), "/api/v1/agents/%s/work",
	    serial);
	fixture_request(f, &route, "GET", target, "", answer);
}

static void
turns(struct fixture *f)
{
	for (int i = 0; i < 5; i++)
		loop_sim_advance(f->api.loop, 0);
}

static void
expect_ask(struct fixture *f, const char *params, const char *id)
{
	db_script_expect(f->db, Q_OCSP_ASK, params);
	db_script_rows(f->db, "id", id);
}

#define ROW_MAX 512

/* A batch as the database gives it: n outcomes, each with its length. */
static const char *
row(char to[ROW_MAX], const char *id, int n, ...)
{
	static const uint8_t der[8];
	struct ocsp_answer answers[4] = {0};
	struct arena *a = arena_new();
	char hex[ROW_MAX];
	struct span octets;
	va_list ap;

	va_start(ap, n);
	for (int i = 0; i < n; i++) {
		answers[i].outcome = va_arg(ap, const char *);
		answers[i].der = (struct span){der, va_arg(ap, size_t)};
	}
	va_end(ap);
	CHECK_INT(ocsp_answers_write(a, answers, (size_t)n, &octets), RC_OK);
	enc_hex(octets.p, octets.len, hex);
	(void)snprintf(to, ROW_MAX, "%s|%.400s", id, hex);
	arena_free(a);
	return to;
}

static void
expect_answers(struct fixture *f, const char *ids, const char *rows)
{
	db_script_expect(f->db, Q_OCSP_ANSWERS, ids);
	db_script_rows(f->db, "id|answers", rows);
}

static void
event(struct fixture *f, const char *body)
{
	ocspasks_on_event(f->api.ocsp, body, strlen(body));
	turns(f);
}

/* What comes in one turn goes in one statement, and each gets its own. */
static void
test_together(void)
{
	struct answer a, b;
	char rows[ROW_MAX];
	struct fixture f;

	start(&f);
	expect_ask(&f, "{1,2}|*iss-1*|*5a*5b*|*|*", "task-1");
	ask(&f, "5a", &a);
	ask(&f, "5b", &b);
	turns(&f);
	CHECK_INT(a.status, 0);
	event(&f, "{\"ocsp\":[\"task-9\"],\"finished\":[]}");
	event(&f, "{\"ocsp\":5}");
	event(&f, "no json");
	expect_answers(&f, "*task-1*",
	    row(rows, "task-1", 2, "good", (size_t)5, "failed", (size_t)0));
	event(&f, "{\"ocsp\":[\"task-1\"]}");
	CHECK_STR(a.body, "{\"status\":\"good 5\"}\n");
	CHECK_STR(b.body, "{\"status\":\"failed 0\"}\n");
	stop(&f);
}

/* A batch at a time is put down, what comes meanwhile is the next. */
static void
test_one_after_the_other(void)
{
	struct answer a, b, c;
	char rows[ROW_MAX];
	struct fixture f;

	start(&f);
	expect_ask(&f, "{1}|*|*5a*|*|*", "task-1");
	db_script_after(f.db, 10);
	ask(&f, "5a", &a);
	turns(&f);
	ask(&f, "5b", &b);
	turns(&f);
	ask(&f, "5c", &c);
	turns(&f);
	expect_ask(&f, "{1,2}|*|*5b*5c*|*|*", "task-2");
	loop_sim_advance(f.api.loop, 10);
	turns(&f);
	expect_answers(&f, "*task-1*task-2*",
	    row(rows, "task-2", 2, "good", (size_t)1, "good", (size_t)2));
	event(&f, "{\"ocsp\":[\"task-2\"]}");
	CHECK_INT(a.status, 0);
	CHECK_STR(b.body, "{\"status\":\"good 1\"}\n");
	CHECK_STR(c.body, "{\"status\":\"good 2\"}\n");
	expect_answers(&f, "*task-1*",
	    row(rows, "task-1", 1, "unknown", (size_t)1));
	event(&f, "{\"ocsp\":[\"task-1\"]}");
	CHECK_STR(a.body, "{\"status\":\"unknown 1\"}\n");
	stop(&f);
}

/* The bus may lose all. */
static void
test_look(void)
{
	struct answer a;
	char rows[ROW_MAX];
	struct fixture f;

	start(&f);
	expect_ask(&f, NULL, "task-1");
	ask(&f, "5a", &a);
	turns(&f);
	expect_answers(&f, "*task-1*", "");
	loop_sim_advance(f.api.loop, 250);
	turns(&f);
	CHECK_INT(a.status, 0);
	expect_answers(&f, "*task-1*",
	    row(rows, "task-1", 1, "good", (size_t)1));
	loop_sim_advance(f.api.loop, 250);
	turns(&f);
	CHECK_INT(a.status, 200);
	/* Nobody waits: nobody looks. */
	loop_sim_advance(f.api.loop, 5000);
	stop(&f);
}

static void
no_answers(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	db_script_rows(p, "id|answers", "");
}

/* No worker, or a database that does not take it: the op is told. */
static void
test_nobody_signs(void)
{
	struct answer a, b;
	struct fixture f;

	start(&f);
	db_script_on(f.db, Q_OCSP_ANSWERS, no_answers, NULL);
	expect_ask(&f, NULL, "task-1");
	ask(&f, "5a", &a);
	turns(&f);
	db_script_expect(f.db, Q_OCSP_FORGET, "task-1");
	for (int i = 0; i < 61; i++)
		loop_sim_advance(f.api.loop, 250);
	turns(&f);
	CHECK_STR(a.body, "{\"status\":\"none\"}\n");
	db_script_expect(f.db, Q_OCSP_ASK, NULL);
	db_script_error(f.db, "", "gone", NULL);
	ask(&f, "5b", &b);
	turns(&f);
	CHECK_STR(b.body, "{\"status\":\"none\"}\n");
	stop(&f);
}

/* Who went away leaves nothing behind. */
static void
test_gone(void)
{
	struct answer b, c;
	char rows[ROW_MAX];
	struct fixture f;

	start(&f);
	expect_ask(&f, "*|*|*5b*5c*|*|*", "task-1");
	ask(&f, "5b", &b);
	ask(&f, "5c", &c);
	turns(&f);
	op_abort(c.op, RC_PEER_GONE);
	turns(&f);
	expect_answers(&f, "*task-1*",
	    row(rows, "task-1", 2, "good", (size_t)1, "good", (size_t)2));
	event(&f, "{\"ocsp\":[\"task-1\"]}");
	CHECK_STR(b.body, "{\"status\":\"good 1\"}\n");
	stop(&f);
}

/* Rows that no worker wrote end the wait with nothing. */
static void
test_no_answers(void)
{
	static const char *const rows[] = {"task-1|", "task-1|zz",
	    "task-1|0001", "task-1|00010000"};
	struct answer a;
	struct fixture f;

	start(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		expect_ask(&f, NULL, "task-1");
		ask(&f, "5a", &a);
		turns(&f);
		expect_answers(&f, "*task-1*", rows[i]);
		event(&f, "{\"ocsp\":[\"task-1\"]}");
		CHECK_STR(a.body, "{\"status\":\"none\"}\n");
	}
	stop(&f);
}

static void
test_labels(void)
{
	struct fixture f;

	start(&f);
	CHECK_STR(ocspasks_label(OCSP_REQUEST_GET), "request_get");
	CHECK_STR(ocspasks_label(OCSP_RATE_LIMITED), "rate_limited");
	ocspasks_count(f.api.ocsp, OCSP_NONCE_ECHOED);
	CHECK_INT((int)ocspasks_counted(f.api.ocsp, OCSP_NONCE_ECHOED), 1);
	CHECK_INT((int)ocspasks_counted(f.api.ocsp, OCSP_REQUEST_GET), 0);
	stop(&f);
}

CHECK_MAIN(CHECK_ROW(test_together), CHECK_ROW(test_one_after_the_other),
    CHECK_ROW(test_look), CHECK_ROW(test_nobody_signs), CHECK_ROW(test_gone),
    CHECK_ROW(test_no_answers), CHECK_ROW(test_labels))
