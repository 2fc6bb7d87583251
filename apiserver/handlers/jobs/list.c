/*
 * GET /jobs, newest first.
 */
#include "apiserver/handlers/jobs/jobs.h"

#include <stdbool.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

enum { N_FILTERS = 6 };

static const struct cursor_key newest_first[] = {{"id", CURSOR_ID}};

const struct field job_fields[] = {
    {"id", FIELD_TEXT},
    {"type", FIELD_TEXT},
    {"certificate_id", FIELD_TEXT},
    {"target_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"agent_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"status", FIELD_TEXT},
    {"attempts", FIELD_INT},
    {"max_attempts", FIELD_INT},
    {"last_error", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"scheduled_at", FIELD_TIME},
    {"started_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"completed_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME},
    {"verification_status", FIELD_TEXT},
    {"verified_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"verification_error", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"verification_fingerprint", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"version_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"reason", FIELD_TEXT, FIELD_OMIT_EMPTY, .say = job_reason_say},
    {"reason_since", FIELD_TIME, FIELD_OMIT_EMPTY, .say = job_reason_since,
	.column = "reason"},
    {"reason_until", FIELD_TIME, FIELD_OMIT_EMPTY, .say = job_reason_until,
	.column = "reason"},
};
const size_t job_nfields = ARRAY_LEN(job_fields);

/* Statuses that are not final. */
static const char *const moving[] = {"Pending", "AwaitingCSR",
    "AwaitingApproval", "Running"};

static op_step list_done;

enum op_next
job_list(struct op *op)
{
	static const char *const statuses[] = {"Pending", "AwaitingCSR",
	    "AwaitingApproval", "Running", "Completed", "Failed", "Cancelled"};
	static const char *const types[] = {"Issuance", "Renewal", "Deployment",
	    "Validation"};
	struct page *p = op_state(op, sizeof(*p));
	const char *params[N_FILTERS + 3], *why;
	bool is_filtered = false;

	why = page_read(op, newest_first, ARRAY_LEN(newest_first), p);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	params[0] = fieldtext_filter(statuses, ARRAY_LEN(statuses),
	    req_query(op, "status"));
	params[1] =
	    fieldtext_filter(types, ARRAY_LEN(types), req_query(op, "type"));
	params[2] = req_query(op, "certificate_id");
	params[3] = req_query(op, "target_id");
	params[4] = req_query(op, "agent_id");
	params[5] = req_query(op, "version_id");
	for (size_t i = 0; i < N_FILTERS; i++)
		is_filtered = is_filtered || params[i] != NULL;
	(void)page_params(p, params + N_FILTERS);

	const struct db_stmt rows =
	    is_filtered || !page_is_first(p)
		? (struct db_stmt){Q_JOB_LIST, ARRAY_LEN(params), params}
		: (struct db_stmt){Q_JOB_PAGE, 1, params + N_FILTERS};
	const struct db_stmt total =
	    is_filtered ? (struct db_stmt){Q_JOB_LIST_TOTAL, N_FILTERS, params}
			: (struct db_stmt){Q_JOB_TOTAL, 0, NULL};

	return page_ask(op, p, &rows, &total, is_filtered, list_done);
}

static enum op_next
list_done(struct op *op)
{
	const struct page *p = op_state(op, sizeof(*p));
	int status = db_col(p->rows, "status");

	/* What such a job waits for depends on agents, lanes, workers and the
	 * clock. */
	for (size_t i = 0; i < db_nrows(p->rows); i++) {
		if (fieldtext_canonical(moving, ARRAY_LEN(moving),
			db_text(p->rows, i, status)) != NULL)
			reply_momentary(op);
	}
	return page_done(op, p, job_fields, job_nfields, NULL);
}

/* --- what the document says of it --- */

static const struct field list_query[] = {
    {"status", FIELD_TEXT},
    {"type", FIELD_TEXT},
    {"certificate_id", FIELD_TEXT},
    {"target_id", FIELD_TEXT},
    {"agent_id", FIELD_TEXT},
    {"version_id", FIELD_TEXT},
};

const struct shape shape_job_list = {
    .does = "List the jobs",
    .query = list_query,
    .nquery = ARRAY_LEN(list_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE_OF(job_fields, job_nfields),
};
