/*
 * GET /audit, newest first, and /audit/{id}.
 */
#include "apiserver/handlers/audit/audit.h"

#include <inttypes.h>
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/attr.h"
#include "common/base/enc.h"

enum {
	CATEGORY,
	SINCE,
	UNTIL,
	N_LIST = AUDIT_FILTERS + 5,
	/* Digits of an id's time that are microseconds. */
	ID_US_DIGITS = 16
};
/* An event's id and its time are taken one after the other. */
#define ID_SLACK_US INT64_C(10000000)

/* Of sealing, backwards. */
static const struct cursor_key newest_first[] = {
    {"at_epoch", CURSOR_INT},
    {"at_xid", CURSOR_INT},
    {"at_seq", CURSOR_INT},
};

const struct field audit_fields[] = {
    {"id", FIELD_TEXT},
    {"actor", FIELD_TEXT},
    {"actor_type", FIELD_TEXT},
    {"action", FIELD_TEXT},
    {"resource_type", FIELD_TEXT},
    {"resource_id", FIELD_TEXT},
    {"details", FIELD_OBJECT},
    {"timestamp", FIELD_TIME},
    {"event_category", FIELD_TEXT, FIELD_OMIT_EMPTY},
};
const size_t audit_nfields = ARRAY_LEN(audit_fields);

static op_step range_done;
static op_step list_done;
static op_step get_done;

const char *
audit_filters_read(struct op *op, const char *since, const char *until,
    const char *params[AUDIT_FILTERS])
{
	static const char *const categories[] = {"cert_lifecycle", "auth",
	    "config"};
	static const char *const others[] = {"actor", "action", "resource_type",
	    "resource_id"};

	params[CATEGORY] = req_query(op, "category");
	params[SINCE] = req_query(op, since);
	params[UNTIL] = req_query(op, until);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		params[UNTIL + 1 + i] = req_query(op, others[i]);
	if (params[CATEGORY]) {
		params[CATEGORY] = fieldtext_canonical(categories,
		    ARRAY_LEN(categories), params[CATEGORY]);
		if (!params[CATEGORY])
			return "category must be one of cert_lifecycle, auth, "
			       "config";
	}
	if (params[SINCE] && !wiretime_is_valid(params[SINCE], false))
		return op_printf(op, "%s must be an RFC 3339 time", since);
	if (params[UNTIL] && !wiretime_is_valid(params[UNTIL], false))
		return op_printf(op, "%s must be an RFC 3339 time", until);
	return NULL;
}

static enum op_next
ask_rows(struct op *op)
{
	struct page *p = op_state(op, sizeof(*p));
	const char *params[N_LIST];
	bool is_filtered = false;

	(void)audit_filters_read(op, "since", "until", params);
	for (size_t i = 0; i < AUDIT_FILTERS; i++)
		is_filtered = is_filtered || params[i] != NULL;
	(void)page_params(p, params + AUDIT_FILTERS);

	const struct db_stmt rows = {Q_AUDIT_LIST, ARRAY_LEN(params), params};
	const struct db_stmt total =
	    is_filtered
		? (struct db_stmt){Q_AUDIT_LIST_TOTAL, AUDIT_FILTERS, params}
		: (struct db_stmt){Q_AUDIT_TOTAL, 0, NULL};

	return page_ask(op, p, &rows, &total, is_filtered, list_done);
}

enum op_next
audit_list(struct op *op)
{
	struct page *p = op_state(op, sizeof(*p));
	const char *params[AUDIT_FILTERS];
	const char *why;

	why = audit_filters_read(op, "since", "until", params);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	why = page_read(op, newest_first, ARRAY_LEN(newest_first), p);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	if (!params[SINCE] || !params[UNTIL])
		return ask_rows(op);
	return OP_QUERY(op, Q_AUDIT_RANGE, range_done, params[SINCE],
	    params[UNTIL]);
}

static enum op_next
range_done(struct op *op)
{
	const struct db_result *range = op_result(op, 0);

	if (db_bool(range, 0, db_col(range, "is_empty")))
		return op_fail(op, RC_INVALID, "until must be after since");
	return ask_rows(op);
}

static enum op_next
list_done(struct op *op)
{
	const struct page *p = op_state(op, sizeof(*p));

	return page_done(op, p, audit_fields, audit_nfields, NULL);
}

/* --- one event --- */

bool
audit_id_times(struct op *op, const char *id, const char **out_from,
    const char **out_to)
{
	static const char prefix[] = "audit-";
	char digits[ID_US_DIGITS + 1];
	int64_t us;
	rc ret;

	*out_from = *out_to = NULL;
	if (strncmp(id, prefix, strlen(prefix)) != 0 ||
	    strlen(id) < strlen(prefix) + ID_US_DIGITS)
		return false;
	memcpy(digits, id + strlen(prefix), ID_US_DIGITS);
	digits[ID_US_DIGITS] = '\0';
	ret = enc_parse_i64(digits, ID_SLACK_US, INT64_MAX, &us);
	if (ret != RC_OK)
		return false;
	*out_from = page_num(op, us - ID_SLACK_US);
	*out_to = page_num(op, us + ID_SLACK_US);
	return true;
}

enum op_next
audit_get(struct op *op)
{
	const char *id = req_param(op, "id");
	const char *from, *to;
	bool is_id = audit_id_times(op, id, &from, &to);

	return OP_QUERY(op, Q_AUDIT_GET, get_done, id, from, to,
	    is_id ? "false" : "true");
}

static enum op_next
get_done(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Audit event not found");
	return page_reply_one(op, 200, audit_fields, audit_nfields);
}

/* --- what the document says of it --- */

static const struct field list_query[] = {
    {"category", FIELD_TEXT},
    {"since", FIELD_TIME},
    {"until", FIELD_TIME},
    {"actor", FIELD_TEXT},
    {"action", FIELD_TEXT},
    {"resource_type", FIELD_TEXT},
    {"resource_id", FIELD_TEXT},
};

const struct shape shape_audit_list = {
    .does = "List the events of the audit trail",
    .query = list_query,
    .nquery = ARRAY_LEN(list_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(audit_fields),
};
const struct shape shape_audit_get = {
    .does = "Get an event of the audit trail",
    .fields = SHAPE_TABLE(audit_fields),
};
