/*
 * GET /discovered-certificates, /discovered-certificates/{id},
 * /discovery-scans and /discovery-summary.
 *
 * How many there are, and of each status, is maintained; other filters are
 * counted up to a cap.  A list leaves out the PEM texts unless its fields name
 * them: with them no page would be small enough for a tag.
 */
#include <stdbool.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/discovery/discovery.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"

enum { N_KEYS = 2, N_FILTERS = 3, N_LIST = N_FILTERS + 2 + N_KEYS };

static const struct field discovered_fields[] = {
    {"id", FIELD_TEXT},
    {"fingerprint_sha256", FIELD_TEXT},
    {"common_name", FIELD_TEXT},
    {"sans", FIELD_TEXTS},
    {"serial_number", FIELD_TEXT},
    {"issuer_dn", FIELD_TEXT},
    {"subject_dn", FIELD_TEXT},
    {"not_before", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"not_after", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"key_algorithm", FIELD_TEXT},
    {"key_size", FIELD_INT},
    {"is_ca", FIELD_BOOL},
    {"pem_data", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"source_path", FIELD_TEXT},
    {"source_format", FIELD_TEXT},
    {"agent_id", FIELD_TEXT},
    {"discovery_scan_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"managed_certificate_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"status", FIELD_TEXT},
    {"first_seen_at", FIELD_TIME},
    {"last_seen_at", FIELD_TIME},
    {"dismissed_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME},
    {"updated_at", FIELD_TIME},
};

const struct field discovery_scan_fields[] = {
    {"id", FIELD_TEXT},
    {"agent_id", FIELD_TEXT},
    {"directories", FIELD_TEXTS},
    {"certificates_found", FIELD_INT},
    {"certificates_new", FIELD_INT},
    {"errors_count", FIELD_INT},
    {"scan_duration_ms", FIELD_INT},
    {"started_at", FIELD_TIME},
    {"completed_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"errors", FIELD_TEXTS, FIELD_OMIT_EMPTY},
};
const size_t discovery_scan_nfields = ARRAY_LEN(discovery_scan_fields);

static const struct cursor_key last_seen_first[N_KEYS] = {
    {"last_seen_at", CURSOR_TIME},
    {"id", CURSOR_ID},
};
static const struct cursor_key newest_first[N_KEYS] = {
    {"started_at", CURSOR_TIME},
    {"id", CURSOR_ID},
};

struct listing {
	struct page page; /* first: page_ask's */
	const char *only;
};

static op_step list_done;
static op_step get_done;
static op_step scans_done;
static op_step summary_done;

enum op_next
discovered_list_start(struct op *op)
{
	static const char *const statuses[] = {"Unmanaged", "Managed",
	    "Dismissed"};
	struct listing *l = op_state(op, sizeof(*l));
	const char *params[N_LIST], *why;
	bool with_pem;

	why = page_read(op, last_seen_first, N_KEYS, &l->page);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	l->only = req_query(op, "fields");
	with_pem = l->only != NULL && fieldtext_names(l->only, "pem_data");
	params[0] = req_query(op, "agent_id");
	params[1] = fieldtext_filter(statuses, ARRAY_LEN(statuses),
	    req_query(op, "status"));
	params[2] = with_pem ? "true" : "false";
	(void)page_params(&l->page, params + N_FILTERS);

	const struct db_stmt rows =
	    params[0] == NULL && params[1] == NULL && !with_pem &&
		    page_is_first(&l->page)
		? (struct db_stmt){Q_DISCOVERED_PAGE, 1, params + N_FILTERS}
		: (struct db_stmt){Q_DISCOVERED_LIST, N_LIST, params};
	const struct db_stmt total =
	    params[0] == NULL
		? (struct db_stmt){Q_DISCOVERED_TOTAL, 1, params + 1}
		: (struct db_stmt){Q_DISCOVERED_LIST_TOTAL, 2, params};

	return page_ask(op, &l->page, &rows, &total, params[0] != NULL,
	    list_done);
}

static enum op_next
list_done(struct op *op)
{
	const struct listing *l = op_state(op, sizeof(*l));

	return page_done(op, &l->page, discovered_fields,
	    ARRAY_LEN(discovered_fields), l->only);
}

enum op_next
discovered_get_start(struct op *op)
{
	return OP_QUERY(op, Q_DISCOVERED_GET, get_done, req_param(op, "id"));
}

static enum op_next
get_done(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND,
		    "Discovered certificate not found");
	return page_reply_one(op, 200, discovered_fields,
	    ARRAY_LEN(discovered_fields));
}

enum op_next
discovery_scans_start(struct op *op)
{
	struct page *p = op_state(op, sizeof(*p));
	const char *params[1 + 2 + N_KEYS], *why;

	why = page_read(op, newest_first, N_KEYS, p);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	params[0] = req_query(op, "agent_id");
	(void)page_params(p, params + 1);

	const struct db_stmt rows = {Q_DISCOVERY_SCAN_LIST, ARRAY_LEN(params),
	    params};
	const struct db_stmt total = {Q_DISCOVERY_SCAN_TOTAL, 1, params};

	return page_ask(op, p, &rows, &total, params[0] != NULL, scans_done);
}

static enum op_next
scans_done(struct op *op)
{
	const struct page *p = op_state(op, sizeof(*p));

	return page_done(op, p, discovery_scan_fields, discovery_scan_nfields,
	    NULL);
}

enum op_next
discovery_summary_start(struct op *op)
{
	return OP_QUERY0(op, Q_DISCOVERED_SUMMARY, summary_done);
}

static enum op_next
summary_done(struct op *op)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv_int(w, "Unmanaged", op_i64(op, 0, "unmanaged"));
	json_w_kv_int(w, "Managed", op_i64(op, 0, "managed"));
	json_w_kv_int(w, "Dismissed", op_i64(op, 0, "dismissed"));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field list_query[] = {
    {"agent_id", FIELD_TEXT},
    {"status", FIELD_TEXT},
    {"fields", FIELD_TEXT},
};
static const struct field scans_query[] = {
    {"agent_id", FIELD_TEXT},
};
static const struct field summary_answer[] = {
    {"Unmanaged", FIELD_INT},
    {"Managed", FIELD_INT},
    {"Dismissed", FIELD_INT},
};

const struct shape shape_discovered_list_start = {
    .does = "List the certificates that were found",
    .query = list_query,
    .nquery = ARRAY_LEN(list_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(discovered_fields),
};
const struct shape shape_discovered_get_start = {
    .does = "Get a certificate that was found",
    .fields = SHAPE_TABLE(discovered_fields),
};
const struct shape shape_discovery_scans_start = {
    .does = "List the scans that looked for certificates",
    .query = scans_query,
    .nquery = ARRAY_LEN(scans_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE_OF(discovery_scan_fields, discovery_scan_nfields),
};
const struct shape shape_discovery_summary_start = {
    .does = "Count the certificates that were found, by status",
    .fields = SHAPE_TABLE(summary_answer),
};
