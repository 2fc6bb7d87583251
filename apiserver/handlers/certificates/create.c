/*
 * POST /certificates and PUT /certificates/{id}.
 *
 * A body may say what has happened to the certificate (status, times), as an
 * import does.  It is never believed; the answer shows what is so, and its
 * "warnings" say in words what was not taken and what the certificate lacks.
 */
#include "apiserver/handlers/certificates/certs.h"

#include <string.h>
#include <strings.h>

#include "apiserver/api.h"
#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/live/creates.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/taken.h"
#include "apiserver/resources/warn.h"
#include "apiserver/resources/wiretime.h"

/* What the op remembers of the body. */
struct cert_write {
	const struct cJSON *body;
	const char *given;
	const char *id; /* NULL: a new one */
	struct create *create;
};

static op_step write_failed;
static op_step create_together;
static op_step create_alone;
static op_step update_done;
static op_step update_read_back;

/* The checked body, or NULL when the op has failed with *out_next. */
static const char *
body_read(struct op *op, bool is_create, enum op_next *out_next)
{
	struct cert_write *cw = op_state(op, sizeof(*cw));
	const char *why;
	rc ret;

	cw->id = is_create ? NULL : req_param(op, "id");
	ret = req_json(op, false, &cw->body, &why);
	if (ret == RC_OK)
		ret = field_read(op_arena(op), cert_body, cert_nbody, cw->body,
		    is_create, &cw->given, &why);
	if (ret == RC_OK)
		return cw->given;
	*out_next = op_fail(op, ret, "%s", why);
	return NULL;
}

static enum op_next
write_failed(struct op *op)
{
	const struct cert_write *cw = op_state(op, sizeof(*cw));

	if (taken_is(op))
		return taken_reply(op, Q_CERT_FILES_TAKEN, cw->id, cw->given);
	return cert_write_failed(op);
}

enum op_next
cert_create(struct op *op)
{
	enum op_next ended;
	const char *given = body_read(op, true, &ended);
	struct cert_write *cw;

	if (given == NULL)
		return ended;
	cw = op_state(op, sizeof(*cw));
	cw->create = creates_add(req_api(op)->creates, op, given,
	    page_actor(op), req_actor_type(op));
	/* The op's deadline comes first. */
	return op_park(op, op_left_ms(op) + 1, create_together);
}

/* --- the answer --- */

/* What was read may be written back, with the time of its last change. */
static bool
is_so(const struct db_result *rows, size_t row, const char *name,
    const char *time)
{
	char is[WIRETIME_SIZE];

	wiretime_text(db_text(rows, row, db_col(rows, name)), is);
	return strcmp(name, "updated_at") == 0 || strcmp(time, is) == 0;
}

static void
warn_claims(struct op *op, struct warnings *ws, bool is_create,
    const struct db_result *rows, size_t row)
{
	const struct cert_write *cw = op_state(op, sizeof(*cw));
	const char *is = db_text(rows, row, db_col(rows, "status"));
	const char *status = "";
	rc ret;

	for (size_t i = 0; i < cert_nbody; i++) {
		const char *name = cert_body[i].name, *time = "";

		if ((cert_body[i].flags & FIELD_CLAIM) == 0)
			continue;
		ret = json_str(cw->body, name, 64, &time);
		if (ret == RC_OK && *time != '\0' &&
		    strcmp(time, WIRETIME_ZERO) != 0 &&
		    (is_create || !is_so(rows, row, name, time)))
			warn_add(op, ws,
			    "%s is not taken from a client: it says what has "
			    "happened here",
			    name);
	}
	ret = json_str(cw->body, "status", 64, &status);
	if (ret == RC_OK && *status != '\0' && strcasecmp(status, is) != 0)
		warn_add(op, ws,
		    "status is not taken from a client: by what has happened "
		    "here it is %s",
		    is);
}

/* The certificate of that row, and what its owner should know. */
static enum op_next
reply_written(struct op *op, int status, bool is_create,
    const struct db_result *rows, size_t row)
{
	struct warnings ws = {0};

	warn_claims(op, &ws, is_create, rows, row);
	if (!db_bool(rows, row, db_col(rows, "auto_renew")))
		warn_add(op, &ws,
		    "nothing renews this certificate by itself: auto_renew of "
		    "its renewal policy is false");
	return warn_reply_one(op, status, rows, row, cert_fields, cert_nfields,
	    &ws);
}

/* It went with others, or did not. */
static enum op_next
create_together(struct op *op)
{
	const struct cert_write *cw = op_state(op, sizeof(*cw));
	const struct db_result *rows;
	size_t row;

	switch (create_end(cw->create)) {
	case CREATE_MADE:
		rows = create_row(cw->create, &row);
		return reply_written(op, 201, true, rows, row);
	case CREATE_ALONE:
		op_catch(op, write_failed);
		return OP_QUERY(op, Q_CERT_CREATE, create_alone, cw->given,
		    page_actor(op), req_actor_type(op));
	case CREATE_FAILED:
		return op_fail(op, create_code(cw->create), "%s", "");
	case CREATE_WAITS:
		break;
	}
	return op_fail(op, RC_TIMEOUT, "%s", "");
}

static enum op_next
create_alone(struct op *op)
{
	return reply_written(op, 201, true, op_result(op, 0), 0);
}

enum op_next
cert_update(struct op *op)
{
	enum op_next ended;
	const char *given = body_read(op, false, &ended);

	if (given == NULL)
		return ended;
	op_catch(op, write_failed);
	return OP_QUERY(op, Q_CERT_MERGE, update_done, req_param(op, "id"),
	    given, page_actor(op), req_actor_type(op),
	    "the target was taken off the certificate");
}

void
cert_hint_agents(struct op *op, const char *text)
{
	const struct cJSON *agents;
	const char *why;
	const char **ids;
	size_t n;
	rc ret;

	ret = json_parse(op_arena(op), op_printf(op, "{\"a\":%s}", text),
	    strlen(text) + 6, &agents, &why);
	if (ret == RC_OK)
		ret = json_str_list(op_arena(op), agents, "a", 1000, 128, &ids,
		    &n);
	if (ret == RC_OK && n > 0) {
		const char **list =
		    arena_alloc(op_arena(op), (n + 1) * sizeof(const char *));

		memcpy(list, ids, n * sizeof(const char *));
		req_hint(op, 0, NULL, list);
	}
}

static enum op_next
update_done(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"unknown", RC_NOT_FOUND, "Certificate not found"},
	    {"final", RC_CONFLICT,
		"the certificate is revoked or archived for good"},
	    {"act", RC_INVALID,
		"status can't be set to this: renew, revoke or delete the "
		"certificate"},
	};
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	cert_hint_agents(op, op_text(op, 0, "agents"));
	return OP_QUERY(op, Q_CERT_GET, update_read_back, req_param(op, "id"));
}

static enum op_next
update_read_back(struct op *op)
{
	if (op_rows(op) == 0)
		return cert_not_found(op);
	return reply_written(op, 200, false, op_result(op, 0), 0);
}

/* --- what the document says of it --- */

const struct shape shape_cert_create = {
    .does = "Make a certificate",
    .has_body = true,
    .body = {SHAPE_TABLE_OF(cert_body, cert_nbody)},
    .status = 201,
    .fields = SHAPE_TABLE_OF(cert_fields, cert_nfields),
    .more_fields = SHAPE_TABLE_OF(warn_fields, warn_nfields),
};
const struct shape shape_cert_update = {
    .does = "Change a certificate",
    .has_body = true,
    .body = {SHAPE_TABLE_OF(cert_body, cert_nbody)},
    .fields = SHAPE_TABLE_OF(cert_fields, cert_nfields),
    .more_fields = SHAPE_TABLE_OF(warn_fields, warn_nfields),
};
