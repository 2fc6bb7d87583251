/*
 * Violations, which the duty policy_scan keeps: those of a rule, those of a
 * certificate.
 */
#include "apiserver/handlers/policies/policies.h"

#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

static const struct field fields[] = {
    {"id", FIELD_TEXT},
    {"certificate_id", FIELD_TEXT},
    {"rule_id", FIELD_TEXT},
    {"message", FIELD_TEXT},
    {"severity", FIELD_TEXT},
    {"created_at", FIELD_TIME},
};

static const struct cursor_key newest_first[] = {{"id", CURSOR_ID}};
static const struct cursor_key by_rule[] = {{"rule_id", CURSOR_ID}};

/* Whose they are. */
static const struct whose {
	enum query list, total;
	const struct cursor_key *order;
	const char *missing;
} of_rule = {Q_RULE_VIOLATIONS, Q_RULE_VIOLATIONS_TOTAL, newest_first,
    "Policy not found"},
  of_certificate = {Q_CERT_VIOLATIONS, Q_CERT_VIOLATIONS_TOTAL, by_rule,
      "Certificate not found"};

struct violations_call {
	struct page page;
	const struct whose *whose;
};

static op_step list_done;

static enum op_next
list(struct op *op, const struct whose *whose)
{
	struct violations_call *call = op_state(op, sizeof(*call));
	const char *params[4], *why;

	call->whose = whose;
	why = page_read(op, whose->order, 1, &call->page);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	params[0] = req_param(op, "id");
	(void)page_params(&call->page, params + 1);

	const struct db_stmt stmts[] = {
	    {whose->list, ARRAY_LEN(params), params},
	    {whose->total, 1, params},
	};
	return op_batch(op, list_done, ARRAY_LEN(stmts), stmts);
}

enum op_next
rule_violations(struct op *op)
{
	return list(op, &of_rule);
}

enum op_next
cert_violations(struct op *op)
{
	return list(op, &of_certificate);
}

static enum op_next
list_done(struct op *op)
{
	const struct violations_call *call = op_state(op, sizeof(*call));
	const struct db_result *total = op_result(op, 1);

	if (!db_bool(total, 0, db_col(total, "is_there")))
		return op_fail(op, RC_NOT_FOUND, "%s", call->whose->missing);
	return page_reply(op, &call->page, fields, ARRAY_LEN(fields), NULL,
	    total);
}

/* --- what the document says of it --- */

const struct shape shape_rule_violations = {
    .does = "List what breaks a policy",
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(fields),
};
const struct shape shape_cert_violations = {
    .does = "List the policies that a certificate breaks",
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(fields),
};
