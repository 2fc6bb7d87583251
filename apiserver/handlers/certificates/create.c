/*
 * POST /certificates and PUT /certificates/{id}.
 */
#include "apiserver/handlers/certificates/certs.h"

#include <string.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"

static op_step create_done;
static op_step update_done;
static op_step update_read_back;

/* The checked body, or NULL when the op has failed with *out_next. */
static const char *
body_read(struct op *op, bool is_create, enum op_next *out_next)
{
	const struct cJSON *body;
	const char *why, *given;
	rc ret;

	ret = req_json(op, false, &body, &why);
	if (ret == RC_OK)
		ret = field_read(op_arena(op), cert_body, cert_nbody, body,
		    is_create, &given, &why);
	if (ret == RC_OK)
		return given;
	*out_next = op_fail(op, ret, "%s", why);
	return NULL;
}

enum op_next
cert_create(struct op *op)
{
	enum op_next ended;
	const char *given = body_read(op, true, &ended);

	if (given == NULL)
		return ended;
	op_catch(op, cert_write_failed);
	return OP_QUERY(op, Q_CERT_CREATE, create_done, given, page_actor(op),
	    req_actor_type(op));
}

static enum op_next
create_done(struct op *op)
{
	return page_reply_one(op, 201, cert_fields, cert_nfields);
}

enum op_next
cert_update(struct op *op)
{
	enum op_next ended;
	const char *given = body_read(op, false, &ended);

	if (given == NULL)
		return ended;
	op_catch(op, cert_write_failed);
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
	return page_reply_one(op, 200, cert_fields, cert_nfields);
}
