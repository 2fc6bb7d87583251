/*
 * One certificate: itself, its versions, its targets, and its end as Archived.
 */
#include "apiserver/handlers/certificates/certs.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/api.h"
#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/config/nouns.h"
#include "apiserver/live/gather.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

static const struct cursor_key newest_first[] = {{"id", CURSOR_ID}};

static const struct field version_fields[] = {
    {"id", FIELD_TEXT},
    {"certificate_id", FIELD_TEXT},
    {"serial_number", FIELD_TEXT},
    {"not_before", FIELD_TIME},
    {"not_after", FIELD_TIME},
    {"fingerprint_sha256", FIELD_TEXT},
    {"pem_chain", FIELD_TEXT},
    {"csr_pem", FIELD_TEXT},
    {"key_algorithm", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"key_size", FIELD_INT},
    {"created_at", FIELD_TIME},
    {"revoked_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"ca_revocation", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"ca_revocation_said", FIELD_TEXT, FIELD_OMIT_EMPTY},
};

/* Where one came from that an ACME client obtained: its account, and its
 * newest order that is not forgotten. */
static const struct field origin_fields[] = {
    {"acme_account_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"acme_order_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
};

/* What the CA outside says of its renewal (RFC 9773), or why nothing. */
static const struct field window_fields[] = {
    {"ari_window_start", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"ari_window_end", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"ari_explanation_url", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"ari_said", FIELD_TEXT, FIELD_OMIT_EMPTY},
};

static op_step get_done;
static op_step versions_done;
static op_step targets_done;
static op_step archive_done;

enum op_next
cert_get(struct op *op)
{
	struct gathered **state = op_state(op, sizeof(*state));

	*state = gather_ask(req_api(op)->certs, op, req_param(op, "id"));
	return op_park(op, op_left_ms(op), get_done);
}

/* What its targets serve; list: their ids, each with a serial number or null;
 * "" for a certificate without targets. */
static void
put_served(struct op *op, struct json_w *w, const char *list)
{
	const struct cJSON *all, *one;
	const char *why;

	if (list[0] == '\0' ||
	    json_parse(op_arena(op), list, strlen(list), &all, &why) != RC_OK ||
	    cJSON_GetArraySize(all) == 0)
		return;
	json_w_key(w, "served");
	json_w_open(w, '[');
	cJSON_ArrayForEach(one, all)
	{
		json_w_open(w, '{');
		json_w_kv(w, "target_id",
		    cJSON_GetStringValue(cJSON_GetArrayItem(one, 0)));
		json_w_kv(w, "serial_number",
		    cJSON_GetStringValue(cJSON_GetArrayItem(one, 1)));
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

static enum op_next
get_done(struct op *op)
{
	struct gathered **state = op_state(op, sizeof(*state));
	const struct db_result *rows;
	struct field_rows fr;
	struct json_w *w;
	size_t row;
	rc ret = gathered_row(*state, &rows, &row);

	if (ret == RC_NOT_FOUND)
		return cert_not_found(op);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", "");
	field_rows_init(&fr, rows, cert_fields, cert_nfields, NULL);
	w = reply_writer(op);
	json_w_open(w, '{');
	field_rows_put_members(&fr, op_arena(op), w, row);
	field_rows_init(&fr, rows, origin_fields, ARRAY_LEN(origin_fields),
	    NULL);
	field_rows_put_members(&fr, op_arena(op), w, row);
	field_rows_init(&fr, rows, window_fields, ARRAY_LEN(window_fields),
	    NULL);
	field_rows_put_members(&fr, op_arena(op), w, row);
	put_served(op, w, db_text(rows, row, db_col(rows, "served")));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
cert_versions(struct op *op)
{
	struct page *p = op_state(op, sizeof(*p));
	const char *params[4], *why;

	why = page_read(op, newest_first, ARRAY_LEN(newest_first), p);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	params[0] = req_param(op, "id");
	(void)page_params(p, params + 1);

	const struct db_stmt stmts[] = {
	    {Q_CERT_VERSIONS, ARRAY_LEN(params), params},
	    {Q_CERT_VERSIONS_TOTAL, 1, params},
	};
	return op_batch(op, versions_done, ARRAY_LEN(stmts), stmts);
}

static enum op_next
versions_done(struct op *op)
{
	const struct page *p = op_state(op, sizeof(*p));

	return page_reply(op, p, version_fields, ARRAY_LEN(version_fields),
	    NULL, op_result(op, 1));
}

enum op_next
cert_targets(struct op *op)
{
	return OP_QUERY(op, Q_CERT_TARGETS, targets_done, req_param(op, "id"));
}

static enum op_next
targets_done(struct op *op)
{
	struct json_w *w;
	struct field_rows fr;
	size_t n = op_rows(op);

	if (n == 0)
		return cert_not_found(op);
	if (op_is_null(op, 0, "id"))
		n = 0; /* there is a certificate, without targets */
	field_rows_init(&fr, op_result(op, 0), resource_targets.fields,
	    resource_targets.nfields, NULL);
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_key(w, "data");
	field_rows_put_all(&fr, op_arena(op), w, n);
	json_w_kv_int(w, "total", (int64_t)n);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
cert_archive(struct op *op)
{
	return OP_QUERY(op, Q_CERT_ARCHIVE, archive_done, req_param(op, "id"),
	    page_actor(op), req_actor_type(op),
	    op_printf(op, "certificate archived by %s", page_actor(op)));
}

static enum op_next
archive_done(struct op *op)
{
	if (outcome_is(op, "unknown"))
		return cert_not_found(op);
	return reply_no_content(op);
}

/* --- what the document says of it --- */

const struct shape shape_cert_get = {
    .does = "Get a certificate",
    .fields = SHAPE_TABLE_OF(cert_fields, cert_nfields),
    .more_fields = SHAPE_TABLE(origin_fields),
};
const struct shape shape_cert_versions = {
    .does = "List a certificate's versions",
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(version_fields),
};
const struct shape shape_cert_targets = {
    .does = "List a certificate's targets",
    .answer = SHAPE_ROWS,
    .noun = &resource_targets,
};
const struct shape shape_cert_archive = {
    .does = "Archive a certificate",
    .answer = SHAPE_NOTHING,
};
