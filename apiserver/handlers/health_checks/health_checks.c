/*
 * Health checks: which TLS endpoints are watched, and what they showed.  The
 * probes are workers' (worker/kinds/health_check.c).
 */
#include "apiserver/handlers/health_checks/health_checks.h"

#include <ctype.h>
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/resource.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/base/hostport.h"

enum {
	INTERVAL_MAX_S = 30 * 86400,
	THRESHOLD_MAX = 1000,
	FINGERPRINT_LEN = 64,      /* hex digits of SHA-256 */
	FINGERPRINT_TEXT_MAX = 95, /* and colons between them */
	HISTORY_DEFAULT = 100,
	HISTORY_MAX = 1000,
	NAME_MAX_LEN = 255
};

/* --- the fields --- */

static const char *
endpoint(struct arena *a, const char *text, const char **out_why)
{
	struct hostport hp;

	(void)a;
	if (hostport_parse(text, &hp) == RC_OK)
		return text;
	*out_why = "must be host:port, as www.example.com:443 or "
		   "[2001:db8::1]:443";
	return NULL;
}

/* "AB:CD:..." as people copy it, stored as the database has it. */
static const char *
fingerprint(struct arena *a, const char *text, const char **out_why)
{
	char *hex = arena_alloc(a, strlen(text) + 1);
	size_t n = 0;

	for (const char *p = text; *p != '\0'; p++)
		if (*p != ':')
			hex[n++] = (char)tolower((unsigned char)*p);
	if (n == 0 || (n == FINGERPRINT_LEN && enc_is_lower_hex(hex, n)))
		return hex;
	*out_why = "must be the SHA-256 of a certificate, 64 hex digits";
	return NULL;
}

static const struct field fields[] = {
    {"id", FIELD_TEXT, FIELD_ID | FIELD_CREATE_ONLY | FIELD_EMPTY_ABSENT,
	.max = 128},
    {"endpoint", FIELD_TEXT, FIELD_REQUIRED, .max = 300, .convert = endpoint},
    {"certificate_id", FIELD_TEXT,
	FIELD_ID | FIELD_OMIT_EMPTY | FIELD_EMPTY_ABSENT | FIELD_CLEARABLE,
	.max = 128},
    {"network_scan_target_id", FIELD_TEXT,
	FIELD_ID | FIELD_OMIT_EMPTY | FIELD_EMPTY_ABSENT | FIELD_CLEARABLE,
	.max = 128},
    {"expected_fingerprint", FIELD_TEXT, 0, .max = FINGERPRINT_TEXT_MAX,
	.dflt = "\"\"", .convert = fingerprint},
    {"observed_fingerprint", FIELD_TEXT, FIELD_READ_ONLY},
    {"status", FIELD_TEXT, FIELD_READ_ONLY},
    {"consecutive_failures", FIELD_INT, FIELD_READ_ONLY},
    {"response_time_ms", FIELD_INT, FIELD_READ_ONLY},
    {"tls_version", FIELD_TEXT, FIELD_READ_ONLY},
    {"cipher_suite", FIELD_TEXT, FIELD_READ_ONLY},
    {"cert_subject", FIELD_TEXT, FIELD_READ_ONLY},
    {"cert_issuer", FIELD_TEXT, FIELD_READ_ONLY},
    {"cert_expiry", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"last_checked_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"last_success_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"last_failure_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"last_transition_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"failure_reason", FIELD_TEXT, FIELD_READ_ONLY},
    {"degraded_threshold", FIELD_INT, FIELD_ZERO_DEFAULT, .min = 1,
	.max = THRESHOLD_MAX, .dflt = "2"},
    {"down_threshold", FIELD_INT, FIELD_ZERO_DEFAULT, .min = 1,
	.max = THRESHOLD_MAX, .dflt = "5"},
    {"check_interval_seconds", FIELD_INT, FIELD_ZERO_DEFAULT, .min = 1,
	.max = INTERVAL_MAX_S, .dflt = "300"},
    {"enabled", FIELD_BOOL, 0, .dflt = "false"},
    {"acknowledged", FIELD_BOOL, FIELD_READ_ONLY},
    {"acknowledged_by", FIELD_TEXT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"acknowledged_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
    {"updated_at", FIELD_TIME, FIELD_READ_ONLY},
};

/* All but the list, which no name orders. */
static const struct resource checks = {
    .label = "Health check",
    .fields = fields,
    .nfields = ARRAY_LEN(fields),
    RESOURCE_STATEMENTS(HEALTH_CHECK),
    .duplicate = "A health check with this id already exists",
};

static op_step list_done;
static op_step update_found;
static op_step history_done;
static op_step summary_done;
static op_step acknowledge_done;

static enum op_next
not_found(struct op *op)
{
	return op_fail(op, RC_NOT_FOUND, "%s not found", checks.label);
}

/* --- list --- */

static const struct cursor_key newest_first[] = {
    {"id", CURSOR_ID},
};

enum { NFILTERS = 4, NPARAMS = NFILTERS + 2 + ARRAY_LEN(newest_first) };

enum op_next
health_check_list(struct op *op)
{
	static const char *const statuses[] = {"healthy", "degraded", "down",
	    "cert_mismatch", "unknown"};
	struct page *p = op_state(op, sizeof(*p));
	const char *params[NPARAMS], *why;
	bool is_filtered = false;

	why = page_read(op, newest_first, ARRAY_LEN(newest_first), p);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	params[0] = fieldtext_filter(statuses, ARRAY_LEN(statuses),
	    req_query(op, "status"));
	params[1] = req_query(op, "certificate_id");
	params[2] = req_query(op, "network_scan_target_id");
	params[3] = req_query(op, "enabled");
	if (params[3] != NULL && strcmp(params[3], "true") != 0 &&
	    strcmp(params[3], "false") != 0)
		return op_fail(op, RC_INVALID, "enabled must be true or false");
	for (size_t i = 0; i < NFILTERS; i++)
		is_filtered = is_filtered || params[i] != NULL;
	(void)page_params(p, params + NFILTERS);

	const struct db_stmt rows = {Q_HEALTH_CHECK_LIST, NPARAMS, params};
	const struct db_stmt total = {Q_HEALTH_CHECK_TOTAL, NFILTERS, params};

	return page_ask(op, p, &rows, &total, is_filtered, list_done);
}

static enum op_next
list_done(struct op *op)
{
	return page_done(op, op_state(op, sizeof(struct page)), checks.fields,
	    checks.nfields, NULL);
}

/* --- one --- */

enum op_next
health_check_get(struct op *op)
{
	return resource_get(op, &checks);
}

enum op_next
health_check_create(struct op *op)
{
	return resource_create(op, &checks);
}

/* One that is not there is said before anything about what the body holds. */
enum op_next
health_check_update(struct op *op)
{
	const struct cJSON *body;
	const char *why;
	rc ret;

	ret = req_json(op, false, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return OP_QUERY(op, checks.get, update_found, req_param(op, "id"));
}

static enum op_next
update_found(struct op *op)
{
	if (op_rows(op) == 0)
		return not_found(op);
	return resource_update(op, &checks);
}

enum op_next
health_check_delete(struct op *op)
{
	return resource_delete(op, &checks);
}

/* --- history --- */

static const struct field history_fields[] = {
    {"id", FIELD_TEXT},
    {"health_check_id", FIELD_TEXT},
    {"status", FIELD_TEXT},
    {"response_time_ms", FIELD_INT},
    {"fingerprint", FIELD_TEXT},
    {"failure_reason", FIELD_TEXT},
    {"checked_at", FIELD_TIME},
};

enum op_next
health_check_history(struct op *op)
{
	int64_t limit =
	    req_query_int(op, "limit", 1, HISTORY_MAX, HISTORY_DEFAULT);

	return OP_QUERY(op, Q_HEALTH_CHECK_HISTORY, history_done,
	    req_param(op, "id"), page_num(op, limit));
}

/* The newest first, without an envelope. */
static enum op_next
history_done(struct op *op)
{
	struct field_rows rows;
	size_t n = op_rows(op);

	if (n == 0)
		return not_found(op);
	if (op_is_null(op, 0, "id"))
		n = 0;
	field_rows_init(&rows, op_result(op, 0), history_fields,
	    ARRAY_LEN(history_fields), NULL);
	field_rows_put_all(&rows, op_arena(op), reply_writer(op), n);
	return reply_json(op, 200);
}

/* --- summary --- */

static const struct field summary_fields[] = {
    {"healthy", FIELD_INT},
    {"degraded", FIELD_INT},
    {"down", FIELD_INT},
    {"cert_mismatch", FIELD_INT},
    {"unknown", FIELD_INT},
    {"total", FIELD_INT},
};

enum op_next
health_check_summary(struct op *op)
{
	return OP_QUERY0(op, Q_HEALTH_CHECK_SUMMARY, summary_done);
}

static enum op_next
summary_done(struct op *op)
{
	return page_reply_one(op, 200, summary_fields,
	    ARRAY_LEN(summary_fields));
}

/* --- acknowledge --- */

/* Either says who; the audit trail has who asked. */
static const struct field acknowledge_body[] = {
    {"actor", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = NAME_MAX_LEN},
    {"acknowledged_by", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = NAME_MAX_LEN},
};

static const char *
acknowledged_by(const struct cJSON *body)
{
	const char *who = "";

	if (json_str(body, "acknowledged_by", NAME_MAX_LEN * 4, &who) ==
		RC_OK &&
	    who[0] != '\0')
		return who;
	if (json_str(body, "actor", NAME_MAX_LEN * 4, &who) == RC_OK &&
	    who[0] != '\0')
		return who;
	return "unknown";
}

enum op_next
health_check_acknowledge(struct op *op)
{
	const char *checked, *why;
	const struct cJSON *body;
	rc ret;

	ret = req_json(op, false, &body, &why);
	if (ret == RC_OK)
		ret = field_read(op_arena(op), acknowledge_body,
		    ARRAY_LEN(acknowledge_body), body, true, &checked, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return OP_QUERY(op, Q_HEALTH_CHECK_ACKNOWLEDGE, acknowledge_done,
	    req_param(op, "id"), acknowledged_by(body), page_actor(op),
	    req_actor_type(op));
}

static enum op_next
acknowledge_done(struct op *op)
{
	if (op_rows(op) == 0)
		return not_found(op);
	return reply_no_content(op);
}

/* --- what the document says of it --- */

static const struct field list_query[] = {
    {"status", FIELD_TEXT},
    {"certificate_id", FIELD_TEXT},
    {"network_scan_target_id", FIELD_TEXT},
    {"enabled", FIELD_BOOL},
};
static const struct field history_query[] = {
    {"limit", FIELD_INT, 0, .min = 1, .max = HISTORY_MAX},
};

const struct shape shape_health_check_list = {
    .does = "List the health checks",
    .query = list_query,
    .nquery = ARRAY_LEN(list_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(fields),
};
const struct shape shape_health_check_get = {
    .does = "Get a health check",
    .fields = SHAPE_TABLE(fields),
};
const struct shape shape_health_check_create = {
    .does = "Make a health check",
    .has_body = true,
    .body = {SHAPE_TABLE(fields)},
    .status = 201,
    .fields = SHAPE_TABLE(fields),
};
const struct shape shape_health_check_update = {
    .does = "Change a health check",
    .has_body = true,
    .body = {SHAPE_TABLE(fields)},
    .fields = SHAPE_TABLE(fields),
};
const struct shape shape_health_check_delete = {
    .does = "Delete a health check and its history",
    .answer = SHAPE_NOTHING,
};
const struct shape shape_health_check_history = {
    .does = "What a health check saw, newest first",
    .query = history_query,
    .nquery = ARRAY_LEN(history_query),
    .answer = SHAPE_ARRAY,
    .fields = SHAPE_TABLE(history_fields),
};
const struct shape shape_health_check_summary = {
    .does = "How many health checks there are of each status",
    .fields = SHAPE_TABLE(summary_fields),
};
const struct shape shape_health_check_acknowledge = {
    .does = "Say that somebody knows of it, until its status changes",
    .has_body = true,
    .body = {SHAPE_TABLE(acknowledge_body)},
    .answer = SHAPE_NOTHING,
};
