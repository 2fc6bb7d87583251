/*
 * GET /jobs, newest first.
 */
#include "apiserver/handlers/jobs/jobs.h"

#include <stdbool.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "common/base/attr.h"

enum { N_FILTERS = 6 };

struct listing {
	int64_t page, per_page;
};

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
};
const size_t job_nfields = ARRAY_LEN(job_fields);

static op_step list_done;

/* Stored values have one spelling; a filter may have any letter case. */
static const char *
folded(const char *value, const char *const *spellings, size_t n)
{
	const char *canonical;

	if (value == NULL)
		return NULL;
	canonical = fieldtext_canonical(spellings, n, value);
	return canonical != NULL ? canonical : value;
}

enum op_next
job_list(struct op *op)
{
	static const char *const statuses[] = {"Pending", "AwaitingCSR",
	    "AwaitingApproval", "Running", "Completed", "Failed", "Cancelled"};
	static const char *const types[] = {"Issuance", "Renewal", "Deployment",
	    "Validation"};
	struct listing *l = op_state(op, sizeof(*l));
	const char *params[N_FILTERS + 2];
	bool is_filtered = false;

	req_page(op, &l->page, &l->per_page);
	params[0] =
	    folded(req_query(op, "status"), statuses, ARRAY_LEN(statuses));
	params[1] = folded(req_query(op, "type"), types, ARRAY_LEN(types));
	params[2] = req_query(op, "certificate_id");
	params[3] = req_query(op, "target_id");
	params[4] = req_query(op, "agent_id");
	params[5] = req_query(op, "version_id");
	for (size_t i = 0; i < N_FILTERS; i++)
		is_filtered = is_filtered || params[i] != NULL;
	params[N_FILTERS] = page_num(op, l->per_page);
	params[N_FILTERS + 1] = page_num(op, (l->page - 1) * l->per_page);

	const struct db_stmt stmts[] = {
	    is_filtered || l->page > 1
		? (struct db_stmt){Q_JOB_LIST, ARRAY_LEN(params), params}
		: (struct db_stmt){Q_JOB_PAGE, 1, params + N_FILTERS},
	    is_filtered ? (struct db_stmt){Q_JOB_LIST_TOTAL, N_FILTERS, params}
			: (struct db_stmt){Q_JOB_TOTAL, 0, NULL},
	};
	return op_batch(op, list_done, ARRAY_LEN(stmts), stmts);
}

static enum op_next
list_done(struct op *op)
{
	const struct listing *l = op_state(op, sizeof(*l));

	return page_reply(op, job_fields, job_nfields, NULL, l->page,
	    l->per_page);
}
