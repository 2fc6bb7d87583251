/*
 * POST /certificates/bulk-renew, bulk-revoke, bulk-reassign and their EST
 * variant.
 *
 * One statement decides, writes and audits (bulk_run), so that a hundred
 * thousand certificates cost one round trip.  ?dry_run=true only counts.  With
 * an Idempotency-Key what the call came to is kept with the effect, and a
 * repetition gets the same answer.
 */
#include "apiserver/handlers/certificates/bulk.h"

#include <string.h>
#include <strings.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/certificates/certs.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/base/enc.h"

enum {
	MAX_ID = 255,
	MAX_IDS = 1000000, /* more than any body holds */
	MAX_REASON = 50,
};

/* Less than the route's deadline, so that the client hears how it ended. */
#define PATIENCE "280s"

/* Certificates and jobs that an answer lists, about 125 MB of them. */
#define MAX_LISTED "1500000"

static const struct bulk_kind renewal = {"renew", "total_enqueued", true,
    "the certificate's issuer is disabled"};
static const struct bulk_kind revocation = {"revoke", "total_revoked", false,
    "the certificate has no version to revoke"};
static const struct bulk_kind reassignment = {"reassign", "total_reassigned",
    false, "certificate not found"};

#define OPTIONAL FIELD_EMPTY_ABSENT | FIELD_ID
#define REQUIRED FIELD_REQUIRED | FIELD_EMPTY_ABSENT

static op_step bulk_done;
static op_step bulk_failed;

static const char *
reason_convert(struct arena *a, const char *text, const char **out_why)
{
	(void)a;
	if (cert_reason_is_valid(text))
		return text;
	*out_why = "must be one of unspecified, keyCompromise, caCompromise, "
		   "affiliationChanged, superseded, cessationOfOperation, "
		   "certificateHold, privilegeWithdrawn: invalid revocation "
		   "reason";
	return NULL;
}

static const struct field criteria_fields[] = {
    {"profile_id", FIELD_TEXT, OPTIONAL, .max = MAX_ID},
    {"owner_id", FIELD_TEXT, OPTIONAL, .max = MAX_ID},
    {"agent_id", FIELD_TEXT, OPTIONAL, .max = MAX_ID},
    {"issuer_id", FIELD_TEXT, OPTIONAL, .max = MAX_ID},
    {"team_id", FIELD_TEXT, OPTIONAL, .max = MAX_ID},
};

static const struct field revoke_fields[] = {
    {"reason", FIELD_TEXT, REQUIRED, .max = MAX_REASON,
	.convert = reason_convert},
};

static const struct field reassign_fields[] = {
    {"owner_id", FIELD_TEXT, REQUIRED | FIELD_ID, .max = MAX_ID},
    {"team_id", FIELD_TEXT, OPTIONAL, .max = MAX_ID},
};

/* --- reading the request --- */

static rc
read_ids(struct op *op, const struct cJSON *body, struct bulk *b,
    const char **out_why)
{
	const char **ids = NULL;
	rc ret;

	ret = json_str_list(op_arena(op), body, "certificate_ids", MAX_IDS,
	    MAX_ID, &ids, &b->nids);
	if (ret == RC_INVALID) {
		*out_why = "certificate_ids must be an array of certificates' "
			   "ids";
		return ret;
	}
	for (size_t i = 0; i < b->nids; i++) {
		if (!fieldtext_is_id(ids[i])) {
			*out_why = "certificate_ids holds what is no id";
			return RC_INVALID;
		}
	}
	if (b->nids > 0)
		b->ids = ids;
	return RC_OK;
}

static rc
read_selection(struct op *op, const struct cJSON *body, struct bulk *b,
    const char **out_why)
{
	rc ret = field_read(op_arena(op), criteria_fields,
	    ARRAY_LEN(criteria_fields), body, true, &b->criteria, out_why);

	if (ret == RC_OK)
		ret = read_ids(op, body, b, out_why);
	if (ret == RC_OK && b->ids == NULL && strcmp(b->criteria, "{}") == 0) {
		*out_why = "at least one criterion is required: profile_id, "
			   "owner_id, agent_id, issuer_id, team_id or "
			   "certificate_ids";
		ret = RC_INVALID;
	}
	return ret;
}

static rc
read_reassign(struct op *op, const struct cJSON *body, struct bulk *b,
    const char **out_why)
{
	rc ret = read_ids(op, body, b, out_why);

	if (ret == RC_OK && b->ids == NULL) {
		*out_why = "certificate_ids is required";
		ret = RC_INVALID;
	}
	if (ret == RC_OK)
		ret = field_read(op_arena(op), reassign_fields,
		    ARRAY_LEN(reassign_fields), body, true, &b->wanted,
		    out_why);
	if (ret == RC_OK)
		ret = json_str(body, "owner_id", MAX_ID, &b->owner);
	if (ret == RC_OK)
		IGNORE_RESULT(json_str(body, "team_id", MAX_ID, &b->team));
	return ret;
}

/* What can't be read must not be taken for no: many would be changed by who
 * meant to count them.  False: it is neither. */
static bool
dry_run_read(const struct op *op, bool *out_is_dry)
{
	const char *query = req_query(op, "dry_run");

	*out_is_dry = query != NULL && (strcasecmp(query, "true") == 0 ||
					   strcmp(query, "1") == 0);
	if (query == NULL)
		return !req_has_query(op, "dry_run");
	return *out_is_dry || strcasecmp(query, "false") == 0 ||
	       strcmp(query, "0") == 0;
}

/* What must be the same for a repetition to be one. */
static const char *
request_hash(struct op *op)
{
	char *hash = arena_alloc(op_arena(op), 65);
	const char *body, *text;
	size_t len;

	body = req_body(op, &len);
	text = op_printf(op, "%s\n%.*s", op_name(op), (int)len, body);
	enc_sha256_hex(text, strlen(text), hash);
	return hash;
}

static enum op_next
run(struct op *op, struct bulk *b)
{
	const char *key, *ids = NULL;
	const char *const patience[] = {PATIENCE};
	rc ret;

	ret = req_idempotency_key(op, &key);
	if (ret != RC_OK)
		return op_fail(op, ret,
		    "Idempotency-Key must be 1 to 255 characters");
	if (!dry_run_read(op, &b->is_dry))
		return op_fail(op, RC_INVALID, "dry_run must be true or false");
	if (b->ids != NULL)
		ids = db_text_array(op_arena(op), b->ids, b->nids);
	{
		const char *const params[] = {b->kind->word, b->criteria, ids,
		    b->wanted, page_actor(op), req_actor_type(op),
		    b->is_dry ? "true" : "false", key,
		    key != NULL ? request_hash(op) : NULL, cert_why_revoked(op),
		    MAX_LISTED};
		const struct db_stmt stmts[] = {
		    {Q_BULK_PATIENCE, ARRAY_LEN(patience), patience},
		    {Q_BULK_RUN, ARRAY_LEN(params), params},
		};

		op_catch(op, bulk_failed);
		return op_batch(op, bulk_done, ARRAY_LEN(stmts), stmts);
	}
}

/* The state of this op, and its body; NULL: the op has failed, *out_next. */
static struct bulk *
begin(struct op *op, const struct bulk_kind *kind,
    const struct cJSON **out_body, enum op_next *out_next)
{
	struct bulk *b = op_state(op, sizeof(*b));
	const char *why;
	rc ret;

	b->kind = kind;
	b->criteria = b->wanted = "{}";
	ret = req_json(op, false, out_body, &why);
	if (ret == RC_OK && json_get(*out_body, "dry_run") != NULL) {
		ret = RC_INVALID;
		why = "dry_run is said in the query: ?dry_run=true";
	}
	if (ret == RC_OK)
		return b;
	*out_next = op_fail(op, ret, "%s", why);
	return NULL;
}

/* --- the routes --- */

enum op_next
cert_bulk_renew(struct op *op)
{
	const struct cJSON *body;
	enum op_next ended;
	const char *why;
	struct bulk *b = begin(op, &renewal, &body, &ended);
	rc ret;

	if (b == NULL)
		return ended;
	ret = read_selection(op, body, b, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return run(op, b);
}

static enum op_next
revoke(struct op *op, bool is_est)
{
	const struct cJSON *body;
	enum op_next ended;
	const char *why;
	struct bulk *b = begin(op, &revocation, &body, &ended);
	rc ret;

	if (b == NULL)
		return ended;
	ret = field_read(op_arena(op), revoke_fields, ARRAY_LEN(revoke_fields),
	    body, true, &b->wanted, &why);
	if (ret == RC_OK)
		ret = read_selection(op, body, b, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	if (is_est)
		b->criteria = op_printf(op, "{\"source\":\"EST\"%s%s",
		    b->criteria[1] == '}' ? "" : ",", b->criteria + 1);
	return run(op, b);
}

enum op_next
cert_bulk_revoke(struct op *op)
{
	return revoke(op, false);
}

enum op_next
cert_bulk_revoke_est(struct op *op)
{
	return revoke(op, true);
}

enum op_next
cert_bulk_reassign(struct op *op)
{
	const struct cJSON *body;
	enum op_next ended;
	const char *why;
	struct bulk *b = begin(op, &reassignment, &body, &ended);
	rc ret;

	if (b == NULL)
		return ended;
	ret = read_reassign(op, body, b, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return run(op, b);
}

/* --- the answer --- */

static enum op_next
bulk_failed(struct op *op)
{
	const struct db_error *e = NULL;
	const char *sqlstate;

	(void)op_caught(op, &e); /* reply_db_error asks again */
	sqlstate = e != NULL ? e->sqlstate : "";
	if (strcmp(sqlstate, "54000") == 0)
		return op_fail(op, RC_INVALID,
		    "nothing was changed: the answer would list more "
		    "than " MAX_LISTED " certificates or jobs; select fewer");
	if (strcmp(sqlstate, "57014") == 0)
		return op_fail(op, RC_TIMEOUT,
		    "nothing was changed: it took longer than " PATIENCE
		    "; select fewer certificates");
	return reply_db_error(op, "");
}

static enum op_next
bulk_done(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"in_flight", RC_CONFLICT,
		"a request with this Idempotency-Key is under way; wait for "
		"its end"},
	    {"other_request", RC_UNPROCESSABLE,
		"this Idempotency-Key was used for another request"},
	};
	struct bulk *b = op_state(op, sizeof(*b));
	enum op_next no;

	if (outcome_is(op, "owner"))
		return op_fail(op, RC_INVALID, "owner not found: %s", b->owner);
	if (outcome_is(op, "team"))
		return op_fail(op, RC_INVALID, "team not found: %s", b->team);
	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	/* Many agents find their work at the look once a second. */
	if (!op_is_null(op, 0, "agents"))
		cert_hint_agents(op, op_text(op, 0, "agents"));
	return bulk_answer(op);
}

/* --- what the document says of it --- */

static const struct field bulk_query[] = {
    {"dry_run", FIELD_BOOL},
};

static const struct field ids_fields[] = {
    {"certificate_ids", FIELD_TEXTS, FIELD_ID, .max = MAX_ID,
	.max_items = MAX_IDS},
};

/* Of each call, and what was done. */
static const struct field done_fields[] = {
    {"total_matched", FIELD_INT},
    {"total_skipped", FIELD_INT},
    {"total_failed", FIELD_INT},
    {"errors", FIELD_OBJECTS},
    {"unknown_ids", FIELD_TEXTS, FIELD_OMIT_EMPTY, .max_items = MAX_IDS},
    {"held_ids", FIELD_TEXTS, FIELD_OMIT_EMPTY, .max_items = MAX_IDS},
    {"warnings", FIELD_TEXTS},
};
static const struct field renewed_fields[] = {
    {"total_enqueued", FIELD_INT},
    {"enqueued_jobs", FIELD_OBJECTS},
    {"waiting", FIELD_OBJECTS},
    {"waiting_looked_at", FIELD_INT},
};
static const struct field revoked_fields[] = {{"total_revoked", FIELD_INT}};
static const struct field reassigned_fields[] = {
    {"total_reassigned", FIELD_INT},
};

const struct shape shape_cert_bulk_renew = {
    .does = "Renew the certificates that are chosen",
    .query = bulk_query,
    .nquery = ARRAY_LEN(bulk_query),
    .has_body = true,
    .body = {SHAPE_TABLE(criteria_fields), SHAPE_TABLE(ids_fields)},
    .fields = SHAPE_TABLE(done_fields),
    .more_fields = SHAPE_TABLE(renewed_fields),
};
const struct shape shape_cert_bulk_revoke = {
    .does = "Revoke the certificates that are chosen",
    .query = bulk_query,
    .nquery = ARRAY_LEN(bulk_query),
    .has_body = true,
    .body = {SHAPE_TABLE(criteria_fields), SHAPE_TABLE(revoke_fields),
	SHAPE_TABLE(ids_fields)},
    .fields = SHAPE_TABLE(done_fields),
    .more_fields = SHAPE_TABLE(revoked_fields),
};
const struct shape shape_cert_bulk_revoke_est = {
    .does = "Revoke the certificates that came by EST and are chosen",
    .query = bulk_query,
    .nquery = ARRAY_LEN(bulk_query),
    .has_body = true,
    .body = {SHAPE_TABLE(criteria_fields), SHAPE_TABLE(revoke_fields),
	SHAPE_TABLE(ids_fields)},
    .fields = SHAPE_TABLE(done_fields),
    .more_fields = SHAPE_TABLE(revoked_fields),
};
const struct shape shape_cert_bulk_reassign = {
    .does = "Give the certificates that are chosen to another owner",
    .query = bulk_query,
    .nquery = ARRAY_LEN(bulk_query),
    .has_body = true,
    .body = {SHAPE_TABLE(reassign_fields), SHAPE_TABLE(ids_fields)},
    .fields = SHAPE_TABLE(done_fields),
    .more_fields = SHAPE_TABLE(reassigned_fields),
};
