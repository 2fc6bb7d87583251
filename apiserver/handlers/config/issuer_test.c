/*
 * POST /issuers/{id}/test: a worker tries the issuer anew, as far as it goes
 * without an order: the key of a local CA is opened and signs a throw-away
 * leaf, which is verified as a client would; of a CA outside the worker looks
 * at what it would be asked with.
 */
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/config/tests.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/clock.h"
#include "common/policy/policy.h"

#define FIRST_LOOK_MS 25
#define LOOK_MS 400
/* One that is started again is back by then. */
#define NO_WORKER_MS 1000

struct issuer_test {
	const char *tested_before;
	int64_t asked_ms, pause_ms;
};

static op_step test_asked;
static op_step test_look;
static op_step test_looked;

enum op_next
issuer_test_start(struct op *op)
{
	return test_ask(op, Q_ISSUER_TEST_ASK, Q_ISSUER_TEST_ASKED, test_asked);
}

static enum op_next
test_asked(struct op *op)
{
	struct issuer_test *t = op_state(op, sizeof(*t));
	const char *issuers[] = {req_param(op, "id"), NULL};

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Issuer not found");
	t->tested_before =
	    arena_strdup(op_arena(op), op_text(op, 0, "tested_before"));
	t->asked_ms = clock_boot_ms();
	t->pause_ms = FIRST_LOOK_MS;
	req_hint(op, 1, issuers, NULL);
	return op_sleep(op, t->pause_ms, test_look);
}

static enum op_next
test_look(struct op *op)
{
	const struct issuer_test *t = op_state(op, sizeof(*t));

	return OP_QUERY(op, Q_ISSUER_TEST_LOOK, test_looked,
	    req_param(op, "id"), t->tested_before);
}

/* Nothing has come of it yet: NULL, or why that is waited for no longer. */
static const char *
give_up(struct op *op)
{
	const struct issuer_test *t = op_state(op, sizeof(*t));
	int64_t waited_ms = clock_boot_ms() - t->asked_ms;

	if (waited_ms >= (int64_t)POLICY_TEST_WAIT * 1000)
		return "no worker has said in time what came of it";
	if (waited_ms >= NO_WORKER_MS && !op_bool(op, 0, "has_worker"))
		return "no worker runs";
	return NULL;
}

static enum op_next
test_looked(struct op *op)
{
	struct issuer_test *t = op_state(op, sizeof(*t));
	const char *why;

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Issuer not found");
	if (op_bool(op, 0, "is_over") &&
	    strcmp(op_text(op, 0, "test_status"), "success") == 0)
		return reply_status(op, 200, "status", "connection_successful");
	if (op_bool(op, 0, "is_over"))
		return op_fail(op, RC_UNPROCESSABLE,
		    "Connection test failed: %s", op_text(op, 0, "error"));
	why = give_up(op);
	if (why != NULL)
		return op_fail(op, RC_UNPROCESSABLE,
		    "Connection test failed: %s; the test is not forgotten, "
		    "and the issuer's test_status will tell",
		    why);
	t->pause_ms = t->pause_ms * 2 < LOOK_MS ? t->pause_ms * 2 : LOOK_MS;
	return op_sleep(op, t->pause_ms, test_look);
}

/* --- what the document says of it --- */

const struct shape shape_issuer_test_start = {
    .does = "Have a worker test an issuer",
    .has_body = true,
    .may_be_empty = true,
    .answer = SHAPE_STATUS,
};
