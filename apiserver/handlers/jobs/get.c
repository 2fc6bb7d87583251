/*
 * GET /jobs/{id}, with ?wait=30s until the job has ended; POST .../cancel.
 */
#include "apiserver/handlers/jobs/jobs.h"

#include <stdbool.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/live/park.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/clock.h"

enum {
	/* What is left for the last look after the wait. */
	ANSWER_MS = 10000
};

struct job_wait {
	struct watch *watch; /* NULL: no wait asked for, or too many wait */
	int64_t until_ms;
};

static op_step get_look;
static op_step get_done;
static op_step cancel_done;

enum op_next
job_get(struct op *op)
{
	struct job_wait *jw = op_state(op, sizeof(*jw));
	const char *why;
	int64_t wait_ms;
	rc ret;

	ret = req_wait(op, &wait_ms, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	if (wait_ms > 0) {
		op_extend(op, wait_ms + ANSWER_MS);
		/* Before the first look, so that nothing slips between. */
		jw->watch = park_watch(req_api(op)->park, op, PARK_JOB,
		    req_param(op, "id"));
		jw->until_ms = clock_boot_ms() + wait_ms;
	}
	return get_look(op);
}

static enum op_next
get_look(struct op *op)
{
	return OP_QUERY(op, Q_JOB_GET, get_done, req_param(op, "id"));
}

static bool
is_final(const char *status)
{
	return strcmp(status, "Completed") == 0 ||
	       strcmp(status, "Failed") == 0 ||
	       strcmp(status, "Cancelled") == 0;
}

static enum op_next
get_done(struct op *op)
{
	struct job_wait *jw = op_state(op, sizeof(*jw));
	int64_t left_ms = jw->until_ms - clock_boot_ms();

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Job not found");
	if (jw->watch != NULL && left_ms > 0 &&
	    !is_final(op_text(op, 0, "status")))
		return park_wait(jw->watch, left_ms, get_look);
	return page_reply_one(op, 200, job_fields, job_nfields);
}

/* --- cancel --- */

enum op_next
job_cancel(struct op *op)
{
	return OP_QUERY(op, Q_JOB_CANCEL, cancel_done, req_param(op, "id"),
	    page_actor(op), req_actor_type(op),
	    op_printf(op, "cancelled by %s", page_actor(op)));
}

static enum op_next
cancel_done(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"unknown", RC_NOT_FOUND, "Job not found"},
	    {"final", RC_CONFLICT, "the job has ended already: it is ",
		"status"},
	    {"running", RC_CONFLICT,
		"an agent is installing this deployment; it can't be "
		"cancelled any more"},
	};
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	/* A worker that runs the job stops before the next outside effect. */
	if (outcome_is(op, "requested"))
		return reply_status(op, 200, "status", "job_cancel_requested");
	park_wake(req_api(op)->park, PARK_JOB, req_param(op, "id"));
	return reply_status(op, 200, "status", "job_cancelled");
}

/* --- what the document says of it --- */

static const struct field get_query[] = {
    {"wait", FIELD_TEXT},
};

const struct shape shape_job_get = {
    .does = "Get a job, now or when it has ended",
    .query = get_query,
    .nquery = ARRAY_LEN(get_query),
    .fields = SHAPE_TABLE_OF(job_fields, job_nfields),
};
const struct shape shape_job_cancel = {
    .does = "Cancel a job",
    .answer = SHAPE_STATUS,
};
