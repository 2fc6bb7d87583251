/*
 * dns-01 (RFC 8555, section 8.4): the digest of the key authorization in a TXT
 * record, wherever CNAMEs lead.
 */
#include "common/base/enc.h"
#include "worker/acme/validation.h"

#define SHOWN 64 /* bytes of a record that a problem shows */

static op_step dns01_answered;

/* Whether one of the records is wanted. */
static bool
holds_text(const struct dns_reply *r, const char *wanted)
{
	bool is_there = false;

	for (size_t i = 0; i < r->n; i++)
		is_there |= enc_equal_ct(r->texts[i], wanted);
	return is_there;
}

static const char *
record_of(struct validation *v)
{
	return op_printf(v->op, "_acme-challenge.%s", v->name);
}

enum op_next
dns01_begin(struct op *op)
{
	struct validation *v = validation_of(op);

	return validation_ask(v, DNS_TXT, record_of(v), dns01_answered);
}

static enum op_next
dns01_answered(struct op *op)
{
	struct validation *v = validation_of(op);
	const struct dns_reply *r = v->reply;
	const char *wanted =
	    enc_base64url(op_arena(op), v->digest, sizeof(v->digest));

	if (!r)
		validation_fail(v, VALIDATION_DNS,
		    "the TXT records of %s could not be looked up in time",
		    record_of(v));
	else if (r->outcome == DNS_FAILED)
		validation_fail(v, VALIDATION_DNS,
		    "the TXT records of %s could not be looked up: %s",
		    record_of(v), r->why);
	else if (r->outcome == DNS_NO_NAME)
		validation_fail(v, VALIDATION_DNS,
		    "there is no name %s (NXDOMAIN): publish a TXT record "
		    "there",
		    record_of(v));
	else if (r->outcome == DNS_NO_RECORD)
		validation_fail(v, VALIDATION_RESPONSE,
		    "the name %s has no TXT record", record_of(v));
	else if (!holds_text(r, wanted))
		validation_fail(v, VALIDATION_RESPONSE,
		    "none of the %zu TXT records of %s is the digest of the "
		    "key authorization; the first is \"%.*s\"",
		    r->n, record_of(v), SHOWN, r->texts[0]);
	return op_goto(op, v->judged);
}
