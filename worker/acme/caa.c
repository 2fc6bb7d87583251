/*
 * Whether CAA records forbid it, looked for up the tree (RFC 8659, section 3).
 */
#include <string.h>

#include "worker/acme/caa_records.h"
#include "worker/acme/validation.h"

static op_step caa_answered;

static enum op_next
ask(struct validation *v)
{
	return validation_ask(v, DNS_CAA, v->caa_name, caa_answered);
}

enum op_next
caa_begin(struct op *op)
{
	struct validation *v = validation_of(op);

	v->caa_name = v->name;
	return ask(v);
}

static const char *
forbids(struct validation *v)
{
	struct arena *a = op_arena(v->op);
	const struct caa_asked asked = {
	    .identities = v->by->caa_identities,
	    .is_wildcard = v->is_wildcard,
	    .method = v->method,
	    .account_paths =
		{
		    arena_printf(a, "/acme/account/%s", v->account_id),
		    arena_printf(a, "/acme/profile/%s/account/%s",
			v->profile_id, v->account_id),
		},
	};

	return caa_forbids(a, v->reply->caas, v->reply->n, &asked);
}

/* The first name that has such records counts, from the whole one on up to,
 * and without, the root (RFC 8659, section 3). */
static enum op_next
caa_answered(struct op *op)
{
	struct validation *v = validation_of(op);
	const struct dns_reply *r = v->reply;
	const char *why;

	if (!r || r->outcome == DNS_FAILED) {
		validation_fail(v, VALIDATION_DNS,
		    "the CAA records of %s could not be looked up: %s",
		    v->caa_name, r ? r->why : "no time was left");
		return op_goto(op, v->judged);
	}
	if (r->outcome == DNS_FOUND) {
		why = forbids(v);
		if (why)
			validation_fail(v, VALIDATION_CAA,
			    "the CAA records of %s forbid it: %s", v->caa_name,
			    why);
		return op_goto(op, v->judged);
	}
	v->caa_name = strchr(v->caa_name, '.');
	if (!v->caa_name || v->caa_name[1] == '\0')
		return op_goto(op, v->judged);
	v->caa_name++;
	return ask(v);
}
