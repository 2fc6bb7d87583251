/*
 * POST /agents/{id}/discoveries: what a scan found, whole or in parts.
 *
 * A report without discovery_scan_id begins a scan; one that names the scan of
 * an earlier answer is another part of it.  The same report again is no news.
 */
#include <limits.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/discovery/discovery.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/buf.h"
#include "common/pki/cert/discovered.h"
#include "common/policy/policy.h"

enum {
	ID_MAX = 128,
	DIRECTORIES_MAX = 100,
	ERRORS_MAX = 10000,
	ERROR_BYTES = 300,     /* of an error's text that is kept */
	ENTRIES_OF_A_TURN = 50 /* certificates parsed before others' turn */
};

struct report {
	const char *scan; /* NULL: a new one */
	int64_t duration_ms;
	const char *directories, *errors; /* as parameters */
	int nerrors;
	const struct cJSON *next; /* certificate to be read */
	size_t i;
	struct buf *b; /* those before it, of w */
	struct json_w w;
};

static op_step read_entries;
static op_step stored;

static void
buf_drop(void *p)
{
	buf_fini(p);
}

/* A list of texts as a parameter, each cleaned and cut; the first most of
 * them.  *out_n: how many there are.  NULL: it is no list of texts. */
static const char *
read_texts(struct op *op, const struct cJSON *body, const char *name,
    size_t most, size_t max, int *out_n)
{
	const struct cJSON *list = json_get(body, name), *one;
	const char **texts = arena_alloc(op_arena(op), most * sizeof(texts[0]));
	size_t n = 0;

	*out_n = 0;
	if (list == NULL || cJSON_IsNull(list))
		return "{}";
	if (!cJSON_IsArray(list))
		return NULL;
	cJSON_ArrayForEach(one, list)
	{
		if (!cJSON_IsString(one))
			return NULL;
		++*out_n;
		if (n < most)
			texts[n++] = discovered_text(op_arena(op),
			    one->valuestring, strlen(one->valuestring), max);
	}
	return db_text_array(op_arena(op), texts, n);
}

static const char *
read_scan(struct op *op, const struct cJSON *body, struct report *r)
{
	rc ret;

	ret = json_str(body, "discovery_scan_id", ID_MAX, &r->scan);
	if (r->scan != NULL && *r->scan == '\0')
		r->scan = NULL;
	if (ret == RC_INVALID || (r->scan != NULL && !fieldtext_is_id(r->scan)))
		return "discovery_scan_id must be a scan's id";
	ret = json_int(body, "scan_duration_ms", 0, INT_MAX, &r->duration_ms);
	if (ret == RC_INVALID)
		return "scan_duration_ms must be a whole number of "
		       "milliseconds";
	return NULL;
}

static const char *
read_report(struct op *op, const struct cJSON *body, struct report *r)
{
	const struct cJSON *list = json_get(body, "certificates");
	const char *why = read_scan(op, body, r);
	int ndirectories;

	if (why != NULL)
		return why;
	r->directories = read_texts(op, body, "directories", DIRECTORIES_MAX,
	    DISCOVERED_PATH_MAX, &ndirectories);
	if (r->directories == NULL || ndirectories > DIRECTORIES_MAX)
		return "directories must be a list of 100 texts or fewer";
	r->errors = read_texts(op, body, "errors", POLICY_SCAN_ERRORS,
	    ERROR_BYTES, &r->nerrors);
	if (r->errors == NULL || r->nerrors > ERRORS_MAX)
		return "errors must be a list of 10000 texts or fewer";
	if (list != NULL && !cJSON_IsNull(list) &&
	    (!cJSON_IsArray(list) ||
		cJSON_GetArraySize(list) > DISCOVERY_ENTRIES_MAX))
		return "certificates must be a list of 1000 or fewer; more are "
		       "reported in parts, each with the discovery_scan_id of "
		       "the first answer";
	r->next = cJSON_IsArray(list) ? list->child : NULL;
	if (r->next == NULL && r->nerrors == 0)
		return "the report has neither certificates nor errors";
	return NULL;
}

enum op_next
discovery_report_start(struct op *op)
{
	struct report *r = op_state(op, sizeof(*r));
	const struct cJSON *body;
	const char *why;
	rc ret;

	ret = req_json_any(op, false, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	why = read_report(op, body, r);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	r->b = arena_alloc(op_arena(op), sizeof(*r->b));
	buf_init(r->b, 0);
	arena_defer(op_arena(op), buf_drop, r->b);
	json_w_init(&r->w, r->b);
	json_w_open(&r->w, '[');
	return read_entries(op);
}

static enum op_next
store(struct op *op, struct report *r)
{
	json_w_close(&r->w, ']');
	if (!buf_ok(r->b))
		return op_fail(op, RC_TOO_LARGE, "the report is too large");
	return OP_QUERY(op, Q_DISCOVERY_STORE, stored, req_param(op, "id"),
	    page_actor(op), req_actor_type(op), r->scan, r->directories,
	    buf_cstr(r->b), r->errors, page_num(op, r->nerrors),
	    page_num(op, r->duration_ms));
}

static enum op_next
read_entries(struct op *op)
{
	struct report *r = op_state(op, sizeof(*r));
	const char *why;
	rc ret;

	for (int n = 0; r->next != NULL; n++) {
		if (n == ENTRIES_OF_A_TURN)
			return op_goto(op, read_entries);
		ret = discovery_entry_put(op_arena(op), &r->w, r->next, r->i++,
		    &why);
		if (ret != RC_OK)
			return op_fail(op, ret, "%s", why);
		r->next = r->next->next;
	}
	return store(op, r);
}

static enum op_next
stored(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"unknown", RC_NOT_FOUND, "Agent not found"},
	    {"retired", RC_GONE, "Agent has been retired"},
	    {"unknown_scan", RC_INVALID,
		"discovery_scan_id is no scan of this agent"},
	};
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	return page_reply_one(op, 202, discovery_scan_fields,
	    discovery_scan_nfields);
}

/* --- what the document says of it --- */

static const struct field report_body[] = {
    /* The path's counts, whatever stands here. */
    {"agent_id", FIELD_TEXT, FIELD_READ_ONLY},
    {"discovery_scan_id", FIELD_TEXT, FIELD_ID, .max = ID_MAX},
    {"directories", FIELD_TEXTS, .max_items = DIRECTORIES_MAX},
    {"certificates", FIELD_OBJECTS, .max_items = DISCOVERY_ENTRIES_MAX},
    {"errors", FIELD_TEXTS, .max_items = ERRORS_MAX},
    {"scan_duration_ms", FIELD_INT, .min = 0, .max = INT_MAX},
};

const struct shape shape_discovery_report_start = {
    .does = "Report what a scan found",
    .has_body = true,
    .body = {SHAPE_TABLE(report_body)},
    .status = 202,
    .fields = SHAPE_TABLE_OF(discovery_scan_fields, discovery_scan_nfields),
};
